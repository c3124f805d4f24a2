//! Customers: kept, changed, forgotten.

use super::{Rules, limit, revision, unreadable};
use crate::command::Must;
use crate::event::Event;
use crate::id::CustomerId;
use crate::limits::CUSTOMER_ADDRESSES_MAX;
use crate::person::{Customer, CustomerEdit, EmailOwner};
use crate::refusal::{Refusal, Stop};
use crate::text::Reason;
use crate::view::{row, rows_of_sites};

impl Rules<'_> {
    pub(super) fn save_customer(
        self,
        id: CustomerId,
        edit: &CustomerEdit,
        expected: Option<u64>,
        must: Must,
    ) -> Result<Vec<Event>, Stop> {
        if edit.is_empty() && must != Must::Create {
            return Err(Refusal::Nothing { what: "the change" }.into());
        }
        if edit.fields().any(|field| field.person() != id) {
            return Err(unreadable("customers", "a field is sealed for another person"));
        }
        limit("addresses", edit.addresses.iter().flatten().count() as u64, CUSTOMER_ADDRESSES_MAX as u64)?;
        let known = row::<Customer>(self.view, self.context.site, id)?;
        match (&known, must) {
            (Some(Customer { erased_at: Some(_), .. }), _) => {
                return Err(Refusal::CustomerErased { customer: id }.into());
            }
            (Some(_), Must::Create) => {
                return Err(Refusal::AlreadyExists { what: "customer", name: id.to_string() }.into());
            }
            (None, Must::Exist) => return Err(Refusal::UnknownCustomer { customer: id }.into()),
            _ => {}
        }
        revision(expected, known.as_ref().map_or(0, |known| known.revision))?;
        if let Some((hash, _)) = &edit.email
            && let Some(owner) = row::<EmailOwner>(self.view, self.context.site, hash)?
            && owner.customer != id
        {
            // Not the address: whoever may not read it is not told that it is known.
            return Err(Refusal::AlreadyExists { what: "customer", name: owner.customer.to_string() }.into());
        }
        let before = known.and_then(|known| known.email_hash);
        let email_before = before.filter(|before| edit.email.as_ref().is_some_and(|(hash, _)| hash != before));
        Ok(vec![Event::CustomerSaved { id, edit: Box::new(edit.clone()), email_before }])
    }

    /// Forgets anybody whose fields are sealed here: also guests, of whom there is no customer.
    pub(super) fn erase_customer(self, id: CustomerId, reason: Option<&Reason>) -> Result<Vec<Event>, Stop> {
        let known = row::<Customer>(self.view, self.context.site, id)?;
        if known.as_ref().is_some_and(|known| known.erased_at.is_some()) {
            return Ok(Vec::new());
        }
        let email_before = known.and_then(|known| known.email_hash);
        Ok(vec![Event::CustomerErased { id, email_before, reason: reason.cloned() }])
    }

    /// Refuses a customer who is not known, or was erased.
    pub(super) fn customer(self, id: CustomerId) -> Result<(), Stop> {
        let rows = rows_of_sites::<Customer>(self.view, id)?;
        if rows.iter().any(|(_, known)| known.erased_at.is_some()) {
            return Err(Refusal::CustomerErased { customer: id }.into());
        }
        if rows.is_empty() { Err(Refusal::UnknownCustomer { customer: id }.into()) } else { Ok(()) }
    }
}
