//! Documents say what is so: links lead somewhere, files are where they are said to be, and every
//! code, limit, table, metric and setting is explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kontor_api::Code;
use kontor_core::record::TABLE_NAMES;

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    assert!(documents.len() > 10, "only {} documents were found", documents.len());
    let mut broken = Vec::new();
    for document in &documents {
        let text = read(document);
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = document.parent().expect("a document is in a folder");
            let path = if file.is_empty() { document.clone() } else { folder.join(file) };
            if !root().join(&path).exists() {
                broken.push(format!("{}: {target}", document.display()));
            } else if !heading.is_empty() && !headings(&read(&path)).contains(heading) {
                broken.push(format!("{}: {target} has no such heading", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_the_map_names_is_there() {
    let text = read(Path::new("ARCHITECTURE.md"));
    let mut named = 0;
    for path in quoted(&text).filter(|path| path.starts_with("crates/")) {
        named += 1;
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which is not there");
    }
    assert!(named > 30, "only {named} paths were found");
}

/// A test that a document leans on keeps its name and its file, or the document changes with it.
#[test]
fn every_test_that_a_document_names_is_there() {
    let mut named = 0;
    for document in ["ARCHITECTURE.md", "docs/reliability.md"] {
        let text = read(Path::new(document));
        for cell in text.split('|') {
            // Names of tests are sentences: nothing else here has so many words.
            let tests: Vec<&str> =
                quoted(cell).filter(|word| word.matches('_').count() >= 3 && is_name(word)).collect();
            let files: Vec<String> = quoted(cell).filter_map(source).map(|file| read(&file)).collect();
            let files = if files.is_empty() { vec![read(Path::new("crates/kontor/tests/absences.rs"))] } else { files };
            for test in tests {
                named += 1;
                let is_there = files.iter().any(|text| text.contains(&format!("fn {test}(")));
                assert!(is_there, "{document}: {test} is in none of the files that are named with it: {cell}");
            }
        }
    }
    assert!(named > 30, "only {named} tests were found");
}

/// The file behind a path as documents write it: from the root, from `crates/`, or a black box story.
fn source(path: &str) -> Option<PathBuf> {
    let places = ["", "crates", "crates/kontor/tests"];
    let file = places.iter().map(|place| Path::new(place).join(path)).find(|file| root().join(file).is_file());
    file.filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
}

#[test]
fn every_error_code_is_explained() {
    let text = read(Path::new("docs/api.md"));
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status());
        assert!(text.contains(&row), "docs/api.md lacks the row {row}");
    }
}

#[test]
fn every_limit_is_explained() {
    let text = read(Path::new("docs/limits.md"));
    let known: BTreeSet<&str> = quoted(&text).collect();
    let mut found = 0;
    for file in files_below("crates", "rs").into_iter().filter(|file| file.ends_with("src/limits.rs")) {
        for line in read(&file).lines() {
            let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let name = line.strip_prefix("const ").unwrap_or(line).split(':').next().unwrap_or_default();
            let is_field = line.ends_with(',') && line.contains(": ") && !line.contains("::from");
            if is_name(name) && (line.starts_with("const ") || is_field) {
                found += 1;
                assert!(known.contains(name), "docs/limits.md lacks {name} of {}", file.display());
            }
        }
    }
    assert!(found > 30, "only {found} limits were found");
}

#[test]
fn every_table_is_explained() {
    let text = read(Path::new("docs/data-model.md"));
    for name in TABLE_NAMES.iter().filter(|name| !name.starts_with("answers_")) {
        assert!(text.contains(&format!("| `{name}` |")), "docs/data-model.md lacks the table {name}");
    }
}

#[test]
fn every_metric_and_setting_is_explained() {
    let text = read(Path::new("docs/operations.md"));
    let sources =
        files_below("crates", "rs").into_iter().filter(|file| file.components().any(|part| part.as_os_str() == "src"));
    let mut names = BTreeSet::new();
    for file in sources.filter(|file| !file.starts_with("crates/kontor-sim")) {
        let text = read(&file);
        for call in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
            names.extend(text.split(call).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
        if file.ends_with("config.rs") {
            names.extend(text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    assert!(names.len() > 15, "only {names:?} were found");
    for name in names {
        assert!(text.contains(&name), "docs/operations.md lacks {name}");
    }
}

/// Every document of the repository, relative to its root.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["docs", "crates", "load", "examples"].iter().flat_map(|in_| files_below(in_, "md")).collect();
    let at_root =
        fs::read_dir(root()).expect("the repository").map(|entry| PathBuf::from(entry.expect("readable").file_name()));
    found.extend(at_root.filter(|file| file.extension().is_some_and(|ending| ending == "md")));
    found.sort();
    found
}

fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("readable");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found
}

/// Targets of Markdown links, outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for part in text.split("```").step_by(2) {
        for rest in part.split("](").skip(1) {
            found.extend(rest.split([')', ' ']).next());
        }
    }
    found
}

/// The anchors of a document's headings, as GitHub makes them.
fn headings(text: &str) -> BTreeSet<String> {
    let lines = text.split("```").step_by(2).flat_map(str::lines);
    let titles = lines.filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    titles
        .map(|title| title.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect())
        .collect()
}

/// What stands in single backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_steps_of_an_offer_are_drawn_as_they_are() {
    let drawn = read(&root().join("docs/sites.md"));
    let drawn: Vec<&str> =
        drawn.lines().map(str::trim).filter(|line| line.contains(" --> ") && line.contains('(')).collect();
    let steps = kontor_core::offer::TRANSITIONS.iter().map(|(from, step, by, to)| {
        let by = format!("{by:?}").to_lowercase();
        format!("{from} --> {to}: {step} ({by})")
    });
    assert_eq!(
        steps.collect::<Vec<_>>().iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
        drawn.into_iter().collect()
    );
}

#[test]
fn the_steps_of_an_order_are_drawn_as_they_are() {
    use kontor_core::order::{FULFILLMENT_STEPS, PAYMENT_STEPS, STATUS_STEPS};
    fn lines<S: std::fmt::Display>(steps: &[(S, &str, S)]) -> impl Iterator<Item = String> {
        steps.iter().map(|(from, step, to)| format!("{from} --> {to}: {step}"))
    }
    let text = read(Path::new("docs/data-model.md"));
    let drawn = text.lines().map(str::trim).filter(|line| line.contains(" --> ") && line.contains(": "));
    let drawn: Vec<String> = drawn.map(str::to_owned).collect();
    let steps = lines(&STATUS_STEPS).chain(lines(&PAYMENT_STEPS)).chain(lines(&FULFILLMENT_STEPS));
    assert_eq!(drawn, steps.collect::<Vec<_>>(), "in the order of the tables");
}
