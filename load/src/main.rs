//! Load driver, and the services that Kontor is compared with. Nothing here is part of Kontor; every
//! connection stays on this machine.

// Real time is what this program measures, and its figures are what it prints.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout)]

mod bare;
mod catalog;
mod checkouts;
mod compare;
mod drive;
mod goods;
mod latency;
mod meter;
mod postgres;
mod process;
mod report;
mod site;
mod sites;
mod start;
mod wire;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::compare::Bench;
use crate::drive::{Length, Plan, Work};
use crate::meter::Watched;
use crate::report::Figures;
use crate::wire::Caller;

/// The allocator that kontor uses, so that no comparison is one of allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Drives load at Kontor and compares it with a bare server and an ordinary service.
#[derive(Parser)]
#[command(name = "kontor-load")]
enum Command {
    /// Compare by interleaved runs; the exit code is 0 when every target is met
    #[command(subcommand)]
    Compare(Compare),
    /// Time from starting kontor to its readiness, after a clean stop and after a kill
    Start {
        #[command(flatten)]
        bench: Bench,
        /// Starts of each kind
        #[arg(long, default_value_t = 5)]
        times: usize,
    },
    /// Import, lists and searches in catalogues of several sizes
    Catalog(catalog::Catalog),
    /// Two regions: how soon one sees what the other does, borrows from it, and catches up with it
    Sites(sites::Sites),
    /// Carts, checkouts and payments at one site: how many a second, and what each costs.
    Checkouts(checkouts::Checkouts),
    /// Drive one load at one server
    Drive(Drive),
    /// The bare server: product reads without anything around them
    Bare(BareServer),
    /// The shop on PostgreSQL: issues of stock, durable and exactly once
    Shop(ShopServer),
    /// Become another program that ends with this one's parent
    #[command(hide = true)]
    Guard {
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Subcommand)]
enum Compare {
    /// Product reads against the bare server
    Reads(Bench),
    /// Durable issues against the PostgreSQL service
    Writes(Bench),
}

#[derive(clap::Args)]
struct Drive {
    #[arg(value_enum)]
    mode: Mode,
    /// The server, as http://127.0.0.1:PORT
    #[arg(long)]
    url: String,
    #[arg(long, env = "KONTOR_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Numbers of the products and SKUs that a uniform mode ranges over, from 1
    #[arg(long, default_value_t = 1_000_000)]
    products: u64,
    /// The same for read-hot
    #[arg(long, default_value_t = 1_000)]
    hot: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Measure this many operations instead of seconds
    #[arg(long)]
    operations: Option<u64>,
    /// Process of the server, to meter
    #[arg(long)]
    pid: Option<u32>,
    /// First process of a database behind the server, to meter with its children
    #[arg(long)]
    database_pid: Option<u32>,
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    ReadHot,
    ReadUniform,
    IssueUniform,
    IssueHot,
}

#[derive(clap::Args)]
struct BareServer {
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// A running kontor whose answers to copy, as http://127.0.0.1:PORT [default: a plain form]
    #[arg(long)]
    like: Option<String>,
    /// Sent when copying, because an answer to nobody in particular may have other headers
    #[arg(long, env = "KONTOR_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Answers that are copied byte for byte; those of other products are made from the first
    #[arg(long, default_value_t = 1_000)]
    samples: u64,
    #[arg(long, default_value_t = 1_000_000)]
    products: u64,
    /// Worker threads [default: as many as processors]
    #[arg(long)]
    workers: Option<usize>,
}

#[derive(clap::Args)]
struct ShopServer {
    #[arg(long, default_value = "127.0.0.1:8091")]
    listen: SocketAddr,
    /// postgres://USER@127.0.0.1:PORT/NAME, as load/postgres.sh prints it
    #[arg(long)]
    database: String,
    /// Make the schema and fill the shelves first; the database must be empty
    #[arg(long)]
    prepare: bool,
    #[arg(long, default_value_t = 1_000_000)]
    skus: u64,
    #[arg(long, default_value_t = 32)]
    pool: usize,
    /// Worker threads [default: as many as processors]
    #[arg(long)]
    workers: Option<usize>,
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kontor-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Compare(Compare::Reads(bench)) => {
            process::end_on_signals()?;
            compare::reads(&bench)
        }
        Command::Compare(Compare::Writes(bench)) => {
            process::end_on_signals()?;
            compare::writes(&bench)
        }
        Command::Start { bench, times } => {
            process::end_on_signals()?;
            start::start(&bench, times)
        }
        Command::Catalog(options) => {
            process::end_on_signals()?;
            catalog::catalog(&options)
        }
        Command::Sites(options) => {
            process::end_on_signals()?;
            sites::sites(&options)
        }
        Command::Checkouts(options) => {
            process::end_on_signals()?;
            checkouts::checkouts(&options)
        }
        Command::Drive(drive) => run_drive(&drive),
        Command::Bare(server) => run_bare(&server).map(|()| true),
        Command::Shop(server) => run_shop(&server).map(|()| true),
        Command::Guard { program, arguments } => match process::guard(&program, &arguments)? {},
    }
}

fn run_drive(options: &Drive) -> Result<bool> {
    let plan = Plan {
        caller: Caller::new(address(&options.url)?, options.key.as_deref())?,
        work: match options.mode {
            Mode::ReadHot => Work::Read { of: options.hot },
            Mode::ReadUniform => Work::Read { of: options.products },
            Mode::IssueUniform => Work::Issue { of: options.products },
            Mode::IssueHot => Work::Issue { of: goods::HOT },
        },
        connections: options.connections,
        threads: options.threads,
        warm_up: Length::Time(Duration::from_secs_f64(options.warm_up)),
        measured: match options.operations {
            Some(operations) => Length::Operations(operations),
            None => Length::Time(Duration::from_secs_f64(options.seconds)),
        },
        first: 1,
        patient: false,
    };
    let server = options.pid.map(|pid| Watched { name: "server", pid, family: false });
    let database = options.database_pid;
    let database = database.map(|pid| Watched { name: "database", pid, family: true });
    let watched: Vec<Watched> = server.into_iter().chain(database).collect();
    let figures = Figures::of(&drive::drive(&plan, &watched)?);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures).context("writing the figures")?);
    } else {
        println!("{}", figures.line());
    }
    Ok(figures.failures == 0)
}

fn run_bare(options: &BareServer) -> Result<()> {
    let answers = match &options.like {
        Some(url) => {
            let caller = Caller::new(address(url)?, options.key.as_deref())?;
            bare::Answers::like(&caller, options.samples, options.products)?
        }
        None => bare::Answers::plain(options.products)?,
    };
    on_workers(options.workers)?.block_on(async {
        let listener = bare::listen(options.listen).await?;
        bare::serve(listener, answers).await
    })
}

fn run_shop(options: &ShopServer) -> Result<()> {
    on_workers(options.workers)?.block_on(async {
        let pool = postgres::pool(&options.database, options.pool)?;
        if options.prepare {
            postgres::prepare(&pool, options.skus, goods::RECEIVED_EACH).await?;
        }
        let listener = bare::listen(options.listen).await?;
        axum::serve(listener, postgres::router(pool)).await.context("serving")
    })
}

fn on_workers(workers: Option<usize>) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.unwrap_or_else(compare::processors).max(1))
        .enable_all()
        .build()
        .context("starting a runtime")
}

/// The address in `http://127.0.0.1:PORT`; nothing here speaks to another machine.
fn address(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let address: SocketAddr =
        address.parse().with_context(|| format!("{url} is not of the form http://127.0.0.1:PORT"))?;
    ensure!(address.ip().is_loopback(), "{address} is not on this machine");
    Ok(address)
}
