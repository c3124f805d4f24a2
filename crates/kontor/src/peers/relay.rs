//! What a peer keeps of other sites' journals, read from it: one question at a time for each journal, beside those
//! about its own. They do not wait for each other, because one may build on another.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use kontor_client::Client;
use kontor_core::id::SiteId;
use kontor_core::relay::{AskOf, NextOf};
use kontor_server::links::Links;
use kontor_site::Site;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::follow::{Came, read_in, with_causes};

type Place = (u32, u64);

/// Reads from a peer, once it is known who it is, what is to be read from it. Ends when the site stops.
pub(crate) async fn run(
    site: Site,
    links: Links,
    client: Client,
    mut peer: watch::Receiver<Option<SiteId>>,
    mut chance: Rng,
) {
    let Ok(Some(peer)) = peer.wait_for(Option::is_some).await.map(|peer| peer.clone()) else { return };
    let mut changed = links.relays_changed();
    let (mut reading, mut asked) = (JoinSet::new(), BTreeSet::new());
    loop {
        changed.mark_unchanged();
        let stopped = site.status().journals;
        let is_read = |of: &SiteId| stopped.get(of).is_none_or(|journal| journal.stopped.is_none());
        match links.next_of(&peer, |of| site.kept(of).filter(|_| is_read(of) && !asked.contains(of))) {
            NextOf::Ask(ask) => {
                asked.insert(ask.of.clone());
                let (site, links, client) = (site.clone(), links.clone(), client.clone());
                reading.spawn(async move { (read(&site, &links, &client, &ask).await, ask) });
            }
            NextOf::Wait(until_ms) => {
                let rest_ms = until_ms.map_or(u64::MAX, |until_ms| until_ms.saturating_sub(links.now_ms()));
                tokio::select! {
                    Some(read) = reading.join_next() => {
                        let Ok((came, ask)) = read else { return };
                        asked.remove(&ask.of);
                        let came = match came {
                            Came::Over => return,
                            came => came_of(&peer, &ask, came),
                        };
                        links.came_of(&peer, &ask, came, chance.u64(..));
                    }
                    // Whether it is time or something has changed: what is to be asked is looked up again.
                    _ = timeout(Duration::from_millis(rest_ms), changed.changed()) => {}
                }
            }
        }
    }
}

/// Where the journal ends at the peer, and how far it is here; nothing if the question led to nothing.
fn came_of(peer: &SiteId, ask: &AskOf, came: Came) -> Option<(Place, Place)> {
    match came {
        Came::Read(end, kept) => Some(((end.term, end.seq), kept.place())),
        Came::Failed(_, why) | Came::Stopped(why) => {
            let (of, peer) = (ask.of.as_str(), peer.as_str());
            tracing::info!(site = of, through = peer, "A journal could not be read on: {why}");
            None
        }
        Came::Withdrawn | Came::Over => None,
    }
}

async fn read(site: &Site, links: &Links, client: &Client, ask: &AskOf) -> Came {
    let AskOf { of, after, until_ms } = ask;
    let patience = Duration::from_millis(until_ms.saturating_sub(links.now_ms()));
    let asked = client.kept_of(site.id().as_str(), of.as_str(), after.term, after.seq);
    let nothing = |why: String| Came::Failed(kontor_core::session::Trouble::NoAnswer, why);
    match timeout(patience, asked).await {
        Err(_) => nothing("no answer came in time".to_owned()),
        Ok(Err(error)) => nothing(with_causes(&error)),
        Ok(Ok(part)) if part.head.site != of.as_str() => nothing(format!("it gave the journal of {}", part.head.site)),
        Ok(Ok(part)) if part.groups.is_empty() => Came::Read(part.head.end, *after),
        Ok(Ok(part)) => read_in(site, of, part.groups, part.head.end, *after).await,
    }
}
