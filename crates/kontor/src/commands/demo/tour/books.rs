//! The books of one item over all sites, and whether they add up: each site is asked for its own, so that this
//! holds while they cannot hear each other.

use std::collections::BTreeMap;

use kontor_api::path;
use kontor_api::stock::{Explanation, SiteBooks};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ask::Asker;

/// The books of all sites at one moment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Books {
    pub(super) when: &'static str,
    /// By location.
    pub(super) shelves: BTreeMap<String, ShelfBooks>,
    /// Whether the shares add up everywhere.
    pub(super) holds: bool,
}

/// The books of one shelf: each number by the site whose own it is.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ShelfBooks {
    pub(super) received: i64,
    pub(super) written_off: i64,
    /// What each site may promise in all, sold units included.
    pub(super) quota: BTreeMap<String, i64>,
    /// Units that a site has given and the other has not heard of yet.
    pub(super) in_flight: i64,
    pub(super) sold: BTreeMap<String, i64>,
    pub(super) reserved: i64,
    /// Σ quota + in flight − (received − written off): nothing, or units were made or lost.
    pub(super) difference: i64,
}

impl ShelfBooks {
    pub(super) fn sold_in_all(&self) -> i64 {
        self.sold.values().sum()
    }
}

impl Books {
    /// Asks every site for its own books of an item.
    pub(super) async fn read(asker: &Asker, sku: &str, when: &'static str) -> anyhow::Result<Self> {
        let mut said: BTreeMap<String, Explanation> = BTreeMap::new();
        for site in asker.names() {
            let path = path::with(path::EXPLAIN, &[sku]);
            said.insert(site.to_owned(), serde_json::from_value(asker.get(site, &path).await?)?);
        }
        let mut shelves: BTreeMap<String, ShelfBooks> = BTreeMap::new();
        for (site, explanation) in &said {
            for at in &explanation.locations {
                let shelf = shelves.entry(at.level.location.clone()).or_default();
                if let Some(own) = at.sites.iter().find(|books| books.site == *site) {
                    shelf.received += signed(own.received);
                    shelf.written_off += signed(own.written_off);
                    shelf.reserved += signed(own.reserved);
                    shelf.quota.insert(site.clone(), own.quota);
                    shelf.sold.insert(site.clone(), signed(own.sold) - signed(own.unsold));
                    let heard = |to: &str| granted(said.get(to), &at.level.location, site, to);
                    shelf.in_flight +=
                        own.grants.iter().map(|grant| signed(grant.units) - heard(&grant.to)).sum::<i64>();
                }
            }
        }
        for shelf in shelves.values_mut() {
            let there = shelf.received - shelf.written_off;
            shelf.difference = shelf.quota.values().sum::<i64>() + shelf.in_flight - there;
        }
        let holds = shelves.values().all(|shelf| shelf.difference == 0);
        Ok(Self { when, shelves, holds })
    }

    pub(super) fn received(&self) -> i64 {
        self.shelves.values().map(|shelf| shelf.received - shelf.written_off).sum()
    }

    /// Units that a site has sold, of all shelves.
    pub(super) fn sold_by(&self, site: &str) -> i64 {
        self.shelves.values().filter_map(|shelf| shelf.sold.get(site)).sum()
    }

    /// What a site may still promise, of all shelves.
    pub(super) fn left_at(&self, site: &str) -> i64 {
        self.shelves.values().filter_map(|shelf| shelf.quota.get(site)).sum::<i64>() - self.sold_by(site)
    }

    pub(super) fn sold(&self) -> i64 {
        self.shelves.values().map(ShelfBooks::sold_in_all).sum()
    }
}

/// Units of a shelf that `to` has heard to be given to it by `from`.
fn granted(said: Option<&Explanation>, location: &str, from: &str, to: &str) -> i64 {
    let shelf = said.and_then(|said| said.locations.iter().find(|at| at.level.location == location));
    let books: Option<&SiteBooks> = shelf.and_then(|at| at.sites.iter().find(|books| books.site == from));
    let grants = books.into_iter().flat_map(|books| &books.grants).filter(|grant| grant.to == to);
    grants.map(|grant| signed(grant.units)).sum()
}

/// Counters stay below 2^53.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// What a site holds, as digests: the whole catalogue, all levels, and all books of an item. Sites that have
/// read the same have the same.
pub(super) async fn state(asker: &Asker, site: &str, sku: &str) -> anyhow::Result<Value> {
    let products = asker.client(site)?.get("/api/v1/export/products").await?;
    anyhow::ensure!(products.status.is_success(), "{site} exported no products: {}", products.status);
    let (mut levels, mut next) = (Vec::new(), String::new());
    loop {
        let mut page = asker.read(site, &format!("{}?page_size=200{next}", path::STOCK)).await?;
        for mut row in page["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            drop_own(&mut row);
            row["levels"].as_array_mut().into_iter().flatten().for_each(drop_own);
            levels.push(row);
        }
        match page["next_page_token"].as_str() {
            Some(token) => next = format!("&page_token={token}"),
            None => break,
        }
    }
    let explained = asker.read(site, &path::with(path::EXPLAIN, &[sku])).await?;
    let books = explained["locations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let books: Vec<Value> = books.iter().map(|at| json!([at["location"], at["sites"]])).collect();
    Ok(json!({
        "catalogue": sha256(&products.body),
        "levels": sha256(&serde_json::to_vec(&levels)?),
        "books": sha256(&serde_json::to_vec(&books)?),
    }))
}

/// What of a row is not of the world but of the site that answers.
fn drop_own(row: &mut Value) {
    if let Some(fields) = row.as_object_mut() {
        for own in ["position", "sellable_here", "version"] {
            fields.remove(own);
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
