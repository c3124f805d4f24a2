//! Who may do what.

use serde::{Deserialize, Serialize};

use crate::id::SiteId;
use crate::record::{Key, Primary, Table};
use crate::time::SiteTime;

/// What the holder of a key may do. More roles come; the ordinals stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    Admin,
    /// Reads the journal, as what another site is told, and tells how to reach that site.
    Peer(SiteId),
}

/// An access key, by its id. The secret itself is shown once and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of the whole key. Keys carry 256 random bits, so a slow hash would add nothing.
    pub digest: [u8; 32],
    /// When it was made.
    pub created_at: SiteTime,
}

impl Primary for AccessKey {
    const TABLE: Table = Table::KEYS;
    type Key<'k> = &'k str;
    fn key(id: &str) -> Key {
        Key::new().text(id)
    }
}
