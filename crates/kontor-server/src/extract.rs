//! What handlers take from a request, each with the problem that a bad one is.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};
use kontor_api::Code;
use kontor_core::id::{CartId, SiteId};
use kontor_site::reader::Reader;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use crate::access::{Holder, May, digest_of};
use crate::app::App;
use crate::convert::Audience;
use crate::idempotency::{bytes_of, names_of, read_json};
use crate::ids::Ids;
use crate::problem::Problem;

/// Who asks, and how the request is called.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) holder: Option<Arc<Holder>>,
    pub(crate) ids: Ids,
}

impl Caller {
    /// As the service has put it there.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let nobody = || Self { holder: None, ids: Ids::of(&http::HeaderMap::new()) };
        extensions.get().cloned().unwrap_or_else(nobody)
    }

    /// The holder of an admin key, or 401; 403 for another key.
    pub(crate) fn admin(&self) -> Result<&Arc<Holder>, Problem> {
        let holder = self.any_key()?;
        if holder.may.is_all() { Ok(holder) } else { Err(Problem::new(Code::Forbidden, "the key is for other paths")) }
    }

    fn any_key(&self) -> Result<&Arc<Holder>, Problem> {
        self.holder
            .as_ref()
            .ok_or_else(|| Problem::new(Code::Unauthenticated, "send a key as X-API-Key, or as Authorization: Bearer"))
    }

    pub(crate) fn is_public(&self) -> bool {
        self.holder.is_none()
    }

    /// What the caller may see of products.
    pub(crate) fn audience(&self) -> Audience {
        if self.is_public() { Audience::Everybody } else { Audience::Keys }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// Proof that the caller holds an admin key.
pub(crate) struct Admin;

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Caller::of(&parts.extensions).admin().map(|_| Self)
    }
}

/// Proof that the caller is another site, or an admin.
pub(crate) struct Peer {
    pub(crate) is_admin: bool,
    /// The site that the key was made for; any, if it is the key that sites share.
    site: Option<SiteId>,
}

impl Peer {
    /// Whether the caller may say that it is this site.
    pub(crate) fn speaks_for(&self, site: &SiteId) -> Result<(), Problem> {
        match &self.site {
            Some(own) if own != site => {
                Err(Problem::new(Code::Forbidden, format!("the key was made for site {own}, not for {site}")))
            }
            _ => Ok(()),
        }
    }
}

impl FromRequestParts<App> for Peer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let caller = Caller::of(&parts.extensions);
        Ok(match &caller.any_key()?.may {
            May::All => Self { is_admin: true, site: None },
            May::Read(site) => Self { is_admin: false, site: site.clone() },
            May::Buy => return Err(Problem::new(Code::Forbidden, "this is for sites and holders of keys")),
        })
    }
}

/// The token of a cart, which opens it without a key.
pub(crate) const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");

/// Whoever buys: the holder of an admin key, who may do all, or somebody with the token of a cart, or without.
pub(crate) struct Shopper {
    /// The holder of a key, or a buyer for whom another site asks.
    pub(crate) holder: Option<Arc<Holder>>,
    pub(crate) token: Option<HeaderValue>,
}

impl Shopper {
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap) -> Result<Self, Problem> {
        let holder = Caller::of(extensions).holder;
        if matches!(holder.as_ref().map(|holder| &holder.may), Some(May::Read(_))) {
            return Err(Problem::new(Code::Forbidden, "the key is for other paths"));
        }
        Ok(Self { holder, token: headers.get(CART_TOKEN).cloned() })
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.may.is_all())
    }

    /// Refuses something that is not for buyers.
    pub(crate) fn needs_key(&self, what: &str) -> Result<(), Problem> {
        if self.is_admin() { Ok(()) } else { Err(Problem::new(Code::Unauthenticated, format!("{what} needs a key"))) }
    }

    /// Refuses whoever shows nothing that could open a cart.
    pub(crate) fn shows_something(&self) -> Result<(), Problem> {
        let is_something = self.is_admin() || self.token.is_some();
        let why = "send the cart's token as X-Cart-Token, or a key as X-API-Key";
        if is_something { Ok(()) } else { Err(Problem::new(Code::Unauthenticated, why)) }
    }

    /// Whether the caller may have a cart of this site. One that is not there is opened by holders of keys alone.
    pub(crate) fn opens(&self, reader: &Reader, id: CartId) -> Result<bool, Problem> {
        self.shows_something()?;
        if self.is_admin() {
            return Ok(true);
        }
        let digest = digest_of(self.token.as_ref().map(HeaderValue::as_bytes).unwrap_or_default());
        let kept = reader.cart(id)?.map(|cart| cart.token);
        Ok(kept.is_some_and(|kept| bool::from(kept.ct_eq(&digest))))
    }

    /// The same caller with the token of another cart.
    pub(crate) fn with_token(&self, token: Option<&str>) -> Self {
        let token = token.and_then(|token| HeaderValue::from_str(token).ok());
        Self { holder: self.holder.clone(), token }
    }
}

impl FromRequestParts<App> for Shopper {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Self::of(&parts.extensions, &parts.headers)
    }
}

/// A body of whoever may send it, which is looked at by an extractor before. Not remembered under a key:
/// what is answered may be a secret.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Sent<T> {
    type Rejection = Problem;
    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        json_of(request, app).await.map(Self)
    }
}

/// A body that asks and changes nothing, from anybody.
pub(crate) struct Asking<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Asking<T> {
    type Rejection = Problem;
    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        json_of(request, app).await.map(Self)
    }
}

async fn json_of<T: DeserializeOwned>(request: Request<Body>, app: &App) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    if let Some(query) = head.uri.query().filter(|query| !query.is_empty()) {
        return Err(Problem::invalid(
            "query",
            format!("no parameter is known here, and {} was given", names_of(query)),
        ));
    }
    read_json(&bytes_of(&head.headers, body, app).await?)
}

/// The values in the path, percent-decoded.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Path(names) = Path::from_request_parts(parts, app).await?;
        Ok(Self(names))
    }
}

/// The parameters; one that is not known is refused, and the answer names those that are.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let Query(params) = Query::try_from_uri(&parts.uri)?;
        Ok(Self(params))
    }
}

/// No parameter is known here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}
