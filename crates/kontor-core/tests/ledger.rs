//! The rules of the shelf, as tables. [`support::ledger::check`] says how to read one.

mod support;

use kontor_core::command::Command;
use kontor_core::event::Event;
use kontor_core::record::Table;
use kontor_core::refusal::Refusal;
use kontor_core::reservation::ReservationStatus;
use kontor_core::text::Title;
use support::ledger::{check, hold, opened, play, play_done};
use support::{Answer, Shop, place, shared, site, sku};

#[test]
fn the_last_item_sells_once() {
    check(
        "
         time | command             | answer                                                 | apples
         0s   | receive 1 apples    | apples +1                                              | 1 0 0 1
         0s   | reserve r1 1 apples | r1 held until 15m                                      | 1 1 0 0
         0s   | reserve r2 1 apples | no: insufficient_stock apples wanted 1 available 0     | 1 1 0 0
         0s   | issue 1 apples      | no: insufficient_stock apples wanted 1 available 0     | 1 1 0 0
         1m   | commit r1           | r1 committed                                           | 1 0 1 0
         2m   | issue 1 apples      | no: insufficient_stock apples wanted 1 available 0     | 1 0 1 0
         3m   | ship r1             | apples -1                                              | 0 0 0 0
         3m   | ship r1             | no: insufficient_committed apples wanted 1 committed 0 | 0 0 0 0",
    );
}

/// Equal lines are summed; all lines come in or none does. Archived products still come back.
#[test]
fn what_comes_in_is_there_and_for_sale() {
    check(
        "
         time | command                                              | answer                              | apples    | apples@cellar | plums     | ice     | cards
         0s   | receive 10 apples                                    | apples +10                          | 10 0 0 10 | 0 0 0 0       | 9 0 0 9   | 0 0 0 0 | 0 0 0 0
         0s   | receive 2 apples@cellar + 1 apples + 3 apples@cellar | apples@cellar +5, apples +1         | 11 0 0 11 | 5 0 0 5       | 9 0 0 9   | 0 0 0 0 | 0 0 0 0
         0s   | return 1 plums                                       | plums +1                            | 11 0 0 11 | 5 0 0 5       | 10 0 0 10 | 0 0 0 0 | 0 0 0 0
         0s   | receive 4 ice                                        | ice +4                              | 11 0 0 11 | 5 0 0 5       | 10 0 0 10 | 4 0 0 4 | 0 0 0 0
         0s   | receive 7 cards                                      | cards +7                            | 11 0 0 11 | 5 0 0 5       | 10 0 0 10 | 4 0 0 4 | 7 0 0 7
         0s   | receive 1 kiwis                                      | no: unknown_sku kiwis               | 11 0 0 11 | 5 0 0 5       | 10 0 0 10 | 4 0 0 4 | 7 0 0 7
         0s   | receive 1 apples@attic                               | no: unknown_location location attic | 11 0 0 11 | 5 0 0 5       | 10 0 0 10 | 4 0 0 4 | 7 0 0 7
         0s   | receive 1 apples + 1 kiwis                           | no: unknown_sku kiwis               | 11 0 0 11 | 5 0 0 5       | 10 0 0 10 | 4 0 0 4 | 7 0 0 7",
    );
}

#[test]
fn a_shelf_holds_at_most_a_thousand_million_units() {
    check(
        "
         time | command                                        | answer                                                   | apples                    | pears
         0s   | receive 1000000000 apples                      | apples +1000000000                                       | 1000000000 0 0 1000000000 | 0 0 0 0
         0s   | receive 1 apples                               | no: limit_exceeded units given 1000000001 max 1000000000 | 1000000000 0 0 1000000000 | 0 0 0 0
         0s   | return 1 apples                                | no: limit_exceeded units given 1000000001 max 1000000000 | 1000000000 0 0 1000000000 | 0 0 0 0
         0s   | receive 600000000 pears + 600000000 pears      | no: limit_exceeded units given 1200000000 max 1000000000 | 1000000000 0 0 1000000000 | 0 0 0 0
         0s   | count 1000000001 pears                         | no: limit_exceeded units given 1000000001 max 1000000000 | 1000000000 0 0 1000000000 | 0 0 0 0
         0s   | adjust apples keep-back 1000000001             | no: limit_exceeded units given 1000000001 max 1000000000 | 1000000000 0 0 1000000000 | 0 0 0 0
         0s   | reserve r1 600000000 apples + 600000000 apples | no: limit_exceeded units given 1200000000 max 1000000000 | 1000000000 0 0 1000000000 | 0 0 0 0
         0s   | issue 1000000000 apples                        | apples -1000000000                                       | 0 0 0 0                   | 0 0 0 0
         0s   | receive 1000000000 apples                      | apples +1000000000                                       | 1000000000 0 0 1000000000 | 0 0 0 0",
    );
}

#[test]
fn a_sale_over_the_counter_is_all_lines_or_none() {
    check(
        "
         time | command                              | answer                                             | apples    | pears
         0s   | receive 10 apples + 5 pears          | apples +10, pears +5                               | 10 0 0 10 | 5 0 0 5
         0s   | issue 4 apples + 5 pears             | apples -4, pears -5                                | 6 0 0 6   | 0 0 0 0
         0s   | issue 1 apples + 1 pears             | no: insufficient_stock pears wanted 1 available 0  | 6 0 0 6   | 0 0 0 0
         0s   | issue 3 apples + 2 apples + 2 apples | no: insufficient_stock apples wanted 7 available 6 | 6 0 0 6   | 0 0 0 0
         0s   | issue 3 apples + 3 apples            | apples -6                                          | 0 0 0 0   | 0 0 0 0
         0s   | issue 1 apples                       | no: insufficient_stock apples wanted 1 available 0 | 0 0 0 0   | 0 0 0 0",
    );
}

/// Each command sees what the ones before it did; of a list that is refused nothing is done.
#[test]
fn several_commands_are_done_together_or_not_at_all() {
    check(
        "
         time | command                                          | answer                                             | apples
         0s   | expect-version 0 apples & receive 9 apples       | apples +9                                          | 9 0 0 9
         0s   | expect-version 0 apples & issue 1 apples         | no: expected_mismatch version expected 0 actual 1  | 9 0 0 9
         0s   | issue 5 apples & issue 5 apples                  | no: insufficient_stock apples wanted 5 available 4 | 9 0 0 9
         0s   | issue 5 apples & receive 1 apples & issue 5 apples | apples -5; apples +1; apples -5                  | 0 0 0 0
         0s   | receive 2 apples ref d & receive 2 apples ref d  | no: reference_used reference d                     | 0 0 0 0
         0s   | reserve r1 1 apples & receive 1 apples           | no: insufficient_stock apples wanted 1 available 0 | 0 0 0 0
         0s   | receive 1 apples & reserve r1 1 apples & commit r1 & ship r1 | apples +1; r1 held until 15m; r1 committed; apples -1 | 0 0 0 0
         0s   | expect-version 8 apples & count 3 apples         | apples +3                                          | 3 0 0 3
         0s   | expect-version 9 apples                          | nothing                                            | 3 0 0 3
         0s   | expect-version 0 kiwis & issue 1 apples          | no: unknown_sku kiwis                              | 3 0 0 3",
    );
}

#[test]
fn what_is_asked_must_exist_before_there_can_be_enough() {
    check(
        "
         time | command                              | answer                              | apples
         0s   | issue 1 apples + 1 kiwis             | no: unknown_sku kiwis               | 0 0 0 0
         0s   | issue 1 apples + 1 apples@attic      | no: unknown_location location attic | 0 0 0 0
         0s   | issue 1 apples + 1 plums             | no: product_archived plums plums    | 0 0 0 0
         0s   | reserve r1 1 apples + 1 kiwis        | no: unknown_sku kiwis               | 0 0 0 0
         0s   | reserve r1 1 apples + 1 apples@attic | no: unknown_location location attic | 0 0 0 0
         0s   | reserve r1 1 apples + 1 plums        | no: product_archived plums plums    | 0 0 0 0
         0s   | reserve r1                           | no: invalid_request                 | 0 0 0 0
         0s   | issue                                | no: invalid_request                 | 0 0 0 0
         0s   | receive                              | no: invalid_request                 | 0 0 0 0
         0s   | ship r1                              | no: unknown_reservation r1          | 0 0 0 0
         0s   | commit r1                            | no: unknown_reservation r1          | 0 0 0 0
         0s   | release r1                           | no: unknown_reservation r1          | 0 0 0 0
         0s   | extend r1                            | no: unknown_reservation r1          | 0 0 0 0",
    );
}

#[test]
fn items_that_are_only_tracked_are_never_refused() {
    check(
        "
         time | command          | answer                                          | ice
         0s   | issue 3 ice      | ice -3                                          | -3 0 0 -3
         0s   | reserve r1 2 ice | r1 held until 15m                               | -3 2 0 -5
         0s   | commit r1        | r1 committed                                    | -3 0 2 -5
         0s   | ship r1          | ice -2                                          | -5 0 0 -5
         0s   | receive 1 ice    | ice +1                                          | -4 0 0 -4
         0s   | count 4 ice      | ice +8                                          | 4 0 0 4
         0s   | write-off 5 ice  | no: insufficient_on_hand ice wanted 5 on_hand 4 | 4 0 0 4
         0s   | reserve r2 9 ice | r2 held until 15m                               | 4 9 0 -5
         15m  | tick             | r2 expired                                      | 4 0 0 4
         15m  | adjust ice set-aside 4 | 4 set aside, 0 kept back | 4 0 0 0
         15m  | issue 2 ice | ice -2 | 2 0 0 -2
         15m  | write-off 3 ice set-aside | no: insufficient_on_hand ice wanted 3 on_hand 2 | 2 0 0 -2
         15m  | write-off 2 ice set-aside | ice -2 | 0 0 0 -2",
    );
}

/// What is not counted can still be handed out only once.
#[test]
fn items_without_stock_change_no_shelf_and_still_ship_once() {
    check(
        "
         time | command                       | answer                                                | cards   | apples
         0s   | issue 2 cards                 | cards 2 and no change                                 | 0 0 0 0 | 0 0 0 0
         0s   | receive 5 apples              | apples +5                                             | 0 0 0 0 | 5 0 0 5
         0s   | reserve r1 3 cards + 2 apples | r1 held until 15m                                     | 0 0 0 0 | 5 2 0 3
         0s   | commit r1                     | r1 committed                                          | 0 0 0 0 | 5 0 2 3
         0s   | ship r1 1 cards               | cards 1 and no change                                 | 0 0 0 0 | 5 0 2 3
         0s   | ship r1 3 cards               | no: insufficient_committed cards wanted 3 committed 2 | 0 0 0 0 | 5 0 2 3
         0s   | ship r1                       | cards 2 and no change, apples -2                      | 0 0 0 0 | 3 0 0 3
         0s   | ship r1                       | no: insufficient_committed cards wanted 3 committed 0 | 0 0 0 0 | 3 0 0 3
         0s   | ship r1 1 cards               | no: insufficient_committed cards wanted 1 committed 0 | 0 0 0 0 | 3 0 0 3
         0s   | reserve r2 1 cards            | r2 held until 15m                                     | 0 0 0 0 | 3 0 0 3
         15m  | tick                          | r2 expired                                            | 0 0 0 0 | 3 0 0 3",
    );
}

/// Each location may promise five more than it has. Only what is there is handed out, and what is
/// there goes to whoever stands at the counter: the promise waits for the next delivery.
#[test]
fn a_backorder_may_promise_what_is_not_there() {
    check(
        "
         time | command                  | answer                                           | milk     | milk@cellar
         0s   | receive 2 milk           | milk +2                                          | 2 0 0 2  | 0 0 0 0
         0s   | reserve r1 8 milk        | no: insufficient_stock milk wanted 8 available 7 | 2 0 0 2  | 0 0 0 0
         0s   | reserve r1 7 milk        | r1 held until 15m                                | 2 7 0 -5 | 0 0 0 0
         0s   | reserve r2 1 milk        | no: insufficient_stock milk wanted 1 available 0 | 2 7 0 -5 | 0 0 0 0
         0s   | reserve r2 5 milk@cellar | r2 held until 15m                                | 2 7 0 -5 | 0 5 0 -5
         0s   | commit r1                | r1 committed                                     | 2 0 7 -5 | 0 5 0 -5
         0s   | ship r1                  | no: insufficient_on_hand milk wanted 7 on_hand 2 | 2 0 7 -5 | 0 5 0 -5
         0s   | ship r1 2 milk           | milk -2                                          | 0 0 5 -5 | 0 5 0 -5
         0s   | receive 4 milk           | milk +4                                          | 4 0 5 -1 | 0 5 0 -5
         0s   | issue 1 milk             | milk -1                                          | 3 0 5 -2 | 0 5 0 -5
         0s   | receive 4 milk           | milk +4                                          | 7 0 5 2  | 0 5 0 -5
         0s   | issue 5 milk             | milk -5                                          | 2 0 5 -3 | 0 5 0 -5
         0s   | issue 8 milk             | no: insufficient_stock milk wanted 8 available 2 | 2 0 5 -3 | 0 5 0 -5
         0s   | ship r1                  | no: insufficient_on_hand milk wanted 5 on_hand 2 | 2 0 5 -3 | 0 5 0 -5
         0s   | receive 5 milk           | milk +5                                          | 7 0 5 2  | 0 5 0 -5
         0s   | ship r1                  | milk -5                                          | 2 0 0 2  | 0 5 0 -5",
    );
}

#[test]
fn a_cart_item_is_held_alike() {
    check(
        "
         time | command            | answer                                            | cream
         0s   | receive 2 cream    | cream +2                                          | 2 0 0 2
         0s   | reserve r1 2 cream | r1 held until 15m                                 | 2 2 0 0
         0s   | issue 1 cream      | no: insufficient_stock cream wanted 1 available 0 | 2 2 0 0
         0s   | release r1         | r1 released                                       | 2 0 0 2
         0s   | issue 1 cream      | cream -1                                          | 1 0 0 1",
    );
}

/// A hold remembers whether its units were counted; whether handing them out is refused is asked
/// when it is done.
#[test]
fn the_policy_of_the_day_decides() {
    check(
        "
         time | command                             | answer                                             | apples
         0s   | issue 1 apples                      | no: insufficient_stock apples wanted 1 available 0 | 0 0 0 0
         0s   | sell apples apples track_only       | apples revision 2                                  | 0 0 0 0
         0s   | reserve r1 3 apples                 | r1 held until 15m                                  | 0 3 0 -3
         0s   | commit r1                           | r1 committed                                       | 0 0 3 -3
         0s   | sell apples apples reserve_on_order | apples revision 3                                  | 0 0 3 -3
         0s   | ship r1                             | no: insufficient_on_hand apples wanted 3 on_hand 0 | 0 0 3 -3
         0s   | issue 1 apples                      | no: insufficient_stock apples wanted 1 available 0 | 0 0 3 -3
         0s   | sell apples apples none             | apples revision 4                                  | 0 0 3 -3
         0s   | ship r1                             | apples -3                                          | -3 0 0 -3
         0s   | reserve r2 5 apples                 | r2 held until 15m                                  | -3 0 0 -3
         0s   | commit r2                           | r2 committed                                       | -3 0 0 -3
         0s   | sell apples apples reserve_on_order | apples revision 5                                  | -3 0 0 -3
         0s   | ship r2                             | apples 5 and no change                             | -3 0 0 -3
         0s   | receive 4 apples                    | apples +4                                          | 1 0 0 1
         0s   | issue 1 apples                      | apples -1                                          | 0 0 0 0
         0s   | issue 1 apples                      | no: insufficient_stock apples wanted 1 available 0 | 0 0 0 0",
    );
}

/// The first delivery or count makes stock counted, in its own entry, and neither a return nor a refusal does.
#[test]
fn stock_is_counted_from_the_first_receipt_on() {
    check(
        "
         time | command                                | answer                                              | apples
         0s   | sell apples apples none_until_received | apples revision 2                                   | 0 0 0 0
         0s   | reserve r1 3 apples                    | r1 held until 15m                                   | 0 0 0 0
         0s   | issue 9 apples                         | apples 9 and no change                              | 0 0 0 0
         0s   | return 2 apples                        | apples +2                                           | 2 0 0 2
         0s   | issue 9 apples                         | apples 9 and no change                              | 2 0 0 2
         0s   | receive 4 apples + 1 apples@cellar     | apples revision 3; apples +4, apples@cellar +1      | 6 0 0 6
         0s   | issue 7 apples                         | no: insufficient_stock apples wanted 7 available 6  | 6 0 0 6
         0s   | receive 1 apples                       | apples +1                                           | 7 0 0 7
         0s   | sell apples apples none_until_received | apples revision 4                                   | 7 0 0 7
         0s   | count 0 apples                         | apples revision 5; apples -7                        | 0 0 0 0
         0s   | issue 1 apples                         | no: insufficient_stock apples wanted 1 available 0  | 0 0 0 0
         0s   | commit r1                              | r1 committed                                        | 0 0 0 0
         0s   | ship r1                                | apples 3 and no change                              | 0 0 0 0",
    );
}

#[test]
fn a_hold_ends_to_the_millisecond() {
    check(
        "
         time        | command                     | answer                                             | apples
         0s          | receive 10 apples           | apples +10                                         | 10 0 0 10
         0s          | reserve r1 4 apples for 15m | r1 held until 15m                                  | 10 4 0 6
         14m59s999ms | reserve r2 7 apples for 15m | no: insufficient_stock apples wanted 7 available 6 | 10 4 0 6
         14m59s999ms | commit r1                   | r1 committed                                       | 10 0 4 6
         14m59s999ms | ship r1 1 apples            | apples -1                                          | 9 0 3 6
         15m         | reserve r3 6 apples for 15m | r3 held until 30m                                  | 9 6 3 0
         29m59s999ms | issue 1 apples              | no: insufficient_stock apples wanted 1 available 0 | 9 6 3 0
         30m         | commit r3                   | no: reservation_ended r3 expired                   | 9 6 3 0
         30m         | extend r3 for 1m            | no: reservation_ended r3 expired                   | 9 6 3 0
         30m         | release r3                  | no: reservation_ended r3 expired                   | 9 6 3 0
         30m         | issue 6 apples              | r3 expired; apples -6                              | 3 0 3 0
         30m         | release r3                  | no: reservation_ended r3 expired                   | 3 0 3 0
         30m         | commit r3                   | no: reservation_ended r3 expired                   | 3 0 3 0",
    );
}

#[test]
fn a_due_hold_goes_to_the_next_buyer_at_once() {
    check(
        "
         time     | command                    | answer                                             | apples
         0s       | receive 5 apples           | apples +5                                          | 5 0 0 5
         0s       | reserve r1 5 apples for 1m | r1 held until 1m                                   | 5 5 0 0
         59s999ms | issue 1 apples             | no: insufficient_stock apples wanted 1 available 0 | 5 5 0 0
         1m       | issue 1 apples             | r1 expired; apples -1                              | 4 0 0 4
         1m       | tick                       | nothing                                            | 4 0 0 4
         1m       | issue 4 apples             | apples -4                                          | 0 0 0 0",
    );
}

/// The soonest due is ended first. Nothing is ended for a sale that is refused or does not need it.
#[test]
fn no_more_due_holds_are_ended_than_a_sale_needs() {
    check(
        "
         time | command                    | answer                                             | apples
         0s   | receive 6 apples           | apples +6                                          | 6 0 0 6
         0s   | reserve r1 2 apples for 1m | r1 held until 1m                                   | 6 2 0 4
         0s   | reserve r2 2 apples for 2m | r2 held until 2m                                   | 6 4 0 2
         0s   | reserve r3 2 apples for 3m | r3 held until 3m                                   | 6 6 0 0
         10m  | issue 3 apples             | r1 expired; r2 expired; apples -3                  | 3 2 0 1
         10m  | issue 2 apples             | r3 expired; apples -2                              | 1 0 0 1
         10m  | issue 2 apples             | no: insufficient_stock apples wanted 2 available 1 | 1 0 0 1
         10m  | issue 1 apples             | apples -1                                          | 0 0 0 0
         10m  | tick                       | nothing                                            | 0 0 0 0",
    );
}

/// What it gave back for apples is not given back once more for pears.
#[test]
fn a_due_hold_gives_back_once() {
    check(
        "
         time | command                              | answer                                            | apples  | pears
         0s   | receive 4 apples + 4 pears           | apples +4, pears +4                               | 4 0 0 4 | 4 0 0 4
         0s   | reserve r1 4 apples + 1 pears for 1m | r1 held until 1m                                  | 4 4 0 0 | 4 1 0 3
         0s   | reserve r2 3 pears for 1h            | r2 held until 1h                                  | 4 4 0 0 | 4 4 0 0
         1m   | issue 4 apples + 2 pears             | no: insufficient_stock pears wanted 2 available 1 | 4 4 0 0 | 4 4 0 0
         1m   | reserve r3 4 apples + 2 pears        | no: insufficient_stock pears wanted 2 available 1 | 4 4 0 0 | 4 4 0 0
         1m   | issue 4 apples + 1 pears             | r1 expired; apples -4, pears -1                   | 0 0 0 0 | 3 3 0 0",
    );
}

/// Apples would have done without the hold; pears end it, and apples are told right.
#[test]
fn a_due_hold_of_several_lines_ends_once_for_all_of_them() {
    check(
        "
         time | command                              | answer                                            | apples  | pears
         0s   | receive 5 apples + 5 pears           | apples +5, pears +5                               | 5 0 0 5 | 5 0 0 5
         0s   | reserve r1 4 apples + 4 pears for 1m | r1 held until 1m                                  | 5 4 0 1 | 5 4 0 1
         0s   | reserve r2 1 pears for 1h            | r2 held until 1h                                  | 5 4 0 1 | 5 5 0 0
         1m   | issue 1 apples + 4 pears             | r1 expired; apples -1, pears -4                   | 4 0 0 4 | 1 1 0 0
         1m   | issue 5 pears                        | no: insufficient_stock pears wanted 5 available 0 | 4 0 0 4 | 1 1 0 0
         1m   | issue 4 apples                       | apples -4                                         | 0 0 0 0 | 1 1 0 0
         1m   | tick                                 | nothing                                           | 0 0 0 0 | 1 1 0 0",
    );
}

#[test]
fn a_due_hold_makes_room_for_a_new_hold_and_a_refusal_ends_none() {
    check(
        "
         time | command                       | answer                                             | apples  | pears
         0s   | receive 3 apples + 3 pears    | apples +3, pears +3                                | 3 0 0 3 | 3 0 0 3
         0s   | reserve r1 3 apples for 1m    | r1 held until 1m                                   | 3 3 0 0 | 3 0 0 3
         0s   | reserve r2 3 pears for 1h     | r2 held until 1h                                   | 3 3 0 0 | 3 3 0 0
         1m   | reserve r3 3 apples + 1 pears | no: insufficient_stock pears wanted 1 available 0  | 3 3 0 0 | 3 3 0 0
         1m   | reserve r3 3 apples           | r1 expired; r3 held until 16m                      | 3 3 0 0 | 3 3 0 0
         1m   | reserve r4 1 apples           | no: insufficient_stock apples wanted 1 available 0 | 3 3 0 0 | 3 3 0 0",
    );
}

/// A shorter deadline is a deadline too.
#[test]
fn an_extended_hold_is_held_from_then_on() {
    check(
        "
         time       | command                    | answer                                             | apples
         0s         | receive 1 apples           | apples +1                                          | 1 0 0 1
         0s         | reserve r1 1 apples for 1m | r1 held until 1m                                   | 1 1 0 0
         59s999ms   | extend r1 for 1m           | r1 held until 1m59s999ms                           | 1 1 0 0
         1m         | issue 1 apples             | no: insufficient_stock apples wanted 1 available 0 | 1 1 0 0
         1m         | tick                       | nothing                                            | 1 1 0 0
         1m59s999ms | tick                       | r1 expired                                         | 1 0 0 1
         1m59s999ms | extend r1 for 1s           | no: reservation_ended r1 expired                   | 1 0 0 1
         2m59s999ms | issue 1 apples             | apples -1                                          | 0 0 0 0
         2m59s999ms | extend r1 for 1m           | no: reservation_ended r1 expired                   | 0 0 0 0",
    );
}

#[test]
fn a_hold_lasts_a_second_to_thirty_days() {
    check(
        "
         time              | command                        | answer                                                           | apples
         0s                | receive 1 apples               | apples +1                                                        | 1 0 0 1
         0s                | reserve r1 1 apples for 999ms  | no: invalid_request ttl given 999 min 1000 max 2592000000        | 1 0 0 1
         0s                | reserve r1 1 apples for 30d1ms | no: invalid_request ttl given 2592000001 min 1000 max 2592000000 | 1 0 0 1
         0s                | reserve r1 1 apples for 30d    | r1 held until 30d                                                | 1 1 0 0
         0s                | extend r1 for 999ms            | no: invalid_request ttl given 999 min 1000 max 2592000000        | 1 1 0 0
         0s                | extend r1 for 30d1ms           | no: invalid_request ttl given 2592000001 min 1000 max 2592000000 | 1 1 0 0
         29d23h59m59s999ms | issue 1 apples                 | no: insufficient_stock apples wanted 1 available 0               | 1 1 0 0
         30d               | issue 1 apples                 | r1 expired; apples -1                                            | 0 0 0 0",
    );
}

#[test]
fn a_hold_ends_once() {
    check(
        "
         time | command             | answer                             | apples
         0s   | receive 9 apples    | apples +9                          | 9 0 0 9
         0s   | reserve r1 1 apples | r1 held until 15m                  | 9 1 0 8
         0s   | reserve r1 1 apples | no: already_exists reservation r1  | 9 1 0 8
         0s   | release r1          | r1 released                        | 9 0 0 9
         0s   | release r1          | no: reservation_ended r1 released  | 9 0 0 9
         0s   | commit r1           | no: reservation_ended r1 released  | 9 0 0 9
         0s   | extend r1           | no: reservation_ended r1 released  | 9 0 0 9
         0s   | reserve r2 1 apples | r2 held until 15m                  | 9 1 0 8
         0s   | commit r2           | r2 committed                       | 9 0 1 8
         0s   | commit r2           | no: reservation_ended r2 committed | 9 0 1 8
         0s   | release r2          | no: reservation_ended r2 committed | 9 0 1 8
         0s   | extend r2           | no: reservation_ended r2 committed | 9 0 1 8
         0s   | reserve r1 1 apples | no: already_exists reservation r1  | 9 0 1 8
         0s   | ship r1             | no: reservation_ended r1 released  | 9 0 1 8
         1h   | tick                | nothing                            | 9 0 1 8",
    );
}

#[test]
fn an_order_may_ship_in_parts() {
    check(
        "
         time | command                       | answer                                                 | apples  | pears
         0s   | receive 5 apples + 5 pears    | apples +5, pears +5                                    | 5 0 0 5 | 5 0 0 5
         0s   | reserve r1 4 apples + 2 pears | r1 held until 15m                                      | 5 4 0 1 | 5 2 0 3
         0s   | ship r1                       | no: reservation_ended r1 held                          | 5 4 0 1 | 5 2 0 3
         0s   | commit r1                     | r1 committed                                           | 5 0 4 1 | 5 0 2 3
         0s   | ship r1 1 apples              | apples -1                                              | 4 0 3 1 | 5 0 2 3
         0s   | ship r1 1 apples + 3 apples   | no: insufficient_committed apples wanted 4 committed 3 | 4 0 3 1 | 5 0 2 3
         0s   | ship r1 2 apples + 3 pears    | no: insufficient_committed pears wanted 3 committed 2  | 4 0 3 1 | 5 0 2 3
         0s   | ship r1 1 ice                 | no: insufficient_committed ice wanted 1 committed 0    | 4 0 3 1 | 5 0 2 3
         0s   | ship r1 2 apples + 1 pears    | apples -2, pears -1                                    | 2 0 1 1 | 4 0 1 3
         0s   | ship r1                       | apples -1, pears -1                                    | 1 0 0 1 | 3 0 0 3
         0s   | ship r1 1 apples              | no: insufficient_committed apples wanted 1 committed 0 | 1 0 0 1 | 3 0 0 3
         0s   | count 0 apples                | apples -1                                              | 0 0 0 0 | 3 0 0 3",
    );
}

/// What was broken is gone, also when it was promised: that is a shortage, and nothing more is
/// promised.
#[test]
fn what_is_broken_leaves_the_shelf() {
    check(
        "
         time | command                          | answer                                             | apples
         0s   | receive 10 apples                | apples +10                                         | 10 0 0 10
         0s   | write-off 2 apples because mould | apples -2                                          | 8 0 0 8
         0s   | adjust apples set-aside 3        | 3 set aside, 0 kept back                           | 8 0 0 5
         0s   | write-off 6 apples               | no: insufficient_on_hand apples wanted 6 on_hand 5 | 8 0 0 5
         0s   | write-off 4 apples set-aside     | no: insufficient_on_hand apples wanted 4 on_hand 3 | 8 0 0 5
         0s   | write-off 3 apples set-aside     | apples -3                                          | 5 0 0 5
         0s   | reserve r1 5 apples              | r1 held until 15m                                  | 5 5 0 0
         0s   | write-off 4 apples               | apples -4                                          | 1 5 0 -4
         0s   | write-off 2 apples               | no: insufficient_on_hand apples wanted 2 on_hand 1 | 1 5 0 -4
         0s   | issue 1 apples                   | no: insufficient_stock apples wanted 1 available 0 | 1 5 0 -4
         15m  | issue 2 apples                   | no: insufficient_stock apples wanted 2 available 1 | 1 5 0 -4
         15m  | issue 1 apples                   | r1 expired; apples -1                              | 0 0 0 0",
    );
}

/// Not for a promise, and not for a backorder.
#[test]
fn what_is_set_aside_is_not_handed_out() {
    check(
        "
         time | command                   | answer                                             | apples   | milk
         0s   | receive 5 apples + 5 milk | apples +5, milk +5                                 | 5 0 0 5  | 5 0 0 5
         0s   | reserve r1 5 apples       | r1 held until 15m                                  | 5 5 0 0  | 5 0 0 5
         0s   | commit r1                 | r1 committed                                       | 5 0 5 0  | 5 0 0 5
         0s   | adjust apples set-aside 2 | 2 set aside, 0 kept back                           | 5 0 5 -2 | 5 0 0 5
         0s   | ship r1                   | no: insufficient_on_hand apples wanted 5 on_hand 3 | 5 0 5 -2 | 5 0 0 5
         0s   | ship r1 3 apples          | apples -3                                          | 2 0 2 -2 | 5 0 0 5
         0s   | ship r1                   | no: insufficient_on_hand apples wanted 2 on_hand 0 | 2 0 2 -2 | 5 0 0 5
         0s   | adjust milk set-aside 5   | 5 set aside, 0 kept back                           | 2 0 2 -2 | 5 0 0 0
         0s   | issue 1 milk              | no: insufficient_on_hand milk wanted 1 on_hand 0   | 2 0 2 -2 | 5 0 0 0
         0s   | adjust apples set-aside 0 | 0 set aside, 0 kept back                           | 2 0 2 0  | 5 0 0 0
         0s   | ship r1                   | apples -2                                          | 0 0 0 0  | 5 0 0 0",
    );
}

/// Below what is promised it is a shortage; later deliveries serve it first.
#[test]
fn a_count_says_what_is_there() {
    check(
        "
         time | command                    | answer                                             | apples
         0s   | receive 10 apples          | apples +10                                         | 10 0 0 10
         0s   | count 12 apples            | apples +2                                          | 12 0 0 12
         0s   | count 9 apples             | apples -3                                          | 9 0 0 9
         0s   | count 9 apples expected 9  | apples 9 and no change                             | 9 0 0 9
         0s   | count 5 apples expected 10 | no: expected_mismatch on_hand expected 10 actual 9 | 9 0 0 9
         0s   | reserve r1 6 apples        | r1 held until 15m                                  | 9 6 0 3
         0s   | count 4 apples             | apples -5                                          | 4 6 0 -2
         0s   | reserve r2 1 apples        | no: insufficient_stock apples wanted 1 available 0 | 4 6 0 -2
         0s   | receive 1 apples           | apples +1                                          | 5 6 0 -1
         0s   | issue 1 apples             | no: insufficient_stock apples wanted 1 available 0 | 5 6 0 -1
         0s   | receive 2 apples           | apples +2                                          | 7 6 0 1
         0s   | issue 1 apples             | apples -1                                          | 6 6 0 0
         0s   | count 0 apples             | apples -6                                          | 0 6 0 -6
         0s   | count 1 kiwis              | no: unknown_sku kiwis                              | 0 6 0 -6
         0s   | count 1 apples@attic       | no: unknown_location location attic                | 0 6 0 -6",
    );
}

#[test]
fn a_count_below_what_was_set_aside_finds_those_missing() {
    check(
        "
         time | command                               | answer                   | apples
         0s   | receive 10 apples                     | apples +10               | 10 0 0 10
         0s   | adjust apples set-aside 5 keep-back 1 | 5 set aside, 1 kept back | 10 0 0 4
         0s   | count 3 apples                        | apples -7                | 3 0 0 -1
         0s   | write-off 3 apples set-aside          | apples -3                | 0 0 0 -1
         0s   | receive 2 apples                      | apples +2                | 2 0 0 1
         0s   | issue 1 apples                        | apples -1                | 1 0 0 0",
    );
}

#[test]
fn what_is_not_for_sale_is_set_as_the_caller_has_seen_it() {
    check(
        "
         time | command                                           | answer                                                | apples
         0s   | adjust apples keep-back 3                         | 0 set aside, 3 kept back                              | 0 0 0 -3
         0s   | receive 10 apples                                 | apples +10                                            | 10 0 0 7
         0s   | adjust apples set-aside 2                         | 2 set aside, 3 kept back                              | 10 0 0 5
         0s   | adjust apples set-aside 1 was 3                   | no: expected_mismatch unavailable expected 3 actual 2 | 10 0 0 5
         0s   | adjust apples set-aside 1 was 2 keep-back 0 was 3 | 1 set aside, 0 kept back                              | 10 0 0 9
         0s   | adjust apples set-aside 11                        | no: insufficient_on_hand apples wanted 11 on_hand 10  | 10 0 0 9
         0s   | adjust apples                                     | no: invalid_request                                   | 10 0 0 9
         0s   | issue 10 apples                                   | no: insufficient_stock apples wanted 10 available 9   | 10 0 0 9
         0s   | adjust apples set-aside 10                        | 10 set aside, 0 kept back                             | 10 0 0 0
         0s   | issue 1 apples                                    | no: insufficient_stock apples wanted 1 available 0    | 10 0 0 0
         0s   | adjust kiwis keep-back 1                          | no: unknown_sku kiwis                                 | 10 0 0 0",
    );
}

/// A repeat is told that it was booked before, also when nothing is left by now.
#[test]
fn a_reference_is_used_once_per_kind() {
    check(
        "
         time | command                    | answer                                             | apples
         0s   | receive 2 apples ref D-1   | apples +2                                          | 2 0 0 2
         0s   | receive 2 apples ref D-1   | no: reference_used reference D-1                   | 2 0 0 2
         0s   | return 1 apples ref D-1    | apples +1                                          | 3 0 0 3
         0s   | issue 3 apples ref D-1     | apples -3                                          | 0 0 0 0
         0s   | issue 3 apples ref D-1     | no: reference_used reference D-1                   | 0 0 0 0
         0s   | issue 3 apples ref D-2     | no: insufficient_stock apples wanted 3 available 0 | 0 0 0 0
         0s   | count 7 apples ref D-1     | apples +7                                          | 7 0 0 7
         0s   | count 7 apples ref D-1     | no: reference_used reference D-1                   | 7 0 0 7
         0s   | write-off 1 apples ref D-1 | apples -1                                          | 6 0 0 6
         0s   | write-off 9 apples ref D-1 | no: reference_used reference D-1                   | 6 0 0 6
         0s   | receive 1 apples ref D-2   | apples +1                                          | 7 0 0 7",
    );
}

/// A refusal is not kept: the same key may succeed later.
#[test]
fn a_key_is_answered_once_and_again() {
    check(
        "
         time | command                   | answer                                             | apples
         0s   | receive 5 apples key a    | apples +5                                          | 5 0 0 5
         0s   | receive 5 apples key a    | again: apples +5                                   | 5 0 0 5
         0s   | receive 6 apples key a    | no: idempotency_key_reused                         | 5 0 0 5
         0s   | issue 9 apples key b      | no: insufficient_stock apples wanted 9 available 5 | 5 0 0 5
         0s   | issue 5 apples key b      | apples -5                                          | 0 0 0 0
         0s   | issue 5 apples key b      | again: apples -5                                   | 0 0 0 0
         1m   | reserve r1 1 apples key c | no: insufficient_stock apples wanted 1 available 0 | 0 0 0 0
         1m   | receive 1 apples          | apples +1                                          | 1 0 0 1
         1m   | reserve r1 1 apples key c | r1 held until 16m                                  | 1 1 0 0
         2m   | reserve r1 1 apples key c | again: r1 held until 16m                           | 1 1 0 0",
    );
}

#[test]
fn it_happened_within_a_year_or_ten_minutes_ahead() {
    check(
        "
         time | command                                     | answer                                                                                  | apples
         400d | receive 1 apples occurred 35d               | apples +1                                                                               | 1 0 0 1
         400d | receive 1 apples occurred 34d23h59m59s999ms | no: invalid_request occurred_at given 1731023999999 min 1731024000000 max 1762560600000 | 1 0 0 1
         400d | receive 1 apples occurred 400d10m           | apples +1                                                                               | 2 0 0 2
         400d | receive 1 apples occurred 400d10m1ms        | no: invalid_request occurred_at given 1762560600001 min 1731024000000 max 1762560600000 | 2 0 0 2",
    );
}

#[test]
fn a_product_is_changed_by_who_has_seen_it() {
    check(
        "
         time | command                                 | answer                                                             | apples
         0s   | product apples                          | no: already_exists product apples                                  | 0 0 0 0
         0s   | product kiwis id apples                 | no: already_exists product apples                                  | 0 0 0 0
         0s   | product apples id fruit                 | no: already_exists sku apples                                      | 0 0 0 0
         0s   | product kiwis id fruit                  | product fruit                                                      | 0 0 0 0
         0s   | change fruit title Fruit revision 1     | fruit revision 2                                                   | 0 0 0 0
         0s   | change fruit title Fruits revision 1    | no: precondition_failed expected 1 actual 2                        | 0 0 0 0
         0s   | change fruit                            | no: invalid_request                                                | 0 0 0 0
         0s   | change nothing title Nothing            | no: unknown_product nothing                                        | 0 0 0 0
         0s   | variant fruit limes                     | fruit revision 3                                                   | 0 0 0 0
         0s   | variant fruit limes                     | no: already_exists sku limes                                       | 0 0 0 0
         0s   | variant fruit apples                    | no: already_exists sku apples                                      | 0 0 0 0
         0s   | variant nothing figs                    | no: unknown_product nothing                                        | 0 0 0 0
         0s   | sell fruit limes title Lime revision 3  | fruit revision 4                                                   | 0 0 0 0
         0s   | sell fruit limes title Limes revision 3 | no: precondition_failed expected 3 actual 4                        | 0 0 0 0
         0s   | sell fruit limes                        | no: invalid_request                                                | 0 0 0 0
         0s   | sell fruit figs title Figs              | no: unknown_sku figs                                               | 0 0 0 0
         0s   | sell fruit limes backorder 1000000001   | no: limit_exceeded backorder_limit given 1000000001 max 1000000000 | 0 0 0 0
         0s   | product figs backorder 1000000001       | no: limit_exceeded backorder_limit given 1000000001 max 1000000000 | 0 0 0 0
         0s   | variant fruit figs backorder 1000000001 | no: limit_exceeded backorder_limit given 1000000001 max 1000000000 | 0 0 0 0
         0s   | archive fruit revision 3                | no: precondition_failed expected 3 actual 4                        | 0 0 0 0
         0s   | archive fruit revision 4                | fruit revision 5                                                   | 0 0 0 0
         0s   | issue 1 limes                           | no: product_archived limes fruit                                   | 0 0 0 0
         0s   | receive 1 limes                         | limes +1                                                           | 0 0 0 0
         0s   | activate fruit                          | fruit revision 6                                                   | 0 0 0 0
         0s   | issue 1 limes                           | limes -1                                                           | 0 0 0 0",
    );
}

#[test]
fn what_was_promised_is_shipped_when_the_product_is_archived() {
    check(
        "
         time | command             | answer                             | apples
         0s   | receive 3 apples    | apples +3                          | 3 0 0 3
         0s   | reserve r1 1 apples | r1 held until 15m                  | 3 1 0 2
         0s   | reserve r2 1 apples | r2 held until 15m                  | 3 2 0 1
         0s   | archive apples      | apples revision 2                  | 3 2 0 1
         0s   | reserve r3 1 apples | no: product_archived apples apples | 3 2 0 1
         0s   | extend r1           | r1 held until 15m                  | 3 2 0 1
         0s   | commit r1           | r1 committed                       | 3 1 1 1
         0s   | ship r1             | apples -1                          | 2 1 0 1
         0s   | release r2          | r2 released                        | 2 0 0 2
         0s   | write-off 1 apples  | apples -1                          | 1 0 0 1
         0s   | count 0 apples      | apples -1                          | 0 0 0 0",
    );
}

#[test]
fn a_location_is_named_by_who_has_seen_it() {
    check(
        "
         time | command                       | answer                                      | apples
         0s   | location shop                 | no: already_exists location shop            | 0 0 0 0
         0s   | rename shop Corner revision 1 | shop is called Corner                       | 0 0 0 0
         0s   | rename shop Corner revision 1 | no: precondition_failed expected 1 actual 2 | 0 0 0 0
         0s   | rename shop Corner            | shop is called Corner                       | 0 0 0 0
         0s   | rename attic Attic            | no: unknown_location location attic         | 0 0 0 0",
    );
}

#[test]
fn books_are_kept_by_the_home_site_alone() {
    let mut shop = opened();
    let mut west = Shop::among("west", &["main", "west"]);
    west.must(Command::OpenLocation { id: place("harbour"), name: Title::parse("Harbour").expect("a name") });
    shop.tables.fold(&[shared(&west.journal[0])]).expect("it folds");
    let elsewhere = Refusal::OwnedElsewhere { location: place("harbour"), home: site("west") };
    for command in [
        "receive 1 apples@harbour",
        "return 1 apples@harbour",
        "issue 1 apples@harbour",
        "write-off 1 apples@harbour",
        "count 1 apples@harbour",
        "adjust apples@harbour keep-back 1",
        "rename harbour Port",
    ] {
        assert_eq!(play(&mut shop, command), Answer::No(elsewhere.clone()), "{command}");
    }
    // A promise may be made from here, but no quota was granted to this site.
    let short = Refusal::InsufficientStock { sku: sku("apples"), location: place("harbour"), wanted: 1, available: 0 };
    assert_eq!(play(&mut shop, "reserve r1 1 apples@harbour"), Answer::No(short));
    assert!(matches!(play(&mut shop, "location harbour"), Answer::No(Refusal::AlreadyExists { .. })));
}

/// What an event says about the shelf afterwards is what the rows say.
#[test]
fn a_sale_tells_the_level_that_it_leaves() {
    let mut shop = opened();
    for command in ["receive 5 apples + 5 pears", "reserve r1 4 apples + 4 pears for 1m"] {
        assert!(matches!(play(&mut shop, command), Answer::Done(_)), "{command}");
    }
    shop.now = shop.now.plus(60_000);
    let Answer::Done(events) = play(&mut shop, "issue 1 apples + 4 pears") else { panic!("it sells") };
    let Some(Event::StockMoved { lines, .. }) = events.last() else { panic!("a movement") };
    let told: Vec<_> = lines.iter().map(|line| (line.sku.as_str(), line.on_hand_after, line.available_after)).collect();
    assert_eq!(told, [("apples", 4, 4), ("pears", 1, 1)]);
}

/// Elsewhere a hold has no deadline: an extension stays at home, and the ending is found.
#[test]
fn a_hold_leaves_nothing_behind_at_another_site() {
    let mut shop = opened();
    for command in ["receive 9 apples", "reserve r1 4 apples for 1m", "extend r1 for 2m", "reserve r2 3 apples for 1m"]
    {
        play_done(&mut shop, command);
    }
    play_done(&mut shop, "commit r2");
    play_done(&mut shop, "ship r2 1 apples");
    let mut west = Shop::among("west", &["main", "west"]);
    let fold_rest = |west: &mut Shop, shop: &Shop, from: usize| {
        for bytes in &shop.journal[from..] {
            west.tables.fold(&[shared(bytes)]).expect("it folds");
        }
    };
    fold_rest(&mut west, &shop, 0);
    let read = shop.journal.len();
    assert_eq!(west.tables.of(Table::DUE).count(), 0, "no other site's hold is on the timer's list");
    assert_eq!(west.tables.of(Table::PROMISES).count(), 2);
    assert_eq!(west.tables.level("apples", "shop", &shop.site), shop.tables.level("apples", "shop", &shop.site));

    shop.now = shop.now.plus(120_000);
    play_done(&mut shop, "tick");
    play_done(&mut shop, "ship r2");
    fold_rest(&mut west, &shop, read);
    assert_eq!(west.tables.of(Table::PROMISES).count(), 0);
    assert_eq!(shop.reservations()[&hold("r1")].status, ReservationStatus::Expired);
    assert_eq!(west.tables.level("apples", "shop", &shop.site), shop.tables.level("apples", "shop", &shop.site));
}
