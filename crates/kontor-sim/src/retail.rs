//! The books of a real retailer as demand in two regions whose links are cut at random. What is sold in the
//! end, by the journals, is what the file adds up to, unit by unit and penny by penny.
//!
//! How the rows are read:
//! - A positive quantity is a sale: to the United Kingdom at the first region, to all other countries at
//!   the second. It takes from the one warehouse that has the article: of every second article it is that of
//!   the first region, of the others that of the second.
//! - An invoice `C…` is a cancellation: its units come back to that warehouse.
//! - A negative quantity on any other invoice is a loss, written off there. A row of nothing is left out.
//! - Codes are case-sensitive. Prices have up to three decimals, and are counted in thousandths.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use kontor_core::command::{Command, Inbound, Line, Note};
use kontor_core::event::Event;
use kontor_core::group;
use kontor_core::id::{LocationId, Sku};
use kontor_core::movement::MovementKind;
use kontor_core::product::Selling;
use kontor_core::reservation::ReservationStatus;
use kontor_core::text::{Reference, Title};

use crate::Violation;
use crate::chance::Chance;
use crate::oracle::{Kept, broken, same};
use crate::staged::{Sale, Staged, line};

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// Rows of the file.
    pub rows: u64,
    /// Rows that are sales, by region.
    pub sales: [u64; 2],
    /// Articles.
    pub skus: u64,
    /// Units sold, less those that came back.
    pub units: i64,
    /// What they cost, in thousandths.
    pub thousandths: i64,
    /// Times when the links were cut, and how long in all.
    pub cuts: u64,
    /// Seconds of the world in which they were.
    pub cut_s: u64,
    /// Seconds of the world.
    pub simulated_s: u64,
    /// Tries that were refused although the other region could have promised the units.
    pub refused_though_there: u64,
    /// Shares asked for and given.
    pub asks: u64,
    /// Shares given.
    pub grants: u64,
}

/// One row of the books.
struct Row {
    number: usize,
    invoice: String,
    sku: Sku,
    title: String,
    quantity: i64,
    thousandths: i64,
    region: usize,
}

/// Units and thousandths by article.
type Totals = BTreeMap<String, (i64, i64)>;

/// Times that somebody comes for one sale, before something is wrong.
const TRIES_MAX: u32 = 50;

/// Books all rows of the file, or the first of them.
pub fn sell_everything(path: &Path, seed: u64, rows_max: usize) -> Result<Result<Books, Violation>, String> {
    let text = unpacked(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let rows = read(&text, rows_max)?;
    let expected = added_up(&text, rows_max)?;
    Ok(book(&rows, &expected, seed))
}

fn unpacked(path: &Path) -> std::io::Result<String> {
    let mut text = Vec::new();
    let file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text)?;
    } else {
        let mut file = file;
        file.read_to_end(&mut text)?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn read(text: &str, rows_max: usize) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (number, record) in csv::Reader::from_reader(text.as_bytes()).records().take(rows_max).enumerate() {
        let record = record.map_err(|error| format!("row {number}: {error}"))?;
        let field = |at: usize| record.get(at).map(str::trim).ok_or_else(|| format!("row {number} is short"));
        let wrong = |what: &str| format!("row {number}: {what} cannot be read");
        let price = field(5)?;
        let (whole, parts) = price.split_once('.').unwrap_or((price, ""));
        let thousandths = format!("{whole}{parts:0<3}").parse().map_err(|_| wrong("the price"))?;
        rows.push(Row {
            number,
            invoice: field(0)?.to_owned(),
            sku: Sku::parse(field(1)?.to_owned()).map_err(|_| wrong("the code"))?,
            title: field(2)?.to_owned(),
            quantity: field(3)?.parse().map_err(|_| wrong("the quantity"))?,
            thousandths,
            region: usize::from(field(7)? != "United Kingdom"),
        });
    }
    Ok(rows)
}

/// What was sold less what came back, from the file alone and by other means than above.
fn added_up(text: &str, rows_max: usize) -> Result<Totals, String> {
    let mut totals = Totals::new();
    for row in text.lines().skip(1).take(rows_max) {
        // No description ends with a quote and a comma, so what is right of it can be told from the right.
        let fields: Vec<&str> = row.rsplitn(6, ',').collect();
        let code = row.split(',').nth(1);
        let (Some(code), [_, _, price, _, quantity, _]) = (code, fields.as_slice()) else {
            return Err(format!("a row cannot be taken apart: {row}"));
        };
        let quantity: i64 = quantity.trim().parse().map_err(|_| format!("no quantity: {row}"))?;
        let price: f64 = price.trim().parse().map_err(|_| format!("no price: {row}"))?;
        if quantity > 0 || row.starts_with('C') {
            let total = totals.entry(code.trim().to_owned()).or_default();
            total.0 += quantity;
            #[expect(clippy::cast_possible_truncation, reason = "prices of a shop are small")]
            let thousandths = (price * 1_000.0).round() as i64;
            total.1 += quantity * thousandths;
        }
    }
    totals.retain(|_, total| *total != (0, 0));
    Ok(totals)
}

struct Shop {
    staged: Staged,
    /// By code: its name there, its warehouse and whose that is.
    articles: BTreeMap<Sku, (Sku, LocationId, usize)>,
    books: Books,
}

fn book(rows: &[Row], expected: &Totals, seed: u64) -> Result<Books, Violation> {
    let mut shop = Shop { staged: Staged::new(seed, 2), articles: BTreeMap::new(), books: Books::default() };
    shop.open(rows)?;
    shop.books.rows = rows.len() as u64;
    let mut chance = Chance::of(seed, "retail");
    let mut waiting: VecDeque<(&Row, u32)> = VecDeque::new();
    let mut cut_until_us = 0;
    for row in rows {
        let think = chance.around(2_000_000);
        shop.staged.pass(think)?;
        if shop.staged.now_us >= cut_until_us && chance.happens(0.01) {
            let cut = chance.within(10_000_000..900_000_000);
            (shop.books.cuts, shop.books.cut_s) = (shop.books.cuts + 1, shop.books.cut_s + cut / 1_000_000);
            cut_until_us = shop.staged.now_us + cut;
            shop.staged.sites.links.cut(0, 1, cut_until_us);
        }
        if !shop.take(row)? {
            waiting.push_back((row, 1));
        }
        // Whoever was refused comes again, one after the other.
        if chance.happens(0.3)
            && let Some((row, tries)) = waiting.pop_front()
            && !shop.take_soon_again(row)?
        {
            waiting.push_back((row, tries + 1));
        }
    }
    shop.staged.pass(cut_until_us.saturating_sub(shop.staged.now_us) + 60_000_000)?;
    while let Some((row, tries)) = waiting.pop_front() {
        if !shop.take_soon_again(row)? {
            if tries >= TRIES_MAX {
                let (sku, location, home) = &shop.articles[&row.sku];
                let levels =
                    [shop.staged.level(0, *home, (sku, location))?, shop.staged.level(1, *home, (sku, location))?];
                let wanted = (&row.invoice, sku, row.quantity, row.region);
                return Err(broken("what is there is sold in the end", wanted, levels));
            }
            waiting.push_back((row, tries + 1));
        }
    }
    shop.staged.sites.end()?;
    shop.close(rows, expected)
}

impl Shop {
    /// All that will be sold or lost is there before.
    fn open(&mut self, rows: &[Row]) -> Kept {
        let name = |text: &str| Title::parse(text).expect("a short text is a title");
        let place = |text: &str| LocationId::parse(text).expect("a short word is a location");
        let homes = [("main", place("main-shop-0")), ("west", place("west-shop-0"))];
        for (at, (_, location)) in homes.iter().enumerate() {
            self.staged.done(at, Command::OpenLocation { id: location.clone(), name: name("Warehouse") })?;
        }
        let mut needed: [BTreeMap<Sku, u64>; 2] = Default::default();
        for row in rows {
            let count = self.articles.len();
            let home = count % 2;
            if !self.articles.contains_key(&row.sku) {
                let sku = format!("{}-{}", homes[home].0, row.sku);
                let sku = Sku::parse(sku).expect("a code and a prefix are a sku");
                let title = Title::parse(row.title.as_str()).unwrap_or_else(|_| name(row.sku.as_str()));
                let create = Command::create_product(None, sku.clone(), title, Selling::default());
                self.staged.done(home, create)?;
                self.articles.insert(row.sku.clone(), (sku, homes[home].1.clone(), home));
            }
            let (sku, _, home) = &self.articles[&row.sku];
            let leaves = row.quantity > 0 || !row.invoice.starts_with('C');
            if leaves && row.quantity != 0 {
                *needed[*home].entry(sku.clone()).or_default() += row.quantity.unsigned_abs();
            }
        }
        self.books.skus = self.articles.len() as u64;
        for (home, needed) in needed.iter().enumerate() {
            let lines: Vec<Line> = needed.iter().map(|(sku, units)| line(sku, &homes[home].1, *units)).collect();
            for lines in lines.chunks(100) {
                self.staged.receive(home, lines.to_vec())?;
            }
        }
        self.staged.pass(120_000_000)
    }

    /// Whoever was told that others have units comes again while those are on their way, and are kept.
    fn take_soon_again(&mut self, row: &Row) -> Kept<bool> {
        for _ in 0..3 {
            if self.take(row)? {
                return Ok(true);
            }
            self.staged.pass(2_000_000)?;
        }
        Ok(false)
    }

    /// Books a row. Answers whether it could be.
    fn take(&mut self, row: &Row) -> Kept<bool> {
        let (sku, location, home) = self.articles[&row.sku].clone();
        let papers = format!("{}.{}.{}", row.invoice, row.number, row.thousandths);
        let units = row.quantity.unsigned_abs();
        if units == 0 {
            return Ok(true);
        }
        let wanted = line(&sku, &location, units);
        if row.quantity > 0 {
            let other = self.staged.level(1 - row.region, home, (&sku, &location))?.sellable_here;
            let sale = self.staged.sell(row.region, Some(&papers), wanted)?;
            let is_there = u64::try_from(other).is_ok_and(|other| other >= units);
            self.books.sales[row.region] += u64::from(sale == Sale::Sold);
            self.books.refused_though_there += u64::from(sale != Sale::Sold && is_there);
            return Ok(sale == Sale::Sold);
        }
        let reference = Some(Reference::parse(papers).expect("an invoice is a reference"));
        let note = Note { reference, ..Note::default() };
        let command = match row.invoice.starts_with('C') {
            true => Command::Receive { from: Inbound::Return, lines: vec![wanted], note },
            false => Command::WriteOff { line: wanted, from_unavailable: false, note },
        };
        let answer = self.staged.ask(home, command)?;
        // Of what is promised by now, nothing can be lost before more has come back.
        Ok(answer.is_ok())
    }

    /// Compares what the journals tell with the file.
    fn close(mut self, rows: &[Row], expected: &Totals) -> Result<Books, Violation> {
        let mut found = Totals::new();
        let codes: BTreeMap<&Sku, &Sku> = self.articles.iter().map(|(code, (sku, ..))| (sku, code)).collect();
        let mut add = |sku: &Sku, units: i64, papers: &str| -> Kept {
            let price = papers.rsplit('.').next().and_then(|price| price.parse::<i64>().ok());
            let (Some(price), Some(code)) = (price, codes.get(sku)) else {
                return Err(broken("the price is on the papers", sku, papers));
            };
            let total = found.entry(code.to_string()).or_default();
            (total.0, total.1) = (total.0 + units, total.1 + units * price);
            Ok(())
        };
        for world in &self.staged.sites.worlds {
            for (_, bytes) in world.machine.groups()? {
                let group = group::decode(&bytes).map_err(|error| broken("a group can be read", "a group", error))?;
                for event in group.entries.iter().flat_map(|entry| &entry.events) {
                    match event {
                        Event::ReservationEnded { status: ReservationStatus::Committed, lines, owner, .. } => {
                            let papers = owner.as_ref().map(|owner| owner.as_str()).unwrap_or_default();
                            for line in lines {
                                add(&line.sku, i64::try_from(line.quantity).unwrap_or(i64::MAX), papers)?;
                            }
                        }
                        Event::StockMoved { kind: MovementKind::Return, lines, reference, .. } => {
                            let papers = reference.as_ref().map(|reference| reference.as_str()).unwrap_or_default();
                            lines.iter().try_for_each(|line| add(&line.sku, -line.change, papers))?;
                        }
                        _ => {}
                    }
                }
            }
        }
        found.retain(|_, total| *total != (0, 0));
        let differ = expected.iter().find(|(code, total)| found.get(*code) != Some(total));
        let promise = "units and money by article are those of the file";
        same(promise, &None, &differ.map(|(code, total)| (code, total, found.get(code))))?;
        same(promise, &expected.len(), &found.len())?;
        let sum = |of: fn(&(i64, i64)) -> i64| expected.values().map(of).sum::<i64>();
        (self.books.units, self.books.thousandths) = (sum(|total| total.0), sum(|total| total.1));
        let sales = rows.iter().filter(|row| row.quantity > 0).count() as u64;
        same("every sale of the file is made once", &sales, &self.books.sales.iter().sum())?;
        let figures = self.staged.sites.figures();
        self.books.simulated_s = figures.simulated_s;
        (self.books.asks, self.books.grants) = (figures.asks, figures.grants);
        Ok(self.books)
    }
}
