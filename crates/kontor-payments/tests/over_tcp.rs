//! What only a network can do to a call, what a breaker makes of it, and callbacks as they are posted.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use kontor_core::id::{OrderId, PaymentId};
use kontor_core::limits::PAYMENT_OPEN_MS;
use kontor_core::money::{Currency, Money};
use kontor_core::payment::breaker::State;
use kontor_core::payment::call::{Call, MethodToken, Operation, Outcome, ProviderObject, Trouble};
use kontor_core::payment::retry::Try;
use kontor_payments::fake::{Fake, SECRET_KEY, WEBHOOK_SECRET};
use kontor_payments::guarded::Guarded;
use kontor_payments::limits::PROVIDER_REPLY_BYTES_MAX;
use kontor_payments::payment_intents::PaymentIntents;
use kontor_payments::provider::Provider;
use kontor_payments::secret::Secret;
use kontor_payments::simulated::{Fault, Rates, Simulated};
use kontor_payments::webhook::{self, Callback, NotSigned};

const NOW_MS: u64 = 1_700_000_000_000;

#[tokio::test]
async fn what_never_left_is_not_done_and_what_did_is_unknown() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let endless =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", 9 << 20, " ".repeat(2 * PROVIDER_REPLY_BYTES_MAX));
    let rows = [
        ("nobody listens", format!("http://{nobody}"), "not done"),
        ("the connection is closed", raw("".to_owned()), "unknown"),
        ("half a head", raw("HTTP/1.1 200 OK\r\nconte".to_owned()), "unknown"),
        ("half a body", raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"".to_owned()), "unknown"),
        ("no HTTP", raw("hello".to_owned()), "unknown"),
        ("no JSON", raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK".to_owned()), "unknown"),
        ("too much", raw(endless), "unknown"),
        ("somebody else", raw("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nnginx".to_owned()), "unknown"),
        (
            "elsewhere",
            raw("HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned()),
            "unknown",
        ),
        ("overloaded", raw("HTTP/1.1 503 x\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n".to_owned()), "unknown"),
        (
            "busy",
            raw("HTTP/1.1 429 x\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n".to_owned()),
            "not done, after 9000",
        ),
    ];
    for (name, url, expected) in rows {
        let provider = PaymentIntents::new(&url, &secret(SECRET_KEY)).expect("an address");
        let call = call(1, Operation::Authorize, 1, None);
        assert_eq!(said(provider.call(&call).await.map(Some)), expected, "{name}");
        let looked = said(provider.look_up(&call).await);
        assert_eq!(looked, expected, "{name}: looked up");
    }
}

#[tokio::test]
async fn an_answer_is_waited_for_no_longer_than_agreed() {
    let fake = Fake::start(1, NOW_MS).expect("a port");
    let patience = Duration::from_millis(50);
    let provider = PaymentIntents::with_patience(&fake.url(), &secret(SECRET_KEY), patience).expect("an address");
    fake.script([Some(Fault::TimeoutBefore)]);
    let result = provider.call(&call(1, Operation::Authorize, 1, None)).await;
    assert_eq!(result, Err(Trouble::Unknown { why: "no answer in time".to_owned() }));
}

#[tokio::test]
async fn a_wrong_secret_is_a_trouble_that_a_person_ends() {
    let fake = Fake::start(1, NOW_MS).expect("a port");
    let provider = PaymentIntents::new(&fake.url(), &secret("sk_wrong")).expect("an address");
    let call = call(1, Operation::Authorize, 1, None);
    assert_eq!(said(provider.call(&call).await.map(Some)), "not done");
    assert!(fake.ledger().is_empty());
}

/// Stripe keeps a failure under the key, and repeats it however often it is asked.
#[tokio::test]
async fn a_failure_that_is_repeated_is_looked_up() {
    for (fault, again, authorizations) in [(Fault::ErrorAfter, "done", 1), (Fault::ErrorBefore, "unknown", 0)] {
        let fake = Fake::start(1, NOW_MS).expect("a port");
        fake.repeat_errors();
        fake.script([Some(fault)]);
        let provider = PaymentIntents::new(&fake.url(), &secret(SECRET_KEY)).expect("an address");
        let call = call(1, Operation::Authorize, 1, None);
        assert_eq!(said(provider.call(&call).await.map(Some)), "unknown");
        assert_eq!(said(provider.call(&call).await.map(Some)), again, "{fault:?}");
        let done: u32 = fake.ledger().values().map(|line| line.authorizations).sum();
        assert_eq!(done, authorizations, "{fault:?}");
        assert_eq!(fake.requests().last().map(String::as_str), Some("GET /v1/payment_intents/search"));
    }
}

#[tokio::test]
async fn a_failing_provider_is_left_alone_and_a_declining_one_is_not() {
    let fake = Fake::start(1, NOW_MS).expect("a port");
    let now_ms = Arc::new(AtomicU64::new(0));
    let clock = now_ms.clone();
    let provider = PaymentIntents::new(&fake.url(), &secret(SECRET_KEY)).expect("an address");
    let guarded = Guarded::new(Arc::new(provider), Arc::new(move || clock.load(Ordering::SeqCst)));
    let (decline, error) = (Some(Fault::Decline), Some(Fault::ErrorBefore));

    fake.script([decline; 5].into_iter().chain([error, error]));
    for attempt in 1..=7 {
        let declined = said(guarded.call(&call(1, Operation::Authorize, attempt, None)).await.map(Some));
        assert_eq!(declined, if attempt <= 5 { "declined" } else { "unknown" });
    }
    assert_eq!((guarded.breaker().state, guarded.breaker().current_failures), (State::Closed, 2));
    fake.script([error]);
    let last = call(1, Operation::Authorize, 8, None);
    assert_eq!(said(guarded.call(&last).await.map(Some)), "unknown");
    assert_eq!(guarded.breaker().state, State::Open);

    // Nothing is sent, and that is certain; of what is looked up nothing is known.
    let sent = fake.requests().len();
    now_ms.store(1_000, Ordering::SeqCst);
    assert_eq!(said(guarded.call(&last).await.map(Some)), "not done, after 9000");
    assert_eq!(said(guarded.try_call(Try::LookUp, &last).await), "unknown");
    assert_eq!(fake.requests().len(), sent);

    now_ms.store(PAYMENT_OPEN_MS, Ordering::SeqCst);
    assert_eq!(said(guarded.try_call(Try::LookUp, &last).await), "nothing");
    assert_eq!(guarded.breaker().state, State::HalfOpen);
    assert_eq!(said(guarded.try_call(Try::Send, &last).await), "done");
    assert_eq!(guarded.breaker().state, State::Closed);
    let totals = guarded.breaker().totals;
    assert_eq!((totals.requests, totals.failures, totals.successes, totals.rejected), (12, 3, 7, 2));

    fake.script([error; 3]);
    for attempt in 9..=11 {
        assert_eq!(said(guarded.call(&call(1, Operation::Authorize, attempt, None)).await.map(Some)), "unknown");
    }
    guarded.reset();
    assert_eq!(said(guarded.call(&call(1, Operation::Authorize, 11, None)).await.map(Some)), "done");
}

/// As a worker does it, sixteen payments at a time: all is asked until it has ended, and nothing is done twice.
#[test]
fn many_payments_end_once_whatever_goes_wrong() {
    const PAYMENTS: u16 = 240;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let fake = Fake::start(11, NOW_MS).expect("a port");
    let mut rates = Rates::of_all(240);
    // Slow answers and time-outs are waited for here.
    rates.faults.iter_mut().for_each(|(fault, _)| {
        if let Fault::Slow { ms } = fault {
            *ms = 1;
        }
    });
    fake.set_rates(rates);
    let patience = Duration::from_millis(40);
    let provider = PaymentIntents::with_patience(&fake.url(), &secret(SECRET_KEY), patience).expect("an address");
    // Each look at the clock is half a second later, so an open breaker is asked again soon.
    let clock = AtomicU64::new(0);
    let now = Arc::new(move || clock.fetch_add(500, Ordering::SeqCst));
    let guarded = Arc::new(Guarded::new(Arc::new(provider), now));
    let tasks: Vec<_> = (0..16)
        .map(|lane| {
            let guarded = guarded.clone();
            runtime.spawn(async move {
                let mut ends = Vec::new();
                for number in (1..=PAYMENTS).filter(|number| number % 16 == lane) {
                    ends.push((number, pay(&guarded, number).await));
                }
                ends
            })
        })
        .collect();
    let ends: BTreeMap<u16, bool> =
        tasks.into_iter().flat_map(|task| runtime.block_on(task).expect("no task fails")).collect();
    assert_eq!(ends.len(), usize::from(PAYMENTS), "each ends");
    let ledger = fake.ledger();
    for (payment, line) in &ledger {
        let is_paid = ends[&payment.number];
        let (captured, refunded) = if is_paid { (100, 50) } else { (0, 0) };
        assert_eq!((line.captured, line.refunded, line.held()), (captured, refunded, 0), "{payment}");
        assert!(line.captures <= 1 && line.refunds <= 1 && line.authorizations <= 1, "{payment}: {line:?}");
    }
    let paid = ends.values().filter(|is_paid| **is_paid).count();
    let captured: i64 = ledger.values().map(|line| line.captured).sum();
    assert_eq!(captured, 100 * i64::try_from(paid).expect("few"));
    assert!(paid > usize::from(PAYMENTS) / 2, "{paid}");
    let totals = guarded.breaker().totals;
    assert!(totals.failures > 100 && totals.rejected > 0, "{totals:?}");
}

/// Authorizes, captures and gives half of it back; another attempt follows a decline. Answers whether it was paid.
async fn pay(guarded: &Guarded, number: u16) -> bool {
    let mut object = None;
    let mut attempt = 0;
    for (operation, amount) in [(Operation::Authorize, 100), (Operation::Capture, 100), (Operation::Refund, 50)] {
        let done = loop {
            attempt += 1;
            let next = call(number, operation, attempt, object.as_ref());
            let next = Call { money: Money { amount, ..next.money }, ..next };
            match until_it_has_ended(guarded, &next).await {
                Outcome::Done { object } => break object,
                // The payer's bank may think otherwise, but is not asked for ever.
                Outcome::Declined { .. } if operation != Operation::Authorize || attempt < 2 => {}
                Outcome::Declined { .. } => return false,
                Outcome::Refused { reason } => panic!("{next:?}: {reason}"),
            }
        };
        object = Some(done);
    }
    true
}

async fn until_it_has_ended(guarded: &Guarded, call: &Call) -> Outcome {
    for _ in 0..1_000 {
        match guarded.call(call).await {
            Ok(outcome) => return outcome,
            Err(_) => tokio::task::yield_now().await,
        }
    }
    panic!("{call:?} does not end");
}

/// The same payments at both providers: what is posted reads as what is told in memory.
#[test]
fn callbacks_come_signed_and_say_what_happened() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let fake = Fake::start(1, NOW_MS).expect("a port");
    let provider = PaymentIntents::new(&fake.url(), &secret(SECRET_KEY)).expect("an address");
    let mut simulated = Simulated::new(1);
    let mut objects: BTreeMap<u16, ProviderObject> = BTreeMap::new();
    let steps = [
        (1, Operation::Authorize, 1, Some(Fault::Decline)),
        (1, Operation::Authorize, 2, None),
        (2, Operation::Authorize, 1, None),
        (1, Operation::Capture, 3, Some(Fault::ErrorAfter)),
        (2, Operation::Void, 2, None),
        (1, Operation::Refund, 4, None),
        (1, Operation::Capture, 3, None),
    ];
    for (number, operation, attempt, fault) in steps {
        let call = call(number, operation, attempt, objects.get(&number));
        fake.script([fault]);
        simulated.script([fault]);
        let result = runtime.block_on(provider.call(&call));
        assert_eq!(said(result.clone().map(Some)), said(simulated.call(NOW_MS, &call).result.map(Some)));
        if let Ok(Outcome::Done { object }) = result {
            objects.insert(number, object);
        }
    }
    let (receiver, url) = Receiver::start([]);
    let deliveries = fake.deliver_blocking(&url);
    assert!(deliveries.iter().all(|delivery| delivery.status == Some(200)), "{deliveries:?}");
    let posted: Vec<Callback> = receiver.take(deliveries.len()).into_iter().map(|post| post.callback(NOW_MS)).collect();
    let told = simulated.callbacks(NOW_MS);
    assert_eq!(posted, told);
    let words: Vec<_> = told.iter().map(|told| (told.operation, told.attempt)).collect();
    assert_eq!(
        words,
        [
            (Operation::Authorize, Some(1)),
            (Operation::Authorize, Some(2)),
            (Operation::Authorize, Some(1)),
            (Operation::Capture, Some(3)),
            (Operation::Void, None),
            (Operation::Refund, Some(4)),
        ],
        "each effect is told once, however often it was asked for"
    );
}

#[test]
fn callbacks_come_twice_late_and_again_until_they_are_taken() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let fake = Fake::start(3, NOW_MS).expect("a port");
    fake.set_rates(Rates { again: 500, late: 500, late_ms: 10_000, ..Rates::default() });
    let provider = PaymentIntents::new(&fake.url(), &secret(SECRET_KEY)).expect("an address");
    for number in 1..=20 {
        let result = runtime.block_on(provider.call(&call(number, Operation::Authorize, 1, None)));
        assert_eq!(said(result.map(Some)), "done");
    }
    // The first two are not taken.
    let (receiver, url) = Receiver::start([500, 302]);
    let mut came = Vec::new();
    for later_ms in [0, 10_000, 20_000] {
        fake.set_now_ms(NOW_MS + later_ms);
        let deliveries = fake.deliver_blocking(&url);
        let posts = receiver.take(deliveries.len());
        came.extend(posts.into_iter().map(|post| post.callback(NOW_MS + later_ms)));
    }
    assert!(fake.deliver_blocking(&url).is_empty(), "all are taken");
    let mut events: BTreeMap<_, usize> = BTreeMap::new();
    came.iter().for_each(|callback| *events.entry(callback.event.clone()).or_default() += 1);
    assert_eq!(events.len(), 20, "each comes");
    let again = events.values().filter(|times| **times > 1).count();
    assert!((5..=16).contains(&again), "{again} of 20 come more than once");
    let numbers: Vec<u16> = came.iter().map(|callback| callback.payment.number).collect();
    assert!(!numbers.is_sorted(), "some come after later ones: {numbers:?}");
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("a secret")
}

fn call(number: u16, operation: Operation, attempt: u16, object: Option<&ProviderObject>) -> Call {
    let currency = Currency::parse("EUR").expect("a code");
    Call {
        payment: PaymentId { order: OrderId([7; 16]), number },
        operation,
        attempt,
        money: Money { amount: 100, currency },
        method: MethodToken::parse("pm_card_visa").expect("a token"),
        object: object.filter(|_| operation != Operation::Authorize).cloned(),
    }
}

fn said(result: Result<Option<Outcome>, Trouble>) -> String {
    match result {
        Ok(Some(Outcome::Done { .. })) => "done".to_owned(),
        Ok(Some(Outcome::Declined { .. })) => "declined".to_owned(),
        Ok(Some(Outcome::Refused { .. })) => "refused".to_owned(),
        Ok(None) => "nothing".to_owned(),
        Err(Trouble::NotDone { after_ms: Some(after_ms), .. }) => format!("not done, after {after_ms}"),
        Err(Trouble::NotDone { .. }) => "not done".to_owned(),
        Err(Trouble::Unknown { .. }) => "unknown".to_owned(),
    }
}

/// Whoever reads a request, answers this, and closes the connection.
fn raw(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            if Post::read(&stream).is_some() {
                // The other side may have had enough.
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    url
}

/// Takes what is posted.
struct Receiver {
    posts: mpsc::Receiver<Post>,
}

struct Post {
    signature: String,
    body: Vec<u8>,
}

impl Receiver {
    /// Answers these first, then 200.
    fn start(first: impl IntoIterator<Item = u16>) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/callbacks", listener.local_addr().expect("an address"));
        let mut first: Vec<u16> = first.into_iter().collect();
        first.reverse();
        let (sender, posts) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                while let Some(post) = Post::read(&stream) {
                    let status = first.pop().unwrap_or(200);
                    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                    if sender.send(post).is_err() || stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        (Self { posts }, url)
    }

    fn take(&self, count: usize) -> Vec<Post> {
        (0..count).map(|_| self.posts.recv().expect("it was delivered")).collect()
    }
}

impl Post {
    /// One request; `None` at the end of the connection.
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let (mut length, mut signature) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().expect("a length"),
                Some(("stripe-signature", value)) => value.clone_into(&mut signature),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { signature, body })
    }

    fn callback(&self, now_ms: u64) -> Callback {
        let now_s = now_ms / 1_000;
        let secrets = [secret(WEBHOOK_SECRET)];
        webhook::verify(&secrets, &self.signature, &self.body, now_s).expect("signed");
        let late = webhook::verify(&secrets, &self.signature, &self.body, now_s + 301);
        assert_eq!(late, Err(NotSigned::Time));
        webhook::read(&self.body).expect("readable").expect("of a call of ours")
    }
}
