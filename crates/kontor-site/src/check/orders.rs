//! The orders of a site against their lines, their units and their payments.

use kontor_core::cart::{Cart, CartStatus};
use kontor_core::id::{CartId, OrderId, SiteId};
use kontor_core::order::{Order, OrderList, OrderListed, OrderNumber, OrderPayment, OrderStatus, Sums};
use kontor_core::payment::record::{Payment, PaymentDue, parts};
use kontor_core::record::{KeyParts, Table, decode};
use kontor_core::reservation::{Reservation, ReservationStatus};
use kontor_core::view::{View, ViewError, row};

use super::rows::{each, part, within};
use super::{Report, Rule};

/// Looks at every order and every payment.
pub(super) fn orders(rows: &dyn View, here: &SiteId, report: &mut Report) -> Result<(), ViewError> {
    let mut listed = 0;
    let all = each(rows, Table::ORDERS, |key, value| {
        let mut parts = KeyParts(key);
        let id = OrderId(part(parts.fixed(), "orders")?);
        let site = part(parts.rest().and_then(|site| SiteId::parse(site).ok()), "orders")?;
        let order: Order = decode(Table::ORDERS, value)?;
        let look = Look { rows, id, site: &site, order: &order };
        report.looked(Rule::Orders, 1);
        listed += look.lists(report)?;
        look.sums(report);
        look.units(report)?;
        if site == *here {
            look.money(report)?;
        }
        Ok(())
    })?;
    let rows_of_lists = each(rows, Table::ORDER_LISTS, |_, _| Ok(()))?;
    report.expect(Rule::Lists, rows_of_lists == listed, || {
        format!("orders are on {listed} lists, and the lists have {rows_of_lists} rows")
    });
    report.figure("orders", all);
    payments(rows, here, report)?;
    carts(rows, here, report)
}

struct Look<'l> {
    rows: &'l dyn View,
    id: OrderId,
    site: &'l SiteId,
    order: &'l Order,
}

impl Look<'_> {
    /// It is found by its number, and on the lists that it belongs on. Answers how many those are.
    fn lists(&self, report: &mut Report) -> Result<u64, ViewError> {
        let Self { rows, id, site, order } = self;
        let numbered = row::<OrderNumber>(*rows, site, order.number)?.map(|row| row.order);
        report
            .expect(Rule::Lists, numbered == Some(*id), || format!("{id} is not found by its number {}", order.number));
        let mut lists = vec![OrderList::All, OrderList::Status(order.status)];
        lists.extend(order.customer.map(OrderList::Customer));
        lists.extend(order.customer.filter(|_| order.status == OrderStatus::Open).map(OrderList::OpenOf));
        for list in &lists {
            let is_listed = row::<OrderListed>(*rows, site, (*list, order.placed_at, *id))?.is_some();
            report.looked(Rule::Lists, 1);
            report.expect(Rule::Lists, is_listed, || format!("{id} is not on the list {list:?}"));
        }
        Ok(lists.len() as u64)
    }

    /// Its total is what its lines and amounts add up to, and no more was paid or given back than that.
    fn sums(&self, report: &mut Report) {
        let Self { id, order, .. } = self;
        let lines = order.lines.iter().map(|line| i128::from(line.price) * i128::from(line.quantity));
        let amounts = order.amounts.iter().map(|amount| i128::from(amount.amount));
        let total: i128 = lines.chain(amounts).sum();
        report.expect(Rule::Orders, total == i128::from(order.total), || {
            format!("{id} costs {}, and its lines and amounts add up to {total}", order.total)
        });
        let Sums { authorized, captured, refunded } = order.money;
        let is_sane = authorized >= 0 && (0..=captured).contains(&refunded) && captured <= order.total;
        report.expect(Rule::Orders, is_sane, || {
            format!("{id} of {}: {authorized} set aside, {captured} paid, {refunded} given back", order.total)
        });
        let fits = match order.payment_status {
            OrderPayment::NotRequired | OrderPayment::Voided => captured == 0 && authorized == 0,
            // What another payment has set aside and could not pay out is being given up.
            OrderPayment::Pending | OrderPayment::Failed => captured == 0,
            OrderPayment::Authorized => captured == 0 && authorized > 0,
            OrderPayment::Paid => captured == order.total && refunded == 0,
            OrderPayment::PartiallyPaid => captured > 0 && captured < order.total && refunded == 0,
            OrderPayment::PartiallyRefunded => refunded > 0 && refunded < captured,
            OrderPayment::Refunded => refunded > 0 && refunded == captured,
        };
        report.expect(Rule::Orders, fits, || {
            format!("{id} is {}: {authorized} set aside, {captured} paid, {refunded} given back", order.payment_status)
        });
        let back = order.lines.iter().all(|line| line.returned <= line.quantity);
        report.expect(Rule::Orders, back, || format!("{id}: more units came back than were bought"));
    }

    /// Its units are held, promised or given up, as it stands.
    fn units(&self, report: &mut Report) -> Result<(), ViewError> {
        let Self { rows, id, site, order } = self;
        let reservation = row::<Reservation>(*rows, site, order.reservation)?;
        let status = reservation.map(|reservation| reservation.status);
        let fits = match order.status {
            // While a provider is asked, the hold may end; what the provider says decides.
            OrderStatus::Open => matches!(status, Some(ReservationStatus::Held | ReservationStatus::Expired)),
            OrderStatus::Confirmed | OrderStatus::Completed => status == Some(ReservationStatus::Committed),
            OrderStatus::Canceled => matches!(status, Some(ReservationStatus::Released | ReservationStatus::Expired)),
        };
        report.expect(Rule::Orders, fits, || {
            let status = status.map_or("gone", ReservationStatus::word);
            format!("{id} is {}, and its reservation is {status}", order.status)
        });
        Ok(())
    }

    /// What was set aside, paid and given back is what its payments say.
    fn money(&self, report: &mut Report) -> Result<(), ViewError> {
        let Self { rows, id, site, order } = self;
        let (mut sums, mut pending) = (Sums::default(), false);
        within(*rows, Table::PAYMENTS, &Payment::prefix(*id), |key, value| {
            let (_, of) = part(parts(key), "payments")?;
            if of == site.as_str() {
                let payment: Payment = decode(Table::PAYMENTS, value)?;
                sums.authorized += payment.authorized();
                sums.captured += payment.captured;
                sums.refunded += payment.refunded;
                pending |= payment.pending.is_some();
            }
            Ok(true)
        })?;
        report.expect(Rule::Payments, sums == order.money, || {
            format!("{id} says {:?}, and its payments say {sums:?}", order.money)
        });
        let reservation = row::<Reservation>(*rows, site, order.reservation)?.map(|reservation| reservation.status);
        let waits = order.status == OrderStatus::Open && reservation == Some(ReservationStatus::Expired);
        report.expect(Rule::Orders, !waits || pending, || {
            format!("{id} is open without its units, and no provider is asked")
        });
        Ok(())
    }
}

/// What is to be asked of a provider is on the worker's list, and nothing else.
fn payments(rows: &dyn View, here: &SiteId, report: &mut Report) -> Result<(), ViewError> {
    let mut due = 0;
    let all = each(rows, Table::PAYMENTS, |key, value| {
        let (id, site) = part(parts(key), "payments")?;
        let payment: Payment = decode(Table::PAYMENTS, value)?;
        let is_due = payment.pending.as_ref().is_some_and(|pending| pending.parked.is_none());
        due += u64::from(is_due);
        let listed = row::<PaymentDue>(rows, here, id)?.is_some();
        report.looked(Rule::Payments, 1);
        report.expect(Rule::Payments, listed == is_due && site == here.as_str(), || {
            format!("{id} is to be asked for: {is_due}, and is on the list: {listed}")
        });
        let sane = payment.captured <= payment.amount && (0..=payment.captured).contains(&payment.refunded);
        report.expect(Rule::Payments, sane, || {
            let Payment { amount, captured, refunded, .. } = &payment;
            format!("{id} of {amount}: {captured} paid, {refunded} given back")
        });
        Ok(())
    })?;
    let listed = each(rows, Table::PAYMENTS_DUE, |_, _| Ok(()))?;
    report.expect(Rule::Payments, listed == due, || format!("{due} calls are to be made, and the list has {listed}"));
    report.figure("payments", all);
    report.figure("payments to be asked for", due);
    Ok(())
}

/// What was ordered has an order.
fn carts(rows: &dyn View, here: &SiteId, report: &mut Report) -> Result<(), ViewError> {
    let all = each(rows, Table::CARTS, |key, value| {
        let id = CartId(part(KeyParts(key).fixed(), "carts")?);
        let cart: Cart = decode(Table::CARTS, value)?;
        let is_ordered = row::<Order>(rows, here, OrderId::from(id))?.is_some();
        report.expect(Rule::Orders, is_ordered == (cart.status == CartStatus::Ordered), || {
            format!("{id} is {}, and it has an order: {is_ordered}", cart.status.word())
        });
        Ok(())
    })?;
    report.figure("carts", all);
    Ok(())
}
