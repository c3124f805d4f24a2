//! How long to rest after something has failed: longer each time, and not as long as others who failed
//! together with it.

use crate::limits::{
    BACK_OFF_MS, BACK_OFF_MS_MAX, PAYMENT_BACK_OFF_MS, PAYMENT_REST_MS_MAX, SHOWN_BACK_OFF_MS, SHOWN_REST_MS_MAX,
};

/// How rests grow with failures in a row, and how much of them is drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// After the first failure; twice as much after each further one.
    pub first_ms: u64,
    /// Rests grow no further. What is drawn comes on top, so that those who rest longest do not come back together.
    pub most_ms: u64,
    /// The least and the most that is rested, in percent.
    pub drawn: (u64, u64),
}

impl BackOff {
    /// Between questions to a peer.
    pub const LINK: Self = Self { first_ms: 2 * BACK_OFF_MS, most_ms: BACK_OFF_MS_MAX, drawn: (50, 100) };

    /// Between tries of a call to a payment provider.
    pub const PAYMENT: Self = Self { first_ms: PAYMENT_BACK_OFF_MS, most_ms: PAYMENT_REST_MS_MAX, drawn: (75, 125) };

    /// Between the tries of something that is made up to show how they go.
    pub const SHOWN: Self = Self { first_ms: SHOWN_BACK_OFF_MS, most_ms: SHOWN_REST_MS_MAX, drawn: (75, 125) };

    /// The rest after this many failures in a row. `chance` is drawn at random.
    pub fn rest_ms(&self, failures: u32, chance: u64) -> u64 {
        let doublings = failures.saturating_sub(1).min(63);
        let whole = self.first_ms.saturating_mul(1 << doublings).min(self.most_ms);
        let part = |percent: u64| whole.saturating_mul(percent) / 100;
        let (least, most) = (part(self.drawn.0), part(self.drawn.1));
        least + chance % (most.saturating_sub(least) + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rests_grow_twofold_up_to_their_limit() {
        // failures, links: least and most, payments: least and most
        let rows = [
            (0, (100, 200), (150, 250)),
            (1, (100, 200), (150, 250)),
            (2, (200, 400), (300, 500)),
            (3, (400, 800), (600, 1_000)),
            (5, (1_600, 3_200), (2_400, 4_000)),
            (9, (5_000, 10_000), (38_400, 64_000)),
            (90, (5_000, 10_000), (45_000, 75_000)),
            (u32::MAX, (5_000, 10_000), (45_000, 75_000)),
        ];
        for (failures, link, payment) in rows {
            for (back_off, (least, most)) in [(BackOff::LINK, link), (BackOff::PAYMENT, payment)] {
                assert_eq!(back_off.rest_ms(failures, 0), least, "{failures}");
                assert_eq!(back_off.rest_ms(failures, most - least), most, "{failures}");
                assert_eq!(back_off.rest_ms(failures, most - least + 1), least, "{failures}");
            }
        }
    }

    proptest! {
        #[test]
        fn nobody_rests_less_than_is_asked_or_for_ever(failures: u32, chance: u64) {
            for back_off in [BackOff::LINK, BackOff::PAYMENT] {
                let rest_ms = back_off.rest_ms(failures, chance);
                prop_assert!(rest_ms * 100 >= back_off.first_ms * back_off.drawn.0);
                prop_assert!(rest_ms * 100 <= back_off.most_ms * back_off.drawn.1);
                prop_assert!(back_off.rest_ms(failures, 0) <= back_off.rest_ms(failures.saturating_add(1), 0));
            }
        }
    }
}
