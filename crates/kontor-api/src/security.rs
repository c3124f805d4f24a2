//! What people see who keep watch.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// Why a key was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBecause {
    /// No key has this id, or it is no key at all.
    Unknown,
    /// A key has this id, and another secret: somebody guesses, or has an old copy.
    WrongSecret,
    /// `Authorization` was not `Bearer`.
    WrongScheme,
    /// It was no visible ASCII.
    Unreadable,
}

impl RefusedBecause {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::WrongSecret, Self::WrongScheme, Self::Unreadable];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::WrongScheme => "wrong_scheme",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A request whose key was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedKey {
    /// When, by the wall clock.
    pub at: Time,
    /// Why.
    pub reason: RefusedBecause,
    /// The public part of the key, its first 8 characters; not there if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "k3v9c2ab")]
    pub key_id: Option<String>,
    /// The address of the socket; of a proxy, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "203.0.113.7")]
    pub peer: Option<String>,
    /// What was asked for.
    #[schema(example = "GET")]
    pub method: String,
    /// Where, without parameters; the first 200 bytes.
    #[schema(example = "/api/v1/reservations")]
    pub path: String,
    /// Names the request in logs.
    pub trace_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_written_as_in_the_table() {
        for reason in RefusedBecause::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
