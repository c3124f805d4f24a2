//! `/products`: the catalogue, as far as stock needs it.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::product::{
    AddVariant, ChangeProduct, ChangeVariant, CreateProduct, Policy, Product, ProductEdit, Variant, VariantEdit,
};
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::{Item, Selling, Status};
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
    let command = Command::CreateProduct {
        id: parse::optional("/id", body.id, ProductId::parse)?,
        sku: parse::at("/sku", Sku::parse(body.sku))?,
        title: parse::at("/title", Title::parse(body.title))?,
        selling: parse::selling(body.policy, body.backorder_limit)?,
    };
    write(&app, &asked, command, |answer| {
        let created = convert::time(answer.recorded_at)?;
        let product = expect_event(answer, |event| {
            let Event::ProductCreated { id, sku, title, selling, .. } = event else { return None };
            let (policy, backorder_limit) = (convert::policy(selling.policy), selling.backorder_limit);
            let first = Variant { sku: sku.to_string(), title: None, policy, backorder_limit };
            Some(Product {
                id: id.to_string(),
                sku: sku.to_string(),
                title: title.to_string(),
                status: kontor_api::product::Status::Active,
                variants: vec![first],
                revision: 1,
                created_at: created,
                updated_at: created,
            })
        })?;
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
    responses((status = 200, description = "What was set", body = ProductEdit,
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
    responses((status = 200, description = "What was set", body = ProductEdit,
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
    responses((status = 200, description = "What was set", body = ProductEdit,
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
    let command = Command::ChangeProduct { id: id.clone(), title, status, expected };
    let edit = write(app, asked, command, |answer| changed(answer, expected));
    edit.await.map_err(|problem| with_current(app, &id, expected, problem))
}

/// Add a variant
///
/// Another sellable unit of the product.
#[utoipa::path(
    post, path = "/api/v1/products/{id}/variants", tag = "products", operation_id = "add_variant",
    params(("id" = String, Path, description = "The product's id")),
    request_body = AddVariant,
    responses((status = 201, description = "What was set", body = ProductEdit)),
)]
pub(crate) async fn add_variant(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<AddVariant>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let command = Command::AddVariant {
        id: parse::at("id", ProductId::parse(id))?,
        sku: parse::at("/sku", Sku::parse(body.sku))?,
        title: parse::optional("/title", body.title, Title::parse)?,
        selling: parse::selling(body.policy, body.backorder_limit)?,
    };
    write(&app, &asked, command, |answer| edited(answer, None).map(Told::created)).await
}

/// Change a variant
///
/// Sets the fields that are given. `If-Match` names the revision of the product that was read.
#[utoipa::path(
    patch, path = "/api/v1/products/{id}/variants/{sku}", tag = "products", operation_id = "change_variant",
    params(("id" = String, Path, description = "The product's id"), ("sku" = String, Path, description = "The variant's SKU")),
    request_body(content((ChangeVariant = "application/json"), (ChangeVariant = "application/merge-patch+json"))),
    responses((status = 200, description = "What was set", body = ProductEdit,
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
    let selling = selling_of(&app, &id, &sku, body.policy, body.backorder_limit)?;
    let command = Command::ChangeVariant { id: id.clone(), sku, title, selling, expected };
    let edit = write(&app, &asked, command, |answer| changed(answer, expected));
    edit.await.map_err(|problem| with_current(&app, &id, expected, problem))
}

/// Policy and limit are one value of the variant. Half of one is completed from the revision that the
/// caller names; if that is no longer the newest, the writer refuses the edit.
fn selling_of(
    app: &App,
    id: &ProductId,
    sku: &Sku,
    policy: Option<Policy>,
    limit: Option<u64>,
) -> Result<Option<Selling>, Problem> {
    if policy.is_none() && limit.is_none() {
        return Ok(None);
    }
    let product = app.site.read().product(id)?;
    let variants = product.into_iter().flat_map(|product| product.variants);
    let now = variants.into_iter().find(|variant| variant.sku == *sku).map(|variant| variant.selling);
    let now = now.unwrap_or_default();
    let given = parse::selling(policy, limit)?;
    Ok(Some(Selling {
        policy: if policy.is_some() { given.policy } else { now.policy },
        backorder_limit: if limit.is_some() { given.backorder_limit } else { now.backorder_limit },
    }))
}

/// What an edit has set, by its event.
fn edited(answer: &Answer, expected: Option<u64>) -> Result<ProductEdit, Problem> {
    let revision = expected.map(|before| before + 1);
    let updated_at = convert::time(answer.recorded_at)?;
    expect_event(answer, |event| {
        let (id, title, status, variant) = match event {
            Event::ProductChanged { id, title, status, .. } => (id, title.as_ref(), *status, None),
            Event::VariantAdded { id, sku, title, selling, .. } => {
                (id, None, None, Some(variant_edit(sku, title.as_ref(), Some(*selling))))
            }
            Event::VariantChanged { id, sku, title, selling, .. } => {
                (id, None, None, Some(variant_edit(sku, title.as_ref(), *selling)))
            }
            _ => return None,
        };
        Some(ProductEdit {
            id: id.to_string(),
            title: title.map(ToString::to_string),
            status: status.map(convert::status),
            variant,
            revision,
            updated_at,
            position: answer.position.to_string(),
        })
    })
}

/// The same as an answer, with the tag of the revision that it made.
fn changed(answer: &Answer, expected: Option<u64>) -> Result<Told<ProductEdit>, Problem> {
    let edit = edited(answer, expected)?;
    let revision = edit.revision;
    Ok(Told::changed(edit).revision(revision))
}

fn variant_edit(sku: &Sku, title: Option<&Title>, selling: Option<Selling>) -> VariantEdit {
    VariantEdit {
        sku: sku.to_string(),
        title: title.map(ToString::to_string),
        policy: selling.map(|selling| convert::policy(selling.policy)),
        backorder_limit: selling.map(|selling| selling.backorder_limit),
    }
}

fn with_current(app: &App, id: &ProductId, expected: Option<u64>, problem: Problem) -> Problem {
    refused_edit(problem, expected, || {
        let product = app.site.read().product(id)?;
        product.map(|product| convert::product(id, &product)).transpose()
    })
}
