//! A revision is one edit of a product: who, when, by which request, and every field before and after.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::field::{Field, Value};
use crate::event::{ListingEdited, ProductEdited};
use crate::id::{Actor, Position, ProductId, RequestId, SiteId};
use crate::record::{Key, KeyParts, Primary, Table};
use crate::time::{SiteTime, Stamp};

/// One edit of a product, kept for as long as its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// By which entry.
    pub position: Position,
    /// When.
    pub at: SiteTime,
    /// By whom.
    pub actor: Actor,
    /// By which request.
    pub request_id: RequestId,
    /// What was edited.
    pub edited: Edited,
}

/// What was edited: the product, or what it says in a market. As in the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edited {
    /// The product itself.
    Product(Arc<ProductEdited>),
    /// One of its listings.
    Listing(Arc<ListingEdited>),
}

/// One field of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Which.
    pub field: Field,
    /// What it was.
    pub before: Value,
    /// What it was set to.
    pub after: Value,
}

impl Revision {
    /// What the keys of all revisions of a product begin with. They follow in the order of their stamps:
    /// what was done with knowledge of another stands after it.
    pub fn prefix(product: &ProductId) -> Key {
        Key::new().text(product.as_str())
    }

    /// Reads what follows the prefix.
    pub fn parts(after_prefix: &[u8]) -> Option<(Stamp, SiteId)> {
        let mut parts = KeyParts(after_prefix);
        Some((Stamp(parts.number()?), SiteId::parse(parts.rest()?).ok()?))
    }

    /// Every field that it set, before and after.
    pub fn changes(&self) -> Vec<FieldChange> {
        self.edited.changes()
    }
}

impl Edited {
    /// Every field that was set, before and after.
    pub fn changes(&self) -> Vec<FieldChange> {
        match self {
            Self::Product(edited) => pair(edited.edit.values(), edited.before.values()),
            Self::Listing(edited) => pair(edited.edit.values(), edited.before.values()),
        }
    }
}

/// Each field once, in the order of the fields.
fn pair(after: Vec<(Field, Value)>, before: Vec<(Field, Value)>) -> Vec<FieldChange> {
    let mut fields: BTreeMap<Field, (Value, Value)> = BTreeMap::new();
    let nothing = || (Value::Nothing, Value::Nothing);
    before.into_iter().for_each(|(field, value)| fields.entry(field).or_insert_with(nothing).0 = value);
    after.into_iter().for_each(|(field, value)| fields.entry(field).or_insert_with(nothing).1 = value);
    fields.into_iter().map(|(field, (before, after))| FieldChange { field, before, after }).collect()
}

impl Primary for Revision {
    const TABLE: Table = Table::REVISIONS;
    type Key<'k> = (&'k ProductId, Stamp);
    fn key((product, stamp): (&ProductId, Stamp)) -> Key {
        Self::prefix(product).number(stamp.0)
    }
}
