//! What the service and whoever drives the links to other sites tell each other: how each link is, which
//! ones are wished for, and that a peer was heard. The driver itself is the binary's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use kontor_api::site::{GroupPlace, LinkState, PeerAddress, PeerSite, Sites};
use kontor_api::time::Time;
use kontor_core::id::SiteId;
use kontor_core::limits::{ASK_DEADLINE_MS, ASK_WAIT_MS};
use kontor_core::relay::{AskOf, NextOf, Relays};
use kontor_core::session::{Link, Mark, Session};
use kontor_site::Site;
use kontor_site::clock::Stopwatch;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::forward::Carrier;
use crate::limits::WISHES_MAX;

/// The links of a site. Clones are handles on the same ones.
#[derive(Clone)]
pub struct Links(Arc<Inner>);

struct Inner {
    started: Stopwatch,
    shown: Mutex<BTreeMap<String, Shown>>,
    heard: Mutex<BTreeMap<SiteId, Heard>>,
    carriers: Mutex<BTreeMap<SiteId, Arc<dyn Carrier>>>,
    relays: Mutex<Relays>,
    /// Rings when something may be read through another site that was not before.
    relays_changed: watch::Sender<()>,
    wishes: mpsc::Sender<Wish>,
    /// Counts what was shown and heard.
    changes: watch::Sender<u64>,
}

/// What is known of a peer by what it asks.
#[derive(Default)]
struct Heard {
    ear: Arc<Notify>,
    has_read: Option<(u32, u64)>,
    /// When it was heard last.
    at_ms: u64,
    /// Where its journal ended when it last gave something of it, if it does so by itself.
    gives: Option<(u32, u64)>,
    /// Held by whoever reads in what it gave: the next part waits.
    taking: Arc<tokio::sync::Mutex<()>>,
}

impl Heard {
    /// How the link is of a site that is never asked: it asks or gives something often.
    fn link(&self, now_ms: u64) -> LinkState {
        if now_ms.saturating_sub(self.at_ms) <= ASK_WAIT_MS + ASK_DEADLINE_MS {
            LinkState::Open
        } else {
            LinkState::Cut
        }
    }
}

/// How a link is, as its driver shows it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The address of the peer.
    pub url: String,
    /// The state of reading its journal.
    pub session: Session,
    /// How far it has read this site's journal.
    pub has_read: Option<(u32, u64)>,
    /// When it last answered, by the wall clock.
    pub answered_ms: Option<u64>,
    /// Why the last question led to nothing.
    pub error: Option<String>,
}

/// A link that is wished for.
#[derive(Debug)]
pub struct Wish {
    /// The site whose journal is to be read.
    pub address: PeerAddress,
    /// Whether that site is to read this one's journal too.
    pub mutual: bool,
    /// Told when the link is there, or why it is not.
    pub done: oneshot::Sender<Result<(), String>>,
}

impl Links {
    /// No link yet. Whoever drives them listens for wishes.
    pub fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, listener) = mpsc::channel(WISHES_MAX);
        let inner = Inner {
            started: Stopwatch::start(),
            shown: Mutex::default(),
            heard: Mutex::default(),
            carriers: Mutex::default(),
            relays: Mutex::default(),
            relays_changed: watch::Sender::new(()),
            changes: watch::Sender::default(),
            wishes,
        };
        (Self(Arc::new(inner)), listener)
    }

    /// Milliseconds that sessions are told.
    pub fn now_ms(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no run lasts so long")]
        let now_ms = (self.0.started.seconds() * 1e3) as u64;
        now_ms
    }

    /// Shows how a link is, under the name of the peer or, while that is not known, its address.
    pub fn show(&self, name: &str, shown: Shown) {
        set_gauges(name, &shown, self.now_ms());
        lock(&self.0.shown).insert(name.to_owned(), shown);
        self.changed();
    }

    /// Whoever sends writes to a site from now on.
    pub fn carries(&self, to: &SiteId, carrier: Arc<dyn Carrier>) {
        lock(&self.0.carriers).insert(to.clone(), carrier);
    }

    /// The same, while the link to that site is open.
    pub(crate) fn carrier_to(&self, site: &SiteId) -> Option<Arc<dyn Carrier>> {
        let is_open = lock(&self.0.shown).get(site.as_str()).is_some_and(|shown| shown.session.link() == Link::Open);
        lock(&self.0.carriers).get(site).filter(|_| is_open).cloned()
    }

    /// Shows a link no more.
    pub fn forget(&self, name: &str) {
        lock(&self.0.shown).remove(name);
        self.changed();
    }

    /// Changes whenever a link may be other than it was, or more was read.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Told whenever this peer asks something.
    pub fn ear(&self, peer: &SiteId) -> Arc<Notify> {
        lock(&self.0.heard).entry(peer.clone()).or_default().ear.clone()
    }

    /// Asks all peers at once, without waiting for their turn.
    pub(crate) fn ask_all(&self) {
        lock(&self.0.heard).values().for_each(|heard| heard.ear.notify_one());
    }

    /// A peer has asked for what follows a group.
    pub(crate) fn hear(&self, peer: &SiteId, after: (u32, u64)) {
        let (mut heard, now_ms) = (lock(&self.0.heard), self.now_ms());
        let heard = heard.entry(peer.clone()).or_default();
        heard.at_ms = now_ms;
        heard.ear.notify_one();
        if heard.has_read.replace(after) != Some(after) {
            self.changed();
        }
    }

    /// A peer gives its journal, which ends there. Answers what is to be held while a part is read in.
    pub(crate) fn is_given(&self, peer: &SiteId, end: (u32, u64)) -> Arc<tokio::sync::Mutex<()>> {
        let (mut heard, now_ms) = (lock(&self.0.heard), self.now_ms());
        let heard = heard.entry(peer.clone()).or_default();
        heard.at_ms = now_ms;
        if heard.gives.replace(end) != Some(end) {
            self.changed();
        }
        heard.taking.clone()
    }

    /// A peer has said how far it keeps journals of others. Answers the sites that were not known.
    pub fn told(&self, peer: &SiteId, held: impl IntoIterator<Item = (SiteId, (u32, u64))>) -> Vec<SiteId> {
        let unknown = lock(&self.0.relays).told(peer, held);
        self.0.relays_changed.send_replace(());
        unknown
    }

    /// Whether a journal is one of those that may be read through others: there is a limit to them.
    pub fn knows(&self, of: &SiteId) -> bool {
        lock(&self.0.relays).knows(of)
    }

    /// The link to a peer has another state than before.
    pub fn turned(&self, peer: &SiteId, link: Link) {
        lock(&self.0.relays).link(peer, link);
        self.0.relays_changed.send_replace(());
    }

    /// What a peer is to be asked of the journals that it keeps of others.
    pub fn next_of(&self, peer: &SiteId, kept: impl Fn(&SiteId) -> Option<Mark>) -> NextOf {
        lock(&self.0.relays).next(self.now_ms(), peer, kept)
    }

    /// What came of such a question: the peer holds the journal so far, and so much of it is here by now.
    /// Nothing, if it led to nothing.
    pub fn came_of(&self, peer: &SiteId, ask: &AskOf, came: Option<((u32, u64), (u32, u64))>, chance: u64) {
        let (mut relays, now_ms) = (lock(&self.0.relays), self.now_ms());
        match came {
            Some((end, kept)) => relays.answered(now_ms, peer, ask, end, kept, chance),
            None => relays.failed(now_ms, ask, chance),
        }
    }

    /// Sites whose journals are read from themselves now.
    pub fn open(&self) -> Vec<String> {
        let shown = lock(&self.0.shown);
        let open = shown.iter().filter(|(_, shown)| shown.session.link() == Link::Open);
        open.map(|(name, _)| name.clone()).filter(|name| SiteId::parse(name.as_str()).is_ok()).collect()
    }

    /// Waits until one of these sites is not read from itself any more.
    pub async fn until_one_is_cut(&self, open: &[String]) {
        let mut changed = self.relays_changed();
        loop {
            changed.mark_unchanged();
            let now = self.open();
            if open.iter().any(|name| !now.contains(name)) {
                return;
            }
            if changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Told whenever there may be something to ask.
    pub fn relays_changed(&self) -> watch::Receiver<()> {
        self.0.relays_changed.subscribe()
    }

    /// Wishes for a link, and waits until it is there.
    pub(crate) async fn wish(&self, address: PeerAddress, mutual: bool) -> Result<(), String> {
        let (done, is_done) = oneshot::channel();
        let gone = || "this site drives no links".to_owned();
        self.0.wishes.try_send(Wish { address, mutual, done }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => "too many links are being made at once".to_owned(),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        is_done.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Shows in the metrics what grows while nothing happens.
    pub(crate) fn refresh_gauges(&self) {
        let now_ms = self.now_ms();
        lock(&self.0.shown).iter().for_each(|(name, shown)| set_gauges(name, shown, now_ms));
        for (name, heard) in lock(&self.0.heard).iter().filter(|(_, heard)| heard.gives.is_some()) {
            let is_open = heard.link(now_ms) == LinkState::Open;
            metrics::gauge!("kontor_peer_link_open", "site" => name.to_string()).set(if is_open { 1.0 } else { 0.0 });
        }
    }

    /// A site, and all whose journals it reads.
    pub(crate) fn of(&self, site: &Site) -> Sites {
        let (status, now_ms) = (site.status(), self.now_ms());
        let mut items: BTreeMap<String, PeerSite> = BTreeMap::new();
        let heard = lock(&self.0.heard);
        let asked: BTreeMap<String, Option<(u32, u64)>> =
            heard.iter().map(|(peer, heard)| (peer.to_string(), heard.has_read)).collect();
        for (name, Shown { url, session, has_read, answered_ms, error }) in &*lock(&self.0.shown) {
            let item = PeerSite {
                site: name.clone(),
                url: Some(url.clone()),
                link: state(session.link()),
                through: None,
                read: place(session.at().place()),
                end: session.end().map(place),
                lag_groups: session.lag_groups(),
                lag_ms: session.lag_ms(now_ms),
                has_read: asked.get(name).copied().flatten().max(*has_read).map(place),
                answered_at: answered_ms.and_then(Time::from_ms),
                error: error.clone(),
            };
            items.insert(name.clone(), item);
        }
        let relays = lock(&self.0.relays);
        for (name, journal) in status.journals {
            let read = GroupPlace { term: journal.folded.term, seq: journal.folded.seq };
            let item = items.entry(name.to_string()).or_insert_with(|| PeerSite {
                site: name.to_string(),
                url: None,
                link: LinkState::None,
                through: None,
                read,
                end: None,
                lag_groups: 0,
                lag_ms: 0,
                has_read: None,
                answered_at: None,
                error: None,
            });
            item.read = read;
            item.has_read = item.has_read.or_else(|| asked.get(&item.site).copied().flatten().map(place));
            let giver = heard.get(&name).and_then(|heard| Some((heard.link(now_ms), heard.gives?)));
            if let Some((link, end)) = giver.filter(|_| item.link == LinkState::None) {
                (item.link, item.end, item.lag_groups) = (link, Some(place(end)), lag_groups(read, end));
            }
            if let Some(why) = journal.stopped {
                (item.link, item.error) = (LinkState::Stopped, Some(why));
            } else if let Some((peer, end)) = relays.through(&name).filter(|_| item.link != LinkState::Open) {
                item.through = Some(peer.to_string());
                if item.link == LinkState::None {
                    item.link = LinkState::Relayed;
                    (item.end, item.lag_groups) = (Some(place(end)), lag_groups(read, end));
                }
            }
        }
        Sites {
            site: site.id().to_string(),
            end: GroupPlace { term: status.end.term, seq: status.end.seq },
            silent: status.silent,
            items: items.into_values().collect(),
        }
    }
}

/// What somebody should look at, in sentences.
pub(crate) fn alarms(sites: &Sites) -> Vec<String> {
    let silent = sites.silent.iter().map(|why| format!("this site writes nothing: {why}"));
    let links = sites.items.iter().filter_map(|item| {
        let (name, why) = (&item.site, item.error.as_deref().unwrap_or("no answer"));
        match item.link {
            LinkState::Stopped => Some(format!("the journal of site {name} is read no further: {why}")),
            // A shop may be closed, or away for days: that is no reason to look.
            LinkState::Cut if item.url.is_none() => None,
            LinkState::Cut => Some(format!("the link to site {name} is cut: {why}")),
            LinkState::Connecting | LinkState::Open | LinkState::Relayed | LinkState::None => None,
        }
    });
    silent.chain(links).collect()
}

/// A place and its digest, as sites tell them to each other.
pub fn held(mark: &Mark) -> kontor_api::site::Held {
    kontor_api::site::Held { term: mark.term, seq: mark.seq, digest: mark.digest.to_string() }
}

fn place((term, seq): (u32, u64)) -> GroupPlace {
    GroupPlace { term, seq }
}

/// Groups that are there and not here; of later terms, those of the newest.
fn lag_groups(read: GroupPlace, (term, seq): (u32, u64)) -> u64 {
    match term.cmp(&read.term) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => seq.saturating_sub(read.seq),
        std::cmp::Ordering::Greater => seq,
    }
}

fn state(link: Link) -> LinkState {
    match link {
        Link::Connecting => LinkState::Connecting,
        Link::Open => LinkState::Open,
        Link::Cut => LinkState::Cut,
        Link::Stopped => LinkState::Stopped,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of a lag need not be exact beyond 2^52")]
fn set_gauges(name: &str, shown: &Shown, now_ms: u64) {
    let labels = [("site", name.to_owned())];
    metrics::gauge!("kontor_peer_lag_groups", &labels).set(shown.session.lag_groups() as f64);
    metrics::gauge!("kontor_peer_lag_seconds", &labels).set(shown.session.lag_ms(now_ms) as f64 / 1e3);
    let is_open = shown.session.link() == Link::Open;
    metrics::gauge!("kontor_peer_link_open", &labels).set(if is_open { 1.0 } else { 0.0 });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds the links")
}
