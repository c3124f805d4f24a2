use crate::check::Shop;

#[tokio::test]
async fn the_ledger_is_read_newest_first_page_by_page() {
    let shop = Shop::stocked().await;
    for number in 1..=4 {
        let body = format!(
            "{{\"sku\": \"DESK\", \"location\": \"berlin\", \"counted\": {number}, \"reference\": \"count {number}\"}}"
        );
        shop.ask(&format!(
            "POST /api/v1/stock/count\nIdempotency-Key: {number}\nX-Request-Id: till {number}\n\n{body}"
        ))
        .await;
    }
    let (mut lines, mut token) = (Vec::new(), String::new());
    loop {
        let page = shop.ask(&format!("GET /api/v1/movements?sku=DESK&page_size=2{token}")).await.json();
        lines.extend(page["items"].as_array().unwrap().clone());
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    let told: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {} {} {}", line["kind"], line["quantity"], line["on_hand_after"], line["reference"]))
        .collect();
    assert_eq!(
        told,
        [
            "\"count\" 1 4 \"count 4\"",
            "\"count\" 1 3 \"count 3\"",
            "\"count\" 1 2 \"count 2\"",
            "\"count\" -9 1 \"count 1\"",
            "\"receive\" 10 10 null",
        ]
    );
    assert_eq!(lines[0]["request_id"], "till 4");
    assert!(lines[0]["actor"].as_str().unwrap().starts_with("key:"));
    assert_eq!(shop.ask("GET /api/v1/movements?sku=DESK&location=depot").await.json()["items"], serde_json::json!([]));
    assert_eq!(shop.ask("GET /api/v1/movements?sku=CHAIR").await.code(), "unknown_sku");
    assert_eq!(shop.ask("GET /api/v1/movements").await.code(), "invalid_request");
}
