//! For programs that call Kontor: requests with keys and retries, and one file per resource.
//!
//! Plain HTTP: a Kontor site listens on loopback or behind a proxy that ends TLS.

mod carts;
mod client;
mod customers;
mod error;
mod jobs;
mod lines;
mod locations;
mod orders;
mod products;
mod reservations;
mod sites;
mod stock;
mod transfers;

pub use client::{Client, IfMatch, Reply};
pub use error::ClientError;
pub use lines::Lines;
pub use sites::{JournalPart, News};
