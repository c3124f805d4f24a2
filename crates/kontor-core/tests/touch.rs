//! What a read touches does not grow with the number of sites, but by one row for each site that has said
//! something of what is read.

mod support;

use std::cell::Cell;

use bytes::Bytes;
use kontor_core::command::Context;
use kontor_core::event::Entry;
use kontor_core::fold::{At, apply};
use kontor_core::id::{Actor, Position, ProductId, SiteId};
use kontor_core::location::Location;
use kontor_core::overlay::Overlay;
use kontor_core::product::{Item, Product};
use kontor_core::record::Table;
use kontor_core::stock::{Level, StockRow};
use kontor_core::view::{KeyRange, View, ViewError, derived, rows_of_sites};
use support::ledger::play_done;
use support::{Shop, Tables, place, shared, site, sku};

#[test]
fn a_read_touches_the_same_rows_and_bytes_with_one_site_three_and_ten() {
    let touched: Vec<Touched> = [1, 3, 10].map(|sites| read(sites, 0)).into();
    for (sites, Touched { rows, bytes }) in [1, 3, 10].into_iter().zip(&touched) {
        println!("{sites:>2} sites: a product with its stock is {rows} rows, {bytes} bytes");
    }
    assert_eq!(touched[0], touched[1]);
    assert_eq!(touched[0], touched[2]);
    assert_eq!(touched[0].rows, 4, "the product, the item, the location and the shelf");
}

#[test]
fn a_site_that_edits_and_sells_costs_a_read_one_row_more() {
    let (alone, with_two) = (read(10, 0), read(10, 2));
    assert_eq!(with_two.rows, alone.rows + 2, "a shelf for each site that has promised of it, and no more");
}

#[test]
fn a_checkout_touches_the_same_rows_however_many_orders_there_are() {
    let touched = [10, 100, 400].map(|past| (past, checkout(past)));
    for (past, (Touched { rows, .. }, written)) in touched {
        println!("{past:>5} past orders: a checkout reads {rows} rows and writes {written}");
    }
    let [(_, few), (_, more), (_, many)] = touched;
    assert_eq!((few.0.rows, few.1), (more.0.rows, more.1));
    assert_eq!((few.0.rows, few.1), (many.0.rows, many.1));
}

/// What the checkout of a cart of one line reads, and how many rows it writes, after so many others of the same
/// customer.
fn checkout(past: usize) -> (Touched, usize) {
    let mut shop = Shop::new();
    let acts = ["location shop", "product apples", "price apples 250", "receive 9000 apples", "customer anna email a"];
    acts.into_iter().for_each(|act| play_done(&mut shop, act));
    for number in 0..past {
        for act in
            ["cart C of anna", "put C 1 apples", "checkout C with card", "provider C/1 1 did", "provider C/1 2 did"]
        {
            play_done(&mut shop, &act.replace('C', &format!("c{number}")));
        }
    }
    ["cart last of anna", "put last 1 apples"].into_iter().for_each(|act| play_done(&mut shop, act));
    let view = Counting { tables: &shop.tables, touched: Cell::new(Touched { rows: 0, bytes: 0 }) };
    let command = support::orders::command(&["checkout", "last", "with", "card"]).expect("a command");
    let fresh_id = [9; 16];
    let context = Context { now: shop.now, site: &shop.site, fresh_id, earliest_due: shop.now.plus(1), heard: &[] };
    let events = kontor_core::decide::events(&view, &command, context).expect("it is placed");
    let read = view.touched.get();
    let mut overlay = Overlay::new(&shop.tables);
    let (actor, request_id) = (Actor::timer(), support::request_id("r"));
    let at = At { site: &shop.site, position: Position { term: 1, seq: 1_000_000, index: 0 }, time: shop.now };
    apply(&mut overlay, at, &Entry { actor, request_id, idempotency: None, events }).expect("it folds");
    (read, overlay.into_changes().rows().count())
}

/// What a page of one product with its stock reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Touched {
    rows: usize,
    bytes: usize,
}

/// Reads a product with its stock where there are so many sites, of which some have edited it and hold units.
fn read(sites: usize, busy: usize) -> Touched {
    let names: Vec<String> = (0..sites).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut home = Shop::among("s0", &names);
    for act in ["location shop", "product apples", "receive 90 apples"] {
        play_done(&mut home, act);
    }
    for other in names.iter().skip(1).take(busy) {
        // A site that has read the home edits the product, and asks for a share of its stock.
        let mut shop = Shop::among(other, &names);
        shop.tables.fold(&home.journal.iter().map(|bytes| shared(bytes)).collect::<Vec<_>>()).expect("it folds");
        play_done(&mut shop, "edit apples brand=orchard");
        play_done(&mut shop, "borrow 1 apples");
        home.tables.fold(&shop.journal.iter().map(|bytes| shared(bytes)).collect::<Vec<_>>()).expect("it folds");
    }
    let view = Counting { tables: &home.tables, touched: Cell::new(Touched { rows: 0, bytes: 0 }) };
    let (apples, shop) = (sku("apples"), place("shop"));
    let product = ProductId::from(apples.clone());
    derived::<Product>(&view, &product).expect("rows").expect("a product");
    derived::<Item>(&view, &apples).expect("rows").expect("an item");
    rows_of_sites::<Location>(&view, &shop).expect("rows");
    let rows = rows_of_sites::<StockRow>(&view, (&apples, &shop)).expect("rows");
    assert_eq!(Level::of(&rows, &site("s0"), &site("s0")).on_hand, 90);
    view.touched.get()
}

/// Counts rows that were found.
struct Counting<'t> {
    tables: &'t Tables,
    touched: Cell<Touched>,
}

impl Counting<'_> {
    fn count(&self, key: &[u8], value: &[u8]) {
        let Touched { rows, bytes } = self.touched.get();
        self.touched.set(Touched { rows: rows + 1, bytes: bytes + key.len() + value.len() });
    }
}

impl View for Counting<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        let found = self.tables.get(table, key)?;
        found.iter().for_each(|value| self.count(key, value));
        Ok(found)
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError> {
        self.tables.scan(table, range, &mut |key, value| {
            self.count(key, value);
            each(key, value)
        })
    }

    fn sites(&self) -> &[SiteId] {
        self.tables.sites()
    }
}
