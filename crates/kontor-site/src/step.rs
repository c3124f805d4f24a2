//! The site's logic: commands, groups of other sites, results and time in; appends, rows and answers
//! out. Synchronous and without IO, so that the simulator runs exactly what the server runs.
//!
//! At most one append is on its way. What comes meanwhile waits and becomes the next group.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use kontor_core::command::{Command, Context, Request};
use kontor_core::decide::{self, Decision};
use kontor_core::event::{Entry, Event};
use kontor_core::fold::{self, At};
use kontor_core::group::{self, GroupBody, GroupError, GroupHeader, Seen};
use kontor_core::id::{Actor, CartId, Position, RequestId, ReservationId, SiteId};
use kontor_core::limits::{DUE_HOLDS_PER_TICK, ENTRY_BYTES_MAX, GROUP_BYTES_MAX};
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::record::{self, KeyParts, Table};
use kontor_core::refusal::{Refusal, Stop};
use kontor_core::site::SiteRow;
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, View, ViewError};

use crate::folded::Folded;
use crate::foreign::{Folding, Foreign, ForeignGroup, ForeignJournal, NotFolded};
use crate::limits::{GROUP_ENTRIES_MAX, TIMER_REST_MS};
use crate::offers::{Offer, Offers};
use crate::shares::{Item, Shares};

/// What a site is told.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants something; the answer will carry the ticket.
    Request {
        /// Chosen by the caller.
        ticket: u64,
        /// What is wanted.
        request: Request,
    },
    /// Groups of another site's journal, in its order and kept already; what came of it will carry the
    /// ticket.
    Foreign {
        /// Chosen by whoever brings them.
        ticket: u64,
        /// Whose journal.
        site: SiteId,
        /// As they were read, up to the first that could not be.
        groups: Vec<Result<ForeignGroup, GroupError>>,
    },
    /// The append that was asked for has ended.
    Appended(Appended),
    /// Write nothing from now on, for this reason. Other sites' groups are folded all the same.
    FallSilent(String),
}

/// How an append ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is durable.
    Durable,
    /// It is not in the journal, and never will be.
    NotWritten(String),
    /// Nobody knows.
    Unknown(String),
}

/// What a site wants done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Append this group, and say how it ended.
    Append {
        /// Its place.
        seq: u64,
        /// Its bytes.
        group: Vec<u8>,
    },
    /// Write these rows to the tables; they are durable already.
    Write {
        /// Whose journal they are folded from.
        site: SiteId,
        /// The rows.
        changes: Changes,
        /// The group that they go up to.
        folded: Folded,
    },
    /// Tell whoever brought another site's groups.
    Read {
        /// Given with the groups.
        ticket: u64,
        /// How far the journal is folded now; where all that was brought was not folded, with the reason.
        result: Result<Folded, (Folded, NotFolded)>,
    },
    /// Tell whoever asked.
    Answer {
        /// Given with the request.
        ticket: u64,
        /// What became of it.
        answer: Result<Answer, NotDone>,
    },
    /// The outcome of an append is unknown: stop, and start again from the journal.
    Halt(String),
}

/// What has been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The entry in this site's journal.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: SiteTime,
    /// What happened.
    pub events: Vec<Event>,
    /// Whether it happened before, for a request with the same key.
    pub replayed: bool,
}

/// Why nothing has been done, or why nobody can say.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotDone {
    /// The domain says no. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// More requests wait than the site takes. Nothing has changed; try again.
    #[error("more requests are waiting than the site takes")]
    Overloaded,
    /// The journal could not take it. Nothing has changed; try again when there is room.
    #[error("the journal took nothing: {0}")]
    NotWritten(String),
    /// The site writes nothing, because its journal is not what others hold of it. Nothing has changed.
    #[error("the site writes nothing: {0}")]
    Silent(String),
    /// The tables could not be read, or a rule broke. Nothing has changed.
    #[error("the request could not be decided: {0}")]
    Failed(String),
    /// The site stopped before it could say. It may have happened; ask again with the same key.
    #[error("the site stopped before the outcome was known")]
    Unknown,
}

/// Who writes a journal.
#[derive(Debug, Clone)]
pub struct Writer {
    /// The site.
    pub site: SiteId,
    /// The term of its journal that is written.
    pub term: u32,
    /// Greater than that of every writer of the term before.
    pub epoch: u32,
    /// Drawn for this run.
    pub nonce: u64,
}

/// A site between two inputs.
pub struct Step<V> {
    rows: V,
    writer: Writer,
    /// The end of the journal.
    end: Folded,
    waiting: VecDeque<(u64, Request)>,
    in_flight: Option<InFlight>,
    /// Live holds by deadline. In memory, because a table of them would be searched through the
    /// traces of all that have ended.
    due: BTreeSet<(SiteTime, ReservationId)>,
    /// There may be carts that nobody came back to.
    sweeps: bool,
    /// The timer rests until then, after a journal or tables that gave it nothing: a decision ends
    /// the due holds that it needs by itself.
    timer_rests_until: SiteTime,
    day: u64,
    foreign: Foreign,
    /// Shelves whose shares are to be seen to.
    shares: Shares,
    /// Work that other sites ask for, or have answered.
    offers: Offers,
    /// Own work was done last, while groups of other sites waited.
    foreign_is_next: bool,
    /// Why nothing is written any more, if it is not.
    silent: Option<String>,
    halted: bool,
}

/// A group that is being appended, and what waits for it.
struct InFlight {
    folded: Folded,
    entries: u32,
    seen: Vec<Seen>,
    changes: Changes,
    answers: Vec<(u64, Result<Answer, NotDone>)>,
    /// What it sees to.
    tended: Tended,
}

/// What the site sees to although nobody waits: looked at again if it was not written.
#[derive(Default)]
struct Tended {
    items: Vec<Item>,
    offers: Vec<Offer>,
}

impl<V: View> Step<V> {
    /// A site whose rows are folded up to `end`, the end of its journal. It reads the journals of the
    /// other sites that its rows know.
    pub fn new(rows: V, writer: Writer, end: Folded) -> Result<Self, ViewError> {
        let mut due = BTreeSet::new();
        rows.scan(Table::DUE, KeyRange { from: &[], before: &[u8::MAX; 9] }, &mut |key, _| {
            let mut parts = KeyParts(key);
            if let (Some(at), Some(id), Some(site)) = (parts.number(), parts.fixed(), parts.rest())
                && site == writer.site.as_str()
            {
                due.insert((SiteTime(at), ReservationId(id)));
            }
            true
        })?;
        let day = kontor_core::view::row::<SiteRow>(&rows, &writer.site, ())?;
        let day = day.map_or(0, |row| row.day);
        let mut foreign = Foreign::default();
        for site in rows.sites() {
            foreign.enroll(&rows, &writer.site, site)?;
        }
        let (mut shares, mut offers) = (Shares::default(), Offers::default());
        if rows.sites().len() > 1 {
            shares.look_at_all();
            offers.look_at_all();
        }
        Ok(Self {
            rows,
            writer,
            end,
            waiting: VecDeque::new(),
            in_flight: None,
            due,
            sweeps: true,
            timer_rests_until: SiteTime::default(),
            day,
            foreign,
            shares,
            offers,
            foreign_is_next: false,
            silent: None,
            halted: false,
        })
    }

    /// Begins to read another site's journal. `join` makes the rows look at that site from now on.
    pub fn enroll(&mut self, site: &SiteId, join: impl FnOnce(&mut V)) -> Result<(), ViewError> {
        join(&mut self.rows);
        self.shares.look_at_all();
        self.offers.look_at_all();
        self.foreign.enroll(&self.rows, &self.writer.site, site)
    }

    /// Reads another site's journal no further.
    pub fn stop_journal(&mut self, site: &SiteId, why: String) {
        self.foreign.stop(site, why);
    }

    /// Groups of another site were kept before a start and not folded, because they build on groups of
    /// others that were not there: nobody brings them again.
    pub fn arrives_early(&mut self, site: &SiteId, groups: Vec<Result<ForeignGroup, GroupError>>) {
        self.foreign.arrive(u64::MAX, site.clone(), groups);
    }

    /// The journals of other sites, and how far each is folded.
    pub fn journals(&self) -> impl Iterator<Item = (&SiteId, &ForeignJournal)> {
        self.foreign.journals()
    }

    /// The rows as of the last durable group.
    pub fn rows(&self) -> &V {
        &self.rows
    }

    /// Whose rows they are.
    pub fn site(&self) -> &SiteId {
        &self.writer.site
    }

    /// The end of the journal.
    pub fn end(&self) -> &Folded {
        &self.end
    }

    /// Requests that wait for the append on its way.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When the site wants to be called again although nothing has come.
    pub fn next_timer(&self) -> Option<SiteTime> {
        if self.halted || self.silent.is_some() {
            return None;
        }
        let due = self.due.first().map(|(at, _)| *at);
        let sweep = self.sweeps.then(SiteTime::default);
        let all = due.into_iter().chain(self.shares.next()).chain(self.offers.next()).chain(sweep);
        all.min().map(|at| at.max(self.timer_rests_until))
    }

    /// Takes inputs, decides what can be decided, and says what is to be done. `now` must not go back.
    ///
    /// After a [`Output::Write`] nothing is decided in the same call, because the rows of this view
    /// do not show the group before the caller has written it. So the caller does all outputs, and
    /// then calls again if the site [`Step::has_work`].
    pub fn step(&mut self, now: SiteTime, inputs: impl IntoIterator<Item = Input>) -> Vec<Output> {
        let mut outputs = Vec::new();
        for input in inputs {
            match input {
                Input::Request { ticket, .. } if self.halted => {
                    outputs.push(Output::Answer { ticket, answer: Err(NotDone::Unknown) });
                }
                Input::Request { ticket, request } => match &self.silent {
                    Some(why) => outputs.push(Output::Answer { ticket, answer: Err(NotDone::Silent(why.clone())) }),
                    None => self.waiting.push_back((ticket, request)),
                },
                Input::FallSilent(why) => {
                    let answer = |ticket| Output::Answer { ticket, answer: Err(NotDone::Silent(why.clone())) };
                    outputs.extend(self.waiting.drain(..).map(|(ticket, _)| answer(ticket)));
                    self.silent.get_or_insert(why);
                }
                Input::Foreign { ticket, site, groups } => self.foreign.arrive(ticket, site, groups),
                Input::Appended(result) => self.appended(now, result, &mut outputs),
            }
        }
        if self.halted {
            let read = self.foreign.give_up();
            outputs.extend(read.map(|read| Output::Read { ticket: read.ticket, result: read.result }));
        }
        let mut unwritten = outputs.iter().any(|output| matches!(output, Output::Write { .. }));
        while !unwritten && self.has_work(now) {
            // In turn: neither do buyers wait until all is folded, nor other sites until nobody buys.
            if self.foreign.waits() && (self.foreign_is_next || !self.has_own_work(now)) {
                unwritten = self.fold_foreign(&mut outputs);
            } else {
                self.next_group(now, &mut outputs);
                self.foreign_is_next = true;
            }
        }
        outputs
    }

    /// Whether there is something to decide or to fold, and no append on its way: the group that is
    /// being appended was decided on the rows as they are.
    pub fn has_work(&self, now: SiteTime) -> bool {
        self.in_flight.is_none() && !self.halted && (self.has_own_work(now) || self.foreign.waits())
    }

    fn has_own_work(&self, now: SiteTime) -> bool {
        !self.waiting.is_empty() || self.next_timer().is_some_and(|at| at <= now)
    }

    /// Folds some of what has arrived of other sites. Answers whether rows are to be written.
    fn fold_foreign(&mut self, outputs: &mut Vec<Output>) -> bool {
        self.foreign_is_next = false;
        let Folding { write, read } = self.foreign.fold_some(&self.rows, &self.writer.site);
        let writes = write.is_some();
        if let Some((_, changes, _)) = &write {
            self.shares.changed(changes);
            self.offers.changed(changes);
            self.offers.shelves_changed(changes);
        }
        outputs.extend(write.map(|(site, changes, folded)| Output::Write { site, changes, folded }));
        outputs.extend(read.map(|read| Output::Read { ticket: read.ticket, result: read.result }));
        writes
    }

    /// Finishes the append on its way.
    fn appended(&mut self, now: SiteTime, result: Appended, outputs: &mut Vec<Output>) {
        let Some(InFlight { folded, entries, seen, changes, answers, tended }) = self.in_flight.take() else { return };
        let answer = |(ticket, answer)| Output::Answer { ticket, answer };
        match result {
            Appended::Durable => {
                metrics::counter!("kontor_journal_entries_total").increment(entries.into());
                self.follow(&changes);
                self.end = folded.clone();
                self.foreign.said(&seen);
                outputs.push(Output::Write { site: self.writer.site.clone(), changes, folded });
                outputs.extend(answers.into_iter().map(answer));
            }
            Appended::NotWritten(why) => {
                // Refusals too: an effect that did not happen may have led to them.
                let end = self.end.seq;
                let told = answers.into_iter().map(|(ticket, answer)| match answer {
                    Ok(answer) if answer.is_durable_repeat(end) => (ticket, Ok(answer)),
                    _ => (ticket, Err(NotDone::NotWritten(why.clone()))),
                });
                outputs.extend(told.map(answer));
                self.shares.put_back(tended.items);
                self.offers.put_back(tended.offers);
                self.timer_rests_until = now.plus(TIMER_REST_MS);
            }
            Appended::Unknown(why) => {
                self.halted = true;
                let waiting = self.waiting.drain(..).map(|(ticket, _)| ticket);
                let all = answers.into_iter().map(|(ticket, _)| ticket).chain(waiting);
                outputs.extend(all.map(|ticket| answer((ticket, Err(NotDone::Unknown)))));
                outputs.push(Output::Halt(why));
            }
        }
    }

    /// Decides what waits, up to a full group, on top of the rows.
    fn next_group(&mut self, now: SiteTime, outputs: &mut Vec<Output>) {
        let mut draft = Draft {
            rows: Overlay::new(&self.rows),
            body: GroupBody::default(),
            writer: &self.writer,
            seq: self.end.seq + 1,
            now: now.max(self.end.time),
            earliest_due: self.due.first().map_or(SiteTime::NEVER, |(at, _)| *at),
            heard: self.foreign.heard(),
        };
        let mut answers = Vec::with_capacity(self.waiting.len());
        let mut own = Vec::new();
        if draft.now.day() > self.day {
            own.push(Command::StartDay);
        }
        let may_tend = self.timer_rests_until <= draft.now;
        let ends_holds = may_tend && draft.earliest_due <= draft.now;
        if ends_holds {
            let due = self.due.iter().take_while(|(at, _)| *at <= draft.now).take(DUE_HOLDS_PER_TICK);
            own.push(Command::EndDueHolds { ids: due.map(|(_, id)| *id).collect() });
        }
        let swept = if may_tend && self.sweeps { self.forgotten_carts(draft.now) } else { Vec::new() };
        self.sweeps &= !may_tend || !swept.is_empty();
        let sweeps = !swept.is_empty();
        own.extend(sweeps.then_some(Command::SweepCarts { ids: swept }));
        let timer_tried = !own.is_empty();
        let mut day_started = true;
        for command in own {
            let starts_day = matches!(command, Command::StartDay);
            // What the site wants of itself is never refused; it fails only if rows cannot be read.
            if let Err(error) = draft.decide(&own_request(command)) {
                tracing::error!("The site could not see to its own timers: {error}");
                day_started &= !starts_day;
            }
        }
        let before = draft.body.count();
        let mut tended = Tended::default();
        if may_tend {
            tended.items = draft.see_to_shares(&mut self.shares);
            tended.offers = draft.see_to_offers(&mut self.offers, &mut self.shares);
        }
        if self.waiting.is_empty() && !ends_holds && !sweeps && draft.body.count() == before {
            // A look at shares and offers led to nothing: no day is started for that alone.
            return;
        }
        while draft.has_room()
            && let Some((ticket, request)) = self.waiting.pop_front()
        {
            // An answer that is remembered before its day has started would be forgotten when it starts.
            let answer = match day_started {
                true => draft.decide(&request),
                false => Err(NotDone::Failed("the day could not be started".into())),
            };
            if let Err(NotDone::Refused(refusal)) = &answer {
                self.shares.refused(refusal);
            }
            answers.push((ticket, answer));
        }
        let Draft { body, mut rows, now, .. } = draft;
        if body.is_empty() {
            if timer_tried {
                self.timer_rests_until = now.plus(TIMER_REST_MS);
            }
            outputs.extend(answers.into_iter().map(|(ticket, answer)| Output::Answer { ticket, answer }));
            return;
        }
        let header = GroupHeader {
            site: self.writer.site.clone(),
            term: self.writer.term,
            seq: self.end.seq + 1,
            epoch: self.writer.epoch,
            writer: self.writer.nonce,
            time: now,
            previous: self.end.digest,
            seen: self.foreign.unsaid(),
        };
        fold::note_seen(&mut rows, &header.site, &header.seen);
        let changes = rows.into_changes();
        let group = group::encode(&header, &body);
        let (digest, last) = (group::digest(&group), body.count() - 1);
        let folded = Folded { term: header.term, seq: header.seq, last, digest, time: now };
        outputs.push(Output::Append { seq: header.seq, group });
        let (entries, seen) = (body.count(), header.seen);
        self.in_flight = Some(InFlight { folded, entries, seen, changes, answers, tended });
    }

    /// Carts that nobody has come back to, as many as are swept at a time.
    fn forgotten_carts(&self, now: SiteTime) -> Vec<CartId> {
        let found = decide::forgotten(&self.rows, &self.writer.site, now.day());
        found.unwrap_or_else(|error| {
            tracing::error!("The site could not look for forgotten carts: {error}");
            Vec::new()
        })
    }

    /// Keeps the lists in memory in step with the rows.
    fn follow(&mut self, changes: &Changes) {
        if self.rows.sites().len() > 1 {
            self.shares.changed(changes);
            self.offers.shelves_changed(changes);
        }
        for (key, value) in changes.of(Table::DUE) {
            let mut parts = KeyParts(key);
            let (Some(at), Some(id)) = (parts.number(), parts.fixed()) else { continue };
            if parts.rest() != Some(self.writer.site.as_str()) {
                continue;
            }
            let hold = (SiteTime(at), ReservationId(id));
            match value {
                Some(_) => self.due.insert(hold),
                None => self.due.remove(&hold),
            };
        }
        let own = changes.of(Table::SITES).find(|(key, _)| key.as_ref() == self.writer.site.as_str().as_bytes());
        if let Some((_, Some(row))) = own
            && let Ok(row) = record::decode::<SiteRow>(Table::SITES, row)
        {
            if row.day > self.day {
                self.sweeps = true;
                if self.rows.sites().len() > 1 {
                    self.shares.look_at_all();
                }
            }
            self.day = row.day;
        }
    }
}

fn own_request(command: Command) -> Request {
    let request_id = RequestId::parse("timer").expect("a short word is a request id");
    Request { command, actor: Actor::timer(), request_id, idempotency: None, fresh_id: [0; 16] }
}

/// A group while it is being decided.
struct Draft<'s> {
    rows: Overlay<'s>,
    body: GroupBody,
    writer: &'s Writer,
    seq: u64,
    now: SiteTime,
    earliest_due: SiteTime,
    heard: Vec<(SiteId, SiteTime)>,
}

impl Draft<'_> {
    /// Whether the largest entry still fits into the group.
    fn has_room(&self) -> bool {
        (self.body.count() as usize) < GROUP_ENTRIES_MAX && self.body.len() <= GROUP_BYTES_MAX - ENTRY_BYTES_MAX
    }

    /// Sees to the shares of some shelves, as far as there is room. Answers which.
    fn see_to_shares(&mut self, shares: &mut Shares) -> Vec<Item> {
        if shares.next().is_none_or(|at| at > self.now) || !self.has_room() {
            return Vec::new();
        }
        let (commands, items) = match shares.take(self.now, &self.rows) {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!("The site could not look at its shelves: {error}");
                return Vec::new();
            }
        };
        for command in commands {
            if !self.has_room() {
                // What a buyer wanted is asked for when the next one comes.
                shares.put_back(items);
                return Vec::new();
            }
            match self.decide(&own_request(command)) {
                Ok(answer) => shares.asked(&answer.events),
                Err(error) => tracing::error!("The site could not see to the shares of its shelves: {error}"),
            }
        }
        items
    }

    /// Sees to some offers, if there is room. Answers which.
    fn see_to_offers(&mut self, offers: &mut Offers, shares: &mut Shares) -> Vec<Offer> {
        if offers.next().is_none_or(|at| at > self.now) || !self.has_room() {
            return Vec::new();
        }
        let taken = match offers.take(self.now, &self.rows) {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!("The site could not look at its offers: {error}");
                return Vec::new();
            }
        };
        // Each in an entry of its own: what is wrong with one says nothing of the others.
        for (number, (id, asker)) in taken.iter().enumerate() {
            if !self.has_room() {
                offers.put_back(taken[number..].to_vec());
                return taken[..number].to_vec();
            }
            let request = own_request(Command::TendOffer { id: *id, asker: asker.clone() });
            let decided = self.decide(&request).map(|answer| shares.asked(&answer.events));
            if let Err(error) = decided {
                tracing::error!("The site could not see to {id} of {asker}: {error}");
            }
            let offer = (*id, asker.clone());
            if let Err(error) = offers.seen_to(&offer, &self.writer.site, self.now, &self.rows) {
                tracing::error!("The site could not look at {id} of {asker}: {error}");
            }
        }
        taken
    }

    /// Decides one request and folds what follows, on top of what was decided before it.
    fn decide(&mut self, request: &Request) -> Result<Answer, NotDone> {
        self.rows.attempt();
        // A panic is a mistake of ours. It happens before the append, so refusing this one request
        // leaves everything as it was.
        let decided = catch_unwind(AssertUnwindSafe(|| self.decide_unguarded(request)));
        let decided = decided.unwrap_or_else(|panic| {
            let why = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let why = why.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(request.id = %request.request_id, "A rule broke and its command was refused: {why}");
            metrics::counter!("kontor_panics_total").increment(1);
            Err(NotDone::Failed("a rule broke; this is a defect of the program".into()))
        });
        if decided.is_err() {
            self.rows.take_back();
        }
        decided
    }

    fn decide_unguarded(&mut self, request: &Request) -> Result<Answer, NotDone> {
        let context = Context {
            now: self.now,
            site: &self.writer.site,
            fresh_id: request.fresh_id,
            earliest_due: self.earliest_due,
            heard: &self.heard,
        };
        let events = match decide::decide(&self.rows, request, context) {
            Ok(Decision::Events(events)) => events,
            Ok(Decision::Repeat(before)) => {
                let (position, recorded_at) = (before.position, before.recorded_at);
                return Ok(Answer { position, recorded_at, events: before.events, replayed: true });
            }
            Err(Stop::Refused(refusal)) => return Err(refusal.into()),
            Err(Stop::Failed(error)) => return Err(NotDone::Failed(error.to_string())),
        };
        let position = Position { term: self.writer.term, seq: self.seq, index: self.body.count() };
        if events.is_empty() {
            return Ok(Answer { position, recorded_at: self.now, events, replayed: false });
        }
        let (actor, request_id) = (request.actor.clone(), request.request_id.clone());
        let mut entry = Entry { actor, request_id, idempotency: request.idempotency, events };
        let at = At { site: &self.writer.site, position, time: self.now };
        fold::apply(&mut self.rows, at, &entry).map_err(|error| NotDone::Failed(error.to_string()))?;
        let bytes = self.body.push(&mut entry);
        if bytes > ENTRY_BYTES_MAX {
            self.body.pop();
            let (given, max) = (bytes as u64, ENTRY_BYTES_MAX as u64);
            return Err(Refusal::LimitExceeded { what: "entry bytes", given, max }.into());
        }
        Ok(Answer { position, recorded_at: self.now, events: entry.events, replayed: false })
    }
}

impl Answer {
    /// Whether it repeats what a group up to `end` says; nothing that comes later can undo it.
    fn is_durable_repeat(&self, end: u64) -> bool {
        self.replayed && self.position.seq <= end
    }
}
