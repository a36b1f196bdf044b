//! Sockets around the router.

use super::long::{Kept, LongTargets};
use super::presence::Presence;
use super::taking::{Taken, Taking};
use super::turned::turn_away;
use super::upgrade::PeerAddress;
use super::{Backend, LongTarget, Router};
use crate::doors::{Pass, unless_asked_to_go};
use crate::metrics::{Door, HttpEnded, Metrics};
use crate::socket::Socket;
use crate::tls::{Acceptor, Knocks};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes of a request head that hyper reads. A little more than the gateway accepts, so that the gateway's own answer
/// is given to most of those that are too long.
pub(super) const HEAD_BYTES_MAX: usize = crate::rpc::gateway::HEAD_BYTES_MAX + 64 * 1024;
/// Time that requests in work get when the server stops.
const STOP_TIME: Duration = Duration::from_secs(10);
/// Time until the next try when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves everybody who connects, under TLS where there is an acceptor, until `stop` says so; then ends what is in work.
pub async fn serve<B: Backend>(
    router: Arc<Router<B>>,
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error is a sender that is gone: nobody could stop this any more.
            () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((socket, peer)) => {
                let pass = match &router.guard {
                    Some(guard) => guard.admit(peer.ip()).await,
                    None => Ok(peer.ip().into()),
                };
                let pass = match pass {
                    Ok(pass) => pass,
                    Err(why) if tls.is_none() => {
                        turn_away(socket, why);
                        continue;
                    }
                    Err(_) => continue,
                };
                // Heads and bodies leave in one piece anyway. The connection works without it too.
                let _ = socket.set_nodelay(true);
                limit_stall(&socket, router.limits.http_silence_ms);
                let (router, tls, stop) = (Arc::clone(&router), tls.clone(), stop.clone());
                let open = Open::new(router.metrics.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(router, socket.into(), pass, stop).await,
                        Some(tls) => {
                            let shaken = tls.accept(socket, peer.ip(), Knocks::Anybody);
                            if let Some(socket) = unless_asked_to_go(shaken, &pass).await {
                                connection(router, socket.into(), pass, stop).await;
                            }
                        }
                    }
                    drop(open);
                });
            }
            Err(error) => {
                router.metrics.accept_errors.count(Door::Http);
                tracing::warn!(%error, "a connection was not accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIME, ended).await.is_err() {
        tracing::warn!("requests were in work for too long and are broken off");
    }
}

async fn connection<B: Backend>(
    router: Arc<Router<B>>,
    socket: Socket,
    pass: Pass,
    mut stop: watch::Receiver<bool>,
) {
    let (metrics, head_time) =
        (router.metrics.clone(), Duration::from_millis(router.limits.http_head_ms));
    let peer = pass.address();
    let presence = Presence::new(pass);
    let kept = Kept::default();
    let taking = Taking::new(&router.limits, router.clock.clone());
    let socket = LongTargets::new(socket, kept.clone(), Taken::new(Arc::clone(&taking)));
    let here = Arc::clone(&presence);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (router, busy, taking) = (Arc::clone(&router), here.begin(), Arc::clone(&taking));
        let target = request.uri().path_and_query();
        if let Some(long) = target.and_then(|target| kept.take(target.as_str())) {
            request.extensions_mut().insert(LongTarget(long));
        }
        request.extensions_mut().insert(PeerAddress(peer));
        async move {
            let answer = router.route(request).await;
            taking.begin();
            Ok::<_, Infallible>(answer.map(|body| busy.until_sent(body)))
        }
    });
    let serving = http1::Builder::new()
        // Device SDKs look for `Content-Length:` letter by letter.
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = presence.asked_to_go() => {
            if !presence.is_busy() {
                metrics.http_ended.count(HttpEnded::Evicted);
                return;
            }
            // A request came just then: it is the last one.
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    metrics.http_ended.count(how(ended.as_ref().err()));
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended: {error}");
    }
}

/// A connection as long as it is counted as open.
struct Open(Metrics);

impl Open {
    fn new(metrics: Metrics) -> Self {
        metrics.accepted.count(Door::Http);
        metrics.connections.gauge(Door::Http).inc();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.gauge(Door::Http).dec();
    }
}

/// Under which label the end of a connection is counted.
fn how(error: Option<&hyper::Error>) -> HttpEnded {
    match error {
        None => HttpEnded::Done,
        Some(error) if error.is_timeout() => HttpEnded::HeadTimeout,
        Some(error) if error.is_parse_too_large() => HttpEnded::HeadTooLarge,
        Some(error) if error.is_parse() => HttpEnded::Malformed,
        Some(error) if is_stalled(error) => HttpEnded::Stalled,
        Some(_) => HttpEnded::Broken,
    }
}

/// Whether a socket took nothing, or too little.
fn is_stalled(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &std::io::Error| cause.kind() == std::io::ErrorKind::TimedOut)
}

/// Lets the system give a socket up whose peer takes nothing of what was sent for so long; 0: for as long as the system likes.
pub(super) fn limit_stall(socket: &TcpStream, silence_ms: u64) {
    let silence_ms = u32::try_from(silence_ms).unwrap_or(u32::MAX);
    // Without it only the least rate holds.
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, silence_ms) {
        tracing::debug!(%error, "a reader that takes nothing won't be noticed: {error}");
    }
}
