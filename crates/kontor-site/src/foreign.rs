//! Journals of other sites: what is checked when their groups arrive, and how far each is folded.
//!
//! Every check concerns one journal. Whatever is wrong with it stops that journal and nothing else:
//! its rows stay as they were after the last good group, and the site sells on.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use kontor_core::fold;
use kontor_core::group::{self, Digest, Group, GroupError, Seen};
use kontor_core::id::SiteId;
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::record::Table;
use kontor_core::site::SeenRow;
use kontor_core::time::SiteTime;
use kontor_core::view::{View, ViewError, row};

use crate::folded::Folded;
use crate::limits::FOREIGN_ENTRIES_PER_WRITE;

/// A group of another site, read from its bytes before it comes to the writer.
#[derive(Debug, Clone)]
pub struct ForeignGroup {
    /// What the group after it names.
    pub digest: Digest,
    /// What is shared of it.
    pub group: Group,
}

impl ForeignGroup {
    /// Reads a group. A private part is not looked at: it is its own site's.
    pub fn read(bytes: &[u8]) -> Result<Self, GroupError> {
        let shared = group::shared(bytes)?;
        Ok(Self { digest: Digest::of(shared), group: group::decode(shared)? })
    }

    /// How far its journal is folded when this group is.
    pub fn folded(&self) -> Folded {
        let header = &self.group.header;
        let last = u32::try_from(self.group.entries.len().saturating_sub(1)).unwrap_or(u32::MAX);
        Folded { term: header.term, seq: header.seq, last, digest: self.digest, time: header.time }
    }
}

/// Why groups of another site were not folded, or not all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFolded {
    /// The group was folded before. Nothing is wrong.
    #[error("the group was folded before")]
    Older,
    /// Groups before it are missing: they must come first.
    #[error("groups before it are missing")]
    Gap,
    /// These bytes are no group of that journal, whoever sent them. It can be asked for again.
    #[error("it is no group of that journal: {0}")]
    NotOfIt(String),
    /// The journal is read no further until somebody has looked.
    #[error("the journal is stopped: {0}")]
    Stopped(String),
    /// The site does not read this journal.
    #[error("this site does not read that journal")]
    NotRead,
    /// This site has stopped.
    #[error("this site has stopped")]
    Halted,
}

impl From<GroupError> for NotFolded {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Newer(_) => Self::Stopped(error.to_string()),
            GroupError::Damaged(why) => Self::NotOfIt(why),
        }
    }
}

/// Checks that a group is the next one of a journal that is folded up to `at`: that its site speaks
/// for itself alone, that none is left out, and that it follows from the last one.
///
/// A term begins with its first group, which follows from the last of the term before. Only the site
/// knows which was the last: while a group of a later term does not follow, some are missing.
pub fn follows(at: &Folded, site: &SiteId, group: &ForeignGroup) -> Result<(), NotFolded> {
    let header = &group.group.header;
    if header.site != *site {
        return Err(NotFolded::NotOfIt(format!("site {} speaks for itself alone", header.site)));
    }
    let (here, next) = ((at.term, at.seq), (header.term, header.seq));
    let follows = header.previous == at.digest;
    match next.cmp(&here) {
        std::cmp::Ordering::Less => Err(NotFolded::Older),
        std::cmp::Ordering::Equal if group.digest == at.digest => Err(NotFolded::Older),
        std::cmp::Ordering::Equal => {
            Err(NotFolded::Stopped(format!("group {} of term {} is another one than was read before", at.seq, at.term)))
        }
        std::cmp::Ordering::Greater if header.term == at.term && header.seq == at.seq + 1 && !follows => {
            Err(NotFolded::Stopped(format!(
                "group {} of term {} does not follow from the group before it",
                header.seq, header.term
            )))
        }
        std::cmp::Ordering::Greater => {
            let is_next = if header.term == at.term { header.seq == at.seq + 1 } else { header.seq == 1 };
            if is_next && follows { Ok(()) } else { Err(NotFolded::Gap) }
        }
    }
}

/// Why a group was not folded. The rows are as they were.
pub(crate) enum Unfolded {
    /// It cannot be, or means what no group of its site may mean.
    Stopped(String),
    /// It would be a lie by what is known here, and its writer had seen more.
    TooEarly,
}

/// Folds a group on top of rows, and judges it. If it cannot be folded, or does what its site may not do,
/// they stay as they were. `folded` says how far the journals of other sites are folded into the rows; a
/// group is condemned only when everything has been read that its writer had seen.
pub(crate) fn fold_group(
    rows: &mut Overlay<'_>,
    here: &SiteId,
    group: &Group,
    folded: impl Fn(&SiteId) -> Option<(u32, u64)>,
) -> Result<(), Unfolded> {
    rows.attempt();
    let judged = catch_unwind(AssertUnwindSafe(|| fold::fold_judged(rows, group)));
    let header = &group.header;
    let why = match judged {
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(breach))) => {
            rows.take_back();
            let has_read = |site: &SiteId, seen: (u32, u64)| site == here || folded(site).is_some_and(|at| at >= seen);
            let seen_now = header.seen.iter().all(|seen| has_read(&seen.site, (seen.term, seen.seq)));
            let others = rows.sites().iter().filter(|site| **site != header.site);
            let seen_before = others.map(|site| {
                let seen = row::<SeenRow>(&*rows, &header.site, site)?;
                Ok::<_, ViewError>(seen.is_none_or(|seen| has_read(site, (seen.term, seen.seq))))
            });
            let seen_before = seen_before.collect::<Result<Vec<_>, _>>();
            return match seen_before {
                Ok(before) if seen_now && before.iter().all(|read| *read) => {
                    Err(Unfolded::Stopped(format!("group {} of term {}: {breach}", header.seq, header.term)))
                }
                Ok(_) => Err(Unfolded::TooEarly),
                Err(error) => Err(Unfolded::Stopped(error.to_string())),
            };
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "a rule broke; this is a defect of the program or of its writer".into(),
    };
    rows.take_back();
    Err(Unfolded::Stopped(format!("group {} of term {} cannot be folded: {why}", header.seq, header.term)))
}

/// What is known of another site's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignJournal {
    /// How far it is folded.
    pub folded: Folded,
    /// Why it is read no further, if it is not.
    pub stopped: Option<String>,
    /// How far it was folded by what this site's own groups say: term and seq.
    said: (u32, u64),
}

/// The journals of all other sites, and what has arrived of them.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    journals: BTreeMap<SiteId, ForeignJournal>,
    arrived: VecDeque<Arrival>,
}

#[derive(Debug)]
struct Arrival {
    ticket: u64,
    site: SiteId,
    groups: VecDeque<Result<ForeignGroup, GroupError>>,
    /// Its next group builds on groups of other sites that have not been read.
    is_early: bool,
}

/// What came of folding a part of what has arrived.
pub(crate) struct Folding {
    /// Rows of this site that have changed, and how far its journal is folded with them.
    pub(crate) write: Option<(SiteId, Changes, Folded)>,
    /// Whom to tell, once the rows are written.
    pub(crate) read: Option<Read>,
}

/// What whoever brought groups is told.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) ticket: u64,
    pub(crate) result: Result<Folded, (Folded, NotFolded)>,
}

impl Foreign {
    /// Begins to read the journal of a site where its rows stop.
    pub(crate) fn enroll(&mut self, rows: &dyn View, here: &SiteId, site: &SiteId) -> Result<(), ViewError> {
        if site == here || self.journals.contains_key(site) {
            return Ok(());
        }
        let folded = rows.get(Table::FOLDED, site.as_str().as_bytes())?;
        let folded = folded.map_or(Ok(Folded::start()), |bytes| Folded::decode(&bytes))?;
        let said = row::<SeenRow>(rows, here, site)?.map_or((0, 0), |seen| (seen.term, seen.seq));
        self.journals.insert(site.clone(), ForeignJournal { folded, stopped: None, said });
        self.arrived.iter_mut().for_each(|arrival| arrival.is_early = false);
        Ok(())
    }

    /// What is known of each journal.
    pub(crate) fn journals(&self) -> impl Iterator<Item = (&SiteId, &ForeignJournal)> {
        self.journals.iter()
    }

    /// Site time of the last group of each that is folded.
    pub(crate) fn heard(&self) -> Vec<(SiteId, SiteTime)> {
        self.journals.iter().map(|(site, journal)| (site.clone(), journal.folded.time)).collect()
    }

    /// Reads a journal no further.
    pub(crate) fn stop(&mut self, site: &SiteId, why: String) {
        if let Some(journal) = self.journals.get_mut(site) {
            tracing::error!(site = site.as_str(), "The journal of another site is read no further: {why}");
            metrics::counter!("kontor_foreign_journals_stopped_total").increment(1);
            journal.stopped.get_or_insert(why);
        }
    }

    pub(crate) fn arrive(&mut self, ticket: u64, site: SiteId, groups: Vec<Result<ForeignGroup, GroupError>>) {
        self.arrived.push_back(Arrival { ticket, site, groups: groups.into(), is_early: false });
    }

    /// Whether something waits that can be folded.
    pub(crate) fn waits(&self) -> bool {
        self.next().is_some()
    }

    /// The place of what came first and can be folded: nothing overtakes what came before it of its journal.
    fn next(&self) -> Option<usize> {
        let early = |site: &SiteId| self.arrived.iter().any(|arrival| arrival.is_early && arrival.site == *site);
        self.arrived.iter().position(|arrival| !early(&arrival.site))
    }

    /// What own groups have not said yet: how far each journal is folded by now.
    pub(crate) fn unsaid(&self) -> Vec<Seen> {
        let unsaid = self.journals.iter().filter(|(_, it)| (it.folded.term, it.folded.seq) > it.said);
        let seen = unsaid.map(|(site, it)| Seen {
            site: site.clone(),
            term: it.folded.term,
            seq: it.folded.seq,
            digest: it.folded.digest,
        });
        seen.collect()
    }

    /// An own group that says so is durable.
    pub(crate) fn said(&mut self, seen: &[Seen]) {
        for Seen { site, term, seq, .. } in seen {
            if let Some(journal) = self.journals.get_mut(site) {
                journal.said = (*term, *seq);
            }
        }
    }

    /// Nothing is folded any more: tells everybody who waits.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = Read> {
        let tell = |it: Arrival| Read { ticket: it.ticket, result: Err((Folded::start(), NotFolded::Halted)) };
        self.arrived.drain(..).map(tell)
    }

    /// Folds what came first, as much of it as does not keep buyers waiting.
    pub(crate) fn fold_some(&mut self, rows: &dyn View, here: &SiteId) -> Folding {
        let Some(place) = self.next() else { return Folding { write: None, read: None } };
        let Some(mut arrival) = self.arrived.remove(place) else { return Folding { write: None, read: None } };
        let (ticket, site) = (arrival.ticket, arrival.site.clone());
        let told = |result| Some(Read { ticket, result });
        let upto: BTreeMap<SiteId, (u32, u64)> =
            self.journals.iter().map(|(site, it)| (site.clone(), (it.folded.term, it.folded.seq))).collect();
        let Some(journal) = self.journals.get_mut(&site) else {
            return Folding { write: None, read: told(Err((Folded::start(), NotFolded::NotRead))) };
        };
        let (mut overlay, mut groups, mut entries) = (Overlay::new(rows), 0, 0);
        let before = journal.folded.clone();
        let mut trouble = journal.stopped.clone().map(NotFolded::Stopped);
        while trouble.is_none() && !arrival.is_early && entries < FOREIGN_ENTRIES_PER_WRITE {
            let Some(group) = arrival.groups.pop_front() else { break };
            let next = group.map_err(NotFolded::from).and_then(|group| {
                follows(&journal.folded, &site, &group)?;
                Ok(group)
            });
            let folded =
                next.and_then(|group| match fold_group(&mut overlay, here, &group.group, |of| upto.get(of).copied()) {
                    Ok(()) => Ok(Some(group)),
                    Err(Unfolded::Stopped(why)) => Err(NotFolded::Stopped(why)),
                    Err(Unfolded::TooEarly) => {
                        arrival.groups.push_front(Ok(group));
                        Ok(None)
                    }
                });
            match folded {
                Ok(None) => arrival.is_early = true,
                Ok(Some(group)) => {
                    groups += 1;
                    entries += group.group.entries.len();
                    journal.folded = group.folded();
                }
                Err(NotFolded::Older) => {}
                Err(not_folded) => trouble = Some(not_folded),
            }
        }
        let after = journal.folded.clone();
        metrics::counter!("kontor_peer_groups_total", "site" => site.to_string()).increment(groups);
        metrics::counter!("kontor_peer_entries_total", "site" => site.to_string()).increment(entries as u64);
        if let Some(NotFolded::Stopped(why)) = &trouble
            && journal.stopped.is_none()
        {
            let why = why.clone();
            self.stop(&site, why);
        }
        if after != before {
            // Others may have waited for that.
            self.arrived.iter_mut().for_each(|arrival| arrival.is_early = false);
        }
        let read = match trouble {
            Some(trouble) => told(Err((after.clone(), trouble))),
            None if arrival.groups.is_empty() => told(Ok(after.clone())),
            None => {
                self.arrived.insert(place, arrival);
                None
            }
        };
        let write = (after != before).then(|| (site, overlay.into_changes(), after));
        Folding { write, read }
    }
}
