//! Tables on disk with what was written lately in memory before them.
//!
//! ```text
//! write ─► active layer ──full──► moving layer ──one thread──► engine
//! reads:   active, then moving, then engine: the first that knows a row
//! ```
//! The writer only ever touches memory. It waits for the thread that moves only when it has filled two
//! layers while one was being moved.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::engine::{FjallRows, FjallSnapshot, FjallTables, TablesOptions};
use super::handover::{self, Sorted};
use super::merge::{Merged, Place};
use super::recent::{Recent, RecentRange};
use super::{Batch, Table, TablesError};

/// Tables on disk. A clone is the same tables; when the last one is dropped, all rows are in the engine.
#[derive(Clone)]
pub struct LayeredTables {
    shared: Arc<Shared>,
    /// The thread that moves. Last, so that the thread is gone when the tables are dropped.
    _mover: Arc<Mover>,
}

/// The niceness of what has time.
const LEAST_URGENT: i32 = 19;

struct Shared {
    engine: FjallTables,
    table_count: usize,
    layer_bytes: u64,
    layers: RwLock<Layers>,
    /// Tables in which there is nothing to find, by their number: those that are never used cost nothing.
    are_empty: Box<[AtomicBool]>,
    /// The newest version that a snapshot was taken of.
    seen: AtomicU64,
    /// The last handle is gone.
    is_closing: AtomicBool,
    /// Held by whoever writes: bytes in the active layer.
    writing: Mutex<u64>,
    moves: Mutex<Moves>,
    /// Told of every change of `moves` and of the moving layer.
    moved: Condvar,
}

struct Layers {
    /// The number of the last batch that can be read.
    version: u64,
    active: Arc<Recent>,
    moving: Option<Arc<Recent>>,
}

#[derive(Default)]
struct Moves {
    /// Nothing more will be written.
    is_closing: bool,
    /// The thread is gone; nothing is moved any more.
    has_ended: bool,
    /// Why it ended, until somebody was told.
    failed: Option<TablesError>,
}

/// Ends the thread that moves once all is moved, and the one that learns keys at once.
struct Mover {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    learner: Option<JoinHandle<()>>,
}

impl LayeredTables {
    pub(super) fn open(dir: &Path, names: &[&str], options: TablesOptions) -> Result<Self, TablesError> {
        let engine = FjallTables::open(dir, names, options)?;
        take_over(&engine)?;
        let are_empty = (0..=u8::MAX).map(Table).take(names.len()).map(|table| engine.is_empty(table).into());
        let are_empty = are_empty.collect();
        let new_layer = || Arc::new(Recent::new(names.len()));
        let shared = Arc::new(Shared {
            engine,
            table_count: names.len(),
            are_empty,
            layer_bytes: options.layer_bytes,
            layers: RwLock::new(Layers { version: 0, active: new_layer(), moving: None }),
            seen: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            writing: Mutex::new(0),
            moves: Mutex::new(Moves::default()),
            moved: Condvar::new(),
        });
        let moving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("tables".into()).spawn(move || moving.move_layers());
        let thread = thread.map_err(|source| TablesError::Io { path: dir.to_owned(), source })?;
        let mut mover = Mover { shared: Arc::clone(&shared), thread: Some(thread), learner: None };
        let learning = Arc::clone(&shared);
        let learner = thread::Builder::new().name("keys".into()).spawn(move || learning.learn_keys());
        mover.learner = Some(learner.map_err(|source| TablesError::Io { path: dir.to_owned(), source })?);
        Ok(Self { shared, _mover: Arc::new(mover) })
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        if self.shared.are_empty[usize::from(table.0)].load(Ordering::Acquire) {
            return Ok(None);
        }
        let layers = self.shared.layers();
        let found = layers.active.get(table, key, u64::MAX);
        let found = found.or_else(|| layers.moving.as_ref()?.get(table, key, u64::MAX));
        drop(layers);
        found.map_or_else(|| self.shared.engine.get(table, key), Ok)
    }

    pub(super) fn snapshot(&self) -> LayeredSnapshot {
        // Until all parts are taken nothing is published and no layer becomes another.
        let layers = self.shared.layers();
        self.shared.seen.fetch_max(layers.version, Ordering::AcqRel);
        LayeredSnapshot {
            version: layers.version,
            layers: [Some(Arc::clone(&layers.active)), layers.moving.clone()],
            engine: self.shared.engine.snapshot(),
            _tables: self.clone(),
        }
    }

    pub(super) fn write(&self, batch: Batch) -> Result<(), TablesError> {
        let shared = &self.shared;
        let mut bytes = shared.writing();
        if shared.moves().has_ended {
            return Err(shared.failure());
        }
        let (version, active) = {
            let layers = shared.layers();
            (layers.version + 1, Arc::clone(&layers.active))
        };
        for change in &batch.changes {
            shared.are_empty[usize::from(change.table.0)].store(false, Ordering::Release);
        }
        *bytes += active.put(batch.changes, version, shared.seen.load(Ordering::Acquire));
        shared.layers_mut().version = version;
        if *bytes >= shared.layer_bytes {
            let is_far_ahead = *bytes >= 2 * shared.layer_bytes;
            if is_far_ahead {
                shared.wait_for_moves()?;
            }
            if shared.begin_move() {
                *bytes = 0;
            }
        }
        Ok(())
    }

    pub(super) fn clear(&self, table: Table) {
        let _turn = self.shared.writing();
        self.shared.layers().active.clear(table);
        self.shared.are_empty[usize::from(table.0)].store(true, Ordering::Release);
    }

    pub(super) fn flush(&self) -> Result<(), TablesError> {
        let mut bytes = self.shared.writing();
        self.shared.wait_for_moves()?;
        if self.shared.begin_move() {
            *bytes = 0;
        }
        self.shared.wait_for_moves()
    }
}

/// Finishes what a crash interrupted.
fn take_over(engine: &FjallTables) -> Result<(), TablesError> {
    let left = handover::read(engine.path()).map_err(|error| failed(engine, error))?;
    for (name, rows) in &left {
        let unknown =
            || io::Error::new(io::ErrorKind::InvalidData, format!("it has rows of {name}, which is no table"));
        let table = engine.named(name).ok_or_else(unknown).map_err(|error| failed(engine, error))?;
        engine.ingest(table, rows.iter().map(|(key, value)| (key, value.as_ref())))?;
    }
    handover::remove(engine.path()).map_err(|error| failed(engine, error))
}

fn failed(engine: &FjallTables, source: io::Error) -> TablesError {
    let path = engine.path().to_owned();
    match source.kind() {
        io::ErrorKind::InvalidData => TablesError::Damaged { path, source: Box::new(source) },
        _ => TablesError::Io { path, source },
    }
}

impl Shared {
    /// What the other thread does, when nobody else needs the processor. Where keys cannot be read, they are
    /// looked for without that.
    fn learn_keys(&self) {
        // Elsewhere than on Linux this would be about the whole process (nice(2), "C library/kernel differences").
        if cfg!(target_os = "linux")
            && let Err(error) = rustix::process::nice(LEAST_URGENT)
        {
            tracing::debug!("The thread that reads keys is as urgent as others: {error}");
        }
        for table in (0..=u8::MAX).map(Table).take(self.table_count) {
            if let Err(error) = self.engine.learn_keys(table, &self.is_closing) {
                let (error, table): (&dyn std::error::Error, _) = (&error, self.engine.name(table));
                tracing::warn!(error, table, "The keys of a table could not be read");
            }
        }
    }

    /// What the thread does: moves layers until nothing more will be written.
    fn move_layers(&self) {
        let _ended = Ended(self);
        loop {
            let mut moves = self.moves();
            let moving = loop {
                if let Some(moving) = self.layers().moving.clone() {
                    break moving;
                }
                if moves.is_closing {
                    return;
                }
                moves = self.moved.wait(moves).expect("no code panics while it tells of moves");
            };
            drop(moves);
            if let Err(error) = self.move_to_engine(&moving) {
                self.moves().failed = Some(error);
                return;
            }
            self.layers_mut().moving = None;
            // With the lock, so that nobody who has just looked misses it.
            let _moves = self.moves();
            self.moved.notify_all();
        }
    }

    /// Rows that may run ahead first; then the others, by way of a file that sees to it that all of them
    /// come to the engine or none. So a crash in between leaves what it may leave.
    fn move_to_engine(&self, layer: &Recent) -> Result<(), TablesError> {
        let mut together: Vec<(Table, Sorted)> = Vec::new();
        for table in (0..=u8::MAX).map(Table).take(self.table_count) {
            let Some(rows) = layer.table(table) else { continue };
            if rows.is_cleared {
                self.engine.clear(table)?;
            }
            if rows.is_exact {
                together.push((table, rows.newest().map(|(key, value)| (key.clone(), value.cloned())).collect()));
            } else if rows.len() > 0 {
                self.engine.ingest(table, rows.newest())?;
            }
        }
        // What goes to one table needs no file to be all or nothing.
        let is_carried = together.len() > 1;
        if is_carried {
            let tables = together.iter().map(|(table, rows)| (self.engine.name(*table), rows));
            handover::write(self.engine.path(), tables).map_err(|error| failed(&self.engine, error))?;
        }
        for (table, rows) in &together {
            self.engine.ingest(*table, rows.iter().map(|(key, value)| (key, value.as_ref())))?;
        }
        if is_carried {
            handover::remove(self.engine.path()).map_err(|error| failed(&self.engine, error))?;
        }
        Ok(())
    }

    /// Hands the active layer to the thread, unless it is still moving the one before.
    fn begin_move(&self) -> bool {
        let mut layers = self.layers_mut();
        if layers.moving.is_some() {
            return false;
        }
        let next = Arc::new(Recent::after(&layers.active));
        layers.moving = Some(std::mem::replace(&mut layers.active, next));
        drop(layers);
        let _moves = self.moves();
        self.moved.notify_all();
        true
    }

    /// Waits until no layer is being moved; fails if none ever will be again.
    fn wait_for_moves(&self) -> Result<(), TablesError> {
        let mut moves = self.moves();
        while self.layers().moving.is_some() {
            if moves.has_ended {
                drop(moves);
                return Err(self.failure());
            }
            moves = self.moved.wait(moves).expect("no code panics while it tells of moves");
        }
        Ok(())
    }

    /// Why nothing is moved any more, told once in full.
    fn failure(&self) -> TablesError {
        self.moves().failed.take().unwrap_or_else(|| self.engine.poisoned())
    }

    fn writing(&self) -> MutexGuard<'_, u64> {
        self.writing.lock().expect("no code panics while it writes")
    }

    fn moves(&self) -> MutexGuard<'_, Moves> {
        self.moves.lock().expect("no code panics while it tells of moves")
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().expect("no code panics while it changes the layers")
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().expect("no code panics while it changes the layers")
    }
}

/// Says that the thread is gone, however it went.
struct Ended<'s>(&'s Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.moves().has_ended = true;
        self.0.moved.notify_all();
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Relaxed);
        // A thread that panicked has said so.
        let _ended = self.learner.take().map(JoinHandle::join);
        let all_moved = self.shared.wait_for_moves();
        if all_moved.is_ok() {
            self.shared.begin_move();
        }
        self.shared.moves().is_closing = true;
        self.shared.moved.notify_all();
        // A thread that panicked has said so.
        let _ended = self.thread.take().map(JoinHandle::join);
        let failed = self.shared.moves().failed.take();
        if let Some(error) = all_moved.err().or(failed) {
            // They are in the journal, and are folded again from there.
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "The newest rows were not moved to the tables on disk");
        }
    }
}

/// The tables at one moment.
#[derive(Clone)]
pub(super) struct LayeredSnapshot {
    version: u64,
    /// The newest first.
    layers: [Option<Arc<Recent>>; 2],
    engine: FjallSnapshot,
    _tables: LayeredTables,
}

impl LayeredSnapshot {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TablesError> {
        let found = self.layers.iter().flatten().find_map(|layer| layer.get(table, key, self.version));
        found.map_or_else(|| self.engine.get(table, key), Ok)
    }

    pub(super) fn range(&self, table: Table, start: &Bound<Bytes>, end: &Bound<Bytes>) -> Merged {
        let mut places: Vec<Place> = Vec::new();
        for layer in self.layers.iter().flatten() {
            let Some(rows) = layer.table(table) else { continue };
            let is_cleared = rows.is_cleared;
            drop(rows);
            let rows = RecentRange::new(Arc::clone(layer), table, self.version, start.clone(), end.clone());
            places.push(Box::new(rows.map(Ok)));
            if is_cleared {
                return Merged::new(places);
            }
        }
        let rows: FjallRows = self.engine.range(table, start.clone(), end.clone());
        places.push(Box::new(rows.map(|row| row.map(|(key, value)| (key, Some(value))))));
        Merged::new(places)
    }
}
