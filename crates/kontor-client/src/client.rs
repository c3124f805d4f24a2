//! One site's HTTP API: connections are kept, writes carry a key, and what may be repeated is.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;

/// Times that a request is sent in all, when its outcome is not known and it may be repeated.
const TRIES: usize = 3;

/// Bytes of the longest answer that is read into memory: a page of 200 products, each as long as one can be.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// A client of one site. What it sends again goes to the same one: another one does not know the key, and would
/// do it a second time.
#[derive(Clone)]
pub struct Client {
    url: String,
    key: Option<HeaderValue>,
    /// Opens one cart.
    cart_token: Option<HeaderValue>,
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client of the site at `url`, with an access key if it has one.
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, ClientError> {
        let address = || ClientError::Address { url: url.to_owned() };
        let trimmed = url.trim_end_matches('/');
        let uri: http::Uri = trimmed.parse().map_err(|_| address())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(address());
        }
        let key = key.map(|key| HeaderValue::try_from(format!("Bearer {key}"))).transpose();
        let mut key = key.map_err(http::Error::from)?;
        key.iter_mut().for_each(|key| key.set_sensitive(true));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { url: trimmed.to_owned(), key, cart_token: None, http })
    }

    /// The same with the token of a cart.
    pub fn with_cart_token(&self, token: &str) -> Result<Self, ClientError> {
        let mut token = HeaderValue::try_from(token).map_err(http::Error::from)?;
        token.set_sensitive(true);
        Ok(Self { cart_token: Some(token), ..self.clone() })
    }

    /// Reads a path, such as `/api/v1/products`.
    pub async fn get(&self, path: &str) -> Result<Reply, ClientError> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    /// Posts JSON under an idempotency key.
    pub async fn post(&self, path: &str, key: Option<&str>, json: impl Into<Bytes>) -> Result<Reply, ClientError> {
        self.send(Method::POST, path, key, json.into()).await
    }

    /// Edits by JSON something of which the caller has seen a revision. Not sent again by itself.
    pub async fn patch(&self, path: &str, seen: IfMatch, json: impl Into<Bytes>) -> Result<Reply, ClientError> {
        let body = Sent { bytes: json.into(), media_type: JSON };
        self.send_once(&Method::PATCH, path, &[("if-match", &seen.to_string())], body).await
    }

    /// Posts lines of JSON. Not sent again by itself: what takes lines says how far it came.
    pub async fn post_lines(&self, path: &str, lines: impl Into<Bytes>) -> Result<Reply, ClientError> {
        self.post_as(path, "application/x-ndjson", lines).await
    }

    /// Passes on a request of somebody else as it was sent, with these headers, once.
    pub async fn pass_on(
        &self,
        method: &Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        let headers: Vec<_> =
            headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        self.send_once(method, path, &headers, Sent { bytes: body, media_type: JSON }).await
    }

    /// Posts something else than JSON, once.
    pub(crate) async fn post_as(
        &self,
        path: &str,
        media_type: &'static str,
        bytes: impl Into<Bytes>,
    ) -> Result<Reply, ClientError> {
        self.send_once(&Method::POST, path, &[], Sent { bytes: bytes.into(), media_type }).await
    }

    /// Reads a path whose answer may be long, as it comes.
    pub async fn stream(&self, path: &str) -> Result<Incoming, ClientError> {
        let body = Sent { bytes: Bytes::new(), media_type: JSON };
        let response = self.respond(&Method::GET, path, &[], body).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(Reply::read(response).await?.problem())
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.get(path).await?.json()
    }

    pub(crate) async fn write<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.post(path, key, serde_json::to_vec(body)?).await?.json()
    }

    /// Sets something to what it is to be, again while its outcome is unknown: that changes nothing more.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.send(Method::PUT, path, None, serde_json::to_vec(body)?.into()).await?.json()
    }

    /// Takes something away, again while its outcome is unknown.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::DELETE, path, None, Bytes::new()).await?.json()
    }

    /// Changes or deletes something of which the caller has seen a revision.
    pub(crate) async fn edit<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        seen: IfMatch,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let bytes = body.map_or(Ok(Vec::new()), serde_json::to_vec)?.into();
        let seen = seen.to_string();
        self.send_once(&method, path, &[("if-match", &seen)], Sent { bytes, media_type: JSON }).await?.json()
    }

    /// Sends a request, again while its outcome is unknown and a key (or the method) makes that safe.
    /// Other refusals that may pass, as `overloaded`, are told with their `Retry-After`: whether to
    /// wait is the caller's to say.
    async fn send(&self, method: Method, path: &str, key: Option<&str>, body: Bytes) -> Result<Reply, ClientError> {
        let safe = [Method::GET, Method::PUT, Method::DELETE].contains(&method) || key.is_some();
        let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        let body = Sent { bytes: body, media_type: JSON };
        for _ in 1..TRIES {
            let reply = self.send_once(&method, path, &headers, body.clone()).await;
            let again = match &reply {
                Ok(reply) => reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.is_unknown(),
                Err(ClientError::BrokenOff(_)) => true,
                Err(_) => false,
            };
            if !(again && safe) {
                return reply;
            }
        }
        self.send_once(&method, path, &headers, body).await
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Sent,
    ) -> Result<Reply, ClientError> {
        Reply::read(self.respond(method, path, headers, body).await?).await
    }

    /// Sends a request without a body, once.
    pub(crate) async fn ask(&self, method: &Method, path: &str) -> Result<Response<Incoming>, ClientError> {
        self.respond(method, path, &[], Sent { bytes: Bytes::new(), media_type: JSON }).await
    }

    async fn respond(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Sent,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        request = request.header(ACCEPT, "application/json");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key);
        }
        if let Some(token) = &self.cart_token {
            request = request.header("x-cart-token", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method != Method::GET {
            request = request.header(CONTENT_TYPE, body.media_type);
        }
        let request = request.body(Full::new(body.bytes))?;
        self.http.request(request).await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: hyper_util::client::legacy::Error) -> ClientError {
        if error.is_connect() {
            return ClientError::Unreachable { url: self.url.clone(), source: error.into() };
        }
        ClientError::BrokenOff(error.into())
    }
}

/// The revision that a caller has seen of what it edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// Whatever is there is edited.
    Any,
    /// This one; if it is not the newest any more, nothing is edited.
    Revision(u64),
}

impl std::fmt::Display for IfMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Revision(revision) => write!(f, "\"{revision}\""),
        }
    }
}

/// A body and what it is sent as.
#[derive(Clone)]
struct Sent {
    bytes: Bytes,
    media_type: &'static str,
}

const JSON: &str = "application/json";

impl Reply {
    async fn read(response: Response<Incoming>) -> Result<Self, ClientError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, REPLY_BYTES_MAX).collect().await.map_err(ClientError::BrokenOff)?.to_bytes();
        Ok(Self { status: head.status, headers: head.headers, body })
    }

    /// The site that has decided: the one that was asked, or the one that it has asked in turn.
    pub fn site(&self) -> Option<&str> {
        self.headers.get("kontor-site").and_then(|site| site.to_str().ok())
    }

    /// Whether nobody knows if the request took effect. Asked again with its key, it does so once.
    fn is_unknown(&self) -> bool {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str() == Some("outcome_unknown")
    }

    /// The answer's content, or the problem that it is.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        if self.status.is_success() {
            return Ok(serde_json::from_slice(&self.body)?);
        }
        Err(self.problem())
    }

    /// The answer's lines, or the problem that it is.
    pub fn lines<T: DeserializeOwned>(&self) -> Result<Vec<T>, ClientError> {
        if !self.status.is_success() {
            return Err(self.problem());
        }
        let lines = self.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
    }

    pub(crate) fn problem(&self) -> ClientError {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let word = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        ClientError::Problem { status: self.status, code: word("code"), detail: word("detail") }
    }
}
