//! Edits of a product in words: `brand=Acme colour=red DESK.price=12.50EUR`.

use kontor_core::money::{Currency, Money};
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::gtin::Gtin;
use kontor_core::product::listing::ListingEdit;
use kontor_core::product::price::{PriceKey, PriceTerms};
use kontor_core::product::text::{
    AttributeText, Description, Language, MarketId, Media, MediaKind, Name, Translation, Url,
};
use kontor_core::product::{MergeRule, Status};
use kontor_core::text::Title;
use kontor_core::time::SiteTime;

use super::sku;

/// Reads an edit. A word is `field=value`; `field=` empties it. Fields of a variant begin with its SKU and
/// a point; attributes with `+`, translations with `@`.
///
/// ```text
/// title=Desk brand=Acme categories=a,b options=Size status=draft merge=authority:west media=https://…
/// +colour=red @de=Tisch DESK.gtin=96385074 DESK.Size=M DESK.price=12.50EUR DESK.price=9EUR@100-200 DESK=gone
/// ```
pub(crate) fn edit(words: &[&str]) -> ProductEdit {
    let mut edit = ProductEdit::default();
    for (field, value) in pairs(words) {
        let some = || (!value.is_empty()).then_some(value);
        match field {
            "title" => edit.title = Some(title(value)),
            "description" => {
                edit.description = Some(some().map(|text| Description::parse(text).expect("a description")))
            }
            "brand" => edit.brand = Some(some().map(name)),
            "status" => edit.status = Some(status(value)),
            "categories" => edit.categories = Some(names(value)),
            "options" => edit.options = Some(names(value)),
            "merge" => edit.rule = Some(MergeRule::parse(value).expect("a rule")),
            "media" => {
                let medium =
                    |url| Media { url: Url::parse(url).expect("an address"), alt: None, kind: MediaKind::Image };
                edit.media = Some(value.split(',').filter(|url| !url.is_empty()).map(medium).collect());
            }
            field if field.starts_with('+') => drop(edit.attributes.insert(name(&field[1..]), some().map(attribute))),
            field if field.starts_with('@') => {
                let text = some().map(|text| Translation { title: Some(title(text)), description: None });
                edit.translations.insert(Language::parse(&field[1..]).expect("a language"), text);
            }
            field => variant(&mut edit, field, value),
        }
    }
    edit
}

fn variant(edit: &mut ProductEdit, field: &str, value: &str) {
    let (of, field) = field.split_once('.').unwrap_or((field, ""));
    let place = edit.variants.iter().position(|variant| variant.sku.as_str() == of);
    let place = place.unwrap_or_else(|| {
        edit.variants.push(VariantEdit::of(sku(of)));
        edit.variants.len() - 1
    });
    let variant = &mut edit.variants[place];
    let some = || (!value.is_empty()).then_some(value);
    match field {
        "" if value == "gone" => variant.present = Some(false),
        "" => {}
        "title" => variant.title = Some(some().map(title)),
        "gtin" => variant.gtin = Some(some().map(|digits| Gtin::parse(digits).expect("a gtin"))),
        "price" => {
            let (key, terms) = price(value);
            variant.prices.insert(key, terms);
        }
        field if field.starts_with('+') => drop(variant.attributes.insert(name(&field[1..]), some().map(attribute))),
        option => drop(variant.options.get_or_insert_default().insert(name(option), name(value))),
    }
}

/// Reads `MARKET field=value …`.
pub(crate) fn listing(words: &[&str]) -> (MarketId, ListingEdit) {
    let mut edit = ListingEdit::default();
    for (field, value) in pairs(&words[1..]) {
        let some = || (!value.is_empty()).then_some(value);
        match field.split_once('.') {
            None if field == "title" => edit.title = Some(some().map(title)),
            None => drop(edit.attributes.insert(name(&field[1..]), some().map(attribute))),
            Some((of, _)) => {
                let (key, terms) = price(value);
                edit.prices.entry(sku(of)).or_default().insert(key, terms);
            }
        }
    }
    (MarketId::parse(words[0]).expect("a market"), edit)
}

fn pairs<'w>(words: &'w [&'w str]) -> impl Iterator<Item = (&'w str, &'w str)> {
    words.iter().filter_map(|word| word.split_once('='))
}

/// `12.50EUR`, `9EUR@100-200` from one moment to another, `-EUR` for none.
pub(crate) fn price(word: &str) -> (PriceKey, Option<PriceTerms>) {
    let (amount, span) = word.split_once('@').unwrap_or((word, ""));
    let (amount, currency) = amount.split_at(amount.len() - 3);
    let currency = Currency::parse(currency).expect("a currency");
    let moment = |text: &str| text.parse().ok().map(SiteTime);
    let (from, until) = span.split_once('-').unwrap_or((span, ""));
    let key = PriceKey { currency, valid_from: moment(from) };
    let money = Money::parse(amount, currency).ok();
    (key, money.map(|money| PriceTerms { amount: money.amount, valid_until: moment(until) }))
}

pub(crate) fn status(word: &str) -> Status {
    match word {
        "draft" => Status::Draft,
        "active" => Status::Active,
        "archived" => Status::Archived,
        other => panic!("no such status: {other}"),
    }
}

fn attribute(value: &str) -> AttributeValue {
    match value {
        "yes" => AttributeValue::Flag(true),
        "no" => AttributeValue::Flag(false),
        value => AttributeValue::number(value)
            .unwrap_or_else(|_| AttributeValue::Text(AttributeText::parse(value).expect("a text"))),
    }
}

fn names(list: &str) -> Vec<Name> {
    list.split(',').filter(|text| !text.is_empty()).map(name).collect()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn title(text: &str) -> Title {
    Title::parse(text.replace('_', " ")).expect("a title")
}
