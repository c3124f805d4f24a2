//! Every request that the reference services document, with the answer that they promise, as
//! `docs/reference-services.md` shows them: the page is the table that is run here.

use std::collections::BTreeMap;
use std::path::Path;

use kontor_server::{Access, Limits, Rate};
use serde_json::Value;

use crate::check::{Seen, Shop};

/// A row of the page.
#[derive(Debug)]
struct Row {
    line: usize,
    request: String,
    has_key: bool,
    status: u16,
    /// What the body has at least; the word `…` stands for anything.
    body: Option<Value>,
    /// What a body says that is no JSON.
    text: Option<String>,
    header: Option<(String, String)>,
    here: Here,
}

#[derive(Debug)]
enum Here {
    Runs,
    /// Better than what was promised.
    Differs(u16),
}

#[tokio::test]
async fn every_documented_request_is_answered_as_promised_or_better() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference-services.md"));
    let page = page.unwrap();
    let (mut ran, mut differ) = (0, 0);
    let mut wrong = Vec::new();
    for (service, rows) in sections(&page) {
        let limits = Limits { key_rate: Rate::new(100_000, 60), ..Limits::default() };
        // The catalogue's documents call its home so.
        let site = if service.starts_with("A:") { "us-east-1" } else { "main" };
        let (open, _) = Shop::paying(site, limits, Access::open_compat).await;
        let mut told = BTreeMap::new();
        for row in rows {
            let status = if let Here::Differs(status) = row.here { status } else { row.status };
            (ran, differ) = (ran + 1, differ + usize::from(matches!(row.here, Here::Differs(_))));
            let request = with_names(&row.request, &told);
            let seen = match row.has_key {
                true => open.ask(&request).await,
                // Nobody of this machine.
                false => open.ask_as_anybody(&with_host(&request)).await,
            };
            note(&seen, &mut told);
            if let Some(why) = row.objection(status, &seen) {
                wrong.push(format!("{service}, line {}: {request}\n  {why}\n  {seen:?}", row.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let told = page.lines().find(|line| line.starts_with("Of the documented requests"));
    let expected = format!("Of the documented requests {ran} run, {differ} of them with a better answer.");
    assert_eq!(told, Some(expected.as_str()), "the page says how many there are");
}

/// A request with what answers before it have named: `{order_id}` stands for the last `order_id`.
fn with_names(request: &str, told: &BTreeMap<String, String>) -> String {
    told.iter().fold(request.to_owned(), |request, (name, value)| request.replace(&format!("{{{name}}}"), value))
}

/// Remembers what an answer has named.
fn note(seen: &Seen, told: &mut BTreeMap<String, String>) {
    let Ok(Value::Object(fields)) = serde_json::from_str(&seen.body) else { return };
    for (name, value) in fields {
        match value {
            Value::String(text) => drop(told.insert(name, text)),
            Value::Number(number) => drop(told.insert(name, number.to_string())),
            _ => {}
        }
    }
}

/// As if it came through a name that does not mean this machine.
fn with_host(request: &str) -> String {
    let (line, rest) = request.split_once('\n').unwrap_or((request, ""));
    format!("{line}\nHost: kontor.example\n{rest}")
}

impl Row {
    fn objection(&self, status: u16, seen: &Seen) -> Option<String> {
        if seen.status.as_u16() != status {
            return Some(format!("the status is {}, not {status}", seen.status));
        }
        if let Some((name, value)) = &self.header {
            let found = seen.headers.get(name.as_str()).map(|found| found.to_str().unwrap());
            if found.is_none_or(|found| value != "…" && found != value) {
                return Some(format!("{name} is {found:?}"));
            }
        }
        if let Some(text) = &self.text
            && seen.body.trim_end() != text
        {
            return Some(format!("the body is not {text:?}"));
        }
        // What differs does so on purpose, and is held to its status.
        let body = self.body.as_ref().filter(|_| matches!(self.here, Here::Runs))?;
        match serde_json::from_str(&seen.body) {
            Ok(found) => lacks(&found, body, ""),
            Err(_) => Some("the body is not JSON".to_owned()),
        }
    }
}

/// What a body does not have of what is promised.
fn lacks(found: &Value, promised: &Value, place: &str) -> Option<String> {
    match (found, promised) {
        (found, Value::String(any)) if any == "…" && !found.is_null() => None,
        (Value::Object(found), Value::Object(promised)) => promised.iter().find_map(|(name, promised)| {
            let place = format!("{place}/{name}");
            match found.get(name) {
                Some(found) => lacks(found, promised, &place),
                None => Some(format!("{place} is not there")),
            }
        }),
        (Value::Array(found), Value::Array(promised)) => {
            if found.len() != promised.len() {
                return Some(format!("{place} has {} items, not {}", found.len(), promised.len()));
            }
            let pairs = found.iter().zip(promised).enumerate();
            pairs.into_iter().find_map(|(at, (found, promised))| lacks(found, promised, &format!("{place}/{at}")))
        }
        (Value::Number(found), Value::Number(promised)) if found.as_f64() == promised.as_f64() => None,
        (found, promised) if found == promised => None,
        (found, promised) => Some(format!("{place} is {found}, not {promised}")),
    }
}

/// The rows of the page by the headings above them.
fn sections(page: &str) -> Vec<(String, Vec<Row>)> {
    let mut sections: Vec<(String, Vec<Row>)> = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push((heading.to_owned(), Vec::new()));
        }
        let Some(cells) = line.strip_prefix("| `").and_then(|rest| rest.strip_suffix(" |")) else { continue };
        let cells: Vec<&str> = cells.split(" | ").collect();
        let [request, promised, here] = cells[..] else { panic!("line {number} has {} cells", cells.len()) };
        let (request, with) = request.split_once('`').unwrap();
        let parts = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let (method, rest) = request.split_once(' ').unwrap();
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let (mut told, mut text, mut header) = (None, None, None);
        for part in parts(promised) {
            match (serde_json::from_str(&part), part.split_once(": ")) {
                (Ok(json), _) => told = Some(json),
                (_, Some((name, value))) if name.starts_with("X-") => {
                    header = Some((name.to_owned(), value.to_owned()))
                }
                _ => text = Some(part),
            }
        }
        let status = promised.split_once(' ').map_or(promised, |(status, _)| status);
        let here = match here.split_once(' ').unwrap_or((here, "")) {
            ("runs", _) => Here::Runs,
            (other, _) => {
                Here::Differs(other.trim_end_matches(',').parse().unwrap_or_else(|_| panic!("line {number}: {other}")))
            }
        };
        sections.last_mut().unwrap().1.push(Row {
            line: number,
            request: format!(
                "{method} {path}{}\n\n{body}",
                parts(with).iter().map(|header| format!("\n{header}")).collect::<String>()
            ),
            has_key: !with.contains("without a key"),
            status: status.parse().unwrap_or_else(|_| panic!("line {number}: {status} is no status")),
            body: told,
            text,
            header,
            here,
        });
    }
    sections
}
