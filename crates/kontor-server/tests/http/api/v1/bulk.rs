use serde_json::{Value, json};

use crate::check::Shop;

const BULK: &str = "POST /api/v1/products/bulk\nContent-Type: application/x-ndjson\n\n";

#[tokio::test]
async fn each_line_is_done_on_its_own() {
    let shop = Shop::open().await;
    let lines = [
        r#"{"title": "Desk", "variants": [{"sku": "DESK", "prices": [{"currency": "EUR", "amount": "400"}]}]}"#,
        r#"{"id": "lamps", "title": "Lamp", "variants": [{"sku": "LAMP"}, {"sku": "LAMP-RED"}]}"#,
        "",
        r#"{"variants": [{"sku": "LAMP-RED", "title": "Red"}], "brand": "Kontor"}"#,
        r#"{"id": "lamps", "title": "Lamp"}"#,
        r#"{"id": "desks", "variants": [{"sku": "DESK"}], "title": "Desks"}"#,
        r#"{"variants": [{"sku": "CHAIR"}]}"#,
        r#"{"title": "Chair", "variants": [{"sku": "CHAIR", "prices": [{"currency": "EUR", "amount": "1.999"}]}]}"#,
        r#"{"titel": "Chair"}"#,
        "no JSON",
        r#"{"title": "Chair"}"#,
        r#"{"id": "lamps", "markets": [{"market": "gb", "title": "Lamps"}]}"#,
        r#"{"id": "lamps", "brand": null}"#,
    ];
    let request = format!("{BULK}{}", lines.join("\n"));
    let dry = format!("POST /api/v1/products/bulk?dry_run=true{}", request.split_once("bulk").unwrap().1);
    insta::assert_json_snapshot!(shop.story(&[&dry, &request, "GET /api/v1/products/lamps"]).await);
    let again = shop.ask(&request).await.lines();
    let outcomes: Vec<&str> = again.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[..2], ["unchanged", "unchanged"], "an upsert may be repeated: {again:?}");
}

#[tokio::test]
async fn many_lines_are_answered_in_their_order_and_a_long_one_is_refused_alone() {
    let shop = Shop::open().await;
    let mut body = String::from(BULK);
    for number in 1..=1_500 {
        let padding = if number == 700 { "x".repeat(300_000) } else { String::new() };
        body += &format!("{{\"title\": \"Nr {number}{padding}\", \"variants\": [{{\"sku\": \"P{number}\"}}]}}\n");
    }
    let lines = shop.ask(&body).await.lines();
    assert_eq!(lines.len(), 1_500);
    for (line, number) in lines.iter().zip(1..) {
        let expected = match number {
            700 => json!({"line": 700, "outcome": "refused", "code": "limit_exceeded", "detail": line["detail"]}),
            _ => json!({"line": number, "outcome": "created", "id": format!("P{number}")}),
        };
        assert_eq!(*line, expected);
    }
    let dry = shop.ask(&body.replace("bulk\n", "bulk?dry_run=true\n")).await.lines();
    assert_eq!(dry.iter().filter(|line| line["outcome"] == "unchanged").count(), 1_499);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_sees_the_lines_before() {
    let shop = Shop::open().await;
    let body = "{\"title\": \"Desk\", \"variants\": [{\"sku\": \"DESK\"}]}\n{\"variants\": [{\"sku\": \"DESK\"}], \"title\": \"Oak desk\"}\n";
    let request = format!("POST /api/v1/products/bulk?dry_run=true\nContent-Type: application/x-ndjson\n\n{body}");
    let lines = shop.ask(&request).await.lines();
    let change = json!([{"field": "/title", "before": "Desk", "after": "Oak desk"}]);
    assert_eq!((&lines[0]["outcome"], &lines[1]["changes"]), (&json!("created"), &change));
    assert_eq!(shop.ask("GET /api/v1/products").await.json()["items"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn only_lines_of_a_holder_of_a_key_are_read() {
    let shop = Shop::open().await;
    assert_eq!(shop.ask_as_anybody(&format!("{BULK}{{}}")).await.code(), "unauthenticated");
    assert_eq!(shop.ask("POST /api/v1/products/bulk\n\n{}").await.code(), "unsupported_media_type");
    let empty = shop.ask("POST /api/v1/products/bulk\nContent-Type: application/x-ndjson").await;
    assert_eq!((empty.status.as_u16(), empty.lines()), (200, vec![]));
}
