//! The API's document, and a page to read and try it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, header};
use kontor_api::path;
use utoipa_swagger_ui::Config;

use super::missing;
use crate::app::App;
use crate::problem::Problem;
use crate::routes::v1::kept_bytes;
use crate::service::{Payload, from_memory};

/// As for our own pages; the reader sets styles from its script.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
);

pub(crate) fn routes(document: String) -> Router<App> {
    let document = kept_bytes(document.into());
    let config = Arc::new(Config::from(path::OPENAPI).try_it_out_enabled(true).display_request_duration(true));
    let index = config.clone();
    Router::new()
        .route(path::OPENAPI, get(move |headers: HeaderMap| async move {
            from_memory(document.clone(), &headers).map(Payload::into_body)
        }))
        .route(path::DOCS, get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(move || async move { file("index.html", &index) }))
        .route("/docs/{*file}", get(move |Path(name): Path<String>| async move { file(&name, &config) }))
}

fn file(name: &str, config: &Arc<Config<'static>>) -> Result<Response, Problem> {
    let found = utoipa_swagger_ui::serve(name, config.clone()).map_err(|error| Problem::internal(error.to_string()))?;
    let found = found.ok_or_else(|| missing("such file"))?;
    let mut response = Body::from(found.bytes.into_owned()).into_response();
    let headers = response.headers_mut();
    if let Ok(media_type) = HeaderValue::from_str(&found.content_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}
