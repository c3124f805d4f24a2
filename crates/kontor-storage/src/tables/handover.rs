//! The file that carries rows of several tables to the engine, all or none.
//!
//! The engine takes sorted rows of one table at once and durably, without a log. A layer changes several
//! tables. So its rows are put in this file first; once it is durable they are taken to each table in
//! turn, and the file is removed. A crash in between leaves the file, and the next open takes its rows
//! over again: they are values, not changes, so twice is as good as once.
//!
//! ```text
//! magic 8 · tables: name length u8 · name · rows u32 · rows: key length u16 · value length u32 · key · value
//! · crc32 of all before it
//! ```
//! A value length of `u32::MAX` is a deleted row. Numbers are little-endian.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::{Buf, Bytes};

use crate::journal::local::sync_dir;

/// Rows of one table in the order of their keys; `None` is a deleted one.
pub(super) type Sorted = Vec<(Bytes, Option<Bytes>)>;

const FILE: &str = "handover";
const PARTIAL: &str = "handover.tmp";
const MAGIC: &[u8; 8] = b"KTRHAND1";
const DELETED: u32 = u32::MAX;

/// Writes rows of tables by name to the directory, whole and durable, or not at all.
pub(super) fn write<'t>(dir: &Path, tables: impl Iterator<Item = (&'t str, &'t Sorted)>) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    for (name, rows) in tables {
        bytes.push(u8::try_from(name.len()).map_err(io::Error::other)?);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&u32::try_from(rows.len()).map_err(io::Error::other)?.to_le_bytes());
        for (key, value) in rows {
            let key_bytes = u16::try_from(key.len()).map_err(io::Error::other)?;
            let value_bytes = match value {
                Some(value) => u32::try_from(value.len()).map_err(io::Error::other)?,
                None => DELETED,
            };
            bytes.extend_from_slice(&key_bytes.to_le_bytes());
            bytes.extend_from_slice(&value_bytes.to_le_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());

    let partial = dir.join(PARTIAL);
    let mut file = File::create(&partial)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&partial, dir.join(FILE))?;
    sync_dir(dir)
}

/// What an interrupted hand-over left, by the names of the tables. An error of kind
/// [`io::ErrorKind::InvalidData`] if it is not what was written.
pub(super) fn read(dir: &Path) -> io::Result<Vec<(String, Sorted)>> {
    let bytes = match fs::read(dir.join(FILE)) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    decode(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the hand-over is not what was written"))
}

/// Forgets a hand-over that is done, durably: done again after later rows it would take them back.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(FILE)) {
        Ok(()) => sync_dir(dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn decode(mut bytes: Bytes) -> Option<Vec<(String, Sorted)>> {
    let crc = bytes.split_off(bytes.len().checked_sub(size_of::<u32>())?).get_u32_le();
    let is_whole = crc32fast::hash(&bytes) == crc && bytes.starts_with(MAGIC);
    if !is_whole {
        return None;
    }
    bytes.advance(MAGIC.len());
    let mut tables = Vec::new();
    while !bytes.is_empty() {
        let name_bytes = usize::from(bytes.try_get_u8().ok()?);
        let name = String::from_utf8(take(&mut bytes, name_bytes)?.to_vec()).ok()?;
        let count = bytes.try_get_u32_le().ok()?;
        let mut rows = Sorted::new();
        for _ in 0..count {
            let key_bytes = usize::from(bytes.try_get_u16_le().ok()?);
            let value_bytes = bytes.try_get_u32_le().ok()?;
            let key = take(&mut bytes, key_bytes)?;
            let value = match value_bytes {
                DELETED => None,
                some => Some(take(&mut bytes, usize::try_from(some).ok()?)?),
            };
            rows.push((key, value));
        }
        tables.push((name, rows));
    }
    Some(tables)
}

fn take(bytes: &mut Bytes, count: usize) -> Option<Bytes> {
    (count <= bytes.len()).then(|| bytes.split_to(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{Batch, Table, Tables, TablesError, TablesOptions};

    /// As after a crash between two tables: the first has its rows, the second not yet.
    #[test]
    fn an_open_finishes_what_was_interrupted() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Tables::fjall(dir.path(), &["north", "south"], TablesOptions::default());
        let put = |tables: &Tables, both: bool, value: &'static str| {
            let mut batch = Batch::new();
            batch.put(Table(0), "key", value);
            if both {
                batch.put(Table(1), "key", value);
            }
            tables.write(batch).expect("written");
        };
        let tables = open().expect("new");
        put(&tables, true, "old");
        tables.flush().expect("flushed");
        put(&tables, false, "new");
        drop(tables);
        let rows = vec![(Bytes::from("key"), Some(Bytes::from("new")))];
        write(dir.path(), [("north", &rows), ("south", &rows)].into_iter()).expect("written");

        let tables = open().expect("sound");
        for table in [Table(0), Table(1)] {
            assert_eq!(tables.get(table, b"key").expect("sound").as_deref(), Some(&b"new"[..]));
        }
        // Done once: it does not come back over later rows.
        put(&tables, true, "newer");
        drop(tables);
        let tables = open().expect("sound");
        for table in [Table(0), Table(1)] {
            assert_eq!(tables.get(table, b"key").expect("sound").as_deref(), Some(&b"newer"[..]));
        }
        drop(tables);

        write(dir.path(), [("west", &rows)].into_iter()).expect("written");
        assert!(matches!(open(), Err(TablesError::Damaged { .. })), "there is no such table");
    }

    fn tables() -> [(&'static str, Sorted); 2] {
        let row = |key: &'static str, value: Option<&'static str>| (Bytes::from(key), value.map(Bytes::from));
        [("north", vec![row("a", Some("1")), row("b", None), row("c", Some(""))]), ("south", vec![row("x", Some("y"))])]
    }

    #[test]
    fn what_was_written_is_read_until_it_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(read(dir.path()).expect("nothing there").is_empty());
        let tables = tables();
        write(dir.path(), tables.iter().map(|(name, rows)| (*name, rows))).expect("written");
        let expected: Vec<(String, Sorted)> =
            tables.iter().map(|(name, rows)| ((*name).to_owned(), rows.clone())).collect();
        assert_eq!(read(dir.path()).expect("whole"), expected);
        remove(dir.path()).expect("removed");
        remove(dir.path()).expect("nothing to remove is no error");
        assert!(read(dir.path()).expect("nothing there").is_empty());
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_damaged() {
        let dir = tempfile::tempdir().expect("a directory");
        let tables = tables();
        write(dir.path(), tables.iter().map(|(name, rows)| (*name, rows))).expect("written");
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).expect("a file");
        let is_damaged = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("a file");
            read(dir.path()).is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
        };
        for at in 0..whole.len() {
            assert!(is_damaged(&whole[..at]), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(is_damaged(&changed), "changed at {at}");
        }
    }
}
