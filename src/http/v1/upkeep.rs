//! Projections, verification, replay, export, backup: what operators do, and what is remembered of it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::context::Context;
use super::parameters::Parameters;
use super::problem::Problem;
use super::streams::{NDJSON, json, streamed};
use super::{Desk, Rebuilt};
use crate::audit::{self, Form, Until, write_time};
use crate::clock;
use crate::domain::{Act, Deed};
use crate::http::requests::Query;
use crate::journal::Asker;

/// What follows from the journal, and how far it is.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Projections {
    head: Head,
    projections: [Projection; 1],
}

/// The journal's end.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Head {
    /// The position of the last event; `0` if there is none.
    position: String,
    /// When that was; null if there is none.
    #[schema(required, format = DateTime)]
    moved_at: Option<String>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Projection {
    /// `roster`, the account list.
    name: &'static str,
    /// The position of the last event in it.
    position: String,
    /// Events that are not in it yet.
    lag: u64,
    /// How far a rebuild is; null if none is under way.
    #[schema(required)]
    rebuilding: Option<Rebuilding>,
    /// How the last rebuild ended; null if there was none since the start.
    #[schema(required)]
    last_rebuild: Option<Rebuilt>,
}

/// A rebuild that is under way.
#[derive(Serialize, ToSchema)]
struct Rebuilding {
    /// The position of the last event that was folded.
    position: String,
    /// Of how many.
    of: String,
}

/// That a rebuild has begun.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Begun {
    /// `roster`.
    name: &'static str,
    /// Always true.
    rebuilding: bool,
}

/// `GET /projections`
pub(super) fn projections(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let journal = desk.audit().journal();
    let (position, head) = (desk.audit().roster().position(), journal.head());
    let moved = moved_at(desk, head)?;
    let rebuild = &desk.inner.rebuild;
    let running = rebuild.is_running.load(Ordering::Relaxed);
    let running = running
        .then(|| Rebuilding { position: rebuild.position.load(Ordering::Relaxed).to_string(), of: head.to_string() });
    let roster = Projection {
        name: "roster",
        position: position.to_string(),
        lag: head.saturating_sub(position),
        rebuilding: running,
        last_rebuild: rebuild.last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    };
    let head = Head { position: head.to_string(), moved_at: moved };
    Ok(json(&Projections { head, projections: [roster] }))
}

/// When the journal came to this position; never, if it is at none.
pub(super) fn moved_at(desk: &Desk, head: u64) -> Result<Option<String>, Problem> {
    let last = desk.audit().journal().read_at(head).map_err(audit::Error::from)?;
    Ok(last.map(|last| write_time(last.at)))
}

/// `POST /projections/{name}/rebuild`
pub(super) fn rebuild(desk: &Desk, name: &str, context: &Context) -> Result<Response, Problem> {
    Parameters::new(&context.query, &[])?;
    if name != "roster" {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no projection {name:?}; there is: roster")));
    }
    let asker = context.authorize()?.into_asker();
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
        let outcome = audit.roster().refold(audit.journal(), true, progress);
        rebuild.is_running.store(false, Ordering::Relaxed);
        match outcome {
            Ok((events, differing)) => {
                let differences = differing.len() as u64;
                let (at, events) = (write_time(clock::now()), events.to_string());
                *rebuild.last.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Rebuilt { at, events, differences });
                let deed = Deed::ProjectionRebuilt { projection: "roster".to_owned(), differences };
                runtime.block_on(record(&working, deed, asker));
            }
            Err(error) => tracing::error!(%error, "the roster was not rebuilt; the one before it is still served"),
        }
    });
    let mut response = json(&Begun { name: "roster", rebuilding: true });
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// `POST /verify`
pub(super) async fn verify(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let reading = one_at_a_time(desk)?;
    let audit = desk.audit().clone();
    let verified = spawn_blocking(move || {
        let verified = audit.verify(|_, _| {});
        drop(reading);
        verified
    });
    Ok(json(&verified.await.map_err(|error| Problem::work(&error))??))
}

/// `POST /replay`
pub(super) async fn replay(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["until", "account"])?;
    let account = parameters.account()?;
    let until = match parameters.text("until") {
        None => Until::End,
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Until::Position(parameters.required("until")?),
        Some(_) => parameters.time("until")?.map_or(Until::End, Until::Time),
    };
    let reading = one_at_a_time(desk)?;
    let audit = desk.audit().clone();
    let replayed = spawn_blocking(move || {
        let replayed = audit.replay(until, account, |_, _| {});
        drop(reading);
        replayed
    });
    Ok(json(&replayed.await.map_err(|error| Problem::work(&error))??))
}

/// `GET /export`
pub(super) fn export(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["format", "type", "account", "since", "until"])?;
    let (form, content_type) = match parameters.text("format") {
        None | Some("cloudevents") => (Form::CloudEvents, NDJSON),
        Some("csv") => (Form::Csv, "text/csv; charset=utf-8"),
        Some(other) => {
            return Err(Problem::parameter("format", format_args!("must be cloudevents or csv, not {other:?}")));
        }
    };
    let filter = parameters.filter()?;
    let audit = desk.audit().clone();
    if form == Form::CloudEvents {
        audit.signer()?;
    }
    Ok(streamed(desk.place()?, content_type, move |writer| {
        audit.export(form, &filter, |_, _| {}, |piece| writer.write(piece))
    }))
}

/// `POST /backup`
pub(super) fn backup(desk: &Desk, context: &Context) -> Result<Response, Problem> {
    Parameters::new(&context.query, &[])?;
    desk.audit().signer()?;
    desk.audit().may_back_up()?;
    let (place, desk, context) = (desk.place()?, desk.clone(), context.clone());
    let runtime = Handle::current();
    Ok(streamed(place, "application/octet-stream", move |writer| -> Result<(), Problem> {
        // It is remembered before the end of the file is sent, so that whoever has the whole of it finds it remembered.
        let taken = desk.audit().backup(|_, _| {}, |piece| writer.write(piece))?;
        if let Some(position) = taken {
            // Whoever was cut off has no whole file.
            let asker = context.authorize()?.into_asker();
            runtime.block_on(record(&desk, Deed::BackupTaken { position }, asker));
        }
        Ok(())
    }))
}

/// Remembers an act. That it cannot be remembered is no reason to undo it, and the service ends soon if so.
async fn record(desk: &Desk, deed: Deed, asker: Asker) {
    let Asker { origin, from } = asker;
    let recorded = desk.audit().journal().record_act(Act { deed, from }, origin, clock::now()).await;
    if let Err(error) = recorded {
        tracing::error!(%error, "an administrative act was not recorded");
    }
}

/// What reads everything takes the disk and a core for itself, so there is one at a time.
fn one_at_a_time(desk: &Desk) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    let busy = "the whole journal is being read for another request; try again when that is done";
    desk.inner.reading.clone().try_acquire_owned().map_err(|_| Problem::new(StatusCode::CONFLICT, busy))
}
