//! Customers, as they are kept: nothing is opened here.

use kontor_core::id::{CustomerId, SiteId};
use kontor_core::person::{Customer, EmailOwner};
use kontor_core::record::{Key, Table};
use kontor_core::view::{KeyRange, View as _, ViewError, row, rows_of_sites};

use super::Reader;
use crate::limits::PAGE_MAX;

impl Reader {
    /// One customer, and the site that keeps them. Whoever was erased at any site is.
    pub fn customer(&self, id: CustomerId) -> Result<Option<(SiteId, Customer)>, ViewError> {
        let rows = rows_of_sites::<Customer>(&self.rows, id)?;
        let rank = |(site, known): &(SiteId, Customer)| (known.erased_at.is_none(), *site != self.here);
        Ok(rows.into_iter().min_by_key(rank))
    }

    /// Whether a person was erased, by any site.
    pub fn is_erased(&self, person: CustomerId) -> Result<bool, ViewError> {
        Ok(rows_of_sites::<Customer>(&self.rows, person)?.iter().any(|(_, known)| known.erased_at.is_some()))
    }

    /// The customer of this site who has an e-mail address, by its keyed hash.
    pub fn customer_with_email(&self, hash: &[u8; 32]) -> Result<Option<CustomerId>, ViewError> {
        Ok(row::<EmailOwner>(&self.rows, &self.here, hash)?.map(|owner| owner.customer))
    }

    /// Customers by id, after one of them.
    pub fn customers(
        &self,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<(CustomerId, SiteId, Customer)>, ViewError> {
        let from = after.map(|id| Key::new().fixed(&id.0).end()).unwrap_or_default();
        let range = KeyRange { from: from.as_bytes(), before: &[u8::MAX; 64] };
        let limit = limit.min(PAGE_MAX);
        let (mut found, mut failed) = (Vec::<CustomerId>::new(), None);
        self.rows.scan(Table::CUSTOMERS, range, &mut |key, _| {
            match Customer::parts(key) {
                Some((id, _)) if found.last() == Some(&id) => {}
                Some((id, _)) => found.push(id),
                None => failed = Some(ViewError { table: Table::CUSTOMERS.name(), why: "a key is damaged".into() }),
            }
            failed.is_none() && found.len() < limit
        })?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        let known = found.into_iter().map(|id| Ok(self.customer(id)?.map(|(home, known)| (id, home, known))));
        known.filter_map(Result::transpose).collect()
    }
}
