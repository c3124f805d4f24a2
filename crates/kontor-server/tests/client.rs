//! The client and the server speak of the same things: a whole hold, over a real connection.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use kontor_api::location::OpenLocation;
use kontor_client::{Client, ClientError};
use kontor_server::{Access, Limits, Options, serve};
use kontor_site::Site;

const KEY: &str = "kon_a_key_that_is_long_enough";

fn from_json<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn a_hold_is_made_refused_committed_and_shipped() {
    let site = Site::in_memory(kontor_core::id::SiteId::parse("main").unwrap()).unwrap();
    let access = Access::new(&site, Some(KEY.into())).unwrap();
    let options = Options { access, limits: Limits::default(), metrics: None, version: "test" };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, site.clone(), options, async { drop(stopped.await) }));

    let client = Client::new(&url, Some(KEY)).unwrap();
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

    drop(stop);
    server.await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || site.close()).await.unwrap().unwrap();
}
