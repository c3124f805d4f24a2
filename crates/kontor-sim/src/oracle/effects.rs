//! What a command does to the shop, and what the site must tell of it.

use std::sync::Arc;

use kontor_core::command::{Command, Inbound, Note, Request};
use kontor_core::event::{Event, Moved, ProductEdited};
use kontor_core::id::{Position, ProductId, ReservationId};
use kontor_core::movement::MovementKind;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Selling, Status};
use kontor_core::reservation::{ReservationLine, ReservationStatus};
use kontor_core::time::{SeenStamps, SiteTime};

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
            Command::EditProduct { id, edit, .. } => {
                let Event::ProductEdited(told) = told else { return None };
                let (edit, before) = self.sets(id, edit);
                let revision = self.edit(id, &edit)?;
                let (id, stamp, seen) = (id.clone(), told.stamp, SeenStamps::default());
                let (settled, job) = (Vec::new(), None);
                let edited = ProductEdited { id, stamp, seen, revision, edit, before, settled, job };
                Event::ProductEdited(Arc::new(edited))
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
                Event::KeyCreated { id: id.clone(), role: role.clone(), digest: *digest }
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
                    let counted = self.selling(&shelf.0)?.policy.counts();
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
                    available_after: self.available_to_all(&key),
                }
            }
            Command::Reserve { id, owner, lines, hold_ms } => {
                let Event::ReservationMade { id: named, .. } = told else { return None };
                let (id, expires_at) = (id.unwrap_or(*named), booked.at.plus(*hold_ms));
                let mut held = Vec::new();
                for (shelf, units) in summed(lines) {
                    let tracked = self.selling(&shelf.0)?.policy.counts();
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
            _ => return None,
        })
    }

    /// What of an edit is not so already, and what is there now. Simulated clients set titles, statuses and
    /// ways of selling.
    fn sets(&self, id: &ProductId, wanted: &ProductEdit) -> (ProductEdit, ProductEdit) {
        let (mut set, mut before) = (ProductEdit::default(), ProductEdit::default());
        let product = self.products.get(id);
        match product {
            None => {
                (set.present, before.present) = (Some(true), Some(false));
                set.title = wanted.title.clone();
            }
            Some(product) => {
                set.title = wanted.title.clone().filter(|title| *title != product.title);
                before.title = set.title.as_ref().map(|_| product.title.clone());
                set.status = wanted.status.filter(|status| *status != product.status);
                before.status = set.status.map(|_| product.status);
            }
        }
        for wanted in &wanted.variants {
            let variant = product.and_then(|product| product.variants.iter().find(|(sku, ..)| *sku == wanted.sku));
            let (title, selling) =
                variant.map_or((None, Selling::default()), |(_, title, selling)| (title.clone(), *selling));
            let (mut change, mut was) = (VariantEdit::of(wanted.sku.clone()), VariantEdit::of(wanted.sku.clone()));
            change.title = wanted.title.clone().filter(|wanted| *wanted != title);
            change.selling = wanted.selling.filter(|wanted| *wanted != selling.into());
            match variant {
                None => (change.present, was.present) = (Some(true), Some(false)),
                Some(_) => {
                    was.title = change.title.as_ref().map(|_| title);
                    was.selling = change.selling.map(|_| selling.into());
                }
            }
            if change != VariantEdit::of(wanted.sku.clone()) {
                set.variants.push(change);
                before.variants.push(was);
            }
        }
        if product.is_none() {
            before.variants.clear();
        }
        (set, before)
    }

    /// Whether a command asks for nothing that is not so already.
    pub(crate) fn is_so(&self, command: &Command) -> bool {
        match command {
            Command::EditProduct { id, edit, .. } => self.sets(id, edit).0.is_empty(),
            _ => false,
        }
    }

    /// Books an edit of what is not so; answers the revision that it makes.
    pub(crate) fn edit(&mut self, id: &ProductId, set: &ProductEdit) -> Option<u64> {
        if let (Some(true), Some(title)) = (set.present, &set.title) {
            let (title, status) = (title.clone(), Status::Active);
            self.products.insert(id.clone(), ShopProduct { title, status, revision: 0, variants: Vec::new() });
        }
        let product = self.products.get_mut(id)?;
        product.revision += 1;
        product.title = set.title.clone().unwrap_or_else(|| product.title.clone());
        product.status = set.status.unwrap_or(product.status);
        for variant in &set.variants {
            if variant.present == Some(true) {
                product.variants.push((variant.sku.clone(), None, Selling::default()));
                self.items.insert(variant.sku.clone(), id.clone());
            }
            let (_, title, selling) = product.variants.iter_mut().find(|(sku, ..)| *sku == variant.sku)?;
            *title = variant.title.clone().unwrap_or_else(|| title.clone());
            *selling = variant.selling.map_or(*selling, |set| set.over(*selling));
        }
        Some(product.revision)
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
        let (on_hand_after, available_after) = (shelf.on_hand, self.available_to_all(&key));
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
