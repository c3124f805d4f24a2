//! What holds whatever is done, in whatever order. `KONTOR_PROVE=1` tries twenty times as much.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kontor_core::command::{Command, Must};
use kontor_core::event::Event;
use kontor_core::fold::fold;
use kontor_core::group::{self, Digest, Group, GroupError};
use kontor_core::id::ProductId;
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::product::Status;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::record::Table;
use kontor_core::reservation::ReservationStatus;
use kontor_core::time::{SiteTime, Stamp};
use kontor_core::view::{KeyRange, View};
use proptest::prelude::*;
use support::sites::{NAMES, World, shared_rows, world_act};
use support::world::{self, Act, Notebook, SKUS, Step, location, play, steps, title};
use support::{Answer, Shop, Tables, cases, encode, sku};

proptest! {
    #![proptest_config(cases(200))]

    /// One site against a notebook: the same answers, the same shelves, and every invariant of the
    /// rows after each step. Units that are free are never below the backorder limit, unless a
    /// count, a write-off, an adjustment or another way of selling made it so; no sale, hold,
    /// shipment or ending ever makes that worse.
    #[test]
    fn a_site_does_what_a_notebook_would(steps in steps(60)) {
        let mut shop = world::opened("main", &["main"]);
        let mut notebook = Notebook::default();
        for name in SKUS {
            notebook.sells(name, shop.tables.item(name).expect("an item").selling);
        }
        let mut made = 0;
        for step in &steps {
            let step = Step { key: None, ..step.clone() };
            let now = shop.now.plus(step.wait_ms);
            let before = Shop { now, ..shop.clone() };
            let (command, answer) = play(&mut shop, &step, &mut made);
            let expected = notebook.take(&command, now.0);
            match &answer {
                Answer::Done(events) => {
                    prop_assert!(expected, "{command:?} was done");
                    told_as_it_is(&shop, events)?;
                }
                other => prop_assert!(!expected && matches!(other, Answer::No(_)), "{command:?}: {other:?}"),
            }
            shop.audit();
            for (number, shelf) in (0..SKUS.len()).flat_map(|number| [(number, 0), (number, 1)]) {
                let item = (SKUS[number].to_owned(), location(&shop, shelf));
                let level = shop.tables.level(&item.0, &item.1, &shop.site);
                let noted = notebook.shelves.get(&item).cloned().unwrap_or_default();
                prop_assert_eq!(level.on_hand, noted.there);
                prop_assert_eq!(level.unavailable, noted.set_aside);
                prop_assert_eq!(level.safety_stock, noted.kept_back);
                prop_assert_eq!(level.committed, notebook.promised(&item));
                prop_assert_eq!(level.reserved - due_units(&shop, &item), notebook.held(&item, shop.now.0));
                let selling = shop.tables.item(&item.0).expect("an item").selling;
                let may = matches!(step.act, Act::Count(..) | Act::WriteOff(..) | Act::Adjust(..) | Act::Sell(..));
                if selling.policy.refuses() && !may {
                    let debt = |shop: &Shop| {
                        let level = shop.tables.level(&item.0, &item.1, &shop.site);
                        let free = level.available + due_units(shop, &item);
                        (-free - i64::try_from(selling.backorder_limit).expect("small")).max(0)
                    };
                    prop_assert!(debt(&shop) <= debt(&before), "{command:?} widened a shortage of {item:?}");
                }
            }
        }
        shop.now = shop.now.plus(86_400_000);
        shop.must(Command::EndDueHolds { ids: shop.due() });
        shop.audit();
        prop_assert!(shop.reservations().values().all(|hold| hold.status != ReservationStatus::Held));
    }

    /// The journal is all there is: folded again from its bytes, one group at a time or several on
    /// one overlay, it gives the same rows to the byte.
    #[test]
    fn a_journal_gives_its_rows_again(steps in steps(60), batches in proptest::collection::vec(1..9_usize, 1..9)) {
        let shop = played("main", &["main"], &steps);
        let groups: Vec<Group> =
            shop.journal.iter().map(|bytes| group::decode(bytes).expect("a group")).collect();
        for batches in [vec![1], vec![groups.len()], batches] {
            let mut again = Tables::new(&["main"]);
            let mut rest = groups.as_slice();
            for size in batches.iter().cycle() {
                let (some, later) = rest.split_at(rest.len().min(*size));
                again.fold(some).expect("it folds");
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(again == shop.tables, "in batches of {batches:?}");
        }
        let mut previous = Digest::default();
        for (bytes, group) in shop.journal.iter().zip(&groups) {
            prop_assert_eq!(&encode(group), bytes, "what was read is written alike");
            prop_assert_eq!(group.header.previous, previous);
            previous = group::digest(bytes);
        }
    }

    /// Damaged bytes are refused or are another group. They never panic, neither when they are read
    /// nor when what they say is folded.
    #[test]
    fn damage_never_panics(
        steps in steps(12),
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let shop = played("main", &["main"], &steps);
        let bytes = which.get(&shop.journal);
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert!(group::decode(cut).is_err() || group::shared(bytes) == Ok(cut), "cut short");
        let mut damaged = bytes.clone();
        for (at, byte) in damage {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        if let Ok(group) = group::decode(&damaged) {
            let mut rows = Overlay::new(&shop.tables);
            // An entry that cannot be folded stops its journal; whether this one can is chance.
            let _ = fold(&mut rows, &group);
        }
        let _ = group::decode_header(&damaged);
        let _ = group::digest(&damaged);
    }

    /// The law of apply. Three sites decide on what they have read so far, each at its own shelves
    /// and on a catalogue that they share; every observer that folds their journals ends with the
    /// same rows to the byte, in whatever order they come in.
    ///
    /// Quota that one site grants another has no event yet, so all grants are none here;
    /// `quota.rs` has the arithmetic.
    #[test]
    fn entries_of_different_sites_commute(
        acts in proptest::collection::vec(world_act(), 1..60),
        orders in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 2),
        batch in 1..5_usize,
    ) {
        let mut world = World::new();
        for act in &acts {
            world.play(act);
        }
        world.read_all();
        for (observer, name) in NAMES.iter().enumerate() {
            for order in &orders {
                let mut tables = Tables::new(&NAMES);
                for groups in world.interleaved(observer, order).chunks(batch) {
                    tables.fold(groups).expect("it folds");
                }
                prop_assert!(tables == world.shops[observer].tables, "{name} folds in order {order:?}");
            }
            prop_assert_eq!(
                shared_rows(&world.shops[observer].tables),
                shared_rows(&world.shops[0].tables),
                "shared rows are equal everywhere"
            );
        }
    }

    /// An edit made with knowledge of all others wins, on however slow a clock.
    #[test]
    fn an_informed_edit_wins(
        acts in proptest::collection::vec(world_act(), 1..60),
        clocks in proptest::array::uniform3(0..10_000_000_u64),
        editor in 0..3_usize,
    ) {
        let mut world = World::new();
        for (shop, clock) in world.shops.iter_mut().zip(clocks) {
            shop.now = shop.now.plus(clock);
        }
        for act in &acts {
            world.play(act);
        }
        world.read_all();
        let id: ProductId = sku(SKUS[0]).into();
        // It may have been deleted meanwhile: then the last word makes it anew.
        let edit = Box::new(ProductEdit {
            title: Some(title("the last word")),
            status: Some(Status::Archived),
            variants: vec![VariantEdit::of(sku(SKUS[0]))],
            ..Default::default()
        });
        let (expected, must, variants) = (None, Must::Either, Must::Either);
        let edit = Command::EditProduct { id: id.clone(), edit, expected, must, variants };
        world.shops[editor].now = SiteTime(0);
        world.shops[editor].must(edit);
        world.read_all();
        for shop in &world.shops {
            let product = shop.tables.product(id.as_str()).expect("a product");
            prop_assert_eq!(product.title.as_str(), "the last word");
            prop_assert_eq!(product.status, Status::Archived);
            prop_assert_eq!(shop.tables.item(SKUS[0]).expect("an item").status, Status::Archived);
        }
    }

    /// An overlay reads like a map to which the same was done.
    #[test]
    fn an_overlay_reads_like_a_map(
        below in deeds(),
        first in deeds(),
        second in deeds(),
        from in key(),
        before in key(),
        most in 1..8_usize,
    ) {
        let mut tables = Tables::new(&["main"]);
        let mut map = BTreeMap::new();
        let base = done(&Tables::new(&["main"]), &below, &mut map);
        tables.write(&base);
        prop_assert_eq!(&tables.rows, &map);

        let changes = done(&tables, &first, &mut map);
        let mut overlay = Overlay::with(&tables, changes);
        let later = done(&overlay, &second, &mut map);
        reads_like(&Overlay::with(&overlay, later.clone()), &map, &from, &before, most)?;
        overlay.add(later);
        reads_like(&overlay, &map, &from, &before, most)?;
        let all = overlay.into_changes();
        tables.write(&all);
        prop_assert_eq!(&tables.rows, &map, "what is written in the end");
        reads_like(&tables, &map, &from, &before, most)?;
    }
}

#[test]
fn bytes_that_promise_much_are_refused_at_once() {
    let shop = world::opened("main", &["main"]);
    let good = &shop.journal[0];
    let head = u32::from_le_bytes(good[38..42].try_into().expect("4 bytes")) as usize;
    let (count, body) = (42 + head, 46 + head);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    // As another site would be given it.
    let cut = |mut bytes: Vec<u8>, tail: &[u8]| {
        bytes.truncate(body);
        bytes.extend_from_slice(tail);
        let length = u32::try_from(bytes.len()).expect("small").to_le_bytes();
        bytes[2..6].copy_from_slice(&length);
        bytes
    };
    let huge = [0xff; 4];
    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let all_shared = &group::shared(good).expect("a group")[body..];
    let cases = [
        ("an empty group", vec![]),
        ("a cut at 4 GB", with(2, &huge)),
        ("a cut before the header", with(2, &[7, 0, 0, 0])),
        ("a header of 4 GB", with(38, &huge)),
        ("4 billion entries", with(count, &huge)),
        ("a part that unpacks to more than a group holds", cut(with(1, &[1]), &huge)),
        ("a part of 5 MB that is not there", cut(with(1, &[1]), &5_000_000_u32.to_le_bytes())),
        ("an unknown packing", with(1, &[4])),
        ("format 0", with(0, &[0])),
        ("a text of 2^63 bytes", cut(good.clone(), &[[1].as_slice(), &many].concat())),
        ("2^63 events", cut(good.clone(), &[[1, 1, b'a', 1, b'b'].as_slice(), &many].concat())),
        ("bytes after the last entry", cut(good.clone(), &[all_shared, &[0]].concat())),
        ("bytes after the private part", [good.as_slice(), &[0]].concat()),
    ];
    for (what, bytes) in cases {
        let Err(GroupError::Damaged(why)) = group::decode(&bytes) else { panic!("{what} was read") };
        assert!(!what.contains("unpacks") || why.contains("unpacks to more"), "{what}: {why}");
    }
    assert_eq!(group::decode(&with(0, &[2])), Err(GroupError::Newer(2)));
}

/// Counters of an entry that no honest site wrote stop its journal; they never wrap or panic.
#[test]
fn counters_never_overflow() {
    let shop = world::opened("main", &["main"]);
    let moved = |change: i64, from_unavailable: u64| kontor_core::event::Moved {
        sku: sku("apples"),
        location: support::place("main-0"),
        quantity: u64::MAX,
        change,
        from_unavailable,
        on_hand_after: i64::MAX,
        available_after: i64::MIN,
    };
    let event = |kind, change, from_unavailable| Event::StockMoved {
        kind,
        lines: vec![moved(change, from_unavailable)],
        reference: None,
        reason: None,
        reservation: None,
        occurred_at: SiteTime::NEVER,
    };
    use kontor_core::movement::MovementKind::{Count, Issue, Receive, WriteOff};
    let line = kontor_core::reservation::ReservationLine {
        sku: sku("apples"),
        location: support::place("main-0"),
        quantity: u64::MAX,
        shipped: 0,
        tracked: true,
    };
    let adjusted = Event::StockAdjusted {
        sku: sku("apples"),
        location: support::place("main-0"),
        unavailable: u64::MAX,
        safety_stock: u64::MAX,
        available_after: 0,
    };
    let made =
        Event::ReservationMade { id: world::hold(0), owner: None, lines: vec![line.clone()], expires_at: SiteTime(1) };
    let ended = Event::ReservationEnded {
        id: world::hold(0),
        status: ReservationStatus::Committed,
        lines: vec![line],
        owner: None,
        created_at: SiteTime(0),
        expires_at: SiteTime(1),
    };
    let wrong = [
        event(Receive, i64::MAX, 0),
        event(Issue, i64::MIN, 0),
        event(WriteOff, -1, 1),
        event(Count, i64::MIN, 0),
        adjusted,
        made,
        ended,
    ];
    for event in wrong {
        let mut shop = shop.clone();
        let (actor, request_id) = (kontor_core::id::Actor::timer(), support::request_id("r"));
        let entry = kontor_core::event::Entry { actor, request_id, idempotency: None, events: vec![event.clone()] };
        let before = shop.tables.digest();
        assert!(shop.append(vec![entry]).is_err(), "{event:?}");
        assert_eq!(shop.tables.digest(), before, "nothing is kept of it");
    }
    let day = Event::DayStarted { day: u64::MAX };
    let (actor, request_id) = (kontor_core::id::Actor::timer(), support::request_id("r"));
    let entry = kontor_core::event::Entry { actor, request_id, idempotency: None, events: vec![day] };
    shop.clone().append(vec![entry]).expect("a far day is a day");
    assert_eq!(Stamp::next(SiteTime::NEVER, Stamp(u64::MAX)), Stamp(u64::MAX));
}

/// Two sites may give one SKU to two products without knowing of each other: the product with the
/// smaller id is sold, everywhere, until a person decides.
#[test]
fn a_sku_of_two_products_is_sold_as_the_first_of_them() {
    for (first, second) in [("m", "z"), ("z", "m")] {
        let mut world = World::new();
        for (site, id) in [first, second].into_iter().enumerate() {
            let (id, sku) = (ProductId::parse(id).ok(), sku("shared"));
            world.shops[site].must(Command::create_product(id, sku, title("Shared"), Default::default()));
        }
        world.read_all();
        for shop in &world.shops {
            assert_eq!(shop.tables.item("shared").expect("an item").product.as_str(), "m");
        }
    }
}

/// A site at which random steps were done.
fn played(name: &str, sites: &[&str], steps: &[Step]) -> Shop {
    let mut shop = world::opened(name, sites);
    let mut made = 0;
    for step in steps {
        play(&mut shop, step, &mut made);
    }
    shop
}

/// Units of an item in holds that are due but not ended.
fn due_units(shop: &Shop, (sku, location): &(String, String)) -> i64 {
    let holds = shop.reservations().into_values();
    let due = holds.filter(|hold| hold.status == ReservationStatus::Held && hold.expires_at <= shop.now);
    let lines = due.flat_map(|hold| hold.lines);
    let same = lines.filter(|line| line.tracked && line.sku.as_str() == sku && line.location.as_str() == location);
    same.map(|line| i64::try_from(line.quantity).expect("small")).sum()
}

/// What the last event says about shelves is what the rows say.
fn told_as_it_is(shop: &Shop, events: &[Event]) -> Result<(), TestCaseError> {
    match events.last() {
        Some(Event::StockMoved { lines, .. }) => {
            for line in lines {
                let level = shop.tables.level(line.sku.as_str(), line.location.as_str(), &shop.site);
                prop_assert_eq!(line.on_hand_after, level.on_hand);
                prop_assert_eq!(line.available_after, level.available);
            }
        }
        Some(Event::StockAdjusted { sku, location, available_after, .. }) => {
            let level = shop.tables.level(sku.as_str(), location.as_str(), &shop.site);
            prop_assert_eq!(*available_after, level.available);
        }
        _ => {}
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Deed {
    Put(u8, Vec<u8>, u8),
    Delete(u8, Vec<u8>),
    Empty(u8),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(255)], 0..4)
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (1..3_u8, key(), any::<u8>()).prop_map(|(table, key, value)| Deed::Put(table, key, value)),
        3 => (1..3_u8, key()).prop_map(|(table, key)| Deed::Delete(table, key)),
        1 => (1..3_u8).prop_map(Deed::Empty),
    ];
    proptest::collection::vec(deed, 0..20)
}

/// The changes that deeds make on top of a view, and the same done to a map.
fn done(view: &dyn View, deeds: &[Deed], map: &mut BTreeMap<(Table, Bytes), Bytes>) -> Changes {
    let mut overlay = Overlay::new(view);
    for deed in deeds.iter().cloned() {
        match deed {
            Deed::Put(table, key, value) => {
                map.insert((Table(table), key.clone().into()), vec![value].into());
                overlay.put(Table(table), key, vec![value].into());
            }
            Deed::Delete(table, key) => {
                map.remove(&(Table(table), key.clone().into()));
                overlay.delete(Table(table), key);
            }
            Deed::Empty(table) => {
                map.retain(|(of, _), _| *of != Table(table));
                overlay.empty(Table(table));
            }
        }
    }
    overlay.into_changes()
}

fn reads_like(
    view: &dyn View,
    map: &BTreeMap<(Table, Bytes), Bytes>,
    from: &[u8],
    before: &[u8],
    most: usize,
) -> Result<(), TestCaseError> {
    let keys: BTreeSet<Bytes> = map.keys().map(|(_, key)| key.clone()).chain([Bytes::from_static(&[1, 1])]).collect();
    for table in [Table(1), Table(2), Table(3)] {
        for key in &keys {
            prop_assert_eq!(view.get(table, key).expect("rows"), map.get(&(table, key.clone())).cloned());
        }
        let inside = |key: &[u8]| from <= key && key < before;
        let wanted = map.iter().filter(|((of, key), _)| *of == table && inside(key));
        let wanted: Vec<_> = wanted.map(|((_, key), value)| (key.to_vec(), value.clone())).take(most).collect();
        let mut found = Vec::new();
        view.scan(table, KeyRange { from, before }, &mut |key, value| {
            found.push((key.to_vec(), value.clone()));
            found.len() < most
        })
        .expect("rows");
        prop_assert_eq!(found, wanted);
    }
    Ok(())
}
