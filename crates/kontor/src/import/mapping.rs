//! From columns to fields: which column is what, which rows are left out, and what the cells of a row say.

use kontor_api::job::JobKind;
use kontor_core::money::{Currency, Money};
use serde_json::{Value, json};

use super::cells::as_text;
use super::field::{Field, Kind, product_names};
use super::rows::Object;
use super::{Code, Reject, Stop};

/// What a person says of a file besides its format.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    /// `(field, column)`, as given.
    pub(crate) maps: Vec<(String, String)>,
    /// The currency of prices without one of their own.
    pub(crate) currency: Option<Currency>,
    /// The market whose prices and texts these are.
    pub(crate) market: Option<String>,
    /// The location of all rows.
    pub(crate) location: Option<String>,
    /// Prices and decimals are written with a comma.
    pub(crate) decimal_comma: bool,
    /// `(column, pattern)`: rows that are left out.
    pub(crate) skips: Vec<(String, String)>,
    /// Rows with a price of 0 are left out.
    pub(crate) skip_zero_price: bool,
}

/// Columns with their fields.
pub(crate) struct Mapping {
    kind: JobKind,
    columns: Vec<(usize, Field)>,
    skips: Vec<Skip>,
    wishes: Wishes,
    /// Columns that nothing asks for.
    pub(crate) unused: Vec<String>,
    /// Cells that had white space at an end.
    pub(crate) trimmed: u64,
}

struct Skip {
    column: usize,
    pattern: String,
    /// As it was given.
    shown: String,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// Something of a product, named by a SKU or an id.
    Product { name: String, product: Object },
    /// Units of a SKU somewhere.
    Stock { sku: String, location: String, quantity: u64 },
    /// Nothing: it is left out by this rule.
    Skipped(String),
}

impl Mapping {
    /// Finds the columns in a header. Without wishes, columns with the names of fields are those fields.
    pub(crate) fn find(kind: JobKind, header: &[String], wishes: Wishes) -> Result<Self, Stop> {
        let stop = |code, detail: String| Stop::new(1, code, detail);
        let parse = if kind == JobKind::ImportProducts { Field::of_product } else { Field::of_stock };
        let place = |name: &str| -> Result<usize, Stop> {
            let mut found = header.iter().enumerate().filter(|(_, column)| *column == name).map(|(at, _)| at);
            match (found.next(), found.next()) {
                (Some(at), None) => Ok(at),
                (Some(one), Some(other)) => {
                    let detail = format!("columns {} and {} are both named {name}", one + 1, other + 1);
                    Err(stop(Code::ColumnTwice, detail))
                }
                (None, _) => {
                    let alike = header.iter().find(|column| column.eq_ignore_ascii_case(name));
                    let hint = alike.map(|column| format!(" (there is {column})")).unwrap_or_default();
                    let all = header.join(", ");
                    Err(stop(Code::ColumnUnknown, format!("no column is named {name}{hint}; the columns are: {all}")))
                }
            }
        };
        let mut columns: Vec<(usize, Field)> = Vec::new();
        for (name, column) in &wishes.maps {
            let field = parse(name).ok_or_else(|| {
                let all =
                    if kind == JobKind::ImportProducts { product_names() } else { "sku, location, quantity".into() };
                stop(Code::ColumnUnknown, format!("{name} is no field; the fields are: {all}"))
            })?;
            columns.push((place(column)?, field));
        }
        if wishes.maps.is_empty() {
            for name in header {
                if let Some(field) = parse(name) {
                    columns.push((place(name)?, field));
                }
            }
        }
        let has = |field: &Field| columns.iter().any(|(_, has)| has == field);
        if let Some((at, field)) =
            columns.iter().enumerate().find_map(|(at, (_, field))| columns[..at].iter().find(|(_, f)| f == field))
        {
            return Err(stop(Code::ColumnTwice, format!("two columns are both to be {field:?} (column {})", at + 1)));
        }
        let names_something = has(&Field::Sku) || (kind == JobKind::ImportProducts && has(&Field::Id));
        if !names_something {
            let detail = format!("no column is the SKU; say which: --map sku=COLUMN (columns: {})", header.join(", "));
            return Err(stop(Code::ColumnUnknown, detail));
        }
        if kind != JobKind::ImportProducts {
            if !has(&Field::Quantity) {
                let detail = "no column is the quantity; say which: --map quantity=COLUMN".to_owned();
                return Err(stop(Code::ColumnUnknown, detail));
            }
            if !has(&Field::Location) && wishes.location.is_none() {
                let detail = "no column is the location; say which (--map location=COLUMN), or --location ID for all";
                return Err(stop(Code::ColumnUnknown, detail.to_owned()));
            }
        }
        if has(&Field::Price) && wishes.currency.is_none() && !has(&Field::Currency) {
            let detail = "prices have no currency; say which: --currency GBP, or --map currency=COLUMN".to_owned();
            return Err(stop(Code::CurrencyMissing, detail));
        }
        if wishes.market.is_some()
            && let Some((_, field)) = columns.iter().find(|(_, field)| !field.is_of_a_market())
        {
            let detail = format!("{field:?} is the same in all markets; import it without --market");
            return Err(stop(Code::ValueInvalid, detail));
        }
        let mut skips = Vec::new();
        for (column, pattern) in &wishes.skips {
            let shown = format!("{column}={pattern}");
            skips.push(Skip { column: place(column)?, pattern: pattern.clone(), shown });
        }
        let is_used = |at: usize| columns.iter().any(|(used, _)| *used == at) || skips.iter().any(|s| s.column == at);
        let unused = header.iter().enumerate().filter(|(at, _)| !is_used(*at));
        let unused = unused.map(|(_, name)| name.clone()).filter(|name| !name.is_empty()).collect();
        Ok(Self { kind, columns, skips, wishes, unused, trimmed: 0 })
    }

    /// The fields of a line of JSON without variants, as the header of a table. A field of a product that
    /// nobody knows refuses the line, unless columns are named; of a level only the units are read.
    pub(crate) fn header_of_lines(kind: JobKind, wishes: &Wishes, object: &Object) -> Result<Vec<String>, Reject> {
        let parse = if kind == JobKind::ImportProducts { Field::of_product } else { Field::of_stock };
        let mut header: Vec<String> = wishes.maps.iter().map(|(_, column)| column.clone()).collect();
        header.extend(wishes.skips.iter().map(|(column, _)| column.clone()));
        if wishes.maps.is_empty() {
            for name in object.keys().filter(|name| !wishes.skips.iter().any(|(column, _)| column == *name)) {
                if parse(name).is_none() && kind != JobKind::ImportProducts {
                    continue;
                }
                if parse(name).is_none() {
                    return Err(Reject::new(Code::ColumnUnknown, format!("{} is no field", quoted(name))));
                }
                header.push(name.clone());
            }
        }
        header.sort();
        header.dedup();
        Ok(header)
    }

    /// What the cells of a row say.
    pub(crate) fn read<'r>(&mut self, cell: impl Fn(usize) -> &'r str) -> Result<Said, Reject> {
        for skip in &self.skips {
            let text = cell(skip.column).trim();
            if is_hit(&skip.pattern, text) {
                return Ok(Said::Skipped(skip.shown.clone()));
            }
        }
        let mut trimmed = 0;
        let filled = self.columns.iter().filter_map(|(column, field)| {
            let cell = cell(*column);
            let text = cell.trim();
            trimmed += u64::from(text.len() < cell.len());
            (!text.is_empty()).then_some((field, as_text(text)))
        });
        let filled: Vec<(&Field, &str)> = filled.collect();
        self.trimmed += trimmed;
        let said = match self.kind {
            JobKind::ImportProducts => self.product(&filled),
            JobKind::ImportStock | JobKind::ImportCounts => self.stock(&filled),
        };
        said.map_err(|why| {
            let named = [Field::Sku, Field::Id].into_iter().find_map(|name| filled.iter().find(|(f, _)| **f == name));
            Reject { name: named.map(|(_, name)| (*name).to_owned()).unwrap_or_default(), ..why }
        })
    }

    fn stock(&self, filled: &[(&Field, &str)]) -> Result<Said, Reject> {
        let text = |wanted: &Field| filled.iter().find(|(field, _)| *field == wanted).map(|(_, text)| *text);
        let sku = text(&Field::Sku).ok_or_else(|| Reject::new(Code::SkuMissing, "the row has no SKU"))?;
        let location = text(&Field::Location).or(self.wishes.location.as_deref());
        let location = location.ok_or_else(|| Reject::new(Code::LocationMissing, "the row has no location"))?;
        let quantity = text(&Field::Quantity).unwrap_or_default();
        // Spreadsheets and databases write whole numbers as 12.0 or 12.000, too.
        let whole = match quantity.split_once('.') {
            Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
            _ => quantity,
        };
        let quantity = whole.parse().map_err(|_| {
            Reject::new(Code::NumberInvalid, format!("the quantity is a whole number from 0, not {}", quoted(quantity)))
        })?;
        Ok(Said::Stock { sku: sku.to_owned(), location: location.to_owned(), quantity })
    }

    fn product(&self, filled: &[(&Field, &str)]) -> Result<Said, Reject> {
        let text = |wanted: &Field| filled.iter().find(|(field, _)| *field == wanted).map(|(_, text)| *text);
        let (sku, id) = (text(&Field::Sku), text(&Field::Id));
        let name = sku.or(id).ok_or_else(|| Reject::new(Code::SkuMissing, "the row has no SKU"))?;
        let own_currency = text(&Field::Currency);
        let (mut product, mut variant) = (Object::new(), Object::new());
        // Of fields that a site takes as a whole, when not every column is filled.
        let mut parts = Object::new();
        for (field, cell) in filled.iter().copied() {
            match field {
                Field::Id => set(&mut product, "id", cell),
                Field::Title => set(&mut product, "title", cell),
                Field::Description => set(&mut product, "description", lines(cell)),
                Field::Brand => set(&mut product, "brand", cell),
                Field::Merge => set(&mut product, "merge", cell),
                Field::Status => set(&mut product, "status", cell.to_lowercase()),
                Field::Categories => set(&mut product, "categories", names("categories", cell)?),
                Field::Options => set(&mut product, "options", names("options", cell)?),
                Field::Media => set(&mut product, "media", structured("media", cell, Value::is_array)?),
                Field::Markets => set(&mut product, "markets", structured("markets", cell, Value::is_array)?),
                Field::Translations => {
                    set(&mut product, "translations", structured("translations", cell, Value::is_object)?);
                }
                Field::Image => {
                    names("image", cell)?.into_iter().for_each(|url| push(&mut parts, "images", url.into()));
                }
                Field::TitleIn(language) => set(within(&mut parts, "translations", language), "title", cell),
                Field::DescriptionIn(language) => {
                    set(within(&mut parts, "translations", language), "description", lines(cell));
                }
                Field::Attributes => merge(&mut product, "attributes", cell)?,
                Field::Attribute(name, kind) => {
                    set(child(&mut product, "attributes"), name, self.value(name, *kind, cell)?);
                }
                Field::Sku => set(&mut variant, "sku", cell),
                Field::Gtin => set(&mut variant, "gtin", cell),
                Field::VariantTitle => set(&mut variant, "title", cell),
                Field::VariantOptions => merge(&mut variant, "options", cell)?,
                Field::Option(name) => {
                    let sku =
                        sku.ok_or_else(|| Reject::new(Code::SkuMissing, "an option is of a SKU; the row has none"))?;
                    push(&mut parts, "options", json!({"sku": sku, "option": name, "value": cell}));
                }
                Field::VariantAttributes => merge(&mut variant, "attributes", cell)?,
                Field::VariantAttribute(name, kind) => {
                    set(child(&mut variant, "attributes"), name, self.value(name, *kind, cell)?);
                }
                Field::Policy => set(&mut variant, "policy", cell.to_lowercase()),
                Field::BackorderLimit => {
                    let limit: u64 = cell.parse().map_err(|_| {
                        Reject::new(
                            Code::NumberInvalid,
                            format!("backorder_limit: {} is no whole number", quoted(cell)),
                        )
                    })?;
                    set(&mut variant, "backorder_limit", limit);
                }
                Field::Prices => {
                    let Value::Array(prices) = structured("prices", cell, Value::is_array)? else { continue };
                    prices.into_iter().for_each(|price| push(&mut variant, "prices", price));
                }
                Field::Price | Field::PriceIn(_) => {
                    let currency = match field {
                        Field::PriceIn(code) => currency(code)?,
                        _ => match (own_currency, self.wishes.currency) {
                            (Some(code), _) => currency(code)?,
                            (None, Some(currency)) => currency,
                            (None, None) => {
                                return Err(Reject::new(Code::CurrencyMissing, "the row has a price and no currency"));
                            }
                        },
                    };
                    let price = self.price(cell, currency)?;
                    if price.amount == 0 && self.wishes.skip_zero_price {
                        return Ok(Said::Skipped("a price of 0".to_owned()));
                    }
                    let shown = price.to_string();
                    let amount = shown.split(' ').next().unwrap_or_default();
                    push(&mut variant, "prices", json!({"currency": currency.to_string(), "amount": amount}));
                }
                // Said with the price; of stock.
                Field::Currency | Field::Location | Field::Quantity => {}
            }
        }
        if !parts.is_empty() {
            set(&mut product, "parts", parts);
        }
        let product = match &self.wishes.market {
            Some(market) => listing(market, product, variant),
            None => {
                if sku.is_some() {
                    push(&mut product, "variants", Value::Object(variant));
                }
                product
            }
        };
        Ok(Said::Product { name: name.to_owned(), product })
    }

    /// An amount as it is written in files: exact, with no more decimals than its currency has. Zeros
    /// behind those are the same amount.
    fn price(&self, text: &str, currency: Currency) -> Result<Money, Reject> {
        let refused = |detail: String| Reject::new(Code::PriceInvalid, format!("price {}: {detail}", quoted(text)));
        let plain = self.point(text).map_err(|detail| refused(detail.to_owned()))?;
        let mut plain = plain.as_str();
        if let Some((whole, fraction)) = plain.split_once('.') {
            let beyond = fraction.get(currency.decimals()..).unwrap_or_default();
            if !beyond.is_empty() && beyond.bytes().all(|b| b == b'0') {
                plain = plain[..plain.len() - beyond.len()].trim_end_matches('.');
            }
            if whole.is_empty() {
                return Err(refused("a digit stands before the point, as in 0.50".to_owned()));
            }
        }
        let money = Money::parse(plain, currency).map_err(|error| refused(error.to_string()))?;
        if money.amount < 0 {
            return Err(refused("a price is not negative".to_owned()));
        }
        Ok(money)
    }

    /// A number with a point, however the file writes it.
    fn point(&self, text: &str) -> Result<String, &'static str> {
        match (self.wishes.decimal_comma, text.contains(','), text.contains('.')) {
            (true, _, true) => Err("with --decimal-comma, a number has no point"),
            (false, true, _) => Err("a number has no comma; if the file writes 12,50, say --decimal-comma"),
            _ => Ok(text.replace(',', ".")),
        }
    }

    fn value(&self, name: &str, kind: Kind, cell: &str) -> Result<Value, Reject> {
        let wrong =
            |what: &str| Reject::new(Code::NumberInvalid, format!("attribute {name}: {} is no {what}", quoted(cell)));
        Ok(match kind {
            Kind::Text => cell.into(),
            Kind::List => names(name, cell)?.into(),
            Kind::Integer => cell.parse::<i64>().map_err(|_| wrong("whole number"))?.into(),
            Kind::Decimal => {
                let plain = self.point(cell).map_err(|_| wrong("decimal number"))?;
                let is_plain = plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
                let number = plain.parse::<f64>().ok().filter(|_| is_plain).ok_or_else(|| wrong("decimal number"))?;
                number.into()
            }
            Kind::Boolean => match cell.to_lowercase().as_str() {
                "true" | "yes" | "1" => true.into(),
                "false" | "no" | "0" => false.into(),
                _ => return Err(wrong("yes or no")),
            },
        })
    }
}

/// Whether a text is what a rule leaves out: equal to it, or beginning with what stands before its `*`.
pub(crate) fn is_hit(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

/// What a row says of a product in one market.
fn listing(market: &str, mut product: Object, mut variant: Object) -> Object {
    let mut listing = Object::new();
    listing.insert("market".to_owned(), market.into());
    for field in ["title", "description", "attributes"] {
        listing.extend(product.remove_entry(field));
    }
    let sku = variant.get("sku").cloned();
    if let (Some(sku), Some(Value::Array(mut prices))) = (&sku, variant.remove("prices")) {
        for price in prices.iter_mut().filter_map(Value::as_object_mut) {
            price.insert("sku".to_owned(), sku.clone());
        }
        listing.insert("prices".to_owned(), prices.into());
    }
    push(&mut product, "markets", listing.into());
    // The SKU finds the product where no id does, and adds no variant to one.
    if sku.is_some() && !product.contains_key("id") {
        push(&mut product, "variants", variant.into());
    }
    product
}

fn set(object: &mut Object, field: &str, value: impl Into<Value>) {
    object.insert(field.to_owned(), value.into());
}

fn push(object: &mut Object, field: &str, value: Value) {
    if let Value::Array(list) = object.entry(field).or_insert_with(|| Value::Array(Vec::new())) {
        list.push(value);
    }
}

/// The object in a field, made if it is not there. What else stands there is replaced.
fn child<'o>(object: &'o mut Object, field: &str) -> &'o mut Object {
    let value = object.entry(field).or_insert_with(|| Value::Object(Object::new()));
    if !value.is_object() {
        *value = Value::Object(Object::new());
    }
    value.as_object_mut().expect("made above")
}

fn within<'o>(object: &'o mut Object, field: &str, name: &str) -> &'o mut Object {
    child(child(object, field), name)
}

/// Adds what an object of JSON in a cell says.
fn merge(object: &mut Object, field: &str, cell: &str) -> Result<(), Reject> {
    if let Value::Object(values) = structured(field, cell, Value::is_object)? {
        child(object, field).extend(values);
    }
    Ok(())
}

/// A cell that holds JSON of a kind.
fn structured(field: &str, cell: &str, is_right: fn(&Value) -> bool) -> Result<Value, Reject> {
    match serde_json::from_str(cell) {
        Ok(value) if is_right(&value) => Ok(value),
        Ok(_) => Err(Reject::new(Code::ValueInvalid, format!("{field}: {} is another kind of JSON", quoted(cell)))),
        Err(error) => Err(Reject::new(Code::ValueInvalid, format!("{field}: {} is no JSON: {error}", quoted(cell)))),
    }
}

/// Names in a cell: an array of JSON, or texts with `|` between them.
fn names(field: &str, cell: &str) -> Result<Vec<String>, Reject> {
    if cell.starts_with('[') {
        return serde_json::from_str(cell).map_err(|error| {
            Reject::new(Code::ValueInvalid, format!("{field}: {} is no list: {error}", quoted(cell)))
        });
    }
    Ok(cell.split('|').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// A text of several lines, whatever ends them in the file.
fn lines(cell: &str) -> String {
    cell.replace("\r\n", "\n").replace('\r', "\n")
}

fn currency(code: &str) -> Result<Currency, Reject> {
    Currency::parse(code).map_err(|error| Reject::new(Code::PriceInvalid, format!("{}: {error}", quoted(code))))
}

/// A cell in a message: short, and on one line.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() { format!("\"{short}…\"") } else { format!("\"{short}\"") }
}

#[cfg(test)]
mod tests;
