//! Which shelves the site sees to next, so that every site has its share of them: those that have changed,
//! those that a buyer was refused, those where it was declined a while ago, and one after the other all
//! that there are. In memory alone; a start looks at all of them again.
//!
//! What is done about a shelf, [`kontor_core::quota`] says. Here is only when.

use std::collections::{BTreeMap, BTreeSet};

use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::{LocationId, Sku};
use kontor_core::limits::QUOTA_ITEMS_PER_TICK;
use kontor_core::overlay::Changes;
use kontor_core::record::{Key, KeyParts, Table};
use kontor_core::refusal::Refusal;
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError};

use crate::limits::{QUOTA_TICK_MS, QUOTA_WAITING_MAX};

pub(crate) type Item = (Sku, LocationId);

/// What waits to be seen to. Nothing ever does where there is one site.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    changed: BTreeSet<Item>,
    /// Units that buyers were refused while others hold some.
    wanted: BTreeMap<Item, u64>,
    /// When an ask has run out.
    later: BTreeSet<(SiteTime, Item)>,
    /// Where looking at all shelves goes on; nothing when it has come to the end.
    all_from: Option<Key>,
    /// Nobody waits for this work: it is done in pieces.
    rests_until: SiteTime,
}

impl Shares {
    /// Looks at every shelf, from the first: after a start, when a site is new, and once a day, because
    /// demand fades although nothing happens.
    pub(crate) fn look_at_all(&mut self) {
        self.changed.clear();
        self.all_from = Some(Key::new());
    }

    /// Rows of shelves have changed.
    pub(crate) fn changed(&mut self, changes: &Changes) {
        self.changed.extend(changes.of(Table::STOCK).filter_map(|(key, _)| item(key)));
        if self.changed.len() > QUOTA_WAITING_MAX {
            self.look_at_all();
        }
    }

    /// A buyer was refused.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        let Refusal::QuotaExhaustedHere { sku, location, wanted, available, .. } = refusal else { return };
        metrics::counter!("kontor_quota_exhausted_total").increment(1);
        let missing = wanted.saturating_sub(u64::try_from(*available).unwrap_or(0));
        if self.wanted.len() < QUOTA_WAITING_MAX {
            let most = self.wanted.entry((sku.clone(), location.clone())).or_default();
            *most = missing.max(*most);
        }
    }

    /// The site has asked: it looks again when the ask has run out.
    pub(crate) fn asked(&mut self, events: &[Event]) {
        for event in events {
            if let Event::QuotaAsked { sku, location, ask, .. } = event {
                self.later.insert((ask.until, (sku.clone(), location.clone())));
            }
        }
    }

    /// What was taken was not written.
    pub(crate) fn put_back(&mut self, items: Vec<Item>) {
        self.changed.extend(items);
    }

    /// When there is something to see to.
    pub(crate) fn next(&self) -> Option<SiteTime> {
        if !self.wanted.is_empty() {
            return Some(SiteTime::default());
        }
        let waits = !self.changed.is_empty() || self.all_from.is_some();
        let later = self.later.first().map(|(at, _)| *at.max(&self.rests_until));
        if waits { Some(self.rests_until) } else { later }
    }

    /// What the site tells itself to do now, and the items that this is about.
    pub(crate) fn take(&mut self, now: SiteTime, rows: &dyn View) -> Result<(Vec<Command>, Vec<Item>), ViewError> {
        let mut commands = Vec::new();
        while commands.len() < QUOTA_ITEMS_PER_TICK
            && let Some(((sku, location), missing)) = self.wanted.pop_first()
        {
            commands.push(Command::BorrowQuota { sku, location, missing });
        }
        if self.rests_until > now {
            return Ok((commands, Vec::new()));
        }
        while self.later.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, item)) = self.later.pop_first()
        {
            self.changed.insert(item);
        }
        // Each once: one command looks at the rows as they were before it.
        let mut items = BTreeSet::new();
        while items.len() < QUOTA_ITEMS_PER_TICK
            && let Some(item) = self.changed.pop_first()
        {
            items.insert(item);
        }
        self.go_on(rows, &mut items)?;
        let items = Vec::from_iter(items);
        if !items.is_empty() {
            self.rests_until = now.plus(QUOTA_TICK_MS);
            commands.push(Command::TendQuota { items: items.clone() });
        }
        Ok((commands, items))
    }

    /// Goes on looking at all shelves, as far as there is room for.
    fn go_on(&mut self, rows: &dyn View, items: &mut BTreeSet<Item>) -> Result<(), ViewError> {
        let Some(from) = self.all_from.take() else { return Ok(()) };
        let mut next = None;
        let range = KeyRange { from: from.as_bytes(), before: &[u8::MAX; 9] };
        rows.scan(Table::STOCK, range, &mut |key, _| {
            let Some(found) = item(key) else { return true };
            if items.contains(&found) {
                return true;
            }
            if items.len() == QUOTA_ITEMS_PER_TICK {
                next = Some(Key::new().text(found.0.as_str()).text(found.1.as_str()));
                return false;
            }
            items.insert(found);
            true
        })?;
        self.all_from = next;
        Ok(())
    }
}

/// The item that a row of stock is about.
pub(crate) fn item(key: &[u8]) -> Option<Item> {
    let mut parts = KeyParts(key);
    let (sku, location) = (parts.text()?, parts.text()?);
    Some((Sku::parse(sku).ok()?, LocationId::parse(location).ok()?))
}
