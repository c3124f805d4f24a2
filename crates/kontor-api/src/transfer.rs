//! Transfers: units of one location that are asked for at another.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::changes::TransferStep;
use crate::time::Time;

/// What has become of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatus {
    /// The site that has the units has not answered.
    Offered,
    /// It holds them, and waits for the asker to confirm.
    Accepted,
    /// It does not give them; `why` says why.
    Declined,
    /// The asker does not want them any more.
    Withdrawn,
    /// The asker has confirmed.
    Confirmed,
    /// The units were not held any more when the confirm came; `why` says why.
    Lapsed,
    /// The units are promised, and can be dispatched.
    Done,
    /// They are on their way.
    Dispatched,
    /// They have arrived.
    Received,
}

/// Units of one location, asked for at another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// Its id. The reservation that holds the units has the same digits.
    #[schema(example = "trf_019aa5c1d5f87e21b2f4b8a3c6d1e0f7")]
    pub id: String,
    /// What has become of it, as far as this site has read.
    pub status: TransferStatus,
    /// Where the units are.
    #[schema(example = "berlin")]
    pub from: String,
    /// Where they are wanted.
    #[schema(example = "store-s1")]
    pub to: String,
    /// The site that asks: it keeps the books of `to`, and withdraws and receives.
    pub asker: String,
    /// The site that is asked: it keeps the books of `from`, and dispatches.
    pub of: String,
    /// What; each SKU once.
    pub lines: Vec<TransferLine>,
    /// Why it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Why it was declined or has lapsed: the code of a refusal, and words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub why: Option<String>,
    /// When it was asked for.
    pub created_at: Time,
    /// When either site said something last.
    pub updated_at: Time,
    /// Of a write: its entry in the journal. Of a read: how far the journal was folded.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Units of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferLine {
    /// Of what.
    pub sku: String,
    /// How many were asked for.
    pub quantity: u64,
    /// How many have arrived, once some have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub received: Option<u64>,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferTaken {
    /// Of which transfer.
    pub id: String,
    /// Which step.
    pub step: TransferStep,
    /// The entry in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Units of one SKU that are asked for, or that have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// How many.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: u64,
}

/// Asks for units that are at another location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "berlin", "to": "store-s1", "lines": [{"sku": "P1001", "quantity": 4}]}))]
pub struct AskTransfer {
    /// `trf_` and a UUID; made by the server if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the units are.
    pub from: String,
    /// Where they are wanted. Its books are kept by the site that is asked here.
    pub to: String,
    /// What; the demand of equal lines is summed.
    #[schema(min_items = 1, max_items = 300)]
    pub lines: Vec<Units>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reason: Option<String>,
}

/// Books what has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"received": [{"sku": "P1001", "quantity": 3}]}))]
pub struct ReceiveTransfer {
    /// SKUs of which not everything has arrived, and how many have. Of all others everything has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 300)]
    pub received: Vec<Units>,
}
