//! Room on the disk that writes leave alone, so that a full disk is met by a refusal and not by the
//! tables, by a restart, or by whoever has to clean up.

use std::path::PathBuf;

use kontor_storage::directory::free_bytes;

/// The reserve of one site's disk.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    /// Where to look; `None` for a site in memory, which has no disk.
    place: Option<(PathBuf, u64)>,
    is_touched: bool,
}

impl Reserve {
    pub(crate) fn new(directory: PathBuf, bytes: u64) -> Self {
        Self { place: Some((directory, bytes)), is_touched: false }
    }

    pub(crate) fn none() -> Self {
        Self { place: None, is_touched: false }
    }

    /// Why nothing is written now, if so.
    pub(crate) fn lack(&self) -> Option<String> {
        let (directory, needed) = self.place.as_ref()?;
        match free_bytes(directory) {
            Ok(free) if free >= *needed => None,
            Ok(free) => Some(format!(
                "{} MiB are free on the disk of the data directory, and {} MiB are kept in reserve",
                free >> 20,
                needed >> 20
            )),
            Err(error) => {
                Some(format!("how much is free on the disk of the data directory could not be read: {error}"))
            }
        }
    }

    /// The same for the writer, which tells the log when it begins and when it is over.
    pub(crate) fn watch(&mut self) -> Option<String> {
        let lack = self.lack();
        match &lack {
            Some(why) if !self.is_touched => tracing::error!("Writes are refused until there is room: {why}"),
            None if self.is_touched => tracing::info!("There is room again, writes go on"),
            _ => {}
        }
        self.is_touched = lack.is_some();
        lack
    }
}
