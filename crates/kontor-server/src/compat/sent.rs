//! What a client of a reference service sends: a body of any media type, and a key for repeating it if
//! the client has one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequest;
use bytes::Bytes;
use http::Request;
use kontor_core::command::Idempotency;
use kontor_core::id::RequestId;

use crate::access::Holder;
use crate::app::App;
use crate::extract::Caller;
use crate::idempotency::{Asked, bytes_of_any, digest, given_key};
use crate::problem::Problem;

/// A request to change something. Taking it checks the key first: nobody without one makes the server
/// read a body. The services' clients are many, and `curl -d` says that it sends a form: what the body is
/// called does not matter.
pub(super) struct Sent {
    pub(super) body: Bytes,
    holder: Arc<Holder>,
    request_id: RequestId,
    key: Option<Box<[u8]>>,
    /// Method and path.
    operation: String,
}

impl FromRequest<App> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        let caller = Caller::of(request.extensions());
        let holder = caller.admin()?.clone();
        let request_id = caller.ids.journaled();
        let key = given_key(request.headers())?.map(Box::from);
        let operation = format!("{} {}", request.method(), request.uri().path());
        let body = bytes_of_any(request.into_body(), app).await?;
        Ok(Self { body, holder, request_id, key, operation })
    }
}

impl Sent {
    /// One of the writes that the request asks for. Under the key in its header it is told from the other
    /// writes of the request by `part`; what is repeated must have the same content.
    pub(super) fn part(&self, part: &str, content: &[&[u8]]) -> Asked {
        match &self.key {
            Some(key) => self.keyed(&[self.operation.as_bytes(), key, part.as_bytes()], content),
            None => Asked::plain(self.holder.actor.clone(), self.request_id.clone(), None),
        }
    }

    /// A write with a key of its own, which counts for this caller within `scope`.
    pub(super) fn keyed(&self, scope: &[&[u8]], content: &[&[u8]]) -> Asked {
        let actor = self.holder.actor.clone();
        let scope = digest(&[actor.as_str().as_bytes(), &digest(scope)]);
        let idempotency = Idempotency { scope, fingerprint: digest(content) };
        Asked::plain(actor, self.request_id.clone(), Some(idempotency))
    }
}
