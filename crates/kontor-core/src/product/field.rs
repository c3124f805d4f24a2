//! The names and values of fields, for people: what conflicts and revisions are told in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attribute::AttributeValue;
use super::price::{PriceKey, PriceTerms};
use super::text::{Language, Media, Name, Translation};
use super::{MergeRule, Presence, Selling, Status};
use crate::id::{SiteId, Sku};
use crate::time::{SiteTime, Stamp};

/// What an edit sets as one: the smallest thing that two edits can differ on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Field {
    /// Whether there is such a product.
    Present,
    /// Its title.
    Title,
    /// Its description.
    Description,
    /// Its brand.
    Brand,
    /// Its status.
    Status,
    /// The set of its categories.
    Categories,
    /// The list of its options.
    Options,
    /// One of its attributes.
    Attribute(Name),
    /// The list of its media.
    Media,
    /// Its texts in one language.
    Translation(Language),
    /// How its conflicts are decided.
    Rule,
    /// Something of a variant.
    Variant(Sku, VariantField),
}

/// What an edit sets of a variant as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VariantField {
    /// Whether there is such a variant.
    Present,
    /// Its GTIN.
    Gtin,
    /// Its title.
    Title,
    /// Its choice of options.
    Options,
    /// One of its attributes.
    Attribute(Name),
    /// Its policy and backorder limit.
    Selling,
    /// One of its prices.
    Price(PriceKey),
}

/// The value of any field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// None was set, or it was taken away.
    Nothing,
    /// Words, and decimal numbers.
    Text(Box<str>),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A moment.
    Moment(SiteTime),
    /// Several, in order.
    List(Vec<Value>),
    /// Several, by name.
    Map(Vec<(Box<str>, Value)>),
}

/// Values of one field that were set without knowledge of each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Of which field.
    pub field: Field,
    /// Who set what and when; the one that shows first.
    pub candidates: Vec<Candidate>,
    /// By which rule the first of them shows.
    pub rule: MergeRule,
}

/// One of several values of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who set it.
    pub site: SiteId,
    /// When.
    pub stamp: Stamp,
    /// To what.
    pub value: Value,
}

/// A JSON pointer into the product as it is read: `/attributes/Color`. Prices are named by currency and
/// beginning: `/variants/DESK/prices/EUR@1735689600000`.
impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Present => f.write_str("/present"),
            Self::Title => f.write_str("/title"),
            Self::Description => f.write_str("/description"),
            Self::Brand => f.write_str("/brand"),
            Self::Status => f.write_str("/status"),
            Self::Categories => f.write_str("/categories"),
            Self::Options => f.write_str("/options"),
            Self::Attribute(name) => write!(f, "/attributes/{}", escaped(name.as_str())),
            Self::Media => f.write_str("/media"),
            Self::Translation(language) => write!(f, "/translations/{language}"),
            Self::Rule => f.write_str("/merge"),
            Self::Variant(sku, field) => {
                write!(f, "/variants/{}", escaped(sku.as_str()))?;
                match field {
                    VariantField::Present => f.write_str("/present"),
                    VariantField::Gtin => f.write_str("/gtin"),
                    VariantField::Title => f.write_str("/title"),
                    VariantField::Options => f.write_str("/options"),
                    VariantField::Attribute(name) => write!(f, "/attributes/{}", escaped(name.as_str())),
                    VariantField::Selling => f.write_str("/selling"),
                    VariantField::Price(PriceKey { currency, valid_from: None }) => write!(f, "/prices/{currency}"),
                    VariantField::Price(PriceKey { currency, valid_from: Some(from) }) => {
                        write!(f, "/prices/{currency}@{}", from.0)
                    }
                }
            }
        }
    }
}

/// As a part of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Value {
    /// Words.
    pub fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Something that may not be there.
    pub fn maybe<T>(value: Option<&T>, show: impl FnOnce(&T) -> Self) -> Self {
        value.map_or(Self::Nothing, show)
    }

    pub(crate) fn shown(value: &impl ToString) -> Self {
        Self::text(value.to_string())
    }

    pub(crate) fn status(status: &Status) -> Self {
        Self::text(status.word())
    }

    pub(crate) fn names(names: &[Name]) -> Self {
        Self::List(names.iter().map(Self::shown).collect())
    }

    pub(crate) fn attribute(value: &AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::shown(text),
            AttributeValue::Integer(number) => Self::Number(*number),
            AttributeValue::Decimal(number) => Self::shown(number),
            AttributeValue::Flag(flag) => Self::Flag(*flag),
            AttributeValue::List(texts) => Self::List(texts.iter().map(Self::shown).collect()),
        }
    }

    pub(crate) fn media(media: &[Media]) -> Self {
        let one = |medium: &Media| {
            Self::map([
                ("url", Self::shown(&medium.url)),
                ("alt", Self::maybe(medium.alt.as_ref(), Self::shown)),
                ("kind", Self::text(medium.kind.word())),
            ])
        };
        Self::List(media.iter().map(one).collect())
    }

    pub(crate) fn translation(translation: &Translation) -> Self {
        Self::map([
            ("title", Self::maybe(translation.title.as_ref(), Self::shown)),
            ("description", Self::maybe(translation.description.as_ref(), Self::shown)),
        ])
    }

    pub(crate) fn choice(options: &BTreeMap<Name, Name>) -> Self {
        Self::Map(options.iter().map(|(name, value)| (name.as_str().into(), Self::shown(value))).collect())
    }

    pub(crate) fn selling(selling: &Selling) -> Self {
        let limit = i64::try_from(selling.backorder_limit).unwrap_or(i64::MAX);
        Self::map([("policy", Self::text(selling.policy.word())), ("backorder_limit", Self::Number(limit))])
    }

    pub(crate) fn presence(presence: &Presence) -> Self {
        Self::Flag(*presence != Presence::Gone)
    }

    pub(crate) fn price(key: PriceKey, terms: &PriceTerms) -> Self {
        Self::map([
            ("amount", Self::text(terms.money(key.currency).decimal())),
            ("valid_until", Self::maybe(terms.valid_until.as_ref(), |until| Self::Moment(*until))),
        ])
    }

    fn map<const N: usize>(parts: [(&str, Self); N]) -> Self {
        let parts = parts.into_iter().filter(|(_, value)| *value != Self::Nothing);
        Self::Map(parts.map(|(name, value)| (name.into(), value)).collect())
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, parts: Vec<String>| f.write_str(&parts.join(", "));
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Moment(at) => at.0.fmt(f),
            Self::List(values) => list(f, values.iter().map(ToString::to_string).collect()),
            Self::Map(parts) => list(f, parts.iter().map(|(name, value)| format!("{name} {value}")).collect()),
        }
    }
}
