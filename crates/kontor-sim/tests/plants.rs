//! Mistakes that are planted must be found, for the right reason, within the number of worlds that is
//! written beside each; docs/reliability.md lists them all.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::ValueEnum as _;
use kontor_sim::{Plant, Settings, Violation, run, shrink};

/// The worlds in which a mistake is looked for, in order.
fn seeds(plant: Plant) -> impl Iterator<Item = u64> {
    (0..).map(move |number| if plant.is_between_sites() { 2 * number + 1 } else { number })
}

/// What is found in the worlds in which it must be, until it is the promise that the mistake breaks.
fn found(plant: Plant) -> Result<(), Vec<Violation>> {
    let mut others = Vec::new();
    for (_, seed) in (0..plant.found_within()).zip(seeds(plant)) {
        match run(&Settings { plant: Some(plant), ..Settings::of(seed) }, None).violation {
            Some(violation) if plant.breaks(&violation) => return Ok(()),
            other => others.extend(other),
        }
    }
    Err(others)
}

#[test]
fn every_planted_mistake_is_found_for_the_right_reason_within_the_stated_worlds() {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(plant) = Plant::ALL.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    if let Err(others) = found(plant) {
                        wrong.lock().unwrap().push((plant, others));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "not found, and what was found instead: {wrong:#?}");
}

#[test]
fn every_plant_is_listed_with_the_worlds_that_it_takes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reliability.md");
    let document = fs::read_to_string(path).unwrap();
    for plant in Plant::ALL {
        let name = plant.to_possible_value().unwrap();
        let row = format!("| `{}` |", name.get_name());
        let row = document.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("docs/reliability.md does not list {}", name.get_name()));
        assert!(row.ends_with(&format!("| {} |", plant.found_within())), "{row}");
    }
}

#[test]
fn a_failing_world_is_made_smaller_and_still_fails() {
    let plant = Some(Plant::LoseGroup);
    let settings = seeds(Plant::LoseGroup).map(|seed| Settings { plant, ..Settings::of(seed) });
    let (settings, outcome) = settings
        .map(|settings| (settings.clone(), run(&settings, None)))
        .find(|(_, outcome)| outcome.violation.is_some())
        .unwrap();
    let small = shrink(&settings, &outcome, 60).unwrap();
    assert!(small.worlds <= 60);
    assert!(small.settings.intentions < settings.intentions / 4, "{small:?}");
    assert!(small.faults.len() <= 2, "one crash is enough to lose a group: {:?}", small.faults);
    assert!(small.faults.iter().any(|fault| fault.what.starts_with("Crash")), "{:?}", small.faults);
    let again = run(&small.settings, None);
    assert_eq!(again.violation.unwrap().promise, small.violation.promise);
}
