//! Listings: what a product says of its own in one market. What it leaves out is as the product has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::attribute::{AttributeOrNull, AttributeValue};
use crate::time::Time;

/// What a product says of its own in a market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing {
    /// Where.
    #[schema(example = "gb")]
    pub market: String,
    /// Its title there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// Its description there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Attributes that are others there.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Prices there. Where one of them is in force, it holds; else the product's does.
    pub prices: Vec<ListingPrice>,
    /// Fields on whose value concurrent edits differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conflicts: Option<u32>,
    /// Counts the edits, from 1; the entity tag is this number in quotes.
    pub revision: u64,
    /// When it was last edited.
    pub updated_at: Time,
}

/// What a variant costs in a market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListingPrice {
    /// Which variant.
    pub sku: String,
    /// ISO 4217.
    #[schema(example = "GBP")]
    pub currency: String,
    /// In major units, with all decimals of the currency.
    #[schema(example = "10.95")]
    pub amount: String,
    /// The first moment at which it holds; it always has, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub valid_from: Option<Time>,
    /// The first moment at which it holds no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub valid_until: Option<Time>,
}

/// Sets fields of a listing; `null` takes away what the market says of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Walnut desk (UK plug)", "prices": [{"sku": "P1001", "currency": "GBP", "amount": "449.00"}]}))]
pub struct ChangeListing {
    /// The title there.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub title: Option<Option<String>>,
    /// The description there.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 8192, pattern = r"^\S([\s\S]*\S)?$")]
    pub description: Option<Option<String>>,
    /// Attributes by name; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, AttributeOrNull>, required = false, nullable = false)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// Prices that are set, each on its own.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prices: Option<Vec<SetListingPrice>>,
}

/// Sets one price of a variant in a market: the one of this currency and this beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001", "currency": "GBP", "amount": "449.00"}))]
pub struct SetListingPrice {
    /// Which variant.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    pub currency: String,
    /// In major units, with at most the decimals of the currency; `null` takes the price away.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, pattern = r"^[0-9]+(\.[0-9]+)?$")]
    pub amount: Option<String>,
    /// The first moment at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Time>,
    /// The first moment at which it holds no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// What an edit of a listing has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListingEdit {
    /// Of which product.
    pub id: String,
    /// Where.
    pub market: String,
    /// The fields that it has changed.
    pub changes: Vec<crate::revision::FieldChange>,
    /// The revision that the edit made, or that there is if nothing has changed and `If-Match` named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revision: Option<u64>,
    /// When.
    pub updated_at: Time,
    /// The entry in the journal; none if nothing has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1-7-0")]
    pub position: Option<String>,
}
