//! The paths of the reference services, at the root, for clients that were written for those: a thin
//! layer, one folder per service, over the same commands and reads as `/api/v1`.
//!
//! - What is said here is said in the words of the service that defines the operation: its fields, its
//!   statuses, its errors. [`Shape`] knows which service that is.
//! - Everybody may read what shops show. Everything else needs a key, unless the site serves with
//!   `--open-compat`.
//! - `Idempotency-Key` is taken everywhere and needed nowhere.

mod buying;
mod catalog;
mod catalog_client;
mod global_catalog;
mod inventory;
mod products;
mod sent;
mod shop;
mod web;

use axum::Router;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use kontor_api::path::V1;

use crate::access::Reach;
use crate::app::App;
use crate::problem::Problem;
use crate::throttle::Standing;

/// What the layer keeps between requests.
#[derive(Default)]
pub(crate) struct Kept {
    inventory: inventory::Kept,
    simulations: global_catalog::Simulations,
    hot: web::Hot,
}

/// The service that defines an operation, and so how what is not done is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The global catalogue.
    Catalog,
    /// The central API of the distributed inventory.
    Inventory,
    /// A store of it.
    Store,
    /// Health, which is ours: only its headers are of the global catalogue.
    Health,
    /// The product API.
    Products,
    /// The contract that the shop shares with others.
    Shop,
    /// What the shop alone has, and the catalogue client, whose errors are the same.
    Web,
}

impl Shape {
    /// The service of a path, if it is one of theirs.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        if path.starts_with(V1) {
            return None;
        }
        let mut parts = path.strip_prefix('/')?.split('/');
        match (parts.next()?, parts.next(), parts.next()) {
            ("v1", Some("inventory" | "admin"), _) => Some(Self::Inventory),
            ("v1", Some("store"), _) => Some(Self::Store),
            ("products", None, _) if *method == Method::PUT => Some(Self::Catalog),
            ("products", Some("search" | "hot"), None) => Some(Self::Web),
            ("products", _, Some("hot" | "compare")) => Some(Self::Web),
            ("stats" | "memory", None, _) => Some(Self::Web),
            ("cart", Some(_), _) | ("orders", Some(_), None) | ("resilience", Some(_), _) => Some(Self::Web),
            ("shopping-carts", ..) | ("warehouse" | "payments", Some(_), _) => Some(Self::Shop),
            ("products", _, None) => Some(Self::Products),
            ("products", _, Some("details")) if *method == Method::POST => Some(Self::Shop),
            ("products" | "inventory" | "explain-merge" | "explain-consistency", ..) => Some(Self::Catalog),
            ("simulate-conflict" | "simulate-conflict-body", ..) => Some(Self::Catalog),
            ("items", Some(_), None) => Some(Self::Web),
            ("health", None, _) => Some(Self::Health),
            _ => None,
        }
    }

    /// What a path asks of a key.
    pub(crate) fn asks(self, path: &str) -> Reach {
        match self {
            Self::Inventory if inventory::is_admin(path) => Reach::InventoryAdmin,
            Self::Inventory | Self::Store => Reach::Inventory,
            Self::Catalog | Self::Health | Self::Products | Self::Shop | Self::Web => Reach::Everything,
        }
    }

    /// Whether the service has its own way to say what is not done.
    pub(crate) fn has_words(self) -> bool {
        self != Self::Health
    }

    /// Says a problem in the words of the service. A problem that the service has no words for keeps its
    /// own code and status.
    pub(crate) fn write(
        self,
        problem: &Problem,
        path: &str,
        standing: Option<&Standing>,
        response: &mut Response<impl Sized>,
    ) -> Bytes {
        let said = match self {
            Self::Catalog | Self::Health => global_catalog::said(problem),
            Self::Inventory => inventory::said(problem, path, standing),
            Self::Store => inventory::store::said(problem),
            Self::Products => products::in_words(problem),
            Self::Shop => shop::said(problem),
            Self::Web => web::said(problem),
        };
        *response.status_mut() = said.status;
        let headers = response.headers_mut();
        problem.head(headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(said.media_type));
        said.body
    }

    /// Puts the headers that every answer of the service has.
    pub(crate) fn head(self, headers: &mut HeaderMap, app: &App, standing: Option<&Standing>, seconds: f64) {
        match self {
            Self::Catalog | Self::Health => global_catalog::head(headers, app, seconds),
            Self::Inventory | Self::Store => inventory::head(headers, standing),
            Self::Products | Self::Shop | Self::Web => {}
        }
    }
}

/// An error as a service says it.
struct Said {
    status: http::StatusCode,
    media_type: &'static str,
    body: Bytes,
}

/// All routes of the layer.
pub(crate) fn routes() -> Router<App> {
    global_catalog::routes()
        .merge(catalog_client::routes())
        .merge(inventory::routes())
        .merge(products::routes())
        .merge(shop::routes())
        .merge(web::routes())
}

/// The value of a parameter.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(of, _)| *of == name).map(|(_, value)| decoded(value))
}

/// A value of a query. What is not UTF-8 keeps its escapes, and is refused by whoever reads it.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        match (first, tail.get(..2).and_then(hex)) {
            (b'+', _) => bytes.push(b' '),
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

/// Path and method of every operation, for the metrics.
pub(crate) fn operations() -> impl Iterator<Item = (String, Method)> {
    let all = [
        global_catalog::OPERATIONS,
        catalog_client::OPERATIONS,
        inventory::OPERATIONS,
        products::OPERATIONS,
        shop::OPERATIONS,
        web::OPERATIONS,
    ]
    .into_iter()
    .flatten();
    all.map(|(path, method)| ((*path).to_owned(), method.clone()))
}
