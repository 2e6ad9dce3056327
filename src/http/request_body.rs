//! Reading a request's body: content type, size, deadline.

use std::ops::Deref;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use warp::http::{HeaderMap, HeaderValue, header};
use zeroize::{Zeroize, Zeroizing};

use super::body_type::BodyType;
use super::contract_error::Error;
use crate::limits::{BODY_TIMEOUT, INLINE_BODY_BYTES, LARGE_BODIES_KIB, LINGER_BYTES};

/// A body that was read; the default is empty. A large one holds its share of the memory budget until it is dropped.
#[derive(Default)]
pub(super) struct RequestBody {
    bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Clears the body, because it may hold secrets. A small body shares the connection's buffer and cannot be cleared: the next
/// request overwrites it.
impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Ok(mut bytes) = std::mem::take(&mut self.bytes).try_into_mut() {
            bytes.as_mut().zeroize();
        }
    }
}

/// Memory for large bodies, shared by all requests.
#[derive(Clone)]
pub(super) struct MemoryBudget {
    kib: Arc<Semaphore>,
}

impl Deref for RequestBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl MemoryBudget {
    /// A budget of [`LARGE_BODIES_KIB`].
    pub(super) fn new() -> MemoryBudget {
        MemoryBudget { kib: Arc::new(Semaphore::new(LARGE_BODIES_KIB)) }
    }

    /// Reserves memory for a body of `bytes`. A body larger than the budget reserves the whole budget.
    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let kib = u32::try_from(bytes.div_ceil(1024).min(LARGE_BODIES_KIB)).unwrap_or(u32::MAX);
        self.kib.clone().try_acquire_many_owned(kib).map_err(|_| Error::MemoryBudgetExceeded)
    }
}

/// Reads a body of at most `limit` bytes. A body whose declared length exceeds the limit is rejected unread.
pub(super) async fn read_body<S, B>(
    headers: &HeaderMap,
    body: &mut S,
    expected: BodyType,
    limit: usize,
    memory_budget: &MemoryBudget,
) -> Result<RequestBody, Error>
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin,
    B: Buf,
{
    check_content_type(headers, expected)?;
    let declared = declared_length(headers);
    if declared.is_some_and(|bytes| bytes > limit) {
        return Err(Error::TooLarge { limit });
    }
    let collected = collect_pieces(body, limit, declared.unwrap_or(limit), memory_budget);
    timeout(BODY_TIMEOUT, collected).await.map_err(|_| Error::SlowBody)?
}

/// Reads the rest of a rejected request's body, in the background and within bounds. A server that closes with
/// unread bytes resets the connection, and many clients then never see the response.
pub(super) fn drain_unread<S, B>(headers: &HeaderMap, mut body: S)
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin + Send + 'static,
    B: Buf + Send,
{
    // A client with `Expect: 100-continue` has not sent the body yet. Reading it would make the client send it.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let mut left = LINGER_BYTES;
    let mut draining = Box::pin(async move {
        while let Some(Ok(piece)) = body.next().await {
            match left.checked_sub(piece.remaining()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    });
    if draining.as_mut().now_or_never().is_none() {
        tokio::spawn(timeout(BODY_TIMEOUT, draining));
    }
}

/// Checks that the headers declare an uncompressed body of this type in UTF-8. Missing headers are accepted, since some
/// callers omit them.
pub(super) fn check_content_type(headers: &HeaderMap, expected: BodyType) -> Result<(), Error> {
    let sent = headers.get(header::CONTENT_TYPE).filter(|_| !is_of_type(headers, expected));
    if let Some(sent) = sent {
        return Err(Error::UnsupportedMediaType { expected, found: name_media_type(sent) });
    }
    let is_plain = headers.get(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    if is_plain { Ok(()) } else { Err(Error::CompressedBody) }
}

/// A media type for a message. A header may have anything, such as a secret that was sent in the wrong place, so only what clients
/// usually send is named.
fn name_media_type(sent: &HeaderValue) -> &'static str {
    const USUAL: [&str; 8] = [
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/xml",
        "multipart/form-data",
        "text/html",
        "text/plain",
        "text/xml",
    ];
    let essence = sent.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    USUAL.into_iter().find(|usual| usual.eq_ignore_ascii_case(essence)).unwrap_or("another media type")
}

/// Whether the headers declare a body of this type in UTF-8.
pub(super) fn is_of_type(headers: &HeaderMap, expected: BodyType) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str);
    let Some(Ok(content_type)) = declared else { return false };
    let mut parts = content_type.split(';').map(str::trim);
    let is_expected =
        parts.next().is_some_and(|essence| expected.essences().iter().any(|one| essence.eq_ignore_ascii_case(one)));
    let is_utf8 = |charset: &str| {
        let charset = charset.trim_matches('"');
        charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
    };
    is_expected
        && parts
            .filter_map(|parameter| parameter.split_once('='))
            .all(|(name, value)| !name.trim().eq_ignore_ascii_case("charset") || is_utf8(value.trim()))
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Collects the pieces of a body. A large body reserves `expected` bytes of the memory budget.
async fn collect_pieces<S, B>(
    body: &mut S,
    limit: usize,
    expected: usize,
    memory_budget: &MemoryBudget,
) -> Result<RequestBody, Error>
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin,
    B: Buf,
{
    let Some(first) = next_piece(body).await? else { return Ok(RequestBody { bytes: Bytes::new(), _memory: None }) };
    let Some(second) = next_piece(body).await? else {
        // Most bodies arrive in one piece, which is used without a copy. A piece is at most as large as a read buffer.
        let body = RequestBody { bytes: first, _memory: None };
        return if body.len() > limit { Err(Error::TooLarge { limit }) } else { Ok(body) };
    };
    let mut bytes = Zeroizing::new(Vec::from(first));
    let mut reservation = None;
    let mut piece = Some(second);
    while let Some(more) = piece {
        let length = bytes.len() + more.len();
        if length > limit {
            return Err(Error::TooLarge { limit });
        }
        if length > INLINE_BODY_BYTES && reservation.is_none() {
            reservation = Some(memory_budget.reserve(expected)?);
        }
        extend_zeroizing(&mut bytes, &more);
        piece = next_piece(body).await?;
    }
    Ok(RequestBody { bytes: std::mem::take(&mut *bytes).into(), _memory: reservation })
}

/// `extend_from_slice` that clears the old memory when the vector reallocates.
fn extend_zeroizing(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let length = bytes.len() + more.len();
    if length > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * bytes.capacity())));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(more);
}

async fn next_piece<S, B>(body: &mut S) -> Result<Option<Bytes>, Error>
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin,
    B: Buf,
{
    let piece = body.next().await.transpose().map_err(|_| Error::IncompleteBody)?;
    Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// Reads a body in pieces of these sizes; `declared` is its declared length. An error is the response's code.
    async fn check(
        pieces: &[usize],
        declared: Option<usize>,
        limit: usize,
        memory_budget: &MemoryBudget,
    ) -> Result<RequestBody, u16> {
        let mut headers = HeaderMap::new();
        headers.extend(declared.map(|bytes| (header::CONTENT_LENGTH, HeaderValue::from(bytes))));
        let mut body = stream::iter(pieces.iter().map(|bytes| Ok(Bytes::from(vec![b' '; *bytes]))));
        read_body(&headers, &mut body, BodyType::Json, limit, memory_budget).await.map_err(|error| error.code())
    }

    #[tokio::test]
    async fn bodies_are_bounded_one_by_one_and_together() {
        let memory_budget = MemoryBudget::new();
        let limit = 4 * INLINE_BODY_BYTES;
        assert_eq!(check(&[], None, limit, &memory_budget).await.map(|body| body.len()), Ok(0));
        assert_eq!(check(&[limit], None, limit, &memory_budget).await.map(|body| body.len()), Ok(limit));
        assert_eq!(check(&[limit + 1], None, limit, &memory_budget).await.map(|body| body.len()), Err(413));
        assert_eq!(check(&[limit, 1], None, limit, &memory_budget).await.map(|body| body.len()), Err(413));
        assert_eq!(check(&[], Some(limit + 1), limit, &memory_budget).await.map(|body| body.len()), Err(413));
        let large = check(&[limit / 2, limit / 2], Some(limit), LARGE_BODIES_KIB * 1024, &memory_budget).await;
        assert_eq!(memory_budget.kib.available_permits(), LARGE_BODIES_KIB - limit / 1024);
        let undeclared = check(&[limit, 1], None, LARGE_BODIES_KIB * 1024, &memory_budget).await;
        assert_eq!(undeclared.map(|body| body.len()), Err(503), "it may become larger than what is left");
        let small = check(&[1, 1], None, LARGE_BODIES_KIB * 1024, &memory_budget).await;
        assert_eq!(small.map(|body| body.len()), Ok(2), "small bodies need no room");
        drop(large);
        assert_eq!(memory_budget.kib.available_permits(), LARGE_BODIES_KIB);
    }
}
