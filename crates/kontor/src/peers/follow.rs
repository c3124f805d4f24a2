//! One link: asks a peer for its journal and reads in what it answers, as its session says. Beside that, what
//! the peer keeps of others is read from it, as [`relay`] does.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use kontor_api::site::{GroupPlace, Held, KeptJournal, PeerAddress};
use kontor_client::{Client, ClientError, JournalPart, News, Reply};
use kontor_core::group::Digest;
use kontor_core::id::SiteId;
use kontor_core::session::{Ask, Link, Mark, Next, Past, Session, Trouble};
use kontor_server::forward::{Carrier, Errand, NotTold, Told};
use kontor_server::links::{Links, Shown, held};
use kontor_site::Site;
use kontor_site::clock::wall_ms;
use kontor_site::foreign::NotFolded;
use kontor_site::site::NotReadIn;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::{push, relay};

/// Whoever reads one journal.
pub(crate) struct Follower {
    site: Site,
    links: Links,
    address: PeerAddress,
    /// Whether the peer is given this site's journal, because it does not ask.
    gives: bool,
    session: Session,
    chance: Rng,
    /// The peer, once it has said who it is.
    peer: Option<SiteId>,
    /// Rings when the peer asks something itself.
    ear: Arc<Notify>,
    /// What the peer last said to hold of this site's journal.
    holds: Option<Held>,
    /// The newest change of what the peer keeps of others that it has told of.
    news: u64,
    answered_ms: Option<u64>,
    error: Option<String>,
}

/// What came of a question.
pub(crate) enum Came {
    /// Read so far.
    Read(GroupPlace, Mark),
    /// Nothing, for a while.
    Failed(Trouble, String),
    /// Something else is to be asked.
    Withdrawn,
    /// The journal is read no further.
    Stopped(String),
    /// This site has stopped.
    Over,
}

impl Follower {
    pub(crate) fn new(site: &Site, links: &Links, address: PeerAddress, gives: bool, chance: Rng) -> Self {
        let session = Session::new(Mark::default(), links.now_ms());
        let (site, links, ear) = (site.clone(), links.clone(), Arc::new(Notify::new()));
        Self {
            site,
            links,
            address,
            gives,
            session,
            chance,
            peer: None,
            ear,
            holds: None,
            news: 0,
            answered_ms: None,
            error: None,
        }
    }

    /// Follows the peer until this site has stopped.
    pub(crate) async fn run(mut self) {
        let client = match Client::new(&self.address.url, self.address.key.as_deref()) {
            Ok(client) => client,
            Err(error) => return self.end(with_causes(&error)),
        };
        let (is_met, peer) = watch::channel(None);
        let relayed =
            relay::run(self.site.clone(), self.links.clone(), client.clone(), peer.clone(), self.chance.fork());
        let (giver, chance) = (client.clone(), self.chance.fork());
        let (site, links) = (self.site.clone(), self.links.clone());
        let gives = self.gives;
        let given = async move {
            match gives {
                true => push::run(site, links, giver, peer, chance).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.follow(&client, is_met) => {}
            () = relayed => {}
            () = given => {}
        }
    }

    async fn follow(&mut self, client: &Client, is_met: watch::Sender<Option<SiteId>>) {
        loop {
            self.show();
            if let Some(peer) = &self.peer {
                if is_met.send_if_modified(|met| met.replace(peer.clone()).is_none()) {
                    self.links.carries(peer, Arc::new(Road(client.clone())));
                }
                if let Some(kept) = self.site.kept(peer) {
                    self.session.read_elsewhere(kept);
                }
            }
            let now_ms = self.links.now_ms();
            match self.session.next(now_ms, self.chance.u64(..)) {
                // Its journal is read no further. What is here is given to it all the same.
                Next::Nothing => return std::future::pending().await,
                Next::Wait(until_ms) => {
                    let rest = Duration::from_millis(until_ms.saturating_sub(now_ms));
                    if timeout(rest, self.ear.notified()).await.is_ok() {
                        self.session.heard(self.links.now_ms(), self.chance.u64(..));
                    }
                }
                Next::Ask(ask) => {
                    let came = match self.address.site.clone().filter(|_| self.peer.is_none()) {
                        None => self.ask(client, &ask).await,
                        Some(name) => match self.meet(&name).await {
                            // From where it was left, not from the beginning.
                            Ok(()) => continue,
                            Err(why) => Came::Failed(Trouble::NoRoom, why),
                        },
                    };
                    if !self.note(came) {
                        return;
                    }
                }
            }
        }
    }

    async fn ask(&mut self, client: &Client, ask: &Ask) -> Came {
        let patience = Duration::from_millis(ask.until_ms.saturating_sub(self.links.now_ms()));
        let after = held(&ask.after);
        let except = self.links.open();
        let news = News { known: self.news, except: &except };
        let asked = client.journal(self.site.id().as_str(), &after, ask.wait_ms / 1_000, Some(news));
        let answered = tokio::select! {
            answered = timeout(patience, asked) => answered,
            // What comes of that site is to be told of at once from now on.
            () = self.links.until_one_is_cut(&except) => return Came::Withdrawn,
        };
        match answered {
            Err(_) => Came::Failed(Trouble::NoAnswer, "no answer came in time".to_owned()),
            Ok(Err(error)) => Came::Failed(trouble(&error), with_causes(&error)),
            Ok(Ok(part)) => self.take(part).await,
        }
    }

    async fn take(&mut self, part: JournalPart) -> Came {
        let JournalPart { head, groups } = part;
        let peer = match &self.peer {
            Some(peer) if peer.as_str() == head.site => peer.clone(),
            Some(peer) => return Came::Failed(Trouble::Refused, format!("it is {} and not {peer}", head.site)),
            None => {
                return match self.meet(&head.site).await {
                    Ok(()) => Came::Read(head.end, *self.session.at()),
                    Err(why) => Came::Failed(Trouble::Refused, why),
                };
            }
        };
        self.answered_ms = Some(wall_ms());
        if let Some(why) = self.listen(&peer, head.holds).await {
            return Came::Failed(Trouble::Refused, why);
        }
        if let Err(why) = self.note_news(&peer, head.kept, head.news).await {
            return Came::Failed(Trouble::NoRoom, why);
        }
        if groups.is_empty() {
            return Came::Read(head.end, *self.session.at());
        }
        read_in(&self.site, &peer, groups, head.end, *self.session.at()).await
    }

    /// What the peer keeps of others may be read from it. Says why, if it cannot be.
    async fn note_news(&mut self, peer: &SiteId, kept: Vec<KeptJournal>, news: Option<u64>) -> Result<(), String> {
        let Some(news) = news else { return Ok(()) };
        let held = kept.into_iter().filter_map(|it| Some((SiteId::parse(it.site).ok()?, (it.end.term, it.end.seq))));
        let held: Vec<_> = held.filter(|(of, _)| of != self.site.id()).collect();
        let unknown: Vec<_> = held.iter().map(|(of, _)| of.clone()).filter(|of| self.site.kept(of).is_none()).collect();
        self.links.told(peer, held);
        // Those of which nothing is kept, also if they were told before and could not be kept then.
        for of in unknown.into_iter().filter(|of| self.links.knows(of)) {
            tracing::info!(site = of.as_str(), "Site {peer} tells of site {of}, whose journal is read from now on");
            let site = self.site.clone();
            let enrolled = tokio::task::spawn_blocking(move || site.enroll(&of)).await;
            match enrolled {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(with_causes(&error)),
                Err(error) => return Err(error.to_string()),
            }
        }
        self.news = news;
        Ok(())
    }

    /// The peer's name is known: its journal is read from where it was left.
    async fn meet(&mut self, name: &str) -> Result<(), String> {
        let peer = SiteId::parse(name).map_err(|error| error.to_string())?;
        let (site, link) = (self.site.clone(), peer.clone());
        let enrolled = tokio::task::spawn_blocking(move || site.enroll(&link)).await;
        let enrolled = enrolled.map_err(|error| error.to_string())?;
        let stopped = self.site.status().journals.get(&peer).and_then(|journal| journal.stopped.clone());
        if let Err(error) = enrolled
            && stopped.is_none()
        {
            return Err(with_causes(&error));
        }
        let at = self.site.kept(&peer).unwrap_or_default();
        self.links.forget(&self.address.url);
        self.session = Session::new(at, self.links.now_ms());
        self.ear = self.links.ear(&peer);
        if let Some(why) = stopped {
            self.session.stop();
            self.error = Some(why);
        }
        self.peer = Some(peer);
        Ok(())
    }

    /// What the peer holds of this site's journal must be what is here. Says why it is not.
    async fn listen(&mut self, peer: &SiteId, holds: Option<Held>) -> Option<String> {
        if holds == self.holds {
            return None;
        }
        if let Some(Held { term, seq, digest }) = &holds {
            let Some(digest) = Digest::parse(digest) else {
                return Some("what it says to hold of this site's journal has no digest".to_owned());
            };
            let mark = Mark { term: *term, seq: *seq, digest };
            let (site, peer) = (self.site.clone(), peer.clone());
            let heard = tokio::task::spawn_blocking(move || site.hear_of_itself(&peer, &mark)).await;
            match heard {
                Ok(Ok(Past::Same)) => {}
                Ok(Ok(Past::Missing | Past::Other)) => {
                    return Some("it holds another journal of this site than is here".to_owned());
                }
                Ok(Err(error)) => return Some(with_causes(&error)),
                Err(error) => return Some(error.to_string()),
            }
        }
        self.holds = holds;
        None
    }

    /// Tells the session. Answers whether to go on.
    fn note(&mut self, came: Came) -> bool {
        let (now_ms, before) = (self.links.now_ms(), self.session.link());
        match came {
            Came::Read(end, at) => {
                self.session.answered(now_ms, (end.term, end.seq), at);
                self.error = None;
            }
            Came::Failed(trouble, why) => {
                let labels = [("site", self.name())];
                metrics::counter!("kontor_peer_failures_total", &labels).increment(1);
                self.session.failed(now_ms, trouble, self.chance.u64(..));
                self.error = Some(why);
            }
            Came::Stopped(why) => {
                self.session.stop();
                self.error = Some(why);
            }
            Came::Withdrawn => self.session.withdraw(now_ms),
            Came::Over => return false,
        }
        let (name, error) = (self.name(), self.error.as_deref().unwrap_or_default());
        match (before, self.session.link()) {
            (before, after) if before == after => {}
            (_, Link::Cut) => tracing::warn!(site = name, "The link to site {name} is cut: {error}"),
            (_, Link::Open) => tracing::info!(site = name, "The link to site {name} is open"),
            (_, Link::Stopped) => tracing::error!(site = name, "Site {name} is read no further: {error}"),
            (_, Link::Connecting) => {}
        }
        if before != self.session.link() {
            self.show();
            if let Some(peer) = &self.peer {
                self.links.turned(peer, self.session.link());
            }
        }
        true
    }

    fn end(mut self, why: String) {
        self.session.stop();
        tracing::error!("Nothing is read from {}: {why}", self.address.url);
        self.error = Some(why);
        self.show();
    }

    fn show(&self) {
        let has_read = self.holds.as_ref().map(|holds| (holds.term, holds.seq));
        let (url, session, error) = (self.address.url.clone(), self.session.clone(), self.error.clone());
        self.links.show(&self.name(), Shown { url, session, has_read, answered_ms: self.answered_ms, error });
    }

    fn name(&self) -> String {
        let told = || self.address.site.clone().unwrap_or_else(|| self.address.url.clone());
        self.peer.as_ref().map_or_else(told, SiteId::to_string)
    }
}

/// Sends writes to a peer that it decides.
struct Road(Client);

impl Carrier for Road {
    fn carry(&self, errand: Errand) -> Pin<Box<dyn Future<Output = Result<Told, NotTold>> + Send + '_>> {
        Box::pin(async move {
            let Errand { method, path, headers, body } = errand;
            match self.0.pass_on(&method, &path, headers, body).await {
                Ok(Reply { status, headers, body }) => Ok(Told { status, headers, body }),
                Err(
                    error @ (ClientError::Unreachable { .. } | ClientError::Address { .. } | ClientError::Request(_)),
                ) => Err(NotTold::NotSent(with_causes(&error))),
                Err(error) => Err(NotTold::Unknown(with_causes(&error))),
            }
        })
    }
}

/// Reads in what was brought of a journal that ends there, and was here up to `at`.
pub(crate) async fn read_in(site: &Site, of: &SiteId, groups: Vec<Bytes>, end: GroupPlace, at: Mark) -> Came {
    let (site, of) = (site.clone(), of.clone());
    let kept = tokio::task::spawn_blocking(move || site.keep(&of, &groups)).await;
    let folded = match kept {
        Ok(Ok(reading)) => reading.folded().await,
        Ok(Err(error)) => Err(error),
        Err(_) => return Came::Over,
    };
    match folded {
        Ok(folded) => Came::Read(end, folded.mark()),
        Err(NotReadIn::NotFolded { at: now, why }) => match why {
            NotFolded::Gap if now.mark() != at => Came::Read(end, now.mark()),
            NotFolded::Gap | NotFolded::NotOfIt(_) | NotFolded::Older => {
                Came::Failed(Trouble::NotOfIt, why.to_string())
            }
            NotFolded::Stopped(why) => Came::Stopped(why),
            NotFolded::NotRead | NotFolded::Halted => Came::Over,
        },
        Err(error @ (NotReadIn::NoRoom(_) | NotReadIn::NotKept(_))) => {
            Came::Failed(Trouble::NoRoom, with_causes(&error))
        }
        Err(NotReadIn::NotEnrolled(_) | NotReadIn::Stopped) => Came::Over,
    }
}

pub(crate) fn trouble(error: &ClientError) -> Trouble {
    match error {
        // Whoever is overloaded or stops will be there again.
        ClientError::Problem { status, code, .. } if status.is_server_error() && code != "journal_behind" => {
            Trouble::NoAnswer
        }
        ClientError::Problem { .. } | ClientError::Address { .. } | ClientError::Request(_) => Trouble::Refused,
        ClientError::Unreachable { .. } | ClientError::BrokenOff(_) | ClientError::Answer(_) => Trouble::NoAnswer,
    }
}

/// An error and what led to it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
