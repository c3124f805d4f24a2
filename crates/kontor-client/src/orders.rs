//! Orders and their payments. Every write carries a key; send the same one again after an unknown outcome.

use kontor_api::order::{CancelOrder, Order, OrderStep, RefundOrder, ShipOrder};
use kontor_api::page::Page;
use kontor_api::payment::{CapturePayment, PayOrder, Payment};
use kontor_api::{Empty, path};

use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// One order, by its id or its number.
    pub async fn order(&self, id: &str) -> Result<Order, ClientError> {
        self.read(&path::with(path::ORDER, &[id])).await
    }

    /// What became of an order, the oldest first: the first page of it.
    pub async fn order_timeline(&self, id: &str) -> Result<Page<OrderStep>, ClientError> {
        self.read(&path::with(path::TIMELINE, &[id])).await
    }

    /// Begins another payment of an order.
    pub async fn pay_order(&self, id: &str, payment: &PayOrder, key: &str) -> Result<Order, ClientError> {
        self.write(&path::with(path::PAY_ORDER, &[id]), Some(key), payment).await
    }

    /// Cancels an order of which nothing was handed out.
    pub async fn cancel_order(&self, id: &str, cancel: &CancelOrder, key: &str) -> Result<Order, ClientError> {
        self.write(&path::with(path::CANCEL_ORDER, &[id]), Some(key), cancel).await
    }

    /// Gives money back, and takes goods back.
    pub async fn refund_order(&self, id: &str, refund: &RefundOrder, key: &str) -> Result<Order, ClientError> {
        self.write(&path::with(path::REFUND_ORDER, &[id]), Some(key), refund).await
    }

    /// Hands out what was promised to an order.
    pub async fn ship_order(&self, id: &str, ship: &ShipOrder, key: &str) -> Result<Order, ClientError> {
        self.write(&path::with(path::SHIP_ORDER, &[id]), Some(key), ship).await
    }

    /// One payment.
    pub async fn payment(&self, id: &str) -> Result<Payment, ClientError> {
        self.read(&path::with(path::PAYMENT, &[id])).await
    }

    /// Pays out what was set aside.
    pub async fn capture_payment(&self, id: &str, capture: &CapturePayment, key: &str) -> Result<Payment, ClientError> {
        self.write(&path::with(path::CAPTURE_PAYMENT, &[id]), Some(key), capture).await
    }

    /// Makes a call that was parked again.
    pub async fn resume_payment(&self, id: &str, key: &str) -> Result<Payment, ClientError> {
        self.write(&path::with(path::RESUME_PAYMENT, &[id]), Some(key), &Empty {}).await
    }
}
