//! From a cart to an order: one decision, all of it or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Rules, bounds, unreadable};
use crate::cart::{Cart, CartStatus};
use crate::command::Line;
use crate::event::Event;
use crate::id::{CartId, LocationId, OrderId, Owner, PaymentId, ReservationId, Sku};
use crate::limits::{HOLD_MS_MAX, HOLD_MS_MIN, ORDER_TITLE_BYTES_MAX};
use crate::money::Money;
use crate::order::{Cause, Fulfillment, Order, OrderLine, OrderPayment, OrderStatus, Sums};
use crate::payment::call::{MethodToken, Operation};
use crate::payment::record::{Capture, PaymentRequested};
use crate::product::{Item, Product};
use crate::quantity::Quantity;
use crate::record::{KeyParts, Table};
use crate::refusal::{Refusal, Stop};
use crate::site::SiteRow;
use crate::stock::{Level, StockRow};
use crate::text::Title;
use crate::view::{KeyRange, ViewError, derived, row, rows_of_sites};

impl Rules<'_> {
    /// Who checks out what was checked out already is told so by what is there; nothing happens again.
    pub(super) fn checkout(
        self,
        id: CartId,
        method: Option<&MethodToken>,
        capture: Capture,
        hold_ms: u64,
    ) -> Result<Vec<Event>, Stop> {
        bounds("ttl", hold_ms, HOLD_MS_MIN, HOLD_MS_MAX)?;
        let (order_id, here) = (OrderId::from(id), self.context.site);
        if row::<Order>(self.view, here, order_id)?.is_some() {
            return Ok(Vec::new());
        }
        let cart = self.open_one(id)?;
        let mut missing = Vec::new();
        let wanted = self.unsellable(id, &cart, &mut missing)?;
        if let Some(first) = missing.into_iter().next() {
            return Err(first.into());
        }
        let reservation = ReservationId(self.context.fresh_id);
        let mut events = self.held_for(&cart, &wanted, Some(reservation), owner(order_id).as_ref(), hold_ms)?;
        let total = cart.total().ok_or_else(|| unreadable("carts", "a total was not found"))?;
        let order = self.order_of(&cart, total, reservation)?;
        let is_free = total == 0;
        let money = Money { amount: total, currency: order.currency };
        events.push(Event::OrderPlaced { id: order_id, order: Arc::new(order) });
        events.push(Event::CartClosed { id, status: CartStatus::Ordered });
        if is_free {
            let confirmed = self.after(&events, |rules| rules.confirm_free(order_id))?;
            events.extend(confirmed);
        } else if let Some(method) = method {
            events.push(Event::PaymentRequested(Arc::new(PaymentRequested {
                id: PaymentId { order: order_id, number: 1 },
                operation: Operation::Authorize,
                attempt: 1,
                money,
                method: method.clone(),
                capture,
            })));
        }
        Ok(events)
    }

    fn order_of(self, cart: &Cart, total: i64, reservation: ReservationId) -> Result<Order, Stop> {
        let site = row::<SiteRow>(self.view, self.context.site, ())?.unwrap_or_default();
        let mut lines = Vec::with_capacity(cart.lines.len());
        for line in &cart.lines {
            lines.push(OrderLine {
                sku: line.sku.clone(),
                title: self.title(&line.sku)?,
                quantity: line.quantity,
                price: line.price.ok_or_else(|| unreadable("carts", "a line without a price was not found"))?,
                returned: 0,
            });
        }
        Ok(Order {
            number: site.orders + 1,
            customer: cart.customer,
            contact: cart.contact.clone(),
            currency: cart.currency,
            market: cart.market.clone(),
            lines,
            amounts: cart.amounts.clone(),
            total,
            reservation,
            status: OrderStatus::Open,
            payment_status: if total == 0 { OrderPayment::NotRequired } else { OrderPayment::Pending },
            fulfillment_status: Fulfillment::Unfulfilled,
            money: Sums::default(),
            placed_at: self.context.now,
            updated_at: self.context.now,
        })
    }

    /// What a SKU is called on a bill: its product, and what tells it from the others.
    pub(super) fn title(self, sku: &Sku) -> Result<Option<Title>, ViewError> {
        let Some(Item { product, .. }) = derived::<Item>(self.view, sku)? else { return Ok(None) };
        let Some(product) = derived::<Product>(self.view, &product)? else { return Ok(None) };
        let own = product.variant(sku).and_then(|variant| variant.title.as_ref());
        let whole = own.map_or(product.title.to_string(), |own| format!("{} {own}", product.title));
        let fits = whole.char_indices().take_while(|(at, c)| at + c.len_utf8() <= ORDER_TITLE_BYTES_MAX);
        let end = fits.last().map_or(0, |(at, c)| at + c.len_utf8());
        Ok(Title::parse(whole[..end].trim_end()).ok())
    }

    /// From where units are taken: where the cart says, else from the location where most can be promised, and
    /// from others if that is not enough. Where there are too few at all, the best place refuses.
    pub(super) fn sourced(self, wanted: &[(Sku, u64)], at: Option<&LocationId>) -> Result<Vec<Line>, Stop> {
        let mut summed: Vec<(&Sku, u64)> = Vec::with_capacity(wanted.len());
        let mut known = BTreeMap::new();
        for (sku, quantity) in wanted {
            let at = *known.entry(sku).or_insert(summed.len());
            match summed.get_mut(at) {
                Some((_, same)) => *same += quantity,
                None => summed.push((sku, *quantity)),
            }
        }
        let mut lines = Vec::with_capacity(summed.len());
        for (sku, quantity) in summed {
            let mut take = |location: &LocationId, units: u64| {
                let line = |quantity| Line { sku: sku.clone(), location: location.clone(), quantity };
                lines.extend(Quantity::new(units).map(line));
            };
            match at {
                Some(at) => take(at, quantity),
                None => split(&self.places(sku)?, quantity).into_iter().for_each(|(at, units)| take(at, units)),
            }
        }
        Ok(lines)
    }

    /// Where a SKU can be taken from, and how many units of it can be promised there; the most first, and never
    /// nowhere.
    fn places(self, sku: &Sku) -> Result<Vec<(LocationId, u64)>, Stop> {
        let selling = self.item_for_sale(sku)?.selling;
        let mut found: Vec<LocationId> = Vec::new();
        if selling.policy.counts() {
            let prefix = crate::record::Key::new().text(sku.as_str());
            let end = prefix.end();
            let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
            self.view.scan(Table::STOCK, range, &mut |key, _| {
                let location = KeyParts(&key[prefix.as_bytes().len()..]).text().map(LocationId::parse);
                // The rows of all sites stand together.
                found.extend(location.and_then(Result::ok).filter(|location| found.last() != Some(location)));
                true
            })?;
        }
        let here = self.context.site;
        let mut places = Vec::with_capacity(found.len());
        for location in found {
            let home = self.home(&location)?;
            let rows = rows_of_sites::<StockRow>(self.view, (sku, &location))?;
            let backorder = if home == *here { selling.backorder_limit } else { 0 };
            let free = u64::try_from(Level::of(&rows, &home, here).sellable_here).unwrap_or(0) + backorder;
            places.push((location, free));
        }
        places.sort_by_key(|(_, free)| std::cmp::Reverse(*free));
        if places.is_empty() {
            places.push((self.any_location()?, 0));
        }
        Ok(places)
    }

    /// A location for what is not counted, or was never delivered: one of this site, if it has any.
    fn any_location(self) -> Result<LocationId, Stop> {
        let (mut own, mut any) = (None, None);
        self.view.scan(Table::LOCATIONS, KeyRange { from: &[], before: &[u8::MAX; 9] }, &mut |key, _| {
            let mut parts = KeyParts(key);
            let location = parts.text().map(LocationId::parse).and_then(Result::ok);
            if parts.rest() == Some(self.context.site.as_str()) {
                own.clone_from(&location);
            }
            any = any.take().or(location);
            own.is_none()
        })?;
        own.or(any).ok_or_else(|| Refusal::Nothing { what: "the list of locations" }.into())
    }

    /// Confirms an order that costs nothing.
    fn confirm_free(self, id: OrderId) -> Result<Vec<Event>, Stop> {
        let order = self.own_order(id)?;
        let moved = order.moving(id, Cause::NothingToPay).status("confirm")?;
        let mut events = self.commit_hold(order.reservation)?;
        events.push(moved.event());
        Ok(events)
    }
}

/// All of it from the first place, if there is enough; else from as many as it takes.
fn split(places: &[(LocationId, u64)], quantity: u64) -> Vec<(&LocationId, u64)> {
    let Some((best, free)) = places.first() else { return Vec::new() };
    if *free >= quantity {
        return vec![(best, quantity)];
    }
    let mut left = quantity;
    let mut taken = Vec::new();
    for (location, free) in places {
        let units = left.min(*free);
        left -= units;
        taken.push((location, units));
    }
    if left > 0 {
        // Too few: the best place says so.
        taken.push((best, left));
    }
    taken
}

/// Whose the units of an order are.
pub(super) fn owner(order: OrderId) -> Option<Owner> {
    Owner::parse(order.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_taken_from_one_place_if_one_has_enough() {
        let at = |name: &str| LocationId::parse(name).unwrap();
        let places = [(at("berlin"), 5), (at("munich"), 3), (at("rome"), 0)];
        let table: [(u64, &[(&str, u64)]); 4] = [
            (5, &[("berlin", 5)]),
            (6, &[("berlin", 5), ("munich", 1), ("rome", 0)]),
            (8, &[("berlin", 5), ("munich", 3), ("rome", 0)]),
            (9, &[("berlin", 5), ("munich", 3), ("rome", 0), ("berlin", 1)]),
        ];
        for (quantity, expected) in table {
            let split = split(&places, quantity);
            let split: Vec<(&str, u64)> = split.iter().map(|(at, units)| (at.as_str(), *units)).collect();
            assert_eq!(split, expected, "of {quantity}");
        }
    }
}
