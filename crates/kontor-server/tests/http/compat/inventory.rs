//! The central API of the distributed inventory, as its stores and administrators use it.

use kontor_server::{Access, Limits, Rate};
use serde_json::{Value, json};

use crate::api::v1::shares::reads;
use crate::check::{Seen, Shop};

const STORE_KEY: &str = "central-api-key-of-stores";
const ADMIN_KEY: &str = "admin-central-key-of-people";

/// With SKU-001, 10 available at version 1, and SKU-002, nothing available.
async fn central() -> Shop {
    let shop = Shop::open().await;
    let seen = create(&shop, json!([product("SKU-001", 10), product("SKU-002", 0)])).await;
    assert_eq!(seen.json()["summary"], json!({"totalRequests": 2, "successfulCreations": 2, "failedCreations": 0}));
    shop
}

fn product(id: &str, available: u64) -> Value {
    json!({"productId": id, "name": format!("Name of {id}"), "available": available, "price": 899.99})
}

async fn create(shop: &Shop, products: Value) -> Seen {
    ask(shop, "POST /v1/admin/products/create", json!({"products": products})).await
}

async fn ask(shop: &Shop, line: &str, body: Value) -> Seen {
    shop.ask(&format!("{line}\n\n{body}")).await
}

async fn update(shop: &Shop, body: Value) -> Seen {
    ask(shop, "POST /v1/inventory/updates", body).await
}

fn sale(product: &str, delta: i64, version: i64, key: &str) -> Value {
    json!({"storeId": "store-1", "productId": product, "delta": delta, "version": version, "idempotencyKey": key})
}

/// Quantity and version of a product.
async fn stands(shop: &Shop, product: &str) -> (i64, u64) {
    let seen = shop.ask(&format!("GET /v1/inventory/{product}")).await.json();
    (seen["available"].as_i64().unwrap(), seen["version"].as_u64().unwrap())
}

#[tokio::test]
async fn a_product_is_made_read_set_and_deleted() {
    let shop = central().await;
    let seen = shop.ask("GET /v1/inventory/SKU-001").await;
    let body = seen.json();
    assert_eq!((&body["productId"], &body["name"]), (&json!("SKU-001"), &json!("Name of SKU-001")));
    assert_eq!((&body["available"], &body["version"]), (&json!(10), &json!(1)));
    assert!(body["lastUpdated"].as_str().unwrap().ends_with('Z'), "{body}");
    assert_eq!(stands(&shop, "SKU-002").await, (0, 1));

    let seen = create(&shop, json!([product("SKU-001", 5), product("SKU-003", 5)])).await;
    assert_eq!(seen.status, 200);
    let body = seen.json();
    assert_eq!(body["summary"], json!({"totalRequests": 2, "successfulCreations": 1, "failedCreations": 1}));
    assert_eq!(body["results"][0]["errorType"], "validation_error");
    assert_eq!(body["results"][0]["errorMessage"], "Product already exists");
    assert_eq!((&body["results"][0]["success"], &body["results"][1]["newVersion"]), (&json!(false), &json!(1)));
    assert_eq!(stands(&shop, "SKU-001").await, (10, 1), "nothing of a refused item is done");

    let set = json!({"products": [
        {"productId": "SKU-001", "available": 7}, {"productId": "SKU-002", "name": "Other"}, {"productId": "SKU-9", "available": 1},
    ]});
    let body = ask(&shop, "PUT /v1/admin/products/set", set).await.json();
    assert_eq!(body["summary"], json!({"totalRequests": 3, "successfulUpdates": 2, "failedUpdates": 1}));
    assert_eq!(
        (&body["results"][2]["errorType"], &body["results"][2]["errorMessage"]),
        (&json!("not_found"), &json!("Product not found"))
    );
    assert_eq!(stands(&shop, "SKU-001").await, (7, 2));
    assert_eq!(shop.ask("GET /v1/inventory/SKU-002").await.json()["name"], "Other");

    let body = ask(&shop, "DELETE /v1/admin/products/delete", json!({"productIds": ["SKU-001", "SKU-9"]})).await.json();
    assert_eq!(body["summary"], json!({"totalRequests": 2, "successfulDeletions": 1, "failedDeletions": 1}));
    let seen = shop.ask("GET /v1/inventory/SKU-001").await;
    assert_eq!(
        (seen.status.as_u16(), seen.json()),
        (404, json!({"code": "not_found", "message": "Product not found: SKU-001"}))
    );
    let body = ask(&shop, "DELETE /v1/admin/products/delete", json!({"productIds": ["SKU-001"]})).await.json();
    assert_eq!(body["results"][0]["errorType"], "not_found");
    // What is made anew goes on where it ended.
    create(&shop, json!([product("SKU-001", 3)])).await;
    assert_eq!(stands(&shop, "SKU-001").await, (3, 3));
}

#[tokio::test]
async fn what_is_no_list_of_products_is_refused_whole_with_its_places() {
    let shop = central().await;
    let create = "POST /v1/admin/products/create";
    for (line, body, code, message) in [
        (create, "{\"products\": [", "invalid_request", "Invalid JSON in request body"),
        (create, "{}", "invalid_request", "No products specified"),
        (create, "{\"products\": []}", "invalid_request", "No products specified"),
        ("PUT /v1/admin/products/set", "{\"products\": []}", "invalid_request", "No products specified"),
        ("DELETE /v1/admin/products/delete", "{}", "invalid_request", "No products specified"),
        ("DELETE /v1/admin/products/delete", "{\"productIds\": [\" \"]}", "validation_error", "Validation failed"),
        (
            "PUT /v1/admin/products/set",
            "{\"products\": [{\"productId\": \"SKU-001\"}]}",
            "validation_error",
            "Validation failed",
        ),
        (
            create,
            "{\"products\": [{\"productId\": \"N\", \"name\": \"n\", \"available\": -1}]}",
            "validation_error",
            "Validation failed",
        ),
    ] {
        let seen = shop.ask(&format!("{line}\n\n{body}")).await;
        assert_eq!(seen.status, 400, "{line} {body}");
        assert_eq!((&seen.json()["code"], &seen.json()["message"]), (&json!(code), &json!(message)), "{line} {body}");
    }
    let products = json!([product("NEW", 1), {"productId": "", "price": -1}]);
    let body = ask(&shop, create, json!({"products": products})).await.json();
    let fields: Vec<_> = body["details"].as_array().unwrap().iter().map(|detail| detail["field"].clone()).collect();
    assert_eq!(fields, ["products[1].productId", "products[1].name", "products[1].price"]);
    assert_eq!(shop.ask("GET /v1/inventory/NEW").await.status, 404);
}

#[tokio::test]
async fn a_sale_needs_the_newest_version_and_enough_units() {
    let shop = central().await;
    let seen = update(&shop, sale("SKU-001", -4, 1, "a")).await;
    assert_eq!(seen.status, 200);
    let body = seen.json();
    assert_eq!(
        (&body["productId"], &body["newQuantity"], &body["newVersion"], &body["applied"]),
        (&json!("SKU-001"), &json!(6), &json!(2), &json!(true))
    );
    assert!(body["lastUpdated"].is_string() && body.get("errorType").is_none(), "{body}");

    for (body, status, error, message, stands_at) in [
        (sale("SKU-001", -1, 1, "b"), 409, "version_conflict", "version conflict: expected 2, got 1", Some((6, 2))),
        (sale("SKU-001", -1, 9, "b"), 409, "version_conflict", "version conflict: expected 2, got 9", Some((6, 2))),
        (sale("SKU-001", 0, 1, "b"), 409, "version_conflict", "version conflict: expected 2, got 1", Some((6, 2))),
        (
            sale("SKU-001", -7, 2, "b"),
            409,
            "insufficient_inventory",
            "insufficient inventory: current 6, delta -7",
            Some((6, 2)),
        ),
        (
            sale("SKU-002", -1, 1, "b"),
            409,
            "insufficient_inventory",
            "insufficient inventory: current 0, delta -1",
            Some((0, 1)),
        ),
        (
            sale("SKU-001", 1, 2, "b"),
            400,
            "invalid_delta",
            "invalid delta: 1 - only negative quantities are allowed",
            None,
        ),
        (sale("SKU-001", -1, -1, "b"), 400, "invalid_request", "version must not be negative", None),
        (sale("", -1, 2, "b"), 400, "missing_product_id", "Missing product ID", None),
        (sale("SKU-001", -1, 2, ""), 400, "invalid_idempotency_key", "Missing idempotency key", None),
        (sale("SKU-9", -1, 0, "b"), 404, "product_not_found", "product not found: SKU-9", None),
    ] {
        let seen = update(&shop, body.clone()).await;
        let told = seen.json();
        assert_eq!(seen.status, status, "{body}: {told}");
        assert_eq!((&told["errorType"], &told["errorMessage"]), (&json!(error), &json!(message)), "{body}");
        assert_eq!(told["applied"], json!(false), "{body}");
        let found = told["newQuantity"].as_i64().zip(told["newVersion"].as_u64());
        assert_eq!(found, stands_at, "{body}");
    }
    let seen = shop.ask("POST /v1/inventory/updates\n\n{\"productId\": 7").await;
    assert_eq!((seen.status.as_u16(), seen.json()), (400, json!({"code": "bad_request", "message": "Invalid JSON"})));

    // The last unit leaves nothing, and says so; selling nothing changes nothing.
    let body = update(&shop, sale("SKU-001", -6, 2, "c")).await.json();
    assert_eq!((&body["newQuantity"], &body["newVersion"]), (&json!(0), &json!(3)));
    let body = update(&shop, sale("SKU-001", 0, 3, "d")).await.json();
    assert_eq!((&body["applied"], &body["newVersion"]), (&json!(true), &json!(3)));
    let movements = shop.ask("GET /api/v1/movements?sku=SKU-001").await.json();
    assert_eq!(
        (&movements["items"][0]["kind"], &movements["items"][0]["reason"]),
        (&json!("issue"), &json!("store store-1"))
    );
}

#[tokio::test]
async fn a_sale_is_done_once_whatever_its_caller_has_learnt_meanwhile() {
    let shop = central().await;
    // A refusal is not kept: the same key sells once the version is right.
    assert_eq!(update(&shop, sale("SKU-001", -1, 5, "a")).await.status, 409);
    let first = update(&shop, sale("SKU-001", -1, 1, "a")).await;
    assert_eq!((first.status.as_u16(), first.headers.get("idempotency-replayed")), (200, None));

    // The answer was lost; the caller repeats, or reads the new version first.
    for version in [1, 2] {
        let seen = update(&shop, sale("SKU-001", -1, version, "a")).await;
        assert_eq!(seen.json()["applied"], json!(true));
        assert_eq!((&seen.json()["newQuantity"], &seen.json()["newVersion"]), (&json!(9), &json!(2)));
        assert_eq!(seen.headers["idempotency-replayed"], "true");
    }
    // A repeat after another sale does not take a copy back in time.
    update(&shop, sale("SKU-001", -2, 2, "b")).await;
    let seen = update(&shop, sale("SKU-001", -1, 1, "a")).await.json();
    assert_eq!((&seen["newQuantity"], &seen["newVersion"]), (&json!(7), &json!(3)));

    // The key names this sale only, and for its store only.
    let seen = update(&shop, sale("SKU-001", -3, 3, "a")).await;
    assert_eq!((seen.status.as_u16(), &seen.json()["errorType"]), (409, &json!("invalid_idempotency_key")));
    let mut other = sale("SKU-001", -1, 3, "a");
    other["storeId"] = json!("store-2");
    assert_eq!(update(&shop, other).await.json()["newQuantity"], json!(6));
    assert_eq!(stands(&shop, "SKU-001").await, (6, 4));
}

#[tokio::test]
async fn of_many_sales_of_one_version_exactly_one_is_done() {
    let shop = central().await;
    let keys: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    let mut statuses = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    let shop = std::sync::Arc::new(shop);
    for key in keys {
        let shop = shop.clone();
        tasks.spawn(async move { update(&shop, sale("SKU-001", -1, 1, &key)).await.status.as_u16() });
    }
    while let Some(status) = tasks.join_next().await {
        statuses.push(status.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(stands(&shop, "SKU-001").await, (9, 2));
}

#[tokio::test]
async fn what_administrators_set_is_what_is_available_beside_what_is_promised() {
    let shop = central().await;
    let hold = "POST /api/v1/reservations\nIdempotency-Key: h\n\n{\"lines\": [{\"sku\": \"SKU-001\", \"location\": \"central\", \"quantity\": 4}]}";
    assert_eq!(shop.ask(hold).await.status, 201);
    assert_eq!(stands(&shop, "SKU-001").await, (6, 2));
    let set = |version: u64| json!({"products": [{"productId": "SKU-001", "available": 20, "version": version}]});
    let body = ask(&shop, "PUT /v1/admin/products/set", set(1)).await.json();
    assert_eq!(body["results"][0]["errorMessage"], "version conflict: expected 2, got 1");
    let body = ask(&shop, "PUT /v1/admin/products/set", set(2)).await.json();
    assert_eq!(body["results"][0]["success"], json!(true), "{body}");
    assert_eq!(stands(&shop, "SKU-001").await, (20, 3));
    let stock = shop.ask("GET /api/v1/stock/SKU-001").await.json();
    assert_eq!((&stock["levels"][0]["on_hand"], &stock["levels"][0]["reserved"]), (&json!(24), &json!(4)));
}

#[tokio::test]
async fn an_administrators_request_is_repeated_under_a_key_without_doing_it_again() {
    let shop = central().await;
    let create =
        format!("POST /v1/admin/products/create\nIdempotency-Key: k\n\n{}", json!({"products": [product("NEW", 5)]}));
    let first = shop.ask(&create).await.json();
    update(&shop, sale("NEW", -2, 1, "a")).await;
    let again = shop.ask(&create).await.json();
    assert_eq!((&first["results"][0]["success"], &again["results"][0]["success"]), (&json!(true), &json!(true)));
    assert_eq!(stands(&shop, "NEW").await, (3, 2), "what was sold meanwhile is still sold");
}

#[tokio::test]
async fn a_batch_is_done_item_by_item() {
    let shop = central().await;
    let item = |product: &str, delta: i64, version: i64, key: &str| json!({"productId": product, "delta": delta, "version": version, "idempotencyKey": key});
    let updates = json!([
        item("SKU-001", -1, 1, "a"),
        item("SKU-001", -1, 1, "b"),
        item("SKU-001", -1, 2, "c"),
        item("SKU-9", -1, 1, "d")
    ]);
    let seen = update(&shop, json!({"storeId": "store-1", "updates": updates})).await;
    let body = seen.json();
    assert_eq!((seen.status.as_u16(), &body["summary"]), (200, &json!({"total": 4, "succeeded": 2, "failed": 2})));
    let told: Vec<_> = body["results"].as_array().unwrap().iter().map(|result| result["errorType"].clone()).collect();
    assert_eq!(told, [Value::Null, json!("version_conflict"), Value::Null, json!("product_not_found")]);
    assert_eq!(stands(&shop, "SKU-001").await, (8, 3));
    // Nobody makes the site work for minutes with one request.
    let many: Vec<_> = (0..1_001).map(|number| item("SKU-001", 0, 1, &number.to_string())).collect();
    assert_eq!(update(&shop, json!({"updates": many})).await.status, 400);
}

#[tokio::test]
async fn the_list_is_cut_by_numbers() {
    let shop = Shop::open().await;
    for part in 0..3 {
        let products: Vec<_> = (0..150).map(|number| product(&format!("P{:04}", part * 150 + number), 1)).collect();
        create(&shop, json!(products)).await;
    }
    ask(&shop, "DELETE /v1/admin/products/delete", json!({"productIds": ["P0003", "P0207"]})).await;
    let ids = |seen: &Seen| -> Vec<String> {
        let body = seen.json();
        body["products"].as_array().unwrap().iter().map(|row| row["productId"].as_str().unwrap().to_owned()).collect()
    };
    let seen = shop.ask("GET /v1/inventory").await;
    assert_eq!(seen.json()["pagination"], json!({"offset": 0, "limit": 50, "total_count": 448, "has_more": true}));
    assert_eq!(ids(&seen)[2..4], ["P0002", "P0004"]);
    // Whatever the size of a page, all pages together are the catalogue, each product once.
    for limit in [7, 64, 200] {
        let mut all = Vec::new();
        loop {
            let seen = shop.ask(&format!("GET /v1/inventory?offset={}&limit={limit}", all.len())).await;
            all.extend(ids(&seen));
            if seen.json()["pagination"]["has_more"] == json!(false) {
                break;
            }
        }
        assert_eq!(all.len(), 448);
        assert!(all.is_sorted_by(|a, b| a < b));
    }
    // Numbers that are none are not looked at.
    let seen = shop.ask("GET /v1/inventory?offset=-1&limit=x").await.json();
    assert_eq!((&seen["pagination"]["offset"], &seen["pagination"]["limit"]), (&json!(0), &json!(50)));
    let seen = shop.ask("GET /v1/inventory?offset=448&limit=9999").await.json();
    assert_eq!((&seen["products"], &seen["pagination"]["has_more"]), (&json!([]), &json!(false)));
    assert_eq!(seen["pagination"]["limit"], json!(200));
}

#[tokio::test]
async fn events_are_numbered_without_gaps_and_end_where_the_site_is() {
    let shop = central().await;
    update(&shop, sale("SKU-001", -4, 1, "a")).await;
    update(&shop, sale("SKU-001", -9, 2, "b")).await;
    update(&shop, sale("SKU-002", 0, 1, "c")).await;
    ask(&shop, "DELETE /v1/admin/products/delete", json!({"productIds": ["SKU-002"]})).await;
    let seen = shop.ask("GET /v1/inventory/events?offset=0").await.json();
    let told: Vec<_> = seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["offset"].as_u64().unwrap(), e["eventType"].as_str().unwrap(), e["productId"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            (0, "product_created", "SKU-001"),
            (1, "product_deleted", "SKU-002"),
            (2, "product_updated", "SKU-001"),
            (3, "product_deleted", "SKU-002"),
        ],
        "what was refused or changed nothing is no event"
    );
    assert_eq!((&seen["nextOffset"], &seen["hasMore"], &seen["count"]), (&json!(4), &json!(false), &json!(4)));
    let last = &seen["events"][2];
    assert_eq!(
        (&last["version"], &last["data"]["available"], &last["data"]["version"]),
        (&json!(2), &json!(6), &json!(2))
    );

    // Page by page, exactly to the end.
    for (offset, limit, count, next, more) in
        [(0, 2, 2, 2, true), (2, 2, 2, 4, false), (4, 2, 0, 4, false), (1, 1, 1, 2, true)]
    {
        let seen = shop.ask(&format!("GET /v1/inventory/events?offset={offset}&limit={limit}")).await.json();
        assert_eq!(
            (&seen["count"], &seen["nextOffset"], &seen["hasMore"]),
            (&json!(count), &json!(next), &json!(more)),
            "{offset} {limit}"
        );
        assert!(seen["events"].is_array());
    }
    // A reader of another journal sees it by the lower number.
    let seen = shop.ask("GET /v1/inventory/events?offset=99&wait=30").await.json();
    assert_eq!((&seen["count"], &seen["nextOffset"]), (&json!(0), &json!(4)));
    for (query, message) in [
        ("", "offset parameter is required"),
        ("?offset=x", "invalid offset parameter"),
        ("?offset=-1", "invalid offset parameter"),
    ] {
        let seen = shop.ask(&format!("GET /v1/inventory/events{query}")).await;
        assert_eq!((seen.status.as_u16(), seen.json()), (400, json!({"code": "EVENTS_ERROR", "message": message})));
    }
}

#[tokio::test]
async fn numbers_of_events_stay_the_same_over_a_long_journal() {
    let shop = central().await;
    for part in 0..8 {
        let products: Vec<_> = (0..150).map(|number| product(&format!("P{}", part * 150 + number), 1)).collect();
        create(&shop, json!(products)).await;
        // Asked in between, so that it is counted in pieces.
        shop.ask("GET /v1/inventory/events?offset=0&limit=1").await;
    }
    let all = shop.ask("GET /v1/inventory/events?offset=0&limit=1000").await.json();
    let rest = shop.ask("GET /v1/inventory/events?offset=1000&limit=1000").await.json();
    assert_eq!(
        (&all["nextOffset"], &all["hasMore"], &rest["nextOffset"], &rest["hasMore"]),
        (&json!(1000), &json!(true), &json!(1202), &json!(false))
    );
    for offset in [0, 511, 512, 513, 777, 999] {
        let one = shop.ask(&format!("GET /v1/inventory/events?offset={offset}&limit=1")).await.json();
        assert_eq!(one["events"][0], all["events"][offset], "{offset}");
    }
}

#[tokio::test]
async fn whoever_waits_is_told_when_something_happens() {
    let shop = std::sync::Arc::new(central().await);
    let waiting = tokio::spawn({
        let shop = shop.clone();
        async move { shop.ask("GET /v1/inventory/events?offset=2&wait=60").await.json() }
    });
    // Of other places nothing is told.
    shop.ask("POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Shop\"}").await;
    assert_eq!(update(&shop, sale("SKU-001", -1, 1, "a")).await.status, 200);
    let seen = waiting.await.unwrap();
    assert_eq!((&seen["count"], &seen["events"][0]["offset"], &seen["nextOffset"]), (&json!(1), &json!(2), &json!(3)));
    assert_eq!(seen["events"][0]["data"]["available"], json!(9));
}

#[tokio::test]
async fn keys_open_what_they_are_for() {
    let given = |access: Access| access.with_inventory_keys(&[STORE_KEY.to_owned()], &[ADMIN_KEY.to_owned()]).unwrap();
    let shop = Shop::with(Limits::default(), given).await;
    let (list, create) = ("GET /v1/inventory", "POST /v1/admin/products/create");
    for (line, key, status, code, message) in [
        (list, None, 401, "unauthorized", "API key required"),
        (list, Some("demo"), 401, "unauthorized", "Invalid API key"),
        (create, None, 401, "unauthorized", "Admin API key required"),
        (create, Some("demo"), 401, "unauthorized", "Admin API key required"),
        (create, Some(STORE_KEY), 403, "forbidden", "Admin access required"),
        ("PATCH /v1/inventory", Some(STORE_KEY), 405, "method_not_allowed", "Method not allowed"),
    ] {
        let header = key.map_or(String::new(), |key| format!("\nX-API-Key: {key}"));
        let seen = shop.ask_as_anybody(&format!("{line}{header}\n\n{{}}")).await;
        assert_eq!(
            (seen.status.as_u16(), seen.json()),
            (status, json!({"code": code, "message": message})),
            "{line} {key:?}"
        );
        assert_eq!(seen.headers["content-type"], "application/json");
    }
    for (line, key, status) in [
        (list, STORE_KEY, 200),
        (list, ADMIN_KEY, 200),
        (create, ADMIN_KEY, 400),
        // They are keys of that service alone.
        ("GET /api/v1/reservations", STORE_KEY, 401),
        ("GET /api/v1/reservations", ADMIN_KEY, 401),
    ] {
        let seen = shop.ask_as_anybody(&format!("{line}\nX-API-Key: {key}\n\n{{}}")).await;
        assert_eq!(seen.status, status, "{line} {key}");
    }
    let site = &shop.site;
    assert!(
        Access::new(site, None).unwrap().with_inventory_keys(&["demo".to_owned()], &[]).is_err(),
        "a key that is guessed"
    );
}

#[tokio::test]
async fn an_open_site_asks_callers_of_this_machine_for_no_key() {
    let shop = Shop::with(Limits::default(), Access::open_compat).await;
    for request in [
        "GET /v1/inventory",
        "GET /v1/inventory\nX-API-Key: demo",
        "GET /v1/inventory\nHost: localhost:8081\nOrigin: http://localhost:3010",
    ] {
        assert_eq!(shop.ask_as_anybody(request).await.status, 200, "{request}");
    }
    for request in [
        "GET /v1/inventory\nHost: localhost\nOrigin: https://shop.example",
        "GET /v1/inventory\nHost: shop.example",
        "GET /api/v1/reservations",
    ] {
        assert_eq!(shop.ask_as_anybody(request).await.status, 401, "{request}");
    }
}

#[tokio::test]
async fn rates_are_told_as_the_service_tells_them() {
    let limits = Limits { key_rate: Rate::new(3, 3_600), public_rate: None, ..Limits::default() };
    let shop = Shop::with_limits(limits).await;
    let seen = shop.ask("GET /v1/admin/rate-limit/status").await;
    assert_eq!((&seen.json()["enabled"], &seen.json()["window_minutes"]), (&json!(true), &json!(60.0)));
    assert_eq!(
        (&seen.headers["x-ratelimit-limit"], &seen.headers["x-ratelimit-remaining"]),
        (&"3".parse().unwrap(), &"2".parse().unwrap())
    );
    shop.ask("GET /v1/inventory").await;
    shop.ask("GET /v1/inventory").await;
    let seen = shop.ask("GET /v1/inventory").await;
    assert_eq!((seen.status.as_u16(), &seen.json()["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(seen.json()["message"], "Rate limit exceeded. Please try again later.");
    assert_eq!(seen.json()["details"][1]["field"], "retry_after");
    assert!(seen.headers.contains_key("retry-after") && seen.headers.contains_key("x-ratelimit-reset"));

    let shop = Shop::with_limits(Limits { key_rate: Rate::new(3, 3_600), ..Limits::default() }).await;
    shop.ask("GET /v1/inventory").await;
    assert_eq!(shop.ask("POST /v1/admin/rate-limit/reset").await.status, 200);
    assert_eq!(shop.ask("GET /v1/inventory").await.headers["x-ratelimit-remaining"], "2");
    let shop = Shop::with_limits(Limits { key_rate: None, public_rate: None, ..Limits::default() }).await;
    let seen = shop.ask("GET /v1/admin/rate-limit/status").await;
    assert_eq!((seen.status.as_u16(), &seen.json()["code"]), (503, &json!("rate_limiter_unavailable")));
}

/// Sells at the newest version, which moves when the site asks for a share.
async fn sell_seven(shop: &Shop) -> Seen {
    for _ in 0..1_000 {
        let version = i64::try_from(stands(shop, "SKU-001").await.1).unwrap();
        let seen = update(shop, sale("SKU-001", -7, version, "sale-1")).await;
        if seen.json()["errorType"] != "version_conflict" {
            return seen;
        }
    }
    panic!("the version never rests");
}

#[tokio::test]
async fn another_site_sells_what_the_pool_gives_it_in_time_and_once() {
    let main = central().await;
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    reads(&west.site, &main.site).await;

    let selling = sell_seven(&west);
    let reading = async {
        loop {
            reads(&main.site, &west.site).await;
            reads(&west.site, &main.site).await;
        }
    };
    let sold = tokio::select! {
        sold = selling => sold,
        () = reading => unreachable!("it reads on"),
    };
    assert_eq!((sold.status.as_u16(), &sold.json()["applied"]), (200, &json!(true)), "{}", sold.json());
    reads(&main.site, &west.site).await;
    assert_eq!(stands(&main, "SKU-001").await.0, 3, "sold once, whatever was tried in between");
}

#[tokio::test]
async fn a_pool_that_gives_nothing_in_time_is_a_refusal_and_nothing_is_sold() {
    let main = central().await;
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    reads(&west.site, &main.site).await;

    let refused = sell_seven(&west).await;
    let body = refused.json();
    assert_eq!((refused.status.as_u16(), &body["errorType"]), (409, &json!("insufficient_inventory")), "{body}");
    for _ in 0..3 {
        reads(&main.site, &west.site).await;
        reads(&west.site, &main.site).await;
    }
    assert_eq!(stands(&main, "SKU-001").await.0, 10, "what comes too late is not sold");
}
