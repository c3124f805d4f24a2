//! The commands as people and scripts meet them: what is printed, and whether the exit code tells the truth.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::http::{Client, KEY};
use crate::support::server::{Ended, Server, kontor, run, serve};
use crate::support::tools::{self, word};
use crate::support::{ledger::Ledger, shop};

#[test]
fn each_source_of_settings_wins_over_the_one_before_and_the_key_is_never_printed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kontor.toml");
    fs::write(&file, "site = \"from-file\"\nthreads = 3\ncache_mb = 9\n[limits]\nkey_rate = \"600/60\"\n")
        .expect("writable");
    let mut command = kontor(&["config", "print", "--json", "--cache-mb", "11", "--config", word(&file)]);
    command.env("KONTOR_THREADS", "5").env("KONTOR_CACHE_MB", "10");
    let (status, printed) = end(command);
    let settings: Value = serde_json::from_str(&printed).expect("--json prints JSON");
    assert!(status);
    assert_eq!(settings["listen"], "127.0.0.1:8080", "a default");
    assert_eq!(settings["site"], "from-file");
    assert_eq!(settings["threads"], 5, "the environment wins over the file");
    assert_eq!(settings["cache_mb"], 11, "a flag wins over the environment");
    assert_eq!(settings["limits"], json!({"key_rate": "600/60", "public_rate": "100000/10"}));
    assert_eq!(settings["admin_key"], "given");
    assert!(!printed.contains(KEY), "the key is a secret");
}

#[test]
fn wrong_settings_are_named_and_the_exit_code_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kontor.toml");
    let check = |name: &str, value: &str| {
        let mut command = kontor(&["config", "check"]);
        command.env(name, value).current_dir(folder.path());
        end(command)
    };
    assert_eq!(check("KONTOR_SITE", "main"), (true, "the settings are right\n".to_owned()));
    for (name, value, word) in [
        ("KONTOR_SITE", "No Such Name", "site"),
        ("KONTOR_ADMIN_KEY", "short", "admin key"),
        ("KONTOR_THREADS", "0", "threads"),
        ("KONTOR_CACHE_MB", "1", "cache_mb"),
        ("KONTOR_SEGMENT_BYTES", "1", "segment_bytes"),
        ("KONTOR_DISK_RESERVE_MB", "99999999", "disk_reserve_mb"),
        ("KONTOR_LISTEN", "nowhere", "--listen"),
        ("KONTOR_PUBLIC_RATE", "fast", "REQUESTS/SECONDS"),
        ("KONTOR_CONFIG", "no-such-file.toml", "no-such-file.toml"),
        ("KONTOR_LOG", "bogus=nope=x", "log filter"),
        ("KONTOR_PAYMENTS", "http", "KONTOR_PAYMENT_SECRET_KEY"),
    ] {
        let (status, said) = check(name, value);
        assert!(!status && said.contains(word), "{name}={value}: {said}");
    }
    fs::write(&file, "listen_on = 1\n").expect("writable");
    let (status, said) = check("KONTOR_SITE", "main");
    assert!(!status && said.contains("listen_on"), "an unknown setting is no comment: {said}");
}

#[test]
fn a_taken_port_is_explained_before_anything_is_touched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = taken.local_addr().expect("bound").to_string();
    let ended = refused(kontor(&["serve", "--listen", &address, "--data", word(&data)]));
    assert!(ended.stderr.contains(&format!("{address} is taken")), "{}", ended.stderr);
    assert!(ended.stderr.contains("--listen"), "says what to do: {}", ended.stderr);
    assert!(!data.exists(), "a directory was made for nothing");
}

#[test]
fn a_site_without_a_key_listens_to_this_machine_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut command = kontor(&["serve", "--listen", "0.0.0.0:0", "--data", word(&data)]);
    command.env_remove("KONTOR_ADMIN_KEY");
    let ended = refused(command);
    assert!(ended.stderr.contains("KONTOR_ADMIN_KEY"), "says what to do: {}", ended.stderr);
}

#[test]
fn the_admin_key_is_printed_once_and_counts_for_ever() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let start = || {
        let mut command = serve(&data);
        command.env_remove("KONTOR_ADMIN_KEY");
        Server::try_start(command).unwrap_or_else(|ended| panic!("{}", ended.stderr))
    };
    let opens = |client: &mut Client, key: &str| {
        client.send("GET", "/api/v1/reservations", &[("X-API-Key", key)], b"").expect("up").status
    };
    let server = start();
    let keys: Vec<String> =
        server.said.iter().filter_map(|line| line.strip_prefix("admin key: ").map(str::to_owned)).collect();
    let [key] = keys.as_slice() else { panic!("one key is printed: {:?}", server.said) };
    assert!(key.starts_with("kon_"), "{key}");
    assert_eq!(opens(&mut server.client(), key), 200);
    assert_eq!(opens(&mut server.client(), KEY), 401);
    server.stop();

    let server = start();
    assert!(!server.said.iter().any(|line| line.contains("kon_")), "printed again: {:?}", server.said);
    assert_eq!(opens(&mut server.client(), key), 200);
    server.stop();
    let journal = tools::run("grep", &["-rlaF", key, word(&data)]);
    assert!(journal.is_err(), "the key itself is on the disk: {journal:?}");
}

#[test]
fn api_commands_end_well_only_when_the_site_agrees() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&folder.path().join("data"));
    shop::open_place(&mut server.client());
    shop::add_product(&mut server.client(), "APPLE", "Apple");
    let url = format!("http://{}", server.address);
    let ask = |words: &[&str], key: &str| {
        let mut command = kontor(words);
        command.env("KONTOR_URL", &url).env("KONTOR_KEY", key);
        end(command)
    };
    let receipt = json!({"sku": "APPLE", "location": shop::PLACE, "quantity": 3}).to_string();
    let (status, said) = ask(&["api", "post", "/stock/receive", &receipt, "--json"], KEY);
    assert!(status, "{said}");
    let (status, said) = ask(&["api", "get", "/stock/APPLE", "--json"], KEY);
    assert!(status, "{said}");
    let stock: Value = serde_json::from_str(&said).expect("--json prints JSON");
    assert_eq!(stock["totals"]["on_hand"], 3);
    assert!(ask(&["explain", "APPLE"], KEY).0);

    let too_many =
        json!({"lines": [{"sku": "APPLE", "location": shop::PLACE, "quantity": 4}], "ttl_s": 60}).to_string();
    for (words, key, code) in [
        (&["api", "get", "/stock/PEAR"][..], KEY, "unknown_sku"),
        (&["api", "post", "/reservations", &too_many][..], KEY, "insufficient_stock"),
        (&["api", "post", "/stock/receive", "not json"][..], KEY, "invalid_request"),
        (&["api", "get", "/reservations"][..], "kon_wrong", "unauthenticated"),
        (&["explain", "PEAR"][..], KEY, "unknown_sku"),
    ] {
        let (status, said) = ask(words, key);
        assert!(!status && said.contains(code), "{words:?}: {said}");
    }
    server.stop();
    for words in [&["api", "get", "/stock/APPLE"][..], &["explain", "APPLE"]] {
        let (status, said) = ask(words, KEY);
        assert!(!status && said.contains(&url), "nobody is there: {words:?}: {said}");
    }
}

#[test]
fn damage_is_found_by_check_and_by_verify() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let server = Server::start(&data);
    Ledger::open_shop(&mut server.client());
    server.stop();
    let segment = only_segment(&data);
    let before = written(&segment);

    // The journal goes back to an earlier state, the tables do not: work is missing.
    let server = Server::start(&data);
    shop::add_product(&mut server.client(), "PEAR", "Pear");
    server.stop();
    let after = written(&segment);
    rewrite(&segment, &before, after.len());
    let (status, said) = end(kontor(&["check", "--data", word(&data)]));
    assert!(!status && said.contains("acknowledged work is missing"), "{said}");
    let ended = refused(serve(&data));
    assert!(ended.stderr.contains("missing"), "{}", ended.stderr);

    // One bit in the middle.
    let mut damaged = after.clone();
    damaged[after.len() / 2] ^= 4;
    rewrite(&segment, &damaged, after.len());
    for words in [&["check"][..], &["journal", "verify"]] {
        let mut command = kontor(words);
        command.arg("--data").arg(&data);
        let (status, said) = end(command);
        assert!(!status && said.contains("damaged at byte"), "{words:?}: {said}");
    }

    // As it was, all is well.
    rewrite(&segment, &after, after.len());
    assert!(end(kontor(&["check", "--data", word(&data)])).0);
    Server::start(&data).stop();
}

/// Runs a command to its end: whether it ended well, and all that it said.
fn end(command: Command) -> (bool, String) {
    let output = run(command);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[track_caller]
fn refused(command: Command) -> Ended {
    let Err(ended) = Server::try_start(command) else { panic!("it started") };
    assert!(!ended.status.success(), "a refusal is no success: {}", ended.stderr);
    ended
}

fn only_segment(data: &Path) -> PathBuf {
    let mut entries = fs::read_dir(data.join("journal/1")).expect("a journal");
    entries.next().expect("a segment").expect("readable").path()
}

/// What is written of a file, without the zeros behind it.
fn written(file: &Path) -> Vec<u8> {
    let mut bytes = fs::read(file).expect("readable");
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

/// Writes in place, with zeros up to where the file was written before.
fn rewrite(file: &Path, bytes: &[u8], length: usize) {
    let mut whole = bytes.to_vec();
    whole.resize(length.max(bytes.len()), 0);
    let file = fs::File::options().write(true).open(file).expect("writable");
    file.write_all_at(&whole, 0).expect("writable");
}
