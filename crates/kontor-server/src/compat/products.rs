//! The product API: products with a name and a price, made and read.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use kontor_api::Code;
use kontor_core::command::{Command, Must};
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Policy, Status};
use kontor_core::text::Title;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::catalog::{self, Found, find};
use super::sent::Sent;
use super::{Said, parameter};
use crate::app::App;
use crate::extract::Named;
use crate::limits::COMPAT_ROWS_MAX;
use crate::problem::Problem;
use crate::routes::v1::{json, put};

pub(super) const OPERATIONS: &[(&str, Method)] =
    &[("/products", Method::GET), ("/products", Method::POST), ("/products/{id}", Method::GET)];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/products", get(list).post(create).put(super::global_catalog::put_product))
        .route("/products/", get(unnamed))
        .route("/products/{id}", get(read))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    product_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    price: Option<serde_json::Number>,
}

/// What was made, as it was sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    product_id: String,
    name: String,
    price: Value,
}

async fn create(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let Ok(wanted) = serde_json::from_slice::<Value>(&sent.body) else {
        return said(StatusCode::BAD_REQUEST, "Invalid JSON");
    };
    let bad = |why: &str| {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        said(StatusCode::BAD_REQUEST, &format!("Missing or invalid fields{why}"))
    };
    let Ok(Wanted { product_id, name, price: Some(price) }) = serde_json::from_value(wanted) else { return bad("") };
    if product_id.is_empty() || name.is_empty() {
        return bad("");
    }
    let (sku, title) = match (Sku::parse(product_id.as_str()), Title::parse(name.as_str())) {
        (Ok(sku), Ok(title)) => (sku, title),
        (Err(error), _) | (_, Err(error)) => return bad(&error.to_string()),
    };
    let prices = match catalog::price(&price, catalog::currency()) {
        Ok((_, terms)) if terms.amount == 0 => return bad(""),
        Ok((key, terms)) => [(key, Some(terms))].into(),
        Err(_) if price.to_string().starts_with('-') => return bad(""),
        Err(why) => return bad(&why),
    };
    let variant = VariantEdit { prices, ..VariantEdit::of(sku.clone()) };
    let edit = ProductEdit { title: Some(title), variants: vec![variant], ..ProductEdit::default() };
    let asked = sent.part(&product_id, &[name.as_bytes(), price.to_string().as_bytes()]);
    let command = Command::EditProduct {
        id: sku.clone().into(),
        edit: Box::new(catalog::new_product(edit, sku, Policy::NoneUntilReceived)),
        expected: None,
        must: Must::Create,
        variants: Must::Create,
    };
    match app.submit(&asked, command).await {
        Ok(_) => {
            let made = Made { product_id, name, price: Value::Number(price) };
            json(StatusCode::CREATED, &made).map_err(Problem::after_write)
        }
        Err(problem) if problem.code() == Code::AlreadyExists => said(StatusCode::CONFLICT, "Product already exists"),
        Err(problem) => Err(problem),
    }
}

/// Products by id, so many at once; the next ones are behind `Link`.
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let after = parameter(&uri, "after").and_then(|after| ProductId::parse(after).ok());
    let (documents, next) = app
        .read(move |reader| {
            let rows = reader.products(after.as_ref(), COMPAT_ROWS_MAX)?;
            let last = rows.last().filter(|_| rows.len() == COMPAT_ROWS_MAX).map(|(id, _)| id.clone());
            let next = match last {
                Some(last) if !reader.products(Some(&last), 1)?.is_empty() => Some(last),
                _ => None,
            };
            let shown = rows.into_iter().filter(|(_, product)| product.status == Status::Active);
            let documents = shown.filter_map(|(id, product)| {
                let sku = product.variants.first()?.sku.clone();
                Some(Value::Object(catalog::document(&Found { id, product, sku })))
            });
            Ok((documents.collect::<Vec<_>>(), next))
        })
        .await?;
    let mut response = json(StatusCode::OK, &documents)?;
    if let Some(next) = next {
        let mut link = "</products?after=".to_owned();
        kontor_api::path::encode(next.as_str(), &mut link);
        put(&mut response, header::LINK, &(link + ">; rel=\"next\""));
    }
    Ok(response)
}

async fn read(State(app): State<App>, Named(id): Named<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = app.read(move |reader| find(reader, &id)).await?;
    let Some(found) = found else { return missing(&headers) };
    let mut response = json(StatusCode::OK, &catalog::document(&found))?;
    // What the shop's clients look for: it was not fetched from elsewhere.
    put(&mut response, HeaderName::from_static("x-cache"), "HIT");
    Ok(response)
}

/// Several services define this read. Who asks for JSON gets the shop's error, and everybody else words.
fn missing(headers: &HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match accept.contains("json") {
        true => json(StatusCode::NOT_FOUND, &serde_json::json!({"error": "Product not found", "code": "NOT_FOUND"})),
        false => said(StatusCode::NOT_FOUND, "Product not found"),
    }
}

async fn unnamed() -> Result<Response, Problem> {
    said(StatusCode::BAD_REQUEST, "Missing productId")
}

/// One line of text.
fn said(status: StatusCode, text: &str) -> Result<Response, Problem> {
    let mut response = Response::new(axum::body::Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    put(&mut response, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    Ok(response)
}

/// A problem in a line of text.
pub(super) fn in_words(problem: &Problem) -> Said {
    let text = match problem.code() {
        Code::MethodNotAllowed => "Method not allowed",
        _ => problem.said(),
    };
    Said { status: problem.status(), media_type: "text/plain; charset=utf-8", body: format!("{text}\n").into() }
}
