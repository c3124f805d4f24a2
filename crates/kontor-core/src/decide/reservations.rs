//! Holds: made, extended, ended.

use std::collections::BTreeMap;

use super::stock::Room;
use super::{Rules, bounds, line_bytes, unreadable};
use crate::command::Context;
use crate::event::Event;
use crate::id::{LocationId, Owner, ReservationId, Sku};
use crate::limits::{
    DUE_HOLDS_PER_COMMAND, DUE_HOLDS_PER_TICK, ENTRY_BYTES_MAX, HEAD_BYTES_MAX, HOLD_MS_MAX, HOLD_MS_MIN,
};
use crate::record::Table;
use crate::refusal::{Refusal, Stop};
use crate::reservation::{Promise, Reservation, ReservationLine, ReservationStatus};
use crate::stock::Level;
use crate::view::{KeyRange, row};

impl Rules<'_> {
    pub(super) fn reserve(
        self,
        id: Option<ReservationId>,
        owner: Option<&Owner>,
        lines: &[crate::command::Line],
        hold_ms: u64,
    ) -> Result<Vec<Event>, Stop> {
        bounds("ttl", hold_ms, HOLD_MS_MIN, HOLD_MS_MAX)?;
        let id = id.unwrap_or(ReservationId(self.context.fresh_id));
        if row::<Reservation>(self.view, self.context.site, id)?.is_some() {
            return Err(Refusal::AlreadyExists { what: "reservation", name: id.to_string() }.into());
        }
        let wanted = self.summed(lines)?;
        let mut for_sale = Vec::with_capacity(wanted.len());
        for item in &wanted {
            for_sale.push((self.item_for_sale(&item.sku)?, self.home(&item.location)?));
        }
        let mut room = Room::new(self, &wanted);
        let mut held = Vec::with_capacity(wanted.len());
        for (item, (for_sale, home)) in wanted.into_iter().zip(for_sale) {
            room.for_units(&item, &for_sale, &home)?;
            held.push(ReservationLine {
                sku: item.sku,
                location: item.location,
                quantity: item.quantity,
                shipped: 0,
                tracked: for_sale.selling.policy.counts(),
            });
        }
        let expires_at = self.context.now.plus(hold_ms);
        let mut events = room.freed()?;
        events.push(Event::ReservationMade { id, owner: owner.cloned(), lines: held, expires_at });
        Ok(events)
    }

    pub(super) fn extend(self, id: ReservationId, hold_ms: u64) -> Result<Vec<Event>, Stop> {
        bounds("ttl", hold_ms, HOLD_MS_MIN, HOLD_MS_MAX)?;
        let hold = self.live_hold(id)?;
        let expires_at = self.context.now.plus(hold_ms);
        Ok(vec![Event::ReservationExtended { id, from: hold.expires_at, expires_at }])
    }

    pub(super) fn commit(self, id: ReservationId) -> Result<Vec<Event>, Stop> {
        let hold = self.live_hold(id)?;
        Ok(vec![ended(id, hold, ReservationStatus::Committed)])
    }

    pub(super) fn release(self, id: ReservationId) -> Result<Vec<Event>, Stop> {
        let hold = self.live_hold(id)?;
        Ok(vec![ended(id, hold, ReservationStatus::Released)])
    }

    /// Ends those of the holds that are still held and due, as many as fit into an entry; the site
    /// asks again for the others. Its list may be a little behind, and may name a hold twice.
    pub(super) fn end_due_holds(self, ids: &[ReservationId]) -> Result<Vec<Event>, Stop> {
        let mut due = BTreeMap::new();
        // One hold always fits. Without this end, a wave of long holds could never be ended.
        let mut left = ENTRY_BYTES_MAX - HEAD_BYTES_MAX;
        for id in ids {
            let hold = row::<Reservation>(self.view, self.context.site, *id)?;
            let due_now =
                |hold: &Reservation| hold.status == ReservationStatus::Held && hold.expires_at <= self.context.now;
            let Some(hold) = hold.filter(due_now) else { continue };
            let Some(rest) = left.checked_sub(bytes(&hold)).filter(|_| due.len() < DUE_HOLDS_PER_TICK) else { break };
            left = rest;
            due.insert(*id, hold);
        }
        self.all_expired(due)
    }

    /// The ends of holds whose deadline has passed, and of orders that were not paid in time.
    fn all_expired(self, holds: BTreeMap<ReservationId, Reservation>) -> Result<Vec<Event>, Stop> {
        let mut events = Vec::with_capacity(holds.len());
        for (id, hold) in holds {
            let order = self.expired(id, &hold)?;
            events.push(ended(id, hold, ReservationStatus::Expired));
            events.extend(order);
        }
        Ok(events)
    }

    /// A reservation that is held and whose deadline has not passed, whether or not the timer has
    /// seen to it.
    fn live_hold(self, id: ReservationId) -> Result<Reservation, Stop> {
        let reservation = row::<Reservation>(self.view, self.context.site, id)?;
        let reservation = reservation.ok_or(Refusal::UnknownReservation { id })?;
        match reservation.status {
            ReservationStatus::Held if reservation.expires_at > self.context.now => Ok(reservation),
            ReservationStatus::Held => Err(Refusal::ReservationEnded { id, status: ReservationStatus::Expired }.into()),
            status => Err(Refusal::ReservationEnded { id, status }.into()),
        }
    }
}

/// Due holds that one command ends before it takes what they held.
pub(super) struct Ended<'a> {
    rules: Rules<'a>,
    holds: BTreeMap<ReservationId, Reservation>,
    /// Room in the entry for more endings.
    bytes_left: usize,
}

impl<'a> Ended<'a> {
    pub(super) fn new(rules: Rules<'a>, bytes_left: usize) -> Self {
        Self { rules, holds: BTreeMap::new(), bytes_left }
    }

    /// Ends due holds of an item, soonest due first, until `missing` units are free.
    pub(super) fn due_holds(
        &mut self,
        sku: &Sku,
        location: &LocationId,
        missing: u64,
        level: &mut Level,
    ) -> Result<(), Stop> {
        let Context { now, site: here, earliest_due, .. } = self.rules.context;
        if earliest_due > now {
            return Ok(());
        }
        // Only the keys of the moments that matter: ended holds leave traces in the tables for a
        // while, and walking over those of a popular item would take long.
        let item = Promise::prefix(sku, location);
        let (from, before) = (item.clone().number(earliest_due.0), item.clone().number(now.0.saturating_add(1)));
        let range = KeyRange { from: from.as_bytes(), before: before.as_bytes() };
        let (mut due, mut freed, mut failed) = (Vec::new(), 0, None);
        let room = DUE_HOLDS_PER_COMMAND.saturating_sub(self.holds.len());
        self.rules.view.scan(Table::PROMISES, range, &mut |key, value| {
            let Some((_, id, site)) = Promise::parts(&key[item.as_bytes().len()..]) else { return true };
            if freed >= missing || due.len() >= room {
                return false;
            }
            if site == *here && !self.holds.contains_key(&id) {
                match crate::record::decode::<Promise>(Table::PROMISES, value) {
                    Ok(promise) => freed += promise.quantity,
                    Err(error) => failed = Some(error),
                }
                due.push(id);
            }
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        for id in due {
            let hold = row::<Reservation>(self.rules.view, here, id)?;
            let hold = hold.ok_or_else(|| unreadable("promises", "a due promise has no reservation"))?;
            let Some(left) = self.bytes_left.checked_sub(bytes(&hold)) else { break };
            self.bytes_left = left;
            give_back(&hold, sku, location, level);
            self.holds.insert(id, hold);
        }
        Ok(())
    }

    /// Adds to a level what the holds that were ended so far held of the item.
    pub(super) fn give_back(&self, sku: &Sku, location: &LocationId, level: &mut Level) {
        self.holds.values().for_each(|hold| give_back(hold, sku, location, level));
    }

    pub(super) fn into_events(self) -> Result<Vec<Event>, Stop> {
        self.rules.all_expired(self.holds)
    }
}

fn give_back(hold: &Reservation, sku: &Sku, location: &LocationId, level: &mut Level) {
    let held = hold.lines.iter().filter(|line| line.tracked && line.sku == *sku && line.location == *location);
    for line in held {
        let units = i64::try_from(line.quantity).unwrap_or(i64::MAX);
        level.reserved -= units;
        level.available += units;
        level.sellable_here += units;
    }
}

/// The most that the ending of a hold takes in an entry.
fn bytes(hold: &Reservation) -> usize {
    let owner = hold.owner.as_ref().map_or(0, |owner| owner.as_str().len());
    ENDING_BYTES_MAX + owner + hold.lines.iter().map(|line| line_bytes(&line.sku, &line.location)).sum::<usize>()
}

/// Id, status, two times and lengths; and as much again for the order that ends with it.
const ENDING_BYTES_MAX: usize = 128;

pub(super) fn ended(id: ReservationId, hold: Reservation, status: ReservationStatus) -> Event {
    let Reservation { owner, lines, created_at, expires_at, .. } = hold;
    Event::ReservationEnded { id, status, lines, owner, created_at, expires_at }
}
