//! `/jobs`: imports, how far they are and what became of their rows.

use axum::extract::State;
use axum::response::Response;
use kontor_api::job::{Job, JobKind, JobStatus};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Focus, Frame, JOBS, Visitor, for_holders, live, live_after, show};
use crate::app::App;
use crate::convert::Audience;
use crate::cursor::List;
use crate::extract::Params;
use crate::problem::Problem;
use crate::routes::v1::jobs::{job_id, shown};

/// Imports of one page.
const JOBS_SHOWN: usize = 50;

/// What is told of imports in the change feed.
const EVENTS: &str = "job_started lines_done job_finished job_undone";

const LIST: List<'static> = List { path: JOBS, filters: &[] };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobParams {
    page_token: Option<String>,
}

pub(crate) async fn jobs(
    State(app): State<App>,
    Visitor(audience): Visitor,
    Params(JobParams { page_token }): Params<JobParams>,
) -> Result<Response, Problem> {
    app.read(move |reader| {
        let after = page_token.map(|token| LIST.place(&token)).transpose()?;
        let is_first = after.is_none();
        let after = after.map(|id| job_id("page_token", &id)).transpose()?;
        let mut rows = match audience {
            Audience::Keys => reader.jobs(after, JOBS_SHOWN + 1)?,
            Audience::Everybody => Vec::new(),
        };
        let more = rows.len() > JOBS_SHOWN;
        rows.truncate(JOBS_SHOWN);
        let next = rows.last().filter(|_| more).map(|(id, _)| LIST.token(&id.to_string()));
        let mut jobs = rows.iter().map(|(id, job)| shown(*id, job)).collect::<Result<Vec<_>, _>>()?;
        // Ids are digests as a rule: those of a page are shown as they began.
        jobs.sort_by_key(|job| std::cmp::Reverse(job.started_at));
        let content = html! {
            div.head { h1 { "Imports" } (live()) }
            @if audience == Audience::Everybody {
                (for_holders("imports", "they name files, and who brought them"))
            } @else {
                section #jobs data-live="all" data-events=(EVENTS) { (all(&jobs)) }
            }
            nav.pages aria-label="Pages" {
                @if !is_first { a href=(JOBS) { "First page" } }
                @if let Some(next) = &next { a rel="next" href=(show::with_params(JOBS, &[("page_token", next)])) { "Next page" } }
            }
        };
        let live = Some(live_after(reader)?);
        Ok(Frame { title: "Imports", audience, search: Some(Focus::Elsewhere), live }.around(&content))
    })
    .await
}

fn all(jobs: &[Job]) -> Markup {
    html! {
        @if jobs.is_empty() {
            div.empty {
                h2 { "Nothing was imported yet" }
                p { "Any CSV, with the columns that it has; --dry-run shows what it would do:" }
                pre { "kontor import products FILE --map sku=StockCode --map title=Description --map price=UnitPrice --currency GBP" }
            }
        } @else {
            (table(jobs))
            p.hint { "Why rows were refused: " code { "kontor api get '/jobs/ID/rows?outcome=refused'" }
                ". An import is taken back by " code { "kontor import undo ID" } "." }
        }
    }
}

fn table(jobs: &[Job]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Imports" {
            table {
                thead {
                    tr {
                        th scope="col" { "File" }
                        th scope="col" { "What" }
                        th scope="col" { "State" }
                        @for name in ["Rows done", "Created", "Changed", "Unchanged", "Refused"] {
                            th.number scope="col" { (name) }
                        }
                        th scope="col" { "Started" }
                        th scope="col" { "Last row" }
                        th scope="col" { "By" }
                    }
                }
                tbody {
                    @for job in jobs { (row(job)) }
                }
            }
        }
    }
}

fn row(job: &Job) -> Markup {
    html! {
        tr data-row=(job.id) {
            th scope="row" { (job.source) div.sub { (job.id) } }
            td {
                @match job.kind {
                    JobKind::ImportProducts => "products",
                    JobKind::ImportStock => "deliveries",
                    JobKind::ImportCounts => "counts",
                }
            }
            td data-field="status" {
                @match job.status {
                    JobStatus::Running => "running, or waiting to be resumed",
                    JobStatus::Finished => "finished",
                    JobStatus::Undoing => { "being undone: " (job.undone) " rows" },
                    JobStatus::Undone => { "undone: " (job.undone) " rows" },
                }
                @if job.changed_since > 0 { ", " (job.changed_since) " left as they were changed since" }
            }
            @for (field, rows) in [
                ("done", job.through_line),
                ("created", job.created),
                ("changed", job.changed),
                ("unchanged", job.unchanged),
                ("refused", job.refused),
            ] {
                td.number.short[field == "refused" && rows > 0] data-field=(field) { (rows) }
            }
            td { (show::time(job.started_at)) }
            td data-field="updated" { (show::time(job.updated_at)) }
            td { (job.actor) }
        }
    }
}
