//! Bad input of every kind that a stranger can send: each gets a problem document with a stable code,
//! and afterwards nothing has changed, the process lives and its memory is bounded.

use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::{Answer, Client, KEY, connect, read_answer};
use crate::support::server::Server;
use crate::support::shop::{self, PLACE};
use crate::support::{prove, say};

/// What a flood of bad input may add to the memory of a server that stands idle.
const GROWTH_MIB: u64 = 256;

#[test]
fn bad_input_is_refused_by_name_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(&folder.path().join("data"));
    let mut client = server.client();
    shop::open_place(&mut client);
    shop::add_product(&mut client, "APPLE", "Apple");
    shop::receive(&mut client, "APPLE", 10);
    client.post("/api/v1/stock/receive", "used", &receipt(json!(1))).expect("up").success();

    let level = shop::level(&mut client, "APPLE");
    let end = shop::end_of_changes(&mut client);
    let memory = server.peak_memory_mib();

    let mut cases = 0;
    cases += bad_bodies(&mut client);
    cases += bad_requests(&mut client);
    cases += bad_frames(&server);
    cases += half_open(&server);
    for round in 0..if prove() { 20 } else { 1 } {
        cases += oversized(&mut client, round);
    }

    assert!(server.is_alive(), "the process is gone");
    assert_eq!(shop::end_of_changes(&mut client), end, "something was written");
    assert_eq!(shop::level(&mut client, "APPLE"), level);
    let grown = server.peak_memory_mib() - memory;
    assert!(grown <= GROWTH_MIB, "memory grew by {grown} MiB");
    server.stop();
    say("bad input", &format!("{cases} cases, nothing changed, memory grew by {grown} MiB"));
}

/// Bodies that are no receipt, under a good key.
fn bad_bodies(client: &mut Client) -> usize {
    let good = receipt(json!(1)).to_string();
    let deep = |open: &str, close: &str| open.repeat(10_000) + "1" + &close.repeat(10_000);
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"text\"",
        "[]",
        "[{}]",
        "{}",
        "{",
        "}",
        "{\"sku\"",
        "nul",
        "{\"sku\":\"APPLE\",}",
        "{'sku':'APPLE'}",
        "{\"sku\":\"APPLE\"}{\"sku\":\"APPLE\"}",
        "{\"sku\":\"\\ud800\",\"location\":\"warehouse-1\",\"quantity\":1}",
        "{\"sku\":\"APPLE\",\"location\":\"warehouse-1\",\"quantity\":1,\"quantity\":2}",
        "{\"sku\":\"APPLE\",\"location\":\"warehouse-1\",\"quantity\":NaN}",
        "{\"sku\":\"APPLE\",\"location\":\"warehouse-1\",\"quantity\":0x10}",
        "{\"sku\":\"APPLE\",\"location\":\"warehouse-1\",\"quantity\":1e400}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    for cut in (1..good.len()).step_by(7) {
        bodies.push(good.as_bytes()[..cut].to_vec());
    }
    for nested in [deep("[", "]"), deep("{\"a\":", "}")] {
        bodies.push(nested.clone().into_bytes());
        bodies.push(format!("{{\"sku\":{nested}}}").into_bytes());
        bodies.push(good.replace('}', &format!(",\"extra\":{nested}}}")).into_bytes());
    }
    for quantity in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(true),
        json!(null),
        json!([1]),
        json!({"n": 1}),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e30),
        json!(-0.0),
    ] {
        bodies.push(receipt(quantity).to_string().into_bytes());
    }
    for (field, value) in [
        ("sku", json!("")),
        ("sku", json!("a".repeat(10_000))),
        ("sku", json!("a\u{0}b")),
        ("sku", json!("a\nb")),
        ("sku", json!(7)),
        ("sku", json!(["APPLE"])),
        ("sku", json!(null)),
        ("location", json!("")),
        ("location", json!("x".repeat(10_000))),
        ("location", json!(1)),
        ("reference", json!("r".repeat(10_000))),
        ("reference", json!("")),
        ("reference", json!({})),
        ("reason", json!("r".repeat(100_000))),
        ("occurred_at", json!("yesterday")),
        ("occurred_at", json!("2026-02-30T00:00:00Z")),
        ("occurred_at", json!(1)),
        ("unknown", json!(1)),
        ("Quantity", json!(1)),
        ("__proto__", json!({})),
    ] {
        let mut body = receipt(json!(1));
        body[field] = value;
        bodies.push(body.to_string().into_bytes());
    }
    bodies.push(b"\xff\xfe{\x00}\x00".to_vec());
    bodies.push(b"\xef\xbb\xbf{}".to_vec());
    bodies.push([good.as_bytes(), b"\xc3\x28"].concat());
    bodies.push(good.replace("APPLE", "AP\u{0}PLE").into_bytes());
    bodies.push([&b"{\"sku\":\"\xc3\x28\""[..], &good.as_bytes()[14..]].concat());

    for (at, body) in bodies.iter().enumerate() {
        let headers = writing(KEY, "bad-body");
        let answer = client.send("POST", "/api/v1/stock/receive", &headers, body).expect("up");
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        assert_problem(&format!("body {at}: {shown}"), &answer, &[400], &["invalid_request"]);
    }
    bodies.len() + bad_lines(client)
}

/// Lists of lines that no shop could mean.
fn bad_lines(client: &mut Client) -> usize {
    let line = |quantity: Value| json!({"sku": "APPLE", "location": PLACE, "quantity": quantity});
    let lists = [
        (json!([]), 400, "invalid_request"),
        (json!([line(json!(0))]), 400, "invalid_request"),
        (json!([line(json!(1)), line(json!(-1))]), 400, "invalid_request"),
        (json!([line(json!(1)), null]), 400, "invalid_request"),
        // Ten and one are there: lines of one SKU are added up.
        (json!(vec![line(json!(1)); 12]), 409, "insufficient_stock"),
        (json!([{"sku": "PEAR", "location": PLACE, "quantity": 1}]), 404, "unknown_sku"),
        (json!([{"sku": "apple", "location": PLACE, "quantity": 1}]), 404, "unknown_sku"),
        (json!([{"sku": "APPLE", "location": "moon", "quantity": 1}]), 404, "unknown_location"),
        // One good line does not carry a bad one: all or none.
        (json!([line(json!(1)), {"sku": "PEAR", "location": PLACE, "quantity": 1}]), 404, "unknown_sku"),
    ];
    for (lines, status, code) in &lists {
        for (path, body) in [
            ("/api/v1/stock/issue", json!({"reference": "bad", "lines": lines})),
            ("/api/v1/reservations", json!({"ttl_s": 60, "lines": lines})),
        ] {
            let answer = client.post(path, "bad-lines", &body).expect("up");
            assert_problem(&format!("{path} {lines}"), &answer, &[*status], &[code]);
        }
    }
    for ttl in [json!(0), json!(-1), json!(u64::MAX), json!(1e9), json!("60")] {
        let body = json!({"ttl_s": ttl, "lines": [line(json!(1))]});
        let answer = client.post("/api/v1/reservations", "bad-ttl", &body).expect("up");
        assert_problem(&format!("ttl_s {ttl}"), &answer, &[400], &["invalid_request"]);
    }
    2 * lists.len() + 5
}

/// Well-formed HTTP that asks for what there is not, or may not.
fn bad_requests(client: &mut Client) -> usize {
    let good = receipt(json!(1)).to_string();
    let good = good.as_bytes();
    let json = ("Content-Type", "application/json");
    let key = ("X-API-Key", KEY);
    let long = "k".repeat(256);
    let receive = "/api/v1/stock/receive";
    let patch = br#"{"title":"Pear"}"#;
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a [u16], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        ("POST", receive, &[key, json], good, &[400], &["idempotency_key_missing"]),
        (
            "POST",
            receive,
            &[key, json, ("Idempotency-Key", "")],
            good,
            &[400],
            &["idempotency_key_missing", "invalid_request"],
        ),
        ("POST", receive, &[key, json, ("Idempotency-Key", &long)], good, &[400], &["invalid_request"]),
        ("POST", receive, &[key, json, ("Idempotency-Key", "a\tb")], good, &[400], &["invalid_request"]),
        (
            "POST",
            receive,
            &writing(KEY, "used"),
            br#"{"sku":"APPLE","location":"warehouse-1","quantity":2}"#,
            &[422],
            &["idempotency_key_reused"],
        ),
        ("POST", receive, &[json, ("Idempotency-Key", "k")], good, &[401], &["unauthenticated"]),
        ("POST", receive, &writing("wrong", "k"), good, &[401], &["unauthenticated"]),
        ("POST", receive, &writing(&KEY[..KEY.len() - 1], "k"), good, &[401], &["unauthenticated"]),
        (
            "POST",
            receive,
            &[key, ("Idempotency-Key", "k"), ("Content-Type", "text/plain")],
            good,
            &[415],
            &["unsupported_media_type"],
        ),
        ("POST", receive, &[key, ("Idempotency-Key", "k")], good, &[415], &["unsupported_media_type"]),
        ("DELETE", receive, &[key], b"", &[405], &["method_not_allowed"]),
        ("BREW", receive, &[key], b"", &[405], &["method_not_allowed"]),
        ("GET", "/api/v1/nothing", &[key], b"", &[404], &["not_found"]),
        ("GET", "/api/v1/../../etc/passwd", &[key], b"", &[404], &["not_found"]),
        ("GET", "/api/v1/products/none", &[key], b"", &[404], &["unknown_product"]),
        ("GET", "/api/v1/stock/PEAR", &[key], b"", &[404], &["unknown_sku"]),
        ("GET", "/api/v1/stock/%FF%FE", &[key], b"", &[400, 404], &["invalid_request", "unknown_sku"]),
        ("GET", "/api/v1/stock/%00", &[key], b"", &[400, 404], &["invalid_request", "unknown_sku"]),
        ("GET", "/api/v1/locations/none", &[key], b"", &[404], &["unknown_location"]),
        ("GET", "/api/v1/reservations/none", &[key], b"", &[400, 404], &["invalid_request", "unknown_reservation"]),
        ("GET", "/api/v1/reservations", &[], b"", &[401], &["unauthenticated"]),
        ("GET", "/api/v1/movements?sku=APPLE", &[], b"", &[401], &["unauthenticated"]),
        ("GET", "/api/v1/stock?page_token=garbage", &[key], b"", &[400], &["invalid_page_token"]),
        ("GET", "/api/v1/stock?page_token=%00%FF", &[key], b"", &[400], &["invalid_page_token"]),
        ("GET", "/api/v1/products?page_token=AAAA", &[key], b"", &[400], &["invalid_page_token"]),
        ("GET", "/api/v1/stock?page_size=-1", &[key], b"", &[400], &["invalid_request"]),
        ("GET", "/api/v1/stock?page_size=many", &[key], b"", &[400], &["invalid_request"]),
        ("GET", "/api/v1/movements?page_size=99999999999999999999", &[key], b"", &[400], &["invalid_request"]),
        ("GET", "/api/v1/changes?after=garbage", &[key], b"", &[400], &["invalid_request"]),
        ("GET", "/api/v1/changes?after=-1", &[key], b"", &[400], &["invalid_request"]),
        ("GET", "/api/v1/changes?limit=-1", &[key], b"", &[400], &["invalid_request"]),
        ("GET", "/api/v1/changes?wait_s=-1", &[key], b"", &[400], &["invalid_request"]),
        (
            "PATCH",
            "/api/v1/locations/warehouse-1",
            &[key, json],
            br#"{"name":"x"}"#,
            &[428],
            &["precondition_required"],
        ),
        (
            "PATCH",
            "/api/v1/locations/warehouse-1",
            &[key, json, ("If-Match", "\"other\"")],
            br#"{"name":"x"}"#,
            &[412],
            &["precondition_failed"],
        ),
        (
            "PATCH",
            "/api/v1/locations/warehouse-1",
            &[key, json, ("If-Match", "garbage")],
            br#"{"name":"x"}"#,
            &[400, 412],
            &["invalid_request", "precondition_failed"],
        ),
        ("PATCH", "/api/v1/products/none", &[key, json, ("If-Match", "\"1\"")], patch, &[404], &["unknown_product"]),
    ];
    for (method, path, headers, body, statuses, codes) in cases {
        let answer = client.send(method, path, headers, body).expect("up");
        assert_problem(&format!("{method} {path} {headers:?}"), &answer, statuses, codes);
    }
    cases.len()
}

/// Bytes that are no HTTP, or too much of it: problems like all others.
fn bad_frames(server: &Server) -> usize {
    let receive = "POST /api/v1/stock/receive HTTP/1.1\r\nHost: x\r\n";
    let authority = format!("X-API-Key: {KEY}\r\nIdempotency-Key: frame\r\nContent-Type: application/json\r\n");
    let body = receipt(json!(1)).to_string();
    // What is sent, and the code of the problem; nothing if the connection is just closed.
    let frames: Vec<(Vec<u8>, &str)> = vec![
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
        (b"GARBAGE\r\n\r\n".to_vec(), "invalid_request"),
        (b"\r\n\r\n\r\n\r\n".to_vec(), ""),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_vec(), "invalid_request"),
        (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n".to_vec(), "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n".to_vec(), "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\x02\r\n\r\n".to_vec(), "invalid_request"),
        // A TLS greeting on the plain port.
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "invalid_request"),
        ([0xff; 4096].to_vec(), "invalid_request"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)).into_bytes(), "head_too_large"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(1_000_000)).into_bytes(), "head_too_large"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(10_000)).into_bytes(), "head_too_large"),
        // One header more than there may be.
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100)).into_bytes(), "head_too_large"),
        (format!("{receive}{authority}Content-Length: -1\r\n\r\n{body}").into_bytes(), "invalid_request"),
        (format!("{receive}{authority}Content-Length: 1x\r\n\r\n{body}").into_bytes(), "invalid_request"),
        (
            format!("{receive}{authority}Content-Length: 99999999999999999999999\r\n\r\n{body}").into_bytes(),
            "invalid_request",
        ),
        // Two lengths that disagree, and both framings at once: the ways to smuggle a request.
        (
            format!("{receive}{authority}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{body}").into_bytes(),
            "invalid_request",
        ),
        (
            format!("{receive}{authority}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{body}\r\n0\r\n\r\n").into_bytes(),
            "invalid_request",
        ),
        (
            format!("{receive}{authority}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n").into_bytes(),
            "invalid_request",
        ),
        (format!("{receive}{authority}Transfer-Encoding: gzip\r\n\r\n{body}").into_bytes(), "invalid_request"),
        (format!("{receive}{authority}Content-Length: 4\r\n\r\n{body}").into_bytes(), "invalid_request"),
    ];
    for (at, (frame, code)) in frames.iter().enumerate() {
        let shown = format!("frame {at}: {}", String::from_utf8_lossy(&frame[..frame.len().min(80)]));
        let mut stream = connect(server.address).expect("up");
        stream.write_all(frame).unwrap_or_else(|error| panic!("{shown}: {error}"));
        stream.shutdown(std::net::Shutdown::Write).ok();
        let answer = read_answer(&mut BufReader::new(stream), false);
        match (answer, *code) {
            (Err(error), "") if error.kind() == ErrorKind::UnexpectedEof => {}
            (Err(error), "") if error.kind() == ErrorKind::ConnectionReset => {}
            (Ok(answer), "head_too_large") => assert_problem(&shown, &answer, &[431], &[code]),
            (Ok(answer), code) => assert_problem(&shown, &answer, &[400], &[code]),
            (Err(error), _) => panic!("{shown}: {error}"),
        }
    }
    frames.len()
}

/// Clients that connect and say too little: the others are served meanwhile.
fn half_open(server: &Server) -> usize {
    let count = if prove() { 500 } else { 200 };
    let mut waiting: Vec<TcpStream> = Vec::new();
    for number in 0..count {
        let mut stream = connect(server.address).expect("up");
        let words: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            _ => b"POST /api/v1/stock/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        };
        stream.write_all(words).expect("up");
        waiting.push(stream);
    }
    let mut client = server.client();
    for _ in 0..100 {
        client.get("/api/v1/stock/APPLE").expect("up").success();
    }
    if prove() {
        // Whoever never finishes a head is not waited for for ever.
        let slow = &mut waiting[1];
        slow.set_read_timeout(Some(Duration::from_secs(90))).expect("open");
        let mut rest = Vec::new();
        let read = slow.read_to_end(&mut rest);
        assert!(
            read.is_ok() || read.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset),
            "an unfinished head is waited for longer than 90 s"
        );
    }
    count
}

/// Bodies beyond every limit.
fn oversized(client: &mut Client, round: usize) -> usize {
    let headers = writing(KEY, "oversized");
    let padded = format!("{}{}", " ".repeat(20_000_000), receipt(json!(1)));
    let line = json!({"sku": "APPLE", "location": PLACE, "quantity": 1});
    let many = json!({"reference": format!("many-{round}"), "lines": vec![line; 100_000]});
    let cases = [
        ("/api/v1/stock/receive", padded.into_bytes()),
        ("/api/v1/stock/issue", many.to_string().into_bytes()),
        ("/api/v1/products", vec![b'['; 50_000_000]),
    ];
    for (path, body) in &cases {
        // The server may answer and hang up before it has read everything; the client then sees
        // either the answer or a closed connection.
        if let Ok(answer) = client.send("POST", path, &headers, body) {
            assert_problem(path, &answer, &[413], &["body_too_large"]);
        }
    }
    cases.len()
}

/// A refusal as every client can read it.
#[track_caller]
fn assert_problem(what: &str, answer: &Answer, statuses: &[u16], codes: &[&str]) {
    let problem = answer.json();
    let shown = format!("{what}\n{} {}", answer.status, answer.text());
    assert!(statuses.contains(&answer.status), "not {statuses:?}: {shown}");
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "{kind}: {shown}");
    assert!(codes.contains(&answer.code().as_str()), "not {codes:?}: {shown}");
    assert_eq!(problem["status"], answer.status, "{shown}");
    for field in ["type", "title"] {
        assert!(problem[field].is_string(), "no {field}: {shown}");
    }
    assert!(problem["retryable"].is_boolean(), "no retryable: {shown}");
}

fn receipt(quantity: Value) -> Value {
    json!({"sku": "APPLE", "location": PLACE, "quantity": quantity})
}

fn writing<'a>(key: &'a str, idempotency: &'a str) -> [(&'a str, &'a str); 3] {
    [("X-API-Key", key), ("Idempotency-Key", idempotency), ("Content-Type", "application/json")]
}
