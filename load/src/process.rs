//! The servers under comparison as child processes. None outlives this program: each is ended when
//! its handle is dropped and when this program is told to stop.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::meter::Watched;
use crate::wire::Caller;

/// A running child process.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command`, its words going to the file `log`. Its standard input stays open until it is
    /// stopped: a script cannot be guarded as programs are, but it can wait for that to end.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Server> {
        let words = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let errors = words.try_clone().context("sharing the log")?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(words)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        running().push(child.id());
        Ok(Server { name, child, log: log.to_owned() })
    }

    pub(crate) fn watched(&self) -> Watched {
        Watched { name: self.name, pid: self.child.id(), family: false }
    }

    /// The rest of the first line that it says starting with `prefix`.
    pub(crate) fn said(&mut self, prefix: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let said = fs::read(&self.log).with_context(|| format!("reading {}", self.log.display()));
            let said = String::from_utf8_lossy(&said?).into_owned();
            let whole_lines = said.rsplit_once('\n').map_or("", |(lines, _)| lines);
            if let Some(rest) = whole_lines.lines().find_map(|line| line.strip_prefix(prefix)) {
                return Ok(rest.to_owned());
            }
            self.check_running().with_context(|| last_words(&said))?;
            ensure!(begun.elapsed() < READY_LIMIT, "{} has not said \"{prefix}…\"", self.name);
            std::thread::sleep(POLL);
        }
    }

    fn check_running(&mut self) -> Result<()> {
        let ended = self.child.try_wait().with_context(|| format!("waiting for {}", self.name))?;
        match ended {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended with {status}, see {}", self.name, self.log.display())
            }
        }
    }

    /// Asks it to end and insists on a clean exit.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        signal(self.child.id(), Signal::TERM);
        let status = self.wait(STOP_LIMIT)?;
        let told = status.signal() == Some(Signal::TERM.as_raw());
        ensure!(status.success() || told, "{} ended with {status}", self.name);
        Ok(())
    }

    /// Ends it without a warning, as a crash would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.wait(STOP_LIMIT).map(drop)
    }

    fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait();
            if let Some(status) = ended.with_context(|| format!("waiting for {}", self.name))? {
                return Ok(status);
            }
            ensure!(begun.elapsed() < limit, "{} did not end within {limit:?}", self.name);
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        running().retain(|pid| *pid != self.child.id());
        drop(self.child.stdin.take());
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        // First a word, because the script around a database has to end the database.
        signal(self.child.id(), Signal::TERM);
        if self.wait(DROP_LIMIT).is_err() {
            // It may have ended by itself just now, and then there is nothing left to kill.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How long a server may take to drain and end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
const DROP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);

/// How long a server may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// Waits for the first 200 of `path` and returns how long it took since `begun`.
pub(crate) fn wait_until_ready(caller: &Caller, server: &mut Server, path: &str, begun: Instant) -> Result<Duration> {
    loop {
        if caller.get(path).is_ok_and(|answer| answer.status == http::StatusCode::OK) {
            return Ok(begun.elapsed());
        }
        server.check_running()?;
        ensure!(begun.elapsed() < READY_LIMIT, "{} is not ready in {READY_LIMIT:?}", server.name);
        std::thread::sleep(POLL);
    }
}

fn last_words(said: &str) -> String {
    let mut lines: Vec<&str> = said.lines().rev().take(5).collect();
    lines.reverse();
    format!("its last words were:\n{}", lines.join("\n"))
}

/// A loopback address whose port nobody listens on at the moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}

/// Ends this program and all servers when it is interrupted or told to stop.
pub(crate) fn end_on_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting a runtime")?;
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = runtime.enter();
        let listening =
            signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
        listening.context("listening for signals")?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        for pid in running().iter() {
            signal(*pid, Signal::TERM);
        }
        std::process::exit(130);
    });
    Ok(())
}

/// A command for `program` that is killed when this program ends, however it ends.
pub(crate) fn guarded(program: &Path) -> Result<Command> {
    let this = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(this);
    command.arg("guard").arg(program);
    Ok(command)
}

/// Becomes `program`, bound to the life of whoever started this process.
pub(crate) fn guard(program: &Path, arguments: &[OsString]) -> Result<Infallible> {
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    bound.context("binding this process to its parent")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself, which is what was wanted.
        let _ = kill_process(pid, signal);
    }
}
