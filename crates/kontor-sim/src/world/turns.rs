//! Turns for the worse: what goes wrong at one site, drawn from the seed of the site and the number of the
//! turn alone.

use kontor_core::reservation::ReservationStatus;
use kontor_storage::journal::memory::SyncFault;

use super::{Next, World};
use crate::chance::Chance;
use crate::machine::CrashPoint;
use crate::script::{Fault, FaultId};
use crate::weather::{DAY_US, Turn};

/// Crowds of holds in one world. The oracle adds up every hold for every question, so they are what
/// takes long.
const HOARDS_MAX: u64 = 2;

/// Holds, and what is about to happen, beyond which no other crowd comes. One command ends so many due holds at
/// most; of two crowds it refuses what the timer frees a moment later, and the oracle counts all as free.
const CROWD: usize = 250;

/// How long a disk is full at most. A site that has something to do for itself tries again every second, and
/// some thousand times show what a million would.
const DISK_FULL_US_MAX: u64 = 2 * 3_600_000_000;

/// By how much a clock is wrong that somebody sets to the wrong time zone, and later back.
pub(super) const CLOCK_HOUR_MS: i64 = 3_600_000;

impl World {
    /// Somebody has set out to do something, and soon after things take a turn.
    pub(super) fn take_a_turn(&mut self) {
        let number = self.turns;
        self.turns += 1;
        if self.script.has(FaultId { place: self.place, number }) {
            let soon = Chance::of(self.seed, &format!("when turn {number}")).around(self.weather.round_us / 2);
            self.after(soon, Next::Turn { number });
        }
    }

    /// Things take a turn.
    pub(super) fn turn(&mut self, number: u32) {
        let id = FaultId { place: self.place, number };
        let mut chance = Chance::of(self.seed, &format!("turn {number}"));
        let Some(turn) = chance.pick(&self.weather.turns).copied() else { return };
        self.trace.line(self.now_us, format_args!("{id}: {turn:?}"));
        self.faults.push(Fault { id, at_us: self.now_us, what: format!("{turn:?}") });
        let while_us = chance.around(self.weather.round_us * 20) + 1_000;
        match turn {
            Turn::Crash => self.crash(1_000_000, &mut chance),
            Turn::SyncError => {
                self.sync_fault = Some(if chance.happens(0.5) { SyncFault::Kept } else { SyncFault::Lost });
            }
            Turn::DiskFull => {
                self.figures.disk_full += 1;
                self.set_disk_full(true);
                self.after(while_us.min(DISK_FULL_US_MAX), Next::DiskHasRoom);
            }
            Turn::DiskSlow => {
                self.figures.disk_slow += 1;
                self.disk_slow = true;
                self.after(while_us, Next::DiskIsFast);
            }
            Turn::ClockJump => {
                self.figures.clock_jumps += 1;
                let most = if chance.happens(0.3) { 3_000 } else { 8 * 3_600_000 };
                let jump = i64::try_from(chance.within(0..2 * most)).unwrap_or(0);
                self.wall_off_ms += jump - i64::try_from(most).unwrap_or(0);
                self.trace.line(self.now_us, format_args!("the wall clock is off by {} ms", self.wall_off_ms));
            }
            Turn::ClockHour => {
                self.figures.clock_hours += 1;
                self.wall_off_ms += CLOCK_HOUR_MS;
                self.after(while_us, Next::ClockGoesBack);
            }
            Turn::CutOff => {
                self.figures.cut_off += 1;
                self.cut_off = true;
                self.after(while_us, Next::NetworkIsBack);
            }
            Turn::Burst => {
                self.figures.bursts += 1;
                for client in 0..self.clients.len() {
                    let soon = chance.within(1..100);
                    self.wake(client, soon);
                }
            }
            Turn::Hoard if self.figures.hoards == HOARDS_MAX || self.is_crowded() => {}
            Turn::Hoard => {
                self.figures.hoards += 1;
                let client = usize::try_from(chance.within(0..self.clients.len() as u64)).unwrap_or(0);
                for (wait_ms, command) in self.clients[client].hoard(&self.board) {
                    self.after(wait_ms * 1_000, Next::Asks { client, command: Box::new(command) });
                }
            }
            Turn::Quiet => {
                self.figures.quiet_days += 1;
                let days = if chance.happens(0.2) { 7..40 } else { 1..4 };
                let us = chance.within(days) * DAY_US + chance.within(0..DAY_US);
                self.quiet_until_us = self.now_us + us;
                if chance.happens(0.3) {
                    self.crash(us, &mut chance);
                }
            }
        }
    }

    fn is_crowded(&self) -> bool {
        let holds = self.oracle.shop().reservations.values();
        let held = holds.filter(|hold| hold.status == ReservationStatus::Held).count();
        held + self.coming.len() > CROWD
    }

    fn crash(&mut self, mean_down_us: u64, chance: &mut Chance) {
        if self.machine.running.is_none() {
            return;
        }
        self.figures.crashes += 1;
        let point = match chance.within(0..4) {
            0 => CrashPoint::Before,
            1 => CrashPoint::Unsynced { kept: false },
            2 => CrashPoint::Unsynced { kept: true },
            _ => CrashPoint::Unanswered,
        };
        self.trace.line(self.now_us, format_args!("crash, an append is caught {point:?}"));
        self.machine.crash(point);
        let down = chance.around(mean_down_us);
        self.off(down);
    }
}
