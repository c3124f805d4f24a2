//! What the shop's contract knows of a product.

use serde_json::{Value, json};

use crate::check::Shop;

fn details(sku: &str) -> Value {
    json!({"product_id": 7, "sku": sku, "manufacturer": "Acme", "category_id": 4, "weight": 0, "some_other_id": 9})
}

async fn post(shop: &Shop, id: &str, body: &Value) -> u16 {
    shop.ask(&format!("POST /products/{id}/details\n\n{body}")).await.status.as_u16()
}

#[tokio::test]
async fn details_make_a_product_and_change_it() {
    let shop = Shop::open().await;
    assert_eq!(post(&shop, "7", &details("A-1")).await, 204);
    let read = async || shop.ask("GET /products/7").await.json();
    let fields = |product: &Value| {
        details("A-1").as_object().unwrap().keys().map(|name| product[name].clone()).collect::<Vec<_>>()
    };
    assert_eq!(fields(&read().await), fields(&details("A-1")));
    assert_eq!(shop.ask("GET /api/v1/stock/A-1").await.json()["policy"], "none_until_received");
    // Its name is somebody else's business, and its SKU is the new one alone.
    shop.ask("PATCH /api/v1/products/7\nIf-Match: *\n\n{\"title\": \"Lamp\"}").await;
    assert_eq!(post(&shop, "7", &details("A-2")).await, 204);
    let product = read().await;
    assert_eq!(
        (&product["sku"], &product["title"], &product["brand"]),
        (&json!("A-2"), &json!("Lamp"), &json!("Acme"))
    );
    assert_eq!(shop.ask("GET /products/A-1").await.status, 404);
    // Not while there is stock of the old one.
    shop.ask("POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Shop\"}").await;
    shop.ask("POST /api/v1/stock/receive\nIdempotency-Key: r\n\n{\"sku\": \"A-2\", \"location\": \"berlin\", \"quantity\": 1}").await;
    assert_eq!(post(&shop, "7", &details("A-3")).await, 400);
    assert_eq!(read().await["sku"], "A-2");
}

/// The contract's longest words: a SKU of 100, a manufacturer of 200.
#[tokio::test]
async fn the_longest_words_of_the_contract_are_taken() {
    let shop = Shop::open().await;
    let mut body = details(&"S".repeat(100));
    body["manufacturer"] = json!("M".repeat(200));
    assert_eq!(post(&shop, "7", &body).await, 204);
    let product = shop.ask("GET /products/7").await.json();
    assert_eq!((&product["sku"], &product["manufacturer"]), (&body["sku"], &body["manufacturer"]));
    let found = shop.ask(&format!("GET /api/v1/products?brand={}", "m".repeat(200))).await.json();
    assert_eq!(found["items"][0]["id"], "7");
    assert_eq!(shop.ask(&format!("GET /api/v1/products?brand={}", "m".repeat(199))).await.json()["items"], json!([]));
    for (field, bytes) in [("sku", 101), ("manufacturer", 201)] {
        let mut longer = body.clone();
        longer[field] = json!("X".repeat(bytes));
        assert_eq!(post(&shop, "8", &longer).await, 400, "{field}");
    }
}

#[tokio::test]
async fn what_is_no_product_is_refused_in_the_contracts_words() {
    let shop = Shop::open().await;
    let mut wrong = Vec::new();
    for (field, value) in [
        ("category_id", json!(0)),
        ("weight", json!(-1)),
        ("some_other_id", json!("9")),
        ("sku", json!("")),
        ("product_id", json!(8)),
        ("weight", json!(2_147_483_648_i64)),
    ] {
        let mut body = details("A-1");
        body[field] = value;
        wrong.push(("7", body));
    }
    wrong.extend([("0", details("A-1")), ("x", details("A-1")), ("7", json!({}))]);
    for (id, body) in wrong {
        let seen = shop.ask(&format!("POST /products/{id}/details\n\n{body}")).await;
        assert_eq!((seen.status.as_u16(), &seen.json()["error"]), (400, &json!("INVALID_INPUT")), "{id} {body}");
        assert!(seen.json()["message"].is_string() && seen.json()["details"].is_string());
    }
    assert_eq!(shop.ask("GET /products/7").await.status, 404);
    let seen = shop.ask_as_anybody("POST /products/7/details\n\n{}").await;
    assert_eq!((seen.status.as_u16(), &seen.json()["error"]), (401, &json!("UNAUTHORIZED")));
    let other = shop.ask("POST /api/v1/products\n\n{\"id\": \"lamp\", \"sku\": \"A-1\", \"title\": \"Lamp\"}").await;
    assert_eq!(other.status, 201);
    assert_eq!(post(&shop, "7", &details("A-1")).await, 400, "the SKU is taken");
}
