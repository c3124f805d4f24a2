//! Lines of a long answer, as they come: what is held is one line.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::error::ClientError;

/// The lines of an answer that may be longer than memory.
pub struct Lines {
    body: Incoming,
    rest: BytesMut,
    /// How much of the rest is known to have no end of a line.
    searched: usize,
}

impl Lines {
    pub(crate) fn of(body: Incoming) -> Self {
        Self { body, rest: BytesMut::new(), searched: 0 }
    }

    /// The next line without its end; `None` behind the last. An answer that broke off is an error, so
    /// that a part is never taken for the whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(end) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + end).freeze();
                self.rest.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.rest.len();
            match self.body.frame().await {
                Some(Ok(frame)) => self.rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(ClientError::BrokenOff(error.into())),
                None if self.rest.is_empty() => return Ok(None),
                None => return Err(ClientError::BrokenOff("the last line has no end".into())),
            }
        }
    }
}
