//! What the shops among the services share: an order is placed and paid, and whoever asked for it waits for what
//! the provider says.

use kontor_api::Code;
use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::id::{CartId, OrderId};
use kontor_core::limits::ORDER_HOLD_MS_DEFAULT;
use kontor_core::order::OrderStatus;
use kontor_core::payment::call::MethodToken;
use kontor_core::payment::record::Capture;
use kontor_site::Answer;
use kontor_site::reader::OrderNow;
use tokio::time::timeout;

use super::inventory::admin::open_pool;
use crate::app::App;
use crate::idempotency::Asked;
use crate::limits::COMPAT_TRIES;
use crate::problem::Problem;

/// How an order stands for its buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has been asked for the money, or the answer was no; a card may still be tried.
    Unpaid,
    /// The provider is being asked.
    Asked,
    /// The money is sure.
    Paid,
    /// It does not stand any more.
    Over,
}

/// How an order stands.
pub(super) fn standing(now: &OrderNow) -> Standing {
    match now.order.status {
        OrderStatus::Confirmed | OrderStatus::Completed => Standing::Paid,
        OrderStatus::Canceled => Standing::Over,
        OrderStatus::Open if now.payments.iter().any(|(_, payment)| payment.pending.is_some()) => Standing::Asked,
        OrderStatus::Open => Standing::Unpaid,
    }
}

/// An order with its payments.
pub(super) async fn order(app: &App, id: OrderId) -> Result<Option<OrderNow>, Problem> {
    app.read(move |reader| Ok(reader.order_now(id)?)).await
}

/// Places the order of a cart, unless it was placed. With a method it is paid, too. The prices are those of now.
/// Answers the order: another one, if the request repeats one that was done for another cart.
pub(super) async fn place(
    app: &App,
    asked: &Asked,
    cart: CartId,
    method: Option<&MethodToken>,
) -> Result<OrderId, Problem> {
    let is_bare = app.read(|reader| Ok(reader.locations(None, 1)?.is_empty())).await?;
    let (method, capture) = (method.cloned(), Capture::Automatic);
    let checkout = Command::Checkout { cart, method, capture, hold_ms: ORDER_HOLD_MS_DEFAULT };
    let mut commands = vec![Command::AcceptPrices { id: cart }, checkout];
    if is_bare {
        // What is not counted is sold from somewhere, too.
        commands.insert(0, open_pool());
    }
    let done = app.submit(asked, Command::All(commands)).await?;
    Ok(ordered(&done).unwrap_or(OrderId::from(cart)))
}

/// The order that something was done for.
fn ordered(done: &Answer) -> Option<OrderId> {
    done.events.iter().find_map(|event| match event {
        Event::OrderPlaced { id, .. } => Some(*id),
        Event::PaymentRequested(requested) => Some(requested.id.order),
        _ => None,
    })
}

/// Sees to it that the order of a cart is placed and paid, and waits for what the provider says, as long as a
/// client would. However often it is asked for, and by however many at once, there is one order, and no second
/// call for money while one is under way or when it is paid.
pub(super) async fn paid(app: &App, asked: &Asked, cart: CartId, method: &MethodToken) -> Result<OrderNow, Problem> {
    let id = OrderId::from(cart);
    for _ in 0..COMPAT_TRIES {
        let now = order(app, id).await?;
        let done = match now.as_ref().map(standing) {
            None => place(app, asked, cart, Some(method)).await,
            Some(Standing::Unpaid) => {
                let pay = Command::PayOrder { id, method: method.clone(), capture: Capture::Automatic };
                app.submit(asked, pay).await.map(|done| ordered(&done).unwrap_or(id))
            }
            Some(Standing::Asked | Standing::Paid | Standing::Over) => return told(app, id).await,
        };
        match done {
            Ok(id) => return told(app, id).await.map_err(Problem::after_write),
            Err(problem) if is_overtaken(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(Problem::new(Code::Overloaded, "others change it all the time; try again"))
}

/// Whether somebody else has done it, or something else, meanwhile: then the order says how it stands.
pub(super) fn is_overtaken(problem: &Problem) -> bool {
    matches!(problem.code(), Code::AlreadyExists | Code::CartClosed | Code::OrderStatus | Code::PaymentInProgress)
}

/// The order when the provider has said something, or when the client would not wait any longer. Nobody waits
/// for a provider that will not be asked so soon.
async fn told(app: &App, id: OrderId) -> Result<OrderNow, Problem> {
    let gone = || Problem::internal("an order that was placed is not there");
    let mut feed = app.site.feed();
    let rest_ms = app.payments.as_ref().map_or(0, |payments| payments.provider.rest_ms());
    if u128::from(rest_ms) < app.limits.checkout.as_millis() {
        let answered = async {
            loop {
                let end = feed.end();
                let now = order(app, id).await?.ok_or_else(gone)?;
                if standing(&now) != Standing::Asked {
                    return Ok(now);
                }
                if !feed.wait(end).await {
                    return Err(Problem::new(Code::SiteStopped, "the site has stopped"));
                }
            }
        };
        if let Ok(now) = timeout(app.limits.checkout, answered).await {
            return now;
        }
    }
    order(app, id).await?.ok_or_else(gone)
}
