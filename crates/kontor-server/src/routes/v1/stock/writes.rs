//! What happens at the shelf.

use axum::extract::State;
use axum::response::Response;
use kontor_api::stock::{
    AdjustStock, CountStock, IssueStock, ReceiveStock, ReturnStock, ShipStock, StockAdjusted, StockMoved, WriteOffFrom,
    WriteOffStock,
};
use kontor_core::command::{Change, Command, Inbound};
use kontor_core::event::Event;
use kontor_core::id::{LocationId, Sku};

use crate::app::App;
use crate::idempotency::{Asked, Posted};
use crate::problem::Problem;
use crate::routes::v1::{Told, expect_event, write};
use crate::{convert, parse};

/// Receive stock
///
/// Units came in.
#[utoipa::path(
    post, path = "/api/v1/stock/receive", tag = "stock", operation_id = "receive_stock",
    request_body = ReceiveStock,
    responses((status = 201, description = "What was booked", body = StockMoved)),
)]
pub(crate) async fn receive(State(app): State<App>, posted: Posted<ReceiveStock>) -> Result<Response, Problem> {
    let ReceiveStock { sku, location, quantity, reference, reason, occurred_at } = posted.body;
    let command = Command::Receive {
        from: Inbound::Delivery,
        lines: vec![parse::line(String::new, sku, location, quantity)?],
        note: parse::note(reference, reason, occurred_at)?,
    };
    moved(&app, &posted.asked, command).await
}

/// Take back stock
///
/// A customer brought units back: all lines or none.
#[utoipa::path(
    post, path = "/api/v1/stock/return", tag = "stock", operation_id = "return_stock",
    request_body = ReturnStock,
    responses((status = 201, description = "What was booked", body = StockMoved)),
)]
pub(crate) async fn take_back(State(app): State<App>, posted: Posted<ReturnStock>) -> Result<Response, Problem> {
    let ReturnStock { reference, lines, reason, occurred_at } = posted.body;
    let command = Command::Receive {
        from: Inbound::Return,
        lines: parse::lines(lines)?,
        note: parse::note(Some(reference), reason, occurred_at)?,
    };
    moved(&app, &posted.asked, command).await
}

/// Issue stock
///
/// Sold over the counter: promised and handed out in one step, all lines or none.
#[utoipa::path(
    post, path = "/api/v1/stock/issue", tag = "stock", operation_id = "issue_stock",
    request_body = IssueStock,
    responses((status = 201, description = "What was booked", body = StockMoved)),
)]
pub(crate) async fn issue(State(app): State<App>, posted: Posted<IssueStock>) -> Result<Response, Problem> {
    let IssueStock { reference, lines, occurred_at } = posted.body;
    let command =
        Command::Issue { lines: parse::lines(lines)?, note: parse::note(Some(reference), None, occurred_at)? };
    moved(&app, &posted.asked, command).await
}

/// Ship stock
///
/// Hands out units of a committed reservation; all that is left if no lines are given.
#[utoipa::path(
    post, path = "/api/v1/stock/ship", tag = "stock", operation_id = "ship_stock",
    request_body = ShipStock,
    responses((status = 201, description = "What was booked", body = StockMoved)),
)]
pub(crate) async fn ship(State(app): State<App>, posted: Posted<ShipStock>) -> Result<Response, Problem> {
    let ShipStock { reservation, lines, reference } = posted.body;
    let command = Command::Ship {
        reservation: parse::reservation_id("/reservation", &reservation)?,
        lines: lines.map(parse::lines).transpose()?,
        note: parse::note(reference, None, None)?,
    };
    moved(&app, &posted.asked, command).await
}

/// Write off stock
///
/// Units broke, expired or were lost. What the shortage concerns is in the explanation of the SKU.
#[utoipa::path(
    post, path = "/api/v1/stock/write-off", tag = "stock", operation_id = "write_off_stock",
    request_body = WriteOffStock,
    responses((status = 201, description = "What was booked", body = StockMoved)),
)]
pub(crate) async fn write_off(State(app): State<App>, posted: Posted<WriteOffStock>) -> Result<Response, Problem> {
    let WriteOffStock { sku, location, quantity, reason, from, reference } = posted.body;
    let command = Command::WriteOff {
        line: parse::line(String::new, sku, location, quantity)?,
        from_unavailable: from == Some(WriteOffFrom::Unavailable),
        note: parse::note(reference, Some(reason), None)?,
    };
    moved(&app, &posted.asked, command).await
}

/// Count stock
///
/// Books what a person counted. A count below what is promised is booked too; what the shortage
/// concerns is in the explanation of the SKU.
#[utoipa::path(
    post, path = "/api/v1/stock/count", tag = "stock", operation_id = "count_stock",
    request_body = CountStock,
    responses((status = 201, description = "What was booked", body = StockMoved)),
)]
pub(crate) async fn count(State(app): State<App>, posted: Posted<CountStock>) -> Result<Response, Problem> {
    let CountStock { sku, location, counted, expected_on_hand, reference, occurred_at } = posted.body;
    let command = Command::Count {
        sku: parse::at("/sku", Sku::parse(sku))?,
        location: parse::at("/location", LocationId::parse(location))?,
        counted: parse::units("/counted", counted)?,
        expected: expected_on_hand,
        note: parse::note(reference, None, occurred_at)?,
    };
    moved(&app, &posted.asked, command).await
}

/// Adjust stock
///
/// Sets what is not for sale.
#[utoipa::path(
    post, path = "/api/v1/stock/adjust", tag = "stock", operation_id = "adjust_stock",
    request_body = AdjustStock,
    responses((status = 200, description = "What is not for sale now", body = StockAdjusted)),
)]
pub(crate) async fn adjust(State(app): State<App>, posted: Posted<AdjustStock>) -> Result<Response, Problem> {
    let Posted { body: AdjustStock { sku, location, unavailable, safety_stock, expected }, asked } = posted;
    let (expected_unavailable, expected_safety_stock) =
        expected.map_or((None, None), |expected| (expected.unavailable, expected.safety_stock));
    let command = Command::Adjust {
        sku: parse::at("/sku", Sku::parse(sku))?,
        location: parse::at("/location", LocationId::parse(location))?,
        unavailable: change("unavailable", unavailable, expected_unavailable)?,
        safety_stock: change("safety_stock", safety_stock, expected_safety_stock)?,
    };
    write(&app, &asked, command, |answer| {
        let recorded_at = convert::time(answer.recorded_at)?;
        let adjusted = expect_event(answer, |event| {
            let Event::StockAdjusted { sku, location, unavailable, safety_stock, available_after } = event else {
                return None;
            };
            Some(StockAdjusted {
                sku: sku.to_string(),
                location: location.to_string(),
                unavailable: *unavailable,
                safety_stock: *safety_stock,
                available_after: *available_after,
                recorded_at,
                position: answer.position.to_string(),
            })
        })?;
        Ok(Told::changed(adjusted))
    })
    .await
}

fn change(field: &str, to: Option<u64>, expected: Option<u64>) -> Result<Option<Change>, Problem> {
    let (place, expected_place) = (format!("/{field}"), format!("/expected/{field}"));
    match (to, expected) {
        (None, Some(_)) => Err(Problem::invalid(expected_place, format!("give a new value of {field} too"))),
        (None, None) => Ok(None),
        (Some(to), expected) => Ok(Some(Change {
            to: parse::units(&place, to)?,
            expected: expected.map(|expected| parse::units(&expected_place, expected)).transpose()?,
        })),
    }
}

async fn moved(app: &App, asked: &Asked, command: Command) -> Result<Response, Problem> {
    write(app, asked, command, |answer| {
        let movements = convert::movements(&answer.events, &asked.actor, answer.position, answer.recorded_at)?;
        Ok(Told::created(StockMoved { movements, position: answer.position.to_string() }))
    })
    .await
}
