//! Logs and metrics of the process.

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Latencies from 50 µs, a good fsync, to 10 s, when everybody has gone.
const SECONDS: [f64; 12] = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0];

/// Starts JSON logs on standard error.
pub(crate) fn logs(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("{filter:?} is not a log filter"))?;
    let logs = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_span_list(false);
    let logs = logs.with_writer(std::io::stderr).with_env_filter(filter);
    logs.try_init().map_err(|error| anyhow::anyhow!("logs could not be started: {error}"))
}

/// Starts metrics; the handle renders them.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?;
    builder.install_recorder().context("metrics could not be started")
}
