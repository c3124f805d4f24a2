//! The comparisons from end to end, against a stand-in for kontor that is this very test program.

// A check that cannot be made here says so.
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::extract::{Path as InPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

const PRODUCTS: usize = 300;

#[test]
fn reads_are_compared_on_goods_that_are_seeded_once() {
    let world = World::new();
    let first = world.run(&["compare", "reads", "--hot", "10"]);
    assert!(!said(&first).contains("using the"), "{}", said(&first));
    let created = fs::read_to_string(world.data().join("created")).expect("products were created");
    let mut created: Vec<&str> = created.lines().collect();
    created.sort_unstable();
    let all: Vec<String> = (1..=PRODUCTS).map(|number| format!("P{number:07}")).collect();
    assert_eq!(created, all);

    let report = report(&first);
    assert_eq!(verdict(&report, "requests that failed")["holds"], true, "{report}");
    for figures in ["hot_kontor", "hot_bare", "uniform_kontor", "uniform_bare"] {
        let runs = report["facts"][figures].as_array().expect("a list of runs");
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().all(|run| run["cpu_us"].as_f64() > Some(0.0)), "{runs:?}");
    }
    assert!(report["facts"]["memory"]["resident"].as_u64() > Some(1 << 20));

    let second = world.run(&["compare", "reads", "--hot", "10"]);
    assert!(said(&second).contains("using the"), "{}", said(&second));
    world.assert_nobody_left();
}

#[test]
fn writes_are_compared_with_new_keys_each_time() {
    if !Path::new("/usr/lib/postgresql/15/bin/postgres").exists() {
        return println!("not checked: PostgreSQL 15 is not installed");
    }
    let world = World::new();
    let output = world.run(&["compare", "writes", "--pool", "4"]);
    let report = report(&output);
    assert_eq!(verdict(&report, "requests that failed")["holds"], true, "{}", said(&output));
    // The stand-in says that it syncs once for every two appends.
    assert_eq!(verdict(&report, "fsyncs per group")["value"], 0.5);
    let shop = &report["facts"]["shop_uniform"][0]["cpu_us_of"];
    assert!(shop["shop"].as_f64() > Some(0.0) && shop["database"].as_f64() > Some(0.0), "{shop}");
    world.assert_nobody_left();
}

#[test]
fn starts_are_timed_after_a_stop_and_after_a_kill() {
    let world = World::new();
    let report = report(&world.run(&["start", "--times", "1"]));
    for fact in ["after_stop_s", "after_kill_s"] {
        assert_eq!(report["facts"][fact].as_array().map(Vec::len), Some(1), "{report}");
    }
    world.assert_nobody_left();
}

#[test]
fn a_kontor_that_does_not_start_is_an_error_with_its_words() {
    let world = World::new();
    fs::write(&world.kontor, "#!/bin/sh\necho out of luck\nexit 3\n").expect("a script");
    let output = world.run(&["compare", "reads"]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("kontor ended with exit status: 3"), "{said}");
}

struct World {
    folder: tempfile::TempDir,
    kontor: PathBuf,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kontor = folder.path().join("kontor");
        let this = std::env::current_exe().expect("a test program has a path");
        let script = format!(
            "#!/bin/sh\nSTAND_IN_DATA=$3 STAND_IN_LISTEN=$5 exec {} stand_in --exact --nocapture\n",
            this.display()
        );
        fs::write(&kontor, script).expect("a script");
        let runs = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&kontor, runs).expect("a script that runs");
        World { folder, kontor }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("bench").join(PRODUCTS.to_string()).join("data")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kontor-load"))
            .args(arguments)
            .args(["--pairs", "2", "--seconds", "0.2", "--warm-up", "0.1", "--connections", "8"])
            .args(["--products", &PRODUCTS.to_string(), "--json"])
            .arg("--kontor")
            .arg(&self.kontor)
            .arg("--data")
            .arg(self.folder.path().join("bench"))
            .output()
            .expect("the program runs")
    }

    /// No process speaks of this world's folder in its arguments or environment any more.
    fn assert_nobody_left(&self) {
        let folder = self.folder.path().to_str().expect("a plain name").as_bytes();
        for entry in fs::read_dir("/proc").expect("/proc can be listed") {
            let process = entry.expect("/proc can be listed").path();
            for file in ["cmdline", "environ"] {
                let text = fs::read(process.join(file)).unwrap_or_default();
                let ours = text.windows(folder.len()).any(|part| part == folder);
                assert!(!ours, "{} is left: {}", process.display(), String::from_utf8_lossy(&text));
            }
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

fn verdict<'a>(report: &'a Value, what: &str) -> &'a Value {
    let verdicts = report["verdicts"].as_array().expect("a list of verdicts");
    let found = verdicts.iter().find(|verdict| verdict["what"] == what);
    found.unwrap_or_else(|| panic!("no verdict on {what} in {report}"))
}

/// The stand-in for kontor; without the environment that its script sets this is no test.
#[test]
fn stand_in() {
    let (Ok(data), Ok(listen)) = (std::env::var("STAND_IN_DATA"), std::env::var("STAND_IN_LISTEN")) else {
        return;
    };
    fs::create_dir_all(&data).expect("a data folder");
    let shelf = Arc::new(Shelf { data: data.into(), ..Shelf::default() });
    let created = fs::read_to_string(shelf.data.join("created")).unwrap_or_default();
    shelf.products.lock().expect("no panic").extend(created.lines().map(str::to_owned));
    let router = Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/metrics", get(metrics))
        .route("/api/v1/locations", post(async || StatusCode::CREATED))
        .route("/api/v1/products", post(create))
        .route("/api/v1/products/{id}", get(read))
        .route("/api/v1/stock/receive", post(book))
        .route("/api/v1/stock/issue", post(book))
        .with_state(shelf);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(&listen).await.expect("the port is free");
        axum::serve(listener, router).await.expect("it serves");
    });
}

#[derive(Default)]
struct Shelf {
    data: PathBuf,
    products: Mutex<BTreeSet<String>>,
    /// Bookings by idempotency key.
    booked: Mutex<BTreeMap<String, String>>,
}

async fn create(State(shelf): State<Arc<Shelf>>, Json(product): Json<Value>) -> StatusCode {
    let id = product["id"].as_str().expect("an id").to_owned();
    let file = shelf.data.join("created");
    let mut file = fs::File::options().create(true).append(true).open(file).expect("a file");
    // In one write, because others append at the same time.
    file.write_all(format!("{id}\n").as_bytes()).expect("a line is written");
    if shelf.products.lock().expect("no panic").insert(id) { StatusCode::CREATED } else { StatusCode::CONFLICT }
}

async fn read(State(shelf): State<Arc<Shelf>>, InPath(id): InPath<String>) -> Response {
    if !shelf.products.lock().expect("no panic").contains(&id) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let product = json!({ "title": format!("Mug {}", &id[1..]), "id": id });
    ([("etag", "\"1\""), ("x-request-id", "req-17")], Json(product)).into_response()
}

/// Books a seeded SKU under a key that was not used before, and refuses anything else.
async fn book(State(shelf): State<Arc<Shelf>>, headers: HeaderMap, body: String) -> StatusCode {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let (Some(key), true) = (key, headers.contains_key("x-api-key")) else {
        return StatusCode::BAD_REQUEST;
    };
    match shelf.booked.lock().expect("no panic").insert(key.to_owned(), body) {
        None => StatusCode::CREATED,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

async fn metrics(State(shelf): State<Arc<Shelf>>) -> String {
    let booked = shelf.booked.lock().expect("no panic").len();
    let (appends, syncs) = (booked * 2, booked);
    format!(
        "kontor_journal_appends_total {appends}\nkontor_journal_syncs_total {syncs}\n\
         kontor_journal_entries_total {booked}\n"
    )
}
