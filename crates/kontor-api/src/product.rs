//! Products and their variants, as they are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::attribute::{AttributeValue, or_null};
use crate::listing::Listing;
use crate::price::Price;
use crate::time::Time;

/// Products of one batch.
pub const BATCH_MAX: usize = 200;

/// When stock is promised, and whether a sale is refused without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Stock is not counted: no sale is refused for want of units.
    None,
    /// Everything is booked and nothing is refused; levels may fall below zero.
    TrackOnly,
    /// Units are promised when an order is placed; an explicit reservation also holds.
    #[default]
    ReserveOnOrder,
    /// Units are held as soon as they are put into a cart.
    ReserveOnCart,
    /// `none` until stock is first received or counted, which makes it `reserve_on_order`.
    NoneUntilReceived,
}

/// Whether a product can be sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not for sale yet; callers without a key do not see it.
    Draft,
    /// For sale.
    #[default]
    Active,
    /// No longer for sale; its stock and history stay.
    Archived,
}

/// What a medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    #[default]
    Image,
    /// A film.
    Video,
    /// Something to read.
    Document,
}

/// A picture, a film or a document about a product. Only its address is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Where it lies: an `http` or `https` address.
    #[schema(min_length = 1, max_length = 2048, example = "https://example.com/desk.jpg")]
    pub url: String,
    /// What it shows, for those who cannot see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub alt: Option<String>,
    /// What it is; an image if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub kind: Option<MediaKind>,
}

/// What shoppers read in a language. The two are one field: setting one of them clears the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Translation {
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub title: Option<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 8192, pattern = r"^\S([\s\S]*\S)?$")]
    pub description: Option<String>,
}

/// How a translation is set: to texts, or to `null`, which takes it away. For the API's document alone.
pub struct TranslationOrNull;

impl PartialSchema for TranslationOrNull {
    fn schema() -> RefOr<Schema> {
        or_null::<Translation>("What is set; `null` takes it away")
    }
}

impl ToSchema for TranslationOrNull {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Translation::name().into(), Translation::schema()));
    }
}

/// A sellable family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Product {
    /// Given by the client, or equal to its first SKU.
    #[schema(example = "P1001")]
    pub id: String,
    /// The first variant's SKU.
    #[schema(example = "P1001")]
    pub sku: String,
    /// What shoppers read.
    #[schema(example = "Walnut desk")]
    pub title: String,
    /// What they read when they want to know more. Lines may be broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub brand: Option<String>,
    /// Whether it can be sold.
    pub status: Status,
    /// Where shoppers look for it, in alphabetical order.
    pub categories: Vec<String>,
    /// What shoppers choose between variants by, in the order in which they are asked.
    pub options: Vec<String>,
    /// What is true of all its variants.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Pictures and documents, the most important first.
    pub media: Vec<Media>,
    /// What shoppers read in other languages, by BCP 47 tag.
    pub translations: BTreeMap<String, Translation>,
    /// How edits at two sites at once are decided, if not by the latest: `authority:<site>`. Not shown
    /// to callers without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merge: Option<String>,
    /// What is sold, the first added first.
    pub variants: Vec<Variant>,
    /// The market whose titles, attributes and prices are laid over the product's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub market: Option<String>,
    /// What it says of its own in its markets. In an export only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub markets: Vec<Listing>,
    /// Fields on whose value concurrent edits differ. Not shown to callers without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conflicts: Option<u32>,
    /// Counts the edits, from 1; the entity tag is this number in quotes.
    pub revision: u64,
    /// When it was made.
    pub created_at: Time,
    /// When it was last edited.
    pub updated_at: Time,
}

/// A sellable unit of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Variant {
    /// The seller's key of it.
    pub sku: String,
    /// What GS1 knows it by, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "4006381333931")]
    pub gtin: Option<String>,
    /// What tells it from the other variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// Its value for options of the product.
    pub options: BTreeMap<String, String>,
    /// What is true of it alone.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// When its stock is promised.
    pub policy: Policy,
    /// Units that each location may promise beyond its stock.
    pub backorder_limit: u64,
    /// What it costs in every market that has no price of its own.
    pub prices: Vec<Price>,
}

/// Which products to read: by id or by SKU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ids": ["P1001", "P1002"]}))]
pub struct BatchGet {
    /// Ids of products.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 200, nullable = false)]
    pub ids: Option<Vec<String>>,
    /// SKUs of their variants.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 200, nullable = false)]
    pub skus: Option<Vec<String>>,
    /// The market whose titles, attributes and prices are laid over.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 32, nullable = false)]
    pub market: Option<String>,
}

/// Products of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Batch {
    /// Those that are there, in the order in which they were asked for; each once.
    pub items: Vec<Product>,
    /// Ids or SKUs of those that are not.
    pub missing: Vec<String>,
}
