//! `kontor demo-data`: an invented catalogue of any size, to try and to measure with.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::demo::{self, Product};
use crate::import::cells::write_cell;
use crate::import::feed::Format;
use crate::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many products
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    products: u64,
    /// Another catalogue for each number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// As lines of JSON, one product each, or as a table, one variant a row
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// The file; compressed if its name ends in .gz [default: standard output]
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = Output::open(&args.file, false)?;
    if args.format == Format::Csv {
        out.write(&format!("{}\n", HEADER.join(",")))?;
    }
    let mut rows = String::new();
    for number in 0..args.products {
        let product = demo::product(args.seed, number);
        rows.clear();
        match args.format {
            Format::Csv => as_rows(&product, &mut rows),
            Format::Ndjson => {
                rows.push_str(&serde_json::to_string(&product)?);
                rows.push('\n');
            }
        }
        out.write(&rows)?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The columns: names that `kontor import products` knows.
const HEADER: [&str; 16] = [
    "id",
    "sku",
    "title",
    "description",
    "brand",
    "status",
    "categories",
    "option.Color",
    "option.Size",
    "option.Ruling",
    "gtin",
    "price.GBP",
    "price.EUR",
    "attribute.material",
    "attribute.weight_g:integer",
    "attribute.handmade:boolean",
];

fn as_rows(product: &Product, rows: &mut String) {
    for variant in &product.variants {
        let price = |currency| {
            let price = variant.prices.iter().find(|price| price.currency == currency);
            price.map_or_else(String::new, |price| price.amount.clone())
        };
        let option = |name| variant.options.get(name).map_or_else(String::new, |value| (*value).to_owned());
        let cells: [String; 16] = [
            product.id.clone(),
            variant.sku.clone(),
            product.title.clone(),
            product.description.clone(),
            product.brand.to_owned(),
            product.status.to_owned(),
            product.categories.join("|"),
            option("Color"),
            option("Size"),
            option("Ruling"),
            variant.gtin.clone(),
            price("GBP"),
            price("EUR"),
            product.attributes.material.to_owned(),
            product.attributes.weight_g.to_string(),
            product.attributes.handmade.to_string(),
        ];
        for (at, cell) in cells.iter().enumerate() {
            write_cell(rows, cell, at == 0);
        }
        rows.push('\n');
    }
}
