//! A site that runs: opened from a directory, asked through a queue, read through snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use kontor_core::command::Request;
use kontor_core::id::{CustomerId, PaymentId, Position, SiteId};
use kontor_core::record::{TABLE_NAMES, TABLES_VERSION};
use kontor_core::session::{Mark, Past};
use kontor_core::time::SiteTime;
use kontor_storage::directory::{DataDir, DirectoryError};
use kontor_storage::journal::local::{LocalJournal, LocalOptions, LocalReader, OpenError as JournalOpenError};
use kontor_storage::journal::{Journal, ReadError};
use kontor_storage::tables::{Tables, TablesError, TablesOptions};
use tokio::sync::oneshot::{self, error::RecvError};
use tokio::sync::watch;

use crate::bodies::Bodies;
use crate::clock::Clock;
use crate::copies::{Copies, CopyError, Kept, Left, Taken, lock};
use crate::feed::{Feed, FeedError};
use crate::folded::Folded;
use crate::foreign::{ForeignJournal, NotFolded};
use crate::limits::{FEED_BYTES_MAX, QUEUE_MAX};
use crate::noted::Noted;
use crate::reader::Reader;
use crate::recover::{self, Progress, RecoverError, Terms, Unread};
use crate::rehearsal::Rehearsal;
use crate::reserve::Reserve;
use crate::rows::{self, SnapshotRows, WriterRows};
use crate::step::{self, Answer, NotDone, Step};
use crate::writer::{self, Letter, ReadIn, Shared, Tickets, Writer};

/// How a site is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// The name of the site; must be the one that the directory was made for.
    pub site: SiteId,
    /// Drawn for this run: tells this writer's appends from another's.
    pub nonce: u64,
    /// How the journal is kept.
    pub journal: LocalOptions,
    /// How the tables are kept.
    pub tables: TablesOptions,
    /// Room on the disk that writes leave alone: [`crate::limits::DISK_RESERVE_BYTES`].
    pub disk_reserve_bytes: u64,
}

/// Why a site could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalOpenError),
    /// The journal of an earlier term cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is kept of another site's journal cannot be found.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The tables cannot be opened.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// Journal and tables do not come together.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The name of the site in the directory is not a site name.
    #[error("the directory was made for site {0:?}, which is not a site name")]
    Name(String),
    /// The writer's thread could not be started.
    #[error("the writer could not be started")]
    Thread(#[source] std::io::Error),
}

/// A running site. Clones are handles on the same one.
#[derive(Clone)]
pub struct Site {
    inner: Arc<Inner>,
}

struct Inner {
    id: SiteId,
    term: u32,
    letters: SyncSender<Letter>,
    tables: Tables,
    /// Whose rows are read: this site's, and those of all whose journals it reads.
    sites: RwLock<Arc<[SiteId]>>,
    copies: Copies,
    shared: Arc<Shared>,
    feed: Feed,
    stopped: watch::Receiver<Option<String>>,
    reserve: Reserve,
    clock: Arc<Clock>,
    writer: std::sync::Mutex<Option<JoinHandle<()>>>,
    /// Holds the lock on the directory for as long as the site runs.
    _directory: Option<Arc<DataDir>>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Site").field(&self.inner.id.as_str()).finish()
    }
}

/// How a site is doing.
#[derive(Debug, Clone)]
pub struct Status {
    /// Requests that wait for the writer.
    pub waiting: usize,
    /// The newest group whose rows can be read.
    pub end: Position,
    /// By how many milliseconds the wall clock is away from site time, if too many to follow.
    pub clock_stepped_ms: i64,
    /// Why the site stopped, if it has.
    pub stopped: Option<String>,
    /// Why it writes nothing although it runs, if it does not.
    pub silent: Option<String>,
    /// How far the journals of other sites are folded, and which of them are stopped.
    pub journals: BTreeMap<SiteId, ForeignJournal>,
}

/// Why groups of another site were not read in, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum NotReadIn {
    /// The site does not read this journal.
    #[error("the journal of site {0} is not read here")]
    NotEnrolled(SiteId),
    /// The journal is folded up to here and no further.
    #[error("the journal is folded up to group {} of term {}: {why}", at.seq, at.term)]
    NotFolded {
        /// How far it is folded.
        at: Box<Folded>,
        /// What is wrong with the next group.
        why: NotFolded,
    },
    /// There is no room to keep it.
    #[error("{0}")]
    NoRoom(String),
    /// It could not be kept.
    #[error(transparent)]
    NotKept(#[from] CopyError),
    /// The site has stopped.
    #[error("the site has stopped")]
    Stopped,
}

/// Groups of another site's journal that are kept, and will be folded although nobody waits.
pub struct Reading {
    folded: oneshot::Receiver<ReadIn>,
    left: Option<Left>,
}

impl Reading {
    /// Waits until they are folded: where they build on groups of other sites, until those are read in.
    pub async fn folded(self) -> Result<Folded, NotReadIn> {
        Self::ended(self.folded.await, self.left)
    }

    fn ended(folded: Result<ReadIn, RecvError>, left: Option<Left>) -> Result<Folded, NotReadIn> {
        let folded = folded.map_err(|_| NotReadIn::Stopped)?;
        let folded = folded.map_err(|(at, why)| NotReadIn::NotFolded { at: Box::new(at), why })?;
        match left {
            None => Ok(folded),
            Some(Left::Gap(at)) => Err(NotReadIn::NotFolded { at: Box::new(at), why: NotFolded::Gap }),
            Some(Left::NotKept(error)) => Err(error.into()),
        }
    }
}

impl Inner {
    /// The tables at this moment, of all sites whose journals are read.
    fn rows(&self) -> SnapshotRows {
        let sites = self.sites.read().expect("no code panics while it holds the list").clone();
        SnapshotRows::new(&self.tables, sites)
    }
}

impl Site {
    /// Opens the site of a directory: folds what the tables lack, then starts the writer.
    pub fn open(settings: &Settings, mut progress: impl FnMut(Progress)) -> Result<Self, OpenError> {
        let directory = Arc::new(DataDir::open(&settings.data, settings.site.as_str())?);
        let (id, term) = (settings.site.clone(), directory.term());
        let journal = |term| (directory.journal_path(term), directory.archive_path(term), label(&id, term));

        let mut terms = Terms::new();
        for earlier in directory.terms().iter().copied().filter(|earlier| *earlier < term) {
            let (dir, archive, label) = journal(earlier);
            terms.push((earlier, Arc::new(LocalReader::open(&dir, &archive, &label)?)));
        }
        let (dir, archive, label) = journal(term);
        let (own, report) = LocalJournal::open(&dir, &archive, &label, settings.journal)?;
        tracing::info!(?report, "The journal is open");
        terms.push((term, own.reader()));

        let tables = open_tables(&directory, &settings.tables)?;
        let disk = Some((directory, settings.disk_reserve_bytes));
        Self::start(id, term, settings.nonce, Box::new(own), terms, tables, disk, &mut progress)
    }

    /// Starts a site in memory, for tests.
    pub fn in_memory(id: SiteId) -> Result<Self, OpenError> {
        let journal = kontor_storage::journal::memory::MemoryJournal::new();
        let terms = vec![(1, journal.reader())];
        Self::start(id, 1, 1, Box::new(journal), terms, crate::rows::in_memory(), None, &mut |_| {})
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a site, put together in one place")]
    fn start(
        id: SiteId,
        term: u32,
        nonce: u64,
        journal: Box<dyn Journal>,
        terms: Terms,
        tables: Tables,
        disk: Option<(Arc<DataDir>, u64)>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, OpenError> {
        let copies = Copies::new(disk.as_ref().map(|(directory, _)| directory.clone()), nonce);
        let mut sites = vec![id.clone()];
        if let Some((directory, _)) = &disk {
            let peers = directory.peers()?.into_iter();
            sites.extend(peers.filter_map(|peer| SiteId::parse(peer).ok()).filter(|peer| *peer != id));
        }
        let rows = WriterRows::new(tables.clone(), sites.clone());
        let mut end = recover::recover(&rows, &id, &terms, progress)?;
        let mut stopped_journals = Vec::new();
        let mut kept = Vec::new();
        for peer in &sites[1..] {
            // What cannot be read of another site stops its journal alone.
            match copies.open(peer).map(|copy| lock(&copy).readers()) {
                Ok(terms) => kept.push((peer.clone(), terms)),
                Err(error) => stopped_journals.push((peer.clone(), writer::with_causes(&error))),
            }
        }
        let mut early = Vec::new();
        let recovered = recover::recover_others(&rows, &id, &kept)?;
        for ((peer, terms), (at, unread)) in kept.into_iter().zip(recovered) {
            match unread {
                None => {}
                Some(Unread::Stopped(why)) => stopped_journals.push((peer, why)),
                Some(Unread::Early) => early.push(recover::unread(peer, &terms, &at)?),
            }
        }
        if end.term < term {
            // The first group of a term follows the last group of the term before.
            end = Folded { term, seq: 0, last: 0, ..end };
        }
        let epoch = terms.last().map_or(Ok(0), |(term, journal)| recover::last_epoch(journal.as_ref(), *term))? + 1;
        let clock = Arc::new(Clock::start(end.time));
        let writer = step::Writer { site: id.clone(), term, epoch, nonce };
        let position = end.position();
        let mut step = Step::new(rows, writer, end).map_err(RecoverError::from)?;
        stopped_journals.into_iter().for_each(|(peer, why)| step.stop_journal(&peer, why));
        early.into_iter().for_each(|(peer, groups)| step.arrives_early(&peer, groups));

        let reserve = disk
            .as_ref()
            .map_or_else(Reserve::none, |(directory, bytes)| Reserve::new(directory.path().to_owned(), *bytes));
        let (letters, inbox) = sync_channel(QUEUE_MAX);
        let (end, end_seen) = watch::channel(position);
        let (stopped, stopped_seen) = watch::channel(None);
        let shared = Arc::new(Shared {
            bodies: Bodies::new(),
            waiting: AtomicUsize::new(0),
            journals: Mutex::default(),
            silent: Mutex::default(),
            erased: Noted::default(),
            payments: Noted::default(),
            end,
            stopped,
        });
        let writer = Writer {
            step,
            journal,
            reserve: reserve.clone(),
            clock: clock.clone(),
            letters: inbox,
            shared: shared.clone(),
            tickets: Tickets::default(),
            readers: Tickets::default(),
            closing: false,
        };
        writer.show_journals();
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || writer.run());
        let thread = thread.map_err(OpenError::Thread)?;
        sites.sort();
        let feed = Feed { terms: Arc::new(terms), end: end_seen };
        let inner = Inner {
            id,
            term,
            letters,
            tables,
            sites: RwLock::new(sites.into()),
            copies,
            shared,
            feed,
            stopped: stopped_seen,
            reserve,
            clock,
            writer: std::sync::Mutex::new(Some(thread)),
            _directory: disk.map(|(directory, _)| directory),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for something, and waits until it is durable or refused.
    pub async fn submit(&self, request: Request) -> Result<Answer, NotDone> {
        let (answer_to, answer) = oneshot::channel();
        let inner = &self.inner;
        inner.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(full) = inner.letters.try_send(Letter::Request(Box::new(request), answer_to)) {
            inner.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(match full {
                TrySendError::Full(_) => NotDone::Overloaded,
                TrySendError::Disconnected(_) => NotDone::Unknown,
            });
        }
        answer.await.unwrap_or(Err(NotDone::Unknown))
    }

    /// Rows at this moment.
    pub fn read(&self) -> Reader {
        Reader::new(self.inner.rows(), self.inner.id.clone(), self.now())
    }

    /// Reads the journal of another site from now on, and after every start. Blocks.
    pub fn enroll(&self, peer: &SiteId) -> Result<(), NotReadIn> {
        let inner = &self.inner;
        if *peer == inner.id {
            return Err(NotReadIn::NotEnrolled(peer.clone()));
        }
        inner.copies.add(peer)?;
        {
            let mut sites = inner.sites.write().expect("no code panics while it holds the list");
            if !sites.contains(peer) {
                let mut all = sites.to_vec();
                all.push(peer.clone());
                all.sort();
                *sites = all.into();
            }
        }
        let (done, is_done) = oneshot::channel();
        inner.letters.send(Letter::Enroll(peer.clone(), done)).map_err(|_| NotReadIn::Stopped)?;
        is_done.blocking_recv().map_err(|_| NotReadIn::Stopped)
    }

    /// Reads in groups of another site's journal, in its order, and answers how far the journal is folded.
    /// Blocks, on the disk too, and where they build on groups of other sites until those are read in.
    pub fn read_in(&self, peer: &SiteId, groups: &[Bytes]) -> Result<Folded, NotReadIn> {
        let Reading { folded, left } = self.keep(peer, groups)?;
        Reading::ended(folded.blocking_recv(), left)
    }

    /// Keeps groups of another site's journal that follow from what was read before, and has them folded;
    /// groups that were read before change nothing. Blocks on the disk.
    pub fn keep(&self, peer: &SiteId, groups: &[Bytes]) -> Result<Reading, NotReadIn> {
        let inner = &self.inner;
        let copy = inner.copies.of(peer).ok_or_else(|| NotReadIn::NotEnrolled(peer.clone()))?;
        let mut copy = lock(&copy);
        if let Some(why) = inner.reserve.lack() {
            return Err(NotReadIn::NoRoom(why));
        }
        let Taken { groups, left } = copy.take(groups);
        inner.copies.note(peer, copy.end().mark());
        let (answer_to, folded) = oneshot::channel();
        let letter = Letter::Foreign(peer.clone(), groups, answer_to);
        inner.letters.send(letter).map_err(|_| NotReadIn::Stopped)?;
        // The next groups may be kept while these are folded, but they may not overtake them.
        drop(copy);
        Ok(Reading { folded, left })
    }

    /// How much is kept of another site's journal; nothing if it is not read here.
    pub fn kept(&self, peer: &SiteId) -> Option<Mark> {
        self.inner.copies.kept().borrow().of(peer)
    }

    /// How far all journals of other sites are kept, now and whenever that changes.
    pub fn copies(&self) -> watch::Receiver<Kept> {
        self.inner.copies.kept()
    }

    /// Groups that are kept of another site's journal after a place, and how much is kept in all; nothing if it
    /// is not read here. For whoever has lost them, or has no link to that site. Blocks on the disk.
    pub fn kept_groups(&self, of: &SiteId, term: u32, after: u64) -> Result<Option<(Mark, Vec<Bytes>)>, ReadError> {
        let Some(copy) = self.inner.copies.of(of) else { return Ok(None) };
        let (mark, terms) = {
            let copy = lock(&copy);
            (copy.end().mark(), copy.readers())
        };
        for (in_term, journal) in terms.iter().filter(|(in_term, _)| *in_term >= term) {
            let groups = journal.read(if *in_term == term { after } else { 0 }, 256, FEED_BYTES_MAX)?;
            if !groups.is_empty() {
                return Ok(Some((mark, groups.into_iter().map(|(_, bytes)| bytes).collect())));
            }
        }
        Ok(Some((mark, Vec::new())))
    }

    /// Looks at what another site says to hold of this site's journal. If it is more than is here, or
    /// something else, nothing is written from now on: whatever would be written next would be said a second
    /// time, and differently. Blocks on the disk.
    pub fn hear_of_itself(&self, from: &SiteId, said: &Mark) -> Result<Past, FeedError> {
        let past = self.inner.feed.compare(said)?;
        let Mark { term, seq, .. } = said;
        let why = match past {
            Past::Same => return Ok(past),
            Past::Missing => format!(
                "site {from} holds group {seq} of term {term} of this site's journal, which is not here: \
                 the end of the journal was lost"
            ),
            Past::Other => format!(
                "site {from} holds another group {seq} of term {term} of this site's journal than the one here: \
                 two journals were written"
            ),
        };
        self.fall_silent(why);
        Ok(past)
    }

    fn fall_silent(&self, why: String) {
        let shared = &self.inner.shared;
        if lock(&shared.silent).get_or_insert_with(|| why.clone()) == &why {
            tracing::error!("The site writes nothing any more: {why}");
            metrics::gauge!("kontor_site_silent").set(1.0);
        }
        // A writer that has stopped already writes nothing.
        let _ = self.inner.letters.send(Letter::FallSilent(why));
    }

    /// Where commands are tried out: what they would do, without doing it.
    pub fn rehearse(&self) -> Rehearsal {
        Rehearsal::new(self.inner.rows(), self.inner.id.clone(), self.now())
    }

    /// Rendered answers.
    pub fn bodies(&self) -> &Bodies {
        &self.inner.shared.bodies
    }

    /// The change feed.
    pub fn feed(&self) -> Feed {
        self.inner.feed.clone()
    }

    /// The site's name.
    pub fn id(&self) -> &SiteId {
        &self.inner.id
    }

    /// The term of the journal that it writes.
    pub fn term(&self) -> u32 {
        self.inner.term
    }

    /// Site time: the clock of everything that is decided.
    pub fn now(&self) -> SiteTime {
        self.inner.clock.now()
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let shared = &self.inner.shared;
        Status {
            waiting: shared.waiting.load(Ordering::Relaxed),
            end: self.inner.feed.end(),
            clock_stepped_ms: self.inner.clock.stepped_ms(),
            stopped: self.why_stopped(),
            silent: lock(&shared.silent).clone(),
            journals: lock(&shared.journals).clone(),
        }
    }

    /// Payments that have changed since this was asked last.
    pub fn take_changed_payments(&self) -> BTreeSet<PaymentId> {
        self.inner.shared.payments.take()
    }

    /// Waits until there is one to take.
    pub async fn some_payment_changed(&self) {
        self.inner.shared.payments.something().await;
    }

    /// Why it has stopped, if it has; an empty text after a clean shutdown.
    pub fn why_stopped(&self) -> Option<String> {
        self.inner.stopped.borrow().clone()
    }

    /// Who was erased since this was asked last, by whichever journal.
    pub(crate) fn take_erased(&self) -> BTreeSet<CustomerId> {
        self.inner.shared.erased.take()
    }

    /// Waits until there is somebody to take.
    pub(crate) async fn someone_erased(&self) {
        self.inner.shared.erased.something().await;
    }

    /// Why writes are refused although it runs: the room on the disk is down to the reserve.
    pub fn lacks_room(&self) -> Option<String> {
        self.inner.reserve.lack()
    }

    /// Waits until the writer has stopped, and says why; an empty text after a clean shutdown.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.inner.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the writer is gone".into(),
        }
    }

    /// Finishes what waits and closes journal and tables. Blocks; what is asked afterwards fails.
    pub fn close(&self) -> Result<(), String> {
        // A writer that has stopped already has closed its inbox; then there is nothing to tell it.
        let _ = self.inner.letters.send(Letter::Close);
        let thread = self.inner.writer.lock().map_or(None, |mut writer| writer.take());
        if let Some(thread) = thread {
            thread.join().map_err(|_| "the writer panicked".to_owned())?;
            self.inner.copies.close();
        }
        match self.inner.stopped.borrow().as_deref() {
            None | Some("") => Ok(()),
            Some(why) => Err(why.to_owned()),
        }
    }
}

/// What a journal says it belongs to.
pub fn label(site: &SiteId, term: u32) -> String {
    format!("{site}/{term}")
}

/// Opens the tables, and starts them anew if the engine finds them damaged, or if their rows are of another
/// version: they are a cache.
fn open_tables(directory: &DataDir, options: &TablesOptions) -> Result<Tables, OpenError> {
    let path = directory.tables_path();
    if path.exists() && !are_current(&path) {
        tracing::warn!("The tables are of another version; they are built again from the journal");
        delete(&path)?;
    }
    let tables = open_or_renew(&path, options)?;
    // If this is lost in a crash, the tables are built once more.
    let written = std::fs::write(path.join(VERSION_FILE), TABLES_VERSION.to_string());
    written.map_err(|source| TablesError::Io { path, source })?;
    Ok(tables)
}

/// Whether the rows of the tables in a directory are as this program writes them.
pub fn are_current(tables: &Path) -> bool {
    std::fs::read(tables.join(VERSION_FILE)).is_ok_and(|said| said == TABLES_VERSION.to_string().as_bytes())
}

/// Holds the version of the rows, in the directory of the tables.
const VERSION_FILE: &str = "ROWS";

fn open_or_renew(path: &Path, options: &TablesOptions) -> Result<Tables, OpenError> {
    let options = TablesOptions { usage: rows::usage, ..*options };
    match Tables::fjall(path, &TABLE_NAMES, options) {
        Err(TablesError::Damaged { .. }) => {
            tracing::warn!("The tables are damaged; they are built again from the journal");
            delete(path)?;
            Ok(Tables::fjall(path, &TABLE_NAMES, options)?)
        }
        tables => Ok(tables?),
    }
}

fn delete(tables: &Path) -> Result<(), TablesError> {
    // Its version first: what a crash leaves of them must not be taken for all of them.
    let version = match std::fs::remove_file(tables.join(VERSION_FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => std::fs::File::open(tables).and_then(|directory| directory.sync_all()),
    };
    let deleted = version.and_then(|()| std::fs::remove_dir_all(tables));
    deleted.map_err(|source| TablesError::Io { path: tables.to_owned(), source })
}
