//! The load driver: a closed loop over kept-alive connections, each asking its next question when
//! the last is answered. It shares the machine with the server, so it does as little as it can.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;

use crate::goods;
use crate::latency::Latencies;
use crate::meter::{Cpu, Watched};
use crate::wire::{Caller, Connection};

/// Runs `plan` against a server, metering the processes in `watched` while it is measured.
pub(crate) fn drive(plan: &Plan, watched: &[Watched]) -> Result<Outcome> {
    ensure!(plan.threads > 0 && plan.connections >= plan.threads, "a thread needs a connection");
    let job = Arc::new(Job {
        plan: plan.clone(),
        run: run_name(),
        tickets: AtomicU64::new(plan.first),
        end_ticket: AtomicU64::new(u64::MAX),
    });
    let gate = Barrier::new(plan.threads + 1);
    std::thread::scope(|scope| {
        let drivers: Vec<_> = (0..plan.threads)
            .map(|thread| {
                let (job, gate) = (Arc::clone(&job), &gate);
                scope.spawn(move || run_thread(thread, job, gate))
            })
            .collect();
        // Every thread passes every gate whatever happens to it, so nobody waits for ever.
        job.open_phase(plan.warm_up);
        gate.wait();
        gate.wait();
        let before = read(watched, plan);
        job.open_phase(plan.measured);
        gate.wait();
        let begun = Instant::now();
        gate.wait();
        let seconds = begun.elapsed().as_secs_f64();
        let after = read(watched, plan);

        let mut tally = Tally::new();
        for driver in drivers {
            let part = driver.join().map_err(|_| anyhow::anyhow!("a driver thread panicked"))?;
            tally.add(&part?);
        }
        let (before, after) = (before?, after?);
        Ok(Outcome {
            seconds,
            cpu_ns: watched
                .iter()
                .zip(after.cpu.iter().zip(&before.cpu))
                .map(|(watched, (after, before))| (watched.name, after.since(before)))
                .collect(),
            driver_cpu_ns: after.driver.since(&before.driver),
            journal: after.journal.zip(before.journal).map(|(after, before)| after.since(&before)),
            tally,
        })
    })
}

/// What to ask, of whom, how often.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) caller: Caller,
    pub(crate) work: Work,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) warm_up: Length,
    pub(crate) measured: Length,
    /// The number of the first operation; seeding counts products with it.
    pub(crate) first: u64,
    /// Whether to repeat what was refused as overloaded: seeding does, measuring counts it.
    pub(crate) patient: bool,
}

/// How long a phase lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    Operations(u64),
    Time(Duration),
}

impl Length {
    pub(crate) const NONE: Length = Length::Operations(0);
}

/// One kind of request. Where it ranges over goods, they are numbered from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Reads products from all over the numbers 1 to `of`: few of them are a hot set.
    Read { of: u64 },
    /// Asks one of these paths after the other.
    Ask(&'static [&'static str]),
    /// Issues one unit of any of the SKUs 1 to `of`, every time under a new key and reference.
    Issue { of: u64 },
    /// Creates the product numbered by the operation.
    CreateProduct,
    /// Receives units of the SKU numbered by the operation.
    Receive { quantity: u64 },
}

impl Work {
    fn order(self, ticket: u64, run: &str, chance: &mut fastrand::Rng) -> Order {
        match self {
            Work::Read { of } => {
                let number = chance.u64(1..=of);
                Order::get(goods::product_path(number), number)
            }
            Work::Ask(paths) => {
                let at = usize::try_from(ticket).unwrap_or_default() % paths.len();
                Order { path: paths[at].into(), body: None, key: None, product: None }
            }
            Work::Issue { of } => {
                let reference = format!("{run}-{ticket}");
                let body = goods::issue_json(chance.u64(1..=of), &reference);
                Order::post(goods::ISSUE, body, Some(reference))
            }
            Work::CreateProduct => Order::post(goods::PRODUCTS, goods::product_json(ticket), None),
            Work::Receive { quantity } => {
                let body = goods::receive_json(ticket, quantity);
                Order::post(goods::RECEIVE, body, Some(format!("{run}-{ticket}")))
            }
        }
    }
}

/// One operation's request, ready to be asked again.
struct Order {
    path: std::borrow::Cow<'static, str>,
    body: Option<String>,
    key: Option<String>,
    /// The product that the answer must speak of.
    product: Option<u64>,
}

impl Order {
    fn get(path: String, product: u64) -> Order {
        Order { path: path.into(), body: None, key: None, product: Some(product) }
    }

    fn post(path: &'static str, body: String, key: Option<String>) -> Order {
        Order { path: path.into(), body: Some(body), key, product: None }
    }
}

/// What a measured phase gave.
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    pub(crate) tally: Tally,
    /// Processor time of each watched process, by name.
    pub(crate) cpu_ns: Vec<(&'static str, u64)>,
    pub(crate) driver_cpu_ns: u64,
    /// What the server says it wrote, if it says so.
    pub(crate) journal: Option<Journal>,
}

impl Outcome {
    /// Successful operations per second.
    pub(crate) fn rate(&self) -> f64 {
        self.tally.good as f64 / self.seconds
    }

    /// µs of processor time of all watched processes per answered operation.
    pub(crate) fn cpu_us(&self) -> f64 {
        let total: u64 = self.cpu_ns.iter().map(|(_, ns)| ns).sum();
        self.per_operation_us(total)
    }

    pub(crate) fn per_operation_us(&self, ns: u64) -> f64 {
        ns as f64 / 1000.0 / (self.tally.answered().max(1) as f64)
    }
}

/// Answers counted.
#[derive(Clone)]
pub(crate) struct Tally {
    pub(crate) good: u64,
    /// Answers that were not a success, by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Exchanges without an answer.
    pub(crate) broken: u64,
    /// Successes that did not speak of the product asked for.
    pub(crate) wrong: u64,
    pub(crate) latencies: Latencies,
}

impl Tally {
    fn new() -> Tally {
        Tally { good: 0, refused: BTreeMap::new(), broken: 0, wrong: 0, latencies: Latencies::new() }
    }

    fn add(&mut self, other: &Tally) {
        self.good += other.good;
        self.broken += other.broken;
        self.wrong += other.wrong;
        for (status, count) in &other.refused {
            *self.refused.entry(*status).or_default() += count;
        }
        self.latencies.add(&other.latencies);
    }

    fn answered(&self) -> u64 {
        self.good + self.refused.values().sum::<u64>()
    }

    pub(crate) fn failures(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.broken + self.wrong
    }

    /// Every kind of failure with its count, for people; empty when all is well.
    pub(crate) fn failures_said(&self) -> String {
        let mut said: Vec<String> = self.refused.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        if self.broken > 0 {
            said.push(format!("{} without answer", self.broken));
        }
        if self.wrong > 0 {
            said.push(format!("{} with the wrong body", self.wrong));
        }
        said.join(", ")
    }
}

/// The journal's own counters.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Journal {
    pub(crate) appends: u64,
    pub(crate) syncs: u64,
    pub(crate) entries: u64,
}

impl Journal {
    fn since(&self, before: &Journal) -> Journal {
        Journal {
            appends: self.appends.saturating_sub(before.appends),
            syncs: self.syncs.saturating_sub(before.syncs),
            entries: self.entries.saturating_sub(before.entries),
        }
    }

    /// The counters in a page of Prometheus metrics, if they are on it.
    pub(crate) fn parse(metrics: &str) -> Option<Journal> {
        let sum = |name: &str| {
            let values = metrics.lines().filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                let labelled = rest.starts_with('{') || rest.starts_with(' ');
                let value = rest.rsplit_once(' ')?.1.parse::<u64>().ok()?;
                labelled.then_some(value)
            });
            values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
        };
        Some(Journal {
            appends: sum("kontor_journal_appends_total")?,
            syncs: sum("kontor_journal_syncs_total")?,
            entries: sum("kontor_journal_entries_total")?,
        })
    }
}

/// What all lanes of a drive share.
struct Job {
    plan: Plan,
    run: String,
    tickets: AtomicU64,
    /// The first that is not of this phase.
    end_ticket: AtomicU64,
}

impl Job {
    /// Sets the operations of the next phase; called while all threads wait at the gate.
    fn open_phase(&self, length: Length) {
        // At the end of a counted phase each lane draws one ticket that it does not use.
        let (drawn, last) = (self.tickets.load(Ordering::SeqCst), &self.end_ticket);
        let next = drawn.min(last.load(Ordering::SeqCst));
        self.tickets.store(next, Ordering::SeqCst);
        let end = match length {
            Length::Operations(count) => next + count,
            Length::Time(_) => u64::MAX,
        };
        last.store(end, Ordering::SeqCst);
    }
}

/// A phase that is not over after its time and this has met a server that hangs.
const PHASE_SLACK: Duration = Duration::from_secs(30);

/// The longest that a phase counted in operations may take.
const OPERATIONS_LIMIT: Duration = Duration::from_secs(600);

/// A lane that fails to get an answer this often in a row gives up.
const BROKEN_MAX: u32 = 100;

/// How long a patient lane waits before it asks an overloaded server again.
const PATIENCE: Duration = Duration::from_millis(5);

fn run_thread(thread: usize, job: Arc<Job>, gate: &Barrier) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (connections, threads) = (job.plan.connections, job.plan.threads);
    let share = connections / threads + usize::from(thread < connections % threads);
    let mut lanes = Vec::new();
    let mut failed = None;
    for length in [job.plan.warm_up, job.plan.measured] {
        gate.wait();
        let phase = match &runtime {
            Ok(runtime) if failed.is_none() => {
                // What the warm-up counted is not wanted, its open connections are.
                let mut warm = std::mem::take(&mut lanes).into_iter();
                let fresh = || warm.next().map_or_else(Lane::new, Lane::counting_anew);
                let lanes = std::iter::repeat_with(fresh).take(share).collect();
                runtime.block_on(run_phase(&job, lanes, length))
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(anyhow::anyhow!("starting a runtime: {error}")),
        };
        match phase {
            Ok(done) => lanes = done,
            Err(error) => failed = Some(error),
        }
        gate.wait();
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let mut tally = Tally::new();
    lanes.iter().for_each(|lane: &Lane| tally.add(&lane.tally));
    Ok(tally)
}

async fn run_phase(job: &Arc<Job>, lanes: Vec<Lane>, length: Length) -> Result<Vec<Lane>> {
    let (until, limit) = match length {
        Length::Operations(_) => (None, OPERATIONS_LIMIT),
        Length::Time(time) => (Some(Instant::now() + time), time + PHASE_SLACK),
    };
    let mut running = tokio::task::JoinSet::new();
    for lane in lanes {
        running.spawn(lane.run(Arc::clone(job), until));
    }
    let mut done = Vec::new();
    let all = async {
        while let Some(lane) = running.join_next().await {
            done.push(lane.context("a lane panicked")??);
        }
        anyhow::Ok(())
    };
    let in_time = tokio::time::timeout(limit, all).await;
    in_time.with_context(|| format!("the server left requests unanswered for {limit:?}"))??;
    Ok(done)
}

/// One connection's share of the work.
struct Lane {
    connection: Option<Connection>,
    chance: fastrand::Rng,
    tally: Tally,
}

impl Lane {
    fn new() -> Lane {
        Lane { connection: None, chance: fastrand::Rng::new(), tally: Tally::new() }
    }

    fn counting_anew(self) -> Lane {
        Lane { tally: Tally::new(), ..self }
    }

    async fn run(mut self, job: Arc<Job>, until: Option<Instant>) -> Result<Lane> {
        let end_ticket = job.end_ticket.load(Ordering::SeqCst);
        let mut broken_in_a_row = 0;
        let mut now = Instant::now();
        while until.is_none_or(|until| now < until) && broken_in_a_row < BROKEN_MAX {
            let ticket = job.tickets.fetch_add(1, Ordering::Relaxed);
            if ticket >= end_ticket {
                break;
            }
            let order = job.plan.work.order(ticket, &job.run, &mut self.chance);
            while !self.place(&job.plan, &order, &mut now, &mut broken_in_a_row).await? {
                tokio::time::sleep(PATIENCE).await;
            }
        }
        Ok(self)
    }

    /// Asks once and counts the answer; false if it should be asked again, later.
    async fn place(
        &mut self,
        plan: &Plan,
        order: &Order,
        now: &mut Instant,
        broken_in_a_row: &mut u32,
    ) -> Result<bool> {
        let request = plan.caller.request(&order.path, order.body.clone(), order.key.as_deref())?;
        let begun = Instant::now();
        let answer = self.ask(plan, request).await;
        *now = Instant::now();
        let Ok((status, body)) = answer else {
            self.connection = None;
            self.tally.broken += 1;
            *broken_in_a_row += 1;
            return Ok(!plan.patient || *broken_in_a_row >= BROKEN_MAX);
        };
        *broken_in_a_row = 0;
        let taken = now.duration_since(begun).as_nanos();
        self.tally.latencies.record(u64::try_from(taken).unwrap_or(u64::MAX));
        if status.is_success() {
            self.tally.good += 1;
            // Looking into every answer would cost the driver more than asking.
            if self.tally.good % LOOK_EVERY == 1 && !speaks_of(&body, order.product) {
                self.tally.wrong += 1;
            }
            return Ok(true);
        }
        if plan.patient && status == http::StatusCode::SERVICE_UNAVAILABLE {
            return Ok(false);
        }
        *self.tally.refused.entry(status.as_u16()).or_default() += 1;
        Ok(true)
    }

    async fn ask(&mut self, plan: &Plan, request: http::Request<Full<Bytes>>) -> Result<(http::StatusCode, Bytes)> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(plan.caller.address).await?);
        }
        let connection = self.connection.as_mut().context("just opened")?;
        let (parts, body) = connection.ask(request).await?;
        Ok((parts.status, body))
    }
}

/// One answer in this many is looked into.
const LOOK_EVERY: u64 = 256;

fn speaks_of(body: &[u8], product: Option<u64>) -> bool {
    let Some(number) = product else { return true };
    let id = goods::product(number);
    body.windows(id.len()).any(|part| part == id.as_bytes())
}

/// Readings at one moment.
struct Reading {
    cpu: Vec<Cpu>,
    driver: Cpu,
    journal: Option<Journal>,
}

fn read(watched: &[Watched], plan: &Plan) -> Result<Reading> {
    let journal = match plan.work {
        Work::Read { .. } | Work::Ask(_) => None,
        // A comparator has no metrics, and then there is nothing to say.
        _ => plan.caller.get("/metrics").ok().and_then(|answer| Journal::parse(&String::from_utf8_lossy(&answer.body))),
    };
    let driver = Watched { name: "driver", pid: std::process::id(), family: false };
    Ok(Reading { cpu: watched.iter().map(Watched::read).collect::<Result<_>>()?, driver: driver.read()?, journal })
}

/// A name that no other drive has, so that its keys and references are new.
fn run_name() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.map(|since| since.as_micros()).unwrap_or(0);
    format!("load-{micros:x}-{:x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::bare;

    /// A bare server of ten products for as long as the test runs.
    fn ten_products() -> SocketAddr {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let listener = bare::listen(any).await.expect("a port is free");
                tell.send(listener.local_addr().expect("it is bound")).expect("the test waits");
                let answers = bare::Answers::plain(10).expect("the plain form is right");
                bare::serve(listener, answers).await
            })
        });
        told.recv().expect("the server starts")
    }

    fn plan(address: SocketAddr, of: u64, operations: u64) -> Plan {
        Plan {
            caller: Caller::new(address, None).expect("no key"),
            work: Work::Read { of },
            connections: 5,
            threads: 2,
            warm_up: Length::Operations(7),
            measured: Length::Operations(operations),
            first: 1,
            patient: false,
        }
    }

    #[test]
    fn as_many_operations_are_measured_as_were_asked_for() {
        let outcome = drive(&plan(ten_products(), 10, 1_003), &[]).expect("the server answers");
        assert_eq!((outcome.tally.good, outcome.tally.failures()), (1_003, 0));
        assert!(outcome.tally.latencies.quantile_us(0.5) > 0.0 && outcome.rate() > 0.0);
    }

    #[test]
    fn what_is_not_a_success_is_told_by_status() {
        let tally = drive(&plan(ten_products(), 20, 400), &[]).expect("the server answers").tally;
        assert_eq!(tally.refused.keys().collect::<Vec<_>>(), [&404]);
        assert_eq!(tally.good + tally.refused[&404], 400);
    }

    #[test]
    fn a_server_that_is_gone_ends_the_drive() {
        let gone = crate::process::free_address().expect("a port is free");
        let tally = drive(&plan(gone, 10, 1_000_000), &[]).expect("the drive ends").tally;
        assert_eq!((tally.good, tally.broken), (0, 5 * u64::from(BROKEN_MAX)));
    }

    #[test]
    fn another_product_than_the_one_asked_for_is_noticed() {
        assert!(speaks_of(br#"{"id":"P0000007"}"#, Some(7)));
        assert!(!speaks_of(br#"{"id":"P0000007"}"#, Some(8)));
    }

    #[test]
    fn the_journals_counters_are_read_with_and_without_labels() {
        let page = "# TYPE kontor_journal_syncs_total counter\n\
                    kontor_journal_syncs_total 3\n\
                    kontor_journal_appends_total{site=\"a b\"} 4\n\
                    kontor_journal_appends_total{site=\"c\"} 5\n\
                    kontor_journal_entries_total 70\n\
                    kontor_journal_entries_total_other 1\n";
        let journal = Journal::parse(page).expect("all three are there");
        assert_eq!((journal.appends, journal.syncs, journal.entries), (9, 3, 70));
        assert!(Journal::parse("kontor_journal_syncs_total 3\n").is_none());
    }
}
