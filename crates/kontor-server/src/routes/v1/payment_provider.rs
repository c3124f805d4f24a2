//! `/payments/tokens` and `/payments/callbacks`: where cards end, and what the provider tells by itself.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use kontor_api::Code;
use kontor_payments::card::{Card, CardNumber, Expiry};
use kontor_payments::provider::NoToken;
use kontor_payments::webhook;
use kontor_site::clock;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json;
use crate::app::App;
use crate::extract::Asking;
use crate::idempotency::bytes_of_any;
use crate::payments::{self, Payments};
use crate::problem::Problem;

/// A card, as its holder has typed it.
// Here and not with the other words on the wire: nothing but this handler ever holds one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardSent {
    /// 13 to 19 digits; single spaces or dashes between them do not matter.
    #[schema(value_type = String, pattern = "^[0-9]([ -]?[0-9]){12,18}$", example = "4242424242424242")]
    number: CardNumber,
    /// The last month in which it is good, if the provider wants to know.
    expires: Option<MonthSent>,
}

/// A month of a year.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MonthSent {
    #[schema(minimum = 1, maximum = 12)]
    month: u8,
    #[schema(minimum = 2000, maximum = 2999)]
    year: u16,
}

/// What stands for a card.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    /// Given as `payment_method` when a cart is checked out.
    #[schema(example = "pm_card_visa")]
    payment_method: String,
}

/// Exchange a card for a token
///
/// The number goes to the payment provider and is kept nowhere here. What comes back stands for the card, at that
/// provider alone.
#[utoipa::path(
    post, path = "/api/v1/payments/tokens", tag = "payments", operation_id = "make_payment_token",
    request_body = CardSent,
    responses(
        (status = 200, description = "What stands for the card", body = Token),
    ),
    security((), ("key" = []), ("bearer" = [])),
)]
pub(crate) async fn tokenize(
    State(app): State<App>,
    Asking(CardSent { number, expires }): Asking<CardSent>,
) -> Result<Response, Problem> {
    let expires = expires.map(|month| Expiry::new(month.month, month.year)).transpose();
    let expires = expires.map_err(|error| Problem::invalid("/expires", error.to_string()))?;
    let token = payments(&app)?.provider.tokenize(Card { number, expires }).await;
    let token = token.map_err(|error| match error {
        NoToken::Refused { reason } => Problem::new(Code::CardRefused, format!("the card was refused: {reason}")),
        NoToken::Trouble(trouble) => Problem::new(Code::PaymentUnavailable, trouble.to_string()),
    })?;
    json(StatusCode::OK, &Token { payment_method: token.to_string() })
}

/// Take a callback of the payment provider
///
/// Signed by the provider (`stripe-signature`). Each is taken once, however often it comes.
#[utoipa::path(
    post, path = "/api/v1/payments/callbacks", tag = "payments", operation_id = "take_payment_callback",
    request_body(content = String, content_type = "application/json", description = "As the provider sends it"),
    params(("stripe-signature" = String, Header, description = "`t=…,v1=…`: time, and HMAC-SHA-256 of it and the body")),
    responses(
        (status = 204, description = "It was taken, now or before"),
    ),
    security(()),
)]
pub(crate) async fn take(State(app): State<App>, request: Request<Body>) -> Result<StatusCode, Problem> {
    let payments = payments(&app)?;
    let (head, body) = request.into_parts();
    let signature = head.headers.get(webhook::SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    let signature = signature.unwrap_or_default().to_owned();
    let body = bytes_of_any(body, &app).await?;
    webhook::verify(&payments.webhooks, &signature, &body, clock::wall_ms() / 1_000)
        .map_err(|error| Problem::new(Code::Unauthenticated, error.to_string()))?;
    let callback = webhook::read(&body).map_err(|error| Problem::invalid("", error.to_string()))?;
    if let Some(callback) = callback {
        payments::take(&app, callback).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn payments(app: &App) -> Result<&Payments, Problem> {
    let none = || Problem::new(Code::PaymentUnavailable, "this site makes no payments");
    app.payments.as_ref().ok_or_else(none)
}
