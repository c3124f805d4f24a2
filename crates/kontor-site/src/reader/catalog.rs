//! Products in full: markets, revisions, conflicts, and the jobs that brought them.

use kontor_core::id::{JobId, ProductId, SiteId, Sku};
use kontor_core::index;
use kontor_core::job::{Job, LineDone, LineOutcome, LinesDone};
use kontor_core::product::field::Conflict;
use kontor_core::product::gtin::Gtin;
use kontor_core::product::listing::{Listing, ListingSibling};
use kontor_core::product::merge::{conflicts, listing_conflicts};
use kontor_core::product::revision::Revision;
use kontor_core::product::text::MarketId;
use kontor_core::product::{GtinUse, Sibling};
use kontor_core::record::{Key, KeyParts, Primary as _, Table, decode};
use kontor_core::time::Stamp;
use kontor_core::view::{KeyRange, View as _, ViewError, derived, row, rows_of_sites};

use super::Reader;
use crate::limits::{JOB_CHUNKS_PER_PAGE, PAGE_MAX};

/// One edit of a product, and where it stands among the others: newer ones are greater.
#[derive(Debug, Clone)]
pub struct RevisionAt {
    /// Of the edit; the cursor of older ones.
    pub stamp: Stamp,
    /// By which site.
    pub site: SiteId,
    /// What was edited.
    pub revision: Revision,
}

/// What became of some lines of a job.
#[derive(Debug, Clone, Default)]
pub struct JobLines {
    /// By ascending lines.
    pub lines: Vec<LineDone>,
    /// The last line that was looked at, if there are more.
    pub next: Option<u64>,
}

impl Reader {
    /// What a product says of its own in a market.
    pub fn listing(&self, id: &ProductId, market: &MarketId) -> Result<Option<Listing>, ViewError> {
        derived(&self.rows, (id, market))
    }

    /// The variants that have a GTIN, with their products.
    pub fn with_gtin(&self, gtin: &Gtin, limit: usize) -> Result<Vec<(ProductId, Sku)>, ViewError> {
        let prefix = GtinUse::prefix(gtin);
        let end = prefix.end();
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        self.collect(Table::GTINS, range, limit, |key, _| GtinUse::parts(&key[prefix.as_bytes().len()..]).map(Ok))
    }

    /// The markets in which a product says something of its own, after one of them.
    pub fn listings(
        &self,
        id: &ProductId,
        after: Option<&MarketId>,
        limit: usize,
    ) -> Result<Vec<(MarketId, Listing)>, ViewError> {
        let prefix = Listing::prefix(id);
        let from = after.map_or_else(|| prefix.clone(), |market| prefix.clone().text(market.as_str()).after());
        let end = prefix.end();
        let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
        self.collect(Table::MARKET_LISTINGS, range, limit.min(PAGE_MAX), |key, value| {
            let market = KeyParts(&key[prefix.as_bytes().len()..]).text().and_then(|id| MarketId::parse(id).ok());
            market.map(|market| Ok((market, decode(Table::MARKET_LISTINGS, value)?)))
        })
    }

    /// Edits of a product, newest first, before one of them.
    pub fn revisions(
        &self,
        id: &ProductId,
        before: Option<(Stamp, &SiteId)>,
        limit: usize,
    ) -> Result<Vec<RevisionAt>, ViewError> {
        let (prefix, limit) = (Revision::prefix(id), limit.min(PAGE_MAX));
        let end = match before {
            Some((stamp, site)) => prefix.clone().number(stamp.0).fixed(site.as_str().as_bytes()),
            None => prefix.end(),
        };
        let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
        let mut found = Ok(Vec::new());
        self.rows.scan_back(Table::REVISIONS, range, |key, value| {
            let place = Revision::parts(&key[prefix.as_bytes().len()..]);
            match (place, decode(Table::REVISIONS, value), &mut found) {
                (Some((stamp, site)), Ok(revision), Ok(rows)) => rows.push(RevisionAt { stamp, site, revision }),
                (_, Err(error), _) => found = Err(error),
                _ => found = Err(ViewError { table: Table::REVISIONS.name(), why: "a key is damaged".into() }),
            }
            found.as_ref().is_ok_and(|rows| rows.len() < limit)
        })?;
        found
    }

    /// The fields of a product, and of its listings, on whose value concurrent edits differ.
    pub fn conflicts(&self, id: &ProductId) -> Result<Vec<(Option<MarketId>, Conflict)>, ViewError> {
        let siblings = rows_of_sites::<Sibling>(&self.rows, id)?;
        let mut found: Vec<_> = conflicts(&siblings).into_iter().map(|conflict| (None, conflict)).collect();
        for (market, listing) in self.listings(id, None, PAGE_MAX)? {
            if listing.conflicts > 0 {
                let own = rows_of_sites::<ListingSibling>(&self.rows, (id, &market))?;
                let own = listing_conflicts(&siblings, &own).into_iter();
                found.extend(own.map(|conflict| (Some(market.clone()), conflict)));
            }
        }
        Ok(found)
    }

    /// Products that have conflicts, after one of them.
    pub fn products_in_conflict(&self, after: Option<&ProductId>, limit: usize) -> Result<Vec<ProductId>, ViewError> {
        let (from, end) = index::conflicts_after(after);
        let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
        let mut found: Result<Vec<ProductId>, ViewError> = Ok(Vec::new());
        self.rows.scan(Table::INDEX, range, &mut |key, _| {
            match (index::product_in_conflict(key), &mut found) {
                (Some(id), Ok(ids)) if ids.last() != Some(&id) => ids.push(id),
                (Some(_), _) => {}
                _ => found = Err(ViewError { table: Table::INDEX.name(), why: "a key is damaged".into() }),
            }
            found.as_ref().is_ok_and(|ids| ids.len() < limit)
        })?;
        found
    }

    /// One import of this site.
    pub fn job(&self, id: JobId) -> Result<Option<Job>, ViewError> {
        row(&self.rows, &self.here, id)
    }

    /// Imports of this site by id, after one of them.
    pub fn jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<(JobId, Job)>, ViewError> {
        let after = after.map(|id| Job::key(id).end());
        self.page(Table::JOBS, after, limit, |key, value| {
            let id = KeyParts(key).fixed().map(JobId);
            id.map(|id| Ok((id, decode(Table::JOBS, value)?)))
        })
    }

    /// What became of lines of an import that are wanted, by ascending lines, after one of them. Looks
    /// at a bounded number of lines: there may be fewer than asked for, or none, and still more.
    pub fn job_lines(
        &self,
        id: JobId,
        after: u64,
        limit: usize,
        is_wanted: impl Fn(&LineOutcome) -> bool,
    ) -> Result<JobLines, ViewError> {
        let job = Key::new().fixed(&id.0);
        // The chunk in which the first line stands began before it.
        let mut from = job.clone();
        let last = job.clone().number(after.saturating_add(1)).end();
        self.rows.scan_back(
            Table::JOB_LINES,
            KeyRange { from: job.as_bytes(), before: last.as_bytes() },
            |key, _| {
                let first = KeyParts(&key[job.as_bytes().len()..]).number();
                from = first.map_or_else(|| job.clone(), |first| job.clone().number(first));
                false
            },
        )?;
        let (mut found, mut chunks, mut is_full) = (JobLines::default(), 0, false);
        let (mut damaged, end) = (None, job.end());
        let range = KeyRange { from: from.as_bytes(), before: end.as_bytes() };
        kontor_core::view::View::scan(&self.rows, Table::JOB_LINES, range, &mut |_, value| {
            if is_full || chunks == JOB_CHUNKS_PER_PAGE {
                found.next = found.next.or(Some(after));
                is_full = true;
                return false;
            }
            chunks += 1;
            match decode::<LinesDone>(Table::JOB_LINES, value) {
                Err(error) => damaged = Some(error),
                Ok(done) => {
                    found.next = Some(done.through_line);
                    for line in done.lines {
                        if line.line <= after || !is_wanted(&line.outcome) {
                            continue;
                        }
                        if found.lines.len() == limit {
                            found.next = found.lines.last().map(|last: &LineDone| last.line);
                            is_full = true;
                            return false;
                        }
                        found.lines.push(line);
                    }
                }
            }
            damaged.is_none()
        })?;
        if !is_full {
            found.next = None;
        }
        damaged.map_or(Ok(found), Err)
    }
}
