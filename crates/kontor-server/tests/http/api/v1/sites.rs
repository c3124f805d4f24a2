use std::sync::Arc;

use bytes::Bytes;
use kontor_api::site::{Enrolled, GroupPlace, JournalHead, JournalTaken, PeerAddress};
use kontor_core::id::SiteId;
use kontor_server::Limits;
use kontor_site::Site;
use serde_json::json;

use crate::check::Shop;

const DESK: &str = "POST /api/v1/products\n\n{\"sku\": \"DESK\", \"title\": \"Walnut desk\"}";

/// The key that a site is given.
pub(crate) async fn key_for(shop: &Shop, site: &str) -> String {
    let seen = shop.ask(&format!("POST /api/v1/sites\n\n{{\"site\": \"{site}\"}}")).await;
    assert_eq!(seen.status, 201, "{seen:?}");
    let enrolled: Enrolled = serde_json::from_str(&seen.body).unwrap();
    let address: PeerAddress = enrolled.code.parse().unwrap();
    assert_eq!((&*address.url, address.site.as_deref()), ("http://127.0.0.1:8080", Some("main")));
    address.key.unwrap()
}

async fn part(shop: &Shop, key: &str, query: &str) -> (JournalHead, Vec<Bytes>) {
    let (headers, body) = shop.bytes(key, &format!("/api/v1/sites/journal?{query}")).await;
    assert_eq!(headers["content-type"], "application/vnd.kontor.journal");
    let (head, groups) = JournalHead::decode(&body).unwrap();
    (head, groups.into_iter().map(|group| body.slice(group)).collect())
}

/// Another site that reads groups, on a thread that may block.
async fn read_in(site: &Site, from: &str, groups: Vec<Bytes>) {
    let (site, from) = (site.clone(), SiteId::parse(from).unwrap());
    let read = tokio::task::spawn_blocking(move || {
        site.enroll(&from).unwrap();
        site.read_in(&from, &groups).unwrap()
    });
    read.await.unwrap();
}

#[tokio::test]
async fn a_key_of_a_site_opens_what_is_for_sites_and_nothing_else() {
    let shop = Shop::stocked().await;
    let key = key_for(&shop, "west").await;
    for (request, status) in [
        ("GET /api/v1/sites/journal?site=west&term=0&after=0", 200),
        ("GET /api/v1/sites/journal?site=east&term=0&after=0", 403),
        ("GET /api/v1/sites", 403),
        ("POST /api/v1/sites\n\n{\"site\": \"east\"}", 403),
        ("POST /api/v1/sites/links\n\n{\"code\": \"http://east:kon_a_b@127.0.0.1:1\"}", 403),
        ("POST /api/v1/sites/links\n\n{\"code\": \"http://west:kon_a_b@127.0.0.1:1\", \"mutual\": true}", 403),
        ("GET /api/v1/products", 403),
        ("GET /api/v1/products/DESK", 403),
        ("GET /api/v1/stock/DESK", 403),
        ("GET /api/v1/changes", 403),
        ("GET /api/v1/sitesandmore", 403),
        ("POST /api/v1/locations\n\n{\"id\": \"x\", \"name\": \"x\"}", 403),
        ("GET /v1/inventory/products", 403),
    ] {
        if status == 200 {
            let path = request.strip_prefix("GET ").unwrap();
            shop.bytes(&key, path).await;
            continue;
        }
        assert_eq!(shop.ask_with(&key, request).await.status, status, "{request}");
    }
    for request in ["GET /api/v1/sites", "GET /api/v1/sites/journal?site=west&term=0&after=0"] {
        assert_eq!(shop.ask_as_anybody(request).await.code(), "unauthenticated", "{request}");
    }
    // Whoever keeps watch may look at the journal, too.
    shop.bytes(&shop.key, "/api/v1/sites/journal?site=west&term=0&after=0").await;
}

#[tokio::test]
async fn sites_that_share_a_key_need_no_other() {
    let shared = "a key that all sites have".replace(' ', "-");
    let shop = Shop::with(Limits::default(), |access| access.with_peer_key(Some(&shared)).unwrap()).await;
    part(&shop, &shared, "site=west&term=0&after=0").await;
    part(&shop, &shared, "site=east&term=0&after=0").await;
    assert_eq!(shop.ask_with(&shared, "GET /api/v1/products").await.code(), "forbidden");
    let wrong = shop.ask_with("another key", "GET /api/v1/sites/journal?site=west&term=0&after=0").await;
    assert_eq!(wrong.code(), "unauthenticated");
}

#[tokio::test]
async fn another_site_reads_the_journal_and_is_told_what_is_held_of_its_own() {
    let shop = Shop::open().await;
    let key = key_for(&shop, "west").await;
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    shop.ask(DESK).await;
    let (head, groups) = part(&shop, &key, "site=west&term=0&after=0").await;
    assert_eq!((&*head.site, head.end.seq, groups.len(), head.holds), ("main", 3, 3, None));
    read_in(&west.site, "main", groups).await;
    assert_eq!(west.ask("GET /api/v1/products/DESK").await.status, 200);

    // Somebody waits, and is told as soon as something happens.
    let waits = "site=west&term=1&after=3&wait_s=30";
    let add = "POST /api/v1/locations\n\n{\"id\": \"berlin\", \"name\": \"Shop Berlin\"}";
    let ((head, groups), made) = tokio::join!(part(&shop, &key, waits), shop.ask(add));
    assert_eq!((made.status.as_u16(), head.end.seq, groups.len()), (201, 4, 1));

    read_in(&shop.site, "west", west.site.feed().groups(0, 0).unwrap()).await;
    let (head, _) = part(&shop, &key, "site=west&term=1&after=4").await;
    let held = head.holds.unwrap();
    let kept = shop.site.kept(&SiteId::parse("west").unwrap()).unwrap();
    assert_eq!((held.term, held.seq, held.digest), (1, 1, kept.digest.to_string()));
    let sites = shop.ask("GET /api/v1/sites").await.json();
    let item = &sites["items"][0];
    assert_eq!(
        (&sites["site"], &item["site"], &item["link"], &item["read"], &item["has_read"]),
        (&json!("main"), &json!("west"), &json!("none"), &json!({"term": 1, "seq": 1}), &json!({"term": 1, "seq": 4}))
    );
}

#[tokio::test]
async fn what_is_kept_of_others_is_told_and_given_to_whoever_has_a_key() {
    let hub = Shop::open().await;
    let key = key_for(&hub, "west").await;
    let far = Shop::of_site("far", Limits::default(), |access| access).await;
    far.ask(DESK).await;
    let (head, _) = part(&hub, &key, "site=west&term=0&after=0&known=0").await;
    let known = head.news.unwrap();
    assert!(head.kept.is_empty());
    assert_eq!(part(&hub, &key, "site=west&term=0&after=0").await.0.news, None, "who does not ask is not told");

    // Somebody waits, and is told as soon as more is kept of any other site.
    let end = hub.site.feed().end();
    let waits = format!("site=west&term={}&after={}&wait_s=30&known={known}&except=near", end.term, end.seq);
    let groups = far.site.feed().groups(0, 0).unwrap();
    let ((head, _), ()) = tokio::join!(part(&hub, &key, &waits), read_in(&hub.site, "far", groups.clone()));
    let kept: Vec<_> = head.kept.iter().map(|kept| (kept.site.as_str(), kept.end.seq)).collect();
    assert!(matches!(kept[..], [("far", 0 | 2)]), "{kept:?}");
    read_in(&hub.site, "west", Vec::new()).await;
    let (head, _) = part(&hub, &key, "site=west&term=0&after=0&known=0").await;
    assert_eq!(head.kept.len(), 1, "what it holds of the asker is told as such");
    let known = head.news.unwrap();
    assert!(part(&hub, &key, &format!("site=west&term=0&after=0&known={known}")).await.0.kept.is_empty());
    assert_eq!(part(&hub, &key, "site=west&term=0&after=0&known=999999").await.0.kept.len(), 1, "of another start");

    let (head, relayed) = part(&hub, &key, "site=west&of=far&term=0&after=0").await;
    assert_eq!((head.site.as_str(), head.end.seq, &relayed), ("far", 2, &groups));
    let (head, relayed) = part(&hub, &key, "site=west&of=far&term=1&after=1").await;
    assert_eq!((head.end.seq, relayed.as_slice()), (2, &groups[1..]));
    let unknown = hub.ask_with(&key, "GET /api/v1/sites/journal?site=west&of=nowhere&term=0&after=0").await;
    assert_eq!(unknown.code(), "not_found");
}

#[tokio::test]
async fn a_site_that_cannot_be_asked_gives_its_journal_itself() {
    let shop = Shop::open().await;
    let key = key_for(&shop, "store").await;
    let store = Shop::of_site("store", Limits::default(), |access| access).await;
    store.ask(DESK).await;
    store.ask("POST /api/v1/locations\n\n{\"id\": \"shelf\", \"name\": \"Shelf\"}").await;
    let groups = store.site.feed().groups(0, 0).unwrap();
    let end = GroupPlace { term: 1, seq: 3 };
    let given = |groups: &[Bytes]| JournalHead::new("store", end).encode(groups.iter().map(Bytes::as_ref)).unwrap();
    let holds = |seen: crate::check::Seen| {
        assert_eq!(seen.status, 200, "{seen:?}");
        let taken: JournalTaken = serde_json::from_str(&seen.body).unwrap();
        (taken.holds.term, taken.holds.seq)
    };
    let path = "/api/v1/sites/store/journal";
    assert_eq!(holds(shop.send_bytes(&key, path, given(&[])).await), (0, 0), "it asks where to begin");
    assert_eq!(holds(shop.send_bytes(&key, path, given(&groups[1..])).await), (0, 0), "none is left out");
    assert_eq!(holds(shop.send_bytes(&key, path, given(&groups[..2])).await), (1, 2));
    assert_eq!(holds(shop.send_bytes(&key, path, given(&groups)).await), (1, 3), "what comes twice is there once");
    assert_eq!(shop.ask("GET /api/v1/products/DESK").await.status, 200);
    let sites = shop.ask("GET /api/v1/sites").await.json();
    let item = &sites["items"][0];
    assert_eq!((&item["link"], &item["end"], &item["lag_groups"]), (&json!("open"), &json!(end), &json!(0)), "{item}");

    let other = key_for(&shop, "west").await;
    for (key, path, body, code) in [
        (&other, path, given(&groups), "forbidden"),
        (&shop.key, path, given(&groups), "forbidden"),
        (&other, "/api/v1/sites/west/journal", given(&groups), "invalid_request"),
        (&key, path, b"no frames".to_vec(), "invalid_request"),
        (&key, path, given(&[Bytes::from_static(b"\x01 no group at all")]), "invalid_request"),
        (&key, path, vec![0; 3 << 20], "body_too_large"),
    ] {
        assert_eq!(shop.send_bytes(key, path, body).await.code(), code, "{path}");
    }
    let newer = given(&[Bytes::from_static(b"\xff a format of the future")]);
    assert_eq!(shop.send_bytes(&key, path, newer).await.code(), "link_refused");
    let stopped = &shop.ask("GET /api/v1/sites").await.json()["items"][0];
    assert_eq!(stopped["link"], "stopped", "{stopped}");
}

#[tokio::test]
async fn a_site_that_has_lost_the_end_of_its_journal_writes_nothing() {
    for (query, told) in [
        (format!("term=1&after=900&digest={}", "0".repeat(64)), "the end of the journal was lost"),
        (format!("term=7&after=1&digest={}", "0".repeat(64)), "the end of the journal was lost"),
        (format!("term=1&after=1&digest={}", "0".repeat(64)), "two journals were written"),
    ] {
        let shop = Arc::new(Shop::stocked().await);
        let key = key_for(&shop, "west").await;
        let asks = format!("GET /api/v1/sites/journal?site=west&{query}");
        if told.contains("lost") {
            // Somebody who is no site may say what it likes.
            assert_eq!(shop.ask(&asks).await.code(), "invalid_request");
            assert_eq!(shop.ask("GET /health").await.json()["status"], "healthy");
        }
        assert_eq!(shop.ask_with(&key, &asks).await.code(), "journal_behind", "{query}");
        let refused = shop.ask("POST /api/v1/locations\n\n{\"id\": \"x\", \"name\": \"x\"}").await;
        assert_eq!(refused.code(), "journal_behind", "{query}");
        assert!(refused.body.contains(told), "{}", refused.body);
        let health = shop.ask("GET /health").await.json();
        assert!(health["alarms"][0].as_str().unwrap().contains(told), "{health}");
        assert!(health["status"].as_str().unwrap().starts_with("degraded: "), "{health}");
        assert!(shop.ask("GET /api/v1/sites").await.json()["silent"].as_str().unwrap().contains(told));
        assert_eq!(shop.ask("GET /api/v1/products/DESK").await.status, 200, "reads work");
    }
}

#[tokio::test]
async fn questions_of_sites_are_checked() {
    let shop = Shop::open().await;
    for (request, code) in [
        ("GET /api/v1/sites/journal", "invalid_request"),
        ("GET /api/v1/sites/journal?site=West&term=0&after=0", "invalid_request"),
        ("GET /api/v1/sites/journal?site=west&term=0&after=0&wait_s=31", "invalid_request"),
        ("GET /api/v1/sites/journal?site=west&term=0&after=0&digest=00", "invalid_request"),
        ("GET /api/v1/sites/journal?site=west&term=1&after=99", "invalid_request"),
        ("POST /api/v1/sites\n\n{\"site\": \"main\"}", "invalid_request"),
        ("POST /api/v1/sites?dry_run=true\n\n{\"site\": \"east\"}", "invalid_request"),
        ("GET /api/v1/sites?of=east", "invalid_request"),
        ("POST /api/v1/sites\n\n{\"site\": \"Not a name\"}", "invalid_request"),
        ("POST /api/v1/sites/links\n\n{\"code\": \"http://127.0.0.1:1\"}", "invalid_request"),
        ("POST /api/v1/sites/links\n\n{\"code\": \"kon_a_b\"}", "invalid_request"),
        ("POST /api/v1/sites/links\n\n{\"code\": \"http://main:kon_a_b@127.0.0.1:1\"}", "invalid_request"),
        ("POST /api/v1/sites/links\n\n{\"code\": \"http://west:kon_a_b@127.0.0.1:1\"}", "link_refused"),
    ] {
        assert_eq!(shop.ask(request).await.code(), code, "{request}");
    }
}
