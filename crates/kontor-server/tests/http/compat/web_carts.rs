//! Carts and orders of the shop's users: one cart each, one order for each cart, and money that is taken once.

use std::path::Path;
use std::time::Duration;

use kontor_payments::simulated::{Fault, Rates, Simulated, Simulator};
use kontor_server::{Limits, Payments};
use serde_json::{Value, json};

use crate::check::{Seen, Shop};

/// With a desk for 25.10 and a lamp for 3.33.
async fn open() -> (Shop, Simulator) {
    let (shop, simulator) = Shop::paying("main", Limits::default(), |access| access).await;
    priced(&shop).await;
    (shop, simulator)
}

async fn priced(shop: &Shop) {
    for (id, name, price) in [(1, "Desk", "25.10"), (2, "Lamp", "3.33")] {
        let body = format!("{{\"productId\": \"{id}\", \"name\": \"{name}\", \"price\": {price}}}");
        assert_eq!(shop.ask(&format!("POST /products\n\n{body}")).await.status, 201);
    }
}

async fn add(shop: &Shop, user: &str, product: i32, quantity: i64) -> Seen {
    shop.ask(&format!("POST /cart/{user}/items\n\n{{\"product_id\": {product}, \"quantity\": {quantity}}}")).await
}

async fn set(shop: &Shop, user: &str, product: i32, quantity: i64) -> Seen {
    shop.ask(&format!("PUT /cart/{user}/items/{product}\n\n{{\"quantity\": {quantity}}}")).await
}

async fn cart(shop: &Shop, user: &str) -> Value {
    let seen = shop.ask(&format!("GET /cart/{user}")).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    seen.json()
}

async fn check_out(shop: &Shop, user: &str) -> Seen {
    shop.ask(&format!("POST /cart/{user}/checkout")).await
}

/// Orders of the site, as its own API has them.
fn orders(shop: &Shop) -> usize {
    let of = kontor_core::order::OrderList::All;
    shop.site.read().orders(of, None, None, 100).unwrap().orders.len()
}

/// What the provider has paid out, in cents, over all payments.
fn paid_out(simulator: &Simulator) -> Vec<i64> {
    let ledger = simulator.simulated().ledger();
    let mut paid: Vec<i64> = ledger.values().map(|line| line.captured).filter(|captured| *captured > 0).collect();
    paid.sort_unstable();
    paid
}

/// Waits until the site's books say something: each entry is looked at, and nothing sleeps.
async fn until(shop: &Shop, mut is_so: impl FnMut(&Shop) -> bool) {
    let mut feed = shop.site.feed();
    loop {
        let end = feed.end();
        if is_so(shop) {
            return;
        }
        assert!(feed.wait(end).await);
    }
}

fn all_paid(shop: &Shop) -> bool {
    let of = kontor_core::order::OrderList::All;
    let orders = shop.site.read().orders(of, None, None, 100).unwrap().orders;
    orders.iter().all(|now| now.order.payment_status == kontor_core::order::OrderPayment::Paid)
}

#[tokio::test]
async fn a_cart_is_filled_changed_and_ordered() {
    let (shop, simulator) = open().await;
    let empty = cart(&shop, "u-1").await;
    assert_eq!((&empty["user_id"], &empty["items"], &empty["total"]), (&json!("u-1"), &json!([]), &json!(0)));
    assert_eq!(set(&shop, "u-1", 1, 3).await.json()["error"], "Cart not found");
    assert_eq!(add(&shop, "u-1", 1, 2).await.status, 200);
    add(&shop, "u-1", 1, 1).await;
    let filled = add(&shop, "u-1", 2, 10).await.json();
    assert_eq!(
        (&filled["items"], filled["total"].to_string().as_str()),
        (
            &json!([
                {"product_id": 1, "quantity": 3, "price": 25.1},
                {"product_id": 2, "quantity": 10, "price": 3.33},
            ]),
            "108.6"
        )
    );
    assert_eq!(set(&shop, "u-1", 2, 1).await.json()["total"], 78.63);
    assert_eq!(set(&shop, "u-1", 2, 0).await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(set(&shop, "u-1", 2, 1).await.json()["error"], "Item not in cart");
    // What it cost when it was put there, it costs.
    shop.ask("PUT /v1/admin/products/set\n\n{\"products\": [{\"productId\": \"1\", \"price\": 99}]}").await;
    assert_eq!(add(&shop, "u-1", 1, 1).await.json()["total"], 100.4);

    let seen = check_out(&shop, "u-1").await;
    assert_eq!(seen.status, 201, "{seen:?}");
    let placed = seen.json();
    let (order, payment) = (&placed["order"], &placed["payment"]);
    assert_eq!(
        (&order["user_id"], &order["status"], &order["total"], &order["items"]),
        (&json!("u-1"), &json!("confirmed"), &json!(100.4), &json!([{"product_id": 1, "quantity": 4, "price": 25.1}]))
    );
    assert_eq!(
        (&payment["status"], &payment["amount"], &payment["retry_info"]["success"], &placed["recovery_applied"]),
        (&json!("success"), &json!(100.4), &json!(true), &json!(false))
    );
    assert!(payment["transaction_id"].as_str().is_some_and(|id| id.starts_with("pay_")), "{payment}");
    let id = placed["order_id"].as_str().unwrap();
    assert_eq!(order["order_id"], id, "at both places: some clients look for it here, some there");
    let read = shop.ask(&format!("GET /orders/{id}")).await.json();
    assert_eq!(read, *order);
    let digits = id.rsplit_once('-').unwrap().1;
    let own = shop.ask(&format!("GET /orders/ord_{digits}")).await.json();
    assert_eq!((&own["total"], &own["user_id"]), (&json!(100.4), &Value::Null));
    assert_eq!(shop.ask(&format!("GET /orders/ORD-u-2-{digits}")).await.status, 404, "it is another user's");
    assert_eq!(cart(&shop, "u-1").await["items"], json!([]));
    until(&shop, all_paid).await;
    assert_eq!(paid_out(&simulator), [10_040]);
}

#[tokio::test]
async fn what_is_no_cart_is_refused_in_the_shops_words() {
    let (shop, _) = open().await;
    shop.ask("POST /api/v1/products\n\n{\"sku\": \"9\", \"title\": \"Free\"}").await;
    for (request, status, error) in [
        ("POST /cart/u1/items\n\n{\"product_id\": 1, \"quantity\": 0}", 400, "Quantity must be positive"),
        ("POST /cart/u1/items\n\n{\"product_id\": 1, \"quantity\": -1}", 400, "Quantity must be positive"),
        ("POST /cart/u1/items\n\n{\"product_id\": 1.5, \"quantity\": 1}", 400, "Invalid request body"),
        ("POST /cart/u1/items\n\n{\"quantity\": 1}", 400, "Invalid request body"),
        ("POST /cart/u1/items\n\nx", 400, "Invalid request body"),
        ("POST /cart/u1/items\n\n{\"product_id\": 7, \"quantity\": 1}", 404, "Product not found"),
        ("POST /cart/u1/items\n\n{\"product_id\": 9, \"quantity\": 1}", 400, "Product has no price"),
        ("PUT /cart/u1/items/1\n\n{}", 400, "Invalid request body"),
        ("POST /cart/u1/checkout", 400, "Cart is empty"),
        ("POST /cart/u1/checkout\n\nx", 400, "Invalid request body"),
        ("GET /orders/ORD-u1-1", 404, "Order not found"),
        ("GET /orders/none", 404, "Order not found"),
    ] {
        let seen = shop.ask(request).await;
        assert_eq!((seen.status.as_u16(), seen.json()["error"].as_str()), (status, Some(error)), "{request}");
    }
    for path in ["GET /cart/u1", "POST /cart/u1/checkout", "GET /orders/none"] {
        assert_eq!(shop.ask_as_anybody(path).await.status, 401, "{path}: nobody reads the cart of somebody else");
    }
    let long = "u".repeat(129);
    assert_eq!(shop.ask(&format!("GET /cart/{long}")).await.status, 400);
}

#[tokio::test]
async fn a_double_click_is_one_order_and_one_charge() {
    let (shop, simulator) = open().await;
    simulator.simulated().set_rates(Rates { latency_ms: 20, ..Rates::default() });
    add(&shop, "u1", 1, 1).await;
    // At once, through two doors of the site.
    let other = Shop::again(shop.site.clone(), Limits::default(), |access| access, &simulator).await;
    let (first, second, third) = tokio::join!(check_out(&shop, "u1"), check_out(&shop, "u1"), check_out(&other, "u1"));
    // And a moment later.
    let late = check_out(&shop, "u1").await;
    for seen in [&second, &third, &late] {
        assert_eq!((first.status.as_u16(), seen.status.as_u16()), (201, 201), "{first:?} {seen:?}");
        assert_eq!(first.json()["order_id"], seen.json()["order_id"]);
    }
    until(&shop, all_paid).await;
    assert_eq!((orders(&shop), paid_out(&simulator)), (1, vec![2_510]));
    // A new cart is a new order, and its predecessor is not meant any more.
    add(&shop, "u1", 2, 1).await;
    let next = check_out(&shop, "u1").await;
    assert_eq!(next.status, 201);
    assert_ne!(next.json()["order_id"], first.json()["order_id"]);
    add(&shop, "u1", 2, 1).await;
    set(&shop, "u1", 2, 0).await;
    assert_eq!(check_out(&shop, "u1").await.json()["error"], "Cart is empty");
    until(&shop, all_paid).await;
    assert_eq!((orders(&shop), paid_out(&simulator)), (2, vec![333, 2_510]));
}

#[tokio::test]
async fn a_key_gets_its_order_again_whatever_is_in_the_cart() {
    let (shop, simulator) = open().await;
    add(&shop, "u1", 1, 1).await;
    let keyed = "POST /cart/u1/checkout\nIdempotency-Key: click";
    let first = shop.ask(keyed).await.json();
    add(&shop, "u1", 2, 1).await;
    assert_eq!(shop.ask(keyed).await.json()["order_id"], first["order_id"]);
    assert_eq!(cart(&shop, "u1").await["total"], 3.33, "what was put there since is still there");
    set(&shop, "u1", 2, 0).await;
    assert_eq!(shop.ask(keyed).await.json()["order_id"], first["order_id"]);
    for _ in 0..2 {
        shop.ask("POST /cart/u2/items\nIdempotency-Key: add\n\n{\"product_id\": 1, \"quantity\": 2}").await;
    }
    assert_eq!(cart(&shop, "u2").await["items"][0]["quantity"], 2);
    until(&shop, all_paid).await;
    assert_eq!(paid_out(&simulator), [2_510]);
}

#[tokio::test]
async fn clicks_that_come_together_lose_nothing() {
    let (shop, _) = open().await;
    let clicks = (0..20).map(|at| add(&shop, "u1", 1 + at % 2, 1));
    let seen = futures_join(clicks).await;
    assert!(seen.iter().all(|seen| seen.status == 200), "{seen:?}");
    let items = cart(&shop, "u1").await["items"].clone();
    let mut quantities: Vec<u64> =
        items.as_array().unwrap().iter().map(|item| item["quantity"].as_u64().unwrap()).collect();
    quantities.sort_unstable();
    assert_eq!(quantities, [10, 10]);
}

/// All of them at once.
async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = one.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        match all.iter().all(|(_, done)| done.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn a_declined_card_leaves_the_cart_and_the_order_waits_for_another_try() {
    let (shop, simulator) = open().await;
    add(&shop, "u1", 1, 1).await;
    let declined = "POST /cart/u1/checkout\n\n{\"payment_method\": \"pm_card_visa_chargeDeclined\"}";
    let seen = shop.ask(declined).await;
    let body = seen.json();
    assert_eq!(
        (seen.status.as_u16(), &body["order"]["status"], &body["payment"]["status"]),
        (402, &json!("payment_failed"), &json!("failed")),
        "{seen:?}"
    );
    let id = body["order_id"].as_str().unwrap();
    let read = shop.ask(&format!("GET /orders/{id}")).await.json();
    assert_eq!((&read["status"], &read["total"]), (&json!("payment_failed"), &json!(25.1)), "it can be looked up");
    assert_eq!(cart(&shop, "u1").await["total"], 25.1, "and the cart is still there");
    // The same order, with another card.
    let again = check_out(&shop, "u1").await;
    assert_eq!((again.status.as_u16(), again.json()["order_id"].as_str()), (201, Some(id)));
    assert_eq!(again.json()["payment"]["retry_info"]["attempts"], 2);
    until(&shop, all_paid).await;
    assert_eq!((orders(&shop), paid_out(&simulator)), (1, vec![2_510]));

    // Whoever changes the cart after a no gives up the order, and makes another one.
    add(&shop, "u2", 1, 1).await;
    let declined = shop.ask(&declined.replace("u1", "u2")).await.json();
    let changed = add(&shop, "u2", 2, 1).await.json();
    assert_eq!(changed["total"], 28.43);
    let canceled = shop.ask(&format!("GET /orders/{}", declined["order_id"].as_str().unwrap())).await.json();
    assert_eq!(canceled["status"], "payment_failed");
    let next = check_out(&shop, "u2").await;
    assert_eq!((next.status.as_u16(), &next.json()["order"]["total"]), (201, &json!(28.43)));
    assert_ne!(next.json()["order_id"], declined["order_id"]);
    // Or throws it away.
    add(&shop, "u3", 1, 1).await;
    shop.ask("POST /cart/u3/checkout\n\n{\"payment_method\": \"pm_card_visa_chargeDeclined\"}").await;
    assert_eq!(set(&shop, "u3", 1, 0).await.json()["items"], json!([]));
    assert_eq!(check_out(&shop, "u3").await.json()["error"], "Cart is empty");
}

#[tokio::test]
async fn who_does_not_wait_any_longer_finds_the_order_paid_later() {
    let limits = Limits { checkout: Duration::from_millis(50), ..Limits::default() };
    let (shop, simulator) = Shop::paying("main", limits, |access| access).await;
    shop.ask("POST /products\n\n{\"productId\": \"1\", \"name\": \"Desk\", \"price\": 25.1}").await;
    // Nor does it tell by itself.
    simulator.simulated().set_rates(Rates { lost: 1_000, ..Rates::default() });
    simulator.simulated().script([Some(Fault::TimeoutAfter); 2]);
    add(&shop, "u1", 1, 1).await;
    let seen = check_out(&shop, "u1").await;
    let body = seen.json();
    assert_eq!(
        (seen.status.as_u16(), &body["order"]["status"], &body["recovery_applied"]),
        (503, &json!("payment_service_unavailable"), &json!(true)),
        "{seen:?}"
    );
    assert!(seen.headers.contains_key("retry-after") && body["recovery_details"].is_string());
    assert_eq!(cart(&shop, "u1").await["items"], json!([]), "an order that goes on is no cart");
    until(&shop, all_paid).await;
    let read = shop.ask(&format!("GET /orders/{}", body["order_id"].as_str().unwrap())).await.json();
    assert_eq!(read["status"], "confirmed");
    let again = check_out(&shop, "u1").await;
    assert_eq!((again.status.as_u16(), &again.json()["order_id"]), (201, &body["order_id"]));
    assert_eq!((orders(&shop), paid_out(&simulator)), (1, vec![2_510]), "the provider has done it the first time");
}

/// Nothing of a cart is in memory alone.
#[test]
fn a_cart_is_found_again_after_a_start() {
    let data = tempfile::tempdir().unwrap();
    let simulator = Simulator::new(Simulated::new(7), Payments::now());
    let placed = run(data.path(), &simulator, async |shop| {
        priced(shop).await;
        let mut placed = Vec::new();
        for _ in 0..3 {
            add(shop, "u1", 1, 1).await;
            placed.push(check_out(shop, "u1").await.json()["order_id"].clone());
        }
        add(shop, "u1", 2, 2).await;
        until(shop, all_paid).await;
        placed
    });
    run(data.path(), &simulator, async |shop| {
        assert_eq!(cart(shop, "u1").await["total"], 6.66);
        assert_eq!(add(shop, "u1", 2, 1).await.json()["items"][0]["quantity"], 3);
        assert_eq!(cart(shop, "u2").await["items"], json!([]), "another user's is another one");
        let next = check_out(shop, "u1").await.json();
        assert!(!placed.contains(&next["order_id"]), "{next}");
        let first = shop.ask(&format!("GET /orders/{}", placed[0].as_str().unwrap())).await.json();
        assert_eq!((&first["user_id"], &first["total"]), (&json!("u1"), &json!(25.1)));
        until(shop, all_paid).await;
    });
    assert_eq!(paid_out(&simulator), [999, 2_510, 2_510, 2_510]);
}

/// From a start of the site to its stop. Its worker ends with the runtime.
fn run<T>(data: &Path, simulator: &Simulator, story: impl AsyncFnOnce(&Shop) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (told, site) = runtime.block_on(async {
        let shop = Shop::again(Shop::site_in(data), Limits::default(), |access| access, simulator).await;
        let told = story(&shop).await;
        (told, shop.site.clone())
    });
    drop(runtime);
    site.close().unwrap();
    told
}

/// Requests of the load experiments, in their proportions: every answer is one that they take for a success, and
/// every order is paid once.
#[tokio::test]
async fn the_mixes_of_the_load_experiments_get_the_answers_that_they_expect() {
    let (shop, simulator) = open().await;
    let mut rng = fastrand::Rng::with_seed(11);
    let read_heavy =
        [("search", 40), ("view", 30), ("cart", 10), ("add", 5), ("set", 3), ("checkout", 2), ("health", 10)];
    let write_heavy = [
        ("add", 30),
        ("set", 25),
        ("checkout", 20),
        ("search", 10),
        ("view", 5),
        ("cart", 5),
        ("order", 3),
        ("health", 2),
    ];
    let basic = [("search", 10), ("health", 4), ("no query", 1)];
    let (mut placed, mut last_order) = (Vec::new(), None::<String>);
    for mix in [&basic[..], &read_heavy, &write_heavy] {
        let sum: u32 = mix.iter().map(|(_, weight)| weight).sum();
        for _ in 0..100 {
            let mut drawn = rng.u32(..sum);
            let kind = mix.iter().find(|(_, weight)| drawn.checked_sub(*weight).map(|rest| drawn = rest).is_none());
            let (user, product) = (format!("user-{}", rng.u32(1..=5)), rng.i32(1..=2));
            let (seen, expected): (Seen, &[u16]) = match kind.unwrap().0 {
                "search" => (shop.ask("GET /products/search?q=desk").await, &[200]),
                "no query" => (shop.ask("GET /products/search").await, &[400]),
                "view" => (shop.ask(&format!("GET /products/{product}")).await, &[200]),
                "cart" => (shop.ask(&format!("GET /cart/{user}")).await, &[200]),
                "add" => (add(&shop, &user, product, rng.i64(1..=5)).await, &[200]),
                "set" => {
                    let quantity = if rng.u8(..5) == 0 { 0 } else { rng.i64(1..=10) };
                    (set(&shop, &user, product, quantity).await, &[200, 404])
                }
                "checkout" => {
                    let seen = check_out(&shop, &user).await;
                    if seen.status == 201 {
                        let id = seen.json()["order_id"].as_str().unwrap().to_owned();
                        placed.push(id.clone());
                        last_order = Some(id);
                    }
                    (seen, &[201, 400])
                }
                "order" => match &last_order {
                    Some(id) => (shop.ask(&format!("GET /orders/{id}")).await, &[200]),
                    None => (shop.ask("GET /orders/none").await, &[404]),
                },
                _ => (shop.ask("GET /health").await, &[200]),
            };
            assert!(expected.contains(&seen.status.as_u16()), "{kind:?}: {seen:?}");
        }
    }
    placed.sort();
    placed.dedup();
    assert!(placed.len() > 5, "only {} orders were placed", placed.len());
    until(&shop, all_paid).await;
    let of = kontor_core::order::OrderList::All;
    let orders = shop.site.read().orders(of, None, None, 100).unwrap().orders;
    let mut owed: Vec<i64> = orders.iter().map(|now| now.order.total).collect();
    owed.sort_unstable();
    assert_eq!((placed.len(), &owed), (orders.len(), &paid_out(&simulator)));
}
