//! What the shop shows of its resilience: the real breaker, failures that are made up, and nothing where that is
//! not allowed.

use kontor_payments::simulated::Fault;
use kontor_server::Limits;
use serde_json::{Value, json};

use crate::check::Shop;

const PATHS: [&str; 5] = [
    "GET /resilience/demo",
    "GET /resilience/circuit-breakers",
    "POST /resilience/simulate/payment\n\n{\"enable\": true}",
    "POST /resilience/reset/all",
    "POST /resilience/test-retry\n\n{\"fail_count\": 2, \"max_retries\": 3}",
];

async fn breakers(shop: &Shop) -> Value {
    let seen = shop.ask("GET /resilience/circuit-breakers").await;
    assert_eq!(seen.status, 200, "{seen:?}");
    seen.json()
}

#[tokio::test]
async fn nothing_is_disturbed_unless_the_site_was_started_for_it() {
    let shop = Shop::open().await;
    let (disturbed, _) = Shop::paying("main", Limits::default(), |access| access).await;
    for path in PATHS {
        assert_eq!(shop.ask(path).await.status, 404, "{path}");
        assert_eq!(disturbed.ask(path).await.status, 200, "{path}");
        assert_eq!(disturbed.ask_as_anybody(path).await.status, 401, "{path}");
    }
}

/// The steps of the service's own script: failures, an open breaker, a reset, success.
#[tokio::test]
async fn payments_that_fail_open_the_breaker_and_a_reset_closes_it() {
    let limits = Limits { checkout: std::time::Duration::from_secs(1), ..Limits::default() };
    let (shop, simulator) = Shop::paying("main", limits, |access| access).await;
    shop.ask("POST /products\n\n{\"productId\": \"1\", \"name\": \"Desk\", \"price\": 25.1}").await;
    let before = breakers(&shop).await;
    assert_eq!(
        (&before["payment"]["failure_rate"], &before["payment"]["circuit_breaker"]["state"]),
        (&json!(0.0), &json!("CLOSED"))
    );
    for service in ["dynamodb", "redis"] {
        assert_eq!((&before[service]["state"], &before[service]["total_requests"]), (&json!("CLOSED"), &json!(0)));
    }
    let seen = shop.ask("POST /resilience/simulate/payment\n\n{\"enable\": true}").await.json();
    assert_eq!((&seen["enabled"], &seen["failure_rate"], &seen["latency_ms"]), (&json!(true), &json!(0.8), &json!(0)));
    assert_eq!(breakers(&shop).await["payment"]["failure_rate"], 0.8);
    // Not as chance has it.
    simulator.simulated().script([Some(Fault::ErrorBefore); 3]);
    let mut users = Vec::new();
    for user in ["u1", "u2", "u3"] {
        shop.ask(&format!("POST /cart/{user}/items\n\n{{\"product_id\": 1, \"quantity\": 1}}")).await;
        users.push(user);
    }
    let checkout = |user: &'static str| {
        let shop = &shop;
        async move { shop.ask(&format!("POST /cart/{user}/checkout")).await }
    };
    let all = tokio::join!(checkout("u1"), checkout("u2"), checkout("u3"));
    for seen in [&all.0, &all.1, &all.2] {
        assert_eq!(seen.status, 503, "{seen:?}");
    }
    let payment = breakers(&shop).await["payment"].clone();
    let breaker = &payment["circuit_breaker"];
    assert_eq!((&breaker["state"], &breaker["total_failures"]), (&json!("OPEN"), &json!(3)), "{payment}");
    assert!(breaker["failure_threshold"] == 3 && breaker["success_threshold"] == 2 && breaker["timeout_seconds"] == 10);
    // While it is open, nobody is kept waiting, and the order is kept.
    shop.ask("POST /cart/u4/items\n\n{\"product_id\": 1, \"quantity\": 1}").await;
    let rejected = shop.ask("POST /cart/u4/checkout").await;
    assert_eq!(
        (rejected.status.as_u16(), &rejected.json()["order"]["status"]),
        (503, &json!("payment_service_unavailable"))
    );
    let seen = shop.ask("POST /resilience/simulate/payment\n\n{\"enable\": false}").await.json();
    assert_eq!((&seen["enabled"], &seen["service"]), (&json!(false), &json!("payment")));
    let seen = shop.ask("POST /resilience/reset/payment").await.json();
    assert_eq!((&seen["new_state"], &seen["service"]), (&json!("CLOSED"), &json!("payment")));
    assert_eq!(breakers(&shop).await["payment"]["circuit_breaker"]["state"], "CLOSED");
    shop.ask("POST /cart/u5/items\n\n{\"product_id\": 1, \"quantity\": 1}").await;
    assert_eq!(shop.ask("POST /cart/u5/checkout").await.status, 201);
}

#[tokio::test]
async fn tries_are_counted_and_what_is_not_there_is_not_disturbed() {
    let (shop, _) = Shop::paying("main", Limits::default(), |access| access).await;
    let retry = async |failing: u32, retries: u32| {
        let body = json!({"fail_count": failing, "max_retries": retries});
        let seen = shop.ask(&format!("POST /resilience/test-retry\n\n{body}")).await;
        (seen.status.as_u16(), seen.json()["actual_attempts"].as_u64(), seen.json()["success"].as_bool())
    };
    assert_eq!(retry(2, 3).await, (200, Some(3), Some(true)));
    assert_eq!(retry(5, 3).await, (500, Some(4), Some(false)));
    assert_eq!(retry(3, 0).await, (200, Some(4), Some(true)), "0 tries mean three");
    assert_eq!(retry(1, 101).await, (400, None, None));
    for service in ["dynamodb", "redis"] {
        let seen = shop.ask(&format!("POST /resilience/simulate/{service}\n\n{{\"enable\": true}}")).await;
        assert_eq!((seen.status.as_u16(), &seen.json()["enabled"]), (200, &json!(false)));
        assert_eq!(shop.ask(&format!("POST /resilience/reset/{service}")).await.json()["new_state"], "CLOSED");
    }
    for (request, error) in [
        ("POST /resilience/simulate/other\n\n{\"enable\": true}", "Unknown service"),
        ("POST /resilience/reset/other", "Unknown service"),
        ("POST /resilience/simulate/payment\n\n{}", "Invalid request body"),
        (
            "POST /resilience/simulate/payment\n\n{\"enable\": true, \"failure_rate\": 1.1}",
            "failure_rate is from 0 to 1, and latency_ms at most 15000",
        ),
    ] {
        let seen = shop.ask(request).await;
        assert_eq!((seen.status.as_u16(), seen.json()["error"].as_str()), (400, Some(error)), "{request}");
    }
}
