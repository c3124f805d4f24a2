//! The global catalogue: what its documents leave open, and what it did wrong.

use serde_json::{Value, json};

use crate::check::Shop;

async fn ask(shop: &Shop, line: &str, body: Value) -> (u16, Value) {
    let seen = shop.ask(&format!("{line}\n\n{body}")).await;
    (seen.status.as_u16(), seen.json())
}

async fn put(shop: &Shop, region: &str, mut rest: Value) -> (u16, Value) {
    rest["product_id"] = json!("P1001");
    rest["region_code"] = json!(region);
    ask(shop, "PUT /products", rest).await
}

async fn add(shop: &Shop, inc: i64, dec: i64) -> (u16, Value) {
    let body = json!({"product_id": "P1001", "warehouse_id": "W1", "region_code": "main", "inc": inc, "dec": dec});
    ask(shop, "POST /inventory", body).await
}

#[tokio::test]
async fn a_put_sets_what_it_names_and_loses_nothing_else() {
    let shop = Shop::open().await;
    let (status, _) =
        put(&shop, "us", json!({"title": "Shoe", "price": 99.5, "attrs": {"size": "42", "sale": true}})).await;
    assert_eq!(status, 200);
    put(&shop, "eu", json!({"title": "Schuh", "currency": "EUR", "price": 89})).await;
    let (_, body) = put(&shop, "us", json!({"price": 79.95})).await;
    let item = &body["item"];
    assert_eq!(
        (&item["title"], &item["price"], &item["attrs"]),
        (&json!("Shoe"), &json!(79.95), &json!({"size": "42", "sale": true}))
    );
    let eu = shop.ask("GET /products/P1001/eu").await.json();
    assert_eq!(
        (&eu["item"]["title"], &eu["item"]["price"], &eu["item"]["currency"]),
        (&json!("Schuh"), &json!(89), &json!("EUR"))
    );
    assert_eq!(shop.ask("GET /products/P1001/jp").await.status, 404);
    // The same product, as everybody else sees it.
    assert_eq!(shop.ask("GET /api/v1/products/P1001").await.json()["title"], "Shoe");
}

#[tokio::test]
async fn what_is_wrong_is_told_all_at_once_and_a_price_is_never_rounded() {
    let shop = Shop::open().await;
    let (status, body) = ask(&shop, "PUT /products", json!({"title": 7, "attrs": {"a": {}}})).await;
    let told: Vec<_> =
        body["detail"].as_array().unwrap().iter().map(|d| (d["loc"].clone(), d["type"].clone())).collect();
    assert_eq!(status, 422);
    assert_eq!(
        told,
        [
            (json!(["body", "product_id"]), json!("missing")),
            (json!(["body", "region_code"]), json!("missing")),
            (json!(["body", "title"]), json!("string_type")),
            (json!(["body", "attrs", "a"]), json!("value_error")),
        ]
    );
    assert_eq!(shop.ask("PUT /products\n\n{").await.status, 422);
    let (status, body) = put(&shop, "us", json!({"price": 1.005})).await;
    assert_eq!((status, &body["detail"][0]["loc"]), (400, &json!(["body", "price"])));
    assert_eq!(put(&shop, "us", json!({"currency": "JPY", "price": 1.5})).await.0, 400);
    assert_eq!(shop.ask("GET /products/P1001/us").await.status, 404, "nothing was made");
}

#[tokio::test]
async fn stock_is_never_taken_that_is_not_there_and_a_repeat_counts_once() {
    let shop = Shop::open().await;
    let (_, body) = add(&shop, 10, 3).await;
    assert_eq!((&body["item"]["inc_main"], &body["item"]["dec_main"]), (&json!(10), &json!(3)));
    assert_eq!(add(&shop, 0, 8).await.0, 409);
    assert_eq!(add(&shop, 5, 13).await.0, 409, "what came in with it is not there either");
    for (inc, dec) in [(-1, 0), (0, -1)] {
        assert_eq!(add(&shop, inc, dec).await.0, 422);
    }
    let repeated = "POST /inventory\nIdempotency-Key: k\n\n{\"product_id\": \"P1001\", \"warehouse_id\": \"W1\", \"region_code\": \"main\", \"inc\": 1}";
    for _ in 0..3 {
        assert_eq!(shop.ask(repeated).await.status, 200);
    }
    // Whatever region is guessed.
    let seen = shop.ask("GET /inventory/P1001/W1?region=nowhere").await.json();
    assert_eq!((&seen["qty"], &seen["region"]), (&json!(8), &json!("nowhere")));
    assert_eq!(shop.ask("GET /inventory/P1001").await.json()["total_qty"], 8);
    assert_eq!(add(&shop, 0, 0).await.1["item"]["inc_main"], json!(11));
}

#[tokio::test]
async fn a_conflict_is_simulated_on_a_copy_and_explained() {
    let shop = Shop::open().await;
    put(&shop, "us", json!({"title": "Shoe", "price": 99.5})).await;
    let before = shop.ask("GET /api/v1/products/P1001").await.body;
    let explained = shop.ask("GET /explain-merge/P1001/us-east-1").await.json();
    assert_eq!((&explained["simulated"], &explained["conflicts"]), (&json!(false), &json!([])));

    for product in ["P1001", "UNKNOWN"] {
        let body = json!({"product_id": product, "title_local": "Here", "price_remote": 5.25});
        let (status, written) = ask(&shop, "POST /simulate-conflict-body", body).await;
        assert_eq!((status, &written["written_remote"]["price"]), (200, &json!(5.25)));
        let explained = shop.ask(&format!("GET /explain-merge/{product}/us-east-1")).await.json();
        assert_eq!((&explained["simulated"], &explained["winner_region"]), (&json!(true), &json!("eu-west-1")));
        assert_eq!(
            (&explained["current"]["title"], &explained["current"]["price"]),
            (&json!("REMOTE_TITLE"), &json!(5.25))
        );
        let fields: Vec<_> = explained["conflicts"].as_array().unwrap().iter().map(|c| c["field"].clone()).collect();
        assert_eq!(fields, ["/title".to_owned(), format!("/variants/{product}/prices/USD")]);
        let candidates = explained["conflicts"][0]["candidates"].as_array().unwrap();
        let told: Vec<_> = candidates.iter().map(|c| (c["value"].clone(), c["wins"].clone())).collect();
        assert_eq!(told, [(json!("REMOTE_TITLE"), json!(true)), (json!("Here"), json!(false))]);
    }
    assert_eq!(shop.ask("GET /api/v1/products/P1001").await.body, before, "the real product never changes");
    assert_eq!(shop.ask("GET /api/v1/products/UNKNOWN").await.status, 404);
    for request in [
        "POST /simulate-conflict-body\n\n{}",
        "GET /explain-merge/P1001/us",
        "PUT /products\n\n{}",
        "POST /inventory\n\n{}",
    ] {
        let seen = shop.ask_as_anybody(request).await;
        assert_eq!(seen.status, 401, "{request}");
        assert!(seen.json()["detail"].is_string(), "{request}");
    }
}

#[tokio::test]
async fn every_answer_says_who_gave_it() {
    let shop = Shop::open().await;
    for request in ["GET /health", "GET /products/X/us", "POST /inventory\n\n{}", "GET /inventory/X"] {
        let headers = shop.ask(request).await.headers;
        assert_eq!(
            (&headers["x-region"], &headers["x-consistency"]),
            (&"main".parse().unwrap(), &"strong-local".parse().unwrap())
        );
        let ms = headers["x-server-processms"].to_str().unwrap();
        assert_eq!(ms.split_once('.').map(|(_, decimals)| decimals.len()), Some(2), "{request} {ms}");
    }
}
