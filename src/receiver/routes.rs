//! From HTTP to the desk and back.

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
use super::received_webhook::{ReceivedHeaders, ReceivedWebhook, ReceiverResponse};
use crate::clock;
use crate::limits::{BODY_TIMEOUT, RECEIVER_BODY_BYTES};

/// Takes every POST to the desk, tells what arrived, and answers it after so long.
pub(super) fn routes(
    desk: WebhookHandler,
    slow: Duration,
    telling: mpsc::Sender<ReceivedWebhook>,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone + Send + Sync + 'static {
    let desk = Arc::new(Mutex::new((desk, telling)));
    let parts = warp::path::full().and(warp::header::headers_cloned()).and(warp::body::stream());
    warp::post().and(parts).then(move |path: FullPath, headers: HeaderMap, body| {
        let desk = desk.clone();
        async move {
            let body = timeout(BODY_TIMEOUT, read_body(body)).await;
            let body =
                body.unwrap_or_else(|_| Err(ReceiverResponse::rejection(400, "the body did not arrive in time")));
            let header = |name: &str| Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned());
            let answer = {
                // Held until it is told, so that what arrives is told in the order in which it is taken.
                let (desk, telling) = &mut *desk.lock().await;
                let arrival = desk.handle(clock::now(), path.as_str(), ReceivedHeaders::read(header), body);
                let answer = arrival.response.clone();
                // Nobody listens any more once the demonstration is over.
                let _told = telling.send(arrival).await;
                answer
            };
            sleep(slow).await;
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            warp::reply::with_status(warp::reply::json(&answer.to_envelope()), status)
        }
    })
}

/// Reads a body. One that is too long is read to its end all the same: its sender would otherwise see a reset
/// connection, and not the answer.
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
