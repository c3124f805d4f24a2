//! What an entry of another site *means*, judged when it arrives: that it books at its own locations alone,
//! and gives away no more than it may promise.
//!
//! It is judged by the rows of all sites as they are here, which is fair once everything has been read that
//! the entry's writer had seen: a site may promise more, never less, by grants that came later.

use std::fmt;

use crate::event::{Entry, Event};
use crate::id::{LocationId, OfferId, SiteId, Sku};
use crate::location::Location;
use crate::offer::{Answer, OfferKey, OfferRow, Said};
use crate::stock::{StockRow, sellable};
use crate::view::{View, ViewError, row, rows_of_sites};

/// What a site does that no site may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach(String);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Judges an entry that has just been folded.
pub fn breach(rows: &dyn View, site: &SiteId, entry: &Entry) -> Result<Option<Breach>, ViewError> {
    for event in &entry.events {
        let found = match event {
            Event::StockMoved { lines, .. } => {
                let mut found = None;
                for moved in lines {
                    found = found.or(not_at_home(rows, site, &moved.sku, &moved.location)?);
                }
                found
            }
            Event::StockAdjusted { sku, location, .. } => not_at_home(rows, site, sku, location)?,
            Event::TransferAnswered { id, asker, answer: Answer::Done } => before_confirm(rows, site, *id, asker)?,
            Event::QuotaGranted { sku, location, to, .. } => beyond_quota(rows, site, (sku, location), to)?,
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn not_at_home(rows: &dyn View, site: &SiteId, sku: &Sku, location: &LocationId) -> Result<Option<Breach>, ViewError> {
    if row::<Location>(rows, site, location)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Breach(format!("{site} books {sku} at {location}, which is not a location of its own"))))
}

/// Whoever acts has read the confirm, and whoever reads that has read what the writer had.
fn before_confirm(rows: &dyn View, site: &SiteId, id: OfferId, asker: &SiteId) -> Result<Option<Breach>, ViewError> {
    let asked = row::<OfferRow>(rows, asker, OfferKey { id, asker })?.and_then(|row| row.asked);
    let is_confirmed = asked.is_some_and(|asked| matches!(asked.said, Said::Confirmed | Said::Received(_)));
    Ok((!is_confirmed).then(|| Breach(format!("{site} acts on {id} before {asker} has confirmed it"))))
}

fn beyond_quota(
    rows: &dyn View,
    site: &SiteId,
    (sku, location): (&Sku, &LocationId),
    to: &SiteId,
) -> Result<Option<Breach>, ViewError> {
    let homes = rows_of_sites::<Location>(rows, location)?;
    // A site that opened the location keeps books of its own for it, whoever else did.
    let own = homes.iter().find(|(home, _)| home == site).or(homes.first());
    let Some((home, _)) = own else {
        return Ok(Some(Breach(format!("{site} gives {sku} at {location} to {to}, and there is no such location"))));
    };
    let stock = rows_of_sites::<StockRow>(rows, (sku, location))?;
    let left = sellable(&stock, home, site);
    let what = || format!("{site} gives {sku} at {location} to {to}: {} more than it may promise", -left);
    Ok((left < 0).then(|| Breach(what())))
}
