//! One running site: a writer that decides commands one after another, and readers that it never
//! blocks.
//!
//! ```text
//! commands ─► queue ─► take all that waits ─► decide + fold on the overlay ─► append group ─► tables ─► answers
//! readers: snapshots                           other readers of the journal: the feed
//! ```
//!
//! [`step`] is the whole logic, synchronous and without IO. The writer is the thread that feeds it
//! with real time, a journal and tables; the simulator feeds it with invented ones.

pub mod bodies;
pub mod check;
pub mod clock;
pub mod copies;
pub mod feed;
pub mod folded;
pub mod foreign;
pub mod limits;
mod noted;
mod offers;
pub mod payments;
pub mod persons;
pub mod reader;
pub mod recover;
mod rehearsal;
mod reserve;
pub mod rows;
pub mod search;
mod shares;
pub mod site;
pub mod step;
mod writer;

pub use rehearsal::Rehearsal;
pub use site::{Settings, Site, are_current};
pub use step::{Answer, NotDone};
