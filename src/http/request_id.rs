//! The id of a request: the caller's own if it is valid, a new one otherwise.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use warp::http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock;
use crate::journal::RequestId;
use crate::limits::REQUEST_ID_BYTES;

/// The header for the id, in requests and responses.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id, for the journal and for the response.
#[derive(Clone, Debug)]
pub struct IncomingRequestId {
    /// 128 bits, for the journal.
    pub id: RequestId,
    /// The header's value, as the caller sent it and gets it back.
    pub header: HeaderValue,
}

/// Generates request ids.
#[derive(Debug, Default)]
pub struct RequestIdGenerator {
    /// Randomly keyed, so that two processes generate different ids in the same microsecond.
    hasher: RandomState,
    generated: AtomicU64,
}

impl RequestIdGenerator {
    /// The valid id in `headers`, or a new one.
    pub fn read_or_generate(&self, headers: &HeaderMap) -> IncomingRequestId {
        match headers.get(X_REQUEST_ID) {
            Some(header) if is_valid_header(header) => {
                IncomingRequestId { id: parse_request_id(header), header: header.clone() }
            }
            Some(_) | None => {
                let id = self.generate();
                let header = HeaderValue::from_maybe_shared(Bytes::from(id.to_string()));
                // Hex digits are always valid in a header.
                IncomingRequestId { id, header: header.unwrap_or(HeaderValue::from_static("")) }
            }
        }
    }

    /// A new id: 64 bits of time in microseconds, so that ids sort by time, then 64 hashed bits.
    pub fn generate(&self) -> RequestId {
        let count = self.generated.fetch_add(1, Ordering::Relaxed);
        let micros = clock::now().0.cast_unsigned();
        RequestId(u128::from(micros) << 64 | u128::from(self.hasher.hash_one(count)))
    }
}

fn is_valid_header(header: &HeaderValue) -> bool {
    (1..=REQUEST_ID_BYTES).contains(&header.len()) && header.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Maps a caller's id to the journal's 128 bits. A UUID stays as it is. For any other text: the first bits of its SHA-256.
fn parse_request_id(header: &HeaderValue) -> RequestId {
    let digits = header.as_bytes().iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    let is_uuid = digits.clone().count() == 32;
    let number =
        digits.map(|digit| digit.map(u128::from)).try_fold(0, |number: u128, digit| Some(number << 4 | digit?));
    match number {
        Some(number) if is_uuid => RequestId(number),
        Some(_) | None => {
            let hash = Sha256::digest(header.as_bytes());
            RequestId(hash.first_chunk().map_or(0, |bits| u128::from_be_bytes(*bits)))
        }
    }
}
