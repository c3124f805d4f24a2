//! A shop as a client sees it: things to sell, places to keep them, and what the site says of them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value, json};

use super::http::Client;

/// The one place that most stories need.
pub(crate) const PLACE: &str = "warehouse-1";

pub(crate) fn open_place(client: &mut Client) {
    let place = json!({"id": PLACE, "name": "Central warehouse"});
    client.post("/api/v1/locations", "open-place", &place).expect("up").success();
}

pub(crate) fn add_product(client: &mut Client, sku: &str, title: &str) {
    let product = json!({"sku": sku, "title": title});
    // A SKU may hold a space, a key may not.
    client.post("/api/v1/products", &format!("product-{}", encode(sku)), &product).expect("up").success();
}

pub(crate) fn receive(client: &mut Client, sku: &str, quantity: u64) {
    let reference = format!("opening-{sku}");
    let receipt = json!({"sku": sku, "location": PLACE, "quantity": quantity, "reference": reference});
    client.post("/api/v1/stock/receive", &encode(&reference), &receipt).expect("up").success();
}

/// The levels of one SKU at `PLACE`; null where it has none.
pub(crate) fn level(client: &mut Client, sku: &str) -> Value {
    let path = format!("/api/v1/stock/{}", encode(sku));
    let stock = client.get(&path).expect("up").success().json();
    let levels = stock["levels"].as_array().expect("levels");
    levels.iter().find(|level| level["location"] == PLACE).cloned().unwrap_or(Value::Null)
}

/// All movements of a SKU, newest first.
pub(crate) fn movements(client: &mut Client, sku: &str) -> Vec<Value> {
    pages(client, &format!("/api/v1/movements?page_size=500&sku={}", encode(sku)))
}

/// Everything that a reader can see of stock, to be compared with itself later.
pub(crate) fn picture(client: &mut Client, skus: &[String]) -> Value {
    let mut picture = json!({"stock": pages(client, "/api/v1/stock?page_size=100")});
    for sku in skus {
        picture[sku.as_str()] = Value::Array(movements(client, sku));
    }
    picture
}

/// Where the feed of changes ends now: equal before and after means that nothing was written.
pub(crate) fn end_of_changes(client: &mut Client) -> String {
    let mut next = Value::Null;
    loop {
        let after = match &next {
            Value::Null => String::new(),
            Value::String(text) => format!("&after={}", encode(text)),
            other => format!("&after={other}"),
        };
        let page = client.get(&format!("/api/v1/changes?limit=500{after}")).expect("up");
        let page = page.success().json();
        if page["items"].as_array().is_none_or(Vec::is_empty) {
            return page["next"].to_string();
        }
        assert_ne!(next, page["next"], "the feed does not move on");
        next = page["next"].clone();
    }
}

/// Walks a list to its end.
fn pages(client: &mut Client, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let page = client.get(&format!("{path}{token}")).expect("up").success().json();
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={}", encode(next)),
            None => return items,
        }
    }
}

/// A reservation's id of our own making: always the same for the same name.
pub(crate) fn reservation_id(name: &str) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, name).hash(&mut hasher);
        hasher.finish()
    };
    format!("res_{:016x}{:016x}", half(0), half(1))
}

/// A value as one segment or parameter of a URL.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
