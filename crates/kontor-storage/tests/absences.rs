//! What this crate does without.

use std::fs;
use std::path::Path;

/// Bytes have no trade. "In order" is no order, so that word is not looked for.
#[test]
fn storage_never_mentions_commerce() {
    const WORDS: [&str; 9] =
        ["stock", "product", "cart", "customer", "reservation", "price", "shop", "sku", "kontor_core"];
    const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];
    let mut files = 0;
    for_each_source(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        files += 1;
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<String> =
                line.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_lowercase).collect();
            for word in WORDS {
                let is_said = words.iter().any(|said| said.trim_end_matches('s') == word);
                assert!(!is_said, "{}:{number} says {word}", path.display());
            }
            for clock in CLOCKS {
                assert!(!line.contains(clock), "{}:{number} reads a clock", path.display());
            }
        }
    });
    assert!(files > 10, "{files} files were read");
}

fn for_each_source(dir: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            for_each_source(&path, visit);
        } else {
            visit(&path, &fs::read_to_string(&path).expect("a source file"));
        }
    }
}
