//! The change feed: the site's journal, read from a position.

use bytes::Bytes;
use kontor_core::event::Entry;
use kontor_core::group::{self, GroupBody, GroupError};
use kontor_core::id::{Position, SiteId};
use kontor_core::session::{Mark, Past};
use kontor_core::time::SiteTime;
use kontor_storage::journal::ReadError;
use tokio::sync::watch;

use crate::limits::{FEED_BYTES_MAX, FEED_ENTRIES_MAX};
use crate::recover::Terms;

/// One entry of the feed.
#[derive(Debug, Clone)]
pub struct FeedItem {
    /// Its place; the cursor of what follows.
    pub position: Position,
    /// Whose journal.
    pub site: SiteId,
    /// When it was recorded.
    pub recorded_at: SiteTime,
    /// What happened.
    pub entry: Entry,
}

/// Why the feed gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The cursor is not a place of this journal.
    #[error("position {0} is not in the journal of this site, which ends at {1}")]
    BeyondEnd(Position, Position),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// A group that this program cannot read.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// A reader of the feed. Clones share nothing that waits.
#[derive(Clone)]
pub struct Feed {
    pub(crate) terms: std::sync::Arc<Terms>,
    pub(crate) end: watch::Receiver<Position>,
}

impl Feed {
    /// The place of the newest group whose rows can be read.
    pub fn end(&self) -> Position {
        *self.end.borrow()
    }

    /// Entries after a position, oldest first, at most `limit`. Blocks on the disk for old ones.
    pub fn read(&self, after: Position, limit: usize) -> Result<Vec<FeedItem>, FeedError> {
        let (end, limit) = (self.end(), limit.min(FEED_ENTRIES_MAX));
        if !self.holds(after) {
            return Err(FeedError::BeyondEnd(after, end));
        }
        let (mut items, mut read) = (Vec::new(), 0);
        for (term, journal) in self.terms.iter().filter(|(term, _)| *term >= after.term.max(1)) {
            let mut seq = if *term == after.term { after.seq.saturating_sub(1) } else { 0 };
            let last = if *term == end.term { end.seq } else { journal.end() };
            while seq < last && items.len() < limit && read < FEED_BYTES_MAX {
                let groups = journal.read(seq, 64, FEED_BYTES_MAX)?;
                let Some((newest, _)) = groups.last() else { break };
                seq = *newest;
                for (at, bytes) in groups.iter().filter(|(at, _)| *at <= last) {
                    if read >= FEED_BYTES_MAX || items.len() >= limit {
                        break;
                    }
                    let group = group::decode(bytes)?;
                    for (index, mut entry) in (0..).zip(group.entries) {
                        let position = Position { term: *term, seq: *at, index };
                        if position > after && items.len() < limit && read < FEED_BYTES_MAX {
                            read += GroupBody::default().push(&mut entry);
                            let (site, recorded_at) = (group.header.site.clone(), group.header.time);
                            items.push(FeedItem { position, site, recorded_at, entry });
                        }
                    }
                }
            }
        }
        Ok(items)
    }

    /// Groups after the group `seq` of a term, oldest first, as they are cut for other sites; those of later
    /// terms follow. Blocks on the disk for old ones. As many bytes as [`FEED_BYTES_MAX`], or one group.
    pub fn groups(&self, term: u32, seq: u64) -> Result<Vec<Bytes>, FeedError> {
        let (after, end) = (Position { term, seq, index: 0 }, self.end());
        if !self.holds(after) {
            return Err(FeedError::BeyondEnd(after, end));
        }
        let mut groups = Vec::new();
        for (of, journal) in self.terms.iter().filter(|(of, _)| *of >= term) {
            let from = if *of == term { seq } else { 0 };
            // No group that rows do not show yet: what is told of it elsewhere could be asked for here.
            let last = if *of == end.term { end.seq } else { journal.end() };
            for (at, bytes) in journal.read(from, 256, FEED_BYTES_MAX)? {
                if at <= last {
                    let cut = group::shared(&bytes)?.len();
                    groups.push(bytes.slice(..cut));
                }
            }
            if !groups.is_empty() {
                break;
            }
        }
        Ok(groups)
    }

    /// Compares what somebody says to hold of this journal with what is here. Blocks on the disk.
    pub fn compare(&self, said: &Mark) -> Result<Past, FeedError> {
        if said.term == 0 || said.seq == 0 {
            return Ok(Past::Same);
        }
        let journal = self.terms.iter().find(|(term, _)| *term == said.term);
        let Some((_, journal)) = journal.filter(|(_, journal)| said.seq <= journal.end()) else {
            return Ok(Past::Missing);
        };
        let groups = journal.read(said.seq - 1, 1, 1)?;
        let here = groups.first().map(|(_, bytes)| group::digest(bytes));
        Ok(if here == Some(said.digest) { Past::Same } else { Past::Other })
    }

    /// Whether a position is one of this journal, or before its first. A site that was restored may
    /// have lost the end of an earlier term: whoever has read it must be told.
    ///
    /// It may be beyond [`Feed::end`]: whoever reads a row in the moment in which its group is published knows of
    /// the group before it is told here.
    fn holds(&self, after: Position) -> bool {
        let journal = self.terms.iter().find(|(term, _)| *term == after.term);
        after.term == 0 || journal.is_some_and(|(_, journal)| after.seq <= journal.end())
    }

    /// Waits until there is something after a position. Returns false if the site has stopped.
    pub async fn wait(&mut self, after: Position) -> bool {
        let beyond = |end: &Position| (end.term, end.seq) > (after.term, after.seq);
        self.end.wait_for(beyond).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kontor_storage::journal::Journal;
    use kontor_storage::journal::memory::MemoryJournal;

    use super::*;

    #[test]
    fn a_position_that_a_row_told_is_known_before_its_group_is_published() {
        let mut journal = MemoryJournal::new();
        for seq in 1..=2 {
            journal.append(seq, b"a group").expect("room");
        }
        let place = |seq| Position { term: 1, seq, index: 0 };
        let (publish, end) = watch::channel(place(1));
        let feed = Feed { terms: Arc::new(vec![(1, journal.reader())]), end };
        assert!(feed.read(place(2), 10).is_ok_and(|items| items.is_empty()));
        assert!(matches!(feed.read(place(3), 10), Err(FeedError::BeyondEnd(..))));
        drop(publish);
    }
}
