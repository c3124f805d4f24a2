//! Locations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// A warehouse or shop that holds stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// Given when it was opened.
    #[schema(example = "berlin")]
    pub id: String,
    /// What people call it.
    #[schema(example = "Shop Berlin")]
    pub name: String,
    /// The site that keeps its books.
    #[schema(example = "main")]
    pub home: String,
    /// Counts the edits, from 1; the entity tag is this number in quotes.
    pub revision: u64,
    /// When it was opened.
    pub created_at: Time,
    /// When it was last renamed.
    pub updated_at: Time,
}

/// Opens a location, with the answering site as its home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "berlin", "name": "Shop Berlin"}))]
pub struct OpenLocation {
    /// Letters, digits, `.`, `_`, `:` and `-`.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]+$")]
    pub id: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 500)]
    pub name: String,
}

/// Gives a location another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Shop Berlin Mitte"}))]
pub struct RenameLocation {
    /// The new name.
    #[schema(min_length = 1, max_length = 500)]
    pub name: String,
}

/// What a renaming has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocationEdit {
    /// Which.
    pub id: String,
    /// The name now.
    pub name: String,
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
