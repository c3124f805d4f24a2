//! Rows that combine sites. Each is a pure function of the primary rows of its key and is
//! recomputed whenever one of those changes, so that no read ever merges.

use std::collections::BTreeSet;

use crate::id::{ProductId, Sku};
use crate::index;
use crate::overlay::Overlay;
use crate::product::listing::{Listing, ListingSibling};
use crate::product::merge::{merge, merge_listing};
use crate::product::text::MarketId;
use crate::product::{Claim, GtinUse, Item, Product, Sibling};
use crate::record::{Derived, EMPTY, Key, KeyParts, Primary, Table, encode};
use crate::view::{KeyRange, View, ViewError, derived, rows_of_sites};

/// Recomputes the merged product and all that follows from it: what a sale must know of its SKUs, of
/// those before and those now; the uses of its GTINs; and, if it was made or deleted or has another rule,
/// its listings.
pub(crate) fn product(rows: &mut Overlay<'_>, id: &ProductId, ends: bool) -> Result<(), ViewError> {
    let before: Option<Product> = derived(rows, id)?;
    let now = merged(rows, id)?;
    let variants = |product: &Option<Product>| -> BTreeSet<Sku> {
        product.iter().flat_map(|product| &product.variants).map(|variant| variant.sku.clone()).collect()
    };
    let (gone, there) = (variants(&before), variants(&now));
    differ(rows, GtinUse::TABLE, &gtins(id, before.as_ref()), &gtins(id, now.as_ref()));
    let keys = |product: &Option<Product>| product.as_ref().map_or_else(Vec::new, |product| index::keys(id, product));
    differ(rows, Table::INDEX, &keys(&before), &keys(&now));
    set::<Product>(rows, id, now.as_ref());
    if let Some(product) = &now {
        for variant in &product.variants {
            let (product, status, selling) = (id.clone(), product.status, variant.selling);
            sold_as(rows, &variant.sku, Item { product, status, selling })?;
        }
    }
    gone.difference(&there).try_for_each(|sku| given_up(rows, sku, id))?;
    // A rule decides the conflicts of listings too, and a deletion that lost a conflict ends them as little
    // as it ends the product.
    let rule = |product: &Option<Product>| product.as_ref().map(|product| product.rule.clone());
    if ends || rule(&before) != rule(&now) {
        markets(rows, id)?.iter().try_for_each(|market| listing(rows, id, market))?;
    }
    Ok(())
}

/// Recomputes what a product says of its own in a market.
pub(crate) fn listing(rows: &mut Overlay<'_>, id: &ProductId, market: &MarketId) -> Result<(), ViewError> {
    let before: Option<Listing> = derived(rows, (id, market))?;
    let now = merged_listing(rows, id, market)?;
    let keys = |listing: &Option<Listing>| {
        listing.as_ref().map_or_else(Vec::new, |listing| index::listing_keys(id, market, listing))
    };
    differ(rows, Table::INDEX, &keys(&before), &keys(&now));
    set::<Listing>(rows, (id, market), now.as_ref());
    Ok(())
}

/// The product that the siblings of all sites add up to.
pub fn merged(rows: &dyn View, id: &ProductId) -> Result<Option<Product>, ViewError> {
    Ok(merge(&rows_of_sites::<Sibling>(rows, id)?))
}

/// What the siblings of all sites add up to in a market.
pub fn merged_listing(rows: &dyn View, id: &ProductId, market: &MarketId) -> Result<Option<Listing>, ViewError> {
    let siblings = rows_of_sites::<ListingSibling>(rows, (id, market))?;
    if siblings.is_empty() {
        return Ok(None);
    }
    Ok(merge_listing(&rows_of_sites::<Sibling>(rows, id)?, &siblings))
}

/// A product has a variant: it is sold as that, unless a product with a smaller id has it too. Where
/// several products use one SKU, the one with the smallest id is sold, at every site alike.
///
/// Asked before it is looked for: the SKU's row says who has it, and only its loss makes a search.
fn sold_as(rows: &mut Overlay<'_>, sku: &Sku, item: Item) -> Result<(), ViewError> {
    let now: Option<Item> = derived(rows, sku)?;
    if now.is_none_or(|now| now.product >= item.product) {
        set::<Item>(rows, sku, Some(&item));
    }
    Ok(())
}

/// A product has a variant no more: it is sold as another product's, if one claims it.
fn given_up(rows: &mut Overlay<'_>, sku: &Sku, by: &ProductId) -> Result<(), ViewError> {
    if derived::<Item>(rows, sku)?.is_some_and(|now| now.product != *by) {
        return Ok(());
    }
    let prefix = Key::new().text(sku.as_str());
    let mut users = BTreeSet::new();
    let end = prefix.end();
    let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
    rows.scan(Claim::TABLE, range, &mut |key, _| {
        let user = KeyParts(&key[prefix.as_bytes().len()..]).text();
        users.extend(user.and_then(|id| ProductId::parse(id).ok()));
        true
    })?;
    let mut found = None;
    for id in users {
        let Some(product) = derived::<Product>(rows, &id)? else { continue };
        if let Some(variant) = product.variant(sku) {
            found = Some(Item { product: id, status: product.status, selling: variant.selling });
            break;
        }
    }
    set::<Item>(rows, sku, found.as_ref());
    Ok(())
}

/// The markets in which any site has said something of a product.
fn markets(rows: &dyn View, id: &ProductId) -> Result<BTreeSet<MarketId>, ViewError> {
    let prefix = Listing::prefix(id);
    let mut markets = BTreeSet::new();
    let end = prefix.end();
    let range = KeyRange { from: prefix.as_bytes(), before: end.as_bytes() };
    rows.scan(ListingSibling::TABLE, range, &mut |key, _| {
        let market = KeyParts(&key[prefix.as_bytes().len()..]).text();
        markets.extend(market.and_then(|id| MarketId::parse(id).ok()));
        true
    })?;
    Ok(markets)
}

/// The keys of a product's GTINs, in order.
fn gtins(id: &ProductId, product: Option<&Product>) -> Vec<Vec<u8>> {
    let variants = product.into_iter().flat_map(|product| &product.variants);
    let keys = variants.filter_map(|variant| Some(GtinUse::key((variant.gtin.as_ref()?, id, &variant.sku))));
    let mut keys: Vec<Vec<u8>> = keys.map(Key::into_bytes).collect();
    keys.sort_unstable();
    keys
}

/// Puts the rows whose keys are new, and deletes those whose keys are gone. Both are in order.
fn differ(rows: &mut Overlay<'_>, table: Table, before: &[Vec<u8>], now: &[Vec<u8>]) {
    let is_in = |keys: &[Vec<u8>], key: &Vec<u8>| keys.binary_search(key).is_ok();
    before.iter().filter(|key| !is_in(now, key)).for_each(|key| rows.delete(table, key.clone()));
    now.iter().filter(|key| !is_in(before, key)).for_each(|key| rows.put(table, key.clone(), EMPTY));
}

fn set<D: Derived>(rows: &mut Overlay<'_>, key: D::Key<'_>, value: Option<&D>) {
    let key = D::key(key).into_bytes();
    match value {
        Some(value) => rows.put(D::TABLE, key, encode(value)),
        None => rows.delete(D::TABLE, key),
    }
}
