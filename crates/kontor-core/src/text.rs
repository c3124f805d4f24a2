//! Text that was checked once, at the door: the rules that ids, titles and labels share.

use std::fmt;

/// Why a text was not taken. `what` is the trade's word for it ("sku", "title").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing was given.
    #[error("{what} is empty")]
    Empty {
        /// The trade's word for the text.
        what: &'static str,
    },
    /// More bytes than the limit.
    #[error("{what} has {bytes} bytes; at most {max} are allowed")]
    TooLong {
        /// The trade's word for the text.
        what: &'static str,
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A control character, or white space at an end.
    #[error("{what} may not contain control characters or begin or end with white space")]
    Unprintable {
        /// The trade's word for the text.
        what: &'static str,
    },
    /// A character outside the narrow alphabet of names.
    #[error("{what} may contain letters, digits, '.', '_', ':' and '-' only")]
    Alphabet {
        /// The trade's word for the text.
        what: &'static str,
    },
    /// `.` or `..`, which every client takes for a place in the path of an address.
    #[error("{what} may not be . or ..")]
    Dots {
        /// The trade's word for the text.
        what: &'static str,
    },
    /// Not an address of the web.
    #[error("{what} must be an http or https address")]
    Address {
        /// The trade's word for the text.
        what: &'static str,
    },
    /// Not a rule by which conflicts are decided.
    #[error("a merge rule is latest or authority:<site>")]
    Rule,
    /// A character outside the alphabet of host names.
    #[error("{what} may contain lower-case letters, digits and '-' only")]
    HostName {
        /// The trade's word for the text.
        what: &'static str,
    },
}

/// Printable text of 1 to `max` bytes without white space at its ends. NUL is a control character,
/// so such texts may end with it inside row keys.
pub(crate) fn printable(text: &str, what: &'static str, max: usize) -> Result<(), TextError> {
    match text {
        "" => Err(TextError::Empty { what }),
        _ if text.len() > max => Err(TextError::TooLong { what, bytes: text.len(), max }),
        _ if text.trim() != text || text.chars().any(char::is_control) => Err(TextError::Unprintable { what }),
        _ => Ok(()),
    }
}

/// Like [`printable`], and a part of the path of an address.
pub(crate) fn segment(text: &str, what: &'static str, max: usize) -> Result<(), TextError> {
    printable(text, what, max)?;
    if matches!(text, "." | "..") { Err(TextError::Dots { what }) } else { Ok(()) }
}

/// Like [`segment`], from the narrow alphabet that needs no escaping in URLs, files and logs.
pub(crate) fn name(text: &str, what: &'static str, max: usize) -> Result<(), TextError> {
    segment(text, what, max)?;
    let narrow = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    if text.bytes().all(narrow) { Ok(()) } else { Err(TextError::Alphabet { what }) }
}

/// Lower-case letters, digits and `-`: a name that is also one of a folder and of a host.
pub(crate) fn host_name(text: &str, what: &'static str, max: usize) -> Result<(), TextError> {
    printable(text, what, max)?;
    let narrow = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.bytes().all(narrow) { Ok(()) } else { Err(TextError::HostName { what }) }
}

/// Declares a text type: parsed once, then carried as a proof of its rule.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:path, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "Box<str>", into = "Box<str>")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks the text against the rule of this type.
            pub fn parse(text: impl Into<Box<str>>) -> Result<Self, $crate::text::TextError> {
                let text = text.into();
                $rule(&text, $what, $max)?;
                Ok(Self(text))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<Box<str>> for $name {
            type Error = $crate::text::TextError;
            fn try_from(text: Box<str>) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl From<$name> for Box<str> {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}
pub(crate) use text_type;

text_type! {
    /// What shoppers read: the title of a product or variant, the name of a location.
    Title, "title", printable, crate::limits::TITLE_BYTES_MAX
}
text_type! {
    /// The caller's own key of a document behind a movement: an invoice or delivery number.
    Reference, "reference", printable, crate::limits::LABEL_BYTES_MAX
}
text_type! {
    /// Why something was done, in the words of the person who did it.
    Reason, "reason", printable, crate::limits::LABEL_BYTES_MAX
}

impl Reason {
    /// The beginning of a text, as much of it as a reason holds; `None` if nothing of it can be shown.
    pub fn cut(text: &str) -> Option<Self> {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let fits = text.trim().char_indices().take_while(|(at, c)| at + c.len_utf8() <= crate::limits::LABEL_BYTES_MAX);
        let cut: String = fits.map(|(_, c)| c).collect();
        Self::parse(cut.trim_end()).ok()
    }
}

/// Writes bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> impl fmt::Display + '_ {
    struct Hex<'a>(&'a [u8]);
    impl fmt::Display for Hex<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
        }
    }
    Hex(bytes)
}
