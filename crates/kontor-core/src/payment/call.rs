//! One thing that is asked of a payment provider, and how that can end.

use serde::{Deserialize, Serialize};

use crate::id::PaymentId;
use crate::limits::LABEL_BYTES_MAX;
use crate::money::Money;
use crate::text::{Reason, printable, text_type};

text_type! {
    /// What stands for a card or an account at the provider. Never a card number.
    MethodToken, "payment method", printable, LABEL_BYTES_MAX
}
text_type! {
    /// The provider's own id of a payment.
    ProviderObject, "provider object", printable, LABEL_BYTES_MAX
}
text_type! {
    /// The provider's own id of something that it has told by itself. It may tell the same twice.
    ProviderEvent, "provider event", printable, LABEL_BYTES_MAX
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// To set the amount aside for us.
    Authorize,
    /// To pay out what was set aside.
    Capture,
    /// To give up what was set aside.
    Void,
    /// To give back some of what was paid out.
    Refund,
}

/// One thing that is asked of a provider. All calls of one payment are made one after another, and asked
/// again with the same values under the same key until their outcome is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Of which payment.
    pub payment: PaymentId,
    /// What is asked for.
    pub operation: Operation,
    /// Which call of the payment, from 1, whatever the operation.
    pub attempt: u16,
    /// How much.
    pub money: Money,
    /// What is paid with.
    pub method: MethodToken,
    /// The provider's id of the payment, once it has been authorized.
    pub object: Option<ProviderObject>,
}

/// What a provider knows a call by: the same for every try, another for every other call. Shown as
/// `pay_…_1-capture-2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallName {
    /// Of which payment.
    pub payment: PaymentId,
    /// What is asked for.
    pub operation: Operation,
    /// Which call of the payment.
    pub attempt: u16,
}

/// How a call ended, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done, once.
    Done {
        /// The provider's id of the payment.
        object: ProviderObject,
    },
    /// The payer's side says no: another card may do. Says nothing about the provider's health.
    Declined {
        /// The provider's words for it.
        reason: Reason,
    },
    /// The provider will not do what was asked, as it was asked.
    Refused {
        /// The provider's words for it.
        reason: Reason,
    },
}

/// Why a call has not ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It has certainly had no effect, and may succeed later.
    #[error("not done: {why}")]
    NotDone {
        /// What happened.
        why: String,
        /// How long the provider wants to be left alone, if it said so.
        after_ms: Option<u64>,
    },
    /// It may have been done.
    #[error("outcome unknown: {why}")]
    Unknown {
        /// What happened.
        why: String,
    },
}

impl Call {
    /// What the provider knows the call by.
    pub fn name(&self) -> CallName {
        CallName { payment: self.payment, operation: self.operation, attempt: self.attempt }
    }

    /// The same as it is sent.
    pub fn key(&self) -> String {
        self.name().to_string()
    }
}

impl CallName {
    /// Reads what is shown; `None` if it is not the name of a call of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, attempt) = text.rsplit_once('-')?;
        let (payment, operation) = rest.rsplit_once('-')?;
        let operation = Operation::ALL.into_iter().find(|known| known.word() == operation)?;
        let name = Self { payment: PaymentId::parse(payment).ok()?, operation, attempt: attempt.parse().ok()? };
        // One way to write it, so that equal names are equal texts.
        (name.to_string() == text).then_some(name)
    }
}

impl std::fmt::Display for CallName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.payment, self.operation, self.attempt)
    }
}

impl Trouble {
    /// How long the provider wants to be left alone, if it said so.
    pub fn after_ms(&self) -> Option<u64> {
        match self {
            Self::NotDone { after_ms, .. } => *after_ms,
            Self::Unknown { .. } => None,
        }
    }
}

impl Outcome {
    /// The word on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Declined { .. } => "declined",
            Self::Refused { .. } => "refused",
        }
    }
}

impl Operation {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Authorize, Self::Capture, Self::Void, Self::Refund];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::OrderId;

    #[test]
    fn a_call_is_found_again_by_its_name() {
        for (number, operation, attempt) in
            [(1, Operation::Authorize, 1), (2, Operation::Capture, 40), (65_535, Operation::Refund, 65_535)]
        {
            let payment = PaymentId { order: OrderId([7; 16]), number };
            let name = CallName { payment, operation, attempt };
            assert_eq!(CallName::parse(&name.to_string()), Some(name));
        }
        let order = "07".repeat(16);
        assert_eq!(CallName::parse(&format!("pay_{order}_1-void-2")).map(|name| name.operation), Some(Operation::Void));
        for text in ["", "a-b", "pay_1-void-2", "pay_X_1-void-2"] {
            assert_eq!(CallName::parse(text), None, "{text}");
        }
        for rest in ["_1-void", "_1-void-02", "_1-void-+2", "_1-steal-2", "_01-void-2", "_1-void-2-", "_1-void-70000"] {
            assert_eq!(CallName::parse(&format!("pay_{order}{rest}")), None, "{rest}");
        }
    }
}
