//! What of the tables a stop may leave behind: nothing of them is synced, so any earlier state will do.

use bytes::Bytes;
use kontor_core::id::SiteId;
use kontor_core::overlay::Changes;
use kontor_core::record::TABLE_NAMES;
use kontor_site::folded::Folded;
use kontor_site::rows::{WriterRows, in_memory};
use kontor_storage::journal::memory::MemoryDisk;
use kontor_storage::journal::{JournalReader, ReadError, Seq};
use kontor_storage::tables::{self, Batch, Tables};

use crate::chance::Chance;

/// What a start finds of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TablesFound {
    /// All that was written.
    Whole,
    /// What was written up to some moment.
    Older,
    /// Nothing.
    Gone,
}

/// States of the tables that a crash may fall back to, the oldest first; then what was written since the
/// last of them.
pub(crate) struct Images {
    images: Vec<Tables>,
    written: Vec<(SiteId, Changes, Bytes)>,
}

impl Images {
    /// Of empty tables.
    pub(crate) fn new() -> Self {
        Self { images: vec![in_memory()], written: Vec::new() }
    }

    /// The tables as they are now are one more state.
    pub(crate) fn keep(&mut self, tables: &Tables) {
        self.images.push(copy(tables));
    }

    /// Something was written.
    pub(crate) fn written(&mut self, site: &SiteId, changes: &Changes, folded: &Folded, tables: &Tables) {
        self.written.push((site.clone(), changes.clone(), folded.encode()));
        if self.written.len() > 200 {
            self.images = vec![copy(tables)];
            self.written.clear();
        }
    }

    /// What is left of the tables after a stop. It is all that there is from now on.
    pub(crate) fn surviving(&mut self, found: TablesFound, sites: &[SiteId], chance: &mut Chance) -> Tables {
        let tables = self.left(found, sites, chance);
        self.images = vec![copy(&tables)];
        self.written.clear();
        tables
    }

    fn left(&self, found: TablesFound, sites: &[SiteId], chance: &mut Chance) -> Tables {
        let last = self.images.len() - 1;
        let (image, writes) = match found {
            TablesFound::Gone => return in_memory(),
            TablesFound::Whole => (last, self.written.len()),
            TablesFound::Older => {
                let image = usize::try_from(chance.within(0..self.images.len() as u64)).unwrap_or(0);
                let writes = if image == last { chance.within(0..self.written.len() as u64 + 1) } else { 0 };
                (image, usize::try_from(writes).unwrap_or(0))
            }
        };
        let tables = copy(&self.images[image]);
        let rows = WriterRows::new(tables.clone(), sites.to_vec());
        for (site, changes, folded) in &self.written[..writes] {
            rows.write(changes, folded.clone(), site).expect("tables in memory take every write");
        }
        if let Some((_, changes, _)) = self.written.get(writes).filter(|_| chance.happens(0.5)) {
            // Tables are emptied before the batch that fills them again.
            for table in changes.emptied() {
                tables.clear(tables::Table(table.0)).expect("tables in memory can be emptied");
            }
        }
        tables
    }
}

/// A copy that shares nothing with the tables.
fn copy(from: &Tables) -> Tables {
    let to = in_memory();
    let mut batch = Batch::new();
    for (table, _) in (0..).zip(TABLE_NAMES) {
        for (key, value) in dump(from, table) {
            batch.put(tables::Table(table), key, value);
        }
    }
    to.write(batch).expect("tables in memory take every write");
    to
}

/// All rows of a table.
pub(crate) fn dump(tables: &Tables, table: u8) -> Vec<(Bytes, Bytes)> {
    let rows = tables.snapshot().prefix(tables::Table(table), &[]);
    rows.map(|row| row.expect("tables in memory can be read")).collect()
}

/// The first groups of a disk.
pub(crate) struct Prefix {
    pub(crate) disk: MemoryDisk,
    pub(crate) end: Seq,
}

impl JournalReader for Prefix {
    fn read(&self, after: Seq, limit_groups: usize, limit_bytes: usize) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        let groups = self.disk.read(after, limit_groups, limit_bytes)?;
        Ok(groups.into_iter().take_while(|(seq, _)| *seq <= self.end).collect())
    }

    fn end(&self) -> Seq {
        self.end
    }
}
