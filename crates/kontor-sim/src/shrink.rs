//! From a world in which a promise is broken to the smallest one in which it still is: fewer intentions,
//! less noise, fewer things that go wrong, fewer clients.

use std::collections::BTreeSet;

use crate::{Fault, FaultId, Noise, Outcome, Settings, Violation, run};

/// A smaller world in which the same promise is broken.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// Which.
    pub settings: Settings,
    /// What goes wrong in it.
    pub faults: Vec<Fault>,
    /// How it ends.
    pub violation: Violation,
    /// Worlds that were lived through to find it.
    pub worlds: u64,
}

/// Makes a world smaller in which a promise is broken, in at most so many worlds.
pub fn shrink(settings: &Settings, found: &Outcome, worlds_max: u64) -> Option<Shrunk> {
    let violation = found.violation.clone()?;
    let mut best = Shrunk { settings: settings.clone(), faults: found.faults.clone(), violation, worlds: 0 };
    loop {
        let before = best.settings.clone();
        best.fewer_intentions(worlds_max);
        best.less_noise(worlds_max);
        best.fewer_faults(worlds_max);
        best.fewer_clients(worlds_max);
        if best.settings == before || best.worlds >= worlds_max {
            return Some(best);
        }
    }
}

impl Shrunk {
    /// Whether the same promise is broken in a smaller world, which then is the best one.
    fn still_fails(&mut self, settings: Settings, worlds_max: u64) -> bool {
        if self.worlds >= worlds_max || settings == self.settings {
            return false;
        }
        self.worlds += 1;
        let Outcome { faults, violation, .. } = run(&settings, None);
        match violation.filter(|violation| kind(violation) == kind(&self.violation)) {
            Some(violation) => {
                (self.settings, self.faults, self.violation) = (settings, faults, violation);
                true
            }
            None => false,
        }
    }

    fn fewer_intentions(&mut self, worlds_max: u64) {
        let mut step = self.settings.intentions / 2;
        while step > 0 {
            let intentions = self.settings.intentions.saturating_sub(step).max(1);
            let smaller = Settings { intentions, ..self.settings.clone() };
            if !self.still_fails(smaller, worlds_max) {
                step /= 2;
            }
        }
    }

    fn less_noise(&mut self, worlds_max: u64) {
        let without = |best: &Self, noises: &[Noise]| {
            let mut settings = best.settings.clone();
            settings.script.without.extend(noises);
            settings
        };
        if !self.still_fails(without(self, &Noise::ALL), worlds_max) {
            for noise in Noise::ALL {
                self.still_fails(without(self, &[noise]), worlds_max);
            }
        }
    }

    /// Leaves out halves, quarters and so on of what goes wrong, down to single things.
    fn fewer_faults(&mut self, worlds_max: u64) {
        let mut pieces = 1;
        loop {
            let happened: Vec<FaultId> = self.faults.iter().map(|fault| fault.id).collect();
            let size = happened.len().div_ceil(pieces).max(1);
            let mut failed = false;
            for piece in happened.chunks(size) {
                let only: BTreeSet<FaultId> = happened.iter().filter(|id| !piece.contains(id)).copied().collect();
                let mut smaller = self.settings.clone();
                smaller.script.only = Some(only);
                failed = self.still_fails(smaller, worlds_max);
                if failed {
                    break;
                }
            }
            match () {
                () if self.worlds >= worlds_max => return,
                () if failed => pieces = pieces.saturating_sub(1).max(1),
                () if size == 1 => return,
                () => pieces *= 2,
            }
        }
    }

    fn fewer_clients(&mut self, worlds_max: u64) {
        for clients in [1, 2, 3, 5, 8, 13] {
            if self.settings.script.clients.is_some_and(|now| now <= clients) {
                return;
            }
            let mut smaller = self.settings.clone();
            smaller.script.clients = Some(clients);
            if self.still_fails(smaller, worlds_max) {
                return;
            }
        }
    }
}

/// What promise it is, without the names of what it is about.
fn kind(violation: &Violation) -> Vec<&str> {
    let words = violation.promise.split_whitespace();
    words.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())).collect()
}
