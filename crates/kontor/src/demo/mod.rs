//! An invented catalogue of any size, from a seed: the same number gives the same product on every
//! machine, however many are made. Nothing is kept between two products.

mod words;

use kontor_core::money::{Currency, Money};
use serde::Serialize;
use std::collections::BTreeMap;

use words::{BEGINNINGS, BRANDS, ENDINGS, FAMILIES, PRAISES};

/// A product as the API takes it.
#[derive(Serialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) brand: &'static str,
    pub(crate) status: &'static str,
    pub(crate) categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<&'static str>,
    pub(crate) attributes: Attributes,
    pub(crate) variants: Vec<Variant>,
}

#[derive(Serialize)]
pub(crate) struct Attributes {
    pub(crate) material: &'static str,
    pub(crate) weight_g: u32,
    pub(crate) handmade: bool,
}

#[derive(Serialize)]
pub(crate) struct Variant {
    pub(crate) sku: String,
    pub(crate) gtin: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<&'static str, &'static str>,
    pub(crate) prices: Vec<Price>,
}

#[derive(Serialize)]
pub(crate) struct Price {
    pub(crate) currency: &'static str,
    pub(crate) amount: String,
}

/// Product `number` of the catalogue of this seed, from 0.
pub(crate) fn product(seed: u64, number: u64) -> Product {
    // Neighbors share nothing: each product has a generator of its own.
    let mut chance = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number);
    let family = pick(&mut chance, FAMILIES);
    let material = *pick(&mut chance, family.stuff.materials);
    let collection = format!("{}{}", pick(&mut chance, BEGINNINGS), pick(&mut chance, ENDINGS));
    let measure = (!family.measures.is_empty()).then(|| *pick(&mut chance, family.measures));
    let is_handmade = chance.u8(..4) == 0;
    let thing = format!("{collection} {material} {}", family.noun);
    let title = measure.map_or_else(|| thing.clone(), |measure| format!("{thing}, {measure}"));
    let description = format!(
        "{}: the {collection} {} in {material}. {}",
        pick(&mut chance, PRAISES),
        family.noun,
        pick(&mut chance, family.stuff.cares)
    );
    let id = format!("{}-{:06}", family.code, number + 1);

    // Some things that could have variants have one only.
    let option = family.option.filter(|_| chance.u8(..3) > 0);
    let values: Vec<Option<&'static str>> = match option {
        None => vec![None],
        Some((_, all)) => {
            let first = chance.usize(..all.len());
            let count = chance.usize(2..=all.len().min(5));
            let mut places: Vec<usize> = (0..count).map(|at| (first + at) % all.len()).collect();
            places.sort_unstable();
            places.into_iter().map(|at| Some(all[at])).collect()
        }
    };
    let pence = charming(chance.u32(family.pence.0..=family.pence.1));
    let prices = || {
        // A little dearer across the sea, and rounded there, too.
        let cents = charming(pence + pence / 6);
        [("GBP", pence), ("EUR", cents)].map(|(currency, minor)| price(currency, minor)).into()
    };
    let variants = values.into_iter().enumerate().map(|(at, value)| Variant {
        sku: match value {
            Some(value) => format!("{id}-{}", value.to_uppercase()),
            None => id.clone(),
        },
        gtin: gtin(number * 10 + at as u64),
        options: option.zip(value).map(|((name, _), value)| (name, value)).into_iter().collect(),
        prices: prices(),
    });
    let attributes =
        Attributes { material, weight_g: chance.u32(family.grams.0..=family.grams.1) / 10 * 10, handmade: is_handmade };
    Product {
        title,
        description,
        brand: pick::<&str>(&mut chance, BRANDS),
        // One in fifty is still being written.
        status: if chance.u8(..50) == 0 { "draft" } else { "active" },
        categories: family.categories,
        options: option.map(|(name, _)| name).into_iter().collect(),
        attributes,
        variants: variants.collect(),
        id,
    }
}

fn pick<'w, T>(chance: &mut fastrand::Rng, from: &'w [T]) -> &'w T {
    &from[chance.usize(..from.len())]
}

/// The nearest amount that shops would write: 7.50, 12.95, 149.00.
fn charming(minor: u32) -> u32 {
    match minor {
        0..1_000 => minor / 50 * 50,
        1_000..10_000 => minor / 100 * 100 + 95,
        _ => minor / 500 * 500 + 400,
    }
}

fn price(currency: &'static str, minor: u32) -> Price {
    let parsed = Currency::parse(currency).and_then(|of| Money::new(minor.into(), of)).expect("a small amount");
    let shown = parsed.to_string();
    Price { currency, amount: shown.split(' ').next().unwrap_or_default().to_owned() }
}

/// A GTIN-13 from the numbers that GS1 keeps free for use inside of a company (prefix 2).
fn gtin(number: u64) -> String {
    let body = format!("2{:011}", number % 100_000_000_000);
    let weighted: u64 = (0..).zip(body.bytes()).map(|(at, digit)| u64::from(digit - b'0') * [1, 3][at % 2]).sum();
    format!("{body}{}", (10 - weighted % 10) % 10)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_number_is_the_same_product_in_a_catalogue_of_any_size() {
        let json = |seed, number| serde_json::to_string(&product(seed, number)).unwrap();
        assert_eq!(json(1, 41), json(1, 41));
        assert_ne!(json(1, 41), json(2, 41));
        // What other programs have measured with stays what it was.
        assert_eq!(json(1, 0), FIRST);
    }

    const FIRST: &str = r#"{"id":"CLK-000001","title":"Beckley cherry table clock","description":"Designed for small homes: the Beckley table clock in cherry. Oil it twice a year.","brand":"Nettle & Rye","status":"active","categories":["Living","Clocks"],"attributes":{"material":"cherry","weight_g":450,"handmade":true},"variants":[{"sku":"CLK-000001","gtin":"2000000000008","prices":[{"currency":"GBP","amount":"48.95"},{"currency":"EUR","amount":"57.95"}]}]}"#;

    #[test]
    fn a_catalogue_has_no_two_equal_keys_and_only_right_numbers() {
        let (mut skus, mut gtins, mut titles, mut variants) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), 0);
        for number in 0..20_000 {
            let product = product(7, number);
            assert!(product.title.len() <= 500 && product.title == product.title.trim(), "{}", product.title);
            titles.insert(product.title);
            variants += product.variants.len();
            for variant in product.variants {
                assert!(variant.sku.len() <= 64);
                assert_eq!(variant.options.len(), product.options.len());
                let digits = variant.gtin.bytes().rev().map(|b| u64::from(b - b'0'));
                let sum: u64 = digits.zip([1, 3].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
                assert!(variant.gtin.len() == 13 && sum.is_multiple_of(10), "{}", variant.gtin);
                assert!(skus.insert(variant.sku) && gtins.insert(variant.gtin));
            }
        }
        assert!((30_000..60_000).contains(&variants), "{variants} variants");
        assert!(titles.len() > 19_000, "{} titles", titles.len());
    }

    #[test]
    fn prices_look_like_prices() {
        for (minor, shown) in [(776, "7.50"), (1_234, "12.95"), (9_999, "99.95"), (14_949, "149.00")] {
            assert_eq!(price("GBP", charming(minor)).amount, shown);
        }
    }
}
