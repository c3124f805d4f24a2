//! Random things to do, and an obvious model of what they lead to.

use std::collections::BTreeMap;

use kontor_core::command::{Change, Command, Idempotency, Inbound, Line, Note};
use kontor_core::id::ReservationId;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Policy, Selling};
use kontor_core::quantity::Quantity;
use kontor_core::text::Title;
use proptest::prelude::*;

use super::{Answer, Shop, place, sku};

pub(crate) const SKUS: [&str; 3] = ["apples", "milk", "ice"];

/// SKU and location, by number.
pub(crate) type Item = (usize, usize);

/// Something that may be done at a site with two locations and three SKUs.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Receive(Vec<(Item, u64)>),
    Issue(Vec<(Item, u64)>),
    Reserve(Vec<(Item, u64)>, u64),
    Extend(usize, u64),
    Commit(usize),
    Release(usize),
    Ship(usize, Option<Vec<(Item, u64)>>),
    WriteOff(Item, u64, bool),
    Count(Item, u64),
    Adjust(Item, Option<u64>, Option<u64>),
    Sell(usize, Policy, u64),
    Tick,
    StartDay,
}

/// Wait, then act; perhaps with a key that may come again.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) wait_ms: u64,
    pub(crate) act: Act,
    pub(crate) key: Option<u8>,
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![4 => Just(None), 1 => any::<u8>().prop_map(|key| Some(key % 8))];
    let wait = prop_oneof![4 => Just(0), 4 => 1..3_000_u64, 1 => Just(86_400_000), 1 => 1..2_000_000_000_u64];
    let step = (wait, act(), key).prop_map(|(wait_ms, act, key)| Step { wait_ms, act, key });
    proptest::collection::vec(step, 1..most)
}

fn act() -> impl Strategy<Value = Act> {
    let item = || (0..SKUS.len(), 0..2_usize);
    let lines = || proptest::collection::vec((item(), 1..7_u64), 1..4);
    let hold = || 0..12_usize;
    let hold_ms = || 1_000..6_000_u64;
    let policy = prop_oneof![
        1 => Just(Policy::None),
        1 => Just(Policy::NoneUntilReceived),
        1 => Just(Policy::TrackOnly),
        3 => Just(Policy::ReserveOnOrder),
        1 => Just(Policy::ReserveOnCart),
    ];
    prop_oneof![
        6 => lines().prop_map(Act::Receive),
        4 => lines().prop_map(Act::Issue),
        8 => (lines(), hold_ms()).prop_map(|(lines, ms)| Act::Reserve(lines, ms)),
        2 => (hold(), hold_ms()).prop_map(|(hold, ms)| Act::Extend(hold, ms)),
        4 => hold().prop_map(Act::Commit),
        2 => hold().prop_map(Act::Release),
        2 => (hold(), proptest::option::of(lines())).prop_map(|(hold, lines)| Act::Ship(hold, lines)),
        2 => hold().prop_map(|hold| Act::Ship(hold, None)),
        1 => (item(), 1..4_u64, any::<bool>()).prop_map(|(item, units, aside)| Act::WriteOff(item, units, aside)),
        1 => (item(), 0..12_u64).prop_map(|(item, counted)| Act::Count(item, counted)),
        1 => (item(), proptest::option::of(0..4_u64), proptest::option::of(0..3_u64))
            .prop_map(|(item, aside, back)| Act::Adjust(item, aside, back)),
        1 => (0..SKUS.len(), policy, 0..4_u64).prop_map(|(sku, policy, backorder)| Act::Sell(sku, policy, backorder)),
        2 => Just(Act::Tick),
        1 => Just(Act::StartDay),
    ]
}

/// A site with its two locations, and the three SKUs if nobody has them yet.
pub(crate) fn opened(name: &str, sites: &[&str]) -> Shop {
    let mut shop = Shop::among(name, sites);
    for number in 0..2 {
        let id = place(&location(&shop, number));
        shop.must(Command::OpenLocation { id, name: title("Shop") });
    }
    for (number, policy) in [Policy::ReserveOnOrder, Policy::ReserveOnCart, Policy::TrackOnly].into_iter().enumerate() {
        let selling = Selling { policy, backorder_limit: if number == 1 { 3 } else { 0 } };
        shop.must(Command::create_product(None, sku(SKUS[number]), title(name), selling));
    }
    shop
}

pub(crate) fn location(shop: &Shop, number: usize) -> String {
    format!("{}-{number}", shop.site)
}

pub(crate) fn title(text: &str) -> Title {
    Title::parse(text).expect("a title")
}

/// The hold that was made as the number-th, or one that never was.
pub(crate) fn hold(number: usize) -> ReservationId {
    let mut id = [0xee; 16];
    id[15] = u8::try_from(number % 256).expect("a byte");
    ReservationId(id)
}

/// The command behind an act. `made` counts the holds made so far; acts on holds mean recent ones.
pub(crate) fn command(shop: &Shop, act: &Act, made: usize) -> Command {
    let at = |(number, shelf): Item| (sku(SKUS[number]), place(&location(shop, shelf)));
    let lines = |lines: &[(Item, u64)]| {
        let lines = lines.iter().map(|(item, units)| {
            let (sku, location) = at(*item);
            Line { sku, location, quantity: Quantity::new(*units).expect("a quantity") }
        });
        lines.collect::<Vec<_>>()
    };
    let recent = |back: usize| hold(made.saturating_sub(1 + back % made.max(1)));
    let note = Note::default;
    match act {
        Act::Receive(some) => Command::Receive { from: Inbound::Delivery, lines: lines(some), note: note() },
        Act::Issue(some) => Command::Issue { lines: lines(some), note: note() },
        Act::Reserve(some, hold_ms) => {
            Command::Reserve { id: Some(hold(made)), owner: None, lines: lines(some), hold_ms: *hold_ms }
        }
        Act::Extend(back, hold_ms) => Command::Extend { id: recent(*back), hold_ms: *hold_ms },
        Act::Commit(back) => Command::Commit { id: recent(*back) },
        Act::Release(back) => Command::Release { id: recent(*back) },
        Act::Ship(back, some) => {
            Command::Ship { reservation: recent(*back), lines: some.as_deref().map(lines), note: note() }
        }
        Act::WriteOff(item, units, from_unavailable) => {
            let line = lines(&[(*item, *units)]).remove(0);
            Command::WriteOff { line, from_unavailable: *from_unavailable, note: note() }
        }
        Act::Count(item, counted) => {
            let (sku, location) = at(*item);
            Command::Count { sku, location, counted: *counted, expected: None, note: note() }
        }
        Act::Adjust(item, unavailable, safety_stock) => {
            let (sku, location) = at(*item);
            let change = |to: &Option<u64>| to.map(|to| Change { to, expected: None });
            Command::Adjust { sku, location, unavailable: change(unavailable), safety_stock: change(safety_stock) }
        }
        Act::Sell(number, policy, backorder_limit) => {
            let selling = Some(Selling { policy: *policy, backorder_limit: *backorder_limit }.into());
            let variants = vec![VariantEdit { selling, ..VariantEdit::of(sku(SKUS[*number])) }];
            let edit = ProductEdit { variants, ..Default::default() };
            Command::change_product(sku(SKUS[*number]).into(), edit, None)
        }
        Act::Tick => Command::EndDueHolds { ids: shop.due() },
        Act::StartDay => Command::StartDay,
    }
}

/// Waits and acts at a site. `made` counts its holds.
pub(crate) fn play(shop: &mut Shop, step: &Step, made: &mut usize) -> (Command, Answer) {
    shop.now = shop.now.plus(step.wait_ms);
    let command = command(shop, &step.act, *made);
    let key = step.key.map(|key| Idempotency { scope: [key; 16], fingerprint: [0; 16] });
    let answer = shop.ask(command.clone(), key);
    if let (Command::Reserve { .. }, Answer::Done(_)) = (&command, &answer) {
        *made += 1;
    }
    (command, answer)
}

/// What a shopkeeper with a notebook knows: no rows, no counters, no quota, no events.
#[derive(Debug, Default)]
pub(crate) struct Notebook {
    pub(crate) shelves: BTreeMap<(String, String), Shelf>,
    holds: BTreeMap<ReservationId, Hold>,
    selling: BTreeMap<String, Selling>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) there: i64,
    pub(crate) set_aside: i64,
    pub(crate) kept_back: i64,
}

#[derive(Debug, Clone)]
struct Hold {
    lines: Vec<Promised>,
    until: u64,
    state: State,
}

#[derive(Debug, Clone)]
struct Promised {
    item: (String, String),
    left: i64,
    counted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Promised,
    Over,
}

impl Notebook {
    pub(crate) fn sells(&mut self, sku: &str, selling: Selling) {
        self.selling.insert(sku.into(), selling);
    }

    fn units(&self, item: &(String, String), of: impl Fn(&Hold) -> bool) -> i64 {
        let lines = self.holds.values().filter(|hold| of(hold)).flat_map(|hold| &hold.lines);
        lines.filter(|line| line.item == *item && line.counted).map(|line| line.left).sum()
    }

    /// Held now: a hold whose time has come holds nothing.
    pub(crate) fn held(&self, item: &(String, String), now: u64) -> i64 {
        self.units(item, |hold| hold.state == State::Held && hold.until > now)
    }

    pub(crate) fn promised(&self, item: &(String, String)) -> i64 {
        self.units(item, |hold| hold.state == State::Promised)
    }

    fn free(&self, item: &(String, String), now: u64) -> i64 {
        let shelf = self.shelves.get(item).cloned().unwrap_or_default();
        shelf.there - shelf.set_aside - shelf.kept_back - self.held(item, now) - self.promised(item)
    }

    /// Notes a command down; false if it must be refused.
    pub(crate) fn take(&mut self, command: &Command, now: u64) -> bool {
        let name = |sku: &kontor_core::id::Sku, location: &kontor_core::id::LocationId| {
            (sku.as_str().to_owned(), location.as_str().to_owned())
        };
        let sums = |lines: &[Line]| {
            let mut sums: BTreeMap<(String, String), i64> = BTreeMap::new();
            for line in lines {
                *sums.entry(name(&line.sku, &line.location)).or_default() += line.quantity.signed();
            }
            sums
        };
        match command {
            Command::Receive { from, lines, .. } => {
                for (item, units) in sums(lines) {
                    if *from == Inbound::Delivery {
                        self.counts_from_now(&item.0);
                    }
                    self.shelves.entry(item).or_default().there += units;
                }
                true
            }
            Command::Issue { lines, .. } => {
                let sums = sums(lines);
                let enough = sums.iter().all(|(item, units)| {
                    let selling = self.selling[&item.0];
                    let shelf = self.shelves.get(item).cloned().unwrap_or_default();
                    let backorder = i64::try_from(selling.backorder_limit).expect("small");
                    !refuses(selling.policy)
                        || (*units <= self.free(item, now) + backorder && *units <= shelf.there - shelf.set_aside)
                });
                for (item, units) in sums.into_iter().filter(|_| enough) {
                    if self.selling[&item.0].policy.counts() {
                        self.shelves.entry(item).or_default().there -= units;
                    }
                }
                enough
            }
            Command::Reserve { id: Some(id), lines, hold_ms, .. } => {
                let sums = sums(lines);
                let enough = sums.iter().all(|(item, units)| {
                    let selling = self.selling[&item.0];
                    let backorder = i64::try_from(selling.backorder_limit).expect("small");
                    !refuses(selling.policy) || *units <= self.free(item, now) + backorder
                });
                if enough {
                    let lines = sums.into_iter().map(|(item, left)| {
                        let counted = self.selling[&item.0].policy.counts();
                        Promised { item, left, counted }
                    });
                    let hold = Hold { lines: lines.collect(), until: now + hold_ms, state: State::Held };
                    self.holds.insert(*id, hold);
                }
                enough
            }
            Command::Extend { id, hold_ms } => self.end(*id, now, |hold| hold.until = now + hold_ms),
            Command::Commit { id } => self.end(*id, now, |hold| hold.state = State::Promised),
            Command::Release { id } => self.end(*id, now, |hold| hold.state = State::Over),
            Command::Ship { reservation, lines, .. } => {
                let Some(hold) = self.holds.get(reservation).filter(|hold| hold.state == State::Promised) else {
                    return false;
                };
                let all = hold.lines.iter().filter(|line| line.left > 0).map(|line| (line.item.clone(), line.left));
                let sums = lines.as_deref().map_or_else(|| all.collect(), sums);
                let fits = !sums.is_empty()
                    && sums.iter().all(|(item, units)| {
                        let shelf = self.shelves.get(item).cloned().unwrap_or_default();
                        let line = hold.lines.iter().find(|line| line.item == *item);
                        line.is_some_and(|line| {
                            let refuses = line.counted && refuses(self.selling[&item.0].policy);
                            *units <= line.left && (!refuses || *units <= shelf.there - shelf.set_aside)
                        })
                    });
                for (item, units) in sums.into_iter().filter(|_| fits) {
                    let hold = self.holds.get_mut(reservation).expect("it was found");
                    let line = hold.lines.iter_mut().find(|line| line.item == item).expect("it was found");
                    line.left -= units;
                    if line.counted {
                        self.shelves.entry(item).or_default().there -= units;
                    }
                }
                fits
            }
            Command::WriteOff { line, from_unavailable, .. } => {
                let shelf = self.shelves.entry(name(&line.sku, &line.location)).or_default();
                let units = line.quantity.signed();
                let there = if *from_unavailable { shelf.set_aside } else { shelf.there - shelf.set_aside };
                let enough = units <= there && units <= shelf.there;
                if enough {
                    shelf.there -= units;
                    shelf.set_aside -= if *from_unavailable { units } else { 0 };
                }
                enough
            }
            Command::Count { sku, location, counted, .. } => {
                self.counts_from_now(sku.as_str());
                let shelf = self.shelves.entry(name(sku, location)).or_default();
                shelf.there = i64::try_from(*counted).expect("small");
                shelf.set_aside = shelf.set_aside.min(shelf.there);
                true
            }
            Command::Adjust { sku, location, unavailable, safety_stock } => {
                let shelf = self.shelves.entry(name(sku, location)).or_default();
                let to = |change: &Option<Change>, now: i64| {
                    change.map_or(now, |change| i64::try_from(change.to).expect("small"))
                };
                let (aside, back) = (to(unavailable, shelf.set_aside), to(safety_stock, shelf.kept_back));
                let fits =
                    aside <= shelf.there.max(shelf.set_aside) && (unavailable.is_some() || safety_stock.is_some());
                if fits {
                    (shelf.set_aside, shelf.kept_back) = (aside, back);
                }
                fits
            }
            Command::EditProduct { edit, .. } => {
                for variant in &edit.variants {
                    let selling = variant.selling.map(|selling| selling.over(Selling::default()));
                    selling.into_iter().for_each(|selling| self.sells(variant.sku.as_str(), selling));
                }
                true
            }
            _ => true,
        }
    }

    fn counts_from_now(&mut self, sku: &str) {
        if let Some(selling) = self.selling.get_mut(sku).filter(|to| to.policy == Policy::NoneUntilReceived) {
            selling.policy = Policy::ReserveOnOrder;
        }
    }

    fn end(&mut self, id: ReservationId, now: u64, change: impl FnOnce(&mut Hold)) -> bool {
        let live = self.holds.get_mut(&id).filter(|hold| hold.state == State::Held && hold.until > now);
        live.map(change).is_some()
    }
}

fn refuses(policy: Policy) -> bool {
    !matches!(policy, Policy::None | Policy::NoneUntilReceived | Policy::TrackOnly)
}
