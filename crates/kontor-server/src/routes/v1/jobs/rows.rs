//! Rows of a job: taken in order, each once, whatever broke off in between.

use std::pin::Pin;
use std::task::Poll;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::Request;
use kontor_api::job::{JobRow, RowAnswer, RowOutcome, StockRow};
use kontor_api::page::Page;
use kontor_api::{Code, path};
use kontor_core::command::{Command, Inbound, Note, UpsertItem};
use kontor_core::event::Event;
use kontor_core::id::{JobId, LocationId, Sku};
use kontor_core::job::{JobKind, JobStep, LineDone, LineOutcome};
use kontor_core::refusal::Refusal;
use kontor_core::text::Reference;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::bulk::{item, lines_done, read, refused, told};
use super::super::{listed, page_size};
use super::{found, job_id};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Caller, Named, Nothing, Params};
use crate::idempotency::Asked;
use crate::lines::{Line, Lines, Worker, answer, push};
use crate::parse;
use crate::problem::Problem;

/// Send rows of a job
///
/// Lines of JSON, each a row with its number. Rows that were taken before answer `done` and are not taken
/// again; the first new one is the next of the job, or it is `job_position`. A row that is refused is
/// counted and kept, and the job goes on. After an unknown outcome, read the job and go on after
/// its `through_line`.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/rows", tag = "jobs", operation_id = "send_rows",
    params(("id" = String, Path, description = "The job's id")),
    request_body(content = JobRow, content_type = "application/x-ndjson", description = "One row on each line"),
    responses((status = 200, description = "What became of each row", body = RowAnswer, content_type = "application/x-ndjson")),
)]
pub(crate) async fn send_rows(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let asked = Asked::without_key(&caller)?;
    let id = job_id("id", &id)?;
    let job = found(&app, id)?;
    let lines = Lines::of(&app, request)?;
    let (kind, through) = (job.started.kind, job.through_line);
    answer(&app, lines, Rows { app: app.clone(), asked, id, kind, through, last: None, is_over: false }).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RowParams {
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
    /// Only rows of which this became: `created`, `changed`, `unchanged` or `refused`.
    #[param(inline)]
    outcome: Option<RowOutcome>,
}

/// List the rows of a job
///
/// What became of them, by their numbers. A page may be short, or empty, and still have a next one.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/rows", tag = "jobs", operation_id = "list_rows",
    params(("id" = String, Path, description = "The job's id"), RowParams),
    responses((status = 200, description = "One page of rows", body = Page<RowAnswer>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list_rows(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(RowParams { page_size: size, page_token, outcome }): Params<RowParams>,
) -> Result<Response, Problem> {
    let size = page_size(size)?;
    let id = job_id("id", &id)?;
    app.read(move |reader| {
        if reader.job(id)?.is_none() {
            return Err(Refusal::UnknownJob { job: id }.into());
        }
        let path = path::with(path::JOB_ROWS, &[&id.to_string()]);
        let word = outcome.map(outcome_word);
        let list = List { path: &path, filters: &[word.unwrap_or_default()] };
        let after = page_token.map(|token| list.place(&token)).transpose()?;
        let after = after.map_or(Ok(0), |line| line.parse());
        let after = after.map_err(|_| Problem::invalid("page_token", "names no place of this list"))?;
        let found = reader.job_lines(id, after, size, |became| outcome.is_none_or(|wanted| is(became, wanted)))?;
        let items: Vec<RowAnswer> = found.lines.iter().map(told).collect();
        listed(&list, size, &[("outcome", word)], items, found.next.map(|line| line.to_string()))
    })
    .await
}

fn outcome_word(outcome: RowOutcome) -> &'static str {
    match outcome {
        RowOutcome::Created => "created",
        RowOutcome::Changed => "changed",
        RowOutcome::Unchanged => "unchanged",
        RowOutcome::Refused => "refused",
        RowOutcome::Done => "done",
    }
}

fn is(became: &LineOutcome, wanted: RowOutcome) -> bool {
    match became {
        LineOutcome::Created(_) => wanted == RowOutcome::Created,
        LineOutcome::Changed(_) | LineOutcome::Booked => wanted == RowOutcome::Changed,
        LineOutcome::Unchanged => wanted == RowOutcome::Unchanged,
        LineOutcome::Refused { .. } => wanted == RowOutcome::Refused,
    }
}

/// Takes the rows of one request.
struct Rows {
    app: App,
    asked: Asked,
    id: JobId,
    kind: JobKind,
    /// The last row that the job has taken.
    through: u64,
    /// The last row of the request.
    last: Option<u64>,
    /// Whether a row was missing: what follows it is not taken.
    is_over: bool,
}

/// What is to be done with a row.
enum Task {
    Product(Box<UpsertItem>),
    Stock(u64, StockLine),
    Refused(LineDone),
}

/// Units of a row, checked.
struct StockLine {
    sku: Sku,
    location: LocationId,
    quantity: u64,
}

impl Task {
    fn line(&self) -> u64 {
        match self {
            Self::Product(item) => item.line,
            Self::Stock(line, _) => *line,
            Self::Refused(done) => done.line,
        }
    }
}

impl Rows {
    async fn chunk(&mut self, chunk: Vec<Line>) -> Result<Vec<u8>, Problem> {
        let mut text = Vec::new();
        let mut tasks = Vec::with_capacity(chunk.len());
        let mut missing = None;
        for line in &chunk {
            if self.is_over {
                break;
            }
            let task = self.task(line);
            let number = task.line();
            self.last = Some(number);
            let expected = tasks.last().map_or(self.through, Task::line) + 1;
            if number < expected {
                let id = None;
                let (outcome, code, detail, changes) = (RowOutcome::Done, None, None, Vec::new());
                push(&mut text, &RowAnswer { line: number, id, outcome, code, detail, changes })?;
            } else if number == expected {
                tasks.push(task);
            } else {
                let problem = Problem::from(Refusal::JobPosition { job: self.id, expected });
                if tasks.is_empty() && text.is_empty() {
                    return Err(problem);
                }
                missing = Some(told(&refused(number, &problem)));
                self.is_over = true;
            }
        }
        let done = match self.kind {
            JobKind::Products => self.products(tasks).await?,
            JobKind::Stock | JobKind::Counts => self.stock(tasks).await?,
        };
        for answer in done.iter().chain(&missing) {
            push(&mut text, answer)?;
        }
        Ok(text)
    }

    /// What a line asks for. One that cannot be read is the row after the one before.
    fn task(&self, line: &Line) -> Task {
        #[derive(Deserialize)]
        struct Numbered {
            line: u64,
        }
        let row: JobRow = match read(line) {
            Ok(row) => row,
            Err(problem) => {
                let given = line.text.as_ref().and_then(|text| serde_json::from_slice::<Numbered>(text).ok());
                let number = given.map_or_else(|| self.last.unwrap_or(self.through) + 1, |given| given.line);
                return Task::Refused(refused(number, &problem));
            }
        };
        let number = row.line;
        let task = match (self.kind, row.product, row.stock, row.refused) {
            (JobKind::Products, Some(given), None, None) => {
                item(number, *given).map(|item| Task::Product(Box::new(item)))
            }
            (JobKind::Stock | JobKind::Counts, None, Some(given), None) => {
                stock_line(given, self.kind).map(|units| Task::Stock(number, units))
            }
            (_, None, None, Some(why)) => {
                let (line, outcome) = (number, LineOutcome::refused(&why.code, &why.detail));
                Ok(Task::Refused(LineDone { line, product: None, outcome }))
            }
            _ => Err(Problem::invalid("", "a row has one of product, stock and refused, as the kind of its job says")),
        };
        task.unwrap_or_else(|problem| Task::Refused(refused(number, &problem)))
    }

    async fn products(&mut self, tasks: Vec<Task>) -> Result<Vec<RowAnswer>, Problem> {
        let (mut items, mut rejected) = (Vec::new(), Vec::new());
        let last = tasks.last().map_or(self.through, Task::line);
        for task in tasks {
            match task {
                Task::Product(item) => items.push(*item),
                Task::Refused(done) => rejected.push(done),
                Task::Stock(..) => return Err(Problem::internal("a row of stock in an import of products")),
            }
        }
        let mut answers = Vec::new();
        // An entry may be full before all rows are done.
        while self.through < last {
            let (job, from_line) = (self.id, self.through + 1);
            let step = JobStep { job, from_line, through_line: last, rejected: rejected.clone() };
            let command = Command::UpsertProducts { step: Some(step), items: items.clone() };
            let answer = self.app.submit(&self.asked, command).await?;
            let done = lines_done(&answer.events).map_err(Problem::after_write)?;
            answers.extend(done.lines.iter().map(told));
            self.through = done.through_line;
            items.retain(|item| item.line > done.through_line);
            rejected.retain(|line| line.line > done.through_line);
        }
        Ok(answers)
    }

    /// Books rows one by one, each under a reference of its own, and then says so in the job: after a
    /// crash in between, the rows that were booked find their references used.
    async fn stock(&mut self, tasks: Vec<Task>) -> Result<Vec<RowAnswer>, Problem> {
        let Some(last) = tasks.last().map(Task::line) else { return Ok(Vec::new()) };
        let (mut skus, mut rejected, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for task in tasks {
            match task {
                Task::Refused(done) => rejected.push(done),
                Task::Stock(line, units) => {
                    skus.push((line, units.sku.to_string()));
                    asked.push((line, self.booking(line, units)?));
                }
                Task::Product(_) => return Err(Problem::internal("a product in an import of stock")),
            }
        }
        let booked = self.book(asked).await;
        let done = booked.into_iter().collect::<Result<Vec<LineDone>, Problem>>()?;
        let (job, from_line) = (self.id, self.through + 1);
        let step = JobStep { job, from_line, through_line: last, rejected };
        let answer = self.app.submit(&self.asked, Command::AdvanceJob { step, done }).await?;
        let done = lines_done(&answer.events).map_err(Problem::after_write)?;
        if done.through_line != last {
            return Err(Problem::internal("words on so few rows did not fit into an entry").after_write());
        }
        self.through = last;
        let with_sku = |line: &LineDone| {
            let sku = skus.iter().find(|(number, _)| *number == line.line).map(|(_, sku)| sku.clone());
            RowAnswer { id: sku, ..told(line) }
        };
        Ok(done.lines.iter().map(with_sku).collect())
    }

    fn booking(&self, line: u64, units: StockLine) -> Result<Command, Problem> {
        let StockLine { sku, location, quantity } = units;
        let reference = Reference::parse(format!("{}:{line}", self.id));
        let reference = reference.map_err(|error| Problem::internal(error.to_string()))?;
        let note = Note { reference: Some(reference), ..Note::default() };
        if self.kind == JobKind::Counts {
            return Ok(Command::Count { sku, location, counted: quantity, expected: None, note });
        }
        let lines = vec![parse::line(String::new, sku.to_string(), location.to_string(), quantity)?];
        Ok(Command::Receive { from: Inbound::Delivery, lines, note })
    }

    /// Asks for all of them at once, so that they share a group of the journal, in the order of the rows:
    /// of two counts of one shelf, the later one stays.
    async fn book(&self, asked: Vec<(u64, Command)>) -> Vec<Result<LineDone, Problem>> {
        let mut waiting: Vec<_> = asked
            .into_iter()
            .map(|(line, command)| {
                let answer = Box::pin(self.app.submit(&self.asked, command));
                (line, Some(answer), None)
            })
            .collect();
        std::future::poll_fn(|cx| {
            let mut is_waiting = false;
            for (line, answer, done) in &mut waiting {
                let Some(pending) = answer else { continue };
                match pending.as_mut().poll(cx) {
                    Poll::Pending => is_waiting = true,
                    Poll::Ready(told) => {
                        (*answer, *done) = (None, Some(booked(*line, told.map(|answer| answer.events))));
                    }
                }
            }
            if is_waiting { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        waiting.into_iter().filter_map(|(_, _, done)| done).collect()
    }
}

/// What became of a row that was booked, or was not.
fn booked(line: u64, told: Result<Vec<Event>, Problem>) -> Result<LineDone, Problem> {
    let outcome = match told {
        Ok(events) => {
            let is_count_of_the_same = events.iter().all(|event| match event {
                Event::StockMoved { kind, lines, .. } => {
                    *kind == kontor_core::movement::MovementKind::Count && lines.iter().all(|line| line.change == 0)
                }
                // From now on its stock is counted.
                Event::ProductEdited(_) => false,
                _ => true,
            });
            if is_count_of_the_same { LineOutcome::Unchanged } else { LineOutcome::Booked }
        }
        // By this very row, before a crash.
        Err(problem) if problem.code() == Code::ReferenceUsed => LineOutcome::Booked,
        Err(problem) if problem.is_refusal() => return Ok(refused(line, &problem)),
        Err(problem) => return Err(problem),
    };
    Ok(LineDone { line, product: None, outcome })
}

fn stock_line(given: StockRow, kind: JobKind) -> Result<StockLine, Problem> {
    let StockRow { sku, location, quantity } = given;
    let quantity = match kind {
        JobKind::Counts => parse::units("/stock/quantity", quantity)?,
        _ => parse::line(|| "/stock".to_owned(), sku.clone(), location.clone(), quantity)?.quantity.units(),
    };
    Ok(StockLine {
        sku: parse::at("/stock/sku", Sku::parse(sku))?,
        location: parse::at("/stock/location", LocationId::parse(location))?,
        quantity,
    })
}

impl Worker for Rows {
    fn work(&mut self, chunk: Vec<Line>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send + '_>> {
        Box::pin(self.chunk(chunk))
    }
}
