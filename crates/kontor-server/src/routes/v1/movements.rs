//! `/movements`: the stock ledger.

use axum::extract::State;
use axum::response::Response;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::stock::Movement;
use kontor_core::id::{LocationId, Position, SiteId, Sku};
use kontor_core::refusal::Refusal;
use kontor_core::time::SiteTime;
use kontor_site::reader::{LedgerLine, LedgerPlace};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{page, page_size};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Params};
use crate::problem::Problem;
use crate::{convert, parse};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MovementParams {
    /// Of what.
    sku: String,
    /// Only at this location.
    location: Option<String>,
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
}

/// List movements
///
/// The ledger of one SKU, newest first.
#[utoipa::path(
    get, path = "/api/v1/movements", tag = "stock", operation_id = "list_movements",
    params(MovementParams),
    responses((status = 200, description = "One page of the ledger", body = Page<Movement>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(params): Params<MovementParams>,
) -> Result<Response, Problem> {
    let MovementParams { sku, location, page_size: size, page_token } = params;
    let size = page_size(size)?;
    let sku = parse::at("sku", Sku::parse(sku))?;
    let location = parse::optional("location", location, LocationId::parse)?;
    app.read(move |reader| {
        let filters = [sku.as_str(), location.as_ref().map_or("", LocationId::as_str)];
        let list = List { path: path::MOVEMENTS, filters: &filters };
        let before = list.after(page_token.as_deref(), place)?;
        if reader.item(&sku)?.is_none() {
            return Err(Refusal::UnknownSku { sku: sku.clone() }.into());
        }
        if let Some(location) = &location
            && reader.location(location)?.is_none()
        {
            return Err(Refusal::UnknownLocation { location: location.clone() }.into());
        }
        let rows = reader.movements(&sku, location.as_ref(), before.as_ref(), size + 1)?;
        let query = [("sku", Some(sku.as_str())), ("location", location.as_ref().map(LocationId::as_str))];
        page(&list, size, &query, rows, written_place, |line| convert::movement(&sku, line).map(Some))
    })
    .await
}

/// A line's place in a page token.
pub(crate) fn written_place(line: &LedgerLine) -> String {
    let LedgerPlace { recorded_at, position, line, site } = &line.place;
    format!("{}/{position}/{line}/{site}", recorded_at.0)
}

/// Reads it.
pub(crate) fn place(text: &str) -> Option<LedgerPlace> {
    let mut parts = text.split('/');
    Some(LedgerPlace {
        recorded_at: SiteTime(parts.next()?.parse().ok()?),
        position: Position::parse(parts.next()?)?,
        line: parts.next()?.parse().ok()?,
        site: SiteId::parse(parts.next()?).ok()?,
    })
}
