//! Carts over HTTP: opened by anybody, filled by whoever has the token, ordered once.

use kontor_core::id::CustomerId;
use kontor_server::Limits;
use serde_json::{Value, json};

use super::shares::reads;
use crate::check::{Seen, Shop};

const ID: &str = "cart_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";

/// With desks at 12.50 EUR, ten of them at berlin.
pub(crate) async fn priced() -> Shop {
    let shop = Shop::stocked().await;
    price(&shop, "12.50").await;
    shop
}

pub(crate) async fn price(shop: &Shop, amount: &str) {
    let prices = format!("{{\"prices\": [{{\"currency\": \"EUR\", \"amount\": \"{amount}\"}}]}}");
    let set = shop.ask(&format!("PATCH /api/v1/products/DESK/variants/DESK\nIf-Match: *\n\n{prices}")).await;
    assert_eq!(set.status, 200, "{set:?}");
}

/// A cart with so many desks: its id and its token.
pub(crate) async fn filled(shop: &Shop, quantity: u64) -> (String, String) {
    let lines = format!("[{{\"sku\": \"DESK\", \"quantity\": {quantity}}}]");
    let opened =
        shop.ask_as_anybody(&format!("POST /api/v1/carts\n\n{{\"currency\": \"EUR\", \"lines\": {lines}}}")).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let cart = opened.json();
    (cart["id"].as_str().unwrap().to_owned(), cart["token"].as_str().unwrap().to_owned())
}

fn codes(cart: &Value) -> Vec<&str> {
    cart["requirements"].as_array().unwrap().iter().map(|missing| missing["code"].as_str().unwrap()).collect()
}

/// A request of a buyer, with the token of the cart.
fn with(token: &str, request: &str) -> String {
    let (line, rest) = request.split_once('\n').unwrap_or((request, ""));
    format!("{line}\nX-Cart-Token: {token}\n{rest}")
}

/// Who has no key learns nothing of drafts, as everywhere.
#[tokio::test]
async fn a_draft_is_not_there_for_a_guest() {
    let shop = priced().await;
    let draft = r#"{"id": "secret", "sku": "SECRET", "title": "Secret", "status": "draft"}"#;
    assert_eq!(shop.ask(&format!("POST /api/v1/products\n\n{draft}")).await.status, 201);
    let open = "POST /api/v1/carts\n\n{\"currency\": \"EUR\", \"lines\": [{\"sku\": \"SECRET\", \"quantity\": 1}]}";
    assert_eq!(shop.ask_as_anybody(open).await.json()["code"], "unknown_sku");
    assert_eq!(shop.ask(open).await.json()["code"], "product_draft");
    let (id, token) = filled(&shop, 1).await;
    let add = format!(
        "POST /api/v1/carts/{id}/lines\nIdempotency-Key: a\n\n{{\"lines\": [{{\"sku\": \"SECRET\", \"quantity\": 1}}]}}"
    );
    let added = shop.ask_as_anybody(&with(&token, &add)).await.json();
    assert_eq!((&added["code"], &added["product_id"]), (&json!("unknown_sku"), &Value::Null));
    let explained = shop.ask("GET /api/v1/stock/SECRET/explain").await.json();
    assert_eq!(
        (&explained["code"], &explained["summary"]),
        (&json!("product_draft"), &json!("SECRET is not sold: its product is a draft."))
    );
}

/// What a cart would hold is tried under a name that is no other reservation's.
#[tokio::test]
async fn the_name_of_a_reservation_changes_nothing_about_carts() {
    let shop = priced().await;
    let id = "res_00000000000000000000000000000000";
    let lines = r#"[{"sku": "DESK", "location": "berlin", "quantity": 1}]"#;
    let hold = format!("POST /api/v1/reservations\nIdempotency-Key: nil\n\n{{\"id\": \"{id}\", \"lines\": {lines}}}");
    assert_eq!(shop.ask(&hold).await.status, 201);
    let (cart, token) = filled(&shop, 1).await;
    let read = shop.ask_as_anybody(&with(&token, &format!("GET /api/v1/carts/{cart}"))).await;
    assert_eq!(codes(&read.json()), [""; 0]);
}

#[tokio::test]
async fn a_guest_fills_a_cart_and_sees_what_is_missing() {
    let shop = priced().await;
    let opened = shop.ask_as_anybody("POST /api/v1/carts\n\n{\"currency\": \"EUR\"}").await;
    assert_eq!((opened.status.as_u16(), &opened.headers["etag"]), (201, &"\"1\"".parse().unwrap()), "{opened:?}");
    let cart = opened.json();
    let (id, token) = (cart["id"].as_str().unwrap(), cart["token"].as_str().unwrap());
    assert!(id.ends_with(".main") && token.len() == 26, "{cart}");
    assert_eq!(opened.headers["location"], format!("/api/v1/carts/{id}").as_str());
    assert_eq!((codes(&cart), &cart["total"]["amount"]), (vec!["cart_empty"], &json!("0.00")));
    let read = shop.ask_as_anybody(&with(token, &format!("GET /api/v1/carts/{id}"))).await;
    assert_eq!((read.status.as_u16(), &read.json()["token"]), (200, &Value::Null), "it is shown once");

    let add = |key: &str, quantity: u64| {
        let body = format!("{{\"lines\": [{{\"sku\": \"DESK\", \"quantity\": {quantity}}}]}}");
        with(token, &format!("POST /api/v1/carts/{id}/lines\nIdempotency-Key: {key}\n\n{body}"))
    };
    let (one, two) = (add("a-1", 2), add("a-2", 3));
    let (one, two) = tokio::join!(shop.ask_as_anybody(&one), shop.ask_as_anybody(&two));
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200), "{one:?} {two:?}");
    let again = shop.ask_as_anybody(&add("a-1", 2)).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let cart = again.json();
    assert_eq!(cart["lines"][0]["quantity"], 5, "what is clicked twice is there twice, and what is sent twice once");
    assert_eq!(cart["lines"][0]["title"], "Walnut desk");
    assert_eq!(cart["lines"][0]["total"], json!({"currency": "EUR", "amount": "62.50"}));
    assert_eq!((cart["total"]["amount"].as_str(), codes(&cart)), (Some("62.50"), vec![]));
    let warnings: Vec<&Value> = cart["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert_eq!(warnings, ["no_email", "no_ship_to"]);

    let set = |quantity: u64| format!("PUT /api/v1/carts/{id}/lines/DESK\n\n{{\"quantity\": {quantity}}}");
    let too_many = shop.ask_as_anybody(&with(token, &set(11))).await.json();
    assert_eq!(codes(&too_many), ["insufficient_stock"]);
    assert_eq!(
        (&too_many["requirements"][0]["wanted"], &too_many["requirements"][0]["available"]),
        (&json!(11), &json!(10))
    );
    price(&shop, "13.00").await;
    let changed = shop.ask_as_anybody(&with(token, &set(4))).await.json();
    assert_eq!((codes(&changed), &changed["total"]["amount"]), (vec!["price_changed"], &json!("50.00")));
    assert_eq!(changed["lines"][0]["price_now"]["amount"], "13.00");
    let accepted = shop.ask_as_anybody(&with(token, &format!("POST /api/v1/carts/{id}/accept-prices\n\n"))).await;
    assert_eq!((accepted.status.as_u16(), &accepted.json()["total"]["amount"]), (200, &json!("52.00")), "{accepted:?}");
    let accepted = shop.ask_as_anybody(&with(token, &format!("POST /api/v1/carts/{id}/accept-prices\n\n"))).await;
    assert_eq!(codes(&accepted.json()), Vec::<&str>::new(), "once more changes nothing");
    let removed = shop.ask_as_anybody(&with(token, &format!("DELETE /api/v1/carts/{id}/lines/DESK"))).await;
    assert_eq!((removed.status.as_u16(), &removed.json()["lines"]), (200, &json!([])), "{removed:?}");
}

#[tokio::test]
async fn a_cart_is_opened_by_its_own_token_or_a_key_and_by_nothing_else() {
    let shop = priced().await;
    let (id, token) = filled(&shop, 1).await;
    let (other, other_token) = filled(&shop, 1).await;
    let read = format!("GET /api/v1/carts/{id}");
    let of = |seen: Seen| (seen.status.as_u16(), if seen.status == 200 { String::new() } else { seen.code() });
    assert_eq!(of(shop.ask(&read).await), (200, String::new()));
    assert_eq!(of(shop.ask_as_anybody(&with(&token, &read)).await), (200, String::new()));
    for wrong in [other_token.as_str(), &token[1..], "x"] {
        assert_eq!(of(shop.ask_as_anybody(&with(wrong, &read)).await), (404, "unknown_cart".to_owned()));
    }
    assert_eq!(of(shop.ask_as_anybody(&read).await), (401, "unauthenticated".to_owned()));
    assert_eq!(of(shop.ask_with("kon_wrong_key", &read).await), (401, "unauthenticated".to_owned()));
    let missing = format!("GET /api/v1/carts/cart_{}.main", "0".repeat(32));
    assert_eq!(of(shop.ask(&missing).await), (404, "unknown_cart".to_owned()));
    assert_eq!(of(shop.ask_as_anybody(&with(&token, &missing)).await), (404, "unknown_cart".to_owned()));
    let nowhere = read.replace(".main", ".nowhere");
    assert_eq!(of(shop.ask(&nowhere).await), (404, "unknown_cart".to_owned()));

    let price = "{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 1, \"price\": \"1.00\"}]}";
    let for_keys = [
        format!("POST /api/v1/carts/{id}/lines\nIdempotency-Key: p-1\n\n{price}"),
        format!("PUT /api/v1/carts/{id}/lines/DESK\n\n{{\"quantity\": 1, \"price\": \"1.00\"}}"),
        format!("PATCH /api/v1/carts/{id}\n\n{{\"amounts\": []}}"),
        format!("PATCH /api/v1/carts/{id}\n\n{{\"customer_id\": \"cus_{}\"}}", "0".repeat(32)),
        format!("POST /api/v1/carts/{id}/checkout\nIdempotency-Key: p-2\n\n{{\"hold_s\": 60}}"),
        format!("POST /api/v1/carts/{id}/checkout\nIdempotency-Key: p-3\n\n{{\"capture\": \"manual\"}}"),
    ];
    for request in &for_keys {
        let seen = shop.ask_as_anybody(&with(&token, request)).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (401, "unauthenticated"), "{request}");
    }
    let own = shop.ask(&for_keys[0]).await;
    assert_eq!(own.json()["lines"][1]["price"]["amount"], "1.00", "{own:?}");
    assert_eq!(
        (&own.json()["lines"][1]["is_own_price"], &own.json()["total"]["amount"]),
        (&json!(true), &json!("13.50"))
    );
    let shipping = "[{\"kind\": \"shipping\", \"label\": \"Parcel\", \"amount\": \"4.90\"}, {\"kind\": \"discount\", \"label\": \"Friends\", \"amount\": \"-2.00\"}]";
    let patched = shop.ask(&format!("PATCH /api/v1/carts/{id}\nIf-Match: \"2\"\n\n{{\"amounts\": {shipping}}}")).await;
    assert_eq!(patched.code(), "precondition_failed", "{patched:?}");
    assert_eq!(patched.json()["current"]["revision"], 3);
    let patched = shop.ask(&format!("PATCH /api/v1/carts/{id}\nIf-Match: \"3\"\n\n{{\"amounts\": {shipping}}}")).await;
    assert_eq!((patched.status.as_u16(), &patched.json()["total"]["amount"]), (200, &json!("16.40")), "{patched:?}");

    let merge = |token: Option<&str>| {
        let token = token.map(|token| format!(", \"from_token\": \"{token}\"")).unwrap_or_default();
        format!("POST /api/v1/carts/{id}/merge\nIdempotency-Key: m\n\n{{\"from\": \"{other}\"{token}}}")
    };
    assert_eq!(shop.ask_as_anybody(&with(&token, &merge(None))).await.code(), "invalid_request");
    assert_eq!(shop.ask_as_anybody(&with(&token, &merge(Some("wrong")))).await.code(), "unknown_cart");
    let merged = shop.ask_as_anybody(&with(&token, &merge(Some(&other_token)))).await;
    assert_eq!((merged.status.as_u16(), &merged.json()["lines"][0]["quantity"]), (200, &json!(2)), "{merged:?}");
    let closed = shop.ask_as_anybody(&with(&other_token, &format!("GET /api/v1/carts/{other}"))).await.json();
    assert_eq!((&closed["status"], &closed["merged_into"]), (&json!("merged"), &json!(id)));
}

#[tokio::test]
async fn nobody_is_told_what_somebody_else_without_a_key_was_answered() {
    let shop = priced().await;
    let open = "POST /api/v1/carts\nIdempotency-Key: 1\n\n{\"currency\": \"EUR\"}";
    let first = shop.ask_as_anybody(open).await.json();
    let (id, token) = (first["id"].as_str().unwrap(), first["token"].as_str().unwrap());
    let contact = format!("PATCH /api/v1/carts/{id}\n\n{{\"contact\": {{\"email\": \"ada@example.com\"}}}}");
    assert_eq!(shop.ask_as_anybody(&with(token, &contact)).await.status, 200);
    let other = shop.ask_as_anybody(open).await;
    assert!(!other.headers.contains_key("idempotency-replayed"), "{other:?}");
    let other = other.json();
    assert_ne!(other["id"], id);
    assert_eq!((&other["contact"]["email"], other["token"].is_string()), (&Value::Null, true));
    let of_key = [shop.ask(open).await.json(), shop.ask(open).await.json()];
    assert_eq!(of_key[0]["id"], of_key[1]["id"], "whoever has a key is told apart by it");
}

#[tokio::test]
async fn nothing_is_sealed_for_a_customer_of_whom_nobody_has_heard() {
    let shop = priced().await;
    let (id, _) = filled(&shop, 1).await;
    let nobody = CustomerId([0x33; 16]);
    let said = format!("\"customer_id\": \"{nobody}\", \"contact\": {{\"email\": \"ada@example.com\"}}");
    let requests = [
        format!("PATCH /api/v1/carts/{id}\n\n{{{said}}}"),
        format!("POST /api/v1/carts\n\n{{\"currency\": \"EUR\", {said}}}"),
        format!("POST /api/v1/carts?dry_run=true\n\n{{\"currency\": \"EUR\", {said}}}"),
    ];
    for request in requests {
        let seen = shop.ask(&request).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (404, "unknown_customer"), "{request}");
        assert!(!shop.persons.holds_key(nobody).unwrap(), "{request}");
    }
}

#[tokio::test]
async fn two_who_say_where_a_guest_is_reached_at_once_are_both_heard() {
    let shop = priced().await;
    for _ in 0..8 {
        let (id, token) = filled(&shop, 1).await;
        let change =
            |contact: &str| with(&token, &format!("PATCH /api/v1/carts/{id}\n\n{{\"contact\": {{{contact}}}}}"));
        let email = change("\"email\": \"ada@example.com\"");
        let home = change(
            "\"ship_to\": {\"name\": \"Ada\", \"line1\": \"Long Lane 4\", \"city\": \"Bristol\", \"country\": \"GB\"}",
        );
        let (one, two) = tokio::join!(shop.ask_as_anybody(&email), shop.ask_as_anybody(&home));
        assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200), "{one:?} {two:?}");
        let cart = shop.ask_as_anybody(&with(&token, &format!("GET /api/v1/carts/{id}"))).await.json();
        let contact = &cart["contact"];
        assert_eq!((&contact["email"], &contact["ship_to"]["city"]), (&json!("ada@example.com"), &json!("Bristol")));
        let person = contact["person_id"].as_str().unwrap();
        let erased =
            shop.ask(&format!("POST /api/v1/customers/{person}/erase\nIdempotency-Key: {person}\n\n{{}}")).await;
        assert_eq!(erased.status, 200, "a guest is erased by that id: {erased:?}");
    }
}

#[tokio::test]
async fn where_a_buyer_is_reached_is_sealed_shown_and_goes_with_the_order() {
    let shop = priced().await;
    let (id, token) = filled(&shop, 1).await;
    let contact = |fields: &str| with(&token, &format!("PATCH /api/v1/carts/{id}\n\n{{\"contact\": {{{fields}}}}}"));
    let wrong = shop.ask_as_anybody(&contact("\"email\": \"nobody\"")).await;
    assert_eq!(
        (wrong.code().as_str(), &wrong.json()["errors"][0]["pointer"]),
        ("invalid_request", &json!("/contact/email"))
    );
    let told = shop.ask_as_anybody(&contact("\"email\": \"ada@example.com\"")).await;
    assert_eq!((told.status.as_u16(), &told.json()["contact"]["email"]), (200, &json!("ada@example.com")), "{told:?}");
    let home =
        "\"ship_to\": {\"name\": \"Ada\", \"line1\": \"Long Lane 4\", \"city\": \"Bristol\", \"country\": \"GB\"}";
    let told = shop.ask_as_anybody(&contact(home)).await.json();
    assert_eq!(
        (&told["contact"]["email"], &told["contact"]["ship_to"]["city"]),
        (&json!("ada@example.com"), &json!("Bristol"))
    );
    assert_eq!(told["warnings"], json!([]));
    let checkout = format!("POST /api/v1/carts/{id}/checkout\nIdempotency-Key: c\n\n{{}}");
    let order = shop.ask_as_anybody(&with(&token, &checkout)).await.json();
    assert_eq!(order["contact"]["ship_to"]["line1"], "Long Lane 4", "{order}");
    let changes = shop.ask("GET /api/v1/changes?limit=1000").await.body;
    assert!(!changes.contains("ada@") && !changes.contains("Bristol"));
    let feed = shop.site.feed().read(kontor_core::id::Position::START, 1_000).unwrap();
    let journal = format!("{feed:?}");
    assert!(!journal.contains("ada@") && !journal.contains("Bristol"), "it is sealed");
}

#[tokio::test]
async fn what_is_wrong_with_a_cart_is_told_and_changes_nothing() {
    let shop = priced().await;
    let (id, _) = filled(&shop, 1).await;
    let before = shop.ask("GET /api/v1/changes").await.body;
    let open = |body: &str| format!("POST /api/v1/carts\n\n{body}");
    let lines = |body: &str| format!("POST /api/v1/carts/{id}/lines\nIdempotency-Key: k\n\n{body}");
    let amount = |kind: &str, amount: &str| {
        let amount = format!("{{\"kind\": \"{kind}\", \"label\": \"x\", \"amount\": \"{amount}\"}}");
        format!("PATCH /api/v1/carts/{id}\n\n{{\"amounts\": [{amount}]}}")
    };
    let table = [
        (open("{}"), 400, "invalid_request", ""),
        (open("{\"currency\": \"eur\"}"), 400, "invalid_request", "/currency"),
        (open("{\"currency\": \"EUR\", \"id\": \"cart_1\"}"), 400, "invalid_request", "/id"),
        (open(&format!("{{\"currency\": \"EUR\", \"id\": \"{ID}.west\"}}")), 400, "invalid_request", "/id"),
        (open("{\"currency\": \"EUR\", \"location\": \"moon\"}"), 404, "unknown_location", ""),
        (open("{\"currency\": \"EUR\", \"customer_id\": \"anna\"}"), 400, "invalid_request", "/customer_id"),
        (lines("{\"lines\": []}"), 400, "invalid_request", "/lines"),
        (lines("{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 0}]}"), 400, "invalid_request", "/lines/0/quantity"),
        (
            lines("{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 1, \"price\": \"1.005\"}]}"),
            400,
            "invalid_request",
            "/lines/0/price",
        ),
        (
            lines("{\"lines\": [{\"sku\": \"DESK\", \"quantity\": 1, \"price\": \"-1\"}]}"),
            400,
            "invalid_request",
            "/lines/0/price",
        ),
        (lines("{\"lines\": [{\"sku\": \"NO\", \"quantity\": 1}]}"), 404, "unknown_sku", ""),
        (lines("{\"lines\": []}").replace("\nIdempotency-Key: k", ""), 400, "idempotency_key_missing", ""),
        (amount("shipping", "-1"), 400, "invalid_request", "/amounts/0/amount"),
        (amount("discount", "1"), 400, "invalid_request", "/amounts/0/amount"),
        (amount("tip", "1"), 400, "invalid_request", "/amounts/0/kind"),
        (format!("PUT /api/v1/carts/{id}/lines/DESK\n\n{{\"quantity\": -1}}"), 400, "invalid_request", "/quantity"),
        ("GET /api/v1/carts/x".to_owned(), 400, "invalid_request", "id"),
        (format!("GET /api/v1/carts/{id}?dry_run=true"), 400, "invalid_request", "query"),
        (format!("POST /api/v1/carts/{id}/checkout\n\n{{}}"), 400, "idempotency_key_missing", ""),
        (
            format!("POST /api/v1/carts/{id}/checkout\nIdempotency-Key: w\n\n{{\"wait_s\": 31}}"),
            400,
            "invalid_request",
            "/wait_s",
        ),
        (format!("GET /api/v1/customers/cus_{}/carts", "0".repeat(32)), 404, "unknown_customer", ""),
    ];
    for (request, status, code, pointer) in table {
        let seen = shop.ask(&request).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (status, code), "{request}\n{}", seen.body);
        assert_eq!(seen.json()["errors"][0]["pointer"].as_str().unwrap_or_default(), pointer, "{request}");
    }
    assert_eq!(shop.ask("GET /api/v1/changes").await.body, before);
}

#[tokio::test]
async fn a_cart_is_of_one_site_and_others_say_which() {
    let main = priced().await;
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    reads(&west.site, &main.site).await;
    let (id, token) = filled(&main, 1).await;
    let read = with(&token, &format!("GET /api/v1/carts/{id}"));
    let elsewhere = west.ask_as_anybody(&read).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.code().as_str()), (503, "owned_elsewhere"));
    assert_eq!(elsewhere.json()["site"], "main");
    let checkout = with(&token, &format!("POST /api/v1/carts/{id}/checkout\nIdempotency-Key: c\n\n{{}}"));
    assert_eq!(west.ask_as_anybody(&checkout).await.code(), "owned_elsewhere", "there is no link");
}
