//! A listing is what a product says of its own in one market: another title, other prices. What it
//! leaves out is as the product has it. Nothing of a market is read or written unless it is named.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attribute::AttributeValue;
use super::edit::{each, maybe, take, take_each};
use super::field::{Field, Value, VariantField};
use super::price::{PriceKey, PriceTerms, Prices};
use super::text::{Description, MarketId, Name};
use crate::id::{ProductId, Sku};
use crate::record::{Derived, Key, Primary, Table};
use crate::text::Title;
use crate::time::{SiteTime, Stamp, Stamped};

/// What a product says of its own in a market, as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listing {
    /// Its title there.
    pub title: Option<Title>,
    /// Its description there.
    pub description: Option<Description>,
    /// Attributes that are others there.
    pub attributes: BTreeMap<Name, AttributeValue>,
    /// Prices there, by variant: while one is in force, it takes the place of the variant's in its currency.
    pub prices: BTreeMap<Sku, Prices>,
    /// Fields on whose value concurrent edits differ.
    pub conflicts: u32,
    /// The number of edits by all sites that are merged here.
    pub revision: u64,
    /// Of the last edit.
    pub updated_at: SiteTime,
}

/// What is set of a listing. `Some(None)` takes away what the market says of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListingEdit {
    /// The title there.
    pub title: Option<Option<Title>>,
    /// The description there.
    pub description: Option<Option<Description>>,
    /// Attributes by name.
    pub attributes: BTreeMap<Name, Option<AttributeValue>>,
    /// Prices by variant, currency and beginning.
    pub prices: BTreeMap<Sku, BTreeMap<PriceKey, Option<PriceTerms>>>,
}

/// What one site has set of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListingSibling {
    /// See [`Listing::title`].
    pub title: Option<Stamped<Option<Title>>>,
    /// See [`Listing::description`].
    pub description: Option<Stamped<Option<Description>>>,
    /// See [`Listing::attributes`].
    pub attributes: BTreeMap<Name, Stamped<Option<AttributeValue>>>,
    /// See [`Listing::prices`]; one field per currency and beginning.
    pub prices: BTreeMap<Sku, BTreeMap<PriceKey, Stamped<Option<PriceTerms>>>>,
    /// Of the last edit of this site.
    pub stamp: Stamp,
    /// Edits made by this site.
    pub revision: u64,
    /// Of the last of them.
    pub updated_at: SiteTime,
}

impl Listing {
    /// Whether it says anything of its own.
    pub fn is_empty(&self) -> bool {
        self.title.is_none() && self.description.is_none() && self.attributes.is_empty() && self.prices.is_empty()
    }

    /// The number of its prices.
    pub fn price_count(&self) -> usize {
        self.prices.values().map(BTreeMap::len).sum()
    }

    /// What it becomes by an edit whose writer has seen all others.
    pub fn edited(now: Option<&Self>, edit: &ListingEdit, revision: u64, at: SiteTime) -> Self {
        let mut listing = now.cloned().unwrap_or_default();
        listing.revision = revision;
        listing.updated_at = listing.updated_at.max(at);
        take(&edit.title, &mut listing.title);
        take(&edit.description, &mut listing.description);
        take_each(&edit.attributes, &mut listing.attributes);
        for (sku, prices) in &edit.prices {
            take_each(prices, listing.prices.entry(sku.clone()).or_default());
        }
        listing.prices.retain(|_, prices| !prices.is_empty());
        listing
    }
}

impl ListingEdit {
    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of this edit changes a listing, and the edit that puts it back.
    pub(crate) fn against(&self, now: &Listing, is_open: impl Fn(&Field) -> bool) -> (Self, Self) {
        let (mut set, mut back) = (Self::default(), Self::default());
        maybe(&self.title, now.title.as_ref(), is_open(&Field::Title), (&mut set.title, &mut back.title));
        let places = (&mut set.description, &mut back.description);
        maybe(&self.description, now.description.as_ref(), is_open(&Field::Description), places);
        let open = |name: &Name| is_open(&Field::Attribute(name.clone()));
        each(&self.attributes, &now.attributes, open, (&mut set.attributes, &mut back.attributes));
        for (sku, prices) in &self.prices {
            let open = |key: &PriceKey| is_open(&Field::Variant(sku.clone(), VariantField::Price(*key)));
            let (mut some, mut before) = (BTreeMap::new(), BTreeMap::new());
            let now = now.prices.get(sku);
            each(prices, now.unwrap_or(&Prices::new()), open, (&mut some, &mut before));
            if !some.is_empty() {
                set.prices.insert(sku.clone(), some);
                back.prices.insert(sku.clone(), before);
            }
        }
        (set, back)
    }

    /// Keeps the fields that are wanted, and forgets the others.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Field) -> bool) {
        self.title.take_if(|_| !keep(&Field::Title));
        self.description.take_if(|_| !keep(&Field::Description));
        self.attributes.retain(|name, _| keep(&Field::Attribute(name.clone())));
        for (sku, prices) in &mut self.prices {
            prices.retain(|key, _| keep(&Field::Variant(sku.clone(), VariantField::Price(*key))));
        }
        self.prices.retain(|_, prices| !prices.is_empty());
    }

    /// The fields that it sets, with their values.
    pub fn values(&self) -> Vec<(Field, Value)> {
        let mut values = Vec::new();
        values.extend(self.title.as_ref().map(|title| (Field::Title, Value::maybe(title.as_ref(), Value::shown))));
        let description = self.description.as_ref();
        values.extend(description.map(|text| (Field::Description, Value::maybe(text.as_ref(), Value::shown))));
        values.extend(
            self.attributes
                .iter()
                .map(|(name, value)| (Field::Attribute(name.clone()), Value::maybe(value.as_ref(), Value::attribute))),
        );
        for (sku, prices) in &self.prices {
            values.extend(prices.iter().map(|(key, terms)| {
                let shown = Value::maybe(terms.as_ref(), |terms| Value::price(*key, terms));
                (Field::Variant(sku.clone(), VariantField::Price(*key)), shown)
            }));
        }
        values
    }
}

impl Primary for ListingSibling {
    const TABLE: Table = Table::LISTINGS;
    type Key<'k> = (&'k ProductId, &'k MarketId);
    fn key((product, market): (&ProductId, &MarketId)) -> Key {
        Key::new().text(product.as_str()).text(market.as_str())
    }
}

impl Derived for Listing {
    const TABLE: Table = Table::MARKET_LISTINGS;
    type Key<'k> = (&'k ProductId, &'k MarketId);
    fn key((product, market): (&ProductId, &MarketId)) -> Key {
        Self::prefix(product).text(market.as_str())
    }
}

impl Listing {
    /// What the keys of all listings of a product begin with.
    pub fn prefix(product: &ProductId) -> Key {
        Key::new().text(product.as_str())
    }
}
