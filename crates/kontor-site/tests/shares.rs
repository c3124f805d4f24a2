//! The step sees to the shares of shelves: what a refused buyer leads to, what is answered, and what of
//! another site is not believed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use kontor_core::command::{Command, Inbound, Line, Note, Request};
use kontor_core::event::{Entry, Event};
use kontor_core::group::{self, Digest, GroupBody, GroupHeader, Seen};
use kontor_core::id::{Actor, LocationId, OfferId, RequestId, SiteId, Sku};
use kontor_core::limits::TRANSFER_BORROW_MS;
use kontor_core::offer::{Offer, OfferStatus};
use kontor_core::product::Selling;
use kontor_core::quantity::Quantity;
use kontor_core::refusal::Refusal;
use kontor_core::stock::{Level, StockRow};
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_core::view::rows_of_sites;
use kontor_site::folded::Folded;
use kontor_site::foreign::{ForeignGroup, NotFolded};
use kontor_site::rows::{WriterRows, in_memory};
use kontor_site::step::{Appended, Input, NotDone, Output, Step, Writer};

const NAMES: [&str; 3] = ["main", "west", "east"];

type Read = Result<Folded, (Folded, NotFolded)>;

/// Three sites that are driven by hand.
struct Sites {
    places: Vec<Place>,
    now: SiteTime,
}

struct Place {
    step: Step<WriterRows>,
    journal: Vec<Vec<u8>>,
    /// What came of groups that were brought, by ticket.
    read: Vec<(u64, Read)>,
    tickets: u64,
}

fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

fn apples() -> Sku {
    Sku::parse("apples").unwrap()
}

fn shop() -> LocationId {
    LocationId::parse("shop").unwrap()
}

fn line(units: u64) -> Vec<Line> {
    vec![Line { sku: apples(), location: shop(), quantity: Quantity::new(units).unwrap() }]
}

fn reserve(units: u64) -> Command {
    Command::Reserve { id: None, owner: None, lines: line(units), hold_ms: 60_000 }
}

impl Place {
    fn new(name: &str) -> Self {
        let rows = WriterRows::new(in_memory(), NAMES.iter().map(|name| site(name)).collect());
        let writer = Writer { site: site(name), term: 1, epoch: 1, nonce: 1 };
        let step = Step::new(rows, writer, Folded { term: 1, ..Folded::start() }).unwrap();
        Self { step, journal: Vec::new(), read: Vec::new(), tickets: 0 }
    }

    /// Steps until nothing is left to do now.
    fn feed(&mut self, now: SiteTime, inputs: Vec<Input>) -> Vec<Result<(), NotDone>> {
        let (mut answers, mut inputs) = (Vec::new(), inputs);
        loop {
            for output in self.step.step(now, std::mem::take(&mut inputs)) {
                match output {
                    Output::Append { group, .. } => {
                        self.journal.push(group);
                        inputs.push(Input::Appended(Appended::Durable));
                    }
                    Output::Write { site, changes, folded } => {
                        self.step.rows().write(&changes, folded.encode(), &site).unwrap();
                    }
                    Output::Answer { answer, .. } => answers.push(answer.map(drop)),
                    Output::Read { ticket, result } => self.read.push((ticket, result)),
                    Output::Halt(why) => panic!("{why}"),
                }
            }
            if inputs.is_empty() && !self.step.has_work(now) {
                return answers;
            }
        }
    }

    fn sellable(&self) -> i64 {
        let rows = rows_of_sites::<StockRow>(self.step.rows(), (&apples(), &shop())).unwrap();
        Level::of(&rows, &site("main"), self.step.site()).sellable_here
    }

    fn bring(&mut self, now: SiteTime, of: &str, groups: &[Vec<u8>]) -> u64 {
        self.tickets += 1;
        let groups = groups.iter().map(|bytes| ForeignGroup::read(bytes)).collect();
        self.feed(now, vec![Input::Foreign { ticket: self.tickets, site: site(of), groups }]);
        self.tickets
    }

    fn result(&self, ticket: u64) -> Option<&Read> {
        self.read.iter().find(|(of, _)| *of == ticket).map(|(_, result)| result)
    }
}

impl Sites {
    /// The first has a shop with so many apples.
    fn with_apples(units: u64) -> Self {
        let places = NAMES.iter().map(|name| Place::new(name)).collect();
        let mut sites = Self { places, now: SiteTime(1_795_212_800_000) };
        let name = Title::parse("Shop").unwrap();
        sites.act(0, Command::OpenLocation { id: shop(), name: name.clone() }).unwrap();
        sites.act(0, Command::create_product(None, apples(), name, Selling::default())).unwrap();
        sites.act(0, Command::Receive { from: Inbound::Delivery, lines: line(units), note: Note::default() }).unwrap();
        sites
    }

    fn act(&mut self, at: usize, command: Command) -> Result<(), NotDone> {
        let place = &mut self.places[at];
        place.tickets += 1;
        let mut fresh_id = [0; 16];
        fresh_id[..8].copy_from_slice(&place.tickets.to_le_bytes());
        let (actor, request_id) = (Actor::parse("key:test").unwrap(), RequestId::parse("r1").unwrap());
        let request = Request { command, actor, request_id, idempotency: None, fresh_id };
        let ticket = place.tickets;
        place.feed(self.now, vec![Input::Request { ticket, request }]).remove(0)
    }

    fn shared(&self, of: usize) -> Vec<Vec<u8>> {
        self.places[of].journal.iter().map(|bytes| group::shared(bytes).unwrap().to_vec()).collect()
    }

    /// A site reads another to its end. Time passes meanwhile.
    fn reads(&mut self, reader: usize, of: usize) -> u64 {
        self.now = self.now.plus(50);
        let groups = self.shared(of);
        self.places[reader].bring(self.now, NAMES[of], &groups)
    }

    fn rests(&mut self) {
        for _ in 0..6 {
            for pair in (0..9).filter(|pair| pair / 3 != pair % 3) {
                self.reads(pair / 3, pair % 3);
            }
        }
    }

    fn sellable(&self) -> Vec<i64> {
        self.places.iter().map(Place::sellable).collect()
    }
}

#[test]
fn every_region_gets_a_share_of_what_came_in_and_then_all_rest() {
    let mut sites = Sites::with_apples(90);
    sites.rests();
    assert_eq!(sites.sellable(), [30, 30, 30]);
    let written = |sites: &Sites| sites.places.iter().map(|place| place.journal.len()).collect::<Vec<_>>();
    let before = written(&sites);
    sites.rests();
    assert_eq!(written(&sites), before, "nobody has anything to say");
    assert!(sites.places.iter().all(|place| place.step.next_timer().is_none_or(|at| at > sites.now)));
}

#[test]
fn a_buyer_who_is_refused_makes_the_site_ask_and_succeeds_when_the_answer_has_come() {
    let mut sites = Sites::with_apples(3);
    sites.reads(1, 0);
    let refused = sites.act(1, reserve(2)).unwrap_err();
    let NotDone::Refused(Refusal::QuotaExhaustedHere { available, elsewhere, as_of, .. }) = refused else {
        panic!("{refused}")
    };
    assert_eq!((available, elsewhere), (0, 3));
    assert!(as_of < sites.now, "that was when main's last group was written");
    sites.reads(0, 1);
    assert_eq!(sites.places[0].sellable(), 1, "main has given two away, and asked nobody for anything");
    assert!(matches!(sites.act(0, reserve(2)), Err(NotDone::Refused(Refusal::QuotaExhaustedHere { .. }))));
    sites.reads(1, 0);
    assert_eq!(sites.places[1].sellable(), 2);
    sites.act(1, reserve(2)).unwrap();
}

/// East wants so many apples at a location of its own.
fn asks_for(sites: &mut Sites, units: u64) -> OfferId {
    let (annex, id) = (LocationId::parse("annex").unwrap(), OfferId([7; 16]));
    let open = Command::OpenLocation { id: annex.clone(), name: Title::parse("Annex").unwrap() };
    sites.act(2, open).unwrap();
    let lines = vec![(apples(), Quantity::new(units).unwrap())];
    sites.act(2, Command::AskTransfer { id: Some(id), from: shop(), to: annex, lines, reason: None }).unwrap();
    id
}

fn becomes(sites: &Sites, id: OfferId) -> OfferStatus {
    Offer::read(sites.places[0].step.rows(), id, &site("east")).unwrap().unwrap().status()
}

#[test]
fn a_transfer_of_more_than_a_share_waits_for_what_others_give_and_is_then_accepted() {
    let mut sites = Sites::with_apples(90);
    sites.rests();
    let id = asks_for(&mut sites, 70);
    sites.reads(0, 2);
    assert_eq!(becomes(&sites, id), OfferStatus::Offered, "main has thirty, and asks the others");
    sites.reads(1, 0);
    sites.reads(0, 1);
    assert_eq!(becomes(&sites, id), OfferStatus::Offered, "what one gives is not enough");
    sites.reads(2, 0);
    sites.reads(0, 2);
    assert_eq!(becomes(&sites, id), OfferStatus::Accepted);
    sites.rests();
    assert_eq!(becomes(&sites, id), OfferStatus::Done);
}

#[test]
fn a_transfer_for_which_nobody_answers_is_declined_after_a_while_also_by_a_site_that_was_started_again() {
    let mut sites = Sites::with_apples(90);
    sites.rests();
    let id = asks_for(&mut sites, 70);
    sites.reads(0, 2);
    let main = sites.places.remove(0);
    let rows = WriterRows::new(main.step.rows().tables().clone(), NAMES.iter().map(|name| site(name)).collect());
    let writer = Writer { site: site("main"), term: 1, epoch: 2, nonce: 2 };
    let step = Step::new(rows, writer, main.step.end().clone()).unwrap();
    sites.places.insert(0, Place { step, ..main });
    let begun = sites.now;
    let mut looks = 0;
    while becomes(&sites, id) == OfferStatus::Offered {
        looks += 1;
        assert!(looks < 100, "it looks again when an ask has run out, and not all the time");
        let next = sites.places[0].step.next_timer().expect("it looks again");
        sites.now = sites.now.max(next);
        let now = sites.now;
        sites.places[0].feed(now, vec![]);
    }
    assert_eq!(becomes(&sites, id), OfferStatus::Declined);
    let waited = sites.now.0 - begun.0;
    assert!((TRANSFER_BORROW_MS - 1_000..=TRANSFER_BORROW_MS + 1_000).contains(&waited), "{waited} ms");
}

#[test]
fn a_start_sees_to_what_was_asked_before() {
    let mut sites = Sites::with_apples(90);
    sites.reads(1, 0);
    let groups = sites.shared(1);
    // What it read was folded, and nobody has seen to it: as after a crash.
    let main = sites.places.remove(0);
    let rows = WriterRows::new(main.step.rows().tables().clone(), NAMES.iter().map(|name| site(name)).collect());
    let end = main.step.end().clone();
    let writer = Writer { site: site("main"), term: 1, epoch: 2, nonce: 2 };
    let mut again = Place { step: Step::new(rows, writer, end).unwrap(), ..Place::new("main") };
    again.bring(sites.now, "west", &groups);
    again.feed(sites.now.plus(1_000), vec![]);
    assert_eq!(again.sellable(), 60, "a share for west; east has not asked");
}

/// A group of a site that says what it likes.
fn forged(of: &str, after: Option<&Vec<u8>>, seen: Vec<Seen>, event: Event) -> Vec<u8> {
    let seq = after.map_or(0, |bytes| group::decode_header(bytes).unwrap().seq) + 1;
    let previous = after.map_or(Digest::default(), |bytes| group::digest(bytes));
    let time = SiteTime(1_795_212_800_000);
    let header = GroupHeader { site: site(of), term: 1, seq, epoch: 1, writer: 1, time, previous, seen };
    let (actor, request_id) = (Actor::parse("x").unwrap(), RequestId::parse("x").unwrap());
    let mut body = GroupBody::default();
    body.push(&mut Entry { actor, request_id, idempotency: None, events: vec![event] });
    group::shared(&group::encode(&header, &body)).unwrap().to_vec()
}

fn gives(to: &str, units: u64) -> Event {
    Event::QuotaGranted { sku: apples(), location: shop(), to: site(to), units }
}

#[test]
fn a_site_that_gives_more_than_it_has_or_books_elsewhere_is_stopped_there() {
    let books =
        Event::StockAdjusted { sku: apples(), location: shop(), unavailable: 1, safety_stock: 0, available_after: 0 };
    for (event, why) in [(gives("main", 1), "1 more than it may promise"), (books, "not a location of its own")] {
        let mut sites = Sites::with_apples(9);
        let ticket = sites.places[0].bring(sites.now, "west", &[forged("west", None, vec![], event)]);
        let Some(Err((at, NotFolded::Stopped(said)))) = sites.places[0].result(ticket) else { panic!("it is stopped") };
        assert!(said.contains(why), "{said}");
        assert_eq!(*at, Folded::start(), "nothing of it is folded");
        sites.act(0, reserve(1)).unwrap();
    }
}

#[test]
fn what_builds_on_another_site_waits_for_it_and_is_not_taken_for_a_lie() {
    let mut sites = Sites::with_apples(90);
    sites.reads(1, 0);
    sites.reads(0, 1);
    sites.reads(1, 0);
    assert_eq!(sites.places[1].sellable(), 30);
    // West gives ten of its share to east, which has read nothing of main.
    let west = sites.shared(1);
    let mine = sites.places[0].journal.last().unwrap();
    let seen = group::decode_header(mine).unwrap();
    let seen = vec![Seen { site: site("main"), term: 1, seq: seen.seq, digest: group::digest(mine) }];
    let gift = forged("west", west.last(), seen, gives("east", 10));
    let east = &mut sites.places[2];
    let mut brought = west.clone();
    brought.push(gift);
    let ticket = east.bring(sites.now, "west", &brought);
    assert_eq!(east.result(ticket), None, "it waits");
    assert!(!east.step.has_work(sites.now), "and keeps nobody from resting");
    sites.reads(2, 0);
    let Some(Ok(folded)) = sites.places[2].result(ticket) else { panic!("it is folded") };
    assert_eq!(folded.seq, brought.len() as u64);
    assert!(sites.places[2].sellable() >= 10);
}
