//! The master key: how it is, and its rotation.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use warp::http::StatusCode;
use warp::reply::Response;

use super::parameters::Parameters;
use super::problem::{INSIDE, Problem};
use super::streams::{NDJSON, json, streamed};
use super::webhooks::read;
use super::{Desk, Running};
use crate::http::requests::Query;
use crate::journal::Asker;
use crate::vault;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Body {
    new_key_file: Option<PathBuf>,
}

/// Answers what is below `/vault`.
pub(super) async fn answer(
    desk: &Desk,
    method: &str,
    query: &Query,
    body: &[u8],
    asker: Asker,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let Running { vault, .. } = desk.running()?.clone();
    if method == "GET" {
        return Ok(json(&vault.standing()));
    }
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let Body { new_key_file } = read(body, r#"nothing, or {"newKeyFile":"/run/secrets/new.key"}"#)?;
    let place = desk.place()?;
    let begun = spawn_blocking(move || vault.begin_rotation(new_key_file.as_deref()));
    let rotation = begun.await.map_err(|error| Problem::work(&error))??;
    let (journal, runtime) = (desk.audit().journal().clone(), Handle::current());
    // It goes on to its end though nobody reads how far it is.
    Ok(streamed(place, NDJSON, move |writer| -> Result<(), Problem> {
        let mut say = |line: serde_json::Value| writer.write(format!("{line}\n").into_bytes());
        let rotated = rotation.run(&journal, &runtime, asker, |done, of| {
            let _unread = say(json!({"done": done, "of": of}));
        });
        let last = match rotated {
            Ok(rotated) => json!(rotated),
            Err(error) => {
                tracing::error!(%error, "a rotation of the master key did not come to its end");
                json!({"error": error.to_string()})
            }
        };
        let _unread = say(last);
        Ok(())
    }))
}

impl From<vault::Error> for Problem {
    fn from(error: vault::Error) -> Problem {
        use vault::Error;
        let status = match error {
            Error::NewKey { .. } | Error::NewKeyNeeded { .. } => StatusCode::BAD_REQUEST,
            Error::RotationUnderWay | Error::RotationWaits { .. } => StatusCode::CONFLICT,
            Error::ReadableByOthers { .. } | Error::File { .. } => StatusCode::CONFLICT,
            Error::NoKey { .. }
            | Error::Missing { .. }
            | Error::WrongKey { .. }
            | Error::Command { .. }
            | Error::NoKeyInEnvironment
            | Error::DoesNotOpen { .. }
            | Error::EndpointDoesNotOpen(_)
            | Error::TenantDoesNotOpen { .. }
            | Error::LogKeyDoesNotOpen
            | Error::RequestKeyDoesNotOpen
            | Error::NoRandomness(_)
            | Error::Journal(_)
            | Error::Store(_) => {
                tracing::error!(%error, "the master key is not rotated");
                return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INSIDE);
            }
        };
        Problem::new(status, error.to_string())
    }
}
