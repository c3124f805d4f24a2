//! The sites of one world and the links between them. Most worlds have one site and no link.
//!
//! Each site lives in a [`World`] of its own with its own troubles; what happens next in any of them
//! happens next. They ask each other for groups as their sessions say; in every other such world at any
//! moment, so that what comes late, twice or in between is taken as well.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontor_core::command::Command;
use kontor_core::group;
use kontor_core::id::{LocationId, ProductId, SiteId, Sku};
use kontor_core::limits::{ASK_DEADLINE_MS, ASK_REST_MS, ASK_WAIT_MS, BACK_OFF_MS_MAX};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Selling, Status};
use kontor_core::push::{NextGive, Push};
use kontor_core::record::{KeyParts, Primary as _, TABLE_NAMES, Table, decode};
use kontor_core::relay::{AskOf, NextOf, Relays};
use kontor_core::session::{Mark, Next, Session};
use kontor_core::site::{SiteKind, SiteRow};
use kontor_core::stock::{StockRow, quota};
use kontor_core::text::Title;
use kontor_core::view::{KeyRange, View, ViewError, rows_of_sites};
use kontor_site::rows::WriterRows;
use kontor_storage::journal::JournalReader;

use crate::chance::Chance;
use crate::figures::Figures;
use crate::oracle::{Kept, broken, same};
use crate::plant::Plant;
use crate::trace::Trace;
use crate::weather::Weather;
use crate::world::World;

const NAMES: [&str; 3] = ["main", "west", "store"];

/// Tables whose rows are equal wherever as much has been read. Of `sites` the day is its own business.
const SHARED: [&str; 13] = [
    "products",
    "claims",
    "catalog",
    "items",
    "locations",
    "stock",
    "movements",
    "seen",
    "listings",
    "market_listings",
    "revisions",
    "gtins",
    "index",
];

/// Rounds of reading everything, in the end. An ask, an answer, and asks that have run out: a few.
const ROUNDS_MAX: u64 = 60;

/// Times that every site is given groups of every other until it has all.
const READINGS_MAX: u64 = 10_000;

/// Something on its way between two sites.
#[derive(Debug)]
enum Message {
    /// The reader wants what comes after a group, of the source's own journal or of one that it keeps.
    Wanted { reader: usize, source: usize, of: usize, after: u64 },
    /// The source gives it, and says how far it keeps all others.
    Groups { reader: usize, source: usize, of: usize, groups: Vec<Bytes>, end: u64, kept: Vec<(usize, u64)> },
    /// The store gives its journal, or asks how far it is held.
    Given { groups: Vec<Bytes> },
    /// It is held so far.
    Holds { mark: Mark },
}

/// Where nobody reaches the store: the site that it calls, and through which it and the other one read each other.
const HUB: usize = 0;
const STORE: usize = 2;

/// What is read through the hub, by which site, and what the store gives; each since which start of that site.
#[derive(Default)]
struct Star {
    relays: BTreeMap<usize, (u32, Relays, Option<AskOf>)>,
    push: Option<(u32, Push)>,
}

/// Moments of a session in a second of the world. A world lasts some seconds, a lost question as long: so
/// that both fit together, sessions live faster.
const SESSION_MS_PER_SECOND: u64 = 20_000;

pub(crate) struct Sites {
    names: Vec<SiteId>,
    worlds: Vec<World>,
    chance: Chance,
    trace: Trace,
    figures: Figures,
    on_the_way: BTreeMap<(u64, u64), Message>,
    counter: u64,
    loss: f64,
    latency_us: u64,
    /// That something is asked for after something has happened.
    asking: f64,
    /// That a link is cut when it is used.
    cutting: f64,
    /// Who reads whose journal, and since which start of the reader; none in worlds that ask at any moment.
    sessions: Option<BTreeMap<(usize, usize), (u32, Session)>>,
    /// In some worlds of three that have sessions, the store is linked to one site alone.
    star: Option<Star>,
    jitter: Chance,
    now_us: u64,
    /// Links, by sender and receiver, that carry nothing for so many more messages.
    cut: BTreeMap<(usize, usize), u64>,
}

impl Sites {
    /// The world of a seed. In every second there is more than one site.
    pub(crate) fn new(seed: u64, intentions: u64, plant: Option<Plant>, trace: &Trace) -> Self {
        let mut chance = Chance::of(seed, "links");
        let count = if seed % 2 == 1 { 2 + usize::from(chance.happens(0.5)) } else { 1 };
        let names: Vec<SiteId> =
            NAMES[..count].iter().map(|name| SiteId::parse(*name).expect("a short word is a site")).collect();
        let mut drawn = Chance::of(seed, "world");
        let weather = Weather::draw(&mut drawn);
        let worlds = (0..count).map(|number| {
            // The same weather everywhere, so that nobody is done before others have begun.
            let mut sites = names.clone();
            sites.swap(0, number);
            let own = seed.wrapping_add((number as u64) << 48);
            let chance = if number == 0 { drawn.clone() } else { Chance::of(own, "world") };
            let trace = if count == 1 { trace.clone() } else { trace.named(names[number].as_str()) };
            let plant = plant.filter(|_| number == 0);
            World::new(own, weather.clone(), chance, intentions / count as u64, plant, trace, &sites)
        });
        Self {
            worlds: worlds.collect(),
            trace: trace.clone(),
            figures: Figures::default(),
            on_the_way: BTreeMap::new(),
            counter: 0,
            loss: [0.0, 0.05, 0.3][usize::try_from(chance.within(0..3)).unwrap_or(0)],
            latency_us: weather.latency_us * chance.within(1..20),
            asking: [0.02, 0.2, 0.8][usize::try_from(chance.within(0..3)).unwrap_or(0)],
            cutting: [0.0, 0.01, 0.05][usize::try_from(chance.within(0..3)).unwrap_or(0)],
            cut: BTreeMap::new(),
            sessions: (seed % 4 == 3).then(BTreeMap::new),
            star: (seed % 8 == 7 && count == 3).then(Star::default),
            jitter: Chance::of(seed, "jitter"),
            now_us: 0,
            chance,
            names,
        }
    }

    /// What happened, at all sites together.
    pub(crate) fn figures(&self) -> Figures {
        let mut total = self.figures;
        self.worlds.iter().for_each(|world| total += world.figures);
        total
    }

    /// Lives through the world, and checks what must hold all along and in the end.
    pub(crate) fn run(&mut self) -> Kept {
        self.worlds.iter_mut().for_each(World::begin);
        while self.worlds.iter().any(|world| !world.is_calm()) {
            let next = (0..).zip(&self.worlds).filter_map(|(at, world): (usize, _)| Some((world.next_us()?, at))).min();
            let Some((at_us, at)) = next else { return Err(broken("something happens next", "a site", "nothing")) };
            match self.on_the_way.first_key_value() {
                Some(((arrives_us, _), _)) if *arrives_us <= at_us => self.message_arrives()?,
                _ => {
                    self.worlds[at].live_on()?;
                    self.talk(at_us)?;
                }
            }
        }
        self.worlds.iter_mut().try_for_each(World::wind_up)?;
        self.come_to_rest()?;
        self.check_shares()?;
        self.worlds.iter_mut().try_for_each(World::finish)?;
        self.compare()
    }

    /// After something has happened at some site, somebody may ask somebody, or edit what is common.
    fn talk(&mut self, now_us: u64) -> Kept {
        self.now_us = now_us;
        let count = self.names.len() as u64;
        if count == 1 {
            return Ok(());
        }
        let some = |chance: &mut Chance| usize::try_from(chance.within(0..count)).unwrap_or(0);
        if self.sessions.is_some() {
            for (reader, source) in self.links() {
                if self.is_direct(reader, source) {
                    self.follow(now_us, reader, source)?;
                }
            }
            if self.star.is_some() {
                self.relay(now_us, 1);
                self.relay(now_us, STORE);
                self.give(now_us)?;
            }
        } else if self.chance.happens(self.asking) {
            let (reader, source) = (some(&mut self.chance), some(&mut self.chance));
            if let Some(after) = self.worlds[reader].machine.kept(&self.names[source]) {
                self.figures.polls += 1;
                self.send(now_us, reader, source, || Message::Wanted { reader, source, of: source, after });
            }
        }
        if self.chance.happens(0.02) {
            self.check_shares()?;
        }
        if count == 3 && self.chance.happens(0.002) {
            self.worlds[2].somebody_wants(now_us, Command::DescribeSite { kind: SiteKind::Store })?;
        }
        if self.chance.happens(0.05) {
            self.figures.common_edits += 1;
            let (site, command) = (some(&mut self.chance), self.common_edit());
            self.worlds[site].somebody_wants(now_us, command)?;
        }
        Ok(())
    }

    /// A site that reads another's journal does what its session says.
    fn follow(&mut self, now_us: u64, reader: usize, source: usize) -> Kept {
        let Some(kept) = self.worlds[reader].machine.mark(&self.names[source]) else { return Ok(()) };
        let (now_ms, chance) = (session_ms(now_us), self.jitter.within(0..u64::MAX));
        let Some(session) = self.session(now_ms, reader, source, kept) else { return Ok(()) };
        if let Next::Ask(ask) = session.next(now_ms, chance) {
            same("a session asks for nothing beyond a gap", &true, &(ask.after.place() <= kept.place()))?;
            self.figures.polls += 1;
            let after = ask.after.seq;
            self.send(now_us, reader, source, || Message::Wanted { reader, source, of: source, after });
        }
        Ok(())
    }

    /// Whether a site has a link to another over which it asks for its journal.
    fn is_direct(&self, reader: usize, source: usize) -> bool {
        self.star.is_none() || (source != STORE && (reader, source) != (STORE, 1))
    }

    /// A site asks the hub for what it keeps of others.
    fn relay(&mut self, now_us: u64, reader: usize) {
        let now_ms = session_ms(now_us);
        let machine = &self.worlds[reader].machine;
        let link = self.sessions.as_ref().and_then(|sessions| sessions.get(&(reader, HUB)));
        let (Some(star), Some((_, session)), true) = (&mut self.star, link, machine.running.is_some()) else { return };
        let relays = star.relays.entry(reader).or_default();
        if relays.0 != machine.boot {
            *relays = (machine.boot, Relays::default(), None);
        }
        relays.1.link(&self.names[HUB], session.link());
        let NextOf::Ask(ask) = relays.1.next(now_ms, &self.names[HUB], |of| machine.mark(of)) else { return };
        let (of, after) = (self.names.iter().position(|name| *name == ask.of).unwrap_or(HUB), ask.after.seq);
        relays.2 = Some(ask);
        self.figures.relayed += 1;
        self.send(now_us, reader, HUB, || Message::Wanted { reader, source: HUB, of, after });
    }

    /// The store gives the hub what it has written.
    fn give(&mut self, now_us: u64) -> Kept {
        let (now_ms, chance) = (session_ms(now_us), self.jitter.within(0..u64::MAX));
        let machine = &self.worlds[STORE].machine;
        let (Some(star), Some(end)) = (&mut self.star, machine.end()) else { return Ok(()) };
        let push = star.push.get_or_insert_with(|| (machine.boot, Push::new(now_ms)));
        if push.0 != machine.boot {
            *push = (machine.boot, Push::new(now_ms));
        }
        let NextGive::Give(part) = push.1.next(now_ms, chance) else { return Ok(()) };
        let mut groups = Vec::new();
        if let Some(after) = part.after {
            same("nobody holds more of a store than it has", &true, &(after.seq <= end))?;
            groups = machine.shared_after(after.seq, usize::try_from(chance % 40).unwrap_or(0) + 1);
        }
        self.figures.given += 1;
        self.send(now_us, STORE, HUB, || Message::Given { groups: groups.clone() });
        Ok(())
    }

    /// What a site had asked the hub for has come.
    fn note_relayed(&mut self, now_us: u64, reader: usize, of: usize, end: u64) {
        let machine = &self.worlds[reader].machine;
        let (Some(star), Some(kept)) = (&mut self.star, machine.mark(&self.names[of])) else { return };
        let Some((boot, relays, ask)) = star.relays.get_mut(&reader) else { return };
        if let Some(ask) = ask.as_ref().filter(|ask| *boot == machine.boot && ask.of == self.names[of]) {
            let chance = self.jitter.within(0..u64::MAX);
            relays.answered(session_ms(now_us), &self.names[HUB], ask, (1, end), kept.place(), chance);
        }
    }

    /// The session of a reader that runs: another one after each start.
    fn session(&mut self, now_ms: u64, reader: usize, source: usize, kept: Mark) -> Option<&mut Session> {
        let boot = self.worlds[reader].machine.boot;
        let fresh = || (boot, Session::new(kept, now_ms));
        let session = self.sessions.as_mut()?.entry((reader, source)).or_insert_with(fresh);
        if session.0 != boot {
            *session = fresh();
        }
        Some(&mut session.1)
    }

    /// What a session asked for has come, and was kept as far as it followed.
    fn note_answer(&mut self, now_us: u64, reader: usize, source: usize, end: u64) {
        let Some(kept) = self.worlds[reader].machine.mark(&self.names[source]) else { return };
        let now_ms = session_ms(now_us);
        if let Some(session) = self.session(now_ms, reader, source, kept) {
            session.answered(now_ms, (1, end), kept);
        }
    }

    /// A message sets out: it arrives once, twice or never, perhaps after one that set out later.
    fn send(&mut self, now_us: u64, from: usize, to: usize, message: impl Fn() -> Message) {
        if let Some(left) = self.cut.get_mut(&(from, to)).filter(|left| **left > 0) {
            *left -= 1;
            self.figures.lost += 1;
            return;
        }
        if self.chance.happens(self.cutting) {
            self.figures.links_cut += 1;
            self.cut.insert((from, to), self.chance.within(1..60));
            self.trace.line(now_us, format_args!("the link from {} to {} is cut", self.names[from], self.names[to]));
        }
        let times = match () {
            () if self.chance.happens(self.loss) => 0,
            () if self.chance.happens(0.1) => 2,
            () => 1,
        };
        self.figures.lost += u64::from(times == 0);
        self.figures.duplicated += u64::from(times == 2);
        for _ in 0..times {
            let late = if self.chance.happens(0.05) { 50 } else { 1 };
            let arrives_us = now_us + 1 + self.chance.around(self.latency_us * late);
            self.counter += 1;
            self.on_the_way.insert((arrives_us, self.counter), message());
        }
    }

    fn message_arrives(&mut self) -> Kept {
        let Some(((now_us, _), message)) = self.on_the_way.pop_first() else { return Ok(()) };
        self.now_us = now_us;
        match message {
            Message::Wanted { reader, source, of, after } => {
                let most = usize::try_from(self.chance.within(1..40)).unwrap_or(1);
                let machine = &self.worlds[source].machine;
                let (groups, end) = match of == source {
                    true => (machine.shared_after(after, most), machine.end()),
                    false => (machine.kept_after(&self.names[of], after, most), machine.kept(&self.names[of])),
                };
                let others = (0..self.names.len()).filter(|other| *other != reader && *other != source);
                let kept: Vec<_> =
                    others.filter_map(|other| Some((other, machine.kept(&self.names[other])?))).collect();
                // A site that is down answers nothing.
                let answers = !groups.is_empty() || self.sessions.is_some();
                if let Some(end) = end.filter(|_| answers) {
                    self.send(now_us, source, reader, || {
                        let (groups, kept) = (groups.clone(), kept.clone());
                        Message::Groups { reader, source, of, groups, end, kept }
                    });
                }
                Ok(())
            }
            Message::Groups { reader, source, of, groups, end, kept } => {
                self.figures.brought += groups.len() as u64;
                self.worlds[reader].groups_arrive(now_us, &self.names[of], &groups)?;
                if of != source {
                    self.note_relayed(now_us, reader, of, end);
                    return Ok(());
                }
                self.note_answer(now_us, reader, source, end);
                if let Some((_, relays, _)) = self.star.as_mut().and_then(|star| star.relays.get_mut(&reader)) {
                    relays.told(
                        &self.names[source],
                        kept.into_iter().map(|(of, end)| (self.names[of].clone(), (1, end))),
                    );
                }
                Ok(())
            }
            Message::Given { groups } => {
                self.figures.brought += groups.len() as u64;
                self.worlds[HUB].groups_arrive(now_us, &self.names[STORE], &groups)?;
                // A site that is down answers nothing.
                if let Some(mark) = self.worlds[HUB].machine.mark(&self.names[STORE]) {
                    self.send(now_us, HUB, STORE, || Message::Holds { mark });
                }
                Ok(())
            }
            Message::Holds { mark } => {
                let end = self.worlds[STORE].machine.end();
                let push = self.star.as_mut().and_then(|star| star.push.as_mut());
                if let (Some(end), Some((boot, push))) = (end, push)
                    && *boot == self.worlds[STORE].machine.boot
                {
                    push.answered(session_ms(now_us), (1, end), mark);
                }
                Ok(())
            }
        }
    }

    /// Links are healed: everybody reads everything, and answers what was asked, until nobody has more to say.
    fn come_to_rest(&mut self) -> Kept {
        let written = |sites: &Self| sites.worlds.iter().map(|world| world.machine.disk.end()).sum::<u64>();
        for _ in 0..ROUNDS_MAX {
            self.figures.rounds += 1;
            let before = written(self);
            self.read_all()?;
            self.worlds.iter_mut().try_for_each(World::settle)?;
            if written(self) == before {
                return Ok(());
            }
        }
        Err(broken("when links are healed, all come to rest within bounded rounds", ROUNDS_MAX, written(self)))
    }

    /// Units are somebody's share or on their way, and no more than there are: at every shelf, by the rows of
    /// every site that runs.
    fn check_shares(&self) -> Kept {
        let rows: Vec<&WriterRows> = self.worlds.iter().filter_map(|world| world.machine.rows()).collect();
        if rows.len() < self.names.len() || rows.len() < 2 {
            return Ok(());
        }
        let unreadable = |error: ViewError| broken("rows can be read", "rows", error);
        for (at, home) in self.names.iter().enumerate() {
            let mut shelves = Vec::new();
            let mut each = |key: &[u8], _: &Bytes| {
                let mut parts = KeyParts(key);
                let item = (parts.text().map(Sku::parse), parts.text().map(LocationId::parse));
                if let (Some(Ok(sku)), Some(Ok(location)), Some(site)) = (item.0, item.1, parts.rest())
                    && site == home.as_str()
                    && location.as_str().starts_with(&format!("{home}-"))
                {
                    shelves.push((sku, location));
                }
                true
            };
            let range = KeyRange { from: &[], before: &[u8::MAX; 300] };
            rows[at].scan(StockRow::TABLE, range, &mut each).map_err(unreadable)?;
            for (sku, location) in &shelves {
                let seen = |by: usize| rows_of_sites::<StockRow>(rows[by], (sku, location)).map_err(unreadable);
                let own = |all: &[(SiteId, StockRow)], of: &SiteId| {
                    all.iter().find(|(site, _)| site == of).map(|(_, row)| row.clone()).unwrap_or_default()
                };
                let (mut quotas, mut flying) = (0, 0);
                for (by, site) in self.names.iter().enumerate() {
                    let view = seen(by)?;
                    quotas += quota(&view, home, site);
                    for (of, donor) in self.names.iter().enumerate().filter(|(of, _)| *of != by) {
                        let units = |row: StockRow| row.granted.get(site).copied().unwrap_or(0);
                        let (given, read) = (units(own(&seen(of)?, donor)), units(own(&view, donor)));
                        if read > given {
                            let promise = format!("no share of {sku} at {location} is used that was not given");
                            return Err(broken(&promise, (donor, site, given), read));
                        }
                        flying += i64::try_from(given - read).unwrap_or(i64::MAX);
                    }
                }
                let books = own(&seen(at)?, home);
                let there = i64::try_from(books.received).unwrap_or(0) - i64::try_from(books.written_off).unwrap_or(0);
                let promise = format!("shares of {sku} at {location} and what is on its way are what is there");
                same(&promise, &there, &(quotas + flying))?;
            }
        }
        Ok(())
    }

    /// Everybody reads everything that there is. Journals build on each other, so they are read in turn.
    fn read_all(&mut self) -> Kept {
        if self.sessions.is_some() {
            for (reader, source) in self.links() {
                if self.is_direct(reader, source) {
                    self.read_by_session(reader, source)?;
                }
            }
        }
        for _ in 0..READINGS_MAX {
            let mut unread = None;
            for (reader, source) in self.links() {
                let name = self.names[source].clone();
                if self.worlds[reader].machine.folded(&name) < self.worlds[source].machine.disk.end() {
                    unread = Some((self.names[reader].clone(), name.clone()));
                    let kept = self.worlds[reader].machine.kept(&name).unwrap_or(0);
                    let groups = match self.is_direct(reader, source) || reader == HUB {
                        true => self.worlds[source].machine.shared_after(kept, 100),
                        false => self.worlds[HUB].machine.kept_after(&name, kept, 100),
                    };
                    self.worlds[reader].groups_arrive(0, &name, &groups)?;
                    self.worlds[reader].settle()?;
                }
            }
            if unread.is_none() {
                return Ok(());
            }
        }
        Err(broken("when links are healed, everybody reads everything", "all", self.links().len()))
    }

    /// A reader whose link is healed reads everything, soon: a question may be on its way that is lost, and
    /// its session may rest.
    fn read_by_session(&mut self, reader: usize, source: usize) -> Kept {
        let name = self.names[source].clone();
        let Some(mut kept) = self.worlds[reader].machine.mark(&name) else { return Ok(()) };
        let end = self.worlds[source].machine.disk.end();
        let (healed_ms, chance) = (session_ms(self.now_us), self.jitter.within(0..u64::MAX));
        let Some(session) = self.session(healed_ms, reader, source, kept) else { return Ok(()) };
        let (mut session, mut now_ms) = (session.clone(), healed_ms);
        while kept.place() < (1, end) {
            match session.next(now_ms, chance) {
                Next::Wait(until_ms) => now_ms = until_ms,
                Next::Ask(ask) => {
                    let groups = self.worlds[source].machine.shared_after(ask.after.seq, 100);
                    self.worlds[reader].groups_arrive(0, &name, &groups)?;
                    kept = self.worlds[reader].machine.mark(&name).unwrap_or_default();
                    session.answered(now_ms, (1, end), kept);
                }
                Next::Nothing => return Err(broken("a journal of an honest site is not stopped", "a question", name)),
            }
            let (took_ms, most_ms) =
                (now_ms - healed_ms, ASK_WAIT_MS + ASK_DEADLINE_MS + BACK_OFF_MS_MAX + ASK_REST_MS);
            if took_ms > most_ms {
                return Err(broken("a link that is healed is found healed soon", most_ms, (took_ms, name)));
            }
        }
        Ok(())
    }

    /// What is kept of a journal is the journal, what was seen was there, and shared rows are equal.
    fn compare(&self) -> Kept {
        for (reader, source) in self.links() {
            let journal = self.worlds[source].machine.groups()?.into_iter();
            let cut = journal.map(|(seq, bytes)| (seq, bytes.slice(..group::shared(&bytes).map_or(0, <[u8]>::len))));
            let kept = self.worlds[reader].machine.copies_of(&self.names[source])?;
            same("what is kept of a journal is the journal, cut", &cut.collect::<Vec<_>>(), &kept)?;
        }
        for (writer, of) in self.links() {
            let (seen_of, mut last) = (self.worlds[of].machine.groups()?, 0);
            for (_, bytes) in self.worlds[writer].machine.groups()? {
                let header = group::decode_header(&bytes);
                let header = header.map_err(|error| broken("a group can be read", "a group", error))?;
                for seen in header.seen.into_iter().filter(|seen| seen.site == self.names[of]) {
                    let there = seen_of.iter().find(|(seq, _)| *seq == seen.seq).map(|(_, bytes)| group::digest(bytes));
                    same("what a group says to have seen was there", &there, &Some(seen.digest))?;
                    same("a group says what is new, and no other", &true, &(seen.seq > last))?;
                    last = seen.seq;
                }
            }
        }
        let rows: Vec<_> = self.worlds.iter().map(shared_rows).collect::<Kept<_>>()?;
        for (number, other) in rows.iter().enumerate().skip(1) {
            let differ = rows[0].iter().zip(other).find(|(one, other)| one != other);
            let promise = format!("shared rows are equal at {} and {}", self.names[0], self.names[number]);
            same(&promise, &(rows[0].len(), None), &(other.len(), differ))?;
        }
        Ok(())
    }

    /// Every reader with every other site.
    fn links(&self) -> Vec<(usize, usize)> {
        let count = self.names.len();
        (0..count).flat_map(|one| (0..count).map(move |other| (one, other))).filter(|(a, b)| a != b).collect()
    }

    fn common_edit(&mut self) -> Command {
        let chance = &mut self.chance;
        let name = format!("common-{}", chance.within(0..3));
        let id = ProductId::parse(name.as_str()).expect("a short word is a product id");
        let sku = |chance: &mut Chance| {
            let number = chance.within(0..3);
            Sku::parse(if number == 0 { name.clone() } else { format!("common-sku-{number}") }).expect("a short word")
        };
        let title = Title::parse(format!("Title {}", chance.within(0..1_000))).expect("a short text is a title");
        let status = |status| ProductEdit { status: Some(status), ..ProductEdit::default() };
        let variant = |chance: &mut Chance| {
            let title = Title::parse(format!("Variant {}", chance.within(0..9))).expect("a short text is a title");
            VariantEdit { title: Some(Some(title)), ..VariantEdit::of(sku(chance)) }
        };
        match chance.within(0..8) {
            0 => Command::create_product(Some(id), sku(chance), title, Selling::default()),
            1 => Command::add_variant(id, variant(chance)),
            2 => {
                let variants = vec![variant(chance)];
                Command::change_product(id, ProductEdit { variants, ..ProductEdit::default() }, None)
            }
            3 => Command::change_product(id, status(Status::Archived), None),
            4 => Command::change_product(id, status(Status::Active), None),
            _ => Command::change_product(id, ProductEdit { title: Some(title), ..ProductEdit::default() }, None),
        }
    }
}

/// The moment of a session at a moment of the world.
fn session_ms(now_us: u64) -> u64 {
    now_us / (1_000_000 / SESSION_MS_PER_SECOND)
}

type Row = (&'static str, Vec<u8>, Vec<u8>);

fn shared_rows(world: &World) -> Kept<Vec<Row>> {
    let Some(rows) = world.machine.rows() else { return Err(broken("the site runs in the end", "rows", "none")) };
    let mut found = Vec::new();
    for (table, name) in (0..).zip(TABLE_NAMES).filter(|(_, name)| *name == "sites" || SHARED.contains(name)) {
        let mut each = |key: &[u8], value: &Bytes| {
            let said =
                |row: SiteRow| [&row.stamp.0.to_be_bytes()[..], &[u8::from(row.kind == SiteKind::Store)]].concat();
            let stamp = decode::<SiteRow>(Table(table), value).map(said);
            let value = if name == "sites" { stamp.unwrap_or_default() } else { value.to_vec() };
            // A site that has edited nothing has a row at home, for its day, and none elsewhere.
            if name != "sites" || value != [0; 9] {
                found.push((name, key.to_vec(), value));
            }
            true
        };
        let range = KeyRange { from: &[], before: &[u8::MAX; 300] };
        rows.scan(Table(table), range, &mut each).map_err(|error| broken("rows can be read", "rows", error))?;
    }
    Ok(found)
}
