//! The global catalogue: products per region, stock per warehouse, conflicts and how they end.
//!
//! A region is a market, and what is put for it is the product's listing there; fields that are not sent
//! stay as they are. A warehouse is a location; its region is the site that keeps its books. Counters of
//! a warehouse are those of its books: what came in, and what went out.

mod conflicts;
mod fields;
mod stock;

pub(super) use conflicts::Simulations;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kontor_api::Code;
use kontor_core::command::{Command, Must};
use kontor_core::id::{ProductId, Sku};
use kontor_core::money::Currency;
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::ProductEdit;
use kontor_core::product::listing::{Listing, ListingEdit, ListingSibling};
use kontor_core::product::text::{AttributeText, MarketId, Name};
use kontor_core::product::{Policy, Sibling};
use kontor_core::text::Title;
use kontor_core::view::{derived, rows_of_sites};
use kontor_site::clock::Stopwatch;
use kontor_site::reader::Reader;
use serde_json::{Map, Value, json};

use super::Said;
use super::catalog::{self, Found, again, find, find_any, is_race};
use super::sent::Sent;
use crate::app::App;
use crate::extract::Named;
use crate::problem::Problem;
use crate::routes::v1::json as answer;
use fields::Fields;

pub(super) const OPERATIONS: &[(&str, Method)] = &[
    ("/products", Method::PUT),
    ("/products/{id}/{region}", Method::GET),
    ("/inventory", Method::POST),
    ("/inventory/{id}", Method::GET),
    ("/inventory/{id}/{warehouse}", Method::GET),
    ("/simulate-conflict", Method::POST),
    ("/simulate-conflict-body", Method::POST),
    ("/explain-merge/{id}/{region}", Method::GET),
    ("/explain-consistency", Method::GET),
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/products/{id}/{region}", get(read))
        .route("/inventory", post(stock::add))
        .route("/inventory/{id}", get(stock::of_product))
        .route("/inventory/{id}/{warehouse}", get(stock::read))
        .route("/simulate-conflict", post(conflicts::simulate_by_query))
        .route("/simulate-conflict-body", post(conflicts::simulate))
        .route("/explain-merge/{id}/{region}", get(conflicts::explain))
        .route("/explain-consistency", get(consistency))
}

/// `PUT /products`: what a product says in a region; it is made if there is none.
pub(super) async fn put_product(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let watch = Stopwatch::start();
    let mut fields = Fields::of(&sent.body);
    let id = fields.text("product_id", Sku::parse);
    let market = fields.text("region_code", MarketId::parse);
    let title = fields.maybe_text("title", Title::parse);
    let currency = fields.maybe_text("currency", |text| Currency::parse(&text));
    let price = fields.maybe_number("price");
    let attrs = fields.attributes("attrs");
    let currency = currency.unwrap_or_else(catalog::currency);
    let price = price.and_then(|price| fields.checked("price", catalog::price(&price, currency)));
    let (Some(sku), Some(market)) = (id, market) else { return fields.refuse() };
    if fields.is_wrong() {
        return fields.refuse();
    }
    let asked = sent.part("put", &[&sent.body]);
    again(|| async {
        let name = sku.as_str().to_owned();
        let found = app.read(move |reader| find_any(reader, &name)).await?;
        let mut commands = Vec::new();
        let (id, of) = match &found {
            Some(found) => (found.id.clone(), found.sku.clone()),
            None => {
                commands.push(made(&sku, title.clone())?);
                (sku.clone().into(), sku.clone())
            }
        };
        let mut edit = ListingEdit { title: title.clone().map(Some), ..ListingEdit::default() };
        edit.attributes.extend(attrs.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
        if let Some((key, terms)) = price {
            edit.prices.insert(of, [(key, Some(terms))].into());
        }
        if edit.is_empty() {
            // A region of which nothing is said yet is still one: its title is the product's.
            let shown = found.as_ref().map(|found| found.product.title.clone());
            edit.title = Some(shown.or(title.clone()).or(Title::parse(sku.as_str()).ok()));
        }
        commands.push(Command::EditListing {
            id: id.clone(),
            market: market.clone(),
            edit: Box::new(edit),
            expected: None,
        });
        match app.submit(&asked, Command::All(commands)).await {
            Ok(_) => {}
            Err(problem) => return is_race(problem),
        }
        let market = market.clone();
        let item = app.read(move |reader| item(reader, id.as_str(), &market)).await.map_err(Problem::after_write)?;
        let body = json!({"ok": true, "latency_ms": latency(&watch), "item": item});
        answer(StatusCode::OK, &body).map(Some).map_err(Problem::after_write)
    })
    .await
}

/// The making of a product of which only its name is known.
fn made(sku: &Sku, title: Option<Title>) -> Result<Command, Problem> {
    let title = match title {
        Some(title) => title,
        None => crate::parse::at("title", Title::parse(sku.as_str()))?,
    };
    let edit = ProductEdit { title: Some(title), ..ProductEdit::default() };
    let edit = Box::new(catalog::new_product(edit, sku.clone(), Policy::ReserveOnOrder));
    Ok(Command::EditProduct {
        id: sku.clone().into(),
        edit,
        expected: None,
        must: Must::Create,
        variants: Must::Create,
    })
}

async fn read(State(app): State<App>, Named((id, region)): Named<(String, String)>) -> Result<Response, Problem> {
    let watch = Stopwatch::start();
    let Ok(market) = MarketId::parse(region) else { return missing() };
    let item = app.read(move |reader| item(reader, &id, &market)).await?;
    let Some(item) = item else { return missing() };
    let (latency_ms, region) = (latency(&watch), app.site.id().as_str());
    let body = json!({
        "found": true, "item": item, "latency_ms": latency_ms, "consistency": "strong", "region": region,
    });
    answer(StatusCode::OK, &body)
}

/// `GET /products/{id}/details` belongs to nobody: details are written there.
pub(super) async fn details_are_no_market() -> Result<Response, Problem> {
    missing()
}

/// What a product says in a region; `None` if it says nothing there.
fn item(reader: &Reader, id: &str, market: &MarketId) -> Result<Option<Value>, Problem> {
    let Some(found) = find(reader, id)? else { return Ok(None) };
    let Some(listing) = derived::<Listing>(reader.rows(), (&found.id, market))? else { return Ok(None) };
    let writer = last_writer(reader, &found.id, market)?;
    Ok(Some(Value::Object(item_of(&found, &listing, market, &writer))))
}

/// The site that was the last to edit what a product says in a region, or else the product.
fn last_writer(reader: &Reader, id: &ProductId, market: &MarketId) -> Result<String, Problem> {
    let there = rows_of_sites::<ListingSibling>(reader.rows(), (id, market))?;
    let last = there.into_iter().map(|(site, sibling)| (sibling.stamp, site)).max();
    let last = match last {
        Some(last) => Some(last),
        None => rows_of_sites::<Sibling>(reader.rows(), id)?.into_iter().map(|(site, it)| (it.stamp, site)).max(),
    };
    Ok(last.map_or_else(|| "unknown".to_owned(), |(_, site)| site.to_string()))
}

fn item_of(found: &Found, listing: &Listing, market: &MarketId, writer: &str) -> Map<String, Value> {
    let Found { id, product, sku } = found;
    let mut item = keys(id, &format!("REGION#{market}"));
    item.insert("last_writer_region".into(), writer.into());
    item.insert("title".into(), listing.title.as_ref().unwrap_or(&product.title).as_str().into());
    let own = listing.prices.get(sku).and_then(catalog::price_now);
    let money = own.or_else(|| product.variant(sku).and_then(|variant| catalog::price_now(&variant.prices)));
    if let Some(money) = money {
        item.insert("currency".into(), money.currency.to_string().into());
        item.insert("price".into(), catalog::number(money));
    }
    let attrs = listing.attributes.iter().map(|(name, value)| (name.to_string(), catalog::attribute(value)));
    item.insert("attrs".into(), Value::Object(attrs.collect()));
    item
}

/// The two keys that items of this service have.
fn keys(id: &ProductId, sort: &str) -> Map<String, Value> {
    let mut item = Map::new();
    item.insert("PK".into(), format!("PRODUCT#{id}").into());
    item.insert("SK".into(), sort.into());
    item
}

/// Milliseconds with two decimals.
fn latency(watch: &Stopwatch) -> f64 {
    (watch.seconds() * 1e5).round() / 1e2
}

async fn consistency() -> Result<Response, Problem> {
    answer(
        StatusCode::OK,
        &json!({
            "policy": "strong-local",
            "note": "A site reads its own writes at once. What other sites wrote is there when it has arrived; edits \
                that did not know of each other are merged by the product's rule, and all of them are kept.",
            "how_to_change": "Set the product's field merge to latest or to authority:<site>.",
        }),
    )
}

fn missing() -> Result<Response, Problem> {
    answer(StatusCode::NOT_FOUND, &json!({"detail": "not found"}))
}

/// A problem in the form of the service.
pub(super) fn said(problem: &Problem) -> Said {
    let (status, detail) = match problem.code() {
        Code::NotFound | Code::UnknownProduct | Code::UnknownLocation => (problem.status(), "not found"),
        Code::MethodNotAllowed => (problem.status(), "Method Not Allowed"),
        _ => (problem.status(), problem.said()),
    };
    let body = json!({"detail": detail}).to_string().into();
    Said { status, media_type: "application/json", body }
}

/// What every answer of the service says of who gave it.
pub(super) fn head(headers: &mut HeaderMap, app: &App, seconds: f64) {
    let texts = [
        ("x-region", app.site.id().to_string()),
        ("x-consistency", "strong-local".to_owned()),
        ("x-server-processms", format!("{:.2}", seconds * 1e3)),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// An attribute as it is sent: a word, a number, yes or no, or several words.
fn attribute(value: &Value) -> Result<AttributeValue, String> {
    let text = |text: &str| AttributeText::parse(text).map_err(|error| error.to_string());
    match value {
        Value::String(word) => text(word).map(AttributeValue::Text),
        Value::Bool(flag) => Ok(AttributeValue::Flag(*flag)),
        Value::Number(number) => AttributeValue::number(&number.to_string()).map_err(|error| error.to_string()),
        Value::Array(words) => {
            let words = words.iter().map(|word| word.as_str().ok_or("a list holds words".to_owned()).and_then(text));
            AttributeValue::list(words.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
        }
        Value::Null | Value::Object(_) => Err("a word, a number, yes or no, or a list of words is expected".to_owned()),
    }
}

fn attribute_name(name: &str) -> Result<Name, String> {
    Name::parse(name).map_err(|error| error.to_string())
}
