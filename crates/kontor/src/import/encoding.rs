//! Encodings: UTF-8, and the one byte per letter that older tills and spreadsheets write.

/// How bytes are letters.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    /// UTF-8, with or without a byte order mark
    #[default]
    Utf8,
    /// One byte per letter, as Windows-1252 has it
    Latin1,
}

/// A byte that is no letter: where it stands, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadByte {
    pub(crate) at: usize,
    pub(crate) byte: u8,
}

/// What Windows-1252 has where ISO 8859-1 has control characters, from 0x80 on. What calls itself
/// Latin-1 is nearly always this; browsers read it so too. Five places are empty.
const WINDOWS_1252: [Option<char>; 32] = [
    Some('€'),
    None,
    Some('‚'),
    Some('ƒ'),
    Some('„'),
    Some('…'),
    Some('†'),
    Some('‡'),
    Some('ˆ'),
    Some('‰'),
    Some('Š'),
    Some('‹'),
    Some('Œ'),
    None,
    Some('Ž'),
    None,
    None,
    Some('‘'),
    Some('’'),
    Some('“'),
    Some('”'),
    Some('•'),
    Some('–'),
    Some('—'),
    Some('˜'),
    Some('™'),
    Some('š'),
    Some('›'),
    Some('œ'),
    None,
    Some('ž'),
    Some('Ÿ'),
];

impl Encoding {
    /// Adds the letters of these bytes to a text.
    pub(crate) fn decode(self, bytes: &[u8], into: &mut String) -> Result<(), BadByte> {
        match self {
            Self::Utf8 => match str::from_utf8(bytes) {
                Ok(text) => into.push_str(text),
                Err(error) => {
                    let at = error.valid_up_to();
                    return Err(BadByte { at, byte: bytes.get(at).copied().unwrap_or_default() });
                }
            },
            Self::Latin1 => {
                for (at, &byte) in bytes.iter().enumerate() {
                    let letter = match byte {
                        0x80..=0x9F => WINDOWS_1252[usize::from(byte - 0x80)],
                        _ => Some(char::from(byte)),
                    };
                    into.push(letter.ok_or(BadByte { at, byte })?);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_in_the_encoding_that_is_named() {
        let table: [(Encoding, &[u8], Result<&str, BadByte>); 6] = [
            (Encoding::Utf8, "Crème brûlée".as_bytes(), Ok("Crème brûlée")),
            (Encoding::Utf8, b"Cr\xE8me", Err(BadByte { at: 2, byte: 0xE8 })),
            (Encoding::Utf8, b"cut \xC3", Err(BadByte { at: 4, byte: 0xC3 })),
            (Encoding::Latin1, b"Cr\xE8me \xA35 \x80", Ok("Crème £5 €")),
            (Encoding::Latin1, b"\x93quoted\x94", Ok("“quoted”")),
            (Encoding::Latin1, b"ab\x81", Err(BadByte { at: 2, byte: 0x81 })),
        ];
        for (encoding, bytes, expected) in table {
            let mut text = String::new();
            let result = encoding.decode(bytes, &mut text).map(|()| text.as_str());
            assert_eq!(result, expected, "{bytes:?}");
        }
    }
}
