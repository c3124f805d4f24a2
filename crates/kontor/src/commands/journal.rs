//! `kontor journal`: the journal as text, and whether every byte of it is right.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kontor_core::group::{self, Digest, Group};
use kontor_core::id::Position;
use kontor_site::feed::FeedItem;
use kontor_storage::directory::DataDir;
use kontor_storage::journal::JournalReader;
use kontor_storage::journal::local::{self, LocalReader};

use crate::print::{self, Style};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print entries, oldest first: one line each, JSON with --json.
    Cat {
        #[command(flatten)]
        from: Directory,
        /// Begin after this position, such as 1-4711-0
        #[arg(long, value_parser = position)]
        after: Option<Position>,
        /// Print at most this many entries
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Read every byte: checksums, order, and the chain of digests.
    Verify {
        #[command(flatten)]
        from: Directory,
    },
}

#[derive(clap::Args)]
pub(crate) struct Directory {
    /// The data directory; its site may be running
    #[arg(long, env = "KONTOR_DATA", default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

pub(crate) fn run(command: &Command, style: Style) -> anyhow::Result<ExitCode> {
    match command {
        Command::Cat { from, after, limit } => {
            cat(&from.data, after.unwrap_or_default(), limit.unwrap_or(usize::MAX), style)
        }
        Command::Verify { from } => verify(&from.data, style),
    }
}

fn cat(data: &Path, after: Position, limit: usize, style: Style) -> anyhow::Result<ExitCode> {
    let mut left = limit;
    each_group(data, after, |group, _| {
        for (index, entry) in (0..).zip(&group.entries) {
            let position = Position { term: group.header.term, seq: group.header.seq, index };
            if position <= after || left == 0 {
                continue;
            }
            left -= 1;
            let (site, recorded_at) = (group.header.site.clone(), group.header.time);
            let item = FeedItem { position, site, recorded_at, entry: entry.clone() };
            let change = kontor_server::journal_entry(&item).context("an entry has a time beyond every calendar")?;
            if style == Style::Json {
                print::json_line(&change);
                continue;
            }
            for event in &change.events {
                let event = serde_json::to_string(event)?;
                print::line(format!("{position:<12} {}  {:<16} {event}", change.recorded_at, entry.actor));
            }
        }
        Ok(left > 0)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn verify(data: &Path, style: Style) -> anyhow::Result<ExitCode> {
    let directory = DataDir::open_read_only(data)?;
    let mut report = Vec::new();
    for term in directory.terms() {
        let found =
            local::verify(&directory.journal_path(*term), &directory.archive_path(*term), &directory.label(*term))?;
        report.push((*term, found));
    }
    let (mut entries, mut groups) = (0_u64, 0_u64);
    let mut previous = Digest::default();
    each_group(data, Position::START, |group, bytes| {
        let (term, seq) = (group.header.term, group.header.seq);
        if group.header.previous != previous {
            bail!("the chain is broken at group {seq} of term {term}: it does not follow from the group before it");
        }
        previous = Digest::of(bytes);
        groups += 1;
        entries += group.entries.len() as u64;
        Ok(true)
    })?;
    match style {
        Style::Json => print::json(&serde_json::json!({
            "ok": true, "groups": groups, "entries": entries, "digest": previous.to_string(),
            "terms": report.iter().map(|(term, found)| serde_json::json!({
                "term": term, "first": found.first, "end": found.end, "segments": found.segments,
                "bytes": found.group_bytes, "closed": found.clean,
                "torn_bytes": found.torn.as_ref().map_or(0, |torn| torn.bytes),
            })).collect::<Vec<_>>(),
        })),
        Style::Table => {
            let rows = report.iter().map(|(term, found)| {
                let state = match (&found.torn, found.clean) {
                    (Some(torn), _) => format!("{} bytes of an unfinished append", torn.bytes),
                    (None, true) => "closed".into(),
                    (None, false) => "open".into(),
                };
                let number = |n: u64| print::grouped(n);
                vec![
                    term.to_string(),
                    number(found.end),
                    number(found.segments as u64),
                    number(found.group_bytes),
                    state,
                ]
            });
            print::table(&["term", "groups", "segments", "bytes", "end"], rows, &[0, 1, 2, 3]);
            print::line(format!(
                "{} groups and {} entries read, every checksum and digest right; last digest {previous}",
                print::grouped(groups),
                print::grouped(entries)
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Calls `each` with the groups of a directory, from the one that `after` is in, until it says stop.
pub(super) fn each_group(
    data: &Path,
    after: Position,
    mut each: impl FnMut(&Group, &[u8]) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let directory = DataDir::open_read_only(data)?;
    for term in directory.terms().iter().copied().filter(|term| *term >= after.term) {
        let label = directory.label(term);
        let reader = LocalReader::open(&directory.journal_path(term), &directory.archive_path(term), &label)?;
        let mut seq = if term == after.term { after.seq.saturating_sub(1) } else { 0 };
        while seq < reader.end() {
            let groups = reader.read(seq, 256, 16 << 20)?;
            let Some((newest, _)) = groups.last() else { break };
            seq = *newest;
            for (seq, bytes) in &groups {
                let group = group::decode(bytes).with_context(|| format!("group {seq} of term {term}"))?;
                if !each(&group, bytes)? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn position(text: &str) -> Result<Position, String> {
    Position::parse(text).ok_or_else(|| "a position is written term-seq-index, such as 1-4711-0".into())
}
