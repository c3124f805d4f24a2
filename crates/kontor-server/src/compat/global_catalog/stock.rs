//! Stock per warehouse: what came in and what went out, in one request that is done whole or not at all.

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use kontor_api::Code;
use kontor_core::command::{Command, Inbound, Line, Note};
use kontor_core::id::{LocationId, Sku};
use kontor_core::product::text::MarketId;
use kontor_core::quantity::Quantity;
use kontor_core::text::Title;
use kontor_site::clock::Stopwatch;
use kontor_site::reader::{LocationLevel, Reader};
use serde_json::{Value, json};

use super::{Fields, keys, latency, made, missing};
use crate::app::App;
use crate::compat::catalog::{again, find, find_any, is_race};
use crate::compat::parameter;
use crate::compat::sent::Sent;
use crate::extract::Named;
use crate::problem::Problem;
use crate::routes::v1::json as answer;

/// Adds to what came in and to what went out. Nothing goes out that is not there.
pub(super) async fn add(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    let watch = Stopwatch::start();
    let mut fields = Fields::of(&sent.body);
    let sku = fields.text("product_id", Sku::parse);
    let warehouse = fields.text("warehouse_id", LocationId::parse);
    let region = fields.text("region_code", MarketId::parse);
    let (inc, dec) = (fields.units("inc"), fields.units("dec"));
    let (Some(sku), Some(location), Some(_)) = (sku, warehouse, region) else { return fields.refuse() };
    if fields.is_wrong() {
        return fields.refuse();
    }
    let asked = sent
        .part("add", &[sku.as_str().as_bytes(), location.as_str().as_bytes(), &inc.to_be_bytes(), &dec.to_be_bytes()]);
    again(|| async {
        let (name, at) = (sku.as_str().to_owned(), location.clone());
        let (found, is_open) =
            app.read(move |reader| Ok((find_any(reader, &name)?, reader.location(&at)?.is_some()))).await?;
        let mut commands = Vec::new();
        let of = match &found {
            Some(found) => found.sku.clone(),
            None => {
                commands.push(made(&sku, None)?);
                sku.clone()
            }
        };
        if !is_open {
            let name = crate::parse::at("warehouse_id", Title::parse(location.as_str()))?;
            commands.push(Command::OpenLocation { id: location.clone(), name });
        }
        let lines = |units| -> Result<Vec<Line>, Problem> {
            let quantity = crate::parse::at("quantity", Quantity::new(units))?;
            Ok(vec![Line { sku: of.clone(), location: location.clone(), quantity }])
        };
        if inc > 0 {
            commands.push(Command::Receive { from: Inbound::Delivery, lines: lines(inc)?, note: Note::default() });
        }
        if dec > 0 {
            commands.push(Command::Issue { lines: lines(dec)?, note: Note::default() });
        }
        if !commands.is_empty() {
            match app.submit(&asked, Command::All(commands)).await {
                Ok(_) => {}
                Err(problem) if SHORT.contains(&problem.code()) => {
                    let detail = json!({"detail": problem.said()});
                    return answer(StatusCode::CONFLICT, &detail).map(Some);
                }
                Err(problem) => return is_race(problem),
            }
        }
        let (name, at) = (of.as_str().to_owned(), location.clone());
        let item = app.read(move |reader| item(reader, &name, &at)).await.map_err(Problem::after_write)?;
        let item = item.map(|(item, _)| item);
        let body = json!({"ok": true, "latency_ms": latency(&watch), "item": item});
        answer(StatusCode::OK, &body).map(Some).map_err(Problem::after_write)
    })
    .await
}

pub(super) async fn read(
    State(app): State<App>,
    Named((id, warehouse)): Named<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let region = parameter(&uri, "region").unwrap_or_else(|| "us-east-1".to_owned());
    let Ok(location) = LocationId::parse(warehouse.as_str()) else { return missing() };
    let name = id.clone();
    let found = app.read(move |reader| item(reader, &name, &location)).await?;
    // A warehouse is one place, whichever region is asked for: nobody misses its stock by a wrong guess.
    let Some((item, qty)) = found.filter(|(item, _)| item.get("version").is_some()) else { return missing() };
    let body = json!({"product_id": id, "warehouse_id": warehouse, "region": region, "qty": qty, "raw": item});
    answer(StatusCode::OK, &body)
}

pub(super) async fn of_product(State(app): State<App>, Named(id): Named<String>) -> Result<Response, Problem> {
    let name = id.clone();
    let (total, locations) = app
        .read(move |reader| {
            let Some(found) = find(reader, &name)? else { return Ok((0, Vec::new())) };
            let levels = reader.stock(&found.sku)?.map(|stock| stock.levels).unwrap_or_default();
            let total = levels.iter().map(|level| level.level.on_hand).sum::<i64>();
            let locations = levels.iter().map(|level| json!({"sk": sort_key(level), "qty": level.level.on_hand}));
            Ok((total, locations.collect()))
        })
        .await?;
    answer(StatusCode::OK, &json!({"product_id": id, "total_qty": total, "locations": locations}))
}

/// A product at a warehouse: both counters of the site that keeps its books, and what is left.
fn item(reader: &Reader, name: &str, location: &LocationId) -> Result<Option<(Value, i64)>, Problem> {
    let Some(found) = find(reader, name)? else { return Ok(None) };
    let levels = reader.stock(&found.sku)?.map(|stock| stock.levels).unwrap_or_default();
    let Some(level) = levels.iter().find(|level| level.location == *location) else {
        return Ok(Some((Value::Object(keys(&found.id, &format!("INV#{location}"))), 0)));
    };
    let mut item = keys(&found.id, &sort_key(level));
    if let Some((home, row)) = level.rows.iter().find(|(site, _)| *site == level.home) {
        let home = home.as_str().replace('-', "_");
        item.insert(format!("inc_{home}"), row.received.into());
        item.insert(format!("dec_{home}"), (row.shipped + row.written_off).into());
        item.insert("version".into(), row.version.into());
    }
    Ok(Some((Value::Object(item), level.level.on_hand)))
}

fn sort_key(level: &LocationLevel) -> String {
    format!("INV#{}#{}", level.location, level.home)
}

/// What it is called when there is too little.
const SHORT: [Code; 3] = [Code::InsufficientStock, Code::QuotaExhaustedHere, Code::InsufficientOnHand];
