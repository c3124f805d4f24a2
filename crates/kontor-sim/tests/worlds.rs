//! Worlds that must hold, worlds that must be equal, and mistakes that must be found.
//!
//! Seeds stay the same here, so that a change that breaks a promise breaks this test for everybody.
//! `cargo run --release -p kontor-sim` tries fresh ones.

use std::process::Command;

use kontor_sim::{Figures, Outcome, Plant, Settings, run};

fn world(seed: u64, plant: Option<Plant>) -> Outcome {
    run(Settings { seed, intentions: 600, plant }, None)
}

#[test]
fn a_hundred_worlds_keep_every_promise() {
    let mut total = Figures::default();
    for seed in 0..100 {
        let Outcome { figures, violation, .. } = world(seed, None);
        assert!(violation.is_none(), "--seed {seed}: {violation:#?}");
        total += figures;
    }
    println!("{total}");
    let seldom: Vec<_> = total.named().into_iter().filter(|(_, times)| *times < 10).collect();
    assert!(seldom.is_empty(), "a promise is not tried by what hardly ever happens: {seldom:?}");
}

#[test]
fn every_planted_mistake_is_found_within_ten_worlds() {
    for plant in Plant::ALL {
        let seeds = (0..10).map(|number| if plant.is_between_sites() { 2 * number + 1 } else { number });
        let found = seeds.into_iter().find(|seed| world(*seed, Some(plant)).violation.is_some());
        assert!(found.is_some(), "{plant:?} was not found");
    }
}

#[test]
fn the_same_seed_gives_the_same_world_in_another_process() {
    for seed in ["3", "14", "27"] {
        let trace = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kontor-sim"));
            let output = command.args(["--seed", seed, "--intentions", "150", "--trace"]).output().unwrap();
            assert!(output.status.success(), "world {seed}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let (one, other) = (trace(), trace());
        assert!(one.lines().count() > 300, "world {seed} is too short to show anything");
        let differ = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert_eq!(differ, None, "world {seed}");
        assert_eq!(one.len(), other.len());
    }
}

#[test]
fn a_world_in_which_a_promise_is_broken_fails_and_says_how_to_run_it_again() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontor-sim"));
    let output = command.args(["--seed", "1", "--plant", "late-time"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("-- --seed 1 --intentions 600 --plant late-time --trace"), "{told}");
}
