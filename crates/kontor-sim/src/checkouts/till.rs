//! The site of a shop: its step, its journal in memory, its rows and its list of calls, and when it dies.

use std::sync::Arc;

use bytes::Bytes;
use kontor_core::command::{Command, Idempotency, Request};
use kontor_core::event::Event;
use kontor_core::group;
use kontor_core::id::{Actor, PaymentId, RequestId, SiteId};
use kontor_core::overlay::Changes;
use kontor_core::payment::call::{Call, Operation, Outcome, Trouble};
use kontor_core::payment::record::{Payment, Pending};
use kontor_core::record::{Primary, decode};
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View as _, ViewError, row};
use kontor_site::check::{self, Report, Walk};
use kontor_site::folded::Folded;
use kontor_site::payments::{self, Calls, Make};
use kontor_site::recover::{Terms, recover};
use kontor_site::rows::{SnapshotRows, WriterRows, in_memory};
use kontor_site::step::{Answer, Appended, Input, NotDone, Output, Step, Writer};
use kontor_storage::journal::Journal as _;
use kontor_storage::journal::memory::{MemoryDisk, MemoryJournal};

use crate::chance::Chance;
use crate::oracle::{Kept, broken, same};

/// How long a provider remembers keys here.
const KEY_LIFETIME_MS: u64 = 24 * 3_600_000;

/// When the process dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crash {
    /// Never.
    Never,
    /// So often, of a thousand groups and calls.
    ByChance {
        /// How often.
        per_mille: u16,
    },
    /// Once.
    At(Point),
}

/// A moment at which a process can die.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// With a group.
    Group {
        /// The number of the group in the journal.
        seq: u64,
        /// Before it is written, when it is durable and nobody was told, or when it was written and not synced.
        phase: Phase,
        /// What is in it, by the names of its events.
        events: Vec<String>,
    },
    /// After a call was made, and before its answer came.
    Call {
        /// Which.
        key: String,
    },
}

/// How far a group has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is nowhere.
    Before,
    /// The disk has it by luck.
    Unsynced,
    /// It is durable, and nobody was told.
    Unanswered,
}

pub(super) struct Till {
    site: SiteId,
    disk: MemoryDisk,
    chance: Chance,
    pub(super) crash: Crash,
    pub(super) boot: u32,
    pub(super) crashes: u64,
    /// Where it could have died.
    pub(super) points: Vec<Point>,
    running: Option<Running>,
    requests: u64,
}

struct Running {
    step: Step<WriterRows>,
    journal: MemoryJournal,
    calls: Calls,
}

impl Till {
    pub(super) fn new(seed: u64, crash: Crash) -> Self {
        Self {
            site: SiteId::parse("main").expect("a short word is a site"),
            disk: MemoryDisk::new(),
            chance: Chance::of(seed, "till"),
            crash,
            boot: 0,
            crashes: 0,
            points: Vec::new(),
            running: None,
            requests: 0,
        }
    }

    /// Starts on what the disk holds.
    pub(super) fn start(&mut self, now: SiteTime) -> Kept {
        self.boot += 1;
        let journal = MemoryJournal::open(self.disk.clone());
        let rows = WriterRows::new(in_memory(), vec![self.site.clone()]);
        let end = recover(&rows, &self.site, &vec![(1, journal.reader())], |_| {});
        let end = end.map_err(|error| broken("a start finds what was written", "rows", error))?;
        let end = if end.term == 0 { Folded { term: 1, ..end } } else { end };
        let mut calls = Calls::new(now.0, KEY_LIFETIME_MS);
        for (call, pending) in due(&rows, &self.site).map_err(unreadable)? {
            calls.begin(call, pending.since);
        }
        let writer = Writer { site: self.site.clone(), term: 1, epoch: self.boot, nonce: u64::from(self.boot) };
        let step = Step::new(rows, writer, end).map_err(unreadable)?;
        self.running = Some(Running { step, journal, calls });
        Ok(())
    }

    /// Gives the site a command. `None`: it died, and nobody knows.
    pub(super) fn submit(
        &mut self,
        now: SiteTime,
        who: &str,
        idempotency: Option<Idempotency>,
        command: Command,
    ) -> Kept<Option<Result<Answer, NotDone>>> {
        self.requests += 1;
        let actor = Actor::parse(who).map_err(|error| broken("a word is an actor", who, error))?;
        let request_id = RequestId::parse(format!("r{}", self.requests));
        let request_id = request_id.map_err(|error| broken("a word is an id", "r", error))?;
        let fresh_id = self.chance.bytes();
        let request = Request { command, actor, request_id, idempotency, fresh_id };
        self.feed(now, vec![Input::Request { ticket: 1, request }])
    }

    /// Lets the site see to what is due.
    pub(super) fn tick(&mut self, now: SiteTime) -> Kept {
        self.feed(now, Vec::new()).map(drop)
    }

    fn feed(&mut self, now: SiteTime, mut inputs: Vec<Input>) -> Kept<Option<Result<Answer, NotDone>>> {
        let mut told = None;
        loop {
            let Some(running) = &mut self.running else { return Ok(None) };
            let mut append = None;
            for output in running.step.step(now, std::mem::take(&mut inputs)) {
                match output {
                    Output::Append { seq, group } => append = Some((seq, group)),
                    Output::Write { changes, folded, .. } => self.write(&changes, &folded)?,
                    Output::Answer { answer, .. } => told = Some(answer),
                    Output::Halt(why) => return Err(broken("a good disk halts nobody", "no halt", why)),
                    Output::Read { .. } => {}
                }
            }
            match append {
                Some((seq, group)) => {
                    if !self.append(now, seq, &group)? {
                        return Ok(None);
                    }
                    inputs.push(Input::Appended(Appended::Durable));
                }
                None if self.running.as_ref().is_some_and(|running| running.step.has_work(now)) => {}
                None => return Ok(told),
            }
        }
    }

    /// Writes rows, and follows what the journal says of calls.
    fn write(&mut self, changes: &Changes, folded: &Folded) -> Kept {
        let Some(running) = &mut self.running else { return Ok(()) };
        let rows = running.step.rows();
        let written = rows.write(changes, folded.encode(), &self.site);
        written.map_err(|error| broken("tables in memory can be written", "a write", error))?;
        for id in payments::changed(changes) {
            let payment = row::<Payment>(running.step.rows(), &self.site, id).map_err(unreadable)?;
            running.calls.follow(id, payment);
        }
        Ok(())
    }

    /// Writes a group, or dies with it. Answers whether the site lives.
    fn append(&mut self, now: SiteTime, seq: u64, bytes: &[u8]) -> Kept<bool> {
        let events = names(bytes)?;
        let phases = [Phase::Before, Phase::Unsynced, Phase::Unanswered];
        let points = phases.map(|phase| Point::Group { seq, phase, events: events.clone() });
        self.points.extend(points.clone());
        let dies = match &self.crash {
            Crash::Never => None,
            Crash::At(point) => points.iter().position(|at| at == point),
            Crash::ByChance { per_mille } => {
                let dies = self.chance.within(0..1_000) < u64::from(*per_mille);
                dies.then(|| usize::try_from(self.chance.within(0..3)).unwrap_or(0))
            }
        };
        let Some(running) = &mut self.running else { return Ok(false) };
        match dies.map(|at| phases[at]) {
            Some(Phase::Before) => {}
            Some(Phase::Unsynced) => {
                let written = self.disk.write(bytes);
                written.map_err(|error| broken("a good disk takes a group", "a write", error.to_string()))?;
                self.disk.crash(usize::try_from(self.chance.within(0..2)).unwrap_or(0));
            }
            Some(Phase::Unanswered) | None => {
                let appended = running.journal.append(seq, bytes);
                appended.map_err(|error| broken("a good disk takes a group", "an append", error))?;
            }
        }
        match dies {
            None => Ok(true),
            Some(_) => self.dies(now).map(|()| false),
        }
    }

    /// The power fails, and comes back at once.
    fn dies(&mut self, now: SiteTime) -> Kept {
        self.running = None;
        self.disk.crash(0);
        self.crashes += 1;
        if matches!(self.crash, Crash::At(_)) {
            self.crash = Crash::Never;
        }
        self.start(now)
    }

    /// The provider was asked, and has not answered.
    pub(super) fn may_die_after_call(&mut self, now: SiteTime, call: &Call) -> Kept {
        let point = Point::Call { key: call.key() };
        let dies = match &self.crash {
            Crash::Never => false,
            Crash::At(at) => *at == point,
            Crash::ByChance { per_mille } => self.chance.within(0..1_000) < u64::from(*per_mille),
        };
        self.points.push(point);
        if dies { self.dies(now) } else { Ok(()) }
    }

    /// When the site wants to be called although nobody asks.
    pub(super) fn next_timer(&self) -> Option<SiteTime> {
        self.running.as_ref()?.step.next_timer()
    }

    pub(super) fn next_call_ms(&self) -> Option<u64> {
        self.running.as_ref()?.calls.next_ms()
    }

    pub(super) fn due_calls(&mut self, now_ms: u64) -> Vec<Make> {
        self.running.as_mut().map(|running| running.calls.due(now_ms)).unwrap_or_default()
    }

    /// What came of a call is told to the site.
    pub(super) fn call_ended(
        &mut self,
        now: SiteTime,
        call: &Call,
        result: Result<Option<Outcome>, Trouble>,
        chance: u64,
    ) -> Kept {
        let told = self.running.as_mut().and_then(|running| running.calls.ended(now.0, call, result, chance));
        match told {
            Some(command) => self.submit(now, "payments", None, command).map(drop),
            None => Ok(()),
        }
    }

    /// The call of a payment that is to be made, if it is of this kind.
    pub(super) fn pending(&self, id: PaymentId, operation: Operation) -> Kept<Option<u16>> {
        let Some(running) = &self.running else { return Ok(None) };
        let payment = row::<Payment>(running.step.rows(), &self.site, id).map_err(unreadable)?;
        let pending = payment.and_then(|payment| payment.pending);
        Ok(pending.filter(|pending| pending.operation == operation).map(|pending| pending.attempt))
    }

    /// A row as it is.
    pub(super) fn row<R: Primary>(&self, key: R::Key<'_>) -> Kept<Option<R>> {
        let Some(running) = &self.running else { return Ok(None) };
        row::<R>(running.step.rows(), &self.site, key).map_err(unreadable)
    }

    /// All rows of a kind.
    pub(super) fn rows<R: Primary>(&self) -> Kept<Vec<(Bytes, R)>> {
        let Some(running) = &self.running else { return Ok(Vec::new()) };
        let (mut found, mut failed) = (Vec::new(), None);
        let range = KeyRange { from: &[], before: &[u8::MAX; 300] };
        let scanned = running.step.rows().scan(R::TABLE, range, &mut |key, value| {
            match decode::<R>(R::TABLE, value) {
                Ok(row) => found.push((Bytes::copy_from_slice(key), row)),
                Err(error) => failed = Some(error),
            }
            true
        });
        scanned.map_err(unreadable)?;
        failed.map_or(Ok(found), |error| Err(unreadable(error)))
    }

    /// Every rule of `kontor check`, over the whole journal and the rows.
    pub(super) fn check(&self) -> Kept {
        let journal = MemoryJournal::open(self.disk.clone());
        let terms: Terms = vec![(1, journal.reader())];
        let fresh = WriterRows::new(in_memory(), vec![self.site.clone()]);
        let mut report = Report::default();
        let mut walk = Walk::new(&fresh, &self.site, &terms);
        let walked = walk.to((u32::MAX, 0), &mut report, |_| {});
        walked.map_err(|error| broken("a journal can be checked", "a walk", error))?;
        let rows = SnapshotRows::new(fresh.tables(), Arc::from([self.site.clone()]));
        check::rows(&rows, &self.site, &mut report).map_err(unreadable)?;
        let broken_rules: Vec<_> = report.broken.iter().take(3).collect();
        same("the journal and its rows keep every rule", &Vec::new(), &broken_rules)
    }
}

/// The calls that are to be made, as rows have them.
fn due(rows: &WriterRows, site: &SiteId) -> Result<Vec<(Call, Pending)>, ViewError> {
    let (mut found, mut failed) = (Vec::new(), None);
    rows.scan(Payment::TABLE, KeyRange { from: &[], before: &[u8::MAX; 300] }, &mut |key, value| {
        let Some((id, of)) = kontor_core::payment::record::parts(key) else { return true };
        match decode::<Payment>(Payment::TABLE, value) {
            Ok(payment) if of == site.as_str() => {
                let call = payment.call(id).zip(payment.pending);
                found.extend(call.filter(|(_, pending)| pending.parked.is_none()));
            }
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
        true
    })?;
    failed.map_or(Ok(found), Err)
}

/// The names of the events of a group.
fn names(bytes: &[u8]) -> Kept<Vec<String>> {
    let group = group::decode(bytes).map_err(|error| broken("a group can be read", "a group", error))?;
    let name = |event: &Event| {
        let told = format!("{event:?}");
        told.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    };
    Ok(group.entries.iter().flat_map(|entry| entry.events.iter().map(name)).collect())
}

fn unreadable(error: ViewError) -> crate::oracle::Violation {
    broken("rows can be read", "rows", error)
}
