//! Figures and verdicts, as tables for people or JSON for programs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::drive::{Journal, Outcome};

/// What one measured run gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) rate: f64,
    /// Processor time per operation of the whole server, and of each of its parts.
    pub(crate) cpu_us: f64,
    pub(crate) cpu_us_of: BTreeMap<&'static str, f64>,
    pub(crate) driver_cpu_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) operations: u64,
    pub(crate) failures: u64,
    pub(crate) failures_said: String,
    pub(crate) journal: Option<Journal>,
}

impl Figures {
    pub(crate) fn of(outcome: &Outcome) -> Figures {
        let each = outcome.cpu_ns.iter();
        Figures {
            rate: outcome.rate(),
            cpu_us: outcome.cpu_us(),
            cpu_us_of: each.map(|(name, ns)| (*name, outcome.per_operation_us(*ns))).collect(),
            driver_cpu_us: outcome.per_operation_us(outcome.driver_cpu_ns),
            p50_us: outcome.tally.latencies.quantile_us(0.5),
            p99_us: outcome.tally.latencies.quantile_us(0.99),
            operations: outcome.tally.good,
            failures: outcome.tally.failures(),
            failures_said: outcome.tally.failures_said(),
            journal: outcome.journal,
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let mut line = format!(
            "{:>9.0}/s {:>8.2} µs CPU  p50 {:>7.0} µs  p99 {:>7.0} µs  driver {:>5.2} µs",
            self.rate, self.cpu_us, self.p50_us, self.p99_us, self.driver_cpu_us
        );
        if self.cpu_us_of.len() > 1 {
            for (name, us) in &self.cpu_us_of {
                line += &format!("  {name} {us:.1} µs");
            }
        }
        if let Some(journal) = self.journal.filter(|journal| journal.appends > 0) {
            line += &format!("  {}", said(&journal));
        }
        if self.failures > 0 {
            line += &format!("  FAILED: {}", self.failures_said);
        }
        line
    }
}

fn said(journal: &Journal) -> String {
    format!(
        "{:.3} fsyncs a group of {:.1}",
        journal.syncs as f64 / journal.appends as f64,
        journal.entries as f64 / journal.appends as f64
    )
}

/// A target and whether it was met.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    /// Whether the value must stay at or under the limit rather than reach it.
    pub(crate) at_most: bool,
    pub(crate) unit: &'static str,
    pub(crate) holds: bool,
}

impl Verdict {
    pub(crate) fn at_most(what: &str, value: f64, limit: f64, unit: &'static str) -> Verdict {
        Verdict::new(what, value, limit, true, unit)
    }

    pub(crate) fn at_least(what: &str, value: f64, limit: f64, unit: &'static str) -> Verdict {
        Verdict::new(what, value, limit, false, unit)
    }

    fn new(what: &str, value: f64, limit: f64, at_most: bool, unit: &'static str) -> Verdict {
        // A value that is no number meets nothing.
        let holds = if at_most { value <= limit } else { value >= limit };
        Verdict { what: what.to_owned(), value, limit, at_most, unit, holds }
    }

    fn line(&self) -> String {
        format!(
            "{}  {}: {:.2}{} ({} {}{})",
            if self.holds { "met   " } else { "MISSED" },
            self.what,
            self.value,
            self.unit,
            if self.at_most { "at most" } else { "at least" },
            self.limit,
            self.unit
        )
    }
}

/// All that a command found.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(skip)]
    json: bool,
    command: &'static str,
    facts: BTreeMap<String, serde_json::Value>,
    verdicts: Vec<Verdict>,
}

impl Report {
    pub(crate) fn new(command: &'static str, json: bool) -> Report {
        Report { json, command, facts: BTreeMap::new(), verdicts: Vec::new() }
    }

    /// A line for people; with `--json` it goes to standard error, out of the program's way.
    pub(crate) fn say(&self, line: &str) {
        if self.json { eprintln!("{line}") } else { println!("{line}") }
    }

    pub(crate) fn fact(&mut self, name: &str, value: impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value).with_context(|| format!("the fact {name}"))?;
        self.facts.insert(name.to_owned(), value);
        Ok(())
    }

    pub(crate) fn judge(&mut self, verdict: Verdict) {
        self.say(&verdict.line());
        self.verdicts.push(verdict);
    }

    /// Prints the JSON if it is wanted; whether every target was met.
    pub(crate) fn close(self) -> Result<bool> {
        if self.json {
            let text = serde_json::to_string_pretty(&self).context("writing the report")?;
            println!("{text}");
        }
        Ok(self.verdicts.iter().all(|verdict| verdict.holds))
    }
}

/// The middle value; of an even number the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_however_the_values_came() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_missing_value_meets_no_target() {
        assert!(Verdict::at_most("cost", 1.4, 1.4, "×").holds);
        assert!(!Verdict::at_most("cost", 1.41, 1.4, "×").holds);
        assert!(Verdict::at_least("rate", 2.0, 2.0, "×").holds);
        assert!(!Verdict::at_least("rate", f64::NAN, 2.0, "×").holds);
        assert!(!Verdict::at_most("cost", f64::NAN, 1.4, "×").holds);
    }
}
