//! Writes: a command is done, and what it did is told from its entry and its caller alone, so that a
//! repeated request gets the same bytes.

use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use kontor_api::changes::DryRun;
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_site::Answer;
use kontor_site::reader::Reader;
use serde::Serialize;

use super::{json, put};
use crate::app::App;
use crate::convert;
use crate::forward::elsewhere;
use crate::idempotency::Asked;
use crate::problem::Problem;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a write answers.
pub(crate) struct Told<W> {
    status: StatusCode,
    body: W,
    revision: Option<u64>,
    path: Option<String>,
}

impl<W> Told<W> {
    /// Something was made or booked.
    pub(crate) fn created(body: W) -> Self {
        Self { status: StatusCode::CREATED, body, revision: None, path: None }
    }

    /// Something was changed.
    pub(crate) fn changed(body: W) -> Self {
        Self { status: StatusCode::OK, ..Self::created(body) }
    }

    /// Something was made, or was there before.
    pub(crate) fn made(is_new: bool, body: W) -> Self {
        if is_new { Self::created(body) } else { Self::changed(body) }
    }

    /// The revision that is there now, if it is known, for its entity tag.
    pub(crate) fn revision(self, revision: Option<u64>) -> Self {
        Self { revision, ..self }
    }

    /// Where it can be read from now on.
    pub(crate) fn path(self, path: String) -> Self {
        Self { path: Some(path), ..self }
    }
}

/// Gives the site a command and tells what it did, or why not. What another site decides, that one is asked.
pub(crate) async fn write<W: Serialize>(
    app: &App,
    asked: &Asked,
    command: Command,
    tell: impl FnOnce(&Answer) -> Result<Told<W>, Problem>,
) -> Result<Response, Problem> {
    match submit(app, asked, command).await? {
        Written::Here(answer) => told(&answer, tell),
        Written::Answered(response) => Ok(response),
    }
}

/// The same, for what is told from the rows as they are then: whoever repeats it is told what is there now.
pub(crate) async fn write_and_read<W: Serialize + Send + 'static>(
    app: &App,
    asked: &Asked,
    command: Command,
    tell: impl FnOnce(&Reader, &Answer) -> Result<Told<W>, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    match submit(app, asked, command).await? {
        Written::Here(answer) => read_and_tell(app, answer, tell).await,
        Written::Answered(response) => Ok(response),
    }
}

/// Tells of what was done here by what is there now.
pub(crate) async fn read_and_tell<W: Serialize + Send + 'static>(
    app: &App,
    answer: Answer,
    tell: impl FnOnce(&Reader, &Answer) -> Result<Told<W>, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let read = app.read(move |reader| told(&answer, |answer| tell(reader, answer))).await;
    read.map_err(Problem::after_write)
}

/// What became of a command.
pub(crate) enum Written {
    /// It was done here.
    Here(Answer),
    /// It was answered without that: by another site, or because it was only asked what would happen.
    Answered(Response),
}

/// Where every write goes: to this site, to the one that decides it, or, as a dry run, nowhere.
pub(crate) async fn submit(app: &App, asked: &Asked, command: Command) -> Result<Written, Problem> {
    let done = if asked.is_dry_run {
        let events = app.rehearse(asked, command).await;
        events.and_then(|events| would_do(&events)).map(Written::Answered)
    } else {
        app.submit(asked, command).await.map(Written::Here)
    };
    match done {
        Err(problem) => elsewhere(app, asked, asked.as_told(problem)).await.map(Written::Answered),
        done => done,
    }
}

/// What a dry run answers.
pub(crate) fn would_do(events: &[Event]) -> Result<Response, Problem> {
    let events = events.iter().map(convert::event).collect::<Result<_, _>>()?;
    json(StatusCode::OK, &DryRun { dry_run: true, events })
}

/// Something has changed: no problem may say that nothing has.
fn told<W: Serialize>(
    answer: &Answer,
    tell: impl FnOnce(&Answer) -> Result<Told<W>, Problem>,
) -> Result<Response, Problem> {
    tell(answer).and_then(|told| response(answer, told)).map_err(Problem::after_write)
}

fn response<W: Serialize>(answer: &Answer, told: Told<W>) -> Result<Response, Problem> {
    let Told { status, body, revision, path } = told;
    let mut response = json(status, &body)?;
    if answer.replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(revision) = revision {
        put(&mut response, header::ETAG, &format!("\"{revision}\""));
    }
    if let Some(path) = path {
        put(&mut response, header::LOCATION, &path);
    }
    Ok(response)
}

/// The event that a write must have made.
pub(crate) fn expect_event<T>(answer: &Answer, find: impl FnMut(&Event) -> Option<T>) -> Result<T, Problem> {
    let missing = || Problem::internal("a write has not made the event that its answer is written from");
    answer.events.iter().find_map(find).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use kontor_api::Code;
    use kontor_core::id::Position;
    use kontor_core::time::SiteTime;

    use super::*;

    #[test]
    fn a_write_whose_answer_cannot_be_written_is_not_said_to_have_changed_nothing() {
        let answer =
            Answer { position: Position::START, recorded_at: SiteTime(0), events: Vec::new(), replayed: false };
        let problem = told(&answer, |answer| expect_event(answer, |_| Some(Told::changed(())))).unwrap_err();
        assert_eq!(problem.code(), Code::OutcomeUnknown);
        assert!(problem.is_defect());
        let refused = Problem::invalid("sku", "no").after_write();
        assert_eq!(refused.code(), Code::InvalidRequest);
    }
}
