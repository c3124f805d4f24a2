//! What every payment provider can be asked.

use std::pin::Pin;
use std::sync::Arc;

use kontor_core::payment::call::{Call, MethodToken, Outcome, Trouble};
use kontor_core::text::Reason;

use crate::card::Card;

/// Milliseconds of a clock that is given. Whoever runs the site has one.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a provider will have answered.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A payment provider.
pub trait Provider: Send + Sync {
    /// Asks for a call to be done. Asked again with the same values within the lifetime of keys, it is done once
    /// and answered as the first time.
    fn call<'a>(&'a self, call: &'a Call) -> Answer<'a, Result<Outcome, Trouble>>;

    /// Asks what became of a call, without asking for it to be done. `None`: it has not been done and, unless it is
    /// still on its way, never will be.
    fn look_up<'a>(&'a self, call: &'a Call) -> Answer<'a, Result<Option<Outcome>, Trouble>>;

    /// Exchanges a card for what stands for it.
    fn tokenize(&self, card: Card) -> Answer<'_, Result<MethodToken, NoToken>>;

    /// How long the provider remembers a call's key, at least.
    fn key_lifetime_ms(&self) -> u64;
}

/// Why a card was not exchanged for a token. No money is concerned either way, so it may be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// The provider does not take the card.
    #[error("the card was refused: {reason}")]
    Refused {
        /// The provider's words for it.
        reason: Reason,
    },
    /// The provider could not be asked, or its answer did not come.
    #[error("the card could not be exchanged: {0}")]
    Trouble(#[source] Trouble),
}
