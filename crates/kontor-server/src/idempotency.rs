//! Requests that change something: who asks, under which key, on which revision, with which body.
//!
//! The site remembers an answer under the *scope* of its key, a digest of caller, operation and key,
//! and compares the *fingerprint* of the request, a digest of its path, precondition and content. The
//! content is hashed as it was understood, so that white space and the order of fields do not matter.

use axum::body::Body;
use axum::extract::{FromRequest, MatchedPath};
use http::{HeaderMap, HeaderName, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kontor_api::{Code, path};
use kontor_core::command::Idempotency;
use kontor_core::id::{Actor, RequestId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::extract::Caller;
use crate::problem::{Problem, unreadable_json};

use crate::limits::IDEMPOTENCY_KEY_MAX;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request to change something, with its body. Taking it checks the key first: nobody without one
/// makes the server read a body.
pub(crate) struct Posted<T> {
    pub(crate) body: T,
    pub(crate) asked: Asked,
}

/// Who asks for a change, and how it is told from other requests.
pub(crate) struct Asked {
    pub(crate) actor: Actor,
    pub(crate) request_id: RequestId,
    pub(crate) idempotency: Option<Idempotency>,
    precondition: Option<Precondition>,
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
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        let caller = Caller::of(request.extensions());
        let actor = caller.admin()?.actor.clone();
        let request_id = caller.ids.journaled();
        let precondition = precondition(request.headers())?;
        let route = request.extensions().get::<MatchedPath>().cloned();
        let operation = route.as_ref().map_or(request.uri().path(), MatchedPath::as_str);
        let key = idempotency_key(request.headers(), operation)?;
        let scope = key.as_deref().map(|key| {
            digest(&[actor.as_str().as_bytes(), request.method().as_str().as_bytes(), operation.as_bytes(), key])
        });
        let path = request.uri().path().to_owned();
        if let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
            let names = names_of(query);
            return Err(Problem::invalid("query", format!("no parameter is known here, and {names} was given")));
        }

        let body: T = read_json(&bytes_of(request, app).await?)?;
        let idempotency = match scope {
            Some(scope) => {
                let understood = serde_json::to_vec(&body).map_err(|error| Problem::internal(error.to_string()))?;
                let revision = format!("{precondition:?}");
                let fingerprint = digest(&[path.as_bytes(), revision.as_bytes(), &understood]);
                Some(Idempotency { scope, fingerprint })
            }
            None => None,
        };
        Ok(Self { body, asked: Asked { actor, request_id, idempotency, precondition } })
    }
}

/// The names of parameters, without their values: what a caller puts there by mistake may be a key, and
/// a problem is logged.
fn names_of(query: &str) -> String {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// What moves stock or holds it must be repeatable; edits of the catalogue carry their revision.
fn is_required(operation: &str) -> bool {
    operation.starts_with(path::STOCK) || operation.starts_with(path::RESERVATIONS)
}

fn idempotency_key(headers: &HeaderMap, operation: &str) -> Result<Option<Box<[u8]>>, Problem> {
    match headers.get(IDEMPOTENCY_KEY).map(http::HeaderValue::as_bytes) {
        None if is_required(operation) => Err(Problem::new(
            Code::IdempotencyKeyMissing,
            "send Idempotency-Key with a fresh value, such as a UUID, for every new intention",
        )),
        None => Ok(None),
        Some(key) if (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.iter().all(|b| matches!(b, b'!'..=b'~')) => {
            Ok(Some(key.into()))
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
async fn bytes_of(request: Request<Body>, app: &App) -> Result<bytes::Bytes, Problem> {
    let max = app.limits.body_bytes;
    let too_large =
        || Problem::new(Code::BodyTooLarge, format!("a body has at most {max} bytes")).with("max", max as u64);
    let (head, body) = request.into_parts();
    if http_body::Body::size_hint(&body).lower() > max as u64 {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(app.limits.body_read, Limited::new(body, max).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => return Err(too_large()),
        Ok(Err(error)) => return Err(Problem::new(Code::InvalidRequest, format!("the body ended early: {error}"))),
        Err(_) => return Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time")),
    };
    let media_type = head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    match media_type {
        None if bytes.is_empty() => Ok(bytes),
        Some(given) if is_json(given) => Ok(bytes),
        given => Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("send the body as application/json, not as {}", given.unwrap_or("nothing in particular")),
        )),
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    is("application/json") || is("application/merge-patch+json")
}

/// Reads JSON once; only when that fails, once more to say where. No body is an empty object.
fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}".as_slice() } else { bytes };
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
fn digest(parts: &[&[u8]]) -> [u8; 16] {
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
    use super::*;

    #[test]
    fn parameters_are_named_without_their_values() {
        assert_eq!(names_of("dry=1&api_key=kon_secret=&x"), "\"dry\", \"api_key\", \"x\"");
    }
}
