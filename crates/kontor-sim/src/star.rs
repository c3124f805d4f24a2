//! Worlds in which nobody reaches the store: it calls one site, the hub, and gives it its journal; it and the
//! third site read each other through the hub, by the same code without IO that the server runs.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontor_core::push::{NextGive, Push};
use kontor_core::relay::{AskOf, NextOf, Relays};
use kontor_core::session::Mark;

use crate::links::Message;
use crate::oracle::{Kept, same};
use crate::sites::{Sites, session_ms};

pub(crate) const HUB: usize = 0;
const OTHER: usize = 1;
pub(crate) const STORE: usize = 2;

/// What is read through the hub, by which site, and what the store gives; each since which start of that site.
#[derive(Default)]
pub(crate) struct Star {
    relays: BTreeMap<usize, (u32, Relays, Option<AskOf>)>,
    push: Option<(u32, Push)>,
}

impl Sites {
    /// Whether a site has a link to another over which it asks for its journal.
    pub(crate) fn is_direct(&self, reader: usize, source: usize) -> bool {
        self.star.is_none() || (source != STORE && (reader, source) != (STORE, OTHER))
    }

    /// What a reader gets of a journal when all links are healed.
    pub(crate) fn groups_for(&self, reader: usize, source: usize, after: u64) -> Vec<Bytes> {
        match self.is_direct(reader, source) || reader == HUB {
            true => self.worlds[source].machine.shared_after(after, 100),
            false => self.worlds[HUB].machine.kept_after(&self.names[source], after, 100),
        }
    }

    /// Who has no link of his own asks the hub, and the store gives.
    pub(crate) fn follow_star(&mut self, now_us: u64) -> Kept {
        if self.star.is_none() {
            return Ok(());
        }
        self.relay(now_us, OTHER);
        self.relay(now_us, STORE);
        self.give(now_us)
    }

    /// A site asks the hub for what it keeps of others.
    fn relay(&mut self, now_us: u64, reader: usize) {
        let now_ms = session_ms(now_us);
        let machine = &self.worlds[reader].machine;
        let link = self.sessions.as_ref().and_then(|sessions| sessions.get(&(reader, HUB)));
        let (Some(star), Some((_, session)), true) = (&mut self.star, link, machine.running.is_some()) else { return };
        let relays = star.relays.entry(reader).or_default();
        if relays.0 != machine.boot {
            *relays = (machine.boot, Relays::default(), None);
        }
        relays.1.link(&self.names[HUB], session.link());
        let NextOf::Ask(ask) = relays.1.next(now_ms, &self.names[HUB], |of| machine.mark(of)) else { return };
        let (of, after) = (self.names.iter().position(|name| *name == ask.of).unwrap_or(HUB), ask.after.seq);
        relays.2 = Some(ask);
        self.figures.relayed += 1;
        let message = Message::Wanted { reader, source: HUB, of, after };
        self.links.send(now_us, reader, HUB, &message, &mut self.figures);
    }

    /// The store gives the hub what it has written.
    fn give(&mut self, now_us: u64) -> Kept {
        let (now_ms, chance) = (session_ms(now_us), self.jitter.within(0..u64::MAX));
        let machine = &self.worlds[STORE].machine;
        let (Some(star), Some(end)) = (&mut self.star, machine.end()) else { return Ok(()) };
        let push = star.push.get_or_insert_with(|| (machine.boot, Push::new(now_ms)));
        if push.0 != machine.boot {
            *push = (machine.boot, Push::new(now_ms));
        }
        let NextGive::Give(part) = push.1.next(now_ms, chance) else { return Ok(()) };
        let mut groups = Vec::new();
        if let Some(after) = part.after {
            same("nobody holds more of a store than it has", &true, &(after.seq <= end))?;
            groups = machine.shared_after(after.seq, usize::try_from(chance % 40).unwrap_or(0) + 1);
        }
        self.figures.given += 1;
        self.links.send(now_us, STORE, HUB, &Message::Given { groups }, &mut self.figures);
        Ok(())
    }

    /// The store has given groups. A hub that is down answers nothing.
    pub(crate) fn given(&mut self, now_us: u64, groups: &[Bytes]) -> Kept {
        self.figures.brought += groups.len() as u64;
        self.worlds[HUB].groups_arrive(now_us, &self.names[STORE], groups)?;
        if let Some(mark) = self.worlds[HUB].machine.mark(&self.names[STORE]) {
            self.links.send(now_us, HUB, STORE, &Message::Holds { mark }, &mut self.figures);
        }
        Ok(())
    }

    /// The hub has told the store how far it is held.
    pub(crate) fn holds(&mut self, now_us: u64, mark: Mark) {
        let machine = &self.worlds[STORE].machine;
        let push = self.star.as_mut().and_then(|star| star.push.as_mut());
        if let (Some(end), Some((boot, push))) = (machine.end(), push)
            && *boot == machine.boot
        {
            push.answered(session_ms(now_us), (1, end), mark);
        }
    }

    /// What a site had asked the hub for has come.
    pub(crate) fn note_relayed(&mut self, now_us: u64, reader: usize, of: usize, end: u64) {
        let machine = &self.worlds[reader].machine;
        let (Some(star), Some(kept)) = (&mut self.star, machine.mark(&self.names[of])) else { return };
        let Some((boot, relays, ask)) = star.relays.get_mut(&reader) else { return };
        if let Some(ask) = ask.as_ref().filter(|ask| *boot == machine.boot && ask.of == self.names[of]) {
            let chance = self.jitter.within(0..u64::MAX);
            relays.answered(session_ms(now_us), &self.names[HUB], ask, (1, end), kept.place(), chance);
        }
    }

    /// A site has told a reader how far it keeps others.
    pub(crate) fn note_kept(&mut self, reader: usize, source: usize, kept: Vec<(usize, u64)>) {
        if let Some((_, relays, _)) = self.star.as_mut().and_then(|star| star.relays.get_mut(&reader)) {
            let kept = kept.into_iter().map(|(of, end)| (self.names[of].clone(), (1, end)));
            relays.told(&self.names[source], kept);
        }
    }
}
