//! More than a site can take, and what it must survive: a queue that is full, readers that do not read, and
//! a rule that breaks.

use kontor_core::id::ReservationId;
use kontor_core::record::{KeyParts, TABLE_NAMES, Table, decode, encode};
use kontor_core::reservation::Reservation;
use kontor_site::limits::{GROUP_ENTRIES_MAX, QUEUE_MAX};
use kontor_storage::tables::{self, Batch, Tables, TablesOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::support::http::{Client, KEY};
use crate::support::server::{Server, assert_sound, kontor, run, serve, under};
use crate::support::shop::{self, PLACE};
use crate::support::tools::{tracer, word};
use crate::support::{left_out, prove, say};

/// While the disk takes eight seconds for one sync, more buyers come than may wait. Those who are too many
/// are told at once to come again; nothing of theirs has happened, and when they come again it does.
#[test]
fn a_full_queue_refuses_at_once_and_the_site_goes_on() {
    const CALLERS: usize = QUEUE_MAX + 3 * GROUP_ENTRIES_MAX;
    if !may_open(CALLERS as u64 + 256) {
        return left_out("full queue", &format!("{CALLERS} connections need as many open files"));
    }
    let slow = match tracer("fdatasync", "delay_enter=8000000:when=2") {
        Ok(words) => words,
        Err(reason) => return left_out("full queue", &reason),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let server = Server::start(&data);
    shop::open_place(&mut server.client());
    shop::add_product(&mut server.client(), "APPLE", "Apple");
    server.stop();

    let wrapper: Vec<&str> = slow.iter().map(String::as_str).collect();
    let words = ["serve", "--listen", "127.0.0.1:0", "--data", word(&data)];
    let server = Server::try_start(under(&wrapper, &words)).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let receipt = json!({"sku": "APPLE", "location": PLACE, "quantity": 1});
    let path = "/api/v1/stock/receive";
    // The writer's first sync is a quick one, its second is not; by then all are connected.
    server.client().post(path, "first", &receipt).expect("up").success();
    let mut callers: Vec<Client> = (0..CALLERS).map(|_| server.client()).collect();
    for caller in &mut callers {
        caller.get("/livez").expect("up").success();
    }
    for (number, caller) in callers.iter_mut().enumerate() {
        caller.begin_post(path, &format!("receipt-{number}"), &receipt).expect("up");
    }
    let mut refused = Vec::new();
    for (number, caller) in callers.iter_mut().enumerate() {
        let answer = caller.end(false).expect("up");
        if answer.is_success() {
            continue;
        }
        let problem = answer.json();
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"), "{problem}");
        assert_eq!(problem["retryable"], true, "{problem}");
        let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0), "when to come again: {:?}", answer.headers);
        refused.push(number);
    }
    assert!(!refused.is_empty(), "the queue was never full");
    let on_hand = |client: &mut Client| shop::level(client, "APPLE")["on_hand"].as_u64();
    let mut client = server.client();
    assert_eq!(on_hand(&mut client), Some((1 + CALLERS - refused.len()) as u64), "a refusal has no effect");
    let again = refused.len().min(GROUP_ENTRIES_MAX);
    for &number in &refused[..again] {
        callers[number].begin_post(path, &format!("receipt-{number}"), &receipt).expect("up");
    }
    for &number in &refused[..again] {
        let answer = callers[number].end(false).expect("up").success();
        assert!(!answer.is_replayed(), "it had not happened");
    }
    assert_eq!(on_hand(&mut client), Some((1 + CALLERS - refused.len() + again) as u64));
    server.stop();
    assert_sound(&data);
    say("full queue", &format!("{CALLERS} callers, {} refused at once, {again} of them came again", refused.len()));
}

/// Whether this process may have so many files open, after it has asked for all that it may.
fn may_open(files: u64) -> bool {
    let before = getrlimit(Resource::Nofile);
    let all = Rlimit { current: before.maximum, maximum: before.maximum };
    let now = setrlimit(Resource::Nofile, all).map_or(before.current, |()| all.current);
    now.is_none_or(|now| now >= files)
}

/// Streams of changes whose readers read nothing hold one batch each, and nobody else is kept waiting. In
/// the long form their connections are ended after half a minute.
#[test]
fn streams_that_nobody_reads_cost_little_and_end() {
    const STREAMS: usize = 32;
    // What the streams have to tell is 1,300. Most of what grows is the allocator's, thread by thread.
    const GROWTH_MIB: u64 = 1_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut command = serve(&data);
    // The allocator gives back at once what is free, so that what is measured is what is held.
    command.env("MIMALLOC_PURGE_DELAY", "0");
    let server = Server::try_start(command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let mut client = server.client();
    shop::open_place(&mut client);
    shop::add_product(&mut client, "APPLE", "Apple");
    // Each line is told by the feed, so that a stream has some forty megabytes to tell.
    let mut lines = Vec::new();
    for number in 0..400 {
        let place = format!("place-{number}-{}", "x".repeat(50));
        client
            .post("/api/v1/locations", &format!("place-{number}"), &json!({"id": place, "name": place}))
            .expect("up")
            .success();
        lines.push(json!({"sku": "APPLE", "location": place, "quantity": 1}));
    }
    for number in 0..600 {
        let goods = json!({"reference": format!("r-{number}"), "lines": lines});
        client.post("/api/v1/stock/return", &format!("return-{number}"), &goods).expect("up").success();
    }
    let memory = server.peak_memory_mib();
    let ask = [("X-API-Key", KEY), ("Accept", "text/event-stream")];
    let mut idle: Vec<Client> = (0..STREAMS).map(|_| server.client()).collect();
    for reader in &mut idle {
        reader.begin("GET", "/api/v1/changes", &ask, b"").expect("up");
    }
    while streams(&mut client) < STREAMS as u64 {}

    for number in 0..100 {
        let receipt = json!({"sku": "APPLE", "location": PLACE, "quantity": 1});
        client.post("/api/v1/stock/receive", &format!("beside-{number}"), &receipt).expect("up").success();
    }
    let grown = server.peak_memory_mib() - memory;
    assert!(grown <= GROWTH_MIB, "memory grew by {grown} MiB");
    if prove() {
        let mut polls = 0;
        while streams(&mut client) > 0 {
            polls += 1;
            assert!(polls < 30, "the streams never end");
            client.get("/api/v1/changes?after=end&wait_s=5").expect("up").success();
        }
    }
    drop(idle);
    server.stop();
    assert_sound(&data);
    say("idle streams", &format!("{STREAMS} streams that nobody reads, memory grew by {grown} MiB"));
}

/// Streams that are open, by the metrics.
fn streams(client: &mut Client) -> u64 {
    let text = client.get("/metrics").expect("up").success().text();
    let line = text.lines().find_map(|line| line.strip_prefix("kontor_http_streams "));
    line.and_then(|count| count.parse().ok()).expect("the streams are counted")
}

/// A row that went bad behind the site's back breaks the rule that meets it. That command alone fails, the
/// site goes on, `kontor check` names the row, and tables that are built anew are whole.
#[test]
fn a_rule_that_breaks_costs_one_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let mut client = server.client();
    shop::open_place(&mut client);
    shop::add_product(&mut client, "APPLE", "Apple");
    shop::receive(&mut client, "APPLE", 10);
    let lines = json!([{"sku": "APPLE", "location": PLACE, "quantity": 2}]);
    let id = shop::reservation_id("bad");
    let hold = json!({"id": id, "lines": lines, "ttl_s": 600});
    client.post("/api/v1/reservations", "hold", &hold).expect("up").success();
    client.post(&format!("/api/v1/reservations/{id}/commit"), "commit", &json!({})).expect("up").success();
    server.stop();
    hand_out_more_than_there_was(&data.join("tables"));

    let found = run(kontor(&["check", "--data", word(&data)]));
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(!found.status.success() && said.contains("table reservations"), "{said}");

    let mut server = Server::try_start(serve(&data)).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let mut client = server.client();
    let ship = json!({"reservation": id, "lines": lines});
    let broken = client.post("/api/v1/stock/ship", "ship", &ship).expect("up");
    // Another binary may be built without checks of arithmetic; then the rule refuses.
    let is_checked = std::env::var("KONTOR_BIN").is_err();
    if is_checked {
        assert_eq!((broken.status, broken.code().as_str()), (500, "internal"), "{}", broken.text());
        let metrics = client.get("/metrics").expect("up").success().text();
        assert!(metrics.contains("kontor_panics_total 1"), "the break is counted");
    }
    assert!(!broken.is_success(), "{}", broken.text());
    assert!(server.is_alive());
    let issue = json!({"reference": "after", "lines": lines});
    client.post("/api/v1/stock/issue", "after", &issue).expect("up").success();
    assert_eq!(shop::level(&mut client, "APPLE")["on_hand"], 8);
    server.stop();

    std::fs::remove_dir_all(data.join("tables")).expect("the tables are a cache");
    let server = Server::start(&data);
    let mut client = server.client();
    client.post("/api/v1/stock/ship", "ship", &ship).expect("up").success();
    assert_eq!(shop::level(&mut client, "APPLE")["on_hand"], 6);
    server.stop();
    assert_sound(&data);
}

/// Changes the one reservation so that more of it was handed out than it held.
fn hand_out_more_than_there_was(folder: &std::path::Path) {
    let tables = Tables::fjall(folder, &TABLE_NAMES, TablesOptions::default()).expect("nobody has them open");
    let place = tables::Table(Table::RESERVATIONS.0);
    let mut batch = Batch::new();
    for row in tables.snapshot().prefix(place, &[]) {
        let (key, value) = row.expect("readable");
        let mut row: Reservation = decode(Table::RESERVATIONS, &value).expect("a reservation");
        assert!(KeyParts(&key).fixed().map(ReservationId).is_some());
        row.lines.iter_mut().for_each(|line| line.shipped = line.quantity + 1);
        batch.put(place, key, encode(&row));
    }
    assert_eq!(batch.len(), 1);
    tables.write(batch).expect("writable");
    tables.flush().expect("writable");
}
