//! From a journal to rows: resuming where the tables stopped, or from the first group.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontor_core::fold;
use kontor_core::group::{self, GroupError};
use kontor_core::id::SiteId;
use kontor_core::overlay::Overlay;
use kontor_core::record::Table;
use kontor_core::view::{View as _, ViewError};
use kontor_storage::journal::{JournalReader, ReadError};
use kontor_storage::tables::{Tables, TablesError};

use crate::folded::Folded;
use crate::foreign::{ForeignGroup, NotFolded, Unfolded, fold_group, follows};
use crate::limits::RECOVER_GROUPS_PER_WRITE;
use crate::rows::{WriterRows, of};

/// The journals of a site, one per term, oldest first.
pub type Terms = Vec<(u32, Arc<dyn JournalReader>)>;

/// How far a start has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Groups folded since the start.
    pub folded: u64,
    /// Groups to fold in all.
    pub total: u64,
}

/// Why rows and journal do not come together. A site in such a state serves nothing.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The tables have folded groups that the journal does not hold.
    #[error(
        "acknowledged work is missing: the tables have seen group {seen} of term {term}, and the journal ends at {end}. \
         Do not start this site: copy the directory, then restore a backup, or put back the journal files that are missing. \
         Deleting tables/ starts the site without the missing groups"
    )]
    JournalBehind {
        /// The term.
        term: u32,
        /// What the tables have folded.
        seen: u64,
        /// What the journal holds.
        end: u64,
    },
    /// The journal holds another group than the one that was folded, or its chain is broken.
    #[error(
        "the journal of term {term} is not the one that was written: group {seq} does not follow from the group before it. \
         Restore a backup, or put back the right journal files"
    )]
    Diverged {
        /// The term.
        term: u32,
        /// Where.
        seq: u64,
    },
    /// A group that this program cannot read.
    #[error("group {seq} of term {term}: {source}")]
    Group {
        /// The term.
        term: u32,
        /// Where.
        seq: u64,
        /// Why.
        source: GroupError,
    },
    /// The journal could not be read.
    #[error("the journal could not be read")]
    Journal(#[from] ReadError),
    /// The tables could not be written.
    #[error("the tables could not be written")]
    Tables(#[from] TablesError),
    /// The rows could not be read.
    #[error(transparent)]
    Rows(#[from] ViewError),
}

/// Folds what the journal holds and the tables do not, and returns the end of the journal. Every
/// group is checked to follow from the one before it.
pub fn recover(
    rows: &WriterRows,
    site: &SiteId,
    terms: &Terms,
    mut progress: impl FnMut(Progress),
) -> Result<Folded, RecoverError> {
    let mut at = folded(rows.tables(), site)?;
    check_folded(&at, terms)?;
    let total = terms.iter().map(|(term, journal)| match term.cmp(&at.term) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => journal.end() - at.seq,
        std::cmp::Ordering::Greater => journal.end(),
    });
    let mut done = Progress { folded: 0, total: total.sum() };
    let first = at.term;
    for (term, journal) in terms.iter().filter(|(term, _)| *term >= first) {
        let mut seq = if *term == at.term { at.seq } else { 0 };
        while seq < journal.end() {
            let groups = journal.read(seq, RECOVER_GROUPS_PER_WRITE, 16 << 20)?;
            let mut batch = Overlay::new(rows);
            for (at_seq, bytes) in &groups {
                let group =
                    group::decode(bytes).map_err(|source| RecoverError::Group { term: *term, seq: *at_seq, source })?;
                let header = &group.header;
                let follows = header.seq == *at_seq
                    && header.term == *term
                    && header.previous == at.digest
                    && header.site == *site;
                if !follows {
                    return Err(RecoverError::Diverged { term: *term, seq: *at_seq });
                }
                fold::fold(&mut batch, &group)?;
                let last = u32::try_from(group.entries.len().saturating_sub(1)).unwrap_or(u32::MAX);
                at = Folded { term: *term, seq: *at_seq, last, digest: group::digest(bytes), time: header.time };
            }
            let Some((last, _)) = groups.last() else {
                return Err(RecoverError::Diverged { term: *term, seq: seq + 1 });
            };
            seq = *last;
            rows.write(&batch.into_changes(), at.encode(), site)?;
            done.folded += groups.len() as u64;
            progress(done);
        }
    }
    Ok(at)
}

/// Why a journal is not folded to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It is read no further until somebody has looked.
    Stopped(String),
    /// What comes next builds on groups of other sites that are not kept here yet.
    Early,
}

/// Folds what is kept of other sites' journals and the tables have not. Returns how far each is folded, and
/// why no further, if it is not folded to its end: that stops nothing else.
///
/// Journals build on each other: one goes on when another has come far enough.
pub fn recover_others(
    rows: &WriterRows,
    here: &SiteId,
    journals: &[(SiteId, Terms)],
) -> Result<Vec<(Folded, Option<Unread>)>, RecoverError> {
    let mut found: Vec<(Folded, Option<Unread>)> = Vec::new();
    loop {
        let before = found;
        found = Vec::with_capacity(journals.len());
        for (at, (site, terms)) in journals.iter().enumerate() {
            found.push(match before.get(at) {
                // It was told once, and would be told again.
                Some(stopped @ (_, Some(Unread::Stopped(_)))) => stopped.clone(),
                _ => recover_foreign(rows, here, site, terms)?,
            });
        }
        if found == before {
            return Ok(found);
        }
    }
}

/// Folds what is kept of one journal, as far as what is folded of the others allows.
fn recover_foreign(
    rows: &WriterRows,
    here: &SiteId,
    site: &SiteId,
    terms: &Terms,
) -> Result<(Folded, Option<Unread>), RecoverError> {
    let mut upto = BTreeMap::new();
    for other in rows.sites() {
        let Folded { term, seq, .. } = folded(rows.tables(), other)?;
        upto.insert(other.clone(), (term, seq));
    }
    let mut at = folded(rows.tables(), site)?;
    for (term, journal) in terms {
        let mut seq = match term.cmp(&at.term) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => at.seq,
            std::cmp::Ordering::Greater => 0,
        };
        while seq < journal.end() {
            let groups = match journal.read(seq, RECOVER_GROUPS_PER_WRITE, 16 << 20) {
                Ok(groups) => groups,
                Err(error) => return Ok((at, Some(Unread::Stopped(error.to_string())))),
            };
            let Some((last, _)) = groups.last() else { break };
            seq = *last;
            let (mut batch, mut trouble, before) = (Overlay::new(rows), None, at.clone());
            for (_, bytes) in &groups {
                let group = ForeignGroup::read(bytes).map_err(|error| Unread::Stopped(error.to_string()));
                let folded = group.and_then(|group| {
                    follows(&at, site, &group).map_err(|not_folded| match not_folded {
                        NotFolded::Stopped(why) => Unread::Stopped(why),
                        not_folded => Unread::Stopped(format!("what is kept of it is damaged: {not_folded}")),
                    })?;
                    let done = fold_group(&mut batch, here, &group.group, |of| upto.get(of).copied());
                    done.map_err(|why| match why {
                        Unfolded::Stopped(why) => Unread::Stopped(why),
                        Unfolded::TooEarly => Unread::Early,
                    })?;
                    Ok(group.folded())
                });
                match folded {
                    Ok(folded) => at = folded,
                    Err(why) => {
                        trouble = Some(why);
                        break;
                    }
                }
            }
            if at != before {
                rows.write(&batch.into_changes(), at.encode(), site)?;
            }
            if trouble.is_some() {
                return Ok((at, trouble));
            }
        }
    }
    Ok((at, None))
}

/// What is kept of a journal after what is folded of it.
pub fn unread(
    site: SiteId,
    terms: &Terms,
    at: &Folded,
) -> Result<(SiteId, Vec<Result<ForeignGroup, GroupError>>), RecoverError> {
    let mut groups = Vec::new();
    for (term, journal) in terms.iter().filter(|(term, _)| *term >= at.term) {
        let after = if *term == at.term { at.seq } else { 0 };
        let kept = journal.read(after, usize::MAX, usize::MAX)?;
        groups.extend(kept.iter().map(|(_, bytes)| ForeignGroup::read(bytes)));
    }
    Ok((site, groups))
}

/// How far the tables have been folded.
pub fn folded(tables: &Tables, site: &SiteId) -> Result<Folded, RecoverError> {
    match tables.get(of(Table::FOLDED), site.as_str().as_bytes())? {
        Some(bytes) => Ok(Folded::decode(&bytes)?),
        None => Ok(Folded::start()),
    }
}

/// Compares what the tables have seen with what the journal holds.
fn check_folded(at: &Folded, terms: &Terms) -> Result<(), RecoverError> {
    if at.seq == 0 {
        return Ok(());
    }
    let journal = terms.iter().find(|(term, _)| *term == at.term).map(|(_, journal)| journal);
    let end = journal.map_or(0, |journal| journal.end());
    let Some(journal) = journal.filter(|_| at.seq <= end) else {
        return Err(RecoverError::JournalBehind { term: at.term, seen: at.seq, end });
    };
    let last = journal.read(at.seq - 1, 1, 1)?;
    match last.first() {
        Some((seq, bytes)) if *seq == at.seq && group::digest(bytes) == at.digest => Ok(()),
        _ => Err(RecoverError::Diverged { term: at.term, seq: at.seq }),
    }
}

/// The epoch of the last writer of a term; 0 if nobody has written it.
pub(crate) fn last_epoch(journal: &dyn JournalReader, term: u32) -> Result<u32, RecoverError> {
    let end = journal.end();
    if end == 0 {
        return Ok(0);
    }
    let last = journal.read(end - 1, 1, 1)?;
    let header = last.first().map(|(_, bytes)| group::decode_header(bytes)).transpose();
    let header = header.map_err(|source| RecoverError::Group { term, seq: end, source })?;
    Ok(header.map_or(0, |header| header.epoch))
}
