//! Runs simulated worlds and says what was found.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use kontor_sim::{Figures, Plant, Settings, Violation, run};
use kontor_site::clock::Stopwatch;

/// Runs a Kontor site in made-up worlds, each under one seed: clients, lost and repeated messages,
/// crashes, failing disks, jumping clocks. Checks every answer, every group and every restart.
///
/// Without --seed, fresh seeds are run one after another; the first is printed, and a world in which
/// a promise is broken is printed with the line that runs it again. The exit code is 0 only if no
/// promise was broken.
#[derive(Debug, Parser)]
#[command(name = "kontor-sim", version)]
struct Arguments {
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
    #[arg(long)]
    trace: bool,
    /// How much the clients of a world set out to do.
    #[arg(long, value_name = "N", default_value_t = 600)]
    intentions: u64,
    /// Plant a mistake that must be found, to try the oracle.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match report(&arguments, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads has gone; what was found does not matter to them any more.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs the worlds and prints figures. Answers whether all promises were kept.
fn report(arguments: &Arguments, out: &mut impl Write) -> io::Result<bool> {
    let watch = Stopwatch::start();
    let (first, worlds) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from.unwrap_or_else(fresh_seed), arguments.seeds),
    };
    if arguments.seed.is_none() {
        writeln!(out, "{worlds} worlds, seeds {first} to {}", first.saturating_add(worlds.saturating_sub(1)))?;
    }
    let (mut total, mut violations, mut trace) = (Figures::default(), 0u64, 0);
    for (run_before, seed) in (0..worlds).zip(first..) {
        let settings = Settings { seed, intentions: arguments.intentions, plant: arguments.plant };
        let outcome = run(settings, arguments.trace.then(printer));
        total += outcome.figures;
        trace = outcome.trace;
        if let Some(violation) = outcome.violation {
            violations += 1;
            tell(out, arguments, seed, &violation)?;
        }
        progress(run_before + 1, worlds, violations, &watch);
    }
    write!(out, "{total}")?;
    writeln!(out, "  {:<38} {violations:>14}", "violations")?;
    let seconds = watch.seconds();
    if arguments.seed.is_some() {
        writeln!(out, "trace {trace:016x}")?;
    }
    // On the other stream, so that the same seed prints the same twice.
    writeln!(io::stderr(), "{worlds} worlds in {seconds:.1} s")?;
    Ok(violations == 0)
}

/// Where to begin when nobody says. Small enough to be read out.
#[expect(clippy::disallowed_methods, reason = "the one draw without a seed is the seed, and it is printed")]
fn fresh_seed() -> u64 {
    fastrand::u64(..1 << 40)
}

fn tell(out: &mut impl Write, arguments: &Arguments, seed: u64, violation: &Violation) -> io::Result<()> {
    let Violation { promise, expected, found } = violation;
    writeln!(out, "\nbroken in world {seed}: {promise}\n  expected  {expected}\n  found     {found}")?;
    let plant = arguments.plant.and_then(|plant| clap::ValueEnum::to_possible_value(&plant));
    let plant = plant.map_or(String::new(), |plant| format!(" --plant {}", plant.get_name()));
    let intentions = arguments.intentions;
    writeln!(
        out,
        "  again     cargo run --release -p kontor-sim -- --seed {seed} --intentions {intentions}{plant} --trace\n"
    )
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
