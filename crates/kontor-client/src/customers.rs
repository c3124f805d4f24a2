//! Customers: made, read, found, changed, forgotten.

use http::Method;
use kontor_api::customer::{ChangeCustomer, CreateCustomer, Customer, CustomerChanged, CustomerErased, EraseCustomer};
use kontor_api::page::Page;
use kontor_api::path;

use crate::client::{Client, IfMatch};
use crate::error::ClientError;

impl Client {
    /// Makes a customer.
    pub async fn create_customer(&self, customer: &CreateCustomer, key: Option<&str>) -> Result<Customer, ClientError> {
        self.write(path::CUSTOMERS, key, customer).await
    }

    /// One customer.
    pub async fn customer(&self, id: &str) -> Result<Customer, ClientError> {
        self.read(&path::with(path::CUSTOMER, &[id])).await
    }

    /// The customer of the site who has an e-mail address.
    pub async fn customer_with_email(&self, email: &str) -> Result<Option<Customer>, ClientError> {
        let mut query = format!("{}?email=", path::CUSTOMERS);
        path::encode(email, &mut query);
        let page: Page<Customer> = self.read(&query).await?;
        Ok(page.items.into_iter().next())
    }

    /// Sets something of a customer.
    pub async fn change_customer(
        &self,
        id: &str,
        seen: IfMatch,
        change: &ChangeCustomer,
    ) -> Result<CustomerChanged, ClientError> {
        self.edit(Method::PATCH, &path::with(path::CUSTOMER, &[id]), seen, Some(change)).await
    }

    /// Forgets a person, everywhere and for good.
    pub async fn erase_customer(
        &self,
        id: &str,
        erase: &EraseCustomer,
        key: Option<&str>,
    ) -> Result<CustomerErased, ClientError> {
        self.write(&path::with(path::ERASE_CUSTOMER, &[id]), key, erase).await
    }
}
