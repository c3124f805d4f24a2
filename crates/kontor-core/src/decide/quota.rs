//! Shares of a location's stock: asked for, given, declined. The site gives itself these commands; how much
//! and whom, [`crate::quota`] says.

use super::Rules;
use crate::event::Event;
use crate::id::{LocationId, SiteId, Sku};
use crate::limits::QUOTA_ITEMS_PER_TICK;
use crate::product::Item;
use crate::quota::{Act, Shelf, ask_until};
use crate::refusal::{Refusal, Stop};
use crate::site::{SiteKind, SiteRow};
use crate::stock::{Ask, StockRow};
use crate::view::{derived, row, rows_of_sites};

impl Rules<'_> {
    /// Answers what was asked of these items, and asks for shares of them.
    pub(super) fn tend_quota(self, items: &[(Sku, LocationId)]) -> Result<Vec<Event>, Stop> {
        super::limit("items", items.len() as u64, QUOTA_ITEMS_PER_TICK as u64)?;
        let regions = self.regions()?;
        let mut events = Vec::new();
        for (sku, location) in items {
            self.of_shelf(sku, location, &regions, &mut events, |shelf, refuses| {
                let mut acts = shelf.tend();
                // Who refuses nobody for want of units needs no share.
                acts.retain(|act| refuses || !matches!(act, Act::Ask { .. }));
                acts
            })?;
        }
        Ok(events)
    }

    /// Asks for units that buyers want and this site may not promise.
    pub(super) fn borrow_quota(self, sku: &Sku, location: &LocationId, missing: u64) -> Result<Vec<Event>, Stop> {
        let regions = self.regions()?;
        let mut events = Vec::new();
        self.of_shelf(
            sku,
            location,
            &regions,
            &mut events,
            |shelf, refuses| {
                if refuses { shelf.borrow(missing) } else { Vec::new() }
            },
        )?;
        Ok(events)
    }

    /// Says what kind of site this is, if it has said something else before.
    pub(super) fn describe_site(self, kind: SiteKind) -> Result<Vec<Event>, Stop> {
        let before = self.kind(self.context.site)?;
        Ok(if before == kind { vec![] } else { vec![Event::SiteDescribed { kind }] })
    }

    /// What the policy wants done about a shelf, as events. Nothing, where there is no such shelf.
    fn of_shelf(
        self,
        sku: &Sku,
        location: &LocationId,
        regions: &[SiteId],
        events: &mut Vec<Event>,
        acts: impl FnOnce(Shelf<'_>, bool) -> Vec<Act>,
    ) -> Result<(), Stop> {
        let home = match self.home(location) {
            Ok(home) => home,
            Err(Stop::Refused(Refusal::UnknownLocation { .. })) => return Ok(()),
            Err(stop) => return Err(stop),
        };
        let refuses = derived::<Item>(self.view, sku)?.is_some_and(|item| item.selling.policy.refuses());
        let rows = rows_of_sites::<StockRow>(self.view, (sku, location))?;
        let (here, now) = (self.context.site, self.context.now);
        let holders = if regions.contains(&home) { regions } else { &[] };
        let shelf = Shelf { rows: &rows, home: &home, here, holders, now, heard: self.context.heard };
        let own = rows.iter().find(|(site, _)| site == here).map(|(_, row)| row.clone()).unwrap_or_default();
        let total = |of: &std::collections::BTreeMap<SiteId, u64>, to: &SiteId| of.get(to).copied().unwrap_or(0);
        for act in acts(shelf, refuses) {
            let (sku, location) = (sku.clone(), location.clone());
            events.push(match act {
                Act::Grant { to, units } => {
                    let units = total(&own.granted, &to) + units;
                    Event::QuotaGranted { sku, location, to, units }
                }
                Act::Decline { to, units } => {
                    let units = total(&own.declined, &to) + units;
                    Event::QuotaDeclined { sku, location, to, units }
                }
                Act::Ask { of, units, wanted } => {
                    let other = rows.iter().find(|(site, _)| *site == of).map(|(_, row)| row);
                    let answered = other.map_or(0, |row| row.answered(here));
                    let asked = own.asked.get(&of).map_or(0, |ask| ask.units);
                    // What is open still is a part of what is asked now.
                    let units = asked.max(answered + units);
                    let declined = other.map_or(0, |row| total(&row.declined, here));
                    Event::QuotaAsked { sku, location, of, ask: Ask { units, wanted, declined, until: ask_until(now) } }
                }
            });
        }
        Ok(())
    }

    /// The sites that hold shares of each other's locations, in order.
    fn regions(self) -> Result<Vec<SiteId>, Stop> {
        let mut regions = Vec::new();
        for site in self.view.sites() {
            if self.kind(site)? == SiteKind::Region {
                regions.push(site.clone());
            }
        }
        Ok(regions)
    }

    fn kind(self, site: &SiteId) -> Result<SiteKind, Stop> {
        Ok(row::<SiteRow>(self.view, site, ())?.map_or(SiteKind::Region, |row| row.kind))
    }
}
