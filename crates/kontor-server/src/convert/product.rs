//! Products, listings, revisions and conflicts.

use std::collections::BTreeMap;

use kontor_api::attribute::AttributeValue as WireValue;
use kontor_api::listing::{Listing as WireListing, ListingPrice};
use kontor_api::price::Price;
use kontor_api::product::{self as wire, Media as WireMedia, MediaKind as WireKind, Product as WireProduct};
use kontor_api::revision::{Candidate, Conflict as WireConflict, FieldChange, Revision as WireRevision, RevisionJob};
use kontor_core::id::{ProductId, SiteId};
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::field::{Conflict, Field, Value, VariantField};
use kontor_core::product::listing::Listing;
use kontor_core::product::price::{PriceKey, PriceTerms, Prices};
use kontor_core::product::revision::{self, Edited, Revision};
use kontor_core::product::text::{Description, MarketId, Media, MediaKind, Name, Translation};
use kontor_core::product::{MergeRule, Policy, Product, Status, Variant};
use kontor_core::time::SiteTime;

use super::time;
use crate::problem::Problem;

/// Who reads a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Holders of keys see all of it.
    Keys,
    /// Everybody sees what is for sale, and not how it is kept.
    Everybody,
}

impl Audience {
    /// Whether there is such a product for this reader.
    pub(crate) fn sees(self, product: &Product) -> bool {
        self == Self::Keys || product.status == Status::Active
    }
}

/// A product, as holders of keys see it.
pub(crate) fn product(id: &ProductId, product: &Product) -> Result<WireProduct, Problem> {
    let first = product.variants.first().map(|variant| variant.sku.to_string());
    Ok(WireProduct {
        id: id.to_string(),
        sku: first.unwrap_or_default(),
        title: product.title.to_string(),
        description: product.description.as_ref().map(Description::to_string),
        brand: product.brand.as_ref().map(Name::to_string),
        status: status(product.status),
        categories: names(&product.categories),
        options: names(&product.options),
        attributes: attributes(&product.attributes),
        media: product.media.iter().map(medium).collect(),
        translations: product.translations.iter().map(|(tag, texts)| (tag.to_string(), translation(texts))).collect(),
        merge: (product.rule != MergeRule::Latest).then(|| product.rule.to_string()),
        variants: product.variants.iter().map(variant).collect::<Result<_, _>>()?,
        market: None,
        markets: Vec::new(),
        conflicts: (product.conflicts > 0).then_some(product.conflicts),
        revision: product.revision,
        created_at: time(product.created_at)?,
        updated_at: time(product.updated_at)?,
    })
}

/// The same for a reader.
pub(crate) fn product_for(audience: Audience, id: &ProductId, of: &Product) -> Result<WireProduct, Problem> {
    let mut shown = product(id, of)?;
    if audience == Audience::Everybody {
        (shown.merge, shown.conflicts) = (None, None);
    }
    Ok(shown)
}

/// Whether everybody sees a product as holders of keys do.
pub(crate) fn is_for_all(product: &Product) -> bool {
    product.status == Status::Active && product.rule == MergeRule::Latest && product.conflicts == 0
}

/// Lays what a market says of its own over a product. Of its prices those in force there hold, else the
/// product's: both are shown.
pub(crate) fn lay_over(
    shown: &mut WireProduct,
    of: &Product,
    market: &MarketId,
    listing: Option<&Listing>,
) -> Result<(), Problem> {
    shown.market = Some(market.to_string());
    let Some(listing) = listing else { return Ok(()) };
    if let Some(title) = &listing.title {
        shown.title = title.to_string();
    }
    if let Some(description) = &listing.description {
        shown.description = Some(description.to_string());
    }
    shown.attributes.extend(attributes(&listing.attributes));
    shown.updated_at = shown.updated_at.max(time(listing.updated_at)?);
    for (shown, variant) in shown.variants.iter_mut().zip(&of.variants) {
        let Some(own) = listing.prices.get(&variant.sku) else { continue };
        let base = variant.prices.iter().map(|price| (price, None));
        let mut both: Vec<_> = base.chain(own.iter().map(|price| (price, Some(market)))).collect();
        both.sort_by_key(|((key, _), _)| **key);
        let one = |((key, terms), market): ((&PriceKey, &PriceTerms), Option<&MarketId>)| price(*key, *terms, market);
        shown.prices = both.into_iter().map(one).collect::<Result<_, _>>()?;
    }
    Ok(())
}

/// What a product says in a market.
pub(crate) fn listing(market: &MarketId, listing: &Listing) -> Result<WireListing, Problem> {
    let mut shown = Vec::new();
    for (sku, prices) in &listing.prices {
        for (key, terms) in prices {
            let Price { currency, amount, valid_from, valid_until, .. } = price(*key, *terms, None)?;
            shown.push(ListingPrice { sku: sku.to_string(), currency, amount, valid_from, valid_until });
        }
    }
    Ok(WireListing {
        market: market.to_string(),
        title: listing.title.as_ref().map(ToString::to_string),
        description: listing.description.as_ref().map(ToString::to_string),
        attributes: attributes(&listing.attributes),
        prices: shown,
        conflicts: (listing.conflicts > 0).then_some(listing.conflicts),
        revision: listing.revision,
        updated_at: time(listing.updated_at)?,
    })
}

/// One edit. Holders of keys see who did it.
pub(crate) fn revision(site: &SiteId, revision: &Revision) -> Result<WireRevision, Problem> {
    let (number, market, job) = match &revision.edited {
        Edited::Product(edited) => (edited.revision, None, edited.job),
        Edited::Listing(edited) => (edited.revision, Some(edited.market.to_string()), None),
    };
    Ok(WireRevision {
        revision: number,
        market,
        at: time(revision.at)?,
        site: site.to_string(),
        actor: revision.actor.to_string(),
        request_id: revision.request_id.to_string(),
        position: revision.position.to_string(),
        job: job.map(|job| RevisionJob { id: job.job.to_string(), line: job.line, undo: job.undo }),
        changes: changes(&revision.edited)?,
    })
}

/// The fields of an edit, before and after. Those of a listing stand below its market.
pub(crate) fn changes(of: &Edited) -> Result<Vec<FieldChange>, Problem> {
    let below = match of {
        Edited::Product(_) => String::new(),
        Edited::Listing(edited) => format!("/markets/{}", edited.market),
    };
    let one = |change: revision::FieldChange| {
        let field = format!("{below}{}", pointer(&change.field)?);
        Ok(FieldChange { field, before: value(&change.before)?, after: value(&change.after)? })
    };
    of.changes().into_iter().map(one).collect()
}

/// Values that were set without knowledge of each other.
pub(crate) fn conflict(market: Option<&MarketId>, conflict: &Conflict) -> Result<WireConflict, Problem> {
    let one = |candidate: &kontor_core::product::field::Candidate| {
        Ok::<_, Problem>(Candidate {
            site: candidate.site.to_string(),
            value: value(&candidate.value)?,
            // The upper 48 bits of a stamp are milliseconds.
            at: time(SiteTime(candidate.stamp.0 >> 16))?,
        })
    };
    let candidates: Vec<Candidate> = conflict.candidates.iter().map(one).collect::<Result<_, _>>()?;
    let winner = candidates.first().cloned();
    Ok(WireConflict {
        field: pointer(&conflict.field)?,
        market: market.map(ToString::to_string),
        rule: conflict.rule.to_string(),
        winner: winner.ok_or_else(|| Problem::internal("a conflict has no candidates"))?,
        candidates,
    })
}

/// The place of a field, as a JSON pointer. Moments are written as everywhere.
fn pointer(field: &Field) -> Result<String, Problem> {
    match field {
        Field::Variant(sku, VariantField::Price(PriceKey { currency, valid_from: Some(from) })) => {
            let base =
                Field::Variant(sku.clone(), VariantField::Price(PriceKey { currency: *currency, valid_from: None }));
            Ok(format!("{base}@{}", time(*from)?))
        }
        field => Ok(field.to_string()),
    }
}

fn value(value: &Value) -> Result<serde_json::Value, Problem> {
    Ok(match value {
        Value::Nothing => serde_json::Value::Null,
        Value::Text(text) => text.as_ref().into(),
        Value::Number(number) => (*number).into(),
        Value::Flag(flag) => (*flag).into(),
        Value::Moment(at) => time(*at)?.to_string().into(),
        Value::List(values) => values.iter().map(self::value).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Map(parts) => {
            let part = |(name, value): &(Box<str>, Value)| Ok((name.to_string(), self::value(value)?));
            serde_json::Value::Object(parts.iter().map(part).collect::<Result<_, Problem>>()?)
        }
    })
}

fn variant(variant: &Variant) -> Result<wire::Variant, Problem> {
    Ok(wire::Variant {
        sku: variant.sku.to_string(),
        gtin: variant.gtin.as_ref().map(ToString::to_string),
        title: variant.title.as_ref().map(ToString::to_string),
        options: variant.options.iter().map(|(option, value)| (option.to_string(), value.to_string())).collect(),
        attributes: attributes(&variant.attributes),
        policy: policy(variant.selling.policy),
        backorder_limit: variant.selling.backorder_limit,
        prices: prices(&variant.prices)?,
    })
}

fn prices(prices: &Prices) -> Result<Vec<Price>, Problem> {
    prices.iter().map(|(key, terms)| price(*key, *terms, None)).collect()
}

pub(crate) fn price(key: PriceKey, terms: PriceTerms, market: Option<&MarketId>) -> Result<Price, Problem> {
    Ok(Price {
        currency: key.currency.to_string(),
        amount: terms.money(key.currency).decimal(),
        valid_from: key.valid_from.map(time).transpose()?,
        valid_until: terms.valid_until.map(time).transpose()?,
        market: market.map(ToString::to_string),
    })
}

pub(crate) fn attributes(attributes: &BTreeMap<Name, AttributeValue>) -> BTreeMap<String, WireValue> {
    attributes.iter().map(|(name, value)| (name.to_string(), attribute(value))).collect()
}

fn attribute(value: &AttributeValue) -> WireValue {
    match value {
        AttributeValue::Text(text) => WireValue::Text(text.to_string()),
        AttributeValue::Integer(number) => WireValue::Number((*number).into()),
        AttributeValue::Decimal(number) => {
            let text = number.to_string();
            // At most 15 digits, which every double keeps.
            let float = text.parse().ok().and_then(serde_json::Number::from_f64);
            float.map_or(WireValue::Text(text), WireValue::Number)
        }
        AttributeValue::Flag(flag) => WireValue::Flag(*flag),
        AttributeValue::List(texts) => WireValue::List(texts.iter().map(ToString::to_string).collect()),
    }
}

fn medium(medium: &Media) -> WireMedia {
    WireMedia {
        url: medium.url.to_string(),
        alt: medium.alt.as_ref().map(ToString::to_string),
        kind: Some(match medium.kind {
            MediaKind::Image => WireKind::Image,
            MediaKind::Video => WireKind::Video,
            MediaKind::Document => WireKind::Document,
        }),
    }
}

fn translation(texts: &Translation) -> wire::Translation {
    wire::Translation {
        title: texts.title.as_ref().map(ToString::to_string),
        description: texts.description.as_ref().map(ToString::to_string),
    }
}

fn names(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

pub(crate) fn status(status: Status) -> wire::Status {
    match status {
        Status::Draft => wire::Status::Draft,
        Status::Active => wire::Status::Active,
        Status::Archived => wire::Status::Archived,
    }
}

pub(crate) fn policy(policy: Policy) -> wire::Policy {
    match policy {
        Policy::None => wire::Policy::None,
        Policy::TrackOnly => wire::Policy::TrackOnly,
        Policy::ReserveOnOrder => wire::Policy::ReserveOnOrder,
        Policy::ReserveOnCart => wire::Policy::ReserveOnCart,
        Policy::NoneUntilReceived => wire::Policy::NoneUntilReceived,
    }
}
