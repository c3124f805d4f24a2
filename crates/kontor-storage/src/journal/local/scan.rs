//! Reads a whole segment and says how it ends: a clean end, a torn tail, or damage.
//!
//! | at the first place without a valid frame | verdict |
//! | --- | --- |
//! | zeros to the end of the file | the end |
//! | a valid frame header anywhere later | damage: an append begins when the one before is durable, so only the last frame can be torn |
//! | a valid header, and a sector of the frame is zero | torn |
//! | a valid header, and no sector of the frame is zero | damage: all of it was written, then changed |
//! | no valid header, its sector zero, later bytes look like the rest of one frame | torn |
//! | no valid header, its sector not zero | damage: a sector is written wholly or not at all |
//! | anything behind a torn frame or a marker | damage |
//!
//! A sealed segment has no tail: any verdict but a seal at its very end is damage.

use super::format::{self, FrameHeader, HEADER_BYTES, Kind, SECTOR_BYTES, SegmentHeader, is_blank, is_zero, sectors};
use crate::journal::Seq;

/// A segment that can be trusted up to `frames_end`.
#[derive(Debug)]
pub(super) struct Scan {
    /// The last group; the one before the segment if it has none.
    pub(super) last: Seq,
    /// Where the frames of groups end.
    pub(super) frames_end: usize,
    pub(super) group_bytes: u64,
    pub(super) ending: Ending,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// The frames just end: the writer is at work, or did not say goodbye.
    Open,
    Closed,
    Sealed,
    /// The frame at `frames_end` was never wholly written. So many bytes of it, from there to the last
    /// that is not zero.
    Torn {
        bytes: usize,
    },
}

/// What is wrong with a segment, and where.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) offset: usize,
    pub(super) seq: Option<Seq>,
    pub(super) why: String,
}

/// Walks `file`, all bytes of the segment with this header.
pub(super) fn scan(header: &SegmentHeader, file: &[u8]) -> Result<Scan, Damage> {
    let first = header.first;
    let mut last = first - 1;
    let mut at = HEADER_BYTES;
    let mut group_bytes = 0;
    let ending = loop {
        let Some(frame) = frame_at(first, at, file) else {
            break judge_tail(first, last + 1, at, file)?;
        };
        let expected = match frame.kind {
            Kind::Group => last + 1,
            Kind::Closed | Kind::Sealed => last,
        };
        if frame.seq != expected {
            return Err(Damage {
                offset: at,
                seq: Some(expected),
                why: format!("group {} stands where {expected} should", frame.seq),
            });
        }
        let end = at + frame.frame_bytes();
        match frame.kind {
            Kind::Group => {
                last += 1;
                group_bytes += u64::try_from(frame.payload_bytes).expect("it is a u32");
                at = end;
            }
            Kind::Closed | Kind::Sealed => {
                if let Some(stray) = file[end..].iter().position(|byte| *byte != 0) {
                    return Err(Damage {
                        offset: end + stray,
                        seq: None,
                        why: "there are bytes behind the end of the journal".to_owned(),
                    });
                }
                break if frame.kind == Kind::Closed { Ending::Closed } else { Ending::Sealed };
            }
        }
    };
    let is_cut = u64::try_from(file.len()).expect("a usize fits") != header.capacity;
    if is_cut && ending != Ending::Sealed {
        return Err(Damage {
            offset: file.len(),
            seq: Some(last + 1),
            why: format!("the file has {} bytes where it was made with {}", file.len(), header.capacity),
        });
    }
    Ok(Scan { last, frames_end: at, group_bytes, ending })
}

/// The header of the frame at `at`, if the whole frame is valid.
fn frame_at(first: Seq, at: usize, file: &[u8]) -> Option<FrameHeader> {
    let offset = offset(at);
    let frame = FrameHeader::decode(first, offset, file.get(at..)?)?;
    let bytes = file.get(at..at.checked_add(frame.frame_bytes())?)?;
    frame.is_whole(first, offset, bytes).then_some(frame)
}

/// What is at `at`, where the frame of `seq` should be and no valid frame is.
fn judge_tail(first: Seq, seq: Seq, at: usize, file: &[u8]) -> Result<Ending, Damage> {
    let damage = |offset, why: String| Err(Damage { offset, seq: Some(seq), why });
    let tail = &file[at..];
    let Some(last_byte) = tail.iter().rposition(|byte| *byte != 0) else {
        return Ok(Ending::Open);
    };
    let bytes = last_byte + 1;

    let mut later = (at + MIN_STEP..at + bytes).step_by(MIN_STEP);
    if let Some(later) = later.find(|later| FrameHeader::decode(first, offset(*later), &file[*later..]).is_some()) {
        return damage(at, format!("the group is not what was written, and another follows it at byte {later}"));
    }

    if let Some(frame) = FrameHeader::decode(first, offset(at), tail) {
        let extent = frame.frame_bytes();
        let Some(inside) = tail.get(..extent) else {
            return damage(at, "the file ends within the group".to_owned());
        };
        if bytes > extent {
            return damage(at + last_byte, "there are bytes behind the end of the journal".to_owned());
        }
        if sectors(offset(at), inside).any(is_zero) {
            return Ok(Ending::Torn { bytes });
        }
        return damage(at, "the group is not what was written, and no part of it is missing".to_owned());
    }

    let mut parts = sectors(offset(at), &tail[..bytes.next_multiple_of(SECTOR_BYTES).min(tail.len())]);
    let header_is_missing = parts.next().is_some_and(is_zero);
    if !header_is_missing {
        return damage(at, "the header of a group is not what was written".to_owned());
    }
    // What is left of a frame without its first sector: sectors that a frame could have written.
    if parts.all(|part| is_zero(part) || !is_blank(part)) {
        return Ok(Ending::Torn { bytes });
    }
    damage(at + last_byte, "there are bytes behind the end of the journal".to_owned())
}

/// Frames begin at multiples of this.
const MIN_STEP: usize = format::MARKER_BYTES / 2;

fn offset(at: usize) -> u64 {
    u64::try_from(at).expect("a usize fits")
}
