//! From what each site has set to what everybody sees: a pure function, field by field.
//!
//! A value of site *s* with stamp *t* is out when another site's value of the same field was set by a
//! writer who had seen *s* up to *t*. Of what is left, one value wins; where several differ, nobody knew
//! of the other, and that is a **conflict**: the product's rule decides which of them shows
//! ([`MergeRule`]), and all of them are told to whoever asks ([`conflicts`]).
//!
//! To make or delete a product, or to add or remove a variant, also puts out every value of it that the
//! writer had seen: what is made anew begins empty. The same function merges listings; they end with
//! their product.

use std::collections::{BTreeMap, BTreeSet};

use super::field::{Candidate, Conflict, Field, Value, VariantField};
use super::listing::{Listing, ListingSibling};
use super::{MergeRule, Presence, Product, Sibling, SiblingVariant, Variant};
use crate::id::{SiteId, Sku};
use crate::time::{SeenStamps, Stamp, Stamped};

/// The product that its siblings add up to; `None` while nobody has made it, and when it is deleted.
pub fn merge(siblings: &[(SiteId, Sibling)]) -> Option<Product> {
    Merge::new(siblings, Listed::No).product(siblings)
}

/// The fields on whose value siblings differ, because their writers did not know of each other.
pub fn conflicts(siblings: &[(SiteId, Sibling)]) -> Vec<Conflict> {
    let mut merge = Merge::new(siblings, Listed::Yes);
    merge.product(siblings);
    merge.conflicts
}

/// What a product says of its own in a market; `None` if it says nothing, or is not there.
pub fn merge_listing(product: &[(SiteId, Sibling)], siblings: &[(SiteId, ListingSibling)]) -> Option<Listing> {
    Merge::new(product, Listed::No).listing(siblings).filter(|listing| !listing.is_empty() || listing.conflicts > 0)
}

/// The fields of a listing on whose value siblings differ.
pub fn listing_conflicts(product: &[(SiteId, Sibling)], siblings: &[(SiteId, ListingSibling)]) -> Vec<Conflict> {
    let mut merge = Merge::new(product, Listed::Yes);
    merge.listing(siblings);
    merge.conflicts
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
}

/// An edit that puts out what its writer had seen.
#[derive(Clone, Copy)]
struct Barrier<'s> {
    site: &'s SiteId,
    stamp: Stamp,
    seen: &'s SeenStamps,
}

impl<'s> Barrier<'s> {
    fn of<T>((site, field): (&'s SiteId, &'s Stamped<T>)) -> Self {
        Self { site, stamp: field.stamp, seen: &field.seen }
    }

    /// Whether its writer had seen this edit.
    fn covers(&self, site: &SiteId, stamp: Stamp) -> bool {
        if self.site == site { stamp < self.stamp } else { self.seen.of(site) >= stamp }
    }
}

struct Merge<'s> {
    rule: MergeRule,
    is_present: bool,
    /// Of the product's makings and deletions.
    barriers: Vec<Barrier<'s>>,
    listed: Listed,
    count: u32,
    conflicts: Vec<Conflict>,
}

impl<'s> Merge<'s> {
    fn new(siblings: &'s [(SiteId, Sibling)], listed: Listed) -> Self {
        let present = siblings.iter().filter_map(|(site, sibling)| Some((site, sibling.present.as_ref()?)));
        let barriers = present.map(Barrier::of).collect();
        let rule = MergeRule::default();
        let mut merge = Self { rule, is_present: false, barriers, listed, count: 0, conflicts: Vec::new() };
        // The rule itself is decided by the latest; all others by the rule.
        let rule = merge.field(siblings, &[], || Field::Rule, |sibling| sibling.rule.as_ref(), Value::shown);
        merge.rule = rule.cloned().unwrap_or_default();
        let present = |sibling: &'s Sibling| sibling.present.as_ref();
        let is_present = merge.field(siblings, &[], || Field::Present, present, |present| Value::Flag(*present));
        merge.is_present = is_present.copied().unwrap_or(false);
        merge
    }

    fn product(&mut self, siblings: &'s [(SiteId, Sibling)]) -> Option<Product> {
        if !self.is_present {
            // What is gone has no conflicts but that about its being gone.
            self.conflicts.retain(|conflict| conflict.field == Field::Present);
            return None;
        }
        let title = self.field(siblings, &[], || Field::Title, |s| s.title.as_ref(), Value::shown).cloned();
        let mut product = Product::blank(title?);
        let shown = |text: &Option<_>| Value::maybe(text.as_ref(), Value::shown);
        let found = self.field(siblings, &[], || Field::Description, |s| s.description.as_ref(), shown);
        product.description = found.cloned().flatten();
        let shown = |text: &Option<_>| Value::maybe(text.as_ref(), Value::shown);
        product.brand = self.field(siblings, &[], || Field::Brand, |s| s.brand.as_ref(), shown).cloned().flatten();
        let found = self.field(siblings, &[], || Field::Status, |s| s.status.as_ref(), Value::status);
        product.status = found.copied().unwrap_or_default();
        let found =
            self.field(siblings, &[], || Field::Categories, |s| s.categories.as_ref(), |names| Value::names(names));
        product.categories = found.cloned().unwrap_or_default();
        let found = self.field(siblings, &[], || Field::Options, |s| s.options.as_ref(), |names| Value::names(names));
        product.options = found.cloned().unwrap_or_default();
        let (name, shown) = (Field::Attribute, |value: &Option<_>| Value::maybe(value.as_ref(), Value::attribute));
        product.attributes = self.fields(siblings, &[], name, |s| Some(&s.attributes), shown);
        let found = self.field(siblings, &[], || Field::Media, |s| s.media.as_ref(), |media| Value::media(media));
        product.media = found.cloned().unwrap_or_default();
        let (name, shown) = (Field::Translation, |value: &Option<_>| Value::maybe(value.as_ref(), Value::translation));
        product.translations = self.fields(siblings, &[], name, |s| Some(&s.translations), shown);
        product.rule = self.rule.clone();
        product.variants = self.variants(siblings);
        product.conflicts = self.count;
        product.revision = siblings.iter().map(|(_, sibling)| sibling.revision).sum();
        let made = |(_, sibling): &&(SiteId, Sibling)| sibling.present.as_ref().is_some_and(|present| present.value);
        let created = siblings.iter().filter(made).map(|(_, sibling)| sibling.created_at).min();
        product.created_at = created.unwrap_or_default();
        product.updated_at = siblings.iter().map(|(_, sibling)| sibling.updated_at).max().unwrap_or_default();
        Some(product)
    }

    fn variants(&mut self, siblings: &'s [(SiteId, Sibling)]) -> Vec<Variant> {
        let skus: BTreeSet<&'s Sku> = siblings.iter().flat_map(|(_, sibling)| sibling.variants.keys()).collect();
        let mut found = Vec::with_capacity(skus.len());
        for sku in skus {
            let of = |sibling: &'s Sibling| sibling.variants.get(sku);
            found.extend(self.variant(siblings, sku, of));
        }
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, variant)| variant).collect()
    }

    /// A variant, and where it stands: when it was added first, and as the how-many-th.
    fn variant(
        &mut self,
        siblings: &'s [(SiteId, Sibling)],
        sku: &'s Sku,
        of: impl Fn(&'s Sibling) -> Option<&'s SiblingVariant> + Copy,
    ) -> Option<((Stamp, u16, &'s Sku), Variant)> {
        let present = |sibling| of(sibling)?.present.as_ref();
        let all = siblings.iter().filter_map(|(site, sibling)| Some((site, present(sibling)?)));
        let barriers: Vec<Barrier<'s>> = all.map(Barrier::of).collect();
        let left = self.left(siblings, &[], present);
        let here = |place: &Presence| match place {
            Presence::Here(place) => Some(*place),
            Presence::Gone => None,
        };
        let winner = self.winner(&left).map(|at| left[at].1.value)?;
        if left.iter().any(|(_, field)| (field.value == Presence::Gone) != (winner == Presence::Gone)) {
            self.differ(Field::Variant(sku.clone(), VariantField::Present), &left, Value::presence);
        }
        here(&winner)?;
        let added = left.iter().filter_map(|(_, field)| Some((field.stamp, here(&field.value)?))).min();
        let (stamp, place) = added.unwrap_or_default();

        let name = |field: VariantField| move || Field::Variant(sku.clone(), field);
        let mut variant = Variant::new(sku.clone());
        let shown = |value: &Option<_>| Value::maybe(value.as_ref(), Value::shown);
        let found = self.field(siblings, &barriers, name(VariantField::Gtin), |s| of(s)?.gtin.as_ref(), shown);
        variant.gtin = found.cloned().flatten();
        let shown = |value: &Option<_>| Value::maybe(value.as_ref(), Value::shown);
        let found = self.field(siblings, &barriers, name(VariantField::Title), |s| of(s)?.title.as_ref(), shown);
        variant.title = found.cloned().flatten();
        let found =
            self.field(siblings, &barriers, name(VariantField::Options), |s| of(s)?.options.as_ref(), Value::choice);
        variant.options = found.cloned().unwrap_or_default();
        let attribute = |name| Field::Variant(sku.clone(), VariantField::Attribute(name));
        let shown = |value: &Option<_>| Value::maybe(value.as_ref(), Value::attribute);
        variant.attributes = self.fields(siblings, &barriers, attribute, |s| Some(&of(s)?.attributes), shown);
        let found =
            self.field(siblings, &barriers, name(VariantField::Selling), |s| of(s)?.selling.as_ref(), Value::selling);
        variant.selling = found.copied().unwrap_or_default();
        let keys: BTreeSet<_> =
            siblings.iter().filter_map(|(_, s)| of(s)).flat_map(|of| of.prices.keys().copied()).collect();
        for key in keys {
            let shown = |terms: &Option<_>| Value::maybe(terms.as_ref(), |terms| Value::price(key, terms));
            let field = name(VariantField::Price(key));
            let found = self.field(siblings, &barriers, field, |s| of(s)?.prices.get(&key), shown);
            variant.prices.extend(found.copied().flatten().map(|terms| (key, terms)));
        }
        Some(((stamp, place, sku), variant))
    }

    fn listing(&mut self, siblings: &'s [(SiteId, ListingSibling)]) -> Option<Listing> {
        self.conflicts.clear();
        self.count = 0;
        if !self.is_present || siblings.is_empty() {
            return None;
        }
        let mut listing = Listing::default();
        let shown = |text: &Option<_>| Value::maybe(text.as_ref(), Value::shown);
        listing.title = self.field(siblings, &[], || Field::Title, |s| s.title.as_ref(), shown).cloned().flatten();
        let shown = |text: &Option<_>| Value::maybe(text.as_ref(), Value::shown);
        let found = self.field(siblings, &[], || Field::Description, |s| s.description.as_ref(), shown);
        listing.description = found.cloned().flatten();
        let (name, shown) = (Field::Attribute, |value: &Option<_>| Value::maybe(value.as_ref(), Value::attribute));
        listing.attributes = self.fields(siblings, &[], name, |s| Some(&s.attributes), shown);
        let all = siblings.iter().flat_map(|(_, sibling)| &sibling.prices);
        let keys: BTreeSet<_> = all.flat_map(|(sku, prices)| prices.keys().map(move |key| (sku, *key))).collect();
        for (sku, key) in keys {
            let shown = |terms: &Option<_>| Value::maybe(terms.as_ref(), |terms| Value::price(key, terms));
            let field = || Field::Variant(sku.clone(), VariantField::Price(key));
            let found = self.field(siblings, &[], field, |s| s.prices.get(sku)?.get(&key), shown);
            if let Some(terms) = found.copied().flatten() {
                listing.prices.entry(sku.clone()).or_default().insert(key, terms);
            }
        }
        listing.conflicts = self.count;
        listing.revision = siblings.iter().map(|(_, sibling)| sibling.revision).sum();
        listing.updated_at = siblings.iter().map(|(_, sibling)| sibling.updated_at).max().unwrap_or_default();
        Some(listing)
    }

    /// The value of one field.
    fn field<S, T: PartialEq>(
        &mut self,
        siblings: &'s [(SiteId, S)],
        barriers: &[Barrier<'s>],
        name: impl FnOnce() -> Field,
        get: impl Fn(&'s S) -> Option<&'s Stamped<T>>,
        show: impl Fn(&T) -> Value,
    ) -> Option<&'s T> {
        if let [(site, sibling)] = siblings {
            let field = get(sibling)?;
            return (!self.is_out(barriers, site, field.stamp)).then_some(&field.value);
        }
        let left = self.left(siblings, barriers, get);
        let winner = self.winner(&left)?;
        if left.iter().any(|(_, field)| field.value != left[winner].1.value) {
            self.differ(name(), &left, show);
        }
        Some(&left[winner].1.value)
    }

    /// The values of fields by name.
    fn fields<S, K: Ord + Clone + 's, V: PartialEq + Clone + 's>(
        &mut self,
        siblings: &'s [(SiteId, S)],
        barriers: &[Barrier<'s>],
        name: impl Fn(K) -> Field,
        get: impl Fn(&'s S) -> Option<&'s BTreeMap<K, Stamped<Option<V>>>>,
        show: impl Fn(&Option<V>) -> Value,
    ) -> BTreeMap<K, V> {
        let keys: BTreeSet<&'s K> = siblings.iter().filter_map(|(_, s)| get(s)).flat_map(BTreeMap::keys).collect();
        let mut found = BTreeMap::new();
        for key in keys {
            let value = self.field(siblings, barriers, || name(key.clone()), |s| get(s)?.get(key), &show);
            found.extend(value.cloned().flatten().map(|value| (key.clone(), value)));
        }
        found
    }

    /// The values of one field that no other's writer had seen.
    fn left<S, T>(
        &self,
        siblings: &'s [(SiteId, S)],
        barriers: &[Barrier<'s>],
        get: impl Fn(&'s S) -> Option<&'s Stamped<T>>,
    ) -> Vec<(&'s SiteId, &'s Stamped<T>)> {
        let all = siblings.iter().filter_map(|(site, sibling)| Some((site, get(sibling)?)));
        let mut all: Vec<(&'s SiteId, &'s Stamped<T>)> =
            all.filter(|(site, field)| !self.is_out(barriers, site, field.stamp)).collect();
        if let [_] | [] = all.as_slice() {
            return all;
        }
        let others: Vec<Barrier<'s>> = all.iter().copied().map(Barrier::of).collect();
        all.retain(|(site, field)| !others.iter().any(|other| other.site != *site && other.covers(site, field.stamp)));
        all
    }

    fn is_out(&self, barriers: &[Barrier<'s>], site: &SiteId, stamp: Stamp) -> bool {
        self.barriers.iter().chain(barriers).any(|barrier| barrier.covers(site, stamp))
    }

    /// Which of several values shows.
    fn winner<T>(&self, left: &[(&SiteId, &Stamped<T>)]) -> Option<usize> {
        if let MergeRule::Authority(authority) = &self.rule
            && let Some(place) = left.iter().position(|(site, _)| *site == authority)
        {
            return Some(place);
        }
        (0..left.len()).max_by_key(|at| (left[*at].1.stamp, left[*at].0))
    }

    fn differ<T>(&mut self, field: Field, left: &[(&SiteId, &Stamped<T>)], show: impl Fn(&T) -> Value) {
        self.count = self.count.saturating_add(1);
        if self.listed == Listed::No {
            return;
        }
        let winner = self.winner(left);
        let mut candidates: Vec<(bool, Candidate)> = left
            .iter()
            .enumerate()
            .map(|(at, (site, field))| {
                let value = show(&field.value);
                (winner != Some(at), Candidate { site: (*site).clone(), stamp: field.stamp, value })
            })
            .collect();
        candidates
            .sort_by_key(|(loses, candidate)| (*loses, std::cmp::Reverse((candidate.stamp, candidate.site.clone()))));
        let candidates = candidates.into_iter().map(|(_, candidate)| candidate).collect();
        self.conflicts.push(Conflict { field, candidates, rule: self.rule.clone() });
    }
}
