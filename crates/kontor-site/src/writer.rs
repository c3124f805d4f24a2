//! The thread that feeds the step with real time, a journal and tables.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kontor_core::command::Request;
use kontor_core::group::GroupError;
use kontor_core::id::{CustomerId, PaymentId, Position, SiteId};
use kontor_storage::journal::{AppendError, Journal};
use tokio::sync::{oneshot, watch};

use crate::bodies::Bodies;
use crate::clock::{Clock, Stopwatch};
use crate::copies::lock;
use crate::folded::Folded;
use crate::foreign::{ForeignGroup, ForeignJournal, NotFolded};
use crate::limits::GROUP_ENTRIES_MAX;
use crate::noted::Noted;
use crate::reserve::Reserve;
use crate::rows::WriterRows;
use crate::step::{Answer, Appended, Input, NotDone, Output, Step};
use crate::{payments, persons};

/// A letter to the writer.
pub(crate) enum Letter {
    /// Somebody wants something.
    Request(Box<Request>, oneshot::Sender<Result<Answer, NotDone>>),
    /// The journal of another site is read from now on.
    Enroll(SiteId, oneshot::Sender<()>),
    /// Groups of another site's journal, kept already.
    Foreign(SiteId, Vec<Result<ForeignGroup, GroupError>>, oneshot::Sender<ReadIn>),
    /// Write nothing from now on.
    FallSilent(String),
    /// Finish what waits, then stop.
    Close,
}

/// How far another site's journal is folded after groups of it were brought.
pub(crate) type ReadIn = Result<Folded, (Folded, NotFolded)>;

/// What the writer and everybody else look at.
pub(crate) struct Shared {
    pub(crate) bodies: Bodies,
    pub(crate) waiting: AtomicUsize,
    pub(crate) journals: Mutex<BTreeMap<SiteId, ForeignJournal>>,
    /// Why nothing is written any more, if it is not.
    pub(crate) silent: Mutex<Option<String>>,
    /// Who was erased, by whichever journal.
    pub(crate) erased: Noted<CustomerId>,
    /// Payments of this site that have changed.
    pub(crate) payments: Noted<PaymentId>,
    pub(crate) end: watch::Sender<Position>,
    /// `None` while it runs, then why it stopped; an empty text after a clean shutdown.
    pub(crate) stopped: watch::Sender<Option<String>>,
}

pub(crate) struct Writer {
    pub(crate) step: Step<WriterRows>,
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) reserve: Reserve,
    pub(crate) clock: Arc<Clock>,
    pub(crate) letters: Receiver<Letter>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tickets: Tickets<Result<Answer, NotDone>>,
    pub(crate) readers: Tickets<ReadIn>,
    pub(crate) closing: bool,
}

/// Who waits for an answer, by the number that the step knows them by.
pub(crate) struct Tickets<A> {
    /// Numbers are given in turn and come back nearly so; `None` has been answered.
    waiting: VecDeque<Option<oneshot::Sender<A>>>,
    /// The number of the first that waits.
    first: u64,
}

impl<A> Default for Tickets<A> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), first: 0 }
    }
}

impl<A> Tickets<A> {
    fn give(&mut self, answer_to: oneshot::Sender<A>) -> u64 {
        self.waiting.push_back(Some(answer_to));
        self.first + self.waiting.len() as u64 - 1
    }

    fn take(&mut self, ticket: u64) -> Option<oneshot::Sender<A>> {
        let place = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        let answer_to = self.waiting.get_mut(place)?.take();
        while self.waiting.pop_front_if(|first| first.is_none()).is_some() {
            self.first += 1;
        }
        answer_to
    }
}

/// Says that the site has stopped, if nobody has said it before.
struct TellAll(Arc<Shared>);

impl Drop for TellAll {
    fn drop(&mut self) {
        self.0.stopped.send_if_modified(|stopped| {
            let silent = stopped.is_none();
            stopped.get_or_insert_with(|| "the writer panicked; this is a defect of the program".into());
            silent
        });
    }
}

impl Writer {
    /// Runs until it is told to close, or cannot go on.
    pub(crate) fn run(mut self) {
        // Whatever ends this thread, everybody is told: a site that cannot write must not look alive.
        let guard = TellAll(self.shared.clone());
        let why = loop {
            let inputs = self.wait_for_letters();
            if let Err(why) = self.work_off(inputs) {
                break why;
            }
            if self.closing && self.step.waiting() == 0 {
                break self.close();
            }
        };
        if !why.is_empty() {
            tracing::error!("The site has stopped: {why}");
        }
        self.tickets = Tickets::default();
        self.readers = Tickets::default();
        self.shared.stopped.send_replace(Some(why));
        drop(guard);
    }

    /// Blocks until there is something to do, and takes all that waits.
    fn wait_for_letters(&mut self) -> Vec<Input> {
        let now = self.clock.now();
        let due = self.step.next_timer().map_or(1_000, |at| at.0.saturating_sub(now.0));
        let mut inputs = Vec::new();
        match self.letters.recv_timeout(Duration::from_millis(due.min(1_000))) {
            Ok(letter) => inputs.extend(self.open(letter)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.closing = true,
        }
        self.take_waiting(&mut inputs);
        inputs
    }

    fn take_waiting(&mut self, inputs: &mut Vec<Input>) {
        // What is decided later waits in the queue, which has an end.
        while inputs.len() + self.step.waiting() < GROUP_ENTRIES_MAX {
            match self.letters.try_recv() {
                Ok(letter) => inputs.extend(self.open(letter)),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.closing = true;
                    break;
                }
            }
        }
    }

    fn open(&mut self, letter: Letter) -> Option<Input> {
        match letter {
            Letter::Request(request, answer_to) => {
                self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                let ticket = self.tickets.give(answer_to);
                Some(Input::Request { ticket, request: *request })
            }
            Letter::Enroll(site, done) => {
                let enrolled = self.step.enroll(&site, |rows| rows.join(site.clone()));
                if let Err(error) = enrolled {
                    tracing::error!(site = site.as_str(), "The journal of another site is not read: {error}");
                }
                self.show_journals();
                // Whoever asked may have gone; it is read all the same.
                let _ = done.send(());
                None
            }
            Letter::Foreign(site, groups, answer_to) => {
                let ticket = self.readers.give(answer_to);
                Some(Input::Foreign { ticket, site, groups })
            }
            Letter::FallSilent(why) => Some(Input::FallSilent(why)),
            Letter::Close => {
                self.closing = true;
                None
            }
        }
    }

    /// Steps until nothing is left to append. What arrives during an append joins the next group; those
    /// whose group is durable are answered before the next one is decided.
    fn work_off(&mut self, inputs: Vec<Input>) -> Result<(), String> {
        let mut inputs = inputs;
        loop {
            match self.step(&mut inputs)? {
                Some(appended) => inputs.push(Input::Appended(appended)),
                None => {
                    // Those who were just answered may have asked again.
                    self.take_waiting(&mut inputs);
                    if inputs.is_empty() && !self.step.has_work(self.clock.now()) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Steps once and does what comes of it. Returns how the append ended, if there was one.
    fn step(&mut self, inputs: &mut Vec<Input>) -> Result<Option<Appended>, String> {
        let now = self.clock.now();
        let mut appended = None;
        for output in self.step.step(now, inputs.drain(..)) {
            match output {
                Output::Append { seq, group } => appended = Some(self.append(seq, &group)),
                Output::Write { site, changes, folded } => {
                    let written = self.step.rows().write(&changes, folded.encode(), &site);
                    written.map_err(|error| format!("the tables could not be written: {}", with_causes(&error)))?;
                    self.shared.bodies.forget(&changes);
                    self.shared.erased.note(persons::erased(&changes));
                    self.shared.payments.note(payments::changed(&changes));
                    if site == *self.step.site() {
                        self.shared.end.send_replace(folded.position());
                    }
                }
                Output::Read { ticket, result } => {
                    self.show_journals();
                    if let Some(answer_to) = self.readers.take(ticket) {
                        // Whoever brought them may have gone; what was folded stays folded.
                        let _ = answer_to.send(result);
                    }
                }
                Output::Answer { ticket, answer } => {
                    if let Some(answer_to) = self.tickets.take(ticket) {
                        // Whoever asked may have gone; what was done stays done.
                        let _ = answer_to.send(answer);
                    }
                }
                Output::Halt(why) => return Err(why),
            }
        }
        Ok(appended)
    }

    /// Tells everybody how far other sites' journals are folded.
    pub(crate) fn show_journals(&self) {
        let journals = self.step.journals().map(|(site, journal)| (site.clone(), journal.clone()));
        *lock(&self.shared.journals) = journals.collect();
    }

    fn append(&mut self, seq: u64, group: &[u8]) -> Appended {
        if let Some(why) = self.reserve.watch() {
            return Appended::NotWritten(why);
        }
        let watch = Stopwatch::start();
        let result = self.journal.append(seq, group);
        metrics::histogram!("kontor_journal_append_seconds").record(watch.seconds());
        metrics::counter!("kontor_journal_appends_total").increment(1);
        metrics::counter!("kontor_journal_bytes_total").increment(group.len() as u64);
        match result {
            Ok(()) => Appended::Durable,
            Err(AppendError::NotWritten { .. } | AppendError::TooLarge { .. }) => {
                let error = result.expect_err("it was just matched");
                let why = with_causes(&error);
                tracing::error!("The journal took nothing: {why}");
                Appended::NotWritten(why)
            }
            Err(error @ (AppendError::Unknown { .. } | AppendError::Taken { .. })) => {
                Appended::Unknown(format!("an append to the journal has an unknown outcome: {}", with_causes(&error)))
            }
        }
    }

    fn close(&mut self) -> String {
        let closed =
            self.journal.close().map_err(|error| format!("the journal could not be closed: {}", with_causes(&error)));
        let flushed = self
            .step
            .rows()
            .tables()
            .flush()
            .map_err(|error| format!("the tables could not be closed: {}", with_causes(&error)));
        closed.and(flushed).err().unwrap_or_default()
    }
}

/// An error and what led to it: a step that failed says little without what the disk said.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
