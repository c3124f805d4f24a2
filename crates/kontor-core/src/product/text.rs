//! The texts of a product: checked once, at the door.

use serde::{Deserialize, Serialize};

use crate::limits::{
    ATTRIBUTE_TEXT_BYTES_MAX, DESCRIPTION_BYTES_MAX, LANGUAGE_BYTES_MAX, MARKET_BYTES_MAX, NAME_BYTES_MAX,
    URL_BYTES_MAX,
};
use crate::text::{TextError, Title, name, printable, text_type};

text_type! {
    /// What shoppers filter by and choose from: a brand, a category, an option and its value, the name
    /// of an attribute.
    Name, "name", printable, NAME_BYTES_MAX
}
text_type! {
    /// What shoppers read when they want to know more. Lines may be broken.
    Description, "description", lines, DESCRIPTION_BYTES_MAX
}
text_type! {
    /// The value of an attribute, in words.
    AttributeText, "attribute", printable, ATTRIBUTE_TEXT_BYTES_MAX
}
text_type! {
    /// Where something is sold, and at which prices: a country, a chain, a trade fair. Case-sensitive.
    MarketId, "market", name, MARKET_BYTES_MAX
}
text_type! {
    /// Where a picture or a document lies: an `http` or `https` address.
    Url, "url", address, URL_BYTES_MAX
}

/// A language as BCP 47 writes it: `de`, `pt-BR`, `zh-Hant-TW`. Kept in the customary letters, so that
/// `DE` and `de` are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Language(Box<str>);

/// A picture, a film or a document about a product. Only its address is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where it lies.
    pub url: Url,
    /// What it shows, for those who cannot see it.
    pub alt: Option<Title>,
    /// What it is.
    pub kind: MediaKind,
}

/// What a medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MediaKind {
    /// A picture.
    #[default]
    Image,
    /// A film.
    Video,
    /// Something to read.
    Document,
}

/// What shoppers read in a language. One field: a title of one edit over the description of another
/// would be a text that nobody wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Translation {
    /// The title.
    pub title: Option<Title>,
    /// The description.
    pub description: Option<Description>,
}

impl MediaKind {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Document => "document",
        }
    }
}

impl Language {
    /// Checks the form (not the registry) and puts letters into their customary case: languages small,
    /// scripts with a capital, countries in capitals.
    pub fn parse(tag: &str) -> Result<Self, TextError> {
        let what = "language";
        name(tag, what, LANGUAGE_BYTES_MAX)?;
        let mut written = String::with_capacity(tag.len());
        for (place, part) in tag.split('-').enumerate() {
            let letters = part.bytes().all(|b| b.is_ascii_alphabetic());
            let fits = match place {
                0 => letters && (2..=8).contains(&part.len()),
                _ => (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()),
            };
            if !fits {
                return Err(TextError::Alphabet { what });
            }
            match (place, part.len()) {
                (0, _) => written.push_str(&part.to_ascii_lowercase()),
                (_, 2) if letters => written.extend(["-", &part.to_ascii_uppercase()]),
                (_, 4) if letters => {
                    let (first, rest) = part.split_at(1);
                    written.extend(["-", &first.to_ascii_uppercase(), &rest.to_ascii_lowercase()]);
                }
                _ => written.extend(["-", &part.to_ascii_lowercase()]),
            }
        }
        Ok(Self(written.into()))
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for Language {
    type Error = TextError;
    fn try_from(tag: Box<str>) -> Result<Self, TextError> {
        Self::parse(&tag)
    }
}

impl From<Language> for Box<str> {
    fn from(language: Language) -> Self {
        language.0
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Like [`printable`], in several lines.
fn lines(text: &str, what: &'static str, max: usize) -> Result<(), TextError> {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    match text {
        "" => Err(TextError::Empty { what }),
        _ if text.len() > max => Err(TextError::TooLong { what, bytes: text.len(), max }),
        _ if text.trim() != text || text.chars().any(is_odd) => Err(TextError::Unprintable { what }),
        _ => Ok(()),
    }
}

/// An address that a browser opens as a page of the web, and as nothing else.
fn address(text: &str, what: &'static str, max: usize) -> Result<(), TextError> {
    printable(text, what, max)?;
    let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    let rest = ["https://", "http://"].iter().find(|of| scheme(of)).map(|of| &text[of.len()..]);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'[') || !b.is_ascii();
    match rest {
        Some(rest) if rest.bytes().next().is_some_and(is_host) && !text.contains(char::is_whitespace) => Ok(()),
        _ => Err(TextError::Address { what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_written_one_way() {
        let table = [
            ("de", Some("de")),
            ("DE", Some("de")),
            ("pt-br", Some("pt-BR")),
            ("ZH-HANT-tw", Some("zh-Hant-TW")),
            ("de-1996", Some("de-1996")),
            ("x", None),
            ("d3", None),
            ("de-", None),
            ("de_DE", None),
            ("", None),
        ];
        for (given, written) in table {
            assert_eq!(Language::parse(given).ok().as_ref().map(Language::as_str), written, "{given}");
        }
    }

    #[test]
    fn media_lie_in_the_web() {
        for good in ["https://example.org/a.jpg", "http://example.org", "HTTPS://example.org/ä"] {
            assert!(Url::parse(good).is_ok(), "{good}");
        }
        for bad in ["javascript:alert(1)", "ftp://example.org", "https://", "https:///x", "https://a b", "//a", ""] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn descriptions_have_lines_and_no_other_controls() {
        assert!(Description::parse("One.\nTwo.\tThree.").is_ok());
        for bad in ["", " x", "x\n", "a\0b", "a\rb", "a\u{7f}b"] {
            assert!(Description::parse(bad).is_err(), "{bad:?}");
        }
    }
}
