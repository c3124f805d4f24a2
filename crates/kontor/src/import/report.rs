//! What an import did, for people and for programs.

use std::collections::BTreeMap;

use kontor_api::job::{Job, JobKind, RowAnswer, RowOutcome};
use kontor_api::revision::FieldChange;
use serde::Serialize;

use super::Stop;
use super::cells::write_cell;
use super::feed::{RowRef, Tally};
use crate::output::Output;
use crate::print;

/// Refused rows of one code that the report shows; `--rejects` has them all.
const SHOWN_OF_A_CODE: usize = 3;

/// The code of a site for a new product without a title.
const NO_TITLE: &str = "title_missing";

/// What became of a file.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The job, unless nothing was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) rows: u64,
    pub(crate) created: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    /// In a dry run: rows that would change what earlier ones create, or not.
    pub(crate) created_before: u64,
    pub(crate) refused: u64,
    /// Rows that were left out, by rule.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Different SKUs, and rows whose SKU stood on an earlier row: the last one wins.
    pub(crate) skus: u64,
    pub(crate) repeated: u64,
    /// SKUs that differ from an earlier one only in case.
    pub(crate) twins: u64,
    /// Cells that had white space at an end.
    pub(crate) trimmed: u64,
    pub(crate) rejects: Vec<Rejects>,
    /// Why the rest of the file was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped: Option<Stopped>,
    /// Columns that nothing asked for.
    pub(crate) columns_not_used: Vec<String>,
    /// The first rows that change something, in a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) first_changes: Vec<Changes>,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
    /// The most memory that this process has held.
    pub(crate) peak_memory_mib: Option<u64>,
    #[serde(skip)]
    skus_beyond: bool,
    #[serde(skip)]
    twins_first: Vec<String>,
    /// How many changes are shown.
    #[serde(skip)]
    show: usize,
}

/// Rows that were refused for one reason.
#[derive(Serialize)]
pub(crate) struct Rejects {
    pub(crate) code: String,
    pub(crate) rows: u64,
    pub(crate) first: Vec<Rejected>,
}

/// One of them.
#[derive(Serialize, Clone)]
pub(crate) struct Rejected {
    pub(crate) line: u64,
    pub(crate) name: String,
    pub(crate) detail: String,
}

#[derive(Serialize)]
pub(crate) struct Stopped {
    pub(crate) line: u64,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

/// What a row would change.
#[derive(Serialize)]
pub(crate) struct Changes {
    pub(crate) line: u64,
    pub(crate) name: String,
    pub(crate) outcome: RowOutcome,
    pub(crate) changes: Vec<FieldChange>,
}

impl Report {
    pub(crate) fn new(dry_run: bool, columns_not_used: Vec<String>, show: usize) -> Self {
        Self {
            job: None,
            dry_run,
            rows: 0,
            created: 0,
            changed: 0,
            unchanged: 0,
            created_before: 0,
            refused: 0,
            skipped: BTreeMap::new(),
            skus: 0,
            repeated: 0,
            twins: 0,
            trimmed: 0,
            rejects: Vec::new(),
            stopped: None,
            columns_not_used,
            first_changes: Vec::new(),
            seconds: 0.0,
            rows_per_second: 0.0,
            peak_memory_mib: peak_memory_mib(),
            skus_beyond: false,
            twins_first: Vec::new(),
            show,
        }
    }

    /// Counts what became of a row; the whole list of what was refused goes to `list`.
    pub(crate) fn count(&mut self, row: &RowRef, answer: &RowAnswer, list: Option<&mut Output>) -> anyhow::Result<()> {
        match answer.outcome {
            // A dry run keeps nothing between requests: what an earlier row makes may not be there for a later
            // one, which would change it, or leave it as it is.
            RowOutcome::Created if self.dry_run && row.is_made_before => self.created_before += 1,
            RowOutcome::Refused if self.dry_run && row.is_made_before && answer.code.as_deref() == Some(NO_TITLE) => {
                self.created_before += 1;
            }
            RowOutcome::Created => self.created += 1,
            RowOutcome::Changed => self.changed += 1,
            RowOutcome::Unchanged | RowOutcome::Done => self.unchanged += 1,
            RowOutcome::Refused => {
                self.refused += 1;
                self.reject(row, answer, list)?;
            }
        }
        if self.dry_run && self.first_changes.len() < self.show && !answer.changes.is_empty() {
            let (line, name, outcome, changes) = (row.line, row.name.clone(), answer.outcome, answer.changes.clone());
            self.first_changes.push(Changes { line, name, outcome, changes });
        }
        Ok(())
    }

    /// Notes a row that was refused, now or before the job was interrupted.
    fn reject(&mut self, row: &RowRef, answer: &RowAnswer, list: Option<&mut Output>) -> anyhow::Result<()> {
        let code = answer.code.clone().unwrap_or_else(|| "refused".to_owned());
        let name = if row.name.is_empty() { answer.id.clone().unwrap_or_default() } else { row.name.clone() };
        let detail = answer.detail.clone().unwrap_or_default();
        if let Some(list) = list {
            let mut text = String::new();
            for (at, cell) in [&row.line.to_string(), &name, &code, &detail].into_iter().enumerate() {
                write_cell(&mut text, &super::cells::neutralized(cell), at == 0);
            }
            text.push('\n');
            list.write(&text)?;
        }
        let rejects = match self.rejects.iter().position(|rejects| rejects.code == code) {
            Some(at) => &mut self.rejects[at],
            None => self.rejects.push_mut(Rejects { code, rows: 0, first: Vec::new() }),
        };
        rejects.rows += 1;
        if rejects.first.len() < SHOWN_OF_A_CODE {
            rejects.first.push(Rejected { line: row.line, name, detail });
        }
        Ok(())
    }

    /// Takes over what was counted while the file was read, and what the job says of all its runs.
    pub(crate) fn finish(&mut self, stop: Option<Stop>, tally: Tally, job: Option<&Job>, seconds: f64) {
        self.rows = tally.rows;
        self.skipped = tally.skipped;
        self.skus = tally.skus;
        self.skus_beyond = tally.skus_beyond;
        self.repeated = tally.repeated;
        self.twins = tally.twins;
        self.twins_first = tally.twins_first;
        self.trimmed = tally.trimmed;
        self.stopped = stop.map(|Stop { line, code, detail }| Stopped { line, code: code.as_str(), detail });
        if let Some(job) = job {
            self.take(job);
        }
        self.seconds = seconds;
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown, not counted with")]
        let rows = self.rows as f64;
        self.rows_per_second = if seconds > 0.0 { rows / seconds } else { 0.0 };
        self.peak_memory_mib = peak_memory_mib();
        self.rejects.sort_by(|one, other| other.rows.cmp(&one.rows).then_with(|| one.code.cmp(&other.code)));
    }

    /// The counts of a job count for all its runs.
    pub(crate) fn take(&mut self, job: &Job) {
        self.job = Some(job.id.clone());
        (self.created, self.changed, self.unchanged, self.refused) =
            (job.created, job.changed, job.unchanged, job.refused);
    }

    /// Prints the report for people.
    pub(crate) fn print(&self, kind: JobKind) {
        for change in &self.first_changes {
            let what = if change.outcome == RowOutcome::Created { "would be created" } else { "would change" };
            print::line(format!("line {}: {} {what}", change.line, change.name));
            // That it is there is said already.
            for FieldChange { field, before, after } in change.changes.iter().filter(|c| !c.field.ends_with("/present"))
            {
                let before = if before.is_null() { String::new() } else { format!("{} → ", shortened(before)) };
                print::line(format!("    {field}: {before}{}", shortened(after)));
            }
        }
        let does = |done: &str, would: &str| if self.dry_run { would.to_owned() } else { done.to_owned() };
        let mut rows = vec![(does("rows read", "rows read"), self.rows)];
        if kind == JobKind::ImportProducts {
            rows.push((does("created", "would be created"), self.created));
        }
        rows.push((does("changed", "would be changed"), self.changed));
        rows.push((does("unchanged", "would stay as they are"), self.unchanged));
        if self.created_before > 0 {
            rows.push(("would change what rows before create, or not".to_owned(), self.created_before));
        }
        rows.push((does("rejected", "would be rejected"), self.refused));
        rows.extend(self.skipped.iter().map(|(rule, rows)| (format!("left out: {rule}"), *rows)));
        let more = if self.skus_beyond { ", and more that are not told apart" } else { "" };
        rows.push((format!("different SKUs{more}"), self.skus));
        rows.push(("rows of a SKU seen before (the last one wins)".to_owned(), self.repeated));
        if self.twins > 0 {
            let names = self.twins_first.join(", ");
            rows.push((format!("SKUs that differ only in case, kept apart ({names}, …)"), self.twins));
        }
        rows.push(("cells with white space at an end, trimmed".to_owned(), self.trimmed));
        let title = match (&self.job, self.dry_run) {
            (Some(job), _) => format!("job {job}"),
            (None, true) => "dry run: nothing was changed".to_owned(),
            (None, false) => String::new(),
        };
        print::table(&[&title, "rows"], rows.into_iter().map(|(what, n)| vec![what, print::grouped(n)]), &[1]);
        if !self.rejects.is_empty() {
            let rows = self.rejects.iter().map(|rejects| {
                let first = rejects.first.iter().map(|one| {
                    let name = if one.name.is_empty() { String::new() } else { format!(" ({})", one.name) };
                    format!("line {}{name}: {}", one.line, one.detail)
                });
                vec![rejects.code.clone(), print::grouped(rejects.rows), first.collect::<Vec<_>>().join("\n")]
            });
            print::table(&["rejected", "rows", "first lines"], rows, &[1]);
        }
        let told: u64 = self.rejects.iter().map(|rejects| rejects.rows).sum();
        if let Some(job) = &self.job
            && told < self.refused
        {
            let more = print::grouped(self.refused - told);
            print::line(format!("{more} more rows were rejected in earlier runs: kontor jobs {job}"));
        }
        if !self.columns_not_used.is_empty() {
            print::line(format!("columns not used: {}", self.columns_not_used.join(", ")));
        }
        let memory = self.peak_memory_mib.map(|mib| format!(", {mib} MiB of memory at most")).unwrap_or_default();
        print::line(format!("{:.1} s, {:.0} rows/s{memory}", self.seconds, self.rows_per_second));
        if let Some(Stopped { line, code, detail }) = &self.stopped {
            print::line(format!("stopped at line {line}: {detail} ({code}); what was read before counts"));
        }
    }
}

fn shortened(value: &serde_json::Value) -> String {
    let value = match value.as_object() {
        Some(price) if price.len() == 1 => price.get("amount").unwrap_or(value),
        _ => value,
    };
    let text = value.as_str().map_or_else(|| value.to_string(), |text| format!("\"{text}\""));
    if text.chars().count() > 100 { text.chars().take(100).chain("…".chars()).collect() } else { text }
}

/// Where the system says it (Linux).
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}
