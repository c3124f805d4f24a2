//! Carts: opened, filled, checked out. Who has no key gives the token with which the cart was opened.

use kontor_api::cart::{AddLines, Cart, ChangeCart, Checkout, MergeCarts, OpenCart, SetLine};
use kontor_api::order::Order;
use kontor_api::page::Page;
use kontor_api::{Empty, path};

use crate::client::{Client, IfMatch};
use crate::error::ClientError;

impl Client {
    /// Opens a cart. The answer has its token, this once.
    pub async fn open_cart(&self, cart: &OpenCart, key: Option<&str>) -> Result<Cart, ClientError> {
        self.write(path::CARTS, key, cart).await
    }

    /// One cart, with what is missing before it can be ordered.
    pub async fn cart(&self, id: &str) -> Result<Cart, ClientError> {
        self.read(&path::with(path::CART, &[id])).await
    }

    /// Open carts of a customer.
    pub async fn carts_of_customer(&self, customer: &str) -> Result<Page<Cart>, ClientError> {
        self.read(&path::with(path::CARTS_OF_CUSTOMER, &[customer])).await
    }

    /// Puts units into a cart.
    pub async fn add_to_cart(&self, id: &str, lines: &AddLines, key: &str) -> Result<Cart, ClientError> {
        self.write(&path::with(path::CART_LINES, &[id]), Some(key), lines).await
    }

    /// Sets how many units of a SKU are in a cart.
    pub async fn set_cart_line(&self, id: &str, sku: &str, line: &SetLine) -> Result<Cart, ClientError> {
        self.put(&path::with(path::CART_LINE, &[id, sku]), line).await
    }

    /// Takes a SKU out of a cart.
    pub async fn remove_cart_line(&self, id: &str, sku: &str) -> Result<Cart, ClientError> {
        self.delete(&path::with(path::CART_LINE, &[id, sku])).await
    }

    /// Sets what is known of a cart besides its lines.
    pub async fn change_cart(&self, id: &str, seen: IfMatch, change: &ChangeCart) -> Result<Cart, ClientError> {
        self.edit(http::Method::PATCH, &path::with(path::CART, &[id]), seen, Some(change)).await
    }

    /// Takes the prices of the catalogue as they are now.
    pub async fn accept_cart_prices(&self, id: &str) -> Result<Cart, ClientError> {
        self.write(&path::with(path::ACCEPT_PRICES, &[id]), None, &Empty {}).await
    }

    /// Puts what is in another cart into this one.
    pub async fn merge_carts(&self, id: &str, merge: &MergeCarts, key: &str) -> Result<Cart, ClientError> {
        self.write(&path::with(path::CART_MERGE, &[id]), Some(key), merge).await
    }

    /// Places an order from a cart; given again, it is the same order.
    pub async fn check_out(&self, id: &str, checkout: &Checkout, key: &str) -> Result<Order, ClientError> {
        self.write(&path::with(path::CHECKOUT, &[id]), Some(key), checkout).await
    }
}
