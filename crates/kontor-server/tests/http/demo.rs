//! What a demo has beyond other sites, and for whom.

use http::StatusCode;
use kontor_api::changes::SiteKind;
use kontor_api::demo::{DemoPort, DemoSite};
use kontor_server::demo::Demo;
use kontor_server::{DemoKeys, Limits};
use serde_json::{Value, json};

use crate::check::Shop;

pub(crate) const KEYS: DemoKeys<'static> =
    DemoKeys { admin: "a-key-that-everybody-knows", inventory: &["demo"], inventory_admin: &["admin-demo"] };

/// The demo of two regions and a store, as its first region sees it.
pub(crate) async fn demo() -> (Shop, Demo) {
    let site = |site: &str, kind, port| DemoSite {
        site: site.to_owned(),
        kind,
        ports: vec![DemoPort { url: format!("http://127.0.0.1:{port}"), about: "pages".to_owned() }],
    };
    let sites =
        vec![site("us", SiteKind::Region, 1), site("eu", SiteKind::Region, 2), site("shop", SiteKind::Store, 3)];
    let pairs = [("us", "eu"), ("eu", "us"), ("us", "shop"), ("shop", "us")];
    let demo = Demo::new(sites, pairs.map(|(from, to)| (from.to_owned(), to.to_owned())));
    let shop = Shop::of_demo("us", Limits::default(), demo.clone(), |access| access.of_demo(&KEYS)).await;
    (shop, demo)
}

/// The links that are cut.
fn cut(told: &Value) -> Vec<String> {
    let links = told["links"].as_array().unwrap().iter().filter(|link| link["open"] == false);
    links.map(|link| format!("{}-{}", link["from"].as_str().unwrap(), link["to"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn links_of_a_demo_are_cut_and_healed() {
    let (shop, demo) = demo().await;
    let told = shop.ask_as_anybody("GET /demo").await.json();
    assert_eq!((&told["site"], told["sites"].as_array().unwrap().len()), (&json!("us"), 3));
    assert!(cut(&told).is_empty());
    for (asked, expected) in [
        (json!({"from": "us", "to": "eu", "open": false, "one_way": true}), vec!["us-eu"]),
        (json!({"from": "eu", "to": "us", "open": false}), vec!["us-eu", "eu-us"]),
        (json!({"from": "shop", "open": false}), vec!["us-eu", "eu-us", "us-shop", "shop-us"]),
        (json!({"from": "us", "to": "eu", "open": true}), vec!["us-shop", "shop-us"]),
        (json!({"open": true}), vec![]),
        (json!({"open": false}), vec!["us-eu", "eu-us", "us-shop", "shop-us"]),
    ] {
        let seen = shop.ask_as_anybody(&format!("POST /demo/links\n\n{asked}")).await;
        assert_eq!(
            (seen.status, cut(&seen.json())),
            (StatusCode::OK, expected.iter().map(ToString::to_string).collect())
        );
        let state = demo.state("us", "eu").unwrap();
        assert_eq!(*state.borrow(), !expected.contains(&"us-eu"), "{asked}");
    }
    for (asked, why) in [
        (json!({"from": "mars", "open": true}), "there is no site mars; there are us, eu, shop"),
        (json!({"from": "eu", "to": "shop", "open": true}), "there is no link between the two"),
        (json!({"open": true, "how": "softly"}), "how"),
    ] {
        let seen = shop.ask_as_anybody(&format!("POST /demo/links\n\n{asked}")).await;
        assert_eq!((seen.status, seen.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
        assert!(seen.body.contains(why), "{seen:?}");
    }
}

#[tokio::test]
async fn no_other_site_has_what_a_demo_has() {
    let shop = Shop::open().await;
    for request in ["GET /demo", "POST /demo/links\n\n{\"open\": false}"] {
        assert_eq!(shop.ask(request).await.code(), "not_found", "{request}");
    }
}

/// Keys that everybody knows are no harm only where nobody else's pages can send them.
#[tokio::test]
async fn a_demo_takes_nothing_that_is_not_meant_for_this_machine() {
    let (shop, _) = demo().await;
    let product = "{\"sku\": \"DESK\", \"title\": \"Desk\"}";
    for (from, is_local) in [
        ("Host: 127.0.0.1:8080", true),
        ("Host: localhost\nOrigin: http://localhost:3000", true),
        ("Host: rebound.example:8080", false),
        ("Host: 127.0.0.1:8080\nOrigin: https://shop.example", false),
    ] {
        let asks = [
            (None, format!("GET /demo\n{from}")),
            (None, format!("POST /demo/links\n{from}\n\n{{\"open\": true}}")),
            (None, format!("GET /api/v1/sites\n{from}")),
            (Some(KEYS.admin), format!("GET /api/v1/sites\n{from}")),
            (Some("demo"), format!("GET /v1/inventory\n{from}")),
            (Some("admin-demo"), format!("GET /v1/admin/rate-limit/status\n{from}")),
        ];
        for (key, request) in asks {
            let seen = match key {
                Some(key) => shop.ask_with(key, &request).await,
                None => shop.ask_as_anybody(&request).await,
            };
            let is_done = seen.status.is_success();
            // Of administration nothing is there to be told; who may ask is what counts.
            assert_eq!(is_done || seen.status == StatusCode::SERVICE_UNAVAILABLE, is_local, "{request}: {seen:?}");
        }
    }
    // Who only reads needs no key; who writes does.
    let write = format!("POST /api/v1/products\nHost: localhost\n\n{product}");
    assert_eq!(shop.ask_as_anybody(&write).await.code(), "unauthenticated");
    assert_eq!(shop.ask_with("demo", &write).await.code(), "unauthenticated");
    assert_eq!(shop.ask_with(KEYS.admin, &write).await.status, StatusCode::CREATED);
    let wrong = shop.ask_with("demo", "POST /v1/admin/products/create\nHost: localhost\n\n{\"products\": []}").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
}
