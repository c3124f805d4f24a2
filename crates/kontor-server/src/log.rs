//! One line per write and per failed request. Successful reads are counted in the metrics and not
//! logged: at tens of thousands a second a log of them is read by nobody and costs more than they do.

use http::{Method, StatusCode};

use crate::ids::Ids;
use crate::problem::Problem;

/// What a line says.
pub(crate) struct Line<'l> {
    pub(crate) ids: &'l Ids,
    pub(crate) method: &'l Method,
    /// The template, so that no id of a caller becomes a field that is searched by.
    pub(crate) route: &'l str,
    pub(crate) path: &'l str,
    pub(crate) status: StatusCode,
    pub(crate) seconds: f64,
    pub(crate) actor: &'l str,
    pub(crate) problem: Option<&'l Problem>,
}

impl Line<'_> {
    /// Whether the request is worth one.
    pub(crate) fn is_due(method: &Method, status: StatusCode) -> bool {
        status.is_client_error() || status.is_server_error() || !method.is_safe()
    }

    pub(crate) fn write(&self) {
        let Self { ids, method, route, path, status, seconds, actor, problem } = self;
        let (request_id, trace_id, status) = (ids.request_id(), ids.trace_id(), status.as_u16());
        let duration_ms = (seconds * 1e6).round() / 1e3;
        macro_rules! line {
            ($level:ident, $($message:tt)+) => {
                tracing::$level!(
                    request.id = request_id,
                    trace.id = trace_id,
                    method = method.as_str(),
                    route,
                    status,
                    duration_ms,
                    actor,
                    $($message)+
                )
            };
        }
        match problem {
            None => line!(info, "{method} {path} was answered with {status}"),
            Some(problem) => {
                let (code, detail) = (problem.code().as_str(), problem.detail());
                match status {
                    _ if problem.is_defect() => line!(error, code, "{method} {path} failed: {detail}"),
                    501.. => line!(warn, code, "{method} {path} could not be done: {detail}"),
                    _ => line!(info, code, "{method} {path} was refused: {detail}"),
                }
            }
        }
    }
}
