//! When a call that has not ended is tried again, and how.
//!
//! Everything that has not ended may end later, so everything is tried again: under the same key, which makes a
//! second try safe as long as the provider remembers it.

use super::call::Trouble;
use crate::back_off::BackOff;
use crate::limits::{PAYMENT_AFTER_MS_MAX, PAYMENT_RETRIES, PAYMENT_RETRY_MS_MAX};

/// How a call is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// Sent again with the same values, under the same key.
    Send,
    /// Only looked up: the provider may have forgotten the key by the time it reads it.
    LookUp,
}

impl Try {
    /// How a call is tried at this time that was first sent at that one. A provider's clock is not ours and
    /// requests linger on the way, so no key is sent in the second half of its lifetime.
    pub fn at(now_ms: u64, first_sent_ms: u64, key_lifetime_ms: u64) -> Self {
        if now_ms.saturating_sub(first_sent_ms) < key_lifetime_ms / 2 { Self::Send } else { Self::LookUp }
    }
}

/// How long to rest before the next try of a call for which somebody waits, after `failures` of it; `None` if it
/// is left to the background, because it was tried often enough, or the provider wants to be left alone longer.
pub fn rest_of_waiting_ms(failures: u32, trouble: &Trouble, chance: u64) -> Option<u64> {
    let back_off = BackOff { most_ms: PAYMENT_RETRY_MS_MAX, ..BackOff::PAYMENT };
    let wanted_ms = trouble.after_ms().unwrap_or(0);
    let rest_ms = back_off.rest_ms(failures, chance).max(wanted_ms);
    (failures <= PAYMENT_RETRIES && wanted_ms <= PAYMENT_RETRY_MS_MAX).then_some(rest_ms)
}

/// How long to rest before the next try of a call for which nobody waits. It is tried until it has ended.
pub fn rest_in_background_ms(failures: u32, trouble: &Trouble, chance: u64) -> u64 {
    let wanted_ms = trouble.after_ms().unwrap_or(0).min(PAYMENT_AFTER_MS_MAX);
    BackOff::PAYMENT.rest_ms(failures, chance).max(wanted_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_caller_is_given_three_more_tries() {
        // failures, what the provider wants, the rest at least and at most
        let rows = [
            (1, None, Some((150, 250))),
            (2, None, Some((300, 500))),
            (3, None, Some((600, 1_000))),
            (4, None, None),
            (1, Some(100), Some((150, 250))),
            (1, Some(2_000), Some((2_000, 2_000))),
            (1, Some(2_001), None),
        ];
        for (failures, after_ms, rest) in rows {
            let trouble = Trouble::NotDone { why: String::new(), after_ms };
            let range = rest_of_waiting_ms(failures, &trouble, 0).zip(rest_of_waiting_ms(failures, &trouble, 40_100));
            if let (Some((least, most)), Some((first, second))) = (rest, range) {
                assert!((least..=most).contains(&first) && (least..=most).contains(&second), "{failures} {after_ms:?}");
            }
            assert_eq!(range.is_some(), rest.is_some(), "{failures} {after_ms:?}");
        }
    }

    #[test]
    fn the_background_never_gives_up_and_is_never_put_off_for_long() {
        // failures, what the provider wants, the rest
        let unknown = Trouble::Unknown { why: String::new() };
        for (failures, rest) in [(1, 150), (2, 300), (8, 19_200), (9, 38_400), (10, 45_000), (u32::MAX, 45_000)] {
            assert_eq!(rest_in_background_ms(failures, &unknown, 0), rest);
        }
        for (wanted, rest) in [(0, 150), (90_000, 90_000), (u64::MAX, PAYMENT_AFTER_MS_MAX)] {
            let trouble = Trouble::NotDone { why: String::new(), after_ms: Some(wanted) };
            assert_eq!(rest_in_background_ms(1, &trouble, 0), rest);
        }
    }

    #[test]
    fn a_key_is_not_sent_in_the_second_half_of_its_lifetime() {
        for (now_ms, how) in [(1_000, Try::Send), (1_499, Try::Send), (1_500, Try::LookUp), (9_000, Try::LookUp)] {
            assert_eq!(Try::at(now_ms, 1_000, 1_000), how, "{now_ms}");
        }
        assert_eq!(Try::at(0, 1_000, 1_000), Try::Send, "a clock that is behind");
    }
}
