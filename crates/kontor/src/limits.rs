//! Every number at which the commands say "no more", with its reason.

use std::time::Duration;

/// Bytes of one row of a file. A product of the largest size that a site takes has 256 KiB, and no
/// spreadsheet has longer rows; a file with a longer one is usually no table.
pub(crate) const ROW_BYTES_MAX: usize = 1 << 20;

/// Columns of a file; spreadsheets end at 16,384, catalogues at a few hundred.
pub(crate) const COLUMNS_MAX: usize = 1_000;

/// Rows of one request: what an answer of the site, and the loss of one, costs stays small.
pub(crate) const BATCH_ROWS_MAX: usize = 500;

/// Bytes of one request of rows, unless a single row has more. About what fits into one entry.
pub(crate) const BATCH_BYTES_MAX: usize = 128 << 10;

/// Rows of one request of a dry run: what a site rehearses at most. Rows of one request know of each
/// other, so that most files are rehearsed as a whole.
pub(crate) const DRY_RUN_ROWS_MAX: usize = 10_000;

/// Bytes of one request of a dry run; it is held until it is answered.
pub(crate) const DRY_RUN_BYTES_MAX: usize = 4 << 20;

/// Bytes of one row as JSON: a site takes no longer line than 256 KiB.
pub(crate) const ROW_JSON_BYTES_MAX: usize = 250 << 10;

/// SKUs that an import remembers to count those that come again: 16 MiB when full. In longer files, later
/// SKUs are not counted.
pub(crate) const SKUS_SEEN_MAX: usize = 1_500_000;

/// Rejected rows of an interrupted import that are told again when it goes on; all are in the job.
pub(crate) const REFUSED_KEPT_MAX: usize = 100_000;

/// How long a site that is joined may take to answer.
pub(crate) const JOIN_PATIENCE: Duration = Duration::from_secs(10);
