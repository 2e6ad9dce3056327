//! Projections, verification, replay, export, backup: what operators do, and what is remembered of it.

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
pub(super) fn show_projections(desk: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    let journal = desk.audit().journal();
    let (position, head) = (desk.audit().roster().position(), journal.head());
    let moved = time_at_position(desk, head)?;
    let rebuild = &desk.inner.rebuild;
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

/// When the journal came to this position; never, if it is at none.
pub(super) fn time_at_position(desk: &ApiState, head: u64) -> Result<Option<String>, Problem> {
    let last = desk.audit().journal().read_at(head).map_err(audit::Error::from)?;
    Ok(last.map(|last| write_time(last.at)))
}

/// `POST /projections/{name}/rebuild`
pub(super) fn rebuild_projection(desk: &ApiState, name: &str, context: &RequestContext) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    if name != "roster" {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no projection {name:?}; there is: roster")));
    }
    let asker = context.authorize()?.into_requester_identity();
    if desk.inner.rebuild.is_running.swap(true, Ordering::Relaxed) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "it is being rebuilt already; GET /api/v1/projections shows how far",
        ));
    }
    let working = desk.clone();
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
                let deed = AdministrativeEvent::ProjectionRebuilt { projection: "roster".to_owned(), differences };
                runtime.block_on(record_administrative_event(&working, deed, asker));
            }
            Err(error) => tracing::error!(%error, "the roster was not rebuilt; the one before it is still served"),
        }
    });
    let mut response = json_response(&RebuildResponse { name: "roster", rebuilding: true });
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// `POST /verify`
pub(super) async fn verify_journal(desk: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    let reading = acquire_full_scan(desk)?;
    let audit = desk.audit().clone();
    let verified = spawn_blocking(move || {
        let verified = audit.verify(|_, _| {});
        drop(reading);
        verified
    });
    Ok(json_response(&verified.await.map_err(|error| Problem::task_failed(&error))??))
}

/// `POST /replay`
pub(super) async fn replay_journal(desk: &ApiState, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["until", "account"])?;
    let account = parameters.account()?;
    let until = match parameters.text("until") {
        None => ReplayEnd::End,
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            ReplayEnd::Position(parameters.required_number("until")?)
        }
        Some(_) => parameters.time("until")?.map_or(ReplayEnd::End, ReplayEnd::Time),
    };
    let reading = acquire_full_scan(desk)?;
    let audit = desk.audit().clone();
    let replayed = spawn_blocking(move || {
        let replayed = audit.replay(until, account, |_, _| {});
        drop(reading);
        replayed
    });
    Ok(json_response(&replayed.await.map_err(|error| Problem::task_failed(&error))??))
}

/// `GET /export`
pub(super) fn export_events(desk: &ApiState, query: &Query) -> Result<Response, Problem> {
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
    let audit = desk.audit().clone();
    if form == ExportFormat::CloudEvents {
        audit.signer()?;
    }
    Ok(stream_response(desk.acquire_stream_permit()?, content_type, move |writer| {
        audit.write_export(form, &filter, |_, _| {}, |piece| writer.write(piece))
    }))
}

/// `POST /backup`
pub(super) fn create_backup(desk: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    desk.audit().signer()?;
    desk.audit().check_backup_allowed()?;
    let (place, desk, context) = (desk.acquire_stream_permit()?, desk.clone(), context.clone());
    let runtime = Handle::current();
    Ok(stream_response(place, "application/octet-stream", move |writer| -> Result<(), Problem> {
        // It is remembered before the end of the file is sent, so that whoever has the whole of it finds it remembered.
        let taken = desk.audit().write_backup(|_, _| {}, |piece| writer.write(piece))?;
        if let Some(position) = taken {
            // Whoever was cut off has no whole file.
            let asker = context.authorize()?.into_requester_identity();
            runtime.block_on(record_administrative_event(&desk, AdministrativeEvent::BackupTaken { position }, asker));
        }
        Ok(())
    }))
}

/// Remembers an act. That it cannot be remembered is no reason to undo it, and the service ends soon if so.
async fn record_administrative_event(desk: &ApiState, deed: AdministrativeEvent, asker: RequesterIdentity) {
    let RequesterIdentity { origin, from } = asker;
    let recorded = desk
        .audit()
        .journal()
        .append_administrative_event(AuditLogEntry { event: deed, source: from }, origin, clock::now())
        .await;
    if let Err(error) = recorded {
        tracing::error!(%error, "an administrative act was not recorded");
    }
}

/// What reads everything takes the disk and a core for itself, so there is one at a time.
fn acquire_full_scan(desk: &ApiState) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    let busy = "the whole journal is being read for another request; try again when that is done";
    desk.inner.full_scan_permit.clone().try_acquire_owned().map_err(|_| Problem::new(StatusCode::CONFLICT, busy))
}
