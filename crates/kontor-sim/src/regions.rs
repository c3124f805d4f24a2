//! Two regions, without any setting, whose links are cut for an hour while people buy at both.

use kontor_core::command::Command;
use kontor_core::id::{LocationId, Sku};
use kontor_core::product::Selling;
use kontor_core::text::Title;

use crate::Violation;
use crate::oracle::{Kept, same};
use crate::staged::{Sale, Staged, line};

/// What came of it, before, in and after the cut: at the first site and at the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hour {
    /// Units that came in at the first site before.
    pub units: u64,
    /// People who wanted one.
    pub buyers: u64,
    /// Sales.
    pub sold: [[u64; 2]; 3],
    /// Sales refused with the word that others hold units.
    pub told: [[u64; 2]; 3],
    /// Sales refused although the other site could have promised units at that moment.
    pub refused_though_there: [[u64; 2]; 3],
    /// Sales refused when nobody had any left.
    pub none_left: u64,
}

const MINUTE_US: u64 = 60_000_000;

/// When the links are cut, when they heal, and when it ends.
const ENDS_US: [u64; 3] = [30 * MINUTE_US, 90 * MINUTE_US, 120 * MINUTE_US];

/// At the first site somebody comes every 24 seconds, at the second every 40.
const EVERY_US: [u64; 2] = [24_000_000, 40_000_000];

/// Lives through such an hour, half an hour before it, and half an hour after, with so many units.
pub fn an_hour_apart(seed: u64, units: u64) -> Result<Hour, Violation> {
    let sku = Sku::parse("main-SKU-0").expect("a short word is a sku");
    let location = LocationId::parse("main-shop-0").expect("a short word is a location");
    let name = Title::parse("Apples").expect("a short text is a title");
    let mut staged = Staged::new(seed, 2);
    staged.done(0, Command::create_product(None, sku.clone(), name.clone(), Selling::default()))?;
    staged.done(0, Command::OpenLocation { id: location.clone(), name })?;
    staged.receive(0, vec![line(&sku, &location, units)])?;
    let begin_us = staged.now_us;
    let mut hour = Hour { units, ..Hour::default() };
    let mut next_us = EVERY_US;
    let (mut phase, mut is_cut) = (0, false);
    while phase < 3 {
        let at_us = next_us.iter().copied().min().unwrap_or(u64::MAX);
        if at_us >= ENDS_US[phase] {
            phase += 1;
            if phase == 1 && !is_cut {
                is_cut = true;
                staged.sites.links.cut(0, 1, begin_us + ENDS_US[1]);
            }
            continue;
        }
        let site = usize::from(next_us[1] == at_us && next_us[0] != at_us);
        next_us[site] += EVERY_US[site];
        staged.pass((begin_us + at_us).saturating_sub(staged.now_us))?;
        buy(&mut staged, site, phase, &mut hour, (&sku, &location))?;
    }
    staged.pass(MINUTE_US)?;
    staged.sites.end()?;
    same("all is sold that somebody wants, once links are healed", &hour.units.min(hour.buyers), &hour.all_sold())?;
    Ok(hour)
}

fn buy(staged: &mut Staged, site: usize, phase: usize, hour: &mut Hour, item: (&Sku, &LocationId)) -> Kept {
    hour.buyers += 1;
    let other = staged.level(1 - site, 0, item)?.sellable_here;
    let sale = staged.sell(site, None, line(item.0, item.1, 1))?;
    match sale {
        Sale::Sold => hour.sold[phase][site] += 1,
        Sale::Elsewhere => hour.told[phase][site] += 1,
        Sale::NoneLeft | Sale::Unknown => {}
    }
    if sale != Sale::Sold {
        hour.refused_though_there[phase][site] += u64::from(other > 0);
        hour.none_left += u64::from(other <= 0);
    }
    Ok(())
}

impl Hour {
    /// Units sold, of all.
    pub fn all_sold(&self) -> u64 {
        self.sold.iter().flatten().sum()
    }
}
