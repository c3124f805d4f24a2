//! What commerce is: products, locations, stock, reservations, carts, orders, payments, and the rules that
//! change them.
//!
//! The crate is a pure state machine. A [`command`] is decided against a [`view`] of the rows and
//! becomes [`event`]s or a [`refusal`]; the events are written into a [`group`] of a journal; the
//! group is [`fold`]ed into rows. Nothing here waits, reads a clock, draws a random number, opens
//! a file or a socket: time, identity and rows are given. That is why any state can be replayed.
//!
//! ```text
//! decide(view, command, context) -> events | refusal      once, at the site that owns the object
//! fold(view, group)              -> changed rows           everywhere, always with the same result
//! ```

pub mod access;
pub mod back_off;
pub mod cart;
pub mod command;
pub mod decide;
pub mod derive;
pub mod event;
pub mod fold;
pub mod group;
pub mod id;
pub mod index;
pub mod job;
pub mod limits;
pub mod location;
pub mod meaning;
pub mod money;
pub mod movement;
pub mod offer;
pub mod order;
pub mod overlay;
pub mod payment;
pub mod person;
pub mod product;
pub mod push;
pub mod quantity;
pub mod quota;
pub mod record;
pub mod refusal;
pub mod relay;
pub mod reservation;
pub mod session;
pub mod site;
pub mod stock;
pub mod text;
pub mod time;
pub mod view;
