//! The sample data in `examples/` is sound: whoever starts with it meets no error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

#[test]
fn every_line_of_stock_names_a_known_sku_and_location() {
    let products = products();
    let locations = lines("locations.ndjson", &["id", "name"]);
    let stock = lines("stock.ndjson", &["location", "quantity", "reference", "sku"]);

    unique(&products, "id");
    unique(&stock, "reference");
    let skus = unique(&variants(&products), "sku");
    let places = unique(&locations, "id");
    let mut shelves = BTreeSet::new();
    for row in &stock {
        let (sku, place) = (text(row, "sku"), text(row, "location"));
        assert!(skus.contains(sku), "unknown sku: {row}");
        assert!(places.contains(place), "unknown location: {row}");
        assert!(row["quantity"].as_u64() > Some(0), "nothing received: {row}");
        assert!(shelves.insert((sku, place)), "received twice: {row}");
    }
}

#[test]
fn the_keys_that_the_documents_promise_are_there() {
    let ids = unique(&products(), "id");
    assert!(ids.contains("P1001") && ids.contains("1"));
    for number in 1..=100 {
        let id = format!("SKU-{number:03}");
        assert!(ids.contains(&id), "{id} is missing");
    }
    assert_eq!(lines("locations.ndjson", &["id", "name"]).len(), 3);
}

#[test]
fn one_sku_has_its_last_unit_in_one_place() {
    let mut units: BTreeMap<String, u64> = BTreeMap::new();
    for row in lines("stock.ndjson", &["location", "quantity", "reference", "sku"]) {
        *units.entry(text(&row, "sku").to_owned()).or_default() += row["quantity"].as_u64().expect("checked above");
    }
    assert_eq!(units.get("SKU-042"), Some(&1), "the tour sells SKU-042");
}

#[test]
fn every_product_has_what_a_page_shows() {
    let products = products();
    let variants = variants(&products);
    unique(&variants, "gtin");
    for product in &products {
        let categories = product["categories"].as_array().expect("categories");
        assert!(categories.len() >= 2 && !text(product, "description").ends_with(' '), "{product}");
        assert!(!text(product, "brand").is_empty() && product["attributes"].is_object(), "{product}");
    }
    for variant in &variants {
        let digits = text(variant, "gtin").bytes().rev().map(|digit| u32::from(digit - b'0'));
        let sum: u32 = digits.zip([1, 3].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
        assert!(sum.is_multiple_of(10), "the check digit is wrong: {variant}");
        let prices = variant["prices"].as_array().expect("prices");
        let currencies: Vec<&str> = prices.iter().map(|price| text(price, "currency")).collect();
        assert_eq!(currencies, ["GBP", "EUR"], "{variant}");
        for price in prices {
            let (_, decimals) = text(price, "amount").split_once('.').expect("an amount has decimals");
            assert_eq!(decimals.len(), 2, "{price}");
        }
    }
}

fn products() -> Vec<Value> {
    lines("products.ndjson", &["id", "title", "description", "brand", "status", "categories", "attributes", "variants"])
}

fn variants(products: &[Value]) -> Vec<Value> {
    products.iter().flat_map(|product| product["variants"].as_array().expect("variants").clone()).collect()
}

/// The lines of one file of `examples/`, each with exactly the given fields.
fn lines(file: &str, fields: &[&str]) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut rows = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        let row: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{file}:{at}: {e}: {line}"));
        let named = row.as_object().map(|row| row.keys().map(String::as_str).collect());
        let expected: BTreeSet<&str> = fields.iter().copied().collect();
        assert_eq!(named, Some(expected), "{file}:{at}: other fields: {line}");
        rows.push(row);
    }
    rows
}

fn text<'row>(row: &'row Value, field: &str) -> &'row str {
    let value = row[field].as_str().unwrap_or_default();
    assert!(!value.is_empty(), "no text in {field}: {row}");
    value
}

/// The values of one field, which must all differ.
fn unique(rows: &[Value], field: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for row in rows {
        assert!(seen.insert(text(row, field).to_owned()), "{field} occurs twice: {row}");
    }
    seen
}
