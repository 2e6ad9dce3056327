//! HTTP requests to the handler.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, timeout};
use warp::http::{HeaderMap, StatusCode};
use warp::path::FullPath;
use warp::{Filter, Rejection, Reply};

use super::handler::WebhookHandler;
use super::received_headers::ReceivedHeaders;
use super::received_webhook::{ReceivedWebhook, ReceiverResponse};
use crate::clock;
use crate::limits::{BODY_TIMEOUT, RECEIVER_BODY_BYTES};

/// Passes every POST to the handler, reports it on `reports`, and responds after the delay `delay`.
pub(super) fn routes(
    handler: WebhookHandler,
    delay: Duration,
    reports: mpsc::Sender<ReceivedWebhook>,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone + Send + Sync + 'static {
    let handler = Arc::new(Mutex::new((handler, reports)));
    let parts = warp::path::full().and(warp::header::headers_cloned()).and(warp::body::stream());
    warp::post().and(parts).then(move |path: FullPath, headers: HeaderMap, body| {
        let handler = handler.clone();
        async move {
            let body = timeout(BODY_TIMEOUT, read_body(body)).await;
            let body =
                body.unwrap_or_else(|_| Err(ReceiverResponse::rejection(400, "the body did not arrive in time")));
            let header = |name: &str| Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned());
            let answer = {
                // The lock is held while reporting, so that reports come in the order of handling.
                let (handler, reports) = &mut *handler.lock().await;
                let arrival = handler.handle(clock::now(), path.as_str(), ReceivedHeaders::read(header), body);
                let answer = arrival.response.clone();
                // The demonstration drops its end of the channel when it is over.
                let _sent = reports.send(arrival).await;
                answer
            };
            sleep(delay).await;
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            warp::reply::with_status(warp::reply::json(&answer.to_envelope()), status)
        }
    })
}

/// Reads a body. An oversized body is also read to its end; otherwise its sender would see a reset connection instead of
/// the response.
async fn read_body<B: Buf>(
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Vec<u8>, ReceiverResponse> {
    let (mut bytes, mut is_too_long) = (Vec::new(), false);
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| ReceiverResponse::rejection(400, "the body broke off"))?;
        is_too_long |= bytes.len() + piece.remaining() > RECEIVER_BODY_BYTES;
        if !is_too_long {
            bytes.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
    }
    let too_long = || ReceiverResponse::rejection(413, format!("the body has more than {RECEIVER_BODY_BYTES} bytes"));
    if is_too_long { Err(too_long()) } else { Ok(bytes) }
}
