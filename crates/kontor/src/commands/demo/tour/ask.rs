//! What the tour asks the sites, and that it writes down each request that changes something or decides, with
//! its answer, so that others can verify it.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use kontor_api::demo::{DEMO_LINKS, Demo, DemoLink, SetLinks};
use kontor_api::site::{LinkState, PeerSite, Sites};
use kontor_client::{Client, IfMatch, Reply};
use kontor_site::clock::Stopwatch;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::world::KEY;

/// How long the sites may take for what they do by themselves: to notice a cut, to come together again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two questions whether it is so already.
const REST: Duration = Duration::from_millis(25);

/// A request and its answer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Asked {
    pub(super) site: String,
    method: &'static str,
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) body: Value,
    pub(super) status: u16,
    pub(super) answer: Value,
}

/// The sites of a demo, and what was asked of them. Clones write into the same list.
#[derive(Clone)]
pub(super) struct Asker {
    sites: Arc<Vec<(String, Client)>>,
    /// Who reads whom over a link of the demo.
    links: Arc<Vec<DemoLink>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// What the keys of this tour begin with.
    tour: String,
}

impl Asker {
    pub(super) fn of(demo: &Demo, tour: &str) -> anyhow::Result<Self> {
        let client = |site: &kontor_api::demo::DemoSite| Ok((site.site.clone(), Client::new(site.url(), Some(KEY))?));
        let sites = demo.sites.iter().map(client).collect::<anyhow::Result<_>>()?;
        let (sites, links) = (Arc::new(sites), Arc::new(demo.links.clone()));
        Ok(Self { sites, links, asked: Arc::default(), tour: tour.to_owned() })
    }

    /// The names of the sites, in the order of the demo.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.sites.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn client(&self, site: &str) -> anyhow::Result<&Client> {
        let found = self.sites.iter().find(|(name, _)| name == site);
        found.map(|(_, client)| client).with_context(|| format!("the demo has no site {site}"))
    }

    /// Reads, and writes nothing down.
    pub(super) async fn read(&self, site: &str, path: &str) -> anyhow::Result<Value> {
        let reply = self.client(site)?.get(path).await.with_context(|| format!("{site} was asked for {path}"))?;
        reply.json().with_context(|| format!("{site} was asked for {path}"))
    }

    /// Reads what decides.
    pub(super) async fn get(&self, site: &str, path: &str) -> anyhow::Result<Value> {
        let reply = self.client(site)?.get(path).await?;
        let asked = self.note(site, "GET", path, None, Value::Null, &reply);
        succeeded(asked)
    }

    /// Posts under a key that says what for, whatever the answer.
    pub(super) async fn post(&self, site: &str, path: &str, what: &str, body: Value) -> anyhow::Result<Asked> {
        let key = format!("{}-{what}", self.tour);
        let bytes = serde_json::to_vec(&body)?;
        let reply = self.client(site)?.post(path, Some(&key), bytes).await?;
        Ok(self.note(site, "POST", path, Some(key), body, &reply))
    }

    /// Posts what must be done.
    pub(super) async fn done(&self, site: &str, path: &str, what: &str, body: Value) -> anyhow::Result<Value> {
        succeeded(self.post(site, path, what, body).await?)
    }

    /// Edits whatever is there.
    pub(super) async fn patch(&self, site: &str, path: &str, body: Value) -> anyhow::Result<Value> {
        let reply = self.client(site)?.patch(path, IfMatch::Any, serde_json::to_vec(&body)?).await?;
        succeeded(self.note(site, "PATCH", path, None, body, &reply))
    }

    /// Cuts or heals all links.
    pub(super) async fn set_links(&self, open: bool) -> anyhow::Result<Demo> {
        let (name, client) = self.sites.first().context("the demo has no sites")?;
        let body = serde_json::to_value(SetLinks { open, ..SetLinks::default() })?;
        let reply = client.post(DEMO_LINKS, None, serde_json::to_vec(&body)?).await?;
        Ok(serde_json::from_value(succeeded(self.note(name, "POST", DEMO_LINKS, None, body, &reply))?)?)
    }

    /// What was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(
        &self,
        site: &str,
        method: &'static str,
        path: &str,
        idempotency_key: Option<String>,
        body: Value,
        reply: &Reply,
    ) -> Asked {
        let answer = serde_json::from_slice(&reply.body);
        let answer = answer.unwrap_or_else(|_| String::from_utf8_lossy(&reply.body).into_owned().into());
        let (site, path, status) = (site.to_owned(), path.to_owned(), reply.status.as_u16());
        let asked = Asked { site, method, path, idempotency_key, body, status, answer };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        asked
    }

    /// What every site says of itself and of the others.
    pub(super) async fn sites(&self) -> anyhow::Result<Vec<Sites>> {
        let mut said = Vec::new();
        for (_, client) in self.sites.iter() {
            said.push(client.sites().await?);
        }
        Ok(said)
    }

    /// Waits until no site reaches any other.
    pub(super) async fn until_cut(&self) -> anyhow::Result<f64> {
        let is_cut = |item: Option<&PeerSite>| item.is_some_and(|item| item.link == LinkState::Cut);
        until("every site says that its links are cut", || async {
            let said = self.sites().await?;
            Ok(self.links.iter().all(|link| is_cut(found(&said, link))).then_some(()))
        })
        .await
        .map(|((), seconds)| seconds)
    }

    /// Waits until every site has read all that every other one holds. Answers where the journals end, and how
    /// long it took.
    pub(super) async fn until_equal(&self) -> anyhow::Result<(Value, f64)> {
        until("every site has read all that the others hold", || async {
            // Who has read everything may write because of it: nothing may be written between two looks.
            let (before, after) = (self.sites().await?, self.sites().await?);
            Ok((ends(&before) == ends(&after) && self.is_all_read(&before)).then(|| ends(&after)))
        })
        .await
    }
}

impl Asker {
    /// Whether every link is open, and every site has read every other one to its end.
    fn is_all_read(&self, said: &[Sites]) -> bool {
        let end = |name: &str| said.iter().find(|sites| sites.site == name).map(|sites| sites.end);
        let is_read = |sites: &Sites| {
            let read = sites.items.iter().filter(|item| Some(item.read) == end(&item.site)).count();
            read + 1 == said.len()
        };
        let is_open = |item: Option<&PeerSite>| item.is_some_and(|item| item.link == LinkState::Open);
        self.links.iter().all(|link| is_open(found(said, link))) && said.iter().all(is_read)
    }
}

/// Where the journals end.
fn ends(said: &[Sites]) -> Value {
    said.iter().map(|sites| (sites.site.clone(), json!(format!("{}-{}", sites.end.term, sites.end.seq)))).collect()
}

/// What the reader of a link says of the site that it reads.
fn found<'s>(said: &'s [Sites], link: &DemoLink) -> Option<&'s PeerSite> {
    let reader = said.iter().find(|sites| sites.site == link.from)?;
    reader.items.iter().find(|item| item.site == link.to)
}

fn succeeded(asked: Asked) -> anyhow::Result<Value> {
    if (200..300).contains(&asked.status) {
        return Ok(asked.answer);
    }
    bail!("{} {} at {} was answered with {}: {}", asked.method, asked.path, asked.site, asked.status, asked.answer)
}

/// Asks until there is an answer, within a time that is long for every machine. Answers how long it took.
pub(super) async fn until<T, F: Future<Output = anyhow::Result<Option<T>>>>(
    what: &str,
    ask: impl Fn() -> F,
) -> anyhow::Result<(T, f64)> {
    let watch = Stopwatch::start();
    let mut asking = pin!(async {
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            // Nothing tells this process when it is so.
            let _ = timeout(REST, std::future::pending::<()>()).await;
        }
    });
    let answer = timeout(PATIENCE, &mut asking).await;
    let answer: anyhow::Result<T> = answer.with_context(|| format!("not within {PATIENCE:?}: {what}"))?;
    Ok((answer?, watch.seconds()))
}
