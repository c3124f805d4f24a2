//! What must hold of transfers among sites, by all journals: each step once and by whose turn it is, nothing
//! promised before the confirm was read, nothing received that was not handed out, and all units accounted
//! for. What a writer had read is taken from the heads of its groups.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontor_core::event::{Entry, Event};
use kontor_core::group;
use kontor_core::id::{OfferId, SiteId, Sku};
use kontor_core::movement::MovementKind;
use kontor_core::offer::{Answer, Answered, Asked, Offer, OfferStatus, Said, Transfer};
use kontor_core::time::SiteTime;
use kontor_core::view::View;

use super::Sites;
use crate::oracle::transfers::{status, waits_for_a_site};
use crate::oracle::{Kept, broken, same};
use crate::world::World;

/// What people do for one transfer: they hand it out, and receive it. What one brings may be what another
/// waits for.
const STEPS_OF_PEOPLE: usize = 2;

/// Something that was said of a transfer.
struct Told {
    site: usize,
    /// The group in which it stands.
    seq: u64,
    /// Groups of each site that its writer had read.
    read: Vec<u64>,
    word: Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Asked { of: SiteId, transfer: Transfer },
    Said(Said),
    Answered(Answer),
}

/// All that was said of transfers, and what was booked with it.
struct Transfers {
    told: BTreeMap<(OfferId, SiteId), Vec<Told>>,
    /// Units that left under the reservation of a transfer, by site, id and SKU.
    left: BTreeMap<(usize, OfferId, Sku), u64>,
    /// Units that came in the entry in which a transfer was received.
    came: BTreeMap<(usize, OfferId, Sku), u64>,
}

impl Sites {
    /// People do what is left to them, and sites what is left to them, until every transfer has come to its
    /// end.
    pub(super) fn finish_transfers(&mut self) -> Kept {
        let transfers: usize = self.worlds.iter().map(World::transfers).sum();
        for _ in 0..=STEPS_OF_PEOPLE * transfers {
            let mut steps = 0;
            for world in &mut self.worlds {
                steps += world.finish_transfers()?;
            }
            self.come_to_rest()?;
            if steps == 0 {
                return Ok(());
            }
        }
        let left: Vec<_> = self.worlds.iter().map(World::steps_of_people).collect();
        Err(broken("when links are healed, every transfer comes to its end within bounded steps", "the end", left))
    }

    /// Every transfer went as it must, and everybody tells the same of it.
    pub(super) fn judge_transfers(&mut self) -> Kept {
        let journals: Vec<_> = self.worlds.iter().map(|world| world.machine.groups()).collect::<Kept<_>>()?;
        let transfers = Transfers::read(&self.names, &journals)?;
        for ((id, asker), told) in &transfers.told {
            let seen = transfers.judge(&self.names, *id, asker, told)?;
            for world in &self.worlds {
                let Some(rows) = world.machine.rows() else { continue };
                tells(rows, &seen)?;
            }
            let figures = &mut self.figures;
            let is_borrowing = |told: &Told| matches!(told.word, Word::Answered(Answer::Borrowing(_)));
            let is_borrowed = told.iter().any(is_borrowing);
            figures.transfers_borrowed += u64::from(is_borrowed);
            figures.transfers += 1;
            figures.transfers_between += u64::from(seen.asked.of != *asker);
            match status(&seen) {
                OfferStatus::Declined => figures.transfers_declined += 1,
                OfferStatus::Withdrawn => figures.transfers_withdrawn += 1,
                OfferStatus::Lapsed => figures.transfers_lapsed += 1,
                OfferStatus::Received => figures.transfers_received += 1,
                _ => {}
            }
            if let Said::Received(units) = &seen.asked.said {
                let missing = seen.asked.transfer.lines.iter().zip(units);
                figures.lost_on_the_way += missing.map(|(line, units)| line.quantity - units).sum::<u64>();
            }
        }
        Ok(())
    }
}

fn tells(rows: &dyn View, seen: &Offer) -> Kept {
    let found = Offer::read(rows, seen.id, &seen.asker);
    let found = found.map_err(|error| broken("rows can be read", "rows", error))?;
    let words = |seen: &Offer| (seen.asked.said.clone(), seen.answered.as_ref().map(|it| it.answer.clone()));
    let promise = "when all have read all, everybody tells the same of a transfer";
    same(promise, &Some((words(seen), status(seen))), &found.map(|found| (words(&found), found.status())))
}

impl Transfers {
    fn read(sites: &[SiteId], journals: &[Vec<(u64, Bytes)>]) -> Kept<Self> {
        let mut all = Self { told: BTreeMap::new(), left: BTreeMap::new(), came: BTreeMap::new() };
        for (site, journal) in journals.iter().enumerate() {
            let mut read = vec![0; sites.len()];
            for (seq, bytes) in journal {
                let group = group::decode(bytes).map_err(|error| broken("a group can be read", "a group", error))?;
                for seen in &group.header.seen {
                    if let Some(place) = sites.iter().position(|site| *site == seen.site) {
                        read[place] = seen.seq;
                    }
                }
                for entry in &group.entries {
                    all.note(sites, entry, |word| Told { site, seq: *seq, read: read.clone(), word });
                    all.note_units(site, entry);
                }
            }
        }
        Ok(all)
    }

    fn note(&mut self, sites: &[SiteId], entry: &Entry, told: impl Fn(Word) -> Told) {
        for event in &entry.events {
            let (id, asker, word) = match event {
                Event::TransferAsked { id, of, transfer } => {
                    (id, None, Word::Asked { of: of.clone(), transfer: Transfer::clone(transfer) })
                }
                Event::TransferSaid { id, said } => (id, None, Word::Said(said.clone())),
                Event::TransferAnswered { id, asker, answer } => (id, Some(asker), Word::Answered(answer.clone())),
                _ => continue,
            };
            let told = told(word);
            let asker = asker.cloned().unwrap_or_else(|| sites[told.site].clone());
            self.told.entry((*id, asker)).or_default().push(told);
        }
    }

    fn note_units(&mut self, site: usize, entry: &Entry) {
        let received = entry.events.iter().find_map(|event| match event {
            Event::TransferSaid { id, said: Said::Received(_) } => Some(*id),
            _ => None,
        });
        for event in &entry.events {
            let (booked, id, lines) = match event {
                Event::StockMoved { kind: MovementKind::Ship, reservation: Some(id), lines, .. } => {
                    (&mut self.left, Some(OfferId(id.0)), lines)
                }
                Event::StockMoved { kind: MovementKind::Receive, lines, .. } => (&mut self.came, received, lines),
                _ => continue,
            };
            let Some(id) = id else { continue };
            for line in lines {
                *booked.entry((site, id, line.sku.clone())).or_default() += line.quantity;
            }
        }
    }

    /// Judges one transfer. Answers what has become of it.
    fn judge(&self, sites: &[SiteId], id: OfferId, asker: &SiteId, told: &[Told]) -> Kept<Offer> {
        let named = format!("{id} of {asker}");
        let found = told.iter().map(|told| (&sites[told.site], told.seq, &told.word)).collect::<Vec<_>>();
        let wrong = |promise: &str| broken(&format!("{promise}: {named}"), "its steps", &found);
        let the = |is: &dyn Fn(&Word) -> bool| -> Kept<Option<&Told>> {
            let mut all = told.iter().filter(|told| is(&told.word));
            let first = all.next();
            if all.next().is_some() { Err(wrong("each step of a transfer is taken once")) } else { Ok(first) }
        };
        let answer = |is: fn(&Answer) -> bool| move |word: &Word| matches!(word, Word::Answered(answer) if is(answer));
        let asked = the(&|word| matches!(word, Word::Asked { .. }))?;
        let confirmed = the(&|word| *word == Word::Said(Said::Confirmed))?;
        let withdrawn = the(&|word| *word == Word::Said(Said::Withdrawn))?;
        let received = the(&|word| matches!(word, Word::Said(Said::Received(_))))?;
        let accepted = the(&answer(|answer| *answer == Answer::Accepted))?;
        let borrowing = the(&answer(|answer| matches!(answer, Answer::Borrowing(_))))?;
        let declined = the(&answer(|answer| matches!(answer, Answer::Declined(_))))?;
        let lapsed = the(&answer(|answer| matches!(answer, Answer::Lapsed(_))))?;
        let done = the(&answer(|answer| *answer == Answer::Done))?;
        let dispatched = the(&answer(|answer| *answer == Answer::Dispatched))?;
        let undone = the(&answer(|answer| *answer == Answer::Undone))?;
        let Some(Told { site: at, word: Word::Asked { of, transfer }, .. }) = asked else {
            return Err(wrong("nobody speaks of a transfer that was not asked for"));
        };
        let target = sites.iter().position(|site| site == of).ok_or_else(|| wrong("a transfer is asked of a site"))?;
        for told in told {
            let by = if matches!(told.word, Word::Answered(_)) { target } else { *at };
            if told.site != by {
                return Err(wrong("each step of a transfer is taken by whose turn it is"));
            }
        }
        // Whoever takes a step has read what it follows from.
        let follows = |step: Option<&Told>, from: Option<&Told>| match (step, from) {
            (None, _) => true,
            (Some(step), Some(from)) => step.site == from.site || step.read[from.site] >= from.seq,
            (Some(_), None) => false,
        };
        let steps = [
            (accepted, asked, "nothing is held for what was not read"),
            (borrowing, asked, "nothing is borrowed for what was not read"),
            (declined, asked, "nothing is declined that was not read"),
            (confirmed, accepted, "nothing is confirmed before its acceptance was read"),
            (done, confirmed, "nothing is promised to another site before its confirm was read"),
            (done, accepted, "nothing is promised that was not held"),
            (lapsed, confirmed, "nothing lapses before its confirm was read"),
            (undone, withdrawn, "nothing is given back that was not withdrawn"),
            (dispatched, done, "nothing is handed out that was not promised"),
            (received, dispatched, "nothing is received that was not handed out"),
        ];
        if let Some((.., promise)) = steps.iter().find(|(step, from, _)| !follows(*step, *from)) {
            return Err(wrong(promise));
        }
        let ends = [declined, lapsed, done, undone].iter().flatten().count();
        if ends > 1 || (confirmed.is_some() && withdrawn.is_some()) {
            return Err(wrong("a transfer ends one way"));
        }
        let last_said = [received, withdrawn, confirmed].into_iter().flatten().next();
        let said = match last_said.map(|told| &told.word) {
            Some(Word::Said(said)) => said.clone(),
            _ => Said::Offered,
        };
        let arrived = match &said {
            Said::Received(units) => Some(units.clone()),
            _ => None,
        };
        for (number, line) in transfer.lines.iter().enumerate() {
            let key = |site: usize| (site, id, line.sku.clone());
            let (left, came) = (self.left.get(&key(target)).copied(), self.came.get(&key(*at)).copied());
            let is_alone = !self.told.keys().any(|(other, by)| *other == id && by != asker);
            // Of transfers with one id, another may have held units.
            let handed_out = if dispatched.is_some() { line.quantity } else { 0 };
            if is_alone || dispatched.is_some() {
                let promise = format!("what leaves for {named} is what was asked for");
                same(&promise, &handed_out, &left.unwrap_or(0))?;
            }
            let arrived = arrived.as_ref().map(|units| units.get(number).copied().unwrap_or(0));
            if is_alone || arrived.is_some() {
                let promise = format!("what comes in for {named} is what was said to have arrived");
                same(&promise, &arrived.unwrap_or(0), &came.unwrap_or(0))?;
            }
            if arrived.unwrap_or(0) > handed_out {
                return Err(wrong("nothing is received that was not handed out"));
            }
        }
        let last_answer =
            [dispatched, done, lapsed, undone, declined, accepted, borrowing].into_iter().flatten().next();
        let answered = last_answer.map(|told| match &told.word {
            Word::Answered(answer) => answer.clone(),
            _ => Answer::Undone,
        });
        let (of, transfer, at) = (of.clone(), transfer.clone(), SiteTime::default());
        let asked = Asked { of, transfer, said, created_at: at, updated_at: at };
        let answered = answered.map(|answer| Answered { answer, updated_at: at });
        let seen = Offer { id, asker: asker.clone(), asked, answered };
        match waits_for_a_site(&seen) {
            true => Err(wrong("when links are healed, no transfer waits for a site")),
            false => Ok(seen),
        }
    }
}
