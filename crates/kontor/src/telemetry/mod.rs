//! Logs and metrics of the process.

mod json;
mod lines;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use json::JsonLines;
use lines::Lines;

/// Latencies from 50 µs, a good fsync, to 10 s, when everybody has gone.
const SECONDS: [f64; 12] = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0];

/// The logs of the process: lines that still wait are written when it is dropped.
pub(crate) struct Logs(Lines);

impl Logs {
    /// Writes what waits, now.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What is logged.
pub(crate) fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(text).with_context(|| format!("{text:?} is not a log filter"))
}

/// Starts JSON logs on standard error.
pub(crate) fn logs(filter: &str) -> anyhow::Result<Logs> {
    let filter = self::filter(filter)?;
    let lines = Lines::to(std::io::stderr()).context("the thread that writes logs could not be started")?;
    let logs = tracing_subscriber::fmt().event_format(JsonLines).with_writer(lines.clone()).with_env_filter(filter);
    logs.try_init().map_err(|error| anyhow::anyhow!("logs could not be started: {error}"))?;
    let (waiting, say) = (lines.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        waiting.flush();
        say(panic);
    }));
    Ok(Logs(lines))
}

/// Starts metrics; the handle renders them.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?;
    builder.install_recorder().context("metrics could not be started")
}
