//! The journal, group by group: its chain, and every entry against the rows before and after it.

use kontor_core::fold::At;
use kontor_core::group::{self, GroupHeader, Seen};
use kontor_core::id::{Position, SiteId};
use kontor_core::overlay::Overlay;
use kontor_storage::tables::Tables;

use super::others::Other;
use super::{Report, Rule, entry};
use crate::folded::Folded;
use crate::limits::RECOVER_GROUPS_PER_WRITE;
use crate::recover::{Progress, RecoverError, Terms};
use crate::rows::WriterRows;

/// Folds a journal into tables that were empty at first, and checks everything on the way.
///
/// After a group that cannot be folded it stops: what follows would be judged by wrong rows.
pub struct Walk<'a> {
    rows: &'a WriterRows,
    site: &'a SiteId,
    terms: &'a Terms,
    at: Folded,
    epoch: u32,
    progress: Progress,
    stuck: bool,
    others: Vec<Other>,
}

impl<'a> Walk<'a> {
    /// From the first group; `rows` must be empty.
    pub fn new(rows: &'a WriterRows, site: &'a SiteId, terms: &'a Terms) -> Self {
        let total = terms.iter().map(|(_, journal)| journal.end()).sum();
        let progress = Progress { folded: 0, total };
        Self { rows, site, terms, at: Folded::start(), epoch: 0, progress, stuck: false, others: Vec::new() }
    }

    /// Folds another site's journal beside it: before each group, as far as that says to have seen.
    pub fn beside(&mut self, site: SiteId, terms: Terms) {
        self.others.push(Other::new(site, terms));
    }

    /// How far it has come.
    pub fn at(&self) -> &Folded {
        &self.at
    }

    /// Whether all that the journal holds has been folded.
    pub fn is_done(&self) -> bool {
        self.progress.folded == self.progress.total
    }

    /// Groups folded so far, of all terms.
    pub fn folded(&self) -> u64 {
        self.progress.folded
    }

    /// Whether a group could not be folded; nothing is after that.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    pub(super) fn site(&self) -> &SiteId {
        self.site
    }

    pub(super) fn tables(&self) -> &Tables {
        self.rows.tables()
    }

    /// Folds another site's journal as far as `at` says; all of it, where it says nothing.
    pub fn others_to(
        &mut self,
        at: impl Fn(&SiteId) -> Result<Option<Folded>, RecoverError>,
        report: &mut Report,
    ) -> Result<(), RecoverError> {
        for other in &mut self.others {
            let until = at(&other.site)?.map_or((u32::MAX, 0), |at| (at.term, at.seq));
            other.to(until, self.rows, report)?;
        }
        Ok(())
    }

    /// Goes on up to a group, named by term and seq, or to the end if there is none such.
    pub fn to(
        &mut self,
        until: (u32, u64),
        report: &mut Report,
        mut said: impl FnMut(Progress),
    ) -> Result<(), RecoverError> {
        for (term, journal) in self.terms.iter().filter(|(term, _)| *term <= until.0) {
            let last = if *term == until.0 { until.1.min(journal.end()) } else { journal.end() };
            while !self.stuck && self.at.term <= *term {
                let after = if self.at.term == *term { self.at.seq } else { 0 };
                // Nothing may have been written in it yet.
                if after >= last {
                    break;
                }
                let room = usize::try_from(last - after).unwrap_or(usize::MAX).min(RECOVER_GROUPS_PER_WRITE);
                let groups = journal.read(after, room, 16 << 20)?;
                if groups.is_empty() {
                    report.broken(Rule::Chain, format!("group {} of term {term} is missing", after + 1));
                    self.stuck = true;
                }
                let mut batch = Overlay::new(self.rows);
                for (seq, bytes) in &groups {
                    let seen = group::decode_header(bytes).map(|header| header.seen).unwrap_or_default();
                    if !seen.is_empty() {
                        let before = std::mem::replace(&mut batch, Overlay::new(self.rows));
                        self.rows.write(&before.into_changes(), self.at.encode(), self.site)?;
                        self.see(&seen, report)?;
                    }
                    self.group(&mut batch, *term, *seq, bytes, report);
                    if self.stuck {
                        break;
                    }
                }
                self.rows.write(&batch.into_changes(), self.at.encode(), self.site)?;
                said(self.progress);
            }
        }
        Ok(())
    }

    /// Folds other sites' journals as far as a group says to have seen.
    fn see(&mut self, seen: &[Seen], report: &mut Report) -> Result<(), RecoverError> {
        for seen in seen {
            match self.others.iter_mut().find(|other| other.site == seen.site) {
                Some(other) => other.see(seen, self.rows, report)?,
                None => {
                    let Seen { site, term, seq, .. } = seen;
                    let what = format!("group {seq} of term {term} of {site} was seen, and nothing is kept of it");
                    report.broken(Rule::Chain, what);
                }
            }
        }
        Ok(())
    }

    fn group(&mut self, rows: &mut Overlay<'_>, term: u32, seq: u64, bytes: &[u8], report: &mut Report) {
        report.looked(Rule::Chain, 1);
        let group = match group::decode(bytes) {
            Ok(group) => group,
            Err(error) => {
                report.broken(Rule::Chain, format!("group {seq} of term {term} cannot be read: {error}"));
                self.stuck = true;
                return;
            }
        };
        self.header(&group.header, term, seq, report);
        let mut last = 0;
        for (index, entry) in (0..).zip(&group.entries) {
            last = index;
            // Its place is where it stands: a wrong header was told above.
            let at = At { site: self.site, position: Position { term, seq, index }, time: group.header.time };
            report.looked(Rule::Fold, 1);
            rows.attempt();
            if let Err(error) = entry::check(rows, at, entry, report) {
                rows.take_back();
                let why = format!("entry {} cannot be applied: {error}; nothing after it was looked at", at.position);
                report.broken(Rule::Fold, why);
                self.stuck = true;
                return;
            }
        }
        kontor_core::fold::note_seen(rows, self.site, &group.header.seen);
        self.epoch = group.header.epoch;
        self.at = Folded { term, seq, last, digest: group::digest(bytes), time: group.header.time };
        self.progress.folded += 1;
    }

    fn header(&self, header: &GroupHeader, term: u32, seq: u64, report: &mut Report) {
        let name = || format!("group {seq} of term {term}");
        let here = (&header.site, header.term, header.seq) == (self.site, term, seq);
        report.expect(Rule::Chain, here, || {
            format!("{} says that it is group {} of {}/{}", name(), header.seq, header.site, header.term)
        });
        report.expect(Rule::Chain, header.previous == self.at.digest, || {
            format!("{} does not follow from the group before it", name())
        });
        report.looked(Rule::Order, 1);
        report.expect(Rule::Order, header.time >= self.at.time, || {
            format!("{} was decided at {}, before the group before it at {}", name(), header.time.0, self.at.time.0)
        });
        report.expect(Rule::Order, term > self.at.term || header.epoch >= self.epoch, || {
            format!("{} is of writer {}, and writer {} had taken over", name(), header.epoch, self.epoch)
        });
    }
}
