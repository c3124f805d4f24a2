//! Connections: accepted, bounded in number, size and time, and drained at the end.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kontor_site::Site;
use kontor_site::clock::Stopwatch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::app::{App, Options};
use crate::limits::{ACCEPT_REST, ACCEPT_SAID, Limits, UPKEEP};
use crate::router;
use crate::service::Service;
use crate::unreadable_head::ProblemsForHeads;
use crate::write_timeout::WriteTimeout;

/// Serves a site until `shutdown`, then says that it is not ready, lets requests finish, and returns.
///
/// The site is left open: whoever opened it closes it.
pub async fn serve(
    listener: TcpListener,
    site: Site,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (service, app) = router::service(site, options);
    let limits = app.limits.clone();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let closing = watch::Sender::new(false);
    tokio::spawn(upkeep(app.clone()));
    tokio::spawn(app.personal.persons().clone().follow());

    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_read)
        .max_buf_size(limits.head_bytes)
        .half_close(false);

    let accept = accept(listener, http, service, app.clone(), connections.clone(), closing.clone());
    let mut accept = Box::pin(accept);
    tokio::select! {
        () = &mut accept => {}
        () = shutdown => {}
    }
    app.draining.send_replace(true);
    tracing::info!("The server takes no new work");
    // Whoever balances loads sees that the server is not ready, and meanwhile is still served.
    let _ = timeout(limits.drain_delay, &mut accept).await;
    drop(accept);
    closing.send_replace(true);
    drain(&connections, &limits).await;
    Ok(())
}

/// Accepts connections until it is dropped, and the listener with it.
async fn accept(
    listener: TcpListener,
    http: http1::Builder,
    service: Service,
    app: App,
    connections: Arc<Semaphore>,
    closing: watch::Sender<bool>,
) {
    let mut draining = app.draining.subscribe();
    let (watch, mut failures) = (Stopwatch::start(), Failures::default());
    loop {
        // Beyond the limit, callers wait in the queue of the listener.
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A connection that was gone at once, or no file descriptor left: the next may do.
                if let Some(times) = failures.one_more(watch.seconds()) {
                    tracing::warn!(times, "A connection could not be accepted: {error}");
                }
                let _ = timeout(ACCEPT_REST, draining.wait_for(|draining| *draining)).await;
                continue;
            }
        };
        let (http, service, closing) = (http.clone(), service.clone(), closing.subscribe());
        let stream = ProblemsForHeads::new(prepared(stream, &app.limits), app.clone());
        let gauge = app.metrics.connections.clone();
        tokio::spawn(async move {
            gauge.increment(1);
            connection(stream, peer.ip(), &http, service, closing).await;
            gauge.decrement(1);
            drop(permit);
        });
    }
}

/// Failures to accept: said when they begin, and then now and again with their number.
#[derive(Default)]
struct Failures {
    unsaid: u64,
    said_s: Option<f64>,
}

impl Failures {
    /// Counts one; how many there were since it was last said, if it is time to say so.
    fn one_more(&mut self, now_s: f64) -> Option<u64> {
        self.unsaid += 1;
        if self.said_s.is_some_and(|said_s| now_s - said_s < ACCEPT_SAID.as_secs_f64()) {
            return None;
        }
        self.said_s = Some(now_s);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// A socket that sends at once, and not for ever.
fn prepared(stream: TcpStream, limits: &Limits) -> WriteTimeout<TcpStream> {
    // Answers are small and complete; waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY could not be set: {error}");
    }
    WriteTimeout::new(stream, limits.answer_write)
}

/// Serves one connection until it ends, or the server does.
async fn connection(
    stream: ProblemsForHeads<WriteTimeout<TcpStream>>,
    peer: IpAddr,
    http: &http1::Builder,
    service: Service,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(Some(peer), request).await) }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = closing.wait_for(|closing| *closing) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Callers that leave, are too slow, or do not speak HTTP.
        tracing::debug!("A connection ended early: {error}");
    }
}

/// Waits until every connection has given its permit back, or patience ends.
async fn drain(connections: &Semaphore, limits: &Limits) {
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    match timeout(limits.drain, connections.acquire_many(all)).await {
        Ok(_) => tracing::info!("All connections have ended"),
        Err(_) => tracing::warn!("Some requests did not finish within {:?}", limits.drain),
    }
}

/// Timings are collected in memory until somebody renders or drains them.
async fn upkeep(app: App) {
    let Some(prometheus) = app.prometheus.clone() else { return };
    let mut draining = app.draining.subscribe();
    while timeout(UPKEEP, draining.wait_for(|draining| *draining)).await.is_err() {
        prometheus.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_accept_are_said_once_a_second_with_their_number() {
        let mut failures = Failures::default();
        let said = [0.0, 0.1, 0.9, 1.0, 1.5, 9.0].map(|now_s| failures.one_more(now_s));
        assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
