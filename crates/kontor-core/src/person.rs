//! People: what is kept of them stands as ciphertext under a key of their own, so that destroying the key
//! erases them wherever it was copied to. Nothing here opens a sealed field; see `docs/adr/0009`.

use serde::{Deserialize, Serialize};

use crate::id::{CustomerId, SiteId};
use crate::limits::SEALED_BYTES_MAX;
use crate::record::{Key, KeyParts, Primary, Table};
use crate::time::SiteTime;

/// A personal field as it is kept: a version, whose it is, a nonce, ciphertext and a tag.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Sealed(Box<[u8]>);

/// Bytes that are no sealed field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed field has {HEAD} to {SEALED_BYTES_MAX} bytes")]
pub struct SealedError;

/// Version, person, nonce and tag: what a sealed field has besides its ciphertext.
const HEAD: usize = 1 + 16 + 24 + 16;

impl Sealed {
    /// Takes what was sealed.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, SealedError> {
        let bytes = bytes.into();
        if (HEAD..=SEALED_BYTES_MAX).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(SealedError) }
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whose it is.
    pub fn person(&self) -> CustomerId {
        let mut person = [0; 16];
        person.copy_from_slice(&self.0[1..17]);
        CustomerId(person)
    }
}

impl TryFrom<Vec<u8>> for Sealed {
    type Error = SealedError;
    fn try_from(bytes: Vec<u8>) -> Result<Self, SealedError> {
        Self::new(bytes)
    }
}

impl From<Sealed> for Vec<u8> {
    fn from(sealed: Sealed) -> Self {
        sealed.0.into()
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.person(), self.0.len())
    }
}

/// Where a buyer is reached, and where goods and bills go. All of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The e-mail address.
    pub email: Option<Sealed>,
    /// Where the goods go.
    pub ship_to: Option<Sealed>,
    /// Where the bill goes.
    pub bill_to: Option<Sealed>,
}

impl Contact {
    /// Its fields.
    pub fn fields(&self) -> impl Iterator<Item = &Sealed> {
        [&self.email, &self.ship_to, &self.bill_to].into_iter().flatten()
    }

    /// Takes the fields that another one has.
    pub fn take(&mut self, other: &Self) {
        for (own, other) in
            [(&mut self.email, &other.email), (&mut self.ship_to, &other.ship_to), (&mut self.bill_to, &other.bill_to)]
        {
            if other.is_some() {
                own.clone_from(other);
            }
        }
    }
}

/// What is known of a customer, or that the person was erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Keyed hash of the e-mail address.
    pub email_hash: Option<[u8; 32]>,
    /// The e-mail address.
    pub email: Option<Sealed>,
    /// What they are called.
    pub name: Option<Sealed>,
    /// Where they live or work, in their order.
    pub addresses: Vec<Sealed>,
    /// Changes so far.
    pub revision: u64,
    /// When they were first kept.
    pub created_at: SiteTime,
    /// When they were changed last.
    pub updated_at: SiteTime,
    /// When the person was erased.
    pub erased_at: Option<SiteTime>,
}

/// What is set of a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerEdit {
    /// Keyed hash of the address, and the address.
    pub email: Option<([u8; 32], Sealed)>,
    /// What they are called.
    pub name: Option<Sealed>,
    /// All addresses, in their order.
    pub addresses: Option<Vec<Sealed>>,
}

/// Who has an e-mail address, by its keyed hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailOwner {
    /// Who.
    pub customer: CustomerId,
}

impl CustomerEdit {
    /// The fields that are set.
    pub fn fields(&self) -> impl Iterator<Item = &Sealed> {
        let email = self.email.iter().map(|(_, email)| email);
        email.chain(&self.name).chain(self.addresses.iter().flatten())
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Primary for Customer {
    const TABLE: Table = Table::CUSTOMERS;
    type Key<'k> = CustomerId;
    fn key(id: CustomerId) -> Key {
        Key::new().fixed(&id.0)
    }
}

impl Customer {
    /// Reads a key: who, and whose row.
    pub fn parts(key: &[u8]) -> Option<(CustomerId, SiteId)> {
        let mut parts = KeyParts(key);
        Some((CustomerId(parts.fixed()?), SiteId::parse(parts.rest()?).ok()?))
    }
}

impl Primary for EmailOwner {
    const TABLE: Table = Table::EMAILS;
    type Key<'k> = &'k [u8; 32];
    fn key(hash: &[u8; 32]) -> Key {
        Key::new().fixed(hash)
    }
}
