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
