//! Answers to what is no request: lines and headers that the protocol layer cannot read, or will not,
//! get a problem document like everything else.
//!
//! hyper answers them by itself, with an empty 4xx, before there is a request that a service could be
//! given, and has no place to say otherwise. So its socket looks at what is written: every answer of ours
//! carries `X-Request-Id`, and an empty 4xx without it is hyper's last word on a connection. It is replaced.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, header};
use kontor_api::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::app::App;
use crate::ids::{Ids, REQUEST_ID};
use crate::limits::{HEADERS_MAX, LINGER, LINGER_BYTES};
use crate::problem::Problem;

/// A socket on which refused heads are answered with problems.
pub(crate) struct ProblemsForHeads<S> {
    stream: S,
    app: App,
    /// What is left to write of a problem.
    answer: Bytes,
    closing: Closing,
}

/// How the connection ends.
enum Closing {
    /// At once.
    AtOnce,
    /// After a refused head: the caller may still be sending, and would lose the answer if the rest of
    /// it were not read.
    Lingering { timer: Option<Pin<Box<Sleep>>>, bytes: usize },
}

impl<S: AsyncRead + AsyncWrite + Unpin> ProblemsForHeads<S> {
    pub(crate) fn new(stream: S, app: App) -> Self {
        Self { stream, app, answer: Bytes::new(), closing: Closing::AtOnce }
    }

    /// Writes the problem, if there is one.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.answer.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.answer))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.answer.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what the caller still sends, until it has said all, or too much, or for too long.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Closing::Lingering { timer, bytes } = &mut self.closing else { return Poll::Ready(()) };
        #[expect(clippy::disallowed_methods, reason = "a poll has no future that `timeout` could be put around")]
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut space = [0; 4096];
        while timer.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            *bytes += buffer.filled().len();
            if read.is_err() || buffer.filled().is_empty() || *bytes > LINGER_BYTES {
                break;
            }
        }
        Poll::Ready(())
    }
}

/// Where in the bytes an answer of hyper's own begins, which is the last that they hold.
fn refusal(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    // False for nearly everything that is written, because it has a body.
    let head = bytes.strip_suffix(END)?;
    let start = head.windows(END.len()).rposition(|found| found == END).map_or(0, |at| at + END.len());
    let lines = std::str::from_utf8(&head[start..]).ok()?;
    let (first, fields) = lines.split_once("\r\n")?;
    let is_refused = first.starts_with("HTTP/1.") && first.get(8..10) == Some(" 4");
    let has = |name: &str| fields.split("\r\n").any(|line| line.split(':').next() == Some(name));
    let is_empty = fields.split("\r\n").any(|line| line == "content-length: 0");
    (is_refused && is_empty && !has(REQUEST_ID.as_str())).then_some(start)
}

/// The problem that takes the place of hyper's answer. Its date and other fields are kept.
fn answer(app: &App, given: &[u8]) -> Bytes {
    let given = String::from_utf8_lossy(given);
    let mut lines = given.trim_ascii_end().split("\r\n");
    let problem = match lines.next().and_then(|first| first.get(9..12)) {
        Some("431" | "414") => {
            let (bytes, headers) = (app.limits.head_bytes, HEADERS_MAX);
            let most = format!("the line and headers of a request have at most {bytes} bytes, in {headers} headers");
            Problem::new(Code::HeadTooLarge, most)
        }
        _ => Problem::new(Code::InvalidRequest, "the line or the headers of the request are not HTTP/1.1"),
    };
    app.metrics.problem(problem.code());
    let (ids, mut headers) = (Ids::of(&HeaderMap::new()), HeaderMap::new());
    tracing::info!(
        request.id = ids.request_id(),
        trace.id = ids.trace_id(),
        status = problem.code().status(),
        code = problem.code().as_str(),
        "What is no request was refused: {}",
        problem.detail()
    );
    let body = problem.write(&ids, &mut headers);
    ids.write(&mut headers);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    let mut bytes = format!("HTTP/1.1 {}\r\n", problem.status()).into_bytes();
    for line in lines.filter(|line| !line.starts_with("content-length:")) {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    for (name, value) in &headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes.into()
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ProblemsForHeads<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(cx))?;
        match refusal(bytes) {
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
            Some(0) => {
                self.answer = answer(&self.app, bytes);
                self.closing = Closing::Lingering { timer: None, bytes: 0 };
                Poll::Ready(Ok(bytes.len()))
            }
            // The answer before it is still on its way.
            Some(start) => Pin::new(&mut self.stream).poll_write(cx, &bytes[..start]),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper's own answer has no body, so nothing follows its head.
        match parts {
            [only] => self.poll_write(cx, only),
            _ => {
                ready!(self.poll_answer(cx))?;
                Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        if !matches!(self.closing, Closing::Lingering { timer: Some(_), .. }) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ProblemsForHeads<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_refusal_without_a_name_is_hypers_own() {
        let own = "HTTP/1.1 431 Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let named = own.replace("date: now", "x-request-id: a");
        let not_modified = "HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n";
        for (bytes, expected) in [
            (own.to_owned(), Some(0)),
            (own.replace("HTTP/1.1", "HTTP/1.0"), Some(0)),
            (named.clone(), None),
            (own.replace("431", "200"), None),
            (own.replace("content-length: 0", "content-length: 10"), None),
            (not_modified.to_owned(), None),
            // Answers before it are passed on first.
            (named.clone() + own, Some(named.len())),
            (not_modified.to_owned() + own, Some(not_modified.len())),
            (own.to_owned() + &named, None),
            // What is no head, or not all of it.
            (own.to_owned() + "{}", None),
            (own[..own.len() - 1].to_owned(), None),
            ("0\r\n\r\n".to_owned(), None),
            ("\r\n\r\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(refusal(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
