//! Site time: monotone, and close to the wall clock. The one file of the workspace that reads clocks.
//!
//! Site time advances with the monotonic clock and is drawn towards the wall clock by at most a
//! tenth of what has passed. A wall clock that steps by more than two seconds is not followed: an
//! alarm is raised, and no hold ends early or late because of it.

#![expect(clippy::disallowed_methods, reason = "this file is where clocks are read")]

use std::sync::{Mutex, MutexGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kontor_core::time::SiteTime;

use crate::limits::CLOCK_STEP_MS_MAX;

/// Site time from readings of two clocks. Pure.
#[derive(Debug, Clone)]
pub struct Timekeeper {
    /// Site time in microseconds, so that small corrections are not lost.
    site_us: u64,
    monotonic_us: u64,
    stepped_ms: i64,
}

impl Timekeeper {
    /// Starts at the wall clock, but never before `last`, the newest time in the journal.
    pub fn start(last: SiteTime, monotonic_us: u64, wall_ms: u64) -> Self {
        let site_us = wall_ms.max(last.0) * 1_000;
        let mut keeper = Self { site_us, monotonic_us, stepped_ms: 0 };
        keeper.advance(monotonic_us, wall_ms);
        keeper
    }

    /// Site time at these readings.
    pub fn advance(&mut self, monotonic_us: u64, wall_ms: u64) -> SiteTime {
        let passed = monotonic_us.saturating_sub(self.monotonic_us);
        self.monotonic_us = self.monotonic_us.max(monotonic_us);
        let expected = self.site_us + passed;
        let ahead_us = i128::from(wall_ms) * 1_000 - i128::from(expected);
        let most = i128::from(passed / 10);
        let correction = if ahead_us.unsigned_abs() > u128::from(CLOCK_STEP_MS_MAX) * 1_000 {
            self.stepped_ms = i64::try_from(ahead_us / 1_000).unwrap_or(i64::MAX);
            0
        } else {
            self.stepped_ms = 0;
            ahead_us.clamp(-most, most)
        };
        let moved = i128::from(expected) + correction;
        self.site_us = self.site_us.max(u64::try_from(moved).unwrap_or(self.site_us));
        SiteTime(self.site_us / 1_000)
    }

    /// By how much the wall clock is away from site time, if it is too much to be followed.
    pub fn stepped_ms(&self) -> i64 {
        self.stepped_ms
    }
}

/// The machine's clocks, and the one site time of all who ask.
#[derive(Debug)]
pub struct Clock {
    keeper: Mutex<Timekeeper>,
    started: Instant,
}

impl Clock {
    /// Reads the clocks for the first time.
    pub fn start(last: SiteTime) -> Self {
        Self { keeper: Mutex::new(Timekeeper::start(last, 0, wall_ms())), started: Instant::now() }
    }

    /// Site time now.
    pub fn now(&self) -> SiteTime {
        self.advance(&mut self.keeper())
    }

    /// See [`Timekeeper::stepped_ms`].
    pub fn stepped_ms(&self) -> i64 {
        let mut keeper = self.keeper();
        self.advance(&mut keeper);
        keeper.stepped_ms()
    }

    fn advance(&self, keeper: &mut Timekeeper) -> SiteTime {
        let passed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        keeper.advance(passed, wall_ms())
    }

    fn keeper(&self) -> MutexGuard<'_, Timekeeper> {
        self.keeper.lock().expect("no code panics while it reads clocks")
    }
}

/// Wall clock, for what is not decided by it: ids, logs, times that are shown.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Measures how long something took, for metrics and progress.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since then.
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_differences_are_slewed_and_steps_are_not_followed() {
        let mut keeper = Timekeeper::start(SiteTime(0), 0, 1_000_000);
        // The wall clock gains 100 ms in a second: followed at a tenth of what passes.
        assert_eq!(keeper.advance(1_000_000, 1_001_100), SiteTime(1_001_100));
        assert_eq!(keeper.advance(1_100_000, 1_001_400), SiteTime(1_001_210));
        // It jumps an hour ahead and back again: site time goes on as if nothing had happened.
        assert_eq!(keeper.advance(1_200_000, 4_601_300), SiteTime(1_001_310));
        assert!(keeper.stepped_ms() > 3_500_000);
        assert_eq!(keeper.advance(1_300_000, 1_001_410), SiteTime(1_001_410));
        assert_eq!(keeper.stepped_ms(), 0);
    }

    #[test]
    fn time_never_goes_back_not_even_over_a_restart() {
        let mut keeper = Timekeeper::start(SiteTime(50_000), 0, 10_000);
        assert_eq!(keeper.advance(1_000_000, 11_000), SiteTime(51_000));
        assert!(keeper.stepped_ms() < 0);
        assert_eq!(keeper.advance(900_000, 11_000), SiteTime(51_000));
    }
}
