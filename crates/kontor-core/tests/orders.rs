//! From a cart to money and goods: stories that a shopkeeper can read. Each begins with apples at 250 and pears
//! at 100, of which the shop has received ten each.

mod support;

use kontor_core::id::{OrderId, PaymentId, ReservationId};
use kontor_core::order::{Cause, Order, OrderStatus, Sums, TimelineRow};
use kontor_core::payment::record::{Payment, Pending, parts};
use kontor_core::reservation::ReservationStatus;
use proptest::prelude::*;
use support::ledger::{aligned, cells, moment, opened, play, play_done, told_of};
use support::sites::shared_rows;
use support::{Answer, Shop, Tables, shared};

#[test]
fn a_cart_becomes_an_order_is_paid_and_handed_out() {
    check(
        "when | does                       | and is told                                                                                           | apples
         0s   | cart c1                    | cart c1                                                                                               | 10 0 0
         1s   | put c1 4 apples            | c1: 4 apples at 250                                                                                   | 10 0 0
         1s   | put c1 2 apples            | c1: 6 apples at 250                                                                                   | 10 0 0
         2s   | set c1 5 apples            | c1: 5 apples at 250                                                                                   | 10 0 0
         2s   | put c1 3 pears             | c1: 3 pears at 100                                                                                    | 10 0 0
         3s   | set c1 0 pears             | c1: no pears                                                                                          | 10 0 0
         4s   | checkout c1 with card      | h21 held until 30m4s; order c1 #1 of 1250; c1 ordered; asks authorize c1/1 1 1250                     | 10 5 0
         4s   | checkout c1 with card      | nothing                                                                                               | 10 5 0
         4s   | put c1 1 apples            | no: cart_closed c1 ordered c1                                                                         | 10 5 0
         5s   | provider c1/1 1 did        | c1/1 1 done; h21 committed; c1 authorized: confirmed authorized unfulfilled; asks capture c1/1 2 1250 | 10 0 5
         5s   | provider c1/1 1 did        | nothing                                                                                               | 10 0 5
         6s   | provider c1/1 2 did        | c1/1 2 done; c1 captured: confirmed paid unfulfilled                                                  | 10 0 5
         7s   | ship h21 2 apples          | apples -2; c1 shipped: confirmed paid partially_fulfilled                                             | 8 0 3
         7s   | cancel c1                  | no: order_status c1 wanted cancel partially_fulfilled                                                 | 8 0 3
         8s   | ship h21                   | apples -3; c1 shipped: completed paid fulfilled                                                       | 5 0 0
         9s   | ship h21                   | no: insufficient_committed apples wanted 5 committed 0                                                | 5 0 0
         9s   | cancel c1                  | no: order_status c1 wanted cancel fulfilled                                                           | 5 0 0
         9s   | refund c1 2 apples to shop | apples +2; c1 returned: completed paid partially_returned; asks refund c1/1 3 500                     | 7 0 0
         9s   | refund c1 amount 100       | no: payment_in_progress c1/1 operation refund                                                         | 7 0 0
         10s  | provider c1/1 3 did        | c1/1 3 done; c1 refunded: completed partially_refunded partially_returned                             | 7 0 0
         11s  | refund c1 amount 751       | no: amount_exceeded given 751 max 750 currency EUR                                                    | 7 0 0
         11s  | refund c1 4 apples         | no: limit_exceeded units returned given 4 max 3                                                       | 7 0 0
         11s  | refund c1 3 apples         | c1 returned: completed partially_refunded returned; asks refund c1/1 4 750                            | 7 0 0
         12s  | provider c1/1 4 did        | c1/1 4 done; c1 refunded: completed refunded returned                                                 | 7 0 0
         13s  | refund c1 1 apples         | no: limit_exceeded units returned given 1 max 0                                                       | 7 0 0",
    );
}

#[test]
fn who_is_declined_tries_another_card_while_the_units_are_held() {
    check(
        "when | does                          | and is told                                                                                          | apples
         0s   | cart c1                       | cart c1                                                                                              | 10 0 0
         0s   | put c1 1 apples               | c1: 1 apples at 250                                                                                  | 10 0 0
         1s   | checkout c1 with card for 10m | h17 held until 10m1s; order c1 #1 of 250; c1 ordered; asks authorize c1/1 1 250                      | 10 1 0
         2s   | pay c1 with other             | no: payment_in_progress c1/1 operation authorize                                                     | 10 1 0
         2s   | provider c1/1 1 declined      | c1/1 1 declined; c1 payment_failed: open failed unfulfilled                                          | 10 1 0
         3s   | commit h18                    | no: unknown_reservation h18                                                                          | 10 1 0
         3s   | release h18                   | no: unknown_reservation h18                                                                          | 10 1 0
         3s   | pay c1 with other             | asks authorize c1/2 1 250; c1 payment_begun: open pending unfulfilled                                | 10 1 0
         4s   | provider c1/2 1 did           | c1/2 1 done; h17 committed; c1 authorized: confirmed authorized unfulfilled; asks capture c1/2 2 250 | 10 0 1
         5s   | pay c1 with other             | no: payment_in_progress c1/2 operation capture                                                       | 10 0 1
         6s   | provider c1/2 2 refused       | c1/2 2 refused; c1 payment_failed: confirmed failed unfulfilled; asks void c1/2 3 250                | 10 0 1
         6s   | provider c1/2 3 did           | c1/2 3 done; c1 voided: confirmed failed unfulfilled                                                 | 10 0 1
         7s   | pay c1 with third             | asks authorize c1/3 1 250; c1 payment_begun: confirmed pending unfulfilled                           | 10 0 1
         8s   | provider c1/3 1 did           | c1/3 1 done; c1 authorized: confirmed authorized unfulfilled; asks capture c1/3 2 250                | 10 0 1
         9s   | provider c1/3 2 did           | c1/3 2 done; c1 captured: confirmed paid unfulfilled                                                 | 10 0 1",
    );
}

#[test]
fn an_order_is_abandoned_only_while_it_costs_nobody_anything() {
    check(
        "when | does                    | and is told                                                                                          | apples
         0s   | cart c1                 | cart c1                                                                                              | 10 0 0
         0s   | put c1 1 apples         | c1: 1 apples at 250                                                                                  | 10 0 0
         1s   | checkout c1 with card   | h17 held until 30m1s; order c1 #1 of 250; c1 ordered; asks authorize c1/1 1 250                      | 10 1 0
         1s   | abandon c1              | no: order_status c1 wanted abandon pending                                                           | 10 1 0
         2s   | provider c1/1 1 declined | c1/1 1 declined; c1 payment_failed: open failed unfulfilled                                         | 10 1 0
         3s   | abandon c1              | h17 released; c1 canceled: canceled voided unfulfilled                                               | 10 0 0
         3s   | abandon c1              | no: order_status c1 wanted abandon canceled                                                          | 10 0 0
         4s   | cart c2                 | cart c2                                                                                              | 10 0 0
         4s   | put c2 1 apples         | c2: 1 apples at 250                                                                                  | 10 0 0
         4s   | checkout c2 with card   | h22 held until 30m4s; order c2 #2 of 250; c2 ordered; asks authorize c2/1 1 250                      | 10 1 0
         5s   | provider c2/1 1 did     | c2/1 1 done; h22 committed; c2 authorized: confirmed authorized unfulfilled; asks capture c2/1 2 250 | 10 0 1
         5s   | abandon c2              | no: order_status c2 wanted abandon authorized                                                        | 10 0 1
         6s   | provider c2/1 2 did     | c2/1 2 done; c2 captured: confirmed paid unfulfilled                                                 | 10 0 1
         7s   | abandon c2              | no: order_status c2 wanted abandon confirmed                                                         | 10 0 1",
    );
}

#[test]
fn what_is_not_paid_in_time_is_canceled_and_its_units_are_free() {
    check(
        "when  | does                          | and is told                                                                                                                           | apples
         0s    | cart c1                       | cart c1                                                                                                                               | 10 0 0
         0s    | put c1 10 apples              | c1: 10 apples at 250                                                                                                                  | 10 0 0
         1s    | checkout c1 for 10m           | h17 held until 10m1s; order c1 #1 of 2500; c1 ordered                                                                                 | 10 10 0
         10m1s | tick                          | h17 expired; c1 expired: canceled voided unfulfilled                                                                                  | 10 0 0
         10m2s | pay c1 with card              | no: order_status c1 wanted pay canceled                                                                                               | 10 0 0
         10m2s | cart c2                       | cart c2                                                                                                                               | 10 0 0
         10m2s | put c2 10 apples              | c2: 10 apples at 250                                                                                                                  | 10 0 0
         10m3s | checkout c2 with card for 10m | h21 held until 20m3s; order c2 #2 of 2500; c2 ordered; asks authorize c2/1 1 2500                                                     | 10 10 0
         10m4s | provider c2/1 1 declined      | c2/1 1 declined; c2 payment_failed: open failed unfulfilled                                                                           | 10 10 0
         21m   | cart c3                       | cart c3                                                                                                                               | 10 10 0
         21m   | put c3 4 apples               | c3: 4 apples at 250                                                                                                                   | 10 10 0
         21m   | checkout c3 with card         | h21 expired; c2 expired: canceled voided unfulfilled; h25 held until 51m; order c3 #3 of 1000; c3 ordered; asks authorize c3/1 1 1000 | 10 4 0",
    );
}

#[test]
fn money_that_comes_after_the_hold_has_ended_buys_what_is_still_there_or_goes_back() {
    check(
        "when  | does                          | and is told                                                                                                                                                               | apples
         0s    | cart c1                       | cart c1                                                                                                                                                                   | 10 0 0
         0s    | put c1 6 apples               | c1: 6 apples at 250                                                                                                                                                       | 10 0 0
         1s    | checkout c1 with card for 10m | h17 held until 10m1s; order c1 #1 of 1500; c1 ordered; asks authorize c1/1 1 1500                                                                                         | 10 6 0
         10m1s | tick                          | h17 expired                                                                                                                                                               | 10 0 0
         11m   | provider c1/1 1 did           | c1/1 1 done; c1 authorized: open authorized unfulfilled; h19 held until 41m; h19 committed; c1 reserved_again: confirmed authorized unfulfilled; asks capture c1/1 2 1500 | 10 0 6
         12m   | provider c1/1 2 did           | c1/1 2 done; c1 captured: confirmed paid unfulfilled                                                                                                                      | 10 0 6
         12m   | cart c2                       | cart c2                                                                                                                                                                   | 10 0 6
         12m   | put c2 4 apples               | c2: 4 apples at 250                                                                                                                                                       | 10 0 6
         12m   | checkout c2 with card for 10m | h23 held until 22m; order c2 #2 of 1000; c2 ordered; asks authorize c2/1 1 1000                                                                                           | 10 4 6
         30m   | issue 3 apples                | h23 expired; apples -3                                                                                                                                                    | 7 0 6
         30m   | provider c2/1 1 did           | c2/1 1 done; c2 authorized: open authorized unfulfilled; c2 stock_gone: canceled authorized unfulfilled; asks void c2/1 2 1000                                            | 7 0 6
         31m   | provider c2/1 2 did           | c2/1 2 done; c2 voided: canceled voided unfulfilled                                                                                                                       | 7 0 6
         32m   | cart c3                       | cart c3                                                                                                                                                                   | 7 0 6
         32m   | put c3 1 apples               | c3: 1 apples at 250                                                                                                                                                       | 7 0 6
         32m   | checkout c3 with card for 10m | h29 held until 42m; order c3 #3 of 250; c3 ordered; asks authorize c3/1 1 250                                                                                             | 7 1 6
         50m   | tick                          | h29 expired                                                                                                                                                               | 7 0 6
         50m   | provider c3/1 1 declined      | c3/1 1 declined; c3 payment_failed: open failed unfulfilled; c3 expired: canceled voided unfulfilled                                                                      | 7 0 6",
    );
}

#[test]
fn who_cancels_while_the_provider_is_asked_gets_all_back() {
    check(
        "when | does                        | and is told                                                                                          | apples
         0s   | cart c1                     | cart c1                                                                                              | 10 0 0
         0s   | put c1 2 apples             | c1: 2 apples at 250                                                                                  | 10 0 0
         1s   | checkout c1 with card       | h17 held until 30m1s; order c1 #1 of 500; c1 ordered; asks authorize c1/1 1 500                      | 10 2 0
         2s   | cancel c1 because mistake   | h17 released; c1 canceled: canceled pending unfulfilled                                              | 10 0 0
         3s   | provider c1/1 1 did         | c1/1 1 done; c1 authorized: canceled authorized unfulfilled; asks void c1/1 2 500                    | 10 0 0
         4s   | provider c1/1 2 refused     | c1/1 2 refused; c1 not_undone: canceled authorized unfulfilled                                       | 10 0 0
         5s   | cart c2                     | cart c2                                                                                              | 10 0 0
         5s   | put c2 2 apples             | c2: 2 apples at 250                                                                                  | 10 0 0
         5s   | checkout c2 with card       | h23 held until 30m5s; order c2 #2 of 500; c2 ordered; asks authorize c2/1 1 500                      | 10 2 0
         6s   | provider c2/1 1 did         | c2/1 1 done; h23 committed; c2 authorized: confirmed authorized unfulfilled; asks capture c2/1 2 500 | 10 0 2
         7s   | cancel c2                   | h23 given up; c2 canceled: canceled authorized unfulfilled                                           | 10 0 0
         8s   | provider c2/1 2 did         | c2/1 2 done; c2 captured: canceled paid unfulfilled; asks refund c2/1 3 500                          | 10 0 0
         9s   | provider c2/1 3 did         | c2/1 3 done; c2 refunded: canceled refunded unfulfilled                                              | 10 0 0
         10s  | cart c3                     | cart c3                                                                                              | 10 0 0
         10s  | put c3 2 apples             | c3: 2 apples at 250                                                                                  | 10 0 0
         10s  | checkout c3 with card later | h30 held until 30m10s; order c3 #3 of 500; c3 ordered; asks authorize c3/1 1 500                     | 10 2 0
         11s  | provider c3/1 1 did         | c3/1 1 done; h30 committed; c3 authorized: confirmed authorized unfulfilled                          | 10 0 2
         12s  | capture c3/1 only 600       | no: amount_exceeded given 600 max 500 currency EUR                                                   | 10 0 2
         12s  | capture c3/1 only 300       | asks capture c3/1 2 300                                                                              | 10 0 2
         12s  | cancel c3                   | h30 given up; c3 canceled: canceled authorized unfulfilled                                           | 10 0 0
         13s  | provider c3/1 2 did         | c3/1 2 done; c3 captured: canceled partially_paid unfulfilled; asks refund c3/1 3 300                | 10 0 0
         14s  | provider c3/1 3 did         | c3/1 3 done; c3 refunded: canceled refunded unfulfilled                                              | 10 0 0
         15s  | cart c4                     | cart c4                                                                                              | 10 0 0
         15s  | put c4 1 apples             | c4: 1 apples at 250                                                                                  | 10 0 0
         15s  | checkout c4 with card       | h38 held until 30m15s; order c4 #4 of 250; c4 ordered; asks authorize c4/1 1 250                     | 10 1 0
         16s  | cancel c4                   | h38 released; c4 canceled: canceled pending unfulfilled                                              | 10 0 0
         17s  | provider c4/1 1 declined    | c4/1 1 declined; c4 payment_failed: canceled voided unfulfilled                                      | 10 0 0",
    );
}

#[test]
fn who_cancels_while_some_of_it_is_given_back_gets_the_rest_too() {
    check(
        "when | does                  | and is told                                                                                          | apples
         0s   | cart c1               | cart c1                                                                                              | 10 0 0
         0s   | put c1 2 apples       | c1: 2 apples at 250                                                                                  | 10 0 0
         1s   | checkout c1 with card | h17 held until 30m1s; order c1 #1 of 500; c1 ordered; asks authorize c1/1 1 500                      | 10 2 0
         2s   | provider c1/1 1 did   | c1/1 1 done; h17 committed; c1 authorized: confirmed authorized unfulfilled; asks capture c1/1 2 500 | 10 0 2
         3s   | provider c1/1 2 did   | c1/1 2 done; c1 captured: confirmed paid unfulfilled                                                 | 10 0 2
         4s   | refund c1 amount 50   | c1 returned: confirmed paid unfulfilled; asks refund c1/1 3 50                                       | 10 0 2
         5s   | cancel c1             | h17 given up; c1 canceled: canceled paid unfulfilled                                                 | 10 0 0
         6s   | provider c1/1 3 did   | c1/1 3 done; c1 refunded: canceled partially_refunded unfulfilled; asks refund c1/1 4 450            | 10 0 0
         7s   | provider c1/1 4 did   | c1/1 4 done; c1 refunded: canceled refunded unfulfilled                                              | 10 0 0",
    );
}

#[test]
fn a_provider_that_reports_again_and_late_changes_nothing_more() {
    check(
        "when | does                               | and is told                                                                                                           | apples
         0s   | cart c1                            | cart c1                                                                                                               | 10 0 0
         0s   | put c1 2 apples                    | c1: 2 apples at 250                                                                                                   | 10 0 0
         1s   | checkout c1 with card              | h17 held until 30m1s; order c1 #1 of 500; c1 ordered; asks authorize c1/1 1 500                                       | 10 2 0
         2s   | provider c1/1 1 did report r1      | report r1 taken; c1/1 1 done; h17 committed; c1 authorized: confirmed authorized unfulfilled; asks capture c1/1 2 500 | 10 0 2
         2s   | provider c1/1 1 did report r1      | nothing                                                                                                               | 10 0 2
         2s   | provider c1/1 1 did                | nothing                                                                                                               | 10 0 2
         3s   | provider c1/1 1 declined report r2 | report r2 taken                                                                                                       | 10 0 2
         3s   | provider c1/1 2 did report r3      | report r3 taken; c1/1 2 done; c1 captured: confirmed paid unfulfilled                                                 | 10 0 2
         4s   | provider c1/1 2 did report r4      | report r4 taken                                                                                                       | 10 0 2
         5s   | provider c1/7 1 did                | no: unknown_payment c1/7                                                                                              | 10 0 2",
    );
}

#[test]
fn a_call_is_parked_until_somebody_looks() {
    check(
        "when  | does                          | and is told                                                                                                                                                              | apples
         0s    | cart c1                       | cart c1                                                                                                                                                                  | 10 0 0
         0s    | put c1 2 apples               | c1: 2 apples at 250                                                                                                                                                      | 10 0 0
         1s    | checkout c1 with card for 10m | h17 held until 10m1s; order c1 #1 of 500; c1 ordered; asks authorize c1/1 1 500                                                                                          | 10 2 0
         2s    | resume c1/1                   | no: payment_in_progress c1/1 operation authorize                                                                                                                         | 10 2 0
         2s    | park c1/1 1 because no-answer | c1/1 parked                                                                                                                                                              | 10 2 0
         2s    | park c1/1 1 because no-answer | nothing                                                                                                                                                                  | 10 2 0
         10m1s | tick                          | h17 expired                                                                                                                                                              | 10 0 0
         20m   | resume c1/1                   | c1/1 resumed                                                                                                                                                             | 10 0 0
         21m   | provider c1/1 1 did           | c1/1 1 done; c1 authorized: open authorized unfulfilled; h21 held until 51m; h21 committed; c1 reserved_again: confirmed authorized unfulfilled; asks capture c1/1 2 500 | 10 0 2",
    );
}

#[test]
fn a_price_that_has_changed_is_accepted_or_not_paid() {
    check(
        "when | does                   | and is told                                                                     | apples | pears
         0s   | cart c1                | cart c1                                                                         | 10 0 0 | 10 0 0
         0s   | put c1 2 apples        | c1: 2 apples at 250                                                             | 10 0 0 | 10 0 0
         0s   | put c1 1 apples at 199 | c1: 1 apples at 199                                                             | 10 0 0 | 10 0 0
         0s   | put c1 1 ice           | c1: 1 ice at no price                                                           | 10 0 0 | 10 0 0
         1s   | price apples 300       | apples revision 3                                                               | 10 0 0 | 10 0 0
         1s   | checkout c1 with card  | no: price_changed apples was 250 now 300 currency EUR                           | 10 0 0 | 10 0 0
         2s   | accept c1              | c1: 2 apples at 300                                                             | 10 0 0 | 10 0 0
         2s   | checkout c1 with card  | no: price_missing ice currency EUR                                              | 10 0 0 | 10 0 0
         3s   | set c1 0 ice           | c1: no ice                                                                      | 10 0 0 | 10 0 0
         3s   | checkout c1 with card  | h22 held until 30m3s; order c1 #1 of 799; c1 ordered; asks authorize c1/1 1 799 | 10 3 0 | 10 0 0",
    );
}

#[test]
fn two_buyers_of_the_last_units_get_one_order_and_one_no() {
    check(
        "when | does                     | and is told                                                                       | apples
         0s   | cart c1                  | cart c1                                                                           | 10 0 0
         0s   | cart c2                  | cart c2                                                                           | 10 0 0
         0s   | put c1 6 apples          | c1: 6 apples at 250                                                               | 10 0 0
         0s   | put c2 6 apples          | c2: 6 apples at 250                                                               | 10 0 0
         1s   | checkout c1 with card    | h19 held until 30m1s; order c1 #1 of 1500; c1 ordered; asks authorize c1/1 1 1500 | 10 6 0
         1s   | checkout c2 with card    | no: insufficient_stock apples wanted 6 available 4                                | 10 6 0
         2s   | provider c1/1 1 declined | c1/1 1 declined; c1 payment_failed: open failed unfulfilled                       | 10 6 0
         2s   | checkout c2 with card    | no: insufficient_stock apples wanted 6 available 4                                | 10 6 0
         2s   | cancel c1                | h19 released; c1 canceled: canceled voided unfulfilled                            | 10 0 0
         3s   | checkout c2 with card    | h22 held until 30m3s; order c2 #2 of 1500; c2 ordered; asks authorize c2/1 1 1500 | 10 6 0",
    );
}

#[test]
fn some_items_are_held_as_soon_as_they_are_in_a_cart() {
    check(
        "when   | does                  | and is told                                                                                   | cream
         0s     | price cream 100       | cream revision 2                                                                              | 0 0 0
         0s     | receive 5 cream       | cream +5                                                                                      | 5 0 0
         0s     | cart c1               | cart c1                                                                                       | 5 0 0
         0s     | put c1 3 cream        | h18 held until 15m; c1: 3 cream at 100                                                        | 5 3 0
         1s     | cart c2               | cart c2                                                                                       | 5 3 0
         1s     | put c2 3 cream        | no: insufficient_stock cream wanted 3 available 2                                             | 5 3 0
         1s     | put c2 2 cream        | h20 held until 15m1s; c2: 2 cream at 100                                                      | 5 5 0
         2s     | set c1 1 cream        | h18 released; h21 held until 15m2s; c1: 1 cream at 100                                        | 5 3 0
         3s     | put c2 2 cream        | h20 released; h22 held until 15m3s; c2: 4 cream at 100                                        | 5 5 0
         4s     | merge c1 into c2      | h21 released; c1 merged; h22 released; h23 held until 15m4s; c2: 5 cream at 100               | 5 5 0
         5s     | checkout c2 with card | h23 released; h24 held until 30m5s; order c2 #1 of 500; c2 ordered; asks authorize c2/1 1 500 | 5 5 0
         15m10s | cart c3               | cart c3                                                                                       | 5 5 0
         15m10s | put c3 1 cream        | no: insufficient_stock cream wanted 1 available 0                                             | 5 5 0
         15m11s | cart c4               | cart c4                                                                                       | 5 5 0
         15m11s | from c4 cellar        | c4 detailed                                                                                   | 5 5 0
         15m12s | put c4 1 cream        | no: insufficient_stock cream location cellar wanted 1 available 0                             | 5 5 0",
    );
}

#[test]
fn only_what_was_handed_out_comes_back_and_a_discount_does_not_keep_an_order_open() {
    check(
        "when | does                       | and is told                                                                                          | apples
         0s   | cart c1                    | cart c1                                                                                              | 10 0 0
         0s   | put c1 3 apples            | c1: 3 apples at 250                                                                                  | 10 0 0
         1s   | checkout c1 with card      | h17 held until 30m1s; order c1 #1 of 750; c1 ordered; asks authorize c1/1 1 750                      | 10 3 0
         1s   | ship h17                   | no: order_status c1 wanted ship open                                                                 | 10 3 0
         2s   | provider c1/1 1 did        | c1/1 1 done; h17 committed; c1 authorized: confirmed authorized unfulfilled; asks capture c1/1 2 750 | 10 0 3
         3s   | provider c1/1 2 did        | c1/1 2 done; c1 captured: confirmed paid unfulfilled                                                 | 10 0 3
         4s   | refund c1 amount 50        | c1 returned: confirmed paid unfulfilled; asks refund c1/1 3 50                                       | 10 0 3
         5s   | provider c1/1 3 did        | c1/1 3 done; c1 refunded: confirmed partially_refunded unfulfilled                                   | 10 0 3
         5s   | refund c1 1 apples to shop | no: order_status c1 wanted return unfulfilled                                                        | 10 0 3
         6s   | ship h17 1 apples          | apples -1; c1 shipped: confirmed partially_refunded partially_fulfilled                              | 9 0 2
         7s   | refund c1 2 apples to shop | no: limit_exceeded units returned given 2 max 1                                                      | 9 0 2
         7s   | refund c1 1 apples to shop | apples +1; c1 returned: confirmed partially_refunded partially_fulfilled; asks refund c1/1 4 250     | 10 0 2
         8s   | provider c1/1 4 did        | c1/1 4 done; c1 refunded: confirmed partially_refunded partially_fulfilled                           | 10 0 2
         8s   | refund c1 1 apples to shop | no: limit_exceeded units returned given 1 max 0                                                      | 10 0 2
         9s   | ship h17                   | apples -2; c1 shipped: completed partially_refunded fulfilled                                        | 8 0 0",
    );
}

#[test]
fn a_cart_is_merged_in_the_other_ones_currency_and_stays_with_its_customer() {
    check(
        "when | does                     | and is told                           | apples
         0s   | price apples 300 in GBP  | apples revision 3                     | 10 0 0
         0s   | customer anna email anna | customer anna                         | 10 0 0
         0s   | customer bert email bert | customer bert                         | 10 0 0
         1s   | cart c1                  | cart c1                               | 10 0 0
         1s   | put c1 2 apples          | c1: 2 apples at 250                   | 10 0 0
         1s   | put c1 1 apples at 90    | c1: 1 apples at 90                    | 10 0 0
         1s   | cart c2 of anna in GBP   | cart c2                               | 10 0 0
         2s   | merge c1 into c1         | no: invalid_request                   | 10 0 0
         2s   | merge c1 into c2         | no: price_missing apples currency GBP | 10 0 0
         3s   | set c1 0 apples at 90    | c1: no apples                         | 10 0 0
         3s   | merge c1 into c2         | c1 merged; c2: 2 apples at 300        | 10 0 0
         4s   | put c2 1 apples at 90    | c2: 1 apples at 90                    | 10 0 0
         4s   | give c2 to bert          | no: cart_of_another c2 anna           | 10 0 0
         4s   | give c2 to anna          | c2 detailed                           | 10 0 0
         5s   | remove c2 apples         | c2: no apples, no apples              | 10 0 0
         5s   | remove c2 apples         | nothing                               | 10 0 0",
    );
}

#[test]
fn customers_have_so_many_open_carts_and_are_forgotten_on_request() {
    check(
        "when | does                      | and is told                                                                                          | apples
         0s   | customer anna email anna  | customer anna                                                                                        | 10 0 0
         0s   | customer bert email anna  | no: already_exists customer anna                                                                     | 10 0 0
         0s   | customer anna email anna2 | customer anna                                                                                        | 10 0 0
         0s   | customer bert email anna  | customer bert                                                                                        | 10 0 0
         1s   | cart c1 of anna           | cart c1                                                                                              | 10 0 0
         1s   | cart c1 of anna           | no: already_exists cart c1                                                                           | 10 0 0
         1s   | cart c2 of nobody         | no: unknown_customer nobody                                                                          | 10 0 0
         1s   | put c1 2 apples           | c1: 2 apples at 250                                                                                  | 10 0 0
         2s   | checkout c1 with card     | h20 held until 30m2s; order c1 #1 of 500; c1 ordered; asks authorize c1/1 1 500                      | 10 2 0
         3s   | erase anna because asked  | anna erased                                                                                          | 10 2 0
         3s   | erase anna                | nothing                                                                                              | 10 2 0
         4s   | cart c2 of anna           | no: customer_erased anna                                                                             | 10 2 0
         4s   | customer anna email anna  | no: customer_erased anna                                                                             | 10 2 0
         4s   | customer carl email anna2 | customer carl                                                                                        | 10 2 0
         5s   | provider c1/1 1 did       | c1/1 1 done; h20 committed; c1 authorized: confirmed authorized unfulfilled; asks capture c1/1 2 500 | 10 0 2",
    );
}

#[test]
fn what_costs_nothing_needs_no_payment_and_what_is_missing_is_said() {
    check(
        "when | does                | and is told                                                                                                              | apples
         0s   | cart c1             | cart c1                                                                                                                  | 10 0 0
         0s   | checkout c1         | no: cart_empty c1                                                                                                        | 10 0 0
         0s   | put c1 1 cards      | c1: 1 cards at no price                                                                                                  | 10 0 0
         0s   | checkout c1         | no: price_missing cards currency EUR                                                                                     | 10 0 0
         1s   | set c1 0 cards      | c1: no cards                                                                                                             | 10 0 0
         1s   | put c1 1 cards at 0 | c1: 1 cards at 0                                                                                                         | 10 0 0
         1s   | checkout c1         | h19 held until 30m1s; order c1 #1 of 0; c1 ordered; h19 committed; c1 nothing_to_pay: confirmed not_required unfulfilled | 10 0 0
         2s   | ship h19            | cards@cellar 1 and no change; c1 shipped: completed not_required fulfilled                                               | 10 0 0
         3s   | put c1 1 apples     | no: cart_closed c1 ordered c1                                                                                            | 10 0 0
         3s   | checkout c9         | no: unknown_cart c9                                                                                                      | 10 0 0
         3s   | pay c9 with card    | no: unknown_order c9                                                                                                     | 10 0 0
         3s   | cancel c9           | no: unknown_order c9                                                                                                     | 10 0 0
         3s   | put c9 1 apples     | no: unknown_cart c9                                                                                                      | 10 0 0",
    );
}

#[test]
fn carts_that_nobody_came_back_to_are_swept() {
    check(
        "when | does            | and is told                                            | cream
         0s   | price cream 100 | cream revision 2                                       | 0 0 0
         0s   | receive 5 cream | cream +5                                               | 5 0 0
         0s   | cart c1         | cart c1                                                | 5 0 0
         0s   | put c1 3 cream  | h18 held until 15m; c1: 3 cream at 100                 | 5 3 0
         0s   | cart c2         | cart c2                                                | 5 3 0
         6d   | put c2 1 cream  | h20 held until 6d15m; c2: 1 cream at 100               | 5 4 0
         7d   | sweep c1 c2     | nothing                                                | 5 4 0
         8d   | sweep c1 c2     | h18 released; c1 swept                                 | 5 1 0
         9d   | put c1 1 cream  | no: unknown_cart c1                                    | 5 1 0
         9d   | put c2 1 cream  | h20 released; h22 held until 9d15m; c2: 2 cream at 100 | 5 2 0",
    );
}

/// Each buyer opens a cart, fills it, checks out, and is authorized and charged: in every order in which the
/// steps of two of them can follow one another.
#[test]
fn the_last_unit_has_one_buyer_however_two_checkouts_interleave() {
    let steps = |cart: &str| {
        ["cart C", "put C 10 apples", "checkout C with card", "provider C/1 1 did", "provider C/1 2 did"]
            .map(|step| step.replace('C', cart))
    };
    let (first, second) = (steps("c1"), steps("c2"));
    let mut before = opened();
    ["price apples 250", "receive 10 apples"].into_iter().for_each(|command| play_done(&mut before, command));
    let interleavings = (0..1_u32 << 10).filter(|order| order.count_ones() == 5);
    let mut tried = 0;
    for order in interleavings {
        let mut shop = before.clone();
        let (mut first, mut second) = (first.iter(), second.iter());
        let mut told = Vec::new();
        for at in 0..10 {
            let next = if order >> at & 1 == 1 { first.next() } else { second.next() };
            let step = next.expect("five steps each");
            shop.now = shop.now.plus(1_000);
            let answer = told_of(play(&mut shop, step));
            shop.audit();
            told.extend(step.starts_with("checkout").then_some(answer));
        }
        let refused = "no: insufficient_stock apples wanted 10 available 0";
        assert_eq!(told.iter().filter(|answer| *answer == refused).count(), 1, "{order:010b}: {told:?}");
        let orders = shop.tables.all::<Order>();
        let [(_, order)] = &orders[..] else { panic!("{order:010b}: {orders:?}") };
        assert_eq!((order.status, order.money.captured), (OrderStatus::Confirmed, 2_500));
        tried += 1;
    }
    assert_eq!(tried, 252);
}

proptest! {
    #![proptest_config(support::cases(200))]

    /// Whatever buyers, clerks and the provider do: nothing is paid twice, nothing is held for ever, every order
    /// comes to an end, and what was paid for an order that does not stand goes back.
    #[test]
    fn every_order_ends_and_its_money_is_where_it_belongs(acts in proptest::collection::vec(act(), 1..60)) {
        let mut shop = opened();
        for command in ["price apples 250", "price cream 100", "receive 10 apples", "receive 6 cream"] {
            play_done(&mut shop, command);
        }
        for command in ["cart c1", "cart c2", "cart c3", "put c1 2 apples", "put c2 4 cream", "put c3 9 apples"] {
            play_done(&mut shop, command);
        }
        for act in &acts {
            shop.now = shop.now.plus(20_000);
            let said = said(&shop, act);
            match play(&mut shop, &said) {
                Answer::Failed(why) => panic!("{act}: {why}"),
                Answer::Done(_) | Answer::Again(_) | Answer::No(_) => shop.audit(),
            }
        }
        // The provider answers all that it was asked, and everything falls due.
        for _ in 0..8 {
            for (id, pending) in pending(&shop) {
                let (order, attempt) = (named(id.order), pending.attempt);
                if pending.parked.is_some() {
                    play_done(&mut shop, &format!("resume {order}/{}", id.number));
                }
                play_done(&mut shop, &format!("provider {order}/{} {attempt} did", id.number));
                shop.audit();
            }
        }
        shop.now = shop.now.plus(2 * 3_600_000);
        let Answer::Done(_) = play(&mut shop, "tick") else { panic!("holds end") };
        shop.audit();
        prop_assert!(pending(&shop).is_empty(), "somebody is still asked");
        for (key, order) in shop.tables.all::<Order>() {
            let Sums { authorized, captured, refunded } = order.money;
            let id = &key[..16];
            prop_assert_ne!(order.status, OrderStatus::Open, "{:?}", id);
            prop_assert!(captured <= order.total && refunded <= captured, "{:?}", order);
            if order.status == OrderStatus::Canceled && !is_stuck(&shop, id) {
                prop_assert_eq!((authorized, captured), (0, refunded), "{:?}", order);
            }
            let hold = shop.reservations()[&order.reservation].status;
            let stands = order.status != OrderStatus::Canceled;
            prop_assert_eq!(hold == ReservationStatus::Committed, stands, "{:?}", order);
        }
        // What was shared of it makes equal rows elsewhere.
        let mut elsewhere = Tables::new(&["main", "west"]);
        let groups: Vec<_> = shop.journal.iter().map(|bytes| shared(bytes)).collect();
        elsewhere.fold(&groups).expect("it folds");
        let equal = shared_rows(&elsewhere) == shared_rows(&shop.tables);
        prop_assert!(equal, "what is shared is not the same elsewhere");
    }
}

/// Something that a buyer, a clerk or the provider does.
fn act() -> impl Strategy<Value = String> {
    let words = [
        "put C 1 apples",
        "put C 1 apples at 99",
        "put C 2 cream",
        "set C 1 apples",
        "set C 0 cream",
        "accept C",
        "checkout C with card for 3m",
        "checkout C with card for 3m",
        "checkout C with card for 3m",
        "checkout C for 1m",
        "checkout C with card later",
        "pay C with card",
        "cancel C",
        "C is done",
        "C is done",
        "C is done",
        "C is done",
        "C is declined",
        "C is refused",
        "provider C/1 1 did",
        "provider C/1 2 did",
        "capture C/1",
        "capture C/1 only 100",
        "refund C amount 50",
        "refund C 1 apples to shop",
        "park C/1 1 because slow",
        "resume C/1",
        "tick",
        "issue 1 apples",
        "price apples 300",
        "merge C into c1",
        "ship-order C",
    ];
    (proptest::sample::select(words.to_vec()), 1..4_u8)
        .prop_map(|(words, number)| words.replace('C', &format!("c{number}")))
}

/// What the provider says of whatever it is asked for an order.
fn said(shop: &Shop, act: &str) -> String {
    let Some((order, word)) = act.split_once(" is ") else { return act.to_owned() };
    let asked = pending(shop).into_iter().find(|(id, _)| named(id.order) == order);
    let (number, attempt) = asked.map_or((1, 1), |(id, pending)| (id.number, pending.attempt));
    format!("provider {order}/{number} {attempt} {}", word.replace("done", "did"))
}

fn pending(shop: &Shop) -> Vec<(PaymentId, Pending)> {
    let all = shop.tables.all::<Payment>().into_iter();
    let id = |key: &[u8]| parts(key).map(|(id, _)| id).expect("a key of a payment");
    all.filter_map(|(key, payment)| Some((id(&key), payment.pending?))).collect()
}

fn named(id: OrderId) -> String {
    support::ledger::hold_name(ReservationId(id.0))
}

/// The provider has refused to undo something: a person has to look.
fn is_stuck(shop: &Shop, order: &[u8]) -> bool {
    let mut rows = shop.tables.all::<TimelineRow>().into_iter();
    rows.any(|(key, row)| &key[..16] == order && matches!(row.cause, Cause::NotUndone { .. }))
}

/// Plays a table and compares it with what happens.
#[track_caller]
fn check(table: &str) {
    let mut rows = table.lines().map(str::trim).filter(|line| !line.is_empty()).map(cells);
    let head = rows.next().expect("a head");
    let mut shop = opened();
    for command in ["price apples 250", "price pears 100", "receive 10 apples", "receive 10 pears"] {
        play_done(&mut shop, command);
    }
    let mut told = vec![head.clone()];
    let mut expected = vec![head.clone()];
    for row in rows {
        shop.now = moment(&row[0]);
        let answer = told_of(play(&mut shop, &row[1]));
        shop.audit();
        let levels = head[3..].iter().map(|item| {
            let level = shop.tables.level(item, "shop", &shop.site);
            format!("{} {} {}", level.on_hand, level.reserved, level.committed)
        });
        told.push([row[0].clone(), row[1].clone(), answer].into_iter().chain(levels).collect());
        let width = head.len();
        expected.push(row.into_iter().chain(std::iter::repeat(String::new())).take(width).collect());
    }
    let (told, expected) = (aligned(&told), aligned(&expected));
    assert!(told == expected, "expected\n{expected}\nbut it went\n{told}");
}
