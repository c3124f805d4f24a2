//! What a shopkeeper would object to: every reason for which a command must be refused at a moment.
//!
//! A command that meets no objection must be done; one that meets some must be refused with one of
//! them, facts included.

use kontor_core::command::{Change, Command, Must, Note};
use kontor_core::id::{ReservationId, SiteId};
use kontor_core::limits::{HOLD_MS_MAX, HOLD_MS_MIN};
use kontor_core::movement::MovementKind;
use kontor_core::product::Status;
use kontor_core::refusal::Refusal;
use kontor_core::reservation::ReservationStatus;
use kontor_core::time::SiteTime;

use super::shop::{ShelfKey, Shop, refuses, summed};

impl Shop {
    /// All that stands against a command now.
    pub(crate) fn objections(&self, site: &SiteId, command: &Command, now: SiteTime) -> Vec<Refusal> {
        let mut found = Vec::new();
        match command {
            Command::EditProduct { id, edit, expected, must, variants } => {
                if *must != Must::Create && edit.is_empty() {
                    found.push(Refusal::Nothing { what: "the change" });
                }
                let product = self.products.get(id);
                match (must, product) {
                    (Must::Create, Some(_)) => found.push(exists("product", id)),
                    (Must::Exist, None) => found.push(Refusal::UnknownProduct { id: id.clone() }),
                    (_, Some(product)) => stale(*expected, product.revision, &mut found),
                    (_, None) => {}
                }
                for variant in &edit.variants {
                    let sku = &variant.sku;
                    let is_there = product.is_some_and(|product| product.variants.iter().any(|(of, ..)| of == sku));
                    match (is_there, variants) {
                        (true, Must::Create) => found.push(exists("sku", sku)),
                        (false, Must::Exist) => found.push(Refusal::UnknownSku { sku: sku.clone() }),
                        (false, _) if self.items.contains_key(sku) => found.push(exists("sku", sku)),
                        _ => {}
                    }
                }
            }
            Command::AskTransfer { .. }
            | Command::WithdrawTransfer { .. }
            | Command::DispatchTransfer { .. }
            | Command::ReceiveTransfer { .. } => self.objections_to_transfer(site, command, now, &mut found),
            // What sites tell themselves is judged by its events.
            Command::TendOffer { .. } => {}
            Command::OpenLocation { id, .. } => {
                if self.locations.contains_key(id) {
                    found.push(exists("location", id));
                }
            }
            Command::RenameLocation { id, expected, .. } => match self.locations.get(id) {
                None => found.push(Refusal::UnknownLocation { location: id.clone() }),
                Some((_, actual)) => stale(*expected, *actual, &mut found),
            },
            Command::Receive { from, lines, note } => {
                let kind = match from {
                    kontor_core::command::Inbound::Delivery => MovementKind::Receive,
                    kontor_core::command::Inbound::Return => MovementKind::Return,
                };
                self.used(kind, note, &mut found);
                summed(lines).iter().for_each(|(shelf, _)| self.unknown(shelf, &mut found));
            }
            Command::Issue { lines, note } => {
                self.used(MovementKind::Issue, note, &mut found);
                for (shelf, wanted) in summed(lines) {
                    self.not_for_sale(site, &shelf, wanted, now, &mut found);
                    self.not_at_hand(&shelf, wanted, &mut found);
                }
            }
            Command::Ship { reservation, lines, note } => {
                self.held_for_transfer(site, *reservation, &mut found);
                self.used(MovementKind::Ship, note, &mut found);
                let lines = lines.as_ref().map(|lines| summed(lines));
                self.not_to_ship(*reservation, lines, &mut found);
            }
            Command::WriteOff { line, from_unavailable, note } => {
                self.used(MovementKind::WriteOff, note, &mut found);
                let key = (line.sku.clone(), line.location.clone());
                self.unknown(&key, &mut found);
                let shelf = self.shelf(&key);
                let there = match from_unavailable {
                    true => shelf.unavailable.min(shelf.on_hand),
                    false => shelf.on_hand - shelf.unavailable,
                };
                missing(&key, line.quantity.units(), there, &mut found);
            }
            Command::Count { sku, location, expected, note, .. } => {
                self.used(MovementKind::Count, note, &mut found);
                let key = (sku.clone(), location.clone());
                self.unknown(&key, &mut found);
                mismatch("on_hand", *expected, self.shelf(&key).on_hand, &mut found);
            }
            Command::Adjust { sku, location, unavailable, safety_stock } => {
                if unavailable.is_none() && safety_stock.is_none() {
                    found.push(Refusal::Nothing { what: "the adjustment" });
                }
                let key = (sku.clone(), location.clone());
                self.unknown(&key, &mut found);
                let shelf = self.shelf(&key);
                let believed = |change: &Option<Change>| change.and_then(|change| change.expected).map(signed);
                mismatch("unavailable", believed(unavailable), shelf.unavailable, &mut found);
                mismatch("safety_stock", believed(safety_stock), shelf.safety_stock, &mut found);
                if let Some(change) = unavailable
                    && signed(change.to) > shelf.on_hand.max(shelf.unavailable)
                {
                    missing(&key, change.to, shelf.on_hand, &mut found);
                }
            }
            Command::Reserve { id, lines, hold_ms, .. } => {
                out_of_bounds(*hold_ms, &mut found);
                if let Some(id) = id.filter(|id| self.reservations.contains_key(id)) {
                    found.push(exists("reservation", &id));
                }
                for (shelf, wanted) in summed(lines) {
                    self.not_for_sale(site, &shelf, wanted, now, &mut found);
                }
            }
            Command::Extend { id, hold_ms } => {
                out_of_bounds(*hold_ms, &mut found);
                self.held_for_transfer(site, *id, &mut found);
                self.not_live(*id, now, &mut found);
            }
            Command::Commit { id } | Command::Release { id } => {
                self.held_for_transfer(site, *id, &mut found);
                self.not_live(*id, now, &mut found);
            }
            Command::CreateKey { id, .. } => {
                if self.keys.contains(id) {
                    found.push(exists("key", id));
                }
            }
            Command::EndDueHolds { .. } | Command::StartDay => {}
            // No client of these worlds buys.
            Command::SaveCustomer { .. } | Command::EraseCustomer { .. } => {}
            Command::OpenCart { .. } | Command::ChangeCart { .. } | Command::AcceptPrices { .. } => {}
            Command::MergeCarts { .. } | Command::Checkout { .. } | Command::SweepCarts { .. } => {}
            Command::CancelOrder { .. }
            | Command::AbandonOrder { .. }
            | Command::RefundOrder { .. }
            | Command::PayOrder { .. } => {}
            Command::CapturePayment { .. } | Command::ReportPayment { .. } => {}
            Command::ParkPayment { .. } | Command::ResumePayment { .. } => {}
            // Simulated clients do none of these.
            Command::DeleteProduct { .. } | Command::EditListing { .. } | Command::UpsertProducts { .. } => {}
            Command::StartJob { .. } | Command::BookStock { .. } => {}
            Command::FinishJob { .. } | Command::UndoJob { .. } => {}
            Command::ExpectVersion { .. } | Command::All(_) => {}
            Command::DescribeSite { .. } | Command::TendQuota { .. } | Command::BorrowQuota { .. } => {}
        }
        found
    }

    fn used(&self, kind: MovementKind, note: &Note, found: &mut Vec<Refusal>) {
        if let Some(reference) = &note.reference
            && let Some(position) = self.references.get(&(kind, reference.clone()))
        {
            found.push(Refusal::ReferenceUsed { reference: reference.clone(), position: *position });
        }
    }

    fn unknown(&self, (sku, location): &ShelfKey, found: &mut Vec<Refusal>) {
        if self.product_of(sku).is_none() {
            found.push(Refusal::UnknownSku { sku: sku.clone() });
        }
        if !self.locations.contains_key(location) && self.home_elsewhere(location).is_none() {
            found.push(Refusal::UnknownLocation { location: location.clone() });
        }
    }

    /// Holds past their deadline are free, whether or not anybody has booked their end.
    fn not_for_sale(&self, site: &SiteId, key: &ShelfKey, wanted: u64, now: SiteTime, found: &mut Vec<Refusal>) {
        self.unknown(key, found);
        let Some((id, product)) = self.product_of(&key.0) else { return };
        if product.status == Status::Archived {
            found.push(Refusal::ProductArchived { sku: key.0.clone(), id: id.clone() });
        }
        let Some(selling) = self.selling(&key.0).filter(|selling| refuses(selling.policy)) else { return };
        let backorder = if self.is_elsewhere(key) { 0 } else { signed(selling.backorder_limit) };
        let promisable = self.sellable(site, key, self.held_live(key, now)) + backorder;
        if signed(wanted) > promisable {
            let (sku, location) = key.clone();
            found.push(Refusal::InsufficientStock { sku, location, wanted, available: promisable.max(0) });
        }
    }

    /// Damaged units are there, and cannot be handed out.
    fn not_at_hand(&self, key: &ShelfKey, wanted: u64, found: &mut Vec<Refusal>) {
        if self.selling(&key.0).is_some_and(|selling| refuses(selling.policy)) {
            let shelf = self.shelf(key);
            missing(key, wanted, shelf.on_hand - shelf.unavailable, found);
        }
    }

    fn not_to_ship(&self, id: ReservationId, lines: Option<Vec<(ShelfKey, u64)>>, found: &mut Vec<Refusal>) {
        let Some(hold) = self.reservations.get(&id) else {
            found.push(Refusal::UnknownReservation { id });
            return;
        };
        if hold.status != ReservationStatus::Committed {
            found.push(Refusal::ReservationEnded { id, status: hold.status });
            return;
        }
        let left = hold.lines.iter().filter(|line| line.quantity > line.shipped);
        let left = left.map(|line| (line.shelf.clone(), unsigned(line.quantity - line.shipped)));
        let wanted = lines.unwrap_or_else(|| left.collect());
        if let ([], Some(line)) = (wanted.as_slice(), hold.lines.first()) {
            let ((sku, location), wanted) = (line.shelf.clone(), unsigned(line.quantity));
            found.push(Refusal::InsufficientCommitted { sku, location, wanted, committed: 0 });
        }
        for (key, wanted) in wanted {
            match self.home_elsewhere(&key.1) {
                Some(home) => found.push(Refusal::OwnedElsewhere { location: key.1.clone(), home: home.clone() }),
                None if self.locations.contains_key(&key.1) => {}
                None => found.push(Refusal::UnknownLocation { location: key.1.clone() }),
            }
            let line = hold.lines.iter().find(|line| line.shelf == key);
            let committed = line.map_or(0, |line| unsigned(line.quantity - line.shipped));
            if wanted > committed {
                let (sku, location) = key.clone();
                found.push(Refusal::InsufficientCommitted { sku, location, wanted, committed });
            }
            if line.is_some_and(|line| line.tracked) {
                self.not_at_hand(&key, wanted, found);
            }
        }
    }

    fn not_live(&self, id: ReservationId, now: SiteTime, found: &mut Vec<Refusal>) {
        let status = match self.reservations.get(&id) {
            None => return found.push(Refusal::UnknownReservation { id }),
            Some(hold) if hold.status == ReservationStatus::Held && hold.expires_at > now => return,
            Some(hold) if hold.status == ReservationStatus::Held => ReservationStatus::Expired,
            Some(hold) => hold.status,
        };
        found.push(Refusal::ReservationEnded { id, status });
    }
}

fn exists(what: &'static str, name: &dyn std::fmt::Display) -> Refusal {
    Refusal::AlreadyExists { what, name: name.to_string() }
}

fn stale(expected: Option<u64>, actual: u64, found: &mut Vec<Refusal>) {
    if let Some(expected) = expected.filter(|expected| *expected != actual) {
        found.push(Refusal::PreconditionFailed { expected, actual });
    }
}

fn mismatch(field: &'static str, expected: Option<i64>, actual: i64, found: &mut Vec<Refusal>) {
    if let Some(expected) = expected.filter(|expected| *expected != actual) {
        found.push(Refusal::ExpectedMismatch { field, expected, actual });
    }
}

fn missing((sku, location): &ShelfKey, wanted: u64, on_hand: i64, found: &mut Vec<Refusal>) {
    if signed(wanted) > on_hand {
        let (sku, location) = (sku.clone(), location.clone());
        found.push(Refusal::InsufficientOnHand { sku, location, wanted, on_hand });
    }
}

fn out_of_bounds(hold_ms: u64, found: &mut Vec<Refusal>) {
    if !(HOLD_MS_MIN..=HOLD_MS_MAX).contains(&hold_ms) {
        let (min, max) = (HOLD_MS_MIN, HOLD_MS_MAX);
        found.push(Refusal::OutOfBounds { what: "ttl", given: hold_ms, min, max });
    }
}

/// Quantities of the simulated shop are small.
pub(crate) fn signed(units: u64) -> i64 {
    i64::try_from(units).expect("a quantity fits")
}

/// What is left of a quantity is never negative.
pub(crate) fn unsigned(units: i64) -> u64 {
    u64::try_from(units).expect("what is left is not negative")
}
