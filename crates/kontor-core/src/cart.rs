//! A cart: what somebody may want to buy. It belongs to the site that opened it, which alone checks it out, and
//! leads to one order at most.

use serde::{Deserialize, Serialize};

use crate::id::{CartId, CustomerId, LocationId, OrderId, ReservationId, Sku};
use crate::money::Currency;
use crate::person::Contact;
use crate::product::text::{MarketId, Name};
use crate::quantity::Quantity;
use crate::record::{Key, KeyParts, Primary, Table};
use crate::time::SiteTime;

/// A cart, as its site keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// What has become of it.
    pub status: CartStatus,
    /// SHA-256 of what its buyer shows.
    pub token: [u8; 32],
    /// In which prices are.
    pub currency: Currency,
    /// Whose prices hold.
    pub market: Option<MarketId>,
    /// Where all of it is taken from; each line from wherever there is enough, if not given.
    pub location: Option<LocationId>,
    /// Whose it is; a guest's, if not given.
    pub customer: Option<CustomerId>,
    /// Where its buyer is reached.
    pub contact: Contact,
    /// What is added to the prices of the lines, as the caller says.
    pub amounts: Vec<Amount>,
    /// What is in it, in the order in which it was put there.
    pub lines: Vec<CartLine>,
    /// What is held for it while it is filled.
    pub hold: Option<ReservationId>,
    /// Changes so far.
    pub revision: u64,
    /// When it was opened.
    pub created_at: SiteTime,
    /// When it was changed last.
    pub updated_at: SiteTime,
}

/// What has become of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CartStatus {
    /// It can be filled and checked out.
    Open,
    /// An order was placed from it.
    Ordered,
    /// What was in it is in another one.
    Merged(CartId),
}

/// Units of one SKU at one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// Of what.
    pub sku: Sku,
    /// How many; 0 in an event that takes the line away.
    pub quantity: u64,
    /// For how much each, in minor units, as the buyer has seen it; nothing, if there was no price.
    pub price: Option<i64>,
    /// Whether the price was given by the caller and is not the catalogue's.
    pub given: bool,
}

/// What is done to the lines of a cart. Changes that add commute: what is clicked twice is there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineChange {
    /// So many more.
    Add {
        /// Of what.
        sku: Sku,
        /// How many.
        quantity: Quantity,
        /// A price of the caller's own, in minor units.
        price: Option<i64>,
    },
    /// So many from now on; none takes the line away.
    Set {
        /// Of what.
        sku: Sku,
        /// How many.
        quantity: u64,
        /// The line with this price of the caller's own.
        price: Option<i64>,
    },
    /// None from now on, at whatever price.
    Remove {
        /// Of what.
        sku: Sku,
    },
}

/// What is set of a cart besides its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartDetails {
    /// Whose it is.
    pub customer: Option<CustomerId>,
    /// Fields of where its buyer is reached.
    pub contact: Contact,
    /// All amounts that are added.
    pub amounts: Option<Vec<Amount>>,
    /// Where all of it is taken from; `Some(None)` leaves that to the site.
    pub location: Option<Option<LocationId>>,
}

/// Money that is added to or taken off the lines, as the caller says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// What for.
    pub kind: AmountKind,
    /// How it is called on the bill.
    pub label: Name,
    /// Minor units: from 0 for shipping and tax, up to 0 for a discount.
    pub amount: i64,
}

/// What an amount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AmountKind {
    /// Bringing the goods.
    Shipping,
    /// What the state gets.
    Tax,
    /// What is taken off.
    Discount,
}

/// An open cart by its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartOf;

/// A cart by the day on which it was changed last: what is swept when nobody came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartDay;

impl Cart {
    /// Prices of its lines and the amounts added, in minor units, if every line has a price and it can be told.
    pub fn total(&self) -> Option<i64> {
        let lines = self.lines.iter().map(|line| line.price?.checked_mul(i64::try_from(line.quantity).ok()?));
        let amounts = self.amounts.iter().map(|amount| Some(amount.amount));
        lines.chain(amounts).try_fold(0_i64, |sum, part| sum.checked_add(part?))
    }

    /// The line of a SKU at the catalogue's price, or at one of the caller's own.
    pub(crate) fn line(&self, sku: &Sku, own_price: Option<i64>) -> Option<&CartLine> {
        self.lines.iter().find(|line| line.is(sku, own_price))
    }
}

impl LineChange {
    /// Of what.
    pub(crate) fn sku(&self) -> &Sku {
        match self {
            Self::Add { sku, .. } | Self::Set { sku, .. } | Self::Remove { sku } => sku,
        }
    }
}

impl CartLine {
    /// Whether it is the line of a SKU at the catalogue's price, or at one of the caller's own.
    pub(crate) fn is(&self, sku: &Sku, own_price: Option<i64>) -> bool {
        self.sku == *sku && self.own_price() == own_price
    }

    /// The price that the caller gave, if it is not the catalogue's.
    pub(crate) fn own_price(&self) -> Option<i64> {
        self.price.filter(|_| self.given)
    }
}

impl CartStatus {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ordered => "ordered",
            Self::Merged(_) => "merged",
        }
    }
}

impl AmountKind {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shipping => "shipping",
            Self::Tax => "tax",
            Self::Discount => "discount",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Shipping, Self::Tax, Self::Discount].into_iter().find(|kind| kind.word() == word)
    }
}

impl From<CartId> for OrderId {
    /// The one order that a cart can lead to.
    fn from(cart: CartId) -> Self {
        Self(cart.0)
    }
}

impl Primary for Cart {
    const TABLE: Table = Table::CARTS;
    type Key<'k> = CartId;
    fn key(id: CartId) -> Key {
        Key::new().fixed(&id.0)
    }
}

impl Primary for CartOf {
    const TABLE: Table = Table::CARTS_OF;
    type Key<'k> = (CustomerId, CartId);
    fn key((customer, cart): (CustomerId, CartId)) -> Key {
        Self::prefix(customer).fixed(&cart.0)
    }
}

impl CartOf {
    /// What the keys of all carts of a customer begin with.
    pub fn prefix(customer: CustomerId) -> Key {
        Key::new().fixed(&customer.0)
    }

    /// Reads what follows the prefix: which cart.
    pub fn cart(after_prefix: &[u8]) -> Option<CartId> {
        Some(CartId(KeyParts(after_prefix).fixed()?))
    }
}

impl Primary for CartDay {
    const TABLE: Table = Table::CART_DAYS;
    type Key<'k> = (u64, CartId);
    fn key((day, cart): (u64, CartId)) -> Key {
        Key::new().number(day).fixed(&cart.0)
    }
}

impl CartDay {
    /// Reads a key: the day, which cart, and at which site.
    pub fn parts(key: &[u8]) -> Option<(u64, CartId, &str)> {
        let mut parts = KeyParts(key);
        Some((parts.number()?, CartId(parts.fixed()?), parts.rest()?))
    }
}
