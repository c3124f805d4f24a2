//! What the disk can do to an append, told by a disk that is made to fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use tempfile::TempDir;

use super::{LocalJournal, LocalOptions, OpenReport};
use crate::journal::{AppendError, Journal, Seq};

/// What goes wrong next.
#[derive(Default)]
pub(super) struct Faults {
    /// The next write stops after so many bytes.
    pub(super) write_stops_after: Option<usize>,
    /// The sync after so many more fails.
    pub(super) sync_fails_after: Option<usize>,
    /// No segment can be prepared.
    pub(super) disk_is_full: bool,
}

impl Faults {
    pub(super) fn before_write(&mut self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let Some(written) = self.write_stops_after.take() else {
            return Ok(());
        };
        file.write_all_at(&bytes[..written.min(bytes.len())], at)?;
        Err(io::Error::other("injected: short write"))
    }

    pub(super) fn before_sync(&mut self) -> io::Result<()> {
        match &mut self.sync_fails_after {
            None => Ok(()),
            Some(0) => Err(io::Error::other("injected: sync failed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

const OPTIONS: LocalOptions =
    LocalOptions { segment_bytes: 16 << 10, group_bytes_max: 4 << 10, keep_segments: 2, ring_bytes: 0 };

fn open(dir: &TempDir) -> (LocalJournal, OpenReport) {
    let (journal, archive) = (dir.path().join("journal"), dir.path().join("archive"));
    LocalJournal::open(&journal, &archive, "main/1", OPTIONS).expect("the journal is sound")
}

fn groups(journal: &LocalJournal) -> Vec<(Seq, Bytes)> {
    let reader = journal.reader();
    reader.read(0, usize::MAX, usize::MAX).expect("the journal is sound")
}

#[test]
fn a_write_that_fails_is_wiped_and_may_be_tried_again() {
    let dir = TempDir::new().expect("a directory");
    let (mut journal, _) = open(&dir);
    journal.append(1, b"one").expect("the disk works");
    for written in [0, 10, 1000] {
        journal.faults.write_stops_after = Some(written);
        let refused = journal.append(2, &[7; 2000]);
        assert!(matches!(refused, Err(AppendError::NotWritten { .. })));
        assert_eq!(journal.end(), 1);
    }
    journal.append(2, b"two").expect("the disk works again");
    drop(journal);

    let (journal, report) = open(&dir);
    assert_eq!((report.end, report.torn), (2, None));
    assert_eq!(groups(&journal)[1].1, b"two"[..]);
}

#[test]
fn a_write_that_fails_and_cannot_be_wiped_is_unknown() {
    let dir = TempDir::new().expect("a directory");
    let (mut journal, _) = open(&dir);
    journal.faults.write_stops_after = Some(1000);
    journal.faults.sync_fails_after = Some(0);
    let unknown = journal.append(1, &[7; 2000]);
    assert!(matches!(unknown, Err(AppendError::Unknown { .. })));
}

#[test]
fn after_a_failed_sync_the_journal_takes_nothing_until_it_is_opened_again() {
    let dir = TempDir::new().expect("a directory");
    let (mut journal, _) = open(&dir);
    journal.append(1, b"one").expect("the disk works");
    journal.faults.sync_fails_after = Some(0);
    for _ in 0..2 {
        let unknown = journal.append(2, b"two");
        assert!(matches!(unknown, Err(AppendError::Unknown { .. })));
        journal.faults.sync_fails_after = None;
    }
    assert_eq!(journal.end(), 1, "readers are not shown what may vanish");
    assert_eq!(groups(&journal).len(), 1);
    assert!(journal.close().is_err());
    drop(journal);

    let (journal, report) = open(&dir);
    assert!(!report.clean);
    assert_eq!(report.end, 2, "here the data had reached the file");
    assert_eq!(groups(&journal).len(), 2);
}

#[test]
fn a_disk_too_full_for_the_next_segment_refuses_and_later_goes_on() {
    let dir = TempDir::new().expect("a directory");
    let (mut journal, _) = open(&dir);
    journal.faults.disk_is_full = true;
    let mut refused = 0;
    let mut end = 0;
    for _ in 0..20 {
        match journal.append(end + 1, &[7; 2000]) {
            Ok(()) => end += 1,
            Err(AppendError::NotWritten { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(end >= 5 && refused >= 10, "{end} written, {refused} refused");
    journal.faults.disk_is_full = false;
    journal.append(end + 1, b"more").expect("there is room");
    journal.close().expect("the disk works");
    drop(journal);

    let (journal, report) = open(&dir);
    assert!(report.clean);
    assert_eq!(report.end, end + 1);
    assert_eq!(groups(&journal).len(), usize::try_from(end + 1).expect("small"));
}

#[test]
fn a_sync_that_fails_anywhere_loses_no_acknowledged_group() {
    for after in 0..60 {
        let dir = TempDir::new().expect("a directory");
        let (mut journal, _) = open(&dir);
        journal.faults.sync_fails_after = Some(after);
        let mut acknowledged = 0;
        while journal.append(acknowledged + 1, &[7; 1900]).is_ok() {
            acknowledged += 1;
        }
        drop(journal);

        let (journal, report) = open(&dir);
        assert!(report.end == acknowledged || report.end == acknowledged + 1);
        let sequence: Vec<Seq> = groups(&journal).iter().map(|(seq, _)| *seq).collect();
        assert_eq!(sequence, (1..=report.end).collect::<Vec<_>>());
    }
}
