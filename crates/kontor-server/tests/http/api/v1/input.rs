//! Bad input: a problem with a stable code, and nothing changed.

use crate::check::Shop;

#[tokio::test]
async fn bad_requests_are_named_and_change_nothing() {
    let shop = Shop::stocked().await;
    let before = shop.ask("GET /api/v1/changes").await.body;
    let deep = format!("{{\"reference\": {}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let long = "x".repeat(300_000);
    let lines = vec![r#"{"sku": "DESK", "location": "berlin", "quantity": 1}"#; 1_201].join(",");
    let receive = |body: &str| format!("POST /api/v1/stock/receive\nIdempotency-Key: k\n\n{body}");
    let issue = |body: &str| format!("POST /api/v1/stock/issue\nIdempotency-Key: k\n\n{body}");
    let line = |quantity: &str| {
        issue(&format!(
            "{{\"reference\": \"r\", \"lines\": [{{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": {quantity}}}]}}"
        ))
    };
    // request, status, code, pointer
    let table: Vec<(String, u16, &str, &str)> = vec![
        (receive("{"), 400, "invalid_request", ""),
        (receive("[]"), 400, "invalid_request", ""),
        (receive(r#" ["DESK", "berlin", 1]"#), 400, "invalid_request", ""),
        (receive(r#"{"sku": "..", "location": "berlin", "quantity": 1}"#), 400, "invalid_request", "/sku"),
        (receive(r#"{"sku": "DESK", "location": ".", "quantity": 1}"#), 400, "invalid_request", "/location"),
        (receive("{}").replace("\n\n", "\nContent-Encoding: gzip\n\n"), 415, "unsupported_media_type", ""),
        (receive("null"), 400, "invalid_request", ""),
        (receive("{} {}"), 400, "invalid_request", ""),
        (receive("\u{feff}{}"), 400, "invalid_request", ""),
        (receive(r#"{"sku": "DESK", "location": "berlin"}"#), 400, "invalid_request", ""),
        (receive(r#"{"sku": "DESK", "sku": "DESK", "location": "berlin", "quantity": 1}"#), 400, "invalid_request", ""),
        (
            receive(r#"{"sku": "DESK", "location": "berlin", "quantity": 1, "colour": "red"}"#),
            400,
            "invalid_request",
            "/colour",
        ),
        (receive(r#"{"sku": 7, "location": "berlin", "quantity": 1}"#), 400, "invalid_request", "/sku"),
        (receive(r#"{"sku": "", "location": "berlin", "quantity": 1}"#), 400, "invalid_request", "/sku"),
        (receive(r#"{"sku": "a\u0000b", "location": "berlin", "quantity": 1}"#), 400, "invalid_request", "/sku"),
        (receive(r#"{"sku": "DESK", "location": "a b", "quantity": 1}"#), 400, "invalid_request", "/location"),
        (
            receive(r#"{"sku": "DESK", "location": "berlin", "quantity": 1, "occurred_at": "soon"}"#),
            400,
            "invalid_request",
            "/occurred_at",
        ),
        (
            receive(r#"{"sku": "DESK", "location": "berlin", "quantity": 1, "occurred_at": "1969-01-01T00:00:00Z"}"#),
            400,
            "invalid_request",
            "/occurred_at",
        ),
        (
            receive(r#"{"sku": "DESK", "location": "berlin", "quantity": 1, "occurred_at": "1999-01-01T00:00:00Z"}"#),
            400,
            "invalid_request",
            "",
        ),
        (receive(&deep), 400, "invalid_request", "/reference"),
        (receive(&format!("{{\"sku\": \"{long}\"}}")), 413, "body_too_large", ""),
        (
            receive(&format!("{{\"sku\": \"{}\", \"location\": \"berlin\", \"quantity\": 1}}", &long[..101])),
            400,
            "invalid_request",
            "/sku",
        ),
        (line("0"), 400, "invalid_request", "/lines/0/quantity"),
        (line("-1"), 400, "invalid_request", "/lines/0/quantity"),
        (line("1.5"), 400, "invalid_request", "/lines/0/quantity"),
        (line("1e400"), 400, "invalid_request", "/lines/0/quantity"),
        (line("1000000001"), 400, "invalid_request", "/lines/0/quantity"),
        (line("99999999999999999999"), 400, "invalid_request", "/lines/0/quantity"),
        (line("\"1\""), 400, "invalid_request", "/lines/0/quantity"),
        (issue(r#"{"reference": "r", "lines": []}"#), 400, "invalid_request", "/lines"),
        (issue(&format!("{{\"reference\": \"r\", \"lines\": [{lines}]}}")), 400, "invalid_request", "/lines"),
        (
            issue(r#"{"lines": [{"sku": "NO", "location": "berlin", "quantity": 1}], "reference": "r"}"#),
            404,
            "unknown_sku",
            "",
        ),
        (
            issue(r#"{"lines": [{"sku": "DESK", "location": "moon", "quantity": 1}], "reference": "r"}"#),
            404,
            "unknown_location",
            "",
        ),
        ("POST /api/v1/stock/issue\n\n{}".into(), 400, "idempotency_key_missing", ""),
        (
            format!("POST /api/v1/stock/issue\nIdempotency-Key: {}\n\n{{}}", &long[..256]),
            400,
            "invalid_request",
            "Idempotency-Key",
        ),
        ("POST /api/v1/stock/issue\nIdempotency-Key: a b\n\n{}".into(), 400, "invalid_request", "Idempotency-Key"),
        ("POST /api/v1/products\nContent-Type: text/plain\n\n{}".into(), 415, "unsupported_media_type", ""),
        (
            "POST /api/v1/products\nContent-Type: application/x-www-form-urlencoded\n\na=b".into(),
            415,
            "unsupported_media_type",
            "",
        ),
        ("POST /api/v1/products?dry=1\n\n{\"sku\": \"X\", \"title\": \"x\"}".into(), 400, "invalid_request", "query"),
        ("PATCH /api/v1/products/DESK\nIf-Match: \"1\", \"2\"\n\n{}".into(), 400, "invalid_request", "If-Match"),
        ("GET /api/v1/products?page_size=0".into(), 400, "invalid_request", "page_size"),
        ("GET /api/v1/products?page_size=-1".into(), 400, "invalid_request", "page_size"),
        ("GET /api/v1/products?page_size=1&page_size=2".into(), 400, "invalid_request", "page_size"),
        ("GET /api/v1/products?colour=red".into(), 400, "invalid_request", "query"),
        ("GET /api/v1/products/DESK?colour=red".into(), 400, "invalid_request", "query"),
        ("GET /api/v1/products?page_token=zz".into(), 400, "invalid_page_token", ""),
        ("GET /api/v1/stock/%ff".into(), 400, "invalid_request", "path"),
        ("GET /api/v1/stock/a%00b".into(), 400, "invalid_request", "sku"),
        (format!("GET /api/v1/stock/{}", &long[..101]), 400, "invalid_request", "sku"),
        ("GET /api/v1/nothing".into(), 404, "not_found", ""),
        ("GET /nothing".into(), 404, "not_found", ""),
        ("GET /api/v1/stock/receive".into(), 405, "method_not_allowed", ""),
        ("PUT /api/v1/products/DESK".into(), 405, "method_not_allowed", ""),
        ("BREW /api/v1/products".into(), 405, "method_not_allowed", ""),
    ];
    for (request, status, code, pointer) in table {
        let seen = shop.ask(&request).await;
        let shown = &request[..request.len().min(200)];
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (status, code), "{shown}\n{}", seen.body);
        let named = seen.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
        assert_eq!(named, pointer, "{shown}\n{}", seen.body);
    }
    assert_eq!(shop.ask("GET /api/v1/changes").await.body, before);
}

#[tokio::test]
async fn a_path_says_which_methods_it_knows() {
    let shop = Shop::open().await;
    for (path, allowed) in
        [("/api/v1/products", "GET,HEAD,POST"), ("/api/v1/stock/receive", "POST"), ("/livez", "GET,HEAD")]
    {
        let options = shop.ask(&format!("OPTIONS {path}")).await;
        let refused = shop.ask(&format!("DELETE {path}")).await;
        assert_eq!((options.status.as_u16(), refused.status.as_u16()), (204, 405));
        for seen in [options, refused] {
            let mut methods: Vec<&str> = seen.headers["allow"].to_str().unwrap().split(',').collect();
            methods.sort_unstable();
            assert_eq!(methods.join(","), allowed, "{path}");
        }
    }
}

#[tokio::test]
async fn a_callers_names_come_back_in_headers_and_problems() {
    let shop = Shop::open().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let names = format!("X-Request-Id: till-7\ntraceparent: 00-{trace}-00f067aa0ba902b7-01");
    let seen = shop.ask(&format!("GET /api/v1/products/none\n{names}")).await;
    assert_eq!(seen.headers["x-request-id"], "till-7");
    assert_eq!(seen.json()["trace_id"], trace);
    assert_eq!(seen.code(), "unknown_product");
}
