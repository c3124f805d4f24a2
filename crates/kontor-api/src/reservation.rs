//! Reservations: units held until a deadline, then committed, released or expired.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stock::Line;
use crate::time::Time;

/// What has become of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReservationStatus {
    /// Its units are held until it expires.
    Held,
    /// Its units are promised to an order.
    Committed,
    /// Given back before its deadline.
    Released,
    /// Its deadline passed.
    Expired,
}

/// A hold, or what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reservation {
    /// Its id.
    #[schema(example = "res_019aa5c1d5f87e21b2f4b8a3c6d1e0f7")]
    pub id: String,
    /// What has become of it.
    pub status: ReservationStatus,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub owner: Option<String>,
    /// What it holds; each item once.
    pub lines: Vec<ReservationLine>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends by itself, while it is held.
    pub expires_at: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ended_at: Option<Time>,
    /// Of a write: its entry in the journal. Of a read: how far the journal was folded.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Units of one item in a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservationLine {
    /// Of what.
    pub sku: String,
    /// Where.
    pub location: String,
    /// How many.
    pub quantity: u64,
    /// How many of them have been handed out.
    pub shipped: u64,
}

/// Holds units until a deadline, all lines or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "P1001", "location": "berlin", "quantity": 1}], "ttl_s": 900}))]
pub struct MakeReservation {
    /// `res_` and a UUID; made by the server if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What; the demand of equal lines is summed.
    #[schema(min_items = 1, max_items = 1200)]
    pub lines: Vec<Line>,
    /// For how many seconds; 900 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub ttl_s: Option<u64>,
    /// For whom: an opaque token, no personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub owner: Option<String>,
}

/// Gives a hold another deadline, counted from now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ttl_s": 900}))]
pub struct ExtendReservation {
    /// For how many seconds from now.
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub ttl_s: u64,
}

/// A hold with another deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservationExtended {
    /// Which.
    pub id: String,
    /// Always `held`.
    pub status: ReservationStatus,
    /// The deadline now.
    pub expires_at: Time,
    /// The entry in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
}
