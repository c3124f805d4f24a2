//! Rows of one range from several places, as one.

use std::cmp::Ordering;

use bytes::Bytes;

use super::TablesError;

/// A row; `None` is a deleted one, which hides the row of its key in older places.
pub(super) type MergedRow = (Bytes, Option<Bytes>);

/// Rows of one place in key order, from either end.
pub(super) type Place = Box<dyn DoubleEndedIterator<Item = Result<MergedRow, TablesError>> + Send>;

/// Rows in key order, from either end. Where several places have a key, the first of them counts.
pub(super) struct Merged {
    places: Vec<Peeked>,
}

/// A place with up to one row taken off at each end.
struct Peeked {
    rows: Place,
    front: Option<MergedRow>,
    back: Option<MergedRow>,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Front,
    Back,
}

impl Merged {
    /// Of these places, the newest first.
    pub(super) fn new(places: Vec<Place>) -> Self {
        let places = places.into_iter().map(|rows| Peeked { rows, front: None, back: None });
        Self { places: places.collect() }
    }

    fn step(&mut self, end: End) -> Result<Option<(Bytes, Bytes)>, TablesError> {
        loop {
            let mut next: Option<usize> = None;
            for at in 0..self.places.len() {
                self.places[at].fill(end)?;
                let Some((key, _)) = self.places[at].end(end) else { continue };
                let before = next.and_then(|next| self.places[next].end(end).as_ref());
                let comes_first = before.is_none_or(|(before, _)| match end {
                    End::Front => key.cmp(before) == Ordering::Less,
                    End::Back => key.cmp(before) == Ordering::Greater,
                });
                if comes_first {
                    next = Some(at);
                }
            }
            let Some((key, value)) = next.and_then(|next| self.places[next].end_mut(end).take()) else {
                return Ok(None);
            };
            for older in &mut self.places {
                older.end_mut(end).take_if(|(hidden, _)| *hidden == key);
            }
            if let Some(value) = value {
                return Ok(Some((key, value)));
            }
        }
    }
}

impl Peeked {
    /// Takes the next row off an end, unless there is one. The last of all may be at the other end.
    fn fill(&mut self, end: End) -> Result<(), TablesError> {
        if self.end(end).is_some() {
            return Ok(());
        }
        let (next, other) = match end {
            End::Front => (self.rows.next(), &mut self.back),
            End::Back => (self.rows.next_back(), &mut self.front),
        };
        let next = next.transpose()?.or_else(|| other.take());
        *self.end_mut(end) = next;
        Ok(())
    }

    fn end(&self, end: End) -> &Option<MergedRow> {
        match end {
            End::Front => &self.front,
            End::Back => &self.back,
        }
    }

    fn end_mut(&mut self, end: End) -> &mut Option<MergedRow> {
        match end {
            End::Front => &mut self.front,
            End::Back => &mut self.back,
        }
    }
}

impl Iterator for Merged {
    type Item = Result<(Bytes, Bytes), TablesError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front).transpose()
    }
}

impl DoubleEndedIterator for Merged {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back).transpose()
    }
}
