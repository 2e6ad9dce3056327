//! Filters for events. Pure.

use super::cloud_event::event_name_from_type;
use crate::domain::{AccountNumber, Timestamp};
use crate::journal::{self, JournalRecord, RecordHeader, StreamId};

/// A filter. An event matches if it meets every condition that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events of this account.
    pub account: Option<AccountNumber>,
    /// Only events of these types, such as `came_online` or `muster.account.came_online.v1`. Empty for all types.
    pub types: Vec<String>,
    /// Only events at or after this time.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Whether `written` is the name of an event type, in short or full form.
    pub fn is_event_type(written: &str) -> bool {
        journal::event_type_names().any(|name| name == event_name_from_type(written))
    }

    /// Whether the filter accepts every event.
    pub(super) fn matches_all(&self) -> bool {
        *self == EventFilter::default()
    }

    pub(super) fn matches_header(&self, glance: &RecordHeader) -> bool {
        let RecordHeader { stream, at, name, .. } = *glance;
        self.account.is_none_or(|account| stream == StreamId::Account(account))
            && self.matches_name(name)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }

    pub(super) fn matches_record(&self, record: &JournalRecord) -> bool {
        let JournalRecord { position, stream, at, event, .. } = record;
        self.matches_header(&RecordHeader { position: *position, stream: *stream, at: *at, name: event.name() })
    }

    fn matches_name(&self, name: Option<&str>) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| name == Some(event_name_from_type(wanted)))
    }
}
