//! What keeps the server running asks: no key, no cache.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use kontor_api::Code;
use kontor_api::health::Health;
use kontor_core::payment::breaker;
use kontor_core::time::SiteTime;
use kontor_site::clock::wall_ms;

use crate::app::App;
use crate::problem::Problem;
use crate::routes::v1::json;
use crate::{convert, links};

/// Is the process alive?
#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "livez", security(()),
    responses((status = 200, description = "It is", body = String, content_type = "text/plain")),
)]
pub(crate) async fn livez() -> Response {
    text("ok\n".to_owned())
}

/// Does it take requests?
///
/// Not while it starts, not once it is told to stop, and not when its writer has stopped.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readyz", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Response, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
    }
    if let Some(why) = app.site.status().stopped {
        return Err(Problem::new(Code::SiteStopped, format!("the site has stopped: {why}")));
    }
    Ok(text("ok\n".to_owned()))
}

/// How is it doing?
#[utoipa::path(
    get, path = "/health", tag = "health", operation_id = "health", security(()),
    responses((status = 200, description = "How it is doing; `status` says whether it is well", body = Health)),
)]
pub(crate) async fn health(State(app): State<App>) -> Result<Response, Problem> {
    let (status, mut alarms) = (app.site.status(), links::alarms(&app.links.of(&app.site)));
    alarms.extend(payment_alarms(&app)?);
    let word = match &status.stopped {
        Some(why) => format!("stopped: {why}"),
        None if app.is_draining() => "shutting down".to_owned(),
        None => match (app.site.lacks_room(), alarms.first()) {
            (Some(why), _) => format!("storage full: {why}"),
            (None, Some(alarm)) => format!("degraded: {alarm}"),
            (None, None) => "healthy".to_owned(),
        },
    };
    json(
        StatusCode::OK,
        &Health {
            status: word,
            version: app.version.to_owned(),
            site: app.site.id().to_string(),
            region: app.site.id().to_string(),
            service: "kontor".to_owned(),
            timestamp: convert::time(SiteTime(wall_ms()))?,
            memory_mb: memory_bytes() / 1_000_000,
            position: status.end.to_string(),
            waiting: status.waiting as u64,
            alarms,
            clock_stepped_ms: status.clock_stepped_ms,
        },
    )
}

/// What somebody should look at of payments.
fn payment_alarms(app: &App) -> Result<Vec<String>, Problem> {
    let Some(payments) = &app.payments else { return Ok(Vec::new()) };
    let mut alarms = Vec::new();
    let state = payments.provider.breaker().state;
    if state != breaker::State::Closed {
        alarms.push(format!("the payment provider has failed and is left alone: its breaker is {}", state.word()));
    }
    if !app.site.read().parked_payments(None, 1)?.is_empty() {
        alarms.push("calls to the payment provider wait for somebody: GET /api/v1/payments?status=parked".to_owned());
    }
    Ok(alarms)
}

/// What of the process is in memory, as Linux counts it in pages of 4 KiB.
pub(crate) fn memory_bytes() -> u64 {
    let counted = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = counted.and_then(|counted| counted.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

/// Figures for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics", security(()),
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let status = app.site.status();
    ::metrics::gauge!("kontor_site_waiting_requests").set(f64::from(u32::try_from(status.waiting).unwrap_or(u32::MAX)));
    ::metrics::gauge!("kontor_site_clock_stepped_seconds")
        .set(f64::from(i32::try_from(status.clock_stepped_ms).unwrap_or(i32::MAX)) / 1e3);
    ::metrics::gauge!("kontor_site_stopped").set(if status.stopped.is_some() { 1.0 } else { 0.0 });
    app.links.refresh_gauges();
    app.throttles.show();
    text(app.prometheus.as_ref().map(|prometheus| prometheus.render()).unwrap_or_default())
}

fn text(text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
