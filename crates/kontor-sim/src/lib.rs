//! A world under one seed: a site, or two or three that read each other's journals, each with its
//! clients, its disk and its clocks, and an oracle that knows what must hold. The same seed gives the same
//! world, line by line, in any process.
//!
//! ```text
//! cargo run --release -p kontor-sim -- --seeds 1000          fresh seeds, and figures
//! cargo run --release -p kontor-sim -- --seed 7 --trace      one world, line by line
//! cargo run --release -p kontor-sim -- --plant forget-key    a planted mistake, which must be found
//! ```
//!
//! **What is real.** The code of the site: `kontor_site`'s step, recovery, rows, row cache and
//! timekeeper, what it checks and keeps of other sites, and all of `kontor_core` below them. Groups are
//! encoded and read again as bytes.
//!
//! **What is made up.** Time; a network that loses, repeats and delays messages, or is dead for a
//! while; a disk ([`MemoryDisk`]) that fails a sync and keeps the data or not, is full, is slow, and
//! loses what was not synced; tables that fall back to an earlier state after a stop, or are gone;
//! starts that are cut off in the middle; a wall clock that jumps by hours; bursts, crowds of holds
//! that fall due together, days and weeks in which nothing happens; cashiers, shoppers, receivers,
//! counters, adjusters, editors, shippers and clerks who ask again until they know, sometimes after days,
//! and sometimes use a key for something else.
//!
//! In every second world there are several sites. They ask each other for what they lack, over links
//! that lose, repeat, delay and overtake messages, are slow, flap, or are cut, one way or both, shortly or for
//! days; they edit some products together, and their shoppers buy from each other's shelves, of which each
//! site holds a share.
//!
//! **What is checked.** The oracle keeps a shop of its own in plain maps, worked out from what was
//! asked, and compares:
//! - every group: its number, its time, the chain of digests; that every entry was asked for, was
//!   permitted, is new under its key, and tells what it did;
//! - every answer: what was told is in the journal; a repeat is told the same; a refusal has its
//!   reason, with a hold that is due counted as free;
//! - every restart: all that was acknowledged is there, byte for byte, and of what was in doubt at
//!   most the one group that was appended;
//! - rows: shelves after each group, all of them after each start; the ledger, promises, the timer's
//!   list and the catalogue add up;
//! - site time: it goes as time passes, whatever the wall clock shows;
//! - the end: faults stop, everybody is answered and every hold ends within bounded steps, and
//!   folding the journals again gives equal bytes in every table;
//! - shares: a site promises what is its own or was given to it and read, gives what it may promise, answers
//!   what was asked once, and asks nobody twice; what all hold and what is on its way is what came in, by the
//!   rows of all sites, throughout;
//! - transfers of units between locations: each step once, by whose turn it is and what it has read; what
//!   was handed out arrives, is on its way or is missing; each comes to its end when faults stop;
//! - several sites: when links are healed they come to rest within bounded rounds; what a group says to have seen is true and still here after every start; when all
//!   have read all, what is kept of a journal is the journal, cut, and all shared rows are equal;
//! - edits of what several sites edit: who had read what is taken from the heads of groups; an informed edit has
//!   the greater stamp, and values that were set without knowledge of each other are on the list, or in the
//!   edit that settled them.
//!
//! [`Plant`] lists mistakes that can be planted around the site; a test shows that each is found.
//!
//! **What is not simulated.** The local journal's files and torn or damaged bytes within a group, fjall,
//! the writer's thread, readers and the feed, HTTP, more than one term, entries beyond the
//! size limits. Those have tests of their own. Every stop in which something was on its way to the
//! disk concerns one group, because a site has one append on its way.
//!
//! | file | holds |
//! | --- | --- |
//! | `world.rs` | what happens next: messages, alarms, turns for the worse, and the end |
//! | `sites.rs` | several sites, and what must be equal among them |
//! | `links.rs` | what goes over the links between them, and what goes wrong with those |
//! | `weather.rs` | what a world is like, drawn from its seed |
//! | `script.rs`, `shrink.rs` | what goes wrong, by number, and how a failing world is made smaller |
//! | `staged.rs`, `regions.rs`, `retail.rs` | stories with a given course: an hour apart, a retailer's books |
//! | `client.rs`, `client/` | who wants what |
//! | `machine.rs` | the disk, the tables and the clocks, and the loop that feeds the site |
//! | `oracle/others.rs` | what a site has read of others, and its dealings with them |
//! | `oracle/edits.rs` | edits that did not know of each other |
//! | `oracle/transfers.rs`, `sites/transfers.rs` | what a site may say of a transfer, and what all have said of it |
//! | `oracle/` | the shop that must be, and all comparisons |
//! | `plant.rs` | mistakes to be found |
//!
//! [`MemoryDisk`]: kontor_storage::journal::memory::MemoryDisk

mod chance;
mod checkouts;
mod client;
mod figures;
mod links;
mod machine;
mod oracle;
mod plant;
mod regions;
mod retail;
mod script;
mod shrink;
mod sites;
mod staged;
mod star;
mod trace;
mod weather;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use checkouts::{Crash, Market, Phase, Point, Takings, crash_at, crash_points, sell_and_pay};
pub use figures::Figures;
pub use oracle::Violation;
pub use plant::Plant;
pub use regions::{Hour, an_hour_apart};
pub use retail::{Books, sell_everything};
pub use script::{Fault, FaultId, Noise, Script};
pub use shrink::{Shrunk, shrink};
use sites::Sites;
use trace::Trace;
pub use trace::Watch;

/// Which world, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Everything follows from it.
    pub seed: u64,
    /// How much clients set out to do before things calm down; at several sites together.
    pub intentions: u64,
    /// A mistake to be found.
    pub plant: Option<Plant>,
    /// What of the world takes place.
    pub script: Script,
}

impl Settings {
    /// A world of the usual size, as its seed has it.
    pub fn of(seed: u64) -> Self {
        Self { seed, intentions: 600, plant: None, script: Script::default() }
    }
}

/// How a world ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What happened in it.
    pub figures: Figures,
    /// Stands for everything that happened, in order.
    pub trace: u64,
    /// What went wrong, on purpose, in order.
    pub faults: Vec<Fault>,
    /// What must never happen, if it did.
    pub violation: Option<Violation>,
}

/// Lives through one world. `watch` is told every line of its trace.
pub fn run(settings: &Settings, watch: Option<Watch>) -> Outcome {
    let trace = Trace::new(watch);
    let mut world = Sites::new(settings, &trace);
    let violation = judged(|| world.run());
    Outcome { figures: world.figures(), trace: trace.hash(), faults: world.faults(), violation }
}

/// A world that panics is a finding like any other, and is told with its seed.
fn judged(live: impl FnOnce() -> oracle::Kept) -> Option<Violation> {
    match catch_unwind(AssertUnwindSafe(live)) {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => {
            let why = panic.downcast_ref::<&str>().map(|why| (*why).to_owned());
            let why = why.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let (promise, expected) = ("nothing panics".into(), "no panic".into());
            Some(Violation { promise, expected, found: why })
        }
    }
}
