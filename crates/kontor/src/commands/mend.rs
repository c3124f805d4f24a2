//! `kontor site mend`: a restored site gets back what others have read of its journal.
//!
//! The groups come without their private parts: keys of requests in them are not remembered, and holds in
//! them have no deadline. They go to the end of the last term that has any, before the term that the restore
//! has begun, so that what follows them follows from them everywhere.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kontor_api::site::PeerAddress;
use kontor_client::Client;
use kontor_core::event::Event;
use kontor_core::id::{ReservationId, SiteId};
use kontor_site::copies::{Copy, Left};
use kontor_site::foreign::ForeignGroup;
use kontor_site::limits::COPY_SEGMENT_BYTES;
use kontor_site::site::label;
use kontor_storage::directory::DataDir;
use kontor_storage::journal::Journal as _;
use kontor_storage::journal::local::{LocalJournal, LocalOptions};

use crate::print::{self, Style};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The code that the other site has given for this one
    code: String,
    /// The data directory, of a site that was restored and not started since
    #[arg(long, env = "KONTOR_DATA", default_value = "data")]
    data: PathBuf,
}

/// What came of it.
#[derive(Debug, Default)]
struct Mended {
    groups: u64,
    entries: u64,
    /// Reservations that were made in these groups and not ended.
    holds: BTreeSet<ReservationId>,
}

pub(crate) fn run(args: &Args, style: Style) -> anyhow::Result<ExitCode> {
    let address: PeerAddress = args.code.parse()?;
    let name = DataDir::open_read_only(&args.data)?.site().to_owned();
    let directory = DataDir::open(&args.data, &name)?;
    let site = SiteId::parse(name.as_str())?;
    let open = |term| {
        let (dir, archive) = (directory.journal_path(term), directory.archive_path(term));
        let options = LocalOptions { segment_bytes: COPY_SEGMENT_BYTES, ring_bytes: 0, ..LocalOptions::default() };
        LocalJournal::open(&dir, &archive, &label(&site, term), options).map(|(journal, _)| journal)
    };
    let newest = directory.term();
    if directory.terms().contains(&newest) && open(newest)?.end() > 0 {
        bail!(
            "{name} has written in term {newest} already, and nothing can be put before that. \
             Mend a site after kontor restore and before its first start"
        );
    }
    let Some(last) = directory.terms().iter().copied().filter(|term| *term < newest).max() else {
        bail!("{} was not restored: it has no earlier term whose end could be missing", args.data.display());
    };
    let mut journal = Copy::over(&site, last, Box::new(open(last)?))?;
    let client = Client::new(&address.url, address.key.as_deref())?;
    let mended = super::block_on(fetch(&client, &site, last, &mut journal));
    // Whatever was fetched before something failed is there, and whole.
    journal.close().context("the journal could not be closed")?;
    let Mended { groups, entries, holds } = mended?;
    let end = journal.end();
    match style {
        Style::Json => print::json(&serde_json::json!({
            "groups": groups, "entries": entries, "term": end.term, "end": end.seq,
            "holds": holds.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
        Style::Table => {
            let fetched = format!("{} groups with {} entries", print::grouped(groups), print::grouped(entries));
            print::line(format!("{fetched} were fetched; the journal of term {} ends at {}", end.term, end.seq));
            if !holds.is_empty() {
                print::note("These reservations have lost their deadlines. Commit or release them:");
                holds.iter().for_each(|hold| print::note(format!("  {hold}")));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn fetch(client: &Client, site: &SiteId, term: u32, journal: &mut Copy) -> anyhow::Result<Mended> {
    let mut mended = Mended::default();
    loop {
        let after = journal.end().clone();
        let part =
            client.kept_of(site.as_str(), site.as_str(), term, if after.term == term { after.seq } else { 0 }).await?;
        if part.groups.is_empty() {
            return Ok(mended);
        }
        for bytes in &part.groups {
            let read = ForeignGroup::read(bytes)?;
            if read.group.header.term != term {
                bail!("the other site has read on into term {}, which is not here", read.group.header.term);
            }
            mended.groups += 1;
            mended.entries += read.group.entries.len() as u64;
            for event in read.group.entries.iter().flat_map(|entry| &entry.events) {
                match event {
                    Event::ReservationMade { id, .. } => mended.holds.insert(*id),
                    Event::ReservationEnded { id, .. } => mended.holds.remove(id),
                    _ => false,
                };
            }
        }
        let taken = journal.take(&part.groups);
        match taken.left {
            None if *journal.end() != after => {}
            None => bail!("what the other site holds does not follow from group {} of term {term}", after.seq),
            Some(Left::Gap(at)) => bail!("groups after {} of term {term} are missing there", at.seq),
            Some(Left::NotKept(error)) => return Err(error.into()),
        }
        print::progress(format!("{} groups fetched", print::grouped(mended.groups)));
    }
}
