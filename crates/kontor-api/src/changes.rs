//! The change feed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::product::Policy;
use crate::reservation::{ReservationLine, ReservationStatus};
use crate::revision::FieldChange;
use crate::stock::MovementKind;
use crate::time::Time;

/// Entries of one answer, when the caller names no number.
pub const CHANGES_LIMIT: usize = 100;

/// Entries of one answer at most.
pub const CHANGES_LIMIT_MAX: usize = 1_000;

/// The longest that an answer waits for something new, in seconds.
pub const WAIT_S_MAX: u64 = 30;

/// What happened after a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// Entries of the journal, oldest first.
    pub items: Vec<Change>,
    /// Send it as `after` to go on from here.
    #[schema(example = "1-7-0")]
    pub next: String,
}

/// What a request would do now, with `dry_run=true`. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// `true`.
    pub dry_run: bool,
    /// What would happen, in order.
    pub events: Vec<Event>,
}

/// Everything that one request did. Without a key, who and by which request are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its place in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
    /// When it was recorded.
    pub recorded_at: Time,
    /// Who wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor: Option<String>,
    /// The request's id in logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<String>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// One effect, as callers with a key see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A product was added with its first variant.
    ProductCreated {
        /// Which.
        id: String,
        /// Of the first variant.
        sku: String,
        /// What shoppers read.
        title: String,
        /// When its stock is promised.
        policy: Policy,
        /// Units that each location may promise beyond its stock.
        backorder_limit: u64,
    },
    /// Fields of a product or of its variants were set. Callers without a key are told which product alone.
    ProductChanged {
        /// Which.
        id: String,
        /// The revision that the edit made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        revision: Option<u64>,
        /// The fields that it has changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schema(required = false)]
        changes: Vec<FieldChange>,
    },
    /// A product was deleted.
    ProductDeleted {
        /// Which.
        id: String,
    },
    /// What a product says in a market was set. Callers without a key are told where alone.
    ListingChanged {
        /// Of which product.
        id: String,
        /// Where.
        market: String,
        /// The fields that were changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schema(required = false)]
        changes: Vec<FieldChange>,
    },
    /// A location was opened.
    LocationOpened {
        /// Which.
        id: String,
        /// Its name.
        name: String,
    },
    /// A location got another name.
    LocationRenamed {
        /// Which.
        id: String,
        /// The new name.
        name: String,
    },
    /// Units came, went or were counted.
    StockMoved {
        /// What kind of thing happened.
        kind: MovementKind,
        /// Per item.
        lines: Vec<MovedLine>,
        /// The document behind it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reference: Option<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reason: Option<String>,
        /// The reservation that was handed out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reservation: Option<String>,
        /// When it happened.
        occurred_at: Time,
    },
    /// Units of a location were asked of another site.
    QuotaAsked {
        /// Of what.
        sku: String,
        /// Where.
        location: String,
        /// The site that is asked.
        of: String,
        /// Units asked of it in total, since the beginning.
        units: u64,
        /// Units of this ask that a buyer waits for.
        wanted: u64,
        /// Until when the site waits before it asks others.
        until: Time,
    },
    /// Units of a location were given to another site.
    QuotaGranted {
        /// Of what.
        sku: String,
        /// Where.
        location: String,
        /// The site that may promise them from now on.
        to: String,
        /// Units given to it in total, since the beginning.
        units: u64,
    },
    /// Another site does not get units that it asked for.
    QuotaDeclined {
        /// Of what.
        sku: String,
        /// Where.
        location: String,
        /// The site that asked.
        to: String,
        /// Units that it asked for and did not get in total, since the beginning.
        units: u64,
    },
    /// Units were asked of another location.
    TransferAsked {
        /// By which transfer.
        id: String,
        /// The site that is asked.
        of: String,
        /// Where the units are.
        from: String,
        /// Where they are wanted.
        to: String,
    },
    /// A side of a transfer took a step.
    TransferChanged {
        /// Which.
        id: String,
        /// What was said: `confirmed`, `withdrawn`, `received` by the asker, the rest by the other.
        step: TransferStep,
    },
    /// A site said what kind of site it is.
    SiteDescribed {
        /// Which kind.
        kind: SiteKind,
    },
    /// What is not for sale was set.
    StockAdjusted {
        /// Of what.
        sku: String,
        /// Where.
        location: String,
        /// Units damaged or in inspection.
        unavailable: u64,
        /// Units kept back.
        safety_stock: u64,
        /// Units that could be promised afterwards.
        available_after: i64,
    },
    /// Units are held.
    ReservationMade {
        /// By which reservation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        id: Option<String>,
        /// For whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        owner: Option<String>,
        /// What; each item once.
        lines: Vec<ReservationLine>,
        /// Until when.
        expires_at: Time,
    },
    /// A hold got another deadline.
    ReservationExtended {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        id: Option<String>,
        /// Until when.
        expires_at: Time,
    },
    /// A hold ended.
    ReservationEnded {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        id: Option<String>,
        /// How.
        status: ReservationStatus,
        /// For whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        owner: Option<String>,
        /// What it held.
        lines: Vec<ReservationLine>,
    },
    /// A job began.
    JobStarted {
        /// Which.
        id: String,
    },
    /// Rows of a job, or of a bulk request, were done.
    LinesDone {
        /// Of which job, if of one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        job: Option<String>,
        /// The first row.
        from_line: u64,
        /// The last row.
        through_line: u64,
    },
    /// A job has all its rows.
    JobFinished {
        /// Which.
        id: String,
    },
    /// Rows of a job were undone.
    JobUndone {
        /// Of which job.
        id: String,
        /// The first of them; the last ones go first.
        from_line: u64,
    },
    /// A customer was made or changed.
    CustomerChanged {
        /// Who.
        id: String,
    },
    /// A person is forgotten.
    CustomerErased {
        /// Who.
        id: String,
    },
    /// A cart was opened, filled, or given details.
    CartChanged {
        /// Which.
        id: String,
    },
    /// A cart is not open any more.
    CartClosed {
        /// Which.
        id: String,
        /// `ordered`, `merged` into another one, or `swept` because nobody came back.
        status: String,
    },
    /// An order was placed.
    OrderPlaced {
        /// Which.
        id: String,
        /// Of its site.
        number: u64,
        /// Minor units.
        total: i64,
        /// In which the total is.
        currency: String,
    },
    /// Something became of an order.
    OrderChanged {
        /// Of which.
        id: String,
        /// What.
        cause: String,
        /// Whether it stands.
        status: String,
        /// What has become of the money.
        payment_status: String,
        /// What has become of the goods.
        fulfillment_status: String,
    },
    /// A payment provider is asked for something, or has answered.
    PaymentChanged {
        /// Which payment.
        id: String,
        /// `authorize`, `capture`, `void` or `refund` when it is asked; `done`, `declined`, `refused`, `parked`,
        /// `resumed` or `reported` later.
        step: String,
    },
    /// An access key was made.
    KeyCreated {
        /// The public part of the key.
        id: String,
    },
    /// A journal day began.
    DayStarted {
        /// Days since 1970-01-01.
        day: u64,
    },
}

/// What a movement did to one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovedLine {
    /// Of what.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Units that on_hand changed by.
    pub quantity: i64,
    /// Units there afterwards.
    pub on_hand_after: i64,
    /// Units that could be promised afterwards.
    pub available_after: i64,
}

/// A step of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferStep {
    /// It was asked for.
    Offered,
    /// Its units are held.
    Accepted,
    /// It is not done.
    Declined,
    /// It is not wanted any more.
    Withdrawn,
    /// What was held of what is not wanted any more is not held any more.
    Undone,
    /// It is wanted still.
    Confirmed,
    /// Its units were not held any more.
    Lapsed,
    /// Its units are promised.
    Done,
    /// They have left.
    Dispatched,
    /// They have arrived.
    Received,
    /// The other site may not promise so many units, and borrows them.
    Borrowing,
}

/// What kind of site it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SiteKind {
    /// It holds a share of the stock of every region.
    Region,
    /// It sells its own shelf, and what it borrows.
    Store,
}
