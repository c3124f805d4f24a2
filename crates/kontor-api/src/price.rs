//! Prices: amounts in major units, as decimal texts, so that no reader rounds them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// In major units, with all decimals of the currency.
    #[schema(example = "12.50")]
    pub amount: String,
}

/// How much a variant costs in a currency, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Price {
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// In major units, with all decimals of the currency.
    #[schema(example = "12.50")]
    pub amount: String,
    /// The first moment at which it holds; it always has, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub valid_from: Option<Time>,
    /// The first moment at which it holds no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub valid_until: Option<Time>,
    /// The market whose own price it is; shown where a market was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub market: Option<String>,
}

/// Sets one price of a variant: the one of this currency and this beginning. Prices that are not named
/// stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"currency": "EUR", "amount": "12.50"}))]
pub struct SetPrice {
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
