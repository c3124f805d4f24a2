//! Backup and restore.
//!
//! A backup is the segments of all terms, those kept of other sites' journals too, and a `MANIFEST`
//! with the size and checksum of each file. It is taken beside a running site: sealed segments do not change, and of the active one the groups are
//! taken that are whole. Tables are not in it; they are rebuilt.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::identity::Identity;
use super::{ARCHIVE, DataDir, DirectoryError, JOURNAL, PEERS, Term, failed, lock};
use crate::journal::Seq;
use crate::journal::local::{self, ActivePart, create_dir_synced, sync_dir};

const MANIFEST: &str = "MANIFEST";
const MANIFEST_FORMAT: u32 = 1;

/// How far a backup or restore is, after each file.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is being done: "copying" or "verifying".
    pub step: &'static str,
    /// The file just finished, relative to the directory.
    pub file: &'a Path,
    /// Files finished in this step.
    pub files_done: usize,
    /// Files in this step.
    pub files: usize,
    /// Bytes finished in this step.
    pub bytes_done: u64,
}

/// What a backup holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackupReport {
    /// The site.
    pub site: String,
    /// Its newest term.
    pub term: Term,
    /// The last group of that term in the backup; 0 if it has none.
    pub end: Seq,
    /// Files copied.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

/// What a restore made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestoreReport {
    /// The site.
    pub site: String,
    /// The term that begins, one more than the last in the backup.
    pub term: Term,
    /// Files copied.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

/// The file MANIFEST. Its first line is the checksum of the rest.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    site: String,
    term: Term,
    end: Seq,
    #[serde(default)]
    files: Vec<ManifestFile>,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    path: PathBuf,
    bytes: u64,
    crc32: u32,
}

/// Where a file of a backup comes from.
enum Source {
    Sealed { file: File, from: PathBuf },
    Active(ActivePart),
}

/// Copies the journals of a running or stopped site to `target`, which must be empty or not exist. What
/// was written is read back and verified before this returns.
pub fn backup(
    data: &Path,
    target: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<BackupReport, DirectoryError> {
    let dir = DataDir::open_read_only(data)?;
    make_empty(target)?;
    let mut manifest =
        Manifest { format: MANIFEST_FORMAT, site: dir.site().to_owned(), term: dir.term(), end: 0, files: Vec::new() };

    let mut sources = Vec::new();
    // One's own journal first: what it says to have seen of others is then in their copies.
    for place in journals_in(data)? {
        let (journal, archive) = (data.join(JOURNAL).join(&place), data.join(ARCHIVE).join(&place));
        let Some(active) = local::active_part(&journal, &archive)? else {
            continue;
        };
        if place == Path::new(&dir.term().to_string()) {
            manifest.end = active.end;
        }
        for first in &active.sealed {
            // Opened now, so that a move to the archive meanwhile does not matter.
            let (from, file) = local::open_segment(&journal, &archive, *first)?;
            let parent = if from.starts_with(&archive) { ARCHIVE } else { JOURNAL };
            let to = segment_in(parent, &place, &from);
            sources.push((to, Source::Sealed { file, from }));
        }
        let to = segment_in(JOURNAL, &place, &active.path);
        sources.push((to, Source::Active(active)));
    }

    let mut bytes_done = 0;
    let files = sources.len();
    for (files_done, (path, source)) in (1..).zip(sources) {
        let to = target.join(&path);
        make_parent(&to)?;
        let (bytes, crc32) = match source {
            Source::Sealed { file, from } => copy(&from, file, &to)?,
            Source::Active(active) => copy(&active.path, active.bytes.as_slice(), &to)?,
        };
        bytes_done += bytes;
        progress(Progress { step: "copying", file: &path, files_done, files, bytes_done });
        manifest.files.push(ManifestFile { path, bytes, crc32 });
    }
    sync_tree(target)?;
    manifest.write(target)?;

    let manifest = Manifest::read(target)?;
    manifest.verify_files(target, progress)?;
    verify_journals(target)?;
    Ok(BackupReport { site: manifest.site, term: manifest.term, end: manifest.end, files, bytes: bytes_done })
}

/// Makes the data directory `target`, which must be empty or not exist, from a backup. The site begins
/// a new term: it may have promised things after the backup was taken, and must not say their numbers
/// again. The term is at least `term_min`: a caller that passes a number which grows with time makes
/// sure that two restores of one backup do not begin the same term either.
pub fn restore(
    backup: &Path,
    target: &Path,
    term_min: Term,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<RestoreReport, DirectoryError> {
    let manifest = Manifest::read(backup)?;
    make_empty(target)?;
    let _lock = lock(target)?;
    let mut bytes_done = 0;
    for (files_done, listed) in (1..).zip(&manifest.files) {
        let (from, to) = (backup.join(&listed.path), target.join(&listed.path));
        let file = File::open(&from).map_err(|source| failed("opening", &from, source))?;
        make_parent(&to)?;
        listed.compare(&from, copy(&from, file, &to)?)?;
        bytes_done += listed.bytes;
        progress(Progress { step: "copying", file: &listed.path, files_done, files: manifest.files.len(), bytes_done });
    }
    sync_tree(target)?;
    manifest.verify_files(target, progress)?;
    verify_journals(target)?;

    // Last: without SITE the directory does not start.
    let term = (manifest.term + 1).max(term_min);
    Identity::create(target, &manifest.site, term)?;
    Ok(RestoreReport { site: manifest.site, term, files: manifest.files.len(), bytes: bytes_done })
}

impl Manifest {
    fn write(&self, dir: &Path) -> Result<(), DirectoryError> {
        let path = dir.join(MANIFEST);
        let io = |source| failed("writing", &path, source);
        let body = toml::to_string(self).map_err(|error| io(io::Error::other(error)))?;
        let text = format!("# crc32 {:08x}\n{body}", crc32fast::hash(body.as_bytes()));
        let mut file = File::create_new(&path).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        sync_dir(dir).map_err(io)
    }

    fn read(dir: &Path) -> Result<Self, DirectoryError> {
        let path = dir.join(MANIFEST);
        let damaged = |why: String| DirectoryError::BackupDamaged { file: path.clone(), why };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("is missing: the backup was not finished".to_owned()));
            }
            Err(source) => return Err(failed("reading", &path, source)),
        };
        let (first, body) = text.split_once('\n').unwrap_or_default();
        if first != format!("# crc32 {:08x}", crc32fast::hash(body.as_bytes())) {
            return Err(damaged("does not have its checksum".to_owned()));
        }
        let manifest: Self =
            toml::from_str(body).map_err(|error| damaged(format!("is not readable: {}", error.message())))?;
        if manifest.format != MANIFEST_FORMAT {
            let format = manifest.format;
            return Err(damaged(format!("has format {format}, this program knows {MANIFEST_FORMAT}")));
        }
        Ok(manifest)
    }

    /// Reads every file in `dir` and compares it with what is said of it here.
    fn verify_files(&self, dir: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), DirectoryError> {
        let mut bytes_done = 0;
        for (files_done, listed) in (1..).zip(&self.files) {
            let path = dir.join(&listed.path);
            let file = File::open(&path).map_err(|source| failed("opening", &path, source))?;
            listed.compare(&path, copy_to(&path, file, &mut io::sink())?)?;
            bytes_done += listed.bytes;
            progress(Progress {
                step: "verifying",
                file: &listed.path,
                files_done,
                files: self.files.len(),
                bytes_done,
            });
        }
        Ok(())
    }
}

impl ManifestFile {
    fn compare(&self, path: &Path, (bytes, crc32): (u64, u32)) -> Result<(), DirectoryError> {
        if (bytes, crc32) == (self.bytes, self.crc32) {
            return Ok(());
        }
        Err(DirectoryError::BackupDamaged {
            file: path.to_owned(),
            why: format!(
                "has {bytes} bytes with checksum {crc32:08x} where the manifest says {} with {:08x}",
                self.bytes, self.crc32
            ),
        })
    }
}

/// Every frame of every journal in a directory.
fn verify_journals(dir: &Path) -> Result<(), DirectoryError> {
    for place in journals_in(dir)? {
        let (journal, archive) = (dir.join(JOURNAL).join(&place), dir.join(ARCHIVE).join(&place));
        if let Some(label) = local::label_of(&journal, &archive)? {
            local::verify(&journal, &archive, &label)?;
        }
    }
    Ok(())
}

/// Where the journals of a directory are, below [`JOURNAL`] and [`ARCHIVE`]: the site's own, oldest term
/// first, then those kept of other sites.
fn journals_in(dir: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let terms = |below: &Path| {
        let mut terms = super::terms_in(&dir.join(JOURNAL).join(below))?;
        terms.extend(super::terms_in(&dir.join(ARCHIVE).join(below))?);
        terms.sort_unstable();
        terms.dedup();
        Ok::<_, DirectoryError>(terms.into_iter().map(|term| below.join(term.to_string())).collect::<Vec<_>>())
    };
    let mut places = terms(Path::new(""))?;
    for site in super::peers_in(&dir.join(JOURNAL))? {
        places.extend(terms(&Path::new(PEERS).join(site))?);
    }
    Ok(places)
}

fn segment_in(parent: &str, place: &Path, from: &Path) -> PathBuf {
    let name = from.file_name().expect("a segment has a name");
    Path::new(parent).join(place).join(name)
}

fn make_empty(dir: &Path) -> Result<(), DirectoryError> {
    create_dir_synced(dir).map_err(|source| failed("creating", dir, source))?;
    let mut entries = fs::read_dir(dir).map_err(|source| failed("listing", dir, source))?;
    if entries.next().is_some() {
        return Err(DirectoryError::NotEmpty { path: dir.to_owned() });
    }
    Ok(())
}

fn make_parent(file: &Path) -> Result<(), DirectoryError> {
    let parent = file.parent().expect("a copied file has a directory");
    create_dir_synced(parent).map_err(|source| failed("creating", parent, source))
}

/// Writes and syncs a new file; answers its size and checksum.
fn copy(from: &Path, source: impl Read, to: &Path) -> Result<(u64, u32), DirectoryError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(to).map_err(|source| failed("creating", to, source))?;
    let copied = copy_to(from, source, &mut file)?;
    file.sync_all().map_err(|source| failed("writing", to, source))?;
    Ok(copied)
}

fn copy_to(from: &Path, mut source: impl Read, to: &mut dyn Write) -> Result<(u64, u32), DirectoryError> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hasher.finalize())),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                to.write_all(&buffer[..read]).map_err(|source| failed("copying", from, source))?;
                bytes += u64::try_from(read).expect("a usize fits");
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("reading", from, error)),
        }
    }
}

/// Makes the names of all files below a directory durable.
fn sync_tree(dir: &Path) -> Result<(), DirectoryError> {
    let io = |source| failed("syncing", dir, source);
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_dir(dir).map_err(io)
}
