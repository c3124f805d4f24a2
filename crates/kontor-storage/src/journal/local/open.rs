//! Opening and verifying a journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Listed, NEXT, Places, REWRITE, create_dir_synced, failed, fill_with_zeros, prepare, sync_dir};
use super::format::{FrameHeader, HEADER_BYTES, Kind, LABEL_BYTES_MAX, MARKER_BYTES, SegmentHeader};
use super::reader::Shared;
use super::scan::{Ending, Scan, scan};
use super::{Active, LocalJournal, LocalOptions, OpenError, OpenReport, State, TornTail, VerifyReport, name_segment};
use crate::journal::{ReadError, Seq};

impl LocalJournal {
    /// Opens or creates the journal `label` in `dir`, with its older segments in `archive`. Must not be
    /// called while the same journal is open: the data directory's lock sees to that.
    ///
    /// Reads the last segment wholly, and of the sealed ones their header and seal. Changes nothing
    /// before all of them were found sound.
    ///
    /// # Panics
    /// If the label is longer than 255 bytes or a segment is too small for any group.
    pub fn open(
        dir: &Path,
        archive: &Path,
        label: &str,
        options: LocalOptions,
    ) -> Result<(Self, OpenReport), OpenError> {
        assert!(label.len() <= LABEL_BYTES_MAX, "a label has at most 255 bytes");
        let header_bytes = u64::try_from(HEADER_BYTES).expect("a small number");
        assert!(options.segment_bytes >= 2 * header_bytes, "a segment has at least 8 KiB");
        let places = Places { dir: dir.to_owned(), archive: archive.to_owned(), label: label.to_owned() };
        for place in [dir, archive] {
            create_dir_synced(place).map_err(|source| failed("creating", place, source))?;
        }
        let survey = survey(&places)?;
        remove_leftovers(&places)?;

        let mut report = OpenReport { clean: true, ..OpenReport::default() };
        let active = match &survey.last {
            None => {
                let active = create_first(&places, options.segment_bytes);
                active.map_err(|source| failed("creating a segment in", dir, source))?
            }
            Some(last) => {
                report.end = last.scan.last;
                report.clean = last.scan.ending == Ending::Closed;
                report.torn = last.torn();
                if report.clean { last.reopen()? } else { last.rewrite(&places)? }
            }
        };
        let mut sealed: Vec<(Seq, bool)> =
            survey.sealed.iter().map(|segment| (segment.first, segment.is_archived)).collect();
        sealed.push((active.first, false));
        report.segments = sealed.len();
        let shared = Shared::new(report.end, active.offset, sealed);
        let mut journal = Self {
            places,
            options,
            shared: Arc::new(shared),
            active,
            state: State::Open,
            preparing: None,
            frame: Vec::new(),
            #[cfg(test)]
            faults: super::tests::Faults::default(),
        };
        journal.prepare_in_time();
        Ok((journal, report))
    }
}

/// Reads every byte of every segment of the journal `label`, also beside a running writer.
///
/// A torn tail is not an error: the next open will cut it off. A journal of another label is.
pub fn verify(dir: &Path, archive: &Path, label: &str) -> Result<VerifyReport, ReadError> {
    let places = Places { dir: dir.to_owned(), archive: archive.to_owned(), label: label.to_owned() };
    let survey = survey(&places).map_err(foreign_is_damage)?;
    let mut report = VerifyReport { clean: true, ..VerifyReport::default() };
    for segment in &survey.sealed {
        let (path, mut file) = places.open_segment(segment.first)?;
        let bytes = read_all(&path, &mut file)?;
        let header = places.check_header(&path, &bytes, segment.first).map_err(foreign_is_damage)?;
        let scan = scan_segment(&path, &header, &bytes)?;
        if scan.ending != Ending::Sealed || scan.frames_end + MARKER_BYTES != bytes.len() {
            return Err(not_sealed(&path, &scan));
        }
        report.group_bytes += scan.group_bytes;
    }
    report.segments = survey.sealed.len();
    if let Some(last) = &survey.last {
        report.segments += 1;
        report.group_bytes += last.scan.group_bytes;
        report.end = last.scan.last;
        report.first = report.end.min(1);
        report.clean = last.scan.ending == Ending::Closed;
        report.torn = last.torn();
    }
    Ok(report)
}

/// The last segment of a journal as far as it can be trusted, for a copy.
pub(crate) struct ActivePart {
    pub(crate) path: PathBuf,
    /// The whole file: frames, then zeros to its capacity.
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: Seq,
    /// The sealed segments before it.
    pub(crate) sealed: Vec<Seq>,
}

/// The label of the journal in a directory, if there is one.
pub(crate) fn label_of(dir: &Path, archive: &Path) -> Result<Option<String>, OpenError> {
    let mut places = Places { dir: dir.to_owned(), archive: archive.to_owned(), label: String::new() };
    let Some(newest) = places.list()?.pop() else {
        return Ok(None);
    };
    let (path, file) = places.open_segment(newest.first)?;
    if let Err(OpenError::Foreign { found, .. }) = places.read_header(&path, &file, newest.first) {
        places.label = found;
    }
    // Whatever else is wrong with the header is wrong with any label.
    let header = places.read_header(&path, &file, newest.first)?;
    Ok(Some(header.label))
}

/// A segment, wherever it is now.
pub(crate) fn open_segment(dir: &Path, archive: &Path, first: Seq) -> Result<(PathBuf, File), ReadError> {
    let places = Places { dir: dir.to_owned(), archive: archive.to_owned(), label: String::new() };
    places.open_segment(first)
}

/// The last segment up to its last whole frame, also beside a running writer.
pub(crate) fn active_part(dir: &Path, archive: &Path) -> Result<Option<ActivePart>, OpenError> {
    let Some(label) = label_of(dir, archive)? else {
        return Ok(None);
    };
    let places = Places { dir: dir.to_owned(), archive: archive.to_owned(), label };
    let survey = survey(&places)?;
    let Some(last) = survey.last else {
        return Ok(None);
    };
    let capacity = usize::try_from(last.header.capacity).expect("the file was read");
    let mut bytes = last.bytes;
    bytes.truncate(last.scan.frames_end);
    bytes.resize(capacity, 0);
    Ok(Some(ActivePart {
        path: last.path,
        bytes,
        end: last.scan.last,
        sealed: survey.sealed.iter().map(|segment| segment.first).collect(),
    }))
}

/// All segments of a journal, in order and without a gap.
pub(super) struct Survey {
    pub(super) sealed: Vec<Listed>,
    pub(super) last: Option<Last>,
}

/// The segment that is appended to, or would be.
pub(super) struct Last {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    pub(super) scan: Scan,
    bytes: Vec<u8>,
}

/// Looks at every segment: wholly at the last, at header and seal of the others.
pub(super) fn survey(places: &Places) -> Result<Survey, OpenError> {
    /// A writer at work may be seen in the middle of an append or of a change of segments; never so
    /// often in a row.
    const TRIES: usize = 5;
    let mut tries = 1;
    loop {
        match survey_once(places) {
            Err(OpenError::Read(ReadError::Damaged { .. })) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn survey_once(places: &Places) -> Result<Survey, OpenError> {
    let mut sealed = places.list()?;
    let Some(newest) = sealed.pop() else {
        return Ok(Survey { sealed, last: None });
    };
    let mut next = 1;
    for segment in &sealed {
        check_follows(segment, next)?;
        let (path, file) = places.open_segment(segment.first)?;
        places.read_header(&path, &file, segment.first)?;
        next = read_seal(&path, &file, segment.first)? + 1;
    }
    check_follows(&newest, next)?;
    if newest.is_archived {
        return Err(ReadError::Damaged {
            file: places.dir.clone(),
            offset: 0,
            seq: None,
            why: "the newest segment is missing".to_owned(),
        }
        .into());
    }
    let (path, mut file) = places.open_segment(newest.first)?;
    let bytes = read_all(&path, &mut file)?;
    let header = places.check_header(&path, &bytes, newest.first)?;
    let scan = scan_segment(&path, &header, &bytes)?;
    Ok(Survey { sealed, last: Some(Last { path, header, scan, bytes }) })
}

fn check_follows(segment: &Listed, next: Seq) -> Result<(), ReadError> {
    if segment.first == next {
        return Ok(());
    }
    Err(ReadError::Damaged {
        file: segment.path.clone(),
        offset: 0,
        seq: Some(next),
        why: format!("the file begins with group {} where {next} should follow: a segment is missing", segment.first),
    })
}

/// The last group of a sealed segment, from its last bytes.
fn read_seal(path: &Path, file: &File, first: Seq) -> Result<Seq, ReadError> {
    let bytes = file.metadata().map_err(|source| failed("reading", path, source))?.len();
    let marker_bytes = u64::try_from(MARKER_BYTES).expect("a small number");
    let offset = bytes.saturating_sub(marker_bytes);
    let mut seal = [0; MARKER_BYTES];
    let read = file.read_exact_at(&mut seal, offset);
    let damaged = ReadError::Damaged {
        file: path.to_owned(),
        offset,
        seq: None,
        why: "the file does not end in a seal though another follows it".to_owned(),
    };
    match read {
        Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => return Err(damaged),
        Err(source) => return Err(failed("reading", path, source)),
        Ok(()) => {}
    }
    match FrameHeader::decode(first, offset, &seal) {
        Some(frame) if frame.kind == Kind::Sealed && frame.is_whole(first, offset, &seal) => Ok(frame.seq),
        _ => Err(damaged),
    }
}

pub(super) fn scan_segment(path: &Path, header: &SegmentHeader, bytes: &[u8]) -> Result<Scan, ReadError> {
    scan(header, bytes).map_err(|damage| ReadError::Damaged {
        file: path.to_owned(),
        offset: u64::try_from(damage.offset).expect("a usize fits"),
        seq: damage.seq,
        why: damage.why,
    })
}

fn not_sealed(path: &Path, scan: &Scan) -> ReadError {
    ReadError::Damaged {
        file: path.to_owned(),
        offset: u64::try_from(scan.frames_end).expect("a usize fits"),
        seq: Some(scan.last + 1),
        why: "the file does not end in a seal though another follows it".to_owned(),
    }
}

pub(super) fn read_all(path: &Path, file: &mut File) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|source| failed("reading", path, source))?;
    Ok(bytes)
}

fn foreign_is_damage(error: OpenError) -> ReadError {
    match error {
        OpenError::Read(error) => error,
        OpenError::Foreign { file, found, wanted } => ReadError::Damaged {
            file,
            offset: 0,
            seq: None,
            why: format!("it belongs to the journal {found}, not to {wanted}"),
        },
    }
}

impl Last {
    pub(super) fn torn(&self) -> Option<TornTail> {
        let Ending::Torn { bytes } = self.scan.ending else {
            return None;
        };
        Some(TornTail {
            file: self.path.clone(),
            offset: u64::try_from(self.scan.frames_end).expect("a usize fits"),
            seq: self.scan.last + 1,
            bytes: u64::try_from(bytes).expect("a usize fits"),
        })
    }

    /// After a clean end: the mark is wiped, so that from here on the end is not a clean one.
    fn reopen(&self) -> Result<Active, ReadError> {
        let io = |doing| move |source| failed(doing, &self.path, source);
        let file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(io("opening"))?;
        let offset = self.frames_end();
        let marker_bytes = u64::try_from(MARKER_BYTES).expect("a small number");
        fill_with_zeros(&file, offset, offset + marker_bytes).map_err(io("writing"))?;
        file.sync_data().map_err(io("syncing"))?;
        Ok(self.active(file))
    }

    /// After an unclean end: what is valid goes to a new file, which replaces this one.
    fn rewrite(&self, places: &Places) -> Result<Active, ReadError> {
        let temporary = places.dir.join(REWRITE);
        let io = |doing| move |source| failed(doing, &self.path, source);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary);
        let file = file.map_err(io("rewriting"))?;
        let valid = &self.bytes[..self.scan.frames_end];
        file.write_all_at(valid, 0).map_err(io("rewriting"))?;
        fill_with_zeros(&file, self.frames_end(), self.header.capacity).map_err(io("rewriting"))?;
        file.sync_all().map_err(io("syncing what was rewritten of"))?;
        fs::rename(&temporary, &self.path).map_err(io("replacing"))?;
        sync_dir(&places.dir).map_err(|source| failed("syncing", &places.dir, source))?;
        Ok(self.active(file))
    }

    fn active(&self, file: File) -> Active {
        Active { file, first: self.header.first, capacity: self.header.capacity, offset: self.frames_end() }
    }

    fn frames_end(&self) -> u64 {
        u64::try_from(self.scan.frames_end).expect("a usize fits")
    }
}

fn create_first(places: &Places, capacity: u64) -> io::Result<Active> {
    let file = prepare(&places.dir.join(NEXT), capacity)?;
    name_segment(places, file, 1, capacity)
}

/// What an interrupted preparation, rewrite or move left behind.
fn remove_leftovers(places: &Places) -> Result<(), ReadError> {
    for dir in [&places.dir, &places.archive] {
        let entries = fs::read_dir(dir).map_err(|source| failed("listing", dir, source))?;
        for entry in entries {
            let path = entry.map_err(|source| failed("listing", dir, source))?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|source| failed("removing", &path, source))?;
            }
        }
    }
    Ok(())
}
