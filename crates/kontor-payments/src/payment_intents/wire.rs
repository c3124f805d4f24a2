//! The parts of a provider's objects that are read, and amounts as it counts them.

use std::collections::BTreeMap;

use kontor_core::money::Money;
use kontor_core::payment::call::{Operation, Outcome, ProviderObject};
use serde::Deserialize;

use crate::words;

/// A payment.
#[derive(Debug, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) last_payment_error: Option<Complaint>,
}

/// Some of a payment, given back.
#[derive(Debug, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) payment_intent: Option<String>,
    #[serde(default)]
    pub(crate) failure_reason: Option<String>,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    #[serde(default)]
    pub(crate) has_more: bool,
}

/// What is not as it should be.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Complaint {
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) decline_code: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) payment_intent: Option<Box<Intent>>,
}

/// An answer that is none of the others.
#[derive(Debug, Deserialize)]
pub(crate) struct Failure {
    pub(crate) error: Complaint,
}

/// What stands for a card.
#[derive(Debug, Deserialize)]
pub(crate) struct Method {
    pub(crate) id: String,
}

impl Intent {
    /// What its status says of an operation; `None` if it says that it has not been done.
    pub(crate) fn outcome(&self, operation: Operation) -> Option<Outcome> {
        let done = || ProviderObject::parse(self.id.as_str()).ok().map(|object| Outcome::Done { object });
        let refused = || Some(Outcome::Refused { reason: words::reason(&format!("the payment is {}", self.status)) });
        match (operation, self.status.as_str()) {
            // Whatever has become of it since, it was authorized before.
            (Operation::Authorize, "requires_capture" | "succeeded" | "canceled") => done(),
            (Operation::Authorize, "requires_payment_method" | "requires_action" | "requires_confirmation") => {
                let words = self.last_payment_error.as_ref().map_or_else(|| self.status.clone(), Complaint::words);
                Some(Outcome::Declined { reason: words::reason(&words) })
            }
            (Operation::Capture, "succeeded") | (Operation::Void, "canceled") => done(),
            (Operation::Capture, "canceled") | (Operation::Void, "succeeded") => refused(),
            _ => None,
        }
    }
}

impl Refund {
    /// What its status says; `None` if it may still become something else.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let object = self.payment_intent.as_deref().and_then(|id| ProviderObject::parse(id).ok())?;
        match self.status.as_deref() {
            // A pending one is on its way, and cannot be taken back.
            Some("succeeded" | "pending") => Some(Outcome::Done { object }),
            Some(status @ ("failed" | "canceled")) => {
                let why = self.failure_reason.as_deref().unwrap_or("no reason was given");
                Some(Outcome::Refused { reason: words::reason(&format!("the refund is {status}: {why}")) })
            }
            _ => None,
        }
    }
}

impl Complaint {
    /// Its words, with the code that says more than they do.
    pub(crate) fn words(&self) -> String {
        let message = self.message.as_deref().unwrap_or_default();
        match self.decline_code.as_deref().or(self.code.as_deref()) {
            Some(code) => format!("{message} ({code})"),
            None => message.to_owned(),
        }
    }
}

/// An amount as Stripe counts it: in minor units, but not always in those of ISO 4217. `Err` says why there is none.
///
/// Source: <https://docs.stripe.com/currencies#minor-units>.
pub(crate) fn minor_units(money: Money) -> Result<i64, &'static str> {
    const HUNDREDTHS_ANYWAY: &[&[u8; 3]] = &[b"ISK", b"UGX"];
    const WHOLE_ANYWAY: &[&[u8; 3]] = &[b"MGA"];
    let code = money.currency.code();
    let wanted = match money.currency.decimals() {
        _ if money.amount <= 0 => return Err("an amount is greater than 0"),
        0 if HUNDREDTHS_ANYWAY.contains(&&code) => money.amount.checked_mul(100),
        2 if WHOLE_ANYWAY.contains(&&code) && money.amount % 100 != 0 => return Err("an ariary is not divided"),
        2 if WHOLE_ANYWAY.contains(&&code) => Some(money.amount / 100),
        3 if money.amount % 10 != 0 => return Err("the last of three decimals is 0"),
        0 | 2 | 3 => Some(money.amount),
        _ => return Err("the currency is not one of the provider's"),
    };
    wanted.ok_or("the amount is too large")
}

#[cfg(test)]
mod tests {
    use kontor_core::money::Currency;

    use super::*;

    #[test]
    fn amounts_are_counted_as_the_provider_counts_them() {
        let rows = [
            ("12.50", "EUR", Some(1_250)),
            ("700", "JPY", Some(700)),
            ("5", "ISK", Some(500)),
            ("5", "UGX", Some(500)),
            ("5", "MGA", Some(5)),
            ("5.20", "MGA", None),
            ("1.230", "KWD", Some(1_230)),
            ("1.234", "KWD", None),
            ("1", "CLF", None),
            ("0", "EUR", None),
            ("-1", "EUR", None),
        ];
        for (amount, code, expected) in rows {
            let money = Money::parse(amount, Currency::parse(code).expect("a code")).expect("an amount");
            assert_eq!(minor_units(money).ok(), expected, "{amount} {code}");
        }
    }
}
