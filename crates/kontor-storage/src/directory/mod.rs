//! The data directory: whose it is, that it is used once at a time, and its copies.
//!
//! ```text
//! LOCK              held while a process has the directory open
//! SITE              the site, its term, and which file on which disk this is
//! journal/<term>/   segments of the journal; the newest term is appended to
//! journal/peers/<site>/<term>/   what was read of the journals of other sites
//! archive/<term>/   older segments, which may be on another, cheaper disk; archive/peers as well
//! tables/           a cache; may be deleted while nothing runs
//! keys/             what may be destroyed; in no backup of the directory, see [`crate::keys`]
//! ```
//!
//! A directory that was copied does not start: two sites that continue one journal would each promise
//! what the other does not know of. Not noticed is a disk that is copied as a whole, or rolled back.

mod copy;
mod identity;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub use copy::{BackupReport, Progress, RestoreReport, backup, restore};
use identity::Identity;

use crate::journal::ReadError;
use crate::journal::local::{OpenError, create_dir_synced};

/// A term of a site's journal: a new one begins when the site is restored.
pub type Term = u32;

const LOCK: &str = "LOCK";
const JOURNAL: &str = "journal";
const ARCHIVE: &str = "archive";
const TABLES: &str = "tables";
/// No term has such a name.
const PEERS: &str = "peers";

/// An open data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    site: String,
    /// Never empty.
    terms: Vec<Term>,
    /// Nobody else has the directory open while this is. `None` if it is open for reading.
    _lock: Option<File>,
}

/// Why a data directory is not opened, backed up or restored.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it open.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// It is not one, or not a whole one.
    #[error("{} is not a data directory: {why}", path.display())]
    NotADataDirectory {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// It belongs to another site.
    #[error("{} belongs to the site {found}, not to {wanted}", path.display())]
    OtherSite {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// It was copied. Two sites that continue one journal would each promise what the other does not
    /// know of.
    #[error(
        "{} is a copy of a data directory and is not started as the same site; take a copy with \
         `kontor backup` and bring it back with `kontor restore`, which begins a new term",
        path.display()
    )]
    Copied {
        /// The directory.
        path: PathBuf,
    },
    /// The name of the site cannot be one.
    #[error("{site:?} cannot name a site: {why}")]
    SiteName {
        /// The name.
        site: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The target is not empty.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The target.
        path: PathBuf,
    },
    /// A backup is not what was written.
    #[error("the backup is damaged: {} {why}", file.display())]
    BackupDamaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The disk did not answer, or refused.
    #[error("{doing} {} failed", file.display())]
    Io {
        /// What was being done, as "reading".
        doing: &'static str,
        /// To which file.
        file: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl DataDir {
    /// Opens the directory of `site`, or creates it, and takes its lock.
    pub fn open(path: impl AsRef<Path>, site: &str) -> Result<Self, DirectoryError> {
        let path = path.as_ref();
        check_site_name(site)?;
        create_dir_synced(path).map_err(|source| failed("creating", path, source))?;
        let lock = lock(path)?;
        let identity = match Identity::read(path)? {
            Some(identity) => identity,
            None if holds_journals(path)? => return Err(site_is_missing(path)),
            None => Identity::create(path, site, 1)?,
        };
        if identity.site != site {
            return Err(DirectoryError::OtherSite {
                path: path.to_owned(),
                found: identity.site,
                wanted: site.to_owned(),
            });
        }
        if !identity.is_of_this_very_file {
            return Err(DirectoryError::Copied { path: path.to_owned() });
        }
        Self::with(path, identity, Some(lock))
    }

    /// Opens it, or a copy of it, beside a running site: without its lock and without changing
    /// anything.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, DirectoryError> {
        let path = path.as_ref();
        let identity = Identity::read(path)?.ok_or_else(|| site_is_missing(path))?;
        Self::with(path, identity, None)
    }

    fn with(path: &Path, identity: Identity, lock: Option<File>) -> Result<Self, DirectoryError> {
        let mut terms = terms_in(&path.join(JOURNAL))?;
        terms.extend(terms_in(&path.join(ARCHIVE))?);
        terms.push(identity.term);
        terms.sort_unstable();
        terms.dedup();
        if terms.last() != Some(&identity.term) {
            return Err(DirectoryError::NotADataDirectory {
                path: path.to_owned(),
                why: format!("it holds journals of later terms than its own, {}", identity.term),
            });
        }
        Ok(Self { path: path.to_owned(), site: identity.site, terms, _lock: lock })
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The newest term: the one that is appended to.
    #[must_use]
    pub fn term(&self) -> Term {
        *self.terms.last().expect("there is always a term")
    }

    /// All terms, oldest first. The newest may not have a journal yet.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// What the journal of a term is to be called: `site/term`.
    #[must_use]
    pub fn label(&self, term: Term) -> String {
        format!("{}/{term}", self.site)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journal of a term is.
    #[must_use]
    pub fn journal_path(&self, term: Term) -> PathBuf {
        self.path.join(JOURNAL).join(term.to_string())
    }

    /// Where the older segments of a term are.
    #[must_use]
    pub fn archive_path(&self, term: Term) -> PathBuf {
        self.path.join(ARCHIVE).join(term.to_string())
    }

    /// Other sites of whose journals something is kept here, in the order of their names.
    pub fn peers(&self) -> Result<Vec<String>, DirectoryError> {
        peers_in(&self.path.join(JOURNAL))
    }

    /// Makes room for another site's journal, for good.
    pub fn add_peer(&self, site: &str) -> Result<(), DirectoryError> {
        check_site_name(site)?;
        let path = self.path.join(JOURNAL).join(PEERS).join(site);
        create_dir_synced(&path).map_err(|source| failed("creating", &path, source))
    }

    /// The terms of another site's journal of which something is kept here, oldest first.
    pub fn peer_terms(&self, site: &str) -> Result<Vec<Term>, DirectoryError> {
        let mut terms = terms_in(&self.path.join(JOURNAL).join(PEERS).join(site))?;
        terms.sort_unstable();
        Ok(terms)
    }

    /// Where the journal of a term of another site is kept.
    #[must_use]
    pub fn peer_journal_path(&self, site: &str, term: Term) -> PathBuf {
        self.path.join(JOURNAL).join(peer_term(site, term))
    }

    /// Where the older segments of it are.
    #[must_use]
    pub fn peer_archive_path(&self, site: &str, term: Term) -> PathBuf {
        self.path.join(ARCHIVE).join(peer_term(site, term))
    }

    /// Where the tables are.
    #[must_use]
    pub fn tables_path(&self) -> PathBuf {
        self.path.join(TABLES)
    }
}

/// Bytes that may still be written to the disk that a directory is on.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

impl From<ReadError> for DirectoryError {
    fn from(error: ReadError) -> Self {
        Self::Journal(error.into())
    }
}

fn lock(path: &Path) -> Result<File, DirectoryError> {
    let file = path.join(LOCK);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|source| failed("opening", &file, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DirectoryError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("locking", &file, source)),
    }
}

/// A site is named in labels, logs and paths.
fn check_site_name(site: &str) -> Result<(), DirectoryError> {
    let refuse = |why| Err(DirectoryError::SiteName { site: site.to_owned(), why });
    if !(1..=32).contains(&site.len()) {
        return refuse("it must have 1 to 32 characters");
    }
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !site.chars().all(is_allowed) || site.starts_with('-') {
        return refuse("it may have a-z, 0-9 and, not at the start, -");
    }
    Ok(())
}

/// Terms that have a directory in `parent`.
fn terms_in(parent: &Path) -> Result<Vec<Term>, DirectoryError> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("listing", parent, source)),
    };
    let mut terms = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| failed("listing", parent, source))?;
        let name = entry.file_name();
        terms.extend(name.to_str().and_then(|name| name.parse::<Term>().ok()));
    }
    Ok(terms)
}

fn peers_in(journal: &Path) -> Result<Vec<String>, DirectoryError> {
    let parent = journal.join(PEERS);
    let entries = match fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("listing", &parent, source)),
    };
    let mut peers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| failed("listing", &parent, source))?;
        peers.extend(entry.file_name().into_string().ok().filter(|name| check_site_name(name).is_ok()));
    }
    peers.sort_unstable();
    Ok(peers)
}

/// The place of a term of another site's journal, below the journals.
fn peer_term(site: &str, term: Term) -> PathBuf {
    Path::new(PEERS).join(site).join(term.to_string())
}

fn holds_journals(path: &Path) -> Result<bool, DirectoryError> {
    let journals = terms_in(&path.join(JOURNAL))?;
    let archives = terms_in(&path.join(ARCHIVE))?;
    Ok(!journals.is_empty() || !archives.is_empty())
}

fn site_is_missing(path: &Path) -> DirectoryError {
    DirectoryError::NotADataDirectory {
        path: path.to_owned(),
        why: "its file SITE is missing; if a restore was interrupted, empty the directory and run it \
              again"
            .to_owned(),
    }
}

fn failed(doing: &'static str, file: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { doing, file: file.to_owned(), source }
}
