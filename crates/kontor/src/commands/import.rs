//! `kontor import`: files of products and stock into a site, as jobs that go on after an interruption
//! and that can be undone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kontor_api::job::{Job, JobKind, JobStatus, RowAnswer, StartJob};
use kontor_client::{Client, ClientError};
use kontor_core::limits::JOB_OPTIONS_BYTES_MAX;
use kontor_core::money::Currency;
use kontor_core::text::hex;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::Target;
use crate::import::Stop;
use crate::import::encoding::Encoding;
use crate::import::feed::{self, Batch, Format, Input, Piece, Purpose, RowRef, Tally};
use crate::import::mapping::Wishes;
use crate::import::report::Report;
use crate::import::rows::Reading;
use crate::import::source::{self, Source};
use crate::limits::REFUSED_KEPT_MAX;
use crate::output::Output;
use crate::print::{self, Style};
use crate::progress::Progress;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make products, or change them where the file says something else
    Products(ProductsArgs),
    /// Book units that came in: each row adds
    Stock(FileArgs),
    /// Book units that were counted: each row sets
    Counts(FileArgs),
    /// Put back what an import has changed, where nobody has changed it since
    Undo {
        /// The job, as the import has printed it
        job: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(clap::Args)]
pub(crate) struct ProductsArgs {
    #[command(flatten)]
    file: FileArgs,
    /// The currency of prices in columns that name none
    #[arg(long, value_name = "CODE", value_parser = |code: &str| Currency::parse(code))]
    currency: Option<Currency>,
    /// Texts, attributes and prices are those of this market
    #[arg(long, value_name = "MARKET")]
    market: Option<String>,
    /// Numbers are written with a comma: 12,50
    #[arg(long)]
    decimal_comma: bool,
    /// Leave out rows with a price of 0 (they are free items otherwise)
    #[arg(long)]
    skip_zero_price: bool,
}

#[derive(clap::Args)]
pub(crate) struct FileArgs {
    /// The file: CSV or lines of JSON, also compressed with gzip; - for standard input
    file: PathBuf,
    /// Which column is what: sku=StockCode. Without any, columns with the names of fields are those fields
    #[arg(long = "map", value_name = "FIELD=COLUMN", value_parser = pair)]
    maps: Vec<(String, String)>,
    /// Leave out rows whose cell is this, or begins with what stands before a *: InvoiceNo=C*
    #[arg(long = "skip", value_name = "COLUMN=TEXT", value_parser = pair)]
    skips: Vec<(String, String)>,
    /// The location of all rows of stock
    #[arg(long, value_name = "ID")]
    location: Option<String>,
    /// What separates cells: one character, or tab [default: found out from the header]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// How bytes are letters
    #[arg(long, value_enum, default_value = "utf8")]
    encoding: Encoding,
    /// What the file looks like [default: by its name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Change nothing, and say what would change
    #[arg(long)]
    dry_run: bool,
    /// Changes that a dry run shows in full
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,
    /// The job to go on with [default: found by the file and how it is read]
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Import a file that was imported before, as another job
    #[arg(long, conflicts_with = "job")]
    again: bool,
    /// Write all rejected rows here, as CSV: line, name, code, detail
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Rejected rows are no failure
    #[arg(long)]
    allow_rejects: bool,
    /// How long to wait for a site that does not answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    #[command(flatten)]
    target: Target,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (one, other) = text.split_once('=').ok_or("two words with = between them are needed, as in sku=StockCode")?;
    if one.trim().is_empty() {
        return Err("something must stand before the =".to_owned());
    }
    Ok((one.trim().to_owned(), other.trim().to_owned()))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii_punctuation() || matches!(one, b'\t' | b' ') => Ok(*one),
        _ => Err("one character such as ; or the word tab is needed".to_owned()),
    }
}

pub(crate) fn run(command: Command, style: Style) -> anyhow::Result<ExitCode> {
    match command {
        Command::Products(args) => {
            let wishes = Wishes {
                currency: args.currency,
                market: args.market,
                decimal_comma: args.decimal_comma,
                skip_zero_price: args.skip_zero_price,
                ..Wishes::default()
            };
            import(JobKind::ImportProducts, args.file, wishes, style)
        }
        Command::Stock(args) => import(JobKind::ImportStock, args, Wishes::default(), style),
        Command::Counts(args) => import(JobKind::ImportCounts, args, Wishes::default(), style),
        Command::Undo { job, target } => undo(&job, &target, style),
    }
}

fn import(kind: JobKind, args: FileArgs, wishes: Wishes, style: Style) -> anyhow::Result<ExitCode> {
    if args.dry_run && kind != JobKind::ImportProducts {
        bail!("a dry run says what would change of products; stock is booked or not");
    }
    let FileArgs { maps, skips, location, .. } = &args;
    let wishes = Wishes { maps: maps.clone(), skips: skips.clone(), location: location.clone(), ..wishes };
    let reading = Reading { encoding: args.encoding, delimiter: args.delimiter };
    let name = || args.file.display().to_string();
    let mut source = Source::open(&args.file).with_context(name)?;
    let format = args.format.unwrap_or_else(|| Format::of(&args.file, Some(&mut source)));
    let input = Input::open(kind, source, format, reading, wishes.clone()).with_context(name)?;
    let settings = settings(kind, format, reading, &wishes);
    if settings.len() > JOB_OPTIONS_BYTES_MAX {
        let (more, max) = (settings.len() - JOB_OPTIONS_BYTES_MAX, JOB_OPTIONS_BYTES_MAX);
        bail!("--map and --skip are too long, by {more} bytes: a job keeps {max} of how its file is read");
    }
    let mut list = args.rejects.as_deref().map(|path| Output::open(path, false)).transpose()?;
    if let Some(list) = &mut list {
        list.write("line,name,code,detail\n")?;
    }
    let report = Report::new(args.dry_run, input.unused(), args.show);
    let mut run = Run { client: args.target.client()?, wait_s: args.wait, report, list, style, is_old: false };
    super::block_on(async {
        if args.dry_run {
            return run.feed(input, None, Purpose::DryRun).await;
        }
        let start = start(kind, &args, &settings)?;
        let job = run.start(&start).await?;
        match job.status {
            JobStatus::Running => {}
            JobStatus::Finished => {
                print::note(format!("{} was imported before, by {}; --again imports it anew", job.source, job.id));
                run.report.take(&job);
                run.is_old = true;
                if job.refused == 0 {
                    return run.list.take().map_or(Ok(()), Output::finish);
                }
                // The file says on which lines the rows stand that were refused.
                let refused = run.refused_before(&job).await?;
                return run.feed(input, Some(&job), Purpose::Job { through: u64::MAX, refused }).await;
            }
            JobStatus::Undoing | JobStatus::Undone => {
                bail!("{} was undone ({}); --again imports it anew", job.source, job.id)
            }
        }
        if job.through_line > 0 && style == Style::Table {
            print::note(format!("going on with {} behind row {}", job.id, print::grouped(job.through_line)));
        } else if args.file == Path::new("-") && style == Style::Table {
            print::note(format!("job {}; to go on after an interruption, give it the same input with --job", job.id));
        }
        let refused = run.refused_before(&job).await?;
        let purpose = Purpose::Job { through: job.through_line, refused };
        let done = run.feed(input, Some(&job), purpose).await;
        let hint = || format!("the same command goes on where it was interrupted; job {}", job.id);
        done.with_context(hint)
    })?;
    let Run { report, is_old, .. } = run;
    match style {
        Style::Json => print::json(&report),
        Style::Table if is_old => {}
        Style::Table => report.print(kind),
    }
    let is_well = report.stopped.is_none() && (report.refused == 0 || args.allow_rejects);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that decides what a file means, for the digest: another way to read it is another import.
fn settings(kind: JobKind, format: Format, reading: Reading, wishes: &Wishes) -> String {
    serde_json::json!({
        "version": 1,
        "kind": kind,
        "format": format!("{format:?}"),
        "encoding": format!("{:?}", reading.encoding),
        "delimiter": reading.delimiter,
        "maps": wishes.maps,
        "skips": wishes.skips,
        "currency": wishes.currency.map(|currency| currency.to_string()),
        "market": wishes.market,
        "location": wishes.location,
        "decimal_comma": wishes.decimal_comma,
        "skip_zero_price": wishes.skip_zero_price,
    })
    .to_string()
}

/// The job of this file, read in this way: the same command finds it again. Standard input cannot be
/// read twice, so that whoever goes on with it says that it is the same.
fn start(kind: JobKind, args: &FileArgs, settings: &str) -> anyhow::Result<StartJob> {
    let is_stdin = args.file == Path::new("-");
    let mut hash = Sha256::new();
    hash.update(settings);
    if !is_stdin {
        let digest = source::digest(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
        hash.update(digest);
    }
    let digest = hex(&hash.finalize()).to_string();
    let fresh = || hex(&kontor_server::fresh_uuid()).to_string();
    let number = match &args.job {
        Some(job) => job.clone(),
        None if is_stdin || args.again => format!("job_{}", fresh()),
        None => format!("job_{}", &digest[..32]),
    };
    let name = args.file.file_name().map_or_else(|| "standard input".into(), |name| name.to_string_lossy());
    let name: String = name.chars().filter(|c| !c.is_control()).take(30).collect();
    let source = if is_stdin { "standard input".to_owned() } else { name };
    Ok(StartJob { id: Some(number), kind, source, digest, options: Some(settings.to_owned()) })
}

/// An import under way.
struct Run {
    client: Client,
    wait_s: u64,
    report: Report,
    list: Option<Output>,
    style: Style,
    /// The file was imported before, and nothing of it is sent.
    is_old: bool,
}

impl Run {
    async fn start(&self, start: &StartJob) -> anyhow::Result<Job> {
        match self.client.start_job(start).await {
            Err(ClientError::Problem { code, .. }) if code == "job_differs" => {
                bail!(
                    "the job {} is of another file, or of the same one read in another way",
                    start.id.as_deref().unwrap_or_default()
                )
            }
            job => Ok(job?),
        }
    }

    /// Rows that were refused before the job was interrupted, by number.
    async fn refused_before(&self, job: &Job) -> anyhow::Result<BTreeMap<u64, RowAnswer>> {
        let mut refused = BTreeMap::new();
        let mut token = None;
        while job.refused > 0 && refused.len() < REFUSED_KEPT_MAX {
            let page = self.client.refused_rows(&job.id, token.as_deref()).await?;
            refused.extend(page.items.into_iter().map(|answer| (answer.line, answer)));
            token = page.next_page_token;
            if token.is_none() {
                break;
            }
        }
        Ok(refused)
    }

    /// Reads the file in a thread of its own and sends it, a request at a time. Without a job, nothing is changed.
    async fn feed(&mut self, input: Input, job: Option<&Job>, purpose: Purpose) -> anyhow::Result<()> {
        let mut progress = Progress::start(self.style);
        let (size, read) = (input.size, input.read());
        let (to, mut pieces) = mpsc::channel(1);
        let reader = std::thread::spawn(move || {
            feed::run(input, &purpose, |piece| to.blocking_send(piece).is_ok());
        });
        let mut end = None;
        let mut rows = 0;
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Told(row, answer) => self.report.count(&row, &answer, self.list.as_mut())?,
                Piece::End(stop, tally) => end = Some((stop, tally)),
                Piece::Batch(batch) => {
                    let answers = self.send(job, &batch).await?;
                    for (row, answer) in batch.rows.iter().zip(&answers) {
                        self.report.count(row, answer, self.list.as_mut())?;
                    }
                    rows += batch.rows.len() as u64;
                    progress.tell(rows, "rows", part(size, &read));
                }
            }
        }
        progress.end();
        if reader.join().is_err() {
            bail!("reading the file broke off by a defect of this program");
        }
        let (stop, tally): (Option<Stop>, Tally) = end.context("the file was not read to its end")?;
        let job = match (job, &stop) {
            (None, _) => None,
            (Some(job), None) if job.status == JobStatus::Finished => Some(job.clone()),
            (Some(job), None) => Some(self.client.finish_job(&job.id).await?),
            // It can go on when the file can be read, or be undone.
            (Some(job), Some(_)) => Some(self.client.job(&job.id).await?),
        };
        self.report.finish(stop, tally, job.as_ref(), progress.seconds());
        self.list.take().map_or(Ok(()), Output::finish)
    }

    /// Sends rows until the site has answered each of them. A request whose outcome is not known is sent
    /// again: rows that were done are not done twice.
    async fn send(&self, job: Option<&Job>, batch: &Batch) -> anyhow::Result<Vec<RowAnswer>> {
        let mut waited = Duration::ZERO;
        loop {
            let answers = match job {
                Some(job) => self.client.send_row_lines(&job.id, batch.body.clone()).await,
                None => self.client.try_product_lines(batch.body.clone()).await,
            };
            match answers {
                Ok(answers) => {
                    // Rows of a job have its numbers; lines that are only tried, their places.
                    let places = 1..;
                    let is_its = |(place, (answer, row)): (u64, (&RowAnswer, &RowRef))| {
                        answer.line == if job.is_some() { row.number } else { place }
                    };
                    let is_whole =
                        answers.len() == batch.rows.len() && places.zip(answers.iter().zip(&batch.rows)).all(is_its);
                    if !is_whole {
                        let (sent, came) = (batch.rows.len(), answers.len());
                        bail!("{sent} rows were sent and {came} others were answered: the site is of another version");
                    }
                    return Ok(answers);
                }
                Err(error) if passes(&error) && waited.as_secs() < self.wait_s => {
                    pause(PAUSE).await;
                    waited += PAUSE;
                }
                Err(error) => return Err(error).context("rows could not be sent"),
            }
        }
    }
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether asking again may help.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::BrokenOff(_) | ClientError::Unreachable { .. } => true,
        // A request of an import that was killed may still be under way, and take rows in between.
        ClientError::Problem { status, code, .. } => matches!(status.as_u16(), 429 | 503) || code == "job_position",
        _ => false,
    }
}

async fn pause(duration: Duration) {
    // Nothing is waited for but the time itself.
    let _ = tokio::time::timeout(duration, std::future::pending::<()>()).await;
}

/// Which part of a file has been read.
fn part(size: Option<u64>, read: &Arc<AtomicU64>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a part is shown, not counted with")]
    size.filter(|size| *size > 0).map(|size| feed::bytes_read(read) as f64 / size as f64)
}

fn undo(job: &str, target: &Target, style: Style) -> anyhow::Result<ExitCode> {
    let client = target.client()?;
    let mut progress = Progress::start(style);
    let (mut undone, mut changed_since) = (0, 0);
    let last = super::block_on(async {
        loop {
            let step = match client.undo_job(job).await {
                Err(error) if passes(&error) => Err(error).context("the same command goes on with undoing")?,
                step => step?,
            };
            undone += step.undone;
            changed_since += step.changed_since;
            for row in &step.kept {
                let why = row.detail.as_deref().or(row.code.as_deref()).unwrap_or_default();
                print::note(format!("row {}: {why}", print::grouped(row.line)));
            }
            #[expect(clippy::cast_precision_loss, reason = "a part is shown, not counted with")]
            let part = undone as f64 / (undone + step.left).max(1) as f64;
            progress.tell(undone, "rows", Some(part));
            if step.left == 0 {
                return Ok(step.job);
            }
        }
    })?;
    progress.end();
    if style == Style::Json {
        print::json(&serde_json::json!({
            "job": last.id, "status": last.status, "undone": undone, "changed_since": changed_since,
        }));
    } else {
        print::line(format!("{} rows of {} ({}) are undone", print::grouped(undone), last.id, last.source));
        if changed_since > 0 {
            let rows = print::grouped(changed_since);
            print::line(format!(
                "{rows} rows were changed or used by somebody since, and stay as they are, or in part"
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
