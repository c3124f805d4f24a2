//! Page tokens: opaque, and bound to the list and the filters that they were given for.

use kontor_api::Code;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

const TAG: usize = 6;

/// The list that a token belongs to: its path, and its filters as they were given.
pub(crate) struct List<'l> {
    pub(crate) path: &'l str,
    pub(crate) filters: &'l [&'l str],
}

impl List<'_> {
    /// The token of what follows a place.
    pub(crate) fn token(&self, place: &str) -> String {
        let bytes = self.tag(place.as_bytes()).into_iter().chain(place.bytes());
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The place that a token names, if this list gave it.
    pub(crate) fn place(&self, token: &str) -> Result<String, Problem> {
        self.read(token).ok_or_else(|| {
            Problem::new(
                Code::InvalidPageToken,
                "page_token was not given by this list with these filters; begin with the first page",
            )
        })
    }

    /// The place that a page begins after, if a token names one.
    pub(crate) fn after<T>(
        &self,
        token: Option<&str>,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(token) = token else { return Ok(None) };
        let place = read(&self.place(token)?);
        place.map(Some).ok_or_else(|| Problem::invalid("page_token", "names no place of this list"))
    }

    fn read(&self, token: &str) -> Option<String> {
        let digits = token.as_bytes();
        if !digits.len().is_multiple_of(2) || digits.len() > 2_000 {
            return None;
        }
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
        let (tag, place) = bytes.split_at_checked(TAG)?;
        if tag != self.tag(place) {
            return None;
        }
        String::from_utf8(place.to_vec()).ok()
    }

    /// A check against mistakes, not against malice: whoever makes up a token only chooses where a
    /// list that they may read begins.
    fn tag(&self, place: &[u8]) -> [u8; TAG] {
        let mut hash = Sha256::new();
        for part in [self.path].iter().chain(self.filters).map(|part| part.as_bytes()).chain([place]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_own_list_only() {
        let shop = List { path: "/stock", filters: &["shop"] };
        let token = shop.token("Rio 20/30 ü");
        assert_eq!(shop.place(&token).unwrap(), "Rio 20/30 ü");
        for other in [List { path: "/stock", filters: &["depot"] }, List { path: "/products", filters: &["shop"] }] {
            assert_eq!(other.place(&token).unwrap_err().code(), Code::InvalidPageToken);
        }
        for bad in ["", "zz", "abc", "0", &token[2..], &"00".repeat(2_000), "é"] {
            assert!(shop.place(bad).is_err(), "{bad}");
        }
    }
}
