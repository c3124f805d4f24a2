//! The index: rows without values, whose keys are ways to find products, in the order in which products
//! are shown.
//!
//! | way | key |
//! | --- | --- |
//! | all | 1 · title ∅ product |
//! | word | 2 · word ∅ title ∅ product |
//! | category | 3 · category ∅ title ∅ product |
//! | brand | 4 · brand ∅ title ∅ product |
//! | attribute | 5 · name ∅ value ∅ title ∅ product |
//! | status | 6 · status ∅ title ∅ product |
//! | price | 7 · market ∅ currency³ amount⁸ sku ∅ product; no market: the product's own |
//! | word in a market | 8 · market ∅ word ∅ title there ∅ product |
//! | attribute in a market | 9 · market ∅ name ∅ value ∅ title there ∅ product |
//! | conflict | 10 · product ∅ market; no market: the product's own |
//!
//! Texts are in small letters without accents, and cut; numbers are big-endian. The keys of a product are
//! a pure function of its merged row ([`keys`]), those of a listing of its own ([`listing_keys`]); when a
//! row changes, keys that went are deleted and new ones put.

pub mod words;

use std::collections::BTreeSet;

use crate::id::{ProductId, Sku};
use crate::limits::INDEX_ATTRIBUTES_MAX;
use crate::money::Currency;
use crate::product::attribute::AttributeValue;
use crate::product::listing::Listing;
use crate::product::price::Prices;
use crate::product::text::{MarketId, Name};
use crate::product::{Product, Status, Variant};
use crate::record::{Key, KeyParts};

/// A way to find products: those rows of the index that one part of a query names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Every product, by title.
    All,
    /// Products with a word that begins so; by word, then by title.
    Word(String),
    /// Products whose title in a market has a word that begins so.
    WordIn(MarketId, String),
    /// Products of a category, by title.
    Category(String),
    /// Products of a brand, by title.
    Brand(String),
    /// Products of which this is true, or of a variant of which it is; by title.
    Attribute {
        /// Its name.
        name: String,
        /// Its value, or one of its values.
        value: String,
    },
    /// Products of which this is true in a market, where others or none are true elsewhere.
    AttributeIn {
        /// Where.
        market: MarketId,
        /// Its name.
        name: String,
        /// Its value, or one of its values.
        value: String,
    },
    /// Products of a status, by title.
    Status(Status),
    /// Variants with a price within bounds, of a market or of the products themselves; by price.
    Price {
        /// Whose own prices; of the products, if of no market.
        market: Option<MarketId>,
        /// In which currency.
        currency: Currency,
        /// The least amount.
        min: u64,
        /// The greatest amount.
        max: u64,
    },
}

/// What the keys of products with conflicts begin with: no part of a query.
const CONFLICT: u8 = 10;

/// What a key of the index says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The product.
    pub product: ProductId,
    /// The word that was found.
    pub word: Option<String>,
    /// The price that was found, and the variant that has it.
    pub price: Option<(u64, Sku)>,
}

impl Way {
    fn kind(&self) -> u8 {
        match self {
            Self::All => 1,
            Self::Word(_) => 2,
            Self::Category(_) => 3,
            Self::Brand(_) => 4,
            Self::Attribute { .. } => 5,
            Self::Status(_) => 6,
            Self::Price { .. } => 7,
            Self::WordIn(..) => 8,
            Self::AttributeIn { .. } => 9,
        }
    }

    /// What the keys of this way begin with, and what follows is ordered by.
    pub fn prefix(&self) -> Key {
        let key = Key::new().fixed(&[self.kind()]);
        match self {
            Self::All | Self::Word(_) => key,
            Self::Category(name) | Self::Brand(name) => key.text(name),
            Self::Attribute { name, value } => key.text(name).text(value),
            Self::Status(status) => key.text(status.word()),
            Self::WordIn(market, _) => key.text(market.as_str()),
            Self::AttributeIn { market, name, value } => key.text(market.as_str()).text(name).text(value),
            Self::Price { market, currency, .. } => {
                key.text(market.as_ref().map_or("", MarketId::as_str)).fixed(&currency.code())
            }
        }
    }

    /// The keys of this way: from the first, and up to the second without it.
    pub fn range(&self) -> (Key, Key) {
        let prefix = self.prefix();
        match self {
            Self::Word(word) | Self::WordIn(_, word) => {
                let from = prefix.fixed(word.as_bytes());
                let end = from.end();
                (from, end)
            }
            Self::Price { min, max, .. } => {
                let end = match max.checked_add(1) {
                    Some(beyond) => prefix.clone().number(beyond),
                    None => prefix.end(),
                };
                (prefix.number(*min), end)
            }
            _ => {
                let end = prefix.end();
                (prefix, end)
            }
        }
    }

    /// Reads what follows the prefix of a key.
    pub fn found(&self, after_prefix: &[u8]) -> Option<Found> {
        let mut parts = KeyParts(after_prefix);
        let (mut word, mut price) = (None, None);
        match self {
            Self::Price { .. } => {
                let amount = parts.number()?;
                price = Some((amount, Sku::parse(parts.text()?).ok()?));
            }
            _ => {
                word = match self {
                    Self::Word(_) | Self::WordIn(..) => Some(parts.text()?.to_owned()),
                    _ => None,
                };
                parts.text()?;
            }
        }
        let product = ProductId::parse(parts.text()?).ok()?;
        Some(Found { product, word, price })
    }

    fn key(&self, title: &str, product: &ProductId) -> Vec<u8> {
        let key = match self {
            Self::Word(word) | Self::WordIn(_, word) => self.prefix().text(word),
            _ => self.prefix(),
        };
        key.text(title).text(product.as_str()).into_bytes()
    }
}

/// A category, a brand or a part of an attribute, as it stands in a key.
pub fn value(text: &str) -> String {
    let plain = words::plain(text);
    words::cut(&plain).to_owned()
}

/// The keys of a product, in order.
pub fn keys(id: &ProductId, product: &Product) -> Vec<Vec<u8>> {
    let title = words::title(&product.title);
    let mut ways = vec![Way::All, Way::Status(product.status)];
    ways.extend(words::of(product).into_iter().map(Way::Word));
    ways.extend(product.categories.iter().map(|name| Way::Category(value(name.as_str()))));
    ways.extend(product.brand.iter().map(|name| Way::Brand(value(name.as_str()))));
    ways.extend(attributes(product, None).into_iter().map(|(name, value)| Way::Attribute { name, value }));
    let mut keys: Vec<Vec<u8>> = ways.iter().map(|way| way.key(&title, id)).collect();
    for Variant { sku, prices, .. } in &product.variants {
        prices_of(&mut keys, None, sku, prices, id);
    }
    keys.extend((product.conflicts > 0).then(|| in_conflict(id, None)));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The key of a product that has conflicts, of its own or in a market.
fn in_conflict(id: &ProductId, market: Option<&MarketId>) -> Vec<u8> {
    let key = Key::new().fixed(&[CONFLICT]).text(id.as_str());
    key.text(market.map_or("", MarketId::as_str)).into_bytes()
}

/// The keys of the products that have conflicts, after a product: from the first, and up to the second without
/// it.
pub fn conflicts_after(after: Option<&ProductId>) -> (Key, Key) {
    let all = Key::new().fixed(&[CONFLICT]);
    let from = after.map_or_else(|| all.clone(), |id| all.clone().text(id.as_str()).end());
    (from, all.end())
}

/// The product of such a key.
pub fn product_in_conflict(key: &[u8]) -> Option<ProductId> {
    let rest = key.strip_prefix(&[CONFLICT])?;
    ProductId::parse(KeyParts(rest).text()?).ok()
}

/// The keys of what a product says in a market, in order.
pub fn listing_keys(id: &ProductId, market: &MarketId, listing: &Listing) -> Vec<Vec<u8>> {
    let title = listing.title.as_ref().map(words::title).unwrap_or_default();
    let words = words::there(listing).into_iter().map(|word| Way::WordIn(market.clone(), word));
    let attributes = found_by(listing.attributes.iter()).into_iter();
    let attributes = attributes.map(|(name, value)| Way::AttributeIn { market: market.clone(), name, value });
    let mut keys: Vec<Vec<u8>> = words.chain(attributes).map(|way| way.key(&title, id)).collect();
    for (sku, prices) in &listing.prices {
        prices_of(&mut keys, Some(market), sku, prices, id);
    }
    keys.extend((listing.conflicts > 0).then(|| in_conflict(id, Some(market))));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The attributes by which a product is found, in the form of keys: its own, with those of a market laid over
/// them, then those of its variants.
pub fn attributes(product: &Product, listing: Option<&Listing>) -> BTreeSet<(String, String)> {
    let there = |name: &Name| listing.and_then(|listing| listing.attributes.get_key_value(name));
    let own = product.attributes.iter().filter(|(name, _)| there(name).is_none());
    let of_market = listing.iter().flat_map(|listing| &listing.attributes);
    found_by(of_market.chain(own).chain(product.variants.iter().flat_map(|variant| &variant.attributes)))
}

fn found_by<'a>(all: impl Iterator<Item = (&'a Name, &'a AttributeValue)>) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (name, words) in all {
        for word in words.words() {
            if found.len() == INDEX_ATTRIBUTES_MAX {
                return found;
            }
            found.insert((value(name.as_str()), value(&word)));
        }
    }
    found
}

/// A price is found whenever it is in force: which one is, is asked when it is found.
fn prices_of(keys: &mut Vec<Vec<u8>>, market: Option<&MarketId>, sku: &Sku, prices: &Prices, id: &ProductId) {
    keys.extend(prices.iter().map(|(key, terms)| {
        let amount = u64::try_from(terms.amount).unwrap_or(0);
        let way = Way::Price { market: market.cloned(), currency: key.currency, min: amount, max: amount };
        way.prefix().number(amount).text(sku.as_str()).text(id.as_str()).into_bytes()
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;
    use crate::product::price::price;
    use crate::product::text::AttributeText;
    use crate::text::Title;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn eur(amount: i64) -> Prices {
        let currency = Currency::parse("EUR").unwrap();
        Prices::from([price(Money::new(amount, currency).unwrap(), None, None).unwrap()])
    }

    fn desk() -> (ProductId, Product) {
        let mut product = Product::blank(Title::parse("The walnut desk with a drawer").unwrap());
        product.brand = Some(name("Möbel"));
        product.categories = vec![name("Desks"), name("Office")];
        product.attributes = [
            (name("Material"), AttributeValue::Text(AttributeText::parse("Walnut").unwrap())),
            (name("Height"), AttributeValue::Integer(72)),
        ]
        .into();
        product.variants = vec![Variant { prices: eur(12_000), ..Variant::new(Sku::parse("W1").unwrap()) }];
        (ProductId::parse("desk").unwrap(), product)
    }

    /// As a person would write it down.
    fn shown(key: &[u8]) -> String {
        let (kind, rest) = key.split_first().unwrap();
        let text: String = rest.iter().map(|b| if *b == 0 { '·' } else { char::from(*b) }).collect();
        format!("{kind} {text}")
    }

    #[test]
    fn a_product_is_found_in_all_ways() {
        let (id, product) = desk();
        let keys = keys(&id, &product);
        let shown: Vec<String> = keys.iter().map(|key| shown(key)).collect();
        let title = "the walnut desk with a d";
        let mut expected = vec![format!("1 {title}·desk·")];
        for word in ["a", "desk", "drawer", "mobel", "the", "w1", "walnut", "with"] {
            expected.push(format!("2 {word}·{title}·desk·"));
        }
        for (kind, text) in [(3, "desks"), (3, "office"), (4, "mobel"), (5, "height·72"), (5, "material·walnut")] {
            expected.push(format!("{kind} {text}·{title}·desk·"));
        }
        expected.push(format!("6 active·{title}·desk·"));
        assert_eq!(shown[..shown.len() - 1], expected);
        assert!(shown.last().unwrap().starts_with("7 ·EUR"));

        let ways = [
            Way::All,
            Way::Word("wal".into()),
            Way::Word("desk".into()),
            Way::Category(value("OFFICE")),
            Way::Brand(value("mobel")),
            Way::Attribute { name: value("Height"), value: value("72") },
            Way::Status(Status::Active),
            Way::Price { market: None, currency: Currency::parse("EUR").unwrap(), min: 12_000, max: 12_000 },
        ];
        for way in ways {
            let (from, end) = way.range();
            let inside: Vec<&Vec<u8>> = keys
                .iter()
                .filter(|key| from.as_bytes() <= key.as_slice() && key.as_slice() < end.as_bytes())
                .collect();
            let [key] = inside.as_slice() else { panic!("{way:?}: {inside:?}") };
            let found = way.found(&key[way.prefix().as_bytes().len()..]).expect("a key can be read");
            assert_eq!(found.product, id, "{way:?}");
            assert_eq!(found.word.is_some(), matches!(way, Way::Word(_)));
            assert_eq!(found.price.is_some(), matches!(way, Way::Price { .. }));
        }
        let currency = Currency::parse("EUR").unwrap();
        let others = [
            Way::Word("desks".into()),
            Way::Category("desk".into()),
            Way::Status(Status::Archived),
            Way::Price { market: None, currency, min: 0, max: 11_999 },
            Way::Price { market: None, currency, min: 12_001, max: u64::MAX },
            Way::Price { market: MarketId::parse("gb").ok(), currency, min: 0, max: u64::MAX },
        ];
        for way in others {
            let (from, end) = way.range();
            assert!(
                !keys.iter().any(|key| from.as_bytes() <= key.as_slice() && key.as_slice() < end.as_bytes()),
                "{way:?}"
            );
        }
    }

    #[test]
    fn a_product_with_conflicts_is_found_once_for_each_place_where_it_has_them() {
        let (id, mut product) = desk();
        let (from, end) = conflicts_after(None);
        let found = |keys: Vec<Vec<u8>>| {
            let inside = keys.into_iter().filter(|key| from.as_bytes() <= &**key && &**key < end.as_bytes());
            inside.collect::<Vec<_>>()
        };
        assert!(found(keys(&id, &product)).is_empty());
        product.conflicts = 2;
        let gb = MarketId::parse("gb").unwrap();
        let listing = Listing { conflicts: 1, ..Listing::default() };
        let all = [found(keys(&id, &product)), found(listing_keys(&id, &gb, &listing))].concat();
        assert_eq!(all.len(), 2);
        let (beyond, _) = conflicts_after(Some(&id));
        for key in all {
            assert_eq!(product_in_conflict(&key), Some(id.clone()));
            assert!(key.as_slice() < beyond.as_bytes(), "all of a product are passed over together");
        }
    }

    #[test]
    fn what_a_market_says_of_its_own_is_found_there() {
        let (id, _) = desk();
        let gb = MarketId::parse("gb").unwrap();
        let listing = Listing {
            title: Title::parse("Walnut bureau").ok(),
            attributes: [(name("Height"), AttributeValue::Integer(71))].into(),
            prices: [(Sku::parse("W1").unwrap(), eur(9_900))].into(),
            ..Listing::default()
        };
        let keys = listing_keys(&id, &gb, &listing);
        let way = Way::Price { market: Some(gb), currency: Currency::parse("EUR").unwrap(), min: 9_900, max: 9_900 };
        let shown: Vec<String> = keys[1..].iter().map(|key| shown(key)).collect();
        let title = "walnut bureau·desk·";
        let expected =
            [format!("8 gb·bureau·{title}"), format!("8 gb·walnut·{title}"), format!("9 gb·height·71·{title}")];
        assert_eq!(shown, expected);
        let found = way.found(&keys[0][way.prefix().as_bytes().len()..]).expect("a key can be read");
        assert_eq!((1, found.price), (1, Some((9_900, Sku::parse("W1").unwrap()))));
    }
}
