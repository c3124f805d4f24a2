//! Transfers of stock between locations, whoever keeps their books: one table of states
//! ([`crate::offer::TRANSITIONS`]) for both sides.

use std::sync::Arc;

use super::{Rules, limit};
use crate::command::{Inbound, Line, Note};
use crate::event::Event;
use crate::id::{LocationId, OfferId, Owner, ReservationId, SiteId, Sku};
use crate::limits::{TRANSFER_BORROW_MS, TRANSFER_HOLD_MS, TRANSFER_LINES_MAX};
use crate::offer::{Answer, By, Offer, Said, Transfer, TransferLine};
use crate::overlay::Overlay;
use crate::quantity::Quantity;
use crate::refusal::{Refusal, Stop};
use crate::reservation::Reservation;
use crate::text::{Reason, Reference};
use crate::view::row;

impl Offer {
    /// Refuses a step that cannot be taken now.
    fn may(&self, step: &str, by: By) -> Result<(), Stop> {
        let status = self.status();
        match status.after(step, by) {
            Some(_) => Ok(()),
            None => Err(Refusal::TransferStatus { transfer: self.id, status }.into()),
        }
    }

    /// Whether its units are held or promised.
    fn holds(&self) -> bool {
        let answer = self.answered.as_ref().map(|answered| &answered.answer);
        matches!(answer, Some(Answer::Accepted | Answer::Done))
    }

    fn lines(&self) -> Vec<Line> {
        let Transfer { from, lines, .. } = &self.asked.transfer;
        let lines = lines.iter().filter_map(|line| {
            let quantity = Quantity::new(line.quantity).ok()?;
            Some(Line { sku: line.sku.clone(), location: from.clone(), quantity })
        });
        lines.collect()
    }

    fn answer(&self, answer: Answer) -> Event {
        Event::TransferAnswered { id: self.id, asker: self.asker.clone(), answer }
    }
}

impl Rules<'_> {
    pub(super) fn ask_transfer(
        self,
        id: Option<OfferId>,
        (from, to): (&LocationId, &LocationId),
        lines: &[(Sku, Quantity)],
        reason: Option<&Reason>,
    ) -> Result<Vec<Event>, Stop> {
        let id = id.unwrap_or(OfferId(self.context.fresh_id));
        let here = self.context.site;
        limit("lines", lines.len() as u64, TRANSFER_LINES_MAX as u64)?;
        let at_source =
            |(sku, quantity): &(Sku, Quantity)| Line { sku: sku.clone(), location: from.clone(), quantity: *quantity };
        let wanted = self.summed(&lines.iter().map(at_source).collect::<Vec<_>>())?;
        self.home_here(to)?;
        let of = self.home(from)?;
        if from == to {
            return Err(Refusal::SameEnds { what: "a location" }.into());
        }
        for item in &wanted {
            self.counted(&item.sku)?;
        }
        if Offer::read(self.view, id, here)?.is_some() {
            return Err(Refusal::AlreadyExists { what: "transfer", name: id.to_string() }.into());
        }
        let lines = wanted.into_iter().map(|item| TransferLine { sku: item.sku, quantity: item.quantity });
        let (lines, reason) = (lines.collect(), reason.cloned());
        let transfer = Arc::new(Transfer { from: from.clone(), to: to.clone(), lines, reason });
        let asked = Event::TransferAsked { id, of: of.clone(), transfer };
        if of != *here {
            return Ok(vec![asked]);
        }
        // Both books are kept here: what cannot be done is refused, and nobody waits for anybody.
        let mut all = vec![asked];
        let mut rows = Overlay::new(self.view);
        self.fold_into(&mut rows, &all)?;
        for step in 0..3 {
            let rules = Rules { view: &rows, context: self.context };
            let seen = Offer::read(&rows, id, here)?.ok_or(Refusal::UnknownTransfer { transfer: id })?;
            let made = match step {
                0 => rules.accept(&seen)?,
                1 => vec![Event::TransferSaid { id, said: Said::Confirmed }],
                _ => rules.act(&seen)?,
            };
            self.fold_into(&mut rows, &made)?;
            all.extend(made);
        }
        Ok(all)
    }

    pub(super) fn withdraw_transfer(self, id: OfferId) -> Result<Vec<Event>, Stop> {
        let seen = self.own(id)?;
        seen.may("withdraw", By::Asker)?;
        Ok(vec![Event::TransferSaid { id, said: Said::Withdrawn }])
    }

    pub(super) fn dispatch_transfer(self, id: OfferId, note: &Note) -> Result<Vec<Event>, Stop> {
        let seen = self.asked_of_here(id)?;
        seen.may("dispatch", By::Target)?;
        let reference = note.reference.clone().or_else(|| reference(id));
        let mut events = self.ship(id.into(), None, &Note { reference, ..note.clone() })?;
        events.push(seen.answer(Answer::Dispatched));
        Ok(events)
    }

    pub(super) fn receive_transfer(
        self,
        id: OfferId,
        received: &[(Sku, u64)],
        note: &Note,
    ) -> Result<Vec<Event>, Stop> {
        let seen = self.own(id)?;
        seen.may("receive", By::Asker)?;
        let transfer = &seen.asked.transfer;
        for (sku, _) in received {
            if !transfer.lines.iter().any(|line| line.sku == *sku) {
                return Err(Refusal::UnknownSku { sku: sku.clone() }.into());
            }
        }
        let arrived: Vec<u64> = transfer
            .lines
            .iter()
            .map(|line| received.iter().find(|(sku, _)| *sku == line.sku).map_or(line.quantity, |(_, units)| *units))
            .collect();
        for (line, units) in transfer.lines.iter().zip(&arrived) {
            limit("units received", *units, line.quantity)?;
        }
        let lines = transfer.lines.iter().zip(&arrived).filter_map(|(line, units)| {
            let quantity = Quantity::new(*units).ok()?;
            Some(Line { sku: line.sku.clone(), location: transfer.to.clone(), quantity })
        });
        let lines: Vec<Line> = lines.collect();
        let mut events = Vec::new();
        if !lines.is_empty() {
            let reference = note.reference.clone().or_else(|| reference(id));
            events = self.receive(Inbound::Delivery, &lines, &Note { reference, ..note.clone() })?;
        }
        events.push(Event::TransferSaid { id, said: Said::Received(arrived) });
        Ok(events)
    }

    /// Sees to an offer whose rows have changed; nothing, where it is the other's turn.
    pub(super) fn tend_offer(self, id: OfferId, asker: &SiteId) -> Result<Vec<Event>, Stop> {
        let seen = Offer::read(self.view, id, asker)?;
        seen.map_or(Ok(Vec::new()), |seen| self.tend(&seen))
    }

    /// Why the hold of a transfer is not ended or handed out by anything but the transfer.
    pub(super) fn held_for_transfer(self, id: ReservationId) -> Result<Option<Refusal>, Stop> {
        let hold = row::<Reservation>(self.view, self.context.site, id)?;
        let transfer = OfferId(id.0);
        let is_named = hold.is_some_and(|hold| hold.owner == owner(transfer));
        let all = if is_named { Offer::with_id(self.view, transfer)? } else { Vec::new() };
        let held = all.iter().find(|seen| seen.asked.of == *self.context.site && seen.holds());
        Ok(held.map(|seen| Refusal::TransferStatus { transfer, status: seen.status() }))
    }

    fn tend(self, seen: &Offer) -> Result<Vec<Event>, Stop> {
        let here = self.context.site;
        let is_target = seen.asked.of == *here;
        let answer = seen.answered.as_ref().map(|answered| &answered.answer);
        match (&seen.asked.said, answer) {
            (Said::Offered, None | Some(Answer::Borrowing(_))) if is_target => match self.accept(seen) {
                Err(Stop::Refused(refusal)) => self.borrow_or_decline(seen, &refusal),
                accepted => accepted,
            },
            (Said::Confirmed, Some(Answer::Accepted)) if is_target => match self.act(seen) {
                Err(Stop::Refused(refusal)) => Ok(vec![seen.answer(Answer::Lapsed(refusal.reason()))]),
                done => done,
            },
            (Said::Withdrawn, Some(Answer::Accepted)) if is_target => {
                let mut events = match self.release(seen.id.into()) {
                    // It has expired by itself.
                    Err(Stop::Refused(_)) => Vec::new(),
                    released => released?,
                };
                events.push(seen.answer(Answer::Undone));
                Ok(events)
            }
            (Said::Offered, Some(Answer::Accepted)) if seen.asker == *here => {
                Ok(vec![Event::TransferSaid { id: seen.id, said: Said::Confirmed }])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What is not counted cannot be brought anywhere: it would be made by that.
    fn counted(self, sku: &Sku) -> Result<(), Stop> {
        match self.item(sku)?.selling.policy.counts() {
            true => Ok(()),
            false => Err(Refusal::Nothing { what: "the stock of a SKU that is not counted" }.into()),
        }
    }

    /// Holds the units.
    fn accept(self, seen: &Offer) -> Result<Vec<Event>, Stop> {
        self.home_here(&seen.asked.transfer.from)?;
        for line in &seen.asked.transfer.lines {
            self.counted(&line.sku)?;
        }
        let mut events =
            self.reserve(Some(seen.id.into()), owner(seen.id).as_ref(), &seen.lines(), TRANSFER_HOLD_MS)?;
        events.push(seen.answer(Answer::Accepted));
        Ok(events)
    }

    /// What others hold is asked for, as for a buyer, and the offer is looked at again; it is declined when that
    /// takes too long, and at once when nobody holds any.
    fn borrow_or_decline(self, seen: &Offer, refusal: &Refusal) -> Result<Vec<Event>, Stop> {
        let since = seen.borrows(self.context.site);
        let until = since.unwrap_or(self.context.now.plus(TRANSFER_BORROW_MS));
        if !matches!(refusal, Refusal::QuotaExhaustedHere { .. }) || until <= self.context.now {
            return Ok(vec![seen.answer(Answer::Declined(refusal.reason()))]);
        }
        let mut events = Vec::new();
        for Line { sku, location, quantity } in seen.lines() {
            let here = self.level(&sku, &location)?.sellable_here;
            let missing = quantity.units().saturating_sub(u64::try_from(here).unwrap_or(0));
            if missing > 0 {
                events.extend(self.borrow_quota(&sku, &location, missing)?);
            }
        }
        if since.is_none() {
            events.push(seen.answer(Answer::Borrowing(until)));
        }
        Ok(events)
    }

    /// Promises the units that are held, if they still are: the confirm may have come late.
    fn act(self, seen: &Offer) -> Result<Vec<Event>, Stop> {
        let mut events = self.commit(seen.id.into())?;
        events.push(seen.answer(Answer::Done));
        Ok(events)
    }

    /// An offer that this site has made.
    fn own(self, id: OfferId) -> Result<Offer, Stop> {
        if let Some(seen) = Offer::read(self.view, id, self.context.site)? {
            return Ok(seen);
        }
        let any = Offer::with_id(self.view, id)?.into_iter().next();
        Err(match any {
            Some(seen) => Refusal::OwnedElsewhere { location: seen.asked.transfer.to, home: seen.asker }.into(),
            None => Refusal::UnknownTransfer { transfer: id }.into(),
        })
    }

    /// An offer that was made to this site.
    fn asked_of_here(self, id: OfferId) -> Result<Offer, Stop> {
        let mut all = Offer::with_id(self.view, id)?;
        // Ids are made by askers: of two that are the same, one alone can hold units.
        let is_here = |seen: &Offer| seen.asked.of == *self.context.site;
        let held = all.iter().position(|seen| is_here(seen) && seen.holds());
        match held.or(all.iter().position(is_here)) {
            Some(at) => Ok(all.swap_remove(at)),
            None => Err(match all.into_iter().next() {
                Some(Offer { asked, .. }) => {
                    Refusal::OwnedElsewhere { location: asked.transfer.from, home: asked.of }.into()
                }
                None => Refusal::UnknownTransfer { transfer: id }.into(),
            }),
        }
    }
}

/// Whose the hold of a transfer is.
fn owner(id: OfferId) -> Option<Owner> {
    Owner::parse(format!("transfer {id}")).ok()
}

/// What a movement of a transfer is booked under, if its papers say nothing else: so it is booked once.
fn reference(id: OfferId) -> Option<Reference> {
    Reference::parse(id.to_string()).ok()
}
