//! What a checkout costs: how many a second, how long a buyer waits, processor time of the server for each with
//! its payment, and whether any of it grows with the orders that are there already.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::compare::processors;
use crate::goods;
use crate::latency::Latencies;
use crate::report::{Report, Verdict};
use crate::site::{Running, Site};
use crate::wire::{Caller, Connection};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Checkouts {
    /// The kontor program, built in release.
    #[arg(long)]
    kontor: PathBuf,
    /// Orders, each a cart of one line, a checkout and a payment.
    #[arg(long, default_value_t = 20_000)]
    orders: u64,
    /// Buyers at a time.
    #[arg(long, default_value_t = 16)]
    connections: u64,
    /// Where the site is made; it is deleted at the end.
    #[arg(long, default_value = "target/bench-data/checkouts")]
    data: PathBuf,
    /// Print facts as JSON; the tables go to standard error.
    #[arg(long)]
    json: bool,
}

/// Parts that the orders are measured in: the first has few before it, the last has most.
const PARTS: u64 = 4;

/// What came of one part.
struct Part {
    seconds: f64,
    cpu_us: f64,
    carts: Latencies,
    checkouts: Latencies,
}

/// Measures. Whether every target was met.
pub(crate) fn checkouts(options: &Checkouts) -> Result<bool> {
    let kontor = options.kontor.canonicalize();
    let kontor = kontor.context("--kontor names no program; build it with cargo build --release")?;
    let mut report = Report::new("checkouts", options.json);
    report.say(&format!("{} processors, one site, {} buyers at a time", processors(), options.connections));
    if options.data.exists() {
        fs::remove_dir_all(&options.data).with_context(|| format!("emptying {}", options.data.display()))?;
    }
    fs::create_dir_all(&options.data).with_context(|| format!("making {}", options.data.display()))?;
    let site = Site::empty(&kontor, &options.data, processors()).start()?;
    let location = format!(r#"{{"id":"{}","name":"Main warehouse"}}"#, goods::LOCATION);
    site.caller.post(goods::LOCATIONS, location, "checkouts-location", true)?;
    site.caller.post(goods::PRODUCTS, goods::product_json(1), "checkouts-product", true)?;
    site.caller.post(goods::RECEIVE, goods::receive_json(1, options.orders * 2), "checkouts-receipt", true)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    let each = options.orders / PARTS;
    let mut parts = Vec::new();
    for part in 0..PARTS {
        let done = runtime.block_on(part_of(&site, options.connections, part * each + 1, each))?;
        report.say(&format!(
            "  after {} orders: {:.0} checkouts/s, {:.0} µs CPU each with cart and payment; cart p50 {:.2} ms, p99 \
             {:.2} ms; checkout p50 {:.2} ms, p99 {:.2} ms",
            part * each,
            each as f64 / done.seconds,
            done.cpu_us,
            done.carts.quantile_us(0.5) / 1e3,
            done.carts.quantile_us(0.99) / 1e3,
            done.checkouts.quantile_us(0.5) / 1e3,
            done.checkouts.quantile_us(0.99) / 1e3,
        ));
        report.fact(
            &format!("part {part}"),
            json!({
                "orders_before": part * each, "per_second": each as f64 / done.seconds, "cpu_us": done.cpu_us,
                "checkout_p99_us": done.checkouts.quantile_us(0.99),
            }),
        )?;
        parts.push(done);
    }
    let growth = parts.last().map_or(1.0, |last| last.cpu_us) / parts[0].cpu_us;
    report.judge(Verdict::at_most("CPU of the last checkouts, by that of the first", growth, 1.3, "×"));
    site.server.stop()?;
    fs::remove_dir_all(&options.data).with_context(|| format!("deleting {}", options.data.display()))?;
    report.close()
}

/// So many orders, from this number on, by all buyers together.
async fn part_of(site: &Running, connections: u64, first: u64, orders: u64) -> Result<Part> {
    let next = Arc::new(AtomicU64::new(first));
    let before = site.server.watched().read()?;
    let began = Instant::now();
    let buyers = (0..connections).map(|_| buy(site.caller.clone(), next.clone(), first + orders));
    let mut tasks = tokio::task::JoinSet::new();
    buyers.for_each(|buyer| drop(tasks.spawn(buyer)));
    let (mut carts, mut checkouts) = (Latencies::new(), Latencies::new());
    while let Some(done) = tasks.join_next().await {
        let (cart, checkout) = done.context("a buyer panicked")??;
        carts.add(&cart);
        checkouts.add(&checkout);
    }
    let seconds = began.elapsed().as_secs_f64();
    // Until the last of them is paid: its payment belongs to its cost.
    let mut connection = Connection::open(site.caller.address).await?;
    loop {
        let (_, body) = connection.ask(site.caller.request("/metrics", None, None)?).await?;
        let text = String::from_utf8_lossy(&body);
        let pending = text.lines().find_map(|line| line.strip_prefix("kontor_payments_pending "));
        if pending.is_none_or(|pending| pending.trim() == "0") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let cpu_ns = site.server.watched().read()?.since(&before);
    Ok(Part { seconds, cpu_us: cpu_ns as f64 / 1_000.0 / orders.max(1) as f64, carts, checkouts })
}

async fn buy(caller: Caller, next: Arc<AtomicU64>, end: u64) -> Result<(Latencies, Latencies)> {
    let mut connection = Connection::open(caller.address).await?;
    let (mut carts, mut checkouts) = (Latencies::new(), Latencies::new());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return Ok((carts, checkouts));
        }
        let id = format!("cart_{number:032x}");
        let line = format!(r#"{{"sku":"{}","quantity":1,"price":"9.50"}}"#, goods::sku(1));
        let cart = format!(r#"{{"id":"{id}","currency":"EUR","lines":[{line}]}}"#);
        let made = caller.request("/api/v1/carts", Some(cart), Some(&format!("cart-{number}")))?;
        let began = Instant::now();
        let (head, body) = connection.ask(made).await?;
        ensure!(head.status.is_success(), "{}: {}", head.status, String::from_utf8_lossy(&body));
        carts.record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let path = format!("/api/v1/carts/{id}.main/checkout");
        let body = r#"{"payment_method":"pm_card_visa"}"#.to_owned();
        let placed = caller.request(&path, Some(body), Some(&format!("checkout-{number}")))?;
        let began = Instant::now();
        let (head, body) = connection.ask(placed).await?;
        ensure!(head.status.is_success(), "{}: {}", head.status, String::from_utf8_lossy(&body));
        checkouts.record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
}
