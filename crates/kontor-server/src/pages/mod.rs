//! Pages for people. They are a client: there is nothing here that the API cannot do. Everything that
//! a page needs comes from this server, and scripts and styles have paths of their own, so that the
//! content security policy can be strict.
//!
//! A page is rendered for whoever asks for it, and a browser asks as everybody. Its script may hold an
//! admin key for as long as the tab is open; then it asks again with the key in a header, as programs
//! do, and shows that page instead. No key is ever in an address or in a cookie.
//!
//! Pages stay true while one looks at them: the script follows the change feed, asks for the page again
//! when something of it has changed, and puts what differs into place.

mod docs;
mod jobs;
mod order;
mod orders;
mod problems;
mod product;
mod products;
mod shop;
mod show;
mod sites;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use axum::routing::get;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use kontor_api::path;
use kontor_site::reader::Reader;
use maud::{DOCTYPE, Markup, html};

use crate::access::Access;
use crate::app::App;
use crate::convert::Audience;
use crate::problem::Problem;
use crate::routes::v1::kept_bytes;
use crate::service::{Payload, from_memory};

/// Scripts, styles, pictures and connections of this server alone.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'");

/// One product. The reference services have `/products/…`.
const PRODUCT: &str = "/p/{id}";
const JOBS: &str = "/jobs";
const ORDERS: &str = "/orders";
/// One order, by its id or number. The reference services have `/orders/…`.
const ORDER: &str = "/o/{id}";
const SITES: &str = "/sites";
/// For buyers, who have no key.
const SHOP: &str = "/shop";

pub(crate) fn routes(document: String) -> Router<App> {
    Router::new()
        .route("/", get(products::products))
        .route(PRODUCT, get(product::product))
        .route(ORDERS, get(orders::orders))
        .route(ORDER, get(order::order))
        .route(SHOP, get(shop::shop))
        .route(JOBS, get(jobs::jobs))
        .route(SITES, get(sites::sites))
        .route("/assets/page.js", get(|headers| asset(headers, "text/javascript", include_str!("page.js"))))
        .route("/assets/shop.js", get(|headers| asset(headers, "text/javascript", include_str!("shop.js"))))
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

/// Who looks at a page. A key that is not known is refused, so that its holder learns of it.
pub(crate) struct Visitor(Audience);

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let holder = app.access.caller(&parts.headers)?.or_else(|| app.access.reader(&parts.headers));
        // What keys of other sites open is no page.
        Access::reaches(holder.as_ref(), parts.uri.path())?;
        Ok(Self(if holder.is_some() { Audience::Keys } else { Audience::Everybody }))
    }
}

/// What stands around the content of a page.
struct Frame<'f> {
    title: &'f str,
    audience: Audience,
    /// Whether the bar has a field to search and scan in; and whether one can type there at once.
    search: Option<Focus>,
    /// The position that the content shows, if changes after it are shown too.
    live: Option<String>,
}

#[derive(PartialEq, Eq)]
enum Focus {
    Search,
    Elsewhere,
}

impl Frame<'_> {
    /// A page that does not change.
    fn still(title: &str, audience: Audience) -> Frame<'_> {
        Frame { title, audience, search: Some(Focus::Elsewhere), live: None }
    }

    /// A whole page.
    fn around(&self, content: &Markup) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Kontor" }
                    link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/assets/page.css";
                    script defer src="/assets/page.js" {}
                }
                body {
                    a.skip href="#content" { "Skip to content" }
                    (self.bar())
                    main id="content" data-after=[self.live.as_deref()] { (content) }
                    (sign_in())
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

    fn bar(&self) -> Markup {
        html! {
            header.bar {
                a.brand href="/" { "Kontor" }
                nav aria-label="Main" {
                    a href="/" { "Products" }
                    a href=(SHOP) { "Shop" }
                    a href=(ORDERS) { "Orders" }
                    a href="/jobs" { "Imports" }
                    a href="/sites" { "Sites" }
                    a href="/docs/" { "API" }
                    a href="/problems/" { "Problems" }
                    a href="/metrics" { "Metrics" }
                    a href="/health" { "Health" }
                }
                @if let Some(focus) = &self.search {
                    form.find action="/" role="search" {
                        input type="search" name="q" maxlength="500" aria-label="Search or scan" placeholder="Search or scan  /"
                            autocomplete="off" spellcheck="false" autofocus[*focus == Focus::Search];
                    }
                }
                div #account {
                    @match self.audience {
                        Audience::Keys => button type="button" data-sign-out { "Sign out" },
                        Audience::Everybody => (sign_in_button()),
                    }
                }
            }
        }
    }
}

/// Opens the dialog. Without the script there is nothing that could send a key.
fn sign_in_button() -> Markup {
    html! { button type="button" data-sign-in disabled title="Needs JavaScript, which sends the key" { "Sign in" } }
}

/// Where a key is typed. The form sends nothing itself.
fn sign_in() -> Markup {
    html! {
        dialog #sign-in aria-labelledby="sign-in-title" {
            form method="dialog" {
                h2 #sign-in-title { "Sign in" }
                p { "With an admin key, the one that the server printed at its first start, or KONTOR_ADMIN_KEY." }
                label for="key" { "Key" }
                input #key type="password" required autocomplete="off" spellcheck="false" placeholder="kon_…";
                p.error #key-error role="alert" hidden {}
                p.hint { "It stays in this tab, and is forgotten when the tab is closed." }
                div.buttons {
                    button.main type="submit" { "Sign in" }
                    button type="button" data-close { "Cancel" }
                }
            }
        }
    }
}

/// Stands where something is that only holders of keys may see, and says why.
fn for_holders(what: &str, why: &str) -> Markup {
    html! {
        p.locked {
            span { "Sign in to see " (what) ": " (why) "." }
            (sign_in_button())
        }
    }
}

/// The position whose changes a reader holds: the last of its group.
fn live_after(reader: &Reader) -> Result<String, Problem> {
    let position = reader.position()?;
    Ok(format!("{}-{}-{}", position.term, position.seq, u32::MAX))
}

/// Whether the page is live; the script says so.
fn live() -> Markup {
    html! { p.live #live role="status" { "Not live: this page needs JavaScript for that." } }
}

/// What a page shows instead of itself.
fn missing(what: &str) -> Problem {
    Problem::new(kontor_api::Code::NotFound, format!("there is no {what}"))
}
