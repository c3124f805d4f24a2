//! `/transfers`: units of one location that are asked for at another, whichever sites keep their books.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Empty;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::transfer::{AskTransfer, ReceiveTransfer, Transfer, TransferTaken, Units};
use kontor_core::command::{Command, Note};
use kontor_core::event::Event;
use kontor_core::id::{LocationId, OfferId, SiteId, Sku};
use kontor_core::limits::TRANSFER_LINES_MAX;
use kontor_core::offer::{self, Answered, Asked, Offer, Said};
use kontor_core::quantity::Quantity;
use kontor_core::refusal::Refusal;
use kontor_core::text::Reason;
use kontor_site::Answer;

use super::{Paging, Told, expect_event, json, page, write};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Nothing, Params};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::{convert, parse};

/// Ask for a transfer
///
/// Asks for units that are at another location. The site that keeps the books of `to` is asked here; the one
/// that keeps those of `from` holds the units as soon as it has read this, promises them once it has read that
/// this site has confirmed, and hands them out when they are dispatched. Where both are one site, the units are
/// promised at once.
#[utoipa::path(
    post, path = "/api/v1/transfers", tag = "transfers", operation_id = "ask_transfer",
    request_body = AskTransfer,
    responses((status = 201, description = "The transfer", body = Transfer,
        headers(("Location" = String, description = "Its path")))),
)]
pub(crate) async fn ask(State(app): State<App>, posted: Posted<AskTransfer>) -> Result<Response, Problem> {
    let Posted { body: AskTransfer { id, from, to, lines, reason }, asked } = posted;
    if lines.is_empty() || lines.len() > TRANSFER_LINES_MAX {
        let bounds = format!("1 to {TRANSFER_LINES_MAX} lines are taken, and {} were given", lines.len());
        return Err(Problem::invalid("/lines", bounds));
    }
    let wanted = lines.into_iter().enumerate().map(|(at, Units { sku, quantity })| {
        let wrong = |field: &str, why: String| Problem::invalid(format!("/lines/{at}/{field}"), why);
        let sku = Sku::parse(sku).map_err(|error| wrong("sku", error.to_string()))?;
        Ok((sku, Quantity::new(quantity).map_err(|error| wrong("quantity", error.to_string()))?))
    });
    let place = |pointer, id| LocationId::parse(id).map_err(|error| Problem::invalid(pointer, error.to_string()));
    let command = Command::AskTransfer {
        id: id.map(|id| parse::transfer_id("/id", &id)).transpose()?,
        from: place("/from", from)?,
        to: place("/to", to)?,
        lines: wanted.collect::<Result<_, Problem>>()?,
        reason: parse::optional("/reason", reason, Reason::parse)?,
    };
    let here = app.site.id().clone();
    write(&app, &asked, command, |answer| {
        let transfer = convert::transfer::transfer(&made(&here, answer)?, answer.position)?;
        let path = path::with(path::TRANSFER, &[&transfer.id]);
        Ok(Told::created(transfer).path(path))
    })
    .await
}

/// The transfer as it was made, and taken further at once where it could be.
fn made(here: &SiteId, answer: &Answer) -> Result<Offer, Problem> {
    let at = answer.recorded_at;
    let mut offer = expect_event(answer, |event| {
        let Event::TransferAsked { id, of, transfer } = event else { return None };
        let (of, transfer) = (of.clone(), offer::Transfer::clone(transfer));
        let asked = Asked { of, transfer, said: Said::Offered, created_at: at, updated_at: at };
        Some(Offer { id: *id, asker: here.clone(), asked, answered: None })
    })?;
    for event in &answer.events {
        match event {
            Event::TransferSaid { said, .. } => offer.asked.said = said.clone(),
            Event::TransferAnswered { answer, .. } => {
                offer.answered = Some(Answered { answer: answer.clone(), updated_at: at });
            }
            _ => {}
        }
    }
    Ok(offer)
}

/// List transfers
///
/// All that this site has read of, the oldest first.
#[utoipa::path(
    get, path = "/api/v1/transfers", tag = "transfers", operation_id = "list_transfers",
    params(Paging),
    responses((status = 200, description = "One page of transfers", body = Page<Transfer>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let size = paging.size()?;
    app.read(move |reader| {
        let list = List { path: path::TRANSFERS, filters: &[] };
        let after = list.after(paging.page_token.as_deref(), place)?;
        let rows = reader.transfers(after.as_ref(), size + 1)?;
        let position = reader.position()?;
        let place = |offer: &Offer| format!("{}/{}", offer.id, offer.asker);
        page(&list, size, &[], rows, place, |offer| convert::transfer::transfer(offer, position).map(Some))
    })
    .await
}

/// Reads the place of a transfer: which it is, and whose.
fn place(text: &str) -> Option<(OfferId, SiteId)> {
    let (id, asker) = text.split_once('/')?;
    Some((OfferId::parse(id).ok()?, SiteId::parse(asker).ok()?))
}

/// Read a transfer
///
/// As far as this site has read of what both sides have said.
#[utoipa::path(
    get, path = "/api/v1/transfers/{id}", tag = "transfers", operation_id = "read_transfer",
    params(("id" = String, Path, description = "`trf_` and a UUID")),
    responses((status = 200, description = "The transfer", body = Transfer)),
)]
pub(crate) async fn read(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = parse::transfer_id("id", &id)?;
    let reader = app.site.read();
    // Ids are made by askers: of two that are the same, this site's own is meant.
    let all = reader.transfers_with(id)?;
    let own = all.iter().find(|offer| offer.asker == *app.site.id() || offer.asked.of == *app.site.id());
    let offer = own.or(all.first()).ok_or(Refusal::UnknownTransfer { transfer: id })?;
    json(StatusCode::OK, &convert::transfer::transfer(offer, reader.position()?)?)
}

/// Withdraw a transfer
///
/// Until it is confirmed, at the site that asked. What the other holds for it is given back when it reads this.
#[utoipa::path(
    post, path = "/api/v1/transfers/{id}/withdraw", tag = "transfers", operation_id = "withdraw_transfer",
    params(("id" = String, Path, description = "`trf_` and a UUID")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "It is withdrawn", body = TransferTaken)),
)]
pub(crate) async fn withdraw(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<Empty>,
) -> Result<Response, Problem> {
    let id = parse::transfer_id("id", &id)?;
    write(&app, &posted.asked, Command::WithdrawTransfer { id }, taken).await
}

/// Dispatch a transfer
///
/// Hands out its units, at the site that was asked, once they are promised.
#[utoipa::path(
    post, path = "/api/v1/transfers/{id}/dispatch", tag = "transfers", operation_id = "dispatch_transfer",
    params(("id" = String, Path, description = "`trf_` and a UUID")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "Its units are on their way", body = TransferTaken)),
)]
pub(crate) async fn dispatch(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<Empty>,
) -> Result<Response, Problem> {
    let id = parse::transfer_id("id", &id)?;
    write(&app, &posted.asked, Command::DispatchTransfer { id, note: Note::default() }, taken).await
}

/// Receive a transfer
///
/// Books its units in, at the site that asked, once they are dispatched. What has not arrived is named.
#[utoipa::path(
    post, path = "/api/v1/transfers/{id}/receive", tag = "transfers", operation_id = "receive_transfer",
    params(("id" = String, Path, description = "`trf_` and a UUID")),
    request_body = ReceiveTransfer,
    responses((status = 200, description = "Its units are there", body = TransferTaken)),
)]
pub(crate) async fn receive(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<ReceiveTransfer>,
) -> Result<Response, Problem> {
    let id = parse::transfer_id("id", &id)?;
    let received = posted.body.received.into_iter().enumerate().map(|(at, Units { sku, quantity })| {
        let pointer = |field| format!("/received/{at}/{field}");
        let sku = Sku::parse(sku).map_err(|error| Problem::invalid(pointer("sku"), error.to_string()))?;
        Ok((sku, parse::units(&pointer("quantity"), quantity)?))
    });
    let received: Vec<_> = received.collect::<Result<_, Problem>>()?;
    if received.len() > TRANSFER_LINES_MAX {
        return Err(Problem::invalid("/received", format!("{TRANSFER_LINES_MAX} lines at most are taken")));
    }
    write(&app, &posted.asked, Command::ReceiveTransfer { id, received, note: Note::default() }, taken).await
}

/// The step that was taken, as its entry tells it: a repeat gets the same bytes.
fn taken(answer: &Answer) -> Result<Told<TransferTaken>, Problem> {
    let (id, step) = expect_event(answer, |event| match event {
        Event::TransferSaid { id, said } => Some((*id, convert::transfer::said(said))),
        Event::TransferAnswered { id, answer, .. } => Some((*id, convert::transfer::answer(answer))),
        _ => None,
    })?;
    let position = answer.position.to_string();
    Ok(Told::changed(TransferTaken { id: id.to_string(), step, position }))
}
