//! Copies of a site: those that may be started, and those that may not.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::ledger::Ledger;
use crate::support::server::{Server, assert_sound, kontor, run, serve};
use crate::support::tools::{self, word};
use crate::support::{prove, say, shop};

/// A backup that is taken while writers are at work holds all that was acknowledged before it began.
/// What is restored from it is served under a new term, so that nobody takes the two for one.
#[test]
fn a_backup_under_load_is_restored_as_a_new_term() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, backup, restored) =
        (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let ledger = Ledger::default();
    let server = Server::try_start(serve_small(&data)).expect("a good disk");
    Ledger::open_shop(&mut server.client());

    let load = ledger.load(server.address, 0);
    load.wait_for(if prove() { 10_000 } else { 600 });
    let known = ledger.writes();
    let acknowledged = ledger.acknowledged();
    succeed(&["backup", word(&backup), "--data", word(&data)]);
    load.wait_for(100);
    load.stop();
    assert_eq!(ledger.refusals(), [], "nobody was refused because of the backup");
    server.stop();
    assert_sound(&data);

    succeed(&["restore", word(&backup), "--data", word(&restored)]);
    // Nothing was written in the new term yet.
    assert_sound(&restored);
    let server = Server::try_start(serve_small(&restored)).expect("a good copy");
    let mut client = server.client();
    let findings = Ledger::audit(&mut client, &ledger.writes_known_in(&known), 0);
    assert!(findings.is_empty(), "{findings:#?}");
    let since = ledger.acknowledged() - acknowledged;
    assert!(since >= 100, "the load went on");
    shop::add_product(&mut client, "NEW", "Made after the restore");
    server.stop();
    assert_sound(&restored);
    assert_eq!(terms(&data), [1]);
    let terms = terms(&restored);
    assert!(matches!(terms[..], [1, new] if new > 1), "a new term: {terms:?}");

    let again = run(kontor(&["restore", word(&backup), "--data", word(&restored)]));
    assert!(!again.status.success(), "a site was overwritten");
    say("backup", &format!("{acknowledged} acknowledged before it, {since} since: restored as a new term, all there"));
}

/// A copy made with other tools would be the same site twice: it is told how to make a copy.
#[test]
fn a_copied_directory_does_not_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let server = Server::start(&data);
    shop::open_place(&mut server.client());
    server.stop();
    tools::run("cp", &["-r", word(&data), word(&copy)]).expect("cp is everywhere");
    let Err(ended) = Server::try_start(serve(&copy)) else { panic!("the site runs twice") };
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("kontor restore"), "says what to do: {}", ended.stderr);
    // It may be looked at, and the original goes on.
    assert_sound(&copy);
    Server::start(&data).stop();
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, backup, restored) =
        (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let server = Server::start(&data);
    Ledger::open_shop(&mut server.client());
    succeed(&["backup", word(&backup), "--data", word(&data)]);
    server.stop();

    let segment = tools::run("find", &[word(&backup), "-name", "*.segment"]).expect("find is everywhere");
    let segment = Path::new(segment.lines().next().expect("a backup holds segments"));
    let mut bytes = fs::read(segment).expect("readable");
    let middle = bytes.iter().rposition(|byte| *byte != 0).expect("something is written") / 2;
    bytes[middle] ^= 1;
    fs::write(segment, bytes).expect("writable");

    let output = run(kontor(&["restore", word(&backup), "--data", word(&restored)]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "damage was restored");
    let name = segment.file_name().expect("a file").to_string_lossy().into_owned();
    assert!(said.contains("damaged") && said.contains(&name), "says where: {said}");
}

/// Small segments, so that a backup meets sealed and archived ones too.
fn serve_small(data: &Path) -> std::process::Command {
    let mut command = serve(data);
    command.env("KONTOR_SEGMENT_BYTES", "65536");
    command
}

/// The terms of a journal that hold anything.
fn terms(data: &Path) -> Vec<u64> {
    let verified: Value = serde_json::from_slice(&succeed(&["journal", "verify", "--json", "--data", word(data)]))
        .expect("--json prints JSON");
    let terms = verified["terms"].as_array().expect("terms");
    let terms = terms.iter().filter(|term| term["end"].as_u64() > Some(0));
    terms.map(|term| term["term"].as_u64().expect("a number")).collect()
}

#[track_caller]
fn succeed(words: &[&str]) -> Vec<u8> {
    let output = run(kontor(words));
    assert!(output.status.success(), "kontor {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
