//! Rows that combine sites. Each is a pure function of the primary rows of its key and is
//! recomputed whenever one of those changes, so that no read ever merges.

use std::collections::BTreeSet;

use crate::id::{ProductId, Sku};
use crate::overlay::Overlay;
use crate::product::{self, Claim, Item, Product, Sibling};
use crate::record::{Derived, KeyParts, Primary, encode};
use crate::view::{KeyRange, View, ViewError, derived, rows_of_sites};

/// Recomputes the merged product and the items of all its SKUs, of those before and those now.
pub(crate) fn product(rows: &mut Overlay<'_>, id: &ProductId) -> Result<(), ViewError> {
    let before: Option<Product> = derived(rows, id)?;
    let now = merged(rows, id)?;
    let mut skus = BTreeSet::new();
    for product in before.iter().chain(&now) {
        skus.extend(product.variants.iter().map(|variant| variant.sku.clone()));
    }
    set::<Product>(rows, id, now);
    skus.iter().try_for_each(|sku| item(rows, sku))
}

/// The product that the siblings of all sites add up to.
pub fn merged(rows: &dyn View, id: &ProductId) -> Result<Option<Product>, ViewError> {
    Ok(product::merge(&rows_of_sites::<Sibling>(rows, id)?))
}

/// Recomputes what a sale must know of a SKU. Where several products use one SKU, the one with the
/// smallest id is sold, at every site alike.
fn item(rows: &mut Overlay<'_>, sku: &Sku) -> Result<(), ViewError> {
    let prefix = crate::record::Key::new().text(sku.as_str());
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
        if let Some(variant) = product.variants.iter().find(|variant| variant.sku == *sku) {
            found = Some(Item { product: id, status: product.status, selling: variant.selling });
            break;
        }
    }
    set::<Item>(rows, sku, found);
    Ok(())
}

fn set<D: Derived>(rows: &mut Overlay<'_>, key: D::Key<'_>, value: Option<D>) {
    let key = D::key(key).into_bytes();
    match value {
        Some(value) => rows.put(D::TABLE, key, encode(&value)),
        None => rows.delete(D::TABLE, key),
    }
}
