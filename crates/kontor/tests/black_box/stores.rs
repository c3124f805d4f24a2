//! A store, which nobody can reach: it calls a region, sells from its own shelf while it cannot, and is read by all.

use serde_json::{Value, json};

use crate::regions::{Region, copy_disk, until};
use crate::support::say;
use crate::support::server::assert_sound;

fn on_hand(region: &Region) -> Value {
    let mut client = region.server().client();
    let stock = client.get("/api/v1/stock/APPLE").expect("up");
    if stock.is_success() { stock.json()["totals"]["on_hand"].clone() } else { Value::Null }
}

/// Opens the shelf of a store, with 10 units.
fn open_shelf(store: &Region) {
    store.post("/api/v1/locations", &json!({"id": "shop", "name": "Shop"}));
    store.post("/api/v1/stock/receive", &json!({"sku": "APPLE", "location": "shop", "quantity": 10}));
}

fn sell(store: &Region, reference: &str) {
    let line = json!({"sku": "APPLE", "location": "shop", "quantity": 1});
    store.post("/api/v1/stock/issue", &json!({"reference": reference, "lines": [line]}));
}

#[test]
fn a_store_that_nobody_reaches_sells_alone_and_is_read_by_all_regions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut us = Region::new(folder.path(), "us", None);
    let eu = Region::new(folder.path(), "eu", Some(us.code_for("eu")));
    eu.adds("APPLE");
    let mut store = Region::store(folder.path(), "store-s1", us.code_for("store-s1"));
    until("the store reads eu through us", || store.sees("APPLE"));
    open_shelf(&store);
    until("eu reads the store through us", || on_hand(&eu) == 10);
    let (at_us, at_eu) = (us.link_to("store-s1"), eu.link_to("store-s1"));
    assert_eq!((&at_us["link"], &at_us["url"]), (&json!("open"), &Value::Null), "{at_us}");
    assert_eq!((&at_eu["link"], &at_eu["through"]), (&json!("relayed"), &json!("us")), "{at_eu}");

    // Its shelf is its own, until somebody borrows.
    let hold = json!({"lines": [{"sku": "APPLE", "location": "shop", "quantity": 2}]});
    let reserve = || us.server().client().post("/api/v1/reservations", "two", &hold).expect("up");
    let refused = reserve();
    assert_eq!((refused.code().as_str(), &refused.json()["elsewhere"]), ("quota_exhausted_here", &json!(10)));
    until("us has borrowed two", || reserve().is_success());

    // Both are away from each other, and one of them is killed.
    us.kill();
    (0..3).for_each(|number| sell(&store, &format!("alone-{number}")));
    store.kill();
    store.start();
    sell(&store, "after a restart without the word that it is a store");
    us.start();
    let took = until("all have read it", || on_hand(&us) == 6 && on_hand(&eu) == 6);
    until("us says that the store is there", || us.link_to("store-s1")["link"] == "open");
    assert_eq!(eu.alarms(), "[]");
    say("stores", &format!("sold alone over a kill of both, read by all {took} after"));
    for mut region in [us, eu, store] {
        region.stop();
        assert_sound(&region.data);
    }
}

#[test]
fn a_store_whose_disk_was_rolled_back_writes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let us = Region::new(folder.path(), "us", None);
    us.adds("APPLE");
    let mut store = Region::store(folder.path(), "store-s1", us.code_for("store-s1"));
    until("the store reads us", || store.sees("APPLE"));
    store.stop();
    let image = folder.path().join("image");
    std::fs::create_dir(&image).expect("a folder");
    copy_disk(&store.data, &image);
    store.start();
    open_shelf(&store);
    until("us reads the store", || on_hand(&us) == 10);
    store.kill();
    copy_disk(&image, &store.data);
    store.start();
    until("the store hears what it has lost", || store.alarms().contains("the end of the journal was lost"));
    let product = json!({"sku": "PLUM", "title": "Plum"});
    let refused = store.server().client().post("/api/v1/products", "plum", &product).expect("up");
    assert_eq!(refused.code(), "journal_behind");
    assert!(store.sees("APPLE"), "reads work");
}
