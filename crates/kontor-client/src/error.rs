//! What can go wrong between a program and a site.

use http::StatusCode;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the site cannot be used.
    #[error("{url:?} is not an http:// address")]
    Address {
        /// What was given.
        url: String,
    },
    /// A header or a path cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] http::Error),
    /// Nobody answers there.
    #[error("no answer from {url}; is the site running? (kontor serve)")]
    Unreachable {
        /// The address.
        url: String,
        /// What the network said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer broke off. The request may have taken effect; ask again with the same key.
    #[error("the answer broke off")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The site says no.
    #[error("{status}: {detail} ({code})")]
    Problem {
        /// The status.
        status: StatusCode,
        /// The stable code.
        code: String,
        /// The sentence for people.
        detail: String,
    },
    /// The answer is not what this client understands.
    #[error("the answer is not understood")]
    Answer(#[from] serde_json::Error),
}
