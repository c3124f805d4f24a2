//! `/products/bulk`: many products in one request, each on its own.

use std::pin::Pin;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::Request;
use kontor_api::Code;
use kontor_api::job::{RowAnswer, RowOutcome};
use kontor_api::product_edit::PutProduct;
use kontor_core::command::{Command, UpsertItem};
use kontor_core::event::Event;
use kontor_core::job::{LineDone, LineOutcome, LinesDone};
use kontor_core::product::revision::Edited;
use kontor_site::Rehearsal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::app::App;
use crate::extract::{Caller, Params};
use crate::idempotency::{Asked, read_json};
use crate::limits::{LINE_BYTES_MAX, REHEARSED_LINES_MAX};
use crate::lines::{Line, Lines, Worker, answer, push};
use crate::problem::Problem;
use crate::{convert, parse};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BulkParams {
    /// Says what would change, and changes nothing; for at most 10,000 lines.
    #[serde(default)]
    dry_run: bool,
}

/// Make or change many products
///
/// Lines of JSON, each a product. It is the one with its `id`, else the one that sells its first SKU, else
/// a new one. Each line is done on its own, on top of those before it; one that is refused keeps no other
/// from being done. What is left out stays as it is, so the request may be repeated. Answers a line for
/// every line, in their order and while they arrive.
#[utoipa::path(
    post, path = "/api/v1/products/bulk", tag = "products", operation_id = "put_products",
    params(BulkParams),
    request_body(content = PutProduct, content_type = "application/x-ndjson", description = "One product on each line"),
    responses((status = 200, description = "What became of each line", body = RowAnswer, content_type = "application/x-ndjson")),
)]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    Params(BulkParams { dry_run }): Params<BulkParams>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let asked = Asked::without_key(&caller)?;
    let lines = Lines::of(&app, request)?;
    match dry_run {
        false => answer(&app, lines, Bulk { app: app.clone(), asked }).await,
        true => {
            let rehearsal = Some(app.site.rehearse());
            answer(&app, lines, DryRun { rehearsal, lines: 0 }).await
        }
    }
}

/// A product on a line, checked.
pub(super) fn item(line: u64, given: PutProduct) -> Result<UpsertItem, Problem> {
    let parse::product::Put { id, edit, parts, listings } = parse::product::put(given)?;
    Ok(UpsertItem { line, id, edit, parts, listings })
}

/// What stands on a line.
pub(super) fn read<T: DeserializeOwned>(line: &Line) -> Result<T, Problem> {
    match &line.text {
        Some(text) => read_json(text),
        None => {
            let detail = format!("a line has at most {LINE_BYTES_MAX} bytes");
            Err(Problem::new(Code::LimitExceeded, detail))
        }
    }
}

/// A line that was not taken, as it is answered and kept.
pub(super) fn refused(line: u64, problem: &Problem) -> LineDone {
    let outcome = LineOutcome::refused(problem.code().as_str(), problem.said());
    LineDone { line, product: None, outcome }
}

/// A line that was done, as it is answered.
pub(super) fn told(done: &LineDone) -> RowAnswer {
    let (outcome, code, detail) = match &done.outcome {
        LineOutcome::Created(_) => (RowOutcome::Created, None, None),
        LineOutcome::Changed(_) | LineOutcome::Booked | LineOutcome::Moved { .. } => (RowOutcome::Changed, None, None),
        LineOutcome::Unchanged => (RowOutcome::Unchanged, None, None),
        LineOutcome::Refused { code, detail } => (RowOutcome::Refused, Some(code), Some(detail)),
    };
    RowAnswer {
        line: done.line,
        id: done.product.as_ref().map(ToString::to_string),
        outcome,
        code: code.map(ToString::to_string),
        detail: detail.map(ToString::to_string),
        changes: Vec::new(),
    }
}

/// What became of the lines of a command.
pub(super) fn lines_done(events: &[Event]) -> Result<&LinesDone, Problem> {
    let found = events.iter().rev().find_map(|event| match event {
        Event::LinesDone(done) => Some(&**done),
        _ => None,
    });
    found.ok_or_else(|| Problem::internal("a list of products was done without a word on its lines"))
}

/// Lines that can be done, and those that cannot.
fn sorted(chunk: &[Line]) -> (Vec<UpsertItem>, Vec<LineDone>) {
    let (mut items, mut rejected) = (Vec::new(), Vec::new());
    for line in chunk {
        match read(line).and_then(|given| item(line.number, given)) {
            Ok(item) => items.push(item),
            Err(problem) => rejected.push(refused(line.number, &problem)),
        }
    }
    (items, rejected)
}

/// Answers of a chunk, by their lines.
fn text(mut answers: Vec<RowAnswer>) -> Result<Vec<u8>, Problem> {
    answers.sort_by_key(|answer| answer.line);
    let mut text = Vec::new();
    for answer in &answers {
        push(&mut text, answer)?;
    }
    Ok(text)
}

struct Bulk {
    app: App,
    asked: Asked,
}

impl Bulk {
    async fn chunk(&mut self, chunk: Vec<Line>) -> Result<Vec<u8>, Problem> {
        let (mut items, rejected) = sorted(&chunk);
        let mut answers: Vec<RowAnswer> = rejected.iter().map(told).collect();
        // An entry may be full before all lines are done.
        while !items.is_empty() {
            let command = Command::UpsertProducts { step: None, items: items.clone() };
            let answer = self.app.submit(&self.asked, command).await?;
            let done = lines_done(&answer.events).map_err(Problem::after_write)?;
            answers.extend(done.lines.iter().map(told));
            items.retain(|item| item.line > done.through_line);
        }
        text(answers)
    }
}

impl Worker for Bulk {
    fn work(&mut self, chunk: Vec<Line>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send + '_>> {
        Box::pin(self.chunk(chunk))
    }
}

struct DryRun {
    /// Away while a thread that may wait for the disk works with it.
    rehearsal: Option<Rehearsal>,
    lines: usize,
}

impl DryRun {
    async fn chunk(&mut self, chunk: Vec<Line>) -> Result<Vec<u8>, Problem> {
        self.lines += chunk.len();
        if self.lines > REHEARSED_LINES_MAX {
            let detail = format!("at most {REHEARSED_LINES_MAX} lines are tried out in one request");
            let over = Problem::new(Code::LimitExceeded, detail);
            return text(chunk.iter().map(|line| told(&refused(line.number, &over))).collect());
        }
        let lost = || Problem::internal("a dry run panicked");
        let mut rehearsal = self.rehearsal.take().ok_or_else(lost)?;
        let rehearsed = tokio::task::spawn_blocking(move || {
            let text = rehearse(&mut rehearsal, &chunk);
            (rehearsal, text)
        });
        let (rehearsal, text) = rehearsed.await.map_err(|_| lost())?;
        self.rehearsal = Some(rehearsal);
        text
    }
}

/// Line by line, so that every event is one of its line.
fn rehearse(rehearsal: &mut Rehearsal, chunk: &[Line]) -> Result<Vec<u8>, Problem> {
    let (items, rejected) = sorted(chunk);
    let mut answers: Vec<RowAnswer> = rejected.iter().map(told).collect();
    for item in items {
        let events = rehearsal.decide(&Command::UpsertProducts { step: None, items: vec![item] })?;
        let mut changes = Vec::new();
        for event in &events {
            changes.extend(match event {
                Event::ProductEdited(edited) => convert::product::changes(&Edited::Product(edited.clone()))?,
                Event::ListingEdited(edited) => convert::product::changes(&Edited::Listing(edited.clone()))?,
                _ => Vec::new(),
            });
        }
        answers.extend(lines_done(&events)?.lines.iter().map(told));
        if let Some(answer) = answers.last_mut() {
            answer.changes = changes;
        }
    }
    text(answers)
}

impl Worker for DryRun {
    fn work(&mut self, chunk: Vec<Line>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send + '_>> {
        Box::pin(self.chunk(chunk))
    }
}
