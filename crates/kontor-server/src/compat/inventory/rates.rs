//! The limits of requests, as the service's administrators look at them.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Time;
use kontor_site::clock::wall_ms;
use serde_json::json;

use super::{answer, refused};
use crate::app::App;
use crate::extract::Caller;
use crate::problem::Problem;
use crate::throttle::{Rate, Status};

/// Which limits are in force. Callers without a key are counted by address, holders of keys by key: the
/// first are the service's `ip` limit, the second its limit of administrators.
pub(super) async fn status(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.admin()?;
    let in_force = app.throttles.status();
    if in_force.is_empty() {
        return unavailable();
    }
    let of = |policy: &str| in_force.iter().find(|status| status.policy == policy);
    let per_minute = |status: Option<&Status>| status.map(|Status { rate, .. }| per_minute(*rate));
    let (public, keys) = (of("public"), of("key"));
    let window_s = public.or(keys).map_or(0, |status| status.rate.window_s);
    answer(
        StatusCode::OK,
        &json!({
            "enabled": true,
            "type": "ip",
            "requests_per_minute": per_minute(public.or(keys)),
            "window_minutes": f64::from(window_s) / 60.0,
            "admin_requests_per_minute": per_minute(keys),
            "active_ip_limits": public.map_or(0, |status| status.callers),
            "active_key_limits": keys.map_or(0, |status| status.callers),
        }),
    )
}

/// Lets every caller begin anew.
pub(super) async fn reset(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.admin()?;
    if app.throttles.status().is_empty() {
        return unavailable();
    }
    let callers = app.throttles.reset();
    let timestamp = Time::from_ms(wall_ms());
    answer(StatusCode::OK, &json!({"message": "Rate limits reset", "callers": callers, "timestamp": timestamp}))
}

fn per_minute(rate: Rate) -> u64 {
    u64::from(rate.requests) * 60 / u64::from(rate.window_s)
}

fn unavailable() -> Result<Response, Problem> {
    refused(StatusCode::SERVICE_UNAVAILABLE, "rate_limiter_unavailable", "Rate limiter is not available", &[])
}
