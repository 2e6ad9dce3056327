//! Rotation: reseals everything under a new master key while the service runs.
//!
//! 1. The rotation file is written durably. It holds each key sealed with the other, so a start with either opens both.
//! 2. New values are sealed with the new key. Stored values are opened with either key and resealed with the new one.
//! 3. Once all of that is durable, the rotation is recorded, and the new key replaces the old one in the key's file.
//! 4. The rotation file is overwritten and removed. The old key is not needed any more.
//!
//! After a crash at any point, the next start continues the rotation.
//!
//! A rotation is undone by another one, from the new key back to the last. Its rotation file replaces the first one
//! atomically, so a crash leaves one or the other. If the key comes from a file, an undo is impossible once the rotation
//! is recorded: a backup taken since then may open only with the new key, which may have no other copy.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::aad::{AadContext, receiver_settings_aad, tenant_secret_aad};
use super::cipher;
use super::log_key::LOG_KEY;
use super::master_key_id::MasterKeyId;
use super::master_key_ring::{
    MASTER_KEY_CHECK, MasterKeyRing, ROTATION_FILE, add_kept_key, describe_kept_key, is_rotation_recorded, is_undo,
    kept_keys, mark_rotation_recorded,
};
use super::master_key_source::MasterKeySource;
use super::request_key::REQUEST_KEY;
use super::tenant_secrets::TENANT_PREFIX;
use super::{Error, Vault, master_key_file};
use crate::clock;
use crate::domain::{AccountNumber, AdministrativeEvent, AuditLogEntry};
use crate::journal::{Journal, Origin, RequesterIdentity};
use crate::limits::ROTATION_STEP;
use crate::store::Table;

/// A rotation that has begun. Only one exists at a time.
pub struct Rotation {
    vault: Vault,
    /// Cancelled when an undo is requested.
    pub(super) stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// A complete rotation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Rotated)]
pub struct RotationReport {
    /// How many keys and secrets were sealed under the new master key.
    pub rewrapped: u64,
    /// What the operator has to do now.
    pub next: String,
}

/// The master key's source and rotation.
#[derive(Clone, Debug)]
pub struct MasterKeyStatus {
    /// The id of the master key.
    pub id: MasterKeyId,
    /// During a rotation, the id of the other key that also opens the store.
    pub previous_id: Option<MasterKeyId>,
    /// The setting that gives the master key.
    pub source: &'static str,
    /// `none`, `under way`, `broken off` by a failure, or `waits for its setting`.
    pub rotation: &'static str,
    /// The number of keys that the running or last rotation has processed.
    pub done: u64,
    /// The number of keys in all.
    pub total: u64,
}

impl Vault {
    /// The rotation that was begun and is not finished, if any.
    pub fn unfinished_rotation(&self) -> Option<Rotation> {
        let is_unfinished = self.master_keys().previous.is_some();
        if is_unfinished { self.try_acquire_rotation() } else { None }
    }

    /// Stops the running rotation, if any, and waits for its end. Call [`begin_undo`](Rotation::begin_undo) on the
    /// returned rotation to undo the stopped one.
    pub async fn stop_rotation(&self) -> Result<Rotation, Error> {
        self.inner.stop_rotation.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        let permit = self.inner.rotation_permit.clone().acquire_owned().await;
        Ok(self.new_rotation(permit.map_err(|_| Error::NoRotationToUndo)?))
    }

    /// The source of the master key and the state of its rotation.
    pub fn master_key_status(&self) -> MasterKeyStatus {
        let (id, previous_id) = {
            let key_ring = self.master_keys();
            (key_ring.id(), key_ring.previous.as_ref().map(MasterKeyId::of))
        };
        let rotation = match (self.is_rotating(), previous_id.is_some(), &self.inner.master_key_source) {
            (_, false, _) => "none",
            (true, true, _) => "under way",
            (false, true, MasterKeySource::File { .. }) => "broken off",
            (false, true, MasterKeySource::Command(_) | MasterKeySource::Environment(_)) => "waits for its setting",
        };
        let [done, total] =
            [&self.inner.rotation_done, &self.inner.rotation_total].map(|count| count.load(Ordering::Relaxed));
        MasterKeyStatus { id, previous_id, source: self.inner.master_key_source.setting(), rotation, done, total }
    }

    /// Updates the gauges for the progress of a rotation.
    pub fn update_metrics(&self) {
        let (inner, metrics) = (&self.inner, self.inner.store.metrics());
        metrics.rotating.set(u64::from(self.is_rotating()));
        metrics.rotated.set(inner.rotation_done.load(Ordering::Relaxed));
        metrics.to_rotate.set(inner.rotation_total.load(Ordering::Relaxed));
    }

    fn is_rotating(&self) -> bool {
        self.inner.rotation_permit.available_permits() == 0
    }

    /// The right to rotate, unless a rotation is running.
    pub(super) fn try_acquire_rotation(&self) -> Option<Rotation> {
        Some(self.new_rotation(self.inner.rotation_permit.clone().try_acquire_owned().ok()?))
    }

    fn new_rotation(&self, permit: OwnedSemaphorePermit) -> Rotation {
        let stop = CancellationToken::new();
        *self.inner.stop_rotation.lock().unwrap_or_else(PoisonError::into_inner) = stop.clone();
        Rotation { vault: self.clone(), stop, _permit: permit }
    }
}

impl Rotation {
    /// Makes the last key the current one and starts a rotation to it, which undoes the interrupted one. Blocks for a
    /// disk write.
    pub fn begin_undo(&self) -> Result<(), Error> {
        let (store, source) = (&self.vault.inner.store, &self.vault.inner.master_key_source);
        let mut key_ring = self.vault.master_keys_mut();
        let MasterKeyRing { current, previous: last, matches_setting } = &mut *key_ring;
        let (Some(last), Some(rotation_file)) = (last, store.load_sidecar(ROTATION_FILE)?) else {
            return Err(Error::NoRotationToUndo);
        };
        if is_undo(&rotation_file) {
            return Ok(());
        }
        if let (MasterKeySource::File { path, .. }, true) = (source, is_rotation_recorded(store, &rotation_file)?) {
            return Err(Error::RotationTooLateToUndo { path: path.clone() });
        }
        let undo = MasterKeyRing::encode_rotation_file(current, last, true)?;
        let undo = kept_keys(&rotation_file).fold(undo, |undo, kept| add_kept_key(&undo, kept));
        store.save_sidecar(ROTATION_FILE, &undo)?;
        std::mem::swap(current, last);
        // The setting gives exactly one of the two keys.
        *matches_setting = !*matches_setting;
        Ok(())
    }

    /// Runs the rotation, records it in `journal` and reports the progress. Blocks; `runtime` runs the append. After
    /// an error the rotation can be continued.
    pub fn run(
        self,
        journal: &Journal,
        runtime: &Handle,
        requester: &RequesterIdentity,
        progress: impl FnMut(u64, u64),
    ) -> Result<RotationReport, Error> {
        self.execute(journal, runtime, requester, false, progress)
    }

    /// Like [`run`](Rotation::run), for a rotation that a start finds unfinished. Also records that this start
    /// finished it.
    pub fn run_at_start(self, journal: &Journal, runtime: &Handle) -> Result<RotationReport, Error> {
        let requester = RequesterIdentity { origin: Origin::SERVICE, from: "start".to_owned() };
        self.execute(journal, runtime, &requester, true, |_, _| {})
    }

    fn execute(
        self,
        journal: &Journal,
        runtime: &Handle,
        requester: &RequesterIdentity,
        is_start: bool,
        progress: impl FnMut(u64, u64),
    ) -> Result<RotationReport, Error> {
        let interrupted = |error| {
            if matches!(error, Error::RotationStopped) { error } else { Error::RotationInterrupted(Box::new(error)) }
        };
        let rewrapped = self.rewrap_and_record(journal, runtime, requester, is_start, progress).map_err(interrupted)?;
        let next = self.finish().map_err(interrupted)?;
        Ok(RotationReport { rewrapped, next })
    }

    /// Does everything except the last step. Returns how many values were resealed.
    fn rewrap_and_record(
        &self,
        journal: &Journal,
        runtime: &Handle,
        requester: &RequesterIdentity,
        is_start: bool,
        progress: impl FnMut(u64, u64),
    ) -> Result<u64, Error> {
        let rewrapped = self.rewrap_all(progress)?;
        let store = &self.vault.inner.store;
        store.sync()?;
        let record = |event| {
            let entry = AuditLogEntry { event, source: requester.from.clone() };
            runtime.block_on(journal.append_administrative_event(entry, requester.origin, clock::now()))
        };
        let master_key = Some(self.vault.master_keys().id());
        let rotation_file = store.load_sidecar(ROTATION_FILE)?.unwrap_or_default();
        if !is_rotation_recorded(store, &rotation_file)? {
            record(if is_undo(&rotation_file) {
                AdministrativeEvent::MasterKeyRotationAborted { rewrapped, master_key }
            } else {
                AdministrativeEvent::MasterKeyRotated { rewrapped, master_key }
            })?;
            mark_rotation_recorded(store, &rotation_file)?;
        }
        let ends = self.vault.master_keys().matches_setting
            || matches!(self.vault.inner.master_key_source, MasterKeySource::File { .. });
        if is_start && ends {
            record(AdministrativeEvent::MasterKeyRotationFinished { rewrapped, master_key })?;
        }
        Ok(rewrapped)
    }

    /// Reseals with the new key every value that is sealed with the last one. Both keys open values meanwhile.
    pub(super) fn rewrap_all(&self, mut progress: impl FnMut(u64, u64)) -> Result<u64, Error> {
        let inner = &self.vault.inner;
        // Data keys of new accounts are sealed with the new key already, so this list is complete.
        let (mut accounts, mut tenants) = (Vec::new(), Vec::new());
        for entry in inner.store.scan_from(Table::Keys, b"") {
            let (key, _) = entry?;
            let number = key.as_array().map(|key| u64::from_be_bytes(*key));
            accounts.extend(number.and_then(AccountNumber::from_stored));
            if key.starts_with(TENANT_PREFIX) {
                tenants.push(key);
            }
        }
        let mut rewrapped = u64::from(self.rewrap(Table::Keys, LOG_KEY, &AadContext::LogKey.aad_for(None))?);
        rewrapped += u64::from(self.rewrap(Table::Keys, REQUEST_KEY, &AadContext::RequestKey.aad_for(None))?);
        for entry in inner.store.scan_from(Table::ReceiverSettings, b"") {
            let (channel, _) = entry?;
            rewrapped += u64::from(self.rewrap(Table::ReceiverSettings, &channel, &receiver_settings_aad(&channel))?);
        }
        for tenant in tenants {
            rewrapped += u64::from(self.rewrap(Table::Keys, &tenant, &tenant_secret_aad(&tenant))?);
        }
        let total = accounts.len() as u64;
        inner.rotation_total.store(total, Ordering::Relaxed);
        for (account, done) in accounts.into_iter().zip(1..) {
            if self.stop.is_cancelled() {
                return Err(Error::RotationStopped);
            }
            let (key, aad) = (account.get().to_be_bytes(), AadContext::DataKey.aad_for(Some(account)));
            rewrapped += u64::from(self.rewrap(Table::Keys, &key, &aad)?);
            inner.rotation_done.store(done, Ordering::Relaxed);
            if done % ROTATION_STEP == 0 || done == total {
                progress(done, total);
            }
        }
        // Last: a backup is possible once the rotation is recorded, and must name the one key that opens all of it.
        self.rewrap(Table::Keys, MASTER_KEY_CHECK, &AadContext::MasterKeyCheck.aad_for(None))?;
        self.vault.master_keys().id().save(&inner.store)?;
        Ok(rewrapped)
    }

    /// Reseals one value unless it is already sealed with the new key. Returns whether it was resealed.
    fn rewrap(&self, table: Table, key: &[u8], aad: &[u8]) -> Result<bool, Error> {
        let store = &self.vault.inner.store;
        // Try again after a concurrent change: an erased key must not come back.
        while let Some(sealed) = store.get(table, key)? {
            let key_ring = self.vault.master_keys();
            let Some(last) = &key_ring.previous else { return Ok(false) };
            if cipher::open(&key_ring.current, aad, &sealed).is_some() {
                return Ok(false);
            }
            let Some(clear) = cipher::open(last, aad, &sealed) else {
                // The value was altered. It opens with no master key, and must not block the others.
                tracing::error!(
                    table = table.name(),
                    "a sealed key opens with neither master key; it is left unchanged"
                );
                return Ok(false);
            };
            if store.compare_and_swap(table, key, &sealed, &key_ring.seal(aad, &clear, &cipher::random_bytes()?))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Retires the last key if the setting gives the new one. Returns the operator's next step.
    pub(super) fn finish(self) -> Result<String, Error> {
        let inner = &self.vault.inner;
        let mut key_ring = self.vault.master_keys_mut();
        if let (MasterKeySource::File { path, .. }, false) = (&inner.master_key_source, key_ring.matches_setting) {
            master_key_file::write(path, &key_ring.current)?;
            key_ring.matches_setting = true;
        }
        inner.store.sync()?;
        let rotation_file = inner.store.load_sidecar(ROTATION_FILE)?.unwrap_or_default();
        let has_undone = is_undo(&rotation_file);
        let setting = inner.master_key_source.setting();
        if !key_ring.matches_setting {
            let key = if has_undone { "old" } else { "new" };
            return Ok(format!(
                "make {setting} give the {key} key {}, then start the service again; until then both keys open the store",
                key_ring.id()
            ));
        }
        inner.store.remove_sidecar(ROTATION_FILE)?;
        let id = key_ring.id();
        // Dropping the key clears it from memory.
        let retired = key_ring.previous.take().map(|key| MasterKeyId::of(&key)).map(|id| {
            let kept = describe_kept_key(&rotation_file, id).map(|files| format!(", kept in {files}"));
            format!(" ({id}{})", kept.unwrap_or_default())
        });
        let retired = retired.unwrap_or_default();
        let place = match &inner.master_key_source {
            MasterKeySource::File { path, .. } => path.display().to_string(),
            MasterKeySource::Command(_) | MasterKeySource::Environment(_) => setting.to_owned(),
        };
        if has_undone {
            let copy = describe_kept_key(&rotation_file, id).map(|files| {
                format!(". A copy of the key in use is in {files}: delete it, or move it to a safe place")
            });
            return Ok(format!(
                "nothing: everything is sealed with the previous master key {id} ({place}); the new one{retired} opens \
                 only backups taken meanwhile{}",
                copy.unwrap_or_default()
            ));
        }
        Ok(format!(
            "keep a copy of the new master key {id} ({place}) elsewhere; the previous one{retired} opens only backups \
             taken until now"
        ))
    }
}
