//! What is saved beside the log: signed checkpoints, and caches that make a start quick. And how the service ends.
//!
//! Nothing that was answered hangs on the end: it was durable before. So an end has a deadline, and a disk that is slow
//! costs the next start some time.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::OpenStorage;
use crate::limits::LOG_CHECKPOINT_EVERY;
use crate::store::{self, Store};

/// The last handle of the store, and when the process must have ended.
pub(super) struct StoreCloser {
    store: Store,
    deadline: Instant,
}

impl StoreCloser {
    pub(super) fn new(store: Store, deadline: Instant) -> StoreCloser {
        StoreCloser { store, deadline }
    }

    /// The time that is left.
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Closes the store, which syncs once more. Does not wait beyond the deadline.
    pub(super) fn close(self) {
        let (left, store) = (self.remaining(), self.store);
        let (closed, closing) = mpsc::channel();
        let close = move || {
            drop(store);
            // Nobody waits any more after the deadline.
            let _late = closed.send(());
        };
        if thread::Builder::new().name("closing".to_owned()).spawn(close).is_ok() {
            let _in_time = closing.recv_timeout(left);
        }
    }
}

/// Saves at the end what the next start wants to find. Fails if the store has failed at any time. What is not done by
/// `until` is left undone.
pub(super) async fn save_on_shutdown(rooms: OpenStorage, until: Instant) -> Result<(), store::Error> {
    let saving = spawn_blocking(move || {
        rooms.store.flush()?;
        save_signed_checkpoint(&rooms);
        save_startup_checkpoints(&rooms);
        rooms.store.flush()
    });
    match timeout_at(until, saving).await {
        Ok(Ok(saved)) => saved,
        Ok(Err(error)) => {
            tracing::error!(%error, "what makes the next start quick was not saved");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("the disk is slow: what makes the next start quick was not saved");
            Ok(())
        }
    }
}

/// Saves the checkpoints each time that `every` events have happened, so that the next start reads no more than these.
pub(super) async fn run_checkpoint_saving(rooms: OpenStorage, every: u64, stop: CancellationToken) {
    let mut head = rooms.journal.subscribe_head();
    let mut saved = rooms.journal.head();
    loop {
        let grown = head.wait_for(|head| *head >= saved + every);
        match stop.run_until_cancelled(grown).await {
            Some(Ok(head)) => saved = *head,
            Some(Err(_)) | None => return,
        }
        let rooms = rooms.clone();
        let _panicked = spawn_blocking(move || save_startup_checkpoints(&rooms)).await;
    }
}

/// Signs a checkpoint of the log from time to time while events happen.
pub(super) async fn run_checkpoint_signing(rooms: OpenStorage, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(LOG_CHECKPOINT_EVERY)).await.is_some() {
        let rooms = rooms.clone();
        let _panicked = spawn_blocking(move || save_signed_checkpoint(&rooms)).await;
    }
}

/// A checkpoint that cannot be saved is a failure of the store, which ends the service.
fn save_signed_checkpoint(rooms: &OpenStorage) {
    if let Err(error) = rooms.log.save_checkpoint(&rooms.journal) {
        tracing::warn!(%error, "the log's checkpoint was not saved");
    }
}

/// Checkpoints are caches: without one the next start takes longer, and nothing else.
fn save_startup_checkpoints(rooms: &OpenStorage) {
    if let Err(error) = rooms.journal.save_startup_checkpoint() {
        tracing::warn!(%error, "the journal's checkpoint was not saved");
    }
    if let Err(error) = rooms.roster.save_checkpoint(&rooms.store) {
        tracing::warn!(%error, "the roster's checkpoint was not saved");
    }
}
