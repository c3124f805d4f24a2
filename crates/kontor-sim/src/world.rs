//! The world of one site: its machine, clients, a network between them, and whatever goes wrong. One
//! thread, one list of what happens next, made-up time.

mod turns;

use std::collections::BTreeMap;

use bytes::Bytes;
use kontor_core::command::{Command, Request};
use kontor_core::id::{Actor, RequestId, SiteId};
use kontor_core::refusal::Refusal;
use kontor_core::reservation::ReservationStatus;
use kontor_site::step::{Answer, Input, NotDone};
use kontor_storage::journal::JournalReader;
use kontor_storage::journal::memory::SyncFault;

use crate::chance::Chance;
use crate::client::{Board, Client, Outcome};
use crate::figures::Figures;
use crate::machine::{Asker, Clocks, Machine, Stepped, TablesFound};
use crate::oracle::{Kept, Oracle, broken, same};
use crate::plant::Plant;
use crate::script::{Fault, Noise, Script};
use crate::trace::Trace;
use crate::weather::Weather;

/// When every world begins: 2026-11-20 22:13:20 UTC, not far from midnight.
const BEGIN_MS: u64 = 1_795_212_800_000;

/// Tries of a client before it gives up and turns to something else, while things go wrong.
const TRIES_MAX: u32 = 8;

/// What may happen, when nothing goes wrong any more, until one more question is answered.
const EVENTS_PER_ANSWER: usize = 20;

/// A site rests that wants nothing of itself for so long: asks of other sites run out much sooner, and what is
/// held for a transfer waits for another site.
const SETTLING_MS: u64 = 3_600_000;

/// What may happen until a site rests to which something was brought in the end.
const SETTLING_EVENTS_MAX: usize = 20_000;

/// Stands for a client that is told nothing.
const NOBODY: usize = usize::MAX;

/// Something that is going to happen.
#[derive(Debug)]
enum Next {
    Alarm { client: usize, alarm: u64 },
    Asks { client: usize, command: Box<Command> },
    Arrives { asker: Asker, request: Box<Request> },
    Told { client: usize, intent: usize, answer: Box<Result<Answer, NotDone>> },
    Pump { boot: u32 },
    AppendEnds { boot: u32 },
    Timer { boot: u32, at_us: u64 },
    Start,
    Turn { number: u32 },
    ClockGoesBack,
    DiskHasRoom,
    DiskIsFast,
    NetworkIsBack,
}

fn apart_ms(seed: u64) -> i64 {
    i64::try_from(Chance::of(seed, "clock").within(0..600_000)).unwrap_or(0) - 300_000
}

/// Which site of which world.
pub(crate) struct Place {
    pub(crate) number: u8,
    /// Everything that happens at it follows from it.
    pub(crate) seed: u64,
    pub(crate) intentions: u64,
    pub(crate) plant: Option<Plant>,
    pub(crate) script: Script,
}

pub(crate) struct World {
    weather: Weather,
    chance: Chance,
    /// The network draws from its own, so that more messages do not change the weather.
    network: Chance,
    /// Decides after which intention things take a turn.
    fate: Chance,
    seed: u64,
    /// The number of the site in its world.
    place: u8,
    script: Script,
    turns: u32,
    /// What went wrong.
    pub(crate) faults: Vec<Fault>,
    /// What was answered to those who are no clients, where somebody listens.
    heard: BTreeMap<RequestId, Result<Answer, NotDone>>,
    pub(crate) trace: Trace,
    pub(crate) figures: Figures,
    oracle: Oracle,
    pub(crate) machine: Machine,
    clients: Vec<Client>,
    board: Board,
    coming: BTreeMap<(u64, u64), Next>,
    counter: u64,
    now_us: u64,
    wall_off_ms: i64,
    intentions: u64,
    /// Nothing goes wrong any more; clients finish what they began.
    calm: bool,
    disk_full: bool,
    disk_slow: bool,
    cut_off: bool,
    /// Nobody sets out before this.
    quiet_until_us: u64,
    sync_fault: Option<SyncFault>,
    pump_is_set: bool,
    timer_us: Option<u64>,
}

impl World {
    /// Of the first of `sites`, which reads the journals of the others.
    pub(crate) fn new(site: Place, weather: Weather, mut chance: Chance, trace: Trace, sites: &[SiteId]) -> Self {
        let Place { number: place, seed, intentions, plant, script } = site;
        let site = sites[0].clone();
        let prefix = if sites.len() == 1 { String::new() } else { format!("{site}-") };
        let mut board = Board::draw(&mut chance, &weather, &prefix);
        sites[1..].iter().for_each(|other| board.look_at(other, &weather));
        let most = script.clients.unwrap_or(u64::MAX).max(1);
        let clients =
            (0..usize::try_from(weather.clients.min(most)).unwrap_or(1)).map(|number| Client::new(seed, number));
        Self {
            chance,
            network: Chance::of(seed, "network"),
            fate: Chance::of(seed, "fate"),
            seed,
            place,
            script,
            turns: 0,
            faults: Vec::new(),
            heard: BTreeMap::new(),
            trace,
            figures: Figures::default(),
            oracle: Oracle::new(site, prefix),
            machine: Machine::new(sites, Chance::of(seed, "machine"), plant),
            clients: clients.collect(),
            board,
            coming: BTreeMap::new(),
            counter: 0,
            now_us: 0,
            // Clocks of several sites are some minutes apart.
            wall_off_ms: if place == 0 || weather.is_still { 0 } else { apart_ms(seed) },
            intentions,
            calm: false,
            disk_full: false,
            disk_slow: false,
            cut_off: false,
            quiet_until_us: 0,
            sync_fault: None,
            pump_is_set: false,
            timer_us: None,
            weather,
        }
    }

    /// The first things that will happen.
    pub(crate) fn begin(&mut self) {
        self.trace.line(0, format_args!("weather {:?}", self.weather));
        self.after(0, Next::Start);
        for client in 0..self.clients.len() {
            // The first client opens the shop before the others come.
            let opening = if client == 0 { 0 } else { self.weather.round_us * self.board.openings.len() as u64 };
            let first = opening + self.chance.around(self.weather.think_us);
            self.wake(client, first);
        }
    }

    /// When the next thing happens.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.coming.first_key_value().map(|((at_us, _), _)| *at_us)
    }

    /// The next thing happens; things calm down when clients have set out often enough.
    pub(crate) fn live_on(&mut self) -> Kept {
        self.happen()?;
        if !self.calm && self.figures.intentions >= self.intentions {
            self.calm_down();
        }
        Ok(())
    }

    /// The time of this site.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Whether only what is asked for from outside happens here.
    pub(crate) fn is_still(&self) -> bool {
        self.weather.is_still
    }

    /// Whether nothing goes wrong any more.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm
    }

    /// Everybody learns what became of what they asked for, and what was held ends.
    pub(crate) fn wind_up(&mut self) -> Kept {
        self.quiesce()?;
        self.ask_all_again()?;
        self.let_holds_run_out()
    }

    /// Somebody who is no client wants something that only the sites among themselves can judge.
    pub(crate) fn somebody_wants(&mut self, at_us: u64, command: Command) -> Kept<RequestId> {
        self.now_us = self.now_us.max(at_us);
        let id = RequestId::parse(format!("common-{}", self.next_number())).expect("a short word is a request id");
        let actor = Actor::parse("key:common").expect("a short word is an actor");
        let fresh_id = self.network.bytes();
        let request = Request { command, actor, request_id: id.clone(), idempotency: None, fresh_id };
        self.oracle.asked(&request);
        if self.machine.running.is_none() {
            return Ok(id);
        }
        self.trace.line(self.now_us, format_args!("{id} {:?}", request.command));
        let asker = Asker { client: NOBODY, intent: 0, id: id.clone() };
        if self.machine.arrive(asker, request, self.weather.queue_max) {
            self.work(None)?;
        }
        Ok(id)
    }

    /// What somebody was answered who is no client, in a world that is still.
    pub(crate) fn heard(&mut self, id: &RequestId) -> Option<Result<Answer, NotDone>> {
        self.heard.remove(id)
    }

    /// Things go on as they are until then.
    pub(crate) fn live_until(&mut self, until_us: u64) -> Kept {
        while self.next_us().is_some_and(|at_us| at_us <= until_us) {
            self.happen()?;
        }
        self.now_us = self.now_us.max(until_us);
        Ok(())
    }

    /// Groups of another site arrive.
    pub(crate) fn groups_arrive(&mut self, at_us: u64, of: &SiteId, groups: &[Bytes]) -> Kept {
        self.now_us = self.now_us.max(at_us);
        if self.machine.running.is_none() {
            return Ok(());
        }
        let kept = self.machine.bring(of, groups);
        self.trace.line(self.now_us, format_args!("{} groups of {of} arrive, it is kept up to {kept}", groups.len()));
        self.work(None)
    }

    /// The next thing happens. Answers `false` if nothing is to happen any more.
    fn happen(&mut self) -> Kept<bool> {
        let Some(((at_us, _), next)) = self.coming.pop_first() else { return Ok(false) };
        self.now_us = at_us;
        let running = self.machine.running.is_some();
        match next {
            Next::Alarm { client, alarm } if self.clients[client].alarm == alarm => self.client_wakes(client),
            Next::Alarm { .. } => {}
            Next::Asks { client, command } => {
                let intent = self.clients[client].want(*command);
                self.send_once(client, intent);
            }
            Next::Arrives { .. } if self.cut_off => self.figures.lost += 1,
            Next::Arrives { asker, request } => self.request_arrives(asker, *request),
            Next::Told { .. } if self.cut_off => self.figures.lost += 1,
            Next::Told { client, intent, answer } => self.client_is_told(client, intent, &answer),
            Next::Pump { boot } if boot == self.machine.boot && running => {
                self.pump_is_set = false;
                self.work(None)?;
            }
            Next::AppendEnds { boot } if boot == self.machine.boot && running => {
                if let Some(fault) = self.sync_fault.take().filter(|_| !self.disk_full) {
                    self.figures.sync_errors += 1;
                    self.trace.line(self.now_us, format_args!("fsync fails, data {fault:?}"));
                    self.machine.disk.fail_next_sync(fault);
                }
                let ended = self.machine.append_ends();
                self.work(ended)?;
            }
            Next::Timer { boot, at_us } if boot == self.machine.boot && running && self.timer_us == Some(at_us) => {
                self.timer_us = None;
                self.work(None)?;
            }
            Next::Pump { .. } | Next::AppendEnds { .. } | Next::Timer { .. } => {}
            Next::Start if running => {}
            Next::Start => self.start()?,
            Next::Turn { .. } if self.calm => {}
            Next::Turn { number } => self.turn(number),
            Next::ClockGoesBack => self.wall_off_ms -= turns::CLOCK_HOUR_MS,
            Next::DiskHasRoom => self.set_disk_full(false),
            Next::DiskIsFast => self.disk_slow = false,
            Next::NetworkIsBack => self.cut_off = false,
        }
        Ok(true)
    }

    fn client_wakes(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if let Some(intent) = client.asking {
            if self.calm || client.intents[intent].tries < TRIES_MAX {
                return self.send(number, intent);
            }
            // It turns to something else, and never learns, unless it asks again one day.
            client.asking = None;
            return self.rest(number);
        }
        if self.calm {
            if let Some(intent) = client.unresolved() {
                client.take_up(intent);
                self.send(number, intent);
            }
            return;
        }
        if self.now_us < self.quiet_until_us {
            let until = self.quiet_until_us - self.now_us + client.chance().around(self.weather.think_us);
            return self.wake(number, until);
        }
        self.figures.intentions += 1;
        let intent = client.set_out(&mut self.board, self.oracle.shop());
        let command = &client.intents[intent].command;
        self.trace.line(self.now_us, format_args!("client {number} wants #{intent} {command:?}"));
        if self.fate.happens(self.weather.turning) {
            self.take_a_turn();
        }
        self.send(number, intent);
    }

    /// Sends a request, and sets the alarm for when the client has waited enough.
    fn send(&mut self, number: usize, intent: usize) {
        self.send_once(number, intent);
        let client = &mut self.clients[number];
        let tries = client.intents[intent].tries;
        let patience = self.weather.patience_us << tries.min(6);
        let patience = patience / 2 + client.chance().within(0..patience);
        self.wake(number, patience);
    }

    /// Sends a request; the network delivers it once, or twice, or never.
    fn send_once(&mut self, number: usize, intent: usize) {
        let request = self.clients[number].request(intent);
        self.figures.requests += 1;
        self.oracle.asked(&request);
        self.trace.line(self.now_us, format_args!("send {}", request.request_id));
        for delay in self.deliveries() {
            let asker = Asker { client: number, intent, id: request.request_id.clone() };
            self.after(delay, Next::Arrives { asker, request: Box::new(request.clone()) });
        }
    }

    /// When a message arrives: never, once, or twice.
    fn deliveries(&mut self) -> Vec<u64> {
        let times = match () {
            () if self.calm => 1,
            () if self.network.happens(self.weather.loss) && self.script.hears(Noise::Loss) => {
                self.figures.lost += 1;
                0
            }
            () if self.network.happens(self.weather.duplication) && self.script.hears(Noise::Doubling) => {
                self.figures.duplicated += 1;
                2
            }
            () => 1,
        };
        // Some messages take so long that the client has asked again, or has given up, before.
        let is_late = self.network.happens(0.01) && self.script.hears(Noise::Delay) && !self.calm;
        self.figures.late += u64::from(is_late);
        let late = if is_late { 200 } else { 1 };
        (0..times).map(|_| self.network.around(self.weather.latency_us * late) + 1).collect()
    }

    fn request_arrives(&mut self, asker: Asker, request: Request) {
        if self.machine.running.is_none() {
            return;
        }
        let (client, intent, id) = (asker.client, asker.intent, asker.id.clone());
        if self.machine.arrive(asker, request, self.weather.queue_max) {
            if !self.pump_is_set {
                self.pump_is_set = true;
                let boot = self.machine.boot;
                // While one is being read, more arrive.
                let soon = self.chance.within(1..200);
                self.after(soon, Next::Pump { boot });
            }
        } else {
            self.answer(client, intent, &id, Err(NotDone::Overloaded));
        }
    }

    fn answer(&mut self, client: usize, intent: usize, id: &RequestId, answer: Result<Answer, NotDone>) {
        if client == NOBODY {
            if self.weather.is_still {
                self.heard.insert(id.clone(), answer);
            }
            return;
        }
        let what = match &answer {
            Ok(told) if told.replayed => {
                self.figures.replayed += 1;
                format!("{} again", told.position)
            }
            Ok(told) => {
                self.figures.acknowledged += 1;
                format!("{} done {:?}", told.position, told.events.last())
            }
            Err(NotDone::Refused(refusal)) => {
                self.figures.refused += 1;
                self.figures.refused_here += u64::from(matches!(refusal, Refusal::QuotaExhaustedHere { .. }));
                format!("refused {}: {refusal}", refusal.code())
            }
            Err(not_done) => {
                self.figures.turned_away += 1;
                not_done.to_string()
            }
        };
        self.trace.line(self.now_us, format_args!("answer {id} {what}"));
        for delay in self.deliveries() {
            self.after(delay, Next::Told { client, intent, answer: Box::new(answer.clone()) });
        }
    }

    fn client_is_told(&mut self, number: usize, intent: usize, answer: &Result<Answer, NotDone>) {
        if self.clients[number].told(intent, answer, &mut self.board) {
            self.rest(number);
        }
    }

    fn rest(&mut self, number: usize) {
        let think = self.chance.around(self.weather.think_us);
        self.wake(number, think);
    }

    fn wake(&mut self, number: usize, after_us: u64) {
        let client = &mut self.clients[number];
        client.alarm += 1;
        let alarm = client.alarm;
        self.after(after_us.max(1), Next::Alarm { client: number, alarm });
    }

    /// The site does what there is to do, until it waits for the disk or for somebody.
    fn work(&mut self, ended: Option<Input>) -> Kept {
        let mut ended = ended;
        loop {
            let clocks = self.clocks();
            let stepped = self.machine.work(clocks, ended.take(), &mut self.oracle, &mut self.figures)?;
            let go_on = self.follow(stepped);
            if !go_on || !self.machine.has_work() {
                self.set_timer();
                return Ok(());
            }
        }
    }

    /// Does what the site wants done. Answers `false` if the site has stopped.
    fn follow(&mut self, stepped: Stepped) -> bool {
        let Stepped { answers, appending, durable, halted } = stepped;
        if let Some(seq) = durable {
            self.trace.line(self.now_us, format_args!("group {seq} is durable"));
        }
        for (asker, answer) in answers {
            self.answer(asker.client, asker.intent, &asker.id, answer);
        }
        if let Some(seq) = appending {
            let usual = self.chance.around(self.weather.append_us);
            let takes = if self.disk_slow { usual * self.chance.within(20..2_000) } else { usual };
            let takes = takes.clamp(20, 5_000_000);
            self.trace.line(self.now_us, format_args!("append group {seq}, takes {takes} us"));
            self.after(takes, Next::AppendEnds { boot: self.machine.boot });
        }
        if let Some(why) = &halted {
            self.trace.line(self.now_us, format_args!("the site stops: {why}"));
            self.machine.exit();
            let down = self.chance.around(2_000_000);
            self.off(down);
        }
        halted.is_none()
    }

    fn set_timer(&mut self) {
        let Some(at_us) = self.machine.next_timer_us(self.clocks()) else { return };
        if self.timer_us.is_none_or(|set| at_us < set) {
            self.timer_us = Some(at_us);
            self.after(at_us.saturating_sub(self.now_us), Next::Timer { boot: self.machine.boot, at_us });
        }
    }

    /// The machine is off, and comes back after a while.
    fn off(&mut self, for_us: u64) {
        self.pump_is_set = false;
        self.timer_us = None;
        self.after(for_us + 1_000, Next::Start);
    }

    fn start(&mut self) -> Kept {
        let found = match self.chance.within(0..10) {
            _ if self.machine.boot == 0 => TablesFound::Whole,
            0 => TablesFound::Gone,
            1..6 => TablesFound::Older,
            _ => TablesFound::Whole,
        };
        match found {
            TablesFound::Whole => {}
            TablesFound::Older => self.figures.rolled_back += 1,
            TablesFound::Gone => self.figures.rebuilds += 1,
        }
        let cut_off = !self.calm && self.machine.boot > 0 && self.chance.happens(0.1);
        self.figures.starts += 1;
        let clocks = self.clocks();
        self.machine.start(clocks, found, cut_off, &mut self.oracle, &mut self.figures)?;
        let (boot, end) = (self.machine.boot, self.machine.disk.end());
        self.trace.line(self.now_us, format_args!("start {boot} with tables {found:?}, the journal ends at {end}"));
        self.work(None)
    }

    fn set_disk_full(&mut self, full: bool) {
        self.disk_full = full;
        self.machine.set_full(full);
    }

    /// From now on nothing goes wrong, and nobody wants anything new.
    fn calm_down(&mut self) {
        self.trace.line(self.now_us, format_args!("calm"));
        self.calm = true;
        self.set_disk_full(false);
        (self.disk_slow, self.cut_off, self.sync_fault) = (false, false, None);
        if self.machine.running.is_none() {
            self.after(1_000, Next::Start);
        }
        self.wake_all();
    }

    /// Everybody learns what became of what they asked for, within bounded steps.
    fn quiesce(&mut self) -> Kept {
        let unknown = self.clients.iter().flat_map(|client| &client.intents);
        let unknown = unknown.filter(|intent| intent.outcome == Outcome::Open).count();
        // Of a crowd, some may still be about to ask.
        let asked = self.coming.len() + unknown + self.clients.len() + self.board.made.len();
        let most = EVENTS_PER_ANSWER * asked;
        for _ in 0..=most {
            let all_know = self.clients.iter().all(|client| client.asking.is_none() && client.unresolved().is_none());
            if all_know && self.machine.is_idle() {
                return Ok(());
            }
            if !self.happen()? {
                break;
            }
        }
        let open: Vec<_> =
            (0..).zip(&self.clients).filter_map(|(n, c): (usize, _)| Some((n, c.unresolved()?))).collect();
        Err(broken(
            "when faults stop, everybody is answered within bounded steps",
            most,
            (open, self.machine.is_idle()),
        ))
    }

    /// Whoever asks again for what was done is told the same; the oracle compares every answer.
    fn ask_all_again(&mut self) -> Kept {
        for number in 0..self.clients.len() {
            let client = &mut self.clients[number];
            let done = (0..).zip(&client.intents).filter(|(_, intent)| intent.outcome == Outcome::Done);
            let mut done: Vec<usize> = done.map(|(at, _)| at).collect();
            done.reverse();
            for intent in done.into_iter().take(5) {
                self.clients[number].take_up(intent);
                self.send(number, intent);
                self.quiesce()?;
            }
        }
        Ok(())
    }

    /// Every hold ends by itself, without anybody asking.
    fn let_holds_run_out(&mut self) -> Kept {
        let live = |world: &Self| {
            let holds = world.oracle.shop().reservations.values();
            holds.filter(|hold| hold.status == ReservationStatus::Held).count()
        };
        // Slewed time comes nearer to a deadline by nine tenths with each alarm. Of a crowd, some may still be
        // about to ask.
        let mut left = EVENTS_PER_ANSWER * self.coming.len() + 100 * (1 + live(self));
        while live(self) > 0 || !self.machine.is_idle() {
            left = left.saturating_sub(1);
            if left == 0 || !self.happen()? {
                return Err(broken("every hold ends by itself, within bounded steps", "no live holds", live(self)));
            }
        }
        Ok(())
    }

    /// Lets the site come to rest, after something was brought to it.
    pub(crate) fn settle(&mut self) -> Kept {
        for _ in 0..SETTLING_EVENTS_MAX {
            if self.machine.is_idle() && !self.machine.has_timer_within(SETTLING_MS) {
                return Ok(());
            }
            if !self.happen()? {
                break;
            }
        }
        Err(broken("a site comes to rest within bounded steps", "rest", (self.machine.is_idle(), self.coming.len())))
    }

    /// Transfers that were asked for here.
    pub(crate) fn transfers(&self) -> usize {
        self.oracle.shop().transfers.len()
    }

    /// What is left of transfers for people to do here.
    pub(crate) fn steps_of_people(&self) -> Vec<Command> {
        self.oracle.steps_of_people(self.machine.now())
    }

    /// People hand out and receive what is left of transfers, and try to do again what was done. Answers how
    /// many steps were left.
    pub(crate) fn finish_transfers(&mut self) -> Kept<usize> {
        let steps = self.steps_of_people();
        let count = steps.len();
        for step in steps.into_iter().chain(self.oracle.steps_taken()) {
            self.somebody_wants(self.now_us, step)?;
            self.settle()?;
        }
        Ok(count)
    }

    /// What must hold in the end.
    pub(crate) fn finish(&mut self) -> Kept {
        same("the site runs in the end", &true, &self.machine.is_idle())?;
        if let Some(rows) = self.machine.rows() {
            self.oracle.compare_all(rows)?;
        }
        self.machine.compare_with_refold()?;
        same("all that is durable was acknowledged", &self.machine.disk.end(), &self.oracle.acknowledged().seq)?;
        let holds = self.oracle.shop().reservations.values();
        self.figures.expired = holds.filter(|hold| hold.status == ReservationStatus::Expired).count() as u64;
        self.figures.effects = self.oracle.effects;
        self.figures.days = self.oracle.days;
        (self.figures.asks, self.figures.grants, self.figures.declines) = self.oracle.dealt;
        self.figures.sold_elsewhere = self.oracle.sold_elsewhere;
        self.trace.line(self.now_us, format_args!("the end"));
        Ok(())
    }

    fn wake_all(&mut self) {
        for client in 0..self.clients.len() {
            let soon = self.chance.within(1..1_000);
            self.wake(client, soon);
        }
    }

    fn clocks(&self) -> Clocks {
        let wall = BEGIN_MS + self.now_us / 1_000;
        Clocks { now_us: self.now_us, wall_ms: wall.saturating_add_signed(self.wall_off_ms) }
    }

    fn after(&mut self, us: u64, next: Next) {
        let at = (self.now_us + us, self.next_number());
        self.coming.insert(at, next);
    }

    fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
