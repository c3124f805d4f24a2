//! `/payments`: what is asked of a payment provider for an order. Only the site that took the order knows them.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Empty;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::payment::{CapturePayment, Payment};
use kontor_core::command::Command;
use kontor_core::id::PaymentId;
use kontor_core::payment::record;
use kontor_core::refusal::Refusal;
use kontor_site::reader::Reader;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Told, json, page, page_size, write_and_read};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Nothing, Params};
use crate::forward::{elsewhere, owned_by};
use crate::idempotency::{Asked, Posted};
use crate::problem::Problem;
use crate::{convert, parse};

/// Which payments are listed.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Listed {
    /// Those whose call nobody makes until somebody has looked.
    Parked,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PaymentParams {
    /// `parked`: those whose call nobody makes until somebody has looked.
    #[param(inline)]
    status: Listed,
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
}

/// List payments
///
/// Those of this site that wait for somebody to look at them.
#[utoipa::path(
    get, path = "/api/v1/payments", tag = "payments", operation_id = "list_payments",
    params(PaymentParams),
    responses((status = 200, description = "One page of payments", body = Page<Payment>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(params): Params<PaymentParams>,
) -> Result<Response, Problem> {
    let PaymentParams { status: Listed::Parked, page_size: size, page_token } = params;
    let size = page_size(size)?;
    app.read(move |reader| {
        let list = List { path: path::PAYMENTS, filters: &["parked"] };
        let after = list.after(page_token.as_deref(), |text| PaymentId::parse(text).ok())?;
        let rows = reader.parked_payments(after, size + 1)?;
        let place = |(id, _): &(PaymentId, record::Payment)| id.to_string();
        let show = |(id, payment): &(PaymentId, record::Payment)| convert::order::payment(*id, payment).map(Some);
        page(&list, size, &[("status", Some("parked"))], rows, place, show)
    })
    .await
}

/// Read a payment
#[utoipa::path(
    get, path = "/api/v1/payments/{id}", tag = "payments", operation_id = "read_payment",
    params(("id" = String, Path, description = "`pay_`, the UUID of the order, `_` and a number")),
    responses((status = 200, description = "The payment", body = Payment)),
)]
pub(crate) async fn read(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let (id, payment) = own(&app, &id)?;
    json(StatusCode::OK, &convert::order::payment(id, &payment)?)
}

/// Capture a payment
///
/// Pays out what was set aside, or a part of it; the rest is given up. The provider is asked: read the payment to
/// see what it has said.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/capture", tag = "payments", operation_id = "capture_payment",
    params(("id" = String, Path, description = "`pay_`, the UUID of the order, `_` and a number")),
    request_body(content = Option<CapturePayment>, description = "How much"),
    responses((status = 200, description = "The payment as it is now", body = Payment)),
)]
pub(crate) async fn capture(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<CapturePayment>,
) -> Result<Response, Problem> {
    let Posted { body: CapturePayment { amount }, asked } = posted;
    let (id, payment) = match own(&app, &id) {
        Ok(found) => found,
        Err(problem) => return elsewhere(&app, &asked, problem).await,
    };
    let amount = amount.map(|amount| parse::order::money("/amount", &amount, payment.currency)).transpose()?;
    changed(&app, &asked, id, Command::CapturePayment { id, amount }).await
}

/// Resume a payment
///
/// Makes a call again that nobody makes any more, after somebody has looked at it; or asks once more for what the
/// provider did not give up or give back.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/resume", tag = "payments", operation_id = "resume_payment",
    params(("id" = String, Path, description = "`pay_`, the UUID of the order, `_` and a number")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "The payment as it is now", body = Payment)),
)]
pub(crate) async fn resume(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<Empty>,
) -> Result<Response, Problem> {
    let (id, _) = match own(&app, &id) {
        Ok(found) => found,
        Err(problem) => return elsewhere(&app, &posted.asked, problem).await,
    };
    changed(&app, &posted.asked, id, Command::ResumePayment { id }).await
}

/// The payment of this site that a path names.
fn own(app: &App, text: &str) -> Result<(PaymentId, record::Payment), Problem> {
    let id = parse::order::payment_id("id", text)?;
    let reader = app.site.read();
    match reader.order(id.order)? {
        Some((home, _)) if home != *app.site.id() => Err(owned_by(&home, format!("payment {id}"))),
        _ => Ok((id, found(&reader, id)?)),
    }
}

fn found(reader: &Reader, id: PaymentId) -> Result<record::Payment, Problem> {
    reader.payment(id)?.ok_or_else(|| Refusal::UnknownPayment { payment: id }.into())
}

async fn changed(app: &App, asked: &Asked, id: PaymentId, command: Command) -> Result<Response, Problem> {
    write_and_read(app, asked, command, move |reader, _| {
        convert::order::payment(id, &found(reader, id)?).map(Told::changed)
    })
    .await
}
