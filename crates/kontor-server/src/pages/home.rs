//! `/`: stock levels of all SKUs, changing while one looks at them.

use axum::extract::State;
use axum::response::Response;
use kontor_api::stock::{Level, Stock};
use kontor_core::id::Sku;
use maud::{Markup, html};
use serde::Deserialize;

use super::page;
use crate::app::App;
use crate::convert;
use crate::cursor::List;
use crate::extract::Params;
use crate::problem::Problem;

/// SKUs of one page: with three locations each, what a person scrolls through.
const SKUS: usize = 50;

const LIST: List<'static> = List { path: "/", filters: &[] };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HomeParams {
    page_token: Option<String>,
}

pub(crate) async fn home(State(app): State<App>, Params(params): Params<HomeParams>) -> Result<Response, Problem> {
    let first = params.page_token.is_none();
    let (stocks, position, next) = app
        .read(move |reader| {
            let after = params.page_token.map(|token| LIST.place(&token)).transpose()?;
            let after = crate::parse::optional("page_token", after, Sku::parse)?;
            let mut rows = reader.stocks(after.as_ref(), SKUS + 1)?;
            let more = rows.len() > SKUS;
            rows.truncate(SKUS);
            let next = rows.last().filter(|_| more).map(|last| LIST.token(last.sku.as_str()));
            let position = reader.position()?;
            let stocks: Vec<Stock> = rows.iter().map(|row| convert::stock(row, position)).collect();
            // The position names a group; all of its entries are in these rows.
            Ok((stocks, format!("{}-{}-{}", position.term, position.seq, u32::MAX), next))
        })
        .await?;
    let content = html! {
        div.head {
            div {
                h1 { "Stock" }
                p.lead { "Site " strong { (app.site.id()) } ", version " (app.version) }
            }
            p.live #live role="status" { "Not live: this page needs its script." }
        }
        @if stocks.is_empty() && first { (nothing_yet()) } @else { (table(&stocks)) }
        nav.pages aria-label="Pages" {
            @if !first { a href="/" { "First page" } }
            @if let Some(next) = &next { a rel="next" href=(format!("/?page_token={next}")) { "Next page" } }
        }
        section.feed aria-labelledby="feed-title" {
            h2 #feed-title { "What happens" }
            ol #feed data-after=(position) {}
            p.hint #feed-empty { "Nothing since this page was opened." }
        }
    };
    Ok(page("Stock · Kontor", Some("/assets/home.js"), &content))
}

fn table(stocks: &[Stock]) -> Markup {
    html! {
        div.tools {
            label for="filter" { "Filter" }
            input #filter type="search" placeholder="SKU, title or location" autocomplete="off" spellcheck="false";
            span.hint { "Press " kbd { "/" } " to filter, " kbd { "Esc" } " to clear" }
        }
        div.scroll tabindex="0" role="region" aria-label="Stock levels" {
            table #stock {
                thead {
                    tr {
                        th scope="col" { "SKU" }
                        th scope="col" { "Title" }
                        th scope="col" { "Location" }
                        @for name in ["On hand", "Reserved", "Committed", "Available"] {
                            th.number scope="col" { (name) }
                        }
                    }
                }
                @for stock in stocks { (rows(stock)) }
            }
        }
    }
}

/// One group of rows per SKU; the script writes the same when it changes.
fn rows(stock: &Stock) -> Markup {
    html! {
        tbody data-sku=(stock.sku) data-title=(stock.title) {
            @if stock.levels.is_empty() {
                tr {
                    (name(stock, 1))
                    td.none colspan="5" { "Never in stock anywhere" }
                }
            }
            @for (index, level) in stock.levels.iter().enumerate() {
                tr data-location=(level.location) {
                    @if index == 0 { (name(stock, stock.levels.len())) }
                    (numbers(level))
                }
            }
        }
    }
}

fn name(stock: &Stock, rows: usize) -> Markup {
    let path = kontor_api::path::with(kontor_api::path::STOCK_OF_SKU, &[&stock.sku]);
    html! {
        th scope="rowgroup" rowspan=(rows) { a href=(path) { (stock.sku) } }
        td.title rowspan=(rows) { (stock.title) }
    }
}

fn numbers(level: &Level) -> Markup {
    html! {
        td { (level.location) }
        @for (field, units) in [
            ("on_hand", level.on_hand),
            ("reserved", level.reserved),
            ("committed", level.committed),
            ("available", level.available),
        ] {
            td.number.short[field == "available" && units <= 0] data-field=(field) { (units) }
        }
    }
}

fn nothing_yet() -> Markup {
    html! {
        section.empty {
            h2 { "Nothing is here yet" }
            p { "Add a product and a location, then receive some stock. With the admin key that the server printed at its first start:" }
            pre {
                "export KONTOR_KEY=kon_…\n"
                "kontor api post /api/v1/locations '{\"id\": \"berlin\", \"name\": \"Shop Berlin\"}'\n"
                "kontor api post /api/v1/products '{\"sku\": \"P1001\", \"title\": \"Walnut desk\"}'\n"
                "kontor api post /api/v1/stock/receive '{\"sku\": \"P1001\", \"location\": \"berlin\", \"quantity\": 12}'"
            }
            p { "Or try the same in the " a href="/docs/" { "API reference" } ". This page shows it at once." }
        }
    }
}
