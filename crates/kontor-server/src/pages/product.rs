//! `/p/{id}`: one product, its stock and why it can be sold or not, what moved, and who changed what.

mod history;
mod stock;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::price::Price;
use kontor_api::product::{MediaKind, Product as Shown, Variant};
use kontor_core::id::{ProductId, Sku};
use kontor_core::product::listing::Listing;
use kontor_core::product::text::MarketId;
use kontor_core::product::{self as core};
use kontor_core::time::SiteTime;
use kontor_site::clock::wall_ms;
use kontor_site::reader::Reader;
use maud::{Markup, html};
use serde::Deserialize;

use super::sites::conflicting;
use super::{Focus, Frame, Visitor, for_holders, live, live_after, show};
use crate::app::App;
use crate::convert::{self, Audience};
use crate::extract::{Named, Params};
use crate::problem::Problem;
use crate::routes::v1::revisions;

/// Markets whose prices and texts are shown; the API has all of them.
const MARKETS: usize = 50;

/// Prices that are shown; the API has all of them.
const PRICES: usize = 300;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asked {
    /// The variant whose movements and explanation are shown; the first one if not given.
    sku: String,
    /// Only movements at this location.
    location: String,
    /// What was scanned or typed to come here.
    found: String,
    /// Older movements.
    movements: String,
    /// Older revisions.
    revisions: String,
}

pub(crate) async fn product(
    State(app): State<App>,
    Visitor(audience): Visitor,
    Named(id): Named<String>,
    Params(asked): Params<Asked>,
) -> Result<Response, Problem> {
    let here = app.site.id().clone();
    app.read(move |reader| {
        let known = match ProductId::parse(id.as_str()) {
            Ok(id) => reader.product(&id)?.filter(|product| audience.sees(product)).map(|product| (id, product)),
            Err(_) => None,
        };
        // Whoever scans goes on scanning.
        let focus = if asked.found.is_empty() { Focus::Elsewhere } else { Focus::Search };
        let live = Some(live_after(reader)?);
        let Some((id, product)) = known else {
            let frame = Frame { title: "No such product", audience, search: Some(Focus::Search), live };
            let mut response = frame.around(&unknown(&id, audience));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        };
        let shown = convert::product::product_for(audience, &id, &product)?;
        let sku = match asked.sku.as_str() {
            "" => product.variants.first(),
            sku => product.variants.iter().find(|variant| variant.sku.as_str() == sku).or(product.variants.first()),
        };
        let sku = sku.map(|variant| variant.sku.clone());
        let page = Page { reader, audience, id: &id, product: &product, shown: &shown, sku, asked: &asked };
        let content = page.show(&here)?;
        Ok(Frame { title: &shown.title, audience, search: Some(focus), live }.around(&content))
    })
    .await
}

/// What all parts of the page are made from.
struct Page<'p> {
    reader: &'p Reader,
    audience: Audience,
    id: &'p ProductId,
    product: &'p core::Product,
    shown: &'p Shown,
    /// The variant that is looked at.
    sku: Option<Sku>,
    asked: &'p Asked,
}

impl Page<'_> {
    fn show(&self, here: &kontor_core::id::SiteId) -> Result<Markup, Problem> {
        let listings = self.reader.listings(self.id, None, MARKETS + 1)?;
        let skus: Vec<&str> = self.shown.variants.iter().map(|variant| variant.sku.as_str()).collect();
        Ok(html! {
            p.crumbs {
                a href="/" { "Products" }
                @if !self.asked.found.is_empty() {
                    span.hint { "Found as " b { (self.asked.found) } ". "
                        a href=(show::with_params("/", &[("q", &self.asked.found), ("exact", "no")])) { "Search for it instead" } }
                }
            }
            article data-product=(self.id) data-skus=(serde_json::json!(skus)) data-sites=[(self.audience == Audience::Keys).then_some("")] {
                div.head {
                    div #title data-live="all" {
                        h1 { (self.shown.title) (show::badge(self.shown.status)) }
                        (self.lead())
                    }
                    (live())
                }
                section #described data-live="all" { (self.described()) }
                section #conflicts data-live="all" { (self.conflicts()?) }
                section #variants data-live="all" { (self.variants(&listings)) }
                section #stock data-live="all" { (stock::levels(self)?) }
                section #explained data-live="all" { (stock::explained(self, here)?) }
                section #movements data-live="all" { (stock::movements(self)?) }
                section #markets data-live="all" { (self.prices(&listings)?) (self.markets(&listings)) (self.texts()) }
                section #revisions data-live="all" { (history::revisions(self)?) }
            }
        })
    }

    fn lead(&self) -> Markup {
        let Shown { id, brand, categories, revision, updated_at, .. } = self.shown;
        html! {
            p.lead {
                @if let Some(brand) = brand { a href=(show::with_params("/", &[("brand", brand)])) { (brand) } " · " }
                @for category in categories { a href=(show::with_params("/", &[("category", category)])) { (category) } " · " }
                "id " code { (id) } " · revision " (revision) " of " (show::time(*updated_at)) " · "
                a href=(kontor_api::path::with(kontor_api::path::PRODUCT, &[id])) { "JSON" }
            }
            @if let Some(conflicts) = self.shown.conflicts {
                p.note { (conflicts) " of its fields were set at several sites that did not know of each other: "
                    a href="#conflicts" { "what was written, and what shows" } "." }
            }
        }
    }

    /// What was set at several sites that did not know of each other.
    fn conflicts(&self) -> Result<Markup, Problem> {
        let conflicts = match self.audience {
            Audience::Keys => revisions::shown(self.reader, self.id)?,
            Audience::Everybody => Vec::new(),
        };
        Ok(html! {
            @if !conflicts.is_empty() {
                h2 { "Conflicts" }
                div.scroll tabindex="0" role="region" aria-label="Conflicts" {
                    table {
                        thead { tr {
                            th scope="col" { "Field" } th scope="col" { "Shows" } th scope="col" { "Not shown" } th scope="col" { "Rule" }
                        } }
                        tbody {
                            @for conflict in &conflicts {
                                tr data-row={ (conflict.market.as_deref().unwrap_or_default()) " " (conflict.field) } { (conflicting(conflict)) }
                            }
                        }
                    }
                }
                p.hint { "What shows is decided by the rule. Whoever edits the field, having seen that, settles the conflict. "
                    a href=(kontor_api::path::with(kontor_api::path::CONFLICTS, &[self.id.as_str()])) { "JSON" } }
            }
        })
    }

    fn described(&self) -> Markup {
        let Shown { description, attributes, .. } = self.shown;
        html! {
            @if let Some(description) = description { p.prose { (description) } }
            @if !attributes.is_empty() {
                dl.facts { @for (name, value) in attributes { div { dt { (name) } dd { (show::attribute(value)) } } } }
            }
        }
    }

    fn variants(&self, listings: &[(MarketId, Listing)]) -> Markup {
        let now = SiteTime(wall_ms());
        html! {
            h2 { "Variants" }
            div.scroll tabindex="0" role="region" aria-label="Variants" {
                table {
                    thead { tr {
                        th scope="col" { "SKU" }
                        th scope="col" { "What it is" }
                        th scope="col" { "GTIN" }
                        th scope="col" { "Stock is" }
                        th.number scope="col" { "Price now" }
                    } }
                    tbody {
                        @for (shown, variant) in self.shown.variants.iter().zip(&self.product.variants) {
                            tr data-row=(shown.sku) {
                                th scope="row" { (self.pick(&shown.sku)) }
                                td { (what(shown)) }
                                td { (shown.gtin.as_deref().unwrap_or("–")) }
                                td { (show::policy(shown.policy))
                                    @if shown.backorder_limit > 0 { ", backorder up to " (shown.backorder_limit) } }
                                td.number data-field="price" {
                                    @let prices = show::prices(std::slice::from_ref(variant), None, None, now);
                                    @for price in &prices { div { (price) } }
                                    @if prices.is_empty() { span.none { "none" } }
                                }
                            }
                        }
                    }
                }
            }
            @if !listings.is_empty() {
                p.hint {
                    @match listings.len() {
                        1 => "One market has prices or texts of its own: ",
                        more if more > MARKETS => { "More than " (MARKETS) " markets have prices or texts of their own: " }
                        some => { (some) " markets have prices or texts of their own: " }
                    }
                    a href="#markets" { "see below" } "."
                }
            }
        }
    }

    /// Names a SKU; a link to what happened to it, if there are others.
    fn pick(&self, sku: &str) -> Markup {
        let is_current = self.sku.as_ref().is_some_and(|current| current.as_str() == sku);
        html! {
            @if self.shown.variants.len() == 1 { (sku) } @else {
                a href=(self.link(sku, "", "stock")) aria-current=[is_current.then_some("true")] { (sku) }
            }
        }
    }

    /// This page, for a SKU and perhaps a location.
    fn link(&self, sku: &str, location: &str, part: &str) -> String {
        show::with_params(&show::product_path(self.id), &[("sku", sku), ("location", location)]) + "#" + part
    }

    fn prices(&self, listings: &[(MarketId, Listing)]) -> Result<Markup, Problem> {
        let mut all: Vec<(&str, String, Price)> = Vec::new();
        for variant in &self.shown.variants {
            all.extend(variant.prices.iter().map(|price| (variant.sku.as_str(), String::new(), price.clone())));
        }
        for (market, listing) in listings.iter().take(MARKETS) {
            for variant in &self.product.variants {
                for (key, terms) in listing.prices.get(&variant.sku).into_iter().flatten() {
                    let price = convert::product::price(*key, *terms, None)?;
                    all.push((variant.sku.as_str(), market.to_string(), price));
                }
            }
        }
        let count = all.len();
        Ok(html! {
            h2 { "Prices" }
            @if all.is_empty() { p.none { "None was set." } } @else {
                div.scroll tabindex="0" role="region" aria-label="Prices" {
                    table {
                        thead { tr {
                            th scope="col" { "SKU" } th scope="col" { "Market" } th.number scope="col" { "Price" }
                            th scope="col" { "From" } th scope="col" { "Until" }
                        } }
                        tbody {
                            @for (sku, market, price) in all.iter().take(PRICES) {
                                tr {
                                    td { (sku) }
                                    td { @if market.is_empty() { span.none { "all others" } } @else { (market) } }
                                    td.number { (price.amount) " " (price.currency) }
                                    td { (moment(price.valid_from.as_ref(), "always")) }
                                    td { (moment(price.valid_until.as_ref(), "further notice")) }
                                }
                            }
                        }
                    }
                }
                p.hint { "A market's own price comes before the price of all others; of several, the one that began last."
                    @if count > PRICES { " " (count - PRICES) " more are not shown here; the JSON has all of them." } }
            }
        })
    }

    fn texts(&self) -> Markup {
        let Shown { media, translations, .. } = self.shown;
        html! {
            @if !media.is_empty() {
                h2 { "Media" }
                ul {
                    @for medium in media {
                        @let text = medium.alt.as_deref().unwrap_or(&medium.url);
                        li {
                            // Pictures of other hosts are named, never loaded. What is no web address is no link.
                            @if medium.url.starts_with("https://") || medium.url.starts_with("http://") {
                                a href=(medium.url) rel="noopener noreferrer nofollow" { (text) }
                            } @else { (text) }
                            " " span.hint {
                                @match medium.kind {
                                    Some(MediaKind::Video) => "video",
                                    Some(MediaKind::Document) => "document",
                                    Some(MediaKind::Image) | None => "image",
                                }
                            }
                        }
                    }
                }
            }
            @if !translations.is_empty() {
                h2 { "Translations" }
                dl.texts {
                    @for (language, texts) in translations {
                        div lang=(language) {
                            dt { (language) }
                            dd {
                                @if let Some(title) = &texts.title { b { (title) } }
                                @if let Some(description) = &texts.description { p.prose { (description) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn markets(&self, listings: &[(MarketId, Listing)]) -> Markup {
        let told = listings.iter().take(MARKETS).filter(|(_, listing)| {
            listing.title.is_some() || listing.description.is_some() || !listing.attributes.is_empty()
        });
        let told: Vec<_> = told.collect();
        html! {
            @if !told.is_empty() {
                h2 { "Texts of markets" }
                dl.texts {
                    @for (market, listing) in told {
                        div {
                            dt { (market) }
                            dd {
                                @if let Some(title) = &listing.title { b { (title) } }
                                @if let Some(description) = &listing.description { p.prose { (description) } }
                                @for (name, value) in convert::product::attributes(&listing.attributes) {
                                    div { (name) ": " (show::attribute(&value)) }
                                }
                            }
                        }
                    }
                }
            }
            @if listings.len() > MARKETS {
                p.hint { "There are more markets: "
                    a href=(kontor_api::path::with(kontor_api::path::MARKETS, &[self.id.as_str()])) { "all as JSON" } "." }
            }
        }
    }
}

/// What tells a variant from the others.
pub(super) fn what(variant: &Variant) -> Markup {
    html! {
        @if let Some(title) = &variant.title { (title) " " }
        @for (option, value) in &variant.options { span.choice { (option) ": " (value) } " " }
        @for (name, value) in &variant.attributes { span.choice { (name) ": " (show::attribute(value)) } " " }
        @if variant.title.is_none() && variant.options.is_empty() && variant.attributes.is_empty() { "–" }
    }
}

fn moment(at: Option<&kontor_api::Time>, other: &str) -> Markup {
    match at {
        Some(at) => show::time(*at),
        None => html! { span.none { (other) } },
    }
}

fn unknown(id: &str, audience: Audience) -> Markup {
    html! {
        div.head { h1 { "No such product" } (live()) }
        section.empty data-product=(id) {
            p { "Nothing with the id " code { (id) } " is " @if audience == Audience::Keys { "here." } @else { "for sale." } }
            p { a href=(show::with_params("/", &[("q", id)])) { "Search for it" } ", or see " a href="/" { "all products" } "." }
            @if audience == Audience::Everybody { (for_holders("drafts and archived products", "shoppers do not see them")) }
        }
    }
}
