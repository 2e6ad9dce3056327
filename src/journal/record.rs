//! One event as bytes: a fixed header that every later version can read, and a payload.
//!
//! | offset | bytes | what, little endian |
//! |---|---|---|
//! | 0 | 1 | record format, 1 |
//! | 1 | 1 | principal: 0 the service itself, 1 a caller, 2 a gateway, 3 an operator |
//! | 2 | 2 | event type: the number in its `EventDefinition` |
//! | 4 | 2 | version of the payload |
//! | 6 | 2 | reserved, 0 |
//! | 8 | 8 | account number; 0 for administrative events |
//! | 16 | 8 | position: gapless over all streams, from 1 |
//! | 24 | 8 | version: gapless within the stream, from 1 |
//! | 32 | 8 | previous: the position of the stream's previous record, 0 for none |
//! | 40 | 8 | time, microseconds since 1970-01-01T00:00:00Z |
//! | 48 | 8 | id of the principal, 0 if it has none |
//! | 56 | 16 | request id, 0 if there was no request |
//! | 72 | 4 | bytes of payload |
//! | 76 | | payload (`event_codec`) |
//!
//! Frozen: journals, backups and bundles hold these bytes, and the hashes of the log cover them. Another layout needs a
//! new record format beside this one.

use std::fmt;

use super::event_codec;
use super::journal_event::{JournalEvent, UnknownEvent};
use super::payload::PayloadError;
use crate::domain::{AccountNumber, Event, GatewayKind, Timestamp};

/// Size of the header in bytes.
pub(super) const HEADER_BYTES: usize = 76;
const FORMAT: u8 = 1;

/// One event of the journal, with its position and origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    /// Its position among all events, from 1.
    pub position: u64,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its version within the stream, from 1.
    pub version: u64,
    /// The position of the stream's previous event; 0 for none.
    pub previous: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who caused it.
    pub origin: Origin,
    /// The schema version of the stored payload. It decides how the event is shown.
    pub schema: u16,
    /// What happened.
    pub event: JournalEvent,
}

/// A sequence of events with versions of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// Administrative events.
    Administration,
    /// Events of one account.
    Account(AccountNumber),
}

/// Who caused an event, and in which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who caused it.
    pub principal: Principal,
    /// The request. Events of one request share it.
    pub request: RequestId,
}

/// Who requested an administrative action, and from where.
#[derive(Clone, Debug)]
pub struct RequesterIdentity {
    /// The principal and the request.
    pub origin: Origin,
    /// The caller's address, `command line`, or `receiver` for a channel that the answer of its receiver closed.
    pub from: String,
}

/// Who caused an event. The id is 0 if the principal has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The service itself, for example because a deadline passed.
    Service,
    /// A caller of the HTTP API, by the number of its API key.
    Caller(u64),
    /// A gateway, by the number of its kind.
    Gateway(u64),
    /// An operator, by the number of its API key.
    Operator(u64),
}

/// The id of a request, as shown in logs and responses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

/// An event with its encoded payload, before the writer assigns its position.
#[derive(Debug)]
pub(super) struct UnsequencedRecord {
    pub(super) event_type: u16,
    pub(super) schema: u16,
    pub(super) payload: Vec<u8>,
}

/// The fields of a record that surround its event: stream, position, versions, time and origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct SequenceInfo {
    pub(super) stream: StreamId,
    pub(super) position: u64,
    pub(super) version: u64,
    pub(super) previous: u64,
    pub(super) at: Timestamp,
    pub(super) origin: Origin,
}

/// The fields of a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawHeader {
    pub(super) event_type: u16,
    pub(super) schema: u16,
    pub(super) sequence: SequenceInfo,
}

/// Why bytes are not a valid record.
#[derive(Debug)]
pub(super) enum MalformedRecord {
    Header(&'static str),
    Payload,
}

impl UnsequencedRecord {
    pub(super) fn new(event: &JournalEvent) -> UnsequencedRecord {
        let (event_type, schema, payload) = event_codec::encode(event);
        UnsequencedRecord { event_type, schema, payload }
    }

    pub(super) fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// Appends the record to `out`.
    pub(super) fn encode_into(&self, sequence: &SequenceInfo, out: &mut Vec<u8>) {
        let (kind, principal) = match sequence.origin.principal {
            Principal::Service => (0, 0),
            Principal::Caller(id) => (1, id),
            Principal::Gateway(id) => (2, id),
            Principal::Operator(id) => (3, id),
        };
        out.extend_from_slice(&[FORMAT, kind]);
        out.extend_from_slice(&self.event_type.to_le_bytes());
        out.extend_from_slice(&self.schema.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        for word in [sequence.stream.to_stored(), sequence.position, sequence.version, sequence.previous] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&sequence.at.0.to_le_bytes());
        out.extend_from_slice(&principal.to_le_bytes());
        out.extend_from_slice(&sequence.origin.request.0.to_le_bytes());
        out.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.payload);
    }
}

impl JournalRecord {
    /// Decodes a record. `bytes` must hold exactly one record.
    pub(super) fn decode(bytes: &[u8]) -> Result<JournalRecord, MalformedRecord> {
        let (header, payload) = split_header(bytes).map_err(MalformedRecord::Header)?;
        let RawHeader { event_type, schema, sequence } = header;
        let event = match event_codec::decode(event_type, schema, sequence.at, payload) {
            Ok(event) if sequence.stream.allows(&event) => event,
            Ok(_) => return Err(MalformedRecord::Header("a record is in the wrong stream for its type")),
            Err(PayloadError::Unknown) => {
                JournalEvent::Unknown(UnknownEvent { event_type, schema, payload: payload.into() })
            }
            Err(PayloadError::Damaged) => return Err(MalformedRecord::Payload),
        };
        Ok(JournalRecord {
            position: sequence.position,
            stream: sequence.stream,
            version: sequence.version,
            previous: sequence.previous,
            at: sequence.at,
            origin: sequence.origin,
            schema,
            event,
        })
    }

    /// The account and its event. `None` for administrative and unknown events.
    pub fn account_event(&self) -> Option<(AccountNumber, &Event)> {
        match (self.stream, &self.event) {
            (StreamId::Account(account), JournalEvent::Account(event)) => Some((account, event)),
            (
                StreamId::Account(_) | StreamId::Administration,
                JournalEvent::Account(_) | JournalEvent::Administration(_) | JournalEvent::Unknown(_),
            ) => None,
        }
    }
}

/// The length of the record at the start of `bytes`.
pub(super) fn record_len(bytes: &[u8]) -> Option<usize> {
    let payload = u32::from_le_bytes(*bytes.get(72..HEADER_BYTES)?.first_chunk()?);
    HEADER_BYTES.checked_add(payload as usize)
}

/// Splits the record in `bytes` into its header and its payload.
pub(super) fn split_header(bytes: &[u8]) -> Result<(RawHeader, &[u8]), &'static str> {
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or("a record is shorter than its header")?;
    if record_len(header) != Some(bytes.len()) {
        return Err("a record's length does not match its payload");
    }
    let word = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if header[0] != FORMAT || half(6) != 0 {
        return Err("a record has an unknown format");
    }
    let principal = match header[1] {
        0 => Principal::Service,
        1 => Principal::Caller(word(48)),
        2 => Principal::Gateway(word(48)),
        3 => Principal::Operator(word(48)),
        _ => return Err("a record has an unknown origin"),
    };
    let stream = StreamId::from_stored(word(8)).ok_or("a record has no account number")?;
    let request = RequestId(u128::from(word(56)) | u128::from(word(64)) << 64);
    let sequence = SequenceInfo {
        stream,
        position: word(16),
        version: word(24),
        previous: word(32),
        at: Timestamp(word(40).cast_signed()),
        origin: Origin { principal, request },
    };
    Ok((RawHeader { event_type: half(2), schema: half(4), sequence }, payload))
}

// === impl StreamId ===

impl StreamId {
    /// The number stored for this stream: the account number, or 0.
    pub(super) fn to_stored(self) -> u64 {
        match self {
            StreamId::Administration => 0,
            StreamId::Account(account) => account.get(),
        }
    }

    /// The stream with this stored number.
    pub(super) fn from_stored(number: u64) -> Option<StreamId> {
        match number {
            0 => Some(StreamId::Administration),
            _ => AccountNumber::from_stored(number).map(StreamId::Account),
        }
    }

    /// The account whose stream this is. `None` for the administration stream.
    pub fn account(self) -> Option<AccountNumber> {
        match self {
            StreamId::Administration => None,
            StreamId::Account(account) => Some(account),
        }
    }

    /// Whether `event` belongs in this stream. An unknown event may belong in any.
    fn allows(self, event: &JournalEvent) -> bool {
        match event {
            JournalEvent::Account(_) => self != StreamId::Administration,
            JournalEvent::Administration(_) => self == StreamId::Administration,
            JournalEvent::Unknown(_) => true,
        }
    }
}

// === impl Principal ===

impl Principal {
    /// The number of the API key that it used. A key is the same key in every role. `None` without a key.
    pub fn key_id(self) -> Option<u64> {
        match self {
            Principal::Caller(id) | Principal::Operator(id) => (id != 0).then_some(id),
            Principal::Service | Principal::Gateway(_) => None,
        }
    }
}

// === impl Origin ===

impl Origin {
    /// The service itself, outside any request.
    pub const SERVICE: Origin = Origin { principal: Principal::Service, request: RequestId(0) };
    /// An operator at the command line.
    pub const OPERATOR: Origin = Origin { principal: Principal::Operator(0), request: RequestId(0) };

    /// A gateway, outside any request.
    pub fn gateway(kind: GatewayKind) -> Origin {
        Origin { principal: Principal::Gateway(u64::from(kind.code())), request: RequestId(0) }
    }
}

impl RequestId {
    /// Parses 32 hex digits, as an id is displayed.
    pub fn parse(text: &str) -> Option<RequestId> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| is_hex).map(RequestId)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
