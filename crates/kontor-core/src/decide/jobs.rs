//! Imports: many products in one entry, every line once, and the way back.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::{Desk, Edits, Wanted, WantedThere};
use super::{Rules, limit, unreadable};
use crate::command::{Must, UpsertItem};
use crate::event::{Event, ListingEdited, ProductEdited};
use crate::id::{JobId, ProductId};
use crate::job::{
    Job, JobKind, JobLine, JobOptions, JobStarted, JobStatus, JobStep, JobUndone, LineDone, LineOutcome, LinesDone,
    Source,
};
use crate::limits::{COUNTER_MAX, ENTRY_BYTES_MAX, HEAD_BYTES_MAX, UNDO_LOOKS_BACK_MAX, UPSERT_LINES_MAX};
use crate::product::edit::ProductEdit;
use crate::product::field::{Field, VariantField};
use crate::product::parts::Parts;
use crate::product::revision::{Edited, Revision};
use crate::product::text::MarketId;
use crate::record::{Table, decode, size};
use crate::refusal::{Refusal, Stop};
use crate::time::Stamp;
use crate::view::{KeyRange, row};

/// Something that stands on a line, and who would do it.
enum Item<'i> {
    Upsert(&'i UpsertItem),
    Done(&'i LineDone),
}

impl Item<'_> {
    fn line(&self) -> u64 {
        match self {
            Self::Upsert(item) => item.line,
            Self::Done(done) => done.line,
        }
    }
}

impl Rules<'_> {
    pub(super) fn start_job(
        self,
        id: Option<JobId>,
        kind: JobKind,
        source: &Source,
        digest: [u8; 32],
        options: &JobOptions,
    ) -> Result<Vec<Event>, Stop> {
        let id = id.unwrap_or(JobId(self.context.fresh_id));
        if row::<Job>(self.view, self.context.site, id)?.is_some() {
            return Err(Refusal::AlreadyExists { what: "job", name: id.to_string() }.into());
        }
        let (source, options) = (source.clone(), options.clone());
        Ok(vec![Event::JobStarted(Arc::new(JobStarted { id, kind, source, digest, options }))])
    }

    pub(super) fn upsert_products(self, step: Option<&JobStep>, items: &[UpsertItem]) -> Result<Vec<Event>, Stop> {
        let previous = match step {
            Some(step) => self.job_at(step, &[JobKind::Products])?.last_chunk,
            None if items.is_empty() => return Err(Refusal::Nothing { what: "the list of products" }.into()),
            None => None,
        };
        let rejected = step.map_or(&[][..], |step| &step.rejected);
        self.lines(step, previous, in_order(items.iter().map(Item::Upsert), rejected))
    }

    pub(super) fn finish_job(self, id: JobId) -> Result<Vec<Event>, Stop> {
        self.job(id, &[JobStatus::Running])?;
        Ok(vec![Event::JobFinished { id }])
    }

    /// Does lines until the entry is full.
    fn lines(self, step: Option<&JobStep>, previous: Option<u64>, items: Vec<Item<'_>>) -> Result<Vec<Event>, Stop> {
        limit("lines", items.len() as u64, UPSERT_LINES_MAX as u64)?;
        let (from_line, last_line) = match (step, items.first(), items.last()) {
            (Some(step), ..) => (step.from_line, step.through_line),
            (None, Some(first), Some(last)) => (first.line(), last.line()),
            (None, ..) => return Ok(vec![]),
        };
        ascending(from_line, last_line, items.iter().map(Item::line))?;
        let job = step.map(|step| step.job);
        let mut desk = Desk::new(self)?;
        let mut room = Room::new();
        let mut done = LinesDone { job, from_line, through_line: last_line, lines: Vec::new(), previous };
        let mut events = Vec::new();
        for item in items {
            let (line, edits) = match item {
                Item::Done(done) => (done.clone(), None),
                Item::Upsert(item) => upsert(&desk, job, item)?,
            };
            let (mut line, mut edits) = (line, edits);
            let mut bytes = size(&line) + edits.as_ref().map_or(0, Edits::bytes);
            if !room.fits(bytes) && done.lines.is_empty() {
                // Alone in its entry, and too large for it.
                let (code, detail) = too_large(bytes);
                line.outcome = LineOutcome::refused(code, &detail);
                (edits, bytes) = (None, size(&line));
            }
            if !room.take(bytes) {
                done.through_line = line.line - 1;
                break;
            }
            done.lines.push(line);
            events.extend(edits.into_iter().flat_map(|edits| desk.keep(edits)));
        }
        events.push(Event::LinesDone(Arc::new(done)));
        Ok(events)
    }

    /// The job that goes on with this step.
    pub(super) fn job_at(self, step: &JobStep, kinds: &[JobKind]) -> Result<Job, Stop> {
        let job = self.job(step.job, &[JobStatus::Running])?;
        if !kinds.contains(&job.started.kind) {
            return Err(Refusal::JobState { job: step.job, status: job.status }.into());
        }
        let expected = job.through_line + 1;
        if step.from_line != expected {
            return Err(Refusal::JobPosition { job: step.job, expected }.into());
        }
        if !(step.from_line..COUNTER_MAX).contains(&step.through_line) {
            return Err(Refusal::LineOrder { line: step.through_line }.into());
        }
        Ok(job)
    }

    fn job(self, id: JobId, states: &[JobStatus]) -> Result<Job, Stop> {
        let job = row::<Job>(self.view, self.context.site, id)?.ok_or(Refusal::UnknownJob { job: id })?;
        if !states.contains(&job.status) {
            return Err(Refusal::JobState { job: id, status: job.status }.into());
        }
        Ok(job)
    }

    /// Puts lines back, the last ones first, until the entry is full or a chunk is done.
    pub(super) fn undo_job(self, id: JobId) -> Result<Vec<Event>, Stop> {
        let job = self.job(id, &[JobStatus::Running, JobStatus::Finished, JobStatus::Undoing])?;
        let next = if job.status == JobStatus::Undoing { job.next_undo } else { job.last_chunk };
        let below = job.undone_from.unwrap_or(u64::MAX);
        let mut undone = JobUndone { id, from_line: 1, next_chunk: None, put_back: 0, left: Vec::new() };
        let Some(chunk) = next else { return Ok(vec![Event::JobUndone(Arc::new(undone))]) };
        let done = row::<LinesDone>(self.view, self.context.site, (id, chunk))?;
        let done = done.ok_or_else(|| unreadable(Table::JOB_LINES.name(), "a chunk of a job is missing"))?;
        (undone.from_line, undone.next_chunk) = (done.from_line, done.previous);
        if job.started.kind != JobKind::Products {
            return self.undo_stock(job.started.kind, &done, below, undone);
        }
        let mut desk = Desk::new(self)?;
        let mut room = Room::new();
        let mut events = Vec::new();
        for line in done.lines.iter().rev().filter(|line| line.line < below) {
            let (Some(product), LineOutcome::Created(stamp) | LineOutcome::Changed(stamp)) =
                (&line.product, &line.outcome)
            else {
                continue;
            };
            let mut back = self.put_back(&desk, JobLine { job: id, line: line.line, undo: true }, product, *stamp)?;
            if let Some(bytes) = back.edits.as_ref().map(Edits::bytes).filter(|bytes| !Room::new().fits(*bytes)) {
                back = PutBack { edits: None, left: Some(too_large(bytes)) };
            }
            let left = back.left.map(|(code, detail)| LineDone {
                line: line.line,
                product: Some(product.clone()),
                outcome: LineOutcome::refused(code, &detail),
            });
            let bytes = back.edits.as_ref().map_or(0, Edits::bytes) + left.as_ref().map_or(0, size);
            if !room.take(bytes) {
                (undone.from_line, undone.next_chunk) = (line.line + 1, Some(chunk));
                break;
            }
            undone.put_back += u64::from(left.is_none());
            undone.left.extend(left);
            events.extend(back.edits.into_iter().flat_map(|edits| desk.keep(edits)));
        }
        events.push(Event::JobUndone(Arc::new(undone)));
        Ok(events)
    }

    /// What puts a line back, and why it is not put back as a whole.
    fn put_back(self, desk: &Desk<'_>, job: JobLine, id: &ProductId, stamp: Stamp) -> Result<PutBack, Stop> {
        let Some(History { edited, listings, since }) = self.history(id, stamp, job)? else {
            return Ok(PutBack::left(None, "it was changed too often since"));
        };
        let is_made = edited.as_ref().is_some_and(|edited| edited.edit.present == Some(true));
        if let (true, Some((market, field))) = (is_made, since.first()) {
            let there = market.as_ref().map_or_else(String::new, |market| format!(" in {market}"));
            return Ok(PutBack::left(None, &format!("{field}{there} was changed since")));
        }
        if since.contains(&(None, Field::Present)) {
            return Ok(PutBack::left(None, "the product was deleted or made anew since"));
        }
        let edits = match &edited {
            _ if is_made => desk.delete(id, None, Some(job)),
            edited => {
                let (mut back, mut left) = (ProductEdit::default(), Vec::new());
                if let Some(edited) = edited {
                    let is_kept = |field: &Field| !is_changed(None, field, &since);
                    left.extend(
                        edited.before.values().into_iter().map(|(field, _)| field).filter(|field| !is_kept(field)),
                    );
                    back = edited.before.clone();
                    back.retain(is_kept);
                }
                let mut there = Vec::with_capacity(listings.len());
                for edited in &listings {
                    let is_kept = |field: &Field| !is_changed(Some(&edited.market), field, &since);
                    left.extend(
                        edited.before.values().into_iter().map(|(field, _)| field).filter(|field| !is_kept(field)),
                    );
                    let mut back = edited.before.clone();
                    back.retain(is_kept);
                    there.push((&edited.market, back));
                }
                let there = there.iter().map(|(market, edit)| WantedThere { market, edit, expected: None });
                let there: Vec<WantedThere<'_>> = there.collect();
                let (must, variants) = (Must::Exist, Must::Either);
                let wanted = Wanted { id, edit: &back, expected: None, must, variants, job: Some(job) };
                let edits = desk.edits(wanted, &there);
                if let (Ok(_), Some(field)) = (&edits, left.first()) {
                    let why = match left.len() {
                        1 => format!("{field} was changed since"),
                        more => format!("{field} and {} others were changed since", more - 1),
                    };
                    return Ok(PutBack::left(Some(edits?), &why));
                }
                edits
            }
        };
        match edits {
            Ok(edits) => Ok(PutBack { edits: Some(edits), left: None }),
            Err(Stop::Refused(refusal)) => {
                Ok(PutBack { edits: None, left: Some((refusal.code(), refusal.to_string())) })
            }
            Err(failed) => Err(failed),
        }
    }

    /// What a line has done to a product, and what others than its job have set since; `None` if too many
    /// edits were made.
    fn history(self, id: &ProductId, stamp: Stamp, line: JobLine) -> Result<Option<History>, Stop> {
        let prefix = Revision::prefix(id);
        let (from, end) = (prefix.clone().number(stamp.0), prefix.end());
        let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
        let (mut history, mut looked_at, mut damaged) = (History::default(), 0, None);
        let is_of_line = |job: &Option<JobLine>| job.is_some_and(|job| job == JobLine { undo: false, ..line });
        let is_of_job = |job: &Option<JobLine>| job.is_some_and(|job| job.job == line.job);
        self.view.scan(Table::REVISIONS, range, &mut |_, value| {
            looked_at += 1;
            match decode::<Revision>(Table::REVISIONS, value).map(|revision| revision.edited) {
                Ok(Edited::Product(edited)) if is_of_line(&edited.job) => history.edited = Some(edited),
                Ok(Edited::Listing(edited)) if is_of_line(&edited.job) => history.listings.push(edited),
                Ok(Edited::Product(edited)) if !is_of_job(&edited.job) => {
                    history.since.extend(edited.edit.values().into_iter().map(|(field, _)| (None, field)));
                }
                Ok(Edited::Listing(edited)) if !is_of_job(&edited.job) => {
                    let set = edited.edit.values().into_iter();
                    history.since.extend(set.map(|(field, _)| (Some(edited.market.clone()), field)));
                }
                Ok(_) => {}
                Err(error) => damaged = Some(error),
            }
            damaged.is_none() && looked_at <= UNDO_LOOKS_BACK_MAX
        })?;
        match damaged {
            Some(error) => Err(error.into()),
            None => Ok((looked_at <= UNDO_LOOKS_BACK_MAX).then_some(history)),
        }
    }
}

/// What a line has done, and what was done since.
#[derive(Default)]
struct History {
    edited: Option<Arc<ProductEdited>>,
    listings: Vec<Arc<ListingEdited>>,
    /// Fields of the product, and of what it says in markets.
    since: BTreeSet<(Option<MarketId>, Field)>,
}

/// What puts a line back.
struct PutBack {
    edits: Option<Edits>,
    /// The code and the words of what is left as it is.
    left: Option<(&'static str, String)>,
}

impl PutBack {
    fn left(edits: Option<Edits>, why: &str) -> Self {
        Self { edits, left: Some(("changed_since", why.to_owned())) }
    }
}

/// Whether a field, or anything of a variant that would go, was set since.
fn is_changed(market: Option<&MarketId>, field: &Field, since: &BTreeSet<(Option<MarketId>, Field)>) -> bool {
    let is_set = |field: &Field| since.contains(&(market.cloned(), field.clone()));
    match field {
        Field::Variant(sku, VariantField::Present) => {
            since.iter().any(|(_, field)| matches!(field, Field::Variant(of, _) if of == sku))
        }
        Field::Variant(sku, _) => is_set(field) || is_set(&Field::Variant(sku.clone(), VariantField::Present)),
        field => is_set(field),
    }
}

/// Why something that fits into no entry is not done.
fn too_large(bytes: usize) -> (&'static str, String) {
    let (given, max) = (bytes as u64, ENTRY_BYTES_MAX as u64);
    let refusal = Refusal::LimitExceeded { what: "entry bytes", given, max };
    (refusal.code(), refusal.to_string())
}

/// What becomes of one product of many.
fn upsert(desk: &Desk<'_>, job: Option<JobId>, item: &UpsertItem) -> Result<(LineDone, Option<Edits>), Stop> {
    let line = item.line;
    let first = item.edit.variants.first().map(|variant| &variant.sku);
    let id = match (&item.id, first) {
        (Some(id), _) => Some(id.clone()),
        (None, Some(sku)) => Some(desk.owner(sku)?.unwrap_or_else(|| sku.clone().into())),
        (None, None) => None,
    };
    let Some(product) = id else {
        let refusal = Refusal::Nothing { what: "the line: neither id nor sku" };
        let outcome = LineOutcome::refused(refusal.code(), &refusal.to_string());
        return Ok((LineDone { line, product: None, outcome }, None));
    };
    let edit = match item.parts == Parts::default() {
        true => Cow::Borrowed(&item.edit),
        false => Cow::Owned(item.parts.over(desk.product(&product)?.as_ref(), item.edit.clone())),
    };
    let wanted = Wanted {
        id: &product,
        edit: &edit,
        expected: None,
        must: Must::Either,
        variants: Must::Either,
        job: job.map(|job| JobLine { job, line, undo: false }),
    };
    let there = item.listings.iter().map(|(market, edit)| WantedThere { market, edit, expected: None });
    let (outcome, edits) = match desk.edits(wanted, &there.collect::<Vec<_>>()) {
        Ok(edits) => match (edits.stamp(), &edits.product) {
            (None, _) => (LineOutcome::Unchanged, None),
            (Some(stamp), Some(edited)) if edited.edit.present == Some(true) => {
                (LineOutcome::Created(stamp), Some(edits))
            }
            (Some(stamp), _) => (LineOutcome::Changed(stamp), Some(edits)),
        },
        Err(Stop::Refused(refusal)) => (LineOutcome::refused(refusal.code(), &refusal.to_string()), None),
        Err(failed) => return Err(failed),
    };
    Ok((LineDone { line, product: Some(product), outcome }, edits))
}

/// Lines that are done and lines that could not be read, by ascending lines.
fn in_order<'i>(items: impl Iterator<Item = Item<'i>>, rejected: &'i [LineDone]) -> Vec<Item<'i>> {
    let mut all: Vec<Item<'i>> = items.chain(rejected.iter().map(Item::Done)).collect();
    all.sort_by_key(Item::line);
    all
}

/// Refuses lines that do not ascend, or are not those of the step.
pub(super) fn ascending(from: u64, through: u64, lines: impl Iterator<Item = u64>) -> Result<(), Stop> {
    let mut next = from;
    for line in lines {
        if !(next..=through).contains(&line) {
            return Err(Refusal::LineOrder { line }.into());
        }
        next = line + 1;
    }
    Ok(())
}

/// What is left of an entry.
pub(super) struct Room {
    left: usize,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { left: ENTRY_BYTES_MAX - HEAD_BYTES_MAX }
    }

    fn fits(&self, bytes: usize) -> bool {
        bytes + 8 <= self.left
    }

    /// Takes bytes with what goes before each part: its kind and its length.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes + 8);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}
