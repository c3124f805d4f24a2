//! Two running sites on real directories read each other's journals.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use kontor_core::command::{Command, Inbound, Line, Note, Request};
use kontor_core::id::{Actor, LocationId, RequestId, SiteId, Sku};
use kontor_core::product::Selling;
use kontor_core::quantity::Quantity;
use kontor_core::session::{Mark, Past};
use kontor_core::text::Title;
use kontor_site::folded::Folded;
use kontor_site::foreign::NotFolded;
use kontor_site::site::NotReadIn;
use kontor_site::{NotDone, Settings, Site};
use kontor_storage::directory::{self, DataDir};
use kontor_storage::journal::local::LocalOptions;

fn id(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

fn open(dir: &Path, site: &str) -> Site {
    let settings = Settings {
        data: dir.to_owned(),
        site: id(site),
        nonce: 1,
        journal: LocalOptions { segment_bytes: 1 << 20, ..LocalOptions::default() },
        tables: Default::default(),
        disk_reserve_bytes: 0,
    };
    Site::open(&settings, |_| {}).unwrap()
}

fn line(sku: &str, location: &str) -> Line {
    let (sku, location) = (Sku::parse(sku).unwrap(), LocationId::parse(location).unwrap());
    Line { sku, location, quantity: Quantity::new(3).unwrap() }
}

fn act(site: &Site, command: Command) {
    let request = Request {
        command,
        actor: Actor::parse("key:test").unwrap(),
        request_id: RequestId::parse("r1").unwrap(),
        idempotency: None,
        fresh_id: [7; 16],
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(site.submit(request)).unwrap();
}

fn stock(site: &Site, sku: &str, location: &str) {
    let Line { sku, location, .. } = line(sku, location);
    let title = Title::parse("Thing").unwrap();
    let lines = vec![Line { sku: sku.clone(), location: location.clone(), quantity: Quantity::new(3).unwrap() }];
    act(site, Command::OpenLocation { id: location, name: title.clone() });
    act(site, Command::create_product(None, sku, title, Selling::default()));
    act(site, Command::Receive { from: Inbound::Delivery, lines, note: Note::default() });
}

fn read_all(from: &Site, to: &Site) -> Folded {
    loop {
        let at = to.status().journals[from.id()].folded.clone();
        let groups = from.feed().groups(at.term, at.seq).unwrap();
        if groups.is_empty() {
            return at;
        }
        to.read_in(from.id(), &groups).unwrap();
    }
}

fn on_hand(site: &Site, sku: &str) -> Option<i64> {
    let stock = site.read().stock(&Sku::parse(sku).unwrap()).unwrap();
    stock.map(|stock| stock.levels.iter().map(|level| level.level.on_hand).sum())
}

#[test]
fn what_was_read_of_another_site_is_kept() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (main, west) = (open(dirs[0].path(), "main"), open(dirs[1].path(), "west"));
    stock(&main, "APPLE", "shop");
    stock(&west, "PEAR", "harbour");
    let groups = west.feed().groups(0, 0).unwrap();
    assert!(matches!(main.read_in(west.id(), &groups), Err(NotReadIn::NotEnrolled(_))));
    main.enroll(west.id()).unwrap();
    west.enroll(main.id()).unwrap();
    assert!(main.enroll(main.id()).is_err(), "a site does not read itself");
    assert!(matches!(
        main.read_in(west.id(), &groups[1..]),
        Err(NotReadIn::NotFolded { why: NotFolded::Gap, at }) if at.seq == 0
    ));
    assert_eq!(read_all(&west, &main).seq, 3);
    assert_eq!(read_all(&main, &west).seq, 3);
    assert_eq!((on_hand(&main, "PEAR"), on_hand(&west, "APPLE")), (Some(3), Some(3)));
    act(&main, Command::Receive { from: Inbound::Return, lines: vec![line("APPLE", "shop")], note: Note::default() });
    assert_eq!(read_all(&main, &west).seq, 4);

    // A backup has what was read too: it is what the site says to have seen.
    let backup = tempfile::tempdir().unwrap();
    directory::backup(dirs[0].path(), backup.path(), &mut |_| {}).unwrap();
    let restored = tempfile::tempdir().unwrap();
    directory::restore(backup.path(), restored.path(), 2, &mut |_| {}).unwrap();

    // Nothing of the tables is left, and the other site is away: all is here again.
    main.close().unwrap();
    drop(main);
    std::fs::remove_dir_all(dirs[0].path().join("tables")).unwrap();
    for main in [open(dirs[0].path(), "main"), open(restored.path(), "main")] {
        assert_eq!(on_hand(&main, "PEAR"), Some(3));
        let journal = main.status().journals[west.id()].clone();
        assert_eq!((journal.folded.seq, journal.stopped), (3, None));
        assert_eq!(read_all(&west, &main).seq, 3);
        act(&main, Command::OpenLocation { id: line("APPLE", "stall").location, name: Title::parse("Stall").unwrap() });
        // A restored site goes on in a new term, which the other one follows.
        if main.term() == 1 {
            assert_eq!(read_all(&main, &west).seq, 5);
        }
        main.close().unwrap();
    }
}

/// A copy that is damaged stops the reading of that journal, and nothing else.
#[test]
fn a_damaged_copy_stops_one_journal() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (main, west) = (open(dirs[0].path(), "main"), open(dirs[1].path(), "west"));
    stock(&main, "APPLE", "shop");
    stock(&west, "PEAR", "harbour");
    main.enroll(west.id()).unwrap();
    read_all(&west, &main);
    main.close().unwrap();
    drop(main);

    let copy = DataDir::open_read_only(dirs[0].path()).unwrap().peer_journal_path("west", 1);
    let segment = std::fs::read_dir(copy).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096 + 100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    let main = open(dirs[0].path(), "main");
    let stopped = main.status().journals[west.id()].stopped.clone().unwrap();
    assert!(stopped.contains("damaged"), "{stopped}");
    assert_eq!((on_hand(&main, "APPLE"), on_hand(&main, "PEAR")), (Some(3), Some(3)));
    act(&main, Command::Receive { from: Inbound::Return, lines: vec![line("APPLE", "shop")], note: Note::default() });
    main.close().unwrap();
}

/// What a peer holds of a site's journal is compared with what is here, by place and by digest; a site that
/// is silent still reads others.
#[test]
fn a_site_that_hears_of_what_it_does_not_hold_reads_on_and_writes_nothing() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (main, west) = (open(dirs[0].path(), "main"), open(dirs[1].path(), "west"));
    stock(&main, "APPLE", "shop");
    stock(&west, "PEAR", "harbour");
    main.enroll(west.id()).unwrap();
    west.enroll(main.id()).unwrap();
    let held = read_all(&west, &main).mark();
    assert_eq!(main.kept(west.id()), Some(held));
    let (mark, groups) = main.kept_groups(west.id(), 1, 1).unwrap().unwrap();
    assert_eq!((mark, groups.len()), (held, 2), "whoever has lost it gets it back");
    assert!(main.kept_groups(main.id(), 0, 0).unwrap().is_none());

    let at = |term, seq| Mark { term, seq, ..held };
    for (said, past) in [(Mark::default(), Past::Same), (at(1, 0), Past::Same), (held, Past::Same)] {
        assert_eq!(west.hear_of_itself(main.id(), &said).unwrap(), past, "{said:?}");
    }
    assert_eq!(west.status().silent, None);
    for (said, past) in [(at(1, 2), Past::Other), (at(1, 4), Past::Missing), (at(2, 1), Past::Missing)] {
        assert_eq!(west.hear_of_itself(main.id(), &said).unwrap(), past, "{said:?}");
    }
    let why = west.status().silent.unwrap();
    assert!(why.contains("site main holds another group 2 of term 1"), "the first reason stays: {why}");
    let request = Request {
        command: Command::OpenLocation { id: line("PEAR", "quay").location, name: Title::parse("Quay").unwrap() },
        actor: Actor::parse("key:test").unwrap(),
        request_id: RequestId::parse("r2").unwrap(),
        idempotency: None,
        fresh_id: [8; 16],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(matches!(runtime.block_on(west.submit(request)), Err(NotDone::Silent(said)) if said == why));
    assert_eq!(read_all(&main, &west).seq, 3);
    assert_eq!((on_hand(&west, "APPLE"), west.status().end.seq), (Some(3), 3));
    west.close().unwrap();
}
