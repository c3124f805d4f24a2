//! An append-only list of groups, each durable before [`Journal::append`] returns.
//!
//! | journal | for | durable by |
//! | --- | --- | --- |
//! | [`local::LocalJournal`] | a server or a laptop | one `fdatasync` per group in segment files of our own |
//! | [`memory::MemoryJournal`] | tests, simulation | an explicit sync and crash |

pub mod local;
pub mod memory;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

/// The place of a group in its journal: 1, 2, 3, … Zero means "before the first".
pub type Seq = u64;

/// The one writer of a journal.
pub trait Journal: Send {
    /// Appends `group` as `seq`, which must be `end() + 1`. It is durable when this returns `Ok`.
    ///
    /// After [`AppendError::Unknown`] nobody knows whether the group will be there after a restart;
    /// the journal refuses everything from then on, and the process must exit.
    fn append(&mut self, seq: Seq, group: &[u8]) -> Result<(), AppendError>;

    /// The last durable group.
    fn end(&self) -> Seq;

    /// Reads beside the writer, from any thread. Never shows a group that is not yet durable.
    fn reader(&self) -> Arc<dyn JournalReader>;

    /// Marks the end of the journal as a clean one and syncs the mark. Nothing can be appended after.
    fn close(&mut self) -> io::Result<()>;
}

/// Reads the durable groups of a journal.
pub trait JournalReader: Send + Sync {
    /// Groups after `after`, oldest first and without a gap: at most `limit_groups`, and no more once
    /// `limit_bytes` is reached, but at least one if there is one and `limit_groups` is not zero.
    fn read(&self, after: Seq, limit_groups: usize, limit_bytes: usize) -> Result<Vec<(Seq, Bytes)>, ReadError>;

    /// The last durable group.
    fn end(&self) -> Seq;
}

/// Why a group was not acknowledged, and whether it may be there all the same.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// `seq` is not the next one. Nothing was written.
    #[error("group {seq} cannot be appended: the journal ends at {end}")]
    Taken {
        /// What was asked for.
        seq: Seq,
        /// The last durable group.
        end: Seq,
    },
    /// The group is definitely not in the journal. The caller may go on, and may try again.
    #[error("the group was not written: {reason}")]
    NotWritten {
        /// Which step failed.
        reason: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// Nobody knows whether the group is in the journal. The process must exit; opening the journal
    /// again tells which it was.
    #[error("it is unknown whether the group was written, and the journal takes no more: {reason}")]
    Unknown {
        /// Which step failed.
        reason: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// The group is larger than the journal takes. Nothing was written.
    #[error("a group of {bytes} bytes is larger than the {max} that fit")]
    TooLarge {
        /// The size of the group.
        bytes: usize,
        /// The largest that is taken.
        max: usize,
    },
}

/// Why a part of a journal cannot be read. Never answered with a shorter or a different journal.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not those that were written.
    #[error(
        "{} is damaged at byte {offset}{}: {why}; restore the directory from a backup, or fetch this \
         site's journal again from a peer",
        file.display(),
        match seq { Some(seq) => format!(", at or after group {seq}"), None => String::new() }
    )]
    Damaged {
        /// The file with the damage.
        file: PathBuf,
        /// Where in the file.
        offset: u64,
        /// The group that is unreadable there, if that can be told.
        seq: Option<Seq>,
        /// What is wrong.
        why: String,
    },
    /// The disk did not answer.
    #[error("{doing} {} failed", file.display())]
    Io {
        /// What was being done, as "reading".
        doing: &'static str,
        /// To which file.
        file: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The file was written by a newer version of this program.
    #[error("{} has format {version}, this program knows formats up to {known}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        version: u16,
        /// The newest format that this program reads.
        known: u16,
    },
}
