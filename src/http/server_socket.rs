//! The socket of a connection. It resets the connection where a normal close would make an incomplete response look complete.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::body::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use warp::http::{Version, header};
use warp::reply::Response;

/// A socket that resets the connection if it is dropped while it sends an HTTP/1.0 response without a length.
pub(super) struct ServerSocket {
    socket: TcpStream,
    abort: AbortFlag,
    /// Whether `SO_LINGER` is 0 s, so that a close resets the connection.
    is_armed: bool,
}

/// Whether only the end of the connection ends the current response. Then an early end must be a reset.
#[derive(Clone, Default)]
pub(super) struct AbortFlag(Arc<AtomicBool>);

impl AbortFlag {
    /// Sets the flag if the response needs it, before it is sent. HTTP/1.0 has no chunks: without a length, only the end
    /// of the connection ends a body (RFC 9112, 6.3).
    pub(super) fn note(&self, version: Version, response: &Response) {
        let has_length =
            response.headers().contains_key(header::CONTENT_LENGTH) || response.body().size_hint().exact().is_some();
        if version == Version::HTTP_10 && !has_length {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl ServerSocket {
    pub(super) fn new(socket: TcpStream, abort: AbortFlag) -> ServerSocket {
        ServerSocket { socket, abort, is_armed: false }
    }

    /// Sets `SO_LINGER` before the first byte is sent. Then the kernel sends a reset even if the process is killed.
    fn arm(&mut self) {
        if !self.is_armed && self.abort.0.load(Ordering::Relaxed) {
            self.is_armed = self.socket.set_zero_linger().is_ok();
        }
    }

    /// Undoes `arm` after the whole response was sent: a normal close is right again.
    #[expect(deprecated, reason = "tokio warns of waiting at close; this removes the wait")]
    fn disarm(&mut self) {
        self.abort.0.store(false, Ordering::Relaxed);
        if self.is_armed {
            self.is_armed = self.socket.set_linger(None).is_err();
        }
    }
}

impl AsyncRead for ServerSocket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, to)
    }
}

impl AsyncWrite for ServerSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.arm();
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.arm();
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// hyper calls this once everything is written, and never after an error.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.disarm();
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
