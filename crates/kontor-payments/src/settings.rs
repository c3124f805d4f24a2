//! Which provider is asked, and how: the table `[payments]` of the settings.
//!
//! Secrets are not in it: they come from the environment alone, so that no file and no `config print` holds them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::PROVIDER_ANSWER;
use crate::payment_intents::PaymentIntents;
use crate::provider::{Now, Provider};
use crate::secret::Secret;
use crate::simulated::{Simulated, Simulator};

/// Where payments are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which kind of provider.
    pub provider: Kind,
    /// Where the one over HTTP is.
    pub address: String,
    /// How long an answer is waited for, in milliseconds.
    pub timeout_ms: u64,
    /// What goes wrong by chance in the simulated one follows from it.
    pub seed: u64,
}

/// Kinds of providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In memory: no money moves.
    Simulated,
    /// Over HTTP, in the shape of Stripe's PaymentIntents.
    Http,
}

/// What is shared with the provider over HTTP.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// By which it knows us: `KONTOR_PAYMENT_SECRET_KEY`.
    pub key: Option<Secret>,
    /// By which we know its callbacks: `KONTOR_PAYMENT_WEBHOOK_SECRET`. Two while one is replaced.
    pub webhooks: Vec<Secret>,
}

/// A provider as the settings want it.
pub enum Chosen {
    /// In memory. It can be told to go wrong.
    Simulated(Simulator),
    /// Over HTTP.
    Http(PaymentIntents),
}

/// Why settings are not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not the address of a host.
    #[error("{address} is not an address such as https://api.stripe.com")]
    Address {
        /// What was given.
        address: String,
    },
    /// The secret would go over the network for everybody to read.
    #[error("{address} is not on this machine and has no https: the secret key would be sent in the clear")]
    InTheClear {
        /// What was given.
        address: String,
    },
    /// This build speaks plain HTTP only.
    #[error("this build has no TLS: build it with --features tls")]
    NoTls,
    /// There is nobody to trust.
    #[error("the certificates of this machine cannot be read")]
    NoRoots(#[source] std::io::Error),
    /// There is no key, or it cannot stand in a header.
    #[error("a provider over HTTP wants KONTOR_PAYMENT_SECRET_KEY, in printable characters")]
    Secret,
    /// Callbacks could not be told from those of strangers.
    #[error("a provider over HTTP wants KONTOR_PAYMENT_WEBHOOK_SECRET")]
    WebhookSecret,
    /// Nobody answers at once, and nobody waits for ever.
    #[error("payments.timeout_ms is between 100 and 120000")]
    Timeout,
}

impl Default for Settings {
    fn default() -> Self {
        let timeout_ms = u64::try_from(PROVIDER_ANSWER.as_millis()).unwrap_or(u64::MAX);
        Self { provider: Kind::Simulated, address: "https://api.stripe.com".to_owned(), timeout_ms, seed: 0 }
    }
}

impl Settings {
    /// The provider that is asked for. The clock is the site's.
    pub fn choose(&self, secrets: &Secrets, now: Now) -> Result<Chosen, SettingsError> {
        if !(100..=120_000).contains(&self.timeout_ms) {
            return Err(SettingsError::Timeout);
        }
        match self.provider {
            Kind::Simulated => Ok(Chosen::Simulated(Simulator::new(Simulated::new(self.seed).adopting(), now))),
            Kind::Http => {
                let key = secrets.key.as_ref().ok_or(SettingsError::Secret)?;
                if secrets.webhooks.is_empty() {
                    return Err(SettingsError::WebhookSecret);
                }
                let patience = Duration::from_millis(self.timeout_ms);
                Ok(Chosen::Http(PaymentIntents::with_patience(&self.address, key, patience)?))
            }
        }
    }
}

impl Chosen {
    /// As all providers.
    pub fn into_provider(self) -> Arc<dyn Provider> {
        match self {
            Self::Simulated(simulator) => Arc::new(simulator),
            Self::Http(provider) => Arc::new(provider),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_is_missing() {
        let secret = || Secret::new("sk_test_123");
        let all = Secrets { key: secret(), webhooks: secret().into_iter().collect() };
        let http =
            |address: &str| Settings { provider: Kind::Http, address: address.to_owned(), ..Settings::default() };
        let here = http("http://127.0.0.1:1");
        let rows = [
            (Settings::default(), Secrets::default(), None),
            (Settings { timeout_ms: 0, ..Settings::default() }, Secrets::default(), Some("timeout_ms")),
            (here.clone(), all.clone(), None),
            (here.clone(), Secrets { key: None, ..all.clone() }, Some("KONTOR_PAYMENT_SECRET_KEY")),
            (here, Secrets { webhooks: Vec::new(), ..all.clone() }, Some("KONTOR_PAYMENT_WEBHOOK_SECRET")),
            (http("http://example.com"), all.clone(), Some("in the clear")),
            (http("nowhere"), all.clone(), Some("is not an address")),
        ];
        for (settings, secrets, expected) in rows {
            let chosen = settings.choose(&secrets, Arc::new(|| 0));
            let error = chosen.err().map(|error| error.to_string());
            assert_eq!(error.is_some(), expected.is_some(), "{settings:?} {error:?}");
            assert!(error.unwrap_or_default().contains(expected.unwrap_or_default()), "{settings:?}");
        }
        assert!(!format!("{all:?}").contains("sk_test"), "a secret is not shown");
        assert!(Secret::new("").is_none() && Secret::new("two words").is_none());
        let text = r#"{"provider":"http","address":"http://127.0.0.1:1"}"#;
        assert_eq!(serde_json::from_str::<Settings>(text).expect("readable"), http("http://127.0.0.1:1"));
        assert!(serde_json::from_str::<Settings>(r#"{"secret_key":"x"}"#).is_err(), "no file holds a secret");
    }
}
