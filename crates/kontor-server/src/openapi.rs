//! The API's document: generated from the routes, completed with what all operations share.
//!
//! It is committed as `docs/api/openapi.json`; a test compares the two. To write it anew:
//! `cargo test -p kontor-server --test http -- --ignored write_the_openapi_document`.

use std::collections::BTreeSet;

use http::Method;
use kontor_api::{Code, path};
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::idempotency::DRY_RUN;
use crate::limits::IDEMPOTENCY_KEY_MAX;
use crate::problem::MEDIA_TYPE;
use crate::router;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Kontor",
        description = "Products, stock, carts, orders and payments of one site: exact, durable, explained.\n\n\
            Every answer carries `X-Request-Id` and `traceparent`; both are taken from the request if it has them. \
            Writes that move stock or money need an `Idempotency-Key`: a repeated request is done once, and is told so \
            again, with `Idempotency-Replayed: true`, for seven days. With `dry_run=true` a write says what would \
            happen, and does nothing. Callers whose requests are limited find \
            `RateLimit-Policy` and `RateLimit` on every answer. Whatever is not done is a problem document (RFC 9457); \
            programs decide by its `code`.",
    ),
    tags(
        (name = "products", description = "What is sold"),
        (name = "locations", description = "Where it is"),
        (name = "stock", description = "How much is there, what came and went, and why"),
        (name = "reservations", description = "Units held until a deadline"),
        (name = "customers", description = "Who buys, and how they are forgotten"),
        (name = "carts", description = "What somebody may want to buy"),
        (name = "orders", description = "What was bought, and what has become of it"),
        (name = "payments", description = "What is asked of payment providers"),
        (name = "jobs", description = "Imports that can be resumed and undone, and exports"),
        (name = "changes", description = "Everything that happened, as a feed"),
        (name = "security", description = "For people who keep watch"),
        (name = "health", description = "For what keeps the server running"),
    ),
    components(schemas(kontor_api::Problem, kontor_api::changes::DryRun)),
)]
struct Head;

/// What the routes are added to.
pub(crate) fn head() -> OpenApi {
    Head::openapi()
}

/// The document, as it is committed and served.
pub fn openapi_json() -> String {
    let document = complete(&router::routes().into_openapi());
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// Path and method of every operation.
pub(crate) fn operations(document: &OpenApi) -> Vec<(String, Method)> {
    let mut found = Vec::new();
    for (path, item) in &document.paths.paths {
        let known = [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ];
        found.extend(known.into_iter().filter(|(_, of)| of.is_some()).map(|(method, _)| (path.clone(), method)));
    }
    found
}

/// Adds what all operations share: problems, headers, keys, links.
pub(crate) fn complete(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    for (path, item) in fields(&mut document["paths"]) {
        for (method, operation) in fields(item) {
            operation_of(path, method, operation);
        }
    }
    for (_, schema) in fields(&mut document["components"]["schemas"]) {
        say_what_texts_are(schema);
    }
    document["components"]["responses"] = problems();
    document["components"]["securitySchemes"] = json!({
        "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
        "cart_token": {"type": "apiKey", "in": "header", "name": "X-Cart-Token"},
    });
    document["security"] = keys();
    document["info"]["license"] = json!({"name": "Apache-2.0", "identifier": "Apache-2.0"});
    document
}

/// Posts that are no writes under a key.
const ASKS_AND_ROWS: [&str; 5] =
    [path::PRODUCTS_BATCH, path::PRODUCTS_BULK, path::JOB_ROWS, path::PAYMENT_TOKENS, path::PAYMENT_CALLBACKS];

fn operation_of(path: &str, method: &str, operation: &mut Value) {
    // What takes rows says itself how far it came, and what only asks changes nothing.
    let is_write = method != "get" && !ASKS_AND_ROWS.contains(&path);
    let is_api = path.starts_with(path::V1);
    let needs_key = method == "post" && path::needs_key(path);
    let is_of_cart = path.starts_with(path::CARTS);
    let is_edit =
        !is_of_cart && matches!(method, "patch" | "delete") || [path::ARCHIVE, path::ACTIVATE].contains(&path);
    let may_say_revision = is_of_cart && matches!(method, "patch" | "put" | "delete");
    if operation.get("security").is_some() && is_api {
        // Everybody may, and a key that is given is looked at.
        operation["security"] = json!([{}, {"api_key": []}, {"bearer": []}]);
    } else if is_for_buyers(path, method) {
        operation["security"] = json!([{"cart_token": []}, {"api_key": []}, {"bearer": []}]);
    }
    let mut statuses = BTreeSet::from([500]);
    if is_api {
        statuses.extend([400, 401, 429]);
    }
    // Lists that ask for a location or an SKU by name.
    let names_something = method == "get" && [path::MOVEMENTS, path::PRODUCTS, path::STOCK].contains(&path);
    if path.contains('{') || needs_key || names_something {
        statuses.insert(404);
    }
    // Some of it is for keys of sites, and some of it is not.
    if path.starts_with(path::SITES) {
        statuses.insert(403);
    }
    if path == path::READYZ {
        statuses.insert(503);
    }
    if path == path::PAYMENT_TOKENS {
        statuses.insert(402);
    }
    if path == path::CHANGES {
        statuses.extend([406, 503]);
    }
    if is_write {
        statuses.extend([404, 408, 409, 413, 415, 422, 503]);
        parameter(operation, idempotency_key(needs_key));
    }
    if method != "get" && !is_write {
        statuses.extend([404, 408, 409, 413, 415, 503]);
    }
    if is_edit {
        statuses.extend([412, 428]);
        parameter(operation, if_match(true));
    }
    if may_say_revision {
        statuses.insert(412);
        parameter(operation, if_match(false));
    }
    if matches!((path, method), (path::CARTS_OF_CUSTOMER | path::CART, "get")) || path.starts_with(path::ORDERS) {
        // Another site has it.
        statuses.insert(503);
    }
    // Sites that are let in, and journals that are taken, are not decided by commands.
    if is_write && !path.starts_with(path::SITES) {
        parameter(operation, dry_run());
        may_be_rehearsed(&mut operation["responses"]);
    }
    for status in statuses {
        let reference = json!({"$ref": format!("#/components/responses/Problem{status}")});
        operation["responses"][status.to_string()] = reference;
    }
    if is_write {
        for (status, response) in fields(&mut operation["responses"]) {
            if status.starts_with('2') {
                response["headers"]["Idempotency-Replayed"] = json!({
                    "description": "`true` if the request was done before", "schema": {"type": "string"},
                });
            }
        }
    }
    // No body at all is as good as an empty object; `null` is neither.
    if let Some(body) = operation.pointer_mut("/requestBody/content/application~1json/schema")
        && body.pointer("/oneOf/1/type").is_some_and(|other| other == "null")
    {
        *body = body["oneOf"][0].take();
        operation["requestBody"]["required"] = json!(false);
    }
    let made = operation["operationId"].as_str().unwrap_or_default().to_owned();
    for (_, status, parameter, value, links) in LINKS.iter().filter(|(of, ..)| *of == made) {
        for link in *links {
            let id = format!("$response.body#/{value}");
            operation["responses"][*status]["links"][*link] =
                json!({"operationId": link, "parameters": {(*parameter): id}});
        }
    }
}

/// What can be done with what an operation answers: under which status, and which value of the answer names it.
const LINKS: [(&str, &str, &str, &str, &[&str]); 10] = [
    (
        "make_reservation",
        "201",
        "id",
        "id",
        &["read_reservation", "extend_reservation", "commit_reservation", "release_reservation"],
    ),
    ("create_product", "201", "id", "id", &["read_product", "change_product", "add_variant", "archive_product"]),
    ("create_customer", "201", "id", "id", &["read_customer", "change_customer", "erase_customer"]),
    ("open_location", "201", "id", "id", &["read_location", "rename_location"]),
    (
        "open_cart",
        "201",
        "id",
        "id",
        &["read_cart", "add_to_cart", "set_cart_line", "change_cart", "accept_cart_prices", "check_out"],
    ),
    ("add_to_cart", "200", "id", "id", &["read_cart", "set_cart_line", "remove_cart_line", "merge_carts", "check_out"]),
    (
        "check_out",
        "201",
        "id",
        "id",
        &["read_order", "read_order_timeline", "pay_order", "cancel_order", "ship_order", "refund_order"],
    ),
    ("check_out", "201", "id", "payments/0/id", &["read_payment", "capture_payment", "resume_payment"]),
    ("pay_order", "201", "id", "id", &["read_order", "cancel_order", "ship_order", "refund_order"]),
    ("ship_order", "201", "id", "id", &["read_order", "refund_order"]),
];

/// What somebody may do who has the token of a cart.
fn is_for_buyers(path: &str, method: &str) -> bool {
    path.starts_with(path::CARTS)
        || (path, method) == (path::ORDER, "get")
        || [path::PAY_ORDER, path::CANCEL_ORDER].contains(&path)
}

fn dry_run() -> Value {
    json!({
        "name": DRY_RUN, "in": "query", "required": false,
        "description": "Says what would happen, by the rules that would decide it, and does nothing",
        "schema": {"type": "boolean", "default": false},
    })
}

/// What a dry run answers stands beside what the write would.
fn may_be_rehearsed(responses: &mut Value) {
    let rehearsed = json!({"$ref": "#/components/schemas/DryRun"});
    match responses.pointer_mut("/200/content/application~1json/schema") {
        Some(schema) => *schema = json!({"anyOf": [schema.take(), rehearsed]}),
        None => {
            responses["200"] = json!({
                "description": "With `dry_run=true`: what would happen",
                "content": {"application/json": {"schema": rehearsed}},
            });
        }
    }
}

fn parameter(operation: &mut Value, parameter: Value) {
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

fn idempotency_key(required: bool) -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": required,
        "description": "A fresh value for every new intention; the same one to repeat a request",
        "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_MAX, "pattern": "^[!-~]+$"},
        "example": "5b6f2a9e-8a53-4c1e-9d5b-0f3f7a1c2e44",
    })
}

fn if_match(required: bool) -> Value {
    json!({
        "name": "If-Match", "in": "header", "required": required,
        "description": "The `ETag` of the revision that is edited, or `*`",
        "schema": {"type": "string", "pattern": "^(\\*|\"[1-9][0-9]{0,17}\")$"},
        "example": "\"1\"",
    })
}

fn keys() -> Value {
    json!([{"api_key": []}, {"bearer": []}])
}

/// One response for each status, with the codes that it can mean.
fn problems() -> Value {
    let statuses: BTreeSet<u16> = Code::ALL.iter().map(|code| code.status()).collect();
    let mut responses = Map::new();
    for status in statuses {
        let codes = Code::ALL.iter().filter(|code| code.status() == status);
        let said: Vec<String> = codes.map(|code| format!("- `{}`: {}", code.as_str(), code.meaning())).collect();
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        let mut response = json!({
            "description": said.join("\n"),
            "content": {(MEDIA_TYPE): {"schema": schema}},
        });
        if status == 429 {
            let header = |what: &str, kind: &str| json!({"description": what, "schema": {"type": kind}});
            response["headers"] = json!({
                "Retry-After": header("Seconds until the next window", "integer"),
                "RateLimit-Policy": header("The policy's name, requests `q` in a window of `w` seconds", "string"),
                "RateLimit": header("The policy's name, requests left `r`, seconds until the next window `t`", "string"),
            });
        }
        responses.insert(format!("Problem{status}"), response);
    }
    Value::Object(responses)
}

/// Texts of requests are printable and have no white space at their ends.
fn say_what_texts_are(schema: &mut Value) {
    // Only where there are some: indexing would put `null` there.
    for (_, property) in schema.get_mut("properties").into_iter().flat_map(fields) {
        let bounded = property.get("maxLength").is_some() && property.get("pattern").is_none();
        if bounded {
            property["pattern"] = json!(
                r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$"
            );
        }
    }
}

fn fields(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}
