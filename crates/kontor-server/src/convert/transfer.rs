//! Transfers as they are told.

use kontor_api::changes::TransferStep;
use kontor_api::transfer::{Transfer, TransferLine, TransferStatus};
use kontor_core::id::Position;
use kontor_core::offer::{Answer, Offer, OfferStatus, Said};

use super::time;
use crate::problem::Problem;

/// A transfer as this site has read it.
pub(crate) fn transfer(offer: &Offer, position: Position) -> Result<Transfer, Problem> {
    let wanted = &offer.asked.transfer;
    let arrived = match &offer.asked.said {
        Said::Received(arrived) => arrived.as_slice(),
        Said::Offered | Said::Withdrawn | Said::Confirmed => &[],
    };
    let lines = wanted.lines.iter().enumerate().map(|(at, line)| TransferLine {
        sku: line.sku.to_string(),
        quantity: line.quantity,
        received: arrived.get(at).copied(),
    });
    Ok(Transfer {
        id: offer.id.to_string(),
        status: status(offer.status()),
        from: wanted.from.to_string(),
        to: wanted.to.to_string(),
        asker: offer.asker.to_string(),
        of: offer.asked.of.to_string(),
        lines: lines.collect(),
        reason: wanted.reason.as_ref().map(ToString::to_string),
        why: offer.answered.as_ref().and_then(|answered| match &answered.answer {
            Answer::Declined(why) | Answer::Lapsed(why) => Some(why.to_string()),
            _ => None,
        }),
        created_at: time(offer.asked.created_at)?,
        updated_at: time(offer.updated_at())?,
        position: position.to_string(),
    })
}

/// What has become of it.
pub(crate) fn status(status: OfferStatus) -> TransferStatus {
    match status {
        OfferStatus::Offered => TransferStatus::Offered,
        OfferStatus::Accepted => TransferStatus::Accepted,
        OfferStatus::Declined => TransferStatus::Declined,
        OfferStatus::Withdrawn => TransferStatus::Withdrawn,
        OfferStatus::Confirmed => TransferStatus::Confirmed,
        OfferStatus::Lapsed => TransferStatus::Lapsed,
        OfferStatus::Done => TransferStatus::Done,
        OfferStatus::Dispatched => TransferStatus::Dispatched,
        OfferStatus::Received => TransferStatus::Received,
    }
}

/// What an asker said.
pub(crate) fn said(said: &Said) -> TransferStep {
    match said {
        Said::Offered => TransferStep::Offered,
        Said::Withdrawn => TransferStep::Withdrawn,
        Said::Confirmed => TransferStep::Confirmed,
        Said::Received(_) => TransferStep::Received,
    }
}

/// What a target answered.
pub(crate) fn answer(answer: &Answer) -> TransferStep {
    match answer {
        Answer::Accepted => TransferStep::Accepted,
        Answer::Declined(_) => TransferStep::Declined,
        Answer::Lapsed(_) => TransferStep::Lapsed,
        Answer::Done => TransferStep::Done,
        Answer::Dispatched => TransferStep::Dispatched,
        Answer::Undone => TransferStep::Undone,
        Answer::Borrowing(_) => TransferStep::Borrowing,
    }
}
