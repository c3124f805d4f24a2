//! Carts: what somebody may want to buy.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Code;
use crate::payment::Capture;
use crate::person::{Contact, ContactShown};
use crate::price::Money;
use crate::time::Time;

/// What has become of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CartStatus {
    /// It can be filled and checked out.
    Open,
    /// An order was placed from it: `order_id`.
    Ordered,
    /// What was in it is in `merged_into`.
    Merged,
}

/// A cart, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cart {
    /// Its id: a UUID, and the site that alone changes it.
    #[schema(example = "cart_019aa5c1d5f87e21b2f4b8a3c6d1e0f7.main")]
    pub id: String,
    /// What opens it without a key, as `X-Cart-Token`. Shown once, when it is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token: Option<String>,
    /// What has become of it.
    pub status: CartStatus,
    /// In which prices are (ISO 4217).
    #[schema(example = "EUR")]
    pub currency: String,
    /// Whose prices hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub market: Option<String>,
    /// Where all of it is taken from; each line from wherever there is enough, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub location: Option<String>,
    /// Whose it is; a guest's, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub customer_id: Option<String>,
    /// Where its buyer is reached.
    pub contact: ContactShown,
    /// What is in it, in the order in which it was put there.
    pub lines: Vec<CartLine>,
    /// What is added to the prices of the lines.
    pub amounts: Vec<Amount>,
    /// Lines and amounts together, if every line has a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<Money>,
    /// Until when what is held as soon as it is in a cart is held for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held_until: Option<Time>,
    /// What is missing before it can be ordered, each as the problem that its checkout would be.
    pub requirements: Vec<Requirement>,
    /// What its buyer should know; none of it is in the way of an order.
    pub warnings: Vec<Warning>,
    /// The order that was placed from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub order_id: Option<String>,
    /// The cart that what was in it is in now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merged_into: Option<String>,
    /// Changes so far.
    pub revision: u64,
    /// When it was opened.
    pub created_at: Time,
    /// When it was changed last.
    pub updated_at: Time,
    /// How far the journal was folded when it was read.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Units of one SKU in a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CartLine {
    /// Of what.
    pub sku: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// How many.
    pub quantity: u64,
    /// For how much each, as its buyer has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub price: Option<Money>,
    /// Whether a holder of a key has set the price: then the catalogue's does not matter.
    pub is_own_price: bool,
    /// For how much together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<Money>,
    /// What the catalogue says now, if that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub price_now: Option<Money>,
}

/// Something that is missing. Facts of the code stand beside these fields, as in a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requirement {
    /// What programs decide by.
    pub code: Code,
    /// What is missing, in a sentence.
    pub detail: String,
    /// The facts of the code.
    #[serde(flatten)]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// Something that the buyer of a cart should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// What programs decide by.
    pub code: WarningCode,
    /// The same in a sentence.
    pub detail: String,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// Nobody can write to the buyer.
    NoEmail,
    /// Nobody knows where the goods go.
    NoShipTo,
    /// What was held for it is not held any more; the next change of its lines holds it anew.
    HoldExpired,
}

/// What an amount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AmountKind {
    /// Bringing the goods.
    Shipping,
    /// What the state gets.
    Tax,
    /// What is taken off: its amount is not above zero.
    Discount,
}

/// Money that is added to, or taken off, the lines of a cart or an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Amount {
    /// What for.
    pub kind: AmountKind,
    /// How it is called on the bill.
    pub label: String,
    /// How much.
    pub amount: Money,
}

/// An amount, as a caller sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "shipping", "label": "Parcel", "amount": "4.90"}))]
pub struct SetAmount {
    /// What for.
    pub kind: AmountKind,
    /// How it is called on the bill.
    #[schema(min_length = 1, max_length = 200)]
    pub label: String,
    /// In major units of the cart's currency; of a discount, below zero.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    pub amount: String,
}

/// Opens a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"currency": "EUR", "lines": [{"sku": "P1001", "quantity": 2}]}))]
pub struct OpenCart {
    /// Its id, `cart_` and a UUID; made by the site if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^cart_[0-9a-f]{32}$")]
    pub id: Option<String>,
    /// In which prices are (ISO 4217).
    #[schema(pattern = "^[A-Z]{3}$")]
    pub currency: String,
    /// Whose prices hold; the products' own, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 32)]
    pub market: Option<String>,
    /// Where all of it is taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub location: Option<String>,
    /// Whose it is. Needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^cus_[0-9a-f]{32}$")]
    pub customer_id: Option<String>,
    /// Where its buyer is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// What is added to the prices of the lines. Needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub amounts: Option<Vec<SetAmount>>,
    /// What is put into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1200)]
    pub lines: Option<Vec<AddLine>>,
}

/// Units that are put into a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLine {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// How many more.
    #[schema(minimum = 1, maximum = 1000000000)]
    pub quantity: u64,
    /// For how much each, in major units of the cart's currency, whatever the catalogue says. Needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[0-9]+(\.[0-9]+)?$")]
    pub price: Option<String>,
}

/// Puts units into a cart: whatever else is put there at the same time, all of it is there afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "P1001", "quantity": 1}]}))]
pub struct AddLines {
    /// What.
    #[schema(min_items = 1, max_items = 1200)]
    pub lines: Vec<AddLine>,
}

/// Sets a line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quantity": 3}))]
pub struct SetLine {
    /// How many from now on; 0 takes the line away.
    #[schema(maximum = 1000000000)]
    pub quantity: u64,
    /// The line with this price of one's own, instead of that at the catalogue's. Needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[0-9]+(\.[0-9]+)?$")]
    pub price: Option<String>,
}

/// Sets what is known of a cart besides its lines. What is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"location": "store-s1"}))]
pub struct ChangeCart {
    /// Whose it is, of a guest's. Needs a key.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^cus_[0-9a-f]{32}$")]
    pub customer_id: Option<String>,
    /// Where its buyer is reached: the fields that are given.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub contact: Option<Contact>,
    /// All that is added to the prices of the lines. Needs a key.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 50)]
    pub amounts: Option<Vec<SetAmount>>,
    /// Where all of it is taken from; `null` leaves that to the site again.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub location: Option<Option<String>>,
}

/// Puts what is in another cart of the site into this one, and closes the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "cart_019aa5c1d5f87e21b2f4b8a3c6d1e0f7.main"}))]
pub struct MergeCarts {
    /// The other one.
    #[schema(pattern = "^cart_[0-9a-f]{32}(\\.[a-z0-9-]{1,32})?$")]
    pub from: String,
    /// The token of the other one; not needed with a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub from_token: Option<String>,
}

/// Places an order from a cart. Given again, it answers the same order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"payment_method": "pm_card_visa", "wait_s": 5}))]
pub struct Checkout {
    /// What is paid with: a token of the payment provider, never a card number. The order waits for a payment, if
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub payment_method: Option<String>,
    /// When it is paid out, `automatic` if not given. `manual` needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// For how many seconds units are held while it is not paid, 1800 if not given. Needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub hold_s: Option<u64>,
    /// For how many seconds to wait until the provider has said whether it sets the money aside, 0 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 30)]
    pub wait_s: Option<u64>,
}
