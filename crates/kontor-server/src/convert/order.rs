//! Carts, orders and payments as they are told.

use kontor_api::cart::{self as wire, CartLine, Requirement, Warning, WarningCode};
use kontor_api::order::{self, OrderStep};
use kontor_api::payment::{self as pay, PendingCall};
use kontor_api::price::Money;
use kontor_core::cart::{Amount, AmountKind, CartStatus};
use kontor_core::id::{CartId, OrderId, PaymentId, Position, SiteId};
use kontor_core::money;
use kontor_core::money::Currency;
use kontor_core::order::{Cause, Fulfillment, OrderPayment, OrderStatus};
use kontor_core::payment::call::Operation;
use kontor_core::payment::record::{Capture, Payment, PaymentStatus};
use kontor_core::refusal::Refusal;
use kontor_core::reservation::ReservationStatus;
use kontor_core::time::SiteTime;
use kontor_site::reader::{CartNow, LineNow, OrderNow, TimelineAt};

use super::{deadline, reservation_line, time};
use crate::personal::Personal;
use crate::problem::Problem;

/// A cart's id, with the site that alone knows it.
pub(crate) fn cart_id(id: CartId, site: &SiteId) -> String {
    format!("{id}.{site}")
}

/// What people call an order by.
pub(crate) fn order_number(site: &SiteId, number: u64) -> String {
    format!("{site}-{number}")
}

fn money(amount: i64, currency: Currency) -> Money {
    Money { currency: currency.to_string(), amount: money::Money { amount, currency }.decimal() }
}

fn times(price: i64, quantity: u64, currency: Currency) -> Option<Money> {
    let total = price.checked_mul(i64::try_from(quantity).ok()?)?;
    Some(money(total, currency))
}

/// A cart as its buyer is shown it; `token` only when it is opened.
pub(crate) fn cart(
    personal: &Personal,
    now: &CartNow,
    site: &SiteId,
    position: Position,
    token: Option<String>,
) -> Result<wire::Cart, Problem> {
    let CartNow { id, cart, lines, missing, hold, is_hold_over, has_email } = now;
    let currency = cart.currency;
    let (status, order_id, merged_into) = match cart.status {
        CartStatus::Open => (wire::CartStatus::Open, None, None),
        CartStatus::Ordered => (wire::CartStatus::Ordered, Some(OrderId::from(*id).to_string()), None),
        CartStatus::Merged(into) => (wire::CartStatus::Merged, None, Some(cart_id(into, site))),
    };
    let held_until = hold.as_ref().filter(|_| !is_hold_over).map(|hold| deadline(hold.expires_at)).transpose()?;
    let mut warnings = Vec::new();
    if cart.status == CartStatus::Open {
        let warned = [
            (!has_email, WarningCode::NoEmail, "no e-mail address is known of the buyer"),
            (cart.contact.ship_to.is_none(), WarningCode::NoShipTo, "it is not known where the goods go"),
            (*is_hold_over, WarningCode::HoldExpired, "its units are not held any more"),
        ];
        let warned = warned.into_iter().filter(|(is_so, ..)| *is_so);
        warnings.extend(warned.map(|(_, code, detail)| Warning { code, detail: detail.to_owned() }));
    }
    Ok(wire::Cart {
        id: cart_id(*id, site),
        token,
        status,
        currency: currency.to_string(),
        market: cart.market.as_ref().map(ToString::to_string),
        location: cart.location.as_ref().map(ToString::to_string),
        customer_id: cart.customer.map(|id| id.to_string()),
        contact: personal.show_contact(&cart.contact)?,
        lines: lines.iter().map(|line| cart_line(line, currency)).collect(),
        amounts: amounts(&cart.amounts, currency),
        total: cart.total().map(|total| money(total, currency)),
        held_until,
        requirements: missing.iter().map(requirement).collect(),
        warnings,
        order_id,
        merged_into,
        revision: cart.revision,
        created_at: time(cart.created_at)?,
        updated_at: time(cart.updated_at)?,
        position: position.to_string(),
    })
}

fn cart_line(now: &LineNow, currency: Currency) -> CartLine {
    let LineNow { line, title, price } = now;
    let is_other = !line.given && *price != line.price;
    CartLine {
        sku: line.sku.to_string(),
        title: title.as_ref().map(ToString::to_string),
        quantity: line.quantity,
        price: line.price.map(|price| money(price, currency)),
        is_own_price: line.given,
        total: line.price.and_then(|price| times(price, line.quantity, currency)),
        price_now: price.filter(|_| is_other).map(|price| money(price, currency)),
    }
}

fn requirement(refusal: &Refusal) -> Requirement {
    let problem = Problem::from(refusal.clone());
    Requirement { code: problem.code(), detail: problem.said().to_owned(), facts: problem.facts().clone() }
}

fn amounts(amounts: &[Amount], currency: Currency) -> Vec<wire::Amount> {
    let amount = |amount: &Amount| wire::Amount {
        kind: match amount.kind {
            AmountKind::Shipping => wire::AmountKind::Shipping,
            AmountKind::Tax => wire::AmountKind::Tax,
            AmountKind::Discount => wire::AmountKind::Discount,
        },
        label: amount.label.to_string(),
        amount: money(amount.amount, currency),
    };
    amounts.iter().map(amount).collect()
}

/// An order as it is now.
pub(crate) fn order(personal: &Personal, now: &OrderNow, position: Position) -> Result<order::Order, Problem> {
    let OrderNow { id, site, order, reservation, payments } = now;
    let money = |amount| money(amount, order.currency);
    let held = reservation.as_ref().filter(|held| held.status == ReservationStatus::Held);
    // Elsewhere nobody knows until when: a deadline stays at its site.
    let held = held.filter(|held| order.status == OrderStatus::Open && held.expires_at != SiteTime::NEVER);
    Ok(order::Order {
        id: id.to_string(),
        number: order_number(site, order.number),
        site: site.to_string(),
        cart_id: cart_id(CartId(id.0), site),
        status: status(order.status),
        payment_status: payment_of_order(order.payment_status),
        fulfillment_status: fulfillment(order.fulfillment_status),
        customer_id: order.customer.map(|id| id.to_string()),
        contact: personal.show_contact(&order.contact)?,
        currency: order.currency.to_string(),
        market: order.market.as_ref().map(ToString::to_string),
        lines: order.lines.iter().map(|line| order_line(line, order.currency)).collect::<Result<_, _>>()?,
        amounts: amounts(&order.amounts, order.currency),
        total: money(order.total),
        authorized: money(order.money.authorized),
        captured: money(order.money.captured),
        refunded: money(order.money.refunded),
        reservation: order.reservation.to_string(),
        allocations: reservation.iter().flat_map(|held| &held.lines).map(reservation_line).collect(),
        held_until: held.map(|held| deadline(held.expires_at)).transpose()?,
        payments: payments.iter().map(|(id, of)| payment(*id, of)).collect::<Result<_, _>>()?,
        placed_at: time(order.placed_at)?,
        updated_at: time(order.updated_at)?,
        position: position.to_string(),
    })
}

fn order_line(line: &kontor_core::order::OrderLine, currency: Currency) -> Result<order::OrderLine, Problem> {
    let beyond = || Problem::internal("a line of an order is beyond all money");
    Ok(order::OrderLine {
        sku: line.sku.to_string(),
        title: line.title.as_ref().map(ToString::to_string),
        quantity: line.quantity,
        price: money(line.price, currency),
        total: times(line.price, line.quantity, currency).ok_or_else(beyond)?,
        returned: line.returned,
    })
}

/// A line of what became of an order.
pub(crate) fn step(line: &TimelineAt, order: OrderId, currency: Currency) -> Result<OrderStep, Problem> {
    let row = &line.row;
    let (payment, amount, reason) = match &row.cause {
        Cause::PaymentBegun { payment, amount }
        | Cause::Authorized { payment, amount }
        | Cause::Captured { payment, amount }
        | Cause::Refunded { payment, amount } => (Some(*payment), Some(*amount), None),
        Cause::PaymentFailed { payment, reason } | Cause::NotUndone { payment, reason } => {
            (Some(*payment), None, Some(reason))
        }
        Cause::Voided { payment } => (Some(*payment), None, None),
        Cause::StockGone { reason } => (None, None, Some(reason)),
        Cause::Canceled { reason } => (None, None, reason.as_ref()),
        Cause::Returned { amount, reason } => (None, Some(*amount), reason.as_ref()),
        Cause::Placed | Cause::NothingToPay | Cause::ReservedAgain | Cause::Expired | Cause::Shipped => {
            (None, None, None)
        }
    };
    let (of_order, of_money, of_goods) = row.status;
    Ok(OrderStep {
        position: line.position.to_string(),
        recorded_at: time(row.at)?,
        actor: row.actor.to_string(),
        request_id: row.request_id.to_string(),
        cause: row.cause.word().to_owned(),
        payment: payment.map(|number| PaymentId { order, number }.to_string()),
        amount: amount.map(|amount| money(amount, currency)),
        reason: reason.map(ToString::to_string),
        status: status(of_order),
        payment_status: payment_of_order(of_money),
        fulfillment_status: fulfillment(of_goods),
    })
}

/// A payment as it is now.
pub(crate) fn payment(id: PaymentId, payment: &Payment) -> Result<pay::Payment, Problem> {
    let money = |amount| money(amount, payment.currency);
    let pending = payment.pending.as_ref().map(|pending| {
        Ok::<_, Problem>(PendingCall {
            operation: match pending.operation {
                Operation::Authorize => pay::Operation::Authorize,
                Operation::Capture => pay::Operation::Capture,
                Operation::Void => pay::Operation::Void,
                Operation::Refund => pay::Operation::Refund,
            },
            attempt: pending.attempt,
            amount: money(pending.amount),
            since: time(pending.since)?,
            parked: pending.parked.as_ref().map(ToString::to_string),
        })
    });
    Ok(pay::Payment {
        id: id.to_string(),
        order_id: id.order.to_string(),
        method: payment.method.to_string(),
        capture: match payment.capture {
            Capture::Automatic => pay::Capture::Automatic,
            Capture::Manual => pay::Capture::Manual,
        },
        status: match payment.status {
            PaymentStatus::Pending => pay::PaymentStatus::Pending,
            PaymentStatus::Authorized => pay::PaymentStatus::Authorized,
            PaymentStatus::Captured => pay::PaymentStatus::Captured,
            PaymentStatus::Uncaptured => pay::PaymentStatus::Uncaptured,
            PaymentStatus::Voided => pay::PaymentStatus::Voided,
            PaymentStatus::Failed => pay::PaymentStatus::Failed,
        },
        amount: money(payment.amount),
        captured: money(payment.captured),
        refunded: money(payment.refunded),
        pending: pending.transpose()?,
        reason: payment.reason.as_ref().map(ToString::to_string),
        provider_object: payment.object.as_ref().map(ToString::to_string),
        created_at: time(payment.created_at)?,
        updated_at: time(payment.updated_at)?,
    })
}

fn status(status: OrderStatus) -> order::OrderStatus {
    match status {
        OrderStatus::Open => order::OrderStatus::Open,
        OrderStatus::Confirmed => order::OrderStatus::Confirmed,
        OrderStatus::Completed => order::OrderStatus::Completed,
        OrderStatus::Canceled => order::OrderStatus::Canceled,
    }
}

fn payment_of_order(status: OrderPayment) -> order::OrderPayment {
    match status {
        OrderPayment::Pending => order::OrderPayment::Pending,
        OrderPayment::Authorized => order::OrderPayment::Authorized,
        OrderPayment::Paid => order::OrderPayment::Paid,
        OrderPayment::PartiallyPaid => order::OrderPayment::PartiallyPaid,
        OrderPayment::PartiallyRefunded => order::OrderPayment::PartiallyRefunded,
        OrderPayment::Refunded => order::OrderPayment::Refunded,
        OrderPayment::Voided => order::OrderPayment::Voided,
        OrderPayment::Failed => order::OrderPayment::Failed,
        OrderPayment::NotRequired => order::OrderPayment::NotRequired,
    }
}

fn fulfillment(status: Fulfillment) -> order::Fulfillment {
    match status {
        Fulfillment::Unfulfilled => order::Fulfillment::Unfulfilled,
        Fulfillment::PartiallyFulfilled => order::Fulfillment::PartiallyFulfilled,
        Fulfillment::Fulfilled => order::Fulfillment::Fulfilled,
        Fulfillment::PartiallyReturned => order::Fulfillment::PartiallyReturned,
        Fulfillment::Returned => order::Fulfillment::Returned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_wire_are_those_of_the_tables_of_steps() {
        fn word(value: impl serde::Serialize) -> String {
            serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
        }
        OrderStatus::ALL.iter().for_each(|one| assert_eq!(word(status(*one)), one.word()));
        OrderPayment::ALL.iter().for_each(|one| assert_eq!(word(payment_of_order(*one)), one.word()));
        Fulfillment::ALL.iter().for_each(|one| assert_eq!(word(fulfillment(*one)), one.word()));
    }
}
