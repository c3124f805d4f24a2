//! Edits of products that several sites edit: who had read what, which values were set without knowledge
//! of each other, and that all of those are on the list.
//!
//! What a writer had read is taken from the heads of its groups, which are checked against the journals;
//! never from what the edits say of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kontor_core::event::{Event, ProductEdited};
use kontor_core::group;
use kontor_core::id::{ProductId, SiteId};
use kontor_core::product::Sibling;
use kontor_core::product::field::{Conflict, Field, Value, VariantField};
use kontor_core::product::merge::conflicts;
use kontor_core::time::Stamp;
use kontor_core::view::{View, rows_of_sites};

use super::{Kept, broken, same};

/// One edit, and what its writer had read.
struct Made {
    site: usize,
    /// Its place in its journal.
    at: (u64, u32),
    /// Groups of each site that the writer had read.
    read: Vec<u64>,
    edited: Arc<ProductEdited>,
    values: Vec<(Field, Value)>,
}

/// Who set what, and when, as a conflict names it.
type Candidates = Vec<(SiteId, Stamp, Value)>;

/// All edits of all journals.
pub(crate) struct Edits<'s> {
    sites: &'s [SiteId],
    by_product: BTreeMap<ProductId, Vec<Made>>,
    /// By site and group, the greatest stamp up to there.
    stamps: Vec<BTreeMap<u64, Stamp>>,
    /// Conflicts that somebody has settled.
    pub(crate) settled: u64,
}

impl Made {
    /// Whether the writer knew of another edit.
    fn knew(&self, other: &Self) -> bool {
        if self.site == other.site { other.at < self.at } else { other.at.0 <= self.read[other.site] }
    }

    fn makes_or_deletes(&self) -> bool {
        self.edited.edit.present.is_some()
    }

    fn sets(&self, field: &Field) -> Option<&Value> {
        self.values.iter().find(|(of, _)| of == field).map(|(_, value)| value)
    }

    /// Whether it puts out every value of a field that its writer had seen, whatever it sets.
    fn begins_anew(&self, field: &Field) -> bool {
        let variant = match field {
            Field::Variant(sku, of) if *of != VariantField::Present => Some(sku),
            _ => None,
        };
        let added = variant.map(|sku| Field::Variant(sku.clone(), VariantField::Present));
        self.makes_or_deletes() || added.is_some_and(|added| self.sets(&added).is_some())
    }
}

impl<'s> Edits<'s> {
    /// Reads all journals, in the order of the sites.
    pub(crate) fn read(sites: &'s [SiteId], journals: &[Vec<(u64, Bytes)>]) -> Kept<Self> {
        let (mut by_product, mut stamps) = (BTreeMap::<ProductId, Vec<Made>>::new(), Vec::new());
        for (site, journal) in journals.iter().enumerate() {
            let (mut read, mut greatest, mut own) = (vec![0; sites.len()], Stamp::default(), BTreeMap::new());
            for (seq, bytes) in journal {
                let group = group::decode(bytes).map_err(|error| broken("a group can be read", "a group", error))?;
                for seen in &group.header.seen {
                    if let Some(place) = sites.iter().position(|site| *site == seen.site) {
                        read[place] = seen.seq;
                    }
                }
                let events = group.entries.iter().flat_map(|entry| &entry.events);
                for (index, event) in (0..).zip(events) {
                    let Event::ProductEdited(edited) = event else { continue };
                    greatest = greatest.max(edited.stamp);
                    own.insert(*seq, greatest);
                    let (at, values) = ((*seq, index), edited.edit.values());
                    let made = Made { site, at, read: read.clone(), edited: edited.clone(), values };
                    by_product.entry(edited.id.clone()).or_default().push(made);
                }
            }
            stamps.push(own);
        }
        Ok(Self { sites, by_product, stamps, settled: 0 })
    }

    /// Every edit is made with the knowledge that its writer had, and says so.
    pub(crate) fn judge(&mut self) -> Kept {
        for made in self.by_product.values().flatten() {
            for (site, stamps) in self.stamps.iter().enumerate().filter(|(site, _)| *site != made.site) {
                let newest = stamps.range(..=made.read[site]).next_back().map(|(_, stamp)| *stamp);
                if newest.is_some_and(|newest| newest >= made.edited.stamp) {
                    let found = (&made.edited.id, made.edited.stamp);
                    return Err(broken("an informed edit has the greater stamp", newest, found));
                }
            }
        }
        for (id, all) in self.by_product.iter().filter(|_| self.sites.len() > 1) {
            for made in all {
                let known: Vec<&Made> = all.iter().filter(|other| made.knew(other)).collect();
                for (number, site) in self.sites.iter().enumerate().filter(|(number, _)| *number != made.site) {
                    let of_site = known.iter().filter(|other| other.site == number);
                    let newest = of_site.map(|other| other.edited.stamp).max().unwrap_or_default();
                    let promise = format!("an edit says what of {site} its writer had read");
                    same(&promise, &newest, &made.edited.seen.of(site))?;
                }
                let replaces = |field: &Field| made.sets(field).is_some() || made.begins_anew(field);
                let open = self.open(&known).into_iter().filter(|(field, _)| replaces(field));
                let told = made.edited.settled.iter().map(as_told).collect();
                self.settled += made.edited.settled.len() as u64;
                let promise = format!("an edit of {id} tells of the conflicts that it settles");
                same(&promise, &open.collect::<BTreeMap<_, _>>(), &told)?;
            }
        }
        Ok(())
    }

    /// What was set without knowledge of each other is on the list of a site that has read everything, and
    /// nothing else. Answers how many there are.
    pub(crate) fn compare(&self, rows: &dyn View) -> Kept<u64> {
        let mut count = 0;
        for (id, all) in self.by_product.iter().filter(|_| self.sites.len() > 1) {
            let siblings = rows_of_sites::<Sibling>(rows, id);
            let siblings = siblings.map_err(|error| broken("rows can be read", "rows", error))?;
            let listed: BTreeMap<Field, Candidates> = conflicts(&siblings).iter().map(as_told).collect();
            count += listed.len() as u64;
            let promise = format!("every overwritten concurrent edit of {id} is on the list, and no other");
            same(&promise, &self.open(&all.iter().collect::<Vec<_>>()), &listed)?;
        }
        Ok(count)
    }

    /// Fields that differ by edits whose writers did not know of each other, the one that shows first.
    fn open(&self, known: &[&Made]) -> BTreeMap<Field, Candidates> {
        let mut fields: Vec<&Field> = known.iter().flat_map(|made| &made.values).map(|(field, _)| field).collect();
        fields.sort();
        fields.dedup();
        let shows = |field: &Field| {
            let left = self.left(known, field);
            left.first().map(|(.., value)| value.clone())
        };
        let is_gone = |shown: Option<Value>| shown != Some(Value::Flag(true));
        if fields.is_empty() {
            return BTreeMap::new();
        }
        let product_is_gone = is_gone(shows(&Field::Present));
        let mut open = BTreeMap::new();
        for field in fields {
            let is_of_gone = match field {
                Field::Present => false,
                _ if product_is_gone => true,
                Field::Variant(_, VariantField::Present) => false,
                Field::Variant(sku, _) => is_gone(shows(&Field::Variant(sku.clone(), VariantField::Present))),
                _ => false,
            };
            let left = self.left(known, field);
            if !is_of_gone && left.iter().any(|(.., value)| *value != left[0].2) {
                open.insert(field.clone(), left);
            }
        }
        open
    }

    /// The values of a field that nobody who knew of them has replaced; the one that shows first.
    fn left(&self, known: &[&Made], field: &Field) -> Candidates {
        let stays = |made: &&&Made| !known.iter().any(|other| other.begins_anew(field) && other.knew(made));
        let set: Vec<&&Made> = known.iter().filter(|made| made.sets(field).is_some()).filter(stays).collect();
        let left = set.iter().filter(|made| !set.iter().any(|other| other.knew(made)));
        let left = left.map(|made| (self.sites[made.site].clone(), made.edited.stamp, made.sets(field).cloned()));
        let mut left: Candidates = left.filter_map(|(site, stamp, value)| Some((site, stamp, value?))).collect();
        left.sort_by_key(|(site, stamp, _)| std::cmp::Reverse((*stamp, site.clone())));
        left
    }
}

fn as_told(conflict: &Conflict) -> (Field, Candidates) {
    let candidates = conflict.candidates.iter();
    let candidates = candidates.map(|of| (of.site.clone(), of.stamp, of.value.clone()));
    (conflict.field.clone(), candidates.collect())
}
