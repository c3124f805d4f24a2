//! Money: integer minor units and a currency, never a float.

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

/// An amount of one currency in its minor units (cents, pence; whole yen).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; negative for what is given back. Within ±2^53, so that JSON readers keep it exact.
    pub amount: i64,
    /// Of what.
    pub currency: Currency,
}

/// Why an amount was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three upper-case letters.
    #[error("a currency is three upper-case letters (ISO 4217)")]
    Currency,
    /// Not a decimal number such as `12.50`.
    #[error("an amount is a decimal number such as 12.50")]
    Number,
    /// More decimals than the currency has.
    #[error("{currency} has {allowed} decimals, {given} were given")]
    Decimals {
        /// The currency.
        currency: Currency,
        /// Decimals of it.
        allowed: usize,
        /// Decimals given.
        given: usize,
    },
    /// Beyond ±2^53 minor units.
    #[error("the amount is beyond 2^53 minor units")]
    TooLarge,
    /// Sums are made within one currency.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
}

const AMOUNT_MAX: i64 = 1 << 53;

/// Currencies whose minor unit is not a hundredth (ISO 4217, table A.1).
const EXPONENTS: &[(usize, &[&[u8; 3]])] = &[
    (
        0,
        &[
            b"BIF", b"CLP", b"DJF", b"GNF", b"ISK", b"JPY", b"KMF", b"KRW", b"PYG", b"RWF", b"UGX", b"UYI", b"VND",
            b"VUV", b"XAF", b"XOF", b"XPF",
        ],
    ),
    (3, &[b"BHD", b"IQD", b"JOD", b"KWD", b"LYD", b"OMR", b"TND"]),
    (4, &[b"CLF", b"UYW"]),
];

impl Currency {
    /// Reads three upper-case letters.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(MoneyError::Currency),
        }
    }

    /// The three letters.
    pub fn code(self) -> [u8; 3] {
        self.0
    }

    /// Decimals of one major unit: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn decimals(self) -> usize {
        let row = EXPONENTS.iter().find(|(_, codes)| codes.contains(&&self.0));
        row.map_or(2, |(decimals, _)| *decimals)
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{}", char::from(*b)))
    }
}

impl Money {
    /// Reads `12.5` or `-3` exactly; more decimals than the currency has are an error, not rounded.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || digits.ends_with('.') {
            return Err(MoneyError::Number);
        }
        let allowed = currency.decimals();
        if fraction.len() > allowed {
            return Err(MoneyError::Decimals { currency, allowed, given: fraction.len() });
        }
        let padded = format!("{whole}{fraction:0<allowed$}");
        let amount: i64 = padded.parse().map_err(|_| MoneyError::TooLarge)?;
        Self::new(if negative { -amount } else { amount }, currency)
    }

    /// Minor units within ±2^53.
    pub fn new(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        if (-AMOUNT_MAX..=AMOUNT_MAX).contains(&amount) {
            Ok(Self { amount, currency })
        } else {
            Err(MoneyError::TooLarge)
        }
    }

    /// The exact sum of two amounts of one currency.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        Self::new(self.amount + other.amount, self.currency)
    }
}

impl Money {
    /// The amount alone, in major units: `12.50`.
    pub fn decimal(self) -> String {
        let decimals = self.currency.decimals();
        let digits = format!("{:0>width$}", self.amount.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let sign = if self.amount < 0 { "-" } else { "" };
        let point = if decimals > 0 { "." } else { "" };
        format!("{sign}{whole}{point}{fraction}")
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_shown_exactly() {
        let table = [
            ("12.5", "EUR", Some("12.50 EUR")),
            ("-0.01", "EUR", Some("-0.01 EUR")),
            ("700", "JPY", Some("700 JPY")),
            ("1.234", "KWD", Some("1.234 KWD")),
            ("0.005", "EUR", None),
            ("7.5", "JPY", None),
            ("1,50", "EUR", None),
            ("1.", "EUR", None),
            (".5", "EUR", None),
            ("", "EUR", None),
            ("1e3", "EUR", None),
            ("9007199254740993", "JPY", None),
            ("99999999999999999999", "EUR", None),
        ];
        for (text, code, shown) in table {
            let currency = Currency::parse(code).expect("a code");
            let money = Money::parse(text, currency).ok().map(|m| m.to_string());
            assert_eq!(money.as_deref(), shown, "{text} {code}");
        }
    }

    #[test]
    fn amounts_of_two_currencies_are_never_added() {
        let eur = Money::parse("1", Currency::parse("EUR").expect("a code")).expect("an amount");
        let gbp = Money::parse("1", Currency::parse("GBP").expect("a code")).expect("an amount");
        assert!(matches!(eur.plus(gbp), Err(MoneyError::Mixed(..))));
        assert_eq!(eur.plus(eur).expect("a sum").to_string(), "2.00 EUR");
        assert_eq!(Currency::parse("eur"), Err(MoneyError::Currency));
    }
}
