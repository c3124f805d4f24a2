//! Products by number: the list is cut by how many stand before a page, so that number must be found
//! without walking there from the beginning each time.

use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use kontor_core::id::{Position, Sku};
use kontor_core::product::Status;
use kontor_core::view::ViewError;
use kontor_site::clock::Stopwatch;
use kontor_site::reader::Reader;
use serde::Serialize;

use super::{Shown, answer, show};
use crate::app::App;
use crate::compat::parameter;
use crate::extract::Caller;
use crate::limits::{COMPAT_MARKS_KEPT, COMPAT_MARKS_REST};
use crate::problem::Problem;

const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;

#[derive(Debug, Serialize)]
struct Page {
    products: Vec<Shown>,
    pagination: Pagination,
}

#[derive(Debug, Serialize)]
struct Pagination {
    offset: usize,
    limit: usize,
    total_count: usize,
    has_more: bool,
}

pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    caller.admin()?;
    // What is no number of rows means the default, as the service has it.
    let number = |name| parameter(&uri, name).and_then(|value| value.parse::<usize>().ok());
    let offset = number("offset").unwrap_or(0);
    let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(LIMIT).min(LIMIT_MAX);
    let here = app.site.id().clone();
    let of = app.clone();
    let page = app
        .read(move |reader| {
            let (total_count, skus) = of.compat.inventory.pages.cut(reader, offset, limit)?;
            let mut products = Vec::with_capacity(skus.len());
            for sku in &skus {
                if let Some(item) = reader.item(sku)? {
                    products.extend(show(reader, &here, sku, item)?.map(|found| found.shown));
                }
            }
            let has_more = offset.saturating_add(limit) < total_count;
            Ok(Page { products, pagination: Pagination { offset, limit, total_count, has_more } })
        })
        .await?;
    answer(StatusCode::OK, &page)
}

/// Where pages begin.
#[derive(Default)]
pub(in crate::compat) struct Pages {
    /// std mutex: nothing awaits while it is held, and those who wait for it would count the same.
    marks: Mutex<Option<Marks>>,
}

/// How many SKUs are for sale, and every so many of them.
struct Marks {
    at: Position,
    total: usize,
    every: Vec<Sku>,
    age: Stopwatch,
    took_s: f64,
}

const ROWS_PER_READ: usize = 1_000;
const ROWS_PER_MARK: usize = 200;

impl Pages {
    /// How many there are.
    pub(super) fn total(&self, reader: &Reader) -> Result<usize, ViewError> {
        self.cut(reader, 0, 0).map(|(total, _)| total)
    }

    /// How many there are, and those of one page.
    fn cut(&self, reader: &Reader, offset: usize, limit: usize) -> Result<(usize, Vec<Sku>), ViewError> {
        let (total, from) = {
            let mut kept = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            let at = reader.position()?;
            let marks = match kept.take() {
                Some(marks) if marks.at == at || marks.is_worth_keeping() => marks,
                _ => Marks::of(reader, at)?,
            };
            let marks = kept.insert(marks);
            (marks.total, marks.every.get(offset / ROWS_PER_MARK).cloned())
        };
        let Some(from) = from else { return Ok((total, Vec::new())) };
        // The mark itself is the first of its rows.
        let mut found = vec![from.clone()];
        let wanted = offset % ROWS_PER_MARK + limit;
        let mut after = Some(from);
        while let (Some(place), true) = (after.take(), found.len() < wanted) {
            let rows = reader.items(Some(&place), ROWS_PER_READ)?;
            after = rows.last().filter(|_| rows.len() == ROWS_PER_READ).map(|(sku, _)| sku.clone());
            found.extend(rows.into_iter().filter(|(_, item)| item.status == Status::Active).map(|(sku, _)| sku));
        }
        Ok((total, found.into_iter().skip(offset % ROWS_PER_MARK).take(limit).collect()))
    }
}

impl Marks {
    fn of(reader: &Reader, at: Position) -> Result<Self, ViewError> {
        let watch = Stopwatch::start();
        let (mut total, mut every, mut after) = (0, Vec::new(), None);
        loop {
            let rows = reader.items(after.as_ref(), ROWS_PER_READ)?;
            for (sku, _) in rows.iter().filter(|(_, item)| item.status == Status::Active) {
                if total % ROWS_PER_MARK == 0 {
                    every.push(sku.clone());
                }
                total += 1;
            }
            if rows.len() < ROWS_PER_READ {
                let took_s = watch.seconds();
                return Ok(Self { at, total, every, age: Stopwatch::start(), took_s });
            }
            after = rows.last().map(|(sku, _)| sku.clone());
        }
    }

    /// Whether counting anew would cost more than being a little late: a great catalogue is counted now and
    /// then, a small one whenever something has changed.
    fn is_worth_keeping(&self) -> bool {
        self.took_s > COMPAT_MARKS_KEPT && self.age.seconds() < self.took_s * COMPAT_MARKS_REST
    }
}
