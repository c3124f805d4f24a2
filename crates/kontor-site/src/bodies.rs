//! Rendered answers to popular reads, bounded, and never stale: the writer takes a body away in the
//! same step in which the rows behind it change, before it answers.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use kontor_core::overlay::Changes;
use kontor_core::record::{KeyParts, Table};
use quick_cache::sync::{Cache, GuardResult};
use quick_cache::{Equivalent, Weighter};

use crate::limits::{BODIES_NOTED, BODY_CACHE_BYTES};

/// What a body is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// One product, by id.
    Product,
    /// The levels of one SKU.
    Stock,
}

/// A rendered answer.
#[derive(Debug, Clone)]
pub struct Body {
    /// The bytes to send.
    pub bytes: Bytes,
    /// The strong entity tag of them, with its quotes.
    pub etag: Bytes,
    /// Whether callers without a key may have them as they are.
    pub is_for_all: bool,
}

/// All rendered answers that are kept.
pub struct Bodies {
    cache: Cache<BodyKey, Body, BodyWeight>,
    asked: AskedBefore,
}

impl Bodies {
    pub(crate) fn new() -> Self {
        let typical_body = 512;
        let items = usize::try_from(BODY_CACHE_BYTES / typical_body).unwrap_or(usize::MAX);
        Self { cache: Cache::with_weighter(items, BODY_CACHE_BYTES, BodyWeight), asked: AskedBefore::new() }
    }

    /// The body about something, rendered now if it is not kept. It is kept when it is asked for again: what is
    /// read once would only take the place of what is popular, and to keep it costs half of what it
    /// costs to render.
    ///
    /// A body that was rendered from rows which changed meanwhile is given to this caller, who asked
    /// before the change was answered, but is not kept.
    pub fn get_or_render<E>(
        &self,
        about: About,
        id: &str,
        render: impl FnOnce() -> Result<Option<Body>, E>,
    ) -> Result<Option<Body>, E> {
        if let Some(body) = self.cache.get(&(about, id)) {
            return Ok(Some(body));
        }
        if !self.asked.note(about, id) {
            return render();
        }
        match self.cache.get_value_or_guard(&BodyKey(about, id.into()), Some(std::time::Duration::ZERO)) {
            GuardResult::Value(body) => Ok(Some(body)),
            GuardResult::Guard(place) => {
                let body = render()?;
                if let Some(body) = &body {
                    // The place is gone if the writer took it away; then the body is not kept.
                    let _ = place.insert(body.clone());
                }
                Ok(body)
            }
            GuardResult::Timeout => render(),
        }
    }

    /// Takes away what these changes make untrue.
    pub(crate) fn forget(&self, changes: &Changes) {
        for (table, about) in
            [(Table::CATALOG, About::Product), (Table::ITEMS, About::Stock), (Table::STOCK, About::Stock)]
        {
            for (key, _) in changes.of(table) {
                if let Some(id) = KeyParts(key).text() {
                    self.cache.remove(&(about, id));
                }
            }
        }
    }
}

/// What was asked for lately, roughly: a mark for each, which later ones may overwrite. The doorkeeper of
/// Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", 2017.
struct AskedBefore(Box<[AtomicU16]>);

impl AskedBefore {
    fn new() -> Self {
        Self(std::iter::repeat_with(AtomicU16::default).take(BODIES_NOTED).collect())
    }

    /// Notes it; whether it was noted before.
    fn note(&self, about: About, id: &str) -> bool {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((about, id));
        let place = usize::try_from(hash % BODIES_NOTED as u64).unwrap_or_default();
        let mark = u16::try_from(hash >> 48).unwrap_or_default();
        self.0[place].swap(mark, Ordering::Relaxed) == mark
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct BodyKey(About, Box<str>);

impl std::hash::Hash for BodyKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.0, self.1.as_ref()).hash(state);
    }
}

impl Equivalent<BodyKey> for (About, &str) {
    fn equivalent(&self, key: &BodyKey) -> bool {
        self.0 == key.0 && self.1 == key.1.as_ref()
    }
}

#[derive(Clone)]
struct BodyWeight;

impl Weighter<BodyKey, Body> for BodyWeight {
    fn weight(&self, key: &BodyKey, body: &Body) -> u64 {
        // With what the map and the reference counts cost.
        (key.1.len() + body.bytes.len() + body.etag.len() + 160) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn a_body_is_kept_when_it_is_asked_for_again() {
        let (bodies, rendered) = (Bodies::new(), Cell::new(0));
        let read = |about, id| {
            let body = bodies.get_or_render(about, id, || {
                rendered.set(rendered.get() + 1);
                Ok::<_, Infallible>(Some(Body { bytes: "{}".into(), etag: "\"1\"".into(), is_for_all: true }))
            });
            assert!(body.is_ok_and(|body| body.is_some()));
            rendered.get()
        };
        assert_eq!([1, 2, 3, 4].map(|_| read(About::Product, "desk")), [1, 2, 2, 2]);
        assert_eq!(read(About::Stock, "desk"), 3, "it is about something else");
        assert_eq!(read(About::Product, "lamp"), 4);
        assert_eq!(read(About::Product, "desk"), 4);
    }
}
