//! Cards, on their way to becoming a token. What is here cannot be shown, copied, logged or stored.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use zeroize::Zeroizing;

use crate::limits::{CARD_DIGITS_MAX, CARD_DIGITS_MIN};

/// A card as its holder has typed it. Its security code is not here: it belongs into the provider's own form.
pub struct Card {
    /// Its number.
    pub number: CardNumber,
    /// Until when it is good, if that is known. Most providers ask for it.
    pub expires: Option<Expiry>,
}

/// The number of a card. It has no `Debug`, `Display`, `Clone` or `Serialize`, so that no command, log or trace
/// can hold it, and it is wiped when it is dropped. What it was read from is the caller's to drop, and what the buffers
/// of a connection held on its way out is nobody's to wipe.
pub struct CardNumber {
    digits: Zeroizing<[u8; CARD_DIGITS_MAX]>,
    len: usize,
}

/// The last month in which a card is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    month: u8,
    year: u16,
}

/// What was given is not a card's. It does not say what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Not a number of a card.
    #[error("a card number has {CARD_DIGITS_MIN} to {CARD_DIGITS_MAX} digits")]
    Number,
    /// Not a month of a year.
    #[error("a card is good until a month from 1 to 12 of a year from 2000 to 2999")]
    Expiry,
}

impl CardNumber {
    /// Takes digits, and single spaces or dashes between them, as cards are embossed. Whether the check digit is
    /// right is not asked here ([`has_check_digit`](Self::has_check_digit)): the provider knows which cards there are.
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let mut number = Self { digits: Zeroizing::new([0; CARD_DIGITS_MAX]), len: 0 };
        let mut was_digit = false;
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' if number.len < CARD_DIGITS_MAX => {
                    number.digits[number.len] = byte;
                    number.len += 1;
                }
                b' ' | b'-' if was_digit => {}
                _ => return Err(CardError::Number),
            }
            was_digit = byte.is_ascii_digit();
        }
        if was_digit && number.len >= CARD_DIGITS_MIN { Ok(number) } else { Err(CardError::Number) }
    }

    /// Whether the last digit is the one that Luhn's sum asks for. One mistyped digit makes it wrong.
    pub fn has_check_digit(&self) -> bool {
        let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
        let digits = self.digits().bytes().rev().map(|byte| u32::from(byte - b'0'));
        let sum: u32 = digits.enumerate().map(|(at, digit)| if at % 2 == 1 { doubled(digit) } else { digit }).sum();
        sum.is_multiple_of(10)
    }

    pub(crate) fn digits(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.len]).expect("digits were taken, nothing else")
    }
}

impl Expiry {
    /// A month of a year.
    pub fn new(month: u8, year: u16) -> Result<Self, CardError> {
        let is_one = (1..=12).contains(&month) && (2000..3000).contains(&year);
        if is_one { Ok(Self { month, year }) } else { Err(CardError::Expiry) }
    }

    pub(crate) fn month(self) -> u8 {
        self.month
    }

    pub(crate) fn year(self) -> u16 {
        self.year
    }
}

/// From a string of digits, of a format that describes itself. What is wrong with another value is not said in its
/// words.
impl<'de> Deserialize<'de> for CardNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = CardNumber;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a string of {CARD_DIGITS_MIN} to {CARD_DIGITS_MAX} digits")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<CardNumber, E> {
                CardNumber::parse(text).map_err(E::custom)
            }
            fn visit_string<E: Error>(self, text: String) -> Result<CardNumber, E> {
                self.visit_str(&Zeroizing::new(text))
            }
            // A number would be repeated in serde's own message.
            fn visit_u64<E: Error>(self, _: u64) -> Result<CardNumber, E> {
                Err(E::custom(CardError::Number))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<CardNumber, E> {
                Err(E::custom(CardError::Number))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<CardNumber, E> {
                Err(E::custom(CardError::Number))
            }
        }
        // Asked for a string, a format would complain about another value itself, in that value's words.
        deserializer.deserialize_any(Digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile if the type has the trait: there would be two ways to choose from.
    macro_rules! lacks {
        ($type:ty, $($bound:path),+) => {
            $({
                trait Ambiguous<A> {
                    fn check() {}
                }
                impl<T: ?Sized> Ambiguous<()> for T {}
                struct Has;
                impl<T: ?Sized + $bound> Ambiguous<Has> for T {}
                <$type as Ambiguous<_>>::check();
            })+
        };
    }

    #[test]
    fn a_card_number_cannot_be_shown_copied_or_stored() {
        lacks!(CardNumber, fmt::Debug, fmt::Display, Clone, serde::Serialize, AsRef<str>, PartialEq);
        lacks!(Card, fmt::Debug, fmt::Display, Clone, serde::Serialize);
    }

    #[test]
    fn a_card_number_has_thirteen_to_nineteen_digits() {
        // text, whether it is taken, whether its check digit is right
        let rows = [
            ("4242424242424242", true, true),
            ("4242 4242 4242 4242", true, true),
            ("4242-4242-4242-4242", true, true),
            ("4242424242424241", true, false),
            ("4222222222222", true, true),
            ("6304000000000000000", true, true),
            ("378282246310005", true, true),
            ("", false, false),
            ("424242424242", false, false),
            ("42424242424242424242", false, false),
            ("4242  4242 4242 4242", false, false),
            (" 4242424242424242", false, false),
            ("4242424242424242-", false, false),
            ("４２４２４２４２４２４２４２", false, false),
            ("4242x42424242424", false, false),
        ];
        for (text, is_taken, is_right) in rows {
            let number = CardNumber::parse(text);
            assert_eq!(number.is_ok(), is_taken, "{text:?}");
            assert_eq!(number.is_ok_and(|number| number.has_check_digit()), is_right, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_number_is_said_without_it() {
        for json in [
            "4242424242424242",
            "-4242424242424242",
            "4242424242424242.5",
            "\"4242424242424242x\"",
            "[4242424242424242]",
        ] {
            let Err(error) = serde_json::from_str::<CardNumber>(json) else { panic!("{json}") };
            assert!(!error.to_string().contains("4242"), "{error}");
        }
        assert!(serde_json::from_str::<CardNumber>("\"4242424242424242\"").is_ok());
        // An escape makes the string an owned one.
        assert!(serde_json::from_str::<CardNumber>("\"\\u0034242424242424242\"").is_ok());
    }

    #[test]
    fn a_card_is_good_until_a_month() {
        for (month, year, is_one) in
            [(1, 2026, true), (12, 2999, true), (0, 2030, false), (13, 2030, false), (1, 30, false)]
        {
            assert_eq!(Expiry::new(month, year).is_ok(), is_one, "{month}/{year}");
        }
    }
}
