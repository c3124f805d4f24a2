//! Worlds that must hold, worlds that must be equal, and what is said of those that do not hold.
//!
//! Seeds stay the same here, so that a change that breaks a promise breaks this test for everybody. They
//! are few: `make test` lives through 300 fresh ones besides.

use std::path::Path;
use std::process::{Command, Output};

use kontor_sim::{Outcome, Settings, an_hour_apart, run, sell_everything};

/// Where the real books are, beside the repository.
const BOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/online-retail-sample.csv.gz");

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kontor-sim")).args(arguments).output().expect("the simulator was built")
}

fn told(arguments: &[&str]) -> String {
    let output = sim(arguments);
    let told = String::from_utf8(output.stdout).expect("it prints text");
    assert!(output.status.success(), "{arguments:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

/// The first are usual ones; the others were once found to be broken.
#[test]
fn known_worlds_keep_every_promise() {
    for seed in (0..4).chain([55, 199, 271]) {
        let Outcome { violation, .. } = run(&Settings::of(seed), None);
        assert!(violation.is_none(), "--seed {seed}: {violation:#?}");
    }
}

#[test]
fn twenty_worlds_are_the_same_in_another_process() {
    let worlds = ["--seeds", "20", "--from", "100", "--intentions", "200", "--traces"];
    let traces = || told(&worlds).lines().map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (traces(), traces());
    assert_eq!(one.iter().filter(|line| line.starts_with("world ")).count(), 20);
    assert_eq!(one, other, "all twenty traces, and all figures");
}

#[test]
fn a_world_tells_the_same_line_by_line_alone_and_among_others() {
    let lines = |seed: &str| told(&["--seed", seed, "--intentions", "150", "--trace"]);
    let (one, other) = (lines("15"), lines("15"));
    assert!(one.lines().count() > 300, "the world is too short to show anything");
    let differ = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(differ, None);
    let trace = one.lines().find_map(|line| line.strip_prefix("trace ")).unwrap();
    let among = told(&["--seeds", "4", "--from", "13", "--intentions", "150", "--traces", "--jobs", "2"]);
    assert!(among.contains(&format!("world 15 trace {trace}\n")), "{trace}\n{among}");
}

#[test]
fn a_broken_world_fails_and_says_how_to_run_it_again_and_how_to_run_a_smaller_one() {
    let output = sim(&["--seed", "1", "--plant", "late-time"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("-- --seed 1 --intentions 600 --plant late-time --trace"), "{told}");
    let smaller =
        told.lines().find_map(|line| line.trim().strip_prefix("smaller   cargo run --release -p kontor-sim -- "));
    let smaller: Vec<&str> = smaller.unwrap().split(' ').collect();
    let output = sim(&smaller);
    assert_eq!(output.status.code(), Some(1), "the printed line breaks the same promise: {smaller:?}");
}

#[test]
fn two_regions_that_are_cut_apart_for_an_hour_both_keep_selling() {
    let hour = an_hour_apart(1, 1_000).unwrap();
    assert_eq!((hour.sold[1], hour.refused_though_there[1]), ([150, 90], [0, 0]), "nobody notices the cut");
    let hour = an_hour_apart(1, 200).unwrap();
    assert!(hour.sold[1].iter().all(|sold| *sold >= 20), "both go on selling: {hour:?}");
    println!("{hour:?}");
}

#[test]
fn what_two_regions_sell_of_a_real_retailers_books_is_what_the_file_adds_up_to() {
    if !Path::new(BOOKS).exists() {
        println!("left out: no books to read ({BOOKS})");
        return;
    }
    let books = sell_everything(Path::new(BOOKS), 1, 700).unwrap().unwrap();
    assert!(books.cuts > 0 && books.sales.iter().all(|sales| *sales > 10), "{books:?}");
}
