//! Rotation: everything that the master key seals is sealed anew with another one, while the service goes on.
//!
//! 1. Each key is noted sealed with the other, durably. From here on a start with either has both.
//! 2. Whatever is sealed is sealed with the new one; what is there is opened with either and sealed with the new one.
//! 3. Once all of that is durable it is recorded, and the new key is put into the file, in one move.
//! 4. The note of the first step is overwritten and removed, and with it the last use of the old key.
//!
//! A crash anywhere leaves what the next start goes on with.
//!
//! A rotation is undone by another one, from the new key back to the last: its note takes the place of the first note in
//! one move, so a crash leaves the one or the other. It is too late once a file is to get the new key: a backup that was
//! taken by then opens with that key alone, and nobody else has it.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::cipher::{self, Key};
use super::log_key::LOG_KEY;
use super::masters::{MASTER_KEY_CHECK, Masters, ROTATION, is_recorded, remember_recorded, undoes};
use super::purpose::{Purpose, endpoint_aad, tenant_aad};
use super::request_key::REQUEST_KEY;
use super::source::Source;
use super::tenants::TENANT;
use super::{Error, Vault, master_key};
use crate::clock;
use crate::domain::{AccountNumber, Act, Deed};
use crate::journal::{Asker, Journal, Origin};
use crate::limits::ROTATION_STEP;
use crate::store::Table;

/// A rotation that has begun. There is one at a time.
pub struct Rotation {
    vault: Vault,
    /// Cancelled once it is to be undone.
    pub(super) stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// A rotation that has ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// How many keys and secrets were sealed anew.
    pub rewrapped: u64,
    /// What the operator does now.
    pub next: String,
}

/// How the master key is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MasterKey)]
pub struct Standing {
    /// The setting that it comes from.
    pub source: &'static str,
    /// `none`, `under way`, `broken off` by a failure, or `waits for its setting`.
    pub rotation: &'static str,
    /// How many keys the rotation that runs, or ran last, has looked at.
    pub done: u64,
    /// Of how many.
    pub of: u64,
}

impl Vault {
    /// Begins a rotation, or goes on with one that a failure broke off. The new key is in `new_key_file`, or drawn if the
    /// master key is in a file. Blocks for disk writes.
    pub fn begin_rotation(&self, new_key_file: Option<&Path>) -> Result<Rotation, Error> {
        let rotation = self.try_rotating().ok_or(Error::RotationUnderWay)?;
        let (source, setting) = (&self.inner.source, self.inner.source.setting());
        if self.masters().last.is_some() {
            return match (source, new_key_file) {
                (Source::File(_), None) => Ok(rotation),
                (Source::File(_), Some(file)) if *new_key(file)? == *self.masters().current => Ok(rotation),
                (Source::File(_), Some(file)) => {
                    let words =
                        "holds another key than the rotation that was broken off; go on with that one first, by \
                                 asking again without a new key"
                            .to_owned();
                    Err(Error::NewKey { path: file.to_owned(), words })
                }
                (Source::Command(_) | Source::Environment(_), _) => Err(Error::RotationWaits { setting }),
            };
        }
        let next = match (new_key_file, source) {
            (Some(file), _) => new_key(file)?,
            (None, Source::File(_)) => Key::new(cipher::draw()?),
            (None, Source::Command(_) | Source::Environment(_)) => return Err(Error::NewKeyNeeded { setting }),
        };
        if *next == *self.masters().current {
            let path = new_key_file.unwrap_or(Path::new("")).to_owned();
            let words = "holds the key that is in use; make another, as with openssl rand -hex 32".to_owned();
            return Err(Error::NewKey { path, words });
        }
        if let Source::File(path) = source {
            // That it can be written is found now, and not when all is done.
            drop(master_key::write_beside(path, &next)?);
        }
        let mut masters = self.masters_to_change();
        let store = &self.inner.store;
        store.save_note(ROTATION, &Masters::note(&masters.current, &next, false)?)?;
        masters.last = Some(std::mem::replace(&mut masters.current, next));
        masters.is_given = false;
        drop(masters);
        Ok(rotation)
    }

    /// A rotation that was begun and is not over.
    pub fn unfinished_rotation(&self) -> Option<Rotation> {
        let is_unfinished = self.masters().last.is_some();
        if is_unfinished { self.try_rotating() } else { None }
    }

    /// Stops the rotation that is under way, if one is, and waits until it has. The rotation that it returns is the way
    /// back, once it is told to [`turn_back`](Rotation::turn_back).
    pub async fn stop_rotation(&self) -> Result<Rotation, Error> {
        self.inner.stop_rotation.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        let place = self.inner.rotating.clone().acquire_owned().await;
        Ok(self.rotating(place.map_err(|_| Error::NoRotation)?))
    }

    /// How the master key is.
    pub fn standing(&self) -> Standing {
        let is_known = self.masters().last.is_some();
        let rotation = match (self.is_rotating(), is_known, &self.inner.source) {
            (_, false, _) => "none",
            (true, true, _) => "under way",
            (false, true, Source::File(_)) => "broken off",
            (false, true, Source::Command(_) | Source::Environment(_)) => "waits for its setting",
        };
        let [done, of] = [&self.inner.rotated, &self.inner.to_rotate].map(|count| count.load(Ordering::Relaxed));
        Standing { source: self.inner.source.setting(), rotation, done, of }
    }

    /// Reports how far a rotation is.
    pub fn report(&self) {
        let (inner, metrics) = (&self.inner, self.inner.store.metrics());
        metrics.rotating.set(u64::from(self.is_rotating()));
        metrics.rotated.set(inner.rotated.load(Ordering::Relaxed));
        metrics.to_rotate.set(inner.to_rotate.load(Ordering::Relaxed));
    }

    fn is_rotating(&self) -> bool {
        self.inner.rotating.available_permits() == 0
    }

    fn try_rotating(&self) -> Option<Rotation> {
        Some(self.rotating(self.inner.rotating.clone().try_acquire_owned().ok()?))
    }

    fn rotating(&self, place: OwnedSemaphorePermit) -> Rotation {
        let stop = CancellationToken::new();
        *self.inner.stop_rotation.lock().unwrap_or_else(PoisonError::into_inner) = stop.clone();
        Rotation { vault: self.clone(), stop, _place: place }
    }
}

impl Rotation {
    /// Makes the last key the one that everything is sealed with, and goes on with a rotation to it: it undoes the one
    /// that was broken off. Blocks for a disk write.
    pub fn turn_back(&self) -> Result<(), Error> {
        let (store, source) = (&self.vault.inner.store, &self.vault.inner.source);
        let mut masters = self.vault.masters_to_change();
        let Masters { current, last, is_given } = &mut *masters;
        let (Some(last), Some(note)) = (last, store.load_note(ROTATION)?) else { return Err(Error::NoRotation) };
        if undoes(&note) {
            return Ok(());
        }
        if let (Source::File(path), true) = (source, is_recorded(store, &note)?) {
            return Err(Error::RotationTooFar { path: path.clone() });
        }
        store.save_note(ROTATION, &Masters::note(current, last, true)?)?;
        std::mem::swap(current, last);
        // The setting gives one of the two.
        *is_given = !*is_given;
        Ok(())
    }

    /// Carries it out, records it in `journal`, and tells how far it is. Blocks; `runtime` is for the record. An error
    /// leaves it broken off.
    pub fn run(
        self,
        journal: &Journal,
        runtime: &Handle,
        asker: &Asker,
        progress: impl FnMut(u64, u64),
    ) -> Result<Rotated, Error> {
        self.carry_out(journal, runtime, asker, false, progress)
    }

    /// As [`run`](Rotation::run), for one that a start finds broken off: that this start finished it is recorded too.
    pub fn run_at_start(self, journal: &Journal, runtime: &Handle) -> Result<Rotated, Error> {
        let asker = Asker { origin: Origin::SERVICE, from: "start".to_owned() };
        self.carry_out(journal, runtime, &asker, true, |_, _| {})
    }

    fn carry_out(
        self,
        journal: &Journal,
        runtime: &Handle,
        asker: &Asker,
        is_start: bool,
        progress: impl FnMut(u64, u64),
    ) -> Result<Rotated, Error> {
        let broken_off = |error| {
            if matches!(error, Error::RotationStopped) { error } else { Error::RotationBrokenOff(Box::new(error)) }
        };
        let rewrapped = self.seal_and_record(journal, runtime, asker, is_start, progress).map_err(broken_off)?;
        let next = self.finish().map_err(broken_off)?;
        Ok(Rotated { rewrapped, next })
    }

    /// Everything but the end: says how many were sealed anew.
    fn seal_and_record(
        &self,
        journal: &Journal,
        runtime: &Handle,
        asker: &Asker,
        is_start: bool,
        progress: impl FnMut(u64, u64),
    ) -> Result<u64, Error> {
        let rewrapped = self.rewrap_all(progress)?;
        let store = &self.vault.inner.store;
        store.sync()?;
        let record = |deed| {
            let act = Act { deed, from: asker.from.clone() };
            runtime.block_on(journal.record_act(act, asker.origin, clock::now()))
        };
        let note = store.load_note(ROTATION)?.unwrap_or_default();
        if !is_recorded(store, &note)? {
            record(if undoes(&note) {
                Deed::MasterKeyRotationAborted { rewrapped }
            } else {
                Deed::MasterKeyRotated { rewrapped }
            })?;
            remember_recorded(store, &note)?;
        }
        let ends = self.vault.masters().is_given || matches!(self.vault.inner.source, Source::File(_));
        if is_start && ends {
            record(Deed::MasterKeyRotationFinished { rewrapped })?;
        }
        Ok(rewrapped)
    }

    /// Seals with the new key whatever is sealed with the last one. Both open meanwhile.
    pub(super) fn rewrap_all(&self, mut progress: impl FnMut(u64, u64)) -> Result<u64, Error> {
        let inner = &self.vault.inner;
        // Accounts that come from now on are sealed with the new key, so those that are there now are all.
        let (mut accounts, mut tenants) = (Vec::new(), Vec::new());
        for entry in inner.store.scan_from(Table::Keys, b"") {
            let (key, _) = entry?;
            let number = key.as_array().map(|key| u64::from_be_bytes(*key));
            accounts.extend(number.and_then(AccountNumber::from_stored));
            if key.starts_with(TENANT) {
                tenants.push(key);
            }
        }
        let mut rewrapped = u64::from(self.rewrap(Table::Keys, LOG_KEY, &Purpose::LogKey.bound_to(None))?);
        rewrapped += u64::from(self.rewrap(Table::Keys, REQUEST_KEY, &Purpose::RequestKey.bound_to(None))?);
        for entry in inner.store.scan_from(Table::Endpoints, b"") {
            let (channel, _) = entry?;
            rewrapped += u64::from(self.rewrap(Table::Endpoints, &channel, &endpoint_aad(&channel))?);
        }
        for tenant in tenants {
            rewrapped += u64::from(self.rewrap(Table::Keys, &tenant, &tenant_aad(&tenant))?);
        }
        let of = accounts.len() as u64;
        inner.to_rotate.store(of, Ordering::Relaxed);
        for (account, done) in accounts.into_iter().zip(1..) {
            if self.stop.is_cancelled() {
                return Err(Error::RotationStopped);
            }
            let (key, aad) = (account.get().to_be_bytes(), Purpose::DataKey.bound_to(Some(account)));
            rewrapped += u64::from(self.rewrap(Table::Keys, &key, &aad)?);
            inner.rotated.store(done, Ordering::Relaxed);
            if done % ROTATION_STEP == 0 || done == of {
                progress(done, of);
            }
        }
        Ok(rewrapped)
    }

    /// Seals one value anew, unless it is already; says whether it was.
    fn rewrap(&self, table: Table, key: &[u8], aad: &[u8]) -> Result<bool, Error> {
        let store = &self.vault.inner.store;
        // Again if somebody changed it meanwhile: a key that is erased must not come back.
        while let Some(sealed) = store.get(table, key)? {
            let masters = self.vault.masters();
            let Some(last) = &masters.last else { return Ok(false) };
            if cipher::open(&masters.current, aad, &sealed).is_some() {
                return Ok(false);
            }
            let Some(clear) = cipher::open(last, aad, &sealed) else {
                // It was altered. It opens for nobody, whatever the master key is, and must not keep the others.
                tracing::error!(
                    table = table.name(),
                    "a sealed key opens with neither master key; it is left as it is"
                );
                return Ok(false);
            };
            if store.replace(table, key, &sealed, &masters.seal(aad, &clear, &cipher::draw()?))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Retires the last key, if the setting gives the new one. Says what the operator does now.
    pub(super) fn finish(self) -> Result<String, Error> {
        let inner = &self.vault.inner;
        let mut masters = self.vault.masters_to_change();
        if let (Source::File(path), false) = (&inner.source, masters.is_given) {
            master_key::write(path, &masters.current)?;
            masters.is_given = true;
        }
        inner.store.put(Table::Keys, MASTER_KEY_CHECK, &masters.check()?)?;
        inner.store.sync()?;
        let has_undone = inner.store.load_note(ROTATION)?.is_some_and(|note| undoes(&note));
        let setting = inner.source.setting();
        if !masters.is_given {
            let key = if has_undone { "old" } else { "new" };
            return Ok(format!(
                "make {setting} give the {key} key, then start the service again; until then both keys open the store"
            ));
        }
        inner.store.remove_note(ROTATION)?;
        // It is cleared from memory where it is dropped.
        masters.last = None;
        let place = match &inner.source {
            Source::File(path) => path.display().to_string(),
            Source::Command(_) | Source::Environment(_) => setting.to_owned(),
        };
        if has_undone {
            return Ok(format!(
                "nothing: everything is sealed with the master key from before the rotation ({place}); the one that was to \
                 follow it opens nothing but backups taken meanwhile"
            ));
        }
        Ok(format!(
            "keep a copy of the new master key ({place}) elsewhere; the one before it opens backups taken until now, and \
             nothing else"
        ))
    }
}

/// The key in a file that the caller names.
fn new_key(file: &Path) -> Result<Key, Error> {
    let wrong = |words: &str| Error::NewKey { path: file.to_owned(), words: words.to_owned() };
    if !file.is_absolute() {
        return Err(wrong("must be named by its whole path, on the machine of the service"));
    }
    match master_key::read(file) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(wrong("is not there; it is looked for on the machine of the service")),
        Err(Error::NoKey { .. }) => Err(wrong("holds no master key; put 64 hexadecimal digits in it")),
        Err(error) => Err(error),
    }
}
