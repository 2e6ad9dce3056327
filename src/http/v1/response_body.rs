//! Response bodies. Streamed ones are produced only as fast as the client reads, and stop when it disconnects.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use warp::Reply;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::api::{ByteSource, PageReader, Problem};

/// Maximum number of pieces that wait to be sent.
const QUEUED_PIECES: usize = 4;

/// A response whose body `source` produces on a blocking thread.
pub(super) fn stream_response(content_type: &'static str, source: ByteSource) -> Response {
    produce_response(content_type, |write| source.write_to(write))
}

/// A response whose body `produce` writes on a blocking thread. If it fails, the connection is aborted, which shows the
/// client that the body is incomplete.
fn produce_response(
    content_type: &'static str,
    produce: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> Result<(), Problem> + Send + 'static,
) -> Response {
    let (pieces, receiver) = mpsc::channel::<io::Result<Bytes>>(QUEUED_PIECES);
    spawn_blocking(move || {
        // Blocks until the queue has room. Stops after the client disconnected.
        let mut write = |piece: Vec<u8>| match pieces.blocking_send(Ok(piece.into())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        if produce(&mut write).is_err() {
            let _gone = pieces.blocking_send(Err(io::Error::other("the content could not be read")));
        }
    });
    let body =
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) });
    with_content_type(warp::reply::stream(body).into_response(), content_type)
}

/// The format of a body of lines.
#[derive(Clone, Copy)]
pub struct LineFormat {
    pub(super) content_type: &'static str,
    /// Written before the first line.
    pub(super) head: &'static [u8],
    /// Terminates each line.
    pub(super) end: &'static [u8],
}

/// One JSON object per line.
pub const JSON_LINES: LineFormat = LineFormat { content_type: NDJSON, head: b"", end: b"\n" };

/// A response with a line for each result of a query.
pub fn lines_response<T: Send + 'static>(
    pages: PageReader<T>,
    format: LineFormat,
    to_line: fn(&T) -> Vec<u8>,
) -> Response {
    let LineFormat { content_type, head, end } = format;
    produce_response(content_type, move |write| {
        let mut piece = head.to_vec();
        for page in pages {
            for item in page? {
                piece.extend(to_line(&item));
                piece.extend(end);
            }
            let written = std::mem::take(&mut piece);
            if !written.is_empty() && write(written).is_break() {
                break;
            }
        }
        Ok(())
    })
}

/// A response with a whole body.
pub fn bytes_response(content_type: &'static str, body: Vec<u8>) -> Response {
    with_content_type(Response::new(body.into()), content_type)
}

/// A JSON response with status 200.
pub(super) fn json_response(body: &impl serde::Serialize) -> Response {
    json_response_with(StatusCode::OK, body)
}

/// A JSON response with this status.
pub(super) fn json_response_with(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let mut bytes = serde_json::to_vec(body).unwrap_or_default();
    bytes.push(b'\n');
    let mut response = bytes_response(JSON, bytes);
    *response.status_mut() = status;
    response
}

/// The content type of JSON.
pub const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";

fn with_content_type(mut response: Response, content_type: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Caches must not store the body: it changes, and contains data of customers.
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
    use crate::api::ApiState;
    use crate::audit::tests::AuditFixture;
    use crate::http::v1_routes;
    use crate::limits::{REQUEST_TIMEOUT, REQUESTS_PER_SECOND, STREAMED_RESPONSES};

    /// Slow readers must not block the threads that other requests need.
    #[tokio::test]
    async fn streams_are_limited() {
        let fixture = AuditFixture::with_history().await;
        let keys = ApiKeys::open(fixture.audit.journal(), None).unwrap();
        let authenticator = Authenticator::new(keys, REQUESTS_PER_SECOND);
        let state =
            ApiState::new(fixture.audit.clone(), None, None, authenticator, REQUEST_TIMEOUT, CancellationToken::new());
        let service = TowerToHyperService::new(warp::service(v1_routes(state.clone())));
        let export = async |path: &str| {
            let request = Request::get(path).header("accept", NDJSON).body(String::new()).unwrap();
            let Ok(response) = service.call(request).await;
            (response.status().as_u16(), response.headers().contains_key(header::RETRY_AFTER))
        };
        let permits: Vec<_> = (0..STREAMED_RESPONSES).map(|_| state.acquire_stream_permit().unwrap()).collect();
        for path in ["/api/v1/export", "/api/v1/events", "/api/v1/accounts", "/api/v1/accounts/861821726232/events"] {
            assert_eq!(export(path).await, (503, true), "{path}");
        }
        drop(permits);
        assert_eq!(export("/api/v1/export").await, (200, false));
    }
}
