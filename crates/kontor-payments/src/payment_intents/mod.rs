//! A provider over HTTP, in the shape of Stripe's PaymentIntents: an amount is set aside by creating an intent and
//! confirming it at once, and paid out, given up or given back later.
//!
//! ```text
//! authorize  POST /v1/payment_intents            capture_method=manual, confirm=true
//! capture    POST /v1/payment_intents/pi_…/capture
//! void       POST /v1/payment_intents/pi_…/cancel
//! refund     POST /v1/refunds
//! look up    GET  /v1/payment_intents/search, /v1/payment_intents/pi_…, /v1/refunds
//! tokenize   POST /v1/payment_methods
//! ```
//!
//! What an answer means is decided in one place, [`verdict`]: only what the provider itself says in so many words is
//! an outcome; whatever else comes leaves the call open.

mod exchange;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use kontor_core::payment::call::{Call, MethodToken, Operation, Outcome, Trouble};
use serde::de::DeserializeOwned;

use crate::card::Card;
use crate::limits::{KEY_LIFETIME_MS, PROVIDER_ANSWER, REFUND_PAGES_MAX};
use crate::provider::{Answer, NoToken, Provider};
use crate::secret::Secret;
use crate::settings::SettingsError;
use crate::simulated::no_object;
use crate::webhook::metadata_key;
use crate::words;
use exchange::{Exchange, Form, Patience, Reply, escape, not_done, unknown};
use wire::{Complaint, Failure, Intent, Method, Page, Refund, minor_units};

/// A provider over HTTP. Clones share its connections.
#[derive(Clone)]
pub struct PaymentIntents {
    exchange: Arc<Exchange>,
}

impl PaymentIntents {
    /// The provider at an address such as `https://api.stripe.com`, which knows us by a secret.
    pub fn new(url: &str, secret: &Secret) -> Result<Self, SettingsError> {
        Self::with_patience(url, secret, PROVIDER_ANSWER)
    }

    /// The same, with another time to wait for an answer.
    pub fn with_patience(url: &str, secret: &Secret, patience: Duration) -> Result<Self, SettingsError> {
        Ok(Self { exchange: Arc::new(Exchange::new(url, secret, Patience::For(patience))?) })
    }

    /// The same, which waits for an answer until it is told not to.
    #[cfg(feature = "fake")]
    pub fn patient_until(url: &str, secret: &Secret, told: Arc<tokio::sync::Notify>) -> Result<Self, SettingsError> {
        Ok(Self { exchange: Arc::new(Exchange::new(url, secret, Patience::Until(told))?) })
    }

    async fn ask(&self, call: &Call) -> Result<Outcome, Trouble> {
        let name = (metadata(call.operation), call.key());
        let form = Form::new().with(&name.0, &name.1);
        let amount = || minor_units(call.money).map(|amount| amount.to_string());
        let refused = |words| Ok(Outcome::Refused { reason: words::reason(words) });
        let (path, form) = match (call.operation, &call.object) {
            (Operation::Authorize, _) => {
                let amount = match amount() {
                    Ok(amount) => amount,
                    Err(words) => return refused(words),
                };
                let form = form
                    .with("amount", &amount)
                    .with("currency", &call.money.currency.to_string().to_lowercase())
                    .with("payment_method", call.method.as_str())
                    .with("payment_method_types[]", "card")
                    .with("capture_method", "manual")
                    .with("confirm", "true")
                    // Nobody is there to be asked for a password: whoever wants one declines.
                    .with("error_on_requires_action", "true");
                ("/v1/payment_intents".to_owned(), form)
            }
            (_, None) => return Ok(no_object()),
            (Operation::Capture, Some(object)) => {
                let amount = match amount() {
                    Ok(amount) => amount,
                    Err(words) => return refused(words),
                };
                (intent_path(object.as_str(), "/capture"), form.with("amount_to_capture", &amount))
            }
            // A cancellation takes no words along.
            (Operation::Void, Some(object)) => (intent_path(object.as_str(), "/cancel"), Form::new()),
            (Operation::Refund, Some(object)) => {
                let amount = match amount() {
                    Ok(amount) => amount,
                    Err(words) => return refused(words),
                };
                ("/v1/refunds".to_owned(), form.with("payment_intent", object.as_str()).with("amount", &amount))
            }
        };
        let reply = self.exchange.post(&path, Some(&name.1), form).await?;
        if reply.status.is_server_error() && reply.is_replayed {
            // The provider has failed once and repeats that for as long as it remembers the key, so the key is of no
            // more use, and what was done has to be looked at.
            let found = self.look(call).await?;
            return found.ok_or_else(|| unknown("the provider failed, and repeats that".to_owned()));
        }
        verdict(call.operation, &reply)
    }

    async fn look(&self, call: &Call) -> Result<Option<Outcome>, Trouble> {
        match (call.operation, &call.object) {
            (Operation::Authorize, _) => {
                let query = format!("metadata[\"{}\"]:\"{}\"", metadata_key(call.operation), call.key());
                let mut path = "/v1/payment_intents/search?query=".to_owned();
                escape(&mut path, &query);
                let page: Page<Intent> = self.read(&path).await?;
                Ok(page.data.first().map(|intent| open_or(intent, call.operation)).transpose()?.flatten())
            }
            (_, None) => Ok(Some(no_object())),
            (Operation::Capture | Operation::Void, Some(object)) => {
                let intent: Intent = self.read(&intent_path(object.as_str(), "")).await?;
                open_or(&intent, call.operation)
            }
            (Operation::Refund, Some(object)) => self.look_for_refund(object.as_str(), &call.key()).await,
        }
    }

    async fn look_for_refund(&self, object: &str, key: &str) -> Result<Option<Outcome>, Trouble> {
        let mut after = String::new();
        for _ in 0..REFUND_PAGES_MAX {
            let mut path = "/v1/refunds?limit=100&payment_intent=".to_owned();
            escape(&mut path, object);
            path.push_str(&after);
            let page: Page<Refund> = self.read(&path).await?;
            let of_call =
                |refund: &&Refund| refund.metadata.get(metadata_key(Operation::Refund)).is_some_and(|of| of == key);
            if let Some(refund) = page.data.iter().find(of_call) {
                let open = || unknown(format!("the refund is {}", refund.status.as_deref().unwrap_or("open")));
                return refund.outcome().map(Some).ok_or_else(open);
            }
            let Some(last) = page.data.last().filter(|_| page.has_more) else { return Ok(None) };
            after = "&starting_after=".to_owned();
            escape(&mut after, &last.id);
        }
        Err(unknown("the payment has more refunds than are looked through".to_owned()))
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let reply = self.exchange.get(path).await?;
        if !reply.status.is_success() {
            return Err(left_open(&reply, &complaint(&reply.body)));
        }
        serde_json::from_slice(&reply.body).map_err(|error| unknown(format!("the answer cannot be read: {error}")))
    }

    async fn exchange_card(&self, card: Card) -> Result<MethodToken, NoToken> {
        let form = Form::new().with("type", "card").with("card[number]", card.number.digits());
        let form = match card.expires {
            Some(until) => form
                .with("card[exp_month]", &until.month().to_string())
                .with("card[exp_year]", &until.year().to_string()),
            None => form,
        };
        drop(card);
        let reply = self.exchange.post("/v1/payment_methods", None, form).await.map_err(NoToken::Trouble)?;
        let unreadable = || NoToken::Trouble(unknown("the answer cannot be read".to_owned()));
        if reply.status.is_success() {
            let method: Method = serde_json::from_slice(&reply.body).map_err(|_| unreadable())?;
            return MethodToken::parse(method.id).map_err(|_| unreadable());
        }
        match complaint(&reply.body) {
            Some(complaint) if matches!(reply.status.as_u16(), 400 | 402 | 404) => {
                Err(NoToken::Refused { reason: words::reason(&complaint.words()) })
            }
            complaint => Err(NoToken::Trouble(left_open(&reply, &complaint))),
        }
    }
}

impl Provider for PaymentIntents {
    fn call<'a>(&'a self, call: &'a Call) -> Answer<'a, Result<Outcome, Trouble>> {
        Box::pin(self.ask(call))
    }

    /// What has no object yet is searched for. The provider's index is a minute behind, or an hour when it has
    /// trouble; what is looked up half a day after it was sent is in it.
    fn look_up<'a>(&'a self, call: &'a Call) -> Answer<'a, Result<Option<Outcome>, Trouble>> {
        Box::pin(self.look(call))
    }

    fn tokenize(&self, card: Card) -> Answer<'_, Result<MethodToken, NoToken>> {
        Box::pin(self.exchange_card(card))
    }

    fn key_lifetime_ms(&self) -> u64 {
        KEY_LIFETIME_MS
    }
}

/// What an answer means.
///
/// | answer | means |
/// | --- | --- |
/// | 2xx with an object in its final state | done, or refused |
/// | 2xx otherwise | unknown |
/// | 402 about a card | declined |
/// | 400, 404 in the provider's form | refused, unless the object shows that it has been done already |
/// | the same, and the object shows that it is being done | unknown |
/// | 400 because the key was used otherwise | unknown: somebody has done something under it |
/// | 401, 403, 429 | not done: nobody has looked at what was asked |
/// | 409 | unknown: the same is being done now |
/// | all others | unknown |
fn verdict(operation: Operation, reply: &Reply) -> Result<Outcome, Trouble> {
    if reply.status.is_success() {
        return finished(operation, &reply.body);
    }
    let complaint = complaint(&reply.body);
    let kind = complaint.as_ref().and_then(|complaint| complaint.kind.as_deref());
    match (reply.status.as_u16(), complaint.as_ref(), kind) {
        (402, Some(complaint), Some("card_error")) => {
            Ok(Outcome::Declined { reason: words::reason(&complaint.words()) })
        }
        (400 | 402 | 404, Some(complaint), Some("invalid_request_error" | "card_error"))
            if complaint.payment_intent.as_ref().is_none_or(|intent| intent.status != "processing") =>
        {
            let is_done = complaint.payment_intent.as_ref().and_then(|intent| intent.outcome(operation));
            let done =
                is_done.filter(|outcome| operation != Operation::Authorize && matches!(outcome, Outcome::Done { .. }));
            Ok(done.unwrap_or_else(|| Outcome::Refused { reason: words::reason(&complaint.words()) }))
        }
        _ => Err(left_open(reply, &complaint)),
    }
}

fn finished(operation: Operation, body: &Bytes) -> Result<Outcome, Trouble> {
    let unreadable = |error: serde_json::Error| unknown(format!("the answer cannot be read: {error}"));
    if operation == Operation::Refund {
        let refund: Refund = serde_json::from_slice(body).map_err(unreadable)?;
        return refund.outcome().ok_or_else(|| unknown("the refund is open".to_owned()));
    }
    let intent: Intent = serde_json::from_slice(body).map_err(unreadable)?;
    intent.outcome(operation).ok_or_else(|| unknown(format!("the payment is {}", words::fit(&intent.status))))
}

/// What a payment that was looked up says of a call: an outcome, that it was not done, or nothing yet.
fn open_or(intent: &Intent, operation: Operation) -> Result<Option<Outcome>, Trouble> {
    match (intent.outcome(operation), intent.status.as_str()) {
        (Some(outcome), _) => Ok(Some(outcome)),
        (None, "processing") => Err(unknown("the payment is being processed".to_owned())),
        (None, _) => Ok(None),
    }
}

/// Why an answer ends nothing.
fn left_open(reply: &Reply, complaint: &Option<Complaint>) -> Trouble {
    let words = complaint.as_ref().map(|complaint| words::fit(&complaint.words())).unwrap_or_default();
    let why = format!("the provider answered {}: {words}", reply.status.as_u16());
    match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => not_done(why),
        StatusCode::TOO_MANY_REQUESTS => Trouble::NotDone { why, after_ms: reply.after_ms },
        _ => unknown(why),
    }
}

/// What the provider says is wrong; `None` if it is somebody else who answers.
fn complaint(body: &Bytes) -> Option<Complaint> {
    serde_json::from_slice::<Failure>(body).ok().map(|failure| failure.error)
}

fn intent_path(object: &str, rest: &str) -> String {
    let mut path = "/v1/payment_intents/".to_owned();
    escape(&mut path, object);
    path + rest
}

fn metadata(operation: Operation) -> String {
    format!("metadata[{}]", metadata_key(operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_is_safe() {
        let error = |kind: &str, more: &str| format!(r#"{{"error":{{"type":"{kind}","message":"Words."{more}}}}}"#);
        let intent = |status: &str| format!(r#"{{"id":"pi_1","status":"{status}"}}"#);
        let canceled = format!(r#","payment_intent":{}"#, intent("canceled"));
        let captured = format!(r#","payment_intent":{}"#, intent("succeeded"));
        let processing = format!(r#","payment_intent":{}"#, intent("processing"));
        use Operation::{Authorize, Capture, Refund, Void};
        let rows = [
            (200, Authorize, intent("requires_capture"), "done"),
            (200, Authorize, intent("processing"), "unknown"),
            (200, Authorize, intent("requires_payment_method"), "declined: requires_payment_method"),
            (200, Authorize, intent("requires_action"), "declined: requires_action"),
            (200, Authorize, "{".to_owned(), "unknown"),
            (200, Authorize, r#"{"id":"","status":"succeeded"}"#.to_owned(), "unknown"),
            (200, Capture, intent("succeeded"), "done"),
            (200, Capture, intent("requires_capture"), "unknown"),
            (200, Void, intent("canceled"), "done"),
            (200, Refund, r#"{"id":"re_1","status":"pending","payment_intent":"pi_1"}"#.to_owned(), "done"),
            (
                200,
                Refund,
                r#"{"id":"re_1","status":"failed","payment_intent":"pi_1"}"#.to_owned(),
                "refused: the refund is failed: no reason was given",
            ),
            (200, Refund, r#"{"id":"re_1","status":"requires_action","payment_intent":"pi_1"}"#.to_owned(), "unknown"),
            (
                402,
                Authorize,
                error("card_error", r#","code":"card_declined","decline_code":"lost_card""#),
                "declined: Words. (lost_card)",
            ),
            (402, Authorize, "<html>".to_owned(), "unknown"),
            (
                400,
                Authorize,
                error("invalid_request_error", r#","code":"parameter_missing""#),
                "refused: Words. (parameter_missing)",
            ),
            (400, Authorize, error("invalid_request_error", &captured), "refused: Words."),
            (400, Capture, error("invalid_request_error", &captured), "done"),
            (400, Capture, error("invalid_request_error", &canceled), "refused: Words."),
            (400, Void, error("invalid_request_error", &canceled), "done"),
            (400, Void, error("invalid_request_error", &captured), "refused: Words."),
            (400, Capture, error("invalid_request_error", &processing), "unknown"),
            (400, Authorize, error("idempotency_error", ""), "unknown"),
            (404, Capture, error("invalid_request_error", ""), "refused: Words."),
            (404, Capture, "not found".to_owned(), "unknown"),
            (401, Capture, error("invalid_request_error", ""), "not done"),
            (403, Capture, error("invalid_request_error", ""), "not done"),
            (409, Capture, error("invalid_request_error", ""), "unknown"),
            (429, Capture, error("invalid_request_error", ""), "not done, after 3000"),
            (429, Capture, String::new(), "not done, after 3000"),
            (302, Capture, String::new(), "unknown"),
            (500, Capture, error("api_error", ""), "unknown"),
            (502, Capture, String::new(), "unknown"),
            (503, Capture, String::new(), "unknown"),
        ];
        for (status, operation, body, expected) in rows {
            let status = StatusCode::from_u16(status).expect("a status");
            let after_ms = (status == StatusCode::TOO_MANY_REQUESTS).then_some(3_000);
            let reply = Reply { status, after_ms, is_replayed: false, body: body.clone().into() };
            let said = match verdict(operation, &reply) {
                Ok(Outcome::Done { object }) if object.as_str() == "pi_1" => "done".to_owned(),
                Ok(Outcome::Done { object }) => panic!("{object}"),
                Ok(Outcome::Declined { reason }) => format!("declined: {reason}"),
                Ok(Outcome::Refused { reason }) => format!("refused: {reason}"),
                Err(Trouble::NotDone { after_ms: Some(after_ms), .. }) => format!("not done, after {after_ms}"),
                Err(Trouble::NotDone { .. }) => "not done".to_owned(),
                Err(Trouble::Unknown { .. }) => "unknown".to_owned(),
            };
            assert_eq!(said, expected, "{status} to {operation}: {body}");
        }
    }
}
