//! The keys of persons: wrapped under a master key, backed up apart, and gone after an erasure.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kontor_site::clock::Stopwatch;
use serde_json::json;

use crate::support::HANG;
use crate::support::http::{Client, KEY};
use crate::support::server::{Server, assert_sound, kontor, run, serve};
use crate::support::tools::word;

const ADA: &str = "cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";

fn with_ada(client: &mut Client) {
    let ada = json!({"id": ADA, "email": "ada@example.org", "name": "Ada Example"});
    client.post("/api/v1/customers", "ada", &ada).expect("up").success();
}

fn read(client: &mut Client) -> serde_json::Value {
    let path = format!("/api/v1/customers/{ADA}");
    client.send("GET", &path, &[("X-API-Key", KEY)], b"").expect("up").success().json()
}

fn keys_in(data: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(data.join("keys")).expect("there").map(|entry| entry.expect("readable").path());
    let folders = folders.filter(|folder| folder.file_name().is_some_and(|name| name.len() == 2));
    folders
        .flat_map(|folder| fs::read_dir(folder).expect("there").map(|entry| entry.expect("readable").path()))
        .collect()
}

fn refused(command: Command) -> String {
    Server::try_start(command).err().expect("it does not start").stderr
}

#[test]
fn the_master_key_is_made_once_and_none_other_is_taken_while_there_is_a_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("data.master-key"));
    let server = Server::start(&data);
    let made = fs::read_to_string(&file).expect("it is beside the data directory");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    with_ada(&mut server.client());
    server.kill();
    let server = Server::start(&data);
    assert_eq!(fs::read_to_string(&file).expect("there"), made);
    assert_eq!(read(&mut server.client())["name"], "Ada Example");
    server.stop();

    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).expect("renamed");
    let said = refused(serve(&data));
    assert!(said.contains("--master-key-file") && said.contains("data.master-key is not there"), "{said}");
    assert!(!file.exists(), "another one is not made");
    fs::write(&file, "half of it").expect("written");
    assert!(refused(serve(&data)).contains("holds no master key"));
    fs::write(&file, "0".repeat(64)).expect("written");
    assert!(refused(serve(&data)).contains("another master key"));

    let with = |name: &str, value: &str| {
        let mut command = serve(&data);
        command.env(name, value);
        command
    };
    assert!(refused(with("KONTOR_MASTER_KEY", &"1".repeat(64))).contains("another master key"));
    assert!(refused(with("KONTOR_MASTER_KEY", "1234")).contains("64 hexadecimal digits"));
    for (name, value) in [("KONTOR_MASTER_KEY", made.trim()), ("KONTOR_MASTER_KEY_FILE", word(&elsewhere))] {
        let server = Server::try_start(with(name, value)).unwrap_or_else(|ended| panic!("{}", ended.stderr));
        assert_eq!(read(&mut server.client())["name"], "Ada Example", "{name}");
        server.stop();
    }
}

#[test]
fn lost_keys_come_back_from_their_own_backup_and_erased_ones_do_not_stay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("keys.backup"));
    let server = Server::start(&data);
    with_ada(&mut server.client());
    let backup = || run(kontor(&["keys", "backup", word(&copy), "--data", word(&data)]));
    let done = backup();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).starts_with("1 keys copied"), "{done:?}");
    assert!(!backup().status.success(), "a backup was overwritten");
    let restore = || run(kontor(&["keys", "restore", word(&copy), "--data", word(&data)]));
    assert!(!restore().status.success(), "the site runs");
    server.stop();

    fs::remove_file(&keys_in(&data)[0]).expect("removed");
    let server = Server::start(&data);
    assert_eq!(read(&mut server.client())["sealed"], true, "nobody can read it, and nothing fails");
    server.stop();
    let done = restore();
    assert!(done.status.success(), "{done:?}");
    let server = Server::start(&data);
    assert_eq!(read(&mut server.client())["email"], "ada@example.org");
    let erase = format!("/api/v1/customers/{ADA}/erase");
    server.client().post(&erase, "erase", &json!({})).expect("up").success();
    assert_eq!(keys_in(&data), Vec::<PathBuf>::new());
    server.kill();

    // The backup still has it, until it is deleted. What was restored is destroyed by the next start.
    assert!(restore().status.success());
    assert_eq!(keys_in(&data).len(), 1);
    let server = Server::start(&data);
    assert_eq!(read(&mut server.client())["erased"], true);
    let waited = Stopwatch::start();
    while !keys_in(&data).is_empty() {
        assert!(waited.seconds() < HANG.as_secs_f64(), "the key of an erased person is still here");
        std::thread::yield_now();
    }
    server.stop();
    assert_sound(&data);
}
