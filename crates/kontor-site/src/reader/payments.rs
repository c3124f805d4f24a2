//! Payments, as those need them who ask providers.

use kontor_core::payment::call::Call;
use kontor_core::payment::record::{Pending, parts};
use kontor_core::record::Table;
use kontor_core::view::{KeyRange, View as _, ViewError};

use super::Reader;

impl Reader {
    /// All calls to providers that are to be made by this site.
    pub fn payments_due(&self) -> Result<Vec<(Call, Pending)>, ViewError> {
        let mut ids = Vec::new();
        self.rows.scan(Table::PAYMENTS_DUE, KeyRange { from: &[], before: &[u8::MAX; 64] }, &mut |key, _| {
            ids.extend(parts(key).filter(|(_, site)| *site == self.here.as_str()).map(|(id, _)| id));
            true
        })?;
        let mut due = Vec::with_capacity(ids.len());
        for id in ids {
            let payment = self.payment(id)?;
            due.extend(payment.and_then(|payment| payment.call(id).zip(payment.pending)));
        }
        Ok(due)
    }
}
