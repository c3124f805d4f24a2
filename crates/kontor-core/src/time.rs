//! Time as the site gives it, and the stamps by which edits of many sites are ordered.

use serde::{Deserialize, Serialize};

use crate::id::SiteId;

/// Milliseconds since 1970-01-01 UTC by the site's own, monotone, journaled time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct SiteTime(pub u64);

impl SiteTime {
    /// The last moment there is: the due time of what never falls due.
    pub const NEVER: Self = Self(u64::MAX);

    /// This moment and `ms` milliseconds.
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Whole days since 1970-01-01; what the idempotency tables are named by.
    pub fn day(self) -> u64 {
        self.0 / 86_400_000
    }
}

/// When an edit was made, by a hybrid logical clock: an edit made with knowledge of another always
/// has the greater stamp. The upper 48 bits are milliseconds, the lower 16 count within one.
///
/// Source: Kulkarni et al., *Logical Physical Clocks* (2014), with both parts in one integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The stamp of an edit made at `now` by a site that has folded stamps up to `folded`.
    pub fn next(now: SiteTime, folded: Stamp) -> Self {
        Self((now.0.min(u64::MAX >> 16) << 16).max(folded.0).saturating_add(1))
    }
}

/// For other sites, the greatest stamp of theirs that somebody had folded, of one thing. Empty where
/// there is one site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenStamps(Vec<(SiteId, Stamp)>);

impl SeenStamps {
    /// What was seen of each of these sites.
    pub fn new(seen: impl IntoIterator<Item = (SiteId, Stamp)>) -> Self {
        Self(seen.into_iter().collect())
    }

    /// What was seen of a site; [`Stamp`] 0 is before every edit.
    pub fn of(&self, site: &SiteId) -> Stamp {
        self.0.iter().find(|(of, _)| of == site).map_or(Stamp::default(), |(_, stamp)| *stamp)
    }
}

/// A value, the stamp of the edit that set it, and what its writer had seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// What was set.
    pub value: T,
    /// When.
    pub stamp: Stamp,
    /// What the writer knew of other sites' edits of the same thing.
    pub seen: SeenStamps,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_informed_edit_has_the_greater_stamp_even_on_a_slow_clock() {
        let seen = Stamp::next(SiteTime(5_000), Stamp::default());
        assert!(Stamp::next(SiteTime(1), seen) > seen);
        assert!(Stamp::next(SiteTime(6_000), seen) > seen);
    }
}
