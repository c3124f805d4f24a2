//! Reading another site's journal: when to ask for what, and what an answer means for the next question.
//!
//! A session is the state of one reader of one journal. It is told the time, what came of each question,
//! and numbers drawn at random; it says what to ask next, and when. It sends nothing and waits for nothing,
//! so whoever drives it, over a network or through a made-up world, runs the same session.
//!
//! ```text
//! connecting ─► open ◄─► cut          open: questions wait at the peer until there is something to tell
//!      └─────────┴────────┴─► stopped  cut: the breaker is open, and one question at a time tries the link
//! ```

use crate::back_off::BackOff;
use crate::group::Digest;
use crate::limits::{ASK_DEADLINE_MS, ASK_REST_MS, ASK_WAIT_MS, BACK_OFF_MS, CUT_AFTER_FAILURES};

/// A group of a journal, by its place and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The term; 0 is before the first group of the first.
    pub term: u32,
    /// The group.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Mark {
    /// The place alone; places are ordered as groups are.
    pub fn place(&self) -> (u32, u64) {
        (self.term, self.seq)
    }
}

/// What a site's word of one's own journal turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// It holds what is here.
    Same,
    /// It holds groups that are missing here: this site has lost the end of its journal.
    Missing,
    /// It holds another group at this place: this site has written two journals.
    Other,
}

/// How a link to a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Nothing has been answered yet.
    Connecting,
    /// The last question was answered, or the next one will tell.
    Open,
    /// Several questions in a row were not answered; it is tried now and then.
    Cut,
    /// The journal is read no further until somebody has looked.
    Stopped,
}

/// A question to a peer: what follows in your journal?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The last group that is here.
    pub after: Mark,
    /// How long the peer may wait for something new before it answers.
    pub wait_ms: u64,
    /// When the question is taken for lost.
    pub until_ms: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask this.
    Ask(Ask),
    /// Nothing before this moment, or before something is heard.
    Wait(u64),
    /// Nothing any more.
    Nothing,
}

/// Why a question led to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No answer came, or it broke off.
    NoAnswer,
    /// The peer said no. Somebody must do something, so it is asked seldom.
    Refused,
    /// The answer held no group of that journal. It can be asked for again.
    NotOfIt,
    /// There is no room here to keep what was brought.
    NoRoom,
}

/// The state of reading one journal.
#[derive(Debug, Clone)]
pub struct Session {
    at: Mark,
    end: Option<(u32, u64)>,
    link: Link,
    failures: u32,
    asked: Option<Ask>,
    next_ms: u64,
    /// The last moment at which nothing of the journal was missing here; of the start, if there was none.
    current_ms: u64,
}

impl Session {
    /// Goes on after the last group that is here.
    pub fn new(at: Mark, now_ms: u64) -> Self {
        Self { at, end: None, link: Link::Connecting, failures: 0, asked: None, next_ms: now_ms, current_ms: now_ms }
    }

    /// What is to be done now. A question that is given out is on its way until it is answered, has failed,
    /// or its time is over. `chance` is drawn at random.
    pub fn next(&mut self, now_ms: u64, chance: u64) -> Next {
        if self.link == Link::Stopped {
            return Next::Nothing;
        }
        if let Some(asked) = self.asked {
            if now_ms < asked.until_ms {
                return Next::Wait(asked.until_ms);
            }
            self.failed(now_ms, Trouble::NoAnswer, chance);
        }
        if now_ms < self.next_ms {
            return Next::Wait(self.next_ms);
        }
        // What tries a link is answered at once, or the link is not known to be open for so long.
        let wait_ms = if self.link == Link::Open && self.is_current() { ASK_WAIT_MS } else { 0 };
        let ask = Ask { after: self.at, wait_ms, until_ms: now_ms + wait_ms + ASK_DEADLINE_MS };
        self.asked = Some(ask);
        Next::Ask(ask)
    }

    /// An answer has come: the journal ends there, and what it brought was read up to `at`.
    pub fn answered(&mut self, now_ms: u64, end: (u32, u64), at: Mark) {
        let moved = at != self.at;
        self.asked = None;
        (self.at, self.end) = (at, Some(end));
        (self.link, self.failures) = (Link::Open, 0);
        if self.is_current() {
            self.current_ms = now_ms;
        }
        // An answer that brings nothing should have waited; a peer that does not wait is not to be worn out.
        self.next_ms = if moved { now_ms } else { now_ms + ASK_REST_MS };
    }

    /// A question has led to nothing. The next one comes later each time, and never at the same moment as
    /// that of others who failed together.
    pub fn failed(&mut self, now_ms: u64, trouble: Trouble, chance: u64) {
        self.asked = None;
        self.failures = match trouble {
            Trouble::NoAnswer => self.failures.saturating_add(1),
            Trouble::Refused | Trouble::NotOfIt | Trouble::NoRoom => self.failures.saturating_add(1).max(8),
        };
        if self.failures >= CUT_AFTER_FAILURES {
            self.link = Link::Cut;
        }
        self.next_ms = now_ms + BackOff::LINK.rest_ms(self.failures, chance);
    }

    /// The question on its way is not waited for any more: there is another one to ask.
    pub fn withdraw(&mut self, now_ms: u64) {
        self.asked = None;
        self.next_ms = now_ms;
    }

    /// More of the journal is here by now: it was read through somebody else.
    pub fn read_elsewhere(&mut self, at: Mark) {
        if at.place() > self.at.place() {
            self.at = at;
        }
    }

    /// The journal is read no further.
    pub fn stop(&mut self) {
        self.asked = None;
        self.link = Link::Stopped;
    }

    /// The peer has asked something itself, so it is there: the link is tried soon.
    pub fn heard(&mut self, now_ms: u64, chance: u64) {
        if self.link != Link::Stopped && self.failures > 0 {
            self.next_ms = self.next_ms.min(now_ms + BACK_OFF_MS + chance % BACK_OFF_MS);
        }
    }

    /// How the link is.
    pub fn link(&self) -> Link {
        self.link
    }

    /// The last group that is here.
    pub fn at(&self) -> &Mark {
        &self.at
    }

    /// Where the journal ended by the peer's last answer.
    pub fn end(&self) -> Option<(u32, u64)> {
        self.end
    }

    /// Questions in a row that led to nothing.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Groups that were there and not here by the last answer; of later terms, those of the newest.
    pub fn lag_groups(&self) -> u64 {
        match self.end {
            Some((term, seq)) if term == self.at.term => seq.saturating_sub(self.at.seq),
            Some((term, seq)) if term > self.at.term => seq,
            _ => 0,
        }
    }

    /// For how long something may have been missing here that was written there; 0 while an open link says
    /// that nothing is.
    pub fn lag_ms(&self, now_ms: u64) -> u64 {
        if self.link == Link::Open && self.is_current() { 0 } else { now_ms.saturating_sub(self.current_ms) }
    }

    fn is_current(&self) -> bool {
        self.end.is_some_and(|end| end <= self.at.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BACK_OFF_MS_MAX;

    fn mark(term: u32, seq: u64) -> Mark {
        Mark { term, seq, digest: Digest::default() }
    }

    #[test]
    fn a_session_reads_on_until_nothing_is_left_and_then_waits_at_the_peer() {
        // now, what came of the last question (end, at), the next question: after, wait
        let rows = [
            (0, None, (0, 0), 0),
            (10, Some(((1, 300), (1, 100))), (1, 100), 0),
            (20, Some(((1, 300), (1, 200))), (1, 200), 0),
            (30, Some(((1, 300), (1, 300))), (1, 300), ASK_WAIT_MS),
            (9_000, Some(((1, 301), (1, 301))), (1, 301), ASK_WAIT_MS),
            (9_010, Some(((2, 4), (1, 301))), (1, 301), 0),
            (9_100, Some(((2, 4), (2, 4))), (2, 4), ASK_WAIT_MS),
        ];
        let mut session = Session::new(Mark::default(), 0);
        for (now, came, after, wait_ms) in rows {
            if let Some((end, (term, seq))) = came {
                session.answered(now, end, mark(term, seq));
            }
            let now = now + ASK_REST_MS;
            let until_ms = now + wait_ms + ASK_DEADLINE_MS;
            assert_eq!(session.next(now, 0), Next::Ask(Ask { after: mark(after.0, after.1), wait_ms, until_ms }));
            assert_eq!(session.next(now, 0), Next::Wait(until_ms), "one question at a time");
        }
    }

    #[test]
    fn an_answer_that_brings_nothing_is_not_asked_for_again_at_once() {
        let mut session = Session::new(mark(1, 5), 0);
        assert!(matches!(session.next(0, 0), Next::Ask(_)));
        session.answered(1, (1, 5), mark(1, 5));
        assert_eq!(session.next(1, 0), Next::Wait(1 + ASK_REST_MS));
    }

    #[test]
    fn whoever_fails_asks_later_each_time_and_knows_a_cut_link() {
        // failures before, most that is waited, link
        for (failures, most, link) in [
            (0, 200, Link::Connecting),
            (1, 400, Link::Connecting),
            (2, 800, Link::Cut),
            (3, 1_600, Link::Cut),
            (9, BACK_OFF_MS_MAX, Link::Cut),
            (90, BACK_OFF_MS_MAX, Link::Cut),
        ] {
            for chance in [0, 7, u64::MAX] {
                let mut session = Session { failures, ..Session::new(Mark::default(), 0) };
                session.failed(1_000, Trouble::NoAnswer, chance);
                let Next::Wait(at) = session.next(1_000, 0) else { panic!("{failures}") };
                assert!((1_000 + most / 2..=1_000 + most).contains(&at), "{failures}: {at}");
                assert_eq!(session.link(), link, "{failures}");
            }
        }
        for trouble in [Trouble::Refused, Trouble::NotOfIt, Trouble::NoRoom] {
            let mut session = Session::new(Mark::default(), 0);
            session.failed(0, trouble, 0);
            assert_eq!(session.next(0, 0), Next::Wait(BACK_OFF_MS_MAX / 2), "{trouble:?}: somebody must look");
        }
    }

    #[test]
    fn what_is_read_elsewhere_is_not_asked_for_and_a_question_can_be_asked_anew() {
        let mut session = Session::new(mark(1, 5), 0);
        session.read_elsewhere(mark(1, 4));
        session.read_elsewhere(mark(1, 9));
        assert!(matches!(session.next(0, 0), Next::Ask(Ask { after: Mark { term: 1, seq: 9, .. }, .. })));
        assert!(matches!(session.next(1, 0), Next::Wait(_)));
        session.withdraw(1);
        assert!(matches!(session.next(1, 0), Next::Ask(_)));
        assert_eq!(session.failures(), 0);
    }

    #[test]
    fn a_question_that_is_lost_has_failed_when_its_time_is_over() {
        let mut session = Session::new(Mark::default(), 0);
        let Next::Ask(ask) = session.next(0, 0) else { panic!() };
        assert!(matches!(session.next(ask.until_ms, 0), Next::Wait(_)));
        assert_eq!(session.failures(), 1);
    }

    #[test]
    fn a_peer_that_is_heard_again_is_asked_soon() {
        let mut session = Session { failures: 20, ..Session::new(Mark::default(), 0) };
        session.failed(0, Trouble::NoAnswer, u64::MAX);
        session.heard(10, 3);
        assert_eq!(session.next(10, 0), Next::Wait(10 + BACK_OFF_MS + 3));
        assert!(matches!(session.next(10 + BACK_OFF_MS + 3, 0), Next::Ask(Ask { wait_ms: 0, .. })));
        session.stop();
        session.heard(1_000, 0);
        assert_eq!(session.next(1_000_000, 0), Next::Nothing);
    }

    #[test]
    fn lag_is_what_is_missing_and_for_how_long() {
        let mut session = Session::new(mark(1, 5), 100);
        assert_eq!((session.lag_groups(), session.lag_ms(150)), (0, 50), "nobody has said yet");
        session.answered(200, (1, 5), mark(1, 5));
        assert_eq!((session.lag_groups(), session.lag_ms(9_000)), (0, 0));
        session.answered(9_000, (1, 9), mark(1, 6));
        assert_eq!((session.lag_groups(), session.lag_ms(9_100)), (3, 8_900));
        session.answered(9_200, (1, 9), mark(1, 9));
        (0..3).for_each(|_| session.failed(9_300, Trouble::NoAnswer, 0));
        assert_eq!((session.link(), session.lag_ms(10_000)), (Link::Cut, 800), "who knows what is written there");
    }
}
