//! Folding groups into rows: the same everywhere, whatever the order in which journals arrive.
//!
//! **The law of apply.** An entry of site *s* reads and writes primary rows of *s* only: it is given
//! [`SiteRows`], which has no other. So entries of different sites commute, and what combines
//! sites is recomputed from their rows afterwards.

mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::AccessKey;
use crate::command::Idempotency;
use crate::derive;
use crate::event::{Entry, Event, ListingEdited, Moved, ProductEdited};
use crate::group::{Group, Seen};
use crate::id::{JobId, LocationId, OfferId, Position, ProductId, ReservationId, SiteId, Sku};
use crate::job::{Job, JobStarted, JobStatus, LinesDone};
use crate::limits::{COUNTER_MAX, IDEMPOTENCY_DAYS};
use crate::location::Location;
use crate::meaning::{self, Breach};
use crate::movement::{Movement, MovementKey, MovementKind, UsedReference};
use crate::offer::{Answered, Asked, OfferKey, OfferRow, Said, Transfer};
use crate::overlay::{Changes, Overlay};
use crate::product::listing::ListingSibling;
use crate::product::revision::{Edited, Revision};
use crate::product::text::MarketId;
use crate::product::{Claim, Made, Sibling};
use crate::record::{Key, Primary, Table, decode, encode};
use crate::reservation::{Due, DueKey, Promise, PromiseKey, Reservation, ReservationLine, ReservationStatus};
use crate::site::{SeenRow, SiteRow};
use crate::stock::StockRow;
use crate::time::{SiteTime, Stamp};
use crate::view::{View, ViewError};

/// An answer that is given again when its key comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Of the request that the key was first used for.
    pub fingerprint: [u8; 16],
    /// The entry.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: SiteTime,
    /// What happened then.
    pub events: Vec<Event>,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// In whose journal.
    pub site: &'a SiteId,
    /// Where.
    pub position: Position,
    /// Site time of its group.
    pub time: SiteTime,
}

/// Folds a whole group, in the order of its entries.
pub fn fold(rows: &mut Overlay<'_>, group: &Group) -> Result<(), ViewError> {
    let header = &group.header;
    for (index, entry) in (0..).zip(&group.entries) {
        let position = Position { term: header.term, seq: header.seq, index };
        apply(rows, At { site: &header.site, position, time: header.time }, entry)?;
    }
    note_seen(rows, &header.site, &header.seen);
    Ok(())
}

/// Folds a group of another site, and judges each of its entries. What is folded when it does what no site
/// may do must be taken back.
pub fn fold_judged(rows: &mut Overlay<'_>, group: &Group) -> Result<Option<Breach>, ViewError> {
    let header = &group.header;
    for (index, entry) in (0..).zip(&group.entries) {
        let position = Position { term: header.term, seq: header.seq, index };
        apply(rows, At { site: &header.site, position, time: header.time }, entry)?;
        let found = meaning::breach(rows, &header.site, entry)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    note_seen(rows, &header.site, &header.seen);
    Ok(None)
}

/// Notes what the writer of a group had folded of other sites' journals.
pub fn note_seen(rows: &mut Overlay<'_>, writer: &SiteId, seen: &[Seen]) {
    for Seen { site, term, seq, digest } in seen {
        let mut key = SeenRow::key(site);
        key.site(writer);
        rows.put(SeenRow::TABLE, key.into_bytes(), encode(&SeenRow { term: *term, seq: *seq, digest: *digest }));
    }
}

/// Applies one entry and recomputes what is derived from the rows that it changed.
pub fn apply(rows: &mut Overlay<'_>, at: At<'_>, entry: &Entry) -> Result<(), ViewError> {
    let mut own = SiteRows { rows, at, products: BTreeMap::new(), listings: BTreeSet::new() };
    // Counted as other sites count them, who are not told of all: places in rows are the same everywhere.
    let mut number = 0;
    for event in &entry.events {
        own.apply(event, entry, number)?;
        number += u32::from(!event.is_private());
    }
    if let Some(idempotency) = &entry.idempotency {
        own.remember(idempotency, &entry.events);
    }
    let (products, listings) = (own.products, own.listings);
    products.iter().try_for_each(|(id, ends)| derive::product(rows, id, *ends))?;
    listings.iter().try_for_each(|(id, market)| derive::listing(rows, id, market))
}

/// The answer that a key was given before, if that was at most seven days ago: today, or on one of the
/// seven days before, so never less than seven times 24 hours.
pub fn remembered(
    view: &dyn View,
    site: &SiteId,
    today: u64,
    scope: &[u8; 16],
) -> Result<Option<Remembered>, ViewError> {
    let mut key = Key::new().fixed(scope);
    key.site(site);
    for day in (today.saturating_sub(IDEMPOTENCY_DAYS)..=today).rev() {
        let Some(value) = view.get(Table::answers(day), key.as_bytes())? else { continue };
        let answer: Remembered = decode(Table::answers(day), &value)?;
        // A row of the same table from eight or more days before: the site slept, and has not
        // started the day yet.
        if answer.recorded_at.day() == day {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// The rows of the one site whose entry is applied: all that an entry can read or write.
struct SiteRows<'r, 'v> {
    rows: &'r mut Overlay<'v>,
    at: At<'r>,
    /// Products that were edited, and whether one was made or deleted.
    products: BTreeMap<ProductId, bool>,
    listings: BTreeSet<(ProductId, MarketId)>,
}

impl SiteRows<'_, '_> {
    fn apply(&mut self, event: &Event, entry: &Entry, number: u32) -> Result<(), ViewError> {
        match event {
            Event::ProductEdited(edited) => self.product_edited(edited, entry)?,
            Event::ListingEdited(edited) => self.listing_edited(edited, entry)?,
            Event::LocationOpened { id, name } => {
                let at = self.at.time;
                let location = Location { name: name.clone(), revision: 1, created_at: at, updated_at: at };
                self.put(id, &location);
            }
            Event::LocationRenamed { id, name } => {
                if let Some(mut location) = self.get::<Location>(id)? {
                    location.name = name.clone();
                    location.revision += 1;
                    location.updated_at = self.at.time;
                    self.put(id, &location);
                }
            }
            Event::StockMoved { kind, lines, reference, reservation, .. } => {
                for (line, moved) in (0..).zip(lines) {
                    self.moved(*kind, moved)?;
                    self.movement(event, moved, entry, place(number, line)?);
                }
                if let Some(reference) = reference {
                    self.put::<UsedReference>((*kind, reference), &UsedReference { position: self.at.position });
                }
                if let Some(id) = reservation {
                    self.handed_out(*id, lines)?;
                }
            }
            Event::StockAdjusted { sku, location, unavailable, safety_stock, .. } => {
                self.stock(sku, location, |row| {
                    (row.unavailable, row.safety_stock) = (0, 0);
                    grow(&mut row.unavailable, *unavailable)?;
                    grow(&mut row.safety_stock, *safety_stock)
                })?;
            }
            Event::ReservationMade { id, owner, lines, expires_at } => {
                for line in lines.iter().filter(|line| line.tracked) {
                    let day = self.at.time.day();
                    self.stock(&line.sku, &line.location, |row| {
                        row.recent.count(day, line.quantity);
                        grow(&mut row.reserved, line.quantity)
                    })?;
                    self.promise(*id, line, *expires_at, line.quantity);
                }
                // Another site's hold has no deadline here and stands on no timer's list.
                if *expires_at != SiteTime::NEVER {
                    self.put(DueKey { at: *expires_at, id: *id }, &Due);
                }
                let reservation = Reservation {
                    status: ReservationStatus::Held,
                    owner: owner.clone(),
                    lines: lines.clone(),
                    created_at: self.at.time,
                    expires_at: *expires_at,
                    ended_at: None,
                };
                self.put(*id, &reservation);
            }
            Event::ReservationExtended { id, from, expires_at } => {
                if let Some(mut reservation) = self.get::<Reservation>(*id)? {
                    for line in reservation.lines.iter().filter(|line| line.tracked) {
                        self.promise(*id, line, *from, 0);
                        self.promise(*id, line, *expires_at, line.quantity);
                    }
                    self.delete::<Due>(DueKey { at: *from, id: *id });
                    self.put(DueKey { at: *expires_at, id: *id }, &Due);
                    reservation.expires_at = *expires_at;
                    self.put(*id, &reservation);
                }
            }
            Event::ReservationEnded { id, status, lines, owner, created_at, expires_at } => {
                for line in lines.iter().filter(|line| line.tracked) {
                    let committed = *status == ReservationStatus::Committed;
                    self.stock(&line.sku, &line.location, |row| {
                        shrink(&mut row.reserved, line.quantity)?;
                        grow(&mut row.sold, if committed { line.quantity } else { 0 })
                    })?;
                    self.promise(*id, line, *expires_at, 0);
                    if committed {
                        self.promise(*id, line, SiteTime::NEVER, line.quantity);
                    }
                }
                self.delete::<Due>(DueKey { at: *expires_at, id: *id });
                let reservation = Reservation {
                    status: *status,
                    owner: owner.clone(),
                    lines: lines.clone(),
                    created_at: *created_at,
                    expires_at: *expires_at,
                    ended_at: Some(self.at.time),
                };
                self.put(*id, &reservation);
            }
            Event::KeyCreated { id, role, digest } => {
                self.put(&**id, &AccessKey { role: role.clone(), digest: *digest, created_at: self.at.time });
            }
            Event::DayStarted { day } => self.day_started(*day)?,
            Event::JobStarted(started) => self.job_started(started, entry),
            Event::LinesDone(done) => self.lines_done(done)?,
            Event::JobFinished { id } => self.job(*id, |job| job.status = JobStatus::Finished)?,
            Event::JobUndone(undone) => self.job(undone.id, |job| job.undone(undone))?,
            Event::SiteDescribed { kind } => self.site(|row| row.kind = *kind)?,
            Event::QuotaAsked { sku, location, of, ask } => {
                self.other(of)?;
                self.stock(sku, location, |row| {
                    let before = row.asked.entry(of.clone()).or_default();
                    raise(&mut before.units, ask.units)?;
                    *before = ask.clone();
                    Ok(())
                })?;
            }
            Event::QuotaGranted { sku, location, to, units } => {
                self.other(to)?;
                self.stock(sku, location, |row| raise(row.granted.entry(to.clone()).or_default(), *units))?;
            }
            Event::QuotaDeclined { sku, location, to, units } => {
                self.other(to)?;
                self.stock(sku, location, |row| raise(row.declined.entry(to.clone()).or_default(), *units))?;
            }
            Event::TransferAsked { id, of, transfer } => {
                let (of, transfer, at) = (of.clone(), Transfer::clone(transfer), self.at.time);
                let asked = Asked { of, transfer, said: Said::Offered, created_at: at, updated_at: at };
                self.offer(*id, self.at.site, |row| row.asked = Some(asked))?;
            }
            Event::TransferSaid { id, said } => {
                let at = self.at.time;
                self.offer(*id, self.at.site, |row| {
                    if let Some(asked) = &mut row.asked {
                        (asked.said, asked.updated_at) = (said.clone(), at);
                    }
                })?;
            }
            Event::TransferAnswered { id, asker, answer } => {
                let answered = Answered { answer: answer.clone(), updated_at: self.at.time };
                self.offer(*id, asker, |row| row.answered = Some(answered))?;
            }
            Event::CustomerSaved { id, edit, email_before } => {
                self.customer_saved(*id, edit, email_before.as_ref())?;
            }
            Event::CustomerErased { id, email_before, .. } => self.customer_erased(*id, email_before.as_ref())?,
            Event::CartOpened { id, cart } => self.cart_opened(*id, cart),
            Event::CartFilled { id, lines, hold } => self.cart_filled(*id, lines, *hold)?,
            Event::CartDetailed { id, details } => self.cart_detailed(*id, details)?,
            Event::CartClosed { id, status } => self.cart_closed(*id, *status)?,
            Event::CartSwept { id } => self.cart_swept(*id)?,
            Event::OrderPlaced { id, order } => self.order_placed(*id, order, entry, number)?,
            Event::OrderMoved(moved) => self.order_moved(moved, entry, number)?,
            Event::ReservationCanceled { id, lines } => self.reservation_canceled(*id, lines)?,
            Event::PaymentRequested(requested) => self.payment_requested(requested)?,
            Event::PaymentReported(reported) => self.payment_reported(reported)?,
            Event::PaymentParked { id, reason } => self.payment_parked(*id, reason.as_ref())?,
            Event::CallbackTaken { id, payment, attempt } => self.callback_taken(id, *payment, *attempt),
        }
        Ok(())
    }

    /// Books one line of a movement on its shelf.
    fn moved(&mut self, kind: MovementKind, moved: &Moved) -> Result<(), ViewError> {
        if moved.change == 0 && kind != MovementKind::Count {
            return Ok(());
        }
        let (units, day) = (moved.change.unsigned_abs(), self.at.time.day());
        self.stock(&moved.sku, &moved.location, |row| {
            shrink(&mut row.unavailable, moved.from_unavailable)?;
            match kind {
                MovementKind::Receive | MovementKind::Return => grow(&mut row.received, units),
                MovementKind::Issue => {
                    row.recent.count(day, units);
                    grow(&mut row.sold, units)?;
                    grow(&mut row.shipped, units)
                }
                MovementKind::Ship => grow(&mut row.shipped, units),
                MovementKind::WriteOff => grow(&mut row.written_off, units),
                MovementKind::Count if moved.change > 0 => grow(&mut row.received, units),
                MovementKind::Count => grow(&mut row.written_off, units),
            }
        })
    }

    /// Tables of today and of the seven days before are read, which is all there are. Today's is emptied
    /// now, before anything is remembered in it, and with it those of the days that the site slept through.
    fn day_started(&mut self, day: u64) -> Result<(), ViewError> {
        let before = self.get::<SiteRow>(())?.map_or(0, |row| row.day);
        if day <= before {
            return Ok(());
        }
        // Day 0: no day was ever started, so no table is from before.
        let first = if before == 0 { u64::MAX } else { before.saturating_add(1) };
        for unused in (first..=day).rev().take(Table::ANSWERS.len()) {
            self.rows.empty(Table::answers(unused));
        }
        self.site(|row| row.day = day)
    }

    /// Writes one line of the ledger.
    fn movement(&mut self, event: &Event, moved: &Moved, entry: &Entry, line: u32) {
        let Event::StockMoved { kind, reference, reason, reservation, occurred_at, .. } = event else { return };
        let recorded_at = self.at.time;
        let key =
            MovementKey { sku: &moved.sku, location: &moved.location, recorded_at, position: self.at.position, line };
        let movement = Movement {
            kind: *kind,
            change: moved.change,
            on_hand_after: moved.on_hand_after,
            reference: reference.clone(),
            reservation: *reservation,
            reason: reason.clone(),
            actor: entry.actor.clone(),
            request_id: entry.request_id.clone(),
            occurred_at: *occurred_at,
            recorded_at,
        };
        self.put(key, &movement);
    }

    /// Takes handed-out units off a committed reservation.
    fn handed_out(&mut self, id: ReservationId, moved: &[Moved]) -> Result<(), ViewError> {
        let Some(mut reservation) = self.get::<Reservation>(id)? else { return Ok(()) };
        for moved in moved {
            let same = |line: &&mut ReservationLine| line.sku == moved.sku && line.location == moved.location;
            if let Some(line) = reservation.lines.iter_mut().find(same) {
                grow(&mut line.shipped, moved.quantity)?;
                if line.tracked {
                    self.promise(id, line, SiteTime::NEVER, line.quantity.saturating_sub(line.shipped));
                }
            }
        }
        self.put(id, &reservation);
        Ok(())
    }

    fn promise(&mut self, id: ReservationId, line: &ReservationLine, due: SiteTime, quantity: u64) {
        let key = PromiseKey { sku: &line.sku, location: &line.location, due, id };
        match quantity {
            0 => self.delete::<Promise>(key),
            quantity => self.put(key, &Promise { quantity }),
        }
    }

    fn remember(&mut self, idempotency: &Idempotency, events: &[Event]) {
        let remembered = Remembered {
            fingerprint: idempotency.fingerprint,
            position: self.at.position,
            recorded_at: self.at.time,
            events: events.to_vec(),
        };
        let mut key = Key::new().fixed(&idempotency.scope);
        key.site(self.at.site);
        self.rows.put(Table::answers(self.at.time.day()), key.into_bytes(), encode(&remembered));
    }

    fn product_edited(&mut self, edited: &Arc<ProductEdited>, entry: &Entry) -> Result<(), ViewError> {
        let ProductEdited { id, stamp, seen, edit, .. } = &**edited;
        let mut sibling = self.get::<Sibling>(id)?.unwrap_or_default();
        if edit.present.is_some() {
            // What is made anew or deleted lays no claim to what it had.
            sibling.variants.keys().for_each(|sku| self.delete::<Claim>((sku, id)));
        }
        for sku in sibling.take(edit, Made { stamp: *stamp, seen, at: self.at.time }) {
            self.put::<Claim>((&sku, id), &Claim);
        }
        self.put(id, &sibling);
        self.revision(id, *stamp, Edited::Product(edited.clone()), entry);
        let ends = edit.present.is_some();
        self.products.entry(id.clone()).and_modify(|all| *all |= ends).or_insert(ends);
        self.site(|row| row.stamp = row.stamp.max(*stamp))
    }

    fn listing_edited(&mut self, edited: &Arc<ListingEdited>, entry: &Entry) -> Result<(), ViewError> {
        let ListingEdited { id, market, stamp, seen, edit, .. } = &**edited;
        let mut sibling = self.get::<ListingSibling>((id, market))?.unwrap_or_default();
        sibling.take(edit, Made { stamp: *stamp, seen, at: self.at.time });
        self.put((id, market), &sibling);
        self.revision(id, *stamp, Edited::Listing(edited.clone()), entry);
        self.listings.insert((id.clone(), market.clone()));
        self.site(|row| row.stamp = row.stamp.max(*stamp))
    }

    fn revision(&mut self, id: &ProductId, stamp: Stamp, edited: Edited, entry: &Entry) {
        let revision = Revision {
            position: self.at.position,
            at: self.at.time,
            actor: entry.actor.clone(),
            request_id: entry.request_id.clone(),
            edited,
        };
        self.put((id, stamp), &revision);
    }

    fn job_started(&mut self, started: &JobStarted, entry: &Entry) {
        self.put(started.id, &Job::new(started.clone(), entry.actor.clone(), self.at.time));
    }

    fn lines_done(&mut self, done: &LinesDone) -> Result<(), ViewError> {
        let Some(id) = done.job else { return Ok(()) };
        self.put((id, done.from_line), done);
        self.job(id, |job| job.advanced(done))
    }

    fn job(&mut self, id: JobId, change: impl FnOnce(&mut Job)) -> Result<(), ViewError> {
        if let Some(mut job) = self.get::<Job>(id)? {
            change(&mut job);
            job.updated_at = self.at.time;
            self.put(id, &job);
        }
        Ok(())
    }

    fn stock(
        &mut self,
        sku: &Sku,
        location: &LocationId,
        change: impl FnOnce(&mut StockRow) -> Result<(), ViewError>,
    ) -> Result<(), ViewError> {
        let mut row = self.get::<StockRow>((sku, location))?.unwrap_or_default();
        change(&mut row)?;
        row.version += 1;
        self.put((sku, location), &row);
        Ok(())
    }

    fn offer(&mut self, id: OfferId, asker: &SiteId, change: impl FnOnce(&mut OfferRow)) -> Result<(), ViewError> {
        let key = OfferKey { id, asker };
        let mut row = self.get::<OfferRow>(key)?.unwrap_or_default();
        change(&mut row);
        self.put(key, &row);
        Ok(())
    }

    /// Quota goes from one site to another.
    fn other(&self, site: &SiteId) -> Result<(), ViewError> {
        if site == self.at.site { Err(wrong("a site gives quota to itself")) } else { Ok(()) }
    }

    fn site(&mut self, change: impl FnOnce(&mut SiteRow)) -> Result<(), ViewError> {
        let mut row = self.get::<SiteRow>(())?.unwrap_or_default();
        change(&mut row);
        self.put((), &row);
        Ok(())
    }

    fn get<R: Primary>(&self, key: R::Key<'_>) -> Result<Option<R>, ViewError> {
        crate::view::row(self.rows, self.at.site, key)
    }

    fn put<R: Primary>(&mut self, key: R::Key<'_>, row: &R) {
        let mut key = R::key(key);
        key.site(self.at.site);
        self.rows.put(R::TABLE, key.into_bytes(), encode(row));
    }

    fn delete<R: Primary>(&mut self, key: R::Key<'_>) {
        let mut key = R::key(key);
        key.site(self.at.site);
        self.rows.delete(R::TABLE, key.into_bytes());
    }
}

/// Adds to a counter. An entry that would carry one beyond what every reader keeps exact is wrong.
fn grow(counter: &mut u64, units: u64) -> Result<(), ViewError> {
    let grown = counter.checked_add(units).filter(|grown| *grown <= COUNTER_MAX);
    *counter = grown.ok_or_else(|| wrong("a counter grows beyond 2^53"))?;
    Ok(())
}

/// Sets a counter to a total, which may be the one that it has.
fn raise(counter: &mut u64, to: u64) -> Result<(), ViewError> {
    if to < *counter || to > COUNTER_MAX {
        return Err(wrong("a total goes back, or beyond 2^53"));
    }
    *counter = to;
    Ok(())
}

/// Takes units off a counter that must hold them.
fn shrink(counter: &mut u64, units: u64) -> Result<(), ViewError> {
    let left = counter.checked_sub(units);
    *counter = left.ok_or_else(|| wrong("more units are given back than are held"))?;
    Ok(())
}

/// The place of a line in its entry: event, then line. An entry's bytes hold fewer of either.
fn place(event: u32, line: u32) -> Result<u32, ViewError> {
    let of_event = event.checked_mul(1 << 16).filter(|_| line < 1 << 16);
    of_event.map(|first| first + line).ok_or_else(|| wrong("an entry has more than 65,536 events or lines"))
}

fn wrong(why: &str) -> ViewError {
    ViewError { table: Table::STOCK.name(), why: why.into() }
}

/// The changes of one group on top of `view`; what the simulator and the checks call.
pub fn changes_of(view: &dyn View, group: &Group) -> Result<Changes, ViewError> {
    let mut rows = Overlay::new(view);
    fold(&mut rows, group)?;
    Ok(rows.into_changes())
}
