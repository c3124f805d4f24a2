//! One item, far more buyers than units: exactly as many are sold as there were.

use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};

use crate::support::http::{Answer, Client};
use crate::support::server::{Server, assert_sound};
use crate::support::shop::{self, PLACE};
use crate::support::{prove, say};

const UNITS: u64 = 1_000;
const CLIENTS: usize = 64;

#[test]
fn a_thousand_units_are_sold_a_thousand_times() {
    let buyers = if prove() { 20_000 } else { 2_000 };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let mut client = server.client();
    shop::open_place(&mut client);
    shop::add_product(&mut client, "HOT", "Concert ticket");
    shop::receive(&mut client, "HOT", UNITS);

    let next = Mutex::new(0..buyers);
    let sold = Mutex::new(0_u64);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = [Client::new(server.address), Client::new(server.address)];
                loop {
                    let buyer = next.lock().expect("no client panics with it").next();
                    let Some(buyer) = buyer else { break };
                    if buy(&mut client, buyer) {
                        *sold.lock().expect("no client panics with it") += 1;
                    }
                }
            });
        }
    });

    let sold = sold.into_inner().expect("no client panics with it");
    let level = shop::level(&mut client, "HOT");
    let on_hand = level["on_hand"].as_u64().expect("on_hand");
    let committed = level["committed"].as_u64().expect("committed");
    assert_eq!(sold, UNITS, "{level}");
    assert_eq!((level["available"].as_i64(), level["reserved"].as_u64()), (Some(0), Some(0)));
    assert_eq!(UNITS - on_hand + committed, UNITS, "handed out and promised: {level}");
    server.stop();
    assert_sound(&data);
    say("buyers", &format!("{buyers} buyers by {CLIENTS} clients, {UNITS} units: {sold} sold"));
}

/// Every second buyer takes the unit at the counter; the others reserve and commit. Everybody asks
/// twice at once. Whether the buyer got one.
fn buy(client: &mut [Client; 2], buyer: u32) -> bool {
    let key = format!("buyer-{buyer}");
    let lines = json!([{"sku": "HOT", "location": PLACE, "quantity": 1}]);
    if buyer.is_multiple_of(2) {
        return twice(client, "/api/v1/stock/issue", &key, &json!({"reference": key, "lines": lines}));
    }
    let id = shop::reservation_id(&key);
    let reservation = json!({"id": id, "lines": lines, "ttl_s": 600});
    if !twice(client, "/api/v1/reservations", &key, &reservation) {
        return false;
    }
    let path = format!("/api/v1/reservations/{id}/commit");
    assert!(twice(client, &path, &format!("{key}-commit"), &json!({})), "a held unit is there");
    true
}

/// Sends a request under one key on two connections at the same moment: one of them has the effect, and the
/// other is told the same word for word. A refusal says what was wanted and what there was.
fn twice(clients: &mut [Client; 2], path: &str, key: &str, body: &Value) -> bool {
    // Both are on their way before either is answered.
    for client in clients.iter_mut() {
        client.begin_post(path, key, body).expect("up");
    }
    let [first, second] = clients.each_mut().map(|client| client.end(false).expect("up"));
    if first.is_success() {
        assert!(second.is_success(), "{} {}", second.status, second.text());
        assert_ne!(first.is_replayed(), second.is_replayed(), "one effect, told twice");
        assert_eq!((first.status, first.text()), (second.status, second.text()));
        return true;
    }
    assert_short(&first);
    assert_short(&second);
    false
}

fn assert_short(answer: &Answer) {
    let problem = answer.json();
    assert_eq!((answer.status, answer.code().as_str()), (409, "insufficient_stock"), "{problem}");
    assert_eq!(
        (&problem["sku"], &problem["location"], &problem["wanted"], &problem["available"]),
        (&json!("HOT"), &json!(PLACE), &json!(1), &json!(0)),
    );
}

#[test]
fn an_expired_hold_goes_to_the_next_request_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&folder.path().join("data"));
    let mut client = server.client();
    shop::open_place(&mut client);
    shop::add_product(&mut client, "LAST", "The last one");
    shop::receive(&mut client, "LAST", 1);

    let lines = json!([{"sku": "LAST", "location": PLACE, "quantity": 1}]);
    let hold = json!({"lines": lines, "ttl_s": 1});
    let hold = client.post("/api/v1/reservations", "first", &hold).expect("up").success().json();
    let expires_at = time(&hold["expires_at"]);

    // Asking without a pause: the first request that the site takes after the deadline must win.
    let wish = json!({"lines": lines, "ttl_s": 60});
    let mut refusals = 0;
    let won = loop {
        let answer = client.post("/api/v1/reservations", "second", &wish).expect("up");
        if answer.is_success() {
            break answer.json();
        }
        assert_eq!(answer.code(), "insufficient_stock", "{}", answer.text());
        refusals += 1;
        assert!(refusals < 1_000_000, "the hold never ends");
    };
    let late = time(&won["created_at"]).duration_since(expires_at);
    assert!(refusals > 0, "the hold was never respected");
    assert!(!late.is_negative(), "sold {late} before the hold ended");
    assert!(late < jiff::SignedDuration::from_millis(250), "{late} late is not at once");
    let path = format!("/api/v1/reservations/{}", hold["id"].as_str().expect("an id"));
    let first = client.get(&path).expect("up").success().json();
    assert_eq!(first["status"], "expired");
    server.stop();
    say("buyers", &format!("{refusals} refusals, then sold {late:?} after the hold had ended"));
}

fn time(value: &Value) -> jiff::Timestamp {
    value.as_str().expect("a time").parse().expect("RFC 3339")
}
