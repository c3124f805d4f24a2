//! What the services share: products by id or SKU, prices as JSON numbers, one document for all.

use kontor_api::Code;
use kontor_core::id::{ProductId, Sku};
use kontor_core::money::{Currency, Money};
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::price::{self, PriceKey, PriceTerms, Prices};
use kontor_core::product::text::Name;
use kontor_core::product::{Policy, Product, Selling, Status};
use kontor_core::time::SiteTime;
use kontor_site::clock::wall_ms;
use kontor_site::reader::Reader;
use serde_json::{Map, Number, Value};

use crate::limits::COMPAT_TRIES;
use crate::problem::Problem;

/// A product, and the SKU that it was asked by, or its first.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) id: ProductId,
    pub(super) product: Product,
    pub(super) sku: Sku,
}

/// A product by its id, or else by a SKU of it. One that is not for sale is not for these services.
pub(super) fn find(reader: &Reader, name: &str) -> Result<Option<Found>, Problem> {
    Ok(find_any(reader, name)?.filter(|found| found.product.status == Status::Active))
}

/// The same whether or not it is for sale: what exists is not made again.
pub(super) fn find_any(reader: &Reader, name: &str) -> Result<Option<Found>, Problem> {
    let by_id = match ProductId::parse(name) {
        Ok(id) => reader.product(&id)?.map(|product| (id, product)),
        Err(_) => None,
    };
    match by_id {
        Some((id, product)) => {
            let named = product.variants.iter().find(|variant| variant.sku.as_str() == name);
            let sku = named.or(product.variants.first()).map(|variant| variant.sku.clone());
            Ok(sku.map(|sku| Found { id, product, sku }))
        }
        None => {
            let Ok(sku) = Sku::parse(name) else { return Ok(None) };
            let Some(item) = reader.item(&sku)? else { return Ok(None) };
            Ok(reader.product(&item.product)?.map(|product| Found { id: item.product, product, sku }))
        }
    }
}

/// What services without currencies mean by a price.
pub(super) fn currency() -> Currency {
    Currency::parse("USD").expect("three letters")
}

/// A price from now on, exactly as it was sent; one with more decimals than its currency has is none.
pub(super) fn price(number: &Number, currency: Currency) -> Result<(PriceKey, PriceTerms), String> {
    let money = Money::parse(&number.to_string(), currency).map_err(|error| error.to_string())?;
    price::price(money, None, None).map_err(|error| error.to_string())
}

/// The price in force: in the currency of these services, or else in the first that there is.
pub(super) fn price_now(prices: &Prices) -> Option<Money> {
    let now = SiteTime(wall_ms());
    let in_force = |currency| price::in_force(prices, currency, now).map(|(key, terms)| terms.money(key.currency));
    in_force(currency()).or_else(|| prices.keys().find_map(|key| in_force(key.currency)))
}

/// An amount as a JSON number, without zeros that say nothing.
pub(super) fn number(money: Money) -> Value {
    let text = money.decimal();
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    short.parse::<Number>().map_or(Value::Null, Value::Number)
}

/// A product that is made by a client of these services, with its first variant.
pub(super) fn new_product(edit: ProductEdit, sku: Sku, policy: Policy) -> ProductEdit {
    let selling = Selling { policy, ..Selling::default() };
    let mut variant = VariantEdit { selling: Some(selling.into()), ..VariantEdit::of(sku) };
    let mut edit = edit;
    if let Some(given) = edit.variants.pop() {
        variant.prices = given.prices;
    }
    ProductEdit { variants: vec![variant], ..edit }
}

/// An integer as the services' contracts number things: from 1, and within 32 bits.
pub(super) fn int32(text: &str) -> Option<i32> {
    let number: i32 = text.parse().ok()?;
    (number >= 1 && number.to_string() == text).then_some(number)
}

/// What a SKU's product is called by clients that know numbers: its number, if its id is one, or else its id.
pub(super) fn product_number(reader: &Reader, sku: &Sku) -> Result<Value, Problem> {
    let id = reader.item(sku)?.map_or_else(|| sku.as_str().to_owned(), |item| item.product.to_string());
    Ok(int32(&id).map_or_else(|| id.into(), Value::from))
}

/// The first number from 0 of which something is not so, if it is so of all numbers before.
pub(super) fn first_not<E>(mut is_so: impl FnMut(u32) -> Result<bool, E>) -> Result<u32, E> {
    let (mut least, mut step) = (0_u32, 1_u32);
    while is_so(least.saturating_add(step - 1))? {
        least = least.saturating_add(step);
        step = step.saturating_mul(2);
    }
    let mut most = least.saturating_add(step - 1);
    while least < most {
        let middle = least + (most - least) / 2;
        if is_so(middle)? {
            least = middle + 1;
        } else {
            most = middle;
        }
    }
    Ok(least)
}

/// A product for clients of every service: each finds its fields, and what is not set is not there.
pub(super) fn document(found: &Found) -> Map<String, Value> {
    let Found { id, product, sku } = found;
    let mut fields = Map::new();
    let mut put = |names: &[&str], value: Value| {
        names.iter().for_each(|name| drop(fields.insert((*name).to_owned(), value.clone())));
    };
    put(&["productId"], id.as_str().into());
    put(&["product_id", "id"], int32(id.as_str()).map_or_else(|| id.as_str().into(), Value::from));
    put(&["sku"], sku.as_str().into());
    put(&["name", "title"], product.title.as_str().into());
    if let Some(description) = &product.description {
        put(&["description"], description.as_str().into());
    }
    if let Some(brand) = &product.brand {
        put(&["brand", "manufacturer"], brand.as_str().into());
    }
    if let Some(category) = product.categories.first() {
        put(&["category"], category.as_str().into());
    }
    for (name, value) in &product.attributes {
        if ["category_id", "weight", "some_other_id"].contains(&name.as_str()) {
            put(&[name.as_str()], attribute(value));
        }
    }
    if let Some(money) = product.variant(sku).and_then(|variant| price_now(&variant.prices)) {
        put(&["price"], number(money));
        put(&["currency"], money.currency.to_string().into());
    }
    fields
}

/// An attribute as JSON.
pub(super) fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Text(text) => text.as_str().into(),
        AttributeValue::Integer(number) => (*number).into(),
        AttributeValue::Decimal(number) => number.to_string().parse().map_or(Value::Null, Value::Number),
        AttributeValue::Flag(flag) => (*flag).into(),
        AttributeValue::List(texts) => texts.iter().map(|text| Value::from(text.as_str())).collect(),
    }
}

/// The name of an attribute, of our own choosing.
pub(super) fn name(word: &str) -> Name {
    Name::parse(word).expect("a short word is a name")
}

/// Tries until an attempt says what became of it: one that says nothing has met a change by somebody else.
pub(super) async fn again<T, F: Future<Output = Result<Option<T>, Problem>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Problem> {
    for _ in 0..COMPAT_TRIES {
        if let Some(outcome) = attempt().await? {
            return Ok(outcome);
        }
    }
    Err(Problem::new(Code::Overloaded, "others change it all the time; try again"))
}

/// Whether a refusal means that somebody else was faster, so that another attempt is worth it.
pub(super) fn is_race<T>(problem: Problem) -> Result<Option<T>, Problem> {
    match problem.code() {
        Code::AlreadyExists | Code::ExpectedMismatch | Code::UnknownLocation | Code::UnknownProduct => Ok(None),
        _ => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_taken_exactly_or_not_at_all() {
        let of = |text: &str| price(&text.parse().unwrap(), currency()).map(|(key, terms)| terms.money(key.currency));
        for (text, shown) in [("1999", "1999"), ("10.5", "10.5"), ("10.50", "10.5"), ("0.01", "0.01"), ("0", "0")] {
            assert_eq!(number(of(text).unwrap()).to_string(), shown);
        }
        for text in ["0.001", "-1", "1e300", "0.30000000000000004"] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_number_is_found_in_few_steps() {
        for first in [0, 1, 2, 3, 7, 8, 1_000_000] {
            let mut asked = 0;
            let found = first_not(|number| {
                asked += 1;
                Ok::<_, ()>(number < first)
            });
            assert_eq!(found, Ok(first));
            assert!(asked <= 45, "{asked} questions for {first}");
        }
    }

    #[test]
    fn only_what_is_written_as_a_number_is_one() {
        assert_eq!((int32("12345"), int32("2147483647")), (Some(12_345), Some(i32::MAX)));
        for text in ["0", "-1", "01", "+1", "2147483648", "1.0", "x", ""] {
            assert_eq!(int32(text), None, "{text}");
        }
    }
}
