//! Units that one location asks of another: what a site may say of them, by what it has read, and what it
//! must book with it.
//!
//! Whose turn it is follows from the words of both sites, which are noted as they were told. Nothing is
//! promised to another site before its confirm was read, nothing is booked in that was not handed out, and
//! each step is taken once.

use std::sync::Arc;

use kontor_core::command::{Command, Inbound, Line, Note, Request};
use kontor_core::event::{Entry, Event};
use kontor_core::id::{Actor, LocationId, OfferId, Owner, RequestId, ReservationId, SiteId, Sku};
use kontor_core::offer::{Answer, Answered, Asked, Offer, OfferStatus, Said, Transfer, TransferLine};
use kontor_core::quantity::Quantity;
use kontor_core::refusal::Refusal;
use kontor_core::reservation::ReservationStatus;
use kontor_core::text::Reference;
use kontor_core::time::SiteTime;
use kontor_core::view::View;

use super::effects::Booked;
use super::shop::{ShelfKey, Shop, summed};
use super::{Kept, Oracle, broken, same};

/// How long units that were accepted are held for the confirm. Said here again: the oracle takes nobody's
/// word for a promise.
const HELD_MS: u64 = 24 * 3_600_000;

/// How long units are borrowed that a site may not promise, before it declines.
const BORROWED_MS: u64 = 60_000;

/// What has become of a transfer, by what both sites have said of it.
pub(crate) fn status(seen: &Offer) -> OfferStatus {
    match (&seen.asked.said, seen.answered.as_ref().map(|answered| &answered.answer)) {
        (Said::Received(_), _) => OfferStatus::Received,
        (Said::Withdrawn, _) => OfferStatus::Withdrawn,
        (_, Some(Answer::Declined(_))) => OfferStatus::Declined,
        (_, Some(Answer::Lapsed(_))) => OfferStatus::Lapsed,
        (_, Some(Answer::Done)) => OfferStatus::Done,
        (_, Some(Answer::Dispatched)) => OfferStatus::Dispatched,
        (Said::Confirmed, _) => OfferStatus::Confirmed,
        (Said::Offered, None | Some(Answer::Borrowing(_))) => OfferStatus::Offered,
        (Said::Offered, Some(_)) => OfferStatus::Accepted,
    }
}

/// Whether it is a site's turn, and not a person's, or nobody's.
pub(crate) fn waits_for_a_site(seen: &Offer) -> bool {
    let holds = matches!(seen.answered.as_ref().map(|answered| &answered.answer), Some(Answer::Accepted));
    match status(seen) {
        OfferStatus::Offered | OfferStatus::Accepted | OfferStatus::Confirmed => true,
        OfferStatus::Withdrawn => holds,
        _ => false,
    }
}

/// What is handed out of a transfer, as lines of its source.
pub(crate) fn lines_at(location: &LocationId, lines: impl IntoIterator<Item = (Sku, u64)>) -> Vec<Line> {
    let lines = lines.into_iter().filter_map(|(sku, units)| {
        let quantity = Quantity::new(units).ok()?;
        Some(Line { sku, location: location.clone(), quantity })
    });
    lines.collect()
}

fn wanted(transfer: &Transfer) -> Vec<Line> {
    lines_at(&transfer.from, transfer.lines.iter().map(|line| (line.sku.clone(), line.quantity)))
}

/// What has arrived, line by line, of which `received` says what is not whole.
fn arrived(transfer: &Transfer, received: &[(Sku, u64)]) -> Vec<u64> {
    let of = |line: &TransferLine| received.iter().find(|(sku, _)| *sku == line.sku).map(|(_, units)| *units);
    transfer.lines.iter().map(|line| of(line).unwrap_or(line.quantity)).collect()
}

fn owner(id: OfferId) -> Option<Owner> {
    Owner::parse(format!("transfer {id}")).ok()
}

/// The papers of a movement: those of the transfer, unless they have a number of their own.
fn papers(id: OfferId, note: &Note) -> Note {
    let reference = note.reference.clone().or_else(|| Reference::parse(id.to_string()).ok());
    Note { reference, ..note.clone() }
}

/// The command by which a site holds the units.
fn hold(seen: &Offer) -> Command {
    let (id, lines) = (Some(ReservationId::from(seen.id)), wanted(&seen.asked.transfer));
    Command::Reserve { id, owner: owner(seen.id), lines, hold_ms: HELD_MS }
}

impl Shop {
    /// A transfer with all that both sites have said of it, as far as it was read.
    pub(crate) fn offer(&self, site: &SiteId, id: OfferId, asker: &SiteId) -> Option<Offer> {
        let shop = |of: &SiteId| if of == site { Some(self) } else { self.others.get(of).map(|other| &other.shop) };
        let asked = shop(asker)?.transfers.get(&id)?.clone();
        let answered = shop(&asked.of).and_then(|shop| shop.answers.get(&(id, asker.clone()))).cloned();
        Some(Offer { id, asker: asker.clone(), asked, answered })
    }

    /// All transfers that were read, in the order of their askers.
    pub(crate) fn offers(&self, site: &SiteId) -> Vec<Offer> {
        let others = self.others.iter().map(|(asker, other)| (asker, &other.shop.transfers));
        let mut asked: Vec<_> = others.chain([(site, &self.transfers)]).collect();
        asked.sort_by_key(|(asker, _)| *asker);
        let names = asked.into_iter().flat_map(|(asker, of)| of.keys().map(move |id| (*id, asker)));
        names.filter_map(|(id, asker)| self.offer(site, id, asker)).collect()
    }

    fn offers_named(&self, site: &SiteId, id: OfferId) -> Vec<Offer> {
        self.offers(site).into_iter().filter(|seen| seen.id == id).collect()
    }

    /// The transfer that a site was asked for: of several with one id that which holds units.
    fn asked_of(&self, site: &SiteId, id: OfferId) -> Option<Offer> {
        let all: Vec<Offer> = self.offers_named(site, id).into_iter().filter(|seen| seen.asked.of == *site).collect();
        all.iter().find(|seen| holds(seen)).or(all.first()).cloned()
    }

    /// All that stands against a command about transfers now.
    pub(super) fn objections_to_transfer(
        &self,
        site: &SiteId,
        command: &Command,
        now: SiteTime,
        found: &mut Vec<Refusal>,
    ) {
        let named = |id: OfferId| self.offers_named(site, id);
        match command {
            Command::AskTransfer { id, from, to, lines, .. } => {
                self.not_kept_here(to, found);
                if from == to {
                    found.push(Refusal::SameEnds { what: "a location" });
                }
                if !self.locations.contains_key(from) && self.home_elsewhere(from).is_none() {
                    found.push(Refusal::UnknownLocation { location: from.clone() });
                }
                lines.iter().for_each(|(sku, _)| self.not_counted(sku, found));
                if let Some(id) = id.filter(|id| self.transfers.contains_key(id)) {
                    found.push(Refusal::AlreadyExists { what: "transfer", name: id.to_string() });
                }
                if self.locations.contains_key(from) {
                    // Both books are kept here: what cannot be held is refused at once.
                    let lines = lines_at(from, lines.iter().map(|(sku, quantity)| (sku.clone(), quantity.units())));
                    let hold = Command::Reserve { id: id.map(Into::into), owner: None, lines, hold_ms: HELD_MS };
                    found.extend(self.objections(site, &hold, now));
                }
            }
            Command::WithdrawTransfer { id } => match self.offer(site, *id, site) {
                None => found.push(not_asked_here(*id, &named(*id))),
                Some(seen) if matches!(status(&seen), OfferStatus::Offered | OfferStatus::Accepted) => {}
                Some(seen) => found.push(not_now(&seen)),
            },
            Command::DispatchTransfer { id, note } => match self.asked_of(site, *id) {
                None => found.push(
                    named(*id)
                        .into_iter()
                        .next()
                        .map_or(Refusal::UnknownTransfer { transfer: *id }, |Offer { asked, .. }| {
                            Refusal::OwnedElsewhere { location: asked.transfer.from, home: asked.of }
                        }),
                ),
                Some(seen) if status(&seen) != OfferStatus::Done => found.push(not_now(&seen)),
                Some(_) => {
                    let ship = Command::Ship { reservation: (*id).into(), lines: None, note: papers(*id, note) };
                    let objections = self.objections(site, &ship, now).into_iter();
                    // The transfer itself stands against nobody's handing out but its own.
                    found.extend(objections.filter(|it| !matches!(it, Refusal::TransferStatus { .. })));
                }
            },
            Command::ReceiveTransfer { id, received, note } => match self.offer(site, *id, site) {
                None => found.push(not_asked_here(*id, &named(*id))),
                Some(seen) if status(&seen) != OfferStatus::Dispatched => found.push(not_now(&seen)),
                Some(seen) => {
                    let transfer = &seen.asked.transfer;
                    let is_asked = |sku: &Sku| transfer.lines.iter().any(|line| line.sku == *sku);
                    let strange = received.iter().filter(|(sku, _)| !is_asked(sku));
                    found.extend(strange.map(|(sku, _)| Refusal::UnknownSku { sku: sku.clone() }));
                    let arrived = arrived(transfer, received);
                    let more = transfer.lines.iter().zip(&arrived).filter(|(line, units)| **units > line.quantity);
                    found.extend(more.map(|(line, units)| Refusal::LimitExceeded {
                        what: "units received",
                        given: *units,
                        max: line.quantity,
                    }));
                    let skus = transfer.lines.iter().map(|line| line.sku.clone());
                    let lines = lines_at(&transfer.to, skus.zip(arrived));
                    if !lines.is_empty() {
                        let receive = Command::Receive { from: Inbound::Delivery, lines, note: papers(*id, note) };
                        found.extend(self.objections(site, &receive, now));
                    }
                }
            },
            _ => {}
        }
    }

    /// What is held for a transfer is ended and handed out by the transfer alone.
    pub(super) fn held_for_transfer(&self, site: &SiteId, id: ReservationId, found: &mut Vec<Refusal>) {
        let id = OfferId(id.0);
        let hold = self.reservations.get(&id.into()).filter(|hold| hold.owner == owner(id));
        let seen = hold.and_then(|_| self.asked_of(site, id)).filter(holds);
        found.extend(seen.map(|seen| not_now(&seen)));
    }

    fn not_kept_here(&self, location: &LocationId, found: &mut Vec<Refusal>) {
        if self.locations.contains_key(location) {
            return;
        }
        let location = location.clone();
        found.push(match self.home_elsewhere(&location) {
            Some(home) => Refusal::OwnedElsewhere { home: home.clone(), location },
            None => Refusal::UnknownLocation { location },
        });
    }

    fn not_counted(&self, sku: &Sku, found: &mut Vec<Refusal>) {
        match self.selling(sku) {
            None => found.push(Refusal::UnknownSku { sku: sku.clone() }),
            Some(selling) if selling.policy.counts() => {}
            Some(_) => found.push(Refusal::Nothing { what: "the stock of a SKU that is not counted" }),
        }
    }

    /// Why the units of a transfer cannot be held.
    fn not_to_hold(&self, site: &SiteId, seen: &Offer, now: SiteTime) -> Vec<Refusal> {
        let mut found = self.objections(site, &hold(seen), now);
        self.not_kept_here(&seen.asked.transfer.from, &mut found);
        seen.asked.transfer.lines.iter().for_each(|line| self.not_counted(&line.sku, &mut found));
        found
    }

    /// Whether the units of a transfer are held, and their time has not run out.
    fn is_held(&self, id: OfferId, now: SiteTime) -> bool {
        let hold = self.reservations.get(&id.into());
        hold.is_some_and(|hold| hold.status == ReservationStatus::Held && hold.expires_at > now)
    }

    /// Notes what a site has said of a transfer: here, or elsewhere as it was read.
    pub(super) fn hear_of_transfer(&mut self, event: &Event, at: SiteTime) {
        match event {
            Event::TransferAsked { id, of, transfer } => {
                let (of, transfer, said) = (of.clone(), Transfer::clone(transfer), Said::Offered);
                let asked = Asked { of, transfer, said, created_at: at, updated_at: at };
                self.transfers.insert(*id, asked);
            }
            Event::TransferSaid { id, said } => {
                if let Some(asked) = self.transfers.get_mut(id) {
                    (asked.said, asked.updated_at) = (said.clone(), at);
                }
            }
            Event::TransferAnswered { id, asker, answer } => {
                let answered = Answered { answer: answer.clone(), updated_at: at };
                self.answers.insert((*id, asker.clone()), answered);
            }
            _ => {}
        }
    }

    /// Books a command about transfers to which nobody objects, and answers all that must be told of it.
    pub(super) fn carry_out_transfer(
        &mut self,
        site: &SiteId,
        request: &Request,
        booked: Booked,
        told: &[&Event],
    ) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        match &request.command {
            Command::AskTransfer { id, from, to, lines, reason } => {
                let Event::TransferAsked { id: named, .. } = told.first()? else { return None };
                let id = id.unwrap_or(*named);
                let lines = lines_at(from, lines.iter().map(|(sku, quantity)| (sku.clone(), quantity.units())));
                let lines = summed(&lines).into_iter();
                let lines = lines.map(|((sku, _), quantity)| TransferLine { sku, quantity }).collect();
                let transfer = Transfer { from: from.clone(), to: to.clone(), lines, reason: reason.clone() };
                let of = if self.locations.contains_key(from) { site } else { self.home_elsewhere(from)? }.clone();
                let asked = Event::TransferAsked { id, of: of.clone(), transfer: Arc::new(transfer) };
                self.hear_of_transfer(&asked, booked.at);
                events.push(asked);
                if of == *site {
                    let seen = self.offer(site, id, site)?;
                    events.push(self.carry_out(&as_request(hold(&seen)), booked, told.get(1)?)?);
                    events.push(answers(&seen, Answer::Accepted));
                    events.push(Event::TransferSaid { id, said: Said::Confirmed });
                    events.push(self.end(id.into(), ReservationStatus::Committed, booked.at)?);
                    events.push(answers(&seen, Answer::Done));
                }
            }
            Command::WithdrawTransfer { id } => events.push(Event::TransferSaid { id: *id, said: Said::Withdrawn }),
            Command::DispatchTransfer { id, note } => {
                let seen = self.asked_of(site, *id)?;
                let ship = Command::Ship { reservation: (*id).into(), lines: None, note: papers(*id, note) };
                events.push(self.carry_out(&as_request(ship), booked, told.first()?)?);
                events.push(answers(&seen, Answer::Dispatched));
            }
            Command::ReceiveTransfer { id, received, note } => {
                let transfer = self.offer(site, *id, site)?.asked.transfer;
                let arrived = arrived(&transfer, received);
                let skus = transfer.lines.iter().map(|line| line.sku.clone());
                let lines = lines_at(&transfer.to, skus.zip(arrived.iter().copied()));
                if !lines.is_empty() {
                    let receive = Command::Receive { from: Inbound::Delivery, lines, note: papers(*id, note) };
                    events.push(self.carry_out(&as_request(receive), booked, told.first()?)?);
                }
                events.push(Event::TransferSaid { id: *id, said: Said::Received(arrived) });
            }
            _ => return None,
        }
        events.iter().for_each(|event| self.hear_of_transfer(event, booked.at));
        Some(events)
    }
}

/// What the site does of itself is asked for by nobody.
fn as_request(command: Command) -> Request {
    let request_id = RequestId::parse("oracle").expect("a short word is a request id");
    Request { command, actor: Actor::timer(), request_id, idempotency: None, fresh_id: [0; 16] }
}

/// Whether a site holds units for a transfer, or has promised them to it.
fn holds(seen: &Offer) -> bool {
    matches!(seen.answered.as_ref().map(|answered| &answered.answer), Some(Answer::Accepted | Answer::Done))
}

fn not_now(seen: &Offer) -> Refusal {
    Refusal::TransferStatus { transfer: seen.id, status: status(seen) }
}

fn not_asked_here(id: OfferId, all: &[Offer]) -> Refusal {
    match all.first() {
        Some(seen) => Refusal::OwnedElsewhere { location: seen.asked.transfer.to.clone(), home: seen.asker.clone() },
        None => Refusal::UnknownTransfer { transfer: id },
    }
}

fn answers(seen: &Offer, answer: Answer) -> Event {
    Event::TransferAnswered { id: seen.id, asker: seen.asker.clone(), answer }
}

/// The code of a refusal, as far as it concerns one site: whether others hold units is their business.
fn code_of(text: &str) -> &str {
    match text.split_once(':').map_or(text, |(code, _)| code) {
        "quota_exhausted_here" => "insufficient_stock",
        code => code,
    }
}

impl Oracle {
    /// What was handed out is received once; said before all else that may stand against it.
    pub(super) fn receives_once(&self, command: &Command) -> Kept {
        let Command::ReceiveTransfer { id, .. } = command else { return Ok(()) };
        let Some(seen) = self.shop.offer(&self.site, *id, &self.site) else { return Ok(()) };
        let promise = "what was handed out for a transfer is received once, and nothing else is";
        same(promise, &OfferStatus::Dispatched, &status(&seen))
    }

    /// A request about a transfer has had an effect.
    pub(super) fn transfer_booked(
        &mut self,
        request: &Request,
        told: &[&Event],
        booked: Booked,
        touched: &mut Vec<ShelfKey>,
    ) -> Kept {
        let site = self.site.clone();
        let expected = self.shop.carry_out_transfer(&site, request, booked, told);
        let expected = expected.as_ref().map(|events| events.iter().collect::<Vec<_>>());
        same("what becomes of a transfer is told as it is", &expected, &Some(told.to_vec()))?;
        touched.extend(shelves_of(told));
        Ok(())
    }

    /// The site answers what another asks of it, or confirms what another has accepted: what it must do by
    /// what it has read, once.
    pub(super) fn tends(&mut self, entry: &Entry, booked: Booked, touched: &mut Vec<ShelfKey>) -> Kept {
        let mut told = Vec::new();
        for event in &entry.events {
            match event {
                Event::ReservationEnded { status: ReservationStatus::Expired, .. } => {
                    self.hold_ran_out(event, booked, touched)?;
                }
                Event::QuotaAsked { .. } => self.deals(event, booked, touched)?,
                event => told.push(event),
            }
        }
        touched.extend(shelves_of(&told));
        let site = self.site.clone();
        let (id, asker) = match told.last() {
            Some(Event::TransferAnswered { id, asker, .. }) => (*id, asker.clone()),
            Some(Event::TransferSaid { id, .. }) => (*id, site.clone()),
            told => return Err(broken("nothing happens that nobody asked for", "a word about a transfer", told)),
        };
        let Some(seen) = self.shop.offer(&site, id, &asker) else {
            return Err(broken("nobody answers what was not asked", "a transfer", &told));
        };
        let before = (&seen.asked.said, seen.answered.as_ref().map(|answered| &answered.answer));
        let is_here = seen.asked.of == site;
        let borrows_until = match before.1 {
            Some(Answer::Borrowing(until)) => Some(*until),
            _ => None,
        };
        let is_open = borrows_until.is_some() || before.1.is_none();
        let once = (&(&Said::Offered, true, true), (before.0, is_open, is_here));
        let expected = match told.last() {
            Some(Event::TransferAnswered { answer: Answer::Accepted, .. }) => {
                same("an offer is answered once", once.0, &once.1)?;
                let objections = self.shop.not_to_hold(&site, &seen, booked.at);
                if !objections.is_empty() {
                    return Err(broken("what cannot be held is declined (nothing is sold twice)", objections, &told));
                }
                let held = told.first().and_then(|told| self.shop.carry_out(&as_request(hold(&seen)), booked, told));
                held.map(|held| vec![held, answers(&seen, Answer::Accepted)])
            }
            Some(Event::TransferAnswered { answer: Answer::Declined(why), .. }) => {
                same("an offer is answered once", once.0, &once.1)?;
                let objections = self.shop.not_to_hold(&site, &seen, booked.at);
                if !objections.iter().any(|objection| objection.code() == code_of(why.as_str())) {
                    return Err(broken("an offer is declined for a reason", objections, why));
                }
                // Where others hold some, they are asked first.
                if why.as_str().starts_with("quota_exhausted_here")
                    && borrows_until.is_none_or(|until| until > booked.at)
                {
                    return Err(broken("units that others hold are borrowed for a while", borrows_until, why));
                }
                Some(vec![answers(&seen, Answer::Declined(why.clone()))])
            }
            Some(Event::TransferAnswered { answer: Answer::Borrowing(until), .. }) => {
                same("an offer is answered once", once.0, &once.1)?;
                same("units are borrowed once, and for so long", &None, &borrows_until)?;
                same("units are borrowed once, and for so long", &booked.at.plus(BORROWED_MS), until)?;
                let objections = self.shop.not_to_hold(&site, &seen, booked.at);
                let is_short = |objection: &Refusal| matches!(objection, Refusal::InsufficientStock { .. });
                same("who has enough borrows nothing", &true, &objections.iter().any(is_short))?;
                Some(vec![answers(&seen, Answer::Borrowing(*until))])
            }
            Some(Event::TransferAnswered { answer: Answer::Done, .. }) => {
                let promise = "nothing is promised to another site before its confirm was read, and that once";
                same(promise, &(&Said::Confirmed, Some(&Answer::Accepted), true), &(before.0, before.1, is_here))?;
                same("what is promised was held", &true, &self.shop.is_held(id, booked.at))?;
                let promised = self.shop.end(id.into(), ReservationStatus::Committed, booked.at);
                promised.map(|promised| vec![promised, answers(&seen, Answer::Done)])
            }
            Some(Event::TransferAnswered { answer: Answer::Lapsed(why), .. }) => {
                let expected = (&Said::Confirmed, Some(&Answer::Accepted), true);
                same("what was confirmed is done or lapses, once", &expected, &(before.0, before.1, is_here))?;
                same("what is held does not lapse", &false, &self.shop.is_held(id, booked.at))?;
                Some(vec![answers(&seen, Answer::Lapsed(why.clone()))])
            }
            Some(Event::TransferAnswered { answer: Answer::Undone, .. }) => {
                let expected = (&Said::Withdrawn, Some(&Answer::Accepted), true);
                same("what was withdrawn is undone once", &expected, &(before.0, before.1, is_here))?;
                let is_held = self.shop.is_held(id, booked.at);
                let end = is_held.then(|| self.shop.end(id.into(), ReservationStatus::Released, booked.at));
                Some(end.flatten().into_iter().chain([answers(&seen, Answer::Undone)]).collect())
            }
            Some(Event::TransferSaid { said: Said::Confirmed, .. }) => {
                let promise = "what was accepted is confirmed, and nothing else";
                same(promise, &(&Said::Offered, Some(&Answer::Accepted)), &before)?;
                Some(vec![Event::TransferSaid { id, said: Said::Confirmed }])
            }
            told => return Err(broken("nothing happens that nobody asked for", "a site's own step", told)),
        };
        let expected = expected.as_ref().map(|events| events.iter().collect::<Vec<_>>());
        same("what becomes of a transfer is told as it is", &expected, &Some(told.clone()))?;
        told.iter().for_each(|event| self.shop.hear_of_transfer(event, booked.at));
        Ok(())
    }

    /// Every transfer that was read stands in the rows as it was told.
    pub(super) fn compare_transfers(&self, rows: &dyn View) -> Kept {
        for seen in self.shop.offers(&self.site) {
            let found = Offer::read(rows, seen.id, &seen.asker);
            let found = found.map_err(|error| broken("rows can be read", "rows", error))?;
            let becomes = |seen: &Offer| (seen.clone(), status(seen));
            let promise = format!("{} of {} stands as it was told", seen.id, seen.asker);
            let found = found.map(|found| (found.clone(), found.status()));
            same(&promise, &Some(becomes(&seen)), &found)?;
        }
        Ok(())
    }

    /// Transfers whose next step is a person's, here and now: what is promised is handed out, what was
    /// handed out is received.
    pub(crate) fn steps_of_people(&self, now: SiteTime) -> Vec<Command> {
        let steps = self.shop.offers(&self.site).into_iter().filter_map(|seen| {
            let (id, note) = (seen.id, Note::default());
            match status(&seen) {
                OfferStatus::Done if seen.asked.of == self.site => Some(Command::DispatchTransfer { id, note }),
                OfferStatus::Dispatched if seen.asker == self.site => {
                    Some(Command::ReceiveTransfer { id, received: Vec::new(), note })
                }
                _ => None,
            }
        });
        steps.filter(|step| self.shop.objections(&self.site, step, now).is_empty()).collect()
    }

    /// Steps that were taken here and must not be taken again.
    pub(crate) fn steps_taken(&self) -> Vec<Command> {
        let steps = self.shop.offers(&self.site).into_iter().filter_map(|seen| {
            let (id, note) = (seen.id, Note::default());
            match &seen.asked.said {
                Said::Received(_) if seen.asker == self.site => {
                    Some(Command::ReceiveTransfer { id, received: Vec::new(), note })
                }
                Said::Confirmed if seen.asked.of == self.site && status(&seen) == OfferStatus::Dispatched => {
                    Some(Command::DispatchTransfer { id, note })
                }
                _ => None,
            }
        });
        steps.collect()
    }
}

fn shelves_of(told: &[&Event]) -> Vec<ShelfKey> {
    let shelves = told.iter().flat_map(|event| match event {
        Event::ReservationMade { lines, .. } | Event::ReservationEnded { lines, .. } => {
            lines.iter().map(|line| (line.sku.clone(), line.location.clone())).collect()
        }
        Event::StockMoved { lines, .. } => lines.iter().map(|line| (line.sku.clone(), line.location.clone())).collect(),
        _ => Vec::new(),
    });
    shelves.collect()
}
