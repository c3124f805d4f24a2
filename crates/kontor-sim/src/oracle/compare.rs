//! Comparing the rows that a site has folded with the shop that must be.

use std::collections::BTreeMap;

use kontor_core::id::{Position, ProductId, ReservationId};
use kontor_core::location::Location;
use kontor_core::movement::Movement;
use kontor_core::product::Product;
use kontor_core::record::{Table, decode};
use kontor_core::reservation::{Promise, Reservation, ReservationStatus};
use kontor_core::stock::{Level, StockRow};
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError, derived, row, rows_of_sites};

use super::shop::ShelfKey;
use super::{Kept, Oracle, Violation, broken, same};

impl Oracle {
    /// Shelves that a group has touched.
    pub(crate) fn compare_shelves(&self, rows: &dyn View, shelves: &[ShelfKey]) -> Kept {
        shelves.iter().try_for_each(|shelf| self.compare_shelf(rows, shelf))
    }

    /// All rows: after a start, and in the end.
    pub(crate) fn compare_all(&self, rows: &dyn View) -> Kept {
        for shelf in self.shop.shelves.keys().chain(self.shop.claims.keys()).chain(self.shop.dealings.keys()) {
            self.compare_shelf(rows, shelf)?;
            self.compare_promises(rows, shelf)?;
            if !self.shop.is_elsewhere(shelf) {
                self.compare_movements(rows, shelf)?;
            }
        }
        self.compare_reservations(rows)?;
        self.compare_transfers(rows)?;
        self.compare_catalog(rows)
    }

    fn compare_shelf(&self, rows: &dyn View, key: &ShelfKey) -> Kept {
        let found = rows_of_sites::<StockRow>(rows, (&key.0, &key.1)).map_err(unreadable)?;
        let sellable = self.shop.sellable(&self.site, key, self.shop.held(key));
        if let Some(home) = self.shop.home_elsewhere(&key.1) {
            let level = Level::of(&found, home, &self.site);
            let promise = format!("the share of {} at {} is right", key.0, key.1);
            return same(&promise, &sellable, &level.sellable_here);
        }
        let level = Level::of(&found, &self.site, &self.site);
        let shelf = self.shop.shelf(key);
        let (reserved, sold) = self.shop.promised_elsewhere(key);
        let (held, committed) = (self.shop.held(key) + reserved, self.shop.committed(key) + sold);
        let expected = Level {
            on_hand: shelf.on_hand,
            reserved: held,
            committed,
            unavailable: shelf.unavailable,
            safety_stock: shelf.safety_stock,
            available: self.shop.available_to_all(key),
            sellable_here: sellable,
            shortage: (held + committed + shelf.unavailable - shelf.on_hand).max(0),
            version: level.version,
        };
        same(&format!("the books of {} at {} are right", key.0, key.1), &expected, &level)
    }

    /// Holds and promises add up to what the shelf says is reserved and committed.
    fn compare_promises(&self, rows: &dyn View, key: &ShelfKey) -> Kept {
        let (mut held, mut committed) = (0, 0);
        scan(rows, Table::PROMISES, Promise::prefix(&key.0, &key.1), |after, value| {
            let promise = decode::<Promise>(Table::PROMISES, value).map_err(unreadable)?;
            let units = i64::try_from(promise.quantity).unwrap_or(i64::MAX);
            match Promise::parts(after) {
                // Others keep their own promises.
                Some((.., site)) if site != self.site => {}
                Some((SiteTime::NEVER, ..)) => committed += units,
                Some(_) => held += units,
                None => return Err(broken("keys of promises can be read", "due, reservation, site", after)),
            }
            Ok(())
        })?;
        same("reserved is the sum of live holds", &self.shop.held(key), &held)?;
        same("committed is the sum of promises", &self.shop.committed(key), &committed)
    }

    /// The ledger adds up to what is there.
    fn compare_movements(&self, rows: &dyn View, key: &ShelfKey) -> Kept {
        let (mut lines, mut sum) = (0, 0);
        scan(rows, Table::MOVEMENTS, Movement::prefix(&key.0, &key.1), |_, value| {
            let movement = decode::<Movement>(Table::MOVEMENTS, value).map_err(unreadable)?;
            lines += 1;
            sum += movement.change;
            same("a movement says what was there afterwards", &sum, &movement.on_hand_after)
        })?;
        let shelf = self.shop.shelf(key);
        same("on_hand is the sum of movements", &shelf.on_hand, &sum)?;
        same("every movement is in the ledger once", &shelf.movements, &lines)
    }

    fn compare_reservations(&self, rows: &dyn View) -> Kept {
        for (id, hold) in &self.shop.reservations {
            let found = row::<Reservation>(rows, &self.site, *id).map_err(unreadable)?;
            let expected = Reservation {
                status: hold.status,
                owner: hold.owner.clone(),
                lines: hold.told_lines(),
                created_at: hold.created_at,
                expires_at: hold.expires_at,
                ended_at: hold.ended_at,
            };
            same(&format!("reservation {id} is as it was told"), &Some(expected), &found)?;
        }
        let mut due: BTreeMap<ReservationId, SiteTime> = BTreeMap::new();
        scan(rows, Table::DUE, kontor_core::record::Key::new(), |key, _| {
            let mut parts = kontor_core::record::KeyParts(key);
            if let (Some(at), Some(id)) = (parts.number(), parts.fixed()) {
                due.insert(ReservationId(id), SiteTime(at));
            }
            Ok(())
        })?;
        let live = self.shop.reservations.iter().filter(|(_, hold)| hold.status == ReservationStatus::Held);
        let live: BTreeMap<_, _> = live.map(|(id, hold)| (*id, hold.expires_at)).collect();
        same("the timer's list is the list of live holds", &live, &due)
    }

    fn compare_catalog(&self, rows: &dyn View) -> Kept {
        for (id, product) in &self.shop.products {
            let found = derived::<Product>(rows, id).map_err(unreadable)?;
            let Some(found) = found else { return Err(broken("a product that was told is there", id, "none")) };
            let variants = found.variants.into_iter().map(|variant| (variant.sku, variant.title, variant.selling));
            let found = (found.title, found.status, found.revision, variants.collect::<Vec<_>>());
            let product = product.clone();
            let expected = (product.title, product.status, product.revision, product.variants);
            same(&format!("product {id} is as it was told"), &expected, &found)?;
        }
        let mut products: Vec<ProductId> = Vec::new();
        scan(rows, Table::CATALOG, kontor_core::record::Key::new(), |key, _| {
            let id = kontor_core::record::KeyParts(key).text().and_then(|id| ProductId::parse(id).ok());
            products.extend(id.filter(|id| id.as_str().starts_with(&self.prefix)));
            Ok(())
        })?;
        same("there are the products that were told", &self.shop.products.keys().cloned().collect(), &products)?;
        for (id, (name, revision)) in &self.shop.locations {
            let found = row::<Location>(rows, &self.site, id).map_err(unreadable)?;
            let found = found.map(|location| (location.name, location.revision));
            same(&format!("location {id} is as it was told"), &Some((name.clone(), *revision)), &found)?;
        }
        Ok(())
    }

    /// The newest acknowledged position, for the trace.
    pub(crate) fn acknowledged(&self) -> Position {
        Position { term: 1, seq: self.acknowledged as u64, index: 0 }
    }
}

/// Every row whose key begins with `prefix`, by what follows the prefix.
fn scan(
    rows: &dyn View,
    table: Table,
    prefix: kontor_core::record::Key,
    mut each: impl FnMut(&[u8], &[u8]) -> Kept,
) -> Kept {
    let end = prefix.end();
    let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
    let mut result = Ok(());
    let scanned = rows.scan(table, range, &mut |key, value| {
        result = each(&key[prefix.as_bytes().len()..], value);
        result.is_ok()
    });
    scanned.map_err(unreadable)?;
    result
}

fn unreadable(error: ViewError) -> Violation {
    broken("rows can be read", "rows", error)
}
