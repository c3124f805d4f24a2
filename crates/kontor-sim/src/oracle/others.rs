//! What a site has read of others, and what it may do about shares of shelves.

use bytes::Bytes;
use kontor_core::event::{Entry, Event};
use kontor_core::group;
use kontor_core::id::SiteId;
use kontor_core::limits::QUOTA_ASK_MS;
use kontor_core::movement::MovementKind;
use kontor_core::reservation::{ReservationLine, ReservationStatus};
use kontor_core::time::SiteTime;

use super::effects::Booked;
use super::objections::signed;
use super::shop::{Dealings, Other, ShelfKey, Shop};
use super::{Kept, Oracle, broken, same};

impl Oracle {
    /// The site has folded groups of another, up to `seq`. What was read before changes nothing.
    pub(crate) fn has_read(&mut self, of: &SiteId, groups: &[(u64, Bytes)], seq: u64) -> Kept {
        let other = self.shop.others.entry(of.clone()).or_default();
        for (number, bytes) in groups.iter().filter(|(number, _)| *number <= seq) {
            if *number != other.seq + 1 {
                continue;
            }
            other.seq = *number;
            let group = group::decode(bytes).map_err(|error| broken("a group can be read", "a group", error))?;
            group.entries.iter().for_each(|entry| other.read(entry, group.header.time));
        }
        same("a journal is folded as far as it was kept", &seq, &other.seq)
    }

    /// The last group that was read of a site.
    pub(crate) fn read_of(&self, site: &SiteId) -> u64 {
        self.shop.others.get(site).map_or(0, |other| other.seq)
    }

    /// A site gives away what it may promise, to whom has asked for it, and asks nobody twice.
    pub(super) fn deals(&mut self, told: &Event, booked: Booked, touched: &mut Vec<ShelfKey>) -> Kept {
        let site = self.site.clone();
        let (key, other) = match told {
            Event::QuotaAsked { sku, location, of: other, .. }
            | Event::QuotaGranted { sku, location, to: other, .. }
            | Event::QuotaDeclined { sku, location, to: other, .. } => ((sku.clone(), location.clone()), other),
            told => return Err(broken("nothing happens that nobody asked for", "dealings", told)),
        };
        touched.push(key.clone());
        match told {
            Event::QuotaAsked { .. } => self.dealt.0 += 1,
            Event::QuotaGranted { .. } => self.dealt.1 += 1,
            _ => self.dealt.2 += 1,
        }
        let before = self.shop.dealings.get(&key).cloned().unwrap_or_default();
        if let Event::QuotaAsked { ask, .. } = told {
            let (units, until) = before.asked.get(other).copied().unwrap_or_default();
            let open = units.saturating_sub(self.shop.answered_by(other, &site, &key));
            if open > 0 && until > booked.at {
                return Err(broken("nothing is asked twice while an ask is open", (units, until), told));
            }
            same("an ask waits for so long", &booked.at.plus(QUOTA_ASK_MS), &ask.until)?;
        }
        note(self.shop.dealings.entry(key.clone()).or_default(), told);
        let dealings = self.shop.dealings.get(&key).cloned().unwrap_or_default();
        let units =
            |of: &Dealings| of.granted.get(other).copied().unwrap_or(0) + of.declined.get(other).copied().unwrap_or(0);
        if matches!(told, Event::QuotaAsked { .. }) {
            return Ok(());
        }
        let asked = self.shop.asked_by(other, &site, &key);
        if units(&dealings) > asked || units(&dealings) <= units(&before) {
            return Err(broken("what was asked is answered once", (asked, units(&before)), told));
        }
        let left = self.shop.sellable(&site, &key, self.shop.held(&key));
        if matches!(told, Event::QuotaGranted { .. }) && left < 0 {
            return Err(broken("no site gives what it may not promise", 0, (left, told)));
        }
        Ok(())
    }
}

impl Other {
    fn read(&mut self, entry: &Entry, at: SiteTime) {
        for event in &entry.events {
            self.shop.hear_of_transfer(event, at);
            match event {
                Event::ProductEdited(edited) if !edited.id.as_str().starts_with("common-") => {
                    self.shop.edit(&edited.id, &edited.edit);
                }
                Event::LocationOpened { id, name } => {
                    self.shop.locations.insert(id.clone(), (name.clone(), 1));
                }
                Event::ReservationMade { lines, .. } => self.promise(lines, 1, 0),
                Event::ReservationEnded { lines, status: ReservationStatus::Committed, .. } => {
                    self.promise(lines, -1, 1);
                }
                Event::ReservationEnded { lines, .. } => self.promise(lines, -1, 0),
                Event::StockMoved { kind: MovementKind::Ship, lines, .. } => {
                    for line in lines {
                        let shelf = (line.sku.clone(), line.location.clone());
                        self.promised.entry(shelf).or_default().1 += line.change;
                    }
                }
                Event::QuotaAsked { sku, location, .. }
                | Event::QuotaGranted { sku, location, .. }
                | Event::QuotaDeclined { sku, location, .. } => {
                    note(self.shop.dealings.entry((sku.clone(), location.clone())).or_default(), event);
                }
                _ => {}
            }
        }
    }

    fn promise(&mut self, lines: &[ReservationLine], reserved: i64, sold: i64) {
        for line in lines.iter().filter(|line| line.tracked) {
            let promised = self.promised.entry((line.sku.clone(), line.location.clone())).or_default();
            promised.0 += reserved * signed(line.quantity);
            promised.1 += sold * signed(line.quantity);
        }
    }
}

impl Shop {
    /// Whether anything can be booked at a location here.
    pub(crate) fn is_elsewhere(&self, key: &ShelfKey) -> bool {
        self.home_elsewhere(&key.1).is_some()
    }
}

fn note(dealings: &mut Dealings, event: &Event) {
    match event {
        Event::QuotaAsked { of, ask, .. } => drop(dealings.asked.insert(of.clone(), (ask.units, ask.until))),
        Event::QuotaGranted { to, units, .. } => drop(dealings.granted.insert(to.clone(), *units)),
        Event::QuotaDeclined { to, units, .. } => drop(dealings.declined.insert(to.clone(), *units)),
        _ => {}
    }
}
