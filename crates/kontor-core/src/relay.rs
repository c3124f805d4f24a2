//! Reading journals through the copies that others keep: which one next, through whom, and when.
//!
//! Whoever is asked for its own journal also says how far it holds those of others. A site without a link to
//! one of these, or whose link to it is cut, reads it from there. What comes is checked as if its writer had
//! sent it, so nobody trusts whoever relays; and places in a journal are contiguous, so what comes twice, or
//! back to where it came from, changes nothing.
//!
//! As a [session](crate::session) does, this sends nothing and waits for nothing.

use std::collections::BTreeMap;

use crate::back_off::BackOff;
use crate::id::SiteId;
use crate::limits::{ASK_DEADLINE_MS, JOURNALS_MAX, RELAY_AFTER_MS};
use crate::session::{Link, Mark};

type Place = (u32, u64);

/// What peers hold of the journals of others.
#[derive(Debug, Default)]
pub struct Relays {
    links: BTreeMap<SiteId, Link>,
    journals: BTreeMap<SiteId, Relayed>,
    asks: u64,
}

/// What is known of a journal.
#[derive(Debug, Default)]
struct Relayed {
    /// How far each peer has said to hold it.
    told: BTreeMap<SiteId, Place>,
    /// What was here when a peer was first found to hold more, and when that was.
    behind: Option<(Place, u64)>,
    /// When the question that is on its way is taken for lost.
    asked_until_ms: u64,
    rests_until_ms: u64,
    failures: u32,
    /// Which ask was the last: journals are asked for in turn.
    turn: u64,
}

/// A question to a peer: what follows in the journal that you keep of this site?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskOf {
    /// Whose journal.
    pub of: SiteId,
    /// The last group that is here.
    pub after: Mark,
    /// When the question is taken for lost.
    pub until_ms: u64,
}

/// What is to be done on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextOf {
    /// Ask this.
    Ask(AskOf),
    /// Nothing before this moment, if there is one, or before something is told.
    Wait(Option<u64>),
}

impl Relays {
    /// How the link to a peer is now.
    pub fn link(&mut self, peer: &SiteId, link: Link) {
        self.links.insert(peer.clone(), link);
    }

    /// A peer has said how far it holds journals of others. Answers those that were not known.
    pub fn told(&mut self, peer: &SiteId, held: impl IntoIterator<Item = (SiteId, Place)>) -> Vec<SiteId> {
        let mut unknown = Vec::new();
        for (of, place) in held.into_iter().filter(|(of, _)| of != peer) {
            if !self.journals.contains_key(&of) {
                if self.journals.len() >= JOURNALS_MAX {
                    continue;
                }
                unknown.push(of.clone());
            }
            self.journals.entry(of).or_default().told.insert(peer.clone(), place);
        }
        unknown
    }

    /// Whether it is known that somebody holds the journal.
    pub fn knows(&self, of: &SiteId) -> bool {
        self.journals.contains_key(of)
    }

    /// What a peer is to be asked now. `kept` says what is here of a journal, if it is read at all.
    pub fn next(&mut self, now_ms: u64, peer: &SiteId, kept: impl Fn(&SiteId) -> Option<Mark>) -> NextOf {
        if self.links.get(peer) != Some(&Link::Open) {
            return NextOf::Wait(None);
        }
        let (mut wait_ms, mut found): (Option<u64>, Option<(u64, &SiteId, Mark)>) = (None, None);
        for (of, journal) in &mut self.journals {
            let Some(after) = kept(of) else { continue };
            if journal.told.get(peer).is_none_or(|told| *told <= after.place()) {
                continue;
            }
            let since_ms = match journal.behind {
                Some((at, since_ms)) if at == after.place() => since_ms,
                _ => journal.behind.insert((after.place(), now_ms)).1,
            };
            let from_ms = match self.links.get(of) {
                None | Some(Link::Cut) => 0,
                // Its own site is nearer. Only if that one brings nothing, it may not have what it once gave.
                Some(Link::Open | Link::Connecting) => since_ms + RELAY_AFTER_MS,
                Some(Link::Stopped) => continue,
            };
            let from_ms = from_ms.max(journal.rests_until_ms).max(journal.asked_until_ms);
            if from_ms > now_ms {
                wait_ms = Some(wait_ms.map_or(from_ms, |wait_ms| wait_ms.min(from_ms)));
            } else if found.is_none_or(|(turn, ..)| journal.turn < turn) {
                found = Some((journal.turn, of, after));
            }
        }
        let Some((_, of, after)) = found else { return NextOf::Wait(wait_ms) };
        let ask = AskOf { of: of.clone(), after, until_ms: now_ms + ASK_DEADLINE_MS };
        self.asks += 1;
        if let Some(journal) = self.journals.get_mut(&ask.of) {
            (journal.asked_until_ms, journal.turn) = (ask.until_ms, self.asks);
        }
        NextOf::Ask(ask)
    }

    /// A peer has answered: it holds the journal up to `end`, and by now it is here up to `kept`.
    pub fn answered(&mut self, now_ms: u64, peer: &SiteId, ask: &AskOf, end: Place, kept: Place, chance: u64) {
        let Some(journal) = self.journals.get_mut(&ask.of) else { return };
        // What was told meanwhile is newer, unless the peer turns out to hold nothing of what it was asked for.
        let told = journal.told.entry(peer.clone()).or_default();
        if end > *told || end <= ask.after.place() {
            *told = end;
        }
        if kept <= ask.after.place() && end > kept {
            return self.failed(now_ms, ask, chance);
        }
        (journal.asked_until_ms, journal.failures) = (0, 0);
    }

    /// A question has led to nothing: the journal is asked for later, whoever keeps it.
    pub fn failed(&mut self, now_ms: u64, ask: &AskOf, chance: u64) {
        let Some(journal) = self.journals.get_mut(&ask.of) else { return };
        journal.failures = journal.failures.saturating_add(1);
        (journal.asked_until_ms, journal.rests_until_ms) =
            (0, now_ms + BackOff::LINK.rest_ms(journal.failures, chance));
    }

    /// Through whom a journal is read that is not read from its own site, and how far that one holds it.
    pub fn through(&self, of: &SiteId) -> Option<(&SiteId, Place)> {
        if matches!(self.links.get(of), Some(Link::Open | Link::Stopped)) {
            return None;
        }
        let told = self.journals.get(of)?.told.iter();
        let open = told.filter(|(peer, _)| self.links.get(*peer) == Some(&Link::Open));
        open.max_by_key(|(_, place)| **place).map(|(peer, place)| (peer, *place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Digest;
    use crate::limits::{BACK_OFF_MS, BACK_OFF_MS_MAX};

    fn site(name: &str) -> SiteId {
        SiteId::parse(name).unwrap()
    }

    fn mark(seq: u64) -> Mark {
        Mark { term: 1, seq, digest: Digest::default() }
    }

    /// A site that is linked to `hub`, which keeps `far` up to group 9 and `near` up to group 9.
    fn relays() -> (Relays, SiteId) {
        let (mut relays, hub) = (Relays::default(), site("hub"));
        relays.link(&hub, Link::Open);
        let held = ["far", "near", "hub"].map(|name| (site(name), (1, 9)));
        assert_eq!(relays.told(&hub, held.clone()), [site("far"), site("near")], "a peer's own journal is no copy");
        assert!(relays.told(&hub, held).is_empty());
        (relays, hub)
    }

    fn asked(next: NextOf) -> AskOf {
        let NextOf::Ask(ask) = next else { panic!("{next:?}") };
        ask
    }

    #[test]
    fn what_no_link_leads_to_is_read_through_a_peer_in_turn() {
        let (mut relays, hub) = relays();
        let first = asked(relays.next(0, &hub, |_| Some(mark(3))));
        assert_eq!((first.of.as_str(), first.after.seq), ("far", 3));
        let second = asked(relays.next(0, &hub, |_| Some(mark(3))));
        assert_eq!(second.of.as_str(), "near", "one question for each journal at a time");
        assert_eq!(relays.next(0, &hub, |_| Some(mark(3))), NextOf::Wait(Some(ASK_DEADLINE_MS)));
        relays.answered(5, &hub, &first, (1, 9), (1, 6), 0);
        relays.answered(5, &hub, &second, (1, 9), (1, 9), 0);
        let kept = |of: &SiteId| Some(mark(if of.as_str() == "far" { 6 } else { 9 }));
        assert_eq!(asked(relays.next(5, &hub, kept)).after.seq, 6);
        assert_eq!(relays.next(5, &hub, |_| Some(mark(9))), NextOf::Wait(None), "until more is told");
        assert_eq!(relays.next(5, &hub, |_| None), NextOf::Wait(None), "what is not read here is not asked for");
        assert_eq!(relays.through(&site("far")), Some((&hub, (1, 9))));
    }

    #[test]
    fn a_link_of_its_own_is_preferred_while_it_brings_what_there_is() {
        // the link to the site itself, when it is asked for through another
        for (link, from_ms) in [
            (Link::Cut, Some(0)),
            (Link::Open, Some(RELAY_AFTER_MS)),
            (Link::Connecting, Some(RELAY_AFTER_MS)),
            (Link::Stopped, None),
        ] {
            let (mut relays, hub) = relays();
            relays.link(&site("far"), link);
            relays.link(&site("near"), Link::Stopped);
            let kept = |_: &SiteId| Some(mark(3));
            match from_ms {
                Some(0) => assert_eq!(asked(relays.next(0, &hub, kept)).of, site("far")),
                Some(from_ms) => {
                    assert_eq!(relays.next(0, &hub, kept), NextOf::Wait(Some(from_ms)), "{link:?}");
                    let moved = |_: &SiteId| Some(mark(4));
                    let later = NextOf::Wait(Some(2 * from_ms - 1));
                    assert_eq!(relays.next(from_ms - 1, &hub, moved), later, "{link:?}: it brings something");
                    assert_eq!(asked(relays.next(2 * from_ms, &hub, moved)).of, site("far"), "{link:?}");
                }
                None => assert_eq!(relays.next(1_000_000, &hub, kept), NextOf::Wait(None), "{link:?}"),
            }
        }
    }

    #[test]
    fn nobody_is_asked_over_a_link_that_is_not_open() {
        let (mut relays, hub) = relays();
        for link in [Link::Connecting, Link::Cut, Link::Stopped] {
            relays.link(&hub, link);
            assert_eq!(relays.next(0, &hub, |_| Some(mark(3))), NextOf::Wait(None), "{link:?}");
            assert_eq!(relays.through(&site("far")), None);
        }
    }

    #[test]
    fn an_answer_that_is_older_than_what_was_told_meanwhile_hides_nothing() {
        let (mut relays, hub) = relays();
        relays.link(&site("near"), Link::Stopped);
        let ask = asked(relays.next(0, &hub, |_| Some(mark(3))));
        relays.told(&hub, [(site("far"), (1, 12))]);
        relays.answered(5, &hub, &ask, (1, 9), (1, 9), 0);
        assert_eq!(asked(relays.next(5, &hub, |_| Some(mark(9)))).after.seq, 9);
        let (mut relays, hub) = self::relays();
        relays.link(&site("near"), Link::Stopped);
        let ask = asked(relays.next(0, &hub, |_| Some(mark(3))));
        relays.answered(5, &hub, &ask, (1, 2), (1, 3), 0);
        assert_eq!(relays.next(5, &hub, |_| Some(mark(3))), NextOf::Wait(None), "it has lost what it had");
    }

    #[test]
    fn what_leads_to_nothing_is_asked_for_later_each_time() {
        let (mut relays, hub) = relays();
        relays.link(&site("near"), Link::Stopped);
        let (mut now_ms, mut rests) = (0, Vec::new());
        for _ in 0..9 {
            let ask = asked(relays.next(now_ms, &hub, |_| Some(mark(3))));
            // Groups came, and none that follows from what is here.
            relays.answered(now_ms, &hub, &ask, (1, 9), (1, 3), 0);
            let NextOf::Wait(Some(until_ms)) = relays.next(now_ms, &hub, |_| Some(mark(3))) else { panic!() };
            rests.push(until_ms - now_ms);
            now_ms = until_ms;
        }
        assert_eq!((rests[0], rests[8]), (BACK_OFF_MS, BACK_OFF_MS_MAX / 2), "{rests:?}");
        assert!(rests.is_sorted(), "{rests:?}");
    }

    #[test]
    fn a_peer_cannot_make_up_sites_without_end() {
        let (mut relays, hub) = (Relays::default(), site("hub"));
        let names = (0..JOURNALS_MAX + 10).map(|number| (site(&format!("s{number}")), (1, 1)));
        assert_eq!(relays.told(&hub, names).len(), JOURNALS_MAX);
    }
}
