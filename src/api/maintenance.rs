//! Projections, verification, replay, export and backup, with their entries in the audit log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{ApiState, ByteSource, Call, Problem};
use crate::audit::{
    self, EventFilter, ExportFormat, ExportRange, ReplayEnd, ReplayReport, VerificationReport, write_time,
};
use crate::clock;
use crate::domain::{AccountNumber, AdministrativeEvent, EventId};
use crate::journal::RequesterIdentity;

/// The projections of the journal.
#[derive(Serialize, ToSchema)]
#[schema(as = Projections)]
pub struct ProjectionsResponse {
    pub(crate) head: JournalHeadView,
    pub(crate) projections: [ProjectionView; 1],
}

/// The head of the journal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Head)]
pub(crate) struct JournalHeadView {
    /// The id of the last event: its position; `0` if there is none.
    pub(crate) position: String,
    /// The time of that event; null if there is none.
    #[schema(required, format = DateTime)]
    pub(crate) moved_at: Option<String>,
}

/// One projection.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Projection)]
pub(crate) struct ProjectionView {
    /// `roster`, the account list.
    pub(crate) name: &'static str,
    /// The id of the last applied event.
    pub(crate) position: String,
    /// The number of events that are not applied yet.
    pub(crate) lag: u64,
    /// The progress of a running rebuild; null if there is none.
    #[schema(required)]
    pub(crate) rebuilding: Option<RebuildProgress>,
    /// The last rebuild; null if there was none since the start.
    #[schema(required)]
    pub(crate) last_rebuild: Option<RebuildResult>,
}

/// The progress of a rebuild.
#[derive(Serialize, ToSchema)]
#[schema(as = Rebuilding)]
pub(crate) struct RebuildProgress {
    /// The position of the last folded event.
    pub(crate) position: String,
    /// The position at which the rebuild ends.
    pub(crate) of: String,
}

/// What an export contains.
pub struct ExportQuery {
    /// The format.
    pub format: ExportFormat,
    /// Which events.
    pub filter: EventFilter,
    /// The first event. Without it, the log's first.
    pub first: Option<EventId>,
    /// The last event. Without it, the log's last.
    pub last: Option<EventId>,
}

/// The start of a rebuild.
#[derive(Serialize, ToSchema)]
#[schema(as = Begun)]
pub struct RebuildResponse {
    /// `roster`.
    pub(crate) name: &'static str,
    /// Always true.
    pub(crate) rebuilding: bool,
}

/// The running rebuild of the roster, and the result of the last one.
#[derive(Default)]
pub struct RebuildState {
    is_running: AtomicBool,
    position: AtomicU64,
    last: Mutex<Option<RebuildResult>>,
}

/// A complete rebuild.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Rebuilt)]
pub(crate) struct RebuildResult {
    /// The time.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// The number of folded events.
    pub(crate) events: String,
    /// The number of accounts that differed before.
    pub(crate) differences: u64,
}

/// Shows how far the projections follow the journal.
pub async fn show_projections(call: &Call) -> Result<ProjectionsResponse, Problem> {
    let api = call.api().clone();
    call.read_blocking(move || {
        let (position, head) = (api.audit().roster().position(), api.audit().journal().head());
        let id = |position| api.audit().journal().event_id(position).to_string();
        let moved_at = time_at_position(&api, head)?;
        let rebuild = api.rebuild();
        let rebuilding = rebuild.is_running.load(Ordering::Relaxed).then(|| RebuildProgress {
            position: rebuild.position.load(Ordering::Relaxed).to_string(),
            of: head.to_string(),
        });
        let roster = ProjectionView {
            name: "roster",
            position: id(position),
            lag: head.saturating_sub(position),
            rebuilding,
            last_rebuild: rebuild.last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        let head = JournalHeadView { position: id(head), moved_at };
        Ok(ProjectionsResponse { head, projections: [roster] })
    })
    .await
}

/// The time of the event at `position`; `None` if there is no such event.
pub(super) fn time_at_position(api: &ApiState, position: u64) -> Result<Option<String>, Problem> {
    let last = api.audit().journal().read_at(position).map_err(audit::Error::from)?;
    Ok(last.map(|last| write_time(last.at)))
}

/// Starts the rebuild of a projection.
pub async fn rebuild_projection(call: &Call, name: &str) -> Result<RebuildResponse, Problem> {
    if name != "roster" {
        return Err(Problem::not_found(format!("there is no projection {name:?}; the only one is roster")));
    }
    let requester = call.authorize()?.into_requester_identity();
    if call.api().rebuild().is_running.swap(true, Ordering::Relaxed) {
        return Err(Problem::conflict("a rebuild is already running; GET /api/v1/projections shows its progress"));
    }
    let (call, runtime) = (call.clone(), Handle::current());
    spawn_blocking(move || {
        let (rebuild, audit) = (call.api().rebuild(), call.api().audit());
        let progress = |position| rebuild.position.store(position, Ordering::Relaxed);
        let outcome = audit.roster().rebuild(audit.journal(), true, progress);
        rebuild.is_running.store(false, Ordering::Relaxed);
        match outcome {
            Ok((events, differing)) => {
                let differences = differing.len() as u64;
                let (at, events) = (write_time(clock::now()), events.to_string());
                *rebuild.last.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(RebuildResult { at, events, differences });
                let event = AdministrativeEvent::ProjectionRebuilt { projection: "roster".to_owned(), differences };
                runtime.block_on(record_done(call.api(), event, requester));
            }
            Err(error) => tracing::error!(%error, "rebuilding the roster failed; the previous one is still served"),
        }
    });
    Ok(RebuildResponse { name: "roster", rebuilding: true })
}

/// Verifies the whole journal.
pub async fn verify_journal(call: &Call) -> Result<VerificationReport, Problem> {
    let (permit, audit) = (call.api().acquire_full_scan()?, call.api().audit().clone());
    call.read_blocking(move || {
        let _permit = permit;
        Ok(audit.verify(|_, _| {})?)
    })
    .await
}

/// Replays the journal, and compares the result with the states that the service serves.
pub async fn replay_journal(
    call: &Call,
    until: ReplayEnd,
    account: Option<AccountNumber>,
) -> Result<ReplayReport, Problem> {
    let (permit, audit) = (call.api().acquire_full_scan()?, call.api().audit().clone());
    call.read_blocking(move || {
        let _permit = permit;
        Ok(audit.replay(until, account, |_, _| {})?)
    })
    .await
}

/// Exports events; an export of CloudEvents includes their proof. It is recorded before the first byte: who looked, and at
/// what.
pub async fn export_events(call: &Call, query: ExportQuery) -> Result<ByteSource, Problem> {
    let ExportQuery { format, filter, .. } = &query;
    let (format, filter) = (format.name().to_owned(), filter.to_parameters());
    let (range, source) = prepare_export(call, query)?;
    let event = AdministrativeEvent::EventsExported { format, filter, first: range.first, last: range.last };
    let requester = call.authorize()?.into_requester_identity();
    call.api().record(event, requester).await.map_err(audit::Error::from)?;
    Ok(source)
}

/// Like [`export_events`], but on a data directory without a service. It is not recorded.
pub fn export_stopped_events(call: &Call, query: ExportQuery) -> Result<ByteSource, Problem> {
    Ok(prepare_export(call, query)?.1)
}

fn prepare_export(call: &Call, query: ExportQuery) -> Result<(ExportRange, ByteSource), Problem> {
    let audit = call.api().audit().clone();
    let ExportQuery { format, filter, first, last } = query;
    if format == ExportFormat::CloudEvents {
        audit.signer()?;
    }
    let permit = call.api().acquire_stream_permit()?;
    // The range ends before the event that records the export.
    let range = audit.export_range(first, last)?;
    let source =
        ByteSource::new(permit, move |write| Ok(audit.write_export(format, &filter, range, |_, _| {}, write)?));
    Ok((range, source))
}

/// Writes a backup of the whole store. The backup is recorded in the audit log.
pub async fn create_backup(call: &Call) -> Result<ByteSource, Problem> {
    call.api().audit().signer()?;
    call.api().audit().check_backup_allowed()?;
    let (permit, call, runtime) = (call.api().acquire_stream_permit()?, call.clone(), Handle::current());
    Ok(ByteSource::new(permit, move |write| {
        // The backup is recorded before the response ends, so every complete response has its entry in the audit log.
        let written = call.api().audit().write_backup(|_, _| {}, write)?;
        if let Some(backup_taken) = written {
            // If the key is no longer valid, the client gets no complete response, and nothing is recorded.
            let requester = call.authorize()?.into_requester_identity();
            runtime.block_on(record_done(call.api(), backup_taken, requester));
        }
        Ok(())
    }))
}

/// Records a completed operation. If that fails, the operation stays done: the journal has failed, and the service will
/// stop soon.
async fn record_done(api: &ApiState, event: AdministrativeEvent, requester: RequesterIdentity) {
    if let Err(error) = api.record(event, requester).await {
        tracing::error!(%error, "an administrative event was not recorded");
    }
}
