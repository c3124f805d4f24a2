//! Settings of the reference services, taken as other names of ours. Ours win where both are given.

use clap::Args;
use kontor_server::Rate;
use serde::Serialize;

use crate::config::RateSetting;

/// What is taken from the environment of a service whose place Kontor takes. No flags of their own are
/// told to people: these are here to be found in an environment that is there already.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ReferenceArgs {
    #[arg(long = "port", env = "PORT", hide = true)]
    pub(crate) port: Option<u16>,
    #[arg(long = "home-region", env = "HOME_REGION", hide = true)]
    pub(crate) home_region: Option<String>,
    #[arg(long = "log-level", env = "LOG_LEVEL", hide = true)]
    pub(crate) log_level: Option<String>,
    #[arg(long = "api-keys", env = "API_KEYS", hide = true, hide_env_values = true, value_delimiter = ',')]
    pub(crate) api_keys: Vec<String>,
    #[arg(long = "admin-api-keys", env = "ADMIN_API_KEYS", hide = true, hide_env_values = true, value_delimiter = ',')]
    pub(crate) admin_api_keys: Vec<String>,
    #[arg(long = "rate-limit-enabled", env = "RATE_LIMIT_ENABLED", hide = true)]
    rate_limit_enabled: Option<bool>,
    #[arg(long = "rate-limit-requests-per-minute", env = "RATE_LIMIT_REQUESTS_PER_MINUTE", hide = true)]
    rate_limit_requests_per_minute: Option<u32>,
    #[arg(long = "rate-limit-window-minutes", env = "RATE_LIMIT_WINDOW_MINUTES", hide = true)]
    rate_limit_window_minutes: Option<u32>,
    #[arg(long = "idempotency-cache-ttl", env = "IDEMPOTENCY_CACHE_TTL", hide = true)]
    idempotency_cache_ttl: Option<String>,
    #[arg(long = "data-path", env = "DATA_PATH", hide = true)]
    data_path: Option<String>,
    #[arg(long = "inventory-worker-count", env = "INVENTORY_WORKER_COUNT", hide = true)]
    inventory_worker_count: Option<String>,
    #[arg(long = "inventory-queue-buffer-size", env = "INVENTORY_QUEUE_BUFFER_SIZE", hide = true)]
    inventory_queue_buffer_size: Option<String>,
    #[arg(long = "max-events-in-queue", env = "MAX_EVENTS_IN_QUEUE", hide = true)]
    max_events_in_queue: Option<String>,
    #[arg(long = "read-consistency", env = "READ_CONSISTENCY", hide = true)]
    read_consistency: Option<String>,
}

/// A setting of a reference service that was found, and what it means here.
#[derive(Serialize, Debug, Clone)]
pub(crate) struct Found {
    name: &'static str,
    means: String,
}

impl ReferenceArgs {
    /// The rate that the service's limits are.
    pub(crate) fn rate(&self) -> Option<RateSetting> {
        if self.rate_limit_enabled == Some(false) {
            return Some(RateSetting(None));
        }
        // The service counts requests per minute, over windows of some minutes.
        let window_s = self.rate_limit_window_minutes.unwrap_or(1).saturating_mul(60);
        let requests = self.rate_limit_requests_per_minute?.saturating_mul(window_s / 60);
        Rate::new(requests, window_s).map(|rate| RateSetting(Some(rate)))
    }

    /// What was found, in the order in which it is explained.
    pub(crate) fn found(&self) -> Vec<Found> {
        let ours = |name, is_given: bool, means: &str| is_given.then(|| Found { name, means: means.to_owned() });
        let keys = |count: usize, paths: &str| format!("{count} keys that open {paths}");
        let found = [
            ours("PORT", self.port.is_some(), "the port of listen"),
            ours("HOME_REGION", self.home_region.is_some(), "site"),
            ours("LOG_LEVEL", self.log_level.is_some(), "log"),
            ours("API_KEYS", !self.api_keys.is_empty(), &keys(self.api_keys.len(), "/v1/inventory")),
            ours("ADMIN_API_KEYS", !self.admin_api_keys.is_empty(), &keys(self.admin_api_keys.len(), "/v1/admin")),
            ours("RATE_LIMIT_ENABLED", self.rate_limit_enabled.is_some(), "limits.key_rate and limits.public_rate"),
            ours(
                "RATE_LIMIT_REQUESTS_PER_MINUTE",
                self.rate_limit_requests_per_minute.is_some(),
                "limits.key_rate and limits.public_rate",
            ),
            ours("RATE_LIMIT_WINDOW_MINUTES", self.rate_limit_window_minutes.is_some(), "the seconds of those rates"),
            ours("IDEMPOTENCY_CACHE_TTL", self.idempotency_cache_ttl.is_some(), "nothing: keys count for seven days"),
            ours("DATA_PATH", self.data_path.is_some(), "nothing: set data, a directory"),
            ours("INVENTORY_WORKER_COUNT", self.inventory_worker_count.is_some(), "nothing: one writer decides"),
            ours("INVENTORY_QUEUE_BUFFER_SIZE", self.inventory_queue_buffer_size.is_some(), "nothing: a fixed queue"),
            ours("MAX_EVENTS_IN_QUEUE", self.max_events_in_queue.is_some(), "nothing: no event is dropped"),
            ours("READ_CONSISTENCY", self.read_consistency.is_some(), "nothing: a site reads its own writes"),
        ];
        found.into_iter().flatten().collect()
    }
}
