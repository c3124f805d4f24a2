//! Where long results go: a file that is there only when it is whole, or standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::print;

const BUFFER_BYTES: usize = 256 << 10;

/// Bytes on their way out, compressed if wished.
pub(crate) struct Output {
    to: To,
    file: Option<Part>,
}

/// A file while it is written. It goes away with what is not finished.
struct Part {
    part: PathBuf,
    /// Its name when it is whole.
    path: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It was renamed, or is of no use; that it cannot be deleted is told by its name.
        drop(fs::remove_file(&self.part));
    }
}

enum To {
    Plain(BufWriter<Box<dyn Write>>),
    Gzip(GzEncoder<BufWriter<Box<dyn Write>>>),
}

impl Output {
    /// Opens a file, or standard output for `-`. A name that ends in `.gz` is a wish to compress.
    pub(crate) fn open(path: &Path, gzip: bool) -> anyhow::Result<Self> {
        let (to, file): (Box<dyn Write>, _) = if path == Path::new("-") {
            (Box::new(print::out()), None)
        } else {
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            let part = PathBuf::from(part);
            let made = File::create(&part).with_context(|| format!("{} could not be made", part.display()))?;
            (Box::new(made), Some(Part { part, path: path.to_owned() }))
        };
        let to = BufWriter::with_capacity(BUFFER_BYTES, to);
        let gzip = gzip || path.extension().is_some_and(|ending| ending == "gz");
        // No time and no name in the head of the file: equal content gives equal bytes.
        let to = if gzip { To::Gzip(GzEncoder::new(to, Compression::default())) } else { To::Plain(to) };
        Ok(Self { to, file })
    }

    /// Writes all that is left, and gives the file its name.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let written = match self.to {
            To::Plain(mut to) => to.flush(),
            To::Gzip(to) => to.finish().and_then(|mut to| to.flush()),
        };
        gone_quietly(&written);
        written.context("the result could not be written")?;
        if let Some(Part { part, path }) = &self.file {
            let named = File::open(part).and_then(|file| file.sync_all()).and_then(|()| fs::rename(part, path));
            named.with_context(|| format!("{} could not be given its name {}", part.display(), path.display()))?;
        }
        Ok(())
    }

    /// Writes a piece.
    pub(crate) fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let written = match &mut self.to {
            To::Plain(to) => to.write_all(text.as_bytes()),
            To::Gzip(to) => to.write_all(text.as_bytes()),
        };
        gone_quietly(&written);
        written.context("the result could not be written")
    }
}

/// A reader that has gone away (`kontor export products | head`) ends the program quietly.
fn gone_quietly(written: &io::Result<()>) {
    if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        std::process::exit(0);
    }
}
