//! The step reads the journals of other sites: what it takes, what it refuses, and what goes on.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use kontor_core::command::{Command, Idempotency, Inbound, Line, Note, Request};
use kontor_core::event::{Entry, Event, Moved};
use kontor_core::group::{self, Digest, GroupBody, GroupHeader};
use kontor_core::id::{Actor, LocationId, ProductId, RequestId, SiteId, Sku};
use kontor_core::movement::MovementKind;
use kontor_core::overlay::Changes;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Product, Selling};
use kontor_core::quantity::Quantity;
use kontor_core::record::{TABLE_NAMES, Table};
use kontor_core::site::SeenRow;
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError, derived, row};
use kontor_site::folded::Folded;
use kontor_site::foreign::{ForeignGroup, NotFolded};
use kontor_site::rows::{WriterRows, in_memory};
use kontor_site::step::{Appended, Input, NotDone, Output, Step, Writer};

const NOW: SiteTime = SiteTime(1_795_212_800_000);

/// A site that is driven by hand, and the groups that it has appended.
struct Place<V: View = WriterRows> {
    step: Step<V>,
    write: fn(&V, &Changes, &Folded, &SiteId),
    journal: Vec<Vec<u8>>,
    tickets: u64,
}

fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

fn title(text: &str) -> Title {
    Title::parse(text).unwrap()
}

fn place(name: &str, others: &[&str]) -> Place {
    let sites = others.iter().chain([&name]).map(|name| site(name)).collect();
    let write = |rows: &WriterRows, changes: &Changes, folded: &Folded, site: &SiteId| {
        rows.write(changes, folded.encode(), site).unwrap();
    };
    with_rows(name, WriterRows::new(in_memory(), sites), write)
}

fn with_rows<V: View>(name: &str, rows: V, write: fn(&V, &Changes, &Folded, &SiteId)) -> Place<V> {
    let writer = Writer { site: site(name), term: 1, epoch: 1, nonce: 1 };
    let step = Step::new(rows, writer, Folded { term: 1, ..Folded::start() }).unwrap();
    Place { step, write, journal: Vec::new(), tickets: 0 }
}

type Read = Result<Folded, (Folded, NotFolded)>;

impl<V: View> Place<V> {
    /// Steps until nothing is left to do, with a disk that never fails.
    fn feed(&mut self, inputs: Vec<Input>) -> (Vec<Result<(), NotDone>>, Vec<Read>) {
        let (mut answers, mut read, mut inputs) = (Vec::new(), Vec::new(), inputs);
        loop {
            for output in self.step.step(NOW, std::mem::take(&mut inputs)) {
                match output {
                    Output::Append { group, .. } => {
                        self.journal.push(group);
                        inputs.push(Input::Appended(Appended::Durable));
                    }
                    Output::Write { site, changes, folded } => {
                        (self.write)(self.step.rows(), &changes, &folded, &site);
                    }
                    Output::Answer { answer, .. } => answers.push(answer.map(drop)),
                    Output::Read { result, .. } => read.push(result),
                    Output::Halt(why) => panic!("{why}"),
                }
            }
            if inputs.is_empty() && !self.step.has_work(NOW) {
                return (answers, read);
            }
        }
    }

    fn request(&mut self, command: Command) -> Input {
        self.tickets += 1;
        let mut scope = [0; 16];
        scope[..8].copy_from_slice(&self.tickets.to_le_bytes());
        let request = Request {
            command,
            actor: Actor::parse("key:test").unwrap(),
            request_id: RequestId::parse("r1").unwrap(),
            idempotency: Some(Idempotency { scope, fingerprint: [1; 16] }),
            fresh_id: scope,
        };
        Input::Request { ticket: self.tickets, request }
    }

    fn act(&mut self, command: Command) -> Result<(), NotDone> {
        let request = self.request(command);
        self.feed(vec![request]).0.remove(0)
    }

    fn must(&mut self, command: Command) {
        self.act(command).unwrap();
    }

    fn create(&mut self, sku: &str) {
        let (sku, selling) = (Sku::parse(sku).unwrap(), Selling::default());
        self.must(Command::create_product(None, sku, title("Thing"), selling));
    }

    /// What leaves the site of its groups.
    fn shared(&self) -> Vec<Vec<u8>> {
        self.journal.iter().map(|bytes| group::shared(bytes).unwrap().to_vec()).collect()
    }

    fn read(&mut self, from: &str, groups: &[Vec<u8>]) -> Read {
        self.tickets += 1;
        let groups = groups.iter().map(|bytes| ForeignGroup::read(bytes)).collect();
        let input = Input::Foreign { ticket: self.tickets, site: site(from), groups };
        self.feed(vec![input]).1.remove(0)
    }

    fn stopped(&self, of: &str) -> Option<String> {
        self.step.journals().find(|(name, _)| name.as_str() == of).and_then(|(_, it)| it.stopped.clone())
    }

    fn title(&self, id: &str) -> Option<String> {
        let product = derived::<Product>(self.step.rows(), &ProductId::parse(id).unwrap()).unwrap();
        product.map(|product| product.title.as_str().to_owned())
    }
}

/// A west that has done a little of everything, one group each.
fn west() -> Place {
    let mut west = place("west", &["main"]);
    west.create("PEAR");
    west.must(Command::OpenLocation { id: harbour(), name: title("Harbour") });
    for _ in 0..3 {
        west.must(Command::Receive { from: Inbound::Delivery, lines: vec![pears()], note: Note::default() });
    }
    west.must(Command::Reserve { id: None, owner: None, lines: vec![pears()], hold_ms: 60_000 });
    west
}

fn harbour() -> LocationId {
    LocationId::parse("harbour").unwrap()
}

fn pears() -> Line {
    Line { sku: Sku::parse("PEAR").unwrap(), location: harbour(), quantity: Quantity::new(1).unwrap() }
}

/// One more group of a journal, with whatever event.
fn forged(after: &[u8], event: Event) -> Vec<u8> {
    let last = group::decode_header(after).unwrap();
    forged_as(GroupHeader { seq: last.seq + 1, previous: group::digest(after), ..last }, event)
}

fn forged_as(header: GroupHeader, event: Event) -> Vec<u8> {
    let (actor, request_id) = (Actor::parse("x").unwrap(), RequestId::parse("x").unwrap());
    let mut body = GroupBody::default();
    body.push(&mut Entry { actor, request_id, idempotency: None, events: vec![event] });
    group::shared(&group::encode(&header, &body)).unwrap().to_vec()
}

/// An entry that no honest site writes: more units than any counter takes.
fn overflow() -> Event {
    let moved = Moved {
        sku: Sku::parse("PEAR").unwrap(),
        location: harbour(),
        quantity: u64::MAX,
        change: i64::MAX,
        from_unavailable: 0,
        on_hand_after: 0,
        available_after: 0,
    };
    Event::StockMoved {
        kind: MovementKind::Receive,
        lines: vec![moved],
        reference: None,
        reason: None,
        reservation: None,
        occurred_at: NOW,
    }
}

#[test]
fn a_journal_is_folded_in_its_order_and_once() {
    let (west, mut main) = (west(), place("main", &["west"]));
    let groups = west.shared();

    let Err((at, NotFolded::Gap)) = main.read("west", &groups[1..3]) else { panic!("the first is missing") };
    assert_eq!(at, Folded::start());
    assert_eq!(main.read("west", &groups[..2]).unwrap().seq, 2);
    assert_eq!(main.read("west", &groups[..3]).unwrap().seq, 3, "what was folded before changes nothing");
    let Err((at, NotFolded::Gap)) = main.read("west", &[groups[3].clone(), groups[5].clone()]) else {
        panic!("the fifth is missing")
    };
    assert_eq!(at.seq, 4, "what came in order is folded");
    assert_eq!(main.read("west", &groups[4..]).unwrap().digest, Digest::of(groups.last().unwrap()));
    assert_eq!(main.stopped("west"), None);

    // Its shelf, and nothing that is its own business.
    let shelf = |of: &Place| of.step.rows().get(Table::STOCK, b"PEAR\0harbour\0west").unwrap();
    assert!(shelf(&main).is_some());
    assert_eq!(shelf(&main), shelf(&west));
    let mut private = 0;
    for (table, name) in (0..).zip(TABLE_NAMES).filter(|(_, name)| *name == "due" || name.starts_with("answers")) {
        let range = KeyRange { from: &[], before: &[0xff; 9] };
        main.step.rows().scan(Table(table), range, &mut |_, _| panic!("{name} is private")).unwrap();
        west.step
            .rows()
            .scan(Table(table), range, &mut |_, _| {
                private += 1;
                true
            })
            .unwrap();
    }
    assert!(private > 5, "it has some");
}

#[test]
fn groups_say_what_was_seen_and_are_not_made_for_that_alone() {
    let (mut west, mut main) = (west(), place("main", &["west"]));
    let groups = west.shared();
    main.read("west", &groups[..4]).unwrap();
    main.read("west", &groups[4..]).unwrap();
    assert!(main.journal.is_empty(), "there is nothing to say");
    main.create("APPLE");
    main.create("PLUM");
    let seen: Vec<_> = main.journal.iter().map(|bytes| group::decode_header(bytes).unwrap().seen).collect();
    assert_eq!(seen[0].len(), 1);
    assert_eq!((seen[0][0].seq, seen[0][0].digest), (6, group::digest(&west.journal[5])));
    assert!(seen[1].is_empty(), "only what is new");

    // The other site, and a start, learn it from the rows.
    west.read("main", &main.shared()).unwrap();
    let seen: SeenRow = row(west.step.rows(), &site("main"), &site("west")).unwrap().unwrap();
    assert_eq!(seen.seq, 6);
    assert_eq!(row::<SeenRow>(main.step.rows(), &site("main"), &site("west")).unwrap(), Some(seen));
}

/// A group in flight was decided on rows without the other site's; its merged rows must not undo them.
#[test]
fn an_edit_on_its_way_to_the_disk_does_not_undo_what_arrives_meanwhile() {
    let mut main = place("main", &["west"]);
    main.create("PEAR");
    let mut west = place("west", &["main"]);
    west.read("main", &main.shared()).unwrap();
    let change = |name: &str| {
        let id = ProductId::parse("PEAR").unwrap();
        Command::change_product(id, ProductEdit { title: Some(title(name)), ..ProductEdit::default() }, None)
    };
    west.must(change("Western pear"));
    west.must(change("Best pear"));

    // Main adds a variant while west's titles arrive.
    let (id, sku) = (ProductId::parse("PEAR").unwrap(), Sku::parse("PEAR-XL").unwrap());
    let edit = main.request(Command::add_variant(id, VariantEdit::of(sku)));
    let groups = west.shared().iter().map(|bytes| ForeignGroup::read(bytes)).collect();
    let brought = Input::Foreign { ticket: 9, site: site("west"), groups };
    let outputs = main.step.step(NOW, [edit]);
    let [Output::Append { group, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    main.journal.push(group.clone());
    assert!(main.step.step(NOW, [brought]).is_empty(), "nothing is folded under a group in flight");
    let (_, read) = main.feed(vec![Input::Appended(Appended::Durable)]);
    assert_eq!(read[0].as_ref().unwrap().seq, 2);

    west.read("main", &main.shared()).unwrap();
    assert_eq!(main.title("PEAR").unwrap(), "Best pear");
    assert_eq!(west.title("PEAR").unwrap(), "Best pear");
    for table in [Table::CATALOG, Table::ITEMS, Table::PRODUCTS, Table::REVISIONS, Table::INDEX] {
        let all = |of: &Place| {
            let mut rows = Vec::new();
            let range = KeyRange { from: &[], before: &[0xff; 9] };
            let mut each = |key: &[u8], value: &Bytes| {
                rows.push((key.to_vec(), value.clone()));
                true
            };
            of.step.rows().scan(table, range, &mut each).unwrap();
            rows
        };
        assert_eq!(all(&main), all(&west), "{}", table.name());
    }
}

#[test]
fn what_is_no_group_of_the_journal_is_refused_and_nothing_stops() {
    let (west, mut main) = (west(), place("main", &["east", "west"]));
    let groups = west.shared();
    main.read("west", &groups[..2]).unwrap();
    let Err((_, NotFolded::NotOfIt(why))) = main.read("east", &groups[..1]) else { panic!("east is not west") };
    assert!(why.contains("speaks for itself alone"), "{why}");
    let mut torn = groups[2].clone();
    torn.pop();
    assert!(matches!(main.read("west", &[torn]), Err((_, NotFolded::NotOfIt(_)))));
    assert!(matches!(main.read("north", &groups), Err((_, NotFolded::NotRead))));
    assert_eq!((main.stopped("west"), main.stopped("east")), (None, None));
    assert_eq!(main.read("west", &groups).unwrap().seq, 6);
}

#[test]
fn a_newer_format_stops_that_journal_and_the_site_sells_on() {
    let (west, mut main) = (west(), place("main", &["west"]));
    let mut groups = west.shared();
    groups[2][0] = group::FORMAT + 1;
    let Err((at, NotFolded::Stopped(why))) = main.read("west", &groups) else { panic!("it is newer") };
    assert_eq!(at.seq, 2);
    assert!(why.contains("newer"), "{why}");
    assert_eq!(main.stopped("west"), Some(why));
    assert!(matches!(main.read("west", &west.shared()), Err((_, NotFolded::Stopped(_)))), "until the next start");
    main.create("APPLE");
}

#[test]
fn another_past_stops_that_journal() {
    let (west, mut other) = (west(), place("west", &["main"]));
    other.create("QUINCE");
    other.create("MELON");
    for (read, brought, what) in [
        (2, other.shared()[1..].to_vec(), "another one than was read before"),
        (1, other.shared()[1..].to_vec(), "does not follow"),
    ] {
        let mut main = place("main", &["west"]);
        main.read("west", &west.shared()[..read]).unwrap();
        let Err((at, NotFolded::Stopped(why))) = main.read("west", &brought) else { panic!("it is another past") };
        assert_eq!(at.seq, read as u64);
        assert!(why.contains(what), "{why}");
        main.create("APPLE");
    }
}

/// A new term begins with its first group, and only after the last one of the term before.
#[test]
fn a_term_follows_from_the_term_before() {
    let (west, mut main) = (west(), place("main", &["west"]));
    let groups = west.shared();
    let last = group::decode_header(&groups[5]).unwrap();
    let name = title("Quay");
    let opened = Event::LocationOpened { id: LocationId::parse("quay").unwrap(), name };
    let first = forged_as(GroupHeader { term: 4, seq: 1, previous: group::digest(&groups[5]), ..last.clone() }, opened);
    main.read("west", &groups[..4]).unwrap();
    assert!(matches!(main.read("west", std::slice::from_ref(&first)), Err((_, NotFolded::Gap))));
    assert_eq!(main.read("west", &groups[4..]).unwrap().seq, 6);
    let folded = main.read("west", std::slice::from_ref(&first)).unwrap();
    assert_eq!((folded.term, folded.seq), (4, 1));
    assert_eq!(main.read("west", &groups).unwrap(), folded, "what is older changes nothing");
}

#[test]
fn an_entry_that_cannot_be_folded_stops_its_journal_and_no_other() {
    let (west, mut main) = (west(), place("main", &["east", "west"]));
    let mut east = place("east", &["main"]);
    east.create("FIG");
    let mut groups = west.shared();
    groups.push(forged(&west.journal[5], overflow()));
    let before = groups[5].clone();
    let Err((at, NotFolded::Stopped(why))) = main.read("west", &groups) else { panic!("it cannot be folded") };
    assert_eq!(at.digest, Digest::of(&before), "what came before it is folded");
    assert!(why.contains("group 7 of term 1 cannot be folded"), "{why}");
    let shelf = |of: &Place| of.step.rows().get(Table::STOCK, b"PEAR\0harbour\0west").unwrap();
    assert_eq!(shelf(&main), shelf(&west), "nothing of it is left");

    assert_eq!(main.read("east", &east.shared()).unwrap().seq, 1);
    main.create("APPLE");
}

/// Rows that break a rule of the program when a certain shelf is read.
struct Breaking {
    rows: WriterRows,
    breaks: Rc<Cell<bool>>,
}

impl View for Breaking {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        assert!(!(self.breaks.get() && table == Table::STOCK && key.ends_with(b"west")), "planted");
        self.rows.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError> {
        self.rows.scan(table, range, each)
    }

    fn sites(&self) -> &[SiteId] {
        self.rows.sites()
    }
}

#[test]
fn a_panic_stops_that_journal_and_no_other() {
    let breaks = Rc::new(Cell::new(true));
    let rows = WriterRows::new(in_memory(), vec![site("main"), site("west")]);
    let write = |rows: &Breaking, changes: &Changes, folded: &Folded, site: &SiteId| {
        rows.rows.write(changes, folded.encode(), site).unwrap();
    };
    let mut main = with_rows("main", Breaking { rows, breaks: breaks.clone() }, write);
    let west = west();
    let Err((at, NotFolded::Stopped(why))) = main.read("west", &west.shared()) else { panic!("a rule broke") };
    assert_eq!(at.seq, 2, "product and location are there");
    assert!(why.contains("a rule broke"), "{why}");
    main.create("APPLE");
    breaks.set(false);
    assert!(main.stopped("west").is_some(), "until the next start");
}

/// While another site's groups are folded, buyers are served, and the other way round.
#[test]
fn buyers_and_other_sites_take_turns() {
    let mut west = place("west", &["main"]);
    for _ in 0..3 {
        let many: Vec<_> = (0..200)
            .map(|n| {
                let id = LocationId::parse(format!("l-{}-{n}", west.journal.len())).unwrap();
                west.request(Command::OpenLocation { id, name: title("Shop") })
            })
            .collect();
        west.feed(many);
    }
    let mut main = place("main", &["west"]);
    let groups: Vec<_> = west.shared().iter().map(|bytes| ForeignGroup::read(bytes)).collect();
    assert_eq!(groups.len(), 3);
    let buyers: Vec<_> = (0..2)
        .map(|n| {
            let sku = Sku::parse(format!("S-{n}")).unwrap();
            main.request(Command::create_product(None, sku, title("Thing"), Selling::default()))
        })
        .collect();
    let mut inputs = vec![Input::Foreign { ticket: 77, site: site("west"), groups }];
    let mut order = Vec::new();
    let mut buyers = buyers.into_iter();
    while main.step.has_work(NOW) || !inputs.is_empty() {
        // A buyer comes whenever there is nobody.
        inputs.extend(buyers.next());
        let mut next = Vec::new();
        for output in main.step.step(NOW, std::mem::take(&mut inputs)) {
            match output {
                Output::Append { .. } => next.push(Input::Appended(Appended::Durable)),
                Output::Write { site, changes, folded } => {
                    order.push((site.to_string(), folded.seq));
                    main.step.rows().write(&changes, folded.encode(), &site).unwrap();
                }
                _ => {}
            }
        }
        inputs = next;
    }
    let order: Vec<_> = order.iter().map(|(site, seq)| (site.as_str(), *seq)).collect();
    assert_eq!(order, [("main", 1), ("west", 2), ("main", 2), ("west", 3)], "in turn");
}
