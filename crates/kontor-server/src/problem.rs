//! The one file that makes error responses.
//!
//! A handler returns a [`Problem`]; it travels as an extension of an empty response, and is written
//! at the door, where the request's trace id is known.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use kontor_api::problem::FieldError;
use kontor_api::{Code, path};
use kontor_core::refusal::{Fact, Refusal};
use kontor_core::view::ViewError;
use kontor_site::NotDone;
use kontor_site::feed::FeedError;
use serde_json::{Map, Value};

use crate::access::AccessError;
use crate::convert;
use crate::ids::Ids;
use crate::limits::RETRY_AFTER_S;
use crate::refusals::Refused;

/// What a problem document is sent as (RFC 9457).
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

const OUTCOME_UNKNOWN: &str =
    "it may have happened or not; repeat it with the same Idempotency-Key, and it is done once in any case";

/// Why a request was not done.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    facts: Map<String, Value>,
    /// For the log alone.
    cause: Option<String>,
    /// The key that is to blame.
    refused: Option<Refused>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let (errors, facts) = (Vec::new(), Map::new());
        Self(Arc::new(Inner { code, detail: detail.into(), errors, facts, cause: None, refused: None }))
    }

    /// A value that is wrong, and where it stands.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let place = pointer.trim_start_matches('/');
        let said = if place.is_empty() { detail.clone() } else { format!("{place}: {detail}") };
        let mut problem = Self::new(Code::InvalidRequest, said);
        problem.inner().errors.push(FieldError { pointer, detail });
        problem
    }

    /// A key that is not taken.
    pub(crate) fn refused_key(refused: Refused, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(Code::Unauthenticated, detail);
        problem.inner().refused = Some(refused);
        problem
    }

    /// A defect of ours. The cause is logged and not shown.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(Code::Internal, "this is a defect of the program; the log says more");
        problem.inner().cause = Some(cause.into());
        problem
    }

    /// The same, met after the site was given a write: a defect must not say that nothing has changed.
    pub(crate) fn after_write(mut self) -> Self {
        if self.code() == Code::Internal {
            let inner = self.inner();
            inner.code = Code::OutcomeUnknown;
            inner.detail = OUTCOME_UNKNOWN.to_owned();
        }
        self
    }

    /// Whether the program is to blame, and somebody should look at it.
    pub(crate) fn is_defect(&self) -> bool {
        match self.code() {
            Code::Internal => true,
            Code::OutcomeUnknown => self.0.cause.is_some(),
            _ => false,
        }
    }

    /// Adds a fact to act on.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.inner().facts.insert(name.to_owned(), value.into());
        self
    }

    /// The same, without repeating what was sent: it may be personal, and problems are logged.
    pub(crate) fn without_values(mut self) -> Self {
        let said = "this is not what is expected here, or not known";
        let inner = self.inner();
        let places: Vec<&str> = inner.errors.iter().map(|error| error.pointer.trim_start_matches('/')).collect();
        let place = places.into_iter().find(|place| !place.is_empty());
        inner.detail = place.map_or_else(|| said.to_owned(), |place| format!("{place}: {said}"));
        inner.errors.iter_mut().for_each(|error| error.detail = said.to_owned());
        self
    }

    /// The same, called otherwise.
    pub(crate) fn of_code(mut self, code: Code, detail: String) -> Self {
        let inner = self.inner();
        (inner.code, inner.detail) = (code, detail);
        self
    }

    /// A fact that is a text.
    pub(crate) fn fact(&self, name: &str) -> Option<&str> {
        self.0.facts.get(name).and_then(Value::as_str)
    }

    /// All facts.
    pub(crate) fn facts(&self) -> &Map<String, Value> {
        &self.0.facts
    }

    /// The key that is to blame, if one is.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.0.refused.as_ref()
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// What its reader is told, in a sentence.
    pub(crate) fn said(&self) -> &str {
        &self.0.detail
    }

    /// The values that are wrong.
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// What went wrong, for the log.
    pub(crate) fn detail(&self) -> &str {
        self.0.cause.as_deref().unwrap_or(&self.0.detail)
    }

    /// Where the wrong values stand.
    #[cfg(test)]
    pub(crate) fn pointers(&self) -> Vec<&str> {
        self.0.errors.iter().map(|error| error.pointer.as_str()).collect()
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// The body and headers of this problem, on a response that may carry other headers already.
    pub(crate) fn write(&self, ids: &Ids, headers: &mut http::HeaderMap) -> Bytes {
        let Inner { code, detail, errors, facts, .. } = &*self.0;
        let document = kontor_api::Problem {
            kind: format!("{}{}", path::PROBLEMS, code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.clone(),
            code: *code,
            retryable: code.retryable(),
            trace_id: ids.trace_id().to_owned(),
            errors: errors.clone(),
            facts: facts.clone(),
        };
        self.head(headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        serde_json::to_vec(&document).map(Bytes::from).unwrap_or_default()
    }

    /// The headers of this problem, whatever its body is.
    pub(crate) fn head(&self, headers: &mut http::HeaderMap) {
        // Of the empty response that the problem travelled on.
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.code() {
            Code::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kontor\""));
            }
            code if code.status() == 503 => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            _ => {}
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<NotDone> for Problem {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Refused(refusal) => refusal.into(),
            NotDone::Overloaded => Self::new(Code::Overloaded, not_done.to_string()),
            NotDone::NotWritten(_) => {
                let mut problem = Self::new(
                    Code::StorageFull,
                    "the journal took nothing, and nothing has changed; an operator must look at the disk",
                );
                problem.inner().cause = Some(not_done.to_string());
                problem
            }
            NotDone::Silent(_) => Self::new(Code::JournalBehind, not_done.to_string()),
            NotDone::Unknown => Self::new(Code::OutcomeUnknown, OUTCOME_UNKNOWN),
            NotDone::Failed(_) => Self::internal(not_done.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = Code::parse(refusal.code()).unwrap_or(Code::Internal);
        let mut problem = Self::new(code, refusal.to_string());
        for (name, fact) in refusal.facts() {
            let value = match fact {
                Fact::Text(text) => Value::from(text),
                Fact::Number(number) => Value::from(number),
                Fact::Time(at) => {
                    convert::time(at).ok().and_then(|at| serde_json::to_value(at).ok()).unwrap_or(Value::Null)
                }
            };
            problem.inner().facts.insert(name.to_owned(), value);
        }
        problem
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::BeyondEnd(..) => Self::invalid("after", error.to_string()),
            FeedError::Journal(_) | FeedError::Group(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Write(not_done) => not_done.into(),
            AccessError::WeakKey | AccessError::Read(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid("path", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let detail = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Self::invalid("query", detail)
    }
}

/// A body that is not the JSON which was expected. `why` is the first parser's opinion, `path` where
/// in the body it stands.
pub(crate) fn unreadable_json(why: &serde_json::Error, path: &serde_path_to_error::Path) -> Problem {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            // The JSON itself is broken here.
            Segment::Unknown => break,
        };
        pointer.push('/');
        pointer.push_str(&name);
    }
    Problem::invalid(pointer, why.to_string())
}
