//! Carts of users, one open cart each.
//!
//! The service knows a cart by its user, and an order by an id. Here a user's carts are numbered: the id of a cart
//! is made of its site, its user and its number, and the order that it leads to has the same. A user's cart is the
//! first that has not led to an order, which is found by halving, after a start as before it; and since all who
//! fill it at once mean the same cart, and a cart leads to one order, a double click is one order.
//!
//! The price of a line is that of the moment in which its product was put into the cart, as the service has it, and
//! stays so. Where a card was declined, the order waits for another try, and what was in the cart is shown
//! as in the cart still: to change it is to cancel that order and to go on with a new cart.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Code;
use kontor_core::cart::{Cart, CartDetails, CartStatus, LineChange};
use kontor_core::command::Command;
use kontor_core::id::{CartId, OrderId, SiteId, Sku};
use kontor_core::limits::{CART_DAYS, LABEL_BYTES_MAX};
use kontor_core::money::{Currency, Money};
use kontor_core::payment::record::PaymentStatus;
use kontor_core::quantity::Quantity;
use kontor_core::text::Reason;
use kontor_core::time::SiteTime;
use kontor_site::clock::wall_ms;
use kontor_site::reader::{OrderNow, Reader};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{answer, error};
use crate::app::App;
use crate::compat::buying::{Standing, is_overtaken, standing};
use crate::compat::catalog::{self, again, find, first_not};
use crate::compat::sent::Sent;
use crate::convert;
use crate::extract::{Caller, Named};
use crate::idempotency::{Asked, digest};
use crate::ids::secret;
use crate::problem::Problem;

/// A user of the shop.
#[derive(Debug, Clone)]
pub(super) struct User(String);

impl User {
    pub(super) fn parse(name: &str) -> Result<Self, Problem> {
        match name.len() {
            1..=LABEL_BYTES_MAX => Ok(Self(name.to_owned())),
            _ => Err(Problem::invalid("userId", format!("a user id has 1 to {LABEL_BYTES_MAX} bytes"))),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The user's carts of a site, by their number.
    pub(super) fn cart(&self, site: &SiteId, number: u32) -> CartId {
        let mut id = digest(&[b"carts of", site.as_str().as_bytes(), self.0.as_bytes()]);
        id[12..].copy_from_slice(&number.to_be_bytes());
        CartId(id)
    }

    /// Whether an order was placed from one of the user's carts.
    pub(super) fn has(&self, site: &SiteId, order: OrderId) -> bool {
        self.cart(site, 0).0[..12] == order.0[..12]
    }
}

/// How a user stands.
pub(super) struct Current {
    /// The cart to be filled, whether or not it has been opened.
    pub(super) id: CartId,
    pub(super) cart: Option<Cart>,
    /// The order before it.
    pub(super) last: Option<OrderNow>,
}

/// Units of a SKU at a price.
pub(super) struct Item {
    sku: Sku,
    quantity: u64,
    /// Minor units; none, if there was no price.
    price: Option<i64>,
}

impl Item {
    fn of(now: &OrderNow) -> Vec<Self> {
        let lines = now.order.lines.iter();
        lines.map(|line| Self { sku: line.sku.clone(), quantity: line.quantity, price: Some(line.price) }).collect()
    }
}

impl Current {
    fn of(reader: &Reader, site: &SiteId, user: &User) -> Result<Self, Problem> {
        let is_closed = |number| {
            let id = user.cart(site, number);
            if reader.order(OrderId::from(id))?.is_some() {
                return Ok(true);
            }
            // Somebody may have put it into another one.
            Ok::<_, Problem>(reader.cart(id)?.is_some_and(|cart| cart.status != CartStatus::Open))
        };
        let number = first_not(is_closed)?;
        let id = user.cart(site, number);
        let last = match number.checked_sub(1) {
            Some(before) => reader.order_now(OrderId::from(user.cart(site, before)))?,
            None => None,
        };
        Ok(Self { id, cart: reader.cart(id)?, last })
    }

    pub(super) async fn read(app: &App, user: &User) -> Result<Self, Problem> {
        let (site, user) = (app.site.id().clone(), user.clone());
        app.read(move |reader| Self::of(reader, &site, &user)).await
    }

    /// What is in the cart: in the open one, or in the order that was not paid.
    pub(super) fn items(&self) -> Vec<Item> {
        match (&self.cart, self.unpaid()) {
            (Some(cart), _) => {
                let items = cart.lines.iter();
                items.map(|line| Item { sku: line.sku.clone(), quantity: line.quantity, price: line.price }).collect()
            }
            (None, Some(unpaid)) => Item::of(unpaid),
            (None, None) => Vec::new(),
        }
    }

    /// The last order, if the payer's side said no, for as long as a cart is kept.
    fn unpaid(&self) -> Option<&OrderNow> {
        let last = self.last.as_ref()?;
        let is_kept = last.order.updated_at.day() + CART_DAYS >= SiteTime(wall_ms()).day();
        let is_declined = last.payments.last().is_some_and(|(_, payment)| payment.status == PaymentStatus::Failed);
        let is_open = matches!(standing(last), Standing::Unpaid | Standing::Over);
        (is_kept && is_declined && is_open).then_some(last)
    }

    fn currency(&self) -> Option<Currency> {
        let of_cart = self.cart.as_ref().map(|cart| cart.currency);
        of_cart.or_else(|| self.unpaid().map(|unpaid| unpaid.order.currency))
    }

    /// What makes the cart have these lines besides those that it has.
    pub(super) fn changed(&self, currency: Currency, changes: Vec<LineChange>) -> Command {
        let details = Box::<CartDetails>::default();
        if self.cart.is_some() {
            return Command::ChangeCart { id: self.id, lines: changes, details, expected: None };
        }
        let carried = self.items().into_iter().filter_map(|Item { sku, quantity, price }| {
            Some(LineChange::Add { sku, quantity: Quantity::new(quantity).ok()?, price })
        });
        let lines = carried.chain(changes).collect();
        // Of no text: such a cart is opened by keys alone.
        let (id, token) = (Some(self.id), secret());
        let open = Command::OpenCart { id, token, currency, market: None, details, lines };
        match self.unpaid().filter(|unpaid| standing(unpaid) == Standing::Unpaid) {
            Some(unpaid) => {
                let reason = Reason::parse("the cart was changed after the payment was declined").ok();
                Command::All(vec![Command::AbandonOrder { id: unpaid.id, reason }, open])
            }
            None => open,
        }
    }

    /// A new cart with what is in the order that was not paid.
    pub(super) fn carried(&self) -> Option<Command> {
        let unpaid = self.unpaid().filter(|_| self.cart.is_none())?;
        Some(self.changed(unpaid.order.currency, Vec::new()))
    }
}

pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    Named(user): Named<String>,
) -> Result<Response, Problem> {
    caller.admin()?;
    let user = User::parse(&user)?;
    shown(&app, &user).await
}

#[derive(Debug, Deserialize)]
struct Added {
    product_id: Value,
    quantity: i64,
}

/// Puts more of a product into the cart. Changes that add commute: what two put there at once is there twice.
pub(super) async fn add(State(app): State<App>, Named(user): Named<String>, sent: Sent) -> Result<Response, Problem> {
    let user = User::parse(&user)?;
    let Ok(Added { product_id, quantity }) = serde_json::from_slice(&sent.body) else {
        return error(StatusCode::BAD_REQUEST, "Invalid request body");
    };
    let Some(name) = product_name(&product_id) else { return error(StatusCode::BAD_REQUEST, "Invalid request body") };
    let quantity = u64::try_from(quantity).ok().filter(|quantity| *quantity > 0);
    let Some(quantity) = quantity else { return error(StatusCode::BAD_REQUEST, "Quantity must be positive") };
    let quantity = crate::parse::at("quantity", Quantity::new(quantity))?;
    let asked = sent.part("item", &[name.as_bytes(), &quantity.units().to_be_bytes()]);
    again(|| async {
        let of = name.clone();
        let Some(found) = app.read(move |reader| find(reader, &of)).await? else {
            return error(StatusCode::NOT_FOUND, "Product not found").map(Some);
        };
        let price = found.product.variant(&found.sku).and_then(|variant| catalog::price_now(&variant.prices));
        let Some(now) = price else {
            return error(StatusCode::BAD_REQUEST, "Product has no price").map(Some);
        };
        let current = Current::read(&app, &user).await?;
        let currency = current.currency().unwrap_or(now.currency);
        if currency != now.currency {
            let text = format!("The cart is in {currency}, and the product in {}", now.currency);
            return error(StatusCode::BAD_REQUEST, &text).map(Some);
        }
        // As it was first put there.
        let known = current.items().into_iter().find(|item| item.sku == found.sku).and_then(|item| item.price);
        let price = Some(known.unwrap_or(now.amount));
        let change = LineChange::Add { sku: found.sku, quantity, price };
        written(&app, &asked, &user, current.changed(currency, vec![change])).await
    })
    .await
}

#[derive(Debug, Deserialize)]
struct Set {
    quantity: i64,
}

/// Sets how many of a product are in the cart; none takes it out.
pub(super) async fn set(
    State(app): State<App>,
    Named((user, product)): Named<(String, String)>,
    sent: Sent,
) -> Result<Response, Problem> {
    let user = User::parse(&user)?;
    let Ok(Set { quantity }) = serde_json::from_slice(&sent.body) else {
        return error(StatusCode::BAD_REQUEST, "Invalid request body");
    };
    let quantity = u64::try_from(quantity).unwrap_or(0);
    let asked = sent.part("item", &[&quantity.to_be_bytes()]);
    again(|| async {
        let (of, name, site) = (user.clone(), product.clone(), app.site.id().clone());
        let read = move |reader: &Reader| Ok((Current::of(reader, &site, &of)?, find(reader, &name)?));
        let (current, found) = app.read(read).await?;
        let items = current.items();
        if items.is_empty() {
            return error(StatusCode::NOT_FOUND, "Cart not found").map(Some);
        }
        // What is not for sale any more can be taken out, by its SKU.
        let sku = found.map(|found| found.sku).or_else(|| Sku::parse(product.as_str()).ok());
        let of_product = items.into_iter().filter(|item| Some(&item.sku) == sku.as_ref());
        // Lines at other prices are gone with this.
        let each = [quantity].into_iter().chain(std::iter::repeat(0));
        let set = |(item, quantity): (Item, u64)| LineChange::Set { sku: item.sku, quantity, price: item.price };
        let changes: Vec<LineChange> = of_product.zip(each).map(set).collect();
        if changes.is_empty() {
            return error(StatusCode::NOT_FOUND, "Item not in cart").map(Some);
        }
        let currency = current.currency().unwrap_or_else(catalog::currency);
        written(&app, &asked, &user, current.changed(currency, changes)).await
    })
    .await
}

/// Gives the site a change of a cart, and shows the cart. Somebody who was faster is no reason to give up.
async fn written(app: &App, asked: &Asked, user: &User, command: Command) -> Result<Option<Response>, Problem> {
    match app.submit(asked, command).await {
        Ok(_) => shown(app, user).await.map(Some).map_err(Problem::after_write),
        // It was swept, at this very moment.
        Err(problem) if is_overtaken(&problem) || problem.code() == Code::UnknownCart => Ok(None),
        Err(problem) if problem.code() == Code::ProductDraft || problem.code() == Code::ProductArchived => {
            error(StatusCode::NOT_FOUND, "Product not found").map(Some)
        }
        Err(problem) => Err(problem),
    }
}

/// A product id, which is a number in the service, and any word here.
fn product_name(id: &Value) -> Option<String> {
    match id {
        Value::Number(number) if number.is_i64() => Some(number.to_string()),
        Value::String(name) => Some(name.clone()),
        _ => None,
    }
}

async fn shown(app: &App, user: &User) -> Result<Response, Problem> {
    let (site, user) = (app.site.id().clone(), user.clone());
    let cart = app
        .read(move |reader| {
            let current = Current::of(reader, &site, &user)?;
            let currency = current.currency().unwrap_or_else(catalog::currency);
            let mut shown = Map::new();
            shown.insert("user_id".to_owned(), user.name().into());
            lines(reader, currency, &current.items(), &mut shown)?;
            let last = current.unpaid().map(|unpaid| unpaid.order.updated_at);
            let updated_at = current.cart.as_ref().map(|cart| cart.updated_at).or(last);
            let time = convert::time(updated_at.unwrap_or(SiteTime(wall_ms())))?;
            shown.insert("updated_at".to_owned(), json!(time));
            if let Some(updated_at) = updated_at {
                // In seconds, as the service's database has it.
                shown.insert("ttl".to_owned(), (updated_at.0 / 1_000 + CART_DAYS * 86_400).into());
            }
            Ok(shown)
        })
        .await?;
    answer(StatusCode::OK, &cart)
}

/// Items and their sum, exact.
fn lines(reader: &Reader, currency: Currency, items: &[Item], shown: &mut Map<String, Value>) -> Result<(), Problem> {
    let number = |amount: i64| catalog::number(Money { amount, currency });
    let mut told = Vec::with_capacity(items.len());
    let mut total = Some(0_i64);
    for Item { sku, quantity, price } in items {
        let product_id = catalog::product_number(reader, sku)?;
        told.push(json!({"product_id": product_id, "quantity": quantity, "price": price.map(number)}));
        let units = i64::try_from(*quantity).ok();
        let sum = units.and_then(|units| price.unwrap_or(0).checked_mul(units));
        total = total.and_then(|total| total.checked_add(sum?));
    }
    shown.insert("items".to_owned(), told.into());
    shown.insert("total".to_owned(), total.map_or(Value::Null, number));
    Ok(())
}

/// An order's lines, as those of a cart.
pub(super) fn order_lines(reader: &Reader, now: &OrderNow, shown: &mut Map<String, Value>) -> Result<(), Problem> {
    lines(reader, now.order.currency, &Item::of(now), shown)?;
    // With what was added to the lines.
    let total = Money { amount: now.order.total, currency: now.order.currency };
    shown.insert("total".to_owned(), catalog::number(total));
    Ok(())
}
