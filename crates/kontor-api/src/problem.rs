//! A problem document (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Code;

/// Why a request was not done. Facts of the code stand beside these fields, for example `sku`,
/// `location`, `wanted` and `available` of `insufficient_stock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", example = "/problems/insufficient_stock")]
    pub kind: String,
    /// The same for every problem of the code.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// What programs decide by.
    pub code: Code,
    /// Whether the same request may succeed later without anybody changing it.
    pub retryable: bool,
    /// Names the request in logs.
    pub trace_id: String,
    /// The values that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    /// The facts of the code.
    #[serde(flatten)]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or the name of a parameter or header.
    #[schema(example = "/lines/0/quantity")]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}
