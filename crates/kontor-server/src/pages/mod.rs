//! Pages for people. They are a client: there is nothing here that the API cannot do. Everything that
//! a page needs comes from this server, and scripts and styles have paths of their own, so that the
//! content security policy can be strict.

mod docs;
mod home;
mod problems;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, header};
use kontor_api::path;
use maud::{DOCTYPE, Markup, html};

use crate::app::App;
use crate::problem::Problem;
use crate::routes::v1::kept_bytes;
use crate::service::{Payload, from_memory};

/// Scripts, styles, pictures and connections of this server alone.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'");

pub(crate) fn routes(document: String) -> Router<App> {
    Router::new()
        .route("/", get(home::home))
        .route("/assets/home.js", get(|headers| asset(headers, "text/javascript", include_str!("home.js"))))
        .route("/assets/page.css", get(|headers| asset(headers, "text/css", include_str!("page.css"))))
        .route("/assets/icon.svg", get(|headers| asset(headers, "image/svg+xml", include_str!("icon.svg"))))
        .route(path::PROBLEMS, get(problems::all))
        .route("/problems/{code}", get(problems::one))
        .merge(docs::routes(document))
}

/// A file of this program.
async fn asset(headers: HeaderMap, media_type: &'static str, text: &'static str) -> Response {
    let mut response = from_memory(kept_bytes(text.into()), &headers).map(Payload::into_body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A whole page.
fn page(title: &str, script: Option<&str>, content: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/page.css";
                @if let Some(script) = script { script defer src=(script) {} }
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header.bar {
                    a.brand href="/" { "Kontor" }
                    nav aria-label="Main" {
                        a href="/" { "Stock" }
                        a href="/docs/" { "API" }
                        a href="/problems/" { "Problems" }
                        a href="/metrics" { "Metrics" }
                        a href="/health" { "Health" }
                    }
                }
                main id="content" { (content) }
            }
        }
    };
    let mut response = Response::new(Body::from(page.into_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// What a page shows instead of itself.
fn missing(what: &str) -> Problem {
    Problem::new(kontor_api::Code::NotFound, format!("there is no {what}"))
}
