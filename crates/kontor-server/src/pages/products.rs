//! `/`: all products, found by words and filters, with prices and stock.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use kontor_core::id::{LocationId, ProductId, SiteId, Sku};
use kontor_core::index::words;
use kontor_core::location::Location;
use kontor_core::money::Currency;
use kontor_core::product::gtin::Gtin;
use kontor_core::product::text::{MarketId, Name};
use kontor_core::product::{Product, Status};
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_site::clock::wall_ms;
use kontor_site::reader::Reader;
use kontor_site::search::{Cursor, Hit, Order, PriceBand, Query, Shelves};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Frame, Visitor, for_holders, live, live_after, orders, show};
use crate::app::App;
use crate::convert::{self, Audience};
use crate::cursor::List;
use crate::extract::Params;
use crate::problem::Problem;

/// Products of one page: what a person scrolls through.
const PRODUCTS: usize = 50;

/// SKUs of one page whose stock is added up. Products with hundreds of variants say it on their own page.
const SKUS: usize = 500;

/// Locations that can be chosen from; others can be written into the address.
const LOCATIONS: usize = 200;

/// A form: fields that were left empty are sent too, and mean nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Form {
    q: String,
    category: String,
    brand: String,
    status: String,
    market: String,
    currency: String,
    available: String,
    location: String,
    sort: String,
    /// `no`: what was typed are words, also if it is a whole SKU or GTIN.
    exact: String,
    page_token: String,
}

pub(crate) async fn products(
    State(app): State<App>,
    Visitor(audience): Visitor,
    Params(form): Params<Form>,
) -> Result<Response, Problem> {
    let site = app.site.id().clone();
    let version = app.version;
    app.read(move |reader| {
        if let Some(path) = form.exactly(reader, &site, audience)? {
            return Ok(Redirect::to(&path).into_response());
        }
        let locations = reader.locations(None, LOCATIONS)?;
        let found = match form.query(audience) {
            Ok(query) => form.find(reader, audience, &query)?,
            Err(why) => Err(why),
        };
        let content = html! {
            div.head {
                div {
                    h1 { "Products" }
                    p.lead { "Site " strong { (site) } ", version " (version) }
                }
                (live())
            }
            (form.show(audience, &locations))
            @match &found {
                Err(why) => p.error role="alert" { (why) },
                Ok(found) => (found.show(&form, audience, reader.products(None, 1)?.is_empty())),
            }
        };
        let frame = Frame { title: "Products", audience, search: None, live: Some(live_after(reader)?) };
        let mut response = frame.around(&content);
        if found.is_err() {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        Ok(response)
    })
    .await
}

/// What was found, ready to be shown.
struct Found {
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: ProductId,
    product: Product,
    title: String,
    prices: Vec<String>,
    /// Of the SKUs that were added up; of none, if those are too many.
    stock: Option<Stock>,
}

#[derive(Default)]
struct Stock {
    on_hand: i64,
    available: i64,
    /// Whether some of its variants are counted.
    is_counted: bool,
}

impl Form {
    /// The page of the product that somebody has scanned, or typed the whole SKU of; or of the order with that number.
    fn exactly(&self, reader: &Reader, here: &SiteId, audience: Audience) -> Result<Option<String>, Problem> {
        if self.q.is_empty() || self.exact == "no" || !self.page_token.is_empty() {
            return Ok(None);
        }
        let text = self.q.trim();
        let mut found = None;
        if let Ok(sku) = Sku::parse(text)
            && let Some(item) = reader.item(&sku)?
        {
            found = Some((item.product, sku));
        } else if let Ok(gtin) = Gtin::parse(text)
            && let [(product, sku)] = &reader.with_gtin(&gtin, 2)?[..]
        {
            found = Some((product.clone(), sku.clone()));
        }
        let Some((id, sku)) = found else {
            // A number alone may be anything here.
            let is_order = audience == Audience::Keys && text.contains(['-', '_']);
            return if is_order { orders::exactly(reader, here, text) } else { Ok(None) };
        };
        let is_seen = reader.product(&id)?.is_some_and(|product| audience.sees(&product));
        let path = show::with_params(&show::product_path(&id), &[("sku", sku.as_str()), ("found", text)]);
        Ok(is_seen.then_some(path))
    }

    /// What is looked for, or what is wrong with it.
    fn query(&self, audience: Audience) -> Result<Query, String> {
        let words = read("The words", &self.q, Title::parse)?;
        let currency = read("The currency", &self.currency, Currency::parse)?;
        Ok(Query {
            words: words.map(|text| words::query(text.as_str())),
            category: read("The category", &self.category, Name::parse)?,
            brand: read("The brand", &self.brand, Name::parse)?,
            attributes: Vec::new(),
            statuses: match (audience, self.status.as_str()) {
                (Audience::Everybody, "" | "active") | (Audience::Keys, "active") => vec![Status::Active],
                (Audience::Keys, "") => vec![Status::Draft, Status::Active],
                (Audience::Keys, "draft") => vec![Status::Draft],
                (Audience::Keys, "archived") => vec![Status::Archived],
                (Audience::Keys, "all") => Vec::new(),
                (Audience::Everybody, _) => return Err("Sign in to see what is not for sale.".into()),
                (Audience::Keys, other) => return Err(format!("There is no status {other:?}.")),
            },
            market: read("The market", &self.market, MarketId::parse)?,
            price: currency.map(|currency| PriceBand { currency, min: 0, max: u64::MAX }),
            available: match (self.available.as_str(), self.location.as_str()) {
                ("" | "true", "") => (!self.available.is_empty()).then_some(Shelves::Any),
                ("" | "true", at) => read("The location", at, LocationId::parse)?.map(Shelves::At),
                (other, _) => return Err(format!("Availability is \"true\" or left out, not {other:?}.")),
            },
            order: match (self.sort.as_str(), currency) {
                ("", _) => Order::Narrowest,
                ("title", _) => Order::Title,
                ("price", Some(_)) => Order::Price,
                ("price", None) => return Err("To sort by price, say in which currency, for example EUR.".into()),
                (other, _) => return Err(format!("There is no order {other:?}.")),
            },
            now: SiteTime(wall_ms()),
        })
    }

    fn find(&self, reader: &Reader, audience: Audience, query: &Query) -> Result<Result<Found, String>, Problem> {
        let elsewhere = || "This link belongs to another list. Begin with the first page.".to_owned();
        let filters = self.filters();
        let filters: Vec<&str> = filters.iter().map(|(_, value)| *value).collect();
        let list = List { path: "/", filters: &filters };
        if let Some(Shelves::At(location)) = &query.available
            && reader.location(location)?.is_none()
        {
            return Ok(Err(format!("There is no location {location}.")));
        }
        let after = match self.page_token.as_str() {
            "" => None,
            token => match list.place(token).ok().and_then(|place| Cursor::parse(&place)) {
                Some(cursor) => Some(cursor),
                None => return Ok(Err(elsewhere())),
            },
        };
        let Some(page) = reader.search(query, after.as_ref(), PRODUCTS)? else { return Ok(Err(elsewhere())) };
        let next = page.next.map(|next| {
            let token = list.token(&next.to_string());
            show::with_params("/", &[&self.filters()[..], &[("page_token", token.as_str())]].concat())
        });
        let mut skus = SKUS;
        let mut rows = Vec::with_capacity(page.items.len());
        for hit in page.items.into_iter().filter(|hit| audience.sees(&hit.product)) {
            rows.push(Row::of(reader, query, hit, &mut skus)?);
        }
        Ok(Ok(Found { rows, next }))
    }

    /// All but the page.
    fn filters(&self) -> [(&'static str, &str); 10] {
        [
            ("q", &self.q),
            ("category", &self.category),
            ("brand", &self.brand),
            ("status", &self.status),
            ("market", &self.market),
            ("currency", &self.currency),
            ("available", &self.available),
            ("location", &self.location),
            ("sort", &self.sort),
            ("exact", &self.exact),
        ]
    }

    fn is_empty(&self) -> bool {
        self.filters().iter().all(|(_, value)| value.is_empty())
    }

    fn show(&self, audience: Audience, locations: &[(LocationId, Location)]) -> Markup {
        let option = |value: &str, chosen: &str, text: &str| {
            html! { option value=(value) selected[value == chosen] { (text) } }
        };
        let has_filters =
            self.filters().iter().any(|(name, value)| !["q", "exact"].contains(name) && !value.is_empty());
        let is_listed = locations.iter().any(|(id, _)| id.as_str() == self.location);
        html! {
            form.search action="/" role="search" data-events="product_created product_deleted" {
                div.line {
                    input #q type="search" name="q" value=(self.q) maxlength="500" autofocus autocomplete="off"
                        spellcheck="false" aria-label="Words, SKU or GTIN" placeholder="Words, SKU or GTIN, or scan a bar code";
                    button.main type="submit" { "Search" }
                    span.hint { kbd { "/" } " to search" }
                }
                details open[has_filters] {
                    summary { "Filters" }
                    div.filters {
                        label { "Category" input name="category" value=(self.category) maxlength="100"; }
                        label { "Brand" input name="brand" value=(self.brand) maxlength="100"; }
                        label { "Status"
                            @if audience == Audience::Keys {
                                select name="status" {
                                    (option("", &self.status, "Draft and active"))
                                    (option("draft", &self.status, "Draft"))
                                    (option("active", &self.status, "Active"))
                                    (option("archived", &self.status, "Archived"))
                                    (option("all", &self.status, "All"))
                                }
                            } @else {
                                select disabled title="Sign in to see drafts and archived products" {
                                    option { "Active (sign in for others)" }
                                }
                            }
                        }
                        label { "Availability"
                            select name="available" {
                                (option("", &self.available, "Any"))
                                (option("true", &self.available, "Can be sold now"))
                            }
                        }
                        label { "At"
                            select name="location" {
                                (option("", &self.location, "Any location"))
                                @if !self.location.is_empty() && !is_listed { (option(&self.location, &self.location, &self.location)) }
                                @for (id, location) in locations {
                                    (option(id.as_str(), &self.location, location.name.as_str()))
                                }
                            }
                        }
                        label { "Market" input name="market" value=(self.market) maxlength="32" placeholder="gb"; }
                        label { "Currency" input name="currency" value=(self.currency) maxlength="3" placeholder="EUR"; }
                        label { "Order"
                            select name="sort" {
                                (option("", &self.sort, "Best match"))
                                (option("title", &self.sort, "Title"))
                                (option("price", &self.sort, "Price (needs a currency)"))
                            }
                        }
                    }
                    div.buttons {
                        button type="submit" { "Apply" }
                        a href="/" { "Clear" }
                    }
                }
            }
        }
    }
}

impl Row {
    fn of(reader: &Reader, query: &Query, hit: Hit, skus: &mut usize) -> Result<Self, Problem> {
        let Hit { id, product, listing, .. } = hit;
        let own_title = listing.as_ref().and_then(|listing| listing.title.as_ref());
        let title = own_title.unwrap_or(&product.title).to_string();
        let only = query.price.map(|price| price.currency);
        let prices = show::prices(&product.variants, listing.as_ref(), only, query.now);
        let stock = match skus.checked_sub(product.variants.len()) {
            None => None,
            Some(left) => {
                *skus = left;
                let mut sum = Stock::default();
                for variant in product.variants.iter().filter(|variant| variant.selling.policy.counts()) {
                    sum.is_counted = true;
                    for level in reader.stock(&variant.sku)?.map(|stock| stock.levels).unwrap_or_default() {
                        sum.on_hand += level.level.on_hand;
                        sum.available += level.level.available;
                    }
                }
                Some(sum)
            }
        };
        Ok(Self { id, product, title, prices, stock })
    }

    fn show(&self) -> Markup {
        let Self { id, product, title, prices, stock } = self;
        let skus: Vec<&str> = product.variants.iter().map(|variant| variant.sku.as_str()).collect();
        html! {
            tr data-row=(id) data-product=(id) data-skus=(serde_json::json!(skus)) {
                th scope="row" {
                    a href=(show::product_path(id)) { (title) }
                    (show::badge(convert::product::status(product.status)))
                    div.sub {
                        @match &skus[..] {
                            [] => "no variants",
                            [sku] => (sku),
                            [sku, ..] => { (sku) " and " (skus.len() - 1) " more" },
                        }
                        @if let Some(brand) = &product.brand { " · " (brand) }
                    }
                }
                td.number data-field="price" {
                    @for price in prices { div { (price) } }
                    @if prices.is_empty() { span.none { "none" } }
                }
                @match stock {
                    Some(stock) if stock.is_counted => {
                        td.number.wide data-field="on_hand" { (stock.on_hand) }
                        td.number.short[stock.available <= 0] data-field="available" { (stock.available) }
                    }
                    Some(_) => {
                        td.number.wide.none { "–" }
                        td.number.none { "not counted" }
                    }
                    None => {
                        td.number.wide.none title="Too many variants to add up here" { "…" }
                        td.number.none title="Too many variants to add up here" { "…" }
                    }
                }
            }
        }
    }
}

impl Found {
    fn show(&self, form: &Form, audience: Audience, is_empty: bool) -> Markup {
        let is_first = form.page_token.is_empty();
        let first = show::with_params("/", &form.filters());
        html! {
            @if !self.rows.is_empty() {
                div.scroll tabindex="0" role="region" aria-label="Products" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Product" }
                                th.number scope="col" { "Price" }
                                th.number.wide scope="col" { "On hand" }
                                th.number scope="col" { "Available" }
                            }
                        }
                        tbody #rows data-live="rows" { @for row in &self.rows { (row.show()) } }
                    }
                }
            } @else if is_empty {
                (nothing_yet())
            } @else {
                section.empty {
                    @if self.next.is_some() {
                        h2 { "Nothing in this part" }
                        p { "A page looks at a bounded number of products. Go on with the next one." }
                    } @else if !is_first {
                        h2 { "That is all" }
                        p { a href=(first) { "Back to the first page" } }
                    } @else {
                        h2 { @if form.is_empty() { "Nothing is for sale" } @else { "No product matches" } }
                        @if !form.is_empty() {
                            p { "Each word must begin a word of a title, of the brand, a SKU or a GTIN, and all filters must hold. "
                                a href="/" { "Show all products" } }
                        }
                        @if audience == Audience::Everybody {
                            (for_holders("drafts and archived products", "shoppers do not see them"))
                        } @else if form.is_empty() {
                            p { a href="/?status=archived" { "Show archived products" } }
                        }
                    }
                }
            }
            nav.pages aria-label="Pages" {
                @if !is_first { a href=(first) { "First page" } }
                @if let Some(next) = &self.next { a rel="next" href=(next) { "Next page" } }
            }
        }
    }
}

/// Reads a field that was filled in.
fn read<'t, T, E: std::fmt::Display>(
    what: &str,
    text: &'t str,
    parse: impl FnOnce(&'t str) -> Result<T, E>,
) -> Result<Option<T>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    parse(text.trim()).map(Some).map_err(|error| format!("{what} cannot be used: {error}."))
}

fn nothing_yet() -> Markup {
    html! {
        section.empty {
            h2 { "Nothing is here yet" }
            p { "All of these take the admin key that the server printed at its first start:" }
            pre { "export KONTOR_KEY=kon_…" }
            h3 { "Look around first" }
            p { "Start the server on an empty directory with the sample shop of the repository:" }
            pre { "kontor serve --data /tmp/shop --sample examples" }
            h3 { "Bring a file" }
            p { "Any CSV, with the columns that it has; --dry-run shows what it would do:" }
            pre { "kontor import products FILE --map sku=StockCode --map title=Description --map price=UnitPrice --currency GBP" }
            h3 { "Or begin by hand" }
            pre {
                "kontor api post /api/v1/locations '{\"id\": \"berlin\", \"name\": \"Shop Berlin\"}'\n"
                "kontor api post /api/v1/products '{\"sku\": \"P1001\", \"title\": \"Walnut desk\"}'\n"
                "kontor api post /api/v1/stock/receive '{\"sku\": \"P1001\", \"location\": \"berlin\", \"quantity\": 12}'"
            }
            p { "The " a href="/docs/" { "API reference" } " can be tried in the browser." }
        }
    }
}
