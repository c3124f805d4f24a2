//! Tables as text: rows of cells between delimiters, quoted where they must be (RFC 4180).
//!
//! Rows end with LF, CRLF or CR. A quote opens a cell only as its first character; inside, two quotes
//! are one. Anything else in a bare cell is itself.

use std::io::{self, BufRead};

use super::{Code, Reject};
use crate::limits::{COLUMNS_MAX, ROW_BYTES_MAX};

/// What separates cells, when nobody says.
pub(crate) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Reads rows. The cells of the last one lie in it, undecoded.
pub(crate) struct CellReader<R> {
    from: R,
    delimiter: u8,
    /// The line of the next byte.
    line: u64,
    /// The byte before was CR: an LF now ends no second line.
    after_cr: bool,
    /// The cells' bytes, one after the other.
    pub(crate) bytes: Vec<u8>,
    /// Where each cell ends in them.
    pub(crate) ends: Vec<usize>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A row that begins on this line.
    Row { line: u64 },
    /// A row that cannot be read.
    Refused { line: u64, why: Reject },
    /// The file ends inside of a quoted cell of the row that begins on this line.
    NotClosed { line: u64 },
    /// The end.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Bare,
    Quoted,
    /// A quote inside of a quoted cell: its end, or the first of two.
    QuoteInQuoted,
    /// The row is refused already, and ends with the line.
    Lost,
}

impl<R: BufRead> CellReader<R> {
    /// Reads from here, which is the beginning of this line.
    pub(crate) fn new(from: R, delimiter: u8, line: u64) -> Self {
        Self { from, delimiter, line, after_cr: false, bytes: Vec::new(), ends: Vec::new() }
    }

    /// The line that reading has come to.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next row. Blank lines are none.
    pub(crate) fn read(&mut self) -> io::Result<Found> {
        self.bytes.clear();
        self.ends.clear();
        let mut row = Row { line: self.line, length: 0, state: State::CellStart, why: None };
        loop {
            let buffer = match self.from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Ok(self.end(row));
            }
            let (mut used, mut ended) = (0, false);
            for &byte in buffer {
                used += 1;
                if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                    // The second half of a line's end: counted with the first.
                    if row.state == State::Quoted {
                        row.keep(byte, &mut self.bytes);
                    } else if row.length == 0 {
                        row.line = self.line;
                    }
                    continue;
                }
                let ends_line = matches!(byte, b'\n' | b'\r');
                if ends_line {
                    self.after_cr = byte == b'\r';
                    self.line += 1;
                }
                if ends_line && row.state != State::Quoted {
                    if row.length == 0 {
                        row.line = self.line;
                        continue;
                    }
                    ended = true;
                    break;
                }
                row.take(byte, self.delimiter, &mut self.bytes, &mut self.ends);
            }
            self.from.consume(used);
            if ended {
                return Ok(self.end(row));
            }
        }
    }

    fn end(&mut self, row: Row) -> Found {
        let line = row.line;
        if row.length == 0 {
            return Found::End;
        }
        if row.state == State::Quoted {
            return Found::NotClosed { line };
        }
        match row.why {
            Some(why) => Found::Refused { line, why },
            None => {
                self.ends.push(self.bytes.len());
                Found::Row { line }
            }
        }
    }
}

/// A row while it is read.
struct Row {
    line: u64,
    length: usize,
    state: State,
    why: Option<Reject>,
}

impl Row {
    fn take(&mut self, byte: u8, delimiter: u8, bytes: &mut Vec<u8>, ends: &mut Vec<usize>) {
        self.length += 1;
        if byte == 0 {
            let column = ends.len() + 1;
            self.refuse(Code::NulByte, || format!("a NUL byte in column {column}"));
        }
        if self.length > ROW_BYTES_MAX {
            self.refuse(Code::RowTooLong, || format!("the row has more than {ROW_BYTES_MAX} bytes"));
        }
        if ends.len() > COLUMNS_MAX {
            self.refuse(Code::ColumnCount, || format!("the row has more than {COLUMNS_MAX} columns"));
        }
        match self.state {
            State::CellStart | State::Bare | State::QuoteInQuoted if byte == delimiter => {
                self.state = State::CellStart;
                if self.why.is_none() {
                    ends.push(bytes.len());
                }
            }
            State::CellStart if byte == b'"' => self.state = State::Quoted,
            State::CellStart | State::Bare => {
                self.state = State::Bare;
                self.keep(byte, bytes);
            }
            State::Quoted if byte == b'"' => self.state = State::QuoteInQuoted,
            State::Quoted => self.keep(byte, bytes),
            State::QuoteInQuoted if byte == b'"' => {
                self.state = State::Quoted;
                self.keep(byte, bytes);
            }
            State::QuoteInQuoted => {
                self.state = State::Lost;
                let column = ends.len() + 1;
                self.refuse(Code::QuoteMisplaced, || {
                    format!(
                        "the quoted cell in column {column} goes on behind its closing quote; \
                             a quote inside of one is written twice"
                    )
                });
            }
            State::Lost => {}
        }
    }

    /// Keeps a byte of a cell, while the row is worth it.
    fn keep(&self, byte: u8, bytes: &mut Vec<u8>) {
        if self.why.is_none() {
            bytes.push(byte);
        }
    }

    /// Notes the first thing that is wrong.
    fn refuse(&mut self, code: Code, detail: impl FnOnce() -> String) {
        if self.why.is_none() {
            self.why = Some(Reject::new(code, detail()));
        }
    }
}

/// Adds a cell to a row that is written, quoted if it must be.
pub(crate) fn write_cell(row: &mut String, cell: &str, is_first: bool) {
    if !is_first {
        row.push(',');
    }
    let needs_quotes = cell.contains(['"', ',', '\n', '\r']) || cell.trim() != cell;
    if !needs_quotes {
        row.push_str(cell);
        return;
    }
    row.push('"');
    row.push_str(&cell.replace('"', "\"\""));
    row.push('"');
}

/// What spreadsheets take for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A text as it is written into a table: one that a spreadsheet would run as a formula is written
/// behind an apostrophe, and one that looks as if that had been done gets another.
pub(crate) fn neutralized(text: &str) -> std::borrow::Cow<'_, str> {
    if text.trim_start_matches('\'').starts_with(FORMULA) { format!("'{text}").into() } else { text.into() }
}

/// The text behind such an apostrophe. What a file says as `=1+1` stays that text and is never run.
pub(crate) fn as_text(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.trim_start_matches('\'').starts_with(FORMULA) => text,
        _ => cell,
    }
}
