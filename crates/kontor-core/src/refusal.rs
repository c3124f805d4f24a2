//! When the domain says no: a stable code, and the facts to act on.

use crate::cart::CartStatus;
use crate::id::{
    CartId, CustomerId, JobId, LocationId, OfferId, OrderId, PaymentId, Position, ProductId, ReservationId, SiteId, Sku,
};
use crate::job::JobStatus;
use crate::money::{Currency, Money};
use crate::offer::OfferStatus;
use crate::payment::call::Operation;
use crate::payment::record::PaymentStatus;
use crate::product::text::Name;
use crate::reservation::ReservationStatus;
use crate::text::{Reason, Reference};
use crate::time::SiteTime;
use crate::view::ViewError;

/// A rule that was not met. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fewer units can be promised than were asked for; a smaller quantity may do.
    #[error("{wanted} of {sku} at {location} were asked for, {available} can be promised")]
    InsufficientStock {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// The sum of the lines for this item.
        wanted: u64,
        /// What this site can promise.
        available: i64,
    },
    /// This site may promise fewer units than were asked for, and other sites hold some. It has asked for
    /// them: the same request may succeed in a moment.
    #[error("{wanted} of {sku} at {location} were asked for, this site can promise {available}, others {elsewhere}")]
    QuotaExhaustedHere {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// The sum of the lines for this item.
        wanted: u64,
        /// What this site can promise.
        available: i64,
        /// What other sites could promise, as far as was read.
        elsewhere: u64,
        /// When that was.
        as_of: SiteTime,
    },
    /// Fewer units are there than were to be taken away.
    #[error("{wanted} of {sku} at {location} were to be taken away, {on_hand} are there")]
    InsufficientOnHand {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units to be taken.
        wanted: u64,
        /// Units there and fit to be taken, or set aside if those were meant.
        on_hand: i64,
    },
    /// Fewer units of the reservation are left to hand out.
    #[error("{wanted} of {sku} at {location} were to be handed out, {committed} are left of the reservation")]
    InsufficientCommitted {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units to be handed out.
        wanted: u64,
        /// Units left of it.
        committed: u64,
    },
    /// No product has this id.
    #[error("there is no product {id}")]
    UnknownProduct {
        /// The id.
        id: ProductId,
    },
    /// No product has this SKU.
    #[error("no product has the sku {sku}")]
    UnknownSku {
        /// The SKU.
        sku: Sku,
    },
    /// No location has this id.
    #[error("there is no location {location}")]
    UnknownLocation {
        /// The id.
        location: LocationId,
    },
    /// No reservation of this site has this id.
    #[error("there is no reservation {id}")]
    UnknownReservation {
        /// The id.
        id: ReservationId,
    },
    /// What physically happens at a location is booked by its home site alone.
    #[error("the books of {location} are kept by site {home}")]
    OwnedElsewhere {
        /// Where.
        location: LocationId,
        /// Whom to ask.
        home: SiteId,
    },
    /// The reservation is no longer held (or, to hand out, is not committed).
    #[error("reservation {id} is {}", .status.word())]
    ReservationEnded {
        /// Which.
        id: ReservationId,
        /// What has become of it.
        status: ReservationStatus,
    },
    /// The product is no longer for sale.
    #[error("{sku} belongs to product {id}, which is archived")]
    ProductArchived {
        /// Of what.
        sku: Sku,
        /// The product.
        id: ProductId,
    },
    /// The product is not for sale yet.
    #[error("{sku} belongs to product {id}, which is a draft")]
    ProductDraft {
        /// Of what.
        sku: Sku,
        /// The product.
        id: ProductId,
    },
    /// What is to be deleted still has stock or promises.
    #[error("{sku} still has stock or promises at {location}")]
    ProductInUse {
        /// Of what.
        sku: Sku,
        /// Where.
        location: LocationId,
    },
    /// There is no product without a title.
    #[error("a new product needs a title")]
    TitleMissing,
    /// A variant names an option that its product does not have.
    #[error("variant {sku} chooses {option}, which is no option of its product")]
    UnknownOption {
        /// The variant.
        sku: Sku,
        /// What it names.
        option: Name,
    },
    /// No job of this site has this id.
    #[error("there is no job {job}")]
    UnknownJob {
        /// The id.
        job: JobId,
    },
    /// A job takes every line once, in order; `expected` is the next one.
    #[error("job {job} goes on at line {expected}")]
    JobPosition {
        /// Which.
        job: JobId,
        /// The next line.
        expected: u64,
    },
    /// Lines come in ascending order, each once, and none beyond the last.
    #[error("line {line} is out of order")]
    LineOrder {
        /// Which.
        line: u64,
    },
    /// No transfer has this id, as far as this site has read.
    #[error("there is no transfer {transfer}")]
    UnknownTransfer {
        /// The id.
        transfer: OfferId,
    },
    /// The transfer is not in a status in which this can be done.
    #[error("transfer {transfer} is {status}")]
    TransferStatus {
        /// Which.
        transfer: OfferId,
        /// What it is.
        status: OfferStatus,
    },
    /// The job is not in a state in which this can be done.
    #[error("job {job} is {}", .status.word())]
    JobState {
        /// Which.
        job: JobId,
        /// What it is.
        status: JobStatus,
    },
    /// No customer has this id, as far as this site has read.
    #[error("there is no customer {customer}")]
    UnknownCustomer {
        /// The id.
        customer: CustomerId,
    },
    /// The person was erased.
    #[error("customer {customer} was erased")]
    CustomerErased {
        /// Who.
        customer: CustomerId,
    },
    /// No cart of this site has this id.
    #[error("there is no cart {cart}")]
    UnknownCart {
        /// The id.
        cart: CartId,
    },
    /// The cart is not open any more.
    #[error("cart {cart} is {}", .status.word())]
    CartClosed {
        /// Which.
        cart: CartId,
        /// What has become of it.
        status: CartStatus,
    },
    /// The cart belongs to another customer.
    #[error("cart {cart} belongs to customer {customer}")]
    CartOfAnother {
        /// Which.
        cart: CartId,
        /// Whose it is.
        customer: CustomerId,
    },
    /// There is nothing to buy in the cart.
    #[error("cart {cart} is empty")]
    CartEmpty {
        /// Which.
        cart: CartId,
    },
    /// The catalogue has no price in the cart's currency.
    #[error("{sku} has no price in {currency}")]
    PriceMissing {
        /// Of what.
        sku: Sku,
        /// The cart's.
        currency: Currency,
    },
    /// The catalogue's price is not the one that the buyer has seen.
    #[error("{sku} costs {now} now, which is not what the buyer has seen")]
    PriceChanged {
        /// Of what.
        sku: Sku,
        /// What the buyer has seen, if there was a price.
        was: Option<Money>,
        /// What it is.
        now: Money,
    },
    /// The product is sold in other quantities.
    #[error("{sku} is sold from {min} to {max} at a time, and {given} were asked for")]
    QuantityBounds {
        /// Of what.
        sku: Sku,
        /// How many are in the cart.
        given: u64,
        /// The fewest allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// Discounts are more than all else.
    #[error("the total is below zero")]
    TotalNegative,
    /// No order has this id, as far as this site has read.
    #[error("there is no order {order}")]
    UnknownOrder {
        /// The id.
        order: OrderId,
    },
    /// Only the site that took an order changes it.
    #[error("order {order} was taken by site {home}")]
    OrderElsewhere {
        /// Which.
        order: OrderId,
        /// Whom to ask.
        home: SiteId,
    },
    /// What has become of the order does not allow that.
    #[error("order {order} is {status}: {wanted} is not possible")]
    OrderStatus {
        /// Which.
        order: OrderId,
        /// What was wanted of it.
        wanted: &'static str,
        /// What it is, on the axis that matters.
        status: &'static str,
    },
    /// No payment has this id.
    #[error("there is no payment {payment}")]
    UnknownPayment {
        /// The id.
        payment: PaymentId,
    },
    /// One thing at a time is asked of a provider for a payment; this one will have ended in a moment.
    #[error("payment {payment} waits for its {operation}")]
    PaymentInProgress {
        /// Which.
        payment: PaymentId,
        /// What it waits for.
        operation: Operation,
    },
    /// What has become of the payment does not allow that.
    #[error("payment {payment} is {}", .status.word())]
    PaymentStatus {
        /// Which.
        payment: PaymentId,
        /// What it is.
        status: PaymentStatus,
    },
    /// More money than there is.
    #[error("{given} were asked for, and there are {max}")]
    AmountExceeded {
        /// What was asked for.
        given: Money,
        /// What there is.
        max: Money,
    },
    /// Something has this name already.
    #[error("{what} {name} exists already")]
    AlreadyExists {
        /// product, sku, gtin, location, reservation, job or key.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The reference was used before, by another request.
    #[error("reference {reference} was used before, at {position}")]
    ReferenceUsed {
        /// Which.
        reference: Reference,
        /// By which entry.
        position: Position,
    },
    /// What the caller believed to be there is not.
    #[error("{field} was expected to be {expected}, and is {actual}")]
    ExpectedMismatch {
        /// Which number.
        field: &'static str,
        /// What the caller believed.
        expected: i64,
        /// What is there.
        actual: i64,
    },
    /// The caller has seen another revision than the newest.
    #[error("revision {expected} was expected, and revision {actual} is the newest")]
    PreconditionFailed {
        /// What the caller has seen.
        expected: u64,
        /// The newest.
        actual: u64,
    },
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too many of something, see [`crate::limits`].
    #[error("{what}: {given} given, {max} allowed")]
    LimitExceeded {
        /// lines, variants, entry bytes, units and so on.
        what: &'static str,
        /// How many were given.
        given: u64,
        /// How many are allowed.
        max: u64,
    },
    /// A list that must hold something is empty, or a change changes nothing.
    #[error("{what} is empty")]
    Nothing {
        /// Of what.
        what: &'static str,
    },
    /// What goes from one to another goes to itself.
    #[error("{what} cannot be both ends")]
    SameEnds {
        /// Of what kind both are.
        what: &'static str,
    },
    /// A duration or a moment out of its bounds.
    #[error("{what} must be from {min} to {max} ms, and is {given}")]
    OutOfBounds {
        /// Which.
        what: &'static str,
        /// What was given.
        given: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
}

/// One fact of a refusal, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Words.
    Text(String),
    /// A number.
    Number(i64),
    /// A moment.
    Time(SiteTime),
}

impl Refusal {
    /// The stable code. Appears in problems, metrics and documents.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::QuotaExhaustedHere { .. } => "quota_exhausted_here",
            Self::InsufficientOnHand { .. } => "insufficient_on_hand",
            Self::InsufficientCommitted { .. } => "insufficient_committed",
            Self::UnknownProduct { .. } => "unknown_product",
            Self::UnknownSku { .. } => "unknown_sku",
            Self::UnknownLocation { .. } => "unknown_location",
            Self::UnknownReservation { .. } => "unknown_reservation",
            Self::OwnedElsewhere { .. } => "owned_elsewhere",
            Self::ReservationEnded { .. } => "reservation_ended",
            Self::ProductArchived { .. } => "product_archived",
            Self::ProductDraft { .. } => "product_draft",
            Self::ProductInUse { .. } => "product_in_use",
            Self::TitleMissing => "title_missing",
            Self::UnknownJob { .. } => "unknown_job",
            Self::JobPosition { .. } => "job_position",
            Self::JobState { .. } => "job_state",
            Self::UnknownTransfer { .. } => "unknown_transfer",
            Self::TransferStatus { .. } => "transfer_status",
            Self::UnknownCustomer { .. } => "unknown_customer",
            Self::CustomerErased { .. } => "customer_erased",
            Self::UnknownCart { .. } => "unknown_cart",
            Self::CartClosed { .. } => "cart_closed",
            Self::CartOfAnother { .. } => "cart_of_another",
            Self::CartEmpty { .. } => "cart_empty",
            Self::PriceMissing { .. } => "price_missing",
            Self::PriceChanged { .. } => "price_changed",
            Self::QuantityBounds { .. } => "quantity_bounds",
            Self::TotalNegative => "total_negative",
            Self::UnknownOrder { .. } => "unknown_order",
            Self::OrderElsewhere { .. } => "owned_elsewhere",
            Self::OrderStatus { .. } => "order_status",
            Self::UnknownPayment { .. } => "unknown_payment",
            Self::PaymentInProgress { .. } => "payment_in_progress",
            Self::PaymentStatus { .. } => "payment_status",
            Self::AmountExceeded { .. } => "amount_exceeded",
            Self::AlreadyExists { .. } => "already_exists",
            Self::ReferenceUsed { .. } => "reference_used",
            Self::ExpectedMismatch { .. } => "expected_mismatch",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::KeyReused => "idempotency_key_reused",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Nothing { .. }
            | Self::SameEnds { .. }
            | Self::OutOfBounds { .. }
            | Self::UnknownOption { .. }
            | Self::LineOrder { .. } => "invalid_request",
        }
    }

    /// As it is told in a journal: the code, then words, cut to what a reason holds.
    pub(crate) fn reason(&self) -> Reason {
        let cut = Reason::cut(&format!("{}: {self}", self.code()));
        cut.unwrap_or_else(|| Reason::parse(self.code()).expect("a code is a reason"))
    }

    /// The facts by name, in the order in which a person would tell them.
    pub fn facts(&self) -> Vec<(&'static str, Fact)> {
        let text = |value: &dyn std::fmt::Display| Fact::Text(value.to_string());
        let units = |value: u64| Fact::Number(i64::try_from(value).unwrap_or(i64::MAX));
        match self {
            Self::InsufficientStock { sku, location, wanted, available } => vec![
                ("sku", text(sku)),
                ("location", text(location)),
                ("wanted", units(*wanted)),
                ("available", Fact::Number(*available)),
            ],
            Self::QuotaExhaustedHere { sku, location, wanted, available, elsewhere, as_of } => vec![
                ("sku", text(sku)),
                ("location", text(location)),
                ("wanted", units(*wanted)),
                ("available", Fact::Number(*available)),
                ("elsewhere", units(*elsewhere)),
                ("as_of", Fact::Time(*as_of)),
            ],
            Self::InsufficientOnHand { sku, location, wanted, on_hand } => vec![
                ("sku", text(sku)),
                ("location", text(location)),
                ("wanted", units(*wanted)),
                ("on_hand", Fact::Number(*on_hand)),
            ],
            Self::InsufficientCommitted { sku, location, wanted, committed } => vec![
                ("sku", text(sku)),
                ("location", text(location)),
                ("wanted", units(*wanted)),
                ("committed", units(*committed)),
            ],
            Self::UnknownProduct { id } => vec![("product_id", text(id))],
            Self::UnknownSku { sku } => vec![("sku", text(sku))],
            Self::UnknownLocation { location } => vec![("location", text(location))],
            Self::UnknownReservation { id } => vec![("reservation", text(id))],
            Self::OwnedElsewhere { location, home } => vec![("location", text(location)), ("site", text(home))],
            Self::ReservationEnded { id, status } => {
                vec![("reservation", text(id)), ("status_now", Fact::Text(status.word().into()))]
            }
            Self::ProductArchived { sku, id } | Self::ProductDraft { sku, id } => {
                vec![("sku", text(sku)), ("product_id", text(id))]
            }
            Self::ProductInUse { sku, location } => vec![("sku", text(sku)), ("location", text(location))],
            Self::UnknownOption { sku, option } => vec![("sku", text(sku)), ("option", text(option))],
            Self::UnknownJob { job } => vec![("job", text(job))],
            Self::JobPosition { job, expected } => vec![("job", text(job)), ("expected", units(*expected))],
            Self::LineOrder { line } => vec![("line", units(*line))],
            Self::JobState { job, status } => {
                vec![("job", text(job)), ("status_now", Fact::Text(status.word().into()))]
            }
            Self::UnknownTransfer { transfer } => vec![("transfer", text(transfer))],
            Self::TransferStatus { transfer, status } => {
                vec![("transfer", text(transfer)), ("status_now", text(status))]
            }
            Self::UnknownCustomer { customer } | Self::CustomerErased { customer } => {
                vec![("customer", text(customer))]
            }
            Self::UnknownCart { cart } | Self::CartEmpty { cart } => vec![("cart", text(cart))],
            Self::CartClosed { cart, status } => {
                let mut facts = vec![("cart", text(cart)), ("status_now", Fact::Text(status.word().into()))];
                match status {
                    CartStatus::Merged(into) => facts.push(("merged_into", text(into))),
                    CartStatus::Ordered => facts.push(("order", text(&OrderId::from(*cart)))),
                    CartStatus::Open => {}
                }
                facts
            }
            Self::CartOfAnother { cart, customer } => vec![("cart", text(cart)), ("customer", text(customer))],
            Self::PriceMissing { sku, currency } => vec![("sku", text(sku)), ("currency", text(currency))],
            Self::PriceChanged { sku, was, now } => {
                let was = was.map(|was| ("was", Fact::Number(was.amount)));
                let rest = [("now", Fact::Number(now.amount)), ("currency", text(&now.currency))];
                [("sku", text(sku))].into_iter().chain(was).chain(rest).collect()
            }
            Self::QuantityBounds { sku, given, min, max } => {
                vec![("sku", text(sku)), ("given", units(*given)), ("min", units(*min)), ("max", units(*max))]
            }
            Self::UnknownOrder { order } => vec![("order", text(order))],
            Self::OrderElsewhere { order, home } => vec![("order", text(order)), ("site", text(home))],
            Self::OrderStatus { order, wanted, status } => {
                vec![("order", text(order)), ("wanted", text(wanted)), ("status_now", text(status))]
            }
            Self::UnknownPayment { payment } => vec![("payment", text(payment))],
            Self::PaymentInProgress { payment, operation } => {
                vec![("payment", text(payment)), ("operation", text(operation))]
            }
            Self::PaymentStatus { payment, status } => {
                vec![("payment", text(payment)), ("status_now", Fact::Text(status.word().into()))]
            }
            Self::AmountExceeded { given, max } => vec![
                ("given", Fact::Number(given.amount)),
                ("max", Fact::Number(max.amount)),
                ("currency", text(&max.currency)),
            ],
            Self::AlreadyExists { what, name } => vec![("what", text(what)), ("name", text(name))],
            Self::ReferenceUsed { reference, position } => {
                vec![("reference", text(reference)), ("position", text(position))]
            }
            Self::ExpectedMismatch { field, expected, actual } => {
                vec![("field", text(field)), ("expected", Fact::Number(*expected)), ("actual", Fact::Number(*actual))]
            }
            Self::PreconditionFailed { expected, actual } => {
                vec![("expected", units(*expected)), ("actual", units(*actual))]
            }
            Self::KeyReused
            | Self::TitleMissing
            | Self::TotalNegative
            | Self::Nothing { .. }
            | Self::SameEnds { .. } => {
                vec![]
            }
            Self::LimitExceeded { what, given, max } => {
                vec![("what", text(what)), ("given", units(*given)), ("max", units(*max))]
            }
            Self::OutOfBounds { what, given, min, max } => {
                vec![("what", text(what)), ("given", units(*given)), ("min", units(*min)), ("max", units(*max))]
            }
        }
    }
}

impl ReservationStatus {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

/// Why a decision gave no events.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stop {
    /// The domain says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Rows could not be read.
    #[error(transparent)]
    Failed(#[from] ViewError),
}
