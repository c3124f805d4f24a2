//! Names of requests: the request id, the W3C trace context, and fresh UUIDs.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use kontor_core::id::RequestId;
use kontor_site::clock::wall_ms;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const TRACE: std::ops::Range<usize> = 3..35;
const SPAN: std::ops::Range<usize> = 36..52;

/// The names of one request. Without names from its caller, the request id is the trace id, and
/// both are one piece of memory.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    /// `00-<trace id>-<our span>-<flags>`
    traceparent: Bytes,
    given: Option<HeaderValue>,
}

impl Ids {
    /// Takes the caller's names where they are well-formed, and makes the others.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut line = *b"00-00000000000000000000000000000000-0000000000000000-01";
        match headers.get(TRACEPARENT).map(HeaderValue::as_bytes).filter(|given| is_traceparent(given)) {
            Some(given) => {
                line[TRACE].copy_from_slice(&given[TRACE]);
                line[53..55].copy_from_slice(&given[53..55]);
            }
            None => hex(&fresh_uuid(), &mut line[TRACE]),
        }
        hex(&random_bytes(), &mut line[SPAN]);
        let given = headers.get(REQUEST_ID).filter(|given| is_request_id(given)).cloned();
        Self { traceparent: Bytes::copy_from_slice(&line), given }
    }

    /// The trace id, 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &str {
        std::str::from_utf8(&self.traceparent[TRACE]).unwrap_or_default()
    }

    /// The request id.
    pub(crate) fn request_id(&self) -> &str {
        self.given.as_ref().and_then(|given| given.to_str().ok()).unwrap_or_else(|| self.trace_id())
    }

    /// The request id, as the journal keeps it.
    pub(crate) fn journaled(&self) -> RequestId {
        RequestId::parse(self.request_id())
            .unwrap_or_else(|_| RequestId::parse(self.trace_id()).expect("32 hexadecimal digits are a request id"))
    }

    /// Puts both names on an answer.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let text = |bytes: Bytes| HeaderValue::from_maybe_shared(bytes).expect("hexadecimal digits and hyphens");
        let request_id = self.given.unwrap_or_else(|| text(self.traceparent.slice(TRACE)));
        headers.insert(REQUEST_ID, request_id);
        headers.insert(TRACEPARENT, text(self.traceparent));
    }
}

/// Version 00, and neither id all zeros (W3C Trace Context, section 3.2).
fn is_traceparent(given: &[u8]) -> bool {
    let digits = |range: std::ops::Range<usize>| given[range].iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    given.len() == 55
        && given.starts_with(b"00-")
        && (given[35], given[52]) == (b'-', b'-')
        && digits(TRACE)
        && digits(SPAN)
        && digits(53..55)
        && given[TRACE].iter().any(|b| *b != b'0')
        && given[SPAN].iter().any(|b| *b != b'0')
}

fn is_request_id(given: &HeaderValue) -> bool {
    given.to_str().is_ok_and(|text| RequestId::parse(text).is_ok())
}

fn hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(into.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

thread_local! {
    /// Seeded by the operating system once per thread. Names must not repeat; nothing is protected by
    /// their being hard to guess.
    static NAMES: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::with_seed(secret_u64()));
}

fn random_bytes() -> [u8; 8] {
    NAMES.with_borrow_mut(|names| names.u64(1..)).to_be_bytes()
}

/// A fresh UUIDv7.
pub fn fresh_uuid() -> [u8; 16] {
    let random = NAMES.with_borrow_mut(|names| names.u128(..)).to_be_bytes();
    let random: [u8; 10] = random.first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(wall_ms(), &random).into_uuid().into_bytes()
}

/// 32 random bytes that nobody can guess: a key.
pub fn fresh_secret() -> [u8; 32] {
    secret()
}

/// Random bytes that nobody can guess.
pub(crate) fn secret<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}

fn secret_u64() -> u64 {
    u64::from_be_bytes(secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_names_are_taken_when_they_are_well_formed() {
        let mut headers = HeaderMap::new();
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        headers.insert(TRACEPARENT, HeaderValue::from_static(given));
        headers.insert(REQUEST_ID, HeaderValue::from_static("till 3, 12:01"));
        let ids = Ids::of(&headers);
        assert_eq!((ids.trace_id(), ids.request_id()), (&given[3..35], "till 3, 12:01"));
        let mut answer = HeaderMap::new();
        ids.write(&mut answer);
        let line = answer[TRACEPARENT].to_str().unwrap();
        assert_eq!((&line[..36], &line[52..]), (&given[..36], &given[52..]));
        assert_ne!(line[SPAN], given[SPAN], "the span is our own");

        for broken in ["00-00000000000000000000000000000000-00f067aa0ba902b7-00", "junk", "01-4bf9"] {
            headers.insert(TRACEPARENT, HeaderValue::from_static(broken));
            assert_ne!(Ids::of(&headers).trace_id(), &given[3..35]);
        }
    }

    #[test]
    fn fresh_names_differ() {
        let (one, two) = (Ids::of(&HeaderMap::new()), Ids::of(&HeaderMap::new()));
        assert_ne!(one.request_id(), two.request_id());
        assert_eq!(one.request_id(), one.trace_id());
        assert_eq!(one.journaled().as_str(), one.trace_id());
    }
}
