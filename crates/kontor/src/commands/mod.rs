//! One file per command.

pub(crate) mod api;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod demo_data;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod jobs;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod mend;
pub(crate) mod plan;
pub(crate) mod serve;
pub(crate) mod site;

use kontor_client::Client;

/// Which running site to talk to.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Target {
    /// The site's address
    #[arg(long, env = "KONTOR_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The access key
    #[arg(long, env = "KONTOR_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl Target {
    fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.url, self.key.as_deref())?)
    }
}

/// Runs a future on this thread.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
