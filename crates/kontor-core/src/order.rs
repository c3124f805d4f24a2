//! An order: what somebody has bought, for how much, and what has become of it. It is owned by the site that
//! took it.
//!
//! What has become of an order is told on three axes, each with a table of all that can happen to it:
//! [`STATUS_STEPS`], [`PAYMENT_STEPS`] and [`FULFILLMENT_STEPS`]. Whatever is not there is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cart::Amount;
use crate::event::Event;
use crate::id::{Actor, CustomerId, OrderId, Position, RequestId, ReservationId, SiteId, Sku};
use crate::money::Currency;
use crate::person::Contact;
use crate::product::text::MarketId;
use crate::record::{Key, KeyParts, Primary, Table};
use crate::refusal::Refusal;
use crate::reservation::Reservation;
use crate::text::{Reason, Title};
use crate::time::SiteTime;

/// Whether an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OrderStatus {
    /// It was placed, and its units are held until it is paid.
    Open,
    /// Its money is sure, and its units are promised.
    Confirmed,
    /// All of it was paid and handed out.
    Completed,
    /// It does not stand any more.
    Canceled,
}

/// What has become of the money of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OrderPayment {
    /// Nothing has been said by a provider.
    Pending,
    /// The provider has set it aside.
    Authorized,
    /// All of it was paid.
    Paid,
    /// Some of it was paid.
    PartiallyPaid,
    /// Some of what was paid was given back.
    PartiallyRefunded,
    /// All that was paid was given back.
    Refunded,
    /// Nothing is set aside any more, and nothing was paid.
    Voided,
    /// The last payment was declined or refused.
    Failed,
    /// There is nothing to pay.
    NotRequired,
}

/// What has become of the goods of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fulfillment {
    /// Nothing was handed out.
    Unfulfilled,
    /// Some of it was.
    PartiallyFulfilled,
    /// All of it was.
    Fulfilled,
    /// Some of what was handed out came back.
    PartiallyReturned,
    /// All of it came back.
    Returned,
}

/// One step on an axis: from where, what is done, and what that leads to.
pub type Step<S> = (S, &'static str, S);

/// All that can become of an order.
pub const STATUS_STEPS: [Step<OrderStatus>; 4] = [
    (OrderStatus::Open, "confirm", OrderStatus::Confirmed),
    (OrderStatus::Open, "cancel", OrderStatus::Canceled),
    (OrderStatus::Confirmed, "cancel", OrderStatus::Canceled),
    (OrderStatus::Confirmed, "complete", OrderStatus::Completed),
];

/// All that can become of its money. An order may be canceled while a provider is asked: what the provider
/// did nevertheless is undone, so money may come and go after the end.
pub const PAYMENT_STEPS: [Step<OrderPayment>; 15] = [
    (OrderPayment::Pending, "authorize", OrderPayment::Authorized),
    (OrderPayment::Pending, "fail", OrderPayment::Failed),
    (OrderPayment::Pending, "void", OrderPayment::Voided),
    (OrderPayment::Failed, "retry", OrderPayment::Pending),
    (OrderPayment::Failed, "void", OrderPayment::Voided),
    (OrderPayment::Authorized, "capture", OrderPayment::Paid),
    (OrderPayment::Authorized, "capture_part", OrderPayment::PartiallyPaid),
    (OrderPayment::Authorized, "void", OrderPayment::Voided),
    (OrderPayment::Authorized, "fail", OrderPayment::Failed),
    (OrderPayment::Paid, "refund_part", OrderPayment::PartiallyRefunded),
    (OrderPayment::Paid, "refund", OrderPayment::Refunded),
    (OrderPayment::PartiallyPaid, "refund_part", OrderPayment::PartiallyRefunded),
    (OrderPayment::PartiallyPaid, "refund", OrderPayment::Refunded),
    (OrderPayment::PartiallyRefunded, "refund_part", OrderPayment::PartiallyRefunded),
    (OrderPayment::PartiallyRefunded, "refund", OrderPayment::Refunded),
];

/// All that can become of its goods.
pub const FULFILLMENT_STEPS: [Step<Fulfillment>; 9] = [
    (Fulfillment::Unfulfilled, "ship_part", Fulfillment::PartiallyFulfilled),
    (Fulfillment::Unfulfilled, "ship", Fulfillment::Fulfilled),
    (Fulfillment::PartiallyFulfilled, "ship_part", Fulfillment::PartiallyFulfilled),
    (Fulfillment::PartiallyFulfilled, "ship", Fulfillment::Fulfilled),
    (Fulfillment::PartiallyFulfilled, "return_part", Fulfillment::PartiallyFulfilled),
    (Fulfillment::Fulfilled, "return_part", Fulfillment::PartiallyReturned),
    (Fulfillment::Fulfilled, "return", Fulfillment::Returned),
    (Fulfillment::PartiallyReturned, "return_part", Fulfillment::PartiallyReturned),
    (Fulfillment::PartiallyReturned, "return", Fulfillment::Returned),
];

/// An order, as everybody may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Of its site, from 1: what people call it by, with the site's name before it.
    pub number: u64,
    /// Who bought; a guest, if not given.
    pub customer: Option<CustomerId>,
    /// Where the buyer is reached.
    pub contact: Contact,
    /// In which all its amounts are.
    pub currency: Currency,
    /// Whose prices held.
    pub market: Option<MarketId>,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// What was added to the prices of the lines.
    pub amounts: Vec<Amount>,
    /// The sum of both, in minor units, from 0.
    pub total: i64,
    /// What holds or has promised its units.
    pub reservation: ReservationId,
    /// Whether it stands.
    pub status: OrderStatus,
    /// What has become of the money.
    pub payment_status: OrderPayment,
    /// What has become of the goods.
    pub fulfillment_status: Fulfillment,
    /// Money in motion.
    pub money: Sums,
    /// When it was placed.
    pub placed_at: SiteTime,
    /// When something became of it last.
    pub updated_at: SiteTime,
}

/// What has been done with the money of an order, in minor units, each from the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Set aside by a provider, and neither paid out nor given up.
    pub authorized: i64,
    /// Paid out.
    pub captured: i64,
    /// Given back of that.
    pub refunded: i64,
}

/// Units of one SKU at one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Of what.
    pub sku: Sku,
    /// What it was called when it was sold.
    pub title: Option<Title>,
    /// How many.
    pub quantity: u64,
    /// For how much each, in minor units.
    pub price: i64,
    /// How many of them came back.
    pub returned: u64,
}

/// Something that became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderMoved {
    /// Of which.
    pub id: OrderId,
    /// Whether it stands now.
    pub status: OrderStatus,
    /// What has become of the money now.
    pub payment_status: OrderPayment,
    /// What has become of the goods now.
    pub fulfillment_status: Fulfillment,
    /// Money in motion now.
    pub money: Sums,
    /// What holds its units from now on, if that is another one.
    pub reservation: Option<ReservationId>,
    /// Units that came back, by the number of their line.
    pub returned: Vec<(u16, u64)>,
    /// Why.
    pub cause: Cause,
}

/// Why something became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It was placed.
    Placed,
    /// It costs nothing.
    NothingToPay,
    /// A payment was begun.
    PaymentBegun {
        /// Which, from 1.
        payment: u16,
        /// Minor units.
        amount: i64,
    },
    /// The provider has set money aside.
    Authorized {
        /// By which payment.
        payment: u16,
        /// Minor units.
        amount: i64,
    },
    /// The payer's side said no, or the provider does not do it.
    PaymentFailed {
        /// Which payment.
        payment: u16,
        /// The provider's words.
        reason: Reason,
    },
    /// Money was paid out.
    Captured {
        /// By which payment.
        payment: u16,
        /// Minor units.
        amount: i64,
    },
    /// What was set aside was given up.
    Voided {
        /// Of which payment.
        payment: u16,
    },
    /// Money was given back.
    Refunded {
        /// By which payment.
        payment: u16,
        /// Minor units.
        amount: i64,
    },
    /// The provider did not give money back, or not give up what it had set aside.
    NotUndone {
        /// Of which payment.
        payment: u16,
        /// The provider's words.
        reason: Reason,
    },
    /// The hold had ended when the money came, and the units could be held again.
    ReservedAgain,
    /// The hold had ended when the money came, and the units were gone: the money goes back.
    StockGone {
        /// Why they could not be held: a code, then words.
        reason: Reason,
    },
    /// It was not paid in time.
    Expired,
    /// Somebody canceled it.
    Canceled {
        /// Why.
        reason: Option<Reason>,
    },
    /// Units were handed out.
    Shipped,
    /// Units came back, or money is to.
    Returned {
        /// Minor units that are to be given back.
        amount: i64,
        /// Why.
        reason: Option<Reason>,
    },
}

/// One line of what became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineRow {
    /// When it was recorded.
    pub at: SiteTime,
    /// Who did it.
    pub actor: Actor,
    /// By which request.
    pub request_id: RequestId,
    /// Why.
    pub cause: Cause,
    /// What it was afterwards.
    pub status: (OrderStatus, OrderPayment, Fulfillment),
}

/// What names a line of a timeline besides its site.
#[derive(Debug, Clone, Copy)]
pub struct TimelineKey {
    /// Of which order.
    pub order: OrderId,
    /// In its site's journal.
    pub position: Position,
    /// Of the entry there.
    pub number: u32,
}

/// An order by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderNumber {
    /// Which.
    pub order: OrderId,
}

/// An order on a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderListed;

/// What a list of orders is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderList {
    /// All.
    All,
    /// Those of a customer.
    Customer(CustomerId),
    /// Those that stand so.
    Status(OrderStatus),
    /// Those of a customer that hold units which are not paid for.
    OpenOf(CustomerId),
}

impl Order {
    /// Units that were handed out and have not come back, by what the order's reservation says.
    pub fn handed_out(&self, reservation: Option<&Reservation>) -> BTreeMap<Sku, u64> {
        let mut out: BTreeMap<Sku, u64> = BTreeMap::new();
        for line in reservation.iter().flat_map(|reservation| &reservation.lines) {
            *out.entry(line.sku.clone()).or_default() += line.shipped;
        }
        for line in &self.lines {
            if let Some(units) = out.get_mut(&line.sku) {
                *units = units.saturating_sub(line.returned);
            }
        }
        out
    }

    /// What becomes of it by an event.
    pub(crate) fn moved(&mut self, moved: &OrderMoved, at: SiteTime) {
        (self.status, self.payment_status) = (moved.status, moved.payment_status);
        (self.fulfillment_status, self.money) = (moved.fulfillment_status, moved.money);
        self.reservation = moved.reservation.unwrap_or(self.reservation);
        for (line, units) in &moved.returned {
            if let Some(line) = self.lines.get_mut(usize::from(*line)) {
                line.returned += units;
            }
        }
        self.updated_at = at;
    }

    /// The beginning of what becomes of it next: all as it is.
    pub(crate) fn moving(&self, id: OrderId, cause: Cause) -> OrderMoved {
        OrderMoved {
            id,
            status: self.status,
            payment_status: self.payment_status,
            fulfillment_status: self.fulfillment_status,
            money: self.money,
            reservation: None,
            returned: Vec::new(),
            cause,
        }
    }

    /// What it is on all three axes.
    pub fn statuses(&self) -> (OrderStatus, OrderPayment, Fulfillment) {
        (self.status, self.payment_status, self.fulfillment_status)
    }
}

impl OrderMoved {
    /// Takes steps on the three axes, each of which must be possible.
    pub(crate) fn status(mut self, step: &'static str) -> Result<Self, Refusal> {
        let status = self.status.word();
        let refusal = Refusal::OrderStatus { order: self.id, wanted: step, status };
        self.status = self.status.after(step).ok_or(refusal)?;
        Ok(self)
    }

    pub(crate) fn payment(mut self, step: &'static str) -> Result<Self, Refusal> {
        let status = self.payment_status.word();
        let refusal = Refusal::OrderStatus { order: self.id, wanted: step, status };
        self.payment_status = self.payment_status.after(step).ok_or(refusal)?;
        Ok(self)
    }

    pub(crate) fn fulfillment(mut self, step: &'static str) -> Result<Self, Refusal> {
        let status = self.fulfillment_status.word();
        let refusal = Refusal::OrderStatus { order: self.id, wanted: step, status };
        self.fulfillment_status = self.fulfillment_status.after(step).ok_or(refusal)?;
        Ok(self)
    }

    /// What was paid and handed out is completed, also if some of the money was given back before.
    pub(crate) fn completed(self) -> Self {
        use OrderPayment::{NotRequired, Paid, PartiallyRefunded, Refunded};
        let is_paid = matches!(self.payment_status, Paid | NotRequired | PartiallyRefunded | Refunded);
        match self.clone().status("complete") {
            Ok(completed) if is_paid && self.fulfillment_status == Fulfillment::Fulfilled => completed,
            _ => self,
        }
    }

    /// As it is journaled.
    pub(crate) fn event(self) -> Event {
        Event::OrderMoved(Arc::new(self))
    }
}

/// Declares the words of an axis.
macro_rules! words {
    ($axis:ident, $steps:ident, { $($variant:ident $word:literal),+ $(,)? }) => {
        impl $axis {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }

            /// What a step leads to, if it can be taken now.
            pub fn after(self, step: &str) -> Option<Self> {
                let found = $steps.iter().find(|(from, of, _)| *from == self && *of == step);
                found.map(|(_, _, to)| *to)
            }
        }

        impl fmt::Display for $axis {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(OrderStatus, STATUS_STEPS, {
    Open "open", Confirmed "confirmed", Completed "completed", Canceled "canceled",
});
words!(OrderPayment, PAYMENT_STEPS, {
    Pending "pending", Authorized "authorized", Paid "paid", PartiallyPaid "partially_paid",
    PartiallyRefunded "partially_refunded", Refunded "refunded", Voided "voided", Failed "failed",
    NotRequired "not_required",
});
words!(Fulfillment, FULFILLMENT_STEPS, {
    Unfulfilled "unfulfilled", PartiallyFulfilled "partially_fulfilled", Fulfilled "fulfilled",
    PartiallyReturned "partially_returned", Returned "returned",
});

impl Cause {
    /// The word on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::NothingToPay => "nothing_to_pay",
            Self::PaymentBegun { .. } => "payment_begun",
            Self::Authorized { .. } => "authorized",
            Self::PaymentFailed { .. } => "payment_failed",
            Self::Captured { .. } => "captured",
            Self::Voided { .. } => "voided",
            Self::Refunded { .. } => "refunded",
            Self::NotUndone { .. } => "not_undone",
            Self::ReservedAgain => "reserved_again",
            Self::StockGone { .. } => "stock_gone",
            Self::Expired => "expired",
            Self::Canceled { .. } => "canceled",
            Self::Shipped => "shipped",
            Self::Returned { .. } => "returned",
        }
    }
}

impl Primary for Order {
    const TABLE: Table = Table::ORDERS;
    type Key<'k> = OrderId;
    fn key(id: OrderId) -> Key {
        Key::new().fixed(&id.0)
    }
}

impl Primary for TimelineRow {
    const TABLE: Table = Table::TIMELINE;
    type Key<'k> = TimelineKey;
    fn key(key: TimelineKey) -> Key {
        let Position { term, seq, index } = key.position;
        let place = Self::prefix(key.order).number(term.into()).number(seq).number(index.into());
        place.number(key.number.into())
    }
}

impl TimelineRow {
    /// What the keys of all lines of an order begin with.
    pub fn prefix(order: OrderId) -> Key {
        Key::new().fixed(&order.0)
    }

    /// Reads what follows the prefix: where the line is from.
    pub fn position(after_prefix: &[u8]) -> Option<Position> {
        let mut parts = KeyParts(after_prefix);
        let (term, seq, index) = (parts.number()?, parts.number()?, parts.number()?);
        Some(Position { term: u32::try_from(term).ok()?, seq, index: u32::try_from(index).ok()? })
    }
}

impl Primary for OrderNumber {
    const TABLE: Table = Table::ORDER_NUMBERS;
    type Key<'k> = u64;
    fn key(number: u64) -> Key {
        Key::new().number(number)
    }
}

impl Primary for OrderListed {
    const TABLE: Table = Table::ORDER_LISTS;
    type Key<'k> = (OrderList, SiteTime, OrderId);
    fn key((list, placed_at, order): (OrderList, SiteTime, OrderId)) -> Key {
        list.prefix().number(u64::MAX - placed_at.0).fixed(&order.0)
    }
}

impl OrderList {
    /// What the keys of a list begin with.
    pub fn prefix(self) -> Key {
        match self {
            Self::All => Key::new().fixed(b"a"),
            Self::Customer(customer) => Key::new().fixed(b"c").fixed(&customer.0),
            Self::Status(status) => Key::new().fixed(b"s").text(status.word()),
            Self::OpenOf(customer) => Key::new().fixed(b"o").fixed(&customer.0),
        }
    }

    /// Reads what follows the prefix: when an order was placed, which, and at which site.
    pub fn parts(after_prefix: &[u8]) -> Option<(SiteTime, OrderId, SiteId)> {
        let mut parts = KeyParts(after_prefix);
        let placed_at = SiteTime(u64::MAX - parts.number()?);
        Some((placed_at, OrderId(parts.fixed()?), SiteId::parse(parts.rest()?).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_reached_and_every_step_has_one_end() {
        fn judge<S: Copy + PartialEq + fmt::Display>(all: &[S], steps: &[Step<S>], first: &[S]) {
            for status in all {
                let is_reached = first.contains(status) || steps.iter().any(|(from, _, to)| to == status && from != to);
                assert!(is_reached, "{status} is reached by nothing");
            }
            for (number, (from, step, _)) in steps.iter().enumerate() {
                let same = |(other, of, _): &Step<S>| other == from && of == step;
                assert!(!steps[number + 1..].iter().any(same), "{from} {step} stands twice");
            }
        }
        judge(OrderStatus::ALL, &STATUS_STEPS, &[OrderStatus::Open]);
        judge(OrderPayment::ALL, &PAYMENT_STEPS, &[OrderPayment::Pending, OrderPayment::NotRequired]);
        judge(Fulfillment::ALL, &FULFILLMENT_STEPS, &[Fulfillment::Unfulfilled]);
        assert_eq!(OrderStatus::Completed.after("cancel"), None, "what was paid and handed out is returned instead");
        assert_eq!(OrderStatus::Canceled.after("confirm"), None, "an end is an end");
        assert_eq!(OrderPayment::Refunded.after("capture"), None);
    }
}
