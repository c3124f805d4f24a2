use crate::check::Shop;

#[tokio::test]
async fn a_market_says_something_of_its_own_and_the_product_says_the_rest() {
    let shop = Shop::open().await;
    insta::assert_json_snapshot!(
        shop.story(&[
            "POST /api/v1/products\n\n{\"title\": \"Desk\", \"attributes\": {\"plug\": \"F\", \"seats\": 1}, \"variants\": [{\"sku\": \"OAK\", \"prices\": [{\"currency\": \"EUR\", \"amount\": \"400\"}, {\"currency\": \"GBP\", \"amount\": \"350.5\"}]}, {\"sku\": \"ASH\", \"prices\": [{\"currency\": \"GBP\", \"amount\": \"300\"}]}]}",
            "GET /api/v1/products/OAK/markets",
            "GET /api/v1/products/OAK/markets/gb",
            "PATCH /api/v1/products/OAK/markets/gb\n\n{\"title\": \"Writing desk\"}",
            "PATCH /api/v1/products/OAK/markets/gb\nIf-Match: *\n\n{\"title\": \"Writing desk\", \"attributes\": {\"plug\": \"G\"}, \"prices\": [{\"sku\": \"OAK\", \"currency\": \"GBP\", \"amount\": \"349.00\", \"valid_from\": \"2026-11-27T00:00:00Z\", \"valid_until\": \"2026-11-30T00:00:00Z\"}, {\"sku\": \"OAK\", \"currency\": \"GBP\", \"amount\": \"399\"}]}",
            "GET /api/v1/products/OAK/markets/gb",
            "GET /api/v1/products/OAK?market=gb",
            "GET /api/v1/products/OAK?market=fr",
            "PATCH /api/v1/products/OAK/markets/gb\nIf-Match: \"7\"\n\n{\"title\": null}",
            "PATCH /api/v1/products/OAK/markets/gb\nIf-Match: W/\"1\"\n\n{\"title\": null}",
            "PATCH /api/v1/products/OAK/markets/gb\nIf-Match: \"1\"\n\n{\"title\": null, \"prices\": [{\"sku\": \"OAK\", \"currency\": \"GBP\", \"amount\": null}]}",
            "PATCH /api/v1/products/OAK/markets/gb\nIf-Match: \"2\"\n\n{\"prices\": [{\"sku\": \"ELM\", \"currency\": \"GBP\", \"amount\": \"1\"}]}",
            "PATCH /api/v1/products/OAK/markets/gb\nIf-Match: \"2\"\n\n{\"prices\": [{\"sku\": \"OAK\", \"currency\": \"GBP\", \"amount\": \"1.005\"}]}",
            "GET /api/v1/products/OAK/markets",
            "POST /api/v1/products/batch-get\n\n{\"skus\": [\"ASH\", \"OAK\", \"ELM\"], \"market\": \"gb\"}",
        ])
        .await
    );
}

#[tokio::test]
async fn markets_are_listed_page_by_page() {
    let shop = Shop::stocked().await;
    for market in ["fr", "at", "de"] {
        let request =
            format!("PATCH /api/v1/products/DESK/markets/{market}\nIf-Match: *\n\n{{\"title\": \"In {market}\"}}");
        assert_eq!(shop.ask(&request).await.status, 200);
    }
    let first = shop.ask_as_anybody("GET /api/v1/products/DESK/markets?page_size=2").await;
    let link = first.headers["link"].to_str().unwrap();
    let next = link.strip_prefix('<').and_then(|link| link.split_once('>')).unwrap().0.to_owned();
    let second = shop.ask_as_anybody(&format!("GET {next}")).await.json();
    let markets = |page: &serde_json::Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["market"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(markets(&first.json()), ["\"at\"", "\"de\""]);
    assert_eq!((markets(&second), second["next_page_token"].as_str()), (vec!["\"fr\"".to_owned()], None));
}
