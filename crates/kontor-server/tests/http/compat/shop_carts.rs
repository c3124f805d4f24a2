//! The contract's shopping carts, its warehouse and its payments.

use std::time::Duration;

use kontor_core::id::Position;
use kontor_payments::simulated::{Fault, Rates, Simulator};
use kontor_server::Limits;
use serde_json::{Value, json};

use crate::check::{Seen, Shop};

const CARD: &str = "4242424242424242";
const DECLINED: &str = "4000000000000002";

/// With product 7 of the contract, of which 10 are there, for 25.
async fn open() -> (Shop, Simulator) {
    open_with(Limits::default()).await
}

async fn open_with(limits: Limits) -> (Shop, Simulator) {
    let (shop, simulator) = Shop::paying("main", limits, |access| access).await;
    details(&shop, 7).await;
    let set =
        "PUT /v1/admin/products/set\n\n{\"products\": [{\"productId\": \"A-7\", \"available\": 10, \"price\": 25}]}";
    assert_eq!(shop.ask(set).await.json()["summary"]["successfulUpdates"], 1);
    (shop, simulator)
}

async fn details(shop: &Shop, id: i32) {
    let body = json!({"product_id": id, "sku": format!("A-{id}"), "manufacturer": "Acme", "category_id": 4, "weight": 0,
        "some_other_id": 9});
    assert_eq!(shop.ask(&format!("POST /products/{id}/details\n\n{body}")).await.status, 204);
}

async fn cart(shop: &Shop, customer: i32) -> i64 {
    let seen = shop.ask(&format!("POST /shopping-carts\n\n{{\"customer_id\": {customer}}}")).await;
    assert_eq!(seen.status, 201, "{seen:?}");
    seen.json()["shopping_cart_id"].as_i64().unwrap()
}

async fn add(shop: &Shop, cart: i64, product: i32, quantity: i64) -> Seen {
    let body = format!("{{\"product_id\": {product}, \"quantity\": {quantity}}}");
    shop.ask(&format!("POST /shopping-carts/{cart}/items\n\n{body}")).await
}

async fn filled(shop: &Shop, quantity: i64) -> i64 {
    let cart = cart(shop, 3).await;
    assert_eq!(add(shop, cart, 7, quantity).await.status, 204);
    cart
}

async fn pay(shop: &Shop, cart: i64, card: &str) -> Seen {
    let body = format!("{{\"credit_card_number\": \"{card}\", \"shopping_cart_id\": {cart}}}");
    shop.ask(&format!("POST /payments/checkout\n\n{body}")).await
}

async fn warehouse(shop: &Shop, what: &str, quantity: i64) -> Seen {
    shop.ask(&format!("POST /warehouse/{what}\n\n{{\"product_id\": 7, \"quantity\": {quantity}}}")).await
}

async fn stock(shop: &Shop) -> Value {
    shop.ask("GET /api/v1/stock/A-7").await.json()["totals"].clone()
}

fn charges(simulator: &Simulator) -> u32 {
    simulator.simulated().ledger().values().map(|line| line.authorizations).sum()
}

#[tokio::test]
async fn a_cart_goes_by_a_number_from_its_opening_to_its_order() {
    let (shop, simulator) = open().await;
    let number = cart(&shop, 3).await;
    assert!((1..=i64::from(i32::MAX)).contains(&number));
    assert_ne!(cart(&shop, 3).await, number);
    for quantity in [1, 2] {
        assert_eq!(add(&shop, number, 7, quantity).await.status, 204);
    }
    let read = async || shop.ask(&format!("GET /shopping-carts/{number}")).await.json();
    let filled = read().await;
    assert_eq!(
        (&filled["shopping_cart_id"], &filled["customer_id"], &filled["status"], &filled["items"]),
        (&json!(number), &json!(3), &json!("open"), &json!([{"product_id": 7, "quantity": 3}]))
    );
    assert!(filled["created_at"].is_string() && filled["updated_at"].is_string());
    let checkout = format!("POST /shopping-carts/{number}/checkout");
    for _ in 0..2 {
        let placed = shop.ask(&checkout).await;
        assert_eq!((placed.status.as_u16(), placed.json()), (200, json!({"order_id": 1})), "{placed:?}");
    }
    assert_eq!(stock(&shop).await["reserved"], 3);
    assert_eq!(read().await["status"], "ordered");
    assert_eq!(add(&shop, number, 7, 1).await.json()["error"], "CART_CLOSED");
    let paid = pay(&shop, number, CARD).await;
    assert_eq!((paid.status.as_u16(), &paid.json()["success"]), (200, &json!(true)), "{paid:?}");
    let again = pay(&shop, number, CARD).await;
    assert_eq!(again.json()["transaction_id"], paid.json()["transaction_id"]);
    assert_eq!(pay(&shop, number, DECLINED).await.json(), paid.json(), "it is paid, whatever card is shown");
    assert_eq!((charges(&simulator), &stock(&shop).await["committed"]), (1, &json!(3)));
    let order = shop.site.read().order_numbered(shop.site.id(), 1).unwrap().unwrap();
    assert_eq!(shop.site.read().order(order).unwrap().unwrap().1.total, 7_500);
    // It is found as well through another door of the site.
    let other = Shop::again(shop.site.clone(), Limits::default(), |access| access, &simulator).await;
    assert_eq!(other.ask(&checkout).await.json()["order_id"], 1);
}

#[tokio::test]
async fn a_card_pays_once_however_often_and_by_however_many_it_is_sent() {
    let (shop, simulator) = open().await;
    simulator.simulated().set_rates(Rates { latency_ms: 20, ..Rates::default() });
    let number = filled(&shop, 1).await;
    let (first, second, third) =
        tokio::join!(pay(&shop, number, CARD), pay(&shop, number, CARD), pay(&shop, number, CARD));
    for seen in [&second, &third] {
        assert_eq!((first.status.as_u16(), first.json()), (200, seen.json()), "{first:?} {seen:?}");
    }
    assert_eq!(charges(&simulator), 1);
    // A no is no order that is lost: another card pays the same one.
    let number = filled(&shop, 1).await;
    let declined = pay(&shop, number, DECLINED).await;
    assert_eq!(
        (declined.status.as_u16(), &declined.json()["error"]),
        (402, &json!("PAYMENT_DECLINED")),
        "{declined:?}"
    );
    assert!(declined.json()["message"].is_string());
    assert_eq!(pay(&shop, number, "4242424242424241").await.status, 402, "it has no such check digit");
    assert_eq!(pay(&shop, number, CARD).await.status, 200);
    let placed = shop.ask(&format!("POST /shopping-carts/{number}/checkout")).await.json();
    assert_eq!((charges(&simulator), &placed["order_id"]), (2, &json!(2)));
    // Under a key the answer is that of the first time, and another cart is another request.
    let other = filled(&shop, 1).await;
    let keyed = |cart: i64, card: &str| {
        let body = format!("{{\"credit_card_number\": \"{card}\", \"shopping_cart_id\": {cart}}}");
        format!("POST /payments/checkout\nIdempotency-Key: pay\n\n{body}")
    };
    for _ in 0..2 {
        assert_eq!(shop.ask(&keyed(other, DECLINED)).await.status, 402);
    }
    assert_eq!(shop.ask(&keyed(filled(&shop, 1).await, CARD)).await.status, 422);
    assert_eq!(charges(&simulator), 2);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_told_and_charges_once_in_the_end() {
    let (shop, simulator) = open_with(Limits { checkout: Duration::from_millis(50), ..Limits::default() }).await;
    simulator.simulated().set_rates(Rates { lost: 1_000, ..Rates::default() });
    simulator.simulated().script([Some(Fault::TimeoutAfter); 2]);
    let number = filled(&shop, 1).await;
    let seen = pay(&shop, number, CARD).await;
    assert_eq!((seen.status.as_u16(), &seen.json()["error"]), (503, &json!("PAYMENT_UNAVAILABLE")), "{seen:?}");
    assert!(seen.json()["message"].as_str().unwrap().contains("order 1"), "{seen:?}");
    let order = shop.site.read().order_numbered(shop.site.id(), 1).unwrap().unwrap();
    let mut feed = shop.site.feed();
    loop {
        let end = feed.end();
        if shop.site.read().order(order).unwrap().unwrap().1.money.captured == 2_500 {
            break;
        }
        assert!(feed.wait(end).await);
    }
    assert_eq!(pay(&shop, number, CARD).await.status, 200);
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn a_card_number_is_nowhere_but_at_the_provider() {
    let (shop, _) = open().await;
    for card in [CARD, DECLINED, "4242424242424241"] {
        let number = filled(&shop, 1).await;
        let seen = pay(&shop, number, card).await;
        assert!(!seen.body.contains(card) && !format!("{:?}", seen.headers).contains(card), "{seen:?}");
    }
    for wrong in [
        format!("{{\"credit_card_number\": {CARD}, \"shopping_cart_id\": 1}}"),
        format!("{{\"credit_card_number\": \"{CARD}\", \"shopping_cart_id\": \"{CARD}\"}}"),
        format!("{{\"credit_card_number\": \"{CARD}x\", \"shopping_cart_id\": 1}}"),
        format!("\"{CARD}\""),
        format!("{{\"{CARD}\""),
    ] {
        let seen = shop.ask(&format!("POST /payments/checkout\n\n{wrong}")).await;
        assert_eq!(seen.status, 400, "{wrong}");
        assert!(!seen.body.contains("4242"), "{seen:?}");
    }
    let (feed, mut after, mut entries) = (shop.site.feed(), Position::START, 0);
    loop {
        let items = feed.read(after, 100).unwrap();
        let Some(last) = items.last() else { break };
        after = last.position;
        entries += items.len();
        let text = format!("{items:?}");
        for card in [CARD, DECLINED, "4242424242424241"] {
            assert!(!text.contains(card), "a card number is in the journal");
        }
    }
    assert!(entries > 10);
}

#[tokio::test]
async fn the_warehouse_hands_out_what_it_has_set_aside() {
    let (shop, _) = open().await;
    assert_eq!(warehouse(&shop, "ship", 1).await.json()["message"], "Insufficient reserved inventory");
    for quantity in [2, 3, 1] {
        assert_eq!(warehouse(&shop, "reserve", quantity).await.status, 204);
    }
    let seen = warehouse(&shop, "reserve", 5).await;
    assert_eq!((seen.status.as_u16(), &seen.json()["error"]), (400, &json!("INSUFFICIENT_STOCK")), "{seen:?}");
    assert_eq!(stock(&shop).await["available"], 4);
    assert_eq!(warehouse(&shop, "ship", 4).await.status, 204, "of two reservations");
    let totals = stock(&shop).await;
    assert_eq!((&totals["on_hand"], &totals["committed"], &totals["available"]), (&json!(6), &json!(2), &json!(4)));
    let seen = warehouse(&shop, "ship", 3).await;
    assert_eq!((seen.status.as_u16(), &seen.json()["error"]), (400, &json!("INVALID_INPUT")), "{seen:?}");
    assert!(seen.json()["details"].as_str().unwrap().starts_with("2 units"), "{seen:?}");
    for _ in 0..2 {
        let keyed = "POST /warehouse/ship\nIdempotency-Key: s\n\n{\"product_id\": 7, \"quantity\": 2}";
        assert_eq!(shop.ask(keyed).await.status, 204, "a repeat is no second shipment");
    }
    assert_eq!(warehouse(&shop, "ship", 1).await.status, 400);
    let totals = stock(&shop).await;
    assert_eq!((&totals["on_hand"], &totals["committed"], &totals["available"]), (&json!(4), &json!(0), &json!(4)));
    // At once: nothing is set aside twice, and nothing handed out twice.
    let all =
        tokio::join!(warehouse(&shop, "reserve", 2), warehouse(&shop, "reserve", 2), warehouse(&shop, "reserve", 2),);
    let done = [all.0, all.1, all.2].iter().filter(|seen| seen.status == 204).count();
    assert_eq!((done, &stock(&shop).await["available"]), (2, &json!(0)));
    let all = tokio::join!(warehouse(&shop, "ship", 3), warehouse(&shop, "ship", 3));
    assert_eq!([all.0, all.1].iter().filter(|seen| seen.status == 204).count(), 1);
    assert_eq!(stock(&shop).await["on_hand"], 1);
}

/// Nothing of what the contract alone has made is counted, and it has no price.
#[tokio::test]
async fn a_client_of_the_contract_alone_comes_from_details_to_a_payment() {
    let (shop, simulator) = Shop::paying("main", Limits::default(), |access| access).await;
    details(&shop, 7).await;
    assert_eq!(warehouse(&shop, "reserve", 2).await.status, 204);
    assert_eq!(warehouse(&shop, "ship", 2).await.status, 204);
    let number = filled(&shop, 2).await;
    let paid = pay(&shop, number, CARD).await;
    assert_eq!((paid.status.as_u16(), &paid.json()["success"]), (200, &json!(true)), "{paid:?}");
    assert_eq!(charges(&simulator), 0, "what has no price costs nothing");
    // A product of another make is not given away.
    shop.ask("POST /api/v1/products\n\n{\"id\": \"8\", \"sku\": \"B-8\", \"title\": \"Lamp\"}").await;
    let number = cart(&shop, 3).await;
    assert_eq!(add(&shop, number, 8, 1).await.status, 204);
    assert_eq!(pay(&shop, number, CARD).await.json()["error"], "PRICE_MISSING");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_contracts_words() {
    let (shop, _) = open().await;
    let number = cart(&shop, 3).await;
    let items = format!("/shopping-carts/{number}/items");
    for (request, status, error) in [
        ("POST /shopping-carts\n\n{}".to_owned(), 400, "INVALID_INPUT"),
        ("POST /shopping-carts\n\n{\"customer_id\": 0}".to_owned(), 400, "INVALID_INPUT"),
        ("POST /shopping-carts\n\n{\"customer_id\": 2147483648}".to_owned(), 400, "INVALID_INPUT"),
        (format!("POST {items}\n\n{{\"product_id\": 7}}"), 400, "INVALID_INPUT"),
        (format!("POST {items}\n\n{{\"product_id\": 7, \"quantity\": 0}}"), 400, "INVALID_INPUT"),
        (format!("POST {items}\n\n{{\"product_id\": 0, \"quantity\": 1}}"), 400, "INVALID_INPUT"),
        (format!("POST {items}\n\n{{\"product_id\": 9, \"quantity\": 1}}"), 404, "NOT_FOUND"),
        ("POST /shopping-carts/x/items\n\n{\"product_id\": 7, \"quantity\": 1}".to_owned(), 400, "INVALID_INPUT"),
        ("GET /shopping-carts/0".to_owned(), 400, "INVALID_INPUT"),
        (format!("GET /shopping-carts/{}", number ^ 1), 404, "NOT_FOUND"),
        (format!("POST /shopping-carts/{}/checkout", number ^ 1), 404, "NOT_FOUND"),
        (format!("POST /shopping-carts/{number}/checkout"), 400, "CART_EMPTY"),
        ("POST /warehouse/reserve\n\n{\"product_id\": 9, \"quantity\": 1}".to_owned(), 404, "NOT_FOUND"),
        ("POST /warehouse/ship\n\n{\"product_id\": 9, \"quantity\": 1}".to_owned(), 404, "NOT_FOUND"),
        ("POST /warehouse/ship\n\n{\"product_id\": 7, \"quantity\": -1}".to_owned(), 400, "INVALID_INPUT"),
        (
            format!(
                "POST /payments/checkout\n\n{{\"credit_card_number\": \"{CARD}\", \"shopping_cart_id\": {}}}",
                number ^ 1
            ),
            404,
            "NOT_FOUND",
        ),
    ] {
        let seen = shop.ask(&request).await;
        assert_eq!((seen.status.as_u16(), seen.json()["error"].as_str()), (status, Some(error)), "{request} {seen:?}");
        assert!(seen.json()["message"].is_string(), "{seen:?}");
    }
    assert_eq!(shop.ask_as_anybody("POST /shopping-carts\n\n{}").await.json()["error"], "UNAUTHORIZED");
    assert_eq!(add(&shop, number, 7, 11).await.status, 204, "a cart holds nothing");
    let seen = shop.ask(&format!("POST /shopping-carts/{number}/checkout")).await;
    assert_eq!((seen.status.as_u16(), &seen.json()["error"]), (400, &json!("INSUFFICIENT_STOCK")));
}
