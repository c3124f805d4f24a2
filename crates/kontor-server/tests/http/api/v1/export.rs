use serde_json::{Value, json};

use crate::check::Shop;

#[tokio::test]
async fn everything_is_exported_and_what_was_exported_changes_nothing_when_it_is_put_back() {
    let shop = Shop::stocked().await;
    for request in [
        "POST /api/v1/products\n\n{\"id\": \"lamps\", \"title\": \"Lamp\", \"status\": \"draft\", \"brand\": \"Kontor\", \"description\": \"Two\\nlines\", \"categories\": [\"Light\"], \"options\": [\"Color\"], \"attributes\": {\"watts\": 4.50, \"led\": true, \"rooms\": [\"hall\"], \"arms\": 2, \"exact\": 3.0}, \"media\": [{\"url\": \"https://example.com/lamp.jpg\"}], \"translations\": {\"de\": {\"title\": \"Lampe\"}}, \"variants\": [{\"sku\": \"LAMP\", \"gtin\": \"4006381333931\", \"options\": {\"Color\": \"Red\"}, \"policy\": \"track_only\", \"backorder_limit\": 3, \"prices\": [{\"currency\": \"EUR\", \"amount\": \"9.5\", \"valid_until\": \"2027-01-01T00:00:00Z\"}]}]}",
        "PATCH /api/v1/products/DESK/markets/gb\nIf-Match: *\n\n{\"title\": \"Writing desk\"}",
    ] {
        let seen = shop.ask(request).await;
        assert!(seen.status.is_success(), "{seen:?}");
    }
    insta::assert_json_snapshot!(
        shop.story(&[
            "GET /api/v1/export/products",
            "GET /api/v1/export/products?after=DESK",
            "GET /api/v1/export/stock"
        ])
        .await
    );
    let mut body = String::from("POST /api/v1/products/bulk\nContent-Type: application/x-ndjson\n\n");
    for mut product in shop.ask("GET /api/v1/export/products").await.lines() {
        let listings = product["markets"].as_array_mut().map(std::mem::take);
        let listings = listings.map(|mut listings| {
            listings.iter_mut().for_each(drop_what_the_site_sets);
            Value::Array(listings)
        });
        drop_what_the_site_sets(&mut product);
        product["markets"] = listings.unwrap_or_else(|| json!([]));
        body += &format!("{product}\n");
    }
    let outcomes: Vec<Value> = shop.ask(&body).await.lines().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("unchanged"), json!("unchanged")]);
}

fn drop_what_the_site_sets(of: &mut Value) {
    for field in ["sku", "revision", "created_at", "updated_at"] {
        of.as_object_mut().unwrap().remove(field);
    }
}

#[tokio::test]
async fn a_long_export_is_whole() {
    let shop = Shop::open().await;
    let mut body = String::from("POST /api/v1/products/bulk\nContent-Type: application/x-ndjson\n\n");
    for number in 1..=333 {
        body += &format!("{{\"title\": \"Nr {number}\", \"variants\": [{{\"sku\": \"P{number:03}\"}}]}}\n");
    }
    assert_eq!(shop.ask(&body).await.lines().len(), 333);
    let lines = shop.ask("GET /api/v1/export/products").await.lines();
    let skus: Vec<&str> = lines.iter().map(|line| line["sku"].as_str().unwrap()).collect();
    assert_eq!(skus, (1..=333).map(|number| format!("P{number:03}")).collect::<Vec<_>>());
    assert_eq!(shop.ask_as_anybody("GET /api/v1/export/products").await.code(), "unauthenticated");
}
