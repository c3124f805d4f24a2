//! What is true of a product besides its texts: its weight, its material, whether it floats.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::text::AttributeText;
use crate::limits::{ATTRIBUTE_LIST_MAX, COUNTER_MAX};

/// The value of an attribute, of one of five kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeValue {
    /// Words.
    Text(AttributeText),
    /// A whole number within ±2^53.
    Integer(i64),
    /// A number with a point.
    Decimal(Decimal),
    /// Yes or no.
    Flag(bool),
    /// Several words.
    List(Vec<AttributeText>),
}

/// An exact decimal number: `digits` with the last `scale` of them after the point. Zeros at the end
/// are not kept, so that 1.50 and 1.5 are one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Decimal {
    digits: i64,
    scale: u8,
}

/// Why a value was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// Not a number such as 12 or -0.5.
    #[error("a number is written as 12 or -0.5")]
    Number,
    /// Too large or too fine: JSON readers would lose digits.
    #[error("a number has at most 15 digits, and a whole one is within 2^53")]
    TooPrecise,
    /// A list that is too long.
    #[error("a list has at most {ATTRIBUTE_LIST_MAX} texts")]
    TooLong,
}

/// JSON readers keep 15 digits of any number.
const DIGITS_MAX: usize = 15;

impl AttributeValue {
    /// A number as it stands in JSON or in a file: whole ones and others are two kinds.
    pub fn number(text: &str) -> Result<Self, AttributeError> {
        if !text.contains('.') {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(AttributeError::Number);
            }
            return text.parse().map_err(|_| AttributeError::TooPrecise).and_then(Self::integer);
        }
        Decimal::parse(text).map(Self::Decimal)
    }

    /// A whole number that every reader keeps.
    pub fn integer(number: i64) -> Result<Self, AttributeError> {
        if number.unsigned_abs() <= COUNTER_MAX { Ok(Self::Integer(number)) } else { Err(AttributeError::TooPrecise) }
    }

    /// Several words.
    pub fn list(texts: Vec<AttributeText>) -> Result<Self, AttributeError> {
        if texts.len() <= ATTRIBUTE_LIST_MAX { Ok(Self::List(texts)) } else { Err(AttributeError::TooLong) }
    }

    /// The words by which it is found: one, or each of a list.
    pub fn words(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::Text(text) => vec![text.as_str().into()],
            Self::Integer(number) => vec![number.to_string().into()],
            Self::Decimal(number) => vec![number.to_string().into()],
            Self::Flag(flag) => vec![if *flag { "true" } else { "false" }.into()],
            Self::List(texts) => texts.iter().map(|text| text.as_str().into()).collect(),
        }
    }
}

impl Decimal {
    /// Reads `12.5` or `-0.125` exactly.
    pub fn parse(text: &str) -> Result<Self, AttributeError> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || digits.ends_with('.') {
            return Err(AttributeError::Number);
        }
        let fraction = fraction.trim_end_matches('0');
        let together = format!("{whole}{fraction}");
        if together.trim_start_matches('0').len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
            return Err(AttributeError::TooPrecise);
        }
        let number: i64 = together.parse().map_err(|_| AttributeError::TooPrecise)?;
        let scale = u8::try_from(fraction.len()).map_err(|_| AttributeError::TooPrecise)?;
        Ok(Self { digits: sign * number, scale })
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.digits < 0 { "-" } else { "" };
        let point = if scale > 0 { "." } else { "" };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_shown_exactly() {
        let table = [
            ("12", Some("12")),
            ("-7", Some("-7")),
            ("1.50", Some("1.5")),
            ("-0.125", Some("-0.125")),
            ("3.00", Some("3")),
            ("0.000000000000001", Some("0.000000000000001")),
            ("9007199254740992", Some("9007199254740992")),
            ("9007199254740993", None),
            ("1234567890.1234567", None),
            ("1.", None),
            (".5", None),
            ("1e3", None),
            ("+1", None),
            ("1,5", None),
            ("", None),
            ("-", None),
        ];
        for (given, shown) in table {
            let value = AttributeValue::number(given).ok().map(|value| value.words().concat());
            assert_eq!(value.as_deref(), shown, "{given}");
        }
    }
}
