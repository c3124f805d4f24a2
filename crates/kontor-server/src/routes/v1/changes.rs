//! `/changes`: the journal as a feed, by long poll or as a stream of events, over one cursor.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::channel::{Channel, Sender};
use kontor_api::Code;
use kontor_api::changes::{CHANGES_LIMIT, CHANGES_LIMIT_MAX, WAIT_S_MAX};
use kontor_core::id::Position;
use kontor_site::feed::Feed;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, timeout};
use utoipa::IntoParams;

use super::json;
use crate::app::App;
use crate::extract::{Caller, Params};
use crate::feed::{self, Entry, Everybody, Shown};
use crate::limits::{HEARTBEAT, STREAM_BATCH};
use crate::problem::Problem;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangeParams {
    /// Only what follows this position. `0-0-0` is before everything and `end` after everything that
    /// is there now; `0-0-0` if not given.
    #[param(example = "0-0-0")]
    after: Option<String>,
    /// Entries of one answer, 100 if not given; greater numbers than 1000 mean 1000.
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// How many seconds to wait for something new if there is nothing, 0 if not given.
    #[param(maximum = 30)]
    wait_s: Option<u64>,
}

/// Read changes
///
/// Everything that happened after a position, oldest first. Without a key the feed is reduced: no
/// actors, and of everything that happens to stock only that it changed, as `stock_changed` with the
/// SKUs and locations to read anew.
///
/// With `Accept: text/event-stream` it does not end: each entry is an event with its position as `id`,
/// and `Last-Event-ID` goes on from there.
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "changes", operation_id = "read_changes", security((), ("api_key" = []), ("bearer" = [])),
    params(ChangeParams, ("Last-Event-ID" = Option<String>, Header, description = "The position of the last event that was seen; before `after`")),
    responses((status = 200, description = "What happened", content(
        (Shown = "application/json"), (String = "text/event-stream")))),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<ChangeParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ChangeParams { after, limit, wait_s } = params;
    let limit = match limit {
        Some(0) => return Err(Problem::invalid("limit", "at least one entry is asked for")),
        limit => limit.map_or(CHANGES_LIMIT, |limit| usize::try_from(limit).unwrap_or(CHANGES_LIMIT_MAX)),
    };
    let wait_s = wait_s.unwrap_or(0);
    if wait_s > WAIT_S_MAX {
        return Err(Problem::invalid("wait_s", format!("at most {WAIT_S_MAX} seconds are waited, not {wait_s}")));
    }
    let mut feed = app.site.feed();
    let seen = headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default());
    let (place, pointer) = match (seen, &after) {
        (Some(seen), _) => (Some(seen), "Last-Event-ID"),
        (None, after) => (after.as_deref(), "after"),
    };
    let after = match place {
        None => Position::START,
        // The end names a group; all of its entries have been.
        Some("end") => Position { index: u32::MAX, ..feed.end() },
        Some(text) => Position::parse(text)
            .ok_or_else(|| Problem::invalid(pointer, "a position is written as in 1-7-0, or is the word end"))?,
    };
    let public = caller.is_public();
    match answer_as(&headers)? {
        As::Stream => stream(&app, feed, after, public).await,
        As::Json => {
            let mut batch = batch(&app, &feed, after, limit.min(CHANGES_LIMIT_MAX), public).await?;
            if batch.items.is_empty() && wait_s > 0 {
                let _slot = slot(&app, public)?;
                batch = wait(&app, &mut feed, batch, limit.min(CHANGES_LIMIT_MAX), wait_s, public).await?;
            }
            json(StatusCode::OK, &Shown { items: batch.items, next: batch.next.to_string() })
        }
    }
}

pub(crate) enum As {
    Json,
    Stream,
}

/// The first media type of `Accept` that can be given decides; none at all means JSON.
pub(crate) fn answer_as(headers: &HeaderMap) -> Result<As, Problem> {
    let Some(accept) = headers.get(header::ACCEPT) else { return Ok(As::Json) };
    let accept = accept.to_str().unwrap_or("*/*");
    let essences = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    for essence in essences {
        match essence {
            "text/event-stream" => return Ok(As::Stream),
            "application/json" | "application/*" | "*/*" | "" => return Ok(As::Json),
            _ => {}
        }
    }
    Err(Problem::new(Code::NotAcceptable, "this is given as application/json or text/event-stream"))
}

/// A place for a stream or a waiting poll, until it is dropped.
pub(crate) struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_public: Option<OwnedSemaphorePermit>,
}

/// Takes a place. Callers without a key may take half of them.
pub(crate) fn slot(app: &App, public: bool) -> Result<Slot, Problem> {
    let max = app.limits.streams;
    let full = |detail: String| Problem::new(Code::TooManyStreams, detail);
    let of_public = match public {
        true => Some(app.public_streams.clone().try_acquire_owned().map_err(|_| {
            let max = max / 2;
            full(format!("{max} streams and waiting polls are open without a key, which is all there may be"))
        })?),
        false => None,
    };
    let of_all = app
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| full(format!("{max} streams and waiting polls are open, which is all there may be")))?;
    Ok(Slot { _of_all: of_all, _of_public: of_public })
}

/// Entries as they are shown, and where to go on; entries that are not shown are passed over.
struct Batch {
    items: Vec<Entry>,
    next: Position,
}

/// Reads the journal, which may wait for the disk, on a thread that may.
async fn batch(app: &App, feed: &Feed, after: Position, limit: usize, public: bool) -> Result<Batch, Problem> {
    let (app, feed) = (app.clone(), feed.clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut batch = Batch { items: Vec::new(), next: after };
        while batch.items.is_empty() {
            let end = feed.end();
            let found = feed.read(batch.next, limit)?;
            let Some(last) = found.last() else {
                // All that is there has been read, though the journal may have begun a new term.
                if (end.term, end.seq) > (batch.next.term, batch.next.seq) {
                    batch.next = Position { index: u32::MAX, ..end };
                }
                break;
            };
            batch.next = last.position;
            if public {
                let everybody = Everybody::now(&app);
                for item in &found {
                    batch.items.extend(everybody.entry(item)?);
                }
            } else {
                batch.items = found.iter().map(feed::whole).collect::<Result<_, _>>()?;
            }
        }
        Ok(batch)
    });
    read.await.map_err(|_| Problem::internal("reading the journal panicked"))?
}

/// Waits for something to show, or for the time to pass, or for the end of the server.
async fn wait(
    app: &App,
    feed: &mut Feed,
    empty: Batch,
    limit: usize,
    wait_s: u64,
    public: bool,
) -> Result<Batch, Problem> {
    let mut draining = app.draining.subscribe();
    let mut next = empty.next;
    let something = async {
        while feed.wait(next).await {
            let found = batch(app, feed, next, limit, public).await?;
            if !found.items.is_empty() {
                return Ok(found);
            }
            next = found.next;
        }
        Ok(Batch { items: Vec::new(), next })
    };
    tokio::select! {
        found = timeout(Duration::from_secs(wait_s), something) => found.unwrap_or(Ok(empty)),
        _ = draining.wait_for(|draining| *draining) => Ok(Batch { items: Vec::new(), next: empty.next }),
    }
}

/// A stream of server-sent events, until its receiver leaves or the server ends.
async fn stream(app: &App, feed: Feed, after: Position, public: bool) -> Result<Response, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
    }
    let slot = slot(app, public)?;
    // A bad cursor is said now, and not in the middle of a stream.
    let first = batch(app, &feed, after, STREAM_BATCH, public).await?;
    let (sender, body) = Channel::<Bytes, axum::Error>::new(1);
    let mut draining = app.draining.subscribe();
    let gauge = app.metrics.streams.clone();
    let telling = app.clone();
    tokio::spawn(async move {
        gauge.increment(1);
        tokio::select! {
            told = tell(telling, feed, sender, first, public) => {
                if let Err(problem) = told {
                    tracing::error!("A stream of changes ended: {}", problem.detail());
                }
            }
            _ = draining.wait_for(|draining| *draining) => {}
        }
        gauge.decrement(1);
        drop(slot);
    });
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Sends batch after batch. The next is read when the one before is on its way, so that a slow
/// receiver makes its own stream late and costs the texts of a few batches.
async fn tell(
    app: App,
    mut feed: Feed,
    mut sender: Sender<Bytes, axum::Error>,
    first: Batch,
    public: bool,
) -> Result<(), Problem> {
    // Says how soon to come again, and that the stream is open.
    let mut text = Bytes::from_static(b"retry: 2000\n\n");
    let mut found = first;
    loop {
        if sender.send_data(text).await.is_err() {
            return Ok(());
        }
        if found.items.is_empty() {
            found = batch(&app, &feed, found.next, STREAM_BATCH, public).await?;
        }
        while found.items.is_empty() {
            match timeout(HEARTBEAT, feed.wait(found.next)).await {
                Ok(true) => found = batch(&app, &feed, found.next, STREAM_BATCH, public).await?,
                Ok(false) => return Ok(()),
                Err(_) => break,
            }
        }
        text = match std::mem::take(&mut found.items) {
            nothing if nothing.is_empty() => Bytes::from_static(b": still here\n\n"),
            items => events(&items)?,
        };
    }
}

fn events(items: &[Entry]) -> Result<Bytes, Problem> {
    let mut text = String::new();
    for item in items {
        let json = serde_json::to_string(item).map_err(|error| Problem::internal(error.to_string()))?;
        text.push_str(&format!("id: {}\nevent: change\ndata: {json}\n\n", item.position));
    }
    Ok(Bytes::from(text))
}
