//! A small HTTP/1.1 client over one kept-alive connection: the tests see the bytes that a stranger's
//! client would see, and share no code with the server.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::HANG;

/// The admin key that every test server is started with.
pub(crate) const KEY: &str = "kon_0123456789abcdefghijklmnopqrstuvwxyzABCD";

/// One client with at most one open connection. An error leaves it without one; the next request
/// connects again.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        Client { address, connection: None }
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, &[("X-API-Key", KEY)], b"")
    }

    /// Sends a write under an idempotency key.
    pub(crate) fn post(&mut self, path: &str, key: &str, body: &Value) -> io::Result<Answer> {
        self.begin_post(path, key, body)?;
        self.end(false)
    }

    /// Sends anything with a well-formed frame; `abuse.rs` writes the other kind by itself.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.begin(method, path, headers, body)?;
        self.end(method == "HEAD")
    }

    /// Sends a write under an idempotency key, and leaves its answer for [`Client::end`].
    pub(crate) fn begin_post(&mut self, path: &str, key: &str, body: &Value) -> io::Result<()> {
        let headers = [("X-API-Key", KEY), ("Idempotency-Key", key), ("Content-Type", "application/json")];
        self.begin("POST", path, &headers, body.to_string().as_bytes())
    }

    /// Sends a request whose answer is read later.
    pub(crate) fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);

        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(connect(self.address)?),
        };
        connection.get_mut().write_all(&bytes)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Reads the answer to what was begun.
    pub(crate) fn end(&mut self, is_head: bool) -> io::Result<Answer> {
        let nothing = || Error::new(ErrorKind::NotConnected, "nothing was begun");
        let mut connection = self.connection.take().ok_or_else(nothing)?;
        let answer = read_answer(&mut connection, is_head)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The stable code of a problem document, or nothing.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn is_replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }

    /// This answer, when it is the success that the test relies on.
    #[track_caller]
    pub(crate) fn success(self) -> Answer {
        assert!(self.is_success(), "{} {}", self.status, self.text());
        self
    }
}

/// Opens a connection that fails instead of hanging.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, HANG)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANG))?;
    stream.set_write_timeout(Some(HANG))?;
    Ok(stream)
}

/// Reads one whole answer.
pub(crate) fn read_answer(from: &mut impl BufRead, is_head: bool) -> io::Result<Answer> {
    let first = line(from)?;
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("not an answer: {first:?}")))?;
    let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let header = line(from)?;
        if header.is_empty() {
            break;
        }
        let (name, value) =
            header.split_once(':').ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("header {header:?}")))?;
        answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if is_head || status == 204 || status == 304 {
        return Ok(answer);
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = line(from)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                .map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
            let start = answer.body.len();
            answer.body.resize(start + size, 0);
            from.read_exact(&mut answer.body[start..])?;
            line(from)?;
            if size == 0 {
                return Ok(answer);
            }
        }
    }
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    match length {
        Some(length) => {
            answer.body.resize(length, 0);
            from.read_exact(&mut answer.body)?;
        }
        None => {
            from.read_to_end(&mut answer.body)?;
        }
    }
    Ok(answer)
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(Error::new(ErrorKind::UnexpectedEof, "closed"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
