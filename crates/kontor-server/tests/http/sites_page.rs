//! `/sites`, the shares and conflicts of a product, and the feed that keeps them live.

use kontor_api::revision::ProductInConflict;
use kontor_server::Limits;
use kontor_site::Site;
use serde_json::{Value, json};

use crate::check::Shop;
use crate::demo::demo;

/// Reads all that another site has written.
async fn hears(reader: &Site, of: &Site) {
    let (reader, of) = (reader.clone(), of.clone());
    let read = move || {
        reader.enroll(of.id()).unwrap();
        let at = reader.kept(of.id()).unwrap_or_default();
        let groups = of.feed().groups(at.term, at.seq).unwrap();
        if !groups.is_empty() {
            reader.read_in(of.id(), &groups).unwrap();
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap();
}

/// Two regions: one has a lamp, and both have edited its title, neither knowing of the other.
async fn conflicting() -> (Shop, Shop) {
    let (us, _) = demo().await;
    let eu = Shop::of_site("eu", Limits::default(), |access| access).await;
    for id in ["LAMP", "DESK"] {
        us.ask(&format!("POST /api/v1/products\n\n{{\"sku\": \"{id}\", \"title\": \"{id}\"}}")).await;
    }
    hears(&eu.site, &us.site).await;
    for (shop, title) in [(&us, "<b>Lamp</b>"), (&eu, "Lampe")] {
        let edit = format!("PATCH /api/v1/products/LAMP\nIf-Match: *\n\n{}", json!({"title": title}));
        assert!(shop.ask(&edit).await.status.is_success());
        let edit = format!("PATCH /api/v1/products/DESK/markets/gb\nIf-Match: *\n\n{}", json!({"title": title}));
        assert!(shop.ask(&edit).await.status.is_success());
    }
    hears(&us.site, &eu.site).await;
    hears(&eu.site, &us.site).await;
    (us, eu)
}

fn in_conflict(page: &Value) -> Vec<ProductInConflict> {
    serde_json::from_value(page["items"].clone()).unwrap()
}

#[tokio::test]
async fn products_in_conflict_are_listed_until_somebody_settles_them() {
    let (us, eu) = conflicting().await;
    assert_eq!(us.ask_with("kon_wrong", "GET /api/v1/conflicts").await.code(), "unauthenticated");
    let all = us.ask("GET /api/v1/conflicts").await.json();
    assert_eq!(all, eu.ask("GET /api/v1/conflicts").await.json(), "every site tells the same");
    let found = in_conflict(&all);
    let told: Vec<_> = found.iter().map(|it| (it.id.as_str(), it.conflicts[0].market.as_deref())).collect();
    assert_eq!(told, [("DESK", Some("gb")), ("LAMP", None)]);
    assert_eq!((&*found[1].title, &found[1].conflicts[0].winner.value), ("Lampe", &json!("Lampe")), "the later one");
    assert_eq!(found[1].conflicts[0].candidates.len(), 2);
    let first = us.ask("GET /api/v1/conflicts?page_size=1").await.json();
    let token = first["next_page_token"].as_str().unwrap();
    let second = us.ask(&format!("GET /api/v1/conflicts?page_size=1&page_token={token}")).await.json();
    assert_eq!([in_conflict(&first), in_conflict(&second)].concat(), found);
    assert!(second["next_page_token"].is_null());

    us.ask("PATCH /api/v1/products/LAMP\nIf-Match: *\n\n{\"title\": \"Lamp\"}").await;
    let left = in_conflict(&us.ask("GET /api/v1/conflicts").await.json());
    assert_eq!(left.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["DESK"], "an informed edit settles it");
}

/// The global catalogue's clients ask in their words, at any site, and are told of the conflict that is there.
#[tokio::test]
async fn the_global_catalogue_explains_what_shows_in_a_region_and_who_wrote_it() {
    let (us, eu) = conflicting().await;
    for shop in [&us, &eu] {
        let told = shop.ask("GET /explain-merge/DESK/gb").await.json();
        assert_eq!((&told["winner_region"], &told["simulated"]), (&json!("eu"), &json!(false)), "{told}");
        let current = &told["current"];
        assert_eq!((&current["title"], &current["last_writer_region"]), (&json!("Lampe"), &json!("eu")), "{told}");
        let item = shop.ask("GET /products/DESK/gb").await.json()["item"].clone();
        assert_eq!((&item["title"], &item["last_writer_region"]), (&current["title"], &json!("eu")));
    }
    us.ask("PATCH /api/v1/products/DESK/markets/gb\nIf-Match: *\n\n{\"title\": \"Desk\"}").await;
    let settled = us.ask("GET /explain-merge/DESK/gb").await.json();
    assert_eq!((&settled["winner_region"], &settled["conflicts"]), (&json!("us"), &json!([])));
    assert_eq!(settled["current"]["title"], "Desk");
}

#[tokio::test]
async fn the_page_of_sites_shows_conflicts_and_in_a_demo_its_links() {
    let (us, eu) = conflicting().await;
    let page = us.ask("GET /sites").await.body;
    for part in [
        "This is <b>us</b>",
        "href=\"/p/LAMP#conflicts\"",
        "&lt;b&gt;Lamp&lt;/b&gt;",
        "<b>Lampe</b>",
        "in market gb",
        "latest",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<b>Lamp</b>"), "what data says is never markup");
    // A button says what it sends, and to whom it is read out.
    let asked = json!({"from": "us", "to": "eu", "open": false}).to_string().replace('"', "&quot;");
    assert!(
        page.contains(&format!("data-set-links=\"{asked}\"")) && page.contains("Cut the link between us and eu"),
        "{page}"
    );
    us.ask("POST /demo/links\n\n{\"from\": \"us\", \"to\": \"eu\", \"open\": false, \"one_way\": true}").await;
    let page = us.ask("GET /sites").await.body;
    assert!(page.contains("us hears nothing") && page.contains("Heal the link between us and eu"), "{page}");

    let product = us.ask("GET /p/LAMP").await.body;
    assert!(product.contains("id=\"conflicts\"") && product.contains("&lt;b&gt;Lamp&lt;/b&gt;"), "{product}");
    let other = eu.ask("GET /sites").await.body;
    assert!(!other.contains("Links of the demo") && other.contains("href=\"/p/LAMP#conflicts\""), "only a demo is cut");
    let public = eu.ask_as_anybody("GET /sites").await.body;
    assert!(public.contains("Sign in to see the sites") && !public.contains("Lamp"), "{public}");
    // Who only looks at a demo needs no key.
    assert!(us.ask_as_anybody("GET /sites\nHost: localhost").await.body.contains("This is <b>us</b>"));
    assert!(us.ask_as_anybody("GET /sites\nHost: shop.example").await.body.contains("Sign in to see the sites"));
}

#[tokio::test]
async fn a_product_shows_which_site_may_sell_how_many() {
    let (us, _) = demo().await;
    let eu = Shop::of_site("eu", Limits::default(), |access| access).await;
    for request in [
        "POST /api/v1/products\n\n{\"sku\": \"LAMP\", \"title\": \"Lamp\"}",
        "POST /api/v1/locations\n\n{\"id\": \"depot\", \"name\": \"Depot\"}",
        "POST /api/v1/stock/receive\nIdempotency-Key: a\n\n{\"sku\": \"LAMP\", \"location\": \"depot\", \"quantity\": 40}",
    ] {
        assert!(us.ask(request).await.status.is_success(), "{request}");
    }
    let page = us.ask("GET /p/LAMP").await.body;
    assert!(!page.contains("Shares of depot"), "one site has all of it");
    // The other one asks for its share when it has heard of the shelf, and is given it.
    let mut rounds = 0;
    let page = loop {
        hears(&eu.site, &us.site).await;
        hears(&us.site, &eu.site).await;
        let page = us.ask("GET /p/LAMP").await.body;
        if page.contains("data-row=\"depot eu\"") && page.contains("<td class=\"number\" data-field=\"quota\">20</td>")
        {
            break page;
        }
        rounds += 1;
        assert!(rounds < 100_000, "{page}");
        tokio::task::yield_now().await;
    };
    assert!(page.contains("Shares of depot"), "{page}");
}

#[tokio::test]
async fn the_stream_of_sites_begins_with_how_they_are() {
    let shop = Shop::open().await;
    let request = "GET /api/v1/sites\nAccept: text/event-stream";
    assert_eq!(shop.ask_as_anybody(request).await.code(), "unauthenticated");
    let first = shop.first_events("/api/v1/sites").await;
    let data = first.strip_prefix("event: sites\ndata: ").unwrap().trim_end();
    let told: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&told["site"], &told["items"]), (&json!("main"), &json!([])));
    assert_eq!(shop.ask("GET /api/v1/sites\nAccept: text/plain").await.code(), "not_acceptable");
}
