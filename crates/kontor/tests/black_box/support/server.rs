//! The real binary as a child process: started on a free port, killed, stopped, or watched as it
//! refuses to start. A child that hangs fails the test; a test that fails leaves no child.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::HANG;
use super::http::{Client, KEY};

/// A running `kontor serve`.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// What it printed before it was ready.
    pub(crate) said: Vec<String>,
    process: Process,
}

/// How a server ended that never became ready, or that ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

impl Server {
    /// Starts on this data directory and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(data: &Path) -> Server {
        Server::try_start(serve(data))
            .unwrap_or_else(|ended| panic!("kontor did not start: {}\n{}", ended.status, ended.stderr))
    }

    /// Starts this command and waits until it says that it is ready or ends.
    pub(crate) fn try_start(command: Command) -> Result<Server, Ended> {
        let mut process = Process::spawn(command);
        let mut said = Vec::new();
        loop {
            match process.stdout.recv_timeout(HANG) {
                Ok(line) => {
                    if let Some(address) = line.strip_prefix("listening on http://") {
                        let address = address
                            .trim_end_matches('/')
                            .parse()
                            .unwrap_or_else(|e| panic!("the ready line names no address: {line:?}: {e}"));
                        return Ok(Server { address, said, process });
                    }
                    said.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(process.wait_for_end()),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("kontor neither got ready nor ended in {HANG:?}\n{}", process.stderr())
                }
            }
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends it as a crash does: no code of its own runs any more.
    pub(crate) fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait_for_end();
    }

    /// Asks it to stop; it drains and must end with 0.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let ended = self.process.wait_for_end();
        assert!(ended.status.success(), "SIGTERM: {}\n{}", ended.status, ended.stderr);
    }

    /// The same, and answers what it has logged.
    #[track_caller]
    pub(crate) fn stop_and_tell(mut self) -> String {
        self.process.signal(Signal::TERM);
        let ended = self.process.wait_for_end();
        assert!(ended.status.success(), "SIGTERM: {}\n{}", ended.status, ended.stderr);
        format!("{}\n{}", self.said.join("\n"), ended.stderr)
    }

    /// Makes it stand still until `resume`, and returns when its last thread does.
    pub(crate) fn pause(&self) {
        self.process.signal(Signal::STOP);
        let threads = format!("/proc/{}/task", self.process.pid.as_raw_nonzero());
        let is_moving = || {
            let threads = std::fs::read_dir(&threads).expect("the process is there");
            threads.flatten().any(|thread| {
                let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                // The state is the first letter after the name, which stands in brackets.
                let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
                !matches!(state, Some('T' | 't') | None)
            })
        };
        while is_moving() {
            thread::yield_now();
        }
    }

    pub(crate) fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait_for_end(mut self) -> Ended {
        self.process.wait_for_end()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.ended.is_none() && {
            self.process.ended = self.process.exit.try_recv().ok();
            self.process.ended.is_none()
        }
    }

    /// The most memory that it has ever held, in MiB.
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        let file = format!("/proc/{}/status", self.process.pid.as_raw_nonzero());
        let status = std::fs::read_to_string(&file).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB");
        kib / 1024
    }
}

/// `kontor serve` on this data directory and any free port.
pub(crate) fn serve(data: &Path) -> Command {
    let mut command = kontor(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data);
    command
}

/// The binary with these arguments and the environment of the tests.
pub(crate) fn kontor(arguments: &[&str]) -> Command {
    under(&[], arguments)
}

/// The binary started by another program (`strace …`), or directly when there is none.
pub(crate) fn under(wrapper: &[&str], arguments: &[&str]) -> Command {
    let binary = std::env::var("KONTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_kontor").to_owned());
    let mut words = wrapper.iter().copied().chain([binary.as_str()]).chain(arguments.iter().copied());
    let mut command = Command::new(words.next().expect("at least the binary"));
    command.args(words);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KONTOR_")) {
        command.env_remove(name);
    }
    command.env("KONTOR_ADMIN_KEY", KEY).env("KONTOR_LOG", "warn").env("NO_COLOR", "1");
    command
}

/// Runs a command of the binary that ends by itself.
#[track_caller]
pub(crate) fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the binary can be started")
}

/// Asserts that a stopped data directory is sound in the eyes of the binary itself.
#[track_caller]
pub(crate) fn assert_sound(data: &Path) {
    for words in [&["check", "--data"][..], &["journal", "verify", "--data"][..]] {
        let mut command = kontor(words);
        command.arg(data);
        let output = run(command);
        assert!(
            output.status.success(),
            "kontor {}: {}\n{}{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
}

/// A child whose output is read and whose end is waited for by threads, so that every wait here can
/// have a limit.
struct Process {
    pid: Pid,
    stdout: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    exit: Receiver<ExitStatus>,
    ended: Option<ExitStatus>,
}

impl Process {
    fn spawn(mut command: Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let pid = Pid::from_child(&child);
        let (lines, stdout) = mpsc::channel();
        let out = child.stdout.take().expect("piped");
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&stderr);
        let mut err = child.stderr.take().expect("piped");
        let (at_exit, exit) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = err.read(&mut buffer) {
                let mut kept = kept.lock().expect("no reader panics");
                // Enough to explain a failure, and bounded when a server is chatty.
                if kept.len() < 64 * 1024 {
                    kept.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
            }
        });
        thread::spawn(move || {
            let status = child.wait().expect("our own child");
            // A tracer may hold the pipe a little longer than the child lives.
            reader.join().expect("the reader does not panic");
            at_exit.send(status).ok();
        });
        Process { pid, stdout, stderr, exit, ended: None }
    }

    fn signal(&self, signal: Signal) {
        // A child that has just ended by itself is what some tests wait for.
        kill_process(self.pid, signal).ok();
    }

    fn wait_for_end(&mut self) -> Ended {
        let status = match self.ended {
            Some(status) => status,
            None => self
                .exit
                .recv_timeout(HANG)
                .unwrap_or_else(|_| panic!("kontor did not end in {HANG:?}\n{}", self.stderr())),
        };
        self.ended = Some(status);
        Ended { status, stderr: self.stderr() }
    }

    fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panics").clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() && self.exit.try_recv().is_err() {
            self.signal(Signal::KILL);
            self.exit.recv_timeout(HANG).ok();
        }
    }
}
