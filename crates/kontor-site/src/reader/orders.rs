//! What people buy: carts of this site, and orders of all sites with what became of them.

use std::ops::RangeInclusive;

use kontor_core::cart::{Cart, CartLine, CartOf, CartStatus};
use kontor_core::command::Context;
use kontor_core::decide;
use kontor_core::id::{CartId, CustomerId, OrderId, PaymentId, Position, SiteId};
use kontor_core::order::{Order, OrderList, OrderNumber, OrderStatus, TimelineKey, TimelineRow};
use kontor_core::payment::record::{self, Payment};
use kontor_core::record::{KeyParts, Primary as _, Table, decode};
use kontor_core::refusal::Refusal;
use kontor_core::reservation::{Reservation, ReservationStatus};
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_core::view::{KeyRange, ViewError, row, rows_of_sites};

use super::Reader;
use crate::limits::{ORDERS_LOOKED_AT, PAGE_MAX};

/// A cart as its buyer is shown it: with what holds now.
#[derive(Debug, Clone)]
pub struct CartNow {
    /// Which.
    pub id: CartId,
    /// The cart.
    pub cart: Cart,
    /// Its lines, with what each is called and costs now, in minor units.
    pub lines: Vec<LineNow>,
    /// What is missing before it can be ordered; nothing of one that is closed.
    pub missing: Vec<Refusal>,
    /// What is held for it.
    pub hold: Option<Reservation>,
    /// Whether that has ended by itself.
    pub is_hold_over: bool,
    /// Whether an e-mail address is known of its buyer.
    pub has_email: bool,
}

/// A line of a cart, with what holds now.
#[derive(Debug, Clone)]
pub struct LineNow {
    /// The line.
    pub line: CartLine,
    /// What it is called.
    pub title: Option<Title>,
    /// What it costs now, in minor units, if there is a price.
    pub price: Option<i64>,
}

/// An order, with all that its own site knows of it.
#[derive(Debug, Clone)]
pub struct OrderNow {
    /// Which.
    pub id: OrderId,
    /// Whose.
    pub site: SiteId,
    /// The order.
    pub order: Order,
    /// What holds or has promised its units, as far as that is known here.
    pub reservation: Option<Reservation>,
    /// Its payments; none of another site's order.
    pub payments: Vec<(PaymentId, Payment)>,
}

/// A line of what became of an order.
#[derive(Debug, Clone)]
pub struct TimelineAt {
    /// By which entry.
    pub position: Position,
    /// Which event of it.
    pub number: u32,
    /// What became of it.
    pub row: TimelineRow,
}

/// Where an order stands on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPlace {
    /// When it was placed: newer ones come first.
    pub placed_at: SiteTime,
    /// Which.
    pub order: OrderId,
    /// Whose.
    pub site: SiteId,
}

/// Some orders of a list.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// The newest first.
    pub orders: Vec<OrderNow>,
    /// The last that was looked at, if there are more.
    pub next: Option<OrderPlace>,
}

impl Reader {
    /// One cart of this site.
    pub fn cart(&self, id: CartId) -> Result<Option<Cart>, ViewError> {
        row(&self.rows, &self.here, id)
    }

    /// One cart of this site, with what holds now: by the very rules that its checkout would meet.
    pub fn cart_now(&self, id: CartId) -> Result<Option<CartNow>, ViewError> {
        let Some(cart) = self.cart(id)? else { return Ok(None) };
        let now = self.now;
        // What would be held is named like the cart: one name for all could be a reservation of somebody's.
        let context = Context { now, site: &self.here, fresh_id: id.0, earliest_due: SiteTime::default(), heard: &[] };
        let mut lines = Vec::with_capacity(cart.lines.len());
        for line in &cart.lines {
            let (title, price) = decide::line_now(&self.rows, context, &cart, line)?;
            lines.push(LineNow { line: line.clone(), title, price });
        }
        let missing = match cart.status {
            CartStatus::Open => decide::requirements(&self.rows, context, id, &cart)?,
            CartStatus::Ordered | CartStatus::Merged(_) => Vec::new(),
        };
        let hold = cart.hold.map(|hold| self.reservation(hold)).transpose()?.flatten();
        let is_held = |hold: &Reservation| hold.status == ReservationStatus::Held && hold.expires_at > now;
        let is_hold_over = cart.hold.is_some() && !hold.as_ref().is_some_and(is_held);
        let customer = cart.customer.map(|id| self.customer(id)).transpose()?.flatten();
        let has_email = cart.contact.email.is_some() || customer.is_some_and(|(_, known)| known.email.is_some());
        Ok(Some(CartNow { id, cart, lines, missing, hold, is_hold_over, has_email }))
    }

    /// Open carts of a customer at this site. There are only so many.
    pub fn carts_of(&self, customer: CustomerId) -> Result<Vec<CartId>, ViewError> {
        let prefix = CartOf::prefix(customer);
        let end = prefix.end();
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        self.collect(Table::CARTS_OF, range, PAGE_MAX, |key, _| CartOf::cart(&key[prefix.as_bytes().len()..]).map(Ok))
    }

    /// The first id in a range that a cart of this site or an order has.
    pub fn first_cart_id(&self, ids: RangeInclusive<CartId>) -> Result<Option<CartId>, ViewError> {
        let (from, before) = (Cart::key(*ids.start()), Cart::key(*ids.end()).end());
        let range = KeyRange { from: from.as_bytes(), before: before.as_bytes() };
        let id = |key: &[u8]| KeyParts(key).fixed().map(CartId).map(Ok);
        // A cart that was ordered is swept in the end; its order stays.
        let carts = self.collect(Table::CARTS, range, 1, |key, _| id(key))?;
        let orders = self.collect(Table::ORDERS, range, 1, |key, _| id(key))?;
        Ok(carts.into_iter().chain(orders).min())
    }

    /// One order, at whichever site it was taken.
    pub fn order(&self, id: OrderId) -> Result<Option<(SiteId, Order)>, ViewError> {
        Ok(rows_of_sites(&self.rows, id)?.into_iter().next())
    }

    /// One order, with all that is known of it here.
    pub fn order_now(&self, id: OrderId) -> Result<Option<OrderNow>, ViewError> {
        let Some((site, order)) = self.order(id)? else { return Ok(None) };
        let reservation = row(&self.rows, &site, order.reservation)?;
        let payments = if site == self.here { self.payments(id)? } else { Vec::new() };
        Ok(Some(OrderNow { id, site, order, reservation, payments }))
    }

    /// The order with a number of a site.
    pub fn order_numbered(&self, site: &SiteId, number: u64) -> Result<Option<OrderId>, ViewError> {
        Ok(row::<OrderNumber>(&self.rows, site, number)?.map(|found| found.order))
    }

    /// Orders of a list that stand so, the newest first, after one of them. Looks at a bounded number of orders:
    /// there may be fewer than asked for, or none, and still more.
    pub fn orders(
        &self,
        list: OrderList,
        status: Option<OrderStatus>,
        after: Option<&OrderPlace>,
        limit: usize,
    ) -> Result<Orders, ViewError> {
        let prefix = list.prefix();
        let from = match after {
            // Later orders have smaller numbers in the key.
            Some(OrderPlace { placed_at, order, site }) => {
                let key = prefix.clone().number(u64::MAX - placed_at.0).fixed(&order.0);
                key.fixed(site.as_str().as_bytes()).after()
            }
            None => prefix.clone(),
        };
        let end = prefix.end();
        let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
        let enough = if status.is_some() { ORDERS_LOOKED_AT } else { limit.min(ORDERS_LOOKED_AT) };
        let places = self.collect(Table::ORDER_LISTS, range, enough + 1, |key, _| {
            let (placed_at, order, site) = OrderList::parts(&key[prefix.as_bytes().len()..])?;
            Some(Ok(OrderPlace { placed_at, order, site }))
        })?;
        let (mut found, mut last) = (Orders::default(), None);
        for (looked, place) in places.into_iter().enumerate() {
            if found.orders.len() == limit || looked == enough {
                found.next = last;
                break;
            }
            let now = self.order_now(place.order)?;
            found.orders.extend(now.filter(|now| status.is_none_or(|status| now.order.status == status)));
            last = Some(place);
        }
        Ok(found)
    }

    /// What became of an order, the oldest first, after a line of it.
    pub fn timeline(
        &self,
        site: &SiteId,
        order: OrderId,
        after: Option<(Position, u32)>,
        limit: usize,
    ) -> Result<Vec<TimelineAt>, ViewError> {
        let prefix = TimelineRow::prefix(order);
        let from = match after {
            Some((position, number)) => TimelineRow::key(TimelineKey { order, position, number }).end(),
            None => prefix.clone(),
        };
        let end = prefix.end();
        let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
        let rows = self.collect(Table::TIMELINE, range, limit.min(PAGE_MAX), |key, value| {
            let place = &key[prefix.as_bytes().len()..];
            let position = TimelineRow::position(place)?;
            let mut parts = KeyParts(place);
            let (_, _, _, number) = (parts.number()?, parts.number()?, parts.number()?, parts.number()?);
            let (number, of) = (u32::try_from(number).ok()?, parts.rest()?.to_owned());
            Some(decode(Table::TIMELINE, value).map(|row| (of, TimelineAt { position, number, row })))
        })?;
        Ok(rows.into_iter().filter(|(of, _)| of == site.as_str()).map(|(_, row)| row).collect())
    }

    /// One payment of this site.
    pub fn payment(&self, id: PaymentId) -> Result<Option<Payment>, ViewError> {
        row(&self.rows, &self.here, id)
    }

    /// The payments of an order of this site, the first first.
    pub fn payments(&self, order: OrderId) -> Result<Vec<(PaymentId, Payment)>, ViewError> {
        let prefix = Payment::prefix(order);
        let end = prefix.end();
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        self.collect(Table::PAYMENTS, range, usize::MAX, |key, value| {
            let (id, _) = record::parts(key)?;
            Some(decode(Table::PAYMENTS, value).map(|payment| (id, payment)))
        })
    }

    /// Payments of this site whose call nobody makes until somebody has looked, after one of them.
    pub fn parked_payments(
        &self,
        after: Option<PaymentId>,
        limit: usize,
    ) -> Result<Vec<(PaymentId, Payment)>, ViewError> {
        let after = after.map(|id| Payment::key(id).end());
        let ids = self.page(Table::PAYMENTS_PARKED, after, limit, |key, _| record::parts(key).map(|(id, _)| Ok(id)))?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.payment(id)?.map(|payment| (id, payment)));
        }
        Ok(found)
    }
}
