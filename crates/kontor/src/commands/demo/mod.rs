//! `kontor demo`: two regions and four stores in one process, with links that can be cut and healed.

mod gate;
mod tour;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use kontor_api::changes::SiteKind;
use kontor_api::demo::{DEMO, DEMO_LINKS, Demo, DemoSite, SetLinks};
use kontor_api::site::{LinkState, Sites};
use kontor_client::{Client, ClientError};
use tempfile::TempDir;

use super::serve::{Signals, raise_open_files};
use crate::print::{self, Style};
use crate::telemetry;
use world::{KEY, MAIN_PORT, World, url};

/// Beyond it the last port would be none.
const OFFSET_MAX: i64 = 57_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Added to every port of the demo
    #[arg(long, global = true, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=OFFSET_MAX))]
    port_offset: u16,
    /// The directory of the six journals; made if it is not there [default: a new one that goes with the demo]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, or a filter such as kontor_site=debug
    #[arg(long, env = "KONTOR_LOG", value_name = "FILTER", default_value = "error")]
    log: String,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Cut links of the running demo: those between two sites, of one site, or all
    Cut(Ends),
    /// Heal them
    Heal(Ends),
    /// Show the sites of the running demo, and how far each has read the others
    Status,
    /// Sell the last units of an item through a cut, heal, and check that everything adds up; starts a demo if
    /// none runs
    Tour,
}

#[derive(clap::Args)]
struct Ends {
    /// A site
    from: Option<String>,
    /// Another site
    to: Option<String>,
    /// Only what the first reads of the second
    #[arg(long)]
    one_way: bool,
}

pub(crate) fn run(args: Args, style: Style) -> anyhow::Result<ExitCode> {
    let offset = args.port_offset;
    match args.command {
        None => serve(&args, style),
        Some(Command::Cut(ends)) => set(offset, ends, false, style),
        Some(Command::Heal(ends)) => set(offset, ends, true, style),
        Some(Command::Status) => super::block_on(async { status(&running(offset).await?, style).await }),
        Some(Command::Tour) => tour::run(offset, style),
    }
}

/// Where the journals are.
enum Place {
    /// Until the demo ends.
    Passing(TempDir),
    Lasting(PathBuf),
}

impl Place {
    fn of(data: Option<&Path>) -> anyhow::Result<Self> {
        match data {
            Some(path) => Ok(Self::Lasting(path.to_owned())),
            None => {
                let made = tempfile::Builder::new().prefix("kontor-demo-").tempdir();
                made.map(Self::Passing).context("a directory for the journals could not be made")
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Passing(made) => made.path(),
            Self::Lasting(path) => path,
        }
    }
}

/// Runs a demo until it is told to stop.
fn serve(args: &Args, style: Style) -> anyhow::Result<ExitCode> {
    let logs = Arc::new(telemetry::logs(&args.log)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("http").enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen().context("signals cannot be listened for")?;
        let place = Place::of(args.data.as_deref())?;
        raise_open_files();
        let mut world = World::start(place.path(), args.port_offset, &telemetry::metrics()?).await?;
        introduce(&world.told, place.path(), args.port_offset, style);
        let failed = tokio::select! {
            () = signals.told_to_stop() => None,
            error = world.failed() => Some(error),
        };
        tokio::spawn(async move {
            // A second signal does not wait for anybody.
            signals.told_to_stop().await;
            logs.flush();
            std::process::exit(1);
        });
        world.stop().await?;
        failed.map_or(Ok(ExitCode::SUCCESS), Err)
    })
}

/// Says what runs where, and what can be typed next. The last line is for programs.
fn introduce(sites: &[DemoSite], data: &Path, offset: u16, style: Style) {
    let main = url(MAIN_PORT, offset);
    if style == Style::Json {
        print::json_line(&serde_json::json!({ "sites": sites, "key": KEY, "data": data }));
    } else {
        let rows = sites.iter().flat_map(|site| {
            site.ports.iter().enumerate().map(|(at, port)| {
                let (name, kind) = if at == 0 { (site.site.as_str(), word(site.kind)) } else { ("", "") };
                vec![name.to_owned(), kind.to_owned(), port.url.clone(), port.about.clone()]
            })
        });
        print::table(&["site", "kind", "address", "what is there"], rows, &[]);
        let program = std::env::args().next().unwrap_or_else(|| "kontor".into());
        let again = if offset == 0 { String::new() } else { format!(" --port-offset {offset}") };
        let central = url(8_081, offset);
        print::line(format!(
            "Journals are in {}. The key {KEY} opens everything, from this machine alone;\n\
             reading needs none. Open {main}/sites, or type in another terminal:\n\n  \
             {program} demo{again} tour                         # the whole story, checked to the last unit\n  \
             {program} demo{again} cut us-east-1 eu-west-1      # both go on alone; heal brings them together\n  \
             curl -H 'X-API-Key: demo' '{central}/v1/inventory?limit=2'\n",
            data.display(),
        ));
    }
    print::line(format!("listening on {main}"));
}

fn word(kind: SiteKind) -> &'static str {
    match kind {
        SiteKind::Region => "region",
        SiteKind::Store => "store",
    }
}

/// A demo that runs, and a client of the site that was asked.
struct Running {
    client: Client,
    told: Demo,
}

/// Nobody answers where a demo would.
#[derive(Debug, thiserror::Error)]
#[error("no demo answers at {url}; start one with kontor demo")]
struct NoDemo {
    url: String,
}

/// The demo that runs on these ports.
async fn running(offset: u16) -> anyhow::Result<Running> {
    let url = url(MAIN_PORT, offset);
    let client = Client::new(&url, Some(KEY))?;
    match client.get(DEMO).await {
        Ok(reply) if reply.status.is_success() => Ok(Running { told: reply.json()?, client }),
        Ok(_) => bail!("the site at {url} is not of a demo; start one with kontor demo --port-offset N"),
        Err(ClientError::Unreachable { .. }) => Err(NoDemo { url }.into()),
        Err(error) => Err(error.into()),
    }
}

fn set(offset: u16, Ends { from, to, one_way }: Ends, open: bool, style: Style) -> anyhow::Result<ExitCode> {
    super::block_on(async {
        let mut demo = running(offset).await?;
        let asked = serde_json::to_vec(&SetLinks { from, to, open, one_way })?;
        demo.told = demo.client.post(DEMO_LINKS, None, asked).await?.json()?;
        match style {
            Style::Json => print::json_line(&demo.told),
            Style::Table => {
                let cut = demo.told.links.iter().filter(|link| !link.open).count();
                print::line(format!("{cut} of {} links are cut; see kontor demo status", demo.told.links.len()));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Shows what each site says of the others.
async fn status(demo: &Running, style: Style) -> anyhow::Result<ExitCode> {
    let mut said: BTreeMap<&str, Sites> = BTreeMap::new();
    for site in &demo.told.sites {
        said.insert(&site.site, Client::new(site.url(), Some(KEY))?.sites().await?);
    }
    if style == Style::Json {
        print::json_line(&serde_json::json!({ "links": demo.told.links, "sites": said }));
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<&str> = demo.told.sites.iter().map(|site| site.site.as_str()).collect();
    let rows = names.iter().filter_map(|reader| {
        let sites = said.get(reader)?;
        let of = |name: &&str| match sites.items.iter().find(|item| item.site == **name) {
            Some(item) if item.link == LinkState::Open && item.lag_groups == 0 => "all".to_owned(),
            Some(item) => format!("{}, {} s late", item.link.as_str(), item.lag_ms / 1_000),
            None => String::new(),
        };
        let end = format!("{}-{}", sites.end.term, sites.end.seq);
        Some([(*reader).to_owned(), end].into_iter().chain(names.iter().map(of)).collect())
    });
    let headings: Vec<String> = names.iter().map(|name| format!("of {name}")).collect();
    let headings: Vec<&str> = ["has read", "own end"].into_iter().chain(headings.iter().map(String::as_str)).collect();
    print::table(&headings, rows, &[]);
    let cut: Vec<String> = demo
        .told
        .links
        .iter()
        .filter(|link| !link.open)
        .map(|link| format!("{} from {}", link.from, link.to))
        .collect();
    match cut.as_slice() {
        [] => print::note("No link is cut."),
        some => print::note(format!("Cut: {}.", some.join(", "))),
    }
    Ok(ExitCode::SUCCESS)
}
