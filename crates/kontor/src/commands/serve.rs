//! `kontor serve`: runs a site until it is told to stop.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use kontor_core::command::{Command, Request};
use kontor_core::id::{Actor, RequestId, SiteId};
use kontor_core::site::SiteKind;
use kontor_payments::secret::Secret;
use kontor_payments::settings::Secrets;
use kontor_server::links::Links;
use kontor_server::{Access, Limits, Options, Payments};
use kontor_site::clock::Stopwatch;
use kontor_site::persons::Persons;
use kontor_site::{Settings, Site};
use kontor_storage::journal::local::LocalOptions;
use kontor_storage::tables::TablesOptions;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, ServeArgs};
use crate::peers::Peers;
use crate::telemetry::{self, Logs};
use crate::{master_key, print, sample};

pub(crate) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::resolve(args)?;
    let logs = Arc::new(telemetry::logs(&config.log)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads)
        .thread_name("http")
        .enable_all()
        .build()
        .context("the threads that answer HTTP could not be started")?;
    runtime.block_on(serve(config, logs))
}

async fn serve(config: Config, logs: Arc<Logs>) -> anyhow::Result<ExitCode> {
    let metrics = telemetry::metrics()?;
    let limits = limits(&config, raise_open_files());
    // Whoever reads the line that says "listening" may send a signal at once.
    let mut signals = Signals::listen().context("signals cannot be listened for")?;
    // What may be wrong is looked at first: wrong settings and a taken port are told before the journal is touched.
    let payments = Some(payments(&config)?);
    let listener = listen(config.listen).await?;
    let site = open(&config)?;
    let persons = Arc::new(persons(&config, &site)?);
    let is_store = be_a_store(&config, &site).await?;
    let mut access = Access::new(&site, config.admin_key.clone())?;
    if !access.has_key() {
        if !config.listen.ip().is_loopback() {
            bail!(
                "{} can be reached from elsewhere and this site has no key yet. Set KONTOR_ADMIN_KEY, or start once on 127.0.0.1",
                config.listen
            );
        }
        let key = Access::issue_admin_key(&site).await?;
        access = Access::new(&site, None)?;
        print::line(format!("admin key: {key}"));
        print::note("This key is shown once. Keep it, and give it to commands as KONTOR_KEY.");
    }
    access = access.with_peer_key(config.peer_key.as_deref())?;
    access = access.with_inventory_keys(&config.inventory_keys, &config.inventory_admin_keys)?;
    if config.open_compat {
        access = access.open_compat();
        tracing::warn!("The paths of the reference services are answered without a key, to callers of this machine");
    }
    let loaded = load_sample(&config, &site).await?;
    let address = listener.local_addr()?;
    let (links, wishes) = Links::new();
    let advertised = config.advertise.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
    let advertised = if advertised.is_empty() { format!("http://{address}") } else { advertised };
    let peers = Peers::start(&site, &links, advertised.clone(), is_store, &config.data, config.peers.clone())?;
    print::line(format!("listening on http://{address}"));
    if loaded {
        print::note(tour(address, &config));
    }

    let driven = tokio::spawn(peers.run(config.join.clone(), wishes));
    let version = env!("CARGO_PKG_VERSION");
    let (metrics, address) = (Some(metrics), advertised);
    let fault_injection = config.fault_injection;
    if fault_injection {
        tracing::warn!("Whoever may write here may make payments go wrong (--fault-injection)");
    }
    let options =
        Options { access, limits, metrics, version, address, links, demo: None, payments, persons, fault_injection };
    let stopping = site.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        tokio::select! {
            () = signals.told_to_stop() => {}
            _ = stopping.stopped() => {}
        }
        // The server may have stopped by itself.
        let _ = stop.send(());
        // A second signal does not wait for anybody.
        signals.told_to_stop().await;
        logs.flush();
        std::process::exit(1);
    });
    kontor_server::serve(listener, site.clone(), options, async {
        // An error means that the sender is gone: stop as well.
        let _ = stopped.await;
    })
    .await
    .context("the HTTP server failed")?;
    // What a link is reading in it finishes, or the site, which closes now, tells it to stop.
    driven.abort();
    let closed = tokio::task::spawn_blocking(move || site.close()).await?;
    match closed {
        Ok(()) => {
            tracing::info!("Everything asked is answered and on disk");
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => bail!("{why}. Start the site again: it reads from its journal what was written and what was not"),
    }
}

/// Lets the process open as many files as it may; says how many. Shells and service managers often set
/// a soft limit of 1,024 for programs that cannot take more.
pub(crate) fn raise_open_files() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!("The limit of open files could not be raised: {error}");
            before
        }
    };
    // None at all is no limit.
    now.current.unwrap_or(u64::MAX)
}

fn limits(config: &Config, files: u64) -> Limits {
    let (key_rate, public_rate) = (config.limits.key_rate.0, config.limits.public_rate.0);
    let limits = Limits { key_rate, public_rate, ..Limits::default() };
    let (wanted, limits) = (limits.connections, limits.for_files(files));
    if limits.connections < wanted {
        tracing::warn!(
            files,
            connections = limits.connections,
            "Fewer connections are taken than {wanted}, because the process may open few files (ulimit -n)"
        );
    }
    limits
}

/// Where payments are made.
pub(crate) fn payments(config: &Config) -> anyhow::Result<Payments> {
    let secret = |text: &Option<String>| text.clone().and_then(Secret::new);
    let webhooks = config.payment_webhook_secret.iter().filter_map(|text| Secret::new(text.as_str())).collect();
    let secrets = Secrets { key: secret(&config.payment_secret_key), webhooks };
    let chosen = config.payments.choose(&secrets, Payments::now()).context("payments cannot be made like this")?;
    Ok(Payments::new(chosen, &secrets))
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "{address} is taken, perhaps by another kontor. Choose another port: kontor serve --listen {}:{} (or make run PORT={1})",
            address.ip(),
            address.port().saturating_add(1)
        ),
        listener => listener.with_context(|| format!("{address} cannot be listened on")),
    }
}

fn open(config: &Config) -> anyhow::Result<Site> {
    let watch = Stopwatch::start();
    let settings = Settings {
        data: config.data.clone(),
        site: SiteId::parse(config.site.as_str())?,
        nonce: fresh_nonce(),
        journal: LocalOptions { segment_bytes: config.segment_bytes, ..LocalOptions::default() },
        tables: TablesOptions { cache_bytes: config.cache_mb << 20, ..TablesOptions::default() },
        disk_reserve_bytes: config.disk_reserve_mb << 20,
    };
    let site = Site::open(&settings, |progress| {
        print::progress(format!("folding {} of {} groups into the tables", progress.folded, progress.total));
    })
    .with_context(|| format!("{} cannot be served", config.data.display()))?;
    print::progress("");
    tracing::info!(site.id = %site.id(), term = site.term(), seconds = watch.seconds(), "The site is open");
    Ok(site)
}

/// The keys of the persons that the site has met.
fn persons(config: &Config, site: &Site) -> anyhow::Result<Persons> {
    let master = master_key::of(config)?;
    Persons::open(site, &config.data, master).context("the keys of persons cannot be used")
}

/// Whether the site is a store. It becomes one, with its first entry as a rule, when it is told so, and stays one.
async fn be_a_store(config: &Config, site: &Site) -> anyhow::Result<bool> {
    let is_store = site.read().kind()? == SiteKind::Store;
    if !is_store && config.store {
        let word = |text| RequestId::parse(text).expect("a short word is a request id");
        let request = Request {
            command: Command::DescribeSite { kind: SiteKind::Store },
            actor: Actor::parse("operator").expect("a short word is an actor"),
            request_id: word("serve-store"),
            idempotency: None,
            fresh_id: kontor_server::fresh_uuid(),
        };
        site.submit(request).await.context("the site could not become a store")?;
    }
    Ok(is_store || config.store)
}

/// The random half of a fresh id.
pub(crate) fn fresh_nonce() -> u64 {
    uuid::Uuid::from_bytes(kontor_server::fresh_uuid()).as_u64_pair().1
}

/// Loads sample data into a site that holds nothing; says whether it did.
async fn load_sample(config: &Config, site: &Site) -> anyhow::Result<bool> {
    let Some(dir) = &config.sample else { return Ok(false) };
    if !site.read().is_empty()? {
        return Ok(false);
    }
    let rows = sample::load(site, dir).await?;
    print::note(format!("{rows} rows of sample data loaded from {}", dir.display()));
    Ok(true)
}

/// What a newcomer can type next. The sample data has one unit of this item left in one shop.
fn tour(address: SocketAddr, config: &Config) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "kontor".into());
    let body = r#"{"lines":[{"sku":"SKU-042","location":"store-s1","quantity":1}],"ttl_s":600}"#;
    let data = config.data.display();
    format!(
        "\nOpen http://{address}/ or type, in another terminal, with the key above:\n\n  \
         export KONTOR_URL=http://{address} KONTOR_KEY=kon_…\n\n\
         1. Hold the last unit of SKU-042 in one shop, twice; the second is refused, with the facts:\n  \
         {program} api post /reservations '{body}'\n  \
         {program} api post /reservations '{body}'\n\n\
         2. Ask why:\n  \
         {program} explain SKU-042 --location store-s1\n\n\
         3. Kill it, start it again, find everything, check every invariant:\n  \
         kill -9 {}; {program} serve --data {data} --listen {address} & sleep 2; {program} check --data {data}\n",
        std::process::id()
    )
}

/// SIGTERM and SIGINT, from now on: before, they end the process at once.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
