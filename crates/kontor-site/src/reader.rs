//! Typed reads of rows at one moment. What HTTP, pages, checks and the command line read by.

mod catalog;
mod orders;
mod payments;
mod people;

pub use catalog::{JobLines, RevisionAt};
pub use orders::{CartNow, LineNow, OrderNow, OrderPlace, Orders, TimelineAt};

use std::collections::BTreeMap;

use bytes::Bytes;
use kontor_core::access::AccessKey;
use kontor_core::id::{LocationId, OfferId, Position, ProductId, ReservationId, SiteId, Sku};
use kontor_core::location::Location;
use kontor_core::movement::Movement;
use kontor_core::offer::Offer;
use kontor_core::product::{Item, Product};
use kontor_core::record::{Key, KeyParts, Table, decode};
use kontor_core::reservation::{Promise, Reservation};
use kontor_core::site::{SiteKind, SiteRow};
use kontor_core::stock::{Level, StockRow};
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError, derived, row, rows_of_sites};

use crate::folded::Folded;
use crate::limits::PAGE_MAX;
use crate::rows::SnapshotRows;

/// Rows at one moment.
#[derive(Clone)]
pub struct Reader {
    rows: SnapshotRows,
    here: SiteId,
    now: SiteTime,
}

/// All that is known of one SKU's stock.
#[derive(Debug, Clone)]
pub struct StockOfSku {
    /// The SKU.
    pub sku: Sku,
    /// What it belongs to and how it is sold.
    pub item: Item,
    /// What shoppers read: the product's title.
    pub title: String,
    /// Its levels by location, in the order of their ids.
    pub levels: Vec<LocationLevel>,
}

/// What is at one location.
#[derive(Debug, Clone)]
pub struct LocationLevel {
    /// Where.
    pub location: LocationId,
    /// Whose books count there.
    pub home: SiteId,
    /// The level as this site sees it.
    pub level: Level,
    /// The rows of all sites that it was computed from.
    pub rows: Vec<(SiteId, StockRow)>,
}

/// A hold or a promise on an item.
#[derive(Debug, Clone)]
pub struct HeldUnits {
    /// The reservation.
    pub id: ReservationId,
    /// When the hold ends; [`SiteTime::NEVER`] if it is committed.
    pub due: SiteTime,
    /// Units of the item.
    pub quantity: u64,
}

/// One line of the ledger with its names.
#[derive(Debug, Clone)]
pub struct LedgerLine {
    /// Where it stands; the cursor of older lines.
    pub place: LedgerPlace,
    /// Where it happened.
    pub location: LocationId,
    /// What happened.
    pub movement: Movement,
}

/// The place of a ledger line among those of its SKU: newer lines are greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerPlace {
    /// When it was booked.
    pub recorded_at: SiteTime,
    /// By which entry.
    pub position: Position,
    /// Which line of the entry.
    pub line: u32,
    /// By which site.
    pub site: SiteId,
}

impl Reader {
    pub(crate) fn new(rows: SnapshotRows, here: SiteId, now: SiteTime) -> Self {
        Self { rows, here, now }
    }

    /// The rows themselves.
    pub fn rows(&self) -> &dyn View {
        &self.rows
    }

    /// The newest group that is folded into these rows.
    pub fn position(&self) -> Result<Position, ViewError> {
        let folded = self.rows.get(Table::FOLDED, self.here.as_str().as_bytes())?;
        let folded = folded.map(|bytes| Folded::decode(&bytes)).transpose()?;
        Ok(folded.unwrap_or_else(Folded::start).position())
    }

    /// One product.
    pub fn product(&self, id: &ProductId) -> Result<Option<Product>, ViewError> {
        derived(&self.rows, id)
    }

    /// Products by id, after one of them.
    pub fn products(&self, after: Option<&ProductId>, limit: usize) -> Result<Vec<(ProductId, Product)>, ViewError> {
        let after = after.map(|id| Key::new().text(id.as_str()).after());
        self.page(Table::CATALOG, after, limit, |key, value| {
            let id = KeyParts(key).text().and_then(|id| ProductId::parse(id).ok());
            id.map(|id| Ok((id, decode(Table::CATALOG, value)?)))
        })
    }

    /// What a SKU belongs to.
    pub fn item(&self, sku: &Sku) -> Result<Option<Item>, ViewError> {
        derived(&self.rows, sku)
    }

    /// SKUs in their order, after one of them.
    pub fn items(&self, after: Option<&Sku>, limit: usize) -> Result<Vec<(Sku, Item)>, ViewError> {
        let after = after.map(|sku| Key::new().text(sku.as_str()).after());
        self.page(Table::ITEMS, after, limit, |key, value| {
            let sku = KeyParts(key).text().and_then(|sku| Sku::parse(sku).ok());
            sku.map(|sku| Ok((sku, decode(Table::ITEMS, value)?)))
        })
    }

    /// One location, with its home site. Where several sites have opened it, it is this one's, as for whoever
    /// decides.
    pub fn location(&self, id: &LocationId) -> Result<Option<(SiteId, Location)>, ViewError> {
        let homes = rows_of_sites::<Location>(&self.rows, id)?;
        let own = homes.iter().position(|(site, _)| *site == self.here);
        Ok(homes.into_iter().nth(own.unwrap_or(0)))
    }

    /// Locations by id, after one of them.
    pub fn locations(
        &self,
        after: Option<&LocationId>,
        limit: usize,
    ) -> Result<Vec<(LocationId, Location)>, ViewError> {
        let after = after.map(|id| Key::new().text(id.as_str()).end());
        self.page(Table::LOCATIONS, after, limit, |key, value| {
            let id = KeyParts(key).text().and_then(|id| LocationId::parse(id).ok());
            id.map(|id| Ok((id, decode(Table::LOCATIONS, value)?)))
        })
    }

    /// One reservation of this site.
    pub fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, ViewError> {
        row(&self.rows, &self.here, id)
    }

    /// The site that a reservation is of, if it is not this one and its journal is read here.
    pub fn reservation_elsewhere(&self, id: ReservationId) -> Result<Option<SiteId>, ViewError> {
        let found = rows_of_sites::<Reservation>(&self.rows, id)?;
        Ok(found.into_iter().map(|(site, _)| site).find(|site| *site != self.here))
    }

    /// Live holds by deadline, after one of them.
    pub fn holds(
        &self,
        after: Option<(SiteTime, ReservationId)>,
        limit: usize,
    ) -> Result<Vec<(ReservationId, Reservation)>, ViewError> {
        let after = after.map(|(at, id)| Key::new().number(at.0).fixed(&id.0).end());
        let due = self.page(Table::DUE, after, limit, |key, _| {
            let mut parts = KeyParts(key);
            parts.number()?;
            Some(Ok(ReservationId(parts.fixed()?)))
        })?;
        let mut found = Vec::with_capacity(due.len());
        for id in due {
            found.extend(self.reservation(id)?.map(|reservation| (id, reservation)));
        }
        Ok(found)
    }

    /// Transfers by id, after one of them.
    pub fn transfers(&self, after: Option<&(OfferId, SiteId)>, limit: usize) -> Result<Vec<Offer>, ViewError> {
        let from = after.map(|(id, asker)| Key::new().fixed(&id.0).text(asker.as_str()).end());
        let before = Key::new().fixed(&[u8::MAX; 64]);
        Offer::list(&self.rows, &from.unwrap_or_default(), &before, limit.min(PAGE_MAX))
    }

    /// Transfers with one id: each asker makes its own.
    pub fn transfers_with(&self, id: OfferId) -> Result<Vec<Offer>, ViewError> {
        Offer::with_id(&self.rows, id)
    }

    /// All that is known of one SKU's stock; `None` if no product has the SKU.
    pub fn stock(&self, sku: &Sku) -> Result<Option<StockOfSku>, ViewError> {
        self.stock_with(sku, |reader| reader.levels(sku))
    }

    fn stock_with(
        &self,
        sku: &Sku,
        levels: impl Fn(&Self) -> Result<Vec<LocationLevel>, ViewError>,
    ) -> Result<Option<StockOfSku>, ViewError> {
        let Some(item) = self.item(sku)? else { return Ok(None) };
        let title = self.product(&item.product)?.map(|product| product.title.to_string()).unwrap_or_default();
        let levels = levels(self)?;
        Ok(Some(StockOfSku { sku: sku.clone(), item, title, levels }))
    }

    /// Stock by SKU, after one of them; at one location, if it is named, and then of SKUs without any there, too.
    pub fn stocks(
        &self,
        after: Option<&Sku>,
        location: Option<&LocationId>,
        limit: usize,
    ) -> Result<Vec<StockOfSku>, ViewError> {
        let after = after.map(|sku| Key::new().text(sku.as_str()).after());
        let skus = self.page(Table::ITEMS, after, limit, |key, _| {
            KeyParts(key).text().and_then(|sku| Sku::parse(sku).ok()).map(Ok)
        })?;
        let mut found = Vec::with_capacity(skus.len());
        for sku in skus {
            found.extend(match location {
                Some(location) => {
                    self.stock_with(&sku, |reader| Ok(reader.level(&sku, location)?.into_iter().collect()))?
                }
                None => self.stock(&sku)?,
            });
        }
        Ok(found)
    }

    /// Holds and promises on one item, soonest due first, after one of them.
    pub fn held_units(
        &self,
        sku: &Sku,
        location: &LocationId,
        after: Option<(SiteTime, ReservationId)>,
        limit: usize,
    ) -> Result<Vec<HeldUnits>, ViewError> {
        let item = Promise::prefix(sku, location);
        let from = match after {
            Some((due, id)) => item.clone().number(due.0).fixed(&id.0).end(),
            None => item.clone(),
        };
        let before = item.end();
        let range = KeyRange { from: from.as_bytes(), before: before.as_bytes() };
        self.collect(Table::PROMISES, range, limit, |key, value| {
            let (due, id, _) = Promise::parts(&key[item.as_bytes().len()..])?;
            Some(decode::<Promise>(Table::PROMISES, value).map(|Promise { quantity }| HeldUnits { id, due, quantity }))
        })
    }

    /// Reservations that the stock of an item no longer covers: live holds first, the newest
    /// promises of all first, until the shortage is named.
    pub fn at_risk(&self, sku: &Sku, location: &LocationId, shortage: i64) -> Result<Vec<ReservationId>, ViewError> {
        let item = Promise::prefix(sku, location);
        let committed = item.clone().number(SiteTime::NEVER.0);
        let (mut missing, mut found) = (shortage, Vec::new());
        let end = item.end();
        let held = KeyRange { from: item.as_bytes(), before: committed.as_bytes() };
        let promised = KeyRange { from: committed.as_bytes(), before: end.as_bytes() };
        for range in [held, promised] {
            self.rows.scan_back(Table::PROMISES, range, |key, value| {
                let promise = decode::<Promise>(Table::PROMISES, value);
                if let (Some((_, id, _)), Ok(promise)) = (Promise::parts(&key[item.as_bytes().len()..]), promise) {
                    missing -= i64::try_from(promise.quantity).unwrap_or(i64::MAX);
                    found.push(id);
                }
                missing > 0 && found.len() < kontor_core::limits::AT_RISK_MAX
            })?;
            if missing <= 0 || found.len() >= kontor_core::limits::AT_RISK_MAX {
                break;
            }
        }
        Ok(found)
    }

    /// The ledger of one SKU, newest first, at one location or at all, before one of its lines.
    pub fn movements(
        &self,
        sku: &Sku,
        location: Option<&LocationId>,
        before: Option<&LedgerPlace>,
        limit: usize,
    ) -> Result<Vec<LedgerLine>, ViewError> {
        let limit = limit.min(PAGE_MAX);
        let locations = match location {
            Some(location) => vec![location.clone()],
            None => self.levels(sku)?.into_iter().map(|level| level.location).collect(),
        };
        let mut lines = Vec::new();
        for location in locations {
            let item = Movement::prefix(sku, &location);
            let end = match before {
                Some(place) => {
                    let Position { term, seq, index } = place.position;
                    let key = item.clone().number(place.recorded_at.0).fixed(&term.to_be_bytes()).number(seq);
                    let key = key.fixed(&index.to_be_bytes()).fixed(&place.line.to_be_bytes());
                    key.fixed(place.site.as_str().as_bytes())
                }
                None => item.end(),
            };
            let (mut found, mut failed) = (0, None);
            let range = KeyRange { from: item.as_bytes(), before: end.as_bytes() };
            self.rows.scan_back(Table::MOVEMENTS, range, |key, value| {
                let parts = Movement::parts(&key[item.as_bytes().len()..]);
                match (parts, decode(Table::MOVEMENTS, value)) {
                    (Some((recorded_at, position, line, site)), Ok(movement)) => {
                        let place = LedgerPlace { recorded_at, position, line, site };
                        lines.push(LedgerLine { place, location: location.clone(), movement });
                        found += 1;
                    }
                    (_, Err(error)) => failed = Some(error),
                    (None, _) => failed = Some(ViewError { table: "movements", why: "a key is damaged".into() }),
                }
                failed.is_none() && found < limit
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        lines.sort_by(|a, b| b.place.cmp(&a.place));
        lines.truncate(limit);
        Ok(lines)
    }

    /// What kind of site this is, by what it has said itself.
    pub fn kind(&self) -> Result<SiteKind, ViewError> {
        Ok(row::<SiteRow>(&self.rows, &self.here, ())?.map_or(SiteKind::Region, |row| row.kind))
    }

    /// One access key, by its public id.
    pub fn key(&self, id: &str) -> Result<Option<AccessKey>, ViewError> {
        row(&self.rows, &self.here, id)
    }

    /// Access keys by id.
    pub fn keys(&self) -> Result<Vec<(String, AccessKey)>, ViewError> {
        self.page(Table::KEYS, None, PAGE_MAX, |key, value| {
            let id = KeyParts(key).text()?.to_owned();
            Some(decode(Table::KEYS, value).map(|key| (id, key)))
        })
    }

    /// Whether nothing has ever been put into this site.
    pub fn is_empty(&self) -> Result<bool, ViewError> {
        Ok(self.products(None, 1)?.is_empty() && self.locations(None, 1)?.is_empty())
    }

    pub(crate) fn levels(&self, sku: &Sku) -> Result<Vec<LocationLevel>, ViewError> {
        self.levels_under(sku, &Key::new().text(sku.as_str()))
    }

    /// The level at one location, if there ever was something.
    pub(crate) fn level(&self, sku: &Sku, location: &LocationId) -> Result<Option<LocationLevel>, ViewError> {
        let levels = self.levels_under(sku, &Key::new().text(sku.as_str()).text(location.as_str()))?;
        Ok(levels.into_iter().next())
    }

    fn levels_under(&self, sku: &Sku, prefix: &Key) -> Result<Vec<LocationLevel>, ViewError> {
        let of_sku = Key::new().text(sku.as_str()).as_bytes().len();
        let end = prefix.end();
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        let rows = self.collect(Table::STOCK, range, usize::MAX, |key, value| {
            let mut parts = KeyParts(&key[of_sku..]);
            let location = LocationId::parse(parts.text()?).ok()?;
            let site = SiteId::parse(parts.rest()?).ok()?;
            Some(decode::<StockRow>(Table::STOCK, value).map(|row| (location, site, row)))
        })?;
        let mut by_location: BTreeMap<LocationId, Vec<(SiteId, StockRow)>> = BTreeMap::new();
        for (location, site, row) in rows {
            by_location.entry(location).or_default().push((site, row));
        }
        let mut levels = Vec::with_capacity(by_location.len());
        for (location, rows) in by_location {
            let home = self.location(&location)?.map_or_else(|| self.here.clone(), |(home, _)| home);
            let level = Level::of(&rows, &home, &self.here);
            levels.push(LocationLevel { location, home, level, rows });
        }
        Ok(levels)
    }

    /// A page of a whole table, from a key on.
    fn page<T>(
        &self,
        table: Table,
        from: Option<Key>,
        limit: usize,
        read: impl FnMut(&[u8], &Bytes) -> Option<Result<T, ViewError>>,
    ) -> Result<Vec<T>, ViewError> {
        let from = from.unwrap_or_default();
        let range = KeyRange { from: from.as_bytes(), before: &[u8::MAX; 9] };
        self.collect(table, range, limit.min(PAGE_MAX), read)
    }

    fn collect<T>(
        &self,
        table: Table,
        range: KeyRange<'_>,
        limit: usize,
        mut read: impl FnMut(&[u8], &Bytes) -> Option<Result<T, ViewError>>,
    ) -> Result<Vec<T>, ViewError> {
        let mut found = Ok(Vec::new());
        if limit == 0 {
            return found;
        }
        self.rows.scan(table, range, &mut |key, value| {
            let next = read(key, value).unwrap_or_else(|| {
                Err(ViewError {
                    table: table.name(),
                    why: format!("a key is damaged: {}", kontor_core::text::hex(key)),
                })
            });
            match (next, &mut found) {
                (Ok(row), Ok(rows)) => rows.push(row),
                (Err(error), _) => found = Err(error),
                (Ok(_), Err(_)) => {}
            }
            found.as_ref().is_ok_and(|rows| rows.len() < limit)
        })?;
        found
    }
}
