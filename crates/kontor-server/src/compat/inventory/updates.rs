//! Sales by version: one, or a list of which each is decided on its own.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use kontor_api::{Code, Time};
use kontor_core::command::{Command, Line, Note};
use kontor_core::event::Event;
use kontor_core::id::{Owner, ReservationId, Sku};
use kontor_core::limits::HOLD_MS_DEFAULT;
use kontor_core::quantity::Quantity;
use kontor_core::text::Reason;
use kontor_site::Answer;
use kontor_site::clock::Stopwatch;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Shown, answer, central, now, refused};
use crate::app::App;
use crate::compat::sent::Sent;
use crate::convert;
use crate::idempotency::Asked as Keyed;
use crate::ids;
use crate::limits::{COMPAT_BATCH_MAX, COMPAT_BORROW_LOOK_MS, COMPAT_BORROW_S};
use crate::problem::Problem;

/// One update, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    store_id: Option<String>,
    #[serde(default)]
    updates: Option<Vec<Update>>,
    #[serde(flatten)]
    update: Update,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Update {
    pub(super) product_id: String,
    pub(super) delta: i64,
    version: i64,
    pub(super) idempotency_key: String,
}

/// What became of an update. Figures are always there, also when they are none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    product_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_version: Option<u64>,
    pub(super) applied: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_message: Option<String>,
    #[serde(skip)]
    pub(super) status: StatusCode,
    #[serde(skip)]
    replayed: bool,
}

#[derive(Debug, Serialize)]
struct Batch {
    results: Vec<Outcome>,
    summary: Summary,
}

#[derive(Debug, Serialize)]
struct Summary {
    total: usize,
    succeeded: usize,
    failed: usize,
}

pub(super) async fn update(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let Ok(Asked { store_id, updates, update }) = serde_json::from_slice(&sent.body) else {
        return refused(StatusCode::BAD_REQUEST, "bad_request", "Invalid JSON", &[]);
    };
    let store = store_id.unwrap_or_default();
    let Some(updates) = updates.filter(|updates| !updates.is_empty()) else {
        let outcome = apply(&app, &sent, &store, update).await?;
        return outcome.answer(&outcome);
    };
    if let Some(message) = too_many(&updates) {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", &message, &[]);
    }
    let results = apply_each(&app, &sent, &store, updates).await;
    let succeeded = results.iter().filter(|outcome| outcome.applied).count();
    let summary = Summary { total: results.len(), succeeded, failed: results.len() - succeeded };
    answer(StatusCode::OK, &Batch { results, summary }).map_err(Problem::after_write)
}

/// Why a list is not taken.
pub(super) fn too_many(updates: &[Update]) -> Option<String> {
    let (given, max) = (updates.len(), COMPAT_BATCH_MAX);
    (given > max).then(|| format!("a batch has at most {max} updates, and this one has {given}"))
}

/// Sells one after another, each on its own: what goes wrong with one says nothing of those before it.
pub(super) async fn apply_each(app: &App, sent: &Sent, store: &str, updates: Vec<Update>) -> Vec<Outcome> {
    let mut results = Vec::with_capacity(updates.len());
    for update in updates {
        let product_id = update.product_id.clone();
        results.push(match apply(app, sent, store, update).await {
            Ok(outcome) => outcome,
            Err(problem) => undone(product_id, &problem),
        });
    }
    results
}

/// Sells units of one product. A key counts for its store alone, and for what is sold: a repeat that has
/// learnt the new version meanwhile is still the same sale, and is not done again.
pub(super) async fn apply(app: &App, sent: &Sent, store: &str, update: Update) -> Result<Outcome, Problem> {
    let Update { product_id, delta, version, idempotency_key } = update;
    let no = |status, error, message: String| Ok(Outcome::refused(&product_id, status, error, message));
    if product_id.is_empty() {
        return no(StatusCode::BAD_REQUEST, "missing_product_id", "Missing product ID".into());
    }
    if idempotency_key.is_empty() {
        return no(StatusCode::BAD_REQUEST, "invalid_idempotency_key", "Missing idempotency key".into());
    }
    if delta > 0 {
        let message = format!("invalid delta: {delta} - only negative quantities are allowed");
        return no(StatusCode::BAD_REQUEST, "invalid_delta", message);
    }
    let Ok(seen) = u64::try_from(version) else {
        return no(StatusCode::BAD_REQUEST, "invalid_request", "version must not be negative".into());
    };
    let unknown = || no(StatusCode::NOT_FOUND, "product_not_found", format!("product not found: {product_id}"));
    let Ok(sku) = Sku::parse(product_id.as_str()) else { return unknown() };
    let conflict = |now: Option<Shown>| {
        let Some(now) = now else { return unknown() };
        let message = format!("version conflict: expected {}, got {seen}", now.version);
        Ok(Outcome { error_type: Some("version_conflict"), error_message: Some(message), ..Outcome::conflicting(now) })
    };
    let short = |now: Option<Shown>| {
        let Some(now) = now else { return unknown() };
        let message = format!("insufficient inventory: current {}, delta {delta}", now.available);
        let error_type = Some("insufficient_inventory");
        Ok(Outcome { error_type, error_message: Some(message), ..Outcome::conflicting(now) })
    };

    let units = delta.unsigned_abs();
    if units == 0 {
        // Nothing is sold; the caller learns whether it has seen the newest version.
        let Some(now) = now(app, &sku).await? else { return unknown() };
        return if now.version == seen { Ok(Outcome::applied(now)) } else { conflict(Some(now)) };
    }
    let Ok(quantity) = Quantity::new(units) else { return short(now(app, &sku).await?) };
    let mut commands = vec![Command::ExpectVersion { sku: sku.clone(), location: central(), version: seen }];
    commands.extend(sale(app, store, Line { sku: sku.clone(), location: central(), quantity })?);
    let command = Command::All(commands);
    let scope = [b"inventory update".as_slice(), store.as_bytes(), idempotency_key.as_bytes()];
    let asked = sent.keyed(&scope, &[sku.as_str().as_bytes(), &delta.to_be_bytes()]);
    match submit_patiently(app, &asked, command).await {
        Ok(Sale { done, waited }) => told(app, &sku, seen, &done, waited).await.map_err(Problem::after_write),
        Err(problem) => match problem.code() {
            Code::ExpectedMismatch => conflict(now(app, &sku).await?),
            Code::InsufficientStock | Code::QuotaExhaustedHere | Code::InsufficientOnHand => {
                short(now(app, &sku).await?)
            }
            // Nothing was ever there.
            Code::UnknownLocation => match now(app, &sku).await? {
                Some(now) if now.version != seen => conflict(Some(now)),
                now => short(now),
            },
            Code::UnknownSku | Code::ProductArchived | Code::ProductDraft => unknown(),
            Code::IdempotencyKeyReused => {
                let message = "the idempotency key was used for another update".to_owned();
                no(StatusCode::CONFLICT, "invalid_idempotency_key", message)
            }
            _ => Err(problem),
        },
    }
}

/// A sale that was done.
struct Sale {
    done: Answer,
    /// Whether it had to wait for units that others held, so that the version has moved by more than the sale.
    waited: bool,
}

/// Gives the site a sale. If others hold what is wanted, the site has asked for it by then, which changes its
/// version: the sale is given again without one, until it is done or the time is over. It is never given up while
/// it is under way: what is told as refused has not happened.
async fn submit_patiently(app: &App, asked: &Keyed, command: Command) -> Result<Sale, Problem> {
    let (mut answer, watch) = (app.submit(asked, command.clone()).await, Stopwatch::start());
    let Command::All(mut commands) = command else { return Ok(Sale { done: answer?, waited: false }) };
    commands.retain(|command| !matches!(command, Command::ExpectVersion { .. }));
    let (sale, mut feed, mut waited) = (Command::All(commands), app.site.feed(), false);
    while answer.as_ref().err().is_some_and(|problem| problem.code() == Code::QuotaExhaustedHere)
        && watch.seconds() < COMPAT_BORROW_S
    {
        waited = true;
        let end = feed.end();
        // The site writes when it asks; what it is given is written elsewhere, and looked for now and then.
        drop(timeout(Duration::from_millis(COMPAT_BORROW_LOOK_MS), feed.wait(end)).await);
        answer = app.submit(asked, sale.clone()).await;
    }
    Ok(Sale { done: answer?, waited })
}

/// Hands units out where the pool is at home. Another site promises them of its share, at once and whether or not
/// that one can be reached; they are handed out there.
fn sale(app: &App, store: &str, line: Line) -> Result<Vec<Command>, Problem> {
    let home = app.site.read().location(&central())?.map(|(home, _)| home);
    if home.is_none_or(|home| home == *app.site.id()) {
        let reason = (!store.is_empty()).then(|| Reason::parse(format!("store {store}")).ok()).flatten();
        return Ok(vec![Command::Issue { lines: vec![line], note: Note { reason, ..Note::default() } }]);
    }
    let (id, owner) = (ReservationId(ids::fresh_uuid()), Owner::parse(format!("store {store}")).ok());
    let hold = Command::Reserve { id: Some(id), owner, lines: vec![line], hold_ms: HOLD_MS_DEFAULT };
    Ok(vec![hold, Command::Commit { id }])
}

/// What a sale that was done answers: for the first time what it led to, and when it is repeated how the
/// product stands now, so that no caller's copy goes back in time.
async fn told(app: &App, sku: &Sku, seen: u64, done: &Answer, waited: bool) -> Result<Outcome, Problem> {
    let is_handed_out = done.events.iter().any(|event| matches!(event, Event::StockMoved { .. }));
    if (done.replayed || waited || !is_handed_out)
        && let Some(now) = now(app, sku).await?
    {
        return Ok(Outcome { replayed: done.replayed, ..Outcome::applied(now) });
    }
    let is_here = |of: &Sku, at| *of == *sku && at == &central();
    let changes = done.events.iter().filter(|event| match event {
        Event::StockMoved { lines, .. } => {
            lines.iter().any(|line| is_here(&line.sku, &line.location) && line.change != 0)
        }
        // Holds whose deadline had passed were ended to make room.
        Event::ReservationMade { lines, .. } | Event::ReservationEnded { lines, .. } => {
            lines.iter().any(|line| is_here(&line.sku, &line.location))
        }
        _ => false,
    });
    let new_version = seen + changes.count() as u64;
    let left = done.events.iter().find_map(|event| match event {
        Event::StockMoved { lines, .. } => lines.first().map(|line| line.available_after),
        _ => None,
    });
    let shown = Shown {
        product_id: sku.to_string(),
        name: String::new(),
        available: left.ok_or_else(|| Problem::internal("a sale has moved nothing"))?,
        version: new_version,
        last_updated: convert::time(done.recorded_at)?,
        price: None,
    };
    Ok(Outcome { replayed: done.replayed, ..Outcome::applied(shown) })
}

impl Outcome {
    /// The answer of one update, which says whether it was done before.
    pub(super) fn answer(&self, body: &impl Serialize) -> Result<Response, Problem> {
        let mut response = answer(self.status, body).map_err(Problem::after_write)?;
        if self.replayed {
            let name = HeaderName::from_static("idempotency-replayed");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        Ok(response)
    }

    fn applied(now: Shown) -> Self {
        Self {
            product_id: now.product_id,
            new_quantity: Some(now.available),
            new_version: Some(now.version),
            applied: true,
            last_updated: Some(now.last_updated),
            error_type: None,
            error_message: None,
            status: StatusCode::OK,
            replayed: false,
        }
    }

    /// Not done, because of how the product stands now.
    fn conflicting(now: Shown) -> Self {
        Self { applied: false, status: StatusCode::CONFLICT, ..Self::applied(now) }
    }

    fn refused(product_id: &str, status: StatusCode, error_type: &'static str, message: String) -> Self {
        Self {
            product_id: product_id.to_owned(),
            new_quantity: None,
            new_version: None,
            applied: false,
            last_updated: None,
            error_type: Some(error_type),
            error_message: Some(message),
            status,
            replayed: false,
        }
    }
}

/// An update of a batch that failed for reasons that lie with the server.
fn undone(product_id: String, problem: &Problem) -> Outcome {
    let error_type = match problem.code() {
        Code::OutcomeUnknown => "timeout",
        Code::Internal => "internal_error",
        _ => "unknown_error",
    };
    if problem.is_defect() {
        tracing::error!(code = problem.code().as_str(), "An update of a batch failed: {}", problem.detail());
    }
    Outcome::refused(&product_id, problem.status(), error_type, problem.said().to_owned())
}
