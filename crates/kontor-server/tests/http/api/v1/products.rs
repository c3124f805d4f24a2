use crate::check::Shop;

#[tokio::test]
async fn a_product_is_made_read_changed_and_archived() {
    let shop = Shop::open().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "POST /api/v1/products\n\n{\"sku\": \"DESK\", \"title\": \"Walnut desk\"}",
            "POST /api/v1/products\n\n{\"sku\": \"DESK\", \"title\": \"Another\"}",
            "POST /api/v1/products\n\n{\"id\": \"lamps\", \"sku\": \"LAMP\", \"title\": \"Lamp\", \"policy\": \"track_only\", \"backorder_limit\": 3}",
            "GET /api/v1/products/lamps",
            "GET /api/v1/products/chair",
            "POST /api/v1/products/lamps/variants\n\n{\"sku\": \"LAMP-RED\", \"title\": \"Red\"}",
            "PATCH /api/v1/products/lamps/variants/LAMP-RED\nIf-Match: \"2\"\n\n{\"backorder_limit\": 7}",
            "PATCH /api/v1/products/lamps/variants/LAMP-BLUE\nIf-Match: \"3\"\n\n{\"backorder_limit\": 7}",
            "PATCH /api/v1/products/lamps\n\n{\"title\": \"Lamps\"}",
            "PATCH /api/v1/products/lamps\nIf-Match: \"1\"\n\n{\"title\": \"Lamps\"}",
            "PATCH /api/v1/products/lamps\nIf-Match: W/\"3\"\n\n{\"title\": \"Lamps\"}",
            "PATCH /api/v1/products/lamps\nIf-Match: \"3\"\n\n{\"title\": \"Lamps\"}",
            "PATCH /api/v1/products/lamps\nIf-Match: \"4\"\n\n{}",
            "PATCH /api/v1/products/lamps\nIf-Match: \"4\"\n\n{\"title\": null}",
            "POST /api/v1/products/lamps/archive\nIf-Match: *",
            "POST /api/v1/products/lamps/activate\nIf-Match: \"5\"\n\n{}",
            "GET /api/v1/products/lamps",
        ])
        .await
    );
}

#[tokio::test]
async fn products_are_listed_page_by_page_and_a_token_opens_its_own_list_only() {
    let shop = Shop::open().await;
    for number in 1..=5 {
        shop.ask(&format!("POST /api/v1/products\n\n{{\"sku\": \"P{number}\", \"title\": \"Nr {number}\"}}")).await;
    }
    let mut found = Vec::new();
    let mut path = "/api/v1/products?page_size=2".to_owned();
    loop {
        let page = shop.ask(&format!("GET {path}")).await;
        let ids =
            page.json()["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()).collect::<Vec<_>>();
        found.push(ids.join(" "));
        let Some(token) = page.json()["next_page_token"].as_str().map(ToOwned::to_owned) else { break };
        assert_eq!(page.headers["link"], format!("</api/v1/products?page_size=2&page_token={token}>; rel=\"next\""));
        for elsewhere in ["/api/v1/stock?", "/api/v1/products?sku=P1&"] {
            let refused = shop.ask(&format!("GET {elsewhere}page_token={token}")).await;
            assert_eq!(refused.code(), "invalid_page_token");
        }
        path = format!("/api/v1/products?page_size=2&page_token={token}");
    }
    assert_eq!(found, [r#""P1" "P2""#, r#""P3" "P4""#, r#""P5""#]);

    let one = shop.ask("GET /api/v1/products?sku=P4").await.json();
    assert_eq!((one["items"][0]["id"].as_str(), one["items"].as_array().unwrap().len()), (Some("P4"), 1));
}

#[tokio::test]
async fn a_reader_that_has_the_newest_gets_no_body() {
    let shop = Shop::stocked().await;
    for path in ["/api/v1/products/DESK", "/api/v1/stock/DESK", "/api/v1/locations/berlin"] {
        let first = shop.ask(&format!("GET {path}")).await;
        let etag = first.headers["etag"].to_str().unwrap();
        for tag in [etag.to_owned(), format!("\"0\", W/{etag}"), "*".to_owned()] {
            let again = shop.ask(&format!("GET {path}\nIf-None-Match: {tag}")).await;
            assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""), "{path} {tag}");
            assert_eq!(again.headers["etag"], etag);
        }
        let other = shop.ask(&format!("GET {path}\nIf-None-Match: \"0\"")).await;
        assert_eq!((other.status.as_u16(), other.body), (200, first.body.clone()));
        let head = shop.ask(&format!("HEAD {path}")).await;
        assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
        assert_eq!(head.headers["etag"], etag);
    }
}

#[tokio::test]
async fn a_kept_answer_is_never_stale() {
    let shop = Shop::stocked().await;
    for revision in 1..20 {
        shop.ask(&format!(
            "PATCH /api/v1/products/DESK\nIf-Match: \"{revision}\"\n\n{{\"title\": \"Desk {revision}\"}}"
        ))
        .await;
        for path in ["/api/v1/products/DESK", "/api/v1/stock/DESK"] {
            assert_eq!(shop.ask(&format!("GET {path}")).await.json()["title"], format!("Desk {revision}"));
        }
    }
}

#[tokio::test]
async fn a_product_is_described_in_full() {
    let shop = Shop::open().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "POST /api/v1/products\n\n{\"id\": \"lamps\", \"title\": \"Lamp\", \"status\": \"draft\", \"brand\": \"Kontor\", \"description\": \"Two\\nlines\", \"categories\": [\"Light\", \"Gifts\"], \"options\": [\"Color\"], \"attributes\": {\"watts\": 4.50, \"led\": true, \"rooms\": [\"hall\"], \"arms\": 2}, \"media\": [{\"url\": \"https://example.com/lamp.jpg\", \"alt\": \"A lamp\"}], \"translations\": {\"DE\": {\"title\": \"Lampe\"}}, \"merge\": \"authority:main\", \"variants\": [{\"sku\": \"RED\", \"gtin\": \"4006381333931\", \"options\": {\"Color\": \"Red\"}, \"prices\": [{\"currency\": \"EUR\", \"amount\": \"9.5\"}, {\"currency\": \"JPY\", \"amount\": \"1500\"}]}, {\"sku\": \"BLUE\", \"options\": {\"Color\": \"Blue\"}}]}",
            "PATCH /api/v1/products/lamps\nIf-Match: \"1\"\nContent-Type: application/merge-patch+json\n\n{\"brand\": null, \"status\": \"active\", \"merge\": null, \"attributes\": {\"led\": null, \"arms\": 3}, \"translations\": {\"fr\": {\"title\": \"Lampe\"}}}",
            "PATCH /api/v1/products/lamps\nIf-Match: \"2\"\n\n{\"status\": \"active\"}",
            "PATCH /api/v1/products/lamps/variants/BLUE\nIf-Match: \"2\"\n\n{\"gtin\": \"4006381333931\"}",
            "PATCH /api/v1/products/lamps/variants/BLUE\nIf-Match: \"2\"\n\n{\"gtin\": \"4006381333932\"}",
            "PATCH /api/v1/products/lamps/variants/BLUE\nIf-Match: \"2\"\n\n{\"options\": {\"Size\": \"L\"}}",
            "PATCH /api/v1/products/lamps/variants/RED\nIf-Match: \"2\"\n\n{\"prices\": [{\"currency\": \"EUR\", \"amount\": null}, {\"currency\": \"EUR\", \"amount\": \"8\", \"valid_from\": \"2026-11-27T00:00:00Z\"}]}",
            "PATCH /api/v1/products/lamps/variants/RED\nIf-Match: \"3\"\n\n{\"prices\": [{\"currency\": \"EUR\"}]}",
            "PATCH /api/v1/products/lamps\nIf-Match: \"3\"\n\n{\"media\": [{\"url\": \"javascript:alert(1)\"}]}",
            "DELETE /api/v1/products/lamps/variants/BLUE\nIf-Match: \"3\"",
            "DELETE /api/v1/products/lamps/variants/RED\nIf-Match: \"4\"",
            "GET /api/v1/products/lamps",
        ])
        .await
    );
}

#[tokio::test]
async fn a_product_is_deleted_once_nothing_of_it_is_there() {
    let shop = Shop::stocked().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "DELETE /api/v1/products/DESK\nIf-Match: \"1\"",
            "POST /api/v1/stock/issue\nIdempotency-Key: 1\n\n{\"reference\": \"i 1\", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 10}]}",
            "DELETE /api/v1/products/DESK",
            "DELETE /api/v1/products/DESK\nIf-Match: \"2\"",
            "DELETE /api/v1/products/DESK\nIf-Match: \"1\"",
            "GET /api/v1/products/DESK",
            "DELETE /api/v1/products/DESK\nIf-Match: *",
        ])
        .await
    );
}

#[tokio::test]
async fn everybody_sees_what_is_for_sale_and_not_how_it_is_kept() {
    let shop = Shop::open().await;
    for (id, status) in [("DRAFT", "draft"), ("OLD", "archived"), ("NEW", "active")] {
        let made = format!(
            "POST /api/v1/products\n\n{{\"sku\": \"{id}\", \"title\": \"x\", \"status\": \"{status}\", \"merge\": \"authority:main\"}}"
        );
        assert_eq!(shop.ask(&made).await.status, 201);
        for query in ["", "?market=gb"] {
            let read = format!("GET /api/v1/products/{id}{query}");
            // The order must not matter: what one has read is kept for the other.
            let keyed = shop.ask(&read).await;
            assert_eq!((keyed.status.as_u16(), &keyed.json()["merge"]), (200, &"authority:main".into()));
            let seen = shop.ask_as_anybody(&read).await;
            match status {
                "active" => assert_eq!((seen.status.as_u16(), seen.json().get("merge")), (200, None)),
                _ => assert_eq!(seen.code(), "unknown_product"),
            }
        }
        for _ in 0..2 {
            let stock = shop.ask_as_anybody(&format!("GET /api/v1/stock/{id}")).await;
            assert_eq!(stock.status.is_success(), status != "draft");
            assert_eq!(shop.ask(&format!("GET /api/v1/stock/{id}")).await.status, 200);
        }
        let markets = shop.ask_as_anybody(&format!("GET /api/v1/products/{id}/markets")).await;
        assert_eq!(markets.status.is_success(), status == "active");
    }
    let list = shop.ask_as_anybody("GET /api/v1/products").await.json();
    let ids: Vec<&str> = list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["NEW"]);
    let batch =
        shop.ask_as_anybody("POST /api/v1/products/batch-get\n\n{\"ids\": [\"OLD\", \"NEW\", \"DRAFT\"]}").await;
    assert_eq!(batch.json()["missing"], serde_json::json!(["OLD", "DRAFT"]));
    let stock = shop.ask_as_anybody("GET /api/v1/stock").await;
    assert!(!stock.body.contains("DRAFT") && stock.body.contains("OLD"), "{stock:?}");
    let feed = shop.ask_as_anybody("GET /api/v1/changes").await;
    assert!(!feed.body.contains("DRAFT") && feed.body.contains("NEW"), "{feed:?}");
}

#[tokio::test]
async fn a_batch_names_ids_or_skus_and_not_too_many() {
    let shop = Shop::stocked().await;
    let many = serde_json::json!({"ids": vec!["DESK"; 201]}).to_string();
    for bad in ["{}", "{\"ids\": []}", "{\"ids\": [\"DESK\"], \"skus\": [\"DESK\"]}", &many, "{\"ids\": [\" \"]}"] {
        let refused = shop.ask(&format!("POST /api/v1/products/batch-get\n\n{bad}")).await;
        assert_eq!(refused.code(), "invalid_request", "{bad}");
    }
}
