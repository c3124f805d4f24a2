//! `/export`: everything there is, as lines, as it was at one moment.

mod split;

use axum::extract::State;
use axum::response::Response;
use kontor_api::export::ExportedStock;
use kontor_api::listing::Listing;
use kontor_api::product::Product;
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::text::MarketId;
use kontor_site::reader::Reader;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::app::App;
use crate::extract::{Admin, Params};
use crate::limits::{EXPORT_BATCH, EXPORT_BATCH_BYTES, EXPORT_LINE_BYTES, EXPORT_LISTINGS};
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
/// `markets`: one on each line, as they were at one moment. A product that is too long for a line goes on on
/// further ones with its `id`, each with some of its variants, attributes, translations or markets. An export
/// that fails breaks the connection off; the last product may then be told in part only.
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
    stream(&app, Place { after, rest: None, batch: EXPORT_BATCH }, move |place| batch(&reader, place)).await
}

/// How far an export of products has come.
struct Place {
    /// The last product that was begun.
    after: Option<ProductId>,
    /// What is left of it.
    rest: Option<Rest>,
    /// How many products are read at once.
    batch: usize,
}

/// A product of which not all listings were told.
struct Rest {
    id: ProductId,
    title: String,
    after: MarketId,
}

/// Some products, or some listings of one.
fn batch(reader: &Reader, place: Place) -> Result<(Vec<u8>, Option<Place>), Problem> {
    let Place { mut after, rest, batch } = place;
    let mut text = Vec::new();
    if let Some(Rest { id, title, after: market }) = rest {
        let (markets, last) = listings(reader, &id, Some(&market))?;
        let line = json!({"id": id.to_string(), "title": title, "markets": markets});
        push_split(&mut text, line)?;
        let rest = last.map(|market| Rest { id, title, after: market });
        return Ok((text, Some(Place { after, rest, batch })));
    }
    let rows = reader.products(after.as_ref(), batch)?;
    if rows.is_empty() {
        return Ok((text, None));
    }
    let (mut rest, mut told) = (None, 0);
    for (id, product) in rows {
        let mut shown = convert::product::product(&id, &product)?;
        let (markets, last) = listings(reader, &id, None)?;
        shown.markets = markets;
        let begin = text.len();
        push(&mut text, &shown)?;
        // Most are so short that what the site gives cannot decide it.
        if text.len() - begin > EXPORT_LINE_BYTES && split::bytes(&shown) > EXPORT_LINE_BYTES {
            text.truncate(begin);
            push_split(&mut text, json!(shown))?;
        }
        told += 1;
        rest = last.map(|market| Rest { id: id.clone(), title: shown.title, after: market });
        after = Some(id);
        if rest.is_some() || text.len() > EXPORT_BATCH_BYTES {
            return Ok((text, Some(Place { after, rest, batch: told })));
        }
    }
    Ok((text, Some(Place { after, rest, batch: (batch * 2).min(EXPORT_BATCH) })))
}

/// Some of what a product says in markets; and the last one of them, if there are more.
fn listings(
    reader: &Reader,
    id: &ProductId,
    after: Option<&MarketId>,
) -> Result<(Vec<Listing>, Option<MarketId>), Problem> {
    let (mut shown, mut bytes, mut after) = (Vec::new(), 0, after.cloned());
    loop {
        let page = reader.listings(id, after.as_ref(), EXPORT_LISTINGS)?;
        for (market, listing) in &page {
            let listing = convert::product::listing(market, listing)?;
            bytes += split::bytes(&listing);
            shown.push(listing);
        }
        let is_last = page.len() < EXPORT_LISTINGS;
        after = page.into_iter().next_back().map(|(market, _)| market).or(after);
        if is_last {
            return Ok((shown, None));
        }
        if bytes > EXPORT_LINE_BYTES {
            return Ok((shown, after));
        }
    }
}

/// Adds the lines of a long product.
fn push_split(text: &mut Vec<u8>, product: Value) -> Result<(), Problem> {
    let Value::Object(product) = product else { return Ok(()) };
    split::split(product).iter().try_for_each(|line| push(text, line))
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
