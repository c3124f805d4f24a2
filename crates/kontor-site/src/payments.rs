//! Calls to a payment provider that are to be made: which now, in what way, and when again. Synchronous and
//! without IO, so that the simulator tries calls exactly as the server does.
//!
//! What is to be called stands in the journal, and what came of it becomes a command. Between the two, here,
//! is nothing that a crash could lose: a call is made again under the same key.

use std::collections::{BTreeMap, BTreeSet};

use kontor_core::command::Command;
use kontor_core::id::PaymentId;
use kontor_core::overlay::Changes;
use kontor_core::payment::call::{Call, Operation, Outcome, Trouble};
use kontor_core::payment::record::{Payment, parts};
use kontor_core::payment::retry::{Try, rest_in_background_ms, rest_of_waiting_ms};
use kontor_core::record::Table;
use kontor_core::text::Reason;
use kontor_core::time::SiteTime;

use crate::limits::{PAYMENT_CALLS_AT_ONCE, PAYMENT_GIVE_UP_MS, PAYMENT_LEASE_MS, PAYMENT_PARK_MS, PAYMENT_SETTLE_MS};

/// The calls that are to be made. All times are in milliseconds of the site's clock.
#[derive(Debug)]
pub struct Calls {
    known: BTreeMap<PaymentId, Known>,
    /// Those that nobody makes until somebody has looked. Whatever was tried of them may have been done.
    parked: BTreeSet<PaymentId>,
    started_ms: u64,
    key_lifetime_ms: u64,
}

/// A call to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    /// What is asked for.
    pub call: Call,
    /// How.
    pub how: Try,
}

/// What is known of the calls, to be watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls whose outcome is not known yet.
    pub pending: u64,
    /// Since when the oldest of them is to be made.
    pub oldest: Option<SiteTime>,
}

#[derive(Debug)]
struct Known {
    call: Call,
    since_ms: u64,
    failures: u32,
    /// An earlier try, of this process or of one before, may have been taken.
    may_be_done: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be tried from then on.
    Rests { until_ms: u64 },
    /// Being tried. Whoever tries it has until then: after that it is tried again.
    Out { until_ms: u64 },
}

impl Calls {
    /// None yet. What was journaled until now may have been asked for already.
    pub fn new(started_ms: u64, key_lifetime_ms: u64) -> Self {
        Self { known: BTreeMap::new(), parked: BTreeSet::new(), started_ms, key_lifetime_ms }
    }

    /// Takes over what the journal says is to be made.
    pub fn begin(&mut self, call: Call, since: SiteTime) {
        let is_known = self.known.get(&call.payment).is_some_and(|known| known.call.attempt == call.attempt);
        if !is_known {
            let (id, was_parked) = (call.payment, self.parked.remove(&call.payment));
            let may_be_done = was_parked || since.0 <= self.started_ms;
            let state = State::Rests { until_ms: 0 };
            self.known.insert(id, Known { call, since_ms: since.0, failures: 0, may_be_done, state });
        }
    }

    /// Follows a payment that has changed, as its row is now.
    pub fn follow(&mut self, id: PaymentId, payment: Option<Payment>) {
        match payment.and_then(|payment| payment.call(id).zip(payment.pending)) {
            Some((call, pending)) if pending.parked.is_none() => self.begin(call, pending.since),
            pending => {
                self.known.remove(&id);
                match pending {
                    Some(_) => self.parked.insert(id),
                    None => self.parked.remove(&id),
                };
            }
        }
    }

    /// The calls to be made now. Each is told of with [`Calls::ended`].
    pub fn due(&mut self, now_ms: u64) -> Vec<Make> {
        for known in self.known.values_mut() {
            // Nobody has heard of it again: it may have been done.
            if matches!(known.state, State::Out { until_ms } if until_ms <= now_ms) {
                (known.may_be_done, known.state) = (true, State::Rests { until_ms: now_ms });
            }
        }
        let out = self.known.values().filter(|known| matches!(known.state, State::Out { .. })).count();
        let lifetime_ms = self.key_lifetime_ms;
        let rested = self.known.values_mut().filter(|known| known.is_rested(now_ms));
        let made = rested.take(PAYMENT_CALLS_AT_ONCE.saturating_sub(out)).map(|known| {
            known.state = State::Out { until_ms: now_ms + PAYMENT_LEASE_MS };
            Make { call: known.call.clone(), how: Try::at(now_ms, known.since_ms, lifetime_ms) }
        });
        made.collect()
    }

    /// What came of a call, and what the site is told of it. `chance` is drawn at random.
    pub fn ended(
        &mut self,
        now_ms: u64,
        call: &Call,
        result: Result<Option<Outcome>, Trouble>,
        chance: u64,
    ) -> Option<Command> {
        let known = self.known.get_mut(&call.payment).filter(|known| known.call.attempt == call.attempt)?;
        let (id, attempt) = (call.payment, call.attempt);
        let report = |outcome| Command::ReportPayment { id, attempt, outcome, callback: None };
        let told = match result {
            Ok(Some(outcome)) => report(outcome),
            // Its key may be forgotten, so it is not sent again; and it was never done.
            Ok(None) => report(Outcome::Refused { reason: reason("it was not done in time") }),
            Err(trouble) => {
                known.failures = known.failures.saturating_add(1);
                known.may_be_done |= matches!(trouble, Trouble::Unknown { .. });
                match known.gives_up(now_ms, id, attempt, &trouble) {
                    Some(command) => command,
                    None => {
                        let rest = rest_of_waiting_ms(known.failures, &trouble, chance);
                        let rest = rest.unwrap_or_else(|| rest_in_background_ms(known.failures, &trouble, chance));
                        known.state = State::Rests { until_ms: now_ms + rest };
                        return None;
                    }
                }
            }
        };
        // The journal says when it is over. If the site does not take it now, it is asked for again, which
        // is answered as it was.
        known.state = State::Rests { until_ms: now_ms + PAYMENT_SETTLE_MS };
        Some(told)
    }

    /// When [`Calls::due`] may have something again.
    pub fn next_ms(&self) -> Option<u64> {
        let at = |known: &Known| match known.state {
            State::Rests { until_ms } | State::Out { until_ms } => until_ms,
        };
        self.known.values().map(at).min()
    }

    /// How they stand.
    pub fn figures(&self) -> Figures {
        let oldest = self.known.values().map(|known| known.since_ms).min();
        Figures { pending: self.known.len() as u64, oldest: oldest.map(SiteTime) }
    }
}

impl Known {
    fn is_rested(&self, now_ms: u64) -> bool {
        matches!(self.state, State::Rests { until_ms } if until_ms <= now_ms)
    }

    /// A buyer does not wait for ever for a provider that certainly has done nothing: the order may be paid
    /// otherwise. What may have been done is asked for until it is known; after a day a person should look.
    fn gives_up(&self, now_ms: u64, id: PaymentId, attempt: u16, trouble: &Trouble) -> Option<Command> {
        let age_ms = now_ms.saturating_sub(self.since_ms);
        let is_nothing_set_aside = self.call.operation == Operation::Authorize && !self.may_be_done;
        if is_nothing_set_aside && age_ms >= PAYMENT_GIVE_UP_MS {
            let outcome = Outcome::Refused { reason: reason("the provider could not be reached in time") };
            return Some(Command::ReportPayment { id, attempt, outcome, callback: None });
        }
        let why = reason(&trouble.to_string());
        (age_ms >= PAYMENT_PARK_MS).then_some(Command::ParkPayment { id, attempt, reason: why })
    }
}

/// Payments of which rows have changed.
pub fn changed(changes: &Changes) -> impl Iterator<Item = PaymentId> {
    changes.of(Table::PAYMENTS).filter_map(|(key, _)| parts(key)).map(|(id, _)| id)
}

/// A text as a reason, cut to what one holds.
fn reason(text: &str) -> Reason {
    Reason::cut(text).unwrap_or_else(|| Reason::parse("no reason was given").expect("a short sentence is a reason"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontor_core::id::OrderId;
    use kontor_core::money::{Currency, Money};
    use kontor_core::payment::call::{MethodToken, ProviderObject};
    use kontor_core::payment::record::{Capture, PaymentStatus, Pending};

    const DAY_MS: u64 = 86_400_000;
    const START_MS: u64 = 100 * DAY_MS;

    #[test]
    fn a_call_is_made_once_at_a_time_and_again_until_its_outcome_is_known() {
        let mut calls = Calls::new(START_MS, DAY_MS);
        calls.begin(call(Operation::Authorize), SiteTime(START_MS));
        calls.begin(call(Operation::Authorize), SiteTime(START_MS));
        assert_eq!(made(&calls.due(START_MS)), ["send"]);
        assert_eq!(made(&calls.due(START_MS)), [""; 0], "it is being made");
        let unknown = || Err(Trouble::Unknown { why: "no answer".into() });
        assert_eq!(calls.ended(START_MS + 1, &call(Operation::Authorize), unknown(), 0), None);
        let again = calls.next_ms().unwrap();
        assert_eq!(made(&calls.due(again - 1)), [""; 0]);
        assert_eq!(made(&calls.due(again)), ["send"]);
        let told = calls.ended(again, &call(Operation::Authorize), Ok(Some(done())), 0);
        assert!(matches!(told, Some(Command::ReportPayment { outcome: Outcome::Done { .. }, .. })), "{told:?}");
        assert_eq!(made(&calls.due(again)), [""; 0], "the site is being told");
        assert_eq!(made(&calls.due(again + PAYMENT_SETTLE_MS)), ["send"], "and was not, so it is asked again");
        calls.follow(call(Operation::Authorize).payment, None);
        assert_eq!(calls.next_ms(), None);
    }

    #[test]
    fn what_nobody_hears_of_again_may_have_been_done_and_is_tried_again() {
        let mut calls = Calls::new(START_MS, DAY_MS);
        calls.begin(call(Operation::Authorize), SiteTime(START_MS));
        assert_eq!(made(&calls.due(START_MS)), ["send"]);
        let later = START_MS + PAYMENT_LEASE_MS;
        assert_eq!(made(&calls.due(later)), ["send"]);
        let late = START_MS + PAYMENT_GIVE_UP_MS;
        assert_eq!(calls.ended(late, &call(Operation::Authorize), not_done(), 0), None, "nobody gives it up");
    }

    #[test]
    fn what_was_certainly_not_done_is_given_up_in_time_and_what_may_be_is_only_looked_up_later() {
        // begun before or after the start, what is asked for, how long ago, and what becomes of a try that fails
        let half = DAY_MS / 2;
        let rows = [
            ("after", Operation::Authorize, 0, "send", "tried again"),
            ("after", Operation::Authorize, PAYMENT_GIVE_UP_MS, "send", "refused"),
            ("before", Operation::Authorize, PAYMENT_GIVE_UP_MS, "send", "tried again"),
            ("before", Operation::Authorize, half, "look up", "tried again"),
            ("after", Operation::Capture, PAYMENT_GIVE_UP_MS, "send", "tried again"),
            ("after", Operation::Capture, half, "look up", "tried again"),
            ("after", Operation::Refund, PAYMENT_PARK_MS, "look up", "parked"),
        ];
        for (begun, operation, age_ms, how, then) in rows {
            let since = if begun == "after" { START_MS + 1 } else { START_MS };
            let mut calls = Calls::new(START_MS, DAY_MS);
            calls.begin(call(operation), SiteTime(since));
            let now = since + age_ms;
            assert_eq!(made(&calls.due(now)), [how], "{begun} {operation} {age_ms}");
            let told = match calls.ended(now, &call(operation), not_done(), 0) {
                None => "tried again",
                Some(Command::ParkPayment { .. }) => "parked",
                Some(Command::ReportPayment { outcome: Outcome::Refused { .. }, .. }) => "refused",
                other => panic!("{other:?}"),
            };
            assert_eq!(told, then, "{begun} {operation} {age_ms}");
        }
    }

    #[test]
    fn what_a_person_resumes_may_have_been_done_and_is_not_given_up() {
        let mut calls = Calls::new(START_MS, DAY_MS);
        calls.begin(call(Operation::Authorize), SiteTime(START_MS));
        assert_eq!(made(&calls.due(START_MS)), ["send"]);
        let unknown = || Err(Trouble::Unknown { why: "no answer".into() });
        let parked = calls.ended(START_MS + PAYMENT_PARK_MS, &call(Operation::Authorize), unknown(), 0);
        assert!(matches!(parked, Some(Command::ParkPayment { .. })), "{parked:?}");
        let id = call(Operation::Authorize).payment;
        calls.follow(id, Some(payment(Some(reason("no answer")))));
        assert_eq!(calls.next_ms(), None, "nobody makes it");
        calls.follow(id, Some(payment(None)));
        let later = START_MS + PAYMENT_PARK_MS + 1;
        assert_eq!(made(&calls.due(later)), ["look up"]);
        let told = calls.ended(later, &call(Operation::Authorize), not_done(), 0);
        assert!(!matches!(told, Some(Command::ReportPayment { .. })), "money may be set aside: {told:?}");
    }

    #[test]
    fn so_many_calls_are_made_at_once() {
        let mut calls = Calls::new(START_MS, DAY_MS);
        for number in 1..=u16::try_from(PAYMENT_CALLS_AT_ONCE).unwrap() + 5 {
            let mut call = call(Operation::Capture);
            call.payment.number = number;
            calls.begin(call, SiteTime(START_MS));
        }
        assert_eq!(calls.due(START_MS).len(), PAYMENT_CALLS_AT_ONCE);
        assert_eq!(calls.due(START_MS).len(), 0);
        assert_eq!(calls.figures().pending, PAYMENT_CALLS_AT_ONCE as u64 + 5);
    }

    fn made(calls: &[Make]) -> Vec<&'static str> {
        calls.iter().map(|make| if make.how == Try::Send { "send" } else { "look up" }).collect()
    }

    fn call(operation: Operation) -> Call {
        Call {
            payment: PaymentId { order: OrderId([7; 16]), number: 1 },
            operation,
            attempt: 1,
            money: Money { amount: 100, currency: Currency::parse("EUR").unwrap() },
            method: MethodToken::parse("card").unwrap(),
            object: None,
        }
    }

    /// The payment of that call, asked for since the start.
    fn payment(parked: Option<Reason>) -> Payment {
        let Call { operation, attempt, money, method, .. } = call(Operation::Authorize);
        let since = SiteTime(START_MS);
        Payment {
            method,
            currency: money.currency,
            amount: money.amount,
            capture: Capture::Automatic,
            status: PaymentStatus::Pending,
            object: None,
            captured: 0,
            refunded: 0,
            attempts: attempt,
            pending: Some(Pending { operation, attempt, amount: money.amount, since, parked }),
            reason: None,
            created_at: since,
            updated_at: since,
        }
    }

    fn done() -> Outcome {
        Outcome::Done { object: ProviderObject::parse("pi_1").unwrap() }
    }

    fn not_done() -> Result<Option<Outcome>, Trouble> {
        Err(Trouble::NotDone { why: "refused".into(), after_ms: None })
    }
}
