//! A shop on rows in memory, and the one place where tests touch decide and fold.

// Each test file uses a part of it.
#![allow(dead_code)]

pub(crate) mod catalog;
pub(crate) mod ledger;
pub(crate) mod orders;
pub(crate) mod sites;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kontor_core::command::{Command, Context, Idempotency, Request};
use kontor_core::decide::{Decision, decide};
use kontor_core::event::{Entry, Event};
use kontor_core::fold::fold;
use kontor_core::group::{self, Digest, Group, GroupBody, GroupHeader};
use kontor_core::id::{Actor, LocationId, RequestId, ReservationId, SiteId, Sku};
use kontor_core::location::Location;
use kontor_core::movement::Movement;
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::product::{Item, Product};
use kontor_core::record::{Derived, Primary, Table, decode};
use kontor_core::refusal::{Refusal, Stop};
use kontor_core::reservation::{Promise, Reservation, ReservationStatus};
use kontor_core::stock::{Level, StockRow};
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError, derived, rows_of_sites};

/// The first day of every story: 2024-10-04.
pub(crate) const DAY_ONE: u64 = 20_000;
pub(crate) const DAY_MS: u64 = 86_400_000;

/// Rows in memory: ordered maps, and nothing clever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) rows: BTreeMap<(Table, Bytes), Bytes>,
    sites: Vec<SiteId>,
}

impl Tables {
    pub(crate) fn new(sites: &[&str]) -> Self {
        let sites: BTreeSet<SiteId> = sites.iter().map(|name| site(name)).collect();
        Self { rows: BTreeMap::new(), sites: sites.into_iter().collect() }
    }

    pub(crate) fn write(&mut self, changes: &Changes) {
        let emptied: BTreeSet<Table> = changes.emptied().collect();
        self.rows.retain(|(table, _), _| !emptied.contains(table));
        for (table, key, value) in changes.rows() {
            match value {
                Some(value) => drop(self.rows.insert((table, key.clone()), value.clone())),
                None => drop(self.rows.remove(&(table, key.clone()))),
            }
        }
    }

    pub(crate) fn fold(&mut self, groups: &[Group]) -> Result<(), ViewError> {
        let mut overlay = Overlay::new(self);
        groups.iter().try_for_each(|group| fold(&mut overlay, group))?;
        let changes = overlay.into_changes();
        self.write(&changes);
        Ok(())
    }

    /// Over every table's name, key and value.
    pub(crate) fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        for ((table, key), value) in &self.rows {
            for part in [table.name().as_bytes(), key.as_ref(), value.as_ref()] {
                bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
                bytes.extend_from_slice(part);
            }
        }
        Digest::of(&bytes)
    }

    pub(crate) fn of(&self, table: Table) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.rows.iter().filter(move |((of, _), _)| *of == table).map(|((_, key), value)| (key, value))
    }

    pub(crate) fn all<R: Primary>(&self) -> Vec<(Bytes, R)> {
        let rows = self.of(R::TABLE);
        rows.map(|(key, value)| (key.clone(), decode(R::TABLE, value).expect("a row can be read"))).collect()
    }

    pub(crate) fn level(&self, sku: &str, location: &str, here: &SiteId) -> Level {
        let (sku, location) = (self::sku(sku), place(location));
        let homes = rows_of_sites::<Location>(self, &location).expect("rows");
        let home = homes.first().map_or(here, |(home, _)| home);
        Level::of(&rows_of_sites::<StockRow>(self, (&sku, &location)).expect("rows"), home, here)
    }

    pub(crate) fn item(&self, sku: &str) -> Option<Item> {
        derived::<Item>(self, &self::sku(sku)).expect("rows")
    }

    pub(crate) fn product(&self, id: &str) -> Option<Product> {
        let key = Product::key(&kontor_core::id::ProductId::parse(id).expect("an id")).into_bytes();
        let value = self.get(Product::TABLE, &key).expect("rows");
        value.map(|value| decode(Product::TABLE, &value).expect("a row can be read"))
    }
}

impl View for Tables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        Ok(self.rows.get(&(table, Bytes::copy_from_slice(key))).cloned())
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError> {
        let from = (table, Bytes::copy_from_slice(range.from));
        let before = (table, Bytes::copy_from_slice(range.before));
        if from < before {
            self.rows.range(from..before).all(|((_, key), value)| each(key, value));
        }
        Ok(())
    }

    fn sites(&self) -> &[SiteId] {
        &self.sites
    }
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done(Vec<Event>),
    Again(Vec<Event>),
    No(Refusal),
    /// Decided, and not foldable: nothing happened.
    Failed(String),
}

/// A site that gives every request its own group.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) site: SiteId,
    pub(crate) tables: Tables,
    pub(crate) now: SiteTime,
    /// Encoded groups, in order.
    pub(crate) journal: Vec<Vec<u8>>,
    /// Site time of the last group read of each other site.
    pub(crate) heard: Vec<(SiteId, SiteTime)>,
}

impl Shop {
    /// A site among others whose journals its tables may fold.
    pub(crate) fn among(name: &str, sites: &[&str]) -> Self {
        let now = SiteTime(DAY_ONE * DAY_MS);
        Self { site: site(name), tables: Tables::new(sites), now, journal: Vec::new(), heard: Vec::new() }
    }

    /// The only site there is.
    pub(crate) fn new() -> Self {
        Self::among("main", &["main"])
    }

    pub(crate) fn decide(&self, command: Command, idempotency: Option<Idempotency>) -> Result<Decision, Stop> {
        let mut fresh_id = [0; 16];
        fresh_id[8..].copy_from_slice(&(self.journal.len() as u64).to_be_bytes());
        let (actor, request_id) = (Actor::parse("key:till").expect("an actor"), request_id("r-1"));
        let request = Request { command, actor, request_id, idempotency, fresh_id };
        let context =
            Context { now: self.now, site: &self.site, fresh_id, earliest_due: SiteTime(0), heard: &self.heard };
        decide(&self.tables, &request, context)
    }

    pub(crate) fn ask(&mut self, command: Command, idempotency: Option<Idempotency>) -> Answer {
        let events = match self.decide(command, idempotency) {
            Ok(Decision::Events(events)) => events,
            Ok(Decision::Repeat(before)) => return Answer::Again(before.events),
            Err(Stop::Refused(refusal)) => return Answer::No(refusal),
            Err(Stop::Failed(error)) => return Answer::Failed(error.to_string()),
        };
        if events.is_empty() {
            return Answer::Done(events);
        }
        let (actor, request_id) = (Actor::parse("key:till").expect("an actor"), request_id("r-1"));
        match self.append(vec![Entry { actor, request_id, idempotency, events: events.clone() }]) {
            Ok(()) => Answer::Done(events),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    /// What must be done for the story to go on.
    pub(crate) fn must(&mut self, command: Command) -> Vec<Event> {
        match self.ask(command.clone(), None) {
            Answer::Done(events) => events,
            other => panic!("{command:?} was answered {other:?}"),
        }
    }

    /// Appends a group and folds it from its bytes.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Result<(), ViewError> {
        let previous = self.journal.last().map(|bytes| group::digest(bytes)).unwrap_or_default();
        let seq = self.journal.len() as u64 + 1;
        let (site, time) = (self.site.clone(), self.now);
        let header = GroupHeader { site, term: 1, seq, epoch: 1, writer: 7, time, previous, seen: vec![] };
        let bytes = encode(&Group { header, entries });
        self.tables.fold(&[group::decode(&bytes).expect("what was written can be read")])?;
        self.journal.push(bytes);
        Ok(())
    }

    /// What the site's list of due holds would give the timer.
    pub(crate) fn due(&self) -> Vec<ReservationId> {
        let holds = self.reservations().into_iter();
        holds
            .filter(|(_, hold)| hold.status == ReservationStatus::Held && hold.expires_at <= self.now)
            .map(|(id, _)| id)
            .collect()
    }

    pub(crate) fn reservations(&self) -> BTreeMap<ReservationId, Reservation> {
        let all = self.tables.all::<Reservation>().into_iter();
        let own = all.filter(|(key, _)| &key[16..] == self.site.as_str().as_bytes());
        own.map(|(key, row)| (ReservationId(key[..16].try_into().expect("16 bytes")), row)).collect()
    }

    /// Everything that must be true of one site's rows at any time.
    pub(crate) fn audit(&self) {
        let mut reserved: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut committed = reserved.clone();
        for (key, promise) in self.tables.all::<Promise>() {
            let (item, rest) = split_item(&key);
            let (due, ..) = Promise::parts(rest).expect("a promise's key");
            let sum = if due == SiteTime::NEVER { &mut committed } else { &mut reserved };
            *sum.entry(item).or_default() += promise.quantity;
        }
        let mut moved: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        let mut last = moved.clone();
        for (key, movement) in self.tables.all::<Movement>() {
            let (item, _) = split_item(&key);
            *moved.entry(item.clone()).or_default() += movement.change;
            last.insert(item, movement.on_hand_after);
        }
        let mut held: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut left = held.clone();
        let mut due = BTreeSet::new();
        for (id, reservation) in self.reservations() {
            if reservation.status == ReservationStatus::Held {
                due.insert((reservation.expires_at.0, id));
            }
            for line in reservation.lines.iter().filter(|line| line.tracked) {
                let item = StockRow::key((&line.sku, &line.location)).into_bytes();
                match reservation.status {
                    ReservationStatus::Held => *held.entry(item).or_default() += line.quantity,
                    ReservationStatus::Committed if line.shipped < line.quantity => {
                        *left.entry(item).or_default() += line.quantity - line.shipped;
                    }
                    _ => {}
                }
            }
        }
        let rows: BTreeSet<(u64, ReservationId)> = self
            .tables
            .of(Table::DUE)
            .map(|(key, _)| {
                let at = u64::from_be_bytes(key[..8].try_into().expect("8 bytes"));
                (at, ReservationId(key[8..24].try_into().expect("16 bytes")))
            })
            .collect();
        assert_eq!(rows, due, "each live hold is due once, and no other");
        assert_eq!(reserved, held, "promises with a deadline are the live holds");
        assert_eq!(committed, left, "promises without one are what is left of the committed");
        for (key, row) in self.tables.all::<StockRow>() {
            let (item, _) = split_item(&key);
            let sum = |of: &BTreeMap<Vec<u8>, u64>| of.get(&item).copied().unwrap_or(0);
            let level = Level::of(&[(self.site.clone(), row.clone())], &self.site, &self.site);
            assert_eq!(level.on_hand, moved.get(&item).copied().unwrap_or(0), "on_hand is the sum of its movements");
            assert_eq!(level.on_hand, last.get(&item).copied().unwrap_or(0), "the last movement says what is there");
            assert_eq!(row.reserved, sum(&reserved), "reserved is the sum of the holds");
            assert_eq!(
                level.committed,
                i64::try_from(sum(&committed)).expect("small"),
                "committed is what is promised"
            );
            assert_eq!(level.available, level.sellable_here, "one site may sell all there is");
        }
    }
}

/// Writes a group as a site does.
pub(crate) fn encode(group: &Group) -> Vec<u8> {
    let mut body = GroupBody::default();
    for mut entry in group.entries.clone() {
        body.push(&mut entry);
    }
    group::encode(&group.header, &body)
}

/// The group as another site reads it.
pub(crate) fn shared(bytes: &[u8]) -> Group {
    let cut = group::shared(bytes).expect("a group");
    assert_eq!(group::digest(cut), group::digest(bytes), "it is known by the same digest");
    group::decode(cut).expect("a group")
}

/// The SKU and location that a key begins with, and the rest.
pub(crate) fn split_item(key: &[u8]) -> (Vec<u8>, &[u8]) {
    let ends: Vec<usize> = key.iter().enumerate().filter(|(_, b)| **b == 0).map(|(at, _)| at).take(2).collect();
    let (item, rest) = key.split_at(ends[1] + 1);
    (item.to_vec(), rest)
}

pub(crate) fn site(name: &str) -> SiteId {
    SiteId::parse(name).expect("a site")
}

pub(crate) fn sku(name: &str) -> Sku {
    Sku::parse(name).expect("a sku")
}

pub(crate) fn place(name: &str) -> LocationId {
    LocationId::parse(name).expect("a location")
}

pub(crate) fn request_id(name: &str) -> RequestId {
    RequestId::parse(name).expect("a request id")
}

/// What whoever runs the tests has asked of them.
#[expect(clippy::disallowed_methods, reason = "tests are told how much to try")]
pub(crate) fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Cases of a law: few while one works, many to prove it.
pub(crate) fn cases(few: u32) -> proptest::test_runner::Config {
    let cases = if told("KONTOR_PROVE").is_some() { few * 20 } else { few };
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
