//! Two sites that sell one shelf, over HTTP.

use kontor_server::Limits;
use kontor_site::Site;

use crate::check::Shop;

/// One site reads all that another has written.
pub(crate) async fn reads(reader: &Site, of: &Site) {
    let (reader, of) = (reader.clone(), of.clone());
    let reading = tokio::task::spawn_blocking(move || {
        reader.enroll(of.id()).unwrap();
        let at = reader.status().journals.get(of.id()).map(|journal| journal.folded.clone()).unwrap();
        let groups = of.feed().groups(at.term, at.seq).unwrap();
        reader.read_in(of.id(), &groups).unwrap();
    });
    reading.await.unwrap();
}

#[tokio::test]
async fn a_buyer_is_told_what_others_hold_and_gets_it_in_a_moment() {
    let main = Shop::stocked().await;
    let west = Shop::of_site("west", Limits::default(), |access| access).await;
    reads(&west.site, &main.site).await;

    let line = "{\"sku\": \"DESK\", \"location\": \"berlin\", \"quantity\": 8}";
    let reserve = format!("POST /api/v1/reservations\nIdempotency-Key: 1\n\n{{\"lines\": [{line}]}}");
    let refused = west.ask(&reserve).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "quota_exhausted_here"));
    let problem = refused.json();
    assert_eq!(problem["retryable"], true);
    assert_eq!((&problem["wanted"], &problem["available"], &problem["elsewhere"]), (&8.into(), &0.into(), &10.into()));
    let as_of = problem["as_of"].as_str().unwrap();
    assert!(as_of.ends_with('Z') && as_of.len() == 24, "{as_of} is a time");
    let explained = west.ask("GET /api/v1/stock/DESK/explain?quantity=8&location=berlin").await.json();
    assert_eq!(explained["code"], "quota_exhausted_here");

    // The same request, under the same key, until what was asked for has come.
    let mut tries = 0;
    let held = loop {
        reads(&main.site, &west.site).await;
        reads(&west.site, &main.site).await;
        let seen = west.ask(&reserve).await;
        if seen.status.is_success() {
            break seen;
        }
        assert_eq!(seen.code(), "quota_exhausted_here");
        tries += 1;
        assert!(tries < 10_000, "what was asked for never comes");
    };
    assert_eq!(held.status.as_u16(), 201);

    let explained = west.ask("GET /api/v1/stock/DESK/explain?location=berlin").await.json();
    let sites = explained["locations"][0]["sites"].as_array().unwrap();
    let (home, here) = (&sites[0], &sites[1]);
    assert_eq!((&home["site"], &here["site"]), (&"main".into(), &"west".into()));
    let given = home["grants"][0]["units"].as_i64().unwrap();
    assert!(given >= 8 && home["grants"][0]["to"] == "west", "{home}");
    assert_eq!((&here["quota"], &here["reserved"]), (&given.into(), &8.into()));
    assert_eq!((&here["asks"][0]["of"], &here["asks"][0]["granted"]), (&"main".into(), &given.into()));
    assert_eq!(home["quota"].as_i64().unwrap() + given, 10, "every unit is somebody's");
}
