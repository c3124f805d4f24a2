//! Sample data: NDJSON files of products, locations and stock, put into an empty site.

use std::path::Path;

use anyhow::{Context as _, bail};
use kontor_api::product_edit::CreateProduct;
use kontor_core::command::{Command, Inbound, Line, Note, Request};
use kontor_core::id::{Actor, LocationId, RequestId, Sku};
use kontor_core::quantity::Quantity;
use kontor_core::text::{Reference, Title};
use kontor_site::Site;
use serde::Deserialize;
use serde::de::DeserializeOwned;

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

/// Loads a directory of sample data; returns how many rows it held.
pub(crate) async fn load(site: &Site, dir: &Path) -> anyhow::Result<usize> {
    let mut commands = Vec::new();
    for Location { id, name } in rows(&dir.join("locations.ndjson"))? {
        commands.push(Command::OpenLocation { id: LocationId::parse(id)?, name: Title::parse(name)? });
    }
    for product in rows::<CreateProduct>(&dir.join("products.ndjson"))? {
        commands.push(kontor_server::creation(product).map_err(anyhow::Error::msg)?);
    }
    for Stock { sku, location, quantity, reference } in rows(&dir.join("stock.ndjson"))? {
        let quantity = Quantity::new(quantity)?;
        let line = Line { sku: Sku::parse(sku)?, location: LocationId::parse(location)?, quantity };
        let note = Note { reference: Some(Reference::parse(reference)?), ..Note::default() };
        commands.push(Command::Receive { from: Inbound::Delivery, lines: vec![line], note });
    }
    let count = commands.len();
    let actor = Actor::parse("operator")?;
    let request_id = RequestId::parse("sample-data")?;
    for command in commands {
        let (actor, request_id) = (actor.clone(), request_id.clone());
        let fresh_id = kontor_server::fresh_uuid();
        let request = Request { command, actor, request_id, idempotency: None, fresh_id };
        site.submit(request).await.context("sample data was refused")?;
    }
    Ok(count)
}

fn rows<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()))?;
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(row) => rows.push(row),
            Err(error) => bail!("{}, line {number}: {error}", path.display()),
        }
    }
    Ok(rows)
}
