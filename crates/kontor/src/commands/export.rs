//! `kontor export`: everything out again, in the forms that `kontor import` reads.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use kontor_client::Lines;
use serde_json::Value;

use super::Target;
use crate::import::cells::{neutralized, write_cell};
use crate::import::feed::{Format, take_given_away};
use crate::import::rows::Object;
use crate::output::Output;
use crate::print::{self, Style};
use crate::progress::Progress;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// All products
    Products(Args),
    /// All levels: units on hand, not for sale, and kept back
    Stock(Args),
    /// Units on hand, as `kontor import counts` takes them
    Counts(Args),
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file; it has its name when it is whole [default: standard output]
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,
    /// What it looks like [default: by its name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Compress it; a name that ends in .gz does so, too
    #[arg(long)]
    gzip: bool,
    #[command(flatten)]
    target: Target,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Products,
    Stock,
    Counts,
}

pub(crate) fn run(command: Command, style: Style) -> anyhow::Result<ExitCode> {
    let (what, args) = match command {
        Command::Products(args) => (What::Products, args),
        Command::Stock(args) => (What::Stock, args),
        Command::Counts(args) => (What::Counts, args),
    };
    let client = args.target.client()?;
    let format = args.format.unwrap_or_else(|| Format::of(&args.file, None));
    let mut out = Output::open(&args.file, args.gzip)?;
    let (lines, rows) = super::block_on(async {
        let mut from = match what {
            What::Products => client.export_products().await?,
            What::Stock | What::Counts => client.export_stock().await?,
        };
        copy(&mut from, &mut out, what, format, style).await
    })?;
    out.finish()?;
    if args.file.as_os_str() != "-" {
        let thing = if what == What::Products { "products" } else { "levels" };
        if style == Style::Json {
            print::json(&serde_json::json!({ "file": args.file, thing: lines, "rows": rows }));
        } else {
            print::note(format!("{} {thing}, {} rows", print::grouped(lines), print::grouped(rows)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what comes; says how many things came, and how many rows that made.
async fn copy(
    from: &mut Lines,
    out: &mut Output,
    what: What,
    format: Format,
    style: Style,
) -> anyhow::Result<(u64, u64)> {
    let mut progress = Progress::start(style);
    let (mut lines, mut rows) = (0, 0);
    let mut text = String::new();
    // A long product comes on several lines.
    let mut last = None;
    if format == Format::Csv {
        out.write(&format!("{}\n", header(what).join(",")))?;
    }
    while let Some(line) = from.next().await? {
        let mut object: Object = serde_json::from_slice(&line).context("the site's answer is not understood")?;
        text.clear();
        match what {
            What::Products => {
                take_given_away(&mut object);
                // The first variant's: said by the variants.
                object.remove("sku");
            }
            What::Stock => {}
            What::Counts => {
                object.retain(|field, _| matches!(field.as_str(), "sku" | "location" | "on_hand"));
                if let Some(on_hand) = object.remove("on_hand") {
                    object.insert("quantity".to_owned(), on_hand);
                }
            }
        }
        match (format, what) {
            (Format::Ndjson, _) => text.push_str(&serde_json::to_string(&object)?),
            (Format::Csv, What::Products) => product_rows(&object, &mut text),
            (Format::Csv, What::Stock | What::Counts) => {
                row(header(what).into_iter().map(|field| object.get(field)), &mut text)
            }
        }
        if format == Format::Ndjson {
            text.push('\n');
        }
        out.write(&text)?;
        let id = object.get("id").cloned();
        lines += u64::from(id.is_none() || id != last);
        last = id;
        rows += if format == Format::Csv { variants(&object).len().max(1) as u64 } else { 1 };
        progress.tell(lines, "lines", None);
    }
    progress.end();
    Ok((lines, rows))
}

/// Where a cell of a product's row comes from.
enum Of {
    /// The product; on each of its rows, so that rows can be sorted and cut.
    Each,
    /// The product; on its first row.
    Product,
    /// The variant.
    Variant,
}

/// The columns of products: names that `kontor import products` knows, and the fields of the API.
const PRODUCT: [(&str, Of, &str); 20] = [
    ("id", Of::Each, "id"),
    ("sku", Of::Variant, "sku"),
    ("title", Of::Each, "title"),
    ("description", Of::Product, "description"),
    ("brand", Of::Product, "brand"),
    ("status", Of::Product, "status"),
    ("categories", Of::Product, "categories"),
    ("options", Of::Product, "options"),
    ("attributes", Of::Product, "attributes"),
    ("media", Of::Product, "media"),
    ("translations", Of::Product, "translations"),
    ("merge", Of::Product, "merge"),
    ("gtin", Of::Variant, "gtin"),
    ("variant.title", Of::Variant, "title"),
    ("variant.options", Of::Variant, "options"),
    ("variant.attributes", Of::Variant, "attributes"),
    ("policy", Of::Variant, "policy"),
    ("backorder_limit", Of::Variant, "backorder_limit"),
    ("prices", Of::Variant, "prices"),
    // Behind the variants that its prices name.
    ("markets", Of::Product, "markets"),
];

fn header(what: What) -> Vec<&'static str> {
    match what {
        What::Products => PRODUCT.iter().map(|(name, ..)| *name).collect(),
        What::Stock => vec!["sku", "location", "on_hand", "unavailable", "safety_stock"],
        What::Counts => vec!["sku", "location", "quantity"],
    }
}

/// The rows of a product: one for each variant.
fn product_rows(product: &Object, rows: &mut String) {
    let variants = variants(product);
    let nothing = Value::Null;
    for at in 0..variants.len().max(1) {
        let variant = variants.get(at).unwrap_or(&nothing);
        // What a market says of prices names any of the variants, so that all of them must be there.
        let is_last = at + 1 >= variants.len();
        let cells = PRODUCT.iter().map(|(name, of, field)| match of {
            Of::Each => product.get(*field),
            Of::Product => product.get(*field).filter(|_| if *name == "markets" { is_last } else { at == 0 }),
            Of::Variant => variant.get(field),
        });
        row(cells, rows);
    }
}

fn variants(product: &Object) -> &[Value] {
    product.get("variants").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn row<'v>(cells: impl Iterator<Item = Option<&'v Value>>, rows: &mut String) {
    for (at, value) in cells.enumerate() {
        let text = match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => neutralized(text).into_owned(),
            Some(Value::Object(fields)) if fields.is_empty() => String::new(),
            Some(Value::Array(items)) => list(items),
            Some(other) => other.to_string(),
        };
        write_cell(rows, &text, at == 0);
    }
    rows.push('\n');
}

/// Names with `|` between them, where that can be read again; else JSON.
fn list(items: &[Value]) -> String {
    let is_plain = |text: &str| !text.is_empty() && text.trim() == text && !text.contains('|');
    let plain: Option<Vec<&str>> = items.iter().map(|item| item.as_str().filter(|text| is_plain(text))).collect();
    match plain {
        Some(names) if !names.first().is_some_and(|name| name.starts_with('[')) => {
            neutralized(&names.join("|")).into_owned()
        }
        _ => Value::from(items).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kontor_api::job::JobKind;
    use serde_json::json;

    use super::*;
    use crate::import::feed::{Input, said};
    use crate::import::mapping::Wishes;
    use crate::import::rows::Reading;
    use crate::import::source::Source;

    /// What a site holds after rows of products, as far as tables are concerned: fields are set, variants
    /// are added.
    fn applied(rows: Vec<Object>) -> Object {
        let mut product = Object::new();
        for mut row in rows {
            let mut all = variants(&product).to_vec();
            all.extend(variants(&row).iter().cloned());
            row.insert("variants".to_owned(), all.into());
            product.extend(row);
        }
        product
    }

    #[test]
    fn a_product_comes_back_from_its_rows() {
        for product in [
            json!({"id": "A", "title": "Mug", "status": "active", "variants": [{"sku": "A", "policy": "none", "backorder_limit": 0}]}),
            json!({
                "id": "SHIRT", "title": "=Shirt, \"linen\"", "description": "One\n\nTwo; -three", "status": "draft",
                "brand": "@home", "categories": ["Clothing", "Shirts|Linen"], "options": ["Size", "Color"],
                "attributes": {"care": ["40 °C", "iron"], "weight": 0.25, "g": 250, "dry": false, "note": "=1"},
                "media": [{"url": "https://example.org/1.jpg", "kind": "image", "alt": "A, shirt"}],
                "translations": {"de": {"title": "Hemd"}}, "merge": "authority:main",
                "variants": [
                    {"sku": "-S", "gtin": "2000000000008", "title": "'Small", "options": {"Size": "S", "Color": "+red"},
                     "attributes": {"x": 1}, "policy": "track_only", "backorder_limit": 5,
                     "prices": [{"currency": "GBP", "amount": "2.50"}, {"currency": "GBP", "amount": "2.00",
                       "valid_from": "2026-11-21T00:00:00.000Z", "valid_until": "2026-12-01T00:00:00.000Z"}]},
                    {"sku": "M", "options": {"Size": "M"}, "policy": "none", "backorder_limit": 0},
                ],
                "markets": [{"market": "gb", "title": "Shirt", "prices": [{"sku": "M", "currency": "GBP", "amount": "3.00"}]}],
            }),
            json!({"id": "B", "title": "B", "categories": ["[odd]", "=x"], "variants": [{"sku": "B"}]}),
            json!({"id": "C", "title": "C", "categories": ["=x", "y"], "variants": [{"sku": "C"}]}),
        ] {
            let product = product.as_object().unwrap();
            let mut file = header(What::Products).join(",") + "\n";
            product_rows(product, &mut file);
            let source = Source::of(std::io::Cursor::new(file.clone()), None).unwrap();
            let reading = Reading::default();
            let input = Input::open(JobKind::ImportProducts, source, Format::Csv, reading, Wishes::default()).unwrap();
            let back = applied(said(input));
            assert_eq!(Value::from(back), Value::from(product.clone()), "{file}");
            // No cell begins as a formula does.
            let mut cells = csv::Reader::from_reader(file.as_bytes());
            for row in cells.records() {
                let is_formula = |cell: &str| cell.starts_with(['=', '+', '-', '@']);
                assert!(!row.unwrap().iter().any(is_formula), "{file}");
            }
        }
    }
}
