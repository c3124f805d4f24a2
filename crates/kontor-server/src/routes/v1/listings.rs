//! `/products/{id}/markets`: what a product says of its own in a market.

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, header};
use kontor_api::listing::{ChangeListing, Listing, ListingEdit};
use kontor_api::page::Page;
use kontor_api::{Code, path};
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::ProductId;
use kontor_core::product::revision::Edited;
use kontor_core::product::text::MarketId;
use kontor_site::Answer;

use super::products::visible;
use super::{Paging, Told, json, page, put, refused_edit, write};
use crate::app::App;
use crate::convert::Audience;
use crate::cursor::List;
use crate::extract::{Caller, Named, Nothing, Params};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::{convert, parse};

/// List the markets of a product
///
/// Those in which it says something of its own, by name. For everybody; without a key, of products that
/// are for sale.
#[utoipa::path(
    get, path = "/api/v1/products/{id}/markets", tag = "products", operation_id = "list_listings", security(()),
    params(("id" = String, Path, description = "The product's id"), Paging),
    responses((status = 200, description = "One page of listings", body = Page<Listing>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<String>,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let (audience, size) = (caller.audience(), paging.size()?);
    app.read(move |reader| {
        let id = parse::at("id", ProductId::parse(id))?;
        visible(reader, audience, &id)?;
        let path = path::with(path::MARKETS, &[id.as_str()]);
        let list = List { path: &path, filters: &[] };
        let after = paging.page_token.map(|token| list.place(&token)).transpose()?;
        let after = parse::optional("page_token", after, MarketId::parse)?;
        let rows = reader.listings(&id, after.as_ref(), size + 1)?;
        let place = |(market, _): &(MarketId, _)| market.to_string();
        page(&list, size, &[], rows, place, |(market, listing)| shown(audience, market, listing).map(Some))
    })
    .await
}

/// Read what a product says in a market
///
/// 404 if it says nothing of its own there. For everybody; without a key, if the product is for sale.
#[utoipa::path(
    get, path = "/api/v1/products/{id}/markets/{market}", tag = "products", operation_id = "read_listing", security(()),
    params(("id" = String, Path, description = "The product's id"), ("market" = String, Path, description = "The market")),
    responses((status = 200, description = "The listing", body = Listing,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Named((id, market)): Named<(String, String)>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let audience = caller.audience();
    app.read(move |reader| {
        let id = parse::at("id", ProductId::parse(id))?;
        let market = parse::at("market", MarketId::parse(market))?;
        visible(reader, audience, &id)?;
        let Some(listing) = reader.listing(&id, &market)? else {
            let detail = format!("product {id} says nothing of its own in market {market}");
            return Err(Problem::new(Code::NotFound, detail));
        };
        let mut response = json(StatusCode::OK, &shown(audience, &market, &listing)?)?;
        put(&mut response, header::ETAG, &format!("\"{}\"", listing.revision));
        Ok(response)
    })
    .await
}

/// Change what a product says in a market
///
/// A merge patch: sets the fields that are given, `null` takes away what the market says of its own.
/// `If-Match` names the revision of the listing that was read; `*` also makes a new one.
#[utoipa::path(
    patch, path = "/api/v1/products/{id}/markets/{market}", tag = "products", operation_id = "change_listing",
    params(("id" = String, Path, description = "The product's id"), ("market" = String, Path, description = "The market")),
    request_body(content((ChangeListing = "application/json"), (ChangeListing = "application/merge-patch+json"))),
    responses((status = 200, description = "What was changed", body = ListingEdit,
        headers(("ETag" = String, description = "The new revision of the listing, in quotes")))),
)]
pub(crate) async fn change(
    State(app): State<App>,
    Named((id, market)): Named<(String, String)>,
    posted: Posted<ChangeListing>,
) -> Result<Response, Problem> {
    let Posted { body, asked } = posted;
    let id = parse::at("id", ProductId::parse(id))?;
    let market = parse::at("market", MarketId::parse(market))?;
    let expected = asked.expected()?;
    let current = || {
        let listing = app.site.read().listing(&id, &market)?;
        listing.map(|listing| convert::product::listing(&market, &listing)).transpose()
    };
    if expected == Some(0) {
        // To the core, 0 means that there is none yet.
        let problem = Problem::new(Code::PreconditionFailed, "");
        return Err(refused_edit(problem, expected, current));
    }
    let edit = Box::new(parse::product::listing("", body)?);
    let command = Command::EditListing { id: id.clone(), market: market.clone(), edit, expected };
    let changed = write(&app, &asked, command, |answer| {
        let edit = edited(answer, &id, &market, expected)?;
        let revision = edit.revision;
        Ok(Told::changed(edit).revision(revision))
    });
    changed.await.map_err(|problem| refused_edit(problem, expected, current))
}

/// What an edit has changed, by its event; nothing, if there is none.
fn edited(answer: &Answer, id: &ProductId, market: &MarketId, expected: Option<u64>) -> Result<ListingEdit, Problem> {
    let found = answer.events.iter().find_map(|event| match event {
        Event::ListingEdited(edited) => Some(edited.clone()),
        _ => None,
    });
    let revision = found.as_ref().map(|edited| edited.revision).or(expected);
    let position = found.is_some().then(|| answer.position.to_string());
    let changes = found.map(|edited| convert::product::changes(&Edited::Listing(edited))).transpose()?;
    Ok(ListingEdit {
        id: id.to_string(),
        market: market.to_string(),
        changes: changes.unwrap_or_default(),
        revision,
        updated_at: convert::time(answer.recorded_at)?,
        position,
    })
}

fn shown(
    audience: Audience,
    market: &MarketId,
    listing: &kontor_core::product::listing::Listing,
) -> Result<Listing, Problem> {
    let mut shown = convert::product::listing(market, listing)?;
    if audience == Audience::Everybody {
        shown.conflicts = None;
    }
    Ok(shown)
}
