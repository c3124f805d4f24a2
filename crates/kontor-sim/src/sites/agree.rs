//! What must hold among sites: at any time of the shares of shelves, and in the end of everything that
//! they share.

use bytes::Bytes;
use kontor_core::group;
use kontor_core::id::{LocationId, SiteId, Sku};
use kontor_core::record::{KeyParts, Primary as _, TABLE_NAMES, Table, decode};
use kontor_core::site::{SiteKind, SiteRow};
use kontor_core::stock::{StockRow, quota};
use kontor_core::view::{KeyRange, View, ViewError, rows_of_sites};
use kontor_site::rows::WriterRows;

use super::Sites;
use crate::oracle::edits::Edits;
use crate::oracle::{Kept, broken, same};
use crate::world::World;

/// Tables whose rows are equal wherever as much has been read. Of `sites` the day is its own business.
const SHARED: [&str; 14] = [
    "products",
    "claims",
    "catalog",
    "items",
    "locations",
    "stock",
    "movements",
    "seen",
    "listings",
    "market_listings",
    "revisions",
    "gtins",
    "index",
    "offers",
];

impl Sites {
    /// Units are somebody's share or on their way, and no more than there are: at every shelf, by the rows of
    /// every site that runs.
    pub(crate) fn check_shares(&self) -> Kept {
        let rows: Vec<&WriterRows> = self.worlds.iter().filter_map(|world| world.machine.rows()).collect();
        if rows.len() < self.names.len() || rows.len() < 2 {
            return Ok(());
        }
        let unreadable = |error: ViewError| broken("rows can be read", "rows", error);
        for (at, home) in self.names.iter().enumerate() {
            let mut shelves = Vec::new();
            let mut each = |key: &[u8], _: &Bytes| {
                let mut parts = KeyParts(key);
                let item = (parts.text().map(Sku::parse), parts.text().map(LocationId::parse));
                if let (Some(Ok(sku)), Some(Ok(location)), Some(site)) = (item.0, item.1, parts.rest())
                    && site == home.as_str()
                    && location.as_str().starts_with(&format!("{home}-"))
                {
                    shelves.push((sku, location));
                }
                true
            };
            let range = KeyRange { from: &[], before: &[u8::MAX; 300] };
            rows[at].scan(StockRow::TABLE, range, &mut each).map_err(unreadable)?;
            for (sku, location) in &shelves {
                let seen = |by: usize| rows_of_sites::<StockRow>(rows[by], (sku, location)).map_err(unreadable);
                let own = |all: &[(SiteId, StockRow)], of: &SiteId| {
                    all.iter().find(|(site, _)| site == of).map(|(_, row)| row.clone()).unwrap_or_default()
                };
                let (mut quotas, mut flying) = (0, 0);
                for (by, site) in self.names.iter().enumerate() {
                    let view = seen(by)?;
                    quotas += quota(&view, home, site);
                    for (of, donor) in self.names.iter().enumerate().filter(|(of, _)| *of != by) {
                        let units = |row: StockRow| row.granted.get(site).copied().unwrap_or(0);
                        let (given, read) = (units(own(&seen(of)?, donor)), units(own(&view, donor)));
                        if read > given {
                            let promise = format!("no share of {sku} at {location} is used that was not given");
                            return Err(broken(&promise, (donor, site, given), read));
                        }
                        flying += i64::try_from(given - read).unwrap_or(i64::MAX);
                    }
                }
                let books = own(&seen(at)?, home);
                let there = i64::try_from(books.received).unwrap_or(0) - i64::try_from(books.written_off).unwrap_or(0);
                let promise = format!("shares of {sku} at {location} and what is on its way are what is there");
                same(&promise, &there, &(quotas + flying))?;
            }
        }
        Ok(())
    }

    /// Every edit of a product was made with the knowledge that its writer had, and what was set without
    /// knowledge of each other is on the list.
    pub(super) fn judge_edits(&mut self) -> Kept {
        let journals: Vec<_> = self.worlds.iter().map(|world| world.machine.groups()).collect::<Kept<_>>()?;
        let mut edits = Edits::read(&self.names, &journals)?;
        edits.judge()?;
        for (at, world) in self.worlds.iter().enumerate() {
            let Some(rows) = world.machine.rows() else { continue };
            let open = edits.compare(rows)?;
            self.figures.conflicts += if at == 0 { open + edits.settled } else { 0 };
        }
        Ok(())
    }

    /// What is kept of a journal is the journal, what was seen was there, and shared rows are equal.
    pub(super) fn compare(&self) -> Kept {
        for (reader, source) in self.between() {
            let journal = self.worlds[source].machine.groups()?.into_iter();
            let cut = journal.map(|(seq, bytes)| (seq, bytes.slice(..group::shared(&bytes).map_or(0, <[u8]>::len))));
            let kept = self.worlds[reader].machine.copies_of(&self.names[source])?;
            same("what is kept of a journal is the journal, cut", &cut.collect::<Vec<_>>(), &kept)?;
        }
        for (writer, of) in self.between() {
            let (seen_of, mut last) = (self.worlds[of].machine.groups()?, 0);
            for (_, bytes) in self.worlds[writer].machine.groups()? {
                let header = group::decode_header(&bytes);
                let header = header.map_err(|error| broken("a group can be read", "a group", error))?;
                for seen in header.seen.into_iter().filter(|seen| seen.site == self.names[of]) {
                    let there = seen_of.iter().find(|(seq, _)| *seq == seen.seq).map(|(_, bytes)| group::digest(bytes));
                    same("what a group says to have seen was there", &there, &Some(seen.digest))?;
                    same("a group says what is new, and no other", &true, &(seen.seq > last))?;
                    last = seen.seq;
                }
            }
        }
        let rows: Vec<_> = self.worlds.iter().map(shared_rows).collect::<Kept<_>>()?;
        for (number, other) in rows.iter().enumerate().skip(1) {
            let differ = rows[0].iter().zip(other).find(|(one, other)| one != other);
            let promise = format!("shared rows are equal at {} and {}", self.names[0], self.names[number]);
            same(&promise, &(rows[0].len(), None), &(other.len(), differ))?;
        }
        Ok(())
    }
}

type Row = (&'static str, Vec<u8>, Vec<u8>);

fn shared_rows(world: &World) -> Kept<Vec<Row>> {
    let Some(rows) = world.machine.rows() else { return Err(broken("the site runs in the end", "rows", "none")) };
    let mut found = Vec::new();
    for (table, name) in (0..).zip(TABLE_NAMES).filter(|(_, name)| *name == "sites" || SHARED.contains(name)) {
        let mut each = |key: &[u8], value: &Bytes| {
            let said =
                |row: SiteRow| [&row.stamp.0.to_be_bytes()[..], &[u8::from(row.kind == SiteKind::Store)]].concat();
            let stamp = decode::<SiteRow>(Table(table), value).map(said);
            let value = if name == "sites" { stamp.unwrap_or_default() } else { value.to_vec() };
            // A site that has edited nothing has a row at home, for its day, and none elsewhere.
            if name != "sites" || value != [0; 9] {
                found.push((name, key.to_vec(), value));
            }
            true
        };
        let range = KeyRange { from: &[], before: &[u8::MAX; 300] };
        rows.scan(Table(table), range, &mut each).map_err(|error| broken("rows can be read", "rows", error))?;
    }
    Ok(found)
}
