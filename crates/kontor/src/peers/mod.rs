//! The links of a running site to others: one task for each site whose journal is read. What it asks and
//! when is the session's to say; this gives it a network and a clock.

mod file;
mod follow;
mod push;
mod relay;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use kontor_api::site::PeerAddress;
use kontor_client::{Client, ClientError};
use kontor_core::id::SiteId;
use kontor_core::session::{Mark, Next, Session, Trouble};
use kontor_core::text::TextError;
use kontor_server::links::{Links, Shown, Wish, held};
use kontor_server::{Access, AccessError};
use kontor_site::Site;
use kontor_site::site::NotReadIn;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::limits::JOIN_PATIENCE;
use file::LinksFile;
use follow::{Follower, trouble, with_causes};

/// All links of a site.
pub(crate) struct Peers {
    site: Site,
    links: Links,
    /// The address of this site for others.
    address: String,
    /// Nobody reaches this site: it gives its journal away, and tells no address.
    is_store: bool,
    file: LinksFile,
    followers: BTreeMap<String, JoinHandle<()>>,
    /// Keys that were made for other sites in this run: one that is asked again is not given another.
    issued: BTreeMap<SiteId, String>,
    chance: Rng,
}

/// Why a link was not made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("a code has the name of a site and a key in it: http://site:key@host:port")]
    NoCode,
    #[error(transparent)]
    Name(#[from] TextError),
    #[error("{0} is the name of this site itself")]
    Itself(SiteId),
    #[error("site {0} is there")]
    Another(String),
    #[error("no answer came in time")]
    Late,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("{0:#}")]
    File(anyhow::Error),
    #[error(transparent)]
    Enroll(#[from] NotReadIn),
}

impl MakeError {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Late => Trouble::NoAnswer,
            Self::Client(error) => trouble(error),
            _ => Trouble::Refused,
        }
    }
}

impl Peers {
    /// Follows the sites of the settings and those that were joined before, each once.
    pub(crate) fn start(
        site: &Site,
        links: &Links,
        address: String,
        is_store: bool,
        data: &Path,
        settings: Vec<PeerAddress>,
    ) -> anyhow::Result<Self> {
        let file = LinksFile::open(data)?;
        let (site, links, followers) = (site.clone(), links.clone(), BTreeMap::new());
        let (_, seed) = uuid::Uuid::from_bytes(kontor_server::fresh_uuid()).as_u64_pair();
        let (issued, chance) = (BTreeMap::new(), Rng::with_seed(seed));
        let mut peers = Self { site, links, address, is_store, file, followers, issued, chance };
        let named: Vec<String> = settings.iter().filter_map(|address| address.site.clone()).collect();
        let joined = peers.file.addresses().filter(|it| it.site.as_ref().is_none_or(|site| !named.contains(site)));
        let all: Vec<PeerAddress> = joined.chain(settings).collect();
        all.into_iter().for_each(|address| peers.follow(address));
        Ok(peers)
    }

    /// Joins the site that gave the code, and makes the links that are wished for, until the site stops. What
    /// was joined before is not joined again; what is not there yet is tried as a link is.
    pub(crate) async fn run(mut self, join: Option<PeerAddress>, mut wishes: mpsc::Receiver<Wish>) {
        let join = join.filter(|code| self.file.addresses().all(|known| known != *code));
        let mut join = join.map(|code| (code, Session::new(Mark::default(), self.links.now_ms())));
        loop {
            let (now_ms, chance) = (self.links.now_ms(), self.chance.u64(..));
            let next = join.as_mut().map_or(Next::Nothing, |(_, session)| session.next(now_ms, chance));
            let rest_ms = match next {
                Next::Ask(_) => {
                    if let Some((code, session)) = &mut join {
                        let made = self.make(code.clone(), true).await;
                        if self.note_join(code, session, made) {
                            join = None;
                        }
                    }
                    continue;
                }
                Next::Wait(until_ms) => until_ms.saturating_sub(now_ms),
                Next::Nothing => u64::MAX,
            };
            match timeout(Duration::from_millis(rest_ms), wishes.recv()).await {
                Ok(Some(Wish { address, mutual, done })) => {
                    let made = self.make(address, mutual).await.map_err(|error| with_causes(&error));
                    // Whoever wished for it may have gone; the link is there all the same.
                    let _ = done.send(made);
                }
                Ok(None) => return,
                Err(_) => {}
            }
        }
    }

    /// Answers whether it is done.
    fn note_join(&mut self, code: &PeerAddress, session: &mut Session, made: Result<(), MakeError>) -> bool {
        let url = code.url.clone();
        let Err(error) = made else {
            self.links.forget(&url);
            tracing::info!("The site at {url} is joined");
            return true;
        };
        let (before, why) = (session.link(), with_causes(&error));
        session.failed(self.links.now_ms(), error.trouble(), self.chance.u64(..));
        if session.link() != before {
            tracing::warn!("The site at {url} cannot be joined yet: {why}");
        }
        let (session, error) = (session.clone(), Some(why));
        self.links.show(&code.url, Shown { url, session, has_read: None, answered_ms: None, error });
        false
    }

    async fn make(&mut self, address: PeerAddress, mutual: bool) -> Result<(), MakeError> {
        let (Some(name), Some(key)) = (&address.site, &address.key) else {
            return Err(MakeError::NoCode);
        };
        let peer = SiteId::parse(name.as_str())?;
        if peer == *self.site.id() {
            return Err(MakeError::Itself(peer));
        }
        if mutual && !self.is_store {
            let client = Client::new(&address.url, Some(key))?;
            // Whoever is not there, or does not know the key, is given none.
            let (own_name, nothing) = (self.site.id().to_string(), held(&Mark::default()));
            let met = timeout(JOIN_PATIENCE, client.journal(&own_name, &nothing, 0, None)).await;
            let met = met.map_err(|_| MakeError::Late)??;
            if met.head.site != *name {
                return Err(MakeError::Another(met.head.site));
            }
            let own_key = match self.issued.get(&peer) {
                Some(key) => key.clone(),
                None => Access::issue_peer_key(&self.site, &peer).await?,
            };
            self.issued.insert(peer.clone(), own_key.clone());
            let own = PeerAddress { url: self.address.clone(), site: Some(own_name), key: Some(own_key) };
            let told = timeout(JOIN_PATIENCE, client.add_link(&own.code(), false)).await;
            told.map_err(|_| MakeError::Late)??;
        }
        self.file.put(&address).map_err(MakeError::File)?;
        let (site, link) = (self.site.clone(), peer.clone());
        let enrolled = tokio::task::spawn_blocking(move || site.enroll(&link)).await;
        enrolled.map_err(|_| NotReadIn::Stopped)??;
        self.follow(address);
        Ok(())
    }

    fn follow(&mut self, address: PeerAddress) {
        let name = address.site.clone().unwrap_or_else(|| address.url.clone());
        if let Some(before) = self.followers.remove(&name) {
            before.abort();
        }
        let follower = Follower::new(&self.site, &self.links, address, self.is_store, self.chance.fork());
        self.followers.insert(name, tokio::spawn(follower.run()));
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.followers.values().for_each(JoinHandle::abort);
    }
}
