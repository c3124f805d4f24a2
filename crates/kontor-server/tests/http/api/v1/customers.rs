//! Customers: kept sealed, found, changed, and forgotten for good.

use std::fs;
use std::path::{Path, PathBuf};

use kontor_core::command::{Command, Request};
use kontor_core::id::{Actor, CustomerId, RequestId};
use kontor_site::Site;
use serde_json::{Value, json};

use super::forward::{reads, two_sites};
use crate::check::Shop;

const ADA: &str = "cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";

const CREATE: &str = "POST /api/v1/customers\nIdempotency-Key: ada\n\n\
    {\"id\": \"cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7\", \"email\": \"Ada@Example.org\", \"name\": \"Ada Example\", \
     \"addresses\": [{\"name\": \"Ada Example\", \"line1\": \"Lovelace Lane 4\", \"city\": \"Bristol\", \
     \"postal_code\": \"BS1 4DJ\", \"country\": \"GB\", \"phone\": \"0117 4960000\"}]}";

/// What may be nowhere once she is forgotten.
const PLAIN: [&str; 7] = ["Ada", "ada@", "Example", "Lovelace", "Bristol", "4DJ", "4960000"];

#[tokio::test]
async fn a_customer_is_made_found_changed_and_forgotten() {
    let shop = Shop::open().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            CREATE,
            CREATE,
            &CREATE.replace("Lane 4", "Lane 5"),
            &CREATE.replace("Key: ada", "Key: two"),
            "POST /api/v1/customers\n\n{\"id\": \"cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f8\", \"email\": \"ada@example.org\"}",
            "GET /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7",
            "GET /api/v1/customers?email=ADA@example.org",
            "GET /api/v1/customers?email=grace@example.org",
            "PATCH /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7\nIf-Match: \"1\"\n\n{\"name\": \"Ada King\", \"addresses\": []}",
            "PATCH /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7\nIf-Match: \"1\"\n\n{\"name\": \"Ada King\"}",
            "PATCH /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7\n\n{\"name\": \"Ada King\"}",
            "PATCH /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7\nIf-Match: *\n\n{}",
            "PATCH /api/v1/customers/cus_00000000000000000000000000000000\nIf-Match: *\n\n{\"name\": \"Ada\"}",
            "GET /api/v1/customers/cus_00000000000000000000000000000000",
            "POST /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7/erase\nIdempotency-Key: e\n\n{\"reason\": \"asked for it\"}",
            "POST /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7/erase\nIdempotency-Key: e\n\n{\"reason\": \"asked for it\"}",
            "POST /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7/erase",
            "GET /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7",
            "GET /api/v1/customers?email=ada@example.org",
            "PATCH /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7\nIf-Match: *\n\n{\"name\": \"Ada\"}",
            "POST /api/v1/customers\n\n{\"id\": \"cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f8\", \"email\": \"ada@example.org\"}",
            "POST /api/v1/customers\n\n{\"id\": \"cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f9\"}",
            "GET /api/v1/customers?page_size=2",
        ])
        .await
    );
    let first = shop.ask("GET /api/v1/customers?page_size=2").await.json();
    let token = first["next_page_token"].as_str().unwrap();
    let second = shop.ask(&format!("GET /api/v1/customers?page_size=2&page_token={token}")).await.json();
    assert_eq!(second["items"].as_array().map(Vec::len), Some(1));
    let of_another_list = format!("GET /api/v1/customers?email=a@b&page_token={token}");
    assert_eq!(shop.ask(&of_another_list).await.code(), "invalid_page_token");
}

#[tokio::test]
async fn customers_are_for_holders_of_a_key() {
    let shop = Shop::open().await;
    shop.ask(CREATE).await;
    for request in [
        CREATE,
        "GET /api/v1/customers",
        "GET /api/v1/customers?email=ada@example.org",
        "GET /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7",
        "PATCH /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7\nIf-Match: *\n\n{\"name\": \"Ada\"}",
        "POST /api/v1/customers/cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7/erase",
    ] {
        assert_eq!(shop.ask_as_anybody(request).await.code(), "unauthenticated", "{request}");
    }
    let public = shop.ask_as_anybody("GET /api/v1/changes").await;
    assert!(!public.body.contains("cus_"), "{}", public.body);
}

#[tokio::test]
async fn what_is_wrong_with_a_field_is_said_without_repeating_it() {
    let shop = Shop::open().await;
    let long = "x".repeat(121);
    let address = |field: &str, value: Value| {
        let mut address = json!({"name": "Secret", "line1": "1", "city": "C", "country": "GB"});
        address[field] = value;
        json!({"addresses": [address]})
    };
    let longest_email = format!("secret@{}", "x".repeat(247));
    for (body, place) in [
        (json!({"email": "secret"}), "/email"),
        (json!({"email": "secret@"}), "/email"),
        (json!({"email": "sec ret@example.org"}), "/email"),
        (json!({"email": format!("{longest_email}x")}), "/email"),
        (json!({"name": ""}), "/name"),
        (json!({"name": " secret"}), "/name"),
        (json!({"name": "secret\n"}), "/name"),
        (json!({"name": long}), "/name"),
        (json!({"name": {"secret": 1}}), "/name"),
        (json!({"addresses": "secret"}), "/addresses"),
        (json!({"id": "secret"}), "/id"),
        (
            json!({"addresses": vec![json!({"name": "A", "line1": "1", "city": "C", "country": "GB"}); 21]}),
            "/addresses",
        ),
        (address("country", json!("gb")), "/addresses/0/country"),
        (address("country", json!("GBR")), "/addresses/0/country"),
        (address("postal_code", json!("secret".repeat(6))), "/addresses/0/postal_code"),
        (address("line2", json!("")), "/addresses/0/line2"),
        (address("street", json!("secret")), "/addresses/0/street"),
    ] {
        let refused = shop.ask(&format!("POST /api/v1/customers\n\n{body}")).await;
        assert_eq!(refused.code(), "invalid_request", "{body}");
        assert_eq!(refused.json()["errors"][0]["pointer"], place, "{refused:?}");
        assert!(!refused.body.contains("ecret"), "{}", refused.body);
    }
    let fits = format!("POST /api/v1/customers\n\n{}", json!({"email": longest_email}));
    assert_eq!(shop.ask(&fits).await.status, 201);
    for email in ["", "nobody", "a b@c"] {
        let request = format!("GET /api/v1/customers?email={}", email.replace(' ', "%20"));
        assert_eq!(shop.ask(&request).await.code(), "invalid_request", "{request}");
    }
}

#[tokio::test]
async fn a_repeated_or_refused_request_leaves_no_key_behind() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::in_directory(folder.path()).await;
    let create = "POST /api/v1/customers\nIdempotency-Key: 1\n\n{\"email\": \"ada@example.org\"}";
    let made = shop.ask(create).await;
    assert_eq!((made.status.as_u16(), keys_in(folder.path()).len()), (201, 1), "{made:?}");
    assert_eq!(shop.ask(create).await.json(), made.json());
    assert_eq!(shop.ask(&create.replace("Key: 1", "Key: 2")).await.code(), "already_exists");
    assert_eq!(keys_in(folder.path()).len(), 1);
    // Nothing of somebody is sealed: they need no key.
    assert_eq!(shop.ask("POST /api/v1/customers\n\n{}").await.status, 201);
    assert_eq!(keys_in(folder.path()).len(), 1);
}

#[tokio::test]
async fn of_somebody_erased_no_byte_is_left_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let shop = Shop::in_directory(data).await;
    shop.ask(CREATE).await;
    let patch =
        format!("PATCH /api/v1/customers/{ADA}\nIf-Match: *\nIdempotency-Key: p\n\n{{\"name\": \"Ada Lovelace\"}}");
    assert_eq!(shop.ask(&patch).await.status, 200);
    assert_eq!(
        shop.ask("GET /api/v1/customers?email=ada@example.org").await.json()["items"][0]["name"],
        "Ada Lovelace"
    );
    let person = CustomerId::parse(ADA).unwrap();
    let key = shop.persons.key(person).unwrap().unwrap();
    let wrapped = fs::read(&keys_in(data)[0]).unwrap()[56..104].to_vec();

    let erased = shop.ask(&format!("POST /api/v1/customers/{ADA}/erase\nIdempotency-Key: e\n\n")).await;
    assert_eq!(erased.status, 200);
    assert_eq!((keys_in(data), shop.persons.key(person).unwrap()), (Vec::new(), None));
    let again = shop.ask(&patch).await;
    assert_eq!(again.code(), "customer_erased", "what was answered before is not answered any more: {again:?}");
    shut(shop).await;

    let plain = PLAIN.iter().map(|text| text.as_bytes());
    for file in files(data) {
        let bytes = fs::read(&file).unwrap();
        // Segments are of zeros where nothing was written yet.
        let bytes = &bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)];
        for secret in plain.clone().chain([&key[..], &wrapped[..]]) {
            let is_there = bytes.windows(secret.len()).any(|part| part == secret);
            assert!(!is_there, "{} holds {}", file.display(), String::from_utf8_lossy(secret));
        }
    }
}

#[tokio::test]
async fn an_erasure_that_a_crash_broke_off_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let shop = Shop::in_directory(data).await;
    shop.ask(CREATE).await;
    let person = CustomerId::parse(ADA).unwrap();
    // The event, and then nothing more.
    erase(&shop.site, person).await;
    assert_eq!((keys_in(data).len(), shop.persons.key(person).unwrap()), (1, None), "nobody is given it any more");
    let read = shop.ask(&format!("GET /api/v1/customers/{ADA}")).await.json();
    assert_eq!((&read["name"], &read["erased"]), (&Value::Null, &json!(true)));
    shut(shop).await;

    let shop = Shop::in_directory(data).await;
    assert_eq!(keys_in(data).len(), 1);
    shop.persons.destroy_all_erased().unwrap();
    assert_eq!(keys_in(data).len(), 0);
    shut(shop).await;
}

#[tokio::test]
async fn a_key_that_a_failing_disk_keeps_is_destroyed_when_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let shop = Shop::in_directory(data).await;
    shop.ask(CREATE).await;
    let file = keys_in(data).remove(0);
    let aside = data.join("aside");
    fs::rename(&file, &aside).unwrap();
    fs::create_dir(&file).unwrap();
    let erased = shop.ask(&format!("POST /api/v1/customers/{ADA}/erase")).await;
    assert_eq!(erased.status, 200, "what is journaled is done: {erased:?}");
    fs::remove_dir(&file).unwrap();
    fs::rename(&aside, &file).unwrap();
    shop.persons.destroy_erased();
    assert!(!file.exists());
    shut(shop).await;
}

#[tokio::test]
async fn a_damaged_key_takes_nothing_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let shop = Shop::in_directory(data).await;
    shop.ask(CREATE).await;
    let file = keys_in(data).remove(0);
    let whole = fs::read(&file).unwrap();
    shop.ask("POST /api/v1/customers\n\n{\"name\": \"Grace Example\"}").await;
    fs::write(&file, &whole[1..]).unwrap();
    let listed = shop.ask("GET /api/v1/customers").await.json();
    let shown = |at: usize, field: &str| listed["items"][at][field].clone();
    assert_eq!((shown(0, "sealed"), shown(0, "name")), (json!(true), Value::Null));
    assert_eq!(shown(1, "name"), "Grace Example");
    let patch = format!("PATCH /api/v1/customers/{ADA}\nIf-Match: *\n\n{{\"name\": \"Ada\"}}");
    assert_eq!(shop.ask(&patch).await.code(), "internal", "no other key is made in its place");
    fs::write(&file, &whole).unwrap();
    assert_eq!(shop.ask(&patch).await.status, 200);
    shut(shop).await;
}

#[tokio::test]
async fn whoever_follows_destroys_the_keys_of_all_who_are_erased_anywhere() {
    let (main, west, _wire) = two_sites().await;
    main.ask(CREATE).await;
    let person = CustomerId::parse(ADA).unwrap();
    let following = tokio::spawn(main.persons.clone().follow());
    // West has never heard of her; a guest is forgotten like that.
    erase(&west.site, person).await;
    reads(&main.site, &west.site).await;
    assert_eq!(main.persons.key(person).unwrap(), None);
    let shown = main.ask(&format!("GET /api/v1/customers/{ADA}")).await.json();
    assert_eq!((&shown["erased"], &shown["email"]), (&json!(true), &Value::Null));
    let gone = async {
        while main.persons.holds_key(person).unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.unwrap();
    let site = main.site.clone();
    tokio::task::spawn_blocking(move || site.close()).await.unwrap().unwrap();
    following.await.unwrap();
}

#[tokio::test]
async fn another_site_shows_nothing_personal_and_passes_writes_on() {
    let (main, west, _wire) = two_sites().await;
    let home = main.ask(CREATE).await.json();
    reads(&west.site, &main.site).await;
    let read = format!("GET /api/v1/customers/{ADA}");
    let there = west.ask(&read).await.json();
    assert_eq!((&there["sealed"], &there["home"], &there["revision"]), (&json!(true), &json!("main"), &json!(1)));
    for field in ["email", "name", "addresses"] {
        assert_eq!(there[field], Value::Null, "{field}");
        assert_ne!(home[field], Value::Null, "{field}");
    }
    let patch = format!("PATCH /api/v1/customers/{ADA}\nIf-Match: \"1\"\n\n{{\"name\": \"Ada King\"}}");
    assert_eq!(west.ask(&patch).await.code(), "owned_elsewhere");
    let patched = west.ask(&patch.replace("If-Match", "Idempotency-Key: p\nIf-Match")).await;
    assert_eq!(
        (patched.status.as_u16(), &patched.headers["kontor-site"]),
        (200, &"main".parse().unwrap()),
        "{patched:?}"
    );
    assert_eq!(main.ask(&read).await.json()["name"], "Ada King");
    let erased = west.ask(&format!("POST /api/v1/customers/{ADA}/erase\nIdempotency-Key: e\n\n")).await;
    assert_eq!((erased.status.as_u16(), &erased.headers["kontor-site"]), (200, &"main".parse().unwrap()));
    assert!(!main.persons.holds_key(CustomerId::parse(ADA).unwrap()).unwrap());
    reads(&west.site, &main.site).await;
    let there = west.ask(&read).await.json();
    assert_eq!((&there["erased"], there.get("sealed")), (&json!(true), None));
    assert!(
        main.ask("GET /api/v1/customers?email=ada@example.org").await.json()["items"].as_array().unwrap().is_empty()
    );
}

/// As the journal has it, and nothing done about it.
async fn erase(site: &Site, id: CustomerId) {
    let request = Request {
        command: Command::EraseCustomer { id, reason: None },
        actor: Actor::parse("test").unwrap(),
        request_id: RequestId::parse("test").unwrap(),
        idempotency: None,
        fresh_id: [1; 16],
    };
    site.submit(request).await.unwrap();
}

async fn shut(shop: Shop) {
    let site = shop.site.clone();
    drop(shop);
    tokio::task::spawn_blocking(move || site.close()).await.unwrap().unwrap();
}

fn keys_in(data: &Path) -> Vec<PathBuf> {
    let keys = files(&data.join("keys"));
    keys.into_iter().filter(|file| file.file_name().is_some_and(|name| name.len() == 32)).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
