//! Orders over HTTP: from a checkout through money and goods to their end. The payment provider is played here.

use std::time::Duration;

use kontor_core::command::{Command, Request};
use kontor_core::id::{Actor, PaymentId, RequestId};
use kontor_core::payment::call::{Outcome, ProviderObject};
use kontor_core::text::Reason;
use kontor_server::Limits;
use kontor_site::Site;
use serde_json::{Value, json};

use super::carts::{filled, priced};
use super::shares::reads;
use crate::check::{Seen, Shop};

pub(crate) async fn submit(site: &Site, command: Command) {
    let request = Request {
        command,
        actor: Actor::parse("provider").unwrap(),
        request_id: RequestId::parse("provider").unwrap(),
        idempotency: None,
        fresh_id: kontor_server::fresh_uuid(),
    };
    site.submit(request).await.unwrap();
}

/// The provider does what it was asked for.
pub(crate) async fn did(site: &Site, payment: &str, attempt: u16) {
    let outcome = Outcome::Done { object: ProviderObject::parse("pi_1").unwrap() };
    let id = PaymentId::parse(payment).unwrap();
    submit(site, Command::ReportPayment { id, attempt, outcome, callback: None }).await;
}

pub(crate) async fn declined(site: &Site, payment: &str, attempt: u16) {
    let outcome = Outcome::Declined { reason: Reason::parse("insufficient_funds").unwrap() };
    let id = PaymentId::parse(payment).unwrap();
    submit(site, Command::ReportPayment { id, attempt, outcome, callback: None }).await;
}

pub(crate) fn post(path: &str, key: &str, body: &str) -> String {
    format!("POST /api/v1{path}\nIdempotency-Key: {key}\n\n{body}")
}

pub(crate) fn as_buyer(token: &str, request: &str) -> String {
    request.replacen('\n', &format!("\nX-Cart-Token: {token}\n"), 1)
}

/// What an order is on its three axes.
fn statuses(order: &Value) -> [&str; 3] {
    ["status", "payment_status", "fulfillment_status"].map(|axis| order[axis].as_str().unwrap())
}

pub(crate) async fn checked_out(shop: &Shop, quantity: u64) -> (String, String, Value) {
    let (cart, token) = filled(shop, quantity).await;
    let checkout = post(&format!("/carts/{cart}/checkout"), &cart, "{\"payment_method\": \"pm_card\"}");
    let placed = shop.ask_as_anybody(&as_buyer(&token, &checkout)).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    (cart, token, placed.json())
}

#[tokio::test]
async fn a_cart_becomes_an_order_is_paid_handed_out_and_given_back() {
    let shop = priced().await;
    let (cart, token) = filled(&shop, 4).await;
    let checkout = |key: &str| {
        as_buyer(&token, &post(&format!("/carts/{cart}/checkout"), key, "{\"payment_method\": \"pm_card\"}"))
    };
    let placed = shop.ask_as_anybody(&checkout("c-1")).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let order = placed.json();
    let id = order["id"].as_str().unwrap();
    assert_eq!(placed.headers["location"], format!("/api/v1/orders/{id}").as_str());
    assert_eq!(id[4..], cart[5..37], "the order's id is the cart's");
    assert_eq!((&order["number"], &order["cart_id"]), (&json!("main-1"), &json!(cart)));
    assert_eq!(statuses(&order), ["open", "pending", "unfulfilled"]);
    assert_eq!(order["total"], json!({"currency": "EUR", "amount": "50.00"}));
    assert_eq!(order["lines"][0]["title"], "Walnut desk");
    assert_eq!(order["allocations"], json!([{"sku": "DESK", "location": "berlin", "quantity": 4, "shipped": 0}]));
    assert!(order["held_until"].is_string(), "{order}");
    let payment = order["payments"][0]["id"].as_str().unwrap();
    assert_eq!(order["payments"][0]["pending"]["operation"], "authorize");
    let closed = shop.ask(&format!("GET /api/v1/carts/{cart}")).await.json();
    assert_eq!((&closed["status"], &closed["order_id"]), (&json!("ordered"), &json!(id)));

    did(&shop.site, payment, 1).await;
    did(&shop.site, payment, 2).await;
    let replayed = shop.ask_as_anybody(&checkout("c-1")).await;
    assert_eq!((replayed.status.as_u16(), &replayed.headers["idempotency-replayed"]), (201, &"true".parse().unwrap()));
    let again = shop.ask_as_anybody(&checkout("c-2")).await;
    assert_eq!((again.status.as_u16(), again.json()["id"].as_str()), (200, Some(id)), "{again:?}");
    assert_eq!(statuses(&again.json()), ["confirmed", "paid", "unfulfilled"], "as it is now");
    assert_eq!(
        (&replayed.json()["captured"]["amount"], &again.json()["authorized"]["amount"]),
        (&json!("50.00"), &json!("0.00"))
    );

    let some = "{\"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}]}";
    let part = shop.ask(&post(&format!("/orders/{id}/ship"), "s-1", some)).await;
    assert_eq!(
        (part.status.as_u16(), statuses(&part.json())),
        (201, ["confirmed", "paid", "partially_fulfilled"]),
        "{part:?}"
    );
    let late = shop.ask(&post(&format!("/orders/{id}/cancel"), "n-1", "{}")).await;
    assert_eq!((late.code().as_str(), &late.json()["status_now"]), ("order_status", &json!("partially_fulfilled")));
    let all = shop.ask(&post("/orders/main-1/ship", "s-2", "")).await;
    assert_eq!(statuses(&all.json()), ["completed", "paid", "fulfilled"], "{all:?}");

    let back =
        "{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 1, \"restock\": \"berlin\"}], \"reason\": \"too small\"}";
    let refund = shop.ask(&post(&format!("/orders/{id}/refunds"), "r-1", back)).await;
    assert_eq!((refund.status.as_u16(), statuses(&refund.json())[2]), (201, "partially_returned"), "{refund:?}");
    did(&shop.site, payment, 3).await;
    let order = shop.ask(&format!("GET /api/v1/orders/{id}")).await.json();
    assert_eq!((&order["refunded"]["amount"], &order["lines"][0]["returned"]), (&json!("12.50"), &json!(1)));
    let too_much = shop.ask(&post(&format!("/orders/{id}/refunds"), "r-2", "{\"amount\": \"37.51\"}")).await;
    assert_eq!(too_much.code(), "amount_exceeded");
    let stock = shop.ask("GET /api/v1/stock/DESK").await.json();
    assert_eq!((&stock["totals"]["on_hand"], &stock["totals"]["committed"]), (&json!(7), &json!(0)));

    let mut causes = Vec::new();
    let mut path = format!("/api/v1/orders/{id}/timeline?page_size=4");
    loop {
        let page = shop.ask(&format!("GET {path}")).await.json();
        let items = page["items"].as_array().unwrap();
        causes.extend(items.iter().map(|step| step["cause"].as_str().unwrap().to_owned()));
        if let Some(returned) = items.iter().find(|step| step["cause"] == "returned") {
            assert_eq!((&returned["amount"]["amount"], &returned["reason"]), (&json!("12.50"), &json!("too small")));
        }
        let Some(token) = page["next_page_token"].as_str() else { break };
        path = format!("/api/v1/orders/{id}/timeline?page_size=4&page_token={token}");
    }
    assert_eq!(causes, ["placed", "authorized", "captured", "shipped", "shipped", "returned", "refunded"]);
}

#[tokio::test]
async fn a_buyer_who_is_declined_pays_with_another_card_or_cancels() {
    let shop = priced().await;
    let (_, token, order) = checked_out(&shop, 2).await;
    let id = order["id"].as_str().unwrap().to_owned();
    let payment = order["payments"][0]["id"].as_str().unwrap();
    let pay = |key: &str| post(&format!("/orders/{id}/payments"), key, "{\"method\": \"pm_other\"}");
    let early = shop.ask_as_anybody(&as_buyer(&token, &pay("p-1"))).await;
    assert_eq!((early.code().as_str(), &early.json()["retryable"]), ("payment_in_progress", &json!(true)));
    declined(&shop.site, payment, 1).await;
    let read = as_buyer(&token, &format!("GET /api/v1/orders/{id}\n"));
    let failed = shop.ask_as_anybody(&read).await.json();
    assert_eq!(
        (statuses(&failed), &failed["payments"][0]["reason"]),
        (["open", "failed", "unfulfilled"], &json!("insufficient_funds"))
    );
    let paid = shop.ask_as_anybody(&as_buyer(&token, &pay("p-1"))).await;
    assert_eq!((paid.status.as_u16(), paid.json()["payments"].as_array().map(Vec::len)), (201, Some(2)), "{paid:?}");

    for (token, request, status, code) in [
        ("wrong", format!("GET /api/v1/orders/{id}\n"), 404, "unknown_order"),
        ("wrong", post(&format!("/orders/{id}/cancel"), "x", "{}"), 404, "unknown_order"),
        (&token, post(&format!("/orders/{id}/refunds"), "x", "{\"amount\": \"1\"}"), 401, "unauthenticated"),
        (&token, post(&format!("/orders/{id}/ship"), "x", "{}"), 401, "unauthenticated"),
        (&token, format!("GET /api/v1/orders/{id}/timeline\n"), 401, "unauthenticated"),
        (&token, "GET /api/v1/orders\n".to_owned(), 401, "unauthenticated"),
        (&token, format!("GET /api/v1/payments/{payment}\n"), 401, "unauthenticated"),
        (&token, format!("GET /api/v1/orders/ord_{}\n", "0".repeat(32)), 404, "unknown_order"),
    ] {
        let seen = shop.ask_as_anybody(&as_buyer(token, &request)).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (status, code), "{request}");
    }
    let canceled = shop
        .ask_as_anybody(&as_buyer(&token, &post(&format!("/orders/{id}/cancel"), "n", "{\"reason\": \"no more\"}")))
        .await;
    assert_eq!((canceled.status.as_u16(), statuses(&canceled.json())[0]), (200, "canceled"), "{canceled:?}");
    // The provider had set the money aside meanwhile: it is given up.
    let second = canceled.json()["payments"][1]["id"].as_str().unwrap().to_owned();
    did(&shop.site, &second, 1).await;
    let order = shop.ask(&format!("GET /api/v1/orders/{id}")).await.json();
    assert_eq!(order["payments"][1]["pending"]["operation"], "void");
    did(&shop.site, &second, 2).await;
    let order = shop.ask(&format!("GET /api/v1/orders/{id}")).await.json();
    assert_eq!(statuses(&order), ["canceled", "voided", "unfulfilled"]);
    assert_eq!(shop.ask("GET /api/v1/stock/DESK").await.json()["totals"]["available"], 10);
}

#[tokio::test]
async fn whoever_waits_is_answered_when_the_outcome_is_known() {
    let shop = priced().await;
    let (cart, token) = filled(&shop, 1).await;
    let checkout = post(&format!("/carts/{cart}/checkout"), "c", "{\"payment_method\": \"pm_card\", \"wait_s\": 30}");
    let checkout = as_buyer(&token, &checkout);
    let waiting = shop.ask_as_anybody(&checkout);
    let provider = async {
        let mut feed = shop.site.feed();
        let payment = format!("pay_{}_1", &cart[5..37]);
        let id = PaymentId::parse(&payment).unwrap();
        while shop.site.read().payment(id).unwrap().is_none() {
            let end = feed.end();
            if shop.site.read().payment(id).unwrap().is_none() {
                assert!(feed.wait(end).await);
            }
        }
        did(&shop.site, &payment, 1).await;
    };
    let (answered, ()) =
        tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(waiting, provider) }).await.unwrap();
    assert_eq!(
        (answered.status.as_u16(), statuses(&answered.json())),
        (201, ["confirmed", "authorized", "unfulfilled"])
    );

    // What costs nothing, and what is not paid yet, waits for nobody.
    let (cart, token) = filled(&shop, 1).await;
    let unpaid = as_buyer(&token, &post(&format!("/carts/{cart}/checkout"), "u", "{\"wait_s\": 30}"));
    let unpaid = tokio::time::timeout(Duration::from_secs(20), shop.ask_as_anybody(&unpaid)).await.unwrap();
    assert_eq!((unpaid.status.as_u16(), &unpaid.json()["payments"]), (201, &json!([])));
}

#[tokio::test]
async fn orders_are_listed_the_newest_first_by_customer_and_status() {
    let shop = priced().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, checked_out(&shop, 1).await.2["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(shop.ask(&post(&format!("/orders/{}/cancel", ids[2]), "n", "{}")).await.status, 200);
    let listed = |query: &'static str| {
        let shop = &shop;
        async move {
            let (mut found, mut path) = (Vec::new(), format!("/api/v1/orders?page_size=2{query}"));
            loop {
                let page = shop.ask(&format!("GET {path}")).await.json();
                found.extend(
                    page["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()),
                );
                let Some(token) = page["next_page_token"].as_str() else { return found };
                path = format!("/api/v1/orders?page_size=2{query}&page_token={token}");
            }
        }
    };
    assert_eq!(listed("").await, ids);
    assert_eq!(listed("&status=canceled").await, [ids[2].clone()]);
    assert_eq!(listed("&status=open").await, [&ids[0], &ids[1], &ids[3], &ids[4]].map(Clone::clone));
    assert_eq!(listed("&customer_id=cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7").await, Vec::<String>::new());
    assert_eq!(shop.ask("GET /api/v1/orders/main-3").await.json()["id"], ids[2].as_str());
    for (request, code) in [
        ("GET /api/v1/orders?status=lost", "invalid_request"),
        ("GET /api/v1/orders?customer_id=x", "invalid_request"),
        ("GET /api/v1/orders/main-9", "unknown_order"),
        ("GET /api/v1/orders/west-1", "unknown_order"),
        ("GET /api/v1/orders/x", "invalid_request"),
    ] {
        assert_eq!(shop.ask(request).await.code(), code, "{request}");
    }
}

#[tokio::test]
async fn an_order_is_read_everywhere_and_changed_at_the_site_that_took_it() {
    let main = priced().await;
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    let (_, token, order) = checked_out(&main, 1).await;
    reads(&west.site, &main.site).await;
    let id = order["id"].as_str().unwrap();
    let read = west.ask(&format!("GET /api/v1/orders/{id}")).await;
    assert_eq!(
        (read.status.as_u16(), &read.json()["site"], &read.json()["payments"]),
        (200, &json!("main"), &json!([])),
        "{read:?}"
    );
    assert_eq!(west.ask("GET /api/v1/orders/main-1").await.json()["id"], id);
    assert_eq!(west.ask("GET /api/v1/orders").await.json()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(west.ask(&format!("GET /api/v1/orders/{id}/timeline")).await.json()["items"][0]["cause"], "placed");
    let payment = order["payments"][0]["id"].as_str().unwrap();
    let said = |seen: Seen| (seen.code(), seen.json()["site"].clone());
    let elsewhere = ("owned_elsewhere".to_owned(), json!("main"));
    assert_eq!(said(west.ask(&format!("GET /api/v1/payments/{payment}")).await), elsewhere);
    for request in [
        post(&format!("/orders/{id}/cancel"), "1", "{}"),
        post(&format!("/orders/{id}/refunds"), "2", "{\"amount\": \"1\"}"),
        post(&format!("/orders/{id}/payments"), "3", "{\"method\": \"pm\"}"),
        post(&format!("/orders/{id}/ship"), "4", "{}"),
        post(&format!("/payments/{payment}/capture"), "5", "{}"),
        post(&format!("/payments/{payment}/resume"), "6", "{}"),
    ] {
        assert_eq!(said(west.ask(&request).await), elsewhere, "{request}");
    }
    let buyer = as_buyer(&token, &format!("GET /api/v1/orders/{id}\n"));
    assert_eq!(said(west.ask_as_anybody(&buyer).await), elsewhere);
}
