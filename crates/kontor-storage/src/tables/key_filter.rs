//! Which keys a table may have, in memory: for tables in which most keys that are looked for are not there.
//!
//! The engine has a filter for every file. A table of random keys has some twenty files in busy hours, each of
//! which may have any key, so that to find nothing is to look into twenty filters. Here it is one, or a few.
//!
//! A Bloom filter in blocks of one line of the processor's cache (Putze, Sanders and Singler, "Cache-, Hash- and
//! Space-Efficient Bloom Filters", 2007), in parts that double what it holds.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use xxhash_rust::xxh3::xxh3_64;

/// Keys that the first part is made for.
const FIRST_KEYS: usize = 1 << 16;
/// Keys after which a table is not filtered any more: 32 MiB of memory, and 16 million keys a day for a table of
/// a day.
const KEYS_MAX: usize = 1 << 24;
/// Memory that a key takes. One of about five hundred that are not there is looked for in the engine.
const BITS_PER_KEY: usize = 16;
/// Bits of a block that a key sets.
const PROBES: u32 = 7;

const WORDS: usize = 8;
const BLOCK_BITS: usize = WORDS * u64::BITS as usize;

/// Says of a key that it is certainly not there, once it knows all keys.
pub(super) struct KeyFilter {
    keys_max: usize,
    keys: RwLock<Keys>,
}

#[derive(Default)]
struct Keys {
    parts: Vec<Part>,
    knowledge: Knowledge,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// There may be keys that were not added yet.
    #[default]
    Partial,
    Full,
    /// There were too many keys, and none is kept.
    GivenUp,
}

struct Part {
    blocks: Box<[Block]>,
    /// Keys that it has room for.
    left: AtomicUsize,
}

/// One line of the cache.
#[repr(align(64))]
#[derive(Default)]
struct Block([AtomicU64; WORDS]);

/// All that the filter sees of a key: the XXH3 hash of it, 64 bits, which is the same in every release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace(pub(super) u64);

impl KeyFilter {
    /// Knows no keys yet.
    pub(super) fn new() -> Self {
        Self::up_to(KEYS_MAX)
    }

    fn up_to(keys_max: usize) -> Self {
        Self { keys_max, keys: RwLock::default() }
    }

    /// Whether the key is not in the table. `false` says nothing.
    pub(super) fn lacks(&self, key: &[u8]) -> bool {
        let keys = self.read();
        let trace = Trace::of(key);
        keys.knowledge == Knowledge::Full && !keys.parts.iter().any(|part| part.may_have(trace))
    }

    /// A key that comes into the table: before it can be found there.
    pub(super) fn add(&self, trace: Trace) {
        let is_added = {
            let keys = self.read();
            keys.knowledge == Knowledge::GivenUp || keys.parts.last().is_some_and(|part| part.take(trace))
        };
        if !is_added {
            self.write().grow(trace, self.keys_max);
        }
    }

    /// All keys that were there before have been added.
    pub(super) fn knows_all(&self) {
        let mut keys = self.write();
        if keys.knowledge == Knowledge::Partial {
            keys.knowledge = Knowledge::Full;
        }
    }

    /// The table is empty now.
    pub(super) fn clear(&self) {
        *self.write() = Keys { parts: Vec::new(), knowledge: Knowledge::Full };
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().expect("no code panics while it adds a key")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().expect("no code panics while it adds a key")
    }
}

impl Keys {
    /// Adds a key for which there is no room.
    fn grow(&mut self, trace: Trace, keys_max: usize) {
        let room: usize = self.parts.iter().map(Part::room).sum();
        if room >= keys_max {
            *self = Self { parts: Vec::new(), knowledge: Knowledge::GivenUp };
            return;
        }
        let part = Part::new(room.max(FIRST_KEYS));
        part.take(trace);
        self.parts.push(part);
    }
}

impl Part {
    fn new(keys: usize) -> Self {
        let blocks = std::iter::repeat_with(Block::default).take(keys * BITS_PER_KEY / BLOCK_BITS);
        Self { blocks: blocks.collect(), left: AtomicUsize::new(keys) }
    }

    fn room(&self) -> usize {
        self.blocks.len() * BLOCK_BITS / BITS_PER_KEY
    }

    /// Adds a key if there is room.
    fn take(&self, trace: Trace) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return false;
        }
        let block = self.block(trace);
        for (word, bit) in trace.bits() {
            block.0[word].fetch_or(bit, Ordering::Relaxed);
        }
        true
    }

    fn may_have(&self, trace: Trace) -> bool {
        let block = self.block(trace);
        trace.bits().all(|(word, bit)| block.0[word].load(Ordering::Relaxed) & bit != 0)
    }

    fn block(&self, trace: Trace) -> &Block {
        let at = (u128::from(trace.0) * self.blocks.len() as u128) >> u64::BITS;
        &self.blocks[usize::try_from(at).unwrap_or_default()]
    }
}

impl Trace {
    pub(super) fn of(key: &[u8]) -> Self {
        Self(xxh3_64(key))
    }

    /// The bits of a block, by word and place in it: nine bits of the hash say which of 512. They are other
    /// bits than those that choose the block.
    fn bits(self) -> impl Iterator<Item = (usize, u64)> {
        let mixed = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
        (0..PROBES).map(move |probe| {
            let bit = (mixed >> (9 * probe)) & (BLOCK_BITS as u64 - 1);
            (usize::try_from(bit / 64).unwrap_or_default(), 1 << (bit % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> [u8; 8] {
        (number as u64).to_be_bytes()
    }

    fn add(filter: &KeyFilter, number: usize) {
        filter.add(Trace::of(&key(number)));
    }

    #[test]
    fn a_trace_is_the_same_in_every_release() {
        // The hash of nothing, as xxHash has published it.
        assert_eq!(Trace::of(b""), Trace(0x2d06_8005_38d3_94c2));
    }

    #[test]
    fn keys_that_were_added_are_never_said_to_be_lacking_and_others_nearly_always_are() {
        let filter = KeyFilter::new();
        assert!(!filter.lacks(&key(0)), "it does not know all keys yet");
        filter.knows_all();
        assert!(filter.lacks(&key(0)));
        let added = 3 * FIRST_KEYS;
        (0..added).for_each(|number| add(&filter, number));
        assert!((0..added).all(|number| !filter.lacks(&key(number))));
        let wrong = (added..2 * added).filter(|number| !filter.lacks(&key(*number))).count();
        assert!(wrong * 200 < added, "{wrong} of {added} are looked for in vain");
        filter.clear();
        assert!(filter.lacks(&key(0)));
    }

    #[test]
    fn too_many_keys_are_not_filtered_until_the_table_is_empty_again() {
        let filter = KeyFilter::up_to(FIRST_KEYS);
        filter.knows_all();
        (0..=FIRST_KEYS).for_each(|number| add(&filter, number));
        assert!(!filter.lacks(&key(usize::MAX)));
        filter.knows_all();
        assert!(!filter.lacks(&key(usize::MAX)), "it has forgotten what it knew");
        filter.clear();
        add(&filter, 1);
        assert!(filter.lacks(&key(2)) && !filter.lacks(&key(1)));
    }
}
