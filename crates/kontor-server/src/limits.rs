//! Every number at which the service says "no more", with its reason.

use std::time::Duration;

use crate::throttle::Rate;

/// What one server takes at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request's body. The largest command is an issue of 1,200 lines.
    pub body_bytes: usize,
    /// Bytes of a body of lines: of a bulk request, and of rows of a job. It is never held as a whole.
    pub lines_bytes: usize,
    /// Bytes of a request's line and headers together.
    pub head_bytes: usize,
    /// How long the line and headers may take to arrive, and a connection may rest between requests.
    pub head_read: Duration,
    /// How long a body may take to arrive.
    pub body_read: Duration,
    /// How long an answer may wait for a peer that reads none of it. The connection is closed.
    pub answer_write: Duration,
    /// How long a write may wait for the journal before its outcome is called unknown.
    pub write: Duration,
    /// How long the checkout of a reference service waits for what the payment provider says. The order goes on.
    pub checkout: Duration,
    /// Connections at once; more wait in the listener's queue.
    pub connections: usize,
    /// Streams and waiting long polls at once; each holds one connection and one buffered batch. Callers
    /// without a key hold at most half of them, so that holders of keys find a place.
    pub streams: usize,
    /// Requests of one key under `/api/v1`; any number without it.
    pub key_rate: Option<Rate>,
    /// Requests of one address without a key; any number without it, and from this machine.
    pub public_rate: Option<Rate>,
    /// How long the server still takes requests after it said that it is not ready.
    pub drain_delay: Duration,
    /// How long requests may take to finish after that.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 * 1024,
            // A hundred thousand products of 600 bytes; what is longer is sent in several requests.
            lines_bytes: 64 << 20,
            head_bytes: 32 * 1024,
            head_read: Duration::from_secs(30),
            body_read: Duration::from_secs(10),
            answer_write: Duration::from_secs(30),
            write: Duration::from_secs(30),
            checkout: Duration::from_secs(5),
            connections: 10_000,
            streams: 256,
            key_rate: None,
            // A third of what a small machine answers, so that one caller does not take it all.
            public_rate: Rate::new(100_000, 10),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// These limits for a process that may have so many files open; a connection is one. Without room
    /// for them, the journal and the tables could open nothing while callers connect.
    pub fn for_files(mut self, files: u64) -> Self {
        let room = usize::try_from(files.saturating_sub(FILES_KEPT)).unwrap_or(usize::MAX);
        self.connections = self.connections.min(room).max(1);
        self
    }
}

/// Header lines of a request. It is hyper's own number, which it keeps room for on its stack; for any other
/// number it fills 6 KiB for every request.
pub(crate) const HEADERS_MAX: usize = 100;

/// Open files that connections leave to the journal, the tables, and the process itself.
pub(crate) const FILES_KEPT: u64 = 512;

/// Callers of one policy whose requests are counted at once; beyond, the one whose window began first
/// begins anew. They take some 3 MB.
pub(crate) const CALLERS_COUNTED: usize = 16_384;

/// Refused keys that are kept for people to look at, the newest. They take some 0.5 MB.
pub(crate) const REFUSALS_KEPT: usize = 1_000;

/// Bytes of the path and of the method of a refused key that are kept. The longest path of the API has some 180.
pub(crate) const REFUSED_TEXT_BYTES: usize = 200;

/// Characters of the public part of a refused key that are kept: what the site's own ids have.
pub(crate) const KEY_ID_SHOWN: usize = 8;

/// Requests of a rate.
pub(crate) const RATE_REQUESTS_MAX: u32 = 1_000_000_000;

/// Seconds of a rate. Counts are lost with the process, so longer ones would promise too much.
pub(crate) const RATE_WINDOW_S_MAX: u32 = 86_400;

/// The shortest key that may be given in the environment. The site's own keys have 65 characters.
pub(crate) const KEY_CHARS_MIN: usize = 16;

/// Characters of an idempotency key.
pub(crate) const IDEMPOTENCY_KEY_MAX: usize = 255;

/// Characters of an e-mail address: what a mailbox can have (RFC 5321).
pub(crate) const EMAIL_CHARS_MAX: usize = 254;

/// Characters of a name or of a line of an address: more than a label has room for. Nine fields of an address
/// that are as long as they may be stay below what one sealed field takes.
pub(crate) const PERSON_TEXT_CHARS_MAX: usize = 120;

/// Characters of a postal code or a telephone number.
pub(crate) const PERSON_CODE_CHARS_MAX: usize = 32;

/// Holds of each location in an explanation of several locations.
pub(crate) const HOLDS_PER_LOCATION: usize = 10;

/// A comment is sent this often on a stream on which nothing happens, so that proxies keep it.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Between two events of a stream of sites: people do not read faster, and a busy link changes a thousand times
/// a second.
pub(crate) const SITES_REST: Duration = Duration::from_millis(200);

/// Entries that a stream reads and sends at a time. An entry may be a whole invoice.
pub(crate) const STREAM_BATCH: usize = 20;

/// How often collected timings are folded into their histograms when nobody asks for them.
pub(crate) const UPKEEP: Duration = Duration::from_secs(5);

/// How long the listener rests after it could not accept, usually for want of file descriptors.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(10);

/// Connections that could not be accepted are logged at most this often: without file descriptors there
/// are a hundred a second.
pub(crate) const ACCEPT_SAID: Duration = Duration::from_secs(1);

/// How long a refused caller that is still sending is listened to, so that it reads the answer.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are listened to meanwhile.
pub(crate) const LINGER_BYTES: usize = 4 << 20;

/// Items of one list that a client of a reference service sends to be done one after another. Each is an
/// entry of its own, so the last of a thousand waits a second or two.
pub(crate) const COMPAT_BATCH_MAX: usize = 1_000;

/// Attempts to write what was read, for clients of reference services, who cannot say what they have seen.
pub(crate) const COMPAT_TRIES: usize = 8;

/// Rows of a list that has no pages in a reference service. The next ones are behind `Link`.
pub(crate) const COMPAT_ROWS_MAX: usize = 1_000;

/// Products that the search of a reference service shows: as many as that service does.
pub(crate) const COMPAT_FOUND_SHOWN: usize = 20;

/// Products up to which that search counts what it has found. Each is read; more are told as more.
pub(crate) const COMPAT_FOUND_MAX: usize = 200;

/// Simulated conflicts that are kept to be explained, the newest, some 2 KB each.
pub(crate) const COMPAT_SIMULATIONS_KEPT: usize = 256;

/// Seconds from which counting a catalogue is worth keeping; below, it is counted whenever it has changed.
pub(crate) const COMPAT_MARKS_KEPT: f64 = 0.02;

/// For how many times as long as it took, a count of a catalogue is used.
pub(crate) const COMPAT_MARKS_REST: f64 = 20.0;

/// Changes of products between two places of the journal that are remembered by their number.
pub(crate) const COMPAT_EVENTS_PER_MARK: u64 = 512;

/// Reads of the journal, each of 1,000 entries or 256 KiB, by which one request goes on to number its
/// changes. A longer journal is numbered by several requests.
pub(crate) const COMPAT_EVENTS_COUNTED: usize = 2_000;

/// Products that clients of the shop call hot at once, and for how many seconds each.
pub(crate) const COMPAT_HOT_KEPT: usize = 200;
pub(crate) const COMPAT_HOT_S: f64 = 300.0;

/// For how many seconds the sale of a store waits for units that other sites hold, and how often it looks.
pub(crate) const COMPAT_BORROW_S: f64 = 1.0;
pub(crate) const COMPAT_BORROW_LOOK_MS: u64 = 20;

/// Seconds for which a checkout that finds the cart empty is taken for a repeat of the one before: browsers and
/// load balancers try again within half a minute.
pub(crate) const COMPAT_REPEAT_S: u64 = 30;

/// Reservations of the warehouse that one request hands units out of. Each takes a command of its one entry.
pub(crate) const COMPAT_SHIPPED_FROM: usize = 8;

/// Tries that a client may have shown.
pub(crate) const COMPAT_RETRIES_MAX: u32 = 100;

/// How late a client may make the payment provider, in milliseconds: three times the patience of a checkout.
pub(crate) const COMPAT_LATENCY_MS_MAX: u64 = 15_000;

/// Seconds after which a sync that the client of a store asked for is called failed.
pub(crate) const COMPAT_SYNC_S: u64 = 5;

/// Bytes of one line of a body of lines. What it asks for must fit into one entry of the journal.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024;

/// Lines that are done by one command, and answered together.
pub(crate) const CHUNK_LINES: usize = 500;

/// Bytes of lines after which no further line is added to a chunk. About what fits into one entry.
pub(crate) const CHUNK_BYTES: usize = 128 * 1024;

/// How long a chunk waits for further lines: longer than a network pauses, shorter than anybody minds.
pub(crate) const CHUNK_GATHER: Duration = Duration::from_millis(5);

/// Lines of one dry run. What they would change is held in memory.
pub(crate) const REHEARSED_LINES_MAX: usize = 10_000;

/// Rows that an export reads and sends at a time. A product has at most 256 KiB, and 1 KiB as a rule.
pub(crate) const EXPORT_BATCH: usize = 50;

/// Bytes of an export after which no further product is added to what is sent at a time.
pub(crate) const EXPORT_BATCH_BYTES: usize = 1024 * 1024;

/// Bytes of a line of an export, after which a product goes on on the next one. With what it replaces, a line
/// fits into one entry. The longest single field, an attribute of 100 texts of 1 KiB, stays below
/// `LINE_BYTES_MAX` even if each of its letters is escaped.
pub(crate) const EXPORT_LINE_BYTES: usize = 64 * 1024;

/// Listings of one product that an export reads at a time.
pub(crate) const EXPORT_LISTINGS: usize = 16;

/// How long a site that gives its journal waits until it is folded. What is kept by then is told; less than what
/// the other side waits for.
pub(crate) const GIVEN_PATIENCE: Duration = Duration::from_secs(5);

/// Links to other sites that are being made at once.
pub(crate) const WISHES_MAX: usize = 16;

/// Seconds after which an overloaded site may be asked again.
pub(crate) const RETRY_AFTER_S: u32 = 1;

/// How often a cart's customer or contact is tried to be set while others change the cart, before the caller is told so.
pub(crate) const EDITS_MAX: u32 = 16;

/// How long the payments' worker rests when payments that have changed could not be read.
pub(crate) const WORKER_FAILED_REST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_the_storage() {
        let connections = |files| Limits::default().for_files(files).connections;
        assert_eq!(connections(1_024), 512);
        assert_eq!(connections(u64::MAX), Limits::default().connections);
        assert_eq!(connections(100), 1);
    }
}
