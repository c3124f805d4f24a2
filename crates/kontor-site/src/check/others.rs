//! The journals of other sites, beside one's own: an entry was decided on what was read of them until then.

use kontor_core::fold;
use kontor_core::group::Seen;
use kontor_core::id::SiteId;
use kontor_core::overlay::Overlay;

use super::{Report, Rule};
use crate::folded::Folded;
use crate::foreign::{ForeignGroup, NotFolded, follows};
use crate::limits::RECOVER_GROUPS_PER_WRITE;
use crate::recover::{RecoverError, Terms};
use crate::rows::WriterRows;

/// What is kept of another site's journal, and how far it has been folded.
pub(super) struct Other {
    pub(super) site: SiteId,
    terms: Terms,
    at: Folded,
    stuck: bool,
}

impl Other {
    pub(super) fn new(site: SiteId, terms: Terms) -> Self {
        Self { site, terms, at: Folded::start(), stuck: false }
    }

    /// Folds up to what a group says to have seen, which must be there.
    pub(super) fn see(&mut self, seen: &Seen, rows: &WriterRows, report: &mut Report) -> Result<(), RecoverError> {
        self.to((seen.term, seen.seq), rows, report)?;
        let at = (self.at.term, self.at.seq, self.at.digest);
        report.expect(Rule::Chain, self.stuck || at == (seen.term, seen.seq, seen.digest), || {
            let Seen { site, term, seq, .. } = seen;
            format!("group {seq} of term {term} of {site} was seen, and is not what is kept of it")
        });
        Ok(())
    }

    /// Folds up to a group, named by term and seq, or to the end if there is none such.
    pub(super) fn to(&mut self, until: (u32, u64), rows: &WriterRows, report: &mut Report) -> Result<(), RecoverError> {
        for (term, journal) in self.terms.iter().filter(|(term, _)| *term <= until.0) {
            let last = if *term == until.0 { until.1.min(journal.end()) } else { journal.end() };
            while !self.stuck && self.at.term <= *term {
                let after = if self.at.term == *term { self.at.seq } else { 0 };
                // Nothing may have been written in it yet.
                if after >= last {
                    break;
                }
                let room = usize::try_from(last - after).unwrap_or(usize::MAX).min(RECOVER_GROUPS_PER_WRITE);
                let mut batch = Overlay::new(rows);
                let groups = journal.read(after, room, 16 << 20)?;
                self.stuck = groups.is_empty();
                for (seq, bytes) in &groups {
                    report.looked(Rule::Chain, 1);
                    let group = ForeignGroup::read(bytes).map_err(NotFolded::from);
                    let folded = group.and_then(|group| {
                        follows(&self.at, &self.site, &group)?;
                        // What it means was judged when it was read: a group that was not let in was not seen.
                        fold::fold(&mut batch, &group.group).map_err(|error| NotFolded::Stopped(error.to_string()))?;
                        Ok(group.folded())
                    });
                    match folded {
                        Ok(folded) => self.at = folded,
                        Err(why) => {
                            let what = format!("group {seq} of term {term} of {}: {why}", self.site);
                            report.broken(Rule::Chain, what);
                            self.stuck = true;
                            break;
                        }
                    }
                }
                rows.write(&batch.into_changes(), self.at.encode(), &self.site)?;
            }
        }
        Ok(())
    }
}
