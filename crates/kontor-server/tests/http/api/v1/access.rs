use crate::check::Shop;

#[tokio::test]
async fn everybody_reads_what_shops_show_and_nothing_else() {
    let shop = Shop::stocked().await;
    for (request, status) in [
        ("GET /api/v1/products", 200),
        ("GET /api/v1/products/DESK", 200),
        ("GET /api/v1/locations", 200),
        ("GET /api/v1/locations/berlin", 200),
        ("GET /api/v1/stock", 200),
        ("GET /api/v1/stock/DESK", 200),
        ("GET /api/v1/changes", 200),
        ("GET /api/v1/stock/DESK/explain", 401),
        ("GET /api/v1/movements?sku=DESK", 401),
        ("GET /api/v1/reservations", 401),
        ("GET /api/v1/reservations/res_00000000000000000000000000000000", 401),
        ("POST /api/v1/products\n\n{\"sku\": \"X\", \"title\": \"x\"}", 401),
        ("POST /api/v1/stock/receive\n\nnot even json", 401),
        ("PATCH /api/v1/products/DESK\n\n{}", 401),
    ] {
        let seen = shop.ask_as_anybody(request).await;
        assert_eq!(seen.status, status, "{request}");
        if status == 401 {
            assert_eq!(seen.code(), "unauthenticated");
            assert!(seen.headers.contains_key("www-authenticate"));
        }
    }
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_a_wrong_one_is_never_taken_for_nobody() {
    let shop = Shop::stocked().await;
    let key = shop.key.clone();
    let good =
        [format!("X-API-Key: {key}"), format!("Authorization: Bearer {key}"), format!("Authorization: bearer {key}")];
    for header in good {
        assert_eq!(shop.ask_as_anybody(&format!("GET /api/v1/reservations\n{header}")).await.status, 200, "{header}");
    }
    let other = kontor_server::Access::issue_admin_key(&shop.site).await.unwrap();
    let seen = shop.ask_as_anybody(&format!("GET /api/v1/reservations\nX-API-Key: {other}")).await;
    assert_eq!(seen.status, 200, "a key made while the server runs works at once");

    let (id, secret) = key.strip_prefix("kon_").unwrap().split_once('_').unwrap();
    let bad = [
        "X-API-Key: wrong".to_owned(),
        format!("X-API-Key: kon_{id}_{}", secret.chars().rev().collect::<String>()),
        format!("X-API-Key: {key}x"),
        format!("X-API-Key: kon_nobody_{secret}"),
        format!("Authorization: Basic {key}"),
        "Authorization: Bearer".to_owned(),
        format!("X-API-Key: \u{e4}\nAuthorization: Bearer {key}"),
    ];
    for header in bad {
        for path in ["/api/v1/products/DESK", "/api/v1/products", "/api/v1/reservations"] {
            let seen = shop.ask_as_anybody(&format!("GET {path}\n{header}")).await;
            assert_eq!((seen.status.as_u16(), seen.code().as_str()), (401, "unauthenticated"), "{path} {header}");
        }
    }
}

#[tokio::test]
async fn refused_keys_are_listed_newest_first_without_their_secrets() {
    let shop = Shop::stocked().await;
    let (id, secret) = shop.key.strip_prefix("kon_").unwrap().split_once('_').unwrap();
    let far = "203.0.113.7:4711";
    for (peer, request, status) in [
        (far, "GET /api/v1/reservations".to_owned(), 401),
        (far, format!("GET /api/v1/products?page_size=1\nX-API-Key: kon_stranger_{secret}"), 401),
        ("[2001:db8::7]:1", format!("POST /api/v1/stock/receive\nX-API-Key: kon_{id}_{}\n\n{{}}", "0".repeat(52)), 401),
        (far, format!("GET /api/v1/nothing\nAuthorization: Basic {secret}"), 401),
        (far, format!("GET /api/v1/stock/DESK\nX-API-Key: {secret}"), 401),
        (far, "GET /api/v1/stock/DESK\nX-API-Key: \u{e4}".to_owned(), 401),
        // Not for those without a key, and not of anything but keys.
        (far, "GET /api/v1/security/refusals".to_owned(), 401),
        (far, "GET /api/v1/stock/NONE".to_owned(), 404),
    ] {
        assert_eq!(shop.ask_from(peer, &request).await.status, status, "{request}");
    }
    let seen = shop.ask("GET /api/v1/security/refusals").await;
    assert!(!seen.body.contains(&secret[..9]) && !seen.body.contains("page_size"), "{}", seen.body);
    let body = seen.json();
    let told: Vec<[&str; 5]> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| ["reason", "key_id", "peer", "method", "path"].map(|name| item[name].as_str().unwrap_or("")))
        .collect();
    let peer = "203.0.113.7";
    assert_eq!(
        told,
        [
            ["unreadable", "", peer, "GET", "/api/v1/stock/DESK"],
            ["unknown", "", peer, "GET", "/api/v1/stock/DESK"],
            ["wrong_scheme", "", peer, "GET", "/api/v1/nothing"],
            ["wrong_secret", id, "2001:db8::7", "POST", "/api/v1/stock/receive"],
            ["unknown", "stranger", peer, "GET", "/api/v1/products"],
        ]
    );

    let first = shop.ask("GET /api/v1/security/refusals?page_size=4").await;
    assert_eq!(first.json()["items"].as_array().unwrap()[..], body["items"].as_array().unwrap()[..4]);
    let token = first.json()["next_page_token"].as_str().unwrap().to_owned();
    // What is refused meanwhile moves no page.
    shop.ask_from(far, "GET /api/v1/products\nX-API-Key: late").await;
    let rest = shop.ask(&format!("GET /api/v1/security/refusals?page_size=4&page_token={token}")).await.json();
    assert_eq!((&rest["items"][0], rest["items"].as_array().unwrap().len()), (&body["items"][4], 1));
    assert!(rest["next_page_token"].is_null());
    let wrong = shop.ask("GET /api/v1/security/refusals?page_token=00").await;
    assert_eq!(wrong.code(), "invalid_page_token");
}
