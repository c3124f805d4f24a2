//! What happens to every request, around what the routes do with it: it gets its names, its caller is
//! looked up, popular reads are answered at once, everything else goes to the router; then problems
//! are written, and the answer is counted and logged.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use kontor_api::path;
use kontor_site::bodies;
use kontor_site::clock::Stopwatch;
use tower::Service as _;

use crate::access::{Access, Holder};
use crate::app::App;
use crate::compat::Shape;
use crate::extract::Caller;
use crate::forward;
use crate::ids::Ids;
use crate::log;
use crate::metrics::RouteMetrics;
use crate::problem::Problem;
use crate::routes::v1::{products, stock};
use crate::throttle::Standing;

/// The whole service. Clones are handles on the same one.
#[derive(Clone)]
pub(crate) struct Service {
    app: App,
    router: Router,
}

/// Bytes that are there already, or whatever a route answers with.
pub(crate) enum Payload {
    Whole(Full<Bytes>),
    Other(Body),
}

/// The template of the route that answered, for metrics and log.
#[derive(Clone)]
struct Route(MatchedPath);

impl Service {
    pub(crate) fn new(app: App, router: Router) -> Self {
        Self { app, router }
    }

    pub(crate) async fn answer<B>(&self, peer: Option<IpAddr>, request: Request<B>) -> Response<Payload>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let watch = Stopwatch::start();
        let ids = Ids::of(request.headers());
        let shape = Shape::of(request.method(), request.uri().path());
        let caller = match shape {
            _ if request.uri().path().starts_with(path::V1) => {
                let caller = self.app.access.caller(request.headers());
                let reader = || request.method().is_safe().then(|| self.app.access.reader(request.headers())).flatten();
                Some(caller.and_then(|caller| {
                    let (method, path) = (request.method(), request.uri().path());
                    let caller = forward::stands_for(caller.or_else(reader), method, path, request.headers())?;
                    Access::reaches(caller.as_ref(), path)?;
                    Ok(caller)
                }))
            }
            // Whoever keeps the server running has no key and no rate.
            Some(Shape::Health) | None => None,
            Some(shape) => {
                let asks = shape.asks(request.uri().path());
                Some(self.app.access.compat_caller(request.headers(), asks))
            }
        };
        let (caller, standing) = match caller {
            Some(caller) => self.app.throttles.admit(caller, peer),
            None => (Ok(None), None),
        };
        let holder = match caller {
            Ok(holder) => holder,
            Err(problem) => {
                let (method, uri) = (request.method().clone(), request.uri().clone());
                let seen = Seen { watch, ids, holder: None, peer, standing, method: &method, path: uri.path(), shape };
                return self.finish(seen, problem.into_response().map(Payload::Other), None);
            }
        };
        if *request.method() == Method::GET
            && request.uri().query().is_none()
            && let Some((found, metrics)) = self.popular(request.uri().path())
            && (found.is_for_all || holder.is_some())
        {
            let response = from_memory(found, request.headers());
            let seen =
                Seen { watch, ids, holder, peer, standing, method: &Method::GET, path: request.uri().path(), shape };
            return self.finish(seen, response, Some(metrics));
        }

        let (mut head, body) = request.into_parts();
        let (method, uri) = (head.method.clone(), head.uri.clone());
        head.extensions.insert(Caller { holder: holder.clone(), ids: ids.clone() });
        let mut router = self.router.clone();
        let routed =
            NoPanic { route: router.call(Request::from_parts(head, Body::new(body))), is_write: !method.is_safe() };
        let response = routed.await.map(Payload::Other);
        let seen = Seen { watch, ids, holder, peer, standing, method: &method, path: uri.path(), shape };
        self.finish(seen, response, None)
    }

    /// A product or the stock of a SKU whose name needs no decoding. What is not found goes to the
    /// router, which knows all that a path can be.
    fn popular(&self, path: &str) -> Option<(bodies::Body, &RouteMetrics)> {
        let name = |prefix: &str| {
            let name = path.strip_prefix(path::V1)?.strip_prefix(prefix)?;
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
            (!name.is_empty() && name.bytes().all(plain)).then_some(name)
        };
        if let Some(id) = name("/products/") {
            return products::body(&self.app, id).ok().map(|body| (body, &self.app.metrics.product));
        }
        let sku = name("/stock/")?;
        stock::body(&self.app, sku).ok().map(|body| (body, &self.app.metrics.stock))
    }

    /// Writes the problem if there is one, names the answer, counts and logs it.
    fn finish(
        &self,
        seen: Seen<'_>,
        mut response: Response<Payload>,
        known: Option<&RouteMetrics>,
    ) -> Response<Payload> {
        let Seen { watch, ids, holder, peer, standing, method, path, shape } = seen;
        let problem = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = &problem {
            let body = match shape.filter(|shape| shape.has_words()) {
                Some(shape) => shape.write(problem, path, standing.as_ref(), &mut response),
                None => problem.write(&ids, response.headers_mut()),
            };
            let shown = if *method == Method::HEAD { Bytes::new() } else { body };
            *response.body_mut() = Payload::Whole(Full::new(shown));
            self.app.metrics.problem(problem.code());
            if let Some(refused) = problem.refused() {
                self.app.refusals.note(refused, peer, &ids, method, path);
            }
        }
        let status = response.status();
        let route = response.extensions_mut().remove::<Route>();
        let route = route.as_ref().map(|route| route.0.as_str());
        let metrics = known.unwrap_or_else(|| self.app.metrics.route(route, method));
        let seconds = watch.seconds();
        metrics.record(status, seconds);
        let is_said = standing.as_ref().is_some_and(Standing::is_repeated_refusal);
        if !is_said && log::Line::is_due(method, status) {
            let actor = holder.as_ref().map_or("public", |holder| holder.actor.as_str());
            let (route, problem, ids) = (route.unwrap_or("other"), problem.as_ref(), &ids);
            log::Line { ids, method, route, path, status, seconds, actor, problem }.write();
        }
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(forward::SITE).or_insert_with(|| self.app.name.clone());
        ids.write(headers);
        if let Some(shape) = shape {
            shape.head(headers, &self.app, standing.as_ref(), seconds);
        }
        if let Some(standing) = standing {
            standing.write(headers);
        }
        response
    }
}

/// What is known of a request when it is answered.
struct Seen<'r> {
    watch: Stopwatch,
    ids: Ids,
    holder: Option<Arc<Holder>>,
    peer: Option<IpAddr>,
    standing: Option<Standing>,
    method: &'r Method,
    path: &'r str,
    shape: Option<Shape>,
}

/// Notes which route answers. A layer of the routes, because only they know.
#[derive(Clone)]
pub(crate) struct NoteRoute;

impl<S> tower::Layer<S> for NoteRoute {
    type Service = WithRoute<S>;

    fn layer(&self, route: S) -> WithRoute<S> {
        WithRoute { route }
    }
}

/// A route that says on its answers which one it is.
#[derive(Clone)]
pub(crate) struct WithRoute<S> {
    route: S,
}

impl<S> tower::Service<Request<Body>> for WithRoute<S>
where
    S: tower::Service<Request<Body>, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = AnswerWithRoute<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.route.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> AnswerWithRoute<S::Future> {
        let path = request.extensions().get::<MatchedPath>().cloned();
        AnswerWithRoute { answer: self.route.call(request), path }
    }
}

/// An answer on its way, and the template of its route.
pub(crate) struct AnswerWithRoute<F> {
    answer: F,
    path: Option<MatchedPath>,
}

impl<F: Future<Output = Result<Response, E>> + Unpin, E> Future for AnswerWithRoute<F> {
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        pin!(&mut self.answer).poll(cx).map_ok(|mut response| {
            if let Some(path) = self.path.take() {
                response.extensions_mut().insert(Route(path));
            }
            response
        })
    }
}

/// An answer with a body that is kept, or 304 if the caller has it.
pub(crate) fn from_memory(found: bodies::Body, headers: &HeaderMap) -> Response<Payload> {
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|given| names(given.as_bytes(), &found.etag));
    let body = if is_known { Bytes::new() } else { found.bytes };
    let mut response = Response::new(Payload::Whole(Full::new(body)));
    let headers = response.headers_mut();
    headers.reserve(6);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_maybe_shared(found.etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether `If-None-Match` names a tag; weak comparison, as it should be here (RFC 9110, 13.1.2).
fn names(given: &[u8], etag: &[u8]) -> bool {
    let mut tags = given.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}

impl Payload {
    /// As axum wants it.
    pub(crate) fn into_body(self) -> Body {
        match self {
            Self::Whole(bytes) => Body::new(bytes),
            Self::Other(body) => body,
        }
    }
}

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Pin::new(bytes).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Self::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => bytes.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

/// Turns a panic of a route into a problem. A read that panics has changed nothing, because rows are
/// changed by the writer alone; a write may have been given to the writer before.
struct NoPanic<F> {
    route: F,
    is_write: bool,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for NoPanic<F> {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match catch_unwind(AssertUnwindSafe(|| pin!(&mut self.route).poll(cx))) {
            Ok(polled) => polled.map(|answered| answered.unwrap_or_else(|never| match never {})),
            Err(panic) => {
                let why = panic.downcast_ref::<&str>().map(|why| (*why).to_owned());
                let why = why.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                let problem = Problem::internal(format!("a route panicked: {why}"));
                let problem = if self.is_write { problem.after_write() } else { problem };
                Poll::Ready(problem.into_response())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kontor_api::Code;

    use super::*;

    #[tokio::test]
    async fn only_a_read_that_panics_has_changed_nothing_for_certain() {
        for (is_write, code) in [(false, Code::Internal), (true, Code::OutcomeUnknown)] {
            let route = Box::pin(async { panic!("on purpose") });
            let response = NoPanic { route, is_write }.await;
            assert_eq!(response.status().as_u16(), code.status());
            assert_eq!(response.extensions().get::<Problem>().map(Problem::code), Some(code));
        }
    }
}
