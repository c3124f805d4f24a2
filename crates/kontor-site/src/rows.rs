//! The core's rows on the storage's tables: what the writer sees, and what readers see.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use kontor_core::id::SiteId;
use kontor_core::overlay::Changes;
use kontor_core::record::{TABLE_NAMES, Table};
use kontor_core::view::{KeyRange, View, ViewError};
use kontor_storage::tables::{self, Batch, Snapshot, Tables, TablesError, Usage};
use quick_cache::unsync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::limits::ROW_CACHE_BYTES;

/// Opens tables of the core's names in memory.
pub fn in_memory() -> Tables {
    Tables::memory(&TABLE_NAMES)
}

/// What the writer sees: the tables, and popular rows in memory before them.
pub struct WriterRows {
    tables: Tables,
    sites: Vec<SiteId>,
    cache: RefCell<Cache<RowKey, Bytes, RowWeight>>,
}

/// Tables whose rows are read again and again. The others are read once, or not at all.
const CACHED: [Table; 5] = [Table::ITEMS, Table::STOCK, Table::LOCATIONS, Table::RESERVATIONS, Table::CATALOG];

/// What each table is used for. Hardly a request repeats another one's key, and ledgers are read by people.
pub fn usage(table: tables::Table) -> Usage {
    match Table(table.0) {
        answers if Table::ANSWERS.contains(&answers) => Usage::FreshKeys,
        Table::MOVEMENTS | Table::REVISIONS | Table::JOB_LINES | Table::TIMELINE => Usage::Ledger,
        _ => Usage::Rows,
    }
}

impl WriterRows {
    /// Rows of these sites.
    pub fn new(tables: Tables, mut sites: Vec<SiteId>) -> Self {
        sites.sort();
        let typical_row = 128;
        let items = usize::try_from(ROW_CACHE_BYTES / typical_row).unwrap_or(usize::MAX);
        let cache = Cache::with_weighter(items, ROW_CACHE_BYTES, RowWeight);
        Self { tables, sites, cache: RefCell::new(cache) }
    }

    /// Looks at the rows of this site too from now on.
    pub fn join(&mut self, site: SiteId) {
        if let Err(place) = self.sites.binary_search(&site) {
            self.sites.insert(place, site);
        }
    }

    /// The tables below.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Writes changes and how far they go, in one batch.
    pub fn write(&self, changes: &Changes, folded: Bytes, site: &SiteId) -> Result<(), TablesError> {
        for table in changes.emptied() {
            self.tables.clear(of(table))?;
        }
        let mut batch = Batch::with_capacity(changes.len() + 1);
        let mut cache = self.cache.borrow_mut();
        for (table, key, value) in changes.rows() {
            let cached = CACHED.contains(&table);
            match value {
                Some(value) if table.is_only_put() => batch.put_ahead(of(table), key.clone(), value.clone()),
                Some(value) => batch.put(of(table), key.clone(), value.clone()),
                None => batch.delete(of(table), key.clone()),
            }
            match value {
                // A copy of its own: changed rows lie together, and one that stays would keep all of them.
                Some(value) if cached => {
                    cache.insert(RowKey(table, Bytes::copy_from_slice(key)), Bytes::copy_from_slice(value));
                }
                None if cached => drop(cache.remove(&(table, key.as_ref()))),
                _ => {}
            }
        }
        batch.put(of(Table::FOLDED), site.as_str().as_bytes().to_vec(), folded);
        self.tables.write(batch)
    }
}

impl View for WriterRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        if !CACHED.contains(&table) {
            return self.tables.get(of(table), key).map_err(|error| unreadable(table, &error));
        }
        if let Some(value) = self.cache.borrow_mut().get(&(table, key)) {
            return Ok(Some(value.clone()));
        }
        let value = self.tables.get(of(table), key).map_err(|error| unreadable(table, &error))?;
        if let Some(value) = &value {
            self.cache.borrow_mut().insert(RowKey(table, Bytes::copy_from_slice(key)), value.clone());
        }
        Ok(value)
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError> {
        scan(&self.tables.snapshot(), table, range, each)
    }

    fn sites(&self) -> &[SiteId] {
        &self.sites
    }
}

/// What readers see: all tables at one moment.
#[derive(Clone)]
pub struct SnapshotRows {
    snapshot: Snapshot,
    sites: std::sync::Arc<[SiteId]>,
}

impl SnapshotRows {
    /// The tables as they are now.
    pub fn new(tables: &Tables, sites: std::sync::Arc<[SiteId]>) -> Self {
        Self { snapshot: tables.snapshot(), sites }
    }

    /// Rows of a range from its end, newest keys first.
    pub fn scan_back(
        &self,
        table: Table,
        range: KeyRange<'_>,
        mut each: impl FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError> {
        let bounds = (std::ops::Bound::Included(range.from), std::ops::Bound::Excluded(range.before));
        for row in self.snapshot.range(of(table), bounds.0, bounds.1).rev() {
            let (key, value) = row.map_err(|error| unreadable(table, &error))?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

impl View for SnapshotRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        self.snapshot.get(of(table), key).map_err(|error| unreadable(table, &error))
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError> {
        scan(&self.snapshot, table, range, each)
    }

    fn sites(&self) -> &[SiteId] {
        &self.sites
    }
}

fn scan(
    snapshot: &Snapshot,
    table: Table,
    range: KeyRange<'_>,
    each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
) -> Result<(), ViewError> {
    let bounds = (std::ops::Bound::Included(range.from), std::ops::Bound::Excluded(range.before));
    for row in snapshot.range(of(table), bounds.0, bounds.1) {
        let (key, value) = row.map_err(|error| unreadable(table, &error))?;
        if !each(&key, &value) {
            break;
        }
    }
    Ok(())
}

/// The storage's name of a table.
pub(crate) fn of(table: Table) -> tables::Table {
    tables::Table(table.0)
}

pub(crate) fn unreadable(table: Table, error: &TablesError) -> ViewError {
    ViewError { table: table.name(), why: error.to_string() }
}

#[derive(Clone, PartialEq, Eq)]
struct RowKey(Table, Bytes);

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1.as_ref()).hash(state);
    }
}

impl Equivalent<RowKey> for (Table, &[u8]) {
    fn equivalent(&self, key: &RowKey) -> bool {
        self.0 == key.0 && self.1 == key.1.as_ref()
    }
}

#[derive(Clone)]
struct RowWeight;

impl Weighter<RowKey, Bytes> for RowWeight {
    fn weight(&self, key: &RowKey, value: &Bytes) -> u64 {
        // Keys and values are counted with what the map and the reference counts cost.
        (key.1.len() + value.len() + 96) as u64
    }
}
