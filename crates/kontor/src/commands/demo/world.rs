//! The sites of the demo, in one process: each with a journal, tables, addresses and keys of its own, and with
//! links that go over real connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kontor_api::changes::SiteKind;
use kontor_api::demo::{DemoPort, DemoSite};
use kontor_api::site::PeerAddress;
use kontor_core::command::{Command, Line};
use kontor_core::id::{LocationId, SiteId};
use kontor_core::refusal::Refusal;
use kontor_core::text::{Reference, Title};
use kontor_payments::settings::{Chosen, Secrets};
use kontor_payments::simulated::{Simulated, Simulator};
use kontor_server::demo::Demo;
use kontor_server::links::Links;
use kontor_server::{Access, DemoKeys, Limits, Options, Payments};
use kontor_site::persons::{MasterKey, Persons};
use kontor_site::{NotDone, Settings, Site};
use kontor_storage::journal::local::LocalOptions;
use kontor_storage::tables::TablesOptions;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::gate;
use crate::commands::serve::fresh_nonce;
use crate::peers::Peers;
use crate::sample::{self, Sample};

/// Personal data of a demo is kept under this. It is made up, and known to everybody as well.
const MASTER_KEY: [u8; 32] = *b"the master key of any kontordemo";

/// Opens everything at each site of the demo, and is known to everybody.
pub(crate) const KEY: &str = "demo-key-of-this-machine";

/// Where the demo is asked, and its pages are.
pub(super) const MAIN_PORT: u16 = 8080;

/// How long sites may take to read what was put into the first of them.
const FILL_PATIENCE: Duration = Duration::from_secs(60);
const FILL_LOOK: Duration = Duration::from_millis(20);

/// The pool that the reference inventory service sells from.
const CENTRAL: &str = "central";

/// The location of the sample data that has as many units as the service's documents show.
const POOL_LIKE: &str = "warehouse-1";

/// A site, where it answers, and what is at its home.
struct Place {
    site: &'static str,
    kind: SiteKind,
    ports: &'static [Port],
    /// Of a store, the region that it calls.
    region: Option<&'static str>,
    /// Its own shelf, and whose shelf of the sample data it is filled like.
    shelf: Option<(&'static str, &'static str, &'static str)>,
}

struct Port {
    number: u16,
    keys: Keys,
    about: &'static str,
}

/// Who uses the paths of the reference services at a port.
#[derive(Clone, Copy)]
enum Keys {
    /// Whoever runs on this machine.
    None,
    /// Holders of the keys of the reference inventory: of its stores, and of its administrators.
    Inventory(&'static [&'static str], &'static [&'static str]),
}

const PLACES: [Place; 6] = [
    Place {
        site: "us-east-1",
        kind: SiteKind::Region,
        ports: &[
            Port { number: MAIN_PORT, keys: Keys::None, about: "pages, API; product API and shop, without a key" },
            Port { number: 8000, keys: Keys::None, about: "global catalogue, without a key" },
            Port {
                number: 8081,
                keys: Keys::Inventory(&["demo", "central-api-key"], &["admin-demo", "admin-central-key"]),
                about: "central inventory, key demo or admin-demo",
            },
        ],
        region: None,
        shelf: None,
    },
    Place {
        site: "eu-west-1",
        kind: SiteKind::Region,
        ports: &[Port { number: 8082, keys: Keys::None, about: "pages, API; reference services, without a key" }],
        region: None,
        shelf: None,
    },
    store(
        "store-s1",
        "us-east-1",
        ("store-s1", "Harbor Street shop", "store-s1"),
        &[store_port(8083, &["store-s1-key", "demo"])],
    ),
    store(
        "store-s2",
        "us-east-1",
        ("store-s2", "Station shop", "store-s2"),
        &[store_port(8084, &["store-s2-key", "demo"])],
    ),
    store(
        "store-s3",
        "eu-west-1",
        ("store-s3", "Market Hall shop", "store-s2"),
        &[store_port(8085, &["store-s3-key", "demo"])],
    ),
    store(
        "store-s4",
        "eu-west-1",
        ("store-s4", "Airport shop", "store-s1"),
        &[store_port(8086, &["store-s4-key", "demo"])],
    ),
];

const fn store(
    site: &'static str,
    region: &'static str,
    shelf: (&'static str, &'static str, &'static str),
    ports: &'static [Port],
) -> Place {
    Place { site, kind: SiteKind::Store, ports, region: Some(region), shelf: Some(shelf) }
}

const fn store_port(number: u16, keys: &'static [&'static str]) -> Port {
    Port { number, keys: Keys::Inventory(keys, &[]), about: "pages, API; store API with a key of the store" }
}

/// The running sites.
pub(super) struct World {
    sites: Vec<Running>,
    /// What carries the links.
    gates: Vec<JoinHandle<()>>,
    servers: JoinSet<io::Result<()>>,
    stop: watch::Sender<bool>,
    /// What is told of it.
    pub(super) told: Vec<DemoSite>,
}

struct Running {
    place: &'static Place,
    site: Site,
    links: Links,
    peers: JoinHandle<()>,
}

impl World {
    /// Opens all sites below a directory and links them; ready when each has read what the others hold.
    pub(super) async fn start(data: &Path, offset: u16, metrics: &PrometheusHandle) -> anyhow::Result<Self> {
        // All addresses are taken first: a taken port is told before any journal is touched.
        let mut listeners = Vec::new();
        for place in &PLACES {
            listeners.push(listen(place, offset).await?);
        }
        let told: Vec<DemoSite> = PLACES.iter().map(|place| told(place, offset)).collect();
        let demo = Demo::new(told.clone(), links());
        let peer_key = secret();
        let mut world = Self {
            sites: Vec::new(),
            gates: Vec::new(),
            servers: JoinSet::new(),
            stop: watch::Sender::new(false),
            told,
        };
        // Making a directory waits for the disk a hundred times; all do so together.
        let opening: Vec<_> = PLACES.iter().map(|place| open(place, data)).collect();
        for ((place, listeners), opening) in PLACES.iter().zip(listeners).zip(opening) {
            let site = opening.await?.with_context(|| format!("{} cannot be served", place.site))?;
            let network = Network { demo: &demo, peer_key: &peer_key, data, offset };
            world.start_site(place, site, listeners, &network, metrics).await?;
        }
        world.fill().await?;
        Ok(world)
    }

    /// Starts one site: makes the links over which it reads others, and serves it. The one place that knows how a
    /// site of the demo comes to be, a store's as well as a region's.
    async fn start_site(
        &mut self,
        place: &'static Place,
        site: Site,
        listeners: Vec<TcpListener>,
        network: &Network<'_>,
        metrics: &PrometheusHandle,
    ) -> anyhow::Result<()> {
        let kind = match place.kind {
            SiteKind::Region => kontor_core::site::SiteKind::Region,
            SiteKind::Store => kontor_core::site::SiteKind::Store,
        };
        sample::submit(&site, Command::DescribeSite { kind }).await?;

        let (links, wishes) = Links::new();
        let address = url(place.ports[0].number, network.offset);
        let peers = self.gates(place, &links, network).await?;
        let peers = Peers::start(
            &site,
            &links,
            address.clone(),
            place.region.is_some(),
            &network.data.join(place.site),
            peers,
        )?;
        let peers = tokio::spawn(peers.run(None, wishes));
        let payments = simulated_payments();
        let persons = Arc::new(Persons::open(&site, &network.data.join(place.site), MasterKey::new(MASTER_KEY))?);
        for (listener, port) in listeners.into_iter().zip(place.ports) {
            let access = access(&site, port.keys, network.peer_key)?;
            let options = Options {
                access,
                limits: Limits::default(),
                metrics: Some(metrics.clone()),
                version: env!("CARGO_PKG_VERSION"),
                address: address.clone(),
                links: links.clone(),
                demo: Some(network.demo.clone()),
                payments: Some(payments.clone()),
                persons: persons.clone(),
                fault_injection: true,
            };
            let mut stop = self.stop.subscribe();
            self.servers.spawn(kontor_server::serve(listener, site.clone(), options, async move {
                // An error means that nobody can say so any more: stop as well.
                let _ = stop.wait_for(|stop| *stop).await;
            }));
        }
        self.sites.push(Running { place, site, links, peers });
        Ok(())
    }

    /// The addresses at which a site reads others: each a gate before the real one.
    async fn gates(&mut self, from: &Place, links: &Links, network: &Network<'_>) -> anyhow::Result<Vec<PeerAddress>> {
        let mut addresses = Vec::new();
        for to in &PLACES {
            let Some(open) = network.demo.state(from.site, to.site) else { continue };
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a link needs a free port")?;
            let url = format!("http://{}", listener.local_addr()?);
            let target = address(to.ports[0].number, network.offset);
            let healed = links.ear(&SiteId::parse(to.site)?);
            self.gates.push(tokio::spawn(gate::carry(listener, target, open, healed)));
            let (site, key) = (Some(to.site.to_owned()), Some(network.peer_key.to_owned()));
            addresses.push(PeerAddress { url, site, key });
        }
        Ok(addresses)
    }

    /// Puts the sample data where it belongs: the catalogue and the warehouses into the first region, each
    /// shelf of a shop into its own site. What is there already is left as it is.
    async fn fill(&self) -> anyhow::Result<()> {
        let sample = Sample::of_the_program()?;
        let Some(first) = self.sites.first() else { return Ok(()) };
        let central = LocationId::parse(CENTRAL)?;
        if first.site.read().location(&central)?.is_none() {
            let is_shelf =
                |id: &LocationId| PLACES.iter().any(|place| place.shelf.is_some_and(|it| it.0 == id.as_str()));
            for command in sample.products.iter().cloned() {
                put(&first.site, command).await?;
            }
            for (id, name) in sample.locations.iter().filter(|(id, _)| !is_shelf(id)).cloned() {
                put(&first.site, Command::OpenLocation { id: id.clone(), name }).await?;
                receive(&first.site, &id, shelf_like(&sample, id.as_str(), &id)).await?;
            }
            put(&first.site, Command::OpenLocation { id: central.clone(), name: Title::parse("Central pool")? })
                .await?;
            receive(&first.site, &central, shelf_like(&sample, POOL_LIKE, &central)).await?;
        }
        let end = first.site.status().end;
        for running in &self.sites {
            let Some((id, name, like)) = running.place.shelf else { continue };
            running.has_read(first.site.id(), (end.term, end.seq)).await?;
            let id = LocationId::parse(id)?;
            put(&running.site, Command::OpenLocation { id: id.clone(), name: Title::parse(name)? }).await?;
            receive(&running.site, &id, shelf_like(&sample, like, &id)).await?;
        }
        for reader in &self.sites {
            for read in self.sites.iter().filter(|read| read.place.site != reader.place.site) {
                let end = read.site.status().end;
                reader.has_read(read.site.id(), (end.term, end.seq)).await?;
            }
        }
        Ok(())
    }

    /// Ends when a server has ended by itself.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match self.servers.join_next().await {
            Some(Ok(Err(error))) => anyhow::Error::new(error).context("a server of the demo failed"),
            _ => anyhow::anyhow!("a server of the demo has ended"),
        }
    }

    /// Lets requests finish, and closes all sites.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.sites.iter().for_each(|running| running.peers.abort());
        self.gates.iter().for_each(JoinHandle::abort);
        self.stop.send_replace(true);
        while let Some(ended) = self.servers.join_next().await {
            ended??;
        }
        for Running { site, .. } in self.sites {
            tokio::task::spawn_blocking(move || site.close()).await?.map_err(anyhow::Error::msg)?;
        }
        Ok(())
    }
}

impl Running {
    /// Waits until the site has read so much of another one's journal.
    async fn has_read(&self, other: &SiteId, end: (u32, u64)) -> anyhow::Result<()> {
        let mut changes = self.links.changes();
        let reading = async {
            loop {
                changes.mark_unchanged();
                let journals = self.site.status().journals;
                let folded = journals.get(other).map(|journal| (journal.folded.term, journal.folded.seq));
                if folded >= Some(end) {
                    return;
                }
                // What is read through others changes no link: it is looked at now and then.
                drop(timeout(FILL_LOOK, changes.changed()).await);
            }
        };
        let read = timeout(FILL_PATIENCE, reading).await;
        read.with_context(|| format!("{} has not read what {other} holds within {FILL_PATIENCE:?}", self.place.site))
    }
}

/// What all sites of a demo have in common.
struct Network<'n> {
    demo: &'n Demo,
    peer_key: &'n str,
    data: &'n Path,
    offset: u16,
}

/// Payments that move no money.
fn simulated_payments() -> Payments {
    let simulator = Simulator::new(Simulated::new(0), Payments::now());
    Payments::new(Chosen::Simulated(simulator), &Secrets::default())
}

/// Opens the journal and the tables of a site, on a thread that may wait for the disk.
fn open(place: &Place, data: &Path) -> JoinHandle<anyhow::Result<Site>> {
    let (name, data) = (place.site, data.join(place.site));
    tokio::task::spawn_blocking(move || {
        let settings = Settings {
            data,
            site: SiteId::parse(name)?,
            nonce: fresh_nonce(),
            journal: LocalOptions { segment_bytes: 4 << 20, ..LocalOptions::default() },
            tables: TablesOptions { cache_bytes: 16 << 20, ..TablesOptions::default() },
            disk_reserve_bytes: 64 << 20,
        };
        Ok(Site::open(&settings, |_| {})?)
    })
}

/// Who calls whom: each region the others, each store its region. All else goes through those.
fn links() -> impl Iterator<Item = (String, String)> {
    let calls = |from: &Place, to: &Place| match from.region {
        Some(region) => region == to.site,
        None => to.region.is_none() && from.site != to.site,
    };
    let pairs = PLACES.iter().flat_map(|from| PLACES.iter().map(move |to| (from, to)));
    pairs.filter(move |(from, to)| calls(from, to)).map(|(from, to)| (from.site.to_owned(), to.site.to_owned()))
}

fn told(place: &Place, offset: u16) -> DemoSite {
    let port = |port: &Port| DemoPort { url: url(port.number, offset), about: port.about.to_owned() };
    DemoSite { site: place.site.to_owned(), kind: place.kind, ports: place.ports.iter().map(port).collect() }
}

fn address(port: u16, offset: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.saturating_add(offset)))
}

pub(super) fn url(port: u16, offset: u16) -> String {
    format!("http://{}", address(port, offset))
}

async fn listen(place: &Place, offset: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for port in place.ports {
        let address = address(port.number, offset);
        listeners.push(match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
                "{address} is taken, perhaps by another demo. Stop what listens there, or move all ports of the demo: \
                 kontor demo --port-offset {}",
                offset.saturating_add(1_000)
            ),
            listener => listener.with_context(|| format!("{address} cannot be listened on"))?,
        });
    }
    Ok(listeners)
}

fn access(site: &Site, keys: Keys, peer_key: &str) -> anyhow::Result<Access> {
    let (inventory, inventory_admin) = match keys {
        Keys::None => (&[][..], &[][..]),
        Keys::Inventory(keys, admin_keys) => (keys, admin_keys),
    };
    let access = Access::new(site, None)?.with_peer_key(Some(peer_key))?;
    let access = access.of_demo(&DemoKeys { admin: KEY, inventory, inventory_admin });
    Ok(match keys {
        Keys::None => access.open_compat(),
        Keys::Inventory(..) => access,
    })
}

/// What is to be at a location: as much as at one of the sample data.
fn shelf_like(sample: &Sample, like: &str, location: &LocationId) -> Vec<Line> {
    let lines = sample.stock.iter().map(|(line, _)| line).filter(|line| line.location.as_str() == like);
    lines.map(|line| Line { location: location.clone(), ..line.clone() }).collect()
}

async fn receive(site: &Site, location: &LocationId, lines: Vec<Line>) -> anyhow::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    put(site, sample::delivery(lines, Reference::parse(format!("opening-{location}"))?)).await
}

/// Gives a site a command of the sample data, unless it has been done before.
async fn put(site: &Site, command: Command) -> anyhow::Result<()> {
    match sample::submit(site, command).await {
        Ok(()) | Err(NotDone::Refused(Refusal::AlreadyExists { .. } | Refusal::ReferenceUsed { .. })) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("the sample data was refused by {}", site.id())),
    }
}

/// A key that nobody is told: the sites of this demo show it to each other.
fn secret() -> String {
    let part = || uuid::Uuid::from_bytes(kontor_server::fresh_uuid()).simple().to_string();
    part() + &part()
}
