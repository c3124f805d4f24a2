//! What every handler is given.

use std::sync::Arc;

use http::HeaderValue;
use kontor_core::command::{Command, Request};
use kontor_core::event::Event;
use kontor_site::persons::Persons;
use kontor_site::reader::Reader;
use kontor_site::{Answer, NotDone, Site};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::compat;
use crate::demo::Demo;
use crate::idempotency::Asked;
use crate::ids;
use crate::limits::Limits;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::payments::Payments;
use crate::personal::Personal;
use crate::problem::Problem;
use crate::refusals::Refusals;
use crate::throttle::Throttles;
use kontor_api::Code;

/// How the service runs.
pub struct Options {
    /// Who may do what.
    pub access: Access,
    /// What it takes at most.
    pub limits: Limits,
    /// Where `/metrics` gets its figures; without it there are none.
    pub metrics: Option<PrometheusHandle>,
    /// Of the program, as it is shown.
    pub version: &'static str,
    /// The address of this site for other sites, as `http://host:port`.
    pub address: String,
    /// The links to other sites.
    pub links: Links,
    /// The demo that the site is part of, if it is of one.
    pub demo: Option<Demo>,
    /// Where payments are made; without it they wait.
    pub payments: Option<Payments>,
    /// The keys of the persons that the site has met.
    pub persons: Arc<Persons>,
    /// Whether callers may make the payment provider go wrong; in a demo they may.
    pub fault_injection: bool,
}

/// What every handler is given. Clones are handles on the same one.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) site: Site,
    /// Its name, as answers carry it.
    pub(crate) name: HeaderValue,
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) prometheus: Option<PrometheusHandle>,
    pub(crate) version: &'static str,
    pub(crate) address: String,
    pub(crate) links: Links,
    pub(crate) demo: Option<Demo>,
    pub(crate) payments: Option<Payments>,
    pub(crate) personal: Personal,
    pub(crate) fault_injection: bool,
    pub(crate) metrics: Metrics,
    pub(crate) throttles: Throttles,
    pub(crate) refusals: Refusals,
    /// What the paths of the reference services keep between requests.
    pub(crate) compat: compat::Kept,
    /// Permits for streams and long polls.
    pub(crate) streams: Arc<Semaphore>,
    /// Permits that callers without a key need as well.
    pub(crate) public_streams: Arc<Semaphore>,
    /// Becomes true when the server begins to stop.
    pub(crate) draining: watch::Sender<bool>,
}

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) fn new(site: Site, options: Options, metrics: Metrics) -> Self {
        let streams = Arc::new(Semaphore::new(options.limits.streams));
        let public_streams = Arc::new(Semaphore::new(options.limits.streams / 2));
        let name = HeaderValue::from_str(site.id().as_str()).expect("a site's name is letters, digits and hyphens");
        Self(Arc::new(Shared {
            site,
            name,
            access: options.access,
            throttles: Throttles::new(&options.limits),
            refusals: Refusals::new(),
            compat: compat::Kept::default(),
            limits: options.limits,
            prometheus: options.metrics,
            version: options.version,
            address: options.address,
            links: options.links,
            demo: options.demo,
            payments: options.payments,
            fault_injection: options.fault_injection,
            personal: Personal::new(options.persons),
            metrics,
            streams,
            public_streams,
            draining: watch::Sender::new(false),
        }))
    }

    /// Gives the site a command, and waits until it is durable or refused.
    pub(crate) async fn submit(&self, asked: &Asked, command: Command) -> Result<Answer, Problem> {
        if asked.is_dry_run {
            return Err(Problem::internal("the site was given a dry run to do"));
        }
        if let Some(why) = self.site.why_stopped() {
            return Err(Problem::new(Code::SiteStopped, format!("the site has stopped: {why}")));
        }
        let request = request(asked, command);
        match tokio::time::timeout(self.limits.write, self.site.submit(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(NotDone::Unknown.into()),
        }
    }

    /// What a command would do now. Nothing is done.
    pub(crate) async fn rehearse(&self, asked: &Asked, command: Command) -> Result<Vec<Event>, Problem> {
        let (site, request) = (self.site.clone(), request(asked, command));
        let rehearsed = tokio::task::spawn_blocking(move || site.rehearse().decide_request(&request)).await;
        Ok(rehearsed.map_err(|_| Problem::internal("a dry run panicked"))??)
    }

    /// Reads many rows on a thread that may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let site = self.site.clone();
        let read = tokio::task::spawn_blocking(move || read(&site.read())).await;
        read.map_err(|_| Problem::internal("a read panicked"))?
    }

    /// Whether the server has begun to stop.
    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

fn request(asked: &Asked, command: Command) -> Request {
    Request {
        command,
        actor: asked.actor.clone(),
        request_id: asked.request_id.clone(),
        idempotency: asked.idempotency,
        fresh_id: ids::fresh_uuid(),
    }
}
