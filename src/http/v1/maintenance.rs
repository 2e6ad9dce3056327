//! Projections, verification, replay, export and backup, with their entries in the audit log.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::problem::Problem;
use super::query_parameters::QueryParameters;
use super::request_context::RequestContext;
use super::response_body::{NDJSON, json_response, stream_response};
use super::{ApiState, RebuildResult};
use crate::audit::{self, ExportFormat, ReplayEnd, write_time};
use crate::clock;
use crate::domain::{AdministrativeEvent, AuditLogEntry};
use crate::http::contract_requests::Query;
use crate::journal::RequesterIdentity;

/// What follows from the journal, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Projections)]
pub(in crate::http) struct ProjectionsResponse {
    head: JournalHeadView,
    projections: [ProjectionView; 1],
}

/// The journal's end.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Head)]
struct JournalHeadView {
    /// The position of the last event; `0` if there is none.
    position: String,
    /// When that was; null if there is none.
    #[schema(required, format = DateTime)]
    moved_at: Option<String>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Projection)]
struct ProjectionView {
    /// `roster`, the account list.
    name: &'static str,
    /// The position of the last event in it.
    position: String,
    /// Events that are not in it yet.
    lag: u64,
    /// How far a rebuild is; null if none is under way.
    #[schema(required)]
    rebuilding: Option<RebuildProgress>,
    /// How the last rebuild ended; null if there was none since the start.
    #[schema(required)]
    last_rebuild: Option<RebuildResult>,
}

/// A rebuild that is under way.
#[derive(Serialize, ToSchema)]
#[schema(as = Rebuilding)]
struct RebuildProgress {
    /// The position of the last event that was folded.
    position: String,
    /// Of how many.
    of: String,
}

/// That a rebuild has begun.
#[derive(Serialize, ToSchema)]
#[schema(as = Begun)]
pub(in crate::http) struct RebuildResponse {
    /// `roster`.
    name: &'static str,
    /// Always true.
    rebuilding: bool,
}

/// `GET /projections`
pub(super) fn show_projections(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    let journal = state.audit().journal();
    let (position, head) = (state.audit().roster().position(), journal.head());
    let moved = time_at_position(state, head)?;
    let rebuild = &state.inner.rebuild;
    let running = rebuild.is_running.load(Ordering::Relaxed);
    let running = running.then(|| RebuildProgress {
        position: rebuild.position.load(Ordering::Relaxed).to_string(),
        of: head.to_string(),
    });
    let roster = ProjectionView {
        name: "roster",
        position: position.to_string(),
        lag: head.saturating_sub(position),
        rebuilding: running,
        last_rebuild: rebuild.last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    };
    let head = JournalHeadView { position: head.to_string(), moved_at: moved };
    Ok(json_response(&ProjectionsResponse { head, projections: [roster] }))
}

/// The time of the event at position `head`; `None` if there is no such event.
pub(super) fn time_at_position(state: &ApiState, head: u64) -> Result<Option<String>, Problem> {
    let last = state.audit().journal().read_at(head).map_err(audit::Error::from)?;
    Ok(last.map(|last| write_time(last.at)))
}

/// `POST /projections/{name}/rebuild`
pub(super) fn rebuild_projection(state: &ApiState, name: &str, context: &RequestContext) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    if name != "roster" {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no projection {name:?}; there is: roster")));
    }
    let requester = context.authorize()?.into_requester_identity();
    if state.inner.rebuild.is_running.swap(true, Ordering::Relaxed) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "it is being rebuilt already; GET /api/v1/projections shows how far",
        ));
    }
    let working = state.clone();
    let runtime = Handle::current();
    spawn_blocking(move || {
        let rebuild = &working.inner.rebuild;
        let audit = working.audit();
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
                runtime.block_on(record_administrative_event(&working, event, requester));
            }
            Err(error) => tracing::error!(%error, "the roster was not rebuilt; the one before it is still served"),
        }
    });
    let mut response = json_response(&RebuildResponse { name: "roster", rebuilding: true });
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// `POST /verify`
pub(super) async fn verify_journal(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    let reading = acquire_full_scan(state)?;
    let audit = state.audit().clone();
    let verified = spawn_blocking(move || {
        let verified = audit.verify(|_, _| {});
        drop(reading);
        verified
    });
    Ok(json_response(&verified.await.map_err(|error| Problem::task_failed(&error))??))
}

/// `POST /replay`
pub(super) async fn replay_journal(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["until", "account"])?;
    let account = parameters.account()?;
    let until = match parameters.text("until") {
        None => ReplayEnd::End,
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            ReplayEnd::Position(parameters.required_number("until")?)
        }
        Some(_) => parameters.time("until")?.map_or(ReplayEnd::End, ReplayEnd::Time),
    };
    let reading = acquire_full_scan(state)?;
    let audit = state.audit().clone();
    let replayed = spawn_blocking(move || {
        let replayed = audit.replay(until, account, |_, _| {});
        drop(reading);
        replayed
    });
    Ok(json_response(&replayed.await.map_err(|error| Problem::task_failed(&error))??))
}

/// `GET /export`
pub(super) fn export_events(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["format", "type", "account", "since", "until"])?;
    let (form, content_type) = match parameters.text("format") {
        None | Some("cloudevents") => (ExportFormat::CloudEvents, NDJSON),
        Some("csv") => (ExportFormat::Csv, "text/csv; charset=utf-8"),
        Some(other) => {
            return Err(Problem::invalid_parameter(
                "format",
                format_args!("must be cloudevents or csv, not {other:?}"),
            ));
        }
    };
    let filter = parameters.filter()?;
    let audit = state.audit().clone();
    if form == ExportFormat::CloudEvents {
        audit.signer()?;
    }
    Ok(stream_response(state.acquire_stream_permit()?, content_type, move |writer| {
        audit.write_export(form, &filter, |_, _| {}, |piece| writer.write(piece))
    }))
}

/// `POST /backup`
pub(super) fn create_backup(state: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    state.audit().signer()?;
    state.audit().check_backup_allowed()?;
    let (permit, state, context) = (state.acquire_stream_permit()?, state.clone(), context.clone());
    let runtime = Handle::current();
    Ok(stream_response(permit, "application/octet-stream", move |writer| -> Result<(), Problem> {
        // The backup is recorded before the last bytes are sent, so every complete backup has its entry.
        let written = state.audit().write_backup(|_, _| {}, |piece| writer.write(piece))?;
        if let Some(position) = written {
            // A client whose key has ended gets no complete file, so nothing is recorded.
            let requester = context.authorize()?.into_requester_identity();
            runtime.block_on(record_administrative_event(
                &state,
                AdministrativeEvent::BackupTaken { position },
                requester,
            ));
        }
        Ok(())
    }))
}

/// Records an administrative event. A failure does not undo the operation; the service will stop soon anyway.
async fn record_administrative_event(state: &ApiState, event: AdministrativeEvent, requester: RequesterIdentity) {
    let RequesterIdentity { origin, from } = requester;
    let recorded = state
        .audit()
        .journal()
        .append_administrative_event(AuditLogEntry { event, source: from }, origin, clock::now())
        .await;
    if let Err(error) = recorded {
        tracing::error!(%error, "an administrative act was not recorded");
    }
}

/// Allows one scan of the whole journal at a time, because a scan keeps the disk and one core busy.
fn acquire_full_scan(state: &ApiState) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    let busy = "the whole journal is being read for another request; try again when that is done";
    state.inner.full_scan_permit.clone().try_acquire_owned().map_err(|_| Problem::new(StatusCode::CONFLICT, busy))
}
