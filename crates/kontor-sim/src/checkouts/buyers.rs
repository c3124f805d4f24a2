//! Who buys, and the clerk: each request under a key of its own, asked again until it is known, and sometimes
//! once more.

use std::collections::BTreeSet;

use bytes::Bytes;
use kontor_core::cart::LineChange;
use kontor_core::command::{Command, Idempotency, Inbound, Line, Note, ReturnLine};
use kontor_core::event::Event;
use kontor_core::id::{CartId, LocationId, OrderId, PaymentId, Sku};
use kontor_core::money::{Currency, Money};
use kontor_core::order::{Order, OrderPayment, OrderStatus};
use kontor_core::payment::call::MethodToken;
use kontor_core::payment::record::{Capture, Payment, PaymentStatus};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::price::price;
use kontor_core::product::{Policy, Selling};
use kontor_core::quantity::Quantity;
use kontor_core::refusal::Refusal;
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use kontor_site::step::{Answer, NotDone};

use super::till::Till;
use crate::chance::Chance;
use crate::oracle::{Kept, broken, same};

/// What is sold: how many there are for each buyer, in tenths, at which price, and how it is held.
const GOODS: [(&str, u64, i64, Policy); 3] = [
    ("apples", 30, 250, Policy::ReserveOnOrder),
    ("pears", 8, 1_099, Policy::ReserveOnOrder),
    ("cream", 12, 75, Policy::ReserveOnCart),
];

pub(super) struct Buyers {
    all: Vec<Buyer>,
    chance: Chance,
}

struct Buyer {
    cart: CartId,
    plan: Plan,
    /// What comes next, and when.
    step: Option<Step>,
    next_ms: u64,
    /// Counts requests, for their keys.
    asked: u64,
    /// Somebody told of the order.
    has_order: bool,
    payments: u32,
}

/// What a buyer and the clerk who serves them set out to do.
#[derive(Debug, Clone)]
struct Plan {
    lines: Vec<(usize, u64)>,
    is_patient: bool,
    cancels: bool,
    captures: Capture,
    ships: bool,
    brings_back: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Open,
    Fill(usize),
    CheckOut,
    Pay,
    /// Looks how the order is, and does what follows.
    Look,
    Cancel,
    Capture,
    Ship,
    BringBack,
    /// The provider has not undone what it did for an order that does not stand: somebody asks it once more.
    Undo(u16),
}

/// Makes the shop that all of it happens in. Everything is asked for twice: the process may die the first time.
pub(super) fn open_shop(till: &mut Till, now_ms: u64) -> Kept {
    let name = |text: &str| Title::parse(text).map_err(|error| broken("a word is a name", text, error));
    let mut must = |command: Command| {
        let told = format!("{command:?}");
        match till.submit(SiteTime(now_ms), "clerk", None, command)? {
            // It died: the next try says whether it is there already.
            None | Some(Ok(_)) => Ok(()),
            Some(Err(NotDone::Refused(Refusal::AlreadyExists { .. } | Refusal::ReferenceUsed { .. }))) => Ok(()),
            Some(Err(other)) => Err(broken("a shop can be opened", told, other)),
        }
    };
    for _ in 0..2 {
        must(Command::OpenLocation { id: shop(), name: name("Shop")? })?;
    }
    for (goods, units, minor, policy) in GOODS {
        let sku = sku(goods);
        for _ in 0..2 {
            let selling = Selling { policy, backorder_limit: 0 };
            must(Command::create_product(None, sku.clone(), name(goods)?, selling))?;
        }
        let money = Money::new(minor, euro()).map_err(|error| broken("an amount is money", minor, error))?;
        let (key, terms) = price(money, None, None).map_err(|error| broken("a price is one", minor, error))?;
        let mut variant = VariantEdit::of(sku.clone());
        variant.prices.insert(key, Some(terms));
        for _ in 0..2 {
            let edit = ProductEdit { variants: vec![variant.clone()], ..ProductEdit::default() };
            must(Command::change_product(sku.clone().into(), edit, None))?;
        }
        let line = Line { sku, location: shop(), quantity: quantity(units * 4) };
        let note = Note { reference: Some(reference(goods)), ..Note::default() };
        for _ in 0..2 {
            let receive = Command::Receive { from: Inbound::Delivery, lines: vec![line.clone()], note: note.clone() };
            must(receive)?;
        }
    }
    Ok(())
}

impl Buyers {
    pub(super) fn new(seed: u64, count: usize, start_ms: u64) -> Self {
        let mut chance = Chance::of(seed, "buyers");
        let all = (0..count).map(|number| {
            let (lines, is_alone) = (1 + chance.within(0..3), count == 1);
            let lines = (0..lines).map(|_| {
                let goods = usize::try_from(chance.within(0..3)).unwrap_or(0);
                (goods, 1 + chance.within(0..3))
            });
            let lines: Vec<_> = lines.collect();
            // A single buyer goes through everything.
            let plan = Plan {
                lines: if is_alone { vec![(0, 2), (2, 1)] } else { lines },
                is_patient: is_alone || chance.happens(0.9),
                cancels: !is_alone && chance.happens(0.15),
                captures: if chance.happens(0.2) && !is_alone { Capture::Manual } else { Capture::Automatic },
                ships: is_alone || chance.happens(0.6),
                brings_back: is_alone || chance.happens(0.2),
            };
            let mut cart = chance.bytes();
            cart[0] = u8::try_from(number % 256).unwrap_or(0);
            Buyer {
                cart: CartId(cart),
                plan,
                step: Some(Step::Open),
                next_ms: start_ms + chance.within(1..600_000),
                asked: 0,
                has_order: false,
                payments: 0,
            }
        });
        let all = all.collect();
        Self { all, chance }
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.all.iter().filter(|buyer| buyer.step.is_some()).map(|buyer| buyer.next_ms).min()
    }

    pub(super) fn are_done(&self) -> bool {
        self.all.iter().all(|buyer| buyer.step.is_none())
    }

    /// Lets everybody act who wants to.
    pub(super) fn act(&mut self, till: &mut Till, now: SiteTime) -> Kept {
        for buyer in self.all.iter_mut().filter(|buyer| buyer.next_ms <= now.0) {
            let Some(step) = buyer.step.clone() else { continue };
            let chance = &mut self.chance;
            buyer.next_ms = now.0 + chance.within(500..20_000);
            buyer.step = buyer.does(step, till, now, chance)?;
        }
        Ok(())
    }

    /// Whoever was told of an order has it, and nobody has two.
    pub(super) fn judge(&self, orders: &[(Bytes, Order)]) -> Kept {
        let placed: BTreeSet<&[u8]> = orders.iter().map(|(key, _)| &key[..16]).collect();
        for buyer in &self.all {
            let is_placed = placed.contains(&buyer.cart.0[..]);
            if buyer.has_order && !is_placed {
                return Err(broken("whoever was told of an order has it", buyer.cart, "no order"));
            }
        }
        let carts: BTreeSet<&[u8]> = self.all.iter().map(|buyer| &buyer.cart.0[..]).collect();
        same("every order is of a cart", &true, &placed.is_subset(&carts))
    }
}

impl Buyer {
    fn order(&self) -> OrderId {
        self.cart.into()
    }

    /// Does a step, and says which comes next. One of which nobody knows is done again.
    fn does(&mut self, step: Step, till: &mut Till, now: SiteTime, chance: &mut Chance) -> Kept<Option<Step>> {
        let Some(command) = self.command(&step, till)? else { return self.looks(till, chance) };
        let told = self.ask(till, now, command.clone())?;
        let Some(told) = told else { return Ok(Some(step)) };
        if chance.happens(0.2) && told.is_ok() {
            // A browser that repeats what was answered.
            let again = self.ask(till, now, command)?;
            match (&told, &again) {
                (Ok(first), Some(Ok(second))) if second.events == first.events || second.events.is_empty() => {}
                (_, None) => {}
                (first, second) => return Err(broken("a repeat is told the same", first, second)),
            }
        }
        self.asked += 1;
        Ok(match (step, told) {
            (Step::Open, Ok(_)) => Some(Step::Fill(0)),
            (Step::Fill(at), Ok(_)) if at + 1 < self.plan.lines.len() => Some(Step::Fill(at + 1)),
            (Step::Fill(_), Ok(_)) => Some(Step::CheckOut),
            (Step::CheckOut, Ok(answer)) => {
                self.has_order = true;
                self.placed(&answer)?;
                Some(if self.plan.cancels && chance.happens(0.5) { Step::Cancel } else { Step::Look })
            }
            // Nothing is left: who finds the shelf empty goes home.
            (Step::Fill(_) | Step::CheckOut, Err(NotDone::Refused(Refusal::InsufficientStock { .. }))) => None,
            (Step::CheckOut, Err(NotDone::Refused(Refusal::CartEmpty { .. }))) => None,
            (Step::BringBack, Ok(_)) => None,
            (_, Ok(_)) => Some(Step::Look),
            // Somebody else was faster: the provider, the deadline, or this buyer a moment ago.
            (
                Step::Pay | Step::Cancel | Step::Capture | Step::Ship | Step::BringBack | Step::Undo(_),
                Err(NotDone::Refused(
                    Refusal::OrderStatus { .. }
                    | Refusal::PaymentInProgress { .. }
                    | Refusal::PaymentStatus { .. }
                    | Refusal::InsufficientCommitted { .. }
                    | Refusal::ReservationEnded { .. }
                    | Refusal::UnknownPayment { .. },
                )),
            ) => Some(Step::Look),
            (step, Err(other)) => return Err(broken("a buyer is told why not", step, other)),
        })
    }

    /// Asks with the key of this step, which stays the same until the outcome is known.
    fn ask(&self, till: &mut Till, now: SiteTime, command: Command) -> Kept<Option<Result<Answer, NotDone>>> {
        let mut scope = self.cart.0;
        scope[8..].copy_from_slice(&self.asked.to_be_bytes());
        let fingerprint = [7; 16];
        till.submit(now, "buyer", Some(Idempotency { scope, fingerprint }), command)
    }

    fn command(&self, step: &Step, till: &Till) -> Kept<Option<Command>> {
        let (cart, id) = (self.cart, self.order());
        let method =
            MethodToken::parse("pm_card_visa").map_err(|error| broken("a word is a token", "pm_card_visa", error))?;
        Ok(Some(match step {
            Step::Look => return Ok(None),
            Step::Open => Command::OpenCart {
                id: Some(cart),
                token: [1; 32],
                currency: euro(),
                market: None,
                details: Box::default(),
                lines: Vec::new(),
            },
            Step::Fill(at) => {
                let (goods, units) = self.plan.lines[*at];
                let change = LineChange::Add { sku: sku(GOODS[goods].0), quantity: quantity(units), price: None };
                Command::ChangeCart { id: cart, lines: vec![change], details: Box::default(), expected: None }
            }
            Step::CheckOut => Command::Checkout {
                cart,
                method: self.plan.is_patient.then_some(method),
                capture: self.plan.captures,
                hold_ms: 120_000,
            },
            Step::Pay => Command::PayOrder { id, method, capture: self.plan.captures },
            Step::Cancel => Command::CancelOrder { id, reason: None },
            Step::Undo(number) => Command::ResumePayment { id: PaymentId { order: id, number: *number } },
            Step::Capture => {
                let number = u16::try_from(self.payments + 1).unwrap_or(1);
                Command::CapturePayment { id: PaymentId { order: id, number }, amount: None }
            }
            Step::Ship => {
                let Some(order) = till.row::<Order>(id)? else { return Ok(None) };
                Command::Ship { reservation: order.reservation, lines: None, note: Note::default() }
            }
            Step::BringBack => {
                let (goods, _) = self.plan.lines[0];
                let back = ReturnLine { sku: sku(GOODS[goods].0), quantity: quantity(1), restock: Some(shop()) };
                Command::RefundOrder { id, amount: None, lines: vec![back], reason: None }
            }
        }))
    }

    /// What follows from how the order is.
    fn looks(&mut self, till: &Till, chance: &mut Chance) -> Kept<Option<Step>> {
        let Some(order) = till.row::<Order>(self.order())? else { return Ok(None) };
        let is_handed_out = order.status == OrderStatus::Completed;
        if let (true, Some(number)) = (order.status != OrderStatus::Canceled, self.uncaptured(till)?) {
            return Ok(Some(Step::Undo(number)));
        }
        Ok(match (order.status, order.payment_status) {
            (OrderStatus::Canceled, _) => self.stuck(till)?.map(Step::Undo),
            (_, OrderPayment::Refunded | OrderPayment::PartiallyRefunded) => None,
            (OrderStatus::Open | OrderStatus::Confirmed, OrderPayment::Failed) if self.payments < 3 => {
                self.payments += 1;
                Some(Step::Pay)
            }
            // Tried often enough; what is held for it ends by itself, what is promised is given back.
            (OrderStatus::Confirmed, OrderPayment::Failed) => Some(Step::Cancel),
            (OrderStatus::Open, _) if self.plan.cancels && chance.happens(0.2) => Some(Step::Cancel),
            (OrderStatus::Open, _) => Some(Step::Look),
            (OrderStatus::Confirmed, OrderPayment::Authorized) if self.plan.captures == Capture::Manual => {
                Some(if self.plan.cancels { Step::Cancel } else { Step::Capture })
            }
            (OrderStatus::Confirmed, OrderPayment::Paid) if self.plan.cancels => Some(Step::Cancel),
            (OrderStatus::Confirmed, OrderPayment::Paid) if self.plan.ships => Some(Step::Ship),
            (OrderStatus::Confirmed, OrderPayment::Paid) => None,
            (OrderStatus::Completed, _) if is_handed_out && self.plan.brings_back => Some(Step::BringBack),
            (OrderStatus::Completed, _) => None,
            (OrderStatus::Confirmed, _) => Some(Step::Look),
        })
    }

    /// A payment of which money is still with the shop or set aside for it, although the order does not stand.
    fn stuck(&self, till: &Till) -> Kept<Option<u16>> {
        for number in 1..=4 {
            let payment = till.row::<Payment>(PaymentId { order: self.order(), number })?;
            let is_stuck = |payment: &Payment| payment.authorized() > 0 || payment.captured > payment.refunded;
            if payment.is_some_and(|payment| payment.pending.is_some() || is_stuck(&payment)) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// A payment that was not paid out, and that the provider did not give up either.
    fn uncaptured(&self, till: &Till) -> Kept<Option<u16>> {
        for number in 1..=4 {
            let payment = till.row::<Payment>(PaymentId { order: self.order(), number })?;
            if payment.is_some_and(|payment| payment.status == PaymentStatus::Uncaptured && payment.pending.is_none()) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// A checkout that is answered has placed the order, now or before.
    fn placed(&self, answer: &Answer) -> Kept {
        let others =
            answer.events.iter().filter(|event| matches!(event, Event::OrderPlaced { id, .. } if *id != self.order()));
        same("an order is of its cart", &0, &others.count())
    }
}

fn sku(name: &str) -> Sku {
    Sku::parse(name).expect("a short word is a sku")
}

fn shop() -> LocationId {
    LocationId::parse("shop").expect("a short word is a location")
}

fn euro() -> Currency {
    Currency::parse("EUR").expect("three letters are a currency")
}

fn quantity(units: u64) -> Quantity {
    Quantity::new(units).expect("a story tells of small numbers")
}

fn reference(of: &str) -> kontor_core::text::Reference {
    kontor_core::text::Reference::parse(of).expect("a short word is a reference")
}
