//! Units that one location asks of another, over two sites and within one: stories that a shopkeeper can
//! read. Nobody hands anything out before the other side has confirmed it, and nothing is in two places.

mod support;

use kontor_core::fold::fold_judged;
use kontor_core::group::Group;
use kontor_core::overlay::Overlay;
use support::ledger::{aligned, cells, moment, play, play_done, told_of};
use support::{Shop, encode, shared, site};

#[test]
fn units_are_held_when_accepted_promised_when_confirmed_and_gone_when_dispatched() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | west | reads main                                   |                                    | 10 0 0
         1s   | west | transfer t1 4 apples from shop to annex      | t1 asked of main                   | 10 0 0
         2s   | main | reads west                                   |                                    | 10 0 0
         2s   | main | dispatch t1                                  | no: transfer_status t1 offered     | 10 0 0
         2s   | main | tend-offer t1 west                           | t1 held until 1d2s; t1 accepted    | 10 4 0
         2s   | main | tend-offer t1 west                           | nothing                            | 10 4 0
         2s   | main | commit t1                                    | no: transfer_status t1 accepted    | 10 4 0
         2s   | main | dispatch t1                                  | no: transfer_status t1 accepted    | 10 4 0
         3s   | west | reads main                                   |                                    | 10 4 0
         3s   | west | arrive t1                                    | no: transfer_status t1 accepted    | 10 4 0
         3s   | west | tend-offer t1 west                           | t1 confirmed                       | 10 4 0
         3s   | west | withdraw t1                                  | no: transfer_status t1 confirmed   | 10 4 0
         4s   | main | reads west                                   |                                    | 10 4 0
         4s   | main | tend-offer t1 west                           | t1 committed; t1 done              | 10 4 0
         4s   | main | release t1                                   | no: transfer_status t1 done        | 10 4 0
         4s   | main | ship t1                                      | no: transfer_status t1 done        | 10 4 0
         5s   | main | dispatch t1                                  | apples -4; t1 dispatched           | 6 0 0
         5s   | main | dispatch t1                                  | no: transfer_status t1 dispatched  | 6 0 0
         6s   | west | arrive t1                                    | no: transfer_status t1 confirmed   | 6 0 0
         7s   | west | reads main                                   |                                    | 6 0 0
         7s   | main | arrive t1                                    | no: owned_elsewhere location annex site west | 6 0 0
         8s   | west | arrive t1                                    | apples@annex +4; t1 received([4])  | 6 0 4
         9s   | west | arrive t1                                    | no: transfer_status t1 received    | 6 0 4",
    );
}

#[test]
fn who_has_too_little_declines_and_says_why() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 3 apples                             | apples +3                          | 3 0 0
         1s   | west | reads main                                   |                                    | 3 0 0
         1s   | west | transfer t1 4 apples from shop to annex      | t1 asked of main                   | 3 0 0
         2s   | main | reads west                                   |                                    | 3 0 0
         2s   | main | tend-offer t1 west                           | t1 declined(\"insufficient_stock: 4 of apples at shop were asked for, 3 can be promised\") | 3 0 0
         3s   | west | reads main                                   |                                    | 3 0 0
         3s   | west | tend-offer t1 west                           | nothing                            | 3 0 0
         3s   | west | withdraw t1                                  | no: transfer_status t1 declined    | 3 0 0",
    );
}

#[test]
fn who_may_promise_too_few_borrows_them_and_accepts_when_they_have_come() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | west | reads main                                   |                                    | 10 0 0
         1s   | west | tend apples                                  | asks main for 5 apples in all      | 10 0 0
         2s   | main | reads west                                   |                                    | 10 0 0
         2s   | main | tend apples                                  | gives west 5 apples in all         | 10 0 0
         20s  | west | reads main                                   |                                    | 10 0 0
         20s  | west | transfer t1 8 apples from shop to annex      | t1 asked of main                   | 10 0 0
         21s  | main | reads west                                   |                                    | 10 0 0
         21s  | main | tend-offer t1 west                           | asks west for 3 apples in all, 3 for a buyer; t1 borrowing until 1m21s | 10 0 0
         21s  | main | tend-offer t1 west                           | nothing                            | 10 0 0
         21s  | main | dispatch t1                                  | no: transfer_status t1 offered     | 10 0 0
         22s  | west | reads main                                   |                                    | 10 0 0
         22s  | west | tend apples                                  | gives main 3 apples in all         | 10 0 0
         23s  | main | reads west                                   |                                    | 10 0 0
         23s  | main | tend-offer t1 west                           | t1 held until 1d23s; t1 accepted   | 10 8 0
         24s  | west | reads main                                   |                                    | 10 8 0
         24s  | west | tend-offer t1 west                           | t1 confirmed                       | 10 8 0",
    );
}

#[test]
fn who_cannot_borrow_in_time_declines() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | west | reads main                                   |                                    | 10 0 0
         1s   | west | tend apples                                  | asks main for 5 apples in all      | 10 0 0
         2s   | main | reads west                                   |                                    | 10 0 0
         2s   | main | tend apples                                  | gives west 5 apples in all         | 10 0 0
         20s  | west | reads main                                   |                                    | 10 0 0
         20s  | west | transfer t1 8 apples from shop to annex      | t1 asked of main                   | 10 0 0
         21s  | main | reads west                                   |                                    | 10 0 0
         21s  | main | tend-offer t1 west                           | asks west for 3 apples in all, 3 for a buyer; t1 borrowing until 1m21s | 10 0 0
         31s  | main | tend-offer t1 west                           | asks west for 3 apples in all, 3 for a buyer | 10 0 0
         1m20s | main | tend-offer t1 west                          | asks west for 3 apples in all, 3 for a buyer | 10 0 0
         1m21s | main | tend-offer t1 west                          | t1 declined(\"quota_exhausted_here: 8 of apples at shop were asked for, this site can promise 5, others 5\") | 10 0 0
         1m22s | main | tend-offer t1 west                          | nothing                            | 10 0 0",
    );
}

#[test]
fn who_finds_that_the_others_have_sold_theirs_declines_at_once() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | west | reads main                                   |                                    | 10 0 0
         1s   | west | tend apples                                  | asks main for 5 apples in all      | 10 0 0
         2s   | main | reads west                                   |                                    | 10 0 0
         2s   | main | tend apples                                  | gives west 5 apples in all         | 10 0 0
         20s  | west | reads main                                   |                                    | 10 0 0
         20s  | west | transfer t1 8 apples from shop to annex      | t1 asked of main                   | 10 0 0
         21s  | main | reads west                                   |                                    | 10 0 0
         21s  | main | tend-offer t1 west                           | asks west for 3 apples in all, 3 for a buyer; t1 borrowing until 1m21s | 10 0 0
         22s  | west | reserve r1 5 apples                          | r1 held until 15m22s               | 10 0 0
         23s  | main | reads west                                   |                                    | 10 5 0
         23s  | main | tend-offer t1 west                           | t1 declined(\"insufficient_stock: 8 of apples at shop were asked for, 5 can be promised\") | 10 5 0",
    );
}

#[test]
fn what_was_withdrawn_is_borrowed_for_no_more() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | west | reads main                                   |                                    | 10 0 0
         1s   | west | tend apples                                  | asks main for 5 apples in all      | 10 0 0
         2s   | main | reads west                                   |                                    | 10 0 0
         2s   | main | tend apples                                  | gives west 5 apples in all         | 10 0 0
         20s  | west | reads main                                   |                                    | 10 0 0
         20s  | west | transfer t1 8 apples from shop to annex      | t1 asked of main                   | 10 0 0
         21s  | main | reads west                                   |                                    | 10 0 0
         21s  | main | tend-offer t1 west                           | asks west for 3 apples in all, 3 for a buyer; t1 borrowing until 1m21s | 10 0 0
         22s  | west | withdraw t1                                  | t1 withdrawn                       | 10 0 0
         23s  | main | reads west                                   |                                    | 10 0 0
         23s  | main | tend-offer t1 west                           | nothing                            | 10 0 0",
    );
}

#[test]
fn who_withdraws_while_the_other_accepts_has_withdrawn_and_nothing_stays_held() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | west | reads main                                   |                                    | 10 0 0
         1s   | west | transfer t1 4 apples from shop to annex      | t1 asked of main                   | 10 0 0
         2s   | main | reads west                                   |                                    | 10 0 0
         2s   | west | withdraw t1                                  | t1 withdrawn                       | 10 0 0
         2s   | main | tend-offer t1 west                           | t1 held until 1d2s; t1 accepted    | 10 4 0
         3s   | west | reads main                                   |                                    | 10 4 0
         3s   | west | tend-offer t1 west                           | nothing                            | 10 4 0
         4s   | main | reads west                                   |                                    | 10 4 0
         4s   | main | tend-offer t1 west                           | t1 released; t1 undone             | 10 0 0
         4s   | main | tend-offer t1 west                           | nothing                            | 10 0 0",
    );
}

#[test]
fn a_confirm_that_comes_after_the_hold_has_ended_finds_that_it_lapsed() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | west | reads main                                   |                                    | 10 0 0
         1s   | west | transfer t1 4 apples from shop to annex      | t1 asked of main                   | 10 0 0
         2s   | main | reads west                                   |                                    | 10 0 0
         2s   | main | tend-offer t1 west                           | t1 held until 1d2s; t1 accepted    | 10 4 0
         3s   | west | reads main                                   |                                    | 10 4 0
         3s   | west | tend-offer t1 west                           | t1 confirmed                       | 10 4 0
         2d   | main | tick                                         | t1 expired                         | 10 0 0
         2d   | main | reads west                                   |                                    | 10 0 0
         2d   | main | tend-offer t1 west                           | t1 lapsed(\"reservation_ended: reservation res_74310000000000000000000000000000 is expired\") | 10 0 0
         2d   | main | dispatch t1                                  | no: transfer_status t1 lapsed      | 10 0 0",
    );
}

#[test]
fn between_locations_of_one_site_nobody_waits() {
    check(
        "when | site | does                                         | and is told                        | main west
         0s   | main | receive 10 apples                            | apples +10                         | 10 0 0
         1s   | main | transfer t1 12 apples from shop to cellar    | no: insufficient_stock apples wanted 12 available 10 | 10 0 0
         1s   | main | transfer t1 4 apples from shop to shop       | no: invalid_request                | 10 0 0
         1s   | main | transfer t1 4 cards from shop to cellar      | no: invalid_request                | 10 0 0
         1s   | main | transfer t1 4 apples from shop to nowhere    | no: unknown_location location nowhere | 10 0 0
         1s   | main | transfer t1 1 apples + 3 apples from shop to cellar | t1 asked of main; t1 held until 1d1s; t1 accepted; t1 confirmed; t1 committed; t1 done | 10 4 0
         1s   | main | transfer t1 1 apples from shop to cellar     | no: already_exists transfer t1     | 10 4 0
         2s   | main | dispatch t1                                  | apples -4; t1 dispatched           | 6 0 0
         3s   | main | arrive t1 5 apples                           | no: limit_exceeded units received given 5 max 4 | 6 0 0
         3s   | main | arrive t1 1 pears                            | no: unknown_sku pears              | 6 0 0
         3s   | main | arrive t1 3 apples                           | apples@cellar +3; t1 received([3]) | 6 0 0
         4s   | main | withdraw t2                                  | no: unknown_transfer t2 | 6 0 0",
    );
}

#[test]
fn who_acts_before_the_confirm_is_found_out() {
    let mut sites = Sites::new();
    for (at, act) in
        [(0, "receive 10 apples"), (1, "transfer t1 4 apples from shop to annex"), (0, "tend-offer t1 west")]
    {
        sites.read(1 - at);
        sites.read(at);
        play_done(&mut sites.shops[at], act);
    }
    sites.read(1);
    let (id, asker) = (support::ledger::offer("t1"), site("west"));
    let early = kontor_core::event::Event::TransferAnswered { id, asker, answer: kontor_core::offer::Answer::Done };
    play_done(&mut sites.shops[0], "receive 1 apples");
    let mut group = shared(sites.shops[0].journal.last().expect("a group"));
    group.entries[0].events = vec![early];
    let mut rows = Overlay::new(&sites.shops[1].tables);
    let breach = fold_judged(&mut rows, &shared(&encode(&group))).expect("it folds");
    let why = breach.map(|breach| breach.to_string());
    assert_eq!(why.as_deref(), Some("main acts on trf_74310000000000000000000000000000 before west has confirmed it"));
}

/// Plays a table. The last cell shows what is on hand and not promised, and what is promised, at main's shop, and
/// what is on hand at west's annex.
#[track_caller]
fn check(table: &str) {
    let mut rows = table.lines().map(str::trim).filter(|line| !line.is_empty()).map(cells);
    let head = rows.next().expect("a head");
    let mut sites = Sites::new();
    let (mut told, mut expected) = (vec![head.clone()], vec![head]);
    for row in rows {
        let at = usize::from(row[1] == "west");
        sites.shops.iter_mut().for_each(|shop| shop.now = moment(&row[0]));
        let answer = match row[2].starts_with("reads") {
            true => {
                sites.read(at);
                String::new()
            }
            false => told_of(play(&mut sites.shops[at], &row[2])),
        };
        let level = |at: usize, location| {
            let shop: &Shop = &sites.shops[at];
            shop.tables.level("apples", location, &site(["main", "west"][at]))
        };
        let (shop, annex) = (level(0, "shop"), level(1, "annex"));
        let levels = format!("{} {} {}", shop.on_hand, shop.reserved + shop.committed, annex.on_hand);
        told.push(vec![row[0].clone(), row[1].clone(), row[2].clone(), answer, levels]);
        expected.push(row);
    }
    let (told, expected) = (aligned(&told), aligned(&expected));
    assert!(told == expected, "expected\n{expected}\nbut it went\n{told}");
}

/// Two sites with a shelf each.
struct Sites {
    shops: [Shop; 2],
    read: [usize; 2],
}

impl Sites {
    fn new() -> Self {
        let mut west = Shop::among("west", &["main", "west"]);
        for act in ["location annex", "product apples"] {
            play_done(&mut west, act);
        }
        let mut sites = Self { shops: [support::ledger::opened(), west], read: [0, 0] };
        sites.read(0);
        sites.read(1);
        sites
    }

    /// Reads all of the other site. No honest site is found out.
    fn read(&mut self, reader: usize) {
        let groups: Vec<Group> =
            self.shops[1 - reader].journal.iter().skip(self.read[reader]).map(|bytes| shared(bytes)).collect();
        for group in groups {
            let shop = &mut self.shops[reader];
            let mut rows = Overlay::new(&shop.tables);
            assert_eq!(fold_judged(&mut rows, &group).expect("it folds"), None);
            let changes = rows.into_changes();
            shop.tables.write(&changes);
            self.read[reader] += 1;
        }
    }
}
