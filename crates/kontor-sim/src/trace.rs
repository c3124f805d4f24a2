//! Everything that happens, line by line, and one number that stands for all of it.

use std::fmt;

/// Is given each line of a trace as it happens.
pub type Watch = Box<dyn FnMut(&str)>;

/// A running hash (FNV-1a) of all lines, and the lines themselves for whoever watches.
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    watch: Option<Watch>,
}

impl Trace {
    /// A trace that is watched line by line, or by nobody.
    pub(crate) fn new(watch: Option<Watch>) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, watch }
    }

    /// Something happened at this simulated time.
    pub(crate) fn line(&mut self, at_us: u64, what: fmt::Arguments<'_>) {
        let line = format!("{:>10}.{:06} {what}", at_us / 1_000_000, at_us % 1_000_000);
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if let Some(watch) = &mut self.watch {
            watch(&line);
        }
    }

    /// The number that stands for all lines so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash ^ self.lines
    }
}
