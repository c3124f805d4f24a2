//! Every number at which talking to a payment provider ends, with its reason.

use std::time::Duration;

/// Digits of a card number: those of ISO/IEC 7812 that are in use.
pub const CARD_DIGITS_MIN: usize = 13;
/// What ISO/IEC 7812 allows.
pub const CARD_DIGITS_MAX: usize = 19;

/// How long a provider may take until a connection to it is there.
pub const PROVIDER_CONNECT: Duration = Duration::from_secs(2);

/// How long a provider may take for an answer, unless the settings say otherwise. Banks behind it take seconds;
/// what takes longer is asked for again.
pub const PROVIDER_ANSWER: Duration = Duration::from_secs(20);

/// How long a connection to a provider is kept without use. They close theirs after a minute or more, and what is
/// sent on a connection that is being closed has an unknown outcome.
pub const PROVIDER_IDLE: Duration = Duration::from_secs(20);

/// Bytes of a provider's answer. A payment has 5 KB, a page of 100 refunds 100 KB.
pub const PROVIDER_REPLY_BYTES_MAX: usize = 1 << 20;

/// Pages of refunds of one payment that are looked through for one of them, 100 refunds each.
pub const REFUND_PAGES_MAX: usize = 10;

/// How long a provider remembers a key: Stripe says at least 24 hours.
pub const KEY_LIFETIME_MS: u64 = 24 * 3_600_000;

/// By how much the time in a signature may differ from ours. Who has overheard a callback cannot send it later.
pub const SIGNATURE_TOLERANCE_S: u64 = 300;

/// Signatures in one header: one for each secret that is in use, and for each version of the scheme.
pub const SIGNATURES_MAX: usize = 16;
