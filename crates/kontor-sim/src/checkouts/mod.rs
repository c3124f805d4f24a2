//! A shop that takes orders and money at one site, while its process dies and its payment provider goes wrong.
//! Buyers fill carts, check out, are declined, pay again, cancel, ask twice and come back; clerks hand out and
//! take back. Everything of the site is real: its step, its journal's bytes, its rows, the worker's list of calls;
//! the provider is the made-up bank of `kontor_payments`, which counts what it has done for each payment.
//!
//! | what must hold at the end | against |
//! | --- | --- |
//! | whoever was told of an order has it | what buyers were told |
//! | every order has ended: canceled, or paid and promised or handed out | its row |
//! | nothing was set aside or paid twice, and nothing stays set aside | the bank's ledger |
//! | what was paid and given back is what the orders say, to the penny | the bank's ledger |
//! | the journal and its rows keep every rule | `kontor check` |

mod buyers;
mod till;

use std::collections::BTreeMap;

use kontor_core::command::Command;
use kontor_core::id::OrderId;
use kontor_core::order::{Order, OrderPayment, OrderStatus};
use kontor_core::payment::call::{Call, Outcome, Trouble};
use kontor_core::payment::record::{Payment, parts};
use kontor_core::payment::retry::Try;
use kontor_core::time::SiteTime;
use kontor_payments::simulated::{Rates, Simulated};
use kontor_site::payments::Make;

use crate::chance::Chance;
use crate::oracle::{Kept, Violation, broken, same};
use buyers::Buyers;
use till::Till;
pub use till::{Crash, Phase, Point};

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Takings {
    /// Orders that were placed.
    pub orders: u64,
    /// Orders that stand, and are paid.
    pub paid: u64,
    /// Orders that were canceled, by somebody or because they were not paid in time.
    pub canceled: u64,
    /// Calls that the provider was asked for, tries among them.
    pub calls: u64,
    /// Of them, those whose outcome nobody knew at first.
    pub unknown: u64,
    /// Reports that the provider made by itself, repeats among them.
    pub callbacks: u64,
    /// Times that the process died.
    pub crashes: u64,
    /// Minor units paid out.
    pub captured: i64,
    /// Minor units given back.
    pub refunded: i64,
    /// Seconds of the world.
    pub simulated_s: u64,
}

impl Takings {
    /// Adds those of another world.
    pub fn add(&mut self, other: Self) {
        let sums = [
            (&mut self.orders, other.orders),
            (&mut self.paid, other.paid),
            (&mut self.canceled, other.canceled),
            (&mut self.calls, other.calls),
            (&mut self.unknown, other.unknown),
            (&mut self.callbacks, other.callbacks),
            (&mut self.crashes, other.crashes),
            (&mut self.simulated_s, other.simulated_s),
        ];
        sums.into_iter().for_each(|(sum, more)| *sum += more);
        self.captured += other.captured;
        self.refunded += other.refunded;
    }
}

/// How a world is.
#[derive(Debug, Clone)]
pub struct Market {
    /// Everything follows from it.
    pub seed: u64,
    /// Buyers, each with one cart.
    pub buyers: usize,
    /// Requests to the provider that go wrong, of a thousand.
    pub faults: u16,
    /// When the process dies.
    pub crash: Crash,
}

/// The first moment: some day.
const START_MS: u64 = 20_000 * 86_400_000 + 8 * 3_600_000;

/// A world that takes longer than this has no end.
const TURNS_MAX: u64 = 2_000_000;

/// Lives through a world.
pub fn sell_and_pay(market: &Market) -> Result<Takings, Violation> {
    Ok(World::new(market)?.run()?.0)
}

/// Where a process can die while one order is placed, paid, handed out and partly given back: each group that it
/// writes, each call to the provider.
pub fn crash_points() -> Result<Vec<Point>, Violation> {
    let market = Market { seed: 0, buyers: 1, faults: 0, crash: Crash::Never };
    Ok(World::new(&market)?.run()?.1)
}

/// The same story, with the process dying at one point of it.
pub fn crash_at(point: &Point) -> Result<Takings, Violation> {
    let market = Market { seed: 0, buyers: 1, faults: 0, crash: Crash::At(point.clone()) };
    Ok(World::new(&market)?.run()?.0)
}

struct World {
    now_ms: u64,
    till: Till,
    bank: Simulated,
    buyers: Buyers,
    /// What the provider will have answered, and when.
    replies: BTreeMap<(u64, u64), Reply>,
    chance: Chance,
    takings: Takings,
    numbers: u64,
}

struct Reply {
    call: Call,
    result: Result<Option<Outcome>, Trouble>,
    /// A process that died meanwhile hears nothing.
    boot: u32,
}

impl World {
    fn new(market: &Market) -> Kept<Self> {
        let mut bank = Simulated::new(market.seed);
        bank.set_rates(Rates { latency_ms: 40, ..Rates::of_all(market.faults) });
        let mut till = Till::new(market.seed, market.crash.clone());
        till.start(SiteTime(START_MS))?;
        Ok(Self {
            now_ms: START_MS,
            till,
            bank,
            buyers: Buyers::new(market.seed, market.buyers, START_MS),
            replies: BTreeMap::new(),
            chance: Chance::of(market.seed, "provider"),
            takings: Takings::default(),
            numbers: 0,
        })
    }

    fn run(mut self) -> Kept<(Takings, Vec<Point>)> {
        buyers::open_shop(&mut self.till, self.now_ms)?;
        let mut turns = 0;
        while let Some(at_ms) = self.next_ms() {
            self.now_ms = self.now_ms.max(at_ms);
            self.turn()?;
            turns += 1;
            if turns > TURNS_MAX {
                return Err(broken("everything comes to an end", "rest", format!("{turns} turns")));
            }
            if self.buyers.are_done() {
                self.bank.set_rates(Rates { latency_ms: 40, ..Rates::default() });
                self.till.crash = Crash::Never;
            }
        }
        self.judge()?;
        Ok((self.takings, self.till.points))
    }

    /// When something happens next.
    fn next_ms(&self) -> Option<u64> {
        let timer = self.till.next_timer().map(|at| at.0);
        let replies = self.replies.keys().next().map(|(at, _)| *at);
        let all = [self.buyers.next_ms(), timer, self.till.next_call_ms(), replies, self.bank.next_callback_ms()];
        all.into_iter().flatten().min()
    }

    fn turn(&mut self) -> Kept {
        let now = SiteTime(self.now_ms);
        self.till.tick(now)?;
        self.buyers.act(&mut self.till, now)?;
        for Make { call, how } in self.till.due_calls(self.now_ms) {
            self.takings.calls += 1;
            let (result, after_ms) = match how {
                Try::Send => {
                    let reply = self.bank.call(self.now_ms, &call);
                    (reply.result.map(Some), reply.after_ms)
                }
                Try::LookUp => {
                    let reply = self.bank.look_up(&call);
                    (reply.result, reply.after_ms)
                }
            };
            self.takings.unknown += u64::from(matches!(result, Err(Trouble::Unknown { .. })));
            self.numbers += 1;
            let reply = Reply { call: call.clone(), result, boot: self.till.boot };
            self.replies.insert((self.now_ms + after_ms, self.numbers), reply);
            // What was asked for is done, or under way; nobody here has heard of it.
            self.till.may_die_after_call(now, &call)?;
        }
        while let Some(entry) = self.replies.first_entry().filter(|entry| entry.key().0 <= self.now_ms) {
            let Reply { call, result, boot } = entry.remove();
            if boot == self.till.boot {
                let chance = self.chance.within(0..u64::MAX);
                self.till.call_ended(now, &call, result, chance)?;
            }
        }
        for callback in self.bank.callbacks(self.now_ms) {
            self.takings.callbacks += 1;
            let Some(attempt) = callback.attempt.or(self.till.pending(callback.payment, callback.operation)?) else {
                continue;
            };
            let (id, outcome) = (callback.payment, callback.outcome);
            let command = Command::ReportPayment { id, attempt, outcome, callback: Some(callback.event) };
            // A provider reports again what was not taken; that is the call's own reply, and its retries, here.
            drop(self.till.submit(now, "provider", None, command)?);
        }
        Ok(())
    }

    /// Everything that must hold now that nothing happens any more.
    fn judge(&mut self) -> Kept {
        let orders = self.till.rows::<Order>()?;
        let payments = self.till.rows::<Payment>()?;
        self.buyers.judge(&orders)?;
        let ledger = self.bank.ledger();
        let mut of_orders: BTreeMap<OrderId, (i64, i64)> = BTreeMap::new();
        for (key, payment) in &payments {
            let id = parts(key).map(|(id, _)| id);
            let id = id.ok_or_else(|| broken("a key can be read", "a payment", key))?;
            same("nothing is asked of the provider any more", &None, &payment.pending)?;
            let line = ledger.get(&id).copied().unwrap_or_default();
            let once = line.authorizations <= 1 && line.captures <= 1 && line.voids <= 1;
            same("nothing is set aside, paid or given up twice", &true, &once).map_err(|it| told(it, (id, line)))?;
            same("what is paid is what the bank says", &line.captured, &payment.captured)?;
            same("what is given back is what the bank says", &line.refunded, &payment.refunded)?;
            same("nothing stays set aside", &0, &line.held()).map_err(|it| told(it, (id, line, payment)))?;
            let sums = of_orders.entry(id.order).or_default();
            (sums.0, sums.1) = (sums.0 + line.captured, sums.1 + line.refunded);
        }
        let known = payments.iter().filter_map(|(key, _)| parts(key)).filter(|(id, _)| ledger.contains_key(id));
        same("the bank knows of no other payments", &ledger.len(), &known.count())?;
        for (id, order) in &orders {
            let id = OrderId(id[..16].try_into().map_err(|_| broken("a key can be read", "an order", id))?);
            let (captured, refunded) = of_orders.get(&id).copied().unwrap_or_default();
            same(
                "money is where the order says",
                &(captured, refunded),
                &(order.money.captured, order.money.refunded),
            )?;
            let stands = matches!(order.status, OrderStatus::Confirmed | OrderStatus::Completed);
            let fits = match order.status {
                OrderStatus::Open => false,
                OrderStatus::Canceled => captured == refunded,
                OrderStatus::Confirmed | OrderStatus::Completed => {
                    captured == order.total && order.payment_status != OrderPayment::Failed
                }
            };
            same("every order has ended, with its money where it belongs", &true, &fits)
                .map_err(|it| told(it, (id, order)))?;
            self.takings.paid += u64::from(stands);
            self.takings.canceled += u64::from(order.status == OrderStatus::Canceled);
            self.takings.captured += captured;
            self.takings.refunded += refunded;
        }
        self.takings.orders = orders.len() as u64;
        self.takings.crashes = self.till.crashes;
        self.takings.simulated_s = (self.now_ms - START_MS) / 1_000;
        self.till.check()
    }
}

/// A violation, with what it is about.
fn told(violation: Violation, about: impl std::fmt::Debug) -> Violation {
    Violation { found: format!("{} of {about:?}", violation.found), ..violation }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_die_at_every_step_of_a_checkout_and_of_its_payment() {
        let points = crash_points().unwrap();
        let groups = points.iter().filter(|point| matches!(point, Point::Group { .. })).count();
        assert!(groups >= 30 && points.len() > groups, "{points:?}");
        for point in &points {
            let takings = crash_at(point).unwrap_or_else(|violation| panic!("at {point:?}: {violation:?}"));
            assert_eq!((takings.orders, takings.paid, takings.crashes), (1, 1, 1), "at {point:?}");
        }
    }

    #[test]
    fn orders_end_and_money_is_where_it_belongs_whatever_the_provider_does() {
        let mut all = Takings::default();
        for seed in 0..8 {
            let crash = Crash::ByChance { per_mille: 15 };
            let market = Market { seed, buyers: 40, faults: 250, crash };
            let takings = sell_and_pay(&market).unwrap_or_else(|violation| panic!("seed {seed}: {violation:?}"));
            assert_eq!(sell_and_pay(&market).unwrap(), takings, "the same seed is the same world");
            all.add(takings);
        }
        assert!(all.orders >= 240 && all.paid >= 100 && all.canceled >= 20, "{all:?}");
        assert!(all.crashes >= 50 && all.unknown >= 50, "{all:?}");
    }
}
