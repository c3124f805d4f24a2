//! Products, one at a time or many on one desk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Rules, limit, revision};
use crate::command::Must;
use crate::event::{Event, ListingEdited, ProductEdited};
use crate::id::{LocationId, ProductId, SiteId, Sku};
use crate::job::JobLine;
use crate::limits::{
    ATTRIBUTES_MAX, CATEGORIES_MAX, ENTRY_BYTES_MAX, HEAD_BYTES_MAX, LISTING_PRICES_MAX, MARKETS_MAX, MEDIA_MAX,
    OPTIONS_MAX, PRICES_MAX, PRODUCT_BYTES_MAX, QUANTITY_MAX, TRANSLATIONS_MAX, VARIANT_ATTRIBUTES_MAX, VARIANTS_MAX,
};
use crate::product::edit::{ProductEdit, SellingEdit, VariantEdit};
use crate::product::field::{Conflict, Field};
use crate::product::gtin::Gtin;
use crate::product::listing::{Listing, ListingEdit, ListingSibling};
use crate::product::merge::{conflicts, listing_conflicts};
use crate::product::text::MarketId;
use crate::product::{GtinUse, Item, Policy, Product, Sibling};
use crate::record::{Key, KeyParts, Table, decode, size};
use crate::refusal::{Refusal, Stop};
use crate::site::SiteRow;
use crate::stock::{Level, StockRow};
use crate::time::{SeenStamps, Stamp};
use crate::view::{KeyRange, derived, rows_of_sites};

/// What is wanted of one product.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'w> {
    pub(super) id: &'w ProductId,
    pub(super) edit: &'w ProductEdit,
    pub(super) expected: Option<u64>,
    pub(super) must: Must,
    pub(super) variants: Must,
    pub(super) job: Option<JobLine>,
}

/// What is wanted of what a product says in a market.
#[derive(Clone, Copy)]
pub(super) struct WantedThere<'w> {
    pub(super) market: &'w MarketId,
    pub(super) edit: &'w ListingEdit,
    pub(super) expected: Option<u64>,
}

/// Edits of one product that change something, and what it becomes by them.
pub(super) struct Edits {
    id: ProductId,
    before: Option<Product>,
    after: Option<Product>,
    pub(super) product: Option<ProductEdited>,
    listings: Vec<(ListingEdited, Listing)>,
}

/// Products while one command edits them: the rows, with what the lines before have changed on top.
pub(super) struct Desk<'a> {
    rules: Rules<'a>,
    products: BTreeMap<ProductId, Option<Product>>,
    listings: BTreeMap<(ProductId, MarketId), Listing>,
    skus: BTreeMap<Sku, Option<ProductId>>,
    gtins: BTreeMap<[u8; 14], Option<(ProductId, Sku)>>,
    /// Of the next edit.
    stamp: Stamp,
}

impl Rules<'_> {
    pub(super) fn edit_product(self, wanted: Wanted<'_>) -> Result<Vec<Event>, Stop> {
        if wanted.edit.is_empty() && wanted.must != Must::Create {
            return Err(Refusal::Nothing { what: "the change" }.into());
        }
        Ok(Desk::new(self)?.edits(wanted, &[])?.into_events())
    }

    pub(super) fn delete_product(self, id: &ProductId, expected: Option<u64>) -> Result<Vec<Event>, Stop> {
        Ok(Desk::new(self)?.delete(id, expected, None)?.into_events())
    }

    pub(super) fn edit_listing(
        self,
        id: &ProductId,
        market: &MarketId,
        edit: &ListingEdit,
        expected: Option<u64>,
    ) -> Result<Vec<Event>, Stop> {
        if edit.is_empty() {
            return Err(Refusal::Nothing { what: "the change" }.into());
        }
        let nothing = ProductEdit::default();
        let (must, variants) = (Must::Exist, Must::Exist);
        let wanted = Wanted { id, edit: &nothing, expected: None, must, variants, job: None };
        Ok(Desk::new(self)?.edits(wanted, &[WantedThere { market, edit, expected }])?.into_events())
    }

    /// The product of a SKU of which the first units are about to be booked, if they make its stock counted.
    pub(super) fn first_counted(self, sku: &Sku) -> Result<Option<(ProductId, Sku)>, Stop> {
        let Item { product, selling, .. } = self.item(sku)?;
        Ok((selling.policy == Policy::NoneUntilReceived).then(|| (product, sku.clone())))
    }

    /// A movement, after the edits by which stock is counted from it on.
    pub(super) fn counted_from_now(self, first: Vec<(ProductId, Sku)>, moved: Event) -> Result<Vec<Event>, Stop> {
        if first.is_empty() {
            return Ok(vec![moved]);
        }
        let mut products: BTreeMap<ProductId, BTreeSet<Sku>> = BTreeMap::new();
        for (product, sku) in first {
            products.entry(product).or_default().insert(sku);
        }
        let mut desk = Desk::new(self)?;
        let mut events = Vec::with_capacity(products.len() + 1);
        for (id, skus) in &products {
            let selling = SellingEdit { policy: Some(Policy::ReserveOnOrder), backorder_limit: None };
            let variants =
                skus.iter().map(|sku| VariantEdit { selling: Some(selling), ..VariantEdit::of(sku.clone()) });
            let edit = ProductEdit { variants: variants.collect(), ..ProductEdit::default() };
            let (must, variants) = (Must::Exist, Must::Exist);
            let edits = desk.edits(Wanted { id, edit: &edit, expected: None, must, variants, job: None }, &[])?;
            events.extend(desk.keep(edits));
        }
        events.push(moved);
        let bytes: usize = events.iter().map(size).sum();
        limit("entry bytes", (bytes + HEAD_BYTES_MAX) as u64, ENTRY_BYTES_MAX as u64)?;
        Ok(events)
    }

    /// The markets in which a product says something of its own, up to the most that are allowed.
    fn markets(self, id: &ProductId) -> Result<u64, Stop> {
        let prefix = Listing::prefix(id);
        let (mut count, end) = (0, prefix.end());
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        self.view.scan(Table::MARKET_LISTINGS, range, &mut |_, _| {
            count += 1;
            count < MARKETS_MAX as u64
        })?;
        Ok(count)
    }

    /// Refuses if there is stock of a SKU anywhere, or a promise of it.
    fn is_out_of_use(self, sku: &Sku) -> Result<(), Stop> {
        let prefix = Key::new().text(sku.as_str());
        let end = prefix.end();
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        let mut shelves: BTreeMap<LocationId, Vec<(SiteId, StockRow)>> = BTreeMap::new();
        let mut damaged = None;
        self.view.scan(Table::STOCK, range, &mut |key, value| {
            let mut parts = KeyParts(&key[prefix.as_bytes().len()..]);
            let location = parts.text().and_then(|id| LocationId::parse(id).ok());
            let site = parts.rest().and_then(|site| SiteId::parse(site).ok());
            match (location, site, decode(Table::STOCK, value)) {
                (Some(location), Some(site), Ok(row)) => shelves.entry(location).or_default().push((site, row)),
                (_, _, Err(error)) => damaged = Some(error.into()),
                _ => damaged = Some(super::unreadable(Table::STOCK.name(), "a key is damaged")),
            }
            damaged.is_none()
        })?;
        if let Some(damaged) = damaged {
            return Err(damaged);
        }
        for (location, rows) in shelves {
            let level = Level::of(&rows, &self.home(&location)?, self.context.site);
            if level.on_hand != 0 || level.reserved != 0 || level.committed != 0 {
                return Err(Refusal::ProductInUse { sku: sku.clone(), location }.into());
            }
        }
        Ok(())
    }

    /// Greater than every stamp that this site has folded, so that an informed edit wins.
    fn stamp(self) -> Result<Stamp, Stop> {
        let sites = rows_of_sites::<SiteRow>(self.view, ())?;
        let folded = sites.iter().map(|(_, site)| site.stamp).max().unwrap_or_default();
        Ok(Stamp::next(self.context.now, folded))
    }
}

impl<'a> Desk<'a> {
    pub(super) fn new(rules: Rules<'a>) -> Result<Self, Stop> {
        let (products, listings) = (BTreeMap::new(), BTreeMap::new());
        let (skus, gtins) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { rules, products, listings, skus, gtins, stamp: rules.stamp()? })
    }

    /// Decides edits of a product and of what it says in markets. What is so already is left out.
    pub(super) fn edits(&self, wanted: Wanted<'_>, there: &[WantedThere<'_>]) -> Result<Edits, Stop> {
        let mut edits = self.edit(wanted)?;
        if let Some(product) = edits.after.clone() {
            for wanted_there in there {
                let listing = self.listing(&edits, &product, *wanted_there, wanted.job)?;
                edits.listings.extend(listing);
            }
        }
        Ok(edits)
    }

    fn edit(&self, wanted: Wanted<'_>) -> Result<Edits, Stop> {
        let Wanted { id, edit, expected, must, variants, job } = wanted;
        sensible(edit)?;
        let now = self.product(id)?;
        match (must, &now) {
            (Must::Create, Some(_)) => {
                return Err(Refusal::AlreadyExists { what: "product", name: id.to_string() }.into());
            }
            (Must::Exist, None) => return Err(Refusal::UnknownProduct { id: id.clone() }.into()),
            _ => {}
        }
        revision(expected, now.as_ref().map_or(0, |product| product.revision))?;
        for variant in &edit.variants {
            self.variant(id, now.as_ref(), variant, variants)?;
        }
        let siblings = match &now {
            Some(product) if product.conflicts == 0 => Vec::new(),
            _ => rows_of_sites::<Sibling>(self.rules.view, id)?,
        };
        // Of what is gone, it may be disputed that it is gone.
        let is_open = now.is_some() || !self.products.contains_key(id);
        let open = if is_open && !siblings.is_empty() { conflicts(&siblings) } else { Vec::new() };
        let (set, back) = match &now {
            // What lines before have settled of a dispute, the rows do not say: then all counts as disputed.
            Some(now) if now.conflicts > 0 && self.products.contains_key(id) => edit.against(now, |_| true),
            Some(now) => edit.against(now, |field| open.iter().any(|conflict| conflict.field == *field)),
            None => self.making(edit)?,
        };
        if set.is_empty() {
            let (id, before, after) = (id.clone(), now.clone(), now);
            return Ok(Edits { id, before, after, product: None, listings: Vec::new() });
        }
        let before = match &now {
            Some(now) => now.revision,
            None => siblings.iter().map(|(_, sibling)| sibling.revision).sum(),
        };
        let after = Product::edited(now.as_ref(), &set, before + 1, self.rules.context.now);
        if let Some(after) = &after {
            // Nothing of it could be sold or found any more, and no edit could make it anew as it is.
            if after.variants.is_empty() && set.variants.iter().any(|variant| variant.present == Some(false)) {
                return Err(Refusal::Nothing { what: "a product without its last variant" }.into());
            }
            fits(after, &set)?;
            self.gtins(id, after, &set)?;
        }
        let settled = match open.is_empty() {
            true => Vec::new(),
            false => settled(open, &set.values().into_iter().map(|(field, _)| field).collect(), &set),
        };
        let event = self.edited(id, before + 1, set, back, settled, job)?;
        Ok(Edits { id: id.clone(), before: now, after, product: Some(event), listings: Vec::new() })
    }

    /// Decides a deletion.
    pub(super) fn delete(&self, id: &ProductId, expected: Option<u64>, job: Option<JobLine>) -> Result<Edits, Stop> {
        let product = self.product(id)?.ok_or_else(|| Refusal::UnknownProduct { id: id.clone() })?;
        revision(expected, product.revision)?;
        product.variants.iter().try_for_each(|variant| self.rules.is_out_of_use(&variant.sku))?;
        let edit = ProductEdit { present: Some(false), ..ProductEdit::default() };
        let back = ProductEdit { present: Some(true), ..ProductEdit::default() };
        // What was disputed of it is settled with it.
        let settled = match product.conflicts {
            0 => Vec::new(),
            _ => conflicts(&rows_of_sites::<Sibling>(self.rules.view, id)?),
        };
        let event = self.edited(id, product.revision + 1, edit, back, settled, job)?;
        let (id, before, after) = (id.clone(), Some(product), None);
        Ok(Edits { id, before, after, product: Some(event), listings: Vec::new() })
    }

    /// Decides an edit of what a product says in a market.
    fn listing(
        &self,
        edits: &Edits,
        product: &Product,
        wanted: WantedThere<'_>,
        job: Option<JobLine>,
    ) -> Result<Option<(ListingEdited, Listing)>, Stop> {
        let WantedThere { market, edit: wanted, expected } = wanted;
        let (id, view) = (&edits.id, self.rules.view);
        let siblings = rows_of_sites::<ListingSibling>(view, (id, market))?;
        let on_desk = self.listings.get(&(id.clone(), market.clone()));
        let now = match on_desk {
            Some(listing) => Some(listing.clone()),
            None => derived::<Listing>(view, (id, market))?,
        };
        let before = siblings.iter().map(|(_, sibling)| sibling.revision).sum::<u64>();
        let before = on_desk.map_or(before, |listing| listing.revision);
        revision(expected, before)?;
        // A price can be taken away from a variant that is gone.
        let mut priced = wanted.prices.iter().filter(|(_, prices)| prices.values().any(Option::is_some));
        if let Some((sku, _)) = priced.find(|(sku, _)| product.variant(sku).is_none()) {
            return Err(Refusal::UnknownSku { sku: sku.clone() }.into());
        }
        if now.is_none() {
            let more = self.listings.keys().filter(|(of, _)| of == id).count() + edits.listings.len() + 1;
            limit("markets", self.rules.markets(id)? + more as u64, MARKETS_MAX as u64)?;
        }
        // What is made anew has nothing of its own anywhere.
        let is_new = edits.product.as_ref().is_some_and(|edited| edited.edit.present == Some(true));
        let now = now.filter(|_| !is_new).unwrap_or_default();
        let open = match now.conflicts {
            0 => Vec::new(),
            _ => listing_conflicts(&rows_of_sites::<Sibling>(view, id)?, &siblings),
        };
        let (edit, back) = wanted.against(&now, |field| open.iter().any(|conflict| conflict.field == *field));
        if edit.is_empty() {
            return Ok(None);
        }
        let after = Listing::edited(Some(&now), &edit, before + 1, self.rules.context.now);
        limit("attributes", after.attributes.len() as u64, ATTRIBUTES_MAX as u64)?;
        limit("prices", after.price_count() as u64, LISTING_PRICES_MAX as u64)?;
        let fields = edit.values().into_iter().map(|(field, _)| field).collect();
        let settled = settled(open, &fields, &ProductEdit::default());
        let seen = siblings.into_iter().map(|(site, sibling)| (site, sibling.stamp));
        let seen = SeenStamps::new(seen.filter(|(site, _)| site != self.rules.context.site));
        let earlier = u64::from(edits.product.is_some()) + edits.listings.len() as u64;
        let (id, market, stamp) = (id.clone(), market.clone(), Stamp(self.stamp.0.saturating_add(earlier)));
        let edited = ListingEdited { id, market, stamp, seen, revision: before + 1, edit, before: back, settled, job };
        Ok(Some((edited, after)))
    }

    /// Puts edits on the desk: what is decided from now on sees them.
    pub(super) fn keep(&mut self, edits: Edits) -> Vec<Event> {
        let id = &edits.id;
        for variant in edits.before.iter().flat_map(|product| &product.variants) {
            self.skus.insert(variant.sku.clone(), None);
            if let Some(gtin) = &variant.gtin {
                self.gtins.insert(gtin.key(), None);
            }
        }
        for variant in edits.after.iter().flat_map(|product| &product.variants) {
            self.skus.insert(variant.sku.clone(), Some(id.clone()));
            if let Some(gtin) = &variant.gtin {
                self.gtins.insert(gtin.key(), Some((id.clone(), variant.sku.clone())));
            }
        }
        for (edited, after) in &edits.listings {
            self.listings.insert((id.clone(), edited.market.clone()), after.clone());
        }
        self.products.insert(id.clone(), edits.after.clone());
        let events = edits.into_events();
        self.stamp = Stamp(self.stamp.0.saturating_add(events.len() as u64));
        events
    }

    /// The product that sells a SKU.
    pub(super) fn owner(&self, sku: &Sku) -> Result<Option<ProductId>, Stop> {
        match self.skus.get(sku) {
            Some(owner) => Ok(owner.clone()),
            None => Ok(derived::<Item>(self.rules.view, sku)?.map(|item| item.product)),
        }
    }

    /// A product, as the lines before have left it.
    pub(super) fn product(&self, id: &ProductId) -> Result<Option<Product>, Stop> {
        match self.products.get(id) {
            Some(product) => Ok(product.clone()),
            None => Ok(derived(self.rules.view, id)?),
        }
    }

    /// What makes a product of an edit.
    fn making(&self, edit: &ProductEdit) -> Result<(ProductEdit, ProductEdit), Stop> {
        let Some(title) = &edit.title else { return Err(Refusal::TitleMissing.into()) };
        if edit.variants.iter().all(|variant| variant.present == Some(false)) {
            return Err(Refusal::Nothing { what: "variants" }.into());
        }
        let (mut set, _) = edit.against(&Product::blank(title.clone()), |_| false);
        set.present = Some(true);
        set.title = Some(title.clone());
        Ok((set, ProductEdit { present: Some(false), ..ProductEdit::default() }))
    }

    /// Refuses an edit of a variant that is not there, or whose names are another's.
    fn variant(&self, id: &ProductId, product: Option<&Product>, edit: &VariantEdit, must: Must) -> Result<(), Stop> {
        let sku = || edit.sku.clone();
        let is_there = product.is_some_and(|product| product.variant(&edit.sku).is_some());
        match (is_there, must) {
            (true, Must::Create) => {
                return Err(Refusal::AlreadyExists { what: "sku", name: edit.sku.to_string() }.into());
            }
            (false, Must::Exist) => return Err(Refusal::UnknownSku { sku: sku() }.into()),
            (true, _) if edit.present == Some(false) => self.rules.is_out_of_use(&edit.sku)?,
            (true, _) => {}
            (false, _) if self.owner(&edit.sku)?.is_some_and(|owner| owner != *id) => {
                return Err(Refusal::AlreadyExists { what: "sku", name: edit.sku.to_string() }.into());
            }
            (false, _) => {}
        }
        Ok(())
    }

    /// Refuses a GTIN that two variants would have, of this product or of any.
    fn gtins(&self, id: &ProductId, after: &Product, set: &ProductEdit) -> Result<(), Stop> {
        for edit in &set.variants {
            let Some(Some(gtin)) = &edit.gtin else { continue };
            let mut others = after.variants.iter().filter(|variant| variant.sku != edit.sku);
            let is_twice = others.any(|variant| variant.gtin.as_ref().is_some_and(|has| has.key() == gtin.key()));
            if is_twice || self.is_gtin_elsewhere(gtin, id)? {
                return Err(Refusal::AlreadyExists { what: "gtin", name: gtin.to_string() }.into());
            }
        }
        Ok(())
    }

    /// Whether a variant of another product has this GTIN.
    fn is_gtin_elsewhere(&self, gtin: &Gtin, id: &ProductId) -> Result<bool, Stop> {
        if let Some(holder) = self.gtins.get(&gtin.key()) {
            return Ok(holder.as_ref().is_some_and(|(product, _)| product != id));
        }
        let prefix = GtinUse::prefix(gtin);
        let end = prefix.end();
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        let mut found = false;
        self.rules.view.scan(Table::GTINS, range, &mut |key, _| {
            let holder = GtinUse::parts(&key[prefix.as_bytes().len()..]);
            found = holder.is_some_and(|(product, _)| product != *id);
            !found
        })?;
        Ok(found)
    }

    fn edited(
        &self,
        id: &ProductId,
        revision: u64,
        edit: ProductEdit,
        before: ProductEdit,
        settled: Vec<Conflict>,
        job: Option<JobLine>,
    ) -> Result<ProductEdited, Stop> {
        let (id, stamp, seen) = (id.clone(), self.stamp, self.seen(id)?);
        Ok(ProductEdited { id, stamp, seen, revision, edit, before, settled, job })
    }

    /// What this site has folded of other sites' edits of a product.
    fn seen(&self, id: &ProductId) -> Result<SeenStamps, Stop> {
        let here = self.rules.context.site;
        if self.rules.view.sites().iter().all(|site| site == here) {
            return Ok(SeenStamps::default());
        }
        let siblings = rows_of_sites::<Sibling>(self.rules.view, id)?.into_iter();
        let seen = siblings.filter(|(site, _)| site != here).map(|(site, sibling)| (site, sibling.stamp));
        Ok(SeenStamps::new(seen))
    }
}

impl Edits {
    /// The stamp of the first of them; the others follow one by one.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let listings = self.listings.iter().map(|(edited, _)| edited.stamp);
        self.product.as_ref().map(|edited| edited.stamp).into_iter().chain(listings).next()
    }

    /// The bytes that they take in an entry.
    pub(super) fn bytes(&self) -> usize {
        let listings = self.listings.iter().map(|(edited, _)| size(edited));
        self.product.iter().map(size).chain(listings).map(|bytes| bytes + EVENT_HEAD_BYTES).sum()
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        let product = self.product.map(|edited| Event::ProductEdited(Arc::new(edited)));
        let listings = self.listings.into_iter().map(|(edited, _)| Event::ListingEdited(Arc::new(edited)));
        product.into_iter().chain(listings).collect()
    }
}

/// Before each event stands its kind.
const EVENT_HEAD_BYTES: usize = 1;

/// Refuses what no product could make sense of.
fn sensible(edit: &ProductEdit) -> Result<(), Stop> {
    let mut named = BTreeSet::new();
    for variant in &edit.variants {
        if let Some(selling) = variant.selling {
            limit("backorder_limit", selling.backorder_limit.unwrap_or_default(), QUANTITY_MAX)?;
        }
        if !named.insert(&variant.sku) {
            return Err(Refusal::AlreadyExists { what: "sku", name: variant.sku.to_string() }.into());
        }
    }
    let mut known = BTreeSet::new();
    if let Some(twice) = edit.options.iter().flatten().find(|name| !known.insert(*name)) {
        return Err(Refusal::AlreadyExists { what: "option", name: twice.to_string() }.into());
    }
    Ok(())
}

/// Refuses a product that is larger than is kept, in anything that the edit sets.
fn fits(after: &Product, set: &ProductEdit) -> Result<(), Stop> {
    fn at_most(what: &'static str, is_set: bool, given: usize, max: usize) -> Result<(), Stop> {
        if is_set { limit(what, given as u64, max as u64) } else { Ok(()) }
    }
    at_most("categories", set.categories.is_some(), after.categories.len(), CATEGORIES_MAX)?;
    at_most("options", set.options.is_some(), after.options.len(), OPTIONS_MAX)?;
    at_most("attributes", !set.attributes.is_empty(), after.attributes.len(), ATTRIBUTES_MAX)?;
    at_most("media", set.media.is_some(), after.media.len(), MEDIA_MAX)?;
    at_most("translations", !set.translations.is_empty(), after.translations.len(), TRANSLATIONS_MAX)?;
    let adds = set.variants.iter().any(|variant| variant.present == Some(true));
    at_most("variants", adds, after.variants.len(), VARIANTS_MAX)?;
    for edit in &set.variants {
        let Some(variant) = after.variant(&edit.sku) else { continue };
        at_most("attributes", !edit.attributes.is_empty(), variant.attributes.len(), VARIANT_ATTRIBUTES_MAX)?;
        at_most("prices", !edit.prices.is_empty(), variant.prices.len(), PRICES_MAX)?;
    }
    let chosen = after.variants.iter().filter(|variant| {
        set.options.is_some() || set.variants.iter().any(|edit| edit.sku == variant.sku && edit.options.is_some())
    });
    for variant in chosen {
        if let Some(option) = variant.options.keys().find(|option| !after.options.contains(option)) {
            return Err(Refusal::UnknownOption { sku: variant.sku.clone(), option: option.clone() }.into());
        }
    }
    limit("product bytes", size(after) as u64, PRODUCT_BYTES_MAX as u64)
}

/// The conflicts that an edit of these fields settles, and those about variants that it removes.
fn settled(mut open: Vec<Conflict>, fields: &BTreeSet<Field>, edit: &ProductEdit) -> Vec<Conflict> {
    let removed = |of: &Sku| edit.variants.iter().any(|it| it.sku == *of && it.present == Some(false));
    open.retain(|Conflict { field, .. }| {
        fields.contains(field) || matches!(field, Field::Variant(sku, _) if removed(sku))
    });
    open
}
