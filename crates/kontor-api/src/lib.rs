//! Words on the wire: the types, paths and error codes of `/api/v1`, shared by server and client.
//!
//! Nothing here decides or checks a rule of commerce: texts and numbers are carried as they were
//! sent. Requests refuse fields that they do not know, so that a misspelled one is never ignored;
//! answers may gain fields, and clients must ignore those that they do not know. Optional fields that are
//! not given are not written either: a repeated request is told from another one by what was given.

pub mod attribute;
pub mod cart;
pub mod changes;
pub mod customer;
pub mod demo;
pub mod error;
pub mod export;
pub mod health;
pub mod job;
pub mod listing;
pub mod location;
pub mod order;
pub mod page;
pub mod path;
pub mod payment;
pub mod person;
pub mod price;
pub mod problem;
pub mod product;
pub mod product_edit;
pub mod reservation;
pub mod revision;
pub mod security;
pub mod site;
pub mod stock;
pub mod time;
pub mod transfer;

pub use error::Code;
pub use problem::Problem;
pub use time::Time;

/// There is nothing to say besides what the path says.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct Empty {}

/// Reads an optional field of a partial update: it may be left out, but `null` is no value for it.
pub(crate) fn not_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads an optional field that can be emptied: left out it is `None`, and `null` is `Some(None)`.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    serde::Deserialize::deserialize(deserializer).map(Some)
}
