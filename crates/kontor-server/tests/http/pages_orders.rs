//! `/orders` and the page of an order: what was bought, what became of it, and what can be done with it.

use kontor_server::Limits;
use serde_json::{Value, json};

use crate::api::v1::carts::priced;
use crate::api::v1::orders::{checked_out, declined, did, post};
use crate::api::v1::payments::{paid_by_hand, park};
use crate::api::v1::shares::reads;
use crate::check::Shop;
use crate::pages::{MARKED, links, text};

const ADA: &str = "cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";

/// The text of an order's page.
async fn read(shop: &Shop, name: &str) -> String {
    let seen = shop.ask(&format!("GET /o/{name}")).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    text(&seen.body)
}

fn contains(page: &str, expected: &[&str]) {
    for expected in expected {
        assert!(page.contains(expected), "{expected}: {page}");
    }
}

/// What a page's form asks for, which is then asked for.
fn calls(page: &str) -> Vec<String> {
    page.split("data-call=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn orders_are_for_holders_of_a_key() {
    let shop = priced().await;
    let (_, _, order) = checked_out(&shop, 2).await;
    let id = order["id"].as_str().unwrap();
    for path in ["/orders", "/orders?q=main-1", "/orders?status=lost", "/o/main-1", &format!("/o/{id}")] {
        let seen = shop.ask_as_anybody(&format!("GET {path}")).await;
        assert_eq!(seen.status, 200, "{path}");
        assert!(text(&seen.body).contains("Sign in to see"), "{path}");
        assert!(!seen.body.contains(id) && !seen.body.contains("Walnut") && !seen.body.contains("25.00"), "{path}");
    }
    let (known, unknown) = (shop.ask_as_anybody("GET /o/main-1").await, shop.ask_as_anybody("GET /o/main-9").await);
    assert_eq!(known.body, unknown.body, "nobody learns which orders there are");
}

#[tokio::test]
async fn orders_are_listed_filtered_and_found_by_number() {
    let shop = priced().await;
    assert!(text(&shop.ask("GET /orders").await.body).contains("Nothing was bought yet"));
    let more = json!({"sku": "DESK", "location": "berlin", "quantity": 100});
    shop.ask(&post("/stock/receive", "more", &more.to_string())).await;
    let mut ids = Vec::new();
    for _ in 0..52 {
        ids.insert(0, checked_out(&shop, 1).await.2["id"].as_str().unwrap().to_owned());
    }
    shop.ask(&post("/orders/main-50/cancel", "n", "{}")).await;
    let listed = |query: &'static str| {
        let shop = &shop;
        async move {
            let (mut found, mut path) = (Vec::new(), format!("/orders{query}"));
            loop {
                let page = shop.ask(&format!("GET {path}")).await.body;
                found.extend(page.split("<tr data-row=\"").skip(1).map(|row| row[..36].to_owned()));
                let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { return found };
                path = next.split('"').next().unwrap().replace("&amp;", "&");
            }
        }
    };
    assert_eq!(listed("").await, ids);
    assert_eq!(listed("?status=canceled&customer_id=&q=").await, [ids[2].clone()]);
    assert_eq!(listed("?status=open").await.len(), 51);
    let page = text(&shop.ask("GET /orders").await.body);
    contains(&page, &["main-52", "1 × Walnut desk 12.50 EUR open pending unfulfilled guest", "canceled"]);

    for (query, path) in [("q=main-7", "/o/main-7"), ("q=7", "/o/main-7"), ("q=%20main-7", "/o/main-7")] {
        let seen = shop.ask(&format!("GET /orders?{query}")).await;
        assert_eq!((seen.status.as_u16(), seen.headers["location"].to_str().unwrap()), (303, path));
    }
    let by_id = shop.ask(&format!("GET /orders?q={}", ids[0])).await;
    assert_eq!(by_id.headers["location"], "/o/main-52");
    let scanned = shop.ask("GET /?q=main-7").await;
    assert_eq!(scanned.headers["location"], "/o/main-7", "what is scanned on a slip leads to its order");
    assert_eq!(shop.ask_as_anybody("GET /?q=main-7").await.status, 200);
    for (query, why) in [
        ("q=main-99", "There is no order main-99"),
        ("q=lamp", "There is no order lamp"),
        ("status=lost", "There is no status"),
        ("customer_id=ada", "A customer is named by"),
        ("page_token=00", "belongs to another list"),
    ] {
        let seen = shop.ask(&format!("GET /orders?{query}")).await;
        assert!(seen.status == 400 && seen.body.contains(why) && seen.body.contains("<form"), "{query}: {seen:?}");
    }
    assert!(text(&shop.ask(&format!("GET /orders?customer_id={ADA}")).await.body).contains("No order is like that"));
}

#[tokio::test]
async fn an_order_tells_its_money_its_goods_and_what_became_of_it() {
    let shop = priced().await;
    let (_, _, order) = checked_out(&shop, 4).await;
    let (id, payment) = (order["id"].as_str().unwrap(), order["payments"][0]["id"].as_str().unwrap());
    let open = read(&shop, "main-1").await;
    contains(
        &open,
        &[
            "Order main-1",
            "Status open Payment pending Goods unfulfilled",
            "DESK Walnut desk 4 0 12.50 50.00",
            "Total 50.00 EUR",
            "The provider is being asked to authorize 50.00 EUR . Call 1",
            "holds its units until it is paid",
            "DESK berlin 4 0 What is held there, and by whom",
            "A guest. Nobody has said where they are reached.",
            "Ship Its money is not sure yet.",
            "Refund Nothing was paid that could be given back",
            "Capture The provider has set nothing aside yet.",
            "Resume The call is being made.",
            "placed open, pending, unfulfilled",
        ],
    );
    let page = shop.ask(&format!("GET /o/{id}")).await.body;
    let cancel = format!("/api/v1/orders/{id}/cancel");
    assert_eq!(calls(&page), [cancel], "what cannot be done has no form");
    let stock = ["/p/DESK?sku=DESK#stock", "/p/DESK?sku=DESK&location=berlin#explained"];
    for link in stock {
        assert!(links(&page).contains(&link.to_owned()), "{link}: {page}");
        let followed = shop.ask(&format!("GET {}", link.split('#').next().unwrap())).await;
        assert!(followed.body.contains(order["reservation"].as_str().unwrap()), "it says who holds them");
    }

    did(&shop.site, payment, 1).await;
    did(&shop.site, payment, 2).await;
    let paid = shop.ask("GET /o/main-1").await.body;
    let forms = calls(&paid);
    let expected = ["ship", "refunds", "cancel"].map(|what| format!("/api/v1/orders/{id}/{what}"));
    assert_eq!(forms, expected);
    let row = "data-line=\"\" data-sku=\"DESK\" data-location=\"berlin\"";
    assert!(paid.contains(row) && paid.contains("max=\"4\" value=\"4\""), "{paid}");
    contains(
        &text(&paid),
        &[
            "confirmed",
            "Paid 50.00 EUR",
            "has promised its units",
            "Capture It was paid out.",
            "Nothing was handed out, so nothing comes back",
            "captured 50.00 EUR",
        ],
    );

    let some = json!({"lines": [{"sku": "DESK", "location": "berlin", "quantity": 3}]});
    shop.ask(&post(&forms[0]["/api/v1".len()..], "s-1", &some.to_string())).await;
    let part = shop.ask("GET /o/main-1").await.body;
    assert!(part.contains("max=\"1\" value=\"1\""), "one is left to be handed out: {part}");
    contains(&text(&part), &["partially fulfilled", "Cancel the order Units were handed out"]);
    shop.ask(&post(&forms[0]["/api/v1".len()..], "s-2", "{}")).await;
    let back = json!({"lines": [{"sku": "DESK", "quantity": 1, "restock": "berlin"}], "reason": MARKED});
    let refunded = shop.ask(&post(&forms[1]["/api/v1".len()..], "r-1", &back.to_string())).await;
    assert_eq!(refunded.status, 201, "{refunded:?}");
    let asking = read(&shop, "main-1").await;
    contains(
        &asking,
        &["Ship All of it was handed out.", "Refund The provider is being asked to refund: one thing at a time."],
    );
    did(&shop.site, payment, 3).await;
    let page = shop.ask("GET /o/main-1").await.body;
    assert!(!page.contains("<script>alert"), "what was said is never markup");
    assert!(page.contains("max=\"3\" value=\"0\"") && page.contains("placeholder=\"37.50\""), "{page}");
    assert!(page.contains("<option value=\"berlin\" selected>Shop Berlin</option>"), "{page}");
    let page = text(&page);
    contains(&page, &["Given back 12.50 EUR", "DESK Walnut desk 4 1 12.50 50.00", "partially refunded"]);
    contains(&page, &[&format!("returned 12.50 EUR {MARKED}"), "refunded 12.50 EUR"]);
    let rest = json!({"lines": [{"sku": "DESK", "quantity": 3}]});
    assert_eq!(shop.ask(&post(&forms[1]["/api/v1".len()..], "r-2", &rest.to_string())).await.status, 201);
    did(&shop.site, payment, 4).await;
    let page = read(&shop, "main-1").await;
    contains(&page, &["Refund All that was paid was given back."]);
    let told = shop.ask(&format!("GET /api/v1/orders/{id}/timeline")).await.json();
    for step in told["items"].as_array().unwrap() {
        for field in ["position", "actor", "request_id"] {
            assert!(page.contains(step[field].as_str().unwrap()), "{field} of {step}");
        }
    }
}

#[tokio::test]
async fn what_the_provider_said_and_what_is_parked_is_shown_and_resumed() {
    let shop = priced().await;
    let (order, payment) = paid_by_hand(&shop).await;
    park(&shop.site, &payment).await;
    let list = text(&shop.ask("GET /orders").await.body);
    contains(&list, &["Payments that wait for somebody to look:", &payment, "to authorize: no answer for a day"]);
    let page = shop.ask(&format!("GET /o/{order}")).await.body;
    let resume = format!("/api/v1/payments/{payment}/resume");
    assert!(calls(&page).contains(&resume), "{page}");
    contains(
        &text(&page),
        &["Parked: nobody asks the provider any more to authorize 25.00 EUR", "no answer for a day"],
    );
    assert_eq!(shop.ask(&post(&resume["/api/v1".len()..], "r", "{}")).await.status, 200);
    contains(&read(&shop, &order).await, &["Resume The call is being made."]);
    assert!(!text(&shop.ask("GET /orders").await.body).contains("wait for somebody"));
    did(&shop.site, &payment, 1).await;
    let page = shop.ask(&format!("GET /o/{order}")).await.body;
    let capture = format!("/api/v1/payments/{payment}/capture");
    assert!(calls(&page).contains(&capture) && page.contains("placeholder=\"25.00\""), "{page}");
    contains(
        &text(&page),
        &["Payment 1: authorized", "Paid with pm_card", "At the provider pi_1", "Resume No call is parked."],
    );

    let (_, _, order) = checked_out(&shop, 1).await;
    declined(&shop.site, order["payments"][0]["id"].as_str().unwrap(), 1).await;
    let failed = read(&shop, order["number"].as_str().unwrap()).await;
    contains(
        &failed,
        &["The provider said insufficient_funds", "payment failed", "Capture Nothing is set aside any more."],
    );
    shop.ask(&post("/orders/main-2/cancel", "n", "{\"reason\": \"no more\"}")).await;
    contains(
        &read(&shop, "main-2").await,
        &["canceled no more", "Ship It was canceled.", "Cancel the order It was canceled."],
    );
}

#[tokio::test]
async fn a_buyer_is_shown_until_erased_and_only_where_the_key_is() {
    let shop = priced().await;
    let ada = json!({"id": ADA, "email": "ada@example.com"});
    assert_eq!(shop.ask(&format!("POST /api/v1/customers\n\n{ada}")).await.status, 201);
    let address =
        json!({"name": "Ada <i>", "line1": "Long Lane 4", "city": "Bristol", "postal_code": "BS1", "country": "GB"});
    let cart = json!({
        "currency": "EUR", "customer_id": ADA, "lines": [{"sku": "DESK", "quantity": 1}],
        "contact": {"email": "ada@example.com", "ship_to": address},
    });
    let cart = shop.ask(&format!("POST /api/v1/carts\n\n{cart}")).await.json();
    let checkout = format!("/carts/{}/checkout", cart["id"].as_str().unwrap());
    assert_eq!(shop.ask(&post(&checkout, "c", "{}")).await.status, 201);
    let seen = shop.ask("GET /o/main-1").await.body;
    assert!(!seen.contains("<i>"));
    contains(
        &text(&seen),
        &["E-mail ada@example.com", "Ada <i> Long Lane 4 BS1 Bristol GB", "Nothing was paid, and nobody was asked."],
    );
    assert!(links(&seen).contains(&format!("/orders?customer_id={ADA}")));

    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    reads(&west.site, &shop.site).await;
    let elsewhere = read(&west, "main-1").await;
    assert!(!elsewhere.contains("Bristol"));
    contains(&elsewhere, &["Sealed: this site has no key", "Site main took it", "Site main alone knows them."]);

    let erase = format!("POST /api/v1/customers/{ADA}/erase\nIdempotency-Key: e\n\n{{}}");
    assert_eq!(shop.ask(&erase).await.status, 200);
    let erased = read(&shop, "main-1").await;
    assert!(erased.contains("This person was erased") && !erased.contains("Bristol"), "{erased}");
    assert_eq!(shop.ask("GET /o/main-9").await.status, 404);
    assert!(shop.ask("GET /o/%3Cscript%3E").await.body.contains("&lt;script&gt;"));
}

/// What the script follows and looks for; both are checked where they are made.
#[tokio::test]
async fn the_page_of_an_order_is_renewed_by_what_the_feed_tells_of_it() {
    let shop = priced().await;
    let (_, _, order) = checked_out(&shop, 1).await;
    let script = shop.ask_as_anybody("GET /assets/page.js").await.body;
    for used in ["dataset.order", "dataset.payments", "dataset.call", "\"Idempotency-Key\"", "data-restock"] {
        assert!(script.contains(used), "{used}");
    }
    let page = shop.ask("GET /o/main-1").await.body;
    let (id, payment) = (order["id"].as_str().unwrap(), order["payments"][0]["id"].as_str().unwrap());
    assert!(
        page.contains(&format!("data-order=\"{id}\" data-payments=\"{}\"", &payment[..payment.len() - 1])),
        "{page}"
    );
    let after = page.split("data-after=\"").nth(1).unwrap().split('"').next().unwrap();
    let list = shop.ask("GET /orders").await.body;
    park(&shop.site, payment).await;
    shop.ask(&post("/orders/main-1/cancel", "n", "{}")).await;
    let told = shop.ask(&format!("GET /api/v1/changes?after={after}")).await.json();
    let events: Vec<&Value> =
        told["items"].as_array().unwrap().iter().flat_map(|item| item["events"].as_array().unwrap()).collect();
    let is_told = |kind: &str, of: &str| events.iter().any(|event| event["type"] == kind && event["id"] == of);
    assert!(is_told("order_changed", id) && is_told("payment_changed", payment), "{events:?}");
    assert!(list.contains("order_placed order_changed") && list.contains("data-events=\"payment_changed\""), "{list}");
}
