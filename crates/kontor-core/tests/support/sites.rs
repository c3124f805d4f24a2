//! Three sites that share a catalogue, each at its own shelves.

use bytes::Bytes;
use kontor_core::command::{Command, Must};
use kontor_core::group::{self, Group};
use kontor_core::id::ProductId;
use kontor_core::record::{Table, decode};
use kontor_core::site::SiteRow;
use proptest::prelude::*;

use super::world::{self, SKUS, Step, play, steps};
use super::{Answer, Shop, Tables, catalog, shared, sku};

pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

/// Three sites that read each other's journals when told to.
pub(crate) struct World {
    pub(crate) shops: Vec<Shop>,
    pub(crate) made: [usize; 3],
    /// Groups that the first has folded of the second.
    pub(crate) read: [[usize; 3]; 3],
    /// By site and group: what had been read of each site when the group was written.
    pub(crate) known: [Vec<[usize; 3]>; 3],
}

#[derive(Debug, Clone)]
pub(crate) enum WorldAct {
    Do(usize, Step),
    Edit(usize, usize, u16),
    Read(usize, usize),
}

pub(crate) fn world_act() -> impl Strategy<Value = WorldAct> {
    let step = steps(2).prop_map(|mut steps| steps.remove(0));
    prop_oneof![
        4 => (0..3_usize, step).prop_map(|(site, step)| WorldAct::Do(site, step)),
        3 => (0..3_usize, 0..SKUS.len(), any::<u16>()).prop_map(|(site, id, what)| WorldAct::Edit(site, id, what)),
        3 => (0..3_usize, 0..3_usize).prop_map(|(reader, of)| WorldAct::Read(reader, of)),
    ]
}

impl World {
    /// Each site creates the same three products without knowing of the others.
    pub(crate) fn new() -> Self {
        let shops = NAMES.iter().map(|name| world::opened(name, &NAMES)).collect();
        let mut world = Self { shops, made: [0; 3], read: [[0; 3]; 3], known: Default::default() };
        world.note_known();
        world
    }

    /// Notes what was known when the groups were written that have come since.
    fn note_known(&mut self) {
        for ((known, shop), read) in self.known.iter_mut().zip(&self.shops).zip(&self.read) {
            known.resize(shop.journal.len(), *read);
        }
    }

    pub(crate) fn play(&mut self, act: &WorldAct) {
        match act {
            WorldAct::Do(site, step) => {
                let (_, answer) = play(&mut self.shops[*site], step, &mut self.made[*site]);
                assert!(!matches!(answer, Answer::Failed(_)), "{answer:?}");
            }
            WorldAct::Edit(site, id, what) => {
                let id: ProductId = sku(SKUS[*id]).into();
                let shop = &mut self.shops[*site];
                shop.ask(edit(id, *what), None);
            }
            WorldAct::Read(reader, of) => self.read(*reader, *of, 1),
        }
        self.note_known();
    }

    /// Folds the next groups of another site.
    pub(crate) fn read(&mut self, reader: usize, of: usize, most: usize) {
        let from = self.read[reader][of];
        let groups: Vec<Group> =
            self.shops[of].journal.iter().skip(from).take(most).map(|bytes| foreign(bytes)).collect();
        if reader != of {
            self.read[reader][of] += groups.len();
            self.shops[reader].tables.fold(&groups).expect("it folds");
        }
    }

    pub(crate) fn read_all(&mut self) {
        for (reader, of) in (0..3).flat_map(|reader| (0..3).map(move |of| (reader, of))) {
            self.read(reader, of, usize::MAX);
        }
    }

    /// All groups in an order that keeps each journal's own, as the observer sees them.
    pub(crate) fn interleaved(&self, observer: usize, order: &[u8]) -> Vec<Group> {
        let mut left = [0; 3];
        let mut groups = Vec::new();
        let mut choices = order.iter().cycle();
        while (0..3).any(|of| left[of] < self.shops[of].journal.len()) {
            let choice = usize::from(*choices.next().expect("it cycles"));
            let of = (0..3)
                .map(|turn| (choice + turn) % 3)
                .find(|of| left[*of] < self.shops[*of].journal.len())
                .expect("some are left");
            let bytes = &self.shops[of].journal[left[of]];
            groups.push(if of == observer { group::decode(bytes).expect("a group") } else { foreign(bytes) });
            left[of] += 1;
        }
        groups
    }
}

fn foreign(bytes: &[u8]) -> Group {
    shared(bytes)
}

/// Rows that are equal at all sites that have read as far. A site's own day is its own business.
pub(crate) fn shared_rows(tables: &Tables) -> Vec<(Table, Bytes, Vec<u8>)> {
    let names = [
        "products",
        "claims",
        "catalog",
        "items",
        "locations",
        "stock",
        "movements",
        "listings",
        "market_listings",
        "revisions",
        "gtins",
        "index",
        "offers",
        "customers",
        "emails",
        "orders",
        "timeline",
        "order_numbers",
        "order_lists",
    ];
    let rows = tables.rows.iter().filter(|((table, _), _)| names.contains(&table.name()));
    let rows = rows.map(|((table, key), value)| (*table, key.clone(), value.to_vec()));
    let sites = tables.rows.iter().filter(|((table, _), _)| table.name() == "sites");
    let sites = sites.map(|((table, key), value)| {
        let SiteRow { stamp, .. } = decode(*table, value).expect("a row");
        (*table, key.clone(), stamp.0.to_be_bytes().to_vec())
    });
    rows.chain(sites).collect()
}

/// One of many edits of a product. Two SKUs may be given to any product: at two sites, two products may
/// claim one.
pub(crate) fn edit(id: ProductId, what: u16) -> Command {
    let number = what / 24;
    let extra = ["extra-1", "extra-2"][usize::from(number % 2)];
    let few = number / 2 % 5;
    let words = match what % 24 {
        0 | 1 => format!("title=title_{few}"),
        2 => "status=archived".to_owned(),
        3 => "status=active".to_owned(),
        4 => format!("brand=brand-{few} title=title_{few}"),
        5 => "brand= description=".to_owned(),
        6 => format!("description=words-{few} categories=c{few},c1"),
        7 => format!("+colour=c{few} +weight={few}"),
        8 => "+colour=".to_owned(),
        9 => format!("@de=Titel_{few} @fr=Titre_{few}"),
        10 => "@de=".to_owned(),
        11 => format!("options=Size media=https://example.org/{few}"),
        12 => ["merge=latest", "merge=authority:a", "merge=authority:c"][usize::from(few % 3)].to_owned(),
        13 | 14 => format!("{extra}.title=variant_{few} {extra}.price={few}EUR"),
        15 => format!("{extra}.price=9EUR@100-2000 {extra}.+colour=c{few}"),
        16 => format!("{extra}.gtin={}", ["96385074", "4006381333931"][usize::from(few % 2)]),
        17 => format!("{extra}=gone"),
        18 => format!("{0}.price={few}EUR {0}.price={few}CHF@5", id.as_str()),
        19 => format!("{}.gtin={}", id.as_str(), ["96385074", "4006381333931", ""][usize::from(few % 3)]),
        20 => return Command::DeleteProduct { id, expected: None },
        _ => {
            let words = match few {
                0 => format!("m{} title=own_{few}", number % 2),
                1 => format!("m{} title= +colour=own", number % 2),
                2 => format!("m{} {}.price=-EUR", number % 2, id.as_str()),
                _ => format!("m{} {}.price={few}EUR +colour=", number % 2, id.as_str()),
            };
            let (market, edit) = catalog::listing(&words.split(' ').collect::<Vec<_>>());
            return Command::EditListing { id, market, edit: Box::new(edit), expected: None };
        }
    };
    let edit = Box::new(catalog::edit(&words.split(' ').collect::<Vec<_>>()));
    // A product that was deleted is made again by whoever names it next.
    Command::EditProduct { id, edit, expected: None, must: Must::Either, variants: Must::Either }
}
