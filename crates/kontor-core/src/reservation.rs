//! A reservation holds units of one or more items until its deadline. It ends once: committed to
//! an order, released, or expired.

use serde::{Deserialize, Serialize};

use crate::id::{LocationId, Owner, ReservationId, SiteId, Sku};
use crate::record::{Key, KeyParts, Primary, Table};
use crate::time::SiteTime;

/// What has become of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReservationStatus {
    /// Its units are held until it expires.
    Held,
    /// Its units are promised to an order.
    Committed,
    /// Given back before its deadline.
    Released,
    /// Its deadline passed.
    Expired,
}

/// Units of one item in a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationLine {
    /// Of what.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many.
    pub quantity: u64,
    /// How many of them have been handed out.
    pub shipped: u64,
    /// False if the item's stock was not counted when it was reserved: no row holds these units.
    pub tracked: bool,
}

/// A hold, and later the promise that it became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// What has become of it.
    pub status: ReservationStatus,
    /// For whom.
    pub owner: Option<Owner>,
    /// What it holds; each item once.
    pub lines: Vec<ReservationLine>,
    /// When it was made.
    pub created_at: SiteTime,
    /// When it ends by itself, while it is held.
    pub expires_at: SiteTime,
    /// When it ended.
    pub ended_at: Option<SiteTime>,
}

impl Primary for Reservation {
    const TABLE: Table = Table::RESERVATIONS;
    type Key<'k> = ReservationId;
    fn key(id: ReservationId) -> Key {
        Key::new().fixed(&id.0)
    }
}

/// A live hold, by its expiry: the timer's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due;

/// What names a row of the timer's list besides its site.
#[derive(Debug, Clone, Copy)]
pub struct DueKey {
    /// When.
    pub at: SiteTime,
    /// What.
    pub id: ReservationId,
}

impl Primary for Due {
    const TABLE: Table = Table::DUE;
    type Key<'k> = DueKey;
    fn key(key: DueKey) -> Key {
        Key::new().number(key.at.0).fixed(&key.id.0)
    }
}

/// Units of one item that one reservation holds or has committed, soonest due first. Committed
/// units never fall due and stand last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// How many are still held or not yet handed out.
    pub quantity: u64,
}

/// What names a promise besides its site.
#[derive(Debug, Clone, Copy)]
pub struct PromiseKey<'k> {
    /// Of what.
    pub sku: &'k Sku,
    /// Where.
    pub location: &'k LocationId,
    /// When the hold expires; [`SiteTime::NEVER`] once committed.
    pub due: SiteTime,
    /// Whose.
    pub id: ReservationId,
}

impl Primary for Promise {
    const TABLE: Table = Table::PROMISES;
    type Key<'k> = PromiseKey<'k>;
    fn key(key: PromiseKey<'_>) -> Key {
        Promise::prefix(key.sku, key.location).number(key.due.0).fixed(&key.id.0)
    }
}

impl Promise {
    /// What the keys of all promises of one item begin with.
    pub fn prefix(sku: &Sku, location: &LocationId) -> Key {
        Key::new().text(sku.as_str()).text(location.as_str())
    }

    /// Reads what follows the prefix: due time, reservation, site.
    pub fn parts(after_prefix: &[u8]) -> Option<(SiteTime, ReservationId, SiteId)> {
        let mut parts = KeyParts(after_prefix);
        let due = SiteTime(parts.number()?);
        let id = ReservationId(parts.fixed()?);
        Some((due, id, SiteId::parse(parts.rest()?).ok()?))
    }
}
