//! How far a journal has been folded into rows: where reading it goes on, and what is compared with others.

use bytes::Bytes;
use kontor_core::group::Digest;
use kontor_core::id::Position;
use kontor_core::record::{self, Table};
use kontor_core::session::Mark;
use kontor_core::time::SiteTime;
use kontor_core::view::ViewError;
use serde::{Deserialize, Serialize};

/// The last group of a journal that rows show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    /// The term.
    pub term: u32,
    /// Its last group that is folded.
    pub seq: u64,
    /// The index of that group's last entry.
    pub last: u32,
    /// Of that group.
    pub digest: Digest,
    /// Site time of that group.
    pub time: SiteTime,
}

impl Folded {
    /// Before the first group of the first term.
    pub fn start() -> Self {
        Self { term: 0, seq: 0, last: 0, digest: Digest::default(), time: SiteTime(0) }
    }

    /// As it is kept in the tables.
    pub fn encode(&self) -> Bytes {
        record::encode(self)
    }

    /// As it is read from the tables.
    pub fn decode(bytes: &[u8]) -> Result<Self, ViewError> {
        record::decode(Table::FOLDED, bytes)
    }

    /// The group alone.
    pub fn mark(&self) -> Mark {
        Mark { term: self.term, seq: self.seq, digest: self.digest }
    }

    /// The last entry's place, as it is shown.
    pub fn position(&self) -> Position {
        Position { term: self.term, seq: self.seq, index: self.last }
    }
}
