//! Events: pages, and the live tail; the audit log.

use std::collections::VecDeque;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{ApiState, Call, PageReader, Problem};
use crate::audit::{self, Audit, CloudEvent, EventFilter, EventView, QueryPage};
use crate::domain::EventId;
use crate::idempotency::RequestStart;
use crate::journal::{self, Journal, JournalRecord, StreamId};
use crate::limits::LIVE_TAIL_READ_AHEAD;

/// Which events to list.
#[derive(Clone)]
pub struct EventQuery {
    /// Where the read starts, and in which direction it goes.
    pub start: ReadStart,
    /// Only matching events are listed.
    pub filter: EventFilter,
}

/// Start and direction of a read.
#[derive(Clone, Copy)]
pub enum ReadStart {
    /// Ascending, after this event; without one, from the first event.
    After(Option<EventId>),
    /// Descending, before this event; without one, from the last event.
    Before(Option<EventId>),
}

/// Start position and direction of a read.
#[derive(Clone, Copy)]
enum ReadPosition {
    After(u64),
    Before(u64),
}

/// A page of events.
#[derive(Serialize, ToSchema)]
pub struct EventPage {
    /// In the requested order.
    #[schema(value_type = Vec<CloudEvent>)]
    pub events: Vec<EventView>,
    /// The `after`, `before` or `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
}

/// A page of administrative events.
#[derive(Serialize, ToSchema)]
#[schema(as = ActPage)]
pub struct AuditLogPage {
    /// Newest first.
    #[schema(value_type = Vec<CloudEvent>)]
    pub acts: Vec<EventView>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
}

/// A stream of events, new ones as they happen.
pub struct LiveTail {
    audit: Audit,
    filter: EventFilter,
    head: watch::Receiver<u64>,
    position: u64,
    read_ahead: VecDeque<JournalRecord>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl EventPage {
    fn of(page: QueryPage<EventView>, journal: &Journal) -> EventPage {
        let next = page.next.map(|next| journal.event_id(next).to_string());
        EventPage { events: page.items, next }
    }
}

impl ReadStart {
    /// The position of the start. Fails if the log does not have it.
    fn resolve(self, journal: &Journal) -> Result<ReadPosition, audit::Error> {
        let resolve = |id: Option<EventId>, or| id.map_or(Ok(or), |id| journal.position_of(id));
        Ok(match self {
            ReadStart::After(id) => ReadPosition::After(resolve(id, 0)?),
            ReadStart::Before(id) => ReadPosition::Before(resolve(id, u64::MAX)?),
        })
    }
}

impl ReadPosition {
    fn read(self, audit: &Audit, filter: &EventFilter, limit: usize) -> Result<QueryPage<EventView>, audit::Error> {
        match self {
            ReadPosition::After(position) => audit.events(position, filter, limit),
            ReadPosition::Before(position) => audit.events_back(position, filter, limit),
        }
    }

    /// Continues after a page, in the same direction.
    fn resume_at(self, next: Option<u64>) -> ReadPosition {
        match self {
            ReadPosition::After(first) => ReadPosition::After(next.unwrap_or(first)),
            ReadPosition::Before(first) => ReadPosition::Before(next.unwrap_or(first)),
        }
    }
}

/// Lists events of all accounts.
pub async fn list_events(call: &Call, query: EventQuery, limit: usize) -> Result<EventPage, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || {
        let start = query.start.resolve(audit.journal())?;
        Ok(EventPage::of(start.read(&audit, &query.filter, limit)?, audit.journal()))
    })
    .await
}

/// Reads at most `most` events of all accounts.
pub fn read_events(call: &Call, query: EventQuery, most: u64) -> Result<PageReader<EventView>, Problem> {
    let audit = call.api().audit().clone();
    let EventQuery { start, filter } = query;
    let start = start.resolve(audit.journal())?;
    PageReader::new(call, None, most, move |next, limit| Ok(start.resume_at(next).read(&audit, &filter, limit)?))
}

/// Follows the events after the event `after`. `None` follows only new events.
pub fn follow_events(call: &Call, after: Option<EventId>, filter: EventFilter) -> Result<LiveTail, Problem> {
    let permit = call.api().acquire_live_reader()?;
    call.authorize()?;
    let audit = call.api().audit().clone();
    let journal = audit.journal();
    let position = after.map_or_else(|| Ok(journal.head()), |after| journal.position_of(after));
    let position = position.map_err(audit::Error::from)?;
    let head = audit.journal().subscribe_head();
    let stop = call.api().stop().clone();
    Ok(LiveTail { audit, filter, head, position, read_ahead: VecDeque::new(), stop, _permit: permit })
}

/// Lists the audit log.
pub async fn list_acts(
    call: &Call,
    cursor: Option<EventId>,
    filter: EventFilter,
    limit: usize,
) -> Result<AuditLogPage, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || {
        let invalid_cursor = || Problem::invalid_parameter("cursor", "must be the next of the previous page");
        let journal = audit.journal();
        let cursor = cursor.map(|cursor| journal.position_of(cursor)).transpose().map_err(audit::Error::from)?;
        let page = audit.administrative_events(cursor, &filter, limit)?.ok_or_else(invalid_cursor)?;
        Ok(AuditLogPage { acts: page.items, next: page.next.map(|next| journal.event_id(next).to_string()) })
    })
    .await
}

/// Whether the audit log has an event of an earlier execution of the same request.
pub async fn has_recorded_act(api: &ApiState, intent: RequestStart) -> Result<bool, Problem> {
    let RequestStart { request, position } = intent;
    let journal = api.audit().journal().clone();
    let search = move || {
        for act in journal.history_back(StreamId::Administration) {
            let act = act?;
            if act.position <= position {
                break;
            }
            if act.origin.request == request {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let found = spawn_blocking(search).await.map_err(|error| Problem::task_failed(&error))?;
    Ok(found.map_err(|error: journal::Error| audit::Error::from(error))?)
}

impl LiveTail {
    /// Waits for the next durable event that passes the filter. Returns `None` when the service stops, or if the
    /// journal cannot be read.
    pub async fn next(&mut self) -> Option<EventView> {
        let stop = self.stop.clone();
        let record = stop.run_until_cancelled(self.next_record()).await??;
        let event = self.audit.event_view(record);
        event.inspect_err(|error| tracing::error!(%error, "the live tail failed")).ok()
    }

    async fn next_record(&mut self) -> Option<JournalRecord> {
        loop {
            if let Some(record) = self.read_ahead.pop_front() {
                return Some(record);
            }
            let position = self.position;
            self.head.wait_for(|head| *head > position).await.ok()?;
            let (audit, filter) = (self.audit.clone(), self.filter.clone());
            let outcome = spawn_blocking(move || audit.records(position, &filter, LIVE_TAIL_READ_AHEAD)).await.ok()?;
            match outcome {
                Ok((records, read_to)) => {
                    self.read_ahead = records.into();
                    self.position = read_to;
                }
                Err(error) => {
                    tracing::error!(%error, "the live tail failed");
                    return None;
                }
            }
        }
    }
}
