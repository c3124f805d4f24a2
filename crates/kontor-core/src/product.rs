//! A product is a sellable family of variants; a variant is what is sold, counted and held, and is
//! named by its SKU.
//!
//! Each site writes only its own [`Sibling`] of a product: the fields that it set, each with the
//! stamp of the edit. The [`Product`] that everybody sees is the merge of the siblings, field by
//! field: the greatest (stamp, site) wins. An edit made with knowledge of another has the greater
//! stamp, so only edits that did not know of each other can be decided by the clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{ProductId, SiteId, Sku};
use crate::record::{Derived, Key, Primary, Table};
use crate::text::Title;
use crate::time::{SiteTime, Stamp, Stamped};

/// Whether a product can be sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// For sale.
    Active,
    /// No longer for sale; its stock and history stay.
    Archived,
}

/// When stock is promised, and whether a sale is refused without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Stock is not counted: a sale changes no row and is never refused for want of units.
    None,
    /// Everything is booked and nothing is refused; levels may fall below zero.
    TrackOnly,
    /// Units are promised when an order is placed; an explicit reservation also holds.
    ReserveOnOrder,
    /// Units are held as soon as they are put into a cart.
    ReserveOnCart,
}

impl Policy {
    /// Whether a sale is refused for want of units.
    pub fn refuses(self) -> bool {
        matches!(self, Self::ReserveOnOrder | Self::ReserveOnCart)
    }
}

/// The policy of a variant, and how far it may be sold beyond what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selling {
    /// When stock is promised.
    pub policy: Policy,
    /// Units that each location may promise beyond its stock; meaningful where sales can be refused.
    pub backorder_limit: u64,
}

/// What one site has set of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiblingVariant {
    /// Set when this site has named the variant.
    pub title: Option<Stamped<Option<Title>>>,
    /// Set when this site has chosen how it is sold. One field: the limit has no meaning alone.
    pub selling: Option<Stamped<Selling>>,
}

/// What one site has set of a product.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sibling {
    /// The title, if this site set it.
    pub title: Option<Stamped<Title>>,
    /// The status, if this site set it.
    pub status: Option<Stamped<Status>>,
    /// Variants that this site has added or edited, by SKU, with the stamp of the addition.
    pub variants: BTreeMap<Sku, Stamped<SiblingVariant>>,
    /// Edits made by this site.
    pub revision: u64,
    /// Of the first of them.
    pub created_at: SiteTime,
    /// Of the last of them.
    pub updated_at: SiteTime,
}

impl Primary for Sibling {
    const TABLE: Table = Table::PRODUCTS;
    type Key<'k> = &'k ProductId;
    fn key(id: &ProductId) -> Key {
        Key::new().text(id.as_str())
    }
}

/// A product as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// What shoppers read.
    pub title: Title,
    /// Whether it can be sold.
    pub status: Status,
    /// What is sold, the first added first.
    pub variants: Vec<Variant>,
    /// The number of edits by all sites that are merged here; grows with each.
    pub revision: u64,
    /// Of the first edit.
    pub created_at: SiteTime,
    /// Of the last edit.
    pub updated_at: SiteTime,
}

/// A sellable unit of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The seller's key of it.
    pub sku: Sku,
    /// What tells it from the other variants.
    pub title: Option<Title>,
    /// How it is sold.
    pub selling: Selling,
}

impl Derived for Product {
    const TABLE: Table = Table::CATALOG;
    type Key<'k> = &'k ProductId;
    fn key(id: &ProductId) -> Key {
        Key::new().text(id.as_str())
    }
}

/// What a sale must know of a SKU, in one read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The product it belongs to.
    pub product: ProductId,
    /// Whether that product can be sold.
    pub status: Status,
    /// How the variant is sold.
    pub selling: Selling,
}

impl Derived for Item {
    const TABLE: Table = Table::ITEMS;
    type Key<'k> = &'k Sku;
    fn key(sku: &Sku) -> Key {
        Key::new().text(sku.as_str())
    }
}

/// A site's statement that a product uses a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim;

impl Primary for Claim {
    const TABLE: Table = Table::CLAIMS;
    type Key<'k> = (&'k Sku, &'k ProductId);
    fn key((sku, product): (&Sku, &ProductId)) -> Key {
        Key::new().text(sku.as_str()).text(product.as_str())
    }
}

impl Default for Selling {
    fn default() -> Self {
        Self { policy: Policy::ReserveOnOrder, backorder_limit: 0 }
    }
}

/// The product that its siblings add up to; `None` while nobody has given it a title.
pub fn merge(siblings: &[(SiteId, Sibling)]) -> Option<Product> {
    let title = latest(siblings, |sibling| sibling.title.as_ref())?;
    let status = latest(siblings, |sibling| sibling.status.as_ref()).unwrap_or(Status::Active);

    let mut added: BTreeMap<&Sku, Stamp> = BTreeMap::new();
    for (sku, variant) in siblings.iter().flat_map(|(_, sibling)| &sibling.variants) {
        let first = added.entry(sku).or_insert(variant.stamp);
        *first = variant.stamp.min(*first);
    }
    let mut order: Vec<(Stamp, &Sku)> = added.into_iter().map(|(sku, stamp)| (stamp, sku)).collect();
    order.sort();
    let variants = order.into_iter().map(|(_, sku)| {
        let of = |sibling| Sibling::variant(sibling, sku);
        Variant {
            sku: sku.clone(),
            title: latest(siblings, |sibling| of(sibling)?.title.as_ref()).flatten(),
            selling: latest(siblings, |sibling| of(sibling)?.selling.as_ref()).unwrap_or_default(),
        }
    });
    Some(Product {
        title,
        status,
        variants: variants.collect(),
        revision: siblings.iter().map(|(_, sibling)| sibling.revision).sum(),
        created_at: siblings.iter().map(|(_, sibling)| sibling.created_at).min()?,
        updated_at: siblings.iter().map(|(_, sibling)| sibling.updated_at).max()?,
    })
}

/// The value with the greatest (stamp, site).
fn latest<'s, T: Clone + 's>(
    siblings: &'s [(SiteId, Sibling)],
    field: impl Fn(&'s Sibling) -> Option<&'s Stamped<T>>,
) -> Option<T> {
    let set = siblings.iter().filter_map(|(site, sibling)| Some((site, field(sibling)?)));
    set.max_by_key(|(site, field)| (field.stamp, *site)).map(|(_, field)| field.value.clone())
}

impl Sibling {
    fn variant(&self, sku: &Sku) -> Option<&SiblingVariant> {
        self.variants.get(sku).map(|variant| &variant.value)
    }
}
