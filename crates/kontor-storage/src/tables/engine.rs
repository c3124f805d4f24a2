//! Tables on disk, by fjall: one keyspace per table.
//!
//! What was found in the source of fjall 3.1, and what is done about it:
//! - A batch goes to fjall's own log first, as one record with a checksum, and a table's rows are
//!   written out to a file only after that log was synced. So whatever a crash leaves is a prefix of
//!   the batches, over all tables. Here a batch stays in the log's buffer in the process (8 KiB) until
//!   the next fills it: `kill -9` loses the newest few.
//! - A tear in the middle of that log reads as damage or as its end. As its end it shortens tables that
//!   were not written out yet and not the others. The log that is read was synced before anything that
//!   depends on it, so this takes a disk that loses synced bytes.
//! - A table that is full asks for its turn with every further batch, in a queue of 1000 that the only
//!   worker also writes to: it locks up when the queue is full. And a writer that finds four full
//!   memtables waits for the worker without asking whether it still lives. So fjall is never asked to
//!   watch the size of a table; [`Pace`] does, and stays below four.
//! - The log remembers that a table was cleared, and clears it again at every open for as long as it
//!   keeps that record: also of rows that were ingested since, which no log holds. So a table is cleared
//!   by making it anew under its name; records about the old one are passed over.
//! - Ingested rows are synced before they are seen, and are no part of the log: they survive a crash
//!   that batches before them do not.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fjall::config::{FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Error, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable};

use super::memory::is_empty;
use super::{Table, TablesError};

/// How much memory the tables may use.
#[derive(Clone, Copy, Debug)]
pub struct TablesOptions {
    /// Blocks of the disk files that stay in memory.
    pub cache_bytes: u64,
    /// Rows of one table that the engine keeps in memory before they are written out to a file. More makes
    /// writing cheaper; less makes reading rows that were just written cheaper.
    pub memtable_bytes: u64,
}

impl Default for TablesOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, memtable_bytes: 4 << 20 }
    }
}

/// While this many memtables of a table wait to be written out, no more are added. fjall's worker syncs
/// the log and then writes out all memtables that wait, also one that was added since: its newest rows
/// may still be in the log's buffer, and after a kill this table would be ahead of the others. And at
/// four a writer of fjall waits, perhaps for ever.
const WAITING_MEMTABLES_MAX: usize = 1;
/// A memtable that cannot be handed over grows up to this many times its size before writers wait.
const OVERSIZE_MAX: u64 = 8;
/// A table that is hardly written to is written out after this much was written to all, so that fjall
/// can drop the log before it. It reads its log at open; it begins a new one after 64 MB at the least.
const LOG_BYTES_MAX: u64 = 24 << 20;
/// How long to wait before asking again whether the worker made progress.
const POLL: Duration = Duration::from_millis(2);

/// Every setting of the database that is not fjall's own.
fn open_database(dir: &Path, options: TablesOptions) -> Result<Database, Error> {
    Database::builder(dir)
        .cache_size(options.cache_bytes)
        // One writer needs no more; a second worker cost as much processor time per batch, and would
        // take a second processor from the requests at once.
        .worker_threads(1)
        // No flush of the log after each change: the journal is what is durable.
        .manual_journal_persist(true)
        // The least that fjall takes: the log is read at open.
        .max_journaling_size(64 << 20)
        .open()
}

/// Every setting of a table that is not fjall's own. They are kept in the table when it is made.
fn table_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        // Every merge of new files rewrites most of what a table of random keys holds: twice as many files
        // before a merge halve the processor time of merging. Looking through more files costs less, as
        // their filters are in memory.
        .compaction_strategy(Arc::new(fjall::compaction::Leveled::default().with_l0_threshold(8)))
        // See [`Pace`].
        .max_memtable_size(u64::MAX)
        .manual_journal_persist(true)
        // Many reads look for what is not there, as a key that was never used; so filters are kept for
        // the last level too, and all of them in memory.
        .expect_point_read_hits(false)
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(fjall::config::BloomConstructionPolicy::BitsPerKey(
            10.0,
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
    pace: Mutex<Pace>,
}

struct EngineTable {
    name: String,
    /// Another one after the table was cleared.
    keyspace: RwLock<Keyspace>,
    /// Nothing has been written to it: spares the search in a table that is never used.
    is_empty: AtomicBool,
}

/// When the rows of a table that are in memory are written out.
struct Pace {
    memtable_bytes: u64,
    /// Written to all tables since they were opened, as far as it matters here.
    written: u64,
    tables: Vec<TablePace>,
}

#[derive(Clone, Copy, Default)]
struct TablePace {
    /// In the active memtable.
    bytes: u64,
    /// What [`Pace::written`] was when the active memtable got its first row.
    since: u64,
}

/// What fjall keeps beside the bytes of a row in memory, roughly.
const ROW_OVERHEAD_BYTES: usize = 64;

impl FjallTables {
    pub(super) fn open(dir: &Path, names: &[&str], options: TablesOptions) -> Result<Self, TablesError> {
        let fail = |source| error(dir, source);
        let database = open_database(dir, options).map_err(fail)?;
        let open_table = |name: &&str| {
            let keyspace = database.keyspace(name, table_options)?;
            let is_empty = AtomicBool::new(keyspace.is_empty()?);
            Ok(EngineTable { name: (*name).to_owned(), keyspace: RwLock::new(keyspace), is_empty })
        };
        let tables = names.iter().map(open_table).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let pace = Mutex::new(Pace {
            memtable_bytes: options.memtable_bytes,
            written: 0,
            tables: vec![TablePace::default(); names.len()],
        });
        let engine = Self { shared: Arc::new(Shared { database, tables, path: dir.to_owned(), pace }) };
        // What the log gave back is written out now, so that the next open need not read it again.
        for table in engine.all() {
            engine.hand_over(&engine.keyspace(table)).map_err(fail)?;
        }
        Ok(engine)
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        if self.is_empty(table) {
            return Ok(None);
        }
        let value = self.keyspace(table).get(key);
        value.map(|value| value.map(Bytes::from)).map_err(|source| self.error(source))
    }

    pub(super) fn snapshot(&self) -> FjallSnapshot {
        FjallSnapshot { tables: self.clone(), snapshot: self.shared.database.snapshot() }
    }

    /// Whether nothing was ever written to a table since it was made.
    pub(super) fn is_empty(&self, table: Table) -> bool {
        self.table(table).is_empty.load(Ordering::Acquire)
    }

    /// Writes all of these rows or none; `None` deletes one.
    pub(super) fn write(&self, rows: Vec<(Table, Bytes, Option<Bytes>)>) -> Result<(), TablesError> {
        // Held over the write, so that writers take turns at waiting too.
        let mut pace = self.pace();
        let mut writes = OwnedWriteBatch::with_capacity(self.shared.database.clone(), rows.len());
        for (table, key, value) in rows {
            let keyspace = self.keyspace(table);
            self.table(table).is_empty.store(false, Ordering::Release);
            let value_bytes = value.as_ref().map_or(0, Bytes::len);
            pace.count(table, key.len() + value_bytes + ROW_OVERHEAD_BYTES);
            match value {
                Some(value) => writes.insert(&keyspace, key, value),
                None => writes.remove(&keyspace, key),
            }
        }
        let written = writes.commit().and_then(|()| self.keep_pace(&mut pace));
        written.map_err(|source| self.error(source))
    }

    /// Writes rows of one table, in the order of their keys, straight to a file of it. They are durable
    /// when this returns, whatever becomes of the batches before them.
    pub(super) fn ingest<'r>(
        &self,
        table: Table,
        rows: impl Iterator<Item = (&'r Bytes, Option<&'r Bytes>)>,
    ) -> Result<(), TablesError> {
        let ingest = || {
            let keyspace = self.keyspace(table);
            self.table(table).is_empty.store(false, Ordering::Release);
            let mut file = keyspace.start_ingestion()?;
            for (key, value) in rows {
                match value {
                    Some(value) => file.write(key.clone(), value.clone())?,
                    None => file.write_tombstone(key.clone())?,
                }
            }
            file.finish()
        };
        ingest().map_err(|source| self.error(source))
    }

    /// Deletes every row of `table`, at once and durably.
    pub(super) fn clear(&self, table: Table) -> Result<(), TablesError> {
        if self.is_empty(table) {
            return Ok(());
        }
        let mut pace = self.pace();
        pace.tables[usize::from(table.0)] = TablePace::default();
        let place = self.table(table);
        let mut keyspace = place.keyspace.write().expect("no code panics while it makes a table");
        let make_anew = || {
            self.shared.database.delete_keyspace(keyspace.clone())?;
            self.shared.database.keyspace(&place.name, table_options)
        };
        *keyspace = make_anew().map_err(|source| self.error(source))?;
        place.is_empty.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), TablesError> {
        let mut pace = self.pace();
        let flush = || {
            for table in self.all() {
                let keyspace = self.keyspace(table);
                self.wait_while(|| keyspace.sealed_memtable_count() >= WAITING_MEMTABLES_MAX)?;
                self.hand_over(&keyspace)?;
            }
            for table in self.all() {
                let keyspace = self.keyspace(table);
                self.wait_while(|| keyspace.sealed_memtable_count() > 0)?;
            }
            self.shared.database.persist(PersistMode::SyncAll)
        };
        flush().map_err(|source| self.error(source))?;
        pace.tables.fill(TablePace::default());
        Ok(())
    }

    /// Hands full memtables over to the worker, and waits for it if it is far behind.
    fn keep_pace(&self, pace: &mut Pace) -> Result<(), Error> {
        for (at, table) in self.all().zip(&mut pace.tables) {
            let is_full = table.bytes >= pace.memtable_bytes;
            let is_old = table.bytes > 0 && pace.written - table.since >= LOG_BYTES_MAX;
            if !is_full && !is_old {
                continue;
            }
            let keyspace = self.keyspace(at);
            let is_behind = || keyspace.sealed_memtable_count() >= WAITING_MEMTABLES_MAX;
            if table.bytes >= pace.memtable_bytes * OVERSIZE_MAX {
                self.wait_while(is_behind)?;
            }
            if !is_behind() {
                self.hand_over(&keyspace)?;
                *table = TablePace::default();
            }
        }
        Ok(())
    }

    fn hand_over(&self, keyspace: &Keyspace) -> Result<(), Error> {
        // False if the memtable is empty.
        let _is_handed_over: bool = keyspace.rotate_memtable()?;
        Ok(())
    }

    /// Waits for the worker; fails if it has given up.
    #[expect(clippy::disallowed_methods, reason = "fjall tells nobody when a memtable was written out")]
    fn wait_while(&self, is_behind: impl Fn() -> bool) -> Result<(), Error> {
        while is_behind() {
            self.shared.database.persist(PersistMode::Buffer)?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.shared.pace.lock().expect("no code panics while it writes")
    }

    fn all(&self) -> impl Iterator<Item = Table> {
        (0..=u8::MAX).map(Table).take(self.shared.tables.len())
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

impl Pace {
    fn count(&mut self, table: Table, bytes: usize) {
        let bytes = u64::try_from(bytes).expect("a usize fits");
        let table = &mut self.tables[usize::from(table.0)];
        if table.bytes == 0 {
            table.since = self.written;
        }
        table.bytes += bytes;
        self.written += bytes;
    }
}

/// The tables at one moment.
#[derive(Clone)]
pub(super) struct FjallSnapshot {
    tables: FjallTables,
    snapshot: fjall::Snapshot,
}

impl FjallSnapshot {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        if self.tables.is_empty(table) {
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
