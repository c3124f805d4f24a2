//! Log lines on their way to standard error: collected for a moment, then written together.
//!
//! A line per write is a system call per write, and at tens of thousands a second that costs more than
//! what the line is about. Whoever logs only appends to memory; a thread writes what has come. Warnings
//! and errors are written at once, and so is everything when the process ends or panics; a process that
//! is killed loses the lines of the last moment. What has happened is in the journal.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait for others.
const PATIENCE: Duration = Duration::from_millis(50);
/// Lines that wait are written when they are as many bytes; whoever logs beyond it writes them.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// Where lines go. Clones are handles on the same one.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    /// Held while lines are written, so that they stay in order.
    output: Mutex<Output>,
    waiting: Mutex<Vec<u8>>,
    /// Told when the first line begins to wait.
    begun: Condvar,
}

struct Output {
    to: Box<dyn Write + Send>,
    /// Changes places with the lines that wait, so that neither is allocated again.
    lines: Vec<u8>,
}

impl Lines {
    /// Lines to `output`, and the thread that writes them.
    pub(super) fn to(output: impl Write + Send + 'static) -> io::Result<Self> {
        let output = Mutex::new(Output { to: Box::new(output), lines: Vec::new() });
        let shared = Shared { output, waiting: Mutex::new(Vec::new()), begun: Condvar::new() };
        let lines = Self(Arc::new(shared));
        let handle = lines.clone();
        thread::Builder::new().name("log".into()).spawn(move || handle.write_in_turn())?;
        Ok(lines)
    }

    /// Writes what waits, now.
    pub(super) fn flush(&self) {
        let mut output = self.0.output.lock().unwrap_or_else(PoisonError::into_inner);
        let Output { to, lines } = &mut *output;
        std::mem::swap(lines, &mut *self.waiting());
        // When standard error is closed, there is nowhere to say so.
        let _ = to.write_all(lines);
        lines.clear();
    }

    fn write_in_turn(&self) {
        loop {
            let mut waiting = self.waiting();
            while waiting.is_empty() {
                waiting = self.0.begun.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            thread::park_timeout(PATIENCE);
            self.flush();
        }
    }

    fn add(&self, line: &[u8], is_urgent: bool) {
        let mut waiting = self.waiting();
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line);
        let is_full = waiting.len() >= WAITING_BYTES_MAX;
        drop(waiting);
        if is_urgent || is_full {
            self.flush();
        } else if was_empty {
            self.0.begun.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the one line of an event.
pub(super) struct Line<'l> {
    lines: &'l Lines,
    is_urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(line, self.is_urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush();
        Ok(())
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Line<'l> {
        Line { lines: self, is_urgent: false }
    }

    fn make_writer_for(&'l self, event: &Metadata<'_>) -> Line<'l> {
        Line { lines: self, is_urgent: *event.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Told(mpsc::Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.0.send(bytes.to_vec()).expect("the test listens");
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_in_order_and_warnings_at_once() {
        let (tell, told) = mpsc::channel();
        let lines = Lines::to(Told(tell)).expect("a thread starts");
        lines.add(b"one\n", false);
        lines.add(b"two\n", false);
        lines.add(b"three\n", true);
        let mut all = Vec::new();
        while all.len() < 14 {
            all.extend(told.recv().expect("something is written"));
        }
        assert_eq!(all, b"one\ntwo\nthree\n");
        lines.add(b"four\n", false);
        assert_eq!(told.recv().expect("the thread writes it"), b"four\n");
    }
}
