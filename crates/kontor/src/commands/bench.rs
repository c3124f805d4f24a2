//! `kontor bench`: load on a running site, with rates and latencies.
//!
//! A closed loop: each connection asks again when it was answered. Writes are sold over the counter,
//! each under its own key; they are real, so use a site whose stock may change.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use kontor_client::Client;
use kontor_site::clock::Stopwatch;

use super::Target;
use crate::print::{self, Style};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[arg(value_enum, default_value = "read")]
    load: Load,
    /// The SKU to read or to sell
    #[arg(long, default_value = "SKU-001")]
    sku: String,
    /// Where to sell it
    #[arg(long, default_value = "warehouse-1")]
    location: String,
    /// Connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    connections: u64,
    /// Requests in all
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    requests: u64,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Read the levels of one SKU.
    Read,
    /// Sell one unit of one SKU, each time.
    Issue,
}

pub(crate) fn run(args: &Args, style: Style) -> anyhow::Result<ExitCode> {
    let client = args.target.client()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(load(client, args))?;
    let Measured { mut latencies, refused, failed, seconds } = result;
    latencies.sort_by(f64::total_cmp);
    let quantile = |q: f64| quantile(&latencies, q);
    let answered = latencies.len() as u64;
    let rate = if seconds > 0.0 { latencies.len() as f64 / seconds } else { 0.0 };
    if style == Style::Json {
        print::json(&serde_json::json!({
            "load": format!("{:?}", args.load).to_lowercase(), "connections": args.connections,
            "answered": answered, "refused": refused, "failed": failed, "seconds": seconds, "per_second": rate,
            "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "max_ms": quantile(1.0),
        }));
    } else {
        let rows = [
            ("answered", print::grouped(answered)),
            ("refused (409)", print::grouped(refused)),
            ("failed", print::grouped(failed)),
            ("per second", format!("{rate:.0}")),
            ("p50", format!("{:.2} ms", quantile(0.5))),
            ("p99", format!("{:.2} ms", quantile(0.99))),
            ("slowest", format!("{:.2} ms", quantile(1.0))),
        ];
        print::table(&["measured", ""], rows.map(|(what, value)| vec![what.to_owned(), value]), &[1]);
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was measured. Latencies in milliseconds.
struct Measured {
    latencies: Vec<f64>,
    refused: u64,
    failed: u64,
    seconds: f64,
}

async fn load(client: Client, args: &Args) -> anyhow::Result<Measured> {
    // One request first, so that a wrong key or SKU is told and not measured.
    let first = send(&client, args, "first").await?;
    if !first.status.is_success() && first.status.as_u16() != 409 {
        bail!("the site answered {}: {}", first.status, String::from_utf8_lossy(&first.body).trim_end());
    }
    let left = Arc::new(AtomicU64::new(args.requests));
    let run = uuid::Uuid::from_bytes(kontor_server::fresh_uuid()).simple().to_string();
    let watch = Stopwatch::start();
    let mut tasks = Vec::new();
    for connection in 0..args.connections {
        let (client, left, run) = (client.clone(), left.clone(), run.clone());
        let args =
            Args { target: args.target.clone(), sku: args.sku.clone(), location: args.location.clone(), ..*args };
        tasks.push(tokio::spawn(async move {
            let (mut latencies, mut refused, mut failed) = (Vec::new(), 0, 0);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let watch = Stopwatch::start();
                let reply = send(&client, &args, &format!("{run}-{connection}-{}", latencies.len())).await;
                latencies.push(watch.seconds() * 1_000.0);
                match reply.map(|reply| reply.status.as_u16()) {
                    Ok(200..=299) => {}
                    Ok(409) => refused += 1,
                    Ok(_) | Err(_) => failed += 1,
                }
            }
            (latencies, refused, failed)
        }));
    }
    let mut all = Measured { latencies: Vec::new(), refused: 0, failed: 0, seconds: 0.0 };
    for task in tasks {
        let (latencies, refused, failed) = task.await?;
        all.latencies.extend(latencies);
        all.refused += refused;
        all.failed += failed;
        let done = all.latencies.len() as u64;
        print::progress(format!("{} of {}", print::grouped(done), print::grouped(args.requests)));
    }
    print::progress("");
    all.seconds = watch.seconds();
    Ok(all)
}

async fn send(client: &Client, args: &Args, key: &str) -> Result<kontor_client::Reply, kontor_client::ClientError> {
    match args.load {
        Load::Read => client.get(&format!("/api/v1/stock/{}", args.sku)).await,
        Load::Issue => {
            let body = serde_json::json!({
                "reference": key,
                "lines": [{ "sku": args.sku, "location": args.location, "quantity": 1 }],
            });
            client.post("/api/v1/stock/issue", Some(key), body.to_string()).await
        }
    }
}

/// The value below which a share of the sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index within the list")]
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}
