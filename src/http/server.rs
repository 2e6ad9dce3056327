//! Connections: accepted up to a bound, timed out while they say nothing, drained at the end.
//!
//! warp's own server has no header timeout, no bound and no deadline for its shutdown.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use warp::http::{Request, Uri};
use warp::reply::Response;

use super::connection_limit::{ConnectionLimit, ConnectionPermit};
use super::server_socket::{AbortFlag, ServerSocket};
use crate::limits::{ACCEPT_PAUSE, DRAIN_TIMEOUT, HEADER_TIMEOUT, TLS_HANDSHAKE_TIMEOUT, WRITE_TIMEOUT};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// Serves connections, over TLS where there is a configuration, as far as there are `places`, until `stop`; then drains
/// them for at most [`DRAIN`].
pub(super) async fn run<S>(
    listener: TcpListener,
    service: S,
    mut places: ConnectionLimit,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let draining = GracefulShutdown::new();
    let cut_off = CancellationToken::new();
    let _cut_off_at_the_end = cut_off.clone().drop_guard();
    while let Some(Some((stream, peer, place))) =
        stop.run_until_cancelled(accept_connection(&listener, &mut places)).await
    {
        let abort = AbortFlag::default();
        let mut stream = TimeoutStream::new(ServerSocket::new(stream, abort.clone()));
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = Box::pin(stream);
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddress(peer));
            // A target without a path, as CONNECT has it, is no path that warp can read; nothing is at the root.
            if !request.uri().path().starts_with('/') {
                *request.uri_mut() = Uri::from_static("/");
            }
            let (version, abort) = (request.version(), abort.clone());
            let answered = service.call(request);
            async move { answered.await.inspect(|response| abort.note(version, response)) }
        });
        let (http, draining) = (http.clone(), draining.watcher());
        let tls = tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
        let (stop, cut_off) = (stop.clone(), cut_off.clone());
        tokio::spawn(async move {
            let served = async move {
                let Some(tls) = tls else { return serve_connection(http, stream, service, draining).await };
                // Nothing was asked yet, so nothing is lost where it ends early.
                let shaken = stop.run_until_cancelled(timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(stream))).await;
                match shaken {
                    // In a box, so that connections without TLS are as small as they were.
                    Some(Ok(Ok(stream))) => Box::pin(serve_connection(http, stream, service, draining)).await,
                    Some(Ok(Err(error))) => {
                        tracing::debug!(%peer, %error, "a client did not agree on TLS");
                    }
                    Some(Err(_)) => tracing::debug!(%peer, "a client did not agree on TLS in time"),
                    None => {}
                }
            };
            cut_off.run_until_cancelled(served).await;
            drop(place);
        });
    }
    drop(listener);
    if timeout(DRAIN_TIMEOUT, draining.shutdown()).await.is_err() {
        let open = places.open_connections();
        tracing::warn!(
            open,
            "connections are cut off: their requests did not finish within {} s",
            DRAIN_TIMEOUT.as_secs()
        );
    }
}

/// Answers what is asked on one connection.
async fn serve_connection<IO, S>(http: http1::Builder, stream: IO, service: S, draining: Watcher)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + 'static,
    S::Future: 'static,
{
    let connection = http.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = draining.watch(connection).await {
        // Clients that hang up or send no HTTP are everyday life.
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
    }
}

/// The next connection, once there is a place for it; until then clients wait in the listen queue. A client that has too
/// many is not waited for.
async fn accept_connection(
    listener: &TcpListener,
    places: &mut ConnectionLimit,
) -> Option<(TcpStream, SocketAddr, ConnectionPermit)> {
    let mut free = places.acquire().await?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match places.admit(free, peer.ip()) {
                Ok(place) => {
                    // Answers are written whole, so there is nothing to gain from waiting for more. Fails only on a
                    // connection that is gone already.
                    let _ = stream.set_nodelay(true);
                    return Some((stream, peer, place));
                }
                Err(again) => free = again,
            },
            Err(error) if affects_one_connection_only(&error) => {}
            Err(error) => {
                // Out of files or memory: an accept that is tried again at once would fail again and again.
                tracing::warn!(%error, "no connection can be accepted; raise the limit on open files (ulimit -n)");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection that was to be accepted is lost.
fn affects_one_connection_only(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
