//! The bytes of a segment file.
//!
//! ```text
//! header   4096 bytes: magic 8 · format u16 · label length u16 · zero 4 · first seq u64 ·
//!                      capacity u64 · label · zeros · crc32 of all before it
//! frame    32 bytes:   magic 4 · payload length u32 · seq u64 · kind u8 · zero 1 · mask u16 ·
//!                      zero 8 · crc32 of the place and all before it
//!          payload, each pair of bytes xor mask · zeros
//!          8 bytes:    crc32 of the place, the frame's header, payload and zeros · magic 4
//! ```
//! Integers are little-endian. A frame begins and ends at a multiple of 32, so that neither its header
//! nor its trailer lies in two sectors. *The place* is the first seq of the segment and the offset of
//! the frame: a frame copied or written to elsewhere is not valid there.
//!
//! No sector that a frame touches is *blank* (has eight bits set or fewer) in the frame's part of it:
//! the first has the header's magic, the last the trailer's, and for those between a mask is chosen
//! that leaves none blank; nearly always zero, which leaves the payload as it is. Unwritten space is
//! zero. So a sector of zeros within a frame proves that the frame was never wholly written, and no
//! flipped bit can look like that.

use crc32fast::Hasher;

use crate::journal::Seq;

/// Size of a segment's header, and so the offset of its first frame.
pub(super) const HEADER_BYTES: usize = 4096;
/// Disks write at least this much or nothing.
pub(super) const SECTOR_BYTES: usize = 512;
/// A frame without payload: what [`Kind::Closed`] and [`Kind::Sealed`] take.
pub(super) const MARKER_BYTES: usize = 64;
/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u16 = 1;
pub(super) const LABEL_BYTES_MAX: usize = 255;

const SEGMENT_MAGIC: [u8; 8] = *b"KJournal";
const FRAME_MAGIC: [u8; 4] = *b"kGrp";
const TRAILER_MAGIC: [u8; 4] = *b"kEnd";
const FRAME_HEADER_BYTES: usize = 32;
const TRAILER_BYTES: usize = 8;
const ALIGN: usize = 32;
/// A sector of a frame has more bits set than this.
const BLANK_BITS: u32 = 8;

/// What a segment says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SegmentHeader {
    pub(super) label: String,
    pub(super) first: Seq,
    /// Size of the file while it is appended to. A shorter file must end in a [`Kind::Sealed`].
    pub(super) capacity: u64,
}

/// Why the first bytes of a file are not a segment's header.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum HeaderError {
    Damaged(&'static str),
    Newer(u16),
}

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A group.
    Group = 1,
    /// The clean end of the journal. Only ever the last frame; wiped when the journal is opened.
    Closed = 2,
    /// The end of a segment that has a successor. The last bytes of the file.
    Sealed = 3,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FrameHeader {
    pub(super) kind: Kind,
    /// Of the group; of a marker, the last group before it.
    pub(super) seq: Seq,
    pub(super) payload_bytes: usize,
    mask: [u8; 2],
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let label_len = u16::try_from(self.label.len()).expect("the label was checked at open");
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[10..12].copy_from_slice(&label_len.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[32..32 + self.label.len()].copy_from_slice(self.label.as_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The magic, the format and the crc keep their places in all formats.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else {
            return Err(HeaderError::Damaged("the file is shorter than its header"));
        };
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(HeaderError::Damaged("the file is not a journal segment"));
        }
        if crc32fast::hash(&bytes[..HEADER_BYTES - 4]) != u32_at(bytes, HEADER_BYTES - 4) {
            return Err(HeaderError::Damaged("the checksum of the header is wrong"));
        }
        let format = u16_at(bytes, 8);
        if format > FORMAT {
            return Err(HeaderError::Newer(format));
        }
        let label = bytes.get(32..32 + usize::from(u16_at(bytes, 10)));
        let label = label.and_then(|label| std::str::from_utf8(label).ok());
        Ok(Self {
            label: label.ok_or(HeaderError::Damaged("the label is not readable"))?.to_owned(),
            first: u64_at(bytes, 16),
            capacity: u64_at(bytes, 24),
        })
    }
}

/// The size of a frame with such a payload.
pub(super) fn frame_bytes(payload_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + payload_bytes + TRAILER_BYTES).next_multiple_of(ALIGN)
}

/// Writes the frame that is to stand at `offset` of the segment that begins with `first` to `frame`.
pub(super) fn encode_frame(frame: &mut Vec<u8>, first: Seq, offset: u64, kind: Kind, seq: Seq, payload: &[u8]) {
    let total = frame_bytes(payload.len());
    let payload_end = FRAME_HEADER_BYTES + payload.len();
    let payload_len = u32::try_from(payload.len()).expect("the size was checked at append");
    frame.clear();
    frame.resize(total, 0);
    frame[..4].copy_from_slice(&FRAME_MAGIC);
    frame[4..8].copy_from_slice(&payload_len.to_le_bytes());
    frame[8..16].copy_from_slice(&seq.to_le_bytes());
    frame[16] = kind as u8;
    frame[FRAME_HEADER_BYTES..payload_end].copy_from_slice(payload);
    frame[total - 4..].copy_from_slice(&TRAILER_MAGIC);

    // A sector between the first and the last is blank under one mask at most, and a frame has fewer
    // of them than there are masks. More than one try takes a payload with half a kilobyte of one and
    // the same pair of bytes.
    for mask in 0..=u16::MAX {
        let mask = mask.to_le_bytes();
        if mask != [0, 0] {
            frame[FRAME_HEADER_BYTES..payload_end].copy_from_slice(payload);
            xor(&mut frame[FRAME_HEADER_BYTES..payload_end], mask);
        }
        if !sectors(offset, frame).any(is_blank) {
            frame[18..20].copy_from_slice(&mask);
            break;
        }
    }

    let header_crc = crc(first, offset, &frame[..28]);
    frame[28..32].copy_from_slice(&header_crc.to_le_bytes());
    let frame_crc = crc(first, offset, &frame[..total - TRAILER_BYTES]);
    frame[total - 8..total - 4].copy_from_slice(&frame_crc.to_le_bytes());
}

impl FrameHeader {
    /// Size of a frame's header, enough for [`FrameHeader::decode`].
    pub(super) const BYTES: usize = FRAME_HEADER_BYTES;

    /// The header of the frame at `offset` of the segment that begins with `first`, if it is one.
    pub(super) fn decode(first: Seq, offset: u64, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        if bytes[..4] != FRAME_MAGIC || crc(first, offset, &bytes[..28]) != u32_at(bytes, 28) {
            return None;
        }
        let kind = match bytes[16] {
            1 => Kind::Group,
            2 => Kind::Closed,
            3 => Kind::Sealed,
            _ => return None,
        };
        Some(Self {
            kind,
            seq: u64_at(bytes, 8),
            payload_bytes: usize::try_from(u32_at(bytes, 4)).ok()?,
            mask: [bytes[18], bytes[19]],
        })
    }

    /// The size of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes)
    }

    /// Whether `frame` is wholly what was written.
    pub(super) fn is_whole(&self, first: Seq, offset: u64, frame: &[u8]) -> bool {
        let total = self.frame_bytes();
        frame.len() == total
            && frame[total - 4..] == TRAILER_MAGIC
            && crc(first, offset, &frame[..total - TRAILER_BYTES]) == u32_at(frame, total - 8)
    }

    /// The payload of the frame.
    pub(super) fn payload(&self, frame: &[u8]) -> Vec<u8> {
        let mut payload = frame[FRAME_HEADER_BYTES..][..self.payload_bytes].to_vec();
        if self.mask != [0, 0] {
            xor(&mut payload, self.mask);
        }
        payload
    }
}

/// The parts of the sectors of a file that `bytes`, at `offset`, touch.
pub(super) fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let sector = u64::try_from(SECTOR_BYTES).expect("a small number");
    let into = usize::try_from(offset % sector).expect("less than a sector");
    let (head, rest) = bytes.split_at((SECTOR_BYTES - into).min(bytes.len()));
    std::iter::once(head).chain(rest.chunks(SECTOR_BYTES))
}

/// Whether these bytes are nothing that was ever written.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Whether these bytes, a frame's part of a sector, are too close to zeros to be of a frame.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    let mut bits = 0;
    for byte in bytes {
        bits += byte.count_ones();
        if bits > BLANK_BITS {
            return false;
        }
    }
    true
}

fn xor(bytes: &mut [u8], mask: [u8; 2]) {
    for pair in bytes.chunks_mut(2) {
        for (byte, mask) in pair.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

fn crc(first: Seq, offset: u64, bytes: &[u8]) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&first.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    let mut hasher = Hasher::new();
    hasher.update(&place);
    hasher.update(bytes);
    hasher.finalize()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_back_what_was_put_in() {
        for payload in [
            Vec::new(),
            b"some bytes".to_vec(),
            vec![0; 5000],
            vec![7; 5001],
            [vec![0; 2000], vec![1; 2000], [0, 1].repeat(999)].concat(),
            (0..4096u32).map(|i| i.to_le_bytes()[0]).collect(),
        ] {
            for offset in [4096, 4128, 4576] {
                let mut frame = Vec::new();
                encode_frame(&mut frame, 3, offset, Kind::Group, 9, &payload);
                let header = FrameHeader::decode(3, offset, &frame).expect("a header");
                assert_eq!((header.kind, header.seq), (Kind::Group, 9));
                assert!(header.is_whole(3, offset, &frame));
                assert_eq!(header.payload(&frame), payload);
                assert!(!sectors(offset, &frame).any(is_blank), "a sector of a frame is blank");
            }
        }
    }

    #[test]
    fn a_frame_is_valid_at_its_place_only() {
        let mut frame = Vec::new();
        encode_frame(&mut frame, 3, 4096, Kind::Group, 9, b"some bytes");
        assert!(FrameHeader::decode(3, 4128, &frame).is_none());
        assert!(FrameHeader::decode(4, 4096, &frame).is_none());
    }

    #[test]
    fn markers_have_the_size_that_is_kept_free_for_them() {
        assert_eq!(frame_bytes(0), MARKER_BYTES);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let header = SegmentHeader { label: "main/1".to_owned(), first: 7, capacity: 1 << 20 };
        let mut bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        bytes[8] = 2;
        assert!(matches!(SegmentHeader::decode(&bytes), Err(HeaderError::Damaged(_))));
        let crc = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Newer(2)));
    }
}
