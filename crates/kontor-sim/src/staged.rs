//! Sites at which only what is asked for happens, at the moment at which it is asked: for stories with a
//! given course, told on real sites.

use kontor_core::command::{Command, Inbound, Line, Note};
use kontor_core::event::Event;
use kontor_core::id::{LocationId, Owner, ReservationId, Sku};
use kontor_core::quantity::Quantity;
use kontor_core::refusal::Refusal;
use kontor_core::stock::{Level, StockRow};
use kontor_core::view::rows_of_sites;
use kontor_site::step::{Answer, NotDone};

use crate::oracle::{Kept, broken};
use crate::sites::Sites;
use crate::trace::Trace;

/// An answer comes within so long.
const ANSWER_US_MAX: u64 = 10_000_000;

/// How often readers ask for what is new, if nothing happens.
const TICK_US: u64 = 250_000;

/// Such sites.
pub(crate) struct Staged {
    pub(crate) sites: Sites,
    pub(crate) now_us: u64,
}

/// What became of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sale {
    Sold,
    /// The site has none left to promise, and knows that others have.
    Elsewhere,
    /// The site has none left to promise, and knows of none.
    NoneLeft,
    /// The site has not heard of the item yet.
    Unknown,
}

impl Staged {
    /// So many sites that have just started.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut sites = Sites::still(seed, count, &Trace::new(None));
        sites.begin();
        let mut staged = Self { sites, now_us: 0 };
        // Starting cannot fail before anything has happened.
        let started = staged.pass(1_000_000);
        debug_assert!(started.is_ok(), "{started:?}");
        staged
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, us: u64) -> Kept {
        let until_us = self.now_us + us;
        while self.now_us < until_us {
            self.now_us = until_us.min(self.now_us + TICK_US);
            while self.sites.go_on(self.now_us)? {}
            self.sites.follow_all(self.now_us)?;
        }
        Ok(())
    }

    /// Somebody asks a site for something, and waits for the answer.
    pub(crate) fn ask(&mut self, site: usize, command: Command) -> Kept<Result<Answer, NotDone>> {
        let id = self.sites.worlds[site].somebody_wants(self.now_us, command)?;
        let until_us = self.now_us + ANSWER_US_MAX;
        loop {
            if let Some(answer) = self.sites.worlds[site].heard(&id) {
                self.now_us = self.now_us.max(self.sites.worlds[site].now_us());
                return Ok(answer);
            }
            if !self.sites.go_on(until_us)? {
                return Err(broken("whoever asks is answered", &id, "nothing"));
            }
        }
    }

    /// Asks for something that must be done.
    pub(crate) fn done(&mut self, site: usize, command: Command) -> Kept<Answer> {
        let told = format!("{command:?}");
        let answer = self.ask(site, command)?;
        answer.map_err(|not_done| broken("what can be done is done", told, not_done))
    }

    /// Somebody wants to buy, and pays at once if it is held for them.
    pub(crate) fn sell(&mut self, site: usize, owner: Option<&str>, line: Line) -> Kept<Sale> {
        let owner = owner.map(|owner| Owner::parse(owner).expect("a short word is an owner"));
        let reserve = Command::Reserve { id: None, owner, lines: vec![line], hold_ms: 15 * 60_000 };
        match self.ask(site, reserve)? {
            Ok(answer) => {
                let id = answer.events.iter().find_map(|event| match event {
                    Event::ReservationMade { id, .. } => Some(*id),
                    _ => None,
                });
                let id: ReservationId = id.ok_or_else(|| broken("a hold is told", "an id", &answer.events))?;
                self.done(site, Command::Commit { id })?;
                Ok(Sale::Sold)
            }
            Err(NotDone::Refused(Refusal::QuotaExhaustedHere { .. })) => Ok(Sale::Elsewhere),
            Err(NotDone::Refused(Refusal::InsufficientStock { .. })) => Ok(Sale::NoneLeft),
            Err(NotDone::Refused(Refusal::UnknownSku { .. } | Refusal::UnknownLocation { .. })) => Ok(Sale::Unknown),
            Err(other) => Err(broken("a sale is made or refused for lack of units", "a reason", other)),
        }
    }

    /// Units come in.
    pub(crate) fn receive(&mut self, site: usize, lines: Vec<Line>) -> Kept {
        let (from, note) = (Inbound::Delivery, Note::default());
        self.done(site, Command::Receive { from, lines, note }).map(drop)
    }

    /// The shelf of an item as a site sees it, and what that site may promise of it.
    pub(crate) fn level(&self, seen_by: usize, home: usize, item: (&Sku, &LocationId)) -> Kept<Level> {
        let world = &self.sites.worlds[seen_by];
        let rows = world.machine.rows().ok_or_else(|| broken("a site runs", "rows", "none"))?;
        let found = rows_of_sites::<StockRow>(rows, item);
        let found = found.map_err(|error| broken("rows can be read", "rows", error))?;
        Ok(Level::of(&found, &self.sites.names[home], &self.sites.names[seen_by]))
    }
}

/// So many units of an item.
pub(crate) fn line(sku: &Sku, location: &LocationId, units: u64) -> Line {
    let quantity = Quantity::new(units).expect("a story tells of small numbers");
    Line { sku: sku.clone(), location: location.clone(), quantity }
}

#[cfg(test)]
mod tests {
    use kontor_core::product::Selling;
    use kontor_core::text::Title;

    use super::*;

    #[test]
    fn whoever_wants_more_than_a_share_gets_it_when_asking_again_in_a_moment() {
        let mut staged = Staged::new(1, 2);
        let sku = Sku::parse("west-SKU-0").unwrap();
        let location = LocationId::parse("west-shop-0").unwrap();
        let name = Title::parse("Apples").unwrap();
        staged.done(1, Command::create_product(None, sku.clone(), name.clone(), Selling::default())).unwrap();
        staged.done(1, Command::OpenLocation { id: location.clone(), name }).unwrap();
        staged.receive(1, vec![line(&sku, &location, 10)]).unwrap();
        staged.pass(30_000_000).unwrap();
        let levels =
            |staged: &Staged| [0, 1].map(|site| staged.level(site, 1, (&sku, &location)).unwrap().sellable_here);
        assert_eq!(levels(&staged), [5, 5], "each holds its share");
        assert_eq!(staged.sell(0, None, line(&sku, &location, 10)).unwrap(), Sale::Elsewhere);
        staged.pass(2_000_000).unwrap();
        assert_eq!(staged.sell(0, None, line(&sku, &location, 10)).unwrap(), Sale::Sold);
        staged.sites.end().unwrap();
    }
}
