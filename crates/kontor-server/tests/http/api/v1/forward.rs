//! Two sites: what one is asked and the other decides.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kontor_core::session::{Mark, Session};
use kontor_server::Limits;
use kontor_server::forward::{Carrier, Errand, NotTold, Told};
use kontor_server::links::Shown;
use kontor_site::Site;
use serde_json::json;

use crate::check::{Seen, Shop};

/// What carries a write from one site to another.
pub(super) struct Wire {
    to: Arc<Shop>,
    key: String,
    carried: AtomicUsize,
    /// What goes wrong with the next one: before it is sent, or after.
    trouble: Mutex<Option<NotTold>>,
}

impl Carrier for Wire {
    fn carry(&self, errand: Errand) -> Pin<Box<dyn Future<Output = Result<Told, NotTold>> + Send + '_>> {
        Box::pin(async move {
            let trouble = self.trouble.lock().unwrap().take();
            if let Some(trouble @ NotTold::NotSent(_)) = trouble {
                return Err(trouble);
            }
            self.carried.fetch_add(1, Ordering::Relaxed);
            let Errand { method, path, headers, body } = errand;
            let headers: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let request = format!("{method} {path}\n{}\n\n{body}", headers.join("\n"));
            let Seen { status, headers, body } = self.to.ask_with(&self.key, &request).await;
            match trouble {
                Some(trouble) => Err(trouble),
                None => Ok(Told { status, headers, body: body.into() }),
            }
        })
    }
}

/// One site reads all that another has written.
pub(super) async fn reads(reader: &Site, of: &Site) {
    let (reader, of) = (reader.clone(), of.clone());
    let reading = tokio::task::spawn_blocking(move || {
        reader.enroll(of.id()).unwrap();
        let at = reader.status().journals.get(of.id()).map(|journal| journal.folded.clone()).unwrap();
        let groups = of.feed().groups(at.term, at.seq).unwrap();
        reader.read_in(of.id(), &groups).unwrap();
    });
    reading.await.unwrap();
}

fn show_link(from: &Shop, is_open: bool) {
    let mut session = Session::new(Mark::default(), 0);
    if is_open {
        session.answered(0, (0, 0), Mark::default());
    }
    let (url, has_read, answered_ms, error) = (String::new(), None, None, None);
    from.links.show("main", Shown { url, session, has_read, answered_ms, error });
}

/// `main` keeps the books of berlin; `west` has a link to it, and has read all.
pub(super) async fn two_sites() -> (Arc<Shop>, Shop, Arc<Wire>) {
    let main = Arc::new(Shop::stocked().await);
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    reads(&west.site, &main.site).await;
    let key = super::sites::key_for(&main, "west").await;
    let wire = Arc::new(Wire { to: main.clone(), key, carried: AtomicUsize::new(0), trouble: Mutex::default() });
    west.links.carries(main.site.id(), wire.clone());
    show_link(&west, true);
    (main, west, wire)
}

fn receive(key: &str, quantity: u32) -> String {
    format!(
        "POST /api/v1/stock/receive\nIdempotency-Key: {key}\n\n\
         {{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": {quantity}}}"
    )
}

async fn on_hand(shop: &Shop) -> serde_json::Value {
    shop.ask("GET /api/v1/stock/DESK").await.json()["totals"]["on_hand"].clone()
}

#[tokio::test]
async fn a_write_is_decided_by_the_site_that_keeps_the_books_and_answered_by_the_one_that_was_asked() {
    let (main, west, wire) = two_sites().await;
    let here = west.ask("GET /api/v1/products/DESK").await;
    assert_eq!(here.headers["kontor-site"], "west", "every answer says whose it is");
    let done = west.ask(&receive("one", 5)).await;
    assert_eq!((done.status.as_u16(), &done.headers["kontor-site"]), (201, &"main".parse().unwrap()), "{done:?}");
    let again = west.ask(&receive("one", 5)).await;
    assert_eq!((&again.body, &again.headers["idempotency-replayed"]), (&done.body, &"true".parse().unwrap()));
    assert_eq!(west.ask(&receive("one", 6)).await.code(), "idempotency_key_reused", "the other site knows the key");
    assert_eq!(on_hand(&main).await, 15);
    let movement = main.ask("GET /api/v1/movements?sku=DESK&page_size=1").await.json()["items"][0].clone();
    let actor = movement["actor"].as_str().unwrap();
    assert!(actor.starts_with("key:") && actor.ends_with("@west"), "{movement}");

    // What it says no to is told as it is.
    let line = "{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 99}";
    let issue =
        format!("POST /api/v1/stock/issue\nIdempotency-Key: i\n\n{{\"reference\": \"i\", \"lines\": [{line}]}}");
    let refused = west.ask(&issue).await;
    assert_eq!(
        (refused.code().as_str(), &refused.headers["kontor-site"]),
        ("insufficient_stock", &"main".parse().unwrap())
    );

    // A reservation is of the site that made it.
    let made = main
        .ask("POST /api/v1/reservations\nIdempotency-Key: r\n\n{\"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 1}]}")
        .await
        .json();
    reads(&west.site, &main.site).await;
    let commit = format!("POST /api/v1/reservations/{}/commit\nIdempotency-Key: c\n\n", made["id"].as_str().unwrap());
    let committed = west.ask(&commit).await;
    assert_eq!((committed.status.as_u16(), &committed.json()["status"]), (200, &json!("committed")), "{committed:?}");
    let unknown = format!("POST /api/v1/reservations/res_{}/commit\nIdempotency-Key: d\n\n", "0".repeat(32));
    assert_eq!(west.ask(&unknown).await.code(), "unknown_reservation", "nobody has made it");
    assert_eq!(wire.carried.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn without_a_link_or_a_key_it_is_said_who_decides() {
    let (main, west, wire) = two_sites().await;
    let said = |seen: Seen| {
        assert_eq!((seen.code().as_str(), seen.status.as_u16()), ("owned_elsewhere", 503));
        assert_eq!(seen.headers["kontor-site"], "west");
        let problem = seen.json();
        assert_eq!((&problem["site"], &problem["retryable"]), (&json!("main"), &json!(true)), "{problem}");
    };
    let rename = "PATCH /api/v1/locations/berlin\nIf-Match: *\n\n{\"name\": \"Berlin\"}";
    said(west.ask(rename).await);
    show_link(&west, false);
    said(west.ask(&receive("one", 5)).await);
    show_link(&west, true);
    *wire.trouble.lock().unwrap() = Some(NotTold::NotSent("nobody answers".into()));
    said(west.ask(&receive("one", 5)).await);
    assert_eq!((wire.carried.load(Ordering::Relaxed), on_hand(&main).await), (0, json!(10)));
    let keyed = rename.replace("If-Match", "Idempotency-Key: n\nIf-Match");
    assert_eq!(west.ask(&keyed).await.status, 200);
}

#[tokio::test]
async fn what_became_of_a_write_that_was_sent_is_not_known_and_is_told_by_the_same_request() {
    let (main, west, wire) = two_sites().await;
    *wire.trouble.lock().unwrap() = Some(NotTold::Unknown("the answer broke off".into()));
    let unknown = west.ask(&receive("one", 5)).await;
    assert_eq!((unknown.code().as_str(), unknown.status.as_u16()), ("outcome_unknown", 503));
    assert_eq!((&unknown.json()["site"], &unknown.json()["retryable"]), (&json!("main"), &json!(true)));
    let known = west.ask(&receive("one", 5)).await;
    assert_eq!((known.status.as_u16(), &known.headers["idempotency-replayed"]), (201, &"true".parse().unwrap()));
    assert_eq!(on_hand(&main).await, 15, "done once");
}

#[tokio::test]
async fn a_buyer_is_passed_on_with_the_token_that_the_site_of_the_cart_looks_at() {
    let (main, west, wire) = two_sites().await;
    super::carts::price(&main, "12.50").await;
    let (id, token) = super::carts::filled(&main, 1).await;
    let ask = |token: &str, path: &str, key: &str, body: &str| {
        format!("POST /api/v1{path}\nX-Cart-Token: {token}\nIdempotency-Key: {key}\n\n{body}")
    };
    let line = "{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 1}]}";
    let add = |token: &str| ask(token, &format!("/carts/{id}/lines"), "a", line);
    let added = west.ask_as_anybody(&add(&token)).await;
    assert_eq!((added.status.as_u16(), &added.headers["kontor-site"]), (200, &"main".parse().unwrap()), "{added:?}");
    assert_eq!(added.json()["lines"][0]["quantity"], 2);
    let again = west.ask_as_anybody(&add(&token)).await;
    assert_eq!(
        (&again.json()["lines"][0]["quantity"], &again.headers["idempotency-replayed"]),
        (&json!(2), &"true".parse().unwrap())
    );
    assert_eq!(west.ask_as_anybody(&add("wrong")).await.code(), "unknown_cart");

    let checkout = |query: &str| ask(&token, &format!("/carts/{id}/checkout{query}"), "c", "{}");
    let tried = west.ask_as_anybody(&checkout("?dry_run=true")).await;
    assert_eq!((tried.status.as_u16(), &tried.json()["dry_run"]), (200, &json!(true)), "{tried:?}");
    let placed = west.ask_as_anybody(&checkout("")).await;
    assert_eq!((placed.status.as_u16(), &placed.json()["number"]), (201, &json!("main-1")), "{placed:?}");
    reads(&west.site, &main.site).await;
    let cancel = ask(&token, "/orders/main-1/cancel", "n", "{}");
    assert_eq!(west.ask_as_anybody(&ask("wrong", "/orders/main-1/cancel", "n", "{}")).await.code(), "unknown_order");
    assert_eq!(west.ask_as_anybody(&cancel).await.json()["status"], "canceled");
    let steps = main.ask("GET /api/v1/orders/main-1/timeline").await.json();
    assert_eq!(steps["items"][1]["actor"], "buyer@west", "{steps}");

    // What a site says of a buyer opens nothing else.
    let refund =
        "POST /api/v1/orders/main-1/refunds\nKontor-Actor: buyer@west\nIdempotency-Key: r\n\n{\"amount\": \"1\"}";
    assert_eq!(main.ask_with(&wire.key, refund).await.code(), "forbidden");
    let tokenless = add("x").replace("X-Cart-Token: x", "Kontor-Actor: buyer@west");
    assert_eq!(main.ask_with(&wire.key, &tokenless).await.code(), "unauthenticated");
}

#[tokio::test]
async fn only_a_site_asks_for_somebody_and_only_for_what_may_be_passed_on() {
    let (main, _west, wire) = two_sites().await;
    let asks = |actor: &str, request: &str| request.replacen('\n', &format!("\nKontor-Actor: {actor}\n"), 1);
    let named = asks("key:admin@west", &receive("two", 1));
    for (key, request) in [
        (&main.key, named.clone()),
        (&wire.key, asks("key:admin@east", &receive("two", 1))),
        (&wire.key, receive("two", 1)),
        (
            &wire.key,
            asks("key:admin@west", "POST /api/v1/products\nIdempotency-Key: p\n\n{\"sku\": \"X\", \"title\": \"X\"}"),
        ),
        (&wire.key, asks("key:admin@west", "GET /api/v1/reservations\nIdempotency-Key: p")),
        (&wire.key, asks("key:admin@west", "PATCH /api/v1/locations/berlin\nIf-Match: *\n\n{\"name\": \"B\"}")),
    ] {
        assert_eq!(main.ask_with(key, &request).await.code(), "forbidden", "{request}");
    }
    assert_eq!(main.ask_with(&wire.key, &asks("nobody", &receive("two", 1))).await.code(), "invalid_request");
    assert_eq!(main.ask_as_anybody(&named).await.code(), "forbidden");
    assert_eq!(main.ask_with(&wire.key, &named).await.status, 201);

    // It is never passed on a second time.
    let far = Shop::of_site("far", Limits::default(), |access| access).await;
    far.ask("POST /api/v1/locations\n\n{\"id\": \"harbour\", \"name\": \"Harbour\"}").await;
    reads(&main.site, &far.site).await;
    let there = asks("key:admin@west", &receive("three", 1).replace("berlin", "harbour"));
    let refused = main.ask_with(&wire.key, &there).await;
    assert_eq!((refused.code().as_str(), &refused.json()["site"]), ("owned_elsewhere", &json!("far")));
    assert!(refused.body.contains("passed on once already"), "{}", refused.body);
}
