//! What the journal on disk promises, on a real file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use kontor_storage::journal::local::{LocalJournal, LocalOptions, LocalReader, OpenError, OpenReport, verify};
use kontor_storage::journal::memory::{MemoryJournal, SyncFault};
use kontor_storage::journal::{AppendError, Journal, JournalReader, ReadError, Seq};
use proptest::prelude::*;
use tempfile::TempDir;

const LABEL: &str = "main/1";
const HEADER_BYTES: usize = 4096;
const SMALL: LocalOptions =
    LocalOptions { segment_bytes: 16 << 10, group_bytes_max: 8 << 10, keep_segments: 2, ring_bytes: 1 << 10 };

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a directory") }
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    fn open(&self) -> (LocalJournal, OpenReport) {
        self.try_open().expect("the journal is sound")
    }

    fn try_open(&self) -> Result<(LocalJournal, OpenReport), OpenError> {
        LocalJournal::open(&self.journal(), &self.archive(), LABEL, SMALL)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for dir in [self.journal(), self.archive()] {
            let entries = fs::read_dir(dir).expect("a directory");
            files.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
        // Not what is only being prepared.
        files.retain(|file| file.extension().is_some_and(|extension| extension == "segment"));
        files.sort();
        files
    }

    /// The file that is appended to.
    fn active(&self) -> PathBuf {
        let mut files = self.files();
        files.retain(|file| file.starts_with(self.journal()));
        files.pop().expect("a segment")
    }

    fn verify(&self) -> Result<kontor_storage::journal::local::VerifyReport, ReadError> {
        verify(&self.journal(), &self.archive(), LABEL)
    }
}

/// The group `seq`: a size and bytes that tell it from others.
fn group(seq: Seq, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    (0..bytes).map(|_| random.u8(..)).collect()
}

fn append(journal: &mut LocalJournal, groups: &[Vec<u8>]) {
    for group in groups {
        journal.append(journal.end() + 1, group).expect("the disk works");
    }
}

fn all(reader: &dyn JournalReader) -> Vec<Vec<u8>> {
    let groups = reader.read(0, usize::MAX, usize::MAX).expect("the journal is sound");
    let seqs: Vec<Seq> = groups.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=reader.end()).collect::<Vec<_>>());
    groups.into_iter().map(|(_, group)| group.to_vec()).collect()
}

#[test]
fn groups_come_back_from_every_position_within_the_limits() {
    let place = Place::new();
    let groups: Vec<_> = (1..=60).map(|seq| group(seq, 700)).collect();
    let (mut journal, report) = place.open();
    assert!(report.clean && report.end == 0);
    append(&mut journal, &groups);
    assert!(matches!(journal.append(60, b"again"), Err(AppendError::Taken { seq: 60, end: 60 })));
    assert!(matches!(journal.append(62, b"gap"), Err(AppendError::Taken { seq: 62, end: 60 })));
    assert!(matches!(journal.append(61, &[0; 9000]), Err(AppendError::TooLarge { max: 8192, .. })));
    journal.close().expect("the disk works");
    assert!(matches!(journal.append(61, b"late"), Err(AppendError::NotWritten { .. })));

    let outside = LocalReader::open(&place.journal(), &place.archive(), LABEL).expect("sound");
    let inside = journal.reader();
    let readers: [&dyn JournalReader; 2] = [&outside, &*inside];
    for reader in readers {
        assert_eq!(all(reader), groups);
        for after in 0..=61 {
            let some = reader.read(after, 5, 2000).expect("sound");
            let expected = 3.min(60u64.saturating_sub(after));
            assert_eq!(u64::try_from(some.len()).expect("small"), expected);
            for (at, (seq, bytes)) in (after + 1..).zip(some) {
                assert_eq!((seq, bytes.to_vec()), (at, group(at, 700)));
            }
            let one = reader.read(after, 5, 0).expect("sound");
            assert_eq!(one.len(), usize::from(after < 60));
            assert!(reader.read(after, 0, 1000).expect("sound").is_empty());
        }
    }
}

#[test]
fn old_segments_move_to_the_archive_and_are_read_there() {
    let place = Place::new();
    let groups: Vec<_> = (1..=100).map(|seq| group(seq, 1000)).collect();
    let (mut journal, _) = place.open();
    append(&mut journal, &groups);
    let reader = journal.reader();
    drop(journal);
    let archived = fs::read_dir(place.archive()).expect("a directory").count();
    assert!(archived >= 4, "{archived} segments are archived");
    assert_eq!(all(&*reader), groups);

    let (journal, report) = place.open();
    assert_eq!(report.end, 100);
    assert!(report.segments > archived);
    assert_eq!(all(&*journal.reader()), groups);

    fs::remove_file(place.archive().join("00000000000000000001.segment")).expect("it is there");
    assert_damaged(place.try_open().map(drop), None);
}

#[test]
fn a_journal_knows_whether_it_was_closed() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    append(&mut journal, &[group(1, 10)]);
    journal.close().expect("the disk works");
    drop(journal);
    let (journal, report) = place.open();
    assert!(report.clean && report.torn.is_none());
    drop(journal);
    let (mut journal, report) = place.open();
    assert!(!report.clean, "it was opened and not closed again");
    assert_eq!(report.end, 1);
    append(&mut journal, &[group(2, 10)]);
    journal.close().expect("the disk works");
    drop(journal);
    assert_eq!(place.open().1.end, 2);
}

#[test]
fn a_journal_of_another_label_is_not_opened() {
    let place = Place::new();
    drop(place.open());
    let other = LocalJournal::open(&place.journal(), &place.archive(), "other/1", SMALL);
    let Err(OpenError::Foreign { found, wanted, .. }) = other else {
        panic!("it was opened");
    };
    assert_eq!((&*found, &*wanted), (LABEL, "other/1"));
}

#[test]
fn readers_follow_the_writer_from_other_threads() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    let followers: Vec<_> = (0..3)
        .map(|limit| {
            let reader: Arc<dyn JournalReader> = journal.reader();
            thread::spawn(move || {
                let mut after = 0;
                while after < 400 {
                    for (seq, bytes) in reader.read(after, 1 + limit * 7, 5000).expect("sound") {
                        assert_eq!(seq, after + 1);
                        assert_eq!(bytes, group(seq, 300));
                        after = seq;
                    }
                    thread::yield_now();
                }
            })
        })
        .collect();
    for seq in 1..=400 {
        journal.append(seq, &group(seq, 300)).expect("sound");
    }
    for follower in followers {
        follower.join().expect("the follower saw what was written");
    }
}

/// Offsets of frames of `bytes` in a segment of their own.
fn offset_of(index: usize, bytes: usize) -> usize {
    HEADER_BYTES + index * (bytes + 40).next_multiple_of(32)
}

/// One journal of four groups, changed in one way, and what is said of it.
#[test]
fn a_torn_tail_is_cut_off_and_damage_is_refused() {
    const BYTES: usize = 1200;
    enum Verdict {
        Whole,
        Torn,
        Damaged(usize),
    }
    use Verdict::{Damaged, Torn, Whole};
    type Change = fn(&mut Vec<u8>);
    let third = offset_of(2, BYTES);
    let last = offset_of(3, BYTES);
    let end = offset_of(4, BYTES);
    let cases: &[(&str, Change, Verdict)] = &[
        ("nothing", |_| {}, Whole),
        ("the last frame never arrived", |f| zero(f, 3, 0, 9999), Whole),
        ("its first sectors are missing", |f| zero(f, 3, 0, 512), Torn),
        ("a middle sector is missing", |f| zero(f, 3, 512, 1024), Torn),
        ("its end is missing", |f| zero(f, 3, 512, 9999), Torn),
        ("only its end is there", |f| zero(f, 3, 0, 1024), Torn),
        ("a bit of it is flipped", |f| flip(f, offset_of(3, BYTES) + 700), Damaged(last)),
        ("its length is flipped", |f| flip(f, offset_of(3, BYTES) + 5), Damaged(last)),
        ("its magic is flipped", |f| flip(f, offset_of(3, BYTES)), Damaged(last)),
        ("its last byte is flipped", |f| flip(f, offset_of(3, BYTES) + 1247), Damaged(last)),
        ("a bit behind the end", |f| flip(f, offset_of(4, BYTES)), Damaged(end)),
        ("a bit far behind the end", |f| flip(f, 16_000), Damaged(16_000)),
        ("a bit of the third", |f| flip(f, offset_of(2, BYTES) + 700), Damaged(third)),
        ("a sector of the third is missing", |f| zero(f, 2, 512, 1024), Damaged(third)),
        ("the third is missing", |f| zero(f, 2, 0, 9999), Damaged(third)),
        ("the third twice", |f| twice(f, 2, 3), Damaged(last)),
        ("the file is cut in a frame", |f| f.truncate(offset_of(3, BYTES) + 600), Damaged(last)),
        ("the file is cut between frames", |f| f.truncate(offset_of(3, BYTES)), Damaged(last)),
        ("the file is cut to its frames", |f| f.truncate(offset_of(4, BYTES)), Damaged(end)),
    ];
    for (name, change, verdict) in cases {
        let place = Place::new();
        let groups: Vec<_> = (1..=4).map(|seq| group(seq, BYTES)).collect();
        let (mut journal, _) = place.open();
        append(&mut journal, &groups);
        drop(journal);
        let file = place.active();
        let mut bytes = fs::read(&file).expect("the segment");
        change(&mut bytes);
        fs::write(&file, &bytes).expect("the segment");

        let verified = place.verify();
        let opened = place.try_open();
        match verdict {
            Damaged(offset) => {
                assert_damaged(verified.map(drop).map_err(OpenError::from), Some(*offset));
                assert_damaged(opened.map(drop), Some(*offset));
                assert_eq!(fs::read(&file).expect("the segment"), bytes, "{name}: changed");
            }
            Whole | Torn => {
                let (journal, report) = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
                let is_torn = matches!(verdict, Torn);
                assert_eq!(report.torn.is_some(), is_torn, "{name}");
                assert_eq!(verified.expect(name).torn, report.torn, "{name}");
                let kept = if *name == "nothing" { 4 } else { 3 };
                assert_eq!(all(&*journal.reader()), groups[..kept], "{name}");
            }
        }
    }

    /// Zeros from `start` to `end` of a frame, by the sectors that a disk would lose.
    fn zero(file: &mut [u8], frame: usize, start: usize, end: usize) {
        let (begin, limit) = (offset_of(frame, BYTES), offset_of(frame + 1, BYTES));
        let sector = |at: usize| (begin + at) / 512 * 512;
        let start = if start == 0 { begin } else { sector(start) };
        let end = sector(end).min(limit);
        file[start..end.max(start)].fill(0);
    }

    fn flip(file: &mut [u8], at: usize) {
        file[at] ^= 0x10;
    }

    fn twice(file: &mut [u8], from: usize, to: usize) {
        let (from, to, bytes) =
            (offset_of(from, BYTES), offset_of(to, BYTES), offset_of(1, BYTES) - offset_of(0, BYTES));
        file.copy_within(from..from + bytes, to);
    }
}

fn assert_damaged(result: Result<(), OpenError>, at: Option<usize>) {
    match result {
        Err(OpenError::Read(ReadError::Damaged { offset, why, .. })) => {
            if let Some(at) = at {
                assert_eq!(offset, u64::try_from(at).expect("small"), "{why}");
            }
        }
        Err(other) => panic!("not said to be damage: {other}"),
        Ok(()) => panic!("the damage was not noticed"),
    }
}

/// Flips 400 bits, one at a time, of a journal with sealed, archived and active segments. Verifying
/// notices each; so does opening or reading, which never shows another journal.
#[test]
fn no_flipped_bit_goes_unnoticed() {
    let place = Place::new();
    let mut random = fastrand::Rng::with_seed(7);
    let groups: Vec<_> = (1..=80)
        .map(|seq| {
            // Zeros, constants and noise: what a payload looks like must not matter.
            let bytes = random.usize(0..2000);
            match seq % 4 {
                0 => vec![0; bytes],
                1 => vec![0x55; bytes],
                _ => group(seq, bytes),
            }
        })
        .collect();
    let (mut journal, _) = place.open();
    append(&mut journal, &groups);
    journal.close().expect("the disk works");
    drop(journal);
    let files = place.files();
    assert!(files.len() > 5, "{} segments", files.len());

    let mut seen_at_open = 0;
    for _ in 0..400 {
        let file = &files[random.usize(..files.len())];
        let sound = fs::read(file).expect("a segment");
        let at = random.usize(..sound.len());
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << random.u8(..8);
        fs::write(file, &flipped).expect("a segment");

        let place_of = |error: &ReadError| match error {
            ReadError::Damaged { file, .. } => file.clone(),
            other => panic!("not said to be damage: {other}"),
        };
        let verified = place.verify().expect_err("the flip is noticed");
        assert_eq!(&place_of(&verified), file, "byte {at}: {verified}");
        let shown = LocalReader::open(&place.journal(), &place.archive(), LABEL)
            .inspect_err(|_| seen_at_open += 1)
            .map_err(|error| match error {
                OpenError::Read(error) => error,
                foreign @ OpenError::Foreign { .. } => panic!("{foreign}"),
            })
            .and_then(|reader| reader.read(0, usize::MAX, usize::MAX));
        let error = shown.expect_err("the flip is noticed by who reads it");
        assert_eq!(&place_of(&error), file, "byte {at}: {error}");

        fs::write(file, sound).expect("a segment");
    }
    assert!(seen_at_open > 20, "{seen_at_open} were seen at open");
    assert_eq!(place.verify().expect("sound again").end, 80);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// Zeros, ones or noise.
    AppendPattern(u8, usize),
    Close,
    Crash,
    /// A crash during an append of so many bytes, after which the sectors with a `false` are missing.
    Tear(usize, Vec<bool>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0usize..3000).prop_map(Step::Append),
        2 => (any::<u8>(), 0usize..3000).prop_map(|(byte, bytes)| Step::AppendPattern(byte, bytes)),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
        2 => (0usize..3000, prop::collection::vec(any::<bool>(), 8))
            .prop_map(|(bytes, kept)| Step::Tear(bytes, kept)),
    ];
    prop::collection::vec(step, 1..60)
}

/// Removes the sectors of the bytes from `start` on that are not `kept`.
fn tear(file: &Path, start: usize, kept: &[bool]) -> bool {
    let mut bytes = fs::read(file).expect("the segment");
    let mut sectors = kept.iter().cycle();
    let mut at = start;
    let mut is_whole = true;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    while at < end {
        let next = (at / 512 + 1) * 512;
        if !sectors.next().expect("it cycles") {
            bytes[at..next.min(end)].fill(0);
            is_whole = false;
        }
        at = next;
    }
    fs::write(file, bytes).expect("the segment");
    is_whole
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever a crash leaves of the append under way, all that was acknowledged is there.
    #[test]
    fn acknowledged_groups_survive_crashes_and_torn_appends(steps in steps()) {
        let place = Place::new();
        let (mut journal, _) = place.open();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for step in steps {
            match step {
                Step::Append(bytes) => {
                    let group = group(journal.end() + 1, bytes);
                    append(&mut journal, std::slice::from_ref(&group));
                    model.push(group);
                }
                Step::AppendPattern(byte, bytes) => {
                    append(&mut journal, &[vec![byte; bytes]]);
                    model.push(vec![byte; bytes]);
                }
                Step::Close => {
                    journal.close().expect("the disk works");
                    drop(journal);
                    let (again, report) = place.open();
                    prop_assert!(report.clean);
                    journal = again;
                }
                Step::Crash => {
                    drop(journal);
                    let (again, report) = place.open();
                    prop_assert!(!report.clean && report.torn.is_none());
                    journal = again;
                }
                Step::Tear(bytes, kept) => {
                    let before = place.active();
                    let old = fs::read(&before).expect("the segment");
                    let group = group(journal.end() + 1, bytes);
                    append(&mut journal, std::slice::from_ref(&group));
                    drop(journal);
                    let file = place.active();
                    // Where the new frame begins: behind what was there before.
                    let start = if file == before {
                        let new = fs::read(&file).expect("the segment");
                        (0..new.len()).find(|at| old[*at] != new[*at]).expect("it was written")
                    } else {
                        HEADER_BYTES
                    };
                    let is_whole = tear(&file, start, &kept);
                    let (again, report) = place.open();
                    journal = again;
                    if is_whole {
                        model.push(group);
                    }
                    prop_assert!(!report.clean);
                    prop_assert!(!is_whole || report.torn.is_none());
                }
            }
            prop_assert_eq!(journal.end(), u64::try_from(model.len()).expect("small"));
        }
        prop_assert_eq!(&all(&*journal.reader()), &model);
        drop(journal);
        let report = place.verify().expect("the journal is sound");
        prop_assert_eq!(report.end, u64::try_from(model.len()).expect("small"));
    }
}

#[test]
fn the_memory_journal_forgets_what_was_not_synced() {
    let mut journal = MemoryJournal::new();
    let disk = journal.disk();
    journal.append(1, b"one").expect("synced");
    disk.set_full(true);
    assert!(matches!(journal.append(2, b"two"), Err(AppendError::NotWritten { .. })));
    disk.set_full(false);
    for (fault, kept) in [(SyncFault::Lost, 0), (SyncFault::Kept, 1)] {
        let next = journal.end() + 1;
        disk.fail_next_sync(fault);
        for _ in 0..2 {
            assert!(matches!(journal.append(next, b"lost?"), Err(AppendError::Unknown { .. })));
        }
        assert_eq!(journal.end(), next - 1);
        assert_eq!(disk.crash(usize::MAX), kept);
        journal = MemoryJournal::open(disk.clone());
        assert_eq!(all(&*journal.reader()).len(), 1 + kept);
    }
    for _ in 0..3 {
        disk.write(b"under way").expect("there is room");
    }
    assert_eq!((journal.end(), disk.unsynced()), (2, 3));
    assert_eq!(disk.crash(2), 2);
    assert_eq!(MemoryJournal::open(disk).end(), 4);
}
