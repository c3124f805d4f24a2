//! Products: created, read.

use kontor_api::path;
use kontor_api::product::{CreateProduct, Product};

use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Adds a product with its first variant.
    pub async fn create_product(&self, product: &CreateProduct, key: Option<&str>) -> Result<Product, ClientError> {
        self.write(path::PRODUCTS, key, product).await
    }

    /// One product.
    pub async fn product(&self, id: &str) -> Result<Product, ClientError> {
        self.read(&path::with(path::PRODUCT, &[id])).await
    }
}
