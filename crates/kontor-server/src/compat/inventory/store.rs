//! The API of a store of the distributed inventory: the store's own copy of the pool, sales from it, and how
//! the copy stands. Here a store is a site, whose copy is what it has read of other sites' journals, and which
//! sells its share of the pool at once, whether or not the central one can be reached.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::Time;
use kontor_api::site::{LinkState, PeerSite};
use kontor_core::id::Sku;
use kontor_core::time::SiteTime;
use kontor_site::clock::wall_ms;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::updates::{Outcome, Update, apply, apply_each, too_many};
use super::{Detail, Said, answer, now};
use crate::app::App;
use crate::compat::sent::Sent;
use crate::convert;
use crate::extract::{Caller, Named};
use crate::limits::COMPAT_SYNC_S;
use crate::problem::Problem;
use crate::routes::health::memory_bytes;
use kontor_api::Code;

pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    caller.admin()?;
    let found = match Sku::parse(id.as_str()) {
        Ok(sku) => now(&app, &sku).await?,
        Err(_) => None,
    };
    match found {
        Some(shown) => answer(StatusCode::OK, &shown),
        None => {
            let details = json!({"productId": id});
            let error = json!({"code": "product_not_found", "message": "Product not found", "details": details});
            answer(StatusCode::NOT_FOUND, &json!({"error": error}))
        }
    }
}

/// A sale, and what it was asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sold<'s> {
    #[serde(flatten)]
    outcome: &'s Outcome,
    delta: i64,
    idempotency_key: &'s str,
}

pub(super) async fn update(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let Ok(update) = serde_json::from_slice::<Update>(&sent.body) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", "Invalid JSON");
    };
    let (delta, key) = (update.delta, update.idempotency_key.clone());
    let mut outcome = apply(&app, &sent, app.site.id().as_str(), update).await?;
    if outcome.error_type == Some("insufficient_inventory") {
        // The only one that means the same and has another status at a store.
        outcome.status = StatusCode::BAD_REQUEST;
    }
    outcome.answer(&Sold { outcome: &outcome, delta, idempotency_key: &key })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    #[serde(default)]
    store_id: String,
    updates: Vec<Update>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    store_id: String,
    results: Vec<Outcome>,
    total_count: usize,
    success_count: usize,
    failure_count: usize,
}

pub(super) async fn batch(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let Ok(Batch { store_id, updates }) = serde_json::from_slice(&sent.body) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", "Invalid JSON");
    };
    if let Some(message) = too_many(&updates) {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", &message);
    }
    let results = apply_each(&app, &sent, app.site.id().as_str(), updates).await;
    let (total_count, success_count) = (results.len(), results.iter().filter(|outcome| outcome.applied).count());
    let failure_count = total_count - success_count;
    let done = Done { store_id, results, total_count, success_count, failure_count };
    answer(StatusCode::OK, &done).map_err(Problem::after_write)
}

/// How the copy stands. A site reads others all the time, so a sync is what they have and this one has not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sync {
    in_progress: bool,
    last_sync_time: Time,
    last_sync_success: bool,
    product_count: usize,
    /// Nanoseconds for which something may be missing here.
    sync_duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

async fn sync(app: &App) -> Result<Sync, Problem> {
    let sites = app.links.of(&app.site);
    let linked = || sites.items.iter().filter(|item| item.link != LinkState::None);
    let lost = linked().find(|item| matches!(item.link, LinkState::Cut | LinkState::Stopped));
    // As of the link that was heard longest ago; a site without links has everything.
    let now = convert::time(SiteTime(wall_ms()))?;
    let last_sync_time = linked().map(|item| item.answered_at.unwrap_or(now)).min().unwrap_or(now);
    Ok(Sync {
        in_progress: linked().any(behind),
        last_sync_time,
        last_sync_success: lost.is_none(),
        product_count: product_count(app).await?,
        sync_duration: linked().map(|item| item.lag_ms).max().unwrap_or(0).saturating_mul(1_000_000),
        error_message: lost.map(|item| {
            let why = item.error.as_deref().unwrap_or("no answer");
            format!("site {} cannot be read: {why}", item.site)
        }),
    })
}

fn behind(item: &PeerSite) -> bool {
    matches!(item.link, LinkState::Open | LinkState::Relayed) && item.lag_groups > 0
}

async fn product_count(app: &App) -> Result<usize, Problem> {
    let of = app.clone();
    app.read(move |reader| of.compat.inventory.total(reader)).await
}

pub(super) async fn sync_status(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.admin()?;
    answer(StatusCode::OK, &sync(&app).await?)
}

/// Asks all others at once, and waits until what they have is here.
pub(super) async fn force_sync(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.admin()?;
    let mut shows = app.links.changes();
    app.links.ask_all();
    let synced = async {
        loop {
            let status = sync(&app).await?;
            if status.last_sync_success && !status.in_progress {
                return Ok::<_, Problem>(status);
            }
            // The sender lives as long as the links do.
            let _ = shows.changed().await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(COMPAT_SYNC_S), synced).await {
        Ok(status) => {
            let message = "Force sync completed successfully";
            answer(StatusCode::OK, &json!({"message": message, "status": status?}))
        }
        Err(_) => {
            let why = sync(&app).await?.error_message.unwrap_or_else(|| "the sync still goes on".to_owned());
            refused(StatusCode::INTERNAL_SERVER_ERROR, "sync_failed", &why)
        }
    }
}

pub(super) async fn cache_stats(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.admin()?;
    let Sync { last_sync_time, product_count, .. } = sync(&app).await?;
    answer(
        StatusCode::OK,
        &json!({
            "productCount": product_count,
            "lastSyncTime": last_sync_time,
            "memoryUsage": memory_bytes(),
        }),
    )
}

fn refused(status: StatusCode, code: &str, message: &str) -> Result<Response, Problem> {
    answer(status, &json!({"error": {"code": code, "message": message}}))
}

/// A problem in the words of a store.
pub(in crate::compat) fn said(problem: &Problem) -> Said {
    let body = match problem.code() {
        Code::Unauthenticated if problem.refused().is_some() => json!({"error": "Invalid API key"}),
        Code::Unauthenticated => json!({"error": "Missing API key"}),
        code => {
            let details = problem.errors().iter();
            let details: Vec<_> =
                details.map(|error| Detail { field: error.pointer.clone(), issue: error.detail.clone() }).collect();
            json!({"error": {"code": code.as_str(), "message": problem.said(), "details": details}})
        }
    };
    Said { status: problem.status(), media_type: "application/json", body: body.to_string().into() }
}
