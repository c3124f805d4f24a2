//! Products and locations.

use super::{Rules, limit, revision};
use crate::event::Event;
use crate::id::{LocationId, ProductId, Sku};
use crate::limits::{QUANTITY_MAX, VARIANTS_MAX};
use crate::location::Location;
use crate::product::{Item, Product, Selling, Status};
use crate::refusal::{Refusal, Stop};
use crate::site::SiteRow;
use crate::text::Title;
use crate::time::Stamp;
use crate::view::{derived, row, rows_of_sites};

impl Rules<'_> {
    pub(super) fn create_product(
        self,
        id: Option<&ProductId>,
        sku: &Sku,
        title: &Title,
        selling: Selling,
    ) -> Result<Vec<Event>, Stop> {
        limit("backorder_limit", selling.backorder_limit, QUANTITY_MAX)?;
        let id = id.cloned().unwrap_or_else(|| sku.clone().into());
        if derived::<Product>(self.view, &id)?.is_some() {
            return Err(Refusal::AlreadyExists { what: "product", name: id.to_string() }.into());
        }
        self.sku_is_free(sku)?;
        let (sku, title, stamp) = (sku.clone(), title.clone(), self.stamp()?);
        Ok(vec![Event::ProductCreated { id, sku, title, selling, stamp }])
    }

    pub(super) fn change_product(
        self,
        id: &ProductId,
        title: Option<&Title>,
        status: Option<Status>,
        expected: Option<u64>,
    ) -> Result<Vec<Event>, Stop> {
        if title.is_none() && status.is_none() {
            return Err(Refusal::Nothing { what: "the change" }.into());
        }
        let product = self.product(id)?;
        revision(expected, product.revision)?;
        let (id, title, stamp) = (id.clone(), title.cloned(), self.stamp()?);
        Ok(vec![Event::ProductChanged { id, title, status, stamp }])
    }

    pub(super) fn add_variant(
        self,
        id: &ProductId,
        sku: &Sku,
        title: Option<&Title>,
        selling: Selling,
    ) -> Result<Vec<Event>, Stop> {
        limit("backorder_limit", selling.backorder_limit, QUANTITY_MAX)?;
        let product = self.product(id)?;
        limit("variants", product.variants.len() as u64 + 1, VARIANTS_MAX as u64)?;
        self.sku_is_free(sku)?;
        let (id, sku, title, stamp) = (id.clone(), sku.clone(), title.cloned(), self.stamp()?);
        Ok(vec![Event::VariantAdded { id, sku, title, selling, stamp }])
    }

    pub(super) fn change_variant(
        self,
        id: &ProductId,
        sku: &Sku,
        title: Option<&Title>,
        selling: Option<Selling>,
        expected: Option<u64>,
    ) -> Result<Vec<Event>, Stop> {
        if title.is_none() && selling.is_none() {
            return Err(Refusal::Nothing { what: "the change" }.into());
        }
        if let Some(selling) = selling {
            limit("backorder_limit", selling.backorder_limit, QUANTITY_MAX)?;
        }
        let product = self.product(id)?;
        if !product.variants.iter().any(|variant| variant.sku == *sku) {
            return Err(Refusal::UnknownSku { sku: sku.clone() }.into());
        }
        revision(expected, product.revision)?;
        let (id, sku, title, stamp) = (id.clone(), sku.clone(), title.cloned(), self.stamp()?);
        Ok(vec![Event::VariantChanged { id, sku, title, selling, stamp }])
    }

    pub(super) fn open_location(self, id: &LocationId, name: &Title) -> Result<Vec<Event>, Stop> {
        if !rows_of_sites::<Location>(self.view, id)?.is_empty() {
            return Err(Refusal::AlreadyExists { what: "location", name: id.to_string() }.into());
        }
        Ok(vec![Event::LocationOpened { id: id.clone(), name: name.clone() }])
    }

    pub(super) fn rename_location(
        self,
        id: &LocationId,
        name: &Title,
        expected: Option<u64>,
    ) -> Result<Vec<Event>, Stop> {
        self.home_here(id)?;
        let location = row::<Location>(self.view, self.context.site, id)?;
        revision(expected, location.map_or(0, |location| location.revision))?;
        Ok(vec![Event::LocationRenamed { id: id.clone(), name: name.clone() }])
    }

    fn product(self, id: &ProductId) -> Result<Product, Stop> {
        let product = derived::<Product>(self.view, id)?;
        product.ok_or_else(|| Refusal::UnknownProduct { id: id.clone() }.into())
    }

    fn sku_is_free(self, sku: &Sku) -> Result<(), Stop> {
        match derived::<Item>(self.view, sku)? {
            Some(_) => Err(Refusal::AlreadyExists { what: "sku", name: sku.to_string() }.into()),
            None => Ok(()),
        }
    }

    /// Greater than every stamp that this site has folded, so that an informed edit wins.
    fn stamp(self) -> Result<Stamp, Stop> {
        let sites = rows_of_sites::<SiteRow>(self.view, ())?;
        let folded = sites.iter().map(|(_, site)| site.stamp).max().unwrap_or_default();
        Ok(Stamp::next(self.context.now, folded))
    }
}
