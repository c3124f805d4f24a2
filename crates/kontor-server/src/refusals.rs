//! Keys that were refused, the newest of them, in memory: who knocks, and where. What is written to the
//! log is the same; this is for people who have no access to it. Secrets are never kept.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::Method;
use kontor_api::Time;
use kontor_api::security::{RefusedBecause, RefusedKey};
use kontor_site::clock::wall_ms;
use metrics::Counter;

use crate::ids::Ids;
use crate::limits::{KEY_ID_SHOWN, REFUSALS_KEPT, REFUSED_TEXT_BYTES};

/// The newest refusals.
pub(crate) struct Refusals {
    counters: [(RefusedBecause, Counter); RefusedBecause::ALL.len()],
    /// std mutex: nothing awaits while it is held.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The newest last, each with its number.
    newest: VecDeque<(u64, RefusedKey)>,
    noted: u64,
}

/// A key that was refused, without what is secret about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: RefusedBecause,
    key_id: Option<String>,
}

impl Refused {
    /// With the public part of the key, if it has one. What stands there by mistake may be a part of a
    /// secret, so no more of it is kept than an id is long.
    pub(crate) fn new(reason: RefusedBecause, key_id: Option<&str>) -> Self {
        Self { reason, key_id: key_id.map(|id| id.chars().take(KEY_ID_SHOWN).collect()) }
    }
}

impl Refusals {
    pub(crate) fn new() -> Self {
        let counter = |reason: RefusedBecause| {
            let counter = metrics::counter!("kontor_http_keys_refused_total", "reason" => reason.as_str());
            (reason, counter)
        };
        Self { counters: RefusedBecause::ALL.map(counter), kept: Mutex::default() }
    }

    /// Keeps one, and forgets the oldest if there are too many.
    pub(crate) fn note(&self, refused: &Refused, peer: Option<IpAddr>, ids: &Ids, method: &Method, path: &str) {
        let Refused { reason, key_id } = refused.clone();
        if let Some((_, counter)) = self.counters.iter().find(|(of, _)| *of == reason) {
            counter.increment(1);
        }
        let Some(at) = Time::from_ms(wall_ms()) else { return };
        let refused = RefusedKey {
            at,
            reason,
            key_id,
            peer: peer.map(|peer| peer.to_canonical().to_string()),
            method: method.as_str().chars().take(REFUSED_TEXT_BYTES).collect(),
            path: path[..path.floor_char_boundary(REFUSED_TEXT_BYTES)].to_owned(),
            trace_id: ids.trace_id().to_owned(),
        };
        // Whoever panicked has at worst lost one of them.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.noted += 1;
        let number = kept.noted;
        kept.newest.push_back((number, refused));
        if kept.newest.len() > REFUSALS_KEPT {
            kept.newest.pop_front();
        }
    }

    /// The newest before a number, newest first, at most so many.
    pub(crate) fn before(&self, number: Option<u64>, max: usize) -> Vec<(u64, RefusedKey)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = |of: &u64| number.is_none_or(|number| *of < number);
        kept.newest.iter().rev().filter(|(of, _)| before(of)).take(max).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_nothing_of_them_is_long() {
        let refusals = Refusals::new();
        let ids = Ids::of(&HeaderMap::new());
        let refused = Refused::new(RefusedBecause::WrongSecret, Some(&"k".repeat(64)));
        let path = format!("/{}", "\u{e4}".repeat(20_000));
        for _ in 0..REFUSALS_KEPT + 5 {
            refusals.note(&refused, None, &ids, &Method::from_bytes(&[b'M'; 5_000]).unwrap(), &path);
        }
        let all = refusals.before(None, usize::MAX);
        let numbers = (all.len(), all[0].0, all[all.len() - 1].0);
        assert_eq!(numbers, (REFUSALS_KEPT, REFUSALS_KEPT as u64 + 5, 6));
        let newest = &all[0].1;
        assert_eq!((newest.key_id.as_deref(), newest.path.len(), newest.method.len()), (Some("kkkkkkkk"), 199, 200));
        assert_eq!(refusals.before(Some(8), 5).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7, 6]);
    }
}
