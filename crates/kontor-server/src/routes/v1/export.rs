//! `/export`: everything there is, as lines, as it was at one moment.

use axum::extract::State;
use axum::response::Response;
use kontor_api::export::ExportedStock;
use kontor_api::product::Product;
use kontor_core::id::{ProductId, Sku};
use kontor_core::limits::MARKETS_MAX;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::extract::{Admin, Params};
use crate::limits::EXPORT_BATCH;
use crate::lines::{push, stream};
use crate::problem::Problem;
use crate::{convert, parse};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// Only what follows this product id or SKU: the last one of an export that broke off.
    after: Option<String>,
}

/// Export products
///
/// All of them, drafts and archived ones too, by id, as they are read, with what they say of their own in
/// `markets`: one on each line, as they were at one moment. An export that fails breaks the connection off.
#[utoipa::path(
    get, path = "/api/v1/export/products", tag = "jobs", operation_id = "export_products",
    params(ExportParams),
    responses((status = 200, description = "One product on each line", body = Product, content_type = "application/x-ndjson")),
)]
pub(crate) async fn products(
    State(app): State<App>,
    _: Admin,
    Params(ExportParams { after }): Params<ExportParams>,
) -> Result<Response, Problem> {
    let after = parse::optional("after", after, ProductId::parse)?;
    let reader = app.site.read();
    stream(&app, after, move |after| {
        let rows = reader.products(after.as_ref(), EXPORT_BATCH)?;
        let mut text = Vec::new();
        for (id, product) in &rows {
            let mut shown = convert::product::product(id, product)?;
            let listings = reader.listings(id, None, MARKETS_MAX)?;
            let listings = listings.iter().map(|(market, listing)| convert::product::listing(market, listing));
            shown.markets = listings.collect::<Result<_, _>>()?;
            push(&mut text, &shown)?;
        }
        let last = rows.into_iter().next_back().map(|(id, _)| Some(id));
        Ok((text, last))
    })
    .await
}

/// Export stock
///
/// All levels, by SKU and location: one on each line, as they were at one moment. `after` names a SKU.
#[utoipa::path(
    get, path = "/api/v1/export/stock", tag = "jobs", operation_id = "export_stock",
    params(ExportParams),
    responses((status = 200, description = "One level on each line", body = ExportedStock, content_type = "application/x-ndjson")),
)]
pub(crate) async fn stock(
    State(app): State<App>,
    _: Admin,
    Params(ExportParams { after }): Params<ExportParams>,
) -> Result<Response, Problem> {
    let after = parse::optional("after", after, Sku::parse)?;
    let reader = app.site.read();
    stream(&app, after, move |after| {
        let rows = reader.stocks(after.as_ref(), None, EXPORT_BATCH)?;
        let mut text = Vec::new();
        for found in &rows {
            for at in &found.levels {
                let line = ExportedStock {
                    sku: found.sku.to_string(),
                    location: at.location.to_string(),
                    on_hand: at.level.on_hand,
                    unavailable: at.level.unavailable,
                    safety_stock: at.level.safety_stock,
                };
                push(&mut text, &line)?;
            }
        }
        let last = rows.into_iter().next_back().map(|found| Some(found.sku));
        Ok((text, last))
    })
    .await
}
