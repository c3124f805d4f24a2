//! Products that are too long for a line go on on the next ones, each of which says something more of the
//! product and can be put by itself.

use serde_json::{Map, Value, json};

use crate::limits::EXPORT_LINE_BYTES;

type Object = Map<String, Value>;

/// What a site gives by itself. It has no part in where a line ends, so that a catalogue which was imported
/// is exported as the same lines.
const GIVEN: [&str; 4] = ["revision", "created_at", "updated_at", "conflicts"];

/// The lines of a product that has more bytes than one should have. A line is longer than that only for a
/// field that cannot be set in parts. The first one can make the product: it has its first variant.
pub(super) fn split(mut product: Object) -> Vec<Object> {
    let [variants, markets] = ["variants", "markets"].map(|list| match product.insert(list.to_owned(), json!([])) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    });
    let maps = ["attributes", "translations"].map(|map| (map, take(&mut product, map)));
    let head = ["id", "title", "variants"].into_iter();
    let blank = head.filter_map(|field| Some((field.to_owned(), product.get(field)?.clone()))).collect();
    let mut variants = variants.into_iter();
    let first = variants.next().map(|first| Item::of("variants", "sku", first));
    if let Some(first) = &first {
        first.on(&mut product).extend(first.plain.clone());
    }
    let room = EXPORT_LINE_BYTES.saturating_sub(bytes(&product));
    let mut lines = Lines { done: Vec::new(), last: product, room, blank };
    if let Some(first) = first {
        lines.parts(first);
    }
    variants.for_each(|variant| lines.item(Item::of("variants", "sku", variant)));
    for (map, entries) in maps {
        for (name, value) in entries {
            let bytes = name.len() + bytes(&value);
            entry(lines.with_room(bytes), map).insert(name, value);
        }
    }
    markets.into_iter().for_each(|listing| lines.item(Item::of("markets", "market", listing)));
    lines.done.push(lines.last);
    lines.done
}

/// The bytes of a value besides what the site gives.
pub(super) fn bytes(value: &impl serde::Serialize) -> usize {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    let drop_given = |of: &mut Object| GIVEN.iter().for_each(|field| drop(of.remove(*field)));
    if let Value::Object(fields) = &mut value {
        drop_given(fields);
        let markets = fields.get_mut("markets").and_then(Value::as_array_mut);
        markets.into_iter().flatten().filter_map(Value::as_object_mut).for_each(drop_given);
    }
    value.to_string().len()
}

struct Lines {
    done: Vec<Object>,
    last: Object,
    /// How many bytes more the last line should have at most.
    room: usize,
    /// What every line begins with.
    blank: Object,
}

impl Lines {
    /// The last line if this fits, else a new one.
    fn with_room(&mut self, bytes: usize) -> &mut Object {
        if bytes > self.room && self.last != self.blank {
            self.done.push(std::mem::replace(&mut self.last, self.blank.clone()));
            self.room = EXPORT_LINE_BYTES;
        }
        self.room = self.room.saturating_sub(bytes);
        &mut self.last
    }

    /// Adds an item, in parts if it is long.
    fn item(&mut self, item: Item) {
        let length = bytes(&item.plain) + bytes(&item.attributes) + bytes(&item.prices);
        if length > EXPORT_LINE_BYTES {
            item.on(self.with_room(bytes(&item.plain))).extend(item.plain.clone());
            return self.parts(item);
        }
        let whole = item.on(self.with_room(length));
        let Item { plain, attributes, prices, .. } = item;
        whole.extend(plain);
        whole.insert("attributes".to_owned(), attributes.into());
        whole.insert("prices".to_owned(), prices.into());
    }

    /// Adds what of an item can be set in parts.
    fn parts(&mut self, item: Item) {
        for (name, value) in &item.attributes {
            let on = item.on(self.with_room(name.len() + bytes(value)));
            entry(on, "attributes").insert(name.clone(), value.clone());
        }
        for price in &item.prices {
            let on = item.on(self.with_room(bytes(price)));
            if let Value::Array(prices) = on.entry("prices").or_insert_with(|| json!([])) {
                prices.push(price.clone());
            }
        }
    }
}

/// A variant, or what is said in a market.
struct Item {
    /// Where it stands in a product, and the field that tells it from others there.
    list: &'static str,
    key: &'static str,
    /// What is set as a whole.
    plain: Object,
    attributes: Object,
    prices: Vec<Value>,
}

impl Item {
    fn of(list: &'static str, key: &'static str, value: Value) -> Self {
        let Value::Object(mut plain) = value else { return Self::of(list, key, json!({})) };
        let attributes = match plain.remove("attributes") {
            Some(Value::Object(attributes)) => attributes,
            _ => Object::new(),
        };
        let prices = match plain.remove("prices") {
            Some(Value::Array(prices)) => prices,
            _ => Vec::new(),
        };
        Self { list, key, plain, attributes, prices }
    }

    /// The item on a line, there as the last one of its list or added.
    fn on<'o>(&self, line: &'o mut Object) -> &'o mut Object {
        let name = self.plain.get(self.key).cloned().unwrap_or_default();
        let items =
            line.entry(self.list).or_insert_with(|| json!([])).as_array_mut().expect("only lists are put there");
        if items.last().is_none_or(|last| last[self.key] != name) {
            items.push(json!({ self.key: name }));
        }
        items.last_mut().and_then(Value::as_object_mut).expect("only objects are put there")
    }
}

/// Empties a map.
fn take(of: &mut Object, field: &str) -> Object {
    match of.insert(field.to_owned(), json!({})) {
        Some(Value::Object(entries)) => entries,
        _ => Object::new(),
    }
}

/// A map of a line, there or added.
fn entry<'o>(of: &'o mut Object, field: &str) -> &'o mut Object {
    let value = of.entry(field).or_insert_with(|| json!({}));
    value.as_object_mut().expect("only objects are put there")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines together say what the product says, in the same order, and none is much too long.
    #[test]
    fn a_long_product_is_told_in_lines() {
        let many = |count: usize, bytes: usize| -> Object {
            (0..count).map(|n| (format!("a{n}"), Value::from("x".repeat(bytes)))).collect()
        };
        let prices = |count: usize| -> Vec<Value> { (0..count).map(|n| json!({"amount": n.to_string()})).collect() };
        let item = |key: &str, n: usize, bytes: usize| json!({key: format!("{n}"), "title": "t", "attributes": many(50, bytes), "prices": prices(30), "revision": n});
        let product = json!({
            "id": "P", "sku": "0", "title": "T", "status": "active", "categories": ["a"], "options": [],
            "media": [{"url": "https://example.org"}], "revision": 3,
            "attributes": many(100, 1_000), "translations": many(10, 8_000),
            "variants": (0..20).map(|n| item("sku", n, n * 200)).collect::<Vec<_>>(),
            "markets": (0..40).map(|n| item("market", n, n * 100)).collect::<Vec<_>>(),
        });
        let object = product.as_object().expect("an object").clone();
        let lines = split(object.clone());
        assert!(lines.len() > 20, "{} lines", lines.len());
        let mut whole = Object::new();
        for line in lines {
            let length = bytes(&line);
            assert!(length <= EXPORT_LINE_BYTES + EXPORT_LINE_BYTES / 8, "{length} bytes");
            assert_eq!((&line["id"], &line["title"]), (&json!("P"), &json!("T")));
            assert!(line["variants"].is_array());
            assert!(!whole.is_empty() || line["variants"][0]["sku"] == "0", "the first line can make the product");
            lay(&mut whole, line);
        }
        assert_eq!(Value::from(whole), product);
        // What the site gives moves no boundary.
        let given = split(object).len();
        let mut later = product.as_object().expect("an object").clone();
        later.insert("revision".to_owned(), json!(u64::MAX));
        assert_eq!(split(later).len(), given);
    }

    /// Lays a line over what was told before.
    fn lay(whole: &mut Object, line: Object) {
        for (field, value) in line {
            match (whole.get_mut(&field), value) {
                (Some(Value::Object(all)), Value::Object(more)) => lay(all, more),
                (Some(Value::Array(all)), Value::Array(more)) => {
                    for item in more {
                        let key = if item.get("sku").is_some() { "sku" } else { "market" };
                        match (all.last_mut().filter(|last| !item[key].is_null() && last[key] == item[key]), item) {
                            (Some(Value::Object(last)), Value::Object(item)) => lay(last, item),
                            (_, item) => all.push(item),
                        }
                    }
                }
                (_, value) => drop(whole.insert(field, value)),
            }
        }
    }
}
