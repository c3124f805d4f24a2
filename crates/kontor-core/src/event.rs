//! What happened. Events carry outcomes, so that folding them needs no policy.
//!
//! The order of variants and fields is the format (postcard): version 1. A released version never
//! changes; a new one is a new module with a function from this one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::cart::{Cart, CartDetails, CartLine, CartStatus};
use crate::command::Idempotency;
use crate::id::{
    Actor, CartId, CustomerId, JobId, LocationId, OfferId, OrderId, Owner, PaymentId, ProductId, RequestId,
    ReservationId, SiteId, Sku,
};
use crate::job::{JobLine, JobStarted, JobUndone, LinesDone};
use crate::movement::MovementKind;
use crate::offer::{Answer, Said, Transfer};
use crate::order::{Order, OrderMoved};
use crate::payment::call::ProviderEvent;
use crate::payment::record::{PaymentReported, PaymentRequested};
use crate::person::CustomerEdit;
use crate::product::edit::ProductEdit;
use crate::product::field::Conflict;
use crate::product::listing::ListingEdit;
use crate::product::text::MarketId;
use crate::reservation::{ReservationLine, ReservationStatus};
use crate::site::SiteKind;
use crate::stock::Ask;
use crate::text::{Reason, Reference, Title};
use crate::time::{SeenStamps, SiteTime, Stamp};

/// One effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Fields of a product were set; it may have been made or deleted with that.
    ProductEdited(Arc<ProductEdited>),
    /// Fields of what a product says in a market were set.
    ListingEdited(Arc<ListingEdited>),
    /// A location was opened, with the writing site as its home.
    LocationOpened {
        /// Which.
        id: LocationId,
        /// Its name.
        name: Title,
    },
    /// A location got another name.
    LocationRenamed {
        /// Which.
        id: LocationId,
        /// The new name.
        name: Title,
    },
    /// Units came, went or were counted.
    StockMoved {
        /// What kind of thing happened.
        kind: MovementKind,
        /// Per item.
        lines: Vec<Moved>,
        /// The document behind it.
        reference: Option<Reference>,
        /// Why.
        reason: Option<Reason>,
        /// The reservation that was handed out.
        reservation: Option<ReservationId>,
        /// When it happened.
        occurred_at: SiteTime,
    },
    /// What is not for sale was set.
    StockAdjusted {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units damaged or in inspection now.
        unavailable: u64,
        /// Units kept back now.
        safety_stock: u64,
        /// What can be promised afterwards.
        available_after: i64,
    },
    /// Units are held.
    ReservationMade {
        /// Which.
        id: ReservationId,
        /// For whom.
        owner: Option<Owner>,
        /// What; each item once.
        lines: Vec<ReservationLine>,
        /// Until when.
        expires_at: SiteTime,
    },
    /// A hold got another deadline.
    ReservationExtended {
        /// Which.
        id: ReservationId,
        /// From when.
        from: SiteTime,
        /// Until when.
        expires_at: SiteTime,
    },
    /// A hold ended.
    ReservationEnded {
        /// Which.
        id: ReservationId,
        /// How: committed, released or expired.
        status: ReservationStatus,
        /// What it held.
        lines: Vec<ReservationLine>,
        /// For whom.
        owner: Option<Owner>,
        /// When it was made.
        created_at: SiteTime,
        /// When it would have ended by itself.
        expires_at: SiteTime,
    },
    /// An access key was made.
    KeyCreated {
        /// The public part of the key.
        id: Box<str>,
        /// What its holder may do.
        role: Role,
        /// SHA-256 of the whole key.
        digest: [u8; 32],
    },
    /// A journal day began: answers remembered eight days before are dropped. The first entry of a day:
    /// answers remembered on it before would go with them.
    DayStarted {
        /// Days since 1970-01-01.
        day: u64,
    },
    /// An import began.
    JobStarted(Arc<JobStarted>),
    /// What became of lines of an import, or of a list that was given at once.
    LinesDone(Arc<LinesDone>),
    /// An import has come to its end.
    JobFinished {
        /// Which.
        id: JobId,
    },
    /// Lines of an import were put back, the last first.
    JobUndone(Arc<JobUndone>),
    /// The writing site said what kind of site it is.
    SiteDescribed {
        /// Which kind.
        kind: SiteKind,
    },
    /// Units of a location were asked of another site.
    QuotaAsked {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Whom.
        of: SiteId,
        /// How many, how urgently, and until when.
        ask: Ask,
    },
    /// Units of a location were given to another site.
    QuotaGranted {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// To whom.
        to: SiteId,
        /// How many were given to it, in total.
        units: u64,
    },
    /// Another site is told that it will not get units that it asked for.
    QuotaDeclined {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// To whom.
        to: SiteId,
        /// How many it asked for and does not get, in total.
        units: u64,
    },
    /// Units were asked of another location, of whoever keeps its books.
    TransferAsked {
        /// Which.
        id: OfferId,
        /// The home of the location that the units are at.
        of: SiteId,
        /// What is wanted.
        transfer: Arc<Transfer>,
    },
    /// The asker of a transfer said something more.
    TransferSaid {
        /// Which.
        id: OfferId,
        /// What.
        said: Said,
    },
    /// The target of a transfer answered.
    TransferAnswered {
        /// Which.
        id: OfferId,
        /// Whose.
        asker: SiteId,
        /// What.
        answer: Answer,
    },
    /// Something was set of a customer, who may have been made with that.
    CustomerSaved {
        /// Who.
        id: CustomerId,
        /// What.
        edit: Box<CustomerEdit>,
        /// Keyed hash of the address that they had before, if they have another one now.
        email_before: Option<[u8; 32]>,
    },
    /// A person is to be forgotten everywhere: their key is destroyed wherever it is.
    CustomerErased {
        /// Who.
        id: CustomerId,
        /// Keyed hash of the address that they had.
        email_before: Option<[u8; 32]>,
        /// Why.
        reason: Option<Reason>,
    },
    /// A cart was opened.
    CartOpened {
        /// Which.
        id: CartId,
        /// As it is.
        cart: Box<Cart>,
    },
    /// Lines of a cart are so now.
    CartFilled {
        /// Which.
        id: CartId,
        /// Lines; of those that are no more the quantity is 0.
        lines: Vec<CartLine>,
        /// What is held for it now.
        hold: Option<ReservationId>,
    },
    /// Something else of a cart was set.
    CartDetailed {
        /// Which.
        id: CartId,
        /// What.
        details: Box<CartDetails>,
    },
    /// A cart is not open any more.
    CartClosed {
        /// Which.
        id: CartId,
        /// What has become of it.
        status: CartStatus,
    },
    /// A cart that nobody came back to was thrown away.
    CartSwept {
        /// Which.
        id: CartId,
    },
    /// An order was placed.
    OrderPlaced {
        /// Which.
        id: OrderId,
        /// As it is.
        order: Arc<Order>,
    },
    /// Something became of an order.
    OrderMoved(Arc<OrderMoved>),
    /// What was promised to an order and not handed out is promised no more.
    ReservationCanceled {
        /// Which.
        id: ReservationId,
        /// What is given back: units that were not handed out.
        lines: Vec<ReservationLine>,
    },
    /// A payment provider is to be asked for something.
    PaymentRequested(Arc<PaymentRequested>),
    /// What a provider was asked for has ended.
    PaymentReported(Arc<PaymentReported>),
    /// A call to a provider is not made any more until somebody says so.
    PaymentParked {
        /// Of which payment.
        id: PaymentId,
        /// Why; made again from now on, if not given.
        reason: Option<Reason>,
    },
    /// A provider's report was taken, and is known again if it comes again.
    CallbackTaken {
        /// Its id.
        id: ProviderEvent,
        /// Of which payment.
        payment: PaymentId,
        /// Of which call.
        attempt: u16,
    },
}

/// An edit of a product, by somebody who had seen it as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductEdited {
    /// Which.
    pub id: ProductId,
    /// Of the edit; greater than every stamp that the writer had folded.
    pub stamp: Stamp,
    /// What the writer knew of other sites' edits of it.
    pub seen: SeenStamps,
    /// The revision that it made, as the writer counted.
    pub revision: u64,
    /// What was set: nothing that was so before.
    pub edit: ProductEdit,
    /// The values before; for a deleted variant all of them.
    pub before: ProductEdit,
    /// Disputed values that this edit has seen and settled.
    pub settled: Vec<Conflict>,
    /// The import that wanted it.
    pub job: Option<JobLine>,
}

/// An edit of what a product says in a market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingEdited {
    /// Of which product.
    pub id: ProductId,
    /// Where.
    pub market: MarketId,
    /// See [`ProductEdited::stamp`].
    pub stamp: Stamp,
    /// See [`ProductEdited::seen`].
    pub seen: SeenStamps,
    /// The revision of the listing that it made.
    pub revision: u64,
    /// What was set.
    pub edit: ListingEdit,
    /// The values before.
    pub before: ListingEdit,
    /// See [`ProductEdited::settled`].
    pub settled: Vec<Conflict>,
    /// The import that wanted it.
    pub job: Option<JobLine>,
}

/// What a movement did to one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Of what.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// Units that the line names: what came, went or was counted, also of items whose stock is not.
    pub quantity: u64,
    /// Units that on_hand changed by; 0 for items whose stock is not counted.
    pub change: i64,
    /// Units of it that were taken from what had been set aside as unavailable.
    pub from_unavailable: u64,
    /// Units there afterwards.
    pub on_hand_after: i64,
    /// Units that could be promised afterwards.
    pub available_after: i64,
}

/// Everything that one request did, and what is kept about the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who wanted it.
    pub actor: Actor,
    /// The request's id in logs.
    pub request_id: RequestId,
    /// The caller's key, under which the events are remembered as the answer.
    pub idempotency: Option<Idempotency>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl Event {
    /// Whether the event matters to its own site alone, and never leaves it.
    pub(crate) fn is_private(&self) -> bool {
        matches!(
            self,
            Self::ReservationExtended { .. }
                | Self::KeyCreated { .. }
                | Self::DayStarted { .. }
                | Self::JobStarted(_)
                | Self::LinesDone(_)
                | Self::JobFinished { .. }
                | Self::JobUndone(_)
                | Self::CartOpened { .. }
                | Self::CartFilled { .. }
                | Self::CartDetailed { .. }
                | Self::CartClosed { .. }
                | Self::CartSwept { .. }
                | Self::PaymentRequested(_)
                | Self::PaymentReported(_)
                | Self::PaymentParked { .. }
                | Self::CallbackTaken { .. }
        )
    }

    /// When a hold ends, of an event that other sites are told of. That is its own site's business:
    /// elsewhere it has no deadline, stands on no timer's list, and is found again when it ends,
    /// whatever extensions stayed at home.
    pub(crate) fn deadline(&self) -> Option<SiteTime> {
        match self {
            Self::ReservationMade { expires_at, .. } | Self::ReservationEnded { expires_at, .. } => Some(*expires_at),
            _ => None,
        }
    }

    fn deadline_mut(&mut self) -> Option<&mut SiteTime> {
        match self {
            Self::ReservationMade { expires_at, .. } | Self::ReservationEnded { expires_at, .. } => Some(expires_at),
            _ => None,
        }
    }
}

impl Entry {
    /// What other sites see of an entry of which nothing is shared: that it has a place.
    pub(crate) fn withheld() -> Self {
        let word = "withheld";
        let actor = Actor::parse(word).expect("a short word is an actor");
        let request_id = RequestId::parse(word).expect("a short word is a request id");
        Self { actor, request_id, idempotency: None, events: Vec::new() }
    }

    /// Takes the deadlines out, in the order of the events.
    pub(crate) fn hide_deadlines(&mut self) -> Vec<SiteTime> {
        let deadlines = self.events.iter_mut().filter_map(Event::deadline_mut);
        deadlines.map(|at| std::mem::replace(at, SiteTime::NEVER)).collect()
    }

    /// Puts the deadlines back. Answers `false` if there are not as many as there were.
    pub(crate) fn show_deadlines(&mut self, deadlines: Vec<SiteTime>) -> bool {
        let mut hidden = self.events.iter_mut().filter_map(Event::deadline_mut);
        let all = deadlines.into_iter().all(|at| hidden.next().map(|hidden| *hidden = at).is_some());
        all && hidden.next().is_none()
    }
}
