//! The provider's API: a request to what the bank is asked, and what it says to an answer.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use kontor_core::money::{Currency, Money};
use kontor_core::payment::call::{CallName, MethodToken, ProviderObject};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{SECRET_KEY, Shared, objects};
use crate::card::{CardNumber, Expiry};
use crate::provider::NoToken;
use crate::simulated::{Ask, Deed, Fault, NO_CARD, Said, Simulated};

type Body = Either<Full<Bytes>, Channel<Bytes, io::Error>>;
type Fields = BTreeMap<String, String>;

/// An answer before faults come over it.
struct Spoken {
    status: StatusCode,
    body: Value,
    is_replayed: bool,
}

pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.clone(), head.uri.path().to_owned());
    let query = fields(head.uri.query().unwrap_or_default());
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {path}"));

    let is_known = header(AUTHORIZATION.as_str()).is_some_and(|value| value == format!("Bearer {SECRET_KEY}"));
    if !is_known {
        return Ok(whole(invalid(StatusCode::UNAUTHORIZED, "Invalid API Key provided."), &[]));
    }
    let key = header("idempotency-key");
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (fault, said) = match (&method, parts.as_slice()) {
        (&Method::POST, ["v1", "payment_methods"]) => (None, Some(tokenize(&shared, &fields(&text)))),
        (&Method::GET, rest) => {
            let mut simulated = shared.simulated();
            let fault = simulated.reading();
            (fault, Some(read(&simulated, rest, &query)))
        }
        (_, rest) => match ask(&shared, rest, &fields(&text), key.as_deref(), format!("{path} {text}")) {
            Ok(ask) => serve(&shared, &ask),
            Err(said) => (None, Some(said)),
        },
    };
    let repeats = shared.repeats_errors.load(Ordering::SeqCst);
    if let (true, Some(key)) = (repeats, &key) {
        let mut failed = shared.failed_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let is_replayed = failed.contains(key);
        if is_replayed || matches!(fault, Some(Fault::ErrorBefore | Fault::ErrorAfter)) {
            failed.insert(key.clone());
            return Ok(whole(Spoken { is_replayed, ..failure() }, &[]));
        }
    }
    let said = said.unwrap_or_else(failure);
    let latency_ms = shared.simulated().latency_ms();
    if latency_ms > 0 {
        let _ = timeout(Duration::from_millis(latency_ms), pending::<()>()).await;
    }
    match fault {
        None | Some(Fault::Decline) => Ok(whole(said, &[])),
        Some(Fault::Slow { ms }) => {
            let _ = timeout(Duration::from_millis(ms), pending::<()>()).await;
            Ok(whole(said, &[]))
        }
        Some(Fault::ErrorBefore | Fault::ErrorAfter) => Ok(whole(failure(), &[])),
        Some(Fault::Busy { after_ms }) => {
            let busy = invalid(StatusCode::TOO_MANY_REQUESTS, "Too many requests.");
            Ok(whole(busy, &[(RETRY_AFTER.as_str(), after_ms.div_ceil(1_000).to_string())]))
        }
        Some(Fault::Reset) => half(&said).await,
        Some(Fault::TimeoutBefore | Fault::TimeoutAfter) => {
            shared.unanswered.notify_one();
            pending().await
        }
    }
}

/// Asks the bank, unless the key is one whose failure is repeated.
fn serve(shared: &Shared, ask: &Ask) -> (Option<Fault>, Option<Spoken>) {
    let failed = shared.failed_keys.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.contains(&ask.name.to_string()) {
        return (None, None);
    }
    drop(failed);
    let mut simulated = shared.simulated();
    let turn = simulated.turn(shared.now_ms(), ask);
    (turn.fault, turn.said.map(|(said, is_first)| Spoken { is_replayed: !is_first, ..say(&simulated, ask, said) }))
}

fn ask(shared: &Shared, parts: &[&str], form: &Fields, key: Option<&str>, print: String) -> Result<Ask, Spoken> {
    let bad = |words: &str| invalid(StatusCode::BAD_REQUEST, words);
    let field = |name: &str| form.get(name).map(String::as_str).ok_or_else(|| bad(&format!("Missing: {name}.")));
    let object = |id: &str| ProviderObject::parse(id).map_err(|error| bad(&error.to_string()));
    let amount = |name: &str| field(name)?.parse::<i64>().map_err(|_| bad("An amount is an integer."));
    // The bank of this fake wants names of calls as keys; the real one takes any text.
    let name = key.and_then(CallName::parse).ok_or_else(|| bad("Missing: the name of a call as Idempotency-Key."))?;
    // What is done to a payment is done in its currency.
    let of_payment = |id: &str, amount: i64| match shared.simulated().intent(id) {
        Some(intent) => Ok(Money { amount, currency: intent.money.currency }),
        None => Err(missing(id)),
    };
    let deed = match parts {
        ["v1", "payment_intents"] => {
            if (field("capture_method")?, field("confirm")?) != ("manual", "true") {
                return Err(bad("This fake confirms at once and captures later."));
            }
            if field("metadata[kontor_authorize]")? != name.to_string() {
                return Err(bad("The name of the call is the key."));
            }
            let currency = Currency::parse(&field("currency")?.to_uppercase()).map_err(|e| bad(&e.to_string()))?;
            let method = MethodToken::parse(field("payment_method")?).map_err(|e| bad(&e.to_string()))?;
            Deed::Authorize { money: Money { amount: amount("amount")?, currency }, method }
        }
        ["v1", "payment_intents", id, "capture"] => {
            Deed::Capture { object: object(id)?, money: of_payment(id, amount("amount_to_capture")?)? }
        }
        ["v1", "payment_intents", id, "cancel"] => Deed::Void { object: object(id)? },
        ["v1", "refunds"] => {
            let id = field("payment_intent")?;
            Deed::Refund { object: object(id)?, money: of_payment(id, amount("amount")?)? }
        }
        _ => return Err(invalid(StatusCode::NOT_FOUND, "Unrecognized request URL.")),
    };
    Ok(Ask { name, deed, print })
}

fn say(simulated: &Simulated, ask: &Ask, said: Said) -> Spoken {
    let shown = |object: &ProviderObject| {
        let intent = simulated.intent(object.as_str()).expect("what the bank speaks of is there");
        match ask.deed {
            Deed::Refund { .. } => objects::refund(object.as_str(), intent, objects::place(intent, ask.name)),
            _ => Some(objects::intent(object.as_str(), intent)),
        }
    };
    let (status, body) = match &said {
        Said::Done { object } => (StatusCode::OK, shown(object).unwrap_or_default()),
        Said::WasDone { object } => {
            let mut answer = invalid(StatusCode::BAD_REQUEST, "The payment's status does not allow this.");
            answer.body["error"]["code"] = json!("payment_intent_unexpected_state");
            answer.body["error"]["payment_intent"] = json!(shown(object));
            return answer;
        }
        Said::Declined { object, reason } => {
            let mut error = objects::card_error(reason);
            error["payment_intent"] = json!(object.as_ref().and_then(shown));
            (StatusCode::PAYMENT_REQUIRED, json!({ "error": error }))
        }
        Said::Refused { reason } => {
            let is_missing = reason.as_str().starts_with("No such");
            let status = if is_missing { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
            return invalid(status, reason.as_str());
        }
        Said::KeyReused => {
            let message = "Keys for idempotent requests can only be used with the same parameters.";
            (StatusCode::BAD_REQUEST, json!({ "error": { "type": "idempotency_error", "message": message } }))
        }
    };
    Spoken { status, body, is_replayed: false }
}

fn read(simulated: &Simulated, parts: &[&str], query: &Fields) -> Spoken {
    let list = |data: Vec<Value>, has_more: bool| ok(json!({ "object": "list", "data": data, "has_more": has_more }));
    match parts {
        ["v1", "payment_intents", "search"] => {
            let query = query.get("query").map(String::as_str).unwrap_or_default();
            let name = query.strip_prefix("metadata[\"kontor_authorize\"]:\"").and_then(|rest| rest.strip_suffix('"'));
            let Some(name) = name.and_then(CallName::parse) else {
                return invalid(StatusCode::BAD_REQUEST, "This fake searches for metadata[\"kontor_authorize\"].");
            };
            let found = simulated.intents().filter(|(_, intent)| intent.made_by == name);
            list(found.map(|(id, intent)| objects::intent(id, intent)).collect(), false)
        }
        ["v1", "payment_intents", id] => {
            simulated.intent(id).map_or_else(|| missing(id), |intent| ok(objects::intent(id, intent)))
        }
        ["v1", "refunds"] => {
            let id = query.get("payment_intent").map(String::as_str).unwrap_or_default();
            let Some(intent) = simulated.intent(id) else { return missing(id) };
            let refunds: Vec<Value> = (0..).map_while(|at| objects::refund(id, intent, at)).collect();
            let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(10);
            // Newest first, from after the one that was named.
            let newest = refunds.iter().rev();
            let after = query.get("starting_after");
            let rest: Vec<Value> = match after {
                Some(after) => newest.skip_while(|refund| refund["id"] != **after).skip(1).cloned().collect(),
                None => newest.cloned().collect(),
            };
            list(rest.iter().take(limit).cloned().collect(), rest.len() > limit)
        }
        _ => invalid(StatusCode::NOT_FOUND, "Unrecognized request URL."),
    }
}

fn tokenize(shared: &Shared, form: &Fields) -> Spoken {
    let number = form.get("card[number]").and_then(|digits| CardNumber::parse(digits).ok());
    let part = |name: &str| form.get(name).and_then(|text| text.parse::<u16>().ok());
    let month = part("card[exp_month]").and_then(|month| u8::try_from(month).ok());
    let expiry = month.zip(part("card[exp_year]")).map(|(month, year)| Expiry::new(month, year));
    let (Some(number), Some(Ok(_))) = (number, expiry) else {
        return invalid(StatusCode::BAD_REQUEST, "A card has a number and a month until which it is good.");
    };
    match shared.simulated().tokenize(&number) {
        Ok(token) => ok(json!({ "id": token.as_str(), "object": "payment_method" })),
        Err(NoToken::Refused { .. } | NoToken::Trouble(_)) => {
            let message = NO_CARD.split(" (").next();
            let error = json!({ "type": "card_error", "code": "incorrect_number", "message": message });
            Spoken { status: StatusCode::PAYMENT_REQUIRED, body: json!({ "error": error }), is_replayed: false }
        }
    }
}

fn missing(id: &str) -> Spoken {
    invalid(StatusCode::NOT_FOUND, &format!("No such payment_intent: '{id}'"))
}

fn ok(body: Value) -> Spoken {
    Spoken { status: StatusCode::OK, body, is_replayed: false }
}

fn invalid(status: StatusCode, message: &str) -> Spoken {
    let body = json!({ "error": { "type": "invalid_request_error", "message": message } });
    Spoken { status, body, is_replayed: false }
}

fn failure() -> Spoken {
    let body = json!({ "error": { "type": "api_error", "message": "Something went wrong on our end." } });
    Spoken { status: StatusCode::INTERNAL_SERVER_ERROR, body, is_replayed: false }
}

fn whole(said: Spoken, headers: &[(&str, String)]) -> Response<Body> {
    let mut response = Response::builder().status(said.status).header(CONTENT_TYPE, "application/json");
    if said.is_replayed {
        response = response.header("idempotent-replayed", "true");
    }
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(Either::Left(Full::from(said.body.to_string()))).expect("headers of this file are plain")
}

/// An answer that breaks off in the middle.
async fn half(said: &Spoken) -> io::Result<Response<Body>> {
    let bytes = Bytes::from(said.body.to_string());
    let (mut sender, body) = Channel::new(1);
    sender.send_data(bytes.slice(..bytes.len() / 2)).await.map_err(io::Error::other)?;
    sender.abort(io::Error::other("the answer is to break off"));
    let response = Response::builder().status(said.status).header(CONTENT_LENGTH, bytes.len());
    Ok(response.body(Either::Right(body)).expect("headers of this file are plain"))
}

fn fields(text: &str) -> Fields {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (unescape(name), unescape(value))).collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
