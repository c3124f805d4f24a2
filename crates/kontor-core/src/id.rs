//! Names of things: who they are, wherever they are.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::{LABEL_BYTES_MAX, LOCATION_BYTES_MAX, SITE_BYTES_MAX, SKU_BYTES_MAX};
use crate::text::{TextError, host_name, name, printable, segment, text_type};

text_type! {
    /// The seller's key of a sellable unit. Case-sensitive: `85123a` and `85123A` are two.
    Sku, "sku", segment, SKU_BYTES_MAX
}
text_type! {
    /// A product's id: given by the client, or equal to its first SKU.
    ProductId, "product id", segment, SKU_BYTES_MAX
}
text_type! {
    /// A warehouse or shop that holds stock.
    LocationId, "location id", name, LOCATION_BYTES_MAX
}
text_type! {
    /// A place that owns what it writes: a cloud region or a shop.
    SiteId, "site", host_name, SITE_BYTES_MAX
}
text_type! {
    /// Who gave a command: `key:<id>`, `timer`, `operator`.
    Actor, "actor", printable, LABEL_BYTES_MAX
}
text_type! {
    /// The caller's or the server's id of one request; found again in logs and in the journal.
    RequestId, "request id", printable, LABEL_BYTES_MAX
}
text_type! {
    /// For whom units are held: a cart, a till, a customer number. An opaque token of the caller;
    /// personal data does not belong here.
    Owner, "owner", printable, LABEL_BYTES_MAX
}

impl From<Sku> for ProductId {
    fn from(sku: Sku) -> Self {
        // The rules of the two types are the same, so every SKU is a product id.
        ProductId::parse(Box::<str>::from(sku)).expect("a sku follows the rule of product ids")
    }
}

impl Actor {
    /// The site itself, doing what has become due.
    pub fn timer() -> Self {
        Self("timer".into())
    }
}

/// Declares an id that is a UUID, shown with a prefix.
macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            const PREFIX: &'static str = $prefix;

            /// Reads the prefix and 32 hexadecimal digits; they may be hyphenated as in a UUID.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                let digits = text.strip_prefix(Self::PREFIX).unwrap_or(text);
                let uuid = Uuid::try_parse(digits).map_err(|_| TextError::Alphabet { what: $what })?;
                Ok(Self(uuid.into_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, Uuid::from_bytes(self.0).simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_type! {
    /// One hold or promise. A UUIDv7, shown as `res_` and 32 hexadecimal digits.
    ReservationId, "reservation id", "res_"
}
uuid_type! {
    /// One import. A UUIDv7, shown as `job_` and 32 hexadecimal digits.
    JobId, "job id", "job_"
}
uuid_type! {
    /// One cart. Shown as `cart_` and 32 hexadecimal digits; on the wire its home site follows, because no
    /// other site knows the cart.
    CartId, "cart id", "cart_"
}
uuid_type! {
    /// One order. Shown as `ord_` and 32 hexadecimal digits: those of the cart that it was placed from, so
    /// that a cart leads to one order whatever happens.
    OrderId, "order id", "ord_"
}
uuid_type! {
    /// One customer. A UUIDv7, shown as `cus_` and 32 hexadecimal digits.
    CustomerId, "customer id", "cus_"
}
uuid_type! {
    /// One stock transfer. A UUIDv7, shown as `trf_` and 32 hexadecimal digits.
    OfferId, "transfer id", "trf_"
}

/// One payment of an order. Shown as `pay_`, the digits of the order, `_` and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PaymentId {
    /// Of which order.
    pub order: OrderId,
    /// Which of them, from 1.
    pub number: u16,
}

impl PaymentId {
    /// Reads what is shown.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let wrong = || TextError::Alphabet { what: "payment id" };
        let (order, number) = text.strip_prefix("pay_").and_then(|rest| rest.split_once('_')).ok_or_else(wrong)?;
        let order = OrderId::parse(order).map_err(|_| wrong())?;
        let is_plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number = number.parse().ok().filter(|_| is_plain).ok_or_else(wrong)?;
        Ok(Self { order, number })
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pay_{}_{}", Uuid::from_bytes(self.order.0).simple(), self.number)
    }
}

/// A place in a journal: the entry `index` of group `seq` of a site's term. Written
/// `term-seq-index`, and ordered as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// The term of the site's journal, from 1.
    pub term: u32,
    /// The group, from 1 in each term.
    pub seq: u64,
    /// The entry in the group, from 0.
    pub index: u32,
}

impl Position {
    /// Before the first entry of the first term.
    pub const START: Self = Self { term: 0, seq: 0, index: 0 };

    /// Reads `term-seq-index`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| part.bytes().all(|b| b.is_ascii_digit()).then_some(part));
        let (term, seq, index) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        Some(Self { term: term.parse().ok()?, seq: seq.parse().ok()?, index: index.parse().ok()? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.term, self.seq, self.index)
    }
}
