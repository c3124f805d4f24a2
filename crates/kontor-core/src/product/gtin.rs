//! The number that GS1 gives to a trade item: what stands under its bar code.

use serde::{Deserialize, Serialize};

/// A GTIN of 8, 12, 13 or 14 digits with the right check digit, shown as it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Gtin(Box<str>);

/// Why a number is no GTIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GtinError {
    /// Another number of digits, or something else between them.
    #[error("a GTIN has 8, 12, 13 or 14 digits")]
    Digits,
    /// A digit was misread or swapped.
    #[error("the check digit should be {0}")]
    Check(u8),
}

impl Gtin {
    /// Checks the digits (GS1 General Specifications, 7.9: from the right, digits count three times and
    /// once in turn, and all of them add up to a multiple of ten).
    pub fn parse(digits: impl Into<Box<str>>) -> Result<Self, GtinError> {
        let digits = digits.into();
        if !matches!(digits.len(), 8 | 12 | 13 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(GtinError::Digits);
        }
        let weighted = digits.bytes().rev().skip(1).zip([3, 1].into_iter().cycle());
        let sum: u32 = weighted.map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        let expected = u8::try_from((10 - sum % 10) % 10).unwrap_or_default();
        match digits.bytes().last() {
            Some(check) if check == b'0' + expected => Ok(Self(digits)),
            _ => Err(GtinError::Check(expected)),
        }
    }

    /// The digits as they were given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same number in 14 digits: a shorter GTIN is one with zeros before it.
    pub fn key(&self) -> [u8; 14] {
        let mut key = [b'0'; 14];
        key[14 - self.0.len()..].copy_from_slice(self.0.as_bytes());
        key
    }
}

impl TryFrom<Box<str>> for Gtin {
    type Error = GtinError;
    fn try_from(digits: Box<str>) -> Result<Self, GtinError> {
        Self::parse(digits)
    }
}

impl From<Gtin> for Box<str> {
    fn from(gtin: Gtin) -> Self {
        gtin.0
    }
}

impl std::fmt::Display for Gtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gtin_has_the_right_check_digit() {
        for good in ["4006381333931", "036000291452", "96385074", "10614141000415", "00000000"] {
            assert!(Gtin::parse(good).is_ok(), "{good}");
        }
        let table = [
            ("4006381333932", GtinError::Check(1)),
            ("4006381333913", GtinError::Check(7)),
            ("400638133393", GtinError::Check(0)),
            ("40063813339", GtinError::Digits),
            ("400638133393x", GtinError::Digits),
            ("", GtinError::Digits),
            ("４００６３８１３", GtinError::Digits),
        ];
        for (bad, why) in table {
            assert_eq!(Gtin::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_short_number_is_the_long_one_with_zeros() {
        let (short, long) = (Gtin::parse("96385074").unwrap(), Gtin::parse("0000096385074").unwrap());
        assert_eq!(short.key(), long.key());
        assert_ne!(short, long, "each is shown as it was given");
    }
}
