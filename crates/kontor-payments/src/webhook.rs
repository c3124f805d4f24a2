//! What a provider tells by itself: signed by a secret that both know, and read into what it says of a call.
//!
//! It may come twice, late, and before the answer of the call that it is about. Whoever takes it keeps its
//! [`ProviderEvent`] with the effect.

use hmac::{Hmac, KeyInit as _, Mac as _};
use kontor_core::id::PaymentId;
use kontor_core::payment::call::{CallName, Operation, Outcome, ProviderEvent, ProviderObject};
use kontor_core::text::hex;
use serde::Deserialize;
use sha2::Sha256;

use crate::limits::{SIGNATURE_TOLERANCE_S, SIGNATURES_MAX};
use crate::payment_intents::wire::{Intent, Refund};
use crate::secret::Secret;

/// The header that holds time and signatures.
pub const SIGNATURE_HEADER: &str = "stripe-signature";

/// What a provider says of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The provider's id of what it tells: the same when it is told again.
    pub event: ProviderEvent,
    /// The provider's id of the payment.
    pub object: ProviderObject,
    /// Of which payment.
    pub payment: PaymentId,
    /// What was asked for. A void may be the provider's own doing, when it has held the money long enough.
    pub operation: Operation,
    /// Which call of the payment, if the provider knows.
    pub attempt: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Why a callback is not taken for the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// The header is not of the form `t=…,v1=…`.
    #[error("the signature has not the form t=…,v1=…")]
    Form,
    /// It was signed too long ago, or by a clock that is wrong.
    #[error("it was signed more than {SIGNATURE_TOLERANCE_S} s before or after now")]
    Time,
    /// No signature is one of the secret's.
    #[error("no signature fits")]
    Signature,
}

/// The body is signed, and is not what a provider sends.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// It is no JSON, or lacks what all callbacks have.
    #[error("the callback cannot be read")]
    Json(#[from] serde_json::Error),
    /// An id that is none.
    #[error("the callback has an unusable id")]
    Id(#[from] kontor_core::text::TextError),
}

/// Checks that a body was signed lately by somebody who knows one of these secrets: while a secret is replaced,
/// there are two. All times are in seconds since 1970.
pub fn verify(secrets: &[Secret], header: &str, body: &[u8], now_s: u64) -> Result<(), NotSigned> {
    let mut signed_s = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or(NotSigned::Form)?;
        match name {
            "t" if signed_s.is_some() => return Err(NotSigned::Form),
            "t" => signed_s = Some(value),
            "v1" if signatures.len() == SIGNATURES_MAX => return Err(NotSigned::Form),
            "v1" => signatures.push(value),
            // Other versions of the scheme may stand beside the one that is known.
            _ => {}
        }
    }
    let time = signed_s.ok_or(NotSigned::Form)?;
    let signed_s: u64 = time.parse().map_err(|_| NotSigned::Form)?;
    if signatures.is_empty() {
        return Err(NotSigned::Form);
    }
    // The signature is looked at first: a stranger is not told how far away our clock is.
    let fits = |secret: &Secret| {
        let signed = signed(secret, time, body);
        // Compared in constant time.
        signatures.iter().filter_map(|text| unhex(text)).any(|bytes| signed.clone().verify_slice(&bytes).is_ok())
    };
    if !secrets.iter().any(fits) {
        return Err(NotSigned::Signature);
    }
    if now_s.abs_diff(signed_s) > SIGNATURE_TOLERANCE_S {
        return Err(NotSigned::Time);
    }
    Ok(())
}

/// The header of a body that is signed at this time.
pub fn sign(secret: &Secret, body: &[u8], now_s: u64) -> String {
    let time = now_s.to_string();
    let signature = signed(secret, &time, body).finalize().into_bytes();
    format!("t={time},v1={}", hex(&signature))
}

/// Reads a callback; `None` if it says nothing about a call of ours, now or ever. It is taken nevertheless.
pub fn read(body: &[u8]) -> Result<Option<Callback>, NotRead> {
    let Told { id, r#type, data } = serde_json::from_slice(body)?;
    let event = ProviderEvent::parse(id)?;
    let (name, object, outcome, is_exact) = match r#type.as_str() {
        "payment_intent.amount_capturable_updated" | "payment_intent.payment_failed" => {
            let intent: Intent = serde_json::from_value(data.object)?;
            let outcome = intent.outcome(Operation::Authorize);
            (intent.call(Operation::Authorize), intent.id, outcome, true)
        }
        "payment_intent.succeeded" => {
            let intent: Intent = serde_json::from_value(data.object)?;
            let outcome = intent.outcome(Operation::Capture);
            (intent.call(Operation::Capture), intent.id, outcome, true)
        }
        "payment_intent.canceled" => {
            let intent: Intent = serde_json::from_value(data.object)?;
            let outcome = intent.outcome(Operation::Void);
            // The last thing that is known of it: a void takes no words along.
            (intent.call(Operation::Authorize), intent.id, outcome, false)
        }
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            let refund: Refund = serde_json::from_value(data.object)?;
            let outcome = refund.outcome();
            (refund.call(), refund.payment_intent.unwrap_or_default(), outcome, true)
        }
        _ => return Ok(None),
    };
    let (Some(name), Some(outcome)) = (name, outcome) else { return Ok(None) };
    let object = ProviderObject::parse(object)?;
    let (operation, attempt) = if is_exact { (name.operation, Some(name.attempt)) } else { (Operation::Void, None) };
    Ok(Some(Callback { event, object, payment: name.payment, operation, attempt, outcome }))
}

#[derive(Deserialize)]
struct Told {
    id: String,
    r#type: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: serde_json::Value,
}

fn signed(secret: &Secret, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any length is a key");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(16 * digit(*high)? + digit(*low)?));
    rest.is_empty().then(|| bytes.collect())?
}

impl Intent {
    /// Which call of ours its words are about; `None` if it is not ours.
    fn call(&self, operation: Operation) -> Option<CallName> {
        CallName::parse(self.metadata.get(metadata_key(operation))?)
    }
}

impl Refund {
    fn call(&self) -> Option<CallName> {
        CallName::parse(self.metadata.get(metadata_key(Operation::Refund))?)
    }
}

/// Under which name a provider keeps the name of a call: one for each operation, as a capture is told of the same
/// object that an authorization has made.
pub(crate) fn metadata_key(operation: Operation) -> &'static str {
    match operation {
        Operation::Authorize => "kontor_authorize",
        Operation::Capture => "kontor_capture",
        Operation::Void => "kontor_void",
        Operation::Refund => "kontor_refund",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).expect("a secret")
    }

    /// Computed with `printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
    const KNOWN: &str = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";

    #[test]
    fn a_known_body_has_a_known_signature() {
        let header = sign(&secret("whsec_test"), br#"{"id":"evt_1"}"#, 1_700_000_000);
        assert_eq!(header, format!("t=1700000000,v1={KNOWN}"));
    }

    #[test]
    fn a_callback_is_taken_from_whoever_knows_the_secret_and_in_time() {
        let (now_s, body) = (1_700_000_000, br#"{"id":"evt_1"}"#.as_slice());
        let [own, old, wrong] = ["whsec_test", "whsec_old", "whsec_wrong"].map(secret);
        let v1 = |secret: &Secret| sign(secret, body, now_s).split_once(',').expect("a comma").1.to_owned();
        let (fits, fails) = (v1(&own), v1(&wrong));
        let zero = format!("v1={}", "0".repeat(64));
        let rows: &[(String, Result<(), NotSigned>)] = &[
            (format!("t={now_s},{fits}"), Ok(())),
            (format!("t={now_s}, {fits}"), Ok(())),
            (format!("{fits},t={now_s}"), Ok(())),
            (format!("t={now_s},{}", fits.to_uppercase().replace("V1", "v1")), Ok(())),
            (format!("t={now_s},v0=abc,{zero},{fails},{fits}"), Ok(())),
            (format!("t={now_s},{}", v1(&old)), Ok(())),
            (sign(&own, body, now_s - 300), Ok(())),
            (sign(&own, body, now_s + 300), Ok(())),
            (sign(&own, body, now_s - 301), Err(NotSigned::Time)),
            (sign(&own, body, now_s + 301), Err(NotSigned::Time)),
            (sign(&wrong, body, now_s - 301), Err(NotSigned::Signature)),
            (format!("t={now_s},{fails}"), Err(NotSigned::Signature)),
            (format!("t={},{fits}", now_s + 1), Err(NotSigned::Signature)),
            (format!("t=0{now_s},{fits}"), Err(NotSigned::Signature)),
            (format!("t={now_s},{zero}"), Err(NotSigned::Signature)),
            (format!("t={now_s},{}", &fits[..fits.len() - 2]), Err(NotSigned::Signature)),
            (format!("t={now_s},{fits}0"), Err(NotSigned::Signature)),
            (format!("t={now_s},v1="), Err(NotSigned::Signature)),
            (format!("t={now_s},v1=é"), Err(NotSigned::Signature)),
            (format!("t={now_s}"), Err(NotSigned::Form)),
            (fits.clone(), Err(NotSigned::Form)),
            (format!("t={now_s},t={now_s},{fits}"), Err(NotSigned::Form)),
            (format!("t=,{fits}"), Err(NotSigned::Form)),
            (format!("t={now_s},{}", [zero.as_str(); 17].join(",")), Err(NotSigned::Form)),
            (String::new(), Err(NotSigned::Form)),
        ];
        let secrets = [own, old];
        for (header, expected) in rows {
            assert_eq!(verify(&secrets, header, body, now_s), *expected, "{header}");
        }
        let header = sign(&secrets[0], body, now_s);
        assert_eq!(verify(&secrets, &header, br#"{"id":"evt_2"}"#, now_s), Err(NotSigned::Signature));
        assert_eq!(verify(&[], &header, body, now_s), Err(NotSigned::Signature), "nobody is believed without a secret");
    }

    proptest::proptest! {
        /// Strangers may post anything.
        #[test]
        fn nothing_that_is_posted_breaks_the_reader(header in "(t=[0-9]{0,22}|v1=[0-9a-fé]{0,66}|,|=|.){0,8}", body: Vec<u8>) {
            proptest::prop_assert!(verify(&[secret("whsec_test")], &header, &body, 1).is_err());
            proptest::prop_assert!(read(&body).is_err());
        }
    }

    #[test]
    fn what_is_told_is_read_into_what_became_of_a_call() {
        let payment = format!("pay_{}_1", "07".repeat(16));
        let intent = |status: &str, more: &str| {
            format!(
                r#"{{"id":"pi_1","status":"{status}","metadata":{{"kontor_authorize":"{payment}-authorize-1","kontor_capture":"{payment}-capture-2"}}{more}}}"#
            )
        };
        let refund = |status: &str| {
            format!(
                r#"{{"id":"re_1","status":"{status}","payment_intent":"pi_1","failure_reason":"lost","metadata":{{"kontor_refund":"{payment}-refund-3"}}}}"#
            )
        };
        let declined = r#","last_payment_error":{"message":"No.","decline_code":"do_not_honor"}"#;
        let done = || Some("done");
        use Operation::{Authorize, Capture, Refund, Void};
        let rows = [
            ("payment_intent.amount_capturable_updated", intent("requires_capture", ""), Authorize, Some(1), done()),
            (
                "payment_intent.payment_failed",
                intent("requires_payment_method", declined),
                Authorize,
                Some(1),
                Some("No. (do_not_honor)"),
            ),
            ("payment_intent.succeeded", intent("succeeded", ""), Capture, Some(2), done()),
            ("payment_intent.canceled", intent("canceled", ""), Void, None, done()),
            ("refund.created", refund("pending"), Refund, Some(3), done()),
            ("refund.updated", refund("succeeded"), Refund, Some(3), done()),
            ("refund.failed", refund("failed"), Refund, Some(3), Some("the refund is failed: lost")),
            ("refund.created", refund("requires_action"), Refund, Some(3), None),
            ("charge.captured", intent("succeeded", ""), Capture, Some(2), None),
            (
                "payment_intent.succeeded",
                r#"{"id":"pi_9","status":"succeeded","metadata":{}}"#.to_owned(),
                Capture,
                None,
                None,
            ),
            ("payment_intent.succeeded", r#"{"id":"pi_9","status":"succeeded"}"#.to_owned(), Capture, None, None),
        ];
        for (kind, object, operation, attempt, words) in rows {
            let body = format!(r#"{{"id":"evt_1","type":"{kind}","data":{{"object":{object}}}}}"#);
            let read = read(body.as_bytes()).expect("readable");
            assert_eq!(read.is_some(), words.is_some(), "{kind} {object}");
            let Some(callback) = read else { continue };
            assert_eq!((callback.operation, callback.attempt), (operation, attempt), "{kind}");
            assert_eq!((callback.object.as_str(), callback.payment.to_string()), ("pi_1", payment.clone()), "{kind}");
            let said = match callback.outcome {
                Outcome::Done { .. } => "done".to_owned(),
                Outcome::Declined { reason } | Outcome::Refused { reason } => reason.to_string(),
            };
            assert_eq!(Some(said.as_str()), words, "{kind}");
        }
        for body in [
            "",
            "{}",
            "[]",
            r#"{"id":"","type":"x","data":{"object":1}}"#,
            r#"{"id":"e","type":"payment_intent.succeeded","data":{"object":1}}"#,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
