//! What the shop has around its cache: products that are called hot for five minutes, a comparison of a kept
//! answer with one that is read, and what the process uses. Here answers to popular reads are kept by the site
//! itself, so that calling a product hot makes nothing faster; the list is kept for clients that ask for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_site::bodies::About;
use kontor_site::clock::Stopwatch;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::compat::catalog::{Found, document, find};
use crate::compat::sent::Sent;
use crate::extract::Named;
use crate::limits::{COMPAT_HOT_KEPT, COMPAT_HOT_S};
use crate::problem::Problem;
use crate::routes::health::memory_bytes;
use crate::routes::v1::json as answer;

/// Names of products that were called hot, and since when.
#[derive(Default)]
pub(in crate::compat) struct Kept {
    /// std mutex: nothing awaits while it is held.
    since: Mutex<HashMap<String, Stopwatch>>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Stopwatch>> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|_, since| since.seconds() < COMPAT_HOT_S);
        since
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lock().keys().cloned().collect();
        names.sort();
        names
    }

    /// Answers `false` if there are too many.
    fn add(&self, name: String) -> bool {
        let mut since = self.lock();
        if since.len() >= COMPAT_HOT_KEPT && !since.contains_key(&name) {
            return false;
        }
        since.insert(name, Stopwatch::start());
        true
    }
}

pub(super) async fn list(State(app): State<App>) -> Result<Response, Problem> {
    let watch = Stopwatch::start();
    let names = app.compat.hot.names();
    let products = app
        .read(move |reader| {
            let mut products = Vec::with_capacity(names.len());
            for name in &names {
                products.extend(find(reader, name)?.map(|found| Value::Object(document(&found))));
            }
            Ok(products)
        })
        .await?;
    let (count, latency) = (products.len(), ms(watch.seconds()));
    answer(StatusCode::OK, &json!({"hot_products": products, "count": count, "latency": latency, "source": "memory"}))
}

pub(super) async fn make_hot(State(app): State<App>, Named(id): Named<String>, _: Sent) -> Result<Response, Problem> {
    let name = id.clone();
    let Some(found) = app.read(move |reader| find(reader, &name)).await? else { return missing() };
    if !app.compat.hot.add(id) {
        let error = format!("{COMPAT_HOT_KEPT} products are hot already; try again in five minutes");
        return answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": error}));
    }
    let product_id = product_id(&found);
    let message = "Product is called hot";
    answer(StatusCode::OK, &json!({"message": message, "product_id": product_id, "ttl": "5m0s", "cached_in": "memory"}))
}

/// Reads a product twice: as an answer that is kept, and from its rows.
pub(super) async fn compare(State(app): State<App>, Named(id): Named<String>) -> Result<Response, Problem> {
    let watch = Stopwatch::start();
    let name = id.clone();
    let Some(found) = app.read(move |reader| find(reader, &name)).await? else { return missing() };
    let read_s = watch.seconds();
    let mut is_kept = true;
    let watch = Stopwatch::start();
    let kept = app.site.bodies().get_or_render(About::Product, found.id.as_str(), || {
        is_kept = false;
        Ok::<_, Problem>(None)
    })?;
    let kept_s = watch.seconds();
    let mut said = Map::new();
    said.insert("product_id".to_owned(), product_id(&found));
    said.insert("product".to_owned(), Value::Object(document(&found)));
    said.insert("memory_latency".to_owned(), ms(read_s).into());
    said.insert("redis_latency".to_owned(), ms(kept_s).into());
    said.insert("cache_hit".to_owned(), is_kept.into());
    if kept.is_some() && kept_s > 0.0 {
        said.insert("speedup_factor".to_owned(), (read_s / kept_s).into());
    }
    answer(StatusCode::OK, &said)
}

pub(super) async fn stats(State(app): State<App>) -> Result<Response, Problem> {
    let of = app.clone();
    let total = app.read(move |reader| of.compat.inventory.total(reader)).await?;
    answer(
        StatusCode::OK,
        &json!({
            "total_products": total,
            "memory_footprint": format!("{} MB", memory_bytes() / 1_000_000),
            "dynamodb_enabled": false,
            "redis_enabled": false,
        }),
    )
}

pub(super) async fn memory() -> Result<Response, Problem> {
    let mb = memory_bytes() / 1_000_000;
    answer(StatusCode::OK, &json!({"alloc_mb": mb, "sys_mb": mb}))
}

fn product_id(found: &Found) -> Value {
    document(found).remove("product_id").unwrap_or(Value::Null)
}

fn missing() -> Result<Response, Problem> {
    answer(StatusCode::NOT_FOUND, &json!({"error": "Product not found"}))
}

fn ms(seconds: f64) -> String {
    format!("{:.3}ms", seconds * 1e3)
}
