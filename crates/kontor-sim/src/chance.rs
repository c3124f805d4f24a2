//! Chance by seed: every actor draws from a generator of its own, so that one that draws more does
//! not change what the others meet.

use std::ops::Range;

/// A generator of one actor.
#[derive(Debug, Clone)]
pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    /// The generator of the actor `name` in the world of `seed`.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        let mut mixed = seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in name.bytes() {
            mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        Self(fastrand::Rng::with_seed(mixed))
    }

    /// True with this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// A number of a range.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { self.0.u64(range) }
    }

    /// A time around `mean_us`: mostly shorter, sometimes much longer.
    pub(crate) fn around(&mut self, mean_us: u64) -> u64 {
        match self.0.u8(0..10) {
            0 => mean_us.saturating_mul(self.within(1..8)),
            1..4 => self.within(0..mean_us / 8 + 1),
            _ => self.within(mean_us / 2..mean_us + mean_us / 2 + 1),
        }
    }

    /// One of a list, if it has any.
    pub(crate) fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        if list.is_empty() { None } else { list.get(self.0.usize(0..list.len())) }
    }

    /// Sixteen bytes.
    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        self.0.u128(..).to_be_bytes()
    }
}
