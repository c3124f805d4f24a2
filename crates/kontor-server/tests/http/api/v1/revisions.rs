use crate::check::Shop;

#[tokio::test]
async fn a_revision_says_who_changed_what_from_what_to_what() {
    let shop = Shop::open().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "POST /api/v1/products\n\n{\"sku\": \"DESK\", \"title\": \"Desk\"}",
            "PATCH /api/v1/products/DESK\nIf-Match: \"1\"\n\n{\"brand\": \"Kontor\", \"attributes\": {\"seats\": 1}}",
            "PATCH /api/v1/products/DESK/variants/DESK\nIf-Match: \"2\"\n\n{\"prices\": [{\"currency\": \"EUR\", \"amount\": \"9.5\", \"valid_from\": \"2026-11-27T00:00:00Z\"}]}",
            "PATCH /api/v1/products/DESK/markets/gb\nIf-Match: *\n\n{\"title\": \"Writing desk\"}",
            "GET /api/v1/products/DESK/revisions",
            "GET /api/v1/products/DESK/conflicts",
            "GET /api/v1/products/LAMP/revisions",
            "GET /api/v1/products/LAMP/conflicts",
        ])
        .await
    );
    let mut found = Vec::new();
    let mut path = "/api/v1/products/DESK/revisions?page_size=1".to_owned();
    loop {
        let page = shop.ask(&format!("GET {path}")).await.json();
        found.push(page["items"][0]["revision"].as_u64().unwrap());
        let Some(token) = page["next_page_token"].as_str() else { break };
        path = format!("/api/v1/products/DESK/revisions?page_size=1&page_token={token}");
    }
    assert_eq!(found, [1, 3, 2, 1]);
    for path in ["revisions", "conflicts"] {
        let refused = shop.ask_as_anybody(&format!("GET /api/v1/products/DESK/{path}")).await;
        assert_eq!(refused.code(), "unauthenticated");
    }
}

#[tokio::test]
async fn revisions_outlive_their_product() {
    let shop = Shop::open().await;
    for request in [
        "POST /api/v1/products\n\n{\"sku\": \"DESK\", \"title\": \"Desk\"}",
        "DELETE /api/v1/products/DESK\nIf-Match: \"1\"",
    ] {
        assert!(shop.ask(request).await.status.is_success());
    }
    let page = shop.ask("GET /api/v1/products/DESK/revisions").await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
}
