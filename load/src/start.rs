//! How soon a site with many products is ready, after a clean stop and after a kill in mid-write.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;

use crate::compare::{Bench, memory_said};
use crate::drive::{Length, Plan, Tally, Work, drive};
use crate::meter;
use crate::report::{Report, Verdict, median};
use crate::site::{Running, Site};

/// Times the starts. Whether every target was met.
pub(crate) fn start(bench: &Bench, times: usize) -> Result<bool> {
    ensure!(times > 0, "--times starts at 1");
    let mut report = Report::new("start", bench.json);
    let site = bench.site()?;
    site.start()?.server.stop()?;
    let (mut after_stop, mut after_kill) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let running = site.start()?;
        after_stop.push(running.ready_after.as_secs_f64());
        let written = kill_during_writes(bench, running)?;

        let running = restart(&site)?;
        after_kill.push(running.ready_after.as_secs_f64());
        report.say(&format!(
            "ready {:.3} s after a clean stop, {:.3} s after a kill in the middle of {} issues",
            after_stop.last().copied().unwrap_or(f64::NAN),
            running.ready_after.as_secs_f64(),
            written.good
        ));
        let memory = meter::memory(running.server.watched().pid)?;
        report.say(&format!("kontor {}", memory_said(&memory)));
        report.fact("memory", memory)?;
        running.server.stop()?;
    }
    report.fact("after_stop_s", json!(after_stop))?;
    report.fact("after_kill_s", json!(after_kill))?;
    for (what, taken) in [("a clean stop", after_stop), ("a kill", after_kill)] {
        let what = format!("ready with {} products after {what}", bench.products);
        report.judge(Verdict::at_most(&what, median(taken), READY_S, " s"));
    }
    report.close()
}

/// "About a second".
const READY_S: f64 = 1.5;

const WRITES_BEFORE_KILL: Duration = Duration::from_millis(1500);

fn restart(site: &Site) -> Result<Running> {
    site.start().context("starting after a kill")
}

fn kill_during_writes(bench: &Bench, running: Running) -> Result<Tally> {
    let plan = Plan {
        caller: running.caller,
        work: Work::Issue { of: bench.products },
        connections: bench.connections,
        threads: bench.threads,
        warm_up: Length::NONE,
        measured: Length::Time(WRITES_BEFORE_KILL * 2),
        first: 1,
        patient: false,
    };
    let writing = std::thread::spawn(move || drive(&plan, &[]));
    std::thread::sleep(WRITES_BEFORE_KILL);
    running.server.kill()?;
    let outcome = writing.join().map_err(|_| anyhow!("the driver panicked"))??;
    ensure!(outcome.tally.good > 0 && outcome.tally.broken > 0, "the kill met no writes: {} done", outcome.tally.good);
    Ok(outcome.tally)
}
