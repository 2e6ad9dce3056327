//! The master key: status and rotation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{ByteSource, Call, Problem};
use crate::audit::{self, Audit, KnownBackups};
use crate::vault::{MasterKeyId, MasterKeyStatus, OldKeyChoice, RotationReport, Vault};

/// The next master key, and what becomes of the old one. An empty body, or an empty object, generates a key. The old one
/// is then kept beside the master key's file, in a file whose name ends with its id. `abort` reverts a rotation instead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Rotation, example = json!({"newKeyFile": "/run/secrets/new.key"}))]
pub struct RotateMasterKeyRequest {
    /// The absolute path of a file on the service's machine, with the key as a line of 64 hexadecimal digits.
    #[schema(value_type = Option<String>)]
    pub new_key_file: Option<PathBuf>,
    /// The absolute path of a new file on the service's machine, in which the old key is kept (mode 0600). For a master
    /// key that comes from a file.
    #[schema(value_type = Option<String>)]
    pub keep_old_key: Option<PathBuf>,
    /// Give up the old key. For a master key that comes from a file.
    #[serde(default)]
    pub discard_old_key: bool,
    /// Confirm that the old key is kept. For a master key that comes from a command or the environment.
    #[serde(default)]
    pub old_key_is_kept: bool,
    /// Revert the running or interrupted rotation; without a new key.
    #[serde(default)]
    pub abort: bool,
}

impl RotateMasterKeyRequest {
    /// What becomes of the old key. `None` if the request does not say, as that of an earlier client.
    fn old_key_choice(&self) -> Result<Option<OldKeyChoice>, Problem> {
        let choices = [
            self.keep_old_key.clone().map(OldKeyChoice::Keep),
            self.discard_old_key.then_some(OldKeyChoice::Discard),
            self.old_key_is_kept.then_some(OldKeyChoice::IsKept),
        ];
        let mut chosen = choices.into_iter().flatten();
        match (chosen.next(), chosen.next()) {
            (choice, None) => Ok(choice),
            (_, Some(_)) => {
                Err(Problem::malformed("only one of keepOldKey, discardOldKey and oldKeyIsKept may be given"))
            }
        }
    }
}

/// The master key, and the backups that need it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MasterKey)]
pub struct MasterKeyView {
    /// The id of the master key: 8 hexadecimal digits, which tell nothing of the key.
    #[schema(value_type = String, example = "3f9a01c2")]
    id: MasterKeyId,
    /// During a rotation, the id of the other key that also opens the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    previous_id: Option<MasterKeyId>,
    /// The setting that gives the master key.
    source: &'static str,
    /// `none`, `under way`, `broken off` by a failure, or `waits for its setting`.
    pub(crate) rotation: &'static str,
    /// The number of keys that the running or last rotation has processed.
    done: u64,
    /// The number of keys in all.
    #[serde(rename = "of")]
    total: u64,
    /// The backups that need the master key. The overview leaves them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    backups: Option<KnownBackups>,
}

impl MasterKeyView {
    /// The view of this vault's key, without the backups.
    pub(super) fn without_backups(vault: &Vault) -> MasterKeyView {
        let MasterKeyStatus { id, previous_id, source, rotation, done, total } = vault.master_key_status();
        MasterKeyView { id, previous_id, source, rotation, done, total, backups: None }
    }

    /// The view of this vault's key, with the backups. Blocks to read the audit log.
    pub fn new(vault: &Vault, audit: &Audit) -> Result<MasterKeyView, audit::Error> {
        let view = MasterKeyView::without_backups(vault);
        let keys: Vec<MasterKeyId> = [Some(view.id), view.previous_id].into_iter().flatten().collect();
        Ok(MasterKeyView { backups: Some(audit.backups_of_master_keys(&keys)?), ..view })
    }
}

/// A progress line of a rotation. The last line is the result or the error.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = RotationLine)]
pub(crate) enum RotationLine {
    Progress(RotationProgress),
    Rotated(RotationReport),
    Failed(RotationFailure),
}

/// The progress of a rotation.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotationProgress {
    /// The number of keys and secrets processed so far.
    done: u64,
    /// The number of keys and secrets in all.
    of: u64,
}

/// The rotation failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotationFailure {
    /// The reason, and what to do.
    error: String,
}

/// Shows the status of the master key.
pub async fn show_master_key(call: &Call) -> Result<MasterKeyView, Problem> {
    let (vault, audit) = (call.api().service()?.vault.clone(), call.api().audit().clone());
    call.read_blocking(move || Ok(MasterKeyView::new(&vault, &audit)?)).await
}

/// Rotates the master key, or undoes a rotation. The response is lines of JSON. The rotation runs while the response is
/// produced, and completes even if the client disconnects.
pub async fn rotate_master_key(call: &Call, request: RotateMasterKeyRequest) -> Result<ByteSource, Problem> {
    let vault = call.api().service()?.vault.clone();
    let old_key = request.old_key_choice()?;
    let RotateMasterKeyRequest { new_key_file, abort, .. } = request;
    if abort && (new_key_file.is_some() || old_key.is_some()) {
        return Err(Problem::malformed("newKeyFile and the fields for the old key must be left out with abort"));
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
            None => vault.begin_rotation(new_key_file.as_deref(), old_key.as_ref())?,
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
        let progress = |done, of| write_line(RotationLine::Progress(RotationProgress { done, of }));
        let rotated = rotation.run(&journal, &runtime, &requester, progress);
        write_line(match rotated {
            Ok(rotated) => RotationLine::Rotated(rotated),
            Err(error) => {
                tracing::error!(%error, "a rotation of the master key did not complete");
                RotationLine::Failed(RotationFailure { error: error.to_string() })
            }
        });
        Ok(())
    }))
}
