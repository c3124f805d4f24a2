//! A journal in segment files on this machine's disk: small, our own, and suspicious.
//!
//! - One `fdatasync` per append, into space that was zeroed and synced before.
//! - After a failed sync nothing is trusted: the journal refuses everything until it is opened again.
//! - At open a torn tail is cut off and reported, damage is refused with file and offset ([`scan`] has
//!   the table of verdicts). Every byte of every file is covered by a checksum or must be zero, so
//!   [`verify`] notices any flipped bit; there is none that makes a journal silently different or
//!   shorter. What cannot be told from a torn write is an acknowledged *last* group of which the disk
//!   later lost a whole sector, and the loss of the newest file before a group was written to it: there
//!   the journals of others, which have seen more, are the witnesses.
//! - After an unclean start the last segment is written again to a new file, because the page cache may
//!   show what never reached the disk.
//! - Full segments are sealed; the oldest of them move to the archive, and readers find them there.

mod files;
mod format;
mod open;
mod reader;
mod scan;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::{AppendError, Journal, JournalReader, ReadError, Seq};
use files::{NEXT, Places, fill_with_zeros, prepare};
pub(crate) use files::{create_dir_synced, sync_dir};
use format::{HEADER_BYTES, Kind, MARKER_BYTES, SegmentHeader, encode_frame, frame_bytes};
pub use open::verify;
pub(crate) use open::{ActivePart, active_part, label_of, open_segment};
pub use reader::LocalReader;
use reader::{Live, Shared};

/// A [`Journal`] in segment files.
pub struct LocalJournal {
    places: Places,
    options: LocalOptions,
    shared: Arc<Shared>,
    active: Active,
    state: State,
    preparing: Option<JoinHandle<io::Result<File>>>,
    /// The frame being written, kept for its memory.
    frame: Vec<u8>,
    #[cfg(test)]
    faults: tests::Faults,
}

/// The segment that is appended to.
struct Active {
    file: File,
    first: Seq,
    capacity: u64,
    /// Where the next frame goes.
    offset: u64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Open,
    Closed,
    /// A sync failed. Nothing that was not acknowledged before can be trusted.
    Poisoned,
}

/// Sizes of a [`LocalJournal`].
#[derive(Clone, Copy, Debug)]
pub struct LocalOptions {
    /// Size of a new segment file. At 64 MiB a day of a busy site is some hundred files, and the last
    /// one, which is read at open, is read in some ten milliseconds.
    pub segment_bytes: u64,
    /// The largest group that is taken; less if a segment is smaller.
    pub group_bytes_max: usize,
    /// Sealed segments that stay in the journal directory; older ones move to the archive.
    pub keep_segments: usize,
    /// Newest groups that readers get from memory.
    pub ring_bytes: usize,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, group_bytes_max: 1 << 20, keep_segments: 8, ring_bytes: 4 << 20 }
    }
}

/// What was found at open.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OpenReport {
    /// The last durable group.
    pub end: Seq,
    /// Whether the journal was closed before, or is new.
    pub clean: bool,
    /// The torn tail that was cut off, if there was one.
    pub torn: Option<TornTail>,
    /// Segments, archived ones included.
    pub segments: usize,
}

/// An append that a crash interrupted. It was never acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TornTail {
    /// The file that it is in.
    pub file: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// The group that it would have been, unless it was only the mark of a clean end.
    pub seq: Seq,
    /// How many bytes are cut off.
    pub bytes: u64,
}

/// What [`verify`] read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VerifyReport {
    /// The first group, 0 if there is none.
    pub first: Seq,
    /// The last group.
    pub end: Seq,
    /// Segments, archived ones included.
    pub segments: usize,
    /// Bytes of groups.
    pub group_bytes: u64,
    /// Whether the journal was closed.
    pub clean: bool,
    /// The torn tail that the next open would cut off, if there is one.
    pub torn: Option<TornTail>,
}

/// Why a journal does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file cannot be read or written, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The files are those of another journal.
    #[error("{} belongs to the journal {found}, not to {wanted}", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
}

impl Journal for LocalJournal {
    fn append(&mut self, seq: Seq, group: &[u8]) -> Result<(), AppendError> {
        self.check_open()?;
        let end = self.shared.end();
        if seq != end + 1 {
            return Err(AppendError::Taken { seq, end });
        }
        let max = self.group_bytes_max();
        if group.len() > max {
            return Err(AppendError::TooLarge { bytes: group.len(), max });
        }
        self.make_room(frame_bytes(group.len()))?;
        self.write_frame(Kind::Group, seq, group)?;
        self.shared.push(seq, group, self.options.ring_bytes, self.active.offset);
        self.prepare_in_time();
        Ok(())
    }

    fn end(&self) -> Seq {
        self.shared.end()
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        Arc::new(Live::new(self.places.clone(), Arc::clone(&self.shared)))
    }

    fn close(&mut self) -> io::Result<()> {
        if self.state == State::Closed {
            return Ok(());
        }
        let end = self.shared.end();
        let closed = self
            .check_open()
            .and_then(|()| self.make_room(MARKER_BYTES))
            .and_then(|()| self.write_frame(Kind::Closed, end, &[]));
        closed.map_err(io::Error::other)?;
        self.state = State::Closed;
        self.abandon_preparation();
        Ok(())
    }
}

impl LocalJournal {
    fn check_open(&self) -> Result<(), AppendError> {
        match self.state {
            State::Open => Ok(()),
            State::Closed => Err(AppendError::NotWritten {
                reason: "the journal is closed",
                source: io::ErrorKind::BrokenPipe.into(),
            }),
            State::Poisoned => {
                let source = io::ErrorKind::BrokenPipe.into();
                Err(AppendError::Unknown { reason: "an earlier append ended in doubt", source })
            }
        }
    }

    /// A group that fits in an empty segment, beside the seal and the mark of a clean end.
    fn group_bytes_max(&self) -> usize {
        let segment = self.options.segment_bytes.min(self.active.capacity);
        let segment = usize::try_from(segment).unwrap_or(usize::MAX);
        let overhead = HEADER_BYTES + 4 * MARKER_BYTES;
        self.options.group_bytes_max.min(segment.saturating_sub(overhead))
    }

    /// Writes and syncs a frame at the end of the active segment.
    fn write_frame(&mut self, kind: Kind, seq: Seq, payload: &[u8]) -> Result<(), AppendError> {
        let offset = self.active.offset;
        let mut frame = std::mem::take(&mut self.frame);
        encode_frame(&mut frame, self.active.first, offset, kind, seq, payload);
        let written = self.write_and_sync(&frame, offset);
        if written.is_ok() {
            self.active.offset += u64::try_from(frame.len()).expect("a usize fits");
        }
        self.frame = frame;
        written
    }

    fn write_and_sync(&mut self, frame: &[u8], offset: u64) -> Result<(), AppendError> {
        if let Err(source) = self.write_at(frame, offset) {
            let end = offset + u64::try_from(frame.len()).expect("a usize fits");
            return Err(match self.wipe(offset, end) {
                Ok(()) => AppendError::NotWritten {
                    reason: "writing to the journal failed, and what was written of it was wiped",
                    source,
                },
                Err(_) => self.poison("writing to the journal failed, and so did wiping it", source),
            });
        }
        self.sync().map_err(|source| self.poison("syncing the journal failed", source))
    }

    fn poison(&mut self, reason: &'static str, source: io::Error) -> AppendError {
        self.state = State::Poisoned;
        AppendError::Unknown { reason, source }
    }

    /// Sees to it that a frame of `bytes` fits in the active segment, with a seal behind it: begins the
    /// next segment if it does not.
    fn make_room(&mut self, bytes: usize) -> Result<(), AppendError> {
        let needed = u64::try_from(bytes + MARKER_BYTES).expect("a usize fits");
        if self.active.offset + needed <= self.active.capacity {
            return Ok(());
        }
        // Nothing is changed before the next file is there: a full disk is met here, and is no harm.
        let next = self.next_file().map_err(|source| AppendError::NotWritten {
            reason: "the next segment of the journal could not be prepared",
            source,
        })?;
        let end = self.shared.end();
        self.write_frame(Kind::Sealed, end, &[])?;
        let begun = self.begin_segment(next, end + 1);
        begun.map_err(|source| self.poison("writing or syncing the next segment of the journal failed", source))?;
        self.prepare_in_time();
        Ok(())
    }

    /// Cuts the sealed segment to its length and gives the next one its header and name, in this order,
    /// each synced: a segment that has a successor is known to be sealed and cut.
    fn begin_segment(&mut self, next: File, first: Seq) -> io::Result<()> {
        self.active.file.set_len(self.active.offset)?;
        self.active.file.sync_all()?;
        let capacity = self.options.segment_bytes;
        self.active = name_segment(&self.places, next, first, capacity)?;
        self.shared.begin_segment(first, self.active.offset);
        Ok(())
    }

    /// The next segment's file: as prepared beside, or else prepared now.
    fn next_file(&mut self) -> io::Result<File> {
        #[cfg(test)]
        if self.faults.disk_is_full {
            self.abandon_preparation();
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(preparing) = self.preparing.take()
            && let Ok(Ok(file)) = preparing.join()
        {
            return Ok(file);
        }
        let path = self.places.dir.join(NEXT);
        prepare(&path, self.options.segment_bytes).inspect_err(|_| {
            // Gives back what a full disk gave. If even that fails, the next try truncates the file.
            let _ = fs::remove_file(&path);
        })
    }

    /// Once the active segment is half full, a thread prepares the next one and moves old segments to
    /// the archive. Before, a site that hardly writes would hold two files where one is enough.
    fn prepare_in_time(&mut self) {
        if self.preparing.is_some() || self.active.offset < self.active.capacity / 2 {
            return;
        }
        let places = self.places.clone();
        let archivable = self.shared.archivable(self.options.keep_segments);
        let shared = Arc::clone(&self.shared);
        let bytes = self.options.segment_bytes;
        let work = move || {
            let file = prepare(&places.dir.join(NEXT), bytes);
            match places.move_to_archive(&archivable) {
                Ok(()) => shared.archived(&archivable),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Sealed journal segments stay where they are: moving them to {} failed",
                    places.archive.display()
                ),
            }
            file
        };
        let name = "journal-prepare".to_owned();
        // Without a thread the next segment is prepared when it is needed.
        self.preparing = thread::Builder::new().name(name).spawn(work).ok();
    }

    fn abandon_preparation(&mut self) {
        if let Some(preparing) = self.preparing.take() {
            // Whatever came of it, nobody needs it any more; what is left is removed at the next open.
            drop(preparing.join());
            let _ = fs::remove_file(self.places.dir.join(NEXT));
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        self.faults.before_write(&self.active.file, bytes, offset)?;
        self.active.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.before_sync()?;
        metrics::counter!("kontor_journal_syncs_total").increment(1);
        self.active.file.sync_data()
    }

    fn wipe(&mut self, start: u64, end: u64) -> io::Result<()> {
        fill_with_zeros(&self.active.file, start, end)?;
        self.sync()
    }
}

impl Drop for LocalJournal {
    fn drop(&mut self) {
        self.abandon_preparation();
    }
}

impl std::fmt::Debug for LocalJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalJournal").field("places", &self.places).field("end", &self.end()).finish_non_exhaustive()
    }
}

/// Makes the file prepared as [`NEXT`] the segment that begins with `first`.
fn name_segment(places: &Places, file: File, first: Seq, capacity: u64) -> io::Result<Active> {
    let header = SegmentHeader { label: places.label.clone(), first, capacity };
    file.write_all_at(&header.encode(), 0)?;
    file.sync_all()?;
    fs::rename(places.dir.join(NEXT), places.segment(first))?;
    sync_dir(&places.dir)?;
    Ok(Active { file, first, capacity, offset: u64::try_from(HEADER_BYTES).expect("a small number") })
}
