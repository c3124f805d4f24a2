//! The file SITE: whose directory this is, and whether it is still where it was made.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{DirectoryError, Term, failed};
use crate::journal::local::sync_dir;

const SITE: &str = "SITE";

/// What SITE says.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) site: String,
    pub(super) term: Term,
    /// Whether the file is the one that was written, or a copy of it.
    pub(super) is_of_this_very_file: bool,
}

/// SITE as it is written. Texts, because an inode may be larger than an integer of TOML.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct SiteFile {
    site: String,
    term: Term,
    /// Of this very file. A copy has another one.
    inode: String,
    /// When this very file was made, in nanoseconds since 1970, where the file system says so. Tells
    /// apart a copy that was given the inode of a deleted original.
    created: Option<String>,
}

impl Identity {
    /// What the SITE of a directory says, if there is one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, DirectoryError> {
        let path = dir.join(SITE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("reading", &path, source)),
        };
        let site: SiteFile = toml::from_str(&text).map_err(|error| DirectoryError::NotADataDirectory {
            path: dir.to_owned(),
            why: format!("its file SITE is not readable: {}", error.message()),
        })?;
        let file = File::open(&path).map_err(|source| failed("opening", &path, source))?;
        let (inode, created) = mark_of(&file).map_err(|source| failed("looking at", &path, source))?;
        Ok(Some(Self {
            is_of_this_very_file: site.inode == inode && site.created == created,
            site: site.site,
            term: site.term,
        }))
    }

    /// Writes the SITE of a new directory. Whole and durable, or not there.
    pub(super) fn create(dir: &Path, site: &str, term: Term) -> Result<Self, DirectoryError> {
        let path = dir.join(SITE);
        write(dir, site, term).map_err(|source| failed("writing", &path, source))?;
        Ok(Self { site: site.to_owned(), term, is_of_this_very_file: true })
    }
}

fn write(dir: &Path, site: &str, term: Term) -> io::Result<()> {
    // Renamed, the file is still the same one.
    let partial = dir.join("SITE.tmp");
    let mut file = File::create(&partial)?;
    let (inode, created) = mark_of(&file)?;
    let text = toml::to_string(&SiteFile { site: site.to_owned(), term, inode, created }).map_err(io::Error::other)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, dir.join(SITE))?;
    sync_dir(dir)
}

/// What a copy of a file does not share with it.
fn mark_of(file: &File) -> io::Result<(String, Option<String>)> {
    let metadata = file.metadata()?;
    let created = metadata.created().ok();
    let created = created.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Ok((metadata.ino().to_string(), created.map(|at| at.as_nanos().to_string())))
}
