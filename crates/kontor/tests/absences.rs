//! What must not be in the source, kept by reading the source.
//!
//! The walls of `ARCHITECTURE.md` are absences: no clock in the core, no commerce in the storage. A
//! compiler cannot see most of them, a newcomer cannot guess them, so each is a test that names the
//! line that breaks it and the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn the_core_is_pure() {
    let rule = "kontor-core has no async, clock, IO, threads or randomness: \
                take what it needs as an argument";
    let words = [
        "async",
        "await",
        "Instant",
        "SystemTime",
        "rand",
        "fastrand",
        "getrandom",
        "tokio",
        "thread",
        "thread_local",
        "Mutex",
        "println",
        "eprintln",
    ];
    let paths = ["std::fs", "std::net", "std::io", "std::env", "std::process", "std::os"];
    refuse(rule, &code("kontor-core"), |line| {
        words.iter().any(|word| line.has(word)) || paths.iter().any(|path| line.text.contains(path))
    });
}

#[test]
fn storage_never_mentions_commerce() {
    let rule = "kontor-storage keeps bytes and knows no commerce: \
                say row, entry, key or group, in comments too";
    let commerce = [
        "product",
        "sku",
        "gtin",
        "stock",
        "inventory",
        "reservation",
        "cart",
        "checkout",
        "price",
        "payment",
        "customer",
        "shop",
        "shopkeeper",
        "warehouse",
        "catalog",
        "catalogue",
        "fulfillment",
        "movement",
        "shipment",
        "refund",
        "commerce",
    ];
    refuse(rule, &all_text("kontor-storage"), |line| {
        // The one sentence that states this rule may name it.
        !line.text.contains("no commerce") && line.says_any(&commerce)
    });
}

#[test]
fn one_file_makes_error_responses() {
    let naming: BTreeSet<PathBuf> = code("kontor-server")
        .into_iter()
        .filter(|line| line.text.contains("application/problem+json"))
        .map(|line| line.file)
        .collect();
    assert_eq!(
        naming,
        BTreeSet::from([PathBuf::from("crates/kontor-server/src/problem.rs")]),
        "exactly one file of kontor-server makes error responses; the others answer with its types"
    );
}

#[test]
fn no_handler_names_a_table() {
    let rule = "kontor-server asks a site; it never names tables or journals of kontor-storage";
    refuse(rule, &code("kontor-server"), |line| line.has("kontor_storage") || line.has("fjall"));
}

#[test]
fn no_adapter_names_a_status_code() {
    let rule = "storage and site say what happened in their own words; \
                kontor-server turns them into HTTP";
    for room in ["kontor-storage", "kontor-site", "kontor-core"] {
        // An address of the web may be a value; the crate may not be used.
        refuse(rule, &code(room), |line| {
            ["axum", "hyper", "StatusCode"].iter().any(|word| line.has(word)) || line.text.contains("http::")
        });
    }
}

#[test]
fn only_the_binary_reads_environment_and_arguments() {
    let rule = "crates/kontor reads the environment and the arguments and passes values on";
    for room in rooms().iter().filter(|room| *room != "kontor") {
        refuse(rule, &code(room), |line| {
            ["std::env", "env::var", "env::args"].iter().any(|path| line.text.contains(path))
        });
    }
}

#[test]
fn one_file_reads_the_clock() {
    let mut reading = BTreeSet::new();
    for room in rooms() {
        for line in code(&room) {
            let now = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];
            if now.iter().any(|call| line.text.contains(call)) || line.text.contains(".elapsed()") {
                reading.insert(line.file);
            }
        }
    }
    assert_eq!(
        reading,
        BTreeSet::from([PathBuf::from("crates/kontor-site/src/clock.rs")]),
        "exactly one file reads the clock; everything else is given `now`"
    );
}

/// Which of our own crates each may use: the picture in `ARCHITECTURE.md` as a table.
const ARROWS: &[(&str, &[&str])] = &[
    ("kontor-core", &[]),
    ("kontor-storage", &[]),
    ("kontor-api", &[]),
    ("kontor-client", &["kontor-api"]),
    ("kontor-payments", &["kontor-core"]),
    ("kontor-site", &["kontor-core", "kontor-storage"]),
    ("kontor-server", &["kontor-api", "kontor-core", "kontor-payments", "kontor-site"]),
    ("kontor-sim", &["kontor-api", "kontor-core", "kontor-payments", "kontor-site", "kontor-storage"]),
    (
        "kontor",
        &[
            "kontor-api",
            "kontor-client",
            "kontor-core",
            "kontor-payments",
            "kontor-server",
            "kontor-site",
            "kontor-storage",
        ],
    ),
    ("kontor-load", &["kontor-api", "kontor-client"]),
];

#[test]
fn the_arrows_between_crates_run_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut manifests: Vec<PathBuf> =
        rooms().iter().map(|room| PathBuf::from("crates").join(room).join("Cargo.toml")).collect();
    manifests.push(PathBuf::from("load/Cargo.toml"));
    for file in manifests {
        let text = read(&file);
        let manifest: toml::Table = text.parse().expect("cargo has read it already");
        let name = manifest["package"]["name"].as_str().expect("a package has a name");
        let arrows = allowed.get(name).unwrap_or_else(|| panic!("{name} is missing in ARROWS"));
        let used = manifest.get("dependencies").and_then(toml::Value::as_table);
        for dependency in used.into_iter().flat_map(toml::Table::keys) {
            let line = (1..).zip(text.lines()).find(|(_, line)| line.starts_with(dependency.as_str()));
            assert!(
                !dependency.starts_with("kontor") || arrows.contains(&dependency.as_str()),
                "{}:{}: {name} may not use {dependency}: see ARROWS",
                file.display(),
                line.map_or(0, |(at, _)| at),
            );
        }
    }
}

/// Clippy reads one file only, so the lists of three crates repeat the root's; what each may leave out
/// is said here.
#[test]
fn the_bans_are_the_same_everywhere() {
    let bans = |file: &str| -> BTreeSet<String> {
        let table: toml::Table = read(Path::new(file)).parse().expect("clippy has read it already");
        let rows = table["disallowed-methods"].as_array().expect("a list of bans");
        rows.iter().map(|row| row["path"].as_str().expect("a path").to_owned()).collect()
    };
    let root = bans("clippy.toml");
    for (file, may_leave_out) in [
        ("crates/kontor-core/clippy.toml", &[][..]),
        ("crates/kontor/clippy.toml", &["std::env::"][..]),
        ("load/clippy.toml", &["std::env::", "std::time::", "jiff::", "tokio::time::Instant"][..]),
    ] {
        let own = bans(file);
        let forgotten: Vec<&String> =
            root.difference(&own).filter(|ban| !may_leave_out.iter().any(|prefix| ban.starts_with(prefix))).collect();
        assert!(forgotten.is_empty(), "{file} forgets {forgotten:?} of the root's clippy.toml");
        let unknown: Vec<&String> = own.difference(&root).collect();
        assert!(unknown.is_empty(), "{file} bans {unknown:?}, the root's clippy.toml does not");
    }
}

/// One line of a source file.
struct Line {
    file: PathBuf,
    number: usize,
    text: String,
}

impl Line {
    /// Whether the identifier stands here as a word of its own.
    fn has(&self, word: &str) -> bool {
        self.text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
    }

    /// Whether one of these words is said, in any case, as a plural, or as a part of an identifier.
    fn says_any(&self, words: &[&str]) -> bool {
        let mut spaced = String::new();
        let mut before = ' ';
        for c in self.text.chars() {
            if before.is_lowercase() && c.is_uppercase() {
                spaced.push(' ');
            }
            spaced.push(c.to_ascii_lowercase());
            before = c;
        }
        spaced
            .split(|c: char| !c.is_alphabetic())
            .any(|said| words.contains(&said) || words.contains(&said.trim_end_matches('s')))
    }
}

/// Fails with every line that breaks the rule. A room without any line fails too: the rule would hold
/// only because the code has moved.
fn refuse(rule: &str, lines: &[Line], breaks: impl Fn(&Line) -> bool) {
    assert!(!lines.is_empty(), "no source was read: {rule}");
    let mut found = String::new();
    for line in lines.iter().filter(|line| breaks(line)) {
        writeln!(found, "  {}:{}: {}", line.file.display(), line.number, line.text.trim())
            .expect("writing to a string");
    }
    assert!(found.is_empty(), "{rule}\n{found}");
}

/// The crates, by folder.
fn rooms() -> Vec<String> {
    let mut rooms: Vec<String> = fs::read_dir(root().join("crates"))
        .expect("the crates are there")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    rooms.sort();
    rooms
}

/// What a crate does: its source without comments and without its tests.
fn code(room: &str) -> Vec<Line> {
    let mut lines = all_text(room);
    lines.retain(|line| !line.file.ends_with("tests.rs"));
    // By convention the tests of a file come last, in a module of their own.
    let mut tests: BTreeSet<(PathBuf, usize)> = BTreeSet::new();
    for pair in lines.windows(2) {
        if pair[0].text == "#[cfg(test)]" && pair[1].text.starts_with("mod ") && pair[1].text.ends_with('{') {
            tests.insert((pair[0].file.clone(), pair[0].number));
        }
    }
    lines.retain(|line| !tests.iter().any(|(file, from)| *file == line.file && line.number >= *from));
    for line in &mut lines {
        let comment = line.text.match_indices("//").find(|(at, _)| !line.text[..*at].ends_with(':'));
        if let Some((at, _)) = comment {
            line.text.truncate(at);
        }
    }
    lines
}

/// Every line of a crate's source, comments and tests too.
fn all_text(room: &str) -> Vec<Line> {
    let mut files = Vec::new();
    collect(&Path::new("crates").join(room).join("src"), &mut files);
    let mut lines = Vec::new();
    for file in files {
        for (number, text) in (1..).zip(read(&file).lines()) {
            lines.push(Line { file: file.clone(), number, text: text.to_owned() });
        }
    }
    lines
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(root().join(folder)).expect("a crate has a src folder");
    for entry in entries {
        let entry = entry.expect("readable");
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
