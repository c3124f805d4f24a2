//! Answers are remembered by the day: for seven, and not for longer.

mod support;

use kontor_core::fold::Remembered;
use kontor_core::record::decode;
use support::ledger::{opened, play, play_done};
use support::{Answer, DAY_MS, DAY_ONE};

/// Seven times 24 hours at least: the day of the answer and the seven after it. Given in the last
/// millisecond of a day or in the first, it is not forgotten before its hour has come.
#[test]
fn an_answer_is_remembered_for_seven_days() {
    for (given, asked, again) in
        [(0, 0, true), (0, 1, true), (0, 7, true), (0, 8, false), (3, 10, true), (3, 11, false)]
    {
        let mut shop = opened();
        let start = shop.now;
        for day in 0..=asked {
            shop.now = start.plus(day * DAY_MS);
            play_done(&mut shop, "start-day");
            if day == given {
                play_done(&mut shop, "receive 1 apples key a");
            }
        }
        shop.now = start.plus((asked + 1) * DAY_MS - 1);
        assert_eq!(matches!(play(&mut shop, "receive 1 apples key a"), Answer::Again(_)), again, "{given} {asked}");
    }
}

/// A site that slept drops what is too old and nothing else, and what it has not dropped yet
/// answers nobody: rows of the same table from eight days before are not today's.
#[test]
fn a_site_that_slept_remembers_what_it_should() {
    for slept in 1..=30 {
        for starts in [true, false] {
            let mut shop = opened();
            let start = shop.now;
            for day in 0..8 {
                shop.now = start.plus(day * DAY_MS);
                play_done(&mut shop, "start-day");
                play_done(&mut shop, &format!("receive 1 apples key day-{day}"));
            }
            let today = 7 + slept;
            shop.now = start.plus(today * DAY_MS);
            if starts {
                play_done(&mut shop, "start-day");
                play_done(&mut shop, "start-day");
            }
            for day in 0..8 {
                let mut asked = shop.clone();
                let again = matches!(play(&mut asked, &format!("receive 1 apples key day-{day}")), Answer::Again(_));
                assert_eq!(again, day + 7 >= today, "day {day} on day {today}, started: {starts}");
            }
            if starts {
                for (table, value) in shop.tables.rows.iter().map(|((table, _), value)| (*table, value)) {
                    if table.name().starts_with("answers_") {
                        let answer: Remembered = decode(table, value).expect("an answer");
                        let day = answer.recorded_at.day() - DAY_ONE;
                        assert!(day + 7 >= today, "day {day} is still kept on day {today}");
                    }
                }
            }
            // Starting a day that has started drops nothing.
            play_done(&mut shop, "start-day");
            play_done(&mut shop, "receive 1 apples key today");
            play_done(&mut shop, "start-day");
            let again = matches!(play(&mut shop, "receive 1 apples key today"), Answer::Again(_));
            assert!(again, "slept {slept}, started: {starts}");
        }
    }
}
