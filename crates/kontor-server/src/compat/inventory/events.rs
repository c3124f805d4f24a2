//! The journal as the service's stores read it: numbered without gaps, from 0, so that a reader can tell
//! that it has missed nothing.
//!
//! A number stands for one change of one product. Which changes have numbers follows from the journal
//! alone, so a number always means the same change, also after a restart; every so many are remembered
//! with their position, and what lies between is read again. An event tells how its product stands *now*:
//! a reader that applies all of them in order ends where the site is, and never goes back in time.
//!
//! A restored site may have lost changes that somebody has read. Its journal has a new term, whose numbers
//! begin at `term × 2^32`: a reader of a change that is lost is told 410, and one of an earlier term is
//! carried over.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use kontor_api::{Code, Time};
use kontor_core::event::Event;
use kontor_core::id::{Position, ProductId, Sku};
use kontor_core::product::Status;
use kontor_core::product::edit::ProductEdit;
use kontor_site::feed::{Feed, FeedItem};
use kontor_site::reader::Reader;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Duration, timeout};

use super::{Shown, answer, central, find, refused};
use crate::app::App;
use crate::compat::parameter;
use crate::convert;
use crate::extract::Caller;
use crate::limits::{COMPAT_EVENTS_COUNTED, COMPAT_EVENTS_PER_MARK};
use crate::problem::Problem;
use crate::routes::v1::changes;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
const WAIT_S_MAX: u64 = 60;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Events {
    events: Vec<Told>,
    next_offset: u64,
    has_more: bool,
    count: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    offset: u64,
    timestamp: Time,
    event_type: &'static str,
    product_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Shown>,
    version: u64,
}

pub(super) async fn events(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    caller.admin()?;
    let bad = |message| refused(StatusCode::BAD_REQUEST, "EVENTS_ERROR", message, &[]);
    let offset = match parameter(&uri, "offset").as_deref() {
        None | Some("") => return bad("offset parameter is required"),
        Some(text) => match text.parse::<i64>().ok().and_then(|offset| u64::try_from(offset).ok()) {
            Some(offset) => offset,
            None => return bad("invalid offset parameter"),
        },
    };
    // What is out of bounds means the default, as the service has it.
    let limit = parameter(&uri, "limit").and_then(|text| text.parse().ok());
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit)).unwrap_or(LIMIT);
    let wait_s = parameter(&uri, "wait").and_then(|text| text.parse().ok());
    let wait_s = wait_s.filter(|wait_s| *wait_s <= WAIT_S_MAX).unwrap_or(0);

    let mut page = match read(&app, offset, limit).await? {
        Read::Page(page) => page,
        Read::Ahead(page) => return answer(StatusCode::OK, &page),
        Read::Lost(next) => {
            let message = format!(
                "offset {offset} is not in the journal of this site, which was restored; read all products again \
                 and go on at {next}"
            );
            return refused(StatusCode::GONE, "EVENTS_ERROR", &message, &[]);
        }
    };
    if page.events.is_empty() && wait_s > 0 {
        let _slot = changes::slot(&app, false)?;
        page = wait(&app, page, limit, wait_s).await?;
    }
    answer(StatusCode::OK, &page)
}

/// Waits for a change, or for the time to pass, or for the end of the server.
async fn wait(app: &App, empty: Events, limit: usize, wait_s: u64) -> Result<Events, Problem> {
    let mut draining = app.draining.subscribe();
    let offset = empty.next_offset;
    let something = async {
        let mut feed = app.site.feed();
        let mut seen = feed.end();
        loop {
            if let Read::Page(page) = read(app, offset, limit).await?
                && !page.events.is_empty()
            {
                return Ok::<_, Problem>(Some(page));
            }
            if !feed.wait(seen).await {
                return Ok(None);
            }
            seen = feed.end();
        }
    };
    tokio::select! {
        found = timeout(Duration::from_secs(wait_s), something) => Ok(found.unwrap_or(Ok(None))?.unwrap_or(empty)),
        _ = draining.wait_for(|draining| *draining) => Ok(empty),
    }
}

enum Read {
    Page(Events),
    /// The number is greater than all: the reader knows another journal, and sees it by the lower number.
    Ahead(Events),
    /// The number is of a change that this journal does not have; the number to go on at.
    Lost(u64),
}

/// The changes from a number on.
async fn read(app: &App, offset: u64, limit: usize) -> Result<Read, Problem> {
    // One at a time: those who wait find the numbers counted.
    let mut counted = app.compat.inventory.offsets.counted.clone().lock_owned().await;
    let (feed, of) = (app.site.feed(), app.clone());
    app.read(move |_| {
        let is_complete = counted.go_on(&feed)?;
        let next = counted.next;
        let Some(from) = counted.place(offset) else {
            return match is_complete {
                false => Err(Problem::new(Code::Overloaded, "the journal is being counted; try again")),
                true if offset > next => Ok(Read::Ahead(Events::none(next))),
                true => Ok(Read::Lost(next)),
            };
        };
        // The rest is read from what does not change.
        drop(counted);
        page(&feed, &of, from, offset, limit).map(Read::Page)
    })
    .await
}

impl Events {
    fn none(next_offset: u64) -> Self {
        Self { events: Vec::new(), next_offset, has_more: false, count: 0 }
    }
}

/// Numbers of a journal, and where they stand.
#[derive(Default)]
pub(in crate::compat) struct Offsets {
    /// Held by whoever counts, over reads of the disk.
    counted: Arc<Mutex<Counted>>,
}

/// How far the journal has been counted. Nothing is counted before somebody asks for the first time.
#[derive(Default)]
struct Counted {
    /// The last entry that is counted.
    at: Position,
    /// The number of the next change.
    next: u64,
    /// Every so many changes, and at the beginning of each term: the number of the first change after a
    /// position.
    marks: Vec<(u64, Position)>,
    /// The first number of each term, and the number after its last.
    terms: Vec<(u32, u64, u64)>,
}

impl Counted {
    /// Counts what has come since; says whether that is all there is. A long journal is counted in
    /// several requests, so that none of them takes too long.
    fn go_on(&mut self, feed: &Feed) -> Result<bool, Problem> {
        for _ in 0..COMPAT_EVENTS_COUNTED {
            let items = feed.read(self.at, usize::MAX)?;
            if items.is_empty() {
                return Ok(true);
            }
            for item in &items {
                self.count(item);
            }
        }
        Ok(false)
    }

    fn count(&mut self, item: &FeedItem) {
        let term = item.position.term;
        if self.terms.last().is_none_or(|(of, ..)| *of != term) {
            self.next = first_of(term);
            self.terms.push((term, self.next, self.next));
            self.marks.push((self.next, self.at));
        }
        let changes = touched(item).len() as u64;
        let is_due = self.marks.last().is_none_or(|(number, _)| self.next - number >= COMPAT_EVENTS_PER_MARK);
        if changes > 0 && is_due {
            self.marks.push((self.next, self.at));
        }
        self.next += changes;
        self.at = item.position;
        if let Some((.., end)) = self.terms.last_mut() {
            *end = self.next;
        }
    }

    /// Where to begin to read for a number, with the number of the first change there. `None` for a
    /// number that no change has or will have.
    fn place(&self, offset: u64) -> Option<(u64, Position)> {
        if self.terms.is_empty() {
            return (offset == 0).then_some((0, Position::START));
        }
        let within = self.terms.iter().any(|(_, first, end)| (*first..=*end).contains(&offset));
        // Before the first of all: a journal whose first terms are gone, or a reader that begins.
        if offset != 0 && !within {
            return None;
        }
        let after = self.marks.partition_point(|(number, _)| *number <= offset);
        self.marks.get(after.saturating_sub(1)).copied()
    }
}

/// The first number of a term. Terms of restored sites are minutes since 1970, so this stays below 2^63.
fn first_of(term: u32) -> u64 {
    u64::from(term.saturating_sub(1)) << 32
}

/// Reads a page from a mark on.
fn page(
    feed: &Feed,
    app: &App,
    (mut number, mut at): (u64, Position),
    offset: u64,
    limit: usize,
) -> Result<Events, Problem> {
    let mut events = Vec::new();
    loop {
        let items = feed.read(at, LIMIT_MAX)?;
        let Some(last) = items.last().map(|item| item.position) else { break };
        // Begun after the feed was read: an older one would tell of what came with these as if it had not.
        let reader = app.site.read();
        for item in &items {
            if item.position.term != at.term {
                number = first_of(item.position.term);
            }
            at = item.position;
            for touched in touched(item) {
                if number >= offset && events.len() == limit {
                    return Ok(Events { has_more: true, next_offset: number, count: limit, events });
                }
                if number >= offset {
                    events.push(told(&reader, app, item, number, touched)?);
                }
                number += 1;
            }
        }
        at = last;
    }
    Ok(Events { count: events.len(), events, ..Events::none(number) })
}

fn told(reader: &Reader, app: &App, item: &FeedItem, offset: u64, touched: Touched) -> Result<Told, Problem> {
    let (product_id, sku) = match touched.what {
        What::Sku(sku) => (sku.to_string(), Some(sku)),
        What::Product(id) => {
            let first = reader.product(&id)?.and_then(|product| product.variants.first().map(|v| v.sku.clone()));
            (first.as_ref().map_or_else(|| id.to_string(), ToString::to_string), first)
        }
    };
    let found = sku.map(|sku| find(reader, app.site.id(), &sku)).transpose()?.flatten();
    let version = found.as_ref().map_or(0, |found| found.shown.version);
    let data = found.filter(|found| !found.is_deleted()).map(|found| found.shown);
    let event_type = match (&data, touched.is_new) {
        (None, _) => "product_deleted",
        (Some(_), true) => "product_created",
        (Some(_), false) => "product_updated",
    };
    let timestamp = convert::time(item.recorded_at)?;
    Ok(Told { offset, timestamp, event_type, product_id, data, version })
}

/// A change that has a number.
struct Touched {
    what: What,
    is_new: bool,
}

#[derive(PartialEq, Eq)]
enum What {
    Sku(Sku),
    /// Told as its first SKU, which only the catalogue knows.
    Product(ProductId),
}

/// What an entry of the journal changed, as far as this service shows it. What is answered here is the
/// meaning of numbers that readers have kept: it only ever grows by kinds of events that no journal has
/// yet.
fn touched(item: &FeedItem) -> Vec<Touched> {
    let pool = central();
    let mut found: Vec<Touched> = Vec::new();
    let mut add = |what: What, is_new: bool| match found.iter_mut().find(|touched| touched.what == what) {
        Some(touched) => touched.is_new |= is_new,
        None => found.push(Touched { what, is_new }),
    };
    for event in &item.entry.events {
        match event {
            Event::ProductEdited(edited) => {
                let (edit, before) = (&edited.edit, &edited.before);
                let is_whole = edit.present.is_some();
                // Of what is deleted, only what was there before names its variants.
                let of = if edit.present == Some(false) { before } else { edit };
                for variant in &of.variants {
                    add(What::Sku(variant.sku.clone()), variant.present == Some(true) && of == edit);
                }
                let rest = ProductEdit { variants: Vec::new(), ..edit.clone() };
                if !is_whole && !rest.is_empty() {
                    add(What::Product(edited.id.clone()), edit.status == Some(Status::Active));
                }
            }
            Event::StockMoved { lines, .. } => {
                let here = lines.iter().filter(|line| line.location == pool);
                here.for_each(|line| add(What::Sku(line.sku.clone()), false));
            }
            Event::StockAdjusted { sku, location, .. } if *location == pool => add(What::Sku(sku.clone()), false),
            Event::ReservationMade { lines, .. } | Event::ReservationEnded { lines, .. } => {
                let here = lines.iter().filter(|line| line.location == pool);
                here.for_each(|line| add(What::Sku(line.sku.clone()), false));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use kontor_core::event::Entry;
    use kontor_core::id::{Actor, LocationId, RequestId, SiteId};
    use kontor_core::time::SiteTime;

    use super::*;

    /// An entry that sets stock of so many products aside.
    fn item(term: u32, seq: u64, products: u32) -> FeedItem {
        let adjusted = |number: u32| Event::StockAdjusted {
            sku: Sku::parse(format!("P{number}")).unwrap(),
            location: if number == 0 { LocationId::parse("elsewhere").unwrap() } else { central() },
            unavailable: 1,
            safety_stock: 0,
            available_after: 0,
        };
        let (actor, request_id) = (Actor::timer(), RequestId::parse("r").unwrap());
        let events = (0..=products).map(adjusted).collect();
        FeedItem {
            position: Position { term, seq, index: 0 },
            site: SiteId::parse("main").unwrap(),
            recorded_at: SiteTime(0),
            entry: Entry { actor, request_id, idempotency: None, events },
        }
    }

    #[test]
    fn a_number_of_a_restored_journal_is_known_or_told_to_be_lost() {
        let mut counted = Counted::default();
        assert_eq!(counted.place(0), Some((0, Position::START)));
        assert_eq!(counted.place(1), None);
        let term = 3;
        for item in [item(1, 1, 2), item(1, 2, 0), item(1, 3, 3), item(term, 1, 1), item(term, 2, 1)] {
            counted.count(&item);
        }
        let first = first_of(term);
        assert_eq!((counted.next, first), (first + 2, 2 << 32));
        // The last number of the earlier term is where its reader goes on.
        for known in [0, 1, 4, 5, first, first + 1, first + 2] {
            assert!(counted.place(known).is_some(), "{known}");
        }
        for lost in [6, first - 1, first + 3] {
            assert_eq!(counted.place(lost), None, "{lost}");
        }
        assert_eq!(counted.place(5).unwrap().0, 0, "the mark before it");
        assert_eq!(counted.place(first), Some((first, Position { term: 1, seq: 3, index: 0 })));
    }
}
