//! Rows of a job: taken in order, each once, whatever broke off in between.

use std::pin::Pin;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::Request;
use kontor_api::job::{JobRow, RowAnswer, RowOutcome, StockRow};
use kontor_api::page::Page;
use kontor_api::path;
use kontor_core::command::{Command, StockItem, UpsertItem};
use kontor_core::id::{JobId, LocationId, Sku};
use kontor_core::job::{JobKind, JobStep, LineDone, LineOutcome};
use kontor_core::refusal::Refusal;
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
        LineOutcome::Changed(_) | LineOutcome::Booked | LineOutcome::Moved { .. } => wanted == RowOutcome::Changed,
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
    Stock(StockItem),
    Refused(LineDone),
}

impl Task {
    fn line(&self) -> u64 {
        match self {
            Self::Product(item) => item.line,
            Self::Stock(item) => item.line,
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
                stock_item(number, given, self.kind).map(Task::Stock)
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

    /// Books rows, each under a reference of its own, in the entry that says so in the job.
    async fn stock(&mut self, tasks: Vec<Task>) -> Result<Vec<RowAnswer>, Problem> {
        let (mut items, mut rejected) = (Vec::new(), Vec::new());
        let last = tasks.last().map_or(self.through, Task::line);
        for task in tasks {
            match task {
                Task::Refused(done) => rejected.push(done),
                Task::Stock(item) => items.push(item),
                Task::Product(_) => return Err(Problem::internal("a product in an import of stock")),
            }
        }
        let mut answers = Vec::new();
        // An entry may be full before all rows are done.
        while self.through < last {
            let (job, from_line) = (self.id, self.through + 1);
            let step = JobStep { job, from_line, through_line: last, rejected: rejected.clone() };
            let command = Command::BookStock { step, items: items.clone() };
            let answer = self.app.submit(&self.asked, command).await?;
            let done = lines_done(&answer.events).map_err(Problem::after_write)?;
            let with_sku = |line: &LineDone| {
                let item = items.iter().find(|item| item.line == line.line);
                RowAnswer { id: item.map(|item| item.sku.to_string()), ..told(line) }
            };
            answers.extend(done.lines.iter().map(with_sku));
            self.through = done.through_line;
            items.retain(|item| item.line > done.through_line);
            rejected.retain(|line| line.line > done.through_line);
        }
        Ok(answers)
    }
}

fn stock_item(line: u64, given: StockRow, kind: JobKind) -> Result<StockItem, Problem> {
    let StockRow { sku, location, quantity } = given;
    let quantity = match kind {
        JobKind::Counts => parse::units("/stock/quantity", quantity)?,
        _ => parse::line(|| "/stock".to_owned(), sku.clone(), location.clone(), quantity)?.quantity.units(),
    };
    let sku = parse::at("/stock/sku", Sku::parse(sku))?;
    Ok(StockItem { line, sku, location: parse::at("/stock/location", LocationId::parse(location))?, quantity })
}

impl Worker for Rows {
    fn work(&mut self, chunk: Vec<Line>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send + '_>> {
        Box::pin(self.chunk(chunk))
    }
}
