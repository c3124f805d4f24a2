//! A shop in plain maps: what a site's state must be, worked out from what was asked and
//! acknowledged, and from nothing that the site computed.
//!
//! Sums are taken by looking at every hold, a hold past its deadline counts as free the moment it
//! passes, and nothing is cached. Slow and obvious on purpose.

use std::collections::{BTreeMap, BTreeSet};

use kontor_core::command::{Command, Line};
use kontor_core::id::{LocationId, OfferId, Owner, Position, ProductId, ReservationId, SiteId, Sku};
use kontor_core::movement::MovementKind;
use kontor_core::offer::{Answered, Asked};
use kontor_core::product::{Policy, Selling, Status};
use kontor_core::reservation::ReservationStatus;
use kontor_core::text::{Reference, Title};
use kontor_core::time::SiteTime;

use super::objections::signed;

/// An item at a location.
pub(crate) type ShelfKey = (Sku, LocationId);

/// The whole shop.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    pub(crate) products: BTreeMap<ProductId, ShopProduct>,
    pub(crate) items: BTreeMap<Sku, ProductId>,
    pub(crate) locations: BTreeMap<LocationId, (Title, u64)>,
    pub(crate) shelves: BTreeMap<ShelfKey, Shelf>,
    pub(crate) reservations: BTreeMap<ReservationId, Hold>,
    /// Reservations that hold or have promised something of a shelf.
    pub(crate) claims: BTreeMap<ShelfKey, BTreeSet<ReservationId>>,
    pub(crate) references: BTreeMap<(MovementKind, Reference), Position>,
    pub(crate) keys: BTreeSet<Box<str>>,
    /// The journal day that has started.
    pub(crate) day: u64,
    /// Units of shelves that were given to other sites, declined, and asked of them.
    pub(crate) dealings: BTreeMap<ShelfKey, Dealings>,
    /// Units that this site has asked to be brought, and what it has said of that last.
    pub(crate) transfers: BTreeMap<OfferId, Asked>,
    /// What it has answered last to those who asked it for units.
    pub(crate) answers: BTreeMap<(OfferId, SiteId), Answered>,
    /// What was read of other sites.
    pub(crate) others: BTreeMap<SiteId, Other>,
}

/// What a site has dealt out and asked for, of one shelf, in total.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dealings {
    pub(crate) granted: BTreeMap<SiteId, u64>,
    pub(crate) declined: BTreeMap<SiteId, u64>,
    /// Units, and until when the newest ask is waited for.
    pub(crate) asked: BTreeMap<SiteId, (u64, SiteTime)>,
}

/// Another site, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Other {
    /// The last group that was read.
    pub(crate) seq: u64,
    /// Its products, locations and dealings.
    pub(crate) shop: Shop,
    /// Units that it holds for buyers or has sold, by shelf.
    pub(crate) promised: BTreeMap<ShelfKey, (i64, i64)>,
}

/// A product.
#[derive(Debug, Clone)]
pub(crate) struct ShopProduct {
    pub(crate) title: Title,
    pub(crate) status: Status,
    pub(crate) revision: u64,
    /// In the order in which they were added.
    pub(crate) variants: Vec<(Sku, Option<Title>, Selling)>,
}

/// What is on a shelf, and how it came about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf {
    pub(crate) on_hand: i64,
    pub(crate) unavailable: i64,
    pub(crate) safety_stock: i64,
    /// Lines of the ledger.
    pub(crate) movements: u64,
}

/// A reservation.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) status: ReservationStatus,
    pub(crate) owner: Option<Owner>,
    pub(crate) lines: Vec<HoldLine>,
    pub(crate) created_at: SiteTime,
    pub(crate) expires_at: SiteTime,
    pub(crate) ended_at: Option<SiteTime>,
}

/// Units of one item in a reservation.
#[derive(Debug, Clone)]
pub(crate) struct HoldLine {
    pub(crate) shelf: ShelfKey,
    pub(crate) quantity: i64,
    pub(crate) shipped: i64,
    pub(crate) tracked: bool,
}

impl Shop {
    /// What is on a shelf; nothing, if nothing was ever booked there.
    pub(crate) fn shelf(&self, key: &ShelfKey) -> Shelf {
        self.shelves.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn shelf_mut(&mut self, key: &ShelfKey) -> &mut Shelf {
        self.shelves.entry(key.clone()).or_default()
    }

    /// Units of a shelf in holds whose end has not been booked, whether or not they are due.
    pub(crate) fn held(&self, key: &ShelfKey) -> i64 {
        self.claimed(key, |hold| hold.status == ReservationStatus::Held)
    }

    /// Units of a shelf in holds whose deadline is still to come.
    pub(crate) fn held_live(&self, key: &ShelfKey, now: SiteTime) -> i64 {
        self.claimed(key, |hold| hold.status == ReservationStatus::Held && hold.expires_at > now)
    }

    /// Units of a shelf that are promised to orders and still there.
    pub(crate) fn committed(&self, key: &ShelfKey) -> i64 {
        self.claimed(key, |hold| hold.status == ReservationStatus::Committed)
    }

    fn claimed(&self, key: &ShelfKey, of: impl Fn(&Hold) -> bool) -> i64 {
        let ids = self.claims.get(key).into_iter().flatten();
        let holds = ids.filter_map(|id| self.reservations.get(id)).filter(|hold| of(hold));
        let lines = holds.flat_map(|hold| &hold.lines).filter(|line| line.tracked && line.shelf == *key);
        lines.map(|line| line.quantity - line.shipped).sum()
    }

    /// What may be promised of a shelf, were `held` units of it held.
    pub(crate) fn available(&self, key: &ShelfKey, held: i64) -> i64 {
        let shelf = self.shelf(key);
        shelf.on_hand - held - self.committed(key) - shelf.unavailable - shelf.safety_stock
    }

    /// What may be promised of a shelf to all that want it, here or elsewhere.
    pub(crate) fn available_to_all(&self, key: &ShelfKey) -> i64 {
        let (reserved, sold) = self.promised_elsewhere(key);
        self.available(key, self.held(key)) - reserved - sold
    }

    /// What other sites hold and have sold of a shelf.
    pub(crate) fn promised_elsewhere(&self, key: &ShelfKey) -> (i64, i64) {
        let promised = self.others.values().filter_map(|other| other.promised.get(key));
        promised.fold((0, 0), |(reserved, sold), (more, most)| (reserved + more, sold + most))
    }

    /// What this site may promise of a shelf, its own or another's: its share, as far as it knows of it.
    pub(crate) fn sellable(&self, site: &SiteId, key: &ShelfKey, held: i64) -> i64 {
        let units = |of: &BTreeMap<SiteId, u64>| of.values().sum::<u64>();
        let given = self.dealings.get(key).map_or(0, |dealings| units(&dealings.granted));
        let dealings = self.others.values().filter_map(|other| other.shop.dealings.get(key));
        let taken: u64 = dealings.filter_map(|dealings| dealings.granted.get(site)).sum();
        self.available(key, held) + signed(taken) - signed(given)
    }

    /// Units that `asker`, as it was read, has asked of this site, and this one of it.
    pub(crate) fn asked_by(&self, asker: &SiteId, site: &SiteId, key: &ShelfKey) -> u64 {
        let dealings = self.others.get(asker).and_then(|other| other.shop.dealings.get(key));
        dealings.and_then(|dealings| dealings.asked.get(site)).map_or(0, |(units, _)| *units)
    }

    /// Units that `donor`, as it was read, has given to this site or declined.
    pub(crate) fn answered_by(&self, donor: &SiteId, site: &SiteId, key: &ShelfKey) -> u64 {
        let dealings = self.others.get(donor).and_then(|other| other.shop.dealings.get(key));
        let units = |of: &BTreeMap<SiteId, u64>| of.get(site).copied().unwrap_or(0);
        dealings.map_or(0, |dealings| units(&dealings.granted) + units(&dealings.declined))
    }

    /// The home of a location of another site, if it was read.
    pub(crate) fn home_elsewhere(&self, location: &LocationId) -> Option<&SiteId> {
        self.others.iter().find(|(_, other)| other.shop.locations.contains_key(location)).map(|(site, _)| site)
    }

    /// The product behind a SKU, here or, as it was read, elsewhere.
    pub(crate) fn product_of(&self, sku: &Sku) -> Option<(&ProductId, &ShopProduct)> {
        let own = |shop: &'_ Self| shop.items.get(sku).cloned();
        let shops = [self].into_iter().chain(self.others.values().map(|other| &other.shop));
        shops.filter_map(|shop| shop.products.get_key_value(&own(shop)?)).next()
    }

    /// How an item is sold, if there is such an item.
    pub(crate) fn selling(&self, sku: &Sku) -> Option<Selling> {
        let (_, product) = self.product_of(sku)?;
        product.variants.iter().find(|(of, ..)| of == sku).map(|(_, _, selling)| *selling)
    }

    /// Books the end of a hold, or forgets the claims of one that is handed out.
    pub(crate) fn unclaim(&mut self, id: ReservationId) {
        let Some(hold) = self.reservations.get(&id) else { return };
        for line in &hold.lines {
            let left = match hold.status {
                ReservationStatus::Held => true,
                ReservationStatus::Committed => line.quantity > line.shipped,
                ReservationStatus::Released | ReservationStatus::Expired => false,
            };
            if !left && let Some(ids) = self.claims.get_mut(&line.shelf) {
                ids.remove(&id);
            }
        }
    }
}

/// The demand of each item, in the order of its first line.
pub(crate) fn summed(lines: &[Line]) -> Vec<(ShelfKey, u64)> {
    let mut sums: Vec<(ShelfKey, u64)> = Vec::new();
    for line in lines {
        let key = (line.sku.clone(), line.location.clone());
        match sums.iter_mut().find(|(of, _)| *of == key) {
            Some((_, sum)) => *sum += line.quantity.units(),
            None => sums.push((key, line.quantity.units())),
        }
    }
    sums
}

/// Whether a sale under this policy is refused for want of units.
pub(crate) fn refuses(policy: Policy) -> bool {
    match policy {
        Policy::None | Policy::NoneUntilReceived | Policy::TrackOnly => false,
        Policy::ReserveOnOrder | Policy::ReserveOnCart => true,
    }
}

/// The shelves that a command names itself.
pub(crate) fn shelves_of(command: &Command) -> Vec<ShelfKey> {
    match command {
        Command::Receive { lines, .. } | Command::Issue { lines, .. } | Command::Reserve { lines, .. } => {
            summed(lines).into_iter().map(|(key, _)| key).collect()
        }
        Command::WriteOff { line, .. } => vec![(line.sku.clone(), line.location.clone())],
        Command::Count { sku, location, .. } | Command::Adjust { sku, location, .. } => {
            vec![(sku.clone(), location.clone())]
        }
        _ => Vec::new(),
    }
}
