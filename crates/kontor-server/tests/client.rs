//! The client and the server speak of the same things: a whole hold, over a real connection.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use http_body_util::BodyExt as _;
use kontor_api::job::{JobRow, RowOutcome, StartJob};
use kontor_api::location::OpenLocation;
use kontor_client::{Client, ClientError, IfMatch};
use kontor_server::{Access, Limits, Options, serve};
use kontor_site::Site;

const KEY: &str = "kon_a_key_that_is_long_enough";

fn from_json<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// Runs a story against a server with nothing in it.
async fn with_server<F: Future<Output = ()>>(story: impl FnOnce(Client) -> F) {
    let site = Site::in_memory(kontor_core::id::SiteId::parse("main").unwrap()).unwrap();
    let access = Access::new(&site, Some(KEY.into())).unwrap();
    let options = Options {
        access,
        limits: Limits::default(),
        metrics: None,
        version: "test",
        address: "http://127.0.0.1:8080".into(),
        links: kontor_server::links::Links::new().0,
        demo: None,
        payments: None,
        persons: std::sync::Arc::new(kontor_site::persons::Persons::in_memory(&site)),
        fault_injection: false,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, site.clone(), options, async { drop(stopped.await) }));

    story(Client::new(&url, Some(KEY)).unwrap()).await;

    drop(stop);
    server.await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || site.close()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hold_is_made_refused_committed_and_shipped() {
    with_server(hold).await;
}

async fn hold(client: Client) {
    let line = serde_json::json!({ "sku": "BANK CHARGES/1", "location": "shop", "quantity": 1 });
    client
        .create_product(&from_json(serde_json::json!({ "sku": "BANK CHARGES/1", "title": "Fee" })), None)
        .await
        .unwrap();
    let shop: OpenLocation = from_json(serde_json::json!({ "id": "shop", "name": "Shop" }));
    client.open_location(&shop, None).await.unwrap();
    client.receive(&from_json(line.clone()), "k1").await.unwrap();
    let hold = from_json(serde_json::json!({ "lines": [line], "ttl_s": 60 }));
    let held = client.reserve(&hold, "k2").await.unwrap();
    assert_eq!(client.reserve(&hold, "k2").await.unwrap(), held);
    let refused = client.reserve(&hold, "k3").await.unwrap_err();
    assert!(matches!(refused, ClientError::Problem { code, .. } if code == "insufficient_stock"));
    let why = client.explain_stock("BANK CHARGES/1", Some("shop"), Some(1)).await.unwrap();
    assert_eq!((why.sellable, why.locations[0].holds[0].reservation.as_str()), (false, held.id.as_str()));
    client.commit(&held.id, "k4").await.unwrap();
    client.ship(&from_json(serde_json::json!({ "reservation": held.id })), "k5").await.unwrap();
    let level = client.stock("BANK CHARGES/1").await.unwrap();
    assert_eq!((level.levels[0].on_hand, level.levels[0].committed), (0, 0));
    assert_eq!(client.reservation(&held.id).await.unwrap().lines[0].shipped, 1);
}

#[tokio::test]
async fn a_cart_is_filled_ordered_and_canceled() {
    with_server(cart).await;
}

async fn cart(client: Client) {
    let tea = serde_json::json!({"title": "Tea", "variants": [
        {"sku": "TEA", "policy": "none", "prices": [{"currency": "GBP", "amount": "3.20"}]}
    ]});
    client.create_product(&from_json(tea), None).await.unwrap();
    let shop: OpenLocation = from_json(serde_json::json!({ "id": "shop", "name": "Shop" }));
    client.open_location(&shop, None).await.unwrap();
    let opened = client.open_cart(&from_json(serde_json::json!({"currency": "GBP"})), None).await.unwrap();
    let buyer = client.with_cart_token(opened.token.as_deref().unwrap()).unwrap();
    let (id, line) = (opened.id.as_str(), from_json(serde_json::json!({"lines": [{"sku": "TEA", "quantity": 1}]})));
    buyer.add_to_cart(id, &line, "k1").await.unwrap();
    let cart = buyer.add_to_cart(id, &line, "k2").await.unwrap();
    assert_eq!((cart.lines[0].quantity, cart.total.unwrap().amount.as_str()), (2, "6.40"));
    let set = from_json(serde_json::json!({"quantity": 3}));
    assert_eq!(buyer.set_cart_line(id, "TEA", &set).await.unwrap().lines[0].quantity, 3);
    assert!(buyer.remove_cart_line(id, "TEA").await.unwrap().lines.is_empty());
    buyer.add_to_cart(id, &line, "k3").await.unwrap();
    let order = buyer.check_out(id, &from_json(serde_json::json!({})), "k4").await.unwrap();
    assert_eq!(buyer.order(&order.number).await.unwrap().id, order.id);
    let canceled = buyer.cancel_order(&order.id, &from_json(serde_json::json!({})), "k5").await.unwrap();
    assert_eq!(canceled.status, kontor_api::order::OrderStatus::Canceled);
    assert_eq!(client.order_timeline(&order.id).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_catalogue_is_imported_edited_exported_and_undone() {
    with_server(catalogue).await;
}

async fn catalogue(client: Client) {
    let start: StartJob = from_json(serde_json::json!({
        "id": format!("job_{}", "0".repeat(32)), "kind": "import_products", "source": "spring.csv", "digest": "0".repeat(64),
    }));
    let job = client.start_job(&start).await.unwrap();
    let rows: Vec<JobRow> = (1..=3_000)
        .map(|line| from_json(serde_json::json!({"line": line, "product": {"title": format!("Nr {line}"), "variants": [{"sku": format!("P{line}")}]}})))
        .collect();
    let told = client.send_rows(&job.id, &rows[..2_000]).await.unwrap();
    assert_eq!((told.len(), told[1_999].outcome), (2_000, RowOutcome::Created));
    assert_eq!(client.start_job(&start).await.unwrap().through_line, 2_000);
    let told = client.send_rows(&job.id, &rows).await.unwrap();
    assert_eq!((told[1_999].outcome, told[2_000].outcome), (RowOutcome::Done, RowOutcome::Created));
    assert_eq!(client.finish_job(&job.id).await.unwrap().created, 3_000);

    let change = from_json(serde_json::json!({"brand": "Kontor"}));
    let edit = client.change_product("P1", IfMatch::Revision(1), &change).await.unwrap();
    assert_eq!((edit.revision, edit.changes[0].field.as_str()), (Some(2), "/brand"));
    let stale = client.change_product("P1", IfMatch::Revision(1), &change).await.unwrap_err();
    assert!(matches!(stale, ClientError::Problem { code, .. } if code == "precondition_failed"));
    client.delete_product("P2", IfMatch::Any).await.unwrap();
    let prices = from_json(serde_json::json!({"prices": [{"sku": "P3", "currency": "GBP", "amount": "1"}]}));
    client.change_listing("P3", "gb", IfMatch::Any, &prices).await.unwrap();
    let batch = client.products(&from_json(serde_json::json!({"ids": ["P1", "P2"]}))).await.unwrap();
    assert_eq!((batch.items[0].brand.as_deref(), batch.missing), (Some("Kontor"), vec!["P2".to_owned()]));

    let export = client.stream("/api/v1/export/products").await.unwrap().collect().await.unwrap().to_bytes();
    assert_eq!(export.iter().filter(|byte| **byte == b'\n').count(), 2_999);
    let mut left = u64::MAX;
    while left > 0 {
        left = client.undo_job(&job.id).await.unwrap().left;
    }
    let job = client.job(&job.id).await.unwrap();
    assert_eq!((job.undone + job.changed_since, job.changed_since), (3_000, 3), "{job:?}");
}

#[tokio::test]
async fn customers_are_kept_found_changed_and_forgotten() {
    with_server(|client| async move {
        let made = client
            .create_customer(&from_json(serde_json::json!({"email": "ada@example.org", "name": "Ada"})), Some("ada"))
            .await
            .unwrap();
        assert_eq!(client.customer(&made.id).await.unwrap(), made);
        assert_eq!(client.customer_with_email("Ada@example.org").await.unwrap(), Some(made.clone()));
        assert_eq!(client.customer_with_email("grace+1@example.org").await.unwrap(), None);
        let change = from_json(serde_json::json!({"name": "Ada King"}));
        let changed = client.change_customer(&made.id, IfMatch::Revision(made.revision), &change).await.unwrap();
        assert_eq!((changed.name.as_deref(), changed.revision), (Some("Ada King"), Some(2)));
        let erased = client.erase_customer(&made.id, &from_json(serde_json::json!({})), Some("erase")).await.unwrap();
        assert!(erased.erased);
        let read = client.customer(&made.id).await.unwrap();
        assert_eq!((read.erased, read.name, read.erased_at), (true, None, Some(erased.erased_at)));
    })
    .await;
}
