//! Where bytes are kept: the journal and the tables.
//!
//! A [`journal`] is an append-only list of byte groups and the only durable step of its owner. The
//! [`tables`] are ordered maps folded from it: a cache, which is written without an fsync of its own
//! and may be deleted and rebuilt. The data [`directory`] is where both live, with the lock, the
//! identity, the backup and the restore. The [`keys`] in it are what can be destroyed.
//!
//! This crate does not know what the bytes mean, never reads a clock, and starts no background work
//! that could change what was said to be durable.

pub mod directory;
pub mod journal;
pub mod keys;
pub mod tables;
