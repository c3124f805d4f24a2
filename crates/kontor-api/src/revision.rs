//! Revisions: who edited what of a product. Conflicts: what was edited at two sites at once.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::time::Time;

/// One edit of a product, or of what it says in a market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// The revision that it made: of the product, or of its listing in the market.
    pub revision: u64,
    /// The market whose listing was edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub market: Option<String>,
    /// When.
    pub at: Time,
    /// At which site.
    pub site: String,
    /// Who wanted it.
    pub actor: String,
    /// The request's id in logs.
    pub request_id: String,
    /// The entry in the site's journal.
    #[schema(example = "1-7-0")]
    pub position: String,
    /// The job that wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job: Option<RevisionJob>,
    /// The fields that it has changed.
    pub changes: Vec<FieldChange>,
}

/// The row of a job behind an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionJob {
    /// Which job.
    pub id: String,
    /// Which of its rows.
    pub line: u64,
    /// Whether the edit took the row back.
    pub undo: bool,
}

/// One field before and after an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// Which: a JSON pointer into the product, with variants by SKU and prices by currency and, if they
    /// have one, beginning: `/variants/P1001/prices/EUR@2026-11-27T00:00:00.000Z`. What is said of a market
    /// stands below it: `/markets/gb/title`.
    #[schema(example = "/title")]
    pub field: String,
    /// What it was; `null` if it was not there.
    pub before: Value,
    /// What it was set to; `null` if it was taken away.
    pub after: Value,
}

/// Values of one field that were set at several sites, none of which knew of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// Which field: a JSON pointer into the product.
    #[schema(example = "/title")]
    pub field: String,
    /// The market whose listing it is a field of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub market: Option<String>,
    /// By which rule one of them shows: `latest` or `authority:<site>`.
    #[schema(example = "latest")]
    pub rule: String,
    /// The one that shows.
    pub winner: Candidate,
    /// All of them, the one that shows first.
    pub candidates: Vec<Candidate>,
}

/// A product some of whose fields are in conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductInConflict {
    /// Which.
    pub id: String,
    /// What shows as its title.
    pub title: String,
    /// Its conflicts.
    pub conflicts: Vec<Conflict>,
}

/// One of several values of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Where it was set.
    pub site: String,
    /// To what; `null` if the field was emptied.
    pub value: Value,
    /// When, by a clock that is never behind an edit which its writer knew of.
    pub at: Time,
}
