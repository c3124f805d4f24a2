//! The most of everything, at once.

mod support;

use kontor_core::command::Command;
use kontor_core::event::Entry;
use kontor_core::id::Actor;
use kontor_core::limits::{ENTRY_BYTES_MAX, LINES_MAX};
use kontor_core::refusal::Refusal;
use kontor_core::text::Title;
use support::ledger::{opened, play, play_done};
use support::{Answer, Shop, place, request_id};

#[test]
fn a_command_has_a_line_to_twelve_hundred() {
    let mut shop = opened();
    let lines = |count: usize| vec!["1 apples"; count].join(" + ");
    assert!(matches!(play(&mut shop, &format!("receive {}", lines(LINES_MAX))), Answer::Done(_)));
    let too_many = Refusal::LimitExceeded { what: "lines", given: 1_201, max: 1_200 };
    for command in ["issue", "reserve r1", "receive"] {
        let answer = play(&mut shop, &format!("{command} {}", lines(LINES_MAX + 1)));
        assert_eq!(answer, Answer::No(too_many.clone()), "{command}");
    }
}

/// The longest names, the greatest numbers: what one command leads to fits into an entry, and
/// endings of due holds are taken as far as they fit.
#[test]
fn every_entry_fits() {
    let mut shop = Shop::new();
    let location = format!("{:L<64}", "shop");
    shop.must(Command::OpenLocation { id: place(&location), name: Title::parse("Shop").expect("a name") });
    let names: Vec<String> = (0..LINES_MAX).map(|number| format!("{number:S>100}")).collect();
    for name in &names {
        play_done(&mut shop, &format!("product {name}"));
    }
    let all = |quantity: u64| {
        let lines = names.iter().map(|name| format!("{quantity} {name}@{location}"));
        lines.collect::<Vec<_>>().join(" + ")
    };
    let reference = format!("ref {} because {}", "R".repeat(128), "B".repeat(128));
    play_done(&mut shop, &format!("receive {} {reference}", all(1_000_000_000)));
    for round in 0..4 {
        play_done(&mut shop, &format!("reserve r{round} {} owner {} for 1m", all(250_000_000), "O".repeat(128)));
    }
    shop.now = shop.now.plus(60_000);

    // One hold with all its lines fits into the timer's entry, four do not: it takes four turns.
    let due = shop.due();
    let twice: Vec<_> = due.iter().chain(&due).copied().collect();
    for left in (0..3).rev() {
        let Answer::Done(events) = shop.ask(Command::EndDueHolds { ids: twice.clone() }, None) else { panic!("ends") };
        assert_eq!(events.len(), 1, "one at a time");
        assert_eq!(shop.due().len(), left + 1);
        shop.audit();
    }
    // A sale that leaves room for no ending waits for the timer; a short one does not.
    let short = play(&mut shop, &format!("issue {}", all(1_000_000_000)));
    assert!(matches!(short, Answer::No(Refusal::InsufficientStock { available: 750_000_000, .. })), "{short:?}");
    let Answer::Done(events) = play(&mut shop, &format!("issue 1000000000 {}@{location}", names[0])) else {
        panic!("it sells")
    };
    assert_eq!(events.len(), 2, "the last hold was ended for it");
    shop.audit();

    for bytes in &shop.journal {
        for entry in kontor_core::group::decode(bytes).expect("a group").entries {
            let label = "x".repeat(128);
            let (actor, request_id) = (Actor::parse(label.as_str()).expect("an actor"), request_id(&label));
            let longest = Entry { actor, request_id, ..entry };
            let size = kontor_core::group::entry_bytes(&longest);
            assert!(size <= ENTRY_BYTES_MAX, "an entry of {size} bytes");
        }
    }
}
