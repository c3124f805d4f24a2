//! `/locations`: warehouses and shops.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use kontor_api::location::{Location, LocationEdit, OpenLocation, RenameLocation};
use kontor_api::page::Page;
use kontor_api::path;
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::LocationId;
use kontor_core::refusal::Refusal;
use kontor_core::text::Title;
use kontor_site::reader::Reader;

use super::{Paging, Told, expect_event, kept, page, refused_edit, write};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Named, Nothing, Params};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::service::{Payload, from_memory};
use crate::{convert, parse};

/// Open a location
///
/// The site that answers becomes its home and keeps its books.
#[utoipa::path(
    post, path = "/api/v1/locations", tag = "locations", operation_id = "open_location",
    request_body = OpenLocation,
    responses((status = 201, description = "The location", body = Location,
        headers(("ETag" = String, description = "Its revision, in quotes"), ("Location" = String, description = "Its path")))),
)]
pub(crate) async fn open(State(app): State<App>, posted: Posted<OpenLocation>) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let command = Command::OpenLocation {
        id: parse::at("/id", LocationId::parse(body.id))?,
        name: parse::at("/name", Title::parse(body.name))?,
    };
    write(&app, &asked, command, |answer| {
        let opened = convert::time(answer.recorded_at)?;
        let location = expect_event(answer, |event| {
            let Event::LocationOpened { id, name } = event else { return None };
            Some(Location {
                id: id.to_string(),
                name: name.to_string(),
                home: app.site.id().to_string(),
                revision: 1,
                created_at: opened,
                updated_at: opened,
            })
        })?;
        let path = path::with(path::LOCATION, &[&location.id]);
        Ok(Told::created(location).revision(Some(1)).path(path))
    })
    .await
}

/// List locations
///
/// By id. For everybody.
#[utoipa::path(
    get, path = "/api/v1/locations", tag = "locations", operation_id = "list_locations", security(()),
    params(Paging),
    responses((status = 200, description = "One page of locations", body = Page<Location>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(State(app): State<App>, Params(paging): Params<Paging>) -> Result<Response, Problem> {
    let size = paging.size()?;
    app.read(move |reader| {
        let list = List { path: path::LOCATIONS, filters: &[] };
        let after = paging.page_token.map(|token| list.place(&token)).transpose()?;
        let after = parse::optional("page_token", after, LocationId::parse)?;
        let rows = reader.locations(after.as_ref(), size + 1)?;
        page(&list, size, &[], rows, |(id, _)| id.to_string(), |(id, _)| shown(reader, id))
    })
    .await
}

/// Read a location
///
/// For everybody.
#[utoipa::path(
    get, path = "/api/v1/locations/{id}", tag = "locations", operation_id = "read_location", security(()),
    params(("id" = String, Path, description = "The location's id"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag that the caller has")),
    responses((status = 200, description = "The location", body = Location,
        headers(("ETag" = String, description = "Its revision, in quotes"))), (status = 304, description = "It has not changed")),
)]
pub(crate) async fn read(
    State(app): State<App>,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = parse::at("id", LocationId::parse(id))?;
    let found = shown(&app.site.read(), &id)?;
    let location = found.ok_or(Refusal::UnknownLocation { location: id })?;
    Ok(from_memory(kept(&location, Some(location.revision))?, &headers).map(Payload::into_body))
}

/// Rename a location
///
/// `If-Match` names the revision that was read.
#[utoipa::path(
    patch, path = "/api/v1/locations/{id}", tag = "locations", operation_id = "rename_location",
    params(("id" = String, Path, description = "The location's id")),
    request_body(content((RenameLocation = "application/json"), (RenameLocation = "application/merge-patch+json"))),
    responses((status = 200, description = "What was set", body = LocationEdit,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn rename(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<RenameLocation>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let id = parse::at("id", LocationId::parse(id))?;
    let name = parse::at("/name", Title::parse(body.name))?;
    let expected = asked.expected()?;
    let command = Command::RenameLocation { id: id.clone(), name, expected };
    let renamed = write(&app, &asked, command, |answer| {
        let (updated_at, revision) = (convert::time(answer.recorded_at)?, expected.map(|before| before + 1));
        let edit = expect_event(answer, |event| {
            let Event::LocationRenamed { id, name } = event else { return None };
            let (id, name, position) = (id.to_string(), name.to_string(), answer.position.to_string());
            Some(LocationEdit { id, name, revision, updated_at, position })
        })?;
        Ok(Told::changed(edit).revision(revision))
    });
    renamed.await.map_err(|problem| refused_edit(problem, expected, || shown(&app.site.read(), &id)))
}

fn shown(reader: &Reader, id: &LocationId) -> Result<Option<Location>, Problem> {
    let found = reader.location(id)?;
    found.map(|(home, location)| convert::location(id, &home, &location)).transpose()
}
