//! A movement is one line of the stock ledger: what came, what went, why, and what was there then.

use serde::{Deserialize, Serialize};

use crate::id::{Actor, LocationId, Position, RequestId, ReservationId, SiteId, Sku};
use crate::record::{Key, KeyParts, Primary, Table};
use crate::text::{Reason, Reference};
use crate::time::SiteTime;

/// What kind of thing happened at the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MovementKind {
    /// A delivery came in.
    Receive,
    /// A customer brought units back.
    Return,
    /// Units were sold over the counter: promised and handed out in one step.
    Issue,
    /// Committed units were handed out.
    Ship,
    /// Units broke, expired or were lost.
    WriteOff,
    /// A person counted what is there.
    Count,
}

/// One line of the stock ledger, named by its item and its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// What happened.
    pub kind: MovementKind,
    /// Units that on_hand changed by.
    pub change: i64,
    /// Units there afterwards.
    pub on_hand_after: i64,
    /// The document behind it.
    pub reference: Option<Reference>,
    /// The reservation that it handed out.
    pub reservation: Option<ReservationId>,
    /// Why.
    pub reason: Option<Reason>,
    /// Who booked it.
    pub actor: Actor,
    /// By which request.
    pub request_id: RequestId,
    /// When it happened, as the caller says.
    pub occurred_at: SiteTime,
    /// When it was booked.
    pub recorded_at: SiteTime,
}

/// What names a movement besides its site.
#[derive(Debug, Clone, Copy)]
pub struct MovementKey<'k> {
    /// Of what.
    pub sku: &'k Sku,
    /// Where.
    pub location: &'k LocationId,
    /// When it was booked: the ledger is read by time.
    pub recorded_at: SiteTime,
    /// The entry that booked it.
    pub position: Position,
    /// The event and the line within the entry.
    pub line: u32,
}

impl Primary for Movement {
    const TABLE: Table = Table::MOVEMENTS;
    type Key<'k> = MovementKey<'k>;
    fn key(key: MovementKey<'_>) -> Key {
        let Position { term, seq, index } = key.position;
        Movement::prefix(key.sku, key.location)
            .number(key.recorded_at.0)
            .fixed(&term.to_be_bytes())
            .number(seq)
            .fixed(&index.to_be_bytes())
            .fixed(&key.line.to_be_bytes())
    }
}

impl Movement {
    /// What the keys of all movements of one item begin with.
    pub fn prefix(sku: &Sku, location: &LocationId) -> Key {
        Key::new().text(sku.as_str()).text(location.as_str())
    }

    /// Reads what follows the prefix: when it was booked, by which entry, which line, which site.
    pub fn parts(after_prefix: &[u8]) -> Option<(SiteTime, Position, u32, SiteId)> {
        let mut parts = KeyParts(after_prefix);
        let recorded_at = SiteTime(parts.number()?);
        let term = u32::from_be_bytes(parts.fixed()?);
        let seq = parts.number()?;
        let index = u32::from_be_bytes(parts.fixed()?);
        let line = u32::from_be_bytes(parts.fixed()?);
        let site = SiteId::parse(parts.rest()?).ok()?;
        Some((recorded_at, Position { term, seq, index }, line, site))
    }
}

/// A reference that has been used, by its kind of movement: it is unique for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedReference {
    /// By which entry.
    pub position: Position,
}

impl Primary for UsedReference {
    const TABLE: Table = Table::REFERENCES;
    type Key<'k> = (MovementKind, &'k Reference);
    fn key((kind, reference): (MovementKind, &Reference)) -> Key {
        Key::new().fixed(&[kind as u8]).text(reference.as_str())
    }
}
