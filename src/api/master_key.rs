//! The master key: status and rotation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{ByteSource, Call, Problem};
use crate::vault::{MasterKeyStatus, RotationReport};

/// The next master key. An empty body, or an empty object, generates one. `abort` reverts a rotation instead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Rotation, example = json!({"newKeyFile": "/run/secrets/new.key"}))]
pub struct RotateMasterKeyRequest {
    /// The absolute path of a file on the service's machine, with the key as a line of 64 hexadecimal digits.
    #[schema(value_type = Option<String>)]
    pub new_key_file: Option<PathBuf>,
    /// Revert the running or interrupted rotation; without a new key.
    #[serde(default)]
    pub abort: bool,
}

/// A progress line of a rotation. The last line is the result or the error.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = RotationLine)]
pub(crate) enum RotationLine {
    /// The progress.
    Progress {
        /// The number of keys and secrets processed so far.
        done: u64,
        /// The number of keys and secrets in all.
        of: u64,
    },
    Rotated(RotationReport),
    /// The rotation failed.
    Failed {
        /// The reason, and what to do.
        error: String,
    },
}

/// Shows the status of the master key.
pub async fn show_master_key(call: &Call) -> Result<MasterKeyStatus, Problem> {
    call.read(async { Ok(call.api().service()?.vault.master_key_status()) }).await
}

/// Rotates the master key, or undoes a rotation. The response is lines of JSON. The rotation runs while the response is
/// produced, and completes even if the client disconnects.
pub async fn rotate_master_key(call: &Call, request: RotateMasterKeyRequest) -> Result<ByteSource, Problem> {
    let vault = call.api().service()?.vault.clone();
    let RotateMasterKeyRequest { new_key_file, abort } = request;
    if abort && new_key_file.is_some() {
        return Err(Problem::malformed("newKeyFile must be left out with abort"));
    }
    let permit = call.api().acquire_stream_permit()?;
    let rotation_to_undo = if abort {
        call.authorize()?;
        Some(vault.stop_rotation().await?)
    } else {
        None
    };
    let (journal, call) = (call.api().audit().journal().clone(), call.clone());
    let started = spawn_blocking(move || -> Result<_, Problem> {
        let requester = call.authorize()?.into_requester_identity();
        let rotation = match rotation_to_undo {
            Some(rotation) => {
                rotation.begin_undo()?;
                rotation
            }
            None => vault.begin_rotation(new_key_file.as_deref())?,
        };
        Ok((rotation, requester))
    });
    let (rotation, requester) = started.await.map_err(|error| Problem::task_failed(&error))??;
    let runtime = Handle::current();
    Ok(ByteSource::new(permit, move |write| {
        let mut write_line = |line: RotationLine| {
            let mut line = serde_json::to_vec(&line).unwrap_or_default();
            line.push(b'\n');
            let _unread = write(line);
        };
        let progress = |done, of| write_line(RotationLine::Progress { done, of });
        let rotated = rotation.run(&journal, &runtime, &requester, progress);
        write_line(match rotated {
            Ok(rotated) => RotationLine::Rotated(rotated),
            Err(error) => {
                tracing::error!(%error, "a rotation of the master key did not complete");
                RotationLine::Failed { error: error.to_string() }
            }
        });
        Ok(())
    }))
}
