//! Two regions exchange their journals over a network that is cut and healed, while processes are killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use kontor_api::site::{GroupPlace, JournalHead};
use kontor_site::clock::Stopwatch;
use serde_json::{Value, json};

use crate::support::http::KEY;
use crate::support::proxy::{Network, Proxy};
use crate::support::server::{Server, assert_sound, kontor, run};
use crate::support::tools::{self, word};
use crate::support::{HANG, prove, say};

/// A region that is killed and started again on the same address.
pub(crate) struct Region {
    pub(crate) name: &'static str,
    pub(crate) data: PathBuf,
    address: SocketAddr,
    /// What is between it and the others.
    pub(crate) network: Proxy,
    pub(crate) code: Option<String>,
    server: Option<Server>,
}

impl Region {
    pub(crate) fn new(folder: &Path, name: &'static str, code: Option<String>) -> Region {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("it listens");
        let network = Proxy::before(address);
        let mut region = Region { name, data: folder.join(name), address, network, code, server: None };
        drop(free);
        region.start();
        region
    }

    /// A store, which nobody can reach; it says what it is at its first start alone.
    pub(crate) fn store(folder: &Path, name: &'static str, code: String) -> Region {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("it listens");
        let network = Proxy::before(address);
        network.set(Network::Cut);
        let mut store = Region { name, data: folder.join(name), address, network, code: Some(code), server: None };
        drop(free);
        store.start_with(&["--store"]);
        store
    }

    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    #[track_caller]
    pub(crate) fn start_with(&mut self, words: &[&str]) {
        let (address, advertise) = (self.address.to_string(), format!("http://{}", self.network.address));
        let mut command =
            kontor(&["serve", "--site", self.name, "--listen", &address, "--advertise", &advertise, "--data"]);
        command.arg(&self.data).args(words);
        if let Some(code) = &self.code {
            command.args(["--join", code]);
        }
        let started = Server::try_start(command);
        self.server = Some(started.unwrap_or_else(|ended| panic!("{}: {}", self.name, ended.stderr)));
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    pub(crate) fn kill(&mut self) {
        self.server.take().expect("it runs").kill();
    }

    pub(crate) fn stop(&mut self) {
        self.server.take().expect("it runs").stop();
    }

    /// The code with which another region joins this one, as the command prints it.
    pub(crate) fn code_for(&self, name: &str) -> String {
        let mut command = kontor(&["site", "add", name, "--url", &format!("http://{}", self.address)]);
        command.env("KONTOR_KEY", KEY);
        let printed = run(command);
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        String::from_utf8(printed.stdout).expect("a code").trim().to_owned()
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.server().client().get(path).expect("up").success().json()
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let key = format!("k{}", body.to_string().replace([' ', '"'], ""));
        self.server().client().post(path, &key, body).expect("up").success().json()
    }

    pub(crate) fn adds(&self, sku: &str) {
        self.post("/api/v1/products", &json!({"sku": sku, "title": sku}));
    }

    pub(crate) fn sees(&self, sku: &str) -> bool {
        self.server().client().get(&format!("/api/v1/products/{sku}")).is_ok_and(|answer| answer.is_success())
    }

    /// What it says of another site.
    pub(crate) fn link_to(&self, site: &str) -> Value {
        let sites = self.get("/api/v1/sites");
        let items = sites["items"].as_array().expect("items").iter();
        items.clone().find(|item| item["site"] == site).cloned().unwrap_or(Value::Null)
    }

    pub(crate) fn has_read_all_of(&self, other: &Region) -> bool {
        let link = self.link_to(other.name);
        link["link"] == "open" && link["read"] == other.get("/api/v1/sites")["end"]
    }

    pub(crate) fn alarms(&self) -> String {
        self.get("/health")["alarms"].to_string()
    }
}

/// Asks until it is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) -> String {
    let began = Stopwatch::start();
    while !is_so() {
        assert!(began.seconds() < HANG.as_secs_f64(), "not within {HANG:?}: {what}");
        thread::yield_now();
    }
    format!("{:.2} s", began.seconds())
}

/// Takes a disk back to what it was, or keeps what it is.
pub(crate) fn copy_disk(from: &Path, to: &Path) {
    for part in ["journal", "tables"] {
        std::fs::remove_dir_all(to.join(part)).ok();
        tools::run("cp", &["-a", word(&from.join(part)), word(to)]).expect("it is copied");
    }
}

fn two_regions(folder: &Path) -> (Region, Region) {
    let us = Region::new(folder, "us", None);
    let code = us.code_for("eu");
    assert!(code.contains(&us.network.address.to_string()), "others come by the network: {code}");
    let eu = Region::new(folder, "eu", Some(code));
    (us, eu)
}

#[test]
fn regions_see_each_other_sell_through_a_cut_and_come_together_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (us, eu) = two_regions(folder.path());
    us.adds("APPLE");
    eu.adds("PEAR");
    until("each sees the other's product", || us.sees("PEAR") && eu.sees("APPLE"));

    for network in [Network::Cut, Network::Dead] {
        for region in [&us, &eu] {
            region.network.set(network);
        }
        let name = format!("{network:?}").to_uppercase();
        us.adds(&format!("{name}-US"));
        eu.adds(&format!("{name}-EU"));
        if network == Network::Cut {
            until("both say that the link is cut", || {
                us.alarms().contains("site eu is cut") && eu.alarms().contains("site us is cut")
            });
            assert_eq!(us.link_to("eu")["link"], "cut");
            assert!(us.get("/health")["status"].as_str().expect("a word").starts_with("degraded"));
        }
        assert!(!us.sees(&format!("{name}-EU")) && !eu.sees(&format!("{name}-US")), "nothing is carried");
        for region in [&us, &eu] {
            region.network.set(Network::Open);
        }
        let healed = until("both have read everything", || us.has_read_all_of(&eu) && eu.has_read_all_of(&us));
        assert!(us.sees(&format!("{name}-EU")) && eu.sees(&format!("{name}-US")));
        assert_eq!((us.alarms(), eu.alarms()), ("[]".to_owned(), "[]".to_owned()));
        say("regions", &format!("{network:?} and healed: together again after {healed}"));
    }
    for (mut region, other) in [(us, "eu"), (eu, "us")] {
        assert_eq!(region.link_to(other)["lag_groups"], 0);
        region.stop();
        assert_sound(&region.data);
    }
}

#[test]
fn a_reader_that_is_killed_goes_on_without_gap_or_doubling() {
    let (kills, sales) = if prove() { (20, 10_000) } else { (3, 400) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (us, mut eu) = two_regions(folder.path());
    us.adds("APPLE");
    us.post("/api/v1/locations", &json!({"id": "depot", "name": "Depot"}));
    us.post("/api/v1/stock/receive", &json!({"sku": "APPLE", "location": "depot", "quantity": 1_000_000}));
    until("eu reads", || eu.has_read_all_of(&us));

    let read = |eu: &Region| eu.link_to("us")["read"]["seq"].as_u64().unwrap_or(0);
    let mut sold = 0;
    for kill in 0..kills {
        let before = read(&eu);
        // Some are sold while eu reads, some while it is away.
        let part = sales / kills;
        for number in 0..part {
            let reference = format!("sale-{kill}-{number}");
            let line = json!({"sku": "APPLE", "location": "depot", "quantity": 1});
            us.post("/api/v1/stock/issue", &json!({"reference": reference, "lines": [line]}));
            sold += 1;
            if number == part / 2 {
                until("eu reads on", || read(&eu) > before);
                eu.kill();
            }
        }
        eu.start();
    }
    let took = until("eu has read everything", || eu.has_read_all_of(&us));
    let level = |region: &Region| region.get("/api/v1/stock/APPLE")["levels"][0]["on_hand"].clone();
    assert_eq!((level(&us), level(&eu)), (json!(1_000_000 - sold), json!(1_000_000 - sold)));
    let newest = |region: &Region| region.get("/api/v1/movements?sku=APPLE&page_size=200")["items"].clone();
    assert_eq!(newest(&us), newest(&eu), "the ledger is the same to the last line");
    let (mut us, end) = (us, read(&eu));
    for region in [&mut us, &mut eu] {
        region.stop();
        assert_sound(&region.data);
    }
    say("regions", &format!("{kills} kills of a reader, {sold} sales, {end} groups: all there once, {took} after"));
}

#[test]
fn what_was_sold_while_away_comes_home_over_every_kind_of_network() {
    let sales = if prove() { 10_000 } else { 600 };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut us, mut eu) = two_regions(folder.path());
    us.adds("APPLE");
    for (region, place) in [(&us, "depot"), (&eu, "shop")] {
        until("the product is known", || region.sees("APPLE"));
        region.post("/api/v1/locations", &json!({"id": place, "name": place}));
        region.post("/api/v1/stock/receive", &json!({"sku": "APPLE", "location": place, "quantity": 1_000_000}));
    }
    let is_equal = |us: &Region, eu: &Region| us.has_read_all_of(eu) && eu.has_read_all_of(us);
    until("both have read everything", || is_equal(&us, &eu));
    let set = |network| [&us, &eu].map(|region| region.network.set(network));
    set(Network::Cut);
    until("both say that the link is cut", || us.link_to("eu")["link"] == "cut" && eu.link_to("us")["link"] == "cut");

    let sell = |region: &Region, place: &str, count: usize| {
        for number in 0..count {
            let line = json!({"sku": "APPLE", "location": place, "quantity": 1});
            let sale = json!({"reference": format!("{place}-{number}"), "lines": [line]});
            region.post("/api/v1/stock/issue", &sale);
        }
    };
    sell(&us, "depot", 50);
    sell(&eu, "shop", sales);
    let began = Stopwatch::start();
    let read = |us: &Region| us.link_to("eu")["read"]["seq"].as_u64().unwrap_or(0);
    let end = eu.get("/api/v1/sites")["end"]["seq"].as_u64().expect("a number");
    let mut said = Vec::new();
    for network in
        [Network::HalfOpen, Network::Truncated, Network::OneWay, Network::Flapping, Network::Slow, Network::Dead]
    {
        let before = read(&us);
        set(network);
        // Over those that carry anything, something comes; the others are healed while they are asked.
        if matches!(network, Network::Truncated | Network::Flapping | Network::Slow) && before < end {
            until("us reads on", || read(&us) > before);
        }
        said.push(format!("{network:?} {} to {}", before, read(&us)));
    }
    set(Network::Open);
    until("both have read everything", || is_equal(&us, &eu));
    let took = began.seconds();

    let levels = |region: &Region| region.get("/api/v1/stock/APPLE")["levels"].clone();
    assert_eq!(levels(&us).as_array().map(Vec::len), Some(2));
    let on_hand = |region: &Region, at: usize| levels(region)[at]["on_hand"].as_u64();
    for region in [&us, &eu] {
        let (depot, shop) = (on_hand(region, 0), on_hand(region, 1));
        assert_eq!((depot, shop), (Some(1_000_000 - 50), Some(1_000_000 - sales as u64)), "{}", region.name);
    }
    let newest = |region: &Region| region.get("/api/v1/movements?sku=APPLE&page_size=200")["items"].clone();
    assert_eq!(newest(&us), newest(&eu), "the ledger is the same to the last line");
    for region in [&mut us, &mut eu] {
        region.stop();
        assert_sound(&region.data);
    }
    say(
        "regions",
        &format!(
            "{sales} sales made while away, groups of {end}: {}; all there once after {took:.1} s",
            said.join(", ")
        ),
    );
}

/// A peer that answers every question with the same bytes.
fn answers_always(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let asked = BufReader::new(stream.try_clone().expect("a socket can be shared"));
            if asked.lines().map_while(Result::ok).any(|line| line.is_empty()) {
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
                stream.write_all(&[head.as_bytes(), &answer].concat()).ok();
            }
        }
    });
    address
}

#[test]
fn a_journal_that_cannot_be_read_stops_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (us, mut eu) = two_regions(folder.path());
    us.adds("APPLE");
    until("eu reads", || eu.sees("APPLE"));
    let head = |site: &str| JournalHead::new(site, GroupPlace { term: 1, seq: 9 });
    let newer = answers_always(head("newer").encode([b"\xff a format of the future".as_slice()]).expect("bytes"));
    let liar = answers_always(head("liar").encode([b"\x01 no group at all".as_slice()]).expect("bytes"));
    let endless = answers_always(vec![b'x'; 8 << 20]);
    eu.kill();
    let peers = [("newer", newer), ("liar", liar), ("endless", endless)];
    let peers = peers.map(|(name, address)| format!("http://{name}:a-key-of-somebody@{address}"));
    eu.start_with(&["--peer", &peers[0], "--peer", &peers[1], "--peer", &peers[2]]);
    for (site, link, why) in [("newer", "stopped", "newer"), ("liar", "cut", "no group"), ("endless", "cut", "")] {
        until(&format!("{site} is {link}"), || {
            let item = eu.link_to(site);
            item["link"] == link && item["error"].as_str().is_some_and(|error| error.contains(why))
        });
        assert!(eu.alarms().contains(&format!("site {site} is")), "{}", eu.alarms());
    }
    us.adds("PEAR");
    eu.adds("PLUM");
    until("the others go on", || eu.sees("PEAR") && us.sees("PLUM"));
    assert!(eu.server().peak_memory_mib() < 1_024, "no answer is held that has no end");
    let (mut us, mut eu) = (us, eu);
    us.stop();
    eu.stop();
}

#[test]
fn a_site_whose_disk_was_rolled_back_writes_nothing_until_it_is_mended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut us, eu) = two_regions(folder.path());
    us.adds("APPLE");
    until("eu reads", || eu.sees("APPLE"));
    us.stop();
    let image = folder.path().join("image");
    std::fs::create_dir(&image).expect("a folder");
    copy_disk(&us.data, &image);
    us.start();
    us.adds("PEAR");
    us.post("/api/v1/locations", &json!({"id": "depot", "name": "Depot"}));
    // Too few to be shared, so that us writes no group but these.
    us.post("/api/v1/stock/receive", &json!({"sku": "PEAR", "location": "depot", "quantity": 6}));
    let line = json!({"sku": "PEAR", "location": "depot", "quantity": 2});
    let held = us.post("/api/v1/reservations", &json!({"lines": [line]}))["id"].clone();
    until("eu reads", || eu.has_read_all_of(&us));
    us.kill();
    copy_disk(&image, &us.data);
    us.start();

    until("us hears what it has lost", || us.alarms().contains("the end of the journal was lost"));
    let product = json!({"sku": "PLUM", "title": "Plum"});
    let refused = us.server().client().post("/api/v1/products", "plum", &product).expect("up");
    assert_eq!((refused.status, refused.code().as_str()), (503, "journal_behind"));
    assert!(us.sees("APPLE"), "reads work");
    until("eu says so as well", || eu.alarms().contains("site us is cut"));
    eu.adds("GRAPE");

    // What others have read of it comes back: into a new term, so that no number is given twice.
    us.stop();
    let (backup, restored) = (folder.path().join("backup"), folder.path().join("restored"));
    let succeeds = |words: &[&str]| {
        let ended = run(kontor(words));
        assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
        serde_json::from_slice::<Value>(&ended.stdout).expect("JSON")
    };
    let code = eu.code_for("us");
    let mend = ["site", "mend", code.as_str(), "--json", "--data"];
    let refused = run(kontor(&[&mend[..], &[word(&us.data)]].concat()));
    assert!(!refused.status.success(), "it was not restored, and goes on in its term");
    succeeds(&["backup", word(&backup), "--json", "--data", word(&us.data)]);
    succeeds(&["restore", word(&backup), "--json", "--data", word(&restored)]);
    let mended = succeeds(&[&mend[..], &[word(&restored)]].concat());
    assert_eq!((mended["groups"].as_u64(), &mended["holds"]), (Some(4), &json!([held])), "{mended}");
    us.data = restored;
    us.code = Some(code.clone());
    us.start();
    until("both have read everything", || us.has_read_all_of(&eu) && eu.has_read_all_of(&us));
    assert!(us.sees("PEAR") && us.sees("GRAPE"));
    us.post("/api/v1/products", &product);
    until("eu reads", || eu.sees("PLUM"));
    us.post(&format!("/api/v1/reservations/{}/release", held.as_str().expect("an id")), &json!({}));
    let level = |region: &Region| region.get("/api/v1/stock/PEAR")["levels"][0]["available"].clone();
    until("nothing is held any more", || level(&us) == 6 && level(&eu) == 6);
    assert_eq!((us.alarms(), eu.alarms()), ("[]".to_owned(), "[]".to_owned()));
    let (mut us, mut eu) = (us, eu);
    for region in [&mut us, &mut eu] {
        region.stop();
        assert_sound(&region.data);
    }
    let refused = run(kontor(&[&mend[..], &[word(&us.data)]].concat()));
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("has written in term"), "{said}");
}

#[test]
fn sites_with_a_key_of_their_own_are_started_by_settings_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [one, two] = free.each_ref().map(|free| free.local_addr().expect("it listens"));
    drop(free);
    let start = |name: &str, own: SocketAddr, other: SocketAddr| {
        let mut command: Command = kontor(&["serve", "--listen", &own.to_string(), "--data"]);
        command.arg(folder.path().join(name));
        command.args(["--site", name]);
        command.env("KONTOR_PEERS", format!("http://{other}")).env("KONTOR_PEER_KEY", "a-key-that-both-have");
        Server::try_start(command).unwrap_or_else(|ended| panic!("{}", ended.stderr))
    };
    let (one, two) = (start("one", one, two), start("two", two, one));
    let product = json!({"sku": "APPLE", "title": "Apple"});
    one.client().post("/api/v1/products", "apple", &product).expect("up").success();
    until("the other sees it", || two.client().get("/api/v1/products/APPLE").is_ok_and(|answer| answer.is_success()));
    let printed = run({
        let mut command = kontor(&["site", "list", "--json", "--url", &format!("http://{}", two.address)]);
        command.env("KONTOR_KEY", KEY);
        command
    });
    let listed: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!((&listed["items"][0]["site"], &listed["items"][0]["link"]), (&json!("one"), &json!("open")));
    one.stop();
    two.stop();
}
