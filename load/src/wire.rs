//! One kept-alive HTTP/1 connection over loopback, as cheap as hyper can be: connection and request
//! are polled by the same task, so that an exchange needs no second task and no channel wake-up.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Link = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection that asks one thing after another.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    link: Pin<Box<Link>>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true).context("setting TCP_NODELAY")?;
        let (sender, link) = http1::handshake(TokioIo::new(stream)).await.context("starting HTTP/1")?;
        Ok(Connection { sender, link: Box::pin(link) })
    }

    /// The whole answer to `request`. After an error the connection is spent: open another.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<(Parts, Bytes)> {
        let Connection { sender, link } = self;
        let exchange = async move {
            sender.ready().await.context("waiting for the connection")?;
            let response = sender.send_request(request).await.context("asking")?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.context("reading the answer")?;
            Ok((parts, body.to_bytes()))
        };
        let mut exchange = pin!(exchange);
        poll_fn(|context| {
            if let Poll::Ready(answer) = exchange.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            let closed = link.as_mut().poll(context);
            match (exchange.as_mut().poll(context), closed) {
                (Poll::Ready(answer), _) => Poll::Ready(answer),
                (Poll::Pending, Poll::Ready(Err(error))) => {
                    Poll::Ready(Err(anyhow!(error).context("the connection broke")))
                }
                (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Err(anyhow!("the server closed the connection"))),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }
}

/// The values that every request to one server carries.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    host: HeaderValue,
    key: Option<HeaderValue>,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr, key: Option<&str>) -> Result<Caller> {
        let host = HeaderValue::from_str(&address.to_string()).context("the host header")?;
        let key = key.map(HeaderValue::from_str).transpose();
        let key = key.context("the API key is not a header value")?;
        Ok(Caller { address, host, key })
    }

    /// A request with host and API key; a body makes it a POST of JSON.
    pub(crate) fn request(
        &self,
        path: &str,
        body: Option<String>,
        idempotency_key: Option<&str>,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = path.parse().with_context(|| format!("the path {path}"))?;
        let headers = request.headers_mut();
        headers.insert(http::header::HOST, self.host.clone());
        if let Some(key) = &self.key {
            headers.insert("x-api-key", key.clone());
        }
        if let Some(key) = idempotency_key {
            let key = HeaderValue::from_str(key).context("the idempotency key")?;
            headers.insert("idempotency-key", key);
        }
        if let Some(body) = body {
            let json = HeaderValue::from_static("application/json");
            headers.insert(http::header::CONTENT_TYPE, json);
            *request.method_mut() = Method::POST;
            *request.body_mut() = Full::new(Bytes::from(body));
        }
        Ok(request)
    }

    /// One request on a connection of its own, for everything that is not measured.
    pub(crate) fn once(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
        runtime.block_on(async {
            let exchange = async {
                let mut connection = Connection::open(self.address).await?;
                connection.ask(request).await
            };
            let (parts, body) = tokio::time::timeout(CONTROL_LIMIT, exchange).await.context("no answer in time")??;
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.once(self.request(path, None, None)?)
    }

    /// Posts JSON and insists on success, or on `already` where the thing may exist.
    pub(crate) fn post(&self, path: &str, body: String, key: &str, already: bool) -> Result<()> {
        let request = self.request(path, Some(body), Some(key))?;
        self.insist(path, request, already)
    }

    /// Posts lines of JSON and insists on success.
    pub(crate) fn post_lines(&self, path: &str, lines: String, key: &str) -> Result<()> {
        let mut request = self.request(path, Some(lines), Some(key))?;
        request.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        self.insist(path, request, false)
    }

    fn insist(&self, path: &str, request: Request<Full<Bytes>>, already: bool) -> Result<()> {
        let answer = self.once(request)?;
        if answer.status.is_success() || (already && answer.status == StatusCode::CONFLICT) {
            return Ok(());
        }
        bail!("POST {path} was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
}

/// An answer read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A control request (readiness, metrics, one receipt) that takes longer than this has failed.
const CONTROL_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
