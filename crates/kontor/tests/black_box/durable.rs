//! Nothing acknowledged is lost and nothing takes effect twice, however often the process is killed.

use crate::support::ledger::Ledger;
use crate::support::server::{Server, assert_sound};
use crate::support::{prove, say};

#[test]
fn kill_9_loses_nothing_and_doubles_nothing() {
    let (cycles, acks) = if prove() { (50, 1_000) } else { (3, 250) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let ledger = Ledger::default();
    let mut chance = fastrand::Rng::with_seed(7);

    let mut server = Server::start(&data);
    Ledger::open_shop(&mut server.client());
    let mut known = 0;
    for cycle in 0..cycles {
        let load = ledger.load(server.address, cycle);
        load.wait_for(acks + chance.usize(..acks / 4));
        server.kill();
        load.wait_for_end();

        server = Server::start(&data);
        let mut client = server.client();
        // First as the crash left it, then after the clients have asked again.
        let findings = Ledger::audit(&mut client, &ledger.writes(), known);
        assert!(findings.is_empty(), "cycle {cycle}, after the crash: {findings:#?}");
        ledger.ask_again(&mut client);
        known = ledger.writes().len();
    }
    let findings = Ledger::audit(&mut server.client(), &ledger.writes(), 0);
    assert!(findings.is_empty(), "at the end: {findings:#?}");
    assert_eq!(ledger.refusals(), [], "there was enough for everybody");
    server.stop();
    assert_sound(&data);

    let acknowledged = ledger.acknowledged();
    assert!(acknowledged >= cycles * acks, "only {acknowledged} acknowledged");
    say("durable", &format!("{cycles} kills, {acknowledged} acknowledged writes: all there, once"));
}

#[test]
fn sigterm_drains_and_a_second_start_finds_everything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let ledger = Ledger::default();

    let server = Server::start(&data);
    Ledger::open_shop(&mut server.client());
    let load = ledger.load(server.address, 0);
    load.wait_for(100);
    server.stop();
    load.wait_for_end();
    // Whoever came too late may have been told to come again; nobody else was refused.
    for (status, code) in ledger.refusals() {
        assert_eq!((status, code.as_str()), (503, "shutting_down"));
    }
    assert_sound(&data);

    let server = Server::start(&data);
    let findings = Ledger::audit(&mut server.client(), &ledger.writes(), 0);
    assert!(findings.is_empty(), "{findings:#?}");
    server.stop();
}

#[test]
fn a_second_process_on_the_same_data_is_turned_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let first = Server::start(&data);
    let second = Server::try_start(crate::support::server::serve(&data));
    let Err(ended) = second else { panic!("two processes write to one journal") };
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("LOCK") || ended.stderr.contains("in use"), "{}", ended.stderr);
    first.stop();
}
