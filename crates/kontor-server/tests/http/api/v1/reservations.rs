use crate::check::Shop;

const ID: &str = "res_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";

#[tokio::test]
async fn a_reservation_is_made_extended_committed_and_shipped() {
    let shop = Shop::stocked().await;
    let make = format!(
        "POST /api/v1/reservations\nIdempotency-Key: 1\n\n{{\"id\": \"{ID}\", \"owner\": \"cart-7\", \"ttl_s\": 60, \"lines\": [{{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 2}}, {{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}}]}}"
    );
    let post = |what: &str, key: u8, body: &str| {
        format!("POST /api/v1/reservations/{ID}/{what}\nIdempotency-Key: {key}\n\n{body}")
    };
    let ship = |key: u8, body: &str| {
        format!("POST /api/v1/stock/ship\nIdempotency-Key: {key}\n\n{{\"reservation\": \"{ID}\"{body}}}")
    };
    let requests = [
        make.clone(),
        make.replace("Key: 1", "Key: 2"),
        "GET /api/v1/reservations".to_owned(),
        post("extend", 3, "{\"ttl_s\": 120}"),
        post("extend", 4, "{\"ttl_s\": 0}"),
        ship(5, ""),
        post("commit", 6, ""),
        post("commit", 7, "{}"),
        ship(8, ", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 2}]"),
        ship(9, ", \"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 2}]"),
        ship(10, ""),
        format!("GET /api/v1/reservations/{ID}"),
        "GET /api/v1/reservations/res_00000000000000000000000000000000".to_owned(),
        "GET /api/v1/reservations/what".to_owned(),
        "GET /api/v1/reservations".to_owned(),
    ];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    insta::assert_json_snapshot!(shop.story(&requests).await);
}

#[tokio::test]
async fn the_last_unit_is_reserved_once_and_free_again_when_released() {
    let shop = Shop::stocked().await;
    let reserve = |key: &str, quantity: u8| {
        format!(
            "POST /api/v1/reservations\nIdempotency-Key: {key}\n\n{{\"lines\": [{{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": {quantity}}}]}}"
        )
    };
    let first = shop.ask(&reserve("a", 10)).await;
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let refused = shop.ask(&reserve("b", 1)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "insufficient_stock"));
    let facts = refused.json();
    assert_eq!((&facts["wanted"], &facts["available"], &facts["retryable"]), (&1.into(), &0.into(), &false.into()));
    let released = shop.ask(&format!("POST /api/v1/reservations/{id}/release\nIdempotency-Key: c")).await;
    assert_eq!((released.status.as_u16(), released.json()["status"].as_str()), (200, Some("released")));
    assert_eq!(released.json()["lines"], first.json()["lines"]);
    // Refusals are not kept: the same request may succeed later.
    assert_eq!(shop.ask(&reserve("b", 1)).await.status, 201);
    // What was done is, even though the reservation has ended since.
    let replayed = shop.ask(&reserve("a", 10)).await;
    assert_eq!((replayed.status.as_u16(), replayed.body), (201, first.body));
}

#[tokio::test]
async fn live_reservations_are_listed_by_deadline_page_by_page() {
    let shop = Shop::stocked().await;
    for ttl in [300, 100, 200] {
        shop.ask(&format!("POST /api/v1/reservations\nIdempotency-Key: {ttl}\n\n{{\"ttl_s\": {ttl}, \"owner\": \"cart-{ttl}\", \"lines\": [{{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}}]}}")).await;
    }
    let (mut owners, mut token) = (Vec::new(), String::new());
    loop {
        let page = shop.ask(&format!("GET /api/v1/reservations?page_size=1{token}")).await.json();
        owners.extend(page["items"].as_array().unwrap().iter().map(|item| item["owner"].as_str().unwrap().to_owned()));
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(owners, ["cart-100", "cart-200", "cart-300"]);
}
