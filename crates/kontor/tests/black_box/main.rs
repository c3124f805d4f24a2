//! Stories told to the real binary from outside: over sockets, signals, disks and the file system.
//!
//! Every story has a short form for `cargo test` and a long one for `make prove` (`KONTOR_PROVE=1`),
//! prints what it did in figures, and says why when a machine cannot tell it (a loop device needs
//! root). `KONTOR_BIN` names another binary to test than the one that cargo has just built.

mod abuse;
mod backups;
mod buyers;
mod commands;
mod demo;
mod disk_faults;
mod durable;
mod imports;
mod orders;
mod persons;
mod power_cut;
mod pressure;
mod regions;
mod relays;
mod retail;
mod seen;
mod stores;
mod support;
