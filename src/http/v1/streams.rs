//! Bodies that are made while they are sent: no faster than they are read, and no longer than somebody reads.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use warp::Reply;
use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::problem::Problem;

/// Pieces that wait to be sent, most.
const PIECES: usize = 4;

/// Where a body is written to, piece by piece.
pub(super) struct Writer {
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
}

impl Writer {
    /// Waits until there is room. Breaks off once nobody reads any more.
    pub(super) fn write(&mut self, piece: Vec<u8>) -> ControlFlow<()> {
        match self.pieces.blocking_send(Ok(piece.into())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// An answer whose body `make` writes, on a thread for blocking work. If it fails the connection is broken off, so that
/// nobody takes what came for the whole.
pub(super) fn streamed<E: Into<Problem>>(
    content_type: &'static str,
    make: impl FnOnce(&mut Writer) -> Result<(), E> + Send + 'static,
) -> Response {
    let (pieces, read) = mpsc::channel(PIECES);
    let mut writer = Writer { pieces };
    spawn_blocking(move || {
        if let Err(error) = make(&mut writer) {
            let _problem: Problem = error.into();
            let _gone = writer.pieces.blocking_send(Err(io::Error::other("what was to be sent could not be read")));
        }
    });
    let body = stream::unfold(read, |mut read| async move { read.recv().await.map(|piece| (piece, read)) });
    with_type(warp::reply::stream(body).into_response(), content_type)
}

/// An answer with this body.
pub(super) fn whole(content_type: &'static str, body: Vec<u8>) -> Response {
    with_type(Response::new(body.into()), content_type)
}

/// `{"name":[line,line],"next":"…"}`.
pub(super) fn page(name: &str, page: &crate::audit::Page) -> Response {
    let mut body = format!("{{\"{name}\":[").into_bytes();
    for (at, line) in page.lines.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(line);
    }
    let next = page.next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    body.extend_from_slice(format!("],\"next\":{next}}}\n").as_bytes());
    whole(JSON, body)
}

/// Something as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Response {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    whole(JSON, body)
}

pub(super) const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";

fn with_type(mut response: Response, content_type: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What stands here is nobody's to keep: it changes, and it tells of customers.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream that cannot fail, as warp wants it.
pub(super) fn infallible<T>(item: T) -> Result<T, Infallible> {
    Ok(item)
}
