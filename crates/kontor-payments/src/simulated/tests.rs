use kontor_core::id::OrderId;
use kontor_core::money::{Currency, Money};
use kontor_core::payment::call::ProviderObject;
use proptest::prelude::*;

use super::*;

fn call(number: u16, operation: Operation, attempt: u16, amount: i64, object: Option<&ProviderObject>) -> Call {
    let payment = PaymentId { order: OrderId([7; 16]), number };
    let currency = Currency::parse("EUR").expect("a code");
    let method = MethodToken::parse("pm_card_visa").expect("a token");
    Call { payment, operation, attempt, money: Money { amount, currency }, method, object: object.cloned() }
}

fn faults() -> impl Strategy<Value = Option<Fault>> {
    let kinds = Rates::of_all(800).faults.into_iter().map(|(fault, _)| fault);
    let kinds: Vec<_> = kinds.filter(|fault| *fault != Fault::Decline).map(Some).chain([None, None]).collect();
    proptest::sample::select(kinds)
}

proptest! {
    /// Whatever goes wrong: a call that is asked for until it has ended is done once, and what is told of it is so.
    #[test]
    fn a_call_that_is_asked_for_until_it_has_ended_is_done_once(script in proptest::collection::vec(faults(), 0..40)) {
        let mut simulated = Simulated::new(1);
        simulated.set_rates(Rates { again: 500, times: 3, late: 500, late_ms: 1_000, ..Rates::default() });
        simulated.script(script);
        let mut now_ms = 0;
        let mut ask = |simulated: &mut Simulated, call: &Call| {
            for _ in 0..100 {
                now_ms += 1;
                if let Ok(outcome) = simulated.call(now_ms, call).result {
                    return outcome;
                }
            }
            panic!("{call:?} has not ended")
        };
        let mut outcomes = BTreeMap::new();
        for number in 1..=3 {
            let mut object = None;
            let steps = [(Operation::Authorize, 100), (Operation::Capture, 80), (Operation::Refund, 30), (Operation::Refund, 20)];
            for (attempt, (operation, amount)) in (1..).zip(steps) {
                let call = call(number, operation, attempt, amount, object.as_ref());
                let outcome = ask(&mut simulated, &call);
                let Outcome::Done { object: of } = &outcome else { panic!("{outcome:?}") };
                object = Some(of.clone());
                prop_assert_eq!(simulated.find(&call), Some(outcome.clone()), "what is looked up is what was answered");
                outcomes.insert((call.operation, Some(attempt), call.payment), outcome);
            }
        }
        let line = Line {
            authorized: 100, captured: 80, voided: 20, refunded: 50,
            authorizations: 1, captures: 1, voids: 0, refunds: 2,
        };
        prop_assert_eq!(simulated.ledger().into_values().collect::<Vec<_>>(), vec![line; 3]);
        let told = simulated.callbacks(now_ms + 1_000);
        let mut events = BTreeMap::new();
        for callback in told {
            let key = (callback.operation, callback.attempt, callback.payment);
            prop_assert_eq!(&outcomes[&key], &callback.outcome);
            let before = events.insert(callback.event.clone(), callback.clone());
            prop_assert!(before.is_none_or(|before| before == callback), "the same event says the same");
        }
        prop_assert_eq!(events.len(), outcomes.len(), "each is told");
        prop_assert_eq!(simulated.next_callback_ms(), None);
    }
}

#[test]
fn the_bank_says_no_where_a_bank_does() {
    let mut simulated = Simulated::new(1);
    let done = |reply: Reply<Outcome>| match reply.result {
        Ok(Outcome::Done { object }) => object,
        other => panic!("{other:?}"),
    };
    let object = done(simulated.call(0, &call(1, Operation::Authorize, 1, 100, None)));
    let nowhere = ProviderObject::parse("pi_99").expect("an object");
    use Operation::{Authorize, Capture, Refund, Void};
    // operation, attempt, amount, object, the answer
    let rows = [
        (Authorize, 2, 0, None, "The amount must be greater than 0."),
        (Capture, 3, 100, None, "the payment has not been authorized"),
        (Capture, 4, 100, Some(&nowhere), "No such payment_intent: 'pi_99'"),
        (Capture, 5, 101, Some(&object), "The amount is greater than what was set aside."),
        (Refund, 6, 1, Some(&object), "The amount is greater than what was paid out and not given back."),
        (Capture, 7, 100, Some(&object), "done"),
        (Capture, 8, 100, Some(&object), "done"),
        (Void, 9, 100, Some(&object), "The payment's status does not allow this."),
        (Refund, 10, 60, Some(&object), "done"),
        (Refund, 11, 41, Some(&object), "The amount is greater than what was paid out and not given back."),
    ];
    for (operation, attempt, amount, object, expected) in rows {
        let said = match simulated.call(0, &call(1, operation, attempt, amount, object)).result {
            Ok(Outcome::Done { .. }) => "done".to_owned(),
            Ok(Outcome::Refused { reason } | Outcome::Declined { reason }) => reason.to_string(),
            Err(trouble) => panic!("{trouble}"),
        };
        assert_eq!(said, expected, "{operation} {attempt}");
    }
    let line = simulated.ledger().into_values().next().expect("a payment");
    assert_eq!((line.captures, line.captured, line.refunded, line.held()), (1, 100, 60, 0));
}

#[test]
fn a_key_is_for_one_call_and_is_forgotten() {
    let mut simulated = Simulated::new(1);
    let first = call(1, Operation::Authorize, 1, 100, None);
    let other = Call { money: Money { amount: 200, ..first.money }, ..first.clone() };
    let done = simulated.call(0, &first).result.expect("done");
    assert!(matches!(simulated.call(1, &other).result, Err(Trouble::Unknown { .. })), "somebody is mistaken");
    assert_eq!(simulated.call(KEY_LIFETIME_MS - 1, &first).result, Ok(done));
    assert_eq!(simulated.ledger()[&first.payment].authorizations, 1);
    simulated.call(KEY_LIFETIME_MS, &first).result.expect("done");
    assert_eq!(simulated.ledger()[&first.payment].authorizations, 2, "why old calls are only looked up");
}

#[test]
fn cards_go_wrong_once_for_each_call() {
    for (digits, first) in [
        ("4000000000006017", Err("no answer in time")),
        ("4000000000006025", Err("no answer in time")),
        ("4000000000000119", Err("the provider answered 500")),
        ("4000000000006033", Ok(2_000)),
    ] {
        let mut simulated = Simulated::new(1);
        let number = CardNumber::parse(digits).expect("a number");
        let method = simulated.tokenize(&number).expect("a token");
        let call = Call { method, ..call(1, Operation::Authorize, 1, 100, None) };
        let reply = simulated.call(0, &call);
        match (first, reply.result) {
            (Err(words), Err(Trouble::Unknown { why })) => assert_eq!(why, words),
            (Ok(after_ms), Ok(_)) => assert_eq!(reply.after_ms, after_ms),
            (_, other) => panic!("{digits}: {other:?}"),
        }
        let again = simulated.call(0, &call);
        assert!(again.result.is_ok() && again.after_ms == 0, "{digits}");
        assert_eq!(simulated.ledger()[&call.payment].authorizations, 1, "{digits}");
    }
    let wrong = CardNumber::parse("4242424242424241").expect("a number");
    assert!(matches!(Simulated::new(1).tokenize(&wrong), Err(NoToken::Refused { .. })));
}

#[test]
fn what_goes_wrong_follows_from_the_seed() {
    let run = |seed| {
        let mut simulated = Simulated::new(seed);
        simulated.set_rates(Rates::of_all(400));
        let replies: Vec<_> =
            (1..200).map(|number| simulated.call(0, &call(number, Operation::Authorize, 1, 100, None))).collect();
        (replies, simulated.callbacks(u64::MAX))
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
    let wrong = run(5).0.iter().filter(|reply| reply.result.is_err() || reply.after_ms > 0).count();
    assert!((40..120).contains(&wrong), "{wrong} of 199");
}

#[test]
fn a_bank_that_adopts_goes_on_with_what_its_receipts_say() {
    let authorize = call(1, Operation::Authorize, 1, 100, None);
    let Ok(Outcome::Done { object }) = Simulated::new(1).call(0, &authorize).result else { panic!() };
    use Operation::{Capture, Refund, Void};
    for (operation, amount, adopted, captured, voided, refunded) in [
        (Capture, 100, true, 100, 0, 0),
        (Capture, 101, false, 0, 0, 0),
        (Void, 100, true, 0, 100, 0),
        (Refund, 40, true, 100, 0, 40),
        (Refund, 101, false, 100, 0, 0),
    ] {
        let call = call(1, operation, 2, amount, Some(&object));
        let refuses = Simulated::new(1).call(0, &call).result;
        assert!(matches!(refuses, Ok(Outcome::Refused { .. })), "{operation}: one that does not adopt");
        let mut after_start = Simulated::new(1).adopting();
        let result = after_start.call(0, &call).result;
        assert_eq!(matches!(result, Ok(Outcome::Done { .. })), adopted, "{operation} {amount}: {result:?}");
        let line = after_start.ledger()[&call.payment];
        assert_eq!((line.captured, line.voided, line.refunded), (captured, voided, refunded), "{operation} {amount}");
    }
    let mut after_start = Simulated::new(1).adopting();
    for id in ["pi_1", "pi_x_100EUR", "pi_é", "", "pi_pay_x-capture-1_100EUR"] {
        let Ok(nowhere) = ProviderObject::parse(id) else { continue };
        let result = after_start.call(0, &call(2, Capture, 9, 100, Some(&nowhere))).result;
        assert!(matches!(result, Ok(Outcome::Refused { .. }) | Err(_)), "{id}");
    }
    assert!(after_start.ledger().is_empty());
}
