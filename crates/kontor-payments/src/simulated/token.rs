//! Cards and tokens that behave as they are told to.

use kontor_core::payment::call::MethodToken;

use crate::card::CardNumber;

/// How a card behaves when it is charged. A token says so itself, so the bank need not remember it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    Pays,
    Declines,
    InsufficientFunds,
    /// At the first try of each call; the next one is answered.
    TimeoutBefore,
    TimeoutAfter,
    Error,
    Slow,
}
use Behavior::{Declines, Error, InsufficientFunds, Pays, Slow, TimeoutAfter, TimeoutBefore};

/// Numbers that do not pay at once, and what they stand for. The first three are Stripe's own for tests. All have
/// the right check digit, and belong to nobody.
const CARDS: &[(&str, Behavior, &str)] = &[
    ("4000000000000002", Declines, "pm_card_visa_chargeDeclined"),
    ("4000000000009995", InsufficientFunds, "pm_card_visa_chargeDeclinedInsufficientFunds"),
    ("4000000000000119", Error, "pm_card_error"),
    ("4000000000006017", TimeoutBefore, "pm_card_timeout_before"),
    ("4000000000006025", TimeoutAfter, "pm_card_timeout_after"),
    ("4000000000006033", Slow, "pm_card_slow"),
];

const PAYING: &str = "pm_card_visa";

/// One of all the others, which pay.
const PAYING_NUMBER: &str = "4242424242424242";

/// Numbers of cards to try things out with, and what becomes of each. They belong to nobody.
pub fn test_cards() -> impl Iterator<Item = (&'static str, &'static str)> {
    let words = |behavior| match behavior {
        Pays => "pays",
        Declines => "is declined",
        InsufficientFunds => "is declined: not enough money",
        TimeoutBefore => "is not answered at first, and was not charged",
        TimeoutAfter => "is not answered at first, and was charged",
        Error => "is answered by an error at first",
        Slow => "is answered slowly",
    };
    let paying = (PAYING_NUMBER, Pays, PAYING);
    std::iter::once(paying).chain(CARDS.iter().copied()).map(move |(number, behavior, _)| (number, words(behavior)))
}

/// What stands for a card.
pub(crate) fn token(number: &CardNumber) -> MethodToken {
    let card = CARDS.iter().find(|(digits, ..)| *digits == number.digits());
    MethodToken::parse(card.map_or(PAYING, |(.., token)| token)).expect("tokens of the table are short")
}

/// How what stands for a card behaves; `None` if it is no token of this bank.
pub(crate) fn behavior(token: &MethodToken) -> Option<Behavior> {
    let known = CARDS.iter().find(|(.., known)| *known == token.as_str());
    known.map(|(_, behavior, _)| *behavior).or((token.as_str() == PAYING).then_some(Pays))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_behaves_as_its_card() {
        for (digits, expected, text) in CARDS.iter().chain(&[(PAYING_NUMBER, Pays, PAYING)]) {
            let number = CardNumber::parse(digits).expect("a number");
            assert!(number.has_check_digit(), "{digits}");
            assert_eq!(token(&number).as_str(), *text);
            assert_eq!(behavior(&token(&number)), Some(*expected));
        }
        assert_eq!(behavior(&MethodToken::parse("pm_123").expect("a token")), None);
    }
}
