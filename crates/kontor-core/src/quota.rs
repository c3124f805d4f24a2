//! Who asks whom for how many units of a shelf, and who gives how many: the policy of quota.
//!
//! A pure function of the rows of one shelf, a site's own and those of others as they were read, and of the
//! time. It moves shares about and cannot oversell, whatever it says: what a site may promise follows from
//! the rows alone (see [`crate::stock`]), and a site gives no more than it may promise itself.
//!
//! - **Answers.** What was asked is given as far as there is enough, and the rest is declined at once. What
//!   a site has borrowed for a buyer it keeps until its ask has run out, so that two sites with one unit
//!   between them do not hand it to and fro; so long it gives nothing at all to who only wants its share,
//!   since the buyer may need what was there before as well.
//! - **Shares.** Every region holds a share of a region's shelf, by what it has promised lately and even at
//!   first. It asks when it has less than half of its share, for all that is missing: in batches. Whom it
//!   asks has more than a share of its own.
//! - **Near zero** shares would be of a unit or none, and the rest gathers at one site: the home of the
//!   shelf, unless another one sells twice as much of it.
//! - **Borrowing.** A site that meets a buyer and has too little asks for what is missing, and for its
//!   share with it. The shelf of a store stays with the store until somebody borrows.
//! - **Debts.** A site that has promised more than its share, after a count or a backorder, asks for what
//!   is missing too.
//!
//! Nothing is asked twice of one site while it is open, but by a buyer after the first ask has run out.
//! Who was declined, and who wants its share, asks the same site again when the last ask has run out.

use std::cmp::Reverse;

use crate::id::SiteId;
use crate::limits::{QUOTA_ANSWERS_PER_ITEM, QUOTA_ASK_MS, QUOTA_ASKS_PER_ITEM, QUOTA_SHARE_UNITS_MIN, QUOTA_STALE_MS};
use crate::stock::{Ask, StockRow, open, sellable};
use crate::time::SiteTime;

/// One shelf, as one site sees it.
#[derive(Debug, Clone, Copy)]
pub struct Shelf<'s> {
    /// The rows of all sites that have one, in the order of the sites.
    pub rows: &'s [(SiteId, StockRow)],
    /// The home of the location.
    pub home: &'s SiteId,
    /// The site that looks.
    pub here: &'s SiteId,
    /// Sites that hold a share without a buyer: all regions, where the home is one.
    pub holders: &'s [SiteId],
    /// Site time.
    pub now: SiteTime,
    /// Site time of the last group that was read of each other site.
    pub heard: &'s [(SiteId, SiteTime)],
}

/// Something to do about a shelf. Units are those that come on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Ask another site.
    Ask {
        /// Whom.
        of: SiteId,
        /// For how many.
        units: u64,
        /// For how many of them a buyer waits.
        wanted: u64,
    },
    /// Give to another site.
    Grant {
        /// To whom.
        to: SiteId,
        /// How many.
        units: u64,
    },
    /// Tell another site that it does not get them.
    Decline {
        /// Whom.
        to: SiteId,
        /// How many.
        units: u64,
    },
}

/// A site that could give, and the most that it is asked for.
struct Donor<'s> {
    site: &'s SiteId,
    most: i64,
}

impl Shelf<'_> {
    /// What the site does when nobody waits: answers what it was asked, then asks for what it lacks.
    pub fn tend(&self) -> Vec<Act> {
        let mut acts = self.answers();
        let given = acts.iter().map(|act| if let Act::Grant { units, .. } = act { signed(*units) } else { 0 });
        let free = self.free(self.here) - given.sum::<i64>();
        let (need, donors) = self.lack(free);
        self.ask(need, 0, &donors, &mut acts);
        acts
    }

    /// What the site asks when buyers want `missing` units more than it may promise.
    pub fn borrow(&self, missing: u64) -> Vec<Act> {
        let asks = self.own().into_iter().flat_map(|row| &row.asked);
        let waited_for = asks.filter(|(_, ask)| ask.until > self.now);
        let coming: i64 = waited_for.map(|(donor, _)| signed(open(self.rows, self.here, donor))).sum();
        let wanted = signed(missing) - coming;
        let mut acts = Vec::new();
        if wanted > 0 {
            let share = self.share(self.free(self.here) + coming).unwrap_or(0);
            let donors = self.others(|site| self.free(site) - self.kept(site));
            self.ask(share.max(wanted), wanted, &donors, &mut acts);
        }
        acts
    }

    fn answers(&self) -> Vec<Act> {
        let asks = self.rows.iter().filter(|(site, _)| site != self.here);
        let asks = asks.filter_map(|(site, row)| {
            Some((site, row.asked.get(self.here)?, open(self.rows, site, self.here))).filter(|(.., open)| *open > 0)
        });
        let mut asks: Vec<(&SiteId, &Ask, u64)> = asks.collect();
        asks.sort_by_key(|(site, ask, _)| (ask.wanted == 0, *site));
        let mut left = self.free(self.here) - self.kept(self.here);
        let mut acts = Vec::new();
        for (to, ask, open) in asks.into_iter().take(QUOTA_ANSWERS_PER_ITEM) {
            // A buyer here may need what the site had, and what it has borrowed on top.
            let is_kept = ask.wanted == 0 && self.waits_for_a_buyer();
            let units = if is_kept || self.is_stale(to, ask) { 0 } else { open.min(unsigned(left)) };
            left -= signed(units);
            if units > 0 {
                acts.push(Act::Grant { to: to.clone(), units });
            }
            if units < open {
                acts.push(Act::Decline { to: to.clone(), units: open - units });
            }
        }
        acts
    }

    /// How much the site should ask for although nobody waits, and whom.
    fn lack(&self, free: i64) -> (i64, Vec<Donor<'_>>) {
        let asks = self.own().into_iter().flat_map(|row| row.asked.keys());
        let have = free + asks.map(|donor| signed(open(self.rows, self.here, donor))).sum::<i64>();
        if have < 0 {
            return (-have, self.others(|site| self.free(site) - self.kept(site)));
        }
        if !self.holders.contains(self.here) || self.holders.len() < 2 {
            return (0, Vec::new());
        }
        let is_holder = |site: &SiteId| self.holders.contains(site);
        if let Some(share) = self.share(have) {
            // The share is what it has and what it lacks of it.
            let is_short = 2 * have < have + share;
            let beyond = |site: &SiteId| self.free(site) - self.kept(site).max(self.target(site));
            let donors = self.others(|site| if is_holder(site) { beyond(site) } else { 0 });
            return (if is_short { share } else { 0 }, donors);
        }
        if self.gatherer() != Some(self.here) {
            return (0, Vec::new());
        }
        let donors = self.others(|site| if is_holder(site) { self.free(site) - self.kept(site) } else { 0 });
        (donors.iter().map(|donor| donor.most).sum(), donors)
    }

    /// What a site that has so many units lacks of its share; nothing, where there are too few to share.
    fn share(&self, have: i64) -> Option<i64> {
        let is_holder = self.holders.contains(self.here) && self.holders.len() > 1;
        let enough = self.pool() >= signed(QUOTA_SHARE_UNITS_MIN) * i64::try_from(self.holders.len()).unwrap_or(1);
        (is_holder && enough).then(|| (self.target(self.here) - have).max(0))
    }

    /// What all holders together may still promise.
    fn pool(&self) -> i64 {
        self.holders.iter().map(|site| self.free(site).max(0)).sum()
    }

    /// The share of a holder.
    fn target(&self, site: &SiteId) -> i64 {
        let all: u128 = self.holders.iter().map(|site| self.weight(site)).sum();
        let share = u128::from(unsigned(self.pool())) * self.weight(site) / all.max(1);
        i64::try_from(share).unwrap_or(i64::MAX)
    }

    /// By demand; who has sold nothing lately keeps about a tenth of an even share. Lately is the last day on
    /// which anybody has sold of the shelf: by the rows alone, and not by the clock of whoever looks. Sites
    /// whose clocks differ would want the same units, and hand them to and fro.
    fn weight(&self, site: &SiteId) -> u128 {
        let day = self.rows.iter().map(|(_, row)| row.recent.day).max().unwrap_or(0);
        let demand = |site: &SiteId| u128::from(self.row(site).map_or(0, |row| row.recent.units(day)));
        10 * demand(site) + self.holders.iter().map(demand).sum::<u128>() + 10
    }

    /// Where the rest gathers.
    fn gatherer(&self) -> Option<&SiteId> {
        let most = self.holders.iter().max_by_key(|site| (self.weight(site), Reverse(*site)))?;
        let home_leads = self.holders.contains(self.home) && 2 * self.weight(self.home) >= self.weight(most);
        Some(if home_leads { self.home } else { most })
    }

    /// Asks the donors, in order, until `need` is covered.
    fn ask(&self, need: i64, wanted: i64, donors: &[Donor<'_>], acts: &mut Vec<Act>) {
        let (mut need, mut wanted, mut asks) = (need, wanted, 0);
        for Donor { site, most } in donors {
            if need <= 0 || asks == QUOTA_ASKS_PER_ITEM {
                break;
            }
            if !self.may_ask(site, wanted > 0) {
                continue;
            }
            let units = need.min(*most);
            let waited_for = wanted.clamp(0, units);
            (need, wanted, asks) = (need - units, wanted - waited_for, asks + 1);
            acts.push(Act::Ask { of: (*site).clone(), units: unsigned(units), wanted: unsigned(waited_for) });
        }
    }

    fn may_ask(&self, donor: &SiteId, for_a_buyer: bool) -> bool {
        let Some(ask) = self.own().and_then(|row| row.asked.get(donor)) else { return true };
        let has_run_out = ask.until <= self.now;
        if open(self.rows, self.here, donor) > 0 {
            return for_a_buyer && has_run_out;
        }
        // For its share a site asks one donor seldom. Two sites that see different rows, because a link
        // between others is cut, may both want the same units; they hand them to and fro slowly.
        if !for_a_buyer {
            return has_run_out;
        }
        let declined = self.row(donor).and_then(|row| row.declined.get(self.here)).copied().unwrap_or(0);
        has_run_out || declined == ask.declined
    }

    /// Other sites that have something to give, whoever has most first; last those that were asked and have
    /// not answered.
    fn others(&self, most: impl Fn(&SiteId) -> i64) -> Vec<Donor<'_>> {
        let parties = crate::stock::parties(self.rows).into_iter().filter(|site| *site != self.here);
        let mut donors: Vec<Donor<'_>> =
            parties.map(|site| Donor { site, most: most(site) }).filter(|donor| donor.most > 0).collect();
        donors.sort_by_key(|donor| (open(self.rows, self.here, donor.site) > 0, Reverse(donor.most), donor.site));
        donors
    }

    /// What a site may still promise.
    fn free(&self, site: &SiteId) -> i64 {
        sellable(self.rows, self.home, site)
    }

    /// What a site has borrowed for buyers and keeps for them a while.
    fn kept(&self, site: &SiteId) -> i64 {
        let asks = self.row(site).into_iter().flat_map(|row| row.asked.values());
        asks.filter(|ask| ask.until > self.now).map(|ask| signed(ask.wanted)).sum()
    }

    /// Whether this site has borrowed for a buyer who is about to ask again.
    fn waits_for_a_buyer(&self) -> bool {
        self.own().is_some_and(|row| row.asked.values().any(|ask| ask.until > self.now && ask.wanted > 0))
    }

    /// Whether the asker has gone on so long since that it waits no more, by its own clock.
    fn is_stale(&self, asker: &SiteId, ask: &Ask) -> bool {
        let heard = self.heard.iter().find(|(site, _)| site == asker).map(|(_, at)| *at);
        heard.is_some_and(|at| at > ask.until.plus(QUOTA_STALE_MS))
    }

    fn own(&self) -> Option<&StockRow> {
        self.row(self.here)
    }

    fn row(&self, of: &SiteId) -> Option<&StockRow> {
        self.rows.iter().find(|(site, _)| site == of).map(|(_, row)| row)
    }
}

/// When the site looks at an ask of its own again.
pub fn ask_until(now: SiteTime) -> SiteTime {
    now.plus(QUOTA_ASK_MS)
}

/// Counters stay below 2^53, so the conversion is exact.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// Less than nothing counts as nothing.
fn unsigned(units: i64) -> u64 {
    u64::try_from(units).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::Recent;

    #[test]
    fn sites_on_either_side_of_midnight_agree_where_the_rest_gathers() {
        let [main, west] = ["main", "west"].map(|name| SiteId::parse(name).unwrap());
        let holders = [main.clone(), west.clone()];
        let row = |today, before| StockRow { recent: Recent { day: 9, today, before }, ..StockRow::default() };
        // Of the two days main has sold more; of what is left of them after midnight, by its clock, west.
        let mut rows = [(main.clone(), row(1, 20)), (west.clone(), row(2, 1))];
        rows[1].1.received = 5;
        let tend = |rows: &[(SiteId, StockRow)], here: &SiteId, day: u64| {
            let now = SiteTime(day * 24 * 3_600_000 + 1);
            Shelf { rows, home: &west, here, holders: &holders, now, heard: &[] }.tend()
        };
        let asks_for_all = [Act::Ask { of: west.clone(), units: 5, wanted: 0 }];
        assert_eq!((tend(&rows, &main, 9), tend(&rows, &west, 10)), (asks_for_all.to_vec(), Vec::new()));
        let ask = Ask { units: 5, wanted: 0, declined: 0, until: SiteTime(0) };
        rows[0].1.asked.insert(west.clone(), ask);
        rows[1].1.granted.insert(main.clone(), 5);
        assert_eq!((tend(&rows, &main, 9), tend(&rows, &west, 10)), (Vec::new(), Vec::new()));
    }
}
