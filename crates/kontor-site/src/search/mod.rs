//! Finding products: by words, filters and prices, page by page, without ever looking through the
//! catalogue.
//!
//! Every part of a query that has rows in the index is a way to find products ([`Way`]). The one with
//! the fewest rows, counted up to a bound, leads; what it finds is compared with all other parts on the
//! product itself. A page ends when it is full, when nothing is left, or when [`SEARCH_ROWS_MAX`] rows
//! were read: then it holds fewer products than were asked for, and says where the next page begins.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use kontor_core::id::{LocationId, ProductId, Sku};
use kontor_core::index::{self, Found, Way};
use kontor_core::money::Currency;
use kontor_core::product::listing::Listing;
use kontor_core::product::price::{PriceKey, PriceTerms, offered};
use kontor_core::product::text::{MarketId, Name};
use kontor_core::product::{Product, Status, Variant};
use kontor_core::record::Table;
use kontor_core::text::hex;
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError, derived};

use crate::limits::{SEARCH_PROBE_MAX, SEARCH_PROBED_ATTRIBUTES_MAX, SEARCH_PROBED_WORDS_MAX, SEARCH_ROWS_MAX};
use crate::reader::Reader;

/// What is looked for. Everything that is named must hold.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Words, each of which must begin one of the product's; of [`index::words::query`]. A query of no
    /// word finds nothing, no query everything.
    pub words: Option<BTreeSet<String>>,
    /// A category, however it is written.
    pub category: Option<Name>,
    /// A brand, however it is written.
    pub brand: Option<Name>,
    /// Attributes of the product or of one of its variants, with their values in words.
    pub attributes: Vec<(Name, String)>,
    /// Any of these; of all, if there are none.
    pub statuses: Vec<Status>,
    /// The market whose prices and texts are meant.
    pub market: Option<MarketId>,
    /// A price in force.
    pub price: Option<PriceBand>,
    /// Whether something of it can be promised.
    pub available: Option<Shelves>,
    /// In which order.
    pub order: Order,
    /// When: prices come and go.
    pub now: SiteTime,
}

/// Prices within bounds, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceBand {
    /// In which currency.
    pub currency: Currency,
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

/// Where something must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shelves {
    /// Anywhere.
    Any,
    /// At this location.
    At(LocationId),
}

/// In which order products are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As the narrowest part of the query has them: by word and title, by title, or by price.
    #[default]
    Narrowest,
    /// By title.
    Title,
    /// By price, the lowest first; of a query that names a currency.
    Price,
}

/// A product that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Which.
    pub id: ProductId,
    /// The product.
    pub product: Product,
    /// What it says of its own in the market of the query.
    pub listing: Option<Listing>,
    /// The lowest of its prices within the bounds of the query.
    pub price: Option<(Sku, PriceKey, PriceTerms)>,
}

/// A part of what was found.
#[derive(Debug, Clone)]
pub struct Page {
    /// Products; perhaps fewer than asked for, perhaps none, also if more follow.
    pub items: Vec<Hit>,
    /// Where the next page begins, if anything may follow.
    pub next: Option<Cursor>,
    /// Rows that were read for it.
    pub rows: usize,
}

/// A place in what a query finds. Opens the same query only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The part of the query that leads.
    lead: u8,
    /// The last key that was looked at, after what all its keys begin with.
    after: Vec<u8>,
}

impl Cursor {
    /// Reads a cursor as it was written.
    pub fn parse(text: &str) -> Option<Self> {
        let (lead, after) = text.split_once('.')?;
        let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let plain = after.len() % 2 == 0 && after.bytes().all(|b| b.is_ascii_hexdigit());
        let after = plain.then(|| after.as_bytes().chunks(2).map(digit).collect::<Option<_>>())??;
        Some(Self { lead: lead.parse().ok()?, after })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.lead, hex(&self.after))
    }
}

impl Reader {
    /// Finds products, `limit` of them at most, after a place of an earlier page. `None` if the place is
    /// not one of this query's.
    pub fn search(&self, query: &Query, after: Option<&Cursor>, limit: usize) -> Result<Option<Page>, ViewError> {
        let leads = leads(query);
        let wanted = query.attributes.iter().map(|(name, value)| (index::value(name.as_str()), index::value(value)));
        let mut search = Search { reader: self, query, words: sorted(query), attributes: wanted.collect(), rows: 0 };
        if search.query.words.as_ref().is_some_and(BTreeSet::is_empty) || limit == 0 {
            return Ok(Some(Page { items: Vec::new(), next: None, rows: 0 }));
        }
        let lead = match after {
            Some(cursor) => cursor.lead,
            None => search.narrowest(&leads)?,
        };
        let Some(ways) = leads.get(usize::from(lead)) else { return Ok(None) };
        let mut keys = Keys::new(self.rows(), ways, after.map(|cursor| cursor.after.as_slice()), limit);
        let mut items = Vec::new();
        let mut last = None;
        while let Some((way, key)) = keys.next(&mut search.rows)? {
            if items.len() == limit || (search.rows >= SEARCH_ROWS_MAX && last.is_some()) {
                let next = last.map(|after| Cursor { lead, after });
                return Ok(Some(Page { items, next, rows: search.rows }));
            }
            let found = way.found(&key).ok_or_else(|| damaged(&key))?;
            items.extend(search.look(way, found)?);
            last = Some(key);
        }
        Ok(Some(Page { items, next: None, rows: search.rows }))
    }
}

/// The words of a query, the longest first: they are the rarest.
fn sorted(query: &Query) -> Vec<&str> {
    let mut words: Vec<&str> = query.words.iter().flatten().map(String::as_str).collect();
    words.sort_by_key(|word| (Reverse(word.len()), *word));
    words
}

/// The parts of a query that may lead, those first that find least as a rule. Each is one way, or two
/// whose rows are read as one.
fn leads(query: &Query) -> Vec<Vec<Way>> {
    let mut leads: Vec<Vec<Way>> = Vec::new();
    if query.order != Order::Price || query.price.is_none() {
        if query.order == Order::Narrowest {
            let words = sorted(query).into_iter().take(SEARCH_PROBED_WORDS_MAX);
            leads.extend(words.map(|word| {
                let there = query.market.iter().map(|market| Way::WordIn(market.clone(), word.to_owned()));
                [Way::Word(word.to_owned())].into_iter().chain(there).collect()
            }));
        }
        leads.extend(query.category.iter().map(|name| vec![Way::Category(index::value(name.as_str()))]));
        leads.extend(query.brand.iter().map(|name| vec![Way::Brand(index::value(name.as_str()))]));
        // What a market says of its own is in the order of its own titles.
        if query.market.is_none() || query.order == Order::Narrowest {
            let given = query.attributes.iter().map(|(name, value)| (index::value(name.as_str()), index::value(value)));
            let wanted: BTreeSet<_> = given.take(SEARCH_PROBED_ATTRIBUTES_MAX).collect();
            leads.extend(wanted.into_iter().map(|(name, value)| {
                let there = query.market.clone();
                let there = there.map(|market| Way::AttributeIn { market, name: name.clone(), value: value.clone() });
                [Way::Attribute { name, value }].into_iter().chain(there).collect()
            }));
        }
    }
    if let Some(PriceBand { currency, min, max }) = query.price
        && (query.order == Order::Price || (query.order == Order::Narrowest && (min, max) != (0, u64::MAX)))
    {
        let own = query.market.iter().cloned().map(Some);
        let ways = own.chain([None]).map(|market| Way::Price { market, currency, min, max });
        leads.push(ways.collect());
    }
    if query.order != Order::Price || query.price.is_none() {
        if let [status] = query.statuses.as_slice() {
            leads.push(vec![Way::Status(*status)]);
        }
        leads.push(vec![Way::All]);
    }
    leads
}

/// One search while it is under way.
struct Search<'s> {
    reader: &'s Reader,
    query: &'s Query,
    words: Vec<&'s str>,
    /// Attributes that are looked for, as they stand in keys.
    attributes: BTreeSet<(String, String)>,
    /// Rows read so far.
    rows: usize,
}

impl Search<'_> {
    /// The part with the fewest rows. Parts of many are not counted to their end, and the first of them
    /// leads. Everything, and all that is active, lead only if nothing else does: most products are.
    fn narrowest(&mut self, leads: &[Vec<Way>]) -> Result<u8, ViewError> {
        let narrow = leads.iter().take_while(|ways| !matches!(ways[..], [Way::Status(Status::Active) | Way::All]));
        let many = narrow.clone().count();
        if many < 2 {
            return Ok(0);
        }
        // A few of each first: what is rare is known by then, and what is common costs little.
        let each = SEARCH_PROBE_MAX.min(SEARCH_ROWS_MAX / 2 / many);
        for most in [each / 16, each] {
            let (mut best, mut fewest) = (0, most);
            for (lead, ways) in (0..).zip(narrow.clone()) {
                let count = self.count(ways, fewest)?;
                if count < fewest {
                    (best, fewest) = (lead, count);
                }
            }
            if fewest < most {
                return Ok(best);
            }
        }
        Ok(0)
    }

    /// Counts the rows of ways, up to `most`.
    fn count(&mut self, ways: &[Way], most: usize) -> Result<usize, ViewError> {
        let mut count = 0;
        for way in ways {
            let (from, end) = way.range();
            let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
            if count < most {
                self.reader.rows().scan(Table::INDEX, range, &mut |_, _| {
                    count += 1;
                    count < most
                })?;
            }
        }
        self.rows += count;
        Ok(count)
    }

    /// Compares what was found with the whole query.
    fn look(&mut self, way: &Way, found: Found) -> Result<Option<Hit>, ViewError> {
        self.rows += 1;
        let Found { product: id, word, price } = found;
        let Some(product) = self.reader.product(&id)? else { return Ok(None) };
        if !self.is_kind(&product) {
            return Ok(None);
        }
        let listing = match &self.query.market {
            Some(market) => {
                self.rows += 1;
                derived::<Listing>(self.reader.rows(), (&id, market))?
            }
            None => None,
        };
        if !self.is_meant(&product, listing.as_ref(), way, word.as_deref()) {
            return Ok(None);
        }
        let lowest = self.lowest(&product, listing.as_ref());
        match (&self.query.price, &lowest) {
            (Some(_), None) => return Ok(None),
            // Found by a price that is not in force, or not the lowest: it is shown at that one.
            (Some(_), Some((sku, _, terms))) if price.is_some_and(|found| found != (minor(terms), sku.clone())) => {
                return Ok(None);
            }
            _ => {}
        }
        if let Some(shelves) = &self.query.available
            && !self.is_available(&product, shelves)?
        {
            return Ok(None);
        }
        Ok(Some(Hit { id, product, listing, price: lowest }))
    }

    /// Whether status, category and brand are those that are looked for.
    fn is_kind(&self, product: &Product) -> bool {
        let Query { category, brand, statuses, .. } = self.query;
        let is =
            |name: &Name, wanted: &Name| index::words::plain(name.as_str()) == index::words::plain(wanted.as_str());
        (statuses.is_empty() || statuses.contains(&product.status))
            && category.as_ref().is_none_or(|wanted| product.categories.iter().any(|name| is(name, wanted)))
            && brand.as_ref().is_none_or(|wanted| product.brand.as_ref().is_some_and(|name| is(name, wanted)))
    }

    /// Whether a product has the words and attributes, where they are looked for, and is found here for the
    /// first time.
    fn is_meant(&self, product: &Product, listing: Option<&Listing>, way: &Way, word: Option<&str>) -> bool {
        if !self.attributes.is_empty() && !self.has_attributes(product, listing, way) {
            return false;
        }
        if self.words.is_empty() {
            return true;
        }
        let (known, there) = (index::words::of(product), listing.map(index::words::there).unwrap_or_default());
        let all = self.words.iter().all(|wanted| first(&known, wanted).or(first(&there, wanted)).is_some());
        // Words that begin so stand together; the first of them is where the product is shown, and what
        // everybody reads comes before what a market says.
        let is_first = match (way, word) {
            (Way::Word(wanted), Some(word)) => first(&known, wanted) == Some(word),
            (Way::WordIn(_, wanted), Some(word)) => {
                first(&known, wanted).is_none() && first(&there, wanted) == Some(word)
            }
            _ => true,
        };
        all && is_first
    }

    /// Whether all attributes are as they are looked for. What a market says of one takes the place of what
    /// the product says.
    fn has_attributes(&self, product: &Product, listing: Option<&Listing>, way: &Way) -> bool {
        let shown = index::attributes(product, listing);
        let all = self.attributes.is_subset(&shown);
        let is_first = match way {
            Way::AttributeIn { name, value, .. } => {
                !index::attributes(product, None).contains(&(name.clone(), value.clone()))
            }
            _ => true,
        };
        all && is_first
    }

    /// The lowest price in force within the bounds of the query.
    fn lowest(&self, product: &Product, listing: Option<&Listing>) -> Option<(Sku, PriceKey, PriceTerms)> {
        let band = self.query.price?;
        let offers = product.variants.iter().filter_map(|variant| {
            let own = listing.and_then(|listing| listing.prices.get(&variant.sku));
            let (key, terms) = offered(&variant.prices, own, band.currency, self.query.now)?;
            (band.min..=band.max).contains(&minor(&terms)).then_some((&variant.sku, key, terms))
        });
        let lowest = offers.min_by_key(|(sku, _, terms)| (terms.amount, *sku));
        lowest.map(|(sku, key, terms)| (sku.clone(), key, terms))
    }

    /// Whether something of a product can be promised somewhere.
    fn is_available(&mut self, product: &Product, shelves: &Shelves) -> Result<bool, ViewError> {
        for Variant { sku, selling, .. } in &product.variants {
            if !selling.policy.refuses() || selling.backorder_limit > 0 {
                return Ok(true);
            }
            let levels = match shelves {
                Shelves::Any => self.reader.levels(sku)?,
                Shelves::At(location) => self.reader.level(sku, location)?.into_iter().collect(),
            };
            self.rows += 1 + levels.iter().map(|level| level.rows.len()).sum::<usize>();
            if levels.iter().any(|level| level.level.available > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first word that begins so.
fn first<'w>(words: &'w BTreeSet<String>, wanted: &str) -> Option<&'w str> {
    let mut from = words.range::<str, _>((std::ops::Bound::Included(wanted), std::ops::Bound::Unbounded));
    from.next().map(String::as_str).filter(|word| word.starts_with(wanted))
}

/// Prices are not below zero.
fn minor(terms: &PriceTerms) -> u64 {
    u64::try_from(terms.amount).unwrap_or(0)
}

/// Keys of one way or of several, in one order, read in pieces.
struct Keys<'k> {
    rows: &'k dyn View,
    sources: Vec<Source<'k>>,
}

struct Source<'k> {
    way: &'k Way,
    prefix: usize,
    from: Vec<u8>,
    end: Vec<u8>,
    read: VecDeque<Vec<u8>>,
    piece: usize,
    is_done: bool,
}

/// The least and the most rows that are read in one piece.
const PIECE_ROWS: std::ops::RangeInclusive<usize> = 8..=256;

impl<'k> Keys<'k> {
    fn new(rows: &'k dyn View, ways: &'k [Way], after: Option<&[u8]>, limit: usize) -> Self {
        let source = |way: &'k Way| {
            let ((from, end), prefix) = (way.range(), way.prefix());
            let after = after.map(|after| prefix.clone().fixed(after).after().into_bytes());
            Source {
                way,
                prefix: prefix.as_bytes().len(),
                from: after.into_iter().chain([from.into_bytes()]).max().unwrap_or_default(),
                end: end.into_bytes(),
                read: VecDeque::new(),
                piece: (limit + 1).clamp(*PIECE_ROWS.start(), *PIECE_ROWS.end()),
                is_done: false,
            }
        };
        Self { rows, sources: ways.iter().map(source).collect() }
    }

    /// The next key of any way, without its prefix. One that several ways have comes once.
    fn next(&mut self, touched: &mut usize) -> Result<Option<(&'k Way, Vec<u8>)>, ViewError> {
        for source in &mut self.sources {
            source.fill(self.rows, touched)?;
        }
        let Some(least) = self.sources.iter().filter_map(|source| source.read.front()).min().cloned() else {
            return Ok(None);
        };
        let mut found = None;
        for source in &mut self.sources {
            if source.read.pop_front_if(|key| *key == least).is_some() {
                found = found.or(Some(source.way));
            }
        }
        Ok(found.map(|way| (way, least)))
    }
}

impl Source<'_> {
    fn fill(&mut self, rows: &dyn View, touched: &mut usize) -> Result<(), ViewError> {
        if self.is_done || !self.read.is_empty() {
            return Ok(());
        }
        let range = KeyRange { from: &self.from, before: &self.end };
        rows.scan(Table::INDEX, range, &mut |key, _| {
            self.read.push_back(key[self.prefix..].to_vec());
            self.read.len() < self.piece
        })?;
        *touched += self.read.len();
        self.is_done = self.read.len() < self.piece;
        if let Some(last) = self.read.back() {
            self.from.truncate(self.prefix);
            self.from.extend_from_slice(last);
            self.from.push(0);
        }
        self.piece = (self.piece * 2).min(*PIECE_ROWS.end());
        Ok(())
    }
}

fn damaged(key: &[u8]) -> ViewError {
    ViewError { table: Table::INDEX.name(), why: format!("a key is damaged: {}", hex(key)) }
}

#[cfg(test)]
mod tests;
