//! `kontor journal`: the journal as text, and whether every byte of it is right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kontor_core::group::{self, Digest, Group, GroupHeader, Seen};
use kontor_core::id::{Position, SiteId};
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
    /// Read every byte: checksums, order, the chains of digests, and what sites have seen of each other.
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
    for peer in directory.peers()? {
        for term in directory.peer_terms(&peer)? {
            let (dir, archive) = (directory.peer_journal_path(&peer, term), directory.peer_archive_path(&peer, term));
            local::verify(&dir, &archive, &format!("{peer}/{term}"))?;
        }
    }
    let own = SiteId::parse(directory.site())?;
    let mut sites = vec![own.clone()];
    for peer in directory.peers()? {
        sites.push(SiteId::parse(peer)?);
    }
    let mut witnesses = Witnesses::default();
    for of in &sites {
        each_bytes(&directory, of, Position::START, |position, bytes| {
            witnesses.hear(of, &group::decode_header(bytes).with_context(|| unreadable(of, position))?)
        })?;
    }
    let (mut entries, mut groups) = (0_u64, 0_u64);
    let mut own_digest = Digest::default();
    for of in &sites {
        let mut previous = Digest::default();
        each_bytes(&directory, of, Position::START, |position, bytes| {
            let group = group::decode(bytes).with_context(|| unreadable(of, position))?;
            let header = &group.header;
            if header.previous != previous || header.site != *of {
                let Position { term, seq, .. } = position;
                bail!(
                    "the chain of {of} is broken at group {seq} of term {term}: it does not follow from the group before it"
                );
            }
            previous = group::digest(bytes);
            witnesses.compare(of, position, previous)?;
            groups += 1;
            entries += group.entries.len() as u64;
            Ok(true)
        })?;
        own_digest = if *of == own { previous } else { own_digest };
    }
    witnesses.expect_no_more(&own, directory.term())?;
    match style {
        Style::Json => print::json(&serde_json::json!({
            "ok": true, "groups": groups, "entries": entries, "digest": own_digest.to_string(),
            "sites": sites.iter().map(SiteId::as_str).collect::<Vec<_>>(), "seen_compared": witnesses.compared,
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
                "{} groups and {} entries read, every checksum and digest right; last digest {own_digest}",
                print::grouped(groups),
                print::grouped(entries)
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What sites say to have seen of each other's journals.
#[derive(Default)]
struct Witnesses {
    /// By whose journal, term and seq: who says so, and the digest.
    seen: BTreeMap<(SiteId, u32, u64), Vec<(SiteId, Digest)>>,
    /// The last that each site has said of each other.
    last: BTreeMap<(SiteId, SiteId), (u32, u64)>,
    compared: u64,
}

impl Witnesses {
    /// A group of the journal of `by` says what was seen; each time more than before.
    fn hear(&mut self, by: &SiteId, header: &GroupHeader) -> anyhow::Result<bool> {
        for Seen { site, term, seq, digest } in &header.seen {
            let before = self.last.insert((by.clone(), site.clone()), (*term, *seq));
            if site == by || before.is_some_and(|before| before >= (*term, *seq)) {
                bail!(
                    "group {} of term {} of {by} says to have seen less of {site} than one before",
                    header.seq,
                    header.term
                );
            }
            self.seen.entry((site.clone(), *term, *seq)).or_default().push((by.clone(), *digest));
        }
        Ok(true)
    }

    /// Compares a group with what others have seen in its place.
    fn compare(&mut self, of: &SiteId, at: Position, digest: Digest) -> anyhow::Result<()> {
        for (by, seen) in self.seen.remove(&(of.clone(), at.term, at.seq)).into_iter().flatten() {
            if seen != digest {
                bail!(
                    "group {} of term {} of {of} is not the one that {by} has seen: {digest} and {seen}",
                    at.seq,
                    at.term
                );
            }
            self.compared += 1;
        }
        Ok(())
    }

    /// What is left was seen and is not here. Nobody may have seen more of this site's newest term, nor
    /// this site more of another than it keeps. What was lost of an earlier term, when a
    /// backup was restored, is known to be.
    fn expect_no_more(&self, own: &SiteId, newest: u32) -> anyhow::Result<()> {
        for ((of, term, seq), by) in &self.seen {
            let missing = if of == own { *term == newest } else { by.iter().any(|(by, _)| by == own) };
            if let Some((by, _)) = by.first().filter(|_| missing) {
                bail!("{by} has seen group {seq} of term {term} of {of}, and it is not here");
            }
        }
        Ok(())
    }
}

fn unreadable(of: &SiteId, at: Position) -> String {
    format!("group {} of term {} of {of}", at.seq, at.term)
}

/// Calls `each` with the groups of a directory's own journal, from the one that `after` is in, until it
/// says stop.
pub(super) fn each_group(
    data: &Path,
    after: Position,
    mut each: impl FnMut(&Group, &[u8]) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let directory = DataDir::open_read_only(data)?;
    let own = SiteId::parse(directory.site())?;
    each_bytes(&directory, &own, after, |position, bytes| {
        each(&group::decode(bytes).with_context(|| unreadable(&own, position))?, bytes)
    })
}

/// The same with the groups of any journal that is in the directory, as they are stored.
fn each_bytes(
    directory: &DataDir,
    of: &SiteId,
    after: Position,
    mut each: impl FnMut(Position, &[u8]) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let name = of.as_str();
    let is_own = name == directory.site();
    let terms = if is_own { directory.terms().to_vec() } else { directory.peer_terms(name)? };
    for term in terms.into_iter().filter(|term| *term >= after.term) {
        let (journal, archive) = match is_own {
            true => (directory.journal_path(term), directory.archive_path(term)),
            false => (directory.peer_journal_path(name, term), directory.peer_archive_path(name, term)),
        };
        let reader = LocalReader::open(&journal, &archive, &kontor_site::site::label(of, term))?;
        let mut after_seq = if term == after.term { after.seq.saturating_sub(1) } else { 0 };
        while after_seq < reader.end() {
            let groups = reader.read(after_seq, 256, 16 << 20)?;
            let Some((newest, _)) = groups.last() else { break };
            after_seq = *newest;
            for (seq, bytes) in &groups {
                if !each(Position { term, seq: *seq, index: 0 }, bytes)? {
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
