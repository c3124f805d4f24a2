//! Prices: amounts that hold from a moment to a moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, MoneyError};
use crate::time::SiteTime;

/// The prices of a variant: one per currency and beginning.
pub type Prices = BTreeMap<PriceKey, PriceTerms>;

/// What tells one price of a variant from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PriceKey {
    /// In which currency.
    pub currency: Currency,
    /// The first moment at which it holds; it always has, if there is none.
    pub valid_from: Option<SiteTime>,
}

/// How much, and until when. One field with its currency: an amount has no meaning without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PriceTerms {
    /// Minor units, from 0: what is free has a price too.
    pub amount: i64,
    /// The first moment at which it holds no more, if it ends.
    pub valid_until: Option<SiteTime>,
}

/// Why a price was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The amount is not one.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Nobody is paid for taking things.
    #[error("a price is not below zero")]
    Negative,
    /// It ends before it begins.
    #[error("valid_until must be later than valid_from")]
    Backwards,
}

/// Checks a price.
pub fn price(
    money: Money,
    valid_from: Option<SiteTime>,
    valid_until: Option<SiteTime>,
) -> Result<(PriceKey, PriceTerms), PriceError> {
    if money.amount < 0 {
        return Err(PriceError::Negative);
    }
    if valid_until.is_some_and(|until| until <= valid_from.unwrap_or_default()) {
        return Err(PriceError::Backwards);
    }
    let key = PriceKey { currency: money.currency, valid_from };
    Ok((key, PriceTerms { amount: money.amount, valid_until }))
}

/// The price in force: of those that hold now, the one that began last.
pub fn in_force(prices: &Prices, currency: Currency, now: SiteTime) -> Option<(PriceKey, PriceTerms)> {
    let last = PriceKey { currency, valid_from: Some(now) };
    let first = PriceKey { currency, valid_from: None };
    let begun = prices.range(first..=last).rev();
    let mut holding = begun.filter(|(_, terms)| terms.valid_until.is_none_or(|until| now < until));
    holding.next().map(|(key, terms)| (*key, *terms))
}

/// The price at which a variant is sold in a market: the market's own if one is in force, else the
/// variant's.
pub fn offered(
    base: &Prices,
    own: Option<&Prices>,
    currency: Currency,
    now: SiteTime,
) -> Option<(PriceKey, PriceTerms)> {
    own.and_then(|own| in_force(own, currency, now)).or_else(|| in_force(base, currency, now))
}

impl PriceTerms {
    /// The amount in words: `12.50 EUR`.
    pub fn money(self, currency: Currency) -> Money {
        Money { amount: self.amount, currency }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_that_began_last_is_in_force() {
        let eur = Currency::parse("EUR").unwrap();
        let chf = Currency::parse("CHF").unwrap();
        let mut prices = Prices::new();
        let mut set = |currency, amount, from: Option<u64>, until: Option<u64>| {
            let money = Money::new(amount, currency).unwrap();
            let (key, terms) = price(money, from.map(SiteTime), until.map(SiteTime)).unwrap();
            prices.insert(key, terms);
        };
        set(eur, 1000, None, None);
        set(eur, 800, Some(100), Some(200));
        set(eur, 900, Some(150), None);
        set(eur, 700, Some(300), Some(400));
        set(chf, 1, Some(120), None);
        let table = [(0, 1000), (99, 1000), (100, 800), (149, 800), (150, 900), (200, 900), (300, 700), (400, 900)];
        for (now, amount) in table {
            assert_eq!(in_force(&prices, eur, SiteTime(now)).map(|(_, terms)| terms.amount), Some(amount), "at {now}");
        }
        assert_eq!(in_force(&prices, chf, SiteTime(119)), None);
    }

    #[test]
    fn a_market_has_its_own_price_while_one_is_in_force() {
        let eur = Currency::parse("EUR").unwrap();
        let prices = |amount, from: Option<u64>, until: Option<u64>| {
            let money = Money::new(amount, eur).unwrap();
            Prices::from([price(money, from.map(SiteTime), until.map(SiteTime)).unwrap()])
        };
        let (base, own) = (prices(1000, None, None), prices(900, Some(10), Some(20)));
        for (now, own, amount) in
            [(9, Some(&own), 1000), (10, Some(&own), 900), (20, Some(&own), 1000), (15, None, 1000)]
        {
            let found = offered(&base, own, eur, SiteTime(now)).map(|(_, terms)| terms.amount);
            assert_eq!(found, Some(amount), "at {now}");
        }
    }

    #[test]
    fn a_price_is_free_at_least_and_ends_after_it_begins() {
        let eur = Currency::parse("EUR").unwrap();
        let at = |ms| Some(SiteTime(ms));
        let try_price = |amount, from, until| price(Money { amount, currency: eur }, from, until);
        assert!(try_price(0, None, None).is_ok());
        assert_eq!(try_price(-1, None, None), Err(PriceError::Negative));
        assert_eq!(try_price(1, at(5), at(5)), Err(PriceError::Backwards));
        assert_eq!(try_price(1, None, at(0)), Err(PriceError::Backwards));
    }
}
