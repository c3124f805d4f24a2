//! Payments: what is asked of a provider, and what follows from what it says. One thing at a time is asked
//! for a payment.

use std::sync::Arc;

use super::checkout::owner;
use super::reservations::ended;
use super::{Rules, limit};
use crate::event::Event;
use crate::id::{OrderId, PaymentId, ReservationId};
use crate::limits::{ORDER_HOLD_MS_DEFAULT, PAYMENT_CALLS_MAX, PAYMENTS_MAX};
use crate::money::Money;
use crate::order::{Cause, Order, OrderMoved, OrderPayment, OrderStatus};
use crate::payment::call::{MethodToken, Operation, Outcome, ProviderEvent};
use crate::payment::record::{CallbackTaken, Capture, Payment, PaymentReported, PaymentRequested, PaymentStatus};
use crate::quantity::Quantity;
use crate::refusal::{Refusal, Stop};
use crate::reservation::{Reservation, ReservationStatus};
use crate::text::Reason;
use crate::view::row;

impl Rules<'_> {
    pub(super) fn pay_order(self, id: OrderId, method: &MethodToken, capture: Capture) -> Result<Vec<Event>, Stop> {
        let order = self.own_order(id)?;
        let refusal = |status| Refusal::OrderStatus { order: id, wanted: "pay", status };
        if !matches!(order.status, OrderStatus::Open | OrderStatus::Confirmed) {
            return Err(refusal(order.status.word()).into());
        }
        let payments = self.payments_of(id)?;
        for (payment, row) in &payments {
            row.is_idle(*payment)?;
        }
        let number = payments.last().map_or(1, |(last, _)| last.number + 1);
        limit("payments", number.into(), PAYMENTS_MAX.into())?;
        let moved = order.moving(id, Cause::PaymentBegun { payment: number, amount: order.total });
        let moved = match order.payment_status {
            OrderPayment::Pending => moved,
            OrderPayment::Failed => moved.payment("retry")?,
            status => return Err(refusal(status.word()).into()),
        };
        let requested = PaymentRequested {
            id: PaymentId { order: id, number },
            operation: Operation::Authorize,
            attempt: 1,
            money: Money { amount: order.total, currency: order.currency },
            method: method.clone(),
            capture,
        };
        Ok(vec![Event::PaymentRequested(Arc::new(requested)), moved.event()])
    }

    pub(super) fn capture_payment(self, id: PaymentId, amount: Option<i64>) -> Result<Vec<Event>, Stop> {
        let order = self.own_order(id.order)?;
        let payment = self.payment(id)?;
        payment.is_idle(id)?;
        if order.status == OrderStatus::Canceled {
            let status = order.status.word();
            return Err(Refusal::OrderStatus { order: id.order, wanted: "capture", status }.into());
        }
        if payment.status != PaymentStatus::Authorized {
            return Err(Refusal::PaymentStatus { payment: id, status: payment.status }.into());
        }
        let amount = amount.unwrap_or(payment.amount);
        affordable(Money { amount, currency: payment.currency }, payment.amount)?;
        Ok(vec![payment.request(id, Operation::Capture, amount)])
    }

    pub(super) fn report_payment(
        self,
        id: PaymentId,
        attempt: u16,
        outcome: &Outcome,
        callback: Option<&ProviderEvent>,
    ) -> Result<Vec<Event>, Stop> {
        if let Some(callback) = callback
            && row::<CallbackTaken>(self.view, self.context.site, callback)?.is_some()
        {
            return Ok(Vec::new());
        }
        let payment = self.payment(id)?;
        let taken = callback.map(|callback| Event::CallbackTaken { id: callback.clone(), payment: id, attempt });
        let mut events: Vec<Event> = taken.into_iter().collect();
        let Some(pending) = payment.pending.as_ref().filter(|pending| pending.attempt == attempt) else {
            // What is known already, by another way.
            return Ok(events);
        };
        let reported = PaymentReported { id, attempt, outcome: outcome.clone() };
        events.push(Event::PaymentReported(Arc::new(reported)));
        let (operation, amount) = (pending.operation, pending.amount);
        let followed = self.after(&events, |rules| {
            let order = rules.own_order(id.order)?;
            let payment = rules.payment(id)?;
            let said = Told { rules, id, order: &order, payment: &payment, amount };
            match (operation, outcome) {
                (Operation::Authorize, Outcome::Done { .. }) => said.authorized(),
                (Operation::Authorize, Outcome::Declined { reason } | Outcome::Refused { reason }) => {
                    said.not_authorized(reason)
                }
                (Operation::Capture, Outcome::Done { .. }) => said.captured(),
                (Operation::Capture, Outcome::Declined { reason } | Outcome::Refused { reason }) => {
                    said.not_captured(reason)
                }
                (Operation::Void, Outcome::Done { .. }) => said.voided(),
                (Operation::Refund, Outcome::Done { .. }) => said.refunded(),
                (Operation::Void | Operation::Refund, Outcome::Declined { reason } | Outcome::Refused { reason }) => {
                    let cause = Cause::NotUndone { payment: id.number, reason: reason.clone() };
                    Ok(vec![order.moving(id.order, cause).event()])
                }
            }
        })?;
        events.extend(followed);
        Ok(events)
    }

    pub(super) fn park_payment(self, id: PaymentId, attempt: u16, reason: &Reason) -> Result<Vec<Event>, Stop> {
        let pending = self.payment(id)?.pending;
        let waits = pending.is_some_and(|pending| pending.attempt == attempt && pending.parked.is_none());
        Ok(waits.then(|| Event::PaymentParked { id, reason: Some(reason.clone()) }).into_iter().collect())
    }

    /// Makes a call that was parked again; of an order that does not stand, and of a payment that was not paid out,
    /// asks once more for what a provider did not give up or give back.
    pub(super) fn resume_payment(self, id: PaymentId) -> Result<Vec<Event>, Stop> {
        let payment = self.payment(id)?;
        match &payment.pending {
            Some(pending) if pending.parked.is_some() => {
                return Ok(vec![Event::PaymentParked { id, reason: None }]);
            }
            Some(_) => payment.is_idle(id)?,
            None => {}
        }
        let is_over =
            payment.status == PaymentStatus::Uncaptured || self.own_order(id.order)?.status == OrderStatus::Canceled;
        let undone = if is_over { self.undo_payment(id, &payment)? } else { None };
        limit("calls of a payment", (payment.attempts + 1).into(), PAYMENT_CALLS_MAX.into())?;
        let refusal = Refusal::PaymentStatus { payment: id, status: payment.status };
        Ok(vec![undone.ok_or(refusal)?])
    }

    /// Asks for money to be given back by the payment that has it.
    pub(super) fn refund(self, id: OrderId, wanted: Money, order: &Order) -> Result<Event, Stop> {
        affordable(wanted, order.money.captured - order.money.refunded)?;
        let mut payments = self.payments_of(id)?.into_iter();
        let found = payments.find(|(_, payment)| payment.captured - payment.refunded >= wanted.amount);
        let most = order.money.captured - order.money.refunded;
        let max = Money { amount: most, currency: wanted.currency };
        let (id, payment) = found.ok_or(Refusal::AmountExceeded { given: wanted, max })?;
        payment.is_idle(id)?;
        limit("calls of a payment", (payment.attempts + 1).into(), PAYMENT_CALLS_MAX.into())?;
        Ok(payment.request(id, Operation::Refund, wanted.amount))
    }

    /// Gives up what is set aside, or gives back what was paid, of an order that does not stand any more. What
    /// is being asked comes first: its outcome leads here again.
    pub(super) fn undo_payment(self, id: PaymentId, payment: &Payment) -> Result<Option<Event>, Stop> {
        let left = payment.captured - payment.refunded;
        Ok(match (&payment.pending, payment.status) {
            (Some(_), _) => None,
            (None, PaymentStatus::Authorized | PaymentStatus::Uncaptured) => {
                Some(payment.request(id, Operation::Void, payment.amount))
            }
            (None, PaymentStatus::Captured) if left > 0 => Some(payment.request(id, Operation::Refund, left)),
            (None, _) => None,
        })
    }

    fn payment(self, id: PaymentId) -> Result<Payment, Stop> {
        let payment = row::<Payment>(self.view, self.context.site, id)?;
        payment.ok_or_else(|| Refusal::UnknownPayment { payment: id }.into())
    }
}

/// What a provider has said of a payment, with what that changes of it folded already.
struct Told<'a> {
    rules: Rules<'a>,
    id: PaymentId,
    order: &'a Order,
    payment: &'a Payment,
    amount: i64,
}

impl Told<'_> {
    /// The money is set aside: the units are promised, or the money is given up again.
    fn authorized(&self) -> Result<Vec<Event>, Stop> {
        let (number, amount) = (self.id.number, self.amount);
        let mut moved = self.moving(Cause::Authorized { payment: number, amount }).payment("authorize")?;
        moved.money.authorized += amount;
        if self.order.status == OrderStatus::Canceled {
            return Ok(vec![moved.event(), self.payment.request(self.id, Operation::Void, amount)]);
        }
        let Rules { context, view } = self.rules;
        let hold = row::<Reservation>(view, context.site, self.order.reservation)?;
        let hold = hold.ok_or(Refusal::UnknownReservation { id: self.order.reservation })?;
        let mut events = match hold.status {
            ReservationStatus::Committed => vec![moved.event()],
            ReservationStatus::Held if hold.expires_at > context.now => {
                let committed = ended(self.order.reservation, hold, ReservationStatus::Committed);
                vec![committed, moved.status("confirm")?.event()]
            }
            _ => return self.too_late(&hold, moved),
        };
        events.extend(self.captures_now());
        Ok(events)
    }

    /// The hold has ended meanwhile: the units are held again if they are still there, else the money goes back.
    fn too_late(&self, hold: &Reservation, moved: OrderMoved) -> Result<Vec<Event>, Stop> {
        let mut events = Vec::new();
        if hold.status == ReservationStatus::Held {
            events.push(ended(self.order.reservation, hold.clone(), ReservationStatus::Expired));
        }
        let mut order = self.order.clone();
        order.moved(&moved, self.rules.context.now);
        events.push(moved.event());
        let id = ReservationId(self.rules.context.fresh_id);
        let again = self.rules.after(&events, |rules| {
            let lines = hold.lines.iter().filter_map(|line| {
                let quantity = Quantity::new(line.quantity).ok()?;
                Some(crate::command::Line { sku: line.sku.clone(), location: line.location.clone(), quantity })
            });
            let lines: Vec<_> = lines.collect();
            let mut made = rules.reserve(Some(id), owner(self.id.order).as_ref(), &lines, ORDER_HOLD_MS_DEFAULT)?;
            let committed = rules.after(&made, |rules| rules.commit_hold(id))?;
            made.extend(committed);
            Ok(made)
        });
        match again {
            Ok(made) => {
                events.extend(made);
                let mut moved = order.moving(self.id.order, Cause::ReservedAgain).status("confirm")?;
                moved.reservation = Some(id);
                events.push(moved.event());
                events.extend(self.captures_now());
            }
            Err(Stop::Refused(refusal)) => {
                let cause = Cause::StockGone { reason: refusal.reason() };
                events.push(order.moving(self.id.order, cause).status("cancel")?.event());
                events.push(self.payment.request(self.id, Operation::Void, self.amount));
            }
            Err(failed) => return Err(failed),
        }
        Ok(events)
    }

    /// The payer's side says no. Another card may do, while the units are held.
    fn not_authorized(&self, reason: &Reason) -> Result<Vec<Event>, Stop> {
        let cause = Cause::PaymentFailed { payment: self.id.number, reason: reason.clone() };
        if self.order.status == OrderStatus::Canceled {
            return Ok(vec![self.over(self.moving(cause))?.event()]);
        }
        let moved = self.moving(cause).payment("fail")?;
        let Rules { context, view } = self.rules;
        let hold = row::<Reservation>(view, context.site, self.order.reservation)?;
        let is_over = |hold: &Reservation| match hold.status {
            ReservationStatus::Held => hold.expires_at <= context.now,
            ReservationStatus::Committed => false,
            ReservationStatus::Released | ReservationStatus::Expired => true,
        };
        let Some(hold) = hold.filter(is_over) else { return Ok(vec![moved.event()]) };
        let mut order = self.order.clone();
        order.moved(&moved, context.now);
        let mut events = vec![moved.event()];
        if hold.status == ReservationStatus::Held {
            events.push(ended(self.order.reservation, hold, ReservationStatus::Expired));
        }
        let over = order.moving(self.id.order, Cause::Expired).status("cancel")?.payment("void")?;
        events.push(over.event());
        Ok(events)
    }

    fn captured(&self) -> Result<Vec<Event>, Stop> {
        let cause = Cause::Captured { payment: self.id.number, amount: self.amount };
        let is_all = self.order.money.captured + self.amount >= self.order.total;
        let mut moved = self.moving(cause).payment(if is_all { "capture" } else { "capture_part" })?;
        moved.money.captured += self.amount;
        // What was set aside and not paid out is free.
        moved.money.authorized -= self.payment.amount;
        Ok([moved.completed().event()].into_iter().chain(self.undone()?).collect())
    }

    /// What is still to be given up or given back of an order that does not stand.
    fn undone(&self) -> Result<Option<Event>, Stop> {
        match self.order.status {
            OrderStatus::Canceled => self.rules.undo_payment(self.id, self.payment),
            _ => Ok(None),
        }
    }

    /// What was set aside is not paid out, and so given up. Of an order that stands the units stay promised: it is
    /// paid otherwise, or somebody cancels it.
    fn not_captured(&self, reason: &Reason) -> Result<Vec<Event>, Stop> {
        let cause = Cause::PaymentFailed { payment: self.id.number, reason: reason.clone() };
        let moved = self.moving(cause);
        let moved = if self.order.status == OrderStatus::Canceled { moved } else { moved.payment("fail")? };
        let undo = self.rules.undo_payment(self.id, self.payment)?;
        Ok([moved.event()].into_iter().chain(undo).collect())
    }

    fn voided(&self) -> Result<Vec<Event>, Stop> {
        let moved = self.moving(Cause::Voided { payment: self.id.number });
        let mut moved = self.over(moved)?;
        moved.money.authorized -= self.amount;
        Ok(vec![moved.event()])
    }

    /// Of an order that does not stand, the last payment that comes to nothing ends the matter. What another one
    /// has paid out, sets aside or is asked for is told by what becomes of that.
    fn over(&self, moved: OrderMoved) -> Result<OrderMoved, Stop> {
        let is_over = self.order.status == OrderStatus::Canceled;
        let others = self.rules.payments_of(self.id.order)?;
        let mut others = others.iter().filter(|(id, _)| *id != self.id);
        let is_quiet = others.all(|(_, payment)| payment.pending.is_none() && payment.authorized() == 0);
        Ok(if is_over && is_quiet { moved.clone().payment("void").unwrap_or(moved) } else { moved })
    }

    fn refunded(&self) -> Result<Vec<Event>, Stop> {
        let cause = Cause::Refunded { payment: self.id.number, amount: self.amount };
        let is_all = self.order.money.refunded + self.amount >= self.order.money.captured;
        let mut moved = self.moving(cause).payment(if is_all { "refund" } else { "refund_part" })?;
        moved.money.refunded += self.amount;
        Ok([moved.event()].into_iter().chain(self.undone()?).collect())
    }

    /// What was set aside is paid out at once, unless somebody wants to say when.
    fn captures_now(&self) -> Option<Event> {
        let is_automatic = self.payment.capture == Capture::Automatic;
        is_automatic.then(|| self.payment.request(self.id, Operation::Capture, self.amount))
    }

    fn moving(&self, cause: Cause) -> OrderMoved {
        self.order.moving(self.id.order, cause)
    }
}

impl Payment {
    /// Refuses while a provider is being asked.
    fn is_idle(&self, id: PaymentId) -> Result<(), Refusal> {
        match &self.pending {
            None => Ok(()),
            Some(pending) => Err(Refusal::PaymentInProgress { payment: id, operation: pending.operation }),
        }
    }

    /// The next thing that is asked for it.
    fn request(&self, id: PaymentId, operation: Operation, amount: i64) -> Event {
        Event::PaymentRequested(Arc::new(PaymentRequested {
            id,
            operation,
            attempt: self.attempts + 1,
            money: Money { amount, currency: self.currency },
            method: self.method.clone(),
            capture: self.capture,
        }))
    }
}

/// Refuses nothing at all, and more than there is.
fn affordable(given: Money, max: i64) -> Result<(), Stop> {
    if (1..=max).contains(&given.amount) {
        return Ok(());
    }
    let max = Money { amount: max, currency: given.currency };
    Err(Refusal::AmountExceeded { given, max }.into())
}
