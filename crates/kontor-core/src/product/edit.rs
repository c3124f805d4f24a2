//! An edit is a patch: what it does not name stays as it is. The same type says what a caller wants,
//! what of it changes anything, and what was there before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::attribute::AttributeValue;
use super::field::{Field, Value, VariantField};
use super::gtin::Gtin;
use super::price::{PriceKey, PriceTerms, Prices};
use super::text::{Description, Language, Media, Name, Translation};
use super::{MergeRule, Policy, Product, Selling, Status, Variant};
use crate::id::Sku;
use crate::text::Title;
use crate::time::SiteTime;

/// What is set of a product. In a field that may be empty, `Some(None)` empties it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProductEdit {
    /// Made, or deleted. Callers leave it out: they create and delete by commands.
    pub present: Option<bool>,
    /// The title.
    pub title: Option<Title>,
    /// The description.
    pub description: Option<Option<Description>>,
    /// The brand.
    pub brand: Option<Option<Name>>,
    /// The status.
    pub status: Option<Status>,
    /// All categories; their order does not matter.
    pub categories: Option<Vec<Name>>,
    /// All options.
    pub options: Option<Vec<Name>>,
    /// Attributes by name; `None` takes one away.
    pub attributes: BTreeMap<Name, Option<AttributeValue>>,
    /// All media.
    pub media: Option<Vec<Media>>,
    /// Translations by language; `None` takes one away.
    pub translations: BTreeMap<Language, Option<Translation>>,
    /// How conflicts are decided.
    pub rule: Option<MergeRule>,
    /// Variants that are added or changed, each once.
    pub variants: Vec<VariantEdit>,
}

/// What is set of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantEdit {
    /// Which.
    pub sku: Sku,
    /// Added, or removed. Callers set it to `Some(false)` to remove a variant, and else leave it out.
    pub present: Option<bool>,
    /// The GTIN.
    pub gtin: Option<Option<Gtin>>,
    /// The title.
    pub title: Option<Option<Title>>,
    /// The whole choice of options.
    pub options: Option<BTreeMap<Name, Name>>,
    /// Attributes by name; `None` takes one away.
    pub attributes: BTreeMap<Name, Option<AttributeValue>>,
    /// How it is sold.
    pub selling: Option<SellingEdit>,
    /// Prices by currency and beginning; `None` takes one away.
    pub prices: BTreeMap<PriceKey, Option<PriceTerms>>,
}

/// How a variant is sold: both, or the half that a caller names. Events carry both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SellingEdit {
    /// When stock is promised.
    pub policy: Option<Policy>,
    /// Units that each location may promise beyond its stock.
    pub backorder_limit: Option<u64>,
}

impl SellingEdit {
    /// Completed from what is so now.
    pub fn over(self, now: Selling) -> Selling {
        Selling {
            policy: self.policy.unwrap_or(now.policy),
            backorder_limit: self.backorder_limit.unwrap_or(now.backorder_limit),
        }
    }
}

impl From<Selling> for SellingEdit {
    fn from(selling: Selling) -> Self {
        Self { policy: Some(selling.policy), backorder_limit: Some(selling.backorder_limit) }
    }
}

impl ProductEdit {
    /// A product with one variant.
    pub fn titled(title: Title, sku: Sku, selling: Selling) -> Self {
        let variant = VariantEdit { selling: Some(selling.into()), ..VariantEdit::of(sku) };
        Self { title: Some(title), variants: vec![variant], ..Self::default() }
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of this edit changes a product, and the edit that puts it back. Setting a field whose value
    /// is open, disputed by concurrent edits, is a change also when it sets what shows now.
    pub(crate) fn against(&self, now: &Product, is_open: impl Fn(&Field) -> bool) -> (Self, Self) {
        let (mut set, mut back) = (Self::default(), Self::default());
        let is_open = |field: Field| is_open(&field);
        if self.present == Some(false) {
            (set.present, back.present) = (Some(false), Some(true));
            return (set, back);
        }
        plain(&self.title, &now.title, is_open(Field::Title), (&mut set.title, &mut back.title));
        let places = (&mut set.description, &mut back.description);
        maybe(&self.description, now.description.as_ref(), is_open(Field::Description), places);
        maybe(&self.brand, now.brand.as_ref(), is_open(Field::Brand), (&mut set.brand, &mut back.brand));
        plain(&self.status, &now.status, is_open(Field::Status), (&mut set.status, &mut back.status));
        let categories = self.categories.as_ref().map(|names| {
            let sorted: BTreeSet<&Name> = names.iter().collect();
            sorted.into_iter().cloned().collect()
        });
        let places = (&mut set.categories, &mut back.categories);
        plain(&categories, &now.categories, is_open(Field::Categories), places);
        plain(&self.options, &now.options, is_open(Field::Options), (&mut set.options, &mut back.options));
        let open_attribute = |name: &Name| is_open(Field::Attribute(name.clone()));
        let places = (&mut set.attributes, &mut back.attributes);
        each(&self.attributes, &now.attributes, open_attribute, places);
        plain(&self.media, &now.media, is_open(Field::Media), (&mut set.media, &mut back.media));
        let open_language = |language: &Language| is_open(Field::Translation(language.clone()));
        let places = (&mut set.translations, &mut back.translations);
        each(&self.translations, &now.translations, open_language, places);
        plain(&self.rule, &now.rule, is_open(Field::Rule), (&mut set.rule, &mut back.rule));
        for variant in &self.variants {
            let is_open = |field| is_open(Field::Variant(variant.sku.clone(), field));
            if let Some((change, before)) = variant.against(now.variant(&variant.sku), &is_open) {
                set.variants.push(change);
                back.variants.push(before);
            }
        }
        (set, back)
    }

    /// The fields that it sets, with their values.
    pub fn values(&self) -> Vec<(Field, Value)> {
        let mut values = Vec::new();
        values.extend(self.present.map(|present| (Field::Present, Value::Flag(present))));
        values.extend(self.title.as_ref().map(|title| (Field::Title, Value::shown(title))));
        let description = self.description.as_ref();
        values.extend(description.map(|text| (Field::Description, Value::maybe(text.as_ref(), Value::shown))));
        values.extend(self.brand.as_ref().map(|name| (Field::Brand, Value::maybe(name.as_ref(), Value::shown))));
        values.extend(self.status.as_ref().map(|status| (Field::Status, Value::status(status))));
        values.extend(self.categories.as_ref().map(|names| (Field::Categories, Value::names(names))));
        values.extend(self.options.as_ref().map(|names| (Field::Options, Value::names(names))));
        values.extend(
            self.attributes
                .iter()
                .map(|(name, value)| (Field::Attribute(name.clone()), Value::maybe(value.as_ref(), Value::attribute))),
        );
        values.extend(self.media.as_ref().map(|media| (Field::Media, Value::media(media))));
        values.extend(self.translations.iter().map(|(language, text)| {
            (Field::Translation(language.clone()), Value::maybe(text.as_ref(), Value::translation))
        }));
        values.extend(self.rule.as_ref().map(|rule| (Field::Rule, Value::shown(rule))));
        for variant in &self.variants {
            let of = |(field, value)| (Field::Variant(variant.sku.clone(), field), value);
            values.extend(variant.values().into_iter().map(of));
        }
        values
    }

    /// Keeps the fields that are wanted, and forgets the others.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Field) -> bool) {
        self.present.take_if(|_| !keep(&Field::Present));
        self.title.take_if(|_| !keep(&Field::Title));
        self.description.take_if(|_| !keep(&Field::Description));
        self.brand.take_if(|_| !keep(&Field::Brand));
        self.status.take_if(|_| !keep(&Field::Status));
        self.categories.take_if(|_| !keep(&Field::Categories));
        self.options.take_if(|_| !keep(&Field::Options));
        self.attributes.retain(|name, _| keep(&Field::Attribute(name.clone())));
        self.media.take_if(|_| !keep(&Field::Media));
        self.translations.retain(|language, _| keep(&Field::Translation(language.clone())));
        self.rule.take_if(|_| !keep(&Field::Rule));
        for variant in &mut self.variants {
            let sku = variant.sku.clone();
            let keep = |field| keep(&Field::Variant(sku.clone(), field));
            variant.present.take_if(|_| !keep(VariantField::Present));
            variant.gtin.take_if(|_| !keep(VariantField::Gtin));
            variant.title.take_if(|_| !keep(VariantField::Title));
            variant.options.take_if(|_| !keep(VariantField::Options));
            variant.attributes.retain(|name, _| keep(VariantField::Attribute(name.clone())));
            variant.selling.take_if(|_| !keep(VariantField::Selling));
            variant.prices.retain(|key, _| keep(VariantField::Price(*key)));
        }
        self.variants.retain(|variant| *variant != VariantEdit::of(variant.sku.clone()));
    }
}

impl VariantEdit {
    /// An edit of a variant that sets nothing yet.
    pub fn of(sku: Sku) -> Self {
        Self {
            sku,
            present: None,
            gtin: None,
            title: None,
            options: None,
            attributes: BTreeMap::new(),
            selling: None,
            prices: BTreeMap::new(),
        }
    }

    fn against(&self, now: Option<&Variant>, is_open: &impl Fn(VariantField) -> bool) -> Option<(Self, Self)> {
        let (mut set, mut back) = (Self::of(self.sku.clone()), Self::of(self.sku.clone()));
        if self.present == Some(false) {
            set.present = Some(false);
            return Some((set, Self::adding(now?)));
        }
        let blank;
        let (now, is_new) = match now {
            Some(now) => (now, false),
            None => {
                blank = Variant::new(self.sku.clone());
                (&blank, true)
            }
        };
        let open = |field| !is_new && is_open(field);
        maybe(&self.gtin, now.gtin.as_ref(), open(VariantField::Gtin), (&mut set.gtin, &mut back.gtin));
        maybe(&self.title, now.title.as_ref(), open(VariantField::Title), (&mut set.title, &mut back.title));
        plain(&self.options, &now.options, open(VariantField::Options), (&mut set.options, &mut back.options));
        let open_attribute = |name: &Name| open(VariantField::Attribute(name.clone()));
        let places = (&mut set.attributes, &mut back.attributes);
        each(&self.attributes, &now.attributes, open_attribute, places);
        let selling = self.selling.map(|selling| SellingEdit::from(selling.over(now.selling)));
        let places = (&mut set.selling, &mut back.selling);
        plain(&selling, &now.selling.into(), open(VariantField::Selling), places);
        let open_price = |key: &PriceKey| open(VariantField::Price(*key));
        each(&self.prices, &now.prices, open_price, (&mut set.prices, &mut back.prices));
        if is_new {
            set.present = Some(true);
            return Some((set, Self { present: Some(false), ..Self::of(self.sku.clone()) }));
        }
        (set != Self::of(self.sku.clone())).then_some((set, back))
    }

    /// The edit that adds a variant as it is.
    fn adding(variant: &Variant) -> Self {
        fn present<K: Ord + Clone, V: Clone>(values: &BTreeMap<K, V>) -> BTreeMap<K, Option<V>> {
            values.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
        }
        Self {
            sku: variant.sku.clone(),
            present: Some(true),
            gtin: variant.gtin.clone().map(Some),
            title: variant.title.clone().map(Some),
            options: (!variant.options.is_empty()).then(|| variant.options.clone()),
            attributes: present(&variant.attributes),
            selling: Some(variant.selling.into()),
            prices: present(&variant.prices),
        }
    }

    fn values(&self) -> Vec<(VariantField, Value)> {
        let mut values = Vec::new();
        values.extend(self.present.map(|present| (VariantField::Present, Value::Flag(present))));
        values.extend(self.gtin.as_ref().map(|gtin| (VariantField::Gtin, Value::maybe(gtin.as_ref(), Value::shown))));
        let title = self.title.as_ref();
        values.extend(title.map(|title| (VariantField::Title, Value::maybe(title.as_ref(), Value::shown))));
        values.extend(self.options.as_ref().map(|options| (VariantField::Options, Value::choice(options))));
        values.extend(self.attributes.iter().map(|(name, value)| {
            (VariantField::Attribute(name.clone()), Value::maybe(value.as_ref(), Value::attribute))
        }));
        let selling = self.selling.map(|selling| selling.over(Selling::default()));
        values.extend(selling.map(|selling| (VariantField::Selling, Value::selling(&selling))));
        values.extend(self.prices.iter().map(|(key, terms)| {
            (VariantField::Price(*key), Value::maybe(terms.as_ref(), |terms| Value::price(*key, terms)))
        }));
        values
    }
}

impl Product {
    /// A product of which nothing is known but its title.
    pub(crate) fn blank(title: Title) -> Self {
        Self {
            title,
            description: None,
            brand: None,
            status: Status::default(),
            categories: Vec::new(),
            options: Vec::new(),
            attributes: BTreeMap::new(),
            media: Vec::new(),
            translations: BTreeMap::new(),
            rule: MergeRule::default(),
            variants: Vec::new(),
            conflicts: 0,
            revision: 0,
            created_at: SiteTime::default(),
            updated_at: SiteTime::default(),
        }
    }

    /// What a product becomes by an edit whose writer has seen all others: such an edit always wins. (Only of
    /// disputed fields that it does not set it does not say which value another rule shows.)
    /// `None` if there was none or if it is deleted.
    pub fn edited(now: Option<&Self>, edit: &ProductEdit, revision: u64, at: SiteTime) -> Option<Self> {
        if edit.present == Some(false) {
            return None;
        }
        let mut product = match (now, edit.present) {
            (Some(now), None) => now.clone(),
            _ => Self { created_at: at, ..Self::blank(edit.title.clone()?) },
        };
        product.revision = revision;
        product.updated_at = product.updated_at.max(at);
        take(&edit.title, &mut product.title);
        take(&edit.description, &mut product.description);
        take(&edit.brand, &mut product.brand);
        take(&edit.status, &mut product.status);
        take(&edit.categories, &mut product.categories);
        take(&edit.options, &mut product.options);
        take_each(&edit.attributes, &mut product.attributes);
        take(&edit.media, &mut product.media);
        take_each(&edit.translations, &mut product.translations);
        take(&edit.rule, &mut product.rule);
        for edit in &edit.variants {
            let place = product.variants.iter().position(|variant| variant.sku == edit.sku);
            if let (Some(place), Some(_)) = (place, edit.present) {
                product.variants.remove(place);
            }
            if edit.present == Some(false) {
                continue;
            }
            let variant = match (place, edit.present) {
                (Some(place), None) => &mut product.variants[place],
                _ => product.variants.push_mut(Variant::new(edit.sku.clone())),
            };
            take(&edit.gtin, &mut variant.gtin);
            take(&edit.title, &mut variant.title);
            take(&edit.options, &mut variant.options);
            take_each(&edit.attributes, &mut variant.attributes);
            variant.selling = edit.selling.map_or(variant.selling, |selling| selling.over(variant.selling));
            take_each(&edit.prices, &mut variant.prices);
        }
        Some(product)
    }
}

/// Sets what is wanted if it is not so or is disputed, and notes what was before.
fn plain<T: Clone + PartialEq>(wanted: &Option<T>, now: &T, open: bool, (set, back): (&mut Option<T>, &mut Option<T>)) {
    if let Some(wanted) = wanted
        && (wanted != now || open)
    {
        *set = Some(wanted.clone());
        *back = Some(now.clone());
    }
}

/// The same for what may be empty.
pub(super) fn maybe<T: Clone + PartialEq>(
    wanted: &Option<Option<T>>,
    now: Option<&T>,
    open: bool,
    (set, back): (&mut Option<Option<T>>, &mut Option<Option<T>>),
) {
    if let Some(wanted) = wanted
        && (wanted.as_ref() != now || open)
    {
        *set = Some(wanted.clone());
        *back = Some(now.cloned());
    }
}

/// What is set of several by name; `None` takes one away.
pub(super) type Named<K, V> = BTreeMap<K, Option<V>>;

/// The same for each of several by name.
pub(super) fn each<K: Ord + Clone, V: Clone + PartialEq>(
    wanted: &BTreeMap<K, Option<V>>,
    now: &BTreeMap<K, V>,
    is_open: impl Fn(&K) -> bool,
    (set, back): (&mut Named<K, V>, &mut Named<K, V>),
) {
    for (key, wanted) in wanted {
        let now = now.get(key);
        if wanted.as_ref() != now || is_open(key) {
            set.insert(key.clone(), wanted.clone());
            back.insert(key.clone(), now.cloned());
        }
    }
}

pub(super) fn take<T: Clone>(set: &Option<T>, now: &mut T) {
    if let Some(set) = set {
        now.clone_from(set);
    }
}

pub(super) fn take_each<K: Ord + Clone, V: Clone>(set: &BTreeMap<K, Option<V>>, now: &mut BTreeMap<K, V>) {
    for (key, value) in set {
        match value {
            Some(value) => drop(now.insert(key.clone(), value.clone())),
            None => drop(now.remove(key)),
        }
    }
}

/// The prices that a patch names, as prices: of a new variant.
pub fn prices(set: &BTreeMap<PriceKey, Option<PriceTerms>>) -> Prices {
    set.iter().filter_map(|(key, terms)| Some((*key, (*terms)?))).collect()
}
