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
//! committed        = Σ over sites (sold − unsold) − shipped
//! available        = on_hand − Σ reserved − committed − unavailable − safety_stock
//! ```
//!
//! Law: Σ quota + grants in flight = received − written_off. (O'Neil, *The Escrow Transactional
//! Method*, 1986; Balegas et al., *Bounded Counters*, 2015.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{LocationId, SiteId, Sku};
use crate::record::{Key, Primary, Table};

/// One site's books of one SKU at one location. All counters but three only grow.
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
    /// Units of quota asked of other sites, in total.
    pub asked: BTreeMap<SiteId, u64>,
    /// Changes of this row.
    pub version: u64,
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
        let kept_back = if home == here { unavailable + safety_stock } else { 0 };
        let promised = own_row.map_or(0, StockRow::promised);
        Self {
            on_hand,
            reserved,
            committed,
            unavailable,
            safety_stock,
            available: on_hand - reserved - committed - unavailable - safety_stock,
            sellable_here: quota(rows, home, here) - promised - kept_back,
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

impl StockRow {
    /// Units physically at the location, by its home row.
    pub fn on_hand(&self) -> i64 {
        signed(self.received) - signed(self.shipped) - signed(self.written_off)
    }

    /// Units that this site has held or sold, of its quota.
    pub fn promised(&self) -> i64 {
        signed(self.reserved) + signed(self.sold) - signed(self.unsold)
    }
}

/// Counters stay below 2^53 (a million full movements), so the conversion is exact.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
