//! `/reservations`: units held until a deadline, all lines or none.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Empty;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::reservation::{
    ExtendReservation, MakeReservation, Reservation, ReservationExtended, ReservationStatus,
};
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::{Owner, ReservationId};
use kontor_core::limits::HOLD_MS_DEFAULT;
use kontor_core::refusal::Refusal;
use kontor_core::reservation as core;
use kontor_core::time::SiteTime;
use kontor_site::Answer;

use super::{Paging, Told, expect_event, json, page, write};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Nothing, Params};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::{convert, parse};

/// Make a reservation
///
/// Holds units until a deadline, all lines or none. A hold past its deadline is free to the next
/// request at once.
#[utoipa::path(
    post, path = "/api/v1/reservations", tag = "reservations", operation_id = "make_reservation",
    request_body = MakeReservation,
    responses((status = 201, description = "The reservation", body = Reservation,
        headers(("Location" = String, description = "Its path")))),
)]
pub(crate) async fn make(State(app): State<App>, posted: Posted<MakeReservation>) -> Result<Response, Problem> {
    let Posted { body: MakeReservation { id, lines, ttl_s, owner }, asked } = posted;
    let command = Command::Reserve {
        id: id.map(|id| parse::reservation_id("/id", &id)).transpose()?,
        owner: parse::optional("/owner", owner, Owner::parse)?,
        lines: parse::lines(lines)?,
        hold_ms: ttl_s.map_or(Ok(HOLD_MS_DEFAULT), parse::ttl)?,
    };
    write(&app, &asked, command, |answer| {
        let (id, made) = expect_event(answer, |event| {
            let Event::ReservationMade { id, owner, lines, expires_at } = event else { return None };
            let reservation = core::Reservation {
                status: core::ReservationStatus::Held,
                owner: owner.clone(),
                lines: lines.clone(),
                created_at: answer.recorded_at,
                expires_at: *expires_at,
                ended_at: None,
            };
            Some((*id, reservation))
        })?;
        let reservation = convert::reservation(id, &made, answer.position)?;
        let path = path::with(path::RESERVATION, &[&reservation.id]);
        Ok(Told::created(reservation).path(path))
    })
    .await
}

/// List live reservations
///
/// Those that are held, soonest to expire first.
#[utoipa::path(
    get, path = "/api/v1/reservations", tag = "reservations", operation_id = "list_reservations",
    params(Paging),
    responses((status = 200, description = "One page of reservations", body = Page<Reservation>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let size = paging.size()?;
    app.read(move |reader| {
        let list = List { path: path::RESERVATIONS, filters: &[] };
        let after = list.after(paging.page_token.as_deref(), place)?;
        let rows = reader.holds(after, size + 1)?;
        let position = reader.position()?;
        let place = |(id, hold): &(ReservationId, core::Reservation)| format!("{}/{id}", hold.expires_at.0);
        page(&list, size, &[], rows, place, |(id, hold)| convert::reservation(*id, hold, position).map(Some))
    })
    .await
}

/// Reads the place of a hold: when it expires, and which it is.
fn place(text: &str) -> Option<(SiteTime, ReservationId)> {
    let (due, id) = text.split_once('/')?;
    Some((SiteTime(due.parse().ok()?), ReservationId::parse(id).ok()?))
}

/// Read a reservation
///
/// As it is, or as it ended.
#[utoipa::path(
    get, path = "/api/v1/reservations/{id}", tag = "reservations", operation_id = "read_reservation",
    params(("id" = String, Path, description = "`res_` and a UUID")),
    responses((status = 200, description = "The reservation", body = Reservation)),
)]
pub(crate) async fn read(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = parse::reservation_id("id", &id)?;
    let reader = app.site.read();
    let reservation = reader.reservation(id)?.ok_or(Refusal::UnknownReservation { id })?;
    json(StatusCode::OK, &convert::reservation(id, &reservation, reader.position()?)?)
}

/// Extend a reservation
///
/// Gives a hold another deadline, counted from now.
#[utoipa::path(
    post, path = "/api/v1/reservations/{id}/extend", tag = "reservations", operation_id = "extend_reservation",
    params(("id" = String, Path, description = "`res_` and a UUID")),
    request_body = ExtendReservation,
    responses((status = 200, description = "The new deadline", body = ReservationExtended)),
)]
pub(crate) async fn extend(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<ExtendReservation>,
) -> Result<Response, Problem> {
    let Posted { body: ExtendReservation { ttl_s }, asked } = posted;
    let id = parse::reservation_id("id", &id)?;
    let command = Command::Extend { id, hold_ms: parse::ttl(ttl_s)? };
    write(&app, &asked, command, |answer| {
        let expires_at = expect_event(answer, |event| match event {
            Event::ReservationExtended { expires_at, .. } => Some(*expires_at),
            _ => None,
        })?;
        Ok(Told::changed(ReservationExtended {
            id: id.to_string(),
            status: ReservationStatus::Held,
            expires_at: convert::time(expires_at)?,
            position: answer.position.to_string(),
        }))
    })
    .await
}

/// Commit a reservation
///
/// Turns the hold into a promise to an order; `POST /stock/ship` hands it out.
#[utoipa::path(
    post, path = "/api/v1/reservations/{id}/commit", tag = "reservations", operation_id = "commit_reservation",
    params(("id" = String, Path, description = "`res_` and a UUID")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "The reservation", body = Reservation)),
)]
pub(crate) async fn commit(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<Empty>,
) -> Result<Response, Problem> {
    let id = parse::reservation_id("id", &id)?;
    write(&app, &posted.asked, Command::Commit { id }, |answer| ended(id, answer)).await
}

/// Release a reservation
///
/// Gives the hold back.
#[utoipa::path(
    post, path = "/api/v1/reservations/{id}/release", tag = "reservations", operation_id = "release_reservation",
    params(("id" = String, Path, description = "`res_` and a UUID")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "The reservation", body = Reservation)),
)]
pub(crate) async fn release(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<Empty>,
) -> Result<Response, Problem> {
    let id = parse::reservation_id("id", &id)?;
    write(&app, &posted.asked, Command::Release { id }, |answer| ended(id, answer)).await
}

fn ended(id: ReservationId, answer: &Answer) -> Result<Told<Reservation>, Problem> {
    let reservation = expect_event(answer, |event| match event {
        Event::ReservationEnded { id: of, status, lines, owner, created_at, expires_at } if *of == id => {
            Some(core::Reservation {
                status: *status,
                owner: owner.clone(),
                lines: lines.clone(),
                created_at: *created_at,
                expires_at: *expires_at,
                ended_at: Some(answer.recorded_at),
            })
        }
        _ => None,
    })?;
    convert::reservation(id, &reservation, answer.position).map(Told::changed)
}
