//! The thread that gives committed changes to the engine, and syncs it.
//!
//! Nothing that is answered waits for it, except when too much waits for the engine. Readers see committed changes
//! before, among the pending ones.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use super::committer::Committer;
use super::pending_changes::NumberedChanges;
use super::progress::Progress;
use super::write_ahead_log::EntryId;
use crate::limits::{STORE_COMMIT_WITHIN, STORE_QUEUED_BYTES, STORE_SYNC_BYTES, STORE_SYNC_EVERY};

/// Committed changes.
pub(super) struct Batch {
    pub(super) changes: NumberedChanges,
    /// The last entry of the write-ahead log that holds them.
    pub(super) through: EntryId,
}

/// Committed changes that wait for the applier.
#[derive(Default)]
pub(super) struct ApplyQueue {
    state: Mutex<QueueState>,
    /// Notified of every change of the state.
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    batches: VecDeque<Batch>,
    /// Bytes of the batches, and of the one that is being applied.
    bytes: usize,
    /// How many syncs of the engine were requested, and how many of these requests are fulfilled.
    syncs_requested: u64,
    syncs_done: u64,
    is_closing: bool,
    /// The applier has ended: it was closed, or the store failed.
    has_ended: bool,
}

/// What the applier has done.
struct Applier<'c> {
    committer: &'c Committer,
    /// The last entry whose changes the engine has.
    applied: EntryId,
    /// The entry of the row *synced*, which is durable after the next sync.
    synced: EntryId,
    /// Bytes applied since the last sync.
    unsynced_bytes: usize,
    last_sync: Instant,
}

impl ApplyQueue {
    /// Queues a batch.
    pub(super) fn push(&self, batch: Batch) {
        let mut state = self.lock();
        state.bytes += batch.bytes();
        state.batches.push_back(batch);
        self.changed.notify_all();
    }

    /// Waits while more than [`STORE_QUEUED_BYTES`] wait.
    pub(super) fn wait_for_room(&self) {
        self.wait_while(|state| state.bytes > STORE_QUEUED_BYTES && !state.has_ended);
    }

    /// Waits until the engine has durably what was committed before the call, or the applier has ended.
    pub(super) fn sync_and_wait(&self) {
        let mut state = self.lock();
        state.syncs_requested += 1;
        let ticket = state.syncs_requested;
        self.changed.notify_all();
        drop(state);
        self.wait_while(|state| state.syncs_done < ticket && !state.has_ended);
    }

    /// Whether the applier has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// Asks the applier to end once everything is durable in the engine.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_all();
    }

    fn wait_while(&self, mut condition: impl FnMut(&QueueState) -> bool) {
        let state = self.changed.wait_while(self.lock(), |state| condition(state));
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn bytes(&self) -> usize {
        self.changes.changes.iter().map(super::keyspace::Change::len).sum()
    }
}

/// Applies committed changes until the queue is closed or the store fails. `synced` is the engine's row at the start.
pub(super) fn run(committer: &Committer, synced: EntryId) {
    let applier =
        Applier { committer, applied: synced, synced, unsynced_bytes: 0, last_sync: Instant::now() };
    let outcome = applier.run();
    // The latch tells everybody else.
    let _ended = committer.failure_latch.latch(outcome);
    committer.queue.lock().has_ended = true;
    committer.queue.changed.notify_all();
}

impl Applier<'_> {
    fn run(mut self) -> Result<(), Error> {
        let queue = &self.committer.queue;
        let mut last_commit = Instant::now();
        loop {
            let (batches, requested, is_closing) = self.wait_for_work();
            for batch in batches {
                self.apply(&batch)?;
                queue.lock().bytes -= batch.bytes();
                queue.changed.notify_all();
            }
            if is_closing || last_commit.elapsed() >= STORE_COMMIT_WITHIN {
                self.committer.commit_pending()?;
                last_commit = Instant::now();
            }
            let is_requested = requested > queue.lock().syncs_done;
            if is_requested || self.is_sync_due() {
                self.sync()?;
                queue.lock().syncs_done = requested;
                queue.changed.notify_all();
            }
            if is_closing && queue.lock().batches.is_empty() {
                if self.applied != self.synced {
                    self.sync()?;
                }
                // The row of the last sync, too.
                return self.committer.engine.sync();
            }
        }
    }

    /// Takes all waiting batches. Also returns the number of requested syncs, and whether the queue is closed.
    fn wait_for_work(&self) -> (VecDeque<Batch>, u64, bool) {
        let queue = &self.committer.queue;
        let timeout = if self.applied == self.synced { STORE_COMMIT_WITHIN } else { STORE_COMMIT_WITHIN.min(STORE_SYNC_EVERY) };
        let is_idle =
            |state: &mut QueueState| state.batches.is_empty() && state.syncs_requested == state.syncs_done && !state.is_closing;
        let (mut state, _) =
            queue.changed.wait_timeout_while(queue.lock(), timeout, is_idle).unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.batches), state.syncs_requested, state.is_closing)
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), Error> {
        let engine = &*self.committer.engine;
        batch.changes.changes.iter().try_for_each(|change| engine.apply(change))?;
        Progress::Applied.save(engine, &batch.through)?;
        self.committer.pending.forget_applied(&batch.changes);
        self.applied = batch.through;
        self.unsynced_bytes += batch.bytes();
        Ok(())
    }

    fn is_sync_due(&self) -> bool {
        let elapsed: Duration = self.last_sync.elapsed();
        self.applied != self.synced && (elapsed >= STORE_SYNC_EVERY || self.unsynced_bytes >= STORE_SYNC_BYTES)
    }

    /// Syncs the engine, and puts the row that says so.
    fn sync(&mut self) -> Result<(), Error> {
        let engine = &*self.committer.engine;
        engine.sync()?;
        // Now the row of the sync before is durable too, so no start needs what it covers.
        self.committer.release(self.synced.number);
        Progress::Synced.save(engine, &self.applied)?;
        (self.synced, self.unsynced_bytes, self.last_sync) = (self.applied, 0, Instant::now());
        Ok(())
    }
}
