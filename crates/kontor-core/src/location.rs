//! A location is a warehouse or shop that holds stock. The site that opened it is its home: it
//! alone books what physically happens there.

use serde::{Deserialize, Serialize};

use crate::id::LocationId;
use crate::record::{Key, Primary, Table};
use crate::text::Title;
use crate::time::SiteTime;

/// One per location, written by its home site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// What people call it.
    pub name: Title,
    /// Counts the edits, from 1.
    pub revision: u64,
    /// When it was opened.
    pub created_at: SiteTime,
    /// When it was last renamed.
    pub updated_at: SiteTime,
}

impl Primary for Location {
    const TABLE: Table = Table::LOCATIONS;
    type Key<'k> = &'k LocationId;
    fn key(id: &LocationId) -> Key {
        Key::new().text(id.as_str())
    }
}
