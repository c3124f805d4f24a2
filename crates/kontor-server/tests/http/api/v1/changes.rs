use crate::check::Shop;

#[tokio::test]
async fn everything_is_in_the_feed_once_and_the_cursor_goes_on() {
    let shop = Shop::stocked().await;
    let all = shop.ask("GET /api/v1/changes").await.json();
    let (mut one_by_one, mut after) = (Vec::new(), "0-0-0".to_owned());
    loop {
        let page = shop.ask(&format!("GET /api/v1/changes?after={after}&limit=1")).await.json();
        let items = page["items"].as_array().unwrap().clone();
        if items.is_empty() {
            break;
        }
        one_by_one.extend(items);
        after = page["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(all["items"].as_array().unwrap(), &one_by_one);
    assert_eq!(one_by_one.last().unwrap()["events"][0]["type"], "stock_moved");
}

#[tokio::test]
async fn without_a_key_nobody_learns_who_and_for_whom() {
    let shop = Shop::stocked().await;
    shop.ask("POST /api/v1/reservations\nIdempotency-Key: 1\n\n{\"owner\": \"cart-7\", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}]}").await;
    shop.ask("POST /api/v1/stock/issue\nIdempotency-Key: 2\n\n{\"reference\": \"I4711\", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}]}").await;
    let whole = shop.ask("GET /api/v1/changes").await.body;
    let reduced = shop.ask_as_anybody("GET /api/v1/changes").await.body;
    for private in ["key:", "request_id", "\"res_", "cart-7", "I4711", "key_created"] {
        assert!(whole.contains(private), "{private} is in {whole}");
        assert!(!reduced.contains(private), "{private} is in {reduced}");
    }
    for ledger in
        ["quantity", "_after", "\"kind\"", "stock_moved", "reservation_", "expires_at", "occurred_at", "units"]
    {
        assert!(!reduced.contains(ledger), "{ledger} is in {reduced}");
    }
    assert!(reduced.contains("\"title\":\"Walnut desk\"") && reduced.contains("location_opened"), "{reduced}");
}

#[tokio::test]
async fn without_a_key_everything_that_happens_to_stock_looks_the_same() {
    let shop = Shop::stocked().await;
    let line = "{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}";
    for (number, request) in [
        format!("stock/issue {{\"reference\": \"I1\", \"lines\": [{line}]}}"),
        format!("reservations {{\"id\": \"res_0123456789abcdef0123456789abcdef\", \"lines\": [{line}]}}"),
        "reservations/res_0123456789abcdef0123456789abcdef/extend {\"ttl_s\": 60}".to_owned(),
        "reservations/res_0123456789abcdef0123456789abcdef/commit {}".to_owned(),
        "stock/ship {\"reservation\": \"res_0123456789abcdef0123456789abcdef\"}".to_owned(),
        "stock/adjust {\"sku\": \"DESK\", \"location\": \"berlin\", \"safety_stock\": 2}".to_owned(),
        "stock/count {\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": 3}".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let (path, body) = request.split_once(' ').unwrap();
        let end = shop.ask("GET /api/v1/changes?after=end").await.json();
        let seen = shop.ask(&format!("POST /api/v1/{path}\nIdempotency-Key: {number}\n\n{body}")).await;
        assert!(seen.status.is_success(), "{request}: {seen:?}");
        let after = end["next"].as_str().unwrap();
        let told = shop.ask_as_anybody(&format!("GET /api/v1/changes?after={after}")).await.json();
        if path.ends_with("/extend") {
            assert_eq!(told["items"], serde_json::json!([]), "a deadline changes no level");
            continue;
        }
        let changed = serde_json::json!([{"type": "stock_changed", "lines": [{"sku": "DESK", "location": "berlin"}]}]);
        assert_eq!(told["items"][0]["events"], changed, "{request}");
    }
}

#[tokio::test]
async fn a_long_poll_wakes_when_something_happens() {
    let shop = Shop::stocked().await;
    let end = shop.ask("GET /api/v1/changes?after=end").await.json();
    assert_eq!(end["items"], serde_json::json!([]));
    let poll = format!("GET /api/v1/changes?wait_s=30&after={}", end["next"].as_str().unwrap());
    let count =
        "POST /api/v1/stock/count\nIdempotency-Key: 1\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": 3}";
    let (woken, counted) = tokio::join!(shop.ask_as_anybody(&poll), shop.ask(count));
    assert_eq!(counted.status, 201);
    assert_eq!(woken.json()["items"][0]["events"][0]["type"], "stock_changed");
}

#[tokio::test]
async fn bad_cursors_are_said() {
    let shop = Shop::stocked().await;
    for (request, code) in [
        ("GET /api/v1/changes?after=1-2", "invalid_request"),
        ("GET /api/v1/changes?after=-1-0-0", "invalid_request"),
        ("GET /api/v1/changes?after=1-99999-0", "invalid_request"),
        ("GET /api/v1/changes?after=99999999999999999999-1-0", "invalid_request"),
        ("GET /api/v1/changes?wait_s=31", "invalid_request"),
        ("GET /api/v1/changes?limit=0", "invalid_request"),
        ("GET /api/v1/changes\nLast-Event-ID: junk\nAccept: text/event-stream", "invalid_request"),
        ("GET /api/v1/changes\nAccept: text/html", "not_acceptable"),
    ] {
        assert_eq!(shop.ask(request).await.code(), code, "{request}");
    }
}

#[tokio::test]
async fn nobody_without_a_key_learns_of_drafts() {
    let shop = Shop::open().await;
    for request in [
        "POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Berlin\"}",
        "POST /api/v1/products\n\n{\"id\": \"secret\", \"sku\": \"SECRET\", \"title\": \"Launch\", \"status\": \"draft\"}",
        "PATCH /api/v1/products/secret\nIf-Match: *\n\n{\"title\": \"Great launch\"}",
        "PATCH /api/v1/products/secret/markets/gb\nIf-Match: *\n\n{\"title\": \"Launch there\"}",
        "POST /api/v1/stock/receive\nIdempotency-Key: 1\n\n{\"sku\": \"SECRET\", \"location\": \"berlin\", \"quantity\": 2}",
        "POST /api/v1/stock/adjust\nIdempotency-Key: 2\n\n{\"sku\": \"SECRET\", \"location\": \"berlin\", \"safety_stock\": 1}",
    ] {
        let seen = shop.ask(request).await;
        assert!(seen.status.is_success(), "{request}: {}", seen.body);
    }
    let told = shop.ask_as_anybody("GET /api/v1/changes").await.body;
    assert!(!told.to_lowercase().contains("secret") && !told.contains("aunch"), "{told}");

    // On sale, it is told; taken back, that it went is told and nothing else.
    let put_on_sale = "PATCH /api/v1/products/secret\nIf-Match: *\n\n{\"status\": \"active\"}";
    assert!(shop.ask(put_on_sale).await.status.is_success());
    assert!(shop.ask_as_anybody("GET /api/v1/changes").await.body.contains("SECRET"));
    let take_back = "PATCH /api/v1/products/secret\nIf-Match: *\n\n{\"status\": \"draft\"}";
    assert!(shop.ask(take_back).await.status.is_success());
    let told = shop.ask_as_anybody("GET /api/v1/changes").await.json();
    let events: Vec<_> =
        told["items"].as_array().unwrap().iter().flat_map(|item| item["events"].as_array().unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["location_opened", "product_changed"], "{told}");
    assert_eq!(events[1]["id"], "secret");
}
