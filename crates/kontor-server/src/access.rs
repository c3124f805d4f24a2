//! Who asks, and what they may do. Keys carry 256 random bits, so one SHA-256 is all that checking
//! one takes; the site keeps the digest alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use http::{HeaderMap, HeaderName, header};
use kontor_api::security::RefusedBecause;
use kontor_api::{Code, path};
use kontor_core::access::{AccessKey, Role};
use kontor_core::command::{Command, Request};
use kontor_core::id::{Actor, RequestId, SiteId};
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
    /// The key that sites share, if their operator gave them one.
    peers: Option<Arc<Holder>>,
    /// Keys for the paths of the reference inventory service alone.
    inventory: Vec<(Reach, Arc<Holder>)>,
    /// Who everybody is on the paths of the reference services, if those are open.
    open: Option<Arc<Holder>>,
    /// Who everybody is who reads anything at a demo. Its keys are known to all the world, so that nothing is
    /// taken there but what is meant for this machine.
    of_demo: Option<Arc<Holder>>,
}

/// The keys of a demo, which its documents print.
#[derive(Debug, Clone, Copy)]
pub struct DemoKeys<'k> {
    /// Opens everything.
    pub admin: &'k str,
    /// Open what stores do at the reference inventory service.
    pub inventory: &'k [&'k str],
    /// Open what its administrators do.
    pub inventory_admin: &'k [&'k str],
}

/// What a path of the reference services asks of a key, and how far a key reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// What stores do at the central inventory.
    Inventory,
    /// What its administrators do.
    InventoryAdmin,
    /// Everything.
    Everything,
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
    pub(crate) may: May,
    /// Its request was passed on by another site, which has looked at its key.
    pub(crate) is_of_another_site: bool,
    digest: [u8; 32],
}

impl Holder {
    /// Somebody for whom another site asks.
    pub(crate) fn of_another_site(actor: Actor, may: May) -> Self {
        // No text has this digest, so nobody becomes this holder by a key.
        Self { actor, may, is_of_another_site: true, digest: [0; 32] }
    }
}

/// What the holder of a key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum May {
    /// Everything.
    All,
    /// Read the journal as this site; as any, if it is the key that sites share.
    Read(Option<SiteId>),
    /// What the token of a cart opens: a buyer without a key, for whom another site asks.
    Buy,
}

impl May {
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::All
    }
}

impl From<&Role> for May {
    fn from(role: &Role) -> Self {
        match role {
            Role::Admin => Self::All,
            Role::Peer(site) => Self::Read(Some(site.clone())),
        }
    }
}

impl Access {
    /// The keys journaled in the site, and one more that an operator gives.
    pub fn new(site: &Site, admin_key: Option<String>) -> Result<Self, AccessError> {
        let given = match admin_key {
            Some(key) => Some(Arc::new(given_key("key:admin", &key)?)),
            None => None,
        };
        let (peers, inventory, open, of_demo) = (None, Vec::new(), None, None);
        let access = Self { site: site.clone(), journaled: RwLock::default(), given, peers, inventory, open, of_demo };
        for (id, key) in site.read().keys()? {
            access.remember(&id, &key);
        }
        Ok(access)
    }

    /// Makes an admin key, journals its digest, and returns its text: the only time that it is shown.
    pub async fn issue_admin_key(site: &Site) -> Result<String, AccessError> {
        Self::issue(site, Role::Admin, "first-start").await
    }

    /// Makes a key with which another site may read this one's journal. It is shown once, too.
    pub async fn issue_peer_key(site: &Site, peer: &SiteId) -> Result<String, AccessError> {
        Self::issue(site, Role::Peer(peer.clone()), "enroll-site").await
    }

    async fn issue(site: &Site, role: Role, why: &str) -> Result<String, AccessError> {
        let id = base32(&ids::secret::<5>());
        let key = format!("kon_{id}_{}", base32(&ids::secret::<32>()));
        let word = |text| RequestId::parse(text).expect("a short word is a request id");
        let request = Request {
            command: Command::CreateKey { id: id.into(), role, digest: digest(&key) },
            actor: Actor::parse("operator").expect("a short word is an actor"),
            request_id: word(why),
            idempotency: None,
            fresh_id: ids::fresh_uuid(),
        };
        site.submit(request).await?;
        Ok(key)
    }

    /// Takes this key from every site that knows it, for its journal alone.
    pub fn with_peer_key(mut self, key: Option<&str>) -> Result<Self, AccessError> {
        if let Some(key) = key {
            let holder = given_key("key:peer", key)?;
            self.peers = Some(Arc::new(Holder { may: May::Read(None), ..holder }));
        }
        Ok(self)
    }

    /// Whether anybody can write at all.
    pub fn has_key(&self) -> bool {
        let is_all = |keys: &HashMap<_, Arc<Holder>>| keys.values().any(|holder| holder.may.is_all());
        self.given.is_some() || self.journaled.read().is_ok_and(|keys| is_all(&keys))
    }

    /// Takes these keys too, on the paths of the reference inventory service alone. They are that
    /// service's settings `API_KEYS` and `ADMIN_API_KEYS`, so whoever runs it need not give its clients
    /// new ones; what opens everything else is made by the site.
    pub fn with_inventory_keys(mut self, keys: &[String], admin_keys: &[String]) -> Result<Self, AccessError> {
        for (list, reach) in [(keys, Reach::Inventory), (admin_keys, Reach::InventoryAdmin)] {
            for (number, key) in (1..).zip(list) {
                let word = if reach == Reach::Inventory { "inventory" } else { "inventory-admin" };
                self.inventory.push((reach, Arc::new(given_key(&format!("key:{word}-{number}"), key)?)));
            }
        }
        Ok(self)
    }

    /// Takes the keys of a demo, however short, and lets everybody read everything; both from this machine alone,
    /// and not from the page of somebody else in a browser that runs here.
    pub fn of_demo(mut self, keys: &DemoKeys<'_>) -> Self {
        let holder = |name: &str, key: &str| {
            let actor = Actor::parse(name).expect("a short word is an actor");
            Arc::new(Holder { actor, may: May::All, digest: digest(key), is_of_another_site: false })
        };
        self.given = Some(holder("key:demo", keys.admin));
        self.of_demo = self.given.clone();
        let given = keys.inventory.iter().map(|key| (Reach::Inventory, holder("key:inventory", key)));
        let admins = keys.inventory_admin.iter().map(|key| (Reach::InventoryAdmin, holder("key:inventory-admin", key)));
        self.inventory.extend(given.chain(admins));
        self
    }

    /// Who reads without a key: nobody in particular, but at a demo.
    pub(crate) fn reader(&self, headers: &HeaderMap) -> Option<Arc<Holder>> {
        self.of_demo.clone().filter(|_| is_of_this_machine(headers))
    }

    /// Lets everybody use the paths of the reference services. For an address of this machine alone.
    pub fn open_compat(mut self) -> Self {
        let actor = Actor::parse("open-compat").expect("a short word is an actor");
        // No text has this digest, so nobody becomes this holder by a key.
        self.open = Some(Arc::new(Holder { actor, may: May::All, is_of_another_site: false, digest: [0; 32] }));
        self
    }

    /// Who asks: nobody in particular, or the holder of a key. A key that is not known is never taken
    /// for nobody: its holder should learn that it does not work.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Option<Arc<Holder>>, Problem> {
        presented(headers)?.map(|text| self.holder(text, headers)).transpose()
    }

    /// Whether a caller may be on a path at all: keys of other sites open what is for sites, and nothing else.
    pub(crate) fn reaches(caller: Option<&Arc<Holder>>, path: &str) -> Result<(), Problem> {
        let is_for_sites = path.strip_prefix(path::SITES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match caller {
            // Another site passes on for buyers what they may ask for, and nothing else.
            Some(holder) if holder.may == May::Buy => Ok(()),
            Some(holder) if !holder.may.is_all() && !is_for_sites => {
                Err(Problem::new(Code::Forbidden, "the key is for other paths"))
            }
            _ => Ok(()),
        }
    }

    /// The same on a path of the reference services. Where those are open, a key that is not known does
    /// no harm: the services' own clients send one whether or not it is looked at.
    pub(crate) fn compat_caller(&self, headers: &HeaderMap, asks: Reach) -> Result<Option<Arc<Holder>>, Problem> {
        let known = match presented(headers) {
            Ok(Some(text)) if self.is_for_others(headers) => Err(wrong(RefusedBecause::Unknown, public_id(text))),
            Ok(Some(text)) => {
                let digest = digest(text);
                let given = self.inventory.iter().find(|(_, holder)| bool::from(holder.digest.ct_eq(&digest)));
                match given {
                    Some((reach, holder)) if *reach >= asks => return Ok(Some(holder.clone())),
                    Some(_) => Err(Problem::new(Code::Forbidden, "the key is for other paths")),
                    None => self.holder(text, headers).and_then(|holder| {
                        Self::reaches(Some(&holder), "")?;
                        Ok(Some(holder))
                    }),
                }
            }
            Ok(None) => Ok(None),
            Err(problem) => Err(problem),
        };
        match (known, &self.open) {
            (Ok(Some(holder)), _) => Ok(Some(holder)),
            (_, Some(open)) if is_of_this_machine(headers) => Ok(Some(open.clone())),
            (known, _) => known,
        }
    }

    /// Whether a request reached a demo that was not meant for it.
    fn is_for_others(&self, headers: &HeaderMap) -> bool {
        self.of_demo.is_some() && !is_of_this_machine(headers)
    }

    fn holder(&self, text: &str, headers: &HeaderMap) -> Result<Arc<Holder>, Problem> {
        if self.is_for_others(headers) {
            return Err(wrong(RefusedBecause::Unknown, public_id(text)));
        }
        let digest = digest(text);
        let fits = |holder: &Arc<Holder>| bool::from(holder.digest.ct_eq(&digest));
        // Those that are in no journal first: what would be looked for there in vain is looked for in the tables.
        if let Some(given) = self.given.iter().chain(&self.peers).find(|holder| fits(holder)) {
            return Ok(given.clone());
        }
        let id = public_id(text);
        let journaled = id.map(|id| self.journaled(id)).transpose()?.flatten();
        let reason = if journaled.is_some() { RefusedBecause::WrongSecret } else { RefusedBecause::Unknown };
        journaled.filter(fits).ok_or_else(|| wrong(reason, id))
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
        let holder =
            Arc::new(Holder { actor, may: May::from(&key.role), is_of_another_site: false, digest: key.digest });
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

/// A key from the settings.
fn given_key(actor: &str, key: &str) -> Result<Holder, AccessError> {
    if key.len() < KEY_CHARS_MIN || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(AccessError::WeakKey);
    }
    let actor = Actor::parse(actor).expect("a short word is an actor");
    Ok(Holder { actor, may: May::All, is_of_another_site: false, digest: digest(key) })
}

/// The key that a request shows, from either header.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let unreadable = |_| wrong(RefusedBecause::Unreadable, None);
    match (headers.get(API_KEY), headers.get(header::AUTHORIZATION)) {
        (None, None) => Ok(None),
        (Some(key), _) => key.to_str().map(Some).map_err(unreadable),
        (None, Some(line)) => {
            let line = line.to_str().map_err(unreadable)?;
            let (scheme, key) = line.split_once(' ').unwrap_or((line, ""));
            if !scheme.eq_ignore_ascii_case("bearer") {
                let refused = Refused::new(RefusedBecause::WrongScheme, None);
                return Err(Problem::refused_key(refused, "only Bearer authorization is known here"));
            }
            Ok(Some(key.trim()))
        }
    }
}

fn wrong(reason: RefusedBecause, id: Option<&str>) -> Problem {
    Problem::refused_key(Refused::new(reason, id), "the key is not known here")
}

/// Whether a request was meant for this machine, and not sent by the page of somebody else in a browser
/// that runs here: such a request names another origin, or a host that was pointed here.
pub(crate) fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let is_local = |name: HeaderName| {
        let Some(value) = headers.get(name) else { return true };
        let value = value.to_str().unwrap_or("?");
        let host = value.split_once("://").map_or(value, |(_, host)| host);
        let host = match host.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    is_local(header::HOST) && is_local(header::ORIGIN)
}

/// The public part of `kon_<id>_<secret>`.
fn public_id(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix("kon_")?.split_once('_')?;
    let plain = |part: &str| !part.is_empty() && part.len() <= 64 && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain(id) && plain(secret)).then_some(id)
}

fn digest(key: &str) -> [u8; 32] {
    digest_of(key.as_bytes())
}

/// The digest of a secret, as the site keeps it.
pub(crate) fn digest_of(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// A new secret of 128 bits, and its digest.
pub(crate) fn fresh_token() -> (String, [u8; 32]) {
    let token = base32(&ids::secret::<16>());
    let digest = digest(&token);
    (token, digest)
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
    fn a_page_of_somebody_else_is_not_of_this_machine() {
        let of = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            is_of_this_machine(&headers)
        };
        assert!(of("127.0.0.1:8080", None) && of("localhost", None) && of("[::1]:8080", None));
        assert!(of("localhost:8080", Some("http://localhost:3000")));
        assert!(!of("localhost:8080", Some("https://shop.example")) && !of("localhost:8080", Some("null")));
        assert!(!of("rebound.example:8080", None) && !of("127.0.0.1.example", None));
        assert!(is_of_this_machine(&HeaderMap::new()));
    }

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
