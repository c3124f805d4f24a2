//! What happens at the shelf. Every rule here is decided by the location's home site.

use super::{Demand, Rules, bounds, expect_number, limit, line_bytes};
use crate::command::{Change, Inbound, Line, Note};
use crate::event::{Event, Moved};
use crate::id::{LocationId, ReservationId, SiteId, Sku};
use crate::limits::{ENTRY_BYTES_MAX, HEAD_BYTES_MAX, OCCURRED_FUTURE_MS_MAX, OCCURRED_PAST_MS_MAX, QUANTITY_MAX};
use crate::movement::{MovementKind, UsedReference};
use crate::product::{Item, Policy};
use crate::refusal::{Refusal, Stop};
use crate::reservation::{Reservation, ReservationStatus};
use crate::stock::{Level, StockRow, elsewhere, parties, sellable};
use crate::time::SiteTime;
use crate::view::{row, rows_of_sites};

impl Rules<'_> {
    pub(super) fn receive(self, from: Inbound, lines: &[Line], note: &Note) -> Result<Vec<Event>, Stop> {
        let kind = match from {
            Inbound::Delivery => MovementKind::Receive,
            Inbound::Return => MovementKind::Return,
        };
        let wanted = self.summed(lines)?;
        let mut first = Vec::new();
        for item in &wanted {
            // What a customer brings back says nothing of how many are there.
            first.extend(self.first_counted(&item.sku)?.filter(|_| from == Inbound::Delivery));
            self.home_here(&item.location)?;
        }
        let papers = self.papers(kind, note)?;
        let mut moved = Vec::with_capacity(wanted.len());
        for item in wanted {
            let level = self.level(&item.sku, &item.location)?;
            limit("units", units(level.on_hand) + item.quantity, QUANTITY_MAX)?;
            moved.push(item.moved(&level, signed(item.quantity), signed(item.quantity)));
        }
        self.counted_from_now(first, papers.moved(moved, None))
    }

    pub(super) fn issue(self, lines: &[Line], note: &Note) -> Result<Vec<Event>, Stop> {
        let wanted = self.summed(lines)?;
        let mut for_sale = Vec::with_capacity(wanted.len());
        for item in &wanted {
            for_sale.push(self.item_for_sale(&item.sku)?);
            self.home_here(&item.location)?;
        }
        let papers = self.papers(MovementKind::Issue, note)?;
        let mut room = Room::new(self, &wanted);
        let mut before = Vec::with_capacity(wanted.len());
        for (item, for_sale) in wanted.iter().zip(&for_sale) {
            let level = room.for_units(item, for_sale, self.context.site)?;
            // A backorder may promise what is not there; it cannot be handed over the counter.
            item.is_at_hand(&level, for_sale.selling.policy)?;
            before.push(level);
        }
        let mut moved = Vec::with_capacity(wanted.len());
        for ((item, for_sale), mut level) in wanted.iter().zip(&for_sale).zip(before) {
            room.give_back(item, &mut level);
            let change = if for_sale.selling.policy.counts() { -signed(item.quantity) } else { 0 };
            moved.push(item.moved(&level, change, change));
        }
        let mut events = room.freed()?;
        events.push(papers.moved(moved, None));
        Ok(events)
    }

    pub(super) fn ship(self, id: ReservationId, lines: Option<&[Line]>, note: &Note) -> Result<Vec<Event>, Stop> {
        let reservation = row::<Reservation>(self.view, self.context.site, id)?;
        let reservation = reservation.ok_or(Refusal::UnknownReservation { id })?;
        if reservation.status != ReservationStatus::Committed {
            return Err(self.not_promised(id, &reservation)?.into());
        }
        let left = |sku: &Sku, location: &LocationId| {
            let mut lines = reservation.lines.iter();
            lines
                .find(|line| line.sku == *sku && line.location == *location)
                .map(|line| (line.quantity - line.shipped, line.tracked))
        };
        let wanted = match lines {
            Some(lines) => self.summed(lines)?,
            None => {
                let all = reservation.lines.iter().filter(|line| line.quantity > line.shipped);
                let all = all.map(|line| Demand {
                    sku: line.sku.clone(),
                    location: line.location.clone(),
                    quantity: line.quantity - line.shipped,
                });
                all.collect()
            }
        };
        if let ([], Some(line)) = (wanted.as_slice(), reservation.lines.first()) {
            let (sku, location, wanted) = (line.sku.clone(), line.location.clone(), line.quantity);
            return Err(Refusal::InsufficientCommitted { sku, location, wanted, committed: 0 }.into());
        }
        wanted.iter().try_for_each(|item| self.home_here(&item.location))?;
        let papers = self.papers(MovementKind::Ship, note)?;
        let mut moved = Vec::with_capacity(wanted.len());
        for item in wanted {
            let (committed, tracked) = left(&item.sku, &item.location).unwrap_or((0, true));
            let level = self.level(&item.sku, &item.location)?;
            if item.quantity > committed {
                let (sku, location, wanted) = (item.sku, item.location, item.quantity);
                return Err(Refusal::InsufficientCommitted { sku, location, wanted, committed }.into());
            }
            if tracked {
                item.is_at_hand(&level, self.item(&item.sku)?.selling.policy)?;
            }
            let change = if tracked { -signed(item.quantity) } else { 0 };
            // The promise was taken out of what is available when it was made.
            moved.push(item.moved(&level, change, 0));
        }
        let order = self.shipped(id, &reservation, &moved)?;
        Ok([papers.moved(moved, Some(id))].into_iter().chain(order).collect())
    }

    pub(super) fn write_off(self, line: &Line, from_unavailable: bool, note: &Note) -> Result<Vec<Event>, Stop> {
        self.item(&line.sku)?;
        self.home_here(&line.location)?;
        let papers = self.papers(MovementKind::WriteOff, note)?;
        let level = self.level(&line.sku, &line.location)?;
        let quantity = line.quantity.units();
        let there =
            if from_unavailable { level.unavailable.min(level.on_hand) } else { level.on_hand - level.unavailable };
        if line.quantity.signed() > there {
            let (sku, location) = (line.sku.clone(), line.location.clone());
            return Err(Refusal::InsufficientOnHand { sku, location, wanted: quantity, on_hand: there }.into());
        }
        let item = Demand { sku: line.sku.clone(), location: line.location.clone(), quantity };
        let available = if from_unavailable { 0 } else { -signed(quantity) };
        let mut moved = item.moved(&level, -signed(quantity), available);
        moved.from_unavailable = if from_unavailable { quantity } else { 0 };
        Ok(vec![papers.moved(vec![moved], None)])
    }

    pub(super) fn count(
        self,
        sku: &Sku,
        location: &LocationId,
        counted: u64,
        expected: Option<i64>,
        note: &Note,
    ) -> Result<Vec<Event>, Stop> {
        limit("units", counted, QUANTITY_MAX)?;
        let first = self.first_counted(sku)?;
        self.home_here(location)?;
        let papers = self.papers(MovementKind::Count, note)?;
        let level = self.level(sku, location)?;
        expect_number("on_hand", expected, level.on_hand)?;
        let change = signed(counted) - level.on_hand;
        // Fewer than were set aside: the missing ones are among those.
        let set_aside = (level.unavailable - signed(counted)).max(0);
        let item = Demand { sku: sku.clone(), location: location.clone(), quantity: counted };
        let mut moved = item.moved(&level, change, change + set_aside);
        moved.from_unavailable = units(set_aside);
        self.counted_from_now(first.into_iter().collect(), papers.moved(vec![moved], None))
    }

    pub(super) fn adjust(
        self,
        sku: &Sku,
        location: &LocationId,
        unavailable: Option<Change>,
        safety_stock: Option<Change>,
    ) -> Result<Vec<Event>, Stop> {
        if unavailable.is_none() && safety_stock.is_none() {
            return Err(Refusal::Nothing { what: "the adjustment" }.into());
        }
        self.item(sku)?;
        self.home_here(location)?;
        let level = self.level(sku, location)?;
        let unavailable = adjusted("unavailable", unavailable, level.unavailable)?;
        let safety_stock = adjusted("safety_stock", safety_stock, level.safety_stock)?;
        if unavailable > level.on_hand.max(level.unavailable) {
            let (sku, location, wanted) = (sku.clone(), location.clone(), units(unavailable));
            return Err(Refusal::InsufficientOnHand { sku, location, wanted, on_hand: level.on_hand }.into());
        }
        let available_after = level.available + level.unavailable + level.safety_stock - unavailable - safety_stock;
        Ok(vec![Event::StockAdjusted {
            sku: sku.clone(),
            location: location.clone(),
            unavailable: units(unavailable),
            safety_stock: units(safety_stock),
            available_after,
        }])
    }

    /// The level of an item at a location whose books are kept here.
    pub(super) fn level(self, sku: &Sku, location: &LocationId) -> Result<Level, Stop> {
        let rows = rows_of_sites::<StockRow>(self.view, (sku, location))?;
        Ok(Level::of(&rows, self.context.site, self.context.site))
    }

    /// The time up to which all have been heard that could promise units here, as far as is known.
    fn heard_of_all(self, rows: &[(SiteId, StockRow)], home: &SiteId) -> SiteTime {
        let have = parties(rows).into_iter().filter(|site| *site != self.context.site);
        let have = have.filter(|site| sellable(rows, home, site) > 0);
        let heard = |site: &SiteId| self.context.heard.iter().find(|(of, _)| of == site).map(|(_, at)| *at);
        have.filter_map(heard).min().unwrap_or_default()
    }

    /// The papers of a movement, whose reference must be new. Asked before whether there is enough:
    /// who repeats what was done is told so, also when nothing is left by now.
    fn papers(self, kind: MovementKind, note: &Note) -> Result<Papers<'_>, Stop> {
        let occurred_at = self.occurred_at(note.occurred_at)?;
        if let Some(reference) = &note.reference {
            let used = row::<UsedReference>(self.view, self.context.site, (kind, reference))?;
            if let Some(UsedReference { position }) = used {
                return Err(Refusal::ReferenceUsed { reference: reference.clone(), position }.into());
            }
        }
        Ok(Papers { kind, note, occurred_at })
    }

    fn occurred_at(self, said: Option<SiteTime>) -> Result<SiteTime, Stop> {
        let now = self.context.now;
        if let Some(said) = said {
            let (from, to) = (now.0.saturating_sub(OCCURRED_PAST_MS_MAX), now.plus(OCCURRED_FUTURE_MS_MAX).0);
            bounds("occurred_at", said.0, from, to)?;
        }
        Ok(said.unwrap_or(now))
    }
}

/// What is known of a movement before its lines.
struct Papers<'n> {
    kind: MovementKind,
    note: &'n Note,
    occurred_at: SiteTime,
}

impl Papers<'_> {
    fn moved(self, lines: Vec<Moved>, reservation: Option<ReservationId>) -> Event {
        let (reference, reason) = (self.note.reference.clone(), self.note.reason.clone());
        Event::StockMoved { kind: self.kind, lines, reference, reason, reservation, occurred_at: self.occurred_at }
    }
}

/// Room for a sale: what can be promised of each item, counting holds whose deadline has passed.
///
/// Such holds are ended first, but only as many as the sale needs: the timer ends the others.
pub(super) struct Room<'a> {
    rules: Rules<'a>,
    ended: super::reservations::Ended<'a>,
}

impl<'a> Room<'a> {
    /// For a command that names these items.
    pub(super) fn new(rules: Rules<'a>, wanted: &[Demand]) -> Self {
        let taken: usize = wanted.iter().map(|item| line_bytes(&item.sku, &item.location)).sum();
        let left = ENTRY_BYTES_MAX.saturating_sub(HEAD_BYTES_MAX + taken);
        Self { rules, ended: super::reservations::Ended::new(rules, left) }
    }

    /// Makes room for `item.quantity` units of an item, or refuses. Answers the level before that.
    pub(super) fn for_units(&mut self, item: &Demand, for_sale: &Item, home: &SiteId) -> Result<Level, Stop> {
        let backorder = if *home == *self.rules.context.site { signed(for_sale.selling.backorder_limit) } else { 0 };
        let here = self.rules.context.site;
        let rows = rows_of_sites::<StockRow>(self.rules.view, (&item.sku, &item.location))?;
        let before = Level::of(&rows, home, here);
        if !for_sale.selling.policy.refuses() {
            return Ok(before);
        }
        let mut level = before.clone();
        self.ended.give_back(&item.sku, &item.location, &mut level);
        let missing = signed(item.quantity) - level.sellable_here - backorder;
        if missing > 0 && level.reserved > 0 {
            self.ended.due_holds(&item.sku, &item.location, units(missing), &mut level)?;
        }
        if signed(item.quantity) > level.sellable_here + backorder {
            let (sku, location, wanted) = (item.sku.clone(), item.location.clone(), item.quantity);
            let available = (level.sellable_here + backorder).max(0);
            let elsewhere = elsewhere(&rows, home, here);
            if elsewhere > 0 {
                let as_of = self.rules.heard_of_all(&rows, home);
                return Err(Refusal::QuotaExhaustedHere { sku, location, wanted, available, elsewhere, as_of }.into());
            }
            return Err(Refusal::InsufficientStock { sku, location, wanted, available }.into());
        }
        Ok(before)
    }

    /// Adds to a level what the ended holds held of the item. Right once room is made for all
    /// items: a hold that was ended for a later one may have held this one too.
    fn give_back(&self, item: &Demand, level: &mut Level) {
        self.ended.give_back(&item.sku, &item.location, level);
    }

    /// The endings of holds that made the room.
    pub(super) fn freed(self) -> Result<Vec<Event>, Stop> {
        self.ended.into_events()
    }
}

impl Demand {
    /// Refuses to hand out more than is there and fit to be sold.
    fn is_at_hand(&self, level: &Level, policy: Policy) -> Result<(), Stop> {
        let on_hand = level.on_hand - level.unavailable;
        if policy.refuses() && signed(self.quantity) > on_hand {
            let (sku, location, wanted) = (self.sku.clone(), self.location.clone(), self.quantity);
            return Err(Refusal::InsufficientOnHand { sku, location, wanted, on_hand }.into());
        }
        Ok(())
    }

    fn moved(&self, before: &Level, change: i64, available: i64) -> Moved {
        Moved {
            sku: self.sku.clone(),
            location: self.location.clone(),
            quantity: self.quantity,
            change,
            from_unavailable: 0,
            on_hand_after: before.on_hand + change,
            available_after: before.available + available,
        }
    }
}

fn adjusted(field: &'static str, change: Option<Change>, now: i64) -> Result<i64, Stop> {
    let Some(change) = change else { return Ok(now) };
    limit("units", change.to, QUANTITY_MAX)?;
    expect_number(field, change.expected.map(signed), now)?;
    Ok(signed(change.to))
}

/// Within [`QUANTITY_MAX`], so exact.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// A level that is below zero counts as none.
fn units(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}
