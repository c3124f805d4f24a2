//! Why a request was not done: every code, once.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $code:literal $status:literal $retry:literal $clean:literal $title:literal;)*) => {
        /// A stable code. Programs decide by it; titles and details are for people and may change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Code {
            /// All codes, in the order in which they are documented.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The status that it comes with.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed later without anybody changing it.
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// Whether it is certain that nothing has changed.
            pub fn has_no_side_effects(self) -> bool {
                match self { $(Self::$variant => $clean,)* }
            }

            /// The same words for every problem of this code.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

// status, retryable, certain that nothing changed
codes! {
    /// The request is malformed or a value is out of its bounds. `errors` says which one.
    InvalidRequest "invalid_request" 400 false true "The request is not valid";
    /// Writes of stock and reservations must carry an `Idempotency-Key`, so that they can be repeated safely.
    IdempotencyKeyMissing "idempotency_key_missing" 400 false true "An Idempotency-Key is required";
    /// A product that is not there yet can be made only with a title.
    TitleMissing "title_missing" 400 false true "A new product needs a title";
    /// A page token that this server did not give, or gave for another list.
    InvalidPageToken "invalid_page_token" 400 false true "The page token is not valid here";
    /// No key was given, or one that is not known. Send `X-API-Key` or `Authorization: Bearer`.
    Unauthenticated "unauthenticated" 401 false true "A valid API key is required";
    /// The payment provider does not take the card; another one may do.
    CardRefused "card_refused" 402 false true "The card is not taken";
    /// The key is known, but may not do this.
    Forbidden "forbidden" 403 false true "The key may not do this";
    /// Nothing is at this path.
    NotFound "not_found" 404 false true "Nothing is here";
    /// No product has this id.
    UnknownProduct "unknown_product" 404 false true "There is no such product";
    /// No product has this SKU.
    UnknownSku "unknown_sku" 404 false true "There is no such SKU";
    /// No job of this site has this id.
    UnknownJob "unknown_job" 404 false true "There is no such job";
    /// No location has this id.
    UnknownLocation "unknown_location" 404 false true "There is no such location";
    /// No reservation of this site has this id.
    UnknownReservation "unknown_reservation" 404 false true "There is no such reservation";
    /// No transfer has this id, as far as this site has read.
    UnknownTransfer "unknown_transfer" 404 false true "There is no such transfer";
    /// No customer has this id, as far as this site has read.
    UnknownCustomer "unknown_customer" 404 false true "There is no such customer";
    /// No cart of this site has this id, or its token was not shown.
    UnknownCart "unknown_cart" 404 false true "There is no such cart";
    /// No order has this id, as far as this site has read.
    UnknownOrder "unknown_order" 404 false true "There is no such order";
    /// No payment has this id.
    UnknownPayment "unknown_payment" 404 false true "There is no such payment";
    /// The path exists, but not with this method. `Allow` says which ones there are.
    MethodNotAllowed "method_not_allowed" 405 false true "The method is not allowed here";
    /// The answer cannot be given in a media type that `Accept` names.
    NotAcceptable "not_acceptable" 406 false true "No acceptable media type";
    /// The body did not arrive in time.
    RequestTimeout "request_timeout" 408 true true "The request took too long to arrive";
    /// Fewer units can be promised than were asked for; a smaller quantity may do.
    InsufficientStock "insufficient_stock" 409 false true "Not enough can be promised";
    /// This site may promise fewer units than were asked for, and other sites hold `elsewhere` of them, as
    /// far as was read (`as_of`). It has asked for them: try again in a moment.
    QuotaExhaustedHere "quota_exhausted_here" 409 true true "Other sites hold what is left";
    /// Fewer units are there than were to be taken away.
    InsufficientOnHand "insufficient_on_hand" 409 false true "Not enough is there";
    /// Fewer units of the reservation are left to hand out.
    InsufficientCommitted "insufficient_committed" 409 false true "Not enough is left of the reservation";
    /// The reservation is no longer held; to hand out, it is not committed. `status_now` says what it is.
    ReservationEnded "reservation_ended" 409 false true "The reservation is not in a state for that";
    /// The product is no longer for sale.
    ProductArchived "product_archived" 409 false true "The product is archived";
    /// The product is not for sale yet.
    ProductDraft "product_draft" 409 false true "The product is a draft";
    /// What is to be deleted still has stock or promises.
    ProductInUse "product_in_use" 409 false true "It still has stock or promises";
    /// An import takes every line once; `expected` is the line at which it goes on.
    JobPosition "job_position" 409 false true "The job is at another line";
    /// The job is not in a state in which this can be done; `status_now` says in which.
    JobState "job_state" 409 false true "The job cannot do this now";
    /// The transfer is not in a status in which this can be done; `status_now` says in which.
    TransferStatus "transfer_status" 409 false true "The transfer cannot do this now";
    /// The person was erased: nothing more is kept of them.
    CustomerErased "customer_erased" 409 false true "The customer was erased";
    /// The cart was ordered or merged; `status_now` says which, `order` or `merged_into` what it has become.
    CartClosed "cart_closed" 409 false true "The cart is closed";
    /// The cart belongs to another customer, and cannot be given to this one.
    CartOfAnother "cart_of_another" 409 false true "The cart is another customer's";
    /// There is nothing in the cart.
    CartEmpty "cart_empty" 409 false true "The cart is empty";
    /// The catalogue has no price of this SKU in the cart's currency.
    PriceMissing "price_missing" 409 false true "There is no price";
    /// The price is another one than the buyer has seen; accept the prices of the cart, and check out again.
    PriceChanged "price_changed" 409 false true "The price has changed";
    /// The product is sold from `min` to `max` units at a time.
    QuantityBounds "quantity_bounds" 409 false true "It is not sold in this quantity";
    /// Discounts are more than all else in the cart.
    TotalNegative "total_negative" 409 false true "The total is below zero";
    /// What has become of the order does not allow that; `status_now` says what it is.
    OrderStatus "order_status" 409 false true "The order cannot do this now";
    /// What has become of the payment does not allow that; `status_now` says what it is.
    PaymentStatus "payment_status" 409 false true "The payment cannot do this now";
    /// The provider is being asked for something else for this payment; try again in a moment.
    PaymentInProgress "payment_in_progress" 409 true true "The payment is in progress";
    /// More money was asked for than there is: `max` minor units.
    AmountExceeded "amount_exceeded" 409 false true "There is not so much money";
    /// A job with this id was started with another kind or digest.
    JobDiffers "job_differs" 409 false true "The job has another input";
    /// Something has this name already.
    AlreadyExists "already_exists" 409 false true "It exists already";
    /// The reference was used before by another request; `position` says by which entry.
    ReferenceUsed "reference_used" 409 false true "The reference was used before";
    /// What the caller believed to be there is not; `actual` is.
    ExpectedMismatch "expected_mismatch" 409 false true "Something else was expected";
    /// The other site cannot be reached, or did not take what it was told. `detail` says what it said.
    LinkRefused "link_refused" 409 false true "The link could not be made";
    /// More of something than the site keeps; `what`, `given` and `max` say of what.
    LimitExceeded "limit_exceeded" 409 false true "A limit was exceeded";
    /// Somebody changed it since the revision in `If-Match`. `current` is what it is now.
    PreconditionFailed "precondition_failed" 412 false true "It has changed meanwhile";
    /// The body is longer than this server reads.
    BodyTooLarge "body_too_large" 413 false true "The body is too large";
    /// Bodies are sent as `application/json`.
    UnsupportedMediaType "unsupported_media_type" 415 false true "The body must be JSON";
    /// The key was used for another request. Use a fresh key for a new intention.
    IdempotencyKeyReused "idempotency_key_reused" 422 false true "The Idempotency-Key was used for another request";
    /// Edits must say which revision they were made on, with `If-Match`.
    PreconditionRequired "precondition_required" 428 false true "If-Match is required";
    /// The caller has sent more requests than it may in a while; wait for `Retry-After` seconds.
    RateLimited "rate_limited" 429 true true "Too many requests";
    /// The line and headers of the request are longer, or more, than this server reads.
    HeadTooLarge "head_too_large" 431 false true "The head of the request is too large";
    /// The program broke one of its own rules. Nothing has changed; the log says more under `trace_id`.
    Internal "internal" 500 false true "A defect of the server";
    /// More requests wait than the site takes. Nothing has changed; wait for `Retry-After` seconds.
    Overloaded "overloaded" 503 true true "The site is overloaded";
    /// More streams are open than the server keeps.
    TooManyStreams "too_many_streams" 503 true true "Too many streams are open";
    /// The journal could take nothing, usually because the disk is full. Nothing has changed.
    StorageFull "storage_full" 503 true true "The journal took nothing";
    /// The site stopped before it could say whether it was done, or `site`, which it asked, did not answer.
    /// Repeat at the same site with the same `Idempotency-Key`: it is done once in any case. Without a key,
    /// read before you repeat.
    OutcomeUnknown "outcome_unknown" 503 true false "The outcome is not known";
    /// The payment provider could not be asked. Try again in a moment.
    PaymentUnavailable "payment_unavailable" 503 true true "The payment provider cannot be asked";
    /// The server is about to stop. Nothing has changed; ask again in a moment.
    ShuttingDown "shutting_down" 503 true true "The server is shutting down";
    /// The site has stopped writing. Reads may work; an operator must look.
    SiteStopped "site_stopped" 503 true true "The site has stopped";
    /// Another site holds more of this site's journal than is here, or another one. Nothing is written until
    /// an operator has looked; reads work.
    JournalBehind "journal_behind" 503 true true "The site's journal is not whole";
    /// Another site, `site`, decides this, and could not be asked from here. Ask that one, or wait.
    OwnedElsewhere "owned_elsewhere" 503 true true "Another site keeps these books";
}

impl Code {
    /// Reads a code as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_in_the_table() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(code.has_no_side_effects() || code.retryable(), "{code:?} leaves its caller helpless");
        }
    }
}
