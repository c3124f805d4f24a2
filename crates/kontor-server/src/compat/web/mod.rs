//! What the shop alone has: products found by a word of their name or by their category, carts and orders of its
//! users, what stands around its cache, and what it shows of its resilience.

mod cart;
mod checkout;
mod hot;
mod resilience;

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post, put};
use http::{Method, StatusCode, Uri};
use kontor_core::index::words;
use kontor_core::product::Status;
use kontor_core::product::text::Name;
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_site::clock::{Stopwatch, wall_ms};
use kontor_site::reader::Reader;
use kontor_site::search::{Hit, Query};
use serde_json::{Value, json};

pub(super) use hot::Kept as Hot;

use super::catalog::{Found, document};
use super::{Said, parameter};
use crate::app::App;
use crate::limits::{COMPAT_FOUND_MAX, COMPAT_FOUND_SHOWN};
use crate::problem::Problem;
use crate::routes::v1::json as answer;

const SEARCH: &str = "/products/search";

const HOT: &str = "/products/hot";
const MAKE_HOT: &str = "/products/{id}/hot";
const COMPARE: &str = "/products/{id}/compare";
const STATS: &str = "/stats";
const MEMORY: &str = "/memory";
const CART: &str = "/cart/{user}";
const CART_ITEMS: &str = "/cart/{user}/items";
const CART_ITEM: &str = "/cart/{user}/items/{product}";
const CHECKOUT: &str = "/cart/{user}/checkout";
const ORDER: &str = "/orders/{id}";
const RESILIENCE: &str = "/resilience/demo";
const BREAKERS: &str = "/resilience/circuit-breakers";
const SIMULATE: &str = "/resilience/simulate/{service}";
const RESET: &str = "/resilience/reset/{service}";
const TEST_RETRY: &str = "/resilience/test-retry";

pub(super) const OPERATIONS: &[(&str, Method)] = &[
    (SEARCH, Method::GET),
    (HOT, Method::GET),
    (MAKE_HOT, Method::POST),
    (COMPARE, Method::GET),
    (STATS, Method::GET),
    (MEMORY, Method::GET),
    (CART, Method::GET),
    (CART_ITEMS, Method::POST),
    (CART_ITEM, Method::PUT),
    (CHECKOUT, Method::POST),
    (ORDER, Method::GET),
    (RESILIENCE, Method::GET),
    (BREAKERS, Method::GET),
    (SIMULATE, Method::POST),
    (RESET, Method::POST),
    (TEST_RETRY, Method::POST),
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(SEARCH, get(search))
        .route(HOT, get(hot::list))
        .route(MAKE_HOT, post(hot::make_hot))
        .route(COMPARE, get(hot::compare))
        .route(STATS, get(hot::stats))
        .route(MEMORY, get(hot::memory))
        .route(CART, get(cart::read))
        .route(CART_ITEMS, post(cart::add))
        .route(CART_ITEM, put(cart::set))
        .route(CHECKOUT, post(checkout::check_out))
        .route(ORDER, get(checkout::read))
        .route(RESILIENCE, get(resilience::demo))
        .route(BREAKERS, get(resilience::breakers))
        .route(SIMULATE, post(resilience::simulate))
        .route(RESET, post(resilience::reset))
        .route(TEST_RETRY, post(resilience::test_retry))
}

/// Finds products of the whole catalogue: all words begin a word of the product, or together they are its
/// category. Shows the first few, and counts on as far as a bounded search goes.
async fn search(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let watch = Stopwatch::start();
    let bad = |error: &str| answer(StatusCode::BAD_REQUEST, &json!({"error": error}));
    let text = parameter(&uri, "q").unwrap_or_default();
    if text.is_empty() {
        return bad("Query parameter 'q' is required");
    }
    let words = match Title::parse(text.as_str()) {
        Ok(words) => words::query(words.as_str()),
        Err(error) => return bad(&format!("Query parameter 'q': {error}")),
    };
    let of = Query { statuses: vec![Status::Active], now: SiteTime(wall_ms()), ..Query::default() };
    let mut queries = vec![Query { words: Some(words), ..of.clone() }];
    queries.extend(Name::parse(text).ok().map(|name| Query { category: Some(name), ..of }));
    let Sum { found, rows, has_more } = app.read(move |reader| sum(reader, &queries)).await?;
    metrics::counter!("kontor_searches_total").increment(1);
    metrics::counter!("kontor_search_rows_total").increment(rows as u64);
    let body = json!({
        "products": found.iter().take(COMPAT_FOUND_SHOWN).filter_map(shown).collect::<Vec<_>>(),
        "total_found": found.len(),
        "has_more": has_more,
        "search_time": format!("{:.3}s", watch.seconds()),
        "checked_count": rows,
    });
    answer(StatusCode::OK, &body)
}

/// What several queries find, each product once, in the order of the queries.
struct Sum {
    found: Vec<Hit>,
    /// Rows that were read.
    rows: usize,
    /// Whether there is, or may be, more than was counted.
    has_more: bool,
}

fn sum(reader: &Reader, queries: &[Query]) -> Result<Sum, Problem> {
    let mut sum = Sum { found: Vec::new(), rows: 0, has_more: false };
    let mut known = BTreeSet::new();
    for query in queries {
        let page = reader.search(query, None, COMPAT_FOUND_MAX)?;
        let page = page.ok_or_else(|| Problem::internal("a search without a place has none"))?;
        sum.rows += page.rows;
        sum.has_more |= page.next.is_some();
        sum.found.extend(page.items.into_iter().filter(|hit| known.insert(hit.id.clone())));
    }
    sum.has_more |= sum.found.len() > COMPAT_FOUND_MAX;
    sum.found.truncate(COMPAT_FOUND_MAX);
    Ok(sum)
}

fn shown(hit: &Hit) -> Option<Value> {
    let sku = hit.product.variants.first()?.sku.clone();
    Some(Value::Object(document(&Found { id: hit.id.clone(), product: hit.product.clone(), sku })))
}

/// An error as the shop has them.
fn error(status: StatusCode, text: &str) -> Result<Response, Problem> {
    answer(status, &json!({"error": text}))
}

/// A problem as the shop has errors: a text.
pub(super) fn said(problem: &Problem) -> Said {
    let body = json!({"error": problem.said(), "code": problem.code().as_str()}).to_string().into();
    Said { status: problem.status(), media_type: "application/json", body }
}
