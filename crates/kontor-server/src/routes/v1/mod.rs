//! `/api/v1`, and how its answers are written.

pub(crate) mod bulk;
pub(crate) mod carts;
pub(crate) mod changes;
pub(crate) mod customers;
pub(crate) mod export;
pub(crate) mod jobs;
pub(crate) mod listings;
pub(crate) mod locations;
pub(crate) mod movements;
pub(crate) mod orders;
pub(crate) mod payment_provider;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod reservations;
pub(crate) mod revisions;
pub(crate) mod search;
pub(crate) mod security;
pub(crate) mod sites;
pub(crate) mod stock;
pub(crate) mod transfers;
mod write;

use write::{Told, Written, expect_event, read_and_tell, submit, would_do, write, write_and_read};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use kontor_api::Code;
use kontor_api::page::{PAGE_SIZE, PAGE_SIZE_MAX, Page};
use kontor_site::bodies;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::cursor::List;
use crate::problem::Problem;

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    pub(crate) page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    pub(crate) page_token: Option<String>,
}

impl Paging {
    /// Rows of the page.
    pub(crate) fn size(&self) -> Result<usize, Problem> {
        page_size(self.page_size)
    }
}

pub(crate) fn page_size(given: Option<u32>) -> Result<usize, Problem> {
    match given {
        None => Ok(PAGE_SIZE),
        Some(0) => Err(Problem::invalid("page_size", "a page has at least one row")),
        Some(size) => Ok(usize::try_from(size).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX)),
    }
}

/// What an answer has, so that nothing grows while it is written.
const USUAL_BODY_BYTES: usize = 512;
const USUAL_HEADERS: usize = 10;

/// Any answer that is JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(written(body)?));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(USUAL_HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Puts a header with a value of our own making.
pub(crate) fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A refused edit: shows what is there now to a caller whose revision is not the newest.
pub(crate) fn refused_edit<T: Serialize>(
    problem: Problem,
    expected: Option<u64>,
    current: impl FnOnce() -> Result<Option<T>, Problem>,
) -> Problem {
    if problem.code() != Code::PreconditionFailed {
        return problem;
    }
    let problem = match expected {
        // No revision has this number: the tag was weak, or is none of ours.
        Some(0) => Problem::new(Code::PreconditionFailed, "If-Match names no revision that there ever was"),
        _ => problem,
    };
    match current().ok().flatten().and_then(|current| serde_json::to_value(current).ok()) {
        Some(current) => problem.with("current", current),
        None => problem,
    }
}

/// One page: of `rows`, of which there is one more than `size` if there is a next page.
pub(crate) fn page<T, W: Serialize>(
    list: &List<'_>,
    size: usize,
    query: &[(&str, Option<&str>)],
    mut rows: Vec<T>,
    place: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Result<Option<W>, Problem>,
) -> Result<Response, Problem> {
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(&place);
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.extend(show(row)?);
    }
    listed(list, size, query, items, next)
}

/// One page, with the place at which the next one begins, if there is one.
pub(crate) fn listed<W: Serialize>(
    list: &List<'_>,
    size: usize,
    query: &[(&str, Option<&str>)],
    items: Vec<W>,
    next: Option<String>,
) -> Result<Response, Problem> {
    let next_page_token = next.map(|place| list.token(&place));
    let link = next_page_token.as_ref().map(|token| {
        let mut link = format!("<{}?page_size={size}&page_token={token}", list.path);
        for (name, value) in query {
            if let Some(value) = value {
                link.push_str(&format!("&{name}="));
                kontor_api::path::encode(value, &mut link);
            }
        }
        link + ">; rel=\"next\""
    });
    let mut response = json(StatusCode::OK, &Page { items, next_page_token })?;
    if let Some(link) = link {
        put(&mut response, header::LINK, &link);
    }
    Ok(response)
}

/// A body that is kept in memory, with the tag of its revision, or else of its bytes.
pub(crate) fn kept(body: &impl Serialize, revision: Option<u64>) -> Result<bodies::Body, Problem> {
    // As long as it is, and no longer: many are kept.
    let bytes = Bytes::copy_from_slice(&written(body)?);
    Ok(match revision {
        Some(revision) => bodies::Body { bytes, etag: format!("\"{revision}\"").into(), is_for_all: true },
        None => kept_bytes(bytes),
    })
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(USUAL_BODY_BYTES);
    serde_json::to_writer(&mut bytes, body).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(bytes)
}

/// Bytes with a tag of them.
pub(crate) fn kept_bytes(bytes: Bytes) -> bodies::Body {
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let first = u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default());
    bodies::Body { bytes, etag: format!("\"{first:016x}\"").into(), is_for_all: true }
}
