//! Groups: what a journal holds. One group is one append, with all the entries decided since the
//! append before it.
//!
//! ```text
//! byte 0        format version (1)
//! byte 1        how the body is kept: 0 as it is, 1 LZ4 with its length before it
//! 4 bytes       length of the header, little-endian
//! header        GroupHeader (postcard)
//! 4 bytes       number of entries, little-endian
//! body          entries (postcard)
//! ```
//!
//! Each group carries the digest of the group before it, so that `kontor journal verify` can walk
//! the chain, and what its writer had seen of other sites, so that concurrent edits can be told
//! from informed ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::Entry;
use crate::id::SiteId;
use crate::time::SiteTime;

/// The newest format that this program reads and writes.
pub const FORMAT: u8 = 1;

/// Bodies below this size gain little from compression and cost a copy.
const COMPRESS_FROM: usize = 1024;

/// SHA-256 of a whole group as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

/// What a group says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHeader {
    /// Whose journal.
    pub site: SiteId,
    /// Which term of it.
    pub term: u32,
    /// The place in the term, from 1.
    pub seq: u64,
    /// Raised by each new writer of a term.
    pub epoch: u32,
    /// Drawn by each writer when it starts: tells one's own append from another's.
    pub writer: u64,
    /// Site time when the group was decided.
    pub time: SiteTime,
    /// Digest of the group before; for the first of a term, of the last of the term before.
    pub previous: Digest,
    /// What has been folded of other sites since the group before.
    pub seen: Vec<Seen>,
}

/// How far a writer had folded another site's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whose.
    pub site: SiteId,
    /// Which term.
    pub term: u32,
    /// The last group folded.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
}

/// One append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What it says about itself.
    pub header: GroupHeader,
    /// What was decided, in order.
    pub entries: Vec<Entry>,
}

/// Bytes that are not a group of this program's formats.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Written by a newer program. The bytes are kept; this journal is read no further.
    #[error("group format {0} is newer than this program, which reads up to {FORMAT}")]
    Newer(u8),
    /// Not what any program wrote.
    #[error("not a group: {0}")]
    Damaged(String),
}

/// Entries, encoded one by one as they are decided, so that sizes are known before the append.
#[derive(Debug, Default, Clone)]
pub struct GroupBody {
    bytes: Vec<u8>,
    count: u32,
}

impl GroupBody {
    /// Adds an encoded entry.
    pub fn push(&mut self, entry: &[u8]) {
        self.bytes.extend_from_slice(entry);
        self.count += 1;
    }

    /// Entries so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes so far, before compression.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Writes an entry as it stands in a group's body.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    // An entry is integers, texts and lists: writing one to memory cannot fail.
    postcard::to_stdvec(entry).expect("an entry can be written to memory")
}

/// The most that a body unpacks to: it was at most [`crate::limits::GROUP_BYTES_MAX`] when it was packed
/// well, and no reader sets memory aside for more on the word of a few bytes.
const BODY_BYTES_MAX: usize = 16 * crate::limits::GROUP_BYTES_MAX;

/// Writes a group.
///
/// # Panics
/// If the body is so large that no reader would take it; nothing has been appended then.
pub fn encode(header: &GroupHeader, body: &GroupBody) -> Vec<u8> {
    assert!(body.len() <= BODY_BYTES_MAX, "a group of {} bytes could not be read again", body.len());
    let head = postcard::to_stdvec(header).expect("a header can be written to memory");
    let mut out = Vec::with_capacity(16 + head.len() + body.bytes.len());
    let packed = (body.bytes.len() >= COMPRESS_FROM).then(|| lz4_flex::compress_prepend_size(&body.bytes));
    out.extend([FORMAT, u8::from(packed.is_some())]);
    let head_len = u32::try_from(head.len()).expect("a header is small");
    out.extend_from_slice(&head_len.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(&body.count.to_le_bytes());
    out.extend_from_slice(packed.as_deref().unwrap_or(&body.bytes));
    out
}

/// Reads a group.
pub fn decode(bytes: &[u8]) -> Result<Group, GroupError> {
    let (header, packing, count, body) = split(bytes)?;
    let damaged = |what: &str, why: &dyn std::fmt::Display| GroupError::Damaged(format!("{what}: {why}"));
    let unpacked;
    let mut rest = match packing {
        0 => body,
        1 => {
            let size = body.first_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
            if size as usize > BODY_BYTES_MAX {
                return Err(damaged("body", &"it unpacks to more than a group holds"));
            }
            unpacked = lz4_flex::decompress_size_prepended(body).map_err(|e| damaged("body", &e))?;
            &unpacked
        }
        other => return Err(damaged("packing", &other)),
    };
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, after) = postcard::take_from_bytes::<Entry>(rest).map_err(|e| damaged("entry", &e))?;
        entries.push(entry);
        rest = after;
    }
    match rest {
        [] => Ok(Group { header, entries }),
        _ => Err(damaged("body", &"bytes are left after the last entry")),
    }
}

/// Reads what a group says about itself, without its entries.
pub fn decode_header(bytes: &[u8]) -> Result<GroupHeader, GroupError> {
    split(bytes).map(|(header, ..)| header)
}

fn split(bytes: &[u8]) -> Result<(GroupHeader, u8, u32, &[u8]), GroupError> {
    let short = || GroupError::Damaged("it is cut short".into());
    match bytes.first() {
        Some(&FORMAT) => {}
        Some(&newer) if newer > FORMAT => return Err(GroupError::Newer(newer)),
        _ => return Err(GroupError::Damaged("its format is unknown".into())),
    }
    let (&packing, rest) = bytes[1..].split_first().ok_or_else(short)?;
    let (head_len, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let head_len = u32::from_le_bytes(*head_len) as usize;
    let (head, rest) = rest.split_at_checked(head_len).ok_or_else(short)?;
    let (count, body) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let header = postcard::take_from_bytes(head).map_err(|e| GroupError::Damaged(format!("header: {e}")))?;
    let (header, []) = header else {
        return Err(GroupError::Damaged("header: bytes are left after its last field".into()));
    };
    Ok((header, packing, u32::from_le_bytes(*count), body))
}

impl Digest {
    /// Of a group as it is stored.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", crate::text::hex(&self.0))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
