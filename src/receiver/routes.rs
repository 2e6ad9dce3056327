//! Passes HTTP requests to the handler.

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

/// Passes the webhook in every POST to the handler, sends the result to `reports`, and responds after `delay`.
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
            let response = {
                // The lock is held until the webhook is sent, so that webhooks are sent in the order of their handling.
                let (handler, reports) = &mut *handler.lock().await;
                let arrival = handler.handle(clock::now(), path.as_str(), ReceivedHeaders::read(header), body);
                let response = arrival.response.clone();
                // Sending fails once the other end is dropped: the demonstration drops it when it is over.
                let _sent = reports.send(arrival).await;
                response
            };
            sleep(delay).await;
            let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            warp::reply::with_status(warp::reply::json(&response.to_envelope()), status)
        }
    })
}

/// Reads a body. An oversized body is also read to its end. Otherwise its sender would see a reset connection instead of
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
