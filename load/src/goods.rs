//! The goods of a comparison: numbered products that differ in nothing but their number, so that
//! one body can be made from another by replacing seven digits.

/// Where all stock lies.
pub(crate) const LOCATION: &str = "main";

/// The SKU of the hot-item runs.
pub(crate) const HOT: u64 = 1;

/// Digits of a number in an id, and so the largest assortment.
pub(crate) const DIGITS: usize = 7;
pub(crate) const PRODUCTS_MAX: u64 = 9_999_999;

/// Units received of every SKU when seeding: more than any run takes from one of them, the hot one
/// aside, which is received again before each of its runs.
pub(crate) const RECEIVED_EACH: u64 = 1_000_000;

pub(crate) const PRODUCTS: &str = "/api/v1/products";
pub(crate) const LOCATIONS: &str = "/api/v1/locations";
pub(crate) const RECEIVE: &str = "/api/v1/stock/receive";
pub(crate) const ISSUE: &str = "/api/v1/stock/issue";

pub(crate) fn product(number: u64) -> String {
    format!("P{number:07}")
}

pub(crate) fn sku(number: u64) -> String {
    format!("SKU-{number:07}")
}

pub(crate) fn product_path(number: u64) -> String {
    format!("{PRODUCTS}/P{number:07}")
}

/// The number in a product's path, if it is one of ours.
pub(crate) fn number_in(path: &str) -> Option<u64> {
    let digits = path.strip_prefix(PRODUCTS)?.strip_prefix("/P")?;
    let numbered = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if numbered { digits.parse().ok() } else { None }
}

pub(crate) fn product_json(number: u64) -> String {
    format!(r#"{{"id":"P{number:07}","sku":"SKU-{number:07}","title":"Enamel mug number {number:07}"}}"#)
}

pub(crate) fn receive_json(number: u64, quantity: u64) -> String {
    format!(r#"{{"sku":"SKU-{number:07}","location":"{LOCATION}","quantity":{quantity}}}"#)
}

pub(crate) fn issue_json(number: u64, reference: &str) -> String {
    format!(
        r#"{{"reference":"{reference}","lines":[{{"sku":"SKU-{number:07}","location":"{LOCATION}","quantity":1}}]}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_number_that_made_it() {
        assert_eq!(number_in(&product_path(42)), Some(42));
        assert_eq!(number_in(&product_path(PRODUCTS_MAX)), Some(PRODUCTS_MAX));
        for other in ["/api/v1/products", "/api/v1/products/P42", "/api/v1/products/P00000+1"] {
            assert_eq!(number_in(other), None, "{other}");
        }
    }
}
