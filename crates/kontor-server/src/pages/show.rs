//! How values are written for people.

use kontor_api::Time;
use kontor_api::attribute::AttributeValue;
use kontor_api::cart::AmountKind;
use kontor_api::price::Money;
use kontor_api::product::{Policy, Status};
use kontor_core::id::{ProductId, Sku};
use kontor_core::money::Currency;
use kontor_core::order::{OrderPayment, OrderStatus};
use kontor_core::product::Variant;
use kontor_core::product::listing::Listing;
use kontor_core::product::price::offered;
use kontor_core::time::SiteTime;
use maud::{Markup, html};
use serde_json::Value;
use std::collections::BTreeSet;

/// The page of a product.
pub(super) fn product_path(id: &ProductId) -> String {
    kontor_api::path::with(super::PRODUCT, &[id.as_str()])
}

/// The page of an order, by its id or number.
pub(super) fn order_path(name: &str) -> String {
    kontor_api::path::with(super::ORDER, &[name])
}

/// A path with those parameters that have a value.
pub(super) fn with_params(path: &str, params: &[(&str, &str)]) -> String {
    let mut link = path.to_owned();
    for (name, value) in params.iter().filter(|(_, value)| !value.is_empty()) {
        link.push(if link.contains('?') { '&' } else { '?' });
        link.push_str(name);
        link.push('=');
        kontor_api::path::encode(value, &mut link);
    }
    link
}

/// A moment, to the second. All pages show the same clock.
pub(super) fn time(at: Time) -> Markup {
    let whole = at.to_string();
    let shown = whole.get(..19).map_or_else(|| whole.clone(), |text| text.replace('T', " "));
    html! { time datetime=(whole) { (shown) " UTC" } }
}

/// The status of what cannot be sold.
pub(super) fn badge(status: Status) -> Markup {
    html! {
        @match status {
            Status::Active => {},
            Status::Draft => { " " span.badge { "draft" } },
            Status::Archived => { " " span.badge { "archived" } },
        }
    }
}

/// A word of the wire as people write it.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// An amount with its currency.
pub(super) fn money(money: &Money) -> Markup {
    html! { span.whole { (money.amount) " " (money.currency) } }
}

/// What an amount beside the lines is for.
pub(super) fn amount_kind(kind: AmountKind) -> &'static str {
    match kind {
        AmountKind::Shipping => "Shipping",
        AmountKind::Tax => "Tax",
        AmountKind::Discount => "Discount",
    }
}

/// Whether an order stands.
pub(super) fn standing(status: OrderStatus) -> Markup {
    let is_good = matches!(status, OrderStatus::Confirmed | OrderStatus::Completed);
    html! { span.good[is_good].bad[status == OrderStatus::Canceled] { (words(status.word())) } }
}

/// What has become of the money of an order.
pub(super) fn paid(status: OrderPayment) -> Markup {
    let is_good = matches!(status, OrderPayment::Paid | OrderPayment::NotRequired);
    html! { span.good[is_good].bad[status == OrderPayment::Failed] { (words(status.word())) } }
}

/// A policy in words.
pub(super) fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::None => "not counted",
        Policy::NoneUntilReceived => "not counted until stock is received",
        Policy::TrackOnly => "counted, never refused",
        Policy::ReserveOnOrder => "reserved on order",
        Policy::ReserveOnCart => "reserved in the cart",
    }
}

/// What an attribute is.
pub(super) fn attribute(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Flag(true) => "yes".into(),
        AttributeValue::Flag(false) => "no".into(),
        AttributeValue::Number(number) => number.to_string(),
        AttributeValue::Text(text) => text.clone(),
        AttributeValue::List(texts) => texts.join(", "),
    }
}

/// A value of a revision.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "none".into(),
        Value::Array(values) => values.iter().map(self::value).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let one = |(name, value): (&String, &Value)| format!("{name}: {}", self::value(value));
            fields.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        plain => plain.to_string(),
    }
}

/// What variants cost now, in each of their currencies, or in one: the lowest of them.
pub(super) fn prices(
    variants: &[Variant],
    listing: Option<&Listing>,
    only: Option<Currency>,
    now: SiteTime,
) -> Vec<String> {
    let own = |sku: &Sku| listing.and_then(|listing| listing.prices.get(sku));
    let of = |variant: &Variant| -> Vec<Currency> {
        let keys = variant.prices.keys().chain(own(&variant.sku).into_iter().flat_map(|own| own.keys()));
        keys.map(|key| key.currency).collect()
    };
    let mut currencies: BTreeSet<Currency> = variants.iter().flat_map(of).collect();
    currencies.retain(|currency| only.is_none_or(|only| only == *currency));
    let shown = currencies.into_iter().filter_map(|currency| {
        let offers = variants
            .iter()
            .filter_map(|variant| Some(offered(&variant.prices, own(&variant.sku), currency, now)?.1.amount));
        let (least, most) = offers.fold(None, |range, amount| match range {
            None => Some((amount, amount)),
            Some((least, most)) => Some((amount.min(least), amount.max(most))),
        })?;
        let money = kontor_core::money::Money { amount: least, currency };
        let from = if least == most { "" } else { "from " };
        Some(format!("{from}{} {currency}", money.decimal()))
    });
    shown.collect()
}
