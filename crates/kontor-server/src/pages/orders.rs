//! `/orders`: what was bought, the newest first, and which payments wait for somebody.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use kontor_core::id::{CustomerId, SiteId};
use kontor_core::order::{OrderList, OrderStatus};
use kontor_site::reader::{OrderNow, Orders, Reader};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Frame, ORDERS, Visitor, for_holders, live, live_after, show};
use crate::app::App;
use crate::convert::Audience;
use crate::convert::order::{order, order_number};
use crate::cursor::List;
use crate::extract::Params;
use crate::parse::order::order_name;
use crate::personal::Personal;
use crate::problem::Problem;
use crate::routes::v1::orders::{named, place, placed};

/// Orders of one page.
const ORDERS_SHOWN: usize = 50;

/// Parked payments that are named; the API lists all of them.
const PARKED_SHOWN: usize = 10;

/// What is told of orders in the change feed; those of other sites come with their journals.
const EVENTS: &str = "order_placed order_changed";

/// A form: fields that were left empty are sent too, and mean nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Form {
    /// A number or an id: leads to the order.
    q: String,
    status: String,
    customer_id: String,
    page_token: String,
}

pub(crate) async fn orders(
    State(app): State<App>,
    Visitor(audience): Visitor,
    Params(form): Params<Form>,
) -> Result<Response, Problem> {
    let keys = app.clone();
    app.read(move |reader| {
        let live_after = Some(live_after(reader)?);
        if audience == Audience::Everybody {
            let content = html! {
                div.head { h1 { "Orders" } (live()) }
                (for_holders("orders", "they say who has bought what"))
            };
            // The bar is as it will be for whoever signs in: the list has a field of its own.
            return Ok(Frame { title: "Orders", audience, search: None, live: live_after }.around(&content));
        }
        if let Some(path) = exactly(reader, keys.site.id(), &form.q)? {
            return Ok(Redirect::to(&path).into_response());
        }
        let found = form.find(reader)?;
        let content = html! {
            div.head { h1 { "Orders" } (live()) }
            (form.show())
            @match &found {
                Err(why) => p.error role="alert" { (why) },
                Ok(found) => article data-sites="" {
                    section #parked data-live="all" data-events="payment_changed" { (parked(reader)?) }
                    (form.list(&keys.personal, reader, found)?)
                },
            }
        };
        let mut response = Frame { title: "Orders", audience, search: None, live: live_after }.around(&content);
        if found.is_err() {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        Ok(response)
    })
    .await
}

/// The page of the order that somebody has scanned or typed the number of; a number alone is one of this site.
pub(super) fn exactly(reader: &Reader, here: &SiteId, text: &str) -> Result<Option<String>, Problem> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let name = if is_number { format!("{here}-{text}") } else { text.to_owned() };
    let Ok(name) = order_name("q", &name) else { return Ok(None) };
    let Ok(id) = named(reader, &name) else { return Ok(None) };
    let Some((home, order)) = reader.order(id)? else { return Ok(None) };
    Ok(Some(show::order_path(&order_number(&home, order.number))))
}

impl Form {
    /// One page of orders, or what is wrong with what was asked for.
    fn find(&self, reader: &Reader) -> Result<Result<Orders, String>, Problem> {
        if !self.q.trim().is_empty() {
            return Ok(Err(format!("There is no order {}.", self.q.trim())));
        }
        let customer = match self.customer_id.trim() {
            "" => None,
            text => match CustomerId::parse(text) {
                Ok(id) => Some(id),
                Err(_) => return Ok(Err("A customer is named by cus_ and 32 digits of an id.".into())),
            },
        };
        let status = match self.status.as_str() {
            "" => None,
            word => match OrderStatus::parse(word) {
                Some(status) => Some(status),
                None => return Ok(Err(format!("There is no status {word:?}."))),
            },
        };
        let after = match self.page_token.as_str() {
            "" => None,
            token => match self.list_of(|list| list.place(token)).ok().and_then(|text| place(&text)) {
                Some(after) => Some(after),
                None => return Ok(Err("This link belongs to another list. Begin with the first page.".into())),
            },
        };
        let (of, filter) = match (customer, status) {
            (Some(customer), status) => (OrderList::Customer(customer), status),
            (None, Some(status)) => (OrderList::Status(status), None),
            (None, None) => (OrderList::All, None),
        };
        Ok(Ok(reader.orders(of, filter, after.as_ref(), ORDERS_SHOWN)?))
    }

    /// Gives the list that page tokens belong to.
    fn list_of<T>(&self, then: impl FnOnce(List<'_>) -> T) -> T {
        then(List { path: ORDERS, filters: &[self.customer_id.trim(), &self.status] })
    }

    fn filters(&self) -> [(&'static str, &str); 2] {
        [("status", &self.status), ("customer_id", self.customer_id.trim())]
    }

    fn show(&self) -> Markup {
        html! {
            form.search action=(ORDERS) role="search" {
                div.line {
                    input #q type="search" name="q" value=(self.q) maxlength="100" autofocus autocomplete="off" spellcheck="false"
                        aria-label="Number or id of an order" placeholder="Number of an order, or scan it";
                    button.main type="submit" { "Find" }
                    span.hint { kbd { "/" } " to search" }
                }
                div.filters {
                    label { "Status"
                        select name="status" {
                            option value="" selected[self.status.is_empty()] { "Any" }
                            @for status in OrderStatus::ALL {
                                option value=(status.word()) selected[self.status == status.word()] { (status.word()) }
                            }
                        }
                    }
                    label { "Customer" input name="customer_id" value=(self.customer_id) maxlength="36" placeholder="cus_…" spellcheck="false"; }
                    div.buttons {
                        button type="submit" { "Apply" }
                        a href=(ORDERS) { "Clear" }
                    }
                }
            }
        }
    }

    fn list(&self, personal: &Personal, reader: &Reader, found: &Orders) -> Result<Markup, Problem> {
        let is_first = self.page_token.is_empty();
        let has_filters = self.filters().iter().any(|(_, value)| !value.is_empty());
        let next = found.next.as_ref().map(|next| {
            let token = self.list_of(|list| list.token(&placed(next)));
            show::with_params(ORDERS, &[&self.filters()[..], &[("page_token", token.as_str())]].concat())
        });
        let position = reader.position()?;
        let mut rows = Vec::with_capacity(found.orders.len());
        for now in &found.orders {
            rows.push(row(now, &order(personal, now, position)?)?);
        }
        Ok(html! {
            @if rows.is_empty() {
                section #none.empty data-live="all" data-events=(EVENTS) {
                    @if next.is_some() {
                        h2 { "Nothing in this part" }
                        p { "A page looks at a bounded number of orders. Go on with the next one." }
                    } @else if has_filters || !is_first {
                        h2 { "No order is like that" }
                        p { a href=(ORDERS) { "Show all orders" } }
                    } @else {
                        h2 { "Nothing was bought yet" }
                        p { "Buyers order in the " a href=(super::SHOP) { "shop" } ", and programs by the " a href="/docs/" { "API" } "." }
                    }
                }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Orders" {
                    table {
                        thead { tr {
                            th scope="col" { "Order" }
                            th scope="col" { "Placed" }
                            th scope="col" { "What" }
                            th.number scope="col" { "Total" }
                            th scope="col" { "Status" }
                            th scope="col" { "Payment" }
                            th scope="col" { "Goods" }
                            th.wide scope="col" { "Customer" }
                        } }
                        tbody #orders data-live="rows" data-events=(EVENTS) { @for row in &rows { (row) } }
                    }
                }
            }
            nav.pages aria-label="Pages" {
                @if !is_first { a href=(show::with_params(ORDERS, &self.filters())) { "First page" } }
                @if let Some(next) = &next { a rel="next" href=(next) { "Next page" } }
            }
        })
    }
}

fn row(now: &OrderNow, shown: &kontor_api::order::Order) -> Result<Markup, Problem> {
    let (status, payment, goods) = now.order.statuses();
    Ok(html! {
        tr data-row=(shown.id) {
            th scope="row" { a href=(show::order_path(&shown.number)) { (shown.number) } }
            td { (show::time(shown.placed_at)) }
            td {
                @match &shown.lines[..] {
                    [] => span.none { "nothing" },
                    [line, others @ ..] => {
                        (line.quantity) " × " (line.title.as_deref().unwrap_or(&line.sku))
                        @if !others.is_empty() { " and " (others.len()) " more" }
                    }
                }
            }
            td.number data-field="total" { (show::money(&shown.total)) }
            td data-field="status" { (show::standing(status)) }
            td data-field="payment" { (show::paid(payment)) }
            td data-field="goods" { (show::words(goods.word())) }
            td.wide {
                @match &shown.customer_id {
                    Some(id) => a href=(show::with_params(ORDERS, &[("customer_id", id)])) title=(id) { "customer" },
                    None => "guest",
                }
            }
        }
    })
}

/// Payments whose call nobody makes until somebody has looked.
fn parked(reader: &Reader) -> Result<Markup, Problem> {
    let mut waiting = reader.parked_payments(None, PARKED_SHOWN + 1)?;
    let more = waiting.len() > PARKED_SHOWN;
    waiting.truncate(PARKED_SHOWN);
    Ok(html! {
        @if !waiting.is_empty() {
            div.note {
                b { "Payments that wait for somebody to look: " }
                ul {
                    @for (id, payment) in &waiting {
                        li {
                            a href={ (show::order_path(&id.order.to_string())) "#payments" } { (id) }
                            @if let Some(pending) = &payment.pending {
                                ", to " (pending.operation.word())
                                @if let Some(reason) = &pending.parked { ": " (reason) }
                            }
                        }
                    }
                }
                @if more { p.hint { "And more: " code { "kontor api get '/payments?status=parked'" } } }
            }
        }
    })
}
