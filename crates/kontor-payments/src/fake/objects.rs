//! What is in the bank, as the objects of the provider.

use kontor_core::payment::call::{CallName, Operation, Outcome};
use kontor_core::text::Reason;
use serde_json::{Value, json};

use crate::simulated::{Intent, Simulated};
use crate::webhook::{Callback, metadata_key};

/// A payment.
pub(super) fn intent(id: &str, intent: &Intent) -> Value {
    let (status, capturable) = match intent {
        Intent { declined: Some(_), .. } => ("requires_payment_method", 0),
        Intent { captured: Some(_), .. } => ("succeeded", 0),
        Intent { is_voided: true, .. } => ("canceled", 0),
        _ => ("requires_capture", intent.money.amount),
    };
    let mut metadata = json!({ metadata_key(Operation::Authorize): intent.made_by.to_string() });
    if let Some((_, name)) = intent.captured {
        metadata[metadata_key(Operation::Capture)] = json!(name.to_string());
    }
    json!({
        "id": id,
        "object": "payment_intent",
        "amount": intent.money.amount,
        "amount_capturable": capturable,
        "amount_received": intent.captured.map_or(0, |(amount, _)| amount),
        "currency": intent.money.currency.to_string().to_lowercase(),
        "capture_method": "manual",
        "status": status,
        "metadata": metadata,
        "last_payment_error": intent.declined.as_ref().map(card_error),
    })
}

/// The `at`-th refund of a payment.
pub(super) fn refund(id: &str, intent: &Intent, at: usize) -> Option<Value> {
    let (name, amount) = intent.refunds.get(at)?;
    Some(json!({
        "id": format!("re_{id}_{at}"),
        "object": "refund",
        "amount": amount,
        "currency": intent.money.currency.to_string().to_lowercase(),
        "payment_intent": id,
        "status": "succeeded",
        "metadata": { metadata_key(Operation::Refund): name.to_string() },
    }))
}

/// The place of a call's refund among those of its payment.
pub(super) fn place(intent: &Intent, name: CallName) -> usize {
    intent.refunds.iter().position(|(of, _)| *of == name).unwrap_or(usize::MAX)
}

/// What a bank said about a card: its words, and the code behind them.
pub(super) fn card_error(reason: &Reason) -> Value {
    let (message, code) = reason.as_str().rsplit_once(" (").unwrap_or((reason.as_str(), "generic_decline)"));
    json!({
        "type": "card_error",
        "code": "card_declined",
        "decline_code": code.trim_end_matches(')'),
        "message": message,
    })
}

/// What is told, with the object as it was then, as far as it is read.
pub(super) fn event(simulated: &Simulated, callback: &Callback, now_ms: u64) -> String {
    let id = callback.object.as_str();
    let found = simulated.intent(id).expect("what is told of is in the bank");
    let (kind, status) = match (callback.operation, &callback.outcome) {
        (Operation::Authorize, Outcome::Done { .. }) => {
            ("payment_intent.amount_capturable_updated", "requires_capture")
        }
        (Operation::Authorize, _) => ("payment_intent.payment_failed", "requires_payment_method"),
        (Operation::Capture, _) => ("payment_intent.succeeded", "succeeded"),
        (Operation::Void, _) => ("payment_intent.canceled", "canceled"),
        (Operation::Refund, _) => ("refund.created", "succeeded"),
    };
    let mut object = match (callback.operation, callback.attempt) {
        (Operation::Refund, Some(attempt)) => {
            let name = CallName { payment: callback.payment, operation: Operation::Refund, attempt };
            refund(id, found, place(found, name)).expect("what is told of is in the bank")
        }
        _ => intent(id, found),
    };
    object["status"] = json!(status);
    json!({
        "id": callback.event.as_str(),
        "object": "event",
        "created": now_ms / 1_000,
        "type": kind,
        "data": { "object": object },
    })
    .to_string()
}
