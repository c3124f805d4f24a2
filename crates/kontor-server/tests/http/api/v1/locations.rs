use crate::check::Shop;

#[tokio::test]
async fn a_location_is_opened_read_and_renamed() {
    let shop = Shop::open().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "POST /api/v1/locations\nIdempotency-Key: 1\n\n{\"id\": \"berlin\", \"name\": \"Shop Berlin\"}",
            "POST /api/v1/locations\nIdempotency-Key: 1\n\n{\"id\": \"berlin\", \"name\": \"Shop Berlin\"}",
            "POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Shop Berlin\"}",
            "POST /api/v1/locations\n\n{\"id\": \"ber/lin\", \"name\": \"Shop Berlin\"}",
            "GET /api/v1/locations/berlin",
            "GET /api/v1/locations/hamburg",
            "PATCH /api/v1/locations/berlin\nIf-Match: \"1\"\n\n{\"name\": \"Mitte\"}",
            "PATCH /api/v1/locations/berlin\nIf-Match: \"1\"\n\n{\"name\": \"Mitte\"}",
            "POST /api/v1/locations\n\n{\"id\": \"berlin-2\", \"name\": \"Shop Berlin 2\"}",
            "GET /api/v1/locations?page_size=1",
        ])
        .await
    );
    let first = shop.ask("GET /api/v1/locations?page_size=1").await.json();
    let token = first["next_page_token"].as_str().unwrap();
    let second = shop.ask(&format!("GET /api/v1/locations?page_size=1&page_token={token}")).await.json();
    assert_eq!((second["items"][0]["id"].as_str(), second.get("next_page_token")), (Some("berlin-2"), None));
}
