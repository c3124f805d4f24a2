//! Shopping carts by number.
//!
//! The contract wants a number of 31 bits where a cart has an id of 128. The id of such a cart is made of both:
//! what is the same for all of them at a site, the number, and the customer's number. So the number leads to its
//! cart, and to its order when the cart was swept, by the order of the rows, and there is nothing beside them that
//! could be lost. Numbers are drawn and not counted: two of a site's doors draw at the same time without asking
//! each other, a cart that was thrown away leaves no number to be given again soon, and nobody finds others' carts
//! by counting. A number that is taken is drawn anew.

use std::ops::RangeInclusive;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Code;
use kontor_core::cart::{CartDetails, CartStatus, LineChange};
use kontor_core::command::Command;
use kontor_core::id::{CartId, OrderId, SiteId, Sku};
use kontor_core::time::SiteTime;
use kontor_site::reader::Reader;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::buying::{self, is_overtaken};
use super::super::catalog::{self, Found, again, find, int32};
use super::super::sent::Sent;
use super::{Units, answer, bad, done, missing, refused};
use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Named};
use crate::idempotency::digest;
use crate::ids::secret;
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
struct Wanted {
    customer_id: i32,
}

/// Opens a cart.
pub(super) async fn open(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let customer = match serde_json::from_slice(&sent.body) {
        Ok(Wanted { customer_id }) if customer_id >= 1 => customer_id,
        Ok(_) => return bad("Invalid customer ID", "customer_id must be at least 1"),
        Err(error) => return bad("Invalid shopping cart", &error.to_string()),
    };
    let asked = sent.part("cart", &[&customer.to_be_bytes()]);
    again(|| async {
        let number = i32::from_be_bytes(secret()) & i32::MAX;
        let ids = ids(app.site.id(), number);
        let is_taken = app.read(move |reader| Ok(reader.first_cart_id(ids)?.is_some())).await?;
        if is_taken || number == 0 {
            return Ok(None);
        }
        let command = Command::OpenCart {
            id: Some(id(app.site.id(), number, customer)),
            // Of no text: such a cart is opened by keys alone.
            token: secret(),
            currency: catalog::currency(),
            market: None,
            details: Box::default(),
            lines: Vec::new(),
        };
        match app.submit(&asked, command).await {
            Ok(opened) => {
                // One that was opened before, if the request is repeated.
                let opened = opened.events.iter().find_map(|event| match event {
                    kontor_core::event::Event::CartOpened { id, .. } => Some(parts(*id).0),
                    _ => None,
                });
                let opened = opened.ok_or_else(|| Problem::internal("a cart was opened and is not there"))?;
                answer(StatusCode::CREATED, &json!({"shopping_cart_id": opened})).map(Some)
            }
            Err(problem) if problem.code() == Code::AlreadyExists => Ok(None),
            Err(problem) => Err(problem),
        }
    })
    .await
}

/// Shows what is in a cart, or what was when it was ordered.
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    caller.admin()?;
    let Some(number) = int32(&name) else { return no_number() };
    let ids = ids(app.site.id(), number);
    let shown = app
        .read(move |reader| {
            let Some(id) = reader.first_cart_id(ids)? else { return Ok(None) };
            let (number, customer) = parts(id);
            let (status, created_at, updated_at, lines) = match (reader.cart(id)?, reader.order(OrderId::from(id))?) {
                (Some(cart), _) => {
                    let lines: Vec<_> = cart.lines.into_iter().map(|line| (line.sku, line.quantity)).collect();
                    (cart.status, cart.created_at, cart.updated_at, lines)
                }
                (None, Some((_, order))) => {
                    let lines = order.lines.into_iter().map(|line| (line.sku, line.quantity)).collect();
                    (CartStatus::Ordered, order.placed_at, order.placed_at, lines)
                }
                (None, None) => return Ok(None),
            };
            let time = |at: SiteTime| convert::time(at);
            Ok(Some(json!({
                "shopping_cart_id": number,
                "customer_id": customer,
                "status": status.word(),
                "items": items(reader, &lines)?,
                "created_at": time(created_at)?,
                "updated_at": time(updated_at)?,
            })))
        })
        .await?;
    match shown {
        Some(shown) => answer(StatusCode::OK, &shown),
        None => no_cart(),
    }
}

/// Puts units of a product into a cart. Nothing is lost when two do so at the same time.
pub(super) async fn add(State(app): State<App>, Named(name): Named<String>, sent: Sent) -> Result<Response, Problem> {
    let Some(number) = int32(&name) else { return no_number() };
    let (product, quantity) = match Units::read(&sent.body) {
        Ok(units) => units,
        Err(why) => return bad("Invalid item", &why),
    };
    let (ids, name) = (ids(app.site.id(), number), product.clone());
    let (cart, found) = app.read(move |reader| Ok((reader.first_cart_id(ids)?, find(reader, &name)?))).await?;
    let Some(id) = cart else { return no_cart() };
    let Some(found) = found else { return missing("Product not found") };
    let price = own_price(&found);
    let lines = vec![LineChange::Add { sku: found.sku.clone(), quantity, price }];
    let asked = sent.part("item", &[product.as_bytes(), &quantity.units().to_be_bytes()]);
    let details = Box::<CartDetails>::default();
    match app.submit(&asked, Command::ChangeCart { id, lines, details, expected: None }).await {
        Ok(_) => done(),
        Err(problem) if problem.code() == Code::UnknownCart => no_cart(),
        Err(problem) => refused(problem),
    }
}

/// Places the order of a cart, and tells its number; the same one however often it is asked for.
pub(super) async fn check_out(
    State(app): State<App>,
    Named(name): Named<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let Some(number) = int32(&name) else { return no_number() };
    let Some(cart) = known(&app, number).await? else { return no_cart() };
    if buying::order(&app, OrderId::from(cart)).await?.is_none() {
        match buying::place(&app, &sent.part("checkout", &[]), cart, None).await {
            Ok(_) => {}
            Err(problem) if is_overtaken(&problem) => {}
            Err(problem) => return refused(problem),
        }
    }
    let Some(now) = buying::order(&app, OrderId::from(cart)).await.map_err(Problem::after_write)? else {
        return bad("Invalid cart state", "the cart is in another one");
    };
    let order = i32::try_from(now.order.number).map_err(|_| Problem::internal("the numbers of 31 bits are used up"))?;
    answer(StatusCode::OK, &json!({"order_id": order})).map_err(Problem::after_write)
}

/// The cart with a number.
pub(super) async fn known(app: &App, number: i32) -> Result<Option<CartId>, Problem> {
    let ids = ids(app.site.id(), number);
    app.read(move |reader| Ok(reader.first_cart_id(ids)?)).await
}

pub(super) fn no_cart() -> Result<Response, Problem> {
    missing("Shopping cart not found")
}

fn no_number() -> Result<Response, Problem> {
    bad("Invalid shopping cart ID", "an id is a whole number from 1")
}

/// What the contract's own products cost: it knows no prices, so those that have none are free. Everything else
/// has the catalogue's price, or cannot be ordered.
fn own_price(found: &Found) -> Option<i64> {
    let is_of_contract = found.product.attributes.contains_key(&catalog::name("some_other_id"));
    let has_price = found.product.variants.iter().any(|variant| !variant.prices.is_empty());
    (is_of_contract && !has_price).then_some(0)
}

/// One item of each product, whatever its units cost.
fn items(reader: &Reader, lines: &[(Sku, u64)]) -> Result<Vec<Value>, Problem> {
    let mut summed: Vec<(&Sku, u64)> = Vec::with_capacity(lines.len());
    for (sku, quantity) in lines {
        match summed.iter_mut().find(|(known, _)| *known == sku) {
            Some((_, units)) => *units += quantity,
            None => summed.push((sku, *quantity)),
        }
    }
    let mut items = Vec::with_capacity(summed.len());
    for (sku, quantity) in summed {
        items.push(json!({"product_id": catalog::product_number(reader, sku)?, "quantity": quantity}));
    }
    Ok(items)
}

const SAME_BYTES: usize = 8;

/// All ids that carts with a number can have.
fn ids(site: &SiteId, number: i32) -> RangeInclusive<CartId> {
    id(site, number, 0)..=id(site, number, i32::MAX)
}

fn id(site: &SiteId, number: i32, customer: i32) -> CartId {
    let mut id = digest(&[b"shopping carts of", site.as_str().as_bytes()]);
    id[SAME_BYTES..SAME_BYTES + 4].copy_from_slice(&number.to_be_bytes());
    id[SAME_BYTES + 4..].copy_from_slice(&customer.to_be_bytes());
    CartId(id)
}

/// The cart's number and the customer's.
fn parts(CartId(id): CartId) -> (i32, i32) {
    let number = |from: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&id[from..from + 4]);
        i32::from_be_bytes(bytes)
    };
    (number(SAME_BYTES), number(SAME_BYTES + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_its_cart_alone() {
        let (here, there) = (SiteId::parse("here").unwrap(), SiteId::parse("there").unwrap());
        for (number, customer) in [(1, 1), (1, i32::MAX), (i32::MAX, 7), (256, 255)] {
            let id = id(&here, number, customer);
            assert_eq!(parts(id), (number, customer));
            assert!(ids(&here, number).contains(&id));
            assert!(!ids(&here, number - 1).contains(&id) && !ids(&there, number).contains(&id));
        }
    }
}
