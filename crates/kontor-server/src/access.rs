//! Who asks, and what they may do. Keys carry 256 random bits, so one SHA-256 is all that checking
//! one takes; the site keeps the digest alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use http::{HeaderMap, HeaderName, header};
use kontor_api::security::RefusedBecause;
use kontor_core::access::{AccessKey, Role};
use kontor_core::command::{Command, Request};
use kontor_core::id::{Actor, RequestId};
use kontor_core::view::ViewError;
use kontor_site::{NotDone, Site};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ids;
use crate::limits::KEY_CHARS_MIN;
use crate::problem::Problem;
use crate::refusals::Refused;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Knows the keys of a site, and the one that its operator gave at start.
pub struct Access {
    site: Site,
    /// By their public id. Filled when a key is first seen, so that checking one reads no rows.
    journaled: RwLock<HashMap<Box<str>, Arc<Holder>>>,
    given: Option<Arc<Holder>>,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The key from the environment is too easy to guess.
    #[error("the admin key must have at least {KEY_CHARS_MIN} visible ASCII characters")]
    WeakKey,
    /// The site's keys could not be read.
    #[error(transparent)]
    Read(#[from] ViewError),
    /// The new key could not be written.
    #[error("the key could not be written: {0}")]
    Write(#[from] NotDone),
}

/// Whoever holds a key.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) actor: Actor,
    /// What the holder may do. There is one role today, so nothing asks yet.
    #[expect(dead_code, reason = "the second role comes with the first key that is not an admin's")]
    role: Role,
    digest: [u8; 32],
}

impl Access {
    /// The keys journaled in the site, and one more that an operator gives.
    pub fn new(site: &Site, admin_key: Option<String>) -> Result<Self, AccessError> {
        let given = match admin_key {
            Some(key) if key.len() < KEY_CHARS_MIN || !key.bytes().all(|b| b.is_ascii_graphic()) => {
                return Err(AccessError::WeakKey);
            }
            Some(key) => {
                let actor = Actor::parse("key:admin").expect("a short word is an actor");
                Some(Arc::new(Holder { actor, role: Role::Admin, digest: digest(&key) }))
            }
            None => None,
        };
        let access = Self { site: site.clone(), journaled: RwLock::default(), given };
        for (id, key) in site.read().keys()? {
            access.remember(&id, &key);
        }
        Ok(access)
    }

    /// Makes an admin key, journals its digest, and returns its text: the only time that it is shown.
    pub async fn issue_admin_key(site: &Site) -> Result<String, AccessError> {
        let id = base32(&ids::secret::<5>());
        let key = format!("kon_{id}_{}", base32(&ids::secret::<32>()));
        let word = |text| RequestId::parse(text).expect("a short word is a request id");
        let request = Request {
            command: Command::CreateKey { id: id.into(), role: Role::Admin, digest: digest(&key) },
            actor: Actor::parse("operator").expect("a short word is an actor"),
            request_id: word("first-start"),
            idempotency: None,
            fresh_id: ids::fresh_uuid(),
        };
        site.submit(request).await?;
        Ok(key)
    }

    /// Whether anybody can write at all.
    pub fn has_key(&self) -> bool {
        self.given.is_some() || self.journaled.read().is_ok_and(|keys| !keys.is_empty())
    }

    /// Who asks: nobody in particular, or the holder of a key. A key that is not known is never taken
    /// for nobody: its holder should learn that it does not work.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Option<Arc<Holder>>, Problem> {
        let wrong = |reason, id| Problem::refused_key(Refused::new(reason, id), "the key is not known here");
        let unreadable = |_| wrong(RefusedBecause::Unreadable, None);
        let text = match (headers.get(API_KEY), headers.get(header::AUTHORIZATION)) {
            (None, None) => return Ok(None),
            (Some(key), _) => key.to_str().map_err(unreadable)?,
            (None, Some(line)) => {
                let line = line.to_str().map_err(unreadable)?;
                let (scheme, key) = line.split_once(' ').unwrap_or((line, ""));
                if !scheme.eq_ignore_ascii_case("bearer") {
                    let refused = Refused::new(RefusedBecause::WrongScheme, None);
                    return Err(Problem::refused_key(refused, "only Bearer authorization is known here"));
                }
                key.trim()
            }
        };
        let digest = digest(text);
        let fits = |holder: &Arc<Holder>| bool::from(holder.digest.ct_eq(&digest));
        let id = public_id(text);
        let journaled = match id {
            Some(id) => self.journaled(id)?,
            None => None,
        };
        let reason = if journaled.is_some() { RefusedBecause::WrongSecret } else { RefusedBecause::Unknown };
        let found = journaled.filter(fits).or_else(|| self.given.clone().filter(fits));
        found.map(Some).ok_or_else(|| wrong(reason, id))
    }

    fn journaled(&self, id: &str) -> Result<Option<Arc<Holder>>, Problem> {
        if let Ok(keys) = self.journaled.read()
            && let Some(holder) = keys.get(id)
        {
            return Ok(Some(holder.clone()));
        }
        // Made since the start, or never.
        let key = self.site.read().key(id)?;
        Ok(key.map(|key| self.remember(id, &key)))
    }

    fn remember(&self, id: &str, key: &AccessKey) -> Arc<Holder> {
        let actor = Actor::parse(format!("key:{id}")).expect("an id of a key is short and printable");
        let holder = Arc::new(Holder { actor, role: key.role, digest: key.digest });
        if let Ok(mut keys) = self.journaled.write() {
            keys.insert(id.into(), holder.clone());
        }
        holder
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("has_key", &self.has_key()).finish()
    }
}

/// The public part of `kon_<id>_<secret>`.
fn public_id(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix("kon_")?.split_once('_')?;
    let plain = |part: &str| !part.is_empty() && part.len() <= 64 && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain(id) && plain(secret)).then_some(id)
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Lower-case letters and digits that are hard to mistake for one another (Crockford's alphabet).
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| (byte >> (7 - at % 8)) & 1);
    let digit = |first: usize| (first..first + 5).fold(0, |digit, at| digit << 1 | usize::from(bit(at)));
    (0..bytes.len() * 8).step_by(5).map(|first| char::from(ALPHABET[digit(first)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_letters_and_digits() {
        assert_eq!(base32(&[0; 5]), "00000000");
        assert_eq!(base32(&[255; 5]), "zzzzzzzz");
        assert_eq!(base32(&[255; 32]).len(), 52);
        assert_eq!(public_id("kon_abc_def"), Some("abc"));
        assert_eq!(public_id("kon_abc"), None);
        assert_eq!(public_id("kon_a\u{e4}_b"), None);
    }
}
