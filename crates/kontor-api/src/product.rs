//! Products and their variants.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

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
}

/// Whether a product can be sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not for sale yet.
    Draft,
    /// For sale.
    Active,
    /// No longer for sale; its stock and history stay.
    Archived,
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
    /// Whether it can be sold.
    pub status: Status,
    /// What is sold, the first added first.
    pub variants: Vec<Variant>,
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
    /// What tells it from the other variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// When its stock is promised.
    pub policy: Policy,
    /// Units that each location may promise beyond its stock.
    pub backorder_limit: u64,
}

/// Adds a product with its first variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001", "title": "Walnut desk"}))]
pub struct CreateProduct {
    /// Equal to the SKU if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub id: Option<String>,
    /// Of the first variant. Case-sensitive.
    #[schema(min_length = 1, max_length = 64)]
    pub sku: String,
    /// What shoppers read.
    #[schema(min_length = 1, max_length = 500)]
    pub title: String,
    /// When stock is promised; `reserve_on_order` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Units that each location may promise beyond its stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub backorder_limit: Option<u64>,
}

/// Changes fields of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Walnut desk, 160 cm"}))]
pub struct ChangeProduct {
    /// The new title.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    pub title: Option<String>,
}

/// Adds a variant to a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001-OAK", "title": "Oak"}))]
pub struct AddVariant {
    /// The new unit.
    #[schema(min_length = 1, max_length = 64)]
    pub sku: String,
    /// What tells it from the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub title: Option<String>,
    /// When stock is promised; `reserve_on_order` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Units that each location may promise beyond its stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub backorder_limit: Option<u64>,
}

/// Changes fields of a variant. Policy and limit are one choice: what is not given of the two is
/// taken from the variant as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"policy": "track_only"}))]
pub struct ChangeVariant {
    /// The new title.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    pub title: Option<String>,
    /// When stock is promised.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub policy: Option<Policy>,
    /// Units that each location may promise beyond its stock.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000, nullable = false)]
    pub backorder_limit: Option<u64>,
}

/// What an edit of a product has set. A repeated request gets the same answer, whatever was edited
/// since; read the product for what it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductEdit {
    /// Which product.
    pub id: String,
    /// The product's title, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// The product's status, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<Status>,
    /// The variant that was added or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub variant: Option<VariantEdit>,
    /// The revision that the edit made, if `If-Match` named the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revision: Option<u64>,
    /// When.
    pub updated_at: Time,
    /// The entry in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// What an edit has set of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VariantEdit {
    /// Which.
    pub sku: String,
    /// Its title, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// When its stock is promised, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub policy: Option<Policy>,
    /// How far it may be sold beyond its stock, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub backorder_limit: Option<u64>,
}
