//! Why a SKU can or cannot be sold: the arithmetic with its numbers, in sentences.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use kontor_api::stock::{Ask, ExplainedLocation, Explanation, Grant, Hold, SiteBooks};
use kontor_api::{Code, path};
use kontor_core::id::{LocationId, ReservationId, SiteId, Sku};
use kontor_core::limits::QUANTITY_MAX;
use kontor_core::product::{Item, Status};
use kontor_core::refusal::Refusal;
use kontor_core::stock::{Level, elsewhere, open, parties, quota, sellable};
use kontor_core::time::SiteTime;
use kontor_site::reader::{HeldUnits, LocationLevel, Reader};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Params};
use crate::limits::HOLDS_PER_LOCATION;
use crate::problem::Problem;
use crate::routes::v1::{json, page_size};
use crate::{convert, parse};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainParams {
    /// Explain this location alone, and page through its holds.
    location: Option<String>,
    /// Units wanted at one location, 1 if not given.
    #[param(minimum = 1, maximum = 1_000_000_000)]
    quantity: Option<u64>,
    /// Holds of the page, 50 if not given; greater numbers than 200 mean 200. Only with `location`.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters. Only with `location`.
    page_token: Option<String>,
}

/// Explain the stock of a SKU
///
/// Would a location sell that many now, and why or why not: the numbers, who holds units, and what is
/// short. It asks the same rows that a reservation asks, and changes nothing.
#[utoipa::path(
    get, path = "/api/v1/stock/{sku}/explain", tag = "stock", operation_id = "explain_stock",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"), ExplainParams),
    responses((status = 200, description = "The arithmetic", body = Explanation)),
)]
pub(crate) async fn explain(
    State(app): State<App>,
    _: Admin,
    Named(sku): Named<String>,
    Params(params): Params<ExplainParams>,
) -> Result<Response, Problem> {
    let sku = parse::at("sku", Sku::parse(sku))?;
    let location = parse::optional("location", params.location, LocationId::parse)?;
    let quantity = params.quantity.unwrap_or(1);
    if !(1..=QUANTITY_MAX).contains(&quantity) {
        return Err(Problem::invalid("quantity", format!("1 to {QUANTITY_MAX} units are expected, not {quantity}")));
    }
    let asked = Asked { sku, location, quantity, size: page_size(params.page_size)?, page_token: params.page_token };
    let here = app.site.id().clone();
    app.read(move |reader| json(StatusCode::OK, &asked.explain(reader, &here)?)).await
}

/// The same for one unit at every location, with the first holds of each.
pub(crate) fn explained(reader: &Reader, here: &SiteId, sku: Sku) -> Result<Explanation, Problem> {
    Asked { sku, location: None, quantity: 1, size: HOLDS_PER_LOCATION, page_token: None }.explain(reader, here)
}

struct Asked {
    sku: Sku,
    location: Option<LocationId>,
    quantity: u64,
    size: usize,
    page_token: Option<String>,
}

impl Asked {
    fn explain(&self, reader: &Reader, here: &SiteId) -> Result<Explanation, Problem> {
        let stock = reader.stock(&self.sku)?.ok_or_else(|| Refusal::UnknownSku { sku: self.sku.clone() })?;
        let levels = match &self.location {
            None => stock.levels,
            Some(location) => vec![self.one(reader, location, stock.levels)?],
        };
        if self.location.is_none() && self.page_token.is_some() {
            return Err(Problem::invalid("page_token", "holds are paged of one location; name it"));
        }
        let mut next_page_token = None;
        let mut locations = Vec::with_capacity(levels.len());
        for at in &levels {
            let (holds, next) = self.holds(reader, &at.location)?;
            let more_holds = next.is_some();
            next_page_token = next.filter(|_| self.location.is_some());
            let verdict = Verdict::of(&stock.item, at, here, self.quantity);
            let at_risk = match at.level.shortage {
                1.. => reader.at_risk(&self.sku, &at.location, at.level.shortage)?,
                _ => Vec::new(),
            };
            locations.push(ExplainedLocation {
                home: at.home.to_string(),
                level: convert::level(at),
                sellable: verdict.code.is_none(),
                code: verdict.code.map(|code| code.as_str().to_owned()),
                wanted: self.quantity,
                promisable: verdict.promisable,
                sentences: sentences(&stock.item, at, here, &verdict, self.quantity),
                sites: books(at)?,
                holds,
                more_holds,
                at_risk: at_risk.iter().map(ReservationId::to_string).collect(),
            });
        }
        let sellable = locations.iter().any(|location| location.sellable);
        let first = locations.iter().find_map(|location| location.code.clone());
        let code = not_for_sale(stock.item.status).map(|(code, _)| code.as_str().to_owned()).or(first);
        let code = code.or_else(|| locations.is_empty().then(|| Code::InsufficientStock.as_str().to_owned()));
        Ok(Explanation {
            sku: self.sku.to_string(),
            product_id: stock.item.product.to_string(),
            quantity: self.quantity,
            sellable,
            summary: self.summary(sellable, stock.item.status, &locations),
            code: code.filter(|_| !sellable),
            locations,
            next_page_token,
            position: reader.position()?.to_string(),
        })
    }

    /// The level of one location, which exists, if nothing else then with nothing in it.
    fn one(
        &self,
        reader: &Reader,
        location: &LocationId,
        levels: Vec<LocationLevel>,
    ) -> Result<LocationLevel, Problem> {
        if let Some(found) = levels.into_iter().find(|level| level.location == *location) {
            return Ok(found);
        }
        let (home, _) =
            reader.location(location)?.ok_or_else(|| Refusal::UnknownLocation { location: location.clone() })?;
        Ok(LocationLevel { location: location.clone(), home, level: Level::default(), rows: Vec::new() })
    }

    fn holds(&self, reader: &Reader, location: &LocationId) -> Result<(Vec<Hold>, Option<String>), Problem> {
        let filters = [self.sku.as_str(), location.as_str()];
        let list = List { path: path::EXPLAIN, filters: &filters };
        let size = if self.location.is_some() { self.size } else { HOLDS_PER_LOCATION };
        let after = list.after(self.page_token.as_deref(), place)?;
        let mut held = reader.held_units(&self.sku, location, after, size + 1)?;
        let more = held.len() > size;
        held.truncate(size);
        let token = held.last().filter(|_| more).map(|last| list.token(&format!("{}/{}", last.due.0, last.id)));
        let holds = held.iter().map(|HeldUnits { id, due, quantity }| {
            let expires_at = if *due == SiteTime::NEVER { None } else { Some(convert::time(*due)?) };
            Ok(Hold { reservation: id.to_string(), quantity: *quantity, expires_at })
        });
        Ok((holds.collect::<Result<_, Problem>>()?, token))
    }

    fn summary(&self, sellable: bool, status: Status, locations: &[ExplainedLocation]) -> String {
        let (quantity, sku) = (self.quantity, &self.sku);
        if let Some((_, why)) = not_for_sale(status) {
            return format!("{sku} is not sold: its product is {why}.");
        }
        if sellable {
            let places = locations.iter().filter(|at| at.sellable).map(|at| at.level.location.as_str());
            return format!("{quantity} of {sku} can be sold at {}.", places.collect::<Vec<_>>().join(", "));
        }
        match locations.iter().max_by_key(|at| at.promisable) {
            None => format!("{quantity} of {sku} cannot be sold: no location has ever had any."),
            Some(most) => format!(
                "{quantity} of {sku} cannot be sold at one location: {} can promise the most, {}.",
                most.level.location, most.promisable
            ),
        }
    }
}

/// Reads the place of a hold: when it is due, and which it is.
fn place(text: &str) -> Option<(SiteTime, ReservationId)> {
    let (due, id) = text.split_once('/')?;
    Some((SiteTime(due.parse().ok()?), ReservationId::parse(id).ok()?))
}

/// Why products of a status are not sold, by code and word.
fn not_for_sale(status: Status) -> Option<(Code, &'static str)> {
    match status {
        Status::Archived => Some((Code::ProductArchived, "archived")),
        Status::Draft => Some((Code::ProductDraft, "a draft")),
        Status::Active => None,
    }
}

/// What a reservation would be told.
struct Verdict {
    promisable: i64,
    /// Units that other sites hold, as far as was read.
    elsewhere: u64,
    code: Option<Code>,
}

impl Verdict {
    fn of(item: &Item, at: &LocationLevel, here: &SiteId, quantity: u64) -> Self {
        let limit = i64::try_from(item.selling.backorder_limit).unwrap_or(i64::MAX);
        let backorder = if at.home == *here { limit } else { 0 };
        let promisable = at.level.sellable_here.saturating_add(backorder).max(0);
        let wanted = i64::try_from(quantity).unwrap_or(i64::MAX);
        let refuses = item.selling.policy.refuses();
        let elsewhere = elsewhere(&at.rows, &at.home, here);
        let code = match not_for_sale(item.status) {
            Some((code, _)) => Some(code),
            None if refuses && wanted > promisable && elsewhere > 0 => Some(Code::QuotaExhaustedHere),
            None if refuses && wanted > promisable => Some(Code::InsufficientStock),
            None => None,
        };
        Self { promisable, elsewhere, code }
    }
}

fn sentences(item: &Item, at: &LocationLevel, here: &SiteId, verdict: &Verdict, quantity: u64) -> Vec<String> {
    let LocationLevel { location, home, level, rows } = at;
    let mut said = Vec::new();
    if let Some((_, row)) = rows.iter().find(|(site, _)| site == home) {
        said.push(format!(
            "{} came in at {location}, {} were handed out, {} were written off: {} are there.",
            row.received, row.shipped, row.written_off, level.on_hand
        ));
    } else {
        said.push(format!("Nothing has ever been booked at {location}."));
    }
    let taken = [
        (level.reserved, "held by live reservations"),
        (level.committed, "promised to orders and not handed out yet"),
        (level.unavailable, "set aside as damaged or in inspection"),
        (level.safety_stock, "kept back as safety stock"),
    ];
    said.extend(taken.iter().filter(|(units, _)| *units != 0).map(|(units, why)| format!("{units} are {why}.")));
    said.push(format!(
        "{} − {} − {} − {} − {} = {} are available.",
        level.on_hand, level.reserved, level.committed, level.unavailable, level.safety_stock, level.available
    ));
    if level.sellable_here != level.available {
        said.push(format!("Site {here} may promise {} of them.", level.sellable_here));
    }
    for (site, row) in rows {
        let given = row.granted.iter().filter(|(_, units)| **units > 0);
        said.extend(given.map(|(to, units)| format!("Site {site} has given {units} of its share to {to}.")));
        let asked = row.asked.keys().map(|of| (of, open(rows, site, of))).filter(|(_, units)| *units > 0);
        said.extend(
            asked.map(|(of, units)| format!("Site {site} has asked {of} for {units} and waits for an answer.")),
        );
    }
    if verdict.elsewhere > 0 {
        said.push(format!("Other sites may promise {}, as far as is known here.", verdict.elsewhere));
    }
    if level.shortage > 0 {
        said.push(format!("{} units are promised that are not there.", level.shortage));
    }
    if !item.selling.policy.refuses() {
        said.push("Sales are not refused for want of units, by the policy of the variant.".into());
    } else if item.selling.backorder_limit > 0 {
        said.push(format!(
            "Up to {} more than there are may be promised as a backorder.",
            item.selling.backorder_limit
        ));
    }
    said.push(match (not_for_sale(item.status), verdict.code) {
        (Some((_, why)), _) => format!("A reservation of {quantity} would be refused: the product is {why}."),
        (None, None) => format!("A reservation of {quantity} would succeed."),
        (None, Some(code)) => format!(
            "A reservation of {quantity} would be refused with {}: {} can be promised.",
            code.as_str(),
            verdict.promisable
        ),
    });
    said
}

/// The books of every site that has a part in the shelf.
fn books(at: &LocationLevel) -> Result<Vec<SiteBooks>, Problem> {
    let row_of = |site: &SiteId| at.rows.iter().find(|(of, _)| of == site).map(|(_, row)| row);
    let books = parties(&at.rows).into_iter().map(|site| {
        let row = row_of(site).cloned().unwrap_or_default();
        let grants = row.granted.iter().map(|(to, units)| Grant { to: to.to_string(), units: *units });
        let asks = row.asked.iter().map(|(of, ask)| {
            let units = |of: Option<&BTreeMap<SiteId, u64>>| of.and_then(|of| of.get(site)).copied().unwrap_or(0);
            let donor = row_of(of);
            Ok(Ask {
                of: of.to_string(),
                units: ask.units,
                granted: units(donor.map(|row| &row.granted)),
                declined: units(donor.map(|row| &row.declined)),
                open: open(&at.rows, site, of),
                until: convert::time(ask.until)?,
            })
        });
        Ok(SiteBooks {
            site: site.to_string(),
            received: row.received,
            shipped: row.shipped,
            written_off: row.written_off,
            reserved: row.reserved,
            sold: row.sold,
            unsold: row.unsold,
            granted: row.granted.values().sum(),
            quota: quota(&at.rows, &at.home, site),
            sellable: sellable(&at.rows, &at.home, site),
            grants: grants.collect(),
            asks: asks.collect::<Result<_, Problem>>()?,
        })
    });
    books.collect()
}
