//! What can go wrong between a shop and its bank, by script and by chance.

use std::collections::VecDeque;

use fastrand::Rng;

/// One thing that goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The payer's bank says no.
    Decline,
    /// No answer comes, and nothing was done.
    TimeoutBefore,
    /// No answer comes, and it was done.
    TimeoutAfter,
    /// The answer takes its time.
    Slow {
        /// How long.
        ms: u64,
    },
    /// The provider fails, and nothing was done.
    ErrorBefore,
    /// The provider fails, and it was done.
    ErrorAfter,
    /// The connection breaks in the middle of the answer. It was done.
    Reset,
    /// The provider wants to be left alone. Nothing was done.
    Busy {
        /// How long.
        after_ms: u64,
    },
}

/// How often what goes wrong, of a thousand requests or callbacks.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Faults of requests. Their sum is at most 1,000.
    pub faults: Vec<(Fault, u16)>,
    /// By how much every answer is late.
    pub latency_ms: u64,
    /// Callbacks that are told several times.
    pub again: u16,
    /// How often, then.
    pub times: u16,
    /// Callbacks that come late, and so after others that were told after them.
    pub late: u16,
    /// By how much, at most.
    pub late_ms: u64,
    /// Callbacks that are never told.
    pub lost: u16,
}

/// Faults to come: first those of a script, then by chance.
#[derive(Debug)]
pub(crate) struct Faults {
    script: VecDeque<Option<Fault>>,
    pub(crate) rates: Rates,
    rng: Rng,
}

impl Fault {
    /// Whether what was asked for is done all the same.
    pub fn has_effect(self) -> bool {
        match self {
            Self::TimeoutBefore | Self::ErrorBefore | Self::Busy { .. } => false,
            Self::Decline | Self::TimeoutAfter | Self::Slow { .. } | Self::ErrorAfter | Self::Reset => true,
        }
    }
}

impl Rates {
    /// All kinds of faults, each as often as the others; a tenth of all callbacks is told twice, and a tenth late.
    pub fn of_all(per_mille: u16) -> Self {
        let kinds = [
            Fault::Decline,
            Fault::TimeoutBefore,
            Fault::TimeoutAfter,
            Fault::Slow { ms: 50 },
            Fault::ErrorBefore,
            Fault::ErrorAfter,
            Fault::Reset,
            Fault::Busy { after_ms: 100 },
        ];
        let each = per_mille / 8;
        let faults = kinds.into_iter().map(|fault| (fault, each)).collect();
        Self { faults, again: 100, late: 100, late_ms: 10_000, ..Self::default() }
    }
}

/// Nothing goes wrong.
impl Default for Rates {
    fn default() -> Self {
        Self { faults: Vec::new(), latency_ms: 0, again: 0, times: 2, late: 0, late_ms: 0, lost: 0 }
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { script: VecDeque::new(), rates: Rates::default(), rng: Rng::with_seed(seed) }
    }

    pub(crate) fn script(&mut self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.script.extend(faults);
    }

    pub(crate) fn is_scripted(&self) -> bool {
        !self.script.is_empty()
    }

    /// What goes wrong with the next request.
    pub(crate) fn next(&mut self) -> Option<Fault> {
        if let Some(scripted) = self.script.pop_front() {
            return scripted;
        }
        let mut drawn = self.rng.u16(..1_000);
        for (fault, per_mille) in &self.rates.faults {
            match drawn.checked_sub(*per_mille) {
                Some(rest) => drawn = rest,
                None => return Some(*fault),
            }
        }
        None
    }

    /// When the next callback is told, by how long after it could be: not at all, once, or several times.
    pub(crate) fn delays_ms(&mut self) -> Vec<u64> {
        if self.rng.u16(..1_000) < self.rates.lost {
            return Vec::new();
        }
        let times = if self.rng.u16(..1_000) < self.rates.again { self.rates.times } else { 1 };
        let mut delay_ms = || {
            let is_late = self.rng.u16(..1_000) < self.rates.late;
            if is_late { self.rng.u64(..=self.rates.late_ms) } else { 0 }
        };
        (0..times).map(|_| delay_ms()).collect()
    }
}
