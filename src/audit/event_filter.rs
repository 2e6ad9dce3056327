//! Filters for events. Pure.

use crate::domain::{AccountNumber, EventType, Timestamp};
use crate::journal::{JournalRecord, RecordHeader, StreamId};

/// A filter. An event matches if it meets every condition that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events of this account.
    pub account: Option<AccountNumber>,
    /// Only events of these types. Empty for all types.
    pub types: Vec<EventType>,
    /// Only events at or after this time.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Whether the filter accepts every event.
    pub(super) fn matches_all(&self) -> bool {
        *self == EventFilter::default()
    }

    pub(super) fn matches_header(&self, header: &RecordHeader) -> bool {
        let RecordHeader { stream, at, event_type, .. } = *header;
        self.account.is_none_or(|account| stream == StreamId::Account(account))
            && (self.types.is_empty() || event_type.is_some_and(|event_type| self.types.contains(&event_type)))
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }

    pub(super) fn matches_record(&self, record: &JournalRecord) -> bool {
        let JournalRecord { position, stream, at, event, .. } = record;
        self.matches_header(&RecordHeader {
            position: *position,
            stream: *stream,
            at: *at,
            event_type: event.event_type(),
        })
    }
}
