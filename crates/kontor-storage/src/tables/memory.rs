//! Tables in memory, with versions of rows for as long as a snapshot needs them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::{Batch, Change, Table};

/// Tables in memory. A clone is the same tables.
#[derive(Clone)]
pub struct MemoryTables {
    state: Arc<RwLock<State>>,
}

struct State {
    tables: Vec<BTreeMap<Bytes, Versions>>,
    /// The number of the last batch.
    version: u64,
    /// How many snapshots are held of each version.
    held: BTreeMap<u64, usize>,
    /// Deleted rows, by version, that stay until no snapshot is older.
    deleted: VecDeque<(u64, Table, Bytes)>,
}

/// Oldest first; `None` is a deleted row.
type Versions = Vec<(u64, Option<Bytes>)>;

impl MemoryTables {
    pub(super) fn new(tables: usize) -> Self {
        Self {
            state: Arc::new(RwLock::new(State {
                tables: vec![BTreeMap::new(); tables],
                version: 0,
                held: BTreeMap::new(),
                deleted: VecDeque::new(),
            })),
        }
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        let state = self.read();
        let versions = state.table(table).get(key)?;
        versions.last()?.1.clone()
    }

    pub(super) fn snapshot(&self) -> MemorySnapshot {
        let mut state = self.lock();
        let version = state.version;
        *state.held.entry(version).or_default() += 1;
        drop(state);
        MemorySnapshot { hold: Arc::new(Hold { tables: self.clone(), version }) }
    }

    pub(super) fn write(&self, batch: Batch) {
        self.lock().write(batch.changes);
    }

    pub(super) fn clear(&self, table: Table) {
        let mut state = self.lock();
        let changes = state
            .table(table)
            .keys()
            .map(|key| Change { table, key: key.clone(), value: None, runs_ahead: false })
            .collect();
        state.write(changes);
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("no code panics while it changes the tables")
    }

    fn lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no code panics while it changes the tables")
    }
}

impl State {
    fn table(&self, table: Table) -> &BTreeMap<Bytes, Versions> {
        &self.tables[usize::from(table.0)]
    }

    fn write(&mut self, changes: Vec<Change>) {
        for change in &changes {
            // Before anything changes, so that a panic here leaves the tables whole.
            assert!(usize::from(change.table.0) < self.tables.len());
        }
        let version = self.version + 1;
        self.version = version;
        let oldest = self.oldest_held();
        for Change { table, key, value, .. } in changes {
            if value.is_none() {
                self.deleted.push_back((version, table, key.clone()));
            }
            let versions = self.tables[usize::from(table.0)].entry(key).or_default();
            if versions.last().is_some_and(|(last, _)| *last == version) {
                versions.pop();
            }
            versions.push((version, value));
            forget(versions, oldest);
        }
        while let Some((_, table, key)) = self.deleted.pop_front_if(|(at, _, _)| *at <= oldest) {
            let rows = &mut self.tables[usize::from(table.0)];
            if let Some(versions) = rows.get_mut(&key) {
                forget(versions, oldest);
                if let [(_, None)] = versions.as_slice() {
                    rows.remove(&key);
                }
            }
        }
    }

    /// No snapshot, present or future, looks at anything before this version.
    fn oldest_held(&self) -> u64 {
        self.held.first_key_value().map_or(self.version, |(version, _)| *version)
    }
}

/// Drops the versions that nobody at `oldest` or later can see.
fn forget(versions: &mut Versions, oldest: u64) {
    let visible_at_oldest = versions.iter().rposition(|(at, _)| *at <= oldest);
    versions.drain(..visible_at_oldest.unwrap_or(0));
}

/// The tables at one version.
#[derive(Clone)]
pub(super) struct MemorySnapshot {
    hold: Arc<Hold>,
}

/// Keeps the versions of a snapshot alive.
struct Hold {
    tables: MemoryTables,
    version: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.tables.lock();
        let version = self.version;
        if let Some(count) = state.held.get_mut(&version) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&version);
            }
        }
    }
}

impl MemorySnapshot {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        let state = self.hold.tables.read();
        visible(state.table(table).get(key)?, self.hold.version)
    }

    pub(super) fn range(&self, table: Table, start: Bound<Bytes>, end: Bound<Bytes>) -> MemoryRows {
        assert!(usize::from(table.0) < self.hold.tables.read().tables.len());
        MemoryRows { snapshot: self.clone(), table, start, end }
    }
}

fn visible(versions: &Versions, at: u64) -> Option<Bytes> {
    let seen = versions.iter().rev().find(|(version, _)| *version <= at);
    seen.and_then(|(_, value)| value.clone())
}

/// Rows of a [`MemorySnapshot`]. Looks up its place at every step, so that no lock is held between.
pub(super) struct MemoryRows {
    snapshot: MemorySnapshot,
    table: Table,
    start: Bound<Bytes>,
    end: Bound<Bytes>,
}

impl MemoryRows {
    fn step(&mut self, from_back: bool) -> Option<(Bytes, Bytes)> {
        if is_empty(&self.start, &self.end) {
            return None;
        }
        let hold = &self.snapshot.hold;
        let state = hold.tables.read();
        let mut rows = state.table(self.table).range((self.start.clone(), self.end.clone()));
        loop {
            let (key, versions) = if from_back { rows.next_back()? } else { rows.next()? };
            if let Some(value) = visible(versions, hold.version) {
                let passed = Bound::Excluded(key.clone());
                if from_back {
                    self.end = passed;
                } else {
                    self.start = passed;
                }
                return Some((key.clone(), value));
            }
        }
    }
}

impl Iterator for MemoryRows {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl DoubleEndedIterator for MemoryRows {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

/// `BTreeMap::range` panics where a reader means "nothing".
pub(super) fn is_empty(start: &Bound<Bytes>, end: &Bound<Bytes>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => start >= end,
    }
}
