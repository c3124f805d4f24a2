//! Imports of stock: what came in or was counted, every line once, and taken back.

use super::all::draft;
use super::jobs::{Room, ascending};
use super::{Rules, limit};
use crate::command::{Inbound, Line, Note, StockItem};
use crate::event::Event;
use crate::fold::{At, apply};
use crate::id::{JobId, LocationId, Position, Sku};
use crate::job::{JobKind, JobStep, JobUndone, LineDone, LineOutcome, LinesDone};
use crate::limits::{UNDO_LOOKS_BACK_MAX, UPSERT_LINES_MAX};
use crate::movement::{Movement, MovementKind};
use crate::overlay::Overlay;
use crate::quantity::Quantity;
use crate::record::{Table, decode, size};
use crate::refusal::{Refusal, Stop};
use crate::text::Reference;
use crate::time::SiteTime;
use crate::view::KeyRange;

/// The code of what is left as it is.
const CHANGED_SINCE: &str = "changed_since";

impl Rules<'_> {
    /// Books lines until the entry is full, each on top of the ones before it.
    pub(super) fn book_stock(self, step: &JobStep, items: &[StockItem]) -> Result<Vec<Event>, Stop> {
        let job = self.job_at(step, &[JobKind::Stock, JobKind::Counts])?;
        let mut all: Vec<Result<&StockItem, &LineDone>> =
            items.iter().map(Ok).chain(step.rejected.iter().map(Err)).collect();
        let number = |item: &Result<&StockItem, &LineDone>| item.map_or_else(|done| done.line, |item| item.line);
        all.sort_by_key(number);
        limit("lines", all.len() as u64, UPSERT_LINES_MAX as u64)?;
        ascending(step.from_line, step.through_line, all.iter().map(number))?;
        let (id, through_line) = (step.job, step.through_line);
        let (from_line, previous) = (step.from_line, job.last_chunk);
        let mut done = LinesDone { job: Some(id), from_line, through_line, lines: Vec::new(), previous };
        let (mut rows, mut room, mut events) = (Overlay::new(self.view), Room::new(), Vec::new());
        for item in all {
            let (line, booked) = match item {
                Err(done) => (done.clone(), Vec::new()),
                Ok(item) => Rules { view: &rows, context: self.context }.book(job.started.kind, id, item)?,
            };
            if !room.take(size(&line) + booked.iter().map(size).sum::<usize>()) {
                done.through_line = line.line - 1;
                break;
            }
            self.lay(&mut rows, &booked)?;
            done.lines.push(line);
            events.extend(booked);
        }
        events.push(Event::LinesDone(done.into()));
        Ok(events)
    }

    /// Takes lines back, the last ones first, until the entry is full or the chunk is done.
    pub(super) fn undo_stock(
        self,
        kind: JobKind,
        done: &LinesDone,
        below: u64,
        undone: JobUndone,
    ) -> Result<Vec<Event>, Stop> {
        let mut undone = undone;
        let (mut rows, mut room, mut events) = (Overlay::new(self.view), Room::new(), Vec::new());
        for line in done.lines.iter().rev().filter(|line| line.line < below) {
            let rules = Rules { view: &rows, context: self.context };
            let back = match &line.outcome {
                LineOutcome::Moved { sku, location, change, on_hand_after, at } => {
                    let (job, line, change, on_hand_after, at) = (undone.id, line.line, *change, *on_hand_after, *at);
                    rules.take_back(kind, Booked { job, line, sku, location, change, on_hand_after, at })?
                }
                LineOutcome::Booked => TakenBack::left(CHANGED_SINCE, "it was booked by somebody under its reference"),
                _ => continue,
            };
            let left = back.left.map(|(code, detail)| LineDone {
                line: line.line,
                product: None,
                outcome: LineOutcome::refused(code, &detail),
            });
            if !room.take(left.iter().map(size).sum::<usize>() + back.events.iter().map(size).sum::<usize>()) {
                (undone.from_line, undone.next_chunk) = (line.line + 1, Some(done.from_line));
                break;
            }
            self.lay(&mut rows, &back.events)?;
            undone.put_back += u64::from(left.is_none());
            undone.left.extend(left);
            events.extend(back.events);
        }
        events.push(Event::JobUndone(undone.into()));
        Ok(events)
    }

    /// Lets the next line see what a line has done.
    fn lay(self, rows: &mut Overlay<'_>, events: &[Event]) -> Result<(), Stop> {
        if !events.is_empty() {
            let at = At { site: self.context.site, position: Position::START, time: self.context.now };
            apply(rows, at, &draft(events.to_vec()))?;
        }
        Ok(())
    }

    fn book(self, kind: JobKind, job: JobId, item: &StockItem) -> Result<(LineDone, Vec<Event>), Stop> {
        let StockItem { line, sku, location, quantity } = item;
        let note = Note { reference: Some(reference(job, *line, "")), ..Note::default() };
        let decided = match (kind, Quantity::new(*quantity)) {
            (JobKind::Counts, _) => self.count(sku, location, *quantity, None, &note),
            (_, Ok(quantity)) => {
                let line = Line { sku: sku.clone(), location: location.clone(), quantity };
                self.receive(Inbound::Delivery, &[line], &note)
            }
            (_, Err(_)) => Err(Refusal::Nothing { what: "the quantity" }.into()),
        };
        let (outcome, events) = match decided {
            Ok(events) => (self.outcome(&events), events),
            Err(Stop::Refused(Refusal::ReferenceUsed { .. })) => (LineOutcome::Booked, Vec::new()),
            Err(Stop::Refused(refusal)) => (LineOutcome::refused(refusal.code(), &refusal.to_string()), Vec::new()),
            Err(failed) => return Err(failed),
        };
        Ok((LineDone { line: *line, product: None, outcome }, events))
    }

    /// What has become of a line that was booked. A count that finds what is booked changes nothing, unless
    /// its stock is counted from now on.
    fn outcome(self, events: &[Event]) -> LineOutcome {
        match events {
            [Event::StockMoved { kind: MovementKind::Count, lines, .. }]
                if lines.iter().all(|line| line.change == 0) =>
            {
                LineOutcome::Unchanged
            }
            _ => {
                let moved = events.iter().find_map(|event| match event {
                    Event::StockMoved { lines, .. } => lines.first(),
                    _ => None,
                });
                moved.map_or(LineOutcome::Unchanged, |moved| LineOutcome::Moved {
                    sku: moved.sku.clone(),
                    location: moved.location.clone(),
                    change: moved.change,
                    on_hand_after: moved.on_hand_after,
                    at: self.context.now,
                })
            }
        }
    }

    fn take_back(self, kind: JobKind, booked: Booked<'_>) -> Result<TakenBack, Stop> {
        let decided = match kind {
            JobKind::Counts => self.count_back(booked),
            _ => self.write_off_what_came(booked),
        };
        match decided {
            Err(Stop::Refused(refusal)) => Ok(TakenBack::left(refusal.code(), &refusal.to_string())),
            decided => decided,
        }
    }

    /// Writes off as many of the units that came in as nobody has taken or is promised.
    fn write_off_what_came(self, booked: Booked<'_>) -> Result<TakenBack, Stop> {
        let Booked { job, line, sku, location, change, .. } = booked;
        let level = self.level(sku, location)?;
        let free = level.available.min(level.sellable_here) + level.safety_stock;
        let (came, free) = (change.unsigned_abs(), u64::try_from(free).unwrap_or(0));
        let missing = came.saturating_sub(free);
        let left = (missing > 0).then(|| {
            let detail = format!("{missing} of {came} units of {sku} at {location} are gone or promised");
            (CHANGED_SINCE, detail)
        });
        let events = match Quantity::new(came - missing) {
            Ok(quantity) => {
                let line_back = Line { sku: sku.clone(), location: location.clone(), quantity };
                let note = Note { reference: Some(reference(job, line, "")), ..Note::default() };
                self.write_off(&line_back, false, &note)?
            }
            Err(_) => Vec::new(),
        };
        Ok(TakenBack { events, left })
    }

    /// Counts back to what was there before, if nothing has moved since.
    fn count_back(self, booked: Booked<'_>) -> Result<TakenBack, Stop> {
        let Booked { job, line, sku, location, change, on_hand_after, .. } = booked;
        let level = self.level(sku, location)?;
        if level.on_hand != on_hand_after || !self.is_last(booked)? {
            let detail = format!("{sku} at {location} was moved or counted since");
            return Ok(TakenBack::left(CHANGED_SINCE, &detail));
        }
        let before = on_hand_after - change;
        let Ok(counted) = u64::try_from(before) else {
            let detail = format!("there were {before} of {sku} at {location} before, which nobody can count");
            return Ok(TakenBack::left(CHANGED_SINCE, &detail));
        };
        if before < level.on_hand && before < level.reserved + level.committed {
            let detail = format!("more of {sku} at {location} are promised than were there before");
            return Ok(TakenBack::left(CHANGED_SINCE, &detail));
        }
        let note = Note { reference: Some(reference(job, line, ":undo")), ..Note::default() };
        Ok(TakenBack { events: self.count(sku, location, counted, Some(level.on_hand), &note)?, left: None })
    }

    /// Whether nothing has moved on the shelf of a counted line since, but for what the job itself has counted:
    /// its later lines are taken back before. Said only as far as a bounded look goes.
    fn is_last(self, booked: Booked<'_>) -> Result<bool, Stop> {
        let Booked { job, line, sku, location, at, .. } = booked;
        let (own, of_job) = (reference(job, line, ""), format!("{job}:"));
        let prefix = Movement::prefix(sku, location);
        let (from, end) = (prefix.clone().number(at.0), prefix.end());
        let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
        let (mut is_found, mut is_last, mut looked_at, mut damaged) = (false, true, 0, None);
        self.view.scan(Table::MOVEMENTS, range, &mut |_, value| {
            looked_at += 1;
            match decode::<Movement>(Table::MOVEMENTS, value) {
                Ok(Movement { kind: MovementKind::Count, reference: Some(reference), .. }) => {
                    is_last &= !is_found || reference.as_str().starts_with(&of_job);
                    is_found |= reference == own;
                }
                Ok(_) => is_last &= !is_found,
                Err(error) => damaged = Some(error),
            }
            damaged.is_none() && is_last && looked_at <= UNDO_LOOKS_BACK_MAX
        })?;
        match damaged {
            Some(damaged) => Err(damaged.into()),
            None => Ok(is_found && is_last && looked_at <= UNDO_LOOKS_BACK_MAX),
        }
    }
}

/// A line of a job that has booked something.
#[derive(Clone, Copy)]
struct Booked<'b> {
    job: JobId,
    line: u64,
    sku: &'b Sku,
    location: &'b LocationId,
    change: i64,
    on_hand_after: i64,
    at: SiteTime,
}

/// What takes a line back.
struct TakenBack {
    events: Vec<Event>,
    /// The code and the words of what is left as it is.
    left: Option<(&'static str, String)>,
}

impl TakenBack {
    fn left(code: &'static str, why: &str) -> Self {
        Self { events: Vec::new(), left: Some((code, why.to_owned())) }
    }
}

/// What a line books, or takes back, is known by.
fn reference(job: JobId, line: u64, suffix: &str) -> Reference {
    Reference::parse(format!("{job}:{line}{suffix}")).expect("an id, a number and a word are a reference")
}
