//! Where bytes come from: a file or standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use kontor_core::text::hex;
use sha2::{Digest as _, Sha256};

use super::{Code, Stop};

const BUFFER_BYTES: usize = 256 << 10;

/// Formats that people send by mistake, by their first bytes.
const NO_TEXT: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook; save the sheet as CSV (UTF-8)"),
    (b"\xD0\xCF\x11\xE0", "an old Excel workbook; save the sheet as CSV (UTF-8)"),
    (b"\xFF\xFE", "UTF-16; save it as UTF-8"),
    (b"\xFE\xFF", "UTF-16; save it as UTF-8"),
    (b"\x28\xB5\x2F\xFD", "compressed with zstd; decompress it first"),
    (b"BZh", "compressed with bzip2; decompress it first"),
    (b"\xFD7zXZ", "compressed with xz; decompress it first"),
    (b"%PDF", "a PDF document"),
];

/// Bytes to read, and how many of them are read.
pub(crate) struct Source {
    pub(crate) bytes: Box<dyn BufRead + Send>,
    pub(crate) is_gzip: bool,
    /// Bytes of the file as it lies on the disk; not known of standard input.
    pub(crate) size: Option<u64>,
    /// How many of them have been read.
    pub(crate) read: Arc<AtomicU64>,
}

impl Source {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Stop> {
        if path == Path::new("-") {
            return Self::of(io::stdin(), None);
        }
        let failed = |error: io::Error| Stop::new(0, Code::Unreadable, error.to_string());
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(Stop::new(0, Code::Unreadable, "it is a folder"));
        }
        // A pipe or device has no size.
        Self::of(file, about.is_file().then_some(about.len()))
    }

    /// Looks at the first bytes: gzip is unpacked, a byte order mark is dropped, what is no text is refused.
    pub(crate) fn of(from: impl Read + Send + 'static, size: Option<u64>) -> Result<Self, Stop> {
        let read = Arc::new(AtomicU64::new(0));
        let mut counted = Counted { from, read: read.clone() };
        let head = head(&mut counted, false)?;
        let is_gzip = head.starts_with(b"\x1F\x8B");
        let bytes = io::Cursor::new(head.clone()).chain(counted);
        if !is_gzip {
            return Ok(Self { bytes: text(head, bytes)?, is_gzip, size, read });
        }
        let mut unpacked = Unpacked(Some(GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, bytes))));
        let head = self::head(&mut unpacked, true)?;
        let bytes = text(head.clone(), io::Cursor::new(head).chain(unpacked))?;
        Ok(Self { bytes, is_gzip, size, read })
    }
}

/// SHA-256 of a file as it lies on the disk.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
    let mut hash = Sha256::new();
    loop {
        let bytes = file.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            return Ok(hex(&hash.finalize()).to_string());
        }
        hash.update(bytes);
        file.consume(length);
    }
}

/// What failed while bytes were read, told so that a person knows what to do.
pub(crate) fn stopped(error: &io::Error, is_gzip: bool, line: u64) -> Stop {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if is_gzip => {
            Stop::new(line, Code::GzipTruncated, "the compressed file ends in the middle; it was not copied whole")
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if is_gzip => {
            Stop::new(line, Code::GzipDamaged, format!("the compressed file is damaged: {error}"))
        }
        _ => Stop::new(line, Code::Unreadable, format!("the file cannot be read on: {error}")),
    }
}

/// The longest of the marks that tell formats apart.
const HEAD_BYTES: usize = 8;

fn head(from: &mut impl Read, is_gzip: bool) -> Result<Vec<u8>, Stop> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let limit = u64::try_from(HEAD_BYTES).expect("a small number");
    from.take(limit).read_to_end(&mut head).map_err(|error| stopped(&error, is_gzip, 0))?;
    Ok(head)
}

/// The bytes of a text, without a byte order mark.
fn text(head: Vec<u8>, bytes: impl Read + Send + 'static) -> Result<Box<dyn BufRead + Send>, Stop> {
    if let Some((_, what)) = NO_TEXT.iter().find(|(mark, _)| head.starts_with(mark)) {
        return Err(Stop::new(0, Code::NotText, format!("this is {what}")));
    }
    let mut bytes = BufReader::with_capacity(BUFFER_BYTES, bytes);
    if head.starts_with(b"\xEF\xBB\xBF") {
        bytes.read_exact(&mut [0; 3]).map_err(|error| stopped(&error, false, 0))?;
    }
    Ok(Box::new(bytes))
}

/// A compressed file: its parts one after the other, without the zeros that may fill up its end.
struct Unpacked<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = &mut self.0 {
            let length = part.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            loop {
                let bytes = rest.fill_buf()?;
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                let is_over = bytes.is_empty();
                let is_part = zeros < bytes.len();
                rest.consume(zeros);
                if is_part {
                    self.0 = Some(GzDecoder::new(rest));
                    break;
                }
                if is_over {
                    return Ok(0);
                }
            }
        }
        Ok(0)
    }
}

struct Counted<R> {
    from: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
