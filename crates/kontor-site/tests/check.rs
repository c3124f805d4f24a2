//! Each rule of the check, broken once on purpose: the check names that rule, and no other.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use kontor_core::access::Role;
use kontor_core::cart::{Cart, CartStatus, LineChange};
use kontor_core::command::{Change, Command, Context, Idempotency, Inbound, Line, Note, Request};
use kontor_core::decide::{Decision, decide};
use kontor_core::event::{Entry, Event, Moved};
use kontor_core::group::{self, GroupBody, GroupHeader};
use kontor_core::id::{Actor, CartId, LocationId, PaymentId, ProductId, RequestId, ReservationId, SiteId, Sku};
use kontor_core::money::Currency;
use kontor_core::movement::{Movement, MovementKind, UsedReference};
use kontor_core::order::{Order, OrderListed};
use kontor_core::overlay::Overlay;
use kontor_core::payment::call::{MethodToken, Outcome, ProviderObject};
use kontor_core::payment::record::{Capture, Payment, PaymentDue};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Claim, Item, Policy, Product, Selling, Status};
use kontor_core::quantity::Quantity;
use kontor_core::record::{Derived, Primary, TABLE_NAMES, decode, encode};
use kontor_core::reservation::{Due, DueKey, Promise, PromiseKey, Reservation, ReservationLine, ReservationStatus};
use kontor_core::stock::StockRow;
use kontor_core::text::{Reference, Title};
use kontor_core::time::SiteTime;
use kontor_core::view::row;
use kontor_site::check::{self, Report, Rule, Walk};
use kontor_site::folded::Folded;
use kontor_site::recover::Terms;
use kontor_site::rows::{SnapshotRows, WriterRows, in_memory};
use kontor_storage::journal::Journal;
use kontor_storage::journal::memory::MemoryJournal;
use kontor_storage::tables::{Batch, Table, Tables};

const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;
const HELD: ReservationId = ReservationId([1; 16]);
const COMMITTED: ReservationId = ReservationId([2; 16]);
const CART: CartId = CartId([3; 16]);
const ORDERED: fn() -> Vec<u8> = || own(Order::key(CART.into()).into_bytes());
const PAID: fn() -> Vec<u8> = || own(Payment::key(PaymentId { order: CART.into(), number: 1 }).into_bytes());

#[test]
fn a_site_that_keeps_the_rules_breaks_none() {
    let mut books = opened();
    books.ends_everything();
    books.orders();
    let own = books.rows.tables().clone();
    let report = books.report_with(&own);
    assert_eq!(report.broken, []);
    for rule in Rule::ALL {
        assert!(report.count(rule).looked_at > 0, "nothing was looked at for {}", rule.name());
    }
}

#[test]
fn a_broken_chain_is_found() {
    finds(&["chain"], |books| books.group_with(|header| header.previous = group::Digest([7; 32])));
    finds(&["chain"], |books| books.group_with(|header| header.seq += 1));
    finds(&["chain"], |books| books.group_with(|header| header.site = SiteId::parse("west").unwrap()));
    finds(&["chain"], |books| books.journal.push(vec![group::FORMAT + 1, 0]));
    // A group in the middle that is not the one that the next was written after.
    finds(&["chain"], |books| {
        let middle = books.journal.len() / 2;
        let mut group = group::decode(&books.journal[middle]).unwrap();
        group.header.writer += 1;
        books.journal[middle] = packed(&group.header, &group.entries);
    });
}

#[test]
fn time_and_writers_that_go_back_are_found() {
    finds(&["order"], |books| {
        books.now.0 -= 1;
        books.group_with(|_| {});
    });
    finds(&["order"], |books| {
        books.group_with(|header| header.epoch = 2);
        books.group_with(|header| header.epoch = 1);
    });
}

#[test]
fn what_does_not_fit_what_was_there_is_found() {
    finds(&["fold"], |books| {
        let mut line = books.moved(1, 1);
        line.from_unavailable = 5;
        books.writes(vec![moved(MovementKind::Receive, vec![line], None)]);
    });
}

#[test]
fn a_promise_beyond_the_policy_in_force_is_found() {
    finds(&["promised"], |books| books.writes(vec![books.made(9, 100)]));
    // The event before it in its entry does not make enough room.
    finds(&["promised"], |books| {
        let released = books.ended(HELD, ReservationStatus::Released);
        books.writes(vec![released, books.made(9, 8)]);
    });
    finds(&[], |books| {
        let released = books.ended(HELD, ReservationStatus::Released);
        books.writes(vec![released, books.made(9, 7)]);
    });
    finds(&["promised"], |books| {
        books.does(books.archive());
        books.writes(vec![books.made(9, 1)]);
    });
}

/// A product that was edited is held to the policy of each moment, and not to that of another.
#[test]
fn the_policy_in_force_changes_with_the_product() {
    let sells = |policy, backorder_limit| move |books: &mut Books| books.sells(Selling { policy, backorder_limit });
    let (anything, strictly) = (sells(Policy::TrackOnly, 0), sells(Policy::ReserveOnOrder, 0));
    let twenty_more = sells(Policy::ReserveOnOrder, 20);
    finds(&[], |books| {
        anything(books);
        books.writes(vec![books.made(9, 100)]);
        strictly(books);
    });
    finds(&["promised"], |books| {
        anything(books);
        strictly(books);
        books.writes(vec![books.made(9, 100)]);
    });
    finds(&[], |books| {
        twenty_more(books);
        books.writes(vec![books.made(9, 25)]);
        strictly(books);
    });
    finds(&["promised"], |books| {
        twenty_more(books);
        books.writes(vec![books.made(9, 26)]);
    });
    // A count that finds fewer than are promised is a shortage; a sale after it is one too many.
    finds(&[], |books| books.does(count(1)));
    finds(&["promised"], |books| {
        books.does(count(1));
        books.writes(vec![books.made(9, 1)]);
    });
}

#[test]
fn units_that_go_and_were_not_there_are_found() {
    finds(&["at_hand"], |books| {
        books.sells(Selling { policy: Policy::ReserveOnOrder, backorder_limit: 50 });
        books.writes(vec![moved(MovementKind::Issue, vec![books.moved(20, -20)], None)]);
    });
    finds(&["at_hand"], |books| {
        books.writes(vec![moved(MovementKind::WriteOff, vec![books.moved(20, -20)], None)]);
    });
}

#[test]
fn lines_that_say_something_else_are_found() {
    let receives = |line: Moved| vec![moved(MovementKind::Receive, vec![line], None)];
    finds(&[], |books| books.writes(receives(books.moved(4, 4))));
    finds(&["booked"], |books| books.writes(receives(books.moved(4, 5))));
    finds(&["booked"], |books| {
        let mut line = books.moved(4, 4);
        line.available_after += 1;
        books.writes(receives(line));
    });
    finds(&["booked", "ledger"], |books| {
        let mut line = books.moved(4, 4);
        line.on_hand_after += 1;
        books.writes(receives(line));
    });
    finds(&["booked"], |books| {
        let line = Moved { sku: sku("GHOST"), on_hand_after: 1, available_after: 1, ..books.moved(1, 1) };
        books.writes(receives(line));
    });
    finds(&["booked", "shares"], |books| {
        let location = LocationId::parse("moon").unwrap();
        let line = Moved { location, on_hand_after: 1, available_after: 1, ..books.moved(1, 1) };
        books.writes(receives(line));
    });
    // Units that are held and not counted could be sold again.
    finds(&["booked"], |books| {
        let Event::ReservationMade { id, owner, mut lines, expires_at } = books.made(9, 1) else { unreachable!() };
        lines[0].tracked = false;
        books.writes(vec![Event::ReservationMade { id, owner, lines, expires_at }]);
    });
    finds(&["booked"], |books| {
        let (sku, location) = (apple(), shop());
        books.writes(vec![Event::StockAdjusted { sku, location, unavailable: 1, safety_stock: 0, available_after: 9 }]);
    });
}

#[test]
fn holds_that_end_otherwise_are_found() {
    finds(&["holds"], |books| books.writes(vec![books.ended(HELD, ReservationStatus::Expired)]));
    finds(&["holds"], |books| {
        books.now = books.now.plus(30 * MINUTE_MS);
        books.writes(vec![books.ended(HELD, ReservationStatus::Released)]);
    });
    finds(&["holds", "reserved"], |books| {
        let Event::ReservationEnded { id, status, mut lines, owner, created_at, expires_at } =
            books.ended(HELD, ReservationStatus::Released)
        else {
            unreachable!()
        };
        lines[0].quantity = 1;
        books.writes(vec![Event::ReservationEnded { id, status, lines, owner, created_at, expires_at }]);
    });
    finds(&["fold", "holds"], |books| books.writes(vec![books.ended(COMMITTED, ReservationStatus::Committed)]));
    finds(&["holds", "lists", "reserved"], |books| {
        let (from, expires_at) = (books.now.plus(1), books.now.plus(MINUTE_MS));
        books.writes(vec![Event::ReservationExtended { id: COMMITTED, from, expires_at }]);
    });
    finds(&["committed", "holds"], |books| {
        books.writes(vec![moved(MovementKind::Ship, vec![books.moved(3, -3).kept()], Some(COMMITTED))]);
    });
    finds(&["committed", "holds"], |books| {
        books.writes(vec![moved(MovementKind::Ship, vec![books.moved(1, -1).kept()], None)]);
    });
}

#[test]
fn names_and_references_that_are_used_twice_are_found() {
    finds(&["names"], |books| {
        books.writes(vec![Event::KeyCreated { id: "k1".into(), role: Role::Admin, digest: [9; 32] }]);
    });
    finds(&["names"], |books| {
        books.writes(vec![Event::LocationOpened { id: shop(), name: title("Another") }]);
    });
    finds(&["names"], |books| {
        books.does(Command::Release { id: HELD });
        books.writes(vec![books.made(1, 1)]);
    });
    let booked = |kind, line: Moved| Event::StockMoved {
        kind,
        lines: vec![line],
        reference: Some(Reference::parse("D-1").unwrap()),
        reason: None,
        reservation: None,
        occurred_at: SiteTime(0),
    };
    finds(&["references"], |books| books.writes(vec![booked(MovementKind::Receive, books.moved(1, 1))]));
    finds(&[], |books| books.writes(vec![booked(MovementKind::Return, books.moved(1, 1))]));
}

#[test]
fn a_key_that_has_two_effects_while_it_is_remembered_is_found() {
    for (days, rules) in [(0, &["keys"][..]), (6, &["keys"]), (7, &["keys"]), (8, &[])] {
        finds(rules, |books| {
            for _ in 0..days {
                books.now = books.now.plus(DAY_MS);
                books.does(Command::StartDay);
            }
            let events = vec![moved(MovementKind::Receive, vec![books.moved(1, 1)], None)];
            books.entries(vec![Entry { idempotency: Some(key(1)), ..entry(events) }], |_| {});
        });
    }
}

/// Rows are checked against each other too: whatever folded them, they must add up.
#[test]
fn rows_that_do_not_add_up_are_found() {
    type Plant = fn(&mut Rows);
    let plants: &[(&[&str], Plant)] = &[
        (&["ledger"], |rows| rows.edit::<StockRow>(AT, |row| row.received += 1)),
        (&["ledger"], |rows| rows.each::<Movement>(|rows, key, _| rows.delete_row(Movement::TABLE.0, key))),
        (&["ledger"], |rows| {
            rows.each::<Movement>(|rows, key, row: Movement| {
                if row.kind == MovementKind::Ship {
                    rows.put(Movement::TABLE.0, key, &Movement { on_hand_after: row.on_hand_after + 1, ..row });
                }
            });
        }),
        (&["reserved"], |rows| rows.edit::<StockRow>(AT, |row| row.reserved += 1)),
        (&["committed"], |rows| rows.edit::<StockRow>(AT, |row| row.sold += 1)),
        (&["shares"], |rows| {
            rows.edit::<StockRow>(AT, |row| row.granted = BTreeMap::from([(SiteId::parse("west").unwrap(), 5)]));
        }),
        (&["lists"], |rows| rows.each::<Due>(|rows, key, _| rows.delete_row(Due::TABLE.0, key))),
        (&["lists"], |rows| {
            let key = own(Due::key(DueKey { at: SiteTime(1), id: HELD }).into_bytes());
            rows.put(Due::TABLE.0, key, &Due);
        }),
        (&["lists", "reserved"], |rows| {
            let (sku, location) = (apple(), shop());
            let key = PromiseKey { sku: &sku, location: &location, due: SiteTime(1), id: HELD };
            rows.put(Promise::TABLE.0, own(Promise::key(key).into_bytes()), &Promise { quantity: 1 });
        }),
        (&["committed", "lists"], |rows| {
            let (sku, location) = (apple(), shop());
            let key = PromiseKey { sku: &sku, location: &location, due: SiteTime::NEVER, id: COMMITTED };
            rows.delete_row(Promise::TABLE.0, own(Promise::key(key).into_bytes()));
        }),
        (&["lists"], |rows| {
            let key = own(Reservation::key(HELD).into_bytes());
            let value = rows.get(Reservation::TABLE.0, &key);
            let row: Reservation = decode(Reservation::TABLE, &value).unwrap();
            rows.put(Reservation::TABLE.0, key, &Reservation { status: ReservationStatus::Released, ..row });
        }),
        (&["catalog", "index"], |rows| {
            let key = Product::key(&apples()).into_bytes();
            let row: Product = decode(Product::TABLE, &rows.get(Product::TABLE.0, &key)).unwrap();
            rows.put(Product::TABLE.0, key, &Product { title: title("Pears"), ..row });
        }),
        (&["catalog"], |rows| rows.delete_row(Item::TABLE.0, Item::key(&apple()).into_bytes())),
        (&["catalog"], |rows| {
            let key = Item::key(&apple()).into_bytes();
            let row: Item = decode(Item::TABLE, &rows.get(Item::TABLE.0, &key)).unwrap();
            rows.put(Item::TABLE.0, key, &Item { status: Status::Archived, ..row });
        }),
        (&["claims"], |rows| rows.delete_row(Claim::TABLE.0, own(Claim::key((&apple(), &apples())).into_bytes()))),
        (&["claims"], |rows| {
            rows.put(Claim::TABLE.0, own(Claim::key((&sku("PEAR"), &apples())).into_bytes()), &Claim);
        }),
        (&["index"], |rows| {
            let first = rows.0.snapshot().prefix(Table(kontor_core::record::Table::INDEX.0), &[]).next();
            rows.delete_row(kontor_core::record::Table::INDEX.0, first.unwrap().unwrap().0.to_vec());
        }),
        (&["index"], |rows| rows.put(kontor_core::record::Table::INDEX.0, b"\x01pears\0pears\0".to_vec(), &())),
        (&["index"], |rows| rows.put(kontor_core::record::Table::GTINS.0, b"00000096385074P\0P\0".to_vec(), &())),
        (&["references"], |rows| {
            rows.each::<UsedReference>(|rows, key, _| rows.delete_row(UsedReference::TABLE.0, key));
        }),
        (&["orders"], |rows| rows.edit::<Order>(ORDERED, |order| order.total += 1)),
        (&["orders", "payments"], |rows| rows.edit::<Order>(ORDERED, |order| order.money.captured -= 1)),
        (&["orders"], |rows| rows.edit::<Order>(ORDERED, |order| order.reservation = HELD)),
        (&["orders"], |rows| rows.edit::<Order>(ORDERED, |order| order.lines[0].returned = 9)),
        (&["lists"], |rows| rows.edit::<Order>(ORDERED, |order| order.number = 9)),
        (&["lists"], |rows| {
            let first = rows.0.snapshot().prefix(Table(OrderListed::TABLE.0), &[]).next();
            rows.delete_row(OrderListed::TABLE.0, first.unwrap().unwrap().0.to_vec());
        }),
        (&["orders"], |rows| {
            let cart = || own(Cart::key(CART).into_bytes());
            rows.edit::<Cart>(cart, |cart| cart.status = CartStatus::Open);
        }),
        (&["payments"], |rows| rows.edit::<Payment>(PAID, |payment| payment.refunded = payment.captured + 1)),
        (&["payments"], |rows| rows.put(PaymentDue::TABLE.0, PAID(), &PaymentDue)),
    ];
    for (number, (rules, plant)) in plants.iter().enumerate() {
        let mut books = opened();
        books.orders();
        let mut rows = Rows(books.rows.tables().clone());
        plant(&mut rows);
        let mut report = Report::default();
        let sites = [books.site.clone()].into();
        check::rows(&SnapshotRows::new(&rows.0, sites), &books.site, &mut report).unwrap();
        assert_eq!(names(&report), *rules, "plant {number}: {:#?}", report.broken);
    }
}

/// The tables on disk are compared row by row, whatever is in them: answers, references, keys and claims too.
#[test]
fn any_row_on_disk_that_is_not_what_the_journal_says_is_found() {
    let mut compared = 0;
    for (table, name) in (0..).zip(TABLE_NAMES).filter(|(_, name)| *name != "folded") {
        let plants: [fn(&mut Rows, u8, Vec<u8>); 3] = [
            |rows, table, key| rows.delete_row(table, key),
            |rows, table, key| rows.put(table, key, &"something else"),
            |rows, table, _| rows.put(table, b"no such key".to_vec(), &"stray"),
        ];
        for plant in plants {
            let books = opened();
            let mut rows = Rows(books.rows.tables().clone());
            let first = rows.0.snapshot().prefix(Table(table), &[]).next();
            let key = first.map(|row| row.unwrap().0.to_vec());
            let was_there = key.is_some();
            plant(&mut rows, table, key.unwrap_or_else(|| b"not even a first".to_vec()));
            let report = books.report_with(&rows.0);
            let changed = rows.0.snapshot().prefix(Table(table), &[]).next().is_some() || was_there;
            let expected: &[&str] = if changed { &["tables"] } else { &[] };
            assert_eq!(names(&report), expected, "{name}: {:#?}", report.broken);
            assert!(report.broken.iter().all(|broken| broken.what.contains(name)), "{:#?}", report.broken);
            compared += u32::from(was_there);
        }
    }
    assert!(compared >= 3 * 14, "too few tables hold anything: {compared}");
}

/// After a crash the tables are behind: they are compared where they stand.
#[test]
fn tables_that_are_behind_are_compared_where_they_stand() {
    let mut books = opened();
    let behind = copy(books.rows.tables());
    books.does(count(9));
    let report = books.report_with(&behind);
    assert_eq!(names(&report), Vec::<&str>::new(), "{:#?}", report.broken);
    assert!(report.count(Rule::Tables).looked_at > 0);

    let mut wrong = Rows(behind);
    wrong.edit::<StockRow>(AT, |row| row.received += 1);
    assert_eq!(names(&books.report_with(&wrong.0)), ["tables"]);
}

#[test]
fn tables_that_have_seen_more_or_something_else_are_found() {
    let mut books = opened();
    books.journal.pop();
    let own = books.rows.tables().clone();
    let report = books.report_with(&own);
    assert_eq!(names(&report), ["tables"]);
    assert!(report.broken[0].what.contains("acknowledged work is missing"), "{}", report.broken[0].what);

    let mut books = opened();
    let mut other = books.journal.pop().map(|bytes| group::decode(&bytes).unwrap()).unwrap();
    other.header.writer += 1;
    books.journal.push(packed(&other.header, &other.entries));
    let report = books.report_with(&own);
    assert_eq!(names(&report), ["tables"]);
    assert!(report.broken[0].what.contains("another group"), "{}", report.broken[0].what);
}

/// Plants something in a good site's journal, and expects these rules to be broken and no others.
#[track_caller]
fn finds(rules: &[&str], plant: impl FnOnce(&mut Books)) {
    let mut books = opened();
    plant(&mut books);
    let report = books.report();
    assert_eq!(names(&report), rules, "{:#?}", report.broken);
}

/// The rules that a report says are broken, in alphabetical order.
fn names(report: &Report) -> Vec<&'static str> {
    let broken = Rule::ALL.into_iter().filter(|rule| report.count(*rule).broken > 0);
    let mut names: Vec<_> = broken.map(Rule::name).collect();
    names.sort_unstable();
    names
}

/// A site whose journal is written by hand, each request in a group of its own.
struct Books {
    site: SiteId,
    rows: WriterRows,
    journal: Vec<Vec<u8>>,
    now: SiteTime,
}

/// Ten apples came; three are promised to an order, of which one went; two are held.
fn opened() -> Books {
    let site = SiteId::parse("main").unwrap();
    let rows = WriterRows::new(in_memory(), vec![site.clone()]);
    let mut books = Books { site, rows, journal: Vec::new(), now: SiteTime(20_000 * DAY_MS) };
    let note = Note { reference: Some(Reference::parse("D-1").unwrap()), ..Note::default() };
    let hold = |id, units| Command::Reserve { id: Some(id), owner: None, lines: line(units), hold_ms: 20 * MINUTE_MS };
    books.does(Command::StartDay);
    books.does(Command::OpenLocation { id: shop(), name: title("Shop") });
    books.does(Command::create_product(None, apple(), title("Apples"), Selling::default()));
    books.keyed(Command::Receive { from: Inbound::Delivery, lines: line(10), note }, Some(key(1)));
    books.does(hold(COMMITTED, 3));
    books.does(hold(HELD, 2));
    books.does(Command::Commit { id: COMMITTED });
    let lines = Some(line(1));
    books.does(Command::Ship { reservation: COMMITTED, lines, note: Note::default() });
    books.does(Command::CreateKey { id: "k1".into(), role: Role::Admin, digest: [1; 32] });
    books
}

impl Books {
    /// Decides a command and books what follows.
    fn does(&mut self, command: Command) {
        self.keyed(command, None);
    }

    fn keyed(&mut self, command: Command, idempotency: Option<Idempotency>) {
        let (actor, request_id) = (Actor::parse("key:test").unwrap(), RequestId::parse("r1").unwrap());
        let request = Request { command, actor, request_id, idempotency, fresh_id: [7; 16] };
        let (now, site) = (self.now, &self.site);
        let context = Context { now, site, fresh_id: [7; 16], earliest_due: SiteTime(0), heard: &[] };
        let Decision::Events(events) = decide(&self.rows, &request, context).unwrap() else { panic!("done before") };
        self.entries(vec![Entry { idempotency, ..entry(events) }], |_| {});
    }

    /// Writes what no rule would have decided.
    fn writes(&mut self, events: Vec<Event>) {
        self.entries(vec![entry(events)], |_| {});
    }

    /// Writes a harmless group under another header.
    fn group_with(&mut self, header: impl FnOnce(&mut GroupHeader)) {
        let renamed = Event::LocationRenamed { id: shop(), name: title("Shop") };
        self.entries(vec![entry(vec![renamed])], header);
    }

    fn entries(&mut self, entries: Vec<Entry>, edit: impl FnOnce(&mut GroupHeader)) {
        let mut header = GroupHeader {
            site: self.site.clone(),
            term: 1,
            seq: self.journal.len() as u64 + 1,
            epoch: 1,
            writer: 1,
            time: self.now,
            previous: self.journal.last().map(|bytes| group::digest(bytes)).unwrap_or_default(),
            seen: Vec::new(),
        };
        edit(&mut header);
        let bytes = packed(&header, &entries);
        let folded = Folded { term: 1, seq: header.seq, last: 0, digest: group::digest(&bytes), time: header.time };
        let mut changes = Overlay::new(&self.rows);
        // What cannot be folded stays in the journal alone.
        if kontor_core::fold::fold(&mut changes, &group::decode(&bytes).unwrap()).is_ok() {
            self.rows.write(&changes.into_changes(), folded.encode(), &self.site).unwrap();
        }
        self.journal.push(bytes);
    }

    /// Uses what the good story has not: an adjustment, a wide entry, an expiry, a count.
    fn ends_everything(&mut self) {
        let change = Some(Change { to: 1, expected: None });
        let (sku, location) = (apple(), shop());
        self.does(Command::Adjust { sku, location, unavailable: change, safety_stock: change });
        self.does(Command::Extend { id: HELD, hold_ms: 25 * MINUTE_MS });
        self.now = self.now.plus(25 * MINUTE_MS);
        // Takes what the due hold had, in one entry with its end.
        self.does(Command::Issue { lines: line(5), note: Note::default() });
        self.does(count(2));
        self.does(Command::WriteOff { line: line(1).remove(0), from_unavailable: true, note: Note::default() });
        self.does(self.archive());
    }

    /// Pears are bought and paid for.
    fn orders(&mut self) {
        let pear = sku("PEAR");
        self.does(Command::create_product(None, pear.clone(), title("Pears"), Selling::default()));
        let line = Line { sku: pear.clone(), location: shop(), quantity: Quantity::new(3).unwrap() };
        self.does(Command::Receive { from: Inbound::Delivery, lines: vec![line], note: Note::default() });
        let change = LineChange::Add { sku: pear, quantity: Quantity::new(2).unwrap(), price: Some(250) };
        self.does(Command::OpenCart {
            id: Some(CART),
            token: [1; 32],
            currency: Currency::parse("EUR").unwrap(),
            market: None,
            details: Box::default(),
            lines: vec![change],
        });
        let method = Some(MethodToken::parse("card").unwrap());
        self.does(Command::Checkout { cart: CART, method, capture: Capture::Automatic, hold_ms: 20 * MINUTE_MS });
        for attempt in [1, 2] {
            let outcome = Outcome::Done { object: ProviderObject::parse("pi_1").unwrap() };
            let id = PaymentId { order: CART.into(), number: 1 };
            self.does(Command::ReportPayment { id, attempt, outcome, callback: None });
        }
    }

    fn archive(&self) -> Command {
        let edit = ProductEdit { status: Some(Status::Archived), ..ProductEdit::default() };
        Command::change_product(apples(), edit, None)
    }

    fn sells(&mut self, selling: Selling) {
        let variants = vec![VariantEdit { selling: Some(selling.into()), ..VariantEdit::of(apple()) }];
        self.does(Command::change_product(apples(), ProductEdit { variants, ..ProductEdit::default() }, None));
    }

    /// A line that says what is there after it, and takes as much off what is available.
    fn moved(&self, quantity: u64, change: i64) -> Moved {
        let row = row::<StockRow>(&self.rows, &self.site, (&apple(), &shop())).unwrap().unwrap();
        let on_hand = row.on_hand();
        let committed = i64::try_from(row.sold - row.shipped).unwrap();
        let available = on_hand - i64::try_from(row.reserved).unwrap() - committed;
        Moved {
            sku: apple(),
            location: shop(),
            quantity,
            change,
            from_unavailable: 0,
            on_hand_after: on_hand + change,
            available_after: available + change,
        }
    }

    /// A hold, counted as it should be.
    fn made(&self, id: u8, quantity: u64) -> Event {
        let line = ReservationLine { sku: apple(), location: shop(), quantity, shipped: 0, tracked: true };
        let expires_at = self.now.plus(MINUTE_MS);
        Event::ReservationMade { id: ReservationId([id; 16]), owner: None, lines: vec![line], expires_at }
    }

    fn ended(&self, id: ReservationId, status: ReservationStatus) -> Event {
        let hold = row::<Reservation>(&self.rows, &self.site, id).unwrap().unwrap();
        let Reservation { lines, owner, created_at, expires_at, .. } = hold;
        Event::ReservationEnded { id, status, lines, owner, created_at, expires_at }
    }

    fn report(&self) -> Report {
        self.checked(None)
    }

    fn report_with(&self, own: &Tables) -> Report {
        self.checked(Some(own))
    }

    fn checked(&self, own: Option<&Tables>) -> Report {
        let mut journal = MemoryJournal::new();
        for (seq, group) in (1..).zip(&self.journal) {
            journal.append(seq, group).unwrap();
        }
        let terms: Terms = vec![(1, journal.reader())];
        let fresh = WriterRows::new(in_memory(), vec![self.site.clone()]);
        let (mut report, mut walk) = (Report::default(), Walk::new(&fresh, &self.site, &terms));
        if let Some(own) = own {
            check::compare(own, &mut walk, &mut report, |_| {}).unwrap();
        }
        walk.to((u32::MAX, 0), &mut report, |_| {}).unwrap();
        let rows = SnapshotRows::new(fresh.tables(), [self.site.clone()].into());
        check::rows(&rows, &self.site, &mut report).unwrap();
        report
    }
}

/// Tables whose rows are changed behind everybody's back.
struct Rows(Tables);

/// What the good story is about.
const AT: fn() -> Vec<u8> = || own(StockRow::key((&apple(), &shop())).into_bytes());

impl Rows {
    fn get(&self, table: u8, key: &[u8]) -> bytes::Bytes {
        self.0.get(Table(table), key).unwrap().unwrap()
    }

    fn put(&mut self, table: u8, key: Vec<u8>, row: &impl serde::Serialize) {
        let mut batch = Batch::new();
        batch.put(Table(table), key, encode(row));
        self.0.write(batch).unwrap();
    }

    fn delete_row(&mut self, table: u8, key: Vec<u8>) {
        let mut batch = Batch::new();
        batch.delete(Table(table), key);
        self.0.write(batch).unwrap();
    }

    fn edit<R: Primary>(&mut self, key: fn() -> Vec<u8>, edit: impl FnOnce(&mut R)) {
        let mut row: R = decode(R::TABLE, &self.get(R::TABLE.0, &key())).unwrap();
        edit(&mut row);
        self.put(R::TABLE.0, key(), &row);
    }

    fn each<R: Primary>(&mut self, mut each: impl FnMut(&mut Self, Vec<u8>, R)) {
        let all: Vec<_> = self.0.snapshot().prefix(Table(R::TABLE.0), &[]).map(Result::unwrap).collect();
        assert!(!all.is_empty());
        for (key, value) in all {
            each(self, key.to_vec(), decode(R::TABLE, &value).unwrap());
        }
    }
}

/// The same rows in tables of their own.
fn copy(tables: &Tables) -> Tables {
    let copy = in_memory();
    let mut batch = Batch::new();
    for (table, _) in (0..).zip(TABLE_NAMES) {
        for row in tables.snapshot().prefix(Table(table), &[]) {
            let (key, value) = row.unwrap();
            batch.put(Table(table), key, value);
        }
    }
    copy.write(batch).unwrap();
    copy
}

trait Kept {
    fn kept(self) -> Self;
}

impl Kept for Moved {
    /// Shipping takes nothing off what is available: the promise did.
    fn kept(mut self) -> Self {
        self.available_after -= self.change;
        self
    }
}

fn packed(header: &GroupHeader, entries: &[Entry]) -> Vec<u8> {
    let mut body = GroupBody::default();
    for mut entry in entries.iter().cloned() {
        body.push(&mut entry);
    }
    group::encode(header, &body)
}

fn moved(kind: MovementKind, lines: Vec<Moved>, reservation: Option<ReservationId>) -> Event {
    Event::StockMoved { kind, lines, reference: None, reason: None, reservation, occurred_at: SiteTime(0) }
}

fn entry(events: Vec<Event>) -> Entry {
    let (actor, request_id) = (Actor::parse("key:test").unwrap(), RequestId::parse("r1").unwrap());
    Entry { actor, request_id, idempotency: None, events }
}

fn count(counted: u64) -> Command {
    Command::Count { sku: apple(), location: shop(), counted, expected: None, note: Note::default() }
}

fn line(units: u64) -> Vec<Line> {
    vec![Line { sku: apple(), location: shop(), quantity: Quantity::new(units).unwrap() }]
}

fn key(scope: u8) -> Idempotency {
    Idempotency { scope: [scope; 16], fingerprint: [1; 16] }
}

/// A key of the one site.
fn own(mut key: Vec<u8>) -> Vec<u8> {
    key.extend_from_slice(b"main");
    key
}

fn apple() -> Sku {
    sku("APPLE")
}

fn apples() -> ProductId {
    apple().into()
}

fn sku(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}

fn shop() -> LocationId {
    LocationId::parse("shop").unwrap()
}

fn title(text: &str) -> Title {
    Title::parse(text).unwrap()
}
