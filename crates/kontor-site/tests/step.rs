//! The step, driven by hand: what is decided on which rows.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::Cell;

use bytes::Bytes;
use kontor_core::command::{Command, Idempotency, Inbound, Line, Note, Request};
use kontor_core::id::{Actor, LocationId, RequestId, SiteId, Sku};
use kontor_core::product::Selling;
use kontor_core::quantity::Quantity;
use kontor_core::record::Table;
use kontor_core::refusal::Refusal;
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError};
use kontor_site::folded::Folded;
use kontor_site::rows::{WriterRows, in_memory};
use kontor_site::step::{Appended, Input, NotDone, Output, Step, Writer};

const NOW: SiteTime = SiteTime(1_795_212_800_000);

fn input(ticket: u64, command: Command) -> Input {
    let key = u8::try_from(ticket).unwrap();
    let request = Request {
        command,
        actor: Actor::parse("key:test").unwrap(),
        request_id: RequestId::parse("r1").unwrap(),
        idempotency: Some(Idempotency { scope: [key; 16], fingerprint: [1; 16] }),
        fresh_id: [7; 16],
    };
    Input::Request { ticket, request }
}

fn issue() -> Command {
    let (sku, location) = (Sku::parse("APPLE").unwrap(), LocationId::parse("shop").unwrap());
    Command::Issue { lines: vec![Line { sku, location, quantity: Quantity::new(1).unwrap() }], note: Note::default() }
}

/// A ticket, and whether what was done had been done before.
type Told = (u64, Result<bool, NotDone>);

/// Rows that can be told to fail, and to break whatever rule reads them.
struct Moody {
    rows: WriterRows,
    mood: Cell<Mood>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// Reading this table fails.
    Fails(Table),
    /// Reading this table breaks the rule that reads it.
    Breaks(Table),
}

impl View for Moody {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        match self.mood.get() {
            Mood::Fails(of) if of == table => Err(ViewError { table: table.name(), why: "as it was told".into() }),
            Mood::Breaks(of) if of == table => panic!("as it was told"),
            _ => self.rows.get(table, key),
        }
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

/// Feeds the inputs, does what the site wants done, and answers what was told and whether an
/// append is on its way.
fn feed(step: &mut Step<Moody>, inputs: Vec<Input>) -> (Vec<Told>, bool) {
    feed_at(NOW, step, inputs)
}

fn feed_at(now: SiteTime, step: &mut Step<Moody>, inputs: Vec<Input>) -> (Vec<Told>, bool) {
    let (mut told, mut appending) = (Vec::new(), false);
    let mut inputs = inputs;
    loop {
        for output in step.step(now, inputs.drain(..)) {
            match output {
                Output::Append { .. } => appending = true,
                Output::Write { site, changes, folded } => {
                    step.rows().rows.write(&changes, folded.encode(), &site).unwrap();
                }
                Output::Read { .. } => panic!("nobody brought groups"),
                Output::Answer { ticket, answer } => told.push((ticket, answer.map(|answer| answer.replayed))),
                Output::Halt(why) => panic!("{why}"),
            }
        }
        if !step.has_work(now) {
            return (told, appending);
        }
    }
}

/// A step with one unit of one item on the shelf.
fn stocked() -> Step<Moody> {
    let site = SiteId::parse("main").unwrap();
    let rows = Moody { rows: WriterRows::new(in_memory(), vec![site.clone()]), mood: Cell::new(Mood::Good) };
    let writer = Writer { site, term: 1, epoch: 1, nonce: 1 };
    let mut step = Step::new(rows, writer, Folded { term: 1, ..Folded::start() }).unwrap();
    let Command::Issue { lines, note } = issue() else { unreachable!() };
    let (sku, location) = (lines[0].sku.clone(), lines[0].location.clone());
    let title = Title::parse("Apples").unwrap();
    let stocked = vec![
        input(1, Command::create_product(None, sku, title.clone(), Selling::default())),
        input(2, Command::OpenLocation { id: location, name: title }),
        input(3, Command::Receive { from: Inbound::Delivery, lines, note }),
    ];
    assert!(feed(&mut step, stocked).1);
    assert_eq!(feed(&mut step, durable()).0.len(), 3);
    step
}

fn durable() -> Vec<Input> {
    vec![Input::Appended(Appended::Durable)]
}

#[test]
fn what_waited_for_an_append_is_decided_on_the_rows_that_it_left() {
    let mut step = stocked();

    // The last unit is on its way to the disk while another buyer and a repeat of the first arrive.
    assert!(feed(&mut step, vec![input(4, issue())]).1);
    assert!(feed(&mut step, vec![input(5, issue()), input(4, issue())]).0.is_empty());
    let (told, appending) = feed(&mut step, durable());
    let [(4, Ok(false)), (5, Err(NotDone::Refused(Refusal::InsufficientStock { .. }))), (4, Ok(true))] = told[..]
    else {
        panic!("one unit, one buyer, one effect: {told:?}");
    };
    assert!(!appending);
}

#[test]
fn a_full_disk_does_not_deny_what_is_durable() {
    let mut step = stocked();
    assert!(feed(&mut step, vec![input(4, issue())]).1);
    assert!(matches!(feed(&mut step, durable()).0[..], [(4, Ok(false))]));

    // A new effect, a repeat of the new one, and a repeat of the durable one stand in one group.
    let Command::Issue { lines, note } = issue() else { unreachable!() };
    let receive = Command::Receive { from: Inbound::Delivery, lines, note };
    let group = vec![input(6, receive.clone()), input(6, receive), input(4, issue())];
    assert!(feed(&mut step, group).1);
    let (told, _) = feed(&mut step, vec![Input::Appended(Appended::NotWritten("full".into()))]);
    let [(6, Err(NotDone::NotWritten(_))), (6, Err(NotDone::NotWritten(_))), (4, Ok(true))] = told[..] else {
        panic!("what happened is not taken back, what did not is not told: {told:?}");
    };
}

/// A rule that breaks refuses its own command, takes back what it had begun, and nothing else: commands
/// before and after it in the same group are decided.
#[test]
fn a_rule_that_panics_costs_its_own_command_and_the_site_goes_on() {
    let mut step = stocked();
    step.rows().mood.set(Mood::Breaks(Table::STOCK));
    let open = |name: &str| Command::OpenLocation {
        id: LocationId::parse(name).unwrap(),
        name: Title::parse("Another").unwrap(),
    };
    assert!(feed(&mut step, vec![input(4, open("north")), input(5, issue()), input(6, open("south"))]).1);
    let (told, _) = feed(&mut step, durable());
    let [(4, Ok(false)), (5, Err(NotDone::Failed(_))), (6, Ok(false))] = &told[..] else {
        panic!("one command broke: {told:?}");
    };
    step.rows().mood.set(Mood::Good);
    assert!(feed(&mut step, vec![input(5, issue())]).1);
    assert!(matches!(feed(&mut step, durable()).0[..], [(5, Ok(false))]), "its key was not used up");
}

/// Answers are kept by day, and a table that begins a day is empty: nothing is remembered before that.
#[test]
fn nothing_is_decided_on_a_day_that_could_not_be_started() {
    let mut step = stocked();
    let tomorrow = NOW.plus(86_400_000);
    step.rows().mood.set(Mood::Fails(Table::SITES));
    let (told, appending) = feed_at(tomorrow, &mut step, vec![input(4, issue())]);
    assert!(matches!(told[..], [(4, Err(NotDone::Failed(_)))]) && !appending, "{told:?}");

    step.rows().mood.set(Mood::Good);
    assert!(feed_at(tomorrow, &mut step, vec![input(4, issue())]).1);
    assert!(matches!(feed_at(tomorrow, &mut step, durable()).0[..], [(4, Ok(false))]));
    let (told, appending) = feed_at(tomorrow, &mut step, vec![input(4, issue())]);
    assert!(matches!(told[..], [(4, Ok(true))]) && !appending, "{told:?}");
}
