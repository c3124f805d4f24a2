//! Searches over tables in memory, compared with looking at every product.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontor_core::command::{Command, Context, Inbound, Line, Must, Note, UpsertItem};
use kontor_core::decide;
use kontor_core::event::Entry;
use kontor_core::fold::{self, At};
use kontor_core::id::{Actor, Position, RequestId, SiteId};
use kontor_core::overlay::Overlay;
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::listing::ListingEdit;
use kontor_core::product::price::price;
use kontor_core::product::text::AttributeText;
use kontor_core::product::{Policy, Selling};
use kontor_core::quantity::Quantity;
use kontor_core::text::Title;

use super::*;
use crate::rows::{SnapshotRows, WriterRows, in_memory};

const NOW: SiteTime = SiteTime(1_000);

struct Shop {
    rows: WriterRows,
    site: SiteId,
    entries: u64,
}

impl Shop {
    fn new() -> Self {
        let site = SiteId::parse("main").unwrap();
        Self { rows: WriterRows::new(in_memory(), vec![site.clone()]), site, entries: 0 }
    }

    fn done(&mut self, command: &Command) {
        self.entries += 1;
        let context =
            Context { now: NOW, site: &self.site, fresh_id: [0; 16], earliest_due: SiteTime::NEVER, heard: &[] };
        let events = decide::events(&self.rows, command, context).unwrap();
        let (actor, request_id) = (Actor::timer(), RequestId::parse("r").unwrap());
        let entry = Entry { actor, request_id, idempotency: None, events };
        let mut overlay = Overlay::new(&self.rows);
        let position = Position { term: 1, seq: self.entries, index: 0 };
        fold::apply(&mut overlay, At { site: &self.site, position, time: NOW }, &entry).unwrap();
        let changes = overlay.into_changes();
        self.rows.write(&changes, bytes::Bytes::new(), &self.site).unwrap();
    }

    fn make(&mut self, items: Vec<ProductEdit>) {
        let mut items: Vec<UpsertItem> = (1..).zip(items).map(|(line, edit)| UpsertItem::new(line, edit)).collect();
        while !items.is_empty() {
            let later = items.split_off(items.len().min(200));
            self.done(&Command::UpsertProducts { step: None, items });
            items = later;
        }
    }

    fn reader(&self) -> Reader {
        let rows = SnapshotRows::new(self.rows.tables(), Arc::new([self.site.clone()]));
        Reader::new(rows, self.site.clone(), SiteTime::default())
    }

    /// All pages of a query, and the rows that the worst of them read.
    fn all(&self, query: &Query, limit: usize) -> (Vec<Hit>, usize, usize) {
        let reader = self.reader();
        let (mut hits, mut pages, mut worst, mut after) = (Vec::new(), 0, 0, None);
        loop {
            let page = reader.search(query, after.as_ref(), limit).unwrap().unwrap();
            assert!(page.items.len() <= limit);
            hits.extend(page.items);
            (pages, worst) = (pages + 1, worst.max(page.rows));
            match page.next {
                Some(next) => after = Cursor::parse(&next.to_string()),
                None => return (hits, pages, worst),
            }
        }
    }

    fn found(&self, query: &Query) -> String {
        let (hits, ..) = self.all(query, 3);
        hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>().join(" ")
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn currency() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn terms(amount: i64, from: Option<u64>, until: Option<u64>) -> (PriceKey, Option<PriceTerms>) {
    let money = kontor_core::money::Money::new(amount, currency()).unwrap();
    let (key, terms) = price(money, from.map(SiteTime), until.map(SiteTime)).unwrap();
    (key, Some(terms))
}

/// A product of one variant.
fn product(sku: &str, title: &str, amount: i64) -> ProductEdit {
    let (sku, title) = (Sku::parse(sku).unwrap(), Title::parse(title).unwrap());
    let mut edit = ProductEdit::titled(title, sku, Selling::default());
    edit.variants[0].prices = [terms(amount, None, None)].into();
    edit
}

fn typed(text: &str) -> Query {
    Query { words: Some(index::words::query(text)), now: NOW, ..Query::default() }
}

fn band(min: u64, max: u64) -> Option<PriceBand> {
    Some(PriceBand { currency: currency(), min, max })
}

fn furniture() -> Shop {
    let mut shop = Shop::new();
    let desk = ProductEdit {
        brand: Some(Some(name("Möbel"))),
        categories: Some(vec![name("Desks")]),
        attributes: [(name("Material"), Some(AttributeValue::Text(AttributeText::parse("Walnut").unwrap())))].into(),
        ..product("D-1", "Walnut desk", 12_000)
    };
    let lamp = ProductEdit {
        status: Some(Status::Draft),
        brand: Some(Some(name("Licht"))),
        ..product("L-1", "Desk lamp for desktops", 4_000)
    };
    let chair = ProductEdit { categories: Some(vec![name("Chairs")]), ..product("C-1", "Chair", 8_000) };
    let mut oak = product("D-2", "Oak desk", 9_000);
    let small =
        VariantEdit { prices: [terms(7_000, None, None)].into(), ..VariantEdit::of(Sku::parse("D-2S").unwrap()) };
    oak.variants.push(small);
    shop.make(vec![desk, lamp, chair, oak]);
    shop
}

#[test]
fn words_begin_words_and_all_of_them_count() {
    let shop = furniture();
    let table = [
        // By the word that was found, then by title.
        ("desk", "L-1 D-2 D-1"),
        ("DES", "L-1 D-2 D-1"),
        ("desk wal", "D-1"),
        ("möb", "D-1"),
        ("d-2", "D-2"),
        ("d2s", "D-2"),
        ("desktop", "L-1"),
        ("for desk", "L-1"),
        ("desk chair", ""),
        ("esk", ""),
        ("!", ""),
        ("", ""),
    ];
    for (text, expected) in table {
        assert_eq!(shop.found(&typed(text)), expected, "{text}");
    }
    assert_eq!(shop.found(&Query::default()), "C-1 L-1 D-2 D-1", "everything, by title");
}

#[test]
fn filters_narrow_what_is_found() {
    let mut shop = furniture();
    let gb = MarketId::parse("gb").unwrap();
    let edit = ListingEdit {
        prices: [
            (Sku::parse("D-1").unwrap(), [terms(6_500, None, None)].into()),
            (Sku::parse("C-1").unwrap(), [terms(6_000, Some(2_000), None)].into()),
        ]
        .into(),
        ..ListingEdit::default()
    };
    for id in ["D-1", "C-1"] {
        let id = ProductId::parse(id).unwrap();
        let prices = edit.prices.iter().filter(|(sku, _)| sku.as_str() == id.as_str());
        let edit = ListingEdit {
            prices: prices.map(|(sku, some)| (sku.clone(), some.clone())).collect(),
            ..ListingEdit::default()
        };
        shop.done(&Command::EditListing { id, market: gb.clone(), edit: Box::new(edit), expected: None });
    }
    let any = Query { now: NOW, ..Query::default() };
    let table = [
        ("category", Query { category: Some(name("desks")), ..any.clone() }, "D-1"),
        ("brand", Query { brand: Some(name("MOBEL")), ..any.clone() }, "D-1"),
        ("attribute", Query { attributes: vec![(name("material"), "walnut".into())], ..any.clone() }, "D-1"),
        ("another value", Query { attributes: vec![(name("material"), "wal".into())], ..any.clone() }, ""),
        ("status", Query { statuses: vec![Status::Draft], ..any.clone() }, "L-1"),
        ("statuses", Query { statuses: vec![Status::Active, Status::Archived], ..any.clone() }, "C-1 D-2 D-1"),
        ("word and status", Query { statuses: vec![Status::Active], ..typed("desk") }, "D-2 D-1"),
        ("a band, by price", Query { price: band(6_000, 8_000), ..any.clone() }, "D-2 C-1"),
        ("by price", Query { price: band(0, u64::MAX), order: Order::Price, ..any.clone() }, "L-1 D-2 C-1 D-1"),
        ("by title", Query { price: band(6_000, 8_000), order: Order::Title, ..any.clone() }, "C-1 D-2"),
        ("word by title", Query { order: Order::Title, ..typed("desk") }, "L-1 D-2 D-1"),
        (
            "in a market",
            Query { market: Some(gb.clone()), price: band(0, u64::MAX), order: Order::Price, ..any.clone() },
            "L-1 D-1 D-2 C-1",
        ),
        ("in a market by band", Query { market: Some(gb.clone()), price: band(6_000, 6_999), ..any.clone() }, "D-1"),
        (
            "in a market later",
            Query { market: Some(gb.clone()), price: band(6_000, 6_999), now: SiteTime(2_000), ..any.clone() },
            "C-1 D-1",
        ),
        ("words by price", Query { price: band(0, u64::MAX), order: Order::Price, ..typed("desk") }, "L-1 D-2 D-1"),
    ];
    for (what, query, expected) in table {
        assert_eq!(shop.found(&query), expected, "{what}");
    }
    let gb_query = |query: Query| Query { market: Some(gb.clone()), ..query };
    let edit = ListingEdit {
        title: Some(Some(Title::parse("Bureau of walnut").unwrap())),
        attributes: [(name("Material"), Some(AttributeValue::Text(AttributeText::parse("Nut").unwrap())))].into(),
        ..ListingEdit::default()
    };
    let id = ProductId::parse("D-1").unwrap();
    shop.done(&Command::EditListing { id, market: gb.clone(), edit: Box::new(edit), expected: None });
    let of = |value: &str| Query { attributes: vec![(name("material"), value.into())], ..any.clone() };
    let table = [
        ("its own word", gb_query(typed("bureau")), "D-1"),
        ("its own word, elsewhere", typed("bureau"), ""),
        ("a word of both", gb_query(typed("walnut")), "D-1"),
        ("a word of each", gb_query(typed("desk bureau")), "D-1"),
        ("words of others", gb_query(typed("desk")), "L-1 D-2 D-1"),
        ("its own attribute", gb_query(of("nut")), "D-1"),
        ("its own attribute, elsewhere", of("nut"), ""),
        ("what it hides", gb_query(of("walnut")), ""),
        ("its own attribute, by title", Query { order: Order::Title, ..gb_query(of("nut")) }, "D-1"),
    ];
    for (what, query, expected) in table {
        assert_eq!(shop.found(&query), expected, "{what}");
    }
    let (hits, ..) = shop.all(&Query { market: Some(gb), price: band(0, u64::MAX), ..typed("walnut") }, 10);
    let hit = &hits[0];
    assert_eq!(hit.price.as_ref().map(|(sku, _, terms)| (sku.as_str(), terms.amount)), Some(("D-1", 6_500)));
    assert!(hit.listing.is_some());
}

#[test]
fn what_is_there_can_be_told_from_what_is_not() {
    let mut shop = furniture();
    let (here, there) = (LocationId::parse("here").unwrap(), LocationId::parse("there").unwrap());
    for id in [&here, &there] {
        shop.done(&Command::OpenLocation { id: id.clone(), name: Title::parse("Shop").unwrap() });
    }
    let line = Line { sku: Sku::parse("D-2S").unwrap(), location: here.clone(), quantity: Quantity::new(1).unwrap() };
    shop.done(&Command::Receive { from: Inbound::Delivery, lines: vec![line], note: Note::default() });
    let selling = Some(Selling { policy: Policy::None, backorder_limit: 0 }.into());
    let variants = vec![VariantEdit { selling, ..VariantEdit::of(Sku::parse("C-1").unwrap()) }];
    let edit = ProductEdit { variants, ..ProductEdit::default() };
    shop.done(&Command::change_product(ProductId::parse("C-1").unwrap(), edit, None));

    for (shelves, expected) in [(Shelves::Any, "C-1 D-2"), (Shelves::At(here), "C-1 D-2"), (Shelves::At(there), "C-1")]
    {
        assert_eq!(shop.found(&Query { available: Some(shelves), now: NOW, ..Query::default() }), expected);
    }
}

/// Many products, many queries: all pages together are what looking at every product finds, each once and
/// in order, and no page reads more than it may.
#[test]
fn pages_add_up_to_what_looking_at_everything_finds() {
    let mut chance = fastrand::Rng::with_seed(7);
    let mut shop = Shop::new();
    const WORDS: [&str; 8] = ["red", "reddish", "blue", "desk", "desktop", "lamp", "oak", "chair"];
    let all: Vec<ProductEdit> = (0..500)
        .map(|number| {
            let title = format!("{} {}", chance.choice(WORDS).unwrap(), chance.choice(WORDS).unwrap());
            let mut edit = product(&format!("S{number}"), &title, chance.i64(0..50));
            edit.brand = chance.bool().then(|| Some(name(chance.choice(["Acme", "Bolt"]).unwrap())));
            edit.categories = Some(vec![name(&format!("c{}", chance.u8(0..30)))]);
            edit.status = chance.bool().then_some(Status::Archived);
            for extra in 0..chance.u8(0..3) {
                let sku = Sku::parse(format!("S{number}-{extra}")).unwrap();
                let prices = [
                    terms(chance.i64(0..50), None, None),
                    terms(chance.i64(0..50), Some(500), Some(chance.u64(600..1_500))),
                ];
                edit.variants.push(VariantEdit { prices: prices.into(), ..VariantEdit::of(sku) });
            }
            edit
        })
        .collect();
    shop.make(all);
    // Some are renamed or go.
    for number in (0..500).step_by(7) {
        let id = ProductId::parse(format!("S{number}")).unwrap();
        match number % 3 {
            0 => shop.done(&Command::DeleteProduct { id, expected: None }),
            _ => {
                let edit = ProductEdit { title: Title::parse("oak renamed").ok(), ..ProductEdit::default() };
                let (expected, must) = (None, Must::Exist);
                shop.done(&Command::EditProduct { id, edit: Box::new(edit), expected, must, variants: must });
            }
        }
    }
    let products: BTreeMap<ProductId, Product> = {
        let (reader, mut all, mut after) = (shop.reader(), BTreeMap::new(), None);
        loop {
            let page = reader.products(after.as_ref(), 1_000).unwrap();
            let Some((last, _)) = page.last() else { break all };
            after = Some(last.clone());
            all.extend(page);
        }
    };
    for round in 0..250 {
        let typed = (0..chance.usize(0..3)).map(|_| chance.choice(WORDS).unwrap()).collect::<Vec<_>>().join(" ");
        let cut = typed.len() - chance.usize(0..3).min(typed.len());
        let (min, max) = (chance.u64(0..50), chance.u64(0..60));
        let query = Query {
            words: Some(index::words::query(&typed[..cut])).filter(|words| !words.is_empty()),
            category: chance.bool().then(|| name(&format!("C{}", chance.u8(0..30)))),
            brand: (chance.u8(0..4) == 0).then(|| name("acme")),
            statuses: if chance.bool() { vec![Status::Active] } else { vec![] },
            price: (chance.u8(0..3) == 0).then_some(PriceBand { currency: currency(), min, max }),
            order: chance.choice([Order::Narrowest, Order::Title, Order::Price]).unwrap(),
            now: NOW,
            ..Query::default()
        };
        let limit = chance.usize(1..40);
        let (hits, _, worst) = shop.all(&query, limit);
        assert!(worst <= SEARCH_ROWS_MAX + 2 * PIECE_ROWS.end(), "{round}: {worst} rows for a page of {limit}");
        let mut found: Vec<&ProductId> = hits.iter().map(|hit| &hit.id).collect();
        match query.order {
            Order::Title => {
                let titles: Vec<(Vec<String>, &ProductId)> =
                    hits.iter().map(|hit| (index::words::words(hit.product.title.as_str()), &hit.id)).collect();
                assert!(titles.is_sorted(), "{round}: {query:?}");
            }
            Order::Price if query.price.is_some() => {
                let prices = hits.iter().map(|hit| hit.price.as_ref().map(|(sku, _, terms)| (terms.amount, sku)));
                assert!(prices.is_sorted(), "{round}: {query:?}");
            }
            _ => {}
        }
        found.sort();
        let meant: Vec<&ProductId> =
            products.iter().filter(|(_, product)| is_meant(product, &query)).map(|(id, _)| id).collect();
        assert_eq!(found, meant, "{round}: {query:?}");
    }
}

/// The same in the plainest words.
fn is_meant(product: &Product, query: &Query) -> bool {
    let texts: Vec<String> = std::iter::once(product.title.as_str())
        .chain(product.brand.iter().map(Name::as_str))
        .chain(product.variants.iter().map(|variant| variant.sku.as_str()))
        .map(str::to_lowercase)
        .collect();
    let parts: Vec<String> = texts
        .iter()
        .flat_map(|text| text.split([' ', '-']).map(str::to_owned).chain([text.replace('-', "")]))
        .collect();
    let in_band = |band: PriceBand| {
        product.variants.iter().any(|variant| {
            let holding = variant.prices.iter().filter(|(key, terms)| {
                key.valid_from.unwrap_or_default() <= query.now
                    && terms.valid_until.is_none_or(|until| until > query.now)
            });
            let newest = holding.max_by_key(|(key, _)| key.valid_from);
            newest.is_some_and(|(_, terms)| (band.min..=band.max).contains(&minor(terms)))
        })
    };
    query.words.iter().flatten().all(|word| parts.iter().any(|part| part.starts_with(word.as_str())))
        && query.category.as_ref().is_none_or(|wanted| {
            product.categories.iter().any(|name| name.as_str().to_lowercase() == wanted.as_str().to_lowercase())
        })
        && query.brand.as_ref().is_none_or(|wanted| {
            product.brand.as_ref().is_some_and(|name| name.as_str().to_lowercase() == wanted.as_str().to_lowercase())
        })
        && (query.statuses.is_empty() || query.statuses.contains(&product.status))
        && query.price.is_none_or(in_band)
}

/// What is rare is found at once, whatever else is asked for; what is rare among what is common is found
/// page by page, each of a bounded number of rows.
#[test]
fn a_page_reads_few_rows() {
    let mut shop = Shop::new();
    let many = (0..12_000).map(|number| {
        let word = if number % 6_000 == 5_999 { "rare" } else { "common" };
        let mut edit = product(&format!("S{number}"), &format!("thing {word}"), 10);
        edit.status = (number == 11_000).then_some(Status::Archived);
        edit
    });
    shop.make(many.collect());
    let (hits, pages, rows) = shop.all(&typed("thing rare"), 50);
    assert_eq!((hits.len(), pages), (2, 1));
    assert!(rows < 100, "{rows} rows");

    let (hits, pages, rows) = shop.all(&Query { statuses: vec![Status::Archived], ..typed("thing") }, 50);
    assert_eq!((hits.len(), pages), (1, 1));
    assert!(rows < 100, "{rows} rows");

    let statuses = vec![Status::Archived, Status::Draft];
    let (hits, pages, rows) = shop.all(&Query { statuses, ..typed("thing") }, 50);
    assert_eq!((hits.len(), pages), (1, 7), "nothing but reading on finds it");
    assert!(rows <= SEARCH_ROWS_MAX + PIECE_ROWS.end(), "{rows} rows");

    let first = shop.reader().search(&typed("thing common"), None, 50).unwrap().unwrap();
    assert_eq!(first.items.len(), 50);
    assert!(first.rows < 2 * SEARCH_PROBE_MAX + 2 * SEARCH_PROBE_MAX / 16 + 110, "{} rows", first.rows);
    let second = shop.reader().search(&typed("thing common"), first.next.as_ref(), 50).unwrap().unwrap();
    assert!(second.rows <= 2 * 51 + 51, "{} rows", second.rows);
}

#[test]
fn a_cursor_of_another_query_opens_nothing_or_something_harmless() {
    let shop = furniture();
    let reader = shop.reader();
    for text in ["", "1", "9.00", "0.0", "0.zz", "0.é0", "300.00", "0.+1"] {
        if let Some(cursor) = Cursor::parse(text) {
            assert!(reader.search(&typed("desk"), Some(&cursor), 5).unwrap().is_none(), "{text}");
        }
    }
    for text in ["0.", "0.00", "0.ffff", "1.64"] {
        let cursor = Cursor::parse(text).unwrap();
        assert_eq!(cursor.to_string(), text);
        assert!(reader.search(&typed("desk"), Some(&cursor), 5).unwrap().is_some(), "{text}");
    }
}

#[test]
fn many_filters_cost_no_more_than_one_page() {
    let mut shop = Shop::new();
    let yes = AttributeValue::Flag(true);
    let all = (0..2_000).map(|number| {
        let mut edit = product(&format!("S{number}"), "One of many", 1);
        edit.attributes = (0..20).map(|n| (name(&format!("a{n}")), Some(yes.clone()))).collect();
        edit
    });
    shop.make(all.collect());
    for count in [1, 2, 20, 300] {
        let attributes = (0..count).map(|n| (name(&format!("a{}", n % 20)), "true".to_owned())).collect();
        let query = Query { attributes, ..typed("one many") };
        let page = shop.reader().search(&query, None, 3).unwrap().unwrap();
        assert_eq!(page.items.len(), 3);
        assert!(page.rows <= SEARCH_ROWS_MAX, "{} rows for {count} filters", page.rows);
    }
}

#[test]
fn places_that_nobody_asks_for_are_not_read() {
    let mut shop = furniture();
    let sku = Sku::parse("D-1").unwrap();
    let places: Vec<LocationId> = (0..50).map(|n| LocationId::parse(format!("l{n:02}")).unwrap()).collect();
    let mut rows = Vec::new();
    for place in &places {
        shop.done(&Command::OpenLocation { id: place.clone(), name: Title::parse("Shop").unwrap() });
        let line = Line { sku: sku.clone(), location: place.clone(), quantity: Quantity::new(1).unwrap() };
        shop.done(&Command::Receive { from: Inbound::Delivery, lines: vec![line], note: Note::default() });
        let available = Some(Shelves::At(places[0].clone()));
        let query = Query { available, now: NOW, ..Query::default() };
        rows.push(shop.reader().search(&query, None, 10).unwrap().unwrap().rows);
    }
    assert!(rows.iter().all(|count| *count == rows[0]), "{rows:?}");
}
