//! Which offers the site sees to next: those of which another site has said something new, and after a start
//! one after the other all that there are. In memory alone.
//!
//! What is done about an offer, [`kontor_core::offer`] says. Here is only when.

use std::collections::BTreeSet;

use kontor_core::id::{OfferId, SiteId};
use kontor_core::limits::OFFERS_PER_TICK;
use kontor_core::offer::OfferRow;
use kontor_core::overlay::Changes;
use kontor_core::record::{Key, Table};
use kontor_core::view::{KeyRange, View, ViewError};

use crate::limits::OFFERS_PER_LOOK;

pub(crate) type Offer = (OfferId, SiteId);

/// What waits to be seen to.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    changed: BTreeSet<Offer>,
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

    /// What was taken was not written.
    pub(crate) fn put_back(&mut self, offers: Vec<Offer>) {
        self.changed.extend(offers);
    }

    /// Whether there is something to see to.
    pub(crate) fn wait(&self) -> bool {
        !self.changed.is_empty() || self.all_from.is_some()
    }

    /// What the site sees to now.
    pub(crate) fn take(&mut self, rows: &dyn View) -> Result<Vec<Offer>, ViewError> {
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
