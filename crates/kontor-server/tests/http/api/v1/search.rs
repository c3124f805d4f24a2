use serde_json::json;

use crate::check::Shop;

/// Desks and lamps, some of them with prices, stock and other texts in Britain.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    let products = [
        json!({"id": "desk", "title": "Walnut desk", "brand": "Kontor", "categories": ["Desks"], "attributes": {"seats": 1},
            "variants": [{"sku": "DESK-160", "gtin": "4006381333931", "prices": [{"currency": "EUR", "amount": "400"}]},
                {"sku": "DESK-200", "attributes": {"wide": true}, "prices": [{"currency": "EUR", "amount": "480"}]}],
            "markets": [{"market": "gb", "title": "Walnut bureau", "prices": [{"sku": "DESK-160", "currency": "GBP", "amount": "350"}]}]}),
        json!({"id": "oak", "title": "Oak desk", "brand": "Älva", "categories": ["Desks", "Oak"],
            "variants": [{"sku": "OAK", "prices": [{"currency": "EUR", "amount": "300.50"}]}]}),
        json!({"id": "lamp", "title": "Desk lamp", "brand": "Kontor", "categories": ["Light"], "variants": [{"sku": "LAMP"}]}),
        json!({"id": "draft", "title": "Desk of next year", "status": "draft", "variants": [{"sku": "DRAFT"}]}),
        json!({"id": "old", "title": "Desk of last year", "status": "archived", "variants": [{"sku": "OLD"}]}),
    ];
    let lines = products.map(|product| product.to_string()).join("\n");
    let request = format!("POST /api/v1/products/bulk\nContent-Type: application/x-ndjson\n\n{lines}");
    assert!(shop.ask(&request).await.lines().iter().all(|line| line["outcome"] == "created"));
    for request in [
        "POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Berlin\"}",
        "POST /api/v1/locations\n\n{\"id\": \"depot\", \"name\": \"Depot\"}",
        "POST /api/v1/stock/receive\nIdempotency-Key: 1\n\n{\"sku\": \"OAK\", \"location\": \"berlin\", \"quantity\": 2}",
    ] {
        assert!(shop.ask(request).await.status.is_success());
    }
    shop
}

#[tokio::test]
async fn products_are_found_by_all_that_is_asked_for() {
    let shop = shop().await;
    let table = [
        ("", "lamp draft oak desk"),
        ("status=all", "lamp old draft oak desk"),
        ("status=archived", "old"),
        ("q=desk&sort=title", "lamp draft oak desk"),
        ("q=des", "lamp draft oak desk"),
        ("q=walnut%20des", "desk"),
        ("q=bureau", ""),
        ("q=bureau&market=gb", "desk"),
        ("q=%20walnut%20", "desk"),
        ("q=%20", "lamp draft oak desk"),
        ("q=desk-200", "desk"),
        ("q=4006381333931", "desk"),
        ("q=alva", "oak"),
        ("q=chair", ""),
        ("q=%21", ""),
        ("category=desks", "oak desk"),
        ("brand=kontor", "lamp desk"),
        ("brand=KONTOR&category=Light", "lamp"),
        ("attribute=seats:1", "desk"),
        ("attribute=seats:1&attribute=wide:true", "desk"),
        ("attribute=seats:1&attribute=wide:false", ""),
        ("currency=EUR", "oak desk"),
        ("currency=EUR&sort=price", "oak desk"),
        ("currency=EUR&min_price=300.51", "desk"),
        ("currency=EUR&max_price=300.5", "oak"),
        ("currency=GBP", ""),
        ("currency=GBP&market=gb", "desk"),
        ("available=true", "oak"),
        ("available=true&location=berlin", "oak"),
        ("available=true&location=depot", ""),
        ("sku=OLD", "old"),
        ("sku=NONE", ""),
    ];
    for (query, expected) in table {
        let seen = shop.ask(&format!("GET /api/v1/products?{query}")).await.json();
        let items = seen["items"].as_array().unwrap_or_else(|| panic!("{query}: {seen}"));
        let ids: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(ids.join(" "), expected, "{query}");
    }
    let shown = shop.ask("GET /api/v1/products?q=walnut&market=gb").await.json();
    assert_eq!((&shown["items"][0]["title"], &shown["items"][0]["market"]), (&json!("Walnut bureau"), &json!("gb")));
}

#[tokio::test]
async fn everybody_finds_what_is_for_sale() {
    let shop = shop().await;
    for (query, expected) in
        [("", 3), ("q=desk", 3), ("status=all", 3), ("status=active", 3), ("sku=DRAFT", 0), ("sku=OAK", 1)]
    {
        let seen = shop.ask_as_anybody(&format!("GET /api/v1/products?{query}")).await.json();
        assert_eq!(seen["items"].as_array().unwrap().len(), expected, "{query}");
    }
    assert_eq!(shop.ask_as_anybody("GET /api/v1/products?status=draft").await.code(), "unauthenticated");
}

#[tokio::test]
async fn what_was_found_is_read_page_by_page() {
    let shop = shop().await;
    for filter in [
        "q=desk",
        "category=desks&sort=title",
        "currency=EUR&sort=price",
        "status=all",
        "brand=kontor&attribute=seats:1",
    ] {
        let whole = shop.ask(&format!("GET /api/v1/products?{filter}")).await.json();
        let (mut items, mut next) = (Vec::new(), format!("/api/v1/products?{filter}&page_size=1"));
        loop {
            let page = shop.ask(&format!("GET {next}")).await;
            items.extend(page.json()["items"].as_array().unwrap().clone());
            let Some(link) = page.headers.get("link") else { break };
            next = link.to_str().unwrap().strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
            let other = next.replace(filter.split('=').next().unwrap(), "market");
            let refused = shop.ask(&format!("GET {other}")).await;
            assert!(refused.status.is_client_error(), "{other}: {refused:?}");
        }
        assert_eq!(whole["items"], json!(items), "{filter}");
    }
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_named() {
    let shop = shop().await;
    let table = [
        ("brnad=x", "query"),
        ("brand=", "brand"),
        ("brand=x&brand=y", "brand"),
        ("status=gone", "status"),
        ("attribute=seats", "attribute"),
        ("attribute=seats:", "attribute"),
        ("min_price=1", "min_price"),
        ("currency=eur", "currency"),
        ("currency=EUR&max_price=1.005", "max_price"),
        ("currency=EUR&max_price=-1", "max_price"),
        ("sort=price", "sort"),
        ("sort=age", "sort"),
        ("available=false", "available"),
        ("location=berlin", "location"),
        ("market=a%20b", "market"),
        ("sku=OAK&q=oak", "sku"),
        ("page_size=0", "page_size"),
        ("page_size=x", "page_size"),
    ];
    for (query, pointer) in table {
        let refused = shop.ask(&format!("GET /api/v1/products?{query}")).await;
        assert_eq!(refused.code(), "invalid_request", "{query}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{query}");
    }
    let refused = shop.ask("GET /api/v1/products?available=true&location=moon").await;
    assert_eq!(refused.code(), "unknown_location");
}

#[tokio::test]
async fn a_search_has_bounds() {
    let shop = shop().await;
    let twenty = ["attribute=seats:1"; 20].join("&");
    assert_eq!(shop.ask_as_anybody(&format!("GET /api/v1/products?{twenty}")).await.status, 200);
    for (too_much, pointer) in
        [(format!("{twenty}&attribute=seats:1"), "attribute"), (format!("q={}", "a".repeat(501)), "q")]
    {
        let seen = shop.ask_as_anybody(&format!("GET /api/v1/products?{too_much}")).await;
        assert_eq!((seen.status.as_u16(), &seen.json()["errors"][0]["pointer"]), (400, &json!(pointer)));
    }
}
