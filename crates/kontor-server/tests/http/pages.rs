use crate::check::Shop;

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_run_no_inline_script() {
    let shop = Shop::stocked().await;
    for path in ["/", "/problems/", "/problems/insufficient_stock", "/docs/"] {
        let seen = shop.ask_as_anybody(&format!("GET {path}")).await;
        assert_eq!(seen.status, 200, "{path}");
        assert!(seen.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
        for outside in ["http://", "https://", "src=\"//", "href=\"//", " onclick", "<style"] {
            assert!(!seen.body.contains(outside), "{path} has {outside}");
        }
        let scripts = seen.body.matches("<script").count();
        assert_eq!(scripts, seen.body.matches(" src=\"").count(), "{path}: each script has a path");
        for link in seen.body.split("=\"/").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]) {
            let followed = shop.ask_as_anybody(&format!("GET /{link}")).await;
            assert!(followed.status.is_success() || followed.status.is_redirection(), "{path} links to /{link}");
        }
    }
}

#[tokio::test]
async fn the_first_page_shows_levels_and_says_what_to_do_when_there_are_none() {
    let empty = Shop::open().await.ask_as_anybody("GET /").await.body;
    assert!(empty.contains("Nothing is here yet") && empty.contains("/api/v1/stock/receive"));

    let shop = Shop::stocked().await;
    shop.ask("POST /api/v1/products\n\n{\"sku\": \"<b>\", \"title\": \"<script>alert(1)</script>\"}").await;
    let page = shop.ask_as_anybody("GET /").await.body;
    assert!(
        page.contains("Walnut desk") && page.contains("<td class=\"number\" data-field=\"on_hand\">10</td>"),
        "{page}"
    );
    assert!(page.contains("&lt;b&gt;") && !page.contains("<script>alert"));
}

/// The page reads the stock of what the public feed names; both are checked where they are made.
#[tokio::test]
async fn the_script_of_the_first_page_reads_what_the_public_feed_names() {
    let shop = Shop::open().await;
    let script = shop.ask_as_anybody("GET /assets/home.js").await.body;
    assert!(script.contains("case \"stock_changed\"") && script.contains("fetch(\"/api/v1/stock/\""), "{script}");
    for never_told in ["stock_moved", "stock_adjusted", "reservation_made", "available_after"] {
        assert!(!script.contains(never_told), "{never_told}");
    }
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
