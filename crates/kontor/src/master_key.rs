//! The key that the keys of persons are wrapped under: given, or in a file that the first start makes.
//!
//! The file stands beside the data directory, never in it: whoever copies that directory, or a disk that it is
//! on, has nothing to open it with.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use kontor_site::persons::MasterKey;
use kontor_storage::keys::KeyStore;

use crate::config::Config;
use crate::print;

/// The master key of a site whose data directory is there.
pub(crate) fn of(config: &Config) -> anyhow::Result<MasterKey> {
    if let Some(given) = &config.master_key {
        return Ok(MasterKey::from_hex(given)?);
    }
    let file = match &config.master_key_file {
        Some(file) => file.clone(),
        None => beside(&config.data)?,
    };
    match fs::read_to_string(&file) {
        Ok(text) => {
            warn_of_readers(&file);
            MasterKey::from_hex(&text).with_context(|| {
                format!("{} holds no master key; bring back the copy that was made of it", file.display())
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(config, &file),
        Err(error) => Err(error).with_context(|| format!("the master key {} could not be read", file.display())),
    }
}

fn make(config: &Config, file: &Path) -> anyhow::Result<MasterKey> {
    if KeyStore::is_any_in(&config.data)? {
        bail!(
            "the master key {} is not there, and keys of persons are kept under it in {}: bring it back, or say where \
             it is with --master-key-file; without it their personal data can never be read again, and to give it \
             up, remove the folder keys of that directory",
            file.display(),
            config.data.display()
        );
    }
    let key = MasterKey::new(kontor_server::fresh_secret());
    key.write(file).with_context(|| {
        format!(
            "a master key could not be put into {}; name a file with --master-key-file, or give 64 hexadecimal digits \
             as KONTOR_MASTER_KEY",
            file.display()
        )
    })?;
    print::note(format!(
        "master key: made in {}. Personal data is kept under it. Copy it to a safe place, apart from the backups.",
        file.display()
    ));
    Ok(key)
}

/// Named after the directory, wherever it was called from.
fn beside(data: &Path) -> anyhow::Result<PathBuf> {
    let data = fs::canonicalize(data).with_context(|| format!("{} could not be found", data.display()))?;
    let name = data.file_name().context("the root of a disk has nothing beside it: name a --master-key-file")?;
    let mut name = name.to_owned();
    name.push(".master-key");
    Ok(data.with_file_name(name))
}

fn warn_of_readers(file: &Path) {
    if fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!("The master key {} can be read by others than its owner", file.display());
    }
}
