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
    /// What the provider knows the call by: the same for every try, another for every other call.
    pub fn key(&self) -> String {
        format!("{}-{}-{}", self.payment, self.operation, self.attempt)
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

impl Operation {
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
