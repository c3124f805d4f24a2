//! One payment of an order, as its site keeps it.

use serde::{Deserialize, Serialize};

use super::call::{Call, MethodToken, Operation, Outcome, ProviderEvent, ProviderObject};
use crate::id::{OrderId, PaymentId};
use crate::money::{Currency, Money};
use crate::record::{Key, KeyParts, Primary, Table};
use crate::text::Reason;
use crate::time::SiteTime;

/// When what was set aside is paid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Capture {
    /// As soon as the order is confirmed.
    #[default]
    Automatic,
    /// When somebody says so.
    Manual,
}

/// What has become of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PaymentStatus {
    /// The provider has not said whether it sets the money aside.
    Pending,
    /// The money is set aside.
    Authorized,
    /// It was paid out.
    Captured,
    /// It was given up.
    Voided,
    /// The payer's side or the provider said no.
    Failed,
    /// The provider did not pay out what it has set aside: that is to be given up.
    Uncaptured,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// What is paid with.
    pub method: MethodToken,
    /// In which its amounts are.
    pub currency: Currency,
    /// Minor units that were to be paid.
    pub amount: i64,
    /// When they are paid out.
    pub capture: Capture,
    /// What has become of it.
    pub status: PaymentStatus,
    /// The provider's id of it.
    pub object: Option<ProviderObject>,
    /// Minor units paid out.
    pub captured: i64,
    /// Minor units given back.
    pub refunded: i64,
    /// Calls so far.
    pub attempts: u16,
    /// The call whose outcome is not known yet.
    pub pending: Option<Pending>,
    /// The provider's last words for not doing something.
    pub reason: Option<Reason>,
    /// When it was begun.
    pub created_at: SiteTime,
    /// When something became of it last.
    pub updated_at: SiteTime,
}

/// A call that is to be made, or has been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What is asked for.
    pub operation: Operation,
    /// Which call of the payment.
    pub attempt: u16,
    /// Minor units.
    pub amount: i64,
    /// Since when.
    pub since: SiteTime,
    /// Why nobody makes it any more until somebody says so.
    pub parked: Option<Reason>,
}

/// What is journaled before a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequested {
    /// Of which payment; a new one, if there is none.
    pub id: PaymentId,
    /// What is asked for.
    pub operation: Operation,
    /// Which call of the payment.
    pub attempt: u16,
    /// How much.
    pub money: Money,
    /// What a new payment is paid with.
    pub method: MethodToken,
    /// When a new payment is paid out.
    pub capture: Capture,
}

/// What is journaled when the outcome of a call is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentReported {
    /// Of which payment.
    pub id: PaymentId,
    /// Of which call.
    pub attempt: u16,
    /// How it ended.
    pub outcome: Outcome,
}

/// A call that is to be made: the worker's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDue;

/// A call that nobody makes until somebody has looked at it: the operator's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentStuck;

/// A provider's report that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTaken {
    /// When.
    pub at: SiteTime,
    /// Of which call: payment and attempt.
    pub of: (PaymentId, u16),
}

impl Payment {
    /// A payment that is begun.
    pub(crate) fn begun(requested: &PaymentRequested, at: SiteTime) -> Self {
        Self {
            method: requested.method.clone(),
            currency: requested.money.currency,
            amount: requested.money.amount,
            capture: requested.capture,
            status: PaymentStatus::Pending,
            object: None,
            captured: 0,
            refunded: 0,
            attempts: 0,
            pending: None,
            reason: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// Something more is asked for.
    pub(crate) fn requested(&mut self, requested: &PaymentRequested, at: SiteTime) {
        self.attempts = requested.attempt;
        self.pending = Some(Pending {
            operation: requested.operation,
            attempt: requested.attempt,
            amount: requested.money.amount,
            since: at,
            parked: None,
        });
        self.updated_at = at;
    }

    /// What was asked for has ended.
    pub(crate) fn reported(&mut self, outcome: &Outcome, at: SiteTime) {
        let Some(Pending { operation, amount, .. }) = self.pending.take() else { return };
        self.updated_at = at;
        match (outcome, operation) {
            (Outcome::Done { object }, Operation::Authorize) => {
                (self.status, self.object) = (PaymentStatus::Authorized, Some(object.clone()));
            }
            (Outcome::Done { .. }, Operation::Capture) => {
                self.status = PaymentStatus::Captured;
                self.captured += amount;
            }
            (Outcome::Done { .. }, Operation::Void) => self.status = PaymentStatus::Voided,
            (Outcome::Done { .. }, Operation::Refund) => self.refunded += amount,
            (Outcome::Declined { reason } | Outcome::Refused { reason }, operation) => {
                self.reason = Some(reason.clone());
                self.status = match operation {
                    Operation::Authorize => PaymentStatus::Failed,
                    Operation::Capture => PaymentStatus::Uncaptured,
                    Operation::Void | Operation::Refund => self.status,
                };
            }
        }
    }

    /// Minor units that are set aside, and neither paid out nor given up.
    pub fn authorized(&self) -> i64 {
        match self.status {
            PaymentStatus::Authorized | PaymentStatus::Uncaptured => self.amount,
            PaymentStatus::Pending | PaymentStatus::Captured | PaymentStatus::Voided | PaymentStatus::Failed => 0,
        }
    }

    /// Whether it is not known yet whether the provider sets the money aside, and somebody is asking.
    pub fn is_undecided(&self) -> bool {
        let asked = self.pending.as_ref().filter(|pending| pending.parked.is_none());
        asked.is_some_and(|pending| pending.operation == Operation::Authorize)
    }

    /// The call that is to be made.
    pub fn call(&self, id: PaymentId) -> Option<Call> {
        let Pending { operation, attempt, amount, .. } = self.pending.as_ref()?;
        Some(Call {
            payment: id,
            operation: *operation,
            attempt: *attempt,
            money: Money { amount: *amount, currency: self.currency },
            method: self.method.clone(),
            object: self.object.clone(),
        })
    }
}

impl PaymentStatus {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Failed => "failed",
            Self::Uncaptured => "uncaptured",
        }
    }
}

impl Primary for Payment {
    const TABLE: Table = Table::PAYMENTS;
    type Key<'k> = PaymentId;
    fn key(id: PaymentId) -> Key {
        Self::prefix(id.order).number(id.number.into())
    }
}

impl Payment {
    /// What the keys of all payments of an order begin with.
    pub fn prefix(order: OrderId) -> Key {
        Key::new().fixed(&order.0)
    }
}

impl Primary for PaymentDue {
    const TABLE: Table = Table::PAYMENTS_DUE;
    type Key<'k> = PaymentId;
    fn key(id: PaymentId) -> Key {
        Payment::key(id)
    }
}

impl Primary for PaymentStuck {
    const TABLE: Table = Table::PAYMENTS_PARKED;
    type Key<'k> = PaymentId;
    fn key(id: PaymentId) -> Key {
        Payment::key(id)
    }
}

/// Reads a key of a payment: which, and whose row.
pub fn parts(key: &[u8]) -> Option<(PaymentId, &str)> {
    let mut parts = KeyParts(key);
    let (order, number) = (OrderId(parts.fixed()?), parts.number()?);
    Some((PaymentId { order, number: u16::try_from(number).ok()? }, parts.rest()?))
}

impl Primary for CallbackTaken {
    const TABLE: Table = Table::CALLBACKS;
    type Key<'k> = &'k ProviderEvent;
    fn key(id: &ProviderEvent) -> Key {
        Key::new().text(id.as_str())
    }
}
