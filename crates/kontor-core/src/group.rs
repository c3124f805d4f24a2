//! Groups: what a journal holds. One group is one append, with all the entries decided since the
//! append before it.
//!
//! ```text
//! byte 0        format version (1)
//! byte 1        which parts are packed: 1 the shared one, 2 the private one
//! 4 bytes       length of all up to the end of the shared part, little-endian
//! 32 bytes      SHA-256 of the private part
//! 4 bytes       length of the header, little-endian
//! header        GroupHeader (postcard)
//! 4 bytes       number of entries, little-endian
//! shared part   of each entry, what other sites are told of it (postcard)
//! ~~~~~~~~~~~~  here the group is cut when it leaves its site
//! private part  of each entry, what else its own site keeps (postcard)
//! ```
//!
//! A packed part is LZ4 with its length before it.
//!
//! **The digest of a group is that of its bytes before the cut.** They name the digest of the private
//! part, so it stands for the whole group, and whoever holds only what was shared can check it. Each
//! group carries the digest of the group before it: the chain holds at its own site and everywhere
//! else, and every site finds the same digests in it.
//!
//! A group also says what its writer had seen of other sites, so that concurrent edits can be told
//! from informed ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::command::Idempotency;
use crate::event::{Entry, Event};
use crate::id::{Actor, RequestId, SiteId};
use crate::time::SiteTime;

/// The newest format that this program reads and writes.
pub const FORMAT: u8 = 1;

/// Parts below this size gain little from compression and cost a copy.
const COMPRESS_FROM: usize = 1024;

/// A SHA-256.
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
    /// [`digest`] of the group before; for the first of a term, of the last of the term before.
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
    /// What was decided, in order. Elsewhere than at its site, what is shared of it: each entry at
    /// its place, without events if none of them is shared.
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
    shared: Vec<u8>,
    private: Vec<u8>,
    count: u32,
    /// How long the parts were before the last entry.
    before_last: (usize, usize),
}

/// What other sites are told of an entry; nothing if none of its events is shared.
type SharedPart<A, R, E> = Option<(A, R, E)>;

/// The rest of an entry: who wanted it, if that was not shared; its key; the deadlines of its shared
/// events; its private events, each with its place among all of them.
type PrivatePart<W, D, E> = (Option<W>, Option<Idempotency>, D, E);

/// As they are read.
type Told = SharedPart<Actor, RequestId, Vec<Event>>;
type Kept = PrivatePart<(Actor, RequestId), Vec<SiteTime>, Vec<(u32, Event)>>;

impl GroupBody {
    /// Adds an entry. Answers how many bytes that takes, before compression.
    ///
    /// The entry is left as it was; it is changed meanwhile, so that nothing has to be copied.
    pub fn push(&mut self, entry: &mut Entry) -> usize {
        let before = self.len();
        self.before_last = (self.shared.len(), self.private.len());
        let deadlines: Vec<SiteTime> = entry.hide_deadlines();
        let who = (&entry.actor, &entry.request_id);
        let is_shared = entry.events.iter().any(|event| !event.is_private());
        let shared: SharedPart<_, _, _> = is_shared.then_some((who.0, who.1, SharedEvents(&entry.events)));
        let places = (0_u32..).zip(&entry.events);
        let private: Vec<(u32, &Event)> = places.filter(|(_, event)| event.is_private()).collect();
        let rest: PrivatePart<_, _, _> = ((!is_shared).then_some(who), entry.idempotency, &deadlines, private);
        self.shared = appended(std::mem::take(&mut self.shared), &shared);
        self.private = appended(std::mem::take(&mut self.private), &rest);
        entry.show_deadlines(deadlines);
        self.count += 1;
        self.len() - before
    }

    /// Takes the entry back that was added last; once, until another is added.
    pub fn pop(&mut self) {
        let (shared, private) = self.before_last;
        if shared < self.shared.len() || private < self.private.len() {
            self.shared.truncate(shared);
            self.private.truncate(private);
            self.count -= 1;
        }
    }

    /// Entries so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes so far, before compression.
    pub fn len(&self) -> usize {
        self.shared.len() + self.private.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Bytes that an entry takes in a group's body.
pub fn entry_bytes(entry: &Entry) -> usize {
    GroupBody::default().push(&mut entry.clone())
}

/// The events of an entry that other sites are told of.
struct SharedEvents<'e>(&'e [Event]);

impl Serialize for SharedEvents<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let shared = self.0.iter().filter(|event| !event.is_private());
        let mut events = serializer.serialize_seq(Some(shared.clone().count()))?;
        for event in shared {
            events.serialize_element(event)?;
        }
        events.end()
    }
}

fn appended(bytes: Vec<u8>, value: &impl Serialize) -> Vec<u8> {
    // An entry is integers, texts and lists: writing one to memory cannot fail.
    postcard::to_extend(value, bytes).expect("an entry can be written to memory")
}

/// The most that a part unpacks to: it was at most [`crate::limits::GROUP_BYTES_MAX`] when it was packed
/// well, and no reader sets memory aside for more on the word of a few bytes.
const PART_BYTES_MAX: usize = 16 * crate::limits::GROUP_BYTES_MAX;

/// Bytes before the header.
const FRONT_BYTES: usize = 42;

const SHARED_IS_PACKED: u8 = 1;
const PRIVATE_IS_PACKED: u8 = 2;

/// Writes a group.
///
/// # Panics
/// If the body is so large that no reader would take it; nothing has been appended then.
pub fn encode(header: &GroupHeader, body: &GroupBody) -> Vec<u8> {
    assert!(body.len() <= PART_BYTES_MAX, "a group of {} bytes could not be read again", body.len());
    let head = postcard::to_stdvec(header).expect("a header can be written to memory");
    let packed = |part: &[u8]| (part.len() >= COMPRESS_FROM).then(|| lz4_flex::compress_prepend_size(part));
    let (packed_shared, packed_private) = (packed(&body.shared), packed(&body.private));
    let shared = packed_shared.as_deref().unwrap_or(&body.shared);
    let private = packed_private.as_deref().unwrap_or(&body.private);
    let mut packing = 0;
    packing |= if packed_shared.is_some() { SHARED_IS_PACKED } else { 0 };
    packing |= if packed_private.is_some() { PRIVATE_IS_PACKED } else { 0 };
    let length = |bytes: usize| u32::try_from(bytes).expect("a group is small").to_le_bytes();
    let cut = FRONT_BYTES + head.len() + 4 + shared.len();
    let mut out = Vec::with_capacity(cut + private.len());
    out.extend([FORMAT, packing]);
    out.extend_from_slice(&length(cut));
    out.extend_from_slice(&Digest::of(private).0);
    out.extend_from_slice(&length(head.len()));
    out.extend_from_slice(&head);
    out.extend_from_slice(&body.count.to_le_bytes());
    out.extend_from_slice(shared);
    out.extend_from_slice(private);
    out
}

/// Reads a group: all of it, or, where it was cut, what is shared of it.
pub fn decode(bytes: &[u8]) -> Result<Group, GroupError> {
    let Parts { header, count, shared, private } = split(bytes)?;
    let shared = shared.unpacked("shared part")?;
    let private = private.map(|part| part.unpacked("private part")).transpose()?;
    let (mut shared, mut private) = (shared.as_ref(), private.as_deref());
    let mut entries = Vec::new();
    for _ in 0..count {
        let told: Told = next(&mut shared)?;
        let kept: Option<Kept> = private.as_mut().map(next).transpose()?;
        entries.push(joined(told, kept)?);
    }
    match (shared, private) {
        ([], None | Some([])) => Ok(Group { header, entries }),
        _ => Err(damaged("body", "bytes are left after the last entry")),
    }
}

/// Reads what a group says about itself, without its entries.
pub fn decode_header(bytes: &[u8]) -> Result<GroupHeader, GroupError> {
    split(bytes).map(|parts| parts.header)
}

/// What of a group leaves its site: its bytes before the cut.
pub fn shared(bytes: &[u8]) -> Result<&[u8], GroupError> {
    check_format(bytes)?;
    let cut = bytes.get(2..6).and_then(|cut| cut.first_chunk::<4>());
    let cut = cut.and_then(|cut| bytes.get(..u32::from_le_bytes(*cut) as usize));
    cut.ok_or_else(|| damaged("group", "it is cut short"))
}

/// What a group is known by, at its own site and everywhere else: the digest of what is shared of it,
/// which names the digest of the rest. Of bytes that are no group, of all of them.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(shared(bytes).unwrap_or(bytes))
}

/// A group's parts as they are stored.
struct Parts<'b> {
    header: GroupHeader,
    count: u32,
    shared: Part<'b>,
    private: Option<Part<'b>>,
}

struct Part<'b> {
    bytes: &'b [u8],
    is_packed: bool,
}

impl<'b> Part<'b> {
    fn unpacked(self, what: &str) -> Result<std::borrow::Cow<'b, [u8]>, GroupError> {
        if !self.is_packed {
            return Ok(self.bytes.into());
        }
        let size = self.bytes.first_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
        if size as usize > PART_BYTES_MAX {
            return Err(damaged(what, "it unpacks to more than a group holds"));
        }
        let unpacked = lz4_flex::decompress_size_prepended(self.bytes);
        unpacked.map(Into::into).map_err(|error| damaged(what, error))
    }
}

fn split(bytes: &[u8]) -> Result<Parts<'_>, GroupError> {
    let short = || damaged("group", "it is cut short");
    let shared = shared(bytes)?;
    let private = &bytes[shared.len()..];
    let (front, rest) = shared.split_first_chunk::<FRONT_BYTES>().ok_or_else(short)?;
    let packing = front[1];
    if packing & !(SHARED_IS_PACKED | PRIVATE_IS_PACKED) != 0 {
        return Err(damaged("packing", packing));
    }
    // Every entry keeps something to its site, so a group without a private part was cut.
    if !private.is_empty() && Digest::of(private).0 != front[6..38] {
        return Err(damaged("private part", "it is not the one that the group names"));
    }
    let head_len = front[38..].first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
    let (head, rest) = rest.split_at_checked(head_len as usize).ok_or_else(short)?;
    let (count, body) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let header = postcard::take_from_bytes(head).map_err(|error| damaged("header", error))?;
    let (header, []) = header else {
        return Err(damaged("header", "bytes are left after its last field"));
    };
    let private = Part { bytes: private, is_packed: packing & PRIVATE_IS_PACKED != 0 };
    Ok(Parts {
        header,
        count: u32::from_le_bytes(*count),
        shared: Part { bytes: body, is_packed: packing & SHARED_IS_PACKED != 0 },
        private: (!private.bytes.is_empty()).then_some(private),
    })
}

fn check_format(bytes: &[u8]) -> Result<(), GroupError> {
    match bytes.first() {
        Some(&FORMAT) => Ok(()),
        Some(&newer) if newer > FORMAT => Err(GroupError::Newer(newer)),
        _ => Err(damaged("group", "its format is unknown")),
    }
}

fn next<T: serde::de::DeserializeOwned>(rest: &mut &[u8]) -> Result<T, GroupError> {
    let (value, after) = postcard::take_from_bytes(rest).map_err(|error| damaged("entry", error))?;
    *rest = after;
    Ok(value)
}

/// An entry from what is shared of it and, at its own site, from the rest.
fn joined(shared: Told, rest: Option<Kept>) -> Result<Entry, GroupError> {
    let is_in_place = |event: &Event| !event.is_private() && event.deadline().is_none_or(|at| at == SiteTime::NEVER);
    if shared.iter().any(|(.., events)| !events.iter().all(is_in_place)) {
        return Err(damaged("entry", "it tells other sites what is not theirs"));
    }
    let Some((who, idempotency, deadlines, private)) = rest else {
        return Ok(match shared {
            Some((actor, request_id, events)) => Entry { actor, request_id, idempotency: None, events },
            None => Entry::withheld(),
        });
    };
    let (actor, request_id, shared) = match (shared, who) {
        (Some(shared), None) => shared,
        (None, Some((actor, request_id))) => (actor, request_id, Vec::new()),
        _ => return Err(damaged("entry", "its parts do not belong together")),
    };
    let mut events = Vec::with_capacity(shared.len() + private.len());
    let mut shared = shared.into_iter();
    for (place, event) in private {
        let before = (place as usize).checked_sub(events.len());
        events.extend(shared.by_ref().take(before.unwrap_or(0)));
        if events.len() != place as usize || !event.is_private() {
            return Err(damaged("entry", "an event has no place in it"));
        }
        events.push(event);
    }
    events.extend(shared);
    let mut entry = Entry { actor, request_id, idempotency, events };
    if !entry.show_deadlines(deadlines) {
        return Err(damaged("entry", "it has not as many deadlines as holds"));
    }
    Ok(entry)
}

fn damaged(what: &str, why: impl std::fmt::Display) -> GroupError {
    GroupError::Damaged(format!("{what}: {why}"))
}

impl Digest {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |at: usize| text.as_bytes().get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(digit(2 * at)? << 4 | digit(2 * at + 1)?).ok()?;
        }
        (text.len() == 64).then_some(Self(bytes))
    }

    /// Of these bytes. A group is known by [`digest`].
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
