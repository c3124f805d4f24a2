//! From the wire into the core: every value is checked once, and a bad one is named by its place.

pub(crate) mod order;
pub(crate) mod person;
pub(crate) mod product;

use std::fmt::Display;

use kontor_api::Time;
use kontor_api::product as wire;
use kontor_api::stock::Line as WireLine;
use kontor_core::command::{Line, Note};
use kontor_core::id::{LocationId, OfferId, ReservationId, Sku};
use kontor_core::limits::{HOLD_MS_MAX, HOLD_MS_MIN, LINES_MAX, QUANTITY_MAX};
use kontor_core::product::Policy;
use kontor_core::quantity::Quantity;
use kontor_core::text::{Reason, Reference, TextError};
use kontor_core::time::SiteTime;

use crate::problem::Problem;

/// Names the place of a value that was not taken.
pub(crate) fn at<T>(pointer: &str, checked: Result<T, impl Display>) -> Result<T, Problem> {
    checked.map_err(|error| Problem::invalid(pointer, error.to_string()))
}

/// The same for a value that may be left out.
pub(crate) fn optional<T>(
    pointer: &str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, TextError>,
) -> Result<Option<T>, Problem> {
    text.map(|text| at(pointer, parse(text))).transpose()
}

/// One line; `prefix` says where it stands, and is asked only if a value is wrong.
pub(crate) fn line(prefix: impl Fn() -> String, sku: String, location: String, quantity: u64) -> Result<Line, Problem> {
    let wrong = |field: &str, error: &dyn Display| {
        let place = format!("{}/{field}", prefix());
        Problem::invalid(place, error.to_string())
    };
    Ok(Line {
        sku: Sku::parse(sku).map_err(|error| wrong("sku", &error))?,
        location: LocationId::parse(location).map_err(|error| wrong("location", &error))?,
        quantity: Quantity::new(quantity).map_err(|error| wrong("quantity", &error))?,
    })
}

/// Lines, of which there is at least one.
pub(crate) fn lines(given: Vec<WireLine>) -> Result<Vec<Line>, Problem> {
    if given.is_empty() || given.len() > LINES_MAX {
        let bounds = format!("1 to {LINES_MAX} lines are taken, and {} were given", given.len());
        return Err(Problem::invalid("/lines", bounds));
    }
    let lines = given.into_iter().enumerate();
    lines
        .map(|(index, WireLine { sku, location, quantity })| {
            line(|| format!("/lines/{index}"), sku, location, quantity)
        })
        .collect()
}

/// The papers of a movement.
pub(crate) fn note(
    reference: Option<String>,
    reason: Option<String>,
    occurred_at: Option<Time>,
) -> Result<Note, Problem> {
    let occurred_at = occurred_at.map(|at| at.ms().ok_or_else(|| Problem::invalid("/occurred_at", "before 1970")));
    Ok(Note {
        reference: optional("/reference", reference, Reference::parse)?,
        reason: optional("/reason", reason, Reason::parse)?,
        occurred_at: occurred_at.transpose()?.map(SiteTime),
    })
}

/// Units that may be none.
pub(crate) fn units(pointer: &str, given: u64) -> Result<u64, Problem> {
    let bounds = || format!("a whole number from 0 to {QUANTITY_MAX} is expected, not {given}");
    if given <= QUANTITY_MAX { Ok(given) } else { Err(Problem::invalid(pointer, bounds())) }
}

/// For how long units are held, in seconds.
pub(crate) fn ttl(given: u64) -> Result<u64, Problem> {
    duration("/ttl_s", given)
}

/// The same under another name.
pub(crate) fn duration(pointer: &str, given: u64) -> Result<u64, Problem> {
    let ms = given.saturating_mul(1_000);
    if (HOLD_MS_MIN..=HOLD_MS_MAX).contains(&ms) {
        return Ok(ms);
    }
    let bounds =
        format!("{} to {} seconds are allowed, and {given} were given", HOLD_MS_MIN / 1_000, HOLD_MS_MAX / 1_000);
    Err(Problem::invalid(pointer, bounds))
}

/// A reservation's id.
pub(crate) fn reservation_id(pointer: &str, text: &str) -> Result<ReservationId, Problem> {
    ReservationId::parse(text).map_err(|_| Problem::invalid(pointer, "a reservation id is res_ and a UUID"))
}

/// A transfer's id.
pub(crate) fn transfer_id(pointer: &str, text: &str) -> Result<OfferId, Problem> {
    OfferId::parse(text).map_err(|_| Problem::invalid(pointer, "a transfer id is trf_ and a UUID"))
}

/// When stock is promised.
pub(crate) fn policy(policy: wire::Policy) -> Policy {
    match policy {
        wire::Policy::None => Policy::None,
        wire::Policy::TrackOnly => Policy::TrackOnly,
        wire::Policy::ReserveOnOrder => Policy::ReserveOnOrder,
        wire::Policy::ReserveOnCart => Policy::ReserveOnCart,
        wire::Policy::NoneUntilReceived => Policy::NoneUntilReceived,
    }
}
