//! How many requests one caller may send: a fixed window of counted requests for each caller, in two
//! policies, one for holders of keys and one for everybody else.
//!
//! Whoever shows no key that is known here is known by the address of the socket. `X-Forwarded-For` says
//! what its sender likes and is never read: behind a proxy, all of its callers without a key are one.
//! Callers of this machine without a key are not counted, because a proxy beside the server is one of them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use kontor_api::Code;
use kontor_core::id::Actor;
use kontor_site::clock::Stopwatch;
use metrics::{Counter, Gauge};

use crate::access::Holder;
use crate::limits::{CALLERS_COUNTED, Limits, RATE_REQUESTS_MAX, RATE_WINDOW_S_MAX};
use crate::problem::Problem;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// So many requests in so many seconds, written as in `600/60`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub(crate) requests: u32,
    pub(crate) window_s: u32,
}

/// What is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is REQUESTS/SECONDS, as in 600/60, with 1 to {RATE_REQUESTS_MAX} requests and 1 to {RATE_WINDOW_S_MAX} seconds"
)]
pub struct NoRate;

impl Rate {
    /// `None` if a number is out of its bounds.
    pub const fn new(requests: u32, window_s: u32) -> Option<Self> {
        let is_bounded = requests <= RATE_REQUESTS_MAX && window_s <= RATE_WINDOW_S_MAX;
        if requests >= 1 && window_s >= 1 && is_bounded { Some(Self { requests, window_s }) } else { None }
    }

    fn window(self) -> Duration {
        Duration::from_secs(self.window_s.into())
    }
}

impl FromStr for Rate {
    type Err = NoRate;
    fn from_str(text: &str) -> Result<Self, NoRate> {
        let (requests, window_s) = text.split_once('/').ok_or(NoRate)?;
        let number = |text: &str| text.parse().map_err(|_| NoRate);
        Self::new(number(requests)?, number(window_s)?).ok_or(NoRate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.window_s)
    }
}

/// Both policies, as far as they are in force.
pub(crate) struct Throttles {
    keys: Option<Policy<Actor>>,
    public: Option<Policy<IpAddr>>,
    started: Stopwatch,
}

struct Policy<C> {
    name: &'static str,
    throttle: Throttle<C>,
    /// As every counted answer says it.
    header: HeaderValue,
    refused: Counter,
    callers: Gauge,
}

/// A policy in force, and how many callers it counts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) policy: &'static str,
    pub(crate) rate: Rate,
    pub(crate) callers: usize,
}

/// How a caller stands after a request that was counted.
pub(crate) struct Standing {
    name: &'static str,
    policy: HeaderValue,
    rate: Rate,
    counted: Counted,
}

impl Throttles {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            keys: limits.key_rate.map(|rate| Policy::new("key", rate)),
            public: limits.public_rate.map(|rate| Policy::new("public", rate)),
            started: Stopwatch::start(),
        }
    }

    /// Counts a request of the caller that access has found, and refuses it if there were too many. A key
    /// that is not known counts for its address, so that guessing one has a rate too.
    pub(crate) fn admit(
        &self,
        caller: Result<Option<Arc<Holder>>, Problem>,
        peer: Option<IpAddr>,
    ) -> (Result<Option<Arc<Holder>>, Problem>, Option<Standing>) {
        let standing = match (&caller, &self.keys, &self.public, peer) {
            // Sites ask one question after another, and wait for what is new.
            (Ok(Some(holder)), ..) if !holder.may.is_all() => None,
            (Ok(Some(holder)), Some(policy), ..) => Some(policy.count(&holder.actor, self.now())),
            (Ok(None) | Err(_), _, Some(policy), Some(peer)) => {
                address(peer).map(|address| policy.count(&address, self.now()))
            }
            _ => None,
        };
        match standing {
            Some(standing) if standing.counted.refused > 0 => (Err(standing.problem()), Some(standing)),
            standing => (caller, standing),
        }
    }

    /// The policies in force.
    pub(crate) fn status(&self) -> Vec<Status> {
        let keys = self.keys.iter().map(|policy| policy.status(self.now()));
        keys.chain(self.public.iter().map(|policy| policy.status(self.now()))).collect()
    }

    /// Shows the status in the metrics.
    pub(crate) fn show(&self) {
        let gauges = self.keys.iter().map(|policy| &policy.callers).chain(self.public.iter().map(|p| &p.callers));
        for (gauge, status) in gauges.zip(self.status()) {
            gauge.set(f64::from(u32::try_from(status.callers).unwrap_or(u32::MAX)));
        }
    }

    /// Forgets what was counted, so that every caller begins anew; says how many callers that concerns.
    pub(crate) fn reset(&self) -> usize {
        let keys = self.keys.as_ref().map_or(0, |policy| policy.throttle.reset());
        keys + self.public.as_ref().map_or(0, |policy| policy.throttle.reset())
    }

    /// Since the start.
    fn now(&self) -> Duration {
        Duration::from_secs_f64(self.started.seconds())
    }
}

impl<C: Clone + Eq + Hash> Policy<C> {
    fn new(name: &'static str, rate: Rate) -> Self {
        let header = format!("\"{name}\";q={};w={}", rate.requests, rate.window_s);
        Self {
            name,
            throttle: Throttle::new(rate, CALLERS_COUNTED),
            header: HeaderValue::try_from(header).expect("a word and numbers"),
            refused: metrics::counter!("kontor_http_rate_limited_total", "policy" => name),
            callers: metrics::gauge!("kontor_http_rate_limit_callers", "policy" => name),
        }
    }

    fn count(&self, caller: &C, now: Duration) -> Standing {
        let counted = self.throttle.count(caller, now);
        if counted.refused > 0 {
            self.refused.increment(1);
        }
        Standing { name: self.name, policy: self.header.clone(), rate: self.throttle.rate, counted }
    }

    fn status(&self, now: Duration) -> Status {
        Status { policy: self.name, rate: self.throttle.rate, callers: self.throttle.callers(now) }
    }
}

impl Standing {
    /// Whether the caller was refused before in this window. One line of the log is enough to say so.
    pub(crate) fn is_repeated_refusal(&self) -> bool {
        self.counted.refused > 1
    }

    /// Requests of a window, those left of it, and seconds until the next.
    pub(crate) fn figures(&self) -> (u32, u32, u64) {
        (self.rate.requests, self.counted.remaining, self.counted.wait_s)
    }

    /// Puts `RateLimit-Policy` and `RateLimit` on an answer (draft-ietf-httpapi-ratelimit-headers), and
    /// on a refusal when to come again.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Self { name, policy, rate: _, counted: Counted { remaining, wait_s, refused } } = self;
        if let Ok(standing) = HeaderValue::try_from(format!("\"{name}\";r={remaining};t={wait_s}")) {
            headers.insert(RATELIMIT, standing);
        }
        headers.insert(RATELIMIT_POLICY, policy);
        if refused > 0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
        }
    }

    fn problem(&self) -> Problem {
        let wait_s = self.counted.wait_s;
        let detail = format!("the requests of this window are used up; the next begins in {wait_s} s");
        Problem::new(Code::RateLimited, detail).with("policy", self.name)
    }
}

/// What an address counts as, if it counts: one owner has all of an IPv6 network of 64 bits.
fn address(peer: IpAddr) -> Option<IpAddr> {
    match peer.to_canonical() {
        own if own.is_loopback() => None,
        IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
        address => Some(address),
    }
}

/// Counts requests by caller, for a bounded number of callers. A window begins with the first request
/// of a caller and ends by itself. Time is given, and never goes back by more than threads differ.
struct Throttle<C> {
    rate: Rate,
    callers_max: usize,
    /// std mutex: nothing awaits while it is held.
    windows: Mutex<Windows<C>>,
}

struct Windows<C> {
    by_caller: HashMap<C, Window>,
    /// The same callers, the window that began first in front.
    by_age: VecDeque<(Duration, C)>,
}

struct Window {
    begun: Duration,
    asked: u64,
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    /// Requests left in the window.
    remaining: u32,
    /// Seconds until the next window, rounded up.
    wait_s: u64,
    /// Requests refused in this window, with this one; none if this one may pass.
    refused: u64,
}

impl<C: Clone + Eq + Hash> Throttle<C> {
    fn new(rate: Rate, callers_max: usize) -> Self {
        let windows = Windows { by_caller: HashMap::new(), by_age: VecDeque::new() };
        Self { rate, callers_max, windows: Mutex::new(windows) }
    }

    /// Counts one request.
    fn count(&self, caller: &C, now: Duration) -> Counted {
        let mut windows = self.windows();
        windows.end(now, self.rate.window());
        let window = match windows.by_caller.get_mut(caller) {
            Some(window) => window,
            None => {
                // The caller whose window is nearest to its end loses least by beginning anew.
                if windows.by_caller.len() >= self.callers_max {
                    windows.drop_oldest();
                }
                windows.by_age.push_back((now, caller.clone()));
                windows.by_caller.entry(caller.clone()).or_insert(Window { begun: now, asked: 0 })
            }
        };
        window.asked += 1;
        let (asked, max) = (window.asked, u64::from(self.rate.requests));
        let left = (window.begun + self.rate.window()).saturating_sub(now);
        Counted {
            remaining: u32::try_from(max.saturating_sub(asked)).unwrap_or(u32::MAX),
            wait_s: (left.as_secs() + u64::from(left.subsec_nanos() > 0)).max(1),
            refused: asked.saturating_sub(max),
        }
    }

    /// Callers whose window has not ended.
    fn callers(&self, now: Duration) -> usize {
        let mut windows = self.windows();
        windows.end(now, self.rate.window());
        windows.by_caller.len()
    }

    /// Forgets all windows; says how many.
    fn reset(&self) -> usize {
        let mut windows = self.windows();
        windows.by_age.clear();
        let count = windows.by_caller.len();
        windows.by_caller.clear();
        count
    }

    fn windows(&self) -> MutexGuard<'_, Windows<C>> {
        // Whoever panicked has at worst miscounted one request.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Eq + Hash> Windows<C> {
    /// Forgets the windows that have ended.
    fn end(&mut self, now: Duration, window: Duration) {
        while self.by_age.front().is_some_and(|(begun, _)| *begun + window <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, caller)) = self.by_age.pop_front() {
            self.by_caller.remove(&caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(rate: &str, callers_max: usize) -> Throttle<u32> {
        Throttle::new(rate.parse().unwrap(), callers_max)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_caller_gets_exactly_its_requests_in_each_window() {
        let throttle = throttle("3/10", 100);
        // milliseconds, requests left, seconds to the next window, refused
        for (at, remaining, wait_s, refused) in [
            (5_000, 2, 10, 0),
            (5_001, 1, 10, 0),
            (14_000, 0, 1, 0),
            (14_001, 0, 1, 1),
            (14_999, 0, 1, 2),
            (15_000, 2, 10, 0),
            (21_500, 1, 4, 0),
            (60_000, 2, 10, 0),
        ] {
            assert_eq!(throttle.count(&7, ms(at)), Counted { remaining, wait_s, refused }, "at {at} ms");
        }
        assert_eq!(throttle.count(&8, ms(60_000)).remaining, 2, "callers do not share");
    }

    #[test]
    fn only_so_many_callers_are_counted_and_the_oldest_begins_anew() {
        let throttle = throttle("1/60", 3);
        for caller in 0..3 {
            assert_eq!(throttle.count(&caller, ms(u64::from(caller))).refused, 0);
        }
        assert_eq!(throttle.count(&0, ms(3)).refused, 1);
        assert_eq!(throttle.count(&3, ms(4)).refused, 0, "takes the place of 0");
        assert_eq!((throttle.count(&1, ms(5)).refused, throttle.count(&2, ms(5)).refused), (1, 1));
        assert_eq!(throttle.count(&0, ms(6)).refused, 0, "takes the place of 1");
        for caller in 10..10_000 {
            throttle.count(&caller, ms(7));
        }
        assert_eq!(throttle.callers(ms(7)), 3);
        assert_eq!(throttle.windows().by_age.len(), 3);
    }

    #[test]
    fn what_is_counted_ends_by_itself_or_by_reset() {
        let throttle = throttle("1/1", 100);
        for caller in 0..5 {
            throttle.count(&caller, ms(u64::from(caller) * 100));
        }
        assert_eq!((throttle.callers(ms(999)), throttle.callers(ms(1_000)), throttle.callers(ms(1_250))), (5, 4, 2));
        assert_eq!(throttle.count(&4, ms(1_260)).refused, 1);
        assert_eq!((throttle.reset(), throttle.callers(ms(1_260))), (2, 0));
        assert_eq!(throttle.count(&4, ms(1_260)).refused, 0);
        assert_eq!(throttle.windows().by_age.len(), 1);
    }

    /// The window in force says what is allowed, whatever order times come in.
    #[test]
    fn times_of_threads_that_pass_each_other_do_no_harm() {
        let throttle = throttle("2/1", 100);
        let refused = [1_000, 999, 1_001, 2_000, 1_999, 2_001].map(|at| throttle.count(&1, ms(at)).refused);
        assert_eq!(refused, [0, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn rates_are_written_as_requests_in_seconds() {
        for text in ["600/60", "1/1", "1000000000/86400"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["", "600", "0/60", "600/0", "-1/60", "1/86401", "1000000001/1", "1/1/1", "a/b", "1.5/1"] {
            assert_eq!(text.parse::<Rate>(), Err(NoRate), "{text}");
        }
    }

    #[test]
    fn an_address_counts_for_its_owner_and_this_machine_does_not_count() {
        for (peer, counts_as) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::")),
            ("127.0.0.1", None),
            ("127.9.9.9", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
        ] {
            let expected = counts_as.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(address(peer.parse().unwrap()), expected, "{peer}");
        }
    }

    #[test]
    fn status_names_the_policies_in_force_and_reset_begins_anew() {
        let limits = Limits { key_rate: None, public_rate: Rate::new(1, 60), ..Limits::default() };
        let throttles = Throttles::new(&limits);
        let peer = |text: &str| Some(text.parse().unwrap());
        let is_admitted = |peer| throttles.admit(Ok(None), peer).0.is_ok();
        let status = |callers| vec![Status { policy: "public", rate: Rate { requests: 1, window_s: 60 }, callers }];
        assert_eq!(throttles.status(), status(0));
        assert!(is_admitted(peer("203.0.113.1")) && is_admitted(peer("203.0.113.2")));
        assert!(!is_admitted(peer("203.0.113.1")) && is_admitted(peer("127.0.0.1")) && is_admitted(None));
        assert_eq!(throttles.status(), status(2));
        assert_eq!(throttles.reset(), 2);
        assert_eq!(throttles.status(), status(0));
        assert!(is_admitted(peer("203.0.113.1")));

        let off = Throttles::new(&Limits { key_rate: None, public_rate: None, ..Limits::default() });
        assert!(off.admit(Ok(None), peer("203.0.113.1")).1.is_none() && off.status().is_empty());
    }
}
