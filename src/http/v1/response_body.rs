//! Streamed response bodies. They are produced only as fast as the client reads, and stop when it disconnects.

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

/// Maximum number of pieces that wait to be sent.
const QUEUED_PIECES: usize = 4;

/// Writes a body piece by piece.
pub(super) struct BodyWriter {
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
}

impl BodyWriter {
    /// Blocks until the queue has room. Returns `Break` after the client disconnected.
    pub(super) fn write(&mut self, piece: Vec<u8>) -> ControlFlow<()> {
        match self.pieces.blocking_send(Ok(piece.into())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// The right to one streamed response.
pub(super) struct StreamPermit {
    _permit: OwnedSemaphorePermit,
}

impl ApiState {
    /// A permit, or a problem if all are in use.
    pub(super) fn acquire_stream_permit(&self) -> Result<StreamPermit, Problem> {
        let permit = self.inner.stream_permits.clone().try_acquire_owned();
        let full = format!(
            "{STREAMED_RESPONSES} exports, backups and histories are being sent, which is the limit; try again later"
        );
        let permit = permit.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, full))?;
        Ok(StreamPermit { _permit: permit })
    }
}

/// A response whose body `make` writes on a blocking thread. If `make` fails, the connection is aborted, which shows the
/// client that the body is incomplete.
pub(super) fn stream_response<E: Into<Problem>>(
    permit: StreamPermit,
    content_type: &'static str,
    make: impl FnOnce(&mut BodyWriter) -> Result<(), E> + Send + 'static,
) -> Response {
    let (pieces, read) = mpsc::channel(QUEUED_PIECES);
    let mut writer = BodyWriter { pieces };
    spawn_blocking(move || {
        let _place = permit;
        if let Err(error) = make(&mut writer) {
            let _problem: Problem = error.into();
            let _gone = writer.pieces.blocking_send(Err(io::Error::other("what was to be sent could not be read")));
        }
    });
    let body = stream::unfold(read, |mut read| async move { read.recv().await.map(|piece| (piece, read)) });
    with_content_type(warp::reply::stream(body).into_response(), content_type)
}

/// The format of a body of lines.
#[derive(Clone, Copy)]
pub(super) struct LineFormat {
    pub(super) content_type: &'static str,
    /// Written before the first line.
    pub(super) head: &'static [u8],
    /// Terminates each line.
    pub(super) end: &'static [u8],
}

/// One JSON object per line.
pub(super) const NDJSON_LINES: LineFormat = LineFormat { content_type: NDJSON, head: b"", end: b"\n" };

/// Streams the lines of all pages from `from` on, at most `most` lines. `read(from, limit)` returns one page.
pub(super) fn stream_pages<E: Into<Problem>>(
    permit: StreamPermit,
    form: LineFormat,
    from: Option<u64>,
    most: u64,
    mut read: impl FnMut(Option<u64>, usize) -> Result<QueryPage, E> + Send + 'static,
) -> Response {
    let LineFormat { content_type, head, end } = form;
    stream_response(permit, content_type, move |writer| -> Result<(), E> {
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

pub(super) fn bytes_response(content_type: &'static str, body: Vec<u8>) -> Response {
    with_content_type(Response::new(body.into()), content_type)
}

/// Embeds lines that are JSON already, unchanged.
pub(super) fn to_raw_json(lines: Vec<Vec<u8>>) -> Vec<Box<RawValue>> {
    lines.into_iter().filter_map(|line| RawValue::from_string(String::from_utf8(line).ok()?).ok()).collect()
}

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
    // Caches must not store it: it changes, and contains data of customers.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Adapts an item to warp's streams of results.
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

    /// Slow readers must not block the threads that other requests need.
    #[tokio::test]
    async fn streams_are_limited() {
        let fixture = AuditFixture::with_history().await;
        let keys = ApiKeys::open(fixture.audit.journal(), None).unwrap();
        let authenticator = Authenticator::new(keys, REQUESTS_PER_SECOND);
        let state =
            ApiState::new(fixture.audit.clone(), None, None, authenticator, REQUEST_TIMEOUT, CancellationToken::new());
        let service = TowerToHyperService::new(warp::service(routes(state.clone())));
        let export = async |path: &str| {
            let request = Request::get(path).header("accept", NDJSON).body(String::new()).unwrap();
            let Ok(answer) = service.call(request).await;
            (answer.status().as_u16(), answer.headers().contains_key(header::RETRY_AFTER))
        };
        let permits: Vec<StreamPermit> =
            (0..STREAMED_RESPONSES).map(|_| state.acquire_stream_permit().unwrap()).collect();
        for path in ["/api/v1/export", "/api/v1/events", "/api/v1/accounts", "/api/v1/accounts/861821726232/events"] {
            assert_eq!(export(path).await, (503, true), "{path}");
        }
        drop(permits);
        assert_eq!(export("/api/v1/export").await, (200, false));
    }
}
