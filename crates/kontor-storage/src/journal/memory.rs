//! A journal on a disk that forgets: for tests and for the simulator, which decides when a sync
//! fails, when the disk is full and what a crash leaves.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::{AppendError, Journal, JournalReader, ReadError, Seq};

/// A [`Journal`] on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryJournal {
    disk: MemoryDisk,
    /// After a failed sync nothing is taken until the journal is opened again.
    poisoned: bool,
    closed: bool,
}

/// What survives of a [`MemoryJournal`]: its groups, and how many of them a sync has covered.
/// A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<DiskState>>,
}

/// What becomes of the data whose sync is made to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SyncFault {
    /// The data reached the disk all the same: it is there after the next open.
    Kept,
    /// The data did not reach the disk.
    Lost,
}

#[derive(Debug, Default)]
struct DiskState {
    groups: Vec<Bytes>,
    /// This many of `groups` are durable.
    synced: usize,
    next_sync: Option<SyncFault>,
    full: bool,
    closed: bool,
    syncs: u64,
}

impl MemoryJournal {
    /// An empty journal on a disk of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::open(MemoryDisk::new())
    }

    /// Opens what `disk` holds. Groups that were written and not synced are dropped, as after a crash
    /// that kept none; call [`MemoryDisk::crash`] before to keep some.
    #[must_use]
    pub fn open(disk: MemoryDisk) -> Self {
        {
            let mut state = disk.state();
            let synced = state.synced;
            state.groups.truncate(synced);
            state.closed = false;
        }
        Self { disk, poisoned: false, closed: false }
    }

    /// The disk under this journal.
    #[must_use]
    pub fn disk(&self) -> MemoryDisk {
        self.disk.clone()
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, seq: Seq, group: &[u8]) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Unknown {
                reason: "an earlier sync failed",
                source: io::ErrorKind::BrokenPipe.into(),
            });
        }
        if self.closed {
            return Err(AppendError::NotWritten {
                reason: "the journal is closed",
                source: io::ErrorKind::BrokenPipe.into(),
            });
        }
        let end = self.disk.end();
        if seq != end + 1 {
            return Err(AppendError::Taken { seq, end });
        }
        self.disk.write(group).map_err(|source| AppendError::NotWritten { reason: "the disk is full", source })?;
        self.disk.sync().map_err(|source| {
            self.poisoned = true;
            AppendError::Unknown { reason: "the sync failed", source }
        })
    }

    fn end(&self) -> Seq {
        self.disk.end()
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        Arc::new(self.disk.clone())
    }

    fn close(&mut self) -> io::Result<()> {
        if self.poisoned {
            return Err(io::Error::other("an earlier sync failed"));
        }
        self.disk.sync()?;
        self.disk.state().closed = true;
        self.closed = true;
        Ok(())
    }
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the next group without syncing it: an append that is still under way. Fails if the disk
    /// is full. [`Journal::append`] is this and [`MemoryDisk::sync`].
    pub fn write(&self, group: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.groups.push(Bytes::copy_from_slice(group));
        Ok(())
    }

    /// Makes all that was written durable, unless the sync was told to fail.
    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.syncs += 1;
        let written = state.groups.len();
        match state.next_sync.take() {
            None => {
                state.synced = written;
                Ok(())
            }
            // What a failed sync kept is not shown before the journal is opened again.
            Some(SyncFault::Kept) => Err(io::Error::other("injected: sync failed, data kept")),
            Some(SyncFault::Lost) => {
                let synced = state.synced;
                state.groups.truncate(synced);
                Err(io::Error::other("injected: sync failed, data lost"))
            }
        }
    }

    /// The machine stops: of the groups that are not synced the oldest `keep` survive, the rest is
    /// gone. Answers how many survived.
    pub fn crash(&self, keep: usize) -> usize {
        let mut state = self.state();
        let unsynced = state.groups.len() - state.synced;
        let kept = keep.min(unsynced);
        state.synced += kept;
        let synced = state.synced;
        state.groups.truncate(synced);
        state.next_sync = None;
        kept
    }

    /// The next sync fails, and what it covered is `fault`.
    pub fn fail_next_sync(&self, fault: SyncFault) {
        self.state().next_sync = Some(fault);
    }

    /// While `full`, nothing can be written.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether the journal was closed since it was last opened.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// How many groups are written and not synced.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        let state = self.state();
        state.groups.len() - state.synced
    }

    /// How often a sync was asked for, failed ones too.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().expect("no code panics while it holds the disk")
    }
}

impl JournalReader for MemoryDisk {
    fn read(&self, after: Seq, limit_groups: usize, limit_bytes: usize) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        let state = self.state();
        let start = usize::try_from(after).unwrap_or(usize::MAX);
        let mut groups = Vec::new();
        let mut bytes = 0usize;
        for (seq, group) in (1..).zip(&state.groups[..state.synced]).skip(start).take(limit_groups) {
            if bytes >= limit_bytes && !groups.is_empty() {
                break;
            }
            bytes += group.len();
            groups.push((seq, group.clone()));
        }
        Ok(groups)
    }

    fn end(&self) -> Seq {
        Seq::try_from(self.state().synced).expect("a usize fits")
    }
}
