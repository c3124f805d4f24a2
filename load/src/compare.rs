//! Comparisons: the same driver, the same requests, one server after the other in turn, so that
//! whatever else the machine does falls on both.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::drive::{Journal, Length, Plan, Work, drive};
use crate::goods;
use crate::meter::{self, Watched};
use crate::process::{Server, guarded};
use crate::report::{Figures, Report, Verdict, median};
use crate::site::{self, Running, Site};
use crate::wire::{Answer, Caller};

/// What is compared, and how long.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// The kontor program, built in release.
    #[arg(long)]
    pub(crate) kontor: PathBuf,
    /// Products in the site; uniform runs range over all of them.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) products: u64,
    /// Products in the hot set of the reads.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) hot: u64,
    /// Runs of each server, taken in turn.
    #[arg(long, default_value_t = 7)]
    pub(crate) pairs: usize,
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Threads of the driver.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Worker threads of each server [default: as many as processors].
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Seconds that each run is measured, after the warm-up.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm_up: f64,
    /// Connections of the PostgreSQL service's pool.
    #[arg(long, default_value_t = 32)]
    pub(crate) pool: usize,
    /// Where seeded sites are kept between runs.
    #[arg(long, default_value = "target/bench-data")]
    pub(crate) data: PathBuf,
    /// Where the database is made: a folder that every user may enter, on a disk.
    #[arg(long, default_value = "/var/tmp")]
    pub(crate) database_folder: PathBuf,
    /// Seed anew.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Print facts as JSON; the tables go to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Product reads against the bare server. Whether every target was met.
pub(crate) fn reads(bench: &Bench) -> Result<bool> {
    let mut report = Report::new("compare reads", bench.json);
    let site = bench.site()?;
    let mut kontor = site.start()?;
    let (bare, bare_caller) = start_bare(bench, &site, &kontor)?;
    check_same_answers(&kontor.caller, &bare_caller, bench)?;
    conditions(&mut report, bench)?;

    for (name, of, limit) in [("hot", bench.hot, 1.4), ("uniform", bench.products, 2.0)] {
        let work = Work::Read { of };
        let sides = [
            Side::new("kontor", bench, &kontor.caller, work, vec![kontor.server.watched()]),
            Side::new("bare", bench, &bare_caller, work, vec![bare.watched()]),
        ];
        report.say(&format!("\nreads, {name}: {of} products, {} connections", bench.connections));
        let runs = take_turns(&mut report, bench, &sides)?;
        let cpu = ratio(&runs[0], &runs[1], |figures| figures.cpu_us);
        let rate = ratio(&runs[0], &runs[1], |figures| figures.rate);
        report.say(&format!("medians of pairs: {cpu:.2} × the CPU, {rate:.2} × the rate"));
        report.fact(&format!("{name}_cpu_ratio"), cpu)?;
        report.fact(&format!("{name}_rate_ratio"), rate)?;
        report.fact(&format!("{name}_kontor"), &runs[0])?;
        report.fact(&format!("{name}_bare"), &runs[1])?;
        let what = format!("reads {name}, CPU against the bare server");
        report.judge(Verdict::at_most(&what, cpu, limit, "×"));
        judge_failures(&mut report, &runs);
    }
    say_memory(&mut report, &mut kontor)?;
    bare.stop()?;
    kontor.server.stop()?;
    report.close()
}

/// Durable issues against the PostgreSQL service. Whether every target was met.
pub(crate) fn writes(bench: &Bench) -> Result<bool> {
    let mut report = Report::new("compare writes", bench.json);
    let site = bench.site()?;
    let mut kontor = site.start()?;
    let shop = Shop::start(bench, &site)?;
    conditions(&mut report, bench)?;
    say_disk(&mut report, site.folder())?;

    let uniform = Work::Issue { of: bench.products };
    let hot = Work::Issue { of: goods::HOT };
    let watched = vec![kontor.server.watched()];
    let sides = [
        Side::new("kontor uniform", bench, &kontor.caller, uniform, watched.clone()),
        Side::new("shop uniform", bench, &shop.caller, uniform, shop.watched()),
        Side::new("kontor hot", bench, &kontor.caller, hot, watched).receiving_hot(),
        Side::new("shop hot", bench, &shop.caller, hot, shop.watched()),
    ];
    report.say(&format!("\nissues of one unit: {} SKUs or one, {} connections", bench.products, bench.connections));
    let runs = take_turns(&mut report, bench, &sides)?;
    let [kontor_uniform, shop_uniform, kontor_hot, shop_hot] = &runs;
    for (side, runs) in sides.iter().zip(&runs) {
        report.fact(&side.name.replace(' ', "_"), runs)?;
    }

    let cpu = |runs: &[Figures]| median(runs.iter().map(|figures| figures.cpu_us));
    let rate = |figures: &Figures| figures.rate;
    for verdict in [
        Verdict::at_most("kontor uniform, CPU per issue", cpu(kontor_uniform), 25.0, " µs"),
        Verdict::at_most("kontor hot, CPU per issue", cpu(kontor_hot), 25.0, " µs"),
        Verdict::at_least("hot rate against uniform", ratio(kontor_hot, kontor_uniform, rate), 1.2, "×"),
        Verdict::at_least("uniform rate against the shop", ratio(kontor_uniform, shop_uniform, rate), 2.0, "×"),
        Verdict::at_least("hot rate against the shop", ratio(kontor_hot, shop_hot, rate), 10.0, "×"),
    ] {
        report.judge(verdict);
    }
    judge_groups(&mut report, kontor_uniform.iter().chain(kontor_hot));
    judge_failures(&mut report, &runs);
    say_memory(&mut report, &mut kontor)?;
    shop.stop()?;
    kontor.server.stop()?;
    report.close()
}

impl Bench {
    pub(crate) fn site(&self) -> Result<Site> {
        ensure!(self.pairs > 0 && self.hot > 0, "--pairs and --hot start at 1");
        Site::seeded(&self.kontor, &self.data, self.products, self.workers(), self.fresh)
    }

    fn workers(&self) -> usize {
        self.workers.unwrap_or_else(processors)
    }
}

pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// One server under one load.
struct Side {
    name: &'static str,
    plan: Plan,
    watched: Vec<Watched>,
    receive_hot: bool,
}

impl Side {
    fn new(name: &'static str, bench: &Bench, caller: &Caller, work: Work, watched: Vec<Watched>) -> Side {
        let plan = Plan {
            caller: caller.clone(),
            work,
            connections: bench.connections,
            threads: bench.threads,
            warm_up: Length::Time(Duration::from_secs_f64(bench.warm_up)),
            measured: Length::Time(Duration::from_secs_f64(bench.seconds)),
            first: 1,
            patient: false,
        };
        Side { name, plan, watched, receive_hot: false }
    }

    fn receiving_hot(self) -> Side {
        Side { receive_hot: true, ..self }
    }
}

/// Runs all sides in turn, as often as there are pairs; the figures of each side in order.
fn take_turns<const N: usize>(report: &mut Report, bench: &Bench, sides: &[Side; N]) -> Result<[Vec<Figures>; N]> {
    let mut runs = [const { Vec::new() }; N];
    for pair in 1..=bench.pairs {
        for (side, runs) in sides.iter().zip(&mut runs) {
            if side.receive_hot {
                site::receive_hot(&side.plan.caller)?;
            }
            let outcome = drive(&side.plan, &side.watched);
            let figures = Figures::of(&outcome.with_context(|| format!("driving {}", side.name))?);
            report.say(&format!("{pair:>3} {:<15} {}", side.name, figures.line()));
            runs.push(figures);
        }
    }
    for (side, runs) in sides.iter().zip(&runs) {
        report.say(&format!(
            "med {:<15} {:>9.0}/s {:>8.2} µs CPU  p50 {:>7.0} µs  p99 {:>7.0} µs  driver {:>5.2} µs",
            side.name,
            median(runs.iter().map(|figures| figures.rate)),
            median(runs.iter().map(|figures| figures.cpu_us)),
            median(runs.iter().map(|figures| figures.p50_us)),
            median(runs.iter().map(|figures| figures.p99_us)),
            median(runs.iter().map(|figures| figures.driver_cpu_us)),
        ));
    }
    Ok(runs)
}

/// The median over the pairs of one figure of `these` against the same of `those`.
fn ratio(these: &[Figures], those: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    median(these.iter().zip(those).map(|(this, that)| of(this) / of(that)))
}

fn judge_failures(report: &mut Report, runs: &[Vec<Figures>]) {
    let failures: u64 = runs.iter().flatten().map(|figures| figures.failures).sum();
    report.judge(Verdict::at_most("requests that failed", failures as f64, 0.0, ""));
}

fn judge_groups<'a>(report: &mut Report, runs: impl Iterator<Item = &'a Figures>) {
    let mut sum = Journal { appends: 0, syncs: 0, entries: 0 };
    for journal in runs.filter_map(|figures| figures.journal) {
        sum.appends += journal.appends;
        sum.syncs += journal.syncs;
        sum.entries += journal.entries;
    }
    let per_group = sum.syncs as f64 / sum.appends as f64;
    // A new segment is synced when it is made: a few in a million.
    report.judge(Verdict::at_most("fsyncs per group", per_group, 1.01, ""));
}

fn conditions(report: &mut Report, bench: &Bench) -> Result<()> {
    let (processors, workers) = (processors(), bench.workers());
    report.say(&format!(
        "{processors} processors, {workers} workers per server, {} driver threads, {} runs each",
        bench.threads, bench.pairs
    ));
    report.fact(
        "conditions",
        json!({
            "processors": processors, "workers": workers, "driver_threads": bench.threads,
            "connections": bench.connections, "products": bench.products, "hot": bench.hot,
            "pairs": bench.pairs, "seconds": bench.seconds, "warm_up": bench.warm_up,
            "pool": bench.pool,
        }),
    )
}

fn say_memory(report: &mut Report, kontor: &mut Running) -> Result<()> {
    let memory = meter::memory(kontor.server.watched().pid)?;
    report.say(&format!("kontor {}", memory_said(&memory)));
    report.fact("memory", memory)
}

pub(crate) fn memory_said(memory: &meter::Memory) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "memory: {:.0} MiB resident, {:.0} MiB of it its own, {:.0} MiB at its peak",
        mib(memory.resident),
        mib(memory.own),
        mib(memory.peak)
    )
}

/// How long the disk takes to make 4 KiB durable: what every group waits for.
fn say_disk(report: &mut Report, folder: &Path) -> Result<()> {
    let path = folder.join("fsync-probe");
    let probe = || -> std::io::Result<Vec<f64>> {
        let mut file = File::create(&path)?;
        (0..200)
            .map(|_| {
                let begun = Instant::now();
                file.write_all(&[7; 4096])?;
                file.sync_data()?;
                Ok(begun.elapsed().as_secs_f64() * 1e6)
            })
            .collect()
    };
    let taken = probe().with_context(|| format!("writing {}", path.display()));
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    let us = median(taken?);
    report.say(&format!("the disk makes 4 KiB durable in {us:.0} µs (median of 200)"));
    report.fact("disk_sync_us", us)
}

fn start_bare(bench: &Bench, site: &Site, kontor: &Running) -> Result<(Server, Caller)> {
    let mut command = own_program()?;
    command
        .env("KONTOR_KEY", site::KEY)
        .args(["bare", "--listen", "127.0.0.1:0"])
        .args(["--like", &format!("http://{}", kontor.caller.address)])
        .args(["--samples", &bench.hot.to_string()])
        .args(["--products", &bench.products.to_string()])
        .args(["--workers", &bench.workers().to_string()]);
    let mut bare = Server::start("bare", &mut command, &site.folder().join("bare.log"))?;
    let address = bare.said("listening on http://")?.parse().context("the bare server's address")?;
    // The same requests as kontor gets, key and all; the bare server does not look at it.
    Ok((bare, Caller::new(address, Some(site::KEY))?))
}

/// Nothing is compared unless both give the same answers, for hot products byte for byte.
fn check_same_answers(kontor: &Caller, bare: &Caller, bench: &Bench) -> Result<()> {
    let mut chance = fastrand::Rng::with_seed(7);
    for turn in 0..64 {
        let of = if turn % 2 == 0 { bench.hot.min(bench.products) } else { bench.products };
        let number = chance.u64(1..=of);
        let path = goods::product_path(number);
        let (this, that) = (kontor.get(&path)?, bare.get(&path)?);
        let same_body = if number <= bench.hot { this.body == that.body } else { this.body.len() == that.body.len() };
        ensure!(
            same_body && this.status == that.status && shape(&this) == shape(&that),
            "{path} is not answered alike:\n{:?} {:?}\n{}\n{:?} {:?}\n{}",
            this.status,
            this.headers,
            String::from_utf8_lossy(&this.body),
            that.status,
            that.headers,
            String::from_utf8_lossy(&that.body)
        );
    }
    Ok(())
}

/// Names and lengths of the headers; values such as a request's id differ from answer to answer.
fn shape(answer: &Answer) -> Vec<(String, usize)> {
    let headers = answer.headers.iter();
    let mut shape: Vec<_> = headers.map(|(name, value)| (name.to_string(), value.len())).collect();
    shape.sort();
    shape
}

/// The PostgreSQL service and its database.
struct Shop {
    service: Server,
    caller: Caller,
    /// The script around the database, and the database's first process.
    script: Server,
    database: Watched,
}

impl Shop {
    fn start(bench: &Bench, site: &Site) -> Result<Shop> {
        let mut command = Command::new("bash");
        command.args(["-c", include_str!("../postgres.sh"), "postgres.sh"]).arg(&bench.database_folder);
        let log = site.folder().join("postgres.log");
        let mut script = Server::start("database", &mut command, &log)?;
        let said = script.said("database ")?;
        let (url, pid) = said.split_once(" pid ").context("the script names no process")?;
        let pid = pid.parse().context("the database's process id")?;

        eprintln!("filling the database with {} SKUs", bench.products);
        let mut command = own_program()?;
        command
            .args(["shop", "--listen", "127.0.0.1:0", "--prepare"])
            .args(["--database", url, "--skus", &bench.products.to_string()])
            .args(["--pool", &bench.pool.to_string()])
            .args(["--workers", &bench.workers().to_string()]);
        let mut service = Server::start("shop", &mut command, &site.folder().join("shop.log"))?;
        let address = service.said("listening on http://")?.parse().context("the shop's address")?;
        Ok(Shop {
            service,
            caller: Caller::new(address, Some(site::KEY))?,
            script,
            database: Watched { name: "database", pid, family: true },
        })
    }

    fn watched(&self) -> Vec<Watched> {
        vec![self.service.watched(), self.database.clone()]
    }

    fn stop(self) -> Result<()> {
        self.service.stop()?;
        // The script ends by the signal that it was sent, as it should; its handle waits for that.
        drop(self.script);
        Ok(())
    }
}

fn own_program() -> Result<Command> {
    guarded(&std::env::current_exe().context("finding this program")?)
}
