//! Connections: accepted up to a limit, timed out while idle, drained at shutdown.
//!
//! warp's own server has no header timeout, no connection limit and no shutdown deadline.

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
use super::half_close::{HalfCloseStream, RequestUpload, SendingHalf};
use super::request_origin::OriginReader;
use super::server_socket::{AbortFlag, ServerSocket};
use crate::limits::{ACCEPT_PAUSE, DRAIN_TIMEOUT, HEADER_TIMEOUT, TLS_HANDSHAKE_TIMEOUT, WRITE_TIMEOUT};

/// Serves connections within `connection_limit` until `stop`, over TLS if `tls` is given. Then drains them for at most
/// [`DRAIN_TIMEOUT`].
pub(super) async fn run<S>(
    listener: TcpListener,
    service: S,
    mut connection_limit: ConnectionLimit,
    origins: OriginReader,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    stop: CancellationToken,
) where
    S: Service<Request<RequestUpload>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let draining = GracefulShutdown::new();
    let cut_off = CancellationToken::new();
    let _cut_off_at_the_end = cut_off.clone().drop_guard();
    while let Some(Some((stream, peer, permit))) =
        stop.run_until_cancelled(accept_connection(&listener, &mut connection_limit)).await
    {
        let abort = AbortFlag::default();
        let mut stream = TimeoutStream::new(ServerSocket::new(stream, abort.clone()));
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = Box::pin(stream);
        let sending_half = SendingHalf::default();
        let service = connection_service(service.clone(), origins.clone(), peer, abort, sending_half.clone());
        let (http, draining) = (http.clone(), draining.watcher());
        let tls = tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
        let (stop, cut_off) = (stop.clone(), cut_off.clone());
        tokio::spawn(async move {
            let connection = async move {
                let Some(tls) = tls else {
                    let stream = HalfCloseStream::new(stream, sending_half);
                    return serve_connection(http, stream, service, draining).await;
                };
                // No request has arrived yet, so stopping here loses nothing.
                let handshake = stop.run_until_cancelled(timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(stream))).await;
                match handshake {
                    // Boxed, so that the future of a connection without TLS stays small.
                    Some(Ok(Ok(stream))) => {
                        let stream = HalfCloseStream::new(stream, sending_half);
                        Box::pin(serve_connection(http, stream, service, draining)).await;
                    }
                    Some(Ok(Err(error))) => {
                        tracing::debug!(%peer, %error, "a client failed the TLS handshake");
                    }
                    Some(Err(_)) => tracing::debug!(%peer, "a client did not finish the TLS handshake in time"),
                    None => {}
                }
            };
            cut_off.run_until_cancelled(connection).await;
            drop(permit);
        });
    }
    drop(listener);
    if timeout(DRAIN_TIMEOUT, draining.shutdown()).await.is_err() {
        let open = connection_limit.open_connections();
        tracing::warn!(open, "closing connections whose requests did not finish within {} s", DRAIN_TIMEOUT.as_secs());
    }
}

/// Serves each request of one connection, with what the routes know of the connection.
fn connection_service<S>(
    service: S,
    origins: OriginReader,
    peer: SocketAddr,
    abort: AbortFlag,
    half: SendingHalf,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> + Send + 'static
where
    S: Service<Request<RequestUpload>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    service_fn(move |mut request: Request<Incoming>| {
        half.hold();
        request.extensions_mut().insert(half.clone());
        let (version, abort, half) = (request.version(), abort.clone(), half.clone());
        let base_path = origins.base_path().clone();
        let upload_half = half.clone();
        let request = prepare_request(&origins, peer, request).map(|body| RequestUpload::new(body, upload_half));
        let response = service.call(request);
        async move {
            let response = base_path.add_to(response.await?).await;
            abort.note(version, &response);
            Ok(half.answer(response))
        }
    })
}

/// Adds where the request comes from, removes the base path, and replaces a target that warp cannot parse. If a trusted proxy
/// sent unusable headers, it adds the error too, and the middleware rejects the request.
fn prepare_request(origins: &OriginReader, peer: SocketAddr, mut request: Request<Incoming>) -> Request<Incoming> {
    let (version, headers) = (request.version(), request.headers());
    let origin = origins.read(peer, version, headers);
    let connection = || origins.read_connection(peer, version, headers);
    let (origin, error) = origin.map_or_else(|error| (connection(), Some(error)), |origin| (origin, None));
    request.extensions_mut().insert(origin);
    if let Some(error) = error {
        tracing::warn!(%peer, %error, "a request of a trusted proxy was rejected");
        request.extensions_mut().insert(error);
    }
    // warp cannot parse a target without a path, such as that of CONNECT. `/` replaces it.
    if !request.uri().path().starts_with('/') {
        *request.uri_mut() = Uri::from_static("/");
    }
    if let Some(target) = origins.base_path().remove_from(request.uri()) {
        *request.uri_mut() = target;
    }
    request
}

/// Serves the requests of one connection.
async fn serve_connection<IO, S>(http: http1::Builder, stream: IO, service: S, draining: Watcher)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + 'static,
    S::Future: 'static,
{
    let connection = http.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = draining.watch(connection).await {
        // Clients often hang up or send something other than HTTP.
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection failed");
    }
}

/// Accepts the next connection once the limit allows one. Until then clients wait in the listen queue. If an address has too
/// many connections, its new ones are closed at once.
async fn accept_connection(
    listener: &TcpListener,
    connection_limit: &mut ConnectionLimit,
) -> Option<(TcpStream, SocketAddr, ConnectionPermit)> {
    let mut permit = connection_limit.acquire().await?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match connection_limit.admit(permit, peer.ip()) {
                Ok(connection_permit) => {
                    // Responses are written whole, so Nagle's algorithm would only delay them. This fails only on a closed
                    // connection.
                    let _ = stream.set_nodelay(true);
                    return Some((stream, peer, connection_permit));
                }
                Err(unused) => permit = unused,
            },
            Err(error) if affects_one_connection_only(&error) => {}
            Err(error) => {
                // File descriptors or memory are exhausted, so an immediate retry would fail again.
                tracing::warn!(%error, "no connection can be accepted; raise the limit on open files (ulimit -n)");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the error concerns only the connection that was being accepted.
fn affects_one_connection_only(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
