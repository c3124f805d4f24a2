//! Journals that are read through other sites, over links that are cut and disks that are rolled back.

use serde_json::json;

use crate::regions::{Region, copy_disk, until};
use crate::support::proxy::{Network, Proxy};
use crate::support::server::assert_sound;

/// `from` reads the journal of `to` over a network that can be cut alone, and `to` the other, if it is mutual.
fn join_over(from: &Region, to: &Region, mutual: bool) -> Proxy {
    let between = Proxy::before(to.network.address);
    let code = to.code_for(from.name).replace(&to.network.address.to_string(), &between.address.to_string());
    from.post("/api/v1/sites/links", &json!({"code": code, "mutual": mutual}));
    between
}

#[test]
fn a_site_reads_through_another_what_it_cannot_reach_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let us = Region::new(folder.path(), "us", None);
    let eu = Region::new(folder.path(), "eu", Some(us.code_for("eu")));
    let ap = Region::new(folder.path(), "ap", Some(eu.code_for("ap")));
    us.adds("APPLE");
    ap.adds("PEAR");
    until("each end sees the other's product", || us.sees("PEAR") && ap.sees("APPLE"));
    let link = ap.link_to("us");
    assert_eq!((&link["link"], &link["through"]), (&json!("relayed"), &json!("eu")), "{link}");
    assert_eq!(link["url"], json!(null), "it knows no way of its own");

    // A link of its own is preferred, and when that is cut, what others have goes on to come.
    let between = join_over(&ap, &us, true);
    until("ap has a link to us", || ap.link_to("us")["link"] == "open");
    assert_eq!(ap.link_to("us")["through"], json!(null));
    between.set(Network::Cut);
    until("the link is cut", || ap.link_to("us")["link"] == "cut");
    us.adds("PLUM");
    until("ap reads on through eu", || ap.sees("PLUM") && ap.link_to("us")["through"] == "eu");
    between.set(Network::Open);
    until("the link is open again", || ap.has_read_all_of(&us));
    us.adds("GRAPE");
    until("ap reads on", || ap.sees("GRAPE"));

    for mut region in [us, eu, ap] {
        region.stop();
        assert_sound(&region.data);
    }
}

#[test]
fn journals_that_build_on_each_other_are_read_through_one_peer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let us = Region::new(folder.path(), "us", None);
    let east = Region::new(folder.path(), "east", Some(us.code_for("east")));
    let west = Region::new(folder.path(), "west", Some(us.code_for("west")));
    west.adds("APPLE");
    west.post("/api/v1/locations", &json!({"id": "depot", "name": "Depot"}));
    west.post("/api/v1/stock/receive", &json!({"sku": "APPLE", "location": "depot", "quantity": 30}));
    let here = |region: &Region| {
        let stock = region.server().client().get("/api/v1/stock/APPLE").expect("up");
        if stock.is_success() { stock.json()["levels"][0]["sellable_here"].as_i64() } else { None }
    };
    until("all hold a share", || [&us, &east, &west].iter().all(|region| here(region) >= Some(5)));
    // More than west can give: east gives what it has of west.
    let line = json!({"sku": "APPLE", "location": "depot", "quantity": 28});
    let reserve = || us.server().client().post("/api/v1/reservations", "many", &json!({"lines": [line]})).expect("up");
    until("us has borrowed of both", || reserve().is_success());

    // What east has given comes first, by its name, and nobody can follow it without what west gave before.
    let store = Region::store(folder.path(), "store-s1", us.code_for("store-s1"));
    let reads = |of: &Region| store.link_to(of.name)["read"] == of.get("/api/v1/sites")["end"];
    until("the store reads both through us", || reads(&east) && reads(&west) && reads(&us));
    assert_eq!(store.get("/api/v1/stock/APPLE")["totals"]["reserved"], 28);
    for mut region in [us, east, west, store] {
        region.stop();
        assert_sound(&region.data);
    }
}

#[test]
fn a_site_hears_through_others_that_it_has_lost_the_end_of_its_journal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut us = Region::new(folder.path(), "us", None);
    let mut eu = Region::new(folder.path(), "eu", Some(us.code_for("eu")));
    let ap = Region::new(folder.path(), "ap", Some(eu.code_for("ap")));
    let between = join_over(&ap, &us, false);
    us.adds("APPLE");
    until("both have read it", || eu.has_read_all_of(&us) && ap.has_read_all_of(&us));
    us.stop();
    let image = folder.path().join("image");
    std::fs::create_dir(&image).expect("a folder");
    copy_disk(&us.data, &image);
    // What us does now, ap alone has read.
    eu.kill();
    us.start();
    us.adds("PEAR");
    until("ap reads", || ap.sees("PEAR"));
    between.set(Network::Cut);
    us.kill();
    copy_disk(&image, &us.data);
    us.start();
    until("nobody can tell it", || ap.link_to("us")["link"] == "cut" && us.link_to("eu")["link"] == "cut");
    assert!(!us.alarms().contains("writes nothing"));
    eu.start();
    until("eu reads through ap what us has lost", || eu.sees("PEAR"));
    until("us hears of it", || us.alarms().contains("the end of the journal was lost"));
}

#[test]
fn the_books_of_another_site_are_written_through_the_link_and_only_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let us = Region::new(folder.path(), "us", None);
    let eu = Region::new(folder.path(), "eu", Some(us.code_for("eu")));
    us.adds("APPLE");
    us.post("/api/v1/locations", &json!({"id": "depot", "name": "Depot"}));
    until("eu reads", || eu.has_read_all_of(&us));
    let arrives = |key: &str| {
        let units = json!({"sku": "APPLE", "location": "depot", "quantity": 5});
        eu.server().client().post("/api/v1/stock/receive", key, &units).expect("up")
    };
    let booked = arrives("one");
    assert_eq!((booked.status, booked.header("kontor-site")), (201, Some("us")));
    assert_eq!(us.get("/api/v1/stock/APPLE")["totals"]["on_hand"], 5);
    let movement = us.get("/api/v1/movements?sku=APPLE")["items"][0].clone();
    assert!(movement["actor"].as_str().is_some_and(|actor| actor.ends_with("@eu")), "{movement}");
    us.network.set(Network::Cut);
    until("eu says that the link is cut", || eu.link_to("us")["link"] == "cut");
    let refused = arrives("two");
    assert_eq!((refused.status, refused.code().as_str()), (503, "owned_elsewhere"));
    assert_eq!(refused.header("kontor-site"), Some("eu"));
    us.network.set(Network::Open);
    until("the same request is done when the link is open", || arrives("two").is_success());
    assert_eq!(us.get("/api/v1/stock/APPLE")["totals"]["on_hand"], 10);
}
