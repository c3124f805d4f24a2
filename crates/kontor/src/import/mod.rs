//! Reading files of products and stock: CSV and lines of JSON, compressed or not.
//!
//! Files are read as a stream: memory does not grow with the file or with its longest line. What is
//! wrong with one row refuses that row with a code and a line; what makes the rest unreadable stops the
//! import there. Nothing here speaks to a site.

pub(crate) mod cells;
pub(crate) mod encoding;
pub(crate) mod feed;
pub(crate) mod field;
pub(crate) mod mapping;
pub(crate) mod report;
pub(crate) mod rows;
mod seen;
pub(crate) mod source;

use std::fmt;

/// Declares the codes: each with what it means, with its row in `docs/import.md`.
macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident $text:literal;)*) => {
        /// Why a row was refused or reading stopped. The texts are stable: scripts decide by them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Code { $($(#[$doc])+ $name,)* }

        impl Code {
            /// Every code, for the documents.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it is printed.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    // Of one row.
    /// The row has more than a MiB.
    RowTooLong "row_too_long";
    /// Something stands between a closing quote and the delimiter.
    QuoteMisplaced "quote_misplaced";
    /// The row has a NUL byte.
    NulByte "nul_byte";
    /// A byte is not of the encoding.
    Encoding "encoding";
    /// The row has more or fewer cells than the header.
    ColumnCount "column_count";
    /// The line is not an object of JSON.
    NotJson "not_json";
    /// The row has no SKU.
    SkuMissing "sku_missing";
    /// The row has no location, and none was given for all.
    LocationMissing "location_missing";
    /// The price is not a decimal number, is negative, or has more decimals than its currency.
    PriceInvalid "price_invalid";
    /// The row has a price and no currency.
    CurrencyMissing "currency_missing";
    /// A number is expected.
    NumberInvalid "number_invalid";
    /// The cell is not what its field takes.
    ValueInvalid "value_invalid";
    /// The row is more than a site takes in one request.
    RowTooLarge "row_too_large";
    // Of the file: nothing behind is read.
    /// The file cannot be opened or read.
    Unreadable "unreadable";
    /// The compressed file ends in the middle.
    GzipTruncated "gzip_truncated";
    /// The compressed file is damaged.
    GzipDamaged "gzip_damaged";
    /// The file is an archive, a spreadsheet or UTF-16, no text that can be read here.
    NotText "not_text";
    /// The file has no header.
    HeaderMissing "header_missing";
    /// The header has one column: the delimiter is another one.
    DelimiterUnknown "delimiter_unknown";
    /// The header has more columns than are read.
    ColumnsTooMany "columns_too_many";
    /// A column that is used is named twice.
    ColumnTwice "column_twice";
    /// A column that is asked for is not in the header.
    ColumnUnknown "column_unknown";
    /// A quote opens and nothing closes it up to the end of the file.
    QuoteNotClosed "quote_not_closed";
}

/// Why one row was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) code: Code,
    pub(crate) detail: String,
    /// The SKU or the id of the row, as far as it was read.
    pub(crate) name: String,
}

impl Reject {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), name: String::new() }
    }
}

/// Why nothing more is read. What was read before counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The line that reading had come to; 0 if it never began.
    pub(crate) line: u64,
    pub(crate) code: Code,
    pub(crate) detail: String,
}

impl Stop {
    pub(crate) fn new(line: u64, code: Code, detail: impl Into<String>) -> Self {
        Self { line, code, detail: detail.into() }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{} ({})", self.detail, self.code.as_str())
    }
}

impl std::error::Error for Stop {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/import.md");
        let page = std::fs::read_to_string(page).expect("docs/import.md");
        for code in Code::ALL {
            let rows = page.lines().filter(|line| line.starts_with('|'));
            let is_told =
                |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{}`", code.as_str())));
            assert_eq!(rows.filter(is_told).count(), 1, "docs/import.md lacks the row of {}", code.as_str());
        }
    }
}
