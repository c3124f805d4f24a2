//! How an edit of a site is kept in its siblings.

use std::collections::BTreeMap;

use super::edit::{ProductEdit, VariantEdit};
use super::listing::{ListingEdit, ListingSibling};
use super::{Presence, Selling, Sibling, SiblingVariant};
use crate::id::Sku;
use crate::time::{SeenStamps, SiteTime, Stamp, Stamped};

/// When an edit was made, and with what knowledge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made<'e> {
    pub(crate) stamp: Stamp,
    pub(crate) seen: &'e SeenStamps,
    pub(crate) at: SiteTime,
}

impl Made<'_> {
    fn stamped<T>(&self, value: T) -> Stamped<T> {
        Stamped { value, stamp: self.stamp, seen: self.seen.clone() }
    }

    fn set<T: Clone>(&self, field: &mut Option<Stamped<T>>, value: &Option<T>) {
        if let Some(value) = value {
            *field = Some(self.stamped(value.clone()));
        }
    }

    fn set_each<K: Ord + Clone, V: Clone>(&self, fields: &mut BTreeMap<K, Stamped<V>>, values: &BTreeMap<K, V>) {
        fields.extend(values.iter().map(|(key, value)| (key.clone(), self.stamped(value.clone()))));
    }
}

impl Sibling {
    /// Takes an edit of its site. Answers the SKUs that the site had not named before.
    pub(crate) fn take(&mut self, edit: &ProductEdit, made: Made<'_>) -> Vec<Sku> {
        if let Some(present) = edit.present {
            // What this site set before is out by its own hand.
            let revision = self.revision;
            *self = Self { present: Some(made.stamped(present)), revision, ..Self::default() };
            self.created_at = made.at;
        }
        if self.revision == 0 {
            self.created_at = made.at;
        }
        self.revision += 1;
        self.updated_at = made.at;
        self.stamp = made.stamp;
        made.set(&mut self.title, &edit.title);
        made.set(&mut self.description, &edit.description);
        made.set(&mut self.brand, &edit.brand);
        made.set(&mut self.status, &edit.status);
        made.set(&mut self.categories, &edit.categories);
        made.set(&mut self.options, &edit.options);
        made.set_each(&mut self.attributes, &edit.attributes);
        made.set(&mut self.media, &edit.media);
        made.set_each(&mut self.translations, &edit.translations);
        made.set(&mut self.rule, &edit.rule);
        let mut named = Vec::new();
        for (place, variant) in (0..).zip(&edit.variants) {
            let kept = self.variants.entry(variant.sku.clone()).or_insert_with(|| {
                named.push(variant.sku.clone());
                SiblingVariant::default()
            });
            kept.take(variant, place, made);
        }
        named
    }
}

impl SiblingVariant {
    fn take(&mut self, edit: &VariantEdit, place: u16, made: Made<'_>) {
        if let Some(present) = edit.present {
            let presence = if present { Presence::Here(place) } else { Presence::Gone };
            *self = Self { present: Some(made.stamped(presence)), ..Self::default() };
        }
        made.set(&mut self.gtin, &edit.gtin);
        made.set(&mut self.title, &edit.title);
        made.set(&mut self.options, &edit.options);
        made.set_each(&mut self.attributes, &edit.attributes);
        if let Some(selling) = edit.selling {
            self.selling = Some(made.stamped(selling.over(Selling::default())));
        }
        made.set_each(&mut self.prices, &edit.prices);
    }
}

impl ListingSibling {
    /// Takes an edit of its site.
    pub(crate) fn take(&mut self, edit: &ListingEdit, made: Made<'_>) {
        self.revision += 1;
        self.updated_at = made.at;
        self.stamp = made.stamp;
        made.set(&mut self.title, &edit.title);
        made.set(&mut self.description, &edit.description);
        made.set_each(&mut self.attributes, &edit.attributes);
        for (sku, prices) in &edit.prices {
            made.set_each(self.prices.entry(sku.clone()).or_default(), prices);
        }
    }
}
