//! What the writer notes of changed rows for somebody who sees to it outside: gathered until that one asks.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Things that were noted, each once.
#[derive(Debug)]
pub(crate) struct Noted<T> {
    gathered: Mutex<BTreeSet<T>>,
    told: Notify,
}

impl<T: Ord> Noted<T> {
    /// Adds what was found, and tells whoever waits.
    pub(crate) fn note(&self, found: impl Iterator<Item = T>) {
        let mut found = found.peekable();
        if found.peek().is_some() {
            self.gathered.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
            self.told.notify_one();
        }
    }

    /// What was noted since this was asked last.
    pub(crate) fn take(&self) -> BTreeSet<T> {
        std::mem::take(&mut self.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there may be something to take.
    pub(crate) async fn something(&self) {
        self.told.notified().await;
    }
}

impl<T> Default for Noted<T> {
    fn default() -> Self {
        Self { gathered: Mutex::default(), told: Notify::new() }
    }
}
