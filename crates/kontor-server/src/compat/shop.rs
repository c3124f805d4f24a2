//! The shop's products by number, and what is known of them. Its carts and orders are not here yet.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{Method, StatusCode};
use kontor_api::Code;
use kontor_core::command::{Command, Must};
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::text::Name;
use kontor_core::product::{Policy, Product, Status};
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

pub(super) const OPERATIONS: &[(&str, Method)] = &[(DETAILS, Method::POST)];

pub(super) fn routes() -> Router<App> {
    Router::new().route(DETAILS, post(details).get(super::global_catalog::details_are_no_market))
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
