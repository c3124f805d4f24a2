//! Payments of orders.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::price::Money;
use crate::time::Time;

/// When what was set aside is paid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// As soon as the order is confirmed.
    Automatic,
    /// When somebody says so.
    Manual,
}

/// What has become of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The provider has not said whether it sets the money aside.
    Pending,
    /// The money is set aside.
    Authorized,
    /// It was paid out.
    Captured,
    /// The provider did not pay out what it has set aside: that is to be given up.
    Uncaptured,
    /// It was given up.
    Voided,
    /// The payer's side or the provider said no.
    Failed,
}

/// What a payment provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// To set the amount aside.
    Authorize,
    /// To pay out what was set aside.
    Capture,
    /// To give up what was set aside.
    Void,
    /// To give back some of what was paid out.
    Refund,
}

/// One payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// Its id: that of the order, and a number from 1.
    #[schema(example = "pay_019aa5c1d5f87e21b2f4b8a3c6d1e0f7_1")]
    pub id: String,
    /// Of which order.
    pub order_id: String,
    /// What is paid with: a token of the provider.
    pub method: String,
    /// When it is paid out.
    pub capture: Capture,
    /// What has become of it.
    pub status: PaymentStatus,
    /// How much was to be paid.
    pub amount: Money,
    /// What was paid out.
    pub captured: Money,
    /// What of that was given back.
    pub refunded: Money,
    /// What the provider is being asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pending: Option<PendingCall>,
    /// The provider's last words for not doing something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// The provider's own id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub provider_object: Option<String>,
    /// When it was begun.
    pub created_at: Time,
    /// When something became of it last.
    pub updated_at: Time,
}

/// A call whose outcome is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingCall {
    /// What is asked for.
    pub operation: Operation,
    /// Which call of the payment, from 1.
    pub attempt: u16,
    /// How much.
    pub amount: Money,
    /// Since when.
    pub since: Time,
    /// Why nobody makes it any more until somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parked: Option<String>,
}

/// Begins another payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "pm_card_visa", "wait_s": 5}))]
pub struct PayOrder {
    /// What is paid with: a token of the payment provider, never a card number.
    #[schema(min_length = 1, max_length = 128)]
    pub method: String,
    /// When it is paid out, `automatic` if not given. `manual` needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// For how many seconds to wait until the provider has said whether it sets the money aside, 0 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 30)]
    pub wait_s: Option<u64>,
}

/// Pays out what was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "12.50"}))]
pub struct CapturePayment {
    /// How much, in major units; all of it, if not given. The rest is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[0-9]+(\.[0-9]+)?$")]
    pub amount: Option<String>,
}
