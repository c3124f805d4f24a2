//! Reading rows, wherever they are kept.

use bytes::Bytes;

use crate::id::SiteId;
use crate::record::{Derived, Primary, Table, decode};

/// Rows could not be read. Not a refusal: the world failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("rows of {table} could not be read: {why}")]
pub struct ViewError {
    /// Which table.
    pub table: &'static str,
    /// What the tables said, or what is wrong with the bytes.
    pub why: String,
}

/// Keys from `from` up to, and without, `before`.
#[derive(Debug, Clone, Copy)]
pub struct KeyRange<'k> {
    /// The least key that is in the range.
    pub from: &'k [u8],
    /// The least key that is beyond it.
    pub before: &'k [u8],
}

/// Rows at one moment. Implemented by the tables' snapshots, by the writer's cache, and by
/// [`crate::overlay::Overlay`] on top of another view.
pub trait View {
    /// The value under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError>;

    /// Calls `each` with the rows in a range of keys, in their order, until it returns false.
    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        each: &mut dyn FnMut(&[u8], &Bytes) -> bool,
    ) -> Result<(), ViewError>;

    /// The sites whose journals have been folded into these rows, this one included, in order.
    fn sites(&self) -> &[SiteId];
}

/// The row of `site` under `key`.
pub fn row<R: Primary>(view: &dyn View, site: &SiteId, key: R::Key<'_>) -> Result<Option<R>, ViewError> {
    let mut bytes = R::key(key);
    bytes.site(site);
    read(view, R::TABLE, bytes.as_bytes())
}

/// The rows of all sites under `key`, in the order of the sites.
pub fn rows_of_sites<R: Primary>(view: &dyn View, key: R::Key<'_>) -> Result<Vec<(SiteId, R)>, ViewError>
where
    for<'k> R::Key<'k>: Copy,
{
    let mut found = Vec::new();
    for site in view.sites() {
        let mut bytes = R::key(key);
        bytes.site(site);
        if let Some(value) = read(view, R::TABLE, bytes.as_bytes())? {
            found.push((site.clone(), value));
        }
    }
    Ok(found)
}

/// The derived row under `key`.
pub fn derived<R: Derived>(view: &dyn View, key: R::Key<'_>) -> Result<Option<R>, ViewError> {
    read(view, R::TABLE, R::key(key).as_bytes())
}

fn read<R: serde::de::DeserializeOwned>(view: &dyn View, table: Table, key: &[u8]) -> Result<Option<R>, ViewError> {
    match view.get(table, key)? {
        Some(value) => Ok(Some(decode(table, &value)?)),
        None => Ok(None),
    }
}
