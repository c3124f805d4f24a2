//! The keys of persons, and their end: a person whose erasure is folded, from whichever journal, has no key
//! here soon after.
//!
//! The order is event first, key second. Between the two nobody is given the key any more, nor a new one; what
//! a crash leaves between them is found at the next start, by comparing keys with what is folded.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kontor_core::id::CustomerId;
use kontor_core::overlay::Changes;
use kontor_core::person::Customer;
use kontor_core::record::{Table, decode};
use kontor_core::view::ViewError;
use kontor_storage::keys::KeyStore;
use tokio::time::timeout;

pub use kontor_storage::keys::{Key, KeyError, MasterKey, NewKey};

use crate::limits::ERASURE_REST;
use crate::site::Site;
use crate::writer::with_causes;

/// The keys of the persons that a site has met.
#[derive(Debug)]
pub struct Persons {
    site: Site,
    keys: KeyStore,
    /// Erased, with a key that may still be here.
    awaiting: Mutex<BTreeSet<CustomerId>>,
}

/// Why a person's key was not given.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Whether the person was erased cannot be read.
    #[error(transparent)]
    Rows(#[from] ViewError),
}

impl Persons {
    /// Opens the keys in the data directory of an open site.
    pub fn open(site: &Site, data: &Path, master: MasterKey) -> Result<Self, KeyError> {
        Ok(Self::with(site, KeyStore::open(data, master)?))
    }

    /// Keys in memory, for tests.
    pub fn in_memory(site: &Site) -> Self {
        Self::with(site, KeyStore::in_memory(MasterKey::new([7; 32])))
    }

    fn with(site: &Site, keys: KeyStore) -> Self {
        Self { site: site.clone(), keys, awaiting: Mutex::default() }
    }

    /// A key for one use, from the master key.
    pub fn derived(&self, info: &str) -> Key {
        self.keys.derived(info)
    }

    /// Whether a person was erased, by any site.
    pub fn is_erased(&self, person: CustomerId) -> Result<bool, PersonError> {
        Ok(self.site.read().is_erased(person)?)
    }

    /// The key of a person; none if it is not here, or if they were erased. Blocks on the disk, for a moment.
    pub fn key(&self, person: CustomerId) -> Result<Option<Key>, PersonError> {
        if self.site.read().is_erased(person)? { Ok(None) } else { Ok(self.keys.get(&person.0)?) }
    }

    /// Whether a key is here, of somebody erased too, who is not given it any more.
    pub fn holds_key(&self, person: CustomerId) -> Result<bool, KeyError> {
        Ok(self.keys.get(&person.0)?.is_some())
    }

    /// The key of a person, made and synced if there is none; none if they were erased. Blocks on the disk.
    pub fn key_or_new(&self, person: CustomerId, new: impl FnOnce() -> NewKey) -> Result<Option<Key>, PersonError> {
        if self.site.read().is_erased(person)? {
            return Ok(None);
        }
        // Asked again where no key can be destroyed: whoever is erased from here on has theirs destroyed later.
        let may_be = || Ok::<_, PersonError>(!self.site.read().is_erased(person)?);
        self.keys.get_or_keep(&person.0, may_be, new)
    }

    /// Destroys a key that nobody was told of: what it was made for was not done. Blocks on the disk.
    pub fn take_back(&self, person: CustomerId) -> Result<(), KeyError> {
        self.keys.destroy(&person.0)
    }

    /// Destroys the keys of all who were erased since this was asked last, and of those that were left then.
    /// Blocks on the disk.
    pub fn destroy_erased(&self) {
        self.awaiting().extend(self.site.take_erased());
        let erased = self.awaiting().clone();
        self.destroy(&erased);
    }

    /// The same for all who were ever erased: what a crash left is found.
    pub fn destroy_all_erased(&self) -> Result<(), PersonError> {
        let reader = self.site.read();
        let (mut erased, mut unread) = (BTreeSet::new(), None);
        self.keys.names(|name| match reader.is_erased(CustomerId(name)) {
            Ok(true) => erased.extend([CustomerId(name)]),
            Ok(false) => {}
            Err(error) => unread = Some(error),
        })?;
        if let Some(error) = unread {
            return Err(error.into());
        }
        if !erased.is_empty() {
            tracing::info!(persons = erased.len(), "Keys of erased persons are still here and are destroyed now");
        }
        self.awaiting().extend(erased.iter().copied());
        self.destroy(&erased);
        Ok(())
    }

    /// Destroys keys from now on, until the site stops; those that were left first.
    pub async fn follow(self: std::sync::Arc<Self>) {
        let mut all_seen = false;
        loop {
            let persons = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                persons.destroy_erased();
                all_seen || persons.destroy_all_erased().map_err(|error| not_looked(&error)).is_ok()
            });
            all_seen = looked.await.unwrap_or(false);
            let is_done = all_seen && self.awaiting().is_empty();
            let rest = if is_done { Duration::MAX } else { ERASURE_REST };
            tokio::select! {
                _ = timeout(rest, self.site.someone_erased()) => {}
                _ = self.site.stopped() => return,
            }
        }
    }

    fn destroy(&self, erased: &BTreeSet<CustomerId>) {
        metrics::gauge!("kontor_persons_awaiting_erasure").set(gauge(self.awaiting().len()));
        for person in erased {
            match self.keys.destroy(&person.0) {
                Ok(()) => {
                    self.awaiting().remove(person);
                }
                Err(error) => {
                    let why = with_causes(&error);
                    tracing::error!("The key of an erased person is still here, and is tried again: {why}");
                }
            }
        }
        metrics::gauge!("kontor_persons_awaiting_erasure").set(gauge(self.awaiting().len()));
    }

    fn awaiting(&self) -> std::sync::MutexGuard<'_, BTreeSet<CustomerId>> {
        self.awaiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_looked(error: &PersonError) {
    tracing::error!("Keys could not be compared with who was erased: {}", with_causes(error));
}

#[expect(clippy::cast_precision_loss, reason = "so many persons are not erased at once")]
fn gauge(persons: usize) -> f64 {
    persons as f64
}

/// Who is erased by changes of rows.
pub(crate) fn erased(changes: &Changes) -> impl Iterator<Item = CustomerId> {
    changes.of(Table::CUSTOMERS).filter_map(|(key, row)| {
        let customer: Customer = decode(Table::CUSTOMERS, row?).ok()?;
        customer.erased_at.and(Customer::parts(key)).map(|(id, _)| id)
    })
}
