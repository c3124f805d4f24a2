//! What a catalogue costs at several sizes: its import, and the ways to find something in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::compare::processors;
use crate::drive::{Length, Plan, Work, drive};
use crate::meter::{self, Memory};
use crate::report::{Figures, Report, Verdict};
use crate::site::{KEY, Running, Site};
use crate::wire::Caller;

/// What is measured, and how long.
#[derive(clap::Args)]
pub(crate) struct Catalog {
    /// The kontor program, built in release.
    #[arg(long)]
    kontor: PathBuf,
    /// Sizes of the catalogues, in products.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000])]
    sizes: Vec<u64>,
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Seconds that each kind of question is measured, after the warm-up.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Where the catalogues are made; they are deleted at the end.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
    /// Print facts as JSON; the tables go to standard error.
    #[arg(long)]
    json: bool,
}

/// A kind of question, and the questions of it that are asked in turn.
struct Kind {
    name: &'static str,
    paths: &'static [&'static str],
}

/// Of the catalogues that `kontor demo-data` makes.
const KINDS: [Kind; 8] = [
    Kind { name: "list", paths: &["/api/v1/products", "/api/v1/products?page_size=20", "/api/v1/products?status=all"] },
    Kind {
        name: "a common word",
        paths: &["/api/v1/products?q=oak", "/api/v1/products?q=lamp", "/api/v1/products?q=linen"],
    },
    Kind {
        name: "two words",
        paths: &["/api/v1/products?q=beckley+oak", "/api/v1/products?q=copper+lamp", "/api/v1/products?q=walnut+shel"],
    },
    Kind {
        name: "begin of a word",
        paths: &["/api/v1/products?q=be", "/api/v1/products?q=wal", "/api/v1/products?q=l"],
    },
    Kind {
        name: "a SKU or GTIN",
        paths: &[
            "/api/v1/products?q=CLK-000001",
            "/api/v1/products?q=2000000000107",
            "/api/v1/products?sku=SHL-000002",
        ],
    },
    Kind {
        name: "category and brand",
        paths: &[
            "/api/v1/products?category=Kitchen&brand=Rookery",
            "/api/v1/products?category=Shelves&brand=Vale+%26+Co",
            "/api/v1/products?category=Clocks&attribute=material:cherry",
        ],
    },
    Kind {
        name: "a band of prices",
        paths: &[
            "/api/v1/products?currency=GBP&min_price=20&max_price=25&sort=price",
            "/api/v1/products?q=clock&currency=GBP&max_price=60",
        ],
    },
    Kind { name: "nothing", paths: &["/api/v1/products?q=oak+zzz", "/api/v1/products?q=qqqq"] },
];

/// Measures every size. Whether every target was met.
pub(crate) fn catalog(options: &Catalog) -> Result<bool> {
    ensure!(!options.sizes.is_empty(), "--sizes names none");
    let kontor = options.kontor.canonicalize();
    let kontor = kontor.context("--kontor names no program; build it with cargo build --release")?;
    let mut report = Report::new("catalog", options.json);
    report.say(&format!("{} processors, {} connections", processors(), options.connections));
    for size in &options.sizes {
        let folder = options.data.join(format!("catalog-{size}"));
        empty(&folder)?;
        measure(options, &mut report, &kontor, &folder, *size)?;
        fs::remove_dir_all(&folder).with_context(|| format!("deleting {}", folder.display()))?;
    }
    report.close()
}

fn measure(options: &Catalog, report: &mut Report, kontor: &Path, folder: &Path, size: u64) -> Result<()> {
    report.say(&format!("\n{size} products"));
    let file = folder.join("catalogue.ndjson.gz");
    let make = Command::new(kontor).args(["demo-data", "--products", &size.to_string()]).arg(&file).output();
    well(make.context("making a catalogue")?)?;
    let site = Site::empty(kontor, folder, processors());
    let running = site.start()?;
    import(report, kontor, &running, &file, size)?;

    // As after a restart: what was written lately is in the tables.
    running.server.stop()?;
    let running = site.start()?;
    report.fact(&format!("ready_after_import_s_{size}"), running.ready_after.as_secs_f64())?;
    let mut alone = Vec::new();
    for kind in &KINDS {
        let asked = ask(options, &running, kind)?;
        report.say(&format!("  {:20} {}  {:>7.1} rows", kind.name, asked.figures.line(), asked.rows));
        report.fact(&format!("{} of {size}", kind.name), json!({"figures": asked.figures, "rows": asked.rows}))?;
        report.judge(Verdict::at_most(
            &format!("{}, refused or failed", kind.name),
            asked.figures.failures as f64,
            0.0,
            "",
        ));
        alone.push(asked.rows);
    }
    widen(&running.caller)?;
    for (kind, alone) in KINDS.iter().zip(alone) {
        let rows = ask(options, &running, kind)?.rows;
        let what = format!("{}, rows beside {LOCATIONS} more locations and {MARKETS} more markets", kind.name);
        report.judge(Verdict::at_most(&what, rows, alone, ""));
    }
    let memory = meter::memory(running.server.watched().pid)?;
    say_memory(report, "serving", size, memory)?;
    running.server.stop()?;
    let check = Command::new(kontor).arg("check").arg("--data").arg(folder.join("data")).arg("--json").output();
    let checked: Value = serde_json::from_slice(&well(check.context("checking")?)?).context("what the check says")?;
    let index = checked["invariants"].as_array().into_iter().flatten().find(|invariant| invariant["name"] == "index");
    let rows = index.and_then(|index| index["looked_at"].as_u64()).context("the check counts no rows of the index")?;
    let tables = bytes_in(&folder.join("data/tables"))?;
    report.say(&format!(
        "  index: {rows} rows, {:.1} a product; all tables: {} MiB, {} bytes a product",
        rows as f64 / size as f64,
        tables >> 20,
        tables / size.max(1)
    ));
    report.fact(&format!("index_rows_{size}"), rows)?;
    report.fact(&format!("table_bytes_{size}"), tables)
}

/// Imports the catalogue as people do, by the command.
fn import(report: &mut Report, kontor: &Path, running: &Running, file: &Path, size: u64) -> Result<()> {
    let mut command = Command::new(kontor);
    command.args(["import", "products", "--json"]).arg(file);
    command.env("KONTOR_URL", format!("http://{}", running.caller.address)).env("KONTOR_KEY", KEY);
    let before = running.server.watched().read()?;
    let done: Value =
        serde_json::from_slice(&well(command.output().context("importing")?)?).context("what the import says")?;
    let cpu_ns = running.server.watched().read()?.since(&before);
    let (rate, created) = (done["rows_per_second"].as_f64(), done["created"].as_u64());
    ensure!(created == Some(size), "{created:?} of {size} products were made");
    let memory = done["peak_memory_mib"].as_u64();
    report.say(&format!(
        "  import: {:.0} products/s, {:.1} µs CPU of the server each, {} MiB of memory in the importer",
        rate.context("no rate")?,
        cpu_ns as f64 / 1000.0 / size as f64,
        memory.context("no memory")?
    ));
    report.fact(&format!("import_{size}"), &done)?;
    say_memory(report, "importing", size, meter::memory(running.server.watched().pid)?)
}

fn say_memory(report: &mut Report, when: &str, size: u64, memory: Memory) -> Result<()> {
    report.say(&format!("  kontor, {when}: {}", crate::compare::memory_said(&memory)));
    report.fact(&format!("memory_{when}_{size}"), memory)
}

/// What a kind of question costs.
struct Asked {
    figures: Figures,
    /// Rows of the index that a page reads.
    rows: f64,
}

fn ask(options: &Catalog, running: &Running, kind: &Kind) -> Result<Asked> {
    let plan = Plan {
        caller: running.caller.clone(),
        work: Work::Ask(kind.paths),
        connections: options.connections,
        threads: 1,
        warm_up: Length::Time(Duration::from_secs_f64(options.warm_up)),
        measured: Length::Time(Duration::from_secs_f64(options.seconds)),
        first: 0,
        patient: false,
    };
    let outcome = drive(&plan, &[running.server.watched()])?;
    // Each path by itself, so that the share of each is known.
    let mut rows = 0.0;
    for path in kind.paths {
        let before = rows_read(&running.caller)?;
        let answer = running.caller.get(path)?;
        ensure!(answer.status.is_success(), "{path} was answered {}", answer.status);
        rows += rows_read(&running.caller)? - before;
    }
    Ok(Asked { figures: Figures::of(&outcome), rows: rows / kind.paths.len() as f64 })
}

/// Rows that searches have read since the start.
fn rows_read(caller: &Caller) -> Result<f64> {
    let page = caller.get("/metrics")?;
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let line = page.lines().find_map(|line| line.strip_prefix("kontor_search_rows_total "));
    line.and_then(|count| count.trim().parse().ok()).context("no count of rows among the metrics")
}

/// Opens locations and markets that no question asks for.
fn widen(caller: &Caller) -> Result<()> {
    for number in 0..LOCATIONS {
        let location = format!(r#"{{"id":"wide-{number}","name":"Shop {number}"}}"#);
        caller.post("/api/v1/locations", location, &format!("wide-{number}"), true)?;
    }
    let listings: Vec<String> =
        (0..MARKETS).map(|number| format!(r#""m{number}":{{"title":"Wide {number}"}}"#)).collect();
    let product = format!(r#"{{"id":"WIDE","sku":"WIDE","title":"Wide","markets":{{{}}}}}"#, listings.join(","));
    caller.post_lines("/api/v1/products/bulk", product, "wide")
}

const LOCATIONS: usize = 500;
const MARKETS: usize = 300;

/// What a program has said, if it ended well.
fn well(done: Output) -> Result<Vec<u8>> {
    ensure!(done.status.success(), "{}: {}", done.status, String::from_utf8_lossy(&done.stderr));
    Ok(done.stdout)
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

fn bytes_in(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry.context("reading a folder")?;
        let kind = entry.metadata().context("reading a folder")?;
        bytes += if kind.is_dir() { bytes_in(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}
