//! The items of the multi-region catalogue client. It has no paths of its own; its documents and its load
//! script read one.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{Method, StatusCode};
use serde_json::json;

use super::catalog::{self, find};
use crate::app::App;
use crate::extract::Named;
use crate::problem::Problem;
use crate::routes::v1;

pub(super) const OPERATIONS: &[(&str, Method)] = &[("/items/{id}", Method::GET)];

pub(super) fn routes() -> Router<App> {
    Router::new().route("/items/{id}", get(read))
}

/// A product as an item: the same at every site, whichever one it was written at.
async fn read(State(app): State<App>, Named(id): Named<String>) -> Result<Response, Problem> {
    let found = app.read(move |reader| find(reader, &id)).await?;
    let Some(found) = found else {
        return v1::json(StatusCode::NOT_FOUND, &json!({"error": "Item not found"}));
    };
    let mut item = json!({
        "ItemID": found.id.as_str(),
        "Category": found.product.categories.first().map(|category| category.as_str()),
        "Version": found.product.revision,
        "Name": found.product.title.as_str(),
    });
    for (name, value) in &found.product.attributes {
        // The client's own fields cannot be overwritten by what is said of an item.
        item.as_object_mut().map(|item| item.entry(name.as_str()).or_insert(catalog::attribute(value)));
    }
    v1::json(StatusCode::OK, &item)
}
