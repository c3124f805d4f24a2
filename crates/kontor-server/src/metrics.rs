//! Counters and timings of requests, by route, with handles made once: counting a request looks up
//! two small maps and allocates nothing.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use http::{Method, StatusCode};
use kontor_api::Code;
use metrics::{Counter, Gauge, Histogram};

/// All handles of the service.
pub(crate) struct Metrics {
    /// By path template, then by method.
    routes: HashMap<String, Vec<(Method, RouteMetrics)>>,
    /// Requests that no route takes.
    elsewhere: RouteMetrics,
    /// The two reads that most requests are.
    pub(crate) product: RouteMetrics,
    pub(crate) stock: RouteMetrics,
    refusals: Vec<(Code, Counter)>,
    pub(crate) connections: Gauge,
    pub(crate) streams: Gauge,
}

/// The handles of one route and method.
#[derive(Clone)]
pub(crate) struct RouteMetrics(std::sync::Arc<Handles>);

struct Handles {
    method: String,
    route: String,
    seconds: Histogram,
    /// In the order of [`STATUSES`], and one more for all others.
    by_status: Box<[OnceLock<Counter>]>,
}

/// Statuses that the service answers with, the usual first: of successes, of pages that are elsewhere,
/// and of every code of a problem.
static STATUSES: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut statuses = vec![200, 201, 304, 204, 303, 307, 308];
    for code in Code::ALL {
        if !statuses.contains(&code.status()) {
            statuses.push(code.status());
        }
    }
    statuses
});

impl Metrics {
    /// Makes the handles of these routes.
    pub(crate) fn new(routes: impl IntoIterator<Item = (String, Method)>) -> Self {
        let mut by_path: HashMap<String, Vec<(Method, RouteMetrics)>> = HashMap::new();
        for (path, method) in routes {
            let handles = RouteMetrics::new(method.as_str(), &path);
            by_path.entry(path).or_default().push((method, handles));
        }
        let refusals = Code::ALL.iter().map(|code| {
            let labels = [("code", code.as_str())];
            (*code, metrics::counter!("kontor_http_problems_total", &labels))
        });
        let get = |path: &str| {
            let of_path = by_path.get(path).into_iter().flatten();
            let found = of_path.into_iter().find(|(method, _)| *method == Method::GET);
            found.map_or_else(|| RouteMetrics::new("GET", path), |(_, handles)| handles.clone())
        };
        Self {
            product: get(kontor_api::path::PRODUCT),
            stock: get(kontor_api::path::STOCK_OF_SKU),
            elsewhere: RouteMetrics::new("other", "other"),
            refusals: refusals.collect(),
            connections: metrics::gauge!("kontor_http_connections"),
            streams: metrics::gauge!("kontor_http_streams"),
            routes: by_path,
        }
    }

    /// The handles of a route; those of "other" for what is not in the API's document.
    pub(crate) fn route(&self, route: Option<&str>, method: &Method) -> &RouteMetrics {
        let methods = route.and_then(|route| self.routes.get(route));
        // HEAD is GET without a body.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let found = methods.and_then(|methods| methods.iter().find(|(of, _)| of == method));
        found.map_or(&self.elsewhere, |(_, handles)| handles)
    }

    pub(crate) fn problem(&self, code: Code) {
        if let Some((_, counter)) = self.refusals.iter().find(|(of, _)| *of == code) {
            counter.increment(1);
        }
    }
}

impl RouteMetrics {
    fn new(method: &str, route: &str) -> Self {
        let labels = [("method", method.to_owned()), ("route", route.to_owned())];
        Self(std::sync::Arc::new(Handles {
            method: method.to_owned(),
            route: route.to_owned(),
            seconds: metrics::histogram!("kontor_http_request_seconds", &labels),
            by_status: (0..=STATUSES.len()).map(|_| OnceLock::new()).collect(),
        }))
    }

    pub(crate) fn record(&self, status: StatusCode, seconds: f64) {
        let Handles { method, route, seconds: histogram, by_status } = &*self.0;
        histogram.record(seconds);
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        let counter = by_status.get(known.unwrap_or(STATUSES.len())).map(|counter| {
            counter.get_or_init(|| {
                let labels = [("method", method.clone()), ("route", route.clone()), ("status", label(status))];
                metrics::counter!("kontor_http_requests_total", &labels)
            })
        });
        if let Some(counter) = counter {
            counter.increment(1);
        }
    }
}

/// How a status is called in the metrics. Those that share a counter share a name.
fn label(status: StatusCode) -> String {
    match STATUSES.contains(&status.as_u16()) {
        true => status.as_str().to_owned(),
        false => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_code_has_its_own_name_and_the_rest_share_one() {
        for code in Code::ALL {
            let status = StatusCode::from_u16(code.status()).unwrap();
            assert_eq!(label(status), code.status().to_string(), "{code:?}");
        }
        assert_eq!((label(StatusCode::OK), label(StatusCode::IM_A_TEAPOT)), ("200".into(), "other".into()));
        let mut sorted = STATUSES.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), STATUSES.len(), "no status is counted in two places");
    }
}
