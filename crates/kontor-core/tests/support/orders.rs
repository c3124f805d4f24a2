//! The words of stories about carts, orders and payments. An order is called what its cart is called, and
//! its second payment `c1/2`.

use kontor_core::cart::{CartDetails, LineChange};
use kontor_core::command::{Command, Must, ReturnLine};
use kontor_core::event::Event;
use kontor_core::id::{CartId, CustomerId, OrderId, PaymentId, ReservationId};
use kontor_core::limits::ORDER_HOLD_MS_DEFAULT;
use kontor_core::money::{Currency, Money};
use kontor_core::payment::call::{MethodToken, Outcome, ProviderEvent, ProviderObject};
use kontor_core::payment::record::Capture;
use kontor_core::person::{CustomerEdit, Sealed};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::price::price;
use kontor_core::text::Reason;

use super::ledger::{hold, hold_name, lines, span};
use super::{place, sku};

/// Reads a command about carts, orders or payments.
pub(crate) fn command(words: &[&str]) -> Option<Command> {
    let after = |word: &str| words.iter().position(|of| *of == word).map(|at| words[at + 1]);
    let method = || after("with").map(|text| MethodToken::parse(text).expect("a method"));
    let currency = || after("in").map_or_else(euro, |code| Currency::parse(code).expect("a currency"));
    let capture = if words.contains(&"later") { Capture::Manual } else { Capture::Automatic };
    let amount = |word: &str| after(word).map(|text| text.parse::<i64>().expect("an amount"));
    let reason = after("because").map(|text| Reason::parse(text).expect("a reason"));
    Some(match words[0] {
        "price" => {
            let money = Money::new(words[2].parse().expect("an amount"), currency()).expect("money");
            let (key, terms) = price(money, None, None).expect("a price");
            let mut variant = VariantEdit::of(sku(words[1]));
            variant.prices.insert(key, Some(terms));
            let edit = ProductEdit { variants: vec![variant], ..Default::default() };
            Command::change_product(sku(words[1]).into(), edit, None)
        }
        "customer" => {
            let email = after("email").map(|text| {
                let mut hash = [0; 32];
                hash[..text.len()].copy_from_slice(text.as_bytes());
                (hash, sealed(customer(words[1])))
            });
            let edit = CustomerEdit { email, ..Default::default() };
            Command::SaveCustomer { id: customer(words[1]), edit: Box::new(edit), expected: None, must: Must::Either }
        }
        "erase" => Command::EraseCustomer { id: customer(words[1]), reason },
        "cart" => Command::OpenCart {
            id: Some(cart(words[1])),
            token: [7; 32],
            currency: currency(),
            market: None,
            details: Box::new(CartDetails { customer: after("of").map(customer), ..Default::default() }),
            lines: Vec::new(),
        },
        "put" => {
            let line = lines(&words[2..]).remove(0);
            let change = LineChange::Add { sku: line.sku, quantity: line.quantity, price: amount("at") };
            changed(words[1], change)
        }
        "set" => {
            let quantity = words[2].parse().expect("a number");
            changed(words[1], LineChange::Set { sku: sku(words[3]), quantity, price: amount("at") })
        }
        "remove" => changed(words[1], LineChange::Remove { sku: sku(words[2]) }),
        "give" => Command::ChangeCart {
            id: cart(words[1]),
            lines: Vec::new(),
            details: Box::new(CartDetails { customer: after("to").map(customer), ..Default::default() }),
            expected: None,
        },
        "from" => Command::ChangeCart {
            id: cart(words[1]),
            lines: Vec::new(),
            details: Box::new(CartDetails { location: Some(Some(place(words[2]))), ..Default::default() }),
            expected: None,
        },
        "accept" => Command::AcceptPrices { id: cart(words[1]) },
        "merge" => Command::MergeCarts { from: cart(words[1]), into: cart(words[3]) },
        "checkout" => Command::Checkout {
            cart: cart(words[1]),
            method: method(),
            capture,
            hold_ms: after("for").map_or(ORDER_HOLD_MS_DEFAULT, span),
        },
        "pay" => Command::PayOrder { id: order(words[1]), method: method().expect("a method"), capture },
        "capture" => Command::CapturePayment { id: payment(words[1]), amount: amount("only") },
        "cancel" => Command::CancelOrder { id: order(words[1]), reason },
        "abandon" => Command::AbandonOrder { id: order(words[1]), reason },
        "refund" => {
            let restock = after("to").map(place);
            let back = lines(&words[2..]).into_iter().map(|line| ReturnLine {
                sku: line.sku,
                quantity: line.quantity,
                restock: restock.clone(),
            });
            Command::RefundOrder { id: order(words[1]), amount: amount("amount"), lines: back.collect(), reason }
        }
        "provider" => Command::ReportPayment {
            id: payment(words[1]),
            attempt: words[2].parse().expect("a number"),
            outcome: match words[3] {
                "did" => Outcome::Done { object: ProviderObject::parse("pi_1").expect("an object") },
                "declined" => Outcome::Declined { reason: Reason::parse("no funds").expect("a reason") },
                _ => Outcome::Refused { reason: Reason::parse("not possible").expect("a reason") },
            },
            callback: after("report").map(|id| ProviderEvent::parse(id).expect("an id")),
        },
        "park" => Command::ParkPayment {
            id: payment(words[1]),
            attempt: words[2].parse().expect("a number"),
            reason: reason.expect("a reason"),
        },
        "resume" => Command::ResumePayment { id: payment(words[1]) },
        "sweep" => Command::SweepCarts { ids: words[1..].iter().map(|word| cart(word)).collect() },
        _ => return None,
    })
}

/// What an event about carts, orders or payments tells.
pub(crate) fn told(event: &Event) -> Option<String> {
    Some(match event {
        Event::CustomerSaved { id, .. } => format!("customer {}", named(id.0)),
        Event::CustomerErased { id, .. } => format!("{} erased", named(id.0)),
        Event::CartOpened { id, .. } => format!("cart {}", named(id.0)),
        Event::CartFilled { id, lines, .. } => {
            let lines = lines.iter().map(|line| match (line.quantity, line.price) {
                (0, _) => format!("no {}", line.sku),
                (units, Some(price)) => format!("{units} {} at {price}", line.sku),
                (units, None) => format!("{units} {} at no price", line.sku),
            });
            format!("{}: {}", named(id.0), lines.collect::<Vec<_>>().join(", "))
        }
        Event::CartDetailed { id, .. } => format!("{} detailed", named(id.0)),
        Event::CartClosed { id, status } => format!("{} {}", named(id.0), status.word()),
        Event::CartSwept { id } => format!("{} swept", named(id.0)),
        Event::OrderPlaced { id, order } => format!("order {} #{} of {}", named(id.0), order.number, order.total),
        Event::OrderMoved(moved) => {
            let (of, cause) = (named(moved.id.0), moved.cause.word());
            let (status, payment, fulfillment) = (moved.status, moved.payment_status, moved.fulfillment_status);
            format!("{of} {cause}: {status} {payment} {fulfillment}")
        }
        Event::ReservationCanceled { id, .. } => format!("{} given up", hold_name(*id)),
        Event::PaymentRequested(asked) => {
            let of = format!("{}/{}", named(asked.id.order.0), asked.id.number);
            format!("asks {} {of} {} {}", asked.operation, asked.attempt, asked.money.amount)
        }
        Event::PaymentReported(said) => {
            format!("{}/{} {} {}", named(said.id.order.0), said.id.number, said.attempt, said.outcome.word())
        }
        Event::PaymentParked { id, reason } => {
            let word = if reason.is_some() { "parked" } else { "resumed" };
            format!("{}/{} {word}", named(id.order.0), id.number)
        }
        Event::CallbackTaken { id, .. } => format!("report {} taken", id.as_str()),
        _ => return None,
    })
}

/// An id of a refusal's facts as stories call it.
pub(crate) fn fact(id: &str) -> Option<String> {
    let of_order = |id: PaymentId| format!("{}/{}", named(id.order.0), id.number);
    match id.split_once('_')?.0 {
        "cart" => CartId::parse(id).ok().map(|id| named(id.0)),
        "ord" => OrderId::parse(id).ok().map(|id| named(id.0)),
        "cus" => CustomerId::parse(id).ok().map(|id| named(id.0)),
        "pay" => PaymentId::parse(id).ok().map(of_order),
        _ => None,
    }
}

fn changed(name: &str, change: LineChange) -> Command {
    Command::ChangeCart { id: cart(name), lines: vec![change], details: Box::default(), expected: None }
}

/// `c1` as an id.
pub(crate) fn cart(word: &str) -> CartId {
    CartId(hold(word).0)
}

pub(crate) fn order(word: &str) -> OrderId {
    OrderId(hold(word).0)
}

pub(crate) fn customer(word: &str) -> CustomerId {
    CustomerId(hold(word).0)
}

fn payment(word: &str) -> PaymentId {
    let (order, number) = word.split_once('/').expect("an order and a number");
    PaymentId { order: self::order(order), number: number.parse().expect("a number") }
}

fn named(id: [u8; 16]) -> String {
    hold_name(ReservationId(id))
}

fn euro() -> Currency {
    Currency::parse("EUR").expect("a currency")
}

/// A field of a person, which nobody can open.
pub(crate) fn sealed(person: CustomerId) -> Sealed {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&person.0);
    bytes.resize(64, 9);
    Sealed::new(bytes).expect("it is long enough")
}
