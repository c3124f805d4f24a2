//! A file on its way to a site: rows are read, mapped, numbered and put together as lines of JSON,
//! while the ones before are still under way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kontor_api::job::{JobKind, RowAnswer, RowOutcome};
use serde_json::{Value, json};

use super::mapping::{Mapping, Said, Wishes, is_hit};
use super::rows::{Cells, Lines, Object, Reading, Row, Table};
use super::seen::{Before, Seen};
use super::source::Source;
use super::{Code, Reject, Stop};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, DRY_RUN_BYTES_MAX, DRY_RUN_ROWS_MAX, ROW_JSON_BYTES_MAX};

/// Rows of a file, as what they say.
pub(crate) struct Input {
    from: From,
    kind: JobKind,
    wishes: Wishes,
    /// Bytes of the file, if it has a size, and how many of them have been read.
    pub(crate) size: Option<u64>,
    read: Arc<AtomicU64>,
}

enum From {
    Table(Box<Table>, Mapping),
    /// With the mapping of the line before, which has nearly always the same fields.
    Lines(Lines, Option<(Vec<String>, Mapping)>),
}

/// What a file looks like.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table with a header
    Csv,
    /// Lines of JSON
    Ndjson,
}

impl Format {
    /// By the file's name: `.ndjson`, `.jsonl` and the same with `.gz` are lines, all else is a table.
    /// Standard input has none, and is lines if it begins with a brace.
    pub(crate) fn of(path: &Path, source: Option<&mut Source>) -> Self {
        if let Some(source) = source.filter(|_| path == Path::new("-")) {
            let begins_with_brace =
                source.bytes.fill_buf().is_ok_and(|bytes| bytes.trim_ascii_start().starts_with(b"{"));
            return if begins_with_brace { Self::Ndjson } else { Self::Csv };
        }
        let name = path.to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        if name.ends_with(".ndjson") || name.ends_with(".jsonl") { Self::Ndjson } else { Self::Csv }
    }
}

impl Input {
    /// Opens a file and finds its columns.
    pub(crate) fn open(
        kind: JobKind,
        source: Source,
        format: Format,
        reading: Reading,
        wishes: Wishes,
    ) -> Result<Self, Stop> {
        let (size, read) = (source.size, source.read.clone());
        let from = match format {
            Format::Ndjson => From::Lines(Lines::open(source), None),
            Format::Csv => {
                let table = Table::open(source, reading)?;
                let mapping = Mapping::find(kind, &table.header, wishes.clone())?;
                From::Table(Box::new(table), mapping)
            }
        };
        Ok(Self { from, kind, wishes, size, read })
    }

    /// How many bytes of the file have been read; to be asked while it is read.
    pub(crate) fn read(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// Columns that nothing asks for.
    pub(crate) fn unused(&self) -> Vec<String> {
        match &self.from {
            From::Table(_, mapping) => mapping.unused.clone(),
            From::Lines(..) => Vec::new(),
        }
    }

    /// Cells that had white space at an end.
    fn trimmed(&self) -> u64 {
        match &self.from {
            From::Table(_, mapping) | From::Lines(_, Some((_, mapping))) => mapping.trimmed,
            From::Lines(_, None) => 0,
        }
    }

    /// The next row that is not blank.
    fn next(&mut self) -> Result<Option<Row<Said>>, Stop> {
        match &mut self.from {
            From::Table(table, mapping) => {
                let row = table.next()?;
                let said = |cells: Cells<'_>| mapping.read(|column| cells.get(column));
                Ok(row.map(|(line, cells)| (line, cells.and_then(said))))
            }
            From::Lines(lines, last) => {
                let row = lines.next()?;
                let said = |object| said_of_object(self.kind, &self.wishes, object, last);
                Ok(row.map(|(line, object)| (line, object.and_then(said))))
            }
        }
    }
}

/// Takes away what a site gives by itself and nobody sets, so that an answer of the API can be imported.
pub(crate) fn take_given_away(product: &mut Object) {
    const GIVEN: [&str; 4] = ["revision", "created_at", "updated_at", "conflicts"];
    product.remove("market");
    GIVEN.iter().for_each(|field| drop(product.remove(*field)));
    let markets = product.get_mut("markets").and_then(Value::as_array_mut);
    for listing in markets.into_iter().flatten().filter_map(Value::as_object_mut) {
        GIVEN.iter().for_each(|field| drop(listing.remove(*field)));
    }
}

/// A line that has variants is a product as the API has it. One that has none has fields as a table has columns.
fn said_of_object(
    kind: JobKind,
    wishes: &Wishes,
    mut object: Object,
    last: &mut Option<(Vec<String>, Mapping)>,
) -> Result<Said, Reject> {
    let is_whole = kind == JobKind::ImportProducts && object.get("variants").is_some_and(Value::is_array);
    if is_whole && wishes.maps.is_empty() && wishes.market.is_none() {
        for (field, pattern) in &wishes.skips {
            if is_hit(pattern, &cell(object.get(field))) {
                return Ok(Said::Skipped(format!("{field}={pattern}")));
            }
        }
        take_given_away(&mut object);
        let sku = object["variants"].get(0).and_then(|variant| variant["sku"].as_str());
        let name = sku.or(object.get("id").and_then(Value::as_str)).map(str::to_owned);
        let name = name.ok_or_else(|| Reject::new(Code::SkuMissing, "the line has no SKU"))?;
        return Ok(Said::Product { name, product: object });
    }
    let header = Mapping::header_of_lines(kind, wishes, &object)?;
    if last.as_ref().is_none_or(|(known, _)| *known != header) {
        let mut mapping =
            Mapping::find(kind, &header, wishes.clone()).map_err(|stop| Reject::new(stop.code, stop.detail))?;
        mapping.trimmed = last.as_ref().map_or(0, |(_, before)| before.trimmed);
        *last = Some((header, mapping));
    }
    let Some((header, mapping)) = last else { unreachable!("set above") };
    let cells: Vec<String> = header.iter().map(|name| cell(object.get(name))).collect();
    mapping.read(|column| cells.get(column).map_or("", String::as_str))
}

/// A value of JSON as a table would have it.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Rows that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The body of the request.
    pub(crate) body: Vec<u8>,
    /// What is on its lines.
    pub(crate) rows: Vec<RowRef>,
}

/// A row, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowRef {
    /// Its number in the job, from 1.
    pub(crate) number: u64,
    /// The line of the file that it begins on.
    pub(crate) line: u64,
    /// The SKU, or the id; empty if it has none that could be read.
    pub(crate) name: String,
    /// A row before has given its SKU a title.
    pub(crate) is_made_before: bool,
}

/// What comes out of a file.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Rows to be sent.
    Batch(Batch),
    /// A row of which it is known what became: refused before the job was interrupted, or, in a dry run,
    /// not readable.
    Told(RowRef, RowAnswer),
    /// The end, or why nothing more can be read, and what was counted on the way.
    End(Option<Stop>, Tally),
}

/// What is counted while a file is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Rows that are not blank.
    pub(crate) rows: u64,
    /// Rows that were left out, by rule.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Different SKUs, as far as they are told apart.
    pub(crate) skus: u64,
    /// There were more than are told apart.
    pub(crate) skus_beyond: bool,
    /// Rows whose SKU stood on a row before.
    pub(crate) repeated: u64,
    /// SKUs that differ from an earlier one only in case.
    pub(crate) twins: u64,
    /// The first of them.
    pub(crate) twins_first: Vec<String>,
    /// Cells that had white space at an end.
    pub(crate) trimmed: u64,
}

impl Tally {
    fn count(&mut self, sku: &str, before: Before) {
        self.skus_beyond |= before.is_beyond;
        if before.is_known {
            self.repeated += 1;
        } else if !before.is_beyond {
            self.skus += 1;
            self.twins += u64::from(before.has_twin);
            if before.has_twin && self.twins_first.len() < 3 {
                self.twins_first.push(sku.to_owned());
            }
        }
    }
}

/// For what a file is read.
pub(crate) enum Purpose {
    /// For a job: rows up to `through` are done, and these of them were refused then.
    Job { through: u64, refused: BTreeMap<u64, RowAnswer> },
    /// To say what would change.
    DryRun,
}

/// Reads a file to its end, row after row, and hands its pieces on until nobody takes them.
pub(crate) fn run(mut input: Input, purpose: &Purpose, mut hand_on: impl FnMut(Piece) -> bool) {
    let mut tally = Tally::default();
    let mut seen = Seen::new();
    let (rows_max, bytes_max) = match purpose {
        Purpose::Job { .. } => (BATCH_ROWS_MAX, BATCH_BYTES_MAX),
        Purpose::DryRun => (DRY_RUN_ROWS_MAX, DRY_RUN_BYTES_MAX),
    };
    let mut batch = Batch::default();
    let mut number = 0;
    let stop = loop {
        let (line, said) = match input.next() {
            Ok(Some(row)) => row,
            Ok(None) => break None,
            Err(stop) => break Some(stop),
        };
        tally.rows += 1;
        if let Ok(Said::Skipped(rule)) = said {
            *tally.skipped.entry(rule).or_default() += 1;
            continue;
        }
        number += 1;
        let (row, told) = as_row(number, line, said, &mut seen, &mut tally);
        let (told, json) = match (purpose, told) {
            (Purpose::Job { through, refused }, _) if number <= *through => (refused.get(&number).cloned(), None),
            (Purpose::Job { .. }, told) => (None, Some(of_job(number, told))),
            (Purpose::DryRun, Ok((_, said))) => (None, Some(said)),
            (Purpose::DryRun, Err(why)) => (Some(answered(number, why)), None),
        };
        if let Some(answer) = told
            && !hand_on(Piece::Told(row.clone(), answer))
        {
            return;
        }
        let Some(json) = json else { continue };
        let is_full = batch.rows.len() == rows_max || batch.body.len() + json.len() >= bytes_max;
        if is_full && !batch.rows.is_empty() && !hand_on(Piece::Batch(std::mem::take(&mut batch))) {
            return;
        }
        batch.body.extend_from_slice(json.as_bytes());
        batch.body.push(b'\n');
        batch.rows.push(row);
    };
    if !batch.rows.is_empty() && !hand_on(Piece::Batch(batch)) {
        return;
    }
    tally.trimmed = input.trimmed();
    hand_on(Piece::End(stop, tally));
}

/// A row, and what it says: the field of a job's row, and its value as JSON.
type Told = Result<(&'static str, String), Reject>;

fn as_row(number: u64, line: u64, said: Result<Said, Reject>, seen: &mut Seen, tally: &mut Tally) -> (RowRef, Told) {
    let mut names = Names::default();
    let (name, told) = match said {
        Ok(Said::Product { name, product }) => {
            names = Names::of(&name, &product);
            (name, Ok(("product", Value::Object(product).to_string())))
        }
        Ok(Said::Stock { sku, location, quantity }) => {
            names.skus.push(sku.clone());
            let stock = json!({"sku": sku, "location": location, "quantity": quantity});
            (sku, Ok(("stock", stock.to_string())))
        }
        Ok(Said::Skipped(rule)) => (rule, Err(Reject::new(Code::ValueInvalid, "left out"))),
        Err(why) => (why.name.clone(), Err(why)),
    };
    let told = told.and_then(|(field, json)| match json.len() {
        0..=ROW_JSON_BYTES_MAX => Ok((field, json)),
        length => {
            let detail = format!("{length} bytes of JSON, more than {ROW_JSON_BYTES_MAX}");
            Err(Reject::new(Code::RowTooLarge, detail))
        }
    });
    let is_made_before = told.is_ok() && names.note(seen, tally);
    (RowRef { number, line, name, is_made_before }, told)
}

/// By what a row finds its product.
#[derive(Default)]
struct Names {
    id: Option<String>,
    skus: Vec<String>,
    has_title: bool,
}

impl Names {
    fn of(name: &str, product: &Object) -> Self {
        let id = product.get("id").and_then(Value::as_str).map(str::to_owned);
        let variants = product.get("variants").and_then(Value::as_array).into_iter().flatten();
        let mut skus: Vec<String> = variants.filter_map(|variant| variant["sku"].as_str()).map(str::to_owned).collect();
        // Of what is said in a market.
        if skus.is_empty() && id.as_deref() != Some(name) {
            skus.push(name.to_owned());
        }
        Self { id, skus, has_title: product.contains_key("title") }
    }

    /// Notes them, and says whether a row before has made the product, as far as can be told.
    fn note(&self, seen: &mut Seen, tally: &mut Tally) -> bool {
        // A product without an id of its own has its SKU's. No SKU has a NUL byte.
        let own = |id: &str| format!("\0{id}");
        let is_there = |id: &String| seen.is_titled(id) || seen.is_titled(&own(id));
        let mut is_made = self.id.as_ref().is_some_and(is_there);
        let has_title = self.has_title || is_made;
        if let Some(id) = self.id.as_ref().filter(|id| self.skus.first() != Some(*id)) {
            seen.note(&own(id), has_title);
        }
        for (at, sku) in self.skus.iter().enumerate() {
            let before = seen.note(sku, has_title);
            if at == 0 {
                tally.count(sku, before);
                is_made |= self.id.is_none() && before.is_titled;
            }
        }
        is_made
    }
}

/// A row of a job; one that could not be read is told to the site, too, so that its count goes on.
fn of_job(number: u64, told: Told) -> String {
    match told {
        Ok((field, said)) => format!("{{\"line\":{number},\"{field}\":{said}}}"),
        Err(Reject { code, detail, .. }) => {
            json!({"line": number, "refused": {"code": code.as_str(), "detail": detail}}).to_string()
        }
    }
}

/// What a site would answer to a row that could not be read.
fn answered(line: u64, Reject { code, detail, .. }: Reject) -> RowAnswer {
    let (code, detail) = (Some(code.as_str().to_owned()), Some(detail));
    RowAnswer { line, id: None, outcome: RowOutcome::Refused, code, detail, changes: Vec::new() }
}

/// How much of a file has been read, and of how much.
pub(crate) fn bytes_read(read: &AtomicU64) -> u64 {
    read.load(Ordering::Relaxed)
}

/// What the rows of a file say of products, all of them.
#[cfg(test)]
pub(crate) fn said(mut input: Input) -> Vec<Object> {
    let mut all = Vec::new();
    while let Some((line, said)) = input.next().unwrap() {
        match said {
            Ok(Said::Product { product, .. }) => all.push(product),
            other => panic!("line {line}: {other:?}"),
        }
    }
    all
}

#[cfg(test)]
mod tests;
