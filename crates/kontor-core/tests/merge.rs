//! What siblings add up to, compared with who knew of whom.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use kontor_core::event::{Event, ProductEdited};
use kontor_core::group;
use kontor_core::id::{ProductId, SiteId};
use kontor_core::index;
use kontor_core::product::field::{Conflict, Field, Value, VariantField};
use kontor_core::product::listing::Listing;
use kontor_core::product::merge::{conflicts, merge};
use kontor_core::product::text::MarketId;
use kontor_core::product::{GtinUse, MergeRule, Product, Sibling};
use kontor_core::record::{Derived, KeyParts, Table, decode};
use kontor_core::time::Stamp;
use kontor_core::view::rows_of_sites;
use proptest::prelude::*;
use support::sites::{NAMES, World, WorldAct, edit, world_act};
use support::world::SKUS;
use support::{Answer, Tables, cases, sku};

proptest! {
    #![proptest_config(cases(150))]

    /// Whatever sites edit and read, the values of a field that are left are those that nobody's later
    /// edit knew of: no more, and none is lost. Where they differ there is a conflict, which the rule
    /// decides.
    #[test]
    fn what_nobody_knew_of_is_left(acts in proptest::collection::vec(edits(), 1..80)) {
        let mut world = World::new();
        for act in &acts {
            world.play(act);
        }
        for (observer, shop) in world.shops.iter().enumerate() {
            for id in SKUS.map(|name| ProductId::from(sku(name))) {
                let siblings = rows_of_sites::<Sibling>(&shop.tables, &id).expect("rows");
                let model = Model::of(&world, observer, &id);
                let listed = conflicts(&siblings);
                let product = merge(&siblings);
                prop_assert_eq!(&product, &shop.tables.product(id.as_str()), "what is kept");
                let is_there = model.shown(&Field::Present) == Some(Value::Flag(true));
                prop_assert_eq!(product.is_some(), is_there);
                let open: BTreeSet<&Field> = listed.iter().map(|conflict| &conflict.field).collect();
                prop_assert_eq!(open.len(), listed.len(), "each field once");
                let Some(product) = product else { continue };
                prop_assert_eq!(product.conflicts as usize, listed.len());
                prop_assert_eq!(&product.rule, &model.rule);
                for field in model.fields() {
                    model.check(&field, listed.iter().find(|conflict| conflict.field == field))?;
                }
                for (field, value) in shown(&product) {
                    let expected = model.shown(&field).filter(|value| *value != Value::Nothing);
                    prop_assert_eq!(expected, Some(value), "{}", field);
                }
            }
        }
    }

    /// Siblings add up to the same in whatever order they stand, conflicts too.
    #[test]
    fn siblings_merge_in_any_order(acts in proptest::collection::vec(edits(), 1..60), turn in 0..3_usize) {
        let mut world = World::new();
        for act in &acts {
            world.play(act);
        }
        world.read_all();
        for name in SKUS {
            let siblings = rows_of_sites::<Sibling>(&world.shops[0].tables, &sku(name).into()).expect("rows");
            let mut turned = siblings.clone();
            turned.rotate_left(turn.min(siblings.len()));
            prop_assert_eq!(merge(&turned), merge(&siblings));
            prop_assert_eq!(conflicts(&turned), conflicts(&siblings));
            turned.reverse();
            prop_assert_eq!(merge(&turned), merge(&siblings));
            prop_assert_eq!(conflicts(&turned), conflicts(&siblings));
            let alone: Vec<(SiteId, Sibling)> = siblings[..1].to_vec();
            prop_assert!(conflicts(&alone).is_empty(), "one site never differs from itself");
        }
    }

    /// An edit by somebody who has seen all others does to the product what it does to a copy of it; an
    /// answer can be written from its event.
    #[test]
    fn an_informed_edit_is_laid_over_the_product(acts in proptest::collection::vec(edits(), 1..60)) {
        let mut world = World::new();
        for act in &acts {
            let WorldAct::Edit(at, number, what) = act else {
                world.play(act);
                continue;
            };
            let id: ProductId = sku(SKUS[*number]).into();
            let before = world.shops[*at].tables.product(id.as_str());
            let shop = &mut world.shops[*at];
            let now = shop.now;
            if let Answer::Done(events) = shop.ask(edit(id.clone(), *what), None)
                && let [Event::ProductEdited(edited)] = events.as_slice()
                // Another rule may show another value of what is disputed.
                && (edited.edit.rule.is_none() || before.as_ref().is_none_or(|product| product.conflicts == 0))
            {
                let ProductEdited { edit, revision, .. } = &**edited;
                let plain = |product: Option<Product>| product.map(|product| Product { conflicts: 0, ..product });
                let after = plain(Product::edited(before.as_ref(), edit, *revision, now));
                prop_assert_eq!(plain(shop.tables.product(id.as_str())), after);
                let set: BTreeSet<Field> = edit.values().into_iter().map(|(field, _)| field).collect();
                let left = conflicts(&rows_of_sites::<Sibling>(&shop.tables, &id).expect("rows"));
                prop_assert!(left.iter().all(|conflict| !set.contains(&conflict.field)), "what was set is settled");
                let removed = |field: &Field| {
                    let mut gone = edit.variants.iter().filter(|variant| variant.present == Some(false));
                    matches!(field, Field::Variant(sku, _) if gone.any(|variant| variant.sku == *sku))
                };
                let is_settled = |field: &Field| set.contains(field) || removed(field) || edit.present == Some(false);
                prop_assert!(edited.settled.iter().all(|conflict| is_settled(&conflict.field)));
            }
        }
    }

    /// After any history the index and the list of GTINs hold what follows from the products and their
    /// listings, and nothing else.
    #[test]
    fn the_index_follows_from_the_products(acts in proptest::collection::vec(world_act(), 1..60)) {
        let mut world = World::new();
        for act in &acts {
            world.play(act);
        }
        for shop in &world.shops {
            let keys = |table| shop.tables.of(table).map(|(key, _)| key.to_vec()).collect::<BTreeSet<_>>();
            prop_assert_eq!(keys(Table::INDEX), index_of(&shop.tables));
            let mut uses = BTreeSet::new();
            for (id, product) in products(&shop.tables) {
                let variants = product.variants.iter();
                let gtins = variants.filter_map(|variant| Some((variant.gtin.as_ref()?, &variant.sku)));
                uses.extend(gtins.map(|(gtin, sku)| GtinUse::key((gtin, &id, sku)).into_bytes()));
            }
            prop_assert_eq!(keys(Table::GTINS), uses);
        }
    }
}

/// Edits and reads alone.
fn edits() -> impl Strategy<Value = WorldAct> {
    prop_oneof![
        3 => (0..3_usize, 0..SKUS.len(), any::<u16>()).prop_map(|(site, id, what)| WorldAct::Edit(site, id, what)),
        2 => (0..3_usize, 0..3_usize).prop_map(|(reader, of)| WorldAct::Read(reader, of)),
    ]
}

fn products(tables: &Tables) -> Vec<(ProductId, Product)> {
    let rows = tables.of(Table::CATALOG);
    let rows = rows.map(|(key, value)| {
        let id = KeyParts(key).text().and_then(|id| ProductId::parse(id).ok()).expect("an id");
        (id, decode(Table::CATALOG, value).expect("a row"))
    });
    rows.collect()
}

fn index_of(tables: &Tables) -> BTreeSet<Vec<u8>> {
    let mut keys: BTreeSet<Vec<u8>> =
        products(tables).iter().flat_map(|(id, product)| index::keys(id, product)).collect();
    for (key, value) in tables.of(Table::MARKET_LISTINGS) {
        let mut parts = KeyParts(key);
        let id = parts.text().and_then(|id| ProductId::parse(id).ok()).expect("an id");
        let market = parts.text().and_then(|id| MarketId::parse(id).ok()).expect("a market");
        let listing: Listing = decode(Table::MARKET_LISTINGS, value).expect("a row");
        keys.extend(index::listing_keys(&id, &market, &listing));
    }
    keys
}

/// One edit of a field, as a historian knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    site: usize,
    group: usize,
    stamp: Stamp,
    value: Value,
}

/// Who set which field of one product, as far as somebody has read, and who knew of whom.
struct Model<'w> {
    world: &'w World,
    sets: BTreeMap<Field, Vec<Set>>,
    rule: MergeRule,
}

impl<'w> Model<'w> {
    fn of(world: &'w World, observer: usize, id: &ProductId) -> Self {
        let mut sets: BTreeMap<Field, Vec<Set>> = BTreeMap::new();
        for (site, shop) in world.shops.iter().enumerate() {
            let read = if site == observer { shop.journal.len() } else { world.read[observer][site] };
            for (group, bytes) in shop.journal.iter().take(read).enumerate() {
                let entries = group::decode(bytes).expect("a group").entries;
                for event in entries.iter().flat_map(|entry| &entry.events) {
                    let Event::ProductEdited(edited) = event else { continue };
                    if edited.id == *id {
                        for (field, value) in edited.edit.values() {
                            let set = Set { site, group, stamp: edited.stamp, value };
                            sets.entry(field).or_default().push(set);
                        }
                    }
                }
            }
        }
        let mut model = Self { world, sets, rule: MergeRule::Latest };
        if let Some(Value::Text(rule)) = model.shown(&Field::Rule) {
            model.rule = MergeRule::parse(&rule).expect("a rule");
        }
        model
    }

    fn fields(&self) -> Vec<Field> {
        self.sets.keys().cloned().collect()
    }

    fn knew(&self, later: &Set, earlier: &Set) -> bool {
        if later.site == earlier.site {
            return later.group > earlier.group;
        }
        self.world.known[later.site][later.group][earlier.site] > earlier.group
    }

    /// The values that no later edit knew of: of the field, of the product's being there, of the variant's.
    fn left(&self, field: &Field) -> Vec<&Set> {
        let mut over = vec![field.clone(), Field::Present];
        if let Field::Variant(sku, _) = field {
            over.push(Field::Variant(sku.clone(), VariantField::Present));
        }
        let all: Vec<&Set> = over.iter().filter_map(|field| self.sets.get(field)).flatten().collect();
        let sets = self.sets.get(field).into_iter().flatten();
        sets.filter(|set| !all.iter().any(|other| self.knew(other, set))).collect()
    }

    fn winner(&self, field: &Field) -> Option<&Set> {
        let left = self.left(field);
        let authority = match &self.rule {
            MergeRule::Authority(site) if *field != Field::Rule => {
                left.iter().find(|set| NAMES[set.site] == site.as_str()).copied()
            }
            _ => None,
        };
        authority.or_else(|| left.into_iter().max_by_key(|set| (set.stamp, set.site)))
    }

    fn shown(&self, field: &Field) -> Option<Value> {
        self.winner(field).map(|set| set.value.clone())
    }

    /// A conflict is listed if and only if values differ, with all of them, the one that shows first.
    fn check(&self, field: &Field, listed: Option<&Conflict>) -> Result<(), TestCaseError> {
        if let Field::Variant(sku, of) = field
            && *of != VariantField::Present
            && self.shown(&Field::Variant(sku.clone(), VariantField::Present)) != Some(Value::Flag(true))
        {
            prop_assert!(listed.is_none(), "what is gone has no conflicts: {}", field);
            return Ok(());
        }
        let left = self.left(field);
        let values: BTreeSet<String> = left.iter().map(|set| set.value.to_string()).collect();
        prop_assert_eq!(listed.is_some(), values.len() > 1, "{}: {:?}", field, left);
        if let Some(conflict) = listed {
            let told: BTreeSet<(String, u64, String)> =
                conflict.candidates.iter().map(|of| (of.site.to_string(), of.stamp.0, of.value.to_string())).collect();
            let expected: BTreeSet<(String, u64, String)> =
                left.iter().map(|set| (NAMES[set.site].to_owned(), set.stamp.0, set.value.to_string())).collect();
            prop_assert_eq!(told, expected, "{}", field);
            let first = conflict.candidates.first().map(|of| of.value.clone());
            prop_assert_eq!(first, self.shown(field), "{}", field);
        }
        Ok(())
    }
}

/// Fields of a product that are something, as values.
fn shown(product: &Product) -> Vec<(Field, Value)> {
    let text = |text: &dyn ToString| Value::text(text.to_string());
    let mut all = vec![(Field::Title, text(&product.title))];
    all.extend(product.description.iter().map(|of| (Field::Description, text(of))));
    all.extend(product.brand.iter().map(|of| (Field::Brand, text(of))));
    all.extend(product.attributes.iter().filter_map(|(name, value)| match value {
        kontor_core::product::attribute::AttributeValue::Text(of) => Some((Field::Attribute(name.clone()), text(of))),
        _ => None,
    }));
    for variant in &product.variants {
        let field = |field| Field::Variant(variant.sku.clone(), field);
        all.push((field(VariantField::Present), Value::Flag(true)));
        all.extend(variant.title.iter().map(|of| (field(VariantField::Title), text(of))));
        all.extend(variant.gtin.iter().map(|of| (field(VariantField::Gtin), text(of))));
        all.extend(variant.prices.iter().map(|(key, terms)| {
            let mut parts = vec![("amount".into(), text(&terms.money(key.currency).decimal()))];
            parts.extend(terms.valid_until.map(|until| ("valid_until".into(), Value::Moment(until))));
            (field(VariantField::Price(*key)), Value::Map(parts))
        }));
    }
    all
}

/// A deletion that lost against those who made the product ends its listings as little as the product:
/// found by the law of apply, where only the rule changed and the listing did not come back.
#[test]
fn a_product_comes_back_with_its_listings() {
    let mut world = World::new();
    let id: ProductId = sku(SKUS[2]).into();
    let asked = |world: &mut World, at: usize, words: &str| {
        let answer = support::ledger::play(&mut world.shops[at], words);
        assert!(matches!(answer, Answer::Done(_)), "{words}: {answer:?}");
    };
    asked(&mut world, 1, "delete ice");
    asked(&mut world, 0, "list ice m0 title=own");
    asked(&mut world, 0, "edit ice merge=authority:a");
    let counts = |world: &World, at: usize| {
        let tables = &world.shops[at].tables;
        (tables.product(id.as_str()).is_some(), tables.of(Table::MARKET_LISTINGS).count())
    };
    world.read(0, 1, usize::MAX);
    assert_eq!(counts(&world, 0), (true, 1));
    world.read(1, 0, usize::MAX);
    assert_eq!(counts(&world, 1), (true, 1));
    world.read(2, 1, usize::MAX);
    assert_eq!(counts(&world, 2), (false, 0), "as long as the rule is not known");
    world.read(2, 0, usize::MAX);
    assert_eq!(counts(&world, 2), (true, 1));
}
