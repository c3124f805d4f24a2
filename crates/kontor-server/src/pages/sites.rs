//! `/sites`: this site and those whose journals it reads, what is in conflict, and in a demo the links, to cut and
//! to heal.

use axum::extract::State;
use axum::response::Response;
use kontor_api::demo::{Demo, DemoLink, SetLinks};
use kontor_api::path;
use kontor_api::revision::{Conflict, ProductInConflict};
use kontor_api::site::{GroupPlace, LinkState, PeerSite, Sites};
use kontor_core::id::ProductId;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Focus, Frame, SITES, Visitor, for_holders, live, live_after, show};
use crate::app::App;
use crate::convert::Audience;
use crate::cursor::List;
use crate::extract::Params;
use crate::links::alarms;
use crate::parse;
use crate::problem::Problem;
use crate::routes::v1::revisions::in_conflict;

/// Products with conflicts of one page.
const CONFLICTS_SHOWN: usize = 50;

/// What is told of conflicts in the change feed; those of other sites come with their journals.
const EVENTS: &str = "product_created product_changed product_deleted listing_changed";

const LIST: List<'static> = List { path: SITES, filters: &[] };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteParams {
    page_token: Option<String>,
}

pub(crate) async fn sites(
    State(app): State<App>,
    Visitor(audience): Visitor,
    Params(SiteParams { page_token }): Params<SiteParams>,
) -> Result<Response, Problem> {
    let after = page_token.map(|token| LIST.place(&token)).transpose()?;
    let after = parse::optional("page_token", after, ProductId::parse)?;
    let told = app.links.of(&app.site);
    let demo = app.demo.as_ref().map(|demo| demo.told(told.site.clone()));
    app.read(move |reader| {
        let is_first = after.is_none();
        let mut ids = match audience {
            Audience::Keys => reader.products_in_conflict(after.as_ref(), CONFLICTS_SHOWN + 1)?,
            Audience::Everybody => Vec::new(),
        };
        let more = ids.len() > CONFLICTS_SHOWN;
        ids.truncate(CONFLICTS_SHOWN);
        let next = ids.last().filter(|_| more).map(|id| LIST.token(id.as_str()));
        let mut products = Vec::with_capacity(ids.len());
        for id in &ids {
            products.extend(in_conflict(reader, id)?);
        }
        let content = html! {
            div.head { h1 { "Sites" } (live()) }
            @if audience == Audience::Everybody {
                (for_holders("the sites", "how they are linked is for those who run them"))
            } @else {
                article data-sites="" {
                    section #sites data-live="all" { (all(&told)) }
                    @if let Some(demo) = &demo { section #demo data-live="all" { (demo_links(demo)) } }
                    section #conflicts data-live="all" data-events=(EVENTS) { (open_conflicts(&products, is_first)) }
                }
                nav.pages aria-label="Pages of conflicts" {
                    @if !is_first { a href=(SITES) { "First page" } }
                    @if let Some(next) = &next { a rel="next" href=(show::with_params(SITES, &[("page_token", next)])) { "Next page" } }
                }
            }
        };
        let live = Some(live_after(reader)?);
        Ok(Frame { title: "Sites", audience, search: Some(Focus::Elsewhere), live }.around(&content))
    })
    .await
}

fn all(told: &Sites) -> Markup {
    let alarms = alarms(told);
    html! {
        p.lead { "This is " b { (told.site) } ", whose journal ends at " (place(told.end)) "." }
        @for alarm in &alarms { p.note.bad role="status" { (alarm) } }
        @if told.items.is_empty() {
            div.empty {
                h2 { "This site is alone" }
                p { "A second one is a code here and a start there:" }
                pre { "kontor site add NAME\nkontor serve --site NAME --join CODE" }
            }
        } @else {
            (links(&told.items))
            p.hint { "Lag is for how long something may be missing here that was written there. "
                a href=(path::SITES) { "JSON" } }
        }
    }
}

fn links(items: &[PeerSite]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Sites whose journals are read" {
            table {
                thead { tr {
                    th scope="col" { "Site" }
                    th scope="col" { "Link" }
                    th scope="col" { "Read to" }
                    th scope="col" { "Ends at" }
                    th.number scope="col" { "Groups behind" }
                    th.number scope="col" { "Lag" }
                    th scope="col" { "Has read this site to" }
                    th scope="col" { "Why not" }
                } }
                tbody {
                    @for item in items {
                        tr data-row=(item.site) {
                            th scope="row" { (item.site) @if let Some(url) = &item.url { div.sub { (url) } } }
                            td.whole data-field="link" { span.good[item.link == LinkState::Open].bad[is_broken(item.link)] { (item.link.as_str()) } }
                            td.whole { (place(item.read)) }
                            td.whole { (item.end.map(place).unwrap_or_default()) }
                            td.number data-field="groups" { (item.lag_groups) }
                            td.number { (item.lag_ms / 1_000) " s" }
                            td.whole { (item.has_read.map(place).unwrap_or_default()) }
                            td { (item.error.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

fn is_broken(link: LinkState) -> bool {
    matches!(link, LinkState::Cut | LinkState::Stopped)
}

fn place(at: GroupPlace) -> String {
    format!("{}-{}", at.term, at.seq)
}

/// The links of a demo, each pair of sites once.
fn demo_links(demo: &Demo) -> Markup {
    let find = |from: &str, to: &str| demo.links.iter().find(|link| link.from == from && link.to == to);
    let place = |name: &str| demo.sites.iter().position(|site| site.site == name);
    let is_first = |link: &&DemoLink| place(&link.from) < place(&link.to) || find(&link.to, &link.from).is_none();
    let pairs = demo.links.iter().filter(is_first).map(|link| (link, find(&link.to, &link.from)));
    html! {
        h2 { "Links of the demo" }
        p.buttons {
            (button("cut-all", "Cut all", "Cut all links", &SetLinks { open: false, ..SetLinks::default() }))
            (button("heal-all", "Heal all", "Heal all links", &SetLinks { open: true, ..SetLinks::default() }))
            @for site in &demo.sites { @if site.site != demo.site { a href={ (site.url()) (SITES) } { (site.site) } } }
        }
        div.scroll tabindex="0" role="region" aria-label="Links of the demo" {
            table {
                thead { tr { th scope="col" { "Between" } th scope="col" { "and" } th scope="col" { "Link" } th scope="col" {} } }
                tbody {
                    @for (there, back) in pairs {
                        @let open = [Some(there), back].into_iter().flatten().filter(|link| link.open).count();
                        @let all = 1 + usize::from(back.is_some());
                        @let asked = SetLinks { from: Some(there.from.clone()), to: Some(there.to.clone()), open: open < all, one_way: false };
                        @let word = if open < all { "Heal" } else { "Cut" };
                        tr data-row={ (there.from) " " (there.to) } {
                            td.whole { (there.from) }
                            td.whole { (there.to) }
                            td.whole data-field="link" {
                                @if open == all { span.good { "open" } }
                                @else if open == 0 { span.bad { "cut" } }
                                @else { span.bad { "cut one way: " @let deaf = if there.open { back.map_or("", |link| link.from.as_str()) } else { &there.from }; (deaf) " hears nothing" } }
                            }
                            td { (button(&format!("link-{}-{}", there.from, there.to), word, &format!("{word} the link between {} and {}", there.from, there.to), &asked)) }
                        }
                    }
                }
            }
        }
        p.hint { "The same from the command line: " code { "kontor demo cut us-east-1 eu-west-1" } ", " code { "kontor demo heal" } "." }
    }
}

/// Sent by the script, because a page does nothing by itself.
fn button(id: &str, word: &str, label: &str, asked: &SetLinks) -> Markup {
    html! {
        button id=(id) type="button" aria-label=(label) data-set-links=(serde_json::json!(asked)) disabled
            title="Needs JavaScript, which sends it" { (word) }
    }
}

fn open_conflicts(products: &[ProductInConflict], is_first: bool) -> Markup {
    html! {
        h2 { "Open conflicts" }
        @if products.is_empty() {
            p.none { @if is_first { "No product was edited at two sites that did not know of each other." } @else { "That is all." } }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Open conflicts" {
                table {
                    thead { tr {
                        th scope="col" { "Product" } th scope="col" { "Field" } th scope="col" { "Shows" } th scope="col" { "Not shown" }
                        th scope="col" { "Rule" }
                    } }
                    @for product in products {
                        tbody {
                            @for (number, conflict) in product.conflicts.iter().enumerate() {
                                tr data-row={ (product.id) " " (conflict.market.as_deref().unwrap_or_default()) " " (conflict.field) } {
                                    @if number == 0 {
                                        th scope="rowgroup" rowspan=(product.conflicts.len()) {
                                            a href={ (path::with(super::PRODUCT, &[&product.id])) "#conflicts" } { (product.title) }
                                            div.sub { (product.id) " · " a href=(path::with(path::CONFLICTS, &[&product.id])) { "explained as JSON" } }
                                        }
                                    }
                                    (conflicting(conflict))
                                }
                            }
                        }
                    }
                }
            }
            p.hint { "Who edits what shows, having seen it, settles the conflict." }
        }
    }
}

/// The cells of a conflict: which field, what shows, what else was written, by which rule.
pub(super) fn conflicting(conflict: &Conflict) -> Markup {
    let Conflict { field, market, rule, winner, candidates } = conflict;
    html! {
        td.whole { code { (field) } @if let Some(market) = market { div.sub { "in market " (market) } } }
        td data-field="winner" { b { (show::value(&winner.value)) } div.sub { (winner.site) ", " (show::time(winner.at)) } }
        td {
            @for candidate in candidates.iter().skip(1) {
                div { (show::value(&candidate.value)) div.sub { (candidate.site) ", " (show::time(candidate.at)) } }
            }
        }
        td.whole { (rule) }
    }
}
