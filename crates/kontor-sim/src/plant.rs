//! Mistakes that are planted on purpose, between the site and the world, to show that the oracle
//! sees such mistakes. None of them touches the code of the site itself.

use bytes::Bytes;
use kontor_core::event::Event;
use kontor_core::group::{self, GroupBody};
use kontor_core::id::SiteId;
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::record::{Table, decode, encode};
use kontor_core::stock::StockRow;
use kontor_site::rows::WriterRows;
use kontor_storage::journal::JournalReader;
use kontor_storage::journal::memory::MemoryDisk;

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
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 18] = [
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
    ];

    /// Whether only worlds of several sites can show it: every second.
    pub fn is_between_sites(self) -> bool {
        matches!(self, Self::LoseCopy | Self::SkipForeign | Self::FoldUnkept)
            || matches!(self, Self::GrantTwice | Self::ForgetGrants | Self::AskTwice | Self::ForgetAsks)
            || matches!(self, Self::LastWriterWins | Self::GiveTooMuch)
    }
}

/// Changes of a site's rows with mistakes in those of shelves, as they are written `here`.
pub(crate) fn in_shares(
    plant: Option<Plant>,
    here: &SiteId,
    site: &SiteId,
    changes: &Changes,
    rows: &WriterRows,
) -> Changes {
    let own = site == here;
    let mut overlay = Overlay::with(rows, changes.clone());
    for (key, value) in changes.of(Table::STOCK) {
        let Some(mut row) = value.and_then(|value| decode::<StockRow>(Table::STOCK, value).ok()) else { continue };
        let mut key = key.to_vec();
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
    overlay.into_changes()
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
    let groups = disk.read(0, usize::MAX, usize::MAX).expect("a disk in memory can be read");
    let shorter = MemoryDisk::new();
    for (_, group) in &groups[..groups.len().saturating_sub(1)] {
        shorter.write(group).expect("a new disk has room");
    }
    shorter.sync().expect("no fault was set");
    shorter
}
