//! Clerks: units that are wanted at one location and stand at another, here or at another site.

use kontor_core::command::Command;
use kontor_core::id::{LocationId, OfferId, ReservationId, Sku};
use kontor_core::offer::{Answer, Said};

use super::{Board, Client, parse};
use crate::oracle::shop::Shop;

impl Client {
    /// The next step of a transfer, mostly one that can be taken; else units are asked for.
    pub(super) fn transfer(&mut self, board: &Board, shop: &Shop) -> Command {
        let known: Vec<OfferId> =
            shop.transfers.keys().copied().chain(shop.answers.keys().map(|(id, _)| *id)).collect();
        if let Some(id) = self.chance.pick(&known).copied().filter(|_| self.chance.happens(0.12)) {
            return self.meddle(id);
        }
        let to_receive: Vec<OfferId> = shop.transfers.keys().copied().filter(|id| has_left(shop, *id)).collect();
        if let Some(id) = self.chance.pick(&to_receive).copied().filter(|_| self.chance.happens(0.5)) {
            return self.receive(id, shop);
        }
        let promised = shop.answers.iter().filter(|(_, answered)| answered.answer == Answer::Done);
        let promised: Vec<OfferId> = promised.map(|((id, _), _)| *id).collect();
        if let Some(id) = self.chance.pick(&promised).copied().filter(|_| self.chance.happens(0.5)) {
            return Command::DispatchTransfer { id, note: self.note("dispatch") };
        }
        let open = shop.transfers.iter().filter(|(_, asked)| asked.said == Said::Offered);
        let open: Vec<OfferId> = open.map(|(id, _)| *id).collect();
        if let Some(id) = self.chance.pick(&open).copied().filter(|_| self.chance.happens(0.15)) {
            return Command::WithdrawTransfer { id };
        }
        self.ask_transfer(board)
    }

    fn ask_transfer(&mut self, board: &Board) -> Command {
        let (id, few) = (self.chance.bytes(), self.chance.within(0..4));
        let id = match self.chance.within(0..100) {
            0..3 => Some(OfferId([u8::try_from(few).unwrap_or(0); 16])),
            3..50 => Some(OfferId(id)),
            _ => None,
        };
        let (to, shelf) = (self.line(board, 2).location, self.line(board, 2));
        let hot = self.chance.happens(0.5);
        let elsewhere = if hot { board.elsewhere.first() } else { self.chance.pick(&board.elsewhere) };
        let (from, skus): (LocationId, Vec<Sku>) = match elsewhere.filter(|_| !self.chance.happens(0.15)) {
            // What was brought from there once, or nothing.
            Some((_, from)) if self.chance.happens(0.1) => (from.clone(), vec![shelf.sku]),
            Some((first, from)) => {
                let all = board.elsewhere.iter().filter(|(_, location)| location == from).map(|(sku, _)| sku.clone());
                let more: Vec<Sku> = all.filter(|_| self.chance.happens(0.2)).collect();
                (from.clone(), [vec![first.clone()], more].concat())
            }
            None => (shelf.location, vec![shelf.sku]),
        };
        // By mistake, somebody wants units brought to another site's location.
        let to = if self.chance.happens(0.02) { from.clone() } else { to };
        // Sometimes so many that the other site must borrow them first.
        let most = if self.chance.happens(0.3) { 24 } else { 5 };
        let lines = skus.into_iter().map(|sku| (sku, self.line(board, most).quantity)).collect();
        let reason = self.note("transfer").reason;
        Command::AskTransfer { id, from, to, lines, reason }
    }

    /// Mostly all of it arrives.
    fn receive(&mut self, id: OfferId, shop: &Shop) -> Command {
        let lines = shop.transfers.get(&id).map(|asked| asked.transfer.lines.as_slice()).unwrap_or_default();
        let mut received: Vec<(Sku, u64)> = Vec::new();
        if self.chance.happens(0.4) {
            let short = lines.iter().filter(|_| self.chance.happens(0.7));
            let short: Vec<_> = short.cloned().collect();
            received.extend(short.into_iter().map(|line| (line.sku, self.chance.within(0..line.quantity + 1))));
        }
        if self.chance.happens(0.02) {
            received.extend(lines.first().map(|line| (line.sku.clone(), line.quantity + 1)));
        }
        if self.chance.happens(0.02) {
            received.push((parse(Sku::parse("never-asked-for")), 1));
        }
        Command::ReceiveTransfer { id, received, note: self.note("arrival") }
    }

    /// Something that mostly must not be done with a transfer now.
    fn meddle(&mut self, id: OfferId) -> Command {
        let id = if self.chance.happens(0.05) { OfferId([9; 16]) } else { id };
        let reservation = ReservationId::from(id);
        match self.chance.within(0..8) {
            0 => Command::WithdrawTransfer { id },
            1 | 2 => Command::DispatchTransfer { id, note: self.note("dispatch") },
            3..6 => Command::ReceiveTransfer { id, received: Vec::new(), note: self.note("arrival") },
            6 => Command::Release { id: reservation },
            _ => Command::Ship { reservation, lines: None, note: self.note("shipment") },
        }
    }
}

/// Whether what was asked for has left, as far as was read here.
fn has_left(shop: &Shop, id: OfferId) -> bool {
    let asked = shop.transfers.get(&id).filter(|asked| asked.said == Said::Confirmed);
    let Some(asked) = asked else { return false };
    let target = shop.others.get(&asked.of).map_or(shop, |other| &other.shop);
    target.answers.iter().any(|((of, _), answered)| *of == id && answered.answer == Answer::Dispatched)
}
