//! The worker that asks the payment provider for what the journal says, and tells the site what came of it.
//! Which call is made when, [`Calls`] decides; here are the clock, the provider and the journal.

use std::collections::BTreeSet;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kontor_api::Code;
use kontor_core::command::Command;
use kontor_core::id::{Actor, PaymentId, RequestId};
use kontor_core::payment::call::{Call, Outcome, Trouble};
use kontor_core::view::ViewError;
use kontor_payments::guarded::Guarded;
use kontor_payments::provider::Now;
use kontor_payments::secret::Secret;
use kontor_payments::settings::{Chosen, Secrets};
use kontor_payments::simulated::Simulator;
use kontor_payments::webhook::Callback;
use kontor_site::clock::{self, Stopwatch};
use kontor_site::payments::{Calls, Make};
use kontor_site::reader::Reader;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::app::App;
use crate::idempotency::Asked;
use crate::ids::secret;
use crate::limits::WORKER_FAILED_REST;
use crate::problem::Problem;

/// Where payments are made.
#[derive(Clone)]
pub struct Payments {
    pub(crate) provider: Arc<Guarded>,
    /// By which callbacks are known to be the provider's.
    pub(crate) webhooks: Vec<Secret>,
    /// The provider, where it is a made-up one that can be told to go wrong.
    pub(crate) simulator: Option<Simulator>,
    /// Whether somebody works for the site already: one is enough, however many doors it has.
    is_worked: Arc<AtomicBool>,
}

impl Payments {
    /// By the provider that the settings want.
    pub fn new(chosen: Chosen, secrets: &Secrets) -> Self {
        let simulator = match &chosen {
            Chosen::Simulated(simulator) => Some(simulator.clone()),
            Chosen::Http(_) => None,
        };
        let provider = Arc::new(Guarded::new(chosen.into_provider(), passed()));
        Self { provider, webhooks: secrets.webhooks.clone(), simulator, is_worked: Arc::default() }
    }

    /// Whether the caller is the first, and so the one who works.
    pub(crate) fn takes_up_work(&self) -> bool {
        !self.is_worked.swap(true, Ordering::Relaxed)
    }

    /// The clock of a made-up provider.
    pub fn now() -> Now {
        Arc::new(clock::wall_ms)
    }
}

/// Milliseconds since now. A breaker measures rests, which a step of the wall clock must not change.
fn passed() -> Now {
    let watch = Stopwatch::start();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that passed is positive")]
    Arc::new(move || (watch.seconds() * 1e3) as u64)
}

/// Works until the site stops.
pub(crate) async fn work(app: App, payments: Payments) {
    let mut calls = Calls::new(app.site.now().0, payments.provider.key_lifetime_ms());
    let mut changed = BTreeSet::new();
    if let Err(problem) = begin_all(&app, &mut calls).await {
        tracing::error!(
            "The payments that are due could not be listed; the site must be started again: {}",
            problem.detail()
        );
        return;
    }
    let mut chance = fastrand::Rng::with_seed(u64::from_be_bytes(secret()));
    let (told, mut ended) = mpsc::unbounded_channel::<Ended>();
    loop {
        changed.extend(app.site.take_changed_payments());
        if let Err(error) = follow(&app.site.read(), &mut calls, &mut changed) {
            tracing::error!("Payments that have changed could not be read: {error}");
        }
        let now_ms = app.site.now().0;
        for make in calls.due(now_ms) {
            tokio::spawn(ask(payments.provider.clone(), make, told.clone()));
        }
        show(&calls, now_ms);
        let until_due = calls.next_ms().map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
        let until_again = (!changed.is_empty()).then_some(WORKER_FAILED_REST);
        let rest = until_due.into_iter().chain(until_again).min();
        tokio::select! {
            () = app.site.some_payment_changed() => {}
            _ = app.site.stopped() => return,
            () = rest_for(rest) => {}
            callbacks = told_by(payments.simulator.as_ref()) => {
                for callback in callbacks {
                    tokio::spawn(tell_callback(app.clone(), callback));
                }
            }
            Some(Ended { call, result }) = ended.recv() => {
                if let Err(trouble) = &result {
                    tracing::warn!(payment.id = %call.payment, "The {} of {} has not ended: {trouble}", call.operation, call.payment);
                }
                let told = calls.ended(app.site.now().0, &call, result, chance.u64(..));
                if let Some(command) = told {
                    tokio::spawn(tell(app.clone(), command));
                }
            }
        }
    }
}

/// A call that is not under way any more.
struct Ended {
    call: Call,
    result: Result<Option<Outcome>, Trouble>,
}

async fn ask(provider: Arc<Guarded>, make: Make, told: mpsc::UnboundedSender<Ended>) {
    let result = provider.try_call(make.how, &make.call).await;
    // Whoever waits for it may be gone: then the journal knows that it is to be made.
    let _ = told.send(Ended { call: make.call, result });
}

/// Tells the site what came of a call. What it does not take is asked for again.
async fn tell(app: App, command: Command) {
    if let Err(problem) = app.submit(&by_worker(), command).await {
        tracing::warn!(
            code = problem.code().as_str(),
            "The site did not take what a provider said: {}",
            problem.detail()
        );
    }
}

/// Who tells what a provider said.
pub(crate) fn by_worker() -> Asked {
    let actor = Actor::parse("payments").expect("a short word is an actor");
    let request_id = RequestId::parse("payments").expect("a short word is a request id");
    Asked::plain(actor, request_id, None)
}

async fn begin_all(app: &App, calls: &mut Calls) -> Result<(), Problem> {
    let due = app.read(|reader| Ok(reader.payments_due()?)).await?;
    due.into_iter().for_each(|(call, pending)| calls.begin(call, pending.since));
    Ok(())
}

/// Follows payments that have changed, and takes out those that it has followed.
fn follow(reader: &Reader, calls: &mut Calls, changed: &mut BTreeSet<PaymentId>) -> Result<(), ViewError> {
    while let Some(id) = changed.first().copied() {
        calls.follow(id, reader.payment(id)?);
        changed.remove(&id);
    }
    Ok(())
}

fn show(calls: &Calls, now_ms: u64) {
    let figures = calls.figures();
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; so many calls are never pending")]
    let (pending, age_s) = {
        let age_ms = figures.oldest.map_or(0, |oldest| now_ms.saturating_sub(oldest.0));
        (figures.pending as f64, age_ms as f64 / 1_000.0)
    };
    metrics::gauge!("kontor_payments_pending").set(pending);
    metrics::gauge!("kontor_payments_oldest_seconds").set(age_s);
}

/// Rests so long; for ever, if nothing will be due.
async fn rest_for(time: Option<Duration>) {
    match time {
        // Nothing ends before its time, so this is never an answer.
        Some(time) => drop(timeout(time, future::pending::<()>()).await),
        None => future::pending().await,
    }
}

/// What a made-up provider tells by itself, when it does.
async fn told_by(simulator: Option<&Simulator>) -> Vec<Callback> {
    let next = simulator.and_then(|simulator| simulator.simulated().next_callback_ms());
    rest_for(next.map(|at| Duration::from_millis(at.saturating_sub(clock::wall_ms())))).await;
    simulator.map(|simulator| simulator.simulated().callbacks(clock::wall_ms())).unwrap_or_default()
}

async fn tell_callback(app: App, callback: Callback) {
    if let Err(problem) = take(&app, callback).await {
        tracing::warn!(code = problem.code().as_str(), "A report of the provider was not taken: {}", problem.detail());
    }
}

/// Takes what a provider tells by itself: once, however often it comes. What it says of nothing that is being
/// asked for is of no use.
pub(crate) async fn take(app: &App, callback: Callback) -> Result<(), Problem> {
    let Callback { event, payment: id, operation, attempt, outcome, .. } = callback;
    let asked = app.site.read().payment(id)?.and_then(|payment| payment.pending);
    let asked = asked.filter(|pending| pending.operation == operation).map(|pending| pending.attempt);
    let Some(attempt) = attempt.or(asked) else { return Ok(()) };
    let command = Command::ReportPayment { id, attempt, outcome, callback: Some(event) };
    match app.submit(&by_worker(), command).await {
        // Of another program that uses the same account.
        Err(problem) if problem.code() == Code::UnknownPayment => Ok(()),
        told => told.map(drop),
    }
}
