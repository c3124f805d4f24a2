//! Writes that another site decides: sent there once, over a link of one's own, and answered with what it says.
//!
//! Only what carries an `Idempotency-Key` is sent on, because only that can be repeated when nobody knows what
//! became of it. The role of the caller is checked here, the token of a cart there; the other site is told who it
//! was, and takes it from holders of a key of a site alone.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use kontor_api::{Code, path};
use kontor_core::id::{Actor, CustomerId, ReservationId, SiteId};
use tokio::time::timeout;

use crate::access::{Holder, May};
use crate::app::App;
use crate::extract::CART_TOKEN;
use crate::idempotency::{Asked, IDEMPOTENCY_KEY};
use crate::ids::Ids;
use crate::problem::Problem;

/// The site that has decided; on every answer.
pub(crate) const SITE: HeaderName = HeaderName::from_static("kontor-site");

/// For whom a site asks another, as `key:admin@us`.
pub(crate) const ACTOR: HeaderName = HeaderName::from_static("kontor-actor");

/// A buyer without a key, of whom nothing is known but the token of a cart.
pub(crate) const BUYER: &str = "buyer";

/// What of a request's headers is passed on: its key, the revision that its caller has seen, the token of a cart.
const PASSED_ON: [HeaderName; 3] = [IDEMPOTENCY_KEY, header::IF_MATCH, CART_TOKEN];

/// What of the other site's answer is passed on.
const TOLD: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("idempotency-replayed"),
    SITE,
];

/// A write as it was sent, for another site.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Of the request.
    pub method: Method,
    /// Of the request.
    pub path: String,
    /// Those that belong to it, and who asks.
    pub headers: HeaderMap,
    /// Of the request; JSON.
    pub body: Bytes,
}

/// What the other site says.
#[derive(Debug, Clone)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTold {
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, and nobody knows what became of it.
    Unknown(String),
}

/// Whoever sends a write to one site. It sends it once.
pub trait Carrier: Send + Sync {
    /// Sends it, and waits for the answer.
    fn carry(&self, errand: Errand) -> Pin<Box<dyn Future<Output = Result<Told, NotTold>> + Send + '_>>;
}

/// A request that may be sent on.
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// All that came with it.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) names: Ids,
}

/// Whom a caller stands for: itself, or, if it is a site that says so, somebody else there. A site may do so for
/// writes that may be sent on, and for nothing else.
pub(crate) fn stands_for(
    caller: Option<Arc<Holder>>,
    method: &Method,
    at: &str,
    headers: &HeaderMap,
) -> Result<Option<Arc<Holder>>, Problem> {
    let Some(said) = headers.get(ACTOR) else { return Ok(caller) };
    let forbidden = |why: &str| Problem::new(Code::Forbidden, why.to_owned());
    let Some(May::Read(site)) = caller.as_ref().map(|holder| &holder.may) else {
        return Err(forbidden("Kontor-Actor is for sites that pass on a request"));
    };
    let is_under = |all: &str| at.strip_prefix(all).is_some_and(|rest| rest.starts_with('/'));
    let decided_at_home = [
        path::STOCK,
        path::LOCATIONS,
        path::RESERVATIONS,
        path::TRANSFERS,
        path::CUSTOMERS,
        path::CARTS,
        path::ORDERS,
        path::PAYMENTS,
    ];
    let is_path = decided_at_home.iter().any(|all| is_under(all));
    if method.is_safe() || !is_path || !headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(forbidden(
            "only writes of books, reservations, transfers, customers, carts and orders with an Idempotency-Key are passed on",
        ));
    }
    let said = said.to_str().ok().and_then(|said| Some((said, said.rsplit_once('@')?)));
    let Some((said, (name, of))) = said.filter(|(_, (name, _))| !name.is_empty()) else {
        return Err(Problem::invalid("Kontor-Actor", "somebody at a site is named as in key:admin@us"));
    };
    if site.as_ref().is_some_and(|site| site.as_str() != of) || SiteId::parse(of).is_err() {
        return Err(forbidden(&format!("the key does not speak for {name} at site {of}")));
    }
    let actor = Actor::parse(said).map_err(|error| Problem::invalid("Kontor-Actor", error.to_string()))?;
    // The other site knows nothing more of a buyer; whether a token opens a cart is looked at here.
    let may = if name == BUYER { May::Buy } else { May::All };
    Ok(Some(Arc::new(Holder::of_another_site(actor, may))))
}

/// A write was refused here. If another site decides it, it is asked.
pub(crate) async fn elsewhere(app: &App, asked: &Asked, problem: Problem) -> Result<Response, Problem> {
    let Some(owner) = owner(app, &problem)? else { return Err(problem) };
    let not_done = |why: String| {
        let problem = problem.clone().of_code(Code::OwnedElsewhere, format!("site {owner} decides this, and {why}"));
        problem.with("site", owner.as_str())
    };
    let sent = match &asked.sent {
        None => return Err(not_done("only requests with an Idempotency-Key are passed on to it".into())),
        Some(_) if asked.is_forwarded => return Err(not_done("this request was passed on once already".into())),
        Some(sent) => sent,
    };
    let Some(carrier) = app.links.carrier_to(&owner) else {
        let is_store =
            app.links.of(&app.site).items.iter().any(|item| item.site == owner.as_str() && item.url.is_none());
        let why = if is_store {
            "it has no address that is known here: a store calls and is not called"
        } else {
            "there is no open link to it from here"
        };
        return Err(not_done(why.into()));
    };
    let named = |name: HeaderName| Some((name.clone(), sent.headers.get(name)?.clone()));
    let mut headers: HeaderMap = PASSED_ON.into_iter().filter_map(named).collect();
    sent.names.clone().write(&mut headers);
    let actor = HeaderValue::try_from(format!("{}@{}", asked.actor, app.site.id()));
    headers.insert(ACTOR, actor.map_err(|_| Problem::internal("an actor is printable"))?);
    let Sent { method, uri, body, .. } = sent;
    let path = uri.path_and_query().map_or(uri.path(), PathAndQuery::as_str).to_owned();
    let errand = Errand { method: method.clone(), path, headers, body: body.clone() };
    let unknown = |why: String| {
        tracing::warn!(site = owner.as_str(), "What became of a write that was passed on is not known: {why}");
        let detail = format!(
            "site {owner} was asked and did not answer: it may have happened or not; repeat it here, and nowhere \
             else, with the same Idempotency-Key, and it is done once in any case"
        );
        Problem::new(Code::OutcomeUnknown, detail).with("site", owner.as_str())
    };
    match timeout(app.limits.write, carrier.carry(errand)).await {
        Err(_) => Err(unknown("no answer came in time".into())),
        Ok(Err(NotTold::Unknown(why))) => Err(unknown(why)),
        Ok(Err(NotTold::NotSent(why))) => Err(not_done(format!("it cannot be reached: {why}"))),
        // That is about the key of this site, and not about the caller.
        Ok(Ok(told)) if matches!(told.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Err(not_done("it does not let this site pass anything on".into()))
        }
        Ok(Ok(told)) => Ok(answer(&owner, told)),
    }
}

/// The other site that decides what was refused, if one does.
fn owner(app: &App, problem: &Problem) -> Result<Option<SiteId>, Problem> {
    match problem.code() {
        Code::OwnedElsewhere => Ok(problem.fact("site").and_then(|site| SiteId::parse(site).ok())),
        Code::UnknownReservation => {
            let id = problem.fact("reservation").and_then(|id| ReservationId::parse(id).ok());
            Ok(id.map(|id| app.site.read().reservation_elsewhere(id)).transpose()?.flatten())
        }
        Code::UnknownCustomer => {
            let id = problem.fact("customer").and_then(|id| CustomerId::parse(id).ok());
            let home = id.map(|id| app.site.read().customer(id)).transpose()?.flatten().map(|(home, _)| home);
            Ok(home.filter(|home| home != app.site.id()))
        }
        _ => Ok(None),
    }
}

/// Something that another site decides.
pub(crate) fn owned_by(owner: &SiteId, what: impl std::fmt::Display) -> Problem {
    Problem::new(Code::OwnedElsewhere, format!("{what} is of site {owner}")).with("site", owner.as_str())
}

fn answer(owner: &SiteId, told: Told) -> Response {
    let mut response = Response::new(Body::from(told.body));
    *response.status_mut() = told.status;
    for name in TOLD {
        if let Some(value) = told.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if let Ok(owner) = HeaderValue::from_str(owner.as_str()) {
        response.headers_mut().entry(SITE).or_insert(owner);
    }
    response
}
