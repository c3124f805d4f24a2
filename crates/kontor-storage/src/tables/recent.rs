//! Rows that were written lately and are still in memory, before they are moved to the engine in bulk.
//!
//! A row keeps its older versions for as long as a snapshot may look at them, or until all rows are
//! moved. A row that nobody took a snapshot of is replaced in place, so that a popular one takes no room.
//!
//! Rows are found by the hash of their key until somebody reads a range of the table; from then on they
//! are kept in order. Most tables are looked up row by row, and putting rows in order one by one costs
//! several times as much as sorting all of them when they are moved.

use std::collections::{BTreeMap, HashMap, btree_map, hash_map};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::memory::is_empty;
use super::{Change, Table};

/// Rows of all tables that were written in one span of time.
pub(super) struct Recent {
    tables: Box<[RecentTable]>,
}

#[derive(Default)]
struct RecentTable {
    rows: RwLock<RecentRows>,
    /// Whether anything was ever done to the table. Spares the lock for those to which nothing was.
    is_touched: AtomicBool,
}

/// Rows of one table.
#[derive(Default)]
pub(super) struct RecentRows {
    rows: Rows,
    /// Rows of the table that were written before these are deleted.
    pub(super) is_cleared: bool,
    /// Whether some row may not survive a crash that its batch does not: see [`super::Batch::put_ahead`].
    pub(super) is_exact: bool,
}

enum Rows {
    ByHash(HashMap<Bytes, Versions>),
    InOrder(BTreeMap<Bytes, Versions>),
}

struct Versions {
    version: u64,
    value: Option<Bytes>,
    /// Oldest first.
    older: Vec<(u64, Option<Bytes>)>,
}

/// What a row takes in memory beside its bytes: its place in the map, and its allocations.
const ROW_OVERHEAD_BYTES: usize = 160;
/// Rows that are put in while readers of the table wait: some ten microseconds of waiting.
const ROWS_PER_LOCK: usize = 32;

impl Recent {
    pub(super) fn new(tables: usize) -> Self {
        Self { tables: std::iter::repeat_with(RecentTable::default).take(tables).collect() }
    }

    /// Nothing yet, with room for as many rows as these: a map that grows moves all it holds, again and again.
    pub(super) fn after(before: &Self) -> Self {
        let like = |table: &RecentTable| {
            let rows = Rows::ByHash(HashMap::with_capacity(table.read().len()));
            RecentTable { rows: RwLock::new(RecentRows { rows, ..RecentRows::default() }), ..RecentTable::default() }
        };
        Self { tables: before.tables.iter().map(like).collect() }
    }

    /// Puts in rows as of `version`, greater than all before. `seen` is the newest version that a
    /// snapshot was taken of. Returns how many bytes of memory they take.
    pub(super) fn put(&self, changes: Vec<Change>, version: u64, seen: u64) -> u64 {
        let mut bytes = 0;
        let mut changes = changes.into_iter().peekable();
        while let Some(Change { table, .. }) = changes.peek() {
            let (table, mut left) = (*table, ROWS_PER_LOCK);
            let place = &self.tables[usize::from(table.0)];
            place.is_touched.store(true, Ordering::Release);
            let mut rows = place.lock();
            while let Some(change) = changes.next_if(|change| left > 0 && change.table == table) {
                left -= 1;
                bytes += rows.put(change, version, seen);
            }
        }
        u64::try_from(bytes).expect("a usize fits")
    }

    /// Forgets the rows of a table, here and below.
    pub(super) fn clear(&self, table: Table) {
        let place = &self.tables[usize::from(table.0)];
        place.is_touched.store(true, Ordering::Release);
        *place.lock() = RecentRows { is_cleared: true, ..RecentRows::default() };
    }

    /// What is known here of a row as of `version`: its value, or that it has none. `None` if one has
    /// to look further below.
    pub(super) fn get(&self, table: Table, key: &[u8], version: u64) -> Option<Option<Bytes>> {
        let rows = self.table(table)?;
        let found = match &rows.rows {
            Rows::ByHash(rows) => rows.get(key),
            Rows::InOrder(rows) => rows.get(key),
        };
        let found = found.and_then(|versions| versions.at(version));
        match found {
            Some(value) => Some(value.clone()),
            None if rows.is_cleared => Some(None),
            None => None,
        }
    }

    /// Puts the rows of a table in order, and keeps them so.
    fn sort(&self, table: Table) {
        let mut rows = self.tables[usize::from(table.0)].lock();
        if let Rows::ByHash(by_hash) = &mut rows.rows {
            rows.rows = Rows::InOrder(std::mem::take(by_hash).into_iter().collect());
        }
    }

    /// The rows of a table as they are now, if anything was done to it.
    pub(super) fn table(&self, table: Table) -> Option<RwLockReadGuard<'_, RecentRows>> {
        let place = &self.tables[usize::from(table.0)];
        let is_touched = place.is_touched.load(Ordering::Acquire);
        is_touched.then(|| place.read())
    }
}

impl RecentTable {
    fn read(&self) -> RwLockReadGuard<'_, RecentRows> {
        self.rows.read().expect("no code panics while it puts rows in")
    }

    fn lock(&self) -> RwLockWriteGuard<'_, RecentRows> {
        self.rows.write().expect("no code panics while it puts rows in")
    }
}

impl RecentRows {
    /// The newest rows in the order of their keys; `None` is a deleted row.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&Bytes, Option<&Bytes>)> {
        let mut sorted: Vec<(&Bytes, &Versions)>;
        sorted = match &self.rows {
            Rows::ByHash(rows) => rows.iter().collect(),
            Rows::InOrder(rows) => rows.iter().collect(),
        };
        sorted.sort_unstable_by_key(|(key, _)| *key);
        sorted.into_iter().map(|(key, versions)| (key, versions.value.as_ref()))
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        match &self.rows {
            Rows::ByHash(rows) => rows.len(),
            Rows::InOrder(rows) => rows.len(),
        }
    }

    fn put(&mut self, change: Change, version: u64, seen: u64) -> usize {
        let Change { key, value, runs_ahead, .. } = change;
        self.is_exact |= !runs_ahead;
        let bytes = key.len() + value.as_ref().map_or(0, Bytes::len) + ROW_OVERHEAD_BYTES;
        let before = match &mut self.rows {
            Rows::ByHash(rows) => match rows.entry(key) {
                hash_map::Entry::Occupied(before) => before.into_mut(),
                hash_map::Entry::Vacant(place) => {
                    place.insert(Versions::first(version, value));
                    return bytes;
                }
            },
            Rows::InOrder(rows) => match rows.entry(key) {
                btree_map::Entry::Occupied(before) => before.into_mut(),
                btree_map::Entry::Vacant(place) => {
                    place.insert(Versions::first(version, value));
                    return bytes;
                }
            },
        };
        if before.put(version, value, seen) { bytes } else { 0 }
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::ByHash(HashMap::new())
    }
}

impl Versions {
    fn first(version: u64, value: Option<Bytes>) -> Self {
        Self { version, value, older: Vec::new() }
    }

    /// Returns whether the row takes more memory than before.
    fn put(&mut self, version: u64, value: Option<Bytes>, seen: u64) -> bool {
        let before = std::mem::replace(&mut self.value, value);
        if self.version == version {
            return false;
        }
        // Of a version that is not the newest one no further snapshot can be taken.
        let is_replaced = self.older.pop_if(|(older, _)| *older > seen).is_some();
        self.older.push((self.version, before));
        self.version = version;
        !is_replaced
    }

    fn at(&self, version: u64) -> Option<&Option<Bytes>> {
        if self.version <= version {
            return Some(&self.value);
        }
        let older = self.older.iter().rfind(|(older, _)| *older <= version);
        older.map(|(_, value)| value)
    }
}

/// Rows of a range as of one version, from either end; `None` is a deleted row. Looks up its place at
/// every step, so that no lock is held between.
pub(super) struct RecentRange {
    recent: Arc<Recent>,
    table: Table,
    version: u64,
    start: Bound<Bytes>,
    end: Bound<Bytes>,
}

impl RecentRange {
    pub(super) fn new(recent: Arc<Recent>, table: Table, version: u64, start: Bound<Bytes>, end: Bound<Bytes>) -> Self {
        recent.sort(table);
        Self { recent, table, version, start, end }
    }

    fn step(&mut self, from_back: bool) -> Option<(Bytes, Option<Bytes>)> {
        if is_empty(&self.start, &self.end) {
            return None;
        }
        let rows = self.recent.table(self.table)?;
        // Not in order any more: the table was cleared since, and what it held is gone.
        let Rows::InOrder(rows) = &rows.rows else { return None };
        let mut range = rows.range((self.start.clone(), self.end.clone()));
        loop {
            let (key, versions) = if from_back { range.next_back()? } else { range.next()? };
            if let Some(value) = versions.at(self.version) {
                let passed = Bound::Excluded(key.clone());
                let row = (key.clone(), value.clone());
                if from_back {
                    self.end = passed;
                } else {
                    self.start = passed;
                }
                return Some(row);
            }
        }
    }
}

impl Iterator for RecentRange {
    type Item = (Bytes, Option<Bytes>);

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl DoubleEndedIterator for RecentRange {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}
