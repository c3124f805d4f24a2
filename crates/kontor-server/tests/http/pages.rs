use serde_json::json;

use crate::check::Shop;

pub(crate) const MARKED: &str = "<script>alert(1)</script>";

/// A shop whose every text tries to be markup, with a draft, an archived product and a movement.
async fn told() -> Shop {
    let shop = Shop::stocked().await;
    let shirt = json!({
        "id": "SHIRT", "title": format!("Shirt {MARKED}"), "description": MARKED, "brand": MARKED,
        "categories": [format!("Clothes {MARKED}")], "options": ["Size"], "attributes": {"cloth": MARKED},
        "media": [{"url": "https://pictures.example/?a=1&b=<i>", "alt": MARKED}],
        "translations": {"de": {"title": MARKED}},
        "variants": [
            {"sku": "SHIRT <S>", "gtin": "4006381333931", "options": {"Size": MARKED}, "prices": [
                {"currency": "EUR", "amount": "49"}, {"currency": "EUR", "amount": "45", "valid_from": "2020-01-01T00:00:00Z"},
            ]},
            {"sku": "SHIRT M", "prices": [{"currency": "EUR", "amount": "52.5"}]},
        ],
    });
    let own =
        json!({"title": format!("Top {MARKED}"), "prices": [{"sku": "SHIRT M", "currency": "GBP", "amount": "42"}]});
    let written_off =
        json!({"sku": "SHIRT <S>", "location": "berlin", "quantity": 1, "reason": MARKED, "reference": MARKED});
    for request in [
        format!("POST /api/v1/products\n\n{shirt}"),
        format!("PATCH /api/v1/products/SHIRT/markets/gb\nIf-Match: *\n\n{own}"),
        "POST /api/v1/stock/receive\nIdempotency-Key: a\n\n{\"sku\": \"SHIRT <S>\", \"location\": \"berlin\", \"quantity\": 4}".into(),
        format!("POST /api/v1/stock/write-off\nIdempotency-Key: b\n\n{written_off}"),
        "POST /api/v1/products\n\n{\"sku\": \"SOON\", \"title\": \"Soon here\", \"status\": \"draft\"}".into(),
        "POST /api/v1/products\n\n{\"sku\": \"GONE\", \"title\": \"Gone by\"}".into(),
        "POST /api/v1/products/GONE/archive\nIf-Match: *\n\n{}".into(),
    ] {
        let seen = shop.ask(&request).await;
        assert!(seen.status.is_success(), "{request}: {seen:?}");
    }
    shop
}

/// The text of a page without its tags, for comparing what a person reads.
pub(crate) fn text(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, after)| after));
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("&lt;", "<").replace("&gt;", ">")
}

pub(crate) fn links(page: &str) -> Vec<String> {
    let links = page.split("=\"/").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]);
    links.map(|link| format!("/{}", link.replace("&amp;", "&"))).collect()
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_run_no_inline_script() {
    let shop = Shop::stocked().await;
    let paths = [
        "/",
        "/?q=nothing",
        "/p/DESK",
        "/p/DESK?found=DESK",
        "/jobs",
        "/orders",
        "/orders?status=open",
        "/problems/",
        "/problems/insufficient_stock",
    ];
    for path in paths.into_iter().chain(["/docs/"]) {
        for seen in [shop.ask_as_anybody(&format!("GET {path}")).await, shop.ask(&format!("GET {path}")).await] {
            assert_eq!(seen.status, 200, "{path}");
            assert!(seen.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
            for outside in ["http://", "https://", "src=\"//", "href=\"//", " onclick", "<style", " style="] {
                assert!(!seen.body.contains(outside), "{path} has {outside}");
            }
            let scripts = seen.body.matches("<script").count();
            assert_eq!(scripts, seen.body.matches(" src=\"").count(), "{path}: each script has a path");
            for link in links(&seen.body) {
                let followed = shop.ask(&format!("GET {link}")).await;
                assert!(followed.status.is_success() || followed.status.is_redirection(), "{path} links to {link}");
            }
        }
    }
}

#[tokio::test]
async fn what_data_says_is_never_markup() {
    let shop = told().await;
    let pages = [
        "/",
        "/?q=shirt&exact=no",
        "/?market=gb",
        "/p/SHIRT",
        "/shop",
        "/p/SHIRT?sku=SHIRT%20%3CS%3E&found=%3Cscript%3Ealert(1)",
    ];
    for path in pages {
        for seen in [shop.ask_as_anybody(&format!("GET {path}")).await, shop.ask(&format!("GET {path}")).await] {
            assert_eq!(seen.status, 200, "{path}");
            assert!(!seen.body.contains("<script>") && !seen.body.contains("SHIRT <S>"), "{path}: {}", seen.body);
            assert!(seen.body.contains("&lt;script&gt;alert(1)"), "{path}");
        }
    }
    let seen = shop.ask_as_anybody("GET /p/%3Cscript%3Ealert(1)").await;
    assert!(seen.status == 404 && seen.body.contains("&lt;script&gt;alert(1)") && !seen.body.contains("<script>alert"));
    let page = shop.ask_as_anybody("GET /p/SHIRT").await.body;
    let link = "<a href=\"https://pictures.example/?a=1&amp;b=&lt;i&gt;\" rel=\"noopener noreferrer nofollow\">";
    assert!(page.contains(link) && !page.contains("<img"), "{page}");
    let script = "PATCH /api/v1/products/SHIRT\nIf-Match: *\n\n{\"media\": [{\"url\": \"javascript:alert(1)\"}]}";
    assert_eq!(shop.ask(script).await.code(), "invalid_request");
}

#[tokio::test]
async fn the_first_page_lists_products_with_prices_and_stock() {
    let shop = told().await;
    let page = shop.ask_as_anybody("GET /").await.body;
    let read = text(&page);
    assert!(read.contains(&format!("Shirt {MARKED} SHIRT <S> and 1 more · {MARKED} from 45.00 EUR 3 3")), "{read}");
    assert!(read.contains("Walnut desk DESK none 10 10"), "{read}");
    assert!(!page.contains("Soon here") && !page.contains("Gone by"));
    assert!(page.contains("<td class=\"number wide\" data-field=\"on_hand\">10</td>"), "{page}");
    let read = text(&shop.ask("GET /").await.body);
    assert!(read.contains("Soon here draft SOON") && !read.contains("Gone by"), "{read}");
    assert!(text(&shop.ask("GET /?status=archived").await.body).contains("Gone by archived GONE"));
    let read = text(&shop.ask_as_anybody("GET /?market=gb").await.body);
    assert!(read.contains(&format!("Top {MARKED}")) && read.contains("42.00 GBP"), "{read}");
}

#[tokio::test]
async fn the_form_finds_and_its_empty_fields_mean_nothing() {
    let shop = told().await;
    let table = [
        ("q=desk", "DESK"),
        ("q=&category=&brand=&status=&available=&location=&market=&currency=&sort=", "DESK SHIRT"),
        ("category=clothes%20%3Cscript%3Ealert(1)%3C%2Fscript%3E", "SHIRT"),
        ("available=true", "DESK SHIRT"),
        ("available=true&location=depot", ""),
        ("location=berlin&sort=title", "SHIRT DESK"),
        ("currency=EUR&sort=price", "SHIRT"),
        ("q=nothing", ""),
        ("q=soon", ""),
    ];
    for (query, expected) in table {
        let seen = shop.ask_as_anybody(&format!("GET /?{query}")).await;
        assert_eq!(seen.status, 200, "{query}");
        let mut found: Vec<&str> =
            seen.body.split("data-product=\"").skip(1).map(|row| row.split('"').next().unwrap()).collect();
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    for (query, why) in [
        ("sort=price", "say in which currency"),
        ("currency=euro", "The currency cannot be used"),
        ("location=moon", "There is no location moon"),
        ("status=draft", "Sign in to see what is not for sale"),
        ("page_token=00", "belongs to another list"),
    ] {
        let seen = shop.ask_as_anybody(&format!("GET /?{query}")).await;
        assert!(seen.status == 400 && seen.body.contains(why) && seen.body.contains("<form"), "{query}: {seen:?}");
    }
}

#[tokio::test]
async fn what_is_scanned_leads_to_its_product() {
    let shop = told().await;
    for (scanned, product) in
        [("4006381333931", "SHIRT?sku=SHIRT%20%3CS%3E&found=4006381333931"), ("DESK", "DESK?sku=DESK&found=DESK")]
    {
        let seen = shop.ask_as_anybody(&format!("GET /?q={scanned}")).await;
        assert_eq!(
            (seen.status.as_u16(), seen.headers["location"].to_str().unwrap()),
            (303, &*format!("/p/{product}"))
        );
        let found = shop.ask_as_anybody(&format!("GET /p/{product}")).await;
        assert!(found.status == 200 && found.body.contains("autofocus"), "one scans the next at once");
        assert!(links(&found.body).contains(&format!("/?q={scanned}&exact=no")));
        assert_eq!(shop.ask_as_anybody(&format!("GET /?q={scanned}&exact=no")).await.status, 200);
    }
    assert_eq!(shop.ask_as_anybody("GET /?q=SOON").await.status, 200, "a draft is not found by everybody");
    assert_eq!(shop.ask("GET /?q=SOON").await.status, 303);
}

#[tokio::test]
async fn a_long_list_has_a_next_page_of_the_same_filters() {
    let shop = Shop::open().await;
    for number in 0..120 {
        let made = format!("POST /api/v1/products\n\n{{\"sku\": \"S{number:03}\", \"title\": \"Part {number:03}\"}}");
        assert!(shop.ask(&made).await.status.is_success());
    }
    let (mut path, mut found) = ("/?q=part&sort=title".to_owned(), Vec::new());
    loop {
        let page = shop.ask_as_anybody(&format!("GET {path}")).await.body;
        found.extend(page.split("data-product=\"").skip(1).map(|row| row[..4].to_owned()));
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    assert_eq!(found, (0..120).map(|number| format!("S{number:03}")).collect::<Vec<_>>());
    assert!(path.starts_with("/?q=part&sort=title&page_token="));
}

#[tokio::test]
async fn where_nothing_is_a_page_says_what_to_do() {
    let shop = Shop::open().await;
    let page = text(&shop.ask_as_anybody("GET /").await.body);
    for command in [
        "kontor serve --data /tmp/shop --sample examples",
        "kontor import products FILE --map sku=",
        "/api/v1/stock/receive",
    ] {
        assert!(page.contains(command), "{command}: {page}");
    }
    assert!(text(&shop.ask("GET /jobs").await.body).contains("Nothing was imported yet"));
    shop.ask("POST /api/v1/products\n\n{\"sku\": \"SOON\", \"title\": \"Soon\", \"status\": \"draft\"}").await;
    let page = text(&shop.ask_as_anybody("GET /").await.body);
    assert!(page.contains("Nothing is for sale") && page.contains("Sign in to see drafts"), "{page}");
    let page = text(&shop.ask("GET /?q=lamp").await.body);
    assert!(page.contains("No product matches") && page.contains("Show all products"), "{page}");
    let page = text(&shop.ask("GET /p/SOON").await.body);
    assert!(page.contains("Never in stock anywhere") && page.contains("Nothing has moved yet"), "{page}");
    for (path, who) in [("/p/LAMP", "here"), ("/p/%20", "here")] {
        let seen = shop.ask(&format!("GET {path}")).await;
        assert!(seen.status == 404 && text(&seen.body).contains(who), "{seen:?}");
    }
}

#[tokio::test]
async fn a_product_shows_everybody_its_stock_and_says_why_not_the_rest() {
    let shop = told().await;
    let page = text(&shop.ask_as_anybody("GET /p/SHIRT").await.body);
    for shown in [
        "SHIRT <S> berlin 3 0 0 0 0 3",
        "SHIRT M Never in stock anywhere",
        "reserved on order 45.00 EUR",
        "SHIRT M gb 42.00 GBP always further notice",
        "Sign in to see why it can or cannot be sold:",
        "Sign in to see movements:",
        "Sign in to see revisions:",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    for hidden in ["written off", "key:", "po-", "Revision 1"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    for draft in ["/p/SOON", "/p/GONE"] {
        let (seen, never) =
            (shop.ask_as_anybody(&format!("GET {draft}")).await, shop.ask_as_anybody("GET /p/NEVER").await);
        assert_eq!(seen.status, 404);
        let told = |page: &str| text(page).replace(&draft[3..], "X").replace("NEVER", "X");
        assert_eq!(told(&seen.body), told(&never.body), "nobody learns that there is a draft");
        assert_eq!(shop.ask(&format!("GET {draft}")).await.status, 200);
    }
}

#[tokio::test]
async fn a_holder_of_a_key_reads_why_there_are_so_many() {
    let shop = told().await;
    for number in 1..=30 {
        let reference = format!("po-{number}");
        let received = json!({"sku": "DESK", "location": "depot", "quantity": number, "reference": reference, "reason": "delivery"});
        shop.ask(&format!("POST /api/v1/stock/receive\nIdempotency-Key: {reference}\n\n{received}")).await;
    }
    let held = "POST /api/v1/reservations\nIdempotency-Key: h\n\n{\"lines\": [{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 10}]}";
    let held = shop.ask(held).await.json();
    let seen = shop.ask("GET /p/DESK").await.body;
    let page = text(&seen);
    for shown in [
        "DESK berlin 10 10 0 0 0 0",
        "All locations 475 10 0 0 0 465",
        "1 of DESK can be sold at depot.",
        "berlin cannot sell: insufficient_stock",
        "10 are held by live reservations.",
        held["id"].as_str().unwrap(),
        "received depot +30 465 delivery po-30 key:",
        "Revision 1",
        "/title nothing Walnut desk",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let (mut path, mut changes) = ("/p/DESK".to_owned(), Vec::new());
    loop {
        let page = shop.ask(&format!("GET {path}")).await.body;
        let ledger = page.split("id=\"movements\"").nth(1).unwrap().split("</section>").next().unwrap();
        changes.extend(ledger.split("<tr data-row").skip(1).map(|row| {
            text(row).split(' ').find_map(|word| word.strip_prefix('+').map(|n| n.parse::<u32>().unwrap())).unwrap()
        }));
        let Some(next) = ledger.split("rel=\"next\" href=\"").nth(1) else { break };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    assert_eq!(changes, (1..=30).rev().chain([10]).collect::<Vec<_>>(), "newest first, each once");
    let page = text(&shop.ask("GET /p/DESK?location=berlin").await.body);
    assert!(
        page.contains("Movements of DESK at berlin")
            && page.contains("received berlin +10 10")
            && !page.contains("po-30"),
        "{page}"
    );
    let page = text(&shop.ask("GET /p/SHIRT?sku=SHIRT%20%3CS%3E").await.body);
    assert!(page.contains(&format!("written off berlin −1 3 {MARKED} {MARKED}")), "{page}");
}

#[tokio::test]
async fn revisions_of_a_product_are_paged() {
    let shop = Shop::stocked().await;
    for number in 1..=12 {
        let edit = format!("PATCH /api/v1/products/DESK\nIf-Match: *\n\n{{\"title\": \"Desk {number}\"}}");
        assert!(shop.ask(&edit).await.status.is_success());
    }
    let first = shop.ask("GET /p/DESK").await.body;
    let page = text(&first);
    assert!(
        page.contains("/title Desk 11 Desk 12") && page.contains("Revision 4 ") && !page.contains("Revision 3 "),
        "{page}"
    );
    let older = links(&first).into_iter().find(|link| link.contains("revisions=")).unwrap();
    let page = text(&shop.ask(&format!("GET {older}")).await.body);
    assert!(
        page.contains("/title Walnut desk Desk 1") && page.contains("Revision 1 ") && !page.contains("Revision 4 "),
        "{page}"
    );
}

#[tokio::test]
async fn imports_are_shown_to_holders_of_keys_with_their_counts() {
    let shop = Shop::open().await;
    let id = format!("job_{}", "1".repeat(32));
    let job = json!({"id": id, "kind": "import_products", "source": "<spring>.csv", "digest": "5".repeat(64)});
    shop.ask(&format!("POST /api/v1/jobs\n\n{job}")).await;
    let rows = "{\"line\": 1, \"product\": {\"title\": \"Desk\", \"variants\": [{\"sku\": \"DESK\"}]}}\n{\"line\": 2, \"refused\": {\"code\": \"unreadable\", \"detail\": \"x\"}}\n";
    shop.ask(&format!("POST /api/v1/jobs/{id}/rows\nContent-Type: application/x-ndjson\n\n{rows}")).await;
    let page = text(&shop.ask("GET /jobs").await.body);
    assert!(
        page.contains(&format!("<spring>.csv {id} products running, or waiting to be resumed 2 1 0 0 1")),
        "{page}"
    );
    let page = text(&shop.ask_as_anybody("GET /jobs").await.body);
    assert!(page.contains("Sign in to see imports:") && !page.contains("spring"), "{page}");
}

#[tokio::test]
async fn the_key_of_another_site_opens_no_page() {
    let shop = told().await;
    let code = shop.ask("POST /api/v1/sites\n\n{\"site\": \"eu\"}").await.json();
    let key = code["code"].as_str().unwrap().split([':', '@']).nth(2).unwrap().to_owned();
    for path in ["/", "/p/SHIRT", "/jobs"] {
        assert_eq!(shop.ask_with(&key, &format!("GET {path}")).await.code(), "forbidden", "{path}");
    }
}

#[tokio::test]
async fn a_page_takes_a_key_in_a_header_and_nowhere_else() {
    let shop = told().await;
    for path in ["/", "/p/DESK", "/jobs", "/orders", "/shop"] {
        let wrong = shop.ask_as_anybody(&format!("GET {path}\nX-API-Key: kon_wrong")).await;
        assert_eq!(wrong.code(), "unauthenticated");
        let seen = shop.ask(&format!("GET {path}")).await;
        assert!(seen.body.contains("data-sign-out") && !seen.headers.contains_key("set-cookie"), "{path}");
        assert!(seen.headers["cache-control"] == "no-store" && !seen.body.contains(&shop.key), "{path}");
        let seen = shop.ask_as_anybody(&format!("GET {path}\nCookie: key={}", shop.key)).await;
        assert!(seen.body.contains("data-sign-in"), "{path}");
        let in_address = format!("GET {path}?key={}", shop.key);
        assert_eq!(shop.ask_as_anybody(&in_address).await.code(), "invalid_request");
    }
}

/// What the script follows and looks for; both are checked where they are made.
#[tokio::test]
async fn the_script_follows_the_feed_from_what_the_page_shows() {
    let shop = told().await;
    let script = shop.ask_as_anybody("GET /assets/page.js").await.body;
    for used in [
        "\"/api/v1/changes?after=\"",
        "dataset.after",
        "dataset.skus",
        "dataset.product",
        "dataset.live",
        "sessionStorage",
    ] {
        assert!(script.contains(used), "{used}");
    }
    assert!(!script.contains("localStorage") && !script.contains("document.cookie") && !script.contains("innerHTML ="));
    let page = shop.ask_as_anybody("GET /p/SHIRT").await.body;
    assert!(
        page.contains("data-product=\"SHIRT\" data-skus=\"[&quot;SHIRT &lt;S&gt;&quot;,&quot;SHIRT M&quot;]\""),
        "{page}"
    );
    let after = page.split("data-after=\"").nth(1).unwrap().split('"').next().unwrap();
    let changes = format!("GET /api/v1/changes?after={after}");
    assert_eq!(shop.ask_as_anybody(&changes).await.json()["items"], json!([]), "the page shows all of it");
    shop.ask("POST /api/v1/stock/receive\nIdempotency-Key: c\n\n{\"sku\": \"SHIRT M\", \"location\": \"depot\", \"quantity\": 1}").await;
    let told = shop.ask_as_anybody(&changes).await.json();
    assert_eq!(told["items"][0]["events"][0]["lines"][0]["sku"], "SHIRT M");
    let told = shop.ask(&changes).await.json();
    assert_eq!(told["items"][0]["events"][0]["lines"][0]["sku"], "SHIRT M");
}

#[tokio::test]
async fn every_problem_type_leads_to_a_page() {
    let shop = Shop::open().await;
    for code in kontor_api::Code::ALL {
        let page = shop.ask_as_anybody(&format!("GET /problems/{}", code.as_str())).await;
        assert!(page.status == 200 && page.body.contains(code.title()), "{code:?}");
    }
}

#[tokio::test]
async fn health_is_asked_without_a_key() {
    let shop = Shop::stocked().await;
    for (path, expected) in
        [("/livez", "ok"), ("/readyz", "ok"), ("/health", "\"status\":\"healthy\""), ("/metrics", "")]
    {
        let seen = shop.ask_as_anybody(&format!("GET {path}\nX-API-Key: wrong")).await;
        assert!(seen.status == 200 && seen.body.contains(expected), "{path}: {seen:?}");
        assert_eq!(seen.headers["cache-control"], "no-store");
        let refused = shop.ask_as_anybody(&format!("DELETE {path}")).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (405, Some("method_not_allowed")));
    }
    tokio::task::spawn_blocking({
        let site = shop.site.clone();
        move || site.close().unwrap()
    })
    .await
    .unwrap();
    let seen = shop.ask_as_anybody("GET /readyz").await;
    assert_eq!((seen.status.as_u16(), seen.code().as_str()), (503, "site_stopped"));
    let write = shop.ask("POST /api/v1/products\n\n{\"sku\": \"X\", \"title\": \"x\"}").await;
    assert_eq!((write.status.as_u16(), write.code().as_str()), (503, "site_stopped"));
    assert!(write.headers.contains_key("retry-after"));
    assert_eq!(shop.ask("GET /api/v1/stock/DESK").await.status, 200, "what is known can still be read");
}
