//! Saves signed checkpoints and the caches for a quick start, and closes the store at the end of the process.
//!
//! The shutdown has a deadline. It loses no answered request, because their events are already durable. If a slow disk
//! exceeds the deadline, only the next start takes longer.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::OpenStorage;
use crate::limits::LOG_CHECKPOINT_EVERY;
use crate::store::{self, Store};

/// The last handle of the store, and the deadline of the process.
pub(super) struct StoreCloser {
    store: Store,
    deadline: Instant,
}

impl StoreCloser {
    pub(super) fn new(store: Store, deadline: Instant) -> StoreCloser {
        StoreCloser { store, deadline }
    }

    /// The remaining time.
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Closes the store; closing syncs it once more. Does not wait beyond the deadline.
    pub(super) fn close(self) {
        let (left, store) = (self.remaining(), self.store);
        let (closed, closing) = mpsc::channel();
        let close = move || {
            drop(store);
            // This fails if the receiver stopped waiting at the deadline.
            let _late = closed.send(());
        };
        if thread::Builder::new().name("closing".to_owned()).spawn(close).is_ok() {
            let _in_time = closing.recv_timeout(left);
        }
    }
}

/// Saves the caches for the next start. Fails if the store has failed at any time. Stops at `until`, even if the save
/// is not complete.
pub(super) async fn save_on_shutdown(storage: OpenStorage, until: Instant) -> Result<(), store::Error> {
    let saving = spawn_blocking(move || {
        storage.store.flush()?;
        save_signed_checkpoint(&storage);
        save_startup_checkpoints(&storage);
        storage.store.flush()
    });
    match timeout_at(until, saving).await {
        Ok(Ok(saved)) => saved,
        Ok(Err(error)) => {
            tracing::error!(%error, "the startup checkpoint was not saved");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("the disk is slow: the startup checkpoint was not saved");
            Ok(())
        }
    }
}

/// Saves the startup checkpoints each time at least `every` events were added, so that the next start has few events to
/// read.
pub(super) async fn run_checkpoint_saving(storage: OpenStorage, every: u64, stop: CancellationToken) {
    let mut head = storage.journal.subscribe_head();
    let mut saved = storage.journal.head();
    loop {
        let grown = head.wait_for(|head| *head >= saved + every);
        match stop.run_until_cancelled(grown).await {
            Some(Ok(head)) => saved = *head,
            Some(Err(_)) | None => return,
        }
        let storage = storage.clone();
        let _panicked = spawn_blocking(move || save_startup_checkpoints(&storage)).await;
    }
}

/// Signs a checkpoint of the log at intervals while events arrive.
pub(super) async fn run_checkpoint_signing(storage: OpenStorage, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(LOG_CHECKPOINT_EVERY)).await.is_some() {
        let storage = storage.clone();
        let _panicked = spawn_blocking(move || save_signed_checkpoint(&storage)).await;
    }
}

/// Only logs a failure, because a failed store ends the service anyway.
fn save_signed_checkpoint(storage: &OpenStorage) {
    if let Err(error) = storage.log.save_checkpoint(&storage.journal) {
        tracing::warn!(%error, "the log's checkpoint was not saved");
    }
}

/// Checkpoints are caches: without one the next start only takes longer.
fn save_startup_checkpoints(storage: &OpenStorage) {
    if let Err(error) = storage.journal.save_startup_checkpoint() {
        tracing::warn!(%error, "the journal's checkpoint was not saved");
    }
    if let Err(error) = storage.roster.save_checkpoint(&storage.store) {
        tracing::warn!(%error, "the roster's checkpoint was not saved");
    }
}
