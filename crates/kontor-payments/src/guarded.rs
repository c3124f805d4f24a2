//! A provider behind a breaker, with every call counted and timed: what workers ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kontor_core::payment::breaker::{Breaker, Figures, Pass, Rejected, State, Thresholds};
use kontor_core::payment::call::{Call, MethodToken, Outcome, Trouble};
use kontor_core::payment::retry::Try;

use crate::card::Card;
use crate::provider::{NoToken, Now, Provider};

/// A provider behind a breaker.
pub struct Guarded {
    provider: Arc<dyn Provider>,
    // std mutex: nothing awaits while it is held.
    breaker: Mutex<Breaker>,
    now: Now,
}

impl Guarded {
    /// Behind a closed breaker with the usual thresholds.
    pub fn new(provider: Arc<dyn Provider>, now: Now) -> Self {
        Self { provider, breaker: Mutex::new(Breaker::new(Thresholds::PAYMENT)), now }
    }

    /// Asks for a call to be done. While the breaker is open, nothing is sent, and that is certain.
    pub async fn call(&self, call: &Call) -> Result<Outcome, Trouble> {
        let result = self.through(call.operation.word(), self.provider.call(call), outcome_word, Verdict::of).await;
        result.unwrap_or_else(|rejected| Err(trouble(rejected)))
    }

    /// Asks what became of a call. While the breaker is open, nobody is asked, and nothing is known.
    pub async fn look_up(&self, call: &Call) -> Result<Option<Outcome>, Trouble> {
        let word = |result: &Result<Option<Outcome>, Trouble>| match result {
            Ok(Some(outcome)) => done_word(outcome),
            Ok(None) => "nothing",
            Err(trouble) => trouble_word(trouble),
        };
        let result = self.through("look_up", self.provider.look_up(call), word, Verdict::of).await;
        result.unwrap_or_else(|rejected| Err(Trouble::Unknown { why: rejected.to_string() }))
    }

    /// Tries a call in the way that its age allows. `None`: it has not been done, and must not be sent again.
    pub async fn try_call(&self, how: Try, call: &Call) -> Result<Option<Outcome>, Trouble> {
        match how {
            Try::Send => self.call(call).await.map(Some),
            Try::LookUp => self.look_up(call).await,
        }
    }

    /// Exchanges a card for what stands for it.
    pub async fn tokenize(&self, card: Card) -> Result<MethodToken, NoToken> {
        let word = |result: &Result<MethodToken, NoToken>| match result {
            Ok(_) => "done",
            Err(NoToken::Refused { .. }) => "refused",
            Err(NoToken::Trouble(trouble)) => trouble_word(trouble),
        };
        let verdict = |result: &Result<MethodToken, NoToken>| match result {
            Err(NoToken::Trouble(_)) => Verdict::Failed,
            Ok(_) | Err(NoToken::Refused { .. }) => Verdict::Answered,
        };
        let result = self.through("tokenize", self.provider.tokenize(card), word, verdict).await;
        result.unwrap_or_else(|rejected| Err(NoToken::Trouble(trouble(rejected))))
    }

    /// See [`Provider::key_lifetime_ms`].
    pub fn key_lifetime_ms(&self) -> u64 {
        self.provider.key_lifetime_ms()
    }

    /// How the breaker is.
    pub fn breaker(&self) -> Figures {
        self.guard().figures()
    }

    /// For how long nothing will be sent, because the breaker is open.
    pub fn rest_ms(&self) -> u64 {
        self.guard().rest_ms((self.now)())
    }

    /// Closes the breaker, because somebody says so.
    pub fn reset(&self) {
        self.guard().reset();
        show(State::Closed);
    }

    async fn through<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = T>,
        word: impl Fn(&T) -> &'static str,
        verdict: impl Fn(&T) -> Verdict,
    ) -> Result<T, Rejected> {
        let count = |outcome: &'static str| {
            metrics::counter!("kontor_payment_calls_total", "operation" => operation, "outcome" => outcome)
                .increment(1);
        };
        let begun_ms = (self.now)();
        let pass = self.guard().ask(begun_ms).inspect_err(|_| count("rejected"))?;
        let result = answer.await;
        let ended_ms = (self.now)();
        #[expect(clippy::cast_precision_loss, reason = "a call takes seconds, not ages")]
        let seconds = ended_ms.saturating_sub(begun_ms) as f64 / 1_000.0;
        metrics::histogram!("kontor_payment_call_seconds", "operation" => operation).record(seconds);
        count(word(&result));
        self.note(&pass, verdict(&result), ended_ms);
        Ok(result)
    }

    fn note(&self, pass: &Pass, verdict: Verdict, now_ms: u64) {
        let mut breaker = self.guard();
        match verdict {
            Verdict::Answered => breaker.succeeded(pass),
            Verdict::Failed => breaker.failed(pass, now_ms),
        }
        show(breaker.state());
    }

    fn guard(&self) -> MutexGuard<'_, Breaker> {
        // A panic elsewhere leaves counts that are true.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer says of the provider's health.
enum Verdict {
    /// It answers, if with a no.
    Answered,
    Failed,
}

impl Verdict {
    fn of<T>(result: &Result<T, Trouble>) -> Self {
        if result.is_ok() { Self::Answered } else { Self::Failed }
    }
}

fn trouble(rejected: Rejected) -> Trouble {
    Trouble::NotDone { why: rejected.to_string(), after_ms: Some(rejected.after_ms) }
}

fn outcome_word(result: &Result<Outcome, Trouble>) -> &'static str {
    match result {
        Ok(outcome) => done_word(outcome),
        Err(trouble) => trouble_word(trouble),
    }
}

fn done_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Declined { .. } => "declined",
        Outcome::Refused { .. } => "refused",
    }
}

fn trouble_word(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::NotDone { .. } => "not_done",
        Trouble::Unknown { .. } => "unknown",
    }
}

fn show(state: State) {
    let open = if state == State::Closed { 0.0 } else { 1.0 };
    metrics::gauge!("kontor_payment_breaker_open").set(open);
}
