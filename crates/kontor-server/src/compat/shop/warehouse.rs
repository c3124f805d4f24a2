//! The warehouse: units of a product that are set aside, and handed out of what was set aside. Both are counted
//! in the pool `central`.
//!
//! The contract names no reservation, so the reservations of a product are numbered: their ids are made of the
//! product and of a number, from 0 without gaps, and units are handed out of the oldest first. The next number to
//! be given, and the first with units left, are found by halving.

use axum::extract::State;
use axum::response::Response;
use kontor_api::Code;
use kontor_core::command::{Command, Line, Note};
use kontor_core::id::{Owner, ReservationId, SiteId, Sku};
use kontor_core::limits::HOLD_MS_DEFAULT;
use kontor_core::quantity::Quantity;
use kontor_core::reservation::Reservation;
use kontor_site::reader::Reader;

use super::super::catalog::{again, find, first_not};
use super::super::inventory::admin::open_pool;
use super::super::inventory::central;
use super::super::sent::Sent;
use super::{Units, bad, done, missing, refused};
use crate::app::App;
use crate::idempotency::digest;
use crate::limits::COMPAT_SHIPPED_FROM;
use crate::problem::Problem;

/// Sets units aside. They stay so until they are handed out.
pub(super) async fn reserve(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let (product, quantity) = match Units::read(&sent.body) {
        Ok(units) => units,
        Err(why) => return bad("Invalid reservation", &why),
    };
    let asked = sent.part("reserve", &[product.as_bytes(), &quantity.units().to_be_bytes()]);
    let outcome = again(|| async {
        let (here, name) = (app.site.id().clone(), product.clone());
        let found = app.read(move |reader| {
            let Some(found) = find(reader, &name)? else { return Ok(None) };
            let number = first_not(|number| Ok::<_, Problem>(of(reader, &here, &found.sku, number)?.is_some()))?;
            Ok(Some((id(&here, &found.sku, number), found.sku, reader.location(&central())?.is_some())))
        });
        let Some((id, sku, has_pool)) = found.await? else { return missing("Product not found").map(Some) };
        let lines = vec![Line { sku, location: central(), quantity }];
        let owner = Some(Owner::parse("warehouse").expect("a short word is an owner"));
        let hold = Command::Reserve { id: Some(id), owner, lines, hold_ms: HOLD_MS_DEFAULT };
        let opened = (!has_pool).then(open_pool);
        let commands = opened.into_iter().chain([hold, Command::Commit { id }]).collect();
        match app.submit(&asked, Command::All(commands)).await {
            Ok(_) => done().map(Some),
            Err(problem) if problem.code() == Code::AlreadyExists => Ok(None),
            Err(problem) => Err(problem),
        }
    });
    outcome.await.or_else(refused)
}

/// Hands out units that were set aside.
pub(super) async fn ship(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let (product, quantity) = match Units::read(&sent.body) {
        Ok(units) => units,
        Err(why) => return bad("Invalid shipment", &why),
    };
    let asked = sent.part("ship", &[product.as_bytes(), &quantity.units().to_be_bytes()]);
    let outcome = again(|| async {
        let (here, name) = (app.site.id().clone(), product.clone());
        let found = app.read(move |reader| {
            let Some(found) = find(reader, &name)? else { return Ok(None) };
            let oldest = oldest(reader, &here, &found.sku)?;
            Ok(Some((found.sku, oldest)))
        });
        let Some((sku, oldest)) = found.await? else { return missing("Product not found").map(Some) };
        let (mut missing, mut commands) = (quantity.units(), Vec::new());
        let ship = |reservation, quantity| {
            let lines = Some(vec![Line { sku: sku.clone(), location: central(), quantity }]);
            Command::Ship { reservation, lines, note: Note::default() }
        };
        for (reservation, left) in oldest {
            let Ok(units) = Quantity::new(missing.min(left)) else { break };
            commands.push(ship(reservation, units));
            missing -= units.units();
        }
        if missing > 0 {
            // Refused, if it is not the repeat of what was done.
            commands = vec![ship(ReservationId([0; 16]), quantity)];
        }
        match app.submit(&asked, Command::All(commands)).await {
            Ok(_) => done().map(Some),
            Err(problem) if problem.code() == Code::UnknownReservation => {
                let most = format!(
                    "{} units are left in the oldest {COMPAT_SHIPPED_FROM} reservations",
                    quantity.units() - missing
                );
                bad("Insufficient reserved inventory", &most).map(Some)
            }
            // Somebody else has handed them out meanwhile.
            Err(problem) if problem.code() == Code::InsufficientCommitted => Ok(None),
            Err(problem) => Err(problem),
        }
    });
    outcome.await.or_else(refused)
}

/// The oldest reservations of a product with units left, and how many.
fn oldest(reader: &Reader, site: &SiteId, sku: &Sku) -> Result<Vec<(ReservationId, u64)>, Problem> {
    let is_done = |number| {
        let reservation = of(reader, site, sku, number)?;
        Ok::<_, Problem>(reservation.is_some_and(|reservation| left(&reservation) == 0))
    };
    let mut found = Vec::new();
    for number in first_not(is_done)?.. {
        let Some(reservation) = of(reader, site, sku, number)? else { break };
        let left = left(&reservation);
        if left > 0 {
            found.push((id(site, sku, number), left));
        }
        if found.len() == COMPAT_SHIPPED_FROM {
            break;
        }
    }
    Ok(found)
}

fn left(reservation: &Reservation) -> u64 {
    reservation.lines.iter().map(|line| line.quantity.saturating_sub(line.shipped)).sum()
}

fn of(reader: &Reader, site: &SiteId, sku: &Sku, number: u32) -> Result<Option<Reservation>, Problem> {
    Ok(reader.reservation(id(site, sku, number))?)
}

fn id(site: &SiteId, sku: &Sku, number: u32) -> ReservationId {
    let mut id = digest(&[b"warehouse of", site.as_str().as_bytes(), sku.as_str().as_bytes()]);
    id[12..].copy_from_slice(&number.to_be_bytes());
    ReservationId(id)
}
