//! What the data directory promises: one user, one identity, copies that can be trusted.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kontor_storage::directory::{DataDir, DirectoryError, backup, restore};
use kontor_storage::journal::local::{LocalJournal, LocalOptions, LocalReader};
use kontor_storage::journal::{Journal, JournalReader, Seq};
use tempfile::TempDir;

const SMALL: LocalOptions =
    LocalOptions { segment_bytes: 32 << 10, group_bytes_max: 8 << 10, keep_segments: 2, ring_bytes: 1 << 10 };

fn open_journal(dir: &DataDir) -> LocalJournal {
    let term = dir.term();
    let (journal, archive) = (dir.journal_path(term), dir.archive_path(term));
    let opened = LocalJournal::open(&journal, &archive, &dir.label(term), SMALL);
    opened.expect("the journal is sound").0
}

fn group(seq: Seq) -> Vec<u8> {
    seq.to_le_bytes().repeat(60)
}

#[test]
fn a_directory_has_one_user_and_one_site() {
    let temp = TempDir::new().expect("a directory");
    let path = temp.path().join("deep/data");
    let dir = DataDir::open(&path, "main").expect("it is new");
    assert_eq!((dir.site(), dir.term(), dir.terms()), ("main", 1, &[1][..]));
    assert!(matches!(DataDir::open(&path, "main"), Err(DirectoryError::Locked { .. })));
    DataDir::open_read_only(&path).expect("reading takes no lock");
    drop(dir);
    assert!(matches!(DataDir::open(&path, "other"), Err(DirectoryError::OtherSite { .. })));
    for name in ["", "A", "-a", "a/b", &"a".repeat(64)] {
        assert!(matches!(DataDir::open(temp.path().join("new"), name), Err(DirectoryError::SiteName { .. })));
    }
    DataDir::open(&path, "main").expect("the lock was given back");
}

/// The other process is this test again, told by its environment what to do.
#[expect(clippy::disallowed_methods, reason = "a second process of this very test is told which directory to open")]
#[test]
fn two_processes_do_not_share_a_directory() {
    const PATH: &str = "KONTOR_TEST_LOCKED_DIRECTORY";
    if let Ok(path) = std::env::var(PATH) {
        let opened = DataDir::open(path, "main");
        assert!(matches!(opened, Err(DirectoryError::Locked { .. })));
        return;
    }
    let temp = TempDir::new().expect("a directory");
    let _dir = DataDir::open(temp.path(), "main").expect("it is new");
    let this = std::env::current_exe().expect("a path");
    let other = Command::new(this)
        .args(["--exact", "two_processes_do_not_share_a_directory"])
        .env(PATH, temp.path())
        .output()
        .expect("it runs");
    let output = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
fn a_copied_directory_does_not_start() {
    let temp = TempDir::new().expect("a directory");
    let (path, copy, moved) = (temp.path().join("data"), temp.path().join("copy"), temp.path().join("moved"));
    let dir = DataDir::open(&path, "main").expect("it is new");
    open_journal(&dir).append(1, b"one").expect("written");
    drop(dir);
    copy_tree(&path, &copy);
    let error = DataDir::open(&copy, "main").expect_err("it is a copy");
    assert!(matches!(error, DirectoryError::Copied { .. }));
    assert!(error.to_string().contains("kontor restore"));
    DataDir::open_read_only(&copy).expect("a copy may be read");

    fs::rename(&path, &moved).expect("it moves");
    DataDir::open(&moved, "main").expect("a directory may be renamed");

    fs::remove_file(copy.join("SITE")).expect("it is there");
    let error = DataDir::open(&copy, "main").expect_err("a journal without its site");
    assert!(matches!(error, DirectoryError::NotADataDirectory { .. }));
}

#[test]
fn a_backup_taken_while_groups_are_appended_restores_to_a_prefix_and_a_new_term() {
    let temp = TempDir::new().expect("a directory");
    let data = temp.path().join("data");
    let dir = DataDir::open(&data, "main").expect("it is new");
    let mut journal = open_journal(&dir);
    for seq in 1..=300 {
        journal.append(seq, &group(seq)).expect("written");
    }
    let stop = AtomicBool::new(false);
    let reports = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let next = journal.end() + 1;
                journal.append(next, &group(next)).expect("written");
            }
            journal.end()
        });
        let reports: Vec<_> = (0..6)
            .map(|number| {
                let mut steps = Vec::new();
                let target = temp.path().join(format!("backup-{number}"));
                let report = backup(&data, &target, &mut |at| steps.push(at.step));
                stop.store(number == 4 || report.is_err(), Ordering::Relaxed);
                assert!(steps.contains(&"copying") && steps.contains(&"verifying"));
                (target, report.expect("the backup is taken"))
            })
            .collect();
        let end = writer.join().expect("the writer goes on");
        assert!(end > 300);
        reports
    });

    let mut before = 300;
    for (number, (target, report)) in reports.iter().enumerate() {
        assert!(report.end >= before, "{} after {before}", report.end);
        before = report.end;
        assert!(matches!(backup(&data, target, &mut |_| {}), Err(DirectoryError::NotEmpty { .. })));

        let restored = temp.path().join(format!("restored-{number}"));
        let made = restore(target, &restored, 0, &mut |_| {}).expect("it is sound");
        assert_eq!((&*made.site, made.term), ("main", 2));
        assert_eq!((made.files, made.bytes), (report.files, report.bytes));
        assert!(matches!(restore(target, &restored, 0, &mut |_| {}), Err(DirectoryError::NotEmpty { .. })));

        let dir = DataDir::open(&restored, "main").expect("it starts");
        assert_eq!((dir.term(), dir.terms()), (2, &[1, 2][..]));
        let reader = LocalReader::open(&dir.journal_path(1), &dir.archive_path(1), &dir.label(1))
            .expect("the old term is there");
        let groups = reader.read(0, usize::MAX, usize::MAX).expect("sound");
        assert_eq!(reader.end(), report.end);
        assert_eq!(u64::try_from(groups.len()).expect("small"), report.end);
        assert!(groups.iter().all(|(seq, bytes)| *bytes == group(*seq)));

        let mut journal = open_journal(&dir);
        journal.append(1, b"first of the new term").expect("written");
    }

    // A second generation: both terms are backed up and restored.
    let (again, third) = (temp.path().join("again"), temp.path().join("third"));
    let report = backup(&temp.path().join("restored-0"), &again, &mut |_| {}).expect("sound");
    assert_eq!((report.term, report.end), (2, 1));
    restore(&again, &third, 7, &mut |_| {}).expect("sound");
    let dir = DataDir::open(&third, "main").expect("it starts");
    assert_eq!(dir.terms(), [1, 2, 7]);
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let temp = TempDir::new().expect("a directory");
    let (data, target) = (temp.path().join("data"), temp.path().join("backup"));
    let dir = DataDir::open(&data, "main").expect("it is new");
    let mut journal = open_journal(&dir);
    for seq in 1..=200 {
        journal.append(seq, &group(seq)).expect("written");
    }
    backup(&data, &target, &mut |_| {}).expect("it is taken");
    let files = files_below(&target);
    assert!(files.len() > 3);
    for (number, file) in files.iter().enumerate() {
        let sound = fs::read(file).expect("a file");
        for at in [0, sound.len() / 2, sound.len() - 1] {
            let mut flipped = sound.clone();
            flipped[at] ^= 4;
            fs::write(file, flipped).expect("a file");
            let restored = temp.path().join(format!("restored-{number}-{at}"));
            let error = restore(&target, &restored, 0, &mut |_| {}).expect_err("it is damaged");
            let is_named = matches!(&error, DirectoryError::BackupDamaged { file: found, .. } if found == file)
                // A flip can make the manifest no text at all.
                || matches!(&error, DirectoryError::Io { file: found, .. } if found == file);
            assert!(is_named, "{error}");
            let started = DataDir::open(&restored, "main");
            let nothing_there = files_below(&restored).iter().all(|file| !file.ends_with("MANIFEST"));
            assert!(started.is_err() || nothing_there, "half a restore does not start");
        }
        fs::write(file, sound).expect("a file");
    }
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn copy_tree(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        fs::create_dir_all(target.parent().expect("a parent")).expect("made");
        fs::copy(file, target).expect("copied");
    }
}
