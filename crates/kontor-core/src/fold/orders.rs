//! Folding what people buy: customers, carts, orders and their payments.

use super::{SiteRows, grow, wrong};
use crate::cart::{Cart, CartDay, CartDetails, CartLine, CartOf, CartStatus};
use crate::event::Entry;
use crate::id::{CartId, CustomerId, OrderId, PaymentId, ReservationId};
use crate::order::{
    Cause, Order, OrderList, OrderListed, OrderMoved, OrderNumber, OrderStatus, TimelineKey, TimelineRow,
};
use crate::payment::call::ProviderEvent;
use crate::payment::record::{CallbackTaken, Payment, PaymentDue, PaymentReported, PaymentRequested, PaymentStuck};
use crate::person::{Customer, CustomerEdit, EmailOwner};
use crate::reservation::{Reservation, ReservationLine, ReservationStatus};
use crate::text::Reason;
use crate::time::SiteTime;
use crate::view::ViewError;

impl SiteRows<'_, '_> {
    pub(super) fn customer_saved(
        &mut self,
        id: CustomerId,
        edit: &CustomerEdit,
        email_before: Option<&[u8; 32]>,
    ) -> Result<(), ViewError> {
        let at = self.at.time;
        let known = self.get::<Customer>(id)?;
        let mut customer = known.unwrap_or_else(|| Customer { created_at: at, ..Customer::default() });
        if let Some(before) = email_before {
            self.delete::<EmailOwner>(before);
        }
        if let Some((hash, email)) = &edit.email {
            (customer.email_hash, customer.email) = (Some(*hash), Some(email.clone()));
            self.put(hash, &EmailOwner { customer: id });
        }
        if let Some(name) = &edit.name {
            customer.name = Some(name.clone());
        }
        if let Some(addresses) = &edit.addresses {
            customer.addresses.clone_from(addresses);
        }
        customer.revision += 1;
        customer.updated_at = at;
        self.put(id, &customer);
        Ok(())
    }

    /// Keeps that there was somebody, and nothing else: what is sealed elsewhere is opened by nobody any more.
    pub(super) fn customer_erased(&mut self, id: CustomerId, email_before: Option<&[u8; 32]>) -> Result<(), ViewError> {
        if let Some(before) = email_before {
            self.delete::<EmailOwner>(before);
        }
        let at = self.at.time;
        let known = self.get::<Customer>(id)?;
        let (created_at, revision) = known.map_or((at, 0), |known| (known.created_at, known.revision));
        let erased =
            Customer { created_at, updated_at: at, erased_at: Some(at), revision: revision + 1, ..Customer::default() };
        self.put(id, &erased);
        Ok(())
    }

    pub(super) fn cart_opened(&mut self, id: CartId, cart: &Cart) {
        if let Some(customer) = cart.customer {
            self.put((customer, id), &CartOf);
        }
        self.put((cart.updated_at.day(), id), &CartDay);
        self.put(id, cart);
    }

    pub(super) fn cart_filled(
        &mut self,
        id: CartId,
        lines: &[CartLine],
        hold: Option<ReservationId>,
    ) -> Result<(), ViewError> {
        self.cart(id, |cart| {
            cart.hold = hold;
            for line in lines {
                let same = |known: &CartLine| known.sku == line.sku && known.given == line.given;
                let same = |known: &CartLine| same(known) && (!line.given || known.price == line.price);
                match (cart.lines.iter().position(same), line.quantity) {
                    (Some(at), 0) => drop(cart.lines.remove(at)),
                    (Some(at), _) => cart.lines[at].clone_from(line),
                    (None, 0) => {}
                    (None, _) => cart.lines.push(line.clone()),
                }
            }
        })
    }

    pub(super) fn cart_detailed(&mut self, id: CartId, details: &CartDetails) -> Result<(), ViewError> {
        let CartDetails { customer, contact, amounts, location } = details;
        let before = self.get::<Cart>(id)?.and_then(|cart| cart.customer);
        if let (Some(customer), true) = (customer, *customer != before) {
            if let Some(before) = before {
                self.delete::<CartOf>((before, id));
            }
            self.put((*customer, id), &CartOf);
        }
        self.cart(id, |cart| {
            cart.customer = customer.or(cart.customer);
            cart.contact.take(contact);
            if let Some(amounts) = amounts {
                cart.amounts.clone_from(amounts);
            }
            if let Some(location) = location {
                cart.location.clone_from(location);
            }
        })
    }

    pub(super) fn cart_closed(&mut self, id: CartId, status: CartStatus) -> Result<(), ViewError> {
        if let Some(customer) = self.get::<Cart>(id)?.and_then(|cart| cart.customer) {
            self.delete::<CartOf>((customer, id));
        }
        self.cart(id, |cart| {
            cart.status = status;
            cart.hold = None;
        })
    }

    pub(super) fn cart_swept(&mut self, id: CartId) -> Result<(), ViewError> {
        let Some(cart) = self.get::<Cart>(id)? else { return Ok(()) };
        if let Some(customer) = cart.customer {
            self.delete::<CartOf>((customer, id));
        }
        self.delete::<CartDay>((cart.updated_at.day(), id));
        self.delete::<Cart>(id);
        Ok(())
    }

    pub(super) fn order_placed(
        &mut self,
        id: OrderId,
        order: &Order,
        entry: &Entry,
        number: u32,
    ) -> Result<(), ViewError> {
        let order = Order { placed_at: self.at.time, updated_at: self.at.time, ..order.clone() };
        self.put(order.number, &OrderNumber { order: id });
        self.put((OrderList::All, order.placed_at, id), &OrderListed);
        self.put((OrderList::Status(order.status), order.placed_at, id), &OrderListed);
        if let Some(customer) = order.customer {
            self.put((OrderList::Customer(customer), order.placed_at, id), &OrderListed);
            self.put((OrderList::OpenOf(customer), order.placed_at, id), &OrderListed);
        }
        self.timeline(id, &order, Cause::Placed, entry, number);
        self.put(id, &order);
        self.site(|row| row.orders = row.orders.max(order.number))
    }

    pub(super) fn order_moved(&mut self, moved: &OrderMoved, entry: &Entry, number: u32) -> Result<(), ViewError> {
        let Some(mut order) = self.get::<Order>(moved.id)? else { return Ok(()) };
        if order.status != moved.status {
            self.delete::<OrderListed>((OrderList::Status(order.status), order.placed_at, moved.id));
            self.put((OrderList::Status(moved.status), order.placed_at, moved.id), &OrderListed);
            if let (Some(customer), OrderStatus::Open) = (order.customer, order.status) {
                self.delete::<OrderListed>((OrderList::OpenOf(customer), order.placed_at, moved.id));
            }
        }
        order.moved(moved, self.at.time);
        self.timeline(moved.id, &order, moved.cause.clone(), entry, number);
        self.put(moved.id, &order);
        Ok(())
    }

    /// Gives back what a reservation has promised and nobody has handed out.
    pub(super) fn reservation_canceled(
        &mut self,
        id: ReservationId,
        lines: &[ReservationLine],
    ) -> Result<(), ViewError> {
        for line in lines.iter().filter(|line| line.tracked) {
            self.stock(&line.sku, &line.location, |row| {
                grow(&mut row.unsold, line.quantity)?;
                if row.unsold > row.sold { Err(wrong("more units are unsold than were sold")) } else { Ok(()) }
            })?;
            self.promise(id, line, SiteTime::NEVER, 0);
        }
        let Some(mut reservation) = self.get::<Reservation>(id)? else { return Ok(()) };
        reservation.status = ReservationStatus::Released;
        reservation.ended_at = Some(self.at.time);
        self.put(id, &reservation);
        Ok(())
    }

    pub(super) fn payment_requested(&mut self, requested: &PaymentRequested) -> Result<(), ViewError> {
        let (id, at) = (requested.id, self.at.time);
        let mut payment = self.get::<Payment>(id)?.unwrap_or_else(|| Payment::begun(requested, at));
        payment.requested(requested, at);
        self.put(id, &payment);
        self.put(id, &PaymentDue);
        Ok(())
    }

    pub(super) fn payment_reported(&mut self, reported: &PaymentReported) -> Result<(), ViewError> {
        let at = self.at.time;
        self.delete::<PaymentDue>(reported.id);
        // A provider may report by itself what nobody asks for any more.
        let before = self.get::<Payment>(reported.id)?.and_then(|payment| payment.pending);
        if before.is_some_and(|pending| pending.parked.is_some()) {
            self.delete::<PaymentStuck>(reported.id);
        }
        self.payment(reported.id, |payment| payment.reported(&reported.outcome, at))
    }

    pub(super) fn payment_parked(&mut self, id: PaymentId, reason: Option<&Reason>) -> Result<(), ViewError> {
        match reason {
            Some(_) => {
                self.delete::<PaymentDue>(id);
                self.put(id, &PaymentStuck);
            }
            None => {
                self.delete::<PaymentStuck>(id);
                self.put(id, &PaymentDue);
            }
        }
        self.payment(id, |payment| {
            if let Some(pending) = &mut payment.pending {
                pending.parked = reason.cloned();
            }
        })
    }

    pub(super) fn callback_taken(&mut self, id: &ProviderEvent, payment: PaymentId, attempt: u16) {
        self.put(id, &CallbackTaken { at: self.at.time, of: (payment, attempt) });
    }

    fn payment(&mut self, id: PaymentId, change: impl FnOnce(&mut Payment)) -> Result<(), ViewError> {
        if let Some(mut payment) = self.get::<Payment>(id)? {
            change(&mut payment);
            self.put(id, &payment);
        }
        Ok(())
    }

    fn cart(&mut self, id: CartId, change: impl FnOnce(&mut Cart)) -> Result<(), ViewError> {
        let Some(mut cart) = self.get::<Cart>(id)? else { return Ok(()) };
        let before = cart.updated_at.day();
        change(&mut cart);
        cart.revision += 1;
        cart.updated_at = self.at.time;
        if cart.updated_at.day() != before {
            self.delete::<CartDay>((before, id));
            self.put((cart.updated_at.day(), id), &CartDay);
        }
        self.put(id, &cart);
        Ok(())
    }

    fn timeline(&mut self, id: OrderId, order: &Order, cause: Cause, entry: &Entry, number: u32) {
        let row = TimelineRow {
            at: self.at.time,
            actor: entry.actor.clone(),
            request_id: entry.request_id.clone(),
            cause,
            status: order.statuses(),
        };
        self.put(TimelineKey { order: id, position: self.at.position, number }, &row);
    }
}
