//! Settings: defaults, then `kontor.toml`, then `KONTOR_*`, then flags. Each later one wins.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::Args;
use kontor_api::site::PeerAddress;
use kontor_payments::settings::{Kind, Settings as PaymentSettings};
use kontor_server::{Limits, NoRate, Rate};
use kontor_site::limits::DISK_RESERVE_BYTES;
use kontor_site::persons::MasterKey;
use serde::{Deserialize, Serialize};

use crate::reference_settings::{Found, ReferenceArgs};

/// What `kontor serve` takes.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ServeArgs {
    /// The data directory; made if it is not there [default: data]
    #[arg(long, env = "KONTOR_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "KONTOR_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// The name of this site; fixed when the directory is made [default: main]
    #[arg(long, env = "KONTOR_SITE", value_name = "NAME")]
    pub(crate) site: Option<String>,
    /// A key that may do everything, instead of one that is made and printed at the first start
    #[arg(long, env = "KONTOR_ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    pub(crate) admin_key: Option<String>,
    /// The key that personal data is kept under: 64 hexadecimal digits, instead of a file
    #[arg(long, env = "KONTOR_MASTER_KEY", value_name = "HEX", hide_env_values = true)]
    pub(crate) master_key: Option<String>,
    /// The file of that key; made at the first start [default: beside the data directory, DIR.master-key]
    #[arg(long, env = "KONTOR_MASTER_KEY_FILE", value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, or a filter such as kontor_site=debug [default: info]
    #[arg(long, env = "KONTOR_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Load the sample data of this directory if nothing has been put into the site yet
    #[arg(long, env = "KONTOR_SAMPLE", value_name = "DIR")]
    pub(crate) sample: Option<PathBuf>,
    /// Threads that answer HTTP [default: the number of cores]
    #[arg(long, env = "KONTOR_THREADS", value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Memory for the tables' block cache [default: 128]
    #[arg(long, env = "KONTOR_CACHE_MB", value_name = "MB")]
    pub(crate) cache_mb: Option<u64>,
    /// Size of a journal file in bytes; older files move to the archive [default: 67108864]
    #[arg(long, env = "KONTOR_SEGMENT_BYTES", value_name = "BYTES")]
    pub(crate) segment_bytes: Option<u64>,
    /// Room on the disk that writes leave alone: with less, they are refused [default: 128]
    #[arg(long, env = "KONTOR_DISK_RESERVE_MB", value_name = "MB")]
    pub(crate) disk_reserve_mb: Option<u64>,
    /// Requests that a key may send: REQUESTS/SECONDS, or none for any number [default: none]
    #[arg(long, env = "KONTOR_KEY_RATE", value_name = "RATE")]
    pub(crate) key_rate: Option<RateSetting>,
    /// Requests that an address without a key may send, this machine aside [default: 100000/10]
    #[arg(long, env = "KONTOR_PUBLIC_RATE", value_name = "RATE")]
    pub(crate) public_rate: Option<RateSetting>,
    /// Answer the paths of the reference services without a key; on loopback only
    #[arg(long, env = "KONTOR_OPEN_COMPAT")]
    pub(crate) open_compat: bool,
    /// A site whose journal is read: http://host:port, or its code; may be given several times
    #[arg(long = "peer", env = "KONTOR_PEERS", value_name = "URL", value_delimiter = ',', hide_env_values = true)]
    pub(crate) peers: Vec<String>,
    /// A key that sites share: shown to peers whose address has none, and taken from those that show it
    #[arg(long, env = "KONTOR_PEER_KEY", value_name = "KEY", hide_env_values = true)]
    pub(crate) peer_key: Option<String>,
    /// The code of another site: read each other's journals from now on
    #[arg(long, env = "KONTOR_JOIN", value_name = "CODE", hide_env_values = true)]
    pub(crate) join: Option<String>,
    /// The address at which other sites reach this one [default: http:// and the address listened on]
    #[arg(long, env = "KONTOR_ADVERTISE", value_name = "URL")]
    pub(crate) advertise: Option<String>,
    /// Be a store: a site with a shelf of its own that nobody can reach; it calls the site that it joins
    #[arg(long, env = "KONTOR_STORE")]
    pub(crate) store: bool,
    /// Where payments are made: simulated (no money moves), or http [default: simulated]
    #[arg(long, env = "KONTOR_PAYMENTS", value_name = "KIND", value_parser = payments_kind)]
    pub(crate) payments: Option<Kind>,
    /// The payment provider over HTTP, as https://host [default: that of Stripe]
    #[arg(long, env = "KONTOR_PAYMENT_ADDRESS", value_name = "URL")]
    pub(crate) payment_address: Option<String>,
    /// How long the payment provider is waited for, in milliseconds
    #[arg(long, env = "KONTOR_PAYMENT_TIMEOUT_MS", value_name = "MS")]
    pub(crate) payment_timeout_ms: Option<u64>,
    /// The key by which the payment provider knows this seller; from the environment alone
    #[arg(long, env = "KONTOR_PAYMENT_SECRET_KEY", value_name = "KEY", hide = true, hide_env_values = true)]
    pub(crate) payment_secret_key: Option<String>,
    /// By which the provider's callbacks are known; two with a comma between them while one is replaced
    #[arg(long, env = "KONTOR_PAYMENT_WEBHOOK_SECRET", value_delimiter = ',', hide = true, hide_env_values = true)]
    pub(crate) payment_webhook_secret: Vec<String>,
    /// Let callers with a key make the simulated payment provider go wrong, under /resilience
    #[arg(long, env = "KONTOR_FAULT_INJECTION")]
    pub(crate) fault_injection: bool,
    #[command(flatten)]
    pub(crate) reference: ReferenceArgs,
    /// The settings file; without this, kontor.toml is read if it is there
    #[arg(long, env = "KONTOR_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The same in a file.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    site: Option<String>,
    admin_key: Option<String>,
    master_key: Option<String>,
    master_key_file: Option<PathBuf>,
    log: Option<String>,
    sample: Option<PathBuf>,
    threads: Option<usize>,
    cache_mb: Option<u64>,
    segment_bytes: Option<u64>,
    disk_reserve_mb: Option<u64>,
    open_compat: Option<bool>,
    #[serde(default)]
    peers: Vec<String>,
    peer_key: Option<String>,
    join: Option<String>,
    advertise: Option<String>,
    store: Option<bool>,
    fault_injection: Option<bool>,
    #[serde(default)]
    limits: LimitsOfFile,
    #[serde(default)]
    payments: PaymentSettings,
}

/// Its table `[limits]`.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
struct LimitsOfFile {
    key_rate: Option<RateSetting>,
    public_rate: Option<RateSetting>,
}

/// A rate, or `none`: any number of requests.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct RateSetting(pub(crate) Option<Rate>);

impl FromStr for RateSetting {
    type Err = NoRate;
    fn from_str(text: &str) -> Result<Self, NoRate> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(Some).map(Self) }
    }
}

impl TryFrom<String> for RateSetting {
    type Error = NoRate;
    fn try_from(text: String) -> Result<Self, NoRate> {
        text.parse()
    }
}

impl From<RateSetting> for String {
    fn from(setting: RateSetting) -> Self {
        setting.0.map_or_else(|| "none".to_owned(), |rate| rate.to_string())
    }
}

/// What is in force.
#[derive(Serialize, Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) site: String,
    /// Shown as present or absent, never itself.
    #[serde(serialize_with = "presence")]
    pub(crate) admin_key: Option<String>,
    #[serde(serialize_with = "presence")]
    pub(crate) master_key: Option<String>,
    pub(crate) master_key_file: Option<PathBuf>,
    pub(crate) log: String,
    pub(crate) sample: Option<PathBuf>,
    pub(crate) threads: usize,
    pub(crate) cache_mb: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) disk_reserve_mb: u64,
    pub(crate) open_compat: bool,
    /// Shown without their keys.
    #[serde(serialize_with = "urls")]
    pub(crate) peers: Vec<PeerAddress>,
    #[serde(serialize_with = "presence")]
    pub(crate) peer_key: Option<String>,
    /// Shown without its key.
    #[serde(serialize_with = "url")]
    pub(crate) join: Option<PeerAddress>,
    pub(crate) advertise: Option<String>,
    pub(crate) store: bool,
    pub(crate) fault_injection: bool,
    pub(crate) limits: ServedLimits,
    pub(crate) payments: PaymentSettings,
    #[serde(serialize_with = "presence")]
    pub(crate) payment_secret_key: Option<String>,
    #[serde(skip)]
    pub(crate) payment_webhook_secret: Vec<String>,
    /// Settings of reference services that were found, and what they mean here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reference: Vec<Found>,
    #[serde(skip)]
    pub(crate) inventory_keys: Vec<String>,
    #[serde(skip)]
    pub(crate) inventory_admin_keys: Vec<String>,
}

/// What callers may do at most.
#[derive(Serialize, Debug, Clone)]
pub(crate) struct ServedLimits {
    pub(crate) key_rate: RateSetting,
    pub(crate) public_rate: RateSetting,
}

/// Keys shorter than this can be guessed.
const ADMIN_KEY_BYTES_MIN: usize = 16;

/// Smaller journal files would hold a few groups each.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;

impl Config {
    /// Puts the sources together and checks the result.
    pub(crate) fn resolve(args: ServeArgs) -> anyhow::Result<Self> {
        let file = read_file(args.config.as_deref())?;
        let limits = Limits::default();
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let reference = args.reference;
        let (rate, port) = (reference.rate(), reference.port.unwrap_or(8080));
        let peers = if args.peers.is_empty() { file.peers } else { args.peers };
        let peer_key = args.peer_key.or(file.peer_key).filter(|key| !key.is_empty());
        let peers = peers.iter().filter(|peer| !peer.is_empty()).map(|peer| {
            let address: PeerAddress = peer.parse().context("a peer")?;
            Ok(PeerAddress { key: address.key.or_else(|| peer_key.clone()), ..address })
        });
        let join = args.join.or(file.join).filter(|code| !code.is_empty());
        let payments = PaymentSettings {
            provider: args.payments.unwrap_or(file.payments.provider),
            address: args.payment_address.unwrap_or(file.payments.address),
            timeout_ms: args.payment_timeout_ms.unwrap_or(file.payments.timeout_ms),
            seed: file.payments.seed,
        };
        let config = Self {
            payments,
            payment_secret_key: args.payment_secret_key.filter(|key| !key.is_empty()),
            payment_webhook_secret: args.payment_webhook_secret,
            peers: peers.collect::<anyhow::Result<_>>()?,
            peer_key,
            join: join.map(|code| code.parse().context("the code to join with")).transpose()?,
            advertise: args.advertise.or(file.advertise),
            store: args.store || file.store.unwrap_or(false),
            fault_injection: args.fault_injection || file.fault_injection.unwrap_or(false),
            reference: reference.found(),
            open_compat: args.open_compat || file.open_compat.unwrap_or(false),
            data: args.data.or(file.data).unwrap_or_else(|| "data".into()),
            listen: args.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port))),
            site: args.site.or(file.site).or(reference.home_region).unwrap_or_else(|| "main".into()),
            admin_key: args.admin_key.or(file.admin_key).filter(|key| !key.is_empty()),
            master_key: args.master_key.or(file.master_key).filter(|key| !key.is_empty()),
            master_key_file: args.master_key_file.or(file.master_key_file),
            log: args.log.or(file.log).or(reference.log_level).unwrap_or_else(|| "info".into()),
            sample: args.sample.or(file.sample),
            threads: args.threads.or(file.threads).unwrap_or(cores),
            cache_mb: args.cache_mb.or(file.cache_mb).unwrap_or(128),
            segment_bytes: args.segment_bytes.or(file.segment_bytes).unwrap_or(64 << 20),
            disk_reserve_mb: args.disk_reserve_mb.or(file.disk_reserve_mb).unwrap_or(DISK_RESERVE_BYTES >> 20),
            limits: ServedLimits {
                key_rate: args.key_rate.or(file.limits.key_rate).or(rate).unwrap_or(RateSetting(limits.key_rate)),
                public_rate: args
                    .public_rate
                    .or(file.limits.public_rate)
                    .or(rate)
                    .unwrap_or(RateSetting(limits.public_rate)),
            },
            inventory_keys: reference.api_keys,
            inventory_admin_keys: reference.admin_api_keys,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        kontor_core::id::SiteId::parse(self.site.as_str()).context("the site's name")?;
        if let Some(url) = &self.advertise {
            url.parse::<PeerAddress>().context("the address to advertise")?;
        }
        if self.master_key.is_some() && self.master_key_file.is_some() {
            bail!("the master key is given both itself and as a file: give one of them");
        }
        if let Some(key) = &self.master_key {
            MasterKey::from_hex(key)?;
        }
        if self.peer_key.as_ref().is_some_and(|key| is_weak(key)) {
            bail!("the key of peers must have at least {ADMIN_KEY_BYTES_MIN} visible ASCII characters");
        }
        if self.open_compat && !self.listen.ip().is_loopback() {
            bail!("open_compat answers without a key, so it listens on loopback only, not on {}", self.listen);
        }
        if self.inventory_keys.iter().chain(&self.inventory_admin_keys).any(|key| is_weak(key)) {
            bail!(
                "each of API_KEYS and ADMIN_API_KEYS must have at least {ADMIN_KEY_BYTES_MIN} visible ASCII characters; \
                 to try clients that send another one, use --open-compat without them"
            );
        }
        if let Some(key) = &self.admin_key
            && is_weak(key)
        {
            bail!("the admin key must have at least {ADMIN_KEY_BYTES_MIN} visible ASCII characters");
        }
        if !(1..=256).contains(&self.threads) {
            bail!("threads must be from 1 to 256, not {}", self.threads);
        }
        if !(8..=1_048_576).contains(&self.cache_mb) {
            bail!("cache_mb must be from 8 to 1048576, not {}", self.cache_mb);
        }
        if !(SEGMENT_BYTES_MIN..=1 << 30).contains(&self.segment_bytes) {
            bail!("segment_bytes must be from {SEGMENT_BYTES_MIN} to {}, not {}", 1 << 30, self.segment_bytes);
        }
        if self.disk_reserve_mb > 1_048_576 {
            bail!("disk_reserve_mb must be at most 1048576, not {}", self.disk_reserve_mb);
        }
        Ok(())
    }
}

fn payments_kind(word: &str) -> Result<Kind, String> {
    match word {
        "simulated" => Ok(Kind::Simulated),
        "http" => Ok(Kind::Http),
        _ => Err("it is simulated or http".to_owned()),
    }
}

/// Whether a key can be guessed.
fn is_weak(key: &str) -> bool {
    key.len() < ADMIN_KEY_BYTES_MIN || !key.bytes().all(|b| b.is_ascii_graphic())
}

fn read_file(given: Option<&Path>) -> anyhow::Result<File> {
    let path = given.unwrap_or(Path::new("kontor.toml"));
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("{} is not a settings file", path.display())),
        Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(error).with_context(|| format!("{} could not be read", path.display())),
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn presence<S: serde::Serializer>(key: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if key.is_some() { "given" } else { "not given" })
}

fn urls<S: serde::Serializer>(peers: &[PeerAddress], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(peers.iter().map(|peer| &peer.url))
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn url<S: serde::Serializer>(peer: &Option<PeerAddress>, to: S) -> Result<S::Ok, S::Error> {
    peer.as_ref().map(|peer| &peer.url).serialize(to)
}
