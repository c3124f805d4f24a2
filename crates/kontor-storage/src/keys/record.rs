//! One key as it is kept.
//!
//! ```text
//! 8 bytes    "kontork1"
//! 16         name
//! 8          when it was made, milliseconds since 1970, little-endian
//! 24         nonce
//! 32 + 16    the key, XChaCha20-Poly1305 under the master key, and its tag
//! 4          CRC-32 of all before, little-endian: tells damage from another master key
//! ```
//!
//! A record of nothing but zeros is a key that was destroyed, and whose file was not removed any more.

use std::fs;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::{
    Key, KeyError, KeyName, MasterKey, NEW, NewKey, create_private_dir, file_of, folder_of, hex, put, read_some,
    write_new,
};

pub(super) const RECORD_BYTES: usize = 8 + 16 + 8 + 24 + 48 + 4;

const MAGIC: &[u8; 8] = b"kontork1";

/// One wrapped key.
pub(super) struct Record(pub(super) [u8; RECORD_BYTES]);

impl Record {
    pub(super) fn wrap(master: &MasterKey, name: &KeyName, new: &NewKey) -> Self {
        let NewKey { key, nonce, created_ms } = new;
        let cipher = XChaCha20Poly1305::new(&master.cipher_key());
        let payload = Payload { msg: key, aad: &associated(name) };
        let wrapped = cipher.encrypt(&XNonce::from(*nonce), payload).expect("32 bytes are not too many");
        let parts = [&MAGIC[..], name, &created_ms.to_le_bytes(), nonce, &wrapped];
        let mut bytes = parts.concat();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Self(bytes.try_into().expect("the parts have these lengths"))
    }

    /// Takes what was kept; `None` if it was destroyed.
    pub(super) fn take(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let bytes: [u8; RECORD_BYTES] = bytes.try_into().map_err(|_| "has not the length of a key")?;
        if bytes == [0; RECORD_BYTES] {
            return Ok(None);
        }
        let (body, crc) = bytes.split_at(RECORD_BYTES - 4);
        if crc32fast::hash(body).to_le_bytes() != crc || !body.starts_with(MAGIC) {
            return Err("does not have its checksum");
        }
        Ok(Some(Self(bytes)))
    }

    /// Reads a file; `None` if there is none, or the key was destroyed.
    pub(super) fn read(file: &Path) -> Result<Option<Self>, KeyError> {
        let Some(bytes) = read_some(file, RECORD_BYTES as u64 + 1)? else { return Ok(None) };
        Self::take(&bytes).map_err(|why| KeyError::Damaged { file: file.to_owned(), why })
    }

    pub(super) fn name(&self) -> KeyName {
        self.part::<16>(8)
    }

    pub(super) fn open(&self, master: &MasterKey, name: &KeyName, file: &Path) -> Result<Key, KeyError> {
        let cipher = XChaCha20Poly1305::new(&master.cipher_key());
        let payload = Payload { msg: &self.part::<48>(56), aad: &associated(name) };
        let key = cipher.decrypt(&XNonce::from(self.part::<24>(32)), payload).ok();
        let key = key.and_then(|key| Key::try_from(key).ok());
        key.ok_or_else(|| KeyError::Damaged {
            file: file.to_owned(),
            why: "is not of this name, or not wrapped under this master key",
        })
    }

    /// Writes it, whole and durable, or not at all.
    pub(super) fn keep(&self, dir: &Path, name: &KeyName) -> Result<(), KeyError> {
        let (new, file) = (dir.join(NEW).join(hex(name)), file_of(dir, name));
        create_private_dir(folder_of(&file))?;
        write_new(&new, &self.0)?;
        put(&new, &file).inspect_err(|_| {
            // Whoever found it would take it for durable. If it cannot be removed either, the error says enough.
            let _ = fs::remove_file(&file);
        })
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut part = [0; N];
        part.copy_from_slice(&self.0[at..at + N]);
        part
    }
}

fn associated(name: &KeyName) -> Vec<u8> {
    [&b"kontor/person-key/1\0"[..], name].concat()
}
