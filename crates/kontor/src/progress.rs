//! How far long work is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;

use kontor_site::clock::Stopwatch;

use crate::print::{self, Style};

/// Seconds between two lines where nothing can be overwritten.
const LINE_EVERY_S: f64 = 10.0;

/// Seconds between two pictures on a terminal.
const PICTURE_EVERY_S: f64 = 0.2;

const BAR: usize = 30;

/// Work of a known or unknown size.
pub(crate) struct Progress {
    watch: Stopwatch,
    shown_at: f64,
    is_terminal: bool,
    is_silent: bool,
    /// What was done when it was told first, and after how many seconds: work that goes on has a head start.
    began: Option<(f64, f64)>,
}

impl Progress {
    /// Begins now. Programs that read JSON are not told.
    pub(crate) fn start(style: Style) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { watch: Stopwatch::start(), shown_at: 0.0, is_terminal, is_silent: style == Style::Json, began: None }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.watch.seconds()
    }

    /// Tells how many `things` are done, and which part that is (from 0 to 1) if it is known.
    pub(crate) fn tell(&mut self, done: u64, things: &str, part: Option<f64>) {
        let now = self.watch.seconds();
        if let Some(part) = part {
            self.began.get_or_insert((part, now));
        }
        let every = if self.is_terminal { PICTURE_EVERY_S } else { LINE_EVERY_S };
        if self.is_silent || now - self.shown_at < every {
            return;
        }
        self.shown_at = now;
        let left = part.zip(self.began).map(|(part, (from, since))| {
            let done = part - from;
            (part, if done > 0.0 { (now - since) / done * (1.0 - part) } else { 0.0 })
        });
        let text = told(done, things, left, now);
        match part.filter(|_| self.is_terminal) {
            Some(part) => print::progress(format!("{} {text}", bar(part))),
            None if self.is_terminal => print::progress(text),
            None => print::note(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        if !self.is_silent {
            print::progress("");
        }
    }
}

/// With which part is done and how many seconds are left, if that is known.
fn told(done: u64, things: &str, left: Option<(f64, f64)>, seconds: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown, not counted with")]
    let rate = done as f64 / seconds.max(0.001);
    let counted = format!("{} {things}, {rate:.0}/s", print::grouped(done));
    match left {
        Some((part, left)) => format!("{:.0} %: {counted}, {} left", part.min(1.0) * 100.0, time(left)),
        None => counted,
    }
}

fn bar(part: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 30")]
    let filled = (part.clamp(0.0, 1.0) * BAR as f64) as usize;
    (0..BAR).map(|at| if at < filled { '█' } else { '░' }).collect()
}

fn time(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time to wait is short and positive")]
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_from_what_is_done() {
        assert_eq!(told(90_000, "rows", Some((0.5, 75.0)), 75.0), "50 %: 90,000 rows, 1200/s, 1 min 15 s left");
        assert_eq!(bar(0.5), "█".repeat(15) + &"░".repeat(15));
        assert_eq!(told(100, "rows", None, 2.0), "100 rows, 50/s");
        assert_eq!(time(7_384.0), "2 h 03 min");
    }
}
