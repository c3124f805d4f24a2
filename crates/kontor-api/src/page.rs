//! One page of a list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rows of one page, when the caller names no number.
pub const PAGE_SIZE: usize = 50;

/// Rows of one page at most; greater numbers mean this one.
pub const PAGE_SIZE_MAX: usize = 200;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows. A filtered page may be short, or empty, and still have a next one.
    pub items: Vec<T>,
    /// Gives the next page when it is sent as `page_token`; not there on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_page_token: Option<String>,
}

/// The longest words of a search, in bytes: as long as a title.
pub const QUERY_BYTES_MAX: usize = 500;

/// Attributes of one search.
pub const QUERY_ATTRIBUTES_MAX: usize = 20;
