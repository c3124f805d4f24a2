//! Personal fields: sealed under a key per person before a command is queued, opened when they are shown. The
//! journal, the rows and the writer see ciphertext alone; `docs/adr/0009-personal-fields.md` says why, and has
//! the bytes.

use std::marker::PhantomData;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use kontor_api::Code;
use kontor_api::person as wire;
use kontor_core::id::CustomerId;
use kontor_core::limits::SEALED_BYTES_MAX;
use kontor_core::person::{Contact, Sealed};
use kontor_core::refusal::Refusal;
use kontor_site::clock::wall_ms;
use kontor_site::persons::{Key, KeyError, NewKey, PersonError, Persons};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;

use crate::ids::{self, secret};
use crate::problem::Problem;

/// What a sealed field is: what it is called, and so of which type its plaintext is. Neither ever changes; a
/// field of another type is another place.
pub(crate) struct Place<T>(&'static str, PhantomData<fn() -> T>);

/// Every place there is.
pub(crate) mod place {
    use super::{Address, Place};

    pub(crate) const CUSTOMER_EMAIL: Place<String> = Place::new("customer.email");
    pub(crate) const CUSTOMER_NAME: Place<String> = Place::new("customer.name");
    pub(crate) const CUSTOMER_ADDRESS: Place<Address> = Place::new("customer.address");
    // A cart's contact is copied into its order without being opened, so both call it the same.
    pub(crate) const CONTACT_EMAIL: Place<String> = Place::new("contact.email");
    pub(crate) const CONTACT_SHIP_TO: Place<Address> = Place::new("contact.ship_to");
    pub(crate) const CONTACT_BILL_TO: Place<Address> = Place::new("contact.bill_to");
}

/// An address as it is sealed. What a field means is its place here, so none is added, removed or moved.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) company: Option<String>,
    pub(crate) line1: String,
    pub(crate) line2: Option<String>,
    pub(crate) city: String,
    pub(crate) postal_code: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) country: String,
    pub(crate) phone: Option<String>,
}

/// Where a buyer is reached, checked and not sealed yet.
#[derive(Clone, Default)]
pub(crate) struct PlainContact {
    pub(crate) email: Option<String>,
    pub(crate) ship_to: Option<Address>,
    pub(crate) bill_to: Option<Address>,
}

/// Seals and opens.
pub(crate) struct Personal {
    persons: Arc<Persons>,
    index: Key,
    fingerprints: Key,
}

/// The key of one person.
pub(crate) struct PersonKey {
    person: CustomerId,
    cipher: XChaCha20Poly1305,
}

/// Opens the fields of one person, and keeps in mind what could not be opened.
pub(crate) struct Reading {
    key: Option<PersonKey>,
    /// The person was erased.
    pub(crate) is_erased: bool,
    /// Something is there that this site has no key for.
    pub(crate) is_sealed: bool,
}

impl Personal {
    pub(crate) fn new(persons: Arc<Persons>) -> Self {
        let (index, fingerprints) = (persons.derived("kontor/index/1"), persons.derived("kontor/fingerprint/1"));
        Self { persons, index, fingerprints }
    }

    /// A fresh person.
    pub(crate) fn fresh_person() -> CustomerId {
        CustomerId(ids::fresh_uuid())
    }

    /// The key of a person, made if they have none, and refused if they were erased. To be asked for before
    /// the command is given that carries what it has sealed.
    pub(crate) async fn key(&self, person: CustomerId) -> Result<PersonKey, Problem> {
        let key = match self.persons.key(person)? {
            Some(key) => Some(key),
            None => {
                let persons = self.persons.clone();
                let new = move || NewKey { key: secret(), nonce: secret(), created_ms: wall_ms() };
                let made = tokio::task::spawn_blocking(move || persons.key_or_new(person, new)).await;
                made.map_err(|_| Problem::internal("the making of a key panicked"))??
            }
        };
        let key = key.ok_or(Refusal::CustomerErased { customer: person })?;
        Ok(PersonKey::new(person, &key))
    }

    /// Opens fields of a person.
    pub(crate) fn reading(&self, person: CustomerId) -> Result<Reading, Problem> {
        let key = match self.persons.key(person) {
            Ok(key) => key.map(|key| PersonKey::new(person, &key)),
            // One of many that are listed, as a rule, and no reason not to show the others.
            Err(PersonError::Keys(error @ KeyError::Damaged { .. })) => {
                tracing::error!(person.id = %person, "The key of a person cannot be used: {error}");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let is_erased = key.is_none() && self.persons.is_erased(person)?;
        Ok(Reading { key, is_erased, is_sealed: false })
    }

    /// Seals where a buyer is reached. Nothing is made for a person of whom nothing is given.
    pub(crate) async fn seal_contact(&self, person: CustomerId, contact: &PlainContact) -> Result<Contact, Problem> {
        let PlainContact { email, ship_to, bill_to } = contact;
        if email.is_none() && ship_to.is_none() && bill_to.is_none() {
            return Ok(Contact::default());
        }
        let key = self.key(person).await?;
        Ok(Contact {
            email: key.seal_some(&place::CONTACT_EMAIL, email.as_ref())?,
            ship_to: key.seal_some(&place::CONTACT_SHIP_TO, ship_to.as_ref())?,
            bill_to: key.seal_some(&place::CONTACT_BILL_TO, bill_to.as_ref())?,
        })
    }

    /// Fills in what was sealed before and is not given anew, to be sealed for somebody else.
    pub(crate) fn complete_contact(&self, given: PlainContact, before: &Contact) -> Result<PlainContact, Problem> {
        let Some(first) = before.fields().next() else { return Ok(given) };
        let mut reading = self.reading(first.person())?;
        let PlainContact { email, ship_to, bill_to } = given;
        Ok(PlainContact {
            email: email.or_else(|| reading.open(&place::CONTACT_EMAIL, before.email.as_ref())),
            ship_to: ship_to.or_else(|| reading.open(&place::CONTACT_SHIP_TO, before.ship_to.as_ref())),
            bill_to: bill_to.or_else(|| reading.open(&place::CONTACT_BILL_TO, before.bill_to.as_ref())),
        })
    }

    /// Shows where a buyer is reached.
    pub(crate) fn show_contact(&self, contact: &Contact) -> Result<wire::ContactShown, Problem> {
        // All of one person.
        let Some(first) = contact.fields().next() else { return Ok(wire::ContactShown::default()) };
        let mut reading = self.reading(first.person())?;
        let email = reading.open(&place::CONTACT_EMAIL, contact.email.as_ref());
        let ship_to = reading.open(&place::CONTACT_SHIP_TO, contact.ship_to.as_ref()).map(wire::Address::from);
        let bill_to = reading.open(&place::CONTACT_BILL_TO, contact.bill_to.as_ref()).map(wire::Address::from);
        let (erased, sealed) = (reading.is_erased, reading.is_sealed);
        Ok(wire::ContactShown { person_id: Some(first.person().to_string()), email, ship_to, bill_to, erased, sealed })
    }

    /// By what a person with this e-mail address is found.
    pub(crate) fn email_hash(&self, email: &str) -> [u8; 32] {
        let email: String = email.trim().nfc().collect::<String>().to_lowercase();
        keyed_hash(&self.index, email.as_bytes())
    }

    /// A fingerprint that nobody without the master key can compare with a guess: it stands in the journal for
    /// ever, and a guess at an address is easily made.
    pub(crate) fn keyed_fingerprint(&self, fingerprint: [u8; 16]) -> [u8; 16] {
        let hash = keyed_hash(&self.fingerprints, &fingerprint);
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// Destroys the keys of all who were erased since the last time.
    pub(crate) async fn destroy_erased(&self) -> Result<(), Problem> {
        let persons = self.persons.clone();
        let done = tokio::task::spawn_blocking(move || persons.destroy_erased()).await;
        done.map_err(|_| Problem::internal("the destruction of a key panicked"))
    }

    /// Destroys a key that was made for what was not done then.
    pub(crate) async fn take_back(&self, person: CustomerId) {
        let persons = self.persons.clone();
        // The key is of nobody: a failure leaves a small file behind, and changes no answer.
        match tokio::task::spawn_blocking(move || persons.take_back(person)).await {
            Ok(Ok(())) => {}
            failed => tracing::warn!("A key that is of nobody could not be removed: {failed:?}"),
        }
    }

    pub(crate) fn persons(&self) -> &Arc<Persons> {
        &self.persons
    }
}

impl<T> Place<T> {
    const fn new(name: &'static str) -> Self {
        Self(name, PhantomData)
    }
}

/// Besides the ciphertext: version, person, nonce, tag.
const HEAD: usize = 1 + 16 + 24;
const TAG: usize = 16;
const VERSION: u8 = 1;
const BLOCK: usize = 32;
const PLAINTEXT_MAX: usize = (SEALED_BYTES_MAX - HEAD - TAG) / BLOCK * BLOCK;

impl PersonKey {
    fn new(person: CustomerId, key: &Key) -> Self {
        Self { person, cipher: XChaCha20Poly1305::new(&(*key).into()) }
    }

    pub(crate) fn seal<T: Serialize>(&self, place: &Place<T>, value: &T) -> Result<Sealed, Problem> {
        self.seal_with(secret(), place, value)
    }

    pub(crate) fn seal_some<T: Serialize>(
        &self,
        place: &Place<T>,
        value: Option<&T>,
    ) -> Result<Option<Sealed>, Problem> {
        value.map(|value| self.seal(place, value)).transpose()
    }

    fn seal_with<T: Serialize>(&self, nonce: [u8; 24], place: &Place<T>, value: &T) -> Result<Sealed, Problem> {
        let value = postcard::to_stdvec(value).map_err(|error| Problem::internal(error.to_string()))?;
        let padded = (2 + value.len()).next_multiple_of(BLOCK);
        let length = u16::try_from(value.len()).ok().filter(|_| padded <= PLAINTEXT_MAX);
        let length = length.ok_or_else(|| Problem::internal("a personal field is longer than the door lets in"))?;
        let mut plain = [&length.to_le_bytes()[..], &value].concat();
        plain.resize(padded, 0);
        let payload = Payload { msg: &plain, aad: &associated(place.0, self.person) };
        let ciphertext = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let ciphertext = ciphertext.map_err(|_| Problem::internal("a personal field could not be sealed"))?;
        let bytes = [&[VERSION][..], &self.person.0, &nonce, &ciphertext].concat();
        Sealed::new(bytes).map_err(|error| Problem::internal(error.to_string()))
    }

    fn open<T: DeserializeOwned>(&self, place: &Place<T>, sealed: &Sealed) -> Option<T> {
        let (head, ciphertext) = sealed.as_bytes().split_at_checked(HEAD)?;
        if head[0] != VERSION || sealed.person() != self.person {
            return None;
        }
        let nonce: [u8; 24] = head[17..].try_into().ok()?;
        let payload = Payload { msg: ciphertext, aad: &associated(place.0, self.person) };
        let plain = self.cipher.decrypt(&XNonce::from(nonce), payload).ok()?;
        let (length, value) = plain.split_first_chunk::<2>()?;
        postcard::from_bytes(value.get(..usize::from(u16::from_le_bytes(*length)))?).ok()
    }
}

impl Reading {
    /// What a field says; nothing if there is none, or it cannot be opened.
    pub(crate) fn open<T: DeserializeOwned>(&mut self, place: &Place<T>, sealed: Option<&Sealed>) -> Option<T> {
        let sealed = sealed?;
        let opened = self.key.as_ref().and_then(|key| key.open(place, sealed));
        if opened.is_none() && !self.is_erased {
            if self.key.is_some() {
                tracing::warn!(person.id = %sealed.person(), "A sealed field does not open with its person's key");
            }
            self.is_sealed = true;
        }
        opened
    }
}

fn associated(place: &str, person: CustomerId) -> Vec<u8> {
    [b"kontor/sealed/1\0", place.as_bytes(), b"\0", &person.0[..]].concat()
}

fn keyed_hash(key: &Key, bytes: &[u8]) -> [u8; 32] {
    let mut hash = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    hash.update(bytes);
    hash.finalize().into_bytes().into()
}

impl From<Address> for wire::Address {
    fn from(address: Address) -> Self {
        let Address { name, company, line1, line2, city, postal_code, region, country, phone } = address;
        Self { name, company, line1, line2, city, postal_code, region, country, phone }
    }
}

impl From<PersonError> for Problem {
    fn from(error: PersonError) -> Self {
        match error {
            PersonError::Keys(KeyError::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => {
                Self::new(Code::StorageFull, "there is no room for the key of a person, and nothing has changed")
            }
            PersonError::Keys(error) => Self::internal(format!("a person's key: {error}")),
            PersonError::Rows(error) => error.into(),
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address(…)")
    }
}

impl std::fmt::Debug for PlainContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainContact(…)")
    }
}

#[cfg(test)]
mod tests {
    use kontor_core::id::SiteId;
    use kontor_site::Site;
    use proptest::prelude::*;

    use super::*;

    const ADA: CustomerId = CustomerId([0x11; 16]);

    fn key_of(person: CustomerId) -> PersonKey {
        PersonKey::new(person, &[9; 32])
    }

    fn hex(bytes: &[u8]) -> String {
        kontor_core::text::hex(bytes).to_string()
    }

    fn home() -> Address {
        let some = |text: &str| Some(text.to_owned());
        Address {
            name: "Ada Example".into(),
            company: None,
            line1: "Long Lane 4".into(),
            line2: some("Back door"),
            city: "Bristol".into(),
            postal_code: some("BS1 4DJ"),
            region: None,
            country: "GB".into(),
            phone: None,
        }
    }

    /// What stands in journals can never be changed. The bytes were made by another program as well.
    #[test]
    fn version_1_opens_as_it_was_sealed() {
        let sealed = key_of(ADA).seal_with([5; 24], &place::CUSTOMER_EMAIL, &"ada@example.org".to_owned()).unwrap();
        assert_eq!(hex(sealed.as_bytes()), EMAIL_SEALED);
        let sealed = key_of(ADA).seal_with([6; 24], &place::CONTACT_SHIP_TO, &home()).unwrap();
        assert_eq!(hex(sealed.as_bytes()), ADDRESS_SEALED);
        let opened = key_of(ADA).open(&place::CONTACT_SHIP_TO, &sealed);
        assert!(opened == Some(home()));
    }

    const EMAIL_SEALED: &str = "0111111111111111111111111111111111050505050505050505050505050505050505050505050505d4c67bf1d367e2d4b53a2c2885d65b7464ed3351e5dc103e6a7ffdb2ef472eb44b865c973a044cc425602f9722611675";
    const ADDRESS_SEALED: &str = "011111111111111111111111111111111106060606060606060606060606060606060606060606060679ed52a1d55b70f2e1563cfb30994313634a0f631660fdd29091847386075e72d7f52ef96192c58afdd7ea51bf6ac92e0b106f4fb44b97b5a0c3caae558fffb372c1625ce40e63c31f60091fc47f1816";

    #[test]
    fn an_address_is_found_however_it_is_written_and_by_its_site_alone() {
        let site = Site::in_memory(SiteId::parse("main").unwrap()).unwrap();
        let personal = Personal::new(Arc::new(Persons::in_memory(&site)));
        assert_eq!(hex(&personal.email_hash("ada@example.org")), EMAIL_HASH);
        // The second one has its accent apart.
        let written = [" Andr\u{e9}@Example.ORG ", "andre\u{301}@example.org"];
        let hashes = written.map(|email| personal.email_hash(email));
        assert_eq!(hashes[0], hashes[1]);
        assert_ne!(hashes[0], personal.email_hash("andre@example.org"));
        assert_eq!(hex(&personal.keyed_fingerprint([1; 16])), FINGERPRINT);
    }

    const EMAIL_HASH: &str = "ce19ef1d72e3884002992d4d430def3b4da352cafe9efead186928b7adecba5f";
    const FINGERPRINT: &str = "3ddb7180bbb2ef0f7df7353a72ab1609";

    #[tokio::test]
    async fn what_is_sealed_is_read_until_the_key_is_gone() {
        let site = Site::in_memory(SiteId::parse("main").unwrap()).unwrap();
        let personal = Personal::new(Arc::new(Persons::in_memory(&site)));
        let sealed = personal.key(ADA).await.unwrap().seal(&place::CUSTOMER_NAME, &"Ada".to_owned()).unwrap();
        let plain = PlainContact { email: Some("ada@example.org".into()), ship_to: Some(home()), bill_to: None };
        let contact = personal.seal_contact(ADA, &plain).await.unwrap();
        assert_eq!(personal.reading(ADA).unwrap().open(&place::CUSTOMER_NAME, Some(&sealed)).as_deref(), Some("Ada"));
        let shown = personal.show_contact(&contact).unwrap();
        assert_eq!((shown.email.as_deref(), &shown.bill_to), (Some("ada@example.org"), &None));
        assert!(shown.ship_to == Some(home().into()) && !shown.erased && !shown.sealed);
        assert!(!format!("{sealed:?} {contact:?} {plain:?} {:?}", home()).to_lowercase().contains("ada"));

        personal.take_back(ADA).await;
        assert_eq!(personal.reading(ADA).unwrap().open(&place::CUSTOMER_NAME, Some(&sealed)), None);
        let shown = personal.show_contact(&contact).unwrap();
        assert_eq!(shown, wire::ContactShown { person_id: Some(ADA.to_string()), sealed: true, ..Default::default() });
        // A new key opens nothing of what was.
        personal.key(ADA).await.unwrap().seal(&place::CUSTOMER_NAME, &"Ada".to_owned()).unwrap();
        assert_eq!(personal.reading(ADA).unwrap().open(&place::CUSTOMER_NAME, Some(&sealed)), None);
        assert!(personal.show_contact(&contact).unwrap().sealed);
    }

    #[test]
    fn the_longest_address_that_is_taken_fits_into_a_field() {
        let text = || "\u{1f600}".repeat(crate::limits::PERSON_TEXT_CHARS_MAX);
        let code = || Some("\u{1f600}".repeat(crate::limits::PERSON_CODE_CHARS_MAX));
        let (name, line1, city, country) = (text(), text(), text(), "GB".to_owned());
        let (company, line2, region) = (Some(text()), Some(text()), Some(text()));
        let address =
            Address { name, company, line1, line2, city, postal_code: code(), region, country, phone: code() };
        key_of(ADA).seal(&place::CUSTOMER_ADDRESS, &address).unwrap();
    }

    proptest! {
        /// What is sealed opens in its place, for its person, under its key, unchanged, and nowhere else; and its
        /// length tells little.
        #[test]
        fn what_is_sealed_opens_in_its_own_place_alone(
            text in ".{0,200}", person: [u8; 16], other: [u8; 16], key: [u8; 32], nonce: [u8; 24], flip: prop::sample::Index,
        ) {
            let of = |person| PersonKey::new(CustomerId(person), &key);
            let sealed = of(person).seal_with(nonce, &place::CUSTOMER_NAME, &text).unwrap();
            prop_assert_eq!(of(person).open(&place::CUSTOMER_NAME, &sealed), Some(text));
            prop_assert_eq!((sealed.as_bytes().len() - HEAD - TAG) % BLOCK, 0);
            prop_assert_eq!(of(person).open(&place::CUSTOMER_EMAIL, &sealed), None);
            prop_assert_eq!(of(person).open(&place::CONTACT_EMAIL, &sealed), None);
            if other != person {
                prop_assert_eq!(of(other).open(&place::CUSTOMER_NAME, &sealed), None);
                let mut bytes = sealed.as_bytes().to_vec();
                bytes[1..17].copy_from_slice(&other);
                let moved = Sealed::new(bytes).unwrap();
                prop_assert_eq!(of(other).open(&place::CUSTOMER_NAME, &moved), None);
            }
            let mut bytes = sealed.as_bytes().to_vec();
            let at = flip.index(bytes.len());
            bytes[at] ^= 1;
            prop_assert_eq!(of(person).open(&place::CUSTOMER_NAME, &Sealed::new(bytes).unwrap()), None);
        }
    }
}
