//! What a site's own entries say about the site.

use serde::{Deserialize, Serialize};

use crate::record::{Key, Primary, Table};
use crate::time::Stamp;

/// One per site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRow {
    /// The greatest stamp among the site's edits.
    pub stamp: Stamp,
    /// The journal day that has started; remembered answers are kept by day.
    pub day: u64,
}

impl Primary for SiteRow {
    const TABLE: Table = Table::SITES;
    type Key<'k> = ();
    fn key((): ()) -> Key {
        Key::new()
    }
}
