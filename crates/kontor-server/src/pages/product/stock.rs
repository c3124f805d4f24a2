//! Where a product's stock is, whether it can be sold there, and what has moved.

use kontor_api::stock::{ExplainedLocation, Level, Movement, MovementKind};
use kontor_core::id::{LocationId, SiteId};
use maud::{Markup, html};

use super::super::{for_holders, show};
use super::Page;
use crate::convert::{self, Audience};
use crate::cursor::List;
use crate::problem::Problem;
use crate::routes::v1::movements::{place, written_place};
use crate::routes::v1::stock as v1;

/// Variants whose levels are shown together; with more of them, those of the one that is looked at.
const VARIANTS: usize = 20;

/// Movements of one page.
const MOVEMENTS: usize = 25;

/// Locations that are explained without being asked to.
const OPEN: usize = 4;

const PARTS: [&str; 5] = ["On hand", "− Reserved", "− Committed", "− Unavailable", "− Safety stock"];

/// The levels of all variants, with the arithmetic.
pub(super) fn levels(page: &Page<'_>) -> Result<Markup, Problem> {
    let all = page.product.variants.iter().map(|variant| &variant.sku);
    let is_many = page.product.variants.len() > VARIANTS;
    let skus: Vec<_> = if is_many { page.sku.iter().collect() } else { all.collect() };
    let position = page.reader.position()?;
    let mut stocks = Vec::with_capacity(skus.len());
    for sku in skus {
        stocks.extend(page.reader.stock(sku)?.map(|found| convert::stock(&found, position)));
    }
    Ok(html! {
        h2 { "Stock" @if is_many { @if let Some(sku) = &page.sku { " of " (sku) } } }
        div.scroll tabindex="0" role="region" aria-label="Stock" {
            table.sums {
                thead { tr {
                    th scope="col" { "SKU" }
                    th scope="col" { "Location" }
                    @for name in PARTS { th.number scope="col" { (name) } }
                    th.number scope="col" { "= Available" }
                } }
                @for stock in &stocks {
                    tbody {
                        @if stock.levels.is_empty() {
                            tr { th scope="row" { (page.pick(&stock.sku)) } td.none colspan="7" { "Never in stock anywhere" } }
                        }
                        @for (number, level) in stock.levels.iter().enumerate() {
                            tr data-row={ (stock.sku) "@" (level.location) } {
                                @if number == 0 { th scope="rowgroup" rowspan=(stock.levels.len()) { (page.pick(&stock.sku)) } }
                                td { a href=(page.link(&stock.sku, &level.location, "movements")) title="Movements here" { (level.location) } }
                                (numbers(level))
                            }
                        }
                        @if stock.levels.len() > 1 {
                            @let sum = |part: fn(&Level) -> i64| stock.levels.iter().map(part).sum::<i64>();
                            tr.total data-row={ (stock.sku) "@" } {
                                th scope="row" {} td { "All locations" }
                                (cells([
                                    sum(|at| at.on_hand), sum(|at| at.reserved), sum(|at| at.committed),
                                    sum(|at| at.unavailable), sum(|at| at.safety_stock), sum(|at| at.available),
                                ]))
                            }
                        }
                    }
                }
            }
        }
    })
}

fn numbers(level: &Level) -> Markup {
    let Level { on_hand, reserved, committed, unavailable, safety_stock, available, .. } = *level;
    cells([on_hand, reserved, committed, unavailable, safety_stock, available])
}

fn cells(units: [i64; 6]) -> Markup {
    let fields = ["on_hand", "reserved", "committed", "unavailable", "safety_stock", "available"];
    html! {
        @for (field, units) in fields.into_iter().zip(units) {
            td.number.short[field == "available" && units <= 0].zero[field != "available" && units == 0] data-field=(field) { (units) }
        }
    }
}

/// Whether one unit of the variant can be sold, and why or why not.
pub(super) fn explained(page: &Page<'_>, here: &SiteId) -> Result<Markup, Problem> {
    let Some(sku) = &page.sku else { return Ok(html! {}) };
    if page.audience == Audience::Everybody {
        return Ok(html! {
            h2 { "Can it be sold?" }
            (for_holders("why it can or cannot be sold", "the answer names orders and reservations"))
        });
    }
    let told = v1::explained(page.reader, here, sku.clone())?;
    let few = told.locations.len() <= OPEN;
    Ok(html! {
        h2 { "Can " (sku) " be sold?" }
        p.verdict.good[told.sellable].bad[!told.sellable] { (told.summary) }
        @for at in &told.locations { (location(at, few)) }
    })
}

fn location(at: &ExplainedLocation, is_open: bool) -> Markup {
    let place = at.level.location.as_str();
    html! {
        details id={ "explained-" (place) } open[is_open] {
            summary {
                b { (place) } " "
                @if at.sellable && at.promisable > 0 { span.good { "can sell " (at.promisable) } }
                @else if at.sellable { span.good { "can sell, whatever is there" } }
                @else { span.bad { "cannot sell: " (at.code.as_deref().unwrap_or("refused")) } }
            }
            ul { @for sentence in &at.sentences { li { (sentence) } } }
            @if at.sites.len() > 1 { (shares(at)) }
            @if !at.holds.is_empty() {
                div.scroll tabindex="0" role="region" aria-label={ "Held at " (place) } {
                    table {
                        thead { tr { th scope="col" { "Held by" } th.number scope="col" { "Units" } th scope="col" { "Until" } } }
                        tbody {
                            @for hold in &at.holds {
                                tr data-row={ (place) " " (hold.reservation) } {
                                    td { code { (hold.reservation) } }
                                    td.number { (hold.quantity) }
                                    td { (super::moment(hold.expires_at.as_ref(), "handed out: promised to an order")) }
                                }
                            }
                        }
                    }
                }
                @if at.more_holds { p.hint { "There are more: " code { "kontor explain SKU --location " (place) } } }
            }
        }
    }
}

/// Which site may sell how many of it, and who asks whom for more.
fn shares(at: &ExplainedLocation) -> Markup {
    let place = at.level.location.as_str();
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Shares of " (place) } {
            table {
                thead { tr {
                    th scope="col" { "Site" }
                    th.number scope="col" { "Share" }
                    th.number scope="col" { "− Held" }
                    th.number scope="col" { "− Sold" }
                    th.number scope="col" { "= Can sell" }
                    th scope="col" { "Asks" }
                } }
                tbody {
                    @for books in &at.sites {
                        tr data-row={ (place) " " (books.site) } {
                            th scope="row" { (books.site) @if books.site == at.home { " " span.badge { "home" } } }
                            td.number data-field="quota" { (books.quota) }
                            td.number.zero[books.reserved == 0] data-field="reserved" { (books.reserved) }
                            td.number.zero[books.sold == books.unsold] data-field="sold" { (books.sold.saturating_sub(books.unsold)) }
                            td.number.short[books.sellable <= 0] data-field="sellable" { (books.sellable) }
                            td data-field="asks" {
                                @for ask in books.asks.iter().filter(|ask| ask.open > 0) {
                                    div { (ask.open) " of " (ask.of) ", until " (show::time(ask.until)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What has moved of the variant, newest first: why there are as many as there are.
pub(super) fn movements(page: &Page<'_>) -> Result<Markup, Problem> {
    let Some(sku) = &page.sku else { return Ok(html! {}) };
    if page.audience == Audience::Everybody {
        return Ok(html! {
            h2 { "Movements" }
            (for_holders("movements", "how much was sold, and who booked it, is the seller's business"))
        });
    }
    let location = LocationId::parse(page.asked.location.as_str()).ok();
    let at = location.as_ref().map_or("", LocationId::as_str);
    let filters = [page.id.as_str(), sku.as_str(), at];
    let list = List { path: "/p/movements", filters: &filters };
    let before = match page.asked.movements.as_str() {
        "" => None,
        // A link to another list begins with the newest.
        token => list.place(token).ok().and_then(|text| place(&text)),
    };
    let mut rows = page.reader.movements(sku, location.as_ref(), before.as_ref(), MOVEMENTS + 1)?;
    let more = rows.len() > MOVEMENTS;
    rows.truncate(MOVEMENTS);
    let path = show::product_path(page.id);
    let older = rows.last().filter(|_| more).map(|last| {
        let token = list.token(&written_place(last));
        show::with_params(&path, &[("sku", sku.as_str()), ("location", at), ("movements", &token)]) + "#movements"
    });
    let moved = rows.iter().map(|line| convert::movement(sku, line)).collect::<Result<Vec<_>, _>>()?;
    Ok(html! {
        h2 { "Movements of " (sku) @if !at.is_empty() { " at " (at) } }
        p.hint {
            "Newest first. What is on hand is the sum of all changes at a location. "
            @if !at.is_empty() { a href=(page.link(sku.as_str(), "", "movements")) { "At all locations" } }
        }
        @if moved.is_empty() {
            section.empty {
                p { @if before.is_some() { "That is all." } @else { "Nothing has moved yet. Receive some:" } }
                @if before.is_none() {
                    pre { "kontor api post /api/v1/stock/receive '{\"sku\": \"" (sku) "\", \"location\": \"…\", \"quantity\": 1}'" }
                }
            }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Movements" {
                table {
                    thead { tr {
                        th scope="col" { "When" }
                        th scope="col" { "What" }
                        th scope="col" { "Location" }
                        th.number scope="col" { "Change" }
                        th.number scope="col" { "On hand after" }
                        th scope="col" { "Reason" }
                        th scope="col" { "Reference" }
                        th scope="col" { "By" }
                    } }
                    tbody { @for movement in &moved { (line(movement)) } }
                }
            }
        }
        nav.pages aria-label="Pages of movements" {
            @if before.is_some() { a href=(page.link(sku.as_str(), at, "movements")) { "Newest" } }
            @if let Some(older) = older { a rel="next" href=(older) { "Older" } }
        }
    })
}

fn line(movement: &Movement) -> Markup {
    let Movement { id, kind, location, quantity, on_hand_after, reason, reference, reservation, actor, .. } = movement;
    html! {
        tr data-row=(id) {
            td { (show::time(movement.recorded_at))
                @if movement.occurred_at != movement.recorded_at { div.sub { "happened " (show::time(movement.occurred_at)) } } }
            td.whole { (word(*kind)) }
            td.whole { (location) }
            td.number { @if *quantity > 0 { "+" } @else if *quantity < 0 { "−" } (quantity.unsigned_abs()) }
            td.number { (on_hand_after) }
            td { (reason.as_deref().unwrap_or("–")) }
            td { (reference.as_deref().or(reservation.as_deref()).unwrap_or("–")) }
            td { (actor)
                @if let Some(request) = &movement.request_id { div.sub title="Request, as in the logs" { (request) } } }
        }
    }
}

fn word(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Receive => "received",
        MovementKind::Return => "returned",
        MovementKind::Issue => "issued",
        MovementKind::Ship => "shipped",
        MovementKind::WriteOff => "written off",
        MovementKind::Count => "counted",
    }
}
