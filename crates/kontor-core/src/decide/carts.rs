//! Carts: opened, filled, merged, swept, and what is missing before one can be ordered.

use std::collections::BTreeSet;

use super::reservations::ended;
use super::{Rules, limit, revision};
use crate::cart::{AmountKind, Cart, CartDay, CartDetails, CartLine, CartOf, CartStatus, LineChange};
use crate::command::Context;
use crate::event::Event;
use crate::id::{CartId, CustomerId, OrderId, Owner, ReservationId, Sku};
use crate::limits::{
    AMOUNTS_MAX, CART_DAYS, CART_HOLD_MS, CART_QUANTITY_MAX, CARTS_OF_CUSTOMER_MAX, CARTS_PER_TICK, COUNTER_MAX,
    LINES_MAX, OPEN_ORDERS_OF_CUSTOMER_MAX,
};
use crate::money::{Currency, Money};
use crate::order::{Order, OrderList};
use crate::person::Contact;
use crate::product::attribute::AttributeValue;
use crate::product::listing::Listing;
use crate::product::price::offered;
use crate::product::text::{MarketId, Name};
use crate::product::{Item, Policy, Product};
use crate::record::{Key, Table};
use crate::refusal::{Refusal, Stop};
use crate::reservation::{Reservation, ReservationStatus};
use crate::text::Title;
use crate::view::{KeyRange, View, ViewError, derived, row};

/// What is missing before a cart can be ordered, each as the refusal that its checkout would meet.
pub fn requirements(view: &dyn View, context: Context<'_>, id: CartId, cart: &Cart) -> Result<Vec<Refusal>, ViewError> {
    let rules = Rules { view, context };
    let mut missing = Vec::new();
    match rules.missing(id, cart, &mut missing) {
        Ok(()) => Ok(missing),
        Err(Stop::Refused(refusal)) => {
            missing.push(refusal);
            Ok(missing)
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// What a line of a cart is called, and what it costs now, in minor units.
pub fn line_now(
    view: &dyn View,
    context: Context<'_>,
    cart: &Cart,
    line: &CartLine,
) -> Result<(Option<Title>, Option<i64>), ViewError> {
    let rules = Rules { view, context };
    Ok((rules.title(&line.sku)?, rules.price(&line.sku, cart)?))
}

/// What is set of a new cart.
pub(super) struct Opened<'c> {
    pub(super) id: Option<CartId>,
    pub(super) token: [u8; 32],
    pub(super) currency: Currency,
    pub(super) market: Option<&'c MarketId>,
    pub(super) details: &'c CartDetails,
    pub(super) lines: &'c [LineChange],
}

impl Rules<'_> {
    pub(super) fn open_cart(self, opened: &Opened<'_>) -> Result<Vec<Event>, Stop> {
        let id = opened.id.unwrap_or(CartId(self.context.fresh_id));
        let here = self.context.site;
        let is_known = row::<Cart>(self.view, here, id)?.is_some();
        if is_known || row::<Order>(self.view, here, OrderId::from(id))?.is_some() {
            return Err(Refusal::AlreadyExists { what: "cart", name: id.to_string() }.into());
        }
        let CartDetails { customer, contact, amounts, location } = opened.details;
        self.details(opened.details)?;
        let cart = Cart {
            status: CartStatus::Open,
            token: opened.token,
            currency: opened.currency,
            market: opened.market.cloned(),
            location: location.clone().flatten(),
            customer: *customer,
            contact: contact.clone(),
            amounts: amounts.clone().unwrap_or_default(),
            lines: Vec::new(),
            hold: None,
            revision: 1,
            created_at: self.context.now,
            updated_at: self.context.now,
        };
        let mut events = vec![Event::CartOpened { id, cart: Box::new(cart.clone()) }];
        events.extend(self.fill(id, &cart, opened.lines)?);
        Ok(events)
    }

    pub(super) fn change_cart(
        self,
        id: CartId,
        lines: &[LineChange],
        details: &CartDetails,
        expected: Option<u64>,
    ) -> Result<Vec<Event>, Stop> {
        let mut cart = self.open_one(id)?;
        revision(expected, cart.revision)?;
        let mut events = Vec::new();
        if *details != CartDetails::default() {
            let given = details.customer.filter(|given| Some(*given) != cart.customer);
            if let (Some(_), Some(customer)) = (given, cart.customer) {
                return Err(Refusal::CartOfAnother { cart: id, customer }.into());
            }
            let known = CartDetails { customer: given, ..details.clone() };
            self.details(&known)?;
            events.push(Event::CartDetailed { id, details: Box::new(details.clone()) });
            if let Some(location) = &details.location {
                cart.location.clone_from(location);
            }
        }
        events.extend(self.fill(id, &cart, lines)?);
        Ok(events)
    }

    pub(super) fn accept_prices(self, id: CartId) -> Result<Vec<Event>, Stop> {
        let cart = self.open_one(id)?;
        let mut changed = Vec::new();
        for line in cart.lines.iter().filter(|line| !line.given) {
            let price = self.price(&line.sku, &cart)?;
            if price.is_some() && price != line.price {
                changed.push(CartLine { price, ..line.clone() });
            }
        }
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Event::CartFilled { id, lines: changed, hold: cart.hold }])
    }

    /// Lines at prices of their own stay lines of their own; the others are summed, at what the catalogue asks for
    /// them in the target's currency.
    pub(super) fn merge_carts(self, from: CartId, into: CartId) -> Result<Vec<Event>, Stop> {
        let (source, target) = (self.open_one(from)?, self.open_one(into)?);
        if from == into {
            return Err(Refusal::SameEnds { what: "a cart" }.into());
        }
        let currency = target.currency;
        if let Some(line) = source.lines.iter().find(|line| line.given && source.currency != currency) {
            return Err(Refusal::PriceMissing { sku: line.sku.clone(), currency }.into());
        }
        let mut events = self.let_go(&source)?;
        events.push(Event::CartClosed { id: from, status: CartStatus::Merged(into) });
        let added = source.lines.iter().filter_map(|line| {
            let quantity = crate::quantity::Quantity::new(line.quantity).ok()?;
            Some(LineChange::Add { sku: line.sku.clone(), quantity, price: line.own_price() })
        });
        let added: Vec<LineChange> = added.collect();
        let filled = self.after(&events, |rules| rules.fill(into, &target, &added))?;
        events.extend(filled);
        Ok(events)
    }

    /// Throws away those of the carts that nobody has come back to.
    pub(super) fn sweep_carts(self, ids: &[CartId]) -> Result<Vec<Event>, Stop> {
        let today = self.context.now.day();
        let mut events = Vec::new();
        for id in ids.iter().take(CARTS_PER_TICK) {
            let Some(cart) = row::<Cart>(self.view, self.context.site, *id)? else { continue };
            if cart.updated_at.day().saturating_add(CART_DAYS) >= today {
                continue;
            }
            events.extend(self.let_go(&cart)?);
            events.push(Event::CartSwept { id: *id });
        }
        Ok(events)
    }

    /// A cart that can be filled and checked out.
    pub(super) fn open_one(self, id: CartId) -> Result<Cart, Stop> {
        let cart = row::<Cart>(self.view, self.context.site, id)?;
        let cart = cart.ok_or(Refusal::UnknownCart { cart: id })?;
        match cart.status {
            CartStatus::Open => Ok(cart),
            status => Err(Refusal::CartClosed { cart: id, status }.into()),
        }
    }

    /// Gives back what a cart holds.
    pub(super) fn let_go(self, cart: &Cart) -> Result<Vec<Event>, Stop> {
        let Some(id) = cart.hold else { return Ok(Vec::new()) };
        let hold = row::<Reservation>(self.view, self.context.site, id)?;
        let hold = hold.filter(|hold| hold.status == ReservationStatus::Held);
        Ok(hold.map(|hold| ended(id, hold, ReservationStatus::Released)).into_iter().collect())
    }

    /// What is missing, in the order in which a person would be told; some of it as the refusal that ends it.
    fn missing(self, id: CartId, cart: &Cart, missing: &mut Vec<Refusal>) -> Result<(), Stop> {
        let wanted = self.unsellable(id, cart, missing)?;
        if !wanted.is_empty() {
            self.held_for(cart, &wanted, None, None, CART_HOLD_MS)?;
        }
        Ok(())
    }

    /// What is missing besides the units, and what can be sold of the cart as it is.
    pub(super) fn unsellable(
        self,
        id: CartId,
        cart: &Cart,
        missing: &mut Vec<Refusal>,
    ) -> Result<Vec<(Sku, u64)>, Stop> {
        if cart.lines.is_empty() {
            return Err(Refusal::CartEmpty { cart: id }.into());
        }
        if let Some(customer) = cart.customer {
            self.customer(customer)?;
            let max = OPEN_ORDERS_OF_CUSTOMER_MAX as u64;
            let open = count(self.view, Table::ORDER_LISTS, &OrderList::OpenOf(customer).prefix(), max)?;
            limit("open orders of a customer", open + 1, max)?;
        }
        let mut sellable = Vec::with_capacity(cart.lines.len());
        for line in &cart.lines {
            match self.sellable_line(cart, line) {
                Ok(()) => sellable.push((line.sku.clone(), line.quantity)),
                Err(Stop::Refused(refusal)) => missing.push(refusal),
                Err(failed) => return Err(failed),
            }
        }
        match cart.total() {
            Some(total) if total < 0 => missing.push(Refusal::TotalNegative),
            Some(total) => limit("total", units(total), COUNTER_MAX)?,
            // A line without a price was told of; what cannot be told is too much.
            None if missing.is_empty() => limit("total", u64::MAX, COUNTER_MAX)?,
            None => {}
        }
        Ok(sellable)
    }

    /// Holds units of a cart, from wherever it is told to take them, and lets go of what was held for it before.
    pub(super) fn held_for(
        self,
        cart: &Cart,
        wanted: &[(Sku, u64)],
        id: Option<ReservationId>,
        owner: Option<&Owner>,
        hold_ms: u64,
    ) -> Result<Vec<Event>, Stop> {
        let mut events = self.let_go(cart)?;
        let held = self.after(&events, |rules| {
            let lines = rules.sourced(wanted, cart.location.as_ref())?;
            rules.reserve(id, owner, &lines, hold_ms)
        })?;
        events.extend(held);
        Ok(events)
    }

    /// Whether a line can be sold as it is.
    fn sellable_line(self, cart: &Cart, line: &CartLine) -> Result<(), Stop> {
        let product = self.item_for_sale(&line.sku)?.product;
        if !line.given {
            let currency = cart.currency;
            let now = self.price(&line.sku, cart)?;
            let now = now.ok_or_else(|| Refusal::PriceMissing { sku: line.sku.clone(), currency })?;
            if line.price != Some(now) {
                let money = |amount| Money { amount, currency };
                let (was, now) = (line.price.map(money), money(now));
                return Err(Refusal::PriceChanged { sku: line.sku.clone(), was, now }.into());
            }
        }
        let product = derived::<Product>(self.view, &product)?;
        let (min, max) = product.map_or((1, CART_QUANTITY_MAX), |product| bounds_of(&product, &line.sku));
        within(&line.sku, line.quantity, min, max)
    }

    /// Minor units that a SKU costs in a cart now.
    fn price(self, sku: &Sku, cart: &Cart) -> Result<Option<i64>, ViewError> {
        let Some(Item { product: id, .. }) = derived::<Item>(self.view, sku)? else { return Ok(None) };
        let Some(product) = derived::<Product>(self.view, &id)? else { return Ok(None) };
        let Some(variant) = product.variant(sku) else { return Ok(None) };
        let listing = match &cart.market {
            Some(market) => derived::<Listing>(self.view, (&id, market))?,
            None => None,
        };
        let own = listing.as_ref().and_then(|listing| listing.prices.get(sku));
        let found = offered(&variant.prices, own, cart.currency, self.context.now);
        Ok(found.map(|(_, terms)| terms.amount))
    }

    /// Changes lines. What is held as soon as it is in a cart is held anew, all of it.
    fn fill(self, id: CartId, cart: &Cart, changes: &[LineChange]) -> Result<Vec<Event>, Stop> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        limit("lines", changes.len() as u64, LINES_MAX as u64)?;
        let mut filled = cart.clone();
        let mut touched = BTreeSet::new();
        for change in changes {
            let units_of = |own_price| filled.line(change.sku(), own_price).map_or(0, |line| line.quantity);
            let set: Vec<(Option<i64>, u64)> = match change {
                LineChange::Add { quantity, price, .. } => vec![(*price, units_of(*price) + quantity.units())],
                LineChange::Set { quantity, price, .. } => vec![(*price, *quantity)],
                LineChange::Remove { sku } => {
                    let same = filled.lines.iter().filter(|line| line.sku == *sku);
                    same.map(|line| (line.own_price(), 0)).collect()
                }
            };
            for (own_price, quantity) in set {
                if self.set_line(cart, &mut filled, change.sku(), own_price, quantity)? {
                    touched.insert((change.sku().clone(), own_price));
                }
            }
        }
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        limit("lines", filled.lines.iter().filter(|line| line.quantity > 0).count() as u64, LINES_MAX as u64)?;
        let (mut events, hold) = self.held_anew(&filled)?;
        let is_touched = |line: &CartLine| touched.contains(&(line.sku.clone(), line.own_price()));
        let lines = filled.lines.into_iter().filter(is_touched).collect();
        events.push(Event::CartFilled { id, lines, hold });
        Ok(events)
    }

    /// Sets the units of one line. Answers whether there were not as many before.
    fn set_line(
        self,
        cart: &Cart,
        filled: &mut Cart,
        sku: &Sku,
        own_price: Option<i64>,
        quantity: u64,
    ) -> Result<bool, Stop> {
        let before = filled.line(sku, own_price).map_or(0, |line| line.quantity);
        if quantity > before {
            let item = self.item_for_sale(sku)?;
            let product = derived::<Product>(self.view, &item.product)?;
            let max = product.map_or(CART_QUANTITY_MAX, |product| bounds_of(&product, sku).1);
            within(sku, quantity, 0, max)?;
        }
        match filled.lines.iter().position(|line| line.is(sku, own_price)) {
            _ if quantity == before => {}
            Some(at) => filled.lines[at].quantity = quantity,
            None => {
                limit("price", own_price.map_or(0, units), COUNTER_MAX)?;
                let price = if own_price.is_some() { own_price } else { self.price(sku, cart)? };
                filled.lines.push(CartLine { sku: sku.clone(), quantity, price, given: own_price.is_some() });
            }
        }
        Ok(quantity != before)
    }

    /// Holds what is held as soon as it is in a cart.
    fn held_anew(self, cart: &Cart) -> Result<(Vec<Event>, Option<ReservationId>), Stop> {
        let mut wanted = Vec::new();
        for line in cart.lines.iter().filter(|line| line.quantity > 0) {
            let item = derived::<Item>(self.view, &line.sku)?;
            if item.is_some_and(|item| item.selling.policy == Policy::ReserveOnCart) {
                wanted.push((line.sku.clone(), line.quantity));
            }
        }
        if wanted.is_empty() {
            return Ok((self.let_go(cart)?, None));
        }
        let id = ReservationId(self.context.fresh_id);
        Ok((self.held_for(cart, &wanted, Some(id), None, CART_HOLD_MS)?, Some(id)))
    }

    /// Refuses details that make no sense.
    fn details(self, details: &CartDetails) -> Result<(), Stop> {
        let CartDetails { customer, contact, amounts, location } = details;
        if let Some(location) = location.iter().flatten().next() {
            self.home(location)?;
        }
        if let Some(amounts) = amounts {
            limit("amounts", amounts.len() as u64, AMOUNTS_MAX as u64)?;
            for amount in amounts {
                let taken = if amount.kind == AmountKind::Discount { -amount.amount } else { amount.amount };
                limit("amount", units(taken), COUNTER_MAX)?;
            }
        }
        if let Some(customer) = customer {
            self.customer(*customer)?;
            let open = self.carts_of(*customer)?;
            limit("open carts of a customer", open + 1, CARTS_OF_CUSTOMER_MAX as u64)?;
        }
        one_person(contact)
    }

    fn carts_of(self, customer: CustomerId) -> Result<u64, Stop> {
        let prefix = CartOf::prefix(customer);
        count(self.view, Table::CARTS_OF, &prefix, CARTS_OF_CUSTOMER_MAX as u64)
    }
}

/// Carts that nobody has come back to by a day, the longest forgotten first.
pub fn forgotten(view: &dyn View, site: &crate::id::SiteId, today: u64) -> Result<Vec<CartId>, ViewError> {
    let before = Key::new().number(today.saturating_sub(CART_DAYS));
    let mut found = Vec::new();
    view.scan(Table::CART_DAYS, KeyRange { from: &[], before: before.as_bytes() }, &mut |key, _| {
        if let Some((_, id, of)) = CartDay::parts(key)
            && of == site.as_str()
        {
            found.push(id);
        }
        found.len() < CARTS_PER_TICK
    })?;
    Ok(found)
}

/// Rows under a prefix, up to so many.
pub(super) fn count(view: &dyn View, table: Table, prefix: &Key, enough: u64) -> Result<u64, Stop> {
    let mut found = 0;
    let end = prefix.end();
    view.scan(table, KeyRange { from: prefix.as_bytes(), before: end.as_bytes() }, &mut |_, _| {
        found += 1;
        found < enough
    })?;
    Ok(found)
}

fn one_person(contact: &Contact) -> Result<(), Stop> {
    let mut people = contact.fields().map(crate::person::Sealed::person);
    let first = people.next();
    match people.all(|person| Some(person) == first) {
        true => Ok(()),
        false => Err(super::unreadable("carts", "a contact is of two people")),
    }
}

/// The fewest and the most that are sold at a time, as the product says: its own attributes, or the variant's.
fn bounds_of(product: &Product, sku: &Sku) -> (u64, u64) {
    let variant = product.variant(sku);
    let said = |name: &str| {
        let name = Name::parse(name).ok()?;
        let own = variant.and_then(|variant| variant.attributes.get(&name));
        match own.or_else(|| product.attributes.get(&name))? {
            AttributeValue::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    };
    let max = said("max_quantity").unwrap_or(CART_QUANTITY_MAX).min(CART_QUANTITY_MAX);
    (said("min_quantity").unwrap_or(1), max)
}

fn within(sku: &Sku, given: u64, min: u64, max: u64) -> Result<(), Stop> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(Refusal::QuantityBounds { sku: sku.clone(), given, min, max }.into())
}

/// What is below zero becomes too much.
fn units(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(u64::MAX)
}
