//! Rates: who is counted, and what answers say about it.

use kontor_server::{Limits, Rate};

use crate::check::{Seen, Shop};

const FAR: &str = "203.0.113.7:4711";

/// Policy, standing, and when to come again: as `t` if that is when the window ends.
fn told(seen: &Seen) -> [String; 3] {
    let [policy, standing, again] = ["ratelimit-policy", "ratelimit", "retry-after"]
        .map(|name| seen.headers.get(name).map_or("", |value| value.to_str().unwrap()));
    let (standing, wait_s) = standing.split_once(";t=").unwrap_or_default();
    assert!(wait_s.is_empty() || (1..=3_600).contains(&wait_s.parse::<u32>().unwrap()), "{seen:?}");
    let again = if again == wait_s && !again.is_empty() { "t" } else { again };
    [policy, standing, again].map(str::to_owned)
}

fn limits(key_rate: Option<Rate>, public_rate: Option<Rate>) -> Limits {
    Limits { key_rate, public_rate, ..Limits::default() }
}

#[tokio::test]
async fn an_address_without_a_key_may_ask_so_often_and_is_told_how_it_stands() {
    let shop = Shop::stocked_with(limits(None, Rate::new(3, 3_600))).await;
    let policy = "\"public\";q=3;w=3600";
    // What is in memory, what is routed, and what is not there count alike.
    for (request, status, left) in [("GET /api/v1/stock/DESK", 200, 2), ("GET /api/v1/products?page_size=1", 200, 1)] {
        let seen = shop.ask_from(FAR, request).await;
        assert_eq!(seen.status, status, "{request}");
        assert_eq!(told(&seen), [policy, &format!("\"public\";r={left}"), ""], "{request}");
    }
    let guess = "GET /api/v1/products\nX-API-Key: kon_abc_guess";
    assert_eq!(shop.ask_from(FAR, guess).await.code(), "unauthenticated");
    for request in ["GET /api/v1/stock/DESK", "GET /api/v1/nothing", guess] {
        let seen = shop.ask_from(FAR, request).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (429, "rate_limited"), "{request}");
        assert_eq!(told(&seen), [policy, "\"public\";r=0", "t"]);
        assert_eq!((&seen.json()["policy"], &seen.json()["retryable"]), (&"public".into(), &true.into()));
    }
    // Neither a header, nor another port, nor another API makes another caller of it.
    let seen = shop.ask_from("203.0.113.7:1", "GET /api/v1/stock/DESK\nX-Forwarded-For: 198.51.100.1").await;
    assert_eq!(seen.status, 429);
    for (peer, request) in [
        ("203.0.113.8:4711", "GET /api/v1/stock/DESK".to_owned()),
        ("127.0.0.1:4711", "GET /api/v1/stock/DESK".to_owned()),
        (FAR, "GET /livez".to_owned()),
        (FAR, format!("GET /api/v1/stock/DESK\nX-API-Key: {}", shop.key)),
    ] {
        let seen = shop.ask_from(peer, &request).await;
        assert_eq!(seen.status, 200, "{peer} {request}");
        assert_eq!(seen.headers.contains_key("ratelimit"), peer.starts_with("203.0.113.8"), "{peer} {request}");
    }
}

#[tokio::test]
async fn a_key_is_counted_wherever_it_is_used_and_a_refused_write_changes_nothing() {
    let shop = Shop::stocked_with(limits(Rate::new(6, 3_600), None)).await;
    let receive = "POST /api/v1/stock/receive\nIdempotency-Key: k\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}";
    // Filling the shop took four.
    assert_eq!(told(&shop.ask(receive).await)[1], "\"key\";r=1");
    let seen = shop.ask_from(FAR, &format!("GET /api/v1/stock/DESK\nX-API-Key: {}", shop.key)).await;
    assert_eq!((seen.status.as_u16(), told(&seen)[1].as_str()), (200, "\"key\";r=0"));
    let refused = shop.ask(&receive.replace("Key: k", "Key: l")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str(), told(&refused)[2].as_str()),
        (429, "rate_limited", "t")
    );
    let other = kontor_server::Access::issue_admin_key(&shop.site).await.unwrap();
    let seen = shop.ask_as_anybody(&format!("GET /api/v1/stock/DESK\nX-API-Key: {other}")).await;
    assert_eq!(seen.json()["levels"][0]["on_hand"], 11, "{seen:?}");
}

#[tokio::test]
async fn by_default_keys_and_this_machine_are_not_counted() {
    let shop = Shop::stocked().await;
    for seen in [
        shop.ask("GET /api/v1/stock/DESK").await,
        shop.ask_from("127.0.0.1:4711", "GET /api/v1/stock/DESK").await,
        shop.ask_from("[::1]:4711", "GET /api/v1/stock/DESK").await,
        shop.ask_from(FAR, "GET /").await,
    ] {
        assert_eq!((seen.status.as_u16(), told(&seen)), (200, ["", "", ""].map(str::to_owned)));
    }
    let seen = shop.ask_from(FAR, "GET /api/v1/stock/DESK").await;
    assert_eq!(told(&seen), ["\"public\";q=100000;w=10", "\"public\";r=99999", ""]);
}
