//! What a server used: processor time of its processes and memory, from `/proc`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result};

/// A server under measurement; with `family` its descendants count too (a database's backends).
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) family: bool,
}

impl Watched {
    /// What its processes have used so far; the difference of two readings is a figure.
    pub(crate) fn read(&self) -> Result<Cpu> {
        let mut processes = BTreeMap::new();
        for pid in self.pids()? {
            match Process::read(pid) {
                Ok(process) => drop(processes.insert(pid, process)),
                // A child that ended since it was listed is in its parent's reaped time.
                Err(_) if pid != self.pid => {}
                Err(error) => return Err(error),
            }
        }
        let reaped_ticks = if self.family { read_stat(self.pid)?.reaped_ticks } else { 0 };
        Ok(Cpu { processes, reaped_ticks })
    }

    fn pids(&self) -> Result<Vec<u32>> {
        let mut pids = vec![self.pid];
        if !self.family {
            return Ok(pids);
        }
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc").context("listing /proc")? {
            let name = entry.context("listing /proc")?.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, read_stat(pid).ok()?))) {
                parents.insert(pid, stat.parent);
            }
        }
        let mut seen = 0;
        while seen < pids.len() {
            let parent = pids[seen];
            pids.extend(parents.iter().filter(|(_, p)| **p == parent).map(|(pid, _)| *pid));
            seen += 1;
        }
        Ok(pids)
    }
}

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
    /// The part that is the program's own, without pages of files.
    pub(crate) own: u64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).with_context(|| format!("{path} has no {name}"))
    };
    Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")?, own: field("RssAnon:")? })
}

/// Processor time, user and system, of a server's processes at one moment.
pub(crate) struct Cpu {
    processes: BTreeMap<u32, Process>,
    /// Of children that have ended, over their whole lives.
    reaped_ticks: u64,
}

impl Cpu {
    /// Nanoseconds used between an earlier reading and this one.
    pub(crate) fn since(&self, before: &Cpu) -> u64 {
        let none = Process::default();
        let earlier = |pid| before.processes.get(pid).unwrap_or(&none);
        let living = self.processes.iter().map(|(pid, process)| process.since(earlier(pid))).sum::<u64>();
        // Those that ended between the readings are in the reaped time, from their beginning.
        let ended = before.processes.iter().filter(|(pid, _)| !self.processes.contains_key(pid));
        let counted_before = ended.map(|(_, process)| process.ticks).sum::<u64>();
        let reaped = self.reaped_ticks - before.reaped_ticks;
        living + reaped.saturating_sub(counted_before) * TICK_NS
    }
}

#[derive(Default)]
struct Process {
    /// Of all threads, also those that have ended; hundredths of a second.
    ticks: u64,
    /// Of each living thread, in nanoseconds.
    threads: BTreeMap<OsString, u64>,
}

impl Process {
    fn read(pid: u32) -> Result<Process> {
        let ticks = read_stat(pid)?.own_ticks;
        let path = format!("/proc/{pid}/task");
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(&path).with_context(|| format!("listing {path}"))? {
            let entry = entry.with_context(|| format!("listing {path}"))?;
            // A thread that ends while it is read is left to the ticks.
            if let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) {
                let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
                threads.insert(entry.file_name(), ns.with_context(|| format!("{path} says {text}"))?);
            }
        }
        Ok(Process { ticks, threads })
    }

    /// Exact while the same threads live. Time of threads that ended is in the ticks alone, which
    /// then are the larger by more than their rounding.
    fn since(&self, before: &Process) -> u64 {
        let earlier = |thread| before.threads.get(thread).copied().unwrap_or(0);
        let exact = self.threads.iter().map(|(thread, ns)| ns.saturating_sub(earlier(thread))).sum();
        let ticks = self.ticks.saturating_sub(before.ticks) * TICK_NS;
        if ticks > exact + 2 * TICK_NS { ticks } else { exact }
    }
}

/// Linux reports ticks in hundredths of a second on every machine that this runs on.
const TICK_NS: u64 = 10_000_000;

struct Stat {
    parent: u32,
    own_ticks: u64,
    reaped_ticks: u64,
}

fn read_stat(pid: u32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The command's name is in parentheses and may hold anything, also spaces.
    let after_name = text.rsplit_once(") ").map(|(_, rest)| rest);
    let fields: Vec<&str> = after_name.unwrap_or_default().split_whitespace().collect();
    let number = |field: usize| {
        let value = fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
        value.with_context(|| format!("{path} has no field {field}"))
    };
    Ok(Stat {
        parent: u32::try_from(number(4)?).context("a process id")?,
        own_ticks: number(14)? + number(15)?,
        reaped_ticks: number(16)? + number(17)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_processor_time_of_all_threads() {
        let own = Watched { name: "this", pid: std::process::id(), family: false };
        let before = own.read().expect("this process has /proc files");
        let busy = || (0..40_000_000_u64).fold(1_u64, |a, b| std::hint::black_box(a ^ b));
        let (tell, told) = std::sync::mpsc::channel();
        let living = std::thread::spawn(move || {
            tell.send(busy()).expect("the test waits");
            std::thread::park();
        });
        told.recv().expect("the work is done");
        let after = own.read().expect("this process has /proc files");
        living.thread().unpark();
        living.join().expect("the thread ends");
        assert!(after.since(&before) > 5_000_000);
    }

    #[test]
    fn threads_and_children_that_ended_are_not_forgotten() {
        let process = |ticks, threads: &[(&str, u64)]| Process {
            ticks,
            threads: threads.iter().map(|(thread, ns)| (OsString::from(thread), *ns)).collect(),
        };
        let cpu = |reaped_ticks, processes: Vec<(u32, Process)>| Cpu {
            processes: processes.into_iter().collect(),
            reaped_ticks,
        };
        let exact = (process(100, &[("1", 7)]), process(101, &[("1", 9)]));
        assert_eq!(exact.1.since(&exact.0), 2);
        let ended = (process(100, &[("1", 7), ("2", 5)]), process(200, &[("1", 9)]));
        assert_eq!(ended.1.since(&ended.0), 100 * TICK_NS);

        let before = cpu(10, vec![(1, process(0, &[])), (2, process(30, &[("2", 30 * TICK_NS)]))]);
        let after = cpu(50, vec![(1, process(0, &[])), (3, process(0, &[("3", 4)]))]);
        assert_eq!(after.since(&before), 10 * TICK_NS + 4);
    }

    #[test]
    fn a_family_is_found_from_its_root() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat starts");
        let own = Watched { name: "this", pid: std::process::id(), family: true };
        let pids = own.pids().expect("/proc can be listed");
        child.kill().expect("cat can be killed");
        child.wait().expect("cat is reaped");
        assert!(pids.contains(&child.id()) && pids.contains(&own.pid), "{pids:?}");
    }
}
