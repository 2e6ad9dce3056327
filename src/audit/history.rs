//! Queries: pages of events, one account's history, its state now and in the past.

use std::ops::ControlFlow;

use serde_json::Value;

use super::account_state::{AccountWithCauses, FieldChange, diff_views};
use super::event_filter::EventFilter;
use super::{Audit, Error, EventView};
use crate::domain::{AccountNumber, EventId, Generation, Timestamp};
use crate::journal::{JournalRecord, StreamId};
use crate::limits::EVENTS_SCANNED;

/// One page of a query's result.
#[derive(Debug, PartialEq, Eq)]
pub struct QueryPage<T> {
    /// The results, in the order of the query.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<u64>,
}

/// The order of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryOrder {
    /// First event first.
    Ascending,
    /// Last event first.
    Descending,
}

/// The point in time of a requested account state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// The current state.
    Now,
    /// The state after this version: a plain one of the present history, or one with its generation, as receivers get it.
    Version(u64),
    /// The state at this time.
    Time(Timestamp),
    /// The state when the journal ended at this position.
    Position(u64),
}

impl Audit {
    /// The events after `position` that match `filter`, at most `limit`. One call examines at most [`EVENTS_SCANNED`]
    /// events, so a page may be short or empty although more follow.
    pub fn events(&self, position: u64, filter: &EventFilter, limit: usize) -> Result<QueryPage<EventView>, Error> {
        let (records, scanned_to) = self.records(position, filter, limit)?;
        let next = (scanned_to < self.journal.head()).then_some(scanned_to);
        Ok(QueryPage { items: self.event_views(records)?, next })
    }

    /// Like [`events`](Audit::events), backwards: the matching events before `position`, last first.
    pub fn events_back(
        &self,
        position: u64,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<QueryPage<EventView>, Error> {
        let mut records = Vec::new();
        let mut take = |record| {
            records.push(record);
            if records.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let scanned_to = match filter.account {
            None => self.journal.scan_back(
                position,
                EVENTS_SCANNED,
                |header| filter.matches_header(header),
                |record| if filter.matches_event(&record.event) { take(record) } else { ControlFlow::Continue(()) },
            )?,
            Some(account) => {
                let mut scanned_to = 1;
                for record in self.journal.history_back(StreamId::Account(account)) {
                    let record = record?;
                    let at = record.position;
                    if at < position && filter.matches_record(&record) && take(record).is_break() {
                        scanned_to = at;
                        break;
                    }
                }
                scanned_to
            }
        };
        let next = (scanned_to > 1).then_some(scanned_to);
        Ok(QueryPage { items: self.event_views(records)?, next })
    }

    /// Like [`events`](Audit::events), as records. Also returns the position up to which events were examined.
    pub fn records(
        &self,
        position: u64,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<(Vec<JournalRecord>, u64), Error> {
        let mut records = Vec::new();
        if limit == 0 {
            return Ok((records, position));
        }
        let Some(account) = filter.account else {
            let scanned_to = self.journal.scan(
                position,
                EVENTS_SCANNED,
                |header| filter.matches_header(header),
                |record| {
                    records.extend(Some(record).filter(|record| filter.matches_event(&record.event)));
                    if records.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            )?;
            return Ok((records, scanned_to));
        };
        // One account's history is read from its end, without scanning other accounts.
        let head = self.journal.head();
        records = self.journal.history_after(StreamId::Account(account), position, usize::MAX)?;
        records.retain(|record| record.position <= head && filter.matches_record(record));
        records.truncate(limit);
        let scanned_to = records.last().map(|last| last.position).filter(|_| records.len() == limit).unwrap_or(head);
        Ok((records, scanned_to.max(position)))
    }

    /// One account's history in this order, at most `limit` matching events. `from` is the version after which to
    /// continue, in the direction of the order.
    pub fn history(
        &self,
        account: AccountNumber,
        order: HistoryOrder,
        from: Option<u64>,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<QueryPage<EventView>, Error> {
        let stream = self.existing_stream(account)?;
        let backwards = self.journal.history_back(stream);
        let is_in_reach = |record: &JournalRecord| match order {
            HistoryOrder::Ascending => from.is_none_or(|from| record.version > from),
            HistoryOrder::Descending => from.is_none_or(|from| record.version < from),
        };
        let mut records = Vec::new();
        for record in backwards {
            let record = record?;
            let is_before = order == HistoryOrder::Ascending && from.is_some_and(|from| record.version <= from);
            if is_before || (order == HistoryOrder::Descending && records.len() > limit) {
                break;
            }
            if is_in_reach(&record) && filter.matches_record(&record) {
                records.push(record);
            }
        }
        if order == HistoryOrder::Ascending {
            records.reverse();
        }
        let has_more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().map(|last| last.version).filter(|_| has_more);
        Ok(QueryPage { items: self.event_views(records)?, next })
    }

    /// The plain version of a requested one, which must be in the present history.
    fn present_version(&self, account: AccountNumber, stream: StreamId, version: u64) -> Result<u64, Error> {
        let versions = self.journal.stream_head(stream).version;
        match EventId::from_qualified_version(version) {
            Some(EventId { generation: Generation::FIRST, .. }) if (1..=versions).contains(&version) => Ok(version),
            // In a log that was restored, a version beyond the last one may be of the lost history.
            Some(cursor) if self.source.generations().current() != Generation::FIRST && version != 0 => {
                self.resolve_version(account, cursor)
            }
            Some(_) | None => Err(Error::NoSuchVersion { account, version, versions }),
        }
    }

    /// The version at a cursor of an account's history. Fails if the history does not have this version, or has it in
    /// another generation.
    pub fn resolve_version(&self, account: AccountNumber, cursor: EventId) -> Result<u64, Error> {
        let stream = self.existing_stream(account)?;
        let version = cursor.position;
        let mut continue_after = EventId { generation: Generation::FIRST, position: 0 };
        if cursor == continue_after {
            return Ok(version);
        }
        for record in self.journal.history_back(stream) {
            let record = record?;
            let found = EventId { position: record.version, ..self.source.event_id(record.position) };
            if found == cursor {
                return Ok(version);
            }
            if record.version <= version && found.generation <= cursor.generation {
                continue_after = found;
                break;
            }
        }
        Err(Error::LostVersion { account, cursor, continue_after })
    }

    /// Administrative events that match `filter`, latest first, at most `limit`. Starts at the one at `from`, if given.
    /// `None` if there is no such event. One call examines at most [`EVENTS_SCANNED`] events.
    pub fn administrative_events(
        &self,
        from: Option<u64>,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<Option<QueryPage<EventView>>, Error> {
        let stream = StreamId::Administration;
        let back: Box<dyn Iterator<Item = _>> = match from {
            None => Box::new(self.journal.history_back(stream)),
            Some(position) => match self.journal.history_back_from(stream, position)? {
                Some(back) => Box::new(back),
                None => return Ok(None),
            },
        };
        let (mut records, mut next) = (Vec::new(), None);
        // Each event links to the previous one of its stream, so other events are not read.
        for record in back.take(EVENTS_SCANNED as usize) {
            let record = record?;
            next = Some(record.previous).filter(|previous| *previous > 0);
            records.extend(Some(record).filter(|record| filter.matches_record(record)));
            if records.len() == limit {
                break;
            }
        }
        Ok(Some(QueryPage { items: self.event_views(records)?, next }))
    }

    /// An account's state at a point in time, as JSON.
    pub fn state(&self, account: AccountNumber, as_of: AsOf) -> Result<Value, Error> {
        Ok(serde_json::to_value(self.account_at(account, as_of)?).unwrap_or_default())
    }

    /// The fields of an account that differ between two of its versions.
    pub fn diff(&self, account: AccountNumber, from: u64, to: u64) -> Result<Vec<FieldChange>, Error> {
        let [from, to] = [from, to].map(|version| self.state(account, AsOf::Version(version)));
        Ok(diff_views(&from?, &to?))
    }

    /// An event as queries return it.
    pub fn event_view(&self, record: JournalRecord) -> Result<EventView, Error> {
        let key_name = self.key_names.of(record.origin)?;
        Ok(EventView { record, source: self.source.clone(), key_name })
    }

    fn event_views(&self, records: Vec<JournalRecord>) -> Result<Vec<EventView>, Error> {
        records.into_iter().map(|record| self.event_view(record)).collect()
    }

    /// An account at a point in time.
    pub fn account_at(&self, account: AccountNumber, as_of: AsOf) -> Result<AccountWithCauses, Error> {
        let stream = self.existing_stream(account)?;
        let as_of = match as_of {
            AsOf::Version(version) => AsOf::Version(self.present_version(account, stream, version)?),
            AsOf::Now | AsOf::Time(_) | AsOf::Position(_) => as_of,
        };
        let is_included = |record: &JournalRecord| match as_of {
            AsOf::Now => true,
            AsOf::Version(version) => record.version <= version,
            AsOf::Time(time) => record.at <= time,
            AsOf::Position(position) => record.position <= position,
        };
        let records = self.journal.history_after(stream, 0, usize::MAX)?;
        // The clock may have been set back. The order of the events decides, not their times.
        let included = records.iter().rposition(is_included).map_or(0, |last| last + 1);
        if included == 0 {
            return Err(Error::BeforeFirstEvent {
                account,
                first: records.first().map(|first| super::rfc3339::format_rfc3339(first.at)),
            });
        }
        let mut state = AccountWithCauses::new(account);
        for record in records.iter().take(included) {
            state.apply(record, self.source.event_id(record.position), self.key_names.of(record.origin)?.as_deref())?;
        }
        Ok(state)
    }

    /// The stream of an account; fails if the account has no events.
    pub(super) fn existing_stream(&self, account: AccountNumber) -> Result<StreamId, Error> {
        let stream = StreamId::Account(account);
        if self.journal.stream_head(stream).version == 0 { Err(Error::UnknownAccount { account }) } else { Ok(stream) }
    }
}
