//! `/products`: the catalogue, as far as stock needs it.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::product::{self as wire, AddVariant, ChangeProduct, ChangeVariant, CreateProduct, Product};
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::edit::{ProductEdit, SellingEdit, VariantEdit};
use kontor_core::product::{Item, Status};
use kontor_core::refusal::Refusal;
use kontor_core::text::Title;
use kontor_site::Answer;
use kontor_site::bodies::{self, About};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Told, expect_event, kept, page, page_size, refused_edit, write};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Named, Nothing, Params};
use crate::idempotency::{Asked, Posted};
use crate::problem::Problem;
use crate::service::from_memory;
use crate::{convert, parse};

/// Add a product
///
/// With its first variant. Its id is its SKU unless it is given.
#[utoipa::path(
    post, path = "/api/v1/products", tag = "products", operation_id = "create_product",
    request_body = CreateProduct,
    responses((status = 201, description = "The product", body = Product,
        headers(("ETag" = String, description = "Its revision, in quotes"), ("Location" = String, description = "Its path")))),
)]
pub(crate) async fn create(State(app): State<App>, posted: Posted<CreateProduct>) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let id = parse::optional("/id", body.id, ProductId::parse)?;
    let sku = parse::at("/sku", Sku::parse(body.sku))?;
    let title = parse::at("/title", Title::parse(body.title))?;
    let command = Command::create_product(id, sku, title, parse::selling(body.policy, body.backorder_limit)?);
    write(&app, &asked, command, |answer| {
        let product = expect_event(answer, |event| {
            let Event::ProductEdited(edited) = event else { return None };
            let product =
                kontor_core::product::Product::edited(None, &edited.edit, edited.revision, answer.recorded_at)?;
            Some(convert::product(&edited.id, &product))
        })??;
        let path = path::with(path::PRODUCT, &[&product.id]);
        Ok(Told::created(product).revision(Some(1)).path(path))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
    /// Only the product that sells this SKU.
    sku: Option<String>,
}

/// List products
///
/// By id. For everybody.
#[utoipa::path(
    get, path = "/api/v1/products", tag = "products", operation_id = "list_products", security(()),
    params(ListParams),
    responses((status = 200, description = "One page of products", body = Page<Product>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(State(app): State<App>, Params(params): Params<ListParams>) -> Result<Response, Problem> {
    let ListParams { page_size: size, page_token, sku } = params;
    let size = page_size(size)?;
    let sku = parse::optional("sku", sku, Sku::parse)?;
    app.read(move |reader| {
        let list = List { path: path::PRODUCTS, filters: &[sku.as_ref().map_or("", Sku::as_str)] };
        let after = page_token.map(|token| list.place(&token)).transpose()?;
        let after = parse::optional("page_token", after, ProductId::parse)?;
        let rows = match &sku {
            None => reader.products(after.as_ref(), size + 1)?,
            Some(sku) => {
                let item = reader.item(sku)?.filter(|_| after.is_none());
                let found = item.map(|Item { product, .. }| Ok((reader.product(&product)?, product)));
                let found = found.transpose().map_err(|error: kontor_core::view::ViewError| Problem::from(error))?;
                found.into_iter().filter_map(|(product, id)| Some((id, product?))).collect()
            }
        };
        let query = [("sku", sku.as_ref().map(Sku::as_str))];
        page(
            &list,
            size,
            &query,
            rows,
            |(id, _)| id.to_string(),
            |(id, product)| convert::product(id, product).map(Some),
        )
    })
    .await
}

/// Read a product
///
/// For everybody. `If-None-Match` with the `ETag` answers 304 while it has not changed.
#[utoipa::path(
    get, path = "/api/v1/products/{id}", tag = "products", operation_id = "read_product", security(()),
    params(("id" = String, Path, description = "The product's id"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag that the caller has")),
    responses((status = 200, description = "The product", body = Product,
        headers(("ETag" = String, description = "Its revision, in quotes"))), (status = 304, description = "It has not changed")),
)]
pub(crate) async fn read(
    State(app): State<App>,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(from_memory(body(&app, &id)?, &headers).map(crate::service::Payload::into_body))
}

/// The body of one product, from memory if it is there.
pub(crate) fn body(app: &App, id: &str) -> Result<bodies::Body, Problem> {
    let found = app.site.bodies().get_or_render(About::Product, id, || {
        let id = parse::at("id", ProductId::parse(id))?;
        let Some(product) = app.site.read().product(&id)? else { return Ok(None) };
        kept(&convert::product(&id, &product)?, Some(product.revision)).map(Some)
    })?;
    found.ok_or_else(|| match ProductId::parse(id) {
        Ok(id) => Refusal::UnknownProduct { id }.into(),
        Err(error) => Problem::invalid("id", error.to_string()),
    })
}

/// Change a product
///
/// Sets the fields that are given. `If-Match` names the revision that was read.
#[utoipa::path(
    patch, path = "/api/v1/products/{id}", tag = "products", operation_id = "change_product",
    params(("id" = String, Path, description = "The product's id")),
    request_body(content((ChangeProduct = "application/json"), (ChangeProduct = "application/merge-patch+json"))),
    responses((status = 200, description = "What was set", body = wire::ProductEdit,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn change(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<ChangeProduct>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let title = parse::optional("/title", body.title, Title::parse)?;
    edit(&app, &asked, &id, title, None).await
}

/// Archive a product
///
/// It is no longer sold; its stock and history stay.
#[utoipa::path(
    post, path = "/api/v1/products/{id}/archive", tag = "products", operation_id = "archive_product",
    params(("id" = String, Path, description = "The product's id")),
    request_body(content = Option<kontor_api::Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "What was set", body = wire::ProductEdit,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn archive(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<kontor_api::Empty>,
) -> Result<Response, Problem> {
    edit(&app, &posted.asked, &id, None, Some(Status::Archived)).await
}

/// Activate a product
///
/// It is sold again.
#[utoipa::path(
    post, path = "/api/v1/products/{id}/activate", tag = "products", operation_id = "activate_product",
    params(("id" = String, Path, description = "The product's id")),
    request_body(content = Option<kontor_api::Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "What was set", body = wire::ProductEdit,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn activate(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<kontor_api::Empty>,
) -> Result<Response, Problem> {
    edit(&app, &posted.asked, &id, None, Some(Status::Active)).await
}

async fn edit(
    app: &App,
    asked: &Asked,
    id: &str,
    title: Option<Title>,
    status: Option<Status>,
) -> Result<Response, Problem> {
    let id = parse::at("id", ProductId::parse(id))?;
    let expected = asked.expected()?;
    let edit = ProductEdit { title, status, ..ProductEdit::default() };
    let command = Command::change_product(id.clone(), edit, expected);
    let edit = write(app, asked, command, |answer| changed(answer, &id, expected));
    edit.await.map_err(|problem| with_current(app, &id, expected, problem))
}

/// Add a variant
///
/// Another sellable unit of the product.
#[utoipa::path(
    post, path = "/api/v1/products/{id}/variants", tag = "products", operation_id = "add_variant",
    params(("id" = String, Path, description = "The product's id")),
    request_body = AddVariant,
    responses((status = 201, description = "What was set", body = wire::ProductEdit)),
)]
pub(crate) async fn add_variant(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<AddVariant>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let id = parse::at("id", ProductId::parse(id))?;
    let sku = parse::at("/sku", Sku::parse(body.sku))?;
    let title = parse::optional("/title", body.title, Title::parse)?.map(Some);
    let selling = Some(parse::selling(body.policy, body.backorder_limit)?.into());
    let command = Command::add_variant(id.clone(), VariantEdit { title, selling, ..VariantEdit::of(sku) });
    write(&app, &asked, command, |answer| edited(answer, &id, None).map(Told::created)).await
}

/// Change a variant
///
/// Sets the fields that are given. `If-Match` names the revision of the product that was read.
#[utoipa::path(
    patch, path = "/api/v1/products/{id}/variants/{sku}", tag = "products", operation_id = "change_variant",
    params(("id" = String, Path, description = "The product's id"), ("sku" = String, Path, description = "The variant's SKU")),
    request_body(content((ChangeVariant = "application/json"), (ChangeVariant = "application/merge-patch+json"))),
    responses((status = 200, description = "What was set", body = wire::ProductEdit,
        headers(("ETag" = String, description = "The new revision of the product, in quotes")))),
)]
pub(crate) async fn change_variant(
    State(app): State<App>,
    Named((id, sku)): Named<(String, String)>,
    posted: Posted<ChangeVariant>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let id = parse::at("id", ProductId::parse(id))?;
    let sku = parse::at("sku", Sku::parse(sku))?;
    let title = parse::optional("/title", body.title, Title::parse)?;
    let expected = asked.expected()?;
    let selling = (body.policy.is_some() || body.backorder_limit.is_some()).then_some(SellingEdit {
        policy: body.policy.map(parse::policy),
        backorder_limit: body.backorder_limit.map(|limit| parse::units("/backorder_limit", limit)).transpose()?,
    });
    let variant = VariantEdit { title: title.map(Some), selling, ..VariantEdit::of(sku.clone()) };
    let nothing = variant == VariantEdit::of(sku);
    let edit = ProductEdit { variants: if nothing { vec![] } else { vec![variant] }, ..ProductEdit::default() };
    let command = Command::change_product(id.clone(), edit, expected);
    let edit = write(&app, &asked, command, |answer| changed(answer, &id, expected));
    edit.await.map_err(|problem| with_current(&app, &id, expected, problem))
}

/// What an edit has set, by its event: nothing, if all was so already.
fn edited(answer: &Answer, id: &ProductId, expected: Option<u64>) -> Result<wire::ProductEdit, Problem> {
    let found = answer.events.iter().find_map(|event| match event {
        Event::ProductEdited(edited) => Some(edited),
        _ => None,
    });
    let edit = found.map(|edited| &edited.edit);
    Ok(wire::ProductEdit {
        id: id.to_string(),
        title: edit.and_then(|edit| edit.title.as_ref()).map(ToString::to_string),
        status: edit.and_then(|edit| edit.status).map(convert::status),
        variant: edit.and_then(|edit| edit.variants.first()).map(variant_edit),
        revision: found.map(|edited| edited.revision).or(expected),
        updated_at: convert::time(answer.recorded_at)?,
        position: answer.position.to_string(),
    })
}

/// The same as an answer, with the tag of the revision that it made.
fn changed(answer: &Answer, id: &ProductId, expected: Option<u64>) -> Result<Told<wire::ProductEdit>, Problem> {
    let edit = edited(answer, id, expected)?;
    let revision = edit.revision;
    Ok(Told::changed(edit).revision(revision))
}

fn variant_edit(variant: &VariantEdit) -> wire::VariantEdit {
    wire::VariantEdit {
        sku: variant.sku.to_string(),
        title: variant.title.as_ref().and_then(|title| title.as_ref()).map(ToString::to_string),
        policy: variant.selling.and_then(|selling| selling.policy).map(convert::policy),
        backorder_limit: variant.selling.and_then(|selling| selling.backorder_limit),
    }
}

fn with_current(app: &App, id: &ProductId, expected: Option<u64>, problem: Problem) -> Problem {
    refused_edit(problem, expected, || {
        let product = app.site.read().product(id)?;
        product.map(|product| convert::product(id, &product)).transpose()
    })
}
