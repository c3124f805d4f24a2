//! One entry against the rows before and after it.

use kontor_core::access::AccessKey;
use kontor_core::event::{Entry, Event, Moved};
use kontor_core::fold::{self, At};
use kontor_core::id::{LocationId, ReservationId, Sku};
use kontor_core::location::Location;
use kontor_core::movement::{MovementKind, UsedReference};
use kontor_core::overlay::Overlay;
use kontor_core::product::{Item, Status};
use kontor_core::reservation::{Reservation, ReservationLine, ReservationStatus};
use kontor_core::stock::{Level, StockRow};
use kontor_core::view::{View, ViewError, derived, row, rows_of_sites};

use super::{Report, Rule};

/// Checks an entry and applies it.
pub(super) fn check(rows: &mut Overlay<'_>, at: At<'_>, entry: &Entry, report: &mut Report) -> Result<(), ViewError> {
    if let Some(key) = &entry.idempotency {
        report.looked(Rule::Keys, 1);
        if let Some(before) = fold::remembered(rows, at.site, at.time.day(), &key.scope)? {
            let (here, there) = (at.position, before.position);
            report.broken(Rule::Keys, format!("{here}: its key had its effect at {there}, and was remembered"));
        }
    }
    if let [event] = entry.events.as_slice() {
        Look { rows, at, event }.before(report)?;
        fold::apply(rows, at, entry)?;
        return Look { rows, at, event }.after(report);
    }
    // Events of one entry build on each other, so each is judged by the rows that the one before it left.
    let mut between = Overlay::new(&*rows);
    for event in &entry.events {
        let one = Entry { idempotency: None, events: vec![event.clone()], ..entry.clone() };
        Look { rows: &between, at, event }.before(report)?;
        fold::apply(&mut between, at, &one)?;
        Look { rows: &between, at, event }.after(report)?;
    }
    fold::apply(rows, at, entry)
}

/// An event, and the rows before or after it.
struct Look<'l> {
    rows: &'l dyn View,
    at: At<'l>,
    event: &'l Event,
}

impl Look<'_> {
    fn before(&self, report: &mut Report) -> Result<(), ViewError> {
        match self.event {
            Event::StockMoved { kind, lines, reference, reservation, .. } => {
                if let Some(reference) = reference {
                    report.looked(Rule::References, 1);
                    if let Some(used) = row::<UsedReference>(self.rows, self.at.site, (*kind, reference))? {
                        let (here, there) = (self.at.position, used.position);
                        let what = format!("{here}: {kind:?} {} was booked at {there}", reference.as_str());
                        report.broken(Rule::References, what);
                    }
                }
                let handed_out = match (kind, reservation) {
                    (MovementKind::Ship, Some(id)) => Some(self.shipped(*id, lines, report)?),
                    (MovementKind::Ship, None) => {
                        report.broken(
                            Rule::Holds,
                            format!("{}: units were shipped for no reservation", self.at.position),
                        );
                        None
                    }
                    _ => None,
                };
                lines.iter().try_for_each(|moved| self.line(*kind, moved, handed_out.as_deref(), report))
            }
            Event::LocationOpened { id, .. } => {
                let taken = row::<Location>(self.rows, self.at.site, id)?.is_some();
                self.name(taken, "location", id.as_str(), report);
                Ok(())
            }
            Event::KeyCreated { id, .. } => {
                let taken = row::<AccessKey>(self.rows, self.at.site, id)?.is_some();
                self.name(taken, "key", id, report);
                Ok(())
            }
            Event::ReservationMade { id, lines, expires_at, .. } => {
                self.name(self.reservation(*id)?.is_some(), "reservation", &id.to_string(), report);
                self.holds(*expires_at > self.at.time, report, || format!("{id} was due when it was made"));
                for line in lines {
                    let item = self.item(&line.sku, report)?;
                    let counted = item.is_some_and(|item| item.selling.policy.counts());
                    let right = line.shipped == 0 && line.tracked == counted;
                    self.booked(right, report, || {
                        format!("{id} holds {} of {} as if its policy were another", line.quantity, line.sku)
                    });
                }
                Ok(())
            }
            Event::ReservationExtended { id, from, .. } => {
                let live = self.live(*id)?.is_some_and(|hold| hold.expires_at == *from && *from > self.at.time);
                self.holds(live, report, || format!("{id} was extended and was not held"));
                Ok(())
            }
            Event::ReservationEnded { id, status, lines, owner, created_at, expires_at } => {
                let hold = self.live(*id)?;
                self.holds(hold.is_some(), report, || format!("{id} ended and was not held"));
                let same = hold.is_none_or(|hold| {
                    (&hold.lines, &hold.owner, hold.created_at, hold.expires_at)
                        == (lines, owner, *created_at, *expires_at)
                });
                self.holds(same, report, || format!("{id} did not end as it was made"));
                let due = *expires_at <= self.at.time;
                self.holds((*status == ReservationStatus::Expired) == due, report, || {
                    format!("{id} was {} when it was {}due", status.word(), if due { "" } else { "not " })
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn after(&self, report: &mut Report) -> Result<(), ViewError> {
        match self.event {
            Event::StockMoved { kind, lines, .. } => {
                for moved in lines {
                    let level = self.level(&moved.sku, &moved.location)?;
                    let told = (moved.on_hand_after, moved.available_after) == (level.on_hand, level.available);
                    self.booked(told, report, || {
                        format!(
                            "{} at {}: on_hand {} and available {} were told, {} and {} were there",
                            moved.sku,
                            moved.location,
                            moved.on_hand_after,
                            moved.available_after,
                            level.on_hand,
                            level.available
                        )
                    });
                    if *kind == MovementKind::Issue {
                        self.sold(&moved.sku, &moved.location, moved.quantity, &level, report)?;
                    }
                    if moved.change != 0 {
                        self.at_hand(*kind, moved, &level, report)?;
                    }
                }
                Ok(())
            }
            Event::StockAdjusted { sku, location, available_after, .. } => {
                let level = self.level(sku, location)?;
                self.booked(*available_after == level.available, report, || {
                    format!("{sku} at {location}: available {available_after} was told, {} was there", level.available)
                });
                Ok(())
            }
            Event::QuotaGranted { sku, location, to, .. } => {
                report.looked(Rule::Promised, 1);
                let level = self.level(sku, location)?;
                report.expect(Rule::Promised, level.sellable_here >= 0, || {
                    let (here, over) = (self.at.position, -level.sellable_here);
                    format!("{here}: {to} was given {over} more of {sku} at {location} than there were to give")
                });
                Ok(())
            }
            Event::ReservationMade { lines, .. } => {
                for line in lines {
                    let level = self.level(&line.sku, &line.location)?;
                    self.sold(&line.sku, &line.location, line.quantity, &level, report)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is promised after a sale is what the policy in force allows. Counts, write-offs and edits of
    /// the policy may leave more promised than there is: that is a shortage, and no sale.
    fn sold(
        &self,
        sku: &Sku,
        location: &LocationId,
        quantity: u64,
        level: &Level,
        report: &mut Report,
    ) -> Result<(), ViewError> {
        report.looked(Rule::Promised, 1);
        let Some(item) = derived::<Item>(self.rows, sku)? else { return Ok(()) };
        let name = || format!("{}: {quantity} of {sku} at {location}", self.at.position);
        report.expect(Rule::Promised, item.status == Status::Active, || format!("{} were sold, archived", name()));
        let here = self.home(location)?.is_some_and(|home| home == *self.at.site);
        let beyond = if here { i64::try_from(item.selling.backorder_limit).unwrap_or(i64::MAX) } else { 0 };
        let allowed = !item.selling.policy.refuses() || level.sellable_here.saturating_add(beyond) >= 0;
        report.expect(Rule::Promised, allowed, || {
            let over = -level.sellable_here;
            format!("{} were sold: {over} more are promised than there are, {beyond} may be: oversold", name())
        });
        Ok(())
    }

    fn at_hand(&self, kind: MovementKind, moved: &Moved, level: &Level, report: &mut Report) -> Result<(), ViewError> {
        let there = match kind {
            MovementKind::Issue | MovementKind::Ship => {
                let refuses = derived::<Item>(self.rows, &moved.sku)?.is_some_and(|item| item.selling.policy.refuses());
                !refuses || level.on_hand >= level.unavailable
            }
            MovementKind::WriteOff => level.on_hand >= 0,
            MovementKind::Receive | MovementKind::Return | MovementKind::Count => return Ok(()),
        };
        report.looked(Rule::AtHand, 1);
        report.expect(Rule::AtHand, there, || {
            let Moved { quantity, sku, location, .. } = moved;
            format!(
                "{}: {quantity} of {sku} at {location} were not there to go: {} left",
                self.at.position, level.on_hand
            )
        });
        Ok(())
    }

    /// A movement's line changes on_hand as its kind and its item's policy say.
    fn line(
        &self,
        kind: MovementKind,
        moved: &Moved,
        handed_out: Option<&[ReservationLine]>,
        report: &mut Report,
    ) -> Result<(), ViewError> {
        let quantity = i64::try_from(moved.quantity).unwrap_or(i64::MAX);
        let counted = match handed_out {
            Some(lines) => lines.iter().any(|line| is_of(line, moved) && line.tracked),
            None => self.item(&moved.sku, report)?.is_some_and(|item| item.selling.policy.counts()),
        };
        let change = match kind {
            MovementKind::Receive | MovementKind::Return => quantity,
            MovementKind::WriteOff => -quantity,
            MovementKind::Count => quantity - self.level(&moved.sku, &moved.location)?.on_hand,
            MovementKind::Issue | MovementKind::Ship => {
                if counted {
                    -quantity
                } else {
                    0
                }
            }
        };
        self.booked(moved.change == change, report, || {
            let Moved { sku, location, .. } = moved;
            format!("{sku} at {location}: {kind:?} of {quantity} was booked as {}, not {change}", moved.change)
        });
        let home = self.home(&moved.location)?;
        self.booked(home.is_some_and(|home| home == *self.at.site), report, || {
            format!("{} at {}: it was booked, and this is not the location's home", moved.sku, moved.location)
        });
        Ok(())
    }

    /// What is shipped was committed, and had not been handed out. Answers the reservation's lines.
    fn shipped(
        &self,
        id: ReservationId,
        moved: &[Moved],
        report: &mut Report,
    ) -> Result<Vec<ReservationLine>, ViewError> {
        let committed = self.reservation(id)?.filter(|it| it.status == ReservationStatus::Committed);
        let lines = committed.map(|reservation| reservation.lines).unwrap_or_default();
        for moved in moved {
            let line = lines.iter().find(|line| is_of(line, moved));
            let left = line.map_or(0, |line| line.quantity.saturating_sub(line.shipped));
            self.holds(moved.quantity <= left, report, || {
                format!("{id}: {} of {} were shipped, {left} were committed", moved.quantity, moved.sku)
            });
        }
        Ok(lines)
    }

    fn holds(&self, right: bool, report: &mut Report, what: impl FnOnce() -> String) {
        report.looked(Rule::Holds, 1);
        report.expect(Rule::Holds, right, || format!("{}: {}", self.at.position, what()));
    }

    fn booked(&self, right: bool, report: &mut Report, what: impl FnOnce() -> String) {
        report.looked(Rule::Booked, 1);
        report.expect(Rule::Booked, right, || format!("{}: {}", self.at.position, what()));
    }

    fn name(&self, taken: bool, kind: &str, name: &str, report: &mut Report) {
        report.looked(Rule::Names, 1);
        report.expect(Rule::Names, !taken, || format!("{}: there was a {kind} {name}", self.at.position));
    }

    /// The item behind a SKU, which must exist where it is booked.
    fn item(&self, sku: &Sku, report: &mut Report) -> Result<Option<Item>, ViewError> {
        let item = derived::<Item>(self.rows, sku)?;
        self.booked(item.is_some(), report, || format!("there was no SKU {sku}"));
        Ok(item)
    }

    fn live(&self, id: ReservationId) -> Result<Option<Reservation>, ViewError> {
        Ok(self.reservation(id)?.filter(|it| it.status == ReservationStatus::Held))
    }

    fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, ViewError> {
        row(self.rows, self.at.site, id)
    }

    fn home(&self, location: &LocationId) -> Result<Option<kontor_core::id::SiteId>, ViewError> {
        Ok(rows_of_sites::<Location>(self.rows, location)?.into_iter().next().map(|(home, _)| home))
    }

    fn level(&self, sku: &Sku, location: &LocationId) -> Result<Level, ViewError> {
        let home = self.home(location)?;
        let rows = rows_of_sites::<StockRow>(self.rows, (sku, location))?;
        Ok(Level::of(&rows, home.as_ref().unwrap_or(self.at.site), self.at.site))
    }
}

fn is_of(line: &ReservationLine, moved: &Moved) -> bool {
    (&line.sku, &line.location) == (&moved.sku, &moved.location)
}
