//! Everything that happens, line by line, and one number that stands for all of it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Is given each line of a trace as it happens.
pub type Watch = Box<dyn FnMut(&str)>;

/// A running hash (FNV-1a) of all lines, and the lines themselves for whoever watches. Sites of one world
/// write one trace, each under its name.
#[derive(Clone)]
pub(crate) struct Trace {
    told: Rc<RefCell<Told>>,
    name: String,
}

struct Told {
    hash: u64,
    lines: u64,
    watch: Option<Watch>,
}

impl Trace {
    /// A trace that is watched line by line, or by nobody.
    pub(crate) fn new(watch: Option<Watch>) -> Self {
        let told = Told { hash: 0xcbf2_9ce4_8422_2325, lines: 0, watch };
        Self { told: Rc::new(RefCell::new(told)), name: String::new() }
    }

    /// The same trace, for a site of this name.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self { told: self.told.clone(), name: format!("{name:<6}") }
    }

    /// Something happened at this simulated time.
    pub(crate) fn line(&self, at_us: u64, what: fmt::Arguments<'_>) {
        let line = format!("{:>10}.{:06} {}{what}", at_us / 1_000_000, at_us % 1_000_000, self.name);
        let mut told = self.told.borrow_mut();
        for byte in line.bytes().chain([b'\n']) {
            told.hash = (told.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        told.lines += 1;
        if let Some(watch) = &mut told.watch {
            watch(&line);
        }
    }

    /// The number that stands for all lines so far.
    pub(crate) fn hash(&self) -> u64 {
        let told = self.told.borrow();
        told.hash ^ told.lines
    }
}
