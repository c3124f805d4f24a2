//! Jobs: imports that go on where they were interrupted, and that can be undone.
//!
//! A job counts its rows from 1 without gaps, whatever lines of a file they stand on. Rows are sent as
//! lines of JSON in the order of the file; a row that the sender could not read is sent as refused, so
//! that the count goes on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::product_edit::PutProduct;
use crate::revision::FieldChange;
use crate::time::Time;

/// What a job puts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Products: made, or changed where they differ.
    ImportProducts,
    /// Units that came in: each row adds.
    ImportStock,
    /// Units that were counted: each row sets.
    ImportCounts,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It takes rows.
    Running,
    /// It takes no more rows.
    Finished,
    /// A part of it is undone; ask again until nothing is left.
    Undoing,
    /// It is undone.
    Undone,
}

/// Begins a job, or finds it again: the same `id` and `digest` give the job as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "job_5d41402abc4b2a76b9719d911017c592", "kind": "import_products", "source": "spring.csv", "digest": "5d41402abc4b2a76b9719d911017c592ae3f1c4d2b0f8d7a0e9c5b6a79f0e1d2"}))]
pub struct StartJob {
    /// `job_` and 32 hexadecimal digits, such as the first ones of the digest; made by the site if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 36, max_length = 36, pattern = "^job_[0-9a-f]{32}$")]
    pub id: Option<String>,
    /// What it puts in.
    pub kind: JobKind,
    /// Where the rows come from, for people: the name of a file.
    #[schema(min_length = 1, max_length = 128)]
    pub source: String,
    /// SHA-256 of the input and of how it is read, as 64 lower-case hexadecimal digits.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
    /// How the rows are read, for people and for whoever goes on with the job.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096, pattern = r"^[\s\S]*$", nullable = false)]
    pub options: Option<String>,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Given when it was started.
    #[schema(example = "job_5d41402abc4b2a76b9719d911017c592")]
    pub id: String,
    /// What it puts in.
    pub kind: JobKind,
    /// How far it is.
    pub status: JobStatus,
    /// Where the rows come from.
    #[schema(example = "spring.csv")]
    pub source: String,
    /// What tells its input from another.
    pub digest: String,
    /// How the rows are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub options: Option<String>,
    /// Rows up to this one are done; the next one is one more.
    pub through_line: u64,
    /// Rows that made something.
    pub created: u64,
    /// Rows that changed something.
    pub changed: u64,
    /// Rows that said what was so already.
    pub unchanged: u64,
    /// Rows that were not taken, by the sender or by the site.
    pub refused: u64,
    /// Rows that were taken back by undoing.
    pub undone: u64,
    /// Rows that were left by undoing, because somebody has changed or uses what they set.
    pub changed_since: u64,
    /// Who started it.
    pub actor: String,
    /// When.
    pub started_at: Time,
    /// When it took its last row or step of undoing.
    pub updated_at: Time,
}

/// One row of a job: one line of JSON, with one of `product`, `stock` and `refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"line": 1, "product": {"title": "Walnut desk", "variants": [{"sku": "P1001"}]}}))]
pub struct JobRow {
    /// Its number, from 1 without gaps.
    #[schema(minimum = 1)]
    pub line: u64,
    /// The product to make or change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub product: Option<Box<PutProduct>>,
    /// The units that came in or were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stock: Option<StockRow>,
    /// Why the sender could not read the row: it is counted as refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub refused: Option<RefusedRow>,
}

/// Units of a SKU at a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockRow {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// Where.
    #[schema(min_length = 1, max_length = 64)]
    pub location: String,
    /// How many came in, or are there.
    #[schema(maximum = 1_000_000_000)]
    pub quantity: u64,
}

/// Why a row could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedRow {
    /// What programs decide by.
    #[schema(min_length = 1, max_length = 200)]
    pub code: String,
    /// For people; long ones are cut.
    pub detail: String,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowOutcome {
    /// It made something.
    Created,
    /// It changed something.
    Changed,
    /// It said what was so already.
    Unchanged,
    /// It was not taken; `code` and `detail` say why.
    Refused,
    /// It was done before, when the job was sent the first time.
    Done,
}

/// The answer to a row: one line of JSON for each line that was sent, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowAnswer {
    /// Which row.
    pub line: u64,
    /// The product, or the SKU of a row of stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// What became of it.
    pub outcome: RowOutcome,
    /// Why it was refused: what programs decide by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<String>,
    /// Why it was refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// What it changes, or would change in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub changes: Vec<FieldChange>,
}

/// One step of undoing: a bounded number of rows, the last ones first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobUndo {
    /// The job after the step.
    pub job: Job,
    /// Rows that this step undid.
    pub undone: u64,
    /// Rows that were not undone, or not whole: somebody has changed since what they set, or uses it.
    pub changed_since: u64,
    /// Those rows, the last ones first, with the reason of each.
    pub kept: Vec<RowAnswer>,
    /// Rows that are left: ask again until there are none.
    pub left: u64,
}
