//! What became of an order, step by step.

use kontor_core::id::Position;
use kontor_site::reader::TimelineAt;
use maud::{Markup, html};

use super::super::show;
use super::Page;
use crate::convert::order::step;
use crate::cursor::List;
use crate::problem::Problem;

/// Steps of one page: few orders have as many.
const STEPS: usize = 50;

pub(super) fn steps(page: &Page<'_>) -> Result<Markup, Problem> {
    let list = List { path: "/orders/timeline", filters: &[&page.shown.id] };
    let after = match page.asked.timeline.as_str() {
        "" => None,
        // A link to another list begins with the first step.
        token => list.place(token).ok().and_then(|text| {
            let (position, number) = text.split_once('/')?;
            Some((Position::parse(position)?, number.parse().ok()?))
        }),
    };
    let path = show::order_path(&page.shown.number);
    let mut rows = page.reader.timeline(&page.now.site, page.now.id, after, STEPS + 1)?;
    let more = rows.len() > STEPS;
    rows.truncate(STEPS);
    let place = |row: &TimelineAt| list.token(&format!("{}/{}", row.position, row.number));
    let later = rows.last().filter(|_| more).map(place);
    let later = later.map(|token| show::with_params(&path, &[("timeline", &token)]) + "#timeline");
    let mut shown = Vec::with_capacity(rows.len());
    for row in &rows {
        shown.push(line(page, row)?);
    }
    Ok(html! {
        h2 { "What became of it" }
        div.scroll tabindex="0" role="region" aria-label="Timeline" {
            table {
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Was then" }
                    th scope="col" { "By" } th scope="col" { "Position" }
                } }
                tbody { @for row in &shown { (row) } }
            }
        }
        nav.pages aria-label="Pages of the timeline" {
            @if after.is_some() { a href={ (path) "#timeline" } { "From the beginning" } }
            @if let Some(later) = later { a rel="next" href=(later) { "Later" } }
        }
    })
}

fn line(page: &Page<'_>, at: &TimelineAt) -> Result<Markup, Problem> {
    let told = step(at, page.now.id, page.now.order.currency)?;
    let (status, payment, goods) = at.row.status;
    Ok(html! {
        tr data-row={ (told.position) "/" (at.number) } {
            td { (show::time(told.recorded_at)) }
            td {
                b { (show::words(&told.cause)) }
                @if let Some(amount) = &told.amount { " " (show::money(amount)) }
                @if let Some(reason) = &told.reason { div { (reason) } }
                @if let Some(payment) = &told.payment { div.sub { (payment) } }
            }
            td { (show::words(status.word())) ", " (show::words(payment.word())) ", " (show::words(goods.word())) }
            td { (told.actor) div.sub title="Request, as in the logs" { (told.request_id) } }
            td.whole { code { (told.position) } }
        }
    })
}
