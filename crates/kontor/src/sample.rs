//! Sample data: NDJSON files of products, locations and stock, put into an empty site.

use std::path::Path;

use anyhow::{Context as _, bail};
use kontor_api::product_edit::CreateProduct;
use kontor_core::command::{Command, Inbound, Line, Note, Request};
use kontor_core::id::{Actor, LocationId, RequestId, Sku};
use kontor_core::quantity::Quantity;
use kontor_core::text::{Reference, Title};
use kontor_site::{NotDone, Site};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The sample data of the repository, which is in the program.
const FILES: [(&str, &str); 3] = [
    ("locations.ndjson", include_str!("../../../examples/locations.ndjson")),
    ("products.ndjson", include_str!("../../../examples/products.ndjson")),
    ("stock.ndjson", include_str!("../../../examples/stock.ndjson")),
];

/// Sample data that was read.
pub(crate) struct Sample {
    pub(crate) locations: Vec<(LocationId, Title)>,
    /// The commands that make the products.
    pub(crate) products: Vec<Command>,
    pub(crate) stock: Vec<(Line, Reference)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Location {
    id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stock {
    sku: String,
    location: String,
    quantity: u64,
    reference: String,
}

impl Sample {
    /// Reads a directory.
    fn of_directory(dir: &Path) -> anyhow::Result<Self> {
        Self::read(|name| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("{} could not be read", path.display()))
        })
        .with_context(|| format!("in {}", dir.display()))
    }

    /// Reads what is in the program.
    pub(crate) fn of_the_program() -> anyhow::Result<Self> {
        let text = |name: &str| FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned());
        Self::read(|name| text(name).context("the program lacks a file of its sample data"))
    }

    fn read(file: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<Self> {
        let mut sample = Self { locations: Vec::new(), products: Vec::new(), stock: Vec::new() };
        for Location { id, name } in rows("locations.ndjson", &file)? {
            sample.locations.push((LocationId::parse(id)?, Title::parse(name)?));
        }
        for product in rows::<CreateProduct>("products.ndjson", &file)? {
            sample.products.push(kontor_server::creation(product).map_err(anyhow::Error::msg)?);
        }
        for Stock { sku, location, quantity, reference } in rows("stock.ndjson", &file)? {
            let quantity = Quantity::new(quantity)?;
            let line = Line { sku: Sku::parse(sku)?, location: LocationId::parse(location)?, quantity };
            sample.stock.push((line, Reference::parse(reference)?));
        }
        Ok(sample)
    }
}

/// Loads a directory of sample data; returns how many rows it held.
pub(crate) async fn load(site: &Site, dir: &Path) -> anyhow::Result<usize> {
    let Sample { locations, products, stock } = Sample::of_directory(dir)?;
    let locations = locations.into_iter().map(|(id, name)| Command::OpenLocation { id, name });
    let stock = stock.into_iter().map(|(line, reference)| delivery(vec![line], reference));
    let commands: Vec<Command> = locations.chain(products).chain(stock).collect();
    let count = commands.len();
    for command in commands {
        submit(site, command).await.context("sample data was refused")?;
    }
    Ok(count)
}

/// Units that come in.
pub(crate) fn delivery(lines: Vec<Line>, reference: Reference) -> Command {
    Command::Receive { from: Inbound::Delivery, lines, note: Note { reference: Some(reference), ..Note::default() } }
}

/// Gives a site a command of sample data.
pub(crate) async fn submit(site: &Site, command: Command) -> Result<(), NotDone> {
    let actor = Actor::parse("operator").expect("a short word is an actor");
    let request_id = RequestId::parse("sample-data").expect("a short word is a request id");
    let fresh_id = kontor_server::fresh_uuid();
    site.submit(Request { command, actor, request_id, idempotency: None, fresh_id }).await.map(drop)
}

fn rows<T: DeserializeOwned>(name: &str, file: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<Vec<T>> {
    let text = file(name)?;
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(row) => rows.push(row),
            Err(error) => bail!("{name}, line {number}: {error}"),
        }
    }
    Ok(rows)
}
