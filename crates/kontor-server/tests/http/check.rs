//! How every test asks: requests written as they are sent, against a site in memory.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use kontor_core::id::SiteId;
use kontor_payments::settings::{Chosen, Secrets};
use kontor_payments::simulated::{Simulated, Simulator};
use kontor_server::demo::Demo;
use kontor_server::links::Links;
use kontor_server::{Access, Limits, Options, Payments, router};
use kontor_site::persons::{MasterKey, Persons};
use kontor_site::{Settings, Site};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

/// A service with nothing in it yet.
pub(crate) struct Shop {
    pub(crate) site: Site,
    pub(crate) key: String,
    pub(crate) links: Links,
    pub(crate) persons: Arc<Persons>,
    router: Router,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::with(limits, |access| access).await
    }

    pub(crate) async fn with(limits: Limits, access: impl FnOnce(Access) -> Access) -> Self {
        Self::of_site("main", limits, access).await
    }

    pub(crate) async fn of_site(name: &str, limits: Limits, access: impl FnOnce(Access) -> Access) -> Self {
        let site = Site::in_memory(SiteId::parse(name).unwrap()).unwrap();
        let key = Access::issue_admin_key(&site).await.unwrap();
        let options = options(&site, limits);
        let (links, persons) = (options.links.clone(), options.persons.clone());
        let router = router(site.clone(), Options { access: access(options.access), ..options });
        Self { site, key, links, persons, router }
    }

    /// A site with a data directory. Opened again, it is the same one.
    pub(crate) async fn in_directory(data: &Path) -> Self {
        let site = Self::site_in(data);
        let persons = Arc::new(Persons::open(&site, data, MasterKey::new([8; 32])).unwrap());
        let key = Access::issue_admin_key(&site).await.unwrap();
        let options = Options { persons: persons.clone(), ..options(&site, Limits::default()) };
        let links = options.links.clone();
        Self { router: router(site.clone(), options), site, key, links, persons }
    }

    /// The site of a data directory.
    pub(crate) fn site_in(data: &Path) -> Site {
        let settings = Settings {
            data: data.to_owned(),
            site: SiteId::parse("main").unwrap(),
            nonce: 1,
            journal: Default::default(),
            tables: Default::default(),
            disk_reserve_bytes: 0,
        };
        Site::open(&settings, |_| {}).unwrap()
    }

    /// A site whose payments are made by a provider in memory, and where they may be made to go wrong.
    pub(crate) async fn paying(name: &str, limits: Limits, access: impl FnOnce(Access) -> Access) -> (Self, Simulator) {
        let site = Site::in_memory(SiteId::parse(name).unwrap()).unwrap();
        let simulator = Simulator::new(Simulated::new(7), Payments::now());
        let shop = Self::again(site, limits, access, &simulator).await;
        (shop, simulator)
    }

    /// Another door of a site, or the same one after a start.
    pub(crate) async fn again(
        site: Site,
        limits: Limits,
        access: impl FnOnce(Access) -> Access,
        simulator: &Simulator,
    ) -> Self {
        let key = Access::issue_admin_key(&site).await.unwrap();
        let options = options(&site, limits);
        let payments = Payments::new(Chosen::Simulated(simulator.clone()), &Secrets::default());
        let (access, payments) = (access(options.access), Some(payments));
        let options = Options { access, payments, fault_injection: true, ..options };
        let (links, persons) = (options.links.clone(), options.persons.clone());
        Self { router: router(site.clone(), options), site, key, links, persons }
    }

    /// A site of a demo.
    pub(crate) async fn of_demo(name: &str, limits: Limits, demo: Demo, access: impl FnOnce(Access) -> Access) -> Self {
        let site = Site::in_memory(SiteId::parse(name).unwrap()).unwrap();
        let key = Access::issue_admin_key(&site).await.unwrap();
        let options = options(&site, limits);
        let options = Options { access: access(options.access), demo: Some(demo), ..options };
        let (links, persons) = (options.links.clone(), options.persons.clone());
        Self { router: router(site.clone(), options), site, key, links, persons }
    }

    /// A site at which payments are made.
    pub(crate) async fn with_payments(payments: Payments) -> Self {
        let site = Site::in_memory(SiteId::parse("main").unwrap()).unwrap();
        let key = Access::issue_admin_key(&site).await.unwrap();
        let options = Options { payments: Some(payments), ..options(&site, Limits::default()) };
        let (links, persons) = (options.links.clone(), options.persons.clone());
        Self { router: router(site.clone(), options), site, key, links, persons }
    }

    /// With a product DESK and 10 of it at berlin, and nothing at depot.
    pub(crate) async fn stocked() -> Self {
        Self::stocked_with(Limits::default()).await
    }

    pub(crate) async fn stocked_with(limits: Limits) -> Self {
        let shop = Self::with_limits(limits).await;
        for request in [
            "POST /api/v1/products\n\n{\"sku\": \"DESK\", \"title\": \"Walnut desk\"}",
            "POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Shop Berlin\"}",
            "POST /api/v1/locations\n\n{\"id\": \"depot\", \"name\": \"Depot\"}",
            "POST /api/v1/stock/receive\nIdempotency-Key: stocked\n\n{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 10}",
        ] {
            let seen = shop.ask(request).await;
            assert!(seen.status.is_success(), "{request}: {seen:?}");
        }
        shop
    }

    /// Asks with the admin key. A request is its line, its headers, an empty line and its body; JSON
    /// unless it says otherwise.
    pub(crate) async fn ask(&self, request: &str) -> Seen {
        self.send(request, Some(&self.key), None).await
    }

    /// Asks without a key.
    pub(crate) async fn ask_as_anybody(&self, request: &str) -> Seen {
        self.send(request, None, None).await
    }

    /// Asks with another key.
    pub(crate) async fn ask_with(&self, key: &str, request: &str) -> Seen {
        self.send(request, Some(key), None).await
    }

    /// Reads bytes that are no text.
    pub(crate) async fn bytes(&self, key: &str, path: &str) -> (HeaderMap, Bytes) {
        let request = Request::get(path).header("x-api-key", key).body(Body::empty()).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        assert_eq!(head.status, StatusCode::OK, "{path}");
        (head.headers, body.collect().await.unwrap().to_bytes())
    }

    /// Posts bytes that are no text.
    pub(crate) async fn send_bytes(&self, key: &str, path: &str, body: Vec<u8>) -> Seen {
        let request = Request::post(path).header("x-api-key", key).body(Body::from(body)).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Seen { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// The beginning of a stream of events.
    pub(crate) async fn first_events(&self, path: &str) -> String {
        let request = Request::get(path).header("x-api-key", &self.key).header("accept", "text/event-stream");
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream", "{path}");
        let first = answer.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(first.to_vec()).unwrap()
    }

    /// Asks without a key, over a socket of this address.
    pub(crate) async fn ask_from(&self, peer: &str, request: &str) -> Seen {
        self.send(request, None, Some(peer.parse().unwrap())).await
    }

    async fn send(&self, text: &str, key: Option<&str>, peer: Option<SocketAddr>) -> Seen {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if let Some(peer) = peer {
            request = request.extension(ConnectInfo(peer));
        }
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let headers = request.headers_mut().unwrap();
        if let Some(key) = key {
            headers.insert("x-api-key", key.parse().unwrap());
        }
        if !body.is_empty() && !headers.contains_key("content-type") {
            headers.insert("content-type", "application/json".parse().unwrap());
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Seen { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// What is answered to one request after another, without what differs from run to run.
    pub(crate) async fn story(&self, requests: &[&str]) -> Value {
        let mut story = Vec::new();
        for request in requests {
            let seen = self.ask(request).await;
            story.push(json!({
                "1 asked": request,
                "2 answered": seen.status.as_u16(),
                "3 headers": seen.telling_headers(),
                "4 body": seen.stable_body(),
            }));
        }
        Value::Array(story)
    }
}

pub(crate) fn options(site: &Site, limits: Limits) -> Options {
    Options {
        access: Access::new(site, None).unwrap(),
        limits,
        metrics: None,
        version: "0.0.0",
        address: "http://127.0.0.1:8080".into(),
        links: Links::new().0,
        demo: None,
        payments: None,
        persons: Arc::new(Persons::in_memory(site)),
        fault_injection: false,
    }
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("this is not JSON: {self:?}"))
    }

    /// The lines of an answer that is one.
    pub(crate) fn lines(&self) -> Vec<Value> {
        assert_eq!(self.headers["content-type"], "application/x-ndjson", "{self:?}");
        assert!(self.body.is_empty() || self.body.ends_with('\n'), "the last line broke off: {self:?}");
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The code of a problem, whose form is checked.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        for field in ["type", "title", "detail", "trace_id"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {self:?}");
        }
        assert!(self.headers["traceparent"].to_str().unwrap().contains(body["trace_id"].as_str().unwrap()));
        body["code"].as_str().unwrap().to_owned()
    }

    fn telling_headers(&self) -> Value {
        let telling = ["etag", "location", "link", "allow", "idempotency-replayed", "retry-after", "www-authenticate"];
        let told = telling.iter().filter_map(|name| Some((*name, self.headers.get(*name)?.to_str().unwrap())));
        told.map(|(name, value)| (name.to_owned(), json!(stable_text(value)))).collect::<Map<_, _>>().into()
    }

    fn stable_body(&self) -> Value {
        let is_lines = self.headers.get("content-type").is_some_and(|kind| kind == "application/x-ndjson");
        let mut body = match is_lines {
            true => self.lines().into(),
            false => serde_json::from_str(&self.body).unwrap_or_else(|_| json!(self.body)),
        };
        make_stable(&mut body);
        body
    }
}

/// Replaces times, positions, and names that are drawn.
fn make_stable(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(make_stable),
        Value::Object(fields) => {
            for (name, field) in fields {
                let drawn = name.ends_with("_at") && name != "occurred_at"
                    || ["trace_id", "request_id", "actor", "position", "next", "next_page_token"]
                        .contains(&name.as_str());
                match field {
                    Value::String(text) if drawn => *text = format!("[{name}]"),
                    other => make_stable(other),
                }
            }
        }
        Value::String(text) => *text = stable_text(text),
        _ => {}
    }
}

fn stable_text(text: &str) -> String {
    let is_place = text.bytes().all(|b| b.is_ascii_digit() || b == b'-') && text.matches('-').count() == 3;
    let is_time = text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    let is_digest = text.len() == 18 && text.starts_with('"') && text.ends_with('"');
    match text {
        _ if is_place => "[movement]".to_owned(),
        _ if is_time => "[time]".to_owned(),
        _ if is_digest => "\"[digest]\"".to_owned(),
        _ => match (text.find("res_"), text.find("page_token=")) {
            (Some(at), _)
                if text.len() >= at + 36 && text.as_bytes()[at + 4..at + 36].iter().all(u8::is_ascii_hexdigit) =>
            {
                format!("{}[reservation]{}", &text[..at], &text[at + 36..])
            }
            (_, Some(at)) => {
                let end = text[at..].find(['&', '>']).map_or(text.len(), |end| at + end);
                format!("{}page_token=[token]{}", &text[..at], &text[end..])
            }
            _ => text.to_owned(),
        },
    }
}
