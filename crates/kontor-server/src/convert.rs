//! From the core onto the wire.

pub(crate) mod order;
pub(crate) mod product;
pub(crate) mod transfer;

pub(crate) use product::{Audience, policy};

use std::sync::Arc;

use kontor_api::Time;
use kontor_api::changes::{self, MovedLine};
use kontor_api::location::Location as WireLocation;
use kontor_api::reservation as res;
use kontor_api::stock::{self, Totals};
use kontor_core::event::{Event, Moved, ProductEdited};
use kontor_core::id::{Actor, LocationId, PaymentId, Position, ReservationId, SiteId, Sku};
use kontor_core::location::Location;
use kontor_core::movement::MovementKind;
use kontor_core::product::Product;
use kontor_core::product::revision::Edited;
use kontor_core::reservation::{Reservation, ReservationLine, ReservationStatus};
use kontor_core::site::SiteKind;
use kontor_core::time::SiteTime;
use kontor_site::feed::FeedItem;
use kontor_site::reader::{LedgerLine, LocationLevel, StockOfSku};

use crate::problem::Problem;

/// A moment. Site time is a moment of our age; [`SiteTime::NEVER`] is not one.
pub(crate) fn time(at: SiteTime) -> Result<Time, Problem> {
    Time::from_ms(at.0).ok_or_else(|| Problem::internal(format!("{} ms is no moment", at.0)))
}

/// When a hold expires. One that was made elsewhere, or came back from there, has no deadline that is known
/// here: it is shown as the first of the last days that can be.
fn deadline(at: SiteTime) -> Result<Time, Problem> {
    const LATEST: SiteTime = SiteTime(253_402_128_000_000);
    time(at.min(LATEST))
}

/// A location with its home.
pub(crate) fn location(id: &LocationId, home: &SiteId, location: &Location) -> Result<WireLocation, Problem> {
    Ok(WireLocation {
        id: id.to_string(),
        name: location.name.to_string(),
        home: home.to_string(),
        revision: location.revision,
        created_at: time(location.created_at)?,
        updated_at: time(location.updated_at)?,
    })
}

/// Stock of one SKU.
pub(crate) fn stock(found: &StockOfSku, position: Position) -> stock::Stock {
    let levels: Vec<stock::Level> = found.levels.iter().map(level).collect();
    let mut totals = Totals::default();
    for level in &levels {
        totals.on_hand += level.on_hand;
        totals.reserved += level.reserved;
        totals.committed += level.committed;
        totals.available += level.available;
    }
    stock::Stock {
        sku: found.sku.to_string(),
        product_id: found.item.product.to_string(),
        title: found.title.clone(),
        policy: policy(found.item.selling.policy),
        backorder_limit: found.item.selling.backorder_limit,
        levels,
        totals,
        position: position.to_string(),
    }
}

/// What is at one location.
pub(crate) fn level(found: &LocationLevel) -> stock::Level {
    let level = &found.level;
    stock::Level {
        location: found.location.to_string(),
        on_hand: level.on_hand,
        reserved: level.reserved,
        committed: level.committed,
        unavailable: level.unavailable,
        safety_stock: level.safety_stock,
        available: level.available,
        sellable_here: level.sellable_here,
        shortage: level.shortage,
        version: level.version,
    }
}

/// A reservation, as it is or as an event made it.
pub(crate) fn reservation(
    id: ReservationId,
    reservation: &Reservation,
    position: Position,
) -> Result<res::Reservation, Problem> {
    Ok(res::Reservation {
        id: id.to_string(),
        status: reservation_status(reservation.status),
        owner: reservation.owner.as_ref().map(ToString::to_string),
        lines: reservation.lines.iter().map(reservation_line).collect(),
        created_at: time(reservation.created_at)?,
        expires_at: deadline(reservation.expires_at)?,
        ended_at: reservation.ended_at.map(time).transpose()?,
        position: position.to_string(),
    })
}

pub(crate) fn reservation_status(status: ReservationStatus) -> res::ReservationStatus {
    match status {
        ReservationStatus::Held => res::ReservationStatus::Held,
        ReservationStatus::Committed => res::ReservationStatus::Committed,
        ReservationStatus::Released => res::ReservationStatus::Released,
        ReservationStatus::Expired => res::ReservationStatus::Expired,
    }
}

fn reservation_line(line: &ReservationLine) -> res::ReservationLine {
    res::ReservationLine {
        sku: line.sku.to_string(),
        location: line.location.to_string(),
        quantity: line.quantity,
        shipped: line.shipped,
    }
}

fn movement_kind(kind: MovementKind) -> stock::MovementKind {
    match kind {
        MovementKind::Receive => stock::MovementKind::Receive,
        MovementKind::Return => stock::MovementKind::Return,
        MovementKind::Issue => stock::MovementKind::Issue,
        MovementKind::Ship => stock::MovementKind::Ship,
        MovementKind::WriteOff => stock::MovementKind::WriteOff,
        MovementKind::Count => stock::MovementKind::Count,
    }
}

/// The ledger lines that a write has made. They follow from its events and its caller alone, so a
/// repeated request gets the same bytes.
pub(crate) fn movements(
    events: &[Event],
    actor: &Actor,
    position: Position,
    recorded_at: SiteTime,
) -> Result<Vec<stock::Movement>, Problem> {
    let mut found = Vec::new();
    for (number, event) in (0u32..).zip(events) {
        let Event::StockMoved { kind, lines, reference, reason, reservation, occurred_at } = event else { continue };
        found.reserve(lines.len());
        for (line, moved) in (0u32..).zip(lines) {
            found.push(stock::Movement {
                id: movement_id(position, (number << 16) + line),
                kind: movement_kind(*kind),
                sku: moved.sku.to_string(),
                location: moved.location.to_string(),
                quantity: moved.change,
                on_hand_after: moved.on_hand_after,
                available_after: Some(moved.available_after),
                reason: reason.as_ref().map(ToString::to_string),
                reference: reference.as_ref().map(ToString::to_string),
                reservation: reservation.map(|id| id.to_string()),
                actor: actor.to_string(),
                occurred_at: time(*occurred_at)?,
                recorded_at: time(recorded_at)?,
                request_id: None,
            });
        }
    }
    Ok(found)
}

/// A line of the ledger.
pub(crate) fn movement(sku: &Sku, line: &LedgerLine) -> Result<stock::Movement, Problem> {
    let movement = &line.movement;
    Ok(stock::Movement {
        id: movement_id(line.place.position, line.place.line),
        kind: movement_kind(movement.kind),
        sku: sku.to_string(),
        location: line.location.to_string(),
        quantity: movement.change,
        on_hand_after: movement.on_hand_after,
        available_after: None,
        reason: movement.reason.as_ref().map(ToString::to_string),
        reference: movement.reference.as_ref().map(ToString::to_string),
        reservation: movement.reservation.map(|id| id.to_string()),
        actor: movement.actor.to_string(),
        occurred_at: time(movement.occurred_at)?,
        recorded_at: time(movement.recorded_at)?,
        request_id: Some(movement.request_id.to_string()),
    })
}

fn movement_id(position: Position, line: u32) -> String {
    format!("{position}-{line}")
}

/// An entry of a journal, whole, as the change feed shows it; `None` if one of its times is beyond
/// every calendar.
pub fn journal_entry(item: &FeedItem) -> Option<changes::Change> {
    change(item).ok()
}

/// An entry of the journal, whole.
pub(crate) fn change(item: &FeedItem) -> Result<changes::Change, Problem> {
    Ok(changes::Change {
        position: item.position.to_string(),
        recorded_at: time(item.recorded_at)?,
        actor: Some(item.entry.actor.to_string()),
        request_id: Some(item.entry.request_id.to_string()),
        events: item.entry.events.iter().map(event).collect::<Result<_, _>>()?,
    })
}

/// One effect, whole.
pub(crate) fn event(event: &Event) -> Result<changes::Event, Problem> {
    fn text(of: Option<&impl std::fmt::Display>) -> Option<String> {
        of.map(ToString::to_string)
    }
    Ok(match event {
        Event::ProductEdited(edited) => product_edited(edited)?,
        Event::ListingEdited(edited) => changes::Event::ListingChanged {
            id: edited.id.to_string(),
            market: edited.market.to_string(),
            changes: product::changes(&Edited::Listing(edited.clone()))?,
        },
        Event::JobStarted(started) => changes::Event::JobStarted { id: started.id.to_string() },
        Event::LinesDone(done) => {
            let (from_line, through_line) = (done.from_line, done.through_line);
            changes::Event::LinesDone { job: text(done.job.as_ref()), from_line, through_line }
        }
        Event::JobFinished { id } => changes::Event::JobFinished { id: id.to_string() },
        Event::JobUndone(undone) => {
            changes::Event::JobUndone { id: undone.id.to_string(), from_line: undone.from_line }
        }
        Event::LocationOpened { id, name } => {
            changes::Event::LocationOpened { id: id.to_string(), name: name.to_string() }
        }
        Event::LocationRenamed { id, name } => {
            changes::Event::LocationRenamed { id: id.to_string(), name: name.to_string() }
        }
        Event::StockMoved { kind, lines, reference, reason, reservation, occurred_at } => changes::Event::StockMoved {
            kind: movement_kind(*kind),
            lines: lines.iter().map(moved_line).collect(),
            reference: text(reference.as_ref()),
            reason: text(reason.as_ref()),
            reservation: text(reservation.as_ref()),
            occurred_at: time(*occurred_at)?,
        },
        Event::StockAdjusted { sku, location, unavailable, safety_stock, available_after } => {
            changes::Event::StockAdjusted {
                sku: sku.to_string(),
                location: location.to_string(),
                unavailable: *unavailable,
                safety_stock: *safety_stock,
                available_after: *available_after,
            }
        }
        Event::ReservationMade { id, owner, lines, expires_at } => changes::Event::ReservationMade {
            id: Some(id.to_string()),
            owner: text(owner.as_ref()),
            lines: lines.iter().map(reservation_line).collect(),
            expires_at: deadline(*expires_at)?,
        },
        Event::ReservationExtended { id, expires_at, .. } => {
            changes::Event::ReservationExtended { id: Some(id.to_string()), expires_at: deadline(*expires_at)? }
        }
        Event::ReservationEnded { id, status, lines, owner, .. } => changes::Event::ReservationEnded {
            id: Some(id.to_string()),
            status: reservation_status(*status),
            owner: text(owner.as_ref()),
            lines: lines.iter().map(reservation_line).collect(),
        },
        Event::ReservationCanceled { id, lines } => changes::Event::ReservationEnded {
            id: Some(id.to_string()),
            status: reservation_status(ReservationStatus::Released),
            owner: None,
            lines: lines.iter().map(reservation_line).collect(),
        },
        Event::CustomerSaved { id, .. } => changes::Event::CustomerChanged { id: id.to_string() },
        Event::CustomerErased { id, .. } => changes::Event::CustomerErased { id: id.to_string() },
        Event::CartOpened { id, .. } | Event::CartFilled { id, .. } | Event::CartDetailed { id, .. } => {
            changes::Event::CartChanged { id: id.to_string() }
        }
        Event::CartClosed { id, status } => {
            changes::Event::CartClosed { id: id.to_string(), status: status.word().to_owned() }
        }
        Event::CartSwept { id } => changes::Event::CartClosed { id: id.to_string(), status: "swept".to_owned() },
        Event::OrderPlaced { id, order } => changes::Event::OrderPlaced {
            id: id.to_string(),
            number: order.number,
            total: order.total,
            currency: order.currency.to_string(),
        },
        Event::OrderMoved(moved) => changes::Event::OrderChanged {
            id: moved.id.to_string(),
            cause: moved.cause.word().to_owned(),
            status: moved.status.to_string(),
            payment_status: moved.payment_status.to_string(),
            fulfillment_status: moved.fulfillment_status.to_string(),
        },
        Event::PaymentRequested(requested) => payment_changed(requested.id, requested.operation.word()),
        Event::PaymentReported(reported) => payment_changed(reported.id, reported.outcome.word()),
        Event::PaymentParked { id, reason: Some(_) } => payment_changed(*id, "parked"),
        Event::PaymentParked { id, reason: None } => payment_changed(*id, "resumed"),
        Event::CallbackTaken { payment, .. } => payment_changed(*payment, "reported"),
        Event::KeyCreated { id, .. } => changes::Event::KeyCreated { id: id.to_string() },
        Event::DayStarted { day } => changes::Event::DayStarted { day: *day },
        Event::SiteDescribed { kind } => changes::Event::SiteDescribed { kind: site_kind(*kind) },
        Event::TransferAsked { id, of, transfer } => changes::Event::TransferAsked {
            id: id.to_string(),
            of: of.to_string(),
            from: transfer.from.to_string(),
            to: transfer.to.to_string(),
        },
        Event::TransferSaid { id, said } => {
            changes::Event::TransferChanged { id: id.to_string(), step: transfer::said(said) }
        }
        Event::TransferAnswered { id, answer, .. } => {
            changes::Event::TransferChanged { id: id.to_string(), step: transfer::answer(answer) }
        }
        Event::QuotaAsked { sku, location, of, ask } => changes::Event::QuotaAsked {
            sku: sku.to_string(),
            location: location.to_string(),
            of: of.to_string(),
            units: ask.units,
            wanted: ask.wanted,
            until: time(ask.until)?,
        },
        Event::QuotaGranted { sku, location, to, units } => changes::Event::QuotaGranted {
            sku: sku.to_string(),
            location: location.to_string(),
            to: to.to_string(),
            units: *units,
        },
        Event::QuotaDeclined { sku, location, to, units } => changes::Event::QuotaDeclined {
            sku: sku.to_string(),
            location: location.to_string(),
            to: to.to_string(),
            units: *units,
        },
    })
}

/// An edit of a product: made, deleted, or which fields it has changed.
fn product_edited(edited: &Arc<ProductEdited>) -> Result<changes::Event, Problem> {
    let id = edited.id.to_string();
    Ok(match edited.edit.present {
        Some(false) => changes::Event::ProductDeleted { id },
        Some(true) => {
            let made = Product::edited(None, &edited.edit, edited.revision, SiteTime::default());
            let made = made.ok_or_else(|| Problem::internal("a product was made that has no title"))?;
            let first = made.variants.first();
            let selling = first.map(|variant| variant.selling).unwrap_or_default();
            changes::Event::ProductCreated {
                id,
                sku: first.map(|variant| variant.sku.to_string()).unwrap_or_default(),
                title: made.title.to_string(),
                policy: policy(selling.policy),
                backorder_limit: selling.backorder_limit,
            }
        }
        None => {
            let changes = product::changes(&Edited::Product(edited.clone()))?;
            changes::Event::ProductChanged { id, revision: Some(edited.revision), changes }
        }
    })
}

fn payment_changed(id: PaymentId, step: &str) -> changes::Event {
    changes::Event::PaymentChanged { id: id.to_string(), step: step.to_owned() }
}

fn site_kind(kind: SiteKind) -> changes::SiteKind {
    match kind {
        SiteKind::Region => changes::SiteKind::Region,
        SiteKind::Store => changes::SiteKind::Store,
    }
}

fn moved_line(moved: &Moved) -> MovedLine {
    MovedLine {
        sku: moved.sku.to_string(),
        location: moved.location.to_string(),
        quantity: moved.change,
        on_hand_after: moved.on_hand_after,
        available_after: moved.available_after,
    }
}
