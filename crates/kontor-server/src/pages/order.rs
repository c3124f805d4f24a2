//! `/o/{id}`: one order, its money, its goods, what became of it, and what can be done with it.

mod actions;
mod payments;
mod timeline;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::order::Order as Shown;
use kontor_api::person::{Address, ContactShown};
use kontor_core::id::SiteId;
use kontor_core::reservation::ReservationStatus;
use kontor_site::reader::{OrderNow, Reader};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Focus, Frame, ORDERS, Visitor, for_holders, live, live_after, show};
use crate::app::App;
use crate::convert::Audience;
use crate::convert::order as convert;
use crate::extract::{Named, Params};
use crate::parse::order::order_name;
use crate::problem::Problem;
use crate::routes::v1::orders::named;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asked {
    /// Later steps of its timeline.
    timeline: String,
}

pub(crate) async fn order(
    State(app): State<App>,
    Visitor(audience): Visitor,
    Named(name): Named<String>,
    Params(asked): Params<Asked>,
) -> Result<Response, Problem> {
    let keys = app.clone();
    app.read(move |reader| {
        let frame = |title, live| Frame { title, audience, search: Some(Focus::Elsewhere), live };
        let live_after = Some(live_after(reader)?);
        if audience == Audience::Everybody {
            let content = html! {
                div.head { h1 { "Order" } (live()) }
                (for_holders("an order", "it says who has bought what"))
            };
            return Ok(frame("Order", live_after).around(&content));
        }
        let known = order_name("id", &name).and_then(|name| named(reader, &name));
        let now = known.ok().map(|id| reader.order_now(id)).transpose()?.flatten();
        let Some(now) = now else {
            let mut response = frame("No such order", live_after).around(&unknown(&name));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        };
        let shown = convert::order(&keys.personal, &now, reader.position()?)?;
        let page = Page { reader, here: keys.site.id(), now: &now, shown: &shown, asked: &asked };
        let content = page.show()?;
        Ok(frame(&format!("Order {}", shown.number), live_after).around(&content))
    })
    .await
}

/// What all parts of the page are made from.
struct Page<'p> {
    reader: &'p Reader,
    here: &'p SiteId,
    now: &'p OrderNow,
    shown: &'p Shown,
    asked: &'p Asked,
}

impl Page<'_> {
    fn show(&self) -> Result<Markup, Problem> {
        let id = self.shown.id.as_str();
        // Payments are called by their order.
        let payments = format!("pay_{}_", id.trim_start_matches("ord_"));
        Ok(html! {
            p.crumbs { a href=(ORDERS) { "Orders" } }
            p #said.note role="status" hidden {}
            article data-order=(id) data-payments=(payments) data-sites="" {
                div.head {
                    div #title data-live="all" { (self.title()) }
                    (live())
                }
                section #actions data-live="all" { (actions::all(self)?) }
                section #lines data-live="all" { (self.lines()?) }
                section #payments data-live="all" { (payments::all(self)) }
                section #reservation data-live="all" { (self.reservation()?) }
                section #contact data-live="all" data-events="customer_erased" { (self.contact()) }
                section #timeline data-live="all" { (timeline::steps(self)?) }
            }
        })
    }

    fn is_elsewhere(&self) -> bool {
        self.now.site != *self.here
    }

    fn title(&self) -> Markup {
        let Shown { id, number, placed_at, updated_at, .. } = self.shown;
        let (status, payment, goods) = self.now.order.statuses();
        html! {
            h1 { "Order " (number) }
            p.lead { "Placed " (show::time(*placed_at)) " · changed " (show::time(*updated_at)) " · id " code { (id) } " · "
                a href=(kontor_api::path::with(kontor_api::path::ORDER, &[id])) { "JSON" } }
            dl.facts {
                div data-row="status" { dt { "Status" } dd data-field="status" { (show::standing(status)) } }
                div data-row="payment" { dt { "Payment" } dd data-field="payment" { (show::paid(payment)) } }
                div data-row="goods" { dt { "Goods" } dd data-field="goods" { (show::words(goods.word())) } }
                @if let Some(until) = self.shown.held_until { div { dt { "Held until" } dd { (show::time(until)) } } }
            }
            @if self.is_elsewhere() {
                p.note { "Site " b { (self.now.site) } " took it, and alone changes it and knows its payments. What is asked for here is passed on to it." }
            }
        }
    }

    fn lines(&self) -> Result<Markup, Problem> {
        let Shown { lines, amounts, total, authorized, captured, refunded, currency, market, .. } = self.shown;
        let mut rows = Vec::with_capacity(lines.len());
        for (line, of) in lines.iter().zip(&self.now.order.lines) {
            rows.push((line, self.stock_path(&of.sku, "", "stock")?));
        }
        Ok(html! {
            h2 { "What was bought" }
            div.scroll tabindex="0" role="region" aria-label="Lines and amounts" {
                table {
                    thead { tr {
                        th scope="col" { "SKU" } th scope="col" { "What" } th.number scope="col" { "Units" }
                        th.number scope="col" { "Came back" } th.number scope="col" { "Each" } th.number scope="col" { "Together" }
                    } }
                    tbody {
                        @for (number, (line, stock)) in rows.iter().enumerate() {
                            tr data-row={ "line " (number) } {
                                th scope="row" {
                                    @match stock {
                                        Some(path) => a href=(path) title="Its stock" { (line.sku) },
                                        None => (line.sku),
                                    }
                                }
                                td { (line.title.as_deref().unwrap_or("–")) }
                                td.number { (line.quantity) }
                                td.number.zero[line.returned == 0] data-field="returned" { (line.returned) }
                                td.number { (line.price.amount) }
                                td.number { (line.total.amount) }
                            }
                        }
                        @for amount in amounts {
                            tr { th scope="row" { (show::amount_kind(amount.kind)) } td colspan="4" { (amount.label) } td.number { (amount.amount.amount) } }
                        }
                        tr.total { th scope="row" { "Total" } td colspan="4" {} td.number { (show::money(total)) } }
                    }
                }
            }
            dl.facts {
                @for (name, what, amount) in [
                    ("Set aside", "authorized", authorized), ("Paid", "captured", captured), ("Given back", "refunded", refunded),
                ] {
                    div data-row=(what) { dt { (name) } dd data-field=(what) { (show::money(amount)) } }
                }
                @if let Some(market) = market { div { dt { "Prices of market" } dd { (market) ", in " (currency) } } }
            }
        })
    }

    /// The page on which the stock of a SKU is explained.
    fn stock_path(&self, sku: &kontor_core::id::Sku, location: &str, part: &str) -> Result<Option<String>, Problem> {
        let item = self.reader.item(sku)?;
        let params = [("sku", sku.as_str()), ("location", location)];
        Ok(item.map(|item| show::with_params(&show::product_path(&item.product), &params) + "#" + part))
    }

    /// What holds its units, or has promised them, and where that counts.
    fn reservation(&self) -> Result<Markup, Problem> {
        let Some(held) = &self.now.reservation else {
            return Ok(html! {
                h2 { "Where it is taken from" }
                p.none { "Nothing is known here of what holds its units." }
            });
        };
        let mut rows = Vec::with_capacity(held.lines.len());
        for line in &held.lines {
            rows.push((line, self.stock_path(&line.sku, line.location.as_str(), "explained")?));
        }
        let state = match held.status {
            ReservationStatus::Held => "holds its units until it is paid",
            ReservationStatus::Committed => "has promised its units",
            ReservationStatus::Released => "was given back",
            ReservationStatus::Expired => "has ended by itself",
        };
        Ok(html! {
            h2 { "Where it is taken from" }
            p { "Reservation " code { (self.shown.reservation) } " " b { (state) } ". "
                a href=(kontor_api::path::with(kontor_api::path::RESERVATION, &[&self.shown.reservation])) { "JSON" } }
            @if !rows.is_empty() {
                div.scroll tabindex="0" role="region" aria-label="Where it is taken from" {
                    table {
                        thead { tr {
                            th scope="col" { "SKU" } th scope="col" { "Location" } th.number scope="col" { "Units" }
                            th.number scope="col" { "Handed out" } th scope="col" { "Why" }
                        } }
                        tbody {
                            @for (line, path) in &rows {
                                tr data-row={ (line.sku) "@" (line.location) } {
                                    th scope="row" { (line.sku) }
                                    td.whole { (line.location) }
                                    td.number { (line.quantity) }
                                    td.number.zero[line.shipped == 0] data-field="shipped" { (line.shipped) }
                                    td {
                                        @match path {
                                            Some(path) => a href=(path) { "What is held there, and by whom" },
                                            None => span.none { "not sold here any more" },
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        })
    }

    fn contact(&self) -> Markup {
        let Shown { contact, customer_id, .. } = self.shown;
        let ContactShown { email, ship_to, bill_to, erased, sealed, .. } = contact;
        html! {
            h2 { "Buyer" }
            p {
                @match customer_id {
                    Some(id) => { "Customer " code { (id) } ": " a href=(show::with_params(ORDERS, &[("customer_id", id)])) { "all their orders" } },
                    None => "A guest.",
                }
            }
            @if *erased {
                p.note { "This person was erased: nobody can read any more where they were reached." }
            } @else if *sealed {
                p.note { "Sealed: this site has no key for this person; site " b { (self.now.site) } " shows where they are reached." }
            } @else if email.is_none() && ship_to.is_none() && bill_to.is_none() {
                p.none { "Nobody has said where they are reached." }
            } @else {
                dl.facts {
                    @if let Some(email) = email { div { dt { "E-mail" } dd { (email) } } }
                    @for (what, address) in [("Goods go to", ship_to), ("The bill goes to", bill_to)] {
                        @if let Some(address) = address { div { dt { (what) } dd { (lines_of(address)) } } }
                    }
                }
            }
        }
    }
}

fn lines_of(address: &Address) -> Markup {
    let Address { name, company, line1, line2, city, postal_code, region, country, phone } = address;
    let town = [postal_code.as_deref(), Some(city.as_str())].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let lines = [Some(name), company.as_ref(), Some(line1), line2.as_ref(), Some(&town), region.as_ref()];
    html! {
        @for line in lines.into_iter().flatten().chain([country]).chain(phone) { div { (line) } }
    }
}

fn unknown(name: &str) -> Markup {
    html! {
        div.head { h1 { "No such order" } (live()) }
        section.empty {
            p { "This site knows of no order " code { (name) } ". See " a href=(ORDERS) { "all orders" } "." }
        }
    }
}
