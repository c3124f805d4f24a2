//! Every number at which a site says "no more", with its reason.

use std::time::Duration;

/// Requests that wait for the writer. At 50,000 a second this is a tenth of a second of work; more
/// waiting only makes every answer late. Less than the connections of a server, so that it is met.
pub const QUEUE_MAX: usize = 4_096;

/// Entries of one group. Keeps the wait of the first small and a group's memory bounded.
pub const GROUP_ENTRIES_MAX: usize = 1_024;

/// Entries of another site that are folded between two groups of one's own, or one group more: some five
/// milliseconds that a buyer waits while a site catches up.
pub const FOREIGN_ENTRIES_PER_WRITE: usize = 256;

/// Size of a segment of another site's journal. They are preallocated, and a region keeps one for each site
/// that it reads.
pub const COPY_SEGMENT_BYTES: u64 = 8 << 20;

/// Bytes of rows that the writer keeps in memory, so that popular items cost no look-up.
pub const ROW_CACHE_BYTES: u64 = 64 << 20;

/// Bytes of rendered bodies kept in memory.
pub const BODY_CACHE_BYTES: u64 = 64 << 20;

/// Marks of what was read lately, two bytes each: a body is kept when it is read again before another one has
/// taken its mark.
pub const BODIES_NOTED: usize = 1 << 18;

/// Room on the disk that writes leave alone. After a crash the last segment is written again, 64 MiB,
/// and the tables write what is durable already but not yet theirs; both must succeed on a disk that
/// has refused writes.
pub const DISK_RESERVE_BYTES: u64 = 128 << 20;

/// Groups that are folded into one write of the tables while a site starts.
pub const RECOVER_GROUPS_PER_WRITE: usize = 256;

/// Rows of one page, whatever the caller asks for.
pub const PAGE_MAX: usize = 1_000;

/// Chunks of a job, each of some hundred lines, that are looked at for one page of its lines: most of
/// them may hold none that is wanted.
pub const JOB_CHUNKS_PER_PAGE: usize = 64;

/// Entries of one answer of the feed.
pub const FEED_ENTRIES_MAX: usize = 1_000;

/// Bytes of entries, unpacked, after which an answer of the feed takes no more. What they become on the
/// wire is some five times as much, and is held in memory for as long as its reader is slow.
pub const FEED_BYTES_MAX: usize = 128 << 10;

/// How far the wall clock may step before the site keeps its own time and raises an alarm.
pub const CLOCK_STEP_MS_MAX: u64 = 2_000;

/// How long the timer rests after the journal or the tables gave it nothing.
pub const TIMER_REST_MS: u64 = 1_000;

/// How long a site rests between two looks at the shares of shelves: nobody waits for them but other sites,
/// and half a per cent of the writer's time is theirs.
pub const QUOTA_TICK_MS: u64 = 10;

/// Rows of offers that a site looks at in one go after a start: reading them takes less than a millisecond.
pub const OFFERS_PER_LOOK: usize = 256;

/// Shelves that wait to be seen to. When more have changed, all are looked at, one after the other.
pub const QUOTA_WAITING_MAX: usize = 10_000;

/// Rows that one page of a search reads before it ends early: some 20 ms of work. Whoever looks for what
/// is rare among what is common pages on.
pub const SEARCH_ROWS_MAX: usize = 4_000;

/// Rows of one part of a query that are counted before it is taken for one of many.
pub const SEARCH_PROBE_MAX: usize = 1_000;

/// Words of a query that are counted; of more words the shorter ones are only compared.
pub const SEARCH_PROBED_WORDS_MAX: usize = 8;

/// Attributes of a query that are counted; the others are only compared.
pub const SEARCH_PROBED_ATTRIBUTES_MAX: usize = 8;

/// Orders that one page of a list looks at before it ends early: some 10 ms of work.
pub const ORDERS_LOOKED_AT: usize = 1_000;
/// Calls to a payment provider under way at a time: more of them would only wait at the other side.
pub const PAYMENT_CALLS_AT_ONCE: usize = 64;

/// How long whoever makes a call may be silent before it is made again: longer than any provider is waited for.
pub const PAYMENT_LEASE_MS: u64 = 180_000;

/// How long the site has for taking what came of a call, before the call is asked for again.
pub const PAYMENT_SETTLE_MS: u64 = 10_000;

/// How long a provider that certainly has set nothing aside is tried; then the order may be paid otherwise.
pub const PAYMENT_GIVE_UP_MS: u64 = 10 * 60_000;

/// How long anything else is tried before it waits for a person.
pub const PAYMENT_PARK_MS: u64 = 24 * 3_600_000;

/// After this the key of an erased person is tried again that could not be destroyed: a disk that fails may be
/// mended meanwhile.
pub const ERASURE_REST: Duration = Duration::from_secs(5);
