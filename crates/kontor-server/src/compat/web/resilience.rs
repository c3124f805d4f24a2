//! What the shop shows of its resilience: its breakers, failures that are made up, and tries. In a demo, and where
//! the site serves with `--fault-injection`; nowhere else.
//!
//! The payments' breaker is the one before the provider, and its failures are those of the simulated provider. The
//! service's database and cache do not exist here: the journal is on this machine, so they have breakers that
//! never count anything, and nothing of them can be disturbed.

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use kontor_api::Code;
use kontor_core::back_off::BackOff;
use kontor_core::payment::breaker::{Figures, State as BreakerState, Thresholds, Totals};
use kontor_core::time::SiteTime;
use kontor_payments::simulated::{Fault, Rates};
use kontor_site::clock::wall_ms;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, error};
use crate::app::App;
use crate::compat::sent::Sent;
use crate::convert;
use crate::extract::{Caller, Named};
use crate::ids::secret;
use crate::limits::{COMPAT_LATENCY_MS_MAX, COMPAT_RETRIES_MAX};
use crate::payments::Payments;
use crate::problem::Problem;

const SERVICES: [&str; 3] = ["dynamodb", "redis", "payment"];

/// Proof that the site lets callers with a key make things go wrong.
pub(super) struct MayDisturb;

impl FromRequestParts<App> for MayDisturb {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if !app.fault_injection {
            return Err(Problem::new(Code::NotFound, "this is there with --fault-injection alone"));
        }
        Caller::of(&parts.extensions).admin().map(|_| Self)
    }
}

pub(super) async fn demo(_: MayDisturb) -> Result<Response, Problem> {
    let body = json!({
        "title": "Resilience patterns",
        "patterns": {
            "circuit_breaker": "A provider that fails three times in a row is left alone for ten seconds, and then tried by two calls",
            "retry": "A call whose outcome is not known is asked for again under the same key, with rests that grow and are drawn",
            "outbox": "What is asked of a provider stands in the journal first: no crash loses it, and none charges twice",
            "one_order": "A cart leads to one order, however often its checkout is asked for",
        },
        "demo_steps": [
            "1. Look at the breakers: GET /resilience/circuit-breakers",
            "2. Put something into a cart: POST /cart/demo/items",
            "3. Make payments fail: POST /resilience/simulate/payment {\"enable\": true, \"failure_rate\": 0.8}",
            "4. Check out: POST /cart/demo/checkout",
            "5. See what failed, and whether the breaker has opened: GET /resilience/circuit-breakers",
            "6. Let payments succeed: POST /resilience/simulate/payment {\"enable\": false}",
            "7. Close the breaker: POST /resilience/reset/payment",
            "8. The order went on meanwhile: GET /orders/{order_id}",
        ],
        "endpoints": {
            "circuit_breakers": "GET /resilience/circuit-breakers",
            "simulate": "POST /resilience/simulate/{dynamodb|redis|payment}",
            "reset": "POST /resilience/reset/{dynamodb|redis|payment|all}",
            "test_retry": "POST /resilience/test-retry",
        },
    });
    answer(StatusCode::OK, &body)
}

pub(super) async fn breakers(_: MayDisturb, State(app): State<App>) -> Result<Response, Problem> {
    let payments = payments(&app)?;
    let figures = payments.provider.breaker();
    let Totals { requests, failures, successes, rejected, .. } = figures.totals;
    let (failure_rate, latency_ms) = payments.simulator.as_ref().map_or((0.0, 0), |simulator| {
        let simulated = simulator.simulated();
        let failing: u16 = simulated.rates().faults.iter().map(|(_, per_mille)| per_mille).sum();
        (f64::from(failing) / 1_000.0, simulated.rates().latency_ms)
    });
    let body = json!({
        "timestamp": convert::time(SiteTime(wall_ms()))?,
        "dynamodb": stats("dynamodb", &absent()),
        "redis": stats("redis", &absent()),
        "payment": {
            "total_payments": requests - rejected,
            "successful_payments": successes,
            "failed_payments": failures,
            "failure_rate": failure_rate,
            "latency_ms": latency_ms,
            "circuit_breaker": stats("payment", &figures),
        },
    });
    answer(StatusCode::OK, &body)
}

#[derive(Debug, Deserialize)]
struct Disturbed {
    enable: bool,
    failure_rate: Option<f64>,
    latency_ms: Option<u64>,
}

/// Makes payments fail so often, a third of them declined, a third without an answer, a third with an error; or
/// lets them succeed again.
pub(super) async fn simulate(
    _: MayDisturb,
    State(app): State<App>,
    Named(service): Named<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    if !SERVICES.contains(&service.as_str()) {
        return unknown(&SERVICES);
    }
    let Ok(Disturbed { enable, failure_rate, latency_ms }) = serde_json::from_slice(&sent.body) else {
        return error(StatusCode::BAD_REQUEST, "Invalid request body");
    };
    if service != "payment" {
        let message =
            format!("There is no {service} here, so nothing can be disturbed; the site keeps a journal of its own");
        return answer(StatusCode::OK, &json!({"service": service, "enabled": false, "message": message}));
    }
    let Some(simulator) = &payments(&app)?.simulator else {
        return error(StatusCode::BAD_REQUEST, "Payments are made by a real provider, which is not disturbed");
    };
    let failure_rate = failure_rate.unwrap_or(FAILURE_RATE);
    let latency_ms = latency_ms.unwrap_or(0);
    if !(0.0..=1.0).contains(&failure_rate) || latency_ms > COMPAT_LATENCY_MS_MAX {
        let text = format!("failure_rate is from 0 to 1, and latency_ms at most {COMPAT_LATENCY_MS_MAX}");
        return error(StatusCode::BAD_REQUEST, &text);
    }
    if !enable {
        simulator.simulated().set_rates(Rates::default());
        let message = "Payments succeed again";
        return answer(StatusCode::OK, &json!({"service": service, "enabled": false, "message": message}));
    }
    let per_mille = per_mille(failure_rate);
    let third = per_mille / 3;
    let faults =
        vec![(Fault::Decline, third), (Fault::TimeoutBefore, third), (Fault::ErrorBefore, per_mille - 2 * third)];
    simulator.simulated().set_rates(Rates { faults, latency_ms, ..Rates::default() });
    answer(
        StatusCode::OK,
        &json!({
            "service": service,
            "enabled": true,
            "message": "Payments fail at random",
            "failure_rate": failure_rate,
            "latency_ms": latency_ms,
        }),
    )
}

/// Closes breakers.
pub(super) async fn reset(
    _: MayDisturb,
    State(app): State<App>,
    Named(service): Named<String>,
    _: Sent,
) -> Result<Response, Problem> {
    let message = match service.as_str() {
        "payment" | "all" => {
            payments(&app)?.provider.reset();
            "The breaker before the payment provider is closed"
        }
        "dynamodb" | "redis" => "There is nothing of this name here that could be open",
        _ => return unknown(&["dynamodb", "redis", "payment", "all"]),
    };
    answer(StatusCode::OK, &json!({"service": service, "message": message, "new_state": "CLOSED"}))
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Retried {
    fail_count: u32,
    max_retries: u32,
}

impl Default for Retried {
    fn default() -> Self {
        Self { fail_count: 0, max_retries: RETRIES }
    }
}

/// Shows how something that fails so often is tried: its rests are drawn as those between real tries are, and
/// added up; nobody waits for them.
pub(super) async fn test_retry(_: MayDisturb, sent: Sent) -> Result<Response, Problem> {
    let Ok(Retried { fail_count, max_retries }) = serde_json::from_slice(&sent.body) else {
        return error(StatusCode::BAD_REQUEST, "Invalid request body");
    };
    let retries = if max_retries == 0 { RETRIES } else { max_retries };
    if retries > COMPAT_RETRIES_MAX {
        return error(StatusCode::BAD_REQUEST, &format!("max_retries is at most {COMPAT_RETRIES_MAX}"));
    }
    let mut chance = fastrand::Rng::with_seed(u64::from_be_bytes(secret()));
    let Tries { attempts, rested_ms, success } = tries(fail_count, retries, || chance.u64(..));
    let message = match success {
        true => format!("Succeeded at try {attempts}"),
        false => format!("All {attempts} tries failed"),
    };
    let mut body = json!({
        "configured_fail_count": fail_count,
        "configured_max_retries": retries,
        "actual_attempts": attempts,
        "success": success,
        "total_time": format!("{rested_ms}ms"),
        "message": message,
    });
    if success {
        return answer(StatusCode::OK, &body);
    }
    body["error"] = format!("simulated failure at try {attempts}").into();
    answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// How something that fails so often was tried.
#[derive(Debug, PartialEq, Eq)]
struct Tries {
    attempts: u32,
    rested_ms: u64,
    success: bool,
}

fn tries(failing: u32, retries: u32, mut chance: impl FnMut() -> u64) -> Tries {
    let mut rested_ms = 0;
    for failures in 1..=failing.min(retries) {
        rested_ms += BackOff::SHOWN.rest_ms(failures, chance());
    }
    let success = failing <= retries;
    Tries { attempts: failing.min(retries) + 1, rested_ms, success }
}

/// The service's own numbers.
const FAILURE_RATE: f64 = 0.8;
const RETRIES: u32 = 3;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1000")]
fn per_mille(rate: f64) -> u16 {
    (rate * 1_000.0).round() as u16
}

fn unknown(valid: &[&str]) -> Result<Response, Problem> {
    answer(StatusCode::BAD_REQUEST, &json!({"error": "Unknown service", "valid_services": valid}))
}

fn payments(app: &App) -> Result<&Payments, Problem> {
    let none = || Problem::new(Code::PaymentUnavailable, "no payments are made behind this address");
    app.payments.as_ref().ok_or_else(none)
}

/// The breaker of something that is not there, with the service's numbers.
fn absent() -> Figures {
    Figures {
        state: BreakerState::Closed,
        current_failures: 0,
        current_successes: 0,
        thresholds: Thresholds { failures: 5, successes: 3, open_ms: 30_000 },
        totals: Totals::default(),
    }
}

fn stats(name: &str, figures: &Figures) -> Value {
    json!({
        "name": name,
        "state": figures.state.word(),
        "current_failures": figures.current_failures,
        "current_successes": figures.current_successes,
        "failure_threshold": figures.thresholds.failures,
        "success_threshold": figures.thresholds.successes,
        "timeout_seconds": figures.thresholds.open_ms / 1_000,
        "total_requests": figures.totals.requests,
        "total_failures": figures.totals.failures,
        "total_successes": figures.totals.successes,
        "total_rejected": figures.totals.rejected,
        "state_changes": figures.totals.state_changes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_rest_longer_each_time_and_end() {
        // how often it fails, tries after the first, least and most rest
        let rows = [
            (0, 3, 1, (0, 0), true),
            (2, 3, 3, (75 + 150, 125 + 250), true),
            (3, 3, 4, (75 + 150 + 300, 125 + 250 + 500), true),
            (5, 3, 4, (75 + 150 + 300, 125 + 250 + 500), false),
            (6, 6, 7, (75 + 150 + 300 + 600 + 750 + 750, 125 + 250 + 500 + 1_000 + 1_250 + 1_250), true),
        ];
        for (failing, retries, attempts, (least, most), success) in rows {
            let shortest = tries(failing, retries, || 0);
            assert_eq!(shortest, Tries { attempts, rested_ms: least, success }, "{failing} of {retries}");
            for chance in [1, 17, u64::MAX] {
                let rested_ms = tries(failing, retries, || chance).rested_ms;
                assert!((least..=most).contains(&rested_ms), "{rested_ms} of {failing} of {retries}");
            }
        }
    }
}
