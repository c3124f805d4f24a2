//! One request to a provider and its answer, or what is known when there is none.

#[cfg(feature = "fake")]
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kontor_core::payment::call::Trouble;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::limits::{PROVIDER_CONNECT, PROVIDER_IDLE, PROVIDER_REPLY_BYTES_MAX};
use crate::secret::Secret;
use crate::settings::SettingsError;
use crate::words;

/// The version of the provider's API that this speaks. Without it, an account's own one is in force.
const VERSION: &str = "2024-06-20";

#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;
#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// The way to a provider.
pub(crate) struct Exchange {
    url: String,
    authorization: HeaderValue,
    http: Client<Connector, Full<Bytes>>,
    patience: Patience,
}

/// How long an answer is waited for.
#[derive(Clone)]
pub(crate) enum Patience {
    For(Duration),
    /// Until somebody says so: tests do not wait.
    #[cfg(feature = "fake")]
    Until(Arc<tokio::sync::Notify>),
}

/// An answer as it came.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) after_ms: Option<u64>,
    /// The provider repeats what it has answered to the key before.
    pub(crate) is_replayed: bool,
    pub(crate) body: Bytes,
}

impl Exchange {
    pub(crate) fn new(url: &str, secret: &Secret, patience: Patience) -> Result<Self, SettingsError> {
        // What stands before an @ may be a password.
        let shown = if url.contains('@') { "what was given" } else { url };
        let address = || SettingsError::Address { address: shown.to_owned() };
        let trimmed = url.trim_end_matches('/');
        let uri: Uri = trimmed.parse().map_err(|_| address())?;
        let authority = uri.authority().ok_or_else(address)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(address());
        }
        match uri.scheme_str() {
            Some("https") if cfg!(feature = "tls") => {}
            Some("https") => return Err(SettingsError::NoTls),
            // A secret is not sent in the clear over a network.
            Some("http") if is_loopback(authority.host()) => {}
            Some("http") => return Err(SettingsError::InTheClear { address: url.to_owned() }),
            _ => return Err(address()),
        }
        let authorization = Zeroizing::new(format!("Bearer {}", secret.expose()));
        let mut authorization = HeaderValue::try_from(authorization.as_str()).map_err(|_| SettingsError::Secret)?;
        authorization.set_sensitive(true);
        let http = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(PROVIDER_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector()?);
        Ok(Self { url: trimmed.to_owned(), authorization, http, patience })
    }

    /// Reads a path.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Trouble> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    /// Posts a form, under a key if it is to be done once.
    pub(crate) async fn post(&self, path: &str, key: Option<&str>, form: Form) -> Result<Reply, Trouble> {
        self.send(Method::POST, path, key, form.into_bytes()).await
    }

    async fn send(&self, method: Method, path: &str, key: Option<&str>, body: Bytes) -> Result<Reply, Trouble> {
        let mut request = Request::builder().method(&method).uri(format!("{}{path}", self.url));
        request = request.header(AUTHORIZATION, &self.authorization).header("stripe-version", VERSION);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let not_sent = |error: http::Error| not_done(format!("the request could not be written: {error}"));
        let request = request.body(Full::new(body)).map_err(not_sent)?;
        let answer = async {
            let response = self.http.request(request).await.map_err(|error| failed(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, PROVIDER_REPLY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| unknown(format!("the answer broke off: {error}")))?.to_bytes();
            Ok(Reply {
                status: head.status,
                after_ms: after_ms(&head.headers),
                is_replayed: head.headers.get("idempotent-replayed").is_some_and(|value| value == "true"),
                body,
            })
        };
        let late = || Err(unknown("no answer in time".to_owned()));
        match &self.patience {
            Patience::For(time) => timeout(*time, answer).await.unwrap_or_else(|_| late()),
            #[cfg(feature = "fake")]
            Patience::Until(told) => tokio::select! {
                biased;
                answer = answer => answer,
                () = told.notified() => late(),
            },
        }
    }
}

/// Fields of a form.
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    pub(crate) fn new() -> Self {
        // A form that grew would leave its beginning behind in memory, and one kind holds a card number.
        Self(Zeroizing::new(String::with_capacity(4_096)))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        escape(&mut self.0, name);
        self.0.push('=');
        escape(&mut self.0, value);
        self
    }

    fn into_bytes(self) -> Bytes {
        struct Wiped(Zeroizing<String>);
        impl AsRef<[u8]> for Wiped {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }
        Bytes::from_owner(Wiped(self.0))
    }
}

/// Writes a text so that it may stand in a form, in a path or in a query.
pub(crate) fn escape(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

pub(crate) fn unknown(why: String) -> Trouble {
    Trouble::Unknown { why }
}

pub(crate) fn not_done(why: String) -> Trouble {
    Trouble::NotDone { why, after_ms: None }
}

/// Without a connection nothing was sent. Whatever else goes wrong may do so after the request was read.
fn failed(error: &hyper_util::client::legacy::Error) -> Trouble {
    let why = words::fit(&with_causes(error));
    if error.is_connect() { not_done(why) } else { unknown(why) }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Seconds; a date is not read, as no provider sends one.
fn after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(PROVIDER_CONNECT));
    tcp
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS there may be no certificates to trust")]
fn connector() -> Result<Connector, SettingsError> {
    Ok(tcp())
}

#[cfg(feature = "tls")]
fn connector() -> Result<Connector, SettingsError> {
    let mut tcp = tcp();
    tcp.enforce_http(false);
    let tls = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots().map_err(SettingsError::NoRoots)?;
    Ok(tls.https_or_http().enable_http1().wrap_connector(tcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_escaped() {
        let form = Form::new().with("metadata[kontor_authorize]", "pay_1-a").with("words", "a b&c=é%");
        assert_eq!(form.into_bytes(), "metadata%5Bkontor_authorize%5D=pay_1-a&words=a%20b%26c%3D%C3%A9%25");
    }

    #[test]
    fn a_provider_has_an_address_that_secrets_may_be_sent_to() {
        let secret = Secret::new("sk_test").expect("a secret");
        let rows = [
            ("http://127.0.0.1:1", true),
            ("http://localhost:1/", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1:1", false),
            ("http://api.stripe.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://user@127.0.0.1:1", false),
            ("http://127.0.0.1:1/v1", false),
            ("https://api.stripe.com", cfg!(feature = "tls")),
            ("ftp://127.0.0.1", false),
            ("127.0.0.1:1", false),
            ("", false),
        ];
        for (url, is_taken) in rows {
            let exchange = Exchange::new(url, &secret, Patience::For(Duration::from_secs(1)));
            assert_eq!(exchange.is_ok(), is_taken, "{url}");
        }
    }

    #[test]
    fn a_provider_says_when_to_come_back() {
        for (text, expected) in [("2", Some(2_000)), (" 0 ", Some(0)), ("-1", None), ("soon", None)] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(after_ms(&headers), expected, "{text}");
        }
    }
}
