//! The checkout, which waits for the payment, and the orders that it leads to.
//!
//! The service has no cards: every user pays with the same one. A body may name another method of payment, as the
//! provider knows it.

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, header};
use kontor_api::Code;
use kontor_core::id::{CartId, OrderId};
use kontor_core::money::Money;
use kontor_core::payment::call::MethodToken;
use kontor_core::time::SiteTime;
use kontor_site::clock::{Stopwatch, wall_ms};
use kontor_site::reader::{OrderNow, Reader};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::cart::{Current, User, order_lines};
use super::{answer, error};
use crate::app::App;
use crate::compat::buying::{self, Standing, is_overtaken, standing};
use crate::compat::catalog::{self, again};
use crate::compat::sent::Sent;
use crate::convert;
use crate::extract::{Caller, Named};
use crate::limits::COMPAT_REPEAT_S;
use crate::problem::Problem;
use crate::routes::v1::put;

/// The card of every user: at the simulated provider, and at one over HTTP where it is tried out, one that pays.
const METHOD: &str = "pm_card_visa";

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    payment_method: Option<String>,
}

/// Places the order of a cart, has it paid, and waits for what the provider says. Another click meanwhile, or a
/// repeat of it soon afterwards, gets the same order. One whose payment was declined is paid again.
pub(super) async fn check_out(
    State(app): State<App>,
    Named(user): Named<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let watch = Stopwatch::start();
    let user = User::parse(&user)?;
    let wanted = match sent.body.trim_ascii() {
        b"" => Ok(Wanted::default()),
        body => serde_json::from_slice(body),
    };
    let Ok(Wanted { payment_method }) = wanted else { return error(StatusCode::BAD_REQUEST, "Invalid request body") };
    let method = payment_method.unwrap_or_else(|| METHOD.to_owned());
    let method = crate::parse::at("payment_method", MethodToken::parse(method.as_str()))?;
    let content = [method.as_str().as_bytes()];
    let cart = again(|| async {
        let current = Current::read(&app, &user).await?;
        if current.cart.as_ref().is_some_and(|cart| !cart.lines.is_empty()) {
            return Ok(Some(current.id));
        }
        let is_meant = |last: &OrderNow| match standing(last) {
            Standing::Asked => true,
            Standing::Unpaid => current.cart.is_none(),
            Standing::Paid => current.cart.is_none() && is_repeat(last.order.placed_at, SiteTime(wall_ms())),
            Standing::Over => false,
        };
        if let Some(last) = current.last.as_ref().filter(|last| is_meant(last)) {
            return Ok(Some(CartId(last.id.0)));
        }
        // The order was given up, after the card had been declined: what was in it is ordered anew.
        let Some(open) = current.carried() else { return Ok(Some(current.id)) };
        match app.submit(&sent.part("cart", &content), open).await {
            Ok(_) => Ok(Some(current.id)),
            Err(problem) if is_overtaken(&problem) => Ok(None),
            Err(problem) => Err(problem),
        }
    });
    // Also of an empty cart: the request may be the repeat of one that was done.
    match buying::paid(&app, &sent.part("payment", &content), cart.await?, &method).await {
        Ok(now) => told(&app, &user, now, watch).await.map_err(Problem::after_write),
        Err(problem) if matches!(problem.code(), Code::UnknownCart | Code::CartEmpty) => {
            error(StatusCode::BAD_REQUEST, "Cart is empty")
        }
        Err(problem) => Err(problem),
    }
}

/// Whether a checkout is taken for a repeat of one that was done.
fn is_repeat(placed_at: SiteTime, now: SiteTime) -> bool {
    now.0.saturating_sub(placed_at.0) < COMPAT_REPEAT_S * 1_000
}

async fn told(app: &App, user: &User, now: OrderNow, watch: Stopwatch) -> Result<Response, Problem> {
    let (status, order_status, payment_status, message) = match standing(&now) {
        Standing::Paid => (StatusCode::CREATED, "confirmed", "success", "Payment processed successfully".to_owned()),
        Standing::Unpaid | Standing::Over => {
            let reason = now.payments.last().and_then(|(_, payment)| payment.reason.as_ref());
            let reason = reason.map_or("the order was canceled", |reason| reason.as_str());
            (StatusCode::PAYMENT_REQUIRED, "payment_failed", "failed", format!("Payment failed: {reason}"))
        }
        Standing::Asked => {
            let message = "The payment provider has not answered yet".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, "payment_service_unavailable", "pending", message)
        }
    };
    let is_waiting = standing(&now) == Standing::Asked;
    let money = Money { amount: now.order.total, currency: now.order.currency };
    let attempts = now.payments.len();
    let transaction = now.payments.last().map_or_else(|| now.id.to_string(), |(id, _)| id.to_string());
    let payment = json!({
        "transaction_id": transaction,
        "status": payment_status,
        "message": message,
        "amount": catalog::number(money),
        "processed_at": convert::time(now.order.updated_at)?,
        "retry_info": {
            "success": status == StatusCode::CREATED,
            "attempts": attempts,
            "total_time": nanoseconds(watch.seconds()),
        },
    });
    let (id, user) = (order_id(user, now.id), user.clone());
    let mut order = app.read(move |reader| shown(reader, Some(&user), &now)).await?;
    order.insert("status".to_owned(), order_status.into());
    let mut body = json!({"order_id": id, "order": order, "payment": payment, "recovery_applied": is_waiting});
    if is_waiting {
        let details = format!("The order is kept, and its payment is asked for on and on: GET /orders/{id} tells it");
        body["recovery_details"] = details.into();
    }
    let mut response = answer(status, &body)?;
    if is_waiting {
        put(&mut response, header::RETRY_AFTER, &app.limits.checkout.as_secs().max(1).to_string());
    }
    Ok(response)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a request takes seconds, not centuries")]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Shows an order by the id that its checkout has told, or by the site's own.
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    caller.admin()?;
    let named = name.strip_prefix("ORD-").and_then(|rest| rest.rsplit_once('-'));
    let (user, id) = match named {
        Some((user, id)) => (User::parse(user).ok(), OrderId::parse(id)),
        None => (None, OrderId::parse(&name)),
    };
    let Ok(id) = id else { return missing() };
    let is_named = named.is_some();
    let order = app
        .read(move |reader| {
            let now = reader.order_now(id)?;
            let is_whose = |now: &OrderNow| user.as_ref().is_some_and(|user| user.has(&now.site, now.id));
            let now = now.filter(|now| !is_named || is_whose(now));
            now.map(|now| shown(reader, user.as_ref(), &now)).transpose()
        })
        .await?;
    order.map_or_else(missing, |order| answer(StatusCode::OK, &order))
}

fn missing() -> Result<Response, Problem> {
    error(StatusCode::NOT_FOUND, "Order not found")
}

/// What the service calls an order. It has the user in it, who stands nowhere else: the site keeps no names.
fn order_id(user: &User, id: OrderId) -> String {
    let id = id.to_string();
    format!("ORD-{}-{}", user.name(), id.strip_prefix("ord_").unwrap_or(&id))
}

fn shown(reader: &Reader, user: Option<&User>, now: &OrderNow) -> Result<Map<String, Value>, Problem> {
    let mut order = Map::new();
    let id = user.map_or_else(|| now.id.to_string(), |user| order_id(user, now.id));
    order.insert("order_id".to_owned(), id.into());
    if let Some(user) = user {
        order.insert("user_id".to_owned(), user.name().into());
    }
    order_lines(reader, now, &mut order)?;
    let is_declined = now.payments.iter().any(|(_, payment)| payment.reason.is_some());
    let status = match standing(now) {
        Standing::Paid => "confirmed",
        Standing::Asked => "pending_payment",
        Standing::Unpaid | Standing::Over if is_declined => "payment_failed",
        Standing::Unpaid => "pending_payment",
        Standing::Over => "canceled",
    };
    order.insert("status".to_owned(), status.into());
    order.insert("created_at".to_owned(), json!(convert::time(now.order.placed_at)?));
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_comes_soon() {
        let placed_at = SiteTime(1_000_000);
        let after = |seconds: u64| is_repeat(placed_at, SiteTime(placed_at.0 + seconds * 1_000));
        assert!(after(0) && after(COMPAT_REPEAT_S - 1));
        assert!(!after(COMPAT_REPEAT_S));
        assert!(is_repeat(placed_at, SiteTime(0)), "clocks differ");
    }
}
