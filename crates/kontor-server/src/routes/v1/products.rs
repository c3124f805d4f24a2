//! `/products`: one product at a time, or a batch of them.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use kontor_api::path;
use kontor_api::product::{BATCH_MAX, Batch, BatchGet, Product};
use kontor_api::product_edit::{ChangeProduct, ChangeVariant, CreateProduct, ProductEdit, PutVariant};
use kontor_core::command::{Command, Must};
use kontor_core::event::Event;
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::edit::{self, VariantEdit};
use kontor_core::product::revision::Edited;
use kontor_core::product::text::MarketId;
use kontor_core::product::{self as core, Status};
use kontor_core::refusal::Refusal;
use kontor_site::Answer;
use kontor_site::bodies::{self, About};
use kontor_site::reader::Reader;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Told, expect_event, json, kept, kept_bytes, refused_edit, write};
use crate::app::App;
use crate::convert::Audience;
use crate::extract::{Asking, Caller, Named, Params};
use crate::idempotency::{Asked, Posted};
use crate::problem::Problem;
use crate::service::{Payload, from_memory};
use crate::{convert, parse};

/// Add a product
///
/// With one variant as `sku`, or with `variants`. Its id is its first SKU unless it is given.
#[utoipa::path(
    post, path = "/api/v1/products", tag = "products", operation_id = "create_product",
    request_body = CreateProduct,
    responses((status = 201, description = "The product", body = Product,
        headers(("ETag" = String, description = "Its revision, in quotes"), ("Location" = String, description = "Its path")))),
)]
pub(crate) async fn create(State(app): State<App>, posted: Posted<CreateProduct>) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let (id, edit) = parse::product::create(body)?;
    let (edit, must) = (Box::new(edit), Must::Create);
    let command = Command::EditProduct { id, edit, expected: None, must, variants: Must::Create };
    write(&app, &asked, command, |answer| {
        let product = expect_event(answer, |event| {
            let Event::ProductEdited(edited) = event else { return None };
            let made = core::Product::edited(None, &edited.edit, edited.revision, answer.recorded_at)?;
            Some(convert::product::product(&edited.id, &made))
        })??;
        let (revision, path) = (product.revision, path::with(path::PRODUCT, &[&product.id]));
        Ok(Told::created(product).revision(Some(revision)).path(path))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadParams {
    /// Lays titles, attributes and prices of this market over the product's.
    market: Option<String>,
}

/// Read a product
///
/// For everybody; without a key, if it is for sale. `If-None-Match` with the `ETag` answers 304 while it has not changed.
#[utoipa::path(
    get, path = "/api/v1/products/{id}", tag = "products", operation_id = "read_product", security(()),
    params(("id" = String, Path, description = "The product's id"), ReadParams,
        ("If-None-Match" = Option<String>, Header, description = "An ETag that the caller has")),
    responses((status = 200, description = "The product", body = Product,
        headers(("ETag" = String, description = "Its revision, in quotes; a digest of the answer if a market is asked for"))), (status = 304, description = "It has not changed")),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<String>,
    Params(ReadParams { market }): Params<ReadParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let audience = caller.audience();
    let found = match market {
        Some(market) => in_market(&app, audience, &id, market)?,
        None => {
            let kept = body(&app, &id)?;
            if kept.is_for_all || audience == Audience::Keys { kept } else { reduced(&app, &id)? }
        }
    };
    Ok(from_memory(found, &headers).map(Payload::into_body))
}

/// The body of one product as holders of keys see it, from memory if it is there.
pub(crate) fn body(app: &App, id: &str) -> Result<bodies::Body, Problem> {
    let found = app.site.bodies().get_or_render(About::Product, id, || {
        let id = parse::at("id", ProductId::parse(id))?;
        let Some(product) = app.site.read().product(&id)? else { return Ok(None) };
        let body = kept(&convert::product::product(&id, &product)?, Some(product.revision))?;
        Ok::<_, Problem>(Some(bodies::Body { is_for_all: convert::product::is_for_all(&product), ..body }))
    })?;
    found.ok_or_else(|| match ProductId::parse(id) {
        Ok(id) => Refusal::UnknownProduct { id }.into(),
        Err(error) => Problem::invalid("id", error.to_string()),
    })
}

/// The body of a product that everybody sees less of: written for each of them, since it is rare.
fn reduced(app: &App, id: &str) -> Result<bodies::Body, Problem> {
    let id = parse::at("id", ProductId::parse(id))?;
    let product = visible(&app.site.read(), Audience::Everybody, &id)?;
    kept(&convert::product::product_for(Audience::Everybody, &id, &product)?, Some(product.revision))
}

/// The body of a product with what a market says over it.
fn in_market(app: &App, audience: Audience, id: &str, market: String) -> Result<bodies::Body, Problem> {
    let id = parse::at("id", ProductId::parse(id))?;
    let market = parse::at("market", MarketId::parse(market))?;
    let reader = app.site.read();
    let product = visible(&reader, audience, &id)?;
    let shown = shown(&reader, audience, &id, &product, Some(&market))?;
    let bytes = serde_json::to_vec(&shown).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(kept_bytes(bytes.into()))
}

/// A product that this reader may see.
pub(crate) fn visible(reader: &Reader, audience: Audience, id: &ProductId) -> Result<core::Product, Problem> {
    let product = reader.product(id)?.filter(|product| audience.sees(product));
    product.ok_or_else(|| Refusal::UnknownProduct { id: id.clone() }.into())
}

/// A product as this reader sees it, in a market if one is named; `None` if it is not for this reader.
pub(crate) fn shown(
    reader: &Reader,
    audience: Audience,
    id: &ProductId,
    product: &core::Product,
    market: Option<&MarketId>,
) -> Result<Option<Product>, Problem> {
    if !audience.sees(product) {
        return Ok(None);
    }
    let mut shown = convert::product::product_for(audience, id, product)?;
    if let Some(market) = market {
        convert::product::lay_over(&mut shown, product, market, reader.listing(id, market)?.as_ref())?;
    }
    Ok(Some(shown))
}

/// Read many products
///
/// By id or by SKU, at most 200. For everybody; without a key, those that are for sale.
#[utoipa::path(
    post, path = "/api/v1/products/batch-get", tag = "products", operation_id = "read_products", security(()),
    request_body = BatchGet,
    responses((status = 200, description = "Those that are there", body = Batch)),
)]
pub(crate) async fn batch_get(
    State(app): State<App>,
    caller: Caller,
    Asking(wanted): Asking<BatchGet>,
) -> Result<Response, Problem> {
    let (audience, BatchGet { ids, skus, market }) = (caller.audience(), wanted);
    let (field, names) = match (ids, skus) {
        (Some(ids), None) => ("ids", ids),
        (None, Some(skus)) => ("skus", skus),
        _ => return Err(Problem::invalid("", "give either ids or skus")),
    };
    if names.is_empty() || names.len() > BATCH_MAX {
        let detail = format!("1 to {BATCH_MAX} are taken, and {} were given", names.len());
        return Err(Problem::invalid(format!("/{field}"), detail));
    }
    let market = parse::optional("/market", market, MarketId::parse)?;
    app.read(move |reader| {
        let mut batch = Batch { items: Vec::with_capacity(names.len()), missing: Vec::new() };
        for (index, name) in names.into_iter().enumerate() {
            let place = format!("/{field}/{index}");
            let id = match field {
                "ids" => Some(parse::at(&place, ProductId::parse(name.as_str()))?),
                _ => reader.item(&parse::at(&place, Sku::parse(name.as_str()))?)?.map(|item| item.product),
            };
            let product = match &id {
                Some(id) => reader.product(id)?.map(|product| (id, product)),
                None => None,
            };
            let found = match product {
                Some((id, product)) => shown(reader, audience, id, &product, market.as_ref())?,
                None => None,
            };
            match found {
                None => batch.missing.push(name),
                Some(found) if batch.items.iter().any(|item| item.id == found.id) => {}
                Some(found) => batch.items.push(found),
            }
        }
        json(http::StatusCode::OK, &batch)
    })
    .await
}

/// Change a product
///
/// A merge patch: sets the fields that are given, `null` empties. `If-Match` names the revision that was read.
#[utoipa::path(
    patch, path = "/api/v1/products/{id}", tag = "products", operation_id = "change_product",
    params(("id" = String, Path, description = "The product's id")),
    request_body(content((ChangeProduct = "application/json"), (ChangeProduct = "application/merge-patch+json"))),
    responses((status = 200, description = "What was changed", body = ProductEdit,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn change(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<ChangeProduct>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    edit(&app, &asked, id, parse::product::change(body)?).await
}

/// Delete a product
///
/// It is gone from every list; its revisions stay. Refused while one of its SKUs has stock, holds or
/// promises anywhere.
#[utoipa::path(
    delete, path = "/api/v1/products/{id}", tag = "products", operation_id = "delete_product",
    params(("id" = String, Path, description = "The product's id")),
    responses((status = 200, description = "It is gone", body = ProductEdit)),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<kontor_api::Empty>,
) -> Result<Response, Problem> {
    let asked = posted.asked;
    let id = parse::at("id", ProductId::parse(id))?;
    let expected = asked.expected()?;
    let command = Command::DeleteProduct { id: id.clone(), expected };
    let deleted = write(&app, &asked, command, |answer| edited(answer, &id, expected).map(Told::changed)).await;
    deleted.map_err(|problem| with_current(&app, &id, expected, problem))
}

/// Archive a product
///
/// It is no longer sold; its stock and history stay.
#[utoipa::path(
    post, path = "/api/v1/products/{id}/archive", tag = "products", operation_id = "archive_product",
    params(("id" = String, Path, description = "The product's id")),
    request_body(content = Option<kontor_api::Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "What was changed", body = ProductEdit,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn archive(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<kontor_api::Empty>,
) -> Result<Response, Problem> {
    let status = Some(Status::Archived);
    edit(&app, &posted.asked, id, edit::ProductEdit { status, ..edit::ProductEdit::default() }).await
}

/// Activate a product
///
/// It is sold from now on, or again.
#[utoipa::path(
    post, path = "/api/v1/products/{id}/activate", tag = "products", operation_id = "activate_product",
    params(("id" = String, Path, description = "The product's id")),
    request_body(content = Option<kontor_api::Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "What was changed", body = ProductEdit,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn activate(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<kontor_api::Empty>,
) -> Result<Response, Problem> {
    let status = Some(Status::Active);
    edit(&app, &posted.asked, id, edit::ProductEdit { status, ..edit::ProductEdit::default() }).await
}

/// Add a variant
///
/// Another sellable unit of the product.
#[utoipa::path(
    post, path = "/api/v1/products/{id}/variants", tag = "products", operation_id = "add_variant",
    params(("id" = String, Path, description = "The product's id")),
    request_body = PutVariant,
    responses((status = 201, description = "What was changed", body = ProductEdit,
        headers(("ETag" = String, description = "The new revision of the product, in quotes")))),
)]
pub(crate) async fn add_variant(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<PutVariant>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let id = parse::at("id", ProductId::parse(id))?;
    let command = Command::add_variant(id.clone(), parse::product::variant("", body)?);
    write(&app, &asked, command, |answer| {
        let edit = edited(answer, &id, None)?;
        let revision = edit.revision;
        Ok(Told::created(edit).revision(revision))
    })
    .await
}

/// Change a variant
///
/// A merge patch: sets the fields that are given, `null` empties. `If-Match` names the revision of the
/// product that was read.
#[utoipa::path(
    patch, path = "/api/v1/products/{id}/variants/{sku}", tag = "products", operation_id = "change_variant",
    params(("id" = String, Path, description = "The product's id"), ("sku" = String, Path, description = "The variant's SKU")),
    request_body(content((ChangeVariant = "application/json"), (ChangeVariant = "application/merge-patch+json"))),
    responses((status = 200, description = "What was changed", body = ProductEdit,
        headers(("ETag" = String, description = "The new revision of the product, in quotes")))),
)]
pub(crate) async fn change_variant(
    State(app): State<App>,
    Named((id, sku)): Named<(String, String)>,
    posted: Posted<ChangeVariant>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let sku = parse::at("sku", Sku::parse(sku))?;
    let variant = parse::product::change_variant(sku.clone(), body)?;
    // An edit that sets nothing is refused as such.
    let variants = if variant == VariantEdit::of(sku) { Vec::new() } else { vec![variant] };
    edit(&app, &asked, id, edit::ProductEdit { variants, ..edit::ProductEdit::default() }).await
}

/// Remove a variant
///
/// Refused while it has stock, holds or promises anywhere. The last one stays: delete the product instead.
/// `If-Match` names the revision of the product that was read.
#[utoipa::path(
    delete, path = "/api/v1/products/{id}/variants/{sku}", tag = "products", operation_id = "remove_variant",
    params(("id" = String, Path, description = "The product's id"), ("sku" = String, Path, description = "The variant's SKU")),
    responses((status = 200, description = "What was changed", body = ProductEdit,
        headers(("ETag" = String, description = "The new revision of the product, in quotes")))),
)]
pub(crate) async fn remove_variant(
    State(app): State<App>,
    Named((id, sku)): Named<(String, String)>,
    posted: Posted<kontor_api::Empty>,
) -> Result<Response, Problem> {
    let sku = parse::at("sku", Sku::parse(sku))?;
    let variants = vec![VariantEdit { present: Some(false), ..VariantEdit::of(sku) }];
    edit(&app, &posted.asked, id, edit::ProductEdit { variants, ..edit::ProductEdit::default() }).await
}

async fn edit(app: &App, asked: &Asked, id: String, edit: edit::ProductEdit) -> Result<Response, Problem> {
    let id = parse::at("id", ProductId::parse(id))?;
    let expected = asked.expected()?;
    let command = Command::change_product(id.clone(), edit, expected);
    let changed = write(app, asked, command, |answer| {
        let edit = edited(answer, &id, expected)?;
        let revision = edit.revision;
        Ok(Told::changed(edit).revision(revision))
    });
    changed.await.map_err(|problem| with_current(app, &id, expected, problem))
}

/// What an edit has changed, by its event; nothing, if there is none.
fn edited(answer: &Answer, id: &ProductId, expected: Option<u64>) -> Result<ProductEdit, Problem> {
    let found = answer.events.iter().find_map(|event| match event {
        Event::ProductEdited(edited) => Some(edited.clone()),
        _ => None,
    });
    let revision = found.as_ref().map(|edited| edited.revision).or(expected);
    let position = found.is_some().then(|| answer.position.to_string());
    let changes = found.map(|edited| convert::product::changes(&Edited::Product(edited))).transpose()?;
    Ok(ProductEdit {
        id: id.to_string(),
        changes: changes.unwrap_or_default(),
        revision,
        updated_at: convert::time(answer.recorded_at)?,
        position,
    })
}

fn with_current(app: &App, id: &ProductId, expected: Option<u64>, problem: Problem) -> Problem {
    refused_edit(problem, expected, || {
        let product = app.site.read().product(id)?;
        product.map(|product| convert::product::product(id, &product)).transpose()
    })
}
