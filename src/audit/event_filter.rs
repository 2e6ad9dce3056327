//! Which facts somebody wants to see. Pure.

use super::cloud_event::event_name_from_type;
use crate::domain::{AccountNumber, Timestamp};
use crate::journal::{self, JournalRecord, RecordHeader, StreamId};

/// A filter: a fact is wanted if it is as each part says that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of one account only.
    pub account: Option<AccountNumber>,
    /// Of these types only: as in `came_online` or `muster.account.came_online.v1`. None given: of all.
    pub types: Vec<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Whether a name of a type, as somebody wrote it, is one.
    pub fn is_event_type(written: &str) -> bool {
        journal::event_type_names().any(|name| name == event_name_from_type(written))
    }

    /// Whether everything is wanted.
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
        let JournalRecord { position, stream, at, event: fact, .. } = record;
        self.matches_header(&RecordHeader { position: *position, stream: *stream, at: *at, name: fact.name() })
    }

    fn matches_name(&self, name: Option<&str>) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| name == Some(event_name_from_type(wanted)))
    }
}
