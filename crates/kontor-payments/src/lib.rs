//! Payment providers, as seen from here: what is asked of them, how they answer, what they tell by themselves.
//!
//! A [`Call`](kontor_core::payment::call::Call) comes in and its outcome, or a trouble, goes out. Nothing here
//! knows rows, orders or routes, and nothing here decides what to ask next: whoever asks has a journal and does.
//!
//! ```text
//! Guarded ─► Provider ─┬─ Simulator       a bank in memory, with faults by script, by card and by rate
//! breaker,             └─ PaymentIntents  a provider over HTTP, in the shape of Stripe's
//! metrics     webhook: what providers tell by themselves
//! ```
//!
//! A card number lives in a [`CardNumber`](card::CardNumber) and nowhere else, until it has become a token.

pub mod card;
#[cfg(feature = "fake")]
pub mod fake;
pub mod guarded;
pub mod limits;
pub mod payment_intents;
pub mod provider;
pub mod secret;
pub mod settings;
pub mod simulated;
pub mod webhook;
mod words;
