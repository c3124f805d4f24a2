//! Stories of one running site: in memory, and on a real directory.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use kontor_core::cart::LineChange;
use kontor_core::command::{Command, Idempotency, Inbound, Line, Note, Request, UpsertItem};
use kontor_core::id::{Actor, CartId, JobId, LocationId, Position, RequestId, SiteId, Sku};
use kontor_core::job::{JobKind, JobOptions, JobStep, Source};
use kontor_core::money::Currency;
use kontor_core::payment::record::Capture;
use kontor_core::product::Selling;
use kontor_core::product::edit::ProductEdit;
use kontor_core::quantity::Quantity;
use kontor_core::record::TABLE_NAMES;
use kontor_core::refusal::Refusal;
use kontor_core::text::{Reference, Title};
use kontor_site::recover::{Terms, recover};
use kontor_site::rows::{WriterRows, in_memory};
use kontor_site::{Answer, NotDone, Settings, Site};
use kontor_storage::directory::DataDir;
use kontor_storage::journal::local::LocalReader;
use kontor_storage::tables::{Batch, Table, Tables};

fn request(command: Command, key: Option<u8>) -> Request {
    Request {
        command,
        actor: Actor::parse("key:test").unwrap(),
        request_id: RequestId::parse("r1").unwrap(),
        idempotency: key.map(|key| Idempotency { scope: [key; 16], fingerprint: [1; 16] }),
        fresh_id: [7; 16],
    }
}

fn line(quantity: u64) -> Line {
    let (sku, location) = (Sku::parse("APPLE").unwrap(), LocationId::parse("shop").unwrap());
    Line { sku, location, quantity: Quantity::new(quantity).unwrap() }
}

fn issue(quantity: u64) -> Command {
    Command::Issue { lines: vec![line(quantity)], note: Note::default() }
}

async fn stocked(site: &Site, units: u64) {
    let title = Title::parse("Apples").unwrap();
    let commands = [
        Command::create_product(None, line(1).sku, title.clone(), Selling::default()),
        Command::OpenLocation { id: line(1).location, name: title },
        Command::Receive { from: Inbound::Delivery, lines: vec![line(units)], note: Note::default() },
    ];
    for command in commands {
        site.submit(request(command, None)).await.unwrap();
    }
}

fn on_hand(site: &Site) -> i64 {
    site.read().stock(&line(1).sku).unwrap().unwrap().levels[0].level.on_hand
}

fn settings(dir: &std::path::Path) -> Settings {
    Settings {
        data: dir.to_owned(),
        site: SiteId::parse("main").unwrap(),
        nonce: 1,
        journal: Default::default(),
        tables: Default::default(),
        disk_reserve_bytes: 0,
    }
}

#[tokio::test]
async fn the_last_unit_sells_once_and_the_refusal_says_what_is_left() {
    let site = Site::in_memory(SiteId::parse("main").unwrap()).unwrap();
    stocked(&site, 1).await;
    let (first, second) = tokio::join!(site.submit(request(issue(1), None)), site.submit(request(issue(1), None)));
    let refused = match (first, second) {
        (Ok(_), Err(NotDone::Refused(refused))) | (Err(NotDone::Refused(refused)), Ok(_)) => refused,
        other => panic!("one of two should have been refused: {other:?}"),
    };
    let Refusal::InsufficientStock { wanted, available, .. } = refused else { panic!("{refused}") };
    assert_eq!((wanted, available), (1, 0));
    assert_eq!(on_hand(&site), 0);
    site.close().unwrap();
}

#[tokio::test]
async fn a_disk_that_is_down_to_its_reserve_takes_no_writes_and_answers_reads() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::open(&settings(dir.path()), |_| {}).unwrap();
    stocked(&site, 5).await;
    assert_eq!(site.lacks_room(), None);
    site.close().unwrap();
    drop(site);

    let no_disk_has_so_much = Settings { disk_reserve_bytes: u64::MAX, ..settings(dir.path()) };
    let site = Site::open(&no_disk_has_so_much, |_| {}).unwrap();
    let refused = site.submit(request(issue(1), None)).await.unwrap_err();
    let NotDone::NotWritten(why) = refused else { panic!("{refused}") };
    assert!(why.contains("MiB are free"), "{why}");
    // The number is another one whenever anybody writes to the disk.
    assert!(site.lacks_room().is_some_and(|why| why.contains("MiB are free")));
    assert_eq!(on_hand(&site), 5);
    site.close().unwrap();
}

#[tokio::test]
async fn a_repeated_key_gets_the_same_answer_and_another_body_under_it_is_refused() {
    let site = Site::in_memory(SiteId::parse("main").unwrap()).unwrap();
    stocked(&site, 10).await;
    let first = site.submit(request(issue(2), Some(9))).await.unwrap();
    let again = site.submit(request(issue(2), Some(9))).await.unwrap();
    assert_eq!(Answer { replayed: true, ..first }, again);
    let mut other = request(issue(3), Some(9));
    other.idempotency.as_mut().unwrap().fingerprint = [2; 16];
    assert!(matches!(site.submit(other).await, Err(NotDone::Refused(Refusal::KeyReused))));
    assert_eq!(on_hand(&site), 8);
}

#[tokio::test]
async fn what_was_answered_is_found_again_after_a_restart_and_with_the_tables_gone() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::open(&settings(dir.path()), |_| {}).unwrap();
    stocked(&site, 10).await;
    let first = site.submit(request(issue(2), Some(9))).await.unwrap();
    site.close().unwrap();
    drop(site);

    let site = Site::open(&settings(dir.path()), |_| {}).unwrap();
    assert_eq!(on_hand(&site), 8);
    assert_eq!(site.submit(request(issue(2), Some(9))).await.unwrap().position, first.position);
    site.close().unwrap();
    drop(site);

    let tables = dir.path().join("tables");
    assert!(kontor_site::are_current(&tables));
    let gone = || std::fs::remove_dir_all(&tables).unwrap();
    let of_another_version = || std::fs::write(tables.join("ROWS"), "1").unwrap();
    for lose in [&gone as &dyn Fn(), &of_another_version] {
        lose();
        let mut folded = 0;
        let site = Site::open(&settings(dir.path()), |progress| folded = progress.folded).unwrap();
        assert_eq!((on_hand(&site), folded > 0), (8, true));
        site.close().unwrap();
    }
    assert!(kontor_site::are_current(&tables));
}

#[tokio::test]
async fn the_feed_gives_every_entry_once_and_waits_for_the_next() {
    let site = Site::in_memory(SiteId::parse("main").unwrap()).unwrap();
    stocked(&site, 10).await;
    let mut feed = site.feed();
    let all = feed.read(Position::START, 100).unwrap();
    let mut one_by_one = Vec::new();
    let mut after = Position::START;
    while let Some(item) = feed.read(after, 1).unwrap().pop() {
        after = item.position;
        one_by_one.push(item.position);
    }
    assert_eq!(all.iter().map(|item| item.position).collect::<Vec<_>>(), one_by_one);
    let (woken, _) = tokio::join!(feed.wait(after), site.submit(request(issue(1), None)));
    assert!(woken);
    assert_eq!(feed.read(after, 100).unwrap().len(), 1);

    // Whoever read the rows goes on from their position, and is given nothing twice.
    let seen = site.read().position().unwrap();
    assert!(feed.read(seen, 100).unwrap().is_empty());
    let lost = Position { seq: seen.seq + 1, ..seen };
    assert!(feed.read(lost, 100).is_err());
    assert!(feed.read(Position { term: 7, ..seen }, 100).is_err());
}

/// A crash may leave rows that folding only puts, of groups whose other rows are lost. Folding those
/// groups again gives the same tables.
#[tokio::test]
async fn rows_that_ran_ahead_of_a_crash_are_put_again() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::open(&settings(dir.path()), |_| {}).unwrap();
    stocked(&site, 100).await;
    for key in 0..20 {
        let note = Note { reference: Some(Reference::parse(format!("bill {key}")).unwrap()), ..Note::default() };
        site.submit(request(Command::Issue { lines: vec![line(1)], note }, Some(key))).await.unwrap();
    }
    import(&site).await;
    order(&site).await;
    site.close().unwrap();
    drop(site);

    let directory = DataDir::open_read_only(dir.path()).unwrap();
    let (journal, archive, label) = (directory.journal_path(1), directory.archive_path(1), directory.label(1));
    let terms: Terms = vec![(1, Arc::new(LocalReader::open(&journal, &archive, &label).unwrap()))];
    let fold = |tables: &Tables| {
        let main = SiteId::parse("main").unwrap();
        let rows = WriterRows::new(tables.clone(), vec![main.clone()]);
        recover(&rows, &main, &terms, |_| {}).unwrap();
        (0..).zip(TABLE_NAMES).map(|(table, _)| all_rows(tables, kontor_core::record::Table(table))).collect::<Vec<_>>()
    };
    let whole = fold(&in_memory());
    assert!(
        whole
            .iter()
            .all(|(table, rows)| !table.is_only_put() || table.name().starts_with("answers") || !rows.is_empty())
    );

    let left_by_a_crash = in_memory();
    for (table, rows) in whole.iter().filter(|(table, _)| table.is_only_put()) {
        let mut batch = Batch::new();
        rows.iter().for_each(|(key, value)| batch.put_ahead(Table(table.0), key.clone(), value.clone()));
        left_by_a_crash.write(batch).unwrap();
    }
    assert_eq!(fold(&left_by_a_crash), whole);
}

/// Of one unit, at a price of the caller's own.
async fn order(site: &Site) {
    let line = line(1);
    let change = LineChange::Add { sku: line.sku, quantity: line.quantity, price: Some(100) };
    let (id, currency, details) = (Some(CartId([1; 16])), Currency::parse("EUR").unwrap(), Box::default());
    let open = Command::OpenCart { id, token: [0; 32], currency, market: None, details, lines: vec![change] };
    site.submit(request(open, None)).await.unwrap();
    let (cart, capture) = (CartId([1; 16]), Capture::Automatic);
    site.submit(request(Command::Checkout { cart, method: None, capture, hold_ms: 60_000 }, None)).await.unwrap();
}

/// One line.
async fn import(site: &Site) {
    let (id, kind, digest) = (JobId([1; 16]), JobKind::Products, [0; 32]);
    let (source, options) = (Source::parse("pears.csv").unwrap(), JobOptions::parse("").unwrap());
    site.submit(request(Command::StartJob { id: Some(id), kind, source, digest, options }, None)).await.unwrap();
    let edit = ProductEdit::titled(Title::parse("Pears").unwrap(), Sku::parse("PEAR").unwrap(), Selling::default());
    let step = JobStep { job: id, from_line: 1, through_line: 1, rejected: Vec::new() };
    let items = vec![UpsertItem::new(1, edit)];
    site.submit(request(Command::UpsertProducts { step: Some(step), items }, None)).await.unwrap();
}

type TableRows = (kontor_core::record::Table, Vec<(bytes::Bytes, bytes::Bytes)>);

fn all_rows(tables: &Tables, table: kontor_core::record::Table) -> TableRows {
    (table, tables.snapshot().prefix(Table(table.0), &[]).collect::<Result<_, _>>().unwrap())
}
