//! `kontor check`: every invariant of a data directory, with figures.
//!
//! The journal is folded again from its first group into fresh tables in a temporary directory, each
//! entry checked against the rows before and after it; then the rows are checked against each other.
//! Where the site is stopped its own tables are compared with them, row by row.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use kontor_core::id::SiteId;
use kontor_core::record::TABLE_NAMES;
use kontor_site::check::{self, Count, Report, Rule, Walk};
use kontor_site::recover::{Progress, Terms};
use kontor_site::rows::{SnapshotRows, WriterRows};
use kontor_storage::directory::{DataDir, DirectoryError};
use kontor_storage::journal::local::{self, LocalReader};
use kontor_storage::tables::{Tables, TablesOptions};

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

    let mut report = Report::default();
    report.figure("groups", groups);
    report.figure("journal bytes", bytes);
    let scratch = Scratch::new()?;
    let fresh = Tables::fjall(&scratch.0, &TABLE_NAMES, TablesOptions::default())?;
    let mut sites = vec![site.clone()];
    for peer in directory.peers()? {
        sites.push(SiteId::parse(peer)?);
    }
    sites.sort();
    let rows = WriterRows::new(fresh.clone(), sites.clone());
    let mut walk = Walk::new(&rows, &site, &terms);
    for peer in sites.iter().filter(|peer| **peer != site) {
        walk.beside(peer.clone(), kept_of(&directory, peer)?);
    }
    let own = own_tables(&args.data, &site)?;
    if let Ok(own) = &own {
        check::compare(&own.tables, &mut walk, &mut report, folding)?;
    }
    walk.to((u32::MAX, 0), &mut report, folding)?;
    walk.others_to(|_| Ok(None), &mut report)?;
    print::progress("checking");
    check::rows(&SnapshotRows::new(&fresh, sites.into()), &site, &mut report)?;
    print::progress("");
    show(&report, own.as_ref().err().copied(), style);
    Ok(if report.broken_total() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is kept of another site's journal.
fn kept_of(directory: &DataDir, peer: &SiteId) -> anyhow::Result<Terms> {
    let (name, mut terms) = (peer.as_str(), Terms::new());
    for term in directory.peer_terms(name)? {
        let (dir, archive) = (directory.peer_journal_path(name, term), directory.peer_archive_path(name, term));
        terms.push((term, Arc::new(LocalReader::open(&dir, &archive, &kontor_site::site::label(peer, term))?)));
    }
    Ok(terms)
}

/// A site's own tables, locked against its start.
struct Own {
    tables: Tables,
    _directory: DataDir,
}

/// Opens the site's own tables, or says why they are left alone.
fn own_tables(data: &Path, site: &SiteId) -> anyhow::Result<Result<Own, &'static str>> {
    let directory = match DataDir::open(data, site.as_str()) {
        Ok(directory) => directory,
        Err(DirectoryError::Locked { .. }) => return Ok(Err("the site is running, its tables were left alone")),
        Err(DirectoryError::Copied { .. }) => return Ok(Err("the directory is a copy, its tables were left alone")),
        Err(error) => return Err(error.into()),
    };
    if !directory.tables_path().exists() {
        return Ok(Err("there are no tables, they will be built at the next start"));
    }
    if !kontor_site::are_current(&directory.tables_path()) {
        return Ok(Err("the tables are of another version, they will be built at the next start"));
    }
    let options = TablesOptions { usage: kontor_site::rows::usage, ..TablesOptions::default() };
    let tables = Tables::fjall(&directory.tables_path(), &TABLE_NAMES, options)?;
    Ok(Ok(Own { tables, _directory: directory }))
}

fn folding(progress: Progress) {
    print::progress(format!("folding {} of {} groups", progress.folded, progress.total));
}

fn show(report: &Report, not_compared: Option<&str>, style: Style) {
    let (figures, total) = (&report.figures, report.broken_total());
    if style == Style::Json {
        let figures: serde_json::Map<String, serde_json::Value> =
            figures.iter().map(|(what, count)| (what.replace(' ', "_"), (*count).into())).collect();
        let invariants = Rule::ALL.map(|rule| {
            let Count { looked_at, broken } = report.count(rule);
            let (name, holds) = (rule.name(), rule.words());
            serde_json::json!({"name": name, "holds": holds, "looked_at": looked_at, "broken": broken})
        });
        let broken = report.broken.iter();
        let broken: Vec<_> = broken.map(|it| serde_json::json!({"name": it.rule.name(), "what": it.what})).collect();
        print::json(&serde_json::json!({
            "ok": total == 0, "figures": figures, "invariants": invariants, "broken": broken,
            "broken_total": total, "tables_not_compared": not_compared,
        }));
        return;
    }
    let rows = figures.iter().map(|(what, count)| vec![(*what).to_owned(), print::grouped(*count)]);
    print::table(&["what is there", "count"], rows, &[1]);
    let rows = Rule::ALL.map(|rule| {
        let Count { looked_at, broken } = report.count(rule);
        vec![rule.words().to_owned(), print::grouped(looked_at), print::grouped(broken)]
    });
    print::table(&["what must hold", "looked at", "broken"], rows, &[1, 2]);
    if let Some(why) = not_compared {
        print::line(format!("not compared: {why}"));
    }
    report.broken.iter().for_each(|broken| print::line(format!("BROKEN  {}: {}", broken.rule.name(), broken.what)));
    match total {
        0 => print::line("all invariants hold"),
        total => print::line(format!("{total} violations")),
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
