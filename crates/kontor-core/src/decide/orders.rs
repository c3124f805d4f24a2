//! Orders after they were placed: canceled, expired, handed out, returned.

use std::collections::BTreeMap;

use super::checkout::owner;
use super::reservations::ended;
use super::{Rules, limit};
use crate::command::{Inbound, Line, Note, ReturnLine};
use crate::event::{Event, Moved};
use crate::id::{OrderId, PaymentId, ReservationId, Sku};
use crate::limits::LINES_MAX;
use crate::money::Money;
use crate::order::{Cause, Fulfillment, Order, OrderPayment, OrderStatus};
use crate::payment::record::Payment;
use crate::record::Table;
use crate::refusal::{Refusal, Stop};
use crate::reservation::{Reservation, ReservationStatus};
use crate::text::Reason;
use crate::view::{KeyRange, row, rows_of_sites};

impl Rules<'_> {
    pub(super) fn cancel_order(self, id: OrderId, reason: Option<&Reason>) -> Result<Vec<Event>, Stop> {
        let order = self.own_order(id)?;
        if order.fulfillment_status != Fulfillment::Unfulfilled {
            let status = order.fulfillment_status.word();
            return Err(Refusal::OrderStatus { order: id, wanted: "cancel", status }.into());
        }
        let moved = order.moving(id, Cause::Canceled { reason: reason.cloned() }).status("cancel")?;
        let payments = self.payments_of(id)?;
        let is_asked = payments.iter().any(|(_, payment)| payment.pending.is_some());
        let moved = match order.payment_status {
            OrderPayment::Pending | OrderPayment::Failed if !is_asked && order.money.authorized == 0 => {
                moved.payment("void")?
            }
            _ => moved,
        };
        let mut events = self.give_up(order.reservation)?;
        events.push(moved.event());
        for (payment, row) in payments {
            events.extend(self.undo_payment(payment, &row)?);
        }
        Ok(events)
    }

    /// Cancels what costs its buyer nothing. Money that has come, or may be coming, keeps the order.
    pub(super) fn abandon_order(self, id: OrderId, reason: Option<&Reason>) -> Result<Vec<Event>, Stop> {
        let order = self.own_order(id)?;
        let is_asked = self.payments_of(id)?.iter().any(|(_, payment)| payment.pending.is_some());
        if order.status != OrderStatus::Open || is_asked {
            let status = if is_asked { order.payment_status.word() } else { order.status.word() };
            return Err(Refusal::OrderStatus { order: id, wanted: "abandon", status }.into());
        }
        self.cancel_order(id, reason)
    }

    /// Gives money back by the payment that has it, and puts goods on the shelf again where that is said.
    pub(super) fn refund_order(
        self,
        id: OrderId,
        amount: Option<i64>,
        lines: &[ReturnLine],
        reason: Option<&Reason>,
    ) -> Result<Vec<Event>, Stop> {
        let order = self.own_order(id)?;
        limit("lines", lines.len() as u64, LINES_MAX as u64)?;
        if !lines.is_empty() && order.fulfillment_status == Fulfillment::Unfulfilled {
            let status = order.fulfillment_status.word();
            return Err(Refusal::OrderStatus { order: id, wanted: "return", status }.into());
        }
        let reservation = row::<Reservation>(self.view, self.context.site, order.reservation)?;
        let (returned, price) = taken_back(&order, order.handed_out(reservation.as_ref()), lines)?;
        let amount = amount.unwrap_or(price);
        if amount == 0 && lines.is_empty() {
            return Err(Refusal::Nothing { what: "the refund" }.into());
        }
        let restocked = lines.iter().filter_map(|line| {
            let location = line.restock.clone()?;
            Some(Line { sku: line.sku.clone(), location, quantity: line.quantity })
        });
        let restocked: Vec<Line> = restocked.collect();
        let mut events = Vec::new();
        if !restocked.is_empty() {
            let note = Note { reason: reason.cloned(), ..Note::default() };
            events = self.receive(Inbound::Return, &restocked, &note)?;
        }
        let mut moved = order.moving(id, Cause::Returned { amount, reason: reason.cloned() });
        if !returned.is_empty() {
            let back = |line: &(u16, u64)| line.1;
            let all: u64 = order.lines.iter().map(|line| line.quantity - line.returned).sum();
            let is_all = all == returned.iter().map(back).sum::<u64>();
            moved = moved.fulfillment(if is_all { "return" } else { "return_part" })?;
            moved.returned = returned;
        }
        events.push(moved.event());
        if amount != 0 {
            events.push(self.refund(id, Money { amount, currency: order.currency }, &order)?);
        }
        Ok(events)
    }

    /// An order whose hold has ended by itself is canceled, unless a provider is being asked: then its answer
    /// decides.
    pub(super) fn expired(self, id: ReservationId, hold: &Reservation) -> Result<Option<Event>, Stop> {
        let Some((order_id, order)) = self.order_behind(id, hold)? else { return Ok(None) };
        if order.status != OrderStatus::Open {
            return Ok(None);
        }
        let payments = self.payments_of(order_id)?;
        if payments.iter().any(|(_, payment)| payment.pending.is_some()) {
            return Ok(None);
        }
        let moved = order.moving(order_id, Cause::Expired).status("cancel")?.payment("void")?;
        Ok(Some(moved.event()))
    }

    /// What becomes of an order when units of it are handed out.
    pub(super) fn shipped(
        self,
        id: ReservationId,
        reservation: &Reservation,
        moved: &[Moved],
    ) -> Result<Option<Event>, Stop> {
        let Some((order_id, order)) = self.order_behind(id, reservation)? else { return Ok(None) };
        let before: u64 = reservation.lines.iter().map(|line| line.quantity - line.shipped).sum();
        let is_all = before == moved.iter().map(|moved| moved.quantity).sum::<u64>();
        let moved = order.moving(order_id, Cause::Shipped);
        let moved = moved.fulfillment(if is_all { "ship" } else { "ship_part" })?;
        Ok(Some(moved.completed().event()))
    }

    /// Why units that are not promised are not handed out: their order is not sure, or not any more.
    pub(super) fn not_promised(self, id: ReservationId, hold: &Reservation) -> Result<Refusal, Stop> {
        Ok(match self.order_behind(id, hold)? {
            Some((order, row)) => Refusal::OrderStatus { order, wanted: "ship", status: row.status.word() },
            None => Refusal::ReservationEnded { id, status: hold.status },
        })
    }

    /// Why the hold of an order is not changed by anything but the order.
    pub(super) fn held_for_order(self, id: ReservationId) -> Result<Option<Refusal>, Stop> {
        let Some(hold) = row::<Reservation>(self.view, self.context.site, id)? else { return Ok(None) };
        let behind = self.order_behind(id, &hold)?;
        let refusal = |(order, row): (OrderId, Order)| {
            let status = row.status.word();
            Refusal::OrderStatus { order, wanted: "a change of its units alone", status }
        };
        Ok(behind.map(refusal))
    }

    /// The order whose units a reservation holds or has promised.
    fn order_behind(self, id: ReservationId, hold: &Reservation) -> Result<Option<(OrderId, Order)>, Stop> {
        let named = hold.owner.as_ref().filter(|owner| owner.as_str().starts_with("ord_"));
        let Some(order_id) = named.and_then(|owner| OrderId::parse(owner.as_str()).ok()) else { return Ok(None) };
        // Owners are words of callers, who may say anything.
        if hold.owner != owner(order_id) {
            return Ok(None);
        }
        let order = row::<Order>(self.view, self.context.site, order_id)?;
        Ok(order.filter(|order| order.reservation == id).map(|order| (order_id, order)))
    }

    /// An order that was taken here.
    pub(super) fn own_order(self, id: OrderId) -> Result<Order, Stop> {
        if let Some(order) = row::<Order>(self.view, self.context.site, id)? {
            return Ok(order);
        }
        Err(match rows_of_sites::<Order>(self.view, id)?.into_iter().next() {
            Some((home, _)) => Refusal::OrderElsewhere { order: id, home },
            None => Refusal::UnknownOrder { order: id },
        }
        .into())
    }

    pub(super) fn payments_of(self, order: OrderId) -> Result<Vec<(PaymentId, Payment)>, Stop> {
        let prefix = Payment::prefix(order);
        let end = prefix.end();
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        let (mut found, mut failed) = (Vec::new(), None);
        self.view.scan(Table::PAYMENTS, range, &mut |key, value| {
            let Some((id, site)) = crate::payment::record::parts(key) else { return true };
            if site == self.context.site.as_str() {
                match crate::record::decode::<Payment>(Table::PAYMENTS, value) {
                    Ok(payment) => found.push((id, payment)),
                    Err(error) => failed = Some(error),
                }
            }
            failed.is_none()
        })?;
        failed.map_or(Ok(found), |error| Err(error.into()))
    }

    /// Promises what is held.
    pub(super) fn commit_hold(self, id: ReservationId) -> Result<Vec<Event>, Stop> {
        let hold = row::<Reservation>(self.view, self.context.site, id)?;
        let hold = hold.ok_or(Refusal::UnknownReservation { id })?;
        Ok(vec![ended(id, hold, ReservationStatus::Committed)])
    }

    /// Gives back what is held or promised, and was not handed out.
    pub(super) fn give_up(self, id: ReservationId) -> Result<Vec<Event>, Stop> {
        let Some(reservation) = row::<Reservation>(self.view, self.context.site, id)? else { return Ok(Vec::new()) };
        Ok(match reservation.status {
            ReservationStatus::Held => vec![ended(id, reservation, ReservationStatus::Released)],
            ReservationStatus::Committed => {
                let left = reservation.lines.into_iter().filter_map(|mut line| {
                    line.quantity = line.quantity.checked_sub(line.shipped).filter(|left| *left > 0)?;
                    Some(line)
                });
                vec![Event::ReservationCanceled { id, lines: left.collect() }]
            }
            ReservationStatus::Released | ReservationStatus::Expired => Vec::new(),
        })
    }
}

/// The lines of an order that units come back to, and what those cost: no more than are out.
fn taken_back(
    order: &Order,
    mut out: BTreeMap<Sku, u64>,
    lines: &[ReturnLine],
) -> Result<(Vec<(u16, u64)>, i64), Stop> {
    let mut left: Vec<u64> = order.lines.iter().map(|line| line.quantity - line.returned).collect();
    let (mut returned, mut price) = (BTreeMap::new(), 0_i64);
    for wanted in lines {
        if !order.lines.iter().any(|line| line.sku == wanted.sku) {
            return Err(Refusal::UnknownSku { sku: wanted.sku.clone() }.into());
        }
        let given = wanted.quantity.units();
        let is_out = out.entry(wanted.sku.clone()).or_default();
        if given > *is_out {
            return Err(Refusal::LimitExceeded { what: "units returned", given, max: *is_out }.into());
        }
        *is_out -= given;
        let mut units = given;
        let same = order.lines.iter().zip(&mut left).zip(0_u16..).filter(|((line, _), _)| line.sku == wanted.sku);
        for ((line, left), number) in same {
            let taken = units.min(*left);
            *left -= taken;
            units -= taken;
            if taken > 0 {
                *returned.entry(number).or_insert(0) += taken;
                price = price.saturating_add(line.price.saturating_mul(i64::try_from(taken).unwrap_or(i64::MAX)));
            }
        }
    }
    Ok((returned.into_iter().collect(), price))
}
