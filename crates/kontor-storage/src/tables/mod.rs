//! Ordered maps from bytes to bytes, with atomic batches over all of them and consistent snapshots.
//!
//! Tables are a cache of a journal. A write is not synced: after a crash of the machine or the
//! process the tables hold a prefix of the batches that were written, never a part of one, but for rows
//! that were allowed to run ahead. When they report damage the owner deletes their directory and folds the
//! journal again.
//!
//! On disk, what was written lately is in memory alone, some ten megabytes of it, and is moved to the
//! engine in bulk by a thread beside the writer: in order, popular rows once, and past the engine's
//! log. The journal is the log.

mod engine;
mod handover;
mod key_filter;
mod known_keys;
mod layers;
mod memory;
mod merge;
mod recent;

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use engine::{TablesOptions, Usage};

/// A set of named tables. A clone is the same set.
#[derive(Clone)]
pub enum Tables {
    /// In memory, for tests and simulation.
    Memory(memory::MemoryTables),
    /// On disk, by fjall.
    Fjall(layers::LayeredTables),
}

/// One table: the index of its name in the list that the tables were opened with.
#[derive(Clone, Copy, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct Table(pub u8);

/// Rows to put and delete together. A later change of a key replaces an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
struct Change {
    table: Table,
    key: Bytes,
    /// `None` deletes.
    value: Option<Bytes>,
    /// See [`Batch::put_ahead`].
    runs_ahead: bool,
}

/// All tables as they were at one moment, between two batches. Held snapshots keep old versions of
/// rows alive: hold them for a request, not for a day.
#[derive(Clone)]
pub struct Snapshot {
    inner: SnapshotInner,
}

#[derive(Clone)]
enum SnapshotInner {
    Memory(memory::MemorySnapshot),
    Fjall(layers::LayeredSnapshot),
}

/// Rows in key order, from either end.
pub struct Rows {
    inner: RowsInner,
}

enum RowsInner {
    Memory(memory::MemoryRows),
    Fjall(merge::Merged),
}

/// What went wrong with the tables.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// What is on disk is not what was written. The tables are a cache: delete the directory while
    /// nothing uses it and rebuild them.
    #[error("the tables in {} are damaged", path.display())]
    Damaged {
        /// The directory of the tables.
        path: PathBuf,
        /// What the engine said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk did not answer, or refused.
    #[error("the tables in {} cannot be used", path.display())]
    Io {
        /// The directory of the tables.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// Another process, or another handle in this one, has them open.
    #[error("the tables in {} are in use", path.display())]
    Locked {
        /// The directory of the tables.
        path: PathBuf,
    },
    /// An earlier write failed, or files could not be merged. Nothing is written any more until the tables are
    /// opened again.
    #[error(
        "the tables in {} take no more after a failed write or merge: there was no room, or a file is damaged; \
         if it happens again with room on the disk, delete the directory, and it is made again from the journal",
        path.display()
    )]
    Poisoned {
        /// The directory of the tables.
        path: PathBuf,
    },
}

impl Tables {
    /// Empty tables in memory.
    #[must_use]
    pub fn memory(names: &[&str]) -> Self {
        Self::Memory(memory::MemoryTables::new(names.len()))
    }

    /// Opens or creates tables in `dir`. Tables that are on disk and not in `names` are left alone.
    pub fn fjall(dir: &Path, names: &[&str], options: TablesOptions) -> Result<Self, TablesError> {
        layers::LayeredTables::open(dir, names, options).map(Self::Fjall)
    }

    /// The newest value of `key`.
    ///
    /// # Panics
    /// Here and everywhere else, if `table` is not one of those opened.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        match self {
            Self::Memory(tables) => Ok(tables.get(table, key)),
            Self::Fjall(tables) => tables.get(table, key),
        }
    }

    /// All tables as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = match self {
            Self::Memory(tables) => SnapshotInner::Memory(tables.snapshot()),
            Self::Fjall(tables) => SnapshotInner::Fjall(tables.snapshot()),
        };
        Snapshot { inner }
    }

    /// Writes all of `batch` or nothing of it. Visible at once, not synced. To be called by one thread
    /// at a time; more are safe, but take turns.
    pub fn write(&self, batch: Batch) -> Result<(), TablesError> {
        match self {
            Self::Memory(tables) => {
                tables.write(batch);
                Ok(())
            }
            Self::Fjall(tables) => tables.write(batch),
        }
    }

    /// Deletes every row of `table`. Snapshots taken before may or may not still show them, and a crash may
    /// take them although it also takes batches that were written before.
    pub fn clear(&self, table: Table) -> Result<(), TablesError> {
        match self {
            Self::Memory(tables) => tables.clear(table),
            Self::Fjall(tables) => tables.clear(table),
        }
        Ok(())
    }

    /// Moves what is in memory to files and syncs them, so that the next open is quick and finds all of it. For
    /// a clean shutdown.
    pub fn flush(&self) -> Result<(), TablesError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Fjall(tables) => tables.flush(),
        }
    }
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for this many changes.
    #[must_use]
    pub fn with_capacity(changes: usize) -> Self {
        Self { changes: Vec::with_capacity(changes) }
    }

    /// Puts a row.
    ///
    /// # Panics
    /// If the key is empty or longer than 65,535 bytes, which no engine takes.
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.push(table, key.into(), Some(value.into()), false);
    }

    /// Puts a row that may run ahead: after a crash it may be there although its batch is not. For rows
    /// that nothing depends on when the batches are written again, as lines of a ledger. Cheaper, in a
    /// table in which all rows may.
    ///
    /// # Panics
    /// As [`Batch::put`].
    pub fn put_ahead(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.push(table, key.into(), Some(value.into()), true);
    }

    /// Deletes a row, which need not exist.
    ///
    /// # Panics
    /// As [`Batch::put`].
    pub fn delete(&mut self, table: Table, key: impl Into<Bytes>) {
        self.push(table, key.into(), None, false);
    }

    /// How many changes were put in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn push(&mut self, table: Table, key: Bytes, value: Option<Bytes>, runs_ahead: bool) {
        assert!((1..=usize::from(u16::MAX)).contains(&key.len()), "a key has 1 to 65535 bytes, not {}", key.len());
        self.changes.push(Change { table, key, value, runs_ahead });
    }
}

impl Snapshot {
    /// The value of `key` at the moment of the snapshot.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        match &self.inner {
            SnapshotInner::Memory(snapshot) => Ok(snapshot.get(table, key)),
            SnapshotInner::Fjall(snapshot) => snapshot.get(table, key),
        }
    }

    /// The rows between two keys. An empty or inverted range has no rows.
    #[must_use]
    pub fn range(&self, table: Table, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Rows {
        let (start, end) = (start.map(Bytes::copy_from_slice), end.map(Bytes::copy_from_slice));
        let inner = match &self.inner {
            SnapshotInner::Memory(snapshot) => RowsInner::Memory(snapshot.range(table, start, end)),
            SnapshotInner::Fjall(snapshot) => RowsInner::Fjall(snapshot.range(table, &start, &end)),
        };
        Rows { inner }
    }

    /// The rows whose key starts with `prefix`; all of them for an empty one.
    #[must_use]
    pub fn prefix(&self, table: Table, prefix: &[u8]) -> Rows {
        match end_of_prefix(prefix) {
            Some(end) => self.range(table, Bound::Included(prefix), Bound::Excluded(&end)),
            None => self.range(table, Bound::Included(prefix), Bound::Unbounded),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<(Bytes, Bytes), TablesError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            RowsInner::Memory(rows) => rows.next().map(Ok),
            RowsInner::Fjall(rows) => rows.next(),
        }
    }
}

impl DoubleEndedIterator for Rows {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            RowsInner::Memory(rows) => rows.next_back().map(Ok),
            RowsInner::Fjall(rows) => rows.next_back(),
        }
    }
}

/// The first key after all that start with `prefix`, unless there is none.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
