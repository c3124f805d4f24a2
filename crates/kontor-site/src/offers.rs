//! Which offers the site sees to next: those of which another site has said something new, those for which it
//! borrows, when one of their shelves has changed or an ask has run out, and after a start one after the other
//! all that there are. In memory alone.
//!
//! What is done about an offer, [`kontor_core::offer`] says. Here is only when.

use std::collections::{BTreeMap, BTreeSet};

use kontor_core::id::{OfferId, SiteId};
use kontor_core::limits::{OFFERS_PER_TICK, QUOTA_ASK_MS};
use kontor_core::offer::OfferRow;
use kontor_core::overlay::Changes;
use kontor_core::record::{Key, Table};
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError};

use crate::limits::{OFFERS_PER_LOOK, TIMER_REST_MS};
use crate::shares::{self, Item};

pub(crate) type Offer = (OfferId, SiteId);

/// What waits to be seen to.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    changed: BTreeSet<Offer>,
    /// For which units are borrowed: when to look again at the latest, and whose units.
    borrowing: BTreeMap<Offer, (SiteTime, Vec<Item>)>,
    /// Where looking at all offers goes on; nothing when it has come to the end.
    all_from: Option<Key>,
}

impl Offers {
    /// Looks at every offer, from the first: after a start, and when a site is new.
    pub(crate) fn look_at_all(&mut self) {
        self.all_from = Some(Key::new());
    }

    /// Rows of another site have changed.
    pub(crate) fn changed(&mut self, changes: &Changes) {
        self.changed.extend(changes.of(Table::OFFERS).filter_map(|(key, _)| offer(key)));
    }

    /// Rows of shelves have changed, here or elsewhere.
    pub(crate) fn shelves_changed(&mut self, changes: &Changes) {
        if self.borrowing.is_empty() {
            return;
        }
        let shelves: BTreeSet<Item> = changes.of(Table::STOCK).filter_map(|(key, _)| shares::item(key)).collect();
        let is_one = |(_, items): &&(SiteTime, Vec<Item>)| items.iter().any(|item| shelves.contains(item));
        self.changed.extend(self.borrowing.iter().filter(|(_, of)| is_one(of)).map(|(offer, _)| offer.clone()));
    }

    /// An offer was seen to. It is looked at again if units are borrowed for it.
    pub(crate) fn seen_to(
        &mut self,
        offer: &Offer,
        here: &SiteId,
        now: SiteTime,
        rows: &dyn View,
    ) -> Result<(), ViewError> {
        self.borrowing.remove(offer);
        let seen = kontor_core::offer::Offer::read(rows, offer.0, &offer.1)?;
        if let Some(seen) = seen
            && let Some(until) = seen.borrows(here)
        {
            let transfer = seen.asked.transfer;
            let items = transfer.lines.into_iter().map(|line| (line.sku, transfer.from.clone())).collect();
            // If it could not be seen to, not at once again.
            let at = until.min(now.plus(QUOTA_ASK_MS)).max(now.plus(TIMER_REST_MS));
            self.borrowing.insert(offer.clone(), (at, items));
        }
        Ok(())
    }

    /// What was taken was not written.
    pub(crate) fn put_back(&mut self, offers: Vec<Offer>) {
        self.changed.extend(offers);
    }

    /// When there is something to see to.
    pub(crate) fn next(&self) -> Option<SiteTime> {
        if !self.changed.is_empty() || self.all_from.is_some() {
            return Some(SiteTime::default());
        }
        self.borrowing.values().map(|(at, _)| *at).min()
    }

    /// What the site sees to now.
    pub(crate) fn take(&mut self, now: SiteTime, rows: &dyn View) -> Result<Vec<Offer>, ViewError> {
        let due = self.borrowing.iter().filter(|(_, (at, _))| *at <= now);
        self.changed.extend(due.map(|(offer, _)| offer.clone()));
        // Those that wait first, so that no more than a look's rows are in memory.
        if self.changed.len() < OFFERS_PER_TICK {
            self.go_on(rows)?;
        }
        let mut offers = Vec::new();
        while offers.len() < OFFERS_PER_TICK
            && let Some(offer) = self.changed.pop_first()
        {
            offers.push(offer);
        }
        Ok(offers)
    }

    /// Goes on looking at all offers.
    fn go_on(&mut self, rows: &dyn View) -> Result<(), ViewError> {
        let Some(from) = self.all_from.take() else { return Ok(()) };
        let (mut looked, mut next) = (0, None);
        let range = KeyRange { from: from.as_bytes(), before: &[u8::MAX; 300] };
        rows.scan(Table::OFFERS, range, &mut |key, _| {
            if looked == OFFERS_PER_LOOK {
                next = Some(Key::new().fixed(key));
                return false;
            }
            looked += 1;
            self.changed.extend(offer(key));
            true
        })?;
        self.all_from = next;
        Ok(())
    }
}

/// The offer that a row is about.
fn offer(key: &[u8]) -> Option<Offer> {
    OfferRow::parts(key).map(|(id, asker, _)| (id, asker))
}
