//! Carts, orders and payments, checked.

use kontor_api::cart::{AddLine, AmountKind as WireKind, SetAmount};
use kontor_api::changes::WAIT_S_MAX;
use kontor_api::order::ReturnLine as WireReturn;
use kontor_api::payment::Capture as WireCapture;
use kontor_core::cart::{Amount, AmountKind, LineChange};
use kontor_core::command::ReturnLine;
use kontor_core::id::{CartId, LocationId, OrderId, PaymentId, SiteId, Sku};
use kontor_core::limits::{AMOUNTS_MAX, LINES_MAX};
use kontor_core::money::{Currency, Money};
use kontor_core::payment::call::MethodToken;
use kontor_core::payment::record::Capture;
use kontor_core::product::text::Name;
use kontor_core::quantity::Quantity;
use kontor_payments::card::CardNumber;
use tokio::time::Duration;

use super::{at, optional};
use crate::problem::Problem;

/// A cart's id, and its home site, which may be left out where that is the site that is asked.
pub(crate) fn cart_id(pointer: &str, text: &str) -> Result<(CartId, Option<SiteId>), Problem> {
    let wrong = || Problem::invalid(pointer, "a cart id is cart_ and a UUID, then a dot and a site");
    let (id, site) = text.split_once('.').map_or((text, None), |(id, site)| (id, Some(site)));
    let id = CartId::parse(id).map_err(|_| wrong())?;
    Ok((id, site.map(SiteId::parse).transpose().map_err(|_| wrong())?))
}

/// How an order is named: by its id, or by its site and number.
pub(crate) enum OrderName {
    Id(OrderId),
    Number(SiteId, u64),
}

/// Reads the name of an order.
pub(crate) fn order_name(pointer: &str, text: &str) -> Result<OrderName, Problem> {
    let wrong = || Problem::invalid(pointer, "an order is named by ord_ and a UUID, or by a number such as main-1001");
    if text.starts_with("ord_") {
        return OrderId::parse(text).map(OrderName::Id).map_err(|_| wrong());
    }
    let (site, number) = text.rsplit_once('-').ok_or_else(wrong)?;
    let is_plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|_| is_plain).ok_or_else(wrong)?;
    Ok(OrderName::Number(SiteId::parse(site).map_err(|_| wrong())?, number))
}

/// A payment's id.
pub(crate) fn payment_id(pointer: &str, text: &str) -> Result<PaymentId, Problem> {
    PaymentId::parse(text).map_err(|_| Problem::invalid(pointer, "a payment id is pay_, a UUID, _ and a number"))
}

/// Minor units of a currency, from 0.
pub(crate) fn money(pointer: &str, text: &str, currency: Currency) -> Result<i64, Problem> {
    let amount = at(pointer, Money::parse(text, currency))?.amount;
    if amount < 0 { Err(Problem::invalid(pointer, "an amount from 0 is expected")) } else { Ok(amount) }
}

/// Lines that are put into a cart.
pub(crate) fn added(lines: Vec<AddLine>, currency: Currency) -> Result<Vec<LineChange>, Problem> {
    if lines.len() > LINES_MAX {
        let bounds = format!("at most {LINES_MAX} lines are taken, and {} were given", lines.len());
        return Err(Problem::invalid("/lines", bounds));
    }
    let lines = lines.into_iter().enumerate().map(|(index, AddLine { sku, quantity, price })| {
        let place = |field: &str| format!("/lines/{index}/{field}");
        Ok(LineChange::Add {
            sku: at(&place("sku"), Sku::parse(sku))?,
            quantity: at(&place("quantity"), Quantity::new(quantity))?,
            price: price.map(|price| money(&place("price"), &price, currency)).transpose()?,
        })
    });
    lines.collect()
}

/// Amounts that are added to the prices of the lines of a cart.
pub(crate) fn amounts(given: Vec<SetAmount>, currency: Currency) -> Result<Vec<Amount>, Problem> {
    if given.len() > AMOUNTS_MAX {
        return Err(Problem::invalid("/amounts", format!("at most {AMOUNTS_MAX} amounts are taken")));
    }
    let given = given.into_iter().enumerate().map(|(index, SetAmount { kind, label, amount })| {
        let place = |field: &str| format!("/amounts/{index}/{field}");
        let (pointer, label) = (place("amount"), at(&place("label"), Name::parse(label))?);
        let amount = at(&pointer, Money::parse(&amount, currency))?.amount;
        let kind = match kind {
            WireKind::Shipping => AmountKind::Shipping,
            WireKind::Tax => AmountKind::Tax,
            WireKind::Discount => AmountKind::Discount,
        };
        match (kind, amount) {
            (AmountKind::Discount, 1..) => Err(Problem::invalid(pointer, "a discount is not above zero")),
            (AmountKind::Shipping | AmountKind::Tax, ..0) => Err(Problem::invalid(pointer, "it is not below zero")),
            _ => Ok(Amount { kind, label, amount }),
        }
    });
    given.collect()
}

/// What is paid with. A card number is no token: it is refused without being repeated.
pub(crate) fn method(pointer: &str, text: String) -> Result<MethodToken, Problem> {
    if CardNumber::parse(&text).is_ok() {
        let why = "this looks like a card number; exchange it for a token at POST /payments/tokens";
        return Err(Problem::invalid(pointer, why));
    }
    at(pointer, MethodToken::parse(text))
}

/// When a payment is paid out.
pub(crate) fn capture(given: Option<WireCapture>) -> Capture {
    match given {
        None | Some(WireCapture::Automatic) => Capture::Automatic,
        Some(WireCapture::Manual) => Capture::Manual,
    }
}

/// How long to wait for an outcome.
pub(crate) fn wait(given: Option<u64>) -> Result<Duration, Problem> {
    let seconds = given.unwrap_or(0);
    if seconds <= WAIT_S_MAX {
        return Ok(Duration::from_secs(seconds));
    }
    Err(Problem::invalid("/wait_s", format!("at most {WAIT_S_MAX} seconds are waited, not {seconds}")))
}

/// Units that come back.
pub(crate) fn returned(lines: Vec<WireReturn>) -> Result<Vec<ReturnLine>, Problem> {
    if lines.len() > LINES_MAX {
        return Err(Problem::invalid("/lines", format!("at most {LINES_MAX} lines are taken")));
    }
    let lines = lines.into_iter().enumerate().map(|(index, WireReturn { sku, quantity, restock })| {
        let place = |field: &str| format!("/lines/{index}/{field}");
        Ok(ReturnLine {
            sku: at(&place("sku"), Sku::parse(sku))?,
            quantity: at(&place("quantity"), Quantity::new(quantity))?,
            restock: optional(&place("restock"), restock, LocationId::parse)?,
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_named_by_its_id_or_by_its_site_and_number() {
        let named = |text: &str| match order_name("id", text) {
            Ok(OrderName::Id(id)) => id.to_string(),
            Ok(OrderName::Number(site, number)) => format!("{site} {number}"),
            Err(problem) => problem.pointers().join(" "),
        };
        let id = "ord_019aa5c1d5f87e21b2f4b8a3c6d1e0f7";
        for (text, name) in [
            (id, id),
            ("main-1001", "main 1001"),
            ("us-east-1-7", "us-east-1 7"),
            ("ord_1", "id"),
            ("main-01", "id"),
            ("main-", "id"),
            ("main", "id"),
            ("-7", "id"),
            ("MAIN-7", "id"),
            ("main-99999999999999999999", "id"),
        ] {
            assert_eq!(named(text), name, "{text}");
        }
    }

    #[test]
    fn a_card_number_is_no_token_and_is_not_repeated() {
        for number in ["4242424242424242", "4242 4242 4242 4242", "3782-822463-10005"] {
            let problem = method("/method", number.to_owned()).unwrap_err();
            assert_eq!(problem.pointers(), ["/method"]);
            assert!(!problem.detail().contains(&number[..4]), "{}", problem.detail());
        }
        assert_eq!(method("/method", "card-4242-1".to_owned()).unwrap().as_str(), "card-4242-1");
    }

    #[test]
    fn a_cart_is_named_with_its_site() {
        let id = format!("cart_{}", "0a".repeat(16));
        let (found, site) = cart_id("id", &format!("{id}.us-east-1")).unwrap();
        assert_eq!((found.to_string(), site.unwrap().as_str()), (id.clone(), "us-east-1"));
        assert!(cart_id("id", &id).unwrap().1.is_none());
        for wrong in ["", "cart_", "cart_1.main", &format!("{id}."), &format!("{id}.a.b"), &format!("{id}.MAIN")] {
            assert!(cart_id("id", wrong).is_err(), "{wrong}");
        }
    }
}
