//! `kontor demo tour`: cuts the links, sells the last units of an item from all sites at once, edits it at two of
//! them, heals, and checks that everything adds up. A client of the API and nothing else.

mod ask;
mod books;
mod tell;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use kontor_api::changes::SiteKind;
use kontor_api::demo::Demo;
use kontor_api::path;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::world::url;
use super::{Place, World, running};
use crate::print::Style;
use ask::{Asked, Asker, until};
use books::Books;
use tell::Teller;

/// Where everybody buys, and the region that is its home.
const WAREHOUSE: &str = "warehouse-1";
const HOME: &str = "us-east-1";
const OTHER: &str = "eu-west-1";

/// Units that come into the warehouse, and onto each store's own shelf: the last ones of the item.
const WAREHOUSE_UNITS: u64 = 24;
const SHELF_UNITS: [u64; 4] = [3, 2, 1, 0];

/// Buyers who come to each site at once. Each buys one unit after another until it is refused.
const BUYERS: usize = 4;

/// The port of the global catalogue, whose clients ask how a conflict has ended.
const CATALOGUE_PORT: u16 = 8_000;

/// Everything that the tour found out.
#[derive(Debug, Serialize)]
struct Facts {
    demo: Demo,
    sku: String,
    /// What was received, by location.
    received: BTreeMap<String, u64>,
    /// Sales that were acknowledged, by site, and by location.
    sold: BTreeMap<String, BTreeMap<String, u64>>,
    /// What buyers were told who got nothing, by site: one answer for each location, and how often it was given.
    refused: Vec<Refused>,
    borrowed: Value,
    books: Vec<Books>,
    conflict: Value,
    /// What each site holds at the end.
    states: BTreeMap<String, Value>,
    seconds: BTreeMap<&'static str, f64>,
    checks: Vec<Check>,
    ok: bool,
    requests: Vec<Asked>,
}

#[derive(Debug, Clone, Serialize)]
struct Refused {
    site: String,
    location: String,
    code: String,
    times: u64,
    answer: Value,
}

/// Something that must be so.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    ok: bool,
    found: String,
}

/// Runs the tour at the demo of these ports, which is started for it if none runs there.
pub(super) fn run(offset: u16, style: Style) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (world, demo) = match running(offset).await {
            Ok(found) => (None, found.told),
            Err(error) if error.is::<super::NoDemo>() => {
                let place = Place::of(None)?;
                let metrics = crate::telemetry::metrics()?;
                let world = World::start(place.path(), offset, &metrics).await?;
                (Some((world, place)), running(offset).await?.told)
            }
            Err(error) => return Err(error),
        };
        let was_there = world.is_none();
        let facts = Tour::new(demo, offset, Teller { style })?.run(was_there).await;
        if let Some((world, _place)) = world {
            world.stop().await?;
        }
        let facts = facts?;
        tell::end(&facts, style);
        Ok(if facts.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

struct Tour {
    demo: Demo,
    offset: u16,
    asker: Asker,
    sku: String,
    tell: Teller,
    checks: Vec<Check>,
    seconds: BTreeMap<&'static str, f64>,
}

impl Tour {
    fn new(demo: Demo, offset: u16, tell: Teller) -> anyhow::Result<Self> {
        let fresh = uuid::Uuid::from_bytes(kontor_server::fresh_uuid()).simple().to_string();
        let name = format!("tour-{}", fresh.get(20..).unwrap_or(&fresh));
        let (asker, sku) = (Asker::of(&demo, &name)?, name.to_uppercase());
        Ok(Self { demo, offset, asker, sku, tell, checks: Vec::new(), seconds: BTreeMap::new() })
    }

    async fn run(mut self, was_there: bool) -> anyhow::Result<Facts> {
        self.tell.begin(&self.demo, was_there);
        self.asker.set_links(true).await?;
        self.asker.until_equal().await?;

        let received = self.receive().await?;
        let borrowed = self.borrow().await?;
        let mut books = vec![Books::read(&self.asker, &self.sku, "before the cut").await?];
        self.tell.shares(&books[0]);

        self.asker.set_links(false).await?;
        let seconds = self.asker.until_cut().await?;
        self.seconds.insert("until_cut", seconds);
        self.tell.step(&format!("All links are cut; every site says so {seconds:.1} s later."));
        let titles = self.edit().await?;
        let (mut sold, refused) = self.sell().await?;
        books.push(Books::read(&self.asker, &self.sku, "in the cut").await?);
        self.tell.sales(&books[0], &books[1], &sold, &refused);
        self.check_refusals(&refused);

        self.asker.set_links(true).await?;
        let (_, seconds) = self.asker.until_equal().await?;
        self.seconds.insert("until_equal", seconds);
        self.tell
            .step(&format!("All links are healed; {seconds:.1} s later every site has read what the others hold."));
        self.check_sold_out().await?;
        // What was asked for in the cut is answered now, and the answers are read.
        let (_, seconds) = self.asker.until_equal().await?;
        self.seconds.insert("until_quiet", seconds);
        let states = self.states().await?;
        books.push(Books::read(&self.asker, &self.sku, "at the end").await?);
        let conflict = self.conflict(&titles).await?;

        let by_borrower = sold.entry(borrowed["site"].as_str().unwrap_or_default().to_owned()).or_default();
        *by_borrower.entry(WAREHOUSE.to_owned()).or_default() += 1;
        self.check_sums(&received, &sold, &books, &states);
        let ok = self.checks.iter().all(|check| check.ok);
        let Self { demo, sku, checks, seconds, asker, .. } = self;
        let requests = asker.asked();
        Ok(Facts {
            demo,
            sku,
            received,
            sold,
            refused,
            borrowed,
            books,
            conflict,
            states,
            seconds,
            checks,
            ok,
            requests,
        })
    }

    /// The shelf of a site, if it is a store.
    fn shelf_of(&self, site: &str) -> Option<&str> {
        let found = self.demo.sites.iter().find(|known| known.site == site && known.kind == SiteKind::Store)?;
        Some(&found.site)
    }

    /// A new item, a few units of it in the warehouse, and some on the shelves of the stores.
    async fn receive(&mut self) -> anyhow::Result<BTreeMap<String, u64>> {
        let product = json!({"id": self.sku, "sku": self.sku, "title": "Lamp of the tour"});
        self.asker.done(HOME, path::PRODUCTS, "product", product).await?;
        let mut received = BTreeMap::new();
        let units = |location: &str, quantity: u64| json!({"sku": self.sku, "location": location, "quantity": quantity, "reference": format!("{}-{location}", self.sku)});
        self.asker.done(HOME, path::RECEIVE, "receive-warehouse", units(WAREHOUSE, WAREHOUSE_UNITS)).await?;
        received.insert(WAREHOUSE.to_owned(), WAREHOUSE_UNITS);
        self.asker.until_equal().await?;
        let stores = self.demo.sites.iter().filter(|site| site.kind == SiteKind::Store);
        for (store, quantity) in stores.zip(SHELF_UNITS).filter(|(_, quantity)| *quantity > 0) {
            let what = format!("receive-{}", store.site);
            self.asker.done(&store.site, path::RECEIVE, &what, units(&store.site, quantity)).await?;
            received.insert(store.site.clone(), quantity);
        }
        self.asker.until_equal().await?;
        self.tell.received(&self.sku, &received);
        Ok(received)
    }

    /// A store whose shelf is empty sells a unit of the warehouse: it asks for it, and is given it.
    async fn borrow(&mut self) -> anyhow::Result<Value> {
        let store =
            self.demo.sites.iter().rfind(|site| site.kind == SiteKind::Store).context("the demo has no store")?;
        let store = store.site.clone();
        let first = self.buy(&store, WAREHOUSE, "borrow-0").await?;
        let (asker, sku) = (&self.asker, &self.sku);
        let number = std::cell::Cell::new(0);
        let (_, seconds) = until("a store is given the unit that it asked for", || async {
            number.set(number.get() + 1);
            let what = format!("borrow-{}", number.get());
            Ok(buy(asker, &store, sku, WAREHOUSE, &what).await?.is_none().then_some(()))
        })
        .await?;
        let told = first.context("a store sold from the warehouse without having asked for a unit")?;
        self.tell.borrowed(&store, &told.answer, seconds);
        self.seconds.insert("until_borrowed", seconds);
        self.check(
            "a store is told what others hold, asks for it, and sells it",
            told.answer["code"] == "quota_exhausted_here" && told.answer["elsewhere"] == WAREHOUSE_UNITS,
            format!("elsewhere {}; sold {seconds:.3} s later", told.answer["elsewhere"]),
        );
        // What the two regions hold of each other's moves is read before anything is cut.
        self.asker.until_equal().await?;
        Ok(json!({"site": store, "first_answer": told.answer, "seconds": seconds}))
    }

    /// Two people edit the title, neither knowing of the other.
    async fn edit(&mut self) -> anyhow::Result<BTreeMap<&'static str, String>> {
        let mut titles = BTreeMap::new();
        for site in [HOME, OTHER] {
            let title = format!("Lamp, as {site} calls it");
            self.asker.patch(site, &path::with(path::PRODUCT, &[&self.sku]), json!({"title": title})).await?;
            titles.insert(site, title);
        }
        Ok(titles)
    }

    /// Buyers come to all sites at once, and buy until they are refused: at a store first from its own shelf, then
    /// everywhere from the warehouse.
    async fn sell(&mut self) -> anyhow::Result<(BTreeMap<String, BTreeMap<String, u64>>, Vec<Refused>)> {
        let mut buyers = JoinSet::new();
        for site in self.demo.sites.iter().map(|site| site.site.clone()) {
            let shelf = self.shelf_of(&site).map(str::to_owned);
            for buyer in 0..BUYERS {
                let (asker, sku, site, shelf) = (self.asker.clone(), self.sku.clone(), site.clone(), shelf.clone());
                buyers.spawn(async move {
                    let mut got = Vec::new();
                    for location in shelf.into_iter().chain([WAREHOUSE.to_owned()]) {
                        for number in 0.. {
                            let what = format!("buy-{site}-{location}-{buyer}-{number}");
                            let refused = buy(&asker, &site, &sku, &location, &what).await?;
                            let is_over = refused.is_some();
                            got.push((site.clone(), location.clone(), refused));
                            if is_over {
                                break;
                            }
                        }
                    }
                    anyhow::Ok(got)
                });
            }
        }
        let (mut sold, mut refused) = (BTreeMap::<String, BTreeMap<String, u64>>::new(), Vec::<Refused>::new());
        while let Some(got) = buyers.join_next().await {
            for (site, location, answer) in got?? {
                let Some(Asked { answer, .. }) = answer else {
                    *sold.entry(site).or_default().entry(location).or_default() += 1;
                    continue;
                };
                let code = answer["code"].as_str().unwrap_or_default().to_owned();
                let same =
                    |other: &&mut Refused| other.site == site && other.location == location && other.code == code;
                match refused.iter_mut().find(same) {
                    Some(same) => same.times += 1,
                    None => refused.push(Refused { site, location, code, times: 1, answer }),
                }
            }
        }
        refused.sort_by(|a, b| (&a.site, &a.location, &a.code).cmp(&(&b.site, &b.location, &b.code)));
        Ok((sold, refused))
    }

    async fn buy(&self, site: &str, location: &str, what: &str) -> anyhow::Result<Option<Asked>> {
        buy(&self.asker, site, &self.sku, location, what).await
    }

    /// Whoever is refused is told the truth: that others may hold some, or that there is no more.
    fn check_refusals(&mut self, refused: &[Refused]) {
        let fits = |refused: &Refused| {
            let facts = &refused.answer;
            let is_said = facts["available"] == 0 && facts["wanted"] == 1 && facts["sku"] == self.sku.as_str();
            let expected = if refused.location == WAREHOUSE { "quota_exhausted_here" } else { "insufficient_stock" };
            let elsewhere = facts["elsewhere"].as_u64().unwrap_or(0);
            is_said && refused.code == expected && (refused.location != WAREHOUSE || elsewhere > 0)
        };
        let sites: std::collections::BTreeSet<&str> = refused.iter().map(|refused| refused.site.as_str()).collect();
        let ok = refused.iter().all(fits) && sites.len() == self.demo.sites.len();
        let count = |code: &str| refused.iter().filter(|it| it.code == code).map(|it| it.times).sum::<u64>();
        let (elsewhere, nowhere) = (count("quota_exhausted_here"), count("insufficient_stock"));
        let found = format!("{} sites; {elsewhere}× quota_exhausted_here, {nowhere}× insufficient_stock", sites.len());
        self.check("in the cut every site sells what it holds and then says what others hold", ok, found);
    }

    /// Healed, everybody knows that nothing is left anywhere.
    async fn check_sold_out(&mut self) -> anyhow::Result<()> {
        let mut codes = BTreeMap::new();
        for site in self.asker.names() {
            let refused = self.buy(site, WAREHOUSE, &format!("sold-out-{site}")).await?;
            let code = refused.map_or("sold".into(), |asked| asked.answer["code"].clone());
            codes.insert(site.to_owned(), code);
        }
        let told = codes.values().filter(|code| *code == "insufficient_stock").count();
        let ok = told == codes.len();
        self.tell.step("Who asks for one more now is told insufficient_stock everywhere: nothing is left anywhere.");
        self.check(
            "after the cut no site sells one more",
            ok,
            format!("insufficient_stock at {told} of {} sites", codes.len()),
        );
        Ok(())
    }

    /// What each site holds, at positions at which all have read the same.
    async fn states(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        let (asker, sku) = (&self.asker, &self.sku);
        let (states, _) = until("the sites stand still for as long as they are compared", || async {
            let (before, _) = asker.until_equal().await?;
            let mut states = BTreeMap::new();
            for site in asker.names() {
                states.insert(site.to_owned(), books::state(asker, site, sku).await?);
            }
            let (after, _) = asker.until_equal().await?;
            Ok((before == after).then_some(states))
        })
        .await?;
        Ok(states)
    }

    /// The two edits are a conflict that every site tells in the same way, and the reference service's clients too.
    async fn conflict(&mut self, titles: &BTreeMap<&'static str, String>) -> anyhow::Result<Value> {
        let (asker, sku) = (&self.asker, &self.sku);
        let mut told = BTreeMap::new();
        for site in asker.names() {
            let conflicts = asker.get(site, &path::with(path::CONFLICTS, &[sku])).await?["items"].clone();
            let title = asker.get(site, &path::with(path::PRODUCT, &[sku])).await?["title"].clone();
            told.insert(site.to_owned(), json!({"title": title, "conflicts": conflicts}));
        }
        let here = told.get(HOME).cloned().unwrap_or_default();
        let conflict = here["conflicts"][0].clone();
        let winner = conflict["winner"]["site"].as_str().unwrap_or_default().to_owned();
        let candidates = conflict["candidates"].as_array().map_or(0, Vec::len);
        let fits = |candidate: &Value| {
            let title = candidate["site"].as_str().and_then(|site| titles.get(site));
            title.is_some_and(|title| candidate["value"] == title.as_str())
        };
        let all_fit = conflict["candidates"].as_array().is_some_and(|all| all.iter().all(fits));
        let ok = told.values().all(|other| *other == here)
            && here["conflicts"].as_array().map(Vec::len) == Some(1)
            && (conflict["field"].as_str(), candidates, all_fit) == (Some("/title"), 2, true)
            && titles.get(winner.as_str()).is_some_and(|title| here["title"] == title.as_str());
        let catalogue = kontor_client::Client::new(&url(CATALOGUE_PORT, self.offset), None)?;
        let reply = catalogue.get(&format!("/explain-merge/{sku}/{HOME}")).await?;
        let explained: Value = reply.json()?;
        let says_so = explained["winner_region"] == winner.as_str() && explained["simulated"] == false;
        self.tell.conflict(&conflict, &explained);
        let rule = conflict["rule"].as_str().unwrap_or_default();
        let found = format!("{candidates} candidates, rule {rule}, winner {winner}");
        self.check("two edits that knew nothing of each other are one conflict, told alike by all sites", ok, found);
        let found = format!("winner_region {}", explained["winner_region"].as_str().unwrap_or_default());
        self.check("the global catalogue explains that conflict, and not a simulated one", says_so, found);
        Ok(json!({"by_site": told, "explain_merge": explained}))
    }

    fn check_sums(
        &mut self,
        received: &BTreeMap<String, u64>,
        sold: &BTreeMap<String, BTreeMap<String, u64>>,
        books: &[Books],
        states: &BTreeMap<String, Value>,
    ) {
        let units: u64 = received.values().sum();
        let acknowledged: u64 = sold.values().flat_map(BTreeMap::values).sum();
        let end = books.last().map_or(0, Books::sold);
        let ok = acknowledged == units && u64::try_from(end) == Ok(units);
        let found =
            format!("{units} received; {acknowledged} sales acknowledged; {end} sold by the books of all sites");
        self.check("the units sold over all sites are those that were received", ok, found);
        let found = books.iter().map(|books| {
            let differences: i64 = books.shelves.values().map(|shelf| shelf.difference.abs()).sum();
            let in_flight: i64 = books.shelves.values().map(|shelf| shelf.in_flight).sum();
            format!("{}: {} units, {in_flight} in flight, difference {differences}", books.when, books.received())
        });
        let found = found.collect::<Vec<_>>().join("; ");
        let ok = books.iter().all(|books| books.holds);
        self.check("Σ quota + in flight = received − written off, at every shelf", ok, found);
        let ok = states.values().all(|state| Some(state) == states.values().next());
        let first = states.values().next().and_then(Value::as_object);
        let digests = first.into_iter().flatten().map(|(of, digest)| {
            let start = digest.as_str().and_then(|digest| digest.get(..8)).unwrap_or_default();
            format!("{of} {start}…")
        });
        let found = format!("{} sites; {}", states.len(), digests.collect::<Vec<_>>().join("; "));
        self.check("all sites hold the same catalogue, levels and books", ok, found);
    }

    fn check(&mut self, what: &'static str, ok: bool, found: String) {
        self.checks.push(Check { what, ok, found });
    }
}

/// Buys one unit: holds it, and commits the hold. Answers the refusal, if it is one.
async fn buy(asker: &Asker, site: &str, sku: &str, location: &str, what: &str) -> anyhow::Result<Option<Asked>> {
    let hold = json!({"lines": [{"sku": sku, "location": location, "quantity": 1}], "ttl_s": 600});
    let held = asker.post(site, path::RESERVATIONS, what, hold).await?;
    if held.status == 409 {
        return Ok(Some(held));
    }
    anyhow::ensure!(held.status == 201, "{site} answered {} to a buyer: {}", held.status, held.answer);
    let id = held.answer["id"].as_str().context("a reservation has no id")?;
    asker.done(site, &path::with(path::COMMIT, &[id]), &format!("{what}-commit"), json!({})).await?;
    Ok(None)
}
