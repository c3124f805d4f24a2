//! What two regions cost each other: how soon one sees what the other acknowledged, how long a buyer waits
//! for units that the other holds, and how fast one that was away catches up.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::compare::processors;
use crate::drive::{Length, Plan, Work, drive};
use crate::goods;
use crate::latency::Latencies;
use crate::meter;
use crate::process::free_address;
use crate::report::{Report, Verdict};
use crate::site::{Running, Site};
use crate::wire::{Caller, Connection};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Sites {
    /// The kontor program, built in release.
    #[arg(long)]
    kontor: PathBuf,
    /// Products that are made at one region and waited for at the other.
    #[arg(long, default_value_t = 300)]
    products: u64,
    /// Buyers who want what the other region holds.
    #[arg(long, default_value_t = 50)]
    buyers: u64,
    /// Sales at one region while the other one is away.
    #[arg(long, default_value_t = 50_000)]
    sales: u64,
    /// Where the sites are made; they are deleted at the end.
    #[arg(long, default_value = "target/bench-data/sites")]
    data: PathBuf,
    /// Print facts as JSON; the tables go to standard error.
    #[arg(long)]
    json: bool,
}

/// Two regions that read each other.
struct Pair {
    us: Site,
    eu: Site,
    settings: [Vec<(&'static str, String)>; 2],
    addresses: [std::net::SocketAddr; 2],
}

/// Measures. Whether every target was met.
pub(crate) fn sites(options: &Sites) -> Result<bool> {
    let kontor = options.kontor.canonicalize();
    let kontor = kontor.context("--kontor names no program; build it with cargo build --release")?;
    let mut report = Report::new("sites", options.json);
    report.say(&format!("{} processors, two regions of one process each on loopback", processors()));
    let pair = Pair::new(&kontor, options)?;
    let (us, eu) = (pair.start(0)?, pair.start(1)?);
    let location = format!(r#"{{"id":"{}","name":"Main warehouse"}}"#, goods::LOCATION);
    us.caller.post(goods::LOCATIONS, location, "sites-location", true)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    let seen = runtime.block_on(propagation(&us.caller, &eu.caller, options.products))?;
    say(&mut report, "a product is seen at the other region", &seen)?;
    let borrowed = runtime.block_on(borrowing(&us.caller, &eu.caller, options.buyers))?;
    say(&mut report, "a buyer has what the other region held", &borrowed)?;
    let failures = catch_up(options, &mut report, &pair, us, eu)?;
    report.judge(Verdict::at_most("sales that were refused or failed", failures, 0.0, ""));
    fs::remove_dir_all(&options.data).with_context(|| format!("deleting {}", options.data.display()))?;
    report.close()
}

impl Pair {
    fn new(kontor: &std::path::Path, options: &Sites) -> Result<Pair> {
        if options.data.exists() {
            fs::remove_dir_all(&options.data).with_context(|| format!("emptying {}", options.data.display()))?;
        }
        let site = |name: &str| -> Result<Site> {
            let folder = options.data.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
            Ok(Site::empty(kontor, &folder, processors()))
        };
        let addresses = [free_address()?, free_address()?];
        let settings = |name: &str, peer: usize| {
            vec![
                ("KONTOR_SITE", name.to_owned()),
                ("KONTOR_PEER_KEY", PEER_KEY.to_owned()),
                ("KONTOR_PEERS", format!("http://{}", addresses[peer])),
            ]
        };
        Ok(Pair { us: site("us")?, eu: site("eu")?, settings: [settings("us", 1), settings("eu", 0)], addresses })
    }

    fn start(&self, number: usize) -> Result<Running> {
        let settings: Vec<(&str, &str)> =
            self.settings[number].iter().map(|(name, value)| (*name, value.as_str())).collect();
        [&self.us, &self.eu][number].start_at(self.addresses[number], &settings)
    }
}

/// A key that sites on loopback share for a minute: no secret.
const PEER_KEY: &str = "kon_load_peers_0123456789abcdef0123456789abcdef";

/// From the acknowledgement at one region to the first read of it at the other.
async fn propagation(us: &Caller, eu: &Caller, products: u64) -> Result<Latencies> {
    let (mut here, mut there) = (Connection::open(us.address).await?, Connection::open(eu.address).await?);
    let mut seen = Latencies::new();
    for number in 1..=products {
        let key = format!("sites-product-{number}");
        let made = us.request(goods::PRODUCTS, Some(goods::product_json(number)), Some(&key))?;
        insist(&mut here, made).await?;
        let acknowledged = Instant::now();
        let path = goods::product_path(number);
        until(&mut there, || eu.request(&path, None, None), StatusCode::NOT_FOUND).await?;
        record(&mut seen, acknowledged);
    }
    Ok(seen)
}

/// From the first request of a buyer, whose region holds nothing of it, to the hold.
async fn borrowing(us: &Caller, eu: &Caller, buyers: u64) -> Result<Latencies> {
    let (mut here, mut there) = (Connection::open(us.address).await?, Connection::open(eu.address).await?);
    let mut waited = Latencies::new();
    for number in 1..=buyers {
        let key = format!("sites-receipt-{number}");
        // Near zero nobody holds a share: all of it is at the home of the location.
        let received = us.request(goods::RECEIVE, Some(goods::receive_json(number, 2)), Some(&key))?;
        insist(&mut here, received).await?;
        let stock = format!("/api/v1/stock/{}", goods::sku(number));
        loop {
            let (_, body) = there.ask(eu.request(&stock, None, None)?).await?;
            let stock: Value = serde_json::from_slice(&body).context("the stock")?;
            if stock["totals"]["on_hand"] == 2 {
                break;
            }
        }
        let line = format!(r#"{{"sku":"{}","location":"{}","quantity":1}}"#, goods::sku(number), goods::LOCATION);
        let (body, key) = (format!(r#"{{"lines":[{line}]}}"#), format!("sites-buyer-{number}"));
        let began = Instant::now();
        let hold = || eu.request("/api/v1/reservations", Some(body.clone()), Some(&key));
        until(&mut there, hold, StatusCode::CONFLICT).await?;
        record(&mut waited, began);
    }
    Ok(waited)
}

/// One region sells while the other is away, and is read when that one comes back. Answers the failures.
fn catch_up(options: &Sites, report: &mut Report, pair: &Pair, us: Running, eu: Running) -> Result<f64> {
    eu.server.stop()?;
    crate::site::receive_hot(&us.caller)?;
    let plan = Plan {
        caller: us.caller.clone(),
        work: Work::Issue { of: goods::HOT },
        connections: 64,
        threads: 1,
        warm_up: Length::NONE,
        measured: Length::Operations(options.sales),
        first: 1,
        patient: true,
    };
    let sold = drive(&plan, &[])?.tally;
    let end = own_end(&us.caller)?;

    let began = Instant::now();
    let eu = pair.start(1)?;
    let before = eu.server.watched().read()?;
    while read_of(&eu.caller, "us")? < end {
        ensure!(began.elapsed() < CATCH_UP_LIMIT, "group {end} was not read in {CATCH_UP_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed().as_secs_f64();
    let cpu_ns = eu.server.watched().read()?.since(&before);
    let memory = meter::memory(eu.server.watched().pid)?;
    report.say(&format!(
        "  {} sales made while it was away are read {took:.2} s after its start: {:.0} entries/s, {:.1} µs CPU each; {}",
        sold.good,
        sold.good as f64 / took,
        cpu_ns as f64 / 1_000.0 / sold.good.max(1) as f64,
        crate::compare::memory_said(&memory)
    ));
    report.fact("catch_up", json!({"entries": sold.good, "seconds": took, "groups_end": end}))?;
    eu.server.stop()?;
    us.server.stop()?;
    Ok(sold.failures() as f64)
}

const CATCH_UP_LIMIT: Duration = Duration::from_secs(300);

/// The last group of a site's own journal.
fn own_end(caller: &Caller) -> Result<u64> {
    let sites = sites_of(caller)?;
    sites["end"]["seq"].as_u64().context("no end of the journal")
}

/// The last group that a site has read of another.
fn read_of(caller: &Caller, other: &str) -> Result<u64> {
    let sites = sites_of(caller)?;
    let item = sites["items"].as_array().into_iter().flatten().find(|item| item["site"] == other);
    Ok(item.and_then(|item| item["read"]["seq"].as_u64()).unwrap_or(0))
}

fn sites_of(caller: &Caller) -> Result<Value> {
    serde_json::from_slice(&caller.get("/api/v1/sites")?.body).context("the sites")
}

async fn insist(connection: &mut Connection, request: Request<Full<Bytes>>) -> Result<()> {
    let (head, body) = connection.ask(request).await?;
    ensure!(head.status.is_success(), "{}: {}", head.status, String::from_utf8_lossy(&body));
    Ok(())
}

/// Asks the same until it is answered otherwise than with `not_yet`.
async fn until(
    connection: &mut Connection,
    request: impl Fn() -> Result<Request<Full<Bytes>>>,
    not_yet: StatusCode,
) -> Result<()> {
    let began = Instant::now();
    loop {
        let (head, body) = connection.ask(request()?).await?;
        if head.status.is_success() {
            return Ok(());
        }
        if head.status != not_yet || began.elapsed() > UNTIL_LIMIT {
            bail!("{}: {}", head.status, String::from_utf8_lossy(&body));
        }
        // Not as fast as it goes: the two regions need the processors, too.
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

const UNTIL_LIMIT: Duration = Duration::from_secs(30);

fn record(latencies: &mut Latencies, since: Instant) {
    latencies.record(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
}

fn say(report: &mut Report, what: &str, taken: &Latencies) -> Result<()> {
    let (p50, p99) = (taken.quantile_us(0.5), taken.quantile_us(0.99));
    report.say(&format!("  {what}: p50 {:.2} ms, p99 {:.2} ms", p50 / 1e3, p99 / 1e3));
    report.fact(what, json!({"p50_us": p50, "p99_us": p99}))
}
