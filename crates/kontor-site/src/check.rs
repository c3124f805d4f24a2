//! Every invariant of the rows, counted: what `kontor check` prints and the simulator relies on.

use kontor_core::derive;
use kontor_core::id::{LocationId, ProductId, SiteId, Sku};
use kontor_core::location::Location;
use kontor_core::movement::Movement;
use kontor_core::product::{Item, Policy, Product};
use kontor_core::record::{Key, KeyParts, Table, decode};
use kontor_core::reservation::{Due, DueKey, Promise, PromiseKey, Reservation, ReservationStatus};
use kontor_core::stock::{Level, StockRow, quota};
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError, derived, row, rows_of_sites};

/// Broken rules that are told one by one; beyond them they are only counted.
const TOLD_MAX: usize = 100;

/// What was looked at, and what was wrong with it.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// What was counted, in the order in which it was looked at.
    pub figures: Vec<(&'static str, u64)>,
    /// Broken rules, in words.
    pub broken: Vec<String>,
    /// How many rules were broken in all.
    pub broken_total: u64,
}

impl Report {
    /// Counts something that was looked at.
    pub fn figure(&mut self, what: &'static str, count: u64) {
        self.figures.push((what, count));
    }

    /// Notes a broken rule.
    pub fn broken(&mut self, what: String) {
        self.broken_total += 1;
        if self.broken.len() < TOLD_MAX {
            self.broken.push(what);
        }
    }

    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(what());
        }
    }
}

/// Looks at every row of a site. Memory stays bounded: rows are read in order, once or twice.
pub fn check(rows: &dyn View, here: &SiteId) -> Result<Report, ViewError> {
    let mut report = Report::default();
    products(rows, &mut report)?;
    shelves(rows, here, &mut report)?;
    reservations(rows, here, &mut report)?;
    due(rows, here, &mut report)?;
    Ok(report)
}

/// What is derived equals what its primary rows add up to.
fn products(rows: &dyn View, report: &mut Report) -> Result<(), ViewError> {
    let mut variants = 0;
    let products = each(rows, Table::CATALOG, |key, value| {
        let id = part(KeyParts(key).text().and_then(|id| ProductId::parse(id).ok()), "catalog")?;
        let kept: Product = decode(Table::CATALOG, value)?;
        let now = derive::merged(rows, &id)?;
        report.expect(now.as_ref() == Some(&kept), || {
            format!("product {id}: the merged row is not the merge of its siblings")
        });
        for variant in &kept.variants {
            variants += 1;
            let item = derived::<Item>(rows, &variant.sku)?;
            report.expect(item.is_some(), || format!("sku {}: product {id} has it, and no item row does", variant.sku));
        }
        Ok(())
    })?;
    let items = each(rows, Table::ITEMS, |key, value| {
        let sku = part(KeyParts(key).text().and_then(|sku| Sku::parse(sku).ok()), "items")?;
        let kept: Item = decode(Table::ITEMS, value)?;
        let product = derived::<Product>(rows, &kept.product)?;
        let variant = product.as_ref().and_then(|product| product.variants.iter().find(|variant| variant.sku == sku));
        let same = product
            .as_ref()
            .zip(variant)
            .is_some_and(|(product, variant)| product.status == kept.status && variant.selling == kept.selling);
        report.expect(same, || format!("sku {sku}: the item row differs from product {}", kept.product));
        Ok(())
    })?;
    report.figure("products", products);
    report.figure("variants", variants);
    report.figure("skus", items);
    Ok(())
}

/// What a shelf says equals what its ledger and its promises add up to, and nothing is sold twice.
fn shelves(rows: &dyn View, here: &SiteId, report: &mut Report) -> Result<(), ViewError> {
    let (mut movements, mut promises, mut units) = (0, 0, 0);
    let shelves = each(rows, Table::STOCK, |key, value| {
        let mut parts = KeyParts(key);
        let sku = part(parts.text().and_then(|sku| Sku::parse(sku).ok()), "stock")?;
        let location = part(parts.text().and_then(|id| LocationId::parse(id).ok()), "stock")?;
        let site = part(parts.rest().and_then(|site| SiteId::parse(site).ok()), "stock")?;
        let own: StockRow = decode(Table::STOCK, value)?;
        let all = rows_of_sites::<StockRow>(rows, (&sku, &location))?;
        let home = rows_of_sites::<Location>(rows, &location)?.into_iter().next();
        let Some((home, _)) = home else {
            report.broken(format!("{sku} at {location}: there is stock at a location that does not exist"));
            return Ok(());
        };
        let (booked, lines, corrected) = ledger(rows, &sku, &location)?;
        movements += if site == home { lines } else { 0 };
        let level = Level::of(&all, &home, here);
        let name = || format!("{sku} at {location}");
        report.expect(booked == level.on_hand, || {
            format!("{}: on_hand is {}, its movements add up to {booked}", name(), level.on_hand)
        });
        let (held, committed, lines) = promised(rows, &sku, &location, &site)?;
        promises += lines;
        units += u64::try_from(level.on_hand).unwrap_or(0);
        report.expect(held == own.reserved, || {
            format!("{}: reserved is {}, its live holds add up to {held}", name(), own.reserved)
        });
        if all.len() == 1 {
            report.expect(i64::try_from(committed) == Ok(level.committed), || {
                format!("{}: committed is {}, its promises add up to {committed}", name(), level.committed)
            });
        }
        let shares: i64 = all.iter().map(|(site, _)| quota(&all, &home, site)).sum();
        let physical = all.iter().find(|(site, _)| *site == home).map(|(_, row)| row);
        let physical = physical
            .map_or(Ok(0), |row| i64::try_from(row.received).and_then(|r| Ok(r - i64::try_from(row.written_off)?)));
        report.expect(physical == Ok(shares), || {
            format!("{}: the shares of the sites are {shares}, not what is there", name())
        });
        if let Some(limit) = refuses_beyond(rows, &sku)? {
            // What a count or a write-off took away below the promises is a shortage, not a sale.
            let promised = level.reserved + level.committed;
            report.expect(promised <= level.on_hand + limit + corrected, || {
                format!("{}: {promised} are promised, {} are there: oversold", name(), level.on_hand)
            });
        }
        Ok(())
    })?;
    report.figure("shelves", shelves);
    report.figure("units on hand", units);
    report.figure("movements", movements);
    report.figure("promises", promises);
    Ok(())
}

/// How far a SKU may be promised beyond its stock, if sales of it have always been refused beyond
/// that. A policy that was edited may have allowed more before.
fn refuses_beyond(rows: &dyn View, sku: &Sku) -> Result<Option<i64>, ViewError> {
    let Some(item) = derived::<Item>(rows, sku)? else { return Ok(None) };
    let product = derived::<Product>(rows, &item.product)?;
    let unedited = product.is_some_and(|product| product.revision == product.variants.len() as u64);
    let refuses = !matches!(item.selling.policy, Policy::None | Policy::TrackOnly);
    Ok((unedited && refuses).then(|| i64::try_from(item.selling.backorder_limit).unwrap_or(i64::MAX)))
}

/// The sum of an item's movements, their number, and the units that counts and write-offs took.
fn ledger(rows: &dyn View, sku: &Sku, location: &LocationId) -> Result<(i64, u64, i64), ViewError> {
    let (mut sum, mut lines, mut corrected) = (0, 0, 0);
    within(rows, Table::MOVEMENTS, &Movement::prefix(sku, location), |_, value| {
        let movement: Movement = decode(Table::MOVEMENTS, value)?;
        sum += movement.change;
        lines += 1;
        if matches!(
            movement.kind,
            kontor_core::movement::MovementKind::Count | kontor_core::movement::MovementKind::WriteOff
        ) {
            corrected -= movement.change.min(0);
        }
        Ok(())
    })?;
    Ok((sum, lines, corrected))
}

/// Units of an item that are held and that are committed by a site, and the number of promises.
fn promised(rows: &dyn View, sku: &Sku, location: &LocationId, site: &SiteId) -> Result<(u64, u64, u64), ViewError> {
    let (mut held, mut committed, mut lines) = (0, 0, 0);
    let item = Promise::prefix(sku, location);
    within(rows, Table::PROMISES, &item, |key, value| {
        let (due, _, of) = part(Promise::parts(&key[item.as_bytes().len()..]), "promises")?;
        let promise: Promise = decode(Table::PROMISES, value)?;
        if of == *site {
            lines += 1;
            *(if due == SiteTime::NEVER { &mut committed } else { &mut held }) += promise.quantity;
        }
        Ok(())
    })?;
    Ok((held, committed, lines))
}

/// Every live hold is in the lists that end it; nothing else is.
fn reservations(rows: &dyn View, here: &SiteId, report: &mut Report) -> Result<(), ViewError> {
    let mut live = 0;
    let all = each(rows, Table::RESERVATIONS, |key, value| {
        let id = kontor_core::id::ReservationId(part(KeyParts(key).fixed(), "reservations")?);
        let reservation: Reservation = decode(Table::RESERVATIONS, value)?;
        let held = reservation.status == ReservationStatus::Held;
        live += u64::from(held);
        let listed = row::<Due>(rows, here, DueKey { at: reservation.expires_at, id })?.is_some();
        report.expect(listed == held, || {
            format!(
                "{id} is {}, and its deadline is {}listed",
                reservation.status.word(),
                if listed { "" } else { "not " }
            )
        });
        for line in reservation.lines.iter().filter(|line| line.tracked) {
            let due = if held { reservation.expires_at } else { SiteTime::NEVER };
            let left = match reservation.status {
                ReservationStatus::Held => line.quantity,
                ReservationStatus::Committed => line.quantity.saturating_sub(line.shipped),
                ReservationStatus::Released | ReservationStatus::Expired => 0,
            };
            let promise = row::<Promise>(rows, here, PromiseKey { sku: &line.sku, location: &line.location, due, id })?;
            let units = promise.map_or(0, |promise| promise.quantity);
            report
                .expect(units == left, || format!("{id}: {left} of {} are promised, the list says {units}", line.sku));
        }
        Ok(())
    })?;
    report.figure("reservations", all);
    report.figure("live holds", live);
    Ok(())
}

/// Every deadline belongs to a live hold.
fn due(rows: &dyn View, here: &SiteId, report: &mut Report) -> Result<(), ViewError> {
    let deadlines = each(rows, Table::DUE, |key, _| {
        let mut parts = KeyParts(key);
        let at = SiteTime(part(parts.number(), "due")?);
        let id = kontor_core::id::ReservationId(part(parts.fixed(), "due")?);
        let reservation = row::<Reservation>(rows, here, id)?;
        let live = reservation.is_some_and(|it| it.status == ReservationStatus::Held && it.expires_at == at);
        report.expect(live, || format!("{id} has a deadline and is no live hold"));
        Ok(())
    })?;
    report.figure("deadlines", deadlines);
    Ok(())
}

fn each(
    rows: &dyn View,
    table: Table,
    look: impl FnMut(&[u8], &[u8]) -> Result<(), ViewError>,
) -> Result<u64, ViewError> {
    within(rows, table, &Key::new(), look)
}

fn within(
    rows: &dyn View,
    table: Table,
    prefix: &Key,
    mut look: impl FnMut(&[u8], &[u8]) -> Result<(), ViewError>,
) -> Result<u64, ViewError> {
    let (mut count, mut result) = (0, Ok(()));
    let end = prefix.end();
    let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
    rows.scan(table, range, &mut |key, value| {
        count += 1;
        result = look(key, value);
        result.is_ok()
    })?;
    result.map(|()| count)
}

fn part<T>(part: Option<T>, table: &'static str) -> Result<T, ViewError> {
    part.ok_or_else(|| ViewError { table, why: "a key is damaged".into() })
}
