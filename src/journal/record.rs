//! One event as bytes: a fixed header, readable for ever, and a payload.
//!
//! | offset | bytes | what, little endian |
//! |---|---|---|
//! | 0 | 1 | record format, 1 |
//! | 1 | 1 | who asked: 0 the service itself, 1 a caller, 2 a gateway, 3 an operator |
//! | 2 | 2 | event type, registered in `schema` |
//! | 4 | 2 | version of the payload |
//! | 6 | 2 | reserved, 0 |
//! | 8 | 8 | account number; 0 for what was done to the service itself |
//! | 16 | 8 | position: gapless over all accounts, from 1 |
//! | 24 | 8 | version: gapless in the account or in the other stream, from 1 |
//! | 32 | 8 | previous: the position of this stream's record before, 0 for none |
//! | 40 | 8 | time, microseconds since 1970-01-01T00:00:00Z |
//! | 48 | 8 | id of the principal, 0 where there is none |
//! | 56 | 16 | request id, 0 where there is none |
//! | 72 | 4 | bytes of payload |
//! | 76 | | payload (`schema`) |

use std::fmt;

use super::event_codec::{self, PayloadError};
use crate::domain::{AccountNumber, AuditLogEntry, Event, GatewayKind, Timestamp};
use crate::metrics::EventType;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 76;
const FORMAT: u8 = 1;

/// One fact as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    /// Its place among all facts, from 1.
    pub position: u64,
    /// Whose it is.
    pub stream: StreamId,
    /// Its place in its stream, from 1.
    pub version: u64,
    /// The position of the fact before it in its stream; 0 for none.
    pub previous: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who asked.
    pub origin: Origin,
    /// What happened.
    pub event: JournalEvent,
}

/// What has a history of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// What was done to the service itself.
    Administration,
    /// What happened to an account.
    Account(AccountNumber),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// To an account.
    Account(Event),
    /// To the service itself.
    Administration(AuditLogEntry),
    /// Something that a newer program wrote. Readers show it as it is; nobody can act on it.
    Unknown(UnknownEvent),
}

/// A payload that this program cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent {
    /// The registered number of its type.
    pub event_type: u16,
    /// The version of its payload.
    pub schema: u16,
    /// As it is stored.
    pub payload: Box<[u8]>,
}

/// Who asked for what happened, and in which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who.
    pub principal: Principal,
    /// In which request; events of one request share it.
    pub request: RequestId,
}

/// Who asks for something to be done to the service itself, and from where.
#[derive(Clone, Debug)]
pub struct RequesterIdentity {
    /// Who, and in which request.
    pub origin: Origin,
    /// The address of the peer, `command line`, or `receiver`.
    pub from: String,
}

/// Who asked. Ids are 0 until callers have keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The service itself: a deadline passed.
    Service,
    /// A caller of the HTTP API.
    Caller(u64),
    /// A gateway, by the number of its kind.
    Gateway(u64),
    /// An operator.
    Operator(u64),
}

/// The id of a request, as logs and answers show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

/// An event with its payload encoded, before the writer gives it its place.
#[derive(Debug)]
pub(super) struct UnsequencedRecord {
    pub(super) event_type: u16,
    pub(super) schema: u16,
    pub(super) payload: Vec<u8>,
}

/// The place that the writer gives a record.
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

/// Why bytes are no record.
#[derive(Debug)]
pub(super) enum MalformedRecord {
    Header(&'static str),
    Payload,
}

impl UnsequencedRecord {
    pub(super) fn new(fact: &JournalEvent) -> UnsequencedRecord {
        let (event_type, schema, payload) = event_codec::encode(fact);
        UnsequencedRecord { event_type, schema, payload }
    }

    pub(super) fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// Appends the record to `out`.
    pub(super) fn encode_into(&self, place: &SequenceInfo, out: &mut Vec<u8>) {
        let (kind, principal) = match place.origin.principal {
            Principal::Service => (0, 0),
            Principal::Caller(id) => (1, id),
            Principal::Gateway(id) => (2, id),
            Principal::Operator(id) => (3, id),
        };
        out.extend_from_slice(&[FORMAT, kind]);
        out.extend_from_slice(&self.event_type.to_le_bytes());
        out.extend_from_slice(&self.schema.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        for word in [place.stream.to_stored(), place.position, place.version, place.previous] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&place.at.0.to_le_bytes());
        out.extend_from_slice(&principal.to_le_bytes());
        out.extend_from_slice(&place.origin.request.0.to_le_bytes());
        out.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.payload);
    }
}

impl JournalRecord {
    /// The record in `bytes`, which hold it and nothing else.
    pub(super) fn decode(bytes: &[u8]) -> Result<JournalRecord, MalformedRecord> {
        let (header, payload) = split_header(bytes).map_err(MalformedRecord::Header)?;
        let RawHeader { event_type, schema, sequence: place } = header;
        let fact = match event_codec::decode(event_type, schema, place.at, payload) {
            Ok(fact) if fact.is_allowed_in(place.stream) => fact,
            Ok(_) => return Err(MalformedRecord::Header("a record is in a stream where its type does not belong")),
            Err(PayloadError::Unknown) => {
                JournalEvent::Unknown(UnknownEvent { event_type, schema, payload: payload.into() })
            }
            Err(PayloadError::Damaged) => return Err(MalformedRecord::Payload),
        };
        Ok(JournalRecord {
            position: place.position,
            stream: place.stream,
            version: place.version,
            previous: place.previous,
            at: place.at,
            origin: place.origin,
            event: fact,
        })
    }

    /// The account and what happened to it; none for what was done to the service itself, and for what is unknown here.
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

/// The length of the record that `bytes` begin with.
pub(super) fn record_len(bytes: &[u8]) -> Option<usize> {
    let payload = u32::from_le_bytes(*bytes.get(72..HEADER_BYTES)?.first_chunk()?);
    HEADER_BYTES.checked_add(payload as usize)
}

/// The header of the record in `bytes`, and its payload.
pub(super) fn split_header(bytes: &[u8]) -> Result<(RawHeader, &[u8]), &'static str> {
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or("a record is shorter than its header")?;
    if record_len(header) != Some(bytes.len()) {
        return Err("a record's length does not fit its payload");
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
    let place = SequenceInfo {
        stream,
        position: word(16),
        version: word(24),
        previous: word(32),
        at: Timestamp(word(40).cast_signed()),
        origin: Origin { principal, request },
    };
    Ok((RawHeader { event_type: half(2), schema: half(4), sequence: place }, payload))
}

// === impl Stream, Fact ===

impl StreamId {
    /// The number that stands for it in a record: the account's, or 0.
    pub(super) fn to_stored(self) -> u64 {
        match self {
            StreamId::Administration => 0,
            StreamId::Account(account) => account.get(),
        }
    }

    /// The stream that a stored number stands for.
    pub(super) fn from_stored(number: u64) -> Option<StreamId> {
        match number {
            0 => Some(StreamId::Administration),
            _ => AccountNumber::from_stored(number).map(StreamId::Account),
        }
    }

    /// The account, if it is one's.
    pub fn account(self) -> Option<AccountNumber> {
        match self {
            StreamId::Administration => None,
            StreamId::Account(account) => Some(account),
        }
    }
}

impl JournalEvent {
    /// Its name, as logs and readers show it; none for what is unknown here.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            JournalEvent::Account(event) => Some(event.name()),
            JournalEvent::Administration(act) => Some(act.event.name()),
            JournalEvent::Unknown(_) => None,
        }
    }

    /// What it is counted as; none for what is unknown here.
    pub(super) fn metric_event_type(&self) -> Option<EventType> {
        match self {
            JournalEvent::Account(event) => Some(event.into()),
            JournalEvent::Administration(act) => Some((&act.event).into()),
            JournalEvent::Unknown(_) => None,
        }
    }

    fn is_allowed_in(&self, stream: StreamId) -> bool {
        match self {
            JournalEvent::Account(_) => stream != StreamId::Administration,
            JournalEvent::Administration(_) => stream == StreamId::Administration,
            JournalEvent::Unknown(_) => true,
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
