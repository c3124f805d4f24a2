//! Stock: levels, what happens at the shelf, the ledger, and the arithmetic explained.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::product::Policy;
use crate::time::Time;

/// Stock of one SKU, as the answering site sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stock {
    /// Of what.
    #[schema(example = "P1001")]
    pub sku: String,
    /// The product that it belongs to.
    pub product_id: String,
    /// What shoppers read.
    pub title: String,
    /// When its stock is promised.
    pub policy: Policy,
    /// Units that each location may promise beyond its stock.
    pub backorder_limit: u64,
    /// What is at each location that ever had some, by its id.
    pub levels: Vec<Level>,
    /// The sums over these locations.
    pub totals: Totals,
    /// How far the journal was folded when the levels were read; they have not changed since.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// What is at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Level {
    /// Where.
    pub location: String,
    /// Units physically there. Below zero only where nothing is refused.
    pub on_hand: i64,
    /// Units in live holds.
    pub reserved: i64,
    /// Units promised to orders and not handed out yet.
    pub committed: i64,
    /// Units damaged or in inspection.
    pub unavailable: i64,
    /// Units kept back.
    pub safety_stock: i64,
    /// on_hand − reserved − committed − unavailable − safety_stock
    pub available: i64,
    /// What the answering site may promise of it.
    pub sellable_here: i64,
    /// Units promised that are not there.
    pub shortage: i64,
    /// Changes of the answering site's row.
    pub version: u64,
}

/// Sums over locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Units physically there.
    pub on_hand: i64,
    /// Units in live holds.
    pub reserved: i64,
    /// Units promised to orders and not handed out yet.
    pub committed: i64,
    /// What can be promised.
    pub available: i64,
}

/// Units of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// Where.
    #[schema(min_length = 1, max_length = 64)]
    pub location: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub quantity: u64,
}

/// Books units that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001", "location": "berlin", "quantity": 12, "reference": "delivery 4711"}))]
pub struct ReceiveStock {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// Where.
    #[schema(min_length = 1, max_length = 64)]
    pub location: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub quantity: u64,
    /// The document behind it; permanently unique among receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reference: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reason: Option<String>,
    /// When it happened, if not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Time>,
}

/// Books units that a customer brought back, all lines or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reference": "C536379", "lines": [{"sku": "P1001", "location": "berlin", "quantity": 1}]}))]
pub struct ReturnStock {
    /// The document behind it; permanently unique among returns.
    #[schema(min_length = 1, max_length = 128)]
    pub reference: String,
    /// What came back.
    #[schema(min_items = 1, max_items = 1200)]
    pub lines: Vec<Line>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reason: Option<String>,
    /// When it happened, if not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Time>,
}

/// Sells over the counter: promised and handed out in one step, all lines or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reference": "536365", "lines": [{"sku": "P1001", "location": "berlin", "quantity": 1}]}))]
pub struct IssueStock {
    /// The invoice; permanently unique among sales.
    #[schema(min_length = 1, max_length = 128)]
    pub reference: String,
    /// What is sold; the demand of equal lines is summed.
    #[schema(min_items = 1, max_items = 1200)]
    pub lines: Vec<Line>,
    /// When it happened, if not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Time>,
}

/// Hands out units of a committed reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reservation": "res_019aa5c1d5f87e21b2f4b8a3c6d1e0f7"}))]
pub struct ShipStock {
    /// Whose.
    pub reservation: String,
    /// Which units; everything that is left, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1200)]
    pub lines: Option<Vec<Line>>,
    /// The document behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reference: Option<String>,
}

/// Where written-off units are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteOffFrom {
    /// From what could still be sold.
    #[default]
    Available,
    /// From what had been set aside.
    Unavailable,
}

/// Books units that broke, expired or were lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001", "location": "berlin", "quantity": 1, "reason": "water damage"}))]
pub struct WriteOffStock {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// Where.
    #[schema(min_length = 1, max_length = 64)]
    pub location: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub quantity: u64,
    /// Why.
    #[schema(min_length = 1, max_length = 128)]
    pub reason: String,
    /// Where they are taken from; `available` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<WriteOffFrom>,
    /// The document behind it; permanently unique among write-offs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reference: Option<String>,
}

/// Books what a person counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001", "location": "berlin", "counted": 11, "expected_on_hand": 12}))]
pub struct CountStock {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// Where.
    #[schema(min_length = 1, max_length = 64)]
    pub location: String,
    /// How many are there.
    #[schema(maximum = 1_000_000_000)]
    pub counted: u64,
    /// What the caller believed to be booked; anything else refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_on_hand: Option<i64>,
    /// The document behind it; permanently unique among counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reference: Option<String>,
    /// When it was counted, if not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Time>,
}

/// Sets what is not for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001", "location": "berlin", "safety_stock": 2}))]
pub struct AdjustStock {
    /// Of what.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// Where.
    #[schema(min_length = 1, max_length = 64)]
    pub location: String,
    /// Units damaged or in inspection from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub unavailable: Option<u64>,
    /// Units kept back from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub safety_stock: Option<u64>,
    /// What the caller believed to be set; anything else refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedAdjustment>,
}

/// What the caller believed to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAdjustment {
    /// Units damaged or in inspection; only together with a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub unavailable: Option<u64>,
    /// Units kept back; only together with a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub safety_stock: Option<u64>,
}

/// What kind of thing happened at the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// A delivery came in.
    Receive,
    /// A customer brought units back.
    Return,
    /// Units were sold over the counter.
    Issue,
    /// Committed units were handed out.
    Ship,
    /// Units broke, expired or were lost.
    WriteOff,
    /// A person counted what is there.
    Count,
}

/// One line of the stock ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Movement {
    /// Its place in the journal.
    #[schema(example = "1-7-0-0")]
    pub id: String,
    /// What happened.
    pub kind: MovementKind,
    /// Of what.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Units that on_hand changed by.
    pub quantity: i64,
    /// Units there afterwards.
    pub on_hand_after: i64,
    /// Units that could be promised afterwards. Said by the write, not kept in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub available_after: Option<i64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// The document behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reference: Option<String>,
    /// The reservation that was handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reservation: Option<String>,
    /// Who booked it.
    #[schema(example = "key:k3v9c2ab")]
    pub actor: String,
    /// When it happened, as the caller says.
    pub occurred_at: Time,
    /// When it was booked.
    pub recorded_at: Time,
    /// By which request. In the ledger; a write says it in the header `X-Request-Id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<String>,
}

/// What a write did at the shelf. A repeated request gets the same answer, whatever happened since;
/// read the stock for what is there now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockMoved {
    /// Per item, with what was there afterwards.
    pub movements: Vec<Movement>,
    /// The entry in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// What is not for sale now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockAdjusted {
    /// Of what.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Units damaged or in inspection.
    pub unavailable: u64,
    /// Units kept back.
    pub safety_stock: u64,
    /// Units that could be promised afterwards.
    pub available_after: i64,
    /// When.
    pub recorded_at: Time,
    /// The entry in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Why a SKU can or cannot be sold, with the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Of what.
    pub sku: String,
    /// The product that it belongs to.
    pub product_id: String,
    /// The units asked about.
    pub quantity: u64,
    /// Whether one of the explained locations would sell that many now.
    pub sellable: bool,
    /// The code that a reservation would be refused with; not there if it would succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "insufficient_stock")]
    pub code: Option<String>,
    /// The answer in one sentence.
    pub summary: String,
    /// Per location.
    pub locations: Vec<ExplainedLocation>,
    /// Gives the next page of the holds when it is sent as `page_token`; only when one location is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_page_token: Option<String>,
    /// How far the journal was folded.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// The arithmetic at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedLocation {
    /// The site that keeps the books of the location.
    pub home: String,
    /// The numbers.
    #[serde(flatten)]
    pub level: Level,
    /// Whether that many would be sold here now.
    pub sellable: bool,
    /// The code of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "insufficient_stock")]
    pub code: Option<String>,
    /// Units asked for.
    pub wanted: u64,
    /// Units that a reservation could get here now.
    pub promisable: i64,
    /// The arithmetic in sentences.
    pub sentences: Vec<String>,
    /// The books of each site.
    pub sites: Vec<SiteBooks>,
    /// Who holds or was promised units, soonest due first; the first page of them.
    pub holds: Vec<Hold>,
    /// Whether there are more holds; explain the location alone to page through them.
    pub more_holds: bool,
    /// Reservations that the shortage concerns: live holds first, the newest promises first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub at_risk: Vec<String>,
}

/// One site's books of the SKU at the location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteBooks {
    /// Which.
    pub site: String,
    /// Units that came in. Home site only, as the next two.
    pub received: u64,
    /// Units handed out.
    pub shipped: u64,
    /// Units that broke or were missing at a count.
    pub written_off: u64,
    /// Units in live holds of this site.
    pub reserved: u64,
    /// Units that this site has promised or sold.
    pub sold: u64,
    /// Units whose promise was taken back.
    pub unsold: u64,
    /// Units of quota given to other sites.
    pub granted: u64,
    /// Units that this site may promise in total.
    pub quota: i64,
    /// Units of them that are left.
    pub sellable: i64,
    /// Units given to each other site since the beginning.
    pub grants: Vec<Grant>,
    /// What this site has asked of others, and what became of it.
    pub asks: Vec<Ask>,
}

/// Units of quota that one site has given to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// To which site.
    pub to: String,
    /// How many, since the beginning.
    pub units: u64,
}

/// Units of quota that one site has asked of another. All but `open` are counted since the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ask {
    /// Of which site.
    pub of: String,
    /// How many.
    pub units: u64,
    /// How many of them were given.
    pub granted: u64,
    /// How many of them were not.
    pub declined: u64,
    /// How many have not been answered, as far as was read.
    pub open: u64,
    /// Until when the site waits before it asks others.
    pub until: Time,
}

/// Units held or promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// By which reservation.
    pub reservation: String,
    /// How many.
    pub quantity: u64,
    /// When the hold ends; not there if the units are committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires_at: Option<Time>,
}
