//! What is kept of other sites' journals: each group that was read, cut as it came, in journals like
//! one's own. A group is kept before it is folded, so that whatever this site says to have seen is here
//! again after any crash, whether or not its peers are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use kontor_core::group::{self, GroupError};
use kontor_core::id::SiteId;
use kontor_core::session::Mark;
use kontor_storage::directory::{DataDir, DirectoryError};
use kontor_storage::journal::local::{LocalJournal, LocalOptions, OpenError};
use kontor_storage::journal::memory::MemoryJournal;
use kontor_storage::journal::{AppendError, Journal, ReadError};
use tokio::sync::watch;

use crate::folded::Folded;
use crate::foreign::{ForeignGroup, NotFolded, follows};
use crate::limits::COPY_SEGMENT_BYTES;
use crate::recover::Terms;
use crate::site::label;

/// Why a group is not kept.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is kept of the journal cannot be opened.
    #[error("what is kept of the journal of site {site} cannot be opened")]
    Open {
        /// Whose journal.
        site: SiteId,
        /// What the files said.
        source: OpenError,
    },
    /// What is kept of the journal cannot be read.
    #[error("what is kept of the journal cannot be read")]
    Read(#[from] ReadError),
    /// A kept group is of a newer format, or damaged.
    #[error("a group that is kept of the journal cannot be read")]
    Group(#[from] GroupError),
    /// The disk did not take the group.
    #[error("the group could not be kept")]
    Append(#[from] AppendError),
    /// The directory does not say what it holds.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// The copies of a site.
pub(crate) struct Copies {
    /// `None` for a site in memory.
    directory: Option<Arc<DataDir>>,
    by_site: Mutex<BTreeMap<SiteId, Arc<Mutex<Copy>>>>,
    kept: watch::Sender<Kept>,
}

/// How far the journals of other sites are kept, for whoever reads them from here. Every change has a number;
/// those of different starts are far apart.
#[derive(Debug, Clone)]
pub struct Kept {
    started: u64,
    changes: u64,
    journals: BTreeMap<SiteId, (Mark, u64)>,
}

impl Kept {
    fn starting(at: u64) -> Self {
        Self { started: at, changes: at, journals: BTreeMap::new() }
    }

    /// The number of the newest change.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What is kept of a journal.
    pub fn of(&self, site: &SiteId) -> Option<Mark> {
        self.journals.get(site).map(|(mark, _)| *mark)
    }

    /// The journals that have changed after a change; all of them, if it was not one since the start.
    pub fn since(&self, change: u64) -> impl Iterator<Item = (&SiteId, &Mark)> {
        let after = if (self.started..=self.changes).contains(&change) { change } else { 0 };
        let changed = self.journals.iter().filter(move |(_, (_, changed))| *changed > after);
        changed.map(|(site, (mark, _))| (site, mark))
    }

    fn note(&mut self, site: &SiteId, mark: Mark) -> bool {
        if self.of(site) == Some(mark) {
            return false;
        }
        self.changes += 1;
        self.journals.insert(site.clone(), (mark, self.changes));
        true
    }
}

/// What is kept of one site's journal.
pub struct Copy {
    site: SiteId,
    directory: Option<Arc<DataDir>>,
    terms: BTreeMap<u32, Box<dyn Journal>>,
    end: Folded,
}

/// What was taken of groups that were brought.
pub struct Taken {
    /// What the site is to fold, in order; the last one may be none that it can.
    pub groups: Vec<Result<ForeignGroup, GroupError>>,
    /// Why the rest was not taken.
    pub left: Option<Left>,
}

/// Why groups were not taken, and nothing is wrong with the journal.
pub enum Left {
    /// Groups before them are missing: it is kept up to here.
    Gap(Folded),
    /// It could not be kept.
    NotKept(CopyError),
}

impl Copies {
    /// `nonce` was drawn for this run.
    pub(crate) fn new(directory: Option<Arc<DataDir>>, nonce: u64) -> Self {
        // Room to count on from there.
        let kept = watch::Sender::new(Kept::starting(nonce >> 8));
        Self { directory, by_site: Mutex::default(), kept }
    }

    /// How far each journal is kept.
    pub(crate) fn kept(&self) -> watch::Receiver<Kept> {
        self.kept.subscribe()
    }

    /// A journal is kept so far by now. Told while its copy is locked, so that nothing is told too late.
    pub(crate) fn note(&self, site: &SiteId, mark: Mark) {
        self.kept.send_if_modified(|kept| kept.note(site, mark));
    }

    /// Keeps a site's journal from now on, and after every start.
    pub(crate) fn add(&self, site: &SiteId) -> Result<(), CopyError> {
        if let Some(directory) = &self.directory {
            directory.add_peer(site.as_str())?;
        }
        self.open(site).map(drop)
    }

    /// What is kept of a site's journal; the beginning of it, if it is nothing.
    pub(crate) fn open(&self, site: &SiteId) -> Result<Arc<Mutex<Copy>>, CopyError> {
        let mut by_site = lock(&self.by_site);
        if let Some(copy) = by_site.get(site) {
            return Ok(copy.clone());
        }
        let mut copy = Copy::new(site, self.directory.clone());
        let terms = copy.directory.as_ref().map_or(Ok(Vec::new()), |directory| directory.peer_terms(site.as_str()))?;
        for term in terms {
            copy.open(term)?;
            copy.find_end(term)?;
        }
        self.note(site, copy.end.mark());
        Ok(by_site.entry(site.clone()).or_insert(Arc::new(Mutex::new(copy))).clone())
    }

    /// Marks the ends of all copies as clean ones. Nothing can be kept after.
    pub(crate) fn close(&self) {
        for (site, copy) in lock(&self.by_site).iter() {
            if let Err(error) = lock(copy).close() {
                tracing::warn!(site = site.as_str(), "What is kept of another site was not closed: {error}");
            }
        }
    }

    /// What is kept of a site's journal, if anything was opened of it.
    pub(crate) fn of(&self, site: &SiteId) -> Option<Arc<Mutex<Copy>>> {
        lock(&self.by_site).get(site).cloned()
    }
}

impl Copy {
    fn new(site: &SiteId, directory: Option<Arc<DataDir>>) -> Self {
        Self { site: site.clone(), directory, terms: BTreeMap::new(), end: Folded::start() }
    }

    /// What `journal` holds of a term of a site.
    pub fn over(site: &SiteId, term: u32, journal: Box<dyn Journal>) -> Result<Self, CopyError> {
        let mut copy = Self::new(site, None);
        copy.terms.insert(term, journal);
        copy.find_end(term)?;
        Ok(copy)
    }

    /// Keeps groups that were brought, in order, as far as each follows from the one before it. What is
    /// to be folded is durable when this returns.
    pub fn take(&mut self, groups: &[Bytes]) -> Taken {
        let mut taken = Taken { groups: Vec::with_capacity(groups.len()), left: None };
        for bytes in groups {
            let group = ForeignGroup::read(bytes);
            let next = group.as_ref().map(|group| follows(&self.end, &self.site, group).map(|()| group));
            match next {
                Ok(Ok(next)) => {
                    let (folded, cut) = (next.folded(), group::shared(bytes).unwrap_or(bytes));
                    if let Err(error) = self.open(folded.term).and_then(|it| Ok(it.append(folded.seq, cut)?)) {
                        taken.left = Some(Left::NotKept(error));
                        break;
                    }
                    self.end = folded;
                }
                Ok(Err(NotFolded::Older)) => {}
                Ok(Err(NotFolded::Gap)) => {
                    taken.left = Some(Left::Gap(self.end.clone()));
                    break;
                }
                // Whatever is wrong with the group, the step finds it as well, and stops there.
                Ok(Err(_)) | Err(_) => {
                    taken.groups.push(group);
                    break;
                }
            }
            taken.groups.push(group);
        }
        taken
    }

    /// How far the journal is kept.
    pub fn end(&self) -> &Folded {
        &self.end
    }

    /// Marks the ends of all terms as clean ones. Nothing can be kept after.
    pub fn close(&mut self) -> std::io::Result<()> {
        self.terms.values_mut().try_for_each(|journal| journal.close())
    }

    /// Readers of what is kept.
    pub fn readers(&self) -> Terms {
        self.terms.iter().map(|(term, journal)| (*term, journal.reader())).collect()
    }

    fn find_end(&mut self, term: u32) -> Result<(), CopyError> {
        let journal = self.open(term)?;
        let end = journal.end();
        if let Some((_, last)) = journal.reader().read(end.saturating_sub(1), 1, 1)?.first() {
            self.end = ForeignGroup::read(last)?.folded();
        }
        Ok(())
    }

    /// The journal of a term; an empty one, if nothing is kept of it yet.
    fn open(&mut self, term: u32) -> Result<&mut Box<dyn Journal>, CopyError> {
        use std::collections::btree_map::Entry;
        let place = match self.terms.entry(term) {
            Entry::Occupied(open) => return Ok(open.into_mut()),
            Entry::Vacant(place) => place,
        };
        let Some(directory) = &self.directory else { return Ok(place.insert(Box::new(MemoryJournal::new()))) };
        let name = self.site.as_str();
        let (dir, archive) = (directory.peer_journal_path(name, term), directory.peer_archive_path(name, term));
        let options = LocalOptions { segment_bytes: COPY_SEGMENT_BYTES, ring_bytes: 0, ..LocalOptions::default() };
        let (journal, report) = LocalJournal::open(&dir, &archive, &label(&self.site, term), options)
            .map_err(|source| CopyError::Open { site: self.site.clone(), source })?;
        tracing::info!(site = name, ?report, "What is kept of another site's journal is open");
        Ok(place.insert(Box::new(journal)))
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds a copy")
}
