//! Giving one's own journal to a site that does not ask for it, because it cannot reach this one.
//!
//! It is a [session](crate::session) turned round: what stands for the reader is how far the other site holds the
//! journal, by its own word. So back-off, breaker and deadlines are the same, and whoever was away goes on where
//! the other one is.

use crate::session::{Link, Mark, Next, Session, Trouble};

/// The state of giving a journal to one site.
#[derive(Debug, Clone)]
pub struct Push {
    session: Session,
    /// The site has said how far it holds the journal, and nothing has failed since.
    is_told: bool,
}

/// A part of the journal that is to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Give {
    /// What the site holds; if it has not said so, it is given nothing, and asked.
    pub after: Option<Mark>,
    /// How long to wait here for something to give. Then nothing is given, and the site hears that all is well.
    pub wait_ms: u64,
    /// When what was given is taken for lost.
    pub until_ms: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextGive {
    /// Give this.
    Give(Give),
    /// Nothing before this moment.
    Wait(u64),
    /// Nothing any more.
    Nothing,
}

impl Push {
    /// Begins by asking what the site holds.
    pub fn new(now_ms: u64) -> Self {
        Self { session: Session::new(Mark::default(), now_ms), is_told: false }
    }

    /// What is to be done now. What is given out is on its way until it is answered, has failed, or its time is
    /// over. `chance` is drawn at random.
    pub fn next(&mut self, now_ms: u64, chance: u64) -> NextGive {
        let failures = self.session.failures();
        let next = self.session.next(now_ms, chance);
        self.is_told &= failures == self.session.failures();
        match next {
            Next::Nothing => NextGive::Nothing,
            Next::Wait(until_ms) => NextGive::Wait(until_ms),
            Next::Ask(ask) => {
                let after = self.is_told.then_some(ask.after);
                NextGive::Give(Give { after, wait_ms: ask.wait_ms, until_ms: ask.until_ms })
            }
        }
    }

    /// The site holds the journal up to `holds`; here it ends at `end`.
    pub fn answered(&mut self, now_ms: u64, end: (u32, u64), holds: Mark) {
        self.is_told = true;
        self.session.answered(now_ms, end, holds);
    }

    /// It led to nothing. Whether the site took it is not known, so it is asked what it holds.
    pub fn failed(&mut self, now_ms: u64, trouble: Trouble, chance: u64) {
        self.is_told = false;
        self.session.failed(now_ms, trouble, chance);
    }

    /// The other site is there: it has answered something else. It is tried soon.
    pub fn heard(&mut self, now_ms: u64, chance: u64) {
        self.session.heard(now_ms, chance);
    }

    /// How the link is.
    pub fn link(&self) -> Link {
        self.session.link()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Digest;
    use crate::limits::{ASK_DEADLINE_MS, ASK_REST_MS, ASK_WAIT_MS};

    fn mark(seq: u64) -> Mark {
        Mark { term: 1, seq, digest: Digest::default() }
    }

    fn given(next: NextGive) -> (Option<u64>, u64) {
        let NextGive::Give(give) = next else { panic!("{next:?}") };
        (give.after.map(|after| after.seq), give.wait_ms)
    }

    #[test]
    fn the_other_site_says_where_to_go_on_and_is_given_all_that_follows() {
        let mut push = Push::new(0);
        assert_eq!(given(push.next(0, 0)), (None, 0), "who knows what it holds");
        assert_eq!(push.next(1, 0), NextGive::Wait(ASK_DEADLINE_MS), "one thing at a time");
        push.answered(10, (1, 9), mark(3));
        assert_eq!(given(push.next(10, 0)), (Some(3), 0));
        push.answered(20, (1, 9), mark(9));
        assert_eq!(given(push.next(20, 0)), (Some(9), ASK_WAIT_MS), "then it waits for more");
        push.answered(30, (1, 9), mark(9));
        assert_eq!(push.next(30, 0), NextGive::Wait(30 + ASK_REST_MS), "a site that takes nothing is not worn out");
    }

    #[test]
    fn after_a_failure_the_other_site_is_asked_again_what_it_holds() {
        let mut push = Push::new(0);
        given(push.next(0, 0));
        push.answered(0, (1, 9), mark(3));
        given(push.next(0, 0));
        push.failed(0, Trouble::NoAnswer, 0);
        let NextGive::Wait(at) = push.next(0, 0) else { panic!() };
        assert_eq!(given(push.next(at, 0)), (None, 0));
        // What was given is lost without a word.
        push.answered(at, (1, 9), mark(4));
        let NextGive::Give(give) = push.next(at, 0) else { panic!() };
        assert!(matches!(push.next(give.until_ms, 0), NextGive::Wait(_)));
        assert_eq!(given(push.next(give.until_ms + 1_000, 0)), (None, 0));
        for _ in 0..3 {
            push.failed(0, Trouble::NoAnswer, 0);
        }
        assert_eq!(push.link(), Link::Cut);
    }
}
