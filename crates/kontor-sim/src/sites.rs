//! The sites of one world, and what they tell each other.
//!
//! Each site lives in a [`World`] of its own with its own troubles; what happens next in any of them
//! happens next. They ask each other for groups as their sessions say; in every other such world at any
//! moment, so that what comes late, twice or in between is taken as well.

mod agree;
mod transfers;

use std::collections::BTreeMap;

use kontor_core::command::Command;
use kontor_core::id::{ProductId, SiteId, Sku};
use kontor_core::limits::{ASK_DEADLINE_MS, ASK_REST_MS, ASK_WAIT_MS, BACK_OFF_MS_MAX};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Selling, Status};
use kontor_core::session::{Mark, Next, Session};
use kontor_core::site::SiteKind;
use kontor_core::text::Title;
use kontor_storage::journal::JournalReader;

use crate::Settings;
use crate::chance::Chance;
use crate::figures::Figures;
use crate::links::{Links, Message};
use crate::oracle::{Kept, broken, same};
use crate::script::Fault;
use crate::star::Star;
use crate::trace::Trace;
use crate::weather::Weather;
use crate::world::{Place, World};

const NAMES: [&str; 3] = ["main", "west", "store"];

/// What may happen before a world calms down. Mostly it is some ten thousand events.
const EVENTS_MAX: u64 = 5_000_000;

/// Rounds of reading everything, in the end. An ask, an answer, and asks that have run out: a few.
const ROUNDS_MAX: u64 = 60;

/// Times that every site is given groups of every other until it has all.
const READINGS_MAX: u64 = 10_000;

/// Moments of a session in a second of the world. A world lasts some seconds, a lost question as long: so
/// that both fit together, sessions live faster.
const SESSION_MS_PER_SECOND: u64 = 20_000;

pub(crate) struct Sites {
    pub(crate) names: Vec<SiteId>,
    pub(crate) worlds: Vec<World>,
    pub(crate) links: Links,
    chance: Chance,
    pub(crate) figures: Figures,
    /// That something is asked for after something has happened.
    asking: f64,
    /// Who reads whose journal, and since which start of the reader; none in worlds that ask at any moment.
    pub(crate) sessions: Option<BTreeMap<(usize, usize), (u32, Session)>>,
    /// In some worlds of three that have sessions, the store is linked to one site alone.
    pub(crate) star: Option<Star>,
    pub(crate) jitter: Chance,
    now_us: u64,
    /// Without times in which nothing happens for more than a second.
    busy_us: u64,
    /// What clients have set out to do so far.
    set_out: u64,
}

impl Sites {
    /// The world of a seed. In every second there is more than one site.
    pub(crate) fn new(settings: &Settings, trace: &Trace) -> Self {
        let seed = settings.seed;
        let mut chance = Chance::of(seed, "links");
        let count = if seed % 2 == 1 { 2 + usize::from(chance.happens(0.5)) } else { 1 };
        let mut drawn = Chance::of(seed, "world");
        let weather = Weather::draw(&mut drawn);
        let mut sites = Self::under(settings, &weather, (chance, drawn), count, trace);
        sites.sessions = (seed % 4 == 3).then(BTreeMap::new);
        sites.star = (seed % 8 == 7 && count == 3).then(Star::default);
        sites
    }

    /// Sites at which nothing goes wrong and nobody wants anything of his own accord. They read each other's
    /// journals as their sessions say.
    pub(crate) fn still(seed: u64, count: usize, trace: &Trace) -> Self {
        let settings = Settings { intentions: 0, ..Settings::of(seed) };
        let chances = (Chance::of(seed, "links"), Chance::of(seed, "world"));
        let mut sites = Self::under(&settings, &Weather::still(), chances, count, trace);
        sites.sessions = Some(BTreeMap::new());
        sites
    }

    fn under(
        settings: &Settings,
        weather: &Weather,
        (mut chance, drawn): (Chance, Chance),
        count: usize,
        trace: &Trace,
    ) -> Self {
        let Settings { seed, intentions, plant, script } = settings;
        let names: Vec<SiteId> =
            NAMES[..count].iter().map(|name| SiteId::parse(*name).expect("a short word is a site")).collect();
        let worlds = (0..).zip(&names).map(|(number, name)| {
            // The same weather everywhere, so that nobody is done before others have begun.
            let mut sites = names.clone();
            sites.swap(0, usize::from(number));
            let own = seed.wrapping_add(u64::from(number) << 48);
            let chance = if number == 0 { drawn.clone() } else { Chance::of(own, "world") };
            let trace = if count == 1 { trace.clone() } else { trace.named(name.as_str()) };
            let (intentions, plant) = (intentions / count as u64, plant.filter(|_| number == 0));
            let place = Place { number, seed: own, intentions, plant, script: script.clone() };
            World::new(place, weather.clone(), chance, trace, &sites)
        });
        Self {
            worlds: worlds.collect(),
            links: Links::new(*seed, &names, weather, script, trace),
            figures: Figures { of_several: u64::from(count > 1), ..Figures::default() },
            asking: [0.02, 0.2, 0.8][usize::try_from(chance.within(0..3)).unwrap_or(0)],
            sessions: None,
            star: None,
            jitter: Chance::of(*seed, "jitter"),
            now_us: 0,
            busy_us: 0,
            set_out: 0,
            chance,
            names,
        }
    }

    /// What happened, at all sites together.
    pub(crate) fn figures(&self) -> Figures {
        let mut total = self.figures;
        self.worlds.iter().for_each(|world| total += world.figures);
        let cuts = [total.cuts_one_way, total.cuts_both_ways, total.long_cuts, total.sites_away, total.flapping];
        total.with_cuts = u64::from(cuts.iter().sum::<u64>() > 0);
        total.simulated_s = self.worlds.iter().map(World::now_us).max().unwrap_or(0) / 1_000_000;
        total.busy_s = self.busy_us / 1_000_000;
        total.rounds_most = total.rounds;
        total
    }

    /// What went wrong, in order.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let mut faults = self.links.faults.clone();
        faults.extend(self.worlds.iter().flat_map(|world| world.faults.iter().cloned()));
        faults.sort_by_key(|fault| (fault.at_us, fault.id));
        faults
    }

    /// Lives through the world, and checks what must hold all along and in the end.
    pub(crate) fn run(&mut self) -> Kept {
        self.begin();
        let mut happened = 0;
        while self.worlds.iter().any(|world| !world.is_calm()) {
            happened += 1;
            if happened == EVENTS_MAX {
                return Err(broken("sites do not keep each other busy without end", EVENTS_MAX, self.now_us));
            }
            if !self.go_on(u64::MAX)? {
                return Err(broken("something happens next", "a site", "nothing"));
            }
        }
        self.end()
    }

    /// The first things that will happen.
    pub(crate) fn begin(&mut self) {
        self.worlds.iter_mut().for_each(World::begin);
    }

    /// The next thing happens, unless that is after `until_us`. Answers whether anything did.
    pub(crate) fn go_on(&mut self, until_us: u64) -> Kept<bool> {
        let next = (0..).zip(&self.worlds).filter_map(|(at, world): (usize, _)| Some((world.next_us()?, at))).min();
        let arrives_us = self.links.next_us();
        let at_us = next.map(|(at_us, _)| at_us).into_iter().chain(arrives_us).min();
        let Some(at_us) = at_us.filter(|at_us| *at_us <= until_us) else { return Ok(false) };
        self.busy_us += at_us.saturating_sub(self.now_us).min(1_000_000);
        match next {
            Some((_, at)) if arrives_us.is_none_or(|arrives_us| arrives_us > at_us) => {
                self.worlds[at].live_on()?;
                self.talk(at_us)?;
            }
            _ => self.message_arrives()?,
        }
        Ok(true)
    }

    /// Things have calmed down: what must hold in the end.
    pub(crate) fn end(&mut self) -> Kept {
        self.worlds.iter_mut().try_for_each(World::wind_up)?;
        // Each has wound up in its own time. Shares follow demand, and demand fades: sites whose clocks are
        // days apart would not agree about it.
        self.live_on_together()?;
        self.come_to_rest()?;
        self.finish_transfers()?;
        self.check_shares()?;
        self.judge_edits()?;
        self.judge_transfers()?;
        self.worlds.iter_mut().try_for_each(World::finish)?;
        self.compare()
    }

    /// After something has happened at some site, somebody may ask somebody, or edit what is common.
    fn talk(&mut self, now_us: u64) -> Kept {
        self.now_us = now_us.max(self.now_us);
        let count = self.names.len() as u64;
        if count == 1 {
            return Ok(());
        }
        let set_out: u64 = self.worlds.iter().map(|world| world.figures.intentions).sum();
        for _ in self.set_out..set_out {
            self.links.somebody_set_out(now_us, &mut self.figures);
        }
        self.set_out = set_out;
        let some = |chance: &mut Chance| usize::try_from(chance.within(0..count)).unwrap_or(0);
        if self.sessions.is_some() {
            self.follow_all(now_us)?;
        } else if self.chance.happens(self.asking) {
            let (reader, source) = (some(&mut self.chance), some(&mut self.chance));
            let kept = self.worlds[reader].machine.kept(&self.names[source]);
            if let Some(after) = kept.filter(|_| reader != source) {
                self.figures.polls += 1;
                let message = Message::Wanted { reader, source, of: source, after };
                self.links.send(now_us, reader, source, &message, &mut self.figures);
            }
        }
        if self.worlds[0].is_still() {
            return Ok(());
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

    /// All sites that read others' journals do what their sessions say.
    pub(crate) fn follow_all(&mut self, now_us: u64) -> Kept {
        for (reader, source) in self.between() {
            if self.is_direct(reader, source) {
                self.follow(now_us, reader, source)?;
            }
        }
        self.follow_star(now_us)
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
            let message = Message::Wanted { reader, source, of: source, after };
            self.links.send(now_us, reader, source, &message, &mut self.figures);
        }
        Ok(())
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

    fn message_arrives(&mut self) -> Kept {
        let Some((now_us, message)) = self.links.arrives(&mut self.figures) else { return Ok(()) };
        self.now_us = now_us.max(self.now_us);
        match message {
            Message::Wanted { reader, source, of, after } => {
                let most = usize::try_from(self.chance.within(1..40)).unwrap_or(1);
                let machine = &self.worlds[source].machine;
                let (groups, end) = match of == source {
                    true => (machine.shared_after(after, most), machine.end()),
                    false => (machine.kept_after(&self.names[of], after, most), machine.kept(&self.names[of])),
                };
                let others = (0..self.names.len()).filter(|other| *other != reader && *other != source);
                let kept = others.filter_map(|other| Some((other, machine.kept(&self.names[other])?))).collect();
                // A site that is down answers nothing.
                let answers = !groups.is_empty() || self.sessions.is_some();
                if let Some(end) = end.filter(|_| answers) {
                    let message = Message::Groups { reader, source, of, groups, end, kept };
                    self.links.send(now_us, source, reader, &message, &mut self.figures);
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
                self.note_kept(reader, source, kept);
                Ok(())
            }
            Message::Given { groups } => self.given(now_us, &groups),
            Message::Holds { mark } => {
                self.holds(now_us, mark);
                Ok(())
            }
        }
    }

    /// Every site lives until where the latest is.
    fn live_on_together(&mut self) -> Kept {
        let latest_us = self.worlds.iter().map(World::now_us).max().unwrap_or(0);
        self.worlds.iter_mut().try_for_each(|world| world.live_until(latest_us))
    }

    /// Links are healed: everybody reads everything, and answers what was asked, until nobody has more to say.
    fn come_to_rest(&mut self) -> Kept {
        let written = |sites: &Self| sites.worlds.iter().map(|world| world.machine.disk.end()).sum::<u64>();
        for _ in 0..ROUNDS_MAX {
            self.figures.rounds += 1;
            let before = written(self);
            self.read_all()?;
            self.worlds.iter_mut().try_for_each(World::settle)?;
            // What one waits for takes time at the others as well.
            self.live_on_together()?;
            if written(self) == before {
                return Ok(());
            }
        }
        Err(broken("when links are healed, all come to rest within bounded rounds", ROUNDS_MAX, written(self)))
    }

    /// Everybody reads everything that there is. Journals build on each other, so they are read in turn.
    fn read_all(&mut self) -> Kept {
        if self.sessions.is_some() {
            for (reader, source) in self.between() {
                if self.is_direct(reader, source) {
                    self.read_by_session(reader, source)?;
                }
            }
        }
        for _ in 0..READINGS_MAX {
            let mut unread = None;
            for (reader, source) in self.between() {
                let name = self.names[source].clone();
                if self.worlds[reader].machine.folded(&name) < self.worlds[source].machine.disk.end() {
                    unread = Some((self.names[reader].clone(), name.clone()));
                    let kept = self.worlds[reader].machine.kept(&name).unwrap_or(0);
                    let groups = self.groups_for(reader, source, kept);
                    self.worlds[reader].groups_arrive(0, &name, &groups)?;
                    self.worlds[reader].settle()?;
                }
            }
            if unread.is_none() {
                return Ok(());
            }
        }
        Err(broken("when links are healed, everybody reads everything", "all", self.between().len()))
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

    /// Every reader with every other site.
    pub(crate) fn between(&self) -> Vec<(usize, usize)> {
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
        match chance.within(0..11) {
            10 => {
                let variants = vec![VariantEdit { present: Some(false), ..VariantEdit::of(sku(chance)) }];
                Command::change_product(id, ProductEdit { variants, ..ProductEdit::default() }, None)
            }
            9 => Command::DeleteProduct { id, expected: None },
            0 | 8 => Command::create_product(Some(id), sku(chance), title, Selling::default()),
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
pub(crate) fn session_ms(now_us: u64) -> u64 {
    now_us / (1_000_000 / SESSION_MS_PER_SECOND)
}
