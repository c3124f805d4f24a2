//! What can be done with an order, each with the reason where it cannot. The script sends what is asked for, as
//! any program would.

use kontor_api::path;
use kontor_api::price::Money;
use kontor_core::id::{LocationId, Sku};
use kontor_core::location::Location;
use kontor_core::order::{Fulfillment, OrderStatus};
use kontor_core::reservation::{ReservationLine, ReservationStatus};
use maud::{Markup, html};

use super::super::show;
use super::Page;
use super::payments::is_asked;
use crate::problem::Problem;

/// Locations that units can be put back to; others by the API.
const LOCATIONS: usize = 200;

/// Something that can be asked for.
pub(super) struct Action<'a> {
    pub(super) id: &'a str,
    pub(super) word: &'a str,
    pub(super) path: String,
    /// What is said when it was done.
    pub(super) done: &'a str,
    pub(super) why_not: Option<String>,
}

impl Action<'_> {
    pub(super) fn show(&self, fields: Markup) -> Markup {
        let Self { id, word, path, done, why_not } = self;
        html! {
            @match why_not {
                Some(why) => div.action {
                    button type="button" id=(id) disabled title=(why) aria-describedby={ (id) "-why" } { (word) }
                    span.hint id={ (id) "-why" } { (why) }
                },
                None => form.action data-call=(path) data-done=(done) {
                    (fields)
                    button type="submit" id=(id) disabled title="Needs JavaScript, which sends it" { (word) }
                },
            }
        }
    }

    /// Behind a word that opens it: what cannot be taken back is not done by one key.
    fn show_closed(&self, fields: Markup) -> Markup {
        html! {
            @if self.why_not.is_some() { (self.show(html! {})) } @else {
                details id={ (self.id) "-open" } { summary { (self.word) "…" } (self.show(fields)) }
            }
        }
    }
}

pub(super) fn all(page: &Page<'_>) -> Result<Markup, Problem> {
    Ok(html! {
        h2 { "What can be done" }
        div.actions {
            (ship(page))
            (refund(page)?)
            (cancel(page))
        }
    })
}

fn ship(page: &Page<'_>) -> Markup {
    let lines = page.now.reservation.iter().flat_map(|held| &held.lines);
    let left: Vec<(&ReservationLine, u64)> =
        lines.map(|line| (line, line.quantity.saturating_sub(line.shipped))).filter(|(_, left)| *left > 0).collect();
    let is_promised = page.now.reservation.as_ref().is_some_and(|held| held.status == ReservationStatus::Committed);
    let why = match page.now.order.status {
        OrderStatus::Canceled => Some("It was canceled."),
        OrderStatus::Open => Some("Its money is not sure yet."),
        OrderStatus::Completed => Some("All of it was handed out."),
        OrderStatus::Confirmed if page.now.reservation.is_none() => Some("Nothing is known here of its units."),
        OrderStatus::Confirmed if left.is_empty() => Some("All of it was handed out."),
        OrderStatus::Confirmed if !is_promised => Some("Its units are not promised to it."),
        OrderStatus::Confirmed => None,
    };
    Action {
        id: "ship",
        word: "Ship",
        path: path::with(path::SHIP_ORDER, &[&page.shown.id]),
        done: "Handed out.",
        why_not: why.map(Into::into),
    }
    .show(html! {
        @for (number, (line, left)) in left.iter().enumerate() {
            @let id = format!("ship-{number}");
            div.line data-line="" data-sku=(line.sku) data-location=(line.location) {
                label for=(id) { (line.sku) " from " (line.location) }
                input id=(id) type="number" data-quantity="" min="0" max=(left) value=(left) required;
                span.hint { "of " (left) }
            }
        }
    })
}

fn cancel(page: &Page<'_>) -> Markup {
    let why = match (page.now.order.status, page.now.order.fulfillment_status) {
        (OrderStatus::Canceled, _) => Some("It was canceled."),
        (_, goods) if goods != Fulfillment::Unfulfilled => {
            Some("Units were handed out: they may come back, and their price with them.")
        }
        (OrderStatus::Completed, _) => Some("It is completed."),
        (OrderStatus::Open | OrderStatus::Confirmed, _) => None,
    };
    Action {
        id: "cancel",
        word: "Cancel the order",
        path: path::with(path::CANCEL_ORDER, &[&page.shown.id]),
        done: "Canceled. What was held is given back, and so is the money.",
        why_not: why.map(Into::into),
    }
    .show_closed(reason_field("cancel"))
}

fn refund(page: &Page<'_>) -> Result<Markup, Problem> {
    let order = &page.now.order;
    let is_out = matches!(
        order.fulfillment_status,
        Fulfillment::PartiallyFulfilled | Fulfillment::Fulfilled | Fulfillment::PartiallyReturned
    );
    let mut back = order.handed_out(page.now.reservation.as_ref());
    back.retain(|_, left| *left > 0);
    let paid = order.money.captured - order.money.refunded;
    let asked = page.now.payments.iter().find(|(_, payment)| payment.captured > payment.refunded);
    let why = match asked.and_then(|(_, payment)| is_asked(payment)) {
        _ if paid == 0 && back.is_empty() && order.money.captured > 0 => {
            Some("All that was paid was given back.".to_owned())
        }
        _ if paid == 0 && back.is_empty() => {
            Some("Nothing was paid that could be given back, and nothing was handed out.".to_owned())
        }
        why => why,
    };
    let locations = page.reader.locations(None, LOCATIONS)?;
    let action = Action {
        id: "refund",
        word: "Refund",
        path: path::with(path::REFUND_ORDER, &[&page.shown.id]),
        done: "Booked. Money goes back as soon as the provider gives it.",
        why_not: why,
    };
    let left = kontor_core::money::Money { amount: paid, currency: order.currency };
    let left = Money { currency: order.currency.to_string(), amount: left.decimal() };
    let none = if back.is_empty() { "an amount is needed" } else { "the prices of what comes back" };
    Ok(action.show_closed(html! {
        @for (number, (sku, left)) in back.iter().enumerate() { (returned(page, number, sku, *left, &locations)) }
        @if !is_out { p.hint { "Nothing was handed out, so nothing comes back: only money can." } }
        (amount_field("refund", "How much", &left, none))
        (reason_field("refund"))
    }))
}

/// Units of a line that come back, and where they are put on the shelf again.
fn returned(page: &Page<'_>, number: usize, sku: &Sku, left: u64, locations: &[(LocationId, Location)]) -> Markup {
    let id = format!("refund-{number}");
    let mut taken_from = page.now.reservation.iter().flat_map(|held| &held.lines).filter(|line| line.sku == *sku);
    let usual = taken_from.next().map(|line| &line.location);
    html! {
        div.line data-line="" data-sku=(sku) {
            label for=(id) { (sku) " that come back" }
            input id=(id) type="number" data-quantity="" min="0" max=(left) value="0" required;
            span.hint { "of " (left) ", to" }
            select id={ (id) "-restock" } data-restock="" aria-label={ "Where " (sku) " goes" } {
                option value="" selected[usual.is_none()] { "no shelf" }
                @for (location, known) in locations {
                    option value=(location) selected[usual == Some(location)] { (known.name) }
                }
            }
        }
    }
}

/// An amount that may be left out, which then means all that it can be.
pub(super) fn amount_field(of: &str, word: &str, most: &Money, none: &str) -> Markup {
    let id = format!("{of}-amount");
    html! {
        div.line {
            label for=(id) { (word) " (" (most.currency) ")" }
            input id=(id) data-text="amount" inputmode="decimal" pattern="[0-9]+([.][0-9]+)?" maxlength="20" autocomplete="off"
                placeholder=(most.amount);
            span.hint { "at most " (show::money(most)) "; if left out, " (none) }
        }
    }
}

fn reason_field(of: &str) -> Markup {
    let id = format!("{of}-reason");
    html! {
        div.line {
            label for=(id) { "Why" }
            input id=(id) data-text="reason" maxlength="128" autocomplete="off" placeholder="kept in the timeline: nothing personal";
        }
    }
}
