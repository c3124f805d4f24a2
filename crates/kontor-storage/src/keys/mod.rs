//! Keys under names: small secrets that can be destroyed, beside a journal that never forgets.
//!
//! ```text
//! keys/MASTER          tells the master key that wraps the others from any other one
//! keys/new/            a key that is being written; emptied at every start
//! keys/<xx>/<name>     one key, wrapped; xx are the last two digits of its name
//! ```
//!
//! What is encrypted under a key stands where nothing is ever deleted. Destroying the key is how it is
//! forgotten all the same, so keys stand in no journal and in no backup of one: they have [`backup`] and
//! [`restore`] of their own. A key is on the disk, synced, before anybody is given it.

mod copy;
mod record;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chacha20poly1305::Key as CipherKey;
use hkdf::Hkdf;
use sha2::Sha256;

pub use copy::{KeysReport, backup, restore};
use record::{RECORD_BYTES, Record};

use crate::directory::DirectoryError;
use crate::journal::local::{create_dir_synced, sync_dir};

/// What a key is kept under.
pub type KeyName = [u8; 16];

/// A key that was kept.
pub type Key = [u8; 32];

/// The key that all others are wrapped under. It is never in the directory that they are in.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(Key);

/// What is kept under a name that has no key yet: drawn by the caller, for nothing else.
pub struct NewKey {
    /// The key.
    pub key: Key,
    /// Of its wrapping.
    pub nonce: [u8; 24],
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
}

/// The keys of one directory, or of a test.
pub struct KeyStore {
    place: Place,
    master: MasterKey,
    /// One of these is held while a key of its share of names is made or destroyed: waiting for the disk does
    /// not make everybody wait.
    changing: [Mutex<()>; 64],
}

enum Place {
    Directory(PathBuf),
    Memory(Mutex<BTreeMap<KeyName, Key>>),
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No master key is written like this.
    #[error("a master key is 64 hexadecimal digits")]
    Unreadable,
    /// The keys of a directory are wrapped under another one.
    #[error(
        "the keys in {} are wrapped under another master key: give the one that this site was started with \
         before, for without it nothing that is encrypted under them can ever be read again; to give those up, \
         remove this folder",
        dir.display()
    )]
    OtherMaster {
        /// Where they are.
        dir: PathBuf,
    },
    /// A key is not what was written.
    #[error("{} {why}; bring it back with `kontor keys restore`", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A backup of keys is not what was written.
    #[error("the backup {} {why}", file.display())]
    BackupDamaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The data directory is in use, or none.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
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

impl MasterKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self(key)
    }

    /// Reads 64 hexadecimal digits, with white space around them.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().as_bytes();
        let mut key = [0; 32];
        if digits.len() != 64 {
            return Err(KeyError::Unreadable);
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = from_hex(pair).ok_or(KeyError::Unreadable)?;
        }
        Ok(Self(key))
    }

    /// Writes a new file that its owner alone may read, synced. Fails if there is one.
    pub fn write(&self, file: &Path) -> Result<(), KeyError> {
        let io = |source| failed("writing", file, source);
        let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(io)?;
        made.write_all(format!("{}\n", hex(&self.0)).as_bytes()).map_err(io)?;
        made.sync_all().map_err(io)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(folder).map_err(io)
    }

    /// A key for one use, from which neither this one nor that of another use can be told (RFC 5869).
    #[must_use]
    pub fn derived(&self, info: &str) -> Key {
        let mut key = [0; 32];
        let expanded = Hkdf::<Sha256>::new(None, &self.0).expand(info.as_bytes(), &mut key);
        expanded.expect("32 bytes are fewer than the 8,160 that can be had");
        key
    }

    /// Tells it from others, and nothing else.
    fn mark(&self) -> String {
        hex(&self.derived("kontor/master-mark/1")[..16])
    }

    fn cipher_key(&self) -> CipherKey {
        CipherKey::from(self.0)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewKey(…)")
    }
}

impl KeyStore {
    /// Opens the keys of a data directory. Another master key than the one that they are wrapped under is
    /// refused; with no key there, it is the new one.
    pub fn open(data: &Path, master: MasterKey) -> Result<Self, KeyError> {
        let dir = data.join(KEYS);
        create_dir_synced(data).map_err(|source| failed("creating", data, source))?;
        create_private_dir(&dir)?;
        empty(&dir.join(NEW))?;
        let store = Self { place: Place::Directory(dir.clone()), master, changing: [const { Mutex::new(()) }; 64] };
        let path = dir.join(MASTER);
        let mark = store.master.mark();
        match fs::read_to_string(&path) {
            Ok(said) if said.trim() == mark => return Ok(store),
            Ok(_) if is_any_there(&dir)? => return Err(KeyError::OtherMaster { dir }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => store.opens_what_is_there(&dir)?,
            Err(source) => return Err(failed("reading", &path, source)),
        }
        let new = dir.join(NEW).join(MASTER);
        write_new(&new, format!("{mark}\n").as_bytes())?;
        put(&new, &path)?;
        Ok(store)
    }

    /// Keys in memory, for tests.
    #[must_use]
    pub fn in_memory(master: MasterKey) -> Self {
        Self { place: Place::Memory(Mutex::default()), master, changing: [const { Mutex::new(()) }; 64] }
    }

    /// Whether a data directory holds any key.
    pub fn is_any_in(data: &Path) -> Result<bool, KeyError> {
        is_any_there(&data.join(KEYS))
    }

    /// A key for one use, from the master key.
    #[must_use]
    pub fn derived(&self, info: &str) -> Key {
        self.master.derived(info)
    }

    /// The key under a name.
    pub fn get(&self, name: &KeyName) -> Result<Option<Key>, KeyError> {
        match &self.place {
            Place::Memory(keys) => Ok(held(keys).get(name).copied()),
            Place::Directory(dir) => {
                let file = file_of(dir, name);
                match Record::read(&file)? {
                    Some(record) => record.open(&self.master, name, &file).map(Some),
                    None => Ok(None),
                }
            }
        }
    }

    /// The key under a name. Where there is none, a new one is kept if it may be, which is asked while no key
    /// under this name can be destroyed. What is given is on the disk.
    pub fn get_or_keep<E: From<KeyError>>(
        &self,
        name: &KeyName,
        may_be: impl FnOnce() -> Result<bool, E>,
        new: impl FnOnce() -> NewKey,
    ) -> Result<Option<Key>, E> {
        // Also to find one: its name may be on its way to the disk.
        let _changing = self.changing(name);
        if let Some(key) = self.get(name)? {
            return Ok(Some(key));
        }
        if !may_be()? {
            return Ok(None);
        }
        let new = new();
        self.keep(name, &new)?;
        Ok(Some(new.key))
    }

    /// Destroys the key under a name: overwritten, removed, and both on the disk when this returns. None to
    /// destroy is as good.
    pub fn destroy(&self, name: &KeyName) -> Result<(), KeyError> {
        let _changing = self.changing(name);
        let dir = match &self.place {
            Place::Memory(keys) => {
                held(keys).remove(name);
                return Ok(());
            }
            Place::Directory(dir) => dir,
        };
        let path = file_of(dir, name);
        let io = |source| failed("destroying", &path, source);
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(io(source)),
        };
        file.write_all_at(&[0; RECORD_BYTES], 0).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::remove_file(&path).map_err(io)?;
        sync_dir(folder_of(&path)).map_err(io)
    }

    /// Calls `each` with every name under which something is kept, also what is left of a key whose destruction
    /// was broken off.
    pub fn names(&self, mut each: impl FnMut(KeyName)) -> Result<(), KeyError> {
        match &self.place {
            Place::Memory(keys) => held(keys).keys().copied().for_each(each),
            Place::Directory(dir) => {
                for_each_file(dir, &mut |_, name| {
                    each(name);
                    Ok(true)
                })?;
            }
        }
        Ok(())
    }

    fn keep(&self, name: &KeyName, new: &NewKey) -> Result<(), KeyError> {
        match &self.place {
            Place::Memory(keys) => {
                held(keys).insert(*name, new.key);
                Ok(())
            }
            Place::Directory(dir) => Record::wrap(&self.master, name, new).keep(dir, name),
        }
    }

    fn changing(&self, name: &KeyName) -> MutexGuard<'_, ()> {
        // Names in one folder share a lock, so nobody relies on a folder that somebody else has not synced yet.
        held(&self.changing[usize::from(name[15]) % self.changing.len()])
    }

    /// The mark of the master key is lost: a key that opens says the same.
    fn opens_what_is_there(&self, dir: &Path) -> Result<(), KeyError> {
        let mut found = Ok(());
        for_each_file(dir, &mut |file, name| {
            let Some(record) = Record::read(file)? else { return Ok(true) };
            if record.open(&self.master, &name, file).is_err() {
                found = Err(KeyError::OtherMaster { dir: dir.to_owned() });
            }
            Ok(false)
        })?;
        found
    }
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyStore(…)")
    }
}

const KEYS: &str = "keys";
const MASTER: &str = "MASTER";
const NEW: &str = "new";

/// Whether any key is there that was not destroyed.
fn is_any_there(dir: &Path) -> Result<bool, KeyError> {
    let mut any = false;
    for_each_file(dir, &mut |file, _| {
        any = Record::read(file)?.is_some();
        Ok(!any)
    })?;
    Ok(any)
}

/// Calls `each` with every file of a key, until it says false.
fn for_each_file(dir: &Path, each: &mut dyn FnMut(&Path, KeyName) -> Result<bool, KeyError>) -> Result<(), KeyError> {
    for folder in 0..=u8::MAX {
        let folder = dir.join(hex(&[folder]));
        let io = |source| failed("listing", &folder, source);
        let files = match fs::read_dir(&folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(io(source)),
        };
        for file in files {
            let path = file.map_err(io)?.path();
            let Some(name) = path.file_name().and_then(|name| name_of(name.to_str()?)) else { continue };
            if !each(&path, name)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn file_of(dir: &Path, name: &KeyName) -> PathBuf {
    dir.join(hex(&name[15..])).join(hex(name))
}

fn name_of(text: &str) -> Option<KeyName> {
    let mut name = [0; 16];
    if text.len() != 32 {
        return None;
    }
    for (byte, pair) in name.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = from_hex(pair)?;
    }
    Some(name)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

/// Makes a folder that its owner alone may look into.
fn create_private_dir(dir: &Path) -> Result<(), KeyError> {
    let io = |source| failed("creating", dir, source);
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => sync_dir(folder_of(dir)).map_err(io),
        // Whoever made it has synced it before anybody else was let in.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io(error)),
    }
}

/// What was being written when the site stopped was given to nobody.
fn empty(new: &Path) -> Result<(), KeyError> {
    create_private_dir(new)?;
    let io = |source| failed("emptying", new, source);
    for file in fs::read_dir(new).map_err(io)? {
        fs::remove_file(file.map_err(io)?.path()).map_err(io)?;
    }
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let io = |source| failed("writing", path, source);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)
}

/// Gives a whole file its name, for good.
fn put(from: &Path, to: &Path) -> Result<(), KeyError> {
    fs::rename(from, to).and_then(|()| sync_dir(folder_of(to))).map_err(|source| failed("writing", to, source))
}

/// What a file begins with, up to some bytes; `None` if there is none.
fn read_some(file: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, KeyError> {
    let mut bytes = Vec::new();
    match File::open(file).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("reading", file, source)),
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half changed by whoever panics here.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(pair: &[u8]) -> Option<u8> {
    let is_digit = |b: &u8| b.is_ascii_hexdigit();
    let text = std::str::from_utf8(pair).ok().filter(|text| text.as_bytes().iter().all(is_digit))?;
    u8::from_str_radix(text, 16).ok()
}

fn failed(doing: &'static str, file: &Path, source: io::Error) -> KeyError {
    KeyError::Io { doing, file: file.to_owned(), source }
}
