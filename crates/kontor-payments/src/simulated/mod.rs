//! A provider in memory. It does what it is asked once for each key, goes wrong as it is told to, and keeps a
//! ledger to compare with.
//!
//! [`Simulated`] waits for nothing and reads no clock, so a made-up world can hold one. [`Simulator`] is the same as a
//! [`Provider`]. What it knows is gone with it, unless it is [adopting](Simulated::adopting).

mod bank;
mod fault;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kontor_core::id::PaymentId;
use kontor_core::payment::call::{Call, CallName, MethodToken, Operation, Outcome, ProviderEvent, Trouble};
use tokio::time::timeout;

use crate::card::{Card, CardNumber};
use crate::limits::KEY_LIFETIME_MS;
use crate::provider::{Answer, NoToken, Now, Provider};
use crate::webhook::Callback;
use crate::words;
#[cfg(feature = "fake")]
pub(crate) use bank::Intent;
pub use bank::Line;
pub(crate) use bank::{Ask, Deed, Said};
use fault::Faults;
pub use fault::{Fault, Rates};
use token::Behavior;
pub use token::test_cards;

/// A provider in memory, without a clock and without waiting.
#[derive(Debug)]
pub struct Simulated {
    bank: bank::Bank,
    faults: Faults,
    /// Calls whose card has gone wrong once, as it was to.
    tried: BTreeSet<CallName>,
    /// By when they are told, in the order in which they came up.
    callbacks: BTreeMap<(u64, u64), Callback>,
    told: u64,
}

/// What comes of a request, and how long it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// What the caller gets to know.
    pub result: Result<T, Trouble>,
    /// After this time. A caller who does not wait so long learns nothing.
    pub after_ms: u64,
}

/// What a request has met with.
pub(crate) struct Turn {
    pub(crate) fault: Option<Fault>,
    /// What the bank said, and whether for the first time; `None` if the request never came so far.
    pub(crate) said: Option<(Said, bool)>,
}

impl Simulated {
    /// An empty one. What goes wrong by chance follows from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            bank: bank::Bank::new(KEY_LIFETIME_MS),
            faults: Faults::new(seed),
            tried: BTreeSet::new(),
            callbacks: BTreeMap::new(),
            told: 0,
        }
    }

    /// What goes wrong with the next requests, one after another; `None` is a request that goes well.
    pub fn script(&mut self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.faults.script(faults);
    }

    /// How often what goes wrong from now on, once the script is at its end.
    pub fn set_rates(&mut self, rates: Rates) {
        self.faults.rates = rates;
    }

    /// How often what goes wrong now.
    pub fn rates(&self) -> &Rates {
        &self.faults.rates
    }

    /// How long keys are remembered from now on. Tests are older than a day in a moment.
    pub fn set_key_lifetime_ms(&mut self, key_lifetime_ms: u64) {
        self.bank.key_lifetime_ms = key_lifetime_ms;
    }

    /// Takes payments that it does not know for its own if their ids are, as a bank whose memory is lost does not
    /// lose what it has written on its receipts. Their amounts are in the ids; what was done to them is not.
    pub fn adopting(mut self) -> Self {
        self.bank.adopts = true;
        self
    }

    /// Asks for a call to be done.
    pub fn call(&mut self, now_ms: u64, call: &Call) -> Reply<Outcome> {
        let ask = match ask(call) {
            Ok(ask) => ask,
            Err(refused) => return Reply { result: Ok(refused), after_ms: 0 },
        };
        let turn = self.turn(now_ms, &ask);
        let unknown = |why: &str| Err(Trouble::Unknown { why: why.to_owned() });
        let said = turn.said.map(|(said, _)| said);
        let result = match turn.fault {
            Some(Fault::TimeoutBefore | Fault::TimeoutAfter) => unknown("no answer in time"),
            Some(Fault::ErrorBefore | Fault::ErrorAfter) => unknown("the provider answered 500"),
            Some(Fault::Reset) => unknown("the answer broke off"),
            Some(Fault::Busy { after_ms }) => busy(after_ms),
            Some(Fault::Decline | Fault::Slow { .. }) | None => {
                let outcome = said.and_then(Said::outcome);
                outcome.map_or_else(|| unknown("the key was used for something else"), Ok)
            }
        };
        let slow_ms = if let Some(Fault::Slow { ms }) = turn.fault { ms } else { 0 };
        Reply { result, after_ms: slow_ms + self.latency_ms() }
    }

    /// Asks what became of a call.
    pub fn look_up(&mut self, call: &Call) -> Reply<Option<Outcome>> {
        let (result, slow_ms) = match self.reading() {
            Some(Fault::Slow { ms }) => (Ok(self.find(call)), ms),
            Some(Fault::Busy { after_ms }) => (busy(after_ms), 0),
            Some(fault) => {
                let why = format!("the provider could not be asked: {fault:?}");
                (Err(Trouble::Unknown { why }), 0)
            }
            None => (Ok(self.find(call)), 0),
        };
        Reply { result, after_ms: slow_ms + self.latency_ms() }
    }

    /// What stands for a card here.
    pub fn tokenize(&mut self, number: &CardNumber) -> Result<MethodToken, NoToken> {
        if number.has_check_digit() {
            return Ok(token::token(number));
        }
        Err(NoToken::Refused { reason: words::reason(NO_CARD) })
    }

    /// What is told by now, in the order in which it comes.
    pub fn callbacks(&mut self, now_ms: u64) -> Vec<Callback> {
        let later = self.callbacks.split_off(&(now_ms.saturating_add(1), 0));
        std::mem::replace(&mut self.callbacks, later).into_values().collect()
    }

    /// When there is something to tell.
    pub fn next_callback_ms(&self) -> Option<u64> {
        self.callbacks.keys().next().map(|(due_ms, _)| *due_ms)
    }

    /// What has been done for each payment.
    pub fn ledger(&self) -> BTreeMap<PaymentId, Line> {
        self.bank.ledger()
    }

    /// One request, as far as it comes.
    pub(crate) fn turn(&mut self, now_ms: u64, ask: &Ask) -> Turn {
        let fault = self.fault(ask);
        if fault.is_some_and(|fault| !fault.has_effect()) {
            return Turn { fault, said: None };
        }
        let (said, is_first) = self.bank.serve(now_ms, ask, fault == Some(Fault::Decline));
        if is_first {
            self.tell(now_ms, ask.name, &said);
        }
        Turn { fault, said: Some((said, is_first)) }
    }

    /// What goes wrong with a request that only reads. There is nothing to decline, and nothing to take effect.
    pub(crate) fn reading(&mut self) -> Option<Fault> {
        self.faults.next().filter(|fault| *fault != Fault::Decline)
    }

    fn fault(&mut self, ask: &Ask) -> Option<Fault> {
        let Deed::Authorize { method, .. } = &ask.deed else { return self.faults.next() };
        let of_card = match token::behavior(method) {
            Some(Behavior::TimeoutBefore) => Some(Fault::TimeoutBefore),
            Some(Behavior::TimeoutAfter) => Some(Fault::TimeoutAfter),
            Some(Behavior::Error) => Some(Fault::ErrorBefore),
            Some(Behavior::Slow) => Some(Fault::Slow { ms: SLOW_CARD_MS }),
            Some(Behavior::Pays | Behavior::Declines | Behavior::InsufficientFunds) | None => None,
        };
        if of_card.is_some() && !self.faults.is_scripted() && self.tried.insert(ask.name) {
            return of_card;
        }
        self.faults.next()
    }

    pub(crate) fn latency_ms(&self) -> u64 {
        self.faults.rates.latency_ms
    }

    fn find(&self, call: &Call) -> Option<Outcome> {
        self.bank.find(call.name(), call.object.as_ref())
    }

    fn tell(&mut self, now_ms: u64, name: CallName, said: &Said) {
        let (object, outcome) = match said {
            Said::Done { object } => (object, Outcome::Done { object: object.clone() }),
            // Who declines to pay out says so in the answer alone.
            Said::Declined { object: Some(object), reason } if name.operation == Operation::Authorize => {
                (object, Outcome::Declined { reason: reason.clone() })
            }
            Said::Declined { .. } | Said::WasDone { .. } | Said::Refused { .. } | Said::KeyReused => return,
        };
        // No other one has this id, neither now nor after a start.
        let event = ProviderEvent::parse(format!("evt_{name}_{now_ms}")).expect("names of calls are short");
        let callback = Callback {
            event,
            object: object.clone(),
            payment: name.payment,
            operation: name.operation,
            // Providers take no words along with a void.
            attempt: (name.operation != Operation::Void).then_some(name.attempt),
            outcome,
        };
        for delay_ms in self.faults.delays_ms() {
            self.told += 1;
            self.callbacks.insert((now_ms + delay_ms, self.told), callback.clone());
        }
    }
}

#[cfg(feature = "fake")]
impl Simulated {
    pub(crate) fn intent(&self, object: &str) -> Option<&Intent> {
        self.bank.intent(object)
    }

    pub(crate) fn intents(&self) -> impl Iterator<Item = (&str, &Intent)> {
        self.bank.intents()
    }

    /// A callback was not taken: it is told again.
    pub(crate) fn tell_again(&mut self, due_ms: u64, callback: Callback) {
        self.told += 1;
        self.callbacks.insert((due_ms, self.told), callback);
    }
}

/// The provider in memory, as all others. Clones are the same one.
#[derive(Clone)]
pub struct Simulator {
    simulated: Arc<Mutex<Simulated>>,
    now: Now,
}

impl Simulator {
    /// Over what was made up, with a clock.
    pub fn new(simulated: Simulated, now: Now) -> Self {
        Self { simulated: Arc::new(Mutex::new(simulated)), now }
    }

    /// What is behind it, to script it and to look at its ledger.
    pub fn simulated(&self) -> MutexGuard<'_, Simulated> {
        // A panic of a caller leaves whole entries, each of them true.
        self.simulated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Simulator {
    fn call<'a>(&'a self, call: &'a Call) -> Answer<'a, Result<Outcome, Trouble>> {
        Box::pin(async move {
            let reply = self.simulated().call((self.now)(), call);
            after(reply).await
        })
    }

    fn look_up<'a>(&'a self, call: &'a Call) -> Answer<'a, Result<Option<Outcome>, Trouble>> {
        Box::pin(async move {
            let reply = self.simulated().look_up(call);
            after(reply).await
        })
    }

    fn tokenize(&self, card: Card) -> Answer<'_, Result<MethodToken, NoToken>> {
        Box::pin(async move { self.simulated().tokenize(&card.number) })
    }

    fn key_lifetime_ms(&self) -> u64 {
        self.simulated().bank.key_lifetime_ms
    }
}

async fn after<T>(reply: Reply<T>) -> Result<T, Trouble> {
    if reply.after_ms > 0 {
        // A slow provider is made up, so there is nothing else to wait for.
        let _ = timeout(Duration::from_millis(reply.after_ms), pending::<()>()).await;
    }
    reply.result
}

fn busy<T>(after_ms: u64) -> Result<T, Trouble> {
    Err(Trouble::NotDone { why: "the provider answered 429".to_owned(), after_ms: Some(after_ms) })
}

fn ask(call: &Call) -> Result<Ask, Outcome> {
    let object = || call.object.clone().ok_or_else(no_object);
    let deed = match call.operation {
        Operation::Authorize => Deed::Authorize { money: call.money, method: call.method.clone() },
        Operation::Capture => Deed::Capture { object: object()?, money: call.money },
        Operation::Void => Deed::Void { object: object()? },
        Operation::Refund => Deed::Refund { object: object()?, money: call.money },
    };
    Ok(Ask { name: call.name(), deed, print: format!("{call:?}") })
}

/// Nothing can be captured, voided or refunded that has not been authorized.
pub(crate) fn no_object() -> Outcome {
    Outcome::Refused { reason: words::reason("the payment has not been authorized") }
}

pub(crate) const NO_CARD: &str = "Your card number is incorrect. (incorrect_number)";
const SLOW_CARD_MS: u64 = 2_000;

#[cfg(test)]
mod tests;
