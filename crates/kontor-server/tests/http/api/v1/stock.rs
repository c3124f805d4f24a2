use crate::check::Shop;

#[tokio::test]
async fn units_come_go_and_are_counted() {
    let shop = Shop::stocked().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "POST /api/v1/stock/receive\nIdempotency-Key: 1\n\n{\"sku\": \"DESK\", \"location\": \"depot\", \"quantity\": 5, \"reference\": \"D1\", \"reason\": \"first delivery\", \"occurred_at\": \"2026-11-20T10:00:00+01:00\"}",
            "POST /api/v1/stock/receive\nIdempotency-Key: 2\n\n{\"sku\": \"DESK\", \"location\": \"depot\", \"quantity\": 5, \"reference\": \"D1\"}",
            "POST /api/v1/stock/issue\nIdempotency-Key: 3\n\n{\"reference\": \"I1\", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 2}, {\"sku\": \"DESK\", \"location\": \"depot\", \"quantity\": 1}]}",
            "POST /api/v1/stock/issue\nIdempotency-Key: 4\n\n{\"reference\": \"I2\", \"lines\": [{\"sku\": \"DESK\", \"location\": \"depot\", \"quantity\": 1}, {\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 9}]}",
            "POST /api/v1/stock/return\nIdempotency-Key: 5\n\n{\"reference\": \"C1\", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}], \"reason\": \"too big\"}",
            "POST /api/v1/stock/write-off\nIdempotency-Key: 6\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1, \"reason\": \"water\"}",
            "POST /api/v1/stock/adjust\nIdempotency-Key: 7\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"safety_stock\": 2, \"expected\": {\"safety_stock\": 0}}",
            "POST /api/v1/stock/adjust\nIdempotency-Key: 8\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"safety_stock\": 3, \"expected\": {\"safety_stock\": 0}}",
            "POST /api/v1/stock/adjust\nIdempotency-Key: 9\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"expected\": {\"safety_stock\": 0}}",
            "POST /api/v1/stock/count\nIdempotency-Key: 10\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": 7, \"expected_on_hand\": 9}",
            "POST /api/v1/stock/count\nIdempotency-Key: 11\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": 7, \"expected_on_hand\": 8}",
            "GET /api/v1/stock/DESK",
            "GET /api/v1/stock?location=depot",
            "GET /api/v1/stock?location=moon",
            "GET /api/v1/stock/CHAIR",
        ])
        .await
    );
}

#[tokio::test]
async fn an_explanation_says_why_not() {
    let shop = Shop::stocked().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "POST /api/v1/reservations\nIdempotency-Key: 1\n\n{\"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 8}]}",
            "GET /api/v1/stock/DESK/explain?quantity=2",
            "GET /api/v1/stock/DESK/explain?quantity=3&location=berlin",
            "GET /api/v1/stock/DESK/explain?location=depot",
            "POST /api/v1/stock/count\nIdempotency-Key: 2\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": 5}",
            "GET /api/v1/stock/DESK/explain",
            "POST /api/v1/products/DESK/archive\nIf-Match: *",
            "GET /api/v1/stock/DESK/explain",
            "GET /api/v1/stock/CHAIR/explain",
            "GET /api/v1/stock/DESK/explain?location=moon",
            "GET /api/v1/stock/DESK/explain?quantity=0",
        ])
        .await
    );
}

#[tokio::test]
async fn holds_of_an_explanation_are_paged() {
    let shop = Shop::stocked().await;
    for number in 0..5 {
        let line = "{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}";
        shop.ask(&format!("POST /api/v1/reservations\nIdempotency-Key: h{number}\n\n{{\"lines\": [{line}]}}")).await;
    }
    let (mut holds, mut token) = (Vec::new(), String::new());
    loop {
        let page = shop.ask(&format!("GET /api/v1/stock/DESK/explain?location=berlin&page_size=2{token}")).await.json();
        let of_page = page["locations"][0]["holds"].as_array().unwrap().clone();
        assert!(of_page.len() <= 2);
        holds.extend(of_page.iter().map(|hold| hold["reservation"].to_string()));
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    let distinct: std::collections::BTreeSet<_> = holds.iter().collect();
    assert_eq!((holds.len(), distinct.len()), (5, 5));
}

#[tokio::test]
async fn skus_with_any_name_can_be_reached() {
    let shop = Shop::stocked().await;
    for sku in ["Rio 20/30", "ünïcode ✓", "receive", "100%", "a+b", "..."] {
        let body = serde_json::json!({"sku": sku, "title": "x"});
        assert_eq!(shop.ask(&format!("POST /api/v1/products\n\n{body}")).await.status, 201, "{sku}");
        for template in [kontor_api::path::STOCK_OF_SKU, kontor_api::path::PRODUCT] {
            let path = kontor_api::path::with(template, &[sku]);
            let seen = shop.ask(&format!("GET {path}")).await;
            assert_eq!(seen.json()["sku"], sku, "{path}");
        }
    }
}

#[tokio::test]
async fn a_repeated_request_is_done_once_and_gets_the_same_bytes() {
    let shop = Shop::stocked().await;
    let issue = "POST /api/v1/stock/issue\nIdempotency-Key: till-1\n\n{\"reference\": \"I1\", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}]}";
    let first = shop.ask(issue).await;
    assert_eq!((first.status.as_u16(), first.headers.get("idempotency-replayed")), (201, None));
    shop.ask("POST /api/v1/stock/receive\nIdempotency-Key: other\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 5}").await;
    // White space and the order of fields do not make another request.
    let again = "POST /api/v1/stock/issue\nIdempotency-Key: till-1\n\n{\"lines\":[{\"quantity\":1,\"location\":\"berlin\",\"sku\":\"DESK\"}],   \"reference\":\"I1\"}";
    let second = shop.ask(again).await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(shop.ask("GET /api/v1/stock/DESK").await.json()["totals"]["on_hand"], 14);

    let other = shop.ask(&issue.replace("\"quantity\": 1", "\"quantity\": 2")).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "idempotency_key_reused"));
    let elsewhere = shop.ask("POST /api/v1/stock/count\nIdempotency-Key: till-1\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": 14}").await;
    assert_eq!(elsewhere.status, 201, "the key of one operation is free for another");
}
