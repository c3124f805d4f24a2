//! `/shop`: what buyers see, who have no key. Products with a price in one currency; the cart beside them is the
//! script's, which asks the API as any buyer's program would.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::product::Variant as Shown;
use kontor_core::index::words;
use kontor_core::money::{Currency, Money};
use kontor_core::product::price::offered;
use kontor_core::product::{Status, Variant};
use kontor_core::time::SiteTime;
use kontor_payments::simulated::test_cards;
use kontor_site::clock::wall_ms;
use kontor_site::reader::Reader;
use kontor_site::search::{Cursor, Hit, Order, PriceBand, Query};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::BTreeSet;

use super::product::what;
use super::{Frame, SHOP, Visitor, live, live_after, show};
use crate::app::App;
use crate::convert::Audience;
use crate::convert::product::product_for;
use crate::cursor::List;
use crate::extract::Params;
use crate::problem::Problem;

/// Products of one page.
const PRODUCTS: usize = 24;

/// Variants of one product that are shown; its own page has all of them.
const VARIANTS: usize = 12;

/// Products whose currencies can be chosen from; others can be written into the address.
const LOOKED_AT: usize = 200;

/// What is chosen if there are prices in it.
const USUAL: &str = "EUR";

/// A form: fields that were left empty are sent too, and mean nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Form {
    q: String,
    currency: String,
    page_token: String,
}

pub(crate) async fn shop(
    State(app): State<App>,
    Visitor(audience): Visitor,
    Params(form): Params<Form>,
) -> Result<Response, Problem> {
    let keys = app.clone();
    app.read(move |reader| {
        let now = SiteTime(wall_ms());
        let mut currencies = currencies(reader, now)?;
        let chosen = match form.currency.trim() {
            "" => Ok(usual(reader, &currencies, now)?),
            code => Currency::parse(code).map_err(|error| format!("The currency cannot be used: {error}.")),
        };
        let found = match &chosen {
            Ok(currency) => {
                currencies.insert(*currency);
                form.find(reader, *currency, now)?
            }
            Err(why) => Err(why.clone()),
        };
        let content = html! {
            div.head { h1 { "Shop" } (live()) }
            (form.show(chosen.as_ref().ok(), &currencies))
            @match &found {
                Err(why) => p.error role="alert" { (why) },
                Ok(found) => div.shop {
                    div { (found.show(&form)) }
                    @if let Ok(currency) = &chosen { (cart(&keys, *currency)) }
                },
            }
            script defer src="/assets/shop.js" {}
        };
        let mut response =
            Frame { title: "Shop", audience, search: None, live: Some(live_after(reader)?) }.around(&content);
        if found.is_err() {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        Ok(response)
    })
    .await
}

/// What is for sale, found by words.
fn query(q: &str, currency: Option<Currency>, now: SiteTime) -> Query {
    let q = q.trim();
    Query {
        words: (!q.is_empty()).then(|| words::query(q)),
        category: None,
        brand: None,
        attributes: Vec::new(),
        statuses: vec![Status::Active],
        market: None,
        price: currency.map(|currency| PriceBand { currency, min: 0, max: u64::MAX }),
        available: None,
        order: Order::Narrowest,
        now,
    }
}

/// Currencies in which the first products have prices.
fn currencies(reader: &Reader, now: SiteTime) -> Result<BTreeSet<Currency>, Problem> {
    let looked = reader.search(&query("", None, now), None, LOOKED_AT)?.map(|page| page.items).unwrap_or_default();
    let variants = looked.iter().flat_map(|hit| &hit.product.variants);
    Ok(variants.flat_map(|variant| variant.prices.keys().map(|key| key.currency)).collect())
}

/// The currency of whoever has chosen none.
fn usual(reader: &Reader, known: &BTreeSet<Currency>, now: SiteTime) -> Result<Currency, Problem> {
    let usual = Currency::parse(USUAL).map_err(|error| Problem::internal(error.to_string()))?;
    let is_there = reader.search(&query("", Some(usual), now), None, 1)?.is_some_and(|page| !page.items.is_empty());
    Ok(if is_there { usual } else { known.first().copied().unwrap_or(usual) })
}

/// What was found, ready to be shown.
struct Found {
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    hit: Hit,
    /// With what each costs, and how many can be had, where that matters.
    variants: Vec<(Shown, String, Option<i64>)>,
    more: usize,
}

impl Form {
    fn find(&self, reader: &Reader, currency: Currency, now: SiteTime) -> Result<Result<Found, String>, Problem> {
        let code = currency.to_string();
        let filters = [self.q.trim(), &code];
        let list = List { path: SHOP, filters: &filters };
        let after = match self.page_token.as_str() {
            "" => Ok(None),
            token => list.place(token).ok().and_then(|place| Cursor::parse(&place)).map(Some).ok_or(()),
        };
        let page = match after {
            Ok(after) => reader.search(&query(&self.q, Some(currency), now), after.as_ref(), PRODUCTS)?,
            Err(()) => None,
        };
        let Some(page) = page else {
            return Ok(Err("This link belongs to another list. Begin with the first page.".into()));
        };
        let next = page.next.map(|next| {
            let token = list.token(&next.to_string());
            show::with_params(SHOP, &[("q", filters[0]), ("currency", &code), ("page_token", &token)])
        });
        let rows = page.items.into_iter().map(|hit| Row::of(reader, hit, currency, now));
        Ok(Ok(Found { rows: rows.collect::<Result<_, _>>()?, next }))
    }

    fn show(&self, chosen: Option<&Currency>, currencies: &BTreeSet<Currency>) -> Markup {
        html! {
            form.search action=(SHOP) role="search" data-events="product_created product_deleted" {
                div.line {
                    input #q type="search" name="q" value=(self.q) maxlength="500" autofocus autocomplete="off" spellcheck="false"
                        aria-label="Words, SKU or GTIN" placeholder="Words, or scan a bar code";
                    select name="currency" aria-label="Currency" {
                        @for currency in currencies { option value=(currency) selected[chosen == Some(currency)] { (currency) } }
                    }
                    button.main type="submit" { "Search" }
                    span.hint { kbd { "/" } " to search" }
                }
            }
        }
    }
}

impl Row {
    fn of(reader: &Reader, hit: Hit, currency: Currency, now: SiteTime) -> Result<Self, Problem> {
        let shown = product_for(Audience::Everybody, &hit.id, &hit.product)?;
        let price = |variant: &Variant| {
            let amount = offered(&variant.prices, None, currency, now)?.1.amount;
            Some(format!("{} {currency}", Money { amount, currency }.decimal()))
        };
        let mut variants = Vec::new();
        let mut more = 0;
        for (shown, variant) in shown.variants.into_iter().zip(&hit.product.variants) {
            let Some(price) = price(variant) else { continue };
            if variants.len() == VARIANTS {
                more += 1;
                continue;
            }
            let selling = variant.selling;
            let left = match selling.policy.refuses() && selling.backorder_limit == 0 {
                true => {
                    let levels = reader.stock(&variant.sku)?.map(|stock| stock.levels).unwrap_or_default();
                    Some(levels.iter().map(|level| level.level.available.max(0)).sum())
                }
                false => None,
            };
            variants.push((shown, price, left));
        }
        Ok(Self { hit, variants, more })
    }

    fn show(&self) -> Markup {
        let Self { hit: Hit { id, product, .. }, variants, more } = self;
        let skus: Vec<&str> = product.variants.iter().map(|variant| variant.sku.as_str()).collect();
        let is_one = product.variants.len() == 1;
        html! {
            li.product data-row=(id) data-product=(id) data-skus=(serde_json::json!(skus)) {
                h2 { a href=(show::product_path(id)) { (product.title) } }
                @if let Some(brand) = &product.brand { p.sub { (brand) } }
                @for (variant, price, left) in variants {
                    div.offer {
                        span.what { @if is_one { (variant.sku) } @else { (what(variant)) div.sub { (variant.sku) } } }
                        span.number data-field={ "price " (variant.sku) } { (price) }
                        @if *left == Some(0) {
                            button type="button" disabled title="Sold out" { "Sold out" }
                        } @else {
                            button type="button" data-put=(variant.sku) disabled title="Needs JavaScript, which keeps the cart"
                                aria-label={ "Put " (product.title) ", " (variant.sku) ", into the cart" } { "Put into cart" }
                        }
                    }
                }
                @if *more > 0 { p.hint { "And " (more) " more variants: narrow the search by their SKU, or " a href=(show::product_path(id)) { "see all" } "." } }
            }
        }
    }
}

impl Found {
    fn show(&self, form: &Form) -> Markup {
        let first = show::with_params(SHOP, &[("q", form.q.trim()), ("currency", form.currency.trim())]);
        let is_first = form.page_token.is_empty();
        html! {
            @if self.rows.is_empty() {
                section.empty {
                    @if self.next.is_some() {
                        h2 { "Nothing in this part" }
                        p { "A page looks at a bounded number of products. Go on with the next one." }
                    } @else if form.q.trim().is_empty() && is_first {
                        h2 { "Nothing is for sale" }
                        p { "No product has a price in this currency." }
                    } @else {
                        h2 { "No product matches" }
                        p { a href=(SHOP) { "Show all products" } }
                    }
                }
            } @else {
                ul.products #products data-live="rows" { @for row in &self.rows { (row.show()) } }
            }
            nav.pages aria-label="Pages" {
                @if !is_first { a href=(first) { "First page" } }
                @if let Some(next) = &self.next { a rel="next" href=(next) { "Next page" } }
            }
        }
    }
}

/// The cart, which the script fills. No field has a name: a form that is sent by mistake sends nothing.
fn cart(app: &App, currency: Currency) -> Markup {
    let field = |id: &str, word: &str, max: &str, fills: &str| {
        html! { label { (word) input id=(id) maxlength=(max) autocomplete=(fills); } }
    };
    let is_simulated = app.payments.as_ref().is_some_and(|payments| payments.simulator.is_some());
    html! {
        aside #cart aria-labelledby="cart-title" data-currency=(currency) data-pays=(app.payments.is_some()) {
            h2 #cart-title { "Cart" }
            p #notice.note role="status" hidden {}
            div #cart-lines { p.none { "The cart needs JavaScript." } }
            form #buy hidden {
                fieldset #reached {
                    legend { "Where you are reached" }
                    label { "E-mail" input #email type="email" maxlength="254" autocomplete="email"; }
                    p #email-why.hint hidden {}
                    (field("name", "Name", "120", "shipping name"))
                    (field("line1", "Street and number", "120", "shipping address-line1"))
                    (field("line2", "More of it", "120", "shipping address-line2"))
                    (field("postal_code", "Postal code", "32", "shipping postal-code"))
                    (field("city", "Town", "120", "shipping address-level2"))
                    (field("country", "Country, two letters", "2", "shipping country"))
                    p #ship-why.hint hidden {}
                }
                fieldset #paying {
                    legend { "Card" }
                    label { "Number" input #card inputmode="numeric" maxlength="23" autocomplete="cc-number" spellcheck="false"; }
                    label { "Good until, MM/YY" input #expires maxlength="7" autocomplete="cc-exp" placeholder="if your card has it"; }
                    p.hint { "The number is exchanged for a token before you order, and is sent nowhere else." }
                }
                @if is_simulated {
                    details #test-cards {
                        summary { "Test cards" }
                        p.hint { "The payment provider of this site is made up: no money moves. These cards are nobody's." }
                        ul { @for (number, does) in test_cards() {
                            li { button type="button" data-card=(number) { code { (number) } } " " (does) }
                        } }
                    }
                }
                p #buy-error.error role="alert" hidden {}
                button #pay.main type="submit" disabled { "Pay" }
                p #pay-why.hint hidden {}
            }
        }
    }
}
