//! Clients that close their sending half after a request: they still get the answer.
//!
//! hyper ends a connection when the client has sent its end, and does not distinguish a client that left. So the end is held back while
//! a request is under way. A client that left keeps its connection until the request is answered: its time is limited.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::kept_response::keep_until_sent;

/// The content type of the live tail, which has no end.
const EVENT_STREAM: &str = "text/event-stream";

/// The half of a connection that the client sends in. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct SendingHalf(Arc<SendingHalfInner>);

#[derive(Default)]
struct SendingHalfInner {
    /// Whether its end is held back.
    is_held: AtomicBool,
    has_ended: AtomicBool,
    /// Whether the end is passed on at the next flush.
    is_released_by_flush: AtomicBool,
    /// Waits for the release of the end.
    reader: AtomicWaker,
    /// Waits for more of a request's body.
    body_reader: AtomicWaker,
}

/// A request's body. If the client ends its half before the body is complete, reading it fails at once.
pub(super) struct RequestUpload {
    body: Incoming,
    half: SendingHalf,
}

/// Releases its half after it is dropped, at the next flush: hyper still holds the last pieces of the body then, and would lose them.
struct ReleasedAtEnd(SendingHalf);

impl Drop for ReleasedAtEnd {
    fn drop(&mut self) {
        self.0.0.is_released_by_flush.store(true, Ordering::SeqCst);
    }
}

/// A stream whose end is held back while its [`SendingHalf`] says so.
pub(super) struct HalfCloseStream<IO> {
    stream: IO,
    half: SendingHalf,
}

impl SendingHalf {
    /// Holds the end back from now on.
    pub(super) fn hold(&self) {
        self.0.is_released_by_flush.store(false, Ordering::SeqCst);
        self.0.is_held.store(true, Ordering::SeqCst);
    }

    /// Passes the end on from now on: a client that left ends its request.
    pub(super) fn release(&self) {
        self.0.is_held.store(false, Ordering::SeqCst);
        self.0.reader.wake();
    }

    /// Prepares the connection for the response. After an end that was held back the response is the last one. hyper writes it, and
    /// does not read again. A streamed response holds the end back until it is sent, except an endless one: a reader that left
    /// must free its place.
    pub(super) fn answer(&self, mut response: Response) -> Response {
        let is_endless = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENT_STREAM);
        if self.0.has_ended.load(Ordering::SeqCst) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        } else if response.body().size_hint().exact().is_some() || is_endless {
            self.release();
            response
        } else {
            keep_until_sent(response, ReleasedAtEnd(self.clone()))
        }
    }

    /// Whether the end, which was just read, is held back. If so, the reader is woken at the release.
    fn holds_back(&self, context: &Context<'_>) -> bool {
        let SendingHalfInner { is_held, has_ended, reader, body_reader, .. } = &*self.0;
        // Registered before the look, so that no release is missed.
        reader.register(context.waker());
        let holds = is_held.load(Ordering::SeqCst);
        has_ended.fetch_or(holds, Ordering::SeqCst);
        body_reader.wake();
        holds
    }

    /// Whether the end was held back. If not, the reader of the body is woken when it is.
    fn has_ended(&self, context: &Context<'_>) -> bool {
        self.0.body_reader.register(context.waker());
        self.0.has_ended.load(Ordering::SeqCst)
    }
}

impl RequestUpload {
    pub(super) fn new(body: Incoming, half: SendingHalf) -> RequestUpload {
        RequestUpload { body, half }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(io::Error::other)))
    }
}

impl Body for RequestUpload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = self.poll_body(context);
        if frame.is_ready() || !self.half.has_ended(context) {
            return frame;
        }
        // The last piece may have come just before the end.
        match self.poll_body(context) {
            Poll::Pending => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<IO> HalfCloseStream<IO> {
    pub(super) fn new(stream: IO, half: SendingHalf) -> HalfCloseStream<IO> {
        HalfCloseStream { stream, half }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for HalfCloseStream<IO> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = to.remaining();
        let read = Pin::new(&mut self.stream).poll_read(context, to);
        let is_end = matches!(read, Poll::Ready(Ok(()))) && left > 0 && to.remaining() == left;
        if is_end && self.half.holds_back(context) { Poll::Pending } else { read }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for HalfCloseStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) && self.half.0.is_released_by_flush.swap(false, Ordering::SeqCst) {
            self.half.release();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
