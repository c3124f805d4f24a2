//! The arithmetic of quota between sites. No event grants any yet: rows are written by hand here.

mod support;

use kontor_core::id::SiteId;
use kontor_core::stock::{Level, StockRow, quota};
use proptest::prelude::*;
use support::{cases, site};

proptest! {
    #![proptest_config(cases(200))]

    /// Quota between sites, with stale views of each other: nothing is lost on the way, and no
    /// order of reading ever promises a unit twice.
    #[test]
    fn quota_never_promises_a_unit_twice(
        deeds in proptest::collection::vec((0..4_usize, 0..4_usize, 1..20_u64, 0..10_u8), 1..120),
    ) {
        let mut exchange = Exchange::new(4);
        for (one, other, units, kind) in deeds {
            exchange.play(one, other, units, kind);
            exchange.check()?;
        }
        exchange.read_all();
        exchange.check()?;
        prop_assert_eq!(exchange.in_flight(), 0);
    }
}

/// Sites that promise units of one shelf, each by its own row and by what it has read of the others.
struct Exchange {
    names: Vec<SiteId>,
    /// Every version of each site's row. The first site is the home of the shelf.
    versions: Vec<Vec<StockRow>>,
    /// Up to which version the first has read the second.
    read: Vec<Vec<usize>>,
}

impl Exchange {
    fn new(sites: usize) -> Self {
        Self {
            names: (0..sites).map(|number| site(&format!("s{number}"))).collect(),
            versions: vec![vec![StockRow::default()]; sites],
            read: vec![vec![0; sites]; sites],
        }
    }

    fn now(&self, of: usize) -> &StockRow {
        self.versions[of].last().expect("there is a first version")
    }

    /// The rows as a site sees them: its own as they are, the others' as it has read them.
    fn view(&self, by: usize) -> Vec<(SiteId, StockRow)> {
        let row = |of: usize| if of == by { self.now(of) } else { &self.versions[of][self.read[by][of]] };
        (0..self.names.len()).map(|of| (self.names[of].clone(), row(of).clone())).collect()
    }

    fn level(&self, by: usize) -> Level {
        Level::of(&self.view(by), &self.names[0], &self.names[by])
    }

    fn play(&mut self, one: usize, other: usize, units: u64, kind: u8) {
        let sellable = u64::try_from(self.level(one).sellable_here).unwrap_or(0);
        let some = units.min(sellable);
        let committed = u64::try_from(self.level(0).committed).unwrap_or(0);
        let receiver = self.names[other].clone();
        let mut row = self.now(one).clone();
        match kind {
            0 if one == 0 => row.received += units,
            1 if one == 0 => row.written_off += some,
            2 if one == 0 => row.safety_stock = (row.safety_stock + some) / 2,
            3 if one == 0 => row.shipped += units.min(committed),
            0..=3 => row.reserved += some,
            4 => {
                row.sold += row.reserved;
                row.reserved = 0;
            }
            5 => row.reserved -= row.reserved.min(units),
            // What was not handed out may be taken back.
            6 if one != 0 => row.unsold += units.min(row.sold - row.unsold).min(self.unshipped(one)),
            6 => row.sold += some,
            7 if one != other => *row.granted.entry(receiver).or_default() += some,
            _ => return self.read(one, other, usize::try_from(units % 3).expect("small") + 1),
        }
        row.version += 1;
        self.versions[one].push(row);
    }

    /// A site takes back only what the home site has told it was not handed out: here, nothing
    /// that anything was handed out of.
    fn unshipped(&self, by: usize) -> u64 {
        let sold = self.now(by).sold - self.now(by).unsold;
        sold.saturating_sub(self.now(0).shipped)
    }

    fn read(&mut self, by: usize, of: usize, most: usize) {
        let newest = self.versions[of].len() - 1;
        self.read[by][of] = newest.min(self.read[by][of] + most);
    }

    fn read_all(&mut self) {
        for (by, of) in (0..4).flat_map(|by| (0..4).map(move |of| (by, of))) {
            self.read(by, of, usize::MAX / 2);
        }
    }

    /// Units granted and not read yet: they belong to nobody.
    fn in_flight(&self) -> i64 {
        let mut units = 0;
        for (by, of) in (0..4).flat_map(|by| (0..4).map(move |of| (by, of))).filter(|(by, of)| by != of) {
            let granted = |row: &StockRow| row.granted.get(&self.names[by]).copied().unwrap_or(0);
            let (given, read) = (granted(self.now(of)), granted(&self.versions[of][self.read[by][of]]));
            units += i64::try_from(given - read).expect("small");
        }
        units
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let home = self.now(0);
        let there = i64::try_from(home.received).expect("small") - i64::try_from(home.written_off).expect("small");
        let quotas: i64 = (0..4).map(|by| quota(&self.view(by), &self.names[0], &self.names[by])).sum();
        prop_assert_eq!(quotas + self.in_flight(), there, "units that are somebody's or on the way are all there are");
        let promised: i64 = (0..4).map(|by| self.now(by).promised()).sum();
        prop_assert!(promised <= there, "{promised} promised of {there}");
        for by in 0..4 {
            // Any stale view is a safe one: it never lets a site promise more than the newest would.
            let truth: Vec<_> = (0..4).map(|of| (self.names[of].clone(), self.now(of).clone())).collect();
            let newest = Level::of(&truth, &self.names[0], &self.names[by]).sellable_here;
            prop_assert!(self.level(by).sellable_here <= newest);
            prop_assert!(self.level(by).sellable_here >= 0);
        }
        Ok(())
    }
}
