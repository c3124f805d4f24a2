//! Keys on a real disk: kept, found again, and gone for good.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kontor_storage::directory::{self, DataDir};
use kontor_storage::keys::{Key, KeyError, KeyName, KeyStore, MasterKey, NewKey, backup, restore};
use proptest::prelude::*;

const NAME: KeyName = [0x11; 16];
const KEY: Key = [0xab; 32];

fn master() -> MasterKey {
    MasterKey::new([3; 32])
}

fn keep(keys: &KeyStore, name: KeyName, key: Key) -> Key {
    let new = || NewKey { key, nonce: [5; 24], created_ms: 1_763_715_600_000 };
    keys.get_or_keep(&name, || Ok::<_, KeyError>(true), new).unwrap().unwrap()
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn holds(dir: &Path, bytes: &[u8]) -> bool {
    files(dir).iter().any(|file| fs::read(file).unwrap().windows(bytes.len()).any(|part| part == bytes))
}

fn names(keys: &KeyStore) -> Vec<KeyName> {
    let mut names = Vec::new();
    keys.names(|name| names.push(name)).unwrap();
    names
}

fn file_of(data: &Path) -> PathBuf {
    data.join("keys/11").join("11".repeat(16))
}

#[test]
fn a_key_is_kept_under_its_name_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(dir.path(), master()).unwrap();
    assert_eq!(keys.get(&NAME).unwrap(), None);
    assert_eq!(keep(&keys, NAME, KEY), KEY);
    assert_eq!(keep(&keys, NAME, [1; 32]), KEY, "the first one stays");
    let may_not = keys.get_or_keep(&[2; 16], || Ok::<_, KeyError>(false), || panic!("nothing is drawn"));
    assert_eq!(may_not.unwrap(), None);
    drop(keys);
    let keys = KeyStore::open(dir.path(), master()).unwrap();
    assert_eq!((keys.get(&NAME).unwrap(), names(&keys)), (Some(KEY), vec![NAME]));
    assert!(!holds(dir.path(), &KEY), "it is wrapped");
    for (path, mode) in [(dir.path().join("keys"), 0o700), (file_of(dir.path()), 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    assert!(!format!("{keys:?}{:?}", master()).contains("03"));
}

/// What stands on disks can never be changed.
#[test]
fn a_key_is_kept_as_it_was_released() {
    let dir = tempfile::tempdir().unwrap();
    keep(&KeyStore::open(dir.path(), master()).unwrap(), NAME, KEY);
    let written: String = fs::read(file_of(dir.path())).unwrap().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(written, RELEASED);
    assert_eq!(fs::read_to_string(dir.path().join("keys/MASTER")).unwrap(), format!("{RELEASED_MARK}\n"));
}

const RELEASED: &str = "6b6f6e746f726b3111111111111111111111111111111111804ea4a59a010000050505050505050505050505050505050505050505050505876d6fd3a90213b6b1bef870414db31db86af69bfe087f92c0cf1b76757808206257e3779957c6dca1c01ee856a0b1ecdf32efe1";
const RELEASED_MARK: &str = "28c00fbaf90c85bd65a6ab5cb9c8e04b";

#[test]
fn a_destroyed_key_is_gone_wherever_its_destruction_was_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(dir.path(), master()).unwrap();
    keep(&keys, NAME, KEY);
    let file = file_of(dir.path());
    let wrapped = fs::read(&file).unwrap()[56..88].to_vec();
    keys.destroy(&NAME).unwrap();
    keys.destroy(&NAME).unwrap();
    assert_eq!((keys.get(&NAME).unwrap(), names(&keys).len(), holds(dir.path(), &wrapped)), (None, 0, false));

    // Overwritten, and not removed any more: it is no key, and is still seen, to be removed.
    keep(&keys, NAME, KEY);
    let length = fs::read(&file).unwrap().len();
    fs::write(&file, vec![0; length]).unwrap();
    drop(keys);
    let keys = KeyStore::open(dir.path(), MasterKey::new([9; 32])).unwrap();
    assert!(!KeyStore::is_any_in(dir.path()).unwrap());
    assert_eq!((keys.get(&NAME).unwrap(), names(&keys)), (None, vec![NAME]));
    keys.destroy(&NAME).unwrap();
    assert!(!file.exists());

    // A key that was being written was given to nobody.
    fs::write(dir.path().join("keys/new/11"), "half of it").unwrap();
    drop(KeyStore::open(dir.path(), master()).unwrap());
    assert_eq!(files(&dir.path().join("keys")), [dir.path().join("keys/MASTER")]);
}

#[test]
fn a_disk_that_fails_is_told_and_the_key_is_still_listed() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(dir.path(), master()).unwrap();
    // A folder in the place of the file: it can be neither overwritten nor removed.
    fs::create_dir_all(file_of(dir.path())).unwrap();
    assert!(matches!(keys.destroy(&NAME).unwrap_err(), KeyError::Io { doing: "destroying", .. }));
    assert_eq!(names(&keys), [NAME]);
}

#[test]
fn another_master_key_is_refused_as_long_as_there_is_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let other = || MasterKey::new([4; 32]);
    drop(KeyStore::open(dir.path(), other()).unwrap());
    let keys = KeyStore::open(dir.path(), master()).unwrap();
    keep(&keys, NAME, KEY);
    assert!(KeyStore::is_any_in(dir.path()).unwrap());
    let refused = KeyStore::open(dir.path(), other()).unwrap_err();
    assert!(refused.to_string().contains("give the one that this site was started with"), "{refused}");
    // The same without the mark: a key that does not open says so.
    fs::remove_file(dir.path().join("keys/MASTER")).unwrap();
    assert!(matches!(KeyStore::open(dir.path(), other()), Err(KeyError::OtherMaster { .. })));
    assert_eq!(KeyStore::open(dir.path(), master()).unwrap().get(&NAME).unwrap(), Some(KEY));
    keys.destroy(&NAME).unwrap();
    drop(KeyStore::open(dir.path(), other()).unwrap());
}

#[test]
fn a_damaged_key_is_told_from_another_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(dir.path(), master()).unwrap();
    keep(&keys, NAME, KEY);
    let file = file_of(dir.path());
    let whole = fs::read(&file).unwrap();
    for flipped in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[flipped] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(matches!(keys.get(&NAME), Err(KeyError::Damaged { .. })), "byte {flipped}");
    }
    for length in [0, 1, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(matches!(keys.get(&NAME), Err(KeyError::Damaged { .. })), "{length} bytes");
    }
    // Under another name it opens nothing.
    fs::create_dir_all(dir.path().join("keys/22")).unwrap();
    fs::write(dir.path().join("keys/22").join("22".repeat(16)), &whole).unwrap();
    assert!(matches!(keys.get(&[0x22; 16]), Err(KeyError::Damaged { .. })));
}

#[test]
fn keys_are_backed_up_apart_and_brought_back() {
    let (dir, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, copy) = (dir.path().join("data"), backups.path().join("keys"));
    let running = DataDir::open(&data, "main").unwrap();
    let keys = KeyStore::open(&data, master()).unwrap();
    for name in 0..20 {
        keep(&keys, [name; 16], [name; 32]);
    }
    let report = backup(&data, &copy).unwrap();
    assert_eq!((report.keys, report.written), (20, 20));
    assert!(backup(&data, &copy).is_err(), "a backup is never overwritten");
    directory::backup(&data, &backups.path().join("journal"), &mut |_| {}).unwrap();
    let of_journal = files(&backups.path().join("journal"));
    assert!(!of_journal.iter().any(|file| file.display().to_string().contains("/keys/")), "{of_journal:?}");

    keys.destroy(&[7; 16]).unwrap();
    assert!(restore(&copy, &data).is_err(), "the site runs");
    drop(running);
    fs::write(data.join("keys/05").join("05".repeat(16)), "damaged").unwrap();
    let report = restore(&copy, &data).unwrap();
    assert_eq!((report.keys, report.written), (20, 2));
    assert_eq!((keys.get(&[7; 16]).unwrap(), keys.get(&[5; 16]).unwrap()), (Some([7; 32]), Some([5; 32])));

    // Another site's keys do not mix with these.
    let other = dir.path().join("other");
    drop(DataDir::open(&other, "west").unwrap());
    keep(&KeyStore::open(&other, MasterKey::new([4; 32])).unwrap(), NAME, KEY);
    assert!(matches!(restore(&copy, &other), Err(KeyError::OtherMaster { .. })));

    let whole = fs::read(&copy).unwrap();
    for (at, byte) in whole.iter().enumerate().step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] = byte ^ 0x20;
        fs::write(&copy, bytes).unwrap();
        assert!(matches!(restore(&copy, &data), Err(KeyError::BackupDamaged { .. })), "byte {at}");
    }
}

#[test]
fn a_master_key_is_written_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.master-key");
    master().write(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(MasterKey::from_hex(&text).unwrap() == master());
    assert!(master().write(&file).is_err());
    for wrong in ["", "03", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"+1".repeat(32)] {
        assert!(MasterKey::from_hex(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Whatever is done to keys, they are what a map would be.
    #[test]
    fn keys_are_a_map(steps in proptest::collection::vec((0_u8..4, 0_u8..3, any::<[u8; 32]>()), 0..30)) {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = KeyStore::open(dir.path(), master()).unwrap();
        let mut map = std::collections::BTreeMap::new();
        for (name, step, key) in steps {
            match step {
                0 => prop_assert_eq!(keep(&keys, [name; 16], key), *map.entry([name; 16]).or_insert(key)),
                1 => {
                    keys.destroy(&[name; 16]).unwrap();
                    map.remove(&[name; 16]);
                }
                _ => keys = KeyStore::open(dir.path(), master()).unwrap(),
            }
            let mut found = names(&keys);
            found.sort_unstable();
            prop_assert_eq!(&found, &map.keys().copied().collect::<Vec<_>>());
            for (name, key) in &map {
                prop_assert_eq!(keys.get(name).unwrap(), Some(*key));
            }
        }
    }
}
