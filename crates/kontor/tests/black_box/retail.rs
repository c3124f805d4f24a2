//! Real input: the first trading days of a real gift retailer, booked through the API by sixteen tills
//! at once, every request sent twice, the server killed in the middle.
//!
//! How the odd rows of the file are read:
//! - One invoice is one issue with all its lines or none, keyed by its number. The same code twice in
//!   one invoice stays two lines; the site adds them up.
//! - An invoice `C…` is a cancellation: its lines come back as a return.
//! - A negative quantity on any other invoice is an adjustment without a customer ("damages", "?", or
//!   nothing): each line is a write-off under `invoice/line`.
//! - Postage, bank charges, discounts and manual entries (`POST`, `BANK CHARGES`, `D`, `M`) are booked
//!   as the products that the books treat them as. A row of quantity 0 would move nothing; it is left
//!   out.
//! - Codes are case-sensitive: `85123A` and `85123a` are two things.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;

use serde_json::{Value, json};

use crate::support::http::{Answer, Client};
use crate::support::server::{Server, assert_sound};
use crate::support::shop::{self, PLACE};
use crate::support::{HANG, say};

const TILLS: usize = 16;

/// Where the real books are, beside the repository.
const BOOKS: &str = "../shared/data/online-retail-sample.csv.gz";

/// One row of the books.
struct Row {
    invoice: String,
    sku: String,
    title: String,
    quantity: i64,
}

/// One request of a till.
struct Booking {
    path: &'static str,
    key: String,
    body: Value,
}

#[test]
fn the_books_of_a_real_retailer_add_up() {
    let rows = match read_books() {
        Ok(rows) => rows,
        Err(reason) => {
            say("retail", &format!("{reason}; telling the story with invented invoices"));
            invented_books()
        }
    };
    // What must leave the shelf, from the file alone: what was sold or written off, whatever its
    // sign, less what came back.
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &rows {
        let units = if row.invoice.starts_with('C') { row.quantity } else { row.quantity.abs() };
        *left.entry(&row.sku).or_default() += units;
    }
    let opening = opening_stock(&rows);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let mut client = server.client();
    shop::open_place(&mut client);
    for (sku, quantity) in &opening {
        let title = rows.iter().find(|row| row.sku == *sku).map(|row| row.title.as_str());
        shop::add_product(&mut client, sku, title.filter(|title| !title.is_empty()).unwrap_or(sku));
        shop::receive(&mut client, sku, *quantity);
    }

    let bookings = bookings(&rows);
    let server = book_twice_with_a_crash(server, &data, &bookings);

    let mut client = server.client();
    for (sku, quantity) in &opening {
        let expected = i64::try_from(*quantity).expect("small") - left[sku.as_str()];
        let level = shop::level(&mut client, sku);
        assert_eq!(level["on_hand"].as_i64(), Some(expected), "{sku}: {level}");
    }
    a_number_is_used_once(&mut client, &bookings);
    server.stop();
    assert_sound(&data);
    say(
        "retail",
        &format!(
            "{} rows, {} bookings sent twice by {TILLS} tills, one kill -9: {} SKUs add up",
            rows.len(),
            bookings.len(),
            opening.len()
        ),
    );
}

/// All tills at once; each sends a booking twice, and again after the crash if it got no answer.
fn book_twice_with_a_crash(server: Server, data: &Path, bookings: &[Booking]) -> Server {
    let site = Site { address: Mutex::new(server.address), moved: Condvar::new() };
    let next = Mutex::new(bookings.iter());
    let (done, progress) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..TILLS {
            let (site, next, done) = (&site, &next, done.clone());
            scope.spawn(move || {
                let mut till = Till::new(site);
                loop {
                    let booking = next.lock().expect("no till panics with it").next();
                    let Some(booking) = booking else { break };
                    let first = till.send(booking);
                    assert!(first.is_success(), "{}: {}", booking.key, first.text());
                    let second = till.send(booking);
                    assert!(second.is_replayed(), "{}: {}", booking.key, second.text());
                    assert_eq!(first.text(), second.text(), "{}", booking.key);
                    done.send(()).expect("the main thread listens");
                }
            });
        }
        for _ in 0..bookings.len() / 2 {
            progress.recv_timeout(HANG).expect("the tills are answered");
        }
        server.kill();
        let server = Server::start(data);
        site.move_to(server.address);
        for _ in bookings.len() / 2..bookings.len() {
            progress.recv_timeout(HANG).expect("the tills are answered");
        }
        server
    })
}

/// A second booking under a number that is taken is told so, whatever its key.
fn a_number_is_used_once(client: &mut Client, bookings: &[Booking]) {
    for booking in bookings.iter().step_by(97) {
        let key = format!("another-key-{}", booking.key);
        let answer = client.post(booking.path, &key, &booking.body).expect("up");
        assert_eq!((answer.status, answer.code().as_str()), (409, "reference_used"));
    }
}

/// Enough of everything that no sale is refused, in any order.
fn opening_stock(rows: &[Row]) -> BTreeMap<String, u64> {
    let mut opening: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        let is_return = row.invoice.starts_with('C');
        let leaves = if is_return { 0 } else { row.quantity.unsigned_abs() };
        *opening.entry(row.sku.clone()).or_insert(1) += leaves;
    }
    opening
}

fn bookings(rows: &[Row]) -> Vec<Booking> {
    let mut bookings = Vec::new();
    for invoice in rows.chunk_by(|one, next| one.invoice == next.invoice) {
        let number = &invoice[0].invoice;
        let is_return = number.starts_with('C');
        let mut lines = Vec::new();
        for (at, row) in (1..).zip(invoice) {
            let quantity = row.quantity.unsigned_abs();
            let line = json!({"sku": row.sku, "location": PLACE, "quantity": quantity});
            match (row.quantity.signum(), is_return) {
                (0, _) => {}
                (1, false) | (-1, true) => lines.push(line),
                (-1, false) => {
                    let reference = format!("{number}/{at}");
                    let mut body = line;
                    body["reason"] = json!("adjustment");
                    body["reference"] = json!(reference);
                    bookings.push(Booking { path: "/api/v1/stock/write-off", key: reference, body });
                }
                _ => panic!("{number}: a cancellation that sells is no row we know"),
            }
        }
        if !lines.is_empty() {
            let path = if is_return { "/api/v1/stock/return" } else { "/api/v1/stock/issue" };
            let body = json!({"reference": number, "lines": lines});
            bookings.push(Booking { path, key: number.clone(), body });
        }
    }
    bookings
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
            title: record[2].trim().to_owned(),
            quantity: record[3].parse().map_err(|e| format!("{}: {e}", path.display()))?,
        });
    }
    // Books are sorted by time; lines of one invoice belong together whatever the file's order.
    rows.sort_by(|one, other| one.invoice.cmp(&other.invoice));
    Ok(rows)
}

/// Books of the same shape: sales of many lines, some cancellations, some adjustments.
fn invented_books() -> Vec<Row> {
    let mut chance = fastrand::Rng::with_seed(536_365);
    let mut rows = Vec::new();
    for number in 0..400 {
        let (prefix, sign) = match chance.u8(..12) {
            0 => ("C", -1),
            1 => ("", -1),
            _ => ("", 1),
        };
        for _ in 0..chance.usize(1..40) {
            let item = chance.u32(1..=100);
            let case = if chance.u8(..10) == 0 { 'a' } else { 'A' };
            rows.push(Row {
                invoice: format!("{prefix}{}", 900_000 + number),
                sku: format!("INV-{item:03}{case}"),
                title: format!("Invented item {item}"),
                quantity: sign * chance.i64(1..25),
            });
        }
    }
    rows
}

/// Where the site is; it moves when it is started again.
struct Site {
    address: Mutex<SocketAddr>,
    moved: Condvar,
}

impl Site {
    fn move_to(&self, address: SocketAddr) {
        *self.address.lock().expect("no till panics with it") = address;
        self.moved.notify_all();
    }

    fn address(&self) -> SocketAddr {
        *self.address.lock().expect("no till panics with it")
    }

    /// Waits until the site is elsewhere than here.
    fn wait_for_move(&self, from: SocketAddr) -> SocketAddr {
        let address = self.address.lock().expect("no till panics with it");
        let (address, wait) =
            self.moved.wait_timeout_while(address, HANG, |address| *address == from).expect("no till panics with it");
        assert!(!wait.timed_out(), "the site did not come back");
        *address
    }
}

struct Till<'site> {
    site: &'site Site,
    address: SocketAddr,
    client: Client,
}

impl<'site> Till<'site> {
    fn new(site: &'site Site) -> Till<'site> {
        let address = site.address();
        Till { site, address, client: Client::new(address) }
    }

    /// Sends until there is an answer, always under the same key.
    fn send(&mut self, booking: &Booking) -> Answer {
        loop {
            if let Ok(answer) = self.client.post(booking.path, &booking.key, &booking.body) {
                return answer;
            }
            self.address = self.site.wait_for_move(self.address);
            self.client = Client::new(self.address);
        }
    }
}
