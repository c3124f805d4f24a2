//! The demo: six sites in one process, whose links are cut and healed, and a tour whose facts are verified here by
//! somebody else's arithmetic.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use kontor_site::clock::Stopwatch;
use serde_json::{Value, json};

use crate::support::http::Client;
use crate::support::server::{Server, assert_sound, kontor, run};
use crate::support::tools::word;
use crate::support::{HANG, say};

const SITES: [(&str, u16); 6] = [
    ("us-east-1", 8080),
    ("eu-west-1", 8082),
    ("store-s1", 8083),
    ("store-s2", 8084),
    ("store-s3", 8085),
    ("store-s4", 8086),
];
const KEY: &str = "demo-key-of-this-machine";

/// A running demo, moved to ports that are free.
struct Demo {
    server: Server,
    offset: u16,
}

impl Demo {
    /// Others may take one of the ports meanwhile; then it says so, and is tried at others.
    #[track_caller]
    fn start(words: &[&str]) -> Demo {
        loop {
            let offset = free_offset();
            let offset_word = offset.to_string();
            match Server::try_start(kontor(&[&["demo", "--port-offset", &offset_word], words].concat())) {
                Ok(server) => return Demo { server, offset },
                Err(ended) => assert!(ended.stderr.contains("is taken"), "{}", ended.stderr),
            }
        }
    }

    /// Runs another command of the demo, and reads what it prints for programs.
    #[track_caller]
    fn command(&self, words: &[&str]) -> Value {
        let offset = self.offset.to_string();
        let ended = run(kontor(&[&["demo", "--json", "--port-offset", &offset], words].concat()));
        assert!(
            ended.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&[ended.stderr, ended.stdout].concat())
        );
        serde_json::from_slice(&ended.stdout).expect("JSON")
    }

    fn client(&self, port: u16) -> Client {
        Client::new(SocketAddr::from(([127, 0, 0, 1], port + self.offset)))
    }

    /// Asks a site with the key of the demo.
    #[track_caller]
    fn get(&self, port: u16, path: &str) -> Value {
        let headers = [("X-API-Key", KEY)];
        self.client(port).send("GET", path, &headers, b"").expect("up").success().json()
    }
}

/// What must be added to the ports of the demo for its main one to be free just now.
fn free_offset() -> u16 {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it listens").port();
        if (8_080..65_000).contains(&port) {
            return port - 8_080;
        }
    }
}

/// Asks until it is so.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Stopwatch::start();
    while !is_so() {
        assert!(began.seconds() < HANG.as_secs_f64(), "not within {HANG:?}: {what}");
        thread::yield_now();
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn units(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("a number is expected, not {value}"))
}

#[test]
fn the_tour_of_a_running_demo_adds_up_for_others_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let demo = Demo::start(&["--data", word(&data)]);
    let facts = demo.command(&["tour"]);
    assert_eq!(facts["ok"], true, "{}", facts["checks"]);
    let sku = facts["sku"].as_str().expect("a SKU");

    // What was done, by the requests alone.
    let requests: Vec<&Value> = items(&facts["requests"]).collect();
    let is = |asked: &&&Value, path: &str| asked["method"] == "POST" && asked["path"] == path;
    let receipts = requests.iter().filter(|asked| is(asked, "/api/v1/stock/receive") && asked["status"] == 201);
    let received: i64 = receipts.map(|asked| units(&asked["body"]["quantity"])).sum();
    let committed = requests
        .iter()
        .filter(|asked| asked["path"].as_str().is_some_and(|path| path.ends_with("/commit")) && asked["status"] == 200);
    let committed: BTreeSet<&str> = committed.map(|asked| asked["answer"]["id"].as_str().expect("an id")).collect();
    assert_eq!((received, i64::try_from(committed.len())), (30, Ok(30)), "each unit is sold, and once");
    let mut refusals: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for asked in requests.iter().filter(|asked| is(asked, "/api/v1/reservations") && asked["status"] == 409) {
        let answer = &asked["answer"];
        let (site, code) = (asked["site"].as_str().expect("a site"), answer["code"].as_str().expect("a code"));
        assert_eq!((&answer["wanted"], &answer["available"], &answer["sku"]), (&json!(1), &json!(0), &json!(sku)));
        if code == "quota_exhausted_here" {
            assert!(answer["elsewhere"].as_u64() > Some(0) && answer["as_of"].is_string(), "{answer}");
        }
        refusals.entry(site).or_default().insert(code);
    }
    for (site, _) in SITES {
        let codes: Vec<&str> = refusals[site].iter().copied().collect();
        assert_eq!(codes, ["insufficient_stock", "quota_exhausted_here"], "{site}");
    }

    // How it stands, by what each site says itself.
    let (mut sold, mut in_flight, mut quota, mut there) = (0, 0, 0, 0);
    let mut books: BTreeMap<&str, Value> = BTreeMap::new();
    for (site, port) in SITES {
        let explained = demo.get(port, &format!("/api/v1/stock/{sku}/explain"));
        for shelf in items(&explained["locations"]) {
            for own in items(&shelf["sites"]).filter(|own| own["site"] == site) {
                sold += units(&own["sold"]) - units(&own["unsold"]);
                quota += units(&own["quota"]);
                there += units(&own["received"]) - units(&own["written_off"]);
                in_flight += units(&own["granted"]);
            }
            // What was given to others must have arrived there.
            let given = items(&shelf["sites"]).flat_map(|books| items(&books["grants"]));
            in_flight -= given.filter(|grant| grant["to"] == site).map(|grant| units(&grant["units"])).sum::<i64>();
        }
        let all: Vec<Value> =
            items(&explained["locations"]).map(|shelf| json!([shelf["location"], shelf["sites"]])).collect();
        books.insert(site, all.into());
    }
    assert_eq!((sold, there, quota + in_flight), (30, 30, 30), "{books:#?}");
    assert_eq!(in_flight, 0, "everything that was given has arrived");
    for (site, _) in SITES {
        assert_eq!(books[site], books["us-east-1"], "{site}");
    }

    // The conflict, by the documented call of the global catalogue and by the API of every site.
    let merge = demo.client(8000).send("GET", &format!("/explain-merge/{sku}/us-east-1"), &[], b"").expect("up");
    let merge = merge.success();
    assert_eq!((merge.header("x-region"), merge.header("x-consistency")), (Some("us-east-1"), Some("strong-local")));
    let merge = merge.json();
    for (site, port) in SITES {
        let conflicts = demo.get(port, &format!("/api/v1/products/{sku}/conflicts"));
        let title = demo.get(port, &format!("/api/v1/products/{sku}"))["title"].clone();
        let conflict = &conflicts["items"][0];
        assert_eq!(
            (&conflict["winner"]["value"], &conflict["winner"]["site"]),
            (&title, &merge["winner_region"]),
            "{site}"
        );
        assert_eq!((&conflict["field"], items(&conflict["candidates"]).count()), (&json!("/title"), 2), "{site}");
    }
    assert_eq!((&merge["simulated"], &merge["conflicts"][0]["field"]), (&json!(false), &json!("/title")), "{merge}");
    say("demo", &format!("30 units sold once by 6 sites; together again after {} s", facts["seconds"]["until_equal"]));

    let Demo { server, .. } = demo;
    server.stop();
    for (site, _) in SITES {
        assert_sound(&data.join(site));
    }
    a_demo_goes_on_with_its_journals(&data, sku);
}

fn a_demo_goes_on_with_its_journals(data: &Path, sku: &str) {
    let demo = Demo::start(&["--data", word(data)]);
    for (site, port) in SITES {
        let stock = demo.get(port, &format!("/api/v1/stock/{sku}"));
        assert_eq!((units(&stock["totals"]["committed"]), units(&stock["totals"]["available"])), (30, 0), "{site}");
    }
    let mug = demo.get(8082, "/api/v1/stock/SKU-001");
    assert_eq!(mug["totals"]["on_hand"], demo.get(8080, "/api/v1/stock/SKU-001")["totals"]["on_hand"]);
    demo.server.stop();
}

#[test]
fn links_of_a_demo_are_cut_and_healed_by_its_commands() {
    let demo = Demo::start(&[]);
    let (offset, alarms) = (demo.offset.to_string(), |port| demo.get(port, "/health")["alarms"].to_string());
    // The documented keys, where they are documented, and nowhere else.
    let ask = |port: u16, path: &str, key: Option<&str>| {
        let headers: Vec<(&str, &str)> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
        demo.client(port).send("GET", path, &headers, b"").expect("up")
    };
    let mug = ask(8081, "/v1/inventory/SKU-001", Some("demo")).success().json();
    assert_eq!(mug["available"], 440);
    for (port, path, key, status) in [
        (8081, "/v1/inventory", None, 401),
        (8081, "/v1/inventory", Some("central-api-key"), 200),
        (8081, "/v1/admin/rate-limit/status", Some("demo"), 403),
        (8083, "/v1/store/inventory/SKU-001", Some("store-s1-key"), 200),
        (8083, "/v1/store/inventory/SKU-001", None, 401),
        (8083, "/v1/store/sync/status", Some("demo"), 200),
        (8084, "/v1/inventory", Some("store-s1-key"), 401),
        (8000, "/products/SKU-001/us-east-1", None, 404),
        (8000, "/inventory/SKU-001", None, 200),
        (8080, "/products", None, 200),
        (8082, "/products", None, 200),
        (8086, "/health", None, 200),
    ] {
        assert_eq!(ask(port, path, key).status, status, "{port} {path} {key:?}");
    }

    let cut = demo.command(&["cut", "us-east-1", "eu-west-1"]);
    assert_eq!(items(&cut["links"]).filter(|link| link["open"] == false).count(), 2);
    until("both regions say so", || {
        alarms(8080).contains("eu-west-1 is cut") && alarms(8082).contains("us-east-1 is cut")
    });
    assert!(!alarms(8083).contains("is cut"), "others are not concerned");
    demo.command(&["heal"]);
    until("nobody says so any more", || SITES.iter().all(|(_, port)| alarms(*port) == "[]"));
    demo.command(&["cut", "store-s1", "us-east-1", "--one-way"]);
    until("one hears nothing", || alarms(8083).contains("us-east-1 is cut"));
    assert_eq!(alarms(8080), "[]", "and is still heard");

    // Whoever is wrong is told what to do instead.
    let nobody = free_offset().to_string();
    for (words, why) in [
        (vec!["demo", "--port-offset", &offset], "is taken, perhaps by another demo"),
        (vec!["demo", "--port-offset", &offset, "cut", "mars"], "there is no site mars; there are us-east-1"),
        (vec!["demo", "--port-offset", &nobody, "status"], "start one with kontor demo"),
    ] {
        let ended = run(kontor(&words));
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(why), "{words:?}: {said}");
    }
    demo.server.stop();
}

#[test]
fn a_tour_starts_a_demo_if_none_runs_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ended = loop {
        let mut command = kontor(&["demo", "--port-offset", &free_offset().to_string(), "tour"]);
        command.env("TMPDIR", folder.path());
        let ended = run(command);
        if !String::from_utf8_lossy(&ended.stderr).contains("is taken") {
            break ended;
        }
    };
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    for word in
        ["was started for this tour", "quota_exhausted_here", "insufficient_stock", "shows", "Everything adds up."]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}
