//! The links between the sites of a world: messages under way, and what goes wrong with them.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontor_core::id::SiteId;
use kontor_core::session::Mark;

use crate::chance::Chance;
use crate::figures::Figures;
use crate::script::{Fault, FaultId, LINKS, Noise, Script};
use crate::star::{HUB, STORE};
use crate::trace::Trace;
use crate::weather::{DAY_US, Weather};

/// Something on its way between two sites.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// The reader wants what comes after a group, of the source's own journal or of one that it keeps.
    Wanted { reader: usize, source: usize, of: usize, after: u64 },
    /// The source gives it, and says how far it keeps all others.
    Groups { reader: usize, source: usize, of: usize, groups: Vec<Bytes>, end: u64, kept: Vec<(usize, u64)> },
    /// The store gives its journal, or asks how far it is held.
    Given { groups: Vec<Bytes> },
    /// It is held so far.
    Holds { mark: Mark },
}

/// Something that goes wrong with links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// A link carries nothing, in one direction.
    CutOneWay,
    /// Two sites cannot reach each other.
    CutBothWays,
    /// The same, for much of what happens in the world.
    LongCut,
    /// A site cannot reach anybody, and nobody it, for days.
    Away,
    /// A link is cut and heals, again and again.
    Flapping,
    /// A link is slow, in one direction.
    Slow,
    /// All links of a site are slow.
    SlowPeer,
}

const TROUBLES: [Trouble; 7] = [
    Trouble::CutOneWay,
    Trouble::CutBothWays,
    Trouble::LongCut,
    Trouble::Away,
    Trouble::Flapping,
    Trouble::Slow,
    Trouble::SlowPeer,
];

/// Messages of a slow link take so many times as long.
const SLOWER: u64 = 100;

/// One direction of a link.
#[derive(Debug, Default)]
struct Way {
    cut_until_us: u64,
    /// How long it is cut, and not, in turn; 0 if it is cut all the time.
    flaps_us: u64,
    slow_until_us: u64,
    /// The last that arrived, by the order in which they set out.
    newest: u64,
}

impl Way {
    fn is_cut(&self, now_us: u64) -> bool {
        now_us < self.cut_until_us && (self.flaps_us == 0 || (now_us / self.flaps_us).is_multiple_of(2))
    }
}

pub(crate) struct Links {
    names: Vec<SiteId>,
    seed: u64,
    script: Script,
    chance: Chance,
    /// Decides after which intention something goes wrong.
    fate: Chance,
    troubling: f64,
    kinds: Vec<Trouble>,
    troubles: u32,
    loss: f64,
    doubling: f64,
    pub(crate) latency_us: u64,
    round_us: u64,
    on_the_way: BTreeMap<(u64, u64), (u64, Message)>,
    counter: u64,
    ways: BTreeMap<(usize, usize), Way>,
    trace: Trace,
    pub(crate) faults: Vec<Fault>,
}

impl Links {
    pub(crate) fn new(seed: u64, names: &[SiteId], weather: &Weather, script: &Script, trace: &Trace) -> Self {
        let mut chance = Chance::of(seed, "troubles");
        let is_fair = names.len() == 1 || weather.is_still || chance.happens(0.1);
        let kinds = TROUBLES.into_iter().filter(|_| !is_fair && chance.happens(0.7)).collect();
        let some = |chance: &mut Chance, of: [f64; 3]| of[usize::try_from(chance.within(0..3)).unwrap_or(0)];
        Self {
            names: names.to_vec(),
            seed,
            script: script.clone(),
            fate: Chance::of(seed, "fate of links"),
            troubling: f64::from(u32::try_from(chance.within(2..24)).unwrap_or(2)) / 600.0,
            kinds,
            troubles: 0,
            loss: if is_fair { 0.0 } else { some(&mut chance, [0.0, 0.05, 0.3]) },
            doubling: if is_fair { 0.0 } else { some(&mut chance, [0.02, 0.1, 0.3]) },
            latency_us: if weather.is_still { weather.latency_us } else { weather.latency_us * chance.within(1..20) },
            round_us: weather.round_us,
            on_the_way: BTreeMap::new(),
            counter: 0,
            ways: BTreeMap::new(),
            trace: trace.clone(),
            faults: Vec::new(),
            chance,
        }
    }

    /// A client somewhere has set out to do something. Something may go wrong with the links.
    pub(crate) fn somebody_set_out(&mut self, now_us: u64, figures: &mut Figures) {
        if self.kinds.is_empty() || !self.fate.happens(self.troubling) {
            return;
        }
        let id = FaultId { place: LINKS, number: self.troubles };
        self.troubles += 1;
        if self.script.has(id) {
            self.go_wrong(id, now_us, figures);
        }
    }

    fn go_wrong(&mut self, id: FaultId, now_us: u64, figures: &mut Figures) {
        let mut chance = Chance::of(self.seed, &format!("trouble {}", id.number));
        let Some(trouble) = chance.pick(&self.kinds).copied() else { return };
        let count = self.names.len();
        let one = usize::try_from(chance.within(0..count as u64)).unwrap_or(0);
        let other = (one + 1 + usize::try_from(chance.within(0..count as u64 - 1)).unwrap_or(0)) % count;
        let shortly = 1_000 + chance.around(self.round_us * 10);
        let long = 1_000 + chance.around(self.round_us * 60);
        let days = chance.within(1..8) * DAY_US + chance.within(0..DAY_US);
        let both = vec![(one, other), (other, one)];
        let all = (0..count).filter(|site| *site != one).flat_map(|site| [(one, site), (site, one)]).collect();
        let (ways, while_us, counted): (Vec<_>, u64, &mut u64) = match trouble {
            Trouble::CutOneWay => (vec![(one, other)], shortly, &mut figures.cuts_one_way),
            Trouble::CutBothWays => (both, shortly, &mut figures.cuts_both_ways),
            Trouble::LongCut => (both, long, &mut figures.long_cuts),
            Trouble::Away => (all, days, &mut figures.sites_away),
            Trouble::Flapping => (both, long, &mut figures.flapping),
            Trouble::Slow => (vec![(one, other)], shortly, &mut figures.slow_links),
            Trouble::SlowPeer => (all, shortly, &mut figures.slow_peers),
        };
        *counted += 1;
        let flaps_us = if trouble == Trouble::Flapping { 1 + chance.around(self.round_us) } else { 0 };
        let is_slow = matches!(trouble, Trouble::Slow | Trouble::SlowPeer);
        for (from, to) in ways {
            let way = self.ways.entry((from, to)).or_default();
            if is_slow {
                way.slow_until_us = way.slow_until_us.max(now_us + while_us);
            } else if way.flaps_us == 0 && way.cut_until_us > now_us {
                way.cut_until_us = way.cut_until_us.max(now_us + while_us);
            } else {
                (way.cut_until_us, way.flaps_us) = (now_us + while_us, flaps_us);
            }
        }
        let (one, other) = (&self.names[one], &self.names[other]);
        let what = format!("{trouble:?} at {one} (with {other}) for {} ms", while_us / 1_000);
        self.trace.line(now_us, format_args!("{id}: {what}"));
        self.faults.push(Fault { id, at_us: now_us, what });
    }

    /// Two sites cannot reach each other until this moment.
    pub(crate) fn cut(&mut self, one: usize, other: usize, until_us: u64) {
        for between in [(one, other), (other, one)] {
            self.ways.entry(between).or_default().cut_until_us = until_us;
        }
    }

    /// Whether nothing gets from one site to another now.
    pub(crate) fn is_cut(&self, now_us: u64, from: usize, to: usize) -> bool {
        self.ways.get(&(from, to)).is_some_and(|way| way.is_cut(now_us))
    }

    /// A message sets out: it arrives once, twice or never, perhaps after one that set out later.
    pub(crate) fn send(&mut self, now_us: u64, from: usize, to: usize, message: &Message, figures: &mut Figures) {
        figures.sent_between += 1;
        if self.is_cut(now_us, from, to) {
            figures.cut_between += 1;
            return;
        }
        let is_lost = self.chance.happens(self.loss) && self.script.hears(Noise::Loss);
        let is_doubled = self.chance.happens(self.doubling) && self.script.hears(Noise::Doubling);
        let times = if is_lost { 0 } else { 1 + u64::from(is_doubled) };
        figures.lost_between += u64::from(is_lost);
        figures.doubled_between += times.saturating_sub(1);
        let is_slow = self.ways.get(&(from, to)).is_some_and(|way| now_us < way.slow_until_us);
        for _ in 0..times {
            let is_late = self.chance.happens(0.05) && self.script.hears(Noise::Delay);
            figures.late_between += u64::from(is_late);
            let late = if is_late { 50 } else { 1 } * if is_slow { SLOWER } else { 1 };
            let arrives_us = now_us + 1 + self.chance.around(self.latency_us * late);
            self.counter += 1;
            self.on_the_way.insert((arrives_us, self.counter), (self.counter, message.clone()));
        }
    }

    /// When the next message arrives.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.on_the_way.first_key_value().map(|((at_us, _), _)| *at_us)
    }

    /// The next message that arrives, and when. What is on its way when a link is cut is lost.
    pub(crate) fn arrives(&mut self, figures: &mut Figures) -> Option<(u64, Message)> {
        let ((now_us, _), (number, message)) = self.on_the_way.pop_first()?;
        let between = match &message {
            Message::Wanted { reader, source, .. } => (*reader, *source),
            Message::Groups { reader, source, .. } => (*source, *reader),
            Message::Given { .. } => (STORE, HUB),
            Message::Holds { .. } => (HUB, STORE),
        };
        let way = self.ways.entry(between).or_default();
        if way.is_cut(now_us) {
            figures.cut_between += 1;
            return None;
        }
        figures.overtaken += u64::from(number < way.newest);
        way.newest = way.newest.max(number);
        Some((now_us, message))
    }
}
