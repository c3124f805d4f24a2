//! Real input as orders and money: the first trading days of a real gift retailer, each invoice a cart, a checkout
//! and a payment, each cancellation a refund, by sixteen tills at once. Every request is sent twice, and one of ten
//! requests to the payment provider goes wrong: it declines, is silent before or after it has done what was asked,
//! fails, is busy, and reports by itself, twice and late.
//!
//! How the rows are read: as in `retail.rs`, and
//! - Prices are pounds; the few with a third decimal are rounded to the penny.
//! - A row of a cancellation gives back units of the last invoice of the same customer that has so many of them
//!   left, at the price that was paid there. Where there is none, the units come back and no money goes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kontor_payments::fake::{Fake, SECRET_KEY, WEBHOOK_SECRET};
use kontor_payments::simulated::{Fault, Rates};
use kontor_site::clock::{Stopwatch, wall_ms};
use serde_json::{Value, json};

use crate::support::http::{Answer, Client};
use crate::support::server::{Server, assert_sound, serve};
use crate::support::shop::{self, PLACE};
use crate::support::{HANG, prove, say};

const TILLS: usize = 16;

/// Where the real books are, beside the repository.
const BOOKS: &str = "../shared/data/online-retail-sample.csv.gz";

/// Invoices that are sold in the short form.
const FEW: usize = 60;

/// One row of the books.
#[derive(Clone)]
struct Row {
    invoice: String,
    sku: String,
    quantity: i64,
    pennies: i64,
    customer: String,
}

/// What one invoice sells, and what comes back of it later.
struct Sale {
    invoice: String,
    /// SKU, units, price.
    lines: Vec<(String, u64, i64)>,
    refunds: Vec<Refund>,
}

struct Refund {
    key: String,
    sku: String,
    units: u64,
    pennies: i64,
}

/// What is left of a line of an invoice: which sale, units, price.
type Left = (usize, u64, i64);

/// Everything that is to happen, and what it must come to.
#[derive(Default)]
struct Plan {
    sales: Vec<Sale>,
    /// Units that come back without an invoice that they could be of.
    corrections: Vec<(String, String, u64)>,
    opening: BTreeMap<String, u64>,
    on_hand: BTreeMap<String, i64>,
    taken: i64,
    given_back: i64,
}

#[test]
fn every_penny_of_a_real_retailer_is_where_it_belongs() {
    let rows = read_books().unwrap_or_else(|reason| {
        say("orders", &format!("{reason}; telling the story with invented invoices"));
        invented_books()
    });
    let plan = plan(&rows, if prove() { usize::MAX } else { FEW });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let bank = Fake::start(536_365, wall_ms()).expect("a port is free");
    bank.set_rates(Rates { again: 200, times: 10, ..Rates::of_all(100) });
    let server = start(&data, &bank, 1_000);

    let mut client = server.client();
    shop::open_place(&mut client);
    for (sku, quantity) in &plan.opening {
        shop::add_product(&mut client, sku, sku);
        shop::receive(&mut client, sku, *quantity);
    }
    let watch = Stopwatch::start();
    sell(&server, &bank, &plan);
    let seconds = watch.seconds();

    // The connection of the beginning has rested for too long.
    let mut client = server.client();
    let (mut captured, mut refunded) = (0, 0);
    for order in all_orders(&mut client) {
        assert_eq!(order["status"], "completed", "{order}");
        captured += pennies(&order["captured"]);
        refunded += pennies(&order["refunded"]);
    }
    assert_eq!((captured, refunded), (plan.taken, plan.given_back), "money in and out, by the orders");
    let ledger = bank.ledger();
    let (paid, back) = ledger.values().fold((0, 0), |sum, line| (sum.0 + line.captured, sum.1 + line.refunded));
    assert_eq!((paid, back), (plan.taken, plan.given_back), "money in and out, by the bank");
    assert!(ledger.values().all(|line| line.captures <= 1 && line.held() == 0), "nothing twice, nothing left aside");
    for (sku, on_hand) in &plan.on_hand {
        let level = shop::level(&mut client, sku);
        assert_eq!(level["on_hand"].as_i64(), Some(*on_hand), "{sku}: {level}");
        assert_eq!((&level["reserved"], &level["committed"]), (&json!(0), &json!(0)), "{sku}: {level}");
    }
    server.stop();
    assert_sound(&data);
    say(
        "orders",
        &format!(
            "{} orders, {} refunds, {} corrections, each request twice by {TILLS} tills, {} requests to a provider of \
             which a tenth went wrong: £{}.{:02} in, £{}.{:02} back, as the file says; {seconds:.1} s",
            plan.sales.len(),
            plan.sales.iter().map(|sale| sale.refunds.len()).sum::<usize>(),
            plan.corrections.len(),
            bank.requests().len(),
            plan.taken / 100,
            plan.taken % 100,
            plan.given_back / 100,
            plan.given_back % 100,
        ),
    );
}

/// Killed when the bank has done what was asked and has not said so: first when money was set aside, then when it
/// was paid out.
#[test]
fn a_server_that_is_killed_while_the_bank_is_asked_charges_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let bank = Fake::start(1, wall_ms()).expect("a port is free");
    let server = start(&data, &bank, 30_000);
    let mut client = server.client();
    shop::open_place(&mut client);
    shop::add_product(&mut client, "MUG", "Mug");
    shop::receive(&mut client, "MUG", 5);
    bank.script([Some(Fault::TimeoutAfter), None, Some(Fault::TimeoutAfter)]);
    let lines = json!([{"sku": "MUG", "quantity": 2, "price": "4.50"}]);
    let cart = json!({"currency": "GBP", "lines": lines});
    let cart = client.post("/api/v1/carts", "cart", &cart).expect("up").success().json();
    let checkout = format!("/api/v1/carts/{}/checkout", cart["id"].as_str().expect("an id"));
    let pays = json!({"payment_method": "pm_card_visa"});
    let order = client.post(&checkout, "checkout", &pays).expect("up").success().json();
    let path = format!("/api/v1/orders/{}", order["id"].as_str().expect("an id"));

    until(|| bank.ledger().values().any(|line| line.authorizations == 1));
    server.kill();
    let server = start(&data, &bank, 30_000);
    until(|| bank.ledger().values().any(|line| line.captures == 1));
    server.kill();
    let server = start(&data, &bank, 30_000);
    let mut client = server.client();
    let order = wait_until(&mut client, &path, |order| order["payment_status"] == "paid");
    assert_eq!((&order["status"], pennies(&order["captured"])), (&json!("confirmed"), 900), "{order}");
    let again = client.post(&checkout, "another-click", &pays).expect("up").success().json();
    assert_eq!(again["id"], order["id"], "the same order, whatever the key");
    let ledger: Vec<_> = bank.ledger().into_values().collect();
    let [line] = &ledger[..] else { panic!("one payment: {ledger:?}") };
    assert_eq!((line.authorizations, line.captures, line.captured), (1, 1, 900));
    server.stop();
    assert_sound(&data);
}

/// A card number is exchanged for a token, and stands nowhere else: not in the journal, the tables, the keys, nor
/// in what the server says.
#[test]
fn a_card_number_is_nowhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut command = serve(&data);
    command.env("KONTOR_LOG", "debug");
    let server = Server::try_start(command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let mut client = server.client();
    shop::open_place(&mut client);
    shop::add_product(&mut client, "MUG", "Mug");
    shop::receive(&mut client, "MUG", 5);
    let digits = "4242424242424242";
    let json_type = ("Content-Type", "application/json");
    let card = json!({"number": digits, "expires": {"month": 12, "year": 2031}}).to_string();
    let token = client.send("POST", "/api/v1/payments/tokens", &[json_type], card.as_bytes()).expect("up").success();
    let token = token.json()["payment_method"].as_str().expect("a token").to_owned();
    // Where it does not belong it is refused, and not repeated.
    let lines = json!([{"sku": "MUG", "quantity": 1, "price": "4.50"}]);
    let cart = json!({"currency": "GBP", "lines": lines});
    let cart = client.post("/api/v1/carts", "cart", &cart).expect("up").success().json();
    let checkout = format!("/api/v1/carts/{}/checkout", cart["id"].as_str().expect("an id"));
    let refused = client.post(&checkout, "digits", &json!({"payment_method": digits})).expect("up");
    assert!(refused.status == 400 && !refused.text().contains(digits), "{}", refused.text());
    let pays = json!({"payment_method": token});
    let order = client.post(&checkout, "checkout", &pays).expect("up").success().json();
    let path = format!("/api/v1/orders/{}", order["id"].as_str().expect("an id"));
    wait_until(&mut client, &path, |order| order["payment_status"] == "paid");
    let said = server.stop_and_tell();
    assert!(!said.contains(digits), "the log has it");
    let mut files = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("a file");
            let found = bytes.windows(digits.len()).any(|window| window == digits.as_bytes());
            assert!(!found, "{} has it", entry.path().display());
            files += 1;
        }
    }
    assert!(files > 3, "the journal and the tables were looked at");
}

/// A server whose payments are made by this bank.
#[track_caller]
fn start(data: &Path, bank: &Fake, timeout_ms: u64) -> Server {
    let mut command = serve(data);
    command.env("KONTOR_PAYMENTS", "http").env("KONTOR_PAYMENT_ADDRESS", bank.url());
    command.env("KONTOR_PAYMENT_SECRET_KEY", SECRET_KEY).env("KONTOR_PAYMENT_WEBHOOK_SECRET", WEBHOOK_SECRET);
    command.env("KONTOR_PAYMENT_TIMEOUT_MS", timeout_ms.to_string());
    Server::try_start(command).unwrap_or_else(|ended| panic!("{}", ended.stderr))
}

/// Waits until it is so.
#[track_caller]
fn until(is_so: impl Fn() -> bool) {
    let watch = Stopwatch::start();
    while !is_so() {
        assert!(watch.seconds() < HANG.as_secs_f64(), "it never comes");
        thread::yield_now();
    }
}

/// All tills at once, and the bank's callbacks beside them.
fn sell(server: &Server, bank: &Fake, plan: &Plan) {
    let next = Mutex::new(plan.sales.iter());
    let corrections = Mutex::new(plan.corrections.iter());
    let is_over = AtomicBool::new(false);
    let address = server.address;
    let callbacks = format!("http://{address}/api/v1/payments/callbacks");
    thread::scope(|scope| {
        let reporting = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                bank.set_now_ms(wall_ms());
                if bank.deliver_blocking(&callbacks).is_empty() {
                    thread::yield_now();
                }
            }
        });
        let tills: Vec<_> = (0..TILLS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::new(address);
                    loop {
                        let sale = next.lock().expect("no till panics with it").next();
                        let Some(sale) = sale else { break };
                        serve_customer(&mut client, sale);
                    }
                    loop {
                        let back = corrections.lock().expect("no till panics with it").next();
                        let Some((key, sku, units)) = back else { break };
                        let lines = json!([{"sku": sku, "location": PLACE, "quantity": units}]);
                        let body = json!({"reference": key, "lines": lines});
                        twice(&mut client, "/api/v1/stock/return", key, &body);
                    }
                })
            })
            .collect();
        let told: Vec<_> = tills.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Release);
        reporting.join().expect("the bank reports");
        for till in told {
            till.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// From the cart to the last refund.
fn serve_customer(client: &mut Client, sale: &Sale) {
    let invoice = &sale.invoice;
    let id = shop::reservation_id(invoice).replace("res_", "cart_");
    let line = |(sku, units, pennies): &(String, u64, i64)| json!({"sku": sku, "quantity": units, "price": format!("{}.{:02}", pennies / 100, pennies % 100)});
    let lines: Vec<Value> = sale.lines.iter().map(line).collect();
    let cart = json!({"id": id, "currency": "GBP", "location": PLACE, "lines": lines});
    let cart = twice(client, "/api/v1/carts", &format!("cart-{invoice}"), &cart).json();
    let checkout = format!("/api/v1/carts/{}/checkout", cart["id"].as_str().expect("an id"));
    let body = json!({"payment_method": "pm_card_visa", "hold_s": 3_600});
    let order = twice(client, &checkout, &format!("checkout-{invoice}"), &body).json();
    let path = format!("/api/v1/orders/{}", order["id"].as_str().expect("an id"));

    let mut tries = 0;
    loop {
        let settled = ["paid", "failed", "not_required"];
        let order = wait_until(client, &path, |order| {
            settled.contains(&order["payment_status"].as_str().unwrap_or_default()) && !is_asked(order)
        });
        if order["payment_status"] != "failed" {
            break;
        }
        tries += 1;
        assert!(tries < 20, "declined again and again: {order}");
        let body = json!({"method": "pm_card_visa"});
        twice(client, &format!("{path}/payments"), &format!("pay-{invoice}-{tries}"), &body);
    }
    twice(client, &format!("{path}/ship"), &format!("ship-{invoice}"), &json!({}));
    for refund in &sale.refunds {
        let lines = json!([{"sku": refund.sku, "quantity": refund.units, "restock": PLACE}]);
        let before = wait_until(client, &path, |order| !is_asked(order));
        let amount = format!("{}.{:02}", refund.pennies / 100, refund.pennies % 100);
        twice(client, &format!("{path}/refunds"), &refund.key, &json!({"lines": lines, "amount": amount}));
        let expected = pennies(&before["refunded"]) + refund.pennies;
        let mut again = 0;
        loop {
            let order = wait_until(client, &path, |order| !is_asked(order));
            if pennies(&order["refunded"]) == expected {
                break;
            }
            // The bank has declined to give it back: it is asked for once more.
            again += 1;
            assert!(again < 20, "never given back: {order}");
            let key = format!("{}-{again}", refund.key);
            twice(client, &format!("{path}/refunds"), &key, &json!({"amount": amount}));
        }
    }
}

/// Whether the provider is being asked for something.
fn is_asked(order: &Value) -> bool {
    order["payments"].as_array().is_some_and(|all| all.iter().any(|payment| !payment["pending"].is_null()))
}

/// Sends a write under its key, and once more: it is done once.
#[track_caller]
fn twice(client: &mut Client, path: &str, key: &str, body: &Value) -> Answer {
    let first = client.post(path, key, body).expect("up").success();
    let second = client.post(path, key, body).expect("up").success();
    assert!(second.is_replayed(), "{path} {key}: {}", second.text());
    assert_eq!(first.json()["id"], second.json()["id"], "{path} {key}");
    first
}

/// Reads an order until it is so, and waits for news in between.
#[track_caller]
fn wait_until(client: &mut Client, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let watch = Stopwatch::start();
    loop {
        let order = client.get(path).expect("up").success().json();
        if is_so(&order) {
            return order;
        }
        assert!(watch.seconds() < HANG.as_secs_f64(), "it stays so: {order}");
        let after = shop::encode(order["position"].as_str().expect("a position"));
        client.get(&format!("/api/v1/changes?after={after}&limit=1&wait_s=5")).expect("up").success();
    }
}

fn all_orders(client: &mut Client) -> Vec<Value> {
    let (mut orders, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/orders?page_size=100{token}")).expect("up").success().json();
        for listed in page["items"].as_array().expect("items") {
            let path = format!("/api/v1/orders/{}", listed["id"].as_str().expect("an id"));
            orders.push(client.get(&path).expect("up").success().json());
        }
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={}", shop::encode(next)),
            None => return orders,
        }
    }
}

/// An amount of the API as pennies.
fn pennies(money: &Value) -> i64 {
    let text = money["amount"].as_str().unwrap_or_else(|| panic!("no money: {money}"));
    text.replace('.', "").parse().expect("two decimals")
}

/// From the rows alone: what is sold, what comes back, and what all of it comes to.
fn plan(rows: &[Row], invoices: usize) -> Plan {
    let mut plan = Plan::default();
    // What is left of the lines of each customer's invoices, newest last: invoice, line.
    let mut left: BTreeMap<(String, String), Vec<Left>> = BTreeMap::new();
    for invoice in rows.chunk_by(|one, next| one.invoice == next.invoice) {
        let sold: Vec<&Row> = invoice.iter().filter(|row| row.quantity > 0 && row.pennies >= 0).collect();
        if invoice[0].invoice.starts_with('C') || sold.is_empty() || plan.sales.len() >= invoices {
            continue;
        }
        let lines: Vec<_> =
            sold.iter().map(|row| (row.sku.clone(), row.quantity.unsigned_abs(), row.pennies)).collect();
        for (sku, units, pennies) in &lines {
            *plan.opening.entry(sku.clone()).or_insert(0) += units;
            *plan.on_hand.entry(sku.clone()).or_insert(0) += 0;
            plan.taken += i64::try_from(*units).expect("small") * pennies;
            let customer = (sold[0].customer.clone(), sku.clone());
            left.entry(customer).or_default().push((plan.sales.len(), *units, *pennies));
        }
        plan.sales.push(Sale { invoice: invoice[0].invoice.clone(), lines, refunds: Vec::new() });
    }
    for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.invoice.starts_with('C') && row.quantity < 0) {
        let (units, key) = (row.quantity.unsigned_abs(), format!("{}-{number}", row.invoice));
        let Some(on_hand) = plan.on_hand.get_mut(&row.sku) else { continue };
        *on_hand += row.quantity.abs();
        let of = left.get_mut(&(row.customer.clone(), row.sku.clone())).filter(|_| !row.customer.is_empty());
        let of = of.and_then(|lines| lines.iter_mut().rev().find(|(_, left, pennies)| *left >= units && *pennies > 0));
        match of {
            Some((sale, left, price)) => {
                *left -= units;
                let pennies = i64::try_from(units).expect("small") * *price;
                plan.given_back += pennies;
                plan.sales[*sale].refunds.push(Refund { key, sku: row.sku.clone(), units, pennies });
            }
            None => plan.corrections.push((key, row.sku.clone(), units)),
        }
    }
    plan
}

fn read_books() -> Result<Vec<Row>, String> {
    let path = std::env::var_os("KONTOR_RETAIL_CSV")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(BOOKS), PathBuf::from);
    let file = File::open(&path).map_err(|e| format!("no books to read ({BOOKS} or KONTOR_RETAIL_CSV: {e})"))?;
    let mut rows = Vec::new();
    for record in csv::Reader::from_reader(flate2::read::GzDecoder::new(file)).records() {
        let record = record.map_err(|e| format!("{}: {e}", path.display()))?;
        rows.push(Row {
            invoice: record[0].to_owned(),
            sku: record[1].to_owned(),
            quantity: record[3].parse().map_err(|e| format!("{}: {e}", path.display()))?,
            pennies: rounded(&record[5]).ok_or_else(|| format!("{}: {:?} is no price", path.display(), &record[5]))?,
            customer: record[6].to_owned(),
        });
    }
    rows.sort_by(|one, other| one.invoice.cmp(&other.invoice));
    Ok(rows)
}

/// Pounds as pennies, rounded half up; exact for two decimals.
fn rounded(pounds: &str) -> Option<i64> {
    let (whole, fraction) = pounds.split_once('.').unwrap_or((pounds, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let thousandths = whole.parse::<i64>().ok()? * 1_000 + digits.parse::<i64>().ok()?;
    Some((thousandths + 5) / 10)
}

/// Books of the same shape.
fn invented_books() -> Vec<Row> {
    let mut chance = fastrand::Rng::with_seed(536_365);
    let mut rows = Vec::new();
    for number in 0..120 {
        let (prefix, sign) = if chance.u8(..8) == 0 { ("C", -1) } else { ("", 1) };
        let customer = format!("{}", 17_000 + chance.u32(..9));
        for _ in 0..chance.usize(1..20) {
            rows.push(Row {
                invoice: format!("{prefix}{}", 900_000 + number),
                sku: format!("INV-{:03}", chance.u32(1..=40)),
                quantity: sign * chance.i64(1..9),
                pennies: chance.i64(0..2_000),
                customer: customer.clone(),
            });
        }
    }
    rows.sort_by(|one, other| one.invoice.cmp(&other.invoice));
    rows
}
