//! The API as its callers see it. The tree mirrors the paths; stories are snapshots of what was asked
//! and answered.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod api;
mod check;
mod compat;
mod demo;
mod limits;
mod openapi;
mod pages;
mod pages_orders;
mod pages_shop;
mod sites_page;
mod throttle;
