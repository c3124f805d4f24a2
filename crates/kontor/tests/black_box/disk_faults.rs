//! Disks that fail: a sync that reports an error, no space left, bits that flip. The site may refuse,
//! loudly and saying where; it may never answer wrongly.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::ledger::Ledger;
use crate::support::server::{Ended, Server, assert_sound, kontor, run, serve, under};
use crate::support::shop;
use crate::support::tools::{Mount, tracer, word};
use crate::support::{left_out, prove, say};

/// After a failed sync nobody knows what is on the disk: the process must end, saying so, and the next
/// one starts from what the journal holds.
#[test]
fn a_failed_sync_ends_the_process_and_loses_nothing() {
    let sweep: Vec<u32> = if prove() { (1..=50).collect() } else { vec![1, 8, 40] };
    let mut acknowledged = 0;
    for at in &sweep {
        // The n-th call and all after it fail: a disk that has gone bad stays bad.
        let failing = match tracer("fdatasync,fsync", &format!("error=EIO:when={at}+")) {
            Ok(words) => words,
            Err(reason) => return left_out("failed sync", &reason),
        };
        acknowledged += fail_sync(&failing);
    }
    let say_so = format!("{} points of failure, {acknowledged} acknowledged: all there", sweep.len());
    say("failed sync", &say_so);
}

fn fail_sync(failing: &[String]) -> usize {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    // The shop is opened on a good disk, so that the failure meets the load or the start.
    let server = Server::start(&data);
    Ledger::open_shop(&mut server.client());
    server.stop();

    let wrapper: Vec<&str> = failing.iter().map(String::as_str).collect();
    let ledger = Ledger::default();
    let words = ["serve", "--listen", "127.0.0.1:0", "--data", word(&data)];
    let ended: Ended = match Server::try_start(under(&wrapper, &words)) {
        Err(ended) => ended,
        Ok(server) => {
            let load = ledger.load(server.address, 0);
            load.wait_for_end();
            server.wait_for_end()
        }
    };
    assert!(!ended.status.success(), "a failed sync is no success");
    // The journal says at which step and what the disk said. Of the tables, whose engine syncs in a
    // thread of its own, it is only known that they take no more.
    let said = &ended.stderr;
    let is_told_by_the_journal = said.contains("sync") && said.contains("os error 5");
    assert!(is_told_by_the_journal || said.contains("the tables in"), "says why: {said}");

    let server = Server::start(&data);
    let findings = Ledger::audit(&mut server.client(), &ledger.writes(), 0);
    assert!(findings.is_empty(), "{findings:#?}");
    server.stop();
    assert_sound(&data);
    ledger.acknowledged()
}

/// A disk that is down to its reserve refuses writes with a reason, keeps answering reads, and takes
/// writes again when there is room, without a restart. Also when somebody else eats the reserve.
#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = match Mount::small(512, &folder.path().join("disk")) {
        Ok(disk) => disk,
        Err(reason) => return left_out("full disk", &reason),
    };
    let data = disk.at.join("data");
    let ledger = Ledger::default();
    let start = || Server::try_start(serve_with_reserve(&data)).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let server = start();
    let mut client = server.client();
    Ledger::open_shop(&mut client);
    ledger.load_some(server.address, 0, 100);

    // What the journal may still grow by is less than the load would write.
    disk.resize(used_mib(&disk.at) + RESERVE_MIB + 1).expect("root");
    let load = ledger.load(server.address, 1);
    load.wait_for_end();
    let refusals = ledger.refusals();
    assert!(!refusals.is_empty(), "the disk never got full");
    for (status, code) in &refusals {
        assert_eq!((*status, code.as_str()), (503, "storage_full"));
    }
    assert!(client.get("/api/v1/stock/LEDGER-0").expect("up").is_success(), "reads go on");
    let health = client.get("/health").expect("up").success().json();
    assert!(health["status"].as_str().is_some_and(|status| status.starts_with("storage full")), "{health}");

    disk.resize(used_mib(&disk.at)).expect("root");
    ledger.load(server.address, 2).wait_for_end();
    assert!(client.get("/api/v1/stock/LEDGER-0").expect("up").is_success(), "reads go on without a reserve");

    disk.resize(512).expect("root");
    ledger.load_some(server.address, 3, 100);
    assert_eq!(client.get("/health").expect("up").success().json()["status"], "healthy");
    server.kill();
    let server = start();
    let findings = Ledger::audit(&mut server.client(), &ledger.writes(), 0);
    assert!(findings.is_empty(), "{findings:#?}");
    server.stop();
    assert_sound(&data);
    let acknowledged = ledger.acknowledged();
    say("full disk", &format!("{acknowledged} acknowledged, {} refused: all there", refusals.len()));
}

/// Small, as the disks of this test are.
const RESERVE_MIB: u64 = 16;

fn serve_with_reserve(data: &Path) -> Command {
    let mut command = serve(data);
    command.env("KONTOR_SEGMENT_BYTES", "262144").env("KONTOR_DISK_RESERVE_MB", RESERVE_MIB.to_string());
    command
}

fn used_mib(at: &Path) -> u64 {
    let space = rustix::fs::statvfs(at).expect("mounted");
    ((space.f_blocks - space.f_bfree) * space.f_frsize).div_ceil(1024 * 1024)
}

/// A flipped bit is found, or does not matter; it never changes an answer.
#[test]
fn a_flipped_bit_is_refused_by_name_or_changes_nothing() {
    let flips = if prove() { 1_000 } else { 20 };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let ledger = Ledger::default();
    // Several lives and small segments, so that there are many, archived ones too.
    for round in 0..4 {
        let server = Server::try_start(serve_small(&data)).expect("a good disk");
        if round == 0 {
            Ledger::open_shop(&mut server.client());
        }
        ledger.load_some(server.address, round, if prove() { 1_500 } else { 200 });
        server.kill();
    }
    let server = Server::try_start(serve_small(&data)).expect("a good disk");
    let skus = Ledger::skus();
    let truth = shop::picture(&mut server.client(), &skus);
    server.stop();

    let pristine = Journal::read(&data);
    let mut chance = fastrand::Rng::with_seed(11);
    let (mut refused, mut harmless) = (0, 0);
    for flip in 0..flips {
        let (file, offset) = pristine.pick(&mut chance);
        pristine.restore(&data);
        let bit = chance.u8(..8);
        flip_bit(&data.join(&file), offset, bit);
        let here = format!("flip {flip}: {} byte {offset} bit {bit}", file.display());
        match start_and_look(&data, &skus) {
            Ok(picture) => {
                assert!(picture == truth, "{here}: wrong answers");
                harmless += 1;
            }
            Err(ended) => {
                assert_names_the_place(&here, &file, &ended.stderr);
                let mut verify = kontor(&["journal", "verify", "--data"]);
                verify.arg(&data);
                assert!(!run(verify).status.success(), "{here}: verify calls it sound");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "no flip was ever noticed");
    pristine.restore(&data);
    assert_sound(&data);
    say(
        "bit flips",
        &format!("{flips} in {} files: {refused} refused by name, {harmless} without effect", pristine.files.len()),
    );
}

fn serve_small(data: &Path) -> Command {
    let mut command = serve(data);
    command.env("KONTOR_SEGMENT_BYTES", "65536");
    command
}

fn start_and_look(data: &Path, skus: &[String]) -> Result<Value, Ended> {
    let server = Server::try_start(serve_small(data))?;
    let picture = shop::picture(&mut server.client(), skus);
    server.kill();
    Ok(picture)
}

fn assert_names_the_place(here: &str, file: &Path, said: &str) {
    let name = file.file_name().expect("a file").to_string_lossy().into_owned();
    assert!(said.contains(&name), "{here}: the refusal names no file:\n{said}");
    let has_offset = said.contains("offset") || said.contains("byte");
    assert!(has_offset, "{here}: the refusal names no place in the file:\n{said}");
}

fn flip_bit(file: &Path, offset: u64, bit: u8) {
    let file = File::options().read(true).write(true).open(file).expect("a journal file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("within the file");
    file.write_all_at(&[byte[0] ^ (1 << bit)], offset).expect("writable");
}

/// The journal of a stopped site, kept in memory so that every flip starts from the same bytes.
struct Journal {
    files: BTreeMap<PathBuf, Segment>,
    site: Vec<u8>,
}

/// One file: what is written, and how long it is with the empty rest.
struct Segment {
    written: Vec<u8>,
    length: u64,
}

impl Journal {
    fn read(data: &Path) -> Journal {
        let site = fs::read(data.join("SITE")).expect("a site has its file");
        let mut journal = Journal { files: BTreeMap::new(), site };
        for part in ["journal", "archive"] {
            journal.add(data, Path::new(part));
        }
        assert!(!journal.files.is_empty(), "no journal in {}", data.display());
        journal
    }

    fn add(&mut self, data: &Path, folder: &Path) {
        let Ok(entries) = fs::read_dir(data.join(folder)) else {
            return;
        };
        for entry in entries {
            let entry = entry.expect("readable");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                self.add(data, &path);
            } else {
                let mut written = fs::read(entry.path()).expect("readable");
                let length = written.len() as u64;
                let last = written.iter().rposition(|byte| *byte != 0);
                written.truncate(last.map_or(0, |last| last + 1));
                self.files.insert(path, Segment { written, length });
            }
        }
    }

    /// A byte of a file: mostly where something is written, sometimes in the empty rest.
    fn pick(&self, chance: &mut fastrand::Rng) -> (PathBuf, u64) {
        let files: Vec<_> = self.files.iter().filter(|(_, file)| file.length > 0).collect();
        let (path, file) = files[chance.usize(..files.len())];
        let end = match chance.u8(..10) {
            0 => file.length,
            _ => (file.written.len() as u64).max(1),
        };
        (path.clone(), chance.u64(..end))
    }

    /// Puts the journal back and forgets the tables, so that the next start reads every byte. Files
    /// are written in place: a site notices when its files have been copied.
    fn restore(&self, data: &Path) {
        if let Err(error) = fs::remove_dir_all(data.join("tables")) {
            assert_eq!(error.kind(), ErrorKind::NotFound, "tables: {error}");
        }
        for path in Journal::read(data).files.into_keys() {
            if !self.files.contains_key(&path) {
                fs::remove_file(data.join(path)).expect("writable");
            }
        }
        for (path, segment) in &self.files {
            let path = data.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            fs::write(&path, &segment.written).expect("writable");
            let file = File::options().write(true).open(&path).expect("writable");
            file.set_len(segment.length).expect("writable");
        }
        fs::write(data.join("SITE"), &self.site).expect("writable");
    }
}
