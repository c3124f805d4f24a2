//! Lines of an export. Products are exported as they are read, with their `markets`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is booked of a SKU at a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedStock {
    /// Of what.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Units there.
    pub on_hand: i64,
    /// Units damaged or in inspection.
    pub unavailable: i64,
    /// Units kept back.
    pub safety_stock: i64,
}
