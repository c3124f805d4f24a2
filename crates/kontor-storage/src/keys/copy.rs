//! Backup and restore of keys: one file, apart from every backup of a journal, with a retention of its own.
//!
//! ```text
//! 16 bytes   "kontor/keys/1", and zeros
//! 32         the mark of the master key
//! 8          how many keys follow, little-endian
//! 108 each   the keys, wrapped as they are
//! 4          CRC-32 of all before, little-endian
//! ```

use std::fs;
use std::io;
use std::path::Path;

use super::record::{RECORD_BYTES, Record};
use super::{KEYS, KeyError, MASTER, NEW, create_private_dir, empty, failed, file_of, for_each_file, put, write_new};
use crate::directory::DataDir;

const MAGIC: &[u8; 16] = b"kontor/keys/1\0\0\0";
const HEAD: usize = 16 + 32 + 8;

/// What was copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeysReport {
    /// Keys in the backup.
    pub keys: u64,
    /// Those of them that were written.
    pub written: u64,
}

/// Copies the keys of a data directory, also of a running site, to a new file, and reads it back. They stay
/// wrapped: without the master key, which is not among them, nobody reads them.
pub fn backup(data: &Path, target: &Path) -> Result<KeysReport, KeyError> {
    let dir = data.join(KEYS);
    let mark = dir.join(MASTER);
    let mark = fs::read_to_string(&mark).map_err(|source| failed("reading", &mark, source))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(mark.trim().as_bytes());
    bytes.resize(HEAD, 0);
    let mut keys = 0_u64;
    for_each_file(&dir, &mut |file, _| {
        // One that was destroyed meanwhile is not among them.
        if let Some(record) = Record::read(file)? {
            bytes.extend(record.0);
            keys += 1;
        }
        Ok(true)
    })?;
    bytes[HEAD - 8..HEAD].copy_from_slice(&keys.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    if target.exists() {
        return Err(failed("writing", target, io::ErrorKind::AlreadyExists.into()));
    }
    let partial = target.with_added_extension("partial");
    write_new(&partial, &bytes)?;
    put(&partial, target)?;
    records(target)?;
    Ok(KeysReport { keys, written: keys })
}

/// Brings keys of a backup back to a data directory whose site is stopped. Those that are there stay; what the
/// journal says to be forgotten is destroyed again when the site starts.
pub fn restore(backup: &Path, data: &Path) -> Result<KeysReport, KeyError> {
    let (mark, records) = records(backup)?;
    let site = DataDir::open_read_only(data)?.site().to_owned();
    let _locked = DataDir::open(data, &site)?;
    let dir = data.join(KEYS);
    create_private_dir(&dir)?;
    empty(&dir.join(NEW))?;
    let mut report = KeysReport { keys: records.len() as u64, written: 0 };
    match fs::read_to_string(dir.join(MASTER)) {
        Ok(said) if said.trim() == mark => {}
        Ok(_) if super::is_any_there(&dir)? => return Err(KeyError::OtherMaster { dir }),
        _ => {
            let new = dir.join(NEW).join(MASTER);
            write_new(&new, format!("{mark}\n").as_bytes())?;
            put(&new, &dir.join(MASTER))?;
        }
    }
    for record in records {
        let name = record.name();
        // A damaged one is what a backup is for.
        if !matches!(Record::read(&file_of(&dir, &name)), Ok(Some(_))) {
            record.keep(&dir, &name)?;
            report.written += 1;
        }
    }
    Ok(report)
}

fn records(backup: &Path) -> Result<(String, Vec<Record>), KeyError> {
    let damaged = |why| KeyError::BackupDamaged { file: backup.to_owned(), why };
    let bytes = fs::read(backup).map_err(|source| failed("reading", backup, source))?;
    if !bytes.starts_with(MAGIC) {
        return Err(damaged("is not a backup of keys"));
    }
    let (body, crc) = bytes.split_at_checked(bytes.len().saturating_sub(4)).unwrap_or_default();
    if body.len() < HEAD || crc32fast::hash(body).to_le_bytes() != crc {
        return Err(damaged("does not have its checksum"));
    }
    let (head, body) = body.split_at(HEAD);
    let mark = std::str::from_utf8(&head[16..48]).map_err(|_| damaged("names no master key"))?;
    let records = body.chunks(RECORD_BYTES).map(|record| Record::take(record).ok().flatten());
    let records: Vec<Record> = records.collect::<Option<_>>().ok_or_else(|| damaged("holds a damaged key"))?;
    if (records.len() as u64).to_le_bytes() != head[48..] {
        return Err(damaged("has not as many keys as it says"));
    }
    Ok((mark.to_owned(), records))
}
