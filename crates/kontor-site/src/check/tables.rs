//! A site's own tables against the rows that its journal folds to.

use bytes::Bytes;
use kontor_core::record::{TABLE_NAMES, Table};
use kontor_core::text::hex;
use kontor_storage::tables::{Rows, Snapshot, Tables, TablesError};

use super::{Report, Rule, Walk};
use crate::recover::{self, Progress, RecoverError};
use crate::rows::of;

/// Folds the journal as far as a site's own tables have come, and compares every row there.
pub fn compare(
    own: &Tables,
    walk: &mut Walk<'_>,
    report: &mut Report,
    said: impl FnMut(Progress),
) -> Result<(), RecoverError> {
    let theirs = recover::folded(own, walk.site())?;
    walk.to((theirs.term, theirs.seq), report, said)?;
    walk.others_to(|site| recover::folded(own, site).map(Some), report)?;
    let (at, seen, term) = (walk.at(), theirs.seq, theirs.term);
    if (at.term, at.seq) != (term, seen) {
        if !walk.is_stuck() {
            let end = at.seq;
            report.broken(Rule::Tables, format!(
                "acknowledged work is missing: the tables have seen group {seen} of term {term}, the journal ends at {end}"
            ));
        }
        return Ok(());
    }
    report.figure("groups in the tables", walk.folded());
    report.expect(Rule::Tables, theirs == *at, || {
        format!("the tables have folded another group {seen} of term {term} than the journal holds")
    });
    let how = if walk.is_done() { How::Whole } else { How::AfterCrash };
    rows(&walk.tables().snapshot(), &own.snapshot(), how, report)?;
    Ok(())
}

/// What may differ between tables that have folded equally far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Nothing.
    Whole,
    /// After a crash, rows that folding only ever puts may be from further on: those are passed over.
    AfterCrash,
}

/// Compares every row of every table, but for how far they have been folded.
fn rows(folded: &Snapshot, own: &Snapshot, how: How, report: &mut Report) -> Result<(), TablesError> {
    for table in (0..).take(TABLE_NAMES.len()).map(Table).filter(|table| *table != Table::FOLDED) {
        if how == How::AfterCrash && table.is_only_put() {
            continue;
        }
        let (mut theirs, mut ours) = (Next::of(folded, table)?, Next::of(own, table)?);
        loop {
            let (key, what) = match (&theirs.row, &ours.row) {
                (None, None) => break,
                (Some(row), Some(own)) if row.0 == own.0 => (row.0.clone(), (row.1 != own.1).then_some("differs")),
                (Some(row), own) if own.as_ref().is_none_or(|own| row.0 < own.0) => (row.0.clone(), Some("is missing")),
                (_, Some(own)) => (own.0.clone(), Some("is there and should not be")),
                (Some(row), None) => (row.0.clone(), Some("is missing")),
            };
            report.looked(Rule::Tables, 1);
            if let Some(what) = what {
                report.broken(Rule::Tables, format!("table {}: the row at key {} {what}", table.name(), hex(&key)));
            }
            theirs.pass(&key)?;
            ours.pass(&key)?;
        }
    }
    Ok(())
}

/// The next row of a table.
struct Next {
    rows: Rows,
    row: Option<(Bytes, Bytes)>,
}

impl Next {
    fn of(snapshot: &Snapshot, table: Table) -> Result<Self, TablesError> {
        let mut rows = snapshot.prefix(of(table), &[]);
        let row = rows.next().transpose()?;
        Ok(Self { rows, row })
    }

    /// Goes on if the next row is the one at this key.
    fn pass(&mut self, key: &Bytes) -> Result<(), TablesError> {
        if self.row.as_ref().is_some_and(|(next, _)| next == key) {
            self.row = self.rows.next().transpose()?;
        }
        Ok(())
    }
}
