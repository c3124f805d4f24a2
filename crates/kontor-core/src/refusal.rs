//! When the domain says no: a stable code, and the facts to act on.

use crate::id::{JobId, LocationId, OfferId, Position, ProductId, ReservationId, SiteId, Sku};
use crate::job::JobStatus;
use crate::offer::OfferStatus;
use crate::product::text::Name;
use crate::reservation::ReservationStatus;
use crate::text::Reference;
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
            Self::AlreadyExists { .. } => "already_exists",
            Self::ReferenceUsed { .. } => "reference_used",
            Self::ExpectedMismatch { .. } => "expected_mismatch",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::KeyReused => "idempotency_key_reused",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Nothing { .. } | Self::OutOfBounds { .. } | Self::UnknownOption { .. } | Self::LineOrder { .. } => {
                "invalid_request"
            }
        }
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
            Self::KeyReused | Self::TitleMissing | Self::Nothing { .. } => vec![],
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
