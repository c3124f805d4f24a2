//! What must hold, whatever happens: the judge of every group, every answer and every restart.
//!
//! The oracle knows what was asked, what the site asked of its disk, and what it answered. It never
//! asks the site what should be; it works that out on a [`shop::Shop`] of its own, and compares.

mod compare;
pub(crate) mod edits;
mod effects;
mod objections;
mod others;
pub(crate) mod shop;
pub(crate) mod transfers;

use std::collections::BTreeMap;

use kontor_core::command::{Command, Request};
use kontor_core::event::{Entry, Event};
use kontor_core::group::{self, Digest, Group};
use kontor_core::id::{Position, RequestId, SiteId};
use kontor_core::refusal::Refusal;
use kontor_core::reservation::{ReservationLine, ReservationStatus};
use kontor_core::time::SiteTime;
use kontor_site::step::{Answer, NotDone};
use kontor_storage::journal::JournalReader;

use effects::Booked;
use shop::{ShelfKey, Shop};

/// Something that must never happen.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which promise was broken.
    pub promise: String,
    /// What had to be.
    pub expected: String,
    /// What was.
    pub found: String,
}

/// A result that is an error only if a promise was broken.
pub(crate) type Kept<T = ()> = Result<T, Violation>;

pub(crate) fn broken(promise: &str, expected: impl std::fmt::Debug, found: impl std::fmt::Debug) -> Violation {
    Violation { promise: promise.into(), expected: format!("{expected:?}"), found: format!("{found:?}") }
}

/// Checks that two things are equal.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(promise: &str, expected: &T, found: &T) -> Kept {
    if expected == found { Ok(()) } else { Err(broken(promise, expected, found)) }
}

/// Days of the calendar before today whose answers are promised to be remembered: never less than seven
/// times 24 hours. Said here again: the oracle
/// takes nobody's word for a promise.
const REMEMBERED_DAYS: u64 = 7;

/// The judge of one site.
pub(crate) struct Oracle {
    site: SiteId,
    /// What all names of this site begin with, where there are others.
    prefix: String,
    shop: Shop,
    /// Every group that is durable, by seq from 1, and when it was decided.
    durable: Vec<(Digest, SiteTime)>,
    /// The last of them whose answers were given, or that a start has shown.
    acknowledged: usize,
    /// The append on its way, or of unknown outcome.
    pending: Option<Pending>,
    /// What was asked, by the id under which it is found in the journal.
    asked: BTreeMap<RequestId, Request>,
    /// What every key was answered last.
    answered: BTreeMap<[u8; 16], Remembered>,
    /// Requests that had an effect, in all.
    pub(crate) effects: u64,
    /// Journal days that were started.
    pub(crate) days: u64,
    /// Shares of shelves that were asked for, given and declined.
    pub(crate) dealt: (u64, u64, u64),
    /// Sales at locations of other sites.
    pub(crate) sold_elsewhere: u64,
}

struct Pending {
    bytes: Vec<u8>,
    group: Group,
}

/// What a key was answered.
#[derive(Debug, Clone)]
struct Remembered {
    fingerprint: [u8; 16],
    position: Position,
    recorded_at: SiteTime,
    events: Vec<Event>,
}

/// What became of one request of a group, in the order in which they were decided.
pub(crate) struct Decided<'a> {
    /// The request's id in the journal.
    pub(crate) id: &'a RequestId,
    /// What was answered.
    pub(crate) answer: &'a Result<Answer, NotDone>,
}

impl Oracle {
    /// Of a site whose journal is empty.
    pub(crate) fn new(site: SiteId, prefix: String) -> Self {
        Self {
            site,
            prefix,
            shop: Shop::default(),
            durable: Vec::new(),
            acknowledged: 0,
            pending: None,
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            effects: 0,
            days: 0,
            dealt: (0, 0, 0),
            sold_elsewhere: 0,
        }
    }

    /// The shop as it must be after the last durable group.
    pub(crate) fn shop(&self) -> &Shop {
        &self.shop
    }

    /// Somebody asks for something; the request may be lost, late or repeated.
    pub(crate) fn asked(&mut self, request: &Request) {
        self.asked.insert(request.request_id.clone(), request.clone());
    }

    /// The site wants a group appended, decided at `now`.
    pub(crate) fn appending(&mut self, seq: u64, bytes: &[u8], now: SiteTime) -> Kept {
        let group = group::decode(bytes).map_err(|error| broken("a group can be read again", "a group", error))?;
        let last = self.durable.last().copied().unwrap_or_default();
        let header = &group.header;
        same("one append at a time", &false, &self.pending.is_some())?;
        same("groups are numbered without a gap", &(self.durable.len() as u64 + 1), &seq)?;
        same("a group says its own number", &seq, &header.seq)?;
        same("a group says whose it is", &self.site, &header.site)?;
        same("the chain of digests is unbroken", &last.0, &header.previous)?;
        same("a group is decided at site time, which never goes back", &now.max(last.1), &header.time)?;
        same("a group holds something", &false, &group.entries.is_empty())?;
        self.pending = Some(Pending { bytes: bytes.to_vec(), group });
        Ok(())
    }

    /// The append was answered as durable, and these requests with it. Answers the shelves that
    /// the group has touched.
    pub(crate) fn durable(&mut self, answers: &[Decided<'_>]) -> Kept<Vec<ShelfKey>> {
        let Some(pending) = self.pending.take() else {
            return Err(broken("rows are written for a group that was appended", "an append", "none"));
        };
        let mut touched = self.book(&pending, Some(answers))?;
        touched.sort();
        touched.dedup();
        self.acknowledged = self.durable.len();
        Ok(touched)
    }

    /// The append is known not to have happened: nobody may be told that it did, and nobody who
    /// repeated what was durable before may be told that nothing was done.
    pub(crate) fn not_written(&mut self, answers: &[Decided<'_>]) -> Kept {
        let at = self.pending.take().map_or_else(SiteTime::default, |pending| pending.group.header.time);
        answers.iter().try_for_each(|answer| match answer.answer {
            Ok(told) if told.replayed => self.judge(answer, at),
            Err(NotDone::NotWritten(_)) if !self.repeats(answer, at) => Ok(()),
            told => Err(broken("nobody is told what did not become durable", "not written", told)),
        })
    }

    /// Requests that were answered without an append.
    pub(crate) fn answered(&mut self, answers: &[Decided<'_>], now: SiteTime) -> Kept {
        let at = now.max(self.durable.last().copied().unwrap_or_default().1);
        answers.iter().try_for_each(|answer| match answer.answer {
            Ok(told) if !told.replayed && !told.events.is_empty() => {
                Err(broken("nobody is told before it is durable", "no effect", told))
            }
            _ => self.judge(answer, at),
        })
    }

    /// The site has started again on this journal. A group whose append was in doubt is now known
    /// to be there, or not; all that was acknowledged must be. Answers the groups that came to
    /// light.
    pub(crate) fn restarted(&mut self, journal: &dyn JournalReader) -> Kept<u64> {
        let groups = journal.read(0, usize::MAX, usize::MAX);
        let groups = groups.map_err(|error| broken("a journal can be read", "groups", error))?;
        let digests: Vec<Digest> = groups.iter().map(|(_, bytes)| group::digest(bytes)).collect();
        let acknowledged: Vec<Digest> = self.durable.iter().map(|(digest, _)| *digest).collect();
        if !digests.starts_with(&acknowledged) {
            let kept = digests.iter().zip(&acknowledged).take_while(|(kept, told)| kept == told).count();
            let expected = format!("groups 1 to {}", acknowledged.len());
            let found = format!("{} groups, equal up to {kept}", digests.len());
            return Err(broken("nothing acknowledged is lost", expected, found));
        }
        let more = &groups[acknowledged.len()..];
        let pending = self.pending.take();
        match (more, pending) {
            ([], _) => Ok(0),
            ([(_, bytes)], Some(pending)) if **bytes == *pending.bytes => {
                self.book(&pending, None)?;
                self.acknowledged = self.durable.len();
                Ok(1)
            }
            (more, _) => Err(broken("a journal holds what the site appended", "at most the group in doubt", more)),
        }
    }

    /// Books a durable group entry by entry, with the answers between them if they are known.
    fn book(&mut self, pending: &Pending, answers: Option<&[Decided<'_>]>) -> Kept<Vec<ShelfKey>> {
        let Pending { bytes, group } = pending;
        let header = &group.header;
        self.durable.push((group::digest(bytes), header.time));
        let mut touched = Vec::new();
        let mut entries = (0..).zip(&group.entries).peekable();
        let booked =
            |index| Booked { position: Position { term: header.term, seq: header.seq, index }, at: header.time };
        if header.time.day() > self.shop.day {
            let first = entries.peek().map(|(_, entry)| entry.events.as_slice());
            let day = Event::DayStarted { day: header.time.day() };
            same("a day starts with its first group", &Some([day].as_slice()), &first)?;
        }
        while let Some((index, entry)) = entries.next_if(|(_, entry)| is_own(entry)) {
            self.book_own(entry, booked(index), &mut touched)?;
        }
        for answer in answers.into_iter().flatten() {
            match answer.answer {
                Ok(told) if !told.replayed && !told.events.is_empty() => {
                    let Some((index, entry)) = entries.next() else {
                        return Err(broken("what was told is in the journal", told, "no more entries"));
                    };
                    let Booked { position, at } = booked(index);
                    let kept = Answer { position, recorded_at: at, events: entry.events.clone(), replayed: false };
                    same("what was told is in the journal", &kept, told)?;
                    same("everybody is told of their own request", &entry.request_id, answer.id)?;
                    self.book_entry(entry, booked(index), &mut touched)?;
                }
                _ => self.judge(answer, header.time)?,
            }
        }
        match answers {
            Some(_) if entries.peek().is_some() => {
                Err(broken("every entry of a group is somebody's", "no more entries", entries.next()))
            }
            _ => {
                for (index, entry) in entries {
                    self.book_entry(entry, booked(index), &mut touched)?;
                }
                Ok(touched)
            }
        }
    }

    /// What the site does for itself: starting days, ending holds that are due.
    fn book_own(&mut self, entry: &Entry, booked: Booked, touched: &mut Vec<ShelfKey>) -> Kept {
        if let Some(Event::TransferAnswered { .. } | Event::TransferSaid { .. }) = entry.events.last() {
            return self.tends(entry, booked, touched);
        }
        for event in &entry.events {
            match event {
                Event::DayStarted { day } => {
                    same("a day starts on its day", &booked.at.day(), day)?;
                    self.shop.day = *day;
                    self.days += 1;
                }
                Event::ReservationEnded { .. } => self.hold_ran_out(event, booked, touched)?,
                dealing => self.deals(dealing, booked, touched)?,
            }
        }
        Ok(())
    }

    fn hold_ran_out(&mut self, told: &Event, booked: Booked, touched: &mut Vec<ShelfKey>) -> Kept {
        let Event::ReservationEnded { id, status: ReservationStatus::Expired, .. } = told else {
            return Err(broken("nothing happens that nobody asked for", "holds that ran out", told));
        };
        let hold = self.shop.reservations.get(id).filter(|hold| hold.status == ReservationStatus::Held);
        let Some(hold) = hold else { return Err(broken("a hold ends once", "a hold", told)) };
        if hold.expires_at > booked.at {
            return Err(broken("no hold ends before its deadline", hold.expires_at, booked.at));
        }
        touched.extend(hold.lines.iter().map(|line| line.shelf.clone()));
        let expected = self.shop.end(*id, ReservationStatus::Expired, booked.at);
        same("the end of a hold is told as it was held", &expected.as_ref(), &Some(told))
    }

    /// One effect: asked for, new, permitted, and told as it must be.
    fn book_entry(&mut self, entry: &Entry, booked: Booked, touched: &mut Vec<ShelfKey>) -> Kept {
        self.effects += 1;
        let Some(request) = self.asked.get(&entry.request_id).cloned() else {
            return Err(broken("nothing happens that nobody asked for", "a request", entry));
        };
        same("an entry carries the key of its request", &request.idempotency, &entry.idempotency)?;
        same("an entry names who wanted it", &request.actor, &entry.actor)?;
        if let Some(key) = entry.idempotency {
            if let Some(before) = self.remembered(&key.scope, booked.at) {
                return Err(broken("no request takes effect twice", before, (booked.position, entry)));
            }
            let kept = Remembered {
                fingerprint: key.fingerprint,
                position: booked.position,
                recorded_at: booked.at,
                events: entry.events.clone(),
            };
            self.answered.insert(key.scope, kept);
        }
        let Some((told, freed)) = entry.events.split_last() else {
            return Err(broken("an entry says what happened", "events", entry));
        };
        let is_transfer = is_transfer(&request.command);
        let is_freed =
            |event: &&Event| matches!(event, Event::ReservationEnded { status: ReservationStatus::Expired, .. });
        for ended in freed.iter().filter(|event| !is_transfer || is_freed(event)) {
            self.hold_ran_out(ended, booked, touched)?;
        }
        if is_common(&request.command) {
            return Ok(());
        }
        self.receives_once(&request.command)?;
        let objections = self.shop.objections(&self.site, &request.command, booked.at);
        if !objections.is_empty() {
            let found = format!("done: {:?}", request.command);
            return Err(broken("what must be refused is refused (nothing is sold twice)", objections, found));
        }
        if is_transfer {
            let told: Vec<&Event> = entry.events.iter().filter(|event| !is_freed(event)).collect();
            return self.transfer_booked(&request, &told, booked, touched);
        }
        let sales = if let Event::ReservationMade { lines, .. } = told { lines.as_slice() } else { &[] };
        let is_elsewhere = |line: &&ReservationLine| self.shop.home_elsewhere(&line.location).is_some();
        self.sold_elsewhere += sales.iter().filter(is_elsewhere).count() as u64;
        let expected = self.shop.carry_out(&request, booked, told);
        same("an effect is told as it is", &expected.as_ref(), &Some(told))?;
        touched.extend(shop::shelves_of(&request.command));
        let held = match told {
            Event::ReservationEnded { id, .. } | Event::StockMoved { reservation: Some(id), .. } => {
                self.shop.reservations.get(id)
            }
            _ => None,
        };
        touched.extend(held.into_iter().flat_map(|hold| &hold.lines).map(|line| line.shelf.clone()));
        Ok(())
    }

    /// A refusal must have its reason, and a repeat its first answer.
    fn judge(&self, decided: &Decided<'_>, now: SiteTime) -> Kept {
        let Some(request) = self.asked.get(decided.id) else {
            return Err(broken("nobody is answered who did not ask", "a request", decided.id));
        };
        if is_common(&request.command) {
            return Ok(());
        }
        let remembered = request.idempotency.and_then(|key| Some((key, self.remembered(&key.scope, now)?)));
        match (decided.answer, remembered) {
            (Ok(told), Some((key, before))) if told.replayed && before.fingerprint == key.fingerprint => {
                let Remembered { position, recorded_at, events, .. } = before.clone();
                same("a repeat is answered as before", &Answer { position, recorded_at, events, replayed: true }, told)
            }
            (Ok(told), None) if !told.replayed && told.events.is_empty() => {
                let objections = self.shop.objections(&self.site, &request.command, now);
                match self.shop.is_so(&request.command) && objections.is_empty() {
                    true => Ok(()),
                    false => Err(broken("what is not so is done or refused", objections, &request.command)),
                }
            }
            (Ok(told), before) => Err(broken("only what was done before is replayed", before, told)),
            (Err(NotDone::Refused(Refusal::KeyReused)), Some((key, before)))
                if before.fingerprint != key.fingerprint =>
            {
                Ok(())
            }
            (Err(NotDone::Refused(refusal)), None) => {
                let objections = self.shop.objections(&self.site, &request.command, now);
                if objections.contains(&without_others(refusal)) {
                    return Ok(());
                }
                let found = format!("{refusal:?} to {:?} at {}", request.command, now.0);
                Err(broken("a refusal has its reason", objections, found))
            }
            (Err(not_done), before) => {
                Err(broken("a key that was used is answered with its effect, another is decided", before, not_done))
            }
        }
    }

    /// Whether a request repeats what was durable before.
    fn repeats(&self, decided: &Decided<'_>, now: SiteTime) -> bool {
        let key = self.asked.get(decided.id).and_then(|request| request.idempotency);
        let before = key.and_then(|key| Some((key, self.remembered(&key.scope, now)?)));
        before.is_some_and(|(key, before)| key.fingerprint == before.fingerprint)
    }

    /// The answer that a key must be given again at `now`: those of today and the seven days before.
    fn remembered(&self, scope: &[u8; 16], now: SiteTime) -> Option<&Remembered> {
        let kept = self.answered.get(scope)?;
        (kept.recorded_at.day() + REMEMBERED_DAYS >= now.day()).then_some(kept)
    }
}

/// Whether the command is about a product that several sites edit. What it leads to depends on what was
/// read of the others: that they end with equal rows is judged among them.
fn is_common(command: &Command) -> bool {
    match command {
        Command::EditProduct { id, .. } | Command::DeleteProduct { id, .. } => id.as_str().starts_with("common-"),
        Command::DescribeSite { .. } => true,
        _ => false,
    }
}

/// Whether the command is about a transfer, which takes more than one event to tell.
fn is_transfer(command: &Command) -> bool {
    matches!(
        command,
        Command::AskTransfer { .. }
            | Command::WithdrawTransfer { .. }
            | Command::DispatchTransfer { .. }
            | Command::ReceiveTransfer { .. }
    )
}

/// What a refusal says of this site alone: whether others hold units is their business.
fn without_others(refusal: &Refusal) -> Refusal {
    match refusal.clone() {
        Refusal::QuotaExhaustedHere { sku, location, wanted, available, elsewhere: 1.., .. } => {
            Refusal::InsufficientStock { sku, location, wanted, available }
        }
        other => other,
    }
}

fn is_own(entry: &Entry) -> bool {
    entry.idempotency.is_none() && entry.actor.as_str() == "timer"
}
