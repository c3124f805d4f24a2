//! What is printed: tables for people, JSON for programs. The one file that writes to standard output.

use std::io::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Table,
    Json,
}

/// Prints a line. A reader that has gone away (`kontor journal cat | head`) ends the program quietly.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Standard output, for results that are too long to hold.
pub(crate) fn out() -> std::io::Stdout {
    std::io::stdout()
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => note(format!("this could not be written as JSON: {error}")),
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn json_line(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(text),
        Err(error) => note(format!("this could not be written as JSON: {error}")),
    }
}

/// Prints rows under headings; the columns named in `numbers` are aligned to the right.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>, numbers: &[usize]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    line(table);
}

/// Tells a person something beside the result, on standard error.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Nobody is left to be told if standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Overwrites the line of progress on a terminal; elsewhere says nothing.
pub(crate) fn progress(text: impl std::fmt::Display) {
    use std::io::IsTerminal as _;
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[2K{text}").and_then(|()| err.flush());
    }
}

/// Prints an error with everything that led to it.
pub(crate) fn error(error: &anyhow::Error, style: Style) {
    match style {
        Style::Json => {
            let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            json(&serde_json::json!({ "error": error.to_string(), "causes": causes }));
        }
        Style::Table => note(format!("kontor: {error:#}")),
    }
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
