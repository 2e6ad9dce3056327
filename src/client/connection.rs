//! Makes connections within a timeout, to allowed addresses, and tracks their use.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::http::Extensions;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::resolver::Resolver;

type BoxError = Box<dyn Error + Send + Sync>;

/// TLS cannot be set up, for example because the system has no CA certificates.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsSetupError(#[from] rustls::Error);

/// Makes connections, with TLS for `https` URLs.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<Resolver>>,
    timeout: Duration,
}

/// A connection that counts its use.
pub(super) struct TrackedStream {
    transport: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    usage: Arc<ConnectionUsage>,
}

/// How a connection was used so far.
pub(super) struct ConnectionUsage {
    pub(super) since: Instant,
    was_used: AtomicBool,
    /// Bytes received since the last request began, interim responses included.
    received: AtomicUsize,
    /// Whether the last response is complete. The next write begins another request.
    is_idle: AtomicBool,
}

impl Connector {
    pub(super) fn new(resolver: Resolver, timeout: Duration) -> Result<Connector, TlsSetupError> {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions()?;
        let mut tls = tls.with_platform_verifier()?.with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.enforce_http(false);
        http.set_nodelay(true);
        // hyper divides this among the addresses of a name, so that an unresponsive one leaves time for the next.
        http.set_connect_timeout(Some(timeout));
        Ok(Connector { https: HttpsConnector::from((http, tls)), timeout })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TrackedStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = timeout(self.timeout, self.https.call(uri));
        async move {
            let transport = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(TokioIo::new(TrackedStream {
                transport: TokioIo::new(transport),
                usage: Arc::new(ConnectionUsage::new()),
            }))
        }
        .boxed()
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        async move { Ok(resolver.resolve(name.as_str()).await??.into_iter()) }.boxed()
    }
}

impl ConnectionUsage {
    fn new() -> ConnectionUsage {
        let (was_used, received, is_idle) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicBool::new(true));
        ConnectionUsage { since: Instant::now(), was_used, received, is_idle }
    }

    /// The usage record of a connection.
    pub(super) fn of(connection: &Connected) -> Option<Arc<ConnectionUsage>> {
        let mut extras = Extensions::new();
        connection.get_extras(&mut extras);
        extras.remove()
    }

    /// Records that a response began. Returns whether it is the first on the connection.
    pub(super) fn mark_response_started(&self) -> bool {
        !self.was_used.swap(true, Ordering::Relaxed)
    }

    /// Records that the response is complete.
    pub(super) fn mark_response_complete(&self) {
        self.is_idle.store(true, Ordering::Relaxed);
    }

    /// Bytes received since the last request began.
    pub(super) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether the connection was used before, and no byte of a new response came. If the request failed, the other side
    /// had closed the connection.
    pub(super) fn is_stale(&self) -> bool {
        self.was_used.load(Ordering::Relaxed) && (self.received() == 0 || self.is_idle.load(Ordering::Relaxed))
    }

    fn mark_request_started(&self) {
        if self.is_idle.swap(false, Ordering::Relaxed) {
            self.received.store(0, Ordering::Relaxed);
        }
    }
}

impl Connection for TrackedStream {
    fn connected(&self) -> Connected {
        self.transport.inner().connected().extra(self.usage.clone())
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        let polled = Pin::new(&mut self.transport).poll_read(context, to);
        self.usage.received.fetch_add(to.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.usage.mark_request_started();
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.usage.mark_request_started();
        Pin::new(&mut self.transport).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}
