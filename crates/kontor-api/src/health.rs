//! How the server is doing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;

/// How the server is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy`, or why it is not.
    #[schema(example = "healthy")]
    pub status: String,
    /// Of the program.
    pub version: String,
    /// The site's name.
    pub site: String,
    /// The same: what a client of several regions asks for.
    pub region: String,
    /// Always `kontor`.
    pub service: String,
    /// Now, by the clock of the machine.
    pub timestamp: Time,
    /// Memory of the process in MB; 0 where the system does not say.
    pub memory_mb: u64,
    /// The newest group that can be read.
    pub position: String,
    /// Requests that wait for the writer.
    pub waiting: u64,
    /// What somebody should look at, in sentences: links that are cut, journals that are read no further.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// By how many milliseconds the wall clock is away from site time, if too many to follow.
    pub clock_stepped_ms: i64,
}
