//! Conflicts: what becomes of a product that two regions edit without knowing of each other.
//!
//! A simulation writes nothing. Two sites are made up beside a copy of the product, each edits it as it
//! was, and the merge that the site itself runs decides. What it led to is kept beside the product, so
//! that it can be explained afterwards; a conflict that is real is explained first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use kontor_api::Time;
use kontor_core::id::{ProductId, SiteId, Sku};
use kontor_core::product::field::{Conflict, Field, Value as FieldValue};
use kontor_core::product::listing::ListingSibling;
use kontor_core::product::merge::{conflicts, listing_conflicts, merge};
use kontor_core::product::price::{PriceKey, PriceTerms};
use kontor_core::product::text::MarketId;
use kontor_core::product::{MergeRule, Presence, Sibling};
use kontor_core::text::Title;
use kontor_core::time::{SeenStamps, SiteTime, Stamp, Stamped};
use kontor_core::view::rows_of_sites;
use kontor_site::clock::wall_ms;
use serde_json::{Value, json};

use super::{Fields, catalog, item, keys, last_writer, missing};
use crate::app::App;
use crate::compat::catalog::{Found, find};
use crate::compat::sent::Sent;
use crate::convert;
use crate::extract::{Caller, Named};
use crate::limits::COMPAT_SIMULATIONS_KEPT;
use crate::problem::Problem;
use crate::routes::v1::json as answer;

/// The last simulations, the newest last.
#[derive(Default)]
pub(in crate::compat) struct Simulations {
    /// std mutex: nothing awaits while it is held.
    kept: Mutex<VecDeque<Simulation>>,
}

/// What a simulation led to.
#[derive(Clone)]
struct Simulation {
    id: String,
    region: MarketId,
    /// What would show.
    current: Value,
    conflicts: Vec<Conflict>,
}

impl Simulations {
    fn keep(&self, simulation: Simulation) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| (&other.id, &other.region) != (&simulation.id, &simulation.region));
        if kept.len() >= COMPAT_SIMULATIONS_KEPT {
            kept.pop_front();
        }
        kept.push_back(simulation);
    }

    fn of(&self, id: &str, region: &MarketId) -> Option<Simulation> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|simulation| simulation.id == id && simulation.region == *region).cloned()
    }
}

pub(super) async fn simulate(State(app): State<App>, sent: Sent) -> Result<Response, Problem> {
    run(&app, Fields::of(&sent.body)).await
}

/// The same with the fields as parameters.
pub(super) async fn simulate_by_query(State(app): State<App>, uri: Uri, _sent: Sent) -> Result<Response, Problem> {
    run(&app, Fields::of_query(uri.query().unwrap_or_default())).await
}

/// What one of the two regions writes.
#[derive(Clone)]
struct Written {
    region: SiteId,
    title: Title,
    price: (PriceKey, PriceTerms),
    stamp: Stamp,
}

async fn run(app: &App, mut fields: Fields) -> Result<Response, Problem> {
    let sku = fields.text("product_id", Sku::parse);
    let region = fields.maybe_text("region_code", MarketId::parse);
    let mut side = |title: &str, price: &str, otherwise: (&str, &str)| {
        let given = fields.maybe_text(title, Title::parse).or_else(|| Title::parse(otherwise.0).ok());
        let amount = fields.maybe_number(price).or_else(|| otherwise.1.parse().ok())?;
        let price = fields.checked(price, catalog::price(&amount, catalog::currency()))?;
        Some((given?, price))
    };
    let local = side("title_local", "price_local", ("LOCAL_TITLE", "100"));
    let remote = side("title_remote", "price_remote", ("REMOTE_TITLE", "101"));
    if fields.is_wrong() {
        return fields.refuse();
    }
    let (Some(sku), Some(local), Some(remote)) = (sku, local, remote) else { return fields.refuse() };
    let region = region.map_or_else(|| crate::parse::at("region_code", MarketId::parse("us-east-1")), Ok)?;

    let (here, name) = (app.site.id().clone(), sku.as_str().to_owned());
    let elsewhere = if here.as_str() == "eu-west-1" { "us-east-1" } else { "eu-west-1" };
    let elsewhere = crate::parse::at("region_code", SiteId::parse(elsewhere))?;
    let (id, sku, mut siblings) = app
        .read(move |reader| {
            let Some(Found { id, sku, .. }) = find(reader, &name)? else {
                return Ok((ProductId::from(sku.clone()), sku, Vec::new()));
            };
            let siblings = rows_of_sites::<Sibling>(reader.rows(), &id)?;
            Ok((id, sku, siblings))
        })
        .await?;
    let base = siblings.iter().map(|(_, sibling): &(SiteId, Sibling)| sibling.stamp).max().unwrap_or_default();
    let now = SiteTime(wall_ms());
    let made = Stamp::next(now, base);
    if siblings.is_empty() {
        siblings.push((here.clone(), blank(&sku, made)));
    }
    // The other region writes a moment later, and neither has seen what the other writes.
    let first = Stamp::next(now, made);
    let second = Stamp::next(now, first);
    let local = Written { region: here, title: local.0, price: local.1, stamp: first };
    let remote = Written { region: elsewhere, title: remote.0, price: remote.1, stamp: second };
    let seen = SeenStamps::new(siblings.iter().map(|(site, sibling)| (site.clone(), sibling.stamp)));
    for written in [&local, &remote] {
        write(&mut siblings, &sku, written, &seen);
    }
    let product = merge(&siblings).ok_or_else(|| Problem::internal("a simulated product has vanished"))?;
    let found = Found { id: id.clone(), product, sku };
    let mut current = keys(&id, &format!("REGION#{region}"));
    current.extend(catalog::document(&found));
    let conflicts = conflicts(&siblings);
    app.compat.simulations.keep(Simulation {
        id: id.to_string(),
        region: region.clone(),
        current: current.into(),
        conflicts,
    });
    let shown = |written: &Written| shown(&id, &region, written, now);
    let body = json!({
        "written_local": shown(&local)?,
        "written_remote": shown(&remote)?,
        "note": "Nothing was written: this was tried on a copy. explain-merge tells the winner.",
        "simulated": true,
    });
    answer(StatusCode::OK, &body)
}

/// A product that nobody has made, as the copy that is edited.
fn blank(sku: &Sku, stamp: Stamp) -> Sibling {
    let seen = SeenStamps::default();
    let mut sibling = Sibling { stamp, ..Sibling::default() };
    sibling.present = Some(Stamped { value: true, stamp, seen: seen.clone() });
    let variant = sibling.variants.entry(sku.clone()).or_default();
    variant.present = Some(Stamped { value: Presence::Here(0), stamp, seen });
    sibling
}

/// Edits the copy as one of the regions.
fn write(siblings: &mut Vec<(SiteId, Sibling)>, sku: &Sku, written: &Written, seen: &SeenStamps) {
    let (stamp, (key, terms)) = (written.stamp, written.price);
    let at = siblings.iter().position(|(site, _)| *site == written.region).unwrap_or_else(|| {
        siblings.push((written.region.clone(), Sibling::default()));
        siblings.len() - 1
    });
    let Some((_, sibling)) = siblings.get_mut(at) else { return };
    sibling.title = Some(Stamped { value: written.title.clone(), stamp, seen: seen.clone() });
    let prices = &mut sibling.variants.entry(sku.clone()).or_default().prices;
    prices.insert(key, Stamped { value: Some(terms), stamp, seen: seen.clone() });
    sibling.stamp = stamp;
}

fn shown(id: &ProductId, region: &MarketId, written: &Written, now: SiteTime) -> Result<Value, Problem> {
    let mut item = keys(id, &format!("REGION#{region}"));
    let (key, terms) = written.price;
    item.insert("title".into(), written.title.as_str().into());
    item.insert("price".into(), catalog::number(terms.money(key.currency)));
    item.insert("updated_at".into(), convert::time(now)?.to_string().into());
    item.insert("last_writer_region".into(), written.region.as_str().into());
    Ok(item.into())
}

/// A product that is there: its conflicts, what shows in the region, and who was the last to write it.
struct Real {
    found: Found,
    open: Vec<Conflict>,
    current: Value,
    writer: String,
}

/// How a product came to be as it is: by a conflict that is there, or else by the last simulation, or else
/// by its last edit.
pub(super) async fn explain(
    State(app): State<App>,
    caller: Caller,
    Named((id, region)): Named<(String, String)>,
) -> Result<Response, Problem> {
    caller.admin()?;
    let Ok(market) = MarketId::parse(region) else { return missing() };
    let (name, of) = (id.clone(), market.clone());
    let real = app
        .read(move |reader| {
            let Some(found) = find(reader, &name)? else { return Ok(None) };
            let siblings = rows_of_sites::<Sibling>(reader.rows(), &found.id)?;
            let listings = rows_of_sites::<ListingSibling>(reader.rows(), (&found.id, &of))?;
            let mut open = listing_conflicts(&siblings, &listings);
            open.extend(conflicts(&siblings));
            let mut current = keys(&found.id, &format!("REGION#{of}"));
            current.extend(catalog::document(&found));
            if let Some(Value::Object(there)) = item(reader, found.id.as_str(), &of)? {
                current.extend(there);
            }
            let writer = last_writer(reader, &found.id, &of)?;
            Ok(Some(Real { found, open, current: current.into(), writer }))
        })
        .await?;
    let real_id = real.as_ref().map_or(id, |real| real.found.id.to_string());
    let simulation = app.compat.simulations.of(&real_id, &market);
    match (real, simulation) {
        (Some(Real { open, current, .. }), _) if !open.is_empty() => told(current, &open, false),
        (_, Some(Simulation { current, conflicts, .. })) => told(current, &conflicts, true),
        (Some(Real { found, current, writer, .. }), None) => {
            let updated_at: Time = convert::time(found.product.updated_at)?;
            answer(
                StatusCode::OK,
                &json!({
                    "current": current,
                    "winner_region": writer,
                    "explanation": format!("No edits of it are in conflict. It was last edited at {updated_at}."),
                    "simulated": false,
                    "conflicts": [],
                }),
            )
        }
        (None, None) => missing(),
    }
}

fn told(current: Value, open: &[Conflict], simulated: bool) -> Result<Response, Problem> {
    let decisive = open.iter().find(|conflict| conflict.field == Field::Title).or(open.first());
    let winner = decisive.and_then(|conflict| conflict.candidates.first());
    let winner_region = winner.map_or("unknown", |candidate| candidate.site.as_str());
    let rule = match decisive.map(|conflict| &conflict.rule) {
        Some(MergeRule::Authority(site)) => format!("the product's rule gives the word to {site}"),
        _ => "the later edit wins".to_owned(),
    };
    let regions = decisive.map_or(0, |conflict| conflict.candidates.len());
    let explanation = format!(
        "{regions} regions edited it without knowing of each other, and {rule}: that of {winner_region}. What the others \
         wrote is kept until somebody who has seen all of it edits the field again."
    );
    let conflicts: Vec<Value> = open.iter().map(shown_conflict).collect();
    let body = json!({
        "current": current, "winner_region": winner_region, "explanation": explanation,
        "simulated": simulated, "conflicts": conflicts,
    });
    answer(StatusCode::OK, &body)
}

fn shown_conflict(conflict: &Conflict) -> Value {
    let candidates = conflict.candidates.iter().enumerate();
    let candidates: Vec<Value> = candidates
        .map(|(at, candidate)| {
            let (region, value) = (candidate.site.as_str(), field_value(&candidate.value));
            json!({"region": region, "value": value, "stamp": candidate.stamp.0.to_string(), "wins": at == 0})
        })
        .collect();
    json!({"field": conflict.field.to_string(), "rule": conflict.rule.to_string(), "candidates": candidates})
}

fn field_value(value: &FieldValue) -> Value {
    match value {
        FieldValue::Nothing => Value::Null,
        FieldValue::Text(text) => (&**text).into(),
        FieldValue::Number(number) => (*number).into(),
        FieldValue::Flag(flag) => (*flag).into(),
        FieldValue::Moment(at) => convert::time(*at).map_or(Value::Null, |time| time.to_string().into()),
        FieldValue::List(values) => values.iter().map(field_value).collect(),
        FieldValue::Map(values) => values.iter().map(|(name, value)| (name.to_string(), field_value(value))).collect(),
    }
}
