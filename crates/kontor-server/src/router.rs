//! Every route, in groups by who uses them.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Method, Request, StatusCode};
use kontor_api::Code;
use kontor_site::Site;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Options};
use crate::metrics::Metrics;
use crate::payments::Payments;
use crate::problem::Problem;
use crate::routes::health;
use crate::routes::v1::{
    bulk, carts, changes, customers, export, jobs, listings, locations, movements, orders, payment_provider,
    payments as paid, products, reservations, revisions, search, security, sites, stock, transfers,
};
use crate::service::{NoteRoute, Service};
use crate::{compat, demo, openapi, pages, payments};

/// The service as an axum router, for tests without a socket. Made inside a runtime, which drives its worker. A server uses [`crate::serve`]. A caller
/// has an address if the request carries one as [`ConnectInfo`].
pub fn router(site: Site, options: Options) -> Router {
    let service = service(site, options).0;
    Router::new().fallback(move |request: Request<Body>| {
        let service = service.clone();
        async move {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
            service.answer(peer, request).await.map(crate::service::Payload::into_body)
        }
    })
}

pub(crate) fn service(site: Site, options: Options) -> (Service, App) {
    let (routes, document) = routes().split_for_parts();
    let operations = openapi::operations(&document).into_iter().chain(compat::operations());
    let app = App::new(site, options, Metrics::new(operations));
    if let Some(payments) = app.payments.clone().filter(Payments::takes_up_work) {
        tokio::spawn(payments::work(app.clone(), payments));
    }
    let of_demo = if app.demo.is_some() { demo::routes() } else { Router::new() };
    let routes = routes
        .merge(pages::routes(openapi::openapi_json()))
        .merge(compat::routes())
        .merge(of_demo)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_way)
        .route_layer(NoteRoute)
        .with_state(app.clone());
    (Service::new(app.clone(), routes), app)
}

/// All routes of the API's document.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::head()).merge(everybody()).merge(sellers()).merge(operators())
}

/// What everybody may read, shops show it; and what buyers do.
fn everybody() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(search::list, products::create))
        .routes(routes!(products::read, products::change, products::delete))
        .routes(routes!(products::batch_get))
        .routes(routes!(listings::list))
        .routes(routes!(listings::read, listings::change))
        .routes(routes!(locations::list, locations::open))
        .routes(routes!(locations::read, locations::rename))
        .routes(routes!(stock::list))
        .routes(routes!(stock::read))
        .routes(routes!(changes::read))
        .routes(routes!(carts::open))
        .routes(routes!(carts::read, carts::edit))
        .routes(routes!(carts::add))
        .routes(routes!(carts::set_line, carts::remove_line))
        .routes(routes!(carts::accept_prices))
        .routes(routes!(carts::merge))
        .routes(routes!(carts::check_out))
        .routes(routes!(orders::read))
        .routes(routes!(orders::pay))
        .routes(routes!(orders::cancel))
        .routes(routes!(payment_provider::tokenize))
        .routes(routes!(payment_provider::take))
}

/// What tills, shops and warehouses do.
fn sellers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(products::add_variant))
        .routes(routes!(products::change_variant, products::remove_variant))
        .routes(routes!(products::archive))
        .routes(routes!(products::activate))
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::conflicts))
        .routes(routes!(revisions::all_conflicts))
        .routes(routes!(bulk::put))
        .routes(routes!(jobs::list, jobs::start))
        .routes(routes!(jobs::read))
        .routes(routes!(jobs::list_rows, jobs::send_rows))
        .routes(routes!(jobs::finish))
        .routes(routes!(jobs::undo))
        .routes(routes!(export::products))
        .routes(routes!(export::stock))
        .routes(routes!(stock::explain))
        .routes(routes!(stock::receive))
        .routes(routes!(stock::take_back))
        .routes(routes!(stock::issue))
        .routes(routes!(stock::ship))
        .routes(routes!(stock::write_off))
        .routes(routes!(stock::count))
        .routes(routes!(stock::adjust))
        .routes(routes!(reservations::list, reservations::make))
        .routes(routes!(reservations::read))
        .routes(routes!(reservations::extend))
        .routes(routes!(reservations::commit))
        .routes(routes!(reservations::release))
        .routes(routes!(customers::list, customers::create))
        .routes(routes!(customers::read, customers::change))
        .routes(routes!(customers::erase))
        .routes(routes!(transfers::list, transfers::ask))
        .routes(routes!(transfers::read))
        .routes(routes!(transfers::withdraw))
        .routes(routes!(transfers::dispatch))
        .routes(routes!(transfers::receive))
        .routes(routes!(movements::list))
        .routes(routes!(carts::of_customer))
        .routes(routes!(orders::list))
        .routes(routes!(orders::timeline))
        .routes(routes!(orders::refund))
        .routes(routes!(orders::ship))
        .routes(routes!(paid::list))
        .routes(routes!(paid::read))
        .routes(routes!(paid::capture))
        .routes(routes!(paid::resume))
}

/// What keeps the server running looks at.
fn operators() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(security::refusals))
        .routes(routes!(sites::list, sites::enroll))
        .routes(routes!(sites::link))
        .routes(routes!(sites::journal))
        .routes(routes!(sites::take))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::health))
        .routes(routes!(health::metrics))
}

async fn nothing_here(request: Request<Body>) -> Problem {
    Problem::new(Code::NotFound, format!("nothing is at {}", request.uri().path()))
}

/// `Allow` is added by the router, which knows the methods of the path.
async fn not_this_way(request: Request<Body>) -> Result<StatusCode, Problem> {
    match *request.method() {
        Method::OPTIONS => Ok(StatusCode::NO_CONTENT),
        ref method => Err(Problem::new(Code::MethodNotAllowed, format!("{method} is not known here"))),
    }
}
