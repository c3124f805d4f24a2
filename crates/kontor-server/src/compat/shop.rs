//! The contract of a shop that several services share: what is known of products, shopping carts, the warehouse
//! and payments, all by numbers.

mod carts;
mod payments;
mod warehouse;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::{Method, StatusCode};
use kontor_api::Code;
use kontor_core::command::{Command, Must};
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::text::Name;
use kontor_core::product::{Policy, Product, Status};
use kontor_core::quantity::Quantity;
use kontor_core::text::Title;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Said;
use super::catalog::{self, again, is_race};
use super::sent::Sent;
use crate::app::App;
use crate::extract::Named;
use crate::problem::Problem;
use crate::routes::v1::json as answer;

const DETAILS: &str = "/products/{id}/details";

const CARTS: &str = "/shopping-carts";
const CART: &str = "/shopping-carts/{id}";
const ITEMS: &str = "/shopping-carts/{id}/items";
const CHECKOUT: &str = "/shopping-carts/{id}/checkout";
const RESERVE: &str = "/warehouse/reserve";
const SHIP: &str = "/warehouse/ship";
const PAY: &str = "/payments/checkout";

pub(super) const OPERATIONS: &[(&str, Method)] = &[
    (DETAILS, Method::POST),
    (CARTS, Method::POST),
    (CART, Method::GET),
    (ITEMS, Method::POST),
    (CHECKOUT, Method::POST),
    (RESERVE, Method::POST),
    (SHIP, Method::POST),
    (PAY, Method::POST),
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(DETAILS, post(details).get(super::global_catalog::details_are_no_market))
        .route(CARTS, post(carts::open))
        .route(CART, get(carts::read))
        .route(ITEMS, post(carts::add))
        .route(CHECKOUT, post(carts::check_out))
        .route(RESERVE, post(warehouse::reserve))
        .route(SHIP, post(warehouse::ship))
        .route(PAY, post(payments::pay))
}

/// What the contract knows of a product: all of it is required.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    product_id: i32,
    sku: String,
    manufacturer: String,
    category_id: i32,
    weight: i32,
    some_other_id: i32,
}

/// Sets what is known of a product, and makes it if there is none.
async fn details(State(app): State<App>, Named(id): Named<String>, sent: Sent) -> Result<Response, Problem> {
    let Some(number) = catalog::int32(&id) else { return bad("Invalid product ID", "an id is a whole number from 1") };
    let details: Details = match serde_json::from_slice(&sent.body) {
        Ok(details) => details,
        Err(error) => return bad("Invalid product data", &error.to_string()),
    };
    if details.product_id != number {
        return bad("Product ID mismatch", "product_id is another one than the path has");
    }
    let numbers = [
        ("category_id", details.category_id, 1),
        ("weight", details.weight, 0),
        ("some_other_id", details.some_other_id, 1),
    ];
    for (field, number, least) in numbers {
        if number < least {
            return bad("Invalid product data", &format!("{field} must be at least {least}"));
        }
    }
    let (sku, brand) = match (Sku::parse(details.sku.as_str()), Name::parse(details.manufacturer.as_str())) {
        (Ok(sku), Ok(brand)) => (sku, brand),
        (Err(error), _) | (_, Err(error)) => return bad("Invalid product data", &error.to_string()),
    };
    let product = crate::parse::at("id", ProductId::parse(id.as_str()))?;
    let mut edit = ProductEdit { brand: Some(Some(brand)), ..ProductEdit::default() };
    for (field, number, _) in numbers {
        let value = AttributeValue::integer(number.into()).map_err(|error| Problem::internal(error.to_string()))?;
        edit.attributes.insert(catalog::name(field), Some(value));
    }
    let title = crate::parse::at("title", Title::parse(format!("{} {}", details.manufacturer, details.sku)))?;
    let content = serde_json::to_vec(&details).map_err(|error| Problem::internal(error.to_string()))?;
    let asked = sent.part("details", &[&content]);
    again(|| async {
        let (id, of) = (product.clone(), sku.clone());
        let (now, owner) =
            app.read(move |reader| Ok((reader.product(&id)?, reader.item(&of)?.map(|item| item.product)))).await?;
        if let Some(owner) = owner.filter(|owner| *owner != product) {
            return bad("Invalid product data", &format!("sku {sku} is that of product {owner}")).map(Some);
        }
        let (edit, must) = match &now {
            Some(now) => (over(edit.clone(), now, &sku), Must::Exist),
            None => {
                let edit = ProductEdit { title: Some(title.clone()), ..edit.clone() };
                (catalog::new_product(edit, sku.clone(), Policy::NoneUntilReceived), Must::Create)
            }
        };
        let (id, edit, expected) = (product.clone(), Box::new(edit), now.map(|now| now.revision));
        match app.submit(&asked, Command::EditProduct { id, edit, expected, must, variants: Must::Either }).await {
            Ok(_) => done().map(Some),
            Err(problem) if problem.code() == Code::PreconditionFailed => Ok(None),
            Err(problem) if problem.code() == Code::ProductInUse => {
                bad("Invalid product data", problem.said()).map(Some)
            }
            Err(problem) => is_race(problem),
        }
    })
    .await
}

/// The edit of a product that is there: its SKU is the one that is given, and no other.
fn over(mut edit: ProductEdit, now: &Product, sku: &Sku) -> ProductEdit {
    let others = now.variants.iter().filter(|variant| variant.sku != *sku);
    edit.variants =
        others.map(|other| VariantEdit { present: Some(false), ..VariantEdit::of(other.sku.clone()) }).collect();
    if now.variant(sku).is_none() {
        let first = now.variants.first();
        let selling = first.map(|variant| variant.selling.into());
        let prices = first.map(|variant| variant.prices.iter().map(|(key, terms)| (*key, Some(*terms))).collect());
        let prices = prices.unwrap_or_default();
        edit.variants.push(VariantEdit { selling, prices, ..VariantEdit::of(sku.clone()) });
    }
    if now.status == Status::Archived {
        edit.status = Some(Status::Active);
    }
    edit
}

fn done() -> Result<Response, Problem> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn bad(message: &str, details: &str) -> Result<Response, Problem> {
    let body = json!({"error": "INVALID_INPUT", "message": message, "details": details});
    answer(StatusCode::BAD_REQUEST, &body)
}

fn missing(message: &str) -> Result<Response, Problem> {
    answer(StatusCode::NOT_FOUND, &json!({"error": "NOT_FOUND", "message": message}))
}

/// What the site refuses is 400 in the contract, with the site's own code.
fn refused(problem: Problem) -> Result<Response, Problem> {
    match problem.status() {
        StatusCode::CONFLICT => {
            let error = problem.code().as_str().to_uppercase();
            answer(StatusCode::BAD_REQUEST, &json!({"error": error, "message": problem.said()}))
        }
        _ => Err(problem),
    }
}

/// Units of a product, as the contract asks for them.
#[derive(Debug, Deserialize)]
struct Units {
    product_id: i32,
    quantity: i32,
}

impl Units {
    fn read(body: &[u8]) -> Result<(String, Quantity), String> {
        let units: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if units.product_id < 1 {
            return Err("product_id must be at least 1".to_owned());
        }
        let units_wanted = u64::try_from(units.quantity).unwrap_or(0);
        let quantity = Quantity::new(units_wanted).map_err(|_| "quantity must be at least 1".to_owned())?;
        Ok((units.product_id.to_string(), quantity))
    }
}

/// A problem as the contract has errors.
pub(super) fn said(problem: &Problem) -> Said {
    let error = match problem.code() {
        Code::Unauthenticated => "UNAUTHORIZED".to_owned(),
        Code::InvalidRequest => "INVALID_INPUT".to_owned(),
        code => code.as_str().to_uppercase(),
    };
    let body = json!({"error": error, "message": problem.said()}).to_string().into();
    Said { status: problem.status(), media_type: "application/json", body }
}
