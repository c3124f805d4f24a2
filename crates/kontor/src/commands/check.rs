//! `kontor check`: every invariant of a data directory, with figures.
//!
//! The journal is folded into fresh tables in a temporary directory and those are looked at. Where
//! the site is stopped its own tables are compared with them, row by row.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use kontor_core::id::SiteId;
use kontor_core::record::TABLE_NAMES;
use kontor_site::check::Report;
use kontor_site::recover::{self, Terms};
use kontor_site::rows::{SnapshotRows, WriterRows};
use kontor_site::step::Folded;
use kontor_storage::directory::{DataDir, DirectoryError};
use kontor_storage::journal::local::{self, LocalReader};
use kontor_storage::tables::{Table, Tables, TablesOptions};

use crate::print::{self, Style};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The data directory; its site may be running
    #[arg(long, env = "KONTOR_DATA", default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

pub(crate) fn run(args: &Args, style: Style) -> anyhow::Result<ExitCode> {
    let directory = DataDir::open_read_only(&args.data)?;
    let site = SiteId::parse(directory.site())?;
    let (mut groups, mut bytes, mut terms) = (0, 0, Terms::new());
    for term in directory.terms().iter().copied() {
        let (dir, archive, label) = (directory.journal_path(term), directory.archive_path(term), directory.label(term));
        let report = local::verify(&dir, &archive, &label)?;
        groups += report.end;
        bytes += report.group_bytes;
        terms.push((term, Arc::new(LocalReader::open(&dir, &archive, &label)?)));
    }

    let scratch = Scratch::new()?;
    let fresh = Tables::fjall(&scratch.0, &TABLE_NAMES, TablesOptions::default())?;
    let sites: Arc<[SiteId]> = Arc::new([site.clone()]);
    let rows = WriterRows::new(fresh.clone(), sites.to_vec());
    let end = recover::recover(&rows, &site, &terms, |progress| {
        print::progress(format!("folding {} of {} groups", progress.folded, progress.total));
    })?;
    print::progress("checking");
    let mut report = Report::default();
    report.figure("groups", groups);
    report.figure("journal bytes", bytes);
    let checked = kontor_site::check::check(&SnapshotRows::new(&fresh, sites), &site)?;
    report.figures.extend(checked.figures);
    checked.broken.into_iter().for_each(|broken| report.broken(broken));
    report.broken_total = report.broken_total.max(checked.broken_total);
    let compared = compare(&args.data, &site, &fresh, &end, &mut report)?;
    print::progress("");
    show(&report, compared, style);
    Ok(if report.broken_total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares the site's own tables with those folded afresh. Returns why not, if they are not.
fn compare(
    data: &Path,
    site: &SiteId,
    fresh: &Tables,
    end: &Folded,
    report: &mut Report,
) -> anyhow::Result<Option<&'static str>> {
    let directory = match DataDir::open(data, site.as_str()) {
        Ok(directory) => directory,
        Err(DirectoryError::Locked { .. }) => return Ok(Some("the site is running, its tables were left alone")),
        Err(DirectoryError::Copied { .. }) => return Ok(Some("the directory is a copy, its tables were left alone")),
        Err(error) => return Err(error.into()),
    };
    if !directory.tables_path().exists() {
        return Ok(Some("there are no tables, they will be built at the next start"));
    }
    let own = Tables::fjall(&directory.tables_path(), &TABLE_NAMES, TablesOptions::default())?;
    let folded = recover::folded(&own, site)?;
    if (folded.term, folded.seq) > (end.term, end.seq) {
        report.broken(format!(
            "acknowledged work is missing: the tables have seen group {} of term {}, the journal ends at {}",
            folded.seq, folded.term, end.seq
        ));
        return Ok(None);
    }
    if folded != *end {
        return Ok(Some("the tables are behind the journal and will catch up at the next start"));
    }
    let (own, fresh) = (own.snapshot(), fresh.snapshot());
    let mut rows = 0;
    for (number, name) in (0..).zip(TABLE_NAMES) {
        let (mut theirs, mut ours) = (fresh.prefix(Table(number), &[]), own.prefix(Table(number), &[]));
        loop {
            match (theirs.next().transpose()?, ours.next().transpose()?) {
                (None, None) => break,
                (theirs, ours) if theirs == ours => rows += 1,
                (theirs, ours) => {
                    let key = theirs.or(ours).map(|(key, _)| kontor_core::text::hex(&key).to_string());
                    report.broken(format!("table {name} differs from the journal at key {}", key.unwrap_or_default()));
                    break;
                }
            }
        }
    }
    report.figure("rows equal to the journal's", rows);
    Ok(None)
}

fn show(report: &Report, not_compared: Option<&str>, style: Style) {
    if style == Style::Json {
        let figures: serde_json::Map<String, serde_json::Value> =
            report.figures.iter().map(|(what, count)| (what.replace(' ', "_"), (*count).into())).collect();
        print::json(&serde_json::json!({
            "ok": report.broken_total == 0, "figures": figures, "broken": report.broken,
            "broken_total": report.broken_total, "tables_not_compared": not_compared,
        }));
        return;
    }
    let rows = report.figures.iter().map(|(what, count)| vec![(*what).to_owned(), print::grouped(*count)]);
    print::table(&["looked at", "count"], rows, &[1]);
    if let Some(why) = not_compared {
        print::line(format!("not compared: {why}"));
    }
    report.broken.iter().for_each(|broken| print::line(format!("BROKEN  {broken}")));
    match report.broken_total {
        0 => print::line("all invariants hold"),
        total => print::line(format!("{total} invariants are broken")),
    }
}

/// A directory that is gone when the check is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let name = format!("kontor-check-{}", uuid::Uuid::from_bytes(kontor_server::fresh_uuid()).simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("{} could not be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind at worst in the directory that the system empties.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
