//! How the server is doing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the server is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or why it is not.
    #[schema(example = "ok")]
    pub status: String,
    /// Of the program.
    pub version: String,
    /// The site's name.
    pub site: String,
    /// The newest group that can be read.
    pub position: String,
    /// Requests that wait for the writer.
    pub waiting: u64,
    /// By how many milliseconds the wall clock is away from site time, if too many to follow.
    pub clock_stepped_ms: i64,
}
