//! Over a real socket: what arrives too slowly, too long or not at all, and how a server stops.

use std::time::Duration;

use kontor_core::id::SiteId;
use kontor_server::{Access, Limits, serve};
use kontor_site::Site;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::check::options;

struct Server {
    address: std::net::SocketAddr,
    key: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let site = Site::in_memory(SiteId::parse("main").unwrap()).unwrap();
        let key = Access::issue_admin_key(&site).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // What a connection inherits: a receiver that does not read is soon noticed.
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let options = options(&site, limits);
        let served = tokio::spawn(serve(listener, site, options, async move {
            let _ = stopped.await;
        }));
        Self { address, key, stop, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have answered and closed before it read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn short() -> Limits {
    let short = Duration::from_millis(150);
    Limits { head_read: short, body_read: short, head_bytes: 8 * 1024, ..Limits::default() }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(end) {
        let bytes = stream.read(&mut buffer).await.unwrap();
        assert!(bytes > 0, "the connection ended after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
    }
    seen
}

#[tokio::test]
async fn slow_half_open_and_oversized_requests_end() {
    let server = Server::start(short()).await;
    let head = |length: &str| {
        let key = &server.key;
        format!(
            "POST /api/v1/products HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\nConnection: close\r\n{length}\r\n\r\n"
        )
    };
    let headers = |count: usize| -> String { (0..count).map(|number| format!("X-{number}: 1\r\n")).collect() };
    let get = |rest: &str| format!("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{rest}\r\n");
    let table = [
        // A connection on which nothing is ever sent, and one whose head never ends, are closed.
        (String::new(), ""),
        ("GET / HTTP/1.1\r\nHost: x\r\n".into(), ""),
        // A body that never comes, and one that ends early.
        (head("Content-Length: 10"), "HTTP/1.1 408"),
        (head("Transfer-Encoding: chunked") + "5\r\n{\"sku", "HTTP/1.1 408"),
        (head("Content-Length: 300000"), "HTTP/1.1 413"),
        (head("Transfer-Encoding: chunked") + &format!("49000\r\n{}", "x".repeat(0x49000)), "HTTP/1.1 413"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000)), "HTTP/1.1 431"),
        (get(&headers(98)), "HTTP/1.1 200"),
        (get(&headers(99)), "HTTP/1.1 431"),
        ("NOT HTTP AT ALL\r\n\r\n".into(), "HTTP/1.1 400"),
        (get(""), "HTTP/1.1 200"),
    ];
    for (bytes, expected) in table {
        let answer = tokio::time::timeout(Duration::from_secs(5), server.exchange(bytes.as_bytes())).await;
        let answer = answer.unwrap_or_else(|_| panic!("the server waits for ever: {:.200}", bytes));
        assert!(answer.starts_with(expected), "{bytes:.200}: {answer}");
        if expected.contains(" 4") {
            assert_problem(&answer);
        }
    }
}

/// A whole problem document, named as every answer is.
#[track_caller]
fn assert_problem(answer: &str) {
    let (head, body) = answer.split_at(answer.rfind("\r\n\r\n").unwrap() + 2);
    let body = body.trim_start();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"), "{head}");
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
    assert!(head.contains("\r\ndate: ") && head.contains("\r\nconnection: close"), "{head}");
    let trace_id = problem["trace_id"].as_str().unwrap();
    assert!(head.contains(&format!("\r\nx-request-id: {trace_id}")) && head.contains("traceparent: "), "{head}");
    assert!(head.contains(&format!("HTTP/1.1 {} ", problem["status"])), "{answer}");
}

#[tokio::test]
async fn what_follows_good_requests_and_is_none_is_refused_after_them() {
    let server = Server::start(Limits::default()).await;
    let stock = "GET /api/v1/stock?page_size=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let etag = {
        let answer = server.exchange(b"GET /assets/icon.svg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        answer.split("etag: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned()
    };
    let known = format!("GET /assets/icon.svg HTTP/1.1\r\nHost: x\r\nIf-None-Match: {etag}\r\n\r\n");
    let head = stock.replace("GET", "HEAD");
    for before in [stock, &known, &head, &[stock, &known, &head, &known].concat()] {
        let answer = server.exchange(format!("{before}NOT HTTP AT ALL\r\n\r\n").as_bytes()).await;
        let (answers, last) = answer.rsplit_once("HTTP/1.1 ").unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), before.matches("HTTP/1.1").count(), "{answer}");
        assert!(!answers.contains("HTTP/1.1 4"), "{answer}");
        assert_problem(&format!("HTTP/1.1 {last}"));
        assert!(last.starts_with("400") && last.contains("\"code\":\"invalid_request\""), "{last}");
    }
}

#[tokio::test]
async fn requests_in_one_piece_are_answered_in_order() {
    let server = Server::start(short()).await;
    let one = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /api/v1/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = server.exchange(format!("{one}{one}{last}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    assert!(answer.ends_with("{\"items\":[]}"), "{answer}");
}

#[tokio::test]
async fn a_stream_tells_what_happens_and_ends_with_the_server() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;
    let ask = "GET /api/v1/changes?after=end HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "retry: 2000").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");

    let body = "{\"id\": \"berlin\", \"name\": \"Shop\"}";
    let open = format!(
        "POST /api/v1/locations HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        server.key,
        body.len()
    );
    assert!(server.exchange(open.as_bytes()).await.starts_with("HTTP/1.1 201"));
    let event = read_until(&mut stream, "\n\n\r\n").await;
    assert!(event.contains("event: change\ndata: {") && event.contains("location_opened"), "{event}");
    let id = event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();

    // Whoever comes back with the last id misses nothing and gets nothing twice.
    let mut again = server.connect().await;
    let ask = ask.replace("?after=end", "").replace("Accept", &format!("Last-Event-ID: {id}\r\nAccept"));
    again.write_all(ask.as_bytes()).await.unwrap();
    let first = read_until(&mut again, "retry: 2000").await;
    assert!(!first.contains("location_opened"), "{first}");

    server.stop.send(()).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    again.read_to_end(&mut rest).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), server.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn beyond_the_limit_of_streams_callers_are_told_so_and_half_are_kept_for_holders_of_keys() {
    let server = Server::start(Limits { streams: 2, ..Limits::default() }).await;
    let anybody = "GET /api/v1/changes HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".to_owned();
    let holder = anybody.replace("Host: x", &format!("Host: x\r\nX-API-Key: {}", server.key));
    let mut open = Vec::new();
    for (ask, expected) in [
        (&anybody, "retry: 2000"),
        (&anybody, "too_many_streams"),
        (&holder, "retry: 2000"),
        (&holder, "too_many_streams"),
    ] {
        let mut stream = server.connect().await;
        stream.write_all(ask.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, expected).await;
        if expected == "too_many_streams" {
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
        }
        open.push(stream);
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_read_loses_its_place() {
    let limits = Limits { streams: 1, answer_write: Duration::from_millis(100), ..Limits::default() };
    let server = Server::start(limits).await;
    let name = "x".repeat(500);
    let many: String = (0..400)
        .map(|number| {
            let body = format!("{{\"id\": \"shop-{number}\", \"name\": \"{name}\"}}");
            let close = if number == 399 { "Connection: close\r\n" } else { "" };
            format!(
                "POST /api/v1/locations HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Type: application/json\r\n{close}Content-Length: {}\r\n\r\n{body}",
                server.key,
                body.len()
            )
        })
        .collect();
    let (mut reads, mut writes) = server.connect().await.into_split();
    let mut answers = String::new();
    let (sent, read) = tokio::join!(writes.write_all(many.as_bytes()), reads.read_to_string(&mut answers));
    assert!(sent.is_ok() && read.is_ok());
    assert_eq!(answers.matches("HTTP/1.1 201").count(), 400);

    // Little room on both sides, so that the stream soon waits for its receiver.
    let ask = format!(
        "GET /api/v1/changes HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nAccept: text/event-stream\r\n\r\n",
        server.key
    );
    let idle = TcpSocket::new_v4().unwrap();
    idle.set_recv_buffer_size(4096).unwrap();
    let mut idle = idle.connect(server.address).await.unwrap();
    idle.write_all(ask.as_bytes()).await.unwrap();
    idle.readable().await.unwrap();
    let mut refusals = 0;
    let again = async {
        loop {
            let mut next = server.connect().await;
            next.write_all(ask.as_bytes()).await.unwrap();
            if read_until(&mut next, "\r\n\r\n").await.starts_with("HTTP/1.1 200") {
                break;
            }
            refusals += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("the place is never given back");
    assert!(refusals > 0, "the place was held at first");
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_finishes_what_it_began() {
    let limits = Limits { drain_delay: Duration::from_secs(60), drain: Duration::from_secs(5), ..Limits::default() };
    let server = Server::start(limits).await;
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET /api/v1/changes?after=end&wait_s=30 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut balancer = server.connect().await;
    let ready = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    balancer.write_all(ready.as_bytes()).await.unwrap();
    read_until(&mut balancer, "ok\n").await;
    server.stop.send(()).unwrap();
    // The poll is answered at once; then the balancer, still served, hears that the server goes.
    let answer = read_until(&mut waiting, "\"next\"").await;
    assert!(answer.contains("{\"items\":[]"), "{answer}");
    balancer.write_all(ready.as_bytes()).await.unwrap();
    let answer = read_until(&mut balancer, "shutting_down").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    server.served.abort();
}
