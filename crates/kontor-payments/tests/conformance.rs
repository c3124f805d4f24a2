//! The same calls, faults and repeats give the same outcomes and the same ledger, whichever provider is asked: the
//! one in memory, and the one over TCP.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontor_core::id::{OrderId, PaymentId};
use kontor_core::money::{Currency, Money};
use kontor_core::payment::call::{Call, MethodToken, Operation, Outcome, ProviderObject, Trouble};
use kontor_payments::card::{Card, CardNumber, Expiry};
use kontor_payments::fake::{Fake, SECRET_KEY};
use kontor_payments::payment_intents::PaymentIntents;
use kontor_payments::provider::{NoToken, Provider};
use kontor_payments::secret::Secret;
use kontor_payments::simulated::{Fault, Line, Rates, Simulated, Simulator};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use Operation::{Authorize, Capture, Refund, Void};

/// One request of a story: what is asked, for how much, with which attempt, what goes wrong, and the answer.
type Row = (Operation, u16, i64, Option<Fault>, &'static str);

const SLOW: Fault = Fault::Slow { ms: 1 };
const BUSY: Fault = Fault::Busy { after_ms: 2_000 };

#[test]
fn both_providers_answer_alike() {
    let stories: &[(&str, &[Row], Line)] = &[
        (
            "all goes well",
            &[
                (Authorize, 1, 100, None, "done"),
                (Capture, 2, 100, None, "done"),
                (Refund, 3, 40, None, "done"),
                (Refund, 4, 60, None, "done"),
                (Refund, 5, 1, None, "refused"),
            ],
            Line {
                authorized: 100,
                captured: 100,
                refunded: 100,
                authorizations: 1,
                captures: 1,
                refunds: 2,
                ..NOTHING
            },
        ),
        (
            "all goes wrong, and is asked again",
            &[
                (Authorize, 1, 100, Some(Fault::TimeoutBefore), "unknown"),
                (Authorize, 1, 100, Some(Fault::ErrorBefore), "unknown"),
                (Authorize, 1, 100, Some(BUSY), "not done, after 2000"),
                (Authorize, 1, 100, Some(Fault::TimeoutAfter), "unknown"),
                (Authorize, 1, 100, None, "done"),
                (Capture, 2, 100, Some(Fault::ErrorAfter), "unknown"),
                (Capture, 2, 100, Some(Fault::Reset), "unknown"),
                (Capture, 2, 100, Some(SLOW), "done"),
                (Capture, 2, 100, None, "done"),
                (Refund, 3, 40, Some(Fault::Reset), "unknown"),
                (Refund, 3, 40, Some(Fault::TimeoutAfter), "unknown"),
                (Refund, 3, 40, None, "done"),
            ],
            Line {
                authorized: 100,
                captured: 100,
                refunded: 40,
                authorizations: 1,
                captures: 1,
                refunds: 1,
                ..NOTHING
            },
        ),
        (
            "a decline is kept under its key, and another attempt may do",
            &[
                (Authorize, 1, 100, Some(Fault::Decline), "declined: Your card was declined. (generic_decline)"),
                (Authorize, 1, 100, None, "declined: Your card was declined. (generic_decline)"),
                (Authorize, 2, 100, None, "done"),
                (Capture, 3, 100, Some(Fault::Decline), "declined: Your card was declined. (generic_decline)"),
                (Capture, 4, 60, None, "done"),
            ],
            Line { authorized: 100, captured: 60, voided: 40, authorizations: 1, captures: 1, ..NOTHING },
        ),
        (
            "what was given up is not paid out",
            &[
                (Authorize, 1, 100, None, "done"),
                (Void, 2, 100, Some(Fault::TimeoutAfter), "unknown"),
                (Void, 2, 100, None, "done"),
                (Void, 3, 100, None, "done"),
                (Capture, 4, 100, None, "refused"),
                (Refund, 5, 100, None, "refused"),
            ],
            Line { authorized: 100, voided: 100, authorizations: 1, voids: 1, ..NOTHING },
        ),
        (
            "a second capture is none",
            &[
                (Authorize, 1, 100, None, "done"),
                (Capture, 2, 100, Some(Fault::TimeoutAfter), "unknown"),
                (Capture, 3, 100, None, "done"),
                (Capture, 2, 100, None, "done"),
                (Void, 4, 100, None, "refused"),
            ],
            Line { authorized: 100, captured: 100, authorizations: 1, captures: 1, ..NOTHING },
        ),
        (
            "a key is for one call, and amounts are amounts",
            &[
                (Authorize, 1, 100, None, "done"),
                (Authorize, 1, 101, None, "unknown"),
                (Authorize, 2, 0, None, "refused"),
                (Capture, 3, 101, None, "refused"),
                (Capture, 4, 0, None, "refused"),
            ],
            Line { authorized: 100, authorizations: 1, ..NOTHING },
        ),
    ];
    for (story, rows, line) in stories {
        for mut bench in [Bench::in_memory(), Bench::over_tcp()] {
            for (at, (operation, attempt, amount, fault, expected)) in rows.iter().enumerate() {
                let call = bench.call(*operation, *attempt, *amount);
                let said = bench.ask(&call, *fault);
                assert!(said.starts_with(expected), "{}: {story}, {at}: {said}", bench.name);
                if expected == &"done" || expected.starts_with("declined") && *operation == Authorize {
                    assert_eq!(bench.look_up(&call, None), said, "{}: {story}, {at}: looked up", bench.name);
                }
            }
            assert_eq!(bench.ledger().into_values().next(), Some(*line), "{}: {story}", bench.name);
        }
    }
}

#[test]
fn what_was_not_done_is_not_found_and_what_cannot_be_asked_is_unknown() {
    for mut bench in [Bench::in_memory(), Bench::over_tcp()] {
        let first = bench.call(Authorize, 1, 200);
        assert_eq!(bench.look_up(&first, None), "nothing", "{}", bench.name);
        assert_eq!(bench.ask(&first, None), "done");
        for (operation, amount) in [(Authorize, 100), (Capture, 100), (Void, 100), (Refund, 1)] {
            let call = bench.call(operation, 2, amount);
            assert_eq!(bench.look_up(&call, None), "nothing", "{}: {call:?}", bench.name);
        }
        for (fault, expected) in [
            (Fault::TimeoutBefore, "unknown"),
            (Fault::TimeoutAfter, "unknown"),
            (Fault::ErrorBefore, "unknown"),
            (Fault::Reset, "unknown"),
            (BUSY, "not done, after 2000"),
            (SLOW, "done"),
        ] {
            assert_eq!(bench.look_up(&first, Some(fault)), expected, "{}: {fault:?}", bench.name);
        }
    }
}

#[test]
fn a_refund_is_found_among_many() {
    for mut bench in [Bench::in_memory(), Bench::over_tcp()] {
        assert_eq!(bench.ask(&bench.call(Authorize, 1, 200), None), "done");
        assert_eq!(bench.ask(&bench.call(Capture, 2, 200), None), "done");
        // A page holds a hundred of them, the newest first.
        for attempt in 3..=133 {
            assert_eq!(bench.ask(&bench.call(Refund, attempt, 1), None), "done");
        }
        for (attempt, expected) in [(3, "done"), (33, "done"), (34, "done"), (133, "done"), (134, "nothing")] {
            let said = bench.look_up(&bench.call(Refund, attempt, 1), None);
            assert_eq!(said, expected, "{}: {attempt}", bench.name);
        }
    }
}

#[test]
fn a_card_becomes_a_token_that_pays_or_not() {
    for mut bench in [Bench::in_memory(), Bench::over_tcp()] {
        for (digits, expected) in [
            ("4242424242424242", "done"),
            ("4000 0000 0000 0002", "declined: Your card was declined. (generic_decline)"),
            ("4000-0000-0000-9995", "declined: Your card has insufficient funds. (insufficient_funds)"),
            ("4000000000006017", "unknown"),
            ("4242424242424241", "no card: Your card number is incorrect. (incorrect_number)"),
        ] {
            let number = CardNumber::parse(digits).expect("a number");
            let card = Card { number, expires: Some(Expiry::new(12, 2040).expect("a month")) };
            bench.number += 1;
            let said = match bench.wait(bench.provider.tokenize(card)) {
                Ok(token) => {
                    let call = Call { method: token, ..bench.call(Authorize, 1, 100) };
                    bench.ask_plain(&call)
                }
                Err(NoToken::Refused { reason }) => format!("no card: {reason}"),
                Err(NoToken::Trouble(trouble)) => panic!("{trouble}"),
            };
            assert_eq!(said, expected, "{}: {digits}", bench.name);
        }
    }
}

/// Random payments over random faults: all is asked until it has ended, and both ledgers say the same.
#[test]
fn random_faults_lead_to_the_same_ledger() {
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let kinds: Vec<Option<Fault>> = Rates::of_all(800)
        .faults
        .into_iter()
        .map(|(fault, _)| match fault {
            Fault::Slow { .. } => SLOW,
            Fault::Busy { .. } => BUSY,
            other => other,
        })
        .map(Some)
        .chain([None, None, None])
        .collect();
    let steps = proptest::collection::vec(
        (
            proptest::sample::select(vec![Authorize, Capture, Void, Refund]),
            1..150_i64,
            proptest::collection::vec(proptest::sample::select(kinds), 0..3),
        ),
        1..8,
    );
    let (tcp, memory) = (std::cell::RefCell::new(Bench::over_tcp()), std::cell::RefCell::new(Bench::in_memory()));
    runner
        .run(&steps, |steps| {
            let (mut tcp, mut memory) = (tcp.borrow_mut(), memory.borrow_mut());
            (tcp.number, memory.number) = (tcp.number + 1, memory.number + 1);
            for (attempt, (operation, amount, faults)) in (1..).zip(&steps) {
                for fault in faults.iter().copied().chain([None]) {
                    let (one, other) =
                        (tcp.call(*operation, attempt, *amount), memory.call(*operation, attempt, *amount));
                    prop_assert_eq!(&one, &other);
                    let kind = |said: String| said.split(':').next().unwrap_or_default().to_owned();
                    prop_assert_eq!(
                        kind(tcp.ask(&one, fault)),
                        kind(memory.ask(&other, fault)),
                        "{:?} {:?}",
                        one,
                        fault
                    );
                }
            }
            prop_assert_eq!(tcp.ledger(), memory.ledger());
            prop_assert!(tcp.ledger().values().all(|line| line.captures <= line.authorizations && line.held() >= 0));
            Ok(())
        })
        .unwrap_or_else(|failed| panic!("{failed}"));
}

const NOTHING: Line =
    Line { authorized: 0, captured: 0, voided: 0, refunded: 0, authorizations: 0, captures: 0, voids: 0, refunds: 0 };

/// A provider and what is behind it.
struct Bench {
    name: &'static str,
    provider: Arc<dyn Provider>,
    behind: Behind,
    runtime: tokio::runtime::Runtime,
    number: u16,
    /// What the payments are called there.
    objects: BTreeMap<u16, ProviderObject>,
}

enum Behind {
    Memory(Simulator),
    Tcp(Fake),
}

impl Bench {
    fn in_memory() -> Self {
        let simulator = Simulator::new(Simulated::new(1), Arc::new(|| 1_000));
        Self::new("in memory", Arc::new(simulator.clone()), Behind::Memory(simulator))
    }

    fn over_tcp() -> Self {
        let fake = Fake::start(1, 1_000).expect("a port");
        let secret = Secret::new(SECRET_KEY).expect("a secret");
        let provider = PaymentIntents::patient_until(&fake.url(), &secret, fake.unanswered()).expect("an address");
        Self::new("over TCP", Arc::new(provider), Behind::Tcp(fake))
    }

    fn new(name: &'static str, provider: Arc<dyn Provider>, behind: Behind) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { name, provider, behind, runtime, number: 1, objects: BTreeMap::new() }
    }

    fn call(&self, operation: Operation, attempt: u16, amount: i64) -> Call {
        let currency = Currency::parse("EUR").expect("a code");
        Call {
            payment: PaymentId { order: OrderId([7; 16]), number: self.number },
            operation,
            attempt,
            money: Money { amount, currency },
            method: MethodToken::parse("pm_card_visa").expect("a token"),
            // Nobody knows it before the authorization is done.
            object: self.objects.get(&self.number).filter(|_| operation != Authorize).cloned(),
        }
    }

    /// One request, with what goes wrong with it; a call that is refused here and now is not one.
    fn ask(&mut self, call: &Call, fault: Option<Fault>) -> String {
        let is_sent = call.money.amount > 0 && (call.operation == Authorize || call.object.is_some());
        if is_sent {
            self.script(fault);
        }
        self.ask_plain(call)
    }

    fn ask_plain(&mut self, call: &Call) -> String {
        let result = self.wait(self.provider.call(call));
        if let Ok(Outcome::Done { object }) = &result {
            self.objects.insert(call.payment.number, object.clone());
        }
        said(result.map(Some))
    }

    fn look_up(&self, call: &Call, fault: Option<Fault>) -> String {
        self.script(fault);
        said(self.wait(self.provider.look_up(call)))
    }

    fn script(&self, fault: Option<Fault>) {
        match &self.behind {
            Behind::Memory(simulator) => simulator.simulated().script([fault]),
            Behind::Tcp(fake) => fake.script([fault]),
        }
    }

    fn ledger(&self) -> BTreeMap<PaymentId, Line> {
        match &self.behind {
            Behind::Memory(simulator) => simulator.simulated().ledger(),
            Behind::Tcp(fake) => fake.ledger(),
        }
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }
}

fn said(result: Result<Option<Outcome>, Trouble>) -> String {
    match result {
        Ok(Some(Outcome::Done { .. })) => "done".to_owned(),
        Ok(Some(Outcome::Declined { reason })) => format!("declined: {reason}"),
        Ok(Some(Outcome::Refused { .. })) => "refused".to_owned(),
        Ok(None) => "nothing".to_owned(),
        Err(Trouble::NotDone { after_ms: Some(after_ms), .. }) => format!("not done, after {after_ms}"),
        Err(Trouble::NotDone { .. }) => "not done".to_owned(),
        Err(Trouble::Unknown { .. }) => "unknown".to_owned(),
    }
}
