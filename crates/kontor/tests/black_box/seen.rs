//! What sites have seen of each other: the commands judge a directory by all the journals in it.

use std::path::Path;

use kontor_core::command::{Command as Wish, Request};
use kontor_core::id::{Actor, LocationId, RequestId, SiteId, Sku};
use kontor_core::product::Selling;
use kontor_core::text::Title;
use kontor_site::{Settings, Site};
use kontor_storage::journal::local::LocalOptions;

use crate::support::server::{assert_sound, kontor, run};
use crate::support::tools::word;

fn open(data: &Path, site: &str) -> Site {
    let settings = Settings {
        data: data.to_owned(),
        site: SiteId::parse(site).expect("a site"),
        nonce: 1,
        journal: LocalOptions { segment_bytes: 1 << 20, ..LocalOptions::default() },
        tables: Default::default(),
        disk_reserve_bytes: 0,
    };
    Site::open(&settings, |_| {}).expect("it opens")
}

fn act(site: &Site, command: Wish) {
    let actor = Actor::parse("key:test").expect("an actor");
    let request_id = RequestId::parse("r1").expect("a request id");
    let request = Request { command, actor, request_id, idempotency: None, fresh_id: [7; 16] };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(site.submit(request)).expect("it is done");
}

fn opens(site: &Site, location: &str) {
    let (id, name) = (LocationId::parse(location).expect("a location"), Title::parse(location).expect("a name"));
    act(site, Wish::OpenLocation { id, name });
}

fn sells(site: &Site, sku: &str) {
    let (sku, title) = (Sku::parse(sku).expect("a sku"), Title::parse(sku).expect("a title"));
    act(site, Wish::create_product(None, sku, title, Selling::default()));
}

fn read(from: &Site, to: &Site) {
    to.enroll(from.id()).expect("it can be read");
    let at = to.status().journals[from.id()].folded.clone();
    to.read_in(from.id(), &from.feed().groups(at.term, at.seq).expect("groups")).expect("it is read");
}

/// A site that has read a west that opened `location`, and has said so.
fn main_and_west(main: &Path, west: &Path, location: &str) {
    let (main, west) = (open(main, "main"), open(west, "west"));
    opens(&west, location);
    sells(&west, "PEAR");
    read(&west, &main);
    sells(&main, "APPLE");
    read(&main, &west);
    opens(&west, "elsewhere");
    main.close().expect("it closes");
    west.close().expect("it closes");
}

#[test]
fn what_was_seen_of_other_sites_is_verified() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [main, west, other, other_west] = ["main", "west", "other", "other-west"].map(|name| folder.path().join(name));
    main_and_west(&main, &west, "harbour");
    main_and_west(&other, &other_west, "quayside");
    for data in [&main, &west] {
        assert_sound(data);
        let verified = run(kontor(&["journal", "verify", "--json", "--data", word(data)]));
        let said: serde_json::Value = serde_json::from_slice(&verified.stdout).expect("JSON");
        assert!(said["seen_compared"].as_u64().is_some_and(|seen| seen > 0), "{said}");
    }

    let (kept, others) = (main.join("journal/peers/west"), other.join("journal/peers/west"));
    let refused = |why: &str| {
        for command in ["check", "verify"] {
            let words = if command == "check" { vec!["check"] } else { vec!["journal", "verify"] };
            let ended = run(kontor(&[words.as_slice(), &["--data", word(&main)]].concat()));
            let said = [ended.stdout, ended.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!ended.status.success() && said.contains("seen"), "{command}, {why}: {said}");
        }
    };
    std::fs::remove_dir_all(&kept).expect("it was there");
    refused("nothing is kept");
    // Another west, with as many groups.
    let copied = std::process::Command::new("cp").args(["-a", word(&others), word(&kept)]).status();
    assert!(copied.expect("cp is there").success());
    refused("another past");
}
