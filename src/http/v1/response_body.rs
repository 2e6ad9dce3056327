//! Bodies that are made while they are sent: no faster than they are read, and no longer than somebody reads.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use futures_util::stream;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use warp::Reply;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::ApiState;
use super::problem::Problem;
use crate::audit::QueryPage;
use crate::limits::{PAGE_EVENTS, STREAMED_RESPONSES};

/// Pieces that wait to be sent, most.
const QUEUED_PIECES: usize = 4;

/// Where a body is written to, piece by piece.
pub(super) struct BodyWriter {
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
}

impl BodyWriter {
    /// Waits until there is room. Breaks off once nobody reads any more.
    pub(super) fn write(&mut self, piece: Vec<u8>) -> ControlFlow<()> {
        match self.pieces.blocking_send(Ok(piece.into())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// A place for an answer that is made while it is sent.
pub(super) struct StreamPermit {
    _permit: OwnedSemaphorePermit,
}

impl ApiState {
    /// A place, if there is one.
    pub(super) fn acquire_stream_permit(&self) -> Result<StreamPermit, Problem> {
        let place = self.inner.stream_permits.clone().try_acquire_owned();
        let full = format!(
            "{STREAMED_RESPONSES} exports, backups and histories are being sent, which is the limit; try again later"
        );
        let place = place.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, full))?;
        Ok(StreamPermit { _permit: place })
    }
}

/// An answer whose body `make` writes, on a thread for blocking work. If it fails the connection is broken off, so that
/// nobody takes what came for the whole.
pub(super) fn stream_response<E: Into<Problem>>(
    place: StreamPermit,
    content_type: &'static str,
    make: impl FnOnce(&mut BodyWriter) -> Result<(), E> + Send + 'static,
) -> Response {
    let (pieces, read) = mpsc::channel(QUEUED_PIECES);
    let mut writer = BodyWriter { pieces };
    spawn_blocking(move || {
        let _place = place;
        if let Err(error) = make(&mut writer) {
            let _problem: Problem = error.into();
            let _gone = writer.pieces.blocking_send(Err(io::Error::other("what was to be sent could not be read")));
        }
    });
    let body = stream::unfold(read, |mut read| async move { read.recv().await.map(|piece| (piece, read)) });
    with_content_type(warp::reply::stream(body).into_response(), content_type)
}

/// How lines are written one after the other.
#[derive(Clone, Copy)]
pub(super) struct LineFormat {
    pub(super) content_type: &'static str,
    /// What stands before the first.
    pub(super) head: &'static [u8],
    /// What ends each.
    pub(super) end: &'static [u8],
}

/// One JSON object a line.
pub(super) const NDJSON_LINES: LineFormat = LineFormat { content_type: NDJSON, head: b"", end: b"\n" };

/// The lines of all pages from `from` on, at most `most` of them. `read` makes the page at a place, of so many lines.
pub(super) fn stream_pages<E: Into<Problem>>(
    place: StreamPermit,
    form: LineFormat,
    from: Option<u64>,
    most: u64,
    mut read: impl FnMut(Option<u64>, usize) -> Result<QueryPage, E> + Send + 'static,
) -> Response {
    let LineFormat { content_type, head, end } = form;
    stream_response(place, content_type, move |writer| -> Result<(), E> {
        let (mut left, mut from, mut piece) = (most, from, head.to_vec());
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_EVENTS);
            let found = read(from, limit)?;
            left -= found.lines.len() as u64;
            piece.extend(found.lines.iter().flat_map(|line| [line, end]).flatten());
            let written = std::mem::take(&mut piece);
            if !written.is_empty() && writer.write(written).is_break() {
                break;
            }
            match found.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        Ok(())
    })
}

/// An answer with this body.
pub(super) fn bytes_response(content_type: &'static str, body: Vec<u8>) -> Response {
    with_content_type(Response::new(body.into()), content_type)
}

/// Lines that are JSON already, each as it is.
pub(super) fn to_raw_json(lines: Vec<Vec<u8>>) -> Vec<Box<RawValue>> {
    lines.into_iter().filter_map(|line| RawValue::from_string(String::from_utf8(line).ok()?).ok()).collect()
}

/// Something as JSON.
pub(super) fn json_response(value: &impl serde::Serialize) -> Response {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    bytes_response(JSON, body)
}

pub(super) const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";

fn with_content_type(mut response: Response, content_type: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What stands here is nobody's to keep: it changes, and it tells of customers.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream that cannot fail, as warp wants it.
pub(super) fn into_infallible<T>(item: T) -> Result<T, Infallible> {
    Ok(item)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tokio_util::sync::CancellationToken;
    use warp::http::Request;

    use super::*;
    use crate::access::{ApiKeys, Authenticator};
    use crate::audit::tests::AuditFixture;
    use crate::http::v1::routes;
    use crate::limits::{REQUEST_TIMEOUT, REQUESTS_PER_SECOND};

    /// Whoever reads slowly must not take the threads that others need.
    #[tokio::test]
    async fn there_are_so_many_streams_and_no_more() {
        let fixture = AuditFixture::told().await;
        let keys = ApiKeys::open(fixture.audit.journal(), None).unwrap();
        let door = Authenticator::new(keys, REQUESTS_PER_SECOND);
        let desk = ApiState::new(fixture.audit.clone(), None, None, door, REQUEST_TIMEOUT, CancellationToken::new());
        let service = TowerToHyperService::new(warp::service(routes(desk.clone())));
        let export = async |path: &str| {
            let request = Request::get(path).header("accept", NDJSON).body(String::new()).unwrap();
            let Ok(answer) = service.call(request).await;
            (answer.status().as_u16(), answer.headers().contains_key(header::RETRY_AFTER))
        };
        let places: Vec<StreamPermit> =
            (0..STREAMED_RESPONSES).map(|_| desk.acquire_stream_permit().unwrap()).collect();
        for path in ["/api/v1/export", "/api/v1/events", "/api/v1/accounts", "/api/v1/accounts/861821726232/events"] {
            assert_eq!(export(path).await, (503, true), "{path}");
        }
        drop(places);
        assert_eq!(export("/api/v1/export").await, (200, false));
    }
}
