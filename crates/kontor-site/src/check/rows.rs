//! The rows of a site against each other.

use kontor_core::derive;
use kontor_core::id::{LocationId, ProductId, ReservationId, SiteId, Sku};
use kontor_core::index;
use kontor_core::location::Location;
use kontor_core::movement::{Movement, UsedReference};
use kontor_core::product::listing::Listing;
use kontor_core::product::text::MarketId;
use kontor_core::product::{Claim, GtinUse, Item, Product, Sibling};
use kontor_core::record::{Derived as _, Key, KeyParts, Primary as _, Table, decode};
use kontor_core::reservation::{Due, DueKey, Promise, PromiseKey, Reservation, ReservationLine, ReservationStatus};
use kontor_core::stock::{Level, StockRow, quota};
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError, derived, row, rows_of_sites};

use super::{Report, Rule};

/// Looks at every row of a site, table by table, in the order of the keys.
pub fn rows(rows: &dyn View, here: &SiteId, report: &mut Report) -> Result<(), ViewError> {
    let look = Look { rows, here };
    look.products(report)?;
    look.claims(report)?;
    look.index(report)?;
    look.shelves(report)?;
    look.ledger(report)?;
    look.promises(report)?;
    look.reservations(report)?;
    look.deadlines(report)?;
    super::orders::orders(rows, here, report)
}

struct Look<'l> {
    rows: &'l dyn View,
    here: &'l SiteId,
}

impl Look<'_> {
    /// What is derived equals what its primary rows add up to.
    fn products(&self, report: &mut Report) -> Result<(), ViewError> {
        let mut variants = 0;
        let products = each(self.rows, Table::CATALOG, |key, value| {
            let id = part(KeyParts(key).text().and_then(|id| ProductId::parse(id).ok()), "catalog")?;
            let kept: Product = decode(Table::CATALOG, value)?;
            let now = derive::merged(self.rows, &id)?;
            report.looked(Rule::Catalog, 1);
            report.expect(Rule::Catalog, now.as_ref() == Some(&kept), || {
                format!("product {id}: the merged row is not the merge of its siblings")
            });
            for variant in &kept.variants {
                variants += 1;
                let item = derived::<Item>(self.rows, &variant.sku)?;
                report.expect(Rule::Catalog, item.is_some(), || {
                    format!("sku {}: product {id} has it, and no item row does", variant.sku)
                });
            }
            Ok(())
        })?;
        let items = each(self.rows, Table::ITEMS, |key, value| {
            let sku = part(KeyParts(key).text().and_then(|sku| Sku::parse(sku).ok()), "items")?;
            let kept: Item = decode(Table::ITEMS, value)?;
            let product = derived::<Product>(self.rows, &kept.product)?;
            let variant =
                product.as_ref().and_then(|product| product.variants.iter().find(|variant| variant.sku == sku));
            let same = product
                .as_ref()
                .zip(variant)
                .is_some_and(|(product, variant)| product.status == kept.status && variant.selling == kept.selling);
            report.looked(Rule::Catalog, 1);
            report.expect(Rule::Catalog, same, || {
                format!("sku {sku}: the item row differs from product {}", kept.product)
            });
            Ok(())
        })?;
        report.figure("products", products);
        report.figure("variants", variants);
        report.figure("skus", items);
        Ok(())
    }

    /// Each site claims the SKUs that it has named, and no others but those of products that it has deleted.
    fn claims(&self, report: &mut Report) -> Result<(), ViewError> {
        each(self.rows, Sibling::TABLE, |key, value| {
            let mut parts = KeyParts(key);
            let id = part(parts.text().and_then(|id| ProductId::parse(id).ok()), "products")?;
            let site = part(parts.rest().and_then(|site| SiteId::parse(site).ok()), "products")?;
            let sibling: Sibling = decode(Sibling::TABLE, value)?;
            for sku in sibling.variants.keys() {
                report.looked(Rule::Claims, 1);
                let claimed = row::<Claim>(self.rows, &site, (sku, &id))?.is_some();
                report.expect(Rule::Claims, claimed, || format!("sku {sku}: {site} does not claim it for {id}"));
            }
            Ok(())
        })?;
        each(self.rows, Claim::TABLE, |key, _| {
            let mut parts = KeyParts(key);
            let sku = part(parts.text().and_then(|sku| Sku::parse(sku).ok()), "claims")?;
            let id = part(parts.text().and_then(|id| ProductId::parse(id).ok()), "claims")?;
            let site = part(parts.rest().and_then(|site| SiteId::parse(site).ok()), "claims")?;
            report.looked(Rule::Claims, 1);
            let sibling = row::<Sibling>(self.rows, &site, &id)?;
            // A deleted product has no variants any more. Its claims stay: they only say where to look.
            let is_used = |sibling: Sibling| {
                let is_deleted = sibling.present.as_ref().is_some_and(|present| !present.value);
                is_deleted || sibling.variants.contains_key(&sku)
            };
            let used = sibling.is_some_and(is_used);
            report.expect(Rule::Claims, used, || format!("sku {sku}: {site} claims it for {id}, which has none"));
            Ok(())
        })?;
        Ok(())
    }

    /// The index and the list of GTINs hold what follows from the products and their listings, and no more.
    fn index(&self, report: &mut Report) -> Result<(), ViewError> {
        let (mut keys, mut uses) = (0, 0);
        each(self.rows, Table::CATALOG, |key, value| {
            let id = part(KeyParts(key).text().and_then(|id| ProductId::parse(id).ok()), "catalog")?;
            let product: Product = decode(Table::CATALOG, value)?;
            keys += self.is_found(&id, Table::INDEX, &index::keys(&id, &product), report)?;
            let gtins = product.variants.iter().filter_map(|variant| Some((variant.gtin.as_ref()?, &variant.sku)));
            let gtins = gtins.map(|(gtin, sku)| GtinUse::key((gtin, &id, sku)).into_bytes());
            uses += self.is_found(&id, Table::GTINS, &gtins.collect::<Vec<_>>(), report)?;
            Ok(())
        })?;
        let listings = each(self.rows, Table::MARKET_LISTINGS, |key, value| {
            let mut parts = KeyParts(key);
            let id = part(parts.text().and_then(|id| ProductId::parse(id).ok()), "market_listings")?;
            let market = part(parts.text().and_then(|id| MarketId::parse(id).ok()), "market_listings")?;
            let kept: Listing = decode(Table::MARKET_LISTINGS, value)?;
            let now = derive::merged_listing(self.rows, &id, &market)?;
            report.looked(Rule::Catalog, 1);
            report.expect(Rule::Catalog, now.as_ref() == Some(&kept), || {
                format!("product {id} in {market}: the merged row is not the merge of its siblings")
            });
            keys += self.is_found(&id, Table::INDEX, &index::listing_keys(&id, &market, &kept), report)?;
            Ok(())
        })?;
        for (table, expected) in [(Table::INDEX, keys), (Table::GTINS, uses)] {
            let found = each(self.rows, table, |_, _| Ok(()))?;
            report.expect(Rule::Index, found == expected, || {
                format!("table {}: there are {found} rows, and the products account for {expected}", table.name())
            });
        }
        report.figure("listings", listings);
        Ok(())
    }

    /// Looks for the keys of a product in a table of keys; answers how many there must be.
    fn is_found(&self, id: &ProductId, table: Table, keys: &[Vec<u8>], report: &mut Report) -> Result<u64, ViewError> {
        report.looked(Rule::Index, keys.len() as u64);
        for key in keys {
            let is_there = self.rows.get(table, key)?.is_some();
            report.expect(Rule::Index, is_there, || format!("product {id}: table {} lacks a row of it", table.name()));
        }
        Ok(keys.len() as u64)
    }

    /// What a shelf says equals what its promises add up to, and its shares what is there.
    fn shelves(&self, report: &mut Report) -> Result<(), ViewError> {
        let mut units = 0;
        let shelves = each(self.rows, Table::STOCK, |key, value| {
            let mut parts = KeyParts(key);
            let (sku, location) = part(item(&mut parts), "stock")?;
            let site = part(parts.rest().and_then(|site| SiteId::parse(site).ok()), "stock")?;
            let own: StockRow = decode(Table::STOCK, value)?;
            let all = rows_of_sites::<StockRow>(self.rows, (&sku, &location))?;
            let name = || format!("{sku} at {location}");
            let Some((home, _)) = rows_of_sites::<Location>(self.rows, &location)?.into_iter().next() else {
                let what = format!("{}: there is stock at a location that does not exist", name());
                report.broken(Rule::Shares, what);
                return Ok(());
            };
            let level = Level::of(&all, &home, self.here);
            units += u64::try_from(level.on_hand).unwrap_or(0);
            if site == home && level.on_hand != 0 {
                let moved = within(self.rows, Table::MOVEMENTS, &Movement::prefix(&sku, &location), |_, _| Ok(false))?;
                report.expect(Rule::Ledger, moved > 0, || {
                    format!("{}: on_hand is {}, and no movement says so", name(), level.on_hand)
                });
            }
            let (held, committed) = self.promised(&sku, &location, &site)?;
            // Another site's holds have no deadline here and stand among what is committed.
            if site == *self.here {
                report.looked(Rule::Reserved, 1);
                report.expect(Rule::Reserved, held == own.reserved, || {
                    format!("{}: reserved is {}, its live holds add up to {held}", name(), own.reserved)
                });
            }
            if all.len() == 1 && site == *self.here {
                report.looked(Rule::Committed, 1);
                report.expect(Rule::Committed, i64::try_from(committed) == Ok(level.committed), || {
                    format!("{}: committed is {}, its promises add up to {committed}", name(), level.committed)
                });
            }
            // What was given to a site that nobody knows is nobody's.
            let shares: i64 = self.rows.sites().iter().map(|site| quota(&all, &home, site)).sum();
            let physical = all.iter().find(|(site, _)| *site == home).map(|(_, row)| row);
            let physical = physical
                .map_or(Ok(0), |row| i64::try_from(row.received).and_then(|r| Ok(r - i64::try_from(row.written_off)?)));
            report.looked(Rule::Shares, 1);
            report.expect(Rule::Shares, physical == Ok(shares), || {
                format!("{}: the shares of the sites are {shares}, not what is there", name())
            });
            Ok(())
        })?;
        report.figure("shelves", shelves);
        report.figure("units on hand", units);
        Ok(())
    }

    /// The movements of a shelf follow from each other and end at what is there; each reference that
    /// they name is known as used by them.
    fn ledger(&self, report: &mut Report) -> Result<(), ViewError> {
        let mut shelf: Option<(Sku, LocationId, i64)> = None;
        let mut references = 0;
        let movements = each(self.rows, Table::MOVEMENTS, |key, value| {
            let mut parts = KeyParts(key);
            let (sku, location) = part(item(&mut parts), "movements")?;
            let (_, position, _, site) = part(Movement::parts(parts.0), "movements")?;
            let movement: Movement = decode(Table::MOVEMENTS, value)?;
            let before = match shelf.take() {
                Some((of, at, on_hand)) if of == sku && at == location => on_hand,
                other => {
                    self.balance(other.as_ref(), report)?;
                    0
                }
            };
            report.looked(Rule::Ledger, 1);
            report.expect(Rule::Ledger, before + movement.change == movement.on_hand_after, || {
                let (change, after) = (movement.change, movement.on_hand_after);
                format!("{sku} at {location}: {position} changes {before} by {change} and says that {after} are there")
            });
            if let Some(reference) = &movement.reference {
                references += 1;
                let used = row::<UsedReference>(self.rows, &site, (movement.kind, reference))?;
                report.expect(Rule::References, used.is_some_and(|used| used.position == position), || {
                    let reference = reference.as_str();
                    format!("{position}: {:?} {reference} is not known as used there", movement.kind)
                });
            }
            shelf = Some((sku, location, before + movement.change));
            Ok(())
        })?;
        self.balance(shelf.as_ref(), report)?;
        report.figure("movements", movements);
        report.figure("movements with a reference", references);
        Ok(())
    }

    /// The end of a shelf's ledger is what its home row says.
    fn balance(&self, shelf: Option<&(Sku, LocationId, i64)>, report: &mut Report) -> Result<(), ViewError> {
        let Some((sku, location, booked)) = shelf else { return Ok(()) };
        let home = rows_of_sites::<Location>(self.rows, location)?.into_iter().next();
        let Some((home, _)) = home else { return Ok(()) };
        let on_hand = row::<StockRow>(self.rows, &home, (sku, location))?.map_or(0, |row| row.on_hand());
        report.expect(Rule::Ledger, *booked == on_hand, || {
            format!("{sku} at {location}: on_hand is {on_hand}, its movements add up to {booked}")
        });
        Ok(())
    }

    /// Units of an item that are held and that are committed by a site.
    fn promised(&self, sku: &Sku, location: &LocationId, site: &SiteId) -> Result<(u64, u64), ViewError> {
        let (mut held, mut committed) = (0, 0);
        let item = Promise::prefix(sku, location);
        within(self.rows, Table::PROMISES, &item, |key, value| {
            let (due, _, of) = part(Promise::parts(&key[item.as_bytes().len()..]), "promises")?;
            let promise: Promise = decode(Table::PROMISES, value)?;
            if of == *site {
                *(if due == SiteTime::NEVER { &mut committed } else { &mut held }) += promise.quantity;
            }
            Ok(true)
        })?;
        Ok((held, committed))
    }

    /// Every promise is a line of a reservation that still holds or owes it.
    fn promises(&self, report: &mut Report) -> Result<(), ViewError> {
        let promises = each(self.rows, Table::PROMISES, |key, value| {
            let mut parts = KeyParts(key);
            let (sku, location) = part(item(&mut parts), "promises")?;
            let (due, id, site) = part(Promise::parts(parts.0), "promises")?;
            let promise: Promise = decode(Table::PROMISES, value)?;
            let reservation = row::<Reservation>(self.rows, &site, id)?;
            let owed = reservation.and_then(|reservation| {
                let mut lines = reservation.lines.iter();
                let line = lines.find(|line| line.tracked && line.sku == sku && line.location == location)?;
                Some((promised_until(&reservation), left(&reservation, line)))
            });
            report.looked(Rule::Lists, 1);
            report.expect(Rule::Lists, owed == Some((due, promise.quantity)), || {
                format!("{id}: {} of {sku} at {location} are listed as promised, and are not", promise.quantity)
            });
            Ok(())
        })?;
        report.figure("promises", promises);
        Ok(())
    }

    /// Every live hold is in the lists that end it; every unit that is owed is in the list of its item.
    fn reservations(&self, report: &mut Report) -> Result<(), ViewError> {
        let mut live = 0;
        let all = each(self.rows, Table::RESERVATIONS, |key, value| {
            let mut parts = KeyParts(key);
            let id = ReservationId(part(parts.fixed(), "reservations")?);
            let site = part(parts.rest().and_then(|site| SiteId::parse(site).ok()), "reservations")?;
            let reservation: Reservation = decode(Table::RESERVATIONS, value)?;
            let held = reservation.status == ReservationStatus::Held;
            live += u64::from(held);
            let listed = row::<Due>(self.rows, &site, DueKey { at: reservation.expires_at, id })?.is_some();
            report.looked(Rule::Lists, 1);
            // Another site's hold has no deadline here.
            report.expect(Rule::Lists, listed == (held && site == *self.here), || {
                let listed = if listed { "" } else { "not " };
                format!("{id} is {}, and its deadline is {listed}listed", reservation.status.word())
            });
            let due = promised_until(&reservation);
            for line in reservation.lines.iter().filter(|line| line.tracked) {
                let left = left(&reservation, line);
                let key = PromiseKey { sku: &line.sku, location: &line.location, due, id };
                let units = row::<Promise>(self.rows, &site, key)?.map_or(0, |promise| promise.quantity);
                report.expect(Rule::Lists, units == left, || {
                    format!("{id}: {left} of {} are promised, the list says {units}", line.sku)
                });
            }
            Ok(())
        })?;
        report.figure("reservations", all);
        report.figure("live holds", live);
        Ok(())
    }

    /// Every deadline belongs to a live hold.
    fn deadlines(&self, report: &mut Report) -> Result<(), ViewError> {
        each(self.rows, Table::DUE, |key, _| {
            let mut parts = KeyParts(key);
            let at = SiteTime(part(parts.number(), "due")?);
            let id = ReservationId(part(parts.fixed(), "due")?);
            let site = part(parts.rest().and_then(|site| SiteId::parse(site).ok()), "due")?;
            let reservation = row::<Reservation>(self.rows, &site, id)?;
            let live = reservation.is_some_and(|it| it.status == ReservationStatus::Held && it.expires_at == at);
            report.looked(Rule::Lists, 1);
            report.expect(Rule::Lists, live, || format!("{id} has a deadline and is no live hold"));
            Ok(())
        })?;
        Ok(())
    }
}

/// Under which deadline the units of a reservation are listed.
fn promised_until(reservation: &Reservation) -> SiteTime {
    match reservation.status {
        ReservationStatus::Held => reservation.expires_at,
        _ => SiteTime::NEVER,
    }
}

/// Units of a line that are still held or owed.
fn left(reservation: &Reservation, line: &ReservationLine) -> u64 {
    match reservation.status {
        ReservationStatus::Held => line.quantity,
        ReservationStatus::Committed => line.quantity.saturating_sub(line.shipped),
        ReservationStatus::Released | ReservationStatus::Expired => 0,
    }
}

/// The item that a key begins with.
fn item(parts: &mut KeyParts<'_>) -> Option<(Sku, LocationId)> {
    let sku = Sku::parse(parts.text()?).ok()?;
    Some((sku, LocationId::parse(parts.text()?).ok()?))
}

pub(super) fn each(
    rows: &dyn View,
    table: Table,
    mut look: impl FnMut(&[u8], &[u8]) -> Result<(), ViewError>,
) -> Result<u64, ViewError> {
    within(rows, table, &Key::new(), |key, value| look(key, value).map(|()| true))
}

/// Looks at the rows whose keys begin with a prefix until told to stop; how many there were.
pub(super) fn within(
    rows: &dyn View,
    table: Table,
    prefix: &Key,
    mut look: impl FnMut(&[u8], &[u8]) -> Result<bool, ViewError>,
) -> Result<u64, ViewError> {
    let (mut count, mut result) = (0, Ok(true));
    let end = prefix.end();
    let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
    rows.scan(table, range, &mut |key, value| {
        count += 1;
        result = look(key, value);
        matches!(result, Ok(true))
    })?;
    result.map(|_| count)
}

pub(super) fn part<T>(part: Option<T>, table: &'static str) -> Result<T, ViewError> {
    part.ok_or_else(|| ViewError { table, why: "a key is damaged".into() })
}
