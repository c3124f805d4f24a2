//! What a site can be asked to do. Values were checked when they were parsed; a command says what
//! is wanted, never what it leads to.

use crate::access::Role;
use crate::id::{Actor, LocationId, Owner, ProductId, RequestId, ReservationId, SiteId, Sku};
use crate::product::{Selling, Status};
use crate::quantity::Quantity;
use crate::text::{Reason, Reference, Title};
use crate::time::SiteTime;

/// Everything that changes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Adds a product with its first variant.
    CreateProduct {
        /// Equal to the SKU if not given.
        id: Option<ProductId>,
        /// Of the first variant.
        sku: Sku,
        /// What shoppers read.
        title: Title,
        /// How the first variant is sold.
        selling: Selling,
    },
    /// Changes fields of a product.
    ChangeProduct {
        /// Which.
        id: ProductId,
        /// The new title.
        title: Option<Title>,
        /// The new status.
        status: Option<Status>,
        /// The revision that the caller has seen; another one refuses.
        expected: Option<u64>,
    },
    /// Adds a variant to a product.
    AddVariant {
        /// To which.
        id: ProductId,
        /// The new unit.
        sku: Sku,
        /// What tells it from the others.
        title: Option<Title>,
        /// How it is sold.
        selling: Selling,
    },
    /// Changes a variant of a product.
    ChangeVariant {
        /// Of which.
        id: ProductId,
        /// Which variant.
        sku: Sku,
        /// The new title.
        title: Option<Title>,
        /// How it is sold from now on.
        selling: Option<Selling>,
        /// The revision of the product that the caller has seen.
        expected: Option<u64>,
    },
    /// Opens a location, with this site as its home.
    OpenLocation {
        /// Its id.
        id: LocationId,
        /// Its name.
        name: Title,
    },
    /// Gives a location another name.
    RenameLocation {
        /// Which.
        id: LocationId,
        /// The new name.
        name: Title,
        /// The revision that the caller has seen.
        expected: Option<u64>,
    },
    /// Books units that came in.
    Receive {
        /// A delivery or a customer's return.
        from: Inbound,
        /// What came.
        lines: Vec<Line>,
        /// The papers of it.
        note: Note,
    },
    /// Sells over the counter: promised and handed out in one step, all lines or none.
    Issue {
        /// What is sold.
        lines: Vec<Line>,
        /// The papers of it.
        note: Note,
    },
    /// Hands out units of a committed reservation.
    Ship {
        /// Whose.
        reservation: ReservationId,
        /// Which units; everything that is left, if not given.
        lines: Option<Vec<Line>>,
        /// The papers of it.
        note: Note,
    },
    /// Books units that broke, expired or were lost.
    WriteOff {
        /// What and where.
        line: Line,
        /// Whether they had been set aside as unavailable.
        from_unavailable: bool,
        /// The papers of it.
        note: Note,
    },
    /// Books what a person counted.
    Count {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// How many are there.
        counted: u64,
        /// What the caller believed was booked; anything else refuses.
        expected: Option<i64>,
        /// The papers of it.
        note: Note,
    },
    /// Sets what is not for sale.
    Adjust {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units damaged or in inspection from now on.
        unavailable: Option<Change>,
        /// Units kept back from now on.
        safety_stock: Option<Change>,
    },
    /// Holds units until a deadline, all lines or none.
    Reserve {
        /// Given by the caller, or else by the site.
        id: Option<ReservationId>,
        /// For whom.
        owner: Option<Owner>,
        /// What; the demand of equal lines is summed.
        lines: Vec<Line>,
        /// For how long.
        hold_ms: u64,
    },
    /// Gives a hold another deadline, counted from now.
    Extend {
        /// Which.
        id: ReservationId,
        /// For how long from now.
        hold_ms: u64,
    },
    /// Turns a hold into a promise to an order.
    Commit {
        /// Which.
        id: ReservationId,
    },
    /// Gives a hold back.
    Release {
        /// Which.
        id: ReservationId,
    },
    /// Registers an access key by its digest.
    CreateKey {
        /// The public part of the key.
        id: Box<str>,
        /// What its holder may do.
        role: Role,
        /// SHA-256 of the whole key.
        digest: [u8; 32],
    },
    /// Ends holds whose deadline has passed. The site gives itself this command.
    EndDueHolds {
        /// Which, by the site's list of due holds. Those that do not fit into one entry stay held
        /// until the command is given again.
        ids: Vec<ReservationId>,
    },
    /// Starts a journal day. The site gives itself this command.
    StartDay,
}

/// Units of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of what.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many.
    pub quantity: Quantity,
}

/// Where units come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    /// A supplier or another location.
    Delivery,
    /// A customer.
    Return,
}

/// The papers behind a movement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// The caller's document; permanently unique per kind of movement.
    pub reference: Option<Reference>,
    /// Why.
    pub reason: Option<Reason>,
    /// When it happened, if not now.
    pub occurred_at: Option<SiteTime>,
}

/// A new value, and what the caller believes to be there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The new value.
    pub to: u64,
    /// Anything else refuses.
    pub expected: Option<u64>,
}

/// A command with everything that is kept about the request behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is wanted.
    pub command: Command,
    /// Who wants it.
    pub actor: Actor,
    /// The request's id in logs.
    pub request_id: RequestId,
    /// The caller's key, if one was given.
    pub idempotency: Option<Idempotency>,
    /// A fresh UUIDv7, for what the command creates. Given, because the core draws no numbers.
    pub fresh_id: [u8; 16],
}

/// A caller's idempotency key, and a digest of the request that it was given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Idempotency {
    /// Digest of caller, operation and key.
    pub scope: [u8; 16],
    /// Digest of the request's content.
    pub fingerprint: [u8; 16],
}

/// What is given to a decision besides rows and command.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// Site time.
    pub now: SiteTime,
    /// The site that decides.
    pub site: &'c SiteId,
    /// A fresh UUIDv7.
    pub fresh_id: [u8; 16],
    /// No live hold of this site is due before this moment. Spares a decision the search for due
    /// holds; [`SiteTime`] 0 is always right.
    pub earliest_due: SiteTime,
}
