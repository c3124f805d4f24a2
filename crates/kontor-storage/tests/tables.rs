//! What the tables promise, on disk as in memory.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use kontor_storage::tables::{Batch, Snapshot, Table, Tables, TablesError, TablesOptions, Usage};
use proptest::prelude::*;
use tempfile::TempDir;

const NAMES: [&str; 3] = ["north", "south", "west"];
/// Its rows may run ahead of the others.
const AHEAD: Table = Table(3);
const NAMES_AND_AHEAD: [&str; 4] = ["north", "south", "west", "ahead"];
/// So little memory that rows are in files, in memory and in between.
const SMALL: TablesOptions = TablesOptions { cache_bytes: 1 << 20, layer_bytes: 32 << 10, usage };

fn usage(table: Table) -> Usage {
    match table.0 % 3 {
        0 => Usage::Rows,
        1 => Usage::FreshKeys,
        _ => Usage::Ledger,
    }
}

type Rows = Vec<(Bytes, Bytes)>;
type Model = [BTreeMap<Vec<u8>, Vec<u8>>; 3];

#[derive(Clone, Debug)]
enum Step {
    /// Table, key, value or delete.
    Write(Vec<(u8, Vec<u8>, Option<Vec<u8>>)>),
    /// Table, keys, value: rows that may run ahead.
    WriteAhead(u8, Vec<Vec<u8>>, Vec<u8>),
    Clear(u8),
    Flush,
    Reopen,
    Snapshot,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few keys with shared prefixes, so that batches meet; and the ends of the key space.
    prop_oneof![
        8 => prop::collection::vec(0u8..4, 1..4),
        1 => prop::collection::vec(254u8..=255, 1..4),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let table = prop_oneof![20 => 0u8..2, 1 => Just(2u8)];
    let change = (table, key(), prop::option::of(prop::collection::vec(any::<u8>(), 0..200)));
    let step = prop_oneof![
        16 => prop::collection::vec(change, 1..40).prop_map(Step::Write),
        // One table takes rows ahead alone, until the other step gives it one that may not.
        8 => (2u8..3, prop::collection::vec(key(), 1..40), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(table, keys, value)| Step::WriteAhead(table, keys, value)),
        1 => (0u8..3).prop_map(Step::Clear),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        3 => Just(Step::Snapshot),
    ];
    prop::collection::vec(step, 1..40)
}

fn rows(rows: kontor_storage::tables::Rows) -> Rows {
    rows.collect::<Result<_, _>>().expect("the tables are sound")
}

fn rows_of(model: &BTreeMap<Vec<u8>, Vec<u8>>, in_range: impl Fn(&[u8]) -> bool) -> Rows {
    let rows = model.iter().filter(|(key, _)| in_range(key));
    rows.map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))).collect()
}

fn check(snapshot: &Snapshot, model: &Model, probes: &[Vec<u8>]) {
    for (table, model) in (0u8..).map(Table).zip(model) {
        let all = rows(snapshot.range(table, Bound::Unbounded, Bound::Unbounded));
        assert_eq!(all, rows_of(model, |_| true));
        for from in probes {
            let value = snapshot.get(table, from).expect("sound");
            assert_eq!(value.as_deref(), model.get(from).map(Vec::as_slice));

            let expected = rows_of(model, |key| key.starts_with(from));
            assert_eq!(rows(snapshot.prefix(table, from)), expected);

            for to in probes {
                let bounds = [
                    (Bound::Included(&**from), Bound::Excluded(&**to)),
                    (Bound::Excluded(&**from), Bound::Included(&**to)),
                ];
                for (start, end) in bounds {
                    let mut expected = rows_of(model, |key| {
                        let begun = match start {
                            Bound::Included(start) => key >= start,
                            Bound::Excluded(start) => key > start,
                            Bound::Unbounded => true,
                        };
                        let ended = match end {
                            Bound::Included(end) => key > end,
                            Bound::Excluded(end) => key >= end,
                            Bound::Unbounded => false,
                        };
                        begun && !ended
                    });
                    assert_eq!(rows(snapshot.range(table, start, end)), expected);
                    expected.reverse();
                    let backwards: Rows =
                        snapshot.range(table, start, end).rev().collect::<Result<_, _>>().expect("sound");
                    assert_eq!(backwards, expected);
                    meet_in_the_middle(snapshot.range(table, start, end), expected);
                }
            }
        }
    }
}

/// Reads from both ends in turn: each row comes once.
fn meet_in_the_middle(mut found: kontor_storage::tables::Rows, mut expected: Rows) {
    let mut from_back = false;
    while !expected.is_empty() {
        let (row, wanted) = if from_back {
            (found.next_back(), expected.remove(0))
        } else {
            (found.next(), expected.pop().expect("it is not empty"))
        };
        assert_eq!(row.expect("a row").expect("sound"), wanted);
        from_back = !from_back;
    }
    assert!(found.next().is_none() && found.next_back().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn tables_in_memory_and_on_disk_are_the_same_maps(
        steps in steps(),
        mut probes in prop::collection::vec(key(), 1..5),
    ) {
        probes.push(vec![0]);
        let dir = TempDir::new().expect("a directory");
        let open = || Tables::fjall(dir.path(), &NAMES, SMALL).expect("sound");
        let memory = Tables::memory(&NAMES);
        let mut disk = Some(open());
        let mut model = Model::default();
        let mut snapshots: Vec<(Snapshot, Snapshot, Model)> = Vec::new();
        for step in steps {
            let both = [&memory, disk.as_ref().expect("it is open")];
            match step {
                Step::Write(changes) => {
                    for tables in both {
                        let mut batch = Batch::new();
                        for (table, key, value) in changes.clone() {
                            match value {
                                Some(value) => batch.put(Table(table), key, value),
                                None => batch.delete(Table(table), key),
                            }
                        }
                        prop_assert_eq!(batch.len(), changes.len());
                        tables.write(batch).expect("written");
                    }
                    for (table, key, value) in changes {
                        let table = &mut model[usize::from(table)];
                        match value {
                            Some(value) => table.insert(key, value),
                            None => table.remove(&key),
                        };
                    }
                }
                Step::WriteAhead(table, keys, value) => {
                    for tables in both {
                        let mut batch = Batch::with_capacity(keys.len());
                        keys.iter().for_each(|key| batch.put_ahead(Table(table), key.clone(), value.clone()));
                        tables.write(batch).expect("written");
                    }
                    model[usize::from(table)].extend(keys.into_iter().map(|key| (key, value.clone())));
                }
                Step::Clear(table) => {
                    // What older snapshots show of a cleared table is not promised.
                    snapshots.clear();
                    for tables in both {
                        tables.clear(Table(table)).expect("cleared");
                    }
                    model[usize::from(table)].clear();
                }
                Step::Flush => both.iter().for_each(|tables| tables.flush().expect("flushed")),
                Step::Reopen => {
                    snapshots.clear();
                    drop(disk.take());
                    disk = Some(open());
                }
                Step::Snapshot => {
                    snapshots.push((both[0].snapshot(), both[1].snapshot(), model.clone()));
                }
            }
            let both = [&memory, disk.as_ref().expect("it is open")];
            for tables in both {
                for (table, model) in (0u8..).map(Table).zip(&model) {
                    for probe in &probes {
                        let value = tables.get(table, probe).expect("sound");
                        prop_assert_eq!(value.as_deref(), model.get(probe).map(Vec::as_slice));
                    }
                }
            }
        }
        let disk = disk.expect("it is open");
        snapshots.push((memory.snapshot(), disk.snapshot(), model));
        for (memory, disk, model) in &snapshots {
            check(memory, model, &probes);
            check(disk, model, &probes);
        }
    }
}

fn number(tables: &Tables, table: u8) -> u64 {
    let value = tables.get(Table(table), b"number").expect("sound");
    value.map_or(0, |value| u64::from_be_bytes((&*value).try_into().expect("eight bytes")))
}

/// The process that is killed is this test again, told by its environment where to write.
#[expect(clippy::disallowed_methods, reason = "a second process of this very test is told which directory to open")]
#[test]
fn after_a_kill_all_tables_hold_the_same_prefix() {
    const PATH: &str = "KONTOR_TEST_KILLED_TABLES";
    if let Ok(path) = std::env::var(PATH) {
        write_and_die(path.as_ref());
    }
    let dir = TempDir::new().expect("a directory");
    let mut last = 0;
    for _ in 0..8 {
        let this = std::env::current_exe().expect("a path");
        let killed = Command::new(this)
            .args(["--exact", "after_a_kill_all_tables_hold_the_same_prefix"])
            .env(PATH, dir.path())
            .output()
            .expect("it runs");
        assert_eq!(killed.status.code(), None, "it ended by a signal");
        let tables = Tables::fjall(dir.path(), &NAMES_AND_AHEAD, SMALL).expect("sound");
        let numbers: Vec<u64> = (0..3).map(|table| number(&tables, table)).collect();
        assert_eq!(numbers, [numbers[0]; 3], "all tables end with the same batch");
        assert!(numbers[0] > last, "{} after {last}", numbers[0]);
        last = numbers[0];
        let snapshot = tables.snapshot();
        for table in 0..3 {
            let found = rows(snapshot.range(Table(table), Bound::Unbounded, Bound::Excluded(b"n")));
            let found: Vec<u64> =
                found.iter().map(|(key, _)| u64::from_be_bytes((&**key).try_into().expect("eight bytes"))).collect();
            assert_eq!(found, (1..=last).collect::<Vec<_>>(), "no batch is missing");
        }
        let ahead = rows(snapshot.range(AHEAD, Bound::Unbounded, Bound::Unbounded));
        let ahead: Vec<u64> =
            ahead.iter().map(|(key, _)| u64::from_be_bytes((&**key).try_into().expect("eight bytes"))).collect();
        let end = u64::try_from(ahead.len()).expect("few");
        assert_eq!(ahead, (1..=end).collect::<Vec<_>>(), "what ran ahead has no hole");
        assert!(end >= last, "rows ahead end with {end}, the others with {last}");
    }
}

fn write_and_die(path: &Path) -> ! {
    let tables = Tables::fjall(path, &NAMES_AND_AHEAD, SMALL).expect("sound");
    let first = number(&tables, 0) + 1;
    for now in first..first + fastrand::Rng::with_seed(first).u64(300..3000) {
        let mut batch = Batch::new();
        for table in 0..3u8 {
            batch.put(Table(table), &b"number"[..], now.to_be_bytes().to_vec());
            // One table fills faster than the others and is written out more often.
            let filler = vec![7; if table == 0 { 300 } else { 10 }];
            batch.put(Table(table), now.to_be_bytes().to_vec(), filler);
        }
        batch.put_ahead(AHEAD, now.to_be_bytes().to_vec(), vec![7; 50]);
        tables.write(batch).expect("written");
    }
    let this = std::process::id().to_string();
    let killed = Command::new("kill").args(["-9", &this]).status();
    panic!("still alive: {killed:?}");
}

#[test]
fn rows_written_after_a_clear_are_there_after_each_further_start() {
    let dir = TempDir::new().expect("a directory");
    for now in 1..5u64 {
        let tables = Tables::fjall(dir.path(), &NAMES_AND_AHEAD, SMALL).expect("sound");
        let all = |tables: &Tables| rows(tables.snapshot().range(AHEAD, Bound::Unbounded, Bound::Unbounded)).len();
        assert_eq!(all(&tables), if now > 1 { 2 } else { 0 });
        if now == 2 {
            continue;
        }
        tables.clear(AHEAD).expect("cleared");
        assert_eq!((all(&tables), tables.get(AHEAD, b"second").expect("sound")), (0, None));
        for key in ["first", "second"] {
            let mut batch = Batch::new();
            batch.put_ahead(AHEAD, key, now.to_be_bytes().to_vec());
            batch.put(Table(0), "number", now.to_be_bytes().to_vec());
            tables.write(batch).expect("written");
            tables.flush().expect("flushed");
        }
        assert_eq!(tables.get(AHEAD, b"first").expect("sound").as_deref(), Some(&now.to_be_bytes()[..]));
    }
}

#[test]
fn a_snapshot_stays_as_it_was_while_rows_are_moved_to_the_engine() {
    let dir = TempDir::new().expect("a directory");
    let tables = Tables::fjall(dir.path(), &NAMES_AND_AHEAD, SMALL).expect("new");
    let mut snapshots = Vec::new();
    for now in 1..=2000u64 {
        let mut batch = Batch::new();
        batch.put(Table(0), "number", now.to_be_bytes().to_vec());
        batch.put_ahead(AHEAD, now.to_be_bytes().to_vec(), vec![7; 100]);
        tables.write(batch).expect("written");
        if now % 50 == 0 {
            snapshots.push((now, tables.snapshot()));
        }
        // The newest and the oldest that is held; some are let go, so that versions are dropped between.
        for (then, snapshot) in snapshots.iter().rev().take(1).chain(snapshots.first()) {
            let number = snapshot.get(Table(0), b"number").expect("sound").expect("there");
            assert_eq!(number.as_ref(), then.to_be_bytes());
            let newest = snapshot.range(AHEAD, Bound::Unbounded, Bound::Unbounded).next_back();
            let (newest, _) = newest.expect("a row").expect("sound");
            assert_eq!(newest.as_ref(), then.to_be_bytes());
        }
        if now % 300 == 0 {
            snapshots.remove(0);
        }
    }
    for (then, snapshot) in &snapshots {
        let ahead = rows(snapshot.range(AHEAD, Bound::Unbounded, Bound::Unbounded));
        assert_eq!(u64::try_from(ahead.len()), Ok(*then));
    }
}

#[test]
fn tables_are_open_once_and_say_when_they_are_damaged() {
    let dir = TempDir::new().expect("a directory");
    let tables = Tables::fjall(dir.path(), &NAMES, SMALL).expect("new");
    assert!(matches!(Tables::fjall(dir.path(), &NAMES, SMALL), Err(TablesError::Locked { .. })));
    for number in 0..2000u64 {
        let mut batch = Batch::new();
        batch.put(Table(0), number.to_be_bytes().to_vec(), vec![1; 100]);
        tables.write(batch).expect("written");
    }
    tables.flush().expect("flushed");
    drop(tables);

    assert!(truncate_files(dir.path()) > 0);
    let opened = Tables::fjall(dir.path(), &NAMES, SMALL);
    let damaged = opened.and_then(|tables| {
        let snapshot = tables.snapshot();
        snapshot.range(Table(0), Bound::Unbounded, Bound::Unbounded).try_for_each(|row| row.map(drop))
    });
    assert!(matches!(damaged, Err(TablesError::Damaged { .. })), "{damaged:?}");
}

/// Files are merged by a thread that nobody waits for.
#[test]
fn whoever_writes_is_told_when_files_cannot_be_merged() {
    let dir = TempDir::new().expect("a directory");
    let tables = Tables::fjall(dir.path(), &NAMES, SMALL).expect("new");
    let write = |numbers: std::ops::Range<u64>| {
        numbers.into_iter().try_for_each(|number| {
            let mut batch = Batch::new();
            batch.put(Table(0), number.to_le_bytes().to_vec(), vec![1; 100]);
            tables.write(batch)
        })
    };
    write(0..500).expect("written");
    tables.flush().expect("flushed");
    assert!(truncate_files(dir.path()) > 0);
    let failed = write(500..20_000).expect_err("files are merged again and again");
    assert!(matches!(failed, TablesError::Poisoned { .. }), "{failed}");
}

/// Cuts every file of rows in half. Answers how many there are.
fn truncate_files(dir: &Path) -> usize {
    let mut changed = 0;
    for keyspace in fs::read_dir(dir.join("keyspaces")).expect("a directory") {
        let files = keyspace.expect("an entry").path().join("tables");
        for file in fs::read_dir(files).into_iter().flatten() {
            let file = file.expect("an entry").path();
            let bytes = fs::read(&file).expect("a file");
            fs::write(&file, &bytes[..bytes.len() / 2]).expect("a file");
            changed += 1;
        }
    }
    changed
}

#[test]
#[should_panic(expected = "a key has 1 to 65535 bytes")]
fn an_empty_key_is_refused_by_both() {
    Batch::new().put(Table(0), Vec::new(), Vec::new());
}
