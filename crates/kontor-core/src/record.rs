//! The key space: every kind of row that Kontor keeps, and how its key and value are written.
//!
//! | table | one row per | key | kind |
//! | --- | --- | --- | --- |
//! | `folded` | site | site | how far its journal is folded; kept by the site, not by `fold` |
//! | `sites` | site | site | primary, shared |
//! | `products` | product and site | product, site | primary, shared: what this site set of it |
//! | `claims` | SKU, product and site | sku, product, site | primary, shared: who uses the SKU |
//! | `catalog` | product | product | derived from `products`: the merged product |
//! | `items` | SKU | sku | derived from `claims` and `catalog`: what a sale must know |
//! | `locations` | location and site | location, site | primary, shared: the site is its home |
//! | `stock` | SKU, location and site | sku, location, site | primary, shared |
//! | `movements` | line of the stock ledger | sku, location, time, position, line, site | primary, shared |
//! | `promises` | hold or promise line | sku, location, due, reservation, site | primary, private |
//! | `reservations` | reservation | reservation, site | primary, private |
//! | `due` | live hold | expiry, reservation, site | primary, private |
//! | `references` | used reference | kind, reference, site | primary, private |
//! | `keys` | access key | key id, site | primary, private |
//! | `answers_0` … `answers_7` | remembered key | scope, site | primary, private; by day |
//! | `listings` | product, market and site | product, market, site | primary, shared: what this site set there |
//! | `market_listings` | product and market | product, market | derived from `listings` and `products` |
//! | `revisions` | edit of a product | product, stamp, site | primary, shared: the audit |
//! | `jobs` | import | job, site | primary, private |
//! | `job_lines` | chunk of an import | job, first line, site | primary, private |
//! | `gtins` | GTIN of a variant | gtin, product, sku | derived from `catalog` |
//! | `index` | way to find a product | see [`crate::index`] | derived from `catalog` and `market_listings` |
//! | `offers` | offer and site | offer, asker, site | primary, shared: what this site says of it |
//! | `customers` | customer and site | customer, site | primary, shared: personal fields are ciphertext |
//! | `emails` | e-mail address, by keyed hash | hash, site | primary, shared: whose it is |
//! | `carts` | cart | cart, site | primary, private |
//! | `carts_of` | open cart of a customer | customer, cart, site | primary, private |
//! | `cart_days` | cart | day of its last change, cart, site | primary, private: what is swept |
//! | `orders` | order | order, site | primary, shared |
//! | `timeline` | thing that became of an order | order, position, event, site | primary, shared |
//! | `order_numbers` | order | number, site | primary, shared |
//! | `order_lists` | list that an order is on | list, time (newest first), order, site | primary, shared |
//! | `payments` | payment | order, number, site | primary, private |
//! | `payments_due` | call to a provider that is to be made | order, number, site | primary, private |
//! | `callbacks` | report of a provider | its id, site | primary, private |
//! | `payments_parked` | call that nobody makes until somebody looks | order, number, site | primary, private |
//! | `seen` | other site and site | other site, site | primary, shared: how far the site had folded the other |
//!
//! Every primary row names its site in its key and is written by entries of that site alone. The
//! site stands last, so that the rows of all sites about one thing stand together. Texts end with NUL,
//! which no text contains; numbers are big-endian, so that keys sort as a reader expects.
//!
//! A value begins with one byte, the version of its format. A new version is a new type with a
//! function from the previous one; the ordinals of tables are never reused.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::id::SiteId;
use crate::limits::IDEMPOTENCY_DAYS;
use crate::view::ViewError;

/// A table: an ordered map from keys to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub u8);

/// The tables by ordinal. Persisted by name; append only.
pub const TABLE_NAMES: [&str; 44] = [
    "folded",
    "sites",
    "products",
    "claims",
    "catalog",
    "items",
    "locations",
    "stock",
    "movements",
    "promises",
    "reservations",
    "due",
    "references",
    "keys",
    "answers_0",
    "answers_1",
    "answers_2",
    "answers_3",
    "answers_4",
    "answers_5",
    "answers_6",
    "answers_7",
    "listings",
    "market_listings",
    "revisions",
    "jobs",
    "job_lines",
    "gtins",
    "index",
    "seen",
    "offers",
    "customers",
    "emails",
    "carts",
    "carts_of",
    "cart_days",
    "orders",
    "timeline",
    "order_numbers",
    "order_lists",
    "payments",
    "payments_due",
    "callbacks",
    "payments_parked",
];

impl Table {
    /// How far journals have been folded. Written beside every batch by whoever keeps the tables.
    pub const FOLDED: Self = Self(0);
    /// What sites say about themselves.
    pub const SITES: Self = Self(1);
    /// What each site set of a product.
    pub const PRODUCTS: Self = Self(2);
    pub(crate) const CLAIMS: Self = Self(3);
    /// Merged products, by id.
    pub const CATALOG: Self = Self(4);
    /// What a sale must know of a SKU.
    pub const ITEMS: Self = Self(5);
    /// Locations, by id.
    pub const LOCATIONS: Self = Self(6);
    /// Stock rows, by SKU and location.
    pub const STOCK: Self = Self(7);
    /// The stock ledger.
    pub const MOVEMENTS: Self = Self(8);
    /// Holds and promises by item, soonest due first.
    pub const PROMISES: Self = Self(9);
    /// Reservations by id.
    pub const RESERVATIONS: Self = Self(10);
    /// Live holds by expiry.
    pub const DUE: Self = Self(11);
    pub(crate) const REFERENCES: Self = Self(12);
    /// Access keys.
    pub const KEYS: Self = Self(13);
    /// What each site set of a product in a market.
    pub const LISTINGS: Self = Self(22);
    /// What a product says of its own in a market, by product and market.
    pub const MARKET_LISTINGS: Self = Self(23);
    /// Edits of a product, by stamp.
    pub const REVISIONS: Self = Self(24);
    /// Imports, by id.
    pub const JOBS: Self = Self(25);
    /// What became of the lines of an import.
    pub const JOB_LINES: Self = Self(26);
    /// Variants by GTIN.
    pub const GTINS: Self = Self(27);
    /// Ways to find products.
    pub const INDEX: Self = Self(28);
    /// How far sites had folded each other's journals.
    pub const SEEN: Self = Self(29);
    /// Work that sites ask of each other.
    pub const OFFERS: Self = Self(30);
    /// Customers, by id.
    pub const CUSTOMERS: Self = Self(31);
    pub(crate) const EMAILS: Self = Self(32);
    /// Carts, by id.
    pub const CARTS: Self = Self(33);
    /// Open carts by customer.
    pub const CARTS_OF: Self = Self(34);
    /// Carts by the day on which they were changed last.
    pub const CART_DAYS: Self = Self(35);
    /// Orders, by id.
    pub const ORDERS: Self = Self(36);
    /// What became of orders, by order.
    pub const TIMELINE: Self = Self(37);
    /// Orders by number.
    pub const ORDER_NUMBERS: Self = Self(38);
    /// Lists of orders, newest first.
    pub const ORDER_LISTS: Self = Self(39);
    /// Payments, by order.
    pub const PAYMENTS: Self = Self(40);
    /// Calls to payment providers that are to be made.
    pub const PAYMENTS_DUE: Self = Self(41);
    pub(crate) const CALLBACKS: Self = Self(42);
    /// Calls to payment providers that nobody makes until somebody looks.
    pub const PAYMENTS_PARKED: Self = Self(43);

    /// Tables of remembered answers: one for today and one for each day before that is remembered.
    pub const ANSWERS: [Self; 8] = [Self(14), Self(15), Self(16), Self(17), Self(18), Self(19), Self(20), Self(21)];

    /// The remembered answers of a day.
    pub(crate) const fn answers(day: u64) -> Self {
        Self::ANSWERS[(day % 8) as usize]
    }

    /// Whether folding only ever puts rows there, and reads none: so rows of entries that will be folded
    /// again do no harm. They are looked up by decisions, and read by people.
    pub fn is_only_put(self) -> bool {
        matches!(self, Self::MOVEMENTS | Self::REFERENCES | Self::REVISIONS | Self::JOB_LINES | Self::TIMELINE)
            || Self::ANSWERS.contains(&self)
    }

    /// The table's name, for messages and for the engine.
    pub fn name(self) -> &'static str {
        TABLE_NAMES[usize::from(self.0)]
    }
}

const _: () = assert!(IDEMPOTENCY_DAYS + 1 == Table::ANSWERS.len() as u64);

/// A key being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// The empty key, with room for a typical one.
    pub fn new() -> Self {
        Self(Vec::with_capacity(64))
    }

    /// A text that is followed by more.
    pub fn text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    /// A number, so that greater numbers sort later.
    pub fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Bytes of a fixed length.
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Where the site goes when it is last.
    pub(crate) fn site(&mut self, site: &SiteId) {
        self.0.extend_from_slice(site.as_str().as_bytes());
    }

    /// The least key that is greater than every key that begins with this one.
    pub fn end(&self) -> Self {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self(end);
            }
        }
        // Only the empty key and keys of nothing but 0xff have no successor; no row begins with 0xff,
        // which is not UTF-8, except numbers, and those are followed by a site.
        Self(vec![u8::MAX; 9])
    }

    /// The least key that is greater than this one.
    pub fn after(mut self) -> Self {
        self.0.push(0);
        self
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a key part by part, in the order in which it was written.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'k>(pub &'k [u8]);

impl<'k> KeyParts<'k> {
    /// The next text.
    pub fn text(&mut self) -> Option<&'k str> {
        let end = self.0.iter().position(|b| *b == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).ok()
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.fixed()?))
    }

    /// The next bytes of a fixed length.
    pub fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// What is left: a site that stands last.
    pub fn rest(self) -> Option<&'k str> {
        std::str::from_utf8(self.0).ok()
    }
}

/// A row that belongs to one site: written by folding that site's entries, and by nothing else.
pub trait Primary: Serialize + DeserializeOwned {
    /// Where rows of this kind live.
    const TABLE: Table;
    /// What names a row besides its site.
    type Key<'k>;
    /// The key up to the site, which is appended.
    fn key(key: Self::Key<'_>) -> Key;
}

/// A row that is a pure function of primary rows, and recomputed when one of them changes.
pub trait Derived: Serialize + DeserializeOwned {
    /// Where rows of this kind live.
    const TABLE: Table;
    /// What names a row.
    type Key<'k>;
    /// The whole key.
    fn key(key: Self::Key<'_>) -> Key;
}

/// Raised whenever rows, or what derives from them, are other than before: tables of another version are built
/// again from the journal.
pub const TABLES_VERSION: u32 = 5;

/// The version that every row format has today.
const ROW_VERSION: u8 = 1;

/// Writes a row: its version, then its fields (postcard).
pub fn encode<R: Serialize>(row: &R) -> Bytes {
    // Rows are plain structs of integers, texts and lists: writing one to memory cannot fail.
    // With room for a typical one, so that it does not grow byte by byte.
    let mut bytes = Vec::with_capacity(192);
    bytes.push(ROW_VERSION);
    let bytes = postcard::to_extend(row, bytes).expect("a row can be written to memory");
    Bytes::from(bytes)
}

/// The bytes that a row takes.
pub(crate) fn size<R: Serialize>(row: &R) -> usize {
    // Counting bytes cannot fail where writing them cannot.
    postcard::serialize_with_flavor(row, postcard::ser_flavors::Size::default()).expect("a row can be counted") + 1
}

/// A row that says all by being there.
pub(crate) const EMPTY: Bytes = Bytes::from_static(&[ROW_VERSION]);

/// Reads a row of `table`.
pub fn decode<R: DeserializeOwned>(table: Table, value: &[u8]) -> Result<R, ViewError> {
    let fail = |why: String| ViewError { table: table.name(), why };
    match value.split_first() {
        Some((&ROW_VERSION, fields)) => postcard::from_bytes(fields).map_err(|error| fail(error.to_string())),
        Some((version, _)) => Err(fail(format!("row format {version} is newer than this program"))),
        None => Err(fail("an empty row".into())),
    }
}
