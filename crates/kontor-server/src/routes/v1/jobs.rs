//! `/jobs`: imports that take every row once, go on where they broke off, and can be undone.

mod rows;

pub(crate) use rows::*;

use axum::extract::State;
use axum::response::Response;
use kontor_api::job::{self as wire, Job, JobUndo, StartJob};
use kontor_api::page::Page;
use kontor_api::{Code, Empty, path};
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::JobId;
use kontor_core::job::{self as core, JobKind, JobOptions, JobStatus, Source};
use kontor_core::refusal::Refusal;
use kontor_core::text::hex;

use super::{Paging, Told, Written, expect_event, json, page, submit, would_do, write};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Nothing, Params};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::{convert, parse};

/// Start a job
///
/// Or find it again: the same `id`, `kind` and `digest` answer 200 with the job as it stands. With another
/// one it is `job_differs`.
#[utoipa::path(
    post, path = "/api/v1/jobs", tag = "jobs", operation_id = "start_job",
    request_body = StartJob,
    responses(
        (status = 201, description = "The job", body = Job, headers(("Location" = String, description = "Its path"))),
        (status = 200, description = "The job as it stands", body = Job),
    ),
)]
pub(crate) async fn start(State(app): State<App>, posted: Posted<StartJob>) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let id = body.id.map(|id| job_id("/id", &id)).transpose()?;
    let (kind, digest) = (kind(body.kind), digest(&body.digest)?);
    let source = parse::at("/source", Source::parse(body.source))?;
    let options = parse::at("/options", JobOptions::parse(body.options.unwrap_or_default()))?;
    if let Some(found) = resumed(&app, id, kind, digest)? {
        if asked.is_dry_run {
            return would_do(&[]);
        }
        return json(http::StatusCode::OK, &found);
    }
    let command = Command::StartJob { id, kind, source, digest, options };
    let started = write(&app, &asked, command, |answer| {
        let (id, job) = expect_event(answer, |event| {
            let Event::JobStarted(started) = event else { return None };
            Some((started.id, core::Job::new((**started).clone(), asked.actor.clone(), answer.recorded_at)))
        })?;
        let job = shown(id, &job)?;
        let path = path::with(path::JOB, &[&job.id]);
        Ok(Told::created(job).path(path))
    })
    .await;
    match started {
        // Somebody else has started it meanwhile.
        Err(problem) if problem.code() == Code::AlreadyExists => match resumed(&app, id, kind, digest)? {
            Some(found) => json(http::StatusCode::OK, &found),
            None => Err(problem),
        },
        started => started,
    }
}

/// The job that is to go on, if there is one; it must be of the same input.
fn resumed(app: &App, id: Option<JobId>, kind: JobKind, digest: [u8; 32]) -> Result<Option<Job>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let Some(found) = app.site.read().job(id)? else { return Ok(None) };
    if (found.started.kind, found.started.digest) != (kind, digest) {
        let detail = format!("job {id} was started with another kind or digest");
        return Err(Problem::new(Code::JobDiffers, detail).with("job", id.to_string()));
    }
    shown(id, &found).map(Some)
}

/// List jobs
///
/// By id.
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "jobs", operation_id = "list_jobs",
    params(Paging),
    responses((status = 200, description = "One page of jobs", body = Page<Job>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let size = paging.size()?;
    app.read(move |reader| {
        let list = List { path: path::JOBS, filters: &[] };
        let after = paging.page_token.map(|token| list.place(&token)).transpose()?;
        let after = after.map(|id| job_id("page_token", &id)).transpose()?;
        let rows = reader.jobs(after, size + 1)?;
        page(&list, size, &[], rows, |(id, _)| id.to_string(), |(id, job)| shown(*id, job).map(Some))
    })
    .await
}

/// Read a job
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "read_job",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job", body = Job)),
)]
pub(crate) async fn read(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = job_id("id", &id)?;
    json(http::StatusCode::OK, &shown(id, &found(&app, id)?)?)
}

/// Finish a job
///
/// It has all its rows and takes no more. Finished again, it stays so.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/finish", tag = "jobs", operation_id = "finish_job",
    params(("id" = String, Path, description = "The job's id")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "The job", body = Job)),
)]
pub(crate) async fn finish(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<Empty>,
) -> Result<Response, Problem> {
    let id = job_id("id", &id)?;
    let now = found(&app, id)?;
    if now.status != JobStatus::Finished {
        let finished = submit(&app, &posted.asked, Command::FinishJob { id }).await;
        match finished {
            Err(problem) if problem.code() == Code::JobState && found(&app, id)?.status == JobStatus::Finished => {}
            Ok(Written::Answered(response)) => return Ok(response),
            finished => drop(finished?),
        }
    } else if posted.asked.is_dry_run {
        return would_do(&[]);
    }
    let job = found(&app, id).and_then(|job| shown(id, &job));
    json(http::StatusCode::OK, &job.map_err(Problem::after_write)?)
}

/// Undo a step of a job
///
/// Takes back what a bounded number of rows have done, the last ones first, where nobody has changed it
/// since: what came in is written off, as far as it is neither gone nor promised, and what was counted is
/// counted back, if nothing has moved on its shelf. `kept` tells the rows that were not undone, or not whole;
/// `left` says how many are still to be looked at. Ask again until there are none.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/undo", tag = "jobs", operation_id = "undo_job",
    params(("id" = String, Path, description = "The job's id")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "What the step did", body = JobUndo)),
)]
pub(crate) async fn undo(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<Empty>,
) -> Result<Response, Problem> {
    let id = job_id("id", &id)?;
    let now = found(&app, id)?;
    if now.status == JobStatus::Undone {
        if posted.asked.is_dry_run {
            return would_do(&[]);
        }
        let job = shown(id, &now)?;
        return json(http::StatusCode::OK, &JobUndo { job, undone: 0, changed_since: 0, kept: Vec::new(), left: 0 });
    }
    let answer = match submit(&app, &posted.asked, Command::UndoJob { id }).await? {
        Written::Here(answer) => answer,
        Written::Answered(response) => return Ok(response),
    };
    let told = || {
        let (undone, kept, left) = expect_event(&answer, |event| {
            let Event::JobUndone(undone) = event else { return None };
            let left = undone.next_chunk.map_or(0, |_| undone.from_line.saturating_sub(1));
            Some((undone.put_back, undone.left.iter().map(super::bulk::told).collect::<Vec<_>>(), left))
        })?;
        let job = shown(id, &found(&app, id)?)?;
        json(http::StatusCode::OK, &JobUndo { job, undone, changed_since: kept.len() as u64, kept, left })
    };
    told().map_err(Problem::after_write)
}

fn found(app: &App, id: JobId) -> Result<core::Job, Problem> {
    app.site.read().job(id)?.ok_or_else(|| Refusal::UnknownJob { job: id }.into())
}

/// A job as holders of keys see it.
pub(crate) fn shown(id: JobId, job: &core::Job) -> Result<Job, Problem> {
    let core::Job { started, counts, .. } = job;
    Ok(Job {
        id: id.to_string(),
        kind: match started.kind {
            JobKind::Products => wire::JobKind::ImportProducts,
            JobKind::Stock => wire::JobKind::ImportStock,
            JobKind::Counts => wire::JobKind::ImportCounts,
        },
        status: match job.status {
            JobStatus::Running => wire::JobStatus::Running,
            JobStatus::Finished => wire::JobStatus::Finished,
            JobStatus::Undoing => wire::JobStatus::Undoing,
            JobStatus::Undone => wire::JobStatus::Undone,
        },
        source: started.source.to_string(),
        digest: hex(&started.digest).to_string(),
        options: Some(started.options.to_string()).filter(|options| !options.is_empty()),
        through_line: job.through_line,
        created: counts.created,
        changed: counts.changed,
        unchanged: counts.unchanged,
        refused: counts.refused,
        undone: job.put_back,
        changed_since: job.left,
        actor: job.actor.to_string(),
        started_at: convert::time(job.started_at)?,
        updated_at: convert::time(job.updated_at)?,
    })
}

fn kind(kind: wire::JobKind) -> JobKind {
    match kind {
        wire::JobKind::ImportProducts => JobKind::Products,
        wire::JobKind::ImportStock => JobKind::Stock,
        wire::JobKind::ImportCounts => JobKind::Counts,
    }
}

/// Reads a job's id.
pub(crate) fn job_id(place: &str, text: &str) -> Result<JobId, Problem> {
    let id = text.strip_prefix("job_").and_then(|_| JobId::parse(text).ok());
    id.ok_or_else(|| Problem::invalid(place, "a job id is job_ and 32 hexadecimal digits"))
}

/// 64 hexadecimal digits.
fn digest(text: &str) -> Result<[u8; 32], Problem> {
    let mut digest = [0; 32];
    let bytes = text.as_bytes();
    let is_hex = bytes.len() == 64 && bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    for (byte, pair) in digest.iter_mut().zip(bytes.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = pair
            .filter(|_| is_hex)
            .ok_or_else(|| Problem::invalid("/digest", "a digest is 64 lower-case hexadecimal digits (SHA-256)"))?;
    }
    if is_hex {
        Ok(digest)
    } else {
        Err(Problem::invalid("/digest", "a digest is 64 lower-case hexadecimal digits (SHA-256)"))
    }
}
