//! A Kontor site with its goods in it: seeded over HTTP once, kept between runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::drive::{Length, Plan, Work, drive};
use crate::goods;
use crate::process::{Server, free_address, guarded, wait_until_ready};
use crate::wire::Caller;

/// A folder with a seeded site, and the program that serves it.
pub(crate) struct Site {
    kontor: PathBuf,
    folder: PathBuf,
    products: u64,
    workers: usize,
}

/// A site that runs.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) caller: Caller,
    /// From starting the program to the first 200 on `/readyz`.
    pub(crate) ready_after: Duration,
}

/// What a folder was seeded with; written last, so that a half-seeded one has none.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// Raised when the goods change.
    seed: u32,
    products: u64,
    received_each: u64,
}

impl Manifest {
    fn of(products: u64) -> Manifest {
        Manifest { seed: 1, products, received_each: goods::RECEIVED_EACH }
    }
}

impl Site {
    /// The seeded site in `data`, made now unless one with the same goods is there.
    pub(crate) fn seeded(kontor: &Path, data: &Path, products: u64, workers: usize, fresh: bool) -> Result<Site> {
        ensure!((1..=goods::PRODUCTS_MAX).contains(&products), "from 1 to 9,999,999 products");
        let kontor = kontor.canonicalize();
        let kontor = kontor.context("--kontor names no program; build it with cargo build --release")?;
        let folder = data.join(products.to_string());
        let site = Site { kontor, folder, products, workers };
        let manifest = site.folder.join("manifest.json");
        let wanted = Manifest::of(products);
        let kept = fs::read(&manifest).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if kept.as_ref() == Some(&wanted) && !fresh {
            eprintln!("using the {products} products in {}", site.folder.display());
            return Ok(site);
        }
        if site.folder.exists() {
            let emptied = fs::remove_dir_all(&site.folder);
            emptied.with_context(|| format!("emptying {}", site.folder.display()))?;
        }
        let made = fs::create_dir_all(&site.folder);
        made.with_context(|| format!("making {}", site.folder.display()))?;
        site.seed()?;
        let text = serde_json::to_vec_pretty(&wanted).context("writing the manifest")?;
        fs::write(&manifest, text).with_context(|| format!("writing {}", manifest.display()))?;
        Ok(site)
    }

    /// A site in `folder` that is made when it starts, with nothing in it.
    pub(crate) fn empty(kontor: &Path, folder: &Path, workers: usize) -> Site {
        Site { kontor: kontor.to_owned(), folder: folder.to_owned(), products: 0, workers }
    }

    pub(crate) fn start(&self) -> Result<Running> {
        self.start_at(free_address()?, &[])
    }

    /// Starts it at an address that others know, with further settings.
    pub(crate) fn start_at(&self, address: SocketAddr, settings: &[(&str, &str)]) -> Result<Running> {
        let mut command = guarded(&self.kontor)?;
        command
            .arg("serve")
            .arg("--data")
            .arg(self.folder.join("data"))
            .args(["--listen", &address.to_string()])
            .env("KONTOR_ADMIN_KEY", KEY)
            .env("TOKIO_WORKER_THREADS", self.workers.to_string())
            .envs(settings.iter().copied());
        let caller = Caller::new(address, Some(KEY))?;
        let begun = Instant::now();
        let mut server = Server::start("kontor", &mut command, &self.folder.join("kontor.log"))?;
        let ready_after = wait_until_ready(&caller, &mut server, "/readyz", begun)?;
        Ok(Running { server, caller, ready_after })
    }

    fn seed(&self) -> Result<()> {
        let running = self.start()?;
        let caller = &running.caller;
        let location = format!(r#"{{"id":"{}","name":"Main warehouse"}}"#, goods::LOCATION);
        caller.post(goods::LOCATIONS, location, "load-location", true)?;
        self.fill(caller, "products", Work::CreateProduct)?;
        self.fill(caller, "receipts", Work::Receive { quantity: goods::RECEIVED_EACH })?;
        running.server.stop()
    }

    fn fill(&self, caller: &Caller, what: &str, work: Work) -> Result<()> {
        let begun = Instant::now();
        let mut first = 1;
        while first <= self.products {
            let count = SEED_STRIDE.min(self.products - first + 1);
            let plan = Plan {
                caller: caller.clone(),
                work,
                connections: SEED_CONNECTIONS,
                threads: 1,
                warm_up: Length::NONE,
                measured: Length::Operations(count),
                first,
                patient: true,
            };
            let done = drive(&plan, &[])?.tally;
            ensure!(
                done.good == count && done.failures() == 0,
                "seeding {what} {first} to {}: {} done, {}",
                first + count - 1,
                done.good,
                done.failures_said()
            );
            first += count;
            let rate = (first - 1) as f64 / begun.elapsed().as_secs_f64();
            eprintln!("{what}: {} of {} ({rate:.0}/s)", first - 1, self.products);
        }
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Puts enough units of the hot SKU on the shelf for one run.
pub(crate) fn receive_hot(caller: &Caller) -> Result<()> {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_nanos();
    let body = goods::receive_json(goods::HOT, goods::RECEIVED_EACH);
    caller.post(goods::RECEIVE, body, &format!("load-hot-{nanos:x}"), false)
}

/// The admin key of throw-away sites on loopback: no secret.
pub(crate) const KEY: &str = "kon_load_0123456789abcdef0123456789abcdef";

/// More connections than a measurement has: larger groups seed faster.
const SEED_CONNECTIONS: usize = 256;
/// How many are seeded between two lines of progress.
const SEED_STRIDE: u64 = 100_000;
