//! What a command does to the shop, and what the site must tell of it.

use kontor_core::command::{Command, Inbound, Note, Request};
use kontor_core::event::{Event, Moved};
use kontor_core::id::{Position, ReservationId};
use kontor_core::movement::MovementKind;
use kontor_core::product::{Policy, Status};
use kontor_core::reservation::{ReservationLine, ReservationStatus};
use kontor_core::time::SiteTime;

use super::objections::{signed, unsigned};
use super::shop::{Hold, HoldLine, ShelfKey, Shop, ShopProduct, summed};

/// Where and when something is booked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Booked {
    pub(crate) position: Position,
    pub(crate) at: SiteTime,
}

impl Shop {
    /// Books a request to which nobody objects, and answers the event that must be told of it.
    /// `told` is what the site says: edits take their stamp from it, and a hold that the site was
    /// to name takes its name.
    pub(crate) fn carry_out(&mut self, request: &Request, booked: Booked, told: &Event) -> Option<Event> {
        Some(match &request.command {
            Command::CreateProduct { id, sku, title, selling } => {
                let Event::ProductCreated { stamp, .. } = told else { return None };
                let id = id.clone().unwrap_or_else(|| sku.clone().into());
                let variants = vec![(sku.clone(), None, *selling)];
                let product = ShopProduct { title: title.clone(), status: Status::Active, revision: 1, variants };
                self.products.insert(id.clone(), product);
                self.items.insert(sku.clone(), id.clone());
                let (sku, title) = (sku.clone(), title.clone());
                Event::ProductCreated { id, sku, title, selling: *selling, stamp: *stamp }
            }
            Command::ChangeProduct { id, title, status, .. } => {
                let Event::ProductChanged { stamp, .. } = told else { return None };
                let product = self.products.get_mut(id)?;
                product.revision += 1;
                product.title = title.clone().unwrap_or_else(|| product.title.clone());
                product.status = status.unwrap_or(product.status);
                Event::ProductChanged { id: id.clone(), title: title.clone(), status: *status, stamp: *stamp }
            }
            Command::AddVariant { id, sku, title, selling } => {
                let Event::VariantAdded { stamp, .. } = told else { return None };
                let product = self.products.get_mut(id)?;
                product.revision += 1;
                product.variants.push((sku.clone(), title.clone(), *selling));
                self.items.insert(sku.clone(), id.clone());
                let (id, sku, title) = (id.clone(), sku.clone(), title.clone());
                Event::VariantAdded { id, sku, title, selling: *selling, stamp: *stamp }
            }
            Command::ChangeVariant { id, sku, title, selling, .. } => {
                let Event::VariantChanged { stamp, .. } = told else { return None };
                let product = self.products.get_mut(id)?;
                product.revision += 1;
                let (_, name, how) = product.variants.iter_mut().find(|(of, ..)| of == sku)?;
                *name = title.clone().or(name.take());
                *how = selling.unwrap_or(*how);
                let (id, sku, title) = (id.clone(), sku.clone(), title.clone());
                Event::VariantChanged { id, sku, title, selling: *selling, stamp: *stamp }
            }
            Command::OpenLocation { id, name } => {
                self.locations.insert(id.clone(), (name.clone(), 1));
                Event::LocationOpened { id: id.clone(), name: name.clone() }
            }
            Command::RenameLocation { id, name, .. } => {
                let location = self.locations.get_mut(id)?;
                *location = (name.clone(), location.1 + 1);
                Event::LocationRenamed { id: id.clone(), name: name.clone() }
            }
            Command::CreateKey { id, role, digest } => {
                self.keys.insert(id.clone());
                Event::KeyCreated { id: id.clone(), role: *role, digest: *digest }
            }
            Command::Receive { from, lines, note } => {
                let kind = match from {
                    Inbound::Delivery => MovementKind::Receive,
                    Inbound::Return => MovementKind::Return,
                };
                let lines = summed(lines).into_iter().map(|(shelf, units)| self.moved(shelf, units, signed(units), 0));
                let lines = lines.collect();
                self.papers(kind, lines, note, None, booked)
            }
            Command::Issue { lines, note } => {
                let mut moved = Vec::new();
                for (shelf, units) in summed(lines) {
                    let counted = self.selling(&shelf.0)?.policy != Policy::None;
                    moved.push(self.moved(shelf, units, if counted { -signed(units) } else { 0 }, 0));
                }
                self.papers(MovementKind::Issue, moved, note, None, booked)
            }
            Command::Ship { reservation, lines, note } => {
                let lines = lines.as_ref().map(|lines| summed(lines));
                let moved = self.shipped(*reservation, lines)?;
                self.papers(MovementKind::Ship, moved, note, Some(*reservation), booked)
            }
            Command::WriteOff { line, from_unavailable, note } => {
                let (shelf, units) = ((line.sku.clone(), line.location.clone()), line.quantity.units());
                let set_aside = if *from_unavailable { units } else { 0 };
                let moved = self.moved(shelf, units, -signed(units), set_aside);
                self.papers(MovementKind::WriteOff, vec![moved], note, None, booked)
            }
            Command::Count { sku, location, counted, note, .. } => {
                let key = (sku.clone(), location.clone());
                let shelf = self.shelf(&key);
                let lost_of_set_aside = (shelf.unavailable - signed(*counted)).max(0);
                let change = signed(*counted) - shelf.on_hand;
                let moved = self.moved(key, *counted, change, unsigned(lost_of_set_aside));
                self.papers(MovementKind::Count, vec![moved], note, None, booked)
            }
            Command::Adjust { sku, location, unavailable, safety_stock } => {
                let key = (sku.clone(), location.clone());
                let shelf = self.shelf_mut(&key);
                shelf.unavailable = unavailable.map_or(shelf.unavailable, |change| signed(change.to));
                shelf.safety_stock = safety_stock.map_or(shelf.safety_stock, |change| signed(change.to));
                Event::StockAdjusted {
                    sku: sku.clone(),
                    location: location.clone(),
                    unavailable: unsigned(shelf.unavailable),
                    safety_stock: unsigned(shelf.safety_stock),
                    available_after: self.available(&key, self.held(&key)),
                }
            }
            Command::Reserve { id, owner, lines, hold_ms } => {
                let Event::ReservationMade { id: named, .. } = told else { return None };
                let (id, expires_at) = (id.unwrap_or(*named), booked.at.plus(*hold_ms));
                let mut held = Vec::new();
                for (shelf, units) in summed(lines) {
                    let tracked = self.selling(&shelf.0)?.policy != Policy::None;
                    self.claims.entry(shelf.clone()).or_default().insert(id);
                    held.push(HoldLine { shelf, quantity: signed(units), shipped: 0, tracked });
                }
                let hold = Hold {
                    status: ReservationStatus::Held,
                    owner: owner.clone(),
                    lines: held,
                    created_at: booked.at,
                    expires_at,
                    ended_at: None,
                };
                let lines = hold.told_lines();
                self.reservations.insert(id, hold);
                Event::ReservationMade { id, owner: owner.clone(), lines, expires_at }
            }
            Command::Extend { id, hold_ms } => {
                let hold = self.reservations.get_mut(id)?;
                let from = std::mem::replace(&mut hold.expires_at, booked.at.plus(*hold_ms));
                Event::ReservationExtended { id: *id, from, expires_at: hold.expires_at }
            }
            Command::Commit { id } => self.end(*id, ReservationStatus::Committed, booked.at)?,
            Command::Release { id } => self.end(*id, ReservationStatus::Released, booked.at)?,
            Command::EndDueHolds { .. } | Command::StartDay => return None,
        })
    }

    /// Books the end of a hold.
    pub(crate) fn end(&mut self, id: ReservationId, status: ReservationStatus, at: SiteTime) -> Option<Event> {
        let hold = self.reservations.get_mut(&id)?;
        hold.status = status;
        hold.ended_at = Some(at);
        let (lines, owner) = (hold.told_lines(), hold.owner.clone());
        let (created_at, expires_at) = (hold.created_at, hold.expires_at);
        self.unclaim(id);
        Some(Event::ReservationEnded { id, status, lines, owner, created_at, expires_at })
    }

    fn shipped(&mut self, id: ReservationId, lines: Option<Vec<(ShelfKey, u64)>>) -> Option<Vec<Moved>> {
        let hold = self.reservations.get(&id)?;
        let left = hold.lines.iter().filter(|line| line.quantity > line.shipped);
        let left = left.map(|line| (line.shelf.clone(), unsigned(line.quantity - line.shipped)));
        let wanted = lines.unwrap_or_else(|| left.collect());
        let mut moved = Vec::new();
        for (shelf, units) in wanted {
            let lines = &mut self.reservations.get_mut(&id)?.lines;
            let line = lines.iter_mut().find(|line| line.shelf == shelf)?;
            line.shipped += signed(units);
            let change = if line.tracked { -signed(units) } else { 0 };
            moved.push(self.moved(shelf, units, change, 0));
        }
        self.unclaim(id);
        Some(moved)
    }

    /// Books one line of a movement.
    fn moved(&mut self, key: ShelfKey, quantity: u64, change: i64, from_unavailable: u64) -> Moved {
        let shelf = self.shelf_mut(&key);
        shelf.on_hand += change;
        shelf.unavailable -= signed(from_unavailable);
        shelf.movements += 1;
        let (on_hand_after, available_after) = (shelf.on_hand, self.available(&key, self.held(&key)));
        let (sku, location) = key;
        Moved { sku, location, quantity, change, from_unavailable, on_hand_after, available_after }
    }

    fn papers(
        &mut self,
        kind: MovementKind,
        lines: Vec<Moved>,
        note: &Note,
        reservation: Option<ReservationId>,
        booked: Booked,
    ) -> Event {
        if let Some(reference) = &note.reference {
            self.references.insert((kind, reference.clone()), booked.position);
        }
        let (reference, reason) = (note.reference.clone(), note.reason.clone());
        let occurred_at = note.occurred_at.unwrap_or(booked.at);
        Event::StockMoved { kind, lines, reference, reason, reservation, occurred_at }
    }
}

impl Hold {
    /// The lines as the site tells and keeps them.
    pub(crate) fn told_lines(&self) -> Vec<ReservationLine> {
        let lines = self.lines.iter().map(|line| ReservationLine {
            sku: line.shelf.0.clone(),
            location: line.shelf.1.clone(),
            quantity: unsigned(line.quantity),
            shipped: unsigned(line.shipped),
            tracked: line.tracked,
        });
        lines.collect()
    }
}
