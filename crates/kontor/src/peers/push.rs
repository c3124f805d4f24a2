//! This site's journal, given to a peer that never asks: what a store does, which nobody can reach.

use std::time::Duration;

use fastrand::Rng;
use kontor_api::site::{GroupPlace, Held, JournalHead};
use kontor_client::Client;
use kontor_core::group::Digest;
use kontor_core::id::{Position, SiteId};
use kontor_core::push::{Give, NextGive, Push};
use kontor_core::session::{Mark, Past, Trouble};
use kontor_server::links::Links;
use kontor_site::Site;
use tokio::sync::watch;
use tokio::time::timeout;

use super::follow::{trouble, with_causes};

/// Gives a peer, once it is known who it is, all that this site writes. Ends when the site stops.
pub(crate) async fn run(
    site: Site,
    links: Links,
    client: Client,
    mut peer: watch::Receiver<Option<SiteId>>,
    mut chance: Rng,
) {
    let Ok(Some(peer)) = peer.wait_for(Option::is_some).await.map(|peer| peer.clone()) else { return };
    let mut changed = links.relays_changed();
    let mut push = Push::new(links.now_ms());
    loop {
        let (now_ms, before) = (links.now_ms(), push.link());
        match push.next(now_ms, chance.u64(..)) {
            NextGive::Nothing => return,
            NextGive::Wait(until_ms) => {
                let rest = Duration::from_millis(until_ms.saturating_sub(now_ms));
                let turned = timeout(rest, changed.changed()).await.is_ok();
                if turned && links.open().iter().any(|name| name == peer.as_str()) {
                    push.heard(links.now_ms(), chance.u64(..));
                }
            }
            NextGive::Give(part) => match give(&site, &links, &client, &peer, &part).await {
                Ok((end, holds)) => push.answered(links.now_ms(), end, holds),
                Err((trouble, why)) => {
                    metrics::counter!("kontor_peer_failures_total", "site" => peer.to_string()).increment(1);
                    push.failed(links.now_ms(), trouble, chance.u64(..));
                    if push.link() != before {
                        tracing::warn!(site = peer.as_str(), "Site {peer} does not take this journal: {why}");
                    }
                }
            },
        }
    }
}

/// Gives what follows, if it is known after what. Answers where the journal ends, and how far the peer holds it.
async fn give(
    site: &Site,
    links: &Links,
    client: &Client,
    peer: &SiteId,
    part: &Give,
) -> Result<((u32, u64), Mark), (Trouble, String)> {
    let refused = |why: String| (Trouble::Refused, why);
    let mut feed = site.feed();
    let mut groups = Vec::new();
    if let Some(Mark { term, seq, .. }) = part.after {
        let place = Position { term, seq, index: 0 };
        let waited = timeout(Duration::from_millis(part.wait_ms), feed.wait(place)).await;
        let reader = feed.clone();
        let read = tokio::task::spawn_blocking(move || reader.groups(term, seq)).await;
        groups = read.map_err(|error| refused(error.to_string()))?.map_err(|error| refused(with_causes(&error)))?;
        if waited == Ok(false) && groups.is_empty() {
            return Err(refused("this site has stopped".to_owned()));
        }
    }
    let end = feed.end();
    let head = JournalHead::new(site.id().as_str(), GroupPlace { term: end.term, seq: end.seq });
    let patience = Duration::from_millis(part.until_ms.saturating_sub(links.now_ms()));
    let holds = match timeout(patience, client.give_journal(&head, &groups)).await {
        Err(_) => return Err((Trouble::NoAnswer, "no answer came in time".to_owned())),
        Ok(Err(error)) => return Err((trouble(&error), with_causes(&error))),
        Ok(Ok(taken)) => taken.holds,
    };
    let Held { term, seq, digest } = holds;
    let Some(digest) = Digest::parse(&digest) else {
        return Err(refused("what it says to hold of this journal has no digest".to_owned()));
    };
    let holds = Mark { term, seq, digest };
    let (site, peer) = (site.clone(), peer.clone());
    let heard = tokio::task::spawn_blocking(move || site.hear_of_itself(&peer, &holds)).await;
    match heard.map_err(|error| refused(error.to_string()))?.map_err(|error| refused(with_causes(&error)))? {
        Past::Same => Ok(((end.term, end.seq), holds)),
        Past::Missing | Past::Other => Err(refused("it holds another journal of this site than is here".to_owned())),
    }
}
