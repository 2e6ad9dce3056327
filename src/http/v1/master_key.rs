//! The master key: status and rotation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::problem::{INTERNAL_ERROR_DETAIL, Problem};
use super::query_parameters::QueryParameters;
use super::request_context::RequestContext;
use super::response_body::{NDJSON, json_response, stream_response};
use super::webhooks::parse_body;
use super::{ApiState, ServiceHandles};
use crate::vault::{self, RotationReport};

/// Which master key is to be the next; nothing, or an empty object, for one that is drawn. Or that a rotation is undone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Rotation, example = json!({"newKeyFile": "/run/secrets/new.key"}))]
pub(in crate::http) struct RotateMasterKeyRequest {
    /// The whole path of a file on the service's machine, which has the key as a line of 64 hexadecimal digits.
    #[schema(value_type = Option<String>)]
    new_key_file: Option<PathBuf>,
    /// Undo the rotation that is under way or broken off; with no new key.
    #[serde(default)]
    abort: bool,
}

/// A line of what is told of a rotation; the last one is not of the first kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = RotationLine)]
pub(in crate::http) enum RotationLine {
    /// How far it is.
    Progress {
        /// Keys and secrets that were looked at.
        done: u64,
        /// Of how many.
        of: u64,
    },
    Rotated(RotationReport),
    /// It came to no end.
    Failed {
        /// Why, and what to do.
        error: String,
    },
}

/// Handles requests below `/vault`.
pub(super) async fn handle(
    state: &ApiState,
    method: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    let ServiceHandles { vault, .. } = state.service()?.clone();
    if method == "GET" {
        return Ok(json_response(&vault.master_key_status()));
    }
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let forms = r#"nothing, {"newKeyFile":"/run/secrets/new.key"}, or {"abort":true}"#;
    let RotateMasterKeyRequest { new_key_file, abort } = parse_body(body, forms)?;
    if abort && new_key_file.is_some() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "a rotation that is undone (abort) takes no newKeyFile"));
    }
    let permit = state.acquire_stream_permit()?;
    let context = context.clone();
    let stopped = if abort {
        context.authorize()?;
        Some(vault.stop_rotation().await?)
    } else {
        None
    };
    let started = spawn_blocking(move || -> Result<_, Problem> {
        let requester = context.authorize()?.into_requester_identity();
        let rotation = match stopped {
            Some(rotation) => {
                rotation.begin_undo()?;
                rotation
            }
            None => vault.begin_rotation(new_key_file.as_deref())?,
        };
        Ok((rotation, requester))
    });
    let (rotation, requester) = started.await.map_err(|error| Problem::task_failed(&error))??;
    let (journal, runtime) = (state.audit().journal().clone(), Handle::current());
    // The rotation completes even if the client disconnects.
    Ok(stream_response(permit, NDJSON, move |writer| -> Result<(), Problem> {
        let mut say = |line: RotationLine| {
            let mut line = serde_json::to_vec(&line).unwrap_or_default();
            line.push(b'\n');
            let _unread = writer.write(line);
        };
        let rotated = rotation.run(&journal, &runtime, &requester, |done, of| say(RotationLine::Progress { done, of }));
        say(match rotated {
            Ok(rotated) => RotationLine::Rotated(rotated),
            Err(error) => {
                tracing::error!(%error, "a rotation of the master key did not come to its end");
                RotationLine::Failed { error: error.to_string() }
            }
        });
        Ok(())
    }))
}

impl From<vault::Error> for Problem {
    fn from(error: vault::Error) -> Problem {
        use vault::Error;
        let status = match error {
            Error::InvalidNewKey { .. } | Error::NewKeyFileRequired { .. } => StatusCode::BAD_REQUEST,
            Error::RotationUnderWay | Error::RotationAwaitsSetting { .. } => StatusCode::CONFLICT,
            Error::NoRotationToUndo | Error::RotationTooLateToUndo { .. } | Error::RotationStopped => {
                StatusCode::CONFLICT
            }
            Error::ReadableByOthers { .. } | Error::MasterKeyFile { .. } => StatusCode::CONFLICT,
            Error::MalformedMasterKey { .. }
            | Error::MasterKeyMissing { .. }
            | Error::WrongMasterKey { .. }
            | Error::MasterKeyCommand { .. }
            | Error::NoKeyInEnvironment
            | Error::AccountSecretDoesNotOpen { .. }
            | Error::ReceiverSettingsDoNotOpen(_)
            | Error::TenantSecretDoesNotOpen { .. }
            | Error::LogKeyDoesNotOpen
            | Error::RequestKeyDoesNotOpen
            | Error::NoRandomness(_)
            | Error::RotationInterrupted(_)
            | Error::Journal(_)
            | Error::Store(_) => {
                tracing::error!(%error, "the master key is not rotated");
                return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR_DETAIL);
            }
        };
        Problem::new(status, error.to_string())
    }
}
