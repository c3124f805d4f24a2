//! `dry_run=true` on every write: what would happen, by the rules that would decide it, and nothing happens.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::carts::{filled, price, priced};
use super::orders::{checked_out, did, post};
use super::payments::{paid_by_hand, park};
use crate::check::Shop;

const KNOWN: &str = "cus_0190a1b2c3d47000800000000000000c";
const HELD: &str = "res_019aa5c1d5f87e21b2f4b8a3c6d1e0f1";
const PROMISED: &str = "res_019aa5c1d5f87e21b2f4b8a3c6d1e0f2";
const JOB: &str = "job_019aa5c1d5f87e21b2f4b8a3c6d1e0f1";
const ASKED: &str = "trf_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";
const SENT: &str = "trf_019aa5c1d5f87e21b2f4b8a3c6d1e0f8";

/// A write, its path in the document, and what a dry run of it says: an event, or a code.
type Row = (String, &'static str, &'static str);

async fn all(shop: &Shop, requests: &[String]) {
    for request in requests {
        let seen = shop.ask(request).await;
        assert!(seen.status.is_success(), "{request}: {seen:?}");
    }
}

/// A shop in which each of the writes can be done, and the writes.
async fn every_write() -> (Shop, Vec<Row>) {
    let shop = priced().await;
    let desk = |quantity: u32| format!("{{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": {quantity}}}");
    let reserve = |id: &str| post("/reservations", id, &format!("{{\"id\": \"{id}\", \"lines\": [{}]}}", desk(1)));
    let transfer = |id: &str| {
        let lines = "[{\"sku\": \"DESK\", \"quantity\": 1}]";
        post(
            "/transfers",
            id,
            &format!("{{\"id\": \"{id}\", \"from\": \"berlin\", \"to\": \"depot\", \"lines\": {lines}}}"),
        )
    };
    let plain = |line: &str, body: &str| format!("{line}\n\n{body}");
    let job = format!(
        "{{\"id\": \"{JOB}\", \"kind\": \"import_products\", \"source\": \"a.csv\", \"digest\": \"{}\"}}",
        "0".repeat(64)
    );
    let row = "{\"line\": 1, \"product\": {\"title\": \"Sofa\", \"variants\": [{\"sku\": \"SOFA\"}]}}\n";
    all(
        &shop,
        &[
            post("/stock/receive", "more", &desk(100)),
            plain("POST /api/v1/products", "{\"sku\": \"CHAIR\", \"title\": \"Chair\"}"),
            plain("POST /api/v1/products/CHAIR/variants", "{\"sku\": \"CHAIR-2\"}"),
            plain("POST /api/v1/products", "{\"sku\": \"OLD\", \"title\": \"Old chair\"}"),
            "POST /api/v1/products/OLD/archive\nIf-Match: *".to_owned(),
            reserve(HELD),
            reserve(PROMISED),
            post(&format!("/reservations/{PROMISED}/commit"), "promise", "{}"),
            transfer(ASKED),
            transfer(SENT),
            post(&format!("/transfers/{SENT}/dispatch"), "send", "{}"),
            plain("POST /api/v1/customers", &format!("{{\"id\": \"{KNOWN}\", \"name\": \"Bert\"}}")),
            plain("POST /api/v1/jobs", &job),
            format!("POST /api/v1/jobs/{JOB}/rows\nContent-Type: application/x-ndjson\n\n{row}"),
        ],
    )
    .await;
    let (stale, _) = filled(&shop, 1).await;
    let (_, _, open) = checked_out(&shop, 1).await;
    let (_, _, paid) = checked_out(&shop, 1).await;
    let id = |order: &Value| order["id"].as_str().unwrap().to_owned();
    let payment = |order: &Value| order["payments"][0]["id"].as_str().unwrap().to_owned();
    did(&shop.site, &payment(&paid), 1).await;
    did(&shop.site, &payment(&paid), 2).await;
    let (_, set_aside) = paid_by_hand(&shop).await;
    did(&shop.site, &set_aside, 1).await;
    let (_, parked) = paid_by_hand(&shop).await;
    park(&shop.site, &parked).await;
    let (unpaid, _) = filled(&shop, 1).await;
    let unpaid = id(&shop.ask(&post(&format!("/carts/{unpaid}/checkout"), "unpaid", "{}")).await.json());
    price(&shop, "13.00").await;
    let (cart, _) = filled(&shop, 1).await;
    let (other, _) = filled(&shop, 1).await;

    let any = "If-Match: *";
    let line = "{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 1}]}";
    let back = "{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 1}]}";
    let of = |lines: String| format!("{{\"reference\": \"x\", \"lines\": [{lines}]}}");
    let rows: Vec<Row> = vec![
        (plain("POST /api/v1/customers", "{\"name\": \"Ada\"}"), "/customers", "customer_changed"),
        (
            plain(&format!("PATCH /api/v1/customers/{KNOWN}\n{any}"), "{\"name\": \"Ada\"}"),
            "/customers/{id}",
            "customer_changed",
        ),
        (plain(&format!("POST /api/v1/customers/{KNOWN}/erase"), "{}"), "/customers/{id}/erase", "customer_erased"),
        (plain("POST /api/v1/products", "{\"sku\": \"X\", \"title\": \"X\"}"), "/products", "product_created"),
        (
            plain(&format!("PATCH /api/v1/products/DESK\n{any}"), "{\"brand\": \"K\"}"),
            "/products/{id}",
            "product_changed",
        ),
        (format!("DELETE /api/v1/products/CHAIR\n{any}"), "/products/{id}", "product_deleted"),
        (
            plain("POST /api/v1/products/CHAIR/variants", "{\"sku\": \"Y\"}"),
            "/products/{id}/variants",
            "product_changed",
        ),
        (
            plain(&format!("PATCH /api/v1/products/CHAIR/variants/CHAIR\n{any}"), "{\"title\": \"Red\"}"),
            "/products/{id}/variants/{sku}",
            "product_changed",
        ),
        (
            format!("DELETE /api/v1/products/CHAIR/variants/CHAIR-2\n{any}"),
            "/products/{id}/variants/{sku}",
            "product_changed",
        ),
        (
            plain(&format!("PATCH /api/v1/products/DESK/markets/gb\n{any}"), "{\"title\": \"Desk, British\"}"),
            "/products/{id}/markets/{market}",
            "listing_changed",
        ),
        (format!("POST /api/v1/products/DESK/archive\n{any}"), "/products/{id}/archive", "product_changed"),
        (format!("POST /api/v1/products/OLD/activate\n{any}"), "/products/{id}/activate", "product_changed"),
        (plain("POST /api/v1/jobs", &job.replace(JOB, &JOB.replace("0f1", "0f2"))), "/jobs", "job_started"),
        (format!("POST /api/v1/jobs/{JOB}/finish"), "/jobs/{id}/finish", "job_finished"),
        (format!("POST /api/v1/jobs/{JOB}/undo"), "/jobs/{id}/undo", "product_deleted"),
        (plain("POST /api/v1/locations", "{\"id\": \"annex\", \"name\": \"Annex\"}"), "/locations", "location_opened"),
        (
            plain(&format!("PATCH /api/v1/locations/berlin\n{any}"), "{\"name\": \"B\"}"),
            "/locations/{id}",
            "location_renamed",
        ),
        (post("/stock/receive", "1", &desk(1)), "/stock/receive", "stock_moved"),
        (post("/stock/return", "1", &of(desk(1))), "/stock/return", "stock_moved"),
        (post("/stock/issue", "1", &of(desk(1))), "/stock/issue", "stock_moved"),
        (post("/stock/issue", "2", &of(desk(1_000))), "/stock/issue", "insufficient_stock"),
        (post("/stock/ship", "1", &format!("{{\"reservation\": \"{PROMISED}\"}}")), "/stock/ship", "stock_moved"),
        (
            post("/stock/write-off", "1", &desk(1).replace('}', ", \"reason\": \"rain\"}")),
            "/stock/write-off",
            "stock_moved",
        ),
        (
            post("/stock/count", "1", "{\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": 50}"),
            "/stock/count",
            "stock_moved",
        ),
        (
            post("/stock/adjust", "1", "{\"sku\": \"DESK\", \"location\": \"berlin\", \"safety_stock\": 2}"),
            "/stock/adjust",
            "stock_adjusted",
        ),
        (reserve("res_019aa5c1d5f87e21b2f4b8a3c6d1e0f3"), "/reservations", "reservation_made"),
        (
            post(&format!("/reservations/{HELD}/extend"), "1", "{\"ttl_s\": 60}"),
            "/reservations/{id}/extend",
            "reservation_extended",
        ),
        (post(&format!("/reservations/{HELD}/commit"), "1", "{}"), "/reservations/{id}/commit", "reservation_ended"),
        (post(&format!("/reservations/{HELD}/release"), "1", "{}"), "/reservations/{id}/release", "reservation_ended"),
        (transfer("trf_019aa5c1d5f87e21b2f4b8a3c6d1e0f9"), "/transfers", "transfer_asked"),
        (post(&format!("/transfers/{ASKED}/withdraw"), "1", "{}"), "/transfers/{id}/withdraw", "transfer_status"),
        (post(&format!("/transfers/{ASKED}/dispatch"), "1", "{}"), "/transfers/{id}/dispatch", "transfer_changed"),
        (post(&format!("/transfers/{SENT}/receive"), "1", "{}"), "/transfers/{id}/receive", "transfer_changed"),
        (plain("POST /api/v1/carts", "{\"currency\": \"EUR\"}"), "/carts", "cart_changed"),
        (plain(&format!("PATCH /api/v1/carts/{cart}"), "{\"location\": \"berlin\"}"), "/carts/{id}", "cart_changed"),
        (post(&format!("/carts/{cart}/lines"), "1", line), "/carts/{id}/lines", "cart_changed"),
        (
            plain(&format!("PUT /api/v1/carts/{cart}/lines/DESK"), "{\"quantity\": 4}"),
            "/carts/{id}/lines/{sku}",
            "cart_changed",
        ),
        (format!("DELETE /api/v1/carts/{cart}/lines/DESK"), "/carts/{id}/lines/{sku}", "cart_changed"),
        (format!("POST /api/v1/carts/{stale}/accept-prices"), "/carts/{id}/accept-prices", "cart_changed"),
        (
            post(&format!("/carts/{cart}/merge"), "1", &format!("{{\"from\": \"{other}\"}}")),
            "/carts/{id}/merge",
            "cart_closed",
        ),
        (post(&format!("/carts/{cart}/checkout"), "1", "{\"wait_s\": 30}"), "/carts/{id}/checkout", "order_placed"),
        (post(&format!("/carts/{stale}/checkout"), "2", "{}"), "/carts/{id}/checkout", "price_changed"),
        (
            post(&format!("/orders/{unpaid}/payments"), "1", "{\"method\": \"pm\"}"),
            "/orders/{id}/payments",
            "payment_changed",
        ),
        (post(&format!("/orders/{}/cancel", id(&open)), "1", "{}"), "/orders/{id}/cancel", "order_changed"),
        (post(&format!("/orders/{}/ship", id(&paid)), "1", "{}"), "/orders/{id}/ship", "stock_moved"),
        (
            post(&format!("/orders/{}/refunds", id(&paid)), "1", "{\"amount\": \"1\"}"),
            "/orders/{id}/refunds",
            "payment_changed",
        ),
        (post(&format!("/orders/{}/refunds", id(&paid)), "2", back), "/orders/{id}/refunds", "order_status"),
        (post(&format!("/payments/{set_aside}/capture"), "1", "{}"), "/payments/{id}/capture", "payment_changed"),
        (post(&format!("/payments/{parked}/resume"), "1", "{}"), "/payments/{id}/resume", "payment_changed"),
    ];
    (shop, rows)
}

/// The same request, to be tried out.
fn tried_out(request: &str) -> String {
    let (line, rest) = request.split_once('\n').unwrap_or((request, ""));
    format!("{line}?dry_run=true\n{rest}")
}

#[tokio::test]
async fn every_write_says_what_it_would_do_and_does_nothing() {
    let (shop, rows) = every_write().await;
    let document: Value = serde_json::from_str(&kontor_server::openapi_json()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            // Lines have an answer each, also when they are tried out.
            let takes_it = parameters.clone().any(|parameter| parameter["name"] == "dry_run");
            if takes_it && operation["operationId"] != "put_products" {
                documented.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    let (mut tried, mut wrong) = (BTreeSet::new(), Vec::new());
    let before = shop.ask("GET /api/v1/changes?limit=1000").await.json();
    for (request, path, expected) in &rows {
        let method = request.split(' ').next().unwrap();
        tried.insert((method.to_owned(), format!("/api/v1{path}")));
        let seen = shop.ask(&tried_out(request)).await;
        let told = seen.json();
        let said: Vec<&str> = match seen.status.as_u16() {
            200 => {
                assert_eq!(told["dry_run"], true, "{request}\n{told}");
                told["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
            }
            _ => vec![told["code"].as_str().unwrap()],
        };
        if !said.contains(expected) {
            wrong.push(format!("{request}\nsays {said:?} and not {expected}: {}", seen.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(shop.ask("GET /api/v1/changes?limit=1000").await.json(), before, "nothing has happened");
    assert_eq!(tried, documented, "every write of the document is tried out here");

    // The same key does it afterwards, with the events that were told.
    let (request, _, _) = rows.iter().find(|(_, path, _)| *path == "/reservations").unwrap();
    let told = shop.ask(&tried_out(request)).await.json()["events"].clone();
    assert_eq!(shop.ask(request).await.status, 201);
    let done = shop.ask("GET /api/v1/changes?limit=1000").await.json();
    let done = done["items"].as_array().unwrap().last().unwrap()["events"].clone();
    let (told, done) = (without_times(told), without_times(done));
    assert_eq!(told, done);
    assert_eq!(shop.ask(&tried_out(request)).await.json()["events"], json!([]), "it is done already");
}

fn without_times(mut events: Value) -> Value {
    for event in events.as_array_mut().unwrap() {
        event.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_at"));
    }
    events
}

#[tokio::test]
async fn a_dry_run_is_asked_for_in_one_way() {
    let shop = priced().await;
    let receive = |query: &str| {
        let body = "{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}";
        post(&format!("/stock/receive{query}"), "1", body)
    };
    for query in ["?dry_run=yes", "?dry_run", "?dry_run=true&dry_run=true", "?dry_run=true&x=1", "?dryrun=true"] {
        assert_eq!(shop.ask(&receive(query)).await.code(), "invalid_request", "{query}");
    }
    assert_eq!(shop.ask(&receive("?dry_run=false")).await.status, 201);
    assert_eq!(shop.ask_as_anybody(&receive("?dry_run=true")).await.code(), "unauthenticated");
    let keyless = receive("?dry_run=true").replace("\nIdempotency-Key: 1", "");
    assert_eq!(shop.ask(&keyless).await.code(), "idempotency_key_missing", "as of the write itself");
}
