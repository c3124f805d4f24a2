//! `/products/{id}/revisions` and `/products/{id}/conflicts`: who edited what, and where edits differ.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::revision::{Conflict, ProductInConflict, Revision};
use kontor_core::id::{ProductId, SiteId};
use kontor_core::refusal::Refusal;
use kontor_core::time::Stamp;
use kontor_site::reader::{Reader, RevisionAt};

use super::{Paging, json, page};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Nothing, Params};
use crate::problem::Problem;
use crate::{convert, parse};

/// List the revisions of a product
///
/// Who edited what of it, newest first, by field, before and after. They stay when it is deleted.
#[utoipa::path(
    get, path = "/api/v1/products/{id}/revisions", tag = "products", operation_id = "list_revisions",
    params(("id" = String, Path, description = "The product's id"), Paging),
    responses((status = 200, description = "One page of revisions", body = Page<Revision>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let size = paging.size()?;
    app.read(move |reader| {
        let id = parse::at("id", ProductId::parse(id))?;
        let path = path::with(path::REVISIONS, &[id.as_str()]);
        let list = List { path: &path, filters: &[] };
        let before = paging.page_token.map(|token| list.place(&token)).transpose()?;
        let before = before.map(|place| at(&place)).transpose()?;
        let rows = reader.revisions(&id, before.as_ref().map(|(stamp, site)| (*stamp, site)), size + 1)?;
        if rows.is_empty() && before.is_none() {
            exists(reader, &id)?;
        }
        page(&list, size, &[], rows, place, |row| convert::product::revision(&row.site, &row.revision).map(Some))
    })
    .await
}

/// A revision's place in a page token.
pub(crate) fn place(row: &RevisionAt) -> String {
    format!("{} {}", row.stamp.0, row.site)
}

/// Reads it.
pub(crate) fn at(place: &str) -> Result<(Stamp, SiteId), Problem> {
    let parts = place.split_once(' ');
    let parts = parts.and_then(|(stamp, site)| Some((Stamp(stamp.parse().ok()?), SiteId::parse(site).ok()?)));
    parts.ok_or_else(|| Problem::invalid("page_token", "names no place of this list"))
}

/// List the conflicts of a product
///
/// Fields that were set at several sites, none of which knew of the others: all values, and which of them
/// shows by which rule. An edit that was made on what shows settles them.
#[utoipa::path(
    get, path = "/api/v1/products/{id}/conflicts", tag = "products", operation_id = "list_conflicts",
    params(("id" = String, Path, description = "The product's id")),
    responses((status = 200, description = "All of its conflicts", body = Page<Conflict>)),
)]
pub(crate) async fn conflicts(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    app.read(move |reader| {
        let id = parse::at("id", ProductId::parse(id))?;
        exists(reader, &id)?;
        json(StatusCode::OK, &Page { items: shown(reader, &id)?, next_page_token: None })
    })
    .await
}

/// List all conflicts
///
/// Products with fields that were set at several sites, none of which knew of the others; by id.
#[utoipa::path(
    get, path = "/api/v1/conflicts", tag = "products", operation_id = "list_all_conflicts", params(Paging),
    responses((status = 200, description = "One page of products with their conflicts", body = Page<ProductInConflict>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn all_conflicts(
    State(app): State<App>,
    _: Admin,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let size = paging.size()?;
    app.read(move |reader| {
        let list = List { path: path::ALL_CONFLICTS, filters: &[] };
        let after = paging.page_token.map(|token| list.place(&token)).transpose()?;
        let after = parse::optional("page_token", after, ProductId::parse)?;
        let ids = reader.products_in_conflict(after.as_ref(), size + 1)?;
        page(&list, size, &[], ids, ProductId::to_string, |id| in_conflict(reader, id))
    })
    .await
}

/// A product with its conflicts.
pub(crate) fn in_conflict(reader: &Reader, id: &ProductId) -> Result<Option<ProductInConflict>, Problem> {
    let Some(product) = reader.product(id)? else { return Ok(None) };
    let (title, conflicts) = (product.title.to_string(), shown(reader, id)?);
    Ok(Some(ProductInConflict { id: id.to_string(), title, conflicts }))
}

/// The conflicts of a product.
pub(crate) fn shown(reader: &Reader, id: &ProductId) -> Result<Vec<Conflict>, Problem> {
    let found = reader.conflicts(id)?;
    found.iter().map(|(market, conflict)| convert::product::conflict(market.as_ref(), conflict)).collect()
}

fn exists(reader: &Reader, id: &ProductId) -> Result<(), Problem> {
    match reader.product(id)? {
        Some(_) => Ok(()),
        None => Err(Refusal::UnknownProduct { id: id.clone() }.into()),
    }
}
