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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use warp::http::{Request, Uri};
use warp::reply::Response;

use crate::limits::{ACCEPT_PAUSE, DRAIN, HEADER_TIMEOUT, WRITE_TIMEOUT};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves connections, at most `max_connections` at once, until `stop`; then drains them for at most [`DRAIN`].
pub(super) async fn run<S>(listener: TcpListener, service: S, max_connections: usize, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let max_connections = max_connections.clamp(1, Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(max_connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let draining = GracefulShutdown::new();
    let cut_off = CancellationToken::new();
    let _cut_off_at_the_end = cut_off.clone().drop_guard();
    while let Some(Some((stream, peer, place))) = stop.run_until_cancelled(accept(&listener, &places)).await {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            // A target without a path, as CONNECT has it, is no path that warp can read; nothing is at the root.
            if !request.uri().path().starts_with('/') {
                *request.uri_mut() = Uri::from_static("/");
            }
            service.call(request)
        });
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = draining.watch(connection);
        let cut_off = cut_off.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = cut_off.run_until_cancelled(connection).await {
                // Clients that hang up or send no HTTP are everyday life.
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(DRAIN, draining.shutdown()).await.is_err() {
        let open = max_connections - places.available_permits();
        tracing::warn!(open, "connections are cut off: their requests did not finish within {} s", DRAIN.as_secs());
    }
}

/// The next connection, once there is a place for it; until then clients wait in the listen queue. None never comes
/// as long as the semaphore is open, which it always is.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written whole, so there is nothing to gain from waiting for more. Fails only on a
                // connection that is gone already.
                let _ = stream.set_nodelay(true);
                return Some((stream, peer, place));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of files or memory: an accept that is tried again at once would fail again and again.
                tracing::warn!(%error, "no connection can be accepted; raise the limit on open files (ulimit -n)");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection that was to be accepted is lost.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
