//! The document is the one that is committed, and says all that there is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::Shop;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/openapi.json");

fn document() -> Value {
    serde_json::from_str(&kontor_server::openapi_json()).unwrap()
}

#[test]
#[ignore = "writes docs/api/openapi.json: cargo test -p kontor-server --test http -- --ignored write_the_openapi_document"]
fn write_the_openapi_document() {
    std::fs::create_dir_all(std::path::Path::new(COMMITTED).parent().unwrap()).unwrap();
    std::fs::write(COMMITTED, kontor_server::openapi_json()).unwrap();
}

#[test]
fn the_committed_openapi_document_is_the_newest() {
    let committed = std::fs::read_to_string(COMMITTED).expect("docs/api/openapi.json is committed");
    let committed: Value = serde_json::from_str(&committed).unwrap();
    assert!(committed == document(), "the API has changed; write its document anew with the test above");
}

#[test]
fn every_path_of_the_api_crate_is_documented_and_no_other() {
    use kontor_api::path::*;
    let known = [
        PRODUCTS,
        PRODUCT,
        VARIANTS,
        VARIANT,
        ARCHIVE,
        ACTIVATE,
        MARKETS,
        MARKET,
        REVISIONS,
        CONFLICTS,
        ALL_CONFLICTS,
        PRODUCTS_BATCH,
        PRODUCTS_BULK,
        JOBS,
        JOB,
        JOB_ROWS,
        JOB_FINISH,
        JOB_UNDO,
        EXPORT_PRODUCTS,
        EXPORT_STOCK,
        LOCATIONS,
        LOCATION,
        STOCK,
        STOCK_OF_SKU,
        EXPLAIN,
        RECEIVE,
        RETURN,
        ISSUE,
        SHIP,
        WRITE_OFF,
        COUNT,
        ADJUST,
        RESERVATIONS,
        RESERVATION,
        EXTEND,
        COMMIT,
        RELEASE,
        CUSTOMERS,
        CUSTOMER,
        ERASE_CUSTOMER,
        TRANSFERS,
        TRANSFER,
        WITHDRAW_TRANSFER,
        DISPATCH_TRANSFER,
        RECEIVE_TRANSFER,
        CARTS,
        CART,
        CART_LINES,
        CART_LINE,
        ACCEPT_PRICES,
        CART_MERGE,
        CHECKOUT,
        CARTS_OF_CUSTOMER,
        ORDERS,
        ORDER,
        TIMELINE,
        PAY_ORDER,
        CANCEL_ORDER,
        REFUND_ORDER,
        SHIP_ORDER,
        PAYMENTS,
        PAYMENT,
        CAPTURE_PAYMENT,
        RESUME_PAYMENT,
        PAYMENT_TOKENS,
        PAYMENT_CALLBACKS,
        MOVEMENTS,
        CHANGES,
        REFUSALS,
        SITES,
        SITE_LINKS,
        SITE_JOURNAL,
        SITE_JOURNAL_OF,
        LIVEZ,
        READYZ,
        HEALTH,
        METRICS,
    ];
    let document = document();
    let documented: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(documented, BTreeSet::from(known));
}

#[test]
fn every_code_is_documented_under_its_status() {
    let document = document();
    for code in kontor_api::Code::ALL {
        let response = &document["components"]["responses"][format!("Problem{}", code.status())];
        assert!(response["description"].as_str().unwrap().contains(&format!("`{}`", code.as_str())), "{code:?}");
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
                }
                fields.values().for_each(|field| walk(field, document));
            }
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[tokio::test]
async fn every_documented_operation_is_routed_and_the_document_is_served() {
    let shop = Shop::open().await;
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{id}", "x").replace("{sku}", "x").replace("{market}", "x");
            let seen = shop.ask(&format!("{} {path}", method.to_uppercase())).await;
            assert_ne!(seen.status, 405, "{method} {path}");
            assert!(seen.status != 404 || seen.code() != "not_found", "{method} {path}");
            let is_well = seen.status.as_u16() < 500 || seen.code() == "payment_unavailable";
            assert!(is_well, "{method} {path}: {}", seen.body);
        }
    }
    assert_eq!(shop.ask("GET /api/v1/openapi.json").await.json(), document);
}
