//! One site's HTTP API: connections are kept, writes carry a key, and what may be repeated is.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;

/// Times that a request is sent in all, when its outcome is not known and it may be repeated.
const TRIES: usize = 3;

/// A client of one site.
#[derive(Clone)]
pub struct Client {
    url: String,
    key: Option<HeaderValue>,
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
        Ok(Self { url: trimmed.to_owned(), key, http })
    }

    /// Reads a path, such as `/api/v1/products`.
    pub async fn get(&self, path: &str) -> Result<Reply, ClientError> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    /// Posts JSON under an idempotency key.
    pub async fn post(&self, path: &str, key: Option<&str>, json: impl Into<Bytes>) -> Result<Reply, ClientError> {
        self.send(Method::POST, path, key, json.into()).await
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

    /// Sends a request, again while its outcome is unknown and a key (or the method) makes that safe.
    /// Other refusals that may pass, as `overloaded`, are told with their `Retry-After`: whether to
    /// wait is the caller's to say.
    async fn send(&self, method: Method, path: &str, key: Option<&str>, body: Bytes) -> Result<Reply, ClientError> {
        let safe = method == Method::GET || key.is_some();
        for _ in 1..TRIES {
            let reply = self.send_once(&method, path, key, body.clone()).await;
            let again = match &reply {
                Ok(reply) => reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.is_unknown(),
                Err(ClientError::BrokenOff(_)) => true,
                Err(_) => false,
            };
            if !(again && safe) {
                return reply;
            }
        }
        self.send_once(&method, path, key, body).await
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        request = request.header(ACCEPT, "application/json");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body))?;
        let response = self.http.request(request).await.map_err(|error| self.failed(error))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| ClientError::BrokenOff(error.into()))?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    fn failed(&self, error: hyper_util::client::legacy::Error) -> ClientError {
        if error.is_connect() {
            return ClientError::Unreachable { url: self.url.clone(), source: error.into() };
        }
        ClientError::BrokenOff(error.into())
    }
}

impl Reply {
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
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let word = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        Err(ClientError::Problem { status: self.status, code: word("code"), detail: word("detail") })
    }
}
