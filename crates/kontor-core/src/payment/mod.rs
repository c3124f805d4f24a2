//! Money of an order: what is asked of a payment provider, and what it says.
//!
//! A decision never talks to a provider. It journals what is to be asked, a worker asks under a key that the
//! journal determines, and what came of it is a command again.

pub mod breaker;
pub mod call;
pub mod record;
pub mod retry;
