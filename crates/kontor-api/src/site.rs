//! Sites and the links between them.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// What an answer with groups of a journal is sent as: frames, each with its length before it in four bytes,
/// little-endian. The first is a [`JournalHead`] as JSON, the others are groups.
pub const JOURNAL_MEDIA_TYPE: &str = "application/vnd.kontor.journal";

/// Bytes of the longest answer with groups that a reader takes. A server ends one after 128 KiB and the group
/// that goes beyond; a group has at most 1 MiB.
pub const JOURNAL_BYTES_MAX: usize = 2 << 20;

/// A place in a journal: all up to this group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupPlace {
    /// The term; 0 is before the first.
    pub term: u32,
    /// The group.
    pub seq: u64,
}

/// How much of a journal somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// The term; 0 is before the first.
    pub term: u32,
    /// The last group.
    pub seq: u64,
    /// Its SHA-256, 64 hexadecimal digits.
    pub digest: String,
}

/// What a site says before it gives groups of its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// Whose journal it is.
    pub site: String,
    /// Where it ends now.
    pub end: GroupPlace,
    /// What this site holds of the asker's own journal, if it reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Held>,
    /// How far journals of others are kept here, of those that have changed since the asker was told last: it
    /// may read them from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptJournal>,
    /// The number of the newest change of these, for the next question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub news: Option<u64>,
}

/// How far a site keeps another one's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptJournal {
    /// Whose.
    pub site: String,
    /// Up to where.
    pub end: GroupPlace,
}

impl JournalHead {
    /// Of a journal that ends there, and no more than that.
    pub fn new(site: impl Into<String>, end: GroupPlace) -> Self {
        Self { site: site.into(), end, holds: None, kept: Vec::new(), news: None }
    }

    /// The bytes of an answer.
    pub fn encode<'g>(&self, groups: impl IntoIterator<Item = &'g [u8]>) -> serde_json::Result<Vec<u8>> {
        let head = serde_json::to_vec(self)?;
        let mut bytes = Vec::with_capacity(head.len() + 4);
        let mut frame = |part: &[u8]| {
            // Groups have at most a few MiB; a longer one would be refused by its reader.
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(part);
        };
        frame(&head);
        groups.into_iter().for_each(frame);
        Ok(bytes)
    }

    /// Reads an answer: what is said first, and where in the bytes each group stands.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<Range<usize>>), NoJournal> {
        let (mut frames, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let length = bytes[at..].first_chunk::<4>().ok_or(NoJournal::CutShort)?;
            let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| NoJournal::CutShort)?;
            let end = (at + 4).checked_add(length).filter(|end| *end <= bytes.len()).ok_or(NoJournal::CutShort)?;
            frames.push(at + 4..end);
            at = end;
        }
        let mut frames = frames.into_iter();
        let head = frames.next().ok_or(NoJournal::CutShort)?;
        let head = serde_json::from_slice(&bytes[head]).map_err(|error| NoJournal::Head(error.to_string()))?;
        Ok((head, frames.collect()))
    }
}

/// Bytes that are no answer with groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoJournal {
    /// They end in the middle.
    CutShort,
    /// What should be said first is not understood.
    Head(String),
}

impl fmt::Display for NoJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => f.write_str("an answer with groups is cut short"),
            Self::Head(why) => write!(f, "the head of an answer with groups is not understood: {why}"),
        }
    }
}

impl std::error::Error for NoJournal {}

/// How far a journal that was given is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalTaken {
    /// The journal is given on from here.
    pub holds: Held,
}

/// The name of a site that is to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollSite {
    /// As it will call itself.
    #[schema(example = "eu-west-1")]
    pub site: String,
}

/// What another site needs to read this one's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Enrolled {
    /// The site that is let in.
    pub site: String,
    /// Address, site and key in one: for `kontor serve --join`. It is shown once. Whoever has it reads this
    /// site's journal as that site.
    #[schema(example = "http://us-east-1:kon_…@10.0.0.1:8080")]
    pub code: String,
}

/// A journal that is to be read from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLink {
    /// The code that the other site has given.
    #[schema(example = "http://us-east-1:kon_…@10.0.0.1:8080")]
    pub code: String,
    /// Whether the other site is to read this one's journal too: it is given a code for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mutual: bool,
}

/// This site and those whose journals it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sites {
    /// This site.
    pub site: String,
    /// Where its journal ends.
    pub end: GroupPlace,
    /// Why it writes nothing, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub silent: Option<String>,
    /// The others, by name.
    pub items: Vec<PeerSite>,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Nothing has been answered since the start.
    Connecting,
    /// The last question was answered.
    Open,
    /// Several questions in a row were not answered. It is tried every few seconds.
    Cut,
    /// The journal is read no further until somebody has looked.
    Stopped,
    /// Its journal is read from another site, which has it; `through` says from which.
    Relayed,
    /// What was read of it is kept, and nobody is there to read more from.
    None,
}

impl LinkState {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Cut => "cut",
            Self::Stopped => "stopped",
            Self::Relayed => "relayed",
            Self::None => "none",
        }
    }
}

/// A site whose journal is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerSite {
    /// Its name; its address, while it has not said its name.
    pub site: String,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub url: Option<String>,
    /// How the link is.
    pub link: LinkState,
    /// The site from which its journal is read, if not from itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub through: Option<String>,
    /// How far its journal is read.
    pub read: GroupPlace,
    /// Where it ended by its last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub end: Option<GroupPlace>,
    /// Groups between the two.
    pub lag_groups: u64,
    /// For how long something may be missing here that was written there; 0 where nobody is asked.
    pub lag_ms: u64,
    /// How far it has read this site's journal, by what it last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub has_read: Option<GroupPlace>,
    /// When it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub answered_at: Option<Time>,
    /// Why the last question led to nothing, or why the journal is read no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// How a site is reached: `http://host:port`, with its name and a key before the host if they are known, as
/// in `http://us-east-1:kon_…@10.0.0.1:8080`.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerAddress {
    /// Without name and key.
    pub url: String,
    /// Its name.
    pub site: Option<String>,
    /// The key that it takes.
    pub key: Option<String>,
}

impl PeerAddress {
    /// All of it, with the key: for whoever is to have it.
    pub fn code(&self) -> String {
        let who = match (&self.site, &self.key) {
            (Some(site), Some(key)) => format!("{site}:{key}@"),
            (Some(site), None) => format!("{site}@"),
            (None, _) => String::new(),
        };
        self.url.replacen("http://", &format!("http://{who}"), 1)
    }
}

impl FromStr for PeerAddress {
    type Err = NoPeerAddress;
    fn from_str(text: &str) -> Result<Self, NoPeerAddress> {
        let rest = text.trim().trim_end_matches('/').strip_prefix("http://").ok_or(NoPeerAddress)?;
        let (who, host) = rest.rsplit_once('@').map_or((None, rest), |(who, host)| (Some(who), host));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
        if !plain(host) || who.is_some_and(|who| !plain(who)) {
            return Err(NoPeerAddress);
        }
        let (site, key) = match who.map(|who| who.split_once(':').unwrap_or((who, ""))) {
            Some((site, key)) => (Some(site.to_owned()), Some(key.to_owned()).filter(|key| !key.is_empty())),
            None => (None, None),
        };
        Ok(Self { url: format!("http://{host}"), site, key })
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerAddress").field("url", &self.url).field("site", &self.site).finish_non_exhaustive()
    }
}

/// A text that is no address of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPeerAddress;

impl fmt::Display for NoPeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a site's address is written as http://host:port, or with its name and key as http://site:key@host:port",
        )
    }
}

impl std::error::Error for NoPeerAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for (text, url, site, key) in [
            ("http://10.0.0.1:8080/", "http://10.0.0.1:8080", None, None),
            ("http://west@host", "http://host", Some("west"), None),
            ("http://west:kon_a_b@[::1]:80", "http://[::1]:80", Some("west"), Some("kon_a_b")),
        ] {
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!((&*address.url, address.site.as_deref(), address.key.as_deref()), (url, site, key));
            assert_eq!(address.code().parse::<PeerAddress>().unwrap(), address);
            assert!(!format!("{address:?}").contains("kon_"), "a key is not logged");
        }
        for text in ["", "10.0.0.1:8080", "https://host", "http://", "http://@host", "http://a b"] {
            assert!(text.parse::<PeerAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_with_groups_is_read_as_it_was_written_or_not_at_all() {
        let holds = Some(Held { term: 1, seq: 7, digest: "00".into() });
        let kept = vec![KeptJournal { site: "north".into(), end: GroupPlace { term: 2, seq: 3 } }];
        let head = JournalHead { holds, kept, ..JournalHead::new("west", GroupPlace { term: 1, seq: 9 }) };
        let bytes = head.encode([b"one".as_slice(), b"", b"three"]).unwrap();
        let (read, groups) = JournalHead::decode(&bytes).unwrap();
        let groups: Vec<&[u8]> = groups.into_iter().map(|group| &bytes[group]).collect();
        assert_eq!((read, groups), (head, vec![b"one".as_slice(), b"", b"three"]));
        assert_eq!(JournalHead::decode(b""), Err(NoJournal::CutShort));
        assert_eq!(JournalHead::decode(&bytes[..bytes.len() - 1]), Err(NoJournal::CutShort));
        assert_eq!(JournalHead::decode(&[255, 255, 255, 255, 0]), Err(NoJournal::CutShort));
        assert!(matches!(JournalHead::decode(&[1, 0, 0, 0, b'x']), Err(NoJournal::Head(_))));
    }
}
