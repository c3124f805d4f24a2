//! The central API of the distributed inventory, one pool of stock that stores sell from by version, and the
//! API of those stores.
//!
//! A product of it is a SKU, its pool is the location `central`, which is opened by the first write, and its
//! version is that of this site's books of the two. A product that is deleted here is archived.

pub(super) mod admin;
mod events;
mod list;
mod rates;
pub(super) mod store;
mod updates;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kontor_api::{Code, Time};
use kontor_core::id::{LocationId, SiteId, Sku};
use kontor_core::product::{Item, Product, Status};
use kontor_core::stock::{Level, StockRow};
use kontor_core::view::rows_of_sites;
use kontor_site::clock::wall_ms;
use kontor_site::reader::Reader;
use serde::Serialize;
use serde_json::json;

use super::{Said, catalog};
use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Named};
use crate::problem::Problem;
use crate::routes::v1::json as answer;
use crate::throttle::Standing;

const PRODUCTS: &str = "/v1/inventory";
const PRODUCT: &str = "/v1/inventory/{productId}";
const UPDATES: &str = "/v1/inventory/updates";
const EVENTS: &str = "/v1/inventory/events";
const CREATE: &str = "/v1/admin/products/create";
const SET: &str = "/v1/admin/products/set";
const DELETE: &str = "/v1/admin/products/delete";
const RATE_LIMIT_STATUS: &str = "/v1/admin/rate-limit/status";
const RATE_LIMIT_RESET: &str = "/v1/admin/rate-limit/reset";
const STORE_PRODUCTS: &str = "/v1/store/inventory";
const STORE_PRODUCT: &str = "/v1/store/inventory/{productId}";
const STORE_UPDATES: &str = "/v1/store/inventory/updates";
const STORE_BATCH: &str = "/v1/store/inventory/batch-updates";
const STORE_SYNC_STATUS: &str = "/v1/store/sync/status";
const STORE_SYNC_FORCE: &str = "/v1/store/sync/force";
const STORE_CACHE_STATS: &str = "/v1/store/cache/stats";

pub(super) const OPERATIONS: &[(&str, Method)] = &[
    (PRODUCTS, Method::GET),
    (PRODUCT, Method::GET),
    (UPDATES, Method::POST),
    (EVENTS, Method::GET),
    (CREATE, Method::POST),
    (SET, Method::PUT),
    (DELETE, Method::DELETE),
    (RATE_LIMIT_STATUS, Method::GET),
    (RATE_LIMIT_RESET, Method::POST),
    (STORE_PRODUCTS, Method::GET),
    (STORE_PRODUCT, Method::GET),
    (STORE_UPDATES, Method::POST),
    (STORE_BATCH, Method::POST),
    (STORE_SYNC_STATUS, Method::GET),
    (STORE_SYNC_FORCE, Method::POST),
    (STORE_CACHE_STATS, Method::GET),
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(PRODUCTS, get(list::list))
        .route(PRODUCT, get(read))
        .route(UPDATES, post(updates::update))
        .route(EVENTS, get(events::events))
        .route(CREATE, post(admin::create))
        .route(SET, put(admin::set))
        .route(DELETE, delete(admin::delete))
        .route(RATE_LIMIT_STATUS, get(rates::status))
        .route(RATE_LIMIT_RESET, post(rates::reset))
        .route(STORE_PRODUCTS, get(list::list))
        .route(STORE_PRODUCT, get(store::read))
        .route(STORE_UPDATES, post(store::update))
        .route(STORE_BATCH, post(store::batch))
        .route(STORE_SYNC_STATUS, get(store::sync_status))
        .route(STORE_SYNC_FORCE, post(store::force_sync))
        .route(STORE_CACHE_STATS, get(store::cache_stats))
}

/// What is kept between requests.
#[derive(Default)]
pub(super) struct Kept {
    pages: list::Pages,
    offsets: events::Offsets,
}

impl Kept {
    /// How many products are for sale.
    pub(super) fn total(&self, reader: &Reader) -> Result<usize, Problem> {
        Ok(self.pages.total(reader)?)
    }
}

/// Whether a path is for administrators.
pub(super) fn is_admin(path: &str) -> bool {
    path.starts_with("/v1/admin")
}

/// The pool that stores sell from.
pub(super) fn central() -> LocationId {
    LocationId::parse("central").expect("a short word is a location id")
}

/// A product as the service shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    product_id: String,
    name: String,
    available: i64,
    version: u64,
    last_updated: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<serde_json::Value>,
}

/// What is known of a SKU here.
struct Found {
    item: Item,
    product: Product,
    level: Level,
    shown: Shown,
}

impl Found {
    fn is_deleted(&self) -> bool {
        self.item.status == Status::Archived
    }
}

/// What is known of a SKU, deleted or not.
fn find(reader: &Reader, here: &SiteId, sku: &Sku) -> Result<Option<Found>, Problem> {
    let Some(item) = reader.item(sku)? else { return Ok(None) };
    show(reader, here, sku, item)
}

fn show(reader: &Reader, here: &SiteId, sku: &Sku, item: Item) -> Result<Option<Found>, Problem> {
    let Some(product) = reader.product(&item.product)? else { return Ok(None) };
    let central = central();
    let rows = rows_of_sites::<StockRow>(reader.rows(), (sku, &central))?;
    let home = reader.location(&central)?.map_or_else(|| here.clone(), |(home, _)| home);
    let level = Level::of(&rows, &home, here);
    let moved = reader.movements(sku, Some(&central), None, 1)?;
    let moved = moved.first().map_or(product.updated_at, |line| line.movement.recorded_at);
    let variant = product.variants.iter().find(|variant| variant.sku == *sku);
    let name = variant.and_then(|variant| variant.title.as_ref()).unwrap_or(&product.title);
    let shown = Shown {
        product_id: sku.to_string(),
        name: name.to_string(),
        available: level.available,
        version: level.version,
        last_updated: convert::time(moved.max(product.updated_at))?,
        price: variant.and_then(|variant| catalog::price_now(&variant.prices)).map(catalog::number),
    };
    Ok(Some(Found { item, product, level, shown }))
}

/// The product as it is now, unless it was deleted.
async fn now(app: &App, sku: &Sku) -> Result<Option<Shown>, Problem> {
    let (here, sku) = (app.site.id().clone(), sku.clone());
    let found = app.read(move |reader| find(reader, &here, &sku)).await?;
    Ok(found.filter(|found| !found.is_deleted()).map(|found| found.shown))
}

async fn read(State(app): State<App>, caller: Caller, Named(id): Named<String>) -> Result<Response, Problem> {
    caller.admin()?;
    let found = match Sku::parse(id.as_str()) {
        Ok(sku) => now(&app, &sku).await?,
        Err(_) => None,
    };
    match found {
        Some(shown) => answer(StatusCode::OK, &shown),
        None => refused(StatusCode::NOT_FOUND, "not_found", &format!("Product not found: {id}"), &[]),
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, Serialize)]
struct Detail {
    field: String,
    issue: String,
}

/// An error of the service.
fn refused(status: StatusCode, code: &str, message: &str, details: &[Detail]) -> Result<Response, Problem> {
    answer(status, &error_body(code, message, details))
}

fn error_body(code: &str, message: &str, details: &[Detail]) -> serde_json::Value {
    match details {
        [] => json!({"code": code, "message": message}),
        details => json!({"code": code, "message": message, "details": details}),
    }
}

/// A problem in the words of the service.
pub(super) fn said(problem: &Problem, path: &str, standing: Option<&Standing>) -> Said {
    let is_key_shown = problem.refused().is_some();
    let detail = |field: &str, issue: String| Detail { field: field.to_owned(), issue };
    let (code, message, details) = match problem.code() {
        Code::Unauthenticated if is_admin(path) => ("unauthorized", "Admin API key required", Vec::new()),
        Code::Unauthenticated if is_key_shown => ("unauthorized", "Invalid API key", Vec::new()),
        Code::Unauthenticated => ("unauthorized", "API key required", Vec::new()),
        Code::Forbidden => ("forbidden", "Admin access required", Vec::new()),
        Code::MethodNotAllowed => ("method_not_allowed", "Method not allowed", Vec::new()),
        Code::RateLimited => {
            let (requests, remaining, wait_s) = standing.map(Standing::figures).unwrap_or_default();
            let exceeded = format!("Exceeded {requests} requests of a window. {remaining} requests remaining.");
            let again = format!("Retry after {wait_s} seconds");
            let details = vec![detail("rate_limit", exceeded), detail("retry_after", again)];
            ("rate_limit_exceeded", "Rate limit exceeded. Please try again later.", details)
        }
        Code::Internal => ("internal_error", problem.said(), Vec::new()),
        Code::RequestTimeout | Code::OutcomeUnknown => ("timeout", problem.said(), Vec::new()),
        Code::InvalidRequest => {
            let errors = problem.errors().iter();
            let details = errors.map(|error| detail(&error.pointer, error.detail.clone())).collect();
            ("invalid_request", problem.said(), details)
        }
        code => (code.as_str(), problem.said(), Vec::new()),
    };
    let body = error_body(code, message, &details).to_string().into();
    Said { status: problem.status(), media_type: "application/json", body }
}

/// How the caller stands, in the headers that the service's clients know.
pub(super) fn head(headers: &mut HeaderMap, standing: Option<&Standing>) {
    let Some((requests, remaining, wait_s)) = standing.map(Standing::figures) else { return };
    let figures = [
        (HeaderName::from_static("x-ratelimit-limit"), u64::from(requests)),
        (HeaderName::from_static("x-ratelimit-remaining"), u64::from(remaining)),
        (HeaderName::from_static("x-ratelimit-reset"), wall_ms() / 1_000 + wait_s),
    ];
    for (name, figure) in figures {
        headers.insert(name, HeaderValue::from(figure));
    }
}
