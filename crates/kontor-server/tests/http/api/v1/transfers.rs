//! Units that one location asks of another, within a site and between two, over HTTP.

use kontor_server::Limits;
use serde_json::json;

use super::shares::reads;
use crate::check::Shop;

const ID: &str = "trf_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";

fn post(path: &str, key: &str, body: &str) -> String {
    format!("POST /api/v1/transfers{path}\nIdempotency-Key: {key}\n\n{body}")
}

#[tokio::test]
async fn within_a_site_units_are_promised_at_once_and_what_was_missing_is_told() {
    let shop = Shop::stocked().await;
    assert_eq!(
        shop.ask("POST /api/v1/locations\n\n{\"id\": \"cellar\", \"name\": \"Cellar\"}").await.status.as_u16(),
        201
    );
    let ask = |quantity| {
        let line = format!("{{\"sku\": \"DESK\", \"quantity\": {quantity}}}");
        post("", "1", &format!("{{\"id\": \"{ID}\", \"from\": \"berlin\", \"to\": \"cellar\", \"lines\": [{line}]}}"))
    };
    let refused = shop.ask(&ask(11)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "insufficient_stock"));

    let asked = shop.ask(&ask(4)).await;
    assert_eq!((asked.status.as_u16(), &asked.json()["status"]), (201, &json!("done")), "{asked:?}");
    assert_eq!(asked.headers["location"], format!("/api/v1/transfers/{ID}"));
    let again = shop.ask(&ask(4)).await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &asked.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");

    let early = shop.ask(&post(&format!("/{ID}/receive"), "2", "{}")).await;
    assert_eq!((early.status.as_u16(), early.code().as_str()), (409, "transfer_status"));
    assert_eq!(early.json()["status_now"], "done");
    let left = shop.ask(&post(&format!("/{ID}/dispatch"), "3", "{}")).await;
    assert_eq!((left.status.as_u16(), &left.json()["step"]), (200, &json!("dispatched")), "{left:?}");
    let three = "{\"received\": [{\"sku\": \"DESK\", \"quantity\": 3}]}";
    let there = shop.ask(&post(&format!("/{ID}/receive"), "4", three)).await;
    assert_eq!((there.status.as_u16(), &there.json()["step"]), (200, &json!("received")), "{there:?}");
    assert_eq!(shop.ask(&post(&format!("/{ID}/receive"), "4", three)).await.body, there.body);

    let read = shop.ask(&format!("GET /api/v1/transfers/{ID}")).await.json();
    assert_eq!((&read["status"], &read["lines"][0]["received"]), (&json!("received"), &json!(3)));
    let listed = shop.ask("GET /api/v1/transfers").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let stock = shop.ask("GET /api/v1/stock/DESK").await.json();
    let on_hand = |at: usize| stock["levels"][at]["on_hand"].as_i64().unwrap();
    assert_eq!((on_hand(0), on_hand(1)), (6, 3), "{stock}");
}

#[tokio::test]
async fn between_two_sites_nobody_sends_before_the_other_has_confirmed() {
    let main = Shop::stocked().await;
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    reads(&west.site, &main.site).await;
    assert_eq!(
        west.ask("POST /api/v1/locations\n\n{\"id\": \"annex\", \"name\": \"Annex\"}").await.status.as_u16(),
        201
    );
    let line = "{\"sku\": \"DESK\", \"quantity\": 4}";
    let body = format!("{{\"id\": \"{ID}\", \"from\": \"berlin\", \"to\": \"annex\", \"lines\": [{line}]}}");
    let elsewhere = main.ask(&post("", "1", &body)).await;
    assert_eq!(elsewhere.code(), "unknown_location", "main has not heard of the annex");
    let asked = west.ask(&post("", "1", &body)).await;
    assert_eq!((asked.status.as_u16(), &asked.json()["status"]), (201, &json!("offered")), "{asked:?}");

    let dispatch = post(&format!("/{ID}/dispatch"), "2", "{}");
    let status = || async { west.ask(&format!("GET /api/v1/transfers/{ID}")).await.json()["status"].clone() };
    let mut before = Vec::new();
    let mut tries = 0;
    while before.last() != Some(&json!("done")) {
        reads(&main.site, &west.site).await;
        reads(&west.site, &main.site).await;
        let now = status().await;
        if before.last() != Some(&now) {
            before.push(now);
        }
        tries += 1;
        assert!(tries < 10_000, "it is never promised: {before:?}");
    }
    let late = west.ask(&post(&format!("/{ID}/withdraw"), "3", "{}")).await;
    assert_eq!(late.code(), "transfer_status");
    let here = west.ask(&dispatch).await;
    assert_eq!(here.code(), "owned_elsewhere", "the goods are not here");
    assert_eq!(main.ask(&dispatch).await.status.as_u16(), 200);
    reads(&west.site, &main.site).await;
    assert_eq!(status().await, "dispatched");
    assert_eq!(west.ask(&post(&format!("/{ID}/receive"), "4", "{}")).await.status.as_u16(), 200);
    let stock = west.ask("GET /api/v1/stock/DESK").await.json();
    assert_eq!(stock["totals"]["on_hand"], 10, "no unit was made or lost: {stock}");
}

#[tokio::test]
async fn what_is_wrong_with_a_transfer_is_told_and_changes_nothing() {
    let shop = Shop::stocked().await;
    let unknown = "{\"from\": \"berlin\", \"to\": \"nowhere\", \"lines\": [{\"sku\": \"DESK\", \"quantity\": 1}]}";
    for (request, status, code) in [
        (post("", "1", "{\"from\": \"berlin\", \"to\": \"cellar\", \"lines\": []}"), 400, "invalid_request"),
        (post("", "2", unknown), 404, "unknown_location"),
        (
            post("", "3", &unknown.replace("\"DESK\"", "\"CHAIR-X\"").replace("nowhere", "berlin")),
            400,
            "invalid_request",
        ),
        (post(&format!("/{ID}/dispatch"), "4", "{}"), 404, "unknown_transfer"),
        (post("/trf_1/dispatch", "5", "{}"), 400, "invalid_request"),
        (format!("GET /api/v1/transfers/{ID}"), 404, "unknown_transfer"),
        (format!("POST /api/v1/transfers/{ID}/withdraw\n\n{{}}"), 400, "idempotency_key_missing"),
    ] {
        let seen = shop.ask(&request).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (status, code), "{request}");
    }
    assert_eq!(shop.ask("GET /api/v1/transfers").await.json()["items"], json!([]));
}
