//! Payments over HTTP: captured by hand, parked and resumed.

use kontor_core::command::Command;
use kontor_core::id::PaymentId;
use kontor_core::text::Reason;
use kontor_site::Site;
use serde_json::json;

use super::carts::{filled, priced};
use super::orders::{did, post, submit};
use crate::check::Shop;

/// The worker gives up on the first call of a payment.
pub(crate) async fn park(site: &Site, payment: &str) {
    let id = PaymentId::parse(payment).unwrap();
    let reason = Reason::parse("no answer for a day").unwrap();
    submit(site, Command::ParkPayment { id, attempt: 1, reason }).await;
}

pub(crate) async fn paid_by_hand(shop: &Shop) -> (String, String) {
    let (cart, _) = filled(shop, 2).await;
    let body = "{\"payment_method\": \"pm_card\", \"capture\": \"manual\", \"hold_s\": 600}";
    let order = shop.ask(&post(&format!("/carts/{cart}/checkout"), &cart, body)).await.json();
    (order["id"].as_str().unwrap().to_owned(), order["payments"][0]["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_was_set_aside_is_paid_out_when_somebody_says_so() {
    let shop = priced().await;
    let (order, payment) = paid_by_hand(&shop).await;
    let capture = |key: &str, body: &str| post(&format!("/payments/{payment}/capture"), key, body);
    assert_eq!(shop.ask(&capture("c-1", "{}")).await.code(), "payment_in_progress");
    did(&shop.site, &payment, 1).await;
    let read = shop.ask(&format!("GET /api/v1/payments/{payment}")).await.json();
    assert_eq!(
        (&read["status"], &read["capture"], &read["pending"]),
        (&json!("authorized"), &json!("manual"), &json!(null))
    );
    assert_eq!((&read["provider_object"], &read["order_id"]), (&json!("pi_1"), &json!(order)));
    let more = shop.ask(&capture("c-1", "{\"amount\": \"25.01\"}")).await;
    assert_eq!((more.code().as_str(), &more.json()["max"]), ("amount_exceeded", &json!(2500)));
    let some = shop.ask(&capture("c-2", "{\"amount\": \"20\"}")).await;
    assert_eq!((some.status.as_u16(), &some.json()["pending"]["amount"]["amount"]), (200, &json!("20.00")), "{some:?}");
    did(&shop.site, &payment, 2).await;
    let order = shop.ask(&format!("GET /api/v1/orders/{order}")).await.json();
    assert_eq!((&order["payment_status"], &order["captured"]["amount"]), (&json!("partially_paid"), &json!("20.00")));
    assert_eq!(shop.ask(&capture("c-3", "{}")).await.code(), "payment_status");
}

#[tokio::test]
async fn what_nobody_asks_for_any_more_is_listed_until_somebody_resumes_it() {
    let shop = priced().await;
    let (_, payment) = paid_by_hand(&shop).await;
    let (_, other) = paid_by_hand(&shop).await;
    let parked = || async { shop.ask("GET /api/v1/payments?status=parked&page_size=1").await.json() };
    assert_eq!(parked().await["items"], json!([]));
    park(&shop.site, &payment).await;
    park(&shop.site, &other).await;
    let first = parked().await;
    assert_eq!(
        (&first["items"][0]["id"], &first["items"][0]["pending"]["parked"]),
        (&json!(payment), &json!("no answer for a day"))
    );
    let next = format!(
        "GET /api/v1/payments?status=parked&page_size=1&page_token={}",
        first["next_page_token"].as_str().unwrap()
    );
    let next = shop.ask(&next).await.json();
    assert_eq!((&next["items"][0]["id"], &next["next_page_token"]), (&json!(other), &json!(null)));

    let resume = post(&format!("/payments/{payment}/resume"), "r-1", "{}");
    let resumed = shop.ask(&resume).await;
    assert_eq!((resumed.status.as_u16(), &resumed.json()["pending"]["parked"]), (200, &json!(null)), "{resumed:?}");
    assert_eq!(shop.ask(&resume).await.headers["idempotency-replayed"], "true");
    assert_eq!(shop.ask(&resume.replace("r-1", "r-2")).await.code(), "payment_in_progress");
    // The provider has reported by itself what nobody asked for any more.
    did(&shop.site, &other, 1).await;
    assert_eq!(parked().await["items"], json!([]));
    for (request, status, code) in [
        ("GET /api/v1/payments".to_owned(), 400, "invalid_request"),
        ("GET /api/v1/payments?status=lost".to_owned(), 400, "invalid_request"),
        ("GET /api/v1/payments/pay_1".to_owned(), 400, "invalid_request"),
        (format!("GET /api/v1/payments/pay_{}_1", "0".repeat(32)), 404, "unknown_payment"),
        (
            format!("GET {}", payment.replace("pay_", "/api/v1/payments/pay_").replace("_1", "_9")),
            404,
            "unknown_payment",
        ),
    ] {
        let seen = shop.ask(&request).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (status, code), "{request}");
    }
}
