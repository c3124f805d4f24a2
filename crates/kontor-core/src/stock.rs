//! The shelf and its arithmetic.
//!
//! Per site, location and SKU there is one row, written by that site alone. The location's home
//! site books what physically happens there; each site books what it promises. What a site may
//! promise is its quota; quotas are handed from site to site by grants, so no site ever needs to
//! ask another before it sells, and no interleaving of what they do sells a unit twice.
//!
//! ```text
//! on_hand          = received − shipped − written_off                             home row
//! quota(home)      = received − written_off − Σ granted by it + Σ granted to it
//! quota(other s)   = Σ granted to s − Σ granted by s
//! sellable_here(s) = quota(s) − reserved − (sold − unsold)     home also − unavailable − safety_stock
//! open(a asks d)   = asked − granted − declined
//! committed        = Σ over sites (sold − unsold) − shipped
//! available        = on_hand − Σ reserved − committed − unavailable − safety_stock
//! ```
//!
//! Law: Σ quota + grants in flight = received − written_off. (O'Neil, *The Escrow Transactional
//! Method*, 1986; Balegas et al., *Bounded Counters*, 2015.)

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{LocationId, SiteId, Sku};
use crate::record::{Key, Primary, Table};
use crate::time::SiteTime;

/// One site's books of one SKU at one location. All counters but three and what is recent only grow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StockRow {
    /// Units that came in, returns and found ones included. Home row only.
    pub received: u64,
    /// Units handed out. Home row only.
    pub shipped: u64,
    /// Units that broke or were missing at a count. Home row only.
    pub written_off: u64,
    /// Units damaged or in inspection; moves both ways. Home row only.
    pub unavailable: u64,
    /// Units kept back from sale; moves both ways. Home row only.
    pub safety_stock: u64,
    /// Units in live holds of this site; moves both ways.
    pub reserved: u64,
    /// Units that this site has promised to orders or sold over the counter.
    pub sold: u64,
    /// Units whose promise this site has taken back before they were handed out.
    pub unsold: u64,
    /// Units of quota given to other sites, in total.
    pub granted: BTreeMap<SiteId, u64>,
    /// Units of quota that other sites asked for and were not given, in total.
    pub declined: BTreeMap<SiteId, u64>,
    /// What was asked of other sites.
    pub asked: BTreeMap<SiteId, Ask>,
    /// What was promised lately.
    pub recent: Recent,
    /// Changes of this row.
    pub version: u64,
}

/// What a site has asked of another. Units are counted from the beginning, so that an ask that is made
/// again is the same one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ask {
    /// Units asked for, in total.
    pub units: u64,
    /// Units of the newest ask that a buyer waits for; they are not given away again before `until`.
    pub wanted: u64,
    /// What the other had declined when it was asked last, as far as was read.
    pub declined: u64,
    /// Until when the site waits for an answer before it asks anybody else for the same units.
    pub until: SiteTime,
}

/// Units that a site promised on the last day on which it promised any, and on the day before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recent {
    /// Which day, since 1970-01-01.
    pub day: u64,
    /// Units on that day.
    pub today: u64,
    /// Units on the day before.
    pub before: u64,
}

impl Primary for StockRow {
    const TABLE: Table = Table::STOCK;
    type Key<'k> = (&'k Sku, &'k LocationId);
    fn key((sku, location): (&Sku, &LocationId)) -> Key {
        Key::new().text(sku.as_str()).text(location.as_str())
    }
}

/// What is at a location and what can be promised of it, as one site sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Level {
    /// Units physically there. Below zero only where nothing is refused.
    pub on_hand: i64,
    /// Units in live holds.
    pub reserved: i64,
    /// Units promised to orders and not handed out yet.
    pub committed: i64,
    /// Units damaged or in inspection.
    pub unavailable: i64,
    /// Units kept back.
    pub safety_stock: i64,
    /// What could be promised if all sites were one.
    pub available: i64,
    /// The share of this site, less what it has promised; what it decides by.
    pub sellable_here: i64,
    /// Units promised that are not there: what a count below the promises leaves open.
    pub shortage: i64,
    /// Changes of this site's row.
    pub version: u64,
}

impl Level {
    /// The level that the rows of one SKU at one location add up to, for `here`; `home` is the
    /// location's home site.
    pub fn of(rows: &[(SiteId, StockRow)], home: &SiteId, here: &SiteId) -> Self {
        let home_row = rows.iter().find(|(site, _)| site == home).map(|(_, row)| row);
        let own_row = rows.iter().find(|(site, _)| site == here).map(|(_, row)| row);
        let physical = |field: fn(&StockRow) -> u64| home_row.map_or(0, |row| signed(field(row)));
        let all = |field: fn(&StockRow) -> u64| rows.iter().map(|(_, row)| signed(field(row))).sum::<i64>();

        let on_hand = home_row.map_or(0, StockRow::on_hand);
        let reserved = all(|row| row.reserved);
        let committed = all(|row| row.sold) - all(|row| row.unsold) - physical(|row| row.shipped);
        let (unavailable, safety_stock) = (physical(|row| row.unavailable), physical(|row| row.safety_stock));
        Self {
            on_hand,
            reserved,
            committed,
            unavailable,
            safety_stock,
            available: on_hand - reserved - committed - unavailable - safety_stock,
            sellable_here: sellable(rows, home, here),
            shortage: (reserved + committed + unavailable - on_hand).max(0),
            version: own_row.map_or(0, |row| row.version),
        }
    }
}

/// The units of a location that `site` may promise in total, by these rows.
pub fn quota(rows: &[(SiteId, StockRow)], home: &SiteId, site: &SiteId) -> i64 {
    let own = rows.iter().find(|(of, _)| of == site).map(|(_, row)| row);
    let physical = own.filter(|_| site == home).map_or(0, |row| signed(row.received) - signed(row.written_off));
    let given: i64 = own.map_or(0, |row| row.granted.values().copied().map(signed).sum());
    let taken: i64 = rows.iter().filter_map(|(_, row)| row.granted.get(site)).copied().map(signed).sum();
    physical - given + taken
}

/// The units of a location that `site` may still promise, by these rows.
pub fn sellable(rows: &[(SiteId, StockRow)], home: &SiteId, site: &SiteId) -> i64 {
    let own = rows.iter().find(|(of, _)| of == site).map(|(_, row)| row);
    let kept_back = own.filter(|_| site == home).map_or(0, |row| signed(row.unavailable) + signed(row.safety_stock));
    quota(rows, home, site) - own.map_or(0, StockRow::promised) - kept_back
}

/// The units of a location that other sites than `here` may still promise, as far as these rows know.
pub fn elsewhere(rows: &[(SiteId, StockRow)], home: &SiteId, here: &SiteId) -> u64 {
    let others = parties(rows).into_iter().filter(|site| *site != here);
    others.map(|site| u64::try_from(sellable(rows, home, site)).unwrap_or(0)).sum()
}

/// The sites that have any part in a shelf: those that have a row, and those that were granted units of it.
pub fn parties(rows: &[(SiteId, StockRow)]) -> BTreeSet<&SiteId> {
    rows.iter().flat_map(|(site, row)| row.granted.keys().chain([site])).collect()
}

/// Units that `asker` has asked of `donor` and that were neither granted nor declined.
pub fn open(rows: &[(SiteId, StockRow)], asker: &SiteId, donor: &SiteId) -> u64 {
    let row = |of: &SiteId| rows.iter().find(|(site, _)| site == of).map(|(_, row)| row);
    let asked = row(asker).and_then(|row| row.asked.get(donor)).map_or(0, |ask| ask.units);
    asked.saturating_sub(row(donor).map_or(0, |row| row.answered(asker)))
}

impl StockRow {
    /// Units physically at the location, by its home row.
    pub fn on_hand(&self) -> i64 {
        signed(self.received) - signed(self.shipped) - signed(self.written_off)
    }

    /// Units that this site has held or sold, of its quota.
    pub fn promised(&self) -> i64 {
        signed(self.reserved) + signed(self.sold) - signed(self.unsold)
    }

    /// Units that another site asked for and that were granted or declined.
    pub fn answered(&self, asker: &SiteId) -> u64 {
        let units = |of: &BTreeMap<SiteId, u64>| of.get(asker).copied().unwrap_or(0);
        units(&self.granted).saturating_add(units(&self.declined))
    }
}

impl Recent {
    /// Counts units that are promised on a day.
    pub(crate) fn count(&mut self, day: u64, units: u64) {
        let before = match day {
            day if day <= self.day => {
                self.today = self.today.saturating_add(units);
                return;
            }
            day if day == self.day + 1 => self.today,
            _ => 0,
        };
        *self = Self { day, today: units, before };
    }

    /// Units promised on this day and, for a half, on the day before it. What is known of later days counts.
    pub fn units(self, day: u64) -> u64 {
        match day.saturating_sub(self.day) {
            0 => self.today.saturating_add(self.before / 2),
            1 => self.today / 2,
            _ => 0,
        }
    }
}

/// Counters stay below 2^53 (a million full movements), so the conversion is exact.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
