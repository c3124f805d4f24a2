//! The shop's search: over all products, bounded, and no more than was promised.

use serde_json::{Value, json};

use crate::check::Shop;

async fn ids(shop: &Shop, q: &str) -> Vec<Value> {
    let seen = shop.ask_as_anybody(&format!("GET /products/search?q={q}")).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    seen.json()["products"].as_array().unwrap().iter().map(|product| product["id"].clone()).collect()
}

#[tokio::test]
async fn a_product_is_found_by_its_words_or_by_its_category() {
    let shop = Shop::open().await;
    for body in [
        json!({"id": "7", "sku": "D-1", "title": "Walnut desk", "brand": "Acme", "categories": ["Furniture"]}),
        json!({"id": "lamp", "sku": "L-1", "title": "Desk lamp", "categories": ["Home Lighting"]}),
        json!({"id": "home", "sku": "H-1", "title": "Home lighting", "categories": ["Home Lighting"]}),
        json!({"id": "draft", "sku": "X-1", "title": "Desk of tomorrow", "status": "draft"}),
    ] {
        assert_eq!(shop.ask(&format!("POST /api/v1/products\n\n{body}")).await.status, 201);
    }
    let mut desks = ids(&shop, "DESK").await;
    desks.sort_by_key(Value::to_string);
    assert_eq!(desks, [json!("lamp"), json!(7)], "numbers are numbers, and drafts are not for sale");
    assert_eq!(ids(&shop, "acme+wal").await, [json!(7)]);
    assert_eq!(ids(&shop, "furniture").await, [json!(7)]);
    // Found by its words and by its category, it is there once.
    assert_eq!(ids(&shop, "home%20lighting").await, [json!("home"), json!("lamp")]);
    assert_eq!(ids(&shop, "alnut").await, [Value::Null; 0]);
    assert_eq!(ids(&shop, "%25").await, [Value::Null; 0], "no word finds nothing");
    let seen = shop.ask("GET /products/search?q=walnut").await.json();
    for (field, value) in [("total_found", json!(1)), ("has_more", json!(false))] {
        assert_eq!(seen[field], value, "{field}");
    }
    let time = seen["search_time"].as_str().unwrap();
    assert!(time.strip_suffix('s').is_some_and(|time| time.parse::<f64>().is_ok() && time.len() == 5), "{time}");
    assert!(seen["checked_count"].as_u64().unwrap() >= 1);
    assert_eq!(seen["products"][0]["brand"], "Acme");
}

#[tokio::test]
async fn a_search_is_bounded_and_says_so() {
    let shop = Shop::open().await;
    for part in 0..3 {
        let products: Vec<_> =
            (0..100).map(|n| json!({"productId": format!("P {}", part * 100 + n), "name": "Mug"})).collect();
        shop.ask(&format!("POST /v1/admin/products/create\n\n{}", json!({"products": products}))).await;
    }
    let seen = shop.ask("GET /products/search?q=mug").await.json();
    assert_eq!(
        (seen["products"].as_array().unwrap().len(), &seen["total_found"], &seen["has_more"]),
        (20, &json!(200), &json!(true))
    );
    for (path, error) in [
        ("/products/search", "Query parameter 'q' is required"),
        ("/products/search?q=", "Query parameter 'q' is required"),
        ("/products/search?p=a", "Query parameter 'q' is required"),
    ] {
        let seen = shop.ask(&format!("GET {path}")).await;
        assert_eq!((seen.status.as_u16(), &seen.json()["error"]), (400, &json!(error)), "{path}");
    }
    assert_eq!(shop.ask(&format!("GET /products/search?q={}", "a".repeat(501))).await.status, 400);
    let seen = shop.ask("DELETE /products/search").await;
    assert_eq!(seen.status, 405);
    assert!(seen.json()["error"].is_string(), "{seen:?}");
}
