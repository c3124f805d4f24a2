//! What a site can be asked to do. Values were checked when they were parsed; a command says what
//! is wanted, never what it leads to.

use std::collections::BTreeMap;

use crate::access::Role;
use crate::cart::{CartDetails, LineChange};
use crate::id::{
    Actor, CartId, CustomerId, JobId, LocationId, OfferId, OrderId, Owner, PaymentId, ProductId, RequestId,
    ReservationId, SiteId, Sku,
};
use crate::job::{JobKind, JobOptions, JobStep, Source};
use crate::money::Currency;
use crate::payment::call::{MethodToken, Outcome, ProviderEvent};
use crate::payment::record::Capture;
use crate::person::CustomerEdit;
use crate::product::Selling;
use crate::product::edit::{ProductEdit, VariantEdit};
use crate::product::listing::ListingEdit;
use crate::product::parts::Parts;
use crate::product::text::MarketId;
use crate::quantity::Quantity;
use crate::site::SiteKind;
use crate::text::{Reason, Reference, Title};
use crate::time::SiteTime;

/// Everything that changes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Sets fields of a product and of its variants, all or nothing. What is so already is no change, and
    /// an edit that changes nothing leaves no trace.
    EditProduct {
        /// Which.
        id: ProductId,
        /// What is set.
        edit: Box<ProductEdit>,
        /// The revision that the caller has seen; another one refuses.
        expected: Option<u64>,
        /// Whether there must be such a product.
        must: Must,
        /// Whether there must be such variants as the edit names.
        variants: Must,
    },
    /// Deletes a product that has neither stock nor promises.
    DeleteProduct {
        /// Which.
        id: ProductId,
        /// The revision that the caller has seen.
        expected: Option<u64>,
    },
    /// Sets fields of what a product says in a market.
    EditListing {
        /// Of which product.
        id: ProductId,
        /// Where.
        market: MarketId,
        /// What is set.
        edit: Box<ListingEdit>,
        /// The revision of the listing that the caller has seen; 0 if there was none.
        expected: Option<u64>,
    },
    /// Makes or changes many products, each on its own: what is refused of one is told in the event,
    /// and the others are done. Stops before the entry is full; the event says at which line.
    UpsertProducts {
        /// The import that these lines are of.
        step: Option<JobStep>,
        /// What is wanted, by ascending lines.
        items: Vec<UpsertItem>,
    },
    /// Begins an import.
    StartJob {
        /// Given by the caller, or else by the site.
        id: Option<JobId>,
        /// Of what.
        kind: JobKind,
        /// What it is read from: the name of a file.
        source: Source,
        /// SHA-256 of the file.
        digest: [u8; 32],
        /// How it is read, in the caller's own words; what a resumed import is compared with.
        options: JobOptions,
    },
    /// Books lines of an import of stock, each on its own, and notes what became of them.
    BookStock {
        /// Which lines of which import.
        step: JobStep,
        /// What is booked, by ascending lines.
        items: Vec<StockItem>,
    },
    /// Ends an import: all its lines have been seen.
    FinishJob {
        /// Which.
        id: JobId,
    },
    /// Puts back what an import has done, the last lines first, as many as fit into an entry. To be given
    /// again until the event says that nothing is left.
    UndoJob {
        /// Which.
        id: JobId,
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
    /// Refuses unless this site's books of an item have changed so many times; does nothing else. For
    /// callers that decide by a version, in front of what they want, in [`Command::All`].
    ExpectVersion {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// The version that the caller has seen; 0 before anything was booked.
        version: u64,
    },
    /// Says what kind of site this is. The site gives itself this command.
    DescribeSite {
        /// Which kind.
        kind: SiteKind,
    },
    /// Answers what other sites asked of some items, and asks for shares of them. The site gives itself this
    /// command.
    TendQuota {
        /// Which items, and where.
        items: Vec<(Sku, LocationId)>,
    },
    /// Asks other sites for units that a buyer was refused. The site gives itself this command.
    BorrowQuota {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// How many more than the site may promise.
        missing: u64,
    },
    /// Asks for units that are at another location, to be brought to one whose books are kept here.
    AskTransfer {
        /// Given by the caller, or else by the site.
        id: Option<OfferId>,
        /// Where the units are.
        from: LocationId,
        /// Where they are wanted.
        to: LocationId,
        /// What; the demand of equal lines is summed.
        lines: Vec<(Sku, Quantity)>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Takes back what was asked for, until it is confirmed.
    WithdrawTransfer {
        /// Which.
        id: OfferId,
    },
    /// Hands out the units of a transfer.
    DispatchTransfer {
        /// Which.
        id: OfferId,
        /// The papers of it.
        note: Note,
    },
    /// Books what has arrived of a transfer.
    ReceiveTransfer {
        /// Which.
        id: OfferId,
        /// Units of SKUs of which not everything has arrived.
        received: Vec<(Sku, u64)>,
        /// The papers of it.
        note: Note,
    },
    /// Answers what another site offers, or confirms what it has accepted. The site gives itself this command.
    TendOffer {
        /// Which offer.
        id: OfferId,
        /// Whose it is.
        asker: SiteId,
    },
    /// Sets something of a customer, who is made with that if need be.
    SaveCustomer {
        /// Given by the caller, because what is sealed names the person.
        id: CustomerId,
        /// What is set.
        edit: Box<CustomerEdit>,
        /// The revision that the caller has seen.
        expected: Option<u64>,
        /// Whether there must be such a customer.
        must: Must,
    },
    /// Forgets a person, everywhere.
    EraseCustomer {
        /// Who.
        id: CustomerId,
        /// Why.
        reason: Option<Reason>,
    },
    /// Opens a cart.
    OpenCart {
        /// Given by the caller, or else by the site.
        id: Option<CartId>,
        /// SHA-256 of what its buyer will show.
        token: [u8; 32],
        /// In which prices are.
        currency: Currency,
        /// Whose prices hold.
        market: Option<MarketId>,
        /// What is set of it at once.
        details: Box<CartDetails>,
        /// What is put into it at once.
        lines: Vec<LineChange>,
    },
    /// Changes what is in a cart, and what else is known of it.
    ChangeCart {
        /// Which.
        id: CartId,
        /// Of the lines.
        lines: Vec<LineChange>,
        /// Of the rest.
        details: Box<CartDetails>,
        /// The revision that the caller has seen.
        expected: Option<u64>,
    },
    /// Takes the prices of the catalogue as they are now.
    AcceptPrices {
        /// Of which cart.
        id: CartId,
    },
    /// Puts what is in one cart into another, and closes it.
    MergeCarts {
        /// Which is closed.
        from: CartId,
        /// Which is filled.
        into: CartId,
    },
    /// Places an order from a cart: its units are held, and its payment is begun. Given again, it changes
    /// nothing.
    Checkout {
        /// Which.
        cart: CartId,
        /// What is paid with; the order waits for a payment, if not given.
        method: Option<MethodToken>,
        /// When it is paid out.
        capture: Capture,
        /// For how long units are held while it is not paid.
        hold_ms: u64,
    },
    /// Begins another payment of an order.
    PayOrder {
        /// Which.
        id: OrderId,
        /// What is paid with.
        method: MethodToken,
        /// When it is paid out.
        capture: Capture,
    },
    /// Pays out what was set aside.
    CapturePayment {
        /// Which payment.
        id: PaymentId,
        /// Minor units; all that was set aside, if not given.
        amount: Option<i64>,
    },
    /// Cancels an order of which nothing was handed out. What was paid goes back.
    CancelOrder {
        /// Which.
        id: OrderId,
        /// Why.
        reason: Option<Reason>,
    },
    /// Cancels an order of which nothing is paid and for which no provider is being asked; refuses otherwise.
    AbandonOrder {
        /// Which.
        id: OrderId,
        /// Why.
        reason: Option<Reason>,
    },
    /// Gives money back, and takes goods back.
    RefundOrder {
        /// Which order.
        id: OrderId,
        /// Minor units; the prices of the lines, if not given.
        amount: Option<i64>,
        /// What comes back.
        lines: Vec<ReturnLine>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Says how a call to a payment provider ended.
    ReportPayment {
        /// Of which payment.
        id: PaymentId,
        /// Of which call.
        attempt: u16,
        /// How.
        outcome: Outcome,
        /// The provider's id of its report, if it reported by itself.
        callback: Option<ProviderEvent>,
    },
    /// Makes a call no more until somebody looks at it.
    ParkPayment {
        /// Of which payment.
        id: PaymentId,
        /// Which call.
        attempt: u16,
        /// Why.
        reason: Reason,
    },
    /// Makes a call that was parked again, or asks once more for what a provider did not undo.
    ResumePayment {
        /// Of which payment.
        id: PaymentId,
    },
    /// Throws away carts that nobody came back to. The site gives itself this command.
    SweepCarts {
        /// Which.
        ids: Vec<CartId>,
    },
    /// Several commands in one entry, each decided on top of the ones before it: all or none.
    All(Vec<Command>),
}

/// Units of an order that come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnLine {
    /// Of what.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// Where they are put on the shelf again; nowhere, if not given.
    pub restock: Option<LocationId>,
}

/// Whether what a command names must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// It must not: it is made.
    Create,
    /// It must.
    Exist,
    /// It is made if it is not there.
    Either,
}

/// One of many products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpsertItem {
    /// The line that it stands on, from 1.
    pub line: u64,
    /// Which product; the one that has the first SKU of the edit, if not given.
    pub id: Option<ProductId>,
    /// What is set.
    pub edit: ProductEdit,
    /// What is set of parts of fields, over what the edit sets, and over what is so when the line is done.
    pub parts: Parts,
    /// What is set of what it says in markets.
    pub listings: BTreeMap<MarketId, ListingEdit>,
}

/// Units of one line of an import: that came in, or that were counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockItem {
    /// The line that it stands on, from 1.
    pub line: u64,
    /// Of what.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many.
    pub quantity: u64,
}

impl UpsertItem {
    /// A product on a line; which one, its first SKU says.
    pub fn new(line: u64, edit: ProductEdit) -> Self {
        Self { line, id: None, edit, parts: Parts::default(), listings: BTreeMap::new() }
    }
}

impl Command {
    /// Makes a product with one variant; its id is the SKU if it has no other.
    pub fn create_product(id: Option<ProductId>, sku: Sku, title: Title, selling: Selling) -> Self {
        let id = id.unwrap_or_else(|| sku.clone().into());
        let edit = Box::new(ProductEdit::titled(title, sku, selling));
        Self::EditProduct { id, edit, expected: None, must: Must::Create, variants: Must::Create }
    }

    /// Changes fields of a product that is there.
    pub fn change_product(id: ProductId, edit: ProductEdit, expected: Option<u64>) -> Self {
        Self::EditProduct { id, edit: Box::new(edit), expected, must: Must::Exist, variants: Must::Exist }
    }

    /// Adds a variant to a product that is there.
    pub fn add_variant(id: ProductId, variant: VariantEdit) -> Self {
        let edit = Box::new(ProductEdit { variants: vec![variant], ..ProductEdit::default() });
        Self::EditProduct { id, edit, expected: None, must: Must::Exist, variants: Must::Create }
    }
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
    /// Site time of the last group that was read of each other site.
    pub heard: &'c [(SiteId, SiteTime)],
}
