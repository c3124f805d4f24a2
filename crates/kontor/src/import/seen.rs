//! Which SKUs a file has named so far: a table of fixed size, so that memory stays flat however long
//! the file is.
//!
//! A slot holds 47 bits of the digest of the SKU in small letters, 16 bits of the digest of the SKU as it
//! is, and one bit of whether a row has given it a title. Of a million SKUs, two are taken for one another
//! once in millions of files.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::limits::SKUS_SEEN_MAX;

/// A power of two with room to spare; 16 MiB. Pages that no SKU has come to take no memory.
const SLOTS: usize = 1 << 21;
const _: () = assert!(SKUS_SEEN_MAX < SLOTS / 4 * 3);

const TITLED: u64 = 1 << 16;
const EXACT: u64 = TITLED - 1;
const FOLDED: u64 = !(TITLED | EXACT);

pub(super) struct Seen {
    slots: Vec<u64>,
    pub(super) skus: usize,
}

/// What was known of a SKU before it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Before {
    /// A row before has named it.
    pub(super) is_known: bool,
    /// A row before has given it a title.
    pub(super) is_titled: bool,
    /// A row before has named another that differs only in case.
    pub(super) has_twin: bool,
    /// The table is full: it is not noted.
    pub(super) is_beyond: bool,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; SLOTS], skus: 0 }
    }

    /// Notes a SKU, and whether it was given a title.
    pub(super) fn note(&mut self, sku: &str, has_title: bool) -> Before {
        let (folded, wanted) = slot(sku);
        let title = if has_title { TITLED } else { 0 };
        let mut before = Before::default();
        let mut at = (folded >> 17) as usize % SLOTS;
        loop {
            let slot = &mut self.slots[at];
            if *slot == 0 {
                before.is_beyond = self.skus == SKUS_SEEN_MAX;
                if !before.is_beyond {
                    *slot = wanted | title;
                    self.skus += 1;
                }
                return before;
            }
            if *slot & !TITLED == wanted {
                before.is_known = true;
                before.is_titled = *slot & TITLED != 0;
                *slot |= title;
                return before;
            }
            before.has_twin |= *slot & FOLDED == folded;
            at = (at + 1) % SLOTS;
        }
    }

    /// Whether a SKU was given a title.
    pub(super) fn is_titled(&self, sku: &str) -> bool {
        let (folded, wanted) = slot(sku);
        let from = (folded >> 17) as usize % SLOTS;
        let slots = (0..SLOTS).map(|step| self.slots[(from + step) % SLOTS]).take_while(|slot| *slot != 0);
        slots.into_iter().find(|slot| slot & !TITLED == wanted).is_some_and(|slot| slot & TITLED != 0)
    }
}

/// What stands in the slot of a SKU without a title: of its small letters alone, and of all of it.
fn slot(sku: &str) -> (u64, u64) {
    let digest = |text: &str| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    };
    // Never zero: that is an empty slot.
    let folded = (digest(&sku.to_lowercase()) & FOLDED).max(TITLED << 1);
    (folded, folded | (digest(sku) & EXACT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_are_told_apart_by_case_and_remembered() {
        let mut seen = Seen::new();
        let known = Before { is_known: true, ..Before::default() };
        assert_eq!(seen.note("85123a", false), Before::default());
        assert_eq!(seen.note("85123A", true), Before { has_twin: true, ..Before::default() });
        assert_eq!(Before { has_twin: false, ..seen.note("85123a", true) }, known);
        assert!(seen.note("85123a", false).is_titled && seen.note("85123A", false).is_titled);
        assert_eq!(seen.skus, 2);
        assert!(seen.is_titled("85123A") && !seen.is_titled("85123b"));
    }

    #[test]
    fn a_full_table_knows_what_is_in_it_and_takes_no_more() {
        let mut seen = Seen::new();
        for number in 0..SKUS_SEEN_MAX {
            let before = seen.note(&format!("SKU-{number}"), false);
            assert!(!before.is_known && !before.is_beyond, "{number} is taken for another");
        }
        assert!(seen.note("one more", false).is_beyond && seen.note("one more", false).is_beyond);
        assert!((0..SKUS_SEEN_MAX).step_by(997).all(|number| seen.note(&format!("SKU-{number}"), false).is_known));
    }
}
