//! `/stock`: what is there, what came, what went, and why something can or cannot be sold.

mod explain;
mod writes;

pub(crate) use explain::*;
pub(crate) use writes::*;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::stock::Stock;
use kontor_core::id::{LocationId, Sku};
use kontor_core::product::Status;
use kontor_core::refusal::Refusal;
use kontor_site::bodies::{self, About};
use kontor_site::reader::StockOfSku;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{kept, page, page_size};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Caller, Named, Nothing, Params};
use crate::problem::Problem;
use crate::service::{Payload, from_memory};
use crate::{convert, parse};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
    /// Only levels at this location, of SKUs that ever had some there.
    location: Option<String>,
}

/// List stock
///
/// By SKU. For everybody; without a key, not of drafts.
#[utoipa::path(
    get, path = "/api/v1/stock", tag = "stock", operation_id = "list_stock", security(()),
    params(ListParams),
    responses((status = 200, description = "One page of stock", body = Page<Stock>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Response, Problem> {
    let is_public = caller.is_public();
    let ListParams { page_size: size, page_token, location } = params;
    let size = page_size(size)?;
    let location = parse::optional("location", location, LocationId::parse)?;
    app.read(move |reader| {
        let list = List { path: path::STOCK, filters: &[location.as_ref().map_or("", LocationId::as_str)] };
        let after = page_token.map(|token| list.place(&token)).transpose()?;
        let after = parse::optional("page_token", after, Sku::parse)?;
        let rows = reader.stocks(after.as_ref(), location.as_ref(), size + 1)?;
        if let Some(location) = &location
            && reader.location(location)?.is_none()
        {
            return Err(Refusal::UnknownLocation { location: location.clone() }.into());
        }
        let position = reader.position()?;
        let query = [("location", location.as_ref().map(LocationId::as_str))];
        page(
            &list,
            size,
            &query,
            rows,
            |row| row.sku.to_string(),
            |row| {
                let is_shown = (location.is_none() || !row.levels.is_empty()) && !(is_public && is_draft(row));
                Ok(is_shown.then(|| convert::stock(row, position)))
            },
        )
    })
    .await
}

/// Read the stock of a SKU
///
/// For everybody; without a key, not of drafts. `If-None-Match` with the `ETag` answers 304 while it has not changed.
#[utoipa::path(
    get, path = "/api/v1/stock/{sku}", tag = "stock", operation_id = "read_stock", security(()),
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag that the caller has")),
    responses((status = 200, description = "What is there", body = Stock,
        headers(("ETag" = String, description = "A digest of the answer"))), (status = 304, description = "It has not changed")),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Named(sku): Named<String>,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = body(&app, &sku)?;
    if caller.is_public() && !found.is_for_all {
        return Err(Refusal::UnknownSku { sku: parse::at("sku", Sku::parse(sku))? }.into());
    }
    Ok(from_memory(found, &headers).map(Payload::into_body))
}

/// Whether it is not for everybody to know yet that there is such a product.
fn is_draft(stock: &StockOfSku) -> bool {
    stock.item.status == Status::Draft
}

/// The body of the stock of one SKU, from memory if it is there.
pub(crate) fn body(app: &App, sku: &str) -> Result<bodies::Body, Problem> {
    let found = app.site.bodies().get_or_render(About::Stock, sku, || {
        let sku = parse::at("sku", Sku::parse(sku))?;
        let reader = app.site.read();
        let Some(stock) = reader.stock(&sku)? else { return Ok(None) };
        let body = kept(&convert::stock(&stock, reader.position()?), None)?;
        Ok::<_, Problem>(Some(bodies::Body { is_for_all: !is_draft(&stock), ..body }))
    })?;
    found.ok_or_else(|| match Sku::parse(sku) {
        Ok(sku) => Refusal::UnknownSku { sku }.into(),
        Err(error) => Problem::invalid("sku", error.to_string()),
    })
}
