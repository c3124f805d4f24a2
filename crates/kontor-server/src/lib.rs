//! The HTTP service: a thin layer that turns requests into commands and reads, and events and rows
//! into answers. No rule of commerce is decided here, and no handler names a table.
//!
//! ```text
//! connection ─► serve ─► service: ids, access, metrics, log ─► popular reads | router ─► routes ─► site
//! ```

mod access;
mod app;
mod compat;
mod convert;
mod cursor;
pub mod demo;
mod extract;
mod feed;
pub mod forward;
mod idempotency;
mod ids;
mod limits;
mod lines;
pub mod links;
mod log;
mod metrics;
mod openapi;
mod pages;
mod parse;
mod payments;
mod personal;
mod problem;
mod refusals;
mod router;
mod routes;
mod serve;
mod service;
mod throttle;
mod unreadable_head;
mod write_timeout;

pub use access::{Access, AccessError, DemoKeys};
pub use app::Options;
pub use convert::journal_entry;
pub use ids::{fresh_secret, fresh_uuid};
pub use limits::Limits;
pub use openapi::openapi_json;
pub use parse::product::creation;
pub use payments::Payments;
pub use router::router;
pub use serve::serve;
pub use throttle::{NoRate, Rate};
