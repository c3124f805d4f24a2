//! A breaker: whoever fails several times in a row is left alone for a while, and then tried with a few calls.
//!
//! It counts what is said to have failed, and a declined card is not that: the provider has answered. Time is
//! given, so the same breaker stands before a provider, before injected faults, and in a made-up world.
//!
//! ```text
//! closed ── failures in a row ──► open ── its time is over ──► half-open ── successes in a row ──► closed
//!                                   ▲                              │
//!                                   └────────── one failure ───────┘
//! ```

use crate::limits::{PAYMENT_FAILURES_TO_OPEN, PAYMENT_OPEN_MS, PAYMENT_SUCCESSES_TO_CLOSE};

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Successes in a row that close it again. No more calls than are missing for that are under way at a time.
    pub successes: u32,
    /// How long it stays open before somebody is let through to try.
    pub open_ms: u64,
}

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Lets every call through.
    Closed,
    /// Lets none through.
    Open,
    /// Lets a few through, to see whether they succeed.
    HalfOpen,
}

/// The state of calls to one provider.
#[derive(Debug, Clone)]
pub struct Breaker {
    thresholds: Thresholds,
    state: State,
    /// In a row, while closed.
    failures: u32,
    /// In a row, while half-open.
    successes: u32,
    /// When it has opened; while half-open, when somebody was last let through.
    since_ms: u64,
    /// Calls under way that were let through while half-open.
    probes: u32,
    totals: Totals,
}

/// A call that was let through. How it ended is told once.
#[derive(Debug)]
#[must_use = "the breaker waits to hear how the call ended"]
pub struct Pass {
    /// The number of changes of state until then: what was let through before the last one says nothing of now.
    changes: u64,
}

/// The call was not let through. Nothing was sent, so it has had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the breaker is open; try again in {after_ms} ms")]
pub struct Rejected {
    /// When somebody may be let through, at the earliest.
    pub after_ms: u64,
}

/// What has been counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls, those that were not let through among them.
    pub requests: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that did not.
    pub successes: u64,
    /// Calls that were not let through.
    pub rejected: u64,
    /// How often the state has changed.
    pub state_changes: u64,
}

/// A breaker as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// What it does with calls.
    pub state: State,
    /// Failures in a row, while closed.
    pub current_failures: u32,
    /// Successes in a row, while half-open.
    pub current_successes: u32,
    /// When it opens and closes.
    pub thresholds: Thresholds,
    /// What has been counted since the start.
    pub totals: Totals,
}

impl Thresholds {
    /// Those of a payment provider.
    pub const PAYMENT: Self =
        Self { failures: PAYMENT_FAILURES_TO_OPEN, successes: PAYMENT_SUCCESSES_TO_CLOSE, open_ms: PAYMENT_OPEN_MS };
}

impl Breaker {
    /// A closed one that has counted nothing.
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            state: State::Closed,
            failures: 0,
            successes: 0,
            since_ms: 0,
            probes: 0,
            totals: Totals::default(),
        }
    }

    /// Asks whether a call may be made now.
    pub fn ask(&mut self, now_ms: u64) -> Result<Pass, Rejected> {
        self.totals.requests += 1;
        let rested = now_ms.saturating_sub(self.since_ms) >= self.thresholds.open_ms;
        if self.state == State::Open && rested {
            self.turn(State::HalfOpen);
        }
        let missing = self.thresholds.successes.saturating_sub(self.successes).max(1);
        let is_let_through = match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen if self.probes < missing => true,
            // Who was let through has not been heard of for as long as all would rest: somebody else may try.
            State::HalfOpen if rested => {
                self.probes = 0;
                true
            }
            State::HalfOpen => false,
        };
        if !is_let_through {
            self.totals.rejected += 1;
            let open_until_ms = self.since_ms.saturating_add(self.thresholds.open_ms);
            return Err(Rejected { after_ms: open_until_ms.saturating_sub(now_ms) });
        }
        if self.state == State::HalfOpen {
            self.probes += 1;
            self.since_ms = now_ms;
        }
        Ok(Pass { changes: self.totals.state_changes })
    }

    /// A call has been answered, if only with a no.
    pub fn succeeded(&mut self, pass: &Pass) {
        self.totals.successes += 1;
        if pass.changes != self.totals.state_changes {
            return;
        }
        match self.state {
            State::Closed => self.failures = 0,
            State::HalfOpen => {
                self.probes = self.probes.saturating_sub(1);
                self.successes += 1;
                if self.successes >= self.thresholds.successes {
                    self.turn(State::Closed);
                }
            }
            State::Open => {}
        }
    }

    /// A call was not answered, or the provider could not do it then.
    pub fn failed(&mut self, pass: &Pass, now_ms: u64) {
        self.totals.failures += 1;
        if pass.changes != self.totals.state_changes {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.state == State::HalfOpen || self.failures >= self.thresholds.failures {
            self.turn(State::Open);
            self.since_ms = now_ms;
        }
    }

    /// Closes it, because somebody says so. What was counted since the start stays.
    pub fn reset(&mut self) {
        if self.state != State::Closed {
            self.turn(State::Closed);
        }
        self.failures = 0;
    }

    /// What it does with calls. One that has been open for long enough is open until somebody asks.
    pub fn state(&self) -> State {
        self.state
    }

    /// For how long nobody will be let through, whoever asks.
    pub fn rest_ms(&self, now_ms: u64) -> u64 {
        let until_ms = self.since_ms.saturating_add(self.thresholds.open_ms);
        if self.state == State::Open { until_ms.saturating_sub(now_ms) } else { 0 }
    }

    /// As it is shown.
    pub fn figures(&self) -> Figures {
        Figures {
            state: self.state,
            current_failures: self.failures,
            current_successes: self.successes,
            thresholds: self.thresholds,
            totals: self.totals,
        }
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.totals.state_changes += 1;
        (self.successes, self.probes) = (0, 0);
        if state != State::Open {
            self.failures = 0;
        }
    }
}

impl State {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
            Self::HalfOpen => "HALF_OPEN",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN_MS: u64 = PAYMENT_OPEN_MS;

    /// What is done with a breaker: a call that ends so at once, one that was asked for and is under way, the
    /// oldest of those ends, or a reset.
    #[derive(Debug, Clone, Copy)]
    enum Deed {
        Good,
        Bad,
        Begin,
        EndGood,
        EndBad,
        Reset,
    }
    use Deed::{Bad, Begin, EndBad, EndGood, Good, Reset};

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_closes_after_successes() {
        // when, what, the state after it, whether it was let through
        let rows: &[(u64, Deed, State, bool)] = &[
            (0, Bad, State::Closed, true),
            (1, Bad, State::Closed, true),
            (2, Good, State::Closed, true), // in a row, it says
            (3, Bad, State::Closed, true),
            (4, Bad, State::Closed, true),
            (5, Bad, State::Open, true),
            (6, Good, State::Open, false),
            (4 + OPEN_MS, Good, State::Open, false),
            (5 + OPEN_MS, Good, State::HalfOpen, true),
            (6 + OPEN_MS, Bad, State::Open, true), // one failure is enough
            (5 + 2 * OPEN_MS, Good, State::Open, false),
            (6 + 2 * OPEN_MS, Good, State::HalfOpen, true),
            (7 + 2 * OPEN_MS, Good, State::Closed, true),
            (8 + 2 * OPEN_MS, Bad, State::Closed, true),
            (9 + 2 * OPEN_MS, Bad, State::Closed, true),
            (10 + 2 * OPEN_MS, Bad, State::Open, true),
            (11 + 2 * OPEN_MS, Reset, State::Closed, true),
            (12 + 2 * OPEN_MS, Bad, State::Closed, true),
        ];
        let mut bench = Bench::new();
        for (now_ms, deed, state, is_let_through) in rows {
            let passed = bench.play(*now_ms, *deed);
            assert_eq!((bench.breaker.state(), passed), (*state, *is_let_through), "{deed:?} at {now_ms}");
        }
        let totals = Totals { requests: 17, failures: 10, successes: 4, rejected: 3, state_changes: 7 };
        assert_eq!(bench.breaker.figures().totals, totals);
    }

    #[test]
    fn no_more_calls_try_it_than_could_close_it() {
        let mut bench = Bench::open();
        let rows: &[(u64, Deed, State, bool)] = &[
            (OPEN_MS, Begin, State::HalfOpen, true),
            (OPEN_MS, Begin, State::HalfOpen, true),
            (OPEN_MS, Begin, State::HalfOpen, false),
            (OPEN_MS + 1, EndGood, State::HalfOpen, true),
            (OPEN_MS + 1, Begin, State::HalfOpen, false), // one is under way, and one is missing
            (OPEN_MS + 2, EndGood, State::Closed, true),
        ];
        for (now_ms, deed, state, is_let_through) in rows {
            let passed = bench.play(*now_ms, *deed);
            assert_eq!((bench.breaker.state(), passed), (*state, *is_let_through), "{deed:?} at {now_ms}");
        }
    }

    #[test]
    fn calls_that_are_never_heard_of_again_do_not_keep_it_half_open() {
        let mut bench = Bench::open();
        assert!(bench.play(OPEN_MS, Begin) && bench.play(OPEN_MS, Begin));
        assert_eq!(bench.breaker.ask(2 * OPEN_MS - 1).expect_err("both are waited for"), Rejected { after_ms: 1 });
        assert!(bench.play(2 * OPEN_MS, Good));
        assert!(bench.play(2 * OPEN_MS, Good));
        assert_eq!(bench.breaker.state(), State::Closed);
    }

    #[test]
    fn what_was_let_through_before_says_nothing_of_now() {
        let mut breaker = Breaker::new(Thresholds::PAYMENT);
        let late = [(); 3].map(|()| breaker.ask(0).expect("closed"));
        for _ in 0..3 {
            let pass = breaker.ask(0).expect("closed");
            breaker.failed(&pass, 0);
        }
        breaker.succeeded(&late[0]);
        assert_eq!(breaker.state(), State::Open);
        assert_eq!((breaker.rest_ms(1), breaker.rest_ms(2 * OPEN_MS)), (OPEN_MS - 1, 0));
        let probe = breaker.ask(OPEN_MS).expect("half-open");
        breaker.failed(&late[1], OPEN_MS);
        breaker.succeeded(&late[2]);
        assert_eq!((breaker.state(), breaker.figures().current_successes), (State::HalfOpen, 0));
        assert_eq!(breaker.rest_ms(OPEN_MS), 0, "whoever comes now may be let through");
        breaker.succeeded(&probe);
        assert_eq!(breaker.figures().current_successes, 1);
    }

    proptest! {
        /// Whatever happens: no call passes an open breaker, few pass a half-open one, and the totals add up.
        #[test]
        fn a_breaker_keeps_its_promises(
            deeds in proptest::collection::vec(
                (prop_oneof![Just(Good), Just(Bad), Just(Begin), Just(EndGood), Just(EndBad), Just(Reset)], 0..OPEN_MS),
                1..200,
            ),
        ) {
            let (mut bench, mut now_ms, mut opened_ms) = (Bench::new(), 0, None);
            for (deed, later_ms) in deeds {
                now_ms += later_ms / 4;
                let before = bench.breaker.figures();
                let passed = bench.play(now_ms, deed);
                let after = bench.breaker.figures();
                if let (Good | Bad | Begin, Some(opened_ms)) = (deed, opened_ms) {
                    prop_assert_eq!(passed, now_ms - opened_ms >= OPEN_MS, "an open one rests as long as it says");
                }
                prop_assert!(before.state != State::Closed || passed, "a closed one lets all through");
                prop_assert!(after.current_failures <= after.thresholds.failures);
                prop_assert!(after.current_successes < after.thresholds.successes);
                prop_assert!(bench.breaker.probes + after.current_successes <= after.thresholds.successes);
                if after.state == State::Open && after.totals.state_changes != before.totals.state_changes {
                    opened_ms = Some(now_ms);
                } else if after.state != State::Open {
                    opened_ms = None;
                }
                let Totals { requests, failures, successes, rejected, .. } = after.totals;
                prop_assert_eq!(requests, failures + successes + rejected + bench.under_way.len() as u64);
            }
            // However it went, a provider that is well again is called again after one rest.
            bench.play(now_ms + OPEN_MS, Good);
            bench.play(now_ms + OPEN_MS, Good);
            bench.play(now_ms + 2 * OPEN_MS, Good);
            bench.play(now_ms + 2 * OPEN_MS, Good);
            prop_assert_eq!(bench.breaker.state(), State::Closed);
        }
    }

    struct Bench {
        breaker: Breaker,
        under_way: Vec<Pass>,
    }

    impl Bench {
        fn new() -> Self {
            Self { breaker: Breaker::new(Thresholds::PAYMENT), under_way: Vec::new() }
        }

        /// Opened at 0.
        fn open() -> Self {
            let mut bench = Self::new();
            (0..3).for_each(|_| assert!(bench.play(0, Bad)));
            bench
        }

        /// Answers whether a call was let through, if one was asked for.
        fn play(&mut self, now_ms: u64, deed: Deed) -> bool {
            match deed {
                Good | Bad | Begin => {
                    let Ok(pass) = self.breaker.ask(now_ms) else { return false };
                    match deed {
                        Good => self.breaker.succeeded(&pass),
                        Bad => self.breaker.failed(&pass, now_ms),
                        _ => self.under_way.push(pass),
                    }
                }
                EndGood | EndBad if self.under_way.is_empty() => {}
                EndGood => self.breaker.succeeded(&self.under_way.remove(0)),
                EndBad => self.breaker.failed(&self.under_way.remove(0), now_ms),
                Reset => self.breaker.reset(),
            }
            true
        }
    }
}
