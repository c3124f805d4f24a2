//! Reading a local journal: beside its writer, or from another process.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::files::{Places, failed};
use super::format::{FrameHeader, HEADER_BYTES, Kind};
use super::open::survey;
use super::{OpenError, TornTail};
use crate::journal::{JournalReader, ReadError, Seq};

/// Positions that are remembered, so that a reader that goes on where it stopped need not look for its
/// place. More readers than this take turns and are slower.
const CURSORS_MAX: usize = 16;
/// What is read from disk at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What the writer and the readers of one journal share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<SharedState>,
    cursors: Mutex<VecDeque<Cursor>>,
}

#[derive(Debug)]
struct SharedState {
    /// The last durable group, and where its frame ends in the active segment.
    end: Seq,
    end_offset: u64,
    /// The newest groups, without a gap up to `end`.
    ring: VecDeque<Bytes>,
    ring_bytes: usize,
    /// First groups of all segments and whether they are archived; the last is the active one.
    segments: Vec<(Seq, bool)>,
}

/// The place of a group on disk.
#[derive(Clone, Debug)]
struct Cursor {
    next: Seq,
    segment: Arc<OpenSegment>,
    offset: u64,
}

#[derive(Debug)]
struct OpenSegment {
    first: Seq,
    path: PathBuf,
    file: File,
}

/// How far a journal may be read.
#[derive(Clone, Copy)]
struct Extent {
    end: Seq,
    end_offset: u64,
    /// The segment of the group looked for, and whether it is the active one.
    first: Seq,
    is_active: bool,
}

impl Shared {
    pub(super) fn new(end: Seq, end_offset: u64, segments: Vec<(Seq, bool)>) -> Self {
        Self {
            state: Mutex::new(SharedState { end, end_offset, ring: VecDeque::new(), ring_bytes: 0, segments }),
            cursors: Mutex::new(VecDeque::new()),
        }
    }

    pub(super) fn end(&self) -> Seq {
        self.state().end
    }

    /// The group is durable: readers may see it.
    pub(super) fn push(&self, seq: Seq, group: &[u8], ring_bytes_max: usize, end_offset: u64) {
        let group = Bytes::copy_from_slice(group);
        let mut state = self.state();
        state.end = seq;
        state.end_offset = end_offset;
        state.ring_bytes += group.len();
        state.ring.push_back(group);
        while state.ring_bytes > ring_bytes_max
            && let Some(oldest) = state.ring.pop_front()
        {
            state.ring_bytes -= oldest.len();
        }
    }

    pub(super) fn begin_segment(&self, first: Seq, end_offset: u64) {
        let mut state = self.state();
        state.segments.push((first, false));
        state.end_offset = end_offset;
    }

    /// The sealed segments that are not archived, without the newest `keep`.
    pub(super) fn archivable(&self, keep: usize) -> Vec<Seq> {
        let state = self.state();
        let old = state.segments.len().saturating_sub(1 + keep);
        let old = state.segments[..old].iter();
        old.filter(|(_, is_archived)| !is_archived).map(|(first, _)| *first).collect()
    }

    pub(super) fn archived(&self, segments: &[Seq]) {
        let mut state = self.state();
        for (first, is_archived) in &mut state.segments {
            *is_archived |= segments.contains(first);
        }
    }

    fn read(
        &self,
        places: &Places,
        after: Seq,
        limit_groups: usize,
        limit_bytes: usize,
    ) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        let mut limit = Limit { groups: limit_groups, bytes: limit_bytes };
        let mut groups = Vec::new();
        let mut next = after.saturating_add(1);
        while limit.groups > 0 && (limit.bytes > 0 || groups.is_empty()) {
            let extent = {
                let state = self.state();
                if next > state.end {
                    break;
                }
                if state.copy_from_ring(&mut next, &mut limit, &mut groups) {
                    break;
                }
                state.extent(next)
            };
            self.read_segment(places, extent, &mut next, &mut limit, &mut groups)?;
        }
        Ok(groups)
    }

    /// Reads groups of one segment, at least one.
    fn read_segment(
        &self,
        places: &Places,
        extent: Extent,
        next: &mut Seq,
        limit: &mut Limit,
        groups: &mut Vec<(Seq, Bytes)>,
    ) -> Result<(), ReadError> {
        let Cursor { next: mut at, segment, offset } = match self.take_cursor(*next, extent.first) {
            Some(cursor) => cursor,
            None => start_of(places, extent.first)?,
        };
        let mut frames = Frames::new(&segment, offset, extent);
        while at <= extent.end
            && limit.groups > 0
            && (limit.bytes > 0 || groups.is_empty())
            && let Some(group) = frames.next(at, at >= *next)?
        {
            if at >= *next {
                limit.groups -= 1;
                limit.bytes = limit.bytes.saturating_sub(group.len());
                groups.push((at, group));
                *next = at + 1;
            }
            at += 1;
        }
        let offset = frames.offset;
        self.keep_cursor(Cursor { next: at, segment, offset });
        Ok(())
    }

    fn take_cursor(&self, next: Seq, first: Seq) -> Option<Cursor> {
        let mut cursors = self.cursors();
        let found = cursors.iter().position(|cursor| cursor.next == next && cursor.segment.first == first)?;
        cursors.remove(found)
    }

    fn keep_cursor(&self, cursor: Cursor) {
        let mut cursors = self.cursors();
        if cursors.len() == CURSORS_MAX {
            cursors.pop_front();
        }
        cursors.push_back(cursor);
    }

    fn state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().expect("no code panics while it holds the state of a journal")
    }

    fn cursors(&self) -> MutexGuard<'_, VecDeque<Cursor>> {
        self.cursors.lock().expect("no code panics while it holds the cursors of a journal")
    }
}

struct Limit {
    groups: usize,
    bytes: usize,
}

impl SharedState {
    /// Copies from memory if the group looked for is there; then this is all that can be read.
    fn copy_from_ring(&self, next: &mut Seq, limit: &mut Limit, groups: &mut Vec<(Seq, Bytes)>) -> bool {
        let ring_len = Seq::try_from(self.ring.len()).expect("a usize fits");
        let oldest = self.end + 1 - ring_len;
        if *next < oldest || ring_len == 0 {
            return false;
        }
        let skip = usize::try_from(*next - oldest).expect("less than the ring's length");
        for group in self.ring.iter().skip(skip) {
            if limit.groups == 0 || (limit.bytes == 0 && !groups.is_empty()) {
                break;
            }
            limit.groups -= 1;
            limit.bytes = limit.bytes.saturating_sub(group.len());
            groups.push((*next, group.clone()));
            *next += 1;
        }
        true
    }

    fn extent(&self, next: Seq) -> Extent {
        let after = self.segments.partition_point(|(first, _)| *first <= next);
        let (first, _) = self.segments[after - 1];
        Extent { end: self.end, end_offset: self.end_offset, first, is_active: after == self.segments.len() }
    }
}

fn start_of(places: &Places, first: Seq) -> Result<Cursor, ReadError> {
    let (path, file) = places.open_segment(first)?;
    match places.read_header(&path, &file, first) {
        Ok(_) => {}
        Err(OpenError::Read(error)) => return Err(error),
        Err(foreign @ OpenError::Foreign { .. }) => {
            return Err(ReadError::Damaged { file: path, offset: 0, seq: Some(first), why: foreign.to_string() });
        }
    }
    Ok(Cursor {
        next: first,
        segment: Arc::new(OpenSegment { first, path, file }),
        offset: u64::try_from(HEADER_BYTES).expect("a small number"),
    })
}

/// Frames of a segment one after another, read in chunks.
struct Frames<'a> {
    segment: &'a OpenSegment,
    extent: Extent,
    /// Of the next frame.
    offset: u64,
    chunk: Vec<u8>,
    chunk_offset: u64,
}

impl<'a> Frames<'a> {
    fn new(segment: &'a OpenSegment, offset: u64, extent: Extent) -> Self {
        Self { segment, extent, offset, chunk: Vec::new(), chunk_offset: offset }
    }

    /// The group `seq`, which must be next, or nothing at the end of a sealed segment. Checked in any
    /// case, copied out only if `wanted`.
    fn next(&mut self, seq: Seq, wanted: bool) -> Result<Option<Bytes>, ReadError> {
        let (first, offset) = (self.segment.first, self.offset);
        let Some(header) = FrameHeader::decode(first, offset, self.bytes(FrameHeader::BYTES)?) else {
            return Err(self.damaged(seq, "the header of a group is not what was written"));
        };
        let frame = self.bytes(header.frame_bytes())?;
        if !header.is_whole(first, offset, frame) {
            return Err(self.damaged(seq, "the group is not what was written"));
        }
        match header.kind {
            Kind::Group if header.seq == seq => {
                let group = if wanted { Bytes::from(header.payload(frame)) } else { Bytes::new() };
                self.offset += u64::try_from(header.frame_bytes()).expect("a usize fits");
                Ok(Some(group))
            }
            Kind::Sealed if header.seq + 1 == seq && !self.extent.is_active => Ok(None),
            _ => Err(self.damaged(seq, "another group stands where it should")),
        }
    }

    /// So many bytes at `offset`; fewer at the end of the file.
    fn bytes(&mut self, bytes: usize) -> Result<&[u8], ReadError> {
        let skip = usize::try_from(self.offset - self.chunk_offset).expect("within the chunk");
        if skip + bytes > self.chunk.len() {
            // Not beyond what is durable: what the writer is writing now is none of a reader's business.
            let mut want = bytes.max(CHUNK_BYTES);
            if self.extent.is_active {
                let durable = self.extent.end_offset.saturating_sub(self.offset);
                want = want.min(usize::try_from(durable).unwrap_or(usize::MAX));
            }
            self.chunk.resize(want, 0);
            self.chunk_offset = self.offset;
            let filled = self.fill()?;
            self.chunk.truncate(filled);
            return Ok(&self.chunk[..bytes.min(filled)]);
        }
        Ok(&self.chunk[skip..skip + bytes])
    }

    fn fill(&mut self) -> Result<usize, ReadError> {
        let OpenSegment { file, path, .. } = self.segment;
        let mut filled = 0;
        while filled < self.chunk.len() {
            let at = self.chunk_offset + u64::try_from(filled).expect("a usize fits");
            match file.read_at(&mut self.chunk[filled..], at) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(failed("reading", path, source)),
            }
        }
        Ok(filled)
    }

    fn damaged(&self, seq: Seq, why: &str) -> ReadError {
        ReadError::Damaged { file: self.segment.path.clone(), offset: self.offset, seq: Some(seq), why: why.to_owned() }
    }
}

/// A reader beside the writer.
#[derive(Debug)]
pub(super) struct Live {
    places: Places,
    shared: Arc<Shared>,
}

impl Live {
    pub(super) fn new(places: Places, shared: Arc<Shared>) -> Self {
        Self { places, shared }
    }
}

impl JournalReader for Live {
    fn read(&self, after: Seq, limit_groups: usize, limit_bytes: usize) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        self.shared.read(&self.places, after, limit_groups, limit_bytes)
    }

    fn end(&self) -> Seq {
        self.shared.end()
    }
}

/// Reads the journal of a running or stopped site without changing anything: what it held when it was
/// opened. Beside a running writer that may include a group that is not acknowledged yet.
#[derive(Debug)]
pub struct LocalReader {
    live: Live,
    torn: Option<TornTail>,
}

impl LocalReader {
    /// Opens the journal `label` in `dir` for reading.
    pub fn open(dir: &Path, archive: &Path, label: &str) -> Result<Self, OpenError> {
        let places = Places { dir: dir.to_owned(), archive: archive.to_owned(), label: label.to_owned() };
        let survey = survey(&places)?;
        let mut segments: Vec<(Seq, bool)> =
            survey.sealed.iter().map(|segment| (segment.first, segment.is_archived)).collect();
        let (mut end, mut end_offset, mut torn) = (0, 0, None);
        if let Some(last) = &survey.last {
            segments.push((last.header.first, false));
            end = last.scan.last;
            end_offset = u64::try_from(last.scan.frames_end).expect("a usize fits");
            torn = last.torn();
        }
        let shared = Arc::new(Shared::new(end, end_offset, segments));
        Ok(Self { live: Live::new(places, shared), torn })
    }

    /// The torn tail of a stopped site's journal, or the append under way of a running one's.
    #[must_use]
    pub fn torn(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }
}

impl JournalReader for LocalReader {
    fn read(&self, after: Seq, limit_groups: usize, limit_bytes: usize) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        self.live.read(after, limit_groups, limit_bytes)
    }

    fn end(&self) -> Seq {
        self.live.end()
    }
}
