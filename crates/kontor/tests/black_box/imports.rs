//! Files in and out: what the report says is what the site holds, whatever breaks off in between.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::http::KEY;
use crate::support::server::{Server, assert_sound, kontor, run};
use crate::support::tools::word;
use crate::support::{left_out, prove, say, shop};

/// Where the real books are, beside the repository.
const BOOKS: &str = "../shared/data/online-retail-sample.csv.gz";

/// How their columns are read.
const COLUMNS: [&str; 8] =
    ["--map", "sku=StockCode", "--map", "title=Description", "--map", "price=UnitPrice", "--currency", "GBP"];

#[test]
fn the_books_of_a_real_retailer_become_a_catalogue() {
    let books = books();
    if !books.exists() {
        return left_out("retail import", &format!("no books to read ({BOOKS} or KONTOR_RETAIL_CSV)"));
    }
    // What the rules say, from the file alone.
    let rows = rows_of(&books);
    let mut titled: BTreeSet<&str> = BTreeSet::new();
    let mut missing = Vec::new();
    for (line, row) in (2_u64..).zip(&rows) {
        match (row[2].trim(), row[1].as_str()) {
            ("", sku) if !titled.contains(sku) => missing.push(line),
            (_, sku) => drop(titled.insert(sku)),
        }
    }
    let skus: BTreeSet<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    let lower: BTreeSet<String> = skus.iter().map(|sku| sku.to_lowercase()).collect();
    let blanks = rows.iter().filter(|row| row[2].trim() != row[2]).count();

    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    let list = folder.path().join("rejected.csv");
    let first = [&["products", word(&books)], &COLUMNS[..]].concat();
    let (is_well, dry) = site.import(&[&first[..], &["--dry-run", "--show", "2"]].concat());
    assert!(!is_well && dry["job"].is_null(), "{dry}");
    assert_eq!(site.products().len(), 0, "a dry run changes nothing");
    let (is_well, report) = site.import(&[&first[..], &["--rejects", word(&list)]].concat());
    assert!(!is_well, "rejected rows are no success");
    for (figure, expected) in [
        ("rows", rows.len()),
        ("created", titled.len()),
        ("refused", missing.len()),
        ("skus", skus.len()),
        ("repeated", rows.len() - skus.len()),
        ("twins", skus.len() - lower.len()),
        ("trimmed", blanks),
    ] {
        assert_eq!(report[figure].as_u64(), Some(expected as u64), "{figure}: {report}");
    }
    let count = |figure: &str| report[figure].as_u64().expect("a count");
    assert_eq!(count("created") + count("changed") + count("unchanged") + count("refused"), count("rows"));
    assert_eq!(report["rejects"][0]["code"], "title_missing");
    let listed: Vec<u64> = rows_of(&list).iter().map(|row| row[0].parse().expect("a line")).collect();
    assert_eq!(listed, missing, "every rejected row is listed with its line");
    for figure in ["created", "refused"] {
        assert_eq!(dry[figure], report[figure], "{figure} of the dry run");
    }

    // The last row wins, and twins are kept apart.
    let products = site.products();
    assert_eq!(products.len(), titled.len());
    for sku in ["85123A", "22423", "POST", "M"].into_iter().chain(["85123a", "84997D", "84997d"]) {
        let price = rows.iter().rfind(|row| row[1] == sku).map(|row| row[5].parse::<f64>().expect("a price"));
        let title = rows.iter().rfind(|row| row[1] == sku && !row[2].trim().is_empty()).map(|row| row[2].trim());
        let Some((price, title)) = price.zip(title) else { continue };
        let product = products.iter().find(|product| product["id"] == sku).expect("it is there");
        assert_eq!(product["title"], title);
        assert_eq!(product["variants"][0]["prices"], json!([{"currency": "GBP", "amount": format!("{price:.2}")}]));
    }

    // The same command again finds that it is done; without what is free, nothing is free.
    let (_, again) = site.import(&first);
    assert_eq!((&again["job"], &again["created"]), (&report["job"], &report["created"]));
    let (_, fewer) = site.import(&[&first[..], &["--skip-zero-price", "--skip", "InvoiceNo=C*"]].concat());
    assert_eq!(fewer["refused"], 0, "rows without a name are those without a price: {fewer}");
    let canceled = rows.iter().filter(|row| row[0].starts_with('C')).count();
    assert_eq!(fewer["skipped"]["InvoiceNo=C*"].as_u64(), Some(canceled as u64));

    let data = site.stop();
    assert_sound(&data);
    say("retail import", &format!("{} rows, {} products, {} rejected", rows.len(), titled.len(), missing.len()));
}

#[test]
fn an_import_goes_on_after_crashes_on_either_side() {
    // Somewhat less than twice as many rows: a million.
    let products = if prove() { 565_000 } else { 6_000 };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("catalogue.csv.gz");
    let mut make = kontor(&["demo-data", "--format", "csv", "--products", &products.to_string()]);
    make.arg(&file);
    assert!(run(make).status.success());
    let data = folder.path().join("data");
    let mut site = Site::start(&data);

    // The site dies, then the import does, and each time the same command goes on.
    let mut through = 0;
    for round in 0..2 {
        let mut import = site.command(&["import", "products", word(&file), "--wait", "0", "--json"]);
        let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary can be started");
        through = site.wait_for_rows(through + products / 4);
        if round == 0 {
            site.kill();
            assert!(!import.wait().expect("our own child").success(), "an import that broke off is no success");
            site = Site::start(&data);
        } else {
            import.kill().expect("it runs");
            import.wait().expect("our own child");
        }
        let kept = site.rows_of_job();
        assert!(kept >= through, "{through} rows were acknowledged, {kept} are kept");
        through = kept;
    }
    let (is_well, report) = site.import(&["products", word(&file)]);
    assert!(is_well, "{report}");
    let rows = report["rows"].as_u64().expect("a count");
    assert!(through < rows, "it was interrupted");
    assert_eq!(report["created"].as_u64(), Some(products));
    assert_eq!(site.rows_of_job(), rows, "every row once");
    let memory = report["peak_memory_mib"].as_u64().unwrap_or(0);
    assert!(memory < 160, "{memory} MiB for {rows} rows");

    // What an import without any crash would have made.
    let other = Site::start(&folder.path().join("other"));
    let (is_well, smooth) = other.import(&["products", word(&file)]);
    assert!(is_well && smooth["created"] == report["created"] && smooth["changed"] == report["changed"], "{smooth}");
    let exports = [&site, &other].map(|site| site.export("products", "all.csv"));
    assert!(exports[0] == exports[1], "the same file makes the same catalogue");
    assert_sound(&site.stop());
    say("import", &format!("{products} products, {rows} rows, two crashes, {memory} MiB"));
    say("import", &format!("without a crash {} rows/s", smooth["rows_per_second"].as_f64().unwrap_or(0.0).round()));
}

#[test]
fn what_is_exported_comes_back_as_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    shop::open_place(&mut site.server.client());
    for product in [
        json!({"sku": "-1", "title": "=Mug, \"blue\"", "description": "One\n\nTwo", "status": "draft", "brand": "@home"}),
        json!({"id": "SHIRT", "title": "Shirt", "options": ["Size", "Color"], "categories": ["B|C", "A"],
        "attributes": {"care": ["40 °C"], "weight": 3.0, "grams": 250, "dry": false},
        "media": [{"url": "https://example.org/1.jpg", "kind": "image", "alt": "A shirt"}],
        "translations": {"de": {"title": "Hemd"}}, "merge": "authority:main",
        "variants": [
            {"sku": "SHIRT-S", "gtin": "2100000000012", "title": "Small", "options": {"Size": "S", "Color": "+red"},
             "policy": "track_only", "backorder_limit": 5, "attributes": {"cm": 1.5},
             "prices": [{"currency": "GBP", "amount": "2.5"}, {"currency": "GBP", "amount": "2",
                "valid_from": "2026-11-21T00:00:00Z", "valid_until": "2026-12-01T00:00:00Z"}]},
            {"sku": "SHIRT-M", "options": {"Size": "M", "Color": "blue"}}],
        }),
    ] {
        site.server
            .client()
            .post("/api/v1/products", &product["title"].to_string().len().to_string(), &product)
            .expect("up")
            .success();
    }
    let listing = json!({"title": "The shirt", "prices": [{"sku": "SHIRT-M", "currency": "GBP", "amount": "3.00"}]});
    let headers = [("X-API-Key", KEY), ("Content-Type", "application/json"), ("If-Match", "*")];
    let path = "/api/v1/products/SHIRT/markets/gb";
    let body = listing.to_string();
    site.server.client().send("PATCH", path, &headers, body.as_bytes()).expect("up").success();
    let demo = folder.path().join("demo.ndjson");
    let mut make = kontor(&["demo-data", "--products", "300"]);
    make.arg(&demo);
    assert!(run(make).status.success());
    assert!(site.import(&["products", word(&demo)]).0);
    shop::receive(&mut site.server.client(), "SHIRT-M", 12);

    let counts = site.export("counts", "counts.csv");
    let ndjson = site.export("products", "all.ndjson.gz");
    for name in ["all.csv", "all.csv.gz", "all.ndjson", "all.ndjson.gz"] {
        let file = folder.path().join(name);
        let out = site.export("products", name);
        fs::write(&file, &out).expect("writable");
        let other = Site::start(&folder.path().join(format!("data-{name}")));
        let (is_well, report) = other.import(&["products", word(&file)]);
        assert!(is_well && report["refused"] == 0, "{report}");
        assert!(other.export("products", name) == out, "{name} comes back as other bytes");
        assert!(other.export("products", "all.ndjson.gz") == ndjson, "{name} makes another catalogue");

        shop::open_place(&mut other.server.client());
        let file = folder.path().join("counts.csv");
        fs::write(&file, &counts).expect("writable");
        assert!(other.import(&["counts", word(&file)]).0);
        assert!(other.export("counts", "counts.csv") == counts);
        let (is_well, report) = other.import(&["counts", word(&file), "--again"]);
        assert!(is_well && report["changed"] == 0 && report["unchanged"] == report["rows"], "{report}");
    }
}

/// Products of which a line of JSON would be longer than any that is imported.
#[test]
fn products_too_long_for_a_line_come_back_as_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    let file = folder.path().join("long.ndjson");
    let words = |count: usize| "\"\\ ".repeat(count / 3) + "end";
    let mut lines = vec![json!({"id": "EVERYWHERE", "title": "Mug", "variants": [{"sku": "EVERYWHERE"}]})];
    for market in 0..40 {
        let prices = json!([{"sku": "EVERYWHERE", "currency": "EUR", "amount": "2.00"}]);
        let listing = json!({"market": format!("m{market}"), "description": words(8_000), "prices": prices});
        lines.push(json!({"id": "EVERYWHERE", "markets": [listing]}));
    }
    // Two fields that cannot be set in parts, and many that can.
    let list: Vec<String> = (0..100).map(|number| format!("{number:02}{}", words(990))).collect();
    lines.push(json!({"id": "LISTS", "title": "Lists", "attributes": {"one": list}, "variants": [{"sku": "LISTS"}]}));
    lines.push(json!({"id": "LISTS", "attributes": {"two": list}, "variants": []}));
    for variant in 0..184 {
        let attributes = json!({"care": words(1_000), "a": 1});
        let variant =
            json!({"sku": format!("V-{variant}"), "options": {"No": variant.to_string()}, "attributes": attributes});
        lines.push(json!({"id": "VARIED", "title": "Varied", "options": ["No"], "variants": [variant]}));
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&file, text).expect("writable");
    let (is_well, report) = site.import(&["products", word(&file)]);
    assert!(is_well, "{report}");

    let ndjson = site.export("products", "all.ndjson");
    assert!(ndjson.split(|byte| *byte == b'\n').count() > 10, "they are told in several lines");
    for name in ["all.csv", "all.ndjson"] {
        let file = folder.path().join(name);
        let out = site.export("products", name);
        fs::write(&file, &out).expect("writable");
        let other = Site::start(&folder.path().join(format!("data-{name}")));
        let (is_well, report) = other.import(&["products", word(&file)]);
        assert!(is_well && report["refused"] == 0, "{name}: {report}");
        assert!(other.export("products", name) == out, "{name} comes back as other bytes");
        assert!(other.export("products", "all.ndjson") == ndjson, "{name} makes another catalogue");
        assert_sound(&other.stop());
    }
}

#[test]
fn an_import_is_undone_where_nobody_has_changed_it_since() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    let first = folder.path().join("first.csv");
    fs::write(&first, "sku,title,price.EUR\nA,Mug,5\nB,Bowl,6\n").expect("writable");
    assert!(site.import(&["products", word(&first)]).0);
    let before = site.export("products", "all.csv");

    let second = folder.path().join("second.csv");
    let rows: String = (0..1_200).map(|n| format!("NEW-{n},New {n},1\n")).collect();
    fs::write(&second, format!("sku,title,price.EUR\nA,Cup,7\nA,Cup,8\nB,Bowl,9\n{rows}")).expect("writable");
    let (is_well, report) = site.import(&["products", word(&second)]);
    assert!(is_well, "{report}");
    assert_eq!(site.products().len(), 1_202);
    let job = report["job"].as_str().expect("a job").to_owned();
    let (is_well, undone) = site.json(&["import", "undo", &job]);
    assert!(is_well && undone["changed_since"] == 0 && undone["undone"] == 1_203, "{undone}");
    assert_eq!(site.export("products", "all.csv"), before);
    let (is_well, said) = site.json(&["import", "products", word(&second)]);
    assert!(!is_well && said["error"].as_str().is_some_and(|error| error.contains("--again")), "{said}");

    // Somebody has put another price on it since: that price stays.
    let (_, report) = site.import(&["products", word(&second), "--again"]);
    let third = folder.path().join("third.csv");
    fs::write(&third, "sku,price.EUR\nB,4.50\n").expect("writable");
    assert!(site.import(&["products", word(&third)]).0);
    let (_, undone) = site.json(&["import", "undo", report["job"].as_str().expect("a job")]);
    assert_eq!(undone["changed_since"], 1, "{undone}");
    let left = String::from_utf8(site.export("products", "all.csv")).expect("UTF-8");
    let before = String::from_utf8(before).expect("UTF-8");
    assert_eq!(left, before.replace("6.00", "4.50"));
    assert_sound(&site.stop());
}

/// Killed while rows are booked, and again while they are taken back: each row once, each way.
#[test]
fn an_import_of_stock_is_undone_across_crashes() {
    let rows: u64 = if prove() { 200_000 } else { 8_000 };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (products, stock) = (folder.path().join("products.csv"), folder.path().join("stock.csv"));
    let skus: String = (0..97).map(|n| format!("S-{n},Thing {n}\n")).collect();
    fs::write(&products, format!("sku,title\n{skus}")).expect("writable");
    let lines: String = (0..rows).map(|n| format!("S-{},berlin,{}\n", n % 97, 1 + n % 3)).collect();
    fs::write(&stock, format!("sku,location,quantity\n{lines}")).expect("writable");
    let data = folder.path().join("data");
    let mut site = Site::start(&data);
    assert!(site.import(&["products", word(&products)]).0);
    let berlin = json!({"id": "berlin", "name": "Berlin"});
    assert_eq!(site.server.client().post("/api/v1/locations", "berlin", &berlin).expect("up").status, 201);
    let on_hand = |site: &Site| -> i64 {
        let text = String::from_utf8(site.export("stock", "stock.ndjson")).expect("UTF-8");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|line| line["on_hand"].as_i64().expect("on_hand")).sum()
    };
    let jobs = |site: &Site| site.server.client().get("/api/v1/jobs").expect("up").success().json()["items"].clone();
    let stock_job = |site: &Site| -> Value {
        let all = jobs(site);
        let mut all = all.as_array().expect("jobs").iter();
        all.find(|job| job["kind"] == "import_stock").cloned().unwrap_or_default()
    };

    let mut import = site.command(&["import", "stock", word(&stock), "--wait", "0", "--json"]);
    let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary can be started");
    while stock_job(&site)["through_line"].as_u64().unwrap_or(0) < rows / 4 {}
    site.kill();
    import.wait().expect("our own child");
    site = Site::start(&data);
    let (is_well, report) = site.import(&["stock", word(&stock)]);
    assert!(is_well, "{report}");
    let booked: u64 = (0..rows).map(|n| 1 + n % 3).sum();
    assert_eq!(u64::try_from(on_hand(&site)), Ok(booked), "every row once");

    let job = report["job"].as_str().expect("a job").to_owned();
    let mut undo = site.command(&["import", "undo", &job]);
    let mut undo = undo.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary can be started");
    while stock_job(&site)["status"] == "finished" {}
    site.kill();
    undo.wait().expect("our own child");
    site = Site::start(&data);
    let before = stock_job(&site)["undone"].as_u64().expect("a count");
    let (is_well, undone) = site.json(&["import", "undo", &job]);
    assert!(is_well && undone["changed_since"] == 0, "{undone}");
    let all = before + undone["undone"].as_u64().expect("a count");
    assert_eq!((all, on_hand(&site)), (rows, 0), "{undone}");
    assert!(before < rows, "it was killed when all was undone");
    assert_sound(&site.stop());
}

/// "An empty cell says nothing", also where several columns are one field.
#[test]
fn a_column_changes_what_it_names_and_no_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    let import = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("writable");
        let (is_well, report) = site.import(&["products", word(&file)]);
        assert!(is_well, "{name}: {report}");
    };
    let product = json!({
        "id": "SH", "title": "Shirt", "options": ["Size", "Color"],
        "translations": {"de": {"title": "Hemd", "description": "Aus Leinen"}},
        "media": [{"url": "https://example.org/1.jpg", "kind": "image", "alt": "A shirt"},
                  {"url": "https://example.org/1.mp4", "kind": "video"}],
        "variants": [{"sku": "SH-S", "options": {"Size": "S", "Color": "red"}},
                     {"sku": "SH-M", "options": {"Size": "M", "Color": "red"}}],
    });
    import("shirt.ndjson", &product.to_string());
    import("german.csv", "sku,title.de\nSH-S,Leinenhemd\n");
    import("color.csv", "sku,option.Color\nSH-S,blue\n");
    import("fit.csv", "sku,option.Size,option.Fit\nSH-S,,slim\nSH-M,L,\n");
    import("image.csv", "sku,image\nSH-S,https://example.org/1.jpg|https://example.org/2.jpg\n");
    import("mug.csv", "sku,title,title.de,description.de,option.Glaze\nMUG,Mug,Tasse,,\nMUG,,,Aus Ton,\nMUG,,,,blue\n");
    let products = site.products();
    let shirt = products.iter().find(|product| product["id"] == "SH").expect("it is there");
    assert_eq!(shirt["translations"]["de"], json!({"title": "Leinenhemd", "description": "Aus Leinen"}));
    assert_eq!(shirt["options"], json!(["Size", "Color", "Fit"]));
    assert_eq!(shirt["variants"][0]["options"], json!({"Size": "S", "Color": "blue", "Fit": "slim"}));
    assert_eq!(shirt["variants"][1]["options"], json!({"Size": "L", "Color": "red"}));
    let mut media = product["media"].as_array().expect("media").clone();
    media.push(json!({"url": "https://example.org/2.jpg", "kind": "image"}));
    assert_eq!(shirt["media"], Value::from(media));
    let mug = products.iter().find(|product| product["id"] == "MUG").expect("it was made");
    assert_eq!(mug["translations"]["de"], json!({"title": "Tasse", "description": "Aus Ton"}));
    assert_eq!((&mug["options"], &mug["variants"][0]["options"]), (&json!(["Glaze"]), &json!({"Glaze": "blue"})));
    assert_sound(&site.stop());
}

#[test]
fn rejected_rows_are_listed_also_of_an_import_that_is_done() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    let file = folder.path().join("file.csv");
    fs::write(&file, "sku,title,price.EUR\nA,Mug,1\nB,Bowl,dear\n\nC,,1\n").expect("writable");
    let (list, again) = (folder.path().join("rejected.csv"), folder.path().join("again.csv"));
    let (is_well, report) = site.import(&["products", word(&file), "--rejects", word(&list)]);
    assert!(!is_well && report["refused"] == 2, "{report}");
    let (is_well, done) = site.import(&["products", word(&file), "--rejects", word(&again)]);
    assert!(!is_well);
    assert_eq!((&done["refused"], &done["rejects"]), (&json!(2), &report["rejects"]));
    assert_eq!(fs::read(&again).expect("written"), fs::read(&list).expect("written"));
    let names: Vec<Vec<String>> = rows_of(&list).into_iter().map(|row| row[..3].to_vec()).collect();
    assert_eq!(names, [["3", "B", "price_invalid"], ["5", "C", "title_missing"]]);

    // What cannot be done says so, and promises and leaves nothing.
    let (is_well, said) = site.json(&["import", "undo", "job_0123456789abcdef0123456789abcdef"]);
    let error = said["error"].as_str().unwrap_or_default();
    assert!(!is_well && error.contains("404") && !error.contains("goes on"), "{said}");
    let maps: Vec<String> = (0..92).map(|n| format!("attribute.a_name_of_some_length_{n}=title")).collect();
    let maps: Vec<&str> = maps.iter().flat_map(|map| ["--map", map.as_str()]).chain(["--map", "sku=sku"]).collect();
    for dry_run in [&["--dry-run"][..], &[]] {
        let (is_well, said) = site.json(&[&["import", "products", word(&file)], &maps[..], dry_run].concat());
        assert!(!is_well && said["error"].as_str().is_some_and(|error| error.contains("--map")), "{said}");
    }
    let address = site.server.address.to_string();
    assert_sound(&site.stop());
    let mut gone = kontor(&["import", "products", word(&file), "--again", "--wait", "0", "--rejects", word(&again)]);
    gone.env("KONTOR_URL", format!("http://{address}")).env("KONTOR_KEY", KEY);
    assert!(!run(gone).status.success());
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, ["again.csv", "data", "data.master-key", "file.csv", "rejected.csv"]);
}

#[test]
fn of_bad_files_as_much_is_applied_as_the_report_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    let rows = |from: u64, to: u64| -> String { (from..to).map(|n| format!("S-{n},Thing {n}\n")).collect() };
    let gzip = |text: &str| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text.as_bytes()).expect("in memory");
        packed.finish().expect("in memory")
    };
    let head = "sku,title\n";
    let truncated = gzip(&format!("{head}{}", rows(0, 4_000)));
    let long = format!("{head}{}L,{}\n{}", rows(5_000, 5_010), "x".repeat(3 << 20), rows(5_010, 5_020));
    for (name, bytes, code) in [
        ("truncated.csv.gz", truncated[..truncated.len() * 2 / 3].to_vec(), "gzip_truncated"),
        (
            "open-quote.csv",
            format!("{head}{}Q,\"open\n{}", rows(4_100, 4_200), rows(4_200, 4_300)).into_bytes(),
            "quote_not_closed",
        ),
        ("wrong-delimiter.csv", b"sku:title\nA:Mug\n".to_vec(), "delimiter_unknown"),
        ("workbook.csv", b"PK\x03\x04 and so on".to_vec(), "not_text"),
        ("empty.csv", Vec::new(), "header_missing"),
        ("latin1.csv", [head.as_bytes(), rows(4_300, 4_310).as_bytes(), b"CR,Cr\xE8me\n"].concat(), "encoding"),
        ("nul.csv", [head.as_bytes(), b"N,Nu\0l\n", rows(4_310, 4_320).as_bytes()].concat(), "nul_byte"),
        ("long.csv", long.into_bytes(), "row_too_long"),
        ("formula.csv", [head.as_bytes(), b"F,=1+1\n,=2\n"].concat(), "sku_missing"),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("writable");
        let before = site.products().len() as u64;
        let (is_well, report) = site.import(&["products", word(&file)]);
        assert!(!is_well && report.to_string().contains(code), "{name}: {report}");
        let created = report["created"].as_u64().unwrap_or(0);
        assert_eq!(site.products().len() as u64 - before, created, "{name}: {report}");
        if name == "truncated.csv.gz" {
            assert!(created > 500, "{report}");
        }
    }
    let products = site.products();
    assert!(products.iter().any(|product| product["id"] == "F" && product["title"] == "=1+1"), "a formula is a text");
    let file = folder.path().join("latin1.csv");
    assert!(site.import(&["products", word(&file), "--encoding", "latin1"]).0);
    assert!(site.products().iter().any(|product| product["title"] == "Crème"));
    assert_sound(&site.stop());
}

/// The page's own commands, on the file that comes with the repository.
#[test]
fn the_tutorial_says_what_happens() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::start(&folder.path().join("data"));
    let page = fs::read_to_string(root().join("docs/import.md")).expect("docs/import.md");
    let (_, tutorial) = page.split_once("## A first import").expect("the tutorial");
    let (command, _) = tutorial.split_once("```sh\n").and_then(|(_, rest)| rest.split_once("```")).expect("a command");
    let command = command.replace("kontor import", "").replace("\\\n", " ").replace(" --dry-run", "");
    let words = words(&command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (is_well, report) = site.import(&words);
    assert!(!is_well, "{report}");
    let mut codes: Vec<String> = Vec::new();
    for rejects in report["rejects"].as_array().expect("rejects") {
        let lines = rejects["first"].as_array().expect("first").iter().map(|row| row["line"].to_string());
        codes.push(format!("{} {}", rejects["code"].as_str().expect("a code"), lines.collect::<Vec<_>>().join(" ")));
    }
    assert_eq!(
        codes,
        [
            "price_invalid 12 13",
            "column_count 14",
            "number_invalid 17",
            "quote_misplaced 18",
            "sku_missing 15",
            "title_missing 11",
        ]
    );
    assert_eq!((&report["created"], &report["changed"]), (&json!(7), &json!(1)), "{report}");
    let products = site.products();
    let title = |id: &str| products.iter().find(|product| product["id"] == id).map(|product| product["title"].clone());
    assert_eq!(title("TM-300"), Some(json!("=HYPERLINK(\"https://example.org\";\"Tin jug\")")));
    assert_eq!(title("TM-301"), Some(json!("=HYPERLINK, the song")));
    assert_eq!(title("TM-200"), Some(json!("Tin plate, 24 cm, blue rim")), "the last row wins");
    assert!(title("TM-101") != title("tm-101"));
}

/// A running site, with commands that talk to it.
struct Site {
    server: Server,
    data: PathBuf,
}

impl Site {
    fn start(data: &Path) -> Site {
        Site { server: Server::start(data), data: data.to_owned() }
    }

    fn stop(self) -> PathBuf {
        self.server.stop();
        self.data
    }

    fn kill(self) {
        self.server.kill();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = kontor(words);
        command.env("KONTOR_URL", format!("http://{}", self.server.address)).env("KONTOR_KEY", KEY);
        command
    }

    /// Whether a command ended well, and the JSON that it printed.
    fn json(&self, words: &[&str]) -> (bool, Value) {
        let mut command = self.command(words);
        command.arg("--json");
        let Output { status, stdout, stderr } = run(command);
        let said = serde_json::from_slice(&stdout);
        (status.success(), said.unwrap_or_else(|e| panic!("{words:?}: {e}: {}", String::from_utf8_lossy(&stderr))))
    }

    fn import(&self, words: &[&str]) -> (bool, Value) {
        self.json(&[&["import"], words].concat())
    }

    fn export(&self, what: &str, name: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(name);
        let output = run(self.command(&["export", what, word(&file)]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(file).expect("it was written")
    }

    /// All products, as they are exported.
    fn products(&self) -> Vec<Value> {
        let lines = String::from_utf8(self.export("products", "all.ndjson")).expect("UTF-8");
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Rows that the only job of the site has taken.
    fn rows_of_job(&self) -> u64 {
        let jobs = self.server.client().get("/api/v1/jobs").expect("up").success().json();
        jobs["items"][0]["through_line"].as_u64().unwrap_or(0)
    }

    fn wait_for_rows(&self, rows: u64) -> u64 {
        loop {
            let through = self.rows_of_job();
            if through >= rows {
                return through;
            }
        }
    }
}

/// Words of a command as a shell makes them; quotes are the only other thing that the page uses.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut is_quoted = false;
    let mut word = String::new();
    for letter in command.chars().chain([' ']) {
        match letter {
            '\'' => is_quoted = !is_quoted,
            letter if letter.is_whitespace() && !is_quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    words.iter().map(|word| word.replace("examples/", &format!("{}/examples/", root().display()))).collect()
}

fn books() -> PathBuf {
    std::env::var_os("KONTOR_RETAIL_CSV").map_or_else(|| root().join(BOOKS), PathBuf::from)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Rows of a table, read by another's hand.
fn rows_of(file: &Path) -> Vec<Vec<String>> {
    let bytes = fs::read(file).expect("readable");
    let plain: Box<dyn std::io::Read> = match bytes.starts_with(b"\x1F\x8B") {
        true => Box::new(flate2::read::GzDecoder::new(std::io::Cursor::new(bytes))),
        false => Box::new(std::io::Cursor::new(bytes)),
    };
    let mut rows = Vec::new();
    for record in csv::Reader::from_reader(plain).records() {
        rows.push(record.expect("a row").iter().map(str::to_owned).collect());
    }
    rows
}
