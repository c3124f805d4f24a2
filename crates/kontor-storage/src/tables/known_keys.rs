//! Which keys a table may have, known without looking into it: in memory, and beside the table on disk, so
//! that a start has them again in a moment.
//!
//! The traces of eight million keys are read in a second of processor time; the rows of a million took two.
//!
//! ```text
//! number u64 big-endian ─► traces, eight bytes each, little-endian
//! 0                     ─► FORMAT: all keys that the table ever had have left their traces in this format
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard};

use fjall::{Database, Error, Keyspace, KeyspaceCreateOptions};

use super::key_filter::{KeyFilter, Trace};

/// How traces are made and written.
const FORMAT: &[u8] = b"xxh3-64 le";
/// The number of the row that says so.
const FORMAT_AT: u64 = 0;
/// Traces in one row: 64 KiB.
const TRACES_PER_ROW: usize = 8192;

/// The keys of one table.
pub(super) struct KnownKeys {
    name: String,
    filter: KeyFilter,
    /// Another one after the table was cleared.
    traces: RwLock<Keyspace>,
    /// Whether every key of the table has left its trace.
    are_all_traced: AtomicBool,
    /// The number of the next row.
    next: AtomicU64,
}

impl KnownKeys {
    /// The keys of a table of this name, which may have had some before they were traced.
    pub(super) fn open(database: &Database, table: &str, is_empty: bool) -> Result<Self, Error> {
        let name = name(table);
        let traces = database.keyspace(&name, KeyspaceCreateOptions::default)?;
        let is_in_format = traces.get(FORMAT_AT.to_be_bytes())?.is_some_and(|format| *format == *FORMAT);
        let last = traces.last_key_value().map(|row| row.key()).transpose()?;
        let last = last.and_then(|key| key.as_ref().try_into().ok().map(u64::from_be_bytes));
        Ok(Self {
            name,
            filter: KeyFilter::new(),
            traces: RwLock::new(traces),
            are_all_traced: AtomicBool::new(is_in_format || (is_empty && last.is_none())),
            next: AtomicU64::new(last.map_or(FORMAT_AT, |last| last + 1)),
        })
    }

    /// Forgets the traces of a table that is opened without keeping them up: what it is given now leaves none.
    pub(super) fn forget(database: &Database, table: &str) -> Result<(), Error> {
        let name = name(table);
        if !database.keyspace_exists(&name) {
            return Ok(());
        }
        database.delete_keyspace(database.keyspace(&name, KeyspaceCreateOptions::default)?)
    }

    /// Whether a key is certainly not in the table.
    pub(super) fn lacks(&self, key: &[u8]) -> bool {
        self.filter.lacks(key)
    }

    /// Reads the traces that were left before the start, until it is told to stop. A table of which some are
    /// missing is looked into until it was cleared.
    pub(super) fn learn(&self, is_closing: &AtomicBool) -> Result<(), Error> {
        if !self.are_all_traced.load(Ordering::Acquire) {
            return Ok(());
        }
        let traces = self.traces().clone();
        for (number, row) in (FORMAT_AT + 1..).zip(traces.range((FORMAT_AT + 1).to_be_bytes()..)) {
            let (key, row) = row.into_inner()?;
            let (traces, rest) = row.as_chunks::<{ size_of::<u64>() }>();
            if *key != number.to_be_bytes() || !rest.is_empty() {
                tracing::warn!(name = self.name, number, "Traces of keys are missing: the table is looked into");
                return Ok(());
            }
            traces.iter().for_each(|trace| self.filter.add(Trace(u64::from_le_bytes(*trace))));
            if is_closing.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        self.filter.knows_all();
        Ok(())
    }

    /// Notes keys durably, before they can be found in the table. If the table never gets them, they are
    /// looked for in vain.
    pub(super) fn note(&self, keys: &[Trace]) -> Result<(), Error> {
        if !self.are_all_traced.load(Ordering::Acquire) {
            return Ok(());
        }
        let first = self.next.load(Ordering::Relaxed);
        let format = (first == FORMAT_AT).then(|| FORMAT.to_vec());
        let bytes = |traces: &[Trace]| traces.iter().flat_map(|trace| trace.0.to_le_bytes()).collect::<Vec<u8>>();
        let traces = self.traces();
        let mut file = traces.start_ingestion()?;
        let mut next = first;
        for row in format.into_iter().chain(keys.chunks(TRACES_PER_ROW).map(bytes)) {
            file.write(next.to_be_bytes(), row)?;
            next += 1;
        }
        file.finish()?;
        self.next.store(next, Ordering::Relaxed);
        keys.iter().for_each(|key| self.filter.add(*key));
        Ok(())
    }

    /// The table is empty now.
    pub(super) fn clear(&self, database: &Database) -> Result<(), Error> {
        if self.next.load(Ordering::Relaxed) == FORMAT_AT && self.are_all_traced.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut traces = self.traces.write().expect("no code panics while it makes a keyspace");
        database.delete_keyspace(traces.clone())?;
        *traces = database.keyspace(&self.name, KeyspaceCreateOptions::default)?;
        self.next.store(FORMAT_AT, Ordering::Relaxed);
        self.are_all_traced.store(true, Ordering::Release);
        self.filter.clear();
        Ok(())
    }

    fn traces(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.traces.read().expect("no code panics while it makes a keyspace")
    }
}

/// Of the keyspace with the traces of a table.
fn name(table: &str) -> String {
    format!("{table}.keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    static CALM: AtomicBool = AtomicBool::new(false);

    fn database(dir: &std::path::Path) -> Database {
        Database::builder(dir).worker_threads(1).open().expect("a directory")
    }

    fn traces(names: &[&str]) -> Vec<Trace> {
        names.iter().map(|name| Trace::of(name.as_bytes())).collect()
    }

    fn opened(database: &Database, is_empty: bool) -> KnownKeys {
        let keys = KnownKeys::open(database, "orders", is_empty).expect("sound");
        assert!(!keys.lacks(b"never used"), "nothing is known before it is learned");
        keys.learn(&CALM).expect("sound");
        keys
    }

    #[test]
    fn keys_are_known_again_after_every_start_until_the_table_is_cleared() {
        let dir = tempfile::tempdir().expect("a directory");
        {
            let database = database(dir.path());
            let keys = opened(&database, true);
            assert!(keys.lacks(b"a"));
            keys.note(&traces(&["a"])).expect("room");
            assert!(!keys.lacks(b"a") && keys.lacks(b"b"));
        }
        {
            let database = database(dir.path());
            let keys = opened(&database, false);
            let many: Vec<String> = (0..3 * TRACES_PER_ROW).map(|number| number.to_string()).collect();
            keys.note(&traces(&many.iter().map(String::as_str).collect::<Vec<_>>())).expect("room");
        }
        let database = database(dir.path());
        let keys = opened(&database, false);
        assert!(["a", "0", "24575"].iter().all(|name| !keys.lacks(name.as_bytes())));
        assert!(keys.lacks(b"b"));
        keys.clear(&database).expect("room");
        assert!(keys.lacks(b"a"));
        keys.note(&traces(&["b"])).expect("room");
        drop(keys);
        let keys = opened(&database, false);
        assert!(keys.lacks(b"a") && !keys.lacks(b"b"));
    }

    #[test]
    fn a_table_that_had_keys_before_they_were_traced_is_looked_into_until_it_is_cleared() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = database(dir.path());
        for _ in 0..2 {
            let keys = opened(&database, false);
            assert!(!keys.lacks(b"never used"));
            keys.note(&traces(&["a"])).expect("room");
        }
        let keys = opened(&database, false);
        keys.clear(&database).expect("room");
        assert!(keys.lacks(b"never used"));
    }

    #[test]
    fn whoever_opens_the_table_without_its_keys_makes_it_be_looked_into() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = database(dir.path());
        KnownKeys::forget(&database, "orders").expect("nothing to forget");
        let keys = opened(&database, true);
        keys.note(&traces(&["a"])).expect("room");
        drop(keys);
        KnownKeys::forget(&database, "orders").expect("room");
        assert!(!opened(&database, false).lacks(b"never used"));
    }
}
