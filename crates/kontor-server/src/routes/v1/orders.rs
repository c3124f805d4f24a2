//! `/orders`: what somebody has bought, and what becomes of it. A buyer reads, pays and cancels an order with
//! the token of the cart that it was placed from.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Code;
use kontor_api::order::{CancelOrder, Order, OrderStatus as WireStatus, OrderStep, RefundOrder, ShipOrder};
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::payment::{Capture, PayOrder};
use kontor_core::command::{Command, Note};
use kontor_core::id::{CartId, OrderId, Position, SiteId};
use kontor_core::order as core;
use kontor_core::order::{OrderList, OrderStatus};
use kontor_core::refusal::Refusal;
use kontor_core::text::Reason;
use kontor_core::time::SiteTime;
use kontor_site::reader::{OrderPlace, Orders, Reader, TimelineAt};
use serde::Deserialize;
use tokio::time::{Duration, timeout};
use utoipa::IntoParams;

use super::changes::slot;
use super::{Paging, Told, Written, json, listed, page, page_size, read_and_tell, submit, write_and_read};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Nothing, Params, Shopper};
use crate::forward::{elsewhere, owned_by};
use crate::idempotency::{Asked, Posted, Shopped};
use crate::parse::order::OrderName;
use crate::problem::Problem;
use crate::{convert, parse};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderParams {
    /// Only those of this customer.
    customer_id: Option<String>,
    /// Only those that stand so.
    #[param(inline)]
    status: Option<WireStatus>,
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
}

/// List orders
///
/// Of all sites that this one reads, the newest first. A page with both filters ends after a bounded number of
/// orders, so it may be short, and still have a next one.
#[utoipa::path(
    get, path = "/api/v1/orders", tag = "orders", operation_id = "list_orders",
    params(OrderParams),
    responses((status = 200, description = "One page of orders", body = Page<Order>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(params): Params<OrderParams>,
) -> Result<Response, Problem> {
    let OrderParams { customer_id, status, page_size: size, page_token } = params;
    let size = page_size(size)?;
    let customer = customer_id.map(|id| parse::person::customer_id("customer_id", &id)).transpose()?;
    let status = status.map(core_status);
    let keys = app.clone();
    app.read(move |reader| {
        let of_customer = customer.map(|id| id.to_string());
        let of_status = status.map(OrderStatus::word);
        let filters = [of_customer.as_deref().unwrap_or_default(), of_status.unwrap_or_default()];
        let list = List { path: path::ORDERS, filters: &filters };
        let after = list.after(page_token.as_deref(), place)?;
        let (of, filter) = match (customer, status) {
            (Some(customer), status) => (OrderList::Customer(customer), status),
            (None, Some(status)) => (OrderList::Status(status), None),
            (None, None) => (OrderList::All, None),
        };
        let Orders { orders, next } = reader.orders(of, filter, after.as_ref(), size)?;
        let position = reader.position()?;
        let items: Vec<Order> = orders
            .iter()
            .map(|order| convert::order::order(&keys.personal, order, position))
            .collect::<Result<_, _>>()?;
        let query = [("customer_id", of_customer.as_deref()), ("status", of_status)];
        let next = next.map(|next| placed(&next));
        listed(&list, size, &query, items, next)
    })
    .await
}

/// Writes the place of an order on a list.
pub(crate) fn placed(OrderPlace { placed_at, order, site }: &OrderPlace) -> String {
    format!("{}/{order}/{site}", placed_at.0)
}

/// Reads the place of an order on a list.
pub(crate) fn place(text: &str) -> Option<OrderPlace> {
    let mut parts = text.splitn(3, '/');
    let placed_at = SiteTime(parts.next()?.parse().ok()?);
    Some(OrderPlace { placed_at, order: OrderId::parse(parts.next()?).ok()?, site: SiteId::parse(parts.next()?).ok()? })
}

/// Read an order
///
/// By its id or its number. With a key, of all sites that this one reads; payments are known at the order's own.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}", tag = "orders", operation_id = "read_order",
    params(("id" = String, Path, description = "`ord_` and a UUID, or a number such as `main-1001`")),
    responses((status = 200, description = "The order", body = Order)),
)]
pub(crate) async fn read(
    State(app): State<App>,
    shopper: Shopper,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let (id, _) = opened(&app, &shopper, &id)?;
    let keys = app.clone();
    let order = app.read(move |reader| shown(&keys, reader, id)).await?;
    json(StatusCode::OK, &order)
}

/// Read the timeline of an order
///
/// What became of it, the oldest first: when, by whom, why, and what it was afterwards.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/timeline", tag = "orders", operation_id = "read_order_timeline",
    params(("id" = String, Path, description = "`ord_` and a UUID, or a number such as `main-1001`"), Paging),
    responses((status = 200, description = "One page of what became of it", body = Page<OrderStep>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn timeline(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let size = paging.size()?;
    let name = parse::order::order_name("id", &id)?;
    app.read(move |reader| {
        let id = named(reader, &name)?;
        let (home, order) = reader.order(id)?.ok_or(Refusal::UnknownOrder { order: id })?;
        let path = path::with(path::TIMELINE, &[&id.to_string()]);
        let list = List { path: &path, filters: &[] };
        let after = list.after(paging.page_token.as_deref(), |text| {
            let (position, number) = text.split_once('/')?;
            Some((Position::parse(position)?, number.parse().ok()?))
        })?;
        let rows = reader.timeline(&home, id, after, size + 1)?;
        let place = |line: &TimelineAt| format!("{}/{}", line.position, line.number);
        page(&list, size, &[], rows, place, |line| convert::order::step(line, id, order.currency).map(Some))
    })
    .await
}

/// Pay an order
///
/// Begins another payment, after the last one was declined, or where there was none. One payment at a time.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/payments", tag = "orders", operation_id = "pay_order",
    params(("id" = String, Path, description = "`ord_` and a UUID, or a number such as `main-1001`")),
    request_body = PayOrder,
    responses((status = 201, description = "The order as it is now", body = Order)),
)]
pub(crate) async fn pay(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Shopped<PayOrder>,
) -> Result<Response, Problem> {
    let Shopped { body: PayOrder { method, capture, wait_s }, asked, shopper } = posted;
    let wait = parse::order::wait(wait_s)?;
    let id = match opened(&app, &shopper, &id) {
        Ok((id, _)) => id,
        Err(problem) => return elsewhere(&app, &asked, problem).await,
    };
    if capture == Some(Capture::Manual) {
        shopper.needs_key("a capture by hand")?;
    }
    let method = parse::order::method("/method", method)?;
    let command = Command::PayOrder { id, method, capture: parse::order::capture(capture) };
    let answer = match submit(&app, &asked, command).await? {
        Written::Here(answer) => answer,
        Written::Answered(response) => return Ok(response),
    };
    settled(&app, &asked, &shopper, id, wait).await.map_err(Problem::after_write)?;
    let keys = app.clone();
    read_and_tell(&app, answer, move |reader, _| shown(&keys, reader, id).map(Told::created)).await
}

/// Cancel an order
///
/// Of which nothing was handed out. What is held or promised is given back, and so is its money.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/cancel", tag = "orders", operation_id = "cancel_order",
    params(("id" = String, Path, description = "`ord_` and a UUID, or a number such as `main-1001`")),
    request_body(content = Option<CancelOrder>, description = "Why"),
    responses((status = 200, description = "The order as it is now", body = Order)),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Shopped<CancelOrder>,
) -> Result<Response, Problem> {
    let Shopped { body: CancelOrder { reason }, asked, shopper } = posted;
    let id = match opened(&app, &shopper, &id) {
        Ok((id, _)) => id,
        Err(problem) => return elsewhere(&app, &asked, problem).await,
    };
    let command = Command::CancelOrder { id, reason: parse::optional("/reason", reason, Reason::parse)? };
    let keys = app.clone();
    write_and_read(&app, &asked, command, move |reader, _| shown(&keys, reader, id).map(Told::changed)).await
}

/// Refund an order
///
/// Gives money back, and takes goods back: the prices of the lines that come back, if no amount is given. Where
/// `restock` names a location, units are on the shelf there again.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/refunds", tag = "orders", operation_id = "refund_order",
    params(("id" = String, Path, description = "`ord_` and a UUID, or a number such as `main-1001`")),
    request_body = RefundOrder,
    responses((status = 201, description = "The order as it is now", body = Order)),
)]
pub(crate) async fn refund(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<RefundOrder>,
) -> Result<Response, Problem> {
    let Posted { body: RefundOrder { amount, lines, reason }, asked } = posted;
    let (id, order) = known(&app, &id)?;
    let command = Command::RefundOrder {
        id,
        amount: amount.map(|amount| parse::order::money("/amount", &amount, order.currency)).transpose()?,
        lines: parse::order::returned(lines.unwrap_or_default())?,
        reason: parse::optional("/reason", reason, Reason::parse)?,
    };
    let keys = app.clone();
    write_and_read(&app, &asked, command, move |reader, _| shown(&keys, reader, id).map(Told::created)).await
}

/// Ship an order
///
/// Hands out what was promised to it, at the site that keeps the books of where it is; all that is left, if no
/// lines are given.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/ship", tag = "orders", operation_id = "ship_order",
    params(("id" = String, Path, description = "`ord_` and a UUID, or a number such as `main-1001`")),
    request_body(content = Option<ShipOrder>, description = "What is handed out"),
    responses((status = 201, description = "The order as it is now", body = Order)),
)]
pub(crate) async fn ship(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<ShipOrder>,
) -> Result<Response, Problem> {
    let Posted { body: ShipOrder { lines }, asked } = posted;
    let (id, order) = known(&app, &id)?;
    let lines = lines.map(parse::lines).transpose()?;
    let command = Command::Ship { reservation: order.reservation, lines, note: Note::default() };
    let keys = app.clone();
    write_and_read(&app, &asked, command, move |reader, _| shown(&keys, reader, id).map(Told::created)).await
}

/// Waits until a provider has said whether it sets the money of an order aside, until the time is over, or until
/// the server ends. Where too many wait already, it does not: what was done is done.
pub(crate) async fn settled(
    app: &App,
    asked: &Asked,
    shopper: &Shopper,
    id: OrderId,
    wait: Duration,
) -> Result<(), Problem> {
    let Some(_slot) = (!wait.is_zero()).then(|| slot(app, !shopper.is_admin()).ok()).flatten() else { return Ok(()) };
    // Whoever has passed it on waits for so long itself.
    let wait = if asked.is_forwarded { wait.min(app.limits.write / 2) } else { wait };
    let mut draining = app.draining.subscribe();
    let mut feed = app.site.feed();
    let said = async {
        loop {
            let seen = feed.end();
            let payments = app.site.read().payments(id)?;
            if !payments.iter().any(|(_, payment)| payment.is_undecided()) || !feed.wait(seen).await {
                return Ok(());
            }
        }
    };
    tokio::select! {
        said = timeout(wait, said) => said.unwrap_or(Ok(())),
        _ = draining.wait_for(|draining| *draining) => Ok(()),
    }
}

/// An order as it is now.
pub(crate) fn shown(app: &App, reader: &Reader, id: OrderId) -> Result<Order, Problem> {
    let now = reader.order_now(id)?.ok_or(Refusal::UnknownOrder { order: id })?;
    convert::order::order(&app.personal, &now, reader.position()?)
}

/// The order that a path names, if the caller may have it: with a key any, with a token that of its cart, at the
/// cart's site.
fn opened(app: &App, shopper: &Shopper, text: &str) -> Result<(OrderId, core::Order), Problem> {
    shopper.shows_something()?;
    let reader = app.site.read();
    let name = parse::order::order_name("id", text)?;
    let id = named(&reader, &name)?;
    let unknown = || unknown(&name);
    let (home, order) = reader.order(id)?.ok_or_else(unknown)?;
    if shopper.is_admin() {
        return Ok((id, order));
    }
    if home != *app.site.id() {
        return Err(owned_by(&home, format!("order {id}")));
    }
    if shopper.opens(&reader, CartId(id.0))? { Ok((id, order)) } else { Err(unknown()) }
}

/// The order that a path names.
fn known(app: &App, text: &str) -> Result<(OrderId, core::Order), Problem> {
    let (reader, name) = (app.site.read(), parse::order::order_name("id", text)?);
    let id = named(&reader, &name)?;
    let (_, order) = reader.order(id)?.ok_or_else(|| unknown(&name))?;
    Ok((id, order))
}

/// The id behind a name.
pub(crate) fn named(reader: &Reader, name: &OrderName) -> Result<OrderId, Problem> {
    match name {
        OrderName::Id(id) => Ok(*id),
        OrderName::Number(site, number) => reader.order_numbered(site, *number)?.ok_or_else(|| unknown(name)),
    }
}

fn unknown(name: &OrderName) -> Problem {
    match name {
        OrderName::Id(id) => Refusal::UnknownOrder { order: *id }.into(),
        OrderName::Number(site, number) => {
            let name = convert::order::order_number(site, *number);
            Problem::new(Code::UnknownOrder, format!("there is no order {name}")).with("order", name)
        }
    }
}

fn core_status(status: WireStatus) -> OrderStatus {
    match status {
        WireStatus::Open => OrderStatus::Open,
        WireStatus::Confirmed => OrderStatus::Confirmed,
        WireStatus::Completed => OrderStatus::Completed,
        WireStatus::Canceled => OrderStatus::Canceled,
    }
}
