//! Rows that have changed but are not in the tables yet, on top of the rows that are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::{Bytes, BytesMut};

use crate::id::SiteId;
use crate::record::Table;
use crate::view::{KeyRange, View, ViewError};

/// Changed rows by table and key; `None` is a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    tables: BTreeMap<Table, BTreeMap<Bytes, Option<Bytes>>>,
    emptied: BTreeSet<Table>,
}

impl Changes {
    /// Nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.emptied.is_empty()
    }

    /// How many rows have changed.
    pub fn len(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    /// Tables that are emptied before the changed rows are written.
    pub fn emptied(&self) -> impl Iterator<Item = Table> + '_ {
        self.emptied.iter().copied()
    }

    /// Changed rows, by table and key.
    pub fn rows(&self) -> impl Iterator<Item = (Table, &Bytes, Option<&Bytes>)> {
        let rows = self.tables.iter();
        rows.flat_map(|(table, rows)| rows.iter().map(|(key, value)| (*table, key, value.as_ref())))
    }

    /// Changed rows of one table.
    pub fn of(&self, table: Table) -> impl Iterator<Item = (&Bytes, Option<&Bytes>)> {
        let rows = self.tables.get(&table).into_iter().flatten();
        rows.map(|(key, value)| (key, value.as_ref()))
    }

    /// Adds changes that were made after these.
    pub fn then(&mut self, later: Self) {
        for table in later.emptied {
            self.empty(table);
        }
        for (table, rows) in later.tables {
            match self.tables.entry(table) {
                Entry::Vacant(place) => drop(place.insert(rows)),
                Entry::Occupied(mut before) => before.get_mut().extend(rows),
            }
        }
    }

    fn empty(&mut self, table: Table) {
        self.tables.remove(&table);
        self.emptied.insert(table);
    }
}

/// What an overlay was like before a change that may be taken back.
enum Undo {
    Row { table: Table, key: Bytes, before: Option<Option<Bytes>> },
    Table { table: Table, rows: Option<BTreeMap<Bytes, Option<Bytes>>>, was_emptied: bool },
}

/// Where changed rows are kept: many in one allocation, since they come and go together.
///
/// The first piece of memory is small, for a group of one entry; each further one is twice as large.
#[derive(Default)]
struct Pieces {
    free: BytesMut,
    size: usize,
}

impl Pieces {
    const FIRST_BYTES: usize = 1 << 10;
    const MOST_BYTES: usize = 16 << 10;

    fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.free.capacity() < bytes.len() {
            self.size = (self.size * 2).clamp(Self::FIRST_BYTES, Self::MOST_BYTES);
            self.free = BytesMut::with_capacity(self.size.max(bytes.len()));
        }
        self.free.extend_from_slice(bytes);
        self.free.split().freeze()
    }
}

/// A view with changes on top of another view.
pub struct Overlay<'v> {
    base: &'v dyn View,
    changes: Changes,
    pieces: Pieces,
    /// Since [`Overlay::attempt`], oldest first.
    undo: Option<Vec<Undo>>,
}

impl<'v> Overlay<'v> {
    /// No changes yet.
    pub fn new(base: &'v dyn View) -> Self {
        Self::with(base, Changes::default())
    }

    /// The changes that were made on top of `base` before.
    pub fn with(base: &'v dyn View, changes: Changes) -> Self {
        Self { base, changes, pieces: Pieces::default(), undo: None }
    }

    /// Puts a row.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Bytes) {
        let value = self.pieces.keep(&value);
        self.set(table, &key, Some(value));
    }

    /// Deletes a row, if it is there.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.set(table, &key, None);
    }

    /// Empties a table: neither its rows below nor changes made so far are seen any more.
    pub fn empty(&mut self, table: Table) {
        if let Some(undo) = &mut self.undo {
            let rows = self.changes.tables.get(&table).cloned();
            undo.push(Undo::Table { table, rows, was_emptied: self.changes.emptied.contains(&table) });
        }
        self.changes.empty(table);
    }

    /// From here on, changes can be taken back.
    pub fn attempt(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Takes back what has changed since [`Overlay::attempt`].
    pub fn take_back(&mut self) {
        for undo in self.undo.take().into_iter().flatten().rev() {
            match undo {
                Undo::Row { table, key, before } => {
                    let rows = self.changes.tables.entry(table).or_default();
                    match before {
                        Some(before) => rows.insert(key, before),
                        None => rows.remove(&key),
                    };
                    if rows.is_empty() {
                        self.changes.tables.remove(&table);
                    }
                }
                Undo::Table { table, rows, was_emptied } => {
                    self.changes.tables.extend(rows.map(|rows| (table, rows)));
                    if !was_emptied {
                        self.changes.emptied.remove(&table);
                    }
                }
            }
        }
    }

    /// Adds changes that were made on top of this overlay.
    pub fn add(&mut self, later: Changes) {
        self.changes.then(later);
    }

    /// What has changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<Bytes>) {
        let key = self.pieces.keep(key);
        let rows = self.changes.tables.entry(table).or_default();
        match &mut self.undo {
            Some(undo) => {
                let before = rows.insert(key.clone(), value);
                undo.push(Undo::Row { table, key, before });
            }
            None => drop(rows.insert(key, value)),
        }
    }
}

impl View for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        match self.changes.tables.get(&table).and_then(|rows| rows.get(key)) {
            Some(value) => Ok(value.clone()),
            None if self.changes.emptied.contains(&table) => Ok(None),
            None => self.base.get(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError> {
        if range.from >= range.before {
            return Ok(());
        }
        let bounds = (Bound::Included(range.from), Bound::Excluded(range.before));
        let rows = self.changes.tables.get(&table);
        let mut changed = rows.into_iter().flat_map(|rows| rows.range::<[u8], _>(bounds)).peekable();
        let mut go_on = true;
        let mut merge = |key: &[u8], value: &Bytes| {
            while let Some((newer, change)) = changed.next_if(|(newer, _)| newer.as_ref() < key) {
                go_on = change.as_ref().is_none_or(|value| each(newer, value));
                if !go_on {
                    return false;
                }
            }
            go_on = match changed.next_if(|(newer, _)| newer.as_ref() == key) {
                Some((_, change)) => change.as_ref().is_none_or(|value| each(key, value)),
                None => each(key, value),
            };
            go_on
        };
        if !self.changes.emptied.contains(&table) {
            self.base.scan(table, range, &mut merge)?;
        }
        for (key, change) in changed {
            if !go_on {
                break;
            }
            go_on = change.as_ref().is_none_or(|value| each(key, value));
        }
        Ok(())
    }

    fn sites(&self) -> &[SiteId] {
        self.base.sites()
    }
}
