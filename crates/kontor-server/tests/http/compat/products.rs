//! The product API: what its documents leave open, and what it did wrong.

use serde_json::json;

use crate::check::Shop;

#[tokio::test]
async fn a_product_without_stock_is_not_counted_until_some_is_received() {
    let shop = Shop::open().await;
    let made = shop.ask("POST /products\n\n{\"productId\": \"1\", \"name\": \"MacBook\", \"price\": 1999}").await;
    assert_eq!(
        (made.status.as_u16(), made.body.as_str()),
        (201, "{\"productId\":\"1\",\"name\":\"MacBook\",\"price\":1999}")
    );
    let policy = async || shop.ask("GET /api/v1/stock/1").await.json()["policy"].clone();
    assert_eq!(policy().await, "none_until_received");
    let set = "PUT /v1/admin/products/set\n\n{\"products\": [{\"productId\": \"1\", \"available\": 4}]}";
    assert_eq!(shop.ask(set).await.json()["results"][0]["success"], json!(true));
    assert_eq!(policy().await, "reserve_on_order");
    // The same product for the clients of every service.
    let product = shop.ask("GET /products/1").await.json();
    for (field, value) in [
        ("productId", json!("1")),
        ("product_id", json!(1)),
        ("id", json!(1)),
        ("sku", json!("1")),
        ("name", json!("MacBook")),
        ("title", json!("MacBook")),
        ("price", json!(1999)),
    ] {
        assert_eq!(product[field], value, "{field}");
    }
    assert!(product.get("brand").is_none() && product.get("weight").is_none(), "what is not set is not there");
    assert_eq!(shop.ask("GET /v1/inventory/1").await.json()["price"], json!(1999));
}

/// Whoever books the first units, on whatever path.
#[tokio::test]
async fn every_first_receipt_makes_stock_counted() {
    let row = "{\"line\": 1, \"stock\": {\"sku\": \"1\", \"location\": \"berlin\", \"quantity\": 3}}";
    for (first, policy) in [
        (
            "POST /api/v1/stock/receive\nIdempotency-Key: r\n\n\
             {\"sku\": \"1\", \"location\": \"berlin\", \"quantity\": 3}"
                .to_owned(),
            "reserve_on_order",
        ),
        (
            "POST /api/v1/stock/count\nIdempotency-Key: c\n\n{\"sku\": \"1\", \"location\": \"berlin\", \"counted\": 3}"
                .to_owned(),
            "reserve_on_order",
        ),
        (format!("import_stock\n{row}"), "reserve_on_order"),
        (format!("import_counts\n{row}"), "reserve_on_order"),
        (
            "POST /inventory\n\n\
             {\"product_id\": \"1\", \"warehouse_id\": \"berlin\", \"region_code\": \"main\", \"inc\": 3}"
                .to_owned(),
            "reserve_on_order",
        ),
        (
            "POST /api/v1/stock/return\nIdempotency-Key: b\n\n{\"reference\": \"b\", \"lines\": \
             [{\"sku\": \"1\", \"location\": \"berlin\", \"quantity\": 3}]}"
                .to_owned(),
            "none_until_received",
        ),
    ] {
        let shop = Shop::open().await;
        shop.ask("POST /products\n\n{\"productId\": \"1\", \"name\": \"MacBook\", \"price\": 1999}").await;
        shop.ask("POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Shop\"}").await;
        let request = match first.split_once('\n') {
            Some((kind, row)) if kind.starts_with("import_") => {
                let (id, digest) = (format!("job_{}", "a".repeat(32)), "b".repeat(64));
                let start = json!({"id": id, "kind": kind, "source": "x.csv", "digest": digest});
                assert_eq!(shop.ask(&format!("POST /api/v1/jobs\n\n{start}")).await.status, 201);
                format!("POST /api/v1/jobs/{id}/rows\nContent-Type: application/x-ndjson\n\n{row}\n")
            }
            _ => first.clone(),
        };
        let seen = shop.ask(&request).await;
        assert!(seen.status.is_success(), "{seen:?}");
        let stock = shop.ask("GET /api/v1/stock/1").await.json();
        assert_eq!((&stock["policy"], &stock["totals"]["on_hand"]), (&json!(policy), &json!(3)), "{first}");
    }
}

/// Whoever says that stock is not counted is not overruled by a receipt.
#[tokio::test]
async fn what_is_never_counted_stays_so() {
    let shop = Shop::open().await;
    shop.ask("POST /api/v1/products\n\n{\"sku\": \"card\", \"title\": \"Gift card\", \"policy\": \"none\"}").await;
    shop.ask("PUT /v1/admin/products/set\n\n{\"products\": [{\"productId\": \"card\", \"available\": 4}]}").await;
    assert_eq!(shop.ask("GET /api/v1/stock/card").await.json()["policy"], "none");
}

#[tokio::test]
async fn a_product_is_found_by_its_id_and_then_by_a_sku() {
    let shop = Shop::open().await;
    for body in [
        "{\"id\": \"desk\", \"sku\": \"D-1\", \"title\": \"Desk\"}",
        "{\"id\": \"D-1x\", \"sku\": \"desk2\", \"title\": \"Other\"}",
    ] {
        assert_eq!(shop.ask(&format!("POST /api/v1/products\n\n{body}")).await.status, 201);
    }
    assert_eq!(shop.ask("GET /products/D-1").await.json()["productId"], "desk");
    assert_eq!(shop.ask("GET /products/desk").await.json()["sku"], "D-1");
    assert_eq!(shop.ask_as_anybody("GET /products/desk").await.status, 200, "shops show it");
    assert_eq!(shop.ask("POST /api/v1/products/desk/archive\nIf-Match: *").await.status, 200);
    assert_eq!(shop.ask("GET /products/D-1").await.status, 404);
}

#[tokio::test]
async fn a_list_stops_and_says_where_it_goes_on() {
    let shop = Shop::open().await;
    for part in 0..7 {
        let products: Vec<_> =
            (0..150).map(|n| json!({"productId": format!("P {:04}", part * 150 + n), "name": "Mug"})).collect();
        shop.ask(&format!("POST /v1/admin/products/create\n\n{}", json!({"products": products}))).await;
    }
    let first = shop.ask("GET /products").await;
    assert_eq!(first.json().as_array().unwrap().len(), 1_000);
    let link = first.headers["link"].to_str().unwrap();
    let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
    let rest = shop.ask(&format!("GET {next}")).await;
    let ids: Vec<_> = rest.json().as_array().unwrap().iter().map(|product| product["productId"].clone()).collect();
    assert_eq!((ids.len(), &ids[0], rest.headers.get("link")), (50, &json!("P 1000"), None));
}

#[tokio::test]
async fn errors_are_a_line_of_text() {
    let shop = Shop::open().await;
    for (body, text) in [
        ("{\"productId\": \"1\"", "Invalid JSON"),
        ("{\"productId\": 1, \"name\": \"x\", \"price\": 1}", "Missing or invalid fields"),
        ("{\"productId\": \"1\", \"name\": \"x\", \"price\": 0}", "Missing or invalid fields"),
        ("{\"productId\": \"1\", \"name\": \"x\", \"price\": -1}", "Missing or invalid fields"),
        (
            "{\"productId\": \"1\", \"name\": \"x\", \"price\": 1.999}",
            "Missing or invalid fields: USD has 2 decimals, 3 were given",
        ),
    ] {
        let seen = shop.ask(&format!("POST /products\n\n{body}")).await;
        assert_eq!((seen.status.as_u16(), seen.body.trim_end()), (400, text), "{body}");
        assert_eq!(seen.headers["content-type"], "text/plain; charset=utf-8");
    }
    let seen = shop.ask_as_anybody("POST /products\n\n{}").await;
    assert_eq!(seen.status, 401);
    assert!(!seen.body.starts_with('{'), "{seen:?}");
    let key = "POST /products\nIdempotency-Key: k\n\n{\"productId\": \"1\", \"name\": \"x\", \"price\": 1}";
    for _ in 0..2 {
        assert_eq!(shop.ask(key).await.status, 201, "a repeat is no second product");
    }
}
