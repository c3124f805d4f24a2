//! The machine that the site runs on: its disk, its tables, its clocks, and the loop that feeds the
//! real step with them. What `kontor_site`'s writer does with a thread, this does with events.

mod images;
mod mistakes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use kontor_core::command::Request;
use kontor_core::group::{self, GroupError};
use kontor_core::id::{RequestId, SiteId};
use kontor_core::record::TABLE_NAMES;
use kontor_core::session::Mark;
use kontor_core::time::SiteTime;
use kontor_site::clock::Timekeeper;
use kontor_site::copies::Copy;
use kontor_site::folded::Folded;
use kontor_site::foreign::{ForeignGroup, NotFolded};
use kontor_site::recover::{self, RecoverError, Terms, Unread, recover, recover_others};
use kontor_site::rows::{WriterRows, in_memory};
use kontor_site::step::{Answer, Appended, Input, NotDone, Output, Step, Writer};
use kontor_storage::journal::memory::{MemoryDisk, MemoryJournal};
use kontor_storage::journal::{AppendError, Journal, JournalReader, Seq};

use crate::chance::Chance;
use crate::figures::Figures;
use crate::oracle::{Decided, Kept, Oracle, broken, same};
use crate::plant::{self, Plant, shortened};
pub(crate) use images::TablesFound;
use images::{Images, Prefix, dump};

/// Readings of the clocks of the world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// Since the world began; what the monotonic clock counts.
    pub(crate) now_us: u64,
    /// What the wall shows.
    pub(crate) wall_ms: u64,
}

/// Groups of another site that were kept and not folded, because they build on others that were not there.
type Early = (SiteId, Vec<Result<ForeignGroup, GroupError>>);

/// Whom to tell.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) client: usize,
    pub(crate) intent: usize,
    pub(crate) id: RequestId,
}

/// What a step of the site led to.
#[derive(Debug, Default)]
pub(crate) struct Stepped {
    /// What is told, and to whom.
    pub(crate) answers: Vec<(Asker, Result<Answer, NotDone>)>,
    /// A group is on its way to the disk.
    pub(crate) appending: Option<u64>,
    /// A group has become durable.
    pub(crate) durable: Option<u64>,
    /// The site has stopped and must be started again.
    pub(crate) halted: Option<String>,
}

/// How a crash catches an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    /// Before anything was written.
    Before,
    /// When it was written and not synced; the disk keeps it or not.
    Unsynced { kept: bool },
    /// When it was durable, and nobody had been told.
    Unanswered,
}

/// The machine.
pub(crate) struct Machine {
    site: SiteId,
    /// Whose journals are kept here, and what of them.
    copies: BTreeMap<SiteId, MemoryDisk>,
    chance: Chance,
    plant: Option<Plant>,
    pub(crate) disk: MemoryDisk,
    images: Images,
    /// Counts the starts.
    pub(crate) boot: u32,
    pub(crate) running: Option<Running>,
}

/// A site that runs.
pub(crate) struct Running {
    step: Step<WriterRows>,
    journal: MemoryJournal,
    keeper: Timekeeper,
    booted_us: u64,
    now: SiteTime,
    /// An earlier reading, for the check of the clock's pace.
    paced_from: (u64, SiteTime),
    inbox: Vec<Input>,
    askers: BTreeMap<u64, Asker>,
    next_ticket: u64,
    /// Tickets that the step has and has not decided, in order.
    waiting: VecDeque<u64>,
    /// Tickets of the group on its way.
    in_flight: BTreeSet<u64>,
    appending: Option<(u64, Vec<u8>)>,
    /// What is kept of other sites.
    copies: BTreeMap<SiteId, Copy>,
}

impl Machine {
    /// A machine with an empty disk, for the first of these sites.
    pub(crate) fn new(sites: &[SiteId], chance: Chance, plant: Option<Plant>) -> Self {
        let copies = sites[1..].iter().map(|site| (site.clone(), MemoryDisk::new())).collect();
        Self {
            site: sites[0].clone(),
            copies,
            chance,
            plant,
            disk: MemoryDisk::new(),
            images: Images::new(),
            boot: 0,
            running: None,
        }
    }

    /// Starts the site on what the disk holds.
    pub(crate) fn start(
        &mut self,
        clocks: Clocks,
        found: TablesFound,
        cut_off: bool,
        oracle: &mut Oracle,
        figures: &mut Figures,
    ) -> Kept {
        let tables = self.images.surviving(found, &self.sites(), &mut self.chance);
        self.boot += 1;
        let journal = MemoryJournal::open(self.disk.clone());
        if cut_off {
            // A start that does not come to its end leaves tables that are a part of the way.
            let part = Prefix { disk: self.disk.clone(), end: self.chance.within(0..self.disk.end() + 1) };
            let rows = WriterRows::new(tables.clone(), self.sites());
            match recover(&rows, &self.site, &vec![(1, Arc::new(part) as _)], |_| {}) {
                Ok(_) | Err(RecoverError::JournalBehind { .. }) => figures.starts_cut_off += 1,
                Err(error) => return Err(broken("a start finds what was written", "rows", error)),
            }
        }
        let mut refolded = 0;
        let rows = WriterRows::new(tables.clone(), self.sites());
        let reader: Arc<dyn JournalReader> = match self.plant {
            Some(Plant::StopShort) => {
                Arc::new(Prefix { disk: self.disk.clone(), end: self.disk.end().saturating_sub(1) })
            }
            _ => journal.reader(),
        };
        let end = recover(&rows, &self.site, &vec![(1, reader)], |progress| refolded = progress.folded);
        let mut end = end.map_err(|error| broken("a start finds what was written", "rows", error))?;
        figures.refolded += refolded;
        figures.found_again += oracle.restarted(&self.disk)?;
        self.plant_fold_twice(&rows, &end)?;
        if self.plant != Some(Plant::StopShort) {
            same("a start folds the whole journal", &self.disk.end(), &end.seq)?;
        }
        let early = self.fold_copies(&rows)?;
        for (site, disk) in &self.copies {
            let groups = disk.read(oracle.read_of(site), usize::MAX, usize::MAX);
            let groups = groups.map_err(|error| broken("a copy can be read", "groups", error))?;
            let folded = recover::folded(rows.tables(), site);
            let folded = folded.map_err(|error| broken("rows can be read", "rows", error))?;
            oracle.has_read(site, &groups, folded.seq)?;
        }
        oracle.compare_all(&rows)?;
        self.images.keep(&tables);
        if end.term == 0 {
            end = Folded { term: 1, ..end };
        }
        let time = end.time;
        let nonce = self.chance.within(0..u64::MAX);
        let writer = Writer { site: self.site.clone(), term: 1, epoch: self.boot, nonce };
        let mut step = Step::new(rows, writer, end).map_err(|error| broken("a site can start", "a step", error))?;
        early.into_iter().for_each(|(site, groups)| step.arrives_early(&site, groups));
        let mut keeper = Timekeeper::start(time, 0, clocks.wall_ms);
        let started_at = keeper.advance(0, clocks.wall_ms);
        if started_at < time {
            return Err(broken("site time never goes back, not even over a restart", time, started_at));
        }
        let mut copies = BTreeMap::new();
        for (site, disk) in &self.copies {
            let copy = Copy::over(site, 1, Box::new(MemoryJournal::open(disk.clone())));
            copies.insert(site.clone(), copy.map_err(|error| broken("a copy can be read", "a copy", error))?);
        }
        self.running = Some(Running {
            copies,
            step,
            journal,
            keeper,
            booted_us: clocks.now_us,
            now: started_at,
            paced_from: (clocks.now_us, started_at),
            inbox: Vec::new(),
            askers: BTreeMap::new(),
            next_ticket: 0,
            waiting: VecDeque::new(),
            in_flight: BTreeSet::new(),
            appending: None,
        });
        Ok(())
    }

    fn sites(&self) -> Vec<SiteId> {
        self.copies.keys().chain([&self.site]).cloned().collect()
    }

    /// Folds what is kept of other sites. All that own groups say to have seen must be among it.
    fn fold_copies(&self, rows: &WriterRows) -> Kept<Vec<Early>> {
        let kept: Vec<(SiteId, Terms)> =
            self.copies.iter().map(|(site, disk)| (site.clone(), vec![(1, Arc::new(disk.clone()) as _)])).collect();
        let recovered = recover_others(rows, &self.site, &kept);
        let recovered = recovered.map_err(|error| broken("a start finds what was kept", "rows", error))?;
        let mut early = Vec::new();
        for ((site, terms), (at, unread)) in kept.into_iter().zip(recovered) {
            if unread == Some(Unread::Early) {
                let groups = recover::unread(site, &terms, &at);
                early.push(groups.map_err(|error| broken("a start finds what was kept", "groups", error))?);
                continue;
            }
            let end = self.copies.get(&site).map_or(0, JournalReader::end);
            same("a start folds what is kept of other sites", &(end, None), &(at.seq, unread))?;
        }
        for (_, bytes) in self.groups()? {
            let header =
                group::decode_header(&bytes).map_err(|error| broken("a group can be read", "a group", error))?;
            for seen in header.seen {
                let there = self.copies.get(&seen.site).and_then(|disk| disk.read(seen.seq.checked_sub(1)?, 1, 1).ok());
                let there = there.and_then(|groups| Some(group::digest(&groups.first()?.1)));
                same("what a group says to have seen is kept", &Some(seen.digest), &there)?;
            }
        }
        Ok(early)
    }

    /// The groups that are durable.
    pub(crate) fn groups(&self) -> Kept<Vec<(Seq, Bytes)>> {
        self.disk.read(0, usize::MAX, usize::MAX).map_err(|error| broken("a journal can be read", "groups", error))
    }

    /// What is kept of another site's groups.
    pub(crate) fn copies_of(&self, site: &SiteId) -> Kept<Vec<(Seq, Bytes)>> {
        let disk = self.copies.get(site);
        let groups = disk.map_or(Ok(Vec::new()), |disk| disk.read(0, usize::MAX, usize::MAX));
        groups.map_err(|error| broken("a copy can be read", "groups", error))
    }

    /// Groups that are kept of another site's journal, by a site that runs.
    pub(crate) fn kept_after(&self, of: &SiteId, after: Seq, most: usize) -> Vec<Bytes> {
        let copy = self.running.as_ref().and_then(|running| running.copies.get(of));
        let journal = copy.and_then(|copy| copy.readers().pop());
        let groups = journal.and_then(|(_, journal)| journal.read(after, most, usize::MAX).ok());
        groups.unwrap_or_default().into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// How much is kept of another site's journal, by a site that runs.
    pub(crate) fn kept(&self, of: &SiteId) -> Option<Seq> {
        Some(self.running.as_ref()?.copies.get(of)?.end().seq)
    }

    /// The same, with the digest.
    pub(crate) fn mark(&self, of: &SiteId) -> Option<Mark> {
        Some(self.running.as_ref()?.copies.get(of)?.end().mark())
    }

    /// How far a journal is folded into the rows.
    pub(crate) fn folded(&self, of: &SiteId) -> Seq {
        let journal = self.running.as_ref().and_then(|it| it.step.journals().find(|(site, _)| *site == of));
        let rows = self.rows().and_then(|rows| recover::folded(rows.tables(), of).ok());
        rows.map_or(0, |folded| folded.seq).min(journal.map_or(u64::MAX, |(_, journal)| journal.folded.seq))
    }

    /// The last group whose rows can be read, of a site that runs.
    pub(crate) fn end(&self) -> Option<Seq> {
        Some(self.running.as_ref()?.step.end().seq)
    }

    /// Groups of a site that runs, as they are cut for others.
    pub(crate) fn shared_after(&self, after: Seq, most: usize) -> Vec<Bytes> {
        let end = self.running.as_ref().map_or(0, |running| running.step.end().seq);
        let groups = self.disk.read(after, most, usize::MAX).unwrap_or_default().into_iter();
        let cut = |bytes: Bytes| bytes.slice(..group::shared(&bytes).map_or(0, <[u8]>::len));
        groups.filter(|(seq, _)| *seq <= end).map(|(_, bytes)| cut(bytes)).collect()
    }

    /// Groups of another site arrive. Answers how much is kept of it now.
    pub(crate) fn bring(&mut self, of: &SiteId, groups: &[Bytes]) -> Seq {
        let Some(running) = &mut self.running else { return 0 };
        let Some(copy) = running.copies.get_mut(of) else { return 0 };
        let taken = match self.plant {
            Some(Plant::GiveTooMuch) => copy.take(&plant::too_generous(groups, &self.site)),
            _ => copy.take(groups),
        };
        if self.plant == Some(Plant::FoldUnkept) && self.chance.happens(0.1) {
            // What comes until the next start is kept on a disk that no start will find.
            if let Some(disk) = self.copies.get_mut(of) {
                *disk = shortened(disk);
            }
        }
        let groups = match self.plant {
            Some(Plant::ActEarly) => plant::confirmed(taken.groups, of, running.step.rows()),
            _ => plant::in_folding(self.plant, taken.groups, &mut self.chance),
        };
        running.inbox.push(Input::Foreign { ticket: 0, site: of.clone(), groups });
        copy.end().seq
    }

    /// Whether the disk takes nothing.
    pub(crate) fn set_full(&self, full: bool) {
        self.copies.values().chain([&self.disk]).for_each(|disk| disk.set_full(full));
    }

    /// The power fails. What was not synced is gone, or a part of it.
    pub(crate) fn crash(&mut self, point: CrashPoint) {
        let Some(running) = self.running.take() else { return };
        let mut keep = 0;
        if let Some((seq, bytes)) = running.appending {
            match point {
                CrashPoint::Before => {}
                CrashPoint::Unsynced { kept } => {
                    // A disk that is full has not even begun with it.
                    if self.disk.write(&bytes).is_ok() {
                        keep = usize::from(kept);
                    }
                }
                CrashPoint::Unanswered => {
                    let mut journal = running.journal;
                    // However it ends, nobody will be told.
                    drop(journal.append(seq, &bytes));
                }
            }
        }
        self.disk.crash(keep);
        self.plant_lose_group();
    }

    /// The process ends after a sync that failed; what the disk kept of it is there.
    pub(crate) fn exit(&mut self) {
        self.running = None;
        self.disk.crash(usize::MAX);
    }

    /// A request arrives. Answers `false` if it does not fit into the queue.
    pub(crate) fn arrive(&mut self, asker: Asker, request: Request, queue_max: usize) -> bool {
        let Some(running) = &mut self.running else { return true };
        if running.inbox.len() + running.step.waiting() >= queue_max {
            return false;
        }
        let ticket = running.next_ticket;
        running.next_ticket += 1;
        running.askers.insert(ticket, asker);
        running.inbox.push(Input::Request { ticket, request });
        true
    }

    /// The disk is done with the append, in whatever way.
    pub(crate) fn append_ends(&mut self) -> Option<Input> {
        let running = self.running.as_mut()?;
        let (seq, bytes) = running.appending.take()?;
        if self.plant == Some(Plant::AckBeforeSync) {
            if self.disk.write(&bytes).is_err() {
                return Some(Input::Appended(Appended::NotWritten("the disk is full".into())));
            }
            if self.chance.happens(0.2) {
                drop(self.disk.sync());
            }
            return Some(Input::Appended(Appended::Durable));
        }
        Some(Input::Appended(match running.journal.append(seq, &bytes) {
            Ok(()) => Appended::Durable,
            Err(error @ (AppendError::NotWritten { .. } | AppendError::TooLarge { .. })) => {
                Appended::NotWritten(error.to_string())
            }
            Err(error @ (AppendError::Unknown { .. } | AppendError::Taken { .. })) => {
                Appended::Unknown(error.to_string())
            }
        }))
    }

    /// Lets the site do what there is to do: the end of an append, if there was one, and all that
    /// has arrived.
    pub(crate) fn work(
        &mut self,
        clocks: Clocks,
        ended: Option<Input>,
        oracle: &mut Oracle,
        figures: &mut Figures,
    ) -> Kept<Stepped> {
        let plant = self.plant;
        let Some(running) = &mut self.running else { return Ok(Stepped::default()) };
        let now = running.read_clocks(clocks, plant)?;
        let failed = matches!(ended, Some(Input::Appended(Appended::NotWritten(_))));
        let durable = matches!(ended, Some(Input::Appended(Appended::Durable)));
        let told = if plant == Some(Plant::LateTime) { SiteTime(now.0 - 20_000) } else { now };
        let arrived = std::mem::take(&mut running.inbox);
        running.waiting.extend(arrived.iter().filter_map(|input| match input {
            Input::Request { ticket, .. } => Some(*ticket),
            Input::Foreign { .. } | Input::Appended(_) | Input::FallSilent(_) => None,
        }));
        let mut stepped = Stepped::default();
        let mut group = None;
        let (mut decided, mut at_once) = (Vec::new(), Vec::new());
        let (mut append, mut foreign, mut read) = (None, None, None);
        for output in running.step.step(told, ended.into_iter().chain(arrived)) {
            match output {
                Output::Write { site, changes, folded } if site == self.site => group = Some((changes, folded)),
                Output::Write { site, changes, folded } => foreign = Some((site, changes, folded)),
                Output::Read { result: Ok(_) | Err((_, NotFolded::Gap | NotFolded::Halted)), .. } => {}
                Output::Read { result: Err((at, why)), .. } => {
                    return Err(broken("an honest journal is folded", at, why));
                }
                Output::Append { seq, group } => append = Some((seq, group)),
                Output::Halt(why) => stepped.halted = Some(why),
                Output::Answer { ticket, answer } => {
                    let Some(asker) = running.askers.remove(&ticket) else {
                        return Err(broken("everybody is answered once", "a ticket that waits", answer));
                    };
                    if running.in_flight.remove(&ticket) {
                        decided.push((asker, answer));
                    } else {
                        running.waiting.retain(|waiting| *waiting != ticket);
                        at_once.push((asker, answer));
                    }
                }
            }
        }
        if stepped.halted.is_some() {
            stepped.answers.extend(decided.into_iter().chain(at_once));
            return match stepped.answers.iter().find(|(_, answer)| !matches!(answer, Err(NotDone::Unknown))) {
                Some(told) => Err(broken("nobody is told what nobody knows", "unknown", told)),
                None => Ok(stepped),
            };
        }
        same("a durable group is written to the tables, and no other", &durable, &group.is_some())?;
        if let Some((site, changes, folded)) = foreign {
            figures.foreign_groups += folded.seq.saturating_sub(oracle.read_of(&site));
            self.keep_write(&site, &changes, &folded)?;
            read = Some((site, folded.seq));
        }
        let Some(running) = &mut self.running else { return Ok(stepped) };
        if let Some((changes, folded)) = group {
            same("nobody waits for a group that has ended", &true, &running.in_flight.is_empty())?;
            figures.groups += 1;
            stepped.durable = Some(folded.seq);
            let touched = oracle.durable(&as_decided(&decided))?;
            self.write(&changes, &folded)?;
            let Some(running) = &self.running else { return Ok(stepped) };
            oracle.compare_shelves(running.step.rows(), &touched)?;
        } else if failed {
            figures.appends_failed += 1;
            oracle.not_written(&as_decided(&decided))?;
        }
        oracle.answered(&as_decided(&at_once), now)?;
        if let Some((site, seq)) = read {
            // Nothing is decided after rows were given out, so all answers are older than this.
            self.tell_read(&site, seq, oracle)?;
        }
        stepped.answers.extend(decided.into_iter().chain(at_once));
        let Some(running) = &mut self.running else { return Ok(stepped) };
        if let Some((seq, bytes)) = append {
            oracle.appending(seq, &bytes, now)?;
            let taken = running.waiting.len().saturating_sub(running.step.waiting());
            running.in_flight = running.waiting.drain(..taken).collect();
            running.appending = Some((seq, bytes));
            stepped.appending = Some(seq);
        }
        Ok(stepped)
    }

    /// Tells the oracle what the site has read of another, by what was brought.
    fn tell_read(&self, site: &SiteId, seq: Seq, oracle: &mut Oracle) -> Kept {
        let copy = self.running.as_ref().and_then(|running| running.copies.get(site));
        let mut groups = Vec::new();
        for (_, journal) in copy.map(Copy::readers).into_iter().flatten() {
            let more = journal.read(oracle.read_of(site), usize::MAX, usize::MAX);
            groups.extend(more.map_err(|error| broken("a copy can be read", "groups", error))?);
        }
        oracle.has_read(site, &groups, seq)
    }

    /// Whether the site wants to be called again within so long although nothing comes.
    pub(crate) fn has_timer_within(&self, ms: u64) -> bool {
        let is_soon = |running: &Running| running.step.next_timer().is_some_and(|at| at <= running.now.plus(ms));
        self.running.as_ref().is_some_and(is_soon)
    }

    /// Site time, of a site that runs.
    pub(crate) fn now(&self) -> SiteTime {
        self.running.as_ref().map_or(SiteTime::default(), |running| running.now)
    }

    /// Whether the site wants to be called again at once.
    pub(crate) fn has_work(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.step.has_work(running.now))
    }

    /// When the site wants to be called although nothing has come, by the clock of the world.
    pub(crate) fn next_timer_us(&self, clocks: Clocks) -> Option<u64> {
        let running = self.running.as_ref()?;
        if running.appending.is_some() {
            return None;
        }
        let at = running.step.next_timer()?;
        let wait_ms = at.0.saturating_sub(running.now.0).max(1);
        Some(clocks.now_us.saturating_add(wait_ms.saturating_mul(1_000)))
    }

    /// Nothing waits and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        let idle =
            |running: &Running| running.appending.is_none() && running.step.waiting() == 0 && running.inbox.is_empty();
        self.running.as_ref().is_some_and(idle)
    }

    /// The rows that readers see.
    pub(crate) fn rows(&self) -> Option<&WriterRows> {
        self.running.as_ref().map(|running| running.step.rows())
    }

    /// Folds the journal again from its first group, from its bytes, and compares every row of
    /// every table with those that the site has written.
    pub(crate) fn compare_with_refold(&self) -> Kept {
        let Some(rows) = self.rows() else { return Ok(()) };
        let fresh = WriterRows::new(in_memory(), self.sites());
        let end = recover(&fresh, &self.site, &vec![(1, Arc::new(self.disk.clone()) as _)], |_| {});
        end.map_err(|error| broken("a journal can be folded again", "rows", error))?;
        self.fold_copies(&fresh)?;
        for (table, name) in (0..).zip(TABLE_NAMES) {
            let (found, expected) = (dump(rows.tables(), table), dump(fresh.tables(), table));
            if found != expected {
                let differ = found.iter().zip(&expected).find(|(found, expected)| found != expected);
                let promise = format!("folding the journal again gives equal bytes (table {name})");
                let lengths = (expected.len(), found.len());
                return Err(broken(&promise, (lengths.0, differ.map(|rows| rows.1)), (lengths.1, differ.map(|r| r.0))));
            }
        }
        Ok(())
    }
}

impl Running {
    /// Site time, which must go as fast as time passes, whatever the wall shows.
    fn read_clocks(&mut self, clocks: Clocks, plant: Option<Plant>) -> Kept<SiteTime> {
        let mut now = self.keeper.advance(clocks.now_us - self.booted_us, clocks.wall_ms);
        if plant == Some(Plant::FollowWallClock) {
            now = SiteTime(clocks.wall_ms.max(self.now.0));
        }
        let (from_us, from) = self.paced_from;
        let (passed_ms, went_ms) = ((clocks.now_us - from_us) / 1_000, now.0.saturating_sub(from.0));
        let (slowest, fastest) = (passed_ms * 9 / 10, passed_ms + passed_ms / 10);
        if now < self.now || went_ms + 2 < slowest || went_ms > fastest + 2 {
            let expected = format!("{slowest} to {fastest} ms after {passed_ms} ms");
            return Err(broken("site time goes as time passes; a clock that jumps ends no hold", expected, went_ms));
        }
        // Readings are rounded, so the pace is taken over more than a few of them.
        if passed_ms > 100 {
            self.paced_from = (clocks.now_us, now);
        }
        self.now = now;
        Ok(now)
    }
}

fn as_decided(answers: &[(Asker, Result<Answer, NotDone>)]) -> Vec<Decided<'_>> {
    answers.iter().map(|(asker, answer)| Decided { id: &asker.id, answer }).collect()
}
