//! Payments of shopping carts with a card. The number of the card becomes a token here, and enters no command, no
//! log and no trace; nor does a digest of it, from which it could be guessed.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_core::id::OrderId;
use kontor_payments::card::{Card, CardNumber};
use kontor_payments::provider::NoToken;
use kontor_site::reader::OrderNow;
use serde::Deserialize;
use serde_json::json;

use super::super::buying::{self, Standing, standing};
use super::super::sent::Sent;
use super::{answer, bad, carts, refused};
use crate::app::App;
use crate::problem::Problem;
use kontor_api::Code;

#[derive(Deserialize)]
struct Wanted {
    credit_card_number: CardNumber,
    shopping_cart_id: i32,
}

/// Pays what is in a cart: its order is placed, if that has not been done. One that is paid is not paid again,
/// whatever card is shown.
pub(super) async fn pay(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    // What is wrong is not said in the parser's words: they may have the number in them.
    let Ok(Wanted { credit_card_number, shopping_cart_id }) = serde_json::from_slice(&sent.body) else {
        let details = "credit_card_number is a string of 13 to 19 digits, and shopping_cart_id a whole number from 1";
        return bad("Invalid payment", details);
    };
    if shopping_cart_id < 1 {
        return bad("Invalid shopping cart ID", "an id is a whole number from 1");
    }
    let Some(cart) = carts::known(&app, shopping_cart_id).await? else { return carts::no_cart() };
    let before = buying::order(&app, OrderId::from(cart)).await?;
    if let Some(now) = before.filter(|now| matches!(standing(now), Standing::Paid | Standing::Over)) {
        return told(&now);
    }
    let payments = app.payments.as_ref();
    let payments = payments.ok_or_else(|| Problem::new(Code::PaymentUnavailable, "this site makes no payments"))?;
    let method = match payments.provider.tokenize(Card { number: credit_card_number, expires: None }).await {
        Ok(method) => method,
        Err(NoToken::Refused { reason }) => return declined(reason.as_str()),
        Err(NoToken::Trouble(trouble)) => return Err(Problem::new(Code::PaymentUnavailable, trouble.to_string())),
    };
    match buying::paid(&app, &sent.part("payment", &[&shopping_cart_id.to_be_bytes()]), cart, &method).await {
        Ok(now) => told(&now).map_err(Problem::after_write),
        Err(problem) => refused(problem),
    }
}

fn told(now: &OrderNow) -> Result<Response, Problem> {
    let last = now.payments.last();
    match standing(now) {
        Standing::Paid => {
            // What costs nothing is paid by nothing, and goes by the order's id.
            let transaction_id = last.map_or_else(|| now.id.to_string(), |(id, _)| id.to_string());
            answer(StatusCode::OK, &json!({"success": true, "transaction_id": transaction_id}))
        }
        Standing::Unpaid => {
            let reason = last.and_then(|(_, payment)| payment.reason.as_ref());
            declined(reason.map_or("the card was not taken", |reason| reason.as_str()))
        }
        Standing::Asked => {
            let number = now.order.number;
            let said =
                format!("the provider has not answered yet, and order {number} goes on; ask again what became of it");
            Err(Problem::new(Code::PaymentUnavailable, said))
        }
        Standing::Over => bad("Invalid cart state", "the order of this cart was canceled"),
    }
}

fn declined(reason: &str) -> Result<Response, Problem> {
    let body = json!({"error": "PAYMENT_DECLINED", "message": "The payment was declined", "details": reason});
    answer(StatusCode::PAYMENT_REQUIRED, &body)
}
