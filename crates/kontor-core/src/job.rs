//! A job is an import that can be resumed and undone: it remembers the last line that it has seen, and
//! of every line what became of it.

use serde::{Deserialize, Serialize};

use crate::id::{Actor, JobId, LocationId, ProductId, Sku};
use crate::limits::{JOB_OPTIONS_BYTES_MAX, LABEL_BYTES_MAX, NAME_BYTES_MAX, OUTCOME_BYTES_MAX};
use crate::record::{Key, Primary, Table};
use crate::text::{TextError, printable, text_type};
use crate::time::{SiteTime, Stamp};

text_type! {
    /// What an import is read from: the name of a file.
    Source, "source", printable, LABEL_BYTES_MAX
}
text_type! {
    /// How an import is read, in the words of whoever reads it.
    JobOptions, "options", anything, JOB_OPTIONS_BYTES_MAX
}

/// What is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobKind {
    /// Products.
    Products,
    /// Deliveries: units that came in.
    Stock,
    /// What was counted.
    Counts,
}

/// What has become of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobStatus {
    /// It takes lines.
    Running,
    /// All lines were seen.
    Finished,
    /// It is being put back.
    Undoing,
    /// It was put back, as far as nobody has changed it since.
    Undone,
}

/// One import of this site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What it is told to be.
    pub started: JobStarted,
    /// Who began it.
    pub actor: Actor,
    /// What has become of it.
    pub status: JobStatus,
    /// The last line that was seen; every line up to it was seen once.
    pub through_line: u64,
    /// What became of the lines.
    pub counts: JobCounts,
    /// The first line of the chunk that was done last: where its lines are found.
    pub last_chunk: Option<u64>,
    /// Lines from here on were put back.
    pub undone_from: Option<u64>,
    /// The chunk in which undoing goes on.
    pub next_undo: Option<u64>,
    /// Lines that were put back.
    pub put_back: u64,
    /// Lines that were left, because somebody has changed what they set, or uses it.
    pub left: u64,
    /// When it began.
    pub started_at: SiteTime,
    /// When it went on last.
    pub updated_at: SiteTime,
}

/// How many lines came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobCounts {
    /// Something was made.
    pub created: u64,
    /// Something was changed, or booked.
    pub changed: u64,
    /// It was so before.
    pub unchanged: u64,
    /// The line could not be read, or was refused.
    pub refused: u64,
}

/// An import began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStarted {
    /// Which.
    pub id: JobId,
    /// Of what.
    pub kind: JobKind,
    /// Read from where.
    pub source: Source,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// How it is read.
    pub options: JobOptions,
}

/// Which lines of an import a command brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStep {
    /// Of which.
    pub job: JobId,
    /// The first line; must follow the last one that the job has seen.
    pub from_line: u64,
    /// The last line, whether or not something stands on it.
    pub through_line: u64,
    /// Lines that could not be read at all.
    pub rejected: Vec<LineDone>,
}

/// What became of lines. For a job, also the row of its chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinesDone {
    /// Of which import, if of one.
    pub job: Option<JobId>,
    /// The first line that was seen.
    pub from_line: u64,
    /// The last line that was seen: where the caller goes on, if it is not the last one given.
    pub through_line: u64,
    /// What became of each line on which something stood, by ascending lines.
    pub lines: Vec<LineDone>,
    /// The first line of the chunk before.
    pub previous: Option<u64>,
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDone {
    /// Which, from 1.
    pub line: u64,
    /// The product that it names, if one could be read.
    pub product: Option<ProductId>,
    /// What became of it.
    pub outcome: LineOutcome,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineOutcome {
    /// A product was made, by the edit with this stamp.
    Created(Stamp),
    /// A product was changed, by the edit with this stamp.
    Changed(Stamp),
    /// Stock was booked under the reference of this line, and not by it.
    Booked,
    /// It was so before.
    Unchanged,
    /// It was not done.
    Refused {
        /// A stable code.
        code: Box<str>,
        /// Why, in words.
        detail: Box<str>,
    },
    /// Stock was booked, by the movement with the reference of this line.
    Moved {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units that on_hand changed by.
        change: i64,
        /// Units there afterwards.
        on_hand_after: i64,
        /// When it was recorded.
        at: SiteTime,
    },
}

/// The line of an import that wanted an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLine {
    /// Which import.
    pub job: JobId,
    /// Which line, from 1.
    pub line: u64,
    /// Whether the edit puts the line back.
    pub undo: bool,
}

/// Lines of an import were put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobUndone {
    /// Of which.
    pub id: JobId,
    /// The first of the lines; those below are still to be put back.
    pub from_line: u64,
    /// The chunk of lines that comes next, if any is left.
    pub next_chunk: Option<u64>,
    /// Lines that were put back as a whole.
    pub put_back: u64,
    /// Lines that were not, or not as a whole, by descending lines: why.
    pub left: Vec<LineDone>,
}

impl Job {
    /// One that has begun.
    pub fn new(started: JobStarted, actor: Actor, at: SiteTime) -> Self {
        Self {
            started,
            actor,
            status: JobStatus::Running,
            through_line: 0,
            counts: JobCounts::default(),
            last_chunk: None,
            undone_from: None,
            next_undo: None,
            put_back: 0,
            left: 0,
            started_at: at,
            updated_at: at,
        }
    }

    pub(crate) fn advanced(&mut self, done: &LinesDone) {
        self.through_line = done.through_line;
        self.last_chunk = Some(done.from_line);
        done.lines.iter().for_each(|line| self.counts.count(&line.outcome));
    }

    pub(crate) fn undone(&mut self, undone: &JobUndone) {
        self.status = if undone.next_chunk.is_some() { JobStatus::Undoing } else { JobStatus::Undone };
        self.undone_from = Some(undone.from_line);
        self.next_undo = undone.next_chunk;
        self.put_back = self.put_back.saturating_add(undone.put_back);
        self.left = self.left.saturating_add(undone.left.len() as u64);
    }
}

impl LineOutcome {
    /// A line that was not done. Long words are cut: the line itself says the rest.
    pub fn refused(code: &str, detail: &str) -> Self {
        let cut = |text: &str, max: usize| -> Box<str> { text[..text.floor_char_boundary(max)].into() };
        Self::Refused { code: cut(code, NAME_BYTES_MAX), detail: cut(detail, OUTCOME_BYTES_MAX) }
    }

    /// The word on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Changed(_) => "changed",
            Self::Booked | Self::Moved { .. } => "booked",
            Self::Unchanged => "unchanged",
            Self::Refused { .. } => "refused",
        }
    }
}

impl JobCounts {
    /// Counts one more line.
    pub fn count(&mut self, outcome: &LineOutcome) {
        let place = match outcome {
            LineOutcome::Created(_) => &mut self.created,
            LineOutcome::Changed(_) | LineOutcome::Booked | LineOutcome::Moved { .. } => &mut self.changed,
            LineOutcome::Unchanged => &mut self.unchanged,
            LineOutcome::Refused { .. } => &mut self.refused,
        };
        *place = place.saturating_add(1);
    }
}

impl JobKind {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Products => "import_products",
            Self::Stock => "import_stock",
            Self::Counts => "import_counts",
        }
    }
}

impl JobStatus {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
        }
    }
}

impl Primary for Job {
    const TABLE: Table = Table::JOBS;
    type Key<'k> = JobId;
    fn key(id: JobId) -> Key {
        Key::new().fixed(&id.0)
    }
}

impl Primary for LinesDone {
    const TABLE: Table = Table::JOB_LINES;
    type Key<'k> = (JobId, u64);
    fn key((id, from_line): (JobId, u64)) -> Key {
        Key::new().fixed(&id.0).number(from_line)
    }
}

fn anything(text: &str, what: &'static str, max: usize) -> Result<(), TextError> {
    if text.len() <= max { Ok(()) } else { Err(TextError::TooLong { what, bytes: text.len(), max }) }
}
