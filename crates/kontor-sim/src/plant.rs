//! Mistakes that are planted on purpose, between the site and the world, to show that the oracle
//! sees such mistakes. None of them touches the code of the site itself.

use bytes::Bytes;
use kontor_core::event::Event;
use kontor_core::group::{self, GroupBody, GroupError};
use kontor_core::id::SiteId;
use kontor_core::movement::UsedReference;
use kontor_core::offer::{Offer, OfferRow, OfferStatus, Said};
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::product::Sibling;
use kontor_core::record::{Key, Primary as _, Table, decode, encode};
use kontor_core::reservation::{Reservation, ReservationStatus};
use kontor_core::site::SiteRow;
use kontor_core::stock::StockRow;
use kontor_core::time::Stamp;
use kontor_core::view::View as _;
use kontor_site::foreign::ForeignGroup;
use kontor_site::rows::WriterRows;
use kontor_storage::journal::memory::MemoryDisk;
use kontor_storage::journal::{JournalReader, Seq};
use serde::de::DeserializeOwned;

use crate::chance::Chance;
use crate::oracle::Violation;

/// A group that was brought, read.
type Brought = Result<ForeignGroup, GroupError>;

/// A mistake of whoever drives the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// The disk is not synced before the append is called durable.
    AckBeforeSync,
    /// A crash takes the newest acknowledged group with it, and the tables that knew it.
    LoseGroup,
    /// Some remembered keys are not written to the tables.
    ForgetKey,
    /// Site time is whatever the wall clock says.
    FollowWallClock,
    /// The site is told a time that has passed, so that holds end late.
    LateTime,
    /// A start folds the last group twice.
    FoldTwice,
    /// Some shelves forget what is reserved of them, so that it is sold again.
    ForgetHolds,
    /// Some groups are not written to the tables, and later ones are.
    SkipTables,
    /// A start leaves the last group of the journal out.
    StopShort,
    /// A crash takes the newest groups that were kept of other sites with it.
    LoseCopy,
    /// Some rows of other sites are not written to the tables, and later ones are.
    SkipForeign,
    /// Groups of other sites are folded, and some are not kept.
    FoldUnkept,
    /// Units that another site has given count twice.
    GrantTwice,
    /// Shelves forget what of them was given to other sites: it is sold from a shelf that is given away.
    ForgetGrants,
    /// What another site has asked for counts twice.
    AskTwice,
    /// Shelves forget what was asked of other sites.
    ForgetAsks,
    /// What another site says of a shelf is taken for one's own books of it.
    LastWriterWins,
    /// Another site gives away more than there is. Whoever reads it must read no further.
    GiveTooMuch,
    /// Another site's group is missing, and the next one is folded nevertheless.
    AcceptGap,
    /// What another site did is folded in another order than it was done.
    OutOfOrder,
    /// Events of another site that are newer than the program are left out, and its journal is read on.
    SkipUnknown,
    /// Edits do not say which edits of other sites their writer had seen.
    LoseContext,
    /// The stamp of an edit is that of the clock, whatever stamps were read.
    StampAlone,
    /// Holds that have run out run out again.
    ExpireTwice,
    /// A machine comes back as it was long before: journal, tables, and what it kept of others.
    RollBack,
    /// A site that was asked for units takes whatever it reads next of the asker for the confirm, and promises
    /// them.
    ActEarly,
    /// A site forgets that a transfer was received, so that it is received again.
    ReceiveTwice,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::AckBeforeSync,
        Self::LoseGroup,
        Self::ForgetKey,
        Self::FollowWallClock,
        Self::LateTime,
        Self::FoldTwice,
        Self::ForgetHolds,
        Self::SkipTables,
        Self::StopShort,
        Self::LoseCopy,
        Self::SkipForeign,
        Self::FoldUnkept,
        Self::GrantTwice,
        Self::ForgetGrants,
        Self::AskTwice,
        Self::ForgetAsks,
        Self::LastWriterWins,
        Self::GiveTooMuch,
        Self::AcceptGap,
        Self::OutOfOrder,
        Self::SkipUnknown,
        Self::LoseContext,
        Self::StampAlone,
        Self::ExpireTwice,
        Self::RollBack,
        Self::ActEarly,
        Self::ReceiveTwice,
    ];

    /// In how many worlds it is found at most; of several sites, if it [is between
    /// sites](Self::is_between_sites).
    pub fn found_within(self) -> u64 {
        if self == Self::LoseCopy { 20 } else { 8 }
    }

    /// Whether a violation is of the promise that this mistake breaks. What is found by another is found by
    /// luck.
    pub fn breaks(self, violation: &Violation) -> bool {
        self.promises().iter().any(|promise| violation.promise.starts_with(promise))
    }

    /// What its promises begin with.
    fn promises(self) -> &'static [&'static str] {
        const BOOKS: &str = "the books of ";
        const SHARE: &str = "the share of ";
        const FOLDED: &str = "an honest journal is folded";
        const REFOLDED: &str = "folding the journal again gives equal bytes";
        match self {
            Self::AckBeforeSync | Self::LoseGroup | Self::RollBack => &["nothing acknowledged is lost"],
            Self::ForgetKey => &["no request takes effect twice", "a key that was used is answered with its effect"],
            Self::FollowWallClock => &["site time goes as time passes; a clock that jumps ends no hold"],
            Self::LateTime => &["a group is decided at site time"],
            Self::FoldTwice => &[BOOKS, "product ", REFOLDED],
            Self::ForgetHolds => &[BOOKS],
            Self::SkipTables => &[BOOKS, "no request takes effect twice"],
            Self::StopShort => &[BOOKS, "a product that was told is there", "a start finds what was written"],
            Self::LoseCopy | Self::FoldUnkept => {
                &["what a group says to have seen is kept", "a start folds what is kept of other sites"]
            }
            Self::SkipForeign | Self::OutOfOrder | Self::SkipUnknown => &[FOLDED, REFOLDED, BOOKS],
            Self::AcceptGap => &[FOLDED, REFOLDED, SHARE],
            Self::GrantTwice => &[SHARE, "no share of "],
            Self::ForgetGrants | Self::LastWriterWins => &[BOOKS, SHARE],
            Self::AskTwice => &["what was asked is answered once"],
            Self::ForgetAsks => &["nothing is asked twice while an ask is open"],
            Self::GiveTooMuch => &[FOLDED],
            Self::LoseContext => &["an edit says what of "],
            Self::StampAlone => &["an informed edit has the greater stamp"],
            Self::ExpireTwice => &["a hold ends once", "reserved is the sum of live holds"],
            Self::ActEarly => &["nothing is promised to another site before its confirm was read"],
            Self::ReceiveTwice => &["what was handed out for a transfer is received once"],
        }
    }

    /// Whether only worlds of several sites can show it: every second.
    pub fn is_between_sites(self) -> bool {
        matches!(self, Self::LoseCopy | Self::SkipForeign | Self::FoldUnkept)
            || matches!(self, Self::GrantTwice | Self::ForgetGrants | Self::AskTwice | Self::ForgetAsks)
            || matches!(self, Self::LastWriterWins | Self::GiveTooMuch)
            || matches!(self, Self::AcceptGap | Self::OutOfOrder | Self::SkipUnknown)
            || matches!(self, Self::LoseContext | Self::StampAlone | Self::ActEarly)
    }
}

/// Changes of a site's rows with mistakes in them, as they are written `here`.
pub(crate) fn in_rows(
    plant: Option<Plant>,
    here: &SiteId,
    site: &SiteId,
    changes: &Changes,
    rows: &WriterRows,
) -> Changes {
    let own = site == here;
    let mut overlay = Overlay::with(rows, changes.clone());
    match plant {
        Some(Plant::ExpireTwice) if own => live_again(changes, rows, &mut overlay),
        Some(Plant::ReceiveTwice) if own => {
            for (key, mut row) in rows_of::<OfferRow>(Table::OFFERS, changes) {
                let received = row.asked.as_mut().filter(|asked| matches!(asked.said, Said::Received(_)));
                received.into_iter().for_each(|asked| asked.said = Said::Confirmed);
                overlay.put(Table::OFFERS, key, encode(&row));
            }
            for (key, _) in rows_of::<UsedReference>(UsedReference::TABLE, changes) {
                if key.windows(4).any(|part| part == b"trf_") {
                    overlay.delete(UsedReference::TABLE, key);
                }
            }
        }
        Some(Plant::LoseContext) if !own => {
            for (key, row) in rows_of::<Sibling>(Table::PRODUCTS, changes) {
                overlay.put(Table::PRODUCTS, key, encode(&Sibling { stamp: Stamp::default(), ..row }));
            }
        }
        Some(Plant::StampAlone) if !own => {
            for (key, row) in rows_of::<SiteRow>(Table::SITES, changes) {
                overlay.put(Table::SITES, key, encode(&SiteRow { stamp: Stamp::default(), ..row }));
            }
        }
        Some(_) => in_shares(plant, here, site, changes, &mut overlay),
        None => {}
    }
    overlay.into_changes()
}

fn rows_of<T: DeserializeOwned>(table: Table, changes: &Changes) -> Vec<(Vec<u8>, T)> {
    let rows = changes.of(table);
    rows.filter_map(|(key, value)| Some((key.to_vec(), decode::<T>(table, value?).ok()?))).collect()
}

fn in_shares(plant: Option<Plant>, here: &SiteId, site: &SiteId, changes: &Changes, overlay: &mut Overlay<'_>) {
    let own = site == here;
    for (mut key, mut row) in rows_of::<StockRow>(Table::STOCK, changes) {
        match plant {
            Some(Plant::GrantTwice) if !own => row.granted.get_mut(here).into_iter().for_each(|units| *units *= 2),
            Some(Plant::AskTwice) if !own => row.asked.get_mut(here).into_iter().for_each(|ask| ask.units *= 2),
            Some(Plant::ForgetGrants) if own => row.granted.clear(),
            Some(Plant::ForgetAsks) if own => row.asked.clear(),
            Some(Plant::LastWriterWins) if !own => {
                key.truncate(key.len() - site.as_str().len());
                key.extend_from_slice(here.as_str().as_bytes());
            }
            _ => continue,
        }
        overlay.put(Table::STOCK, key, encode(&row));
    }
}

/// Holds that have run out are held as before, but for what the shelf says.
fn live_again(changes: &Changes, rows: &WriterRows, overlay: &mut Overlay<'_>) {
    let ended = rows_of::<Reservation>(Table::RESERVATIONS, changes).into_iter();
    for (key, _) in ended.filter(|(_, row)| row.status == ReservationStatus::Expired) {
        let Some(id) = key.first_chunk::<16>() else { continue };
        for table in [Table::RESERVATIONS, Table::DUE, Table::PROMISES] {
            for (key, _) in changes.of(table).filter(|(key, _)| key.windows(16).any(|part| part == id)) {
                if let Ok(Some(before)) = rows.get(table, key) {
                    overlay.put(table, key.to_vec(), before);
                }
            }
        }
    }
}

/// Groups of another site with mistakes in how they are folded; they are kept as they came.
pub(crate) fn in_folding(plant: Option<Plant>, groups: Vec<Brought>, chance: &mut Chance) -> Vec<Brought> {
    let mut groups = groups;
    match plant {
        Some(Plant::AcceptGap) => {
            if let [Ok(first), _, ..] = groups.as_mut_slice()
                && chance.happens(0.1)
            {
                first.group.entries.clear();
            }
        }
        Some(Plant::OutOfOrder) => {
            for pair in groups.chunks_exact_mut(2).filter(|_| chance.happens(0.3)) {
                if let [Ok(one), Ok(other)] = pair {
                    std::mem::swap(&mut one.group.entries, &mut other.group.entries);
                }
            }
        }
        Some(Plant::SkipUnknown) => {
            let entries = groups.iter_mut().flatten().flat_map(|group| &mut group.group.entries);
            let is_known =
                |event: &Event| !matches!(event, Event::StockAdjusted { .. } | Event::ReservationEnded { .. });
            entries.for_each(|entry| entry.events.retain(is_known));
        }
        _ => {}
    }
    groups
}

/// Groups of an asker, of which the first says that it confirms all that was accepted here.
pub(crate) fn confirmed(groups: Vec<Brought>, asker: &SiteId, rows: &WriterRows) -> Vec<Brought> {
    let mut groups = groups;
    let all = Offer::list(rows, &Key::new(), &Key::new().fixed(&[u8::MAX; 17]), usize::MAX).unwrap_or_default();
    let is_accepted = |seen: &&Offer| seen.asker == *asker && seen.status() == OfferStatus::Accepted;
    let accepted = all.iter().filter(is_accepted).map(|seen| seen.id);
    if let Some(entry) = groups.iter_mut().flatten().flat_map(|group| &mut group.group.entries).next() {
        entry.events.extend(accepted.map(|id| Event::TransferSaid { id, said: Said::Confirmed }));
    }
    groups
}

/// Groups as they are brought, the last of them with a gift that nobody can make.
pub(crate) fn too_generous(groups: &[Bytes], here: &SiteId) -> Vec<Bytes> {
    let mut groups = groups.to_vec();
    let Some(last) = groups.last_mut() else { return groups };
    let Ok(mut group) = group::decode(last) else { return groups };
    let events = group.entries.iter().flat_map(|entry| &entry.events);
    let moved =
        events.filter_map(|event| if let Event::StockMoved { lines, .. } = event { lines.first() } else { None });
    let Some((sku, location)) = moved.map(|line| (line.sku.clone(), line.location.clone())).next() else {
        return groups;
    };
    if let Some(entry) = group.entries.iter_mut().find(|entry| !entry.events.is_empty()) {
        entry.events.push(Event::QuotaGranted { sku, location, to: here.clone(), units: 1_000_000 });
    }
    let mut body = GroupBody::default();
    for entry in &mut group.entries {
        body.push(entry);
    }
    let bytes = group::encode(&group.header, &body);
    *last = group::shared(&bytes).map_or_else(|_| last.clone(), Bytes::copy_from_slice);
    groups
}

/// A disk without the newest group.
pub(crate) fn shortened(disk: &MemoryDisk) -> MemoryDisk {
    first(disk, disk.end().saturating_sub(1))
}

/// A disk with the first groups of another.
pub(crate) fn first(disk: &MemoryDisk, end: Seq) -> MemoryDisk {
    let groups = disk.read(0, usize::MAX, usize::MAX).expect("a disk in memory can be read");
    let shorter = MemoryDisk::new();
    for (_, group) in groups.into_iter().take_while(|(seq, _)| *seq <= end) {
        shorter.write(&group).expect("a new disk has room");
    }
    shorter.sync().expect("no fault was set");
    shorter
}
