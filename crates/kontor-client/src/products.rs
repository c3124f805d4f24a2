//! Products: created, read, edited, put in by the many.

use http::Method;
use kontor_api::job::RowAnswer;
use kontor_api::listing::{ChangeListing, ListingEdit};
use kontor_api::path;
use kontor_api::product::{Batch, BatchGet, Product};
use kontor_api::product_edit::{ChangeProduct, ChangeVariant, CreateProduct, ProductEdit, PutProduct, PutVariant};

use crate::client::{Client, IfMatch};
use crate::error::ClientError;

impl Client {
    /// Adds a product.
    pub async fn create_product(&self, product: &CreateProduct, key: Option<&str>) -> Result<Product, ClientError> {
        self.write(path::PRODUCTS, key, product).await
    }

    /// One product.
    pub async fn product(&self, id: &str) -> Result<Product, ClientError> {
        self.read(&path::with(path::PRODUCT, &[id])).await
    }

    /// Up to 200 products by id or SKU.
    pub async fn products(&self, wanted: &BatchGet) -> Result<Batch, ClientError> {
        self.write(path::PRODUCTS_BATCH, None, wanted).await
    }

    /// Sets fields of a product.
    pub async fn change_product(
        &self,
        id: &str,
        seen: IfMatch,
        change: &ChangeProduct,
    ) -> Result<ProductEdit, ClientError> {
        self.edit(Method::PATCH, &path::with(path::PRODUCT, &[id]), seen, Some(change)).await
    }

    /// Deletes a product that has neither stock nor promises.
    pub async fn delete_product(&self, id: &str, seen: IfMatch) -> Result<ProductEdit, ClientError> {
        self.edit(Method::DELETE, &path::with(path::PRODUCT, &[id]), seen, None::<&()>).await
    }

    /// Adds a variant to a product.
    pub async fn add_variant(
        &self,
        id: &str,
        variant: &PutVariant,
        key: Option<&str>,
    ) -> Result<ProductEdit, ClientError> {
        self.write(&path::with(path::VARIANTS, &[id]), key, variant).await
    }

    /// Sets fields of a variant.
    pub async fn change_variant(
        &self,
        id: &str,
        sku: &str,
        seen: IfMatch,
        change: &ChangeVariant,
    ) -> Result<ProductEdit, ClientError> {
        self.edit(Method::PATCH, &path::with(path::VARIANT, &[id, sku]), seen, Some(change)).await
    }

    /// Sets fields of what a product says in a market.
    pub async fn change_listing(
        &self,
        id: &str,
        market: &str,
        seen: IfMatch,
        change: &ChangeListing,
    ) -> Result<ListingEdit, ClientError> {
        self.edit(Method::PATCH, &path::with(path::MARKET, &[id, market]), seen, Some(change)).await
    }

    /// Makes or changes many products, or says what would change. May be sent again as it is.
    pub async fn put_products(&self, products: &[PutProduct], dry_run: bool) -> Result<Vec<RowAnswer>, ClientError> {
        let query = if dry_run { "?dry_run=true" } else { "" };
        let lines = crate::jobs::lines(products)?;
        self.post_lines(&format!("{}{query}", path::PRODUCTS_BULK), lines).await?.lines()
    }
}
