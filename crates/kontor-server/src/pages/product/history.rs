//! Who changed what of a product, from what to what.

use kontor_api::revision::Revision;
use maud::{Markup, html};

use super::super::{for_holders, show};
use super::Page;
use crate::convert::{self, Audience};
use crate::cursor::List;
use crate::problem::Problem;
use crate::routes::v1::revisions::{at, place};

/// Revisions of one page.
const REVISIONS: usize = 10;

/// Fields of one revision; those that make a product with many variants name all of it.
const FIELDS: usize = 40;

pub(super) fn revisions(page: &Page<'_>) -> Result<Markup, Problem> {
    if page.audience == Audience::Everybody {
        return Ok(html! {
            h2 { "Revisions" }
            (for_holders("revisions", "they say who has changed what"))
        });
    }
    let filters = [page.id.as_str()];
    let list = List { path: "/p/revisions", filters: &filters };
    let before = match page.asked.revisions.as_str() {
        "" => None,
        // A link to another list begins with the newest.
        token => list.place(token).ok().and_then(|text| at(&text).ok()),
    };
    let mut rows =
        page.reader.revisions(page.id, before.as_ref().map(|(stamp, site)| (*stamp, site)), REVISIONS + 1)?;
    let more = rows.len() > REVISIONS;
    rows.truncate(REVISIONS);
    let path = show::product_path(page.id);
    let sku = page.asked.sku.as_str();
    let older = rows
        .last()
        .filter(|_| more)
        .map(|last| show::with_params(&path, &[("sku", sku), ("revisions", &list.token(&place(last)))]) + "#revisions");
    let shown = rows.iter().map(|row| convert::product::revision(&row.site, &row.revision));
    let shown = shown.collect::<Result<Vec<_>, _>>()?;
    Ok(html! {
        h2 { "Revisions" }
        @for revision in &shown { (one(revision)) }
        @if shown.is_empty() { p.none { "That is all." } }
        nav.pages aria-label="Pages of revisions" {
            @if before.is_some() { a href=(show::with_params(&path, &[("sku", sku)]) + "#revisions") { "Newest" } }
            @if let Some(older) = older { a rel="next" href=(older) { "Older" } }
        }
    })
}

fn one(revision: &Revision) -> Markup {
    let Revision { revision: number, market, at, site, actor, request_id, job, changes, .. } = revision;
    html! {
        div.revision data-row={ (revision.position) " " (site) } {
            p {
                b { "Revision " (number) @if let Some(market) = market { " in market " (market) } }
                " · " (show::time(*at)) " · " (actor) " at site " (site)
                span.hint { " · request " (request_id) }
                @if let Some(job) = job {
                    " · " @if job.undo { "undone by " } @else { "by " } a href="/jobs" { "import" } ", row " (job.line)
                }
            }
            div.scroll tabindex="0" role="region" aria-label="Changed fields" {
                table {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "After" } } }
                    tbody {
                        @for change in changes.iter().take(FIELDS) {
                            tr {
                                th scope="row" { code { (change.field) } }
                                td.none[change.before.is_null()] { (show::value(&change.before)) }
                                td.none[change.after.is_null()] { (show::value(&change.after)) }
                            }
                        }
                    }
                }
            }
            @if changes.len() > FIELDS { p.hint { (changes.len() - FIELDS) " more fields are in the API's answer." } }
        }
    }
}
