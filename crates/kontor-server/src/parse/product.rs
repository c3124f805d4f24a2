//! Edits of products and listings.

use std::collections::{BTreeMap, BTreeSet};

use kontor_api::Time;
use kontor_api::attribute::AttributeValue as WireValue;
use kontor_api::listing::{ChangeListing, SetListingPrice};
use kontor_api::price::SetPrice;
use kontor_api::product::{self as wire, MediaKind as WireKind};
use kontor_api::product_edit::{
    ChangeProduct, ChangeVariant, CreateProduct, PutChoice, PutListing, PutParts, PutProduct, PutVariant,
};
use kontor_core::command::{Command, Must};
use kontor_core::id::{ProductId, Sku};
use kontor_core::money::{Currency, Money};
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::{ProductEdit, SellingEdit, VariantEdit};
use kontor_core::product::gtin::Gtin;
use kontor_core::product::listing::ListingEdit;
use kontor_core::product::parts::{Choice, Parts};
use kontor_core::product::price::{PriceKey, PriceTerms, price};
use kontor_core::product::text::Url;
use kontor_core::product::text::{AttributeText, Description, Language, MarketId, Media, MediaKind, Name, Translation};
use kontor_core::product::{MergeRule, Status};
use kontor_core::text::Title;
use kontor_core::time::SiteTime;

use super::{at, policy, units};
use crate::problem::Problem;

/// A product to make or change, with what it says in markets.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) id: Option<ProductId>,
    pub(crate) edit: ProductEdit,
    pub(crate) parts: Parts,
    pub(crate) listings: BTreeMap<MarketId, ListingEdit>,
}

/// A new product: its id, and all that is said of it.
pub(crate) fn create(body: CreateProduct) -> Result<(ProductId, ProductEdit), Problem> {
    let CreateProduct { id, sku, title, policy, backorder_limit, variants, .. } = body;
    let fields = Fields {
        description: body.description,
        brand: body.brand,
        status: body.status,
        categories: body.categories,
        options: body.options,
        attributes: body.attributes,
        media: body.media,
        translations: body.translations,
        merge: body.merge,
    };
    let mut edit = fields.edit(Some(title))?;
    match (sku, variants) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("/sku", "give one sku or the variants, not both"));
        }
        (Some(sku), None) => {
            let sku = at("/sku", Sku::parse(sku))?;
            let selling = selling("", policy, backorder_limit)?;
            edit.variants = vec![VariantEdit { selling, ..VariantEdit::of(sku) }];
        }
        (None, variants) => {
            for (field, given) in [("/policy", policy.is_some()), ("/backorder_limit", backorder_limit.is_some())] {
                if given {
                    return Err(Problem::invalid(field, "with variants, each of them has its own"));
                }
            }
            edit.variants = self::variants(variants)?;
        }
    }
    let first = edit.variants.first().map(|variant| variant.sku.clone());
    let Some(first) = first else {
        return Err(Problem::invalid("/sku", "a product has a sku, or variants with one each"));
    };
    let id = super::optional("/id", id, ProductId::parse)?;
    Ok((id.unwrap_or_else(|| first.into()), edit))
}

/// The command that makes a product, for data that comes from elsewhere than a request; or what is wrong
/// with it, in a sentence.
pub fn creation(body: CreateProduct) -> Result<Command, String> {
    let (id, edit) = create(body).map_err(|problem| problem.said().to_owned())?;
    Ok(Command::EditProduct { id, edit: Box::new(edit), expected: None, must: Must::Create, variants: Must::Create })
}

/// A change of a product's own fields.
pub(crate) fn change(body: ChangeProduct) -> Result<ProductEdit, Problem> {
    let fields = Fields {
        description: body.description,
        brand: body.brand,
        status: body.status,
        categories: body.categories,
        options: body.options,
        attributes: body.attributes,
        media: body.media,
        translations: body.translations,
        merge: body.merge,
    };
    fields.edit(body.title)
}

/// A line of a bulk request.
pub(crate) fn put(body: PutProduct) -> Result<Put, Problem> {
    let fields = Fields {
        description: body.description,
        brand: body.brand,
        status: body.status,
        categories: body.categories,
        options: body.options,
        attributes: body.attributes,
        media: body.media,
        translations: body.translations,
        merge: body.merge,
    };
    let id = super::optional("/id", body.id, ProductId::parse)?;
    let mut edit = fields.edit(body.title)?;
    edit.variants = variants(body.variants)?;
    if id.is_none() && edit.variants.is_empty() {
        return Err(Problem::invalid("", "a product is named by its id or by the sku of its first variant"));
    }
    let mut listings = BTreeMap::new();
    for (index, listing) in body.markets.into_iter().flatten().enumerate() {
        let place = format!("/markets/{index}");
        let PutListing { market, title, description, attributes, prices } = listing;
        let market = at(&format!("{place}/market"), MarketId::parse(market))?;
        let edit = self::listing(&place, ChangeListing { title, description, attributes, prices })?;
        if listings.insert(market, edit).is_some() {
            return Err(Problem::invalid(format!("{place}/market"), "this market is named twice"));
        }
    }
    let parts = body.parts.map(parts).transpose()?.unwrap_or_default();
    Ok(Put { id, edit, parts, listings })
}

/// What is set of parts of fields.
fn parts(body: PutParts) -> Result<Parts, Problem> {
    let PutParts { translations, options, images } = body;
    let mut parts = Parts::default();
    for (tag, texts) in translations {
        let place = below("/parts/translations", &tag);
        let language = at(&place, Language::parse(&tag))?;
        if let Some(texts) = translation(&place, Some(texts))?
            && parts.translations.insert(language, texts).is_some()
        {
            return Err(Problem::invalid(place, "this language is named twice"));
        }
    }
    for (index, PutChoice { sku, option, value }) in options.into_iter().enumerate() {
        let place = format!("/parts/options/{index}");
        parts.choices.push(Choice {
            sku: at(&format!("{place}/sku"), Sku::parse(sku))?,
            option: at(&format!("{place}/option"), Name::parse(option))?,
            value: at(&format!("{place}/value"), Name::parse(value))?,
        });
    }
    let image = |(index, url): (usize, String)| at(&format!("/parts/images/{index}"), Url::parse(url));
    parts.images = images.into_iter().enumerate().map(image).collect::<Result<_, _>>()?;
    Ok(parts)
}

/// What is set of a listing; `place` says where it stands.
pub(crate) fn listing(place: &str, body: ChangeListing) -> Result<ListingEdit, Problem> {
    let ChangeListing { title, description, attributes, prices } = body;
    let mut edit = ListingEdit {
        title: emptied(&format!("{place}/title"), title, Title::parse)?,
        description: emptied(&format!("{place}/description"), description, Description::parse)?,
        attributes: self::attributes(place, attributes)?,
        prices: BTreeMap::new(),
    };
    for (index, given) in prices.into_iter().flatten().enumerate() {
        let place = format!("{place}/prices/{index}");
        let SetListingPrice { sku, currency, amount, valid_from, valid_until } = given;
        let sku = at(&format!("{place}/sku"), Sku::parse(sku))?;
        let (key, terms) = price_of(&place, SetPrice { currency, amount, valid_from, valid_until })?;
        if edit.prices.entry(sku).or_default().insert(key, terms).is_some() {
            return Err(Problem::invalid(place, TWICE));
        }
    }
    Ok(edit)
}

/// A change of a variant.
pub(crate) fn change_variant(sku: Sku, body: ChangeVariant) -> Result<VariantEdit, Problem> {
    let ChangeVariant { gtin, title, options, attributes, policy, backorder_limit, prices } = body;
    variant_edit("", sku, ChangeVariant { gtin, title, options, attributes, policy, backorder_limit, prices })
}

/// A new variant, or one that may be there; `place` says where it stands.
pub(crate) fn variant(place: &str, body: PutVariant) -> Result<VariantEdit, Problem> {
    let PutVariant { sku, gtin, title, options, attributes, policy, backorder_limit, prices } = body;
    let sku = at(&format!("{place}/sku"), Sku::parse(sku))?;
    variant_edit(place, sku, ChangeVariant { gtin, title, options, attributes, policy, backorder_limit, prices })
}

fn variants(given: Option<Vec<PutVariant>>) -> Result<Vec<VariantEdit>, Problem> {
    let mut named = BTreeSet::new();
    let given = given.into_iter().flatten().enumerate();
    given
        .map(|(index, given)| {
            let place = format!("/variants/{index}");
            let edit = variant(&place, given)?;
            if !named.insert(edit.sku.clone()) {
                return Err(Problem::invalid(format!("{place}/sku"), "this sku is named twice"));
            }
            Ok(edit)
        })
        .collect()
}

fn variant_edit(place: &str, sku: Sku, body: ChangeVariant) -> Result<VariantEdit, Problem> {
    let ChangeVariant { gtin, title, options, attributes, policy, backorder_limit, prices } = body;
    let options = options.map(|options| {
        let one = |(option, value): (String, String)| {
            let place = below(&format!("{place}/options"), &option);
            Ok((at(&place, Name::parse(option))?, at(&place, Name::parse(value))?))
        };
        options.into_iter().map(one).collect::<Result<BTreeMap<Name, Name>, Problem>>()
    });
    let mut set = BTreeMap::new();
    for (index, given) in prices.into_iter().flatten().enumerate() {
        let place = format!("{place}/prices/{index}");
        let (key, terms) = price_of(&place, given)?;
        if set.insert(key, terms).is_some() {
            return Err(Problem::invalid(place, TWICE));
        }
    }
    Ok(VariantEdit {
        gtin: emptied(&format!("{place}/gtin"), gtin, Gtin::parse)?,
        title: emptied(&format!("{place}/title"), title, Title::parse)?,
        options: options.transpose()?,
        attributes: self::attributes(place, attributes)?,
        selling: selling(place, policy, backorder_limit)?,
        prices: set,
        ..VariantEdit::of(sku)
    })
}

const TWICE: &str = "a price of this currency and this beginning is given twice";

/// The fields that creating, changing and putting a product have in common.
struct Fields {
    description: Option<Option<String>>,
    brand: Option<Option<String>>,
    status: Option<wire::Status>,
    categories: Option<Vec<String>>,
    options: Option<Vec<String>>,
    attributes: Option<BTreeMap<String, Option<WireValue>>>,
    media: Option<Vec<wire::Media>>,
    translations: Option<BTreeMap<String, Option<wire::Translation>>>,
    merge: Option<Option<String>>,
}

impl Fields {
    fn edit(self, title: Option<String>) -> Result<ProductEdit, Problem> {
        let Self { description, brand, status, categories, options, attributes, media, translations, merge } = self;
        let media = media.map(|media| media.into_iter().enumerate().map(medium).collect::<Result<Vec<_>, _>>());
        let merge = merge.map(|rule| match rule {
            None => Ok(MergeRule::Latest),
            Some(rule) => at("/merge", MergeRule::parse(&rule)),
        });
        let mut spoken = BTreeMap::new();
        for (tag, texts) in translations.into_iter().flatten() {
            let place = below("/translations", &tag);
            let language = at(&place, Language::parse(&tag))?;
            if spoken.insert(language, translation(&place, texts)?).is_some() {
                return Err(Problem::invalid(place, "this language is named twice"));
            }
        }
        Ok(ProductEdit {
            title: title.map(|title| at("/title", Title::parse(title))).transpose()?,
            description: emptied("/description", description, Description::parse)?,
            brand: emptied("/brand", brand, Name::parse)?,
            status: status.map(self::status),
            categories: categories.map(|given| names("/categories", given)).transpose()?,
            options: options.map(|given| names("/options", given)).transpose()?,
            attributes: self::attributes("", attributes)?,
            media: media.transpose()?,
            translations: spoken,
            rule: merge.transpose()?,
            ..ProductEdit::default()
        })
    }
}

/// Whether a product can be sold.
pub(crate) fn status(status: wire::Status) -> Status {
    match status {
        wire::Status::Draft => Status::Draft,
        wire::Status::Active => Status::Active,
        wire::Status::Archived => Status::Archived,
    }
}

/// What is set of a field that can be emptied.
fn emptied<T, E: std::fmt::Display>(
    place: &str,
    given: Option<Option<String>>,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<Option<Option<T>>, Problem> {
    given.map(|text| text.map(|text| at(place, parse(text))).transpose()).transpose()
}

fn names(place: &str, given: Vec<String>) -> Result<Vec<Name>, Problem> {
    given.into_iter().enumerate().map(|(index, name)| at(&format!("{place}/{index}"), Name::parse(name))).collect()
}

fn attributes(
    place: &str,
    given: Option<BTreeMap<String, Option<WireValue>>>,
) -> Result<BTreeMap<Name, Option<AttributeValue>>, Problem> {
    let one = |(name, value): (String, Option<WireValue>)| {
        let place = below(&format!("{place}/attributes"), &name);
        let value = value.map(|value| attribute(&place, value)).transpose()?;
        Ok((at(&place, Name::parse(name))?, value))
    };
    given.into_iter().flatten().map(one).collect()
}

/// The value of an attribute.
pub(crate) fn attribute(place: &str, value: WireValue) -> Result<AttributeValue, Problem> {
    match value {
        WireValue::Flag(flag) => Ok(AttributeValue::Flag(flag)),
        WireValue::Text(text) => at(place, AttributeText::parse(text)).map(AttributeValue::Text),
        WireValue::Number(number) => at(place, AttributeValue::number(&written_out(&number))),
        WireValue::List(texts) => {
            let one = |(index, text): (usize, String)| at(&format!("{place}/{index}"), AttributeText::parse(text));
            let texts = texts.into_iter().enumerate().map(one).collect::<Result<_, _>>()?;
            at(place, AttributeValue::list(texts))
        }
    }
}

/// A number without an exponent; one that was written with a point keeps it.
fn written_out(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let text = float.to_string();
            if text.contains('.') { text } else { text + ".0" }
        }
        _ => number.to_string(),
    }
}

fn medium((index, given): (usize, wire::Media)) -> Result<Media, Problem> {
    let wire::Media { url, alt, kind } = given;
    let place = format!("/media/{index}");
    Ok(Media {
        url: at(&format!("{place}/url"), Url::parse(url))?,
        alt: super::optional(&format!("{place}/alt"), alt, Title::parse)?,
        kind: match kind.unwrap_or_default() {
            WireKind::Image => MediaKind::Image,
            WireKind::Video => MediaKind::Video,
            WireKind::Document => MediaKind::Document,
        },
    })
}

/// A translation; one that says nothing is none.
fn translation(place: &str, given: Option<wire::Translation>) -> Result<Option<Translation>, Problem> {
    let Some(wire::Translation { title, description }) = given else { return Ok(None) };
    let translation = Translation {
        title: super::optional(&format!("{place}/title"), title, Title::parse)?,
        description: super::optional(&format!("{place}/description"), description, Description::parse)?,
    };
    Ok((translation != Translation::default()).then_some(translation))
}

fn selling(
    place: &str,
    policy: Option<wire::Policy>,
    backorder_limit: Option<u64>,
) -> Result<Option<SellingEdit>, Problem> {
    let limit = backorder_limit.map(|limit| units(&format!("{place}/backorder_limit"), limit)).transpose()?;
    let edit = SellingEdit { policy: policy.map(self::policy), backorder_limit: limit };
    Ok((edit != SellingEdit::default()).then_some(edit))
}

/// A price that is set, or taken away.
fn price_of(place: &str, given: SetPrice) -> Result<(PriceKey, Option<PriceTerms>), Problem> {
    let SetPrice { currency, amount, valid_from, valid_until } = given;
    let currency = at(&format!("{place}/currency"), Currency::parse(&currency))?;
    let from = moment(&format!("{place}/valid_from"), valid_from)?;
    let until = moment(&format!("{place}/valid_until"), valid_until)?;
    match amount {
        None => Ok((PriceKey { currency, valid_from: from }, None)),
        Some(amount) => {
            let amount = at(&format!("{place}/amount"), Money::parse(&amount, currency))?;
            let (key, terms) = at(place, price(amount, from, until))?;
            Ok((key, Some(terms)))
        }
    }
}

/// Minor units of a currency, as a filter names them.
pub(crate) fn amount(place: &str, text: &str, currency: Currency) -> Result<u64, Problem> {
    let amount = at(place, Money::parse(text, currency))?.amount;
    u64::try_from(amount).map_err(|_| Problem::invalid(place, "a price is not below zero"))
}

fn moment(place: &str, given: Option<Time>) -> Result<Option<SiteTime>, Problem> {
    let Some(given) = given else { return Ok(None) };
    given.ms().map(|ms| Some(SiteTime(ms))).ok_or_else(|| Problem::invalid(place, "before 1970"))
}

/// The place of a named value, as a JSON pointer.
fn below(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_wrong_value_is_named_by_its_place() {
        let variant = |fields: serde_json::Value| {
            let mut variant = json!({"sku": "A"});
            variant.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({"variants": [{"sku": "B"}, variant]})
        };
        let table = [
            (json!({"title": " x", "variants": []}), "/title"),
            (json!({"id": "p", "brand": ""}), "/brand"),
            (json!({"id": "p", "categories": ["a", "b\n"]}), "/categories/1"),
            (json!({"id": "p", "attributes": {"a/b": ""}}), "/attributes/a~1b"),
            (json!({"id": "p", "attributes": {"size": ["S", ""]}}), "/attributes/size/1"),
            (json!({"id": "p", "attributes": {"weight": 1e300}}), "/attributes/weight"),
            (json!({"id": "p", "media": [{"url": "ftp://example.com"}]}), "/media/0/url"),
            (json!({"id": "p", "translations": {"d": {"title": "x"}}}), "/translations/d"),
            (json!({"id": "p", "translations": {"de": {"title": ""}}}), "/translations/de/title"),
            (json!({"id": "p", "merge": "authority"}), "/merge"),
            (json!({"title": "x"}), ""),
            (variant(json!({"sku": "B"})), "/variants/1/sku"),
            (variant(json!({"gtin": "4006381333932"})), "/variants/1/gtin"),
            (variant(json!({"backorder_limit": 2_000_000_000})), "/variants/1/backorder_limit"),
            (variant(json!({"options": {"Size": ""}})), "/variants/1/options/Size"),
            (variant(json!({"prices": [{"currency": "eur", "amount": "1"}]})), "/variants/1/prices/0/currency"),
            (variant(json!({"prices": [{"currency": "EUR", "amount": "1.005"}]})), "/variants/1/prices/0/amount"),
            (variant(json!({"prices": [{"currency": "EUR", "amount": "-1"}]})), "/variants/1/prices/0"),
            (
                variant(json!({"prices": [{"currency": "EUR", "amount": "1"}, {"currency": "EUR", "amount": null}]})),
                "/variants/1/prices/1",
            ),
            (json!({"id": "p", "markets": [{"market": "a b"}]}), "/markets/0/market"),
            (
                json!({"id": "p", "markets": [{"market": "gb", "prices": [{"sku": "A", "currency": "GBP", "amount": "x"}]}]}),
                "/markets/0/prices/0/amount",
            ),
        ];
        for (json, pointer) in table {
            let problem = put(read(json.clone())).err().unwrap_or_else(|| panic!("{json} was taken"));
            assert_eq!(problem.pointers(), [pointer], "{json}");
        }
    }

    #[test]
    fn what_is_left_out_stays_and_null_empties() {
        let edit = put(read(json!({"id": "p"}))).unwrap().edit;
        assert!(edit.is_empty());
        let edit = put(read(json!({
            "id": "p", "brand": null, "merge": null, "attributes": {"a": null, "b": 2.50, "c": 3.0, "d": 7},
            "translations": {"DE": null, "fr": {}},
        })));
        let edit = edit.unwrap().edit;
        assert_eq!((edit.brand, edit.rule, edit.title), (Some(None), Some(MergeRule::Latest), None));
        let shown: Vec<_> = edit.attributes.values().map(|v| v.as_ref().map(|v| v.words().concat())).collect();
        assert_eq!(shown, [None, Some("2.5".to_owned()), Some("3".to_owned()), Some("7".to_owned())]);
        let spoken: Vec<_> = edit.translations.iter().map(|(tag, texts)| (tag.as_str(), texts.is_some())).collect();
        assert_eq!(spoken, [("de", false), ("fr", false)]);
    }

    #[test]
    fn a_product_is_created_with_one_sku_or_with_variants() {
        let (id, edit) = create(read(json!({"sku": "A", "title": "x", "backorder_limit": 2}))).unwrap();
        assert_eq!((id.as_str(), edit.variants.len()), ("A", 1));
        let (id, _) = create(read(json!({"variants": [{"sku": "B"}, {"sku": "C"}], "title": "x"}))).unwrap();
        assert_eq!(id.as_str(), "B");
        for (bad, pointer) in [
            (json!({"title": "x"}), "/sku"),
            (json!({"title": "x", "variants": []}), "/sku"),
            (json!({"title": "x", "sku": "A", "variants": [{"sku": "B"}]}), "/sku"),
            (json!({"title": "x", "policy": "none", "variants": [{"sku": "B"}]}), "/policy"),
        ] {
            assert_eq!(create(read(bad)).err().unwrap().pointers(), [pointer]);
        }
    }
}
