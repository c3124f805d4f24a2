//! Products made, set and deleted by administrators: lists of which each item is done on its own, whole.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::{Code, Time};
use kontor_core::command::{Command, Must, Note};
use kontor_core::id::Sku;
use kontor_core::limits::QUANTITY_MAX;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Policy, Status};
use kontor_core::text::Title;
use kontor_site::Answer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Detail, Found, answer, central, find, now, refused};
use crate::app::App;
use crate::compat::catalog::{self, again, is_race};
use crate::compat::sent::Sent;
use crate::convert;
use crate::limits::COMPAT_BATCH_MAX;
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
struct Products {
    #[serde(default)]
    products: Option<Vec<Wanted>>,
}

/// A product to be made, or what is to be set of one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    product_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<serde_json::Number>,
    /// The version that the caller has seen; any, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    product_id: String,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

pub(super) async fn create(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let wanted = match products(&sent, true)? {
        Ok(wanted) => wanted,
        Err(response) => return Ok(response),
    };
    let mut results = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        results.push(done(&wanted.product_id.clone(), create_one(&app, &sent, wanted).await));
    }
    summed("Creations", results)
}

pub(super) async fn set(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let wanted = match products(&sent, false)? {
        Ok(wanted) => wanted,
        Err(response) => return Ok(response),
    };
    let mut results = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        results.push(done(&wanted.product_id.clone(), set_one(&app, &sent, wanted).await));
    }
    summed("Updates", results)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    #[serde(default)]
    product_ids: Option<Vec<String>>,
}

pub(super) async fn delete(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let Ok(Deleted { product_ids }) = serde_json::from_slice(&sent.body) else { return not_json() };
    let ids = product_ids.unwrap_or_default();
    if let Some(response) = count_of(ids.len())? {
        return Ok(response);
    }
    let empty = ids.iter().enumerate().filter(|(_, id)| id.trim().is_empty());
    let details: Vec<Detail> = empty.map(|(at, _)| detail(format!("productIds[{at}]"), "must not be empty")).collect();
    if !details.is_empty() {
        return refused(StatusCode::BAD_REQUEST, "validation_error", "Validation failed", &details);
    }
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        results.push(done(&id, delete_one(&app, &sent, &id).await));
    }
    summed("Deletions", results)
}

/// The products of a request, or what is wrong with them.
fn products(sent: &Sent, is_new: bool) -> Result<Result<Vec<Wanted>, Response>, Problem> {
    let Ok(Products { products }) = serde_json::from_slice(&sent.body) else { return not_json().map(Err) };
    let products = products.unwrap_or_default();
    if let Some(response) = count_of(products.len())? {
        return Ok(Err(response));
    }
    let mut details = Vec::new();
    for (at, wanted) in products.iter().enumerate() {
        let mut wrong = |field: &str, issue: &str| details.push(detail(format!("products[{at}].{field}"), issue));
        if wanted.product_id.is_empty() {
            wrong("productId", "is required");
        } else if let Err(error) = Sku::parse(wanted.product_id.as_str()) {
            wrong("productId", &error.to_string());
        }
        match &wanted.name {
            None if is_new => wrong("name", "is required"),
            Some(name) => {
                if let Err(error) = Title::parse(name.as_str()) {
                    wrong("name", &error.to_string());
                }
            }
            None => {}
        }
        if let Some(available) = wanted.available {
            match u64::try_from(available) {
                Err(_) => wrong("available", "must not be negative"),
                Ok(units) if units > QUANTITY_MAX => wrong("available", &format!("must be at most {QUANTITY_MAX}")),
                Ok(_) => {}
            }
        }
        if let Some(price) = &wanted.price
            && let Err(issue) = catalog::price(price, catalog::currency())
        {
            wrong("price", &issue);
        }
        if !is_new && wanted.name.is_none() && wanted.available.is_none() && wanted.price.is_none() {
            wrong("productId", "at least one of name, available and price must be given");
        }
    }
    if details.is_empty() {
        return Ok(Ok(products));
    }
    refused(StatusCode::BAD_REQUEST, "validation_error", "Validation failed", &details).map(Err)
}

/// Makes a product with its stock. One that was deleted is made anew under its old name, and its version goes on.
async fn create_one(app: &App, sent: &Sent, wanted: Wanted) -> Result<Outcome, Problem> {
    let (sku, edit) = (sku(&wanted)?, edit(&wanted)?);
    let units = wanted.available.and_then(|units| u64::try_from(units).ok()).unwrap_or(0);
    let asked = sent.part(sku.as_str(), &[&content(&wanted)?]);
    let exists = || Ok(failed(&wanted.product_id, "validation_error", "Product already exists"));
    again(|| async {
        let before = look(app, &sku).await?;
        let mut commands = Vec::new();
        if !before.has_pool {
            commands.push(open_pool());
        }
        match &before.found {
            None => {
                let edit = catalog::new_product(edit.clone(), sku.clone(), Policy::ReserveOnOrder);
                commands.push(Command::EditProduct {
                    id: sku.clone().into(),
                    edit: Box::new(edit),
                    expected: None,
                    must: Must::Create,
                    variants: Must::Create,
                });
            }
            // A repeat is told by its key, which only the decision knows.
            Some(found) => {
                let edit = ProductEdit { status: Some(Status::Active), ..edit.clone() };
                // No product has revision 0.
                let expected = if found.is_deleted() { found.product.revision } else { 0 };
                commands.push(Command::change_product(found.item.product.clone(), edit, Some(expected)));
            }
        }
        commands.push(stock(&sku, before.found.as_ref(), units));
        match app.submit(&asked, Command::All(commands)).await {
            Ok(done) => told(app, &sku, &done).await.map(Some),
            Err(problem) if problem.code() == Code::PreconditionFailed => match before.found {
                Some(found) if found.is_deleted() => Ok(None),
                _ => exists().map(Some),
            },
            Err(problem) => is_race(problem),
        }
    })
    .await
}

/// Sets what is given. What is available is set on top of what is promised, and sales that happen
/// meanwhile are not lost: the shelf is counted by what was read of it, and read again if it has changed.
async fn set_one(app: &App, sent: &Sent, wanted: Wanted) -> Result<Outcome, Problem> {
    let (sku, edit) = (sku(&wanted)?, edit(&wanted)?);
    let units = wanted.available.and_then(|units| u64::try_from(units).ok());
    let asked = sent.part(sku.as_str(), &[&content(&wanted)?]);
    again(|| async {
        let before = look(app, &sku).await?;
        let missing = failed(&wanted.product_id, "not_found", "Product not found");
        let Some(found) = before.found.filter(|found| !found.is_deleted()) else { return Ok(Some(missing)) };
        let mut commands = Vec::new();
        if !before.has_pool {
            commands.push(open_pool());
        }
        if let Some(version) = wanted.version {
            commands.push(Command::ExpectVersion { sku: sku.clone(), location: central(), version });
        }
        if !edit.is_empty() {
            commands.push(Command::change_product(found.item.product.clone(), edit.clone(), None));
        }
        if let Some(units) = units {
            commands.push(stock(&sku, Some(&found), units));
        }
        match app.submit(&asked, Command::All(commands)).await {
            Ok(done) => told(app, &sku, &done).await.map(Some),
            Err(problem) if problem.code() == Code::ExpectedMismatch => {
                let Some(version) = wanted.version else { return Ok(None) };
                let now = now(app, &sku).await?.map_or(0, |now| now.version);
                let message = format!("version conflict: expected {now}, got {version}");
                Ok((now != version).then(|| failed(&wanted.product_id, "version_conflict", &message)))
            }
            Err(problem) => is_race(problem),
        }
    })
    .await
}

async fn delete_one(app: &App, sent: &Sent, id: &str) -> Result<Outcome, Problem> {
    let missing = || failed(id, "not_found", "Product not found");
    let Ok(sku) = Sku::parse(id) else { return Ok(missing()) };
    let asked = sent.part(id, &[b"delete"]);
    again(|| async {
        let Some(found) = look(app, &sku).await?.found else { return Ok(Some(missing())) };
        let edit = ProductEdit { status: Some(Status::Archived), ..ProductEdit::default() };
        // No product has revision 0; a repeat is told by its key, which only the decision knows.
        let expected = if found.is_deleted() { 0 } else { found.product.revision };
        let command = Command::change_product(found.item.product.clone(), edit, Some(expected));
        match app.submit(&asked, command).await {
            Ok(done) => Ok(Some(succeeded(id, found.shown.version, convert::time(done.recorded_at)?))),
            Err(problem) if problem.code() == Code::PreconditionFailed => Ok(found.is_deleted().then(missing)),
            Err(problem) => is_race(problem),
        }
    })
    .await
}

/// What is there before a write.
struct Before {
    found: Option<Found>,
    has_pool: bool,
}

async fn look(app: &App, sku: &Sku) -> Result<Before, Problem> {
    let (here, sku) = (app.site.id().clone(), sku.clone());
    app.read(move |reader| {
        let has_pool = reader.location(&central())?.is_some();
        Ok(Before { found: find(reader, &here, &sku)?, has_pool })
    })
    .await
}

pub(in crate::compat) fn open_pool() -> Command {
    Command::OpenLocation { id: central(), name: Title::parse("Central").expect("a word is a title") }
}

/// What makes so many units available.
fn stock(sku: &Sku, found: Option<&Found>, units: u64) -> Command {
    let (on_hand, available) = found.map_or((0, 0), |found| (found.level.on_hand, found.level.available));
    let promised = u64::try_from(on_hand - available).unwrap_or(0);
    Command::Count {
        sku: sku.clone(),
        location: central(),
        counted: units + promised,
        expected: Some(on_hand),
        note: Note::default(),
    }
}

async fn told(app: &App, sku: &Sku, done: &Answer) -> Result<Outcome, Problem> {
    let version = now(app, sku).await.map_err(Problem::after_write)?.map_or(0, |now| now.version);
    let at = convert::time(done.recorded_at).map_err(Problem::after_write)?;
    Ok(succeeded(sku.as_str(), version, at))
}

fn succeeded(product_id: &str, version: u64, at: Time) -> Outcome {
    Outcome {
        product_id: product_id.to_owned(),
        success: true,
        new_version: Some(version),
        last_updated: Some(at),
        error_type: None,
        error_message: None,
    }
}

fn failed(product_id: &str, error_type: &'static str, message: &str) -> Outcome {
    Outcome {
        product_id: product_id.to_owned(),
        success: false,
        new_version: None,
        last_updated: None,
        error_type: Some(error_type),
        error_message: Some(message.to_owned()),
    }
}

/// What became of one item: what went wrong with it says nothing of the others.
fn done(product_id: &str, outcome: Result<Outcome, Problem>) -> Outcome {
    outcome.unwrap_or_else(|problem| {
        if problem.is_defect() {
            tracing::error!(code = problem.code().as_str(), "A product could not be set: {}", problem.detail());
        }
        let error_type = match problem.code() {
            Code::InvalidRequest | Code::LimitExceeded => "validation_error",
            Code::IdempotencyKeyReused => "invalid_idempotency_key",
            Code::OutcomeUnknown => "timeout",
            Code::Internal => "internal_error",
            _ => "unknown_error",
        };
        failed(product_id, error_type, problem.said())
    })
}

/// All outcomes, counted under the names that the operation has for them.
fn summed(what: &str, results: Vec<Outcome>) -> Result<Response, Problem> {
    let succeeded = results.iter().filter(|outcome| outcome.success).count();
    let mut summary = Map::new();
    summary.insert("totalRequests".into(), results.len().into());
    summary.insert(format!("successful{what}"), succeeded.into());
    summary.insert(format!("failed{what}"), (results.len() - succeeded).into());
    answer(StatusCode::OK, &json!({"results": results, "summary": Value::Object(summary)}))
        .map_err(Problem::after_write)
}

fn sku(wanted: &Wanted) -> Result<Sku, Problem> {
    crate::parse::at("productId", Sku::parse(wanted.product_id.as_str()))
}

/// What an item sets of the product.
fn edit(wanted: &Wanted) -> Result<ProductEdit, Problem> {
    let title = crate::parse::optional("name", wanted.name.clone(), Title::parse)?;
    let mut edit = ProductEdit { title, ..ProductEdit::default() };
    if let Some(price) = &wanted.price {
        let (key, terms) = crate::parse::at("price", catalog::price(price, catalog::currency()))?;
        edit.variants.push(VariantEdit { prices: [(key, Some(terms))].into(), ..VariantEdit::of(sku(wanted)?) });
    }
    Ok(edit)
}

/// What an item asks for, for the fingerprint.
fn content(wanted: &Wanted) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(wanted).map_err(|error| Problem::internal(error.to_string()))
}

fn detail(field: String, issue: &str) -> Detail {
    Detail { field, issue: issue.to_owned() }
}

fn not_json() -> Result<Response, Problem> {
    refused(StatusCode::BAD_REQUEST, "invalid_request", "Invalid JSON in request body", &[])
}

/// What is wrong with the number of items of a request.
fn count_of(items: usize) -> Result<Option<Response>, Problem> {
    let message = match items {
        0 => "No products specified".to_owned(),
        1..=COMPAT_BATCH_MAX => return Ok(None),
        _ => format!("at most {COMPAT_BATCH_MAX} products are taken at once"),
    };
    refused(StatusCode::BAD_REQUEST, "invalid_request", &message, &[]).map(Some)
}
