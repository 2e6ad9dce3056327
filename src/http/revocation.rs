//! Aborts long responses when the reader's key ends.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyDataStream;
use hyper::body::Body;
use warp::Reply;
use warp::http::{HeaderValue, header};
use warp::reply::Response;

use crate::access::Requester;
use crate::limits::{UNWATCHED_RESPONSE_BYTES, WATCHED_CHUNK_BYTES};

/// Wraps a response so that it aborts, with its connection, when the reader's key ends. The broken connection shows the reader
/// that the body is incomplete. A short response is not wrapped, because it is sent at once.
pub fn abort_when_key_ends(response: Response, reader: Requester) -> Response {
    let length = response.body().size_hint().exact();
    if length.is_some_and(|length| length <= UNWATCHED_RESPONSE_BYTES) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let pieces = BodyDataStream::new(body).flat_map(|piece| {
        let (pieces, failure) =
            piece.map_or_else(|error| (Vec::new(), Some(error)), |piece| (split_into_pieces(piece), None));
        let failure = failure.map(io::Error::other).map(Err);
        stream::iter(pieces.into_iter().map(Ok).chain(failure))
    });
    let key_end = Box::pin(reader.wait_until_invalid());
    let body = stream::unfold(Some((pieces, key_end)), |state| async move {
        let (mut pieces, mut key_end) = state?;
        tokio::select! {
            biased;
            () = &mut key_end => Some((Err(io::Error::other("the reader's API key is no longer valid")), None)),
            piece = pieces.next() => piece.map(|piece| (piece, Some((pieces, key_end)))),
        }
    });
    // A stream does not declare its length, so the header does.
    head.headers.extend(length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length))));
    Response::from_parts(head, warp::reply::stream(body).into_response().into_body())
}

/// Splits the body into small pieces. A small piece is sent quickly, and the key is checked before each.
fn split_into_pieces(mut whole: Bytes) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(whole.len().div_ceil(WATCHED_CHUNK_BYTES));
    while whole.len() > WATCHED_CHUNK_BYTES {
        pieces.push(whole.split_to(WATCHED_CHUNK_BYTES));
    }
    pieces.push(whole);
    pieces
}
