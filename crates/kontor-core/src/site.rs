//! What a site's own entries say about the site.

use serde::{Deserialize, Serialize};

use crate::group::Digest;
use crate::id::SiteId;
use crate::record::{Key, Primary, Table};
use crate::time::Stamp;

/// One per site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRow {
    /// The greatest stamp among the site's edits.
    pub stamp: Stamp,
    /// The journal day that has started; remembered answers are kept by day.
    pub day: u64,
    /// What kind of site it is.
    pub kind: SiteKind,
    /// Orders that it has taken: the number of the newest.
    pub orders: u64,
}

/// What kind of site it is: that decides whose stock it holds a share of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiteKind {
    /// It sells what is in the warehouses of all regions, and holds a share of each.
    #[default]
    Region,
    /// It sells what is on its own shelf, and what it borrows.
    Store,
}

impl Primary for SiteRow {
    const TABLE: Table = Table::SITES;
    type Key<'k> = ();
    fn key((): ()) -> Key {
        Key::new()
    }
}

/// How far a site had folded another's journal, by what its own groups say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRow {
    /// The term.
    pub term: u32,
    /// The last group folded.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Primary for SeenRow {
    const TABLE: Table = Table::SEEN;
    type Key<'k> = &'k SiteId;
    fn key(of: &SiteId) -> Key {
        Key::new().text(of.as_str())
    }
}
