//! Requests that change something: who asks, under which key, on which revision, with which body.
//!
//! The site remembers an answer under the *scope* of its key, a digest of caller, operation and key,
//! and compares the *fingerprint* of the request, a digest of its path, precondition and content.
//!
//! The content is hashed as it was understood, and written again: white space, the order of fields and the
//! offset of a time do not matter, and no tree of values is built. A fingerprint outlives the release
//! that made it by days, so what is written must not change with the program: optional fields that were
//! not sent leave no trace (`skip_serializing_if` on every one), so a field that is added later changes
//! no fingerprint of a request without it; and released fields keep their names and their order. The
//! tests below hold every type of a body to that. There is no version in the digest: raising it would
//! refuse every repetition that is under way, which is what it would be there to prevent.

use axum::body::Body;
use axum::extract::{FromRequest, MatchedPath};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kontor_api::{Code, path};
use kontor_core::command::Idempotency;
use kontor_core::id::{Actor, RequestId, Sku};
use kontor_core::refusal::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::extract::{Caller, Shopper};
use crate::forward::{BUYER, Sent};
use crate::problem::{Problem, unreadable_json};

use crate::limits::IDEMPOTENCY_KEY_MAX;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request to change something, with its body. Taking it checks the key first: nobody without one
/// makes the server read a body.
pub(crate) struct Posted<T> {
    pub(crate) body: T,
    pub(crate) asked: Asked,
}

/// The same of whoever buys.
pub(crate) struct Shopped<T> {
    pub(crate) body: T,
    pub(crate) asked: Asked,
    pub(crate) shopper: Shopper,
}

/// Who asks for a change, and how it is told from other requests.
pub(crate) struct Asked {
    pub(crate) actor: Actor,
    pub(crate) request_id: RequestId,
    pub(crate) idempotency: Option<Idempotency>,
    precondition: Option<Precondition>,
    /// It is only asked what would happen.
    pub(crate) is_dry_run: bool,
    /// As it was sent, if it may be passed on to another site.
    pub(crate) sent: Option<Sent>,
    /// Another site has passed it on.
    pub(crate) is_forwarded: bool,
}

/// What `If-Match` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precondition {
    /// `*`: any revision.
    Any,
    /// One revision.
    Revision(u64),
    /// Something that no revision is called.
    Nothing,
}

impl Asked {
    /// A request that depends on no revision.
    pub(crate) fn plain(actor: Actor, request_id: RequestId, idempotency: Option<Idempotency>) -> Self {
        let (precondition, is_dry_run, sent, is_forwarded) = (None, false, None, false);
        Self { actor, request_id, idempotency, precondition, is_dry_run, sent, is_forwarded }
    }

    /// A request that needs no key, because it says itself what was done of it.
    pub(crate) fn without_key(caller: &Caller) -> Result<Self, Problem> {
        let (actor, request_id) = (caller.admin()?.actor.clone(), caller.ids.journaled());
        Ok(Self::plain(actor, request_id, None))
    }

    /// The revision that the caller has seen; `None` for any.
    pub(crate) fn expected(&self) -> Result<Option<u64>, Problem> {
        match self.precondition {
            None => Err(Problem::new(
                Code::PreconditionRequired,
                "send If-Match with the ETag of the revision that you edit, or *",
            )),
            Some(Precondition::Any) => Ok(None),
            Some(Precondition::Revision(revision)) => Ok(Some(revision)),
            // Revisions count edits from 1, so this one is never the newest.
            Some(Precondition::Nothing) => Ok(Some(0)),
        }
    }

    /// A refusal as the caller may know it: to whoever has no key, a draft is not there.
    pub(crate) fn as_told(&self, problem: Problem) -> Problem {
        let is_hidden = problem.code() == Code::ProductDraft && self.actor.as_str() == BUYER;
        match problem.fact("sku").filter(|_| is_hidden).and_then(|sku| Sku::parse(sku).ok()) {
            Some(sku) => Refusal::UnknownSku { sku }.into(),
            None => problem,
        }
    }

    /// The same where nobody needs to say it.
    pub(crate) fn expected_if_said(&self) -> Result<Option<u64>, Problem> {
        self.precondition.map_or(Ok(None), |_| self.expected())
    }
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        let caller = Caller::of(request.extensions());
        let holder = caller.admin()?;
        let (actor, is_forwarded) = (holder.actor.clone(), holder.is_of_another_site);
        let who = Who { actor, is_forwarded, token: &[], is_anybody: false };
        let (body, asked) = taken(request, app, &who).await?;
        Ok(Self { body, asked })
    }
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for Shopped<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        let shopper = Shopper::of(request.extensions(), request.headers())?;
        let holder = shopper.holder.as_ref();
        let nobody = || Actor::parse(BUYER).expect("a short word is an actor");
        let who = Who {
            actor: holder.map_or_else(nobody, |holder| holder.actor.clone()),
            is_forwarded: holder.is_some_and(|holder| holder.is_of_another_site),
            token: shopper.token.as_ref().filter(|_| !shopper.is_admin()).map(HeaderValue::as_bytes).unwrap_or(&[]),
            is_anybody: !shopper.is_admin() && shopper.token.is_none(),
        };
        let (body, asked) = taken(request, app, &who).await?;
        Ok(Self { body, asked, shopper })
    }
}

/// Who sends a request.
struct Who<'w> {
    actor: Actor,
    is_forwarded: bool,
    /// What tells those from each other who have no key.
    token: &'w [u8],
    /// Nothing tells the caller from anybody else. What somebody else was answered is not told to such a one.
    is_anybody: bool,
}

/// Reads a request that changes something.
async fn taken<T: DeserializeOwned + Serialize>(
    request: Request<Body>,
    app: &App,
    who: &Who<'_>,
) -> Result<(T, Asked), Problem> {
    let (head, body) = request.into_parts();
    let Parts { method, uri, headers, extensions, .. } = head;
    let names = Caller::of(&extensions).ids;
    let (actor, is_forwarded, request_id) = (who.actor.clone(), who.is_forwarded, names.journaled());
    let precondition = precondition(&headers)?;
    let operation = extensions.get::<MatchedPath>().map_or(uri.path(), MatchedPath::as_str);
    let key = idempotency_key(&headers, &method, operation)?.filter(|_| !who.is_anybody);
    let scope = key.map(|key| {
        let parts = [actor.as_str().as_bytes(), method.as_str().as_bytes(), operation.as_bytes(), key];
        match who.token {
            [] => digest(&parts),
            token => digest(&[parts.as_slice(), &[token]].concat()),
        }
    });
    let holds_personal = path::holds_personal(operation);
    let is_dry_run = is_dry_run(uri.query())?;
    let bytes = bytes_of(&headers, body, app).await?;
    let hide = |problem: Problem| if holds_personal { problem.without_values() } else { problem };
    let body: T = read_json(&bytes).map_err(hide)?;
    let idempotency = match scope {
        Some(scope) => {
            let fingerprint = fingerprint(uri.path(), precondition, &body)?;
            let fingerprint = if holds_personal { app.personal.keyed_fingerprint(fingerprint) } else { fingerprint };
            Some(Idempotency { scope, fingerprint })
        }
        None => None,
    };
    let sent = scope.map(|_| Sent { method, uri, headers, body: bytes, names });
    Ok((body, Asked { actor, request_id, idempotency, precondition, is_dry_run, sent, is_forwarded }))
}

/// The one parameter that every write knows.
pub(crate) const DRY_RUN: &str = "dry_run";

fn is_dry_run(query: Option<&str>) -> Result<bool, Problem> {
    match query.unwrap_or_default() {
        "" | "dry_run=false" => Ok(false),
        "dry_run=true" => Ok(true),
        query if query.starts_with("dry_run=") && !query.contains('&') => {
            Err(Problem::invalid(DRY_RUN, "true or false is expected"))
        }
        query => {
            let names = names_of(query);
            Err(Problem::invalid("query", format!("{DRY_RUN} is known here, once, and {names} was given")))
        }
    }
}

/// What tells a request from every other under the same key.
fn fingerprint(path: &str, precondition: Option<Precondition>, body: &impl Serialize) -> Result<[u8; 16], Problem> {
    let understood = serde_json::to_vec(body).map_err(|error| Problem::internal(error.to_string()))?;
    let (kind, revision) = match precondition {
        None => (0, 0),
        Some(Precondition::Any) => (1, 0),
        Some(Precondition::Revision(revision)) => (2, revision),
        Some(Precondition::Nothing) => (3, 0),
    };
    Ok(digest(&[path.as_bytes(), &[kind], &revision.to_be_bytes(), &understood]))
}

/// The names of parameters, without their values: what a caller puts there by mistake may be a key, and
/// a problem is logged.
pub(crate) fn names_of(query: &str) -> String {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// What moves stock or money must be repeatable; edits of the catalogue carry their revision.
fn idempotency_key<'h>(headers: &'h HeaderMap, method: &Method, operation: &str) -> Result<Option<&'h [u8]>, Problem> {
    match given_key(headers)? {
        None if *method == Method::POST && path::needs_key(operation) => Err(Problem::new(
            Code::IdempotencyKeyMissing,
            "send Idempotency-Key with a fresh value, such as a UUID, for every new intention",
        )),
        key => Ok(key),
    }
}

/// The key in the header, if there is one.
pub(crate) fn given_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    match headers.get(IDEMPOTENCY_KEY).map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(key) if (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.iter().all(|b| matches!(b, b'!'..=b'~')) => {
            Ok(Some(key))
        }
        Some(_) => Err(Problem::invalid(
            "Idempotency-Key",
            format!("a key has 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters"),
        )),
    }
}

fn precondition(headers: &HeaderMap) -> Result<Option<Precondition>, Problem> {
    let Some(given) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let given = given.to_str().unwrap_or_default().trim();
    if given == "*" {
        return Ok(Some(Precondition::Any));
    }
    if given.contains(',') {
        return Err(Problem::invalid("If-Match", "one entity tag is expected, as in \"3\", or *"));
    }
    let tag = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    // A weak tag never matches (RFC 9110, section 13.1.1); nor does one that this server never gave.
    let digits = tag.filter(|tag| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_digit()) && !tag.starts_with('0'));
    let revision = digits.and_then(|tag| tag.parse().ok());
    Ok(Some(revision.map_or(Precondition::Nothing, Precondition::Revision)))
}

/// The body, if it is JSON by its header, within its limit, and arrives in time.
pub(crate) async fn bytes_of(headers: &HeaderMap, body: Body, app: &App) -> Result<bytes::Bytes, Problem> {
    uncompressed(headers)?;
    let bytes = bytes_of_any(body, app).await?;
    let media_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    match media_type {
        None if bytes.is_empty() => Ok(bytes),
        Some(given) if is_json(given) => Ok(bytes),
        given => Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("send the body as application/json, not as {}", given.unwrap_or("nothing in particular")),
        )),
    }
}

/// The body, whatever it is, within its limit, and if it arrives in time.
pub(crate) async fn bytes_of_any(body: Body, app: &App) -> Result<bytes::Bytes, Problem> {
    bytes_up_to(body, app.limits.body_bytes, app).await
}

/// The same, within another limit.
pub(crate) async fn bytes_up_to(body: Body, max: usize, app: &App) -> Result<bytes::Bytes, Problem> {
    let too_large =
        || Problem::new(Code::BodyTooLarge, format!("a body has at most {max} bytes")).with("max", max as u64);
    if http_body::Body::size_hint(&body).lower() > max as u64 {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(app.limits.body_read, Limited::new(body, max).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(Code::InvalidRequest, format!("the body ended early: {error}"))),
        Err(_) => Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time")),
    }
}

/// Refuses a body that says to be compressed.
pub(crate) fn uncompressed(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|value| *value != "identity") else {
        return Ok(());
    };
    let detail = format!("bodies are not taken compressed; this one says {}", encoding.to_str().unwrap_or("otherwise"));
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    is("application/json") || is("application/merge-patch+json")
}

/// Reads JSON once; only when that fails, once more to say where. No body is an empty object.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}".as_slice() } else { bytes };
    // Fields have names; their order in a list would be taken for them.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid("", "an object is expected, not a list"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        match serde_path_to_error::deserialize::<_, T>(&mut json) {
            Err(found) => unreadable_json(&error, found.path()),
            // Only what follows the value is wrong.
            Ok(_) => Problem::invalid("", error.to_string()),
        }
    })
}

/// The first half of a SHA-256 over parts that cannot run into each other.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kontor_api::Empty;
    use kontor_api::cart::*;
    use kontor_api::customer::*;
    use kontor_api::job::*;
    use kontor_api::listing::*;
    use kontor_api::location::*;
    use kontor_api::order::*;
    use kontor_api::payment::*;
    use kontor_api::product_edit::*;
    use kontor_api::reservation::*;
    use kontor_api::stock::*;
    use kontor_api::transfer::*;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;
    use crate::{openapi, router};

    #[test]
    fn parameters_are_named_without_their_values() {
        assert_eq!(names_of("dry=1&api_key=kon_secret=&x"), "\"dry\", \"api_key\", \"x\"");
    }

    /// A body as it was released: its type, one with all of its fields, and the fingerprint of that.
    struct Released {
        name: &'static str,
        json: &'static str,
        fingerprint: &'static str,
        fingerprint_of: fn(&str) -> String,
        again: fn(Value) -> Value,
    }

    fn hex_fingerprint<T: DeserializeOwned + Serialize>(json: &str) -> String {
        let body: T = serde_json::from_str(json).unwrap();
        let bytes = fingerprint("/api/v1/here", Some(Precondition::Revision(7)), &body).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn again<T: DeserializeOwned + Serialize>(json: Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(json).unwrap()).unwrap()
    }

    macro_rules! released {
        ($($body:ident $fingerprint:literal $json:literal,)*) => {
            [$(Released {
                name: stringify!($body),
                json: $json,
                fingerprint: $fingerprint,
                fingerprint_of: hex_fingerprint::<$body>,
                again: again::<$body>,
            },)*]
        };
    }

    /// Rows are added and never changed: a client may be repeating such a request right now.
    const RELEASED: &[Released] = &released! {
        CreateProduct "da8f16daffccc30b00d54885d7acfce1" r#"{"id": "p", "sku": "P1", "title": "Desk", "policy": "track_only", "backorder_limit": 3}"#,
        ChangeProduct "849f867995d0f41b312492c533bf0b7c" r#"{"title": "Desk"}"#,
        PutVariant "74f8ada8d2cac9cd41ce52d623e405d9" r#"{"sku": "P1", "title": "Oak", "policy": "reserve_on_cart", "backorder_limit": 3}"#,
        ChangeVariant "386c505b9b099810a64820e1c48bbbbb" r#"{"title": "Oak", "policy": "none", "backorder_limit": 0}"#,
        CreateProduct "c48a66b4d1b6a03cc00fa72f918d1856" r#"{"id": "p", "title": "Desk", "description": "Two\nlines", "brand": null, "status": "draft", "categories": ["Desks"], "options": ["Wood"], "attributes": {"seats": 1, "solid": true, "rooms": ["study"]}, "media": [{"url": "https://example.com/a.jpg", "alt": "A desk", "kind": "image"}], "translations": {"de": {"title": "Tisch", "description": "Holz"}, "fr": null}, "merge": "latest", "variants": [{"sku": "P1", "gtin": "4006381333931", "title": "Oak", "options": {"Wood": "Oak"}, "attributes": {"weight": 2.5, "old": null}, "policy": "none", "backorder_limit": 0, "prices": [{"currency": "EUR", "amount": "12.50", "valid_from": "2026-11-27T00:00:00.000Z", "valid_until": "2026-11-30T00:00:00.000Z"}]}]}"#,
        ChangeProduct "120dd6a4cec31ba8e4460e6c0d3a7858" r#"{"title": "Desk", "description": "Two\nlines", "brand": null, "status": "draft", "categories": ["Desks"], "options": ["Wood"], "attributes": {"seats": 1, "solid": true, "rooms": ["study"]}, "media": [{"url": "https://example.com/a.jpg", "alt": "A desk", "kind": "image"}], "translations": {"de": {"title": "Tisch", "description": "Holz"}, "fr": null}, "merge": "latest"}"#,
        PutVariant "69467f1e04c0b9c1eeb23387110dc4b8" r#"{"sku": "P1", "gtin": "4006381333931", "title": "Oak", "options": {"Wood": "Oak"}, "attributes": {"weight": 2.5, "old": null}, "policy": "none", "backorder_limit": 0, "prices": [{"currency": "EUR", "amount": "12.50", "valid_from": "2026-11-27T00:00:00.000Z", "valid_until": "2026-11-30T00:00:00.000Z"}]}"#,
        ChangeVariant "6d3348b40d98282dcffe970b98a5b3a5" r#"{"gtin": "4006381333931", "title": "Oak", "options": {"Wood": "Oak"}, "attributes": {"weight": 2.5, "old": null}, "policy": "none", "backorder_limit": 0, "prices": [{"currency": "EUR", "amount": "12.50", "valid_from": "2026-11-27T00:00:00.000Z", "valid_until": "2026-11-30T00:00:00.000Z"}]}"#,
        ChangeListing "de304066861ffcc914ed3294ac5d670d" r#"{"title": "Desk", "description": null, "attributes": {"plug": "G"}, "prices": [{"sku": "P1", "currency": "GBP", "amount": null, "valid_from": "2026-11-27T00:00:00.000Z", "valid_until": "2026-11-30T00:00:00.000Z"}]}"#,
        StartJob "99e44d0a82e6a2e47a806e9dd0268027" r#"{"id": "job_5d41402abc4b2a76b9719d911017c592", "kind": "import_stock", "source": "a.csv", "digest": "00", "options": "comma"}"#,
        OpenLocation "8a845d66cb8fe3c9e9fdd39a6a08f408" r#"{"id": "berlin", "name": "Shop Berlin"}"#,
        RenameLocation "d8b0c3a8852534cc5a1929d5eceff1db" r#"{"name": "Shop Berlin"}"#,
        ReceiveStock "f14710d7043dc79a41af503f4d181473" r#"{"sku": "P1", "location": "berlin", "quantity": 2, "reference": "d 1", "reason": "new", "occurred_at": "2026-11-21T08:30:00.000Z"}"#,
        ReturnStock "3fcbd483957ba431b193645d376bbe81" r#"{"reference": "r 1", "lines": [{"sku": "P1", "location": "berlin", "quantity": 2}], "reason": "too big", "occurred_at": "2026-11-21T08:30:00.000Z"}"#,
        IssueStock "a44d8d6844580898727a7e9de9a94fda" r#"{"reference": "i 1", "lines": [{"sku": "P1", "location": "berlin", "quantity": 2}], "occurred_at": "2026-11-21T08:30:00.000Z"}"#,
        ShipStock "ec1616bda5b0e7eda5c1c799b2093ac7" r#"{"reservation": "res_1", "lines": [{"sku": "P1", "location": "berlin", "quantity": 2}], "reference": "s 1"}"#,
        WriteOffStock "75e95192377a71aed668479e538110ec" r#"{"sku": "P1", "location": "berlin", "quantity": 2, "reason": "rain", "from": "unavailable", "reference": "w 1"}"#,
        CountStock "b07be9b8777b4939a009cb5c0557ab44" r#"{"sku": "P1", "location": "berlin", "counted": 2, "expected_on_hand": -1, "reference": "c 1", "occurred_at": "2026-11-21T08:30:00.000Z"}"#,
        AdjustStock "6215d1f6c7f8a5c0bc7172ee3eae7c77" r#"{"sku": "P1", "location": "berlin", "unavailable": 1, "safety_stock": 2, "expected": {"unavailable": 3, "safety_stock": 4}}"#,
        MakeReservation "a6678a342fd5dc9dc5bab8abe0245e0f" r#"{"id": "res_1", "lines": [{"sku": "P1", "location": "berlin", "quantity": 2}], "ttl_s": 60, "owner": "cart 7"}"#,
        ExtendReservation "e81d06d24a328c1406963e66dc3a3597" r#"{"ttl_s": 60}"#,
        AskTransfer "04c7ff261d7662d6bbf47c1d928e5415" r#"{"id": "trf_1", "from": "berlin", "to": "cellar", "lines": [{"sku": "P1", "quantity": 2}], "reason": "sold out"}"#,
        ReceiveTransfer "b6a25e9703e9e4b0d2a958ad1e43d88c" r#"{"received": [{"sku": "P1", "quantity": 1}]}"#,
        CreateCustomer "3a2dc905846e30f1e106d44016aef816" r#"{"id": "cus_1", "email": "a@b", "name": "Ada", "addresses": [{"name": "Ada", "company": "X", "line1": "1", "line2": "2", "city": "C", "postal_code": "P", "region": "R", "country": "GB", "phone": "0"}]}"#,
        ChangeCustomer "5d182bd31c20fb7c17f1ebcd6c37095d" r#"{"email": "a@b", "name": "Ada", "addresses": [{"name": "Ada", "company": "X", "line1": "1", "line2": "2", "city": "C", "postal_code": "P", "region": "R", "country": "GB", "phone": "0"}]}"#,
        EraseCustomer "501d5aeecd2aa660d2d9253ac8d6da83" r#"{"reason": "asked for it"}"#,
        OpenCart "c0b08eba917a730b3e5bc421f9912315" r#"{"id": "cart_1", "currency": "EUR", "market": "gb", "location": "berlin", "customer_id": "cus_1", "contact": {"email": "a@example.com", "ship_to": {"name": "Ada", "company": "Kiln", "line1": "Long Lane 4", "line2": "2nd", "city": "Bristol", "postal_code": "BS1", "region": "Avon", "country": "GB", "phone": "1"}, "bill_to": {"name": "Ada", "line1": "Long Lane 4", "city": "Bristol", "country": "GB"}}, "amounts": [{"kind": "shipping", "label": "Parcel", "amount": "4.90"}], "lines": [{"sku": "P1", "quantity": 2, "price": "1.00"}]}"#,
        AddLines "67a7beba73b42ce539a968f10e3db552" r#"{"lines": [{"sku": "P1", "quantity": 2, "price": "1.00"}]}"#,
        SetLine "18e5f35248186b363301def8a28c7642" r#"{"quantity": 2, "price": "1.00"}"#,
        ChangeCart "5762907aa3ab004d367bdc31ebac6019" r#"{"customer_id": "cus_1", "contact": {"email": "a@example.com", "ship_to": {"name": "Ada", "line1": "Long Lane 4", "city": "Bristol", "country": "GB"}}, "amounts": [{"kind": "discount", "label": "Friends", "amount": "-1.00"}], "location": null}"#,
        MergeCarts "b80ecbaf7e216328949965aed6915d09" r#"{"from": "cart_1", "from_token": "t"}"#,
        Checkout "b1c15a196f9b7f9e51c375426b1381ae" r#"{"payment_method": "pm_1", "capture": "manual", "hold_s": 60, "wait_s": 5}"#,
        PayOrder "f113985f24f0402727abecd220bec745" r#"{"method": "pm_1", "capture": "automatic", "wait_s": 5}"#,
        CancelOrder "e73bd3b8f8c646934673d71bba08c208" r#"{"reason": "too late"}"#,
        RefundOrder "c350683b05d66b11560698dea3c692a4" r#"{"amount": "1.00", "lines": [{"sku": "P1", "quantity": 2, "restock": "berlin"}], "reason": "too big"}"#,
        ShipOrder "83b74d69b98ef09dc74cf3c4d479bb31" r#"{"lines": [{"sku": "P1", "location": "berlin", "quantity": 2}]}"#,
        CapturePayment "32130c6151fe5fc3a91b14f540cd9cbd" r#"{"amount": "1.00"}"#,
        Empty "fba3780c5f278904a544af6fe8e88722" "{}",
    };

    #[test]
    fn every_body_of_the_api_is_held_to_its_released_fingerprint() {
        let document = openapi::complete(&router::routes().into_openapi());
        let operations = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap());
        // What only asks, and lines and journals, which say themselves what was done of them, have no key.
        let keyless = ["read_products", "make_payment_token", "take_payment_callback"];
        let keyed = operations.filter(|(_, operation)| !keyless.map(Value::from).contains(&operation["operationId"]));
        let contents = keyed.filter_map(|(_, operation)| operation["requestBody"]["content"].as_object());
        let contents = contents
            .flatten()
            .filter(|(kind, _)| *kind != crate::lines::MEDIA_TYPE && *kind != kontor_api::site::JOURNAL_MEDIA_TYPE);
        let schemas = contents.map(|(_, content)| &content["schema"]["$ref"]);
        let names: BTreeSet<&str> =
            schemas.map(|to| to.as_str().unwrap().trim_start_matches("#/components/schemas/")).collect();
        assert_eq!(RELEASED.iter().map(|body| body.name).collect::<BTreeSet<_>>(), names);
        let changed = RELEASED.iter().filter(|body| (body.fingerprint_of)(body.json) != body.fingerprint);
        let changed: Vec<_> = changed.map(|body| (body.name, (body.fingerprint_of)(body.json))).collect();
        assert!(changed.is_empty(), "a request of the last release is refused when it is repeated: {changed:#?}");
    }

    #[test]
    fn what_was_sent_is_in_the_fingerprint_and_what_was_not_leaves_no_trace() {
        /// Without its optional fields, or without those of its parts.
        fn bare(json: &Value, schema: &Value, schemas: &Value, keep: bool) -> Value {
            let named =
                schema["$ref"].as_str().or_else(|| schema["oneOf"].as_array()?.iter().find_map(|s| s["$ref"].as_str()));
            let schema = named.map_or(schema, |to| &schemas[to.trim_start_matches("#/components/schemas/")]);
            match json {
                Value::Array(items) => items.iter().map(|item| bare(item, &schema["items"], schemas, false)).collect(),
                Value::Object(fields) => {
                    let is_kept =
                        |name: &str| keep || schema["required"].as_array().is_some_and(|r| r.contains(&name.into()));
                    let fields = fields.iter().filter(|(name, _)| is_kept(name));
                    let part = |name: &String, value| bare(value, &schema["properties"][name], schemas, false);
                    Value::Object(fields.map(|(name, value)| (name.clone(), part(name, value))).collect())
                }
                other => other.clone(),
            }
        }
        let document = openapi::complete(&router::routes().into_openapi());
        let schemas = &document["components"]["schemas"];
        let mut dropped = 0;
        for body in RELEASED {
            let whole: Value = serde_json::from_str(body.json).unwrap();
            let [barest, bare] = [false, true].map(|keep| bare(&whole, &schemas[body.name], schemas, keep));
            dropped += usize::from(barest != whole) + usize::from(bare != whole);
            for json in [whole, barest, bare] {
                assert_eq!((body.again)(json.clone()), json, "{}", body.name);
            }
        }
        assert!(dropped > 10, "only {dropped} bodies have optional fields");
    }

    #[test]
    fn an_optional_field_that_is_added_changes_no_fingerprint_of_a_request_without_it() {
        #[derive(Serialize, Deserialize)]
        struct Before {
            sku: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            reason: Option<String>,
        }
        #[derive(Serialize, Deserialize)]
        struct After {
            sku: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            lot: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            reason: Option<String>,
        }
        for sent in [r#"{"sku": "P1"}"#, r#"{"sku": "P1", "reason": "rain"}"#, r#"{"reason":null,"sku":"P1"}"#] {
            assert_eq!(hex_fingerprint::<Before>(sent), hex_fingerprint::<After>(sent), "{sent}");
        }
        let [without, with] = [r#"{"sku": "P1"}"#, r#"{"sku": "P1", "lot": "7"}"#].map(hex_fingerprint::<After>);
        assert_ne!(without, with);
    }

    #[test]
    fn path_precondition_and_content_are_told_apart_and_how_it_is_written_is_not() {
        let of = |path, precondition, json| {
            let body: CountStock = serde_json::from_str(json).unwrap();
            fingerprint(path, precondition, &body).unwrap()
        };
        let json = r#"{"sku": "P1", "location": "berlin", "counted": 2, "occurred_at": "2026-11-21T08:30:00Z"}"#;
        let (one, two) = (Some(Precondition::Revision(1)), Some(Precondition::Revision(2)));
        let (any, nothing) = (Some(Precondition::Any), Some(Precondition::Nothing));
        let requests = [
            ("/a", None, json),
            ("/b", None, json),
            ("/a", one, json),
            ("/a", two, json),
            ("/a", any, json),
            ("/a", nothing, json),
            ("/a", None, r#"{"sku": "P1", "location": "berlin", "counted": 2}"#),
            ("/a", None, r#"{"sku": "P1", "location": "berlin", "counted": 3}"#),
        ];
        let different: BTreeSet<_> = requests.iter().map(|(path, given, json)| of(path, *given, json)).collect();
        assert_eq!(different.len(), requests.len());
        let other = r#"{"occurred_at":"2026-11-21T10:30:00.0001+02:00","reference":null,"counted":2,"location":"berlin","sku":"P\u0031"}"#;
        assert_eq!(of("/a", None, other), of("/a", None, json));
    }
}
