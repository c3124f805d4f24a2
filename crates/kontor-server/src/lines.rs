//! Bodies of lines, one JSON value on each: read as they arrive, done in chunks, answered as they are
//! done. Neither a request nor an answer is ever held as a whole.

use std::pin::Pin;

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use http_body_util::channel::{Channel, Sender};
use kontor_api::Code;
use serde::Serialize;
use tokio::time::{Duration, timeout};

use crate::app::App;
use crate::idempotency::uncompressed;
use crate::limits::{CHUNK_BYTES, CHUNK_GATHER, CHUNK_LINES, LINE_BYTES_MAX};
use crate::problem::Problem;

/// What bodies of lines are sent and answered as.
pub(crate) const MEDIA_TYPE: &str = "application/x-ndjson";

/// The lines of a request.
pub(crate) struct Lines {
    body: Body,
    /// Bytes that the body may have.
    max: usize,
    /// How long the next bytes may take.
    patience: Duration,
    buffer: BytesMut,
    /// Bytes of the buffer in which no line ends.
    searched: usize,
    /// Whether the line that is read is too long, and only its end is looked for.
    skips: bool,
    arrived: usize,
    number: u64,
    has_ended: bool,
}

/// A line that is not blank.
pub(crate) struct Line {
    /// Its place in the body, from 1.
    pub(crate) number: u64,
    /// What stands on it; `None` if it is longer than any line that is read.
    pub(crate) text: Option<Bytes>,
}

impl Lines {
    /// The lines of a request, if they are lines by their header.
    pub(crate) fn of(app: &App, request: Request<Body>) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        uncompressed(&head.headers)?;
        let media_type = head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(MEDIA_TYPE) {
            let given = media_type.unwrap_or("nothing in particular");
            let detail = format!("send lines of JSON as {MEDIA_TYPE}, not as {given}");
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        let max = app.limits.lines_bytes;
        if http_body::Body::size_hint(&body).lower() > max as u64 {
            return Err(too_large(max));
        }
        Ok(Self::new(body, max, app.limits.body_read))
    }

    fn new(body: Body, max: usize, patience: Duration) -> Self {
        let buffer = BytesMut::new();
        Self { body, max, patience, buffer, searched: 0, skips: false, arrived: 0, number: 0, has_ended: false }
    }

    /// The next lines that belong together: as many as fit into a chunk, or fewer if the sender waits.
    /// None at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Vec<Line>, Problem> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        loop {
            while let Some(line) = self.take() {
                bytes += line.text.as_ref().map_or(0, Bytes::len);
                chunk.push(line);
                if chunk.len() == CHUNK_LINES || bytes >= CHUNK_BYTES {
                    return Ok(chunk);
                }
            }
            if self.has_ended {
                return Ok(chunk);
            }
            // A sender that waits for the answer to what it has sent gets it.
            match timeout(CHUNK_GATHER, self.read()).await {
                Ok(read) => read?,
                Err(_) if !chunk.is_empty() => return Ok(chunk),
                Err(_) => match timeout(self.patience, self.read()).await {
                    Ok(read) => read?,
                    Err(_) => return Err(Problem::new(Code::RequestTimeout, "the next line did not arrive in time")),
                },
            }
        }
    }

    /// Whether nothing is left to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.has_ended && self.buffer.is_empty()
    }

    /// Reads what has arrived. Given up in the middle, it has read nothing.
    async fn read(&mut self) -> Result<(), Problem> {
        match self.body.frame().await {
            None => self.has_ended = true,
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { return Ok(()) };
                self.arrived = self.arrived.saturating_add(data.len());
                if self.arrived > self.max {
                    return Err(too_large(self.max));
                }
                self.buffer.extend_from_slice(&data);
            }
            Some(Err(error)) => {
                return Err(Problem::new(Code::InvalidRequest, format!("the body ended early: {error}")));
            }
        }
        Ok(())
    }

    /// Takes a line from the buffer, if one is there whole. Its end may be missing from the last one.
    fn take(&mut self) -> Option<Line> {
        loop {
            let end = self.buffer.get(self.searched..)?.iter().position(|byte| *byte == b'\n');
            let text = match end {
                Some(end) => {
                    let text = self.buffer.split_to(self.searched + end);
                    self.buffer.advance(1);
                    text
                }
                None if self.has_ended && (self.skips || !self.buffer.is_empty()) => self.buffer.split(),
                None => {
                    self.searched = self.buffer.len();
                    if self.searched > LINE_BYTES_MAX {
                        self.skips = true;
                        self.buffer.clear();
                        self.searched = 0;
                    }
                    return None;
                }
            };
            self.searched = 0;
            self.number += 1;
            let is_too_long = std::mem::take(&mut self.skips) || text.len() > LINE_BYTES_MAX;
            if is_too_long {
                return Some(Line { number: self.number, text: None });
            }
            if !text.iter().all(u8::is_ascii_whitespace) {
                return Some(Line { number: self.number, text: Some(text.freeze()) });
            }
        }
    }
}

fn too_large(max: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("lines have at most {max} bytes together")).with("max", max as u64)
}

/// Does chunks of lines, and answers each.
pub(crate) trait Worker: Send + 'static {
    /// Does one chunk; the answer is lines, too.
    fn work(&mut self, chunk: Vec<Line>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send + '_>>;
}

/// Answers lines by what becomes of them. What goes wrong before the first answer is a problem; later
/// it breaks the connection off, so that nobody takes half an answer for a whole one.
pub(crate) async fn answer(app: &App, mut lines: Lines, mut worker: impl Worker) -> Result<Response, Problem> {
    let first = lines.chunk().await?;
    let first = Bytes::from(worker.work(first).await?);
    if lines.is_empty() {
        return Ok(response(Body::from(first)));
    }
    let (mut sender, body) = Channel::<Bytes, axum::Error>::new(1);
    let app = app.clone();
    tokio::spawn(async move {
        let done = async {
            let mut text = first;
            loop {
                if sender.send_data(text).await.is_err() {
                    return Ok(());
                }
                if app.is_draining() {
                    return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
                }
                let chunk = lines.chunk().await?;
                if chunk.is_empty() {
                    return Ok(());
                }
                text = worker.work(chunk).await?.into();
            }
        };
        let done: Result<(), Problem> = done.await;
        break_off(sender, done);
    });
    Ok(response(Body::new(body)))
}

/// Reads lines from `next`, on a thread that may wait for the disk, and sends them until there are none.
pub(crate) async fn stream<T>(
    app: &App,
    start: T,
    next: impl Fn(T) -> Result<(Vec<u8>, Option<T>), Problem> + Clone + Send + Sync + 'static,
) -> Result<Response, Problem>
where
    T: Send + 'static,
{
    let read = move |place: T| {
        let next = next.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || next(place)).await;
            read.map_err(|_| Problem::internal("a read panicked"))?
        }
    };
    let (first, mut place) = read(start).await?;
    let (mut sender, body) = Channel::<Bytes, axum::Error>::new(1);
    let app = app.clone();
    tokio::spawn(async move {
        let done = async {
            let mut text = Bytes::from(first);
            loop {
                if !text.is_empty() && sender.send_data(text).await.is_err() {
                    return Ok(());
                }
                if app.is_draining() {
                    return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
                }
                let Some(from) = place.take() else { return Ok(()) };
                let (more, then) = read(from).await?;
                (text, place) = (more.into(), then);
            }
        };
        let done: Result<(), Problem> = done.await;
        break_off(sender, done);
    });
    Ok(response(Body::new(body)))
}

/// Ends an answer: cleanly, or so that its reader cannot take it for a whole one.
fn break_off(sender: Sender<Bytes, axum::Error>, done: Result<(), Problem>) {
    if let Err(problem) = done {
        tracing::warn!("An answer in lines broke off: {}", problem.detail());
        sender.abort(axum::Error::new(std::io::Error::other(problem.detail().to_owned())));
    }
}

/// Adds a line to an answer.
pub(crate) fn push(text: &mut Vec<u8>, line: &impl Serialize) -> Result<(), Problem> {
    serde_json::to_writer(&mut *text, line).map_err(|error| Problem::internal(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a body in pieces of so many bytes and says what is read: a number and a length for each line.
    async fn read(text: &str, piece: usize, max: usize) -> Result<Vec<(u64, Option<usize>)>, Code> {
        let (mut sender, body) = Channel::<Bytes, axum::Error>::new(4);
        let pieces: Vec<Bytes> = text.as_bytes().chunks(piece).map(Bytes::copy_from_slice).collect();
        let sending = tokio::spawn(async move {
            for piece in pieces {
                if sender.send_data(piece).await.is_err() {
                    break;
                }
            }
        });
        let mut lines = Lines::new(Body::new(body), max, Duration::from_secs(10));
        let mut found = Vec::new();
        loop {
            let chunk = lines.chunk().await.map_err(|problem| problem.code())?;
            if chunk.is_empty() {
                break;
            }
            found.extend(chunk.into_iter().map(|line| (line.number, line.text.map(|text| text.len()))));
        }
        sending.await.unwrap();
        Ok(found)
    }

    #[tokio::test]
    async fn lines_are_read_however_they_arrive() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let just = "y".repeat(LINE_BYTES_MAX);
        let text = format!("one\n\n  \r\nfour\n{long}\n{just}\n7\n{long}{long}\nnine");
        let expected =
            [(1, Some(3)), (4, Some(4)), (5, None), (6, Some(LINE_BYTES_MAX)), (7, Some(1)), (8, None), (9, Some(4))];
        for piece in [7, 1_000, 65_536, text.len()] {
            assert_eq!(read(&text, piece, usize::MAX).await.unwrap(), expected, "in pieces of {piece}");
        }
        let ends_too_long = read(&long, 1_000, usize::MAX).await.unwrap();
        assert_eq!((read("", 1, 0).await.unwrap(), ends_too_long), (vec![], vec![(1, None)]));
    }

    #[tokio::test]
    async fn a_body_that_grows_too_long_is_no_longer_read() {
        assert_eq!(read("one\ntwo\nthree", 1, 12).await.unwrap_err(), Code::BodyTooLarge);
        assert_eq!(read("one\ntwo\nthree", 1, 13).await.unwrap().len(), 3);
    }

    /// Otherwise the two would wait for each other.
    #[tokio::test]
    async fn a_sender_that_waits_for_an_answer_gets_its_lines_done() {
        let (mut sender, body) = Channel::<Bytes, axum::Error>::new(1);
        let mut lines = Lines::new(Body::new(body), usize::MAX, Duration::from_secs(10));
        for number in 1..=3 {
            sender.send_data(Bytes::from_static(b"a line\n")).await.unwrap();
            let chunk = lines.chunk().await.unwrap();
            assert_eq!(chunk.iter().map(|line| line.number).collect::<Vec<_>>(), [number]);
        }
    }
}
