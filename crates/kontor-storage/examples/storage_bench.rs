//! What the storage costs on this machine: `cargo run --release -p kontor-storage --example
//! storage_bench -- tables DIR` or `-- journal DIR`. The directory is made and left there.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints its figures")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use kontor_storage::journal::local::{LocalJournal, LocalOptions, verify};
use kontor_storage::journal::{Journal, Seq};
use kontor_storage::tables::{Batch, Table, Tables, TablesOptions};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const BATCHES: u64 = 30_000;
const KEYS: u64 = 400_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    let (Some(what), Some(dir)) = (args.get(1), args.get(2)) else {
        return Err("say `tables DIR` or `journal DIR`".into());
    };
    let dir = PathBuf::from(dir);
    match what.as_str() {
        "tables" => tables(&dir),
        "fill-and-die" => fill_and_die(&dir),
        "open" => {
            Tables::fjall(&dir, &NAMES, TablesOptions::default())?;
            Ok(())
        }
        "journal" => journal(&dir),
        other => Err(format!("{other} is not measured").into()),
    }
}

fn tables(dir: &Path) -> Result<(), Box<dyn Error>> {
    let open = || Tables::fjall(dir, &NAMES, TablesOptions::default());
    let tables = open()?;
    let mut random = fastrand::Rng::with_seed(1);
    let (started, cpu, all_cpu) = (Instant::now(), thread_cpu_us()?, process_cpu_us()?);
    for number in 0..BATCHES {
        tables.write(batch(&mut random, number))?;
    }
    println!(
        "write, 40 puts over 4 tables: {:.1} us wall, {:.1} us cpu of the writer, {:.1} us cpu of all",
        per(started.elapsed().as_secs_f64() * 1e6, BATCHES),
        per(thread_cpu_us()? - cpu, BATCHES),
        per(process_cpu_us()? - all_cpu, BATCHES),
    );
    for (name, bit) in [("get, there", 0), ("get, missing", 1 << 40)] {
        let (rounds, mut found) = (300_000, 0);
        let cpu = thread_cpu_us()?;
        for _ in 0..rounds {
            let key = key(random.u64(..KEYS) | bit);
            found += u64::from(tables.get(Table(random.u8(..4)), &key)?.is_some());
        }
        let cpu = per(thread_cpu_us()? - cpu, rounds);
        println!("{name}: {cpu:.2} us cpu, {found} of {rounds} found");
    }
    let snapshot = tables.snapshot();
    let (rounds, cpu) = (20_000, thread_cpu_us()?);
    for _ in 0..rounds {
        let key = key(random.u64(..KEYS));
        for row in snapshot.prefix(Table(random.u8(..4)), &key[..6]).take(10) {
            row?;
        }
    }
    let cpu = per(thread_cpu_us()? - cpu, rounds);
    println!("range of at most 10 rows: {cpu:.2} us cpu");
    drop(snapshot);

    let started = Instant::now();
    tables.flush()?;
    println!("flush: {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    drop(tables);
    let started = Instant::now();
    drop(open()?);
    let ms = started.elapsed().as_secs_f64() * 1e3;
    println!("open and close after a flush: {ms:.0} ms");

    for _ in 0..3 {
        let mut child = Command::new(env::current_exe()?)
            .args(["fill-and-die".as_ref(), dir.as_os_str()])
            .stdout(Stdio::inherit())
            .spawn()?;
        let status = child.wait()?;
        let (started, cpu) = (Instant::now(), thread_cpu_us()?);
        let tables = open()?;
        let ms = started.elapsed().as_secs_f64() * 1e3;
        let cpu = (thread_cpu_us()? - cpu) / 1e3;
        println!("open after {status}: {ms:.0} ms wall, {cpu:.0} ms cpu");
        drop(tables);
    }
    Ok(())
}

/// Writes, then ends without a chance to tidy up, as after `kill -9`.
fn fill_and_die(dir: &Path) -> Result<(), Box<dyn Error>> {
    let tables = Tables::fjall(dir, &NAMES, TablesOptions::default())?;
    let mut random = fastrand::Rng::new();
    for number in 0..BATCHES / 2 + random.u64(..BATCHES) {
        tables.write(batch(&mut random, number))?;
    }
    let this = std::process::id().to_string();
    Command::new("kill").args(["-9", &this]).status()?;
    Err("still alive".into())
}

fn batch(random: &mut fastrand::Rng, number: u64) -> Batch {
    let mut batch = Batch::new();
    for at in 0..40u8 {
        let key = key(random.u64(..KEYS));
        let mut value = vec![at; 80];
        value[..8].copy_from_slice(&number.to_be_bytes());
        batch.put(Table(at % 4), key, value);
    }
    batch
}

fn key(number: u64) -> Vec<u8> {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [spread.to_be_bytes(), number.to_be_bytes()].concat()
}

fn journal(dir: &Path) -> Result<(), Box<dyn Error>> {
    let (at, archive) = (dir.join("journal"), dir.join("archive"));
    let open = || LocalJournal::open(&at, &archive, "bench/1", LocalOptions::default());
    let started = Instant::now();
    let (mut journal, _) = open()?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    println!("create: {ms:.0} ms");
    for bytes in [200, 2_000, 20_000, 200_000] {
        let group: Vec<u8> = (0..bytes).map(|_| fastrand::u8(..)).collect();
        let (mut times, cpu) = (Vec::new(), thread_cpu_us()?);
        for _ in 0..3_000 {
            let started = Instant::now();
            journal.append(journal.end() + 1, &group)?;
            times.push(started.elapsed().as_micros());
        }
        let cpu = per(thread_cpu_us()? - cpu, 3_000);
        times.sort_unstable();
        let (median, late, last) = (times[1_500], times[2_970], times[2_999]);
        println!("append of {bytes} bytes: median {median} us, 99 % {late} us, worst {last} us, {cpu:.0} us cpu");
    }
    let (reader, started, mut after) = (journal.reader(), Instant::now(), 0);
    let mut bytes = 0usize;
    loop {
        let groups = reader.read(after, 1_000, 1 << 20)?;
        let Some((seq, _)) = groups.last() else { break };
        after = *seq;
        bytes += groups.iter().map(|(_, group)| group.len()).sum::<usize>();
    }
    let seconds = started.elapsed().as_secs_f64();
    let mib = f64::from(u32::try_from(bytes >> 20)?);
    println!("read all {after} groups, {mib} MiB: {:.0} MiB/s", mib / seconds);
    drop(journal);
    let started = Instant::now();
    let (mut journal, report) = open()?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    println!("open, not closed before, {} segments: {ms:.0} ms", report.segments);
    journal.close()?;
    drop(journal);
    let started = Instant::now();
    let (journal, report) = open()?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let end: Seq = report.end;
    println!("open, closed before, {end} groups: {ms:.0} ms");
    drop(journal);
    let started = Instant::now();
    verify(&at, &archive, "bench/1")?;
    println!("verify: {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn per(us: f64, rounds: u64) -> f64 {
    us / f64::from(u32::try_from(rounds).unwrap_or(u32::MAX))
}

/// Processor time of this thread.
fn thread_cpu_us() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: f64 = text.split(' ').next().ok_or("no figures")?.parse()?;
    Ok(ns / 1e3)
}

/// Processor time of all threads, in steps of 10 ms.
fn process_cpu_us() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let behind_name = text.rsplit(") ").next().ok_or("no figures")?;
    let ticks = behind_name.split(' ').skip(11).take(2);
    let ticks = ticks.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks * 1e4)
}
