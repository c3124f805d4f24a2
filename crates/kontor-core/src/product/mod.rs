//! A product is a sellable family of variants; a variant is what is sold, counted and held, and is
//! named by its SKU.
//!
//! Each site writes only its own [`Sibling`] of a product: the fields that it set, each with the
//! stamp of the edit and with what its writer had seen of other sites. The [`Product`] that everybody
//! sees is the merge of the siblings, field by field ([`merge`]). What a product says of its own in a
//! market is a [`listing`]; it is kept beside the product, so that a product costs the same in one
//! market and in three hundred.
//!
//! ```text
//! text · attribute · price · gtin     what a field may hold
//! edit                                a patch, what it changes, and what puts it back
//! parts                               parts of fields, as columns of a file name them
//! merge                               siblings into the one product, and their conflicts
//! listing                             the same for one market
//! revision                            what was edited, by whom
//! field                               the names of fields, for conflicts and revisions
//! ```

pub mod attribute;
pub mod edit;
pub mod field;
pub mod gtin;
pub mod listing;
pub mod merge;
pub mod parts;
pub mod price;
pub mod revision;
mod sibling;
pub mod text;

pub(crate) use sibling::Made;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use attribute::AttributeValue;
use gtin::Gtin;
use price::{PriceKey, PriceTerms, Prices};
use text::{Description, Language, Media, Name, Translation};

use crate::id::{ProductId, SiteId, Sku};
use crate::record::{Derived, Key, KeyParts, Primary, Table};
use crate::text::Title;
use crate::time::{SiteTime, Stamp, Stamped};

/// Whether a product can be sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Status {
    /// Not for sale yet: it is still being written.
    Draft,
    /// For sale.
    #[default]
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
    /// [`Policy::None`] until the first delivery or count of the variant, and [`Policy::ReserveOnOrder`] from
    /// then on: the entry that books the units sets it.
    NoneUntilReceived,
}

/// The policy of a variant, and how far it may be sold beyond what is there. One field: the limit has
/// no meaning alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selling {
    /// When stock is promised.
    pub policy: Policy,
    /// Units that each location may promise beyond its stock; meaningful where sales can be refused.
    pub backorder_limit: u64,
}

/// Which of several values wins that were set without knowledge of each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MergeRule {
    /// The one with the greatest stamp.
    #[default]
    Latest,
    /// The one of this site, if it set one; else the latest.
    Authority(SiteId),
}

/// A product as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// What shoppers read.
    pub title: Title,
    /// What they read when they want to know more.
    pub description: Option<Description>,
    /// Who makes it.
    pub brand: Option<Name>,
    /// Whether it can be sold.
    pub status: Status,
    /// Where shoppers look for it, in alphabetical order.
    pub categories: Vec<Name>,
    /// What shoppers choose between variants by, in the order in which they are asked.
    pub options: Vec<Name>,
    /// What is true of all its variants.
    pub attributes: BTreeMap<Name, AttributeValue>,
    /// Pictures and documents, the most important first.
    pub media: Vec<Media>,
    /// What shoppers read in other languages.
    pub translations: BTreeMap<Language, Translation>,
    /// How concurrent edits of it are decided.
    pub rule: MergeRule,
    /// What is sold, the first added first.
    pub variants: Vec<Variant>,
    /// Fields on whose value concurrent edits differ.
    pub conflicts: u32,
    /// The number of edits by all sites that are merged here; grows with each.
    pub revision: u64,
    /// Of the edit that made it.
    pub created_at: SiteTime,
    /// Of the last edit.
    pub updated_at: SiteTime,
}

/// A sellable unit of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The seller's key of it.
    pub sku: Sku,
    /// What GS1 knows it by.
    pub gtin: Option<Gtin>,
    /// What tells it from the other variants.
    pub title: Option<Title>,
    /// Its value for options of the product.
    pub options: BTreeMap<Name, Name>,
    /// What is true of it alone.
    pub attributes: BTreeMap<Name, AttributeValue>,
    /// How it is sold.
    pub selling: Selling,
    /// Its prices in every market that has none of its own.
    pub prices: Prices,
}

/// What one site has set of a product. What it set before it last made or deleted the product is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sibling {
    /// Whether there is such a product: set by those who made it or deleted it.
    pub present: Option<Stamped<bool>>,
    /// See [`Product::title`].
    pub title: Option<Stamped<Title>>,
    /// See [`Product::description`].
    pub description: Option<Stamped<Option<Description>>>,
    /// See [`Product::brand`].
    pub brand: Option<Stamped<Option<Name>>>,
    /// See [`Product::status`].
    pub status: Option<Stamped<Status>>,
    /// See [`Product::categories`]; one field, the whole set.
    pub categories: Option<Stamped<Vec<Name>>>,
    /// See [`Product::options`].
    pub options: Option<Stamped<Vec<Name>>>,
    /// See [`Product::attributes`]; one field each, `None` where one was taken away.
    pub attributes: BTreeMap<Name, Stamped<Option<AttributeValue>>>,
    /// See [`Product::media`].
    pub media: Option<Stamped<Vec<Media>>>,
    /// See [`Product::translations`]; one field per language.
    pub translations: BTreeMap<Language, Stamped<Option<Translation>>>,
    /// See [`Product::rule`].
    pub rule: Option<Stamped<MergeRule>>,
    /// Variants that this site has added, edited or removed.
    pub variants: BTreeMap<Sku, SiblingVariant>,
    /// Of the last edit of this site.
    pub stamp: Stamp,
    /// Edits made by this site.
    pub revision: u64,
    /// Of the first of them since it made the product.
    pub created_at: SiteTime,
    /// Of the last of them.
    pub updated_at: SiteTime,
}

/// What one site has set of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SiblingVariant {
    /// Whether there is such a variant: set by those who added it or removed it.
    pub present: Option<Stamped<Presence>>,
    /// See [`Variant::gtin`].
    pub gtin: Option<Stamped<Option<Gtin>>>,
    /// See [`Variant::title`].
    pub title: Option<Stamped<Option<Title>>>,
    /// See [`Variant::options`]; one field, since half a choice is none.
    pub options: Option<Stamped<BTreeMap<Name, Name>>>,
    /// See [`Variant::attributes`].
    pub attributes: BTreeMap<Name, Stamped<Option<AttributeValue>>>,
    /// See [`Variant::selling`].
    pub selling: Option<Stamped<Selling>>,
    /// See [`Variant::prices`]; one field per currency and beginning.
    pub prices: BTreeMap<PriceKey, Stamped<Option<PriceTerms>>>,
}

/// Whether a variant is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// It was added, as the n-th of its edit.
    Here(u16),
    /// It was removed.
    Gone,
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

/// A site's statement that a product uses a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim;

/// A GTIN that a variant has: where to look when a bar code is scanned, and before one is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GtinUse;

impl Product {
    /// One of its variants.
    pub fn variant(&self, sku: &Sku) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.sku == *sku)
    }
}

impl Variant {
    /// A new one of which nothing is known but its key.
    pub fn new(sku: Sku) -> Self {
        Self {
            sku,
            gtin: None,
            title: None,
            options: BTreeMap::new(),
            attributes: BTreeMap::new(),
            selling: Selling::default(),
            prices: Prices::new(),
        }
    }
}

impl Policy {
    /// Whether a sale takes units off the shelf.
    pub fn counts(self) -> bool {
        !matches!(self, Self::None | Self::NoneUntilReceived)
    }

    /// Whether a sale is refused for want of units.
    pub fn refuses(self) -> bool {
        matches!(self, Self::ReserveOnOrder | Self::ReserveOnCart)
    }

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TrackOnly => "track_only",
            Self::ReserveOnOrder => "reserve_on_order",
            Self::ReserveOnCart => "reserve_on_cart",
            Self::NoneUntilReceived => "none_until_received",
        }
    }
}

impl Status {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }
}

impl std::fmt::Display for MergeRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Authority(site) => write!(f, "authority:{site}"),
        }
    }
}

impl MergeRule {
    /// Reads `latest` or `authority:<site>`.
    pub fn parse(text: &str) -> Result<Self, crate::text::TextError> {
        match text.strip_prefix("authority:") {
            Some(site) => SiteId::parse(site).map(Self::Authority),
            None if text == "latest" => Ok(Self::Latest),
            None => Err(crate::text::TextError::Rule),
        }
    }
}

impl Default for Selling {
    fn default() -> Self {
        Self { policy: Policy::ReserveOnOrder, backorder_limit: 0 }
    }
}

impl Primary for Sibling {
    const TABLE: Table = Table::PRODUCTS;
    type Key<'k> = &'k ProductId;
    fn key(id: &ProductId) -> Key {
        Key::new().text(id.as_str())
    }
}

impl Derived for Product {
    const TABLE: Table = Table::CATALOG;
    type Key<'k> = &'k ProductId;
    fn key(id: &ProductId) -> Key {
        Key::new().text(id.as_str())
    }
}

impl Derived for Item {
    const TABLE: Table = Table::ITEMS;
    type Key<'k> = &'k Sku;
    fn key(sku: &Sku) -> Key {
        Key::new().text(sku.as_str())
    }
}

impl Primary for Claim {
    const TABLE: Table = Table::CLAIMS;
    type Key<'k> = (&'k Sku, &'k ProductId);
    fn key((sku, product): (&Sku, &ProductId)) -> Key {
        Key::new().text(sku.as_str()).text(product.as_str())
    }
}

impl Derived for GtinUse {
    const TABLE: Table = Table::GTINS;
    type Key<'k> = (&'k Gtin, &'k ProductId, &'k Sku);
    fn key((gtin, product, sku): (&Gtin, &ProductId, &Sku)) -> Key {
        Self::prefix(gtin).text(product.as_str()).text(sku.as_str())
    }
}

impl GtinUse {
    /// What the keys of all variants with a GTIN begin with.
    pub fn prefix(gtin: &Gtin) -> Key {
        Key::new().fixed(&gtin.key())
    }

    /// Reads what follows the prefix: the product and its variant.
    pub fn parts(after_prefix: &[u8]) -> Option<(ProductId, Sku)> {
        let mut parts = KeyParts(after_prefix);
        let product = ProductId::parse(parts.text()?).ok()?;
        Some((product, Sku::parse(parts.text()?).ok()?))
    }
}
