//! An offer is work that one site asks of another: the asker offers, the target accepts, the asker confirms,
//! and the target acts only once it has read the confirm. Until it confirms, the asker may withdraw. The
//! target keeps its answer per asker and offer, so an offer that comes twice is the same one.
//!
//! Each of the two sites writes a row of its own; what has become of the offer follows from both
//! ([`OfferStatus::of`]), in whatever order they are read. [`TRANSITIONS`] is all that can happen.
//!
//! The first work of this kind is a **transfer**: the home of one location asks for units that are at
//! another. The target holds them when it accepts, promises them when it acts, and hands them out when
//! they are dispatched; the asker receives them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{LocationId, OfferId, ReservationId, SiteId, Sku};
use crate::record::{Key, KeyParts, Primary, Table};
use crate::text::Reason;
use crate::time::SiteTime;
use crate::view::{KeyRange, View, ViewError, row};

/// Units that are asked for at one location, to be brought from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Where the units are.
    pub from: LocationId,
    /// Where they are wanted.
    pub to: LocationId,
    /// What; each SKU once.
    pub lines: Vec<TransferLine>,
    /// Why.
    pub reason: Option<Reason>,
}

/// Units of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLine {
    /// Of what.
    pub sku: Sku,
    /// How many.
    pub quantity: u64,
}

/// What an asker has said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// It wants the work.
    Offered,
    /// It does not want it any more.
    Withdrawn,
    /// It wants it still, having read that it was accepted.
    Confirmed,
    /// So many units of each line have arrived.
    Received(Vec<u64>),
}

/// What a target has answered last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The units are held.
    Accepted,
    /// It does not do it, for a reason that begins with the code of a refusal.
    Declined(Reason),
    /// It had accepted, and could not any more when it read the confirm.
    Lapsed(Reason),
    /// It has acted: the units are promised.
    Done,
    /// The units have left.
    Dispatched,
    /// It had accepted, has read that the asker withdrew, and holds nothing any more.
    Undone,
    /// It may not promise so many units, and borrows them from other sites until this moment at most.
    Borrowing(SiteTime),
}

/// One site's row of an offer: of what it asks, what it answers, or both where it asks itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRow {
    /// As the asker.
    pub asked: Option<Asked>,
    /// As the target.
    pub answered: Option<Answered>,
}

/// What an asker keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The target.
    pub of: SiteId,
    /// What it wants.
    pub transfer: Transfer,
    /// What it has said last.
    pub said: Said,
    /// When it was made.
    pub created_at: SiteTime,
    /// When the asker said something last.
    pub updated_at: SiteTime,
}

/// What a target keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What it has answered last.
    pub answer: Answer,
    /// When.
    pub updated_at: SiteTime,
}

/// What names an offer besides the sites' rows of it.
#[derive(Debug, Clone, Copy)]
pub struct OfferKey<'k> {
    /// Which.
    pub id: OfferId,
    /// Who asks: ids are given by askers.
    pub asker: &'k SiteId,
}

impl Primary for OfferRow {
    const TABLE: Table = Table::OFFERS;
    type Key<'k> = OfferKey<'k>;
    fn key(key: OfferKey<'_>) -> Key {
        Key::new().fixed(&key.id.0).text(key.asker.as_str())
    }
}

impl OfferRow {
    /// Reads a key: which offer, whose, and whose row of it.
    pub fn parts(key: &[u8]) -> Option<(OfferId, SiteId, SiteId)> {
        let mut parts = KeyParts(key);
        let id = OfferId(parts.fixed()?);
        let asker = SiteId::parse(parts.text()?).ok()?;
        Some((id, asker, SiteId::parse(parts.rest()?).ok()?))
    }
}

/// An offer, with what both sites have said of it as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which.
    pub id: OfferId,
    /// Who asks.
    pub asker: SiteId,
    /// What it asks.
    pub asked: Asked,
    /// What was answered.
    pub answered: Option<Answered>,
}

impl Offer {
    /// One offer of an asker.
    pub fn read(view: &dyn View, id: OfferId, asker: &SiteId) -> Result<Option<Self>, ViewError> {
        let key = OfferKey { id, asker };
        let asked = row::<OfferRow>(view, asker, key)?.and_then(|row| row.asked);
        let Some(asked) = asked else { return Ok(None) };
        let answered = row::<OfferRow>(view, &asked.of, key)?.and_then(|row| row.answered);
        Ok(Some(Self { id, asker: asker.clone(), asked, answered }))
    }

    /// Until when this site borrows units for it at most, if it does.
    pub fn borrows(&self, here: &SiteId) -> Option<SiteTime> {
        let is_open = self.asked.of == *here && self.asked.said == Said::Offered;
        match self.answered.as_ref().filter(|_| is_open)?.answer {
            Answer::Borrowing(until) => Some(until),
            _ => None,
        }
    }

    /// Offers by id and asker, from a key on: so many, or fewer if there are no more.
    pub fn list(view: &dyn View, from: &Key, before: &Key, limit: usize) -> Result<Vec<Self>, ViewError> {
        let mut names: Vec<(OfferId, SiteId)> = Vec::new();
        let range = KeyRange { from: from.as_bytes(), before: before.as_bytes() };
        view.scan(Table::OFFERS, range, &mut |key, _| {
            let name = OfferRow::parts(key).map(|(id, asker, _)| (id, asker));
            // The rows of both sites stand together.
            if let Some(name) = name.filter(|name| names.last() != Some(name)) {
                if names.len() == limit {
                    return false;
                }
                names.push(name);
            }
            true
        })?;
        let mut found = Vec::with_capacity(names.len());
        for (id, asker) in names {
            found.extend(Self::read(view, id, &asker)?);
        }
        Ok(found)
    }

    /// Offers with this id, by all askers.
    pub fn with_id(view: &dyn View, id: OfferId) -> Result<Vec<Self>, ViewError> {
        let prefix = Key::new().fixed(&id.0);
        Self::list(view, &prefix, &prefix.end(), usize::MAX)
    }

    /// What has become of it.
    pub fn status(&self) -> OfferStatus {
        OfferStatus::of(&self.asked.said, self.answered.as_ref().map(|answered| &answered.answer))
    }

    /// When somebody said something last.
    pub fn updated_at(&self) -> SiteTime {
        self.answered.as_ref().map_or(self.asked.updated_at, |answered| answered.updated_at.max(self.asked.updated_at))
    }
}

/// What has become of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OfferStatus {
    /// The target has not answered, as far as was read.
    Offered,
    /// The target is ready, and waits for the confirm.
    Accepted,
    /// The target does not do it.
    Declined,
    /// The asker does not want it any more.
    Withdrawn,
    /// The target is to act.
    Confirmed,
    /// The target could not act any more.
    Lapsed,
    /// The target has acted: of a transfer, the units are promised.
    Done,
    /// The units are on their way.
    Dispatched,
    /// They have arrived.
    Received,
}

/// Who takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Who asks.
    Asker,
    /// Who is asked.
    Target,
}

/// One step: from which status, what is done, by whom, and what it leads to.
pub type Transition = (OfferStatus, &'static str, By, OfferStatus);

/// Everything that can become of an offer. Whatever is not here is refused.
pub const TRANSITIONS: [Transition; 11] = [
    (OfferStatus::Offered, "accept", By::Target, OfferStatus::Accepted),
    (OfferStatus::Offered, "decline", By::Target, OfferStatus::Declined),
    (OfferStatus::Offered, "withdraw", By::Asker, OfferStatus::Withdrawn),
    (OfferStatus::Accepted, "withdraw", By::Asker, OfferStatus::Withdrawn),
    (OfferStatus::Accepted, "confirm", By::Asker, OfferStatus::Confirmed),
    (OfferStatus::Confirmed, "act", By::Target, OfferStatus::Done),
    (OfferStatus::Confirmed, "lapse", By::Target, OfferStatus::Lapsed),
    (OfferStatus::Done, "dispatch", By::Target, OfferStatus::Dispatched),
    (OfferStatus::Dispatched, "receive", By::Asker, OfferStatus::Received),
    // The target may promise too few, and others hold some.
    (OfferStatus::Offered, "borrow", By::Target, OfferStatus::Offered),
    // The target answers what was withdrawn meanwhile, too: it gives back what it held.
    (OfferStatus::Withdrawn, "undo", By::Target, OfferStatus::Withdrawn),
];

impl OfferStatus {
    /// What has become of an offer, by the last words of both. They may cross: an asker that withdraws
    /// while the target accepts has withdrawn.
    pub fn of(said: &Said, answer: Option<&Answer>) -> Self {
        match (said, answer) {
            (Said::Received(_), _) => Self::Received,
            (Said::Withdrawn, _) => Self::Withdrawn,
            (_, Some(Answer::Declined(_))) => Self::Declined,
            (_, Some(Answer::Lapsed(_))) => Self::Lapsed,
            (_, Some(Answer::Dispatched)) => Self::Dispatched,
            (_, Some(Answer::Done)) => Self::Done,
            (Said::Confirmed, _) => Self::Confirmed,
            (Said::Offered, Some(Answer::Accepted | Answer::Undone)) => Self::Accepted,
            (Said::Offered, None | Some(Answer::Borrowing(_))) => Self::Offered,
        }
    }

    /// What a step leads to, if it can be taken now.
    pub fn after(self, step: &str, by: By) -> Option<Self> {
        let mut all = TRANSITIONS.iter();
        all.find(|(from, of, who, _)| *from == self && *of == step && *who == by).map(|(.., to)| *to)
    }

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
            Self::Confirmed => "confirmed",
            Self::Lapsed => "lapsed",
            Self::Done => "done",
            Self::Dispatched => "dispatched",
            Self::Received => "received",
        }
    }
}

impl fmt::Display for OfferStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<OfferId> for ReservationId {
    /// The hold that a target makes for an offer.
    fn from(id: OfferId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_reached_and_only_by_its_steps() {
        let reached = |status| TRANSITIONS.iter().any(|(.., to)| *to == status) || status == OfferStatus::Offered;
        for status in [OfferStatus::Declined, OfferStatus::Lapsed, OfferStatus::Received, OfferStatus::Withdrawn] {
            assert!(reached(status), "{status}");
            let goes_on = TRANSITIONS.iter().any(|(from, .., to)| *from == status && *to != status);
            assert!(!goes_on, "{status} is an end");
        }
        assert_eq!(OfferStatus::Accepted.after("act", By::Target), None, "nobody acts before the confirm");
        assert_eq!(OfferStatus::Confirmed.after("withdraw", By::Asker), None, "what is confirmed is not withdrawn");
    }

    #[test]
    fn words_that_cross_lead_to_one_status() {
        let of = OfferStatus::of;
        assert_eq!(of(&Said::Withdrawn, Some(&Answer::Accepted)), OfferStatus::Withdrawn);
        assert_eq!(of(&Said::Withdrawn, Some(&Answer::Undone)), OfferStatus::Withdrawn);
        assert_eq!(of(&Said::Confirmed, Some(&Answer::Accepted)), OfferStatus::Confirmed);
        assert_eq!(of(&Said::Confirmed, Some(&Answer::Dispatched)), OfferStatus::Dispatched);
    }
}
