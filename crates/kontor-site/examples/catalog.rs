//! What a large catalogue costs a site, without HTTP: the import of products, their index, and searches.
//!
//! `cargo run --release -p kontor-site --example catalog -- DIR [PRODUCTS]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not a part of the program"
)]

use std::time::Instant;

use kontor_core::command::{Command, Request, UpsertItem};
use kontor_core::event::Event;
use kontor_core::id::{Actor, JobId, RequestId, SiteId, Sku};
use kontor_core::index;
use kontor_core::job::{JobKind, JobOptions, JobStep, Source};
use kontor_core::money::{Currency, Money};
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::ProductEdit;
use kontor_core::product::price::price;
use kontor_core::product::text::{AttributeText, Description, Name};
use kontor_core::product::{Selling, Status};
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_site::search::{Order, PriceBand, Query};
use kontor_site::{Settings, Site};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COLORS: [&str; 12] =
    ["red", "blue", "green", "black", "white", "walnut", "oak", "silver", "amber", "coral", "teal", "ivory"];
const THINGS: [&str; 16] = [
    "desk", "chair", "lamp", "shelf", "table", "stool", "bench", "sofa", "mirror", "carpet", "vase", "clock", "basket",
    "candle", "frame", "cushion",
];
const PIECE: u64 = 500;

fn request(command: Command) -> Request {
    let (actor, request_id) = (Actor::parse("key:bench").unwrap(), RequestId::parse("bench").unwrap());
    Request { command, actor, request_id, idempotency: None, fresh_id: [7; 16] }
}

fn product(number: u64) -> ProductEdit {
    let mut chance = fastrand::Rng::with_seed(number);
    let title = format!(
        "{} {} {} series {}",
        chance.choice(COLORS).unwrap(),
        chance.choice(COLORS).unwrap(),
        chance.choice(THINGS).unwrap(),
        chance.u32(0..20_000)
    );
    let sku = Sku::parse(format!("P{number:07}")).unwrap();
    let mut edit = ProductEdit::titled(Title::parse(title).unwrap(), sku, Selling::default());
    edit.description =
        Some(Some(Description::parse("Made to be used every day, and repaired when it breaks.").unwrap()));
    edit.brand = Some(Some(Name::parse(format!("Brand {}", chance.u32(0..500))).unwrap()));
    edit.categories = Some(vec![Name::parse(format!("Category {}", chance.u32(0..200))).unwrap()]);
    edit.status = (chance.u8(0..10) == 0).then_some(Status::Archived);
    let material = AttributeValue::Text(AttributeText::parse(chance.choice(COLORS).unwrap()).unwrap());
    edit.attributes.insert(Name::parse("Material").unwrap(), Some(material));
    let money = Money::new(chance.i64(100..100_000), Currency::parse("EUR").unwrap()).unwrap();
    let (key, terms) = price(money, None, None).unwrap();
    edit.variants[0].prices.insert(key, Some(terms));
    edit
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let products: u64 = args.get(2).map_or(100_000, |n| n.parse().unwrap());
    let settings = Settings {
        data: args[1].clone().into(),
        site: SiteId::parse("main").unwrap(),
        nonce: 1,
        journal: Default::default(),
        tables: Default::default(),
        disk_reserve_bytes: 0,
    };
    let site = Site::open(&settings, |_| {}).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let id = JobId([1; 16]);
        let (source, options) = (Source::parse("made up").unwrap(), JobOptions::parse("").unwrap());
        let start = Command::StartJob { id: Some(id), kind: JobKind::Products, source, digest: [0; 32], options };
        if site.submit(request(start)).await.is_ok() {
            let (start, mut from, mut entries) = (Instant::now(), 1, 0);
            let mut told = start;
            while from <= products {
                let through = (from + PIECE - 1).min(products);
                let items: Vec<UpsertItem> =
                    (from..=through).map(|number| UpsertItem::new(number, product(number))).collect();
                let step = JobStep { job: id, from_line: from, through_line: through, rejected: Vec::new() };
                let answer = site.submit(request(Command::UpsertProducts { step: Some(step), items })).await.unwrap();
                let Some(Event::LinesDone(done)) = answer.events.last() else { panic!("no lines were done") };
                (from, entries) = (done.through_line + 1, entries + 1);
                if told.elapsed().as_secs() >= 5 {
                    told = Instant::now();
                    println!("  {from:>9} products, {:>7.0}/s, {} MB", rate(from, start), memory_mb());
                }
            }
            println!("{products} products in {entries} entries: {:.0}/s, {} MB", rate(products, start), memory_mb());
        }
    });
    searches(&site);
    site.close().unwrap();
}

fn rate(done: u64, start: Instant) -> f64 {
    done as f64 / start.elapsed().as_secs_f64()
}

fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn searches(site: &Site) {
    let currency = Currency::parse("EUR").unwrap();
    let band = |min, max| Some(PriceBand { currency, min, max });
    let any = || Query { statuses: vec![Status::Active], now: SiteTime(1), ..Query::default() };
    let typed = |text: String| Query { words: Some(index::words::query(&text)), ..any() };
    type Make<'m> = Box<dyn Fn(&mut fastrand::Rng) -> Query + 'm>;
    let queries: Vec<(&str, Make<'_>)> = vec![
        ("by title", Box::new(|_| any())),
        ("one common word", Box::new(|chance| typed(chance.choice(THINGS).unwrap().to_string()))),
        (
            "two common words",
            Box::new(|chance| typed(format!("{} {}", chance.choice(COLORS).unwrap(), chance.choice(THINGS).unwrap()))),
        ),
        (
            "a number and a word",
            Box::new(|chance| typed(format!("{} {}", chance.u32(0..20_000), chance.choice(THINGS).unwrap()))),
        ),
        ("a sku", Box::new(|chance| typed(format!("P{:07}", chance.u32(1..100_000))))),
        (
            "brand and category",
            Box::new(|chance| {
                let name = |text: String| Name::parse(text).ok();
                let (brand, category) =
                    (name(format!("brand {}", chance.u32(0..500))), name(format!("category {}", chance.u32(0..200))));
                Query { brand, category, ..any() }
            }),
        ),
        (
            "price band",
            Box::new(|chance| {
                let min = chance.u64(100..100_000);
                Query { price: band(min, min + 100), ..any() }
            }),
        ),
        (
            "word by price",
            Box::new(|chance| Query {
                price: band(0, u64::MAX),
                order: Order::Price,
                ..typed(chance.choice(THINGS).unwrap().to_string())
            }),
        ),
        (
            "material and word",
            Box::new(|chance| {
                let attributes = vec![(Name::parse("material").unwrap(), chance.choice(COLORS).unwrap().to_string())];
                Query { attributes, ..typed(chance.choice(THINGS).unwrap().to_string()) }
            }),
        ),
    ];
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "pages of 50", "p50 µs", "p99 µs", "rows p50", "rows max", "found"
    );
    for (name, make) in &queries {
        let mut chance = fastrand::Rng::with_seed(1);
        let (mut times, mut rows, mut found) = (Vec::new(), Vec::new(), 0);
        for _ in 0..1_000 {
            let query = make(&mut chance);
            let start = Instant::now();
            let page = site.read().search(&query, None, 50).unwrap().unwrap();
            times.push(start.elapsed().as_micros());
            rows.push(page.rows);
            found += page.items.len();
        }
        times.sort_unstable();
        rows.sort_unstable();
        println!(
            "{name:<22} {:>9} {:>9} {:>9} {:>9} {:>9.1}",
            times[500],
            times[990],
            rows[500],
            rows[999],
            found as f64 / 1e3
        );
    }
}
