//! Rows of a file, whatever its format, with the line that each begins on.

use std::io::{self, BufRead, Read as _};

use super::cells::{CellReader, DELIMITERS, Found};
use super::encoding::Encoding;
use super::source::{Source, stopped};
use super::{Code, Reject, Stop};
use crate::limits::{COLUMNS_MAX, ROW_BYTES_MAX};

/// How a table is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    pub(crate) encoding: Encoding,
    /// What separates cells; found out from the header if not given.
    pub(crate) delimiter: Option<u8>,
}

/// A row: the line that it begins on, and what is on it.
pub(crate) type Row<T> = (u64, Result<T, Reject>);

/// A table: its header, and its rows as they come.
pub(crate) struct Table {
    from: CellReader<Box<dyn BufRead + Send>>,
    pub(crate) header: Vec<String>,
    encoding: Encoding,
    is_gzip: bool,
    /// The row that was read last.
    text: String,
    ends: Vec<usize>,
}

/// The cells of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells<'r> {
    text: &'r str,
    ends: &'r [usize],
}

impl<'r> Cells<'r> {
    /// One cell, as it stands in the file; nothing beyond the last.
    pub(crate) fn get(&self, column: usize) -> &'r str {
        let from = column.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(column).and_then(|to| self.text.get(from..*to)).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'r str> {
        let cells = *self;
        (0..self.ends.len()).map(move |column| cells.get(column))
    }
}

impl Table {
    /// Reads the header.
    pub(crate) fn open(source: Source, reading: Reading) -> Result<Self, Stop> {
        let Source { mut bytes, is_gzip, .. } = source;
        let mut delimiter = reading.delimiter;
        let (mut line, mut first) = first_row(&mut bytes, is_gzip, 1)?;
        if let Some(hint) = separator_hint(&first) {
            delimiter = delimiter.or(Some(hint));
            (line, first) = first_row(&mut bytes, is_gzip, line + 1)?;
        }
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => DELIMITERS.into_iter().rev().max_by_key(|one| columns(&first, *one)).unwrap_or(b','),
        };
        let best = DELIMITERS.into_iter().rev().max_by_key(|one| columns(&first, *one));
        let better = best.filter(|best| columns(&first, *best) > columns(&first, delimiter));
        let whole: Box<dyn BufRead + Send> = Box::new(io::Cursor::new(first).chain(bytes));
        let from = CellReader::new(whole, delimiter, line);
        let (header, text, ends) = (Vec::new(), String::new(), Vec::new());
        let mut table = Self { from, header, encoding: reading.encoding, is_gzip, text, ends };
        let line = match table.advance()? {
            Some((line, Ok(()))) => line,
            Some((line, Err(why))) => {
                let code = if why.code == Code::ColumnCount { Code::ColumnsTooMany } else { why.code };
                return Err(Stop::new(line, code, format!("the header: {}", why.detail)));
            }
            None => return Err(Stop::new(0, Code::HeaderMissing, "the file is empty: not even a header")),
        };
        table.header = table.cells().iter().map(|name| name.trim().to_owned()).collect();
        let columns = table.header.len();
        if columns > COLUMNS_MAX {
            let detail = format!("the header has {columns} columns, more than {COLUMNS_MAX}");
            return Err(Stop::new(line, Code::ColumnsTooMany, detail));
        }
        if columns == 1 && (reading.delimiter.is_none() || better.is_some()) {
            let header = shortened(&table.header[0]);
            let what = match better {
                Some(better) => format!("{} would give more", shown(better)),
                None => "name what separates the columns with --delimiter".to_owned(),
            };
            let detail =
                format!("with {} between columns the header has a single one, \"{header}\"; {what}", shown(delimiter));
            return Err(Stop::new(line, Code::DelimiterUnknown, detail));
        }
        Ok(table)
    }

    /// The next row, with as many cells as the header. Rows of empty cells are left out, as blank lines are.
    pub(crate) fn next(&mut self) -> Result<Option<Row<Cells<'_>>>, Stop> {
        loop {
            let Some((line, row)) = self.advance()? else { return Ok(None) };
            if let Err(why) = row {
                return Ok(Some((line, Err(why))));
            }
            if self.text.trim().is_empty() {
                continue;
            }
            let (given, wanted) = (self.ends.len(), self.header.len());
            if given != wanted {
                let detail = format!("the row has {given} cells, the header {wanted}");
                return Ok(Some((line, Err(Reject::new(Code::ColumnCount, detail)))));
            }
            return Ok(Some((line, Ok(self.cells()))));
        }
    }

    fn cells(&self) -> Cells<'_> {
        Cells { text: &self.text, ends: &self.ends }
    }

    /// Reads a row into `text` and `ends`.
    fn advance(&mut self) -> Result<Option<Row<()>>, Stop> {
        let found = self.from.read().map_err(|error| stopped(&error, self.is_gzip, self.from.line()))?;
        let line = match found {
            Found::End => return Ok(None),
            Found::Refused { line, why } => return Ok(Some((line, Err(why)))),
            Found::NotClosed { line } => {
                let detail = "a quote opens in this row and is never closed; the rest of the file was not read";
                return Err(Stop::new(line, Code::QuoteNotClosed, detail));
            }
            Found::Row { line } => line,
        };
        self.text.clear();
        self.ends.clear();
        let mut from = 0;
        for (column, &to) in self.from.ends.iter().enumerate() {
            if let Err(bad) = self.encoding.decode(&self.from.bytes[from..to], &mut self.text) {
                let name = self.header.get(column).map(|name| format!(" ({name})")).unwrap_or_default();
                let hint = if self.encoding == Encoding::Utf8 { "; is the file --encoding latin1?" } else { "" };
                let detail = format!(
                    "byte 0x{:02X} at place {} of column {}{name} is no letter{hint}",
                    bad.byte,
                    bad.at + 1,
                    column + 1
                );
                return Ok(Some((line, Err(Reject::new(Code::Encoding, detail)))));
            }
            self.ends.push(self.text.len());
            from = to;
        }
        Ok(Some((line, Ok(()))))
    }
}

/// What spreadsheets write before a header to say what separates cells.
fn separator_hint(first: &[u8]) -> Option<u8> {
    match str::from_utf8(first).ok()?.trim_matches(['\r', '\n', ' ']).strip_prefix("sep=")?.as_bytes() {
        [delimiter] => Some(*delimiter),
        _ => None,
    }
}

/// The line on which the first row begins that is not blank, if reading begins on this one; and its bytes with
/// its end, as they are. Which quotes open a cell is not known before the delimiter is: if they close nowhere
/// near, it is more than the row.
fn first_row(from: &mut impl BufRead, is_gzip: bool, mut line: u64) -> Result<(u64, Vec<u8>), Stop> {
    let mut row = Vec::new();
    let (mut in_quotes, mut after_cr) = (false, false);
    loop {
        let buffer = from.fill_buf().map_err(|error| stopped(&error, is_gzip, line))?;
        if buffer.is_empty() {
            return Ok((line, row));
        }
        let mut used = 0;
        let mut ended = false;
        for &byte in buffer {
            // A row ends with LF, CRLF or CR: behind a CR, only the next byte tells.
            let ends_crlf = std::mem::take(&mut after_cr) && byte == b'\n';
            let is_blank = row.trim_ascii().is_empty();
            if ends_crlf && is_blank {
                used += 1;
                continue;
            }
            if !ends_crlf && matches!(row.last(), Some(b'\r')) && !in_quotes {
                ended = true;
                break;
            }
            used += 1;
            let ends_line = matches!(byte, b'\n' | b'\r');
            if ends_line && is_blank {
                row.clear();
                line += 1;
                after_cr = byte == b'\r';
                continue;
            }
            in_quotes ^= byte == b'"';
            row.push(byte);
            after_cr = ends_line && byte == b'\r' && !in_quotes;
            if byte == b'\n' && !in_quotes {
                ended = true;
                break;
            }
            if byte == 0 {
                return Err(Stop::new(line, Code::NotText, "the file begins with NUL bytes: it is no text in UTF-8"));
            }
            if row.len() > ROW_BYTES_MAX {
                if row.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
                    ended = true;
                    break;
                }
                let detail = format!("no line ends within the first {ROW_BYTES_MAX} bytes: this is no table");
                return Err(Stop::new(line, Code::RowTooLong, detail));
            }
        }
        from.consume(used);
        if ended {
            return Ok((line, row));
        }
    }
}

/// Columns of a header, if this separates them.
fn columns(header: &[u8], delimiter: u8) -> usize {
    let mut cells = CellReader::new(header, delimiter, 1);
    // A slice cannot fail to be read.
    match cells.read() {
        Ok(Found::Row { .. }) => cells.ends.len(),
        _ => cells.ends.len() + 1,
    }
}

fn shown(delimiter: u8) -> String {
    if delimiter == b'\t' { "a tab".to_owned() } else { format!("'{}'", char::from(delimiter)) }
}

fn shortened(text: &str) -> String {
    if text.chars().count() > 60 { text.chars().take(60).chain("…".chars()).collect() } else { text.to_owned() }
}

/// Lines of JSON, each an object.
pub(crate) struct Lines {
    from: Box<dyn BufRead + Send>,
    is_gzip: bool,
    line: u64,
    bytes: Vec<u8>,
}

/// An object of JSON.
pub(crate) type Object = serde_json::Map<String, serde_json::Value>;

impl Lines {
    pub(crate) fn open(source: Source) -> Self {
        Self { from: source.bytes, is_gzip: source.is_gzip, line: 0, bytes: Vec::new() }
    }

    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> Result<Option<Row<Object>>, Stop> {
        loop {
            self.bytes.clear();
            let length = self.read_line().map_err(|error| stopped(&error, self.is_gzip, self.line))?;
            if length == 0 {
                return Ok(None);
            }
            if length > ROW_BYTES_MAX {
                let detail = format!("the row has more than {ROW_BYTES_MAX} bytes");
                return Ok(Some((self.line, Err(Reject::new(Code::RowTooLong, detail)))));
            }
            let mut text = String::new();
            if let Err(bad) = Encoding::Utf8.decode(&self.bytes, &mut text) {
                let detail = format!("byte 0x{:02X} at place {} of the line is no letter", bad.byte, bad.at + 1);
                return Ok(Some((self.line, Err(Reject::new(Code::Encoding, detail)))));
            }
            if text.trim().is_empty() {
                continue;
            }
            // Of letters of two bytes, one is NUL.
            if self.line == 1 && text.bytes().take(8).any(|byte| byte == 0) {
                return Err(Stop::new(1, Code::NotText, "the file begins with NUL bytes: it is no text in UTF-8"));
            }
            let object = serde_json::from_str(&text).map_err(|error| Reject::new(Code::NotJson, error.to_string()));
            return Ok(Some((self.line, object)));
        }
    }

    /// Reads a line and says how long it is; of one that is too long, only the beginning is kept.
    fn read_line(&mut self) -> io::Result<usize> {
        let mut length = 0;
        self.line += 1;
        loop {
            let buffer = match self.from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.map_or(buffer.len(), |end| end + 1)];
            if length + part.len() <= ROW_BYTES_MAX {
                self.bytes.extend_from_slice(part);
            }
            let used = part.len();
            length += used;
            self.from.consume(used);
            if end.is_some() || used == 0 {
                return Ok(length);
            }
        }
    }
}

#[cfg(test)]
mod tests;
