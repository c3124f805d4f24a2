//! Orders: what somebody has bought, and what has become of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cart::Amount;
use crate::payment::Payment;
use crate::person::ContactShown;
use crate::price::Money;
use crate::reservation::ReservationLine;
use crate::stock::Line;
use crate::time::Time;

/// Whether an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// It was placed, and its units are held until it is paid.
    Open,
    /// Its money is sure, and its units are promised.
    Confirmed,
    /// All of it was paid and handed out.
    Completed,
    /// It does not stand any more.
    Canceled,
}

/// What has become of the money of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderPayment {
    /// Nothing has been said by a provider.
    Pending,
    /// The provider has set it aside.
    Authorized,
    /// All of it was paid.
    Paid,
    /// Some of it was paid.
    PartiallyPaid,
    /// Some of what was paid was given back.
    PartiallyRefunded,
    /// All that was paid was given back.
    Refunded,
    /// Nothing is set aside any more, and nothing was paid.
    Voided,
    /// The last payment was declined or refused.
    Failed,
    /// There is nothing to pay.
    NotRequired,
}

/// What has become of the goods of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fulfillment {
    /// Nothing was handed out.
    Unfulfilled,
    /// Some of it was.
    PartiallyFulfilled,
    /// All of it was.
    Fulfilled,
    /// Some of what was handed out came back.
    PartiallyReturned,
    /// All of it came back.
    Returned,
}

/// An order, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// Its id: that of the cart that it was placed from.
    #[schema(example = "ord_019aa5c1d5f87e21b2f4b8a3c6d1e0f7")]
    pub id: String,
    /// What people call it by: the site that took it, and a number.
    #[schema(example = "main-1001")]
    pub number: String,
    /// The site that took it, and alone changes it.
    pub site: String,
    /// The cart that it was placed from.
    pub cart_id: String,
    /// Whether it stands.
    pub status: OrderStatus,
    /// What has become of the money.
    pub payment_status: OrderPayment,
    /// What has become of the goods.
    pub fulfillment_status: Fulfillment,
    /// Who bought; a guest, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub customer_id: Option<String>,
    /// Where the buyer is reached, as far as the answering site can read it.
    pub contact: ContactShown,
    /// In which all its amounts are (ISO 4217).
    pub currency: String,
    /// Whose prices held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub market: Option<String>,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// What was added to the prices of the lines.
    pub amounts: Vec<Amount>,
    /// Lines and amounts together.
    pub total: Money,
    /// What a provider has set aside, and neither paid out nor given up.
    pub authorized: Money,
    /// What was paid out.
    pub captured: Money,
    /// What of that was given back.
    pub refunded: Money,
    /// What holds or has promised its units.
    pub reservation: String,
    /// Where its units are taken from, as far as the answering site knows.
    pub allocations: Vec<ReservationLine>,
    /// Until when its units are held, while it is not paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held_until: Option<Time>,
    /// Its payments; the site that took it alone knows them.
    pub payments: Vec<Payment>,
    /// When it was placed.
    pub placed_at: Time,
    /// When something became of it last.
    pub updated_at: Time,
    /// How far the journal was folded when it was read.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Units of one SKU in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// Of what.
    pub sku: String,
    /// What it was called when it was sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// How many.
    pub quantity: u64,
    /// For how much each.
    pub price: Money,
    /// For how much together.
    pub total: Money,
    /// How many of them came back.
    pub returned: u64,
}

/// Something that became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderStep {
    /// Its entry in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
    /// When it was recorded.
    pub recorded_at: Time,
    /// Who did it.
    pub actor: String,
    /// By which request.
    pub request_id: String,
    /// Why: `placed`, `payment_begun`, `authorized`, `captured`, `canceled`, `shipped` and so on.
    #[schema(example = "captured")]
    pub cause: String,
    /// Of which payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub payment: Option<String>,
    /// How much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub amount: Option<Money>,
    /// What was said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Whether it stood afterwards.
    pub status: OrderStatus,
    /// What had become of the money afterwards.
    pub payment_status: OrderPayment,
    /// What had become of the goods afterwards.
    pub fulfillment_status: Fulfillment,
}

/// Cancels an order of which nothing was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "changed my mind"}))]
pub struct CancelOrder {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reason: Option<String>,
}

/// Gives money back, and takes goods back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "P1001", "quantity": 1, "restock": "store-s1"}], "reason": "too small"}))]
pub struct RefundOrder {
    /// How much, in major units; the prices of the lines, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[0-9]+(\.[0-9]+)?$")]
    pub amount: Option<String>,
    /// What comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1200)]
    pub lines: Option<Vec<ReturnLine>>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reason: Option<String>,
}

/// Units of an order that come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnLine {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1000000000)]
    pub quantity: u64,
    /// The location at which they are put on the shelf again; nowhere, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub restock: Option<String>,
}

/// Hands out what was promised to an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct ShipOrder {
    /// What; all that is left, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1200)]
    pub lines: Option<Vec<Line>>,
}
