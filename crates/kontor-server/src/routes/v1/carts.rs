//! `/carts`: what somebody may want to buy. A cart is opened by anybody, and from then on by whoever shows its
//! token or holds a key; what decides over money of one's own making needs a key.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, State};
use axum::response::Response;
use http::{HeaderValue, Request, StatusCode, header};
use kontor_api::cart::{AddLine, AddLines, Cart, ChangeCart, Checkout, MergeCarts, OpenCart, SetAmount, SetLine};
use kontor_api::order::Order;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::payment::Capture;
use kontor_api::person::Contact;
use kontor_api::{Code, Empty};
use kontor_core::cart::{Amount, CartDetails, LineChange};
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::{CartId, CustomerId, LocationId, OrderId, Sku};
use kontor_core::limits::ORDER_HOLD_MS_DEFAULT;
use kontor_core::money::Currency;
use kontor_core::person::Sealed;
use kontor_core::product::text::MarketId;
use kontor_core::refusal::Refusal;
use kontor_site::Answer;
use kontor_site::reader::Reader;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::orders::{self, settled};
use super::{Told, Written, expect_event, json, put, read_and_tell, refused_edit, submit};
use crate::access::fresh_token;
use crate::app::App;
use crate::extract::{Admin, Named, Nothing, Params, Shopper};
use crate::forward::{elsewhere, owned_by};
use crate::idempotency::{Asked, Shopped};
use crate::limits::EDITS_MAX;
use crate::personal::{Personal, PlainContact};
use crate::problem::Problem;
use crate::{convert, parse};

/// Open a cart
///
/// For everybody. The answer has the cart's token, which is shown this once: whoever sends it as `X-Cart-Token`
/// may do with the cart what its buyer may. Prices of one's own, amounts and a customer need a key. Without one an
/// `Idempotency-Key` is not remembered: whoever repeats the request opens another cart.
#[utoipa::path(
    post, path = "/api/v1/carts", tag = "carts", operation_id = "open_cart", security(()),
    request_body = OpenCart,
    responses((status = 201, description = "The cart", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes"), ("Location" = String, description = "Its path")))),
)]
pub(crate) async fn open(State(app): State<App>, posted: Shopped<OpenCart>) -> Result<Response, Problem> {
    let Shopped { body, asked, shopper } = posted;
    let OpenCart { id, currency, market, location, customer_id, contact, amounts, lines } = body;
    let currency = parse::at("/currency", Currency::parse(&currency))?;
    let id = id.map(|id| new_id(&app, &id)).transpose()?;
    let Said { customer, contact, amounts } = Said::by(&shopper, customer_id, contact, amounts, currency)?;
    let location = parse::optional("/location", location, LocationId::parse)?.map(Some);
    let market = parse::optional("/market", market, MarketId::parse)?;
    let lines = added(&shopper, lines.unwrap_or_default(), currency)?;
    known(&app, customer)?;
    let buyer = Buyer::of(customer, None);
    let contact = app.personal.seal_contact(buyer.person, &contact).await?;
    let details = CartDetails { customer, contact, amounts, location };
    let (token, digest) = fresh_token();
    let command = Command::OpenCart { id, token: digest, currency, market, details: Box::new(details), lines };
    let keys = app.clone();
    let written = buyer.keep(&app, submit(&app, &asked, command).await).await?;
    let answer = match written {
        Written::Here(answer) => answer,
        Written::Answered(response) => return Ok(response),
    };
    read_and_tell(&app, answer, move |reader, answer| {
        let id = expect_event(answer, |event| match event {
            Event::CartOpened { id, .. } => Some(*id),
            _ => None,
        })?;
        // The token of the first time is known to nobody but its caller.
        let token = Some(token).filter(|_| !answer.replayed);
        let cart = shown(&keys, reader, id, token)?;
        let (revision, path) = (cart.revision, path::with(path::CART, &[&cart.id]));
        Ok(Told::created(cart).revision(Some(revision)).path(path))
    })
    .await
}

/// Read a cart
///
/// As it is now: `requirements` are what is missing before it can be ordered, `warnings` what its buyer should
/// know.
#[utoipa::path(
    get, path = "/api/v1/carts/{id}", tag = "carts", operation_id = "read_cart",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site")),
    responses((status = 200, description = "The cart", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn read(
    State(app): State<App>,
    shopper: Shopper,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = own(&app, &shopper, &id)?;
    let keys = app.clone();
    let cart = app.read(move |reader| shown(&keys, reader, id, None)).await?;
    let mut response = json(StatusCode::OK, &cart)?;
    put(&mut response, header::ETAG, &format!("\"{}\"", cart.revision));
    Ok(response)
}

/// Add units to a cart
///
/// All of them are there afterwards, whatever else is added at the same time.
#[utoipa::path(
    post, path = "/api/v1/carts/{id}/lines", tag = "carts", operation_id = "add_to_cart",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site")),
    request_body = AddLines,
    responses((status = 200, description = "The cart as it is now", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn add(
    State(app): State<App>,
    OfCart { id, body, asked, shopper }: OfCart<AddLines>,
) -> Result<Response, Problem> {
    if body.lines.is_empty() {
        return Err(Problem::invalid("/lines", "at least one line is expected"));
    }
    let lines = added(&shopper, body.lines, currency(&app, id)?)?;
    change(&app, &asked, id, lines, CartDetails::default(), None).await
}

/// Set a line of a cart
///
/// So many units from now on; 0 takes the line away.
#[utoipa::path(
    put, path = "/api/v1/carts/{id}/lines/{sku}", tag = "carts", operation_id = "set_cart_line",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site"), ("sku" = String, Path, description = "Of what")),
    request_body = SetLine,
    responses((status = 200, description = "The cart as it is now", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn set_line(
    State(app): State<App>,
    Named((_, sku)): Named<(String, String)>,
    OfCart { id, body: SetLine { quantity, price }, asked, shopper }: OfCart<SetLine>,
) -> Result<Response, Problem> {
    if price.is_some() {
        shopper.needs_key("a price of one's own")?;
    }
    let currency = currency(&app, id)?;
    let line = LineChange::Set {
        sku: parse::at("sku", Sku::parse(sku))?,
        quantity: parse::units("/quantity", quantity)?,
        price: price.map(|price| parse::order::money("/price", &price, currency)).transpose()?,
    };
    let expected = asked.expected_if_said()?;
    change(&app, &asked, id, vec![line], CartDetails::default(), expected).await
}

/// Take a SKU out of a cart
///
/// All units of it, at whatever prices they stand there.
#[utoipa::path(
    delete, path = "/api/v1/carts/{id}/lines/{sku}", tag = "carts", operation_id = "remove_cart_line",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site"), ("sku" = String, Path, description = "Of what")),
    responses((status = 200, description = "The cart as it is now", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn remove_line(
    State(app): State<App>,
    Named((_, sku)): Named<(String, String)>,
    OfCart { id, asked, .. }: OfCart<Empty>,
) -> Result<Response, Problem> {
    let line = LineChange::Remove { sku: parse::at("sku", Sku::parse(sku))? };
    let expected = asked.expected_if_said()?;
    change(&app, &asked, id, vec![line], CartDetails::default(), expected).await
}

/// Change a cart
///
/// Sets what is known of it besides its lines. `If-Match` may name the revision that was read.
#[utoipa::path(
    patch, path = "/api/v1/carts/{id}", tag = "carts", operation_id = "change_cart",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site")),
    request_body(content((ChangeCart = "application/json"), (ChangeCart = "application/merge-patch+json"))),
    responses((status = 200, description = "The cart as it is now", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn edit(
    State(app): State<App>,
    OfCart { id, body, asked, shopper }: OfCart<ChangeCart>,
) -> Result<Response, Problem> {
    let ChangeCart { customer_id, contact, amounts, location } = body;
    let cart = app.site.read().cart(id)?.ok_or(Refusal::UnknownCart { cart: id })?;
    let location = location.map(|location| parse::optional("/location", location, LocationId::parse)).transpose()?;
    let said = Said::by(&shopper, customer_id, contact, amounts, cart.currency)?;
    let expected = asked.expected_if_said()?;
    // Somebody else may change the cart after it was looked at: then what is sealed for whom is looked at again.
    let is_overtaken = |edited: &Result<Written, Problem>| {
        expected.is_none() && matches!(edited, Err(problem) if problem.code() == Code::PreconditionFailed)
    };
    let mut edited = edit_once(&app, &asked, id, &said, location.clone(), expected).await;
    for _ in 1..EDITS_MAX {
        if !is_overtaken(&edited) {
            break;
        }
        edited = edit_once(&app, &asked, id, &said, location.clone(), expected).await;
    }
    let current = || shown(&app, &app.site.read(), id, None).map(Some);
    match edited.map_err(|problem| refused_edit(problem, expected, current))? {
        Written::Here(answer) => tell(&app, answer, id).await,
        Written::Answered(response) => Ok(response),
    }
}

/// Changes a cart as it is now. What is sealed for one person stays so: the change holds for no other revision if
/// it says who or where somebody is.
async fn edit_once(
    app: &App,
    asked: &Asked,
    id: CartId,
    said: &Said,
    location: Option<Option<LocationId>>,
    expected: Option<u64>,
) -> Result<Written, Problem> {
    let cart = app.site.read().cart(id)?.ok_or(Refusal::UnknownCart { cart: id })?;
    let Said { customer, contact: given, amounts } = said;
    known(app, *customer)?;
    let before = cart.contact.fields().next().map(Sealed::person);
    let buyer = Buyer::of(customer.or(cart.customer), before);
    let given = if before.is_some_and(|before| before != buyer.person) {
        // What was sealed for a guest is the customer's from now on, and goes when the customer is erased.
        app.personal.complete_contact(given.clone(), &cart.contact)?
    } else {
        given.clone()
    };
    let contact = app.personal.seal_contact(buyer.person, &given).await?;
    let is_about_somebody = customer.is_some() || contact.fields().next().is_some();
    let expected = expected.or(is_about_somebody.then_some(cart.revision));
    let details = CartDetails { customer: *customer, contact, amounts: amounts.clone(), location };
    let command = Command::ChangeCart { id, lines: Vec::new(), details: Box::new(details), expected };
    buyer.keep(app, submit(app, asked, command).await).await
}

/// Accept the prices of a cart
///
/// Takes the prices of the catalogue as they are now.
#[utoipa::path(
    post, path = "/api/v1/carts/{id}/accept-prices", tag = "carts", operation_id = "accept_cart_prices",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site")),
    request_body(content = Option<Empty>, description = "Nothing, or an empty object"),
    responses((status = 200, description = "The cart as it is now", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn accept_prices(
    State(app): State<App>,
    OfCart { id, asked, .. }: OfCart<Empty>,
) -> Result<Response, Problem> {
    changed(&app, &asked, id, Command::AcceptPrices { id }).await
}

/// Merge a cart into this one
///
/// What is in the other one is in this one afterwards, and the other one is closed. Who has no key shows the
/// tokens of both.
#[utoipa::path(
    post, path = "/api/v1/carts/{id}/merge", tag = "carts", operation_id = "merge_carts",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site")),
    request_body = MergeCarts,
    responses((status = 200, description = "The cart as it is now", body = Cart,
        headers(("ETag" = String, description = "Its revision, in quotes")))),
)]
pub(crate) async fn merge(
    State(app): State<App>,
    OfCart { id: into, body: MergeCarts { from, from_token }, asked, shopper }: OfCart<MergeCarts>,
) -> Result<Response, Problem> {
    let (from, home) = parse::order::cart_id("/from", &from)?;
    if home.is_some_and(|home| home != *app.site.id()) {
        return Err(Problem::invalid("/from", "carts of two sites are not merged"));
    }
    if !shopper.is_admin() && from_token.is_none() {
        return Err(Problem::invalid("/from_token", "the token of the other cart is needed, or a key"));
    }
    if from_token.as_deref().is_some_and(|token| HeaderValue::from_str(token).is_err()) {
        return Err(Problem::invalid("/from_token", "a token has letters and digits"));
    }
    if !shopper.with_token(from_token.as_deref()).opens(&app.site.read(), from)? {
        return Err(Refusal::UnknownCart { cart: from }.into());
    }
    changed(&app, &asked, into, Command::MergeCarts { from, into }).await
}

/// Check out a cart
///
/// Places an order, all or nothing: prices as the buyer has seen them, units held, a payment begun. A cart leads
/// to one order: whatever has become of it, a repetition answers it. What is missing is refused by the first of
/// the cart's `requirements`.
#[utoipa::path(
    post, path = "/api/v1/carts/{id}/checkout", tag = "carts", operation_id = "check_out",
    params(("id" = String, Path, description = "`cart_`, a UUID, a dot and the cart's site")),
    request_body(content = Option<Checkout>, description = "How it is paid"),
    responses(
        (status = 201, description = "The order", body = Order, headers(("Location" = String, description = "Its path"))),
        (status = 200, description = "The order, which was placed before", body = Order),
    ),
)]
pub(crate) async fn check_out(
    State(app): State<App>,
    OfCart { id, body, asked, shopper }: OfCart<Checkout>,
) -> Result<Response, Problem> {
    let Checkout { payment_method, capture, hold_s, wait_s } = body;
    let wait = parse::order::wait(wait_s)?;
    if hold_s.is_some() {
        shopper.needs_key("a time of one's own to hold")?;
    }
    if capture == Some(Capture::Manual) {
        shopper.needs_key("a capture by hand")?;
    }
    let hold_ms = hold_s.map(|seconds| parse::duration("/hold_s", seconds)).transpose()?;
    let command = Command::Checkout {
        cart: id,
        method: payment_method.map(|method| parse::order::method("/payment_method", method)).transpose()?,
        capture: parse::order::capture(capture),
        hold_ms: hold_ms.unwrap_or(ORDER_HOLD_MS_DEFAULT),
    };
    let order = OrderId::from(id);
    let answer = match submit(&app, &asked, command).await? {
        Written::Here(answer) => answer,
        Written::Answered(response) => return Ok(response),
    };
    settled(&app, &asked, &shopper, order, wait).await.map_err(Problem::after_write)?;
    let keys = app.clone();
    read_and_tell(&app, answer, move |reader, answer| {
        let order = orders::shown(&keys, reader, order)?;
        let path = path::with(path::ORDER, &[&order.id]);
        let is_new = answer.events.iter().any(|event| matches!(event, Event::OrderPlaced { .. }));
        Ok(Told::made(is_new, order).path(path))
    })
    .await
}

/// List the open carts of a customer
///
/// Those of the answering site; there are at most 20.
#[utoipa::path(
    get, path = "/api/v1/customers/{id}/carts", tag = "carts", operation_id = "list_carts_of_customer",
    params(("id" = String, Path, description = "`cus_` and a UUID")),
    responses((status = 200, description = "The carts", body = Page<Cart>)),
)]
pub(crate) async fn of_customer(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let customer = parse::person::customer_id("id", &id)?;
    let keys = app.clone();
    let page = app.read(move |reader| -> Result<Page<Cart>, Problem> {
        if reader.customer(customer)?.is_none() {
            return Err(Refusal::UnknownCustomer { customer }.into());
        }
        let carts = reader.carts_of(customer)?.into_iter();
        let items = carts.map(|id| shown(&keys, reader, id, None)).collect::<Result<_, _>>()?;
        Ok(Page { items, next_page_token: None })
    });
    json(StatusCode::OK, &page.await?)
}

/// What every path to a cart has.
#[derive(Deserialize)]
struct CartPath {
    id: String,
}

/// A write to the cart that its path names, from somebody who may have the cart. One of another site goes there,
/// and what that one says is the answer.
pub(crate) struct OfCart<T> {
    id: CartId,
    body: T,
    asked: Asked,
    shopper: Shopper,
}

impl<T: DeserializeOwned + Serialize + Send> FromRequest<App> for OfCart<T> {
    type Rejection = Result<Response, Problem>;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Self::Rejection> {
        let (mut head, body) = request.into_parts();
        let names = Path::<CartPath>::from_request_parts(&mut head, app).await;
        let Path(CartPath { id }) = names.map_err(|error| Err(error.into()))?;
        let posted = Shopped::from_request(Request::from_parts(head, body), app).await;
        let Shopped { body, asked, shopper } = posted.map_err(Err)?;
        match own(app, &shopper, &id) {
            Ok(id) => Ok(Self { id, body, asked, shopper }),
            Err(problem) => Err(elsewhere(app, &asked, problem).await),
        }
    }
}

/// The cart of this site that a path names, if the caller may have it.
fn own(app: &App, shopper: &Shopper, text: &str) -> Result<CartId, Problem> {
    let (id, home) = parse::order::cart_id("id", text)?;
    shopper.shows_something()?;
    let (here, reader) = (app.site.id(), app.site.read());
    match home.filter(|home| home != here) {
        Some(home) if reader.rows().sites().contains(&home) => Err(owned_by(&home, format!("cart {id}"))),
        None if shopper.opens(&reader, id)? => Ok(id),
        _ => Err(Refusal::UnknownCart { cart: id }.into()),
    }
}

/// Refuses a customer of whom nobody has heard, before anything is sealed for such a one.
fn known(app: &App, customer: Option<CustomerId>) -> Result<(), Problem> {
    match customer {
        Some(customer) if app.site.read().customer(customer)?.is_none() => {
            Err(Refusal::UnknownCustomer { customer }.into())
        }
        _ => Ok(()),
    }
}

/// The id of a cart that is to be opened here.
fn new_id(app: &App, text: &str) -> Result<CartId, Problem> {
    let (id, home) = parse::order::cart_id("/id", text)?;
    match home.filter(|home| home != app.site.id()) {
        Some(_) => Err(Problem::invalid("/id", "a cart is opened at its own site")),
        None => Ok(id),
    }
}

fn currency(app: &App, id: CartId) -> Result<Currency, Problem> {
    let cart = app.site.read().cart(id)?;
    cart.map(|cart| cart.currency).ok_or_else(|| Refusal::UnknownCart { cart: id }.into())
}

fn added(shopper: &Shopper, lines: Vec<AddLine>, currency: Currency) -> Result<Vec<LineChange>, Problem> {
    if lines.iter().any(|line| line.price.is_some()) {
        shopper.needs_key("a price of one's own")?;
    }
    parse::order::added(lines, currency)
}

async fn change(
    app: &App,
    asked: &Asked,
    id: CartId,
    lines: Vec<LineChange>,
    details: CartDetails,
    expected: Option<u64>,
) -> Result<Response, Problem> {
    let command = Command::ChangeCart { id, lines, details: Box::new(details), expected };
    let changed = changed(app, asked, id, command).await;
    let current = || shown(app, &app.site.read(), id, None).map(Some);
    changed.map_err(|problem| refused_edit(problem, expected, current))
}

/// Changes a cart, and answers it as it is then.
async fn changed(app: &App, asked: &Asked, id: CartId, command: Command) -> Result<Response, Problem> {
    match submit(app, asked, command).await? {
        Written::Here(answer) => tell(app, answer, id).await,
        Written::Answered(response) => Ok(response),
    }
}

async fn tell(app: &App, answer: Answer, id: CartId) -> Result<Response, Problem> {
    let keys = app.clone();
    read_and_tell(app, answer, move |reader, _| {
        let cart = shown(&keys, reader, id, None)?;
        let revision = cart.revision;
        Ok(Told::changed(cart).revision(Some(revision)))
    })
    .await
}

/// What is said of a cart besides its lines and its place.
struct Said {
    customer: Option<CustomerId>,
    contact: PlainContact,
    amounts: Option<Vec<Amount>>,
}

impl Said {
    /// Reads it, if the caller may say it.
    fn by(
        shopper: &Shopper,
        customer_id: Option<String>,
        contact: Option<Contact>,
        amounts: Option<Vec<SetAmount>>,
        currency: Currency,
    ) -> Result<Self, Problem> {
        if customer_id.is_some() {
            shopper.needs_key("a customer")?;
        }
        if amounts.is_some() {
            shopper.needs_key("an amount")?;
        }
        Ok(Self {
            customer: customer_id.map(|id| parse::person::customer_id("/customer_id", &id)).transpose()?,
            contact: contact.map(|of| parse::person::contact("/contact", of)).transpose()?.unwrap_or_default(),
            amounts: amounts.map(|amounts| parse::order::amounts(amounts, currency)).transpose()?,
        })
    }
}

/// For whom what is known of a buyer is sealed.
struct Buyer {
    person: CustomerId,
    /// Nobody has heard of the person yet.
    is_new: bool,
}

impl Buyer {
    /// The customer, else whoever was told of before, else a guest of whom nothing is known yet.
    fn of(customer: Option<CustomerId>, before: Option<CustomerId>) -> Self {
        match customer.or(before) {
            Some(person) => Self { person, is_new: false },
            None => Self { person: Personal::fresh_person(), is_new: true },
        }
    }

    /// Keeps the key of a guest only where something is, or may be, sealed under it.
    async fn keep(&self, app: &App, written: Result<Written, Problem>) -> Result<Written, Problem> {
        let is_kept = match &written {
            Ok(Written::Here(answer)) => !answer.replayed,
            Ok(Written::Answered(_)) => false,
            Err(problem) => !problem.code().has_no_side_effects(),
        };
        if self.is_new && !is_kept {
            app.personal.take_back(self.person).await;
        }
        written
    }
}

fn shown(app: &App, reader: &Reader, id: CartId, token: Option<String>) -> Result<Cart, Problem> {
    let now = reader.cart_now(id)?.ok_or(Refusal::UnknownCart { cart: id })?;
    convert::order::cart(&app.personal, &now, app.site.id(), reader.position()?, token)
}
