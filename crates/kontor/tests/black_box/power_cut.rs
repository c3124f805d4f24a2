//! Nothing acknowledged is lost when the power goes: what counts is what has reached the disk.
//!
//! The data lives on an ext4 image behind a loop device. A copy of the image file taken in the middle of
//! the load holds what the kernel had been made to write and nothing of what was still in memory: the
//! disk as a power cut leaves it.

use std::path::Path;

use crate::support::ledger::{Ledger, Write};
use crate::support::server::{Server, serve, under};
use crate::support::tools::{Mount, run, tracer, word};
use crate::support::{left_out, prove, say};

#[test]
fn acknowledged_writes_survive_a_power_cut() {
    let images = if prove() { 10 } else { 1 };
    match cut_power(images, &[]) {
        Err(reason) => left_out("power cut", &reason),
        Ok(cuts) => {
            for (image, cut) in cuts.iter().enumerate() {
                assert!(cut.findings.is_empty(), "image {image}: {:#?}", cut.findings);
            }
            let checked: usize = cuts.iter().map(|cut| cut.acknowledged).sum();
            say("power cut", &format!("{images} images, {checked} acknowledged writes: all there"));
        }
    }
}

/// The control: the same story with every sync turned into nothing. If this one finds no loss, the
/// test above proves nothing.
#[test]
fn the_test_catches_a_server_that_does_not_sync() {
    let no_sync = match tracer("fdatasync,fsync,sync_file_range,msync,sync,syncfs", "retval=0") {
        Ok(words) => words,
        Err(reason) => return left_out("power cut, control", &reason),
    };
    let no_sync: Vec<&str> = no_sync.iter().map(String::as_str).collect();
    match cut_power(1, &no_sync) {
        Err(reason) => left_out("power cut, control", &reason),
        Ok(cuts) => {
            let findings = &cuts[0].findings;
            assert!(!findings.is_empty(), "nothing was synced and nothing was missed");
            let found = format!("without sync {} findings, such as: {}", findings.len(), findings[0]);
            say("power cut, control", &found);
        }
    }
}

/// What one copied image had to hold, and what was wrong with it.
struct Cut {
    acknowledged: usize,
    findings: Vec<String>,
}

/// Writes under load and copies the disk so many times; then starts on every copy. An error says why
/// this machine cannot do it.
fn cut_power(images: usize, wrapper: &[&str]) -> Result<Vec<Cut>, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("disk.img");
    let disk = Mount::new_image(&image, 512, &folder.path().join("disk"))?;
    let data = disk.at.join("data");

    let ledger = Ledger::default();
    let command = under(wrapper, &["serve", "--listen", "127.0.0.1:0", "--data", word(&data)]);
    let server = Server::try_start(command).unwrap_or_else(|ended| panic!("{}\n{}", ended.status, ended.stderr));
    Ledger::open_shop(&mut server.client());
    let load = ledger.load(server.address, 0);
    let mut copies: Vec<(String, Vec<Write>)> = Vec::new();
    for number in 0..images {
        load.wait_for(300);
        // Copying takes some milliseconds, a power cut does not: while the server stands still,
        // the disk does.
        server.pause();
        let acknowledged = ledger.writes();
        let copy = format!("{}.{number}", word(&image));
        let copied = run("cp", &["--sparse=always", word(&image), &copy]);
        server.resume();
        copied?;
        copies.push((copy, acknowledged));
    }
    server.kill();
    load.wait_for_end();
    drop(disk);

    let at = folder.path().join("copy");
    let mut cuts = Vec::new();
    for (copy, writes) in &copies {
        cuts.push(start_after(Path::new(copy), &at, writes)?);
        std::fs::remove_file(copy).expect("our own file");
    }
    Ok(cuts)
}

fn start_after(image: &Path, at: &Path, writes: &[Write]) -> Result<Cut, String> {
    let acknowledged = writes.iter().filter(|write| write.is_acknowledged()).count();
    let disk = Mount::image(image, at)?;
    let findings = match Server::try_start(serve(&disk.at.join("data"))) {
        Err(ended) => vec![format!("it does not start: {}\n{}", ended.status, ended.stderr)],
        Ok(server) => {
            let findings = Ledger::audit(&mut server.client(), writes, 0);
            server.kill();
            findings
        }
    };
    Ok(Cut { acknowledged, findings })
}
