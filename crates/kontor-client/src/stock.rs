//! Stock: levels, why they are what they are, and what happens at the shelf.

use kontor_api::path;
use kontor_api::stock::{CountStock, Explanation, IssueStock, ReceiveStock, ReturnStock, ShipStock, Stock, StockMoved};

use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// The levels of a SKU.
    pub async fn stock(&self, sku: &str) -> Result<Stock, ClientError> {
        self.read(&path::with(path::STOCK_OF_SKU, &[sku])).await
    }

    /// Why a SKU can or cannot be sold, at one location or all, optionally for a quantity.
    pub async fn explain_stock(
        &self,
        sku: &str,
        location: Option<&str>,
        quantity: Option<u64>,
    ) -> Result<Explanation, ClientError> {
        // Location ids need no encoding; one that would is refused by the site.
        let location = location.map(|location| format!("location={}", location.replace(['&', '#', ' '], "")));
        let quantity = quantity.map(|quantity| format!("quantity={quantity}"));
        let query: Vec<String> = location.into_iter().chain(quantity).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        self.read(&format!("{}{query}", path::with(path::EXPLAIN, &[sku]))).await
    }

    /// Books units that came in.
    pub async fn receive(&self, units: &ReceiveStock, key: &str) -> Result<StockMoved, ClientError> {
        self.write(path::RECEIVE, Some(key), units).await
    }

    /// Books units that customers brought back.
    pub async fn take_back(&self, units: &ReturnStock, key: &str) -> Result<StockMoved, ClientError> {
        self.write(path::RETURN, Some(key), units).await
    }

    /// Sells over the counter, all lines or none.
    pub async fn issue(&self, units: &IssueStock, key: &str) -> Result<StockMoved, ClientError> {
        self.write(path::ISSUE, Some(key), units).await
    }

    /// Hands out units of a committed reservation.
    pub async fn ship(&self, units: &ShipStock, key: &str) -> Result<StockMoved, ClientError> {
        self.write(path::SHIP, Some(key), units).await
    }

    /// Books what a person counted.
    pub async fn count(&self, count: &CountStock, key: &str) -> Result<StockMoved, ClientError> {
        self.write(path::COUNT, Some(key), count).await
    }
}
