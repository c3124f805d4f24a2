//! Imports of stock: every line once, and taken back as far as nobody has moved what they booked.

mod support;

use kontor_core::command::{Command, StockItem};
use kontor_core::event::Event;
use kontor_core::id::JobId;
use kontor_core::job::{Job, JobKind, JobOptions, JobStatus, JobStep, LineOutcome, Source};
use kontor_core::refusal::Refusal;
use kontor_core::view::row;
use support::ledger::{opened, play_done};
use support::{Answer, Shop, place, sku};

const JOB: JobId = JobId(*b"one-single-job!!");

#[test]
fn what_came_in_is_written_off_as_far_as_it_is_free() {
    let mut shop = opened();
    start(&mut shop, JobKind::Stock);
    let told =
        book(&mut shop, 1, &[(1, "apples", 10), (2, "pears", 5), (3, "melons", 1), (4, "cream", 3), (6, "pears", 2)]);
    assert_eq!(told, ["1 booked", "2 booked", "3 unknown_sku", "4 booked", "6 booked"]);
    assert_eq!(job(&shop).counts.changed, 4);
    play_done(&mut shop, "reserve r1 3 apples for 1h");
    play_done(&mut shop, "issue 1 apples");
    play_done(&mut shop, "issue 3 cream");
    // A second time from here on, as after a crash of whoever asks.
    let mut crashed = shop.clone();
    assert_eq!(
        undo(&mut shop),
        [
            "4 changed_since: 3 of 3 units of cream at shop are gone or promised",
            "1 changed_since: 4 of 10 units of apples at shop are gone or promised"
        ]
    );
    assert_eq!(["apples", "pears", "cream"].map(|sku| on_hand(&shop, sku)), [3, 0, 0]);
    let now = job(&shop);
    assert_eq!((now.status, now.put_back, now.left), (JobStatus::Undone, 2, 2));
    let again = shop.ask(Command::UndoJob { id: JOB }, None);
    assert_eq!(again, Answer::No(Refusal::JobState { job: JOB, status: JobStatus::Undone }));
    assert_eq!(undo(&mut crashed).len(), 2);
    assert_eq!(on_hand(&crashed, "apples"), 3);
    shop.audit();
}

#[test]
fn what_was_counted_is_counted_back_unless_something_has_moved() {
    let mut shop = opened();
    for stock in ["receive 8 apples", "receive 8 pears", "receive 8 cream", "receive 8 ice"] {
        play_done(&mut shop, stock);
    }
    start(&mut shop, JobKind::Counts);
    let told = book(
        &mut shop,
        1,
        &[(1, "apples", 5), (2, "pears", 12), (3, "cream", 9), (4, "ice", 8), (5, "apples", 7), (6, "apples", 6)],
    );
    assert_eq!(told, ["1 booked", "2 booked", "3 booked", "4 unchanged", "5 booked", "6 booked"]);
    // Moved, and as many there as before.
    play_done(&mut shop, "issue 1 pears");
    play_done(&mut shop, "receive 1 pears");
    // Promised: counting back leaves enough.
    play_done(&mut shop, "reserve r1 8 cream for 1h");
    assert_eq!(undo(&mut shop), ["2 changed_since: pears at shop was moved or counted since"]);
    assert_eq!(["apples", "pears", "cream", "ice"].map(|sku| on_hand(&shop, sku)), [8, 12, 8, 8]);
    shop.audit();
}

#[test]
fn no_count_goes_back_below_what_is_promised_or_below_zero() {
    let mut shop = opened();
    play_done(&mut shop, "issue 2 ice");
    start(&mut shop, JobKind::Counts);
    book(&mut shop, 1, &[(1, "apples", 5), (2, "ice", 5)]);
    play_done(&mut shop, "reserve r1 1 apples for 1h");
    assert_eq!(
        undo(&mut shop),
        [
            "2 changed_since: there were -2 of ice at shop before, which nobody can count",
            "1 changed_since: more of apples at shop are promised than were there before"
        ]
    );
    shop.audit();
}

/// A line whose reference somebody has used has booked nothing, and there is nothing to take back.
#[test]
fn what_somebody_else_has_booked_is_theirs() {
    let mut shop = opened();
    play_done(&mut shop, &format!("receive 4 apples ref {JOB}:1"));
    start(&mut shop, JobKind::Stock);
    assert_eq!(book(&mut shop, 1, &[(1, "apples", 4)]), ["1 booked"]);
    assert_eq!(undo(&mut shop), ["1 changed_since: it was booked by somebody under its reference"]);
    assert_eq!(on_hand(&shop, "apples"), 4);
}

/// More lines than an entry holds, of one shelf: each step of booking and of undoing goes on where the last
/// one stopped.
#[test]
fn a_full_entry_is_gone_on_with() {
    let mut shop = opened();
    let long = "L".repeat(100);
    play_done(&mut shop, &format!("product {long}"));
    start(&mut shop, JobKind::Stock);
    let all: Vec<StockItem> = (1..=1_000)
        .map(|line| StockItem {
            line,
            sku: sku(if line % 10 == 0 { "apples" } else { &long }),
            location: place("shop"),
            quantity: 1,
        })
        .collect();
    let (mut from_line, mut steps) = (1, 0);
    while from_line <= 1_000 {
        let step = JobStep { job: JOB, from_line, through_line: 1_000, rejected: vec![] };
        let items = all.iter().filter(|item| item.line >= from_line).cloned().collect();
        let events = shop.must(Command::BookStock { step, items });
        let Some(Event::LinesDone(done)) = events.last() else { panic!("{events:?}") };
        (from_line, steps) = (done.through_line + 1, steps + 1);
    }
    assert!(steps > 1, "one entry held all of them");
    assert_eq!((on_hand(&shop, "apples"), on_hand(&shop, &long)), (100, 900));
    assert_eq!(undo(&mut shop), Vec::<String>::new());
    assert_eq!((on_hand(&shop, "apples"), on_hand(&shop, &long)), (0, 0));
    assert_eq!(job(&shop).put_back, 1_000);
    shop.audit();
}

fn start(shop: &mut Shop, kind: JobKind) {
    let (source, options) = (Source::parse("a.csv").expect("a source"), JobOptions::parse("").expect("options"));
    shop.must(Command::StartJob { id: Some(JOB), kind, source, digest: [0; 32], options });
}

fn book(shop: &mut Shop, from_line: u64, lines: &[(u64, &str, u64)]) -> Vec<String> {
    let item =
        |&(line, of, quantity): &(u64, &str, u64)| StockItem { line, sku: sku(of), location: place("shop"), quantity };
    let through_line = lines.last().expect("a line").0;
    let step = JobStep { job: JOB, from_line, through_line, rejected: vec![] };
    let events = shop.must(Command::BookStock { step, items: lines.iter().map(item).collect() });
    let Some(Event::LinesDone(done)) = events.last() else { panic!("{events:?}") };
    let told = |outcome: &LineOutcome| match outcome {
        LineOutcome::Refused { code, .. } => code.to_string(),
        other => other.word().to_owned(),
    };
    done.lines.iter().map(|line| format!("{} {}", line.line, told(&line.outcome))).collect()
}

fn undo(shop: &mut Shop) -> Vec<String> {
    let mut left = Vec::new();
    loop {
        let events = shop.must(Command::UndoJob { id: JOB });
        let Some(Event::JobUndone(undone)) = events.last() else { panic!("{events:?}") };
        left.extend(undone.left.iter().map(|line| {
            let LineOutcome::Refused { code, detail } = &line.outcome else { panic!("{line:?}") };
            format!("{} {code}: {detail}", line.line)
        }));
        if undone.next_chunk.is_none() {
            return left;
        }
    }
}

fn job(shop: &Shop) -> Job {
    row::<Job>(&shop.tables, &shop.site, JOB).expect("rows").expect("a job")
}

fn on_hand(shop: &Shop, of: &str) -> i64 {
    shop.tables.level(of, "shop", &shop.site).on_hand
}
