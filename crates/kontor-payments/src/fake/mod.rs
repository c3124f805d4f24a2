//! A provider in the shape of the real one that listens on a port: what a shop's requests meet, for tests.
//!
//! It is the bank of [`Simulated`] behind HTTP: it keeps state, does each key once, goes wrong as it is told to, and
//! posts signed callbacks, twice and late if it is told to. It has a thread of its own, so tests with and without a
//! runtime use it alike. Amounts in its ledger are the provider's minor units.

mod api;
mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kontor_core::id::PaymentId;
use kontor_core::payment::call::ProviderEvent;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::secret::Secret;
use crate::simulated::{Fault, Line, Rates, Simulated};
use crate::webhook::{self, Callback, SIGNATURE_HEADER};

/// The key by which this provider knows a shop.
pub const SECRET_KEY: &str = "sk_test_of_the_fake";

/// The secret by which a shop knows this provider.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_fake";

/// How long after a callback was not taken it is told again.
const AGAIN_MS: u64 = 1_000;

/// A provider that listens on a port of this machine, until it is dropped.
pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

/// What became of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which one.
    pub event: ProviderEvent,
    /// How it was answered; `None` if it was not.
    pub status: Option<u16>,
}

struct Shared {
    simulated: Mutex<Simulated>,
    now_ms: AtomicU64,
    /// Told when a request is left without an answer, after what it did was done.
    unanswered: Arc<Notify>,
    repeats_errors: AtomicBool,
    /// Keys to which a failure was answered that is repeated.
    failed_keys: Mutex<BTreeSet<String>>,
    requests: Mutex<Vec<String>>,
}

impl Fake {
    /// One that listens on a free port, at a time in milliseconds since 1970. What goes wrong by chance follows from
    /// the seed.
    pub fn start(seed: u64, now_ms: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let shared = Arc::new(Shared {
            simulated: Mutex::new(Simulated::new(seed)),
            now_ms: AtomicU64::new(now_ms),
            unanswered: Arc::new(Notify::new()),
            repeats_errors: AtomicBool::new(false),
            failed_keys: Mutex::new(BTreeSet::new()),
            requests: Mutex::new(Vec::new()),
        });
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The time by its clock, which stands still.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.shared.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// See [`Simulated::script`].
    pub fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.shared.simulated().script(faults);
    }

    /// See [`Simulated::set_rates`].
    pub fn set_rates(&self, rates: Rates) {
        self.shared.simulated().set_rates(rates);
    }

    /// Failures are kept under the key of the request and repeated, as Stripe does with those that happen while a
    /// request is being carried out.
    pub fn repeat_errors(&self) {
        self.shared.repeats_errors.store(true, Ordering::SeqCst);
    }

    /// See [`Simulated::ledger`].
    pub fn ledger(&self) -> BTreeMap<PaymentId, Line> {
        self.shared.simulated().ledger()
    }

    /// Told when a request is left without an answer, so that a test need not wait for a time-out: see
    /// [`PaymentIntents::patient_until`](crate::payment_intents::PaymentIntents::patient_until).
    pub fn unanswered(&self) -> Arc<Notify> {
        self.shared.unanswered.clone()
    }

    /// The requests that have come, as `POST /v1/payment_intents`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Posts what is to be told by now to an address, one after another, signed by its clock. What is not taken is
    /// told again a second later.
    pub async fn deliver(&self, url: &str) -> Vec<Delivery> {
        let now_ms = self.shared.now_ms();
        let due: Vec<_> = {
            let mut simulated = self.shared.simulated();
            let due = simulated.callbacks(now_ms);
            due.into_iter().map(|callback| (objects::event(&simulated, &callback, now_ms), callback)).collect()
        };
        let (shared, url) = (self.shared.clone(), url.to_owned());
        let posted = self.runtime().spawn(post(shared, url, due));
        posted.await.unwrap_or_default()
    }

    /// The same, for tests without a runtime.
    pub fn deliver_blocking(&self, url: &str) -> Vec<Delivery> {
        self.runtime().block_on(self.deliver(url))
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken when this is dropped")
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // Waiting for threads is not allowed inside of a runtime, and a test may have one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn simulated(&self) -> MutexGuard<'_, Simulated> {
        self.simulated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| api::answer(shared.clone(), request));
            // A shop that goes away, or an answer that is to break off, ends the connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn post(shared: Arc<Shared>, url: String, due: Vec<(String, Callback)>) -> Vec<Delivery> {
    let secret = Secret::new(WEBHOOK_SECRET).expect("a secret");
    let http: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut deliveries = Vec::new();
    for (body, callback) in due {
        let signature = webhook::sign(&secret, body.as_bytes(), shared.now_ms() / 1_000);
        let request = Request::post(&url)
            .header("content-type", "application/json")
            .header(SIGNATURE_HEADER, signature)
            .body(Full::from(body));
        let status = match request {
            Ok(request) => http.request(request).await.ok().map(|response| response.status().as_u16()),
            Err(_) => None,
        };
        deliveries.push(Delivery { event: callback.event.clone(), status });
        if !status.is_some_and(|status| (200..300).contains(&status)) {
            shared.simulated().tell_again(shared.now_ms() + AGAIN_MS, callback);
        }
    }
    deliveries
}
