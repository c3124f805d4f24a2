//! `/shop`: what buyers see, and the script that buys for them.

use kontor_payments::settings::{Chosen, Secrets};
use kontor_payments::simulated::{Simulated, Simulator};
use kontor_server::Payments;
use serde_json::{Value, json};

use crate::api::v1::orders::{as_buyer, post};
use crate::check::Shop;
use crate::pages::{links, text};

/// With a lamp, a desk that is sold out, a shirt of two variants, a stool in pounds alone, and a draft.
async fn filled() -> Shop {
    let shop = Shop::stocked().await;
    fill(&shop).await;
    shop
}

async fn fill(shop: &Shop) {
    let price = |currency: &str, amount: &str| json!([{"currency": currency, "amount": amount}]);
    let one = |sku: &str, title: &str, prices: Value| json!({"id": sku, "title": title, "variants": [{"sku": sku, "prices": prices}]});
    let mut draft = one("SOON", "Soon here", price("EUR", "1"));
    draft["status"] = json!("draft");
    let shirt = json!({"id": "SHIRT", "title": "Shirt", "brand": "Loom", "options": ["Size"], "variants": [
        {"sku": "SHIRT-S", "options": {"Size": "S"}, "prices": price("EUR", "45"), "policy": "none"},
        {"sku": "SHIRT-M", "options": {"Size": "M"}, "prices": price("GBP", "40"), "policy": "none"},
    ]});
    for product in [
        one("LAMP", "Red lamp", price("EUR", "12.50")),
        one("BENCH", "Long bench", price("EUR", "99")),
        one("STOOL", "Low stool", price("GBP", "20")),
        shirt,
        draft,
    ] {
        let seen = shop.ask(&format!("POST /api/v1/products\n\n{product}")).await;
        assert_eq!(seen.status, 201, "{seen:?}");
    }
    shop.ask("POST /api/v1/locations\n\n{\"id\": \"hall\", \"name\": \"Hall\"}").await;
    let lamps = json!({"sku": "LAMP", "location": "hall", "quantity": 5});
    assert!(shop.ask(&post("/stock/receive", "lamps", &lamps.to_string())).await.status.is_success());
}

/// SKUs that can be put into the cart.
fn offered(page: &str) -> Vec<&str> {
    let mut skus: Vec<&str> = page.split("data-put=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    skus.sort_unstable();
    skus
}

#[tokio::test]
async fn the_shop_shows_what_has_a_price_in_a_currency() {
    let shop = filled().await;
    let seen = shop.ask_as_anybody("GET /shop").await;
    assert_eq!(seen.status, 200);
    assert_eq!(offered(&seen.body), ["LAMP", "SHIRT-S"]);
    assert!(seen.body.contains("data-currency=\"EUR\"") && seen.body.contains("src=\"/assets/shop.js\""));
    let page = text(&seen.body);
    for shown in [
        "Red lamp LAMP 12.50 EUR Put into cart",
        "Long bench BENCH 99.00 EUR Sold out",
        "Loom Size: S SHIRT-S 45.00 EUR",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("Soon here") && !page.contains("Walnut") && !page.contains("Low stool"), "{page}");
    let keyed = shop.ask("GET /shop").await.body;
    assert!(!keyed.contains("Soon here"), "who holds a key sees the shop of everybody");
    let pounds = shop.ask_as_anybody("GET /shop?currency=GBP&q=").await.body;
    assert_eq!(offered(&pounds), ["SHIRT-M"]);
    assert!(text(&pounds).contains("20.00 GBP Sold out") && pounds.contains("data-currency=\"GBP\""));
    assert_eq!(offered(&shop.ask_as_anybody("GET /shop?q=lamp").await.body), ["LAMP"]);
    assert!(text(&shop.ask_as_anybody("GET /shop?q=sofa").await.body).contains("No product matches"));
    for (query, why) in [("currency=euro", "The currency cannot be used"), ("page_token=00", "belongs to another list")]
    {
        let seen = shop.ask_as_anybody(&format!("GET /shop?{query}")).await;
        assert!(seen.status == 400 && seen.body.contains(why) && seen.body.contains("<form"), "{query}: {seen:?}");
    }
    let lamps = json!({"lines": [{"sku": "LAMP", "location": "hall", "quantity": 5}], "reference": "sale"});
    assert!(shop.ask(&post("/stock/issue", "sale", &lamps.to_string())).await.status.is_success());
    assert_eq!(offered(&shop.ask_as_anybody("GET /shop").await.body), ["SHIRT-S"], "what is sold out cannot be put");
}

#[tokio::test]
async fn a_shop_without_euros_begins_with_a_currency_that_it_has() {
    let shop = Shop::open().await;
    assert!(text(&shop.ask_as_anybody("GET /shop").await.body).contains("Nothing is for sale"));
    for number in 0..30 {
        let prices = json!([{"currency": "SEK", "amount": "10"}]);
        let product = json!({"title": format!("Part {number}"), "variants": [{"sku": format!("S{number:02}"), "prices": prices, "policy": "none"}]});
        assert_eq!(shop.ask(&format!("POST /api/v1/products\n\n{product}")).await.status, 201);
    }
    let (mut path, mut found) = ("/shop".to_owned(), Vec::new());
    loop {
        let page = shop.ask_as_anybody(&format!("GET {path}")).await.body;
        assert!(page.contains("data-currency=\"SEK\""), "{page}");
        found.extend(offered(&page).into_iter().map(str::to_owned));
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    found.sort_unstable();
    assert_eq!(found, (0..30).map(|number| format!("S{number:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn test_cards_are_named_only_where_no_money_moves() {
    let without = filled().await;
    let page = without.ask_as_anybody("GET /shop").await.body;
    assert!(!page.contains("data-card") && page.contains("data-pays=\"false\""), "{page}");
    let simulator = Simulator::new(Simulated::new(1), Payments::now());
    let secrets = Secrets::default();
    let shop = Shop::with_payments(Payments::new(Chosen::Simulated(simulator), &secrets)).await;
    fill(&shop).await;
    let page = shop.ask_as_anybody("GET /shop").await.body;
    assert!(page.contains("data-card=\"4242424242424242\"") && page.contains("data-pays=\"true\""), "{page}");
    // Each card does what the page says of it.
    for (number, says, expected) in
        [("4242424242424242", "pays", "confirmed"), ("4000000000009995", "is declined: not enough money", "open")]
    {
        assert!(text(&page).contains(&format!("{number} {says}")), "{page}");
        let card = format!("POST /api/v1/payments/tokens\n\n{{\"number\": \"{number}\"}}");
        let method = shop.ask_as_anybody(&card).await.json()["payment_method"].clone();
        let lines = json!([{"sku": "LAMP", "quantity": 1}]);
        let opened = format!("POST /api/v1/carts\n\n{}", json!({"currency": "EUR", "lines": lines}));
        let cart = shop.ask_as_anybody(&opened).await.json();
        let (id, token) = (cart["id"].as_str().unwrap(), cart["token"].as_str().unwrap());
        let body = json!({"payment_method": method, "wait_s": 30}).to_string();
        let checkout = as_buyer(token, &post(&format!("/carts/{id}/checkout"), id, &body));
        let order = shop.ask_as_anybody(&checkout).await.json();
        assert_eq!(order["status"], expected, "{order}");
    }
}

/// What the script asks for is there, and it asks as a buyer.
#[tokio::test]
async fn the_script_of_the_shop_buys_without_a_key() {
    let shop = filled().await;
    let script = shop.ask_as_anybody("GET /assets/shop.js").await;
    assert_eq!(script.headers["content-type"], "text/javascript");
    for used in ["X-Cart-Token", "localStorage", "/lines", "/accept-prices", "/checkout", "/payments", "/cancel"] {
        assert!(script.body.contains(used), "{used}");
    }
    for never in ["withKey", "X-API-Key", "sessionStorage", "document.cookie", "innerHTML"] {
        assert!(!script.body.contains(never), "{never}");
    }
    // The card is read in one place, which sends it to one path.
    let reading: Vec<&str> = script.body.split("typed(\"card\")").collect();
    assert_eq!(reading.len(), 2, "the number is read once");
    let after = reading[1].split("async function").next().unwrap();
    let sent: Vec<&str> = after.split("fetch(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(sent, ["/api/v1/payments/tokens"]);
    assert!(!after.contains("send(") && !after.contains("localStorage"), "{after}");
    let page = shop.ask_as_anybody("GET /shop").await.body;
    let form = page.split("<form id=\"buy\"").nth(1).unwrap().split("</form>").next().unwrap();
    assert!(form.contains("id=\"card\"") && !form.contains(" name=") && !form.contains("action="), "{form}");
    assert!(links(&page).contains(&"/orders".to_owned()) && links(&page).contains(&"/shop".to_owned()));
}
