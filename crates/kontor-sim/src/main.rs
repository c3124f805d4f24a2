//! Runs simulated worlds and says what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use clap::{Args, Parser, Subcommand};
use kontor_sim::{
    Books, Crash, Fault, FaultId, Figures, Hour, Market, Noise, Outcome, Plant, Script, Settings, Takings, Violation,
    an_hour_apart, crash_at, crash_points, run, sell_and_pay, sell_everything, shrink,
};
use kontor_site::clock::Stopwatch;

/// Runs Kontor sites in made-up worlds, each under one seed: clients, lost and repeated messages, crashes,
/// failing disks, jumping clocks, cut links. Checks every answer, every group and every restart.
///
/// Without --seed, fresh seeds are run one after another; the first is printed. A world in which a promise
/// is broken is made as small as it still breaks it, and printed with the lines that run it again. The
/// exit code is 0 only if no promise was broken.
#[derive(Debug, Parser)]
#[command(name = "kontor-sim", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    story: Option<Story>,
    #[command(flatten)]
    worlds: Worlds,
}

/// Stories with a given course.
#[derive(Debug, Subcommand)]
enum Story {
    /// Cut two regions apart for an hour while people buy at both, and say who could buy.
    Hour {
        /// Units that are there, one story for each.
        #[arg(value_name = "UNITS", default_values_t = [1_000, 400, 300, 200, 100, 50])]
        units: Vec<u64>,
    },
    /// Sell the books of a real retailer (Online Retail, UCI) from two regions whose links are cut at random.
    Retail {
        /// The file, as .csv or .csv.gz.
        books: PathBuf,
        /// What happens at random follows from it.
        #[arg(long, value_name = "SEED", default_value_t = 1)]
        seed: u64,
        /// Only so many rows.
        #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
        rows: usize,
    },
    /// Sell and be paid at one site, whose process dies at every step of one order, and at random in worlds of
    /// forty buyers each, with a payment provider of which a fourth of all requests goes wrong.
    Checkouts {
        /// Worlds.
        #[arg(long, value_name = "N", default_value_t = 50)]
        seeds: u64,
        /// The first of the seeds; the others follow it.
        #[arg(long, value_name = "SEED", default_value_t = 0)]
        from: u64,
    },
}

#[derive(Debug, Args)]
struct Worlds {
    /// Run so many worlds with fresh seeds.
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "seed")]
    seeds: u64,
    /// The first of the seeds, instead of a random one; the others follow it.
    #[arg(long, value_name = "SEED", conflicts_with = "seed")]
    from: Option<u64>,
    /// Run the one world of this seed.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Print everything that happens, line by line.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Print for each world the number that stands for all that happened in it.
    #[arg(long)]
    traces: bool,
    /// How much the clients of a world set out to do.
    #[arg(long, value_name = "N", default_value_t = 600)]
    intentions: u64,
    /// Plant a mistake that must be found, to try the oracle.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
    /// No more clients at a site than these.
    #[arg(long, value_name = "N")]
    clients: Option<u64>,
    /// Spare messages this.
    #[arg(long, value_enum, value_delimiter = ',')]
    without: Vec<Noise>,
    /// Let only this go wrong of what the seed has in store, like 0.3,links.1; or none of it.
    #[arg(long, value_name = "LIST", value_parser = only)]
    faults: Option<BTreeSet<FaultId>>,
    /// Worlds to run at the same time; as many as there are processors, if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Worlds to live through to make a broken one smaller.
    #[arg(long, value_name = "N", default_value_t = 200)]
    shrink: u64,
    /// Fail, too, if the worlds together tried too little: less than six crashes and ten busy seconds for
    /// each world, or anything that hardly ever happened.
    #[arg(long)]
    demanding: bool,
}

/// So many of such worlds are made smaller; where there are more, they mostly say the same.
const SHRUNK_MAX: u64 = 3;

fn main() -> ExitCode {
    let Arguments { story, worlds } = Arguments::parse();
    let out = &mut io::stdout().lock();
    let told = match story {
        None => report(&worlds, out),
        Some(Story::Hour { units }) => tell_hours(&units, out),
        Some(Story::Retail { books, seed, rows }) => tell_retail(&books, seed, rows, out),
        Some(Story::Checkouts { seeds, from }) => tell_checkouts(seeds, from, out),
    };
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads has gone; what was found does not matter to them any more.
        Err(_) => ExitCode::FAILURE,
    }
}

fn only(list: &str) -> Result<BTreeSet<FaultId>, String> {
    let ids = list.split(',').filter(|id| *id != "none" && !id.is_empty());
    ids.map(str::parse).collect()
}

impl Worlds {
    fn world(&self, seed: u64) -> Settings {
        let without = self.without.iter().copied().collect();
        let script = Script { only: self.faults.clone(), without, clients: self.clients };
        Settings { seed, intentions: self.intentions, plant: self.plant, script }
    }
}

/// Runs the worlds and prints figures. Answers whether all promises were kept.
fn report(arguments: &Worlds, out: &mut impl Write) -> io::Result<bool> {
    let watch = Stopwatch::start();
    let (first, worlds) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from.unwrap_or_else(fresh_seed), arguments.seeds),
    };
    if arguments.seed.is_none() {
        writeln!(out, "{worlds} worlds, seeds {first} to {}", first.saturating_add(worlds.saturating_sub(1)))?;
    }
    let (mut total, mut violations, mut done) = (Figures::default(), 0u64, 0);
    let live = |seed| run(&arguments.world(seed), arguments.trace.then(printer));
    side_by_side(first, worlds, arguments.jobs, live, |seed, outcome| {
        total += outcome.figures;
        done += 1;
        if arguments.traces {
            writeln!(out, "world {seed} trace {:016x}", outcome.trace)?;
        }
        if outcome.violation.is_some() {
            violations += 1;
            let shrinking = if violations <= SHRUNK_MAX { arguments.shrink } else { 0 };
            tell(out, &arguments.world(seed), &outcome, shrinking)?;
        }
        if arguments.seed.is_some() {
            outcome.faults.iter().try_for_each(|fault| show(out, fault))?;
            writeln!(out, "trace {:016x}", outcome.trace)?;
        }
        progress(done, worlds, violations, &watch);
        Ok(())
    })?;
    write!(out, "{total}")?;
    writeln!(out, "  {:<38} {violations:>14}", "violations")?;
    let lacking = if arguments.demanding { total.lacking(worlds) } else { Vec::new() };
    lacking.iter().try_for_each(|lack| writeln!(out, "too little was tried: {lack}"))?;
    // On the other stream, so that the same seed prints the same twice.
    writeln!(io::stderr(), "{worlds} worlds in {:.1} s", watch.seconds())?;
    Ok(violations == 0 && lacking.is_empty())
}

/// Runs worlds on several threads, and hands over what came of them in the order of their seeds.
fn side_by_side(
    first: u64,
    worlds: u64,
    jobs: Option<usize>,
    live: impl Fn(u64) -> Outcome + Sync,
    mut each: impl FnMut(u64, Outcome) -> io::Result<()>,
) -> io::Result<()> {
    let jobs = jobs.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1);
    if jobs == 1 || worlds == 1 {
        return (0..worlds).map(|number| first.wrapping_add(number)).try_for_each(|seed| each(seed, live(seed)));
    }
    let next = AtomicU64::new(0);
    // Whoever is far ahead waits: what has come and not its turn is little.
    let (lived, done) = mpsc::sync_channel(2 * jobs);
    thread::scope(|scope| {
        for _ in 0..jobs.min(usize::try_from(worlds).unwrap_or(1)) {
            let (lived, next, live) = (lived.clone(), &next, &live);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= worlds || lived.send((number, live(first.wrapping_add(number)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(lived);
        let (mut early, mut expected) = (BTreeMap::new(), 0);
        for (number, outcome) in done {
            early.insert(number, outcome);
            while let Some(outcome) = early.remove(&expected) {
                each(first.wrapping_add(expected), outcome)?;
                expected += 1;
            }
        }
        Ok(())
    })
}

/// Where to begin when nobody says. Small enough to be read out.
#[expect(clippy::disallowed_methods, reason = "the one draw without a seed is the seed, and it is printed")]
fn fresh_seed() -> u64 {
    fastrand::u64(..1 << 40)
}

fn tell_hours(units: &[u64], out: &mut impl Write) -> io::Result<bool> {
    writeln!(out, "Two regions, no settings, links cut for an hour: [main, west] before, in and after it")?;
    let mut kept = true;
    for units in units {
        match an_hour_apart(1, *units) {
            Ok(hour) => {
                let Hour { buyers, sold, refused_though_there, none_left, .. } = hour;
                writeln!(
                    out,
                    "  {units} units, {buyers} buyers: sold {sold:?}, refused though the other had some \
                     {refused_though_there:?}, refused when all was sold {none_left}"
                )?;
            }
            Err(violation) => {
                kept = false;
                writeln!(out, "  {units} units, broken: {violation:?}")?;
            }
        }
    }
    Ok(kept)
}

fn tell_checkouts(seeds: u64, from: u64, out: &mut impl Write) -> io::Result<bool> {
    let broken = |out: &mut dyn Write, what: String, violation: Violation| {
        let Violation { promise, expected, found } = violation;
        writeln!(out, "broken {what}: {promise}\n  expected  {expected}\n  found     {found}")
    };
    let mut kept = true;
    match crash_points() {
        Ok(points) => {
            for point in &points {
                if let Err(violation) = crash_at(point) {
                    kept = false;
                    broken(out, format!("by dying at {point:?}"), violation)?;
                }
            }
            writeln!(
                out,
                "One order, placed, paid, handed out and partly given back: died once at each of {} points",
                points.len()
            )?;
        }
        Err(violation) => {
            kept = false;
            broken(out, "without dying".into(), violation)?;
        }
    }
    let mut all = Takings::default();
    for seed in from..from + seeds {
        let crash = Crash::ByChance { per_mille: 15 };
        match sell_and_pay(&Market { seed, buyers: 40, faults: 250, crash }) {
            Ok(takings) => all.add(takings),
            Err(violation) => {
                kept = false;
                broken(out, format!("in the world of seed {seed}"), violation)?;
            }
        }
    }
    let Takings { orders, paid, canceled, calls, unknown, callbacks, crashes, captured, refunded, simulated_s } = all;
    writeln!(
        out,
        "{seeds} worlds, {simulated_s} s, {crashes} deaths: {orders} orders, {paid} paid, {canceled} canceled; {calls} \
         calls, {unknown} of them with an unknown outcome at first, {callbacks} callbacks; {captured} minor units paid \
         out and {refunded} given back, as the bank says"
    )?;
    Ok(kept)
}

fn tell_retail(path: &Path, seed: u64, rows: usize, out: &mut impl Write) -> io::Result<bool> {
    let Books { rows, sales, skus, units, thousandths, cuts, cut_s, simulated_s, refused_though_there, asks, grants } =
        match sell_everything(path, seed, rows) {
            Ok(Ok(books)) => books,
            Ok(Err(Violation { promise, expected, found })) => {
                writeln!(out, "broken: {promise}\n  expected  {expected}\n  found     {found}")?;
                return Ok(false);
            }
            Err(why) => {
                writeln!(out, "{why}")?;
                return Ok(false);
            }
        };
    writeln!(
        out,
        "{rows} rows, {skus} articles, sales {} in the United Kingdom and {} elsewhere; {simulated_s} s, the links cut \
         {cuts} times for {cut_s} s; {asks} shares asked for, {grants} given, {refused_though_there} tries refused \
         though the other region had enough",
        sales[0], sales[1]
    )?;
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    writeln!(out, "units and money of every article are those of the file: {units} units, {whole}.{rest:03} GBP")?;
    Ok(true)
}

/// Says what was broken, how to see it again, and how to see it in a smaller world.
fn tell(out: &mut impl Write, settings: &Settings, outcome: &Outcome, shrinking: u64) -> io::Result<()> {
    let Some(Violation { promise, expected, found }) = &outcome.violation else { return Ok(()) };
    let seed = settings.seed;
    writeln!(out, "\nbroken in world {seed}: {promise}\n  expected  {expected}\n  found     {found}")?;
    writeln!(out, "  again     {}", line(settings))?;
    if let Some(small) = (shrinking > 0).then(|| shrink(settings, outcome, shrinking)).flatten() {
        let Violation { promise, expected, found } = &small.violation;
        writeln!(out, "  smaller   {}", line(&small.settings))?;
        writeln!(out, "  found in {} worlds; it breaks: {promise}", small.worlds)?;
        writeln!(out, "  expected  {expected}\n  found     {found}\n  what goes wrong in it:")?;
        small.faults.iter().try_for_each(|fault| show(out, fault))?;
    }
    writeln!(out)
}

fn show(out: &mut impl Write, fault: &Fault) -> io::Result<()> {
    let (seconds, micros) = (fault.at_us / 1_000_000, fault.at_us % 1_000_000);
    writeln!(out, "  {:>10} {seconds:>10}.{micros:06} {}", fault.id.to_string(), fault.what)
}

/// What runs a world again.
fn line(settings: &Settings) -> String {
    let Settings { seed, intentions, plant, script } = settings;
    let plant = plant.and_then(|plant| clap::ValueEnum::to_possible_value(&plant));
    let plant = plant.map_or(String::new(), |plant| format!(" --plant {}", plant.get_name()));
    format!("cargo run --release -p kontor-sim -- --seed {seed} --intentions {intentions}{plant}{script} --trace")
}

/// One line that is written over, for whoever watches; a line now and then for a log.
fn progress(done: u64, worlds: u64, violations: u64, watch: &Stopwatch) {
    let (mut err, seconds) = (io::stderr(), watch.seconds());
    let line = format!("{done} of {worlds} worlds, {violations} violations, {seconds:.0} s");
    // Progress that cannot be shown is no reason to stop.
    let _ = match (err.is_terminal(), worlds) {
        (_, 1) => Ok(()),
        (true, _) if done == worlds => write!(err, "\r\x1b[K"),
        (true, _) => write!(err, "\r\x1b[K{line}").and_then(|()| err.flush()),
        (false, _) if done.is_multiple_of(worlds.div_ceil(10)) => writeln!(err, "{line}"),
        (false, _) => Ok(()),
    };
}

fn printer() -> Box<dyn FnMut(&str)> {
    Box::new(|line| {
        // A reader that has gone is noticed when the figures are written.
        let _ = writeln!(io::stdout(), "{line}");
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
