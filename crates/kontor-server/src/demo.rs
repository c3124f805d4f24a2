//! What exists in a demo alone: its sites, and the links between them, which can be cut and healed. Whoever
//! carries the links follows their state; here is where it is told and set.
//!
//! Neither path needs a key, and neither takes a request that is not meant for this machine.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use http::request::Parts;
use kontor_api::Code;
use kontor_api::demo::{DEMO, DEMO_LINKS, Demo as Told, DemoLink, DemoSite, SetLinks};
use tokio::sync::watch;

use crate::access::is_of_this_machine;
use crate::app::App;
use crate::extract::Sent;
use crate::problem::Problem;
use crate::routes::v1::json;

/// The sites of a demo and the links between them. Clones are handles on the same ones.
#[derive(Clone)]
pub struct Demo(Arc<Inner>);

struct Inner {
    sites: Vec<DemoSite>,
    links: Vec<Gate>,
}

/// A link in one direction.
struct Gate {
    from: String,
    to: String,
    open: watch::Sender<bool>,
}

impl Demo {
    /// A demo of these sites, each linked to those that are named with it, all links open.
    pub fn new(sites: Vec<DemoSite>, links: impl IntoIterator<Item = (String, String)>) -> Self {
        let gate = |(from, to)| Gate { from, to, open: watch::Sender::new(true) };
        Self(Arc::new(Inner { sites, links: links.into_iter().map(gate).collect() }))
    }

    /// Whether a link carries anything, now and from now on.
    pub fn state(&self, from: &str, to: &str) -> Option<watch::Receiver<bool>> {
        let gate = self.0.links.iter().find(|gate| gate.from == from && gate.to == to)?;
        Some(gate.open.subscribe())
    }

    /// The links, each in one direction.
    fn links(&self) -> impl Iterator<Item = DemoLink> + '_ {
        let told = |gate: &Gate| DemoLink { from: gate.from.clone(), to: gate.to.clone(), open: *gate.open.borrow() };
        self.0.links.iter().map(told)
    }

    /// Cuts or heals those that are asked for.
    fn set(&self, asked: &SetLinks) -> Result<(), Problem> {
        for (pointer, name) in [("/from", &asked.from), ("/to", &asked.to)] {
            if let Some(name) = name
                && self.0.sites.iter().all(|site| site.site != *name)
            {
                let names: Vec<&str> = self.0.sites.iter().map(|site| site.site.as_str()).collect();
                return Err(Problem::invalid(
                    pointer,
                    format!("there is no site {name}; there are {}", names.join(", ")),
                ));
            }
        }
        let fits = |from: &str, to: &str| {
            asked.from.as_ref().is_none_or(|name| name == from) && asked.to.as_ref().is_none_or(|name| name == to)
        };
        let meant = |gate: &&Gate| fits(&gate.from, &gate.to) || (!asked.one_way && fits(&gate.to, &gate.from));
        let mut links = self.0.links.iter().filter(meant).peekable();
        if links.peek().is_none() {
            return Err(Problem::invalid("/to", "there is no link between the two"));
        }
        for gate in links {
            gate.open.send_replace(asked.open);
        }
        Ok(())
    }

    /// All of it, as a site of it tells it.
    pub(crate) fn told(&self, site: String) -> Told {
        Told { site, sites: self.0.sites.clone(), links: self.links().collect() }
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new().route(DEMO, get(status)).route(DEMO_LINKS, post(set))
}

/// Proof that the request was meant for this machine, and the demo.
struct Here(Demo);

impl FromRequestParts<App> for Here {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match &app.demo {
            Some(demo) if is_of_this_machine(&parts.headers) => Ok(Self(demo.clone())),
            Some(_) => Err(Problem::new(Code::Forbidden, "a demo is for this machine alone")),
            None => Err(Problem::new(Code::NotFound, "this is no demo")),
        }
    }
}

async fn status(State(app): State<App>, Here(demo): Here) -> Result<Response, Problem> {
    json(StatusCode::OK, &demo.told(app.site.id().to_string()))
}

async fn set(State(app): State<App>, Here(demo): Here, Sent(asked): Sent<SetLinks>) -> Result<Response, Problem> {
    demo.set(&asked)?;
    json(StatusCode::OK, &demo.told(app.site.id().to_string()))
}
