//! Tables on disk, by fjall: one keyspace per table, written by ingesting sorted rows and in no other way.
//!
//! What was found in the source of fjall 3.1, and what is done about it:
//! - Ingested rows are synced before they are seen, and are no part of fjall's log. They are all there
//!   after a crash, or none of them; several tables are another matter, see `handover.rs`.
//! - The log is read wholly at every open, up to 64 MB and some 16 ms a megabyte. It is cut only when it is
//!   full. So nothing is ever written to it; tables whose log holds something are of an earlier version,
//!   and are built again.
//! - The log remembers that a table was cleared, and clears it again at every open, also of rows that were
//!   ingested since. So a table is cleared by making it anew under its name.
//! - Writers of fjall wait for its only worker in ways that can lock up. Ingesting waits for nothing but
//!   the end of a merge's last step.

use std::io::Read;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::{fs, io};

use bytes::Bytes;
use fjall::config::{FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Error, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::key_filter::Trace;
use super::known_keys::KnownKeys;
use super::memory::is_empty;
use super::{Table, TablesError};

/// How much memory the tables may use.
#[derive(Clone, Copy, Debug)]
pub struct TablesOptions {
    /// Blocks of the disk files that stay in memory.
    pub cache_bytes: u64,
    /// Rows written lately that are kept in memory before they are moved to files. More makes writing
    /// cheaper; less makes a start after a kill quicker, which folds up to three times this again.
    pub layer_bytes: u64,
    /// What each table is used for.
    pub usage: fn(Table) -> Usage,
}

/// What a table is used for, which says how its files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Rows are looked up, and most are there.
    Rows,
    /// Rows are added all the time, and seldom read, in ranges.
    Ledger,
    /// Rows are added all the time, and most keys that are looked for are not there. Which keys there are is
    /// kept in memory, some two bytes for each, up to 16 million.
    FreshKeys,
}

impl Default for TablesOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, layer_bytes: 32 << 20, usage: |_| Usage::Rows }
    }
}

/// Files that are kept open; others are opened when they are looked into. Whoever counts open files leaves room
/// for them.
const FILES_OPEN_MAX: usize = 384;

/// Every setting of the database that is not fjall's own.
fn open_database(dir: &Path, options: TablesOptions) -> Result<Database, Error> {
    Database::builder(dir)
        .cache_size(options.cache_bytes)
        .max_cached_files(Some(FILES_OPEN_MAX))
        // One writer needs no more; a second worker cost as much processor time per batch, and would
        // take a second processor from the requests at once.
        .worker_threads(1)
        .open()
}

/// How many new files there are before they are merged with the older ones, and how large merged files are.
///
/// There is a new file with every layer, and every merge rewrites most of what a table of random keys holds:
/// with a million rows and 16 files it took 7 µs of processor time per four rows, with 8 files 12. More files cost
/// whoever looks into them: a look into its filter each for whoever looks for a key, and a block each for whoever
/// reads a range. The older ones are merged into further levels when they are as many times larger than the new
/// ones as one merged file is than one new one.
fn files(usage: Usage) -> (u8, u64) {
    match usage {
        Usage::Rows => (16, 32 << 20),
        Usage::Ledger => (32, 16 << 20),
        Usage::FreshKeys => (64, 32 << 20),
    }
}

/// Every setting of a table that is not fjall's own. They are kept in the table when it is made.
fn table_options(usage: Usage) -> KeyspaceCreateOptions {
    let (new_files, merged_bytes) = files(usage);
    KeyspaceCreateOptions::default()
        .compaction_strategy(Arc::new(
            fjall::compaction::Leveled::default().with_l0_threshold(new_files).with_table_target_size(merged_bytes),
        ))
        // Many reads look for what is not there, so filters are kept for the last level too; those of new files
        // are in the cache of blocks, the others always in memory. With 10 bits a key every hundredth file was
        // read for nothing; of the twenty that a table has in busy hours, that is one in every fifth read.
        .expect_point_read_hits(false)
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(fjall::config::BloomConstructionPolicy::BitsPerKey(
            16.0,
        ))))
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
}

/// The engine's tables. A clone is the same tables.
#[derive(Clone)]
pub(super) struct FjallTables {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    tables: Vec<EngineTable>,
    path: PathBuf,
}

struct EngineTable {
    name: String,
    /// Another one after the table was cleared.
    keyspace: RwLock<Keyspace>,
    /// Nothing has been written to it: spares the search in a table that is never used.
    is_empty: AtomicBool,
    usage: Usage,
    /// Its keys, if it is one of those of fresh keys.
    known: Option<KnownKeys>,
}

impl FjallTables {
    pub(super) fn open(dir: &Path, names: &[&str], options: TablesOptions) -> Result<Self, TablesError> {
        let fail = |source| error(dir, source);
        if log_holds_something(dir).map_err(|source| TablesError::Io { path: dir.to_owned(), source })? {
            let source = "the engine's log is not empty: an earlier version made them".into();
            return Err(TablesError::Damaged { path: dir.to_owned(), source });
        }
        let database = open_database(dir, options).map_err(fail)?;
        let open_table = |(table, name): (Table, &&str)| {
            let usage = (options.usage)(table);
            let keyspace = database.keyspace(name, || table_options(usage))?;
            let is_empty = keyspace.is_empty()?;
            let known = match usage {
                Usage::FreshKeys => Some(KnownKeys::open(&database, name, is_empty)?),
                Usage::Rows | Usage::Ledger => KnownKeys::forget(&database, name).map(|()| None)?,
            };
            let (name, keyspace) = ((*name).to_owned(), RwLock::new(keyspace));
            Ok(EngineTable { name, keyspace, is_empty: AtomicBool::new(is_empty), usage, known })
        };
        let tables =
            (0..=u8::MAX).map(Table).zip(names).map(open_table).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        Ok(Self { shared: Arc::new(Shared { database, tables, path: dir.to_owned() }) })
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        if self.lacks(table, key) {
            return Ok(None);
        }
        let value = self.keyspace(table).get(key);
        value.map(|value| value.map(Bytes::from)).map_err(|source| self.error(source))
    }

    pub(super) fn snapshot(&self) -> FjallSnapshot {
        FjallSnapshot { tables: self.clone(), snapshot: self.shared.database.snapshot() }
    }

    /// Learns the keys that a table of fresh keys had when it was opened, until it is told to stop.
    pub(super) fn learn_keys(&self, table: Table, is_closing: &AtomicBool) -> Result<(), TablesError> {
        let known = self.table(table).known.as_ref();
        known.map_or(Ok(()), |known| known.learn(is_closing)).map_err(|source| self.error(source))
    }

    /// Whether a key is certainly not in a table.
    fn lacks(&self, table: Table, key: &[u8]) -> bool {
        self.is_empty(table) || self.table(table).known.as_ref().is_some_and(|known| known.lacks(key))
    }

    /// Whether nothing was ever written to a table since it was made.
    pub(super) fn is_empty(&self, table: Table) -> bool {
        self.table(table).is_empty.load(Ordering::Acquire)
    }

    /// Writes rows of one table, in the order of their keys, straight to a file of it: all of them
    /// or none. They are durable when this returns.
    pub(super) fn ingest<'r>(
        &self,
        table: Table,
        rows: impl Iterator<Item = (&'r Bytes, Option<&'r Bytes>)>,
    ) -> Result<(), TablesError> {
        let ingest = || {
            // A merge that failed has ended the engine's thread, which only this tells: files are read as before,
            // and would be added for ever.
            self.shared.database.persist(PersistMode::Buffer)?;
            let keyspace = self.keyspace(table);
            let EngineTable { is_empty, known, .. } = self.table(table);
            is_empty.store(false, Ordering::Release);
            let mut traces = Vec::new();
            let mut file = keyspace.start_ingestion()?;
            for (key, value) in rows {
                if known.is_some() {
                    traces.push(Trace::of(key));
                }
                match value {
                    Some(value) => file.write(key.clone(), value.clone())?,
                    None => file.write_tombstone(key.clone())?,
                }
            }
            if let Some(known) = known {
                known.note(&traces)?;
            }
            file.finish()
        };
        ingest().map_err(|source| self.error(source))
    }

    /// Deletes every row of `table`, at once and durably.
    pub(super) fn clear(&self, table: Table) -> Result<(), TablesError> {
        let place = self.table(table);
        if !self.is_empty(table) {
            let mut keyspace = place.keyspace.write().expect("no code panics while it makes a table");
            let make_anew = || {
                self.shared.database.delete_keyspace(keyspace.clone())?;
                self.shared.database.keyspace(&place.name, || table_options(place.usage))
            };
            *keyspace = make_anew().map_err(|source| self.error(source))?;
            place.is_empty.store(true, Ordering::Release);
        }
        // Also of an empty table: a crash may have left what was known of rows that were cleared.
        let cleared = place.known.as_ref().map_or(Ok(()), |known| known.clear(&self.shared.database));
        cleared.map_err(|source| self.error(source))
    }

    /// The name of a table.
    pub(super) fn name(&self, table: Table) -> &str {
        &self.table(table).name
    }

    /// The table of a name.
    pub(super) fn named(&self, name: &str) -> Option<Table> {
        let at = self.shared.tables.iter().position(|table| table.name == name)?;
        u8::try_from(at).ok().map(Table)
    }

    /// The directory of the tables.
    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    fn table(&self, table: Table) -> &EngineTable {
        &self.shared.tables[usize::from(table.0)]
    }

    fn keyspace(&self, table: Table) -> RwLockReadGuard<'_, Keyspace> {
        self.table(table).keyspace.read().expect("no code panics while it makes a table")
    }

    /// Nothing is written any more.
    pub(super) fn poisoned(&self) -> TablesError {
        self.error(Error::Poisoned)
    }

    fn error(&self, source: Error) -> TablesError {
        error(&self.shared.path, source)
    }
}

/// Whether the engine would find anything in its log at open. A log that was never written to holds zeros.
fn log_holds_something(dir: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let mut first = [0];
            let read = fs::File::open(&path)?.read(&mut first)?;
            if read > 0 && first != [0] {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The tables at one moment.
#[derive(Clone)]
pub(super) struct FjallSnapshot {
    tables: FjallTables,
    snapshot: fjall::Snapshot,
}

impl FjallSnapshot {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        if self.tables.lacks(table, key) {
            return Ok(None);
        }
        let value = self.snapshot.get(&*self.tables.keyspace(table), key);
        value.map(|value| value.map(Bytes::from)).map_err(|source| self.tables.error(source))
    }

    pub(super) fn range(&self, table: Table, start: Bound<Bytes>, end: Bound<Bytes>) -> FjallRows {
        let has_rows = !self.tables.is_empty(table) && !is_empty(&start, &end);
        let rows = has_rows.then(|| self.snapshot.range(&*self.tables.keyspace(table), (start, end)));
        FjallRows { rows, tables: self.tables.clone() }
    }
}

/// Rows of a [`FjallSnapshot`].
pub(super) struct FjallRows {
    rows: Option<fjall::Iter>,
    tables: FjallTables,
}

impl FjallRows {
    fn row(&self, guard: fjall::Guard) -> Result<(Bytes, Bytes), TablesError> {
        let (key, value) = guard.into_inner().map_err(|source| self.tables.error(source))?;
        Ok((key.into(), value.into()))
    }
}

impl Iterator for FjallRows {
    type Item = Result<(Bytes, Bytes), TablesError>;

    fn next(&mut self) -> Option<Self::Item> {
        let guard = self.rows.as_mut()?.next()?;
        Some(self.row(guard))
    }
}

impl DoubleEndedIterator for FjallRows {
    fn next_back(&mut self) -> Option<Self::Item> {
        let guard = self.rows.as_mut()?.next_back()?;
        Some(self.row(guard))
    }
}

/// Damage is all that says that bytes are not what was written; also where fjall has no better word than
/// that a file ended early.
fn error(path: &Path, source: Error) -> TablesError {
    let path = path.to_owned();
    match source {
        Error::Io(source) | Error::Storage(fjall::LsmError::Io(source))
            if source.kind() != std::io::ErrorKind::UnexpectedEof
                && source.kind() != std::io::ErrorKind::InvalidData
                && source.kind() != std::io::ErrorKind::NotFound =>
        {
            TablesError::Io { path, source }
        }
        Error::Locked => TablesError::Locked { path },
        Error::Poisoned => TablesError::Poisoned { path },
        other => TablesError::Damaged { path, source: Box::new(other) },
    }
}
